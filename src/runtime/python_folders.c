/* python_folders.c - a count for each artifact in use; what has none and no file any more goes.
 *
 *     models/DIGEST        goes when it is not in use and its artifact is gone
 *     models/DIGEST.PID-N  half unpacked: goes when it is not in use
 *     models/.gone-DIGEST  on its way out: goes
 *     tmp/DIGEST           as models/DIGEST
 *
 * A folder gets its last name under the lock that uses are counted under, so nobody has it when it
 * is taken apart.
 */
#include "runtime/python_folders.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file_tree.h"
#include "base/hash.h"
#include "base/log.h"

#define GONE_PREFIX ".gone-"

struct use {
    struct use *next;
    char digest[SHA256_HEX_BYTES + 1];
    int count;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct use *uses; /* under lock; those that are */

static struct use **find_use(const char *digest_hex)
{
    struct use **at = &uses;
    while (*at && strcmp((*at)->digest, digest_hex) != 0)
        at = &(*at)->next;
    return at;
}

void python_folders_use(const char *digest_hex)
{
    pthread_mutex_lock(&lock);
    struct use **at = find_use(digest_hex);
    if (!*at) {
        struct use *use = calloc(1, sizeof(*use));
        if (!use)
            abort();
        snprintf(use->digest, sizeof(use->digest), "%s", digest_hex);
        *at = use;
    }
    (*at)->count++;
    pthread_mutex_unlock(&lock);
}

void python_folders_leave(const char *digest_hex)
{
    pthread_mutex_lock(&lock);
    struct use **at = find_use(digest_hex), *use = *at;
    assert(use);
    if (--use->count == 0) {
        *at = use->next;
        free(use);
    }
    pthread_mutex_unlock(&lock);
}

/* ---- collecting ---- */

/* A folder's name begins with a digest; whole: it is nothing else. */
static bool read_digest(const char *name, char digest[SHA256_HEX_BYTES + 1], bool *is_whole)
{
    uint8_t bytes[SHA256_BYTES];
    snprintf(digest, SHA256_HEX_BYTES + 1, "%s", name);
    *is_whole = strlen(name) == SHA256_HEX_BYTES;
    return strlen(digest) == SHA256_HEX_BYTES &&
           str_unhex((struct str){digest, SHA256_HEX_BYTES}, bytes, sizeof(bytes));
}

/* Give it its last name, unless somebody has it. */
static bool take_away(int dir_fd, const char *name, const char *digest, bool is_dry,
                      char gone[NAME_MAX + 1])
{
    pthread_mutex_lock(&lock);
    bool is_free = !*find_use(digest);
    snprintf(gone, NAME_MAX + 1, GONE_PREFIX "%.200s", name);
    if (is_free && !is_dry)
        is_free = renameat(dir_fd, name, dir_fd, gone) == 0;
    pthread_mutex_unlock(&lock);
    return is_free;
}

/* What has its last name, or would get it. A name of ours that is listed may be gone by now. */
static void remove_folder(int dir_fd, const char *name, struct runtime_left *left)
{
    struct err err = {0};
    if (faccessat(dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) != 0)
        return;
    enum err_code rc = file_tree_measure(dir_fd, name, &left->bytes, &err);
    left->folders++;
    if (!rc && !left->is_dry)
        rc = file_tree_remove(dir_fd, name, &err);
    if (rc)
        log_warn("unpacked folder not removed", "folder=%s reason=%s", name, err.msg);
}

static void collect_entry(int dir_fd, const char *name, struct runtime_left *left)
{
    char digest[SHA256_HEX_BYTES + 1], gone[NAME_MAX + 1];
    bool is_whole = false, is_gone = strncmp(name, GONE_PREFIX, strlen(GONE_PREFIX)) == 0;
    if (is_gone) {
        remove_folder(dir_fd, name, left);
        return;
    }
    if (!read_digest(name, digest, &is_whole) || (is_whole && left->is_kept(left->arg, digest)))
        return;
    if (take_away(dir_fd, name, digest, left->is_dry, gone))
        remove_folder(dir_fd, left->is_dry ? name : gone, left);
}

static enum err_code collect_in(const char *work_dir, const char *folder, struct runtime_left *left,
                                struct err *err)
{
    char path[PATH_MAX];
    const struct dirent *entry;
    int length = snprintf(path, sizeof(path), "%s/python/%s", work_dir, folder);
    if (length < 0 || (size_t)length >= sizeof(path))
        return err_set(err, ERR_LIMIT, "the path of the work folder is too long");
    DIR *dir = opendir(path);
    if (!dir)
        return errno == ENOENT ? ERR_OK : err_set_errno(err, errno, "opening %s", path);
    while ((entry = readdir(dir)))
        collect_entry(dirfd(dir), entry->d_name, left);
    closedir(dir);
    return ERR_OK;
}

enum err_code python_folders_collect(const struct runtime_host *host, struct runtime_left *left,
                                     struct err *err)
{
    if (!host->work_dir)
        return ERR_OK;
    enum err_code rc = collect_in(host->work_dir, "models", left, err);
    return rc ? rc : collect_in(host->work_dir, "tmp", left, err);
}
