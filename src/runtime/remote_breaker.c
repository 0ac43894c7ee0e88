/* remote_breaker.c - the three states. */
#include "runtime/remote_breaker.h"

#define MS_NS INT64_C(1000000)

bool breaker_take(struct breaker *breaker)
{
    if (breaker->state == BREAKER_CLOSED)
        return true;
    if (breaker->state == BREAKER_OPEN || breaker->is_trying)
        return false;
    breaker->is_trying = true;
    return true;
}

void breaker_let_go(struct breaker *breaker)
{
    breaker->is_trying = false;
}

static void close_breaker(struct breaker *breaker, int64_t now_ns)
{
    *breaker = (struct breaker){.look_ns = now_ns + BREAKER_LOOK_MS * MS_NS};
}

static void open_breaker(struct breaker *breaker, int64_t now_ns)
{
    int64_t pause = breaker->pause_ms * 2;
    pause = pause < BREAKER_PAUSE_MS_MIN ? BREAKER_PAUSE_MS_MIN : pause;
    breaker->pause_ms = pause < BREAKER_PAUSE_MS_MAX ? pause : BREAKER_PAUSE_MS_MAX;
    breaker->look_ns = now_ns + breaker->pause_ms * MS_NS;
    breaker->state = BREAKER_OPEN;
    breaker->is_trying = false;
}

/* One that was on its way when the breaker opened proves nothing about the trial. */
void breaker_succeeded(struct breaker *breaker, int64_t now_ns)
{
    if (breaker->state != BREAKER_OPEN)
        close_breaker(breaker, now_ns);
}

void breaker_failed(struct breaker *breaker, int64_t now_ns)
{
    breaker->failures++;
    bool is_trial = breaker->state == BREAKER_TRIAL;
    bool is_enough = breaker->state == BREAKER_CLOSED && breaker->failures >= BREAKER_FAILURES_MAX;
    if (is_trial || is_enough)
        open_breaker(breaker, now_ns);
}

void breaker_looked(struct breaker *breaker, bool is_ready, int64_t now_ns)
{
    if (!is_ready) {
        open_breaker(breaker, now_ns);
        return;
    }
    if (breaker->state == BREAKER_OPEN)
        breaker->state = BREAKER_TRIAL;
    breaker->look_ns = now_ns + BREAKER_LOOK_MS * MS_NS;
}
