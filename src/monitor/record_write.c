/* record_write.c - the store's writing side: sink, writer thread, syncer thread.
 *
 *     active block --full, or 20 ms--> waiting blocks --> segment --> sealed at its size or age
 *
 * The writer alone changes the current segment. A block stays among the waiting ones until it is in
 * the file, so that it can be found at any moment.
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "monitor/record_code.h"
#include "monitor/record_store_own.h"
#include "monitor/segment_writer.h"

enum {
    GATHER_MS = 20,     /* between two writes, while records come */
    SYNC_AFTER_MS = 30, /* a write is made durable so long after it */
    RETRY_MS = 1000,    /* after the disk took nothing */
    HOUSEKEEPING_MS = 60 * 1000,
    REST_AFTER_MS = 2000,     /* without records, memory of a burst is given back */
    REST_ENTRIES_MIN = 16384, /* of an index in memory: worth a file of its own, */
    REST_SEGMENTS_MAX = 256,  /* unless there are so many files to be searched already */
    EAGER_BYTES = 4 << 20,    /* so much is not waited with */
    SEGMENT_HOURS = 6,
};

/* ---- sink: recorder thread ---- */

/* Its model's, else the store's; a store that keeps none keeps none of any model. */
static double share_of(const struct record_store *store, const struct record *record)
{
    double share = store->config.share;
    if (share <= 0 || record->share < 0)
        return 0;
    if (record->share > 1)
        return 1;
    return record->share < 1 ? (double)record->share : share;
}

/* By its id: the same is left out of a smaller share, whatever else is kept. */
static bool is_left_out(const struct record_store *store, const struct record *record)
{
    double share = share_of(store, record);
    struct str id = record->request_id;
    if (share >= 1)
        return false;
    return hash_sip(store->sample_key, id.ptr, id.len) >= (uint64_t)(share * 0x1p64);
}

/* Under the lock: the active block is full. */
static void close_active(struct record_store *store)
{
    struct record_block *block = store->active;
    if (!block)
        return;
    store->active = NULL;
    block->next = NULL;
    if (store->waiting)
        store->waiting_last->next = block;
    else
        store->waiting = block;
    store->waiting_last = block;
}

static bool has_room(struct record_store *store, const struct record *record)
{
    if (store->buffered_bytes + record_encoded_bytes(record) <= store->config.buffer_bytes)
        return true;
    enum record_loss loss = store->is_failing ? LOSS_DISK_FULL : LOSS_BUFFER_FULL;
    store->lost_records[loss]++;
    store->lost_rows[loss] += (uint64_t)record->row_count;
    return false;
}

/* Under the lock. */
static void add(struct record_store *store, const struct record *record)
{
    if (!has_room(store, record))
        return;
    if (!store->active) {
        store->active = record_block_new();
        store->active->taken_before = store->taken - 1;
        if (!store->waiting)
            pthread_cond_signal(&store->wake);
    }
    size_t before = store->active->body_bytes;
    record_block_add(store->active, record, store->run);
    store->active->taken_with = store->taken;
    store->buffered_bytes += store->active->body_bytes - before;
    if (store->active->body_bytes >= SEGMENT_BODY_BYTES)
        close_active(store);
    if (store->buffered_bytes >= EAGER_BYTES && before < SEGMENT_BODY_BYTES)
        pthread_cond_signal(&store->wake);
}

/* As it is kept; what differs lives in `arena`. */
static void make_kept(const struct record_store *store, const struct record *record, double share,
                      struct arena *arena, struct record *kept)
{
    struct record part = *record;
    if (record->leaves_inputs)
        redact_inputs(record, arena, &part);
    if (redact_has_work(record->schema))
        redact_record(&part, store->secret, arena, kept);
    else
        *kept = part;
    kept->share = share < 1 ? (float)share : 1;
}

static void take(void *arg, const struct record *record)
{
    struct record_store *store = arg;
    struct record kept;
    if (is_left_out(store, record)) {
        pthread_mutex_lock(&store->lock);
        store->taken++;
        store->left_out_count++;
        if (store->active)
            store->active->taken_with = store->taken;
        pthread_mutex_unlock(&store->lock);
        return;
    }
    make_kept(store, record, share_of(store, record), store->scratch, &kept);
    pthread_mutex_lock(&store->lock);
    store->taken++;
    add(store, &kept);
    pthread_mutex_unlock(&store->lock);
    arena_reset(store->scratch);
}

/* Rows of one request come one after the other. */
static bool is_kept_late(struct record_store *store, const struct record *record)
{
    uint64_t hash = hash_sip(store->run, record->request_id.ptr, record->request_id.len);
    bool is_kept = store->late_hash == hash;
    store->late_hash = hash;
    return is_kept;
}

void record_store_keep_differing(struct record_store *store, const struct record *record,
                                 double share)
{
    struct record kept;
    if (!record->keeps_differing || store->config.share <= 0 || !is_left_out(store, record))
        return;
    struct arena *arena = arena_new(SIZE_MAX);
    double other = share_of(store, record);
    make_kept(store, record, share > other ? share : other, arena, &kept);
    pthread_mutex_lock(&store->lock);
    if (!is_kept_late(store, record))
        add(store, &kept);
    pthread_mutex_unlock(&store->lock);
    arena_free(arena);
}

struct record_sink record_store_sink(struct record_store *store)
{
    return (struct record_sink){.name = "segments", .arg = store, .take = take};
}

/* ---- segments: writer thread ---- */

/* Under the lock. */
static bool is_dirty(const struct record_store *store, const struct segment *segment)
{
    for (int i = 0; i < store->dirty_count; i++)
        if (store->dirty[i] == segment)
            return true;
    return false;
}

/* A reference for the syncer. The writer itself waits for no disk: what comes meanwhile would be
 * lost with the process. */
static void mark_dirty(struct record_store *store, struct segment *segment, bool is_new)
{
    pthread_mutex_lock(&store->lock);
    while (!is_dirty(store, segment) && store->dirty_count == RECORD_DIRTY_MAX)
        pthread_cond_wait(&store->has_room, &store->lock);
    if (!is_dirty(store, segment)) {
        segment_ref(segment);
        store->dirty[store->dirty_count++] = segment;
        pthread_cond_signal(&store->has_dirty);
    }
    store->is_dir_dirty = store->is_dir_dirty || is_new;
    pthread_mutex_unlock(&store->lock);
}

void record_store_sync_later(struct record_store *store, struct segment *segment)
{
    struct err err = {0};
    if (store->is_running)
        mark_dirty(store, segment, false);
    else if (segment_sync(segment, &err))
        log_warn("segment not made durable", "reason=%s", err.msg);
}

static enum err_code begin_segment(struct record_store *store, struct err *err)
{
    char name[SEGMENT_NAME_BYTES];
    struct segment *segment;
    enum err_code rc = record_store_make_folder(store, err);
    int64_t number = store->last_number + 1;
    if (!rc)
        rc = segment_create(store->dir_fd, segment_name(number, name), number, store->run,
                            clock_wall_us(), &segment, err);
    if (rc)
        return rc;
    segment_ref(segment);
    store->current = segment;
    record_store_append(store, segment);
    mark_dirty(store, segment, true);
    return ERR_OK;
}

static enum err_code end_segment(struct record_store *store, struct err *err)
{
    struct segment_info info;
    struct segment *sealed;
    segment_info(store->current, &info);
    enum err_code rc = segment_seal(store->current, err);
    if (!rc)
        rc = segment_open(store->dir_fd, info.number, false, &sealed, err);
    if (rc)
        return rc;
    mark_dirty(store, store->current, false); /* the same file */
    record_store_replace(store, sealed);
    segment_unref(store->current);
    store->current = NULL;
    record_store_expire(store);
    return ERR_OK;
}

static bool is_full(struct record_store *store)
{
    struct segment_info info;
    segment_info(store->current, &info);
    size_t quota = store->config.keep_bytes / 8; /* one more or less is noticed, not felt */
    size_t limit = store->config.segment_bytes < quota ? store->config.segment_bytes : quota;
    return info.bytes >= limit ||
           clock_wall_us() - info.created_us > SEGMENT_HOURS * INT64_C(3600) * CLOCK_SECOND_US;
}

/* A full segment is sealed before the next block, so that a failure leaves the block to be tried
 * again, whole. */
static enum err_code write_block(struct record_store *store, struct record_block *block,
                                 struct err *err)
{
    enum err_code rc = ERR_OK;
    if (store->current && is_full(store))
        rc = end_segment(store, err);
    if (!rc && !store->current)
        rc = begin_segment(store, err);
    if (!rc)
        rc = segment_add(store->current, block, err);
    if (!rc)
        mark_dirty(store, store->current, false);
    return rc;
}

/* Under the lock. The block is in the file. */
static void forget_first(struct record_store *store)
{
    struct record_block *block = store->waiting;
    store->waiting = block->next;
    store->buffered_bytes -= block->body_bytes;
    record_block_free(block);
}

static void note_failure(struct record_store *store, const struct err *err)
{
    if (!store->is_failing)
        log_error("prediction records not written, kept in memory", "reason=%s", err->msg);
    store->is_failing = true;
}

static void note_success(struct record_store *store)
{
    if (store->is_failing)
        log_info("prediction records written again", "dropped_records=%llu",
                 (unsigned long long)store->lost_records[LOSS_DISK_FULL]);
    store->is_failing = false;
}

/* Under the lock, which it gives up while it writes. */
static enum err_code write_waiting(struct record_store *store, struct err *err)
{
    enum err_code rc = ERR_OK;
    close_active(store);
    while (store->waiting && !rc) {
        struct record_block *block = store->waiting;
        pthread_mutex_unlock(&store->lock);
        int64_t before_ns = clock_monotonic_ns();
        rc = write_block(store, block, err);
        histogram_record(&store->write_seconds, clock_monotonic_ns() - before_ns);
        pthread_mutex_lock(&store->lock);
        if (!rc)
            forget_first(store);
    }
    if (rc)
        note_failure(store, err);
    else
        note_success(store);
    return rc;
}

/* ---- writer thread ---- */

/* The machine's clock, not the one that tests set: a condition variable waits by it. */
static struct timespec after_ms(int64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    return until;
}

static bool has_records(const struct record_store *store)
{
    return store->active || store->waiting;
}

/* Under the lock: until there are records, or it is time to look at their ages. False: nothing
 * came.
 */
static bool wait_for_records(struct record_store *store)
{
    struct timespec until = after_ms(store->is_rested ? HOUSEKEEPING_MS : REST_AFTER_MS);
    int rc = 0;
    while (!has_records(store) && !store->is_stopping && store->flush_wanted == store->flush_done &&
           rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&store->wake, &store->lock, &until);
    return rc != ETIMEDOUT;
}

/* Under the lock: let some more come, unless somebody cannot wait. */
static void gather(struct record_store *store)
{
    struct timespec until = after_ms(store->is_failing ? RETRY_MS : GATHER_MS);
    int rc = 0;
    while (!store->is_stopping && store->flush_wanted == store->flush_done && rc != ETIMEDOUT &&
           (store->is_failing || store->buffered_bytes < EAGER_BYTES))
        rc = pthread_cond_timedwait(&store->wake, &store->lock, &until);
}

static void answer_flush(struct record_store *store, uint64_t wanted)
{
    store->flush_done = wanted;
    pthread_cond_broadcast(&store->flushed);
}

/* Without records nobody looks at the segment's age but here. */
static void keep_house(struct record_store *store)
{
    struct err err = {0};
    if (store->current && is_full(store) && end_segment(store, &err))
        log_warn("segment not sealed yet", "reason=%s", err.msg);
    record_store_expire(store);
}

/* The index of a segment that is written lies in memory, and on the disk once it is sealed. */
static bool is_worth_sealing(struct record_store *store)
{
    struct segment_info info;
    if (!store->current)
        return false;
    segment_info(store->current, &info);
    pthread_rwlock_rdlock(&store->list_lock);
    size_t count = store->segment_count;
    pthread_rwlock_unlock(&store->list_lock);
    return info.record_count + info.row_count >= REST_ENTRIES_MIN && count < REST_SEGMENTS_MAX;
}

/* The syncer still has what was sealed, so its memory goes the next time. */
static void rest(struct record_store *store)
{
    struct err err = {0};
    bool is_sealing = is_worth_sealing(store);
    if (is_sealing && end_segment(store, &err) == ERR_OK)
        return;
    if (is_sealing)
        log_warn("segment not sealed yet", "reason=%s", err.msg);
    malloc_trim(0); /* blocks, and what others freed meanwhile */
    store->is_rested = true;
}

/* Somebody wants to work on sealed segments only. */
static void seal_current(struct record_store *store)
{
    struct err err = {0};
    pthread_mutex_unlock(&store->lock);
    if (store->current && end_segment(store, &err))
        log_warn("segment not sealed yet", "reason=%s", err.msg);
    pthread_mutex_lock(&store->lock);
}

static void run_writer(struct record_store *store)
{
    struct err err = {0};
    pthread_mutex_lock(&store->lock);
    for (;;) {
        bool is_quiet = !wait_for_records(store);
        if (has_records(store))
            gather(store);
        bool is_last = store->is_stopping, has_work = has_records(store);
        bool is_seal_wanted = store->is_seal_wanted;
        uint64_t wanted = store->flush_wanted;
        store->is_seal_wanted = false;
        if (has_work) {
            store->is_rested = false;
            write_waiting(store, &err);
        }
        if (is_seal_wanted)
            seal_current(store);
        if (!has_work && !is_last) {
            pthread_mutex_unlock(&store->lock);
            if (is_quiet && !store->is_rested)
                rest(store);
            keep_house(store);
            pthread_mutex_lock(&store->lock);
        }
        answer_flush(store, wanted);
        if (is_last)
            break;
    }
    pthread_mutex_unlock(&store->lock);
}

/* What waits is lost, and counted. */
static void give_up(struct record_store *store)
{
    close_active(store);
    while (store->waiting) {
        store->lost_records[LOSS_DISK_FULL] += store->waiting->record_count;
        store->lost_rows[LOSS_DISK_FULL] += store->waiting->row_count;
        forget_first(store);
    }
}

static void *writer_thread(void *arg)
{
    struct record_store *store = arg;
    struct err err = {0};
    if (record_store_load(store, &err))
        log_error("prediction records not read", "reason=%s", err.msg);
    record_store_expire(store);
    run_writer(store);
    pthread_mutex_lock(&store->lock);
    if (has_records(store)) {
        give_up(store);
        log_error("prediction records lost at the end", "lost=%llu",
                  (unsigned long long)store->lost_records[LOSS_DISK_FULL]);
    }
    pthread_mutex_unlock(&store->lock);
    if (store->current && end_segment(store, &err)) {
        log_warn("segment not sealed", "reason=%s", err.msg);
        segment_unref(store->current);
        store->current = NULL;
    }
    return NULL;
}

/* ---- syncer thread ---- */

struct dirt {
    struct segment *segments[RECORD_DIRTY_MAX];
    int count;
    bool has_names;
};

/* Under the lock. */
static void take_dirty(struct record_store *store, struct dirt *dirt)
{
    memcpy(dirt->segments, store->dirty, sizeof(dirt->segments));
    dirt->count = store->dirty_count;
    dirt->has_names = store->is_dir_dirty;
    store->dirty_count = 0;
    store->is_dir_dirty = false;
    pthread_cond_signal(&store->has_room);
}

/* What is in a file before its name. */
static void sync_dirt(struct record_store *store, const struct dirt *dirt)
{
    static struct log_gate gate;
    int64_t suppressed, before_ns = clock_monotonic_ns();
    enum err_code rc = ERR_OK;
    struct err err = {0};
    for (int i = 0; i < dirt->count; i++) {
        if (segment_sync(dirt->segments[i], &err))
            rc = err.code;
        segment_unref(dirt->segments[i]);
    }
    if (dirt->has_names && fsync(store->dir_fd))
        rc = err_set(&err, ERR_IO, "syncing predictions: %s", strerror(errno));
    if (rc && log_gate_open(&gate, &suppressed))
        log_error("prediction records not made durable", "reason=%s suppressed=%lld", err.msg,
                  (long long)suppressed);
    histogram_record(&store->sync_seconds, clock_monotonic_ns() - before_ns);
}

static void *syncer_thread(void *arg)
{
    struct record_store *store = arg;
    struct dirt dirt;
    pthread_mutex_lock(&store->lock);
    for (;;) {
        while (!store->dirty_count && store->is_running)
            pthread_cond_wait(&store->has_dirty, &store->lock);
        if (!store->dirty_count)
            break;
        struct timespec until = after_ms(SYNC_AFTER_MS);
        int rc = 0;
        while (store->is_running && rc != ETIMEDOUT)
            rc = pthread_cond_timedwait(&store->has_dirty, &store->lock, &until);
        take_dirty(store, &dirt);
        pthread_mutex_unlock(&store->lock);
        sync_dirt(store, &dirt);
        pthread_mutex_lock(&store->lock);
    }
    pthread_mutex_unlock(&store->lock);
    return NULL;
}

/* ---- starting and stopping ---- */

void record_store_start(struct record_store *store)
{
    store->is_running = true;
    if (pthread_create(&store->writer, NULL, writer_thread, store) ||
        pthread_create(&store->syncer, NULL, syncer_thread, store))
        abort();
    pthread_setname_np(store->writer, "record-writer");
    pthread_setname_np(store->syncer, "record-syncer");
}

void record_store_stop(struct record_store *store)
{
    if (!store || !store->is_running)
        return;
    pthread_mutex_lock(&store->lock);
    store->is_stopping = true;
    pthread_cond_signal(&store->wake);
    pthread_mutex_unlock(&store->lock);
    pthread_join(store->writer, NULL);
    pthread_mutex_lock(&store->lock);
    store->is_running = false;
    pthread_cond_signal(&store->has_dirty);
    pthread_mutex_unlock(&store->lock);
    pthread_join(store->syncer, NULL);
}

static void flush(struct record_store *store, bool is_seal_wanted)
{
    if (store->config.recorder)
        recorder_sync(store->config.recorder);
    pthread_mutex_lock(&store->lock);
    uint64_t wanted = ++store->flush_wanted;
    store->is_seal_wanted = store->is_seal_wanted || is_seal_wanted;
    pthread_cond_signal(&store->wake);
    while (store->is_running && !store->is_stopping && store->flush_done < wanted)
        pthread_cond_wait(&store->flushed, &store->lock);
    pthread_mutex_unlock(&store->lock);
}

void record_store_flush(struct record_store *store)
{
    flush(store, false);
}

enum err_code record_store_seal(struct record_store *store, struct err *err)
{
    if (!store->is_running)
        return ERR_OK;
    flush(store, true);
    pthread_mutex_lock(&store->lock);
    bool is_failing = store->is_failing;
    pthread_mutex_unlock(&store->lock);
    if (!is_failing)
        return ERR_OK;
    return err_set(err, ERR_DISK_FULL, "records wait in memory for a disk that takes nothing");
}
