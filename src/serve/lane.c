/* lane.c - a lock-free inbox, a batcher under a lock, the threads that empty it.
 *
 * Who sleeps is counted in `sleepers`, and who wakes one takes it out of that count before the
 * semaphore is posted: at most one post for each sleeper, none that wakes nobody. Both sides first
 * write and then look at what the other one writes (sequentially consistent), so either the
 * submitter sees the sleeper or the sleeper sees the task:
 *
 *     submitter: push to inbox;  look at sleepers, running
 *     thread:    sleepers++ (or running--);  look at inbox
 */
#include "serve/lane.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "serve/joined.h"

enum { LANE_MAGIC = 0x4c414e45, THREAD_NAME_BYTES = 16, URGENT_SHARE = 10, RETRY_SECONDS_MAX = 60 };

#define NS_PER_SECOND INT64_C(1000000000)

enum thread_state { THREAD_NONE, THREAD_RUNS, THREAD_ENDED };

struct lane_thread {
    struct lane *lane;
    pthread_t id;
    enum thread_state state; /* guarded by work->lock */
    struct audience audience;
};

/* What a lane needs once it has had a request. */
struct lane_work {
    pthread_mutex_t lock; /* guards all of it */
    struct batcher batcher;
    struct serving serving; /* as the newest request has it */
    bool is_ending;
    struct histogram queue, compute;
    struct lane_thread threads[SERVING_INSTANCES_MAX];
};

struct lane {
    uint32_t magic;
    struct lanes *lanes;
    struct loaded *loaded;             /* it has this lane; its cost is learnt here too */
    _Atomic(struct lane_task *) inbox; /* newest first */
    _Atomic int waiting;               /* in the inbox or the batcher */
    _Atomic int sleepers, running;     /* threads */
    sem_t wake;
    _Atomic int starts; /* threads asked of the starter */
    struct lane *next_start;
    _Atomic(struct lane_work *) work;
    _Atomic uint64_t batches[CLOSE_COUNT], sizes[LANE_SIZES], size_ns[LANE_SIZES], requests, rows,
        refused, late, cancelled, failed, split, predicted_ns, off_ns;
};

struct lanes {
    size_t bytes_max;
    int core_count, idle_ms;
    _Atomic size_t bytes;
    _Atomic int64_t held_ns; /* for how long requests have held memory lately */
    _Atomic(struct lane *) start_list;
    pthread_mutex_t start_lock; /* one starts threads at a time */
    sem_t wake;
    _Atomic bool is_ending;
    pthread_t starter;
};

static void count(_Atomic uint64_t *counter, uint64_t amount)
{
    atomic_fetch_add_explicit(counter, amount, memory_order_relaxed);
}

/* Posted by a data thread: a system call only when somebody sleeps. */
static void wake_up(sem_t *semaphore)
{
    if (sem_post(semaphore) != 0)
        abort();
}

static void sleep_on(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0)
        assert(errno == EINTR);
}

/* False when `ns` have passed. */
static bool sleep_for(sem_t *semaphore, int64_t ns)
{
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    int64_t sum_ns = end.tv_nsec + (ns > 0 ? ns : 0);
    end.tv_sec += sum_ns / NS_PER_SECOND;
    end.tv_nsec = sum_ns % NS_PER_SECOND;
    while (sem_clockwait(semaphore, CLOCK_MONOTONIC, &end) != 0) {
        if (errno == ETIMEDOUT)
            return false;
        assert(errno == EINTR);
    }
    return true;
}

/* counter-- unless it is 0, counter++ unless it is `max`; false: left alone. */
static bool take_one(_Atomic int *counter)
{
    int value = atomic_load(counter);
    while (value > 0)
        if (atomic_compare_exchange_weak(counter, &value, value - 1))
            return true;
    return false;
}

static bool add_one(_Atomic int *counter, int max)
{
    int value = atomic_load(counter);
    while (value < max)
        if (atomic_compare_exchange_weak(counter, &value, value + 1))
            return true;
    return false;
}

int lane_instances(const struct lane *lane, const struct serving *serving)
{
    const struct signature *signature = lane->loaded->signature;
    int most = signature->instances_max, instances = serving->instances;
    if (instances == 0 && signature->place == RUNTIME_INLINE)
        instances = lane->lanes->core_count;
    else if (instances == 0)
        instances = most ? most : 1;
    instances = most && instances > most ? most : instances;
    return instances < SERVING_INSTANCES_MAX ? instances : SERVING_INSTANCES_MAX;
}

/* ---- submitting ---- */

static void push(struct lane *lane, struct lane_task *task)
{
    struct lane_task *head = atomic_load_explicit(&lane->inbox, memory_order_relaxed);
    do {
        task->next = head;
    } while (!atomic_compare_exchange_weak(&lane->inbox, &head, task));
}

static void ask_for_thread(struct lane *lane)
{
    struct lanes *lanes = lane->lanes;
    if (atomic_fetch_add(&lane->starts, 1) > 0)
        return;
    struct lane *head = atomic_load_explicit(&lanes->start_list, memory_order_relaxed);
    do {
        lane->next_start = head;
    } while (!atomic_compare_exchange_weak(&lanes->start_list, &head, lane));
    wake_up(&lanes->wake);
}

static uint64_t read_count(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static int to_retry_seconds(double ns)
{
    double seconds = ceil(ns / (double)NS_PER_SECOND);
    return seconds < 1 ? 1 : seconds > RETRY_SECONDS_MAX ? RETRY_SECONDS_MAX : (int)seconds;
}

/* How long what waits now will take: so many batches of requests as large as they usually are, at
 * the cost that was learnt; but nobody waits past his time. */
static int retry_seconds(const struct lane *lane, const struct serving *serving)
{
    const struct cost *cost = &lane->loaded->cost;
    double requests = (double)read_count(&lane->requests), waiting = atomic_load(&lane->waiting);
    double usual = requests > 0 ? (double)read_count(&lane->rows) / requests : 1;
    double rows = waiting * usual, most = lane->loaded->signature->batch_rows_max;
    if (most > serving->batch_rows_max)
        most = serving->batch_rows_max;
    double base_ns = (double)cost_ns(cost, 0), batches = most > usual ? rows / most : waiting;
    double row_ns = ((double)cost_ns(cost, 1000) - base_ns) / 1000;
    double ns = (ceil(batches) * base_ns + rows * row_ns) / lane_instances(lane, serving);
    double longest_ns = (double)serving->timeout_us * 1000;
    return to_retry_seconds(ns < longest_ns ? ns : longest_ns);
}

/* Requests more urgent than the model's usual ones find a tenth more room: a queue that is full of
 * usual ones does not turn them away. */
static enum err_code take_place(struct lane *lane, const struct lane_task *task, struct err *err)
{
    const struct serving *serving = task->serving;
    int max = serving->queue_requests_max;
    if (task->priority < serving->priority)
        max += (max + URGENT_SHARE - 1) / URGENT_SHARE;
    if (add_one(&lane->waiting, max))
        return ERR_OK;
    err_set(err, ERR_UNAVAILABLE,
            "Exceeds maximum queue size: %d requests wait for model '%s' version %lld already", max,
            lane->loaded->model, (long long)lane->loaded->number);
    err->retry_seconds = retry_seconds(lane, serving);
    count(&lane->refused, 1);
    return err_hint(err, "try again in a moment; slipway model serving %s says what it waits for",
                    lane->loaded->model);
}

enum err_code lanes_take_bytes(struct lanes *lanes, size_t bytes, struct err *err)
{
    size_t before = atomic_fetch_add(&lanes->bytes, bytes);
    if (before + bytes <= lanes->bytes_max)
        return ERR_OK;
    atomic_fetch_sub(&lanes->bytes, bytes);
    err_set(err, ERR_UNAVAILABLE,
            "requests that wait hold %zu MiB, and may hold %zu together: no room for this one",
            before >> 20, lanes->bytes_max >> 20);
    err->retry_seconds = to_retry_seconds((double)atomic_load(&lanes->held_ns));
    return err_hint(err, "try again in a moment, or send fewer rows at a time");
}

void lanes_give_bytes(struct lanes *lanes, size_t bytes)
{
    atomic_fetch_sub(&lanes->bytes, bytes);
}

enum err_code lane_submit(struct lane *lane, struct lane_task *task, struct err *err)
{
    CHECK_MAGIC(lane, LANE_MAGIC);
    if (task->call.deadline_ns <= task->queued_ns) {
        count(&lane->late, 1);
        return err_set(err, ERR_TIMEOUT, "Request timeout expired before it was queued");
    }
    enum err_code rc = take_place(lane, task, err);
    if (rc)
        return rc;
    rc = lanes_take_bytes(lane->lanes, task->memory_bytes, err);
    if (rc) {
        atomic_fetch_sub(&lane->waiting, 1);
        count(&lane->refused, 1);
        return rc;
    }
    int instances =
        lane_instances(lane, task->serving); /* the task is not ours once it is pushed */
    lane_task_describe(task, lane->loaded->signature);
    push(lane, task);
    if (take_one(&lane->sleepers))
        wake_up(&lane->wake);
    else if (add_one(&lane->running, instances))
        ask_for_thread(lane);
    return ERR_OK;
}

/* ---- a lane's thread ---- */

static void drain_inbox(struct lane *lane, struct lane_work *work)
{
    struct lane_task *newest = atomic_exchange(&lane->inbox, NULL), *oldest = NULL;
    if (newest)
        work->serving = *newest->serving;
    while (newest) {
        struct lane_task *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        struct lane_task *next = oldest->next;
        batcher_put(&work->batcher, oldest);
        oldest = next;
    }
}

static void count_batch(struct lane *lane, struct lane_work *work, const struct batch *batch,
                        int64_t now_ns)
{
    count(&lane->batches[batch->close], 1);
    count(&lane->sizes[loaded_size(batch->rows)], 1);
    count(&lane->requests, (uint64_t)batch->count);
    count(&lane->rows, (uint64_t)batch->rows);
    for (struct lane_task *task = batch->first; task; task = task->next_in_batch) {
        task->waited_ns = now_ns - task->queued_ns;
        histogram_record(&work->queue, task->waited_ns);
    }
}

static int count_list(const struct lane_task *task)
{
    int number = 0;
    for (; task; task = task->next_in_batch)
        number++;
    return number;
}

static int64_t take_batch(struct lane *lane, struct lane_work *work, struct batch *batch,
                          struct lane_task **dropped)
{
    pthread_mutex_lock(&work->lock);
    drain_inbox(lane, work);
    int64_t now_ns = clock_monotonic_ns();
    int rows_max = lane->loaded->signature->batch_rows_max;
    if (rows_max > work->serving.batch_rows_max)
        rows_max = work->serving.batch_rows_max;
    const struct batch_rule rule = {.cost = &lane->loaded->cost,
                                    .rows_max = rows_max,
                                    .delay_ns = work->serving.batch_delay_us * 1000};
    *dropped = batcher_drop(&work->batcher, &lane->loaded->cost, now_ns);
    int64_t until_ns = batcher_take(&work->batcher, &rule, now_ns, batch);
    if (batch->count)
        count_batch(lane, work, batch, now_ns);
    pthread_mutex_unlock(&work->lock);
    atomic_fetch_sub(&lane->waiting, batch->count + count_list(*dropped));
    return until_ns;
}

/* The newest count for a sixteenth; of two threads that come at once one may be lost. */
static void note_held(struct lanes *lanes, int64_t ns)
{
    int64_t before = atomic_load_explicit(&lanes->held_ns, memory_order_relaxed);
    int64_t after = before ? before + (ns - before) / 16 : ns;
    atomic_store_explicit(&lanes->held_ns, after, memory_order_relaxed);
}

static void give_back(struct lane *lane, struct lane_task *task)
{
    struct lane_task *next;
    int64_t now_ns = task ? clock_monotonic_ns() : 0;
    for (; task; task = next) {
        next = task->next_in_batch;
        note_held(lane->lanes, now_ns - task->queued_ns);
        if (task->rc == ERR_TIMEOUT || atomic_load(&task->is_expired))
            count(&lane->late, 1);
        else if (task->rc == ERR_CANCELLED)
            count(&lane->cancelled, 1);
        else if (task->rc)
            count(&lane->failed, 1);
        lanes_give_bytes(lane->lanes, task->memory_bytes);
        task->done(task); /* its memory may be gone */
    }
}

/* The first call is not held against a cost nobody knew. */
static void count_cost(struct lane *lane, const struct batch *batch, int64_t took_ns)
{
    int64_t off_ns = took_ns - batch->predicted_ns;
    cost_add(&lane->loaded->cost, batch->rows, took_ns);
    if (!batch->predicted_ns)
        return;
    count(&lane->predicted_ns, (uint64_t)batch->predicted_ns);
    count(&lane->off_ns, (uint64_t)(off_ns < 0 ? -off_ns : off_ns));
}

/* A call that failed says nothing about what one costs. */
static void run_batch(struct lane *lane, struct lane_work *work, struct batch *batch,
                      struct audience *audience, struct arena *scratch)
{
    bool was_split = false;
    int64_t start_ns = clock_monotonic_ns();
    joined_run(lane->loaded, batch, audience, scratch, &was_split);
    int64_t took_ns = clock_monotonic_ns() - start_ns;
    count(&lane->size_ns[loaded_size(batch->rows)], (uint64_t)took_ns);
    for (struct lane_task *task = batch->first; task; task = task->next_in_batch)
        task->infer_ns = took_ns;
    if (was_split)
        count(&lane->split, 1);
    else if (batch->first->rc == ERR_OK)
        count_cost(lane, batch, took_ns);
    pthread_mutex_lock(&work->lock);
    histogram_record(&work->compute, took_ns);
    pthread_mutex_unlock(&work->lock);
    give_back(lane, batch->first);
}

/* Not counted as a sleeper any more. Whoever counted it out first has posted or is about to. */
static void rise(struct lane *lane)
{
    if (!take_one(&lane->sleepers))
        sleep_on(&lane->wake);
}

/* False when the time is over and nothing has come. */
static bool sleep_in_lane(struct lane *lane, int64_t ns)
{
    atomic_fetch_add(&lane->sleepers, 1);
    if (atomic_load(&lane->inbox)) {
        rise(lane);
        return true;
    }
    if (sleep_for(&lane->wake, ns))
        return true;
    rise(lane);
    return false;
}

/* May the thread that has nothing to do end? A task may just have come and relied on it. */
static bool leave(struct lane *lane, struct lane_work *work)
{
    pthread_mutex_lock(&work->lock);
    int instances = lane_instances(lane, &work->serving);
    pthread_mutex_unlock(&work->lock);
    atomic_fetch_sub(&lane->running, 1);
    return !atomic_load(&lane->inbox) || !add_one(&lane->running, instances);
}

static bool is_ending(struct lane_work *work)
{
    pthread_mutex_lock(&work->lock);
    bool is_over = work->is_ending;
    pthread_mutex_unlock(&work->lock);
    return is_over;
}

static void run_lane(struct lane *lane, struct lane_work *work, struct audience *audience,
                     struct arena *scratch)
{
    struct batch batch;
    struct lane_task *dropped;
    for (;;) {
        int64_t until_ns = take_batch(lane, work, &batch, &dropped);
        give_back(lane, dropped);
        if (batch.count) {
            run_batch(lane, work, &batch, audience, scratch);
            continue;
        }
        bool is_idle = until_ns == 0;
        int64_t ns =
            is_idle ? lane->lanes->idle_ms * INT64_C(1000000) : until_ns - clock_monotonic_ns();
        bool has_slept = sleep_in_lane(lane, ns);
        if (is_ending(work) || (!has_slept && is_idle && leave(lane, work)))
            return;
    }
}

static void *run_thread(void *arg)
{
    struct lane_thread *thread = arg;
    struct lane *lane = thread->lane;
    struct lane_work *work = atomic_load(&lane->work);
    char name[THREAD_NAME_BYTES];
    snprintf(name, sizeof(name), "%.9s:%lld", lane->loaded->model, (long long)lane->loaded->number);
    pthread_setname_np(pthread_self(), name);
    struct arena *scratch = arena_new(JOINED_BYTES_MAX);
    run_lane(lane, work, &thread->audience, scratch);
    arena_free(scratch);
    pthread_mutex_lock(&work->lock);
    thread->state = THREAD_ENDED;
    pthread_mutex_unlock(&work->lock);
    return NULL;
}

/* ---- the starter ---- */

static struct lane_work *work_of(struct lane *lane)
{
    struct lane_work *work = atomic_load(&lane->work);
    if (work)
        return work;
    work = calloc(1, sizeof(*work));
    if (!work)
        abort();
    pthread_mutex_init(&work->lock, NULL);
    atomic_store(&lane->work, work);
    return work;
}

/* A slot that is free, or whose thread has ended; there is one, as fewer run than there are. */
static struct lane_thread *free_slot(struct lane_work *work)
{
    for (int i = 0;; i = (i + 1) % SERVING_INSTANCES_MAX) {
        pthread_mutex_lock(&work->lock);
        enum thread_state state = work->threads[i].state;
        pthread_mutex_unlock(&work->lock);
        if (state == THREAD_RUNS)
            continue;
        if (state == THREAD_ENDED)
            pthread_join(work->threads[i].id, NULL);
        return &work->threads[i];
    }
}

static void start_thread(struct lane *lane)
{
    struct lane_work *work = work_of(lane);
    struct lane_thread *thread = free_slot(work);
    thread->lane = lane;
    pthread_mutex_lock(&work->lock);
    thread->state = THREAD_RUNS;
    pthread_mutex_unlock(&work->lock);
    if (pthread_create(&thread->id, NULL, run_thread, thread) != 0)
        abort();
}

/* Every thread that was asked for before the call. */
static void start_asked(struct lanes *lanes)
{
    pthread_mutex_lock(&lanes->start_lock);
    struct lane *lane = atomic_exchange(&lanes->start_list, NULL), *next;
    for (; lane; lane = next) {
        next = lane->next_start; /* it may be listed again once its number is taken */
        for (int left = atomic_exchange(&lane->starts, 0); left > 0; left--)
            start_thread(lane);
    }
    pthread_mutex_unlock(&lanes->start_lock);
}

static void *run_starter(void *arg)
{
    struct lanes *lanes = arg;
    pthread_setname_np(pthread_self(), "starter");
    while (!atomic_load(&lanes->is_ending)) {
        sleep_on(&lanes->wake);
        start_asked(lanes);
    }
    return NULL;
}

/* Signals are the main thread's: the starter has none, nor has what it starts. */
struct lanes *lanes_new(size_t bytes_max, int core_count, int idle_ms)
{
    sigset_t all, before;
    struct lanes *lanes = calloc(1, sizeof(*lanes));
    if (!lanes || sem_init(&lanes->wake, 0, 0) != 0)
        abort();
    lanes->bytes_max = bytes_max;
    lanes->core_count = core_count;
    lanes->idle_ms = idle_ms;
    pthread_mutex_init(&lanes->start_lock, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&lanes->starter, NULL, run_starter, lanes) != 0)
        abort();
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return lanes;
}

void lanes_free(struct lanes *lanes)
{
    if (!lanes)
        return;
    atomic_store(&lanes->is_ending, true);
    wake_up(&lanes->wake);
    pthread_join(lanes->starter, NULL);
    assert(atomic_load(&lanes->bytes) == 0);
    pthread_mutex_destroy(&lanes->start_lock);
    sem_destroy(&lanes->wake);
    free(lanes);
}

size_t lanes_waiting_bytes(const struct lanes *lanes)
{
    return atomic_load(&lanes->bytes);
}

/* ---- a lane ---- */

struct lane *lane_new(struct lanes *lanes, struct loaded *loaded)
{
    struct lane *lane = calloc(1, sizeof(*lane));
    if (!lane || sem_init(&lane->wake, 0, 0) != 0)
        abort();
    lane->magic = LANE_MAGIC;
    lane->lanes = lanes;
    lane->loaded = loaded;
    return lane;
}

static void end_threads(struct lane_work *work, sem_t *wake)
{
    int started = 0; /* slots are taken in order and never given up */
    pthread_mutex_lock(&work->lock);
    work->is_ending = true;
    while (started < SERVING_INSTANCES_MAX && work->threads[started].state != THREAD_NONE)
        started++;
    pthread_mutex_unlock(&work->lock);
    for (int i = 0; i < started; i++)
        wake_up(wake);
    for (int i = 0; i < started; i++)
        pthread_join(work->threads[i].id, NULL);
    pthread_mutex_destroy(&work->lock);
    free(work);
}

void lane_free(struct lane *lane)
{
    if (!lane)
        return;
    CHECK_MAGIC(lane, LANE_MAGIC);
    assert(atomic_load(&lane->waiting) == 0);
    start_asked(lane->lanes); /* it is on no list any more */
    struct lane_work *work = atomic_load(&lane->work);
    if (work)
        end_threads(work, &lane->wake);
    sem_destroy(&lane->wake);
    lane->magic = 0;
    free(lane);
}

/* ---- what it counted ---- */

int lane_size_bound(int size)
{
    return size < LANE_SIZES - 1 ? 1 << size : 0;
}

void lane_read_sizes(const struct lane *lane, uint64_t counts[LANE_SIZES],
                     uint64_t infer_ns[LANE_SIZES])
{
    for (int i = 0; i < LANE_SIZES; i++) {
        counts[i] = read_count(&lane->sizes[i]);
        infer_ns[i] = read_count(&lane->size_ns[i]);
    }
}

void lane_read(struct lane *lane, struct lane_stats *stats)
{
    struct lane_work *work = atomic_load(&lane->work);
    *stats = (struct lane_stats){
        .waiting = atomic_load(&lane->waiting),
        .threads = atomic_load(&lane->running),
        .requests = read_count(&lane->requests),
        .rows = read_count(&lane->rows),
        .refused = read_count(&lane->refused),
        .late = read_count(&lane->late),
        .cancelled = read_count(&lane->cancelled),
        .failed = read_count(&lane->failed),
        .split = read_count(&lane->split),
        .predicted_ns = read_count(&lane->predicted_ns),
        .off_ns = read_count(&lane->off_ns),
        .base_ns = cost_ns(&lane->loaded->cost, 0),
        .row_ns_x1000 = cost_ns(&lane->loaded->cost, 1000) - cost_ns(&lane->loaded->cost, 0),
    };
    for (int i = 0; i < CLOSE_COUNT; i++)
        stats->batches[i] = read_count(&lane->batches[i]);
    for (int i = 0; i < LANE_SIZES; i++)
        stats->sizes[i] = read_count(&lane->sizes[i]);
    if (!work)
        return;
    histogram_add_to(&work->queue, &stats->queue);
    histogram_add_to(&work->compute, &stats->compute);
}
