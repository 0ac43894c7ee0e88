/* stats.c - numbers about review, from the store. */
#include "review/stats.h"

#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/map.h"
#include "registry/registry_check.h"
#include "review/agreement.h"

/* One current decision a reviewer and item; gold ones are of their own. */
#define SQL_DECISIONS                                                                              \
    "SELECT d.item, d.reviewer, d.label, d.is_gold, d.is_blind, d.took_us, i.answer_label, "       \
    "i.gold_label, i.choices, i.tolerance FROM review_decisions d JOIN review_items i "            \
    "ON i.id = d.item WHERE i.model = ?1 AND i.state <> 'erased' AND d.kind = 'decide' "           \
    "AND NOT EXISTS (SELECT 1 FROM review_decisions e WHERE e.item = d.item AND e.reviewer = "     \
    "d.reviewer AND e.is_gold = d.is_gold AND e.kind <> 'skip' AND e.id > d.id) "                  \
    "ORDER BY d.item DESC, d.id LIMIT ?2"
#define IS_OVERRIDE                                                                                \
    "CASE WHEN state <> 'decided' OR label = answer_label THEN 0 WHEN choices <> '[]' THEN 1 "     \
    "WHEN ABS(CAST(label AS DOUBLE PRECISION) - CAST(answer_label AS DOUBLE PRECISION)) > "        \
    "tolerance THEN 1 ELSE 0 END"
#define SQL_VERSIONS                                                                               \
    "SELECT version, COUNT(*), SUM(CASE WHEN state = 'decided' THEN 1 ELSE 0 END), "               \
    "SUM(" IS_OVERRIDE "), SUM(is_late) "                                                          \
    "FROM review_items WHERE model = ?1 GROUP BY version ORDER BY version DESC LIMIT 1000"
#define SQL_QUEUE                                                                                  \
    "SELECT COUNT(*), SUM(CASE WHEN is_late = 1 OR due_us <= ?2 THEN 1 ELSE 0 END), "              \
    "COALESCE(MIN(created_us), 0) FROM review_items WHERE model = ?1 AND state = 'open'"
#define SQL_RANDOM                                                                                 \
    "SELECT COUNT(*), COUNT(*) - COALESCE(SUM(" IS_OVERRIDE "), 0), 0 "                            \
    "FROM review_items WHERE model = ?1 AND state = 'decided' AND is_random = 1"
#define SQL_MODELS "SELECT DISTINCT model FROM review_items ORDER BY model LIMIT 10000"
#define SQL_TOTALS                                                                                 \
    "SELECT model, version, items, decisions, decision_us, overrides, sla_misses "                 \
    "FROM review_totals ORDER BY model, version LIMIT 100000"
#define SQL_OVERDUE                                                                                \
    "SELECT model, COUNT(*), MIN(due_us) FROM review_items WHERE state = 'open' AND due_us <= ?1 " \
    "GROUP BY model ORDER BY model LIMIT 10000"
#define SQL_OPEN                                                                                   \
    "SELECT COUNT(*), COALESCE(MIN(created_us), 0), 0 FROM review_items WHERE state = 'open'"

enum { STATE_COUNTS = 3 };

/* Decisions in columns, those of one item next to one another. */
struct review_columns {
    struct arena *arena;
    int64_t count;
    int64_t *items;
    int *reviewers, *labels; /* indexes into names and label texts */
    double *numbers;         /* labels as numbers */
    double *seconds;         /* NaN: not leased */
    bool *is_gold;
    struct map reviewer_by_name, label_by_text;
    int label_count;
    struct review_stats *stats;
};

/* ---- reading ---- */

static enum err_code no_room(struct err *err)
{
    return err_set(err, ERR_LIMIT, "no room for the numbers of review");
}

/* The number of a text in a map of texts, which grows; -1 when it is full. */
static int index_of(struct map *map, struct str text, int max, struct arena *arena)
{
    uintptr_t known = (uintptr_t)map_find(map, text);
    if (known)
        return (int)known - 1;
    const char *copy = arena_copy(arena, text.ptr, text.len);
    if (!copy || map->count >= (size_t)max)
        return -1;
    map_put(map, (struct str){copy, text.len}, (void *)(uintptr_t)(map->count + 1));
    return (int)map->count - 1;
}

static bool is_same(struct store_rows *rows, int a, int b)
{
    double x, y, tolerance = store_f64(rows, 9);
    struct str first = store_text(rows, a), second = store_text(rows, b);
    if (str_equal(first, second))
        return true;
    return str_equal_c(store_text(rows, 8), "[]") && str_to_f64(first, &x) &&
           str_to_f64(second, &y) && fabs(x - y) <= tolerance;
}

static void compare(struct review_compared *compared, bool same)
{
    compared->count++;
    compared->same += same;
}

static void note(struct review_columns *c, struct store_rows *rows, struct review_reviewer *who)
{
    bool is_gold = store_i64(rows, 3) != 0, is_blind = store_i64(rows, 4) != 0;
    who->decision_count++;
    if (is_gold) {
        compare(&who->gold, is_same(rows, 2, 7));
        return;
    }
    bool same = is_same(rows, 2, 6);
    compare(is_blind ? &who->blind : &who->shown, same);
    compare(is_blind ? &c->stats->blind : &c->stats->shown, same);
}

static enum err_code read_decision(struct store_rows *rows, void *arg, struct err *err)
{
    struct review_columns *c = arg;
    struct review_stats *stats = c->stats;
    struct str label = store_text(rows, 2);
    int64_t i = c->count, took_us = store_i64(rows, 5);
    int who =
        index_of(&c->reviewer_by_name, store_text(rows, 1), REVIEW_STATS_REVIEWERS_MAX, c->arena);
    int said = index_of(&c->label_by_text, label, REVIEW_STATS_LABELS_MAX, c->arena);
    (void)err;
    if (who < 0 || said < 0)
        return ERR_OK; /* more people or labels than are told apart: left out */
    stats->is_number = str_equal_c(store_text(rows, 8), "[]");
    c->items[i] = store_i64(rows, 0);
    c->reviewers[i] = who;
    c->labels[i] = said;
    c->numbers[i] = 0;
    str_to_f64(label, &c->numbers[i]);
    c->seconds[i] = took_us > 0 ? (double)took_us / 1e6 : NAN;
    c->is_gold[i] = store_i64(rows, 3) != 0;
    c->count++;
    note(c, rows, &stats->reviewers[who]);
    return ERR_OK;
}

static bool make_room(struct review_columns *c)
{
    const size_t rows = REVIEW_STATS_DECISIONS_MAX;
    map_init(&c->reviewer_by_name);
    map_init(&c->label_by_text);
    c->items = arena_calloc(c->arena, rows, sizeof(*c->items));
    c->reviewers = arena_calloc(c->arena, rows, sizeof(*c->reviewers));
    c->labels = arena_calloc(c->arena, rows, sizeof(*c->labels));
    c->numbers = arena_calloc(c->arena, rows, sizeof(*c->numbers));
    c->seconds = arena_calloc(c->arena, rows, sizeof(*c->seconds));
    c->is_gold = arena_calloc(c->arena, rows, sizeof(*c->is_gold));
    c->stats->reviewers =
        arena_calloc(c->arena, REVIEW_STATS_REVIEWERS_MAX, sizeof(*c->stats->reviewers));
    return c->items && c->reviewers && c->labels && c->numbers && c->seconds && c->is_gold &&
           c->stats->reviewers;
}

static enum err_code read_version(struct store_rows *rows, void *arg, struct err *err)
{
    struct review_columns *c = arg;
    struct review_stats *stats = c->stats;
    stats->versions =
        store_list_grow(c->arena, stats->versions, stats->version_count, sizeof(*stats->versions));
    if (!stats->versions)
        return no_room(err);
    stats->versions[stats->version_count++] = (struct review_version){
        .version = store_i64(rows, 0),
        .item_count = store_i64(rows, 1),
        .decided_count = store_i64(rows, 2),
        .override_count = store_i64(rows, 3),
        .late_count = store_i64(rows, 4),
    };
    return ERR_OK;
}

static enum err_code read_counts(struct store_rows *rows, void *arg, struct err *err)
{
    int64_t *counts = arg;
    (void)err;
    for (int i = 0; i < STATE_COUNTS; i++)
        counts[i] = store_i64(rows, i);
    return ERR_OK;
}

/* ---- seconds ---- */

static int compare_numbers(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Nearest rank; NaN of nothing. `values` is sorted. */
static double quantile(const double *values, int64_t count, double q)
{
    if (count == 0)
        return NAN;
    int64_t rank = (int64_t)ceil(q * (double)count);
    return values[rank > 0 ? rank - 1 : 0];
}

/* The known seconds of one reviewer, or of all (-1), sorted into `out`. */
static int64_t sorted_seconds(const struct review_columns *c, int reviewer, double *out)
{
    int64_t count = 0;
    for (int64_t i = 0; i < c->count; i++)
        if (!isnan(c->seconds[i]) && (reviewer < 0 || c->reviewers[i] == reviewer))
            out[count++] = c->seconds[i];
    qsort(out, (size_t)count, sizeof(*out), compare_numbers);
    return count;
}

static bool measure_seconds(struct review_columns *c)
{
    struct review_stats *stats = c->stats;
    double *scratch = arena_calloc(c->arena, (size_t)c->count + 1, sizeof(*scratch));
    if (!scratch)
        return false;
    int64_t count = sorted_seconds(c, -1, scratch);
    stats->median_seconds = quantile(scratch, count, 0.5);
    stats->p90_seconds = quantile(scratch, count, 0.9);
    for (int i = 0; i < stats->reviewer_count; i++)
        stats->reviewers[i].median_seconds = quantile(scratch, sorted_seconds(c, i, scratch), 0.5);
    return true;
}

/* ---- agreement ---- */

static bool measure_alpha(struct review_columns *c)
{
    struct review_stats *stats = c->stats;
    size_t room = (size_t)c->count + 1;
    int *labels = arena_calloc(c->arena, room, sizeof(*labels));
    double *numbers = arena_calloc(c->arena, room, sizeof(*numbers));
    int64_t *items = arena_calloc(c->arena, room, sizeof(*items));
    int64_t count = 0;
    if (!labels || !numbers || !items)
        return false;
    for (int64_t i = 0; i < c->count; i++) {
        if (c->is_gold[i])
            continue;
        labels[count] = c->labels[i];
        numbers[count] = c->numbers[i];
        items[count++] = c->items[i];
    }
    for (int64_t i = 1; i < count; i++) /* once an item: at its second decision */
        stats->alpha_item_count += items[i] == items[i - 1] && (i == 1 || items[i - 2] != items[i]);
    stats->alpha = stats->is_number ? agreement_alpha_numbers(numbers, items, count)
                                    : agreement_alpha(labels, items, count, c->label_count);
    return true;
}

/* Two reviewers and what each said of the items both decided. */
struct pair_labels {
    int a, b; /* reviewers, a < b */
    int64_t count, room;
    int *of_a, *of_b; /* malloc'ed, [room] */
};

static void add_to_pair(struct pair_labels *pair, int label_a, int label_b)
{
    if (pair->count == pair->room) {
        pair->room = pair->room ? 2 * pair->room : 16;
        pair->of_a = realloc(pair->of_a, (size_t)pair->room * sizeof(*pair->of_a));
        pair->of_b = realloc(pair->of_b, (size_t)pair->room * sizeof(*pair->of_b));
        if (!pair->of_a || !pair->of_b)
            abort();
    }
    pair->of_a[pair->count] = label_a;
    pair->of_b[pair->count++] = label_b;
}

/* Where the pair (a, b), a < b, of `people` stands in a triangle. */
static size_t pair_place(int a, int b)
{
    return (size_t)b * (size_t)(b - 1) / 2 + (size_t)a;
}

static void note_pair(const struct review_columns *c, struct pair_labels *pairs, int64_t i,
                      int64_t k)
{
    bool is_in_order = c->reviewers[i] < c->reviewers[k];
    int64_t first = is_in_order ? i : k, second = is_in_order ? k : i;
    struct pair_labels *pair = &pairs[pair_place(c->reviewers[first], c->reviewers[second])];
    pair->a = c->reviewers[first];
    pair->b = c->reviewers[second];
    add_to_pair(pair, c->labels[first], c->labels[second]);
}

static void note_pairs(const struct review_columns *c, struct pair_labels *pairs)
{
    for (int64_t i = 0; i < c->count; i++)
        for (int64_t k = i + 1; k < c->count && c->items[k] == c->items[i]; k++)
            if (!c->is_gold[i] && !c->is_gold[k] && c->reviewers[i] != c->reviewers[k])
                note_pair(c, pairs, i, k);
}

static int compare_pairs(const void *a, const void *b)
{
    int64_t x = ((const struct pair_labels *)a)->count, y = ((const struct pair_labels *)b)->count;
    return (x < y) - (x > y);
}

static void keep_pair(const struct review_columns *c, const struct pair_labels *pair)
{
    struct review_stats *stats = c->stats;
    struct review_pair *kept = &stats->pairs[stats->pair_count++];
    *kept = (struct review_pair){
        .a = stats->reviewers[pair->a].name,
        .b = stats->reviewers[pair->b].name,
        .item_count = pair->count,
        .kappa = stats->is_number
                     ? NAN
                     : agreement_kappa(pair->of_a, pair->of_b, pair->count, c->label_count),
    };
    for (int64_t i = 0; i < pair->count; i++)
        kept->same_count += pair->of_a[i] == pair->of_b[i];
}

static bool measure_pairs(struct review_columns *c)
{
    struct review_stats *stats = c->stats;
    size_t people = (size_t)stats->reviewer_count, place_count = people * (people + 1) / 2 + 1;
    struct pair_labels *pairs = calloc(place_count, sizeof(*pairs));
    stats->pairs = arena_calloc(c->arena, REVIEW_STATS_PAIRS_MAX, sizeof(*stats->pairs));
    if (!pairs)
        abort();
    note_pairs(c, pairs);
    qsort(pairs, place_count, sizeof(*pairs), compare_pairs);
    for (size_t i = 0; stats->pairs && i < place_count && pairs[i].count; i++)
        if (stats->pair_count < REVIEW_STATS_PAIRS_MAX)
            keep_pair(c, &pairs[i]);
    for (size_t i = 0; i < place_count; i++) {
        free(pairs[i].of_a);
        free(pairs[i].of_b);
    }
    free(pairs);
    return stats->pairs != NULL;
}

/* ---- all of it ---- */

static void name_reviewers(struct review_columns *c)
{
    const struct map *map = &c->reviewer_by_name;
    for (size_t i = 0; i < map->slot_count; i++)
        if (map->slots[i].key.ptr)
            c->stats->reviewers[(uintptr_t)map->slots[i].value - 1].name = map->slots[i].key.ptr;
    c->stats->reviewer_count = (int)map->count;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct review_reviewer *)a)->name,
                  ((const struct review_reviewer *)b)->name);
}

static enum err_code read_all(struct store *store, struct review_columns *c, int64_t now_us,
                              struct err *err)
{
    struct review_stats *stats = c->stats;
    int64_t queue[STATE_COUNTS] = {0}, random[STATE_COUNTS] = {0};
    const struct store_value params[] = {STORE_CSTR(stats->model),
                                         STORE_INT(REVIEW_STATS_DECISIONS_MAX)};
    const struct store_value queue_params[] = {STORE_CSTR(stats->model), STORE_INT(now_us)};
    if (registry_each_row(store, SQL_DECISIONS, params, 2, read_decision, c, err) ||
        registry_each_row(store, SQL_VERSIONS, params, 1, read_version, c, err) ||
        registry_each_row(store, SQL_QUEUE, queue_params, 2, read_counts, queue, err) ||
        registry_each_row(store, SQL_RANDOM, params, 1, read_counts, random, err))
        return err->code;
    stats->open_count = queue[0];
    stats->overdue_count = queue[1];
    stats->oldest_us = queue[2];
    stats->random = (struct review_compared){.count = random[0], .same = random[1]};
    stats->random_interval = binomial_wilson(random[1], random[0], 0.05);
    stats->decision_count = c->count;
    return ERR_OK;
}

enum err_code review_stats_read(struct store *store, const char *model, int64_t now_us,
                                struct arena *arena, struct review_stats *stats, struct err *err)
{
    struct review_columns *c = arena_calloc(arena, 1, sizeof(*c));
    *stats = (struct review_stats){.model = model, .alpha = NAN, .columns = c};
    if (!c)
        return no_room(err);
    c->arena = arena;
    c->stats = stats;
    if (!make_room(c))
        return no_room(err);
    enum err_code rc = read_all(store, c, now_us, err);
    name_reviewers(c);
    c->label_count = (int)c->label_by_text.count;
    map_done(&c->reviewer_by_name);
    map_done(&c->label_by_text);
    return rc;
}

enum err_code review_stats_measure(struct review_stats *stats, struct err *err)
{
    struct review_columns *c = stats->columns;
    if (!measure_seconds(c) || !measure_alpha(c) || !measure_pairs(c))
        return no_room(err);
    qsort(stats->reviewers, (size_t)stats->reviewer_count, sizeof(*stats->reviewers),
          compare_names);
    return ERR_OK;
}

/* ---- lists and sums ---- */

struct name_list {
    struct arena *arena;
    const char **names;
    int count;
};

static enum err_code read_name(struct store_rows *rows, void *arg, struct err *err)
{
    struct name_list *list = arg;
    bool is_full = false;
    list->names = store_list_grow(list->arena, list->names, list->count, sizeof(*list->names));
    if (!list->names)
        return no_room(err);
    list->names[list->count++] = store_text_copy(rows, 0, list->arena, &is_full);
    return is_full ? no_room(err) : ERR_OK;
}

enum err_code review_models(struct store *store, struct arena *arena, const char ***models,
                            int *count, struct err *err)
{
    struct name_list list = {.arena = arena};
    if (registry_each_row(store, SQL_MODELS, NULL, 0, read_name, &list, err))
        return err->code;
    *models = list.names;
    *count = list.count;
    return ERR_OK;
}

struct total_list {
    struct arena *arena;
    struct review_total *totals;
    int count;
};

static enum err_code read_total(struct store_rows *rows, void *arg, struct err *err)
{
    struct total_list *list = arg;
    bool is_full = false;
    list->totals = store_list_grow(list->arena, list->totals, list->count, sizeof(*list->totals));
    if (!list->totals)
        return no_room(err);
    list->totals[list->count++] = (struct review_total){
        .model = store_text_copy(rows, 0, list->arena, &is_full),
        .version = store_i64(rows, 1),
        .item_count = store_i64(rows, 2),
        .decision_count = store_i64(rows, 3),
        .decision_us = store_i64(rows, 4),
        .override_count = store_i64(rows, 5),
        .late_count = store_i64(rows, 6),
    };
    return is_full ? no_room(err) : ERR_OK;
}

enum err_code review_totals(struct store *store, struct arena *arena, struct review_total **totals,
                            int *count, struct err *err)
{
    struct total_list list = {.arena = arena};
    if (registry_each_row(store, SQL_TOTALS, NULL, 0, read_total, &list, err))
        return err->code;
    *totals = list.totals;
    *count = list.count;
    return ERR_OK;
}

struct overdue_list {
    struct arena *arena;
    struct review_overdue *models;
    int count;
};

static enum err_code read_overdue(struct store_rows *rows, void *arg, struct err *err)
{
    struct overdue_list *list = arg;
    bool is_full = false;
    list->models = store_list_grow(list->arena, list->models, list->count, sizeof(*list->models));
    if (!list->models)
        return no_room(err);
    list->models[list->count++] = (struct review_overdue){
        .model = store_text_copy(rows, 0, list->arena, &is_full),
        .count = store_i64(rows, 1),
        .oldest_due_us = store_i64(rows, 2),
    };
    return is_full ? no_room(err) : ERR_OK;
}

enum err_code review_overdue(struct store *store, int64_t now_us, struct arena *arena,
                             struct review_overdue **list, int *count, struct err *err)
{
    struct overdue_list found = {.arena = arena};
    const struct store_value params[] = {STORE_INT(now_us)};
    if (registry_each_row(store, SQL_OVERDUE, params, 1, read_overdue, &found, err))
        return err->code;
    *list = found.models;
    *count = found.count;
    return ERR_OK;
}

enum err_code review_open_count(struct store *store, int64_t *count, int64_t *oldest_us,
                                struct err *err)
{
    int64_t counts[STATE_COUNTS] = {0};
    if (registry_each_row(store, SQL_OPEN, NULL, 0, read_counts, counts, err))
        return err->code;
    *count = counts[0];
    *oldest_us = counts[1];
    return ERR_OK;
}
