/* realised_slice.c - where a model is wrong more often than elsewhere.
 *
 * Each value of each segment field is compared with all other rows: the difference of the mean
 * losses, by Welch's test, over all slices by Benjamini-Hochberg. Slices are ranked by the lower
 * end of the difference, so that a slice of ten unlucky rows does not lead.
 */
#include <math.h>
#include <stdlib.h>

#include "base/map.h"
#include "monitor/multiple.h"
#include "monitor/realised.h"
#include "monitor/special.h"

#define FALSE_SHARE 0.05

struct sums {
    double n, sum, squares;
};

struct slice {
    struct str field, value;
    struct sums sums;
};

struct slicing {
    struct arena *arena;
    struct map map;                            /* "field\nvalue" -> struct slice */
    struct slice *slices[REALISED_SLICES_MAX]; /* [count] */
    int count;
    struct sums all;
};

static void add_loss(struct sums *sums, double loss)
{
    sums->n++;
    sums->sum += loss;
    sums->squares += loss * loss;
}

static struct slice *find_slice(struct slicing *s, struct str field, struct str value)
{
    const char *key = arena_printf(s->arena, "%.*s\n%.*s", STR_ARG(field), STR_ARG(value));
    struct slice *slice = key ? map_find(&s->map, str_of(key)) : NULL;
    if (slice || !key || s->count == REALISED_SLICES_MAX)
        return slice;
    slice = arena_calloc(s->arena, 1, sizeof(*slice));
    if (!slice)
        return NULL;
    slice->field = (struct str){key, field.len};
    slice->value = (struct str){key + field.len + 1, value.len};
    map_put(&s->map, str_of(key), slice);
    s->slices[s->count++] = slice;
    return slice;
}

static enum err_code add_row(struct slicing *s, const struct realised_row *row,
                             struct arena *scratch, struct err *err)
{
    yyjson_val *root, *key, *value;
    size_t i, count;
    double loss = realised_loss(row);
    add_loss(&s->all, loss);
    if (row->segments.len == 0)
        return ERR_OK;
    arena_reset(scratch);
    enum err_code rc = json_read(row->segments, scratch, &root, err);
    if (rc)
        return rc;
    yyjson_obj_foreach(root, i, count, key, value)
    {
        struct slice *slice = find_slice(s, json_str(key), json_str(value));
        if (slice)
            add_loss(&slice->sums, loss);
    }
    return ERR_OK;
}

static double mean(const struct sums *s)
{
    return s->sum / s->n;
}

/* Squared standard error of the mean. */
static double error_of(const struct sums *s)
{
    return fmax(0, s->squares - s->sum * s->sum / s->n) / (s->n - 1) / s->n;
}

/* One-sided: is the slice worse? */
static double compare(const struct slice *slice, const struct sums *all, struct realised_slice *out)
{
    const struct sums *a = &slice->sums;
    struct sums rest = {all->n - a->n, all->sum - a->sum, all->squares - a->squares};
    double ea = error_of(a), er = error_of(&rest), variance = ea + er;
    double dof = variance * variance / (ea * ea / (a->n - 1) + er * er / (rest.n - 1));
    double difference = mean(a) - mean(&rest);
    double half = variance > 0 ? student_quantile(0.975, dof) * sqrt(variance) : 0;
    *out = (struct realised_slice){
        .field = slice->field,
        .value = slice->value,
        .labelled = (int64_t)a->n,
        .loss = mean(a),
        .rest = mean(&rest),
        .difference = difference,
        .low = difference - half,
        .high = difference + half,
    };
    return variance > 0 ? student_sf(difference / sqrt(variance), dof) : difference > 0 ? 0 : 1;
}

static int by_low(const void *a, const void *b)
{
    const struct realised_slice *x = a, *y = b;
    return (x->low < y->low) - (x->low > y->low);
}

static bool is_comparable(const struct slicing *s, const struct slice *slice)
{
    return slice->sums.n >= REALISED_SLICE_ROWS_MIN &&
           s->all.n - slice->sums.n >= REALISED_SLICE_ROWS_MIN;
}

static enum err_code judge(struct slicing *s, struct realised_slice **slices, int *slice_count,
                           struct err *err)
{
    size_t count = (size_t)s->count + 1;
    struct realised_slice *list = arena_calloc(s->arena, count, sizeof(*list));
    double *p = arena_calloc(s->arena, count, sizeof(*p));
    bool *rejected = arena_calloc(s->arena, count, sizeof(*rejected));
    int n = 0;
    if (!list || !p || !rejected)
        return err_set(err, ERR_LIMIT, "no room for %d slices", s->count);
    for (int i = 0; i < s->count; i++) {
        if (!is_comparable(s, s->slices[i]))
            continue;
        p[n] = compare(s->slices[i], &s->all, &list[n]);
        n++;
    }
    multiple_bh(p, n, FALSE_SHARE, rejected);
    for (int i = 0; i < n; i++)
        list[i].is_worse = rejected[i];
    qsort(list, (size_t)n, sizeof(*list), by_low);
    *slices = list;
    *slice_count = n < REALISED_SLICES_SHOWN ? n : REALISED_SLICES_SHOWN;
    return ERR_OK;
}

enum err_code realised_slices(const struct realised_row *const *rows, int64_t count,
                              struct arena *arena, struct realised_slice **slices, int *slice_count,
                              struct err *err)
{
    struct slicing *s = arena_calloc(arena, 1, sizeof(*s));
    struct arena *scratch = arena_new(1024 * 1024);
    enum err_code rc = s ? ERR_OK : err_set(err, ERR_LIMIT, "no room for slices");
    if (s) {
        s->arena = arena;
        map_init(&s->map);
    }
    for (int64_t i = 0; i < count && !rc; i++)
        rc = add_row(s, rows[i], scratch, err);
    if (!rc)
        rc = judge(s, slices, slice_count, err);
    if (s)
        map_done(&s->map);
    arena_free(scratch);
    return rc;
}
