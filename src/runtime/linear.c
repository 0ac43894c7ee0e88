/* linear.c - the runtime "linear": load a file, run its program over blocks of rows. */
#include "runtime/linear.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "runtime/linear_program.h"

enum {
    MODEL_MAGIC = 0x4c494e52,
    BLOCK_ROWS_MAX = 256,
    BLOCK_BYTES = 256 * 1024, /* of registers, as far as one row does not need more */
};

/* Memory a file may ask for while it is read, and a model may take. */
enum { MEMORY_FACTOR = 64, MEMORY_FREE = 1 << 20 };

struct linear {
    uint32_t magic;
    struct linear_program *program;
    struct arena *keep; /* owns the program */
    size_t tree_bytes;
    int block_rows;
    struct signature signature;
    struct signature_tensor inputs[RUNTIME_TENSORS_MAX], outputs[RUNTIME_TENSORS_MAX];
};

/* --- loading -------------------------------------------------------------------------------- */

static bool looks_like_json(const void *bytes, size_t size)
{
    static const char sign[] = "\"slipway-linear\"";
    const char *text = bytes;
    size_t head = size < 256 ? size : 256, at = 0;
    while (at < head && strchr(" \t\r\n", text[at]) && text[at])
        at++;
    return at < head && text[at] == '{' && memmem(text, head, sign, sizeof(sign) - 1);
}

static enum err_code compile(const void *bytes, size_t size, bool is_trial, struct arena *keep,
                             struct linear_program **program, struct err *err)
{
    struct linear_builder b = {
        .arena = arena_new(MEMORY_FREE + MEMORY_FACTOR * size),
        .keep = keep,
        .err = err,
        .is_trial = is_trial,
    };
    struct str text = {bytes, size};
    enum err_code rc =
        looks_like_json(bytes, size) ? linear_from_json(text, &b) : linear_from_onnx(text, &b);
    arena_free(b.arena);
    if (rc)
        linear_free_trees(b.program);
    else
        *program = b.program;
    return rc;
}

static bool recognise(const void *head, size_t size)
{
    struct linear_program *program;
    struct err err = {0};
    if (looks_like_json(head, size))
        return true;
    if (!onnx_graph_recognise(head, size))
        return false;
    struct arena *keep = arena_new(MEMORY_FREE + MEMORY_FACTOR * size);
    bool is_ours = compile(head, size, true, keep, &program, &err) == ERR_OK;
    arena_free(keep);
    return is_ours;
}

static const char *detail_of(const struct linear *m)
{
    const struct linear_program *p = m->program;
    return arena_printf(m->keep, "%d steps, %d inputs, from %s", p->step_count, p->input_count,
                        p->writer);
}

/* One matrix of numbers is a table of features. */
static enum err_code describe_features(struct linear *m, struct err *err)
{
    struct signature *s = &m->signature;
    if (s->input_count != 1 || s->inputs[0].dtype != DTYPE_F32)
        return ERR_OK;
    size_t count = (size_t)s->inputs[0].shape[1];
    s->feature_count = (int)count;
    s->feature_names = m->program->feature_names;
    s->feature_kinds = arena_calloc(m->keep, count, sizeof(*s->feature_kinds));
    s->category_counts = arena_calloc(m->keep, count, sizeof(*s->category_counts));
    if (!s->feature_kinds || !s->category_counts)
        return err_set(err, ERR_LIMIT, "no room for %zu features", count);
    return ERR_OK;
}

static enum err_code describe_model(struct linear *m, struct err *err)
{
    const struct linear_program *p = m->program;
    for (int i = 0; i < p->input_count; i++)
        m->inputs[i] = p->inputs[i].tensor;
    for (int i = 0; i < p->output_count; i++)
        m->outputs[i] = p->outputs[i].tensor;
    m->signature = (struct signature){
        .platform = p->platform,
        .input_count = p->input_count,
        .inputs = m->inputs,
        .output_count = p->output_count,
        .outputs = m->outputs,
        .place = RUNTIME_INLINE,
        .batch_rows_max = LINEAR_ROWS_MAX,
        .class_count = p->class_count,
        .is_probability = p->is_probability,
        .objective = p->objective,
        .detail = detail_of(m),
    };
    for (int i = 0; i < p->step_count; i++)
        m->tree_bytes += p->steps[i].trees ? p->steps[i].trees->built_bytes : 0;
    size_t rows = p->row_bytes ? BLOCK_BYTES / p->row_bytes : BLOCK_ROWS_MAX;
    m->block_rows = rows < 1 ? 1 : rows > BLOCK_ROWS_MAX ? BLOCK_ROWS_MAX : (int)rows;
    if (!m->signature.detail)
        return err_set(err, ERR_LIMIT, "no room for the model's description");
    return describe_features(m, err);
}

static void free_model(void *model)
{
    struct linear *m = model;
    if (!m)
        return;
    CHECK_MAGIC(m, MODEL_MAGIC);
    linear_free_trees(m->program);
    arena_free(m->keep);
    m->magic = 0;
    free(m);
}

static enum err_code load(const struct runtime_file *file, void **model, struct err *err)
{
    if (file->size > LINEAR_FILE_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "the file has %zu bytes, the limit is %d", file->size,
                       LINEAR_FILE_BYTES_MAX);
    struct linear *m = calloc(1, sizeof(*m));
    if (!m)
        abort();
    m->magic = MODEL_MAGIC;
    m->keep = arena_new(MEMORY_FREE + MEMORY_FACTOR * file->size);
    enum err_code rc = compile(file->bytes, file->size, false, m->keep, &m->program, err);
    if (!rc)
        rc = describe_model(m, err);
    if (rc)
        free_model(m);
    else
        *model = m;
    return rc;
}

static const struct signature *describe(const void *model)
{
    const struct linear *m = model;
    CHECK_MAGIC(m, MODEL_MAGIC);
    return &m->signature;
}

static size_t memory_bytes(const void *model)
{
    const struct linear *m = model;
    CHECK_MAGIC(m, MODEL_MAGIC);
    return sizeof(*m) + m->tree_bytes + arena_bytes(m->keep);
}

/* --- scoring -----------------------------------------------------------------------------------
 */

static enum err_code check_input(const struct signature_tensor *as, const struct tensor *in,
                                 int64_t rows, struct err *err)
{
    if (in->dtype != as->dtype)
        return err_set(err, ERR_INVALID, "input '%s' takes %s, not %s", as->name,
                       dtype_name(as->dtype), dtype_name(in->dtype));
    if (in->rank != 2 || in->shape[0] != rows || in->shape[1] != as->shape[1])
        return err_set(err, ERR_INVALID, "input '%s' takes a tensor of shape [%lld, %lld]",
                       as->name, (long long)rows, (long long)as->shape[1]);
    return ERR_OK;
}

static enum err_code check_inputs(const struct linear *m, const struct runtime_call *call,
                                  struct err *err)
{
    int64_t rows = call->in_count > 0 ? call->in[0].shape[0] : -1;
    enum err_code rc = ERR_OK;
    if (call->in_count != m->signature.input_count)
        return err_set(err, ERR_INVALID, "the model takes %d tensors, not %d",
                       m->signature.input_count, call->in_count);
    if (rows < 0 || rows > LINEAR_ROWS_MAX)
        return err_set(err, ERR_LIMIT, "%lld rows in one batch, the limit is %d", (long long)rows,
                       LINEAR_ROWS_MAX);
    for (int i = 0; !rc && i < call->in_count; i++)
        rc = check_input(&m->inputs[i], &call->in[i], rows, err);
    return rc;
}

static bool is_wanted(const struct runtime_call *call, int i)
{
    return !call->wanted || call->wanted[i];
}

/* One call at work: registers of a block, and the outputs of all rows. */
struct block {
    void **data;       /* [register_count] */
    void **outputs;    /* [output_count]; NULL: not wanted */
    size_t *row_bytes; /* [register_count] */
};

static bool reserve(const struct linear *m, struct runtime_call *call, int64_t rows,
                    struct block *b)
{
    const struct linear_program *p = m->program;
    size_t registers = (size_t)p->register_count, block = (size_t)m->block_rows;
    block = (int64_t)block < rows ? block : (size_t)rows;
    b->data = arena_calloc(call->arena, registers, sizeof(*b->data));
    b->outputs = arena_calloc(call->arena, (size_t)p->output_count, sizeof(*b->outputs));
    b->row_bytes = arena_calloc(call->arena, registers, sizeof(*b->row_bytes));
    if (!b->data || !b->outputs || !b->row_bytes)
        return false;
    for (size_t i = 0; i < registers; i++) {
        b->row_bytes[i] = (size_t)p->registers[i].width * linear_type_bytes(p->registers[i].type);
        if (i >= (size_t)p->input_count)
            b->data[i] = arena_alloc_aligned(call->arena, block * b->row_bytes[i], TIER_ALIGN);
        if (i >= (size_t)p->input_count && !b->data[i])
            return false;
    }
    for (int i = 0; i < p->output_count; i++) {
        if (is_wanted(call, i))
            b->outputs[i] = arena_alloc_aligned(
                call->arena, (size_t)rows * b->row_bytes[p->outputs[i].reg], TIER_ALIGN);
        if (is_wanted(call, i) && !b->outputs[i])
            return false;
    }
    return true;
}

/* Inputs are the first registers. */
static enum err_code run_block(const struct linear *m, const struct runtime_call *call,
                               struct block *b, int64_t first, int64_t rows, struct err *err)
{
    const struct linear_program *p = m->program;
    for (int i = 0; i < p->input_count; i++)
        b->data[i] = (char *)call->in[i].data + (size_t)first * b->row_bytes[i];
    enum err_code rc = linear_run(p, b->data, rows, err);
    for (int i = 0; !rc && i < p->output_count; i++) {
        int reg = p->outputs[i].reg;
        if (b->outputs[i])
            memcpy((char *)b->outputs[i] + (size_t)first * b->row_bytes[reg], b->data[reg],
                   (size_t)rows * b->row_bytes[reg]);
    }
    return rc;
}

static enum err_code predict(const void *model, struct runtime_call *call, struct err *err)
{
    const struct linear *m = model;
    CHECK_MAGIC(m, MODEL_MAGIC);
    struct block b;
    enum err_code rc = check_inputs(m, call, err);
    if (rc)
        return rc;
    int64_t rows = call->in[0].shape[0];
    if (!reserve(m, call, rows, &b))
        return err_set(err, ERR_LIMIT, "no room for the predictions of %lld rows", (long long)rows);
    for (int64_t first = 0; !rc && first < rows; first += m->block_rows) {
        int64_t count = rows - first < m->block_rows ? rows - first : m->block_rows;
        rc = run_block(m, call, &b, first, count, err);
    }
    call->out_count = 0;
    for (int i = 0; !rc && i < m->signature.output_count; i++) {
        if (!b.outputs[i])
            continue;
        const struct signature_tensor *as = &m->outputs[i];
        struct tensor *out = &call->out[call->out_count++];
        *out = (struct tensor){.name = as->name, .dtype = as->dtype, .rank = as->rank};
        out->data = b.outputs[i];
        out->shape[0] = rows;
        if (as->rank == 2)
            out->shape[1] = as->shape[1];
    }
    return rc;
}

const struct runtime_ops runtime_linear = {
    .name = "linear",
    .recognise = recognise,
    .load = load,
    .describe = describe,
    .memory_bytes = memory_bytes,
    .predict = predict,
    .free = free_model,
};
