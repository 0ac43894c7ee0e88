/* err.h - the error that travels up the call stack.
 *
 * A function that can fail returns an enum err_code (0 is success) and takes `struct err *err` as
 * its last parameter. The place that knows what went wrong fills it once; callers pass it up,
 * adding context with err_wrap(). Only api/ and cli/ turn it into something a person sees.
 *
 * The buffers are inside the struct, so reporting "out of memory" needs none.
 */
#ifndef SLIPWAY_BASE_ERR_H
#define SLIPWAY_BASE_ERR_H

#include <stdint.h>

enum err_code {
    ERR_OK = 0,
    ERR_INVALID,      /* the input is wrong; sending it again will not help */
    ERR_VIOLATION,    /* the input is well formed but breaks the model's contract */
    ERR_NOT_FOUND,    /* no such model, version, alias, key, route, ... */
    ERR_EXISTS,       /* it is there already */
    ERR_CONFLICT,     /* it changed under the caller (If-Match), or the state forbids it */
    ERR_UNAUTHORIZED, /* who is calling? no key, an unknown or an expired one */
    ERR_DENIED,       /* known caller, but not allowed to do this */
    ERR_LIMIT,        /* a size, count, rate or budget was exceeded */
    ERR_DISK_FULL,    /* no room to make it durable */
    ERR_TIMEOUT,      /* the deadline passed before an answer came */
    ERR_CANCELLED,    /* the caller went away */
    ERR_UNAVAILABLE,  /* a dependency is down or not ready; trying again may help */
    ERR_UPSTREAM,     /* what does the work for us, a worker or another server, failed at it */
    ERR_UNSUPPORTED,  /* understood, but this build or this model cannot do it */
    ERR_IO,           /* the operating system refused a read or a write */
    ERR_INTERNAL,     /* our bug; the log line carries file and line */
};

enum { ERR_MSG_BYTES = 512, ERR_HINT_BYTES = 256 };

struct err {
    enum err_code code;
    int line;                  /* with `file`: where err_set() was called, for the log */
    const char *file;          /* borrowed, a literal */
    int retry_seconds;         /* of ERR_UNAVAILABLE: when trying again may help; 0: unknown */
    char msg[ERR_MSG_BYTES];   /* what failed and on which thing: one clause, no period */
    char hint[ERR_HINT_BYTES]; /* what the reader can do about it; "" when unknown */
};

/* Fill `err` and return `code`, so a failure is one statement:
 *     return err_set(err, ERR_NOT_FOUND, "model '%s' has no alias '%s'", model, alias); */
#define err_set(err, code, ...) err_set_at((err), (code), __FILE__, __LINE__, __VA_ARGS__)

enum err_code err_set_at(struct err *err, enum err_code code, const char *file, int line,
                         const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* Put "<context>: " before the message. Returns the code it found. */
enum err_code err_wrap(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Say what the reader can do. Returns the code it found. */
enum err_code err_hint(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ERR_IO (or ERR_DISK_FULL for ENOSPC and EDQUOT, ERR_NOT_FOUND for ENOENT, ERR_DENIED for EACCES
 * and EPERM) with "<what>: <strerror>" from the given errno. */
#define err_set_errno(err, errnum, ...)                                                            \
    err_set_errno_at((err), (errnum), __FILE__, __LINE__, __VA_ARGS__)

enum err_code err_set_errno_at(struct err *err, int errnum, const char *file, int line,
                               const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* The code's stable name in JSON and logs: "invalid", "not_found", ... */
const char *err_code_name(enum err_code code);

#endif
