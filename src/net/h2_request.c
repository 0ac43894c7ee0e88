/* h2_request.c - from frames of a stream to a request: head, admission, body, handler.
 *
 * nghttp2 has checked what a head must be (RFC 9113, 8.3): pseudo-headers once, first and known,
 * names in lower case, no headers of a connection, a body as long as was said.
 */
#include <string.h>

#include "base/check.h"
#include "net/h2_session.h"

enum { HEADER_EXTRA_BYTES = 4 /* ": " and the line's end, as HTTP/1 counts */ };

static const struct http_refusal head_too_large = {431, "the head of the request is too large",
                                                   "send fewer or shorter headers"};
static const struct http_refusal target_too_long = {
    414, "the request target is longer than 8192 bytes", "send data in the body, not in the query"};
static const struct http_refusal no_path = {400, "the request target is not a path",
                                            "begin the path with '/'"};
static const struct http_refusal no_proxy = {501, "CONNECT is for proxies", ""};
static const struct http_refusal no_host = {400, "the request names no host",
                                            "send :authority or a Host header"};
static const struct http_refusal two_hosts = {
    400, "the Host header is not the :authority of the request", "send one of them"};
static const struct http_refusal body_too_large = {
    413, "the body is larger than this address accepts",
    "send less at a time, or ask the operator for a higher limit"};

static void link_stream(struct h2 *h2, struct box *box, int32_t id)
{
    struct buf packed = box->stream.packed;
    box->stream = (struct h2_stream){.id = id, .next = h2->streams, .packed = packed};
    box->stream.moved_ms = conn_now_ms(h2->conn);
    if (h2->streams)
        h2->streams->stream.previous = box;
    h2->streams = box;
    h2->stream_count++;
    h2->asking_count++;
    box->stream.is_asking = true;
}

static void begin_message(struct box *box)
{
    struct http_request *request = &box->x.request;
    request->method = HTTP_METHOD_OTHER;
    request->target = request->path = request->query = request->body = (struct str){0};
    request->header_count = 0;
    memset(&request->known, 0, sizeof(request->known));
    box->message.content_length = 0;
    box->message.has_body = box->message.is_chunked = box->message.is_expecting_continue = false;
    box->message.is_keeping_alive = true;
    box->message.is_http_1_0 = false;
    box->message.coding = HTTP_CODING_IDENTITY;
}

int h2_on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct h2 *h2 = arg;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    if (!h2_has_room(h2)) {
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                  NGHTTP2_REFUSED_STREAM);
        return 0;
    }
    struct box *box = take_box(h2->conn);
    begin_message(box);
    link_stream(h2, box, frame->hd.stream_id);
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, box);
    h2->head = box;
    return 0;
}

/* ---- the head ---- */

static void refuse_head(struct box *box, const struct http_refusal *refusal)
{
    if (!box->stream.refusal)
        box->stream.refusal = refusal;
}

static enum http_method method_of(struct str name)
{
    for (enum http_method m = HTTP_METHOD_GET; m < HTTP_METHOD_OTHER; m++)
        if (str_equal_c(name, http_method_name(m)))
            return m;
    return HTTP_METHOD_OTHER;
}

static void take_pseudo(struct box *box, struct str name, struct str value)
{
    struct http_request *request = &box->x.request;
    if (str_equal(name, STR_LIT(":method"))) {
        request->method = method_of(value);
        if (str_equal(value, STR_LIT("CONNECT")))
            refuse_head(box, &no_proxy);
    } else if (str_equal(name, STR_LIT(":path"))) {
        request->target = value;
    } else if (str_equal(name, STR_LIT(":authority"))) {
        request->known.host = value;
    }
}

static void take_header(struct box *box, struct str name, struct str value)
{
    struct http_request *request = &box->x.request;
    struct http_head_facts facts;
    if (request->header_count == HTTP_HEADERS_MAX) {
        refuse_head(box, &head_too_large);
        return;
    }
    struct http_header *header = &request->headers[request->header_count++];
    *header = (struct http_header){name, value};
    if (str_equal(name, STR_LIT("host")) && request->known.host.ptr &&
        !str_equal_nocase(value, request->known.host))
        refuse_head(box, &two_hosts);
    http_note_header(&request->known, &facts, header);
}

/* Both texts in one piece of the arena, each with a NUL behind it. */
static bool copy_header(struct arena *arena, struct str *name, struct str *value)
{
    char *bytes = arena_alloc(arena, name->len + value->len + 2);
    if (!bytes)
        return false;
    memcpy(bytes, name->ptr, name->len);
    bytes[name->len] = '\0';
    memcpy(bytes + name->len + 1, value->ptr, value->len);
    bytes[name->len + 1 + value->len] = '\0';
    *name = (struct str){bytes, name->len};
    *value = (struct str){bytes + name->len + 1, value->len};
    return true;
}

int h2_on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name_bytes,
                 size_t name_size, const uint8_t *value_bytes, size_t value_size, uint8_t flags,
                 void *arg)
{
    struct h2 *h2 = arg;
    struct box *box = h2->head;
    struct str name = {(const char *)name_bytes, name_size};
    struct str value = {(const char *)value_bytes, value_size};
    (void)session, (void)flags;
    if (!box || box->stream.id != frame->hd.stream_id || box->stream.is_head_over)
        return 0; /* trailers are read over */
    box->stream.head_bytes += name.len + value.len + HEADER_EXTRA_BYTES;
    if (box->stream.head_bytes > h2->conn->thread->config->limits.head_bytes_max ||
        !copy_header(box->x.arena, &name, &value)) {
        refuse_head(box, &head_too_large);
        return 0;
    }
    if (name.len && name.ptr[0] == ':')
        take_pseudo(box, name, value);
    else
        take_header(box, name, value);
    return 0;
}

/* Handlers that look for Host find it as HTTP/1 has it. */
static void add_host(struct box *box)
{
    struct http_request *request = &box->x.request;
    if (!request->known.host.ptr)
        refuse_head(box, &no_host);
    else if (request->header_count < HTTP_HEADERS_MAX && !http_find_header(request, "host").ptr)
        request->headers[request->header_count++] =
            (struct http_header){STR_LIT("host"), request->known.host};
}

static void check_head(struct box *box)
{
    struct http_request *request = &box->x.request;
    struct str target = request->target;
    struct str length = http_find_header(request, "content-length");
    if (target.len > HTTP_TARGET_BYTES_MAX)
        refuse_head(box, &target_too_long);
    if (target.len == 0 || (target.ptr[0] != '/' && !str_equal(target, STR_LIT("*"))) ||
        memchr(target.ptr, '#', target.len))
        refuse_head(box, &no_path);
    else
        http_split_query(request, target);
    if (!http_find_coding(request->known.content_encoding, &box->message.coding))
        refuse_head(box, &http_unknown_coding);
    if (length.ptr)
        str_to_u64(length, &box->message.content_length);
    add_host(box);
}

static void answer_head(struct h2 *h2, struct box *box)
{
    struct http_admission admission;
    check_head(box);
    if (box->stream.refusal) {
        conn_refuse(box, box->stream.refusal);
        return;
    }
    conn_admit(box, &admission);
    box->stream.body_bytes_max = admission.body_bytes_max;
    box->stream.is_streamed = admission.is_streamed;
    if (!box->is_answered && admission.is_streamed) {
        h2_stop_asking(h2, box);
        box->stream.is_handled = true;
        h2->handled_count++;
        conn_handle(box);
    }
}

void h2_end_head(struct h2 *h2, struct box *box, bool is_over)
{
    box->stream.is_head_over = true;
    box->message.has_body = !is_over;
    answer_head(h2, box);
    if (is_over)
        h2_end_request(h2, box);
}

/* ---- the body ---- */

void h2_stop_asking(struct h2 *h2, struct box *box)
{
    h2->asking_count -= box->stream.is_asking;
    box->stream.is_asking = false;
}

void h2_let_go(struct h2 *h2, struct box *box)
{
    struct h2_stream *stream = &box->stream;
    struct box **at = &h2->ready;
    if (h2->head == box)
        h2->head = NULL;
    h2->held -= stream->held;
    h2->unsent -= stream->unsent;
    h2_stop_asking(h2, box);
    stream->held = stream->unsent = 0;
    if (!stream->is_ready)
        return;
    h2->ready_last = NULL;
    while (*at && *at != box) {
        h2->ready_last = *at;
        at = &(*at)->stream.next_ready;
    }
    *at = stream->next_ready;
    while (*at) {
        h2->ready_last = *at;
        at = &(*at)->stream.next_ready;
    }
    stream->is_ready = false;
}

/* A body must bring PROGRESS_BYTES a timeout. */
static void note_progress(struct box *box, size_t bytes)
{
    box->stream.mark += bytes;
    if (box->stream.mark < PROGRESS_BYTES)
        return;
    box->stream.mark = 0;
    box->stream.moved_ms = conn_now_ms(box->x.conn);
}

static void take_streamed(struct h2 *h2, struct box *box, size_t size)
{
    const struct buf *body = &box->message.body;
    box->x.request.body = buf_view(body);
    if (body->len > box->stream.body_bytes_max)
        box->stream.unconsumed += size; /* the handler is behind: no further window */
    else
        nghttp2_session_consume(h2->session, box->stream.id, size);
    if (box->x.receive)
        box->x.receive(&box->x);
}

static void take_body(struct h2 *h2, struct box *box, size_t size)
{
    const struct http_limits *limits = &box->thread->config->limits;
    h2->held += size;
    box->stream.held += size;
    nghttp2_session_consume(h2->session, box->stream.id, size);
    if (box->message.body.len > box->stream.body_bytes_max)
        conn_refuse(box, &body_too_large);
    else if (h2->held / H2_BODIES_HELD_MAX > limits->body_bytes_max && h2->held > box->stream.held)
        h2_reset(box, NGHTTP2_REFUSED_STREAM); /* the others first */
    else
        note_progress(box, size);
}

int h2_on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
               size_t size, void *arg)
{
    struct h2 *h2 = arg;
    struct box *box = nghttp2_session_get_stream_user_data(session, id);
    (void)flags;
    if (!box || box->is_answered) {
        nghttp2_session_consume(session, id, size);
        return 0;
    }
    h2_credit(h2, 1);
    size_t room = box->stream.body_bytes_max + 2 * H2_WINDOW_BYTES;
    if (box->message.body.bytes_max < room)
        box->message.body.bytes_max = room;
    buf_append(&box->message.body, bytes, size);
    if (box->message.body.is_full && box->stream.is_handled)
        h2_reset(box, NGHTTP2_FLOW_CONTROL_ERROR);
    else if (box->message.body.is_full)
        conn_refuse(box, &body_too_large);
    else if (box->stream.is_streamed)
        take_streamed(h2, box, size);
    else
        take_body(h2, box, size);
    return 0;
}

void h2_take(struct box *box, size_t bytes)
{
    struct http_conn *conn = box->x.conn;
    struct buf *body = &box->message.body;
    memmove(body->data, body->data + bytes, body->len - bytes);
    body->len -= bytes;
    box->x.request.body = buf_view(body);
    if (!conn || !box->stream.unconsumed || body->len > box->stream.body_bytes_max)
        return;
    nghttp2_session_consume(conn->h2->session, box->stream.id, box->stream.unconsumed);
    box->stream.unconsumed = 0;
    h2_wake(conn);
}

/* ---- to the handler ---- */

static void handle(struct h2 *h2, struct box *box)
{
    box->x.request.body = buf_view(&box->message.body);
    h2->handled_count++;
    box->stream.is_handled = true;
    conn_handle(box);
}

static bool is_output_full(const struct h2 *h2)
{
    return h2->unsent > h2->conn->thread->config->limits.output_bytes_max;
}

static void wait_for_room(struct h2 *h2, struct box *box)
{
    box->stream.is_ready = true;
    box->stream.next_ready = NULL;
    if (h2->ready)
        h2->ready_last->stream.next_ready = box;
    else
        h2->ready = box;
    h2->ready_last = box;
}

/* Frames are not made meanwhile, so no stream ends. */
void h2_tell_streams(struct h2 *h2)
{
    bool was_feeding = h2->conn->is_feeding;
    h2->conn->is_feeding = true;
    for (struct box *box = h2->streams; box; box = box->stream.next)
        if (box->stream.is_streamed && !box->is_answered && box->x.receive)
            box->x.receive(&box->x);
    h2->conn->is_feeding = was_feeding;
}

/* One may end in there, and with it others: begin anew after each. */
static bool tell_drained(struct h2 *h2)
{
    for (struct box *box = h2->streams; box; box = box->stream.next) {
        if (!box->stream.was_full || box->stream.unsent || box->is_answered)
            continue;
        box->stream.was_full = false;
        if (box->x.receive)
            box->x.receive(&box->x);
        return true;
    }
    return false;
}

void h2_run_ready(struct h2 *h2)
{
    bool has_drained = h2->has_drained, was_feeding = h2->conn->is_feeding;
    h2->has_drained = false;
    h2->conn->is_feeding = true; /* who calls makes the frames */
    while (has_drained && tell_drained(h2)) {
    }
    while (h2->ready && !is_output_full(h2)) {
        struct box *box = h2->ready;
        h2->ready = box->stream.next_ready;
        box->stream.is_ready = false;
        handle(h2, box);
    }
    h2->conn->is_feeding = was_feeding;
}

void h2_end_request(struct h2 *h2, struct box *box)
{
    struct h2_stream *stream = &box->stream;
    stream->is_over = true;
    h2_stop_asking(h2, box);
    h2->held -= stream->held;
    stream->held = 0;
    h2_credit(h2, 4);
    if (box->is_answered)
        return;
    box->x.is_request_over = true;
    if (stream->is_streamed) {
        if (box->x.receive)
            box->x.receive(&box->x);
    } else if (is_output_full(h2)) {
        wait_for_room(h2, box);
    } else {
        handle(h2, box);
    }
}
