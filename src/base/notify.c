/* notify.c - one datagram to the socket that the environment names. */
#include "base/notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"

enum { MESSAGE_BYTES = 1024 };

/* A path, or '@' and a name in the abstract namespace, whose first byte is 0. */
static socklen_t find_socket(struct sockaddr_un *address)
{
    const char *where = getenv("NOTIFY_SOCKET");
    size_t len = where ? strlen(where) : 0;
    if (len < 2 || len >= sizeof(address->sun_path) || (where[0] != '/' && where[0] != '@'))
        return 0;
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(address->sun_path, where, len);
    if (where[0] == '@')
        address->sun_path[0] = '\0';
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

void notify_send(const char *fmt, ...)
{
    struct sockaddr_un address;
    char text[MESSAGE_BYTES];
    va_list args;
    socklen_t size = find_socket(&address);
    if (size == 0)
        return;
    va_start(args, fmt);
    int len = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (len > 0 && (size_t)len < sizeof(text))
        sendto(fd, text, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT,
               (const struct sockaddr *)&address, size);
    close(fd);
}

void notify_reloading(const char *status)
{
    notify_send("RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=%s", (long long)clock_monotonic_us(),
                status);
}

int64_t notify_watchdog_us(void)
{
    const char *span = getenv("WATCHDOG_USEC"), *whose = getenv("WATCHDOG_PID");
    uint64_t us = 0, pid = 0;
    if (!span || !str_to_u64(str_of(span), &us) || us > INT64_MAX)
        return 0;
    if (whose && (!str_to_u64(str_of(whose), &pid) || pid != (uint64_t)getpid()))
        return 0;
    return (int64_t)us / 2;
}
