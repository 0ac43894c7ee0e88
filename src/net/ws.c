/* ws.c - frames of WebSocket to messages, and back.
 *
 *      0               1               2               3
 *     +-+-+-+-+-------+-+-------------+-------------------------------+
 *     |F|R|R|R| opcode|M| length 7    | 16 or 64 bits of length ...   |
 *     +-+-+-+-+-------+-+-------------+-------------------------------+
 *     | mask (clients must) ...       | payload ...                   |
 *
 * Compression is not agreed on, binary messages are not taken, and a message may come in as many
 * pieces as a chunked body.
 */
#include "net/ws.h"

#include <endian.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "net/conn.h"

#define WS_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

enum opcode { WS_MORE = 0, WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };

/* Why a connection is closed (RFC 6455, 7.4.1). */
enum close_code {
    CLOSE_NORMAL = 1000,
    CLOSE_GOING_AWAY = 1001,
    CLOSE_PROTOCOL = 1002,
    CLOSE_UNSUPPORTED = 1003,
    CLOSE_NOT_UTF8 = 1007,
    CLOSE_POLICY = 1008,
    CLOSE_TOO_LARGE = 1009,
    CLOSE_INTERNAL = 1011,
};

struct ws {
    struct http_conn *conn;
    struct box *box; /* the stream; NULL: it is over */
    unsigned char head[WS_HEAD_BYTES_MAX];
    size_t head_bytes;
    bool is_in_frame; /* its head is complete */
    uint8_t opcode;
    bool is_final;
    uint64_t left; /* of its payload */
    unsigned char mask[4];
    size_t mask_at;
    char control[WS_CONTROL_BYTES_MAX];
    size_t control_bytes;
    bool is_in_message; /* a first piece has come, its last has not */
    bool has_message;   /* the handler has not used it yet */
    int piece_count, control_count;
    bool is_ping_unanswered; /* ours */
};

/* ---- sending ---- */

static void put_frame(struct http_conn *conn, enum opcode opcode, struct str payload)
{
    unsigned char head[10] = {(unsigned char)(0x80 | opcode)};
    size_t size = 2;
    if (payload.len < 126) {
        head[1] = (unsigned char)payload.len;
    } else if (payload.len <= UINT16_MAX) {
        uint16_t length = htobe16((uint16_t)payload.len);
        head[1] = 126;
        memcpy(head + 2, &length, sizeof(length));
        size += sizeof(length);
    } else {
        uint64_t length = htobe64(payload.len);
        head[1] = 127;
        memcpy(head + 2, &length, sizeof(length));
        size += sizeof(length);
    }
    conn_put(conn, head, size);
    if (payload.len)
        conn_put(conn, payload.ptr, payload.len);
}

static void put_close(struct http_conn *conn, enum close_code code, const char *reason)
{
    char payload[WS_CONTROL_BYTES_MAX];
    uint16_t number = htobe16((uint16_t)code);
    size_t length = strlen(reason);
    if (length > sizeof(payload) - sizeof(number))
        length = sizeof(payload) - sizeof(number);
    memcpy(payload, &number, sizeof(number));
    memcpy(payload + sizeof(number), reason, length);
    put_frame(conn, WS_CLOSE, (struct str){payload, sizeof(number) + length});
    conn->is_last = true;
    conn->is_cut_short = true;
}

/* The client broke the protocol or a limit: say which, and end the stream. */
static void fail(struct ws *ws, enum close_code code, const char *reason)
{
    struct box *box = ws->box;
    counter_add(&ws->conn->thread->stats.parse_errors, 1);
    put_close(ws->conn, code, reason);
    ws->box = NULL;
    if (box)
        conn_orphan(box);
}

static void flush_later(struct http_conn *conn)
{
    if (!conn->is_feeding)
        conn_flush_soon(conn);
}

void ws_send(struct box *box)
{
    struct http_conn *conn = box->x.conn;
    struct buf *body = &box->x.response.body;
    if (body->len)
        put_frame(conn, WS_TEXT, buf_view(body));
    buf_clear(body);
    conn->touched_ms = conn_now_ms(conn);
    flush_later(conn);
}

static enum close_code code_of(int status)
{
    switch (status) {
    case 200:
        return CLOSE_NORMAL;
    case 413:
        return CLOSE_TOO_LARGE;
    case 503:
        return CLOSE_GOING_AWAY;
    default:
        return status >= 500 ? CLOSE_INTERNAL : CLOSE_POLICY;
    }
}

void ws_reply(struct box *box)
{
    struct http_conn *conn = box->x.conn;
    int status = box->x.response.status;
    if (status == 200)
        ws_send(box);
    put_close(conn, code_of(status), status == 200 ? "" : http_status_text(status));
    counter_add(&conn->thread->stats.requests, 1);
    conn->ws->box = NULL;
    conn->ws->has_message = false;
    give_box(box);
    flush_later(conn);
}

/* ---- the upgrade ---- */

static bool has_token(struct str list, const char *token)
{
    struct str part;
    while (list.len && str_split(&list, ',', &part))
        if (str_equal_nocase(str_trim(part), str_of(token)))
            return true;
    return false;
}

static enum err_code check_upgrade(const struct http_exchange *x, struct err *err)
{
    const struct http_request *request = &x->request;
    struct str upgrade = http_find_header(request, "Upgrade");
    struct str version = http_find_header(request, "Sec-WebSocket-Version");
    struct str key = http_find_header(request, "Sec-WebSocket-Key");
    if (x->peer->is_http2 || !has_token(upgrade, "websocket") ||
        !has_token(http_find_header(request, "Connection"), "upgrade")) {
        err_set(err, ERR_UNSUPPORTED, "this path is a WebSocket, or takes POST");
        return err_hint(err, "ask for an upgrade to 'websocket' over HTTP/1.1");
    }
    if (!str_equal(version, STR_LIT("13")))
        return err_set(err, ERR_UNSUPPORTED, "Sec-WebSocket-Version must be 13, got '%.*s'",
                       STR_ARG(version));
    if (key.len != WS_KEY_BYTES)
        return err_set(err, ERR_INVALID, "Sec-WebSocket-Key must be 16 bytes as base64");
    return ERR_OK;
}

/* Proof that the key was read as one of WebSocket: base64(SHA-1(key + GUID)). */
static void put_accept(struct http_conn *conn, struct str key)
{
    char text[WS_KEY_BYTES + sizeof(WS_GUID)];
    unsigned char digest[EVP_MAX_MD_SIZE];
    char base64[2 * EVP_MAX_MD_SIZE];
    unsigned digest_bytes = 0;
    memcpy(text, key.ptr, key.len);
    memcpy(text + key.len, WS_GUID, sizeof(WS_GUID));
    EVP_Digest(text, key.len + sizeof(WS_GUID) - 1, digest, &digest_bytes, EVP_sha1(), NULL);
    int length = EVP_EncodeBlock((unsigned char *)base64, digest, (int)digest_bytes);
    static const char head[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                               "Connection: Upgrade\r\nSec-WebSocket-Accept: ";
    conn_put(conn, head, sizeof(head) - 1);
    conn_put(conn, base64, (size_t)length);
    conn_put(conn, "\r\n\r\n", 4);
}

/* The stream outlives the bytes in which its head came. */
static bool keep_head(struct http_exchange *x)
{
    struct http_request *request = &x->request;
    const char *from = request->target.ptr, *end = from + request->target.len;
    for (int i = 0; i < request->header_count; i++) {
        const struct str value = request->headers[i].value;
        if (value.ptr + value.len > end)
            end = value.ptr + value.len;
    }
    char *copy = arena_copy(x->arena, from, (size_t)(end - from));
    if (copy)
        http_request_move(request, from, copy);
    return copy != NULL;
}

enum err_code http_upgrade(struct http_exchange *x, struct err *err)
{
    struct box *box = CONTAINER_OF(x, struct box, x);
    struct http_conn *conn = x->conn;
    enum err_code rc = check_upgrade(x, err);
    if (rc)
        return rc;
    if (!keep_head(x))
        return err_set(err, ERR_LIMIT, "the request does not fit its memory");
    struct ws *ws = calloc(1, sizeof(*ws));
    if (!ws)
        abort();
    ws->conn = conn;
    ws->box = box;
    conn->ws = ws;
    conn->touched_ms = conn_now_ms(conn);
    box->is_in_feed = false;
    box->message.body.bytes_max = conn->thread->config->limits.body_bytes_max;
    buf_clear(&box->message.body);
    x->request.body = (struct str){0};
    put_accept(conn, http_find_header(&x->request, "Sec-WebSocket-Key"));
    return ERR_OK;
}

void ws_free(struct ws *ws)
{
    free(ws);
}

/* ---- frames ---- */

static size_t head_size(const struct ws *ws)
{
    if (ws->head_bytes < 2)
        return 2;
    unsigned length = ws->head[1] & 0x7f;
    return 2 + (length == 126 ? 2 : length == 127 ? 8 : 0) + sizeof(ws->mask);
}

static uint64_t payload_size(const struct ws *ws)
{
    uint16_t two;
    uint64_t eight;
    memcpy(&two, ws->head + 2, sizeof(two));
    memcpy(&eight, ws->head + 2, sizeof(eight));
    unsigned length = ws->head[1] & 0x7f;
    return length == 126 ? be16toh(two) : length == 127 ? be64toh(eight) : length;
}

static bool is_control(const struct ws *ws)
{
    return ws->opcode >= WS_CLOSE;
}

/* A piece of a message; false: it may not come now, or is too much. */
static bool begin_piece(struct ws *ws)
{
    const struct http_limits *limits = &ws->conn->thread->config->limits;
    const struct buf *body = &ws->box->message.body;
    if ((ws->opcode == WS_MORE) != ws->is_in_message) {
        fail(ws, CLOSE_PROTOCOL, "a message begins inside another, or goes on without one");
        return false;
    }
    if (ws->left > limits->body_bytes_max - body->len) {
        fail(ws, CLOSE_TOO_LARGE, "the message is larger than this server takes");
        return false;
    }
    if (++ws->piece_count > limits->chunks_max) {
        fail(ws, CLOSE_POLICY, "the message comes in too many pieces");
        return false;
    }
    ws->is_in_message = true;
    return true;
}

/* The head is complete: may such a frame come? */
static bool begin_frame(struct ws *ws)
{
    ws->opcode = ws->head[0] & 0x0f;
    ws->is_final = ws->head[0] & 0x80;
    ws->left = payload_size(ws);
    ws->mask_at = 0;
    ws->control_bytes = 0;
    memcpy(ws->mask, ws->head + head_size(ws) - sizeof(ws->mask), sizeof(ws->mask));
    bool is_known = ws->opcode <= WS_BINARY || (is_control(ws) && ws->opcode <= WS_PONG);
    if (ws->head[0] & 0x70 || !is_known || !(ws->head[1] & 0x80)) {
        fail(ws, CLOSE_PROTOCOL, "a frame has unknown bits, an unknown opcode or no mask");
        return false;
    }
    if (is_control(ws) && (ws->left > WS_CONTROL_BYTES_MAX || !ws->is_final)) {
        fail(ws, CLOSE_PROTOCOL, "a control frame is in pieces or longer than 125 bytes");
        return false;
    }
    if (is_control(ws) && ++ws->control_count > WS_CONTROLS_MAX) {
        fail(ws, CLOSE_POLICY, "too many control frames without a message");
        return false;
    }
    if (ws->opcode == WS_BINARY) {
        fail(ws, CLOSE_UNSUPPORTED, "messages are text");
        return false;
    }
    return is_control(ws) || begin_piece(ws);
}

static void unmask(struct ws *ws, const char *bytes, size_t size)
{
    char *out = ws->control + ws->control_bytes;
    if (is_control(ws)) {
        ws->control_bytes += size;
    } else {
        struct buf *body = &ws->box->message.body;
        if (!buf_reserve(body, size))
            return; /* begin_piece has seen to it */
        out = body->data + body->len;
        body->len += size;
    }
    for (size_t i = 0; i < size; i++)
        out[i] = (char)(bytes[i] ^ ws->mask[(ws->mask_at + i) & 3]);
    ws->mask_at += size;
    ws->left -= size;
}

static void end_message(struct ws *ws)
{
    struct http_exchange *x = &ws->box->x;
    struct str text = buf_view(&ws->box->message.body);
    ws->is_in_message = false;
    ws->piece_count = ws->control_count = 0;
    if (!str_is_utf8(text)) {
        fail(ws, CLOSE_NOT_UTF8, "the message is not UTF-8");
        return;
    }
    if (text.len == 0)
        return; /* says nothing, so there is nothing to answer */
    ws->has_message = true;
    ws->conn->touched_ms = conn_now_ms(ws->conn);
    x->request.body = text;
    if (x->receive)
        x->receive(x);
}

static void end_control(struct ws *ws)
{
    struct http_exchange *x = &ws->box->x;
    if (ws->opcode == WS_PING) {
        put_frame(ws->conn, WS_PONG, (struct str){ws->control, ws->control_bytes});
    } else if (ws->opcode == WS_PONG) {
        ws->is_ping_unanswered = false;
    } else if (ws->control_bytes == 1) {
        fail(ws, CLOSE_PROTOCOL, "half a reason to close");
    } else {
        x->is_request_over = true;
        if (x->receive)
            x->receive(x);
    }
}

static void end_frame(struct ws *ws)
{
    ws->is_in_frame = false;
    ws->head_bytes = 0;
    if (is_control(ws))
        end_control(ws);
    else if (ws->is_final)
        end_message(ws);
}

/* Bytes of the head; false when it needs more, or must not be. */
static bool take_head(struct ws *ws, const char **bytes, size_t *size)
{
    while (*size && ws->head_bytes < head_size(ws)) {
        ws->head[ws->head_bytes++] = (unsigned char)*(*bytes)++;
        (*size)--;
    }
    if (ws->head_bytes < head_size(ws))
        return false;
    ws->is_in_frame = begin_frame(ws);
    return ws->is_in_frame;
}

size_t ws_feed(struct http_conn *conn, const char *bytes, size_t size)
{
    struct ws *ws = conn->ws;
    size_t all = size;
    int left = conn->thread->config->limits.pipeline_max;
    while (ws->box && !ws->has_message && left > 0) {
        if (!ws->is_in_frame && !take_head(ws, &bytes, &size))
            break;
        size_t n = ws->left < size ? (size_t)ws->left : size;
        unmask(ws, bytes, n);
        bytes += n;
        size -= n;
        if (ws->left)
            break;
        left -= !is_control(ws);
        end_frame(ws);
    }
    return ws->box ? all - size : all;
}

/* ---- between messages ---- */

bool ws_is_busy(const struct http_conn *conn)
{
    return conn->ws && conn->ws->has_message;
}

void ws_take(struct box *box)
{
    struct http_conn *conn = box->x.conn;
    buf_clear(&box->message.body);
    box->x.request.body = (struct str){0};
    if (!conn)
        return;
    conn->ws->has_message = false;
    conn_go_on_soon(conn);
}

void ws_settle(struct http_conn *conn)
{
    const struct ws *ws = conn->ws;
    if (conn->is_closing || conn->is_writing || conn->phase == PHASE_LINGER)
        return;
    bool is_partial = ws->box && !ws->has_message && (ws->head_bytes || ws->is_in_message);
    size_t body_bytes = ws->box ? ws->box->message.body.len : 0;
    if (!is_partial) {
        conn_enter(conn, PHASE_IDLE);
    } else if (conn->phase != PHASE_BODY || body_bytes - conn->mark >= PROGRESS_BYTES) {
        conn->mark = body_bytes;
        conn_enter(conn, PHASE_BODY);
    }
}

bool ws_check_late(struct http_conn *conn)
{
    struct ws *ws = conn->ws;
    if (conn->phase != PHASE_IDLE || !ws->box)
        return false;
    if (ws->has_message)
        return true; /* its model has a deadline of its own */
    if (ws->is_ping_unanswered)
        return false;
    ws->is_ping_unanswered = true;
    put_frame(conn, WS_PING, (struct str){0});
    conn_flush_soon(conn);
    return true;
}

void ws_tell(struct http_conn *conn)
{
    struct box *box = conn->ws->box;
    if (box && box->x.receive)
        box->x.receive(&box->x);
}

void ws_end(struct http_conn *conn)
{
    struct box *box = conn->ws->box;
    conn->ws->box = NULL;
    if (box)
        conn_orphan(box);
}
