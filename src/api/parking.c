/* parking.c - a list of calls in order of arrival, and what becomes of them. */
#include "api/parking.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"

struct parking {
    pthread_mutex_t lock;
    struct call *first, **last;
    int count;
    bool is_open, is_closed;
};

struct parking *parking_new(void)
{
    struct parking *parking = calloc(1, sizeof(*parking));
    if (!parking)
        abort();
    pthread_mutex_init(&parking->lock, NULL);
    parking->last = &parking->first;
    return parking;
}

void parking_free(struct parking *parking)
{
    if (!parking)
        return;
    assert(!parking->first);
    pthread_mutex_destroy(&parking->lock);
    free(parking);
}

enum parking_place parking_take(struct parking *parking, struct call *call)
{
    enum parking_place place = PARKING_TAKEN;
    call->parked_us = clock_monotonic_us();
    call->next_parked = NULL;
    pthread_mutex_lock(&parking->lock);
    if (parking->is_open) {
        place = PARKING_OPEN;
    } else if (parking->is_closed || parking->count == PARKING_CALLS_MAX) {
        place = PARKING_FULL;
    } else {
        *parking->last = call;
        parking->last = &call->next_parked;
        parking->count++;
    }
    pthread_mutex_unlock(&parking->lock);
    return place;
}

/* Those that came until `until_us`. */
static struct call *take_list(struct parking *parking, int64_t until_us, bool opens)
{
    pthread_mutex_lock(&parking->lock);
    struct call *list = parking->first, *rest = list, **end = &list;
    while (rest && rest->parked_us <= until_us) {
        end = &rest->next_parked;
        rest = rest->next_parked;
        parking->count--;
    }
    *end = NULL;
    parking->first = rest;
    if (!rest)
        parking->last = &parking->first;
    if (opens)
        parking->is_open = true;
    pthread_mutex_unlock(&parking->lock);
    return list;
}

enum err_code parking_refuse(struct call *call, const char *why)
{
    err_set(&call->err, ERR_UNAVAILABLE, "the process before this one has the data folder: %s",
            why);
    return err_hint(&call->err, "try again in a moment; predictions are answered");
}

static void refuse(struct parking *parking, int64_t until_us)
{
    struct call *next;
    for (struct call *call = take_list(parking, until_us, false); call; call = next) {
        next = call->next_parked;
        call->rc = parking_refuse(call, "it takes too long to let go of it");
        loop_post(call->loop, &call->message);
    }
}

void parking_expire(struct parking *parking, int64_t now_us)
{
    refuse(parking, now_us - (int64_t)PARKING_WAIT_MS * 1000);
}

void parking_refuse_all(struct parking *parking)
{
    pthread_mutex_lock(&parking->lock);
    parking->is_closed = true;
    pthread_mutex_unlock(&parking->lock);
    refuse(parking, INT64_MAX);
}

void parking_open(struct parking *parking, void (*go_on)(struct call *call))
{
    struct call *next;
    for (struct call *call = take_list(parking, INT64_MAX, true); call; call = next) {
        next = call->next_parked;
        go_on(call);
    }
}
