/* onnx_signature.c - what a session takes and gives, as a signature. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "runtime/onnx_model.h"
#include "runtime/onnx_value.h"

/* One of the session's three lists. */
struct list {
    const char *noun;
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
    if (!rc && *count > RUNTIME_TENSORS_MAX)
        rc = err_set(err, ERR_LIMIT, "the model has %zu %ss, the limit is %d", *count, list->noun,
                     RUNTIME_TENSORS_MAX);
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

static enum err_code take_inputs(struct onnx_model *m, const struct list *list, bool is_optional,
                                 struct err *err)
{
    size_t count = 0;
    struct signature *s = &m->signature;
    enum err_code rc = list_size(m, list, &count, err);
    for (size_t i = 0; !rc && i < count; i++) {
        if (s->input_count == RUNTIME_TENSORS_MAX)
            return err_set(err, ERR_LIMIT, "the model has more than %d inputs",
                           RUNTIME_TENSORS_MAX);
        struct signature_tensor *t = &m->inputs[s->input_count++];
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

/* --- outputs ------------------------------------------------------------------------------ */

/* What the file says of a session's output. */
static const struct onnx_output *output_in_file(const struct onnx_file *file, const char *name)
{
    struct str wanted = str_of(name);
    for (int i = 0; i < file->output_count; i++) {
        const struct onnx_output *output = &file->outputs[i];
        if (str_equal(output->zipped.ptr ? output->zipped : output->name, wanted))
            return output;
    }
    return NULL;
}

/* The tensor a ZipMap read goes by the name of the maps it made. */
static enum err_code rename_zipped(struct onnx_model *m, const struct onnx_output *output,
                                   struct signature_tensor *t, struct err *err)
{
    t->rank = 2;
    t->shape[0] = -1;
    t->shape[1] = output->class_count;
    t->name = arena_copy(m->texts, output->name.ptr, output->name.len);
    return t->name ? ERR_OK : err_set(err, ERR_LIMIT, "an output's name is too long");
}

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
    const struct onnx_output *output = output_in_file(file, t->name);
    m->output_names[s->output_count] = t->name;
    m->is_unshaped[s->output_count] = t->rank == 0 && output && !output->has_shape;
    if (output && output->zipped.ptr)
        rc = rename_zipped(m, output, t, err);
    s->output_count++;
    return rc;
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

void onnx_output_first(struct onnx_model *m, int index)
{
    assert(index >= 0 && index < m->signature.output_count);
    struct signature_tensor output = m->outputs[index];
    const char *name = m->output_names[index];
    bool is_unshaped = m->is_unshaped[index];
    for (int i = index; i > 0; i--) {
        m->outputs[i] = m->outputs[i - 1];
        m->output_names[i] = m->output_names[i - 1];
        m->is_unshaped[i] = m->is_unshaped[i - 1];
    }
    m->outputs[0] = output;
    m->output_names[0] = name;
    m->is_unshaped[0] = is_unshaped;
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
    const struct list inputs = {"input", api->SessionGetInputCount, api->SessionGetInputName,
                                api->SessionGetInputTypeInfo};
    const struct list presets = {"input", api->SessionGetOverridableInitializerCount,
                                 api->SessionGetOverridableInitializerName,
                                 api->SessionGetOverridableInitializerTypeInfo};
    const struct list outputs = {"output", api->SessionGetOutputCount, api->SessionGetOutputName,
                                 api->SessionGetOutputTypeInfo};
    struct signature *s = &m->signature;
    enum err_code rc = take_inputs(m, &inputs, false, err);
    if (!rc)
        rc = take_inputs(m, &presets, true, err);
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
