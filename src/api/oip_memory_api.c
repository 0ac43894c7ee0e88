/* oip_memory_api.c - Triton's shared memory extension, by descriptor instead of by name.
 *
 * A region that is named would be one that the server opens: whoever may send a request then has it
 * read and write memory of other programs, and its own. So over TCP none can be registered, and the
 * reply says why. Over the server's Unix socket a client hands a sealed memfd over with the request
 * that registers it; regions.h. That there are none, and unregistering what is not there, are true
 * answers, which clients ask for before they begin.
 */
#include "api/caller.h"
#include "api/handlers.h"
#include "api/regions.h"

enum err_code oip_memory_status(struct call *call, struct err *err)
{
    (void)err;
    struct json_writer w = call_json(call, 200);
    regions_write(&w, caller_regions(call->x), call->params[0]);
    return ERR_OK;
}

enum err_code oip_memory_unregister(struct call *call, struct err *err)
{
    struct regions *regions = caller_regions(call->x);
    (void)err;
    if (regions)
        regions_remove(regions, call->params[0]);
    call->x->response.status = 200;
    return ERR_OK;
}

static enum err_code refuse_name(const struct call *call, struct err *err)
{
    err_set(err, ERR_UNSUPPORTED,
            "shared memory region '%.*s' is not registered: a caller that names memory makes the "
            "server read and write what belongs to others",
            STR_ARG(call->params[0]));
    return err_hint(err, "send tensors in the request; in binary form they are not parsed");
}

static enum err_code refuse_without_fd(const struct call *call, struct err *err)
{
    err_set(err, ERR_INVALID,
            "shared memory region '%.*s': no file descriptor came with the request",
            STR_ARG(call->params[0]));
    return err_hint(err, "send a sealed memfd along (SCM_RIGHTS), by HTTP/1");
}

/* {"key": "any text", "offset": 0, "byte_size": N} */
static enum err_code read_claim(struct call *call, struct region_claim *claim, struct err *err)
{
    yyjson_val *root;
    int64_t offset = 0, size = 0;
    *claim = (struct region_claim){.name = call->params[0], .key = {"", 0}};
    enum err_code rc = call_body_object(call, &root, err);
    if (!rc)
        rc = json_get_str_opt(root, "the request", "key", &claim->key, err);
    if (!rc)
        rc = json_get_i64_opt(root, "the request", "offset", &offset, err);
    if (!rc)
        rc = json_get_i64(root, "the request", "byte_size", &size, err);
    if (!rc && (offset < 0 || size < 0))
        rc = err_set(err, ERR_INVALID, "offset and byte_size must not be negative");
    claim->offset = (uint64_t)offset;
    claim->size = (uint64_t)size;
    return rc;
}

enum err_code oip_memory_register(struct call *call, struct err *err)
{
    struct region_claim claim;
    if (!call->x->peer->is_unix)
        return refuse_name(call, err);
    enum err_code rc = read_claim(call, &claim, err);
    if (rc)
        return rc; /* net closes the descriptor when another one comes, or the connection ends */
    int fd = http_take_fd(call->x);
    if (fd < 0)
        return refuse_without_fd(call, err);
    rc = regions_add(caller_need_regions(call->x), &claim, fd, err);
    if (!rc)
        call->x->response.status = 200;
    return rc;
}

/* ---- CUDA: there is none ---- */

enum err_code oip_cuda_status(struct call *call, struct err *err)
{
    (void)err;
    struct json_writer w = call_json(call, 200);
    regions_write(&w, NULL, (struct str){"", 0});
    return ERR_OK;
}

enum err_code oip_cuda_unregister(struct call *call, struct err *err)
{
    (void)err;
    call->x->response.status = 200;
    return ERR_OK;
}

enum err_code oip_cuda_register(struct call *call, struct err *err)
{
    return refuse_name(call, err);
}
