/* python_place.c - unpacking a model's folder, and finding an interpreter with all it reads. */
#include "runtime/python_place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/tar.h"
#include "store/embedded.h"

enum { CONFIG_BYTES_MAX = 64 * 1024 };

/* ---- folders ---- */

static enum err_code make_folder(const char *path, struct err *err)
{
    if (mkdir(path, 0755) != 0 && errno != EEXIST)
        return err_set_errno(err, errno, "making %s", path);
    return ERR_OK;
}

/* Whoever is first puts the finished folder in its place; others throw theirs away. */
static enum err_code put_in_place(const char *fresh, const char *path, struct err *err)
{
    if (rename(fresh, path) == 0 || errno == EEXIST || errno == ENOTEMPTY)
        return ERR_OK;
    return err_set_errno(err, errno, "naming %s", path);
}

typedef enum err_code fill_fn(int dir_fd, const void *arg, struct err *err);

/* The folder `path`, filled by fn unless it is there. */
static enum err_code fill_folder(const char *path, fill_fn *fn, const void *arg,
                                 struct arena *arena, struct err *err)
{
    static _Atomic unsigned counter;
    struct stat st;
    if (stat(path, &st) == 0)
        return ERR_OK;
    const char *fresh = arena_printf(arena, "%s.%d-%u", path, getpid(), counter++);
    if (!fresh)
        return err_set(err, ERR_LIMIT, "no room for a path");
    enum err_code rc = make_folder(fresh, err);
    if (rc)
        return rc;
    int fd = open(fresh, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_set_errno(err, errno, "opening %s", fresh);
    rc = fn(fd, arg, err);
    close(fd);
    return rc ? rc : put_in_place(fresh, path, err);
}

static enum err_code unpack(int dir_fd, const void *arg, struct err *err)
{
    const struct runtime_file *file = arg;
    return tar_unpack((struct str){file->bytes, file->size}, dir_fd, err);
}

static enum err_code write_library(int dir_fd, const void *arg, struct err *err)
{
    (void)arg;
    if (mkdirat(dir_fd, "slipway_worker", 0755) != 0)
        return err_set_errno(err, errno, "making slipway_worker");
    int fd = openat(dir_fd, "slipway_worker", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_set_errno(err, errno, "opening slipway_worker");
    enum err_code rc = ERR_OK;
    for (const struct embedded_file *file = embedded_python; file->name && !rc; file++)
        rc = file_replace_at(fd, file->name, file->data, file->size, 0444, err);
    close(fd);
    return rc;
}

static void library_digest(char hex[SHA256_HEX_BYTES + 1])
{
    uint8_t digest[SHA256_BYTES];
    struct hash_sha256 *state = hash_sha256_new();
    for (const struct embedded_file *file = embedded_python; file->name; file++) {
        hash_sha256_add(state, file->name, strlen(file->name) + 1);
        hash_sha256_add(state, file->data, file->size);
    }
    hash_sha256_end(state, digest);
    str_hex(digest, sizeof(digest), hex);
    hex[SHA256_HEX_BYTES] = '\0';
}

enum err_code python_place_files(const struct runtime_file *file, struct arena *arena,
                                 struct worker_plan *plan, struct err *err)
{
    char hex[SHA256_HEX_BYTES + 1], root[PATH_MAX];
    enum err_code rc = runtime_make_work_dir(file->host, err);
    if (rc)
        return rc;
    if (!realpath(file->host->work_dir, root))
        return err_set_errno(err, errno, "finding %s", file->host->work_dir);
    library_digest(hex);
    const char *const folders[] = {
        arena_printf(arena, "%s/python", root),
        arena_printf(arena, "%s/python/models", root),
        arena_printf(arena, "%s/python/tmp", root),
        arena_printf(arena, "%s/python/tmp/%s", root, file->digest_hex),
    };
    plan->tmp = folders[3];
    plan->model = arena_printf(arena, "%s/python/models/%s", root, file->digest_hex);
    plan->library = arena_printf(arena, "%s/python/library-%.16s", root, hex);
    for (size_t i = 0; i < ARRAY_LEN(folders) && !rc; i++)
        rc = make_folder(folders[i], err);
    if (!rc)
        rc = fill_folder(plan->library, write_library, NULL, arena, err);
    if (!rc)
        rc = fill_folder(plan->model, unpack, file, arena, err);
    return rc;
}

/* ---- the interpreter ---- */

static bool is_program(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* A shim is a shell script, which starts processes that a worker may not start. */
static bool is_script(const char *path)
{
    char head[2] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool is = fd >= 0 && read(fd, head, 2) == 2 && memcmp(head, "#!", 2) == 0;
    if (fd >= 0)
        close(fd);
    return is;
}

static enum err_code check_program(const char *path, struct err *err)
{
    if (!is_program(path)) {
        err_set(err, ERR_UNSUPPORTED, "there is no Python interpreter at %s", path);
        return err_hint(err, "name one with --python-path, such as /usr/bin/python3");
    }
    if (is_script(path)) {
        err_set(err, ERR_UNSUPPORTED, "%s is a script, not an interpreter", path);
        return err_hint(err, "what it starts is the interpreter; pyenv which python3 names it");
    }
    return ERR_OK;
}

static enum err_code add_read(struct worker_plan *plan, struct arena *arena, const char *path,
                              struct err *err)
{
    char real[PATH_MAX];
    if (!realpath(path, real) || strcmp(real, "/") == 0 || strcmp(real, "/usr") == 0)
        return ERR_OK; /* nothing to add to what is always read */
    if (plan->read_count == WORKER_READS_MAX || strlen(real) >= WORKER_PATH_BYTES)
        return err_set(err, ERR_LIMIT, "the Python at %s has too many folders", plan->python);
    plan->reads[plan->read_count++] = arena_copy(arena, real, strlen(real));
    return ERR_OK;
}

/* "/x/bin/python3" -> "/x" */
static const char *prefix_of(struct arena *arena, const char *program)
{
    const char *slash = strrchr(program, '/');
    size_t length = slash ? (size_t)(slash - program) : 0;
    while (length > 0 && program[length - 1] != '/')
        length--;
    return arena_copy(arena, program, length > 1 ? length - 1 : length);
}

/* "home = /y/bin" of a virtual environment; NULL when it is none. */
static const char *base_program(struct arena *arena, const char *prefix)
{
    struct buf bytes;
    struct err ignored;
    struct str line, key;
    const char *path = arena_printf(arena, "%s/pyvenv.cfg", prefix), *home = NULL;
    if (file_read(path, CONFIG_BYTES_MAX, &bytes, &ignored) == ERR_OK && bytes.len) {
        struct str rest = buf_view(&bytes);
        while (str_split(&rest, '\n', &line))
            if (str_split(&line, '=', &key) && str_equal_c(str_trim(key), "home"))
                home = arena_printf(arena, "%.*s/python", STR_ARG(str_trim(line)));
    }
    buf_done(&bytes);
    return home;
}

/* Its folder without links, but its own name as it is: in a virtual environment that is a link,
 * and by it Python knows where it is. */
static const char *with_real_folder(struct arena *arena, const char *program)
{
    char folder[PATH_MAX], real[PATH_MAX];
    const char *slash = strrchr(program, '/');
    snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - program) : 1,
             slash ? program : ".");
    return realpath(folder, real) ? arena_printf(arena, "%s/%s", real, slash ? slash + 1 : program)
                                  : program;
}

static enum err_code use_program(struct worker_plan *plan, struct arena *arena, const char *program,
                                 struct err *err)
{
    char real[PATH_MAX];
    enum err_code rc = check_program(program, err);
    if (rc)
        return rc;
    program = with_real_folder(arena, program);
    plan->python = program;
    const char *prefix = prefix_of(arena, program), *base = base_program(arena, prefix);
    rc = add_read(plan, arena, prefix, err);
    if (!rc && base)
        rc = add_read(plan, arena, prefix_of(arena, base), err);
    if (!rc && realpath(program, real))
        rc = add_read(plan, arena, prefix_of(arena, real), err);
    return rc;
}

static const char *first_program(void)
{
    static const char *const usual[] = {"/usr/bin/python3", "/usr/local/bin/python3",
                                        "/opt/python/bin/python3"};
    for (size_t i = 0; i < ARRAY_LEN(usual); i++)
        if (is_program(usual[i]))
            return usual[i];
    return usual[0];
}

static const char *find_environment(const struct runtime_host *host, const char *name)
{
    size_t length = strlen(name);
    for (int i = 0; i < host->python_environment_count; i++) {
        const char *item = host->python_environments[i];
        if (strncmp(item, name, length) == 0 && item[length] == '=')
            return item + length + 1;
    }
    return NULL;
}

/* A folder with an interpreter (a virtual environment), or one of packages alone. */
static enum err_code use_environment(const struct runtime_host *host, struct arena *arena,
                                     struct worker_plan *plan, const char *usual, struct err *err)
{
    char real[PATH_MAX];
    const char *name = plan->settings->environment;
    const char *folder = find_environment(host, name);
    if (!folder) {
        err_set(err, ERR_UNSUPPORTED, "there is no Python environment '%s' here", name);
        return err_hint(err, "the operator names it: --python-environments %s=FOLDER", name);
    }
    if (!realpath(folder, real)) {
        err_set_errno(err, errno, "the Python environment '%s' at %s", name, folder);
        err->code = ERR_UNSUPPORTED;
        return err->code;
    }
    folder = arena_copy(arena, folder, strlen(folder));
    const char *program = arena_printf(arena, "%s/bin/python", folder);
    if (is_program(program))
        return use_program(plan, arena, program, err);
    plan->packages = arena_copy(arena, real, strlen(real));
    enum err_code rc = add_read(plan, arena, real, err);
    return rc ? rc : use_program(plan, arena, usual, err);
}

enum err_code python_place_interpreter(const struct runtime_host *host, struct arena *arena,
                                       struct worker_plan *plan, struct err *err)
{
    const char *usual = host->python && host->python[0] ? host->python : first_program();
    usual = arena_copy(arena, usual, strlen(usual));
    return plan->settings->environment ? use_environment(host, arena, plan, usual, err)
                                       : use_program(plan, arena, usual, err);
}
