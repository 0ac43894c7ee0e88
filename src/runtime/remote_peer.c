/* remote_peer.c - connections in turn, the breaker in front of them, looks at readiness. */
#include "runtime/remote_peer.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "runtime/remote_breaker.h"
#include "runtime/remote_exchange.h"

enum {
    PEER_MAGIC = 0x52504545,
    WAIT_LOOK_MS = 20, /* between looks whether the client is still there */
    LOOK_MS = 2000,    /* for an answer about readiness */
    AUTHORIZATION_BYTES_MAX = 20 * 1024,
    REASON_BYTES = 300,
    REASONS_MAX = 64, /* different ones that are kept, as readers may hold them */
};

#define MS_NS INT64_C(1000000)

struct remote_peer {
    uint32_t magic;
    _Atomic int refs;
    const struct remote_settings *settings;
    const struct remote_endpoint *endpoint;
    const char *label, *infer_target, *ready_target;
    struct arena *arena;
    _Atomic bool is_closing;
    _Atomic(const char *) problem; /* NULL: ready */
    struct remote_slot look;       /* the lookout's */
    size_t memory_bytes;           /* when it was made */

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t freed; /* on the monotonic clock */
    struct breaker breaker;
    char reason[REASON_BYTES]; /* why the breaker opened */
    const char *reasons[REASONS_MAX];
    int reason_count;
    struct buf authorization; /* header lines */
    int waiting;              /* callers without a connection */
    int free_count;
    int free[REMOTE_CONNECTIONS_MAX]; /* the one used last on top */
    struct remote_slot slots[REMOTE_CONNECTIONS_MAX];
};

/* ---- being there ---- */

static void read_token(struct remote_peer *peer)
{
    struct buf fresh;
    struct err err = {0};
    buf_init(&fresh, AUTHORIZATION_BYTES_MAX);
    if (remote_endpoint_authorize(peer->endpoint, &fresh, &err)) {
        log_warn("remote endpoint's token not read", "model=%s reason=%s", peer->label, err.msg);
        buf_done(&fresh);
        return;
    }
    pthread_mutex_lock(&peer->lock);
    struct buf old = peer->authorization;
    peer->authorization = fresh;
    pthread_mutex_unlock(&peer->lock);
    buf_done(&old);
}

static void init_lock(struct remote_peer *peer)
{
    pthread_condattr_t monotonic;
    pthread_mutex_init(&peer->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&peer->freed, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

struct remote_peer *remote_peer_new(const struct remote_settings *settings,
                                    const struct remote_endpoint *endpoint, const char *label,
                                    struct arena *arena)
{
    struct remote_peer *peer = calloc(1, sizeof(*peer));
    if (!peer)
        abort();
    peer->magic = PEER_MAGIC;
    peer->refs = 1;
    peer->settings = settings;
    peer->endpoint = endpoint;
    peer->label = label;
    peer->arena = arena;
    peer->infer_target = remote_target(settings, "/infer", arena);
    peer->ready_target = remote_target(settings, "/ready", arena);
    init_lock(peer);
    buf_init(&peer->authorization, AUTHORIZATION_BYTES_MAX);
    remote_slot_init(&peer->look, endpoint);
    for (int i = settings->connections - 1; i >= 0; i--) {
        remote_slot_init(&peer->slots[i], endpoint);
        peer->free[peer->free_count++] = i;
    }
    read_token(peer);
    peer->memory_bytes = sizeof(*peer) + arena_bytes(arena);
    remote_lookout_add(peer); /* from here on the arena is the lock's */
    return peer;
}

void remote_peer_ref(struct remote_peer *peer)
{
    atomic_fetch_add(&peer->refs, 1);
}

void remote_peer_unref(struct remote_peer *peer)
{
    CHECK_MAGIC(peer, PEER_MAGIC);
    if (atomic_fetch_sub(&peer->refs, 1) > 1)
        return;
    for (int i = 0; i < peer->settings->connections; i++)
        remote_slot_done(&peer->slots[i]);
    remote_slot_done(&peer->look);
    buf_done(&peer->authorization);
    pthread_cond_destroy(&peer->freed);
    pthread_mutex_destroy(&peer->lock);
    arena_free(peer->arena);
    peer->magic = 0;
    free(peer);
}

void remote_peer_free(struct remote_peer *peer)
{
    atomic_store(&peer->is_closing, true);
    remote_lookout_remove(peer);
    remote_peer_unref(peer);
}

size_t remote_peer_memory_bytes(const struct remote_peer *peer)
{
    return peer->memory_bytes;
}

/* ---- what is known of the other server; with the lock held ---- */

/* A text for those who ask why, which stays where it is. */
static const char *kept_reason(struct remote_peer *peer)
{
    for (int i = 0; i < peer->reason_count; i++)
        if (strcmp(peer->reasons[i], peer->reason) == 0)
            return peer->reasons[i];
    const char *copy = peer->reason_count < REASONS_MAX
                           ? arena_copy(peer->arena, peer->reason, strlen(peer->reason))
                           : NULL;
    if (!copy)
        return "its endpoint does not answer; the log says why";
    return peer->reasons[peer->reason_count++] = copy;
}

static void tell_change(struct remote_peer *peer, enum breaker_state before)
{
    enum breaker_state state = peer->breaker.state;
    bool was_open = before == BREAKER_OPEN, is_open = state == BREAKER_OPEN;
    if (is_open)
        atomic_store(&peer->problem, kept_reason(peer));
    else if (was_open)
        atomic_store(&peer->problem, NULL);
    if (is_open && before == BREAKER_CLOSED)
        log_warn("remote model not answering", "model=%s reason=%s next_look_ms=%lld", peer->label,
                 peer->reason, (long long)peer->breaker.pause_ms);
    if (state == BREAKER_CLOSED && before != BREAKER_CLOSED)
        log_info("remote model answers again", "model=%s endpoint=%s", peer->label,
                 peer->endpoint->name);
}

static void hear(struct remote_peer *peer, enum remote_verdict verdict, const struct err *err)
{
    enum breaker_state before = peer->breaker.state;
    int64_t now_ns = clock_monotonic_ns();
    if (verdict == REMOTE_FAILS) {
        snprintf(peer->reason, sizeof(peer->reason), "%s", err->msg);
        breaker_failed(&peer->breaker, now_ns);
    } else if (verdict == REMOTE_WORKS) {
        breaker_succeeded(&peer->breaker, now_ns);
    } else {
        breaker_let_go(&peer->breaker);
    }
    if (peer->breaker.state != before)
        tell_change(peer, before);
}

const char *remote_peer_problem(const struct remote_peer *peer)
{
    return atomic_load(&peer->problem);
}

/* ---- looks ---- */

int64_t remote_peer_look_ns(struct remote_peer *peer)
{
    pthread_mutex_lock(&peer->lock);
    int64_t look_ns = peer->breaker.look_ns;
    pthread_mutex_unlock(&peer->lock);
    return look_ns;
}

static enum err_code ask_ready(struct remote_peer *peer, struct err *err)
{
    struct remote_get get = {.target = peer->ready_target,
                             .authorization = buf_view(&peer->authorization),
                             .deadline_ns = clock_monotonic_ns() + LOOK_MS * MS_NS,
                             .is_cancelled = &peer->is_closing};
    enum err_code rc = remote_get(&peer->look, &get, err);
    if (!rc && get.status != 200)
        rc = remote_refused(&peer->look, get.status, get.body, err);
    return rc;
}

/* Only the lookout changes the token, so it may read it without the lock. */
void remote_peer_look(struct remote_peer *peer)
{
    struct err err = {0};
    if (peer->endpoint->token_path)
        read_token(peer);
    enum err_code rc = ask_ready(peer, &err);
    if (atomic_load(&peer->is_closing))
        return;
    pthread_mutex_lock(&peer->lock);
    enum breaker_state before = peer->breaker.state;
    if (rc)
        snprintf(peer->reason, sizeof(peer->reason), "%s", err.msg);
    breaker_looked(&peer->breaker, rc == ERR_OK, clock_monotonic_ns());
    if (rc || peer->breaker.state != before)
        tell_change(peer, before);
    pthread_mutex_unlock(&peer->lock);
}

/* ---- calls ---- */

static void wait_until(struct remote_peer *peer, int64_t left_ns)
{
    struct timespec at;
    int64_t ns = left_ns < WAIT_LOOK_MS * MS_NS ? left_ns : WAIT_LOOK_MS * MS_NS;
    clock_gettime(CLOCK_MONOTONIC, &at);
    int64_t sum = at.tv_nsec + ns;
    at.tv_sec += sum / 1000000000;
    at.tv_nsec = sum % 1000000000;
    pthread_cond_timedwait(&peer->freed, &peer->lock, &at);
}

static enum err_code wait_for_slot(struct remote_peer *peer, const struct runtime_call *call,
                                   struct err *err)
{
    enum err_code rc = ERR_OK;
    peer->waiting++;
    while (!peer->free_count && peer->breaker.state != BREAKER_OPEN && !rc) {
        int64_t left_ns = call->deadline_ns - clock_monotonic_ns();
        if (call->is_cancelled && atomic_load(call->is_cancelled))
            rc = err_set(err, ERR_CANCELLED, "the client has left");
        else if (left_ns <= 0)
            rc = err_set(err, ERR_TIMEOUT, "all %d connections to %s were busy",
                         peer->settings->connections, peer->endpoint->site.where);
        else
            wait_until(peer, left_ns);
    }
    peer->waiting--;
    return rc;
}

static enum err_code refuse_call(struct remote_peer *peer, struct err *err)
{
    int64_t left_ns = peer->breaker.look_ns - clock_monotonic_ns();
    err_set(err, ERR_UNAVAILABLE, "%s is not called: %s", peer->endpoint->site.where, peer->reason);
    err_hint(err, "it is looked at again by itself, and answers as soon as the endpoint does");
    err->retry_seconds = left_ns > 0 ? (int)(left_ns / 1000000000) + 1 : 1;
    return err->code;
}

/* The header lines as they are now, for one call. */
static enum err_code take(struct remote_peer *peer, const struct runtime_call *call, int *slot,
                          struct str *authorization, struct err *err)
{
    enum err_code rc = ERR_OK;
    pthread_mutex_lock(&peer->lock);
    if (!peer->free_count)
        rc = wait_for_slot(peer, call, err);
    if (!rc && !breaker_take(&peer->breaker)) /* else a connection is free */
        rc = refuse_call(peer, err);
    if (!rc) {
        struct buf *lines = &peer->authorization;
        *slot = peer->free[--peer->free_count];
        const char *copy = lines->len ? arena_copy(call->arena, lines->data, lines->len) : NULL;
        *authorization = (struct str){copy, copy ? lines->len : 0};
    }
    pthread_mutex_unlock(&peer->lock);
    return rc;
}

static void give(struct remote_peer *peer, int slot, enum remote_verdict verdict,
                 const struct err *err)
{
    pthread_mutex_lock(&peer->lock);
    peer->free[peer->free_count++] = slot;
    hear(peer, verdict, err);
    bool is_open = peer->breaker.state == BREAKER_OPEN;
    if (peer->waiting)
        pthread_cond_signal(&peer->freed);
    pthread_mutex_unlock(&peer->lock);
    if (is_open)
        remote_lookout_wake(); /* the next look is due earlier than it was */
}

enum err_code remote_peer_call(struct remote_peer *peer, struct runtime_call *call, struct err *err)
{
    CHECK_MAGIC(peer, PEER_MAGIC);
    enum remote_verdict verdict = REMOTE_SAYS_NOTHING;
    struct str authorization = {0};
    int slot = 0;
    if (call->deadline_ns == 0)
        call->deadline_ns = clock_monotonic_ns() + REMOTE_CALL_MS * MS_NS;
    enum err_code rc = take(peer, call, &slot, &authorization, err);
    if (rc)
        return rc;
    rc = remote_exchange(&peer->slots[slot], peer->settings, peer->infer_target, authorization,
                         call, &verdict, err);
    give(peer, slot, verdict, err);
    return rc;
}
