/* onnx_model.h - one loaded ONNX model, as the files of this runtime share it. */
#ifndef SLIPWAY_RUNTIME_ONNX_MODEL_H
#define SLIPWAY_RUNTIME_ONNX_MODEL_H

#include "runtime/onnx_file.h"
#include "runtime/onnx_library.h"
#include "runtime/runtime.h"

enum { ONNX_MAGIC = 0x4f4e4e58, ONNX_TEXTS_BYTES_MAX = 1 << 20 };

struct onnx_model {
    uint32_t magic;
    const struct onnx_library *library;
    OrtSession *session; /* any number of threads may run it */
    struct arena *texts; /* owns what the signature points to */
    struct signature signature;
    struct signature_tensor *inputs; /* [signature.input_count], in `texts` */
    struct signature_tensor outputs[RUNTIME_TENSORS_MAX];
    const char *output_names[RUNTIME_TENSORS_MAX]; /* the session's, in the order of `outputs` */
    bool is_unshaped[RUNTIME_TENSORS_MAX];         /* outputs whose shape nobody declares */

    /* The shape of every output follows from the rows of the first input: numbers, independent
     * rows, all dimensions but the first fixed. Then outputs are made ahead, in the arena. */
    bool is_predictable;
    size_t heap_bytes;
};

/* --- onnx_signature.c --- */

/* Names, types and shapes of the session's inputs and outputs into model->signature. */
enum err_code onnx_describe(struct onnx_model *model, const struct onnx_file *file,
                            struct err *err);

/* --- onnx_trial.c --- */

/* Run the model on made-up rows to learn what no file says: how long a row takes, whether rows are
 * independent of each other, which output holds probabilities. Fills signature.place,
 * batch_rows_max, answer, class_count, is_probability and feature_count. A model that cannot answer
 * such rows is left as it is: on a lane, never joined, not tabular. */
void onnx_try(struct onnx_model *model, const struct onnx_file *file);

/* --- onnx.c --- */

/* Run the session. */
enum err_code onnx_run(const struct onnx_model *model, struct runtime_call *call, struct err *err);

#endif
