/* folder.c - the data folder: found or made, checked to be ours, locked by one process.
 *
 * The lock is flock on the file `lock`. The kernel drops it when its process ends in whatever way,
 * so a lock is never stale; the pid in the file is only for people.
 */
#include "store/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/str.h"

enum {
    FOLDER_MAGIC = 0x464f4c44,
    PID_BYTES = 24,
    PATH_BYTES_MAX = 3072, /* leaves room for names of files within PATH_MAX */
    LOCK_TRIES = 20,
    LOCK_WAIT_NS = 2 * 1000 * 1000,
};

#define DATABASE_NAME "slipway.db"

struct folder {
    uint32_t magic;
    char *path;
    int fd, lock_fd; /* lock_fd -1: not locked by us */
};

/* Names that a folder of ours may have before its database is made: the layout, what a crash in
 * between leaves, and what a file system puts into its root. */
static bool is_our_name(const char *name)
{
    static const char *const names[] = {".",          "..",      "lock",         "slipway.sock",
                                        "blobs",      "backups", "rollback.log", "lost+found",
                                        "predictions"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return strncmp(name, DATABASE_NAME, strlen(DATABASE_NAME)) == 0 ||
           strncmp(name, ".replace-", 9) == 0;
}

/* The first entry that is not ours goes to `foreign` (NAME_MAX + 1); "" when there is none. */
static enum err_code find_foreign(int folder_fd, const char *path, char *foreign, bool *is_empty,
                                  struct err *err)
{
    int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *entry;
    if (!dir)
        return err_set_errno(err, errno, "cannot list %s", path);
    foreign[0] = '\0';
    *is_empty = true;
    while ((entry = readdir(dir))) {
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, "lost+found") != 0)
            *is_empty = false;
        if (!foreign[0] && !is_our_name(entry->d_name))
            snprintf(foreign, NAME_MAX + 1, "%s", entry->d_name);
    }
    closedir(dir);
    return ERR_OK;
}

static enum err_code refuse_absent(const char *path, struct err *err)
{
    err_set(err, ERR_NOT_FOUND, "there is no data folder at %s", path);
    return err_hint(err, "name it with --data; slipway serve makes a new one");
}

/* Ours is a folder with our database, or with nothing that is not ours. */
static enum err_code check_contents(int fd, const char *path, bool create, struct err *err)
{
    char foreign[NAME_MAX + 1];
    struct stat st;
    bool is_empty = true;
    if (fstatat(fd, DATABASE_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return ERR_OK;
    if (find_foreign(fd, path, foreign, &is_empty, err))
        return err->code;
    if (foreign[0]) {
        err_set(err, ERR_INVALID, "%s is not a data folder: it has '%s' in it", path, foreign);
        return err_hint(err, "name a folder of its own with --data");
    }
    return is_empty && !create ? refuse_absent(path, err) : ERR_OK;
}

static enum err_code check_owner(int fd, const char *path, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_set_errno(err, errno, "cannot look at %s", path);
    if (st.st_uid == geteuid())
        return ERR_OK;
    err_set(err, ERR_DENIED, "the data folder %s belongs to user %lu, not to %lu", path,
            (unsigned long)st.st_uid, (unsigned long)geteuid());
    return err_hint(err, "run as that user, or name a folder of your own with --data");
}

static enum err_code keep_private(int fd, const char *path, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_set_errno(err, errno, "cannot look at %s", path);
    if ((st.st_mode & 07777) != 0700 && fchmod(fd, 0700) != 0)
        return err_set_errno(err, errno, "cannot make %s private (mode 0700)", path);
    return ERR_OK;
}

static enum err_code open_path(const char *path, bool create, int *fd, struct err *err)
{
    if (create && mkdir(path, 0700) != 0 && errno != EEXIST)
        return err_set_errno(err, errno, "cannot create the data folder %s", path);
    *fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd >= 0)
        return ERR_OK;
    if (errno == ENOENT)
        return refuse_absent(path, err);
    if (errno == ENOTDIR)
        return err_set(err, ERR_INVALID, "%s is not a folder", path);
    return err_set_errno(err, errno, "cannot open the data folder %s", path);
}

enum err_code folder_open(const char *path, bool create, struct folder **out, struct err *err)
{
    int fd = -1;
    if (strlen(path) > PATH_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "the path of the data folder is longer than %d bytes",
                       PATH_BYTES_MAX);
    if (open_path(path, create, &fd, err))
        return err->code;
    if (check_owner(fd, path, err) || check_contents(fd, path, create, err) ||
        keep_private(fd, path, err)) {
        close(fd);
        return err->code;
    }
    struct folder *folder = calloc(1, sizeof(*folder));
    if (!folder || !(folder->path = strdup(path)))
        abort();
    folder->magic = FOLDER_MAGIC;
    folder->fd = fd;
    folder->lock_fd = -1;
    *out = folder;
    return ERR_OK;
}

bool folder_is_locked(const struct folder *folder)
{
    CHECK_MAGIC(folder, FOLDER_MAGIC);
    if (folder->lock_fd >= 0)
        return true;
    int fd = openat(folder->fd, "lock", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool is_locked = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(fd);
    return is_locked;
}

/* The pid has a fixed width and is written over the last one: on a full disk that still works. It
 * is for people, so not being able to write it is no reason not to serve. */
static void write_pid(int fd)
{
    char text[PID_BYTES];
    int len = snprintf(text, sizeof(text), "%-11ld\n", (long)getpid());
    ssize_t ignored = pwrite(fd, text, (size_t)len, 0);
    (void)ignored;
}

static long read_pid(int fd)
{
    char text[PID_BYTES] = "";
    int64_t pid = 0;
    ssize_t len = pread(fd, text, sizeof(text) - 1, 0);
    if (len <= 0)
        return 0;
    struct str digits = {text, strcspn(text, " \n")};
    return str_to_i64(digits, &pid) ? (long)pid : 0;
}

/* A process that only asks whether the folder is locked holds the lock for an instant, so one
 * refusal is not an answer yet. */
static bool try_lock(int fd)
{
    const struct timespec wait = {0, LOCK_WAIT_NS};
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return true;
        if (errno != EWOULDBLOCK && errno != EINTR)
            return false;
        nanosleep(&wait, NULL);
    }
    errno = EWOULDBLOCK;
    return false;
}

static enum err_code refuse_locked(const struct folder *folder, int fd, struct err *err)
{
    long pid = read_pid(fd);
    err_set(err, ERR_CONFLICT, "the data folder %s is in use by process %ld", folder->path, pid);
    return err_hint(err, "commands reach that process by %s/slipway.sock", folder->path);
}

/* Copies made before schema changes go here. */
static enum err_code make_backups(struct folder *folder, struct err *err)
{
    if (mkdirat(folder->fd, "backups", 0700) != 0 && errno != EEXIST)
        return err_set_errno(err, errno, "cannot create %s/backups", folder->path);
    return ERR_OK;
}

enum err_code folder_lock(struct folder *folder, struct err *err)
{
    CHECK_MAGIC(folder, FOLDER_MAGIC);
    assert(folder->lock_fd < 0);
    int fd =
        openat(folder->fd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot open %s/lock", folder->path);
    enum err_code code = ERR_OK;
    if (!try_lock(fd)) {
        code = errno == EWOULDBLOCK ? refuse_locked(folder, fd, err)
                                    : err_set_errno(err, errno, "cannot lock %s", folder->path);
    } else {
        code = make_backups(folder, err);
    }
    if (code) {
        close(fd);
        return code;
    }
    write_pid(fd);
    folder->lock_fd = fd;
    return ERR_OK;
}

int folder_lock_fd(const struct folder *folder)
{
    CHECK_MAGIC(folder, FOLDER_MAGIC);
    return folder->lock_fd;
}

static bool is_lock_of(const struct folder *folder, int fd)
{
    struct stat ours, other;
    return fstatat(folder->fd, "lock", &ours, AT_SYMLINK_NOFOLLOW) == 0 && fstat(fd, &other) == 0 &&
           ours.st_dev == other.st_dev && ours.st_ino == other.st_ino;
}

enum err_code folder_adopt(struct folder *folder, int lock_fd, struct err *err)
{
    CHECK_MAGIC(folder, FOLDER_MAGIC);
    assert(folder->lock_fd < 0);
    if (lock_fd < 0)
        return folder_lock(folder, err);
    if (!is_lock_of(folder, lock_fd) || !try_lock(lock_fd)) {
        close(lock_fd);
        return err_set(err, ERR_CONFLICT, "the lock of %s was not handed over", folder->path);
    }
    write_pid(lock_fd);
    folder->lock_fd = lock_fd;
    return ERR_OK;
}

const char *folder_path(const struct folder *folder)
{
    CHECK_MAGIC(folder, FOLDER_MAGIC);
    return folder->path;
}

const char *folder_file(const struct folder *folder, const char *name, char *out, size_t out_bytes)
{
    CHECK_MAGIC(folder, FOLDER_MAGIC);
    int len = snprintf(out, out_bytes, "%s/%s", folder->path, name);
    assert(len >= 0 && (size_t)len < out_bytes);
    return out;
}

int folder_fd(const struct folder *folder)
{
    CHECK_MAGIC(folder, FOLDER_MAGIC);
    return folder->fd;
}

void folder_close(struct folder *folder)
{
    if (!folder)
        return;
    CHECK_MAGIC(folder, FOLDER_MAGIC);
    if (folder->lock_fd >= 0)
        close(folder->lock_fd);
    close(folder->fd);
    folder->magic = 0;
    free(folder->path);
    free(folder);
}
