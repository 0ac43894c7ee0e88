/* tar.h - a folder as one file (POSIX ustar), written so that the same files give the same bytes.
 *
 *     block   512 bytes   path (0, 100), mode (100, 8), size (124, 12), checksum (148, 8),
 *                         type (156, 1), "ustar" (257, 6), prefix of the path (345, 155);
 *                         numbers are octal text
 *     data    size bytes, filled up with zeros to a whole block
 *     ...     and two blocks of zeros at the end
 *
 * Written are regular files in the order of their paths, without times and owners. Read are files
 * and folders; links, devices and the extensions for long names are refused, and so is every path
 * that could leave the folder it is unpacked in.
 */
#ifndef SLIPWAY_BASE_TAR_H
#define SLIPWAY_BASE_TAR_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum {
    TAR_BLOCK = 512,
    TAR_FILES_MAX = 20000,
    TAR_PATH_BYTES_MAX = 255,
    TAR_DEPTH_MAX = 32, /* folders in folders */
};

struct tar_entry {
    char path[TAR_PATH_BYTES_MAX + 1]; /* relative, without "." and ".." */
    bool is_folder;
    bool is_executable;
    struct str data; /* borrows the bytes that are read */
};

struct tar_reader {
    struct str bytes;
    size_t at;
    int count; /* entries so far */
};

/* Could these first bytes of a file be one? Needs 262 of them. */
bool tar_recognise(const void *head, size_t size);

/* The next entry, or *is_end. ERR_INVALID, ERR_UNSUPPORTED or ERR_LIMIT names the offset or the
 * path. Begin with {.bytes = all of it}. */
enum err_code tar_next(struct tar_reader *reader, struct tar_entry *entry, bool *is_end,
                       struct err *err);

/* The data of one file; ptr NULL when there is none of that path. */
enum err_code tar_find(struct str bytes, const char *path, struct str *data, struct err *err);

/* Relative, not empty, no "." or ".." or empty part, no control bytes, UTF-8. */
bool tar_path_is_safe(struct str path);

/* All files below `folder` as the person at the command line named it. Left out are what tools
 * leave behind: __pycache__, .git, .ipynb_checkpoints, .DS_Store. A link is refused: what it leads
 * to may not be there where it is unpacked. `out` is initialised by the caller. */
enum err_code tar_pack(const char *folder, struct buf *out, struct err *err);

/* The same with one more file; ERR_EXISTS when the folder has one of that name. */
struct tar_extra {
    const char *path;
    struct str data;
};
enum err_code tar_pack_with(const char *folder, const struct tar_extra *extra, struct buf *out,
                            struct err *err);

/* Write all entries below the empty folder `dir_fd`: files are read-only. */
enum err_code tar_unpack(struct str bytes, int dir_fd, struct err *err);

#endif
