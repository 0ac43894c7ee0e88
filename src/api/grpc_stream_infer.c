/* grpc_stream_infer.c - inference.GRPCInferenceService/ModelStreamInfer: predictions on one stream.
 */
#include "api/grpc.h"
#include "api/grpc_infer.h"
#include "api/grpc_tensor.h"
#include "api/handlers.h"
#include "api/stream_call.h"

static void put_response(struct buf *out, const struct call *call)
{
    const struct buf *body = &call->x->response.body;
    const struct grpc_infer *request = call->decoded;
    struct str id = request ? request->oip.id : (struct str){0};
    if (!call->rc) {
        pb_put_bytes(out, 2,
                     (struct str){body->data + GRPC_PREFIX_BYTES, body->len - GRPC_PREFIX_BYTES});
        return;
    }
    char text[ERR_MSG_BYTES + ERR_HINT_BYTES + 4];
    snprintf(text, sizeof(text), "%s%s%s", call->err.msg, call->err.hint[0] ? "; " : "",
             call->err.hint);
    pb_put_text(out, 1, text);
    size_t mark = pb_begin(out, 2); /* by its id the caller knows which one failed */
    if (id.ptr)
        pb_put_bytes(out, 3, id);
    pb_end(out, mark);
}

static void answer(const struct call *call, struct buf *out)
{
    enum http_coding coding = grpc_reply_coding(&call->x->request);
    size_t mark = grpc_begin(out);
    put_response(out, call);
    grpc_end(out, mark);
    grpc_pack(out, mark, coding, call->node->options->http_compress_bytes_min);
}

static enum err_code handle(struct call *call, struct str message, struct err *err)
{
    return grpc_predict(call, message, 0, err);
}

enum err_code grpc_model_stream_infer(struct call *call, struct err *err)
{
    static const struct stream_calls_ops ops = {grpc_stream_next, handle, answer};
    enum http_coding coding = grpc_reply_coding(&call->x->request);
    if (coding != HTTP_CODING_IDENTITY) /* each message says whether it is packed */
        http_add_header(&call->x->response, "grpc-encoding", grpc_coding_name(coding));
    return stream_calls_begin(call, &ops, err);
}
