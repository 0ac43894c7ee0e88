/* reply.c - a reply as HTTP/1.1 writes it, and what every HTTP says of one: date and compression.
 */
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "net/conn.h"

static void update_date(struct http_thread *thread, uint64_t now)
{
    time_t seconds = (time_t)(clock_wall_us() / CLOCK_SECOND_US);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    thread->date_second = now / 1000;
    thread->date_bytes =
        strftime(thread->date, sizeof(thread->date), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &parts);
}

struct str reply_date(struct http_thread *thread)
{
    uint64_t now = uv_now(loop_uv(thread->loop));
    if (now / 1000 != thread->date_second || !thread->date_bytes)
        update_date(thread, now);
    return (struct str){thread->date, thread->date_bytes};
}

/* Compressed when the client asked for it and it pays. gRPC packs its messages itself. */
static enum http_coding pack(const struct box *box, struct buf *packed)
{
    const struct http_response *response = &box->x.response;
    struct str accept = box->message.request->known.accept_encoding;
    struct str type = box->message.request->known.content_type;
    if (!accept.ptr || str_starts_with(type, STR_LIT("application/grpc")) ||
        response->body.len < box->thread->config->limits.compress_bytes_min)
        return HTTP_CODING_IDENTITY;
    enum http_coding coding = http_choose_coding(accept);
    if (coding == HTTP_CODING_IDENTITY || http_find_header(&box->x.request, "Range").ptr)
        return HTTP_CODING_IDENTITY;
    buf_init(packed, response->body.len);
    return http_deflate(coding, buf_view(&response->body), packed) ? coding : HTTP_CODING_IDENTITY;
}

/* The body is packed already: it moves. */
static void take_body(struct box *box, struct buf *packed)
{
    struct buf body = box->x.response.body;
    buf_init(&box->x.response.body, body.bytes_max);
    *packed = body;
}

void http_pack(struct http_exchange *x)
{
    struct box *box = CONTAINER_OF(x, struct box, x);
    struct buf packed = {0};
    if (x->self != x)
        return;
    box->is_packed = true;
    box->packed = pack(box, &packed);
    if (box->packed == HTTP_CODING_IDENTITY) {
        buf_done(&packed);
        return;
    }
    packed.bytes_max = x->response.body.bytes_max;
    buf_done(&x->response.body);
    x->response.body = packed;
}

enum http_coding reply_pack(struct box *box, struct buf *packed)
{
    if (!box->is_packed)
        return pack(box, packed);
    if (box->packed != HTTP_CODING_IDENTITY)
        take_body(box, packed);
    return box->packed;
}

bool reply_has_body(const struct box *box)
{
    int status = box->x.response.status;
    return box->x.request.method != HTTP_METHOD_HEAD && status != 204 && status != 304;
}

static void put_status_line(struct buf *head, int status)
{
    if (status == 200) {
        buf_lit(head, "HTTP/1.1 200 OK\r\n");
        return;
    }
    buf_lit(head, "HTTP/1.1 ");
    buf_i64(head, status);
    buf_char(head, ' ');
    buf_text(head, http_status_text(status));
    buf_lit(head, "\r\n");
}

static void put_head(struct http_conn *conn, struct buf *head, const struct http_response *response,
                     size_t body_bytes, enum http_coding coding)
{
    put_status_line(head, response->status);
    buf_str(head, reply_date(conn->thread));
    if (response->content_type) {
        buf_lit(head, "Content-Type: ");
        buf_text(head, response->content_type);
        buf_lit(head, "\r\n");
    }
    if (response->status != 204 && response->status != 304) {
        buf_lit(head, "Content-Length: ");
        buf_u64(head, body_bytes);
        buf_lit(head, "\r\n");
    }
    if (coding == HTTP_CODING_GZIP)
        buf_lit(head, "Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n");
    else if (coding == HTTP_CODING_DEFLATE)
        buf_lit(head, "Content-Encoding: deflate\r\nVary: Accept-Encoding\r\n");
    buf_append(head, response->headers.data, response->headers.len);
    if (conn->is_last)
        buf_lit(head, "Connection: close\r\n");
    buf_lit(head, "\r\n");
}

void reply_put(struct http_conn *conn, struct box *box)
{
    const struct http_response *response = &box->x.response;
    struct buf packed = {0}, head;
    enum http_coding coding = reply_pack(box, &packed);
    const struct buf *body = coding == HTTP_CODING_IDENTITY ? &response->body : &packed;
    if (conn->tls) {
        buf_init(&head, 2 * HEADER_BYTES_MAX);
        put_head(conn, &head, response, body->len, coding);
        conn_put(conn, head.data, head.len);
        buf_done(&head);
    } else {
        put_head(conn, &conn->out, response, body->len, coding);
    }
    if (reply_has_body(box) && body->len)
        conn_put(conn, body->data, body->len);
    buf_done(&packed);
}
