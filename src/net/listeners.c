/* listeners.c - addresses, and the sockets that listen on them. */
#include "net/listeners.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "base/str.h"

enum { HOST_BYTES = 256, SYSTEMD_FIRST_FD = 3, BACKLOG = 1024, NAME_BYTES = 160 };

struct address {
    struct sockaddr_storage bytes;
    socklen_t size;
};

/* ---- addresses ---- */

static enum err_code bad_address(const char *listen, struct err *err)
{
    err_set(err, ERR_INVALID, "'%s' is not an address to listen on", listen);
    return err_hint(err, "write host:port, such as 127.0.0.1:8080, [::1]:8080 or 0.0.0.0:80");
}

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

static bool address_of(int fd, struct address *address)
{
    *address = (struct address){.size = sizeof(address->bytes)};
    return getsockname(fd, (struct sockaddr *)&address->bytes, &address->size) == 0;
}

static const struct sockaddr_in *as_in(const struct address *a)
{
    return (const struct sockaddr_in *)(const void *)&a->bytes;
}

static const struct sockaddr_in6 *as_in6(const struct address *a)
{
    return (const struct sockaddr_in6 *)(const void *)&a->bytes;
}

static bool is_same(const struct address *a, const struct address *b)
{
    if (a->bytes.ss_family != b->bytes.ss_family)
        return false;
    if (a->bytes.ss_family == AF_INET)
        return as_in(a)->sin_port == as_in(b)->sin_port &&
               as_in(a)->sin_addr.s_addr == as_in(b)->sin_addr.s_addr;
    if (a->bytes.ss_family == AF_INET6)
        return as_in6(a)->sin6_port == as_in6(b)->sin6_port &&
               IN6_ARE_ADDR_EQUAL(&as_in6(a)->sin6_addr, &as_in6(b)->sin6_addr);
    return false;
}

static int port_of(int fd)
{
    struct address address;
    if (!address_of(fd, &address))
        return -1;
    return ntohs(address.bytes.ss_family == AF_INET6 ? as_in6(&address)->sin6_port
                                                     : as_in(&address)->sin_port);
}

/* As people write it, for messages. */
static const char *name_of(int fd, char name[NAME_BYTES])
{
    struct address address;
    char text[INET6_ADDRSTRLEN] = "?";
    snprintf(name, NAME_BYTES, "a socket");
    if (!address_of(fd, &address))
        return name;
    if (address.bytes.ss_family == AF_UNIX) {
        const struct sockaddr_un *un = (const struct sockaddr_un *)(const void *)&address.bytes;
        snprintf(name, NAME_BYTES, "%.*s", (int)sizeof(un->sun_path), un->sun_path);
    } else if (address.bytes.ss_family == AF_INET) {
        inet_ntop(AF_INET, &as_in(&address)->sin_addr, text, sizeof(text));
        snprintf(name, NAME_BYTES, "%s:%d", text, port_of(fd));
    } else if (address.bytes.ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &as_in6(&address)->sin6_addr, text, sizeof(text));
        snprintf(name, NAME_BYTES, "[%s]:%d", text, port_of(fd));
    }
    return name;
}

static bool is_unix_at(int fd, const char *path)
{
    struct address address;
    if (!address_of(fd, &address) || address.bytes.ss_family != AF_UNIX)
        return false;
    const struct sockaddr_un *un = (const struct sockaddr_un *)(const void *)&address.bytes;
    return strncmp(un->sun_path, path, sizeof(un->sun_path)) == 0;
}

/* ---- opened by somebody else ---- */

struct inherited *inherited_new(void)
{
    struct inherited *inherited = calloc(1, sizeof(*inherited));
    if (!inherited)
        abort();
    return inherited;
}

static bool is_listening(int fd)
{
    int type = 0, is_open = 0;
    socklen_t size = sizeof(int);
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM &&
           getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_open, &size) == 0 && is_open;
}

enum err_code inherited_add(struct inherited *inherited, const char *listen, int fd, bool is_ours,
                            struct err *err)
{
    if (!is_listening(fd)) {
        err_set(err, ERR_INVALID, "file descriptor %d was handed over and is no listening socket",
                fd);
        return err_hint(err, "a socket unit needs ListenStream= and Accept=no");
    }
    if (inherited->count == LISTENERS_MAX)
        return err_set(err, ERR_LIMIT, "more than %d sockets were handed over", LISTENERS_MAX);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    struct inherited_socket *fresh = &inherited->sockets[inherited->count++];
    *fresh = (struct inherited_socket){.fd = fd, .is_ours = is_ours};
    if (listen && !(fresh->listen = strdup(listen)))
        abort();
    return ERR_OK;
}

enum err_code inherited_from_systemd(struct inherited *inherited, struct err *err)
{
    uint64_t count = 0, pid = 0;
    const char *fds = getenv("LISTEN_FDS"), *whose = getenv("LISTEN_PID");
    bool is_for_us = fds && whose && str_to_u64(str_of(whose), &pid) && pid == (uint64_t)getpid() &&
                     str_to_u64(str_of(fds), &count);
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDNAMES");
    if (!is_for_us)
        return ERR_OK;
    if (count > LISTENERS_MAX)
        return err_set(err, ERR_LIMIT, "LISTEN_FDS is more than %d", LISTENERS_MAX);
    enum err_code rc = ERR_OK;
    for (int i = 0; !rc && i < (int)count; i++)
        rc = inherited_add(inherited, NULL, SYSTEMD_FIRST_FD + i, false, err);
    return rc;
}

enum err_code inherited_check_taken(const struct inherited *inherited, struct err *err)
{
    char name[NAME_BYTES];
    for (int i = 0; inherited && i < inherited->count; i++) {
        if (inherited->sockets[i].is_taken || inherited->sockets[i].listen)
            continue;
        err_set(err, ERR_INVALID, "systemd listens on %s, which no option names",
                name_of(inherited->sockets[i].fd, name));
        return err_hint(err, "give it as --listen or --unix-socket, or take it out of the socket "
                             "unit");
    }
    return ERR_OK;
}

static void drop(struct inherited_socket *socket, bool is_heir)
{
    char name[NAME_BYTES];
    if (!socket->is_taken) {
        if (socket->is_ours && is_heir)
            unlink(name_of(socket->fd, name));
        close(socket->fd);
    }
    free(socket->listen);
}

void inherited_free(struct inherited *inherited, bool is_heir)
{
    for (int i = 0; inherited && i < inherited->count; i++)
        drop(&inherited->sockets[i], is_heir);
    free(inherited);
}

/* ---- binding ---- */

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

static void add(struct listeners *listeners, int fd)
{
    size_t bytes = (size_t)(listeners->count + 1) * sizeof(int);
    listeners->fds = realloc(listeners->fds, bytes);
    if (!listeners->fds)
        abort();
    listeners->fds[listeners->count++] = fd;
}

static enum err_code bind_tcp(const char *listen, const struct address *address, bool is_shared,
                              int *out, struct err *err)
{
    int one = 1;
    int fd = socket(address->bytes.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return bind_failed(listen, errno, err);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (is_shared)
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
    int fd;
    enum err_code rc = bind_tcp(listen, address, false, &fd, err);
    if (!rc)
        close(fd);
    return rc;
}

static enum err_code bind_all(const char *listen, struct address *address, int thread_count,
                              struct listeners *listeners, struct err *err)
{
    int fd;
    enum err_code rc = check_free(listen, address, err);
    for (int i = 0; !rc && i < thread_count; i++) {
        rc = bind_tcp(listen, address, true, &fd, err);
        if (rc)
            break;
        add(listeners, fd);
        if (i == 0)
            address_of(fd, address); /* port 0: the others take the port it got */
    }
    return rc;
}

/* ---- of one address ---- */

static void take(struct inherited_socket *socket, struct listeners *listeners)
{
    socket->is_taken = listeners->is_taken = true;
    listeners->is_ours = socket->is_ours;
    add(listeners, socket->fd);
}

static bool is_meant(const struct inherited_socket *socket, const char *listen,
                     const struct address *address)
{
    struct address own;
    if (socket->is_taken)
        return false;
    if (socket->listen && strcmp(socket->listen, listen) == 0)
        return true;
    return address_of(socket->fd, &own) && is_same(&own, address);
}

/* With fewer sockets than threads several threads wait at one. */
static enum err_code share(const char *listen, int thread_count, struct listeners *listeners,
                           struct err *err)
{
    for (int i = 0, count = listeners->count; listeners->count < thread_count; i++) {
        int fd = fcntl(listeners->fds[i % count], F_DUPFD_CLOEXEC, 0);
        if (fd < 0)
            return bind_failed(listen, errno, err);
        add(listeners, fd);
    }
    return ERR_OK;
}

enum err_code listeners_open(const char *listen, int thread_count, struct inherited *inherited,
                             struct listeners *listeners, struct err *err)
{
    struct address address;
    *listeners = (struct listeners){.port = -1};
    enum err_code rc = parse_address(listen, &address, err);
    if (rc)
        return rc;
    for (int i = 0; inherited && i < inherited->count; i++)
        if (is_meant(&inherited->sockets[i], listen, &address))
            take(&inherited->sockets[i], listeners);
    if (listeners->count)
        rc = share(listen, thread_count, listeners, err);
    else
        rc = bind_all(listen, &address, thread_count, listeners, err);
    if (rc)
        listeners_close(listeners);
    else
        listeners->port = port_of(listeners->fds[0]);
    return rc;
}

/* ---- the Unix socket ---- */

static void fill_unix(const char *path, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(address->sun_path, path, strlen(path));
}

/* Is somebody answering on this socket file? */
static bool is_unix_alive(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_alive = fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0;
    if (fd >= 0)
        close(fd);
    return is_alive;
}

static enum err_code clear_unix(const char *path, const struct sockaddr_un *address,
                                struct err *err)
{
    struct stat entry;
    if (lstat(path, &entry) != 0)
        return ERR_OK;
    if (!S_ISSOCK(entry.st_mode)) {
        err_set(err, ERR_EXISTS, "'%s' is there already and is no socket", path);
        return err_hint(err, "remove it, or choose another path with --unix-socket");
    }
    if (is_unix_alive(address)) {
        err_set(err, ERR_CONFLICT, "a server answers on '%s' already", path);
        return err_hint(err, "stop it first, or choose another path with --unix-socket");
    }
    unlink(path); /* left by a process that was killed */
    return ERR_OK;
}

static enum err_code bind_unix(const char *path, const struct sockaddr_un *address,
                               struct listeners *listeners, struct err *err)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return bind_failed(path, errno, err);
    add(listeners, fd);
    mode_t before = umask(0177); /* no moment in which others may connect */
    int rc = bind(fd, (const struct sockaddr *)address, sizeof(*address));
    int errnum = errno;
    umask(before);
    if (rc != 0)
        return bind_failed(path, errnum, err);
    listeners->is_ours = true;
    return listen(fd, BACKLOG) ? bind_failed(path, errno, err) : ERR_OK;
}

enum err_code listeners_open_unix(const char *path, struct inherited *inherited,
                                  struct listeners *listeners, struct err *err)
{
    struct sockaddr_un address;
    *listeners = (struct listeners){.port = -1};
    if (strlen(path) >= sizeof(address.sun_path)) {
        err_set(err, ERR_INVALID, "the socket path '%s' is longer than %zu bytes", path,
                sizeof(address.sun_path) - 1);
        return err_hint(err, "choose a shorter one with --unix-socket");
    }
    for (int i = 0; inherited && i < inherited->count; i++)
        if (!inherited->sockets[i].is_taken && is_unix_at(inherited->sockets[i].fd, path))
            take(&inherited->sockets[i], listeners);
    if (listeners->count)
        return ERR_OK;
    fill_unix(path, &address);
    enum err_code rc = clear_unix(path, &address, err);
    if (!rc)
        rc = bind_unix(path, &address, listeners, err);
    if (rc)
        listeners_close(listeners);
    return rc;
}

void listeners_close(struct listeners *listeners)
{
    for (int i = 0; i < listeners->count; i++)
        close(listeners->fds[i]);
    listeners_forget(listeners);
}

void listeners_forget(struct listeners *listeners)
{
    free(listeners->fds);
    *listeners = (struct listeners){.port = -1};
}
