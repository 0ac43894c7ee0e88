/* grpc_infer.c - inference.GRPCInferenceService: predictions, one a call. */
#include "api/grpc_infer.h"
#include "api/grpc.h"
#include "api/grpc_tensor.h"
#include "api/handlers.h"
#include "api/oip_fill.h"
#include "api/routing_key.h"

/* The message was read before the model was known that it names. */
static enum err_code decode(struct request *req, struct err *err)
{
    const struct call *call = req->exchange->user;
    (void)err;
    struct grpc_infer *infer = call->decoded;
    req->decoded = infer;
    req->timeout_us = infer->timeout_us;
    return ERR_OK;
}

static struct str find_key(const struct request *req, const char *name)
{
    return routing_key_of_oip(req->decoded, name, req->arena);
}

static struct str find_parameter(const struct request *req, const char *name)
{
    const struct oip_request *oip = req->decoded;
    return oip_parameter_text(oip, name, req->arena);
}

static enum err_code fill(struct request *req, struct err *err)
{
    struct grpc_infer *infer = req->decoded;
    enum err_code rc = oip_choose_outputs(req, &infer->oip, err);
    return rc ? rc : oip_fill(&infer->oip, req, err);
}

static enum err_code encode(struct request *req, struct err *err)
{
    struct http_response *response = &req->exchange->response;
    size_t mark = grpc_begin(&response->body);
    enum err_code rc = grpc_write_infer(req, &response->body, err);
    grpc_end(&response->body, mark);
    if (!rc && req->is_large) /* this is a bulk thread; dispatch packs the others */
        grpc_pack_reply(req->exchange->user);
    return rc;
}

static const struct dialect dialect = {
    .name = "grpc",
    .decode = decode,
    .find_key = find_key,
    .find_parameter = find_parameter,
    .parameters = oip_parameters,
    .fill = fill,
    .encode = encode,
};

enum err_code grpc_predict(struct call *call, struct str message, int64_t timeout_us,
                           struct err *err)
{
    struct grpc_infer *infer = arena_alloc(call->arena, sizeof(*infer));
    if (!infer)
        return err_set(err, ERR_LIMIT, "the request does not fit its memory");
    enum err_code rc = grpc_read_infer(message, call->arena, infer, err);
    if (rc)
        return rc;
    infer->timeout_us = timeout_us;
    call->decoded = infer;
    call->params[0] = infer->model;
    call->params[1] = infer->version;
    return call_predict(call, &dialect, err);
}

enum err_code grpc_model_infer(struct call *call, struct err *err)
{
    struct str message;
    int64_t timeout_us;
    enum err_code rc = grpc_timeout(&call->x->request, &timeout_us, err);
    if (!rc)
        rc = grpc_message(call, &message, err);
    return rc ? rc : grpc_predict(call, message, timeout_us, err);
}
