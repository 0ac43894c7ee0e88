/* record_find.c - one record by its request's id or by a business key: memory first, then segments
 * from the newest to the oldest. */
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "monitor/record_code.h"
#include "monitor/record_store_own.h"

enum { PLACES = 64 };

/* What one search looks for and finds. */
struct search {
    struct record_store *store;
    const struct record_query *query;
    char pseudonym[PSEUDONYM_BYTES];
    struct arena *arena;
    struct record *record; /* out */
    int64_t *row;          /* out */
};

static bool is_by_key(const struct search *s)
{
    return s->query->request_id.len == 0;
}

static struct str pseudonym_of(const struct search *s)
{
    return (struct str){s->pseudonym, PSEUDONYM_BYTES};
}

static bool row_has_key(const struct search *s, const struct record *record, int64_t row)
{
    const struct record_schema *schema = record->schema;
    if (!record->texts || row >= record->row_count || record_is_erased(record, row))
        return false;
    for (int i = 0; i < schema->text_count; i++) {
        const struct record_column *column = &schema->texts[i];
        struct str kept = record->texts[row * schema->text_count + i];
        struct str wanted = column->kept_as == KEPT_AS_PSEUDONYM ? pseudonym_of(s) : s->query->key;
        if (column->is_key && kept.ptr && str_equal(kept, wanted) &&
            (!s->query->field || strcmp(s->query->field, column->name) == 0))
            return true;
    }
    return false;
}

static bool is_match(const struct search *s, const struct record *record, int64_t row)
{
    const struct record_query *q = s->query;
    if ((q->model && strcmp(q->model, record->schema->model) != 0) ||
        (q->not_model && strcmp(q->not_model, record->schema->model) == 0) ||
        (q->is_answered && !record_is_answered(record)) ||
        (q->until_us && record->at_us > q->until_us))
        return false;
    return is_by_key(s) ? row_has_key(s, record, row)
                        : str_equal(q->request_id, record->request_id);
}

/* ---- in memory ---- */

/* The record at a place of a block; the lock is held, so the copy is what is looked at. */
static bool try_block(struct search *s, const struct record_block *block,
                      const struct record_place *place)
{
    size_t size;
    uint32_t serial;
    struct record record;
    struct err err = {0};
    const char *at = record_block_body(block) + place->at;
    if (!record_peek(at, block->body_bytes - place->at, &size, &serial))
        return false;
    char *copy = arena_alloc_aligned(s->arena, size, 8);
    if (!copy)
        return false;
    memcpy(copy, at, size);
    if (record_decode(copy, size, record_block_schema(block, serial), s->arena, &record, &err) ||
        !is_match(s, &record, place->row))
        return false;
    *s->record = record;
    *s->row = place->row;
    return true;
}

static bool search_block(struct search *s, const struct record_block *block)
{
    const uint64_t *run = s->store->run;
    const struct record_places *places = is_by_key(s) ? &block->keys : &block->ids;
    struct str text = is_by_key(s) ? s->query->key : s->query->request_id;
    uint64_t hash = segment_hash(run, text), hidden = segment_hash(run, pseudonym_of(s));
    for (size_t i = places->count; i-- > 0;) {
        const struct record_place *place = &places->list[i];
        if ((place->hash == hash || (is_by_key(s) && place->hash == hidden)) &&
            try_block(s, block, place))
            return true;
    }
    return false;
}

/* The list goes from the oldest to the newest, so the last match is the one. */
static bool search_memory(struct search *s)
{
    struct record_store *store = s->store;
    bool is_found = false;
    pthread_mutex_lock(&store->lock);
    if (store->active)
        is_found = search_block(s, store->active);
    if (!is_found)
        for (const struct record_block *block = store->waiting; block; block = block->next)
            is_found = search_block(s, block) || is_found;
    pthread_mutex_unlock(&store->lock);
    return is_found;
}

/* ---- in segments ---- */

static bool try_segment(struct search *s, struct segment *segment, uint64_t place)
{
    struct record record;
    struct err err = {0};
    uint64_t offset = is_by_key(s) ? place >> SEGMENT_KEY_ROW_BITS : place;
    int64_t row = is_by_key(s) ? (int64_t)(place & ((1u << SEGMENT_KEY_ROW_BITS) - 1)) : 0;
    if (segment_read_record(segment, offset, s->arena, &record, &err) || !is_match(s, &record, row))
        return false;
    *s->record = record;
    *s->row = row;
    return true;
}

static bool search_hash(struct search *s, struct segment *segment, uint64_t hash)
{
    uint64_t places[PLACES];
    size_t skip = 0, count;
    enum segment_table_kind kind = is_by_key(s) ? SEGMENT_KEYS : SEGMENT_IDS;
    do {
        count = segment_find(segment, kind, hash, skip, places, PLACES);
        for (size_t i = 0; i < count; i++)
            if (try_segment(s, segment, places[i]))
                return true;
        skip += count;
    } while (count == PLACES);
    return false;
}

static bool search_segment(struct search *s, struct segment *segment)
{
    struct segment_info info;
    segment_info(segment, &info);
    if (s->query->until_us && info.first_us > s->query->until_us)
        return false;
    struct str text = is_by_key(s) ? s->query->key : s->query->request_id;
    if (search_hash(s, segment, segment_hash(info.run, text)))
        return true;
    return is_by_key(s) && search_hash(s, segment, segment_hash(info.run, pseudonym_of(s)));
}

static bool search_segments(struct search *s)
{
    bool is_found = false;
    pthread_rwlock_rdlock(&s->store->list_lock);
    for (size_t i = s->store->segment_count; i-- > 0 && !is_found;)
        is_found = search_segment(s, s->store->segments[i]);
    pthread_rwlock_unlock(&s->store->list_lock);
    return is_found;
}

static enum err_code not_found(const struct record_query *query, struct err *err)
{
    if (query->request_id.len)
        err_set(err, ERR_NOT_FOUND, "no prediction of request '%.*s' is kept",
                STR_ARG(query->request_id));
    else
        err_set(err, ERR_NOT_FOUND, "no prediction with the key '%.*s' is kept",
                STR_ARG(query->key));
    return err_hint(err, "records go by age, quota, sampling and erasure; slipway help config says "
                         "how: record_*");
}

enum err_code record_store_find(struct record_store *store, const struct record_query *query,
                                struct arena *arena, struct record *record, int64_t *row,
                                struct err *err)
{
    struct search search = {
        .store = store, .query = query, .arena = arena, .record = record, .row = row};
    enum err_code rc = record_store_load(store, err);
    if (rc)
        return rc;
    if (is_by_key(&search))
        redact_pseudonym(store->secret, query->key, search.pseudonym);
    bool may_wait = store->config.recorder && !query->is_quick;
    if (is_by_key(&search) && may_wait)
        recorder_sync(store->config.recorder); /* the newest may be on its way */
    if (search_memory(&search) || search_segments(&search))
        return ERR_OK;
    if (!may_wait || is_by_key(&search))
        return not_found(query, err);
    recorder_sync(store->config.recorder);
    if (search_memory(&search) || search_segments(&search))
        return ERR_OK;
    return not_found(query, err);
}
