/* err.c - filling, wrapping and naming errors. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

enum err_code err_set_at(struct err *err, enum err_code code, const char *file, int line,
                         const char *fmt, ...)
{
    va_list args;
    assert(err != NULL && code != ERR_OK);
    err->code = code;
    err->file = file;
    err->line = line;
    err->hint[0] = '\0';
    err->retry_seconds = 0;
    va_start(args, fmt);
    vsnprintf(err->msg, sizeof(err->msg), fmt, args);
    va_end(args);
    return code;
}

enum err_code err_wrap(struct err *err, const char *fmt, ...)
{
    char context[ERR_MSG_BYTES];
    char whole[2 * ERR_MSG_BYTES + 2];
    va_list args;
    va_start(args, fmt);
    vsnprintf(context, sizeof(context), fmt, args);
    va_end(args);
    snprintf(whole, sizeof(whole), "%s: %s", context, err->msg);
    memcpy(err->msg, whole, sizeof(err->msg));
    err->msg[sizeof(err->msg) - 1] = '\0';
    return err->code;
}

enum err_code err_hint(struct err *err, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(err->hint, sizeof(err->hint), fmt, args);
    va_end(args);
    return err->code;
}

static enum err_code code_of_errno(int errnum)
{
    switch (errnum) {
    case ENOSPC:
    case EDQUOT:
        return ERR_DISK_FULL;
    case ENOENT:
        return ERR_NOT_FOUND;
    case EACCES:
    case EPERM:
        return ERR_DENIED;
    default:
        return ERR_IO;
    }
}

enum err_code err_set_errno_at(struct err *err, int errnum, const char *file, int line,
                               const char *fmt, ...)
{
    char what[ERR_MSG_BYTES - 80];
    char reason[80];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof(what), fmt, args);
    va_end(args);
    return err_set_at(err, code_of_errno(errnum), file, line, "%s: %s", what,
                      strerror_r(errnum, reason, sizeof(reason)));
}

const char *err_code_name(enum err_code code)
{
    static const char *const names[] = {
        [ERR_OK] = "ok",
        [ERR_INVALID] = "invalid",
        [ERR_VIOLATION] = "contract_violation",
        [ERR_NOT_FOUND] = "not_found",
        [ERR_EXISTS] = "already_exists",
        [ERR_CONFLICT] = "conflict",
        [ERR_UNAUTHORIZED] = "unauthorized",
        [ERR_DENIED] = "denied",
        [ERR_LIMIT] = "limit_exceeded",
        [ERR_DISK_FULL] = "disk_full",
        [ERR_TIMEOUT] = "timeout",
        [ERR_CANCELLED] = "cancelled",
        [ERR_UNAVAILABLE] = "unavailable",
        [ERR_UPSTREAM] = "upstream_failed",
        [ERR_UNSUPPORTED] = "unsupported",
        [ERR_IO] = "io",
        [ERR_INTERNAL] = "internal",
    };
    assert((size_t)code < ARRAY_LEN(names));
    return names[code];
}
