/* http_server.c - listeners and loop threads: start, drain, end. */
#include "net/http_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "net/conn.h"

enum { SERVER_MAGIC = 0x48545450, TICK_MS = 250, BACKLOG = 1024, HOST_BYTES = 256 };

struct http_server {
    uint32_t magic;
    struct http_server_config config;
    struct http_thread *threads; /* [config.thread_count] */
    int thread_count;            /* started */
    int port;
    struct tls_context *tls; /* under tls_lock */
    pthread_mutex_t tls_lock;
    pthread_mutex_t end_lock;
    pthread_cond_t end;
    int ended_count;
};

/* ---- addresses ---- */

struct address {
    struct sockaddr_storage bytes;
    socklen_t size;
};

static enum err_code bad_address(const char *listen, struct err *err)
{
    err_set(err, ERR_INVALID, "'%s' is not an address to listen on", listen);
    return err_hint(err, "write host:port, such as 127.0.0.1:8080, [::1]:8080 or 0.0.0.0:80");
}

/* "127.0.0.1:80", "[::1]:80", "localhost:80" -> numbers; names are resolved once, here. */
static enum err_code parse_address(const char *listen, struct address *address, struct err *err)
{
    char host[HOST_BYTES];
    const char *colon = strrchr(listen, ':');
    uint64_t port;
    if (!colon || colon == listen || (size_t)(colon - listen) >= sizeof(host) ||
        !str_to_u64(str_of(colon + 1), &port) || port > 65535)
        return bad_address(listen, err);
    bool is_bracketed = listen[0] == '[' && colon[-1] == ']';
    size_t length = (size_t)(colon - listen) - (is_bracketed ? 2 : 0);
    memcpy(host, listen + is_bracketed, length);
    host[length] = '\0';
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
    int rc = getaddrinfo(host, colon + 1, &hints, &found);
    if (rc != 0) {
        err_set(err, ERR_INVALID, "'%s': %s", listen, gai_strerror(rc));
        return err_hint(err, "write host:port, such as 127.0.0.1:8080");
    }
    memcpy(&address->bytes, found->ai_addr, found->ai_addrlen);
    address->size = found->ai_addrlen;
    freeaddrinfo(found);
    return ERR_OK;
}

static int port_of(int fd)
{
    struct sockaddr_storage bytes;
    socklen_t size = sizeof(bytes);
    if (getsockname(fd, (struct sockaddr *)&bytes, &size) != 0)
        return -1;
    if (bytes.ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)(const void *)&bytes)->sin6_port);
    return ntohs(((const struct sockaddr_in *)(const void *)&bytes)->sin_port);
}

static enum err_code bind_failed(const char *listen, int errnum, struct err *err)
{
    err_set_errno(err, errnum, "listening on %s", listen);
    err->code = ERR_IO;
    if (errnum == EADDRINUSE)
        return err_hint(err,
                        "another program has it: is a slipway running already? Another address: "
                        "--listen 127.0.0.1:8081, or SLIPWAY_LISTEN");
    if (errnum == EACCES)
        return err_hint(err, "ports below 1024 need a privilege; take a higher one");
    return err_hint(err, "is this one of the machine's addresses?");
}

static enum err_code bind_tcp(const char *listen, const struct address *address, int *out,
                              struct err *err)
{
    int one = 1;
    int fd = socket(address->bytes.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return bind_failed(listen, errno, err);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
    if (address->bytes.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
    if (bind(fd, (const struct sockaddr *)&address->bytes, address->size) != 0) {
        int errnum = errno;
        close(fd);
        return bind_failed(listen, errnum, err);
    }
    *out = fd;
    return ERR_OK;
}

/* SO_REUSEPORT would let a second program of the same user share the port unnoticed. */
static enum err_code check_free(const char *listen, const struct address *address, struct err *err)
{
    int one = 1, errnum = 0;
    int fd = socket(address->bytes.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return bind_failed(listen, errno, err);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (address->bytes.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
    if (bind(fd, (const struct sockaddr *)&address->bytes, address->size) != 0)
        errnum = errno;
    close(fd);
    return errnum ? bind_failed(listen, errnum, err) : ERR_OK;
}

/* ---- listening ---- */

static void on_tcp(uv_stream_t *listener, int status)
{
    struct http_thread *thread = listener->data;
    if (status != 0)
        return;
    pthread_mutex_lock(&thread->server->tls_lock);
    struct tls_context *tls = thread->server->tls;
    if (tls)
        tls_context_ref(tls);
    pthread_mutex_unlock(&thread->server->tls_lock);
    conn_accept(thread, listener, false, tls);
    tls_context_unref(tls);
}

static void on_unix(uv_stream_t *listener, int status)
{
    if (status == 0)
        conn_accept(listener->data, listener, true, NULL);
}

static enum err_code listen_tcp(struct http_thread *thread, const char *listen, int fd,
                                struct err *err)
{
    uv_tcp_t *listener = &thread->listeners[thread->listener_count];
    uv_tcp_init(loop_uv(thread->loop), listener);
    thread->listener_count++;
    listener->data = thread;
    int rc = uv_tcp_open(listener, fd);
    if (rc != 0) {
        close(fd);
        return bind_failed(listen, -rc, err);
    }
    rc = uv_listen((uv_stream_t *)listener, BACKLOG, on_tcp);
    return rc ? bind_failed(listen, -rc, err) : ERR_OK;
}

/* Is somebody answering on this socket file? */
static bool is_unix_alive(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
    bool is_alive = fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
    if (fd >= 0)
        close(fd);
    return is_alive;
}

static enum err_code clear_unix(const char *path, struct err *err)
{
    struct stat entry;
    if (lstat(path, &entry) != 0)
        return ERR_OK;
    if (!S_ISSOCK(entry.st_mode)) {
        err_set(err, ERR_EXISTS, "'%s' is there already and is no socket", path);
        return err_hint(err, "remove it, or choose another path with --unix-socket");
    }
    if (is_unix_alive(path)) {
        err_set(err, ERR_CONFLICT, "a server answers on '%s' already", path);
        return err_hint(err, "stop it first, or choose another path with --unix-socket");
    }
    unlink(path); /* left by a process that was killed */
    return ERR_OK;
}

static enum err_code listen_unix(struct http_thread *thread, const char *path, struct err *err)
{
    struct sockaddr_un address;
    if (strlen(path) >= sizeof(address.sun_path)) {
        err_set(err, ERR_INVALID, "the socket path '%s' is longer than %zu bytes", path,
                sizeof(address.sun_path) - 1);
        return err_hint(err, "choose a shorter one with --unix-socket");
    }
    enum err_code rc = clear_unix(path, err);
    if (rc)
        return rc;
    uv_pipe_init(loop_uv(thread->loop), &thread->unix_listener, 0);
    thread->has_unix_listener = true;
    thread->unix_listener.data = thread;
    mode_t before = umask(0177); /* no moment in which others may connect */
    int bound = uv_pipe_bind(&thread->unix_listener, path);
    umask(before);
    if (bound != 0)
        return bind_failed(path, -bound, err);
    int listening = uv_listen((uv_stream_t *)&thread->unix_listener, BACKLOG, on_unix);
    return listening ? bind_failed(path, -listening, err) : ERR_OK;
}

/* ---- threads ---- */

/* Something to be done on a loop thread, with an answer. */
struct task {
    struct loop_message message;
    struct http_thread *thread;
    const int *fds; /* [config->listen_count] */
    enum err_code rc;
    struct err *err;
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool is_done;
};

static void on_timer(uv_timer_t *timer)
{
    conn_tick(timer->data);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct http_thread *thread = prepare->data;
    conn_send_all(thread);
    thread->is_clock_old = true;
}

static enum err_code start_thread(struct http_thread *thread, const int *fds, struct err *err)
{
    const struct http_server_config *config = thread->config;
    enum err_code rc = ERR_OK;
    uv_timer_init(loop_uv(thread->loop), &thread->timer);
    uv_idle_init(loop_uv(thread->loop), &thread->idle);
    uv_prepare_init(loop_uv(thread->loop), &thread->prepare);
    uv_prepare_start(&thread->prepare, on_prepare);
    thread->timer.data = thread->idle.data = thread->prepare.data = thread;
    for (int i = 0; i < config->listen_count; i++) {
        if (rc)
            close(fds[i]);
        else
            rc = listen_tcp(thread, config->listen[i], fds[i], err);
    }
    if (!rc && thread->index == 0 && config->unix_path)
        rc = listen_unix(thread, config->unix_path, err);
    if (!rc)
        uv_timer_start(&thread->timer, on_timer, TICK_MS, TICK_MS);
    return rc;
}

static void run_start(struct loop_message *message)
{
    struct task *task = CONTAINER_OF(message, struct task, message);
    task->rc = start_thread(task->thread, task->fds, task->err);
    pthread_mutex_lock(&task->lock);
    task->is_done = true;
    pthread_cond_signal(&task->done);
    pthread_mutex_unlock(&task->lock);
}

static enum err_code start_on_loop(struct http_thread *thread, const int *fds, struct err *err)
{
    struct task task = {.message = {.fn = run_start}, .thread = thread, .fds = fds, .err = err};
    pthread_mutex_init(&task.lock, NULL);
    pthread_cond_init(&task.done, NULL);
    loop_post(thread->loop, &task.message);
    pthread_mutex_lock(&task.lock);
    while (!task.is_done)
        pthread_cond_wait(&task.done, &task.lock);
    pthread_mutex_unlock(&task.lock);
    pthread_mutex_destroy(&task.lock);
    pthread_cond_destroy(&task.done);
    return task.rc;
}

static enum err_code bind_all(struct http_server *server, int thread_index,
                              struct address *addresses, int *fds, struct err *err)
{
    const struct http_server_config *config = &server->config;
    for (int i = 0; i < config->listen_count; i++) {
        enum err_code rc =
            thread_index == 0 ? check_free(config->listen[i], &addresses[i], err) : ERR_OK;
        if (!rc)
            rc = bind_tcp(config->listen[i], &addresses[i], &fds[i], err);
        if (rc) {
            while (i-- > 0)
                close(fds[i]);
            return rc;
        }
        if (thread_index == 0) { /* port 0: the other threads take the port it got */
            addresses[i].size = sizeof(addresses[i].bytes);
            getsockname(fds[i], (struct sockaddr *)&addresses[i].bytes, &addresses[i].size);
            if (i == 0)
                server->port = port_of(fds[i]);
        }
    }
    return ERR_OK;
}

static enum err_code add_thread(struct http_server *server, struct address *addresses,
                                struct err *err)
{
    char name[16];
    int fds[HTTP_LISTEN_MAX];
    int index = server->thread_count;
    struct http_thread *thread = &server->threads[index];
    enum err_code rc = bind_all(server, index, addresses, fds, err);
    if (rc)
        return rc;
    snprintf(name, sizeof(name), "data-%d", index);
    thread->server = server;
    thread->config = &server->config;
    thread->index = index;
    thread->loop = loop_new(name);
    thread->user = server->config.thread_new
                       ? server->config.thread_new(server->config.context, index, thread->loop)
                       : server->config.context;
    http_thread_init(thread);
    server->thread_count++;
    return start_on_loop(thread, fds, err);
}

static enum err_code start_all(struct http_server *server, struct err *err)
{
    const struct http_server_config *config = &server->config;
    struct address addresses[HTTP_LISTEN_MAX];
    enum err_code rc = ERR_OK;
    if (config->tls_cert_path)
        rc = tls_context_new(config->tls_cert_path, config->tls_key_path, &server->tls, err);
    for (int i = 0; !rc && i < config->listen_count; i++)
        rc = parse_address(config->listen[i], &addresses[i], err);
    for (int i = 0; !rc && i < config->thread_count; i++)
        rc = add_thread(server, addresses, err);
    return rc;
}

enum err_code http_server_start(const struct http_server_config *config, struct http_server **out,
                                struct err *err)
{
    struct http_server *server = calloc(1, sizeof(*server));
    assert(config->thread_count >= 1 && config->thread_count <= HTTP_THREADS_MAX);
    assert(config->listen_count >= 0 && config->listen_count <= HTTP_LISTEN_MAX);
    if (!server)
        abort();
    signal(SIGPIPE, SIG_IGN);
    server->magic = SERVER_MAGIC;
    server->config = *config;
    server->port = -1;
    server->threads = calloc((size_t)config->thread_count, sizeof(*server->threads));
    if (!server->threads)
        abort();
    pthread_mutex_init(&server->tls_lock, NULL);
    pthread_mutex_init(&server->end_lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&server->end, &attr);
    pthread_condattr_destroy(&attr);
    enum err_code rc = start_all(server, err);
    if (rc) {
        http_server_stop(server, 0);
        return rc;
    }
    *out = server;
    return ERR_OK;
}

/* ---- questions ---- */

int http_server_port(const struct http_server *server)
{
    return server->port;
}

int http_server_thread_count(const struct http_server *server)
{
    return server->thread_count;
}

struct loop *http_server_loop(const struct http_server *server, int thread_index)
{
    assert(thread_index >= 0 && thread_index < server->thread_count);
    return server->threads[thread_index].loop;
}

void http_server_stats(const struct http_server *server, struct http_stats *stats)
{
    *stats = (struct http_stats){0};
    for (int i = 0; i < server->thread_count; i++) {
        const struct thread_stats *t = &server->threads[i].stats;
        stats->accepted += counter_read(&t->accepted);
        stats->refused += counter_read(&t->refused);
        stats->open += counter_read(&t->open);
        stats->requests += counter_read(&t->requests);
        stats->bytes_in += counter_read(&t->bytes_in);
        stats->bytes_out += counter_read(&t->bytes_out);
        stats->timeouts += counter_read(&t->timeouts);
        stats->parse_errors += counter_read(&t->parse_errors);
        stats->tls_errors += counter_read(&t->tls_errors);
    }
}

enum err_code http_server_reload_tls(struct http_server *server, struct err *err)
{
    struct tls_context *fresh;
    CHECK_MAGIC(server, SERVER_MAGIC);
    enum err_code rc =
        tls_context_new(server->config.tls_cert_path, server->config.tls_key_path, &fresh, err);
    if (rc)
        return rc;
    pthread_mutex_lock(&server->tls_lock);
    struct tls_context *old = server->tls;
    server->tls = fresh;
    pthread_mutex_unlock(&server->tls_lock);
    tls_context_unref(old);
    return ERR_OK;
}

/* ---- the end ---- */

void http_thread_check_end(struct http_thread *thread)
{
    if (!thread->is_draining || thread->is_ended || !conn_is_quiet(thread))
        return;
    struct http_server *server = thread->server;
    thread->is_ended = true;
    pthread_mutex_lock(&server->end_lock);
    server->ended_count++;
    pthread_cond_signal(&server->end);
    pthread_mutex_unlock(&server->end_lock);
}

static void drain_thread(struct loop_message *message)
{
    struct http_thread *thread = CONTAINER_OF(message, struct http_thread, drain);
    thread->is_draining = true;
    for (int i = 0; i < thread->listener_count; i++)
        uv_close((uv_handle_t *)&thread->listeners[i], NULL);
    if (thread->has_unix_listener)
        uv_close((uv_handle_t *)&thread->unix_listener, NULL); /* removes the file */
    conn_drain_all(thread);
    http_thread_check_end(thread);
}

static void close_thread(struct loop_message *message)
{
    struct http_thread *thread = CONTAINER_OF(message, struct http_thread, close);
    conn_close_all(thread);
    http_thread_check_end(thread);
}

/* Each has its own message: a loop that is busy may not have run the first one yet. */
static void post_drain(struct http_server *server)
{
    for (int i = 0; i < server->thread_count; i++) {
        server->threads[i].drain.fn = drain_thread;
        loop_post(server->threads[i].loop, &server->threads[i].drain);
    }
}

static void post_close(struct http_server *server)
{
    for (int i = 0; i < server->thread_count; i++) {
        server->threads[i].close.fn = close_thread;
        loop_post(server->threads[i].loop, &server->threads[i].close);
    }
}

/* True when all threads are quiet; false when `timeout_ms` (negative: never) is over. */
static bool wait_for_end(struct http_server *server, int64_t timeout_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += timeout_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    int rc = 0;
    pthread_mutex_lock(&server->end_lock);
    while (server->ended_count < server->thread_count && rc == 0)
        rc = timeout_ms < 0 ? pthread_cond_wait(&server->end, &server->end_lock)
                            : pthread_cond_timedwait(&server->end, &server->end_lock, &until);
    bool is_over = server->ended_count == server->thread_count;
    pthread_mutex_unlock(&server->end_lock);
    return is_over;
}

void http_server_stop(struct http_server *server, int64_t timeout_ms)
{
    CHECK_MAGIC(server, SERVER_MAGIC);
    post_drain(server);
    if (!wait_for_end(server, timeout_ms)) {
        post_close(server);
        wait_for_end(server, -1);
    }
    for (int i = 0; i < server->thread_count; i++) {
        struct http_thread *thread = &server->threads[i];
        loop_stop(thread->loop);
        http_thread_done(thread);
        if (server->config.thread_free)
            server->config.thread_free(thread->user);
    }
    tls_context_unref(server->tls);
    pthread_mutex_destroy(&server->tls_lock);
    pthread_mutex_destroy(&server->end_lock);
    pthread_cond_destroy(&server->end);
    server->magic = 0;
    free(server->threads);
    free(server);
}
