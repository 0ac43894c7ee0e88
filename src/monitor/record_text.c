/* record_text.c - rows of records as JSON and as CSV. */
#include "monitor/record_text.h"

#include <math.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/csv.h"
#include "contract/contract.h"
#include "monitor/record_answer.h"
#include "monitor/record_nodes.h"

enum { ID_BYTES_MAX = 128 * 1024 };

static const char *quality_of(const struct record *record, int64_t row)
{
    if (record_is_erased(record, row))
        return "erased";
    return record->is_suspect && record->is_suspect[row] ? "suspect" : "ok";
}

static bool has_row(const struct record *record, int64_t row)
{
    return row < record->row_count;
}

/* "<request id>-<row>" */
static void put_id(struct buf *out, const struct record *record, int64_t row)
{
    buf_str(out, record->request_id);
    if (!has_row(record, row))
        return;
    buf_char(out, '-');
    buf_i64(out, row);
}

static float value_at(const struct record *record, int64_t row, int column)
{
    return record->values[row * record->schema->value_count + column];
}

static struct str text_at(const struct record *record, int64_t row, int column)
{
    if (!record->texts)
        return (struct str){0};
    return record->texts[row * record->schema->text_count + column];
}

/* The category a value stands for; ptr NULL when it stands for none. */
static struct str category_of(const struct record_column *column, float value)
{
    if (!column->category_count || !(value >= 0) || value >= (float)column->category_count)
        return (struct str){0};
    return column->categories[(int)value];
}

/* ---- JSON ---- */

static void put_value_json(struct json_writer *w, const struct record_column *column, float value)
{
    struct str category = category_of(column, value);
    if (isnan(value))
        json_put_null(w);
    else if (category.ptr)
        json_put_str(w, category);
    else if (column->is_boolean)
        json_put_bool(w, value != 0);
    else if (column->is_whole && fabsf(value) < 0x1p62f)
        json_put_i64(w, (int64_t)value);
    else
        json_put_f32(w, value);
}

static void put_inputs(struct json_writer *w, const struct record *record, int64_t row)
{
    const struct record_schema *schema = record->schema;
    json_key(w, "inputs");
    if (!has_row(record, row)) {
        json_put_null(w);
        return;
    }
    json_begin_object(w);
    for (int i = 0; i < schema->text_count; i++) {
        struct str text = text_at(record, row, i);
        if (record->leaves_inputs && !record_column_finds(&schema->texts[i]))
            continue;
        json_key_str(w, str_of(schema->texts[i].name));
        if (text.ptr)
            json_put_str(w, text);
        else
            json_put_null(w);
    }
    for (int i = 0; i < schema->value_count; i++) {
        if (record->leaves_inputs && !record_column_finds(&schema->values[i]))
            continue;
        json_key_str(w, str_of(schema->values[i].name));
        put_value_json(w, &schema->values[i], value_at(record, row, i));
    }
    json_end_object(w);
}

static void put_class(struct json_writer *w, const struct record *record, int64_t row,
                      const struct record_answer *answer)
{
    char number[STR_NUMBER_BYTES];
    const struct record_schema *schema = record->schema;
    json_key(w, "label");
    json_put_str(w, record_class_text(schema, answer->class_index, number));
    if (!answer->has_score)
        return;
    json_key(w, "probability");
    json_put_f32(w, answer->score);
    json_key(w, "probabilities");
    json_begin_object(w);
    for (int i = 0; i < schema->class_count; i++) {
        json_key_str(w, record_class_text(schema, i, number));
        json_put_f32(w, record_answer_probability(record, row, i));
    }
    json_end_object(w);
}

static void put_prediction(struct json_writer *w, const struct record *record, int64_t row)
{
    struct record_answer answer;
    json_key(w, "prediction");
    if (record_is_erased(record, row) || !record_answer_read(record, row, &answer)) {
        json_put_null(w);
        return;
    }
    json_begin_object(w);
    if (answer.is_class) {
        put_class(w, record, row, &answer);
    } else {
        json_key(w, "value");
        json_put_f32(w, answer.value);
    }
    json_end_object(w);
}

static void put_violations(struct json_writer *w, uint32_t rules)
{
    json_key(w, "violations");
    json_begin_array(w);
    for (int rule = 0; rule < RULE_COUNT; rule++)
        if (rules >> rule & 1)
            json_put_text(w, contract_rule_name((enum contract_rule)rule));
    json_end_array(w);
}

static void put_number(struct json_writer *w, const char *key, int64_t number)
{
    json_key(w, key);
    json_put_i64(w, number);
}

static void put_head(struct json_writer *w, const struct record *record, int64_t row)
{
    struct buf id;
    buf_init(&id, ID_BYTES_MAX);
    put_id(&id, record, row);
    json_key(w, "id");
    json_put_str(w, buf_view(&id));
    buf_done(&id);
    json_key(w, "request_id");
    json_put_str(w, record->request_id);
    put_number(w, "row", row);
    json_key(w, "at");
    json_put_time(w, record->at_us);
    json_key(w, "model");
    json_put_text(w, record->schema->model);
    put_number(w, "version", record->schema->version);
    json_key(w, "arm");
    json_put_text(w, record->arm == ARM_NONE ? NULL : arm_name(record->arm));
    json_key(w, "rollout");
    if (record->rollout)
        json_put_i64(w, record->rollout);
    else
        json_put_null(w);
    put_number(w, "status", record->status);
    put_number(w, "latency_us", record->latency_us);
    json_key(w, "share");
    json_put_f32(w, record->share);
    json_key(w, "cache");
    json_put_text(w, record->is_cached ? "hit" : NULL);
}

void record_put_json(struct json_writer *w, const struct record *record, int64_t row)
{
    json_begin_object(w);
    put_head(w, record, row);
    json_key(w, "quality");
    json_put_text(w, has_row(record, row) ? quality_of(record, row) : NULL);
    put_violations(w, record->violated_rules);
    put_inputs(w, record, row);
    put_prediction(w, record, has_row(record, row) ? row : 0);
    record_put_nodes(w, record, row);
    json_end_object(w);
}

/* ---- CSV ---- */

static void comma(struct buf *out)
{
    buf_char(out, ',');
}

void record_put_csv_head(struct buf *out, const struct record_schema *schema)
{
    buf_lit(out,
            "id,request_id,row,at,model,version,arm,rollout,status,latency_us,share,cache,quality,"
            "violations,label,probability,value");
    for (int i = 0; i < schema->text_count; i++) {
        comma(out);
        csv_write_cell(out, str_of(schema->texts[i].name));
    }
    for (int i = 0; i < schema->value_count; i++) {
        comma(out);
        csv_write_cell(out, str_of(schema->values[i].name));
    }
    buf_char(out, '\n');
}

static void put_value_csv(struct buf *out, const struct record_column *column, float value)
{
    struct str category = category_of(column, value);
    if (isnan(value))
        return;
    if (category.ptr)
        csv_write_cell(out, category);
    else if (column->is_boolean)
        buf_text(out, value != 0 ? "true" : "false");
    else if (column->is_whole && fabsf(value) < 0x1p62f)
        buf_i64(out, (int64_t)value);
    else
        buf_f32(out, value);
}

static void put_inputs_csv(struct buf *out, const struct record *record, int64_t row)
{
    const struct record_schema *schema = record->schema;
    for (int i = 0; i < schema->text_count; i++) {
        comma(out);
        if (has_row(record, row))
            csv_write_cell(out, text_at(record, row, i));
    }
    for (int i = 0; i < schema->value_count; i++) {
        comma(out);
        if (has_row(record, row))
            put_value_csv(out, &schema->values[i], value_at(record, row, i));
    }
}

static void put_prediction_csv(struct buf *out, const struct record *record, int64_t row)
{
    char number[STR_NUMBER_BYTES];
    struct record_answer answer = {0};
    bool has_answer = has_row(record, row) && !record_is_erased(record, row) &&
                      record_answer_read(record, row, &answer);
    comma(out);
    if (has_answer && answer.is_class)
        csv_write_cell(out, record_class_text(record->schema, answer.class_index, number));
    comma(out);
    if (has_answer && answer.has_score)
        buf_f32(out, answer.score);
    comma(out);
    if (has_answer && !answer.is_class)
        buf_f32(out, answer.value);
}

static void put_violations_csv(struct buf *out, uint32_t rules)
{
    bool is_first = true;
    for (int rule = 0; rule < RULE_COUNT; rule++) {
        if (!(rules >> rule & 1))
            continue;
        buf_text(out, is_first ? "" : " ");
        buf_text(out, contract_rule_name((enum contract_rule)rule));
        is_first = false;
    }
}

void record_put_csv(struct buf *out, const struct record *record, int64_t row)
{
    char at[CLOCK_TEXT_BYTES];
    put_id(out, record, row); /* ids and names need no quotes */
    comma(out);
    buf_str(out, record->request_id);
    buf_printf(out, ",%lld,%s,%s,%lld,%s,", (long long)row, clock_format(record->at_us, at),
               record->schema->model, (long long)record->schema->version, arm_name(record->arm));
    if (record->rollout)
        buf_i64(out, record->rollout);
    buf_printf(out, ",%d,%lld,", record->status, (long long)record->latency_us);
    buf_f32(out, record->share);
    buf_text(out, record->is_cached ? ",hit" : ",");
    buf_printf(out, ",%s,", has_row(record, row) ? quality_of(record, row) : "");
    put_violations_csv(out, record->violated_rules);
    put_prediction_csv(out, record, row);
    put_inputs_csv(out, record, row);
    buf_char(out, '\n');
}

static bool same_names(const struct record_column *a, const struct record_column *b, int count)
{
    for (int i = 0; i < count; i++)
        if (strcmp(a[i].name, b[i].name) != 0)
            return false;
    return true;
}

bool record_has_same_columns(const struct record_schema *a, const struct record_schema *b)
{
    return a->value_count == b->value_count && a->text_count == b->text_count &&
           same_names(a->values, b->values, a->value_count) &&
           same_names(a->texts, b->texts, a->text_count);
}
