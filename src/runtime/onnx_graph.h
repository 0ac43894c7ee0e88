/* onnx_graph.h - an ONNX file's graph as its bytes have it: operators, constants, inputs, outputs.
 *
 * For runtimes that run some operators themselves. Texts and attributes point into the file;
 * everything else lives in the arena. Nothing here knows what an operator does.
 *
 *     ModelProto 7: graph   8: opset_import {1: domain, 2: version}   2: producer_name   3: its
 * version GraphProto 1: node    5: initializer   11: input   12: output   15: sparse_initializer
 *     NodeProto  1: input   2: output   3: name   4: op_type   5: attribute   7: domain
 *
 * Source: github.com/onnx/onnx, onnx.proto.
 */
#ifndef SLIPWAY_RUNTIME_ONNX_GRAPH_H
#define SLIPWAY_RUNTIME_ONNX_GRAPH_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "base/tensor.h"

enum {
    ONNX_GRAPH_NODES_MAX = 4096,
    ONNX_VALUES_MAX = 4096, /* inputs, outputs, constants: of each */
    ONNX_EDGES_MAX = 1024,  /* inputs or outputs of one node */
    ONNX_RANK_MAX = 8,
    ONNX_ELEMENTS_MAX = 1 << 26, /* of one constant or attribute */
};

/* TensorProto.DataType, those that matter here. */
enum onnx_type {
    ONNX_NONE = 0,
    ONNX_FLOAT = 1,
    ONNX_UINT8 = 2,
    ONNX_INT32 = 6,
    ONNX_INT64 = 7,
    ONNX_STRING = 8,
    ONNX_BOOL = 9,
    ONNX_DOUBLE = 11,
};

struct onnx_node {
    int index;             /* in the file, for messages */
    struct str op, domain; /* domain empty: ai.onnx */
    int input_count, output_count;
    const struct str *inputs, *outputs;
    int attribute_count;
    const struct str *attributes; /* AttributeProto */
};

/* An input or output of the graph. */
struct onnx_value {
    struct str name;
    bool is_tensor;
    enum onnx_type type;
    int rank;                     /* -1: not known */
    int64_t shape[ONNX_RANK_MAX]; /* -1: any */
};

/* A constant tensor; `bytes` is its TensorProto. */
struct onnx_constant {
    struct str name, bytes;
    enum onnx_type type;
    int rank;
    int64_t shape[ONNX_RANK_MAX], count;
};

struct onnx_graph {
    struct str producer, producer_version;
    int64_t version, ml_version; /* of the operator sets; 0: not used */
    int node_count, input_count, output_count, constant_count;
    const struct onnx_node *nodes;
    const struct onnx_value *inputs, *outputs; /* inputs without those that are constants */
    const struct onnx_constant *constants;
};

/* Could these bytes be one? */
bool onnx_graph_recognise(const void *bytes, size_t size);

/* ERR_INVALID for broken bytes, ERR_LIMIT past the limits above or the arena. */
enum err_code onnx_graph_read(struct str bytes, struct arena *arena, struct onnx_graph *graph,
                              struct err *err);

bool onnx_is(const struct onnx_node *node, const char *op); /* of either domain */
const struct onnx_constant *onnx_find_constant(const struct onnx_graph *graph, struct str name);

/* The attribute of that name; false when there is none. The _opt forms leave *out alone then. */
bool onnx_has(const struct onnx_node *node, const char *name);
enum err_code onnx_int_opt(const struct onnx_node *node, const char *name, int64_t *out,
                           struct err *err);
enum err_code onnx_float_opt(const struct onnx_node *node, const char *name, float *out,
                             struct err *err);
enum err_code onnx_text_opt(const struct onnx_node *node, const char *name, struct str *out,
                            struct err *err);

/* Lists; count 0 when there is none. */
enum err_code onnx_ints(const struct onnx_node *node, const char *name, struct arena *arena,
                        const int64_t **out, size_t *count, struct err *err);
enum err_code onnx_floats(const struct onnx_node *node, const char *name, struct arena *arena,
                          const float **out, size_t *count, struct err *err);
enum err_code onnx_texts(const struct onnx_node *node, const char *name, struct arena *arena,
                         const struct str **out, size_t *count, struct err *err);
enum err_code onnx_tensor_opt(const struct onnx_node *node, const char *name,
                              struct onnx_constant *out, struct err *err);

/* A constant's elements, converted when they are of another kind of number. */
enum err_code onnx_constant_floats(const struct onnx_constant *constant, struct arena *arena,
                                   const float **out, struct err *err);
enum err_code onnx_constant_doubles(const struct onnx_constant *constant, struct arena *arena,
                                    const double **out, struct err *err);
enum err_code onnx_constant_ints(const struct onnx_constant *constant, struct arena *arena,
                                 const int64_t **out, struct err *err);
enum err_code onnx_constant_texts(const struct onnx_constant *constant, struct arena *arena,
                                  const struct str **out, struct err *err);

/* OIP's dtype, DTYPE_COUNT when it is none of those above. */
enum dtype onnx_graph_dtype(enum onnx_type type);

#endif
