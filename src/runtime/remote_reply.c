/* remote_reply.c - JSON and bytes -> outputs in the call's arena. */
#include "runtime/remote_reply.h"

#include <stdio.h>

#include "base/check.h"
#include "base/tensor_element.h"
#include "base/tensor_value.h"

enum { ALIGN = 64 };

struct reader {
    const struct signature *signature;
    struct runtime_call *call;
    struct str bytes; /* behind the JSON, what has not been taken yet */
    struct err *err;
};

static enum err_code refuse(struct reader *r, const char *name, const char *what)
{
    return err_set(r->err, ERR_UPSTREAM, "the endpoint's output '%s' %s", name, what);
}

static enum err_code no_room(struct reader *r, const char *name)
{
    return err_set(r->err, ERR_LIMIT, "no room for output '%s'", name);
}

/* ---- the head of an output ---- */

/* -1: one that nobody has asked for. */
static int find_output(const struct reader *r, yyjson_val *name)
{
    const struct signature *sig = r->signature;
    for (int i = 0; i < sig->output_count; i++)
        if (yyjson_equals_str(name, sig->outputs[i].name))
            return r->call->wanted && !r->call->wanted[i] ? -1 : i;
    return -1;
}

static bool read_shape(yyjson_val *shape, int64_t *out, int *rank)
{
    size_t i, max;
    yyjson_val *size;
    if (!yyjson_is_arr(shape) || yyjson_arr_size(shape) > TENSOR_RANK_MAX)
        return false;
    yyjson_arr_foreach(shape, i, max, size)
    {
        if (!yyjson_is_uint(size) || yyjson_get_uint(size) > INT64_MAX)
            return false;
        out[i] = (int64_t)yyjson_get_uint(size);
    }
    *rank = (int)yyjson_arr_size(shape);
    return true;
}

static bool shape_fits(const struct signature_tensor *declared, const struct tensor *out)
{
    bool fits = declared->rank == out->rank;
    for (int i = 0; fits && i < out->rank; i++)
        fits = declared->shape[i] == -1 || declared->shape[i] == out->shape[i];
    return fits;
}

/* Some servers put a dimension of 1 behind a column, or leave it out: MLServer's NumpyCodec answers
 * [N,1] where its metadata says [-1]. The elements are the same; the shape is as declared then. */
static void adapt_column(const struct signature_tensor *declared, struct tensor *out)
{
    if (declared->rank == 1 && out->rank == 2 && out->shape[1] == 1)
        out->rank = 1;
    else if (declared->rank == 2 && declared->shape[1] == 1 && out->rank == 1)
        out->shape[out->rank++] = 1;
}

/* Of the first input that was given. */
static int64_t rows_asked(const struct reader *r)
{
    for (int i = 0; i < r->call->in_count; i++)
        if (r->call->in[i].rank > 0)
            return r->call->in[i].shape[0];
    return 0;
}

/* Models with a batch dimension answer each row once. */
static bool has_rows(const struct reader *r, const struct tensor *out)
{
    const struct signature *sig = r->signature;
    return (sig->batch_rows_max == 0 && sig->feature_count == 0) ||
           (out->rank > 0 && out->shape[0] == rows_asked(r));
}

static void shape_text(const int64_t *shape, int rank, char *out, size_t size)
{
    size_t at = (size_t)snprintf(out, size, "[");
    for (int i = 0; i < rank && at < size; i++)
        at += (size_t)snprintf(out + at, size - at, "%s%lld", i ? "," : "", (long long)shape[i]);
    if (at < size)
        snprintf(out + at, size - at, "]");
}

static enum err_code wrong_shape(struct reader *r, const struct signature_tensor *declared,
                                 const struct tensor *out)
{
    char want[128], got[128];
    shape_text(declared->shape, declared->rank, want, sizeof(want));
    shape_text(out->shape, out->rank, got, sizeof(got));
    return err_set(r->err, ERR_UPSTREAM, "the endpoint's output '%s' has the shape %s, expected %s",
                   declared->name, got, want);
}

static enum err_code read_head(struct reader *r, yyjson_val *output,
                               const struct signature_tensor *declared, struct tensor *out)
{
    struct str datatype = json_str(yyjson_obj_get(output, "datatype"));
    *out = (struct tensor){.name = declared->name, .dtype = dtype_find(datatype)};
    if (out->dtype != declared->dtype)
        return err_set(r->err, ERR_UPSTREAM, "the endpoint's output '%s' is %.*s, expected %s",
                       declared->name, (int)(datatype.len < 40 ? datatype.len : 40),
                       datatype.ptr ? datatype.ptr : "of no datatype", dtype_name(declared->dtype));
    if (!read_shape(yyjson_obj_get(output, "shape"), out->shape, &out->rank))
        return refuse(r, declared->name, "has no shape of at most 8 sizes");
    adapt_column(declared, out);
    if (!shape_fits(declared, out))
        return wrong_shape(r, declared, out);
    if (!has_rows(r, out))
        return err_set(r->err, ERR_UPSTREAM, "the endpoint answered %lld rows of %lld in '%s'",
                       (long long)out->shape[0], (long long)rows_asked(r), declared->name);
    return ERR_OK;
}

/* ---- the elements ---- */

static enum err_code new_elements(struct reader *r, struct tensor *out, int64_t count)
{
    size_t bytes;
    bool is_huge = __builtin_mul_overflow((size_t)count, dtype_memory_bytes(out->dtype), &bytes);
    out->data = is_huge ? NULL : arena_alloc_aligned(r->call->arena, bytes, ALIGN);
    return out->data ? ERR_OK : no_room(r, out->name);
}

/* The document does not outlive the reading. */
static bool keep_texts(struct reader *r, const struct tensor *out, int64_t count)
{
    struct str *texts = out->data;
    for (int64_t i = 0; out->dtype == DTYPE_BYTES && i < count; i++) {
        texts[i].ptr = arena_copy(r->call->arena, texts[i].ptr, texts[i].len);
        if (!texts[i].ptr)
            return false;
    }
    return true;
}

static enum err_code wrong_value(struct reader *r, const struct tensor *out, int64_t i)
{
    return err_set(r->err, ERR_UPSTREAM, "the endpoint's output '%s': element %lld is no %s",
                   out->name, (long long)i, dtype_name(out->dtype));
}

/* As the shape says, or as that of a column that was [N,1]. */
static bool is_nested_as(yyjson_val *data, const struct tensor *out)
{
    const int64_t column[2] = {out->shape[0], 1};
    return tensor_value_is_nested(data, out->shape, out->rank) ||
           (out->rank == 1 && tensor_value_is_nested(data, column, 2));
}

/* Flat, or nested as the shape says; in a document a container's values stand behind it, so the
 * inner arrays' heads are skipped. */
static enum err_code read_json(struct reader *r, yyjson_val *data, int64_t count,
                               struct tensor *out)
{
    bool is_nested = yyjson_is_arr(yyjson_arr_get_first(data));
    bool fits = is_nested ? is_nested_as(data, out)
                          : yyjson_is_arr(data) && (int64_t)yyjson_arr_size(data) == count;
    if (!fits)
        return refuse(r, out->name, "does not have as many elements as its shape says");
    enum err_code rc = new_elements(r, out, count);
    yyjson_val *value = data + 1;
    for (int64_t i = 0; !rc && i < count; value++) {
        if (is_nested && yyjson_is_arr(value))
            continue;
        if (!tensor_put_value(out->data, out->dtype, i, value))
            rc = wrong_value(r, out, i);
        i++;
    }
    if (!rc && !keep_texts(r, out, count))
        rc = no_room(r, out->name);
    return rc;
}

static enum err_code read_texts(struct reader *r, struct str bytes, int64_t count,
                                struct tensor *out)
{
    size_t offset = 0;
    const char *copy = arena_copy(r->call->arena, bytes.ptr, bytes.len);
    if ((uint64_t)count > bytes.len / sizeof(uint32_t))
        return refuse(r, out->name, "does not have as many texts as its shape says");
    enum err_code rc = copy ? new_elements(r, out, count) : no_room(r, out->name);
    bytes.ptr = copy;
    for (int64_t i = 0; !rc && i < count; i++)
        if (!tensor_take_text(bytes, &offset, &((struct str *)out->data)[i]))
            rc = refuse(r, out->name, "has texts that end outside it");
    if (!rc && offset != bytes.len)
        rc = refuse(r, out->name, "has bytes behind its texts");
    return rc;
}

static enum err_code read_bytes(struct reader *r, uint64_t size, int64_t count, struct tensor *out)
{
    struct str bytes = {r->bytes.ptr, (size_t)size};
    if (size > r->bytes.len)
        return refuse(r, out->name, "has fewer bytes than its binary_data_size says");
    r->bytes = (struct str){r->bytes.ptr + size, r->bytes.len - size};
    if (out->dtype == DTYPE_BYTES)
        return read_texts(r, bytes, count, out);
    size_t width = dtype_bytes(out->dtype);
    if (size % width || size / width != (uint64_t)count)
        return refuse(r, out->name, "does not have as many bytes as its shape says");
    enum err_code rc = new_elements(r, out, count);
    if (!rc && size)
        memcpy(out->data, bytes.ptr, bytes.len);
    for (size_t i = 0; !rc && out->dtype == DTYPE_BOOL && i < size; i++)
        if (((const uint8_t *)out->data)[i] > 1)
            rc = wrong_value(r, out, (int64_t)i);
    return rc;
}

/* ---- outputs ---- */

static yyjson_val *binary_size(yyjson_val *output)
{
    return yyjson_obj_get(yyjson_obj_get(output, "parameters"), "binary_data_size");
}

/* Bytes of an output that nobody wants are passed over. */
static enum err_code skip_output(struct reader *r, yyjson_val *output)
{
    uint64_t size = yyjson_get_uint(binary_size(output));
    if (size > r->bytes.len)
        return err_set(r->err, ERR_UPSTREAM,
                       "the endpoint's reply is shorter than its outputs say");
    r->bytes = (struct str){r->bytes.ptr + size, r->bytes.len - size};
    return ERR_OK;
}

static enum err_code read_output(struct reader *r, yyjson_val *output, struct tensor *found)
{
    int index = find_output(r, yyjson_obj_get(output, "name"));
    if (index < 0)
        return skip_output(r, output);
    struct tensor *out = &found[index];
    const struct signature_tensor *declared = &r->signature->outputs[index];
    if (out->name)
        return refuse(r, declared->name, "is there twice");
    enum err_code rc = read_head(r, output, declared, out);
    if (rc)
        return rc;
    int64_t count = tensor_elements(out->shape, out->rank);
    if (count < 0)
        return refuse(r, declared->name, "has too many elements");
    yyjson_val *size = binary_size(output);
    if (size && !yyjson_is_uint(size))
        return refuse(r, declared->name, "has a binary_data_size that is no size");
    return size ? read_bytes(r, yyjson_get_uint(size), count, out)
                : read_json(r, yyjson_obj_get(output, "data"), count, out);
}

static enum err_code read_outputs(struct reader *r, yyjson_val *outputs, struct tensor *found)
{
    size_t i, max;
    yyjson_val *output;
    if (!yyjson_is_arr(outputs))
        return err_set(r->err, ERR_UPSTREAM, "the endpoint's reply has no list of outputs");
    yyjson_arr_foreach(outputs, i, max, output)
    {
        enum err_code rc = read_output(r, output, found);
        if (rc)
            return rc;
    }
    if (r->bytes.len)
        return err_set(r->err, ERR_UPSTREAM,
                       "the endpoint's reply has %zu bytes that no output says", r->bytes.len);
    return ERR_OK;
}

static enum err_code take_outputs(struct reader *r, const struct tensor *found)
{
    struct runtime_call *call = r->call;
    call->out_count = 0;
    for (int i = 0; i < r->signature->output_count; i++) {
        if (call->wanted && !call->wanted[i])
            continue;
        if (!found[i].name)
            return refuse(r, r->signature->outputs[i].name, "is missing");
        call->out[call->out_count++] = found[i];
    }
    return ERR_OK;
}

static enum err_code take_parameters(struct reader *r, yyjson_val *parameters)
{
    struct buf text;
    if (!yyjson_is_obj(parameters) || yyjson_obj_size(parameters) == 0)
        return ERR_OK;
    buf_init(&text, REMOTE_PARAMETERS_BYTES_MAX);
    json_write(&text, parameters);
    const char *copy = text.is_full ? NULL : arena_copy(r->call->arena, text.data, text.len);
    r->call->reply_parameters = (struct str){copy, copy ? text.len : 0};
    buf_done(&text);
    return copy ? ERR_OK
                : err_set(r->err, ERR_UPSTREAM, "the endpoint's parameters have more than %d bytes",
                          REMOTE_PARAMETERS_BYTES_MAX);
}

enum err_code remote_reply_read(const struct signature *signature, struct str body,
                                size_t json_bytes, struct arena *scratch, struct runtime_call *call,
                                struct err *err)
{
    struct reader r = {.signature = signature, .call = call, .err = err};
    yyjson_val *root = NULL;
    assert(json_bytes <= body.len);
    r.bytes = (struct str){body.ptr + json_bytes, body.len - json_bytes};
    size_t outputs = (size_t)signature->output_count;
    struct tensor *found = arena_calloc(call->arena, outputs, sizeof(*found));
    if (!found)
        return err_set(err, ERR_LIMIT, "the reply does not fit the request's memory");
    if (json_read_numbers((struct str){body.ptr, json_bytes}, scratch, &root, err)) {
        err->code = ERR_UPSTREAM;
        return err_wrap(err, "the endpoint's reply");
    }
    enum err_code rc = read_outputs(&r, yyjson_obj_get(root, "outputs"), found);
    if (!rc)
        rc = take_outputs(&r, found);
    return rc ? rc : take_parameters(&r, yyjson_obj_get(root, "parameters"));
}

/* ---- errors ---- */

static struct str error_text(struct str body, struct arena *scratch)
{
    static const char *const keys[] = {"error", "detail", "message", "title"};
    yyjson_val *root = NULL;
    struct err ignored = {0};
    if (body.len == 0 || body.ptr[0] != '{' || json_read(body, scratch, &root, &ignored))
        return body;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (yyjson_is_str(yyjson_obj_get(root, keys[i])))
            return json_str(yyjson_obj_get(root, keys[i]));
    return body;
}

void remote_reply_reason(struct str body, struct arena *scratch, char reason[REMOTE_REASON_BYTES])
{
    struct str text = str_trim(error_text(body, scratch));
    size_t at = 0;
    for (size_t i = 0; i < text.len && at < REMOTE_REASON_BYTES - 1; i++) {
        char c = text.ptr[i];
        bool is_space = (unsigned char)c <= ' ' || c == 0x7f;
        if (is_space && (at == 0 || reason[at - 1] == ' '))
            continue;
        reason[at++] = is_space ? ' ' : c;
    }
    while (at && (reason[at - 1] == ' ' || !str_is_utf8((struct str){reason, at})))
        at--; /* a character that was cut, or from the first byte that is none */
    reason[at] = '\0';
}

/* ---- what a server says of a model ---- */

static enum err_code bad_metadata(const char *list, const char *what, struct err *err)
{
    err_set(err, ERR_UPSTREAM, "the endpoint's description of the model: %s %s", list, what);
    return err_hint(err, "give inputs and outputs in the version's own file");
}

static bool read_any_shape(yyjson_val *shape, struct signature_tensor *tensor)
{
    size_t i, max;
    yyjson_val *size;
    if (!yyjson_is_arr(shape) || yyjson_arr_size(shape) > TENSOR_RANK_MAX)
        return false;
    yyjson_arr_foreach(shape, i, max, size)
    {
        int64_t value;
        if (yyjson_is_int(size))
            value = yyjson_get_sint(size);
        else if (!yyjson_is_str(size) || !str_to_i64(json_str(size), &value))
            return false;
        if (value > INT32_MAX)
            return false;
        tensor->shape[i] = value < 0 ? -1 : value;
    }
    tensor->rank = (int)yyjson_arr_size(shape);
    return true;
}

static bool read_metadata_tensor(yyjson_val *item, struct arena *arena,
                                 struct signature_tensor *tensor)
{
    struct str name = json_str(yyjson_obj_get(item, "name"));
    tensor->dtype = dtype_find(json_str(yyjson_obj_get(item, "datatype")));
    tensor->name = name.len && name.len <= 255 ? arena_copy(arena, name.ptr, name.len) : NULL;
    return tensor->name && strlen(tensor->name) == name.len && tensor->dtype < DTYPE_COUNT &&
           read_any_shape(yyjson_obj_get(item, "shape"), tensor);
}

static enum err_code read_list(yyjson_val *root, const char *key, size_t count_max,
                               struct arena *arena, const struct signature_tensor **out,
                               int *out_count, struct err *err)
{
    yyjson_val *list = yyjson_obj_get(root, key), *item;
    size_t count = yyjson_arr_size(list), i, max;
    if (count == 0 || count > count_max)
        return bad_metadata(key, count ? "has too many tensors" : "is missing or empty", err);
    struct signature_tensor *tensors = arena_calloc(arena, count, sizeof(*tensors));
    if (!tensors)
        return bad_metadata(key, "has too many tensors", err);
    yyjson_arr_foreach(list, i, max, item)
    {
        if (!read_metadata_tensor(item, arena, &tensors[i]))
            return bad_metadata(key, "has a tensor without name, known datatype or shape", err);
        for (size_t k = 0; k < i; k++)
            if (strcmp(tensors[k].name, tensors[i].name) == 0)
                return bad_metadata(key, "has two tensors of one name", err);
    }
    *out = tensors;
    *out_count = (int)count;
    return ERR_OK;
}

enum err_code remote_metadata_read(struct str body, struct arena *arena,
                                   struct remote_settings *settings, struct err *err)
{
    struct signature *sig = &settings->signature;
    yyjson_val *root = NULL;
    if (json_read(body, arena, &root, err)) {
        err->code = ERR_UPSTREAM;
        return err_wrap(err, "the endpoint's description of the model");
    }
    enum err_code rc = ERR_OK;
    if (!sig->input_count)
        rc = read_list(root, "inputs", RUNTIME_INPUTS_MAX, arena, &sig->inputs, &sig->input_count,
                       err);
    if (!rc && !sig->output_count)
        rc = read_list(root, "outputs", RUNTIME_TENSORS_MAX, arena, &sig->outputs,
                       &sig->output_count, err);
    return rc;
}

bool remote_server_is_binary(struct str body, struct arena *scratch)
{
    yyjson_val *root = NULL, *item;
    struct err ignored = {0};
    size_t i, max;
    if (json_read(body, scratch, &root, &ignored))
        return false;
    yyjson_val *extensions = yyjson_obj_get(root, "extensions");
    if (!yyjson_is_arr(extensions))
        return false;
    yyjson_arr_foreach(extensions, i, max, item)
    {
        if (yyjson_equals_str(item, "binary_tensor_data"))
            return true;
    }
    return false;
}

int remote_config_batch(struct str body, struct arena *scratch)
{
    yyjson_val *root = NULL;
    struct err ignored = {0};
    int64_t rows;
    if (json_read(body, scratch, &root, &ignored))
        return -1;
    yyjson_val *value = yyjson_obj_get(root, "max_batch_size");
    if (yyjson_is_int(value))
        rows = yyjson_get_sint(value);
    else if (!yyjson_is_str(value) || !str_to_i64(json_str(value), &rows))
        return -1;
    if (rows < 0)
        return -1;
    return rows < REMOTE_BATCH_ROWS_MAX ? (int)rows : REMOTE_BATCH_ROWS_MAX;
}
