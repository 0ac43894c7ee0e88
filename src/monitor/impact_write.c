/* impact_write.c - an impact as a page of Markdown and as JSON. */
#include <math.h>

#include "base/clock.h"
#include "monitor/impact.h"

/* ---- Markdown ---- */

static void put_value(struct buf *out, const struct estimate_value *v)
{
    if (!isfinite(v->value)) {
        buf_lit(out, "-");
        return;
    }
    buf_printf(out, "%.4g", v->value);
    if (isfinite(v->low) && isfinite(v->high))
        buf_printf(out, " (%.4g..%.4g)", v->low, v->high);
}

static void put_difference(struct buf *out, const struct impact_line *line)
{
    const struct estimate_value *d = &line->difference;
    if (!isfinite(d->value)) {
        buf_lit(out, "-");
        return;
    }
    buf_printf(out, "%+.4g (%+.4g..%+.4g)", d->value, d->low, d->high);
    if (isfinite(line->relative))
        buf_printf(out, ", %+.1f %%", 100 * line->relative);
}

static const char *verdict_text(const struct impact_line *line)
{
    switch (line->verdict) {
    case IMPACT_UNKNOWN:
        return "cannot tell";
    case IMPACT_SAME:
        return "no difference seen";
    case IMPACT_BETTER:
        return "**better**";
    case IMPACT_WORSE:
        return "**worse**";
    case IMPACT_CHANGED:
        return "**changed**";
    }
    return "";
}

static void put_line(struct buf *out, const struct impact_line *line)
{
    buf_printf(out, "| %s%s%s%s | ", line->name, line->unit[0] ? " (" : "", line->unit,
               line->unit[0] ? ")" : "");
    put_value(out, &line->before);
    buf_lit(out, " | ");
    put_value(out, &line->after);
    buf_lit(out, " | ");
    put_difference(out, line);
    buf_printf(out, " | %lld, %lld | ", (long long)line->before_count,
               (long long)line->after_count);
    if (isfinite(line->matured))
        buf_printf(out, "%.0f %%", 100 * line->matured);
    else
        buf_lit(out, "-");
    buf_printf(out, " | %s |\n", verdict_text(line));
}

static void put_side(struct buf *out, const char *name, const struct impact_side *side,
                     const struct impact_volume *volume)
{
    char from[CLOCK_TEXT_BYTES], to[CLOCK_TEXT_BYTES];
    clock_format(side->from_us, from);
    clock_format(side->to_us, to);
    buf_printf(out, "| %s | %lld%s%s | %.16sZ to %.16sZ | %lld | %lld | %lld", name,
               (long long)side->version, side->arm[0] ? ", " : "", side->arm, from, to,
               (long long)volume->requests, (long long)volume->rows, (long long)volume->labelled);
    if (isfinite(volume->coverage))
        buf_printf(out, " (%.0f %%)", 100 * volume->coverage);
    buf_lit(out, " |\n");
}

void impact_write_markdown(const struct impact *impact, struct buf *out)
{
    const struct impact_query *q = &impact->query;
    buf_printf(out, "%s.\n\n", impact->headline);
    buf_lit(out, "| | version | answered | requests | rows | labelled |\n");
    buf_lit(out, "|---|---|---|---|---|---|\n");
    put_side(out, q->is_randomised ? "stable" : "before", &q->before, &impact->before);
    put_side(out, q->is_randomised ? "canary" : "after", &q->after, &impact->after);
    buf_lit(out,
            "\n| measure | before (95 %) | after (95 %) | difference (95 %) | made of | matured "
            "| |\n|---|---|---|---|---|---|---|\n");
    for (int i = 0; i < impact->line_count; i++)
        put_line(out, &impact->lines[i]);
    buf_lit(out, "\nWhat this page cannot know:\n\n");
    for (int i = 0; i < impact->note_count; i++)
        buf_printf(out, "- %s\n", impact->notes[i]);
}

/* ---- JSON ---- */

static void json_number(struct json_writer *w, const char *key, double value)
{
    json_key(w, key);
    if (isfinite(value))
        json_put_f64(w, value);
    else
        json_put_null(w);
}

static void json_value(struct json_writer *w, const char *key, const struct estimate_value *v)
{
    json_key(w, key);
    if (!isfinite(v->value)) {
        json_put_null(w);
        return;
    }
    json_begin_object(w);
    json_number(w, "value", v->value);
    json_number(w, "low", v->low);
    json_number(w, "high", v->high);
    json_end_object(w);
}

static void json_side(struct json_writer *w, const char *key, const struct impact_side *side,
                      const struct impact_volume *volume)
{
    json_key(w, key);
    json_begin_object(w);
    json_key(w, "version");
    json_put_i64(w, side->version);
    json_key(w, "arm");
    json_put_text(w, side->arm);
    json_key(w, "from");
    json_put_time(w, side->from_us);
    json_key(w, "to");
    json_put_time(w, side->to_us);
    json_key(w, "requests");
    json_put_i64(w, volume->requests);
    json_key(w, "rows");
    json_put_i64(w, volume->rows);
    json_key(w, "labelled");
    json_put_i64(w, volume->labelled);
    json_number(w, "coverage", volume->coverage);
    json_end_object(w);
}

static void json_line(struct json_writer *w, const struct impact_line *line)
{
    json_begin_object(w);
    json_key(w, "name");
    json_put_text(w, line->name);
    json_key(w, "unit");
    json_put_text(w, line->unit);
    json_key(w, "direction");
    json_put_text(w, outcome_direction_name(line->direction));
    json_value(w, "before", &line->before);
    json_value(w, "after", &line->after);
    json_value(w, "difference", &line->difference);
    json_number(w, "relative", line->relative);
    json_key(w, "before_count");
    json_put_i64(w, line->before_count);
    json_key(w, "after_count");
    json_put_i64(w, line->after_count);
    json_number(w, "matured", line->matured);
    json_key(w, "verdict");
    json_put_text(w, impact_verdict_name(line->verdict));
    json_end_object(w);
}

void impact_write_json(const struct impact *impact, struct json_writer *w)
{
    const struct impact_query *q = &impact->query;
    json_key(w, "headline");
    json_put_text(w, impact->headline);
    json_key(w, "is_randomised");
    json_put_bool(w, q->is_randomised);
    json_side(w, "before", &q->before, &impact->before);
    json_side(w, "after", &q->after, &impact->after);
    json_key(w, "measures");
    json_begin_array(w);
    for (int i = 0; i < impact->line_count; i++)
        json_line(w, &impact->lines[i]);
    json_end_array(w);
    json_key(w, "cannot_know");
    json_begin_array(w);
    for (int i = 0; i < impact->note_count; i++)
        json_put_text(w, impact->notes[i]);
    json_end_array(w);
}
