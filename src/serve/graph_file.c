/* graph_file.c - the file of a graph, key by key. */
#include "serve/graph_file.h"

#include <math.h>

#include "base/check.h"
#include "base/yaml.h"

#define US_PER_SECOND INT64_C(1000000)

static const char *const how_names[] = {"average", "vote", "sum", "min", "max", "concat"};
static const char *const compare_names[] = {"<", "<=", ">", ">=", "==", "!=", "is missing"};

struct reader {
    struct graph_file *file;
    struct arena *arena;
    struct err *err;
};

bool graph_recognise(const void *head, size_t size)
{
    struct str rest = {head, size}, line;
    while (rest.len && str_split(&rest, '\n', &line)) {
        if (line.len && line.ptr[line.len - 1] == '\r')
            line.len--;
        if (line.len == 0 || line.ptr[0] == '#' || str_equal_c(line, "---"))
            continue;
        return str_starts_with(line, STR_LIT("graph:"));
    }
    return false;
}

const char *graph_how_name(enum graph_how how)
{
    return how_names[how];
}

const char *graph_compare_name(enum graph_compare compare)
{
    return compare_names[compare];
}

static enum err_code no_room(struct reader *r)
{
    return err_set(r->err, ERR_LIMIT, "the graph does not fit its memory");
}

/* ---- names and terms ---- */

/* No dot and no slash: those join names. */
static bool is_node_name(struct str name)
{
    return str_is_name(name) && name.len <= GRAPH_NAME_BYTES_MAX &&
           !memchr(name.ptr, '.', name.len);
}

static enum err_code read_term(struct reader *r, yyjson_val *value, const char *place,
                               struct graph_term *term)
{
    *term = (struct graph_term){0};
    if (yyjson_is_num(value)) {
        term->number = yyjson_get_num(value);
        return ERR_OK;
    }
    term->text = json_str(value);
    if (yyjson_is_str(value) && term->text.len)
        return ERR_OK;
    return err_set(r->err, ERR_INVALID, "%s: expected a name or a number, got %s", place,
                   value ? yyjson_get_type_desc(value) : "nothing");
}

static const char *below(struct reader *r, const char *place, const char *key)
{
    const char *text = arena_printf(r->arena, "%s.%s", place, key);
    return text ? text : key;
}

static const char *item_of(struct reader *r, const char *place, size_t i)
{
    const char *text = arena_printf(r->arena, "%s[%zu]", place, i);
    return text ? text : place;
}

static enum err_code read_terms(struct reader *r, yyjson_val *list, const char *place, int max,
                                struct graph_term **terms, int *count)
{
    size_t i, size = yyjson_arr_size(list);
    yyjson_val *value;
    if (!yyjson_is_arr(list) || size == 0 || size > (size_t)max)
        return err_set(r->err, ERR_INVALID, "%s: expected a list of 1 to %d names or numbers",
                       place, max);
    *terms = arena_calloc(r->arena, size, sizeof(**terms));
    if (!*terms)
        return no_room(r);
    yyjson_arr_foreach(list, i, size, value)
    {
        enum err_code rc = read_term(r, value, item_of(r, place, i), &(*terms)[i]);
        if (rc)
            return rc;
    }
    *count = (int)size;
    return ERR_OK;
}

/* ---- what a request holds ---- */

static enum err_code read_feature_count(struct reader *r, yyjson_val *value)
{
    int64_t count = yyjson_is_int(value) ? yyjson_get_sint(value) : 0;
    if (count < 1 || count > GRAPH_COLUMNS_MAX)
        return err_set(r->err, ERR_INVALID, "features: expected a list of names, or 1 to %d",
                       GRAPH_COLUMNS_MAX);
    r->file->feature_count = (int)count;
    return ERR_OK;
}

static bool has_name(const char *const *names, size_t count, struct str name)
{
    for (size_t i = 0; i < count; i++)
        if (str_equal_c(name, names[i]))
            return true;
    return false;
}

static enum err_code read_features(struct reader *r, yyjson_val *list)
{
    size_t i, count = yyjson_arr_size(list);
    yyjson_val *value;
    if (!yyjson_is_arr(list))
        return read_feature_count(r, list);
    if (count == 0 || count > GRAPH_COLUMNS_MAX)
        return err_set(r->err, ERR_INVALID, "features: expected 1 to %d names, got %zu",
                       GRAPH_COLUMNS_MAX, count);
    const char **names = arena_calloc(r->arena, count, sizeof(*names));
    if (!names)
        return no_room(r);
    yyjson_arr_foreach(list, i, count, value)
    {
        struct str name = json_str(value);
        if (!yyjson_is_str(value) || name.len == 0 || memchr(name.ptr, '\0', name.len))
            return err_set(r->err, ERR_INVALID, "features[%zu]: expected a name, got %s", i,
                           yyjson_get_type_desc(value));
        if (has_name(names, i, name))
            return err_set(r->err, ERR_INVALID, "features[%zu]: '%.*s' occurs twice", i,
                           STR_ARG(name));
        names[i] = arena_copy(r->arena, name.ptr, name.len);
        if (!names[i])
            return no_room(r);
    }
    r->file->feature_count = (int)count;
    r->file->feature_names = names;
    return ERR_OK;
}

static enum err_code read_shape(struct reader *r, yyjson_val *shape, const char *place,
                                struct signature_tensor *tensor)
{
    size_t i, count = yyjson_arr_size(shape);
    yyjson_val *size;
    if (!yyjson_is_arr(shape) || count == 0 || count > TENSOR_RANK_MAX)
        return err_set(r->err, ERR_INVALID, "%s.shape: expected a list of 1 to %d sizes", place,
                       TENSOR_RANK_MAX);
    yyjson_arr_foreach(shape, i, count, size)
    {
        int64_t number = yyjson_get_sint(size);
        if (!yyjson_is_int(size) || number < -1 || number > INT32_MAX || (i == 0 && number != -1))
            return err_set(r->err, ERR_INVALID,
                           "%s.shape: expected -1 for the rows, then sizes or -1 (any)", place);
        tensor->shape[tensor->rank++] = number;
    }
    return ERR_OK;
}

static enum err_code read_input(struct reader *r, yyjson_val *object, const char *place,
                                struct signature_tensor *tensor)
{
    static const char *const keys[] = {"name", "datatype", "shape", NULL};
    struct str name = {0}, datatype = {0};
    enum err_code rc = json_check_keys(object, place, keys, r->err);
    if (!rc)
        rc = json_get_str(object, place, "name", &name, r->err);
    if (!rc)
        rc = json_get_str(object, place, "datatype", &datatype, r->err);
    if (rc)
        return rc;
    tensor->dtype = dtype_find(datatype);
    if (tensor->dtype == DTYPE_COUNT)
        return err_set(r->err, ERR_INVALID, "%s.datatype: '%.*s' does not exist", place,
                       STR_ARG(datatype));
    if (name.len == 0 || name.len > STR_NAME_BYTES_MAX || memchr(name.ptr, '\0', name.len))
        return err_set(r->err, ERR_INVALID, "%s.name: expected 1 to %d bytes", place,
                       STR_NAME_BYTES_MAX);
    tensor->name = arena_copy(r->arena, name.ptr, name.len);
    return tensor->name ? read_shape(r, yyjson_obj_get(object, "shape"), place, tensor)
                        : no_room(r);
}

static enum err_code read_inputs(struct reader *r, yyjson_val *list)
{
    size_t i, count = yyjson_arr_size(list);
    yyjson_val *object;
    if (!yyjson_is_arr(list) || count == 0 || count > RUNTIME_TENSORS_MAX)
        return err_set(r->err, ERR_INVALID, "inputs: expected a list of 1 to %d tensors",
                       RUNTIME_TENSORS_MAX);
    if (r->file->feature_count)
        return err_set(r->err, ERR_INVALID, "inputs: there are features already");
    struct signature_tensor *inputs = arena_calloc(r->arena, count, sizeof(*inputs));
    if (!inputs)
        return no_room(r);
    yyjson_arr_foreach(list, i, count, object)
    {
        enum err_code rc = read_input(r, object, item_of(r, "inputs", i), &inputs[i]);
        if (rc)
            return rc;
        for (size_t k = 0; k < i; k++)
            if (strcmp(inputs[k].name, inputs[i].name) == 0)
                return err_set(r->err, ERR_INVALID, "inputs[%zu].name: '%s' occurs twice", i,
                               inputs[i].name);
    }
    r->file->inputs = inputs;
    r->file->input_count = (int)count;
    return ERR_OK;
}

/* ---- a model ---- */

static enum err_code read_deadline(struct reader *r, yyjson_val *object, const char *place,
                                   int64_t *us)
{
    struct str text = {0};
    enum err_code rc = json_get_str_opt(object, place, "deadline", &text, r->err);
    if (rc || !text.ptr)
        return rc;
    if (str_to_span_us(text, us) && *us > 0 && *us <= GRAPH_DEADLINE_S_MAX * US_PER_SECOND)
        return ERR_OK;
    err_set(r->err, ERR_INVALID, "%s.deadline: expected a time up to 1h, got '%.*s'", place,
            STR_ARG(text));
    return err_hint(r->err, "write it with its unit: 20ms, 2s");
}

/* "skip", {node: NAME} or {value: NUMBER}. */
static enum err_code read_fallback(struct reader *r, yyjson_val *value, const char *place,
                                   struct graph_file_node *node)
{
    yyjson_val *name = yyjson_obj_get(value, "node"), *number = yyjson_obj_get(value, "value");
    if (!value)
        return ERR_OK;
    if (yyjson_equals_str(value, "skip")) {
        node->fallback = FALLBACK_SKIP;
        return ERR_OK;
    }
    bool is_one = yyjson_is_obj(value) && yyjson_obj_size(value) == 1;
    if (is_one && yyjson_is_str(name)) {
        node->fallback = FALLBACK_NODE;
        return read_term(r, name, below(r, place, "fallback.node"), &node->fallback_to);
    }
    if (is_one && yyjson_is_num(number)) {
        node->fallback = FALLBACK_VALUE;
        node->fallback_to.number = yyjson_get_num(number);
        return ERR_OK;
    }
    return err_set(r->err, ERR_INVALID,
                   "%s.fallback: expected {node: NAME}, {value: NUMBER} or skip", place);
}

static enum err_code read_feeds(struct reader *r, yyjson_val *object, const char *place,
                                struct graph_file_node *node)
{
    size_t i, count = yyjson_obj_size(object);
    yyjson_val *key, *value;
    if (!object)
        return ERR_OK;
    if (!yyjson_is_obj(object) || count == 0 || count > RUNTIME_TENSORS_MAX)
        return err_set(r->err, ERR_INVALID, "%s.inputs: expected INPUT: SOURCE, 1 to %d of them",
                       place, RUNTIME_TENSORS_MAX);
    node->feeds = arena_calloc(r->arena, count, sizeof(*node->feeds));
    if (!node->feeds)
        return no_room(r);
    yyjson_obj_foreach(object, i, count, key, value)
    {
        struct graph_feed *feed = &node->feeds[node->feed_count++];
        feed->input = json_str(key);
        enum err_code rc = read_term(r, value, below(r, place, "inputs"), &feed->from);
        if (rc)
            return rc;
    }
    return ERR_OK;
}

static enum err_code read_version(struct reader *r, yyjson_val *object, const char *place,
                                  struct graph_file_node *node)
{
    enum err_code rc = json_get_str(object, place, "model", &node->model, r->err);
    if (!rc)
        rc = json_get_str_opt(object, place, "alias", &node->alias, r->err);
    if (!rc)
        rc = json_get_i64_opt(object, place, "version", &node->version, r->err);
    if (!rc)
        rc = json_get_str_opt(object, place, "digest", &node->digest, r->err);
    if (rc)
        return rc;
    if (!str_is_name(node->model))
        return err_set(r->err, ERR_INVALID, "%s.model: '%.*s' is no name of a model", place,
                       STR_ARG(node->model));
    if (node->alias.len && !str_is_name(node->alias))
        return err_set(r->err, ERR_INVALID, "%s.alias: '%.*s' is no name of an alias", place,
                       STR_ARG(node->alias));
    if (yyjson_obj_get(object, "version") && node->version < 1)
        return err_set(r->err, ERR_INVALID, "%s.version: expected 1 or more", place);
    if (node->alias.len && node->version)
        return err_set(r->err, ERR_INVALID, "%s: a version and an alias, give one of them", place);
    return ERR_OK;
}

static enum err_code read_model(struct reader *r, yyjson_val *object, const char *place,
                                struct graph_file_node *node)
{
    static const char *const keys[] = {"model",  "version",  "alias",    "digest", "columns",
                                       "inputs", "deadline", "fallback", NULL};
    yyjson_val *columns = yyjson_obj_get(object, "columns");
    node->kind = GRAPH_MODEL;
    enum err_code rc = json_check_keys(object, place, keys, r->err);
    if (!rc)
        rc = read_version(r, object, place, node);
    if (!rc && columns)
        rc = read_terms(r, columns, below(r, place, "columns"), GRAPH_COLUMNS_MAX, &node->columns,
                        &node->column_count);
    if (!rc)
        rc = read_feeds(r, yyjson_obj_get(object, "inputs"), place, node);
    if (!rc)
        rc = read_deadline(r, object, place, &node->deadline_us);
    if (!rc)
        rc = read_fallback(r, yyjson_obj_get(object, "fallback"), place, node);
    if (!rc && node->columns && node->feeds)
        rc = err_set(r->err, ERR_INVALID, "%s: columns and inputs, give one of them", place);
    return rc;
}

/* ---- a switch ---- */

/* The comparison that stands at `text`; the longer of two that begin alike first. */
static bool find_compare(struct str text, enum graph_compare *compare, size_t *bytes)
{
    static const struct {
        const char *text;
        enum graph_compare compare;
    } signs[] = {{"<=", COMPARE_LESS_EQUAL}, {">=", COMPARE_GREATER_EQUAL}, {"==", COMPARE_EQUAL},
                 {"!=", COMPARE_NOT_EQUAL},  {"<", COMPARE_LESS},           {">", COMPARE_GREATER},
                 {"=", COMPARE_EQUAL}};
    for (size_t i = 0; i < ARRAY_LEN(signs); i++)
        if (str_starts_with(text, str_of(signs[i].text))) {
            *compare = signs[i].compare;
            *bytes = strlen(signs[i].text);
            return true;
        }
    return false;
}

static bool read_missing(struct str text, struct graph_case *one)
{
    const struct str end = STR_LIT(" is missing");
    if (!str_ends_with(text, end))
        return false;
    one->compare = COMPARE_MISSING;
    one->left.text = str_trim((struct str){text.ptr, text.len - end.len});
    return one->left.text.len > 0;
}

/* The first sign of the text is the comparison: names with such signs cannot be compared. */
static bool read_comparison(struct str text, struct graph_case *one)
{
    size_t at = 0, bytes = 0;
    struct str rest = text;
    while (at < text.len && !find_compare(rest, &one->compare, &bytes)) {
        at++;
        rest = (struct str){text.ptr + at, text.len - at};
    }
    if (at == text.len)
        return false;
    one->left.text = str_trim((struct str){text.ptr, at});
    rest = str_trim((struct str){rest.ptr + bytes, rest.len - bytes});
    return one->left.text.len > 0 && str_to_f64(rest, &one->right) && isfinite(one->right);
}

static enum err_code read_case(struct reader *r, yyjson_val *object, const char *place,
                               struct graph_case *one)
{
    static const char *const keys[] = {"if", "then", NULL};
    struct str text = {0};
    enum err_code rc = json_check_keys(object, place, keys, r->err);
    if (!rc)
        rc = json_get_str(object, place, "if", &text, r->err);
    if (!rc)
        rc = read_term(r, yyjson_obj_get(object, "then"), below(r, place, "then"), &one->then);
    if (rc)
        return rc;
    text = str_trim(text);
    if (read_missing(text, one) || read_comparison(text, one))
        return ERR_OK;
    err_set(r->err, ERR_INVALID, "%s.if: expected NAME < NUMBER, or NAME is missing, got '%.*s'",
            place, STR_ARG(text));
    return err_hint(r->err, "comparisons are < <= > >= == !=, and the name stands on the left");
}

static enum err_code read_switch(struct reader *r, yyjson_val *object, const char *place,
                                 struct graph_file_node *node)
{
    static const char *const keys[] = {"switch", "default", NULL};
    yyjson_val *list = yyjson_obj_get(object, "switch"), *value;
    size_t i, count = yyjson_arr_size(list);
    node->kind = GRAPH_SWITCH;
    enum err_code rc = json_check_keys(object, place, keys, r->err);
    if (rc)
        return rc;
    if (!yyjson_is_arr(list) || count == 0 || count > GRAPH_CASES_MAX)
        return err_set(r->err, ERR_INVALID, "%s.switch: expected a list of 1 to %d {if, then}",
                       place, GRAPH_CASES_MAX);
    node->cases = arena_calloc(r->arena, count, sizeof(*node->cases));
    if (!node->cases)
        return no_room(r);
    yyjson_arr_foreach(list, i, count, value)
    {
        rc = read_case(r, value, item_of(r, below(r, place, "switch"), i), &node->cases[i]);
        if (rc)
            return rc;
    }
    node->case_count = (int)count;
    return read_term(r, yyjson_obj_get(object, "default"), below(r, place, "default"),
                     &node->otherwise);
}

/* ---- an ensemble ---- */

static enum err_code read_how(struct reader *r, yyjson_val *object, const char *place,
                              const char *key, enum graph_how *how)
{
    struct str text = {0};
    enum err_code rc = json_get_str(object, place, key, &text, r->err);
    for (size_t i = 0; !rc && i < ARRAY_LEN(how_names); i++)
        if (str_equal_c(text, how_names[i])) {
            *how = (enum graph_how)i;
            return ERR_OK;
        }
    return rc ? rc
              : err_set(r->err, ERR_INVALID,
                        "%s.%s: expected average, vote, sum, min, max or concat, got '%.*s'", place,
                        key, STR_ARG(text));
}

static enum err_code read_weights(struct reader *r, yyjson_val *list, const char *place,
                                  struct graph_file_node *node)
{
    size_t i, count = yyjson_arr_size(list);
    yyjson_val *value;
    double sum = 0;
    if (!list)
        return ERR_OK;
    if (node->how != HOW_AVERAGE && node->how != HOW_VOTE)
        return err_set(r->err, ERR_INVALID, "%s.weights: only an average or a vote has them",
                       place);
    if (!yyjson_is_arr(list) || count != (size_t)node->member_count)
        return err_set(r->err, ERR_INVALID, "%s.weights: expected %d numbers, one for each of 'of'",
                       place, node->member_count);
    node->weights = arena_calloc(r->arena, count, sizeof(*node->weights));
    if (!node->weights)
        return no_room(r);
    yyjson_arr_foreach(list, i, count, value)
    {
        double weight = yyjson_is_num(value) ? yyjson_get_num(value) : -1;
        if (!(weight >= 0) || weight > 1e9)
            return err_set(r->err, ERR_INVALID, "%s.weights[%zu]: expected 0 to 1e9", place, i);
        node->weights[i] = weight;
        sum += weight;
    }
    return sum > 0 ? ERR_OK : err_set(r->err, ERR_INVALID, "%s.weights: all of them are 0", place);
}

static enum err_code read_ensemble(struct reader *r, yyjson_val *object, const char *place,
                                   struct graph_file_node *node)
{
    static const char *const keys[] = {"ensemble", "of", "weights", NULL};
    node->kind = GRAPH_ENSEMBLE;
    enum err_code rc = json_check_keys(object, place, keys, r->err);
    if (!rc)
        rc = read_how(r, object, place, "ensemble", &node->how);
    if (!rc)
        rc = read_terms(r, yyjson_obj_get(object, "of"), below(r, place, "of"), GRAPH_NODES_MAX,
                        &node->members, &node->member_count);
    return rc ? rc : read_weights(r, yyjson_obj_get(object, "weights"), place, node);
}

/* ---- a split: a node for each part, then the ensemble of them ---- */

static enum err_code add_node(struct reader *r, const char *name, const char *place,
                              struct graph_file_node **node)
{
    struct graph_file *file = r->file;
    if (file->node_count == GRAPH_NODES_MAX)
        return err_set(r->err, ERR_LIMIT, "%s: more than %d nodes, the parts of splits among them",
                       place, GRAPH_NODES_MAX);
    *node = &file->nodes[file->node_count++];
    (*node)->name = name;
    return name ? ERR_OK : no_room(r);
}

static enum err_code add_part(struct reader *r, const char *parent, struct str part,
                              const char *place, struct graph_term *member,
                              struct graph_file_node **node)
{
    if (!is_node_name(part))
        return err_set(r->err, ERR_INVALID, "%s: '%.*s' is no name of a part", place,
                       STR_ARG(part));
    const char *name = arena_printf(r->arena, "%s/%.*s", parent, STR_ARG(part));
    *member = (struct graph_term){.text = str_of(name)};
    return add_node(r, name, place, node);
}

/* {model: item, rows: [[a1, b1], [a2, b2]]}: the same model for each piece of the row. */
static enum err_code read_pieces(struct reader *r, yyjson_val *split, const char *place,
                                 const char *parent, struct graph_term *members, int *count)
{
    static const char *const keys[] = {"model", "version",  "alias",    "digest",
                                       "rows",  "deadline", "fallback", NULL};
    yyjson_val *rows = yyjson_obj_get(split, "rows"), *row;
    size_t i, size = yyjson_arr_size(rows);
    enum err_code rc = json_check_keys(split, place, keys, r->err);
    if (!rc && (!yyjson_is_arr(rows) || size == 0 || size >= GRAPH_NODES_MAX))
        return err_set(r->err, ERR_INVALID, "%s.rows: expected 1 to %d lists of columns", place,
                       GRAPH_NODES_MAX - 1);
    yyjson_arr_foreach(rows, i, size, row)
    {
        struct graph_file_node *node = NULL;
        char number[STR_NUMBER_BYTES];
        struct str part = {number, str_from_u64(i + 1, number)};
        if (!rc)
            rc = add_part(r, parent, part, place, &members[i], &node);
        if (!rc)
            rc = read_version(r, split, place, node);
        if (!rc)
            rc = read_deadline(r, split, place, &node->deadline_us);
        if (!rc)
            rc = read_fallback(r, yyjson_obj_get(split, "fallback"), place, node);
        if (!rc)
            rc = read_terms(r, row, item_of(r, below(r, place, "rows"), i), GRAPH_COLUMNS_MAX,
                            &node->columns, &node->column_count);
        if (rc)
            return rc;
    }
    *count = (int)size;
    return rc;
}

static enum err_code read_parts(struct reader *r, yyjson_val *split, const char *place,
                                const char *parent, struct graph_term *members, int *count)
{
    size_t i, size = yyjson_obj_size(split);
    yyjson_val *key, *value;
    if (!yyjson_is_obj(split) || size == 0 || size >= GRAPH_NODES_MAX)
        return err_set(r->err, ERR_INVALID, "%s: expected 1 to %d parts, each with its model",
                       place, GRAPH_NODES_MAX - 1);
    yyjson_obj_foreach(split, i, size, key, value)
    {
        struct graph_file_node *node = NULL;
        enum err_code rc = add_part(r, parent, json_str(key), place, &members[i], &node);
        if (!rc)
            rc = read_model(r, value, below(r, place, yyjson_get_str(key)), node);
        if (rc)
            return rc;
    }
    *count = (int)size;
    return ERR_OK;
}

static enum err_code read_split(struct reader *r, yyjson_val *object, const char *place,
                                const char *name)
{
    static const char *const keys[] = {"split", "aggregate", NULL};
    yyjson_val *split = yyjson_obj_get(object, "split");
    const char *at = below(r, place, "split");
    struct graph_term *members = arena_calloc(r->arena, GRAPH_NODES_MAX, sizeof(*members));
    struct graph_file_node *node = NULL;
    int count = 0;
    enum err_code rc = members ? json_check_keys(object, place, keys, r->err) : no_room(r);
    if (!rc)
        rc = yyjson_is_str(yyjson_obj_get(split, "model"))
                 ? read_pieces(r, split, at, name, members, &count)
                 : read_parts(r, split, at, name, members, &count);
    if (!rc)
        rc = add_node(r, name, place, &node);
    if (rc)
        return rc;
    node->kind = GRAPH_ENSEMBLE;
    node->members = members;
    node->member_count = count;
    return read_how(r, object, place, "aggregate", &node->how);
}

/* ---- the whole ---- */

static enum err_code read_node(struct reader *r, struct str name, yyjson_val *object)
{
    if (!is_node_name(name)) {
        err_set(r->err, ERR_INVALID, "nodes: '%.*s' is no name of a node", STR_ARG(name));
        return err_hint(r->err, "a name has letters, digits, - and _, at most %d of them",
                        GRAPH_NAME_BYTES_MAX);
    }
    struct graph_file_node *node = NULL;
    const char *copy = arena_copy(r->arena, name.ptr, name.len);
    const char *place = copy ? below(r, "nodes", copy) : "nodes";
    bool is_split = yyjson_obj_get(object, "split");
    if (!yyjson_is_obj(object))
        return err_set(r->err, ERR_INVALID,
                       "%s: expected an object with model, switch, ensemble "
                       "or split",
                       place);
    enum err_code rc =
        is_split ? read_split(r, object, place, copy) : add_node(r, copy, place, &node);
    if (rc || is_split)
        return rc;
    if (yyjson_obj_get(object, "model"))
        return read_model(r, object, place, node);
    if (yyjson_obj_get(object, "switch"))
        return read_switch(r, object, place, node);
    if (yyjson_obj_get(object, "ensemble"))
        return read_ensemble(r, object, place, node);
    yyjson_obj_iter keys = yyjson_obj_iter_with(object);
    const char *key = yyjson_get_str(yyjson_obj_iter_next(&keys));
    err_set(r->err, ERR_INVALID, "%s: expected model, switch, ensemble or split, got %.*s", place,
            GRAPH_NAME_BYTES_MAX, key ? key : "nothing");
    return err_hint(r->err, "a node that asks a model: {model: NAME}");
}

static enum err_code read_nodes(struct reader *r, yyjson_val *object)
{
    size_t i, count = yyjson_obj_size(object);
    yyjson_val *key, *value;
    if (!yyjson_is_obj(object) || count == 0)
        return err_set(r->err, ERR_INVALID, "nodes: expected NAME: {model, ...}, at least one");
    yyjson_obj_foreach(object, i, count, key, value)
    {
        enum err_code rc = read_node(r, json_str(key), value);
        if (rc)
            return rc;
    }
    return ERR_OK;
}

/* Names that begin with "node." are those of what is recorded. */
static enum err_code read_outputs(struct reader *r, yyjson_val *object)
{
    size_t i, count = yyjson_obj_size(object);
    yyjson_val *key, *value;
    if (!object)
        return ERR_OK;
    if (!yyjson_is_obj(object) || count == 0 || count > GRAPH_OUTPUTS_MAX)
        return err_set(r->err, ERR_INVALID, "outputs: expected NAME: SOURCE, 1 to %d of them",
                       GRAPH_OUTPUTS_MAX);
    yyjson_obj_foreach(object, i, count, key, value)
    {
        struct graph_file_output *output = &r->file->outputs[r->file->output_count++];
        struct str name = json_str(key);
        if (name.len == 0 || name.len > STR_NAME_BYTES_MAX || memchr(name.ptr, '\0', name.len) ||
            str_starts_with(name, STR_LIT("node.")))
            return err_set(r->err, ERR_INVALID,
                           "outputs: '%.*s' is no name of an output: 1 to %d bytes, not 'node.'",
                           STR_ARG(name), STR_NAME_BYTES_MAX);
        output->name = arena_copy(r->arena, name.ptr, name.len);
        enum err_code rc =
            output->name ? read_term(r, value, below(r, "outputs", output->name), &output->from)
                         : no_room(r);
        if (rc)
            return rc;
    }
    return ERR_OK;
}

static enum err_code check_format(struct reader *r, yyjson_val *value)
{
    if (yyjson_is_int(value) && yyjson_get_sint(value) == GRAPH_FORMAT)
        return ERR_OK;
    return err_set(r->err, ERR_INVALID, "graph: expected %d, the format of the file", GRAPH_FORMAT);
}

enum err_code graph_file_tree(struct str bytes, struct arena *arena, yyjson_val **root,
                              struct err *err)
{
    if (bytes.len > GRAPH_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "a graph of %zu bytes, at most %d are read", bytes.len,
                       GRAPH_BYTES_MAX);
    enum err_code rc = yaml_read(bytes, arena, root, err);
    if (!rc && !yyjson_is_obj(*root))
        rc = err_set(err, ERR_INVALID, "the file must be an object with 'graph' and 'nodes'");
    return rc;
}

enum err_code graph_file_read(yyjson_val *root, struct arena *arena, struct graph_file **out,
                              struct err *err)
{
    static const char *const keys[] = {"graph", "description", "features", "inputs",
                                       "nodes", "outputs",     "answer",   NULL};
    struct graph_file *file = arena_calloc(arena, 1, sizeof(*file));
    struct reader r = {.file = file, .arena = arena, .err = err};
    struct str description = {0};
    if (!file)
        return no_room(&r);
    enum err_code rc = json_check_keys(root, "the file", keys, err);
    if (!rc)
        rc = check_format(&r, yyjson_obj_get(root, "graph"));
    if (!rc)
        rc = json_get_str_opt(root, "the file", "description", &description, err);
    if (!rc && yyjson_obj_get(root, "features"))
        rc = read_features(&r, yyjson_obj_get(root, "features"));
    if (!rc && yyjson_obj_get(root, "inputs"))
        rc = read_inputs(&r, yyjson_obj_get(root, "inputs"));
    if (!rc)
        rc = read_nodes(&r, yyjson_obj_get(root, "nodes"));
    if (!rc)
        rc = read_outputs(&r, yyjson_obj_get(root, "outputs"));
    if (!rc)
        rc = json_get_str_opt(root, "the file", "answer", &file->answer, err);
    if (!rc)
        *out = file;
    return rc;
}
