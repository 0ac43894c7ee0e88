/* command.c - posix_spawn, with a memory file as standard input and a process group of its own. */
#include "base/command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"

enum { POLL_MS = 5, CPU_SECONDS_MAX = 60 };

static enum err_code open_input(struct str input, int *fd, struct err *err)
{
    *fd = memfd_create("input", MFD_CLOEXEC);
    if (*fd < 0)
        return err_set_errno(err, errno, "making the input of a command");
    enum err_code rc = file_write_all(*fd, "the input of a command", input.ptr, input.len, err);
    if (!rc && lseek(*fd, 0, SEEK_SET) < 0)
        rc = err_set_errno(err, errno, "making the input of a command");
    if (rc)
        close(*fd);
    return rc;
}

static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int rc = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                                      POSIX_SPAWN_SETSIGDEF);
    if (!rc)
        rc = posix_spawnattr_setpgroup(attributes, 0);
    if (!rc)
        rc = posix_spawnattr_setsigmask(attributes, &none);
    return rc ? rc : posix_spawnattr_setsigdefault(attributes, &all);
}

static int set_files(posix_spawn_file_actions_t *files, int input_fd)
{
    int rc = posix_spawn_file_actions_adddup2(files, input_fd, STDIN_FILENO);
    if (!rc)
        rc = posix_spawn_file_actions_addopen(files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (!rc)
        rc = posix_spawn_file_actions_addopen(files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    return rc ? rc : posix_spawn_file_actions_addclosefrom_np(files, STDERR_FILENO + 1);
}

/* posix_spawn takes texts that it does not change as `char *const`. */
union words {
    const char *const *given;
    char *const *taken;
};

static int start(const char *const *argv, int input_fd, pid_t *pid)
{
    static const char *const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t files;
    const union words words = {.given = argv}, variables = {.given = environment};
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_init(&files);
    int rc = set_attributes(&attributes);
    if (!rc)
        rc = set_files(&files, input_fd);
    if (!rc)
        rc = posix_spawn(pid, argv[0], &files, &attributes, words.taken, variables.taken);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    return rc;
}

/* A program that burns CPU is ended by the kernel even when this process dies. */
static void limit(pid_t pid)
{
    const struct rlimit cpu = {CPU_SECONDS_MAX, CPU_SECONDS_MAX};
    const struct rlimit core = {0, 0};
    prlimit(pid, RLIMIT_CPU, &cpu, NULL);
    prlimit(pid, RLIMIT_CORE, &core, NULL);
}

/* False when it was killed because the time was over. */
static bool wait_for(pid_t pid, int64_t timeout_ms, int *status)
{
    struct timespec now, pause = {0, POLL_MS * 1000 * 1000};
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t until_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + timeout_ms;
    for (;;) {
        pid_t ended = waitpid(pid, status, WNOHANG);
        if (ended == pid)
            return true;
        clock_gettime(CLOCK_MONOTONIC, &now);
        if ((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 >= until_ms)
            break;
        nanosleep(&pause, NULL);
    }
    kill(-pid, SIGKILL);
    while (waitpid(pid, status, 0) < 0 && errno == EINTR)
        continue;
    return false;
}

enum err_code command_end(const char *const *argv, struct str input, int64_t timeout_ms, int *end,
                          struct err *err)
{
    int input_fd, status = 0;
    char reason[96];
    pid_t pid;
    assert(argv[0] && argv[0][0] == '/');
    if (open_input(input, &input_fd, err))
        return err->code;
    int failure = start(argv, input_fd, &pid);
    close(input_fd);
    if (failure)
        return err_set(err, ERR_UNAVAILABLE, "%s cannot be started: %s", argv[0],
                       strerror_r(failure, reason, sizeof(reason)));
    limit(pid);
    if (!wait_for(pid, timeout_ms, &status))
        return err_set(err, ERR_TIMEOUT, "%s was killed: it took longer than %lld ms", argv[0],
                       (long long)timeout_ms);
    *end = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    return ERR_OK;
}

enum err_code command_run(const char *const *argv, struct str input, int64_t timeout_ms,
                          struct err *err)
{
    int end = 0;
    enum err_code rc = command_end(argv, input, timeout_ms, &end, err);
    if (rc || end == 0)
        return rc;
    if (end > 0)
        return err_set(err, ERR_UNAVAILABLE, "%s ended with status %d", argv[0], end);
    return err_set(err, ERR_UNAVAILABLE, "%s was ended by signal %d", argv[0], -end);
}
