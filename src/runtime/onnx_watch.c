/* onnx_watch.c - the list of running calls and the thread that looks at it. */
#include "runtime/onnx_watch.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"

enum { LOOK_EVERY_NS = 5000000 };

static struct {
    pthread_mutex_t lock; /* of all that follows */
    pthread_cond_t has_calls;
    struct onnx_watched *calls;
    bool has_thread;
} watch = {.lock = PTHREAD_MUTEX_INITIALIZER, .has_calls = PTHREAD_COND_INITIALIZER};

enum err_code onnx_watch_verdict(int64_t deadline_ns, const _Atomic bool *is_cancelled)
{
    if (is_cancelled && atomic_load_explicit(is_cancelled, memory_order_relaxed))
        return ERR_CANCELLED;
    if (deadline_ns && clock_monotonic_ns() >= deadline_ns)
        return ERR_TIMEOUT;
    return ERR_OK;
}

static void look(void)
{
    for (struct onnx_watched *call = watch.calls; call; call = call->next) {
        if (call->ended)
            continue;
        call->ended = onnx_watch_verdict(call->deadline_ns, call->is_cancelled);
        const OrtApi *api = call->library->api;
        OrtStatus *status = call->ended ? api->RunOptionsSetTerminate(call->options) : NULL;
        if (status)
            api->ReleaseStatus(status);
    }
}

static void *run(void *arg)
{
    const struct timespec pause = {.tv_nsec = LOOK_EVERY_NS};
    (void)arg;
    pthread_mutex_lock(&watch.lock);
    for (;;) {
        while (!watch.calls)
            pthread_cond_wait(&watch.has_calls, &watch.lock);
        look();
        pthread_mutex_unlock(&watch.lock);
        nanosleep(&pause, NULL);
        pthread_mutex_lock(&watch.lock);
    }
    return NULL;
}

static void start_thread(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, NULL))
        return; /* tried again by the next call; this one ends when it is done */
    pthread_detach(thread);
    watch.has_thread = true;
}

void onnx_watch_begin(struct onnx_watched *call)
{
    call->ended = ERR_OK;
    call->previous = NULL;
    pthread_mutex_lock(&watch.lock);
    if (!watch.has_thread)
        start_thread();
    call->next = watch.calls;
    if (call->next)
        call->next->previous = call;
    else
        pthread_cond_signal(&watch.has_calls);
    watch.calls = call;
    pthread_mutex_unlock(&watch.lock);
}

void onnx_watch_end(struct onnx_watched *call)
{
    pthread_mutex_lock(&watch.lock);
    if (call->previous)
        call->previous->next = call->next;
    else
        watch.calls = call->next;
    if (call->next)
        call->next->previous = call->previous;
    pthread_mutex_unlock(&watch.lock);
}
