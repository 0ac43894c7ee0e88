/* odcs_profile.c - the custom property slipwayReference: counts of the training rows per bin.
 *
 *     numeric      {kind: numeric, n, edges: [e0, e1, ...], counts: [...], missing, mean, std}
 *     categorical  {kind: categorical, n, top: [[category, count], ...], other, missing}
 */
#include "contract/odcs.h"

#include <float.h>
#include <math.h>

#include "base/check.h"

static const char *const numeric_keys[] = {"kind",    "n",    "edges", "counts",
                                           "missing", "mean", "std",   NULL};
static const char *const categorical_keys[] = {"kind", "n", "top", "other", "missing", NULL};

static const double count_max = 9007199254740992.0; /* 2^53: every count is exact as a double */

static bool to_count(yyjson_val *value, int64_t *out)
{
    double number = yyjson_get_num(value);
    if (!yyjson_is_num(value) || !(number >= 0 && number < count_max) || number != floor(number))
        return false;
    *out = (int64_t)number;
    return true;
}

static enum err_code read_count(struct place *place, yyjson_val *object, const char *key,
                                int64_t *out)
{
    yyjson_val *value = yyjson_obj_get(object, key);
    if (to_count(value, out))
        return ERR_OK;
    return place_fail_at(place, key, "expected a count, got %s",
                         value ? place_describe(place, value) : "nothing");
}

static enum err_code check_sum(struct place *place, const struct contract_profile *p)
{
    double sum = (double)p->missing_count;
    for (int i = 0; i < p->bin_count; i++)
        sum += (double)p->counts[i];
    if (sum != (double)p->row_count)
        return place_fail(place, "counts and missing sum to %.0f, but n is %lld", sum,
                          (long long)p->row_count);
    return ERR_OK;
}

static enum err_code read_edges(struct place *place, yyjson_val *list, struct contract_profile *p)
{
    size_t i, count = yyjson_arr_size(list);
    yyjson_val *value;
    if (!yyjson_is_arr(list) || count > CONTRACT_EDGES_MAX)
        return place_fail_at(place, "edges", "expected a list of at most %d numbers",
                             (int)CONTRACT_EDGES_MAX);
    double *edges = arena_calloc(place->arena, count, sizeof(*edges));
    if (!edges)
        return place_full(place);
    yyjson_arr_foreach(list, i, count, value)
    {
        double edge = yyjson_get_num(value);
        if (!yyjson_is_num(value) || !(fabs(edge) <= (double)FLT_MAX))
            return place_fail_at(place, "edges", "expected numbers, got %s at index %zu",
                                 place_describe(place, value), i);
        edges[i] = (double)(float)edge;
        if (i > 0 && edges[i] <= edges[i - 1])
            return place_fail_at(place, "edges", "must ascend (as float32); index %zu does not", i);
    }
    p->edges = edges;
    p->edge_count = (int)count;
    return ERR_OK;
}

static enum err_code read_counts(struct place *place, yyjson_val *list, int expected,
                                 struct contract_profile *p)
{
    size_t i, count = yyjson_arr_size(list);
    yyjson_val *value;
    if (!yyjson_is_arr(list) || count != (size_t)expected)
        return place_fail_at(place, "counts", "expected a list of %d counts, one more than edges",
                             expected);
    int64_t *counts = arena_calloc(place->arena, count, sizeof(*counts));
    if (!counts)
        return place_full(place);
    yyjson_arr_foreach(list, i, count, value)
    {
        if (!to_count(value, &counts[i]))
            return place_fail_at(place, "counts", "expected counts, got %s at index %zu",
                                 place_describe(place, value), i);
    }
    p->counts = counts;
    p->bin_count = expected;
    return ERR_OK;
}

static enum err_code read_numeric(struct place *place, yyjson_val *value,
                                  struct contract_profile *p)
{
    enum err_code code;
    if ((code = place_check_keys(place, value, numeric_keys)) ||
        (code = read_edges(place, yyjson_obj_get(value, "edges"), p)) ||
        (code = read_counts(place, yyjson_obj_get(value, "counts"), p->edge_count + 1, p)) ||
        (code = place_number(place, value, "mean", &p->mean, NULL)) ||
        (code = place_number(place, value, "std", &p->std, NULL)))
        return code;
    return check_sum(place, p);
}

/* One [category, count] pair: the category gets a bin of its own. */
static enum err_code read_top(struct place *place, yyjson_val *pair, const struct contract_field *f,
                              int bin, int *bins, int64_t *count)
{
    yyjson_val *name = yyjson_arr_get(pair, 0);
    if (!yyjson_is_arr(pair) || yyjson_arr_size(pair) != 2 || !yyjson_is_str(name) ||
        !to_count(yyjson_arr_get(pair, 1), count))
        return place_fail(place, "expected [category, count]");
    uintptr_t code_1 = (uintptr_t)map_find(&f->category_codes, json_str(name));
    if (!code_1)
        return place_fail(place, "'%.*s' is not among the valid values", STR_ARG(json_str(name)));
    bins[code_1 - 1] = bin;
    return ERR_OK;
}

static enum err_code read_tops(struct place *place, yyjson_val *value,
                               const struct contract_field *f, struct contract_profile *p)
{
    yyjson_val *list = yyjson_obj_get(value, "top"), *pair;
    size_t i, count = yyjson_arr_size(list);
    if (!yyjson_is_arr(list) || count > (size_t)f->category_count)
        return place_fail_at(place, "top", "expected a list of at most %d [category, count]",
                             f->category_count);
    int64_t *counts = arena_calloc(place->arena, count + 1, sizeof(*counts));
    int *bins = arena_calloc(place->arena, (size_t)f->category_count, sizeof(*bins));
    if (!counts || !bins)
        return place_full(place);
    for (int k = 0; k < f->category_count; k++)
        bins[k] = (int)count;
    yyjson_arr_foreach(list, i, count, pair)
    {
        size_t mark = place_push(place, ".top[%zu]", i);
        enum err_code code = read_top(place, pair, f, (int)i, bins, &counts[i]);
        if (code)
            return code;
        place_pop(place, mark);
    }
    p->bin_count = (int)count + 1;
    p->counts = counts;
    p->category_bins = bins;
    return read_count(place, value, "other", &counts[count]);
}

static enum err_code read_categorical(struct place *place, yyjson_val *value,
                                      const struct contract_field *f, struct contract_profile *p)
{
    enum err_code code;
    if (f->category_count == 0) {
        place_fail(place, "a categorical profile needs the list of valid values");
        return err_hint(place->err, "add quality invalidValues with arguments.validValues");
    }
    if ((code = place_check_keys(place, value, categorical_keys)) ||
        (code = read_tops(place, value, f, p)))
        return code;
    return check_sum(place, p);
}

enum err_code odcs_read_profile(struct place *place, yyjson_val *value, struct contract_field *f)
{
    static const char *const kinds[] = {"numeric", "categorical", NULL};
    int kind = -1;
    bool is_categorical = f->type == TYPE_STRING;
    struct contract_profile profile = {0};
    size_t mark = place_push(place, ".value");
    enum err_code code = place_choice(place, value, "kind", kinds, &kind);
    if (code)
        return code;
    if (kind != (is_categorical ? 1 : 0) || f->type == TYPE_DATE || f->type == TYPE_TIMESTAMP)
        return place_fail_at(place, "kind", "does not fit a field of type %s",
                             contract_type_name(f->type));
    if ((code = read_count(place, value, "n", &profile.row_count)) ||
        (code = read_count(place, value, "missing", &profile.missing_count)))
        return code;
    code = is_categorical ? read_categorical(place, value, f, &profile)
                          : read_numeric(place, value, &profile);
    if (code)
        return code;
    f->profile = profile;
    f->has_profile = true;
    place_pop(place, mark);
    return ERR_OK;
}
