/* http_server.c - listeners and loop threads: start, drain, end. */
#include "net/http_server.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "net/conn.h"

enum { SERVER_MAGIC = 0x48545450, TICK_MS = 250, BACKLOG = 1024 };

struct http_server {
    uint32_t magic;
    struct http_server_config config;
    struct http_thread *threads;                 /* [config.thread_count] */
    int thread_count;                            /* started */
    struct listeners listeners[HTTP_LISTEN_MAX]; /* of each address; the loops' once they run */
    struct listeners unix_listener;
    bool is_retired;         /* the sockets live on elsewhere */
    struct tls_context *tls; /* under tls_lock */
    struct tls_tickets *tickets;
    pthread_mutex_t tls_lock;
    pthread_mutex_t end_lock;
    pthread_cond_t end;
    int ended_count;
};

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

static enum err_code listen_failed(const char *what, int code, struct err *err)
{
    return err_set(err, ERR_IO, "listening on %s: %s", what, uv_strerror(code));
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
        return listen_failed(listen, rc, err);
    }
    rc = uv_listen((uv_stream_t *)listener, BACKLOG, on_tcp);
    return rc ? listen_failed(listen, rc, err) : ERR_OK;
}

/* The path is not libuv's, which would remove the file with its handle. */
static enum err_code listen_unix(struct http_thread *thread, int fd, struct err *err)
{
    uv_pipe_init(loop_uv(thread->loop), &thread->unix_listener, 0);
    thread->has_unix_listener = true;
    thread->unix_listener.data = thread;
    int rc = uv_pipe_open(&thread->unix_listener, fd);
    if (rc != 0) {
        close(fd);
        return listen_failed("the Unix socket", rc, err);
    }
    rc = uv_listen((uv_stream_t *)&thread->unix_listener, BACKLOG, on_unix);
    return rc ? listen_failed("the Unix socket", rc, err) : ERR_OK;
}

/* Each socket of an address has one thread; see listeners.h. */
static int listener_count(const struct http_server *server, int index)
{
    int count = 0;
    for (int i = 0; i < server->config.listen_count; i++)
        for (int k = index; k < server->listeners[i].count; k += server->config.thread_count)
            count++;
    return count;
}

/* With `rc` from the one before: the others are closed. */
static enum err_code listen_all(struct http_thread *thread, struct err *err)
{
    struct http_server *server = thread->server;
    enum err_code rc = ERR_OK;
    for (int i = 0; i < server->config.listen_count; i++) {
        const struct listeners *of = &server->listeners[i];
        for (int k = thread->index; k < of->count; k += server->config.thread_count) {
            if (rc)
                close(of->fds[k]);
            else
                rc = listen_tcp(thread, server->config.listen[i], of->fds[k], err);
        }
    }
    for (int k = 0; thread->index == 0 && k < server->unix_listener.count; k++) {
        if (rc)
            close(server->unix_listener.fds[k]);
        else
            rc = listen_unix(thread, server->unix_listener.fds[k], err);
    }
    return rc;
}

/* ---- threads ---- */

/* Something to be done on a loop thread, with an answer. */
struct task {
    struct loop_message message;
    struct http_thread *thread;
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

static enum err_code start_thread(struct http_thread *thread, struct err *err)
{
    uv_timer_init(loop_uv(thread->loop), &thread->timer);
    uv_idle_init(loop_uv(thread->loop), &thread->idle);
    uv_prepare_init(loop_uv(thread->loop), &thread->prepare);
    uv_prepare_start(&thread->prepare, on_prepare);
    thread->timer.data = thread->idle.data = thread->prepare.data = thread;
    enum err_code rc = listen_all(thread, err);
    if (!rc)
        uv_timer_start(&thread->timer, on_timer, TICK_MS, TICK_MS);
    return rc;
}

static void run_start(struct loop_message *message)
{
    struct task *task = CONTAINER_OF(message, struct task, message);
    task->rc = start_thread(task->thread, task->err);
    pthread_mutex_lock(&task->lock);
    task->is_done = true;
    pthread_cond_signal(&task->done);
    pthread_mutex_unlock(&task->lock);
}

static enum err_code start_on_loop(struct http_thread *thread, struct err *err)
{
    struct task task = {.message = {.fn = run_start}, .thread = thread, .err = err};
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

static enum err_code add_thread(struct http_server *server, struct err *err)
{
    char name[16];
    int index = server->thread_count;
    struct http_thread *thread = &server->threads[index];
    int count = listener_count(server, index);
    snprintf(name, sizeof(name), "data-%d", index);
    thread->server = server;
    thread->config = &server->config;
    thread->index = index;
    thread->listeners = calloc((size_t)count + 1, sizeof(*thread->listeners));
    if (!thread->listeners)
        abort();
    thread->loop = loop_new(name);
    thread->user = server->config.thread_new
                       ? server->config.thread_new(server->config.context, index, thread->loop)
                       : server->config.context;
    http_thread_init(thread);
    server->thread_count++;
    return start_on_loop(thread, err);
}

static enum err_code open_listeners(struct http_server *server, struct err *err)
{
    const struct http_server_config *config = &server->config;
    enum err_code rc = ERR_OK;
    for (int i = 0; !rc && i < config->listen_count; i++)
        rc = listeners_open(config->listen[i], config->thread_count, config->inherited,
                            &server->listeners[i], err);
    if (!rc && config->unix_path)
        rc = listeners_open_unix(config->unix_path, config->inherited, &server->unix_listener, err);
    return rc ? rc : inherited_check_taken(config->inherited, err);
}

static enum err_code start_all(struct http_server *server, struct err *err)
{
    const struct http_server_config *config = &server->config;
    enum err_code rc = ERR_OK;
    if (config->tls.cert_path) {
        server->tickets = tls_tickets_new();
        if (!tls_tickets_read(server->tickets, config->tls_tickets))
            return err_set(err, ERR_INVALID, "the keys of TLS sessions are not to be read");
        rc = tls_context_new(&config->tls, server->tickets, &server->tls, err);
    }
    if (!rc)
        rc = open_listeners(server, err);
    for (int i = 0; !rc && i < config->thread_count; i++)
        rc = add_thread(server, err);
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
        server->is_retired = server->unix_listener.is_taken; /* who had it goes on */
        http_server_stop(server, 0);
        return rc;
    }
    *out = server;
    return ERR_OK;
}

/* ---- questions ---- */

int http_server_port(const struct http_server *server)
{
    return server->config.listen_count ? server->listeners[0].port : -1;
}

static int put_sockets(const struct listeners *listeners, const char *listen,
                       struct http_socket *sockets)
{
    for (int i = 0; i < listeners->count; i++)
        sockets[i] = (struct http_socket){listen, listeners->fds[i], listeners->is_ours};
    return listeners->count;
}

int http_server_sockets(const struct http_server *server, struct http_socket sockets[LISTENERS_MAX])
{
    int count = 0;
    CHECK_MAGIC(server, SERVER_MAGIC);
    for (int i = 0; i < server->config.listen_count; i++) {
        assert(count + server->listeners[i].count < LISTENERS_MAX);
        count += put_sockets(&server->listeners[i], server->config.listen[i], sockets + count);
    }
    return count + put_sockets(&server->unix_listener, "", sockets + count);
}

void http_server_tickets(const struct http_server *server, struct buf *out)
{
    if (server->tickets)
        tls_tickets_write(server->tickets, out);
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

static int64_t certificate_end(struct http_server *server)
{
    pthread_mutex_lock(&server->tls_lock);
    int64_t end_us = server->tls ? tls_context_expires_us(server->tls) : 0;
    pthread_mutex_unlock(&server->tls_lock);
    return end_us;
}

void http_server_stats(struct http_server *server, struct http_stats *stats)
{
    *stats = (struct http_stats){.tls_expires_us = certificate_end(server)};
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
        stats->tls_handshakes += counter_read(&t->tls_handshakes);
        stats->tls_resumed += counter_read(&t->tls_resumed);
    }
}

enum err_code http_server_reload_tls(struct http_server *server, struct err *err)
{
    struct tls_context *fresh;
    CHECK_MAGIC(server, SERVER_MAGIC);
    enum err_code rc = tls_context_new(&server->config.tls, server->tickets, &fresh, err);
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

static void close_listeners(struct http_thread *thread)
{
    for (int i = 0; i < thread->listener_count; i++)
        uv_close((uv_handle_t *)&thread->listeners[i], NULL);
    if (thread->has_unix_listener)
        uv_close((uv_handle_t *)&thread->unix_listener, NULL);
    thread->listener_count = 0;
    thread->has_unix_listener = false;
}

static void retire_thread(struct loop_message *message)
{
    struct http_thread *thread = CONTAINER_OF(message, struct http_thread, retire);
    thread->is_retired = true;
    close_listeners(thread);
    conn_retire_all(thread);
}

static void drain_thread(struct loop_message *message)
{
    struct http_thread *thread = CONTAINER_OF(message, struct http_thread, drain);
    thread->is_retired = thread->is_draining = true;
    close_listeners(thread);
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

void http_server_retire(struct http_server *server)
{
    CHECK_MAGIC(server, SERVER_MAGIC);
    server->is_retired = true;
    for (int i = 0; i < server->thread_count; i++) {
        server->threads[i].retire.fn = retire_thread;
        loop_post(server->threads[i].loop, &server->threads[i].retire);
    }
}

/* Sockets that no thread has got are still open. */
static void free_listeners(struct http_server *server)
{
    for (int i = 0; i < server->config.listen_count; i++) {
        struct listeners *of = &server->listeners[i];
        for (int k = 0; k < of->count; k++)
            if (k % server->config.thread_count >= server->thread_count)
                close(of->fds[k]);
        listeners_forget(of);
    }
    if (server->thread_count == 0)
        listeners_close(&server->unix_listener);
    else
        listeners_forget(&server->unix_listener);
}

void http_server_stop(struct http_server *server, int64_t timeout_ms)
{
    CHECK_MAGIC(server, SERVER_MAGIC);
    if (server->unix_listener.is_ours && !server->is_retired)
        unlink(server->config.unix_path);
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
        free(thread->listeners);
    }
    free_listeners(server);
    tls_context_unref(server->tls);
    tls_tickets_free(server->tickets);
    pthread_mutex_destroy(&server->tls_lock);
    pthread_mutex_destroy(&server->end_lock);
    pthread_cond_destroy(&server->end);
    server->magic = 0;
    free(server->threads);
    free(server);
}
