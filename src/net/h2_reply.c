/* h2_reply.c - from a response to frames: head, body as the client makes room, trailers. */
#include <string.h>

#include "base/check.h"
#include "net/h2_session.h"

/* ---- heads and trailers ---- */

struct fields {
    nghttp2_nv all[H2_REPLY_HEADERS_MAX];
    size_t count;
};

/* What stays the same from reply to reply is remembered by both sides. The ids that each reply has
 * anew would fill that memory, and be searched for among each other. */
static bool recurs(struct str name)
{
    static const char *const names[] = {":status",     "content-type",     "Date",
                                        "grpc-status", "content-encoding", "vary"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_equal_c(name, names[i]))
            return true;
    return false;
}

static void add(struct fields *fields, struct str name, struct str value)
{
    if (fields->count == H2_REPLY_HEADERS_MAX)
        return; /* ours are far fewer; what a handler copies from elsewhere may not be */
    fields->all[fields->count++] = (nghttp2_nv){
        .name = (uint8_t *)(uintptr_t)name.ptr, /* nghttp2 copies both */
        .value = (uint8_t *)(uintptr_t)value.ptr,
        .namelen = name.len,
        .valuelen = value.len,
        .flags = recurs(name) ? NGHTTP2_NV_FLAG_NONE : NGHTTP2_NV_FLAG_NO_INDEX,
    };
}

/* "Name: value\r\n" lines, as http_add_header makes them. */
static void add_lines(struct fields *fields, struct str lines)
{
    while (lines.len) {
        const char *end = memmem(lines.ptr, lines.len, "\r\n", 2);
        const char *colon = end ? memchr(lines.ptr, ':', (size_t)(end - lines.ptr)) : NULL;
        if (!colon)
            return;
        struct str name = {lines.ptr, (size_t)(colon - lines.ptr)};
        add(fields, name, str_trim((struct str){colon + 1, (size_t)(end - colon - 1)}));
        lines.len -= (size_t)(end + 2 - lines.ptr);
        lines.ptr = end + 2;
    }
}

static void add_coding(struct fields *fields, enum http_coding coding)
{
    if (coding == HTTP_CODING_IDENTITY)
        return;
    add(fields, STR_LIT("content-encoding"),
        coding == HTTP_CODING_GZIP ? STR_LIT("gzip") : STR_LIT("deflate"));
    add(fields, STR_LIT("vary"), STR_LIT("Accept-Encoding"));
}

/* ---- the body ---- */

static struct str body_of(const struct box *box)
{
    return buf_view(box->stream.packed.len ? &box->stream.packed : &box->x.response.body);
}

static void submit_trailers(nghttp2_session *session, struct box *box)
{
    struct fields fields = {.count = 0};
    add_lines(&fields, buf_view(&box->x.response.trailers));
    nghttp2_submit_trailer(session, box->stream.id, fields.all, fields.count);
}

static void note_taken(struct h2 *h2, struct box *box, size_t bytes)
{
    struct h2_stream *stream = &box->stream;
    stream->sent += bytes;
    stream->unsent -= bytes;
    h2->unsent -= bytes;
    h2_credit(h2, 2);
    if (stream->was_full && stream->unsent == 0)
        h2->has_drained = true;
    stream->mark += bytes;
    if (stream->mark < PROGRESS_BYTES)
        return;
    stream->mark = 0;
    stream->moved_ms = conn_now_ms(h2->conn);
}

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *out, size_t room,
                         uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    struct box *box = source->ptr;
    struct str body = body_of(box);
    size_t left = body.len - box->stream.sent;
    size_t bytes = left < room ? left : room;
    (void)id;
    if (left == 0 && !box->is_answered)
        return NGHTTP2_ERR_DEFERRED;
    if (bytes)
        memcpy(out, body.ptr + box->stream.sent, bytes);
    note_taken(arg, box, bytes);
    if (bytes == left && box->is_answered) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (box->x.response.trailers.len) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            submit_trailers(session, box);
        }
    }
    return (ssize_t)bytes;
}

/* What the body has grown by is now owed to the client. */
static void count_unsent(struct h2 *h2, struct box *box)
{
    struct h2_stream *stream = &box->stream;
    size_t unsent = reply_has_body(box) ? body_of(box).len - stream->sent : 0;
    if (!stream->unsent && unsent) {
        stream->moved_ms = conn_now_ms(h2->conn);
        stream->mark = 0;
    }
    h2->unsent += unsent - stream->unsent;
    stream->unsent = unsent;
    stream->was_full = stream->was_full || (stream->is_streamed && unsent > H2_OUT_BYTES);
}

/* ---- sending ---- */

static void submit_head(struct h2 *h2, struct box *box, enum http_coding coding, bool has_more)
{
    const struct http_response *response = &box->x.response;
    bool has_body = has_more || (reply_has_body(box) && body_of(box).len);
    bool has_trailers = response->trailers.len > 0;
    char status[STR_NUMBER_BYTES], length[STR_NUMBER_BYTES];
    struct fields fields = {.count = 0};
    struct str date = reply_date(box->thread);
    nghttp2_data_provider provider = {.source.ptr = box, .read_callback = read_body};
    add(&fields, STR_LIT(":status"), (struct str){status, str_from_i64(response->status, status)});
    add_lines(&fields, date);
    if (response->content_type)
        add(&fields, STR_LIT("content-type"), str_of(response->content_type));
    if (!has_more && !has_trailers && response->status != 204 && response->status != 304)
        add(&fields, STR_LIT("content-length"),
            (struct str){length, str_from_u64(body_of(box).len, length)});
    add_coding(&fields, coding);
    add_lines(&fields, buf_view(&response->headers));
    if (!has_body) /* then they are one with the head */
        add_lines(&fields, buf_view(&response->trailers));
    box->stream.is_replying = true;
    if (nghttp2_submit_response(h2->session, box->stream.id, fields.all, fields.count,
                                has_body ? &provider : NULL) != 0)
        h2_reset(box, NGHTTP2_INTERNAL_ERROR);
}

/* What the handler kept for its request is let go before the client has taken the reply. */
void h2_release(struct box *box)
{
    struct buf *body = &box->message.body;
    arena_reset(box->x.arena);
    trim(body);
    trim(&box->inflated);
    drop_chunk(box->thread, box->held);
    box->held = NULL;
}

void h2_reply(struct box *box)
{
    struct http_conn *conn = box->x.conn;
    struct h2 *h2 = conn->h2;
    enum http_coding coding = HTTP_CODING_IDENTITY;
    counter_add(&conn->thread->stats.requests, 1);
    h2_stop_asking(h2, box);
    conn->touched_ms = conn_now_ms(conn);
    if (!box->stream.is_replying) {
        coding = reply_pack(box, &box->stream.packed);
        count_unsent(h2, box);
        submit_head(h2, box, coding, false);
    } else {
        count_unsent(h2, box);
        nghttp2_session_resume_data(h2->session, box->stream.id);
    }
    if (!box->is_in_use)
        h2_release(box);
    h2_wake(conn);
}

/* ---- streams ---- */

/* Bytes that have left make room. */
static void forget_sent(struct box *box)
{
    struct buf *body = &box->x.response.body;
    size_t sent = box->stream.sent;
    if (sent == 0 || sent < body->len / 2)
        return;
    memmove(body->data, body->data + sent, body->len - sent);
    body->len -= sent;
    box->stream.sent = 0;
}

void h2_send(struct box *box)
{
    struct http_conn *conn = box->x.conn;
    forget_sent(box);
    count_unsent(conn->h2, box);
    if (!box->stream.is_replying)
        submit_head(conn->h2, box, HTTP_CODING_IDENTITY, true);
    else
        nghttp2_session_resume_data(conn->h2->session, box->stream.id);
    h2_wake(conn);
}
