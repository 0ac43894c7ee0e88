/* oip.h - the Open Inference Protocol's request as parsed, before any model is known.
 *
 *     POST /v2/models/{model}[/versions/{version}]/infer
 *     { id?, parameters?, inputs: [{name, shape, datatype, parameters?, data}], outputs?: [{name}]
 * }
 *
 * With the binary tensor extension the body is that JSON (its length in the header
 * Inference-Header-Content-Length) followed by the bytes of each input that carries
 * parameters.binary_data_size instead of data, in the order of the inputs:
 *
 *     +-----------------+---------------+---------------+
 *     | JSON            | input 0 bytes | input 2 bytes |   little-endian, row-major;
 *     +-----------------+---------------+---------------+   BYTES: u32 length + bytes each
 */
#ifndef SLIPWAY_API_OIP_H
#define SLIPWAY_API_OIP_H

#include "base/json.h"
#include "base/tensor.h"
#include "contract/contract.h"
#include "runtime/runtime.h"

enum {
    OIP_INPUTS_MAX = CONTRACT_FIELDS_MAX,
    OIP_OUTPUTS_MAX = RUNTIME_TENSORS_MAX,
    OIP_CLASSES_MAX = 1000 * 1000, /* best classes that may be asked for */
};

/* Part of a region of shared memory (oip_memory.h) that a tensor is in, or is to be put into. */
struct oip_region {
    struct str name; /* ptr NULL: none */
    uint64_t offset, size;
};

struct oip_input {
    struct str name;
    enum dtype dtype;
    int rank;
    int64_t shape[TENSOR_RANK_MAX];
    int64_t element_count;
    yyjson_val *data; /* JSON form; NULL when binary */
    float *floats;    /* [element_count], 64-byte aligned, when oip_scan has read them; else NULL */
    struct str binary;        /* binary form */
    struct oip_region region; /* where that has to be read from */
};

struct oip_output {
    struct str name;
    bool is_binary;
    struct oip_region region; /* where it goes instead of the reply */
    int class_count; /* parameters.classification: the best classes as texts; 0: the tensor itself
                      */
};

struct oip_request {
    struct str id; /* ptr NULL: none */
    int input_count, output_count;
    struct oip_input *inputs;
    struct oip_output *outputs; /* [output_count]; 0: all usual ones */
    bool is_binary_default;     /* parameters.binary_data_output */
    bool is_raw;                /* the body is the one input, which has no name, datatype and shape
                                   of its own: oip_name_raw */
    yyjson_val *parameters;     /* of the request; NULL: none */
};

/* With 0 in that header the whole body is the model's only input.
 *
 * Parse body and header. Texts and data live in `arena` or in `body`. ERR_INVALID names the input
 * and what was expected. */
enum err_code oip_parse(struct str body, struct str header_length, struct arena *arena,
                        struct oip_request *request, struct err *err);

/* Has the binary form the size that shape and datatype need? */
enum err_code oip_check_binary(const struct oip_input *input, struct err *err);

/* The usual request, read in one pass: one FP32 input with flat data, perhaps an id. False:
 * something is not as usual (or wrong), *request is void, and oip_parse has to read it. Agrees with
 * oip_parse to the bit; the texts live in `body`. */
bool oip_scan(struct str body, struct arena *arena, struct oip_request *request);

/* "[2,30]" for messages. `out` has OIP_SHAPE_BYTES. */
enum { OIP_SHAPE_BYTES = 128 };
const char *oip_shape_text(const int64_t *shape, int rank, char *out);

#endif
