/* tally_store.c - tallies as rows, their cells as text, and read back in order of time. */
#include "monitor/tally_store.h"

#include <stdlib.h>

#include "base/check.h"
#include "registry/registry_check.h"

#define NUMBER(v) ((struct store_value){STORE_F64, {.f64 = (v)}})
#define SQL_PUT                                                                                    \
    "INSERT INTO tallies (model, version, arm, rollout, start_us, run_us, requests, failures, "    \
    "rejected, rows, suspects, latency, latency_ns, class_count, scores, value_sum, "              \
    "value_squares) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, "    \
    "?16, ?17) ON CONFLICT (model, start_us, version, arm, rollout, run_us) DO UPDATE SET "        \
    "requests = excluded.requests, failures = excluded.failures, rejected = excluded.rejected, "   \
    "rows = excluded.rows, suspects = excluded.suspects, latency = excluded.latency, "             \
    "latency_ns = excluded.latency_ns, scores = excluded.scores, "                                 \
    "value_sum = excluded.value_sum, value_squares = excluded.value_squares"
#define SQL_EACH                                                                                   \
    "SELECT version, arm, rollout, start_us, requests, failures, rejected, rows, suspects, "       \
    "latency, latency_ns, class_count, scores, value_sum, value_squares FROM tallies "             \
    "WHERE model = ?1 AND start_us >= ?2 AND start_us < ?3 AND (?4 = 0 OR version = ?4) AND "      \
    "(?5 = 0 OR rollout = ?5) ORDER BY start_us, version, arm"
#define SQL_MODELS "SELECT name FROM models"
/* From day to day by the index; no row when there are fewer. */
#define SQL_FIRST_KEPT                                                                             \
    "WITH RECURSIVE day (n, from_us) AS (SELECT 1, (SELECT MAX(start_us) FROM tallies WHERE "      \
    "model = ?1) / ?2 * ?2 UNION ALL SELECT n + 1, (SELECT MAX(start_us) FROM tallies WHERE "      \
    "model = ?1 AND start_us < from_us) / ?2 * ?2 FROM day WHERE n < ?3 AND from_us IS NOT NULL) " \
    "SELECT from_us FROM day WHERE n = ?3 AND from_us IS NOT NULL"
#define SQL_PRUNE "DELETE FROM tallies WHERE model = ?1 AND start_us < ?2"

enum { CELLS_BYTES_MAX = 4 * 1024 * 1024 };

void tally_row_init(struct tally_row *row)
{
    *row = (struct tally_row){0};
    buf_init(&row->latency, CELLS_BYTES_MAX);
    buf_init(&row->scores, CELLS_BYTES_MAX);
}

void tally_row_done(struct tally_row *row)
{
    buf_done(&row->latency);
    buf_done(&row->scores);
}

void tally_cells_write(struct buf *out, const int64_t *cells, int cell_count)
{
    bool is_first = true;
    for (int i = 0; i < cell_count; i++) {
        if (cells[i] == 0)
            continue;
        if (!is_first)
            buf_char(out, ',');
        is_first = false;
        buf_i64(out, i);
        buf_char(out, ':');
        buf_i64(out, cells[i]);
    }
}

bool tally_cells_read(struct str text, int64_t *cells, int cell_count)
{
    struct str pair, cell;
    int64_t at, count;
    memset(cells, 0, (size_t)cell_count * sizeof(*cells));
    while (text.len && str_split(&text, ',', &pair)) {
        if (!str_split(&pair, ':', &cell) || !str_to_i64(cell, &at) || !str_to_i64(pair, &count) ||
            at < 0 || at >= cell_count || count < 0)
            return false;
        cells[at] += count;
    }
    return true;
}

void tally_row_write(struct tally_row *row, const struct tally *tally, int64_t run_us)
{
    _Static_assert(sizeof(uint64_t) == sizeof(int64_t), "counts are written as they are");
    buf_clear(&row->latency);
    buf_clear(&row->scores);
    row->head = *tally;
    row->head.scores = NULL;
    row->run_us = run_us;
    tally_cells_write(&row->latency, (const int64_t *)tally->latency.counts, HISTOGRAM_BUCKETS);
    if (tally->scores)
        tally_cells_write(&row->scores, tally->scores, tally->class_count * ESTIMATE_BINS);
}

enum err_code tally_row_put(const struct tally_row *row, struct store *store, struct err *err)
{
    const struct tally *t = &row->head;
    if (row->latency.is_full || row->scores.is_full)
        return err_set(err, ERR_LIMIT, "the tally of '%s' is larger than %d bytes", t->model,
                       CELLS_BYTES_MAX);
    const struct store_value params[] = {
        STORE_CSTR(t->model),
        STORE_INT(t->version),
        STORE_CSTR(arm_name(t->arm)),
        STORE_INT(t->rollout),
        STORE_INT(t->start_us),
        STORE_INT(row->run_us),
        STORE_INT(t->requests),
        STORE_INT(t->failures),
        STORE_INT(t->rejected),
        STORE_INT(t->rows),
        STORE_INT(t->suspects),
        STORE_STR(buf_view(&row->latency)),
        STORE_INT((int64_t)t->latency.sum_ns),
        STORE_INT(t->class_count),
        STORE_STR(buf_view(&row->scores)),
        NUMBER(t->value_sum),
        NUMBER(t->value_squares),
    };
    return store_exec(store, SQL_PUT, params, 17, NULL, err);
}

/* ---- reading back ---- */

struct reading {
    const char *model;
    tally_fn *fn;
    void *arg;
    struct tally tally;
    int64_t scores[PREDICTED_CLASSES_MAX * ESTIMATE_BINS];
};

static enum arm arm_of(struct str name)
{
    for (int i = 0; i < ARM_COUNT; i++)
        if (str_equal_c(name, arm_name((enum arm)i)))
            return (enum arm)i;
    return ARM_NONE;
}

static enum err_code damaged(const struct tally *t, struct err *err)
{
    return err_set(err, ERR_IO, "the tally of '%s' version %lld is damaged", t->model,
                   (long long)t->version);
}

static enum err_code read_cells(struct store_rows *rows, struct reading *r, struct err *err)
{
    struct tally *t = &r->tally;
    struct str scores = store_text(rows, 12);
    if (!tally_cells_read(store_text(rows, 9), (int64_t *)t->latency.counts, HISTOGRAM_BUCKETS))
        return damaged(t, err);
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
        t->latency.count += t->latency.counts[i];
    if (scores.len == 0)
        return ERR_OK;
    t->scores = r->scores;
    bool is_sound = t->class_count >= 2 && t->class_count <= PREDICTED_CLASSES_MAX &&
                    tally_cells_read(scores, r->scores, t->class_count * ESTIMATE_BINS);
    return is_sound ? ERR_OK : damaged(t, err);
}

static enum err_code read_tally(struct store_rows *rows, void *arg, struct err *err)
{
    struct reading *r = arg;
    r->tally = (struct tally){
        .model = r->model,
        .version = store_i64(rows, 0),
        .arm = arm_of(store_text(rows, 1)),
        .rollout = store_i64(rows, 2),
        .start_us = store_i64(rows, 3),
        .requests = store_i64(rows, 4),
        .failures = store_i64(rows, 5),
        .rejected = store_i64(rows, 6),
        .rows = store_i64(rows, 7),
        .suspects = store_i64(rows, 8),
        .latency = {.sum_ns = (uint64_t)store_i64(rows, 10)},
        .class_count = (int)store_i64(rows, 11),
        .value_sum = store_f64(rows, 13),
        .value_squares = store_f64(rows, 14),
    };
    enum err_code rc = read_cells(rows, r, err);
    return rc ? rc : r->fn(r->arg, &r->tally, err);
}

enum err_code tally_each(struct store *store, const struct tally_query *query, tally_fn *fn,
                         void *arg, struct err *err)
{
    const struct store_value params[] = {
        STORE_CSTR(query->model),  STORE_INT(query->from_us), STORE_INT(query->to_us),
        STORE_INT(query->version), STORE_INT(query->rollout),
    };
    struct reading *reading = calloc(1, sizeof(*reading));
    if (!reading)
        abort();
    reading->model = query->model;
    reading->fn = fn;
    reading->arg = arg;
    enum err_code rc = registry_each_row(store, SQL_EACH, params, 5, read_tally, reading, err);
    free(reading);
    return rc;
}

void tally_add(struct tally *into, const struct tally *one)
{
    into->requests += one->requests;
    into->failures += one->failures;
    into->rejected += one->rejected;
    into->rows += one->rows;
    into->suspects += one->suspects;
    into->value_sum += one->value_sum;
    into->value_squares += one->value_squares;
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
        into->latency.counts[i] += one->latency.counts[i];
    into->latency.sum_ns += one->latency.sum_ns;
    into->latency.count += one->latency.count;
    if (!into->scores || !one->scores || into->class_count != one->class_count)
        return;
    for (int i = 0; i < one->class_count * ESTIMATE_BINS; i++)
        into->scores[i] += one->scores[i];
}

/* ---- age ---- */

struct model_list {
    struct arena *arena;
    const char **names;
    int count;
};

static enum err_code read_model(struct store_rows *rows, void *arg, struct err *err)
{
    struct model_list *c = arg;
    bool is_full = false;
    c->names = store_list_grow(c->arena, c->names, c->count, sizeof(*c->names));
    if (c->names)
        c->names[c->count++] = store_text_copy(rows, 0, c->arena, &is_full);
    return c->names && !is_full ? ERR_OK : err_set(err, ERR_LIMIT, "no room to read models");
}

static enum err_code prune_model(struct store *store, const char *model, struct err *err)
{
    int64_t first_us = INT64_MIN;
    const struct store_value query[] = {STORE_CSTR(model), STORE_INT(24 * 6 * TALLY_SPAN_US),
                                        STORE_INT(TALLY_DAYS_KEPT)};
    enum err_code rc =
        registry_read_number(store, SQL_FIRST_KEPT, query, 3, INT64_MIN, &first_us, err);
    const struct store_value params[] = {STORE_CSTR(model), STORE_INT(first_us)};
    return rc || first_us == INT64_MIN ? rc : store_exec(store, SQL_PRUNE, params, 2, NULL, err);
}

enum err_code tally_prune(struct store *store, struct arena *arena, struct err *err)
{
    struct model_list list = {.arena = arena};
    enum err_code rc = registry_each_row(store, SQL_MODELS, NULL, 0, read_model, &list, err);
    for (int i = 0; i < list.count && !rc; i++)
        rc = prune_model(store, list.names[i], err);
    return rc;
}
