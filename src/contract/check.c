/* check.c - judging a request's rows.
 *
 *     row --- vector pass over all columns ---> clean: next row
 *                                          `--> flagged: judge_cell() one by one
 *
 * A flag says "look closer", not "broken": the vector pass knows bounds, required columns and whole
 * numbers, and everything it lets through is fine.
 */
#include "contract/check.h"

#include <math.h>

#include "base/check.h"
#include "contract/pattern.h"
#include "contract/text.h"
#include "contract/violation.h"

/* --- values ----------------------------------------------------------------------------------- */

/* Above 2^23 every float32 is a whole number. */
static bool is_fraction(float value)
{
    return value != truncf(value);
}

/* 1 when `value` is a fraction. Adding 1.5 * 2^23 leaves no bits for one. Holds for |value| <=
 * 2^22; beyond, whole numbers may be flagged too, and is_fraction() decides. */
static inline uint32_t may_be_fraction(float value)
{
    const float shift = 12582912.0F, low = -4194304.0F;
    return (uint32_t)((value + shift) - shift != value) | (uint32_t)(value < low);
}

static bool is_flagged(const struct contract *c, const float *restrict row)
{
    const float *restrict low = c->low, *restrict high = c->high;
    const uint32_t *restrict required = c->is_required;
    uint32_t flags = 0;
    for (int i = 0; i < c->value_count; i++)
        flags |= (uint32_t)(row[i] < low[i]) | (uint32_t)(row[i] > high[i]) |
                 ((uint32_t)(row[i] != row[i]) & required[i]);
    return flags != 0;
}

static bool has_fraction(const struct contract *c, const float *restrict row)
{
    const uint32_t *restrict whole = c->is_whole;
    uint32_t flags = 0;
    for (int i = 0; i < c->value_count; i++)
        flags |= may_be_fraction(row[i]) & whole[i];
    return flags != 0;
}

static void note_value(struct rows *rows, int64_t row, const struct contract_field *field,
                       enum contract_rule rule, float value)
{
    static const char *const words[] = {
        [CELL_NAN] = "NaN",   [CELL_ABSENT] = "nothing",          [CELL_NULL] = "null",
        [CELL_OTHER] = "NaN", [CELL_MARKER] = "a missing marker",
    };
    struct finding finding = {
        .row = row, .field = field, .rule = rule, .kind = GOT_FLOAT, .number = (double)value};
    if (isnan(value)) {
        finding.kind = GOT_WORDS;
        finding.text = str_of(words[cell_state(value)]);
    }
    rows_note(rows, &finding);
}

/* A value that is no category (or not in the list): the row may live on without it. */
static void judge_unlisted(struct rows *rows, int64_t row, const struct contract_field *field,
                           float *cell)
{
    note_value(rows, row, field, RULE_CATEGORY, *cell);
    if (field->is_coded || field->policy[RULE_CATEGORY] == POLICY_OTHER)
        *cell = cell_of(CELL_OTHER);
}

static void judge_range(struct rows *rows, int64_t row, const struct contract_field *field,
                        float *cell)
{
    float low = rows->contract->low[field->column], high = rows->contract->high[field->column];
    if (*cell >= low && *cell <= high)
        return;
    note_value(rows, row, field, RULE_RANGE, *cell);
    if (field->policy[RULE_RANGE] == POLICY_CLIP)
        *cell = *cell < low ? low : high;
}

static void judge_cell(struct rows *rows, int64_t row, const struct contract_field *field,
                       float *cell)
{
    float value = *cell;
    if (isnan(value)) {
        if (field->is_required && cell_state(value) != CELL_OTHER)
            note_value(rows, row, field, RULE_MISSING, value);
    } else if (field->is_coded) {
        if (!(value >= 0 && value < (float)field->category_count) || is_fraction(value))
            judge_unlisted(rows, row, field, cell);
    } else if (isinf(value) || (field->type == TYPE_INTEGER && is_fraction(value)) ||
               (field->type == TYPE_BOOLEAN && value != 0 && value != 1)) {
        note_value(rows, row, field, RULE_TYPE, value);
    } else {
        judge_range(rows, row, field, cell);
    }
}

static bool is_in_list(const struct contract_field *field, float value)
{
    int low = 0, high = field->listed_count - 1;
    while (low <= high) {
        int middle = low + (high - low) / 2;
        float listed = (float)field->listed[middle];
        if (listed == value)
            return true;
        if (listed < value)
            low = middle + 1;
        else
            high = middle - 1;
    }
    return field->listed_count == 0;
}

/* Numeric missing markers and lists of numbers, which bounds cannot express. */
static void judge_special(struct rows *rows, int64_t row, float *values)
{
    const struct contract *c = rows->contract;
    for (int i = 0; i < c->special_count; i++) {
        const struct contract_field *field = c->values[c->special_columns[i]];
        float *cell = &values[c->special_columns[i]];
        for (int k = 0; k < field->missing_number_count; k++)
            if (*cell == (float)field->missing_numbers[k])
                *cell = cell_of(CELL_MARKER);
        if (!isnan(*cell) && !is_in_list(field, *cell))
            judge_unlisted(rows, row, field, cell);
    }
}

static void judge_values(struct rows *rows, int64_t row)
{
    const struct contract *c = rows->contract;
    float *values = &rows->values[row * c->value_count];
    if (c->special_count)
        judge_special(rows, row, values);
    if (!is_flagged(c, values) && !(c->has_whole && has_fraction(c, values)))
        return;
    for (int i = 0; i < c->value_count; i++)
        judge_cell(rows, row, c->values[i], &values[i]);
}

/* --- texts ------------------------------------------------------------------------------------ */

static bool fits_type(const struct contract_field *field, struct str text)
{
    int64_t whole;
    double number;
    bool flag;
    switch (field->type) {
    case TYPE_INTEGER:
        return str_to_i64(text, &whole) || (str_to_f64(text, &number) && number == floor(number));
    case TYPE_NUMBER:
        return str_to_f64(text, &number) && isfinite(number);
    case TYPE_BOOLEAN:
        return text_to_bool(text, &flag);
    case TYPE_DATE:
        return text_is_date(text, field->format);
    case TYPE_TIMESTAMP:
        return text_is_timestamp(text, field->format);
    case TYPE_STRING:
        return str_is_utf8(text);
    }
    return false;
}

static bool fits_length(const struct contract_field *field, struct str text)
{
    if (field->length_min == 0 && field->length_max < 0)
        return true;
    int64_t length = text_length(text);
    return length >= field->length_min && (field->length_max < 0 || length <= field->length_max);
}

static void note_text(struct rows *rows, int64_t row, const struct contract_field *field,
                      enum contract_rule rule, struct str text)
{
    rows_note(rows, &(struct finding){.row = row,
                                      .field = field,
                                      .rule = rule,
                                      .kind = text.ptr ? GOT_TEXT : GOT_WORDS,
                                      .text = text.ptr ? text : STR_LIT("nothing")});
}

/* A text that nobody can judge ends the request, or a batch of them would hold up its thread. */
static void note_endless(struct rows *rows, int64_t row, const struct contract_field *field,
                         struct str text)
{
    rows_note(rows, &(struct finding){.row = row,
                                      .field = field,
                                      .rule = RULE_PATTERN,
                                      .is_final = true,
                                      .expected = "text whose match with the pattern ends within "
                                                  "the match limit",
                                      .kind = GOT_TEXT,
                                      .text = text});
}

static void judge_pattern(struct rows *rows, int64_t row, const struct contract_field *field,
                          struct str text)
{
    enum pattern_verdict verdict =
        field->pattern_code ? pattern_match(field->pattern_code, text) : PATTERN_MATCHES;
    if (verdict == PATTERN_GAVE_UP)
        note_endless(rows, row, field, text);
    else if (verdict == PATTERN_DIFFERS)
        note_text(rows, row, field, RULE_PATTERN, text);
}

static void judge_text(struct rows *rows, int64_t row, const struct contract_field *field,
                       struct str text)
{
    if (!text.ptr) {
        if (field->is_required)
            note_text(rows, row, field, RULE_MISSING, text);
    } else if (text.len > CONTRACT_TEXT_BYTES_MAX) {
        note_text(rows, row, field, RULE_PATTERN, text);
    } else if (!fits_type(field, text)) {
        note_text(rows, row, field, RULE_TYPE, text);
    } else if (field->category_count && !map_find(&field->category_codes, text)) {
        note_text(rows, row, field, RULE_CATEGORY, text);
    } else if (!fits_length(field, text)) {
        note_text(rows, row, field, RULE_PATTERN, text);
    } else {
        judge_pattern(rows, row, field, text);
    }
}

static void judge_texts(struct rows *rows, int64_t row)
{
    const struct contract *c = rows->contract;
    const struct str *texts = &rows->texts[row * c->text_count];
    for (int i = 0; i < c->text_count; i++)
        if (texts[i].ptr != rows_settled_text)
            judge_text(rows, row, c->texts[i], texts[i]);
}

/* --- the verdict ------------------------------------------------------------------------------ */

static enum err_code rejection(const struct violation *v, struct err *err)
{
    if (v->rule == RULE_SHAPE)
        err_set(err, ERR_VIOLATION, "expected %s, got %s", v->expected, v->got);
    else if (v->rule == RULE_UNKNOWN_FIELD)
        err_set(err, ERR_VIOLATION, "row %lld: unknown field '%s'", (long long)v->row, v->field);
    else
        err_set(err, ERR_VIOLATION, "row %lld: field '%s': expected %s, got %s", (long long)v->row,
                v->field, v->expected, v->got);
    if (*v->hint)
        err_hint(err, "%s", v->hint);
    return ERR_VIOLATION;
}

enum err_code rows_check(struct rows *rows, struct err *err)
{
    for (int64_t row = 0; row < rows->count; row++) {
        /* A row behind the one that rejects the request cannot change the answer. */
        if (rows->is_rejected && row > rows->first.row && !rows->report)
            break;
        judge_values(rows, row);
        if (rows->texts)
            judge_texts(rows, row);
    }
    if (rows->is_over_limit)
        return err_set(err, ERR_LIMIT, "the request needs more memory than it may use");
    return rows->is_rejected ? rejection(&rows->first, err) : ERR_OK;
}
