/* oip_reply.c - tensors -> JSON and, behind it, the bytes of those that are to be binary. */
#include "api/oip_reply.h"

#include "api/oip_classes.h"
#include "api/oip_memory.h"
#include "api/tensor_json.h"
#include "base/check.h"
#include "base/tensor_element.h"

static const struct oip_output *asked_for(const struct oip_request *oip, const struct tensor *out)
{
    for (int i = 0; i < oip->output_count; i++)
        if (str_equal_c(oip->outputs[i].name, out->name))
            return &oip->outputs[i];
    return NULL;
}

static bool is_binary(const struct oip_request *oip, const struct tensor *out)
{
    const struct oip_output *asked = asked_for(oip, out);
    return asked ? asked->is_binary || asked->region.name.ptr : oip->is_binary_default;
}

/* Where the output goes instead of the reply; NULL: into the reply. */
static const struct oip_output *in_memory(const struct oip_request *oip, const struct tensor *out)
{
    const struct oip_output *asked = asked_for(oip, out);
    return asked && asked->region.name.ptr ? asked : NULL;
}

/* ---- JSON ---- */

static void write_shape(struct buf *body, const int64_t *shape, int rank)
{
    for (int i = 0; i < rank; i++) {
        if (i)
            buf_char(body, ',');
        buf_i64(body, shape[i]);
    }
}

static void write_region(struct buf *body, const struct oip_region *region,
                         const struct tensor *out)
{
    buf_lit(body, "],\"parameters\":{\"shared_memory_region\":");
    buf_json_str(body, region->name);
    buf_lit(body, ",\"shared_memory_offset\":");
    buf_u64(body, region->offset);
    buf_lit(body, ",\"shared_memory_byte_size\":");
    buf_u64(body, tensor_wire_bytes(out));
    buf_lit(body, "}}");
}

static void write_output(struct buf *body, const struct tensor *out, bool binary,
                         const struct oip_output *memory, enum nan_policy nan)
{
    buf_lit(body, "{\"name\":");
    buf_json_str(body, str_of(out->name));
    buf_lit(body, ",\"datatype\":\"");
    buf_text(body, dtype_name(out->dtype));
    buf_lit(body, "\",\"shape\":[");
    write_shape(body, out->shape, out->rank);
    if (memory) {
        write_region(body, &memory->region, out);
        return;
    }
    if (binary) {
        buf_lit(body, "],\"parameters\":{\"binary_data_size\":");
        buf_u64(body, tensor_wire_bytes(out));
        buf_lit(body, "}}");
        return;
    }
    buf_lit(body, "],\"data\":[");
    tensor_put_flat(body, out, nan);
    buf_lit(body, "]}");
}

/* ---- what cannot be said ---- */

static enum err_code check_json(const struct tensor *out, struct err *err)
{
    const struct str *texts = out->data;
    int64_t count = tensor_elements(out->shape, out->rank);
    if (out->dtype == DTYPE_F16 || out->dtype == DTYPE_BF16)
        return err_set(err, ERR_INVALID,
                       "sending %s data via JSON is not supported. Please use the binary data "
                       "format for output '%s'",
                       dtype_name(out->dtype), out->name);
    for (int64_t i = 0; out->dtype == DTYPE_BYTES && i < count; i++) {
        if (str_is_utf8(texts[i]))
            continue;
        err_set(err, ERR_INVALID, "output '%s': element %lld is no UTF-8, which JSON cannot say",
                out->name, (long long)i);
        return err_hint(err, "ask for it with the output parameter binary_data: true");
    }
    return ERR_OK;
}

static enum err_code check_output(const struct tensor *out, bool binary, enum nan_policy nan,
                                  struct err *err)
{
    if (out->dtype == DTYPE_BYTES && tensor_wire_bytes(out) == SIZE_MAX)
        return err_set(err, ERR_LIMIT, "output '%s' has an element of 4 GiB or more", out->name);
    enum err_code rc = binary ? ERR_OK : check_json(out, err);
    return !rc && nan == NAN_REJECT ? nan_check(out, err) : rc;
}

/* Nothing of it can go wrong for a float in JSON. */
static bool is_plain(const struct tensor *out, enum nan_policy nan)
{
    return out->dtype == DTYPE_F32 && nan != NAN_REJECT;
}

/* ---- the reply ---- */

static void append_blobs(struct request *req, const struct oip_request *oip,
                         const struct tensor *sent)
{
    struct http_response *response = &req->exchange->response;
    char length[STR_NUMBER_BYTES];
    size_t digits = str_from_u64(response->body.len, length);
    http_add_header(response, "Inference-Header-Content-Length", (struct str){length, digits});
    response->content_type = "application/octet-stream";
    for (int i = 0; i < req->out_count; i++)
        if (is_binary(oip, &sent[i]) && !in_memory(oip, &sent[i]))
            tensor_put_wire(&response->body, &sent[i]);
}

static void write_head(struct buf *body, const struct oip_request *oip, const struct request *req)
{
    buf_lit(body, "{\"model_name\":\"");
    buf_text(body, req->loaded->model);
    buf_lit(body, "\",\"model_version\":\"");
    buf_i64(body, req->loaded->number);
    buf_char(body, '"');
    if (oip->id.ptr) {
        buf_lit(body, ",\"id\":");
        buf_json_str(body, oip->id);
    }
    if (req->reply_parameters.len) {
        buf_lit(body, ",\"parameters\":");
        buf_str(body, req->reply_parameters);
    }
    buf_lit(body, ",\"outputs\":[");
}

static enum err_code classify(const struct oip_request *oip, const struct request *req,
                              const struct tensor **sent, struct err *err)
{
    struct tensor *copies = NULL;
    enum err_code rc = ERR_OK;
    *sent = req->out;
    for (int i = 0; oip->output_count && !rc && i < req->out_count; i++) {
        const struct oip_output *asked = asked_for(oip, &req->out[i]);
        if (!asked || !asked->class_count)
            continue;
        if (!copies) {
            copies = arena_calloc(req->arena, (size_t)req->out_count, sizeof(*copies));
            if (!copies)
                return err_set(err, ERR_LIMIT, "the request does not fit its memory");
            memcpy(copies, req->out, (size_t)req->out_count * sizeof(*copies));
            *sent = copies;
        }
        rc = oip_classify(req, &req->out[i], asked->class_count, &copies[i], err);
    }
    return rc;
}

static enum err_code check_outputs(const struct oip_request *oip, const struct request *req,
                                   const struct tensor *sent, struct err *err)
{
    enum nan_policy nan = req->endpoint->serving->nan;
    enum err_code rc = ERR_OK;
    for (int i = 0; !rc && i < req->out_count; i++)
        if (!is_plain(&sent[i], nan))
            rc = check_output(&sent[i], is_binary(oip, &sent[i]), nan, err);
    return rc;
}

enum err_code oip_choose_tensors(const struct oip_request *oip, const struct request *req,
                                 const struct tensor **sent, struct err *err)
{
    enum err_code rc = classify(oip, req, sent, err);
    return rc ? rc : check_outputs(oip, req, *sent, err);
}

enum err_code oip_reply(const struct oip_request *oip, struct request *req, struct err *err)
{
    struct buf *body = &req->exchange->response.body;
    const struct tensor *sent;
    bool has_binary = false;
    enum err_code rc = oip_choose_tensors(oip, req, &sent, err);
    if (rc)
        return rc;
    req->exchange->response.content_type = "application/json";
    write_head(body, oip, req);
    for (int i = 0; i < req->out_count; i++) {
        const struct oip_output *memory = in_memory(oip, &sent[i]);
        bool binary = is_binary(oip, &sent[i]);
        if (i)
            buf_char(body, ',');
        rc = memory ? oip_memory_write(memory, &sent[i], req, err) : ERR_OK;
        if (rc)
            return rc;
        write_output(body, &sent[i], binary, memory, req->endpoint->serving->nan);
        has_binary = has_binary || (binary && !memory);
    }
    buf_lit(body, "]}");
    if (has_binary)
        append_blobs(req, oip, sent);
    if (body->is_full)
        return err_set(err, ERR_LIMIT, "the reply is larger than %zu bytes", body->bytes_max);
    return ERR_OK;
}
