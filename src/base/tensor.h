/* tensor.h - a named, typed, row-major array: what goes into and out of a model. */
#ifndef SLIPWAY_BASE_TENSOR_H
#define SLIPWAY_BASE_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum { TENSOR_RANK_MAX = 8 };

/* The Open Inference Protocol's datatypes. BYTES elements are struct str in memory. */
enum dtype {
    DTYPE_BOOL,
    DTYPE_U8,
    DTYPE_U16,
    DTYPE_U32,
    DTYPE_U64,
    DTYPE_I8,
    DTYPE_I16,
    DTYPE_I32,
    DTYPE_I64,
    DTYPE_F16,
    DTYPE_BF16,
    DTYPE_F32,
    DTYPE_F64,
    DTYPE_BYTES,
    DTYPE_COUNT,
};

struct tensor {
    const char *name; /* as in the model's contract */
    enum dtype dtype;
    int rank;                       /* 0..TENSOR_RANK_MAX; 0 is a scalar */
    int64_t shape[TENSOR_RANK_MAX]; /* outermost first; shape[0] is the batch */
    void *data;                     /* row-major, owned by the request's arena */
};

/* "FP32", "INT64", "BYTES", ... as the Open Inference Protocol writes them. */
const char *dtype_name(enum dtype dtype);

/* The dtype of that name, or DTYPE_COUNT when there is none. */
enum dtype dtype_find(struct str name);

/* Bytes of one element on the wire; 0 for BYTES, whose elements vary. */
size_t dtype_bytes(enum dtype dtype);

/* Bytes of one element in memory: the same, and sizeof(struct str) for BYTES. */
size_t dtype_memory_bytes(enum dtype dtype);

/* Product of shape, or -1 when a dimension is negative or the product overflows int64. */
int64_t tensor_elements(const int64_t *shape, int rank);

#endif
