/* file.c - whole-file reads with a limit, whole-file replacement that survives a crash. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/rand.h"

enum { READ_BYTES = 64 * 1024 };

static enum err_code too_large(const char *what, size_t bytes_max, struct err *err)
{
    return err_set(err, ERR_LIMIT, "%s is larger than %zu bytes", what, bytes_max);
}

/* A regular file says how large it is, so that it is read into one allocation. */
static size_t expected_bytes(int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size < 0)
        return READ_BYTES;
    return (size_t)st.st_size + 1; /* one more, to see the end of the file */
}

enum err_code file_read_fd(int fd, const char *what, size_t bytes_max, struct buf *out,
                           struct err *err)
{
    assert(bytes_max < SIZE_MAX);
    buf_init(out, bytes_max + 1);
    size_t step = expected_bytes(fd);
    for (;;) {
        size_t room = bytes_max + 1 - out->len;
        if (room == 0)
            return too_large(what, bytes_max, err);
        buf_reserve(out, step < room ? step : room);
        ssize_t got = read(fd, out->data + out->len, out->capacity - out->len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_set_errno(err, errno, "cannot read %s", what);
        if (got == 0)
            return ERR_OK;
        out->len += (size_t)got;
        step = out->len == out->capacity ? READ_BYTES : 1;
    }
}

enum err_code file_read(const char *path, size_t bytes_max, struct buf *out, struct err *err)
{
    if (strcmp(path, "-") == 0)
        return file_read_fd(STDIN_FILENO, "standard input", bytes_max, out, err);
    buf_init(out, bytes_max);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot open %s", path);
    enum err_code code = file_read_fd(fd, path, bytes_max, out, err);
    close(fd);
    return code;
}

enum err_code file_write_all(int fd, const char *what, const void *bytes, size_t size,
                             struct err *err)
{
    const char *p = bytes;
    while (size > 0) {
        ssize_t put = write(fd, p, size);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return err_set_errno(err, errno, "cannot write %s", what);
        p += put;
        size -= (size_t)put;
    }
    return ERR_OK;
}

static enum err_code write_new_at(int dir_fd, const char *temporary, const char *name,
                                  const void *bytes, size_t size, int mode, struct err *err)
{
    int fd = openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                    (mode_t)mode);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot create a file for %s", name);
    enum err_code code = file_write_all(fd, name, bytes, size, err);
    if (code == ERR_OK && fsync(fd) != 0)
        code = err_set_errno(err, errno, "cannot make %s durable", name);
    if (close(fd) != 0 && code == ERR_OK)
        code = err_set_errno(err, errno, "cannot close %s", name);
    return code;
}

enum err_code file_replace_at(int dir_fd, const char *name, const void *bytes, size_t size,
                              int mode, struct err *err)
{
    char temporary[64];
    uint64_t suffix;
    assert(name[0] != '\0' && !strchr(name, '/'));
    rand_secret(&suffix, sizeof(suffix));
    snprintf(temporary, sizeof(temporary), ".replace-%016llx", (unsigned long long)suffix);
    enum err_code code = write_new_at(dir_fd, temporary, name, bytes, size, mode, err);
    if (code == ERR_OK && renameat(dir_fd, temporary, dir_fd, name) != 0)
        code = err_set_errno(err, errno, "cannot replace %s", name);
    if (code != ERR_OK) {
        unlinkat(dir_fd, temporary, 0);
        return code;
    }
    if (fsync(dir_fd) != 0)
        return err_set_errno(err, errno, "cannot make the new %s durable", name);
    return ERR_OK;
}
