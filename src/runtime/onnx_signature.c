/* onnx_signature.c - what a session takes and gives, as a signature. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "runtime/onnx_model.h"
#include "runtime/onnx_value.h"

/* One of the session's three lists. */
struct list {
    const char *noun;
    size_t count_max;
    OrtStatus *(*count)(const OrtSession *session, size_t *count);
    OrtStatus *(*name)(const OrtSession *session, size_t index, OrtAllocator *allocator,
                       char **name);
    OrtStatus *(*type)(const OrtSession *session, size_t index, OrtTypeInfo **type);
};

static enum err_code list_size(const struct onnx_model *m, const struct list *list, size_t *count,
                               struct err *err)
{
    enum err_code rc =
        onnx_status(m->library, list->count(m->session, count), ERR_INTERNAL, list->noun, err);
    if (!rc && *count > list->count_max)
        rc = err_set(err, ERR_LIMIT, "the model has %zu %ss, the limit is %zu", *count, list->noun,
                     list->count_max);
    return rc;
}

static enum err_code copy_name(struct onnx_model *m, const struct list *list, size_t index,
                               const char **name, struct err *err)
{
    char *text = NULL;
    enum err_code rc =
        onnx_status(m->library, list->name(m->session, index, m->library->allocator, &text),
                    ERR_INTERNAL, list->noun, err);
    if (rc)
        return rc;
    *name = arena_copy(m->texts, text, strlen(text));
    OrtStatus *status = m->library->api->AllocatorFree(m->library->allocator, text);
    if (status)
        m->library->api->ReleaseStatus(status);
    return *name ? ERR_OK
                 : err_set(err, ERR_LIMIT, "the names of the model's tensors are too long");
}

/* --- types ----------------------------------------------------------------------------- */

static OrtStatus *read_dims(const OrtApi *api, const OrtTensorTypeAndShapeInfo *info,
                            struct signature_tensor *t)
{
    size_t rank = 0;
    ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    OrtStatus *status = api->GetTensorElementType(info, &type);
    if (!status)
        status = api->GetDimensionsCount(info, &rank);
    if (!status && rank <= TENSOR_RANK_MAX)
        status = api->GetDimensions(info, t->shape, rank);
    t->dtype = onnx_dtype(type);
    t->rank = (int)rank;
    for (size_t i = 0; i < rank && i < TENSOR_RANK_MAX; i++)
        if (t->shape[i] < 0)
            t->shape[i] = -1;
    return status;
}

/* The tensor that a type is, or may be; *info NULL when it is something else. Borrowed. */
static OrtStatus *tensor_of_type(const OrtApi *api, const OrtTypeInfo *type, OrtTypeInfo **inner,
                                 const OrtTensorTypeAndShapeInfo **info)
{
    enum ONNXType kind = ONNX_TYPE_UNKNOWN;
    const OrtOptionalTypeInfo *optional = NULL;
    *info = NULL;
    OrtStatus *status = api->GetOnnxTypeFromTypeInfo(type, &kind);
    if (!status && kind == ONNX_TYPE_TENSOR)
        return api->CastTypeInfoToTensorInfo(type, info);
    if (status || kind != ONNX_TYPE_OPTIONAL)
        return status;
    status = api->CastTypeInfoToOptionalTypeInfo(type, &optional);
    if (!status)
        status = api->GetOptionalContainedTypeInfo(optional, inner);
    if (!status)
        status = api->GetOnnxTypeFromTypeInfo(*inner, &kind);
    if (!status && kind == ONNX_TYPE_TENSOR)
        status = api->CastTypeInfoToTensorInfo(*inner, info);
    return status;
}

/* *is_ours false: no tensor, or of elements or with dimensions that have no place here. */
static enum err_code read_type(const struct onnx_model *m, const struct list *list, size_t index,
                               struct signature_tensor *t, bool *is_ours, struct err *err)
{
    const OrtApi *api = m->library->api;
    OrtTypeInfo *type = NULL, *inner = NULL;
    const OrtTensorTypeAndShapeInfo *info = NULL;
    OrtStatus *status = list->type(m->session, index, &type);
    if (!status)
        status = tensor_of_type(api, type, &inner, &info);
    if (!status && info)
        status = read_dims(api, info, t);
    if (inner)
        api->ReleaseTypeInfo(inner);
    if (type)
        api->ReleaseTypeInfo(type);
    *is_ours = info && t->dtype < DTYPE_COUNT && t->rank <= TENSOR_RANK_MAX;
    return onnx_status(m->library, status, ERR_INTERNAL, list->noun, err);
}

/* --- inputs ------------------------------------------------------------------------------- */

static enum err_code take_inputs(struct onnx_model *m, const struct list *list, size_t count,
                                 bool is_optional, struct err *err)
{
    enum err_code rc = ERR_OK;
    for (size_t i = 0; !rc && i < count; i++) {
        struct signature_tensor *t = &m->inputs[m->signature.input_count++];
        bool is_ours = false;
        *t = (struct signature_tensor){.is_optional = is_optional};
        rc = copy_name(m, list, i, &t->name, err);
        if (!rc)
            rc = read_type(m, list, i, t, &is_ours, err);
        if (!rc && !is_ours)
            rc = err_set(err, ERR_UNSUPPORTED,
                         "input '%s' is not a tensor of a type that a request can carry", t->name);
    }
    return rc;
}

/* Those that a request must give, and after them the weights that it may give. */
static enum err_code take_all_inputs(struct onnx_model *m, const struct list *inputs,
                                     const struct list *presets, struct err *err)
{
    size_t count = 0, preset_count = 0;
    enum err_code rc = list_size(m, inputs, &count, err);
    if (!rc)
        rc = list_size(m, presets, &preset_count, err);
    if (rc)
        return rc;
    m->inputs = arena_calloc(m->texts, count + preset_count, sizeof(*m->inputs));
    if (!m->inputs || count + preset_count > RUNTIME_INPUTS_MAX)
        return err_set(err, ERR_LIMIT, "the model has %zu inputs, the limit is %d",
                       count + preset_count, RUNTIME_INPUTS_MAX);
    rc = take_inputs(m, inputs, count, false, err);
    return rc ? rc : take_inputs(m, presets, preset_count, true, err);
}

/* --- outputs ------------------------------------------------------------------------------ */

static enum err_code take_output(struct onnx_model *m, const struct list *list,
                                 const struct onnx_file *file, size_t index, struct err *err)
{
    struct signature *s = &m->signature;
    struct signature_tensor *t = &m->outputs[s->output_count];
    bool is_ours = false;
    *t = (struct signature_tensor){0};
    enum err_code rc = copy_name(m, list, index, &t->name, err);
    if (!rc)
        rc = read_type(m, list, index, t, &is_ours, err);
    if (rc || !is_ours)
        return rc;
    const struct onnx_output *output = onnx_file_output(file, t->name);
    m->output_names[s->output_count] = t->name;
    m->is_unshaped[s->output_count] = t->rank == 0 && output && !output->has_shape;
    if (output && output->zipped.ptr) {
        t->rank = 2;
        t->shape[0] = -1;
        t->shape[1] = output->class_count;
    }
    s->output_count++;
    return ERR_OK;
}

static enum err_code take_outputs(struct onnx_model *m, const struct list *list,
                                  const struct onnx_file *file, struct err *err)
{
    size_t count = 0;
    enum err_code rc = list_size(m, list, &count, err);
    for (size_t i = 0; !rc && i < count; i++)
        rc = take_output(m, list, file, i, err);
    if (!rc && m->signature.output_count == 0) {
        err_set(err, ERR_UNSUPPORTED,
                "none of the model's %zu outputs is a tensor of a type that a "
                "reply can carry",
                count);
        err_hint(err, "sequences, maps, complex numbers and 8-bit floats have no place in the Open "
                      "Inference Protocol");
        rc = err->code;
    }
    return rc;
}

/* --- together ------------------------------------------------------------------------------- */

static const char *detail_of(struct onnx_model *m, const struct onnx_file *file)
{
    char from[160] = "";
    if (file->producer.len > 0 && file->producer.len < 64 && file->producer_version.len < 64)
        snprintf(from, sizeof(from), ", from %.*s %.*s", STR_ARG(file->producer),
                 STR_ARG(file->producer_version));
    return arena_printf(m->texts, "%d nodes, opset %lld, ONNX Runtime %s%s", file->node_count,
                        (long long)file->opset, m->library->version, from);
}

enum err_code onnx_describe(struct onnx_model *m, const struct onnx_file *file, struct err *err)
{
    const OrtApi *api = m->library->api;
    const struct list inputs = {"input", RUNTIME_INPUTS_MAX, api->SessionGetInputCount,
                                api->SessionGetInputName, api->SessionGetInputTypeInfo};
    const struct list presets = {
        "input", RUNTIME_INPUTS_MAX, api->SessionGetOverridableInitializerCount,
        api->SessionGetOverridableInitializerName, api->SessionGetOverridableInitializerTypeInfo};
    const struct list outputs = {"output", RUNTIME_TENSORS_MAX, api->SessionGetOutputCount,
                                 api->SessionGetOutputName, api->SessionGetOutputTypeInfo};
    struct signature *s = &m->signature;
    enum err_code rc = take_all_inputs(m, &inputs, &presets, err);
    if (!rc)
        rc = take_outputs(m, &outputs, file, err);
    if (rc)
        return rc;
    s->platform = "onnx_onnxv1";
    s->inputs = m->inputs;
    s->outputs = m->outputs;
    s->place = RUNTIME_LANE;
    s->class_count = 1;
    s->objective = "";
    s->detail = detail_of(m, file);
    return s->detail ? ERR_OK : err_set(err, ERR_LIMIT, "the model's names are too long");
}
