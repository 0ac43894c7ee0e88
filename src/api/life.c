/* life.c - one loop on the main thread: signals, and the watchdog's time. */
#include "api/life.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "api/watchdog.h"
#include "base/check.h"
#include "base/log.h"
#include "base/notify.h"

struct life {
    struct node *node;
    const struct server_hooks *hooks;
    struct watchdog *watchdog;
    int signal_fd;
};

struct life *life_new(struct node *node, const struct server_hooks *hooks)
{
    sigset_t signals;
    struct life *life = calloc(1, sizeof(*life));
    if (!life)
        abort();
    life->node = node;
    life->hooks = hooks;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    life->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (life->signal_fd < 0)
        abort();
    return life;
}

void life_free(struct life *life)
{
    if (!life)
        return;
    close(life->signal_fd);
    watchdog_free(life->watchdog);
    free(life);
}

/* ---- SIGHUP ---- */

static void reload_alert_rules(struct node *node, const struct options *fresh)
{
    struct err err = {0};
    if (alerting_reload(node->alerting, fresh->alert_rules, &err))
        log_error("alert rules not reloaded, the old ones stay", "reason=%s", err.msg);
    else
        log_info("alert rules reloaded", "file=%s",
                 fresh->alert_rules[0] ? fresh->alert_rules : "built-in");
}

static void reload_webhooks(struct node *node, const struct options *fresh)
{
    struct err err = {0};
    if (webhooks_reload(node->webhooks, fresh->webhooks, &err))
        log_error("webhooks not reloaded", "reason=%s", err.msg);
    else
        log_info("webhooks reloaded", "file=%s", fresh->webhooks);
}

static void reload_options(struct node *node, const struct server_hooks *hooks)
{
    struct err err = {0};
    struct options fresh;
    options_init(&fresh);
    if (hooks->reload(hooks->arg, &fresh, &err)) {
        log_error("options not reloaded, the old ones stay", "reason=%s", err.msg);
    } else {
        log_set_level((enum log_level)fresh.log_level);
        reload_alert_rules(node, &fresh);
        reload_webhooks(node, &fresh);
    }
    options_done(&fresh);
}

static void reload(struct life *life)
{
    struct err err = {0};
    struct node *node = life->node;
    notify_reloading("reads its files again");
    if (node->options->tls_cert[0] && http_server_reload_tls(node->server, &err))
        log_error("certificates not reloaded, the old ones stay", "reason=%s", err.msg);
    else
        log_info("reloaded", "tls=%s", node->options->tls_cert[0] ? "true" : "false");
    if (life->hooks && life->hooks->reload)
        reload_options(node, life->hooks);
    notify_send("READY=1\nSTATUS=serves");
}

/* ---- the loop ---- */

/* False: it is to end. */
static bool take_signal(struct life *life)
{
    struct signalfd_siginfo info;
    if (read(life->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return true;
    if (info.ssi_signo == SIGHUP) {
        reload(life);
        return true;
    }
    log_info("stopping", "signal=%d drain_ms=%lld", (int)info.ssi_signo,
             (long long)life->node->options->drain_timeout_ms);
    notify_send("STOPPING=1\nSTATUS=lets running requests finish");
    return false;
}

void life_run(struct life *life)
{
    bool is_going_on = true;
    life->watchdog = watchdog_new(life->node);
    notify_send("READY=1\nSTATUS=serves");
    while (is_going_on) {
        struct pollfd fd = {.fd = life->signal_fd, .events = POLLIN};
        if (poll(&fd, 1, watchdog_run(life->watchdog)) < 0 && errno != EINTR)
            abort();
        if (fd.revents)
            is_going_on = take_signal(life);
    }
}
