/* remote_request.c - tensors and parameters -> JSON and bytes. */
#include "runtime/remote_request.h"

#include <math.h>

#include "base/check.h"
#include "base/tensor_element.h"

enum { IN_PLACE_BYTES_MIN = 16 * 1024 /* smaller tensors are copied behind the JSON */ };

struct writer {
    const struct remote_settings *settings;
    const struct runtime_call *call;
    struct buf *text;
    struct str *pieces; /* ptr NULL: a part of text, in order */
    int piece_count;
    size_t cut; /* text up to here is in pieces */
};

/* ---- tensors in JSON ---- */

/* What JSON has no number for is told as every reader of ours understands it, and Python's. */
static bool put_special(struct buf *out, double value)
{
    if (isfinite(value))
        return false;
    if (isnan(value))
        buf_lit(out, "null");
    else if (value > 0)
        buf_lit(out, "\"Infinity\"");
    else
        buf_lit(out, "\"-Infinity\"");
    return true;
}

static void put_element(struct buf *out, const struct tensor *tensor, int64_t i)
{
    switch (tensor->dtype) {
    case DTYPE_BOOL:
        buf_text(out, ((const uint8_t *)tensor->data)[i] ? "true" : "false");
        break;
    case DTYPE_F32:
        if (!put_special(out, (double)((const float *)tensor->data)[i]))
            buf_f32(out, ((const float *)tensor->data)[i]);
        break;
    case DTYPE_F64:
        if (!put_special(out, ((const double *)tensor->data)[i]))
            buf_f64(out, ((const double *)tensor->data)[i]);
        break;
    case DTYPE_U64:
        buf_u64(out, ((const uint64_t *)tensor->data)[i]);
        break;
    case DTYPE_I64:
        buf_i64(out, ((const int64_t *)tensor->data)[i]);
        break;
    case DTYPE_BYTES:
        buf_json_str(out, ((const struct str *)tensor->data)[i]);
        break;
    default:
        buf_i64(out, (int64_t)tensor_f64_at(tensor->data, tensor->dtype, i));
    }
}

static void put_data(struct buf *out, const struct tensor *tensor)
{
    int64_t count = tensor_elements(tensor->shape, tensor->rank);
    buf_lit(out, ",\"data\":[");
    for (int64_t i = 0; i < count && !out->is_full; i++) {
        if (i)
            buf_char(out, ',');
        put_element(out, tensor, i);
    }
    buf_lit(out, "]}");
}

/* Texts that JSON cannot say would arrive as others. */
static enum err_code check_texts(const struct writer *w, struct err *err)
{
    for (int k = 0; w->settings->protocol == REMOTE_HTTP && k < w->call->in_count; k++) {
        const struct tensor *in = &w->call->in[k];
        const struct str *texts = in->data;
        int64_t count =
            in->data && in->dtype == DTYPE_BYTES ? tensor_elements(in->shape, in->rank) : 0;
        for (int64_t i = 0; i < count; i++)
            if (!str_is_utf8(texts[i]))
                return err_set(err, ERR_INVALID,
                               "input '%s': element %lld is no UTF-8, which the JSON that its "
                               "endpoint takes cannot say",
                               in->name, (long long)i);
    }
    return ERR_OK;
}

/* ---- the JSON ---- */

static void put_input(struct writer *w, const struct tensor *in)
{
    struct buf *out = w->text;
    buf_lit(out, "{\"name\":");
    buf_json_str(out, str_of(in->name));
    buf_lit(out, ",\"datatype\":\"");
    buf_text(out, dtype_name(in->dtype));
    buf_lit(out, "\",\"shape\":[");
    for (int i = 0; i < in->rank; i++) {
        if (i)
            buf_char(out, ',');
        buf_i64(out, in->shape[i]);
    }
    buf_char(out, ']');
    if (w->settings->protocol == REMOTE_HTTP) {
        put_data(out, in);
        return;
    }
    buf_lit(out, ",\"parameters\":{\"binary_data_size\":");
    buf_u64(out, tensor_wire_bytes(in));
    buf_lit(out, "}}");
}

static void put_inputs(struct writer *w)
{
    bool is_first = true;
    buf_lit(w->text, ",\"inputs\":[");
    for (int i = 0; i < w->call->in_count; i++) {
        if (!w->call->in[i].data)
            continue;
        if (!is_first)
            buf_char(w->text, ',');
        put_input(w, &w->call->in[i]);
        is_first = false;
    }
    buf_char(w->text, ']');
}

static void put_outputs(struct writer *w)
{
    const struct signature *sig = &w->settings->signature;
    bool is_first = true;
    buf_lit(w->text, ",\"outputs\":[");
    for (int i = 0; i < sig->output_count; i++) {
        if (w->call->wanted && !w->call->wanted[i])
            continue;
        if (!is_first)
            buf_char(w->text, ',');
        buf_lit(w->text, "{\"name\":");
        buf_json_str(w->text, str_of(sig->outputs[i].name));
        if (w->settings->protocol == REMOTE_HTTP_BINARY)
            buf_lit(w->text, ",\"parameters\":{\"binary_data\":true}");
        buf_char(w->text, '}');
        is_first = false;
    }
    buf_char(w->text, ']');
}

/* The caller's, and how long there is. */
static void put_parameters(struct writer *w, int64_t timeout_us)
{
    struct str given = w->call->parameters;
    buf_lit(w->text, "\"parameters\":{\"timeout\":");
    buf_i64(w->text, timeout_us);
    if (given.len > 2) { /* more than {} */
        buf_char(w->text, ',');
        buf_append(w->text, given.ptr + 1, given.len - 2);
    }
    buf_char(w->text, '}');
}

static void put_json(struct writer *w, int64_t timeout_us)
{
    buf_char(w->text, '{');
    if (w->call->request_id.len) {
        buf_lit(w->text, "\"id\":");
        buf_json_str(w->text, w->call->request_id);
        buf_char(w->text, ',');
    }
    put_parameters(w, timeout_us);
    put_inputs(w);
    put_outputs(w);
    buf_char(w->text, '}');
}

/* ---- the bytes ---- */

static void cut_text(struct writer *w)
{
    if (w->text->len > w->cut)
        w->pieces[w->piece_count++] = (struct str){NULL, w->text->len - w->cut};
    w->cut = w->text->len;
}

static void put_bytes(struct writer *w, const struct tensor *in)
{
    size_t bytes = tensor_wire_bytes(in);
    if (in->dtype == DTYPE_BYTES || bytes < IN_PLACE_BYTES_MIN) {
        tensor_put_wire(w->text, in);
        return;
    }
    cut_text(w);
    w->pieces[w->piece_count++] = (struct str){in->data, bytes};
}

static void point_at_text(struct writer *w)
{
    const char *at = w->text->data;
    for (int i = 0; i < w->piece_count; i++) {
        if (w->pieces[i].ptr)
            continue;
        w->pieces[i].ptr = at;
        at += w->pieces[i].len;
    }
}

static enum err_code check_sizes(const struct writer *w, struct err *err)
{
    for (int i = 0; i < w->call->in_count; i++)
        if (w->call->in[i].data && tensor_wire_bytes(&w->call->in[i]) == SIZE_MAX)
            return err_set(err, ERR_LIMIT, "input '%s' has an element of 4 GiB or more",
                           w->call->in[i].name);
    return check_texts(w, err);
}

enum err_code remote_request_write(const struct remote_settings *settings,
                                   const struct runtime_call *call, int64_t timeout_us,
                                   struct remote_request *request, struct err *err)
{
    struct writer w = {.settings = settings, .call = call, .text = request->text};
    w.pieces = arena_calloc(call->arena, 2 * (size_t)call->in_count + 1, sizeof(*w.pieces));
    if (!w.pieces)
        return err_set(err, ERR_LIMIT, "the request does not fit its memory");
    enum err_code rc = check_sizes(&w, err);
    if (rc)
        return rc;
    buf_clear(w.text);
    put_json(&w, timeout_us);
    request->json_bytes = w.text->len;
    request->is_binary = settings->protocol == REMOTE_HTTP_BINARY;
    for (int i = 0; request->is_binary && i < call->in_count; i++)
        if (call->in[i].data)
            put_bytes(&w, &call->in[i]);
    cut_text(&w);
    if (w.text->is_full)
        return err_set(err, ERR_LIMIT, "the request to the endpoint is larger than %zu bytes",
                       w.text->bytes_max);
    point_at_text(&w);
    request->pieces = w.pieces;
    request->piece_count = w.piece_count;
    return ERR_OK;
}
