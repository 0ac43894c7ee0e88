/* graph_flight.c - flights begin, come back, or are left alone. */
#include "serve/graph_flight.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "serve/audience.h"
#include "serve/lane.h"
#include "serve/snapshot.h"

enum { FLIGHT_BYTES_MAX = 256 * 1024 * 1024 };

#define NS_PER_SECOND INT64_C(1000000000)
#define LOOK_NS INT64_C(5000000) /* between looks at whether the caller has left */

struct graph_flights {
    const struct runtime_versions *versions;
    pthread_mutex_t lock; /* guards what follows and what a flight says below */
    pthread_cond_t back;  /* one has come back */
    int count;            /* under way */
};

struct graph_flight {
    struct graph_flights *flights;
    struct arena *arena;    /* which it lives in */
    struct serving serving; /* of its model, as it begins: it may outlive the snapshot */
    struct lane_task task;
    bool is_back, is_left; /* under the lock */
};

struct graph_flights *graph_flights_new(const struct runtime_versions *versions)
{
    pthread_condattr_t attr;
    struct graph_flights *flights = calloc(1, sizeof(*flights));
    if (!flights)
        abort();
    flights->versions = versions;
    pthread_mutex_init(&flights->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&flights->back, &attr);
    pthread_condattr_destroy(&attr);
    return flights;
}

void graph_flights_free(struct graph_flights *flights)
{
    if (!flights)
        return;
    pthread_mutex_lock(&flights->lock);
    while (flights->count)
        pthread_cond_wait(&flights->back, &flights->lock);
    pthread_mutex_unlock(&flights->lock);
    pthread_cond_destroy(&flights->back);
    pthread_mutex_destroy(&flights->lock);
    free(flights);
}

static void flight_free(void *arg)
{
    struct graph_flight *flight = arg;
    arena_free(flight->arena);
}

static void add(struct graph_flights *flights, int change)
{
    pthread_mutex_lock(&flights->lock);
    flights->count += change;
    pthread_cond_broadcast(&flights->back);
    pthread_mutex_unlock(&flights->lock);
}

/* On the lane's thread. Behind the lock the graph may be gone. */
static void come_back(struct lane_task *task)
{
    struct graph_flight *flight = CONTAINER_OF(task, struct graph_flight, task);
    struct graph_flights *flights = flight->flights;
    pthread_mutex_lock(&flights->lock);
    bool is_left = flight->is_left;
    flight->is_back = true;
    flights->count--;
    pthread_cond_broadcast(&flights->back);
    pthread_mutex_unlock(&flights->lock);
    if (is_left)
        flight_free(flight);
}

/* ---- away ---- */

static struct graph_flight *flight_new(struct graph_run *run)
{
    struct arena *arena = arena_new(FLIGHT_BYTES_MAX);
    struct graph_flight *flight = arena_calloc(arena, 1, sizeof(*flight));
    flight->arena = arena;
    flight->flights = run->flights;
    flight->task.done = come_back;
    return flight;
}

static bool copy_text(struct graph_flight *flight, struct str from, struct str *to)
{
    if (from.len == 0)
        return true;
    *to = (struct str){arena_copy(flight->arena, from.ptr, from.len), from.len};
    return to->ptr != NULL;
}

static enum err_code copy_request(struct graph_run *run, struct graph_flight *flight)
{
    const struct runtime_call *from = run->call;
    struct runtime_call *to = &flight->task.call;
    return copy_text(flight, from->parameters, &to->parameters) &&
                   copy_text(flight, from->request_id, &to->request_id) &&
                   copy_text(flight, from->traceparent, &to->traceparent)
               ? ERR_OK
               : err_set(run->err, ERR_LIMIT, "no room for the request's parameters");
}

static enum err_code copy_texts(struct graph_run *run, struct tensor *in, struct arena *arena)
{
    int64_t count = in->data ? tensor_elements(in->shape, in->rank) : 0;
    struct str *texts = in->data;
    for (int64_t i = 0; i < count; i++) {
        texts[i].ptr = arena_copy(arena, texts[i].ptr, texts[i].len);
        if (!texts[i].ptr)
            return err_set(run->err, ERR_LIMIT, "no room for the texts of input '%s'", in->name);
    }
    return ERR_OK;
}

static enum err_code fill_call(struct graph_run *run, int index, struct graph_flight *flight)
{
    const struct graph_node *node = &run->plan->nodes[index];
    struct runtime_call *call = &flight->task.call;
    struct tensor *in;
    enum err_code rc = graph_run_inputs(run, node, flight->arena, true, &in);
    call->in_count = node->loaded->signature->input_count;
    for (int i = 0; !rc && i < call->in_count; i++)
        if (in[i].dtype == DTYPE_BYTES)
            rc = copy_texts(run, &in[i], flight->arena);
    if (rc)
        return rc;
    call->in = in;
    call->wanted = node->wanted;
    call->arena = flight->arena;
    call->is_cancelled = &flight->task.is_cancelled;
    call->out = arena_calloc(flight->arena, (size_t)node->output_count, sizeof(*call->out));
    if (!call->out)
        return err_set(run->err, ERR_LIMIT, "no room for %d output tensors", node->output_count);
    return copy_request(run, flight);
}

/* How the model is served now: a copy. False: nothing is served yet. */
static bool find_serving(const struct graph_run *run, int index, struct serving *serving)
{
    const struct runtime_versions *versions = run->flights->versions;
    struct snapshot *snapshot = versions->snapshot(versions->arg);
    if (!snapshot)
        return false;
    const char *model = run->plan->nodes[index].loaded->model;
    const struct endpoint *endpoint = snapshot_find(snapshot, str_of(model));
    *serving = endpoint ? *endpoint->serving : serving_preset;
    snapshot_unref(snapshot);
    return true;
}

static void choose_terms(struct graph_run *run, int index, struct graph_flight *flight)
{
    const struct graph_node *node = &run->plan->nodes[index];
    struct graph_visit *visit = &run->visits[index];
    struct lane_task *task = &flight->task;
    task->serving = &flight->serving;
    task->priority = task->serving->priority;
    task->rows = run->scopes[node->scope].count;
    task->queued_ns = visit->begin_ns;
    task->memory_bytes = arena_bytes(flight->arena);
    if (!visit->deadline_ns)
        visit->deadline_ns = visit->begin_ns + task->serving->timeout_us * 1000;
    task->call.deadline_ns = visit->deadline_ns;
}

enum err_code graph_flight_begin(struct graph_run *run, int index, bool *is_begun)
{
    const struct graph_node *node = &run->plan->nodes[index];
    struct graph_flights *flights = run->flights;
    struct serving serving;
    struct err why = {0};
    *is_begun = find_serving(run, index, &serving);
    if (!*is_begun)
        return ERR_OK;
    struct graph_flight *flight = flight_new(run);
    flight->serving = serving;
    enum err_code rc = fill_call(run, index, flight);
    if (rc) {
        flight_free(flight);
        return rc;
    }
    choose_terms(run, index, flight);
    add(flights, 1);
    rc = lane_submit(node->loaded->lane, &flight->task, &why);
    if (!rc) {
        run->visits[index].flight = flight;
        return ERR_OK;
    }
    add(flights, -1);
    flight_free(flight);
    return graph_run_answer(run, index, rc, NULL, 0, &why);
}

/* ---- back ---- */

static bool is_left_alone(const struct graph_run *run)
{
    return run->call->is_cancelled && atomic_load(run->call->is_cancelled);
}

/* Is one back, or late? Else *until_ns is when the next one will be late. Under the lock. */
static bool is_one_over(const struct graph_run *run, int64_t now_ns, int64_t *until_ns)
{
    *until_ns = INT64_MAX;
    for (int i = 0; i < run->plan->node_count; i++) {
        const struct graph_visit *visit = &run->visits[i];
        if (!visit->flight)
            continue;
        if (visit->flight->is_back || visit->deadline_ns <= now_ns)
            return true;
        *until_ns = visit->deadline_ns < *until_ns ? visit->deadline_ns : *until_ns;
    }
    return false;
}

static void wait_until(struct graph_flights *flights, int64_t ns)
{
    struct timespec end = {.tv_sec = ns / NS_PER_SECOND, .tv_nsec = ns % NS_PER_SECOND};
    pthread_cond_timedwait(&flights->back, &flights->lock, &end);
}

enum err_code graph_flight_wait(struct graph_run *run)
{
    struct graph_flights *flights = run->flights;
    int64_t until_ns, now_ns = clock_monotonic_ns();
    assert(flights);
    pthread_mutex_lock(&flights->lock);
    while (!is_left_alone(run) && !is_one_over(run, now_ns, &until_ns)) {
        bool looks = run->call->is_cancelled && until_ns > now_ns + LOOK_NS;
        wait_until(flights, looks ? now_ns + LOOK_NS : until_ns);
        now_ns = clock_monotonic_ns();
    }
    pthread_mutex_unlock(&flights->lock);
    return is_left_alone(run) ? err_set(run->err, ERR_CANCELLED, "the client has left") : ERR_OK;
}

/* True: the lane had come back before, and the flight is the caller's. */
static bool leave(struct graph_flight *flight)
{
    struct graph_flights *flights = flight->flights;
    pthread_mutex_lock(&flights->lock);
    bool is_back = flight->is_back;
    flight->is_left = true;
    if (!is_back) {
        atomic_store(&flight->task.is_expired, true);
        lane_task_leave(&flight->task);
    }
    pthread_mutex_unlock(&flights->lock);
    return is_back;
}

static bool is_back(struct graph_flight *flight)
{
    pthread_mutex_lock(&flight->flights->lock);
    bool is_over = flight->is_back;
    pthread_mutex_unlock(&flight->flights->lock);
    return is_over;
}

static enum err_code land_late(struct graph_run *run, int index, struct graph_flight *flight)
{
    const struct graph_visit *visit = &run->visits[index];
    const struct loaded *loaded = run->plan->nodes[index].loaded;
    struct err why = {0};
    int64_t ms = (visit->deadline_ns - visit->begin_ns) / 1000000;
    if (leave(flight))
        flight_free(flight);
    err_set(&why, ERR_TIMEOUT, "model '%s' version %lld has not answered within %lld ms",
            loaded->model, (long long)loaded->number, (long long)ms);
    return graph_run_answer(run, index, ERR_TIMEOUT, NULL, 0, &why);
}

/* Its outputs are in its memory, which is kept as long as the call's. */
static enum err_code land_back(struct graph_run *run, int index, struct graph_flight *flight)
{
    struct lane_task *task = &flight->task;
    if (arena_defer(run->call->arena, flight_free, flight)) {
        flight_free(flight);
        return err_set(run->err, ERR_LIMIT, "the graph's rows do not fit the request's memory");
    }
    run->call->is_fallback = run->call->is_fallback || task->call.is_fallback;
    return graph_run_answer(run, index, task->rc, task->call.out, task->call.out_count, &task->err);
}

bool graph_flight_land(struct graph_run *run, int index, enum err_code *rc)
{
    struct graph_visit *visit = &run->visits[index];
    struct graph_flight *flight = visit->flight;
    bool is_home = flight && is_back(flight);
    if (!flight || (!is_home && visit->deadline_ns > clock_monotonic_ns()))
        return false;
    visit->flight = NULL;
    *rc = is_home ? land_back(run, index, flight) : land_late(run, index, flight);
    return true;
}

void graph_flight_leave(struct graph_run *run)
{
    for (int i = 0; run->visits && i < run->plan->node_count; i++) {
        struct graph_flight *flight = run->visits[i].flight;
        run->visits[i].flight = NULL;
        if (flight && leave(flight))
            flight_free(flight);
    }
}
