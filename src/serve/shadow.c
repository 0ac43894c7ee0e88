/* shadow.c - the thread that scores copies, and the sessions it counts for. */
#include "serve/shadow.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "monitor/record_frame.h"
#include "serve/shadow_score.h"

enum {
    POLL_US = 2000,    /* how long the thread sleeps when nothing waits */
    STABLE_EVERY = 16, /* records, of which one is predicted by the stable version again */
    MAPS_MAX = 4,      /* schemas of one session: the stable version as it was loaded again */
    THREAD_NICE = 10,  /* shadows give way to answers */
    FRAME_BYTES_MAX = 16 * 1024 * 1024,
    HEAD_BYTES = 8,
};

/* Which requests are copied does not depend on this process: the same id, the same choice. */
static const uint64_t sample_key[2] = {0x736861646f770000, 0x73616d706c650000};

struct session {
    int64_t rollout;
    int step;
    struct loaded *stable, *candidate; /* references; NULL once ended */
    double share;                      /* of requests, as asked for */
    uint64_t threshold;                /* of the sampling hash; UINT64_MAX: all */
    int64_t since_us;
    bool is_running;
    int64_t ended_order; /* which was ended first is forgotten first */

    /* The shadow thread's, under score_lock. */
    struct shadow_map *maps[MAPS_MAX];
    uint32_t map_serials[MAPS_MAX];
    int map_count;
    uint64_t record_count;
    size_t stable_bytes, candidate_bytes;
    struct compare compare;
    struct histogram_sum stable_time, candidate_time; /* of predicting, per row */
    struct str *class_names;                          /* copies, in `arena` */
    struct arena *arena;

    _Atomic uint64_t dropped_rows; /* written by the recorder thread */

    /* The comparison's counts as of the last record, for readers that must not wait for a scoring.
     */
    _Atomic uint64_t rows, differ, errors, refused;
};

struct shadow {
    pthread_mutex_t lock; /* of sessions[] and is_stopping; after score_lock where both */
    pthread_cond_t wake;
    struct session *sessions[2 * SHADOW_SESSIONS_MAX];
    int session_count;
    int64_t end_count;
    bool is_started, is_stopping;
    _Atomic int running_count;
    struct ring ring;
    pthread_t thread;
    pthread_mutex_t score_lock;              /* of every session's comparison */
    struct arena *frame_arena, *score_arena; /* shadow thread */
    struct shadow_watch watch;               /* differs NULL: nobody */
};

/* ---- sessions ---- */

static struct session *find_session(struct shadow *shadow, int64_t rollout)
{
    for (int i = 0; i < shadow->session_count; i++)
        if (shadow->sessions[i]->rollout == rollout)
            return shadow->sessions[i];
    return NULL;
}

static void session_stop(struct session *session)
{
    for (int i = 0; i < session->map_count; i++)
        shadow_map_free(session->maps[i]);
    session->map_count = 0;
    loaded_unref(session->stable);
    loaded_unref(session->candidate);
    session->stable = session->candidate = NULL;
    session->is_running = false;
}

static void session_free(struct session *session)
{
    session_stop(session);
    arena_free(session->arena);
    free(session);
}

/* Class names outlive the versions: the comparison is read after the session has ended. */
static void copy_class_names(struct session *session)
{
    int count = session->stable->signature->class_count;
    const struct contract *contract = session->stable->contract;
    if (count < 2 || !contract || !contract->prediction ||
        contract->prediction->category_count < count)
        return;
    struct str *names = arena_calloc(session->arena, (size_t)count, sizeof(*names));
    for (int i = 0; names && i < count; i++) {
        struct str name = contract->prediction->categories[i];
        names[i] = (struct str){arena_copy(session->arena, name.ptr, name.len), name.len};
        if (!names[i].ptr)
            return;
    }
    session->class_names = names;
}

static struct session *session_new(const struct shadow_session_config *config)
{
    struct session *session = calloc(1, sizeof(*session));
    if (!session)
        abort();
    assert(config->share > 0 && config->share <= 1);
    loaded_ref(config->stable);
    loaded_ref(config->candidate);
    session->rollout = config->rollout;
    session->step = config->step;
    session->stable = config->stable;
    session->candidate = config->candidate;
    session->stable_bytes = config->stable->memory_bytes;
    session->candidate_bytes = config->candidate->memory_bytes;
    session->share = config->share;
    session->threshold = config->share >= 1 ? UINT64_MAX : (uint64_t)(config->share * 0x1p64);
    session->since_us = clock_wall_us();
    session->is_running = true;
    session->arena = arena_new(CONTRACT_MEMORY_BYTES_MAX);
    copy_class_names(session);
    compare_init(&session->compare, config->stable->signature->class_count, session->class_names);
    return session;
}

/* Make room by forgetting the session that was ended first. False when all are running. */
static bool forget_oldest(struct shadow *shadow)
{
    int oldest = -1;
    for (int i = 0; i < shadow->session_count; i++)
        if (!shadow->sessions[i]->is_running &&
            (oldest < 0 ||
             shadow->sessions[i]->ended_order < shadow->sessions[oldest]->ended_order))
            oldest = i;
    if (oldest < 0)
        return false;
    session_free(shadow->sessions[oldest]);
    shadow->sessions[oldest] = shadow->sessions[--shadow->session_count];
    return true;
}

/* ---- recorder thread ---- */

static bool is_sampled(const struct session *session, struct str request_id)
{
    return session->threshold == UINT64_MAX ||
           hash_sip(sample_key, request_id.ptr, request_id.len) < session->threshold;
}

static struct session *session_for(struct shadow *shadow, const struct record *record)
{
    for (int i = 0; i < shadow->session_count; i++) {
        struct session *session = shadow->sessions[i];
        if (session->is_running && session->stable->number == record->schema->version &&
            strcmp(session->stable->model, record->schema->model) == 0)
            return session;
    }
    return NULL;
}

static void take(void *arg, const struct record *record)
{
    struct shadow *shadow = arg;
    if (!atomic_load_explicit(&shadow->running_count, memory_order_relaxed))
        return;
    if (record->status != 200 || record->row_count == 0 || record->output_count == 0)
        return;
    pthread_mutex_lock(&shadow->lock);
    struct session *session = session_for(shadow, record);
    if (session && is_sampled(session, record->request_id) &&
        !record_push(&shadow->ring, record, clock_monotonic_ns()))
        counter_add(&session->dropped_rows, (uint64_t)record->row_count);
    pthread_mutex_unlock(&shadow->lock);
}

struct record_sink shadow_sink(struct shadow *shadow)
{
    return (struct record_sink){.name = "shadow", .arg = shadow, .take = take};
}

/* ---- shadow thread ---- */

static struct shadow_map *map_for(const struct shadow *shadow, struct session *session,
                                  const struct record_schema *schema)
{
    for (int i = 0; i < session->map_count; i++)
        if (session->map_serials[i] == schema->serial)
            return session->maps[i];
    if (session->map_count == MAPS_MAX)
        shadow_map_free(session->maps[--session->map_count]);
    struct shadow_map *map = shadow_map_new(schema, session->candidate);
    if (shadow->watch.differs)
        shadow_map_watch(map, &shadow->watch, session->share);
    session->map_serials[session->map_count] = schema->serial;
    return session->maps[session->map_count++] = map;
}

static void count_time(struct histogram_sum *sum, int64_t took_ns, int64_t rows)
{
    if (took_ns <= 0)
        return;
    uint64_t per_row = (uint64_t)(took_ns / rows);
    sum->counts[histogram_bucket(per_row)]++;
    sum->sum_ns += per_row;
    sum->count++;
}

static void publish_counts(struct session *session)
{
    atomic_store_explicit(&session->rows, session->compare.rows, memory_order_relaxed);
    atomic_store_explicit(&session->differ, session->compare.differ, memory_order_relaxed);
    atomic_store_explicit(&session->errors, session->compare.errors, memory_order_relaxed);
    atomic_store_explicit(&session->refused, session->compare.refused, memory_order_relaxed);
}

/* Under score_lock; the session is running. */
static void score(struct shadow *shadow, struct session *session, const struct record *record)
{
    struct shadow_times times;
    bool asks_stable = session->record_count++ % STABLE_EVERY == 0;
    shadow_score(map_for(shadow, session, record->schema), record,
                 asks_stable ? session->stable : NULL, shadow->score_arena, &session->compare,
                 &times);
    arena_reset(shadow->score_arena);
    publish_counts(session);
    /* Only pairs are timed: both under the same load. */
    if (times.stable_ns > 0) {
        count_time(&session->stable_time, times.stable_ns, record->row_count);
        count_time(&session->candidate_time, times.shadow_ns, record->row_count);
    }
}

/* False when nothing waited. */
static bool score_next(struct shadow *shadow)
{
    size_t bytes;
    struct record record;
    const void *frame = ring_peek(&shadow->ring, &bytes);
    if (!frame)
        return false;
    pthread_mutex_lock(&shadow->score_lock);
    record_read_frame(frame, bytes, clock_wall_us() - clock_monotonic_us(), shadow->frame_arena,
                      &record);
    pthread_mutex_lock(&shadow->lock);
    struct session *session = session_for(shadow, &record);
    pthread_mutex_unlock(&shadow->lock);
    /* It cannot end meanwhile: shadow_end waits for score_lock. */
    if (session)
        score(shadow, session, &record);
    arena_reset(shadow->frame_arena);
    pthread_mutex_unlock(&shadow->score_lock);
    ring_release(&shadow->ring);
    return true;
}

static void rest(struct shadow *shadow)
{
    pthread_mutex_lock(&shadow->lock);
    while (!shadow->is_stopping && atomic_load(&shadow->running_count) == 0)
        pthread_cond_wait(&shadow->wake, &shadow->lock);
    pthread_mutex_unlock(&shadow->lock);
    nanosleep(&(struct timespec){0, POLL_US * 1000}, NULL);
}

static bool is_stopping(struct shadow *shadow)
{
    pthread_mutex_lock(&shadow->lock);
    bool stopping = shadow->is_stopping;
    pthread_mutex_unlock(&shadow->lock);
    return stopping;
}

static void *run(void *arg)
{
    struct shadow *shadow = arg;
    /* Of this thread alone, on Linux. Where it is refused the shadow competes as others do. */
    if (setpriority(PRIO_PROCESS, (id_t)gettid(), THREAD_NICE))
        log_debug("shadow priority not lowered", "errno=%d", errno);
    while (!is_stopping(shadow))
        if (!score_next(shadow))
            rest(shadow);
    return NULL;
}

/* ---- over a restart ---- */

static void format(const struct session *session, struct buf *out)
{
    uint32_t crc = 0;
    buf_lit(out, "SWSH");
    buf_append(out, &crc, sizeof(crc));
    put_i64(out, session->rollout);
    put_i64(out, session->step);
    put_i64(out, session->since_us);
    put_u64(out, counter_read(&session->dropped_rows));
    put_u64(out, session->record_count);
    histogram_format(&session->stable_time, out);
    histogram_format(&session->candidate_time, out);
    compare_format(&session->compare, out);
    if (out->is_full)
        return;
    crc = hash_crc32c(0, out->data + HEAD_BYTES, out->len - HEAD_BYTES);
    memcpy(out->data + 4, &crc, sizeof(crc));
}

static bool is_whole(struct str bytes)
{
    uint32_t crc;
    if (bytes.len < HEAD_BYTES || memcmp(bytes.ptr, "SWSH", 4) != 0)
        return false;
    memcpy(&crc, bytes.ptr + 4, sizeof(crc));
    return crc == hash_crc32c(0, bytes.ptr + HEAD_BYTES, bytes.len - HEAD_BYTES);
}

/* Nobody else knows the session yet. */
static void restore(struct session *session, struct str bytes)
{
    struct histogram_sum stable = {0}, candidate = {0};
    if (!is_whole(bytes))
        return;
    struct reading r = {bytes.ptr + HEAD_BYTES, bytes.ptr + bytes.len, false};
    if (get_i64(&r) != session->rollout || get_i64(&r) != session->step)
        return;
    int64_t since_us = get_i64(&r);
    uint64_t dropped_rows = get_u64(&r), record_count = get_u64(&r);
    histogram_parse(&r, &stable);
    histogram_parse(&r, &candidate);
    if (!compare_parse(&r, &session->compare))
        return;
    session->since_us = since_us;
    session->record_count = record_count;
    session->stable_time = stable;
    session->candidate_time = candidate;
    atomic_store(&session->dropped_rows, dropped_rows);
    publish_counts(session);
}

/* ---- control ---- */

struct shadow *shadow_new(void)
{
    struct shadow *shadow = calloc(1, sizeof(*shadow));
    if (!shadow)
        abort();
    pthread_mutex_init(&shadow->lock, NULL);
    pthread_mutex_init(&shadow->score_lock, NULL);
    pthread_cond_init(&shadow->wake, NULL);
    return shadow;
}

void shadow_set_watch(struct shadow *shadow, const struct shadow_watch *watch)
{
    shadow->watch = *watch;
}

static void start(struct shadow *shadow)
{
    if (shadow->is_started)
        return;
    ring_init(&shadow->ring, SHADOW_QUEUE_BYTES);
    shadow->frame_arena = arena_new(FRAME_BYTES_MAX);
    shadow->score_arena = arena_new(SHADOW_MEMORY_BYTES_MAX);
    shadow->is_started = true;
    if (pthread_create(&shadow->thread, NULL, run, shadow))
        abort();
    pthread_setname_np(shadow->thread, "shadow");
}

enum err_code shadow_begin(struct shadow *shadow, const struct shadow_session_config *config,
                           struct err *err)
{
    enum err_code rc = ERR_OK;
    pthread_mutex_lock(&shadow->score_lock);
    pthread_mutex_lock(&shadow->lock);
    struct session *known = find_session(shadow, config->rollout);
    if (known && known->is_running)
        goto done;
    if (known) { /* counted anew under the same id: the old counts are the first to be forgotten */
        known->rollout = 0;
        known->ended_order = 0;
    }
    if (atomic_load(&shadow->running_count) == SHADOW_SESSIONS_MAX ||
        (shadow->session_count == (int)ARRAY_LEN(shadow->sessions) && !forget_oldest(shadow))) {
        rc = err_set(err, ERR_LIMIT, "%d versions are shadows already", SHADOW_SESSIONS_MAX);
        goto done;
    }
    start(shadow);
    shadow->sessions[shadow->session_count++] = session_new(config);
    restore(shadow->sessions[shadow->session_count - 1], config->saved);
    atomic_fetch_add(&shadow->running_count, 1);
    pthread_cond_signal(&shadow->wake);
done:
    pthread_mutex_unlock(&shadow->lock);
    pthread_mutex_unlock(&shadow->score_lock);
    return rc;
}

void shadow_end(struct shadow *shadow, int64_t rollout)
{
    pthread_mutex_lock(&shadow->score_lock);
    pthread_mutex_lock(&shadow->lock);
    struct session *session = find_session(shadow, rollout);
    if (session && session->is_running) {
        session_stop(session);
        session->ended_order = ++shadow->end_count;
        atomic_fetch_sub(&shadow->running_count, 1);
    }
    pthread_mutex_unlock(&shadow->lock);
    pthread_mutex_unlock(&shadow->score_lock);
}

void shadow_stop(struct shadow *shadow)
{
    pthread_mutex_lock(&shadow->lock);
    bool is_running = shadow->is_started && !shadow->is_stopping;
    shadow->is_stopping = true;
    pthread_cond_signal(&shadow->wake);
    pthread_mutex_unlock(&shadow->lock);
    if (is_running)
        pthread_join(shadow->thread, NULL);
}

void shadow_free(struct shadow *shadow)
{
    if (!shadow)
        return;
    shadow_stop(shadow);
    if (shadow->is_started) {
        ring_done(&shadow->ring);
        arena_free(shadow->frame_arena);
        arena_free(shadow->score_arena);
    }
    for (int i = 0; i < shadow->session_count; i++)
        session_free(shadow->sessions[i]);
    pthread_cond_destroy(&shadow->wake);
    pthread_mutex_destroy(&shadow->score_lock);
    pthread_mutex_destroy(&shadow->lock);
    free(shadow);
}

/* ---- reading ---- */

/* The session under score_lock, which keeps it where it is; NULL (unlocked) when there is none. */
static struct session *read_begin(struct shadow *shadow, int64_t rollout)
{
    pthread_mutex_lock(&shadow->score_lock);
    pthread_mutex_lock(&shadow->lock);
    struct session *session = find_session(shadow, rollout);
    pthread_mutex_unlock(&shadow->lock);
    if (!session)
        pthread_mutex_unlock(&shadow->score_lock);
    return session;
}

static void read_end(struct shadow *shadow)
{
    pthread_mutex_unlock(&shadow->score_lock);
}

void shadow_answer(void *arg, const struct record *record, int64_t row, struct arena *arena,
                   struct predicted *predicted)
{
    struct shadow *shadow = arg;
    struct predicted *answer = NULL;
    if (atomic_load(&shadow->running_count) == 0 || predicted->arm == ARM_SHADOW)
        return;
    pthread_mutex_lock(&shadow->score_lock); /* no session ends meanwhile */
    pthread_mutex_lock(&shadow->lock);
    struct session *session = session_for(shadow, record);
    pthread_mutex_unlock(&shadow->lock);
    if (session && record->at_us >= session->since_us)
        answer = arena_alloc(arena, sizeof(*answer));
    if (answer && shadow_predict(session->candidate, record, row, predicted, arena, answer)) {
        answer->rollout = session->rollout;
        predicted->shadow = answer;
    }
    pthread_mutex_unlock(&shadow->score_lock);
}

bool shadow_save(struct shadow *shadow, int64_t rollout, struct buf *out)
{
    const struct session *session = read_begin(shadow, rollout);
    if (!session)
        return false;
    bool is_running = session->is_running;
    if (is_running)
        format(session, out);
    read_end(shadow);
    return is_running;
}

bool shadow_counts(struct shadow *shadow, int64_t rollout, struct shadow_counts *counts)
{
    pthread_mutex_lock(&shadow->lock);
    const struct session *session = find_session(shadow, rollout);
    if (session)
        *counts = (struct shadow_counts){
            .rows = counter_read(&session->rows),
            .differ = counter_read(&session->differ),
            .errors = counter_read(&session->errors),
            .refused = counter_read(&session->refused),
            .dropped_rows = counter_read(&session->dropped_rows),
            .since_us = session->since_us,
        };
    pthread_mutex_unlock(&shadow->lock);
    return session != NULL;
}

static double ratio_of(double a, double b)
{
    return b > 0 ? a / b : NAN;
}

static void write_side(struct json_writer *w, const char *key, const struct histogram_sum *time,
                       size_t bytes)
{
    json_key(w, key);
    json_begin_object(w);
    json_key(w, "predict_us_p50");
    json_put_f64(w, (double)histogram_quantile(time, 0.5) / 1000);
    json_key(w, "predict_us_p99");
    json_put_f64(w, (double)histogram_quantile(time, 0.99) / 1000);
    json_key(w, "memory_bytes");
    json_put_i64(w, (int64_t)bytes);
    json_end_object(w);
}

static void write_cost(const struct session *session, struct json_writer *w)
{
    json_key(w, "cost");
    json_begin_object(w);
    write_side(w, "stable", &session->stable_time, session->stable_bytes);
    write_side(w, "shadow", &session->candidate_time, session->candidate_bytes);
    json_key(w, "latency_ratio_p50");
    json_put_f64(w, ratio_of((double)histogram_quantile(&session->candidate_time, 0.5),
                             (double)histogram_quantile(&session->stable_time, 0.5)));
    json_key(w, "memory_ratio");
    json_put_f64(w, ratio_of((double)session->candidate_bytes, (double)session->stable_bytes));
    json_key(w, "timed_records");
    json_put_u64(w, session->candidate_time.count);
    json_end_object(w);
}

bool shadow_write(struct shadow *shadow, int64_t rollout, struct json_writer *w)
{
    const struct session *session = read_begin(shadow, rollout);
    if (!session)
        return false;
    uint64_t seen = session->compare.rows + session->compare.errors + session->compare.refused;
    json_begin_object(w);
    json_key(w, "since");
    json_put_time(w, session->since_us);
    json_key(w, "is_running");
    json_put_bool(w, session->is_running);
    json_key(w, "dropped_rows");
    json_put_u64(w, session->dropped_rows);
    json_key(w, "compared_ratio");
    json_put_f64(w,
                 ratio_of((double)session->compare.rows, (double)(seen + session->dropped_rows)));
    compare_write(&session->compare, w);
    write_cost(session, w);
    json_end_object(w);
    read_end(shadow);
    return true;
}
