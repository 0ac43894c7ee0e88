/* blob.h - artifacts by SHA-256: written once, never changed, found by digest.
 *
 * The folder form keeps blobs/ab/abcdef... with mode 0400, written as temporary file, fsync,
 * rename, fsync of the folder. Digests are the only names; nobody's path is ever used.
 */
#ifndef SLIPWAY_STORE_BLOB_H
#define SLIPWAY_STORE_BLOB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"

struct blob_store;

struct blob_digest {
    char hex[SHA256_HEX_BYTES + 1];
};

struct blob_ops {
    const char *name; /* "dir", later "s3" */
    enum err_code (*open)(const char *where, struct blob_store **blobs, struct err *err);
    void (*close)(struct blob_store *blobs);

    /* Remove temporary files left by a crash; only for who owns the place (folder_lock). */
    void (*clean)(struct blob_store *blobs);

    /* Durable and found under its digest after ERR_OK; ERR_DISK_FULL leaves nothing. Putting what
     * is there already is fine: it counts as modified now, and is written anew when damaged. */
    enum err_code (*put)(struct blob_store *blobs, const void *bytes, size_t size,
                         struct blob_digest *digest, struct err *err);

    /* All bytes, read-only, digest verified (ERR_IO naming the blob when it does not match);
     * mapped or allocated, given back with `release`. ERR_NOT_FOUND. */
    enum err_code (*get)(struct blob_store *blobs, const struct blob_digest *digest,
                         const void **bytes, size_t *size, struct err *err);
    void (*release)(struct blob_store *blobs, const void *bytes, size_t size);

    enum err_code (*stat)(struct blob_store *blobs, const struct blob_digest *digest,
                          uint64_t *size, struct err *err);

    /* As stat, and the blob counts as put now: whoever is about to name it in a version calls this
     * first, and a collection of unused blobs that is under way lets it be. */
    enum err_code (*keep)(struct blob_store *blobs, const struct blob_digest *digest,
                          uint64_t *size, struct err *err);

    /* Only when it was last put before `before_us`, else ERR_CONFLICT; no put or keep comes in
     * between. INT64_MAX: in any case. */
    enum err_code (*remove)(struct blob_store *blobs, const struct blob_digest *digest,
                            int64_t before_us, struct err *err);

    /* Every blob: digest, size, when it was last put. `fn` may remove it; an error of `fn` ends
     * the walk. */
    enum err_code (*each)(struct blob_store *blobs,
                          enum err_code (*fn)(void *arg, const struct blob_digest *digest,
                                              uint64_t size, int64_t modified_us, struct err *err),
                          void *arg, struct err *err);
};

struct blob_head {
    const struct blob_ops *ops;
};

/* Thin calls through the table; safe from several threads at once. */
enum err_code blob_open(const struct blob_ops *ops, const char *where, struct blob_store **blobs,
                        struct err *err);
void blob_close(struct blob_store *blobs); /* NULL is allowed */
void blob_clean(struct blob_store *blobs);
enum err_code blob_put(struct blob_store *blobs, const void *bytes, size_t size,
                       struct blob_digest *digest, struct err *err);
enum err_code blob_get(struct blob_store *blobs, const struct blob_digest *digest,
                       const void **bytes, size_t *size, struct err *err);
void blob_release(struct blob_store *blobs, const void *bytes, size_t size);
enum err_code blob_stat(struct blob_store *blobs, const struct blob_digest *digest, uint64_t *size,
                        struct err *err);
enum err_code blob_keep(struct blob_store *blobs, const struct blob_digest *digest, uint64_t *size,
                        struct err *err);
enum err_code blob_remove(struct blob_store *blobs, const struct blob_digest *digest,
                          struct err *err); /* in any case */
enum err_code blob_remove_older(struct blob_store *blobs, const struct blob_digest *digest,
                                int64_t before_us, struct err *err);
enum err_code blob_each(struct blob_store *blobs,
                        enum err_code (*fn)(void *arg, const struct blob_digest *digest,
                                            uint64_t size, int64_t modified_us, struct err *err),
                        void *arg, struct err *err);

/* A digest from text people or clients gave: 64 hex digits, "sha256:" in front is accepted. */
enum err_code blob_digest_parse(struct str text, struct blob_digest *digest, struct err *err);

extern const struct blob_ops blob_dir;

#endif
