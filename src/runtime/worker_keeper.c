/* worker_keeper.c - the one thread that starts, watches and ends worker processes.
 *
 * It polls, of every worker, the process (has it ended?), the pipe (what did it print?) and, while
 * the worker is its own, the socket; and it looks at every pool at each turn: what is due is done
 * under the pool's lock, none of it waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "runtime/worker_pool_own.h"
#include "runtime/worker_sandbox.h"

enum {
    POLLS_PER_WORKER = 3,
    TURN_MS_MAX = 1000,
    STABLE_MS = 10 * 1000, /* a worker that has lived for so long is none of a crash loop */
    PRINT_BYTES = 16 * 1024,
    PRINT_READS_MAX = 4, /* of one pipe in one turn: the others get theirs */
};

#define MS_NS INT64_C(1000000)

static struct keeper {
    pthread_mutex_t lock; /* of `first` */
    struct worker_pool *first;
    int wake_fd;
    struct pollfd *polls; /* [poll_max] the thread's own */
    int poll_count, poll_max;
    char frame[WORKER_FRAME_BYTES_MAX];
    _Atomic int64_t running;
    _Atomic uint64_t starts;
} keeper = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake_fd = -1};

void keeper_wake(void)
{
    const uint64_t one = 1;
    ssize_t size = write(keeper.wake_fd, &one, sizeof(one));
    (void)size; /* full: it is awake */
}

/* ---- ends ---- */

static void describe_end(const siginfo_t *info, char *out, size_t size)
{
    if (info->si_code == CLD_EXITED)
        snprintf(out, size, "ended with status %d", info->si_status);
    else
        snprintf(out, size, "was killed by signal %d (%s)", info->si_status,
                 strsignal(info->si_status));
}

/* Has the process ended? Then it is waited for, once. */
static void look_for_end(struct worker_pool *pool, struct slot *slot)
{
    siginfo_t info = {0};
    if (slot->has_ended || slot->worker.pid_fd < 0 ||
        waitid(P_PIDFD, (id_t)slot->worker.pid_fd, &info, WEXITED | WNOHANG) != 0 ||
        info.si_pid == 0)
        return;
    describe_end(&info, slot->end, sizeof(slot->end));
    slot->has_ended = true;
    slot->worker.pid = 0;
    keeper.running--;
    if (slot->state != SLOT_BUSY)
        slot->state = SLOT_ENDING;
    pthread_cond_broadcast(&pool->changed);
}

static void fail_opening(struct worker_pool *pool, const struct err *err)
{
    pool->open_err = *err;
    pool->is_opening = false;
    pthread_cond_broadcast(&pool->changed);
}

static void read_prints(struct worker_pool *pool, struct slot *slot)
{
    char bytes[PRINT_BYTES];
    for (int i = 0; i < PRINT_READS_MAX && slot->worker.log_fd >= 0; i++) {
        ssize_t size = read(slot->worker.log_fd, bytes, sizeof(bytes));
        if (size == 0) { /* the model has closed its output */
            close(slot->worker.log_fd);
            slot->worker.log_fd = -1;
        }
        if (size <= 0)
            return;
        worker_lines_take(&slot->worker.lines, (struct str){bytes, (size_t)size}, &pool->log);
    }
}

/* The slot becomes free; a worker that nobody ended is a failure. */
static void clear(struct worker_pool *pool, struct slot *slot)
{
    struct err err;
    read_prints(pool, slot);
    worker_lines_end(&slot->worker.lines, &pool->log);
    worker_done(&slot->worker);
    if (pool->is_opening) {
        err_set(&err, ERR_UPSTREAM, "the worker process %s while it loaded the model", slot->end);
        err_hint(&err, "slipway worker test FOLDER shows what it prints");
        fail_opening(pool, &err);
    } else if (!slot->is_unwanted && !pool->is_closing) {
        pool_failed(pool, slot->end);
    }
    slot->is_unwanted = false;
    slot_set(slot, SLOT_EMPTY, 0);
    pthread_cond_broadcast(&pool->changed);
}

static void end(struct slot *slot, bool is_unwanted)
{
    slot->is_unwanted = is_unwanted;
    worker_kill(&slot->worker);
    slot_set(slot, SLOT_ENDING, 0);
}

/* ---- starts ---- */

static void start(struct worker_pool *pool, struct slot *slot)
{
    struct err err = {0};
    int64_t now = keeper_now_ns();
    slot->has_ended = slot->is_unwanted = false;
    slot->started_ns = now;
    slot_set(slot, SLOT_STARTING, now + pool->plan->settings->load_timeout_ms * MS_NS);
    snprintf(slot->end, sizeof(slot->end), "did not start");
    enum err_code rc = worker_start(&slot->worker, pool->plan, &err);
    keeper.starts++;
    keeper.running += slot->worker.pid != 0;
    if (!rc || slot->worker.is_gone)
        return; /* what it said before it went is heard at the next turn */
    if (pool->is_opening)
        fail_opening(pool, &err);
    else
        pool_failed(pool, err.msg);
    slot->is_unwanted = true; /* the failure has been counted */
    if (slot->worker.pid)
        end(slot, true);
    else
        clear(pool, slot);
}

static void start_missing(struct worker_pool *pool)
{
    int there = 0;
    for (int i = 0; i < WORKERS_MAX; i++)
        there += pool->slots[i].state != SLOT_EMPTY && pool->slots[i].state != SLOT_ENDING;
    bool may_start = !pool->is_closing && keeper_now_ns() >= pool->not_before_ns &&
                     (pool->is_open || pool->start_count == 0);
    for (int i = 0; i < WORKERS_MAX && may_start && there < pool->wanted; i++) {
        if (pool->slots[i].state != SLOT_EMPTY)
            continue;
        pool->start_count++;
        there++;
        start(pool, &pool->slots[i]);
    }
}

/* ---- frames of workers that are the keeper's ---- */

/* From the READY frame's JSON. */
static void name_interpreter(struct worker_pool *pool, const struct worker_frame *frame)
{
    struct arena *arena = arena_new(WORKER_FRAME_BYTES_MAX * 4);
    struct str python = STR_LIT("?"), numpy = {0};
    struct err ignored;
    yyjson_val *root = NULL;
    if (json_read(frame->text, arena, &root, &ignored) == ERR_OK) {
        json_get_str_opt(root, "the frame", "python", &python, &ignored);
        json_get_str_opt(root, "the frame", "numpy", &numpy, &ignored);
    }
    snprintf(pool->interpreter, sizeof(pool->interpreter), "Python %.*s, %s%.*s",
             (int)(python.len < 20 ? python.len : 20), python.ptr,
             numpy.len ? "numpy " : "no numpy", (int)(numpy.len < 20 ? numpy.len : 20),
             numpy.ptr ? numpy.ptr : "");
    arena_free(arena);
}

static void loaded(struct worker_pool *pool, struct slot *slot)
{
    slot_set(slot, SLOT_IDLE, 0);
    if (pool->is_opening) {
        pool->is_opening = false;
        pool->is_open = true;
    }
    pthread_cond_broadcast(&pool->changed);
}

static void failed_to_load(struct worker_pool *pool, struct slot *slot,
                           const struct worker_frame *frame)
{
    struct err err = {0};
    worker_failure(frame, &err);
    snprintf(slot->end, sizeof(slot->end), "%.79s", err.msg);
    if (pool->is_opening)
        fail_opening(pool, &err);
    else
        pool_failed(pool, err.msg);
    end(slot, true);
}

static void refuse_memory(struct slot *slot, const struct worker_frame *frame)
{
    struct err err;
    const struct worker_frame refusal = {.kind = WORKER_REFUSE, .call = frame->call};
    if (worker_send(&slot->worker, &refusal, &err))
        end(slot, false);
}

static void hear(struct worker_pool *pool, struct slot *slot, const struct worker_frame *frame)
{
    bool is_answer =
        frame->kind == WORKER_RESULT || frame->kind == WORKER_FAILED || frame->kind == WORKER_NEED;
    if (slot->state == SLOT_STARTING && frame->kind == WORKER_SANDBOX)
        pool->sandbox = (unsigned)frame->value;
    else if (slot->state == SLOT_STARTING && frame->kind == WORKER_READY) {
        if (pool->is_opening)
            name_interpreter(pool, frame);
        loaded(pool, slot);
    } else if (slot->state == SLOT_STARTING && frame->kind == WORKER_FAILED)
        failed_to_load(pool, slot, frame);
    else if (slot->state == SLOT_CHECKED && frame->kind == WORKER_PONG)
        loaded(pool, slot);
    else if (slot->state == SLOT_ABANDONED && is_answer) {
        if (frame->kind == WORKER_NEED)
            refuse_memory(slot, frame);
        if (slot->state == SLOT_ABANDONED)
            loaded(pool, slot);
    } else
        end(slot, false);
}

static bool is_keepers(const struct slot *slot)
{
    return slot->state == SLOT_STARTING || slot->state == SLOT_CHECKED ||
           slot->state == SLOT_ABANDONED;
}

static void hear_all(struct worker_pool *pool, struct slot *slot)
{
    struct worker_frame frame;
    struct err err;
    bool has_frame = true;
    while (is_keepers(slot) && has_frame && !slot->has_ended) {
        if (worker_receive(&slot->worker, keeper.frame, &frame, &has_frame, &err))
            end(slot, false);
        else if (has_frame)
            hear(pool, slot, &frame);
    }
}

/* ---- what is due ---- */

static void check_life(struct slot *slot, int64_t now)
{
    struct err err;
    const struct worker_frame ping = {.kind = WORKER_PING};
    slot_set(slot, SLOT_CHECKED, now + WORKER_PONG_MS * MS_NS);
    if (worker_send(&slot->worker, &ping, &err))
        end(slot, false);
}

static void overdue(struct worker_pool *pool, struct slot *slot)
{
    struct err err;
    bool is_opening = pool->is_opening && slot->state == SLOT_STARTING;
    err_set(&err, ERR_TIMEOUT, "the model did not load within %lld s",
            (long long)pool->plan->settings->load_timeout_ms / 1000);
    err_hint(&err, "load_timeout in its slipway.yaml is the limit");
    if (is_opening)
        fail_opening(pool, &err);
    else
        log_warn("model's worker hangs and is ended", "model=%s pid=%d", pool->label,
                 slot->worker.pid);
    end(slot, is_opening);
}

static void idle(struct worker_pool *pool, struct slot *slot, int64_t now)
{
    int64_t idle_ms = (now - slot->since_ns) / MS_NS;
    bool is_stable = now - slot->started_ns > STABLE_MS * MS_NS;
    if (pool->failures && is_stable)
        pool_works(pool);
    if (pool->wanted > 1 && idle_ms >= WORKER_SPARE_MS) {
        pool->wanted--;
        end(slot, true);
    } else if (idle_ms >= WORKER_PING_MS) {
        check_life(slot, now);
    }
}

static void tend_slot(struct worker_pool *pool, struct slot *slot, int64_t now)
{
    look_for_end(pool, slot);
    hear_all(pool, slot);
    if (slot->state == SLOT_ENDING) {
        if (slot->has_ended)
            clear(pool, slot);
        return;
    }
    read_prints(pool, slot);
    if (pool->is_closing && slot->state != SLOT_BUSY)
        end(slot, true);
    else if (is_keepers(slot) && now >= slot->until_ns)
        overdue(pool, slot);
    else if (slot->state == SLOT_IDLE)
        idle(pool, slot, now);
}

/* True when nothing is left of a pool that closes. */
static bool tend(struct worker_pool *pool)
{
    bool is_empty = true;
    int64_t now = keeper_now_ns();
    pthread_mutex_lock(&pool->lock);
    for (int i = 0; i < WORKERS_MAX; i++)
        if (pool->slots[i].state != SLOT_EMPTY)
            tend_slot(pool, &pool->slots[i], now);
    start_missing(pool);
    for (int i = 0; i < WORKERS_MAX; i++)
        is_empty = is_empty && pool->slots[i].state == SLOT_EMPTY;
    bool is_over = is_empty && pool->is_closing;
    pthread_mutex_unlock(&pool->lock);
    return is_over;
}

static void free_pool(struct worker_pool *pool)
{
    worker_log_done(&pool->log);
    pthread_cond_destroy(&pool->changed);
    pthread_mutex_destroy(&pool->lock);
    arena_free(pool->arena);
    free(pool);
}

/* ---- the thread ---- */

static void watch(int fd)
{
    if (keeper.poll_count == keeper.poll_max) {
        keeper.poll_max = keeper.poll_max ? 2 * keeper.poll_max : 64;
        keeper.polls = realloc(keeper.polls, (size_t)keeper.poll_max * sizeof(*keeper.polls));
        if (!keeper.polls)
            abort();
    }
    keeper.polls[keeper.poll_count++] = (struct pollfd){.fd = fd, .events = POLLIN};
}

static int earlier_ms(int ms, int64_t at_ns, int64_t now)
{
    int64_t left = at_ns <= now ? 0 : (at_ns - now + MS_NS - 1) / MS_NS;
    return left < ms ? (int)left : ms;
}

/* Descriptors of its workers, and the time until something of it is due. */
static int watch_pool(struct worker_pool *pool, int ms)
{
    int64_t now = keeper_now_ns();
    pthread_mutex_lock(&pool->lock);
    for (int i = 0; i < WORKERS_MAX; i++) {
        const struct slot *slot = &pool->slots[i];
        if (slot->state == SLOT_EMPTY)
            continue;
        if (!slot->has_ended) {
            watch(slot->worker.pid_fd);
            watch(slot->worker.log_fd);
        }
        if (is_keepers(slot)) {
            watch(slot->worker.socket_fd);
            ms = earlier_ms(ms, slot->until_ns, now);
        }
    }
    if (pool->not_before_ns > now)
        ms = earlier_ms(ms, pool->not_before_ns, now);
    pthread_mutex_unlock(&pool->lock);
    return ms;
}

static void wait_for_news(void)
{
    int ms = TURN_MS_MAX;
    uint64_t wakes;
    keeper.poll_count = 0;
    watch(keeper.wake_fd);
    pthread_mutex_lock(&keeper.lock);
    for (struct worker_pool *pool = keeper.first; pool; pool = pool->next)
        ms = watch_pool(pool, ms);
    pthread_mutex_unlock(&keeper.lock);
    poll(keeper.polls, (nfds_t)keeper.poll_count, ms);
    while (read(keeper.wake_fd, &wakes, sizeof(wakes)) > 0)
        ;
}

static void tend_all(void)
{
    pthread_mutex_lock(&keeper.lock);
    for (struct worker_pool **at = &keeper.first; *at;) {
        struct worker_pool *pool = *at;
        if (tend(pool)) {
            *at = pool->next;
            free_pool(pool);
        } else {
            at = &pool->next;
        }
    }
    pthread_mutex_unlock(&keeper.lock);
}

static void *run(void *arg)
{
    for (;;) {
        tend_all();
        wait_for_news();
    }
    return arg;
}

static void start_thread(void)
{
    pthread_t thread;
    sigset_t all, before;
    keeper.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int errnum = keeper.wake_fd < 0 ? errno : pthread_create(&thread, NULL, run, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (errnum)
        abort();
    pthread_detach(thread);
}

void keeper_add(struct worker_pool *pool)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start_thread);
    pthread_mutex_lock(&keeper.lock);
    pool->next = keeper.first;
    keeper.first = pool;
    pthread_mutex_unlock(&keeper.lock);
    keeper_wake();
}

void workers_stats(struct workers_stats *stats)
{
    *stats = (struct workers_stats){
        .running = keeper.running, .starts = keeper.starts, .failures = pool_failures()};
}
