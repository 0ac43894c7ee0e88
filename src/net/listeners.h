/* listeners.h - sockets that are listened on: opened here, or by whoever started this process.
 *
 *     systemd, or the process before this one --> struct inherited --+
 *                                                                    +--> struct listeners
 *     nobody has it yet: bound with SO_REUSEPORT, one a thread ------+    (of one address)
 *
 * A socket that was opened by somebody else has clients waiting in it already: each one is listened
 * on, however many threads there are, and none is closed but one whose address is not wanted.
 */
#ifndef SLIPWAY_NET_LISTENERS_H
#define SLIPWAY_NET_LISTENERS_H

#include <stdbool.h>

#include "base/err.h"

enum { LISTENERS_MAX = 64 * 17 }; /* threads, addresses and the Unix socket */

/* ---- opened by somebody else ---- */

struct inherited_socket {
    char *listen; /* as its opener was asked for it; NULL: its address says what it is */
    int fd;
    bool is_taken;
    bool is_ours; /* a Unix socket's file: made by a process of ours, so ours to remove */
};

struct inherited {
    struct inherited_socket sockets[LISTENERS_MAX];
    int count;
};

struct inherited *inherited_new(void);

/* Takes `fd`. ERR_INVALID when it is no listening stream socket; LISTENERS_MAX is the limit. */
enum err_code inherited_add(struct inherited *inherited, const char *listen, int fd, bool is_ours,
                            struct err *err);

/* What systemd hands over (LISTEN_FDS, LISTEN_PID), if it does; the variables are removed. */
enum err_code inherited_from_systemd(struct inherited *inherited, struct err *err);

/* ERR_INVALID names one that nobody has taken. */
enum err_code inherited_check_taken(const struct inherited *inherited, struct err *err);

/* Closes what nobody has taken; with `is_heir` removes the file of such a Unix socket of ours:
 * while the process before goes on, it needs the file. NULL is allowed. */
void inherited_free(struct inherited *inherited, bool is_heir);

/* ---- of one address ---- */

struct listeners {
    int *fds; /* [count]: at least one a thread */
    int count;
    int port;      /* of TCP */
    bool is_ours;  /* a Unix socket's file is */
    bool is_taken; /* of `inherited` */
};

/* "127.0.0.1:80", "[::1]:80", "localhost:80"; names are resolved once. Bound, or taken of
 * `inherited` (may be NULL). ERR_IO says why an address could not be had. */
enum err_code listeners_open(const char *listen, int thread_count, struct inherited *inherited,
                             struct listeners *listeners, struct err *err);

/* The Unix socket at `path`, mode 0600; a file that a killed process has left is replaced. */
enum err_code listeners_open_unix(const char *path, struct inherited *inherited,
                                  struct listeners *listeners, struct err *err);

/* Close all, or after they were given away only forget them. */
void listeners_close(struct listeners *listeners);
void listeners_forget(struct listeners *listeners);

#endif
