/* blob_dir.c - blobs in a folder: blobs/ab/abcdef..., mode 0400, named by what is in them.
 *
 *     put     .put-<random> in blobs/   write, fsync, rename to ab/<digest>, fsync ab and blobs
 *     get     read whole into memory of its own and hashed before anybody sees a byte
 *
 *     remove  when it is old enough
 *
 * What changes a name or an age in ab/ holds a lock (flock) on that folder, so that a blob is not
 * removed as old by one thread while another puts it again.
 *
 * A blob is read, not mapped from its file: a disk that fails later would kill the process that
 * touches the map, a read fails with an error. Every file is opened below the folder's descriptor
 * without following a link. There is no state but that descriptor, so all functions may run in
 * several threads at once.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "base/rand.h"
#include "store/blob.h"

enum { BLOB_DIR_MAGIC = 0x424c4f42, NAME_BYTES = 32, PATH_BYTES_MAX = 4096 };

#define FOLDER_NAME "blobs"
#define TEMPORARY_PREFIX ".put-"

struct blob_store {
    struct blob_head head;
    uint32_t magic;
    int fd; /* of blobs/ */
};

/* What a blob of no bytes is read as: a place that may be pointed at. */
static const char no_bytes[1];

static const char *shard_of(const struct blob_digest *digest, char shard[3])
{
    memcpy(shard, digest->hex, 2);
    shard[2] = '\0';
    return shard;
}

static enum err_code refuse_damaged(const struct blob_digest *digest, const char *how,
                                    struct err *err)
{
    err_set(err, ERR_IO, "blob %s is damaged: %s", digest->hex, how);
    return err_hint(err, "restore it from a backup, or register the same file again");
}

/* The folder ab/ that a blob lives in; ERR_NOT_FOUND when there is none yet. */
static enum err_code open_shard(struct blob_store *blobs, const struct blob_digest *digest, int *fd,
                                struct err *err)
{
    char shard[3];
    assert(hash_is_sha256_hex(str_of(digest->hex)));
    *fd =
        openat(blobs->fd, shard_of(digest, shard), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return *fd < 0 ? err_set_errno(err, errno, "blob %s", digest->hex) : ERR_OK;
}

/* The lock ends when the descriptor is closed. */
static enum err_code open_locked_shard(struct blob_store *blobs, const struct blob_digest *digest,
                                       int *fd, struct err *err)
{
    int rc;
    if (open_shard(blobs, digest, fd, err))
        return err->code;
    do
        rc = flock(*fd, LOCK_EX);
    while (rc != 0 && errno == EINTR);
    if (rc == 0)
        return ERR_OK;
    err_set_errno(err, errno, "cannot lock the folder of blob %s", digest->hex);
    close(*fd);
    return err->code;
}

static enum err_code open_in_shard(int shard, const struct blob_digest *digest, int *fd,
                                   uint64_t *size, struct err *err)
{
    struct stat st;
    *fd = openat(shard, digest->hex, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (*fd < 0)
        return err_set_errno(err, errno, "blob %s", digest->hex);
    if (fstat(*fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(*fd);
        return refuse_damaged(digest, "it is not a regular file", err);
    }
    *size = (uint64_t)st.st_size;
    return ERR_OK;
}

static enum err_code open_blob(struct blob_store *blobs, const struct blob_digest *digest, int *fd,
                               uint64_t *size, struct err *err)
{
    int shard = -1;
    if (open_shard(blobs, digest, &shard, err))
        return err->code;
    enum err_code code = open_in_shard(shard, digest, fd, size, err);
    close(shard);
    return code;
}

static enum err_code read_all(int fd, const struct blob_digest *digest, char *bytes, size_t size,
                              struct err *err)
{
    size_t done = 0;
    while (done < size) {
        ssize_t got = pread(fd, bytes + done, size - done, (off_t)done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_set_errno(err, errno, "cannot read blob %s", digest->hex);
        if (got == 0)
            return refuse_damaged(digest, "it is shorter than it was", err);
        done += (size_t)got;
    }
    return ERR_OK;
}

static enum err_code check_digest(const struct blob_digest *digest, const void *bytes, size_t size,
                                  struct err *err)
{
    char hex[SHA256_HEX_BYTES + 1];
    hash_sha256_hex(bytes, size, hex);
    if (memcmp(hex, digest->hex, SHA256_HEX_BYTES) != 0)
        return refuse_damaged(digest, "its bytes have another digest", err);
    return ERR_OK;
}

static void dir_release(struct blob_store *blobs, const void *bytes, size_t size)
{
    CHECK_MAGIC(blobs, BLOB_DIR_MAGIC);
    if (size > 0)
        munmap((void *)(uintptr_t)bytes, size);
}

static enum err_code read_blob(int fd, const struct blob_digest *digest, size_t size,
                               const void **bytes, struct err *err)
{
    if (size == 0) {
        if (check_digest(digest, no_bytes, 0, err))
            return err->code;
        *bytes = no_bytes;
        return ERR_OK;
    }
    char *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
        return err_set(err, ERR_LIMIT, "no memory for the %zu bytes of blob %s", size, digest->hex);
    if (read_all(fd, digest, map, size, err) || check_digest(digest, map, size, err)) {
        munmap(map, size);
        return err->code;
    }
    mprotect(map, size, PROT_READ);
    *bytes = map;
    return ERR_OK;
}

static enum err_code dir_get(struct blob_store *blobs, const struct blob_digest *digest,
                             const void **bytes, size_t *size, struct err *err)
{
    int fd = -1;
    uint64_t file_size = 0;
    CHECK_MAGIC(blobs, BLOB_DIR_MAGIC);
    if (open_blob(blobs, digest, &fd, &file_size, err))
        return err->code;
    enum err_code code = read_blob(fd, digest, (size_t)file_size, bytes, err);
    close(fd);
    if (!code)
        *size = (size_t)file_size;
    return code;
}

static enum err_code dir_stat(struct blob_store *blobs, const struct blob_digest *digest,
                              uint64_t *size, struct err *err)
{
    int fd = -1;
    uint64_t file_size = 0;
    CHECK_MAGIC(blobs, BLOB_DIR_MAGIC);
    if (open_blob(blobs, digest, &fd, &file_size, err))
        return err->code;
    close(fd);
    *size = file_size;
    return ERR_OK;
}

static enum err_code dir_keep(struct blob_store *blobs, const struct blob_digest *digest,
                              uint64_t *size, struct err *err)
{
    int shard = -1, fd = -1;
    uint64_t file_size = 0;
    CHECK_MAGIC(blobs, BLOB_DIR_MAGIC);
    if (open_locked_shard(blobs, digest, &shard, err))
        return err->code;
    enum err_code code = open_in_shard(shard, digest, &fd, &file_size, err);
    if (!code && futimens(fd, NULL) != 0)
        code = err_set_errno(err, errno, "cannot keep blob %s", digest->hex);
    if (fd >= 0)
        close(fd);
    close(shard);
    if (!code)
        *size = file_size;
    return code;
}

/* Whether the blob is there and sound; then it is kept. A damaged one is written again. */
static bool is_stored(struct blob_store *blobs, const struct blob_digest *digest)
{
    struct err ignored = {0}; /* what cannot be read is written again */
    int fd = -1;
    uint64_t size = 0;
    const void *bytes = NULL;
    if (open_blob(blobs, digest, &fd, &size, &ignored))
        return false;
    bool is_sound = read_blob(fd, digest, (size_t)size, &bytes, &ignored) == ERR_OK;
    if (is_sound)
        dir_release(blobs, bytes, (size_t)size);
    is_sound = is_sound && fsync(fd) == 0;
    close(fd);
    return is_sound && dir_keep(blobs, digest, &size, &ignored) == ERR_OK;
}

static enum err_code write_temporary(struct blob_store *blobs, const char *name, const void *bytes,
                                     size_t size, struct err *err)
{
    int fd = openat(blobs->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot create a blob");
    enum err_code code = file_write_all(fd, "a blob", bytes, size, err);
    if (!code && fsync(fd) != 0)
        code = err_set_errno(err, errno, "cannot make a blob durable");
    if (close(fd) != 0 && !code)
        code = err_set_errno(err, errno, "cannot close a blob");
    return code;
}

static enum err_code sync_folders(struct blob_store *blobs, const struct blob_digest *digest,
                                  struct err *err)
{
    int shard = -1;
    if (open_shard(blobs, digest, &shard, err))
        return err->code;
    int failed = fsync(shard) == 0 && fsync(blobs->fd) == 0 ? 0 : errno;
    close(shard);
    if (failed)
        return err_set_errno(err, failed, "cannot make blob %s durable", digest->hex);
    return ERR_OK;
}

static enum err_code give_name(struct blob_store *blobs, const char *temporary,
                               const struct blob_digest *digest, struct err *err)
{
    char shard_name[3];
    int shard = -1;
    if (mkdirat(blobs->fd, shard_of(digest, shard_name), 0700) != 0 && errno != EEXIST)
        return err_set_errno(err, errno, "cannot create the folder of blob %s", digest->hex);
    if (open_locked_shard(blobs, digest, &shard, err))
        return err->code;
    int failed = renameat(blobs->fd, temporary, shard, digest->hex) == 0 ? 0 : errno;
    close(shard);
    if (failed)
        return err_set_errno(err, failed, "cannot name blob %s", digest->hex);
    return ERR_OK;
}

static enum err_code write_blob(struct blob_store *blobs, const void *bytes, size_t size,
                                const struct blob_digest *digest, struct err *err)
{
    char temporary[NAME_BYTES];
    uint64_t suffix;
    rand_secret(&suffix, sizeof(suffix));
    snprintf(temporary, sizeof(temporary), TEMPORARY_PREFIX "%016llx", (unsigned long long)suffix);
    enum err_code code = write_temporary(blobs, temporary, bytes, size, err);
    if (!code)
        code = give_name(blobs, temporary, digest, err);
    if (code)
        unlinkat(blobs->fd, temporary, 0);
    return code;
}

static enum err_code dir_put(struct blob_store *blobs, const void *bytes, size_t size,
                             struct blob_digest *digest, struct err *err)
{
    struct blob_digest made;
    CHECK_MAGIC(blobs, BLOB_DIR_MAGIC);
    hash_sha256_hex(bytes, size, made.hex);
    if (!is_stored(blobs, &made) && write_blob(blobs, bytes, size, &made, err))
        return err->code;
    if (sync_folders(blobs, &made, err))
        return err->code;
    *digest = made;
    return ERR_OK;
}

static int64_t modified_us_of(const struct stat *st)
{
    return (int64_t)st->st_mtim.tv_sec * 1000000 + st->st_mtim.tv_nsec / 1000;
}

static enum err_code remove_in_shard(int shard, const struct blob_digest *digest, int64_t before_us,
                                     struct err *err)
{
    struct stat st;
    if (fstatat(shard, digest->hex, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return err_set_errno(err, errno, "blob %s", digest->hex);
    if (modified_us_of(&st) >= before_us)
        return err_set(err, ERR_CONFLICT, "blob %s was put again meanwhile", digest->hex);
    if (unlinkat(shard, digest->hex, 0) != 0 || fsync(shard) != 0)
        return err_set_errno(err, errno, "cannot remove blob %s", digest->hex);
    return ERR_OK;
}

static enum err_code dir_remove(struct blob_store *blobs, const struct blob_digest *digest,
                                int64_t before_us, struct err *err)
{
    int shard = -1;
    CHECK_MAGIC(blobs, BLOB_DIR_MAGIC);
    if (open_locked_shard(blobs, digest, &shard, err))
        return err->code;
    enum err_code code = remove_in_shard(shard, digest, before_us, err);
    close(shard);
    return code;
}

typedef enum err_code each_fn(void *arg, const struct blob_digest *digest, uint64_t size,
                              int64_t modified_us, struct err *err);

static enum err_code visit(int shard, const char *name, each_fn *fn, void *arg, struct err *err)
{
    struct blob_digest digest;
    struct stat st;
    if (fstatat(shard, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? ERR_OK : err_set_errno(err, errno, "blob %s", name);
    memcpy(digest.hex, name, sizeof(digest.hex));
    return fn(arg, &digest, (uint64_t)st.st_size, modified_us_of(&st), err);
}

static bool is_blob_name(const char *name, const char *shard)
{
    return hash_is_sha256_hex(str_of(name)) && memcmp(name, shard, 2) == 0;
}

/* A stream of the entries below `parent`, which keeps its own place. NULL with errno. */
static DIR *list_folder(int parent, const char *name)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (fd >= 0 && !dir)
        close(fd);
    return dir;
}

static enum err_code each_in_shard(struct blob_store *blobs, const char *shard, each_fn *fn,
                                   void *arg, struct err *err)
{
    DIR *dir = list_folder(blobs->fd, shard);
    struct dirent *entry;
    enum err_code code = ERR_OK;
    if (!dir)
        return err_set_errno(err, errno, "cannot list the blobs of %s", shard);
    while (!code && (errno = 0, entry = readdir(dir))) {
        if (is_blob_name(entry->d_name, shard))
            code = visit(dirfd(dir), entry->d_name, fn, arg, err);
    }
    if (!code && errno)
        code = err_set_errno(err, errno, "cannot list the blobs of %s", shard);
    closedir(dir);
    return code;
}

static bool is_shard_name(const char *name)
{
    uint8_t byte;
    char lower[2];
    if (strlen(name) != 2 || !str_unhex(str_of(name), &byte, 1))
        return false;
    str_hex(&byte, 1, lower);
    return memcmp(lower, name, 2) == 0;
}

static enum err_code dir_each(struct blob_store *blobs, each_fn *fn, void *arg, struct err *err)
{
    CHECK_MAGIC(blobs, BLOB_DIR_MAGIC);
    DIR *dir = list_folder(blobs->fd, ".");
    struct dirent *entry;
    enum err_code code = ERR_OK;
    if (!dir)
        return err_set_errno(err, errno, "cannot list the blobs");
    while (!code && (errno = 0, entry = readdir(dir))) {
        if (is_shard_name(entry->d_name))
            code = each_in_shard(blobs, entry->d_name, fn, arg, err);
    }
    if (!code && errno)
        code = err_set_errno(err, errno, "cannot list the blobs");
    closedir(dir);
    return code;
}

static void dir_clean(struct blob_store *blobs)
{
    DIR *dir = list_folder(blobs->fd, ".");
    struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        if (strncmp(entry->d_name, TEMPORARY_PREFIX, strlen(TEMPORARY_PREFIX)) == 0)
            unlinkat(blobs->fd, entry->d_name, 0);
    }
    if (dir)
        closedir(dir);
}

static enum err_code open_folder(const char *path, int *fd, struct err *err)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return err_set_errno(err, errno, "cannot create %s", path);
    *fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return *fd < 0 ? err_set_errno(err, errno, "cannot open %s", path) : ERR_OK;
}

static enum err_code sync_parent(const char *where, struct err *err)
{
    int fd = open(where, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int failed = fd >= 0 && fsync(fd) == 0 ? 0 : errno;
    if (fd >= 0)
        close(fd);
    return failed ? err_set_errno(err, failed, "cannot make %s durable", where) : ERR_OK;
}

static enum err_code dir_open(const char *where, struct blob_store **out, struct err *err)
{
    char path[PATH_BYTES_MAX];
    int fd = -1;
    int len = snprintf(path, sizeof(path), "%s/" FOLDER_NAME, where);
    if (len < 0 || (size_t)len >= sizeof(path))
        return err_set(err, ERR_LIMIT, "the path of the blobs is longer than %zu bytes",
                       sizeof(path) - 1);
    if (open_folder(path, &fd, err))
        return err->code;
    if (sync_parent(where, err)) {
        close(fd);
        return err->code;
    }
    struct blob_store *blobs = calloc(1, sizeof(*blobs));
    if (!blobs)
        abort();
    *blobs = (struct blob_store){.head = {&blob_dir}, .magic = BLOB_DIR_MAGIC, .fd = fd};
    *out = blobs;
    return ERR_OK;
}

static void dir_close(struct blob_store *blobs)
{
    CHECK_MAGIC(blobs, BLOB_DIR_MAGIC);
    close(blobs->fd);
    blobs->magic = 0;
    free(blobs);
}

const struct blob_ops blob_dir = {
    .name = "dir",
    .open = dir_open,
    .close = dir_close,
    .clean = dir_clean,
    .put = dir_put,
    .get = dir_get,
    .release = dir_release,
    .stat = dir_stat,
    .keep = dir_keep,
    .remove = dir_remove,
    .each = dir_each,
};
