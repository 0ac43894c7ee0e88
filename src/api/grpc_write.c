/* grpc_write.c - a prediction as ModelInferResponse. */
#include <string.h>

#include "api/grpc_tensor.h"
#include "api/oip_reply.h"
#include "base/check.h"
#include "base/protobuf.h"
#include "base/tensor_element.h"

void grpc_put_shape(struct buf *out, uint32_t number, const int64_t *shape, int rank)
{
    if (rank == 0)
        return;
    size_t mark = pb_begin(out, number);
    for (int i = 0; i < rank; i++)
        pb_append_varint(out, (uint64_t)shape[i]);
    pb_end(out, mark);
}

static void put_raw(struct buf *out, const struct tensor *tensor)
{
    pb_put_head(out, 6, tensor_wire_bytes(tensor));
    tensor_put_wire(out, tensor);
}

static uint64_t integer_at(const struct tensor *tensor, int64_t i)
{
    const char *at = (const char *)tensor->data + (size_t)i * dtype_bytes(tensor->dtype);
    uint64_t value = 0;
    int bits = (int)dtype_bytes(tensor->dtype) * 8;
    memcpy(&value, at, dtype_bytes(tensor->dtype)); /* little-endian */
    bool is_signed = tensor->dtype >= DTYPE_I8 && tensor->dtype <= DTYPE_I64;
    return is_signed ? (uint64_t)((int64_t)(value << (64 - bits)) >> (64 - bits)) : value;
}

static void put_integers(struct buf *out, uint32_t number, const struct tensor *tensor)
{
    int64_t count = tensor_elements(tensor->shape, tensor->rank);
    size_t mark = pb_begin(out, number);
    for (int64_t i = 0; i < count; i++)
        pb_append_varint(out, integer_at(tensor, i));
    pb_end(out, mark);
}

/* The field of InferTensorContents that holds the datatype; 0: none does. */
static uint32_t contents_of(enum dtype dtype)
{
    static const uint8_t fields[DTYPE_COUNT] = {
        [DTYPE_BOOL] = 1, [DTYPE_I8] = 2,  [DTYPE_I16] = 2, [DTYPE_I32] = 2,
        [DTYPE_I64] = 3,  [DTYPE_U8] = 4,  [DTYPE_U16] = 4, [DTYPE_U32] = 4,
        [DTYPE_U64] = 5,  [DTYPE_F32] = 6, [DTYPE_F64] = 7, [DTYPE_BYTES] = 8};
    return fields[dtype];
}

static void put_typed(struct buf *out, const struct tensor *tensor)
{
    size_t count = (size_t)tensor_elements(tensor->shape, tensor->rank);
    uint32_t number = contents_of(tensor->dtype);
    size_t mark = pb_begin(out, 5);
    const struct str *texts = tensor->data;
    if (tensor->dtype == DTYPE_BYTES)
        for (size_t i = 0; i < count; i++)
            pb_put_bytes(out, number, texts[i]);
    else if (tensor->dtype == DTYPE_F32 || tensor->dtype == DTYPE_F64)
        pb_put_bytes(out, number, (struct str){tensor->data, count * dtype_bytes(tensor->dtype)});
    else
        put_integers(out, number, tensor);
    pb_end(out, mark);
}

/* Half floats have no typed form: then all outputs go raw, for the two may not be mixed. */
static bool is_raw(const struct request *req, const struct tensor *sent)
{
    const struct grpc_infer *infer = req->decoded;
    bool raw = infer->is_raw;
    for (int i = 0; i < req->out_count; i++)
        raw = raw || !contents_of(sent[i].dtype);
    return raw;
}

/* One InferParameter out of JSON; what it has no word for is left out. */
static void put_parameter(struct buf *out, struct str key, yyjson_val *value)
{
    size_t entry = pb_begin(out, 4);
    pb_put_bytes(out, 1, key);
    size_t choice = pb_begin(out, 2);
    if (yyjson_is_bool(value))
        pb_put_varint(out, 1, yyjson_get_bool(value));
    else if (yyjson_is_sint(value))
        pb_put_varint(out, 2, (uint64_t)yyjson_get_sint(value));
    else if (yyjson_is_uint(value))
        pb_put_varint(out, yyjson_get_uint(value) <= INT64_MAX ? 2 : 5, yyjson_get_uint(value));
    else if (yyjson_is_real(value))
        pb_put_f64(out, 4, yyjson_get_real(value));
    else if (yyjson_is_str(value))
        pb_put_bytes(out, 3, json_str(value));
    pb_end(out, choice);
    pb_end(out, entry);
}

/* What the model's runtime says about its answer. */
static enum err_code put_parameters(struct buf *out, const struct request *req, struct err *err)
{
    yyjson_val *root, *key, *value;
    size_t i, count;
    if (req->reply_parameters.len == 0)
        return ERR_OK;
    enum err_code rc = json_read(req->reply_parameters, req->arena, &root, err);
    if (rc)
        return rc;
    yyjson_obj_foreach(root, i, count, key, value)
    {
        put_parameter(out, json_str(key), value);
    }
    return ERR_OK;
}

enum err_code grpc_write_infer(struct request *req, struct buf *out, struct err *err)
{
    const struct grpc_infer *infer = req->decoded;
    const struct tensor *sent;
    enum err_code rc = oip_choose_tensors(&infer->oip, req, &sent, err);
    if (rc)
        return rc;
    bool raw = is_raw(req, sent);
    char version[STR_NUMBER_BYTES];
    pb_put_text(out, 1, req->loaded->model);
    pb_put_bytes(out, 2, (struct str){version, str_from_i64(req->loaded->number, version)});
    if (infer->oip.id.ptr)
        pb_put_bytes(out, 3, infer->oip.id);
    rc = put_parameters(out, req, err);
    for (int i = 0; i < req->out_count; i++) {
        const struct tensor *tensor = &sent[i];
        size_t mark = pb_begin(out, 5);
        pb_put_text(out, 1, tensor->name);
        pb_put_text(out, 2, dtype_name(tensor->dtype));
        grpc_put_shape(out, 3, tensor->shape, tensor->rank);
        if (!raw)
            put_typed(out, tensor);
        pb_end(out, mark);
    }
    for (int i = 0; raw && i < req->out_count; i++)
        put_raw(out, &sent[i]);
    if (out->is_full)
        return err_set(err, ERR_LIMIT, "the reply is larger than %zu bytes", out->bytes_max);
    return rc;
}
