/* manifest.c - backup.json: what is in a backup folder, each file by size and SHA-256. */
#include "cli/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/version.h"
#include "monitor/record_store.h"

enum { READ_BYTES = 256 * 1024, MEMORY_BYTES_MAX = 1024 * 1024 * 1024 };

void manifest_done(struct manifest *manifest)
{
    free(manifest->files);
    *manifest = (struct manifest){0};
}

void manifest_add(struct manifest *manifest, const char *path, uint64_t bytes, const char *sha256)
{
    if (manifest->count == manifest->capacity) {
        manifest->capacity = manifest->capacity ? 2 * manifest->capacity : 64;
        manifest->files = realloc(manifest->files, manifest->capacity * sizeof(*manifest->files));
        if (!manifest->files)
            abort();
    }
    struct manifest_file *file = &manifest->files[manifest->count++];
    snprintf(file->path, sizeof(file->path), "%s", path);
    snprintf(file->sha256, sizeof(file->sha256), "%s", sha256);
    file->bytes = bytes;
}

void manifest_blob_path(const char *sha256, char *out)
{
    snprintf(out, MANIFEST_PATH_BYTES, "blobs/%.2s/%s", sha256, sha256);
}

void manifest_write(const struct manifest *manifest, struct buf *out)
{
    struct json_writer w = {.out = out};
    json_begin_object(&w);
    json_key(&w, "format");
    json_put_i64(&w, MANIFEST_FORMAT);
    json_key(&w, "program");
    json_put_text(&w, SLIPWAY_VERSION);
    json_key(&w, "created_at");
    json_put_time(&w, clock_wall_us());
    json_key(&w, "files");
    json_begin_array(&w);
    for (size_t i = 0; i < manifest->count; i++) {
        const struct manifest_file *file = &manifest->files[i];
        json_begin_object(&w);
        json_key(&w, "path");
        json_put_text(&w, file->path);
        json_key(&w, "bytes");
        json_put_u64(&w, file->bytes);
        json_key(&w, "sha256");
        json_put_text(&w, file->sha256);
        json_end_object(&w);
    }
    json_end_array(&w);
    json_end_object(&w);
    buf_char(out, '\n');
}

/* ---- reading ---- */

/* "secret" or a segment's name. */
static bool is_prediction_file(struct str name)
{
    char text[MANIFEST_PATH_BYTES];
    snprintf(text, sizeof(text), "%.*s", STR_ARG(name));
    return name.len < sizeof(text) &&
           (str_equal_c(name, RECORD_SECRET_NAME) || segment_number(text) > 0);
}

static bool is_path(struct str path, struct str sha256)
{
    char blob[MANIFEST_PATH_BYTES], digest[SHA256_HEX_BYTES + 1];
    if (!hash_is_sha256_hex(sha256))
        return false;
    if (str_equal_c(path, MANIFEST_DATABASE))
        return true;
    const struct str predictions = STR_LIT(MANIFEST_PREDICTIONS);
    if (str_starts_with(path, predictions))
        return is_prediction_file(
            (struct str){path.ptr + predictions.len, path.len - predictions.len});
    snprintf(digest, sizeof(digest), "%.*s", STR_ARG(sha256));
    manifest_blob_path(digest, blob);
    return str_equal_c(path, blob);
}

static enum err_code read_file(yyjson_val *object, struct manifest *manifest, struct err *err)
{
    static const char *const keys[] = {"path", "bytes", "sha256", NULL};
    struct str path, sha256;
    int64_t bytes;
    char text[MANIFEST_PATH_BYTES], digest[SHA256_HEX_BYTES + 1];
    enum err_code rc = json_check_keys(object, "a file of the backup", keys, err);
    if (!rc)
        rc = json_get_str(object, "a file of the backup", "path", &path, err);
    if (!rc)
        rc = json_get_str(object, "a file of the backup", "sha256", &sha256, err);
    if (!rc)
        rc = json_get_i64(object, "a file of the backup", "bytes", &bytes, err);
    if (rc)
        return rc;
    if (!is_path(path, sha256) || bytes < 0)
        return err_set(err, ERR_INVALID, "'%.*s' is no file that a backup has", STR_ARG(path));
    snprintf(text, sizeof(text), "%.*s", STR_ARG(path));
    snprintf(digest, sizeof(digest), "%.*s", STR_ARG(sha256));
    manifest_add(manifest, text, (uint64_t)bytes, digest);
    return ERR_OK;
}

static enum err_code read_files(yyjson_val *root, struct manifest *manifest, struct err *err)
{
    size_t i, count, databases = 0;
    yyjson_val *object, *files = yyjson_obj_get(root, "files");
    if (!yyjson_is_arr(files) || yyjson_arr_size(files) > MANIFEST_FILES_MAX)
        return err_set(err, ERR_INVALID, "'files' must be a list of at most %d",
                       MANIFEST_FILES_MAX);
    yyjson_arr_foreach(files, i, count, object)
    {
        enum err_code rc = read_file(object, manifest, err);
        if (rc)
            return rc;
        databases += strcmp(manifest->files[i].path, MANIFEST_DATABASE) == 0;
    }
    return databases == 1
               ? ERR_OK
               : err_set(err, ERR_INVALID, "it names %s %zu times", MANIFEST_DATABASE, databases);
}

static enum err_code read_root(yyjson_val *root, struct manifest *manifest, struct err *err)
{
    int64_t format = 0;
    struct str created = STR_LIT("");
    enum err_code rc = ERR_OK;
    if (!yyjson_is_obj(root))
        rc = err_set(err, ERR_INVALID, "it must be a JSON object");
    if (!rc)
        rc = json_get_i64(root, "it", "format", &format, err);
    if (!rc && format != MANIFEST_FORMAT)
        rc = err_set(err, ERR_UNSUPPORTED, "it has format %lld, this program reads %d",
                     (long long)format, MANIFEST_FORMAT);
    if (!rc)
        rc = json_get_str_opt(root, "it", "created_at", &created, err);
    snprintf(manifest->created_at, sizeof(manifest->created_at), "%.*s", STR_ARG(created));
    return rc ? rc : read_files(root, manifest, err);
}

enum err_code manifest_read(struct str text, struct manifest *manifest, struct err *err)
{
    yyjson_val *root;
    struct arena *arena = arena_new(MEMORY_BYTES_MAX);
    struct manifest read = {0};
    enum err_code rc = json_read_strict(text, arena, &root, err);
    if (!rc)
        rc = read_root(root, &read, err);
    arena_free(arena);
    if (rc) {
        manifest_done(&read);
        return err_wrap(err, "%s", MANIFEST_NAME);
    }
    *manifest = read;
    return ERR_OK;
}

/* ---- verifying ---- */

static enum err_code digest_file(int fd, const char *path, uint64_t *bytes, char *hex,
                                 struct err *err)
{
    uint8_t digest[SHA256_BYTES];
    struct hash_sha256 *state = hash_sha256_new();
    char *chunk = malloc(READ_BYTES);
    ssize_t got;
    if (!chunk)
        abort();
    *bytes = 0;
    while ((got = read(fd, chunk, READ_BYTES)) > 0 || (got < 0 && errno == EINTR)) {
        if (got < 0)
            continue;
        hash_sha256_add(state, chunk, (size_t)got);
        *bytes += (uint64_t)got;
    }
    enum err_code rc = got < 0 ? err_set_errno(err, errno, "cannot read %s", path) : ERR_OK;
    hash_sha256_end(state, digest);
    str_hex(digest, sizeof(digest), hex);
    hex[SHA256_HEX_BYTES] = '\0';
    free(chunk);
    return rc;
}

static enum err_code verify_file(const struct manifest_file *file, int folder_fd, struct err *err)
{
    uint64_t bytes = 0;
    char hex[SHA256_HEX_BYTES + 1];
    int fd = openat(folder_fd, file->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot read %s", file->path);
    enum err_code rc = digest_file(fd, file->path, &bytes, hex, err);
    close(fd);
    if (rc)
        return rc;
    if (bytes != file->bytes)
        return err_set(err, ERR_IO, "%s has %llu bytes, %s says %llu", file->path,
                       (unsigned long long)bytes, MANIFEST_NAME, (unsigned long long)file->bytes);
    if (strcmp(hex, file->sha256) != 0)
        return err_set(err, ERR_IO, "%s is damaged: its SHA-256 is %s, not %s", file->path, hex,
                       file->sha256);
    return ERR_OK;
}

enum err_code manifest_verify(const struct manifest *manifest, int folder_fd, struct err *err)
{
    for (size_t i = 0; i < manifest->count; i++) {
        enum err_code rc = verify_file(&manifest->files[i], folder_fd, err);
        if (rc)
            return rc;
    }
    return ERR_OK;
}
