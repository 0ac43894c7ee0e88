/* fuzz_h2.c - any bytes, and any frames, into an HTTP/2 connection (HPACK included) whose server
 * answers some requests at once, some later, and streams some. Nothing may be left at its end.
 *
 * The first byte chooses: even, the rest are bytes as they are; odd, the rest are frames, each of
 * type, flags, stream and size (a byte each) and as many bytes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "net/conn.h"
#include "net/h2_session.h"

enum { INPUT_BYTES_MAX = 1 << 16, LATER_MAX = 64, FRAME_HEAD_BYTES = 9 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct http_exchange *later[LATER_MAX];
static int later_count;

static void admit(struct http_exchange *x, struct http_admission *admission)
{
    assert(x->request.target.len > 0 && x->request.known.host.ptr);
    admission->is_streamed = x->request.method == HTTP_METHOD_PUT;
    admission->is_refused = x->request.method == HTTP_METHOD_DELETE;
}

static void receive(struct http_exchange *x)
{
    size_t half = (x->request.body.len + 1) / 2;
    buf_append(&x->response.body, x->request.body.ptr, half);
    http_take(x, half);
    if (!x->is_request_over) {
        http_send(x);
        return;
    }
    buf_lit(&x->response.trailers, "sum: 1\r\n");
    http_reply(x);
}

static void forget(struct http_exchange *x)
{
    http_reply(x);
}

static void handle(struct http_exchange *x)
{
    if (x->request.method == HTTP_METHOD_PUT) {
        x->receive = receive;
        x->cancel = forget;
        return;
    }
    buf_str(&x->response.body, x->request.path);
    buf_str(&x->response.body, x->request.body);
    if (x->request.method == HTTP_METHOD_POST && later_count < LATER_MAX)
        later[later_count++] = x;
    else
        http_reply(x);
}

static void answer_later(void)
{
    while (later_count > 0)
        http_reply(later[--later_count]);
}

static void refuse(const struct http_refusal *refusal, const struct http_request *request,
                   struct http_response *response)
{
    (void)request;
    response->status = refusal->status;
    buf_text(&response->body, refusal->message);
}

static const struct http_server_config config = {
    .thread_count = 1,
    .limits = {.head_bytes_max = 2048,
               .body_bytes_max = 4096,
               .inflated_bytes_max = 1 << 16,
               .streams_max = 8,
               .pipeline_max = 100,
               .output_bytes_max = 8192,
               .memory_bytes_max = 1 << 20,
               .compress_bytes_min = 1024},
    .admit = admit,
    .handle = handle,
    .refuse = refuse,
};

static struct http_thread *fresh_thread(void)
{
    static struct http_thread thread;
    if (!thread.loop) {
        thread.config = &config;
        thread.loop = loop_new("fuzz");
        http_thread_init(&thread);
    }
    return &thread;
}

static void feed(struct http_conn *conn, const char *bytes, size_t size)
{
    while (size && !conn->is_last) {
        size_t taken = h2_feed(conn, bytes, size);
        bytes += taken;
        size -= taken;
        h2_pull(conn);
        assert(conn->out.len <= 2 * H2_OUT_BYTES);
        buf_clear(&conn->out);
    }
}

static void feed_frames(struct http_conn *conn, const uint8_t *data, size_t size)
{
    char frame[FRAME_HEAD_BYTES + 256];
    while (size >= 4 && !conn->is_last) {
        size_t bytes = data[3] < size - 4 ? data[3] : size - 4;
        const char head[FRAME_HEAD_BYTES] = {0, 0, (char)bytes, (char)data[0], (char)data[1],
                                             0, 0, 0,           (char)data[2]};
        memcpy(frame, head, sizeof(head));
        memcpy(frame + sizeof(head), data + 4, bytes);
        feed(conn, frame, sizeof(head) + bytes);
        data += 4 + bytes;
        size -= 4 + bytes;
        if (size % 7 == 0)
            answer_later();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char hello[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";
    struct http_thread *thread = fresh_thread();
    if (size < 2 || size > INPUT_BYTES_MAX)
        return 0;
    struct http_conn *conn = calloc(1, sizeof(*conn));
    assert(conn);
    conn->thread = thread;
    conn->is_feeding = true; /* no socket: what would be sent is looked at here */
    buf_init(&conn->out, SIZE_MAX / 2);
    h2_start(conn);
    feed(conn, hello, sizeof(hello));
    if (data[0] % 2)
        feed_frames(conn, data + 1, size - 1);
    else
        feed(conn, (const char *)data + 1, size - 1);
    h2_end(conn);
    answer_later();
    assert(conn->kept_count == 0 && thread->box_count == 0);
    assert(conn->h2->held == 0 && conn->h2->unsent == 0 && conn->h2->asking_count == 0);
    assert(conn->h2->stream_count == 0 && !conn->h2->streams && !conn->h2->ready);
    h2_free(conn->h2);
    buf_done(&conn->out);
    free(conn);
    return 0;
}
