/* test_h2.c - a real server on loopback spoken to in HTTP/2: streams, limits, floods, the end. */
#include <pthread.h>
#include <stdio.h>

#include "base/check.h"
#include "h2_client.h"
#include "net/http_server.h"

enum { BIG_BYTES = 512 * 1024, BODY_BYTES_MAX = 1 << 20 };

/* ---- the server under test ---- */

struct later {
    struct loop_message message;
    struct http_exchange *x;
    struct loop *loop;
};

static _Atomic int later_count, cancel_count;
static _Atomic bool may_answer;

static void reply_now(struct loop_message *message)
{
    struct later *later = CONTAINER_OF(message, struct later, message);
    buf_lit(&later->x->response.body, "late");
    http_reply(later->x);
    free(later);
    later_count--;
}

static void *wait_and_post(void *arg)
{
    struct later *later = arg;
    while (!may_answer)
        usleep(1000);
    later->message.fn = reply_now;
    loop_post(later->loop, &later->message);
    return NULL;
}

static void cancel(struct http_exchange *x)
{
    (void)x;
    cancel_count++;
}

static void answer_later(struct http_exchange *x)
{
    struct later *later = calloc(1, sizeof(*later));
    pthread_t thread;
    later->x = x;
    later->loop = x->thread;
    x->cancel = cancel;
    later_count++;
    pthread_create(&thread, NULL, wait_and_post, later);
    pthread_detach(thread);
}

static void *thread_new(void *context, int index, struct loop *loop)
{
    (void)context, (void)index;
    return loop;
}

static void admit(struct http_exchange *x, struct http_admission *admission)
{
    if (str_equal(x->request.path, STR_LIT("/denied"))) {
        x->response.status = 403;
        buf_lit(&x->response.body, "denied");
        admission->is_refused = true;
    }
    if (str_equal(x->request.path, STR_LIT("/small")))
        admission->body_bytes_max = 10;
    admission->is_streamed = str_equal(x->request.path, STR_LIT("/echo"));
}

/* Each piece goes back as it comes, in brackets. */
static void echo(struct http_exchange *x)
{
    if (x->request.body.len) {
        buf_char(&x->response.body, '[');
        buf_str(&x->response.body, x->request.body);
        buf_char(&x->response.body, ']');
        http_take(x, x->request.body.len);
        http_send(x);
    }
    if (x->is_request_over) {
        buf_lit(&x->response.trailers, "X-Sum: all\r\n");
        http_reply(x);
    }
}

static void hang_up(struct http_exchange *x)
{
    cancel_count++;
    http_reply(x);
}

static _Atomic int smuggled_count; /* heads that came here and would be two, or others, in HTTP/1 */

static bool is_smuggled(const struct http_header *header)
{
    static const char *const ours[] = {"transfer-encoding", "connection", "upgrade"};
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        if (str_equal_nocase(header->name, str_of(ours[i])))
            return true;
    return header->name.len == 0 || memchr(header->name.ptr, ':', header->name.len) ||
           memchr(header->name.ptr, '\n', header->name.len) ||
           (header->value.len && memchr(header->value.ptr, '\n', header->value.len));
}

static void handle(struct http_exchange *x)
{
    struct buf *body = &x->response.body;
    for (int i = 0; i < x->request.header_count; i++)
        smuggled_count += is_smuggled(&x->request.headers[i]);
    x->response.content_type = "text/plain";
    if (str_equal(x->request.path, STR_LIT("/later"))) {
        answer_later(x);
        return;
    }
    if (str_equal(x->request.path, STR_LIT("/echo"))) {
        x->receive = echo;
        x->cancel = hang_up;
        return;
    }
    if (str_equal(x->request.path, STR_LIT("/error")))
        buf_lit(&x->response.trailers, "X-Sum: none\r\n");
    else if (str_equal(x->request.path, STR_LIT("/big")))
        for (int i = 0; i < BIG_BYTES; i++)
            buf_char(body, (char)('a' + i % 26));
    else
        buf_printf(body, "%s %.*s?%.*s@%.*s %zu", http_method_name(x->request.method),
                   STR_ARG(x->request.path), STR_ARG(x->request.query),
                   STR_ARG(http_find_header(&x->request, "Host")), x->request.body.len);
    http_reply(x);
}

static void refuse(const struct http_refusal *refusal, const struct http_request *request,
                   struct http_response *response)
{
    (void)request;
    response->status = refusal->status;
    buf_text(&response->body, refusal->message);
}

static struct http_server *server;
static int port;

static int start(void **state)
{
    static const char *const listen[] = {"127.0.0.1:0"};
    struct err err = {0};
    (void)state;
    struct http_server_config config = {
        .listen = listen,
        .listen_count = 1,
        .thread_count = 1,
        .limits = {.head_bytes_max = 4096,
                   .body_bytes_max = BODY_BYTES_MAX,
                   .inflated_bytes_max = 1 << 20,
                   .chunks_max = 100,
                   .connections_max = 20,
                   .streams_max = 16,
                   .pipeline_max = 4,
                   .output_bytes_max = BIG_BYTES,
                   .memory_bytes_max = 8 << 20,
                   .compress_bytes_min = 1 << 20,
                   .head_timeout_ms = 300,
                   .body_timeout_ms = 300,
                   .idle_timeout_ms = 60000,
                   .write_timeout_ms = 300,
                   .tls_timeout_ms = 300},
        .thread_new = thread_new,
        .admit = admit,
        .handle = handle,
        .refuse = refuse,
    };
    may_answer = false;
    cancel_count = 0;
    if (http_server_start(&config, &server, &err))
        fail_msg("%s", err.msg);
    port = http_server_port(server);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    may_answer = true;
    http_server_stop(server, 2000);
    assert_int_equal(later_count, 0);
    return 0;
}

static void expect_body(const struct h2_answer *answer, const char *body)
{
    if (!str_equal_c(buf_view(&answer->body), body))
        fail_msg("expected '%s', got '%.*s'", body, STR_ARG(buf_view(&answer->body)));
}

/* The server still answers others. */
static void expect_alive(void)
{
    struct h2_client *client = h2_dial(port);
    struct h2_answer *answer = h2_ask(client, "GET", "/alive", NULL, 0, false);
    h2_wait_for(client, answer);
    assert_int_equal(answer->status, 200);
    h2_hang_up(client);
}

/* ---- streams ---- */

static void a_request_is_answered(void **state)
{
    struct h2_client *client = h2_dial(port);
    struct h2_answer *get = h2_ask(client, "GET", "/a?b=c", NULL, 0, false);
    struct h2_answer *post = h2_ask(client, "POST", "/d", "hello", 5, false);
    struct h2_answer *head = h2_ask(client, "HEAD", "/e", NULL, 0, false);
    (void)state;
    h2_wait_for(client, head);
    h2_wait_for(client, post);
    assert_int_equal(get->status, 200);
    expect_body(get, "GET /a?b=c@x 0");
    expect_body(post, "POST /d?@x 5");
    expect_body(head, "");
    assert_non_null(strstr(buf_c(&get->head), "content-length: 14\n"));
    assert_non_null(strstr(buf_c(&head->head), "content-length: 12\n")); /* "HEAD /e?@x 0" */
    assert_non_null(strstr(buf_c(&get->head), "content-type: text/plain\n"));
    assert_non_null(strstr(buf_c(&get->head), "date: "));
    h2_hang_up(client);
}

static void the_preface_may_come_in_pieces(void **state)
{
    struct h2_client *client = h2_dial(port);
    struct h2_answer *answer = h2_ask(client, "GET", "/", NULL, 0, false);
    const uint8_t *bytes;
    ssize_t n;
    (void)state;
    while ((n = nghttp2_session_mem_send(client->session, &bytes)) > 0)
        for (ssize_t i = 0; i < n; i++) {
            assert_int_equal(send(client->fd, bytes + i, 1, MSG_NOSIGNAL), 1);
            usleep(500);
        }
    h2_wait_for(client, answer);
    expect_body(answer, "GET /?@x 0");
    h2_hang_up(client);
}

static void what_begins_like_a_preface_may_be_http_1(void **state)
{
    struct h2_client *client = h2_dial(port);
    char reply[512] = "";
    (void)state;
    assert_int_equal(send(client->fd, "P", 1, MSG_NOSIGNAL), 1);
    usleep(20000);
    const char rest[] = "UT /x HTTP/1.1\r\nHost: y\r\nContent-Length: 0\r\n\r\n";
    assert_int_equal(send(client->fd, rest, strlen(rest), MSG_NOSIGNAL), (ssize_t)strlen(rest));
    assert_true(recv(client->fd, reply, sizeof(reply) - 1, 0) > 0);
    assert_non_null(strstr(reply, "PUT /x?@y 0"));
    h2_hang_up(client);
}

static void answers_come_when_they_are_there(void **state)
{
    struct h2_client *client = h2_dial(port);
    struct h2_answer *late = h2_ask(client, "GET", "/later", NULL, 0, false);
    struct h2_answer *soon = h2_ask(client, "GET", "/soon", NULL, 0, false);
    (void)state;
    h2_wait_for(client, soon);
    assert_false(late->is_ended);
    may_answer = true;
    h2_wait_for(client, late);
    expect_body(late, "late");
    h2_hang_up(client);
}

static void more_requests_than_one_turn_are_all_answered(void **state)
{
    struct h2_client *client = h2_dial(port);
    struct h2_answer *answers[15];
    (void)state;
    for (int i = 0; i < 15; i++)
        answers[i] = h2_ask(client, "GET", "/n", NULL, 0, false);
    for (int i = 0; i < 15; i++) {
        h2_wait_for(client, answers[i]);
        assert_int_equal(answers[i]->status, 200);
    }
    h2_hang_up(client);
}

/* Four replies of half a MB through windows of 64 KiB; half a MB unsent lets no further one begin.
 */
static void large_replies_wait_for_the_clients_window(void **state)
{
    struct h2_client *client = h2_dial(port);
    struct h2_answer *answers[4];
    (void)state;
    for (int i = 0; i < 4; i++)
        answers[i] = h2_ask(client, "GET", "/big", NULL, 0, false);
    for (int i = 0; i < 4; i++) {
        h2_wait_for(client, answers[i]);
        assert_int_equal(answers[i]->body.len, BIG_BYTES);
        assert_int_equal(answers[i]->body.data[BIG_BYTES - 1], 'a' + (BIG_BYTES - 1) % 26);
    }
    h2_hang_up(client);
}

static void a_large_body_arrives(void **state)
{
    struct h2_client *client = h2_dial(port);
    char *body = calloc(1, BODY_BYTES_MAX);
    struct h2_answer *answer = h2_ask(client, "POST", "/x", body, BODY_BYTES_MAX, false);
    (void)state;
    h2_wait_for(client, answer);
    expect_body(answer, "POST /x?@x 1048576");
    free(body);
    h2_hang_up(client);
}

static void a_stream_goes_both_ways(void **state)
{
    struct h2_client *client = h2_dial(port);
    struct h2_answer *answer = h2_ask(client, "POST", "/echo", "one", 3, true);
    (void)state;
    while (answer->body.len < 5 && h2_step(client, H2_WAIT_MS)) {
    }
    expect_body(answer, "[one]");
    answer->request_body = "two";
    answer->sent = 0;
    answer->is_open = false;
    nghttp2_session_resume_data(client->session, answer->id);
    h2_wait_for(client, answer);
    expect_body(answer, "[one][two]");
    assert_string_equal(buf_c(&answer->trailers), "x-sum: all\n");
    h2_hang_up(client);
}

static void trailers_of_an_empty_reply_are_in_its_head(void **state)
{
    struct h2_client *client = h2_dial(port);
    struct h2_answer *answer = h2_ask(client, "GET", "/error", NULL, 0, false);
    (void)state;
    h2_wait_for(client, answer);
    assert_non_null(strstr(buf_c(&answer->head), "x-sum: none\n"));
    assert_int_equal(answer->trailers.len, 0);
    h2_hang_up(client);
}

/* ---- limits ---- */

static void a_refused_body_is_not_waited_for(void **state)
{
    struct h2_client *client = h2_dial(port);
    struct h2_answer *denied = h2_ask(client, "POST", "/denied", "abc", 3, true);
    struct h2_answer *large = h2_ask(client, "POST", "/small", "12345678901", 11, true);
    (void)state;
    h2_wait_for(client, denied);
    assert_int_equal(denied->status, 403);
    expect_body(denied, "denied");
    assert_int_equal(denied->error_code, NGHTTP2_NO_ERROR);
    h2_wait_for(client, large);
    assert_int_equal(large->status, 413);
    h2_hang_up(client);
}

static void a_large_head_is_refused(void **state)
{
    struct h2_client *client = h2_dial(port);
    char path[4096 + 2];
    (void)state;
    memset(path, 'a', sizeof(path));
    path[0] = '/';
    path[sizeof(path) - 1] = '\0';
    struct h2_answer *answer = h2_ask(client, "GET", path, NULL, 0, false);
    h2_wait_for(client, answer);
    assert_int_equal(answer->status, 431);
    answer = h2_ask(client, "GET", "/fine", NULL, 0, false);
    h2_wait_for(client, answer);
    assert_int_equal(answer->status, 200);
    h2_hang_up(client);
}

static void bad_targets_are_refused(void **state)
{
    static const char *const targets[] = {"/a#b", "*"};
    static const int statuses[] = {400, 200};
    struct h2_client *client = h2_dial(port);
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        struct h2_answer *answer = h2_ask(client, "OPTIONS", targets[i], NULL, 0, false);
        h2_wait_for(client, answer);
        assert_int_equal(answer->status, statuses[i]);
    }
    h2_hang_up(client);
}

static void a_body_that_stops_is_not_waited_for(void **state)
{
    struct h2_client *client = h2_dial(port);
    struct h2_answer *answer = h2_ask(client, "POST", "/x", "abc", 3, true);
    (void)state;
    h2_wait_for(client, answer);
    assert_int_equal(answer->status, 408);
    h2_hang_up(client);
}

static void a_reply_that_nobody_takes_is_dropped(void **state)
{
    struct h2_client *client = h2_dial_window(port, 100, false);
    struct h2_answer *answer = h2_ask(client, "GET", "/big", NULL, 0, false);
    (void)state;
    h2_wait_for(client, answer);
    assert_int_equal(answer->body.len, 100);
    assert_int_equal(answer->error_code, NGHTTP2_CANCEL);
    h2_hang_up(client);
}

/* ---- clients that leave ---- */

static void wait_for_cancels(int count)
{
    for (int i = 0; i < H2_WAIT_MS && cancel_count < count; i++)
        usleep(1000);
    assert_int_equal(cancel_count, count);
}

static void a_reset_cancels_the_exchange(void **state)
{
    struct h2_client *client = h2_dial(port);
    struct h2_answer *late = h2_ask(client, "GET", "/later", NULL, 0, false);
    struct h2_answer *stream = h2_ask(client, "POST", "/echo", "one", 3, true);
    (void)state;
    while (stream->body.len < 5 && h2_step(client, H2_WAIT_MS)) {
    }
    nghttp2_submit_rst_stream(client->session, NGHTTP2_FLAG_NONE, late->id, NGHTTP2_CANCEL);
    nghttp2_submit_rst_stream(client->session, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_CANCEL);
    h2_send(client);
    wait_for_cancels(2);
    struct h2_answer *next = h2_ask(client, "GET", "/next", NULL, 0, false);
    h2_wait_for(client, next);
    may_answer = true;
    h2_hang_up(client);
    expect_alive();
}

static void a_lost_connection_cancels_all(void **state)
{
    struct h2_client *client = h2_dial(port);
    (void)state;
    for (int i = 0; i < 3; i++)
        h2_ask(client, "GET", "/later", NULL, 0, false);
    h2_ask(client, "POST", "/echo", "one", 3, true);
    struct h2_answer *soon = h2_ask(client, "GET", "/soon", NULL, 0, false);
    h2_wait_for(client, soon);
    h2_hang_up(client);
    wait_for_cancels(4);
    may_answer = true;
    expect_alive();
}

/* ---- floods ---- */

static void put_frame(struct buf *out, uint8_t type, uint8_t flags, uint32_t id, const void *bytes,
                      size_t size)
{
    const uint8_t head[9] = {
        (uint8_t)(size >> 16), (uint8_t)(size >> 8), (uint8_t)size,      type,       flags,
        (uint8_t)(id >> 24),   (uint8_t)(id >> 16),  (uint8_t)(id >> 8), (uint8_t)id};
    buf_append(out, head, sizeof(head));
    buf_append(out, bytes, size);
}

/* The error code of the GOAWAY among these frames; -1: there is none. */
static int goaway_code(const struct buf *frames)
{
    const uint8_t *bytes = (const uint8_t *)frames->data;
    for (size_t at = 0; at + 9 <= frames->len;) {
        size_t size = (size_t)bytes[at] << 16 | (size_t)bytes[at + 1] << 8 | bytes[at + 2];
        if (bytes[at + 3] == NGHTTP2_GOAWAY && at + 9 + 8 <= frames->len)
            return bytes[at + 9 + 7];
        at += 9 + size;
    }
    return -1;
}

/* Is there an answer to stream 1 among these frames: a head, a reset? */
static bool has_answer(const struct buf *frames)
{
    const uint8_t *bytes = (const uint8_t *)frames->data;
    for (size_t at = 0; at + 9 <= frames->len;
         at += 9 + ((size_t)bytes[at] << 16 | (size_t)bytes[at + 1] << 8 | bytes[at + 2]))
        if (bytes[at + 8] == 1 &&
            (bytes[at + 3] == NGHTTP2_HEADERS || bytes[at + 3] == NGHTTP2_RST_STREAM))
            return true;
    return goaway_code(frames) >= 0;
}

static bool is_told_off(const struct buf *frames)
{
    return goaway_code(frames) >= 0;
}

/* Send frames that no client would, until the answers are enough: read as bytes, for such a client
 * would not understand its own answers either. */
static void talk(const struct buf *frames, bool (*is_enough)(const struct buf *replies),
                 struct buf *replies)
{
    static char bytes[65536];
    struct h2_client *client = h2_dial(port);
    struct pollfd wait = {.fd = client->fd, .events = POLLIN | POLLOUT};
    size_t at = 0;
    buf_init(replies, 1 << 24);
    h2_send(client);
    while (!is_enough(replies) && poll(&wait, 1, H2_WAIT_MS) > 0) {
        ssize_t n = recv(client->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            break;
        buf_append(replies, bytes, n > 0 ? (size_t)n : 0);
        size_t step = frames->len - at < 4096 ? frames->len - at : 4096;
        n = send(client->fd, frames->data + at, step, MSG_NOSIGNAL | MSG_DONTWAIT);
        at += n > 0 ? (size_t)n : 0;
        wait.events = at < frames->len ? POLLIN | POLLOUT : POLLIN;
    }
    h2_hang_up(client);
}

static void expect_too_much(const struct buf *frames)
{
    struct buf replies;
    talk(frames, is_told_off, &replies);
    assert_int_equal(goaway_code(&replies), NGHTTP2_ENHANCE_YOUR_CALM);
    buf_done(&replies);
    expect_alive();
}

/* ":method: GET", ":scheme: http", ":path: /" of the static table and ":authority: x". */
static const uint8_t get_head[] = {0x82, 0x86, 0x84, 0x01, 0x01, 'x'};

static void floods_are_ended(void **state)
{
    struct buf frames;
    (void)state;
    buf_init(&frames, 1 << 22);
    for (int i = 0; i < 20000; i++)
        put_frame(&frames, NGHTTP2_PING, 0, 0, "12345678", 8);
    expect_too_much(&frames);
    buf_clear(&frames);
    for (int i = 0; i < 20000; i++)
        put_frame(&frames, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
    expect_too_much(&frames);
    buf_clear(&frames);
    for (int i = 0; i < 20000; i++)
        put_frame(&frames, NGHTTP2_WINDOW_UPDATE, 0, 0, "\0\0\0\1", 4);
    expect_too_much(&frames);
    buf_clear(&frames);
    put_frame(&frames, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, get_head, sizeof(get_head));
    for (int i = 0; i < 20000; i++)
        put_frame(&frames, NGHTTP2_DATA, 0, 1, NULL, 0);
    expect_too_much(&frames);
    buf_done(&frames);
}

/* CVE-2024-27316: a head without end. */
static void a_head_in_many_pieces_is_ended(void **state)
{
    struct buf frames;
    (void)state;
    buf_init(&frames, 1 << 22);
    put_frame(&frames, NGHTTP2_HEADERS, 0, 1, get_head, sizeof(get_head));
    for (int i = 0; i < 100; i++)
        put_frame(&frames, NGHTTP2_CONTINUATION, 0, 1,
                  "\x00\x01"
                  "a\x01"
                  "b",
                  5);
    expect_too_much(&frames);
    buf_done(&frames);
}

/* CVE-2023-44487: streams that are reset as soon as they begin. No more of them are ever at work
 * than a connection may have. */
static void rapid_resets_are_ended(void **state)
{
    static const uint8_t later_head[] = {0x82, 0x86, 0x04, 0x06, '/',  'l', 'a',
                                         't',  'e',  'r',  0x01, 0x01, 'x'};
    struct buf frames;
    (void)state;
    buf_init(&frames, 1 << 22);
    for (uint32_t i = 0; i < 20000; i++) {
        put_frame(&frames, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM,
                  2 * i + 1, later_head, sizeof(later_head));
        put_frame(&frames, NGHTTP2_RST_STREAM, 0, 2 * i + 1, "\0\0\0\x08", 4);
    }
    expect_too_much(&frames);
    assert_true(later_count <= 16);
    may_answer = true;
    buf_done(&frames);
}

/* Heads that mean another thing once they are written as HTTP/1: none reaches a handler. */
static void heads_that_would_be_another_request_in_http_1_are_refused(void **state)
{
    static const struct {
        const char *name, *value;
    } heads[] = {
        {"transfer-encoding", "chunked"},
        {"connection", "keep-alive"},
        {"x", "a\r\nhost: evil.example"},
        {"x", "a\nb"},
        {"x\r\ny", "a"},
        {"x: y", "a"},
        {"X-Upper", "a"},
        {"content-length", "5"},
        {"upgrade", "websocket"},
        {"", "a"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        struct buf frames, replies;
        uint8_t head[128] = {0x83, 0x86, 0x84, 0x01, 0x01, 'x'};
        size_t at = 6, name = strlen(heads[i].name), value = strlen(heads[i].value);
        head[at++] = 0x00; /* literal, not indexed */
        head[at++] = (uint8_t)name;
        memcpy(head + at, heads[i].name, name);
        at += name;
        head[at++] = (uint8_t)value;
        memcpy(head + at, heads[i].value, value);
        at += value;
        buf_init(&frames, 4096);
        put_frame(&frames, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1,
                  head, at);
        talk(&frames, has_answer, &replies);
        assert_true(has_answer(&replies));
        buf_done(&replies);
        buf_done(&frames);
    }
    assert_int_equal(smuggled_count, 0);
    expect_alive();
}

static void bytes_that_are_no_frames_end_the_connection(void **state)
{
    struct h2_client *client = h2_dial(port);
    (void)state;
    const char bytes[] = "PRI * HTTP/1.1\r\nHost: x\r\n\r\nsomething else entirely";
    assert_int_equal(send(client->fd, bytes, sizeof(bytes), MSG_NOSIGNAL), (ssize_t)sizeof(bytes));
    h2_wait_for_end(client);
    assert_true(client->is_closed);
    h2_hang_up(client);
    expect_alive();
}

/* ---- the end ---- */

static void *stop_server(void *arg)
{
    (void)arg;
    http_server_stop(server, H2_WAIT_MS);
    return NULL;
}

static void a_drain_answers_what_has_begun(void **state)
{
    struct h2_client *client = h2_dial(port);
    struct h2_client *idle = h2_dial(port);
    struct h2_answer *late = h2_ask(client, "GET", "/later", NULL, 0, false);
    struct h2_answer *soon = h2_ask(client, "GET", "/soon", NULL, 0, false);
    struct h2_answer *first = h2_ask(idle, "GET", "/first", NULL, 0, false);
    pthread_t thread;
    (void)state;
    h2_wait_for(client, soon);
    h2_wait_for(idle, first);
    pthread_create(&thread, NULL, stop_server, NULL);
    h2_wait_for_end(idle);
    assert_true(idle->has_goaway && idle->is_closed);
    assert_int_equal(idle->goaway_code, NGHTTP2_NO_ERROR);
    while (!client->has_goaway && h2_step(client, H2_WAIT_MS)) {
    }
    assert_false(late->is_ended);
    may_answer = true;
    h2_wait_for(client, late);
    expect_body(late, "late");
    h2_wait_for_end(client);
    assert_true(client->is_closed);
    pthread_join(thread, NULL);
    h2_hang_up(client);
    h2_hang_up(idle);
    start(NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        TEST(a_request_is_answered),
        TEST(the_preface_may_come_in_pieces),
        TEST(what_begins_like_a_preface_may_be_http_1),
        TEST(answers_come_when_they_are_there),
        TEST(more_requests_than_one_turn_are_all_answered),
        TEST(large_replies_wait_for_the_clients_window),
        TEST(a_large_body_arrives),
        TEST(a_stream_goes_both_ways),
        TEST(trailers_of_an_empty_reply_are_in_its_head),
        TEST(a_refused_body_is_not_waited_for),
        TEST(a_large_head_is_refused),
        TEST(bad_targets_are_refused),
        TEST(a_body_that_stops_is_not_waited_for),
        TEST(a_reply_that_nobody_takes_is_dropped),
        TEST(a_reset_cancels_the_exchange),
        TEST(a_lost_connection_cancels_all),
        TEST(floods_are_ended),
        TEST(a_head_in_many_pieces_is_ended),
        TEST(rapid_resets_are_ended),
        TEST(heads_that_would_be_another_request_in_http_1_are_refused),
        TEST(bytes_that_are_no_frames_end_the_connection),
        TEST(a_drain_answers_what_has_begun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
