/* infer_write.c - the judged columns as an ODCS document. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/yaml.h"
#include "contract/infer_table.h"

enum {
    DECILES = 10,
    EDGES_MAX = 2 * DECILES + 2,
    TOP_CATEGORIES = 30, /* bins of their own in a profile */
};

#define OWN_BIN_SHARE 0.2

struct writer {
    struct infer_table *table;
    yyjson_mut_doc *doc;
};

typedef yyjson_mut_val value;

/* --- small pieces ----------------------------------------------------------------------------- */

static value *add_object(struct writer *w, value *parent, const char *key)
{
    value *object = yyjson_mut_obj(w->doc);
    if (yyjson_mut_is_arr(parent))
        yyjson_mut_arr_append(parent, object);
    else
        yyjson_mut_obj_add_val(w->doc, parent, key, object);
    return object;
}

static value *add_array(struct writer *w, value *parent, const char *key)
{
    value *array = yyjson_mut_arr(w->doc);
    if (yyjson_mut_is_arr(parent))
        yyjson_mut_arr_append(parent, array);
    else
        yyjson_mut_obj_add_val(w->doc, parent, key, array);
    return array;
}

static void add_text(struct writer *w, value *object, const char *key, const char *text)
{
    yyjson_mut_obj_add_strcpy(w->doc, object, key, text);
}

/* Whole numbers are written as such: 542, not 542.0. */
static value *number(struct writer *w, double x)
{
    if (x == floor(x) && fabs(x) < 1e15)
        return yyjson_mut_sint(w->doc, (int64_t)x);
    return yyjson_mut_real(w->doc, x);
}

static void add_number(struct writer *w, value *object, const char *key, double x)
{
    yyjson_mut_obj_add_val(w->doc, object, key, number(w, x));
}

static value *add_custom(struct writer *w, value *customs, const char *property)
{
    value *custom = add_object(w, customs, NULL);
    add_text(w, custom, "property", property);
    return custom;
}

/* --- profile ---------------------------------------------------------------------------------- */

static bool holds_own_bin(const struct infer_column *c, double v)
{
    int64_t count = 0;
    for (int64_t i = 0; i < c->present_count; i++)
        count += c->sorted[i] == v;
    return (double)count > OWN_BIN_SHARE * (double)c->row_count;
}

static int add_edge(double *edges, int count, double edge)
{
    int at = count;
    while (at > 0 && (float)edges[at - 1] > (float)edge)
        at--;
    if (at > 0 && (float)edges[at - 1] == (float)edge)
        return count;
    for (int i = count; i > at; i--)
        edges[i] = edges[i - 1];
    edges[at] = edge;
    return count + 1;
}

/* Deciles, and below a value that fills a fifth of the rows one more edge, so that the bin which
 * ends at the value holds nothing else. */
static int find_edges(const struct infer_column *c, double *edges)
{
    int count = 0;
    if (c->present_count == 0)
        return 0;
    for (int i = 1; i < DECILES; i++)
        count = add_edge(edges, count,
                         infer_quantile(c->sorted, c->present_count, (double)i / DECILES));
    double deciles[EDGES_MAX];
    int decile_count = count;
    memcpy(deciles, edges, (size_t)count * sizeof(*deciles));
    for (int i = 0; i < decile_count; i++) {
        double v = deciles[i];
        if (v == c->sorted[0] || !holds_own_bin(c, v))
            continue;
        double below = c->type == TYPE_INTEGER ? v - 1 : (double)nextafterf((float)v, -FLT_MAX);
        count = add_edge(edges, count, below);
    }
    return count;
}

/* Compared as float32, as live values are. */
static void count_bins(const struct infer_column *c, const double *edges, int edge_count,
                       int64_t *counts)
{
    int bin = 0;
    for (int64_t i = 0; i < c->present_count; i++) {
        while (bin < edge_count && (float)c->sorted[i] > (float)edges[bin])
            bin++;
        counts[bin]++;
    }
}

static void add_moments(struct writer *w, value *profile, const struct infer_column *c)
{
    double mean = 0, squares = 0;
    for (int64_t i = 0; i < c->present_count; i++)
        mean += c->sorted[i];
    mean /= (double)c->present_count;
    for (int64_t i = 0; i < c->present_count; i++)
        squares += (c->sorted[i] - mean) * (c->sorted[i] - mean);
    add_number(w, profile, "mean", mean);
    add_number(w, profile, "std", sqrt(squares / (double)c->present_count));
}

static void add_numeric_profile(struct writer *w, value *profile, const struct infer_column *c)
{
    double edges[EDGES_MAX];
    int64_t counts[EDGES_MAX + 1] = {0};
    int edge_count = find_edges(c, edges);
    count_bins(c, edges, edge_count, counts);
    add_text(w, profile, "kind", "numeric");
    yyjson_mut_obj_add_int(w->doc, profile, "n", c->row_count);
    value *edge_list = add_array(w, profile, "edges");
    for (int i = 0; i < edge_count; i++)
        yyjson_mut_arr_append(edge_list, number(w, edges[i]));
    value *count_list = add_array(w, profile, "counts");
    for (int i = 0; i <= edge_count; i++)
        yyjson_mut_arr_add_int(w->doc, count_list, counts[i]);
    yyjson_mut_obj_add_int(w->doc, profile, "missing", c->missing_count);
    if (c->present_count)
        add_moments(w, profile, c);
}

static int compare_distincts(const void *a, const void *b)
{
    const struct infer_distinct *x = a, *y = b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    size_t least = x->text.len < y->text.len ? x->text.len : y->text.len;
    int order = least ? memcmp(x->text.ptr, y->text.ptr, least) : 0;
    return order ? order : (x->text.len > y->text.len) - (x->text.len < y->text.len);
}

/* Most frequent first; equal counts by their bytes. */
static struct infer_distinct *by_count(struct writer *w, const struct infer_column *c)
{
    size_t bytes = (size_t)c->distinct_count * sizeof(struct infer_distinct);
    struct infer_distinct *sorted = arena_alloc(w->table->arena, bytes);
    if (!sorted)
        return NULL;
    if (bytes)
        memcpy(sorted, c->distincts, bytes);
    qsort(sorted, (size_t)c->distinct_count, sizeof(*sorted), compare_distincts);
    return sorted;
}

static bool add_text_profile(struct writer *w, value *profile, const struct infer_column *c)
{
    struct infer_distinct *sorted = by_count(w, c);
    int64_t rest = c->row_count - c->missing_count;
    if (!sorted)
        return false;
    add_text(w, profile, "kind", "categorical");
    yyjson_mut_obj_add_int(w->doc, profile, "n", c->row_count);
    value *top = add_array(w, profile, "top");
    for (int i = 0; i < c->distinct_count && i < TOP_CATEGORIES; i++) {
        value *pair = add_array(w, top, NULL);
        yyjson_mut_arr_add_strncpy(w->doc, pair, sorted[i].text.ptr, sorted[i].text.len);
        yyjson_mut_arr_add_int(w->doc, pair, sorted[i].count);
        rest -= sorted[i].count;
    }
    yyjson_mut_obj_add_int(w->doc, profile, "other", rest);
    yyjson_mut_obj_add_int(w->doc, profile, "missing", c->missing_count);
    return true;
}

/* --- lists and ranges ------------------------------------------------------------------------- */

static value *add_valid_values(struct writer *w, value *property)
{
    value *check = add_object(w, add_array(w, property, "quality"), NULL);
    add_text(w, check, "type", "library");
    add_text(w, check, "metric", "invalidValues");
    value *list = add_array(w, add_object(w, check, "arguments"), "validValues");
    yyjson_mut_obj_add_int(w->doc, check, "mustBe", 0);
    return list;
}

static int compare_names(const void *a, const void *b)
{
    struct infer_distinct x = {*(const struct str *)a, 0}, y = {*(const struct str *)b, 0};
    return compare_distincts(&x, &y);
}

static bool add_categories(struct writer *w, value *property, const struct infer_column *c)
{
    value *list = add_valid_values(w, property);
    if (c->given) {
        for (int i = 0; i < c->given->count; i++)
            yyjson_mut_arr_add_strcpy(w->doc, list, c->given->names[i]);
        return true;
    }
    struct str *names = arena_calloc(w->table->arena, (size_t)c->distinct_count, sizeof(*names));
    if (!names)
        return false;
    for (int i = 0; i < c->distinct_count; i++)
        names[i] = c->distincts[i].text;
    qsort(names, (size_t)c->distinct_count, sizeof(*names), compare_names);
    for (int i = 0; i < c->distinct_count; i++)
        yyjson_mut_arr_add_strncpy(w->doc, list, names[i].ptr, names[i].len);
    return true;
}

static void add_listed(struct writer *w, value *property, const struct infer_column *c)
{
    value *list = add_valid_values(w, property);
    for (int64_t i = 0; i < c->present_count; i++)
        if (i == 0 || c->sorted[i] != c->sorted[i - 1])
            yyjson_mut_arr_append(list, number(w, c->sorted[i]));
}

/* Outward to three digits of the range: bounds are a guess and should look like one. */
static double rounded_out(double x, double range, bool is_up)
{
    double step = pow(10, floor(log10(range)) - 2);
    if (step < 1e-300)
        return x;
    double at = is_up ? ceil(x / step) : floor(x / step);
    /* Dividing by a power of ten above 1 gives the nearest double to the decimal. */
    return step < 1 ? at / round(1 / step) : at * step;
}

static bool has_range(const struct infer_column *c)
{
    return infer_column_is_number(c) && !c->is_id && !infer_is_listed(c) &&
           c->number_distinct_count > 1;
}

static void add_range(struct writer *w, value *property, const struct infer_column *c)
{
    double min = c->sorted[0], max = c->sorted[c->present_count - 1], range = max - min;
    double low = min - range / 2, high = max + range / 2;
    if (min >= 0 && low < 0)
        low = 0;
    value *options = add_object(w, property, "logicalTypeOptions");
    if (c->type == TYPE_INTEGER) {
        low = ceil(low);
        high = floor(high);
    } else {
        low = rounded_out(low, range, false);
        high = rounded_out(high, range, true);
    }
    add_number(w, options, "minimum", low == 0 ? 0 : low);
    add_number(w, options, "maximum", high);
}

/* --- one field -------------------------------------------------------------------------------- */

static const char *physical_type(const struct infer_column *c, bool is_categorical)
{
    switch (c->type) {
    case TYPE_NUMBER:
        return "float64";
    case TYPE_INTEGER:
        return "int64";
    case TYPE_BOOLEAN:
        return "bool";
    case TYPE_DATE:
        return "date32";
    case TYPE_TIMESTAMP:
        return "timestamp";
    case TYPE_STRING:
        break;
    }
    return is_categorical ? "dictionary<utf8>" : "utf8";
}

static bool is_required(const struct infer_table *t, const struct infer_column *c)
{
    int64_t least = t->options->required_rows_min;
    least = least ? least : INFER_REQUIRED_ROWS_MIN;
    return c->missing_count == 0 && t->row_count >= least;
}

static void add_markers(struct writer *w, value *customs, const struct infer_column *c)
{
    if (c->marker_count + c->number_marker_count == 0)
        return;
    value *list = add_array(w, add_custom(w, customs, "missingMarkers"), "value");
    for (int i = 0; i < c->marker_count; i++)
        yyjson_mut_arr_add_strncpy(w->doc, list, c->markers[i].ptr, c->markers[i].len);
    for (int i = 0; i < c->number_marker_count; i++)
        yyjson_mut_arr_append(list, number(w, c->number_markers[i]));
}

static void add_policy(struct writer *w, value *customs, const struct infer_column *c,
                       bool is_categorical)
{
    bool is_listed = infer_is_listed(c);
    if (!is_categorical && !is_listed && !has_range(c))
        return;
    value *policy = add_object(w, add_custom(w, customs, "slipwayPolicy"), "value");
    if (has_range(c))
        add_text(w, policy, "outOfRange", "quarantine");
    else
        add_text(w, policy, "unknownCategory", is_listed ? "quarantine" : "other");
}

static bool add_customs(struct writer *w, value *property, const struct infer_column *c,
                        bool is_categorical)
{
    value *customs = add_array(w, property, "customProperties");
    bool is_ok = true;
    value *role = add_custom(w, customs, "slipwayRole");
    add_text(w, role, "value", contract_role_name(c->role));
    if (*c->unit)
        add_text(w, add_custom(w, customs, "unit"), "value", c->unit);
    add_markers(w, customs, c);
    if (c->role == ROLE_KEY || c->role == ROLE_TIMESTAMP)
        return true;
    if (c->role != ROLE_LABEL)
        add_policy(w, customs, c, is_categorical);
    if (has_range(c) && c->role != ROLE_LABEL)
        yyjson_mut_obj_add_bool(w->doc, add_custom(w, customs, "slipwayInferred"), "value", true);
    if (infer_column_is_number(c))
        add_numeric_profile(w, add_object(w, add_custom(w, customs, "slipwayReference"), "value"),
                            c);
    else if (is_categorical)
        is_ok = add_text_profile(
            w, add_object(w, add_custom(w, customs, "slipwayReference"), "value"), c);
    return is_ok;
}

static bool add_field(struct writer *w, value *properties, const struct infer_column *c)
{
    bool is_categorical = c->role != ROLE_KEY && infer_is_categorical(w->table, c);
    value *property = add_object(w, properties, NULL);
    add_text(w, property, "name", c->name);
    add_text(w, property, "logicalType",
             contract_type_name(is_categorical ? TYPE_STRING : c->type));
    add_text(w, property, "physicalType", physical_type(c, is_categorical));
    if (c->role == ROLE_KEY)
        yyjson_mut_obj_add_bool(w->doc, property, "primaryKey", true);
    yyjson_mut_obj_add_bool(w->doc, property, "required",
                            c->role != ROLE_LABEL && is_required(w->table, c));
    if (c->role != ROLE_KEY && c->role != ROLE_LABEL && !is_categorical && has_range(c))
        add_range(w, property, c);
    if (is_categorical && !add_categories(w, property, c))
        return false;
    if (!is_categorical && c->role != ROLE_KEY && c->role != ROLE_LABEL && infer_is_listed(c))
        add_listed(w, property, c);
    return add_customs(w, property, c, is_categorical);
}

/* --- the answer ------------------------------------------------------------------------------- */

static bool is_taken(const struct infer_table *t, const char *name)
{
    for (int i = 0; i < t->column_count; i++)
        if (strcmp(t->columns[i].name, name) == 0)
            return true;
    return false;
}

static value *add_answer(struct writer *w, value *properties, const char *name, const char *type)
{
    value *property = add_object(w, properties, NULL);
    char longer[32];
    snprintf(longer, sizeof(longer), "%s_", name);
    add_text(w, property, "name", is_taken(w->table, name) ? longer : name);
    add_text(w, property, "logicalType", type);
    return property;
}

static void add_role(struct writer *w, value *property, const char *role)
{
    value *customs = add_array(w, property, "customProperties");
    add_text(w, add_custom(w, customs, "slipwayRole"), "value", role);
}

static void add_prediction(struct writer *w, value *properties)
{
    const struct infer_table *t = w->table;
    if (!t->label)
        return;
    value *property = add_answer(w, properties, "prediction", t->class_count ? "string" : "number");
    if (t->class_count) {
        value *list = add_valid_values(w, property);
        for (int i = 0; i < t->class_count; i++) {
            if (t->options->class_count)
                yyjson_mut_arr_add_strcpy(w->doc, list, t->options->classes[i]);
            else
                yyjson_mut_arr_add_strncpy(w->doc, list, t->classes[i].ptr, t->classes[i].len);
        }
    }
    add_role(w, property, "prediction");
    if (t->class_count == 0)
        return;
    property = add_answer(w, properties, "score", "number");
    value *options = add_object(w, property, "logicalTypeOptions");
    yyjson_mut_obj_add_int(w->doc, options, "minimum", 0);
    yyjson_mut_obj_add_int(w->doc, options, "maximum", 1);
    add_role(w, property, "score");
}

/* --- the document ----------------------------------------------------------------------------- */

static bool add_fields(struct writer *w, value *schema)
{
    struct infer_table *t = w->table;
    value *properties = add_array(w, schema, "properties");
    for (int i = 0; i < t->column_count; i++) {
        if (t->columns[i].is_ignored)
            continue;
        t->report->field_count++;
        if (!add_field(w, properties, &t->columns[i]))
            return false;
    }
    add_prediction(w, properties);
    return true;
}

static bool build(struct writer *w, value *root)
{
    const struct infer_options *o = w->table->options;
    const char *model = o->model ? o->model : "model";
    char text[160];
    add_text(w, root, "apiVersion", "v3.1.0");
    add_text(w, root, "kind", "DataContract");
    add_text(w, root, "id", model);
    snprintf(text, sizeof(text), "Input and output of %s", model);
    add_text(w, root, "name", text);
    add_text(w, root, "version", "1.0.0");
    add_text(w, root, "status", "draft");
    snprintf(text, sizeof(text), "Inferred from %lld rows; to be completed by a person",
             (long long)w->table->row_count);
    add_text(w, add_object(w, root, "description"), "purpose", text);
    value *schema = add_object(w, add_array(w, root, "schema"), NULL);
    add_text(w, schema, "name", "row");
    add_text(w, schema, "logicalType", "object");
    if (!add_fields(w, schema))
        return false;
    if (o->owner) {
        value *members = add_array(w, add_object(w, root, "team"), "members");
        value *member = add_object(w, members, NULL);
        add_text(w, member, "username", o->owner);
        add_text(w, member, "role", "owner");
    }
    value *customs = add_array(w, root, "customProperties");
    add_text(w, add_custom(w, customs, "slipwayCompatibility"), "value", "backward");
    return true;
}

enum err_code infer_write(struct infer_table *t, struct buf *yaml, struct err *err)
{
    struct writer w = {.table = t, .doc = yyjson_mut_doc_new(NULL)};
    if (!w.doc)
        abort();
    value *root = yyjson_mut_obj(w.doc);
    yyjson_mut_doc_set_root(w.doc, root);
    bool is_ok = build(&w, root);
    yyjson_doc *doc = is_ok ? yyjson_mut_doc_imut_copy(w.doc, NULL) : NULL;
    yyjson_mut_doc_free(w.doc);
    if (doc)
        yaml_write(yaml, yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
    if (!doc || yaml->is_full)
        return err_set(err, ERR_LIMIT, "no room for the contract");
    return ERR_OK;
}
