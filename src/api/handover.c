/* handover.c - the two ends of a pair of sockets, and what is said over them. See handover.h.
 *
 *     old -> new   one message of lines:
 *                      slipway-handover 1
 *                      folder DEVICE INODE LOCK
 *                      socket DESCRIPTOR IS_OURS LISTEN
 *                      broken MODEL
 *                      ticket KEY SINCE            (net/tls_ticket.h)
 *     new -> old   "ready"
 */
#include "api/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"

enum {
    HELLO_BYTES_MAX = 192 * 1024,
    HELLO_WAIT_MS = 10000,
    ARGS_BYTES_MAX = 4 * 1024 * 1024,
    LISTEN_BYTES_MAX = 512,
};

/* No option: those begin with SLIPWAY_. */
#define VARIABLE "_SLIPWAY_HANDOVER"
#define GREETING "slipway-handover 1\n"
#define READY "ready"

extern char **environ;

/* ---- the program ---- */

static char program_path[PATH_MAX];

static bool is_this_program(const char *path)
{
    struct stat own, other;
    return stat("/proc/self/exe", &own) == 0 && stat(path, &other) == 0 &&
           own.st_dev == other.st_dev && own.st_ino == other.st_ino;
}

/* The path it was executed by, which may be a link that an upgrade turns elsewhere; the file itself
 * when that path says nothing. */
void handover_remember_program(void)
{
    char folder[PATH_MAX / 2];
    const char *name = (const char *)(uintptr_t)getauxval(AT_EXECFN);
    program_path[0] = '\0';
    if (name && name[0] == '/')
        snprintf(program_path, sizeof(program_path), "%s", name);
    else if (name && getcwd(folder, sizeof(folder)))
        snprintf(program_path, sizeof(program_path), "%s/%.*s", folder, PATH_MAX / 2 - 2, name);
    if (program_path[0] && is_this_program(program_path))
        return;
    ssize_t len = readlink("/proc/self/exe", program_path, sizeof(program_path) - 1);
    program_path[len > 0 ? len : 0] = '\0';
}

/* The arguments this process was started with; their memory is `text`'s. */
static enum err_code read_arguments(struct buf *text, char ***argv, struct err *err)
{
    int count = 0;
    enum err_code rc = file_read("/proc/self/cmdline", ARGS_BYTES_MAX, text, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < text->len; i++)
        count += text->data[i] == '\0';
    *argv = calloc((size_t)count + 1, sizeof(**argv));
    if (!*argv)
        abort();
    char *at = text->data;
    for (int i = 0; i < count; i++, at += strlen(at) + 1)
        (*argv)[i] = at;
    return ERR_OK;
}

/* Ours without what was meant for this process alone, and with the new variable. */
static char **new_environment(char *variable)
{
    size_t count = 0, kept = 0;
    while (environ[count])
        count++;
    char **fresh = calloc(count + 2, sizeof(*fresh));
    if (!fresh)
        abort();
    for (size_t i = 0; i < count; i++)
        if (strncmp(environ[i], "WATCHDOG_PID=", 13) != 0)
            fresh[kept++] = environ[i];
    fresh[kept] = variable;
    return fresh;
}

/* ---- the old process ---- */

static bool is_broken(const struct endpoint *endpoint)
{
    return endpoint->champion_version && !endpoint->champion && !endpoint->is_cold;
}

static enum err_code write_hello(struct buf *hello, const struct successor_config *config,
                                 struct err *err)
{
    struct stat st;
    const struct map *endpoints = &config->snapshot->endpoints;
    buf_init(hello, HELLO_BYTES_MAX);
    if (fstat(folder_fd(config->folder), &st) != 0)
        return err_set_errno(err, errno, "looking at the data folder");
    buf_lit(hello, GREETING);
    buf_printf(hello, "folder %" PRIuMAX " %" PRIuMAX " %d\n", (uintmax_t)st.st_dev,
               (uintmax_t)st.st_ino, folder_lock_fd(config->folder));
    for (int i = 0; i < config->socket_count; i++)
        buf_printf(hello, "socket %d %d %s\n", config->sockets[i].fd, config->sockets[i].is_ours,
                   config->sockets[i].listen);
    for (size_t i = 0; i < endpoints->slot_count; i++) {
        const struct endpoint *endpoint = endpoints->slots[i].value;
        if (endpoints->slots[i].key.ptr && is_broken(endpoint))
            buf_printf(hello, "broken %s\n", endpoint->name);
    }
    buf_str(hello, config->tickets);
    if (!hello->is_full)
        return ERR_OK;
    return err_set(err, ERR_LIMIT, "what is to be handed over takes more than %d bytes",
                   HELLO_BYTES_MAX);
}

/* A descriptor that is duplicated to itself stays open in the new program. */
static enum err_code spawn(pid_t *pid, int fd, const struct successor_config *config,
                           struct err *err)
{
    int lock_fd = folder_lock_fd(config->folder);
    char variable[64];
    char **argv = NULL;
    struct buf text;
    posix_spawn_file_actions_t actions;
    enum err_code rc = read_arguments(&text, &argv, err);
    if (rc)
        return rc;
    snprintf(variable, sizeof(variable), VARIABLE "=%d", fd);
    char **env = new_environment(variable);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fd, fd);
    posix_spawn_file_actions_adddup2(&actions, lock_fd, lock_fd);
    for (int i = 0; i < config->socket_count; i++)
        posix_spawn_file_actions_adddup2(&actions, config->sockets[i].fd, config->sockets[i].fd);
    int failed = posix_spawn(pid, program_path, &actions, NULL, argv, env);
    if (failed)
        rc = err_set_errno(err, failed, "starting %s", program_path);
    posix_spawn_file_actions_destroy(&actions);
    free(env);
    free(argv);
    buf_done(&text);
    return rc;
}

enum err_code successor_start(struct successor *successor, const struct successor_config *config,
                              struct err *err)
{
    int pair[2];
    struct buf hello;
    *successor = (struct successor){.fd = -1};
    enum err_code rc = write_hello(&hello, config, err);
    if (!rc && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        rc = err_set_errno(err, errno, "making a pair of sockets");
    if (rc) {
        buf_done(&hello);
        return rc;
    }
    if (send(pair[0], hello.data, hello.len, MSG_NOSIGNAL) != (ssize_t)hello.len)
        rc = err_set_errno(err, errno, "telling the new process of the sockets");
    if (!rc)
        rc = spawn(&successor->pid, pair[1], config, err);
    close(pair[1]);
    explicit_bzero(hello.data, hello.len);
    buf_done(&hello);
    if (rc) {
        close(pair[0]);
        successor->pid = 0;
        return rc;
    }
    successor->fd = pair[0];
    successor->deadline_us = clock_monotonic_us() + config->timeout_ms * 1000;
    return ERR_OK;
}

static void forget(struct successor *successor)
{
    if (successor->fd >= 0)
        close(successor->fd);
    *successor = (struct successor){.fd = -1};
}

static enum successor_word bury(struct successor *successor, const char *why, struct err *err)
{
    int status = 0;
    kill(successor->pid, SIGKILL); /* most often it has ended by itself */
    while (waitpid(successor->pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status))
        err_set(err, ERR_UNAVAILABLE, "%s with status %d", why, WEXITSTATUS(status));
    else
        err_set(err, ERR_UNAVAILABLE, "%s by signal %d", why, WTERMSIG(status));
    forget(successor);
    return SUCCESSOR_DEAD;
}

/* Its end of the pair closes a little before its status is there. */
static bool has_ended(pid_t pid)
{
    siginfo_t info = {0};
    for (int i = 0; i < 1000; i++) {
        if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid != 0)
            return true;
        poll(NULL, 0, 1);
    }
    return false;
}

enum successor_word successor_hear(struct successor *successor, int64_t now_us, struct err *err)
{
    char word[16] = "";
    ssize_t len = recv(successor->fd, word, sizeof(word) - 1, MSG_DONTWAIT);
    if (len > 0 && strcmp(word, READY) == 0)
        return SUCCESSOR_READY;
    if (len == 0 || (len < 0 && errno == ECONNRESET)) {
        has_ended(successor->pid);
        return bury(successor, "it ended", err);
    }
    if (now_us >= successor->deadline_us)
        return bury(successor, "it was not ready in time, and was ended", err);
    return SUCCESSOR_SILENT;
}

void successor_kill(struct successor *successor)
{
    struct err ignored = {0};
    if (successor->pid)
        bury(successor, "it ended", &ignored);
}

void successor_release(struct successor *successor)
{
    forget(successor);
}

/* ---- the new process ---- */

static enum err_code no_greeting(struct err *err)
{
    err_set(err, ERR_UNSUPPORTED, "the process before says something that this one does not know");
    return err_hint(err, "stop the old version, then start this one");
}

/* "socket 7 1 127.0.0.1:8080", "folder 64769 1234 9" */
static enum err_code read_line(struct predecessor *predecessor, struct inherited *inherited,
                               const char *line, struct err *err)
{
    uintmax_t dev, ino;
    int fd, is_ours, at = 0;
    if (sscanf(line, "folder %" SCNuMAX " %" SCNuMAX " %d", &dev, &ino, &fd) == 3) {
        predecessor->folder_dev = (dev_t)dev;
        predecessor->folder_ino = (ino_t)ino;
        predecessor->lock_fd = fd;
        return fcntl(fd, F_SETFD, FD_CLOEXEC) ? no_greeting(err) : ERR_OK;
    }
    if (strncmp(line, "broken ", 7) == 0) {
        buf_printf(&predecessor->broken, "%s\n", line + 7);
        return ERR_OK;
    }
    if (strncmp(line, "ticket ", 7) == 0) {
        buf_printf(&predecessor->tickets, "%s\n", line);
        return ERR_OK;
    }
    if (sscanf(line, "socket %d %d %n", &fd, &is_ours, &at) == 2 && at > 0)
        return inherited_add(inherited, line + at, fd, is_ours != 0, err);
    return no_greeting(err);
}

static enum err_code read_hello(struct predecessor *predecessor, struct inherited *inherited,
                                char *text, struct err *err)
{
    char *rest = NULL;
    enum err_code rc = ERR_OK;
    if (strncmp(text, GREETING, strlen(GREETING)) != 0)
        return no_greeting(err);
    for (char *line = strtok_r(text + strlen(GREETING), "\n", &rest); line && !rc;
         line = strtok_r(NULL, "\n", &rest))
        rc = read_line(predecessor, inherited, line, err);
    return rc || predecessor->lock_fd >= 0 ? rc : no_greeting(err);
}

static enum err_code hear_hello(struct predecessor *predecessor, struct inherited *inherited,
                                struct err *err)
{
    struct pollfd fd = {.fd = predecessor->fd, .events = POLLIN};
    char *text = calloc(1, HELLO_BYTES_MAX + 1);
    if (!text)
        abort();
    enum err_code rc = ERR_OK;
    if (poll(&fd, 1, HELLO_WAIT_MS) != 1 || recv(predecessor->fd, text, HELLO_BYTES_MAX, 0) <= 0)
        rc = no_greeting(err);
    else
        rc = read_hello(predecessor, inherited, text, err);
    explicit_bzero(text, HELLO_BYTES_MAX);
    free(text);
    return rc;
}

enum err_code predecessor_find(struct predecessor *predecessor, struct inherited *inherited,
                               struct err *err)
{
    uint64_t fd;
    const char *text = getenv(VARIABLE);
    struct ucred peer;
    socklen_t size = sizeof(peer);
    *predecessor = (struct predecessor){.fd = -1, .lock_fd = -1};
    buf_init(&predecessor->broken, HELLO_BYTES_MAX);
    buf_init(&predecessor->tickets, HELLO_BYTES_MAX);
    buf_lit(&predecessor->broken, "\n");
    bool is_there = text && str_to_u64(str_of(text), &fd) && fd <= INT_MAX;
    unsetenv(VARIABLE);
    if (!is_there)
        return ERR_OK;
    if (getsockopt((int)fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return no_greeting(err);
    fcntl((int)fd, F_SETFD, FD_CLOEXEC);
    predecessor->fd = (int)fd;
    predecessor->pid = peer.pid;
    return hear_hello(predecessor, inherited, err);
}

enum err_code predecessor_check_folder(const struct predecessor *predecessor, const char *data_dir,
                                       struct err *err)
{
    struct stat st;
    if (stat(data_dir, &st) == 0 && st.st_dev == predecessor->folder_dev &&
        st.st_ino == predecessor->folder_ino)
        return ERR_OK;
    err_set(err, ERR_INVALID, "the data folder %s is another one than that of the process before",
            data_dir);
    return err_hint(err, "a server changes its folder by a restart");
}

static bool was_broken(const struct predecessor *predecessor, const char *model)
{
    char line[STR_NAME_BYTES_MAX + 3];
    snprintf(line, sizeof(line), "\n%s\n", model);
    return memmem(predecessor->broken.data, predecessor->broken.len, line, strlen(line)) != NULL;
}

enum err_code predecessor_check_models(const struct predecessor *predecessor,
                                       const struct snapshot *snapshot, struct err *err)
{
    const struct map *endpoints = &snapshot->endpoints;
    for (size_t i = 0; i < endpoints->slot_count; i++) {
        const struct endpoint *endpoint = endpoints->slots[i].value;
        if (!endpoints->slots[i].key.ptr || !is_broken(endpoint) ||
            was_broken(predecessor, endpoint->name))
            continue;
        err_set(err, ERR_UNAVAILABLE, "model '%s' version %lld does not load: %s", endpoint->name,
                (long long)endpoint->champion_version, endpoint->problem);
        return err_hint(err, "the process before answers for it, and goes on");
    }
    return ERR_OK;
}

void predecessor_tell_ready(const struct predecessor *predecessor)
{
    ssize_t ignored = send(predecessor->fd, READY, strlen(READY), MSG_NOSIGNAL);
    (void)ignored; /* it is gone: the folder is free */
}

bool predecessor_has_let_go(const struct predecessor *predecessor)
{
    char byte;
    ssize_t len = recv(predecessor->fd, &byte, 1, MSG_DONTWAIT);
    return len == 0 || (len < 0 && errno == ECONNRESET);
}

void predecessor_kill(const struct predecessor *predecessor)
{
    if (getppid() == predecessor->pid) /* else it has ended, and the number may be another's */
        kill(predecessor->pid, SIGKILL);
}

void predecessor_close(struct predecessor *predecessor)
{
    if (predecessor->fd >= 0)
        close(predecessor->fd);
    if (predecessor->lock_fd >= 0)
        close(predecessor->lock_fd);
    predecessor->fd = predecessor->lock_fd = -1;
    buf_done(&predecessor->broken);
    if (predecessor->tickets.len)
        explicit_bzero(predecessor->tickets.data, predecessor->tickets.len);
    buf_done(&predecessor->tickets);
}
