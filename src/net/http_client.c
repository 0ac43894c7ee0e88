/* http_client.c - connect, write, read until llhttp says that the reply is whole; all by a
 * deadline. */
#include "net/http_client.h"

#include <errno.h>
#include <fcntl.h>
#include <llhttp.h>
#include <netdb.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "net/tls_client.h"

enum { READ_BYTES = 64 * 1024, WRITE_BYTES = 256 * 1024, HOST_BYTES = 256, PORT_BYTES = 8 };
enum { CANCEL_POLL_MS = 50 };

/* One connection of one call. */
struct wire {
    const char *where; /* for messages */
    int fd;
    SSL_CTX *context;
    SSL *ssl;
    int64_t deadline_us;
    bool (*may_connect)(const struct sockaddr *address);
    const _Atomic bool *is_cancelled;
};

struct place {
    bool is_tls;
    char host[HOST_BYTES], port[PORT_BYTES];
    struct str authority; /* for the Host header */
};

/* ---- URL ---- */

static enum err_code bad_url(const char *url, struct err *err)
{
    err_set(err, ERR_INVALID, "'%s' is not a server's URL", url);
    return err_hint(err, "write http://host:port or https://host:port");
}

static enum err_code parse_url(const char *url, struct place *place, struct err *err)
{
    struct str rest = str_of(url);
    place->is_tls = str_starts_with(rest, STR_LIT("https://"));
    if (!place->is_tls && !str_starts_with(rest, STR_LIT("http://")))
        return bad_url(url, err);
    size_t scheme = place->is_tls ? 8 : 7;
    rest = (struct str){rest.ptr + scheme, rest.len - scheme};
    while (rest.len && rest.ptr[rest.len - 1] == '/')
        rest.len--;
    place->authority = rest;
    bool is_bracketed = rest.len && rest.ptr[0] == '[';
    const char *host_end =
        is_bracketed ? memchr(rest.ptr, ']', rest.len) : memchr(rest.ptr, ':', rest.len);
    size_t host_bytes = host_end ? (size_t)(host_end - rest.ptr) - is_bracketed : rest.len;
    if (host_bytes == 0 || host_bytes >= HOST_BYTES || memchr(rest.ptr, '/', rest.len) ||
        (is_bracketed && !host_end))
        return bad_url(url, err);
    memcpy(place->host, rest.ptr + is_bracketed, host_bytes);
    size_t used = host_bytes + 2 * (size_t)is_bracketed;
    struct str port = {rest.ptr + used + 1, rest.len > used ? rest.len - used - 1 : 0};
    uint64_t number = place->is_tls ? 443 : 80;
    if (rest.len > used && (rest.ptr[used] != ':' || !str_to_u64(port, &number) || number > 65535))
        return bad_url(url, err);
    snprintf(place->port, sizeof(place->port), "%u", (unsigned)number);
    return ERR_OK;
}

/* ---- connecting ---- */

static enum err_code timed_out(const struct wire *wire, struct err *err)
{
    return err_set(err, ERR_TIMEOUT, "%s did not answer in time", wire->where);
}

static enum err_code unreachable(const struct wire *wire, int errnum, struct err *err)
{
    char reason[96];
    err_set(err, ERR_UNAVAILABLE, "nobody answers at %s: %s", wire->where,
            strerror_r(errnum, reason, sizeof(reason)));
    return err_hint(err, "is the server running there? start one with: slipway serve");
}

static enum err_code wait_for(const struct wire *wire, short events, struct err *err)
{
    for (;;) {
        int64_t left_ms = (wire->deadline_us - clock_monotonic_us()) / 1000;
        struct pollfd poll_fd = {.fd = wire->fd, .events = events};
        if (left_ms <= 0)
            return timed_out(wire, err);
        if (wire->is_cancelled && atomic_load(wire->is_cancelled))
            return err_set(err, ERR_CANCELLED, "the call of %s was given up", wire->where);
        int64_t longest_ms = wire->is_cancelled ? CANCEL_POLL_MS : INT32_MAX;
        int n = poll(&poll_fd, 1, (int)(left_ms < longest_ms ? left_ms : longest_ms));
        if (n > 0)
            return ERR_OK;
        if (n < 0 && errno != EINTR)
            return err_set_errno(err, errno, "waiting for %s", wire->where);
    }
}

static enum err_code connect_to(struct wire *wire, int family, const struct sockaddr *address,
                                socklen_t size, struct err *err)
{
    int failure = 0;
    socklen_t failure_size = sizeof(failure);
    wire->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (wire->fd < 0)
        return err_set_errno(err, errno, "making a socket");
    if (connect(wire->fd, address, size) == 0)
        return ERR_OK;
    if (errno != EINPROGRESS)
        return unreachable(wire, errno, err);
    enum err_code rc = wait_for(wire, POLLOUT, err);
    if (rc)
        return rc;
    getsockopt(wire->fd, SOL_SOCKET, SO_ERROR, &failure, &failure_size);
    return failure ? unreachable(wire, failure, err) : ERR_OK;
}

static void hang_up(struct wire *wire)
{
    SSL_free(wire->ssl);
    SSL_CTX_free(wire->context);
    if (wire->fd >= 0)
        close(wire->fd);
    wire->fd = -1;
    wire->ssl = NULL;
    wire->context = NULL;
}

static enum err_code connect_tcp(struct wire *wire, const struct place *place, struct err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int resolved = getaddrinfo(place->host, place->port, &hints, &found);
    if (resolved != 0)
        return err_set(err, ERR_UNAVAILABLE, "the name '%s' is not known: %s", place->host,
                       gai_strerror(resolved));
    enum err_code rc = ERR_UNAVAILABLE;
    for (const struct addrinfo *a = found; a && rc; a = a->ai_next) {
        hang_up(wire);
        if (wire->may_connect && !wire->may_connect(a->ai_addr)) {
            rc = err_set(err, ERR_DENIED, "'%s' leads to an address that may not be called",
                         place->host);
            continue;
        }
        rc = connect_to(wire, a->ai_family, a->ai_addr, a->ai_addrlen, err);
    }
    freeaddrinfo(found);
    return rc;
}

static enum err_code connect_unix(struct wire *wire, const char *path, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path))
        return err_set(err, ERR_INVALID, "the socket path '%s' is longer than %zu bytes", path,
                       sizeof(address.sun_path) - 1);
    memcpy(address.sun_path, path, strlen(path));
    return connect_to(wire, AF_UNIX, (const struct sockaddr *)&address, sizeof(address), err);
}

/* ---- TLS ---- */

/* What OpenSSL asks for before the same call can go on. */
static enum err_code tls_wait(const struct wire *wire, int result, struct err *err)
{
    switch (SSL_get_error(wire->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return wait_for(wire, POLLIN, err);
    case SSL_ERROR_WANT_WRITE:
        return wait_for(wire, POLLOUT, err);
    default:
        return tls_client_failed(wire->ssl, wire->where, err);
    }
}

static enum err_code start_tls(struct wire *wire, const struct place *place,
                               const struct http_tls_client *config, struct err *err)
{
    enum err_code made = tls_client_new(config, &wire->context, err);
    if (!made)
        made = tls_client_open(wire->context, wire->fd, place->host, &wire->ssl, err);
    if (made)
        return made;
    for (;;) {
        int rc = SSL_connect(wire->ssl);
        if (rc == 1)
            return ERR_OK;
        enum err_code code = tls_wait(wire, rc, err);
        if (code)
            return code;
    }
}

/* ---- bytes ---- */

/* *done bytes were taken; 0 when the call has to be made again. */
static enum err_code write_some(struct wire *wire, const char *bytes, size_t size, size_t *done,
                                struct err *err)
{
    *done = 0;
    if (wire->ssl) {
        int rc = SSL_write_ex(wire->ssl, bytes, size, done);
        return rc == 1 ? ERR_OK : tls_wait(wire, rc, err);
    }
    ssize_t n = send(wire->fd, bytes, size, MSG_NOSIGNAL);
    if (n >= 0)
        *done = (size_t)n;
    else if (errno == EAGAIN)
        return wait_for(wire, POLLOUT, err);
    else if (errno != EINTR)
        return err_set(err, ERR_UNAVAILABLE, "%s closed the connection", wire->where);
    return ERR_OK;
}

/* *got 0 and *is_end: the other side has closed. */
static enum err_code read_some(struct wire *wire, char *bytes, size_t size, size_t *got,
                               bool *is_end, struct err *err)
{
    *got = 0;
    if (wire->ssl) {
        int rc = SSL_read_ex(wire->ssl, bytes, size, got);
        if (rc == 1)
            return ERR_OK;
        *is_end = SSL_get_error(wire->ssl, rc) == SSL_ERROR_ZERO_RETURN;
        return *is_end ? ERR_OK : tls_wait(wire, rc, err);
    }
    ssize_t n = recv(wire->fd, bytes, size, 0);
    if (n > 0)
        *got = (size_t)n;
    else if (n == 0)
        *is_end = true;
    else if (errno == EAGAIN)
        return wait_for(wire, POLLIN, err);
    else if (errno != EINTR)
        return err_set_errno(err, errno, "reading from %s", wire->where);
    return ERR_OK;
}

/* An early reply (413, 401) makes the server stop reading: then the reply is what counts. */
static enum err_code write_all(struct wire *wire, const struct http_call *call, struct str bytes,
                               bool is_body, struct err *err)
{
    size_t at = 0, done;
    while (at < bytes.len) {
        size_t part = bytes.len - at < WRITE_BYTES ? bytes.len - at : WRITE_BYTES;
        enum err_code rc = write_some(wire, bytes.ptr + at, part, &done, err);
        if (rc)
            return is_body && rc == ERR_UNAVAILABLE ? ERR_OK : rc;
        at += done;
        if (is_body && call->progress && done)
            call->progress(call->progress_arg, at, bytes.len);
    }
    return ERR_OK;
}

/* ---- the reply ---- */

struct reply {
    llhttp_t llhttp;
    struct buf head; /* "name\0value\0" pairs */
    struct http_result *result;
    bool is_in_value, is_done, is_continue;
};

static int on_field(llhttp_t *llhttp, const char *at, size_t size)
{
    struct reply *reply = CONTAINER_OF(llhttp, struct reply, llhttp);
    if (reply->is_in_value)
        buf_char(&reply->head, '\0');
    reply->is_in_value = false;
    buf_append(&reply->head, at, size);
    return 0;
}

static int on_value(llhttp_t *llhttp, const char *at, size_t size)
{
    struct reply *reply = CONTAINER_OF(llhttp, struct reply, llhttp);
    if (!reply->is_in_value)
        buf_char(&reply->head, '\0');
    reply->is_in_value = true;
    buf_append(&reply->head, at, size);
    return 0;
}

static int on_headers(llhttp_t *llhttp)
{
    struct reply *reply = CONTAINER_OF(llhttp, struct reply, llhttp);
    reply->is_continue = llhttp->status_code == 100;
    reply->result->status = llhttp->status_code;
    return 0;
}

/* A reply to HEAD has the length of a body and no body. */
static int on_headers_of_head(llhttp_t *llhttp)
{
    on_headers(llhttp);
    return llhttp->status_code == 100 ? 0 : 1;
}

static int on_body(llhttp_t *llhttp, const char *at, size_t size)
{
    struct reply *reply = CONTAINER_OF(llhttp, struct reply, llhttp);
    buf_append(&reply->result->body, at, size);
    return reply->result->body.is_full ? -1 : 0;
}

static int on_complete(llhttp_t *llhttp)
{
    struct reply *reply = CONTAINER_OF(llhttp, struct reply, llhttp);
    if (reply->is_continue) {
        buf_clear(&reply->head);
        reply->is_in_value = false;
        return 0;
    }
    reply->is_done = true;
    return HPE_PAUSED;
}

static enum err_code feed_reply(struct reply *reply, const struct wire *wire, const char *bytes,
                                size_t size, struct err *err)
{
    enum llhttp_errno rc = llhttp_execute(&reply->llhttp, bytes, size);
    if (reply->result->body.is_full)
        return err_set(err, ERR_LIMIT, "the reply of %s is larger than %zu bytes", wire->where,
                       reply->result->body.bytes_max);
    if (rc == HPE_OK || (rc == HPE_PAUSED && reply->is_done))
        return ERR_OK;
    return err_set(err, ERR_INVALID, "%s does not answer in HTTP", wire->where);
}

static enum err_code read_reply(struct wire *wire, struct reply *reply, struct err *err)
{
    char *bytes = malloc(READ_BYTES);
    bool is_end = false;
    enum err_code rc = ERR_OK;
    if (!bytes)
        abort();
    while (!rc && !reply->is_done && !is_end) {
        size_t got;
        rc = read_some(wire, bytes, READ_BYTES, &got, &is_end, err);
        if (!rc && got)
            rc = feed_reply(reply, wire, bytes, got, err);
    }
    free(bytes);
    if (!rc && !reply->is_done && llhttp_finish(&reply->llhttp) != HPE_OK)
        rc = err_set(err, ERR_UNAVAILABLE, "%s closed the connection before its reply was whole",
                     wire->where);
    return rc;
}

static void take_headers(struct reply *reply, struct arena *arena)
{
    struct http_result *result = reply->result;
    const char *copy = arena_copy(arena, reply->head.data, reply->head.len);
    struct str rest = {copy, copy ? reply->head.len : 0}, name, value;
    while (rest.len && result->header_count < HTTP_HEADERS_MAX && str_split(&rest, '\0', &name)) {
        if (!str_split(&rest, '\0', &value))
            value = (struct str){"", 0};
        result->headers[result->header_count++] = (struct http_header){name, value};
        if (str_equal_nocase(name, STR_LIT("Content-Type")))
            result->content_type = value;
    }
}

/* ---- the call ---- */

static void write_head(const struct http_call *call, const struct place *place, struct buf *out)
{
    buf_text(out, call->method);
    buf_char(out, ' ');
    buf_str(out, call->target);
    buf_lit(out, " HTTP/1.1\r\nHost: ");
    if (call->unix_path)
        buf_lit(out, "localhost");
    else
        buf_str(out, place->authority);
    buf_lit(out, "\r\nConnection: close\r\n");
    if (call->body.len || strcmp(call->method, "GET") != 0) {
        buf_lit(out, "Content-Length: ");
        buf_u64(out, call->body.len);
        buf_lit(out, "\r\n");
    }
    for (int i = 0; i < call->header_count; i++) {
        buf_str(out, call->headers[i].name);
        buf_lit(out, ": ");
        buf_str(out, call->headers[i].value);
        buf_lit(out, "\r\n");
    }
    buf_lit(out, "\r\n");
}

static enum err_code open_wire(const struct http_call *call, struct wire *wire,
                               const struct place *place, struct err *err)
{
    if (call->unix_path)
        return connect_unix(wire, call->unix_path, err);
    enum err_code rc = connect_tcp(wire, place, err);
    return rc || !place->is_tls ? rc : start_tls(wire, place, &call->tls, err);
}

static enum err_code exchange(struct wire *wire, const struct http_call *call,
                              const struct place *place, struct reply *reply, struct err *err)
{
    struct buf head;
    buf_init(&head, 2 * 1024 * 1024);
    write_head(call, place, &head);
    enum err_code rc = head.is_full ? err_set(err, ERR_LIMIT, "the request's headers are too long")
                                    : write_all(wire, call, buf_view(&head), false, err);
    buf_done(&head);
    if (!rc)
        rc = write_all(wire, call, call->body, true, err);
    return rc ? rc : read_reply(wire, reply, err);
}

enum err_code http_call_run(const struct http_call *call, struct arena *arena,
                            struct http_result *result, struct err *err)
{
    struct place place = {0};
    struct wire wire = {
        .fd = -1,
        .where = call->unix_path ? call->unix_path : call->url,
        .deadline_us = clock_monotonic_us() + call->timeout_ms * 1000,
        .may_connect = call->may_connect,
        .is_cancelled = call->is_cancelled,
    };
    llhttp_settings_t settings;
    struct reply reply = {.result = result};
    *result = (struct http_result){0};
    buf_init(&result->body, call->reply_bytes_max);
    buf_init(&reply.head, 1024 * 1024);
    llhttp_settings_init(&settings);
    settings.on_header_field = on_field;
    settings.on_header_value = on_value;
    settings.on_headers_complete =
        strcmp(call->method, "HEAD") == 0 ? on_headers_of_head : on_headers;
    settings.on_body = on_body;
    settings.on_message_complete = on_complete;
    llhttp_init(&reply.llhttp, HTTP_RESPONSE, &settings);
    enum err_code rc = call->unix_path ? ERR_OK : parse_url(call->url, &place, err);
    if (!rc)
        rc = open_wire(call, &wire, &place, err);
    if (!rc)
        rc = exchange(&wire, call, &place, &reply, err);
    if (!rc)
        take_headers(&reply, arena);
    if (rc)
        buf_done(&result->body);
    hang_up(&wire);
    buf_done(&reply.head);
    return rc;
}
