/* onnx_apart.c - both sides of a trial in a child. */
#include "runtime/onnx_apart.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/command.h"
#include "base/file.h"
#include "runtime/onnx.h"
#include "runtime/onnx_file.h"

enum { APART_MS_MAX = 120000, MARK_BYTES = 4096 + 160, EXIT_NO_LIBRARY = 3, EXIT_NO_INPUT = 4 };

/* --- the child -------------------------------------------------------------------------- */

/* A crash must be seen as one by the parent: no handler may turn it into an exit status, as a
 * sanitizer's does. */
static void die_by_signals(void)
{
    static const int signals[] = {SIGFPE, SIGSEGV, SIGBUS, SIGILL, SIGABRT};
    const struct sigaction preset = {.sa_handler = SIG_DFL};
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        sigaction(signals[i], &preset, NULL);
}

int onnx_apart_main(int argc, const char *const *argv)
{
    const char *where = argc > 0 ? argv[0] : "";
    const struct onnx_library *library = NULL;
    const struct runtime_host host = {
        .work_dir = "", .python = "", .onnxruntime = where, .onnx_threads = 1, .thread_count = 1};
    struct buf bytes;
    struct err err = {0};
    void *model = NULL;
    die_by_signals();
    if (onnx_library_open(where, 1, &library, &err))
        return EXIT_NO_LIBRARY;
    enum err_code rc = file_read_fd(STDIN_FILENO, "the model", ONNX_FILE_BYTES_MAX, &bytes, &err);
    if (!rc) {
        const struct runtime_file file = {
            .bytes = bytes.data, .size = bytes.len, .digest_hex = "", .host = &host};
        if (!runtime_onnx.load(&file, &model, &err))
            runtime_onnx.free(model);
    }
    buf_done(&bytes);
    return rc ? EXIT_NO_INPUT : 0;
}

/* --- the parent --------------------------------------------------------------------------- */

/* False when there is none for this file. */
static bool mark_of(const struct runtime_file *file, const struct onnx_library *library, char *mark)
{
    static const char plain[] = "0123456789.abcdefghijklmnopqrstuvwxyz+-";
    bool is_plain = library->version[strspn(library->version, plain)] == '\0';
    int size = snprintf(mark, MARK_BYTES, "%s/onnx-%s-%s", file->host->work_dir, file->digest_hex,
                        library->version);
    return is_plain && file->digest_hex[0] && size > 0 && size < MARK_BYTES;
}

/* Only saves time, so a full disk does not matter. */
static void leave_mark(const struct runtime_file *file, const char *mark)
{
    struct err ignored = {0};
    if (runtime_make_work_dir(file->host, &ignored))
        return;
    int fd = open(mark, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0)
        close(fd);
}

static enum err_code refuse(int signal, struct err *err)
{
    if (signal)
        err_set(err, ERR_INVALID,
                "ONNX Runtime does not survive this model: tried in a process of its own, it was "
                "ended by signal %d",
                signal);
    else
        err_set(err, ERR_INVALID,
                "ONNX Runtime did not load this model within %d s in a process of its own",
                APART_MS_MAX / 1000);
    return err_hint(err, "try another version of ONNX Runtime, or the runtime 'python', which runs "
                         "in a process apart");
}

enum err_code onnx_try_apart(const struct runtime_file *file, const struct onnx_library *library,
                             struct err *err)
{
    /* A name without a folder is one that the loader found in its own places. */
    const char *where = strchr(library->path, '/') ? library->path : "";
    const char *const argv[] = {"/proc/self/exe", ONNX_APART_WORD, where, NULL};
    char mark[MARK_BYTES];
    struct err why = {0};
    if (!file->host->work_dir[0])
        return ERR_OK;
    bool has_mark = mark_of(file, library, mark);
    if (has_mark && access(mark, F_OK) == 0)
        return ERR_OK;
    int end = 0;
    enum err_code rc =
        command_end(argv, (struct str){file->bytes, file->size}, APART_MS_MAX, &end, &why);
    if (rc == ERR_TIMEOUT || (!rc && end < 0))
        return refuse(-end, err);
    if (!rc && end == 0 && has_mark)
        leave_mark(file, mark);
    return ERR_OK; /* also when no child could be started: then nothing is known */
}
