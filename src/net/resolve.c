/* resolve.c - getaddrinfo on a thread that may be left behind. */
#include "net/resolve.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"

enum { LOOK_MS = 20 /* between looks whether the call was given up */ };

#define MS_NS INT64_C(1000000)

/* Shared by the one who waits and the thread; the last one frees it. */
struct lookup {
    pthread_mutex_t lock;
    pthread_cond_t done;
    int holders;
    bool is_done;
    int rc;
    struct addrinfo *found;
    char host[RESOLVE_HOST_BYTES], port[RESOLVE_PORT_BYTES];
};

static _Atomic int thread_count;

static enum err_code unknown_name(const char *host, int rc, struct err *err)
{
    return err_set(err, ERR_UNAVAILABLE, "the name '%s' is not known: %s", host, gai_strerror(rc));
}

static void give_up(struct lookup *lookup)
{
    pthread_mutex_lock(&lookup->lock);
    bool is_last = --lookup->holders == 0;
    pthread_mutex_unlock(&lookup->lock);
    if (!is_last)
        return;
    if (lookup->found)
        freeaddrinfo(lookup->found);
    pthread_cond_destroy(&lookup->done);
    pthread_mutex_destroy(&lookup->lock);
    free(lookup);
}

static void *look_up(void *arg)
{
    struct lookup *lookup = arg;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int rc = getaddrinfo(lookup->host, lookup->port, &hints, &found);
    pthread_mutex_lock(&lookup->lock);
    lookup->rc = rc;
    lookup->found = rc ? NULL : found;
    lookup->is_done = true;
    pthread_cond_signal(&lookup->done);
    pthread_mutex_unlock(&lookup->lock);
    give_up(lookup);
    atomic_fetch_sub(&thread_count, 1);
    return NULL;
}

static struct lookup *lookup_new(const char *host, const char *port)
{
    struct lookup *lookup = calloc(1, sizeof(*lookup));
    pthread_condattr_t monotonic;
    if (!lookup)
        abort();
    pthread_mutex_init(&lookup->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&lookup->done, &monotonic);
    pthread_condattr_destroy(&monotonic);
    lookup->holders = 2;
    snprintf(lookup->host, sizeof(lookup->host), "%s", host);
    snprintf(lookup->port, sizeof(lookup->port), "%s", port);
    return lookup;
}

static bool start_thread(struct lookup *lookup)
{
    pthread_t id;
    if (atomic_fetch_add(&thread_count, 1) < RESOLVE_THREADS_MAX &&
        pthread_create(&id, NULL, look_up, lookup) == 0) {
        pthread_detach(id);
        return true;
    }
    atomic_fetch_sub(&thread_count, 1);
    give_up(lookup);
    return false;
}

static struct timespec time_in(int64_t ns)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    int64_t sum = at.tv_nsec + ns;
    return (struct timespec){.tv_sec = at.tv_sec + sum / 1000000000, .tv_nsec = sum % 1000000000};
}

static enum err_code wait_for(struct lookup *lookup, int64_t deadline_ns,
                              const _Atomic bool *is_cancelled, struct err *err)
{
    enum err_code rc = ERR_OK;
    pthread_mutex_lock(&lookup->lock);
    while (!lookup->is_done && !rc) {
        int64_t left_ns = deadline_ns - clock_monotonic_ns();
        struct timespec until = time_in(left_ns < LOOK_MS * MS_NS ? left_ns : LOOK_MS * MS_NS);
        if (is_cancelled && atomic_load(is_cancelled))
            rc = err_set(err, ERR_CANCELLED, "looking up '%s' was given up", lookup->host);
        else if (left_ns <= 0)
            rc = err_set(err, ERR_TIMEOUT, "the name '%s' was not found in time", lookup->host);
        else
            pthread_cond_timedwait(&lookup->done, &lookup->lock, &until);
    }
    pthread_mutex_unlock(&lookup->lock);
    return rc;
}

static enum err_code resolve_name(const char *host, const char *port, int64_t deadline_ns,
                                  const _Atomic bool *is_cancelled, struct addrinfo **found,
                                  struct err *err)
{
    struct lookup *lookup = lookup_new(host, port);
    if (!start_thread(lookup)) {
        give_up(lookup);
        return err_set(err, ERR_UNAVAILABLE, "%d names are being looked up already",
                       RESOLVE_THREADS_MAX);
    }
    enum err_code rc = wait_for(lookup, deadline_ns, is_cancelled, err);
    if (!rc && lookup->rc)
        rc = unknown_name(host, lookup->rc, err);
    if (!rc) {
        *found = lookup->found;
        lookup->found = NULL;
    }
    give_up(lookup);
    return rc;
}

enum err_code resolve(const char *host, const char *port, int64_t deadline_ns,
                      const _Atomic bool *is_cancelled, struct addrinfo **found, struct err *err)
{
    const struct addrinfo numeric = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    int rc = getaddrinfo(host, port, &numeric, found);
    if (rc == 0)
        return ERR_OK;
    return rc == EAI_NONAME ? resolve_name(host, port, deadline_ns, is_cancelled, found, err)
                            : unknown_name(host, rc, err);
}
