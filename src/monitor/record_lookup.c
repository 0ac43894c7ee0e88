/* record_lookup.c - what is joined later finds its prediction among the kept records. */
#include "base/check.h"
#include "monitor/record_store_own.h"

enum { SCRATCH_BYTES_MAX = 256 * 1024 * 1024 };

static enum err_code refuse_two(struct str id, const char *a, const char *b, struct err *err)
{
    err_set(err, ERR_CONFLICT, "'%.*s' is a prediction of '%s' and of '%s'", STR_ARG(id), a, b);
    return err_hint(err, "name the model too");
}

/* When no model is named, no other one may have the id. */
static enum err_code check_alone(struct record_store *store, struct str id,
                                 const struct record_query *query, const struct record *found,
                                 struct arena *arena, struct err *err)
{
    int64_t row;
    struct record other;
    struct err ignored = {0};
    struct record_query others = *query;
    others.not_model = found->schema->model;
    if (query->model || record_store_find(store, &others, arena, &other, &row, &ignored))
        return ERR_OK;
    return refuse_two(id, found->schema->model, other.schema->model, err);
}

static enum err_code not_kept(struct str id, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "no prediction '%.*s' is kept", STR_ARG(id));
}

static enum err_code read_row(struct record_store *store, const struct record *record, int64_t row,
                              struct arena *arena, struct predicted *predicted, struct err *err)
{
    enum err_code rc = predicted_read(record, row, arena, predicted, err);
    if (!rc && store->shadow)
        store->shadow(store->shadow_arg, record, row, arena, predicted);
    return rc;
}

static enum err_code read_id(struct record_store *store, const char *model, struct str id,
                             struct arena *scratch, struct arena *arena,
                             struct predicted *predicted, struct err *err)
{
    int64_t row, ignored;
    struct record record;
    struct record_query query = {
        .model = model[0] ? model : NULL, .is_answered = true, .is_quick = true};
    if (!predicted_id_split(id, &query.request_id, &row))
        return not_kept(id, err);
    enum err_code rc = record_store_find(store, &query, scratch, &record, &ignored, err);
    if (!rc)
        rc = check_alone(store, id, &query, &record, scratch, err);
    if (rc)
        return rc;
    if (row >= record.row_count || record_is_erased(&record, row))
        return not_kept(id, err);
    return read_row(store, &record, row, arena, predicted, err);
}

/* A record has all rows of its request, and the caller wants one of them: the rest goes at once, so
 * that a thousand questions do not hold a thousand requests. */
static enum err_code by_id(void *arg, const char *model, struct str id, struct arena *arena,
                           struct predicted *predicted, struct err *err)
{
    struct arena *scratch = arena_new(SCRATCH_BYTES_MAX);
    enum err_code rc = read_id(arg, model, id, scratch, arena, predicted, err);
    arena_free(scratch);
    return rc;
}

static enum err_code by_key(void *arg, const char *model, struct str key, int64_t until_us,
                            struct arena *arena, struct predicted *predicted, struct err *err)
{
    int64_t row;
    struct record record;
    const struct record_query query = {
        .model = model, .key = key, .until_us = until_us, .is_answered = true, .is_quick = true};
    struct arena *scratch = arena_new(SCRATCH_BYTES_MAX);
    enum err_code rc = record_store_find(arg, &query, scratch, &record, &row, err);
    if (!rc)
        rc = read_row(arg, &record, row, arena, predicted, err);
    arena_free(scratch);
    return rc;
}

struct prediction_lookup record_store_lookup(struct record_store *store)
{
    return (struct prediction_lookup){.arg = store, .by_id = by_id, .by_key = by_key};
}

void record_store_set_shadow(struct record_store *store, record_shadow_fn *shadow, void *arg)
{
    store->shadow = shadow;
    store->shadow_arg = arg;
}
