/* conn.c - the life of a connection. Read conn_feed first.
 *
 *     accept -> [handshake] -> IDLE -> HEAD -> BODY -> (handler) -> reply -> IDLE ... -> close
 *
 * Texts of a request point into the thread's read buffer. A handler that answers later keeps that
 * buffer: the connection holds it and the thread goes on with another one.
 */
#include "net/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "net/http_encoding.h"

static void go_on(struct http_conn *conn);
static void flush(struct http_conn *conn);
static void set_reading(struct http_conn *conn, bool is_reading);

/* ---- closing ---- */

static void free_conn(struct http_conn *conn)
{
    struct http_thread *thread = conn->thread;
    buf_done(&conn->out);
    buf_done(&conn->writing);
    tls_free(conn->tls);
    h2_free(conn->h2);
    ws_free(conn->ws);
    thread->conn_count--;
    free(conn);
    http_thread_check_end(thread);
}

static void on_closed(uv_handle_t *handle)
{
    struct http_conn *conn = CONTAINER_OF(handle, struct http_conn, handle);
    conn->is_closed = true;
    if (!conn->kept_count)
        free_conn(conn);
}

static void forget_conn(struct http_conn *conn)
{
    struct http_thread *thread = conn->thread;
    if (conn->previous)
        conn->previous->next = conn->next;
    else
        thread->conns = conn->next;
    if (conn->next)
        conn->next->previous = conn->previous;
    counter_add(&thread->stats.open, (uint64_t)-1);
}

/* The exchange lives on without its client until its handler replies; so do peer and conn_user,
 * which the handler may be reading on another thread. */
void conn_orphan(struct box *box)
{
    struct http_conn *conn = box->x.conn;
    conn->kept_count++;
    box->gone = conn;
    box->x.conn = NULL;
    if (box->x.cancel)
        box->x.cancel(&box->x);
}

static void leave_again(struct http_conn *conn)
{
    struct http_conn **at = &conn->thread->again;
    if (!conn->is_again)
        return;
    while (*at != conn)
        at = &(*at)->next_again;
    *at = conn->next_again;
    conn->is_again = false;
}

static void leave_unsent(struct http_conn *conn)
{
    struct http_thread *thread = conn->thread;
    for (int i = 0; conn->is_unsent && i < thread->unsent_count; i++)
        if (thread->unsent[i] == conn)
            thread->unsent[i] = NULL;
    conn->is_unsent = false;
}

static void free_conn_user(struct http_conn *conn)
{
    if (conn->conn_user && conn->thread->config->conn_user_free)
        conn->thread->config->conn_user_free(conn->conn_user);
    conn->conn_user = NULL;
}

/* send(2) skips the file layer that write(2), which libuv uses, goes through. The library's send()
 * keeps books for the cancellation of threads, which costs as much again and nobody needs;
 * ThreadSanitizer knows only that one. */
static ssize_t send_now(int fd, const void *bytes, size_t size)
{
    const int flags = MSG_NOSIGNAL | MSG_DONTWAIT;
#ifdef __SANITIZE_THREAD__
    return send(fd, bytes, size, flags);
#else
    return syscall(SYS_sendto, fd, bytes, size, flags, NULL, 0);
#endif
}

/* Without this word a client cannot tell the end from a connection that somebody has cut. Not after
 * a reply that is not out. */
static void say_goodbye(struct http_conn *conn)
{
    if (!conn->tls || conn->is_writing || conn->out.len)
        return;
    tls_close(conn->tls);
    tls_take(conn->tls, &conn->out);
    if (conn->out.len)
        send_now(conn->fd, conn->out.data, conn->out.len); /* if it does not go now, so be it */
    buf_clear(&conn->out);
}

void conn_close(struct http_conn *conn)
{
    if (conn->is_closing)
        return;
    say_goodbye(conn);
    conn->is_closing = true;
    conn_unlist(conn);
    forget_conn(conn);
    leave_again(conn);
    leave_unsent(conn);
    if (conn->box && conn->is_waiting)
        conn_orphan(conn->box);
    else if (conn->box)
        give_box(conn->box);
    conn->box = NULL;
    if (conn->h2)
        h2_end(conn);
    if (conn->ws)
        ws_end(conn);
    drop_chunk(conn->thread, conn->held);
    conn->held = NULL;
    if (!conn->kept_count)
        free_conn_user(conn);
    passed_fd_close(conn);
    uv_close(&conn->handle, on_closed);
}

/* ---- writing ---- */

static void on_shut(uv_shutdown_t *shutdown, int status)
{
    (void)shutdown, (void)status; /* reading goes on until the client closes or time is over */
}

/* Everything is said. A client that is still sending must not lose the reply to a reset, so what it
 * sends is read and thrown away for a while. */
static void end(struct http_conn *conn)
{
    if (!conn->is_cut_short || conn->phase == PHASE_LINGER) {
        conn_close(conn);
        return;
    }
    say_goodbye(conn);
    if (uv_shutdown(&conn->shutdown, &conn->stream, on_shut) != 0) {
        conn_close(conn);
        return;
    }
    conn_enter(conn, PHASE_LINGER);
    set_reading(conn, true);
}

static void after_write(struct http_conn *conn)
{
    if (conn->h2)
        h2_pull(conn);
    if (conn->out.len) {
        flush(conn);
        return;
    }
    if (conn->is_last) {
        end(conn);
        return;
    }
    if (conn->phase == PHASE_WRITE)
        conn_enter(conn, PHASE_IDLE);
    if (conn->h2) {
        h2_settle(conn);
        go_on(conn);
        return;
    }
    if (conn->ws) {
        ws_tell(conn);
        go_on(conn);
        return;
    }
    if (conn->thread->is_draining && !conn->box && !conn->pending.len) {
        conn_close(conn); /* what conn_drain_all left for this write */
        return;
    }
    if (!conn->is_waiting)
        go_on(conn);
}

static void on_written(uv_write_t *write, int status)
{
    struct http_conn *conn = write->data;
    conn->is_writing = false;
    trim(&conn->writing);
    if (conn->is_closing)
        return;
    if (status < 0)
        conn_close(conn);
    else
        after_write(conn);
}

static void write_later(struct http_conn *conn, size_t done)
{
    struct buf swap = conn->writing;
    conn->writing = conn->out;
    conn->out = swap;
    uv_buf_t rest = uv_buf_init(conn->writing.data + done, (unsigned)(conn->writing.len - done));
    conn->write.data = conn;
    if (uv_write(&conn->write, &conn->stream, &rest, 1, on_written) != 0) {
        conn_close(conn);
        return;
    }
    conn->is_writing = true;
    conn->mark = conn_undelivered(conn);
    conn_enter(conn, PHASE_WRITE);
}

/* Hand everything to the socket in one write. */
static void flush(struct http_conn *conn)
{
    if (conn->is_closing || conn->is_writing || conn->is_feeding)
        return;
    if (conn->out.len == 0) {
        if (conn->is_last && !conn->is_waiting)
            end(conn);
        return;
    }
    ssize_t n = send_now(conn->fd, conn->out.data, conn->out.len);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        conn_close(conn);
        return;
    }
    counter_add(&conn->thread->stats.bytes_out, conn->out.len);
    if (n == (ssize_t)conn->out.len) {
        trim(&conn->out);
        if (conn->is_last && !conn->is_waiting)
            end(conn);
        return;
    }
    write_later(conn, n > 0 ? (size_t)n : 0);
}

void conn_send_all(struct http_thread *thread)
{
    for (int i = 0; i < thread->unsent_count; i++) {
        struct http_conn *conn = thread->unsent[i];
        if (!conn)
            continue;
        conn->is_unsent = false;
        flush(conn);
    }
    thread->unsent_count = 0;
}

/* Replies of one round of the loop are sent together: the kernel's code for sending, and ours for
 * answering, each find the caches as they left them. */
void conn_flush_soon(struct http_conn *conn)
{
    struct http_thread *thread = conn->thread;
    if (conn->is_closing || conn->is_unsent)
        return;
    if (conn->is_last || conn->is_waiting || conn->out.len == 0) {
        flush(conn);
        return;
    }
    conn->is_unsent = true;
    thread->unsent[thread->unsent_count++] = conn;
    if (thread->unsent_count == UNSENT_MAX)
        conn_send_all(thread);
}

void conn_put(struct http_conn *conn, const void *bytes, size_t size)
{
    if (!conn->tls)
        buf_append(&conn->out, bytes, size);
    else if (tls_write(conn->tls, bytes, size))
        tls_take(conn->tls, &conn->out);
    else
        conn->is_last = true;
}

/* ---- the reply ---- */

/* The handler of a client that went away is done. */
static void end_orphan(struct box *box)
{
    struct http_thread *thread = box->thread;
    struct http_conn *conn = box->gone;
    if (!conn->h2) /* several exchanges may have it there: admission has left it in the connection
                    */
        conn->conn_user = box->x.conn_user;
    conn->kept_count--;
    box->gone = NULL;
    give_box(box);
    if (conn->is_closing && !conn->kept_count)
        free_conn_user(conn);
    if (conn->is_closed && !conn->kept_count)
        free_conn(conn);
    http_thread_check_end(thread);
}

static void send_reply(struct http_conn *conn, struct box *box)
{
    struct http_thread *thread = conn->thread;
    conn->conn_user = box->x.conn_user;
    if (box->x.response.is_closing || !box->message.is_keeping_alive || thread->is_retired)
        conn->is_last = true;
    counter_add(&thread->stats.requests, 1);
    reply_put(conn, box);
    conn->touched_ms = conn_now_ms(conn);
    conn_enter(conn, PHASE_IDLE);
}

/* The request that a handler has had is answered. */
static void end_waiting(struct http_conn *conn)
{
    conn->box = NULL;
    conn->is_waiting = false;
    conn->ahead_bytes = 0;
    if (conn->is_last)
        flush(conn);
    else
        go_on(conn);
}

void http_answer(struct http_exchange *x)
{
    struct box *box = CONTAINER_OF(x, struct box, x);
    struct http_conn *conn = x->conn;
    assert(!box->is_answered && !box->is_in_feed);
    if (!conn)
        return;
    box->is_answered = box->is_in_use = true;
    if (conn->h2) {
        h2_reply(box);
        return;
    }
    send_reply(conn, box);
    x->conn = NULL;
    end_waiting(conn);
}

/* Answered before; nobody uses the memory any more. HTTP/2 may still be sending from it. */
static void end_use(struct box *box)
{
    struct http_thread *thread = box->thread;
    box->is_in_use = false;
    if (box->x.conn)
        h2_release(box);
    else
        give_box(box);
    http_thread_check_end(thread);
}

void http_reply(struct http_exchange *x)
{
    struct box *box = CONTAINER_OF(x, struct box, x);
    struct http_conn *conn = x->conn;
    if (box->is_in_use) {
        end_use(box);
        return;
    }
    assert(!box->is_answered);
    box->is_answered = true;
    if (!conn) {
        end_orphan(box);
        return;
    }
    if (conn->h2) {
        h2_reply(box);
        return;
    }
    if (conn->ws) {
        ws_reply(box);
        return;
    }
    send_reply(conn, box);
    if (box->is_in_feed)
        return; /* conn_feed goes on */
    give_box(box);
    end_waiting(conn);
}

/* ---- reading ---- */

void conn_refuse(struct box *box, const struct http_refusal *refusal)
{
    struct http_conn *conn = box->x.conn;
    counter_add(&conn->thread->stats.parse_errors, 1);
    conn->thread->config->refuse(refusal, &box->x.request, &box->x.response);
    if (refusal->status == 415)
        http_add_header(&box->x.response, "Accept-Encoding", STR_LIT("gzip, deflate"));
    box->x.response.is_closing = true;
    conn->is_cut_short = !conn->h2;
    http_reply(&box->x);
}

/* Said of the announced length, before a byte of the body is waited for. */
static const struct http_refusal too_large = {
    413, "the body is larger than this address accepts",
    "send less at a time, or ask the operator for a higher limit"};

/* Requests that were there together are read one after another: the time the one before was done
 * will do. */
static int64_t start_time(struct http_thread *thread)
{
    int64_t recent_ns = clock_recent_ns();
    if (!thread->is_clock_old && recent_ns)
        return recent_ns;
    thread->is_clock_old = false;
    return clock_monotonic_ns();
}

void conn_admit(struct box *box, struct http_admission *admission)
{
    struct http_conn *conn = box->x.conn;
    *admission =
        (struct http_admission){.body_bytes_max = conn->thread->config->limits.body_bytes_max};
    box->x.start_ns = start_time(conn->thread);
    conn->thread->config->admit(&box->x, admission);
    conn->conn_user = box->x.conn_user;
    if (admission->is_refused) {
        box->x.response.is_closing = true;
        conn->is_cut_short = !conn->h2;
        http_reply(&box->x);
    } else if (box->message.content_length > admission->body_bytes_max) {
        conn_refuse(box, &too_large);
    }
}

static void admit(struct http_conn *conn, bool is_body_here)
{
    struct box *box = conn->box;
    struct http_admission admission;
    conn_admit(box, &admission);
    conn->parser.body_bytes_max = admission.body_bytes_max;
    if (!box->is_answered && box->message.is_expecting_continue && !is_body_here)
        conn_put(conn, "HTTP/1.1 100 Continue\r\n\r\n", 25);
}

static bool unpack(struct box *box)
{
    struct err err = {0};
    struct http_refusal refusal = {.message = err.msg, .hint = err.hint};
    enum err_code rc = http_inflate(box->message.coding, box->x.request.body, &box->inflated, &err);
    if (!rc) {
        box->x.request.body = buf_view(&box->inflated);
        return true;
    }
    refusal.status = rc == ERR_LIMIT ? 413 : 400;
    conn_refuse(box, &refusal);
    return false;
}

void conn_handle(struct box *box)
{
    const struct http_message *message = &box->message;
    if (message->has_body && message->coding != HTTP_CODING_IDENTITY && !unpack(box))
        return;
    if (!box->x.conn->h2)
        conn_enter(box->x.conn, PHASE_NONE);
    box->thread->config->handle(&box->x);
}

static void begin(struct http_conn *conn)
{
    conn->box = take_box(conn);
    conn->box->is_in_feed = true;
    http_parser_begin(&conn->parser, &conn->box->message);
}

/* More bytes are needed for the request that has begun. */
static void wait_for_more(struct http_conn *conn)
{
    size_t body_bytes = conn->parser.body_bytes;
    if (conn->parser.state != HTTP_PARSE_IN_BODY) {
        if (conn->phase != PHASE_HEAD)
            conn_enter(conn, PHASE_HEAD);
    } else if (conn->phase != PHASE_BODY || body_bytes - conn->mark >= PROGRESS_BYTES) {
        conn->mark = body_bytes;
        conn_enter(conn, PHASE_BODY);
    }
}

/* One event of the parser; false when no further byte is to be parsed now. */
static bool step(struct http_conn *conn, const char **bytes, size_t *size)
{
    size_t taken;
    if (!conn->box)
        begin(conn);
    struct box *box = conn->box;
    box->is_in_feed = true;
    enum http_parse_event event = http_parser_feed(&conn->parser, *bytes, *size, &taken);
    *bytes += taken;
    *size -= taken;
    switch (event) {
    case HTTP_PARSE_MORE:
        wait_for_more(conn);
        break;
    case HTTP_PARSE_HEAD:
        admit(conn, *size > 0);
        break;
    case HTTP_PARSE_DONE:
        conn_handle(box);
        break;
    case HTTP_PARSE_BAD:
        conn_refuse(box, &conn->parser.refusal);
        break;
    }
    if (conn->ws) { /* an upgrade: the box is no longer ours */
        conn->box = NULL;
        return false;
    }
    box->is_in_feed = false;
    if (box->is_answered) {
        conn->box = NULL;
        give_box(box);
        return !conn->is_last;
    }
    conn->is_waiting = event == HTTP_PARSE_DONE;
    return event != HTTP_PARSE_MORE && !conn->is_waiting;
}

/* HTTP/2's clients make room by what they send, so it is read until the socket takes nothing. */
static bool is_output_full(const struct http_conn *conn)
{
    if (conn->h2)
        return conn->is_writing && conn->out.len >= H2_OUT_BYTES;
    return conn->out.len + conn->writing.len > conn->thread->config->limits.output_bytes_max;
}

static void alloc_chunk(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct http_conn *conn = CONTAINER_OF(handle, struct http_conn, handle);
    (void)suggested;
    *buf = uv_buf_init(conn->thread->chunk->bytes, CHUNK_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf);

static void set_reading(struct http_conn *conn, bool is_reading)
{
    if (conn->is_closing || conn->is_reading == is_reading)
        return;
    conn->is_reading = is_reading;
    if (is_reading)
        uv_read_start(&conn->stream, alloc_chunk, on_read);
    else
        uv_read_stop(&conn->stream);
}

/* The chunk that bytes being fed lie in: the connection's own, else the one read last. */
static struct chunk *source_of(struct http_conn *conn)
{
    if (conn->held)
        return conn->held;
    return conn->tls ? conn->thread->plain : conn->thread->chunk;
}

/* Texts of the unanswered request and unparsed bytes stay where they are: the chunk is kept by who
 * needs it, and the thread reads into another one. */
static void keep_bytes(struct http_conn *conn, const char *bytes, size_t size)
{
    struct http_thread *thread = conn->thread;
    struct chunk *source = source_of(conn);
    bool was_held = conn->held != NULL;
    conn->pending = (struct str){bytes, size};
    conn->held = NULL;
    if (conn->is_waiting) {
        conn->box->held = source;
        source->refs++;
    }
    if (size) {
        conn->held = source;
        source->refs++;
    }
    if (was_held) {
        drop_chunk(thread, source);
    } else if (source->refs > 1) {
        struct chunk **place = conn->tls ? &thread->plain : &thread->chunk;
        source->refs--;
        *place = take_chunk(thread);
    }
}

static void on_idle(uv_idle_t *idle)
{
    conn_run_again(idle->data);
}

static void join_again(struct http_conn *conn)
{
    struct http_thread *thread = conn->thread;
    if (conn->is_again)
        return;
    conn->is_again = true;
    conn->next_again = thread->again;
    thread->again = conn;
    uv_idle_start(&thread->idle, on_idle);
}

void conn_go_on_soon(struct http_conn *conn)
{
    if (!conn->is_feeding && !conn->is_closing)
        join_again(conn);
}

void conn_run_again(struct http_thread *thread)
{
    struct http_conn *list = thread->again, *next;
    thread->again = NULL;
    uv_idle_stop(&thread->idle);
    for (struct http_conn *conn = list; conn; conn = next) {
        next = conn->next_again;
        conn->is_again = false;
        go_on(conn);
    }
}

/* The head is admitted and no body follows: the parser ends the request without further bytes. */
static bool is_complete(const struct http_conn *conn)
{
    return conn->box && conn->parser.state == HTTP_PARSE_IN_BODY && !conn->box->message.has_body;
}

/* HTTP/2 begins with a text that is no request of HTTP/1; its third byte says so. True: the
 * connection speaks HTTP/2 from its first byte on. */
static bool begins_h2(struct http_conn *conn, const char *bytes, size_t size)
{
    while (size && conn->preface_bytes < H2_PREFACE_BYTES) {
        if (*bytes++ != h2_preface[conn->preface_bytes]) {
            conn->preface_bytes = H2_PREFACE_NONE;
            return false;
        }
        conn->preface_bytes++;
        size--;
    }
    return conn->preface_bytes == H2_PREFACE_BYTES;
}

/* What came before these bytes went to the other parser. */
static void start_h2(struct http_conn *conn, size_t bytes_before)
{
    if (conn->box)
        give_box(conn->box);
    conn->box = NULL;
    conn->preface_bytes = H2_PREFACE_NONE;
    conn_enter(conn, PHASE_IDLE);
    h2_start(conn);
    h2_feed(conn, h2_preface, bytes_before);
}

static void feed_http1(struct http_conn *conn, const char **bytes, size_t *size)
{
    int left = conn->thread->config->limits.pipeline_max;
    while ((*size || is_complete(conn)) && !is_output_full(conn) && left > 0) {
        left -= conn->box == NULL;
        if (!step(conn, bytes, size))
            break;
    }
}

/* Parse, admit, handle: as many requests as there are (and pipeline_max), then one write. */
static void feed(struct http_conn *conn, const char *bytes, size_t size)
{
    size_t bytes_before = conn->preface_bytes, taken;
    conn->is_feeding = true;
    if (!conn->h2 && conn->preface_bytes != H2_PREFACE_NONE && begins_h2(conn, bytes, size))
        start_h2(conn, bytes_before);
    if (conn->h2) {
        taken = h2_feed(conn, bytes, size);
        bytes += taken;
        size -= taken;
    } else if (!conn->ws) {
        feed_http1(conn, &bytes, &size);
    }
    if (conn->ws) {
        taken = ws_feed(conn, bytes, size);
        bytes += taken;
        size -= taken;
    }
    conn->is_feeding = false;
    if (conn->h2) {
        h2_pull(conn);
        h2_settle(conn);
    } else if (conn->ws) {
        ws_settle(conn);
    }
    if (conn->is_last && !conn->is_waiting)
        size = 0;
    keep_bytes(conn, bytes, size);
    conn_flush_soon(conn);
    if (conn->is_closing || conn->phase == PHASE_LINGER)
        return;
    bool is_wanted = !conn->is_waiting || conn->box->x.cancel; /* it may leave */
    set_reading(conn, is_wanted && !size && !conn->is_last && !is_output_full(conn));
    if (size && !conn->is_waiting && !conn->is_writing && !ws_is_busy(conn))
        join_again(conn);
}

/* The client has closed its half. */
static void on_end(struct http_conn *conn)
{
    set_reading(conn, false);
    if (conn->phase == PHASE_LINGER ||
        !conn->box) { /* also HTTP/2, whose ends are its own frames */
        conn->is_last = true;
        conn->is_cut_short = false;
        flush(conn);
        return;
    }
    if (http_parser_end(&conn->parser) == HTTP_PARSE_BAD) {
        conn_refuse(conn->box, &conn->parser.refusal);
        conn->is_cut_short = false;
    }
}

static void handshake_done(struct http_conn *conn)
{
    struct thread_stats *stats = &conn->thread->stats;
    if (conn->phase != PHASE_TLS || !tls_is_ready(conn->tls))
        return;
    counter_add(tls_is_resumed(conn->tls) ? &stats->tls_resumed : &stats->tls_handshakes, 1);
    conn->peer.certificate = tls_certificate(conn->tls);
    conn_enter(conn, PHASE_IDLE);
}

static bool can_feed(const struct http_conn *conn)
{
    return !conn->is_closing && !conn->is_waiting && !conn->is_last && !conn->pending.len &&
           !is_output_full(conn);
}

/* Whoever set the client up looks here: its own side often says no more than "alert". */
static void log_handshake(const struct http_conn *conn)
{
    static struct log_gate gate;
    int64_t suppressed;
    char reason[160];
    if (conn->phase == PHASE_TLS && log_gate_open(&gate, &suppressed))
        log_warn("TLS handshake failed", "peer=%s reason=%s suppressed=%lld", conn->peer.address,
                 tls_problem(conn->tls, reason, sizeof(reason)), (long long)suppressed);
}

static void break_tls(struct http_conn *conn)
{
    log_handshake(conn);
    counter_add(&conn->thread->stats.tls_errors, 1);
    tls_take(conn->tls, &conn->out);           /* the alert */
    conn->is_last = conn->is_cut_short = true; /* unread bytes would reset it, alert and all */
    flush(conn);
}

/* Plain bytes out of what OpenSSL has, fed a chunk at a time while they are wanted; the rest stays
 * there until go_on. */
static void pump(struct http_conn *conn)
{
    int n = 0;
    while (can_feed(conn) &&
           (n = tls_read(conn->tls, conn->thread->plain->bytes, CHUNK_BYTES)) > 0) {
        handshake_done(conn);
        feed(conn, conn->thread->plain->bytes, (size_t)n);
    }
    if (conn->is_closing)
        return;
    if (n == -1) {
        on_end(conn);
        return;
    }
    if (n < 0) {
        break_tls(conn);
        return;
    }
    handshake_done(conn);
    tls_take(conn->tls, &conn->out);
    flush(conn);
}

/* Bytes that were read before and not parsed yet, wherever they are. */
static void go_on(struct http_conn *conn)
{
    feed(conn, conn->pending.ptr, conn->pending.len);
    if (conn->tls && can_feed(conn))
        pump(conn);
}

/* A client is watched for its leaving: what it sends meanwhile waits, and no more is read. */
static void read_ahead(struct http_conn *conn, const char *bytes, size_t size)
{
    struct http_thread *thread = conn->thread;
    if (conn->tls) {
        tls_put(conn->tls, bytes, size);
        conn->ahead_bytes += size;
        if (conn->ahead_bytes > CHUNK_BYTES) /* else it may be a farewell, the end is behind it */
            set_reading(conn, false);
        return;
    }
    conn->pending = (struct str){bytes, size};
    conn->held = thread->chunk;
    thread->chunk = take_chunk(thread);
    set_reading(conn, false);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
    struct http_conn *conn = CONTAINER_OF(stream, struct http_conn, stream);
    if (size == 0)
        return;
    if (size < 0) {
        if (size == UV_EOF && !conn->is_waiting)
            on_end(conn);
        else
            conn_close(conn);
        return;
    }
    counter_add(&conn->thread->stats.bytes_in, (uint64_t)size);
    if (conn->peer.is_unix)
        passed_fd_receive(conn);
    if (conn->phase == PHASE_LINGER)
        return;
    if (conn->is_waiting) {
        read_ahead(conn, buf->base, (size_t)size);
        return;
    }
    if (!conn->tls) {
        feed(conn, buf->base, (size_t)size);
        return;
    }
    tls_put(conn->tls, buf->base, (size_t)size);
    pump(conn);
}

/* ---- accepting ---- */

static struct http_conn *conn_new(struct http_thread *thread)
{
    const struct http_limits *limits = &thread->config->limits;
    struct http_conn *conn = calloc(1, sizeof(*conn));
    if (!conn)
        abort();
    conn->thread = thread;
    conn->phase = conn->listed = PHASE_NONE;
    conn->passed_fd = -1;
    http_parser_init(&conn->parser, limits, &thread->heads);
    buf_init(&conn->out, SIZE_MAX / 2); /* bounded by is_output_full and by each reply's limit */
    buf_init(&conn->writing, SIZE_MAX / 2);
    thread->conn_count++;
    conn->next = thread->conns;
    if (thread->conns)
        thread->conns->previous = conn;
    thread->conns = conn;
    counter_add(&thread->stats.open, 1);
    return conn;
}

static void start_conn(struct http_conn *conn, bool is_unix, struct tls_context *tls)
{
    if (is_unix) {
        if (!peer_describe_unix(conn)) {
            conn_close(conn);
            return;
        }
    } else {
        uv_tcp_nodelay(&conn->tcp, 1);
        peer_describe_tcp(conn);
    }
    if (tls && !is_unix) {
        conn->tls = tls_new(tls);
        conn->peer.is_tls = true;
    }
    if (uv_fileno(&conn->handle, &conn->fd) != 0) {
        conn_close(conn);
        return;
    }
    conn->touched_ms = conn_now_ms(conn);
    conn_enter(conn, conn->tls ? PHASE_TLS : PHASE_IDLE);
    set_reading(conn, true);
}

void conn_accept(struct http_thread *thread, uv_stream_t *listener, bool is_unix,
                 struct tls_context *tls)
{
    struct http_conn *conn = conn_new(thread);
    uv_loop_t *loop = loop_uv(thread->loop);
    if (is_unix)
        uv_pipe_init(loop, &conn->pipe, 1); /* descriptors may come along: passed_fd.c */
    else
        uv_tcp_init(loop, &conn->tcp);
    if (uv_accept(listener, &conn->stream) != 0) {
        conn_close(conn);
    } else if (thread->conn_count > thread->config->limits.connections_max) {
        counter_add(&thread->stats.refused, 1);
        conn_close(conn);
    } else {
        counter_add(&thread->stats.accepted, 1);
        start_conn(conn, is_unix, tls);
    }
}

/* ---- the end ---- */

void conn_retire_all(struct http_thread *thread)
{
    struct http_conn *next;
    conn_send_all(thread);
    for (struct http_conn *conn = thread->conns; conn; conn = next) {
        next = conn->next;
        if (conn->h2)
            h2_drain(conn);
    }
}

/* Bytes that the loop has not read yet: to close now would cut the request off. */
static bool has_unread(const struct http_conn *conn)
{
    char byte;
    return conn->is_reading && recv(conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

void conn_drain_all(struct http_thread *thread)
{
    struct http_conn *next;
    conn_send_all(thread);
    for (struct http_conn *conn = thread->conns; conn; conn = next) {
        next = conn->next;
        if (conn->h2)
            h2_drain(conn);
        else if (conn->ws)
            ws_tell(conn);
        else if (!conn->box && !conn->out.len && !conn->is_writing && !conn->pending.len &&
                 !has_unread(conn))
            conn_close(conn);
    }
}

void conn_close_all(struct http_thread *thread)
{
    while (thread->conns)
        conn_close(thread->conns);
}

bool conn_is_quiet(const struct http_thread *thread)
{
    return thread->conn_count == 0 && thread->box_count == 0;
}
