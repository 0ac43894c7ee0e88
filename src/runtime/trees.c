/* trees.c - the runtime "trees": load a file, choose a tier, score batches. */
#include "runtime/trees.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "runtime/onnx_graph.h"
#include "runtime/tier.h"
#include "runtime/trees_model.h"
#include "runtime/trees_wide.h"

enum { MODEL_MAGIC = 0x54524545 };

/* Memory a file may ask for while it is read, and a model's names may take. */
enum { READ_MEMORY_FACTOR = 64, READ_MEMORY_FREE = 1 << 20 };

struct trees {
    uint32_t magic;
    enum trees_tier tier_id;
    const struct tier *tier;
    void *built;
    size_t built_bytes;
    void *built_wide; /* for rows of doubles; NULL: they are rounded to float32 */
    size_t built_wide_bytes;
    const struct tier *tier_wide;
    struct trees_wide wide;
    struct trees_answer answer;
    bool is_double; /* margins are */
    int feature_count;
    uint8_t *zero_missing; /* [feature_count] or NULL, as in struct forest */
    struct signature signature;
    struct signature_tensor input;
    struct arena *texts; /* owns what the signature and the answer point to */
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

static const struct trees_format *const formats[] = {&trees_lightgbm, &trees_xgboost, &trees_onnx};

static const struct trees_format *find_format(const void *head, size_t size)
{
    for (size_t i = 0; i < ARRAY_LEN(formats); i++)
        if (formats[i]->recognise(head, size))
            return formats[i];
    return NULL;
}

static bool recognise(const void *head, size_t size)
{
    return find_format(head, size) != NULL;
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

static const char *detail_of(struct arena *arena, const struct trees_model *file,
                             const struct tier *tier)
{
    const struct forest *f = &file->forest;
    return arena_printf(arena, "%d trees, depth %d, %d nodes, tier %s, from %s", f->tree_count,
                        f->depth, f->node_count, tier->name, file->writer);
}

static enum err_code describe_features(struct trees *m, const struct trees_model *file,
                                       struct err *err)
{
    size_t features = (size_t)m->feature_count;
    struct signature *s = &m->signature;
    s->feature_count = m->feature_count;
    s->feature_kinds =
        copy_array(m->texts, file->feature_kinds, features, sizeof(*file->feature_kinds));
    s->category_counts =
        copy_array(m->texts, file->category_counts, features, sizeof(*file->category_counts));
    if (file->feature_names)
        s->feature_names = copy_names(m->texts, file->feature_names, features);
    if (file->forest.zero_missing)
        m->zero_missing = copy_array(m->texts, file->forest.zero_missing, features, 1);
    if (!s->feature_kinds || !s->category_counts ||
        (file->forest.zero_missing && !m->zero_missing) ||
        (file->feature_names && !s->feature_names))
        return err_set(err, ERR_LIMIT, "no room for the names of %zu features", features);
    return ERR_OK;
}

static enum err_code describe_model(struct trees *m, const struct trees_model *file,
                                    struct err *err)
{
    struct signature *s = &m->signature;
    m->input = (struct signature_tensor){
        .name = file->input_name,
        .dtype = DTYPE_F32,
        .rank = 2,
        .shape = {-1, m->feature_count},
        .takes_f64 = file->takes_doubles,
    };
    *s = (struct signature){
        .platform = file->platform,
        .input_count = 1,
        .inputs = &m->input,
        .output_count = m->answer.output_count,
        .outputs = m->answer.outputs,
        .place = RUNTIME_INLINE,
        .batch_rows_max = TREES_ROWS_MAX,
        .class_count = file->class_count,
        .is_probability = file->is_probability,
        .objective = file->objective,
        .detail = detail_of(m->texts, file, m->tier),
    };
    if (!s->detail)
        return err_set(err, ERR_LIMIT, "no room for the model's description");
    return describe_features(m, file, err);
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

bool tier_choose(const struct forest *forest, const struct tier **tier, void **built, size_t *bytes)
{
    for (size_t i = 0; i < ARRAY_LEN(tiers); i++) {
        if (!tiers[i].tier->fits(forest))
            continue;
        *tier = tiers[i].tier;
        *built = tiers[i].tier->build(forest, bytes);
        return *built != NULL;
    }
    return false;
}

static void free_model(void *model)
{
    struct trees *m = model;
    if (!m)
        return;
    CHECK_MAGIC(m, MODEL_MAGIC);
    free(m->built);
    free(m->built_wide);
    arena_free(m->texts);
    m->magic = 0;
    free(m);
}

/* The same forest for rows of doubles. */
static enum err_code make_wide(struct trees *m, struct forest *forest, struct arena *arena,
                               struct err *err)
{
    enum err_code rc = trees_wide_make(forest, arena, m->texts, &m->wide, err);
    if (rc)
        return rc;
    m->wide.zero_missing = m->zero_missing;
    m->tier_wide = m->tier->fits(forest) ? m->tier : &tier_sparse;
    m->built_wide = m->tier_wide->build(forest, &m->built_wide_bytes);
    if (m->built_wide)
        return ERR_OK;
    return err_set(err, ERR_LIMIT, "the machine has no memory for a model of %d nodes",
                   forest->node_count);
}

static enum err_code make_model(struct trees *m, struct trees_model *file, struct arena *arena,
                                enum trees_tier tier, struct err *err)
{
    m->answer = file->answer;
    m->is_double = file->forest.is_double;
    m->feature_count = file->forest.feature_count;
    enum err_code rc = choose_tier(m, &file->forest, tier, err);
    if (!rc)
        rc = describe_model(m, file, err);
    return rc || !file->takes_doubles ? rc : make_wide(m, &file->forest, arena, err);
}

static enum err_code read_model(struct trees *m, struct str bytes, enum trees_tier tier,
                                struct err *err)
{
    const struct trees_format *format = find_format(bytes.ptr, bytes.len);
    struct arena *arena = arena_new(READ_MEMORY_FREE + READ_MEMORY_FACTOR * bytes.len);
    struct trees_model file;
    if (!format) /* named by the caller: the reader says what is wrong */
        format = onnx_graph_recognise(bytes.ptr, bytes.len) ? &trees_onnx : &trees_xgboost;
    enum err_code rc = format->read(bytes, arena, m->texts, &file, err);
    if (!rc)
        rc = make_model(m, &file, arena, tier, err);
    arena_free(arena);
    return rc;
}

enum err_code trees_load_tier(const void *bytes, size_t size, enum trees_tier tier, void **model,
                              struct err *err)
{
    if (size > TREES_FILE_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "the file has %zu bytes, the limit is %d", size,
                       TREES_FILE_BYTES_MAX);
    struct trees *m = calloc(1, sizeof(*m));
    if (!m)
        abort();
    m->magic = MODEL_MAGIC;
    m->texts = arena_new(READ_MEMORY_FREE + READ_MEMORY_FACTOR * size);
    enum err_code rc = read_model(m, (struct str){bytes, size}, tier, err);
    if (rc)
        free_model(m);
    else
        *model = m;
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
    return sizeof(*m) + m->built_bytes + m->built_wide_bytes + arena_bytes(m->texts);
}

/* --- scoring ------------------------------------------------------------------------- */

static enum err_code check_input(const struct trees *m, const struct tensor *in, int in_count,
                                 struct err *err)
{
    if (in_count != 1)
        return err_set(err, ERR_INVALID, "the model takes one tensor, not %d", in_count);
    if (in->dtype != DTYPE_F32 && in->dtype != DTYPE_F64)
        return err_set(err, ERR_INVALID, "the model takes FP32 or FP64, not %s",
                       dtype_name(in->dtype));
    if (in->rank != 2 || in->shape[0] < 0 || in->shape[1] != m->feature_count)
        return err_set(err, ERR_INVALID, "the model takes a tensor of shape [-1, %d]",
                       m->feature_count);
    if (in->shape[0] > TREES_ROWS_MAX)
        return err_set(err, ERR_LIMIT, "%lld rows in one batch, the limit is %d",
                       (long long)in->shape[0], TREES_ROWS_MAX);
    return ERR_OK;
}

/* A copy of the rows in which zeros that are missing are NaN. NULL: no room. */
static const float *mark_zeros(const struct trees *m, const float *rows, int64_t row_count,
                               struct arena *arena)
{
    size_t features = (size_t)m->feature_count, count = (size_t)row_count * features;
    float *copy = arena_alloc(arena, count * sizeof(*copy));
    for (size_t at = 0; copy && at < count; at += features)
        for (size_t i = 0; i < features; i++) {
            bool is_zero = rows[at + i] >= -FOREST_ZERO && rows[at + i] <= FOREST_ZERO;
            copy[at + i] = is_zero && m->zero_missing[i] ? NAN : rows[at + i];
        }
    return copy;
}

static const float *round_rows(const struct trees *m, const double *rows, int64_t row_count,
                               struct arena *arena)
{
    size_t count = (size_t)row_count * (size_t)m->feature_count;
    float *narrow = arena_alloc(arena, count * sizeof(*narrow));
    for (size_t i = 0; narrow && i < count; i++)
        narrow[i] = (float)rows[i];
    return narrow;
}

/* Rows of doubles: ranks where the model compares doubles, else float32. False: no room. */
static bool prepare_wide(const struct trees *m, const double *data, struct arena *arena,
                         struct tier_rows *rows)
{
    if (!m->built_wide) {
        rows->rows = rows->plain = round_rows(m, data, rows->count, arena);
        return rows->rows != NULL;
    }
    size_t count = (size_t)rows->count * (size_t)m->feature_count;
    float *ranks = arena_alloc(arena, count * sizeof(*ranks));
    if (ranks)
        trees_wide_rank(&m->wide, data, rows->count, ranks);
    rows->rows = ranks;
    rows->wide = data;
    return ranks != NULL;
}

static bool prepare_rows(const struct trees *m, const struct tensor *in, struct arena *arena,
                         struct tier_rows *rows)
{
    *rows = (struct tier_rows){.count = in->shape[0], .rows = in->data, .plain = in->data};
    if (in->dtype == DTYPE_F64)
        return prepare_wide(m, in->data, arena, rows);
    if (m->zero_missing)
        rows->rows = mark_zeros(m, in->data, rows->count, arena);
    return !m->zero_missing || rows->rows;
}

static enum err_code predict(const void *model, struct runtime_call *call, struct err *err)
{
    const struct trees *m = model;
    CHECK_MAGIC(m, MODEL_MAGIC);
    struct tier_rows rows;
    enum err_code rc = check_input(m, call->in, call->in_count, err);
    if (rc)
        return rc;
    int64_t row_count = call->in->shape[0];
    size_t number = m->is_double ? sizeof(double) : sizeof(float);
    size_t count = (size_t)row_count * (size_t)m->answer.margin_count;
    void *margins = arena_alloc_aligned(call->arena, count * number, TIER_ALIGN);
    if (!margins || !prepare_rows(m, call->in, call->arena, &rows))
        return err_set(err, ERR_LIMIT, "no room for the predictions of %lld rows",
                       (long long)row_count);
    if (rows.wide)
        m->tier_wide->score(m->built_wide, &rows, margins);
    else
        m->tier->score(m->built, &rows, margins);
    return m->answer.run(&m->answer, margins, row_count, call, err);
}

/* One row of zeros touches the code and a part of every tree. */
static enum err_code warm(const void *model, struct err *err)
{
    const struct trees *m = model;
    CHECK_MAGIC(m, MODEL_MAGIC);
    size_t features = (size_t)m->feature_count;
    struct arena *arena = arena_new(SIZE_MAX);
    float *row = arena_calloc(arena, features, sizeof(*row));
    struct tensor out[TREES_OUTPUTS_MAX];
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
