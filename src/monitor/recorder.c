/* recorder.c - drains the rings into the sinks. */
#include "monitor/recorder.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "monitor/record_frame.h"
#include "monitor/record_schema.h"

enum {
    HELD_BYTES = 256 * 1024,
    WAIT_BUSY_MS = 2,
    WAIT_CALM_MS = 16, /* a few records: waking for them costs more than they do */
    WAIT_IDLE_MS = 32,
    REST_AFTER_MS = 1000,      /* without records: memory of a burst is given back */
    BUSY_RECORDS = 128,        /* so many at once are traffic that is worth a short pause */
    NO_WAIT_BYTES = 64 * 1024, /* with so much in the rings again there is no pause */
};

struct schema_slot {
    struct record_schema *schema;
    struct blob_digest artifact;
};

/* Records that are kept for sinks which are not there yet: each an item as a ring has it. */
struct held {
    struct held *next;
    size_t used, size;
    _Alignas(RING_ALIGN) char bytes[];
};

struct recorder {
    struct record_queue *queues; /* [queue_count] */
    int queue_count;
    struct record_sink sinks[RECORDER_SINKS_MAX];
    int sink_count;
    enum redaction redaction;
    struct arena *scratch;         /* of the record being shown; recorder thread only */
    struct held *held, *held_last; /* oldest first; recorder thread only */
    size_t held_bytes, held_bytes_max;

    pthread_mutex_t schema_lock; /* of what follows */
    struct arena *schema_arena;
    struct schema_slot *schemas; /* [schema_count]; serial is index + 1 */
    size_t schema_count, schema_capacity;

    pthread_t thread;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t wake, synced;
    uint64_t sync_wanted, sync_done;
    bool is_running, is_stopping, is_holding;
};

/* ---- making ---- */

static void init_locks(struct recorder *recorder)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&recorder->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_cond_init(&recorder->synced, NULL);
    pthread_mutex_init(&recorder->lock, NULL);
    pthread_mutex_init(&recorder->schema_lock, NULL);
}

struct recorder *recorder_new(int queue_count, size_t queue_bytes)
{
    assert(queue_count > 0 && queue_count <= RECORDER_RINGS_MAX);
    struct recorder *recorder = calloc(1, sizeof(*recorder));
    size_t bytes = (size_t)queue_count * sizeof(*recorder->queues);
    struct record_queue *queues = aligned_alloc(_Alignof(struct record_queue), bytes);
    if (!recorder || !queues)
        abort();
    memset(queues, 0, bytes);
    for (int i = 0; i < queue_count; i++) {
        ring_init(&queues[i].ring, queue_bytes);
        queues[i].record_count = &queues[i].own_record_count;
    }
    recorder->queues = queues;
    recorder->queue_count = queue_count;
    recorder->scratch = arena_new(SIZE_MAX);
    recorder->schema_arena = arena_new(SIZE_MAX);
    init_locks(recorder);
    return recorder;
}

static void free_held(struct recorder *recorder)
{
    for (struct held *held = recorder->held, *next; held; held = next) {
        next = held->next;
        free(held);
    }
    recorder->held = recorder->held_last = NULL;
    recorder->held_bytes = 0;
}

void recorder_free(struct recorder *recorder)
{
    if (!recorder)
        return;
    assert(!recorder->is_running);
    for (int i = 0; i < recorder->queue_count; i++)
        ring_done(&recorder->queues[i].ring);
    free_held(recorder);
    free(recorder->queues);
    free(recorder->schemas);
    arena_free(recorder->scratch);
    arena_free(recorder->schema_arena);
    pthread_cond_destroy(&recorder->wake);
    pthread_cond_destroy(&recorder->synced);
    pthread_mutex_destroy(&recorder->lock);
    pthread_mutex_destroy(&recorder->schema_lock);
    free(recorder);
}

struct record_queue *recorder_queue(struct recorder *recorder, int index)
{
    assert(index >= 0 && index < recorder->queue_count);
    return &recorder->queues[index];
}

void recorder_set_redaction(struct recorder *recorder, enum redaction policy)
{
    recorder->redaction = policy;
}

void recorder_set_tally(struct recorder *recorder, struct record_tally *tally)
{
    for (int i = 0; i < recorder->queue_count; i++)
        recorder->queues[i].record_count = record_tally_counter(tally, i);
}

void recorder_take_tally(struct recorder *recorder, int index, struct record_tally *tally)
{
    struct record_queue *queue = &recorder->queues[index];
    _Atomic uint64_t *counter = record_tally_counter(tally, index);
    counter_add(counter, counter_read(&queue->own_record_count));
    atomic_store_explicit(&queue->record_count, counter, memory_order_relaxed);
}

void recorder_hold(struct recorder *recorder, size_t bytes_max)
{
    assert(!recorder->is_running);
    recorder->is_holding = true;
    recorder->held_bytes_max = bytes_max;
}

void recorder_release(struct recorder *recorder)
{
    pthread_mutex_lock(&recorder->lock);
    recorder->is_holding = false;
    pthread_cond_signal(&recorder->wake);
    pthread_mutex_unlock(&recorder->lock);
}

void recorder_add_sink(struct recorder *recorder, const struct record_sink *sink)
{
    assert(!recorder->is_running || recorder->is_holding);
    assert(recorder->sink_count < RECORDER_SINKS_MAX);
    recorder->sinks[recorder->sink_count++] = *sink;
}

/* ---- schemas ---- */

static const struct record_schema *find_schema(const struct recorder *recorder,
                                               const struct loaded *loaded)
{
    for (size_t i = 0; i < recorder->schema_count; i++) {
        const struct schema_slot *slot = &recorder->schemas[i];
        if (slot->schema->version == loaded->number &&
            strcmp(slot->schema->model, loaded->model) == 0 &&
            strcmp(slot->artifact.hex, loaded->artifact.hex) == 0)
            return slot->schema;
    }
    return NULL;
}

static const struct record_schema *add_schema(struct recorder *recorder,
                                              const struct loaded *loaded)
{
    if (recorder->schema_count == recorder->schema_capacity) {
        size_t capacity = recorder->schema_capacity ? 2 * recorder->schema_capacity : 16;
        struct schema_slot *slots = realloc(recorder->schemas, capacity * sizeof(*slots));
        if (!slots)
            abort();
        recorder->schemas = slots;
        recorder->schema_capacity = capacity;
    }
    struct record_schema *schema =
        record_schema_new(loaded, recorder->redaction, recorder->schema_arena);
    recorder->schemas[recorder->schema_count++] = (struct schema_slot){schema, loaded->artifact};
    schema->serial = (uint32_t)recorder->schema_count;
    return schema;
}

const struct record_schema *recorder_schema(struct recorder *recorder, const struct loaded *loaded)
{
    pthread_mutex_lock(&recorder->schema_lock);
    const struct record_schema *schema = find_schema(recorder, loaded);
    if (!schema)
        schema = add_schema(recorder, loaded);
    pthread_mutex_unlock(&recorder->schema_lock);
    return schema;
}

/* ---- data thread ---- */

void record_queue_push(struct record_queue *queue, const struct record *record, int64_t now_ns)
{
    bool is_pushed = record_push(&queue->ring, record, now_ns);
    _Atomic uint64_t *count = atomic_load_explicit(&queue->record_count, memory_order_relaxed);
    counter_add(is_pushed ? count : &queue->dropped_record_count, 1);
    counter_add(is_pushed ? &queue->row_count : &queue->dropped_row_count,
                (uint64_t)record->row_count);
}

/* ---- recorder thread ---- */

static void show(struct recorder *recorder, const void *frame, size_t bytes, int64_t wall_offset_us)
{
    struct record record;
    record_read_frame(frame, bytes, wall_offset_us, recorder->scratch, &record);
    for (int i = 0; i < recorder->sink_count; i++)
        recorder->sinks[i].take(recorder->sinks[i].arg, &record);
    arena_reset(recorder->scratch);
}

static struct held *room_for(struct recorder *recorder, size_t bytes)
{
    struct held *last = recorder->held_last;
    size_t item = RING_ALIGN + (bytes + RING_ALIGN - 1) / RING_ALIGN * RING_ALIGN;
    if (last && last->size - last->used >= item)
        return last;
    size_t size = item > HELD_BYTES ? item : HELD_BYTES;
    if (recorder->held_bytes + size > recorder->held_bytes_max)
        return NULL;
    struct held *fresh = aligned_alloc(_Alignof(struct held), sizeof(struct held) + size);
    if (!fresh)
        abort();
    *fresh = (struct held){.size = size};
    if (last)
        last->next = fresh;
    else
        recorder->held = fresh;
    recorder->held_last = fresh;
    recorder->held_bytes += size;
    return fresh;
}

/* False when there is no room: it stays in its ring. */
static bool hold(struct recorder *recorder, const void *frame, size_t bytes)
{
    struct held *held = room_for(recorder, bytes);
    if (!held)
        return false;
    char *at = held->bytes + held->used;
    memcpy(at, &bytes, sizeof(bytes));
    memcpy(at + RING_ALIGN, frame, bytes);
    held->used += RING_ALIGN + (bytes + RING_ALIGN - 1) / RING_ALIGN * RING_ALIGN;
    return true;
}

static void hold_all(struct recorder *recorder)
{
    for (int q = 0; q < recorder->queue_count; q++) {
        struct ring *ring = &recorder->queues[q].ring;
        uint64_t end = ring_mark(ring);
        size_t bytes;
        while (!ring_is_at(ring, end)) {
            const void *frame = ring_peek(ring, &bytes);
            if (!hold(recorder, frame, bytes))
                break;
            ring_release(ring);
        }
    }
}

static int show_held(struct recorder *recorder, int64_t wall_offset_us)
{
    int taken = 0;
    for (const struct held *held = recorder->held; held; held = held->next)
        for (size_t at = 0; at < held->used; taken++) {
            size_t bytes;
            memcpy(&bytes, held->bytes + at, sizeof(bytes));
            show(recorder, held->bytes + at + RING_ALIGN, bytes, wall_offset_us);
            at += RING_ALIGN + (bytes + RING_ALIGN - 1) / RING_ALIGN * RING_ALIGN;
        }
    free_held(recorder);
    return taken;
}

static int drain_ring(struct recorder *recorder, struct ring *ring, int64_t wall_offset_us)
{
    int taken = 0;
    uint64_t end = ring_mark(ring);
    while (!ring_is_at(ring, end)) {
        size_t bytes;
        const void *frame = ring_peek(ring, &bytes);
        show(recorder, frame, bytes, wall_offset_us);
        ring_release(ring);
        taken++;
    }
    return taken;
}

/* What is in the rings at this moment. How many records it was. */
static int drain(struct recorder *recorder)
{
    int64_t wall_offset_us = clock_wall_us() - clock_monotonic_us();
    int taken = show_held(recorder, wall_offset_us);
    for (int q = 0; q < recorder->queue_count; q++)
        taken += drain_ring(recorder, &recorder->queues[q].ring, wall_offset_us);
    for (int i = 0; taken && i < recorder->sink_count; i++)
        if (recorder->sinks[i].flush)
            recorder->sinks[i].flush(recorder->sinks[i].arg);
    return taken;
}

static size_t waiting_bytes(struct recorder *recorder)
{
    size_t bytes = 0;
    for (int i = 0; i < recorder->queue_count; i++)
        bytes += ring_used(&recorder->queues[i].ring);
    return bytes;
}

static void wait_ms(struct recorder *recorder, int64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += ms * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&recorder->wake, &recorder->lock, &until);
}

static int64_t next_pause_ms(int64_t pause_ms, int taken)
{
    if (taken >= BUSY_RECORDS)
        return WAIT_BUSY_MS;
    int64_t most = taken ? WAIT_CALM_MS : WAIT_IDLE_MS;
    return 2 * pause_ms < most ? 2 * pause_ms : most;
}

/* Idle for so long, taken nothing for `pause_ms` more. */
static int64_t rest(struct recorder *recorder, int64_t idle_ms, int64_t pause_ms)
{
    if (idle_ms >= REST_AFTER_MS || idle_ms + pause_ms < REST_AFTER_MS)
        return idle_ms + pause_ms;
    bool is_done = true;
    for (int q = 0; q < recorder->queue_count; q++)
        is_done = ring_trim(&recorder->queues[q].ring) && is_done;
    return is_done ? idle_ms + pause_ms : 0;
}

static void *run(void *arg)
{
    struct recorder *recorder = arg;
    int64_t pause_ms = WAIT_IDLE_MS, idle_ms = REST_AFTER_MS;
    pthread_mutex_lock(&recorder->lock);
    for (;;) {
        bool is_last = recorder->is_stopping;
        bool is_holding = recorder->is_holding;
        uint64_t wanted = recorder->sync_wanted;
        pthread_mutex_unlock(&recorder->lock);
        int taken = 0;
        if (is_holding)
            hold_all(recorder);
        else
            taken = drain(recorder);
        idle_ms = taken ? 0 : rest(recorder, idle_ms, pause_ms);
        pthread_mutex_lock(&recorder->lock);
        if (recorder->sync_done != wanted) {
            recorder->sync_done = wanted;
            pthread_cond_broadcast(&recorder->synced);
        }
        if (is_last)
            break;
        if (is_holding) {
            wait_ms(recorder, WAIT_CALM_MS);
            continue;
        }
        pause_ms = next_pause_ms(pause_ms, taken);
        if (!recorder->is_stopping && recorder->sync_wanted == wanted &&
            waiting_bytes(recorder) < NO_WAIT_BYTES)
            wait_ms(recorder, pause_ms);
    }
    recorder->is_running = false;
    pthread_cond_broadcast(&recorder->synced);
    pthread_mutex_unlock(&recorder->lock);
    return NULL;
}

void recorder_start(struct recorder *recorder)
{
    recorder->is_running = true;
    if (pthread_create(&recorder->thread, NULL, run, recorder))
        abort();
    pthread_setname_np(recorder->thread, "recorder");
}

void recorder_sync(struct recorder *recorder)
{
    pthread_mutex_lock(&recorder->lock);
    uint64_t wanted = ++recorder->sync_wanted;
    pthread_cond_signal(&recorder->wake);
    while (recorder->is_running && recorder->sync_done < wanted)
        pthread_cond_wait(&recorder->synced, &recorder->lock);
    pthread_mutex_unlock(&recorder->lock);
}

void recorder_stop(struct recorder *recorder)
{
    pthread_mutex_lock(&recorder->lock);
    bool is_running = recorder->is_running;
    recorder->is_stopping = true;
    pthread_cond_signal(&recorder->wake);
    pthread_mutex_unlock(&recorder->lock);
    if (is_running)
        pthread_join(recorder->thread, NULL);
}

void recorder_stats(struct recorder *recorder, struct recorder_stats *stats)
{
    *stats = (struct recorder_stats){0};
    for (int i = 0; i < recorder->queue_count; i++) {
        struct record_queue *queue = &recorder->queues[i];
        stats->record_count += counter_read(atomic_load(&queue->record_count));
        stats->row_count += counter_read(&queue->row_count);
        stats->dropped_record_count += counter_read(&queue->dropped_record_count);
        stats->dropped_row_count += counter_read(&queue->dropped_row_count);
    }
    stats->queue_bytes = waiting_bytes(recorder);
}
