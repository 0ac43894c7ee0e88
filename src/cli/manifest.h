/* manifest.h - backup.json: what is in a backup folder, each file by size and SHA-256.
 *
 *     {"format": 1, "program": "0.1.0", "created_at": "...", "files": [
 *       {"path": "slipway.db", "bytes": 65536, "sha256": "..."},
 *       {"path": "blobs/ab/ab12...", "bytes": 123, "sha256": "ab12..."},
 *       {"path": "predictions/0000000001.seg", "bytes": 4096, "sha256": "..."},
 *       {"path": "predictions/secret", "bytes": 32, "sha256": "..."}]}
 *
 * It is written last, so a folder that has one was complete. A path is one of the forms above
 * and nothing else, whatever the file says.
 */
#ifndef SLIPWAY_CLI_MANIFEST_H
#define SLIPWAY_CLI_MANIFEST_H

#include "base/hash.h"
#include "base/json.h"

enum {
    MANIFEST_FORMAT = 1,
    MANIFEST_BYTES_MAX = 1024 * 1024 * 1024,
    MANIFEST_FILES_MAX = 4 * 1000 * 1000,
    MANIFEST_PATH_BYTES = 80, /* "blobs/ab/" and 64 digits */
};

#define MANIFEST_NAME "backup.json"
#define MANIFEST_DATABASE "slipway.db"
#define MANIFEST_PREDICTIONS "predictions/"

struct manifest_file {
    char path[MANIFEST_PATH_BYTES];
    uint64_t bytes;
    char sha256[SHA256_HEX_BYTES + 1];
};

struct manifest {
    struct manifest_file *files; /* owned; [count] */
    size_t count, capacity;
    char created_at[32];
};

void manifest_done(struct manifest *manifest);
void manifest_add(struct manifest *manifest, const char *path, uint64_t bytes, const char *sha256);

/* "blobs/ab/ab12..." of a digest. `out` has MANIFEST_PATH_BYTES. */
void manifest_blob_path(const char *sha256, char *out);

void manifest_write(const struct manifest *manifest, struct buf *out);

/* ERR_INVALID when it is not such a manifest or names a path of another form. */
enum err_code manifest_read(struct str text, struct manifest *manifest, struct err *err);

/* Read every file below the folder again and compare size and digest; the first that differs. */
enum err_code manifest_verify(const struct manifest *manifest, int folder_fd, struct err *err);

#endif
