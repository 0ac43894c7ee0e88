/* card_markdown.c - a card for people: sections, tables, gaps in bold. */
#include <string.h>

#include "base/clock.h"
#include "rollout/card.h"

/* Text of people and of data: no line ends, no markup of its own. */
static void plain(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (strchr("|\\`*_<>[]#", *text))
            buf_char(out, '\\');
        buf_char(out, *text == '\n' || *text == '\r' ? ' ' : *text);
    }
}

static void gap(struct buf *out, const char *text)
{
    buf_printf(out, "**gap: %s**", text);
}

static void text_or_gap(struct buf *out, const char *text, const char *missing)
{
    if (text && text[0])
        plain(out, text);
    else
        gap(out, missing);
}

static void line(struct buf *out, const char *name, const char *value)
{
    if (!value || !value[0])
        return;
    buf_printf(out, "| %s | ", name);
    plain(out, value);
    buf_lit(out, " |\n");
}

static void time_line(struct buf *out, const char *name, int64_t at_us)
{
    char text[CLOCK_TEXT_BYTES];
    line(out, name, clock_format(at_us, text));
}

static const char *member(yyjson_val *object, const char *key)
{
    const char *text = yyjson_get_str(yyjson_obj_get(object, key));
    return text ? text : "";
}

static void number_cell(struct buf *out, yyjson_val *object, const char *key)
{
    yyjson_val *value = yyjson_obj_get(object, key);
    if (yyjson_is_int(value))
        buf_printf(out, " %lld |", (long long)yyjson_get_sint(value));
    else if (yyjson_is_num(value))
        buf_printf(out, " %.4f |", yyjson_get_num(value));
    else
        buf_lit(out, " - |");
}

/* ---- sections ---- */

static void write_details(struct buf *out, const struct card *card)
{
    const struct version *v = &card->version;
    buf_lit(out, "## Purpose\n\n");
    text_or_gap(out, card->model.description, "the model has no description");
    buf_lit(out, "\n\nNew in this version: ");
    text_or_gap(out, v->note, "the version has no note");
    buf_lit(out, "\n\n## Details\n\n| | |\n|---|---|\n");
    line(out, "owner, contact", card->model.owner);
    line(out, "runtime", v->runtime);
    line(out, "objective", member(card->signature, "objective"));
    line(out, "model", member(card->signature, "detail"));
    line(out, "artifact (SHA-256)", v->artifact.hex);
    line(out, "registered by", v->created_by);
    time_line(out, "registered at", v->created_us);
    for (int i = 0; i < card->alias_count; i++)
        if (card->aliases[i].version == v->number)
            line(out, "alias", card->aliases[i].name);
    buf_lit(out, "| license | ");
    text_or_gap(out, member(card->lineage, "license"), "not given");
    buf_lit(out, " |\n\n");
}

static void write_lineage(struct buf *out, yyjson_val *lineage)
{
    size_t i, count;
    yyjson_val *key, *value;
    yyjson_obj_foreach(lineage, i, count, key, value)
    {
        struct buf text;
        buf_init(&text, LINEAGE_BYTES_MAX);
        if (yyjson_is_str(value))
            buf_str(&text, json_str(value));
        else
            json_write(&text, value);
        line(out, yyjson_get_str(key), buf_c(&text));
        buf_done(&text);
    }
}

static void count_line(struct buf *out, const char *name, int64_t value)
{
    char number[STR_NUMBER_BYTES + 1];
    number[str_from_i64(value, number)] = '\0';
    line(out, name, number);
}

static void write_data(struct buf *out, const struct card *card)
{
    const struct contract *c = card->contract;
    buf_lit(out, "## Data\n\n");
    if (!card->lineage || yyjson_obj_size(card->lineage) == 0) {
        gap(out, "no lineage: run, code and training data are not known");
        buf_lit(out, "\n\n");
    }
    buf_lit(out, "| | |\n|---|---|\n");
    write_lineage(out, card->lineage);
    line(out, "contract (SHA-256)", card->version.contract.hex);
    line(out, "contract version", c ? c->version : "");
    line(out, "contract status", c ? c->status : "");
    if (card->baseline_rows)
        count_line(out, "baseline rows", card->baseline_rows);
    if (card->has_training_rows)
        count_line(out, "training rows", card->training.row_count);
    if (card->has_gate)
        line(out, "held-out rows (SHA-256)", card->gate.data_digest);
    buf_lit(out, "\n");
}

static void write_metrics(struct buf *out, const struct card *card)
{
    size_t i, count;
    yyjson_val *row;
    buf_lit(out, "## Metrics\n\n");
    if (!card->report) {
        gap(out, "the version has not been through a gate");
        buf_lit(out, "\n\n");
        return;
    }
    buf_printf(out,
               "On %lld held-out rows, with 95 %% intervals.\n\n| metric | value | low | high "
               "| n | champion |\n|---|---:|---:|---:|---:|---:|\n",
               (long long)card->gate.row_count);
    yyjson_arr_foreach(yyjson_obj_get(card->report, "metrics"), i, count, row)
    {
        static const char *const keys[] = {"value", "low", "high", "n", "champion", NULL};
        buf_lit(out, "| ");
        plain(out, member(row, "name"));
        buf_lit(out, " |");
        for (int k = 0; keys[k]; k++)
            number_cell(out, row, keys[k]);
        buf_char(out, '\n');
    }
    buf_char(out, '\n');
}

static void write_slices(struct buf *out, const struct card *card)
{
    size_t i, count;
    yyjson_val *row, *slices = yyjson_obj_get(card->report, "worst_slices");
    if (yyjson_arr_size(slices) == 0)
        return;
    buf_lit(out, "### Weakest slices\n\n| slice | n | loss | other rows |\n|---|---:|---:|---:|\n");
    yyjson_arr_foreach(slices, i, count, row)
    {
        buf_lit(out, "| ");
        plain(out, member(row, "name"));
        buf_lit(out, " |");
        number_cell(out, row, "n");
        number_cell(out, row, "loss");
        number_cell(out, row, "rest_loss");
        buf_char(out, '\n');
    }
    buf_char(out, '\n');
}

static void write_gate(struct buf *out, const struct card *card)
{
    size_t i, count;
    yyjson_val *row;
    char at[CLOCK_TEXT_BYTES];
    if (!card->has_gate)
        return;
    buf_printf(out, "## Gate: %s\n\nResult %lld, run by ",
               strcmp(card->gate.verdict, "cannot_tell") == 0 ? "cannot tell" : card->gate.verdict,
               (long long)card->gate.id);
    plain(out, card->gate.actor);
    buf_printf(out, " at %s.\n\n| verdict | check | of | found |\n|---|---|---|---|\n",
               clock_format(card->gate.at_us, at));
    yyjson_arr_foreach(yyjson_obj_get(card->report, "checks"), i, count, row)
    {
        static const char *const keys[] = {"verdict", "kind", "name", "text", NULL};
        buf_char(out, '|');
        for (int k = 0; keys[k]; k++) {
            buf_char(out, ' ');
            plain(out, member(row, keys[k]));
            buf_lit(out, " |");
        }
        buf_char(out, '\n');
    }
    buf_char(out, '\n');
}

static void bound(struct buf *out, bool is_there, double value)
{
    buf_char(out, ' ');
    if (is_there)
        buf_f64(out, value);
    else
        buf_char(out, '-');
    buf_lit(out, " |");
}

static void write_limits(struct buf *out, const struct card *card)
{
    buf_lit(out, "## Limits\n\n");
    if (!card->contract) {
        gap(out, "the version has no contract");
        buf_lit(out, "\n\n");
        return;
    }
    buf_lit(out, "Outside of these the model was not meant to answer.\n\n| field | role | type | "
                 "unit | minimum | maximum | categories |\n|---|---|---|---|---:|---:|---:|\n");
    for (int i = 0; i < card->contract->input_count; i++) {
        const struct contract_field *f = card->contract->inputs[i];
        buf_lit(out, "| ");
        plain(out, f->name);
        buf_printf(out, " | %s | %s | ", contract_role_name(f->role), contract_type_name(f->type));
        plain(out, f->unit);
        buf_lit(out, " |");
        bound(out, f->has_min, f->min);
        bound(out, f->has_max, f->max);
        buf_printf(out, " %d |\n", f->category_count);
    }
    buf_char(out, '\n');
}

static void write_history(struct buf *out, const struct card *card)
{
    char at[CLOCK_TEXT_BYTES];
    buf_lit(out, "## History\n\n| at | alias | kind | from | to | by | reason |\n"
                 "|---|---|---|---:|---:|---|---|\n");
    for (int i = 0; i < card->change_count; i++) {
        const struct alias_change *change = &card->changes[i];
        if (change->from != card->version.number && change->to != card->version.number)
            continue;
        buf_printf(out, "| %s | %s | %s | %lld | %lld | ", clock_format(change->at_us, at),
                   change->alias, change->kind, (long long)change->from, (long long)change->to);
        plain(out, change->actor);
        buf_lit(out, " | ");
        plain(out, change->reason);
        buf_lit(out, " |\n");
    }
    buf_char(out, '\n');
}

static void write_rollouts(struct buf *out, const struct card *card)
{
    char at[CLOCK_TEXT_BYTES];
    bool is_first = true;
    for (int i = 0; i < card->rollout_count; i++) {
        const struct rollout *r = &card->rollouts[i];
        if (r->from != card->version.number && r->to != card->version.number)
            continue;
        if (is_first)
            buf_lit(out, "## Rollouts\n\n| started | from | to | state | by | reason |\n"
                         "|---|---:|---:|---|---|---|\n");
        is_first = false;
        buf_printf(out, "| %s | %lld | %lld | %s | ", clock_format(r->started_us, at),
                   (long long)r->from, (long long)r->to, rollout_state_name(r->state));
        plain(out, r->author);
        buf_lit(out, " | ");
        plain(out, r->reason);
        buf_lit(out, " |\n");
    }
    if (!is_first)
        buf_char(out, '\n');
}

static void write_gaps(struct buf *out, const struct card *card)
{
    buf_lit(out, "## Gaps\n\n");
    if (card->gap_count == 0)
        buf_lit(out, "None that the record shows.\n");
    for (int i = 0; i < card->gap_count; i++) {
        buf_lit(out, "- ");
        plain(out, card->gaps[i]);
        buf_char(out, '\n');
    }
}

void card_write_markdown(struct buf *out, const struct card *card)
{
    char at[CLOCK_TEXT_BYTES];
    buf_lit(out, "# ");
    plain(out, card->model.name);
    buf_printf(out, " version %lld\n\nMade from the record at %s; %d gaps.\n\n",
               (long long)card->version.number, clock_format(card->at_us, at), card->gap_count);
    write_details(out, card);
    write_data(out, card);
    write_metrics(out, card);
    write_slices(out, card);
    write_gate(out, card);
    write_limits(out, card);
    write_history(out, card);
    write_rollouts(out, card);
    write_gaps(out, card);
}
