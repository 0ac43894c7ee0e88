/* onnx_value.c - one tensor across the border, each way. */
#include "runtime/onnx_value.h"

#include <string.h>

#include "base/check.h"

static const ONNXTensorElementDataType types[DTYPE_COUNT] = {
    [DTYPE_BOOL] = ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL,
    [DTYPE_U8] = ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8,
    [DTYPE_U16] = ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16,
    [DTYPE_U32] = ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32,
    [DTYPE_U64] = ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64,
    [DTYPE_I8] = ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8,
    [DTYPE_I16] = ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16,
    [DTYPE_I32] = ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32,
    [DTYPE_I64] = ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64,
    [DTYPE_F16] = ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16,
    [DTYPE_BF16] = ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16,
    [DTYPE_F32] = ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
    [DTYPE_F64] = ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE,
    [DTYPE_BYTES] = ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING,
};

enum dtype onnx_dtype(ONNXTensorElementDataType type)
{
    enum dtype dtype = 0;
    while (dtype < DTYPE_COUNT && types[dtype] != type)
        dtype++;
    return dtype;
}

/* --- there ----------------------------------------------------------------------------- */

static OrtStatus *fill_texts(const struct onnx_library *library, const struct str *texts,
                             int64_t count, OrtValue *value)
{
    OrtStatus *status = NULL;
    for (int64_t i = 0; !status && i < count; i++) {
        char *place = NULL;
        status = library->api->GetResizedStringTensorElementBuffer(value, (size_t)i, texts[i].len,
                                                                   &place);
        if (!status && texts[i].len)
            memcpy(place, texts[i].ptr, texts[i].len);
    }
    return status;
}

enum err_code onnx_value_new(const struct onnx_library *library, const struct tensor *tensor,
                             OrtValue **value, struct err *err)
{
    static char nothing[1]; /* an address for tensors without elements */
    const OrtApi *api = library->api;
    size_t rank = (size_t)tensor->rank;
    int64_t elements = tensor_elements(tensor->shape, tensor->rank);
    OrtStatus *status;
    assert(elements >= 0);
    if (tensor->dtype == DTYPE_BYTES) {
        status = api->CreateTensorAsOrtValue(library->allocator, tensor->shape, rank,
                                             ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING, value);
        if (!status)
            status = fill_texts(library, tensor->data, elements, *value);
    } else {
        status =
            api->CreateTensorWithDataAsOrtValue(library->memory, elements ? tensor->data : nothing,
                                                (size_t)elements * dtype_bytes(tensor->dtype),
                                                tensor->shape, rank, types[tensor->dtype], value);
    }
    return onnx_status(library, status, ERR_INTERNAL, "ONNX Runtime does not take an input", err);
}

static enum err_code no_room(const char *name, struct err *err)
{
    return err_set(err, ERR_LIMIT, "no room for the output '%s'", name);
}

enum err_code onnx_value_ahead(const struct onnx_library *library, struct arena *arena,
                               struct tensor *tensor, OrtValue **value, struct err *err)
{
    int64_t elements = tensor_elements(tensor->shape, tensor->rank);
    size_t size = dtype_bytes(tensor->dtype);
    if (elements < 0 || (uint64_t)elements > SIZE_MAX / size)
        return no_room(tensor->name, err);
    tensor->data = arena_alloc_aligned(arena, (size_t)elements * size, ARENA_ALIGN_MAX);
    return tensor->data ? onnx_value_new(library, tensor, value, err) : no_room(tensor->name, err);
}

/* --- and back ---------------------------------------------------------------------------- */

static OrtStatus *read_shape(const OrtApi *api, OrtTensorTypeAndShapeInfo *info,
                             struct tensor *tensor, size_t *rank)
{
    ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    OrtStatus *status = api->GetTensorElementType(info, &type);
    if (!status)
        status = api->GetDimensionsCount(info, rank);
    if (!status && *rank <= TENSOR_RANK_MAX)
        status = api->GetDimensions(info, tensor->shape, *rank);
    tensor->dtype = onnx_dtype(type);
    tensor->rank = (int)*rank;
    return status;
}

static enum err_code describe_value(const struct onnx_library *library, OrtValue *value,
                                    struct tensor *tensor, struct err *err)
{
    size_t rank = 0;
    OrtTensorTypeAndShapeInfo *info = NULL;
    OrtStatus *status = library->api->GetTensorTypeAndShape(value, &info);
    if (!status)
        status = read_shape(library->api, info, tensor, &rank);
    if (info)
        library->api->ReleaseTensorTypeAndShapeInfo(info);
    if (status)
        return onnx_status(library, status, ERR_INTERNAL, "an output is no tensor", err);
    if (rank > TENSOR_RANK_MAX)
        return err_set(err, ERR_UNSUPPORTED, "output '%s' has %zu dimensions, the limit is %d",
                       tensor->name, rank, TENSOR_RANK_MAX);
    if (tensor->dtype == DTYPE_COUNT)
        return err_set(err, ERR_UNSUPPORTED, "output '%s' is of a type that has no name here",
                       tensor->name);
    return ERR_OK;
}

/* Texts stand behind one another in one block, `offsets` says where each begins. */
static enum err_code read_texts(const struct onnx_library *library, OrtValue *value,
                                size_t elements, struct arena *arena, struct tensor *tensor,
                                struct err *err)
{
    size_t bytes = 0;
    OrtStatus *status = library->api->GetStringTensorDataLength(value, &bytes);
    char *block = status ? NULL : arena_alloc(arena, bytes + 1);
    size_t *offsets = arena_calloc(arena, elements + 1, sizeof(*offsets));
    struct str *texts = arena_calloc(arena, elements + 1, sizeof(*texts));
    if (!status && (!block || !offsets || !texts))
        return no_room(tensor->name, err);
    if (!status && elements)
        status = library->api->GetStringTensorContent(value, block, bytes, offsets, elements);
    if (status)
        return onnx_status(library, status, ERR_INTERNAL, "reading an output of texts", err);
    offsets[elements] = bytes;
    for (size_t i = 0; i < elements; i++)
        texts[i] = (struct str){block + offsets[i], offsets[i + 1] - offsets[i]};
    tensor->data = texts;
    return ERR_OK;
}

static enum err_code read_numbers(const struct onnx_library *library, OrtValue *value,
                                  size_t elements, struct arena *arena, struct tensor *tensor,
                                  struct err *err)
{
    void *from = NULL;
    size_t bytes = elements * dtype_bytes(tensor->dtype);
    OrtStatus *status = library->api->GetTensorMutableData(value, &from);
    if (status)
        return onnx_status(library, status, ERR_INTERNAL, "reading an output", err);
    tensor->data = arena_alloc_aligned(arena, bytes, ARENA_ALIGN_MAX);
    if (!tensor->data)
        return no_room(tensor->name, err);
    if (bytes)
        memcpy(tensor->data, from, bytes);
    return ERR_OK;
}

enum err_code onnx_value_read(const struct onnx_library *library, OrtValue *value,
                              struct arena *arena, struct tensor *tensor, struct err *err)
{
    static char nothing[1];
    int has_value = 1;
    enum err_code rc = onnx_status(library, library->api->HasValue(value, &has_value), ERR_INTERNAL,
                                   "looking at an output", err);
    if (!rc && !has_value) {
        tensor->rank = 1;
        tensor->shape[0] = 0;
        tensor->data = nothing;
        return ERR_OK;
    }
    if (!rc)
        rc = describe_value(library, value, tensor, err);
    if (rc)
        return rc;
    int64_t elements = tensor_elements(tensor->shape, tensor->rank);
    if (elements < 0)
        return err_set(err, ERR_INTERNAL, "output '%s' has no possible shape", tensor->name);
    if (tensor->dtype == DTYPE_BYTES)
        return read_texts(library, value, (size_t)elements, arena, tensor, err);
    return read_numbers(library, value, (size_t)elements, arena, tensor, err);
}
