/* blob_api.c - bytes by digest: upload, presence, download. */
#include "api/handlers.h"

enum err_code blob_put_handler(struct call *call, struct err *err)
{
    struct blob_digest named, stored;
    char got[SHA256_HEX_BYTES + 1];
    struct str body = call->x->request.body;
    enum err_code rc = blob_digest_parse(call->params[0], &named, err);
    if (rc)
        return rc;
    hash_sha256_hex(body.ptr, body.len, got);
    if (strcmp(got, named.hex) != 0) {
        err_set(err, ERR_INVALID, "%zu bytes with digest %s arrived, the path says %s", body.len,
                got, named.hex);
        return err_hint(err, "the path names the SHA-256 of the body");
    }
    rc = blob_put(control_blobs(call->node->control), body.ptr, body.len, &stored, err);
    if (rc)
        return rc;
    struct json_writer w = call_json(call, 201);
    json_begin_object(&w);
    json_key(&w, "digest");
    json_put_text(&w, stored.hex);
    json_key(&w, "bytes");
    json_put_u64(&w, body.len);
    json_end_object(&w);
    return ERR_OK;
}

enum err_code blob_head_handler(struct call *call, struct err *err)
{
    struct blob_digest digest;
    uint64_t size;
    enum err_code rc = blob_digest_parse(call->params[0], &digest, err);
    return rc ? rc : blob_stat(control_blobs(call->node->control), &digest, &size, err);
}

enum err_code blob_get_handler(struct call *call, struct err *err)
{
    struct blob_digest digest;
    const void *bytes;
    size_t size;
    struct http_response *response = &call->x->response;
    enum err_code rc = blob_digest_parse(call->params[0], &digest, err);
    if (!rc)
        rc = blob_get(control_blobs(call->node->control), &digest, &bytes, &size, err);
    if (rc)
        return rc;
    response->content_type = "application/octet-stream";
    buf_append(&response->body, bytes, size);
    blob_release(control_blobs(call->node->control), bytes, size);
    if (response->body.is_full)
        return err_set(err, ERR_LIMIT, "blob %s has %zu bytes, a reply holds %zu", digest.hex, size,
                       response->body.bytes_max);
    return ERR_OK;
}
