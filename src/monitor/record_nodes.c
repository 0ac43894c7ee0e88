/* record_nodes.c - outputs of a record that are about nodes -> JSON. */
#include "monitor/record_nodes.h"

#include "base/check.h"
#include "base/tensor_element.h"

/* "node.fast.us" -> "fast" and "us"; the node's answer has an empty rest. */
static bool split_name(const char *name, struct str *node, struct str *rest)
{
    *rest = str_of(name);
    return str_split(rest, '.', node) && str_equal_c(*node, "node") && str_split(rest, '.', node);
}

static void put_element(struct json_writer *w, const struct tensor *output, int64_t at)
{
    if (output->dtype == DTYPE_BYTES)
        json_put_str(w, ((const struct str *)output->data)[at]);
    else if (output->dtype == DTYPE_I32)
        json_put_i64(w, ((const int32_t *)output->data)[at]);
    else if (output->dtype == DTYPE_F32)
        json_put_f32(w, ((const float *)output->data)[at]);
    else
        json_put_f64(w, tensor_f64_at(output->data, output->dtype, at));
}

static void put_value(struct json_writer *w, const struct tensor *output, int64_t rows, int64_t row)
{
    int64_t width = tensor_elements(output->shape, output->rank) / rows;
    if (width != 1)
        json_begin_array(w);
    for (int64_t i = 0; i < width; i++)
        put_element(w, output, row * width + i);
    if (width != 1)
        json_end_array(w);
}

static bool is_kept(const struct record *record, const struct tensor *output, int64_t row)
{
    return output->data && row < record->row_count && !record_is_erased(record, row);
}

static void begin_node(struct json_writer *w, struct str node, struct str *open)
{
    if (open->ptr && str_equal(node, *open))
        return;
    if (open->ptr)
        json_end_object(w);
    json_key_str(w, node);
    json_begin_object(w);
    *open = node;
}

static void put_nodes(struct json_writer *w, const struct record *record, int64_t row, int first)
{
    struct str open = {0}, node, rest;
    json_key(w, "nodes");
    json_begin_object(w);
    for (int i = first; i < record->output_count; i++) {
        const struct tensor *output = &record->outputs[i];
        if (!split_name(record->schema->outputs[i].name, &node, &rest) ||
            !is_kept(record, output, row))
            continue;
        begin_node(w, node, &open);
        json_key_str(w, rest.len ? rest : STR_LIT("answer"));
        put_value(w, output, record->row_count, row);
    }
    if (open.ptr)
        json_end_object(w);
    json_end_object(w);
}

void record_put_nodes(struct json_writer *w, const struct record *record, int64_t row)
{
    struct str node, rest;
    for (int i = 0; i < record->output_count; i++)
        if (split_name(record->schema->outputs[i].name, &node, &rest)) {
            put_nodes(w, record, row, i);
            return;
        }
}
