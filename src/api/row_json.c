/* row_json.c - numbers, texts, booleans and null as contracts count them. */
#include "api/row_json.h"

static void put_wrong(struct rows *rows, int64_t row, const struct contract_field *field,
                      yyjson_val *value)
{
    struct buf text;
    buf_init(&text, 256);
    json_write(&text, value);
    const char *copy = text.is_full ? NULL : arena_copy(rows->arena, text.data, text.len);
    rows_put_wrong(rows, row, field, copy ? copy : "an object or a list");
    buf_done(&text);
}

void row_put_json(struct rows *rows, int64_t row, const struct contract_field *field,
                  yyjson_val *value)
{
    switch (yyjson_get_type(value)) {
    case YYJSON_TYPE_NUM:
        if (field->is_text && yyjson_is_int(value) && yyjson_get_num(value) < 0x1p63)
            rows_put_i64(rows, row, field, yyjson_get_sint(value)); /* a key keeps its digits */
        else
            rows_put_f64(rows, row, field, yyjson_get_num(value));
        break;
    case YYJSON_TYPE_STR:
        rows_put_str(rows, row, field, json_str(value));
        break;
    case YYJSON_TYPE_BOOL:
        rows_put_bool(rows, row, field, yyjson_get_bool(value));
        break;
    case YYJSON_TYPE_NULL:
        rows_put_missing(rows, row, field);
        break;
    default:
        put_wrong(rows, row, field, value);
    }
}
