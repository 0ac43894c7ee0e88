/* wire.c - URLs, sockets that do not block, OpenSSL's client. */
#include "net/wire.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "net/tls_client.h"

enum { CANCEL_POLL_MS = 50, WAIT_MS_MAX = 60 * 1000 };

/* ---- URL ---- */

static enum err_code bad_url(const char *url, struct err *err)
{
    err_set(err, ERR_INVALID, "'%s' is not a server's URL", url);
    return err_hint(err, "write http://host:port or https://host:port");
}

/* Printable and without what begins a query, a fragment or an escape of a shell. */
static bool is_path(struct str path)
{
    for (size_t i = 0; i < path.len; i++)
        if (path.ptr[i] <= ' ' || path.ptr[i] >= 0x7f || strchr("?#\\\"<>", path.ptr[i]))
            return false;
    return true;
}

static struct str without_slashes_behind(struct str text)
{
    while (text.len && text.ptr[text.len - 1] == '/')
        text.len--;
    return text;
}

static bool parse_authority(struct str text, struct wire_place *place)
{
    bool is_bracketed = text.len && text.ptr[0] == '[';
    const char *host_end = text.len ? memchr(text.ptr, is_bracketed ? ']' : ':', text.len) : NULL;
    size_t host_bytes = host_end ? (size_t)(host_end - text.ptr) - is_bracketed : text.len;
    if (host_bytes == 0 || host_bytes >= sizeof(place->host) || (is_bracketed && !host_end) ||
        memchr(text.ptr, '@', text.len))
        return false;
    memcpy(place->host, text.ptr + is_bracketed, host_bytes);
    place->host[host_bytes] = '\0';
    size_t used = host_bytes + 2 * (size_t)is_bracketed;
    struct str port = {text.ptr + used + 1, text.len > used ? text.len - used - 1 : 0};
    uint64_t number = place->is_tls ? 443 : 80;
    if (text.len > used && (text.ptr[used] != ':' || !str_to_u64(port, &number) || number > 65535))
        return false;
    snprintf(place->port, sizeof(place->port), "%u", (unsigned)number);
    place->authority = text;
    return true;
}

enum err_code wire_place_parse(const char *url, struct wire_place *place, struct err *err)
{
    struct str rest = str_of(url);
    *place = (struct wire_place){.is_tls = str_starts_with(rest, STR_LIT("https://"))};
    if (!place->is_tls && !str_starts_with(rest, STR_LIT("http://")))
        return bad_url(url, err);
    size_t scheme = place->is_tls ? 8 : 7;
    rest = without_slashes_behind((struct str){rest.ptr + scheme, rest.len - scheme});
    const char *slash = rest.len ? memchr(rest.ptr, '/', rest.len) : NULL;
    size_t authority = slash ? (size_t)(slash - rest.ptr) : rest.len;
    place->base = (struct str){rest.ptr + authority, rest.len - authority};
    rest.len = authority;
    return is_path(rest) && is_path(place->base) && parse_authority(rest, place)
               ? ERR_OK
               : bad_url(url, err);
}

/* ---- waiting ---- */

static enum err_code check_time(const struct wire *wire, int64_t left_ns, struct err *err)
{
    if (left_ns <= 0)
        return err_set(err, ERR_TIMEOUT, "%s did not answer in time", wire->where);
    if (wire->is_cancelled && atomic_load(wire->is_cancelled))
        return err_set(err, ERR_CANCELLED, "the call of %s was given up", wire->where);
    return ERR_OK;
}

static enum err_code wait_for(const struct wire *wire, short events, struct err *err)
{
    for (;;) {
        int64_t left_ns = wire->deadline_ns - clock_monotonic_ns();
        int64_t left_ms = (left_ns + 999999) / 1000000;
        struct pollfd poll_fd = {.fd = wire->fd, .events = events};
        if (check_time(wire, left_ns, err))
            return err->code;
        int64_t longest_ms = wire->is_cancelled ? CANCEL_POLL_MS : WAIT_MS_MAX;
        int n = poll(&poll_fd, 1, (int)(left_ms < longest_ms ? left_ms : longest_ms));
        if (n > 0)
            return ERR_OK;
        if (n < 0 && errno != EINTR)
            return err_set_errno(err, errno, "waiting for %s", wire->where);
    }
}

enum err_code wire_wait(const struct wire *wire, struct err *err)
{
    return wire->ssl && SSL_pending(wire->ssl) ? ERR_OK : wait_for(wire, POLLIN, err);
}

/* ---- connecting ---- */

static enum err_code unreachable(const struct wire *wire, int errnum, struct err *err)
{
    char reason[96];
    err_set(err, ERR_UNAVAILABLE, "nobody answers at %s: %s", wire->where,
            strerror_r(errnum, reason, sizeof(reason)));
    return err_hint(err, "is the server running there? start one with: slipway serve");
}

static enum err_code connect_to(struct wire *wire, int family, const struct sockaddr *address,
                                socklen_t size, struct err *err)
{
    int failure = 0, one = 1;
    socklen_t failure_size = sizeof(failure);
    wire->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (wire->fd < 0)
        return err_set_errno(err, errno, "making a socket");
    if (family != AF_UNIX)
        setsockopt(wire->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
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

void wire_close(struct wire *wire)
{
    SSL_free(wire->ssl);
    if (wire->fd >= 0)
        close(wire->fd);
    wire->fd = -1;
    wire->ssl = NULL;
}

static enum err_code connect_tcp(struct wire *wire, const struct wire_place *place, struct err *err)
{
    struct addrinfo *found = NULL;
    enum err_code rc =
        resolve(place->host, place->port, wire->deadline_ns, wire->is_cancelled, &found, err);
    if (rc)
        return rc;
    rc = ERR_UNAVAILABLE;
    for (const struct addrinfo *a = found; a && rc; a = a->ai_next) {
        wire_close(wire);
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

enum err_code wire_open_unix(struct wire *wire, const char *path, struct err *err)
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

static enum err_code start_tls(struct wire *wire, const struct wire_place *place, SSL_CTX *tls,
                               struct err *err)
{
    enum err_code opened = tls_client_open(tls, wire->fd, place->host, &wire->ssl, err);
    if (opened)
        return opened;
    for (;;) {
        ERR_clear_error();
        int rc = SSL_connect(wire->ssl);
        if (rc == 1)
            return ERR_OK;
        enum err_code code = tls_wait(wire, rc, err);
        if (code)
            return code;
    }
}

enum err_code wire_open(struct wire *wire, const struct wire_place *place, SSL_CTX *tls,
                        struct err *err)
{
    enum err_code rc = connect_tcp(wire, place, err);
    return rc || !place->is_tls ? rc : start_tls(wire, place, tls, err);
}

/* ---- bytes ---- */

bool wire_is_quiet(const struct wire *wire)
{
    char byte;
    return recv(wire->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
           (errno == EAGAIN || errno == EWOULDBLOCK);
}

/* OpenSSL wants to be asked again with the same bytes: the first piece that is not empty. */
static enum err_code write_tls(struct wire *wire, const struct iovec *pieces, int count,
                               size_t *done, struct err *err)
{
    while (count && pieces->iov_len == 0) {
        pieces++;
        count--;
    }
    if (!count)
        return ERR_OK;
    ERR_clear_error();
    int rc = SSL_write_ex(wire->ssl, pieces->iov_base, pieces->iov_len, done);
    return rc == 1 ? ERR_OK : tls_wait(wire, rc, err);
}

enum err_code wire_write(struct wire *wire, const struct iovec *pieces, int count, size_t *done,
                         struct err *err)
{
    *done = 0;
    if (wire->ssl)
        return write_tls(wire, pieces, count, done, err);
    const struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)pieces,
                                   .msg_iovlen = (size_t)count};
    ssize_t n = sendmsg(wire->fd, &message, MSG_NOSIGNAL);
    if (n >= 0)
        *done = (size_t)n;
    else if (errno == EAGAIN)
        return wait_for(wire, POLLOUT, err);
    else if (errno != EINTR)
        return err_set(err, ERR_UNAVAILABLE, "%s closed the connection", wire->where);
    return ERR_OK;
}

/* Who never stops sending does not get more time by it. */
enum err_code wire_read(struct wire *wire, char *bytes, size_t size, size_t *got, bool *is_end,
                        struct err *err)
{
    *got = 0;
    if (check_time(wire, wire->deadline_ns - clock_monotonic_ns(), err))
        return err->code;
    if (wire->ssl) {
        ERR_clear_error();
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
        return err_set(err, ERR_UNAVAILABLE, "%s closed the connection", wire->where);
    return ERR_OK;
}
