/* load.c - connections to one server, requests as they fall due, replies as they come. */
#include "net/load.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/rand.h"
#include "net/tls_client.h"

enum {
    HEAD_BYTES_MAX = 16 * 1024,
    READ_BYTES = 64 * 1024,
    HOST_BYTES = 256,
    EVENTS_MAX = 64,
    BROKEN_MAX = 10000, /* connections in a row without one answer: the server is gone */
    LATENCY_UNIT_NS = 100,
    SAMPLES_FIRST = 64 * 1024,
};

static const int64_t SECOND_NS = 1000 * 1000 * 1000;

struct link {
    int fd;
    SSL *tls;          /* NULL: plain */
    bool is_busy;      /* a request is under way */
    bool is_counted;   /* it fell due after the warm-up */
    int group, status; /* of it */
    struct str request;
    size_t sent;
    int64_t due_ns, deadline_ns;
    bool is_in_body, is_last; /* its reply: the head is read; the connection ends behind it */
    size_t body_left, head_bytes;
    char head[HEAD_BYTES_MAX];
};

struct load {
    const struct load_config *config;
    struct load_result *result;
    struct addrinfo *address;
    char host[HOST_BYTES]; /* without brackets */
    SSL_CTX *tls;          /* NULL: plain */
    int epoll;
    struct link *links; /* [connections] */
    int *idle;          /* stack of links, [idle_count] */
    int idle_count;
    int64_t start_ns, count_from_ns, end_ns;
    int64_t begun; /* requests, all groups */
    struct rand rand;
    int first_group;         /* of this round */
    int64_t broken_in_a_row; /* connections that gave no answer */
    int64_t capacity[LOAD_GROUPS_MAX];
};

/* ---- connections ---- */

static enum err_code resolve(struct load *load, struct err *err)
{
    const struct load_config *config = load->config;
    char port[16];
    struct str name = config->host;
    if (name.len > 2 && name.ptr[0] == '[')
        name = (struct str){name.ptr + 1, name.len - 2};
    if (name.len >= HOST_BYTES)
        return err_set(err, ERR_INVALID, "the host's name has more than %d bytes", HOST_BYTES);
    memcpy(load->host, name.ptr, name.len);
    load->host[name.len] = '\0';
    snprintf(port, sizeof(port), "%d", config->port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    int rc = getaddrinfo(load->host, port, &hints, &load->address);
    if (rc)
        return err_set(err, ERR_UNAVAILABLE, "no address of '%s': %s", load->host,
                       gai_strerror(rc));
    return config->is_tls ? tls_client_new(&config->tls, &load->tls, err) : ERR_OK;
}

static void close_link(struct link *link)
{
    SSL_free(link->tls);
    link->tls = NULL;
    ERR_clear_error(); /* the next connection's failures are its own */
    if (link->fd >= 0)
        close(link->fd);
    link->fd = -1;
}

static enum err_code connect_failed(const struct load *load, int errnum, struct err *err)
{
    return err_set_errno(err, errnum, "cannot connect to %.*s:%d", STR_ARG(load->config->host),
                         load->config->port);
}

/* Waits for the handshake: it is part of a connection, not of a request. */
static enum err_code start_tls(struct load *load, struct link *link, struct err *err)
{
    enum err_code rc = tls_client_open(load->tls, link->fd, load->host, &link->tls, err);
    if (!rc && SSL_connect(link->tls) != 1)
        rc = tls_client_failed(link->tls, load->host, err);
    return rc;
}

static enum err_code open_link(struct load *load, struct link *link, struct err *err)
{
    const struct addrinfo *to = load->address;
    const struct timeval patience = {.tv_sec = load->config->answer_timeout_ms / 1000,
                                     .tv_usec = load->config->answer_timeout_ms % 1000 * 1000};
    int one = 1;
    link->is_busy = link->is_in_body = link->is_last = false;
    link->head_bytes = link->body_left = 0;
    link->fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (link->fd < 0)
        return connect_failed(load, errno, err);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = link};
    enum err_code rc = ERR_OK;
    setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(link->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (connect(link->fd, to->ai_addr, to->ai_addrlen) != 0 ||
        epoll_ctl(load->epoll, EPOLL_CTL_ADD, link->fd, &event) != 0)
        rc = connect_failed(load, errno, err);
    if (!rc && load->tls)
        rc = start_tls(load, link, err);
    if (!rc && load->tls)
        fcntl(link->fd, F_SETFL, O_NONBLOCK);
    if (rc)
        close_link(link);
    return rc;
}

/* Bytes sent; 0: the socket takes none now; -1: broken. */
static ssize_t link_send(struct link *link, const char *bytes, size_t size)
{
    if (!link->tls) {
        ssize_t n = send(link->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        return n < 0 && errno == EAGAIN ? 0 : n;
    }
    size_t done = 0;
    int rc = SSL_write_ex(link->tls, bytes, size, &done);
    if (rc != 1 && SSL_get_error(link->tls, rc) != SSL_ERROR_WANT_WRITE)
        return -1;
    return (ssize_t)done;
}

/* Bytes read; 0: none are there; -1: broken, or closed. */
static ssize_t link_receive(struct link *link, char *bytes, size_t size)
{
    if (!link->tls) {
        ssize_t n = recv(link->fd, bytes, size, MSG_DONTWAIT);
        return n > 0 ? n : n < 0 && errno == EAGAIN ? 0 : -1;
    }
    size_t done = 0;
    int rc = SSL_read_ex(link->tls, bytes, size, &done);
    if (rc != 1 && SSL_get_error(link->tls, rc) != SSL_ERROR_WANT_READ)
        return -1;
    return (ssize_t)done;
}

static struct load_group *group_of(struct load *load, const struct link *link)
{
    return &load->result->groups[link->group];
}

static void set_idle(struct load *load, struct link *link)
{
    link->is_busy = false;
    load->idle[load->idle_count++] = (int)(link - load->links);
}

/* The connection is of no more use; so is the request that was under way. */
static void break_link(struct load *load, struct link *link)
{
    bool was_busy = link->is_busy;
    if (was_busy && link->is_counted)
        group_of(load, link)->broken++;
    struct err err = {0};
    load->broken_in_a_row++;
    close_link(link);
    if (open_link(load, link, &err))
        load->broken_in_a_row = BROKEN_MAX;
    if (was_busy)
        set_idle(load, link);
}

/* ---- sending ---- */

static void watch(struct load *load, struct link *link, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = link};
    epoll_ctl(load->epoll, EPOLL_CTL_MOD, link->fd, &event);
}

static void push(struct load *load, struct link *link)
{
    bool was_waiting = link->sent > 0;
    ssize_t n = link_send(link, link->request.ptr + link->sent, link->request.len - link->sent);
    if (n < 0) {
        break_link(load, link);
        return;
    }
    link->sent += (size_t)n;
    bool is_waiting = link->sent < link->request.len;
    if (is_waiting || was_waiting)
        watch(load, link, EPOLLIN | (is_waiting ? EPOLLOUT : 0));
}

/* Each round has every group once; who goes first is drawn, so that none always follows another. */
static int next_group(struct load *load)
{
    int groups = load->config->group_count;
    int turn = (int)(load->begun % groups);
    if (turn == 0)
        load->first_group = (int)(rand_u64(&load->rand) % (uint64_t)groups);
    return (load->first_group + turn) % groups;
}

static void begin(struct load *load, int64_t due_ns)
{
    const struct load_config *config = load->config;
    struct link *link = &load->links[load->idle[--load->idle_count]];
    int64_t round = load->begun / config->group_count;
    link->group = next_group(load);
    load->begun++;
    link->request =
        config
            ->requests[link->group * config->request_count + (int)(round % config->request_count)];
    link->sent = 0;
    link->is_busy = true;
    link->due_ns = due_ns;
    link->deadline_ns = clock_monotonic_ns() + config->answer_timeout_ms * 1000000;
    link->is_counted = due_ns >= load->count_from_ns;
    if (link->is_counted)
        group_of(load, link)->sent++;
    push(load, link);
}

/* When the next request falls due; in the closed loop it is now. */
static int64_t next_due(const struct load *load, int64_t now)
{
    if (load->config->rate <= 0)
        return now;
    return load->start_ns + (int64_t)((double)load->begun / load->config->rate * 1e9);
}

static void send_due(struct load *load)
{
    while (load->idle_count) {
        int64_t now = clock_monotonic_ns(), due = next_due(load, now);
        if (due > now || due >= load->end_ns)
            return;
        begin(load, due);
    }
}

/* ---- replies ---- */

static void keep_sample(struct load *load, const struct link *link, int64_t ns)
{
    struct load_group *group = group_of(load, link);
    int64_t *capacity = &load->capacity[link->group];
    if (group->sample_count == LOAD_ANSWERS_MAX)
        return;
    if (group->sample_count == *capacity) {
        *capacity = *capacity ? *capacity * 2 : SAMPLES_FIRST;
        group->samples = realloc(group->samples, (size_t)*capacity * sizeof(*group->samples));
        if (!group->samples)
            abort();
    }
    int64_t units = ns / LATENCY_UNIT_NS;
    int64_t since = link->due_ns - load->count_from_ns;
    int64_t block = since * LOAD_BLOCKS / (load->end_ns - load->count_from_ns);
    group->samples[group->sample_count++] = (struct load_sample){
        .latency = units < UINT32_MAX ? (uint32_t)units : UINT32_MAX,
        .block = (uint8_t)(block < LOAD_BLOCKS ? block : LOAD_BLOCKS - 1),
    };
}

static void count_reply(struct load *load, struct link *link, const char *body, size_t size)
{
    struct load_group *group = group_of(load, link);
    load->broken_in_a_row = 0;
    if (!link->is_counted)
        return;
    group->answered++;
    if (link->status >= 200 && link->status < 300) {
        keep_sample(load, link, clock_monotonic_ns() - link->due_ns);
        return;
    }
    if (group->not_2xx++ == 0) {
        size_t take = size < LOAD_EXAMPLE_BYTES - 1 ? size : LOAD_EXAMPLE_BYTES - 1;
        group->status = link->status;
        memcpy(group->example, body, take);
        group->example[take] = '\0';
    }
}

/* The value of a header in a head that ends in an empty line; ptr NULL when absent. */
static struct str find_header(const char *head, const char *name)
{
    size_t size = strlen(name);
    for (const char *line = strchr(head, '\n'); line; line = strchr(line + 1, '\n')) {
        if (strncasecmp(line + 1, name, size) != 0 || line[1 + size] != ':')
            continue;
        const char *from = line + size + 2;
        return str_trim((struct str){from, strcspn(from, "\r\n")});
    }
    return (struct str){0};
}

/* What the head says of the body; false when it says nothing we can read. */
static bool read_head(struct link *link)
{
    int64_t length = 0;
    struct str text = find_header(link->head, "Content-Length");
    struct str connection = find_header(link->head, "Connection");
    if (strncmp(link->head, "HTTP/1.1 ", 9) != 0)
        return false;
    link->status = (int)strtol(link->head + 9, NULL, 10);
    if (!text.ptr && link->status != 204)
        return false; /* chunked, or until the connection ends: this server sends neither */
    if (text.ptr && (!str_to_i64(text, &length) || length < 0))
        return false;
    link->is_last = connection.ptr && str_equal_nocase(connection, STR_LIT("close"));
    link->body_left = (size_t)length;
    link->is_in_body = true;
    return true;
}

/* Bytes taken of the head; 0 when it is broken. */
static size_t take_head(struct load *load, struct link *link, const char *bytes, size_t size)
{
    size_t before = link->head_bytes, room = HEAD_BYTES_MAX - 1 - before;
    size_t take = size < room ? size : room, from = before > 3 ? before - 3 : 0;
    memcpy(link->head + before, bytes, take);
    char *end = memmem(link->head + from, before + take - from, "\r\n\r\n", 4);
    if (!end) {
        link->head_bytes += take;
        return take;
    }
    size_t taken = (size_t)(end - link->head) + 4 - before;
    end[4] = '\0';
    link->head_bytes = 0;
    if (!read_head(link))
        return 0;
    size_t there = size - taken;
    count_reply(load, link, bytes + taken, there < link->body_left ? there : link->body_left);
    return taken;
}

/* False when the connection must be closed. */
static bool take(struct load *load, struct link *link, const char *bytes, size_t size)
{
    while (size) {
        if (!link->is_busy)
            return false; /* more than was asked for */
        size_t n = size < link->body_left ? size : link->body_left;
        if (link->is_in_body)
            link->body_left -= n;
        else if ((n = take_head(load, link, bytes, size)) == 0)
            return false;
        bytes += n;
        size -= n;
        if (!link->is_in_body || link->body_left)
            continue;
        link->is_in_body = false;
        set_idle(load, link);
        if (link->is_last)
            return false;
    }
    return true;
}

static void receive(struct load *load, struct link *link)
{
    char bytes[READ_BYTES];
    ssize_t n;
    do { /* what OpenSSL has read already does not wake anybody */
        n = link_receive(link, bytes, sizeof(bytes));
        if (n < 0 || (n > 0 && !take(load, link, bytes, (size_t)n))) {
            break_link(load, link);
            return;
        }
    } while (n > 0 && link->tls);
}

/* ---- the loop ---- */

static int64_t first_deadline(const struct load *load)
{
    int64_t first = INT64_MAX;
    for (int i = 0; i < load->config->connections; i++)
        if (load->links[i].is_busy && load->links[i].deadline_ns < first)
            first = load->links[i].deadline_ns;
    return first;
}

static void close_late(struct load *load, int64_t now)
{
    for (int i = 0; i < load->config->connections; i++) {
        struct link *link = &load->links[i];
        if (!link->is_busy || link->deadline_ns > now)
            continue;
        if (link->is_counted)
            group_of(load, link)->timed_out++;
        link->is_counted = false; /* break_link counts it no second time */
        break_link(load, link);
    }
}

/* How long nothing is due. The deadlines of many connections are looked at once a tick. */
static struct timespec patience(const struct load *load, int64_t now, int64_t look_ns)
{
    int64_t until = look_ns;
    if (load->idle_count && load->config->rate > 0) {
        int64_t due = next_due(load, now);
        until = due < load->end_ns && due < until ? due : until;
    }
    int64_t left = until > now ? until - now : 0;
    return (struct timespec){.tv_sec = left / SECOND_NS, .tv_nsec = left % SECOND_NS};
}

static void handle_events(struct load *load, struct timespec timeout)
{
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_pwait2(load->epoll, events, EVENTS_MAX, &timeout, NULL);
    for (int i = 0; i < count; i++) {
        struct link *link = events[i].data.ptr;
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
            receive(load, link);
        if (events[i].events & EPOLLOUT && link->is_busy && link->sent < link->request.len)
            push(load, link);
    }
}

static enum err_code drive(struct load *load, struct err *err)
{
    const int64_t tick = 10 * 1000 * 1000;
    int64_t look_ns = 0;
    for (;;) {
        int64_t now = clock_monotonic_ns();
        if (now >= look_ns) {
            close_late(load, now);
            look_ns = now + tick;
        }
        if (load->broken_in_a_row >= BROKEN_MAX)
            return err_set(err, ERR_UNAVAILABLE, "%.*s:%d answers no more",
                           STR_ARG(load->config->host), load->config->port);
        if (now >= load->end_ns && first_deadline(load) == INT64_MAX)
            return ERR_OK;
        send_due(load);
        handle_events(load, patience(load, clock_monotonic_ns(), look_ns));
    }
}

static enum err_code open_all(struct load *load, struct err *err)
{
    for (int i = 0; i < load->config->connections; i++) {
        enum err_code rc = open_link(load, &load->links[i], err);
        if (rc)
            return rc;
        load->idle[load->idle_count++] = i;
    }
    load->start_ns = clock_monotonic_ns();
    load->count_from_ns = load->start_ns + load->config->warmup_ms * 1000000;
    load->end_ns = load->count_from_ns + load->config->duration_ms * 1000000;
    return ERR_OK;
}

static void close_all(struct load *load)
{
    for (int i = 0; i < load->config->connections; i++)
        close_link(&load->links[i]);
    SSL_CTX_free(load->tls);
    if (load->address)
        freeaddrinfo(load->address);
    close(load->epoll);
    free(load->links);
    free(load->idle);
}

enum err_code load_run(const struct load_config *config, struct load_result *result,
                       struct err *err)
{
    assert(config->group_count >= 1 && config->group_count <= LOAD_GROUPS_MAX);
    assert(config->connections >= 1 && config->connections <= LOAD_CONNECTIONS_MAX);
    size_t count = (size_t)config->connections;
    struct load load = {.config = config, .result = result};
    *result = (struct load_result){0};
    rand_seed(&load.rand, 1);
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    load.links = calloc(count, sizeof(*load.links));
    load.idle = calloc(count, sizeof(*load.idle));
    if (load.epoll < 0 || !load.links || !load.idle)
        abort();
    for (size_t i = 0; i < count; i++)
        load.links[i].fd = -1;
    enum err_code rc = resolve(&load, err);
    if (!rc)
        rc = open_all(&load, err);
    if (!rc)
        rc = drive(&load, err);
    if (!rc)
        result->seconds = (double)config->duration_ms / 1e3;
    close_all(&load);
    if (rc)
        load_result_done(result);
    return rc;
}

void load_result_done(struct load_result *result)
{
    for (int i = 0; i < LOAD_GROUPS_MAX; i++)
        free(result->groups[i].samples);
    *result = (struct load_result){0};
}
