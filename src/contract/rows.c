/* rows.c - putting a request's cells in their place, as the contract's columns want them. */
#include <float.h>
#include <math.h>

#include "base/check.h"
#include "contract/check.h"
#include "contract/text.h"
#include "contract/violation.h"

static const char null_text[1] = "";

static enum err_code no_room(int64_t count, struct err *err)
{
    err_set(err, ERR_LIMIT, "%lld rows need more memory than one request may use",
            (long long)count);
    return err_hint(err, "send fewer rows in one request");
}

static float *values_new(const struct contract *c, int64_t count, struct arena *arena)
{
    size_t cells;
    if (__builtin_mul_overflow((size_t)count, (size_t)c->value_count, &cells) ||
        cells > SIZE_MAX / sizeof(float))
        return NULL;
    return arena_alloc_aligned(arena, cells * sizeof(float), 64);
}

static struct str *texts_new(const struct contract *c, int64_t count, struct arena *arena)
{
    size_t cells;
    if (__builtin_mul_overflow((size_t)count, (size_t)c->text_count, &cells))
        return NULL;
    return arena_calloc(arena, cells, sizeof(struct str));
}

enum err_code rows_begin_with(struct rows *rows, const struct contract *c, float *values,
                              int64_t count, struct arena *arena, struct err *err)
{
    struct str *texts = c->text_count ? texts_new(c, count, arena) : NULL;
    if (c->text_count && !texts)
        return no_room(count, err);
    *rows = (struct rows){
        .contract = c, .arena = arena, .count = count, .values = values, .texts = texts};
    return ERR_OK;
}

enum err_code rows_begin(struct rows *rows, const struct contract *c, int64_t count,
                         struct arena *arena, struct err *err)
{
    assert(count >= 0);
    float *values = values_new(c, count, arena);
    if (!values)
        return no_room(count, err);
    const float absent = cell_of(CELL_ABSENT);
    const size_t cells = (size_t)count * (size_t)c->value_count;
    for (size_t i = 0; i < cells; i++)
        values[i] = absent;
    return rows_begin_with(rows, c, values, count, arena, err);
}

static float *value_at(struct rows *rows, int64_t row, const struct contract_field *field)
{
    return &rows->values[row * rows->contract->value_count + field->column];
}

static struct str *text_at(struct rows *rows, int64_t row, const struct contract_field *field)
{
    return &rows->texts[row * rows->contract->text_count + field->column];
}

/* --- refusing --------------------------------------------------------------------------------- */

/* Also of a cell that has had its violation. */
void rows_settle(struct rows *rows, int64_t row, const struct contract_field *field)
{
    if (field->is_text)
        *text_at(rows, row, field) = (struct str){rows_settled_text, 0};
    else
        *value_at(rows, row, field) = cell_of(CELL_OTHER);
}

static void refuse(struct rows *rows, int64_t row, const struct contract_field *field,
                   enum contract_rule rule, enum got_kind kind, struct str text, double number)
{
    struct finding finding = {
        .row = row, .field = field, .rule = rule, .kind = kind, .text = text, .number = number};
    rows_note(rows, &finding);
    rows_settle(rows, row, field);
}

static void refuse_number(struct rows *rows, int64_t row, const struct contract_field *field,
                          double number)
{
    refuse(rows, row, field, RULE_TYPE, GOT_NUMBER, (struct str){0}, number);
}

static void refuse_text(struct rows *rows, int64_t row, const struct contract_field *field,
                        enum contract_rule rule, struct str text)
{
    refuse(rows, row, field, rule, GOT_TEXT, text, 0);
}

void rows_put_wrong(struct rows *rows, int64_t row, const struct contract_field *field,
                    const char *got)
{
    refuse(rows, row, field, RULE_TYPE, GOT_WORDS, str_of(got), 0);
}

/* --- one cell --------------------------------------------------------------------------------- */

static bool is_marker(const struct contract_field *field, struct str value)
{
    for (int i = 0; i < field->missing_marker_count; i++)
        if (str_equal(field->missing_markers[i], value))
            return true;
    return false;
}

static void put_marker(struct rows *rows, int64_t row, const struct contract_field *field)
{
    if (field->is_text)
        *text_at(rows, row, field) = (struct str){0};
    else
        *value_at(rows, row, field) = cell_of(CELL_MARKER);
}

/* A key of type integer or number that came as a number is kept as its shortest digits. */
static void put_number_text(struct rows *rows, int64_t row, const struct contract_field *field,
                            const char *digits, size_t len)
{
    if (is_marker(field, (struct str){digits, len})) {
        put_marker(rows, row, field);
        return;
    }
    char *copy = arena_copy(rows->arena, digits, len);
    if (copy)
        *text_at(rows, row, field) = (struct str){copy, len};
    else
        rows->is_over_limit = true;
}

static void put_text_f64(struct rows *rows, int64_t row, const struct contract_field *field,
                         double value)
{
    char digits[STR_NUMBER_BYTES];
    if (isnan(value)) {
        rows_put_missing(rows, row, field);
    } else if ((field->type != TYPE_INTEGER && field->type != TYPE_NUMBER) || !isfinite(value)) {
        refuse_number(rows, row, field, value);
    } else if (value == floor(value) && fabs(value) < 1e15) {
        put_number_text(rows, row, field, digits, str_from_i64((int64_t)value, digits));
    } else if (field->type == TYPE_INTEGER && value != floor(value)) {
        refuse_number(rows, row, field, value);
    } else {
        put_number_text(rows, row, field, digits, str_from_f64(value, digits));
    }
}

/* Everything but a number that fits a plain field. */
void rows_put_f64_other(struct rows *rows, int64_t row, const struct contract_field *field,
                        double value)
{
    assert(row >= 0 && row < rows->count);
    if (field->is_text)
        put_text_f64(rows, row, field, value);
    else if (isnan(value))
        *value_at(rows, row, field) = cell_of(CELL_NAN);
    else if (field->is_coded || !(fabs(value) <= (double)FLT_MAX))
        refuse_number(rows, row, field, value);
    else if (field->type == TYPE_INTEGER && value != floor(value))
        refuse_number(rows, row, field, value);
    else if (field->type == TYPE_BOOLEAN && value != 0 && value != 1)
        refuse_number(rows, row, field, value);
    else
        *value_at(rows, row, field) = (float)value;
}

void rows_put_i64(struct rows *rows, int64_t row, const struct contract_field *field, int64_t value)
{
    char digits[STR_NUMBER_BYTES];
    assert(row >= 0 && row < rows->count);
    if (field->is_text && (field->type == TYPE_INTEGER || field->type == TYPE_NUMBER))
        put_number_text(rows, row, field, digits, str_from_i64(value, digits));
    else
        rows_put_f64(rows, row, field, (double)value);
}

/* No place in the list: by policy the cell becomes missing, and is counted. */
static void put_unknown_category(struct rows *rows, int64_t row, const struct contract_field *field,
                                 struct str value)
{
    refuse_text(rows, row, field, RULE_CATEGORY, value);
}

void rows_put_code(struct rows *rows, int64_t row, const struct contract_field *field, double value)
{
    assert(row >= 0 && row < rows->count);
    if (!field->is_coded)
        rows_put_f64(rows, row, field, value);
    else if (isnan(value))
        *value_at(rows, row, field) = cell_of(CELL_NAN);
    else if (value >= 0 && value < field->category_count && value == floor(value))
        *value_at(rows, row, field) = (float)value;
    else
        refuse(rows, row, field, RULE_CATEGORY, GOT_NUMBER, (struct str){0}, value);
}

void rows_put_bool(struct rows *rows, int64_t row, const struct contract_field *field, bool value)
{
    assert(row >= 0 && row < rows->count);
    if (field->type == TYPE_BOOLEAN && !field->is_text)
        *value_at(rows, row, field) = value ? 1.0F : 0.0F;
    else
        rows_put_wrong(rows, row, field, value ? "true" : "false");
}

static void put_category(struct rows *rows, int64_t row, const struct contract_field *field,
                         struct str value)
{
    uintptr_t code_1 = (uintptr_t)map_find(&field->category_codes, value);
    if (code_1)
        *value_at(rows, row, field) = (float)(code_1 - 1);
    else if (is_marker(field, value))
        put_marker(rows, row, field);
    else
        put_unknown_category(rows, row, field, value);
}

void rows_put_str(struct rows *rows, int64_t row, const struct contract_field *field,
                  struct str value)
{
    assert(row >= 0 && row < rows->count);
    if (field->is_coded)
        put_category(rows, row, field, value);
    else if (is_marker(field, value))
        put_marker(rows, row, field);
    else if (field->is_text)
        *text_at(rows, row, field) = (struct str){value.ptr ? value.ptr : null_text, value.len};
    else
        refuse_text(rows, row, field, RULE_TYPE, value);
}

void rows_put_missing(struct rows *rows, int64_t row, const struct contract_field *field)
{
    assert(row >= 0 && row < rows->count);
    if (field->is_text)
        *text_at(rows, row, field) = (struct str){0};
    else
        *value_at(rows, row, field) = cell_of(CELL_NULL);
}

static void put_csv_number(struct rows *rows, int64_t row, const struct contract_field *field,
                           struct str text)
{
    double number;
    bool flag;
    if (text.len == 0)
        rows_put_missing(rows, row, field);
    else if (is_marker(field, text))
        put_marker(rows, row, field);
    else if (field->type == TYPE_BOOLEAN && text_to_bool(text, &flag))
        rows_put_bool(rows, row, field, flag);
    else if (field->type != TYPE_BOOLEAN && str_to_f64(text, &number))
        rows_put_f64(rows, row, field, number);
    else
        refuse_text(rows, row, field, RULE_TYPE, text);
}

void rows_put_csv(struct rows *rows, int64_t row, const struct contract_field *field,
                  struct str value)
{
    if (field->type != TYPE_STRING)
        value = str_trim(value);
    if (!field->is_text && !field->is_coded)
        put_csv_number(rows, row, field, value);
    else if (value.len == 0 && !map_find(&field->category_codes, value))
        rows_put_missing(rows, row, field);
    else
        rows_put_str(rows, row, field, value);
}

/* --- the whole request ------------------------------------------------------------------------ */

void rows_put_unknown(struct rows *rows, int64_t row, struct str name)
{
    rows_note(rows, &(struct finding){
                        .row = row, .rule = RULE_UNKNOWN_FIELD, .kind = GOT_TEXT, .text = name});
}

void rows_put_shape(struct rows *rows, const char *expected, const char *got)
{
    rows_note(rows, &(struct finding){.rule = RULE_SHAPE,
                                      .expected = expected,
                                      .kind = GOT_WORDS,
                                      .text = str_of(got)});
}

/* Every NaN of the caller becomes the plain one: the others have a meaning of ours. */
static void copy_cells(float *to, const float *from, size_t count)
{
    const float nan = cell_of(CELL_NAN);
    for (size_t i = 0; i < count; i++)
        to[i] = from[i] == from[i] ? from[i] : nan;
}

void rows_put_matrix(struct rows *rows, const float *matrix)
{
    const struct contract *c = rows->contract;
    const size_t width = (size_t)c->feature_count;
    if (c->is_feature_prefix && c->feature_count == c->value_count) {
        copy_cells(rows->values, matrix, (size_t)rows->count * width);
        return;
    }
    for (int64_t row = 0; row < rows->count; row++)
        for (size_t i = 0; i < width; i++)
            copy_cells(&rows->values[row * c->value_count + c->feature_columns[i]],
                       &matrix[(size_t)row * width + i], 1);
}

const float *rows_features(struct rows *rows)
{
    const struct contract *c = rows->contract;
    const size_t width = (size_t)c->feature_count;
    if (c->is_feature_prefix && c->feature_count == c->value_count)
        return rows->values;
    float *features =
        arena_alloc_aligned(rows->arena, (size_t)rows->count * width * sizeof(*features), 64);
    if (!features)
        return NULL;
    for (int64_t row = 0; row < rows->count; row++)
        for (size_t i = 0; i < width; i++)
            features[(size_t)row * width + i] =
                rows->values[row * c->value_count + c->feature_columns[i]];
    return features;
}
