/* file.h - small whole-file reads and writes that are durable and do not follow surprises. */
#ifndef SLIPWAY_BASE_FILE_H
#define SLIPWAY_BASE_FILE_H

#include "base/buf.h"
#include "base/err.h"

/* All of a file the person at the command line named ("-" is standard input). ERR_LIMIT past
 * bytes_max. `out` is initialised here; free with buf_done, also after a failure. */
enum err_code file_read(const char *path, size_t bytes_max, struct buf *out, struct err *err);

/* The same from an open descriptor, from its current offset. */
enum err_code file_read_fd(int fd, const char *what, size_t bytes_max, struct buf *out,
                           struct err *err);

/* Replace `name` in folder `dir_fd` as one step: temporary file, fsync, rename, fsync of the
 * folder. After ERR_OK it is durable; after a failure the old file is as it was. */
enum err_code file_replace_at(int dir_fd, const char *name, const void *bytes, size_t size,
                              int mode, struct err *err);

/* write() until done; EINTR and short writes handled. */
enum err_code file_write_all(int fd, const char *what, const void *bytes, size_t size,
                             struct err *err);

#endif
