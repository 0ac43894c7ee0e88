/* test_ws.c - a WebSocket on a real server, frame by frame. Bytes marked RFC are from RFC 6455. */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "net/http_server.h"
#include "test.h"

enum { WAIT_MS = 5000, BODY_BYTES_MAX = 1000, PIECES_MAX = 10 };

static _Atomic int cancel_count;
static struct http_exchange *kept; /* answered by the next connection's request to /go-on */

static void echo(struct http_exchange *x)
{
    if (str_equal(x->request.body, STR_LIT("keep"))) {
        kept = x;
        return;
    }
    if (x->request.body.len) {
        buf_str(&x->response.body, x->request.body);
        http_take(x, x->request.body.len);
        http_send(x);
    }
    if (x->is_request_over)
        http_reply(x);
}

static void cancel(struct http_exchange *x)
{
    cancel_count++;
    http_reply(x);
}

static void handle(struct http_exchange *x)
{
    struct err err = {0};
    if (str_equal(x->request.path, STR_LIT("/go-on"))) {
        struct http_exchange *other = kept;
        kept = NULL;
        http_take(other, other->request.body.len);
        buf_lit(&other->response.body, "went on");
        http_send(other);
        http_reply(x);
        return;
    }
    x->receive = echo;
    x->cancel = cancel;
    if (!http_upgrade(x, &err))
        return;
    x->response.status = 426;
    buf_text(&x->response.body, err.msg);
    http_reply(x);
}

static void admit(struct http_exchange *x, struct http_admission *admission)
{
    (void)x, (void)admission;
}

static void refuse(const struct http_refusal *refusal, const struct http_request *request,
                   struct http_response *response)
{
    (void)request;
    response->status = refusal->status;
}

static struct http_server *server;

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
                   .chunks_max = PIECES_MAX,
                   .connections_max = 20,
                   .pipeline_max = 4,
                   .output_bytes_max = 1 << 20,
                   .memory_bytes_max = 1 << 20,
                   .compress_bytes_min = 1 << 20,
                   .head_timeout_ms = 300,
                   .body_timeout_ms = 300,
                   .idle_timeout_ms = 300,
                   .write_timeout_ms = 300,
                   .tls_timeout_ms = 300},
        .admit = admit,
        .handle = handle,
        .refuse = refuse,
    };
    cancel_count = 0;
    if (http_server_start(&config, &server, &err))
        fail_msg("%s", err.msg);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    http_server_stop(server, 2000);
    return 0;
}

/* ---- a client ---- */

static int dial(const char *path)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)http_server_port(server)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char request[512];
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    int n = snprintf(request, sizeof(request),
                     "GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                     "Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                     path);
    assert_int_equal(send(fd, request, (size_t)n, MSG_NOSIGNAL), n);
    return fd;
}

/* Exactly `size` bytes, or fewer when the server has closed. */
static size_t hear(int fd, void *out, size_t size)
{
    size_t at = 0;
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    while (at < size && poll(&wait, 1, WAIT_MS) > 0) {
        ssize_t n = recv(fd, (char *)out + at, size - at, 0);
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    return at;
}

static int open_socket(void)
{
    /* RFC 1.3: the accept of this key */
    static const char expected[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                                   "Connection: Upgrade\r\n"
                                   "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    char reply[sizeof(expected)] = "";
    int fd = dial("/");
    hear(fd, reply, sizeof(expected) - 1);
    assert_string_equal(reply, expected);
    return fd;
}

/* A frame with the mask of RFC 5.7. */
static void say(int fd, unsigned first, const char *payload, size_t size)
{
    static const unsigned char mask[] = {0x37, 0xfa, 0x21, 0x3d};
    unsigned char frame[8192] = {(unsigned char)first};
    size_t at = 2;
    assert_true(size < 8000);
    if (size < 126) {
        frame[1] = (unsigned char)(0x80 | size);
    } else {
        frame[1] = 0x80 | 126;
        frame[at++] = (unsigned char)(size >> 8);
        frame[at++] = (unsigned char)size;
    }
    memcpy(frame + at, mask, sizeof(mask));
    at += sizeof(mask);
    for (size_t i = 0; i < size; i++)
        frame[at++] = (unsigned char)payload[i] ^ mask[i % 4];
    assert_int_equal(send(fd, frame, at, MSG_NOSIGNAL), (ssize_t)at);
}

static void expect(int fd, const char *bytes, size_t size)
{
    char heard[8192];
    assert_true(size <= sizeof(heard));
    assert_int_equal(hear(fd, heard, size), size);
    assert_memory_equal(heard, bytes, size);
}

/* A close with this code, then the end. */
static void expect_close(int fd, int code)
{
    unsigned char head[4];
    char rest[256];
    assert_int_equal(hear(fd, head, sizeof(head)), 4);
    assert_int_equal(head[0], 0x88);
    assert_int_equal(head[2] << 8 | head[3], code);
    assert_int_equal(hear(fd, rest, (size_t)head[1] - 2), head[1] - 2);
    shutdown(fd, SHUT_WR);
    assert_int_equal(hear(fd, rest, 1), 0);
    close(fd);
}

/* ---- messages ---- */

static void messages_come_back(void **state)
{
    (void)state;
    int fd = open_socket();
    /* RFC 5.7: a masked and an unmasked "Hello" */
    const char hello[] = "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    assert_int_equal(send(fd, hello, 11, MSG_NOSIGNAL), 11);
    expect(fd, "\x81\x05Hello", 7);
    for (size_t i = 0; i < 11; i++) {
        assert_int_equal(send(fd, hello + i, 1, MSG_NOSIGNAL), 1);
        usleep(500);
    }
    expect(fd, "\x81\x05Hello", 7);
    say(fd, 0x81, "a", 1);
    say(fd, 0x81, "b", 1);
    expect(fd,
           "\x81\x01"
           "a\x81\x01"
           "b",
           6);
    say(fd, 0x88, "\x03\xe8", 2);
    expect_close(fd, 1000);
}

static void pieces_are_one_message_with_pings_between(void **state)
{
    (void)state;
    int fd = open_socket();
    say(fd, 0x01, "Hel", 3);
    say(fd, 0x89, "hi", 2);
    expect(fd, "\x8a\x02hi", 4);
    say(fd, 0x00, "", 0);
    say(fd, 0x80, "lo", 2);
    expect(fd, "\x81\x05Hello", 7);
    say(fd, 0x81, "", 0); /* says nothing */
    say(fd, 0x8a, "", 0);
    say(fd, 0x81, "x", 1);
    expect(fd, "\x81\x01x", 3);
    close(fd);
}

static void long_messages_have_longer_lengths(void **state)
{
    char text[BODY_BYTES_MAX], expected[BODY_BYTES_MAX + 4] = "\x81\x7e\x03\xe8"; /* 1000 */
    (void)state;
    memset(text, 'a', sizeof(text));
    memset(expected + 4, 'a', sizeof(text));
    int fd = open_socket();
    say(fd, 0x81, text, sizeof(text));
    expect(fd, expected, sizeof(expected));
    close(fd);
}

static void the_next_message_waits_for_the_last(void **state)
{
    char reply[64];
    (void)state;
    int fd = open_socket();
    say(fd, 0x81, "keep", 4);
    say(fd, 0x81, "next", 4);
    usleep(20000);
    int other = dial("/go-on");
    assert_true(hear(other, reply, 12) == 12);
    close(other);
    expect(fd, "\x81\x07went on\x81\x04next", 15);
    close(fd);
}

/* ---- what is refused ---- */

static void frames_that_must_not_be_close_with_the_reason(void **state)
{
    static char large[BODY_BYTES_MAX + 1];
    static const struct {
        unsigned first;
        const char *payload;
        size_t size;
        int code;
    } cases[] = {
        {0xc1, "x", 1, 1002},      /* a reserved bit */
        {0x83, "x", 1, 1002},      /* an opcode that nobody knows */
        {0x80, "x", 1, 1002},      /* goes on without a beginning */
        {0x09, "x", 1, 1002},      /* a ping in pieces */
        {0x88, "x", 1, 1002},      /* half a code */
        {0x82, "x", 1, 1003},      /* binary */
        {0x81, "\xff", 1, 1007},   /* no UTF-8 */
        {0x81, large, 1001, 1009}, /* one byte too much */
        {0x89, large, 126, 1002},  /* a long ping */
    };
    (void)state;
    memset(large, 'a', sizeof(large));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int fd = open_socket();
        say(fd, cases[i].first, cases[i].payload, cases[i].size);
        expect_close(fd, cases[i].code);
    }
    assert_int_equal(cancel_count, (int)ARRAY_LEN(cases));
}

static void frames_without_a_mask_are_refused(void **state)
{
    (void)state;
    int fd = open_socket();
    assert_int_equal(send(fd, "\x81\x05Hello", 7, MSG_NOSIGNAL), 7); /* RFC 5.1: must close */
    expect_close(fd, 1002);
    fd = open_socket();
    assert_int_equal(send(fd, "\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 14, MSG_NOSIGNAL),
                     14); /* 2^64-1 bytes */
    expect_close(fd, 1009);
}

static void floods_are_ended(void **state)
{
    (void)state;
    int fd = open_socket();
    for (int i = 0; i <= PIECES_MAX; i++)
        say(fd, i ? 0x00 : 0x01, "", 0);
    expect_close(fd, 1008);
    fd = open_socket();
    for (int i = 0; i <= 1000; i++)
        say(fd, 0x8a, "", 0);
    expect_close(fd, 1008);
}

static void requests_that_ask_for_less_are_answered(void **state)
{
    static const char *const requests[] = {
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n\r\n",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        char reply[13] = "";
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)http_server_port(server)),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(send(fd, requests[i], strlen(requests[i]), MSG_NOSIGNAL),
                         (ssize_t)strlen(requests[i]));
        assert_int_equal(hear(fd, reply, 12), 12);
        assert_string_equal(reply, "HTTP/1.1 426");
        close(fd);
    }
}

/* ---- clients that are slow, silent or gone ---- */

static void half_a_message_is_not_waited_for(void **state)
{
    char byte;
    (void)state;
    int fd = open_socket();
    say(fd, 0x01, "Hel", 3);
    assert_int_equal(hear(fd, &byte, 1), 0);
    close(fd);
}

static void the_silent_are_asked_and_then_closed(void **state)
{
    char byte;
    (void)state;
    int fd = open_socket();
    expect(fd, "\x89\0", 2);
    say(fd, 0x8a, "", 0);
    expect(fd, "\x89\0", 2);
    assert_int_equal(hear(fd, &byte, 1), 0);
    close(fd);
}

static void a_client_that_leaves_cancels(void **state)
{
    (void)state;
    int fd = open_socket();
    say(fd, 0x81, "x", 1);
    expect(fd, "\x81\x01x", 3);
    close(fd);
    for (int i = 0; i < WAIT_MS && cancel_count < 1; i++)
        usleep(1000);
    assert_int_equal(cancel_count, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        TEST(messages_come_back),
        TEST(pieces_are_one_message_with_pings_between),
        TEST(long_messages_have_longer_lengths),
        TEST(the_next_message_waits_for_the_last),
        TEST(frames_that_must_not_be_close_with_the_reason),
        TEST(frames_without_a_mask_are_refused),
        TEST(floods_are_ended),
        TEST(requests_that_ask_for_less_are_answered),
        TEST(half_a_message_is_not_waited_for),
        TEST(the_silent_are_asked_and_then_closed),
        TEST(a_client_that_leaves_cancels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
