/* test_watchdog.c - systemd hears WATCHDOG=1 while all data threads turn, and not when one hangs.
 */
#include "api/watchdog.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/notify.h"
#include "test.h"

enum { SECOND_US = 1000000, THREADS = 2 };

/* An abstract socket, as systemd's user manager has one. */
static int notify_socket(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char name[64];
    int len = snprintf(name, sizeof(name), "@slipway-watchdog-%d", (int)getpid());
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    memcpy(address.sun_path, name, (size_t)len);
    address.sun_path[0] = '\0';
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)len);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    setenv("NOTIFY_SOCKET", name, 1);
    return fd;
}

static bool hears(int fd, const char *text)
{
    char got[256] = "";
    ssize_t len = recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT);
    return len == (ssize_t)strlen(text) && strcmp(got, text) == 0;
}

static void handle(struct http_exchange *x)
{
    http_reply(x);
}

static void admit(struct http_exchange *x, struct http_admission *admission)
{
    (void)x, (void)admission;
}

static void refuse(const struct http_refusal *refusal, const struct http_request *request,
                   struct http_response *response)
{
    (void)refusal, (void)request, (void)response;
}

/* One thread stands still until it is let go. */
struct stop {
    struct loop_message message;
    pthread_mutex_t held;
};

static void stand_still(struct loop_message *message)
{
    struct stop *stop = CONTAINER_OF(message, struct stop, message);
    pthread_mutex_lock(&stop->held);
    pthread_mutex_unlock(&stop->held);
}

/* What was posted to these loops before has run. */
struct pass {
    struct loop_message message;
    pthread_mutex_t *lock;
    pthread_cond_t *done;
    int *left;
};

static void pass(struct loop_message *message)
{
    const struct pass *pass = CONTAINER_OF(message, struct pass, message);
    pthread_mutex_lock(pass->lock);
    (*pass->left)--;
    pthread_cond_signal(pass->done);
    pthread_mutex_unlock(pass->lock);
}

static void wait_for_loops(struct http_server *server, int first, int count)
{
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t done = PTHREAD_COND_INITIALIZER;
    struct pass passes[THREADS];
    int left = count;
    for (int i = 0; i < count; i++) {
        passes[i] = (struct pass){{.fn = pass}, &lock, &done, &left};
        loop_post(http_server_loop(server, first + i), &passes[i].message);
    }
    pthread_mutex_lock(&lock);
    while (left)
        pthread_cond_wait(&done, &lock);
    pthread_mutex_unlock(&lock);
}

static void a_thread_that_hangs_is_noticed(void **state)
{
    (void)state;
    struct http_server_config config = {
        .thread_count = THREADS,
        .limits = {.connections_max = 10, .head_bytes_max = 1024, .memory_bytes_max = 65536},
        .admit = admit,
        .handle = handle,
        .refuse = refuse};
    struct stop stop = {.message = {.fn = stand_still}};
    struct http_server *server;
    struct err err = {0};
    int fd = notify_socket();
    pthread_mutex_init(&stop.held, NULL);
    setenv("WATCHDOG_USEC", "2000000", 1); /* due every second */
    unsetenv("WATCHDOG_PID");
    clock_set_for_test(10 * SECOND_US, 10 * SECOND_US);
    assert_int_equal(http_server_start(&config, &server, &err), ERR_OK);
    struct node node = {.server = server, .thread_count = THREADS};
    struct watchdog *watchdog = watchdog_new(&node);

    assert_in_range(watchdog_run(watchdog), 1000, 1001);
    assert_true(hears(fd, "WATCHDOG=1"));
    wait_for_loops(server, 0, THREADS);

    clock_set_for_test(10 * SECOND_US + SECOND_US / 2, 0); /* half-way: not due */
    assert_in_range(watchdog_run(watchdog), 500, 501);
    assert_false(hears(fd, "WATCHDOG=1"));

    pthread_mutex_lock(&stop.held);
    loop_post(http_server_loop(server, 1), &stop.message);
    clock_set_for_test(11 * SECOND_US, 0);
    watchdog_run(watchdog); /* all had answered; now thread 1 cannot */
    assert_true(hears(fd, "WATCHDOG=1"));
    wait_for_loops(server, 0, 1);

    for (int i = 12; i < 15; i++) {
        clock_set_for_test(i * (int64_t)SECOND_US, 0);
        watchdog_run(watchdog);
        assert_false(hears(fd, "WATCHDOG=1"));
    }
    pthread_mutex_unlock(&stop.held);
    wait_for_loops(server, 0, THREADS);
    clock_set_for_test(15 * (int64_t)SECOND_US, 0);
    watchdog_run(watchdog);
    assert_true(hears(fd, "WATCHDOG=1"));

    http_server_stop(server, 0);
    watchdog_free(watchdog);
    clock_set_for_test(0, 0);
    pthread_mutex_destroy(&stop.held);
    close(fd);
}

static void nobody_waits_without_the_variable(void **state)
{
    (void)state;
    struct node node = {0};
    unsetenv("WATCHDOG_USEC");
    assert_null(watchdog_new(&node));
    assert_int_equal(watchdog_run(NULL), -1);
    setenv("WATCHDOG_USEC", "many", 1);
    assert_null(watchdog_new(&node));
    setenv("WATCHDOG_USEC", "2000000", 1);
    setenv("WATCHDOG_PID", "1", 1); /* somebody else's */
    assert_null(watchdog_new(&node));
}

static void a_socket_that_is_none_is_no_failure(void **state)
{
    (void)state;
    static const char *const names[] = {"", "@", "relative", "/nowhere/at/all", "vsock:2:1234"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        setenv("NOTIFY_SOCKET", names[i], 1);
        notify_send("READY=1");
    }
    unsetenv("NOTIFY_SOCKET");
    notify_send("READY=1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_that_hangs_is_noticed),
        cmocka_unit_test(nobody_waits_without_the_variable),
        cmocka_unit_test(a_socket_that_is_none_is_no_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
