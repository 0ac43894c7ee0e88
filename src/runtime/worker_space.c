/* worker_space.c - a worker's own file system and its own, empty network.
 *
 *     /usr /lib ... /etc/ld.so.cache     the system's, read-only
 *     the interpreter's folders          read-only, where they were
 *     /model /slipway                    the model and slipway_worker, read-only
 *     /proc, a few of /dev and /sys      landlock lets a worker read its own part of them
 *     /tmp                               in memory, of limited size
 *
 * The root is a tmpfs that is mounted over the model's folder for the moment of becoming the root:
 * a place that is sure to exist, and shows again below /old afterwards. Nobody but root may do this
 * outside a user namespace of its own; where neither is allowed, landlock remains.
 */
#include "runtime/worker_sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

const char *const sandbox_system_reads[] = {
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/bin",
    "/etc/alternatives", /* libblas.so.3 of Debian's numpy is a link into it */
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/python3",
    "/etc/python3.11",
    "/etc/python3.12",
    "/etc/python3.13",
    "/etc/python3.14",
    "/sys/devices/system",
    NULL,
};

static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"};

/* ---- leaving the others ---- */

static bool write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool is_ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return is_ok;
}

/* In a user namespace of its own anybody may have the others. We stay who we are. */
static bool unshare_as_user(int spaces)
{
    char user[64], group[64];
    snprintf(user, sizeof(user), "%u %u 1", (unsigned)geteuid(), (unsigned)geteuid());
    snprintf(group, sizeof(group), "%u %u 1", (unsigned)getegid(), (unsigned)getegid());
    return unshare(CLONE_NEWUSER | spaces) == 0 && write_text("/proc/self/setgroups", "deny") &&
           write_text("/proc/self/uid_map", user) && write_text("/proc/self/gid_map", group);
}

/* ---- building the root ---- */

static void make_folders(const char *path)
{
    char part[PATH_MAX];
    for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
        mkdir(part, 0755);
    }
}

/* Flags that the mount below has may not be taken away in a user namespace. */
static unsigned long flags_of(const char *path)
{
    struct statvfs fs;
    unsigned long flags = 0;
    if (statvfs(path, &fs) != 0)
        return 0;
    flags |= fs.f_flag & ST_NOEXEC ? MS_NOEXEC : 0;
    flags |= fs.f_flag & ST_NODEV ? MS_NODEV : 0;
    flags |= fs.f_flag & ST_NOATIME ? MS_NOATIME : 0;
    flags |= fs.f_flag & ST_NODIRATIME ? MS_NODIRATIME : 0;
    flags |= fs.f_flag & ST_RELATIME ? MS_RELATIME : 0;
    return flags;
}

/* Show /old<from> at `to`. What is not there is left out. */
static bool show(const char *from, const char *to, bool is_device)
{
    char old[PATH_MAX], target[PATH_MAX];
    struct stat st;
    snprintf(old, sizeof(old), "/old%s", from);
    if (lstat(old, &st) != 0)
        return errno == ENOENT;
    make_folders(to);
    if (S_ISLNK(st.st_mode)) {
        ssize_t length = readlink(old, target, sizeof(target) - 1);
        target[length < 0 ? 0 : length] = '\0';
        return symlink(target, to) == 0 || errno == EEXIST;
    }
    int fd = S_ISDIR(st.st_mode) ? -1 : open(to, O_CREAT | O_WRONLY | O_CLOEXEC, 0444);
    if (fd >= 0)
        close(fd);
    else
        mkdir(to, 0755);
    if (mount(old, to, NULL, MS_BIND | MS_REC, NULL) != 0)
        return false;
    unsigned long flags = flags_of(to) | (is_device ? 0 : MS_RDONLY);
    return mount(NULL, to, NULL, MS_BIND | MS_REMOUNT | MS_NOSUID | flags, NULL) == 0;
}

/* Is it below one that is shown already? */
static bool is_shown(const struct sandbox *s, int count)
{
    if (strncmp(s->reads[count], "/usr/", 5) == 0)
        return true;
    for (int i = 0; i < count; i++) {
        size_t length = strlen(s->reads[i]);
        if (strncmp(s->reads[i], s->reads[count], length) == 0 &&
            (s->reads[count][length] == '/' || s->reads[count][length] == '\0'))
            return true;
    }
    return false;
}

static bool show_all(const struct sandbox *s)
{
    for (const char *const *path = sandbox_system_reads; *path; path++)
        if (!show(*path, *path, false))
            return false;
    for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++)
        if (!show(devices[i], devices[i], true))
            return false;
    for (int i = 0; i < s->read_count; i++)
        if (!is_shown(s, i) && !show(s->reads[i], s->reads[i], false))
            return false;
    mkdir("/proc", 0755);
    return show(s->model, SANDBOX_MODEL, false) && show(s->library, SANDBOX_LIBRARY, false) &&
           mount("/old/proc", "/proc", NULL, MS_BIND | MS_REC, NULL) == 0;
}

static bool build_root(const struct sandbox *s)
{
    char size[64];
    snprintf(size, sizeof(size), "mode=1777,size=%zu,nr_inodes=65536", s->tmp_bytes);
    return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", s->model, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=1m") == 0 &&
           chdir(s->model) == 0 && mkdir("old", 0700) == 0 &&
           syscall(SYS_pivot_root, ".", "old") == 0 && chdir("/") == 0 &&
           mkdir("/tmp", 0777) == 0 &&
           mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, size) == 0 && show_all(s) &&
           umount2("/old", MNT_DETACH) == 0 && rmdir("/old") == 0 &&
           mount(NULL, "/", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) ==
               0;
}

unsigned sandbox_spaces(struct sandbox *s)
{
    const int spaces = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
    bool is_alone = geteuid() == 0 ? unshare(spaces) == 0 : unshare_as_user(spaces);
    if (!is_alone)
        return 0;
    if (!build_root(s))
        return SANDBOX_NETWORK;
    s->model = SANDBOX_MODEL;
    s->library = SANDBOX_LIBRARY;
    s->tmp = "/tmp";
    return SANDBOX_FILES | SANDBOX_NETWORK;
}
