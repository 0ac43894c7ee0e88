/* tar.c - reading and writing ustar blocks, and the folders on both sides. */
#include "base/tar.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"

enum {
    NAME_AT = 0,
    NAME_BYTES = 100,
    MODE_AT = 100,
    SIZE_AT = 124,
    SIZE_BYTES = 12,
    SUM_AT = 148,
    SUM_BYTES = 8,
    TYPE_AT = 156,
    MAGIC_AT = 257,
    PREFIX_AT = 345,
    PREFIX_BYTES = 155,
};

static const char zeros[TAR_BLOCK];

static size_t padded(size_t size)
{
    return (size + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
}

bool tar_recognise(const void *head, size_t size)
{
    return size >= MAGIC_AT + 5 && memcmp((const char *)head + MAGIC_AT, "ustar", 5) == 0;
}

bool tar_path_is_safe(struct str path)
{
    struct str part;
    if (path.len == 0 || path.len > TAR_PATH_BYTES_MAX || !str_is_utf8(path))
        return false;
    for (size_t i = 0; i < path.len; i++)
        if ((unsigned char)path.ptr[i] < 0x20 || path.ptr[i] == 0x7f)
            return false;
    int depth = 0;
    while (str_split(&path, '/', &part)) {
        if (part.len == 0 || str_equal_c(part, ".") || str_equal_c(part, ".."))
            return false;
        if (++depth > TAR_DEPTH_MAX)
            return false;
    }
    return true;
}

/* ---- reading ---- */

static struct str text_at(const char *block, size_t at, size_t bytes)
{
    return (struct str){block + at, strnlen(block + at, bytes)};
}

/* Octal digits, after spaces and before a space or NUL. */
static bool octal_at(const char *block, size_t at, size_t bytes, uint64_t *value)
{
    size_t i = at, end = at + bytes;
    uint64_t sum = 0;
    while (i < end && block[i] == ' ')
        i++;
    size_t first = i;
    for (; i < end && block[i] >= '0' && block[i] <= '7'; i++)
        sum = sum * 8 + (uint64_t)(block[i] - '0'); /* 12 digits are 36 bits */
    if (i == first || (i < end && block[i] != ' ' && block[i] != '\0'))
        return false;
    *value = sum;
    return true;
}

static uint64_t checksum(const char *block)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += i >= SUM_AT && i < SUM_AT + SUM_BYTES ? ' ' : (unsigned char)block[i];
    return sum;
}

static bool is_zero(const char *block)
{
    return memcmp(block, zeros, TAR_BLOCK) == 0;
}

/* prefix/name without "./" in front and "/" behind, as tar writes folders. */
static enum err_code read_path(const char *block, struct tar_entry *entry, size_t at,
                               struct err *err)
{
    struct str prefix = text_at(block, PREFIX_AT, PREFIX_BYTES);
    struct str name = text_at(block, NAME_AT, NAME_BYTES);
    char text[PREFIX_BYTES + NAME_BYTES + 2];
    int length = snprintf(text, sizeof(text), "%.*s%s%.*s", STR_ARG(prefix), prefix.len ? "/" : "",
                          STR_ARG(name));
    struct str path = {text, (size_t)length};
    while (str_starts_with(path, STR_LIT("./"))) {
        path.ptr += 2;
        path.len -= 2;
    }
    while (path.len > 0 && path.ptr[path.len - 1] == '/')
        path.len--;
    if (path.len == 0 || str_equal_c(path, ".")) {
        entry->path[0] = '\0'; /* the folder itself */
        return ERR_OK;
    }
    if (!tar_path_is_safe(path)) {
        err_set(err, ERR_INVALID, "the archive has an unsafe path at byte %zu", at);
        return err_hint(err, "paths are relative, without '..' and control characters");
    }
    memcpy(entry->path, path.ptr, path.len);
    entry->path[path.len] = '\0';
    return ERR_OK;
}

static enum err_code read_type(const char *block, struct tar_entry *entry, struct err *err)
{
    char type = block[TYPE_AT];
    if (type == '5' || type == '0' || type == '\0') {
        entry->is_folder = type == '5';
        return ERR_OK;
    }
    if (type == '1' || type == '2') {
        err_set(err, ERR_UNSUPPORTED, "the archive has a link: '%s'", entry->path);
        return err_hint(err, "put the file itself there");
    }
    err_set(err, ERR_UNSUPPORTED, "the archive has an entry of type '%c' at '%s'",
            type > ' ' && type < 0x7f ? type : '?', entry->path);
    return err_hint(err, "pass the folder itself, or make it with: tar --format=ustar");
}

static enum err_code read_entry(const struct tar_reader *r, struct tar_entry *entry,
                                struct err *err)
{
    const char *block = r->bytes.ptr + r->at;
    uint64_t sum, size, mode = 0;
    if (!octal_at(block, SUM_AT, SUM_BYTES, &sum) || sum != checksum(block) ||
        !tar_recognise(block, TAR_BLOCK) || !octal_at(block, SIZE_AT, SIZE_BYTES, &size))
        return err_set(err, ERR_INVALID, "the archive is damaged at byte %zu", r->at);
    enum err_code rc = read_path(block, entry, r->at, err);
    if (!rc)
        rc = read_type(block, entry, err);
    if (rc)
        return rc;
    if (!entry->is_folder && entry->path[0] == '\0')
        return err_set(err, ERR_INVALID, "the archive has a file without a name at byte %zu",
                       r->at);
    if (size > r->bytes.len - r->at - TAR_BLOCK)
        return err_set(err, ERR_INVALID, "the archive ends inside '%s'", entry->path);
    octal_at(block, MODE_AT, 8, &mode);
    entry->is_executable = mode & 0100;
    entry->data = (struct str){block + TAR_BLOCK, (size_t)size};
    return ERR_OK;
}

enum err_code tar_next(struct tar_reader *r, struct tar_entry *entry, bool *is_end, struct err *err)
{
    if (r->at >= r->bytes.len || r->bytes.len - r->at < TAR_BLOCK)
        return err_set(err, ERR_INVALID, "the archive ends at byte %zu without its end mark",
                       r->bytes.len);
    *is_end = is_zero(r->bytes.ptr + r->at);
    if (*is_end)
        return ERR_OK;
    if (r->count >= TAR_FILES_MAX)
        return err_set(err, ERR_LIMIT, "the archive has more than %d entries", TAR_FILES_MAX);
    enum err_code rc = read_entry(r, entry, err);
    if (rc)
        return rc;
    size_t room = r->bytes.len - r->at - TAR_BLOCK, data = padded(entry->data.len);
    r->at += TAR_BLOCK + (data < room ? data : room);
    r->count++;
    return ERR_OK;
}

enum err_code tar_find(struct str bytes, const char *path, struct str *data, struct err *err)
{
    struct tar_reader reader = {.bytes = bytes};
    struct tar_entry entry;
    bool is_end = false;
    *data = (struct str){0};
    for (;;) {
        enum err_code rc = tar_next(&reader, &entry, &is_end, err);
        if (rc || is_end)
            return rc;
        if (!entry.is_folder && strcmp(entry.path, path) == 0)
            *data = entry.data;
    }
}

/* ---- writing ---- */

/* Where a path longer than the name field is cut in two; 0 when it fits, -1 when it cannot be. */
static int cut_of(struct str path)
{
    if (path.len <= NAME_BYTES)
        return 0;
    for (size_t i = path.len - NAME_BYTES - 1; i < path.len && i <= PREFIX_BYTES; i++)
        if (path.ptr[i] == '/' && i > 0)
            return (int)i;
    return -1;
}

static enum err_code put_file(struct buf *out, const char *path, struct str data, bool is_exec,
                              struct err *err)
{
    char block[TAR_BLOCK] = {0};
    struct str whole = str_of(path);
    int cut = cut_of(whole);
    if (cut < 0 || !tar_path_is_safe(whole)) {
        err_set(err, ERR_INVALID, "the name '%s' cannot go into an archive", path);
        return err_hint(err, "shorter names, without control characters");
    }
    size_t name = cut ? (size_t)cut + 1 : 0;
    memcpy(block + PREFIX_AT, path, (size_t)cut);
    memcpy(block + NAME_AT, path + name, whole.len - name);
    snprintf(block + MODE_AT, 8, "%07o", is_exec ? 0755u : 0644u);
    snprintf(block + 108, 8, "%07o", 0u);
    snprintf(block + 116, 8, "%07o", 0u);
    snprintf(block + SIZE_AT, SIZE_BYTES, "%011llo", (unsigned long long)data.len);
    snprintf(block + 136, 12, "%011o", 0u);
    block[TYPE_AT] = '0';
    memcpy(block + MAGIC_AT, "ustar\00000", 8);
    snprintf(block + SUM_AT, SUM_BYTES - 1, "%06llo", (unsigned long long)checksum(block));
    block[SUM_AT + SUM_BYTES - 1] = ' ';
    buf_append(out, block, sizeof(block));
    buf_str(out, data);
    buf_append(out, zeros, padded(data.len) - data.len);
    return ERR_OK;
}

struct packing {
    struct buf *out;
    int count;
};

static bool is_left_out(const char *name)
{
    static const char *const names[] = {
        ".", "..", "__pycache__", ".git", ".ipynb_checkpoints", ".DS_Store"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static int keep(const struct dirent *entry)
{
    return !is_left_out(entry->d_name);
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static enum err_code pack_folder(struct packing *p, int dir_fd, const char *path, int depth,
                                 struct err *err);

static enum err_code pack_file(struct packing *p, int fd, const char *path, bool is_exec,
                               struct err *err)
{
    struct buf bytes;
    if (++p->count > TAR_FILES_MAX)
        return err_set(err, ERR_LIMIT, "the folder has more than %d files", TAR_FILES_MAX);
    enum err_code rc = file_read_fd(fd, path, p->out->bytes_max, &bytes, err);
    if (!rc)
        rc = put_file(p->out, path, buf_view(&bytes), is_exec, err);
    buf_done(&bytes);
    if (!rc && p->out->is_full)
        rc = err_set(err, ERR_LIMIT, "the folder has more than %zu bytes", p->out->bytes_max);
    return rc;
}

static enum err_code pack_entry(struct packing *p, int dir_fd, const char *path, const char *name,
                                int depth, struct err *err)
{
    char below[TAR_PATH_BYTES_MAX + 2];
    struct stat st;
    int length = snprintf(below, sizeof(below), "%s%s%s", path, path[0] ? "/" : "", name);
    if (length > TAR_PATH_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "the path '%s' is longer than %d bytes", below,
                       TAR_PATH_BYTES_MAX);
    int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno == ELOOP) {
        err_set(err, ERR_UNSUPPORTED, "'%s' is a link", below);
        return err_hint(err, "put the file itself there: what a link leads to stays here");
    }
    if (fd < 0 || fstat(fd, &st) != 0) {
        err_set_errno(err, errno, "reading '%s'", below);
        if (fd >= 0)
            close(fd);
        return err->code;
    }
    enum err_code rc;
    if (S_ISDIR(st.st_mode))
        rc = pack_folder(p, fd, below, depth + 1, err);
    else if (S_ISREG(st.st_mode))
        rc = pack_file(p, fd, below, st.st_mode & 0100, err);
    else
        rc = err_set(err, ERR_UNSUPPORTED, "'%s' is neither a file nor a folder", below);
    close(fd);
    return rc;
}

static enum err_code pack_folder(struct packing *p, int dir_fd, const char *path, int depth,
                                 struct err *err)
{
    struct dirent **entries = NULL;
    enum err_code rc = ERR_OK;
    if (depth > TAR_DEPTH_MAX)
        return err_set(err, ERR_LIMIT, "'%s' is more than %d folders deep", path, TAR_DEPTH_MAX);
    int count = scandirat(dir_fd, ".", &entries, keep, by_bytes);
    if (count < 0)
        return err_set_errno(err, errno, "reading folder '%s'", path);
    for (int i = 0; i < count; i++) {
        if (!rc)
            rc = pack_entry(p, dir_fd, path, entries[i]->d_name, depth, err);
        free(entries[i]);
    }
    free(entries);
    return rc;
}

static enum err_code pack_extra(const struct packing *p, int dir_fd, const struct tar_extra *extra,
                                struct err *err)
{
    struct stat st;
    if (fstatat(dir_fd, extra->path, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return err_set(err, ERR_EXISTS, "it has a file %s already", extra->path);
    return put_file(p->out, extra->path, extra->data, false, err);
}

enum err_code tar_pack(const char *folder, struct buf *out, struct err *err)
{
    return tar_pack_with(folder, NULL, out, err);
}

enum err_code tar_pack_with(const char *folder, const struct tar_extra *extra, struct buf *out,
                            struct err *err)
{
    struct packing p = {.out = out};
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_set_errno(err, errno, "opening folder %s", folder);
    enum err_code rc = extra ? pack_extra(&p, fd, extra, err) : ERR_OK;
    if (!rc)
        rc = pack_folder(&p, fd, "", 0, err);
    close(fd);
    if (!rc && p.count == 0)
        rc = err_set(err, ERR_INVALID, "the folder %s has no files", folder);
    if (rc)
        return err_wrap(err, "packing %s", folder);
    buf_append(out, zeros, sizeof(zeros));
    buf_append(out, zeros, sizeof(zeros));
    return out->is_full ? err_set(err, ERR_LIMIT, "the folder %s has more than %zu bytes", folder,
                                  out->bytes_max)
                        : ERR_OK;
}

/* ---- unpacking ---- */

/* The folder that `path` is in, made when it is not there; *name is its last part. */
static enum err_code open_parent(int dir_fd, const char *path, bool takes_last, int *fd,
                                 const char **name, struct err *err)
{
    char part[TAR_PATH_BYTES_MAX + 1];
    int at = dup(dir_fd);
    for (*name = path; at >= 0;) {
        const char *slash = strchr(*name, '/');
        size_t length = slash ? (size_t)(slash - *name) : strlen(*name);
        if (!slash && !takes_last)
            break;
        memcpy(part, *name, length);
        part[length] = '\0';
        int below = mkdirat(at, part, 0755) == 0 || errno == EEXIST
                        ? openat(at, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                        : -1;
        int errnum = errno;
        close(at);
        errno = errnum;
        at = below;
        if (!slash)
            break;
        *name = slash + 1;
    }
    *fd = at;
    return at < 0 ? err_set_errno(err, errno, "unpacking '%s'", path) : ERR_OK;
}

static enum err_code unpack_entry(int dir_fd, const struct tar_entry *entry, struct err *err)
{
    const char *name;
    int folder_fd;
    if (entry->path[0] == '\0')
        return ERR_OK;
    enum err_code rc = open_parent(dir_fd, entry->path, entry->is_folder, &folder_fd, &name, err);
    if (rc)
        return rc;
    if (!entry->is_folder) {
        int fd = openat(folder_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                        entry->is_executable ? 0555 : 0444);
        if (fd < 0 && errno == EEXIST)
            rc = err_set(err, ERR_INVALID, "the archive has '%s' twice", entry->path);
        else if (fd < 0)
            rc = err_set_errno(err, errno, "unpacking '%s'", entry->path);
        else
            rc = file_write_all(fd, entry->path, entry->data.ptr, entry->data.len, err);
        if (fd >= 0)
            close(fd);
    }
    close(folder_fd);
    return rc;
}

enum err_code tar_unpack(struct str bytes, int dir_fd, struct err *err)
{
    struct tar_reader reader = {.bytes = bytes};
    struct tar_entry entry;
    bool is_end = false;
    for (;;) {
        enum err_code rc = tar_next(&reader, &entry, &is_end, err);
        if (rc || is_end)
            return rc;
        rc = unpack_entry(dir_fd, &entry, err);
        if (rc)
            return rc;
    }
}
