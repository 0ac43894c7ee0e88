/* fuzz_ws.c - any bytes as frames of a WebSocket: the same answers come out whole and in pieces,
 * and nothing is left at the end. The first byte chooses how large pieces are. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "net/conn.h"

enum { INPUT_BYTES_MAX = 1 << 14 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void receive(struct http_exchange *x)
{
    assert(str_is_utf8(x->request.body));
    if (x->request.body.len) {
        buf_str(&x->response.body, x->request.body);
        http_take(x, x->request.body.len);
        http_send(x);
    }
    if (x->is_request_over)
        http_reply(x);
}

static void forget(struct http_exchange *x)
{
    http_reply(x);
}

static const struct http_server_config config = {
    .thread_count = 1,
    .limits = {.head_bytes_max = 2048,
               .body_bytes_max = 300,
               .inflated_bytes_max = 1 << 16,
               .chunks_max = 20,
               .pipeline_max = 100,
               .output_bytes_max = 1 << 20,
               .memory_bytes_max = 1 << 20,
               .compress_bytes_min = 1 << 20},
};

static struct http_thread *one_thread(void)
{
    static struct http_thread thread;
    if (!thread.loop) {
        thread.config = &config;
        thread.loop = loop_new("fuzz");
        http_thread_init(&thread);
    }
    return &thread;
}

/* All texts of a head are in one piece, as they come. */
static struct str put(char *head, size_t *at, const char *text)
{
    struct str placed = {head + *at, strlen(text)};
    memcpy(head + *at, text, placed.len);
    *at += placed.len;
    return placed;
}

static void upgrade(struct http_conn *conn)
{
    static const struct {
        const char *name, *value;
    } headers[] = {{"Upgrade", "websocket"},
                   {"Connection", "Upgrade"},
                   {"Sec-WebSocket-Version", "13"},
                   {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}};
    static char head[256];
    struct box *box = take_box(conn);
    struct http_request *request = &box->x.request;
    struct err err = {0};
    size_t at = 1;
    head[0] = '/';
    request->target = request->path = (struct str){head, 1};
    request->header_count = ARRAY_LEN(headers);
    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        struct http_header *header = &request->headers[i];
        *header =
            (struct http_header){put(head, &at, headers[i].name), put(head, &at, headers[i].value)};
    }
    box->x.receive = receive;
    box->x.cancel = forget;
    enum err_code rc = http_upgrade(&box->x, &err);
    assert(!rc);
}

static void run(const char *bytes, size_t size, size_t most, struct buf *out)
{
    struct http_thread *thread = one_thread();
    struct http_conn *conn = calloc(1, sizeof(*conn));
    assert(conn);
    conn->thread = thread;
    conn->is_feeding = true; /* no socket: what would be sent is looked at here */
    buf_init(&conn->out, SIZE_MAX / 2);
    upgrade(conn);
    for (size_t at = 0; at < size && !conn->is_last;) {
        size_t step = size - at < most ? size - at : most;
        char *piece = malloc(step);
        assert(piece);
        memcpy(piece, bytes + at, step);
        size_t taken = ws_feed(conn, piece, step);
        assert(taken <= step && (taken > 0 || conn->is_last));
        at += taken;
        free(piece);
    }
    ws_end(conn);
    assert(conn->kept_count == 0 && thread->box_count == 0);
    ws_free(conn->ws);
    *out = conn->out;
    free(conn);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole, pieces;
    if (size < 2 || size > INPUT_BYTES_MAX)
        return 0;
    run((const char *)data + 1, size - 1, size, &whole);
    run((const char *)data + 1, size - 1, 1 + data[0] % 16, &pieces);
    assert(str_equal(buf_view(&whole), buf_view(&pieces)));
    buf_done(&whole);
    buf_done(&pieces);
    return 0;
}
