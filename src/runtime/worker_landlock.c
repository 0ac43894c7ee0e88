/* worker_landlock.c - the files a worker may touch, by landlock: reads what it needs, writes /tmp.
 *
 * The kernel's header of the build machine may be older than the kernel, so what versions 2 to 6 of
 * the interface added is written out here.
 * Source: https://docs.kernel.org/userspace-api/landlock.html
 */
#include "runtime/worker_sandbox.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    ACCESS_REFER = 1 << 13,     /* version 2 */
    ACCESS_TRUNCATE = 1 << 14,  /* version 3 */
    ACCESS_IOCTL_DEV = 1 << 15, /* version 5 */
    ACCESS_FIRST = (1 << 13) - 1,
    NET_ALL = 3,   /* version 4: TCP bind and connect */
    SCOPE_ALL = 3, /* version 6: abstract Unix sockets and signals */
    READ = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
    FILE_ONLY = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE |
                LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_TRUNCATE | ACCESS_IOCTL_DEV,
};

struct ruleset_attr {
    uint64_t files, net, scoped;
};

static const char *const kernel_reads[] = {
    "/proc/self", "/proc/thread-self", "/proc/cpuinfo",           "/proc/meminfo",
    "/proc/stat", "/proc/filesystems", "/proc/sys/kernel/random",
};
static const char *const device_reads[] = {"/dev/zero", "/dev/random", "/dev/urandom"};

static uint64_t handled_files(long version)
{
    uint64_t files = ACCESS_FIRST;
    files |= version >= 2 ? ACCESS_REFER : 0;
    files |= version >= 3 ? ACCESS_TRUNCATE : 0;
    files |= version >= 5 ? ACCESS_IOCTL_DEV : 0;
    return files;
}

static int new_ruleset(uint64_t *files)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1)
        return -1;
    *files = handled_files(version);
    const struct ruleset_attr attr = {*files, version >= 4 ? NET_ALL : 0,
                                      version >= 6 ? SCOPE_ALL : 0};
    size_t size = version >= 6 ? 24 : version >= 4 ? 16 : 8;
    return (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
}

/* What is not there needs no permission. */
static bool allow(int ruleset, const char *path, uint64_t access)
{
    struct stat st;
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return true;
    if (fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode))
        access &= FILE_ONLY;
    const struct landlock_path_beneath_attr rule = {.allowed_access = access, .parent_fd = fd};
    bool is_ok = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
    close(fd);
    return is_ok;
}

static bool allow_all(int ruleset, const struct sandbox *s, uint64_t files)
{
    const uint64_t run = READ | LANDLOCK_ACCESS_FS_EXECUTE;
    bool is_ok = true;
    for (const char *const *path = sandbox_system_reads; *path; path++)
        is_ok = allow(ruleset, *path, run) && is_ok;
    for (int i = 0; i < s->read_count; i++)
        is_ok = allow(ruleset, s->reads[i], run) && is_ok;
    for (size_t i = 0; i < sizeof(kernel_reads) / sizeof(kernel_reads[0]); i++)
        is_ok = allow(ruleset, kernel_reads[i], READ) && is_ok;
    for (size_t i = 0; i < sizeof(device_reads) / sizeof(device_reads[0]); i++)
        is_ok = allow(ruleset, device_reads[i], READ) && is_ok;
    is_ok = allow(ruleset, "/dev/null", READ | LANDLOCK_ACCESS_FS_WRITE_FILE) && is_ok;
    is_ok = allow(ruleset, s->model, READ) && is_ok;
    is_ok = allow(ruleset, s->library, READ) && is_ok;
    return allow(ruleset, s->tmp, files & ~(uint64_t)LANDLOCK_ACCESS_FS_EXECUTE) && is_ok;
}

bool sandbox_landlock(const struct sandbox *s)
{
    uint64_t files = 0;
    int ruleset = new_ruleset(&files);
    if (ruleset < 0)
        return false;
    bool is_ok =
        allow_all(ruleset, s, files) && syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
    close(ruleset);
    return is_ok;
}
