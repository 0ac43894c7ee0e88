/* restore.c - a backup becomes a data folder again.
 *
 *     backup.json verified -> files copied beside the destination -> opened and examined as a
 *     server would -> renamed into place
 *
 * so the destination is whole or was never there.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/file_tree.h"
#include "cli/handlers.h"
#include "cli/manifest.h"
#include "cli/progress.h"

enum { PATH_BYTES = 4096, COPY_BYTES = 256 * 1024, FOLDER_MODE = 0700 };

struct restore {
    struct cli *cli;
    const char *from, *to;
    char beside[PATH_BYTES]; /* where it is put together; "" when that is gone again */
    int from_fd, beside_fd;
    struct manifest manifest;
};

/* ---- the two folders ---- */

static enum err_code check_destination(const struct restore *r, struct err *err)
{
    struct dirent *entry;
    bool is_empty = true;
    DIR *dir = opendir(r->to);
    if (!dir && errno == ENOENT)
        return ERR_OK;
    if (!dir)
        return err_set_errno(err, errno, "cannot look into %s", r->to);
    while ((entry = readdir(dir)))
        is_empty &= strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    closedir(dir);
    if (is_empty)
        return ERR_OK;
    err_set(err, ERR_EXISTS, "%s is not empty", r->to);
    return err_hint(err, "restore into a new folder, then move it where it belongs");
}

static enum err_code read_backup(struct restore *r, struct err *err)
{
    struct buf text;
    char path[PATH_BYTES];
    r->from_fd = open(r->from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r->from_fd < 0)
        return err_set_errno(err, errno, "cannot open %s", r->from);
    snprintf(path, sizeof(path), "%s/%s", r->from, MANIFEST_NAME);
    enum err_code rc = file_read(path, MANIFEST_BYTES_MAX, &text, err);
    if (rc == ERR_NOT_FOUND) {
        err_set(err, ERR_NOT_FOUND, "%s is no backup: it has no %s", r->from, MANIFEST_NAME);
        err_hint(err, "slipway backup writes that file last; without it a backup is not whole");
    }
    if (!rc)
        rc = manifest_read(buf_view(&text), &r->manifest, err);
    if (!rc)
        rc = manifest_verify(&r->manifest, r->from_fd, err);
    buf_done(&text);
    return rc ? err_wrap(err, "backup %s", r->from) : ERR_OK;
}

static enum err_code make_beside(struct restore *r, struct err *err)
{
    struct str to = str_of(r->to);
    while (to.len > 1 && to.ptr[to.len - 1] == '/')
        to.len--;
    int length = snprintf(r->beside, sizeof(r->beside), "%.*s.restoring-XXXXXX", STR_ARG(to));
    if (length < 0 || (size_t)length >= sizeof(r->beside)) {
        r->beside[0] = '\0';
        return err_set(err, ERR_LIMIT, "the path of --data is longer than %d bytes", PATH_BYTES);
    }
    if (!mkdtemp(r->beside)) {
        r->beside[0] = '\0';
        return err_set_errno(err, errno, "cannot create a folder beside %s", r->to);
    }
    r->beside_fd = open(r->beside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return r->beside_fd >= 0 ? ERR_OK : err_set_errno(err, errno, "cannot open %s", r->beside);
}

/* ---- copying ---- */

static enum err_code copy_bytes(int from, int to, const char *path, struct err *err)
{
    char *chunk = malloc(COPY_BYTES);
    enum err_code rc = ERR_OK;
    ssize_t got = 1;
    if (!chunk)
        abort();
    while (!rc && got != 0) {
        got = read(from, chunk, COPY_BYTES);
        if (got < 0 && errno != EINTR)
            rc = err_set_errno(err, errno, "cannot read %s", path);
        else if (got > 0)
            rc = file_write_all(to, path, chunk, (size_t)got, err);
    }
    free(chunk);
    return rc;
}

static enum err_code copy_file(struct restore *r, const char *path, struct err *err)
{
    bool is_prediction = str_starts_with(str_of(path), STR_LIT(MANIFEST_PREDICTIONS));
    bool is_blob = !is_prediction && strcmp(path, MANIFEST_DATABASE) != 0;
    char folder[MANIFEST_PATH_BYTES];
    snprintf(folder, sizeof(folder), "%.*s", is_blob ? 8 : 11, path); /* "blobs/ab" */
    if ((is_blob || is_prediction) && mkdirat(r->beside_fd, folder, FOLDER_MODE) != 0 &&
        errno != EEXIST)
        return err_set_errno(err, errno, "cannot create %s/%s", r->beside, folder);
    int from = openat(r->from_fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (from < 0)
        return err_set_errno(err, errno, "cannot read %s/%s", r->from, path);
    int to =
        openat(r->beside_fd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, is_blob ? 0400 : 0600);
    enum err_code rc = to < 0 ? err_set_errno(err, errno, "cannot write %s/%s", r->beside, path)
                              : copy_bytes(from, to, path, err);
    close(from);
    if (to >= 0)
        close(to);
    return rc;
}

static enum err_code copy_files(struct restore *r, struct err *err)
{
    struct progress progress;
    enum err_code rc = ERR_OK;
    if (mkdirat(r->beside_fd, "blobs", FOLDER_MODE) != 0)
        return err_set_errno(err, errno, "cannot create %s/blobs", r->beside);
    progress_begin(&progress, &r->cli->terminal, "restoring", "files", r->manifest.count);
    for (size_t i = 0; !rc && i < r->manifest.count; i++) {
        rc = copy_file(r, r->manifest.files[i].path, err);
        progress_update(&progress, i + 1, i + 1);
    }
    progress_end(&progress);
    if (!rc && syncfs(r->beside_fd) != 0)
        rc = err_set_errno(err, errno, "cannot write %s", r->beside);
    return rc;
}

/* ---- examining and putting in place ---- */

static enum err_code examine(struct restore *r, struct cli_reply *report, struct err *err)
{
    size_t i, count;
    yyjson_val *check;
    enum err_code rc = cli_open_folder(r->cli, r->beside, err);
    if (!rc)
        rc = cli_get(r->cli, "/api/doctor", report, err);
    cli_close(r->cli);
    if (rc || yyjson_get_bool(yyjson_obj_get(report->root, "healthy")))
        return rc;
    yyjson_arr_foreach(yyjson_obj_get(report->root, "checks"), i, count, check)
    {
        if (!yyjson_get_bool(yyjson_obj_get(check, "ok")))
            return err_set(err, ERR_IO, "the restored folder is not healthy: %s: %s",
                           cli_text(r->cli, check, "check"), cli_text(r->cli, check, "problem"));
    }
    return err_set(err, ERR_IO, "the restored folder is not healthy");
}

static enum err_code put_in_place(struct restore *r, struct err *err)
{
    if (rename(r->beside, r->to) != 0)
        return err_set_errno(err, errno, "cannot rename %s to %s", r->beside, r->to);
    r->beside[0] = '\0';
    return syncfs(r->beside_fd) == 0 ? ERR_OK : err_set_errno(err, errno, "cannot write %s", r->to);
}

static void print_restored(struct restore *r, const struct cli_reply *report)
{
    char when[TERMINAL_TIME_BYTES];
    if (r->cli->wants_json) {
        cli_print_json(report->body);
        return;
    }
    printf("%s: %zu files of the backup made %s, healthy\n"
           "serve it with: slipway serve --data %s\n",
           r->to, r->manifest.count, terminal_time(str_of(r->manifest.created_at), when), r->to);
}

enum err_code cli_restore(struct cli *cli, struct err *err)
{
    struct restore r = {.cli = cli,
                        .from = cli_arg(cli, 0),
                        .to = cli_flag(cli, "data"),
                        .from_fd = -1,
                        .beside_fd = -1};
    struct cli_reply report = {0};
    struct err ignored = {0};
    enum err_code rc = check_destination(&r, err);
    if (!rc)
        rc = read_backup(&r, err);
    if (!rc)
        rc = make_beside(&r, err);
    if (!rc)
        rc = copy_files(&r, err);
    if (!rc)
        rc = examine(&r, &report, err);
    if (!rc)
        rc = put_in_place(&r, err);
    if (!rc)
        print_restored(&r, &report);
    if (r.beside[0])
        file_tree_remove(AT_FDCWD, r.beside, &ignored);
    if (r.from_fd >= 0)
        close(r.from_fd);
    if (r.beside_fd >= 0)
        close(r.beside_fd);
    manifest_done(&r.manifest);
    return rc;
}
