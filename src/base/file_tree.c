/* file_tree.c - a walk by descriptors, each opened below the one above it without following links.
 */
#include "base/file_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct walk {
    bool removes;
    int depth;
    dev_t device;
    uint64_t bytes;
    struct err *err;
};

static enum err_code walk_entry(struct walk *walk, int dir_fd, const char *name);

static bool is_self_or_parent(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* What fails is said once; the others are tried all the same. */
static enum err_code walk_entries(struct walk *walk, DIR *dir)
{
    const struct dirent *entry;
    enum err_code rc = ERR_OK, first = ERR_OK;
    while ((entry = readdir(dir))) {
        if (is_self_or_parent(entry->d_name))
            continue;
        struct err err = {0}, *before = walk->err;
        walk->err = first ? &err : before;
        rc = walk_entry(walk, dirfd(dir), entry->d_name);
        walk->err = before;
        first = first ? first : rc;
    }
    return first;
}

static enum err_code walk_folder(struct walk *walk, int dir_fd, const char *name)
{
    if (walk->depth == FILE_TREE_DEPTH_MAX)
        return err_set(walk->err, ERR_LIMIT, "%s: folders are more than %d deep", name,
                       FILE_TREE_DEPTH_MAX);
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        enum err_code rc = err_set_errno(walk->err, errno, "opening %s", name);
        if (fd >= 0)
            close(fd);
        return rc;
    }
    walk->depth++;
    enum err_code rc = walk_entries(walk, dir);
    walk->depth--;
    closedir(dir);
    return rc;
}

static enum err_code walk_entry(struct walk *walk, int dir_fd, const char *name)
{
    struct stat st;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? ERR_OK : err_set_errno(walk->err, errno, "looking at %s", name);
    bool is_folder = S_ISDIR(st.st_mode);
    if (walk->depth == 0)
        walk->device = st.st_dev;
    if (st.st_dev != walk->device)
        return err_set(walk->err, ERR_IO, "%s is another file system", name);
    if (S_ISREG(st.st_mode))
        walk->bytes += (uint64_t)st.st_size;
    enum err_code rc = is_folder ? walk_folder(walk, dir_fd, name) : ERR_OK;
    if (rc || !walk->removes || unlinkat(dir_fd, name, is_folder ? AT_REMOVEDIR : 0) == 0 ||
        errno == ENOENT)
        return rc;
    return err_set_errno(walk->err, errno, "removing %s", name);
}

enum err_code file_tree_measure(int dir_fd, const char *name, uint64_t *bytes, struct err *err)
{
    struct walk walk = {.err = err};
    enum err_code rc = walk_entry(&walk, dir_fd, name);
    *bytes += walk.bytes;
    return rc;
}

enum err_code file_tree_remove(int dir_fd, const char *name, struct err *err)
{
    struct walk walk = {.removes = true, .err = err};
    return walk_entry(&walk, dir_fd, name);
}
