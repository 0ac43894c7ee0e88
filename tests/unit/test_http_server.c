/* test_http_server.c - a real server on loopback: framing, batches, limits, timeouts, late replies.
 */
#include "net/http_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "test.h"

enum { REPLY_BYTES = 1 << 20, WAIT_MS = 5000 };

/* ---- the server under test ---- */

/* An answer that a thread of its own gives, some milliseconds later. */
struct later {
    struct loop_message message;
    struct http_exchange *x;
    struct loop *loop;
};

static _Atomic int later_count;

static void reply_now(struct loop_message *message)
{
    struct later *later = CONTAINER_OF(message, struct later, message);
    buf_str(&later->x->response.body, later->x->request.path);
    http_reply(later->x);
    free(later);
    later_count--;
}

static void *wait_and_post(void *arg)
{
    struct later *later = arg;
    usleep(50 * 1000);
    later->message.fn = reply_now;
    loop_post(later->loop, &later->message);
    return NULL;
}

static void answer_later(struct http_exchange *x)
{
    struct later *later = calloc(1, sizeof(*later));
    pthread_t thread;
    later->x = x;
    later->loop = x->thread;
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
}

/* Says what arrived: "METHOD path body". /big answers half a MB, /later from another thread. */
static void handle(struct http_exchange *x)
{
    struct buf *body = &x->response.body;
    x->response.content_type = "text/plain";
    if (str_starts_with(x->request.path, STR_LIT("/later"))) {
        answer_later(x);
        return;
    }
    if (str_equal(x->request.path, STR_LIT("/big"))) {
        for (int i = 0; i < 512 * 1024; i++)
            buf_char(body, (char)('a' + i % 26));
        http_reply(x);
        return;
    }
    buf_text(body, http_method_name(x->request.method));
    buf_char(body, ' ');
    buf_str(body, x->request.path);
    buf_char(body, ' ');
    buf_str(body, x->request.body);
    http_reply(x);
}

static void refuse(const struct http_refusal *refusal, const struct http_request *request,
                   struct http_response *response)
{
    (void)request;
    response->status = refusal->status;
    buf_text(&response->body, refusal->message);
}

static const struct http_limits limits = {
    .head_bytes_max = 4096,
    .body_bytes_max = 1 << 20,
    .inflated_bytes_max = 1 << 20,
    .chunks_max = 100,
    .connections_max = 20,
    .pipeline_max = 4,
    .output_bytes_max = 1 << 20,
    .memory_bytes_max = 8 << 20,
    .compress_bytes_min = 1024,
    .head_timeout_ms = 300,
    .body_timeout_ms = 300,
    .idle_timeout_ms = 60000,
    .write_timeout_ms = 60000,
    .tls_timeout_ms = 300,
};

static struct http_server *server;
static char socket_path[108];

static int start(void **state)
{
    static const char *const listen[] = {"127.0.0.1:0"};
    struct err err = {0};
    (void)state;
    snprintf(socket_path, sizeof(socket_path), "/tmp/slipway-test-%d.sock", (int)getpid());
    struct http_server_config config = {
        .listen = listen,
        .listen_count = 1,
        .unix_path = socket_path,
        .thread_count = 1,
        .limits = limits,
        .thread_new = thread_new,
        .admit = admit,
        .handle = handle,
        .refuse = refuse,
    };
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

/* ---- a client of plain sockets ---- */

static int dial(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)http_server_port(server)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Bytes until `end` has come (NULL: until the server closes), or the wait is over. */
static const char *hear(int fd, const char *end)
{
    static char reply[REPLY_BYTES];
    size_t at = 0;
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    while (at + 1 < sizeof(reply) && poll(&wait, 1, WAIT_MS) > 0) {
        ssize_t n = recv(fd, reply + at, sizeof(reply) - 1 - at, 0);
        if (n <= 0)
            break;
        at += (size_t)n;
        reply[at] = '\0';
        if (end && strstr(reply, end))
            break;
    }
    reply[at] = '\0';
    return reply;
}

static bool is_closed(int fd)
{
    char byte;
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    return poll(&wait, 1, WAIT_MS) > 0 && recv(fd, &byte, 1, 0) <= 0;
}

static int count_of(const char *text, const char *part)
{
    int count = 0;
    for (const char *at = text; (at = strstr(at, part)); at += strlen(part))
        count++;
    return count;
}

static void expect(const char *request, const char *status, const char *body)
{
    int fd = dial();
    say(fd, request);
    const char *reply = hear(fd, body);
    if (strncmp(reply, status, strlen(status)) != 0 || !strstr(reply, body))
        fail_msg("expected %s ... %s, got:\n%.300s", status, body, reply);
    close(fd);
}

/* ---- framing ---- */

static void requests_are_answered_on_one_connection(void **state)
{
    (void)state;
    int fd = dial();
    for (int i = 0; i < 3; i++) {
        say(fd, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_non_null(strstr(hear(fd, "GET /a "), "HTTP/1.1 200 OK\r\n"));
        say(fd, "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
        assert_non_null(strstr(hear(fd, "POST /b hello"), "Content-Length: 13\r\n"));
    }
    close(fd);
}

static void a_request_may_come_byte_by_byte(void **state)
{
    (void)state;
    static const char request[] = "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
    int fd = dial();
    for (const char *c = request; *c; c++) {
        char one[2] = {*c, 0};
        say(fd, one);
        usleep(500);
    }
    assert_non_null(strstr(hear(fd, "hello"), "POST /b hello"));
    close(fd);
}

/* Ten requests in one write, more than pipeline_max; the answers come in their order. */
static void pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    char all[4096] = "", one[128];
    int fd = dial();
    for (int i = 0; i < 10; i++) {
        snprintf(one, sizeof(one), "GET /p%d HTTP/1.1\r\nHost: x\r\n\r\n", i);
        strncat(all, one, sizeof(all) - strlen(all) - 1);
    }
    say(fd, all);
    const char *reply = hear(fd, "/p9 ");
    assert_int_equal(count_of(reply, "HTTP/1.1 200"), 10);
    for (int i = 0; i < 10; i++) {
        snprintf(one, sizeof(one), "GET /p%d ", i);
        const char *at = strstr(reply, one);
        assert_non_null(at);
        reply = at;
    }
    close(fd);
}

static void requests_behind_a_late_one_wait_for_it(void **state)
{
    (void)state;
    int fd = dial();
    say(fd, "GET /later1 HTTP/1.1\r\nHost: x\r\n\r\nGET /now HTTP/1.1\r\nHost: x\r\n\r\n"
            "GET /later2 HTTP/1.1\r\nHost: x\r\n\r\nPOST /end HTTP/1.1\r\nHost: x\r\n"
            "Content-Length: 3\r\n\r\nfin");
    const char *reply = hear(fd, "/end fin");
    const char *first = strstr(reply, "/later1"), *second = strstr(reply, "/now");
    const char *third = strstr(reply, "/later2"), *last = strstr(reply, "/end fin");
    assert_true(first && second && third && last);
    assert_true(first < second && second < third && third < last);
    close(fd);
}

/* While the late request waits, others overwrite the read buffer it came in. */
static void texts_of_a_late_request_stay_as_they_were(void **state)
{
    (void)state;
    int late = dial(), other = dial();
    say(late, "GET /later-and-this-must-stay HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int i = 0; i < 20; i++) {
        say(other, "POST /xxxxxxxxxxxxxxxxxxxxxxxx HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"
                   "yyyy");
        hear(other, "yyyy");
    }
    assert_non_null(strstr(hear(late, "stay"), "/later-and-this-must-stay"));
    close(late);
    close(other);
}

static void a_client_may_leave_before_a_late_reply(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        int fd = dial();
        say(fd, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
        close(fd);
    }
    for (int i = 0; later_count && i < WAIT_MS; i++)
        usleep(1000);
    expect("GET /alive HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200", "GET /alive");
}

static void a_half_closed_client_gets_its_reply(void **state)
{
    (void)state;
    int fd = dial();
    say(fd, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    shutdown(fd, SHUT_WR);
    assert_non_null(strstr(hear(fd, NULL), "/later"));
    close(fd);
}

static void chunked_bodies_and_head_and_old_http_work(void **state)
{
    (void)state;
    expect("POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
           "3\r\nabc\r\n4;ext=1\r\ndefg\r\n0\r\n\r\n",
           "HTTP/1.1 200", "POST /c abcdefg");
    int fd = dial();
    say(fd, "HEAD /h HTTP/1.1\r\nHost: x\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n");
    const char *reply = hear(fd, "GET /next");
    assert_non_null(strstr(reply, "Content-Length: 8\r\n")); /* "HEAD /h " */
    assert_null(strstr(reply, "HEAD /h"));
    close(fd);
    fd = dial();
    say(fd, "GET /old HTTP/1.0\r\n\r\n");
    assert_non_null(strstr(hear(fd, NULL), "GET /old")); /* closed after it */
    close(fd);
}

static void continue_is_said_only_when_the_body_is_wanted(void **state)
{
    (void)state;
    int fd = dial();
    say(fd, "POST /b HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_non_null(strstr(hear(fd, "\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n"));
    say(fd, "ok");
    assert_non_null(strstr(hear(fd, "ok"), "POST /b ok"));
    close(fd);
    fd = dial();
    say(fd,
        "POST /denied HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    const char *reply = hear(fd, "denied");
    assert_null(strstr(reply, "100 Continue"));
    assert_non_null(strstr(reply, "HTTP/1.1 403"));
    close(fd);
}

/* ---- limits ---- */

static void limits_are_answered_with_their_status(void **state)
{
    (void)state;
    char head[6000];
    int n = snprintf(head, sizeof(head), "GET / HTTP/1.1\r\nHost: x\r\nA: ");
    memset(head + n, 'a', 5000);
    snprintf(head + n + 5000, sizeof(head) - (size_t)n - 5000, "\r\n\r\n");
    expect(head, "HTTP/1.1 431", "headers");
    expect("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n", "HTTP/1.1 413",
           "larger");
    expect("POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n12345678901",
           "HTTP/1.1 413", "larger");
    expect("POST / HTTP/1.1\r\nHost: x\r\nContent-Encoding: br\r\nContent-Length: 1\r\n\r\nx",
           "HTTP/1.1 415", "Content-Encoding");
    expect("GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "HTTP/1.1 400", "Host");
    expect("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
           "HTTP/1.1 400", "Content-Length");
    expect("\x16\x03\x01 hello there, this is TLS\r\n\r\n", "HTTP/1.1 400", "TLS");
}

/* The server stops reading early; its reply must still reach a client that sends all it has. */
static void a_refusal_reaches_a_client_that_is_still_sending(void **state)
{
    (void)state;
    char block[4096];
    memset(block, 'x', sizeof(block));
    int fd = dial();
    say(fd, "POST /denied HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n");
    for (int i = 0; i < 200; i++)
        if (send(fd, block, sizeof(block), MSG_NOSIGNAL) < 0)
            break;
    assert_non_null(strstr(hear(fd, "denied"), "HTTP/1.1 403"));
    close(fd);
}

static void slow_heads_and_bodies_time_out(void **state)
{
    (void)state;
    int head = dial(), body = dial();
    say(head, "GET / HT");
    say(body, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
    assert_non_null(strstr(hear(head, NULL), "HTTP/1.1 408"));
    assert_non_null(strstr(hear(body, NULL), "HTTP/1.1 408"));
    close(head);
    close(body);
}

static void connections_past_the_limit_are_closed(void **state)
{
    (void)state;
    int fds[25];
    struct http_stats before, after;
    http_server_stats(server, &before);
    for (int i = 0; i < 25; i++)
        fds[i] = dial();
    assert_true(is_closed(fds[24]));
    say(fds[0], "GET /first HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_non_null(strstr(hear(fds[0], "/first"), "200 OK"));
    for (int i = 0; i < 25; i++)
        close(fds[i]);
    http_server_stats(server, &after);
    assert_true(after.refused > before.refused);
    usleep(100 * 1000);
}

/* Three replies of half a MB that nobody reads are more than output_bytes_max. */
static void a_slow_reader_gets_everything_in_the_end(void **state)
{
    (void)state;
    int fd = dial();
    for (int i = 0; i < 5; i++)
        say(fd, "GET /big HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n");
    say(fd, "GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    usleep(200 * 1000);
    size_t total = 0;
    char block[65536];
    ssize_t n;
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    while (poll(&wait, 1, WAIT_MS) > 0 && (n = recv(fd, block, sizeof(block), 0)) > 0)
        total += (size_t)n;
    assert_true(total > 5 * 512 * 1024);
    close(fd);
}

static void large_replies_are_compressed_on_request(void **state)
{
    (void)state;
    int fd = dial();
    say(fd, "GET /big HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip;q=0.8, br\r\n"
            "Connection: close\r\n\r\n");
    const char *reply = hear(fd, NULL);
    assert_non_null(strstr(reply, "Content-Encoding: gzip\r\n"));
    assert_non_null(strstr(reply, "Connection: close\r\n"));
    close(fd);
}

static void the_unix_socket_says_who_calls(void **state)
{
    (void)state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memcpy(address.sun_path, socket_path, strlen(socket_path));
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    say(fd, "GET /u HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_non_null(strstr(hear(fd, "/u"), "200 OK"));
    close(fd);
}

static void a_port_that_is_taken_is_an_error(void **state)
{
    (void)state;
    struct http_server *second = NULL;
    struct err err = {0};
    char listen[32];
    snprintf(listen, sizeof(listen), "127.0.0.1:%d", http_server_port(server));
    const char *const list[] = {listen};
    struct http_server_config config = {.listen = list,
                                        .listen_count = 1,
                                        .thread_count = 1,
                                        .limits = limits,
                                        .admit = admit,
                                        .handle = handle,
                                        .refuse = refuse};
    assert_int_equal(http_server_start(&config, &second, &err), ERR_IO);
    assert_non_null(strstr(err.msg, listen));
    assert_null(second);
}

/* In a group of its own: the server is stopped while a request runs. */
static void draining_finishes_what_runs_and_closes_what_is_idle(void **state)
{
    (void)state;
    start(NULL);
    int idle = dial(), busy = dial();
    say(idle, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    hear(idle, "/a");
    say(busy, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    usleep(10 * 1000);
    http_server_stop(server, WAIT_MS);
    const char *reply = hear(busy, NULL);
    assert_non_null(strstr(reply, "/later"));
    assert_non_null(strstr(reply, "Connection: close\r\n"));
    assert_true(is_closed(idle));
    assert_int_equal(access(socket_path, F_OK), -1);
    close(idle);
    close(busy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_answered_on_one_connection),
        cmocka_unit_test(a_request_may_come_byte_by_byte),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(requests_behind_a_late_one_wait_for_it),
        cmocka_unit_test(texts_of_a_late_request_stay_as_they_were),
        cmocka_unit_test(a_client_may_leave_before_a_late_reply),
        cmocka_unit_test(a_half_closed_client_gets_its_reply),
        cmocka_unit_test(chunked_bodies_and_head_and_old_http_work),
        cmocka_unit_test(continue_is_said_only_when_the_body_is_wanted),
        cmocka_unit_test(limits_are_answered_with_their_status),
        cmocka_unit_test(a_refusal_reaches_a_client_that_is_still_sending),
        cmocka_unit_test(slow_heads_and_bodies_time_out),
        cmocka_unit_test(connections_past_the_limit_are_closed),
        cmocka_unit_test(a_slow_reader_gets_everything_in_the_end),
        cmocka_unit_test(large_replies_are_compressed_on_request),
        cmocka_unit_test(the_unix_socket_says_who_calls),
        cmocka_unit_test(a_port_that_is_taken_is_an_error),
    };
    const struct CMUnitTest ends[] = {
        cmocka_unit_test(draining_finishes_what_runs_and_closes_what_is_idle),
    };
    int failed = cmocka_run_group_tests(tests, start, stop);
    return failed + cmocka_run_group_tests(ends, NULL, NULL);
}
