/* worker_launch.c - from key=value words to a sandboxed interpreter. */
#include "runtime/worker_launch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/json.h"
#include "runtime/worker_frame.h"
#include "runtime/worker_sandbox.h"

enum { TEXT_MAX = 4096, WORDS_MAX = 16, FAILURE_STATUS = 127 };

/* What Python is told to run: the other end of the socket is in its library. */
static const char boot[] = "import sys\n"
                           "sys.path[:0] = sys.argv[1:2] + sys.argv[3:]\n"
                           "from slipway_worker.main import main\n"
                           "main(sys.argv[2])\n";

struct launch {
    struct sandbox sandbox;
    const char *python;
    const char *packages; /* a folder of packages besides the interpreter's own; NULL: none */
    int64_t parent, threads;
};

/* ---- words ---- */

static bool take_number(const char *value, int64_t *out)
{
    return str_to_i64(str_of(value), out) && *out >= 0;
}

static bool take_mode(const char *value, enum sandbox_mode *mode)
{
    static const char *const modes[] = {"require", "try", "off"};
    for (size_t i = 0; i < ARRAY_LEN(modes); i++)
        if (strcmp(value, modes[i]) == 0) {
            *mode = (enum sandbox_mode)i;
            return true;
        }
    return false;
}

static bool take_read(struct sandbox *sandbox, const char *value)
{
    if (sandbox->read_count >= SANDBOX_READS_MAX)
        return false;
    sandbox->reads[sandbox->read_count++] = value;
    return true;
}

static bool take_word(struct launch *l, const char *word)
{
    struct sandbox *s = &l->sandbox;
    const char *equals = strchr(word, '=');
    if (!equals)
        return false;
    struct str key = {word, (size_t)(equals - word)};
    const char *value = equals + 1;
    int64_t number = 0;
    bool is_number = take_number(value, &number);
    const struct {
        const char *key;
        const char **text;
    } texts[] = {{"python", &l->python},
                 {"packages", &l->packages},
                 {"model", &s->model},
                 {"library", &s->library},
                 {"tmp", &s->tmp}};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (str_equal_c(key, texts[i].key)) {
            *texts[i].text = value;
            return true;
        }
    if (str_equal_c(key, "sandbox"))
        return take_mode(value, &s->mode);
    if (str_equal_c(key, "read"))
        return take_read(s, value);
    if (str_equal_c(key, "parent"))
        l->parent = number;
    else if (str_equal_c(key, "user"))
        s->user = (uid_t)number;
    else if (str_equal_c(key, "memory"))
        s->memory_bytes = (size_t)number;
    else if (str_equal_c(key, "tmp_bytes"))
        s->tmp_bytes = (size_t)number;
    else if (str_equal_c(key, "threads"))
        l->threads = number;
    else
        return false;
    return is_number;
}

static enum err_code read_words(struct launch *l, int count, const char *const *words,
                                struct err *err)
{
    for (int i = 0; i < count; i++)
        if (!take_word(l, words[i]))
            return err_set(err, ERR_INVALID, "'%s' is nothing to launch a worker with", words[i]);
    if (!l->python || !l->sandbox.model || !l->sandbox.library || !l->sandbox.tmp)
        return err_set(err, ERR_INVALID, "a worker needs python, model, library and tmp");
    l->sandbox.threads_max = 64 + 8 * (int)l->threads;
    return ERR_OK;
}

/* ---- telling the server ---- */

static void send_frame(const struct worker_frame *frame)
{
    static char bytes[WORKER_FRAME_BYTES_MAX];
    size_t size = worker_frame_write(frame, bytes);
    if (send(WORKER_SOCKET_FD, bytes, size, MSG_NOSIGNAL) < 0)
        _exit(FAILURE_STATUS); /* nobody is there to tell */
}

static int fail(const struct err *err)
{
    static struct worker_frame frame = {.kind = WORKER_FAILED};
    struct buf text;
    struct json_writer w = {.out = &text};
    buf_init(&text, TEXT_MAX);
    json_begin_object(&w);
    json_member_text(&w, "kind", "launch");
    json_member_text(&w, "message", err->msg);
    json_member_text(&w, "hint", err->hint);
    json_end_object(&w);
    frame.text = buf_view(&text);
    send_frame(&frame);
    buf_done(&text);
    return FAILURE_STATUS;
}

/* ---- becoming the interpreter ---- */

static void become(const struct launch *l)
{
    char tmp[TEXT_MAX], home[TEXT_MAX], threads[3][64];
    const struct sandbox *s = &l->sandbox;
    snprintf(tmp, sizeof(tmp), "TMPDIR=%s", s->tmp);
    snprintf(home, sizeof(home), "HOME=%s", s->tmp);
    const char *const names[] = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        snprintf(threads[i], sizeof(threads[i]), "%s=%lld", names[i], (long long)l->threads);
    const char *const environment[] = {
        tmp,      home,       "PATH=/usr/bin:/bin", "LANG=C.UTF-8", "USER=worker",
        "TZ=UTC", threads[0], threads[1],           threads[2],     NULL};
    const char *const words[WORDS_MAX] = {l->python, "-I",       "-B",     "-u",        "-c",
                                          boot,      s->library, s->model, l->packages, NULL};
    if (chdir(s->tmp) == 0)
        execve(l->python, (char *const *)(uintptr_t)words, (char *const *)(uintptr_t)environment);
}

int worker_launch(int count, const char *const *words)
{
    struct launch launch = {.threads = 1};
    static struct worker_frame frame = {.kind = WORKER_SANDBOX};
    struct err err = {0};
    unsigned parts = 0;
    close_range(WORKER_SOCKET_FD + 1, ~0u, 0);
    setsid();
    if (read_words(&launch, count, words, &err) ||
        sandbox_enter(&launch.sandbox, (pid_t)launch.parent, &parts, &err))
        return fail(&err);
    frame.value = parts;
    send_frame(&frame);
    become(&launch);
    err_set_errno(&err, errno, "starting the interpreter %s", launch.python);
    return fail(&err);
}
