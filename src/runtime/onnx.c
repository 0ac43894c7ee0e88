/* onnx.c - loading an ONNX model into a session, and running it. */
#include "runtime/onnx.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "runtime/onnx_apart.h"
#include "runtime/onnx_model.h"
#include "runtime/onnx_value.h"
#include "runtime/onnx_watch.h"

/* --- running ------------------------------------------------------------------------------ */

/* Everything of one call, so that there is one place to give it back. */
struct run {
    const struct onnx_model *model;
    const char *input_names[RUNTIME_INPUTS_MAX], *output_names[RUNTIME_TENSORS_MAX];
    OrtValue *inputs[RUNTIME_INPUTS_MAX], *outputs[RUNTIME_TENSORS_MAX];
    int output_of[RUNTIME_TENSORS_MAX]; /* the signature's index of each wanted output */
    int input_count, output_count;
    OrtRunOptions *options;
};

static void run_done(struct run *run)
{
    const OrtApi *api = run->model->library->api;
    for (int i = 0; i < run->input_count; i++)
        api->ReleaseValue(run->inputs[i]);
    for (int i = 0; i < run->output_count; i++)
        if (run->outputs[i])
            api->ReleaseValue(run->outputs[i]);
    if (run->options)
        api->ReleaseRunOptions(run->options);
}

static enum err_code check_input(const struct signature_tensor *want, const struct tensor *got,
                                 struct err *err)
{
    bool fits = got->rank == want->rank;
    if (got->dtype != want->dtype)
        return err_set(err, ERR_INVALID, "input '%s' is %s, the model takes %s", want->name,
                       dtype_name(got->dtype), dtype_name(want->dtype));
    for (int i = 0; fits && i < want->rank; i++)
        fits = got->shape[i] >= 0 && (want->shape[i] < 0 || got->shape[i] == want->shape[i]);
    if (!fits || tensor_elements(got->shape, got->rank) < 0)
        return err_set(err, ERR_INVALID, "input '%s' does not have the model's shape", want->name);
    return ERR_OK;
}

static enum err_code take_inputs(struct run *run, const struct runtime_call *call, struct err *err)
{
    const struct onnx_model *m = run->model;
    enum err_code rc = ERR_OK;
    for (int i = 0; !rc && i < m->signature.input_count; i++) {
        const struct signature_tensor *want = &m->inputs[i];
        bool is_given = i < call->in_count && call->in[i].data;
        if (!is_given && want->is_optional)
            continue;
        if (!is_given)
            return err_set(err, ERR_INVALID, "input '%s' is missing", want->name);
        rc = check_input(want, &call->in[i], err);
        if (rc)
            return rc;
        run->input_names[run->input_count] = want->name;
        run->inputs[run->input_count] = NULL;
        rc = onnx_value_new(m->library, &call->in[i], &run->inputs[run->input_count++], err);
    }
    return rc;
}

static void choose_outputs(struct run *run, const struct runtime_call *call)
{
    const struct onnx_model *m = run->model;
    for (int i = 0; i < m->signature.output_count; i++) {
        bool is_wanted = call->wanted ? call->wanted[i] : !m->outputs[i].is_on_request;
        if (!is_wanted)
            continue;
        run->output_of[run->output_count] = i;
        run->output_names[run->output_count++] = m->output_names[i];
    }
}

/* Outputs whose shape is known before they are computed are computed in place. */
static enum err_code make_outputs(struct run *run, struct runtime_call *call, struct err *err)
{
    const struct onnx_model *m = run->model;
    enum err_code rc = ERR_OK;
    for (int i = 0; !rc && i < run->output_count; i++) {
        const struct signature_tensor *of = &m->outputs[run->output_of[i]];
        struct tensor *out = &call->out[i];
        *out = (struct tensor){.name = of->name, .dtype = of->dtype, .rank = of->rank};
        memcpy(out->shape, of->shape, (size_t)of->rank * sizeof(of->shape[0]));
        out->shape[0] = call->in[0].shape[0];
        rc = onnx_value_ahead(m->library, call->arena, out, &run->outputs[i], err);
    }
    return rc;
}

static enum err_code code_of(const OrtApi *api, const OrtStatus *status)
{
    if (api->GetErrorCode(status) == ORT_INVALID_ARGUMENT)
        return ERR_INVALID;
    if (strstr(api->GetErrorMessage(status), "llocate"))
        return ERR_LIMIT; /* "Failed to allocate memory for requested buffer of size ..." */
    return ERR_INTERNAL;
}

static enum err_code session_run(struct run *run, struct err *err)
{
    const struct onnx_library *library = run->model->library;
    OrtStatus *status = library->api->Run(
        run->model->session, run->options, run->input_names, (const OrtValue *const *)run->inputs,
        (size_t)run->input_count, run->output_names, (size_t)run->output_count, run->outputs);
    if (!status)
        return ERR_OK;
    return onnx_status(library, status, code_of(library->api, status),
                       "ONNX Runtime cannot compute this request", err);
}

/* A call that somebody may end before it is done. */
static enum err_code run_watched(struct run *run, const struct runtime_call *call, struct err *err)
{
    const struct onnx_library *library = run->model->library;
    struct onnx_watched watched = {
        .library = library,
        .deadline_ns = call->deadline_ns,
        .is_cancelled = call->is_cancelled,
    };
    enum err_code ended = onnx_watch_verdict(call->deadline_ns, call->is_cancelled), rc = ended;
    if (!ended) {
        rc = onnx_status(library, library->api->CreateRunOptions(&run->options), ERR_INTERNAL,
                         "ONNX Runtime has no options for a call", err);
        if (rc)
            return rc;
        watched.options = run->options;
        onnx_watch_begin(&watched);
        rc = session_run(run, err);
        onnx_watch_end(&watched);
        ended = watched.ended;
    }
    if (rc && ended == ERR_TIMEOUT)
        return err_set(err, ERR_TIMEOUT, "the deadline passed before the model had answered");
    if (rc && ended == ERR_CANCELLED)
        return err_set(err, ERR_CANCELLED, "the caller left before the model had answered");
    return rc;
}

static enum err_code read_outputs(struct run *run, struct runtime_call *call, struct err *err)
{
    const struct onnx_model *m = run->model;
    enum err_code rc = ERR_OK;
    call->out_count = 0;
    for (int i = 0; !rc && i < run->output_count; i++) {
        const struct signature_tensor *of = &m->outputs[run->output_of[i]];
        struct tensor *out = &call->out[call->out_count++];
        *out = (struct tensor){.name = of->name, .dtype = of->dtype};
        rc = onnx_value_read(m->library, run->outputs[i], call->arena, out, err);
    }
    return rc;
}

enum err_code onnx_run(const struct onnx_model *m, struct runtime_call *call, struct err *err)
{
    struct run run;
    bool is_watched =
        m->signature.place == RUNTIME_LANE && (call->deadline_ns || call->is_cancelled);
    run.model = m;
    run.options = NULL;
    run.input_count = run.output_count = 0;
    choose_outputs(&run, call);
    for (int i = 0; i < run.output_count; i++)
        run.outputs[i] = NULL;
    enum err_code rc = take_inputs(&run, call, err);
    call->out_count = 0;
    if (!rc && m->is_predictable)
        rc = make_outputs(&run, call, err);
    if (!rc && run.output_count > 0)
        rc = is_watched ? run_watched(&run, call, err) : session_run(&run, err);
    if (!rc && m->is_predictable)
        call->out_count = run.output_count;
    else if (!rc)
        rc = read_outputs(&run, call, err);
    run_done(&run);
    return rc;
}

static enum err_code predict(const void *model, struct runtime_call *call, struct err *err)
{
    const struct onnx_model *m = model;
    CHECK_MAGIC(m, ONNX_MAGIC);
    return onnx_run(m, call, err);
}

/* --- loading ------------------------------------------------------------------------------- */

/* Memory that a load took is read from the heap, so it is only known of loads that were alone. */
static struct {
    _Atomic int running;
    _Atomic uint64_t begun;
} loads;

static size_t heap_in_use(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/* One operator uses the threads all sessions share; operators run one after the other. Without an
 * arena of its own a session gives memory back after each call, and costs no more time.
 *
 * The last level of optimisation lays images out in blocks of channels. Its operators (in 1.32)
 * divide by zero where a window does not fit into an image, so only models whose images are as
 * large as the trial's get it: for others a request could end the process. */
static OrtStatus *make_options(const OrtApi *api, bool has_free_shapes, OrtSessionOptions **options)
{
    static const char *const entries[][2] = {
        {"session.load_model_format", "ONNX"},
        {"session.disable_prepacking", "0"},
        {"session.intra_op.allow_spinning", "0"},
    };
    OrtStatus *status = api->CreateSessionOptions(options);
    if (!status)
        status = api->DisablePerSessionThreads(*options);
    if (!status)
        status = api->SetSessionExecutionMode(*options, ORT_SEQUENTIAL);
    if (!status)
        status = api->SetSessionGraphOptimizationLevel(
            *options, has_free_shapes ? ORT_ENABLE_EXTENDED : ORT_ENABLE_ALL);
    if (!status)
        status = api->DisableCpuMemArena(*options);
    if (!status)
        status = api->DisableMemPattern(*options);
    for (size_t i = 0; !status && i < ARRAY_LEN(entries); i++)
        status = api->AddSessionConfigEntry(*options, entries[i][0], entries[i][1]);
    return status;
}

static enum err_code make_session(struct onnx_model *m, struct str bytes, bool has_free_shapes,
                                  struct err *err)
{
    const OrtApi *api = m->library->api;
    OrtSessionOptions *options = NULL;
    OrtStatus *status = make_options(api, has_free_shapes, &options);
    if (!status)
        status = api->CreateSessionFromArray(m->library->env, bytes.ptr, bytes.len, options,
                                             &m->session);
    if (options)
        api->ReleaseSessionOptions(options);
    return onnx_status(m->library, status, ERR_INVALID, "ONNX Runtime does not take the model",
                       err);
}

static enum err_code make_unzipped(struct onnx_model *m, struct str bytes,
                                   const struct onnx_file *file, struct err *err)
{
    struct buf unzipped;
    enum err_code rc = onnx_file_unzip(bytes, file, &unzipped, err);
    if (!rc)
        rc = make_session(m, buf_view(&unzipped), file->has_free_shapes, err);
    buf_done(&unzipped);
    return rc;
}

static void free_model(void *model)
{
    struct onnx_model *m = model;
    if (!m)
        return;
    CHECK_MAGIC(m, ONNX_MAGIC);
    if (m->session)
        m->library->api->ReleaseSession(m->session);
    arena_free(m->texts);
    m->magic = 0;
    free(m);
    malloc_trim(0); /* pages between what other models hold go back to the system as well */
}

static enum err_code make_model(const struct runtime_file *source, const struct onnx_file *file,
                                struct onnx_model *m, struct err *err)
{
    struct str bytes = {source->bytes, source->size};
    enum err_code rc = file->has_zipmap ? make_unzipped(m, bytes, file, err)
                                        : make_session(m, bytes, file->has_free_shapes, err);
    if (!rc)
        rc = onnx_describe(m, file, err);
    if (!rc)
        onnx_try(m, file);
    return rc;
}

static enum err_code load_measured(const struct runtime_file *source, const struct onnx_file *file,
                                   struct onnx_model *m, struct err *err)
{
    bool is_alone = atomic_fetch_add(&loads.running, 1) == 0;
    uint64_t number = atomic_fetch_add(&loads.begun, 1) + 1;
    size_t before = heap_in_use();
    enum err_code rc = make_model(source, file, m, err);
    size_t after = heap_in_use();
    is_alone = is_alone && atomic_load(&loads.begun) == number;
    atomic_fetch_sub(&loads.running, 1);
    size_t grown = is_alone && after > before ? after - before : 0;
    m->heap_bytes = grown > source->size ? grown : source->size;
    return rc;
}

static enum err_code load(const struct runtime_file *source, void **model, struct err *err)
{
    const struct onnx_library *library = NULL;
    struct onnx_file file;
    int threads = source->host->onnx_threads > 0 ? source->host->onnx_threads : 1;
    enum err_code rc = onnx_file_read((struct str){source->bytes, source->size}, &file, err);
    if (!rc)
        rc = onnx_library_open(source->host->onnxruntime, threads, &library, err);
    if (!rc)
        rc = onnx_try_apart(source, library, err);
    if (rc)
        return rc;
    struct onnx_model *m = calloc(1, sizeof(*m));
    if (!m)
        abort();
    m->magic = ONNX_MAGIC;
    m->library = library;
    m->texts = arena_new(ONNX_TEXTS_BYTES_MAX);
    rc = load_measured(source, &file, m, err);
    if (rc)
        free_model(m);
    else
        *model = m;
    return rc;
}

static const struct signature *describe(const void *model)
{
    const struct onnx_model *m = model;
    CHECK_MAGIC(m, ONNX_MAGIC);
    return &m->signature;
}

static size_t memory_bytes(const void *model)
{
    const struct onnx_model *m = model;
    CHECK_MAGIC(m, ONNX_MAGIC);
    return sizeof(*m) + m->heap_bytes;
}

const struct runtime_ops runtime_onnx = {
    .name = "onnx",
    .recognise = onnx_recognise,
    .load = load,
    .describe = describe,
    .memory_bytes = memory_bytes,
    .predict = predict,
    .free = free_model,
};
