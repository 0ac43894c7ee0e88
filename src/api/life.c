/* life.c - one loop on the main thread: signals, the processes before and after, the watchdog. */
#include "api/life.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "api/owner.h"
#include "api/parking.h"
#include "api/watchdog.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/notify.h"

enum {
    TICKET_BYTES_MAX = 4096,
    LOOK_MS = 100,            /* while something has a deadline */
    RELEASE_WAIT_MS = 120000, /* beyond drain_timeout_ms */
};

struct life {
    struct node *node;
    const struct server_hooks *hooks;
    struct watchdog *watchdog;
    int signal_fd;
    struct successor successor;
    int64_t release_us; /* when the process before must have let go of the folder */
    bool is_heir;       /* it has not */
    bool wants_reload;  /* SIGHUP came meanwhile */
    bool is_ending;     /* SIGTERM came */
    bool is_handed_over;
};

struct life *life_new(struct node *node, const struct server_hooks *hooks)
{
    sigset_t signals;
    struct life *life = calloc(1, sizeof(*life));
    if (!life)
        abort();
    life->node = node;
    life->hooks = hooks;
    life->successor.fd = -1;
    handover_remember_program();
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGUSR2);
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
    successor_release(&life->successor);
    close(life->signal_fd);
    watchdog_free(life->watchdog);
    free(life);
}

bool life_is_handed_over(const struct life *life)
{
    return life->is_handed_over;
}

void life_release(struct life *life)
{
    if (life->is_handed_over)
        successor_release(&life->successor);
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

/* ---- SIGUSR2: the process after this one ---- */

static enum err_code check_can_hand_over(const struct life *life, struct err *err)
{
    struct control_stats stats;
    control_stats(life->node->control, &stats);
    if (getpid() == 1)
        return err_set(err, ERR_UNSUPPORTED,
                       "it is the first process of a container, which ends with it: start a new "
                       "container instead");
    if (life->is_heir)
        return err_set(err, ERR_CONFLICT, "the process before still has the data folder");
    if (life->successor.pid)
        return err_set(err, ERR_CONFLICT, "process %d is getting ready already",
                       (int)life->successor.pid);
    if (stats.rollback_log_pending)
        return err_set(err, ERR_DISK_FULL, "a rollback waits for room on the disk");
    return ERR_OK;
}

static void start_successor(struct life *life)
{
    struct err err = {0};
    struct node *node = life->node;
    struct http_socket *sockets = calloc(LISTENERS_MAX, sizeof(*sockets));
    if (!sockets)
        abort();
    struct snapshot *snapshot = control_snapshot(node->control);
    struct buf tickets;
    buf_init(&tickets, TICKET_BYTES_MAX);
    http_server_tickets(node->server, &tickets);
    const struct successor_config config = {
        .sockets = sockets,
        .socket_count = http_server_sockets(node->server, sockets),
        .tickets = buf_view(&tickets),
        .folder = control_folder(node->control),
        .snapshot = snapshot,
        .timeout_ms = node->options->handover_timeout_ms,
    };
    enum err_code rc = check_can_hand_over(life, &err);
    if (!rc)
        rc = successor_start(&life->successor, &config, &err);
    snapshot_unref(snapshot);
    free(sockets);
    if (tickets.len)
        explicit_bzero(tickets.data, tickets.len);
    buf_done(&tickets);
    if (rc) {
        log_error("no new process is started, this one goes on", "reason=%s", err.msg);
        return;
    }
    log_info("new process started", "pid=%d", (int)life->successor.pid);
    notify_send("STATUS=serves; a new process gets ready");
}

static void hear_successor(struct life *life)
{
    struct err err = {0};
    if (life->successor.pid == 0)
        return;
    int pid = (int)life->successor.pid;
    switch (successor_hear(&life->successor, clock_monotonic_us(), &err)) {
    case SUCCESSOR_SILENT:
        break;
    case SUCCESSOR_DEAD:
        log_error("the new process failed, this one goes on", "pid=%d reason=%s", pid, err.msg);
        notify_send("STATUS=serves; the new process failed");
        break;
    case SUCCESSOR_READY:
        life->is_handed_over = true;
        log_info("handed over", "pid=%d drain_ms=%lld", pid,
                 (long long)life->node->options->drain_timeout_ms);
        notify_send("MAINPID=%d\nREADY=1\nSTATUS=process %d serves", pid, pid);
    }
}

/* ---- the process before this one ---- */

static void begin_as_heir(struct life *life)
{
    struct node *node = life->node;
    life->is_heir = true;
    life->release_us =
        clock_monotonic_us() + 1000 * (node->options->drain_timeout_ms + RELEASE_WAIT_MS);
    predecessor_tell_ready(&node->predecessor);
    log_info("answers, waits for the folder", "predecessor=%d", (int)node->predecessor.pid);
}

static enum err_code take_over(struct life *life, struct err *err)
{
    struct node *node = life->node;
    int64_t start_us = clock_monotonic_us();
    enum err_code rc = owner_take_over(node, err);
    if (rc)
        return rc;
    life->is_heir = false;
    predecessor_close(&node->predecessor);
    log_info("has the folder", "ms=%lld", (long long)((clock_monotonic_us() - start_us) / 1000));
    notify_send("READY=1\nSTATUS=serves");
    if (life->wants_reload)
        reload(life);
    return ERR_OK;
}

static enum err_code hear_predecessor(struct life *life, struct err *err)
{
    struct node *node = life->node;
    if (!life->is_heir)
        return ERR_OK;
    if (predecessor_has_let_go(&node->predecessor))
        return take_over(life, err);
    if (clock_monotonic_us() >= life->release_us) {
        log_error("the process before does not let go of the folder and is ended", "pid=%d",
                  (int)node->predecessor.pid);
        predecessor_kill(&node->predecessor);
        life->release_us = INT64_MAX;
    }
    parking_expire(node->parking, clock_monotonic_us());
    return ERR_OK;
}

/* ---- the loop ---- */

static void hang_up(struct life *life)
{
    if (life->successor.pid) /* it may have read its options before */
        kill(life->successor.pid, SIGHUP);
    if (life->is_heir)
        life->wants_reload = true;
    else
        reload(life);
}

static void terminate(struct life *life, int number)
{
    life->is_ending = true;
    if (life->successor.pid)
        log_info("the new process is ended too", "pid=%d", (int)life->successor.pid);
    successor_kill(&life->successor);
    log_info("stopping", "signal=%d drain_ms=%lld", number,
             (long long)life->node->options->drain_timeout_ms);
    notify_send("STOPPING=1\nSTATUS=lets running requests finish");
}

static void take_signal(struct life *life)
{
    struct signalfd_siginfo info;
    if (read(life->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return;
    if (info.ssi_signo == SIGHUP)
        hang_up(life);
    else if (info.ssi_signo == SIGUSR2)
        start_successor(life);
    else
        terminate(life, (int)info.ssi_signo);
}

static void wait_for_something(struct life *life)
{
    struct pollfd fds[] = {
        {.fd = life->signal_fd, .events = POLLIN},
        {.fd = life->successor.fd, .events = POLLIN},
        {.fd = life->is_heir ? life->node->predecessor.fd : -1, .events = POLLIN}};
    int timeout_ms = watchdog_run(life->watchdog);
    bool has_deadline = life->successor.pid || life->is_heir;
    if (has_deadline && (timeout_ms < 0 || timeout_ms > LOOK_MS))
        timeout_ms = LOOK_MS;
    if (poll(fds, ARRAY_LEN(fds), timeout_ms) < 0 && errno != EINTR)
        abort();
    if (fds[0].revents)
        take_signal(life);
}

enum err_code life_run(struct life *life, struct err *err)
{
    enum err_code rc = ERR_OK;
    life->watchdog = watchdog_new(life->node);
    if (life->node->parking)
        begin_as_heir(life);
    else
        notify_send("READY=1\nSTATUS=serves");
    while (!rc && !life->is_handed_over && (!life->is_ending || life->is_heir)) {
        wait_for_something(life);
        if (!life->is_ending)
            hear_successor(life);
        rc = hear_predecessor(life, err);
    }
    return rc;
}
