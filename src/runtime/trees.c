/* trees.c - the runtime "trees": load a file, choose a tier, score batches. */
#include "runtime/trees.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "runtime/tier.h"
#include "runtime/trees_xgboost.h"

enum { MODEL_MAGIC = 0x54524545, OUTPUT_COUNT = 2, PREDICT = 0, MARGIN = 1 };

/* Memory a file may ask for while it is read, and a model's names may take. */
enum { READ_MEMORY_FACTOR = 64, READ_MEMORY_FREE = 1 << 20 };

struct trees {
    uint32_t magic;
    enum trees_tier tier_id;
    const struct tier *tier;
    void *built;
    size_t built_bytes;
    const struct objective *objective;
    int feature_count, output_count;
    struct signature signature;
    struct signature_tensor input, outputs[OUTPUT_COUNT];
    struct arena *texts; /* owns what the signature points to */
};

/* Fastest first. */
static const struct {
    enum trees_tier id;
    const struct tier *tier;
} tiers[] = {
#ifdef __x86_64__
    {TREES_TIER_VBMI, &tier_vbmi},
#endif
    {TREES_TIER_HEAP, &tier_heap},
    {TREES_TIER_SPARSE, &tier_sparse},
};

static bool recognise(const void *head, size_t size)
{
    return xgboost_recognise(head, size);
}

/* --- loading ------------------------------------------------------------------------ */

static void *copy_array(struct arena *arena, const void *array, size_t count, size_t bytes)
{
    void *copy = arena_calloc(arena, count, bytes);
    if (copy && count)
        memcpy(copy, array, count * bytes);
    return copy;
}

static const char *const *copy_names(struct arena *arena, const char *const *names, size_t count)
{
    const char **copy = arena_calloc(arena, count, sizeof(*copy));
    for (size_t i = 0; copy && i < count; i++) {
        copy[i] = arena_copy(arena, names[i], strlen(names[i]));
        if (!copy[i])
            return NULL;
    }
    return copy;
}

static const char *detail_of(struct arena *arena, const struct xgboost_model *file,
                             const struct tier *tier)
{
    const struct forest *f = &file->forest;
    return arena_printf(arena, "%d trees, depth %d, %d nodes, tier %s, from XGBoost %d.%d.%d",
                        f->tree_count, f->depth, f->node_count, tier->name, file->version[0],
                        file->version[1], file->version[2]);
}

static bool is_probability(const struct xgboost_model *file)
{
    enum objective_link link = file->objective->link;
    return file->class_count > 1 && (link == LINK_LOGISTIC || link == LINK_SOFTMAX);
}

static struct signature_tensor tensor_of(const char *name, int64_t columns, bool is_on_request)
{
    return (struct signature_tensor){
        .name = name,
        .dtype = DTYPE_F32,
        .rank = columns > 1 ? 2 : 1,
        .shape = {-1, columns},
        .is_on_request = is_on_request,
    };
}

static void describe_tensors(struct trees *m)
{
    int predictions = objective_predictions(m->objective, m->output_count);
    m->input = (struct signature_tensor){
        .name = "input", .dtype = DTYPE_F32, .rank = 2, .shape = {-1, m->feature_count}};
    m->outputs[PREDICT] = tensor_of("predict", predictions, false);
    m->outputs[MARGIN] = tensor_of("margin", m->output_count, true);
    m->signature.platform = "xgboost_trees";
    m->signature.input_count = 1;
    m->signature.inputs = &m->input;
    m->signature.output_count = OUTPUT_COUNT;
    m->signature.outputs = m->outputs;
    m->signature.place = RUNTIME_INLINE;
    m->signature.batch_rows_max = TREES_ROWS_MAX;
}

static enum err_code describe_model(struct trees *m, const struct xgboost_model *file,
                                    struct err *err)
{
    size_t features = (size_t)m->feature_count;
    struct signature *s = &m->signature;
    describe_tensors(m);
    s->feature_count = m->feature_count;
    s->feature_kinds =
        copy_array(m->texts, file->feature_kinds, features, sizeof(*file->feature_kinds));
    s->category_counts =
        copy_array(m->texts, file->category_counts, features, sizeof(*file->category_counts));
    if (file->feature_names)
        s->feature_names = copy_names(m->texts, file->feature_names, features);
    s->class_count = file->class_count;
    s->is_probability = is_probability(file);
    s->objective = file->objective->name;
    s->detail = detail_of(m->texts, file, m->tier);
    if (!s->feature_kinds || !s->category_counts || !s->detail ||
        (file->feature_names && !s->feature_names))
        return err_set(err, ERR_LIMIT, "no room for the names of %zu features", features);
    return ERR_OK;
}

static enum err_code choose_tier(struct trees *m, const struct forest *forest,
                                 enum trees_tier wanted, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(tiers); i++) {
        if ((wanted != TREES_TIER_BEST && wanted != tiers[i].id) || !tiers[i].tier->fits(forest))
            continue;
        m->tier_id = tiers[i].id;
        m->tier = tiers[i].tier;
        m->built = m->tier->build(forest, &m->built_bytes);
        if (m->built)
            return ERR_OK;
        return err_set(err, ERR_LIMIT, "the machine has no memory for a model of %d nodes",
                       forest->node_count);
    }
    return err_set(err, ERR_UNSUPPORTED, "this tier does not take the model, or not on this CPU");
}

static void free_model(void *model)
{
    struct trees *m = model;
    if (!m)
        return;
    CHECK_MAGIC(m, MODEL_MAGIC);
    free(m->built);
    arena_free(m->texts);
    m->magic = 0;
    free(m);
}

static enum err_code make_model(const struct xgboost_model *file, enum trees_tier tier,
                                size_t memory, void **model, struct err *err)
{
    struct trees *m = calloc(1, sizeof(*m));
    if (!m)
        abort();
    m->magic = MODEL_MAGIC;
    m->texts = arena_new(memory);
    m->objective = file->objective;
    m->feature_count = file->forest.feature_count;
    m->output_count = file->forest.output_count;
    enum err_code rc = choose_tier(m, &file->forest, tier, err);
    if (!rc)
        rc = describe_model(m, file, err);
    if (rc)
        free_model(m);
    else
        *model = m;
    return rc;
}

enum err_code trees_load_tier(const void *bytes, size_t size, enum trees_tier tier, void **model,
                              struct err *err)
{
    struct xgboost_model file;
    if (size > TREES_FILE_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "the file has %zu bytes, the limit is %d", size,
                       TREES_FILE_BYTES_MAX);
    size_t memory = READ_MEMORY_FREE + READ_MEMORY_FACTOR * size;
    struct arena *arena = arena_new(memory);
    enum err_code rc = xgboost_read(bytes, size, arena, &file, err);
    if (!rc)
        rc = make_model(&file, tier, memory, model, err);
    arena_free(arena);
    return rc;
}

static enum err_code load(const struct runtime_file *file, void **model, struct err *err)
{
    return trees_load_tier(file->bytes, file->size, TREES_TIER_BEST, model, err);
}

enum trees_tier trees_tier_of(const void *model)
{
    const struct trees *m = model;
    CHECK_MAGIC(m, MODEL_MAGIC);
    return m->tier_id;
}

static const struct signature *describe(const void *model)
{
    const struct trees *m = model;
    CHECK_MAGIC(m, MODEL_MAGIC);
    return &m->signature;
}

static size_t memory_bytes(const void *model)
{
    const struct trees *m = model;
    CHECK_MAGIC(m, MODEL_MAGIC);
    return sizeof(*m) + m->built_bytes + arena_bytes(m->texts);
}

/* --- scoring ------------------------------------------------------------------------- */

static enum err_code check_input(const struct trees *m, const struct tensor *in, int in_count,
                                 struct err *err)
{
    if (in_count != 1)
        return err_set(err, ERR_INVALID, "the model takes one tensor, not %d", in_count);
    if (in->dtype != DTYPE_F32)
        return err_set(err, ERR_INVALID, "the model takes FP32, not %s", dtype_name(in->dtype));
    if (in->rank != 2 || in->shape[0] < 0 || in->shape[1] != m->feature_count)
        return err_set(err, ERR_INVALID, "the model takes a tensor of shape [-1, %d]",
                       m->feature_count);
    if (in->shape[0] > TREES_ROWS_MAX)
        return err_set(err, ERR_LIMIT, "%lld rows in one batch, the limit is %d",
                       (long long)in->shape[0], TREES_ROWS_MAX);
    return ERR_OK;
}

static struct tensor tensor_like(const struct signature_tensor *as, int64_t rows, float *data)
{
    struct tensor t = {.name = as->name, .dtype = DTYPE_F32, .rank = as->rank, .data = data};
    t.shape[0] = rows;
    if (as->rank == 2)
        t.shape[1] = as->shape[1];
    return t;
}

static enum err_code predict(const void *model, struct runtime_call *call, struct err *err)
{
    const struct trees *m = model;
    CHECK_MAGIC(m, MODEL_MAGIC);
    const struct tensor *in = call->in;
    const bool *wanted = call->wanted;
    enum err_code rc = check_input(m, in, call->in_count, err);
    if (rc)
        return rc;
    bool wants_predict = !wanted || wanted[PREDICT], wants_margin = wanted && wanted[MARGIN];
    int64_t rows = in->shape[0];
    size_t bytes = (size_t)rows * (size_t)m->output_count * sizeof(float);
    float *margins = arena_alloc_aligned(call->arena, bytes, TIER_ALIGN);
    /* Alone, predictions take the place of the margins they are made from. */
    float *predictions = wants_predict && wants_margin
                             ? arena_alloc_aligned(call->arena, bytes, TIER_ALIGN)
                             : margins;
    if (!margins || !predictions)
        return err_set(err, ERR_LIMIT, "no room for the predictions of %lld rows", (long long)rows);
    int count = 0;
    m->tier->score(m->built, in->data, rows, margins);
    if (wants_predict) {
        objective_predict(m->objective, margins, rows, m->output_count, predictions);
        call->out[count++] = tensor_like(&m->outputs[PREDICT], rows, predictions);
    }
    if (wants_margin)
        call->out[count++] = tensor_like(&m->outputs[MARGIN], rows, margins);
    call->out_count = count;
    return ERR_OK;
}

/* One row of zeros touches the code and a part of every tree. */
static enum err_code warm(const void *model, struct err *err)
{
    const struct trees *m = model;
    CHECK_MAGIC(m, MODEL_MAGIC);
    size_t features = (size_t)m->feature_count;
    struct arena *arena = arena_new(SIZE_MAX);
    float *row = arena_calloc(arena, features, sizeof(*row));
    struct tensor out[OUTPUT_COUNT];
    struct tensor in = {.dtype = DTYPE_F32, .rank = 2, .shape = {1, m->feature_count}, .data = row};
    struct runtime_call call = {.in = &in, .in_count = 1, .arena = arena, .out = out};
    enum err_code rc = predict(model, &call, err);
    arena_free(arena);
    return rc;
}

const struct runtime_ops runtime_trees = {
    .name = "trees",
    .recognise = recognise,
    .load = load,
    .describe = describe,
    .memory_bytes = memory_bytes,
    .predict = predict,
    .warm = warm,
    .free = free_model,
};
