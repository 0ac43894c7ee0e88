/* oip_memory.c - between the regions of a connection and the tensors of a request. */
#include "api/oip_memory.h"

#include "api/caller.h"
#include "api/regions.h"
#include "base/tensor_element.h"

/* Over TCP nobody can have handed over a descriptor. */
static enum err_code check_connection(const struct request *req, struct err *err)
{
    if (req->exchange->peer->is_unix)
        return ERR_OK;
    err_set(err, ERR_UNSUPPORTED,
            "a tensor in shared memory: who names memory makes the server read and write that of "
            "others");
    return err_hint(err,
                    "hand it over by descriptor on the server's Unix socket, or send the tensor "
                    "in the request; binary tensors are not parsed");
}

static enum err_code read_input(struct oip_input *input, struct request *req, struct err *err)
{
    const struct oip_region *region = &input->region;
    input->binary = (struct str){"", region->size}; /* only its length is looked at */
    enum err_code rc = check_connection(req, err);
    if (!rc)
        rc = oip_check_binary(input, err);
    if (!rc)
        rc = region_check(caller_regions(req->exchange), region->name, region->offset, region->size,
                          err);
    char *copy = rc ? NULL : arena_alloc(req->arena, region->size);
    if (!rc && !copy)
        rc = err_set(err, ERR_LIMIT, "input '%.*s' of %llu bytes does not fit the request's memory",
                     STR_ARG(input->name), (unsigned long long)region->size);
    if (!rc)
        rc = region_read(caller_regions(req->exchange), region->name, region->offset, copy,
                         region->size, err);
    input->binary.ptr = copy;
    return rc;
}

enum err_code oip_memory_read(struct oip_request *oip, struct request *req, struct err *err)
{
    enum err_code rc = ERR_OK;
    for (int i = 0; !rc && i < oip->input_count; i++)
        if (oip->inputs[i].region.name.ptr)
            rc = read_input(&oip->inputs[i], req, err);
    for (int i = 0; !rc && i < oip->output_count; i++) {
        const struct oip_region *region = &oip->outputs[i].region;
        if (!region->name.ptr)
            continue;
        rc = check_connection(req, err);
        if (!rc)
            rc = region_check(caller_regions(req->exchange), region->name, region->offset,
                              region->size, err);
    }
    return rc;
}

enum err_code oip_memory_write(const struct oip_output *output, const struct tensor *tensor,
                               const struct request *req, struct err *err)
{
    const struct oip_region *region = &output->region;
    size_t size = tensor_wire_bytes(tensor);
    struct buf bytes;
    if (size > region->size)
        return err_set(err, ERR_INVALID,
                       "shared memory size specified with the request for output '%s' (%llu bytes) "
                       "should be at least %zu bytes to hold the results",
                       tensor->name, (unsigned long long)region->size, size);
    buf_init(&bytes, size);
    tensor_put_wire(&bytes, tensor);
    enum err_code rc = region_write(caller_regions(req->exchange), region->name, region->offset,
                                    bytes.data, bytes.len, err);
    buf_done(&bytes);
    return rc;
}
