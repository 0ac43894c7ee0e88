/* test_http_socket.c - the server on real sockets: TCP, Unix, TLS, limits, later replies, drain. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "net/pool.h"

#include "test.h"

enum { REPLY_BYTES = 4 * 1024 * 1024, WAIT_MS = 20000 };

/* ---- a program that echoes; "/later" answers from a worker, "/big?N" with N bytes ---- */

struct app {
    struct http_server_config config;
    struct http_server *server;
    struct pool *pool;
    _Atomic int thread_count, conn_user_count, handled_count, later_ms;
    char dir[64], cert[96], key[96], socket[96];
};

struct app_thread {
    struct app *app;
    struct loop *loop;
};

struct later {
    struct pool_task task;
    struct loop_message message;
    struct http_exchange *x;
    struct app_thread *thread;
};

static void *app_thread_new(void *context, int index, struct loop *loop)
{
    struct app_thread *thread = calloc(1, sizeof(*thread));
    (void)index;
    assert(thread);
    thread->app = context;
    thread->loop = loop;
    atomic_fetch_add(&thread->app->thread_count, 1);
    return thread;
}

static void app_thread_free(void *arg)
{
    struct app_thread *thread = arg;
    atomic_fetch_sub(&thread->app->thread_count, 1);
    free(thread);
}

static void app_conn_user_free(void *conn_user)
{
    struct app **app = conn_user;
    atomic_fetch_sub(&(*app)->conn_user_count, 1);
    free(conn_user);
}

static void app_admit(struct http_exchange *x, struct http_admission *admission)
{
    (void)admission;
    if (!x->conn_user) {
        struct app_thread *thread = x->thread;
        struct app **app = x->conn_user = malloc(sizeof(*app));
        assert(app);
        *app = thread->app;
        atomic_fetch_add(&thread->app->conn_user_count, 1);
    }
}

static void say(struct http_exchange *x)
{
    struct buf *body = &x->response.body;
    buf_str(body, x->request.path);
    buf_char(body, ' ');
    buf_text(body, x->peer->is_unix ? "unix" : x->peer->is_tls ? "tls" : "tcp");
    buf_char(body, ' ');
    buf_str(body, x->request.body);
}

static void reply_later(struct loop_message *message)
{
    struct later *later = CONTAINER_OF(message, struct later, message);
    http_reply(later->x);
    free(later);
}

static void work(struct pool_task *task)
{
    struct later *later = CONTAINER_OF(task, struct later, task);
    poll(NULL, 0, later->thread->app->later_ms);
    say(later->x);
    loop_post(later->thread->loop, &later->message);
}

static void app_handle(struct http_exchange *x)
{
    struct app_thread *thread = x->thread;
    static const char page[4096];
    int64_t size;
    x->response.content_type = "text/plain";
    atomic_fetch_add(&thread->app->handled_count, 1);
    if (str_equal_c(x->request.path, "/later")) {
        struct later *later = calloc(1, sizeof(*later));
        struct err err;
        assert(later);
        *later = (struct later){{.fn = work}, {.fn = reply_later}, x, thread};
        if (pool_submit(thread->app->pool, &later->task, &err))
            abort();
        return;
    }
    say(x);
    if (str_equal_c(x->request.path, "/big") && str_to_i64(x->request.query, &size))
        while (x->response.body.len < (size_t)size)
            buf_append(&x->response.body, page, sizeof(page));
    http_reply(x);
}

static void app_refuse(const struct http_refusal *refusal, const struct http_request *request,
                       struct http_response *response)
{
    (void)request;
    response->status = refusal->status;
    buf_text(&response->body, refusal->message);
}

static enum err_code app_try(struct app *app, struct err *err)
{
    static const char *const listen[] = {"127.0.0.1:0"};
    app->config = (struct http_server_config){
        .listen = listen,
        .listen_count = 1,
        .unix_path = app->socket,
        .thread_count = 2,
        .context = app,
        .thread_new = app_thread_new,
        .thread_free = app_thread_free,
        .admit = app_admit,
        .handle = app_handle,
        .refuse = app_refuse,
        .conn_user_free = app_conn_user_free,
        .tls = {.cert_path = app->cert[0] ? app->cert : NULL,
                .key_path = app->key[0] ? app->key : NULL},
        .limits = {.head_bytes_max = 16384,
                   .body_bytes_max = 8 * 1024 * 1024,
                   .inflated_bytes_max = 8 * 1024 * 1024,
                   .chunks_max = 1000,
                   .connections_max = 20,
                   .pipeline_max = 16,
                   .output_bytes_max = 256 * 1024,
                   .memory_bytes_max = 64 * 1024 * 1024,
                   .compress_bytes_min = 1024,
                   .head_timeout_ms = 300,
                   .body_timeout_ms = 1000,
                   .idle_timeout_ms = 60000,
                   .write_timeout_ms = 1500,
                   .tls_timeout_ms = 300},
    };
    return http_server_start(&app->config, &app->server, err);
}

static void remove_files(const struct app *app)
{
    unlink(app->cert);
    unlink(app->key);
    rmdir(app->dir);
}

static struct app *app_new(void)
{
    struct app *app = calloc(1, sizeof(*app));
    assert(app);
    app->pool = pool_new("test", 2, 100);
    snprintf(app->dir, sizeof(app->dir), "/tmp/slipway-http-XXXXXX");
    assert(mkdtemp(app->dir));
    snprintf(app->socket, sizeof(app->socket), "%s/s", app->dir);
    return app;
}

static struct app *app_start(void)
{
    struct app *app = app_new();
    struct err err = {0};
    if (app_try(app, &err))
        fail_msg("%s", err.msg);
    return app;
}

static void app_stop(struct app *app, int64_t timeout_ms)
{
    http_server_stop(app->server, timeout_ms);
    pool_free(app->pool);
    assert_int_equal(app->thread_count, 0);
    assert_int_equal(app->conn_user_count, 0);
    assert_int_not_equal(access(app->socket, F_OK), 0);
    remove_files(app);
    free(app);
}

/* ---- a client ---- */

static int dial(const struct app *app)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)http_server_port(app->server)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

static void put(int fd, const char *text)
{
    size_t size = strlen(text);
    assert_int_equal(send(fd, text, size, MSG_NOSIGNAL), size);
}

/* Until `what` has come, or the end, or WAIT_MS. */
static const char *get(int fd, const char *what)
{
    static char reply[REPLY_BYTES];
    size_t n = 0;
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    reply[0] = '\0';
    while (n < sizeof(reply) - 1 && !(what && strstr(reply, what)) && poll(&wait, 1, WAIT_MS) > 0) {
        ssize_t got = recv(fd, reply + n, sizeof(reply) - 1 - n, 0);
        if (got <= 0)
            break;
        n += (size_t)got;
        reply[n] = '\0';
    }
    return reply;
}

static struct http_stats stats_of(const struct app *app)
{
    struct http_stats stats;
    http_server_stats(app->server, &stats);
    return stats;
}

static void wait_until_open(const struct app *app, uint64_t open)
{
    for (int i = 0; i < WAIT_MS && stats_of(app).open != open; i++)
        poll(NULL, 0, 1);
    assert_int_equal(stats_of(app).open, open);
}

/* ---- tests ---- */

static void tcp_clients_are_answered_and_kept(void **state)
{
    (void)state;
    struct app *app = app_start();
    int fd = dial(app);
    put(fd, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_non_null(strstr(get(fd, "/2 tcp"), "/1 tcp"));
    put(fd,
        "POST /later HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhiGET /3 HTTP/1.1\r\nHost: h"
        "\r\n\r\n");
    assert_non_null(strstr(get(fd, "/3 tcp"), "/later tcp hi"));
    assert_int_equal(stats_of(app).requests, 4);
    assert_int_equal(stats_of(app).accepted, 1);
    close(fd);
    wait_until_open(app, 0);
    app_stop(app, 1000);
}

static void a_taken_port_is_named(void **state)
{
    (void)state;
    struct app *app = app_start();
    char listen[32];
    const char *const one[] = {listen};
    struct err err = {0};
    struct http_server *second = NULL;
    snprintf(listen, sizeof(listen), "127.0.0.1:%d", http_server_port(app->server));
    struct http_server_config config = app->config;
    config.listen = one;
    config.unix_path = NULL;
    assert_int_equal(http_server_start(&config, &second, &err), ERR_IO);
    assert_non_null(strstr(err.msg, listen));
    assert_non_null(strstr(err.hint, "running"));
    assert_null(second);
    app_stop(app, 1000);
}

static void the_unix_socket_is_private_and_knows_its_callers(void **state)
{
    (void)state;
    struct app *app = app_start();
    struct stat entry;
    struct arena *arena = arena_new(65536);
    struct err err = {0};
    assert_int_equal(stat(app->socket, &entry), 0);
    assert_int_equal(entry.st_mode & 07777, 0600);
    struct http_result result;
    struct http_call call = {.unix_path = app->socket,
                             .method = "POST",
                             .target = STR_LIT("/u"),
                             .body = STR_LIT("hi"),
                             .timeout_ms = WAIT_MS,
                             .reply_bytes_max = 1000};
    assert_int_equal(http_call_run(&call, arena, &result, &err), ERR_OK);
    assert_string_equal(buf_c(&result.body), "/u unix hi");
    buf_done(&result.body);
    struct app *second = app_new(); /* somebody answers there: it stays */
    memcpy(second->socket, app->socket, sizeof(second->socket));
    assert_int_not_equal(app_try(second, &err), ERR_OK);
    assert_non_null(strstr(err.msg, "answers on"));
    assert_int_equal(access(app->socket, F_OK), 0);
    pool_free(second->pool);
    remove_files(second);
    free(second);
    arena_free(arena);
    app_stop(app, 1000);
}

static void a_stale_socket_file_is_replaced(void **state)
{
    (void)state;
    struct app *app = app_new();
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct err err = {0};
    memcpy(at.sun_path, app->socket, sizeof(app->socket));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    close(fd); /* as after kill -9: the file stays */
    assert_int_equal(app_try(app, &err), ERR_OK);
    app_stop(app, 1000);
}

static void too_many_connections_are_closed_at_once(void **state)
{
    (void)state;
    struct app *app = app_start();
    int fds[60];
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        fds[i] = dial(app);
    for (int i = 0; i < WAIT_MS && stats_of(app).accepted + stats_of(app).refused < 60; i++)
        poll(NULL, 0, 1);
    assert_in_range(stats_of(app).accepted, 20, 40); /* 20 per thread; the kernel spreads them */
    assert_int_equal(stats_of(app).accepted + stats_of(app).refused, 60);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        close(fds[i]);
    app_stop(app, 1000);
}

static void slow_heads_time_out(void **state)
{
    (void)state;
    struct app *app = app_start();
    int fd = dial(app);
    put(fd, "GET / HTTP/1.1\r\nHos");
    assert_non_null(strstr(get(fd, NULL), "408 Request Timeout"));
    assert_int_equal(stats_of(app).timeouts, 1);
    close(fd);
    app_stop(app, 1000);
}

static void readers_that_stop_are_cut_and_steady_ones_are_not(void **state)
{
    (void)state;
    struct app *app = app_start();
    int stuck = dial(app), steady = dial(app);
    put(stuck, "GET /big?30000000 HTTP/1.1\r\nHost: h\r\n\r\n");
    put(steady, "GET /big?12000000 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    static char piece[1024 * 1024];
    size_t total = 0;
    for (ssize_t n; (n = recv(steady, piece, sizeof(piece), 0)) > 0; total += (size_t)n)
        poll(NULL, 0, 50);
    if (total <= 12000000)
        fail_msg("%zu bytes, %d timeouts", total, (int)stats_of(app).timeouts);
    wait_until_open(app, 0);
    assert_int_equal(stats_of(app).timeouts, 1);
    close(stuck);
    close(steady);
    app_stop(app, 1000);
}

static void large_bodies_come_whole(void **state)
{
    (void)state;
    struct app *app = app_start();
    struct arena *arena = arena_new(65536);
    struct err err = {0};
    struct http_result result;
    size_t size = 3 * 1024 * 1024;
    char *body = malloc(size), url[64];
    assert_non_null(body);
    for (size_t i = 0; i < size; i++)
        body[i] = (char)('a' + i % 26);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d", http_server_port(app->server));
    for (int later = 0; later <= 1; later++) {
        struct http_call call = {.url = url,
                                 .method = "POST",
                                 .target = later ? STR_LIT("/later") : STR_LIT("/now"),
                                 .body = {body, size},
                                 .timeout_ms = WAIT_MS,
                                 .reply_bytes_max = 2 * size};
        assert_int_equal(http_call_run(&call, arena, &result, &err), ERR_OK);
        size_t prefix = strlen(later ? "/later tcp " : "/now tcp ");
        assert_int_equal(result.body.len, size + prefix);
        assert_memory_equal(result.body.data + prefix, body, size);
        buf_done(&result.body);
    }
    free(body);
    arena_free(arena);
    app_stop(app, 1000);
}

static void draining_lets_running_requests_finish(void **state)
{
    (void)state;
    struct app *app = app_start();
    app->later_ms = 300;
    int busy = dial(app), idle = dial(app);
    put(idle, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n");
    get(idle, "/1 tcp");
    put(busy, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
    for (int i = 0; i < WAIT_MS && app->handled_count < 2; i++)
        poll(NULL, 0, 1);
    app_stop(app, WAIT_MS);
    assert_string_equal(get(idle, NULL), "");
    const char *reply = get(busy, NULL);
    assert_non_null(strstr(reply, "/later tcp"));
    assert_non_null(strstr(reply, "Connection: close"));
    close(busy);
    close(idle);
}

static void draining_ends_after_its_time(void **state)
{
    (void)state;
    struct app *app = app_start();
    int fds[3] = {dial(app), dial(app), dial(app)};
    app->later_ms = 400;
    put(fds[0], "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n12345");
    put(fds[1], "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
    put(fds[2], "GET /big?50000000 HTTP/1.1\r\nHost: h\r\n\r\n");
    for (int i = 0; i < WAIT_MS && app->handled_count < 2; i++)
        poll(NULL, 0, 1);
    app_stop(app, 50);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
}

/* ---- TLS ---- */

/* A key and a certificate that says it is `name`, signed by itself. */
static void write_cert(const struct app *app, const char *name, bool with_key)
{
    static EVP_PKEY *key;
    if (!key || with_key) {
        EVP_PKEY_free(key);
        key = EVP_EC_gen("P-256");
    }
    X509 *cert = X509_new();
    char alt[64];
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1 + (long)name[0]);
    X509_set_version(cert, 2);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(cert, X509_get_subject_name(cert));
    snprintf(alt, sizeof(alt), "%s:%s", name[0] == '1' ? "IP" : "DNS", name);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, alt);
    X509_add_ext(cert, extension, -1);
    X509_EXTENSION_free(extension);
    X509_sign(cert, key, EVP_sha256());
    FILE *out = fopen(app->cert, "w");
    PEM_write_X509(out, cert);
    fclose(out);
    if (with_key) {
        out = fopen(app->key, "w");
        PEM_write_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL);
        fclose(out);
    }
    X509_free(cert);
}

static enum err_code call_tls(const struct app *app, const char *host, struct str target,
                              char *reply, size_t size, struct err *err)
{
    char url[64];
    struct http_result result;
    struct arena *arena = arena_new(65536);
    snprintf(url, sizeof(url), "https://%s:%d", host, http_server_port(app->server));
    struct http_call call = {.url = url,
                             .tls.ca_path = app->cert,
                             .method = "POST",
                             .target = target,
                             .body = STR_LIT("hi"),
                             .timeout_ms = WAIT_MS,
                             .reply_bytes_max = size};
    enum err_code rc = http_call_run(&call, arena, &result, err);
    if (!rc) {
        snprintf(reply, size, "%s", buf_c(&result.body));
        buf_done(&result.body);
    }
    arena_free(arena);
    return rc;
}

static void tls_is_spoken_checked_and_reloaded(void **state)
{
    (void)state;
    static char reply[2 * 1024 * 1024];
    struct app *app = app_new();
    struct err err = {0};
    snprintf(app->cert, sizeof(app->cert), "%s/cert", app->dir);
    snprintf(app->key, sizeof(app->key), "%s/key", app->dir);
    write_cert(app, "127.0.0.1", true);
    assert_int_equal(app_try(app, &err), ERR_OK);
    assert_int_equal(call_tls(app, "127.0.0.1", STR_LIT("/a"), reply, sizeof(reply), &err), ERR_OK);
    assert_string_equal(reply, "/a tls hi");
    assert_int_equal(call_tls(app, "127.0.0.1", STR_LIT("/later"), reply, sizeof(reply), &err),
                     ERR_OK);
    assert_string_equal(reply, "/later tls hi");
    assert_int_equal(
        call_tls(app, "127.0.0.1", STR_LIT("/big?1500000"), reply, sizeof(reply), &err), ERR_OK);
    assert_string_equal(reply, "/big tls hi"); /* and NULs behind it */

    int fd = dial(app); /* not TLS */
    put(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    get(fd, NULL);
    close(fd);
    assert_int_equal(stats_of(app).tls_errors, 1);
    fd = dial(app); /* a handshake that never comes */
    get(fd, NULL);
    close(fd);

    write_cert(app, "localhost", true);
    assert_int_equal(http_server_reload_tls(app->server, &err), ERR_OK);
    assert_int_equal(call_tls(app, "localhost", STR_LIT("/b"), reply, sizeof(reply), &err), ERR_OK);
    assert_int_not_equal(call_tls(app, "127.0.0.1", STR_LIT("/b"), reply, sizeof(reply), &err),
                         ERR_OK);
    assert_non_null(strstr(err.msg, "not trusted"));

    struct app other = *app;
    snprintf(other.key, sizeof(other.key), "%s/other", app->dir);
    write_cert(&other, "localhost", true); /* the certificate now belongs to another key */
    assert_int_not_equal(http_server_reload_tls(app->server, &err), ERR_OK);
    assert_non_null(strstr(err.msg, "does not belong"));
    unlink(other.key);
    app_stop(app, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tcp_clients_are_answered_and_kept),
        cmocka_unit_test(a_taken_port_is_named),
        cmocka_unit_test(the_unix_socket_is_private_and_knows_its_callers),
        cmocka_unit_test(a_stale_socket_file_is_replaced),
        cmocka_unit_test(too_many_connections_are_closed_at_once),
        cmocka_unit_test(slow_heads_time_out),
        cmocka_unit_test(readers_that_stop_are_cut_and_steady_ones_are_not),
        cmocka_unit_test(large_bodies_come_whole),
        cmocka_unit_test(draining_lets_running_requests_finish),
        cmocka_unit_test(draining_ends_after_its_time),
        cmocka_unit_test(tls_is_spoken_checked_and_reloaded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
