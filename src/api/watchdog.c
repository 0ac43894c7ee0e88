/* watchdog.c - a message to each data thread's loop, and whether it came back. */
#include "api/watchdog.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/notify.h"

struct probe {
    struct loop_message message;
    _Atomic bool is_under_way;
};

struct watchdog {
    struct node *node;
    int64_t every_us, due_us;
    struct probe probes[HTTP_THREADS_MAX];
};

struct watchdog *watchdog_new(struct node *node)
{
    int64_t every_us = notify_watchdog_us();
    if (every_us == 0)
        return NULL;
    struct watchdog *watchdog = calloc(1, sizeof(*watchdog));
    if (!watchdog)
        abort();
    watchdog->node = node;
    watchdog->every_us = every_us;
    return watchdog;
}

static void answer(struct loop_message *message)
{
    struct probe *probe = CONTAINER_OF(message, struct probe, message);
    atomic_store(&probe->is_under_way, false);
}

static bool has_all_answers(struct watchdog *watchdog)
{
    for (int i = 0; i < watchdog->node->thread_count; i++)
        if (atomic_load(&watchdog->probes[i].is_under_way))
            return false;
    return true;
}

static void ask_all(struct watchdog *watchdog)
{
    for (int i = 0; i < watchdog->node->thread_count; i++) {
        struct probe *probe = &watchdog->probes[i];
        probe->message.fn = answer;
        atomic_store(&probe->is_under_way, true);
        loop_post(http_server_loop(watchdog->node->server, i), &probe->message);
    }
}

int watchdog_run(struct watchdog *watchdog)
{
    if (!watchdog)
        return -1;
    int64_t now_us = clock_monotonic_us();
    if (now_us >= watchdog->due_us && has_all_answers(watchdog)) {
        notify_send("WATCHDOG=1");
        ask_all(watchdog);
    }
    if (now_us >= watchdog->due_us)
        watchdog->due_us = now_us + watchdog->every_us;
    return (int)((watchdog->due_us - now_us) / 1000) + 1;
}

void watchdog_free(struct watchdog *watchdog)
{
    free(watchdog);
}
