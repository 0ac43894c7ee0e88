/* onnx_file.h - a bounded look into an ONNX file before ONNX Runtime gets it.
 *
 *     ModelProto { ir_version = 1, producer_name = 2, producer_version = 3, graph = 7,
 *                  opset_import = 8, functions = 25 }
 *     GraphProto { node = 1, initializer = 5, input = 11, output = 12, sparse_initializer = 15 }
 *     NodeProto  { input = 1, output = 2, name = 3, op_type = 4, attribute = 5, domain = 7 }
 *
 * It refuses what must not reach the library: data in other files, operators that are native code
 * of somebody else, tensors whose bytes do not match their shape, nesting past a depth. And it
 * learns what a session does not tell: which operator makes each output, and where maps are made
 * that are better given as tensors.
 *
 * Source: onnx/onnx.proto of ONNX 1.17; unknown fields are passed over.
 */
#ifndef SLIPWAY_RUNTIME_ONNX_FILE_H
#define SLIPWAY_RUNTIME_ONNX_FILE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define ONNX_FILE_BYTES_MAX ((size_t)INT32_MAX) /* of a protobuf message */

enum {
    ONNX_OUTPUTS_MAX = 64,
    ONNX_SAMPLES_MAX = 64,
    ONNX_NODES_MAX = 1 << 20,
    ONNX_DEPTH_MAX =
        64, /* messages inside messages; a graph inside a node's attribute takes three */
    ONNX_FUNCTION_DOMAINS_MAX = 64,
};

/* An output of the outermost graph. Texts point into the file. */
struct onnx_output {
    struct str name;
    struct str op; /* the operator that makes it: "Softmax"; empty: none, or one in no graph here */
    bool has_shape;

    /* op is ZipMap: the tensor [rows, class_count] that it makes maps of, one map a row. */
    struct str zipped;
    int class_count;
};

/* A text that an encoder of categories takes from an input of the graph. */
struct onnx_sample {
    struct str input, text;
};

struct onnx_file {
    int64_t ir_version, opset;
    struct str producer, producer_version;
    int node_count;       /* in all graphs */
    bool has_free_shapes; /* an input's, besides its rows */
    bool has_graphs;      /* loops and branches: time depends on more than shapes */
    bool has_zipmap;      /* at an output */
    int output_count;
    struct onnx_output outputs[ONNX_OUTPUTS_MAX];
    int sample_count; /* those past the limit are not looked at */
    struct onnx_sample samples[ONNX_SAMPLES_MAX];
};

/* Could these first bytes, or all bytes, be an ONNX model? */
bool onnx_recognise(const void *head, size_t size);

/* ERR_INVALID, ERR_LIMIT or ERR_UNSUPPORTED name the place. */
enum err_code onnx_file_read(struct str bytes, struct onnx_file *file, struct err *err);

/* What the file says of a session's output, by its name there; NULL when it says nothing. */
const struct onnx_output *onnx_file_output(const struct onnx_file *file, const char *name);

/* The same model without its ZipMaps: the outputs they make are replaced by the tensors they read,
 * under those tensors' names. What `zipmap=False` of skl2onnx gives. Only when has_zipmap. `out` is
 * initialised here; free with buf_done, also after a failure. */
enum err_code onnx_file_unzip(struct str bytes, const struct onnx_file *file, struct buf *out,
                              struct err *err);

#endif
