/* predicted.c - one answered row read from its record. */
#include "monitor/predicted.h"

#include <stdio.h>

#include "base/hash.h"
#include "monitor/record_answer.h"

static enum err_code no_room(struct err *err)
{
    return err_set(err, ERR_LIMIT, "no room for what was predicted");
}

static struct str copy_str(struct arena *arena, struct str text, bool *is_full)
{
    if (text.len == 0)
        return (struct str){0};
    const char *copy = arena_copy(arena, text.ptr, text.len);
    *is_full = *is_full || !copy;
    return (struct str){copy, copy ? text.len : 0};
}

static struct str number_text(double value, struct arena *arena, bool *is_full)
{
    char text[STR_NUMBER_BYTES];
    return copy_str(arena, (struct str){text, str_from_f64(value, text)}, is_full);
}

/* A cell as a caller would have written it; "" when it is missing. */
static struct str value_text(const struct record_column *column, float value, struct arena *arena,
                             bool *is_full)
{
    char text[STR_NUMBER_BYTES];
    if (value != value)
        return (struct str){0};
    if (column->category_count)
        return value >= 0 && value < (float)column->category_count
                   ? copy_str(arena, column->categories[(int)value], is_full)
                   : (struct str){0};
    if (column->is_boolean)
        return value != 0 ? STR_LIT("true") : STR_LIT("false");
    size_t length =
        column->is_whole ? str_from_i64((int64_t)value, text) : str_from_f32(value, text);
    return copy_str(arena, (struct str){text, length}, is_full);
}

static struct str cell_text(const struct record *record, int64_t row, bool is_text, int column,
                            struct arena *arena, bool *is_full)
{
    const struct record_schema *schema = record->schema;
    if (is_text)
        return record->texts
                   ? copy_str(arena, record->texts[row * schema->text_count + column], is_full)
                   : (struct str){0};
    return record->values
               ? value_text(&schema->values[column],
                            record->values[row * schema->value_count + column], arena, is_full)
               : (struct str){0};
}

/* Only which rows share it matters: a long one is known by its digest. */
static struct str group_text(struct str cell, struct arena *arena)
{
    char digest[SHA256_HEX_BYTES + 1];
    if (cell.len <= PREDICTED_GROUP_BYTES_MAX)
        return cell;
    hash_sha256_hex(cell.ptr, cell.len, digest);
    return str_of(arena_copy(arena, digest, SHA256_HEX_BYTES));
}

static void read_columns(const struct record *record, int64_t row, bool is_text,
                         struct arena *arena, struct predicted *p,
                         struct predicted_segment *segments, bool *is_full)
{
    const struct record_schema *schema = record->schema;
    const struct record_column *columns = is_text ? schema->texts : schema->values;
    int count = is_text ? schema->text_count : schema->value_count;
    for (int i = 0; i < count; i++) {
        if (columns[i].is_key && p->key.len == 0)
            p->key = cell_text(record, row, is_text, i, arena, is_full);
        if (columns[i].is_group)
            p->group = group_text(cell_text(record, row, is_text, i, arena, is_full), arena);
        if (!columns[i].is_segment || p->segment_count == PREDICTED_SEGMENTS_MAX)
            continue;
        segments[p->segment_count++] = (struct predicted_segment){
            copy_str(arena, str_of(columns[i].name), is_full),
            cell_text(record, row, is_text, i, arena, is_full),
        };
    }
}

static void read_classes(const struct record *record, int64_t row,
                         const struct record_answer *answer, struct arena *arena,
                         struct predicted *p, bool *is_full)
{
    const struct record_schema *schema = record->schema;
    int count = schema->class_count;
    struct str *names =
        schema->class_names ? arena_alloc(arena, (size_t)count * sizeof(*names)) : NULL;
    for (int i = 0; names && i < count; i++)
        names[i] = copy_str(arena, schema->class_names[i], is_full);
    *is_full = *is_full || (schema->class_names && !names);
    p->classes = names;
    if (!answer->has_score || count > PREDICTED_CLASSES_MAX)
        return;
    float *probabilities = arena_alloc(arena, (size_t)count * sizeof(*probabilities));
    for (int i = 0; probabilities && i < count; i++)
        probabilities[i] = record_answer_probability(record, row, i);
    *is_full = *is_full || !probabilities;
    p->probabilities = probabilities;
}

static void read_answer(const struct record *record, int64_t row,
                        const struct record_answer *answer, struct arena *arena,
                        struct predicted *p, bool *is_full)
{
    p->class_count = record->schema->class_count;
    if (!answer->is_class) {
        p->value = (double)answer->value;
        p->answer = number_text(p->value, arena, is_full);
        return;
    }
    p->is_class = true;
    p->class_index = answer->class_index;
    read_classes(record, row, answer, arena, p, is_full);
    struct str name = record_class_name(record->schema, answer->class_index);
    p->answer = name.ptr ? copy_str(arena, name, is_full)
                         : str_of(arena_printf(arena, "%d", answer->class_index));
}

static struct str row_id(const struct record *record, int64_t row, struct arena *arena,
                         bool *is_full)
{
    const char *id = arena_printf(arena, "%.*s-%lld", STR_ARG(record->request_id), (long long)row);
    *is_full = *is_full || !id;
    return str_of(id);
}

enum err_code predicted_read(const struct record *record, int64_t row, struct arena *arena,
                             struct predicted *predicted, struct err *err)
{
    struct record_answer answer;
    if (!record_is_answered(record) || !record_answer_read(record, row, &answer))
        return err_set(err, ERR_NOT_FOUND, "request '%.*s' has no answer in row %lld",
                       STR_ARG(record->request_id), (long long)row);
    bool is_full = false;
    struct predicted_segment *segments =
        arena_alloc(arena, PREDICTED_SEGMENTS_MAX * sizeof(*segments));
    if (!segments)
        return no_room(err);
    struct predicted p = {
        .id = row_id(record, row, arena, &is_full),
        .model = arena_copy(arena, record->schema->model, strlen(record->schema->model)),
        .version = record->schema->version,
        .arm = record->arm,
        .rollout = record->rollout,
        .has_key = record->has_key,
        .key_hash = record->key_hash,
        .at_us = record->at_us,
        .is_suspect = record->is_suspect && record->is_suspect[row],
        .segments = segments,
    };
    read_columns(record, row, false, arena, &p, segments, &is_full);
    read_columns(record, row, true, arena, &p, segments, &is_full);
    read_answer(record, row, &answer, arena, &p, &is_full);
    if (is_full || !p.model || !p.answer.ptr)
        return no_room(err);
    *predicted = p;
    return ERR_OK;
}

bool predicted_id_split(struct str id, struct str *request_id, int64_t *row)
{
    size_t dash = id.len;
    while (dash > 0 && id.ptr[dash - 1] != '-')
        dash--;
    struct str digits = {id.ptr + dash, id.len - dash};
    int64_t number;
    if (dash < 2 || digits.len == 0 || digits.ptr[0] == '+' || !str_to_i64(digits, &number) ||
        number < 0)
        return false;
    *request_id = (struct str){id.ptr, dash - 1};
    *row = number;
    return true;
}
