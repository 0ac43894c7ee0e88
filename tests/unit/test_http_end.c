/* test_http_end.c - how connections and servers end: early, late, and with a loop that is busy. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "net/http_server.h"
#include "test.h"

enum { WAIT_MS = 5000, BUSY_MS = 200, BIG_BYTES = 16 << 20 };

static _Atomic int made_count, freed_count, busy_count;

static void admit(struct http_exchange *x, struct http_admission *admission)
{
    (void)admission;
    if (x->conn_user)
        return;
    x->conn_user = malloc(1);
    made_count++;
}

static void handle(struct http_exchange *x)
{
    if (str_equal(x->request.path, STR_LIT("/busy"))) {
        busy_count++;
        usleep(BUSY_MS * 1000);
    }
    if (str_equal(x->request.path, STR_LIT("/big")))
        for (int i = 0; i < BIG_BYTES; i++)
            buf_char(&x->response.body, 'x');
    http_reply(x);
}

static void refuse(const struct http_refusal *refusal, const struct http_request *request,
                   struct http_response *response)
{
    (void)request;
    response->status = refusal->status;
}

static void conn_user_free(void *conn_user)
{
    free(conn_user);
    freed_count++;
}

static struct http_server *start(void)
{
    static const char *const listen[] = {"127.0.0.1:0"};
    struct http_server *server = NULL;
    struct err err = {0};
    const struct http_server_config config = {
        .listen = listen,
        .listen_count = 1,
        .thread_count = 1,
        .limits = {.head_bytes_max = 4096,
                   .body_bytes_max = 1 << 20,
                   .inflated_bytes_max = 1 << 20,
                   .chunks_max = 100,
                   .connections_max = 20,
                   .pipeline_max = 4,
                   .output_bytes_max = 1 << 20,
                   .memory_bytes_max = 2 * BIG_BYTES,
                   .compress_bytes_min = 1 << 30,
                   .head_timeout_ms = 60000,
                   .body_timeout_ms = 60000,
                   .idle_timeout_ms = 60000,
                   .write_timeout_ms = 60000,
                   .tls_timeout_ms = 60000},
        .admit = admit,
        .handle = handle,
        .refuse = refuse,
        .conn_user_free = conn_user_free,
    };
    if (http_server_start(&config, &server, &err))
        fail_msg("%s", err.msg);
    made_count = freed_count = busy_count = 0;
    return server;
}

static int dial(const struct http_server *server, const char *request)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)http_server_port(server)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
    return fd;
}

static bool comes_true(const _Atomic int *value, int expected)
{
    for (int i = 0; *value != expected && i < WAIT_MS; i++)
        usleep(1000);
    return *value == expected;
}

static void what_a_head_left_is_freed_when_the_body_never_comes(void **state)
{
    (void)state;
    struct http_server *server = start();
    int fd = dial(server, "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe");
    assert_true(comes_true(&made_count, 1));
    const struct linger reset = {.l_onoff = 1};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
    close(fd);
    bool is_freed = comes_true(&freed_count, 1);
    http_server_stop(server, WAIT_MS);
    assert_true(is_freed);
    assert_int_equal(made_count, 1);
}

/* The wish to close comes while the wish to drain still waits for the handler to return. */
static void a_server_ends_though_a_handler_outlasts_the_drain(void **state)
{
    (void)state;
    struct http_server *server = start();
    int fd = dial(server, "GET /busy HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(comes_true(&busy_count, 1));
    alarm(WAIT_MS / 1000);
    http_server_stop(server, BUSY_MS / 10);
    alarm(0);
    close(fd);
}

/* Begins to read when the server is draining. */
static void *read_late(void *arg)
{
    static char bytes[1 << 16];
    int fd = *(int *)arg;
    usleep(BUSY_MS * 1000);
    while (recv(fd, bytes, sizeof(bytes), 0) > 0)
        ;
    return NULL;
}

/* A reply that was being written when the drain began is the connection's last one. */
static void a_drain_ends_with_the_last_reply(void **state)
{
    (void)state;
    pthread_t reader;
    struct http_server *server = start();
    int fd = dial(server, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&wait, 1, WAIT_MS), 1);
    assert_int_equal(pthread_create(&reader, NULL, read_late, &fd), 0);
    int64_t start_us = clock_monotonic_us();
    http_server_stop(server, WAIT_MS);
    assert_true(clock_monotonic_us() - start_us < WAIT_MS * 1000 / 2);
    pthread_join(reader, NULL);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_head_left_is_freed_when_the_body_never_comes),
        cmocka_unit_test(a_server_ends_though_a_handler_outlasts_the_drain),
        cmocka_unit_test(a_drain_ends_with_the_last_reply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
