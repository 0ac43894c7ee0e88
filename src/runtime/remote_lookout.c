/* remote_lookout.c - the one thread that looks after all remote versions. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "runtime/remote_peer.h"

enum { THREAD_STACK_BYTES = 256 * 1024, PEERS_FIRST = 16 };

#define SECOND_NS INT64_C(1000000000)

static struct {
    pthread_mutex_t lock; /* guards all of it */
    pthread_cond_t changed;
    struct remote_peer **peers;
    int count, capacity;
    bool has_thread;
    bool is_looking; /* at one of them, not under the lock */
    bool is_ending;
} lookout = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* The peer that is due first, held; NULL when none is due, and *wait_ns until one is. */
static struct remote_peer *take_due(int64_t *wait_ns)
{
    struct remote_peer *first = NULL;
    int64_t first_ns = INT64_MAX, now_ns = clock_monotonic_ns();
    for (int i = 0; i < lookout.count; i++) {
        int64_t due_ns = remote_peer_look_ns(lookout.peers[i]);
        if (due_ns < first_ns) {
            first_ns = due_ns;
            first = lookout.peers[i];
        }
    }
    *wait_ns = first_ns == INT64_MAX ? 60 * SECOND_NS : first_ns - now_ns;
    if (!first || *wait_ns > 0)
        return NULL;
    remote_peer_ref(first);
    return first;
}

static void wait_for(int64_t ns)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t sum = until.tv_nsec + ns;
    until.tv_sec += sum / SECOND_NS;
    until.tv_nsec = sum % SECOND_NS;
    pthread_cond_timedwait(&lookout.changed, &lookout.lock, &until);
}

static void *run(void *arg)
{
    (void)arg;
    int64_t wait_ns;
    pthread_setname_np(pthread_self(), "lookout");
    pthread_mutex_lock(&lookout.lock);
    while (!lookout.is_ending) {
        struct remote_peer *peer = take_due(&wait_ns);
        if (!peer) {
            wait_for(wait_ns);
            continue;
        }
        lookout.is_looking = true;
        pthread_mutex_unlock(&lookout.lock);
        remote_peer_look(peer);
        remote_peer_unref(peer);
        pthread_mutex_lock(&lookout.lock);
        lookout.is_looking = false;
        pthread_cond_broadcast(&lookout.changed);
    }
    pthread_mutex_unlock(&lookout.lock);
    return NULL;
}

/* At exit, before what OpenSSL does then: a look uses it. */
static void end_looks(void)
{
    pthread_mutex_lock(&lookout.lock);
    lookout.is_ending = true;
    while (lookout.is_looking)
        pthread_cond_wait(&lookout.changed, &lookout.lock);
    pthread_mutex_unlock(&lookout.lock);
}

/* Signals are the main thread's. */
static void start_thread(void)
{
    atexit(end_looks);
    pthread_t id;
    pthread_attr_t attributes;
    pthread_condattr_t monotonic;
    sigset_t all, before;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&lookout.changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, THREAD_STACK_BYTES);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&id, &attributes, run, NULL) != 0)
        abort();
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    lookout.has_thread = true;
}

void remote_lookout_add(struct remote_peer *peer)
{
    pthread_mutex_lock(&lookout.lock);
    if (lookout.count == lookout.capacity) {
        lookout.capacity = lookout.capacity ? 2 * lookout.capacity : PEERS_FIRST;
        lookout.peers =
            realloc(lookout.peers, (size_t)lookout.capacity * sizeof(struct remote_peer *));
        if (!lookout.peers)
            abort();
    }
    lookout.peers[lookout.count++] = peer;
    if (!lookout.has_thread)
        start_thread();
    pthread_cond_signal(&lookout.changed);
    pthread_mutex_unlock(&lookout.lock);
}

void remote_lookout_remove(struct remote_peer *peer)
{
    pthread_mutex_lock(&lookout.lock);
    for (int i = 0; i < lookout.count; i++)
        if (lookout.peers[i] == peer)
            lookout.peers[i--] = lookout.peers[--lookout.count];
    pthread_mutex_unlock(&lookout.lock);
}

void remote_lookout_wake(void)
{
    pthread_mutex_lock(&lookout.lock);
    if (lookout.has_thread)
        pthread_cond_signal(&lookout.changed);
    pthread_mutex_unlock(&lookout.lock);
}
