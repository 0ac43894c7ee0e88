/* h2.c - the life of an HTTP/2 connection: session, frames in and out, timeouts, the end. */
#include "net/h2.h"

#include <stdlib.h>

#include "base/check.h"
#include "net/h2_session.h"

const char h2_preface[] = "PRI";

/* ---- callbacks of nghttp2 ---- */

static struct box *box_of(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

static void take_pong(struct h2 *h2)
{
    h2->is_ping_unanswered = false;
    if (!h2->is_draining || h2->is_ending)
        return;
    h2->is_ending = true; /* what was under way when the client was told has arrived */
    int32_t last = nghttp2_session_get_last_proc_stream_id(h2->session);
    nghttp2_submit_goaway(h2->session, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, NULL, 0);
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *arg)
{
    struct h2 *h2 = arg;
    if (!h2_charge(h2, hd)) {
        counter_add(&h2->conn->thread->stats.parse_errors, 1);
        nghttp2_session_terminate_session(session, NGHTTP2_ENHANCE_YOUR_CALM);
    }
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct h2 *h2 = arg;
    bool is_over = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (frame->hd.type == NGHTTP2_PING && frame->hd.flags & NGHTTP2_FLAG_ACK)
        take_pong(h2);
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    struct box *box = box_of(session, frame->hd.stream_id);
    if (!box || box->stream.is_over)
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        h2_end_head(h2, box, is_over);
    else if (is_over)
        h2_end_request(h2, box);
    return 0;
}

/* The reply is out before the request is: the client need not send the rest. */
static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct box *box = box_of(session, frame->hd.stream_id);
    (void)arg;
    if (box && frame->hd.flags & NGHTTP2_FLAG_END_STREAM && !box->stream.is_over &&
        (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA))
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, box->stream.id, NGHTTP2_NO_ERROR);
    return 0;
}

static void unlink_stream(struct h2 *h2, struct box *box)
{
    struct h2_stream *stream = &box->stream;
    if (stream->previous)
        stream->previous->stream.next = stream->next;
    else
        h2->streams = stream->next;
    if (stream->next)
        stream->next->stream.previous = stream->previous;
    h2->stream_count--;
}

/* The stream is gone; its exchange too, unless the handler still has it. */
static void drop(struct h2 *h2, struct box *box)
{
    unlink_stream(h2, box);
    h2_let_go(h2, box);
    if (box->stream.is_handled && !box->is_answered)
        conn_orphan(box);
    else if (box->is_in_use)
        box->x.conn = NULL;
    else
        give_box(box);
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error_code, void *arg)
{
    struct box *box = box_of(session, id);
    (void)error_code;
    if (box) {
        nghttp2_session_set_stream_user_data(session, id, NULL);
        drop(arg, box);
    }
    return 0;
}

static int on_bad_frame(nghttp2_session *session, const nghttp2_frame *frame, int code, void *arg)
{
    struct h2 *h2 = arg;
    (void)session, (void)frame, (void)code;
    counter_add(&h2->conn->thread->stats.parse_errors, 1);
    return 0;
}

/* ---- the session ---- */

static nghttp2_session_callbacks *new_callbacks(void)
{
    nghttp2_session_callbacks *callbacks;
    if (nghttp2_session_callbacks_new(&callbacks) != 0)
        abort();
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, h2_on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, h2_on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, h2_on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_bad_frame);
    return callbacks;
}

static void new_session(struct h2 *h2)
{
    nghttp2_session_callbacks *callbacks = new_callbacks();
    nghttp2_option *option;
    if (nghttp2_option_new(&option) != 0)
        abort();
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_option_set_max_settings(option, H2_SETTINGS_MAX);
    nghttp2_option_set_max_outbound_ack(option, H2_ACKS_MAX);
    if (nghttp2_session_server_new2(&h2->session, callbacks, h2, option) != 0)
        abort();
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
}

void h2_start(struct http_conn *conn)
{
    const struct http_limits *limits = &conn->thread->config->limits;
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, (uint32_t)limits->streams_max},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_WINDOW_BYTES},
        {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, H2_FRAME_BYTES_MAX},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)limits->head_bytes_max},
    };
    struct h2 *h2 = calloc(1, sizeof(*h2));
    if (!h2)
        abort();
    h2->conn = conn;
    h2->calm = H2_CALM_MAX;
    h2->calm_ms = conn_now_ms(conn);
    buf_init(&h2->plain, 2 * H2_OUT_BYTES);
    new_session(h2);
    nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings));
    nghttp2_session_set_local_window_size(h2->session, NGHTTP2_FLAG_NONE, 0, H2_CONN_WINDOW_BYTES);
    conn->h2 = h2;
    conn->peer.is_http2 = true;
}

void h2_free(struct h2 *h2)
{
    if (!h2)
        return;
    nghttp2_session_del(h2->session);
    buf_done(&h2->plain);
    free(h2);
}

void h2_end(struct http_conn *conn)
{
    struct h2 *h2 = conn->h2;
    struct box *next;
    for (struct box *box = h2->streams; box; box = next) {
        next = box->stream.next;
        nghttp2_session_set_stream_user_data(h2->session, box->stream.id, NULL);
        drop(h2, box);
    }
}

void h2_reset(struct box *box, uint32_t error_code)
{
    struct h2 *h2 = box->x.conn->h2;
    nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, box->stream.id, error_code);
}

/* ---- frames ---- */

/* What nghttp2 does not answer itself: a flood that it counts too, or no HTTP/2 at all. */
static void give_up(struct h2 *h2, int code)
{
    counter_add(&h2->conn->thread->stats.parse_errors, 1);
    if (code == NGHTTP2_ERR_BAD_CLIENT_MAGIC)
        h2->conn->is_last = true;
    else
        nghttp2_session_terminate_session(h2->session, NGHTTP2_ENHANCE_YOUR_CALM);
}

size_t h2_feed(struct http_conn *conn, const char *bytes, size_t size)
{
    struct h2 *h2 = conn->h2;
    size_t taken = 0;
    h2->handled_count = 0;
    while (taken < size && h2->handled_count < conn->thread->config->limits.pipeline_max) {
        size_t slice = size - taken < H2_SLICE_BYTES ? size - taken : H2_SLICE_BYTES;
        ssize_t n = nghttp2_session_mem_recv(h2->session, (const uint8_t *)bytes + taken, slice);
        if (n < 0) {
            give_up(h2, (int)n);
            return size;
        }
        taken += (size_t)n;
    }
    return taken;
}

static size_t put_frames(struct h2 *h2, size_t room)
{
    struct http_conn *conn = h2->conn;
    size_t bytes = 0;
    const uint8_t *frame;
    while (bytes < room) {
        ssize_t n = nghttp2_session_mem_send(h2->session, &frame);
        if (n < 0)
            conn->is_last = true;
        if (n <= 0)
            break;
        buf_append(conn->tls ? &h2->plain : &conn->out, frame, (size_t)n);
        bytes += (size_t)n;
    }
    if (conn->tls && h2->plain.len) {
        conn_put(conn, h2->plain.data, h2->plain.len);
        buf_clear(&h2->plain);
    }
    return bytes;
}

void h2_pull(struct http_conn *conn)
{
    struct h2 *h2 = conn->h2;
    if (conn->is_closing || conn->is_last)
        return;
    while (conn->out.len < H2_OUT_BYTES && put_frames(h2, H2_OUT_BYTES - conn->out.len) > 0)
        h2_run_ready(h2);
    if (nghttp2_session_want_read(h2->session) || nghttp2_session_want_write(h2->session))
        return;
    conn->is_last = true;
    conn->is_cut_short = !h2->is_draining; /* a client at fault must hear of it */
}

void h2_wake(struct http_conn *conn)
{
    if (conn->is_feeding)
        return; /* feed does it at its end */
    h2_pull(conn);
    h2_settle(conn);
    conn_flush_soon(conn);
}

/* ---- timeouts ---- */

static bool waits_for_client(const struct h2 *h2)
{
    return h2->asking_count > 0 || h2->unsent > 0;
}

void h2_settle(struct http_conn *conn)
{
    struct h2 *h2 = conn->h2;
    if (conn->is_closing || conn->is_writing || conn->phase == PHASE_LINGER)
        return;
    if (!waits_for_client(h2)) {
        if (conn->phase != PHASE_IDLE)
            conn_enter(conn, PHASE_IDLE);
    } else if (conn->phase != PHASE_STREAM) {
        conn_enter(conn, PHASE_STREAM);
    }
}

static const struct http_refusal late = {408, "the request did not come in time",
                                         "send the whole request without long pauses"};

static void end_if_late(struct box *box, uint64_t now)
{
    const struct http_limits *limits = &box->thread->config->limits;
    struct h2_stream *stream = &box->stream;
    bool is_asking = stream->is_asking;
    int64_t timeout_ms = !is_asking             ? limits->write_timeout_ms
                         : stream->is_head_over ? limits->body_timeout_ms
                                                : limits->head_timeout_ms;
    if ((!is_asking && !stream->unsent) || stream->moved_ms + (uint64_t)timeout_ms > now)
        return;
    counter_add(&box->thread->stats.timeouts, 1);
    if (is_asking && stream->is_head_over)
        conn_refuse(box, &late);
    else
        h2_reset(box, NGHTTP2_CANCEL);
}

/* Streams that rest with their handlers for long: is anybody there? */
static bool ping(struct h2 *h2)
{
    if (h2->is_ping_unanswered)
        return false;
    h2->is_ping_unanswered = true;
    nghttp2_submit_ping(h2->session, NGHTTP2_FLAG_NONE, NULL);
    return true;
}

bool h2_check_late(struct http_conn *conn)
{
    struct h2 *h2 = conn->h2;
    uint64_t now = conn_now_ms(conn);
    struct box *next;
    if (conn->phase == PHASE_LINGER)
        return false;
    if (h2->stream_count == 0) {
        bool is_new = !h2->is_draining;
        h2_drain(conn); /* a client that is about to ask hears that it should do so elsewhere */
        return is_new;
    }
    if (!waits_for_client(h2) && !ping(h2))
        return false;
    conn->is_feeding = true; /* streams end when frames are made: afterwards */
    for (struct box *box = h2->streams; box; box = next) {
        next = box->stream.next;
        end_if_late(box, now);
    }
    conn->is_feeding = false;
    h2_wake(conn);
    return true;
}

/* ---- the end ---- */

void h2_drain(struct http_conn *conn)
{
    struct h2 *h2 = conn->h2;
    if (!h2->is_draining) {
        h2->is_draining = true;
        nghttp2_submit_shutdown_notice(h2->session);
        nghttp2_submit_ping(h2->session, NGHTTP2_FLAG_NONE, NULL);
    }
    h2_tell_streams(h2);
    h2_wake(conn);
}
