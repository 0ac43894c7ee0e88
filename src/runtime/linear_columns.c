/* linear_columns.c - operators that join, prepare and encode columns. */
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "runtime/linear_compile.h"

/* --- forms
 * ---------------------------------------------------------------------------------------- */

/* To [-1, width], or of one column to [-1]. */
static enum err_code compile_reshape(struct linear_compiler *c)
{
    const struct linear_binding *in = NULL;
    const int64_t *shape;
    const struct onnx_constant *constant = linear_constant_input(c, 1);
    enum err_code rc = linear_input(c, 0, &in);
    if (rc)
        return rc;
    if (!constant || constant->count < 1 || constant->count > 2)
        return linear_leave(c, "its shape is not that of rows");
    rc = onnx_constant_ints(constant, c->b->arena, &shape, c->err);
    if (rc)
        return rc;
    int width = linear_reg_of(c, in->reg)->width;
    bool is_same = constant->count == 2 ? (shape[0] == -1 || shape[0] == 0) &&
                                              (shape[1] == width || (shape[0] == 0 && shape[1] < 0))
                                        : shape[0] == -1 && width == 1;
    if (!is_same)
        return linear_leave(c, "its shape is not that of rows");
    linear_bind(c, c->node->outputs[0], in->reg, (int)constant->count, NULL);
    return ERR_OK;
}

static enum err_code compile_flatten(struct linear_compiler *c)
{
    int64_t axis = 1;
    enum err_code rc = onnx_int_opt(c->node, "axis", &axis, c->err);
    if (!rc && axis != 1)
        rc = linear_leave(c, "its axis is not 1");
    return rc ? rc : linear_alias(c);
}

static enum err_code compile_cast(struct linear_compiler *c)
{
    const struct linear_binding *in = NULL;
    int64_t to = 0;
    struct linear_step *step;
    enum err_code rc = linear_input(c, 0, &in);
    if (!rc)
        rc = onnx_int_opt(c->node, "to", &to, c->err);
    if (rc)
        return rc;
    struct linear_register from = *linear_reg_of(c, in->reg);
    if ((to == ONNX_FLOAT && from.type == LINEAR_FLOAT) ||
        (to == ONNX_INT64 && from.type == LINEAR_INT) ||
        (to == ONNX_STRING && from.type == LINEAR_TEXT))
        return linear_alias(c);
    if (from.type == LINEAR_TEXT || (to != ONNX_FLOAT && to != ONNX_INT64))
        return linear_leave(c, "it casts to another type than float32 and int64");
    return linear_step_to(c, STEP_CAST, in, to == ONNX_FLOAT ? LINEAR_FLOAT : LINEAR_INT,
                          from.width, &step);
}

static enum err_code compile_concat(struct linear_compiler *c)
{
    int64_t axis = 1, width = 0;
    size_t count = (size_t)c->node->input_count;
    int *list = arena_calloc(c->b->keep, count, sizeof(*list));
    const struct linear_binding *first = NULL;
    struct linear_step *step;
    enum err_code rc = onnx_int_opt(c->node, "axis", &axis, c->err);
    if (!rc && axis != 1 && axis != -1)
        rc = linear_leave(c, "it joins along another axis than the columns");
    if (!rc && (!list || count == 0))
        rc = linear_no_room(c);
    for (size_t i = 0; !rc && i < count; i++) {
        const struct linear_binding *in = NULL;
        rc = linear_input(c, (int)i, &in);
        first = first ? first : in;
        if (!rc && linear_reg_of(c, in->reg)->type != linear_reg_of(c, first->reg)->type)
            rc = linear_leave(c, "it joins columns of different types");
        if (!rc) {
            list[i] = in->reg;
            width += linear_reg_of(c, in->reg)->width;
        }
    }
    if (!rc)
        rc =
            linear_step_to(c, STEP_CONCAT, first, linear_reg_of(c, first->reg)->type, width, &step);
    if (rc)
        return rc;
    step->in = list;
    step->in_count = (int)count;
    return ERR_OK;
}

/* Columns of data by a constant list. */
static enum err_code select_columns(struct linear_compiler *c, const struct linear_binding *in,
                                    const struct onnx_constant *list)
{
    const int64_t *indices;
    struct linear_step *step;
    struct linear_register from = *linear_reg_of(c, in->reg);
    enum err_code rc = onnx_constant_ints(list, c->b->arena, &indices, c->err);
    if (!rc)
        rc = linear_step_to(c, STEP_SELECT, in, from.type, list->count, &step);
    if (rc)
        return rc;
    int *columns = arena_calloc(c->b->keep, (size_t)list->count, sizeof(*columns));
    if (!columns)
        return linear_no_room(c);
    for (int64_t i = 0; i < list->count; i++) {
        int64_t index = indices[i] < 0 ? indices[i] + from.width : indices[i];
        if (index < 0 || index >= from.width)
            return err_set(c->err, ERR_INVALID,
                           "ONNX: node %d (%.*s): column %lld is not one of %d", c->node->index,
                           STR_ARG(c->node->op), (long long)indices[i], from.width);
        columns[i] = (int)index;
    }
    step->columns = columns;
    return ERR_OK;
}

static enum err_code compile_gather(struct linear_compiler *c)
{
    const struct linear_binding *in = NULL;
    int64_t axis = 0;
    const struct onnx_constant *list = linear_constant_input(c, 1);
    enum err_code rc = linear_input(c, 0, &in);
    if (!rc)
        rc = onnx_int_opt(c->node, "axis", &axis, c->err);
    if (!rc && (axis != 1 || !list))
        rc = linear_leave(c, "it takes no constant columns");
    return rc ? rc : select_columns(c, in, list);
}

/* One number of a constant input; `preset` when there is none. */
static enum err_code slice_number(struct linear_compiler *c, int i, int64_t preset, int64_t *out)
{
    const int64_t *numbers;
    const struct onnx_constant *constant = linear_constant_input(c, i);
    *out = preset;
    if (i >= c->node->input_count || c->node->inputs[i].len == 0)
        return ERR_OK;
    if (!constant || constant->count != 1)
        return linear_leave(c, "it cuts along more than the columns");
    enum err_code rc = onnx_constant_ints(constant, c->b->arena, &numbers, c->err);
    if (!rc)
        *out = numbers[0];
    return rc;
}

/* Columns start ... end - 1. */
static enum err_code compile_slice(struct linear_compiler *c)
{
    const struct linear_binding *in = NULL;
    struct linear_step *step;
    int64_t start = 0, end = 0, axis = 0, stride = 1;
    enum err_code rc = linear_input(c, 0, &in);
    if (!rc)
        rc = slice_number(c, 1, 0, &start);
    if (!rc)
        rc = slice_number(c, 2, 0, &end);
    if (!rc)
        rc = slice_number(c, 3, 0, &axis);
    if (!rc)
        rc = slice_number(c, 4, 1, &stride);
    if (rc)
        return rc;
    int width = linear_reg_of(c, in->reg)->width;
    start += start < 0 ? width : 0;
    end = end > width ? width : end < 0 ? end + width : end;
    if ((axis != 1 && axis != -1) || stride != 1 || start < 0 || start >= end)
        return linear_leave(c, "it cuts along more than the columns");
    int *columns = arena_calloc(c->b->keep, (size_t)(end - start), sizeof(*columns));
    if (!columns)
        return linear_no_room(c);
    for (int64_t i = start; i < end; i++)
        columns[i - start] = (int)i;
    rc = linear_step_to(c, STEP_SELECT, in, linear_reg_of(c, in->reg)->type, end - start, &step);
    if (!rc)
        step->columns = columns;
    return rc;
}

/* --- preparing numbers
 * ------------------------------------------------------------------------------ */

static const float *keep_floats(struct linear_compiler *c, const float *from, size_t count)
{
    float *copy = arena_calloc(c->b->keep, count, sizeof(*copy));
    if (copy && count)
        memcpy(copy, from, count * sizeof(*copy));
    return copy;
}

/* A list of floats with one element or one for each column. */
static enum err_code column_floats(struct linear_compiler *c, const char *name, int width,
                                   const float **out, int *out_width)
{
    size_t count;
    enum err_code rc = onnx_floats(c->node, name, c->b->keep, out, &count, c->err);
    if (!rc && count != 1 && count != (size_t)width)
        rc =
            err_set(c->err, ERR_INVALID, "ONNX: node %d (%.*s): %s has %zu elements for %d columns",
                    c->node->index, STR_ARG(c->node->op), name, count, width);
    *out_width = (int)count;
    return rc;
}

static enum err_code compile_imputer(struct linear_compiler *c)
{
    const struct linear_binding *in = NULL;
    struct linear_step *step;
    enum err_code rc = linear_input(c, 0, &in);
    if (rc)
        return rc;
    struct linear_register from = *linear_reg_of(c, in->reg);
    if (from.type == LINEAR_TEXT)
        return linear_leave(c, "it imputes texts");
    rc = linear_step_to(c, STEP_IMPUTE, in, from.type, from.width, &step);
    if (rc)
        return rc;
    if (from.type == LINEAR_FLOAT) {
        rc = onnx_float_opt(c->node, "replaced_value_float", &step->missing, c->err);
        return rc ? rc
                  : column_floats(c, "imputed_value_floats", from.width, &step->a, &step->a_width);
    }
    size_t count = 0;
    rc = onnx_int_opt(c->node, "replaced_value_int64", &step->missing_int, c->err);
    if (!rc)
        rc = onnx_ints(c->node, "imputed_value_int64s", c->b->keep, &step->ints, &count, c->err);
    if (!rc && count != 1 && count != (size_t)from.width)
        rc = linear_leave(c, "imputed_value_int64s has not one element for each column");
    step->a_width = (int)count;
    return rc;
}

static enum err_code compile_scaler(struct linear_compiler *c)
{
    struct linear_binding in;
    struct linear_step *step;
    int b_width = 0;
    enum err_code rc = linear_as_floats(c, 0, &in);
    if (rc)
        return rc;
    int width = linear_reg_of(c, in.reg)->width;
    rc = linear_step_to(c, STEP_SCALE, &in, LINEAR_FLOAT, width, &step);
    if (!rc)
        rc = column_floats(c, "offset", width, &step->a, &step->a_width);
    if (!rc)
        rc = column_floats(c, "scale", width, &step->b, &b_width);
    if (!rc && b_width != step->a_width)
        rc = linear_leave(c, "offset and scale differ in length");
    return rc;
}

static enum err_code compile_normalizer(struct linear_compiler *c)
{
    static const char *const names[] = {"MAX", "L1", "L2"};
    struct linear_binding in;
    struct linear_step *step;
    struct str norm = STR_LIT("MAX");
    int mode = -1;
    enum err_code rc = linear_as_floats(c, 0, &in);
    if (!rc)
        rc = onnx_text_opt(c->node, "norm", &norm, c->err);
    for (int i = 0; i < (int)ARRAY_LEN(names); i++)
        if (str_equal_c(norm, names[i]))
            mode = i;
    if (!rc && mode < 0)
        rc = linear_leave(c, "its norm is none");
    if (!rc)
        rc = linear_step_to(c, STEP_NORMALIZE, &in, LINEAR_FLOAT, linear_reg_of(c, in.reg)->width,
                            &step);
    if (rc)
        return rc;
    step->mode = mode;
    linear_reg_of(c, step->out)->is_probability =
        mode == NORM_L1 && linear_reg_of(c, in.reg)->is_probability;
    return ERR_OK;
}

static enum err_code compile_binarizer(struct linear_compiler *c)
{
    const struct linear_binding *in = NULL;
    struct linear_step *step;
    float threshold = 0;
    enum err_code rc = linear_float_input(c, 0, &in);
    if (!rc)
        rc = onnx_float_opt(c->node, "threshold", &threshold, c->err);
    if (!rc)
        rc = linear_step_to(c, STEP_BINARIZE, in, LINEAR_FLOAT, linear_reg_of(c, in->reg)->width,
                            &step);
    if (rc)
        return rc;
    step->a = keep_floats(c, &threshold, 1);
    return step->a ? ERR_OK : linear_no_room(c);
}

/* --- categories
 * --------------------------------------------------------------------------------------- */

/* The keys of one type of a list attribute; count 0: there is none. */
static enum err_code read_list(struct linear_compiler *c, const char *name, enum linear_type type,
                               struct arena *arena, const void **list, size_t *count)
{
    const int64_t *ints;
    const float *floats;
    const struct str *texts;
    enum err_code rc;
    if (type == LINEAR_INT) {
        rc = onnx_ints(c->node, name, arena, &ints, count, c->err);
        *list = ints;
    } else if (type == LINEAR_FLOAT) {
        rc = onnx_floats(c->node, name, arena, &floats, count, c->err);
        *list = floats;
    } else {
        rc = onnx_texts(c->node, name, arena, &texts, count, c->err);
        *list = texts;
    }
    return rc;
}

static enum err_code make_keys(struct linear_compiler *c, enum linear_type type, const void *list,
                               size_t count, struct linear_keys *keys)
{
    if (count < 1 || count > LINEAR_WIDTH_MAX)
        return linear_leave(c, "it has no categories or too many");
    if (!linear_make_keys(c->b, type, list, (int)count, keys))
        return linear_leave(c, "a category is there twice or is no UTF-8 text");
    return ERR_OK;
}

static enum err_code compile_one_hot(struct linear_compiler *c)
{
    const struct linear_binding *in = NULL;
    struct linear_step *step;
    struct linear_keys keys;
    const void *list;
    size_t count;
    int64_t zeros = 1;
    enum err_code rc = linear_input(c, 0, &in);
    if (rc)
        return rc;
    struct linear_register from = *linear_reg_of(c, in->reg);
    bool has_texts = from.type == LINEAR_TEXT;
    rc = read_list(c, has_texts ? "cats_strings" : "cats_int64s",
                   has_texts ? LINEAR_TEXT : LINEAR_INT, c->b->arena, &list, &count);
    if (!rc)
        rc = onnx_int_opt(c->node, "zeros", &zeros, c->err);
    if (!rc)
        rc = make_keys(c, has_texts ? LINEAR_TEXT : LINEAR_INT, list, count, &keys);
    if (!rc)
        rc = linear_step_to(c, STEP_ONE_HOT, in, LINEAR_FLOAT, from.width * (int64_t)count, &step);
    if (rc)
        return rc;
    step->keys = keys;
    step->is_strict = zeros == 0;
    return ERR_OK;
}

static const char *const key_names[] = {"keys_floats", "keys_int64s", "keys_strings"};
static const char *const value_names[] = {"values_floats", "values_int64s", "values_strings"};

/* Which of the three kinds of list the node has. */
static int find_list(const struct onnx_node *node, const char *const names[3])
{
    for (int i = 0; i < 3; i++)
        if (onnx_has(node, names[i]))
            return i;
    return -1;
}

static enum err_code linear_keep_texts(struct linear_compiler *c, const struct str *from,
                                       size_t count, const struct str **out)
{
    struct str *copies = arena_calloc(c->b->keep, count, sizeof(*copies));
    if (!copies)
        return linear_no_room(c);
    for (size_t i = 0; i < count; i++) {
        copies[i] = linear_keep_text(c->b, from[i]);
        if (!copies[i].ptr)
            return linear_leave(c, "a text is no UTF-8");
    }
    *out = copies;
    return ERR_OK;
}

static enum err_code read_values(struct linear_compiler *c, enum linear_type type, size_t expected,
                                 struct linear_values *v)
{
    const void *list;
    size_t count;
    struct str other = STR_LIT("_Unused");
    v->other_int = -1;
    enum err_code rc = read_list(c, value_names[type], type, c->b->keep, &list, &count);
    if (!rc && count != expected)
        rc = linear_leave(c, "it has not as many values as keys");
    if (!rc)
        rc = onnx_float_opt(c->node, "default_float", &v->other_float, c->err);
    if (!rc)
        rc = onnx_int_opt(c->node, "default_int64", &v->other_int, c->err);
    if (!rc)
        rc = onnx_text_opt(c->node, "default_string", &other, c->err);
    if (rc)
        return rc;
    v->other_text = linear_keep_text(c->b, other);
    v->floats = list;
    v->ints = list;
    return type == LINEAR_TEXT ? linear_keep_texts(c, list, count, &v->texts) : ERR_OK;
}

/* Version 2 and 3, with lists; tensors of version 4 and the classes of version 1 are left. */
static enum err_code compile_label_encoder(struct linear_compiler *c)
{
    const struct linear_binding *in = NULL;
    struct linear_step *step;
    struct linear_keys keys;
    struct linear_values values = {.other_float = -0.0f};
    const void *list;
    size_t count;
    int key_type = find_list(c->node, key_names), value_type = find_list(c->node, value_names);
    enum err_code rc = linear_input(c, 0, &in);
    if (rc)
        return rc;
    struct linear_register from = *linear_reg_of(c, in->reg);
    if (key_type < 0 || value_type < 0 || (enum linear_type)key_type != from.type)
        return linear_leave(c, "its keys are not lists of its input's type");
    rc = read_list(c, key_names[key_type], from.type, c->b->arena, &list, &count);
    if (!rc)
        rc = make_keys(c, from.type, list, count, &keys);
    if (!rc)
        rc = read_values(c, (enum linear_type)value_type, count, &values);
    if (!rc)
        rc = linear_step_to(c, STEP_ENCODE, in, (enum linear_type)value_type, from.width, &step);
    if (rc)
        return rc;
    step->keys = keys;
    step->values = values;
    return ERR_OK;
}

/* From an index in 0 ... count - 1 to the element of a list; it is output `i` of the node. */
enum err_code linear_look_up(struct linear_compiler *c, int i, int index_reg, enum linear_type type,
                             const void *list, size_t count, int rank)
{
    int reg;
    int64_t *places = arena_calloc(c->b->arena, count, sizeof(*places));
    if (!places)
        return linear_no_room(c);
    for (size_t k = 0; k < count; k++)
        places[k] = (int64_t)k;
    enum err_code rc = linear_output(c, i, type, 1, rank, &reg);
    struct linear_step *step = rc ? NULL : linear_add_step(c->b, STEP_ENCODE, index_reg, reg);
    if (rc)
        return rc;
    if (!step)
        return linear_no_room(c);
    rc = make_keys(c, LINEAR_INT, places, count, &step->keys);
    step->values.floats = list;
    step->values.ints = list;
    if (!rc && type == LINEAR_TEXT)
        rc = linear_keep_texts(c, list, count, &step->values.texts);
    return rc;
}

/* Of data its constant columns; of a constant the elements that data names. */
static enum err_code compile_extractor(struct linear_compiler *c)
{
    const struct linear_binding *in = NULL;
    const struct onnx_constant *list = linear_constant_input(c, 1),
                               *from = linear_constant_input(c, 0);
    const struct str *texts;
    const int64_t *ints;
    const float *floats;
    if (!from) {
        enum err_code found = linear_input(c, 0, &in);
        if (!found && !list)
            found = linear_leave(c, "it takes no constant columns");
        return found ? found : select_columns(c, in, list);
    }
    enum err_code rc = linear_input(c, 1, &in);
    if (!rc &&
        (linear_reg_of(c, in->reg)->type != LINEAR_INT || linear_reg_of(c, in->reg)->width != 1 ||
         from->rank > 2 || (from->rank == 2 && from->shape[0] != 1)))
        rc = linear_leave(c, "it takes elements by something that is no index for each row");
    if (rc)
        return rc;
    if (from->type == ONNX_STRING) {
        rc = onnx_constant_texts(from, c->b->arena, &texts, c->err);
        return rc ? rc : linear_look_up(c, 0, in->reg, LINEAR_TEXT, texts, (size_t)from->count, 1);
    }
    if (from->type == ONNX_FLOAT) {
        rc = onnx_constant_floats(from, c->b->keep, &floats, c->err);
        return rc ? rc
                  : linear_look_up(c, 0, in->reg, LINEAR_FLOAT, floats, (size_t)from->count, 1);
    }
    rc = onnx_constant_ints(from, c->b->keep, &ints, c->err);
    return rc ? rc : linear_look_up(c, 0, in->reg, LINEAR_INT, ints, (size_t)from->count, 1);
}

/* --- the table ---------------------------------------------------------------------------- */

const struct linear_operator linear_column_operators[] = {
    {"Identity", linear_alias},
    {"ZipMap", linear_alias},
    {"Reshape", compile_reshape},
    {"Flatten", compile_flatten},
    {"Cast", compile_cast},
    {"Concat", compile_concat},
    {"FeatureVectorizer", compile_concat},
    {"Gather", compile_gather},
    {"Slice", compile_slice},
    {"ArrayFeatureExtractor", compile_extractor},
    {"Imputer", compile_imputer},
    {"Scaler", compile_scaler},
    {"Normalizer", compile_normalizer},
    {"Binarizer", compile_binarizer},
    {"OneHotEncoder", compile_one_hot},
    {"LabelEncoder", compile_label_encoder},
    {NULL, NULL},
};
