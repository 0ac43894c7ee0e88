/* blob.c - calls through a backend's table, and digests from text. */
#include "store/blob.h"

#include "base/check.h"

static const struct blob_ops *ops_of(const struct blob_store *blobs)
{
    assert(blobs != NULL);
    return ((const struct blob_head *)(const void *)blobs)->ops;
}

enum err_code blob_open(const struct blob_ops *ops, const char *where, struct blob_store **blobs,
                        struct err *err)
{
    return ops->open(where, blobs, err);
}

void blob_close(struct blob_store *blobs)
{
    if (blobs)
        ops_of(blobs)->close(blobs);
}

void blob_clean(struct blob_store *blobs)
{
    ops_of(blobs)->clean(blobs);
}

enum err_code blob_put(struct blob_store *blobs, const void *bytes, size_t size,
                       struct blob_digest *digest, struct err *err)
{
    return ops_of(blobs)->put(blobs, bytes, size, digest, err);
}

enum err_code blob_get(struct blob_store *blobs, const struct blob_digest *digest,
                       const void **bytes, size_t *size, struct err *err)
{
    return ops_of(blobs)->get(blobs, digest, bytes, size, err);
}

void blob_release(struct blob_store *blobs, const void *bytes, size_t size)
{
    ops_of(blobs)->release(blobs, bytes, size);
}

enum err_code blob_stat(struct blob_store *blobs, const struct blob_digest *digest, uint64_t *size,
                        struct err *err)
{
    return ops_of(blobs)->stat(blobs, digest, size, err);
}

enum err_code blob_keep(struct blob_store *blobs, const struct blob_digest *digest, uint64_t *size,
                        struct err *err)
{
    return ops_of(blobs)->keep(blobs, digest, size, err);
}

enum err_code blob_remove(struct blob_store *blobs, const struct blob_digest *digest,
                          struct err *err)
{
    return ops_of(blobs)->remove(blobs, digest, INT64_MAX, err);
}

enum err_code blob_remove_older(struct blob_store *blobs, const struct blob_digest *digest,
                                int64_t before_us, struct err *err)
{
    return ops_of(blobs)->remove(blobs, digest, before_us, err);
}

enum err_code blob_each(struct blob_store *blobs,
                        enum err_code (*fn)(void *arg, const struct blob_digest *digest,
                                            uint64_t size, int64_t modified_us, struct err *err),
                        void *arg, struct err *err)
{
    return ops_of(blobs)->each(blobs, fn, arg, err);
}

enum err_code blob_digest_parse(struct str text, struct blob_digest *digest, struct err *err)
{
    struct str hex = text;
    uint8_t bytes[SHA256_BYTES];
    if (str_starts_with(hex, STR_LIT("sha256:"))) {
        hex.ptr += 7;
        hex.len -= 7;
    }
    if (hex.len != SHA256_HEX_BYTES || !str_unhex(hex, bytes, sizeof(bytes))) {
        err_set(err, ERR_INVALID, "'%.*s' is not a SHA-256 digest",
                (int)(text.len < 100 ? text.len : 100), text.ptr ? text.ptr : "");
        return err_hint(err, "64 hex digits, with or without sha256: in front");
    }
    str_hex(bytes, sizeof(bytes), digest->hex);
    digest->hex[SHA256_HEX_BYTES] = '\0';
    return ERR_OK;
}
