/* test_listeners.c - sockets that are bound here, handed over by somebody else, shared, refused. */
#include "net/listeners.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "net/http_server.h"
#include "test.h"

static int bound_socket(int port, int *got)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    getsockname(fd, (struct sockaddr *)&address, &size);
    *got = ntohs(address.sin_port);
    return fd;
}

static int listening_socket(int *port)
{
    int fd = bound_socket(0, port);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

static const char *loopback(int port, char text[32])
{
    snprintf(text, 32, "127.0.0.1:%d", port);
    return text;
}

static void one_socket_a_thread_is_bound(void **state)
{
    (void)state;
    struct listeners listeners;
    struct err err = {0};
    assert_int_equal(listeners_open("127.0.0.1:0", 3, NULL, &listeners, &err), ERR_OK);
    assert_int_equal(listeners.count, 3);
    assert_true(listeners.port > 0);
    listeners_close(&listeners);
}

static void a_port_that_is_taken_is_refused(void **state)
{
    (void)state;
    char text[32];
    int port, fd = listening_socket(&port);
    struct listeners listeners;
    struct err err = {0};
    assert_int_equal(listeners_open(loopback(port, text), 2, NULL, &listeners, &err), ERR_IO);
    assert_non_null(strstr(err.hint, "another program has it"));
    close(fd);
}

/* Two sockets of one address and one thread: both are listened on. Three threads: they share. */
static void a_socket_handed_over_is_taken_by_its_address(void **state)
{
    (void)state;
    char text[32];
    int port, fd = listening_socket(&port);
    struct inherited *inherited = inherited_new();
    struct listeners listeners;
    struct err err = {0};
    assert_int_equal(inherited_add(inherited, NULL, fd, false, &err), ERR_OK);
    assert_int_equal(inherited_check_taken(inherited, &err), ERR_INVALID);
    assert_non_null(strstr(err.msg, loopback(port, text)));
    err = (struct err){0};
    assert_int_equal(listeners_open(text, 3, inherited, &listeners, &err), ERR_OK);
    assert_int_equal(listeners.count, 3);
    assert_int_equal(listeners.fds[0], fd);
    assert_int_equal(listeners.port, port);
    assert_int_equal(inherited_check_taken(inherited, &err), ERR_OK);
    listeners_close(&listeners);
    inherited_free(inherited, false);
}

static void all_sockets_of_an_address_are_taken(void **state)
{
    (void)state;
    int port;
    struct inherited *inherited = inherited_new();
    struct listeners listeners;
    struct err err = {0};
    for (int i = 0; i < 3; i++) /* as port 0 was asked for: their addresses say nothing */
        assert_int_equal(
            inherited_add(inherited, "127.0.0.1:0", listening_socket(&port), true, &err), ERR_OK);
    assert_int_equal(listeners_open("127.0.0.1:0", 2, inherited, &listeners, &err), ERR_OK);
    assert_int_equal(listeners.count, 3);
    listeners_close(&listeners);
    inherited_free(inherited, false);
}

static void what_does_not_listen_is_refused(void **state)
{
    (void)state;
    int port, fds[2], bound = bound_socket(0, &port);
    struct inherited *inherited = inherited_new();
    struct err err = {0};
    assert_int_equal(inherited_add(inherited, NULL, bound, false, &err), ERR_INVALID);
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(inherited_add(inherited, NULL, fds[0], false, &err), ERR_INVALID);
    assert_int_equal(inherited->count, 0);
    inherited_free(inherited, false);
    close(fds[0]), close(fds[1]), close(bound);
}

/* Those for another process stay where they are, and the variables go in any case. */
static void sockets_of_another_process_are_left_alone(void **state)
{
    (void)state;
    struct inherited *inherited = inherited_new();
    struct err err = {0};
    setenv("LISTEN_FDS", "1", 1);
    setenv("LISTEN_PID", "1", 1);
    assert_int_equal(inherited_from_systemd(inherited, &err), ERR_OK);
    assert_int_equal(inherited->count, 0);
    assert_null(getenv("LISTEN_FDS"));
    assert_null(getenv("LISTEN_PID"));
    setenv("LISTEN_FDS", "100000", 1);
    char pid[16];
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    setenv("LISTEN_PID", pid, 1);
    assert_int_equal(inherited_from_systemd(inherited, &err), ERR_LIMIT);
    inherited_free(inherited, false);
}

static bool is_there(const char *path)
{
    struct stat entry;
    return lstat(path, &entry) == 0;
}

/* The file of a dropped one of ours goes, that of somebody else's stays, and so does that of a
 * process which goes on. */
static void a_unix_socket_is_taken_by_its_path(void **state)
{
    (void)state;
    char folder[] = "/tmp/slipway-listeners-XXXXXX", path[64], other[64];
    struct inherited *inherited = inherited_new();
    struct listeners first, again, dropped;
    struct stat entry;
    struct err err = {0};
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/a", folder);
    snprintf(other, sizeof(other), "%s/b", folder);
    assert_int_equal(listeners_open_unix(path, NULL, &first, &err), ERR_OK);
    assert_true(first.is_ours);
    assert_int_equal(stat(path, &entry), 0);
    assert_int_equal(entry.st_mode & 0777, 0600);
    assert_int_equal(listeners_open_unix(path, NULL, &again, &err), ERR_CONFLICT);
    assert_int_equal(listeners_open_unix(other, NULL, &dropped, &err), ERR_OK);
    struct inherited *failed = inherited_new();
    assert_int_equal(inherited_add(failed, "", dup(dropped.fds[0]), true, &err), ERR_OK);
    inherited_free(failed, false);
    assert_true(is_there(other));
    assert_int_equal(inherited_add(inherited, "", first.fds[0], false, &err), ERR_OK);
    assert_int_equal(inherited_add(inherited, "", dropped.fds[0], true, &err), ERR_OK);
    listeners_forget(&first);
    listeners_forget(&dropped);
    assert_int_equal(listeners_open_unix(path, inherited, &again, &err), ERR_OK);
    assert_false(again.is_ours);
    assert_true(again.is_taken);
    inherited_free(inherited, true);
    assert_false(is_there(other));
    assert_true(is_there(path));
    listeners_close(&again);
    unlink(path);
    rmdir(folder);
}

/* It has the Unix socket of the process before already when it finds that it cannot start. */
static void a_server_that_does_not_start_leaves_the_file(void **state)
{
    (void)state;
    char folder[] = "/tmp/slipway-listeners-XXXXXX", path[64];
    struct inherited *inherited = inherited_new();
    struct listeners before;
    struct http_server *server;
    struct err err = {0};
    int port;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/a", folder);
    assert_int_equal(listeners_open_unix(path, NULL, &before, &err), ERR_OK);
    assert_int_equal(inherited_add(inherited, "", before.fds[0], true, &err), ERR_OK);
    assert_int_equal(inherited_add(inherited, NULL, listening_socket(&port), false, &err), ERR_OK);
    listeners_forget(&before);
    const struct http_server_config config = {
        .unix_path = path, .inherited = inherited, .thread_count = 1};
    assert_int_equal(http_server_start(&config, &server, &err), ERR_INVALID);
    assert_true(inherited->sockets[0].is_taken);
    assert_true(is_there(path));
    inherited_free(inherited, false);
    unlink(path);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_socket_a_thread_is_bound),
        cmocka_unit_test(a_port_that_is_taken_is_refused),
        cmocka_unit_test(a_socket_handed_over_is_taken_by_its_address),
        cmocka_unit_test(all_sockets_of_an_address_are_taken),
        cmocka_unit_test(what_does_not_listen_is_refused),
        cmocka_unit_test(sockets_of_another_process_are_left_alone),
        cmocka_unit_test(a_unix_socket_is_taken_by_its_path),
        cmocka_unit_test(a_server_that_does_not_start_leaves_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
