/* segment_schema.c - writing a schema as JSON and reading it again. */
#include "monitor/segment_schema.h"

#include "base/check.h"
#include "base/json.h"
#include "contract/contract.h"

/* ---- writing ---- */

static void put_texts(struct json_writer *w, const char *key, const struct str *texts, int count)
{
    json_key(w, key);
    json_begin_array(w);
    for (int i = 0; i < count; i++)
        json_put_str(w, texts[i]);
    json_end_array(w);
}

static void put_flag(struct json_writer *w, const char *key, bool is_set)
{
    if (!is_set)
        return;
    json_key(w, key);
    json_put_bool(w, true);
}

static void put_column(struct json_writer *w, const struct record_column *column)
{
    json_begin_object(w);
    json_key(w, "name");
    json_put_text(w, column->name);
    if (column->classification[0]) {
        json_key(w, "classification");
        json_put_text(w, column->classification);
    }
    if (column->kept_as != KEPT_AS_IS) {
        json_key(w, "kept_as");
        json_put_text(w, kept_as_name(column->kept_as));
    }
    if (column->category_count)
        put_texts(w, "categories", column->categories, column->category_count);
    put_flag(w, "whole", column->is_whole);
    put_flag(w, "boolean", column->is_boolean);
    put_flag(w, "key", column->is_key);
    put_flag(w, "segment", column->is_segment);
    put_flag(w, "timestamp", column->is_timestamp);
    put_flag(w, "group", column->is_group);
    json_end_object(w);
}

static void put_columns(struct json_writer *w, const char *key, const struct record_column *columns,
                        int count)
{
    json_key(w, key);
    json_begin_array(w);
    for (int i = 0; i < count; i++)
        put_column(w, &columns[i]);
    json_end_array(w);
}

static void put_outputs(struct json_writer *w, const struct record_schema *schema)
{
    json_key(w, "outputs");
    json_begin_array(w);
    for (int i = 0; i < schema->output_count; i++) {
        json_begin_object(w);
        json_key(w, "name");
        json_put_text(w, schema->outputs[i].name);
        json_key(w, "dtype");
        json_put_text(w, dtype_name(schema->outputs[i].dtype));
        json_key(w, "width");
        json_put_i64(w, schema->outputs[i].width);
        json_end_object(w);
    }
    json_end_array(w);
}

void segment_schema_write(const struct record_schema *schema, struct buf *out)
{
    struct json_writer w = {.out = out};
    json_begin_object(&w);
    json_key(&w, "serial");
    json_put_i64(&w, schema->serial);
    json_key(&w, "model");
    json_put_text(&w, schema->model);
    json_key(&w, "version");
    json_put_i64(&w, schema->version);
    put_columns(&w, "values", schema->values, schema->value_count);
    put_columns(&w, "texts", schema->texts, schema->text_count);
    put_outputs(&w, schema);
    json_key(&w, "classes");
    json_put_i64(&w, schema->class_count);
    if (schema->class_names)
        put_texts(&w, "class_names", schema->class_names, schema->class_count);
    if (schema->answer) {
        json_key(&w, "answer");
        json_put_i64(&w, schema->answer);
    }
    json_key(&w, "probability");
    json_put_bool(&w, schema->is_probability);
    json_key(&w, "threshold");
    json_put_f64(&w, schema->decision_threshold);
    json_end_object(&w);
}

/* ---- reading ---- */

struct reading {
    struct arena *arena;
    bool is_bad; /* something was missing, or of another kind */
};

static const char *get_text(struct reading *r, yyjson_val *object, const char *key, bool is_needed)
{
    struct str text = json_str(yyjson_obj_get(object, key));
    if (!text.ptr) {
        r->is_bad = r->is_bad || is_needed;
        return "";
    }
    const char *copy = arena_copy(r->arena, text.ptr, text.len);
    r->is_bad = r->is_bad || !copy;
    return copy ? copy : "";
}

static int64_t get_number(struct reading *r, yyjson_val *object, const char *key, int64_t min,
                          int64_t max)
{
    yyjson_val *value = yyjson_obj_get(object, key);
    int64_t number = yyjson_get_sint(value);
    if (!yyjson_is_int(value) || number < min || number > max) {
        r->is_bad = true;
        return min;
    }
    return number;
}

static bool get_flag(yyjson_val *object, const char *key)
{
    return yyjson_is_true(yyjson_obj_get(object, key));
}

static yyjson_val *get_list(struct reading *r, yyjson_val *object, const char *key, int count_max,
                            int *count)
{
    yyjson_val *list = yyjson_obj_get(object, key);
    size_t size = yyjson_arr_size(list);
    r->is_bad = r->is_bad || (list && !yyjson_is_arr(list)) || size > (size_t)count_max;
    *count = r->is_bad ? 0 : (int)size;
    return list;
}

static void *new_list(struct reading *r, int *count, size_t bytes)
{
    void *list = arena_calloc(r->arena, (size_t)*count, bytes);
    if (!list) {
        r->is_bad = true;
        *count = 0;
    }
    return list;
}

static const struct str *get_texts(struct reading *r, yyjson_val *object, const char *key,
                                   int *count)
{
    yyjson_val *list = get_list(r, object, key, CONTRACT_CATEGORIES_MAX, count), *value;
    struct str *texts = new_list(r, count, sizeof(*texts));
    size_t i, size;
    if (*count == 0)
        return NULL;
    yyjson_arr_foreach(list, i, size, value)
    {
        struct str text = json_str(value);
        texts[i] = (struct str){arena_copy(r->arena, text.ptr, text.len), text.len};
        r->is_bad = r->is_bad || !text.ptr || !texts[i].ptr;
    }
    return texts;
}

static struct record_column get_column(struct reading *r, yyjson_val *object)
{
    struct record_column column = {
        .name = get_text(r, object, "name", true),
        .classification = get_text(r, object, "classification", false),
        .is_whole = get_flag(object, "whole"),
        .is_boolean = get_flag(object, "boolean"),
        .is_key = get_flag(object, "key"),
        .is_segment = get_flag(object, "segment"),
        .is_timestamp = get_flag(object, "timestamp"),
        .is_group = get_flag(object, "group"),
    };
    column.categories = get_texts(r, object, "categories", &column.category_count);
    struct str kept = json_str(yyjson_obj_get(object, "kept_as"));
    while (kept.ptr && !str_equal_c(kept, kept_as_name(column.kept_as)) &&
           (int)column.kept_as < KEPT_AS_COUNT - 1)
        column.kept_as++;
    return column;
}

static const struct record_column *get_columns(struct reading *r, yyjson_val *root, const char *key,
                                               int *count)
{
    yyjson_val *list = get_list(r, root, key, CONTRACT_FIELDS_MAX, count), *object;
    struct record_column *columns = new_list(r, count, sizeof(*columns));
    size_t i, size;
    if (*count == 0)
        return columns;
    yyjson_arr_foreach(list, i, size, object)
    {
        columns[i] = get_column(r, object);
    }
    return columns;
}

static const struct record_output *get_outputs(struct reading *r, yyjson_val *root, int *count)
{
    yyjson_val *list = get_list(r, root, "outputs", RECORD_OUTPUTS_MAX, count), *object;
    struct record_output *outputs = new_list(r, count, sizeof(*outputs));
    size_t i, size;
    if (*count == 0)
        return outputs;
    yyjson_arr_foreach(list, i, size, object)
    {
        outputs[i] = (struct record_output){
            .name = get_text(r, object, "name", true),
            .dtype = dtype_find(json_str(yyjson_obj_get(object, "dtype"))),
            .width = get_number(r, object, "width", 0, INT64_MAX),
        };
        r->is_bad = r->is_bad || outputs[i].dtype == DTYPE_COUNT;
    }
    return outputs;
}

enum err_code segment_schema_read(struct str json, struct arena *arena,
                                  const struct record_schema **out, struct err *err)
{
    yyjson_val *root;
    struct reading r = {.arena = arena};
    struct record_schema *schema = arena_calloc(arena, 1, sizeof(*schema));
    if (!schema || json_read(json, arena, &root, err))
        return err_set(err, ERR_IO, "a schema block is no JSON document");
    int name_count = 0;
    schema->serial = (uint32_t)get_number(&r, root, "serial", 0, UINT32_MAX);
    schema->model = get_text(&r, root, "model", true);
    schema->version = get_number(&r, root, "version", 0, INT64_MAX);
    schema->values = get_columns(&r, root, "values", &schema->value_count);
    schema->texts = get_columns(&r, root, "texts", &schema->text_count);
    schema->outputs = get_outputs(&r, root, &schema->output_count);
    schema->class_count = (int)get_number(&r, root, "classes", 0, CONTRACT_CATEGORIES_MAX);
    schema->class_names = get_texts(&r, root, "class_names", &name_count);
    schema->is_probability = get_flag(root, "probability");
    schema->answer = yyjson_get_int(yyjson_obj_get(root, "answer")); /* absent: the first */
    schema->decision_threshold = yyjson_get_num(yyjson_obj_get(root, "threshold"));
    if (r.is_bad || (name_count && name_count != schema->class_count))
        return err_set(err, ERR_IO, "a schema block lacks a member or has one of another kind");
    *out = schema;
    return ERR_OK;
}
