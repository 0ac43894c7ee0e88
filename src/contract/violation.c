/* violation.c - counting broken rules and saying what was expected and what came instead. */
#include "contract/violation.h"

#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>

#include "base/buf.h"
#include "contract/text.h"

enum { EXPECTED_BYTES = 512 };

const char rows_settled_text[1] = "";

/* --- numbers and texts in words --------------------------------------------------------------- */

/* People write 1799, not 1799.0. */
static void put_number(struct buf *out, double value, bool is_f32)
{
    char digits[STR_NUMBER_BYTES];
    if (!isfinite(value)) {
        buf_text(out, isnan(value) ? "NaN" : value > 0 ? "inf" : "-inf");
        return;
    }
    size_t len = is_f32 ? str_from_f32((float)value, digits) : str_from_f64(value, digits);
    if (len > 2 && memcmp(digits + len - 2, ".0", 2) == 0)
        len -= 2;
    buf_append(out, digits, len);
}

/* At most VIOLATION_TEXT_BYTES, whole characters, nothing that moves a terminal's cursor. */
static void put_quoted(struct buf *out, struct str text)
{
    size_t i = 0;
    buf_char(out, '\'');
    while (i < text.len && i < VIOLATION_TEXT_BYTES) {
        unsigned char c = (unsigned char)text.ptr[i];
        size_t size = c < 0x80 ? 1 : str_utf8_sequence(text.ptr + i, text.len - i);
        if (size == 0 || c < 0x20 || c == 0x7f)
            buf_char(out, '?');
        else
            buf_append(out, text.ptr + i, size);
        i += size ? size : 1;
    }
    buf_text(out, i < text.len ? "...'" : "'");
}

static const char *kept(struct rows *rows, struct buf *out)
{
    const char *copy = arena_copy(rows->arena, out->data, out->len);
    buf_done(out);
    return copy ? copy : "";
}

static const char *describe_got(struct rows *rows, const struct finding *f)
{
    struct buf out;
    buf_init(&out, EXPECTED_BYTES);
    if (f->kind == GOT_TEXT)
        put_quoted(&out, f->text);
    else if (f->kind == GOT_WORDS)
        buf_str(&out, f->text);
    else
        put_number(&out, f->number, f->kind == GOT_FLOAT);
    return kept(rows, &out);
}

/* --- expectations ----------------------------------------------------------------------------- */

static const char *type_words(const struct contract_field *f)
{
    switch (f->type) {
    case TYPE_NUMBER:
        return "a number";
    case TYPE_INTEGER:
        return "a whole number";
    case TYPE_BOOLEAN:
        return "true or false";
    case TYPE_STRING:
        return "text";
    case TYPE_DATE:
        return "a date";
    case TYPE_TIMESTAMP:
        return "a timestamp";
    }
    return "a value";
}

static void put_bounds(struct buf *out, const struct contract_field *f)
{
    if (f->has_min && f->has_max) {
        buf_text(out, f->is_min_exclusive ? " in (" : " in [");
        put_number(out, f->min, false);
        buf_lit(out, ", ");
        put_number(out, f->max, false);
        buf_text(out, f->is_max_exclusive ? ")" : "]");
    } else if (f->has_min) {
        buf_text(out, f->is_min_exclusive ? " > " : " >= ");
        put_number(out, f->min, false);
    } else if (f->has_max) {
        buf_text(out, f->is_max_exclusive ? " < " : " <= ");
        put_number(out, f->max, false);
    }
}

/* "one of 'a', 'b', 'c' and 97 more" */
static void put_list(struct buf *out, const struct contract_field *f)
{
    int count = f->listed_count ? f->listed_count : f->category_count;
    size_t begin = out->len;
    int i = 0;
    buf_lit(out, "one of ");
    for (; i < count && out->len - begin < VIOLATION_LIST_BYTES; i++) {
        if (i > 0)
            buf_lit(out, ", ");
        if (f->listed_count)
            put_number(out, f->listed[i], false);
        else
            put_quoted(out, f->categories[i]);
    }
    if (i < count)
        buf_printf(out, " and %d more", count - i);
}

static void put_time_format(struct buf *out, const struct contract_field *f)
{
    const char *example = f->type == TYPE_DATE ? "2026-01-31" : "2026-01-31T09:30:00Z";
    buf_printf(out, "%s %s %s", type_words(f), f->format ? "in the form" : "like",
               f->format ? f->format : example);
}

static void put_type(struct buf *out, const struct finding *f)
{
    const struct contract_field *field = f->field;
    bool is_number = f->kind == GOT_NUMBER || f->kind == GOT_FLOAT;
    if (is_number && !(fabs(f->number) <= (double)FLT_MAX) && field->type <= TYPE_INTEGER)
        buf_printf(out, "a finite number that fits float32 (up to 3.4e38)");
    else if (field->type >= TYPE_DATE)
        put_time_format(out, field);
    else if (field->category_count)
        put_list(out, field);
    else
        buf_text(out, type_words(field));
}

static void put_text_rule(struct buf *out, const struct finding *f)
{
    const struct contract_field *field = f->field;
    int64_t length = text_length(f->text);
    if (f->text.len > CONTRACT_TEXT_BYTES_MAX)
        buf_printf(out, "at most %d bytes of text", (int)CONTRACT_TEXT_BYTES_MAX);
    else if (length < field->length_min)
        buf_printf(out, "text of at least %lld characters", (long long)field->length_min);
    else if (field->length_max >= 0 && length > field->length_max)
        buf_printf(out, "text of at most %lld characters", (long long)field->length_max);
    else
        buf_printf(out, "text that matches %s", field->pattern);
}

static void put_unit(struct buf *out, const struct contract_field *f)
{
    const char *unit = contract_field_unit(f);
    if (*unit)
        buf_printf(out, " %s", unit);
}

static const char *describe_expected(struct rows *rows, const struct finding *f)
{
    struct buf out;
    if (f->expected)
        return f->expected;
    buf_init(&out, EXPECTED_BYTES);
    switch (f->rule) {
    case RULE_TYPE:
        put_type(&out, f);
        break;
    case RULE_MISSING:
        buf_printf(&out, "%s (required)", type_words(f->field));
        break;
    case RULE_RANGE:
        buf_text(&out, type_words(f->field));
        put_bounds(&out, f->field);
        put_unit(&out, f->field);
        break;
    case RULE_CATEGORY:
        put_list(&out, f->field);
        break;
    case RULE_PATTERN:
        put_text_rule(&out, f);
        break;
    case RULE_UNKNOWN_FIELD:
    case RULE_SHAPE:
    case RULE_COUNT:
        buf_lit(&out, "a field of the contract");
        break;
    }
    return kept(rows, &out);
}

/* --- noting ----------------------------------------------------------------------------------- */

static enum contract_policy policy_of(const struct finding *f)
{
    return f->field && !f->is_final ? f->field->policy[f->rule] : POLICY_REJECT;
}

static const char *name_hint(struct rows *rows, struct str name)
{
    const struct contract_field *answer = map_find(&rows->contract->field_by_name, name);
    const struct contract_field *near = contract_field_nearest(rows->contract, name);
    const char *hint = NULL;
    if (answer)
        hint = arena_printf(rows->arena, "it is the contract's %s, not an input of the model",
                            contract_role_name(answer->role));
    else if (near)
        hint = arena_printf(rows->arena, "did you mean '%s'?", near->name);
    return hint ? hint : "";
}

static void describe(struct rows *rows, const struct finding *f, struct violation *v)
{
    *v = (struct violation){
        .row = f->row, .rule = f->rule, .policy = policy_of(f), .field = "", .hint = ""};
    v->expected = describe_expected(rows, f);
    v->got = describe_got(rows, f);
    if (f->field) {
        v->field = f->field->name;
    } else if (f->rule == RULE_UNKNOWN_FIELD) {
        struct str name = f->text;
        v->hint = name_hint(rows, name);
        name.len = name.len < CONTRACT_NAME_BYTES_MAX ? name.len : CONTRACT_NAME_BYTES_MAX;
        const char *copy = arena_copy(rows->arena, name.ptr, name.len);
        v->field = copy ? copy : "";
    }
}

/* A field that nobody knows is often a required one misspelt: the cause is named first. */
static int place_of(const struct finding *f)
{
    return f->field ? f->field->index : f->rule == RULE_SHAPE ? -2 : -1;
}

/* Rejecting before others, then by row, then by the field's place. */
static bool is_before_first(const struct rows *rows, const struct finding *f)
{
    bool rejects = policy_of(f) == POLICY_REJECT;
    if (!rows->has_violation)
        return true;
    if (rejects != rows->is_rejected)
        return rejects;
    if (f->row != rows->first.row)
        return f->row < rows->first.row;
    return place_of(f) < rows->first_place;
}

static void mark_suspect(struct rows *rows, int64_t row)
{
    if (!rows->is_suspect) {
        rows->is_suspect = arena_calloc(rows->arena, (size_t)rows->count, 1);
        if (!rows->is_suspect) {
            rows->is_over_limit = true;
            return;
        }
    }
    rows->is_suspect[row] = 1;
}

void rows_note(struct rows *rows, const struct finding *f)
{
    struct violation violation;
    bool is_first = is_before_first(rows, f);
    if (is_first || rows->report)
        describe(rows, f, &violation);
    if (is_first) {
        rows->first = violation;
        rows->first_place = place_of(f);
    }
    rows->has_violation = true;
    rows->violation_count[f->rule]++;
    if (policy_of(f) == POLICY_REJECT)
        rows->is_rejected = true;
    else if (policy_of(f) == POLICY_QUARANTINE)
        mark_suspect(rows, f->row);
    if (rows->report)
        rows->report(rows->report_arg, &violation);
}
