/* worker.c - starting a worker process, its memory, and frames on its socket. */
#include "runtime/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"
#include "base/json.h"
#include "runtime/worker_launch.h"

enum { WORDS_MAX = 32, FAILURE_BYTES_MAX = 64 * 1024, SOCKET_BUFFER = 256 * 1024 };

/* ---- starting ---- */

struct words {
    const char *list[WORDS_MAX];
    char text[WORDS_MAX][WORKER_PATH_BYTES + 32];
    int count;
};

static void add_word(struct words *words, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add_word(struct words *words, const char *format, ...)
{
    va_list args;
    assert(words->count < WORDS_MAX - 1);
    char *text = words->text[words->count];
    va_start(args, format);
    vsnprintf(text, sizeof(words->text[0]), format, args);
    va_end(args);
    words->list[words->count++] = text;
    words->list[words->count] = NULL;
}

static void write_words(struct words *words, const struct worker_plan *plan)
{
    const struct python_settings *settings = plan->settings;
    words->count = 0;
    add_word(words, "slipway");
    add_word(words, "worker");
    add_word(words, "launch");
    add_word(words, "sandbox=%s", plan->sandbox);
    add_word(words, "parent=%d", getpid());
    add_word(words, "user=%u", (unsigned)plan->user);
    add_word(words, "memory=%zu", settings->memory_bytes);
    add_word(words, "tmp_bytes=%zu", settings->tmp_bytes);
    add_word(words, "threads=%d", settings->threads);
    add_word(words, "python=%s", plan->python);
    add_word(words, "model=%s", plan->model);
    add_word(words, "library=%s", plan->library);
    add_word(words, "tmp=%s", plan->tmp);
    for (int i = 0; i < plan->read_count; i++)
        add_word(words, "read=%s", plan->reads[i]);
    if (plan->packages)
        add_word(words, "packages=%s", plan->packages);
}

/* Our own program again, with the other end of the socket and of the pipe. */
static int spawn(const struct worker_plan *plan, int socket_fd, int log_fd, pid_t *pid)
{
    static char *const environment[] = {NULL};
    struct words words;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    write_words(&words, plan);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, log_fd, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, log_fd, STDERR_FILENO);
    posix_spawn_file_actions_adddup2(&actions, socket_fd, WORKER_SOCKET_FD);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    int errnum = posix_spawn(pid, "/proc/self/exe", &actions, &attributes,
                             (char *const *)(uintptr_t)words.list, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return errnum;
}

/* Both ends are above the descriptors that they become in the new process. */
static int raise_fd(int fd)
{
    int high = fcntl(fd, F_DUPFD_CLOEXEC, WORKER_SOCKET_FD + 1);
    int errnum = errno;
    close(fd);
    errno = errnum;
    return high;
}

static enum err_code start_process(struct worker *worker, const struct worker_plan *plan,
                                   struct err *err)
{
    int ends[2], pipes[2], size = SOCKET_BUFFER;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return err_set_errno(err, errno, "starting a worker");
    if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK) != 0) {
        err_set_errno(err, errno, "starting a worker");
        close(ends[0]);
        close(ends[1]);
        return err->code;
    }
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    int theirs = raise_fd(ends[1]), log_fd = raise_fd(pipes[1]);
    fcntl(log_fd, F_SETFL, 0); /* print() waits for us, it does not fail */
    int errnum = theirs < 0 || log_fd < 0 ? EMFILE : spawn(plan, theirs, log_fd, &worker->pid);
    close(theirs);
    close(log_fd);
    worker->socket_fd = ends[0];
    worker->log_fd = pipes[0];
    if (errnum) {
        worker->pid = 0;
        return err_set_errno(err, errnum, "starting a worker");
    }
    worker->pid_fd = (int)syscall(SYS_pidfd_open, worker->pid, 0);
    return worker->pid_fd < 0 ? err_set_errno(err, errno, "watching a worker") : ERR_OK;
}

/* ---- memory ---- */

static int new_memory(size_t bytes, struct err *err)
{
    int fd = memfd_create("slipway", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd >= 0 && ftruncate(fd, (off_t)bytes) == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        return fd;
    err_set_errno(err, errno, "memory of %zu bytes for a worker", bytes);
    if (fd >= 0)
        close(fd);
    return -1;
}

static enum err_code send_fd(struct worker *worker, int fd, size_t bytes, struct err *err)
{
    char head[WORKER_FRAME_BYTES_MAX];
    const struct worker_frame frame = {.kind = WORKER_MEMORY, .call = worker->call, .value = bytes};
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct iovec part = {head, worker_frame_write(&frame, head)};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&message);
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
    if (sendmsg(worker->socket_fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        worker->is_gone = true;
        return err_set(err, ERR_UPSTREAM, "the model's worker process has ended");
    }
    return ERR_OK;
}

enum err_code worker_grow(struct worker *worker, size_t bytes, struct err *err)
{
    size_t size = worker->memory_bytes ? worker->memory_bytes : WORKER_MEMORY_BYTES;
    while (size < bytes)
        size *= 2;
    int fd = new_memory(size, err);
    if (fd < 0)
        return err->code;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    enum err_code rc = memory == MAP_FAILED
                           ? err_set_errno(err, errno, "memory of %zu bytes for a worker", size)
                           : send_fd(worker, fd, size, err);
    close(fd);
    if (rc && memory != MAP_FAILED)
        munmap(memory, size);
    if (rc)
        return rc;
    if (worker->memory)
        munmap(worker->memory, worker->memory_bytes);
    worker->memory = memory;
    worker->memory_bytes = size;
    return ERR_OK;
}

enum err_code worker_start(struct worker *worker, const struct worker_plan *plan, struct err *err)
{
    struct str json = plan->settings->json;
    const struct worker_frame start = {.kind = WORKER_START, .value = json.len};
    *worker = (struct worker){.pid_fd = -1, .socket_fd = -1, .log_fd = -1};
    enum err_code rc = start_process(worker, plan, err);
    if (!rc)
        rc = worker_grow(worker, json.len, err);
    if (rc)
        return rc;
    memcpy(worker->memory, json.ptr, json.len);
    return worker_send(worker, &start, err);
}

/* ---- frames ---- */

enum err_code worker_send(struct worker *worker, const struct worker_frame *frame, struct err *err)
{
    char bytes[WORKER_FRAME_BYTES_MAX];
    size_t size = worker_frame_write(frame, bytes);
    if (send(worker->socket_fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        worker->is_gone = true;
        return err_set(err, ERR_UPSTREAM, "the model's worker process has ended");
    }
    return ERR_OK;
}

enum err_code worker_receive(struct worker *worker, char *buffer, struct worker_frame *frame,
                             bool *has_frame, struct err *err)
{
    ssize_t size;
    do {
        size = recv(worker->socket_fd, buffer, WORKER_FRAME_BYTES_MAX, MSG_DONTWAIT | MSG_TRUNC);
    } while (size < 0 && errno == EINTR);
    *has_frame = size > 0;
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return ERR_OK;
    if (size <= 0) {
        worker->is_gone = true;
        return err_set(err, ERR_UPSTREAM, "the model's worker process has ended");
    }
    if (size > WORKER_FRAME_BYTES_MAX ||
        worker_frame_read((struct str){buffer, (size_t)size}, frame, err))
        return err_set(err, ERR_UPSTREAM, "the model's worker does not keep to the protocol");
    return ERR_OK;
}

static enum err_code failure_code(struct str kind)
{
    if (str_equal_c(kind, "input"))
        return ERR_INVALID;
    return str_equal_c(kind, "launch") ? ERR_UNSUPPORTED : ERR_UPSTREAM;
}

enum err_code worker_failure(const struct worker_frame *frame, struct err *err)
{
    struct arena *arena = arena_new(FAILURE_BYTES_MAX);
    struct str kind = {0}, message = STR_LIT("no reason given"), hint = {0};
    struct err ignored = {0};
    yyjson_val *root = NULL;
    if (json_read(frame->text, arena, &root, &ignored) == ERR_OK) {
        json_get_str_opt(root, "the failure", "kind", &kind, &ignored);
        json_get_str_opt(root, "the failure", "message", &message, &ignored);
        json_get_str_opt(root, "the failure", "hint", &hint, &ignored);
    }
    enum err_code code = failure_code(kind);
    if (str_equal_c(kind, "model") || str_equal_c(kind, "load"))
        err_set(err, code, "the model's code failed: %.*s", STR_ARG(message));
    else
        err_set(err, code, "%.*s", STR_ARG(message));
    if (hint.len)
        err_hint(err, "%.*s", STR_ARG(hint));
    arena_free(arena);
    return code;
}

/* ---- ending ---- */

static void signal_worker(const struct worker *worker, int number)
{
    if (worker->pid_fd >= 0)
        syscall(SYS_pidfd_send_signal, worker->pid_fd, number, NULL, 0);
}

void worker_interrupt(struct worker *worker)
{
    signal_worker(worker, SIGUSR1);
}

/* Without a sandbox it may have started others, which are of its session. */
void worker_kill(struct worker *worker)
{
    signal_worker(worker, SIGKILL);
    if (worker->pid > 1)
        kill(-worker->pid, SIGKILL);
}

void worker_done(struct worker *worker)
{
    const int fds[] = {worker->pid_fd, worker->socket_fd, worker->log_fd};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    if (worker->memory)
        munmap(worker->memory, worker->memory_bytes);
    *worker = (struct worker){.pid_fd = -1, .socket_fd = -1, .log_fd = -1};
}

size_t worker_memory_bytes(const struct worker *worker)
{
    char path[64];
    long pages = 0, resident = 0;
    snprintf(path, sizeof(path), "/proc/%d/statm", worker->pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return worker->memory_bytes;
    if (fscanf(file, "%ld %ld", &pages, &resident) != 2)
        resident = 0;
    fclose(file);
    return (size_t)resident * (size_t)sysconf(_SC_PAGESIZE) + worker->memory_bytes;
}
