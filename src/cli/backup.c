/* backup.c - a verified copy of a data folder through the API, while it serves.
 *
 *     store first, then every blob that a version names: what is registered meanwhile only adds
 *     blobs, and no version loses one -> kept predictions, what was answered until now -> all
 *     files read again -> backup.json, last
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "cli/handlers.h"
#include "cli/manifest.h"
#include "cli/progress.h"

enum {
    PAGE_ROWS = 1000,
    REPLY_MEMORY_BYTES_MAX = 1024 * 1024 * 1024,
    FOLDER_MODE = 0700,
    DATABASE_MODE = 0600,
    BLOB_MODE = 0400,
};

struct digest {
    char hex[SHA256_HEX_BYTES + 1];
};

struct backup {
    struct cli *cli;
    const char *path;
    int folder_fd;
    struct arena *arena; /* of one reply */
    struct digest *digests;
    size_t digest_count, digest_capacity;
    struct manifest manifest;
    uint64_t bytes;
    size_t prediction_count; /* files */
};

/* ---- the folder ---- */

static enum err_code check_empty(int fd, const char *path, struct err *err)
{
    struct dirent *entry;
    int copy = dup(fd);
    DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    bool is_empty = true;
    if (!dir)
        return err_set_errno(err, errno, "cannot list %s", path);
    while ((entry = readdir(dir)))
        is_empty &= strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    closedir(dir);
    if (is_empty)
        return ERR_OK;
    err_set(err, ERR_EXISTS, "%s is not empty", path);
    return err_hint(err, "name a new folder; each backup has one of its own");
}

static enum err_code open_folder(struct backup *b, struct err *err)
{
    if (mkdir(b->path, FOLDER_MODE) != 0 && errno != EEXIST)
        return err_set_errno(err, errno, "cannot create %s", b->path);
    b->folder_fd = open(b->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (b->folder_fd < 0)
        return err_set_errno(err, errno, "cannot open %s", b->path);
    enum err_code rc = check_empty(b->folder_fd, b->path, err);
    if (!rc && mkdirat(b->folder_fd, "blobs", FOLDER_MODE) != 0)
        rc = err_set_errno(err, errno, "cannot create %s/blobs", b->path);
    return rc;
}

static enum err_code write_file(struct backup *b, const char *path, struct str bytes, int mode,
                                struct err *err)
{
    assert(b->folder_fd >= 0);
    int fd = openat(b->folder_fd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot write %s/%s", b->path, path);
    enum err_code rc = file_write_all(fd, path, bytes.ptr, bytes.len, err);
    if (!rc && fsync(fd) != 0)
        rc = err_set_errno(err, errno, "cannot write %s/%s", b->path, path);
    close(fd);
    return rc;
}

/* ---- what to copy ---- */

static void add_digest(struct backup *b, yyjson_val *value)
{
    struct str hex = json_str(value);
    if (!hash_is_sha256_hex(hex))
        return; /* a version without a contract, or without golden rows */
    if (b->digest_count == b->digest_capacity) {
        b->digest_capacity = b->digest_capacity ? 2 * b->digest_capacity : 256;
        b->digests = realloc(b->digests, b->digest_capacity * sizeof(*b->digests));
        if (!b->digests)
            abort();
    }
    memcpy(b->digests[b->digest_count].hex, hex.ptr, hex.len);
    b->digests[b->digest_count++].hex[SHA256_HEX_BYTES] = '\0';
}

/* `reply` lives until the next one. */
static enum err_code get(struct backup *b, const char *target, bool takes_bytes,
                         struct cli_reply *reply, struct err *err)
{
    arena_reset(b->arena);
    const struct cli_request request = {
        .method = "GET", .target = target, .arena = b->arena, .takes_bytes = takes_bytes};
    return cli_request(b->cli, &request, reply, err);
}

static enum err_code list_versions(struct backup *b, const char *model, struct err *err)
{
    int64_t before = 0;
    size_t i, count = PAGE_ROWS;
    while (count == PAGE_ROWS) {
        struct cli_reply reply;
        yyjson_val *version;
        char target[256];
        snprintf(target, sizeof(target), "%s?limit=%d&before=%lld",
                 cli_target(b->cli, "/api/models/{}/versions", model), PAGE_ROWS,
                 (long long)before);
        enum err_code rc = get(b, target, false, &reply, err);
        if (rc)
            return rc;
        yyjson_arr_foreach(yyjson_obj_get(reply.root, "versions"), i, count, version)
        {
            add_digest(b, yyjson_obj_get(version, "artifact"));
            add_digest(b, yyjson_obj_get(version, "contract"));
            add_digest(b, yyjson_obj_get(version, "golden"));
            before = yyjson_get_sint(yyjson_obj_get(version, "version"));
        }
    }
    return ERR_OK;
}

static int compare_digests(const void *a, const void *b)
{
    const struct digest *x = a, *y = b;
    return strcmp(x->hex, y->hex);
}

static enum err_code list_blobs(struct backup *b, struct err *err)
{
    struct cli_reply models;
    size_t i, count, kept = 0;
    yyjson_val *model;
    enum err_code rc = cli_get(b->cli, "/api/models", &models, err);
    if (rc)
        return rc;
    yyjson_arr_foreach(yyjson_obj_get(models.root, "models"), i, count, model)
    {
        rc = list_versions(b, yyjson_get_str(yyjson_obj_get(model, "name")), err);
        if (rc)
            return rc;
    }
    if (b->digest_count)
        qsort(b->digests, b->digest_count, sizeof(*b->digests), compare_digests);
    for (i = 0; i < b->digest_count; i++)
        if (kept == 0 || strcmp(b->digests[i].hex, b->digests[kept - 1].hex) != 0)
            b->digests[kept++] = b->digests[i];
    b->digest_count = kept;
    return ERR_OK;
}

/* ---- copying ---- */

static enum err_code copy_store(struct backup *b, struct err *err)
{
    struct cli_reply reply;
    char hex[SHA256_HEX_BYTES + 1];
    enum err_code rc = get(b, "/api/backup", true, &reply, err);
    if (!rc)
        rc = write_file(b, MANIFEST_DATABASE, reply.body, DATABASE_MODE, err);
    if (rc)
        return rc;
    hash_sha256_hex(reply.body.ptr, reply.body.len, hex);
    manifest_add(&b->manifest, MANIFEST_DATABASE, reply.body.len, hex);
    b->bytes += reply.body.len;
    return ERR_OK;
}

static enum err_code copy_blob(struct backup *b, const char *digest, struct err *err)
{
    struct cli_reply reply;
    char path[MANIFEST_PATH_BYTES], folder[MANIFEST_PATH_BYTES], hex[SHA256_HEX_BYTES + 1];
    enum err_code rc = get(b, cli_target(b->cli, "/api/blobs/{}", digest), true, &reply, err);
    if (rc)
        return rc;
    hash_sha256_hex(reply.body.ptr, reply.body.len, hex);
    if (strcmp(hex, digest) != 0)
        return err_set(err, ERR_IO, "blob %s came with other bytes (SHA-256 %s)", digest, hex);
    manifest_blob_path(digest, path);
    snprintf(folder, sizeof(folder), "blobs/%.2s", digest);
    if (mkdirat(b->folder_fd, folder, FOLDER_MODE) != 0 && errno != EEXIST)
        return err_set_errno(err, errno, "cannot create %s/%s", b->path, folder);
    manifest_add(&b->manifest, path, reply.body.len, digest);
    b->bytes += reply.body.len;
    return write_file(b, path, reply.body, BLOB_MODE, err);
}

static enum err_code copy_blobs(struct backup *b, struct err *err)
{
    struct progress progress;
    enum err_code rc = ERR_OK;
    progress_begin(&progress, &b->cli->terminal, "copying", "blobs", b->digest_count);
    for (size_t i = 0; !rc && i < b->digest_count; i++) {
        rc = copy_blob(b, b->digests[i].hex, err);
        progress_update(&progress, i + 1, i + 1);
    }
    progress_end(&progress);
    return rc;
}

/* One that is gone by now was too old to be kept. */
static enum err_code copy_prediction_file(struct backup *b, const char *name, struct err *err)
{
    struct cli_reply reply;
    char path[MANIFEST_PATH_BYTES], hex[SHA256_HEX_BYTES + 1];
    enum err_code rc =
        get(b, cli_target(b->cli, "/api/backup/predictions/{}", name), true, &reply, err);
    if (rc == ERR_NOT_FOUND) {
        *err = (struct err){0};
        return ERR_OK;
    }
    if (rc)
        return rc;
    snprintf(path, sizeof(path), MANIFEST_PREDICTIONS "%s", name);
    hash_sha256_hex(reply.body.ptr, reply.body.len, hex);
    manifest_add(&b->manifest, path, reply.body.len, hex);
    b->bytes += reply.body.len;
    b->prediction_count++;
    return write_file(b, path, reply.body, DATABASE_MODE, err);
}

/* `files` of a reply of its own: the arena of one reply is used for each of them. */
static enum err_code copy_prediction_files(struct backup *b, yyjson_val *files, struct err *err)
{
    struct progress progress;
    size_t i, count;
    yyjson_val *file;
    enum err_code rc = ERR_OK;
    progress_begin(&progress, &b->cli->terminal, "copying", "files of predictions",
                   yyjson_arr_size(files));
    yyjson_arr_foreach(files, i, count, file)
    {
        rc = copy_prediction_file(b, cli_text(b->cli, file, "name"), err);
        if (rc)
            break;
        progress_update(&progress, i + 1, i + 1);
    }
    progress_end(&progress);
    return rc;
}

static enum err_code copy_predictions(struct backup *b, struct err *err)
{
    struct cli_reply list;
    if (cli_has(b->cli, "without-predictions"))
        return ERR_OK;
    enum err_code rc = cli_get(b->cli, "/api/backup/predictions", &list, err);
    if (rc)
        return rc;
    if (mkdirat(b->folder_fd, "predictions", FOLDER_MODE) != 0)
        return err_set_errno(err, errno, "cannot create %s/predictions", b->path);
    return copy_prediction_files(b, yyjson_obj_get(list.root, "files"), err);
}

/* Everything is on the disk and has been read again before the folder counts as a backup. */
static enum err_code seal(struct backup *b, struct err *err)
{
    struct buf text;
    if (syncfs(b->folder_fd) != 0)
        return err_set_errno(err, errno, "cannot write %s", b->path);
    enum err_code rc = manifest_verify(&b->manifest, b->folder_fd, err);
    if (rc)
        return rc;
    buf_init(&text, MANIFEST_BYTES_MAX);
    manifest_write(&b->manifest, &text);
    rc = text.is_full ? err_set(err, ERR_LIMIT, "%s is too large", MANIFEST_NAME)
                      : file_replace_at(b->folder_fd, MANIFEST_NAME, text.data, text.len,
                                        DATABASE_MODE, err);
    buf_done(&text);
    return rc;
}

static void print_backup(const struct backup *b)
{
    char size[TERMINAL_SIZE_BYTES];
    if (!b->cli->wants_json) {
        printf("%s: the store, %zu blobs and %zu files of predictions, %s, read again and whole\n",
               b->path, b->digest_count, b->prediction_count, terminal_size(b->bytes, size));
        return;
    }
    struct buf text;
    buf_init(&text, MANIFEST_BYTES_MAX);
    manifest_write(&b->manifest, &text);
    cli_print(&text);
    buf_done(&text);
}

enum err_code cli_backup(struct cli *cli, struct err *err)
{
    struct backup b = {
        .cli = cli,
        .path = cli_arg(cli, 0),
        .folder_fd = -1,
        .arena = arena_new(REPLY_MEMORY_BYTES_MAX),
    };
    enum err_code rc = open_folder(&b, err);
    bool is_begun = rc == ERR_OK;
    if (!rc)
        rc = copy_store(&b, err);
    if (!rc)
        rc = list_blobs(&b, err);
    if (!rc)
        rc = copy_blobs(&b, err);
    if (!rc)
        rc = copy_predictions(&b, err);
    if (!rc)
        rc = seal(&b, err);
    if (!rc)
        print_backup(&b);
    else if (is_begun && !err->hint[0])
        err_hint(err, "%s is not whole and has no %s: remove it", b.path, MANIFEST_NAME);
    if (b.folder_fd >= 0)
        close(b.folder_fd);
    free(b.digests);
    manifest_done(&b.manifest);
    arena_free(b.arena);
    return rc;
}
