/* metric.c - Prometheus text 0.0.4 and OpenMetrics 1.0.
 *
 * The two differ in four places: OpenMetrics names a counter's family without _total and an info's
 * without _info, has a type for the latter, and ends with # EOF. Bounds of buckets are written as
 * floats ("1.0") in both, so that a series keeps its name when a scraper changes its mind.
 */
#include "base/metric.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

const struct metric metric_table[METRIC_COUNT] = {
#define METRIC(id, name, type, labels, help) {name, METRIC_##type, labels, help},
#include "metrics.def"
};

/* A scraper's wish for one media type: 0 when it does not name it. */
static double quality_of(struct str range)
{
    struct str part;
    double q = 1;
    str_split(&range, ';', &part);
    while (str_split(&range, ';', &part)) {
        part = str_trim(part);
        if (str_starts_with(part, STR_LIT("q=")))
            q = str_to_f64((struct str){part.ptr + 2, part.len - 2}, &q) ? q : 0;
    }
    return q;
}

static double accepted_quality(struct str accept, const char *type)
{
    struct str range, name;
    double best = 0;
    while (str_split(&accept, ',', &range)) {
        struct str rest = range;
        str_split(&rest, ';', &name);
        double q = str_equal_nocase(str_trim(name), str_of(type)) ? quality_of(range) : 0;
        best = q > best ? q : best;
    }
    return best;
}

enum metric_format metric_choose_format(struct str accept)
{
    double openmetrics = accepted_quality(accept, "application/openmetrics-text");
    double text = accepted_quality(accept, "text/plain");
    return openmetrics > 0 && openmetrics >= text ? METRIC_OPENMETRICS : METRIC_PROMETHEUS;
}

const char *metric_content_type(enum metric_format format)
{
    return format == METRIC_OPENMETRICS
               ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
               : "text/plain; version=0.0.4; charset=utf-8";
}

/* The name in HELP and TYPE lines. */
static struct str family_name(const struct metric_writer *w)
{
    struct str name = str_of(w->family->name);
    bool is_short = w->format == METRIC_OPENMETRICS;
    if (is_short && w->family->type == METRIC_COUNTER)
        name.len -= strlen("_total");
    else if (is_short && w->family->type == METRIC_INFO)
        name.len -= strlen("_info");
    return name;
}

static const char *type_name(const struct metric_writer *w)
{
    switch (w->family->type) {
    case METRIC_COUNTER:
        return "counter";
    case METRIC_HISTOGRAM:
        return "histogram";
    case METRIC_INFO:
        return w->format == METRIC_OPENMETRICS ? "info" : "gauge";
    default:
        return "gauge";
    }
}

/* Backslash, newline and (where asked for) quotes escaped; U+FFFD for what is not UTF-8. */
static void write_escaped(struct buf *out, const char *text)
{
    struct str rest = str_of(text);
    while (rest.len > 0) {
        size_t size = (unsigned char)rest.ptr[0] < 0x80 ? 1 : str_utf8_sequence(rest.ptr, rest.len);
        if (size == 0)
            buf_lit(out, "\xEF\xBF\xBD");
        else if (rest.ptr[0] == '\n')
            buf_lit(out, "\\n");
        else if (rest.ptr[0] == '\\' || rest.ptr[0] == '"')
            buf_printf(out, "\\%c", rest.ptr[0]);
        else
            buf_append(out, rest.ptr, size);
        size += size == 0;
        rest = (struct str){rest.ptr + size, rest.len - size};
    }
}

/* 7, 0.25, 1e21, NaN: whole numbers without a point, as counters are usually written. */
static void write_value(struct buf *out, double value)
{
    if (isnan(value))
        buf_lit(out, "NaN");
    else if (isinf(value))
        buf_text(out, value > 0 ? "+Inf" : "-Inf");
    else if (value == floor(value) && fabs(value) <= 0x1p53)
        buf_i64(out, (int64_t)value);
    else
        buf_f64(out, value);
}

static void write_labels(struct buf *out, const struct metric *family, const char *const *values)
{
    struct str rest = str_of(family->labels), name;
    for (int i = 0; str_split(&rest, ',', &name); i++) {
        if (i > 0)
            buf_char(out, ',');
        buf_str(out, name);
        buf_lit(out, "=\"");
        write_escaped(out, values[i]);
        buf_char(out, '"');
    }
}

/* name_suffix{labels,le="bound"} value */
static void write_line(struct metric_writer *w, const char *suffix, const char *const *labels,
                       const char *bound, double value)
{
    bool has_labels = w->family->labels[0] != '\0';
    buf_text(w->out, w->family->name);
    buf_text(w->out, suffix);
    if (has_labels || bound)
        buf_char(w->out, '{');
    if (has_labels)
        write_labels(w->out, w->family, labels);
    if (bound)
        buf_printf(w->out, "%sle=\"%s\"", has_labels ? "," : "", bound);
    if (has_labels || bound)
        buf_char(w->out, '}');
    buf_char(w->out, ' ');
    write_value(w->out, value);
    buf_char(w->out, '\n');
}

static void write_histogram(struct metric_writer *w, const struct histogram_sum *sum,
                            const char *const *labels)
{
    static const struct {
        const char *text;
        uint64_t ns;
    } bounds[] = {{"0.0001", 100000},  {"0.00025", 250000}, {"0.0005", 500000},
                  {"0.001", 1000000},  {"0.0025", 2500000}, {"0.005", 5000000},
                  {"0.01", 10000000},  {"0.025", 25000000}, {"0.05", 50000000},
                  {"0.1", 100000000},  {"0.25", 250000000}, {"0.5", 500000000},
                  {"1.0", 1000000000}, {"2.5", 2500000000}, {"10.0", 10000000000}};
    for (size_t i = 0; i < ARRAY_LEN(bounds); i++)
        write_line(w, "_bucket", labels, bounds[i].text,
                   (double)histogram_count_to(sum, bounds[i].ns));
    write_line(w, "_bucket", labels, "+Inf", (double)sum->count);
    write_line(w, "_sum", labels, NULL, (double)sum->sum_ns / 1e9);
    write_line(w, "_count", labels, NULL, (double)sum->count);
}

/* What was past series_max, as one series. */
static void write_rest(struct metric_writer *w)
{
    static const char *const other[METRIC_LABELS_MAX] = {"other", "other", "other", "other",
                                                         "other", "other", "other", "other"};
    if (w->series_count > w->series_max && w->rest_sum)
        write_histogram(w, w->rest_sum, other);
    else if (w->series_count > w->series_max)
        write_line(w, "", other, NULL, w->family->type == METRIC_INFO ? 1 : w->rest);
    free(w->rest_sum);
    w->rest_sum = NULL;
    w->rest = 0;
    w->series_count = 0;
}

void metric_begin(struct metric_writer *w, struct buf *out, enum metric_format format,
                  int64_t series_max)
{
    *w = (struct metric_writer){.out = out, .format = format, .series_max = series_max};
}

void metric_family(struct metric_writer *w, enum metric_id id)
{
    assert(id < METRIC_COUNT && !w->is_written[id]);
    write_rest(w);
    w->family = &metric_table[id];
    w->is_written[id] = true;
    struct str name = family_name(w);
    buf_printf(w->out, "# HELP %.*s ", STR_ARG(name));
    write_escaped(w->out, w->family->help);
    buf_printf(w->out, "\n# TYPE %.*s %s\n", STR_ARG(name), type_name(w));
}

static int label_names(const struct metric *family)
{
    int count = family->labels[0] != '\0';
    for (const char *p = family->labels; *p; p++)
        count += *p == ',';
    return count;
}

/* Is there room for one more series of the family? */
static bool next_series(struct metric_writer *w, int label_count)
{
    assert(w->family && label_count == label_names(w->family) && label_count <= METRIC_LABELS_MAX);
    return ++w->series_count <= w->series_max || label_count == 0;
}

void metric_sample(struct metric_writer *w, double value, const char *const *labels,
                   int label_count)
{
    assert(w->family && w->family->type != METRIC_HISTOGRAM);
    if (next_series(w, label_count))
        write_line(w, "", labels, NULL, value);
    else
        w->rest += value;
}

static void add_to_rest(struct metric_writer *w, const struct histogram_sum *sum)
{
    if (!w->rest_sum)
        w->rest_sum = calloc(1, sizeof(*w->rest_sum));
    if (!w->rest_sum)
        abort();
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
        w->rest_sum->counts[i] += sum->counts[i];
    w->rest_sum->count += sum->count;
    w->rest_sum->sum_ns += sum->sum_ns;
}

void metric_histogram(struct metric_writer *w, const struct histogram_sum *sum,
                      const char *const *labels, int label_count)
{
    assert(w->family && w->family->type == METRIC_HISTOGRAM);
    if (next_series(w, label_count))
        write_histogram(w, sum, labels);
    else
        add_to_rest(w, sum);
}

void metric_end(struct metric_writer *w)
{
    write_rest(w);
    if (w->format == METRIC_OPENMETRICS)
        buf_lit(w->out, "# EOF\n");
}

void metric_reference(struct buf *out)
{
    static const char *const types[] = {
        [METRIC_COUNTER] = "counter",
        [METRIC_GAUGE] = "gauge",
        [METRIC_HISTOGRAM] = "histogram",
        [METRIC_INFO] = "info",
    };
    buf_lit(out, "| metric | type | labels | what |\n|---|---|---|---|\n");
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        const struct metric *m = &metric_table[i];
        buf_printf(out, "| `%s` | %s | %s | %s |\n", m->name, types[m->type], m->labels, m->help);
    }
}
