/* gate_levels.c - cutting a column into levels: texts, categories, quartiles of numbers. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"
#include "rollout/gate_slice.h"

static enum err_code no_room(struct err *err)
{
    return err_set(err, ERR_LIMIT, "the slices need more memory than a gate may take");
}

static bool name_level(struct gate_run *run, struct gate_levels *levels, const char *column,
                       struct str level)
{
    const char *name = level.len ? arena_printf(run->arena, "%s=%.*s", column, STR_ARG(level))
                                 : arena_printf(run->arena, "%s is missing", column);
    levels->names[levels->count++] = name;
    return name != NULL;
}

/* ---- texts ---- */

struct distinct {
    struct str text;
    int64_t count;
    int first; /* order of appearance, so that equal counts keep it */
    int level;
};

static int by_count(const void *a, const void *b)
{
    const struct distinct *x = *(struct distinct *const *)a, *y = *(struct distinct *const *)b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    return x->first - y->first;
}

static enum err_code count_texts(struct gate_run *run, const struct gate_column *column,
                                 struct map *map, struct distinct ***list, int *count,
                                 struct err *err)
{
    for (int64_t i = 0; i < run->data.count; i++) {
        struct distinct *d = map_find(map, column->cells[i]);
        if (!d) {
            if (*count == GATE_DISTINCT_MAX)
                return err_set(err, ERR_LIMIT, "column '%s' has more than %d different values",
                               column->name, GATE_DISTINCT_MAX);
            d = arena_calloc(run->arena, 1, sizeof(*d));
            *list = d ? store_list_grow(run->arena, *list, *count, sizeof(**list)) : NULL;
            if (!*list)
                return no_room(err);
            *d = (struct distinct){.text = column->cells[i], .first = *count};
            (*list)[(*count)++] = d;
            map_put(map, column->cells[i], d);
        }
        d->count++;
    }
    return ERR_OK;
}

static enum err_code place_texts(struct gate_run *run, const struct gate_column *column,
                                 const struct map *map, struct distinct **list, int count,
                                 struct gate_levels *levels, struct err *err)
{
    qsort((void *)list, (size_t)count, sizeof(*list), by_count);
    for (int k = 0; k < count; k++) {
        list[k]->level = k < GATE_LEVELS_MAX ? k : GATE_LEVELS_MAX;
        if (k < GATE_LEVELS_MAX && !name_level(run, levels, column->name, list[k]->text))
            return no_room(err);
    }
    if (count > GATE_LEVELS_MAX && !name_level(run, levels, column->name, STR_LIT("(other)")))
        return no_room(err);
    for (int64_t i = 0; i < run->data.count; i++) {
        const struct distinct *d = map_find(map, column->cells[i]);
        levels->of[i] = d->level;
    }
    return ERR_OK;
}

enum err_code gate_levels_of_texts(struct gate_run *run, const struct gate_column *column,
                                   struct gate_levels *levels, struct err *err)
{
    struct map map;
    struct distinct **list = NULL;
    int count = 0;
    levels->count = 0;
    levels->of = arena_calloc(run->arena, (size_t)run->data.count, sizeof(*levels->of));
    if (!levels->of)
        return no_room(err);
    map_init(&map);
    enum err_code rc = count_texts(run, column, &map, &list, &count, err);
    if (!rc)
        rc = place_texts(run, column, &map, list, count, levels, err);
    map_done(&map);
    return rc;
}

/* ---- features ---- */

static float feature_value(const struct gate_run *run, int64_t i, int column)
{
    const struct rows *rows = &run->data.candidate.rows;
    return rows->values[run->data.origin[i] * rows->contract->value_count + column];
}

static enum err_code cut_categories(struct gate_run *run, int column, struct gate_levels *levels,
                                    struct err *err)
{
    const struct contract_field *field = run->data.candidate.rows.contract->values[column];
    size_t count = (size_t)field->category_count;
    int64_t *counts = arena_calloc(run->arena, count, sizeof(*counts));
    int *level_of = arena_calloc(run->arena, count, sizeof(*level_of));
    if (!counts || !level_of)
        return no_room(err);
    for (size_t k = 0; k < count; k++)
        level_of[k] = -1;
    for (int64_t i = 0; i < run->data.count; i++) {
        float value = feature_value(run, i, column);
        if (!isnan(value))
            counts[(int)value]++;
    }
    for (int top = 0; top < GATE_TOP_LEVELS; top++) {
        size_t best = count;
        for (size_t k = 0; k < count; k++)
            if (level_of[k] < 0 && counts[k] > 0 && (best == count || counts[k] > counts[best]))
                best = k;
        if (best == count)
            break;
        level_of[best] = levels->count;
        if (!name_level(run, levels, field->name, field->categories[best]))
            return no_room(err);
    }
    for (int64_t i = 0; i < run->data.count; i++) {
        float value = feature_value(run, i, column);
        levels->of[i] = isnan(value) ? -1 : level_of[(int)value];
    }
    return ERR_OK;
}

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The distinct quartiles of the present values: 0 to 3 cuts. A cut that is the largest value cuts
 * nothing off. */
static int find_cuts(struct gate_run *run, int column, float cuts[3], struct err *err)
{
    int64_t present = 0;
    int count = 0;
    float *sorted = arena_calloc(run->arena, (size_t)run->data.count, sizeof(*sorted));
    if (!sorted) {
        no_room(err);
        return -1;
    }
    for (int64_t i = 0; i < run->data.count; i++) {
        float value = feature_value(run, i, column);
        if (!isnan(value))
            sorted[present++] = value;
    }
    qsort(sorted, (size_t)present, sizeof(*sorted), by_value);
    for (int q = 1; q <= 3 && present; q++) {
        float cut = sorted[(present - 1) * q / 4];
        if (cut < sorted[present - 1] && (count == 0 || cut > cuts[count - 1]))
            cuts[count++] = cut;
    }
    return count;
}

static bool name_range(struct gate_run *run, struct gate_levels *levels, const char *column,
                       const float *cuts, int count, int at)
{
    const char *name;
    if (at == 0)
        name = arena_printf(run->arena, "%s <= %.4g", column, (double)cuts[0]);
    else if (at == count)
        name = arena_printf(run->arena, "%s > %.4g", column, (double)cuts[count - 1]);
    else
        name = arena_printf(run->arena, "%s in (%.4g, %.4g]", column, (double)cuts[at - 1],
                            (double)cuts[at]);
    levels->names[levels->count++] = name;
    return name != NULL;
}

static enum err_code cut_numbers(struct gate_run *run, int column, struct gate_levels *levels,
                                 struct err *err)
{
    float cuts[3];
    const char *name = run->data.candidate.rows.contract->values[column]->name;
    int count = find_cuts(run, column, cuts, err);
    if (count <= 0)
        return count < 0 ? ERR_LIMIT : ERR_OK;
    for (int k = 0; k <= count; k++)
        if (!name_range(run, levels, name, cuts, count, k))
            return no_room(err);
    for (int64_t i = 0; i < run->data.count; i++) {
        float value = feature_value(run, i, column);
        int level = 0;
        while (level < count && value > cuts[level])
            level++;
        levels->of[i] = isnan(value) ? -1 : level;
    }
    return ERR_OK;
}

enum err_code gate_levels_of_feature(struct gate_run *run, int column, struct gate_levels *levels,
                                     struct err *err)
{
    const struct contract_field *field = run->data.candidate.rows.contract->values[column];
    levels->count = 0;
    levels->of = arena_calloc(run->arena, (size_t)run->data.count, sizeof(*levels->of));
    if (!levels->of)
        return no_room(err);
    return field->is_coded ? cut_categories(run, column, levels, err)
                           : cut_numbers(run, column, levels, err);
}

/* ---- sums ---- */

static void add_row(const struct gate_run *run, int64_t i, struct gate_sums *sums)
{
    double loss = run->loss[i], champion = run->champion_loss[i], more = loss - champion;
    sums->n++;
    sums->loss += loss;
    sums->loss_squares += loss * loss;
    sums->champion_loss += champion;
    sums->more += more;
    sums->more_squares += more * more;
    sums->only_candidate_wrong += loss > 0 && champion == 0;
    sums->only_champion_wrong += champion > 0 && loss == 0;
}

void gate_sum_levels(const struct gate_run *run, const struct gate_levels *levels,
                     struct gate_sums sums[GATE_LEVELS_MAX + 1])
{
    for (int k = 0; k < levels->count; k++)
        sums[k] = (struct gate_sums){0};
    for (int64_t i = 0; i < run->data.count; i++)
        if (levels->of[i] >= 0)
            add_row(run, i, &sums[levels->of[i]]);
}
