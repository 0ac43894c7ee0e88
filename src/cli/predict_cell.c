/* predict_cell.c - a cell of a CSV file as a JSON value of the form its field takes. */
#include <math.h>

#include "base/check.h"
#include "cli/predict.h"

static bool has_type(yyjson_val *type, const char *name)
{
    size_t i, count;
    yyjson_val *item;
    if (yyjson_is_str(type))
        return str_equal_c(json_str(type), name);
    yyjson_arr_foreach(type, i, count, item)
    {
        if (yyjson_is_str(item) && str_equal_c(json_str(item), name))
            return true;
    }
    return false;
}

/* Text wins: a numeric key that may come as text keeps its digits that way. */
enum cell_form cell_form_of(yyjson_val *property)
{
    yyjson_val *choices = yyjson_obj_get(property, "anyOf");
    if (choices)
        property = yyjson_arr_get_first(choices);
    yyjson_val *type = yyjson_obj_get(property, "type");
    if (has_type(type, "string"))
        return CELL_TEXT;
    if (has_type(type, "boolean"))
        return CELL_BOOLEAN;
    return has_type(type, "number") || has_type(type, "integer") ? CELL_NUMBER : CELL_TEXT;
}

static void write_number(struct buf *out, struct str cell)
{
    struct str text = str_trim(cell);
    int64_t whole;
    double number;
    if (text.len == 0)
        buf_lit(out, "null");
    else if (str_to_i64(text, &whole))
        buf_i64(out, whole);
    else if (!str_to_f64(text, &number) || isinf(number))
        buf_json_str(out, cell);
    else
        buf_f64(out, number); /* NaN becomes null */
}

static void write_boolean(struct buf *out, struct str cell)
{
    static const char *const yes[] = {"true", "1"}, *const no[] = {"false", "0"};
    struct str text = str_trim(cell);
    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        if (str_equal_nocase(text, str_of(yes[i]))) {
            buf_lit(out, "true");
            return;
        }
        if (str_equal_nocase(text, str_of(no[i]))) {
            buf_lit(out, "false");
            return;
        }
    }
    if (text.len == 0)
        buf_lit(out, "null");
    else
        buf_json_str(out, cell);
}

void cell_write(struct buf *out, enum cell_form form, struct str cell)
{
    switch (form) {
    case CELL_NUMBER:
        write_number(out, cell);
        break;
    case CELL_BOOLEAN:
        write_boolean(out, cell);
        break;
    case CELL_TEXT:
        if (cell.len == 0)
            buf_lit(out, "null");
        else
            buf_json_str(out, cell);
        break;
    case CELL_SKIP:
        assert(form != CELL_SKIP);
    }
}
