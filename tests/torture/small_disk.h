/* small_disk.h - a tmpfs of some kilobytes in a mount namespace of this process, to be filled up.
 */
#ifndef SLIPWAY_TESTS_TORTURE_SMALL_DISK_H
#define SLIPWAY_TESTS_TORTURE_SMALL_DISK_H

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store_fixture.h"

enum { CANNOT_MOUNT = 77 }; /* exit status of a child without namespaces */

static inline bool write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool is_written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return is_written;
}

static inline bool enter_namespaces(void)
{
    char map[64];
    unsigned uid = geteuid(), gid = getegid();
    if (unshare(CLONE_NEWNS) == 0)
        return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
        return false;
    snprintf(map, sizeof(map), "%u %u 1", uid, uid);
    if (!write_text("/proc/self/uid_map", map) || !write_text("/proc/self/setgroups", "deny"))
        return false;
    snprintf(map, sizeof(map), "%u %u 1", gid, gid);
    return write_text("/proc/self/gid_map", map);
}

/* The mount ends with the namespace, which ends with this process. */
static inline bool mount_small_disk(const char *path, int kilobytes)
{
    char options[64];
    snprintf(options, sizeof(options), "size=%dk,mode=0700", kilobytes);
    return enter_namespaces() && mount("small", path, "tmpfs", MS_NOSUID | MS_NODEV, options) == 0;
}

/* Everything that is free, and then what a filler of single bytes can still take. */
static inline void fill_disk(struct fixture *f)
{
    static const char block[4096];
    int fd = open(in_folder(f, "backups/filler"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    assert_true(fd >= 0);
    while (write(fd, block, sizeof(block)) > 0)
        ;
    assert_int_equal(errno, ENOSPC);
    close(fd);
}

static inline void make_room(struct fixture *f)
{
    assert_int_equal(unlink(in_folder(f, "backups/filler")), 0);
}

/* What a child that mounted a disk ended with: skips the test when it could not. */
static inline void check_child(pid_t child)
{
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == CANNOT_MOUNT) {
        print_message("# no namespace to mount a small disk in\n");
        skip();
    }
    assert_int_equal(status, 0);
}

#endif
