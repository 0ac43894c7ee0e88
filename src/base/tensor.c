/* tensor.c - the datatypes' names and sizes, and the element count of a shape. */
#include "base/tensor.h"

#include "base/check.h"

static const struct {
    const char *name;
    size_t bytes;
} dtypes[DTYPE_COUNT] = {
    [DTYPE_BOOL] = {"BOOL", 1},  [DTYPE_U8] = {"UINT8", 1},    [DTYPE_U16] = {"UINT16", 2},
    [DTYPE_U32] = {"UINT32", 4}, [DTYPE_U64] = {"UINT64", 8},  [DTYPE_I8] = {"INT8", 1},
    [DTYPE_I16] = {"INT16", 2},  [DTYPE_I32] = {"INT32", 4},   [DTYPE_I64] = {"INT64", 8},
    [DTYPE_F16] = {"FP16", 2},   [DTYPE_BF16] = {"BF16", 2},   [DTYPE_F32] = {"FP32", 4},
    [DTYPE_F64] = {"FP64", 8},   [DTYPE_BYTES] = {"BYTES", 0},
};

const char *dtype_name(enum dtype dtype)
{
    assert(dtype < DTYPE_COUNT);
    return dtypes[dtype].name;
}

enum dtype dtype_find(struct str name)
{
    enum dtype dtype = 0;
    while (dtype < DTYPE_COUNT && !str_equal_c(name, dtypes[dtype].name))
        dtype++;
    return dtype;
}

size_t dtype_bytes(enum dtype dtype)
{
    assert(dtype < DTYPE_COUNT);
    return dtypes[dtype].bytes;
}

size_t dtype_memory_bytes(enum dtype dtype)
{
    return dtype == DTYPE_BYTES ? sizeof(struct str) : dtype_bytes(dtype);
}

int64_t tensor_elements(const int64_t *shape, int rank)
{
    int64_t elements = 1;
    bool is_empty = false;
    for (int i = 0; i < rank; i++) {
        if (shape[i] < 0)
            return -1;
        is_empty = is_empty || shape[i] == 0;
    }
    if (is_empty)
        return 0;
    for (int i = 0; i < rank; i++) {
        if (__builtin_mul_overflow(elements, shape[i], &elements))
            return -1;
    }
    return elements;
}
