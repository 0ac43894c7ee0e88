/* linear_json.c - a slipway-linear document -> program.
 *
 *     {
 *       "format": "slipway-linear", "version": 1,
 *       "features": [
 *         {"name": "age", "missing": 29.7, "center": 29.7, "scale": 14.5},
 *         {"name": "sex", "categories": ["female", "male"]}
 *       ],
 *       "link": "logistic",                        identity (preset), logistic, softmax, exp
 *       "weights": [-0.5, 1.2, -1.3], "intercept": 0.1
 *     }
 *
 * A number x counts as (x - center) / scale; NaN as `missing` first, when that is given. A category
 * is a column for each of its texts, in order, and one that is not listed is a row of zeros.
 * weights has a number for each column, or for several outputs a list for each. Numbers alone are
 * one input "input" FP32 [-1, n]; with categories each feature is an input [-1, 1] of its name,
 * FP32 or BYTES. The output "predict" is [-1], or [-1, k] with k lists.
 */
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "base/json.h"
#include "runtime/linear_program.h"

enum { FEATURES_MAX = 65535, NAME_BYTES_MAX = 256 };

enum link { LINK_IDENTITY, LINK_LOGISTIC, LINK_SOFTMAX, LINK_EXP };
static const char *const links[] = {"identity", "logistic", "softmax", "exp"};

struct document {
    struct linear_builder *b;
    struct err *err;
    yyjson_val *root, *features;
    size_t feature_count, columns, outputs;
    bool has_categories;
    enum link link;
    float *missing, *center, *scale; /* [feature_count] */
    const char **names;
};

static enum err_code refuse(struct document *d, const char *what)
{
    return err_set(d->err, ERR_INVALID, "slipway-linear: %s", what);
}

static enum err_code no_room(struct document *d)
{
    return err_set(d->err, ERR_LIMIT, "slipway-linear: no room for the model");
}

/* --- numbers ------------------------------------------------------------------------------------
 */

static bool number_of(yyjson_val *value, float *out)
{
    double number = yyjson_get_num(value);
    if (!yyjson_is_num(value) || !isfinite((float)number))
        return false;
    *out = (float)number;
    return true;
}

static enum err_code feature_number(struct document *d, size_t i, const char *key, float preset,
                                    float *out)
{
    yyjson_val *value = yyjson_obj_get(yyjson_arr_get(d->features, i), key);
    *out = preset;
    if (!value || number_of(value, out))
        return ERR_OK;
    return err_set(d->err, ERR_INVALID, "slipway-linear: features[%zu]: %s is not a number", i,
                   key);
}

/* One list of `count` numbers. */
static enum err_code read_row(struct document *d, yyjson_val *list, const char *what, size_t count,
                              size_t stride, float *out)
{
    size_t i, size;
    yyjson_val *value;
    if (!yyjson_is_arr(list) || yyjson_arr_size(list) != count)
        return err_set(d->err, ERR_INVALID, "slipway-linear: %s is not a list of %zu numbers", what,
                       count);
    yyjson_arr_foreach(list, i, size, value)
    {
        if (!number_of(value, &out[i * stride]))
            return err_set(d->err, ERR_INVALID, "slipway-linear: %s[%zu] is not a number", what, i);
    }
    return ERR_OK;
}

/* --- features -----------------------------------------------------------------------------------
 */

static enum err_code read_name(struct document *d, size_t i)
{
    yyjson_val *value = yyjson_obj_get(yyjson_arr_get(d->features, i), "name");
    struct str name = yyjson_is_str(value) ? json_str(value) : (struct str){0};
    if (name.len == 0 || name.len > NAME_BYTES_MAX || memchr(name.ptr, '\0', name.len))
        return err_set(d->err, ERR_INVALID,
                       "slipway-linear: features[%zu]: name is not a text of 1 to %d bytes", i,
                       NAME_BYTES_MAX);
    struct str kept = linear_keep_text(d->b, name);
    d->names[i] = kept.ptr;
    for (size_t k = 0; kept.ptr && k < i; k++)
        if (d->has_categories && strcmp(d->names[k], kept.ptr) == 0)
            return err_set(d->err, ERR_INVALID, "slipway-linear: two features are named '%s'",
                           kept.ptr);
    return kept.ptr ? ERR_OK : no_room(d);
}

static yyjson_val *categories_of(const struct document *d, size_t i)
{
    return yyjson_obj_get(yyjson_arr_get(d->features, i), "categories");
}

static enum err_code read_feature(struct document *d, size_t i)
{
    static const char *const number_keys[] = {"name", "missing", "center", "scale", NULL};
    static const char *const category_keys[] = {"name", "categories", NULL};
    yyjson_val *feature = yyjson_arr_get(d->features, i), *categories = categories_of(d, i);
    char what[48];
    snprintf(what, sizeof(what), "features[%zu]", i);
    if (!yyjson_is_obj(feature))
        return err_set(d->err, ERR_INVALID, "slipway-linear: %s is not an object", what);
    enum err_code rc =
        json_check_keys(feature, what, categories ? category_keys : number_keys, d->err);
    if (!rc)
        rc = read_name(d, i);
    if (!rc && categories && (!yyjson_is_arr(categories) || yyjson_arr_size(categories) < 1))
        rc = err_set(d->err, ERR_INVALID, "slipway-linear: %s: categories is not a list of texts",
                     what);
    if (!rc && !categories)
        rc = feature_number(d, i, "missing", NAN, &d->missing[i]);
    if (!rc && !categories)
        rc = feature_number(d, i, "center", 0, &d->center[i]);
    if (!rc && !categories)
        rc = feature_number(d, i, "scale", 1, &d->scale[i]);
    if (!rc && !categories && d->scale[i] == 0)
        rc = err_set(d->err, ERR_INVALID, "slipway-linear: %s: scale is 0", what);
    d->columns += categories ? yyjson_arr_size(categories) : 1;
    return rc;
}

static enum err_code read_features(struct document *d)
{
    enum err_code rc = ERR_OK;
    d->features = yyjson_obj_get(d->root, "features");
    d->feature_count = yyjson_arr_size(d->features);
    if (!yyjson_is_arr(d->features) || d->feature_count < 1 || d->feature_count > FEATURES_MAX)
        return err_set(d->err, ERR_INVALID, "slipway-linear: features is not a list of 1 to %d",
                       FEATURES_MAX);
    for (size_t i = 0; i < d->feature_count; i++)
        d->has_categories = d->has_categories || categories_of(d, i);
    if (d->has_categories && d->feature_count > RUNTIME_TENSORS_MAX)
        return err_set(d->err, ERR_LIMIT,
                       "slipway-linear: %zu features with categories, the limit is %d",
                       d->feature_count, RUNTIME_TENSORS_MAX);
    d->names = arena_calloc(d->b->keep, d->feature_count, sizeof(*d->names));
    d->missing = arena_calloc(d->b->keep, d->feature_count, sizeof(*d->missing));
    d->center = arena_calloc(d->b->keep, d->feature_count, sizeof(*d->center));
    d->scale = arena_calloc(d->b->keep, d->feature_count, sizeof(*d->scale));
    if (!d->names || !d->missing || !d->center || !d->scale)
        return no_room(d);
    for (size_t i = 0; !rc && i < d->feature_count; i++)
        rc = read_feature(d, i);
    return rc;
}

/* --- steps
 * ----------------------------------------------------------------------------------------- */

static enum err_code add_port(struct document *d, const char *name, enum linear_type type,
                              size_t width)
{
    struct linear_program *p = d->b->program;
    struct linear_port *port = &p->inputs[p->input_count++];
    port->reg = linear_add_register(d->b, type, (int64_t)width);
    port->tensor = (struct signature_tensor){.name = name,
                                             .dtype = type == LINEAR_TEXT ? DTYPE_BYTES : DTYPE_F32,
                                             .rank = 2,
                                             .shape = {-1, (int64_t)width}};
    return port->reg < 0 ? no_room(d) : ERR_OK;
}

static enum err_code add_ports(struct document *d)
{
    struct linear_program *p = d->b->program;
    size_t count = d->has_categories ? d->feature_count : 1;
    enum err_code rc = ERR_OK;
    p->inputs = arena_calloc(d->b->keep, count, sizeof(*p->inputs));
    p->outputs = arena_calloc(d->b->keep, 1, sizeof(*p->outputs));
    if (!p->inputs || !p->outputs)
        return no_room(d);
    if (!d->has_categories)
        rc = add_port(d, "input", LINEAR_FLOAT, d->feature_count);
    for (size_t i = 0; !rc && d->has_categories && i < count; i++)
        rc = add_port(d, d->names[i], categories_of(d, i) ? LINEAR_TEXT : LINEAR_FLOAT, 1);
    p->row_bytes = 0;
    return rc;
}

/* Numbers of features [first, first + width): missing ones replaced, then scaled. */
static enum err_code add_numbers(struct document *d, int in, size_t first, size_t width, int *out)
{
    int whole = linear_add_register(d->b, LINEAR_FLOAT, (int64_t)width);
    int scaled = linear_add_register(d->b, LINEAR_FLOAT, (int64_t)width);
    struct linear_step *impute = linear_add_step(d->b, STEP_IMPUTE, in, whole);
    struct linear_step *scale = linear_add_step(d->b, STEP_SCALE, whole, scaled);
    if (!impute || !scale)
        return no_room(d);
    impute->missing = NAN;
    impute->a = d->missing + first;
    scale->a = d->center + first;
    scale->b = d->scale + first;
    scale->mode = 1;
    impute->a_width = scale->a_width = (int)width;
    *out = scaled;
    return ERR_OK;
}

static enum err_code add_categories(struct document *d, size_t feature, int in, int *out)
{
    yyjson_val *list = categories_of(d, feature), *value;
    size_t i, count = yyjson_arr_size(list);
    struct str *texts = arena_calloc(d->b->arena, count, sizeof(*texts));
    *out = linear_add_register(d->b, LINEAR_FLOAT, (int64_t)count);
    struct linear_step *step = linear_add_step(d->b, STEP_ONE_HOT, in, *out);
    if (!texts || !step)
        return no_room(d);
    yyjson_arr_foreach(list, i, count, value)
    {
        if (!yyjson_is_str(value))
            return err_set(d->err, ERR_INVALID,
                           "slipway-linear: features[%zu]: categories[%zu] is not a text", feature,
                           i);
        texts[i] = json_str(value);
        texts[i].ptr = texts[i].len ? texts[i].ptr : "";
    }
    if (!linear_make_keys(d->b, LINEAR_TEXT, texts, (int)count, &step->keys))
        return err_set(d->err, ERR_INVALID,
                       "slipway-linear: features[%zu]: a category is there twice", feature);
    return ERR_OK;
}

/* All columns side by side. */
static enum err_code add_columns(struct document *d, int *out)
{
    struct linear_program *p = d->b->program;
    enum err_code rc = ERR_OK;
    if (!d->has_categories)
        return add_numbers(d, p->inputs[0].reg, 0, d->feature_count, out);
    int *parts = arena_calloc(d->b->keep, d->feature_count, sizeof(*parts));
    if (!parts)
        return no_room(d);
    for (size_t i = 0; !rc && i < d->feature_count; i++)
        rc = categories_of(d, i) ? add_categories(d, i, p->inputs[i].reg, &parts[i])
                                 : add_numbers(d, p->inputs[i].reg, i, 1, &parts[i]);
    if (rc)
        return rc;
    *out = linear_add_register(d->b, LINEAR_FLOAT, (int64_t)d->columns);
    struct linear_step *step = linear_add_step(d->b, STEP_CONCAT, parts[0], *out);
    if (!step)
        return no_room(d);
    step->in = parts;
    step->in_count = (int)d->feature_count;
    return ERR_OK;
}

/* --- weights
 * ------------------------------------------------------------------------------------------ */

static enum err_code read_weights(struct document *d, float **weights, float **bias)
{
    yyjson_val *list = yyjson_obj_get(d->root, "weights");
    yyjson_val *intercept = yyjson_obj_get(d->root, "intercept");
    bool is_nested = yyjson_is_arr(yyjson_arr_get_first(list));
    enum err_code rc = ERR_OK;
    d->outputs = is_nested ? yyjson_arr_size(list) : 1;
    *weights = arena_calloc(d->b->keep, d->outputs * d->columns, sizeof(**weights));
    *bias = arena_calloc(d->b->keep, d->outputs, sizeof(**bias));
    if (!*weights || !*bias)
        return no_room(d);
    if (!is_nested)
        rc = read_row(d, list, "weights", d->columns, 1, *weights);
    for (size_t o = 0; !rc && is_nested && o < d->outputs; o++) {
        char what[48];
        snprintf(what, sizeof(what), "weights[%zu]", o);
        rc = read_row(d, yyjson_arr_get(list, o), what, d->columns, d->outputs, *weights + o);
    }
    if (rc || !intercept)
        return rc;
    if (is_nested)
        return read_row(d, intercept, "intercept", d->outputs, 1, *bias);
    return number_of(intercept, *bias) ? ERR_OK : refuse(d, "intercept is not a number");
}

static enum err_code add_link(struct document *d, int scores, int *out)
{
    static const enum linear_kind kinds[] = {
        [LINK_LOGISTIC] = STEP_SIGMOID, [LINK_SOFTMAX] = STEP_POST, [LINK_EXP] = STEP_FUNCTION};
    *out = scores;
    if (d->link == LINK_IDENTITY)
        return ERR_OK;
    *out = linear_add_register(d->b, LINEAR_FLOAT, (int64_t)d->outputs);
    struct linear_step *step = linear_add_step(d->b, kinds[d->link], scores, *out);
    if (!step)
        return no_room(d);
    step->mode = d->link == LINK_SOFTMAX ? (int)ONNX_POST_SOFTMAX : (int)LINEAR_EXP;
    return ERR_OK;
}

static enum err_code add_model(struct document *d)
{
    struct linear_program *p = d->b->program;
    float *weights, *bias;
    int columns = -1, scores, out;
    enum err_code rc = add_columns(d, &columns);
    if (!rc)
        rc = read_weights(d, &weights, &bias);
    if (!rc && d->link == LINK_SOFTMAX && d->outputs < 2)
        rc = refuse(d, "link softmax needs weights of two classes and more");
    if (rc)
        return rc;
    scores = linear_add_register(d->b, LINEAR_FLOAT, (int64_t)d->outputs);
    struct linear_step *step = linear_add_step(d->b, STEP_LINEAR, columns, scores);
    if (!step)
        return no_room(d);
    step->a = weights;
    step->b = bias;
    rc = add_link(d, scores, &out);
    if (rc)
        return rc;
    p->outputs[p->output_count++] =
        (struct linear_port){.reg = out,
                             .tensor = {.name = "predict",
                                        .dtype = DTYPE_F32,
                                        .rank = d->outputs > 1 ? 2 : 1,
                                        .shape = {-1, (int64_t)d->outputs}}};
    p->class_count = d->link == LINK_SOFTMAX                       ? (int)d->outputs
                     : d->link == LINK_LOGISTIC && d->outputs == 1 ? 2
                                                                   : 1;
    p->is_probability = p->class_count > 1;
    return ERR_OK;
}

/* --- the document
 * ---------------------------------------------------------------------------------------- */

static enum err_code read_link(struct document *d)
{
    struct str link = STR_LIT("identity");
    enum err_code rc = json_get_str_opt(d->root, "slipway-linear", "link", &link, d->err);
    for (size_t i = 0; !rc && i < ARRAY_LEN(links); i++)
        if (str_equal_c(link, links[i])) {
            d->link = (enum link)i;
            return ERR_OK;
        }
    return rc ? rc : refuse(d, "link is none of identity, logistic, softmax, exp");
}

static enum err_code read_head(struct document *d, struct str bytes)
{
    static const char *const keys[] = {"format",  "version",   "features", "link",
                                       "weights", "intercept", NULL};
    struct str format;
    int64_t version = 1;
    enum err_code rc = json_read_strict(bytes, d->b->arena, &d->root, d->err);
    if (!rc && !yyjson_is_obj(d->root))
        rc = refuse(d, "the document is not an object");
    if (!rc)
        rc = json_check_keys(d->root, "slipway-linear", keys, d->err);
    if (!rc)
        rc = json_get_str(d->root, "slipway-linear", "format", &format, d->err);
    if (!rc)
        rc = json_get_i64_opt(d->root, "slipway-linear", "version", &version, d->err);
    if (!rc && (!str_equal_c(format, "slipway-linear") || version != 1))
        rc = refuse(d, "format is not slipway-linear, version 1");
    return rc;
}

enum err_code linear_from_json(struct str bytes, struct linear_builder *b)
{
    struct document d = {.b = b, .err = b->err};
    enum err_code rc = read_head(&d, bytes);
    if (!rc)
        rc = read_link(&d);
    if (!rc)
        rc = read_features(&d);
    if (!rc)
        rc = linear_builder_init(b, 8 + 3 * (d.has_categories ? (int)d.feature_count : 1),
                                 8 + 2 * (d.has_categories ? (int)d.feature_count : 1));
    if (!rc)
        rc = add_ports(&d);
    if (!rc)
        rc = add_model(&d);
    if (rc)
        return rc;
    b->program->platform = "slipway_linear";
    b->program->objective = links[d.link];
    b->program->writer = "slipway-linear 1";
    if (!d.has_categories)
        b->program->feature_names = d.names;
    return ERR_OK;
}
