/* grpc_read.c - ModelInferRequest -> OIP request.
 *
 * Raw contents are what REST's binary tensors are, and stay where they are in the message. Typed
 * contents are brought into that form: floats lie in it already when they come packed, as they do.
 */
#include <string.h>

#include "api/grpc_tensor.h"
#include "base/check.h"
#include "base/protobuf.h"

enum { PARAMETERS_BYTES_MAX = 64 * 1024, RAW_MAX = OIP_INPUTS_MAX };

/* Fields of inference.InferTensorContents. */
enum contents {
    CONTENTS_BOOL = 1,
    CONTENTS_INT = 2,
    CONTENTS_INT64 = 3,
    CONTENTS_UINT = 4,
    CONTENTS_UINT64 = 5,
    CONTENTS_FP32 = 6,
    CONTENTS_FP64 = 7,
    CONTENTS_BYTES = 8,
};

static const char *const contents_names[] = {
    [CONTENTS_BOOL] = "bool_contents",     [CONTENTS_INT] = "int_contents",
    [CONTENTS_INT64] = "int64_contents",   [CONTENTS_UINT] = "uint_contents",
    [CONTENTS_UINT64] = "uint64_contents", [CONTENTS_FP32] = "fp32_contents",
    [CONTENTS_FP64] = "fp64_contents",     [CONTENTS_BYTES] = "bytes_contents",
};

static enum err_code no_room(struct err *err)
{
    return err_set(err, ERR_LIMIT, "the request does not fit its memory");
}

static enum err_code broken(const struct pb_reader *reader, const char *what, struct err *err)
{
    return err_set(err, ERR_INVALID, "%s cannot be read: %s", what, reader->problem);
}

/* ---- parameters ---- */

/* One InferParameter as JSON. */
static void put_parameter(struct json_writer *w, struct str message)
{
    struct pb_reader r = pb_read(message);
    struct pb_field f, last = {0};
    while (pb_next(&r, &f))
        last = f;
    if (last.number == 1 && last.wire == PB_VARINT)
        json_put_bool(w, last.value != 0);
    else if (last.number == 2 && last.wire == PB_VARINT)
        json_put_i64(w, pb_int(&last));
    else if (last.number == 3 && last.wire == PB_BYTES)
        json_put_str(w, last.bytes);
    else if (last.number == 4 && last.wire == PB_FIXED64)
        json_put_f64(w, pb_f64(&last));
    else if (last.number == 5 && last.wire == PB_VARINT)
        json_put_u64(w, last.value);
    else
        json_put_null(w);
}

static void read_entry(struct str entry, struct str *key, struct str *value)
{
    struct pb_reader r = pb_read(entry);
    struct pb_field f;
    *key = *value = (struct str){"", 0};
    while (pb_next(&r, &f)) {
        if (f.wire == PB_BYTES && f.number == 1)
            *key = f.bytes;
        else if (f.wire == PB_BYTES && f.number == 2)
            *value = f.bytes;
    }
}

/* The entries of the map in field `number` as one JSON object, in which those who look for
 * parameters find them as REST has them. */
static enum err_code read_parameters(struct str message, uint32_t number, struct arena *arena,
                                     yyjson_val **parameters, struct err *err)
{
    struct pb_reader r = pb_read(message);
    struct pb_field f;
    struct str key, value;
    struct buf text;
    struct json_writer w = {.out = &text};
    buf_init(&text, PARAMETERS_BYTES_MAX);
    json_begin_object(&w);
    while (pb_next(&r, &f)) {
        if (f.number != number || f.wire != PB_BYTES)
            continue;
        read_entry(f.bytes, &key, &value);
        json_key_str(&w, key);
        put_parameter(&w, value);
    }
    json_end_object(&w);
    enum err_code rc = ERR_OK;
    char *copy = text.is_full ? NULL : arena_copy(arena, text.data, text.len);
    if (text.is_full)
        rc = err_set(err, ERR_LIMIT, "the parameters are longer than %d bytes",
                     PARAMETERS_BYTES_MAX);
    else if (!copy)
        rc = no_room(err);
    else
        rc = json_read((struct str){copy, text.len}, arena, parameters, err);
    buf_done(&text);
    return rc ? err_wrap(err, "parameters") : ERR_OK;
}

/* ---- typed contents ---- */

static enum contents contents_of(enum dtype dtype)
{
    switch (dtype) {
    case DTYPE_BOOL:
        return CONTENTS_BOOL;
    case DTYPE_I8:
    case DTYPE_I16:
    case DTYPE_I32:
        return CONTENTS_INT;
    case DTYPE_I64:
        return CONTENTS_INT64;
    case DTYPE_U8:
    case DTYPE_U16:
    case DTYPE_U32:
        return CONTENTS_UINT;
    case DTYPE_U64:
        return CONTENTS_UINT64;
    case DTYPE_F32:
        return CONTENTS_FP32;
    case DTYPE_F64:
        return CONTENTS_FP64;
    case DTYPE_BYTES:
        return CONTENTS_BYTES;
    default:
        return 0;
    }
}

static enum pb_wire wire_of(enum contents contents)
{
    return contents == CONTENTS_FP32   ? PB_FIXED32
           : contents == CONTENTS_FP64 ? PB_FIXED64
                                       : PB_VARINT;
}

/* Does a whole number, as its varint has it, fit into the datatype? */
static bool fits(enum dtype dtype, uint64_t value)
{
    int bits = (int)dtype_bytes(dtype) * 8;
    int64_t number = (int64_t)value;
    switch (dtype) {
    case DTYPE_I8:
    case DTYPE_I16:
    case DTYPE_I32:
        return number >= -(INT64_C(1) << (bits - 1)) && number < INT64_C(1) << (bits - 1);
    case DTYPE_U8:
    case DTYPE_U16:
    case DTYPE_U32:
        return value < UINT64_C(1) << bits;
    case DTYPE_BOOL:
        return value <= 1;
    default:
        return true;
    }
}

/* How many elements the contents' field has, in all its pieces; -1: broken. */
static int64_t count_elements(struct str contents, enum contents wanted)
{
    struct pb_reader r = pb_read(contents);
    struct pb_field f;
    int64_t count = 0;
    while (pb_next(&r, &f)) {
        if (f.number != wanted)
            continue;
        int64_t more = wanted == CONTENTS_BYTES ? (f.wire == PB_BYTES ? 1 : -1)
                                                : pb_count_numbers(&f, wire_of(wanted));
        if (more < 0)
            return -1;
        count += more;
    }
    return r.problem ? -1 : count;
}

static const char *other_contents(struct str contents, enum contents wanted)
{
    struct pb_reader r = pb_read(contents);
    struct pb_field f;
    while (pb_next(&r, &f))
        if (f.number != wanted && f.number >= CONTENTS_BOOL && f.number <= CONTENTS_BYTES)
            return contents_names[f.number];
    return NULL;
}

static enum err_code check_contents(const struct oip_input *input, struct str contents,
                                    enum contents wanted, struct err *err)
{
    if (!wanted) {
        err_set(err, ERR_INVALID, "input '%.*s': datatype '%s' has no typed contents",
                STR_ARG(input->name), dtype_name(input->dtype));
        return err_hint(err, "send it in raw_input_contents");
    }
    const char *other = other_contents(contents, wanted);
    if (other)
        return err_set(
            err, ERR_INVALID, "input '%.*s' of datatype '%s' must have its data in %s, got %s",
            STR_ARG(input->name), dtype_name(input->dtype), contents_names[wanted], other);
    int64_t count = count_elements(contents, wanted);
    if (count < 0)
        return err_set(err, ERR_INVALID, "input '%.*s': its contents cannot be read",
                       STR_ARG(input->name));
    if (count != input->element_count)
        return err_set(err, ERR_INVALID,
                       "input '%.*s': %lld elements in %s, expected %lld as its shape says",
                       STR_ARG(input->name), (long long)count, contents_names[wanted],
                       (long long)input->element_count);
    return ERR_OK;
}

/* Floats that came in one packed field are in the binary form where they are. */
static bool take_in_place(struct oip_input *input, struct str contents, enum contents wanted)
{
    struct pb_reader r = pb_read(contents);
    struct pb_field f;
    size_t bytes = (size_t)input->element_count * dtype_bytes(input->dtype);
    if ((wanted != CONTENTS_FP32 && wanted != CONTENTS_FP64) || !pb_next(&r, &f) ||
        f.number != wanted || f.wire != PB_BYTES || f.bytes.len != bytes)
        return false;
    input->binary = f.bytes;
    return true;
}

static enum err_code copy_numbers(struct oip_input *input, struct str contents,
                                  enum contents wanted, char *at, struct err *err)
{
    struct pb_reader r = pb_read(contents);
    struct pb_field f;
    uint64_t value;
    size_t width = dtype_bytes(input->dtype);
    while (pb_next(&r, &f)) {
        if (f.number != wanted)
            continue;
        while (pb_next_number(&f, wire_of(wanted), &value)) {
            if (!fits(input->dtype, value))
                return err_set(err, ERR_INVALID, "input '%.*s': element %lld is no %s",
                               STR_ARG(input->name), (long long)value, dtype_name(input->dtype));
            memcpy(at, &value, width); /* little-endian: the low bytes come first */
            at += width;
        }
    }
    return ERR_OK;
}

static size_t texts_bytes(struct str contents)
{
    struct pb_reader r = pb_read(contents);
    struct pb_field f;
    size_t bytes = 0;
    while (pb_next(&r, &f))
        if (f.number == CONTENTS_BYTES)
            bytes += sizeof(uint32_t) + f.bytes.len;
    return bytes;
}

static void copy_texts(struct str contents, char *at)
{
    struct pb_reader r = pb_read(contents);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number != CONTENTS_BYTES)
            continue;
        uint32_t size = (uint32_t)f.bytes.len;
        memcpy(at, &size, sizeof(size));
        if (f.bytes.len)
            memcpy(at + sizeof(size), f.bytes.ptr, f.bytes.len);
        at += sizeof(size) + f.bytes.len;
    }
}

static enum err_code take_contents(struct oip_input *input, struct str contents,
                                   struct arena *arena, struct err *err)
{
    enum contents wanted = contents_of(input->dtype);
    enum err_code rc = check_contents(input, contents, wanted, err);
    if (rc || take_in_place(input, contents, wanted))
        return rc;
    size_t bytes = wanted == CONTENTS_BYTES
                       ? texts_bytes(contents)
                       : (size_t)input->element_count * dtype_bytes(input->dtype);
    char *data = arena_alloc(arena, bytes);
    if (!data)
        return no_room(err);
    input->binary = (struct str){data, bytes};
    if (wanted != CONTENTS_BYTES)
        return copy_numbers(input, contents, wanted, data, err);
    copy_texts(contents, data);
    return ERR_OK;
}

/* ---- inputs ---- */

static enum err_code take_raw(struct oip_input *input, struct str raw, struct err *err)
{
    size_t bytes = (size_t)input->element_count * dtype_bytes(input->dtype);
    if (input->dtype != DTYPE_BYTES && raw.len != bytes)
        return err_set(err, ERR_INVALID,
                       "input byte size mismatch for input '%.*s' for model: expected %zu, got %zu",
                       STR_ARG(input->name), bytes, raw.len);
    input->binary = raw;
    return ERR_OK;
}

static enum err_code add_dimension(struct oip_input *input, int64_t size, struct err *err)
{
    if (input->rank == TENSOR_RANK_MAX)
        return err_set(err, ERR_LIMIT, "input '%.*s': at most %d dimensions are taken",
                       STR_ARG(input->name), TENSOR_RANK_MAX);
    if (size < 0)
        return err_set(err, ERR_INVALID,
                       "Unable to parse 'shape' of input '%.*s': dimension %d must be a whole "
                       "number of 0 or more",
                       STR_ARG(input->name), input->rank);
    input->shape[input->rank++] = size;
    return ERR_OK;
}

static enum err_code read_shape(struct str message, struct oip_input *input, struct err *err)
{
    struct pb_reader r = pb_read(message);
    struct pb_field f;
    uint64_t size;
    while (pb_next(&r, &f)) {
        if (f.number != 3)
            continue;
        while (pb_next_number(&f, PB_VARINT, &size)) {
            enum err_code rc = add_dimension(input, (int64_t)size, err);
            if (rc)
                return rc;
        }
    }
    input->element_count = tensor_elements(input->shape, input->rank);
    if (input->element_count < 0 || input->element_count > INT64_MAX / 16)
        return err_set(err, ERR_LIMIT,
                       "input '%.*s': shape causes total element count to exceed maximum size of "
                       "int64",
                       STR_ARG(input->name));
    return ERR_OK;
}

/* What an InferInputTensor has besides its shape. */
struct input_fields {
    struct str datatype, contents;
    bool has_parameters;
};

static enum err_code read_input_fields(struct str message, struct oip_input *input,
                                       struct input_fields *fields, struct err *err)
{
    struct pb_reader r = pb_read(message);
    struct pb_field f;
    *fields = (struct input_fields){.datatype = {"", 0}};
    memset(input, 0, sizeof(*input));
    input->name = (struct str){"", 0};
    while (pb_next(&r, &f)) {
        if (f.wire != PB_BYTES)
            continue;
        if (f.number == 1)
            input->name = f.bytes;
        else if (f.number == 2)
            fields->datatype = f.bytes;
        else if (f.number == 4)
            fields->has_parameters = true;
        else if (f.number == 5)
            fields->contents = f.bytes;
    }
    if (r.problem)
        return broken(&r, "an input", err);
    input->dtype = dtype_find(fields->datatype);
    if (input->dtype != DTYPE_COUNT)
        return ERR_OK;
    err_set(err, ERR_INVALID, "input '%.*s': datatype '%.*s' does not exist", STR_ARG(input->name),
            STR_ARG(fields->datatype));
    return err_hint(err, "FP32, FP64, INT8 to INT64, UINT8 to UINT64, BOOL, BYTES, FP16, BF16");
}

static enum err_code check_input_parameters(struct str message, const struct oip_input *input,
                                            struct arena *arena, struct err *err)
{
    yyjson_val *parameters;
    enum err_code rc = read_parameters(message, 4, arena, &parameters, err);
    if (rc || !yyjson_obj_get(parameters, "shared_memory_region"))
        return rc;
    err_set(err, ERR_UNSUPPORTED, "input '%.*s': shared memory by name is not offered",
            STR_ARG(input->name));
    return err_hint(err, "send the tensor in the request");
}

/* raw: the input's entry of raw_input_contents; NULL: there are none. */
static enum err_code read_input(struct str message, const struct str *raw, struct arena *arena,
                                struct oip_input *input, struct err *err)
{
    struct input_fields fields;
    enum err_code rc = read_input_fields(message, input, &fields, err);
    if (!rc && fields.has_parameters)
        rc = check_input_parameters(message, input, arena, err);
    if (!rc)
        rc = read_shape(message, input, err);
    if (rc)
        return rc;
    if (raw && fields.contents.len)
        return err_set(err, ERR_INVALID,
                       "contents field must not be specified when using raw_input_contents for "
                       "'%.*s'",
                       STR_ARG(input->name));
    return raw ? take_raw(input, *raw, err) : take_contents(input, fields.contents, arena, err);
}

/* ---- outputs ---- */

static enum err_code read_output(struct str message, struct arena *arena, struct oip_output *output,
                                 struct err *err)
{
    struct pb_reader r = pb_read(message);
    struct pb_field f;
    yyjson_val *parameters = NULL;
    output->name = (struct str){"", 0};
    output->is_binary = true;
    while (pb_next(&r, &f))
        if (f.number == 1 && f.wire == PB_BYTES)
            output->name = f.bytes;
        else if (f.number == 2 && f.wire == PB_BYTES && !parameters &&
                 read_parameters(message, 2, arena, &parameters, err))
            return err->code;
    if (r.problem)
        return broken(&r, "an output", err);
    if (yyjson_obj_get(parameters, "shared_memory_region")) {
        err_set(err, ERR_UNSUPPORTED, "output '%.*s': shared memory by name is not offered",
                STR_ARG(output->name));
        return err_hint(err, "take the tensor from the reply");
    }
    yyjson_val *classes = yyjson_obj_get(parameters, "classification");
    if (classes && (!yyjson_is_uint(classes) || yyjson_get_uint(classes) == 0 ||
                    yyjson_get_uint(classes) > OIP_CLASSES_MAX))
        return err_set(err, ERR_INVALID,
                       "output '%.*s': 'classification' must be a number of classes from 1 to %d",
                       STR_ARG(output->name), OIP_CLASSES_MAX);
    output->class_count = (int)yyjson_get_uint(classes);
    return ERR_OK;
}

static enum err_code check_outputs(const struct oip_request *oip, struct err *err)
{
    for (int i = 0; i < oip->output_count; i++)
        for (int k = 0; k < i; k++)
            if (str_equal(oip->outputs[i].name, oip->outputs[k].name))
                return err_set(err, ERR_INVALID, "output '%.*s' already exists in request",
                               STR_ARG(oip->outputs[i].name));
    return ERR_OK;
}

/* ---- the request ---- */

struct counts {
    size_t inputs, outputs, raws;
    bool has_parameters;
};

static enum err_code read_scalars(struct str message, struct grpc_infer *infer,
                                  struct counts *counts, struct err *err)
{
    struct pb_reader r = pb_read(message);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.wire != PB_BYTES)
            continue;
        if (f.number == 1)
            infer->model = f.bytes;
        else if (f.number == 2)
            infer->version = f.bytes;
        else if (f.number == 3 && f.bytes.len)
            infer->oip.id = f.bytes;
        counts->has_parameters = counts->has_parameters || f.number == 4;
        counts->inputs += f.number == 5;
        counts->outputs += f.number == 6;
        counts->raws += f.number == 7;
    }
    return r.problem ? broken(&r, "the message", err) : ERR_OK;
}

static enum err_code check_counts(const struct counts *counts, struct err *err)
{
    if (counts->inputs == 0) {
        err_set(err, ERR_INVALID, "the request has no inputs");
        return err_hint(err, "send ModelInferRequest.inputs, one for each tensor");
    }
    if (counts->inputs > OIP_INPUTS_MAX || counts->outputs > OIP_OUTPUTS_MAX)
        return err_set(err, ERR_LIMIT, "%zu inputs and %zu outputs, at most %d and %d are taken",
                       counts->inputs, counts->outputs, OIP_INPUTS_MAX, OIP_OUTPUTS_MAX);
    if (counts->raws && counts->raws != counts->inputs)
        return err_set(err, ERR_INVALID,
                       "expected %zu raw_input_contents, one for each input, got %zu",
                       counts->inputs, counts->raws);
    return ERR_OK;
}

static void find_raws(struct str message, struct str *raws)
{
    struct pb_reader r = pb_read(message);
    struct pb_field f;
    while (pb_next(&r, &f))
        if (f.number == 7 && f.wire == PB_BYTES)
            *raws++ = f.bytes;
}

static enum err_code read_tensors(struct str message, const struct str *raws, struct arena *arena,
                                  struct oip_request *oip, struct err *err)
{
    struct pb_reader r = pb_read(message);
    struct pb_field f;
    enum err_code rc = ERR_OK;
    while (!rc && pb_next(&r, &f)) {
        if (f.wire != PB_BYTES)
            continue;
        if (f.number == 5) {
            int i = oip->input_count++;
            rc = read_input(f.bytes, raws ? &raws[i] : NULL, arena, &oip->inputs[i], err);
        } else if (f.number == 6) {
            rc = read_output(f.bytes, arena, &oip->outputs[oip->output_count++], err);
        }
    }
    return rc ? rc : check_outputs(oip, err);
}

enum err_code grpc_read_infer(struct str message, struct arena *arena, struct grpc_infer *infer,
                              struct err *err)
{
    struct counts counts = {0};
    struct oip_request *oip = &infer->oip;
    struct str *raws = NULL;
    memset(infer, 0, sizeof(*infer));
    infer->model = infer->version = (struct str){"", 0};
    enum err_code rc = read_scalars(message, infer, &counts, err);
    if (!rc)
        rc = check_counts(&counts, err);
    if (rc)
        return rc;
    oip->inputs = arena_alloc(arena, counts.inputs * sizeof(*oip->inputs));
    oip->outputs = arena_calloc(arena, counts.outputs + 1, sizeof(*oip->outputs));
    if (counts.raws)
        raws = arena_alloc(arena, counts.raws * sizeof(*raws));
    if (!oip->inputs || !oip->outputs || (counts.raws && !raws))
        return no_room(err);
    if (raws)
        find_raws(message, raws);
    oip->is_binary_default = true;
    infer->is_raw = counts.raws > 0;
    if (counts.has_parameters)
        rc = read_parameters(message, 4, arena, &oip->parameters, err);
    return rc ? rc : read_tensors(message, raws, arena, oip, err);
}
