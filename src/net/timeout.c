/* timeout.c - which phase a connection is in, and what happens when it stays there for too long. */
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "base/check.h"
#include "net/conn.h"

void conn_unlist(struct http_conn *conn)
{
    struct phase_list *list = &conn->thread->phases[conn->listed];
    if (conn->listed == PHASE_NONE)
        return;
    if (conn->previous_in_phase)
        conn->previous_in_phase->next_in_phase = conn->next_in_phase;
    else
        list->first = conn->next_in_phase;
    if (conn->next_in_phase)
        conn->next_in_phase->previous_in_phase = conn->previous_in_phase;
    else
        list->last = conn->previous_in_phase;
    conn->listed = PHASE_NONE;
}

static void enlist(struct http_conn *conn, enum phase phase, uint64_t from_ms)
{
    struct phase_list *list = &conn->thread->phases[phase];
    conn_unlist(conn);
    conn->listed = (uint8_t)phase;
    conn->deadline_ms = from_ms + list->timeout_ms;
    conn->next_in_phase = NULL;
    conn->previous_in_phase = list->last;
    if (list->last)
        list->last->next_in_phase = conn;
    else
        list->first = conn;
    list->last = conn;
}

uint64_t conn_now_ms(const struct http_conn *conn)
{
    return uv_now(loop_uv(conn->thread->loop));
}

/* Idle and waiting connections are not moved at once: the list they stand in finds them out when
 * their old deadline comes, so that an ordinary request touches no list. */
void conn_enter(struct http_conn *conn, enum phase phase)
{
    conn->phase = (uint8_t)phase;
    if (phase == PHASE_NONE)
        return;
    if (phase == PHASE_IDLE && conn->listed == PHASE_IDLE)
        return;
    enlist(conn, phase, conn_now_ms(conn));
}

static void time_out(struct http_conn *conn)
{
    static const struct http_refusal late = {408, "the request did not come in time",
                                             "send the whole request without long pauses"};
    counter_add(&conn->thread->stats.timeouts, 1);
    bool has_begun = conn->phase == PHASE_HEAD || conn->phase == PHASE_BODY;
    if (!has_begun || !conn->box) {
        conn_close(conn);
        return;
    }
    conn->thread->config->refuse(&late, &conn->box->x.request, &conn->box->x.response);
    conn->box->x.response.is_closing = true;
    http_reply(&conn->box->x);
}

/* What the client's machine has not taken: libuv's queue and the kernel's. Of the latter libuv
 * hears only when a third of it, perhaps a megabyte, has left: too seldom to tell slow from stuck.
 */
size_t conn_undelivered(const struct http_conn *conn)
{
    int queued = 0;
    if (ioctl(conn->fd, SIOCOUTQ, &queued) != 0)
        queued = 0;
    return uv_stream_get_write_queue_size(&conn->stream) + (size_t)queued;
}

static bool takes_its_reply(struct http_conn *conn)
{
    size_t left = conn_undelivered(conn);
    bool has_moved = left + PROGRESS_BYTES <= conn->mark;
    conn->mark = left;
    return has_moved;
}

/* One that has many requests looks after each of them. */
static bool has_reason_to_stay(struct http_conn *conn)
{
    return (conn->h2 && h2_check_late(conn)) || (conn->ws && ws_check_late(conn));
}

static void check_late(struct http_conn *conn, uint64_t now)
{
    uint64_t timeout_ms = conn->thread->phases[conn->listed].timeout_ms;
    if (conn->phase == PHASE_NONE)
        enlist(conn, PHASE_IDLE, now); /* looked at again later */
    else if (conn->phase == PHASE_IDLE && conn->touched_ms + timeout_ms > now)
        enlist(conn, PHASE_IDLE, conn->touched_ms);
    else if (conn->phase == PHASE_WRITE && takes_its_reply(conn))
        enlist(conn, PHASE_WRITE, now);
    else if (conn->phase == PHASE_WRITE || !has_reason_to_stay(conn))
        time_out(conn);
    else if (!conn->is_closing)
        enlist(conn, (enum phase)conn->phase, now);
}

void conn_tick(struct http_thread *thread)
{
    uint64_t now = uv_now(loop_uv(thread->loop));
    for (int phase = 0; phase < PHASE_COUNT; phase++) {
        struct phase_list *list = &thread->phases[phase];
        struct http_conn *last = list->last;
        while (list->first && list->first->deadline_ms <= now) {
            struct http_conn *conn = list->first;
            check_late(conn, now);
            if (conn == last)
                break; /* those put behind it were looked at already */
        }
    }
}
