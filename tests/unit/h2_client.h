/* h2_client.h - an HTTP/2 client on one blocking socket for tests, by nghttp2's client side. */
#ifndef SLIPWAY_TESTS_UNIT_H2_CLIENT_H
#define SLIPWAY_TESTS_UNIT_H2_CLIENT_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "test.h"

enum { H2_STREAMS_SEEN_MAX = 64, H2_WAIT_MS = 5000 };

/* What came back on one stream. */
struct h2_answer {
    int32_t id;
    int status;
    struct buf head, trailers; /* "name: value\n" */
    struct buf body;
    bool is_ended;
    uint32_t error_code;
    int order; /* the how manyeth to end */
    const char *request_body;
    size_t request_bytes, sent;
    bool is_open; /* the request stays open when its bytes are sent */
};

struct h2_client {
    int fd;
    nghttp2_session *session;
    struct h2_answer answers[H2_STREAMS_SEEN_MAX];
    int answer_count, ended_count;
    bool has_goaway, is_closed;
    uint32_t goaway_code;
    int pong_count;
    const char *why; /* the connection ended */
};

static struct h2_answer *h2_answer_of(struct h2_client *client, int32_t id)
{
    for (int i = 0; i < client->answer_count; i++)
        if (client->answers[i].id == id)
            return &client->answers[i];
    return NULL;
}

static int h2_client_header(nghttp2_session *session, const nghttp2_frame *frame,
                            const uint8_t *name, size_t name_bytes, const uint8_t *value,
                            size_t value_bytes, uint8_t flags, void *arg)
{
    struct h2_answer *answer = h2_answer_of(arg, frame->hd.stream_id);
    (void)session, (void)flags;
    if (!answer)
        return 0;
    struct buf *out = answer->status ? &answer->trailers : &answer->head;
    if (frame->headers.cat == NGHTTP2_HCAT_RESPONSE)
        out = &answer->head;
    buf_append(out, name, name_bytes);
    buf_lit(out, ": ");
    buf_append(out, value, value_bytes);
    buf_char(out, '\n');
    if (name_bytes == 7 && memcmp(name, ":status", 7) == 0)
        answer->status = (int)strtol((const char *)value, NULL, 10);
    return 0;
}

static int h2_client_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
                          size_t size, void *arg)
{
    struct h2_answer *answer = h2_answer_of(arg, id);
    (void)session, (void)flags;
    if (answer)
        buf_append(&answer->body, bytes, size);
    return 0;
}

static int h2_client_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
    struct h2_client *client = arg;
    struct h2_answer *answer = h2_answer_of(client, id);
    (void)session;
    if (!answer)
        return 0;
    answer->is_ended = true;
    answer->error_code = code;
    answer->order = ++client->ended_count;
    return 0;
}

static int h2_client_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct h2_client *client = arg;
    (void)session;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        client->has_goaway = true;
        client->goaway_code = frame->goaway.error_code;
    }
    client->pong_count += frame->hd.type == NGHTTP2_PING && frame->hd.flags & NGHTTP2_FLAG_ACK;
    return 0;
}

static ssize_t h2_client_read(nghttp2_session *session, int32_t id, uint8_t *out, size_t room,
                              uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    struct h2_answer *answer = source->ptr;
    size_t left = answer->request_bytes - answer->sent;
    size_t bytes = left < room ? left : room;
    (void)session, (void)id, (void)arg;
    if (bytes)
        memcpy(out, answer->request_body + answer->sent, bytes);
    answer->sent += bytes;
    if (bytes < left)
        return (ssize_t)bytes;
    if (!answer->is_open)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    else if (bytes == 0)
        return NGHTTP2_ERR_DEFERRED;
    return (ssize_t)bytes;
}

/* `window`: what the server may send on a stream before it is given more. */
static struct h2_client *h2_dial_window(int port, uint32_t window, bool gives_more)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window}};
    struct h2_client *client = calloc(1, sizeof(*client));
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    assert_non_null(client);
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client->fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, h2_client_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, h2_client_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, h2_client_close);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, h2_client_frame);
    nghttp2_option_new(&option);
    nghttp2_option_set_no_auto_window_update(option, !gives_more);
    nghttp2_session_client_new2(&client->session, callbacks, client, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(client->session, NGHTTP2_FLAG_NONE, settings, 1);
    return client;
}

static struct h2_client *h2_dial(int port)
{
    return h2_dial_window(port, 65535, true);
}

static void h2_hang_up(struct h2_client *client)
{
    close(client->fd);
    nghttp2_session_del(client->session);
    for (int i = 0; i < client->answer_count; i++) {
        buf_done(&client->answers[i].head);
        buf_done(&client->answers[i].trailers);
        buf_done(&client->answers[i].body);
    }
    free(client);
}

#define H2_NV(n, v)                                                                                \
    {.name = (uint8_t *)(uintptr_t)(n),                                                            \
     .value = (uint8_t *)(uintptr_t)(v),                                                           \
     .namelen = strlen(n),                                                                         \
     .valuelen = strlen(v)}

/* body NULL: none, and the head ends the request. */
static struct h2_answer *h2_ask(struct h2_client *client, const char *method, const char *path,
                                const char *body, size_t body_bytes, bool is_open)
{
    struct h2_answer *answer = &client->answers[client->answer_count++];
    const nghttp2_nv head[] = {H2_NV(":method", method), H2_NV(":scheme", "http"),
                               H2_NV(":authority", "x"), H2_NV(":path", path)};
    nghttp2_data_provider provider = {.source.ptr = answer, .read_callback = h2_client_read};
    assert_true(client->answer_count <= H2_STREAMS_SEEN_MAX);
    buf_init(&answer->head, 1 << 20);
    buf_init(&answer->trailers, 1 << 20);
    buf_init(&answer->body, 1 << 26);
    answer->request_body = body;
    answer->request_bytes = body_bytes;
    answer->is_open = is_open;
    answer->id = nghttp2_submit_request(client->session, NULL, head, 4,
                                        body || is_open ? &provider : NULL, NULL);
    assert_true(answer->id > 0);
    return answer;
}

/* Send what is there; false: the server has closed. */
static bool h2_send(struct h2_client *client)
{
    const uint8_t *bytes;
    ssize_t n;
    while ((n = nghttp2_session_mem_send(client->session, &bytes)) > 0)
        if (send(client->fd, bytes, (size_t)n, MSG_NOSIGNAL) != n)
            return false;
    return true;
}

/* One read, or the wait is over; false: nothing more will come. */
static bool h2_step(struct h2_client *client, int wait_ms)
{
    static char bytes[65536];
    struct pollfd wait = {.fd = client->fd, .events = POLLIN};
    h2_send(client);
    if (poll(&wait, 1, wait_ms) <= 0)
        return false;
    ssize_t n = recv(client->fd, bytes, sizeof(bytes), 0);
    ssize_t rc =
        n <= 0 ? n : nghttp2_session_mem_recv(client->session, (uint8_t *)bytes, (size_t)n);
    if (rc <= 0) {
        client->is_closed = true;
        client->why = n > 0 ? nghttp2_strerror((int)rc) : n < 0 ? strerror(errno) : "closed";
        return false;
    }
    return h2_send(client);
}

static void h2_wait_for(struct h2_client *client, const struct h2_answer *answer)
{
    while (!answer->is_ended && h2_step(client, H2_WAIT_MS)) {
    }
    if (!answer->is_ended)
        fail_msg("stream %d has not ended (goaway %d, code %u)", (int)answer->id,
                 client->has_goaway, client->goaway_code);
}

static void h2_wait_for_end(struct h2_client *client)
{
    while (h2_step(client, H2_WAIT_MS)) {
    }
}

#endif
