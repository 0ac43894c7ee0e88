/* oip_tensors.c - inputs held against the signature of a model, then read. */
#include "api/oip_tensors.h"

#include <stdio.h>

#include "api/oip_elements.h"
#include "base/check.h"

enum { NAMES_BYTES = 160 };

/* ---- which inputs ---- */

/* The place of an input by name; clients mostly send them in the order of the metadata. */
static int place_of(const struct signature *sig, struct str name, int guess)
{
    if (guess < sig->input_count && str_equal_c(name, sig->inputs[guess].name))
        return guess;
    for (int i = 0; i < sig->input_count; i++)
        if (str_equal_c(name, sig->inputs[i].name))
            return i;
    return -1;
}

/* "'a','b',..." cut where the room ends. */
static void add_name(char *names, struct str name)
{
    size_t at = strlen(names);
    if (at && at + 6 < NAMES_BYTES)
        names[at++] = ',';
    if (at + name.len + 6 < NAMES_BYTES)
        snprintf(names + at, NAMES_BYTES - at, "'%.*s'", STR_ARG(name));
    else if (at + 4 < NAMES_BYTES && !str_ends_with((struct str){names, at}, STR_LIT("...")))
        snprintf(names + at, NAMES_BYTES - at, "...");
    else
        names[at] = '\0';
}

static enum err_code missing_inputs(const struct oip_request *oip, const struct request *req,
                                    const struct oip_input *const *given, struct err *err)
{
    const struct signature *sig = req->loaded->signature;
    char got[NAMES_BYTES] = "", missing[NAMES_BYTES] = "";
    for (int i = 0; i < oip->input_count; i++)
        add_name(got, oip->inputs[i].name);
    for (int i = 0; i < sig->input_count; i++)
        if (!given[i] && !sig->inputs[i].is_optional)
            add_name(missing, str_of(sig->inputs[i].name));
    err_set(err, ERR_INVALID,
            "expected %d inputs but got %d inputs for model '%s'. Got input(s) [%s], but missing "
            "required input(s) [%s]. Please provide all required input(s).",
            sig->input_count, oip->input_count, req->loaded->model, got, missing);
    return err_hint(err, "see GET /v2/models/%s", req->loaded->model);
}

/* given[i]: the request's input for the signature's i-th; NULL: it was not sent. */
static enum err_code match_inputs(const struct oip_request *oip, const struct request *req,
                                  const struct oip_input **given, struct err *err)
{
    const struct signature *sig = req->loaded->signature;
    struct str unknown = {0};
    for (int i = 0; i < oip->input_count; i++) {
        int place = place_of(sig, oip->inputs[i].name, i);
        if (place < 0)
            unknown = oip->inputs[i].name;
        else if (given[place])
            return err_set(err, ERR_INVALID, "input '%s' already exists in request",
                           sig->inputs[place].name);
        else
            given[place] = &oip->inputs[i];
    }
    for (int i = 0; i < sig->input_count; i++)
        if (!given[i] && !sig->inputs[i].is_optional)
            return missing_inputs(oip, req, given, err);
    if (!unknown.ptr)
        return ERR_OK;
    err_set(err, ERR_INVALID, "unexpected inference input '%.*s' for model '%s'", STR_ARG(unknown),
            req->loaded->model);
    return err_hint(err, "see GET /v2/models/%s", req->loaded->model);
}

/* ---- what they look like ---- */

static bool shape_fits(const struct signature_tensor *expected, const struct oip_input *input)
{
    if (expected->rank != input->rank)
        return false;
    for (int i = 0; i < input->rank; i++)
        if (expected->shape[i] >= 0 && expected->shape[i] != input->shape[i])
            return false;
    return true;
}

static enum err_code check_input(const struct request *req, const struct signature_tensor *expected,
                                 const struct oip_input *input, struct err *err)
{
    char want[OIP_SHAPE_BYTES], got[OIP_SHAPE_BYTES];
    bool is_wider = expected->takes_f64 && input->dtype == DTYPE_F64;
    if (input->dtype != expected->dtype && !is_wider)
        return err_set(err, ERR_INVALID,
                       "inference input '%s' data-type is '%s', but model '%s' expects '%s'",
                       expected->name, dtype_name(input->dtype), req->loaded->model,
                       dtype_name(expected->dtype));
    if (shape_fits(expected, input))
        return ERR_OK;
    return err_set(
        err, ERR_INVALID, "unexpected shape for input '%s' for model '%s'. Expected %s, got %s.",
        expected->name, req->loaded->model, oip_shape_text(expected->shape, expected->rank, want),
        oip_shape_text(input->shape, input->rank, got));
}

enum err_code oip_check_rows(const struct request *req, int64_t count, struct err *err)
{
    int rows_max = req->loaded->signature->batch_rows_max;
    if (rows_max && count > rows_max)
        return err_set(err, ERR_LIMIT, "inference request batch-size must be <= %d for '%s'",
                       rows_max, req->loaded->model);
    if (count > req->thread->predict_rows_max)
        return err_set(err, ERR_LIMIT, "%lld rows in one request, at most %lld are taken",
                       (long long)count, (long long)req->thread->predict_rows_max);
    return ERR_OK;
}

/* The model joins requests along the first dimension of those inputs where it may be any size. */
static bool has_batch(const struct signature *sig, int i)
{
    return sig->batch_rows_max > 0 && sig->inputs[i].rank > 0 && sig->inputs[i].shape[0] < 0;
}

static enum err_code check_batch(struct request *req, const struct oip_input *const *given,
                                 struct err *err)
{
    const struct signature *sig = req->loaded->signature;
    const struct oip_input *first = NULL;
    for (int i = 0; i < sig->input_count; i++) {
        if (!given[i] || !has_batch(sig, i))
            continue;
        first = first ? first : given[i];
        if (given[i]->shape[0] != first->shape[0])
            return err_set(err, ERR_INVALID,
                           "input '%s' batch size does not match other inputs for '%s': expected "
                           "%lld, got %lld",
                           sig->inputs[i].name, req->loaded->model, (long long)first->shape[0],
                           (long long)given[i]->shape[0]);
    }
    req->row_count = first ? first->shape[0] : 1;
    if (req->row_count == 0)
        return err_set(err, ERR_INVALID, "input '%.*s' has no rows: nothing to predict",
                       STR_ARG(first->name));
    return first ? oip_check_rows(req, req->row_count, err) : ERR_OK;
}

/* ---- reading ---- */

static enum err_code read_inputs(struct request *req, const struct oip_input *const *given,
                                 struct tensor *in, struct err *err)
{
    const struct signature *sig = req->loaded->signature;
    for (int i = 0; i < sig->input_count; i++) {
        in[i] = (struct tensor){.name = sig->inputs[i].name, .dtype = sig->inputs[i].dtype};
        if (!given[i])
            continue;
        in[i].dtype = given[i]->dtype;
        enum err_code rc = oip_read_tensor(given[i], req->arena, &in[i], err);
        if (rc)
            return rc;
    }
    return ERR_OK;
}

enum err_code oip_fill_tensors(const struct oip_request *oip, struct request *req, struct err *err)
{
    size_t count = (size_t)req->loaded->signature->input_count;
    const struct oip_input **given = arena_calloc(req->arena, count, sizeof(const void *));
    struct tensor *in = arena_calloc(req->arena, count, sizeof(*in));
    if (!given || !in)
        return err_set(err, ERR_LIMIT, "the request does not fit its memory");
    enum err_code rc = match_inputs(oip, req, given, err);
    for (size_t i = 0; !rc && i < count; i++)
        if (given[i])
            rc = check_input(req, &req->loaded->signature->inputs[i], given[i], err);
    if (!rc)
        rc = check_batch(req, given, err);
    if (!rc)
        rc = read_inputs(req, given, in, err);
    if (rc)
        return rc;
    req->in = in;
    req->in_count = (int)count;
    return ERR_OK;
}

/* ---- a body that is the tensor ---- */

static const struct signature_tensor *only_input(const struct loaded *loaded)
{
    const struct signature *sig = loaded->signature;
    if (loaded->matrix)
        return loaded->matrix;
    return sig->input_count == 1 && !loaded->contract ? sig->inputs : NULL;
}

/* The dimension that the number of bytes decides: the one that varies, the batch last; -1: none,
 * -2: several. */
static int open_dimension(const struct signature_tensor *input, bool is_batched)
{
    int open = -1;
    for (int i = is_batched; i < input->rank; i++)
        if (input->shape[i] < 0)
            open = open == -1 ? i : -2;
    return open == -1 && is_batched ? 0 : open;
}

static enum err_code shape_raw(struct oip_input *input, const struct signature_tensor *expected,
                               bool is_batched, struct err *err)
{
    int open = open_dimension(expected, is_batched);
    size_t width = input->dtype == DTYPE_BYTES ? 0 : dtype_bytes(input->dtype);
    if (open == -2)
        return err_set(err, ERR_INVALID,
                       "a raw request needs at most one variable dimension, input "
                       "'%s' has several",
                       expected->name);
    input->rank = expected->rank;
    memcpy(input->shape, expected->shape, sizeof(input->shape));
    for (int i = 0; i < input->rank; i++)
        input->shape[i] = input->shape[i] < 0 ? 1 : input->shape[i];
    input->element_count = tensor_elements(input->shape, input->rank);
    if (width == 0)
        return input->element_count == 1
                   ? ERR_OK
                   : err_set(err, ERR_INVALID,
                             "a raw request of BYTES is one element, input '%s' "
                             "has more",
                             expected->name);
    size_t unit = (size_t)input->element_count * width;
    if (open >= 0 && unit && input->binary.len % unit == 0) {
        input->shape[open] = (int64_t)(input->binary.len / unit);
        input->element_count = tensor_elements(input->shape, input->rank);
    }
    if (input->element_count < 0 || (size_t)input->element_count * width != input->binary.len)
        return err_set(err, ERR_INVALID,
                       "input byte size mismatch for input '%s': a multiple of %zu expected, got "
                       "%zu",
                       expected->name, unit, input->binary.len);
    return ERR_OK;
}

/* As on the wire: its length in front. */
static enum err_code wrap_text(struct oip_input *input, struct arena *arena, struct err *err)
{
    uint32_t length = (uint32_t)input->binary.len;
    char *copy = arena_alloc(arena, sizeof(length) + length);
    if (!copy || input->binary.len > UINT32_MAX)
        return err_set(err, ERR_LIMIT, "the request does not fit its memory");
    memcpy(copy, &length, sizeof(length));
    if (length)
        memcpy(copy + sizeof(length), input->binary.ptr, length);
    input->binary = (struct str){copy, sizeof(length) + length};
    return ERR_OK;
}

enum err_code oip_name_raw(struct oip_request *oip, const struct request *req, struct err *err)
{
    const struct signature_tensor *expected = only_input(req->loaded);
    struct oip_input *input = oip->inputs;
    if (!expected) {
        err_set(err, ERR_INVALID, "a raw request needs a model with one input, '%s' has several",
                req->loaded->model);
        return err_hint(err, "Inference-Header-Content-Length 0 says that the body is the tensor");
    }
    input->name = str_of(expected->name);
    input->dtype = expected->dtype;
    bool is_batched = req->loaded->signature->batch_rows_max > 0 && expected->shape[0] < 0;
    enum err_code rc = shape_raw(input, expected, is_batched, err);
    if (!rc && input->dtype == DTYPE_BYTES)
        rc = wrap_text(input, req->arena, err);
    return rc;
}
