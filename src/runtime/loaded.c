/* loaded.c - bringing a version into memory and letting it go.
 *
 *     blob -> [digest verified] -> runtime load -> contract parse -> fit -> golden rows -> warm
 *
 * Each arrow may fail; what was made before it is freed by the one exit of loaded_open().
 */
#include "runtime/loaded.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "contract/fit.h"
#include "runtime/golden.h"
#include "runtime/loaded_table.h"

enum { LOADED_MAGIC = 0x4c4f4144, LOADED_ARENA_BYTES_MAX = 16 * 1024 * 1024 };
enum { WHOLE_BYTES_MAX = 16 * 1024 * 1024 };

static const struct {
    int status;
    const char *name;
} statuses[LOADED_STATUS_COUNT] = {
    {200, "200"}, {400, "400"}, {422, "422"}, {401, "401"}, {403, "403"}, {404, "404"},
    {408, "408"}, {413, "413"}, {415, "415"}, {499, "499"}, {500, "500"}, {501, "501"},
    {502, "502"}, {503, "503"}, {504, "504"}, {507, "507"}, {0, "other"},
};

int loaded_status_slot(int status)
{
    int slot = 0;
    while (slot < LOADED_STATUS_COUNT - 1 && statuses[slot].status != status)
        slot++;
    return slot;
}

const char *loaded_status_name(int slot)
{
    assert(slot >= 0 && slot < LOADED_STATUS_COUNT);
    return statuses[slot].name;
}

const char *cache_result_name(enum cache_result result)
{
    static const char *const names[CACHE_RESULT_COUNT] = {"hit", "miss", "bypass"};
    return names[result];
}

void loaded_cache_counts(const struct loaded *loaded, struct cache_counts *counts)
{
    *counts = (struct cache_counts){0};
    for (int thread = 0; thread < loaded->thread_count; thread++) {
        const struct version_stats *stats = &loaded->stats[thread];
        for (int i = 0; i < CACHE_RESULT_COUNT; i++) {
            counts->count[i] += counter_read(&stats->cache_count[i]);
            counts->ns[i] += counter_read(&stats->cache_ns[i]);
        }
        counts->hit_rows += counter_read(&stats->cached_row_count);
    }
}

static struct loaded *loaded_new(const struct loaded_source *source)
{
    static _Atomic uint64_t serials;
    struct arena *arena = arena_new(LOADED_ARENA_BYTES_MAX);
    struct loaded *loaded = arena_calloc(arena, 1, sizeof(*loaded));
    *loaded = (struct loaded){
        .magic = LOADED_MAGIC,
        .refs = 1,
        .arena = arena,
        .model = arena_copy(arena, source->model, strlen(source->model)),
        .number = source->number,
        .serial = atomic_fetch_add(&serials, 1) + 1,
        .artifact = source->artifact,
        .thread_count = source->thread_count,
    };
    return loaded;
}

static void loaded_free(struct loaded *loaded)
{
    CHECK_MAGIC(loaded, LOADED_MAGIC);
    loaded_table_remove(loaded);
    if (loaded->lane)
        loaded->lane_free(loaded->lane);
    if (loaded->ops)
        loaded->ops->free(loaded->state);
    contract_free(loaded->contract);
    free(loaded->stats);
    loaded->magic = 0;
    arena_free(loaded->arena);
}

static void new_stats(struct loaded *loaded)
{
    size_t bytes = (size_t)loaded->thread_count * sizeof(*loaded->stats);
    loaded->stats = aligned_alloc(_Alignof(struct version_stats), bytes);
    if (!loaded->stats)
        abort();
    memset(loaded->stats, 0, bytes);
}

static enum err_code choose_runtime(struct loaded *loaded, const char *name, const void *bytes,
                                    size_t size, struct err *err)
{
    loaded->ops = name ? runtime_find(name) : runtime_recognise(bytes, size);
    if (loaded->ops)
        return ERR_OK;
    if (name)
        err_set(err, ERR_INVALID, "runtime '%s' does not exist", name);
    else
        err_set(err, ERR_INVALID, "no runtime knows this file's format (%zu bytes)", size);
    char list[160] = "";
    for (const struct runtime_ops *const *ops = runtimes; *ops; ops++) {
        strncat(list, *list ? ", " : "", sizeof(list) - strlen(list) - 1);
        strncat(list, (*ops)->name, sizeof(list) - strlen(list) - 1);
    }
    return err_hint(err,
                    "runtimes here: %s; XGBoost models are saved with "
                    "save_model('model.ubj') or ('model.json'), LightGBM's with "
                    "save_model('model.txt')",
                    list);
}

static const char *label_of(const struct loaded *loaded)
{
    return loaded->number ? arena_printf(loaded->arena, "%s version %lld", loaded->model,
                                         (long long)loaded->number)
                          : arena_printf(loaded->arena, "%s, new version", loaded->model);
}

/* What everybody who holds a signature relies on. */
static enum err_code check_signature(const struct signature *sig, struct err *err)
{
    if (sig->input_count < 1 || sig->input_count > RUNTIME_INPUTS_MAX)
        return err_set(err, ERR_LIMIT, "the model has %d inputs, 1 to %d are served",
                       sig->input_count, RUNTIME_INPUTS_MAX);
    if (sig->output_count < 1 || sig->output_count > RUNTIME_TENSORS_MAX)
        return err_set(err, ERR_LIMIT, "the model has %d outputs, 1 to %d are served",
                       sig->output_count, RUNTIME_TENSORS_MAX);
    assert(sig->answer >= 0 && sig->answer < sig->output_count);
    return ERR_OK;
}

static bool asks_elsewhere(const struct loaded *loaded)
{
    struct loaded *const *parts = NULL;
    int count = loaded_parts(loaded, &parts);
    for (int i = 0; i < count; i++)
        if (parts[i]->asks_elsewhere)
            return true;
    return loaded->ops->is_elsewhere;
}

static enum err_code load_model(struct loaded *loaded, struct blob_store *blobs,
                                const struct loaded_source *source, struct err *err)
{
    const void *bytes = NULL;
    size_t size = 0;
    enum err_code rc = blob_get(blobs, &source->artifact, &bytes, &size, err);
    if (rc)
        return rc;
    rc = choose_runtime(loaded, source->runtime, bytes, size, err);
    if (!rc) {
        const struct runtime_ops *ops = loaded->ops;
        const struct runtime_file file = {
            bytes, size, source->artifact.hex, source->host, label_of(loaded), source->versions};
        rc = ops->load(&file, &loaded->state, err);
        if (rc)
            loaded->ops = NULL; /* nothing to free */
        else
            loaded->signature = ops->describe(loaded->state);
        rc = rc ? rc : check_signature(loaded->signature, err);
    }
    blob_release(blobs, bytes, size);
    return rc;
}

/* Where each of the model's features stands in a row of values; NULL when they are the same. */
static enum err_code map_columns(struct loaded *loaded, struct err *err)
{
    const struct signature *sig = loaded->signature;
    const struct contract *contract = loaded->contract;
    size_t count = (size_t)sig->feature_count;
    int *order = arena_calloc(loaded->arena, count, sizeof(*order));
    bool *is_categorical = arena_calloc(loaded->arena, count, sizeof(*is_categorical));
    if (!order || !is_categorical)
        return err_set(err, ERR_LIMIT, "no room for %zu feature columns", count);
    for (size_t i = 0; sig->feature_kinds && i < count; i++)
        is_categorical[i] = sig->feature_kinds[i] == FEATURE_CATEGORICAL;
    struct contract_fit fit = {
        .feature_count = sig->feature_count,
        .feature_names = sig->feature_names,
        .is_categorical = sig->feature_kinds ? is_categorical : NULL,
        .category_counts = sig->category_counts,
        .class_count = sig->class_count,
    };
    enum err_code rc = contract_fit(contract, &fit, order, err);
    if (rc)
        return rc;
    bool is_same = contract->value_count == sig->feature_count;
    for (size_t i = 0; i < count; i++) {
        order[i] = contract->feature_columns[order[i]];
        is_same = is_same && order[i] == (int)i;
    }
    loaded->model_columns = is_same ? NULL : order;
    return ERR_OK;
}

static enum err_code load_contract(struct loaded *loaded, struct blob_store *blobs,
                                   const struct blob_digest *digest, struct err *err)
{
    if (!digest->hex[0])
        return ERR_OK;
    const void *bytes = NULL;
    size_t size = 0;
    enum err_code rc = blob_get(blobs, digest, &bytes, &size, err);
    if (rc)
        return err_wrap(err, "contract");
    rc = contract_parse((struct str){bytes, size}, &loaded->contract, err);
    blob_release(blobs, bytes, size);
    if (rc)
        return err_wrap(err, "contract");
    rc = loaded_is_tabular(loaded)
             ? map_columns(loaded, err)
             : feed_fit(loaded->contract, loaded->signature, loaded->arena, &loaded->feed, err);
    return rc ? err_wrap(err, "the contract does not fit the model") : ERR_OK;
}

static enum err_code answer_golden(struct loaded *loaded, struct blob_store *blobs,
                                   const struct blob_digest *digest, struct err *err)
{
    bool is_known = loaded->number && loaded->asks_elsewhere; /* it has answered them before */
    if (!digest->hex[0] || is_known)
        return ERR_OK;
    const void *bytes = NULL;
    size_t size = 0;
    enum err_code rc = blob_get(blobs, digest, &bytes, &size, err);
    if (rc)
        return err_wrap(err, "golden rows");
    rc = golden_check(loaded, (struct str){bytes, size}, &loaded->golden_count, err);
    blob_release(blobs, bytes, size);
    return rc ? err_wrap(err, "golden rows") : ERR_OK;
}

static enum err_code explain(const struct loaded_source *source, struct err *err)
{
    if (source->number == 0) /* a candidate that has no number yet */
        return err_wrap(err, "model '%s'", source->model);
    return err_wrap(err, "model '%s' version %lld", source->model, (long long)source->number);
}

static bool has_categories(const struct contract *contract)
{
    for (int i = 0; i < contract->value_count; i++)
        if (contract->values[i]->category_count)
            return true;
    return false;
}

/* The input that all features are columns of; NULL when there is none. */
static const struct signature_tensor *matrix_input(const struct loaded *loaded)
{
    const struct signature *sig = loaded->signature;
    if (!loaded->feed)
        return loaded_is_tabular(loaded) ? sig->inputs : NULL;
    for (int i = 0; i < sig->input_count; i++)
        if (loaded->feed->inputs[i].is_matrix)
            return &sig->inputs[i];
    return NULL;
}

static const struct signature_tensor *find_matrix(const struct loaded *loaded)
{
    const struct signature_tensor *input = matrix_input(loaded);
    bool has_other_forms = loaded->contract && input &&
                           (has_categories(loaded->contract) ||
                            contract_field_find(loaded->contract, str_of(input->name)) != NULL);
    return has_other_forms ? NULL : input;
}

/* The model, its contract and what it counts in. */
static size_t memory_bytes(const struct loaded *loaded)
{
    size_t bytes = sizeof(*loaded->stats) * (size_t)loaded->thread_count;
    if (loaded->contract)
        bytes += arena_bytes(loaded->contract->arena);
    return bytes + arena_bytes(loaded->arena) + loaded->ops->memory_bytes(loaded->state);
}

static enum err_code put_whole(struct blob_store *blobs, const struct buf *whole,
                               struct loaded_source *source, struct err *err)
{
    if (whole->is_full)
        return err_set(err, ERR_LIMIT,
                       "the artifact has more than %zu bytes with what it leaves "
                       "open",
                       whole->bytes_max);
    return whole->len ? blob_put(blobs, whole->data, whole->len, &source->artifact, err) : ERR_OK;
}

enum err_code loaded_complete(struct blob_store *blobs, struct loaded_source *source,
                              struct err *err)
{
    const void *bytes = NULL;
    size_t size = 0;
    struct buf whole;
    enum err_code rc = blob_get(blobs, &source->artifact, &bytes, &size, err);
    if (rc)
        return explain(source, err);
    const struct runtime_ops *ops =
        source->runtime ? runtime_find(source->runtime) : runtime_recognise(bytes, size);
    const struct runtime_file file = {bytes,        size,          source->artifact.hex,
                                      source->host, source->model, source->versions};
    buf_init(&whole, WHOLE_BYTES_MAX);
    if (ops && ops->complete)
        rc = ops->complete(&file, &whole, err);
    blob_release(blobs, bytes, size);
    if (!rc)
        rc = put_whole(blobs, &whole, source, err);
    buf_done(&whole);
    return rc ? explain(source, err) : ERR_OK;
}

enum err_code loaded_open(struct blob_store *blobs, const struct loaded_source *source,
                          struct loaded **out, struct err *err)
{
    int64_t start_us = clock_monotonic_us();
    struct loaded *loaded = loaded_new(source);
    enum err_code rc = load_model(loaded, blobs, source, err);
    loaded->asks_elsewhere = !rc && asks_elsewhere(loaded);
    if (!rc)
        rc = load_contract(loaded, blobs, &source->contract, err);
    if (!rc)
        rc = answer_golden(loaded, blobs, &source->golden, err);
    if (!rc && loaded->ops->warm)
        rc = loaded->ops->warm(loaded->state, err);
    if (rc) {
        loaded_free(loaded);
        return explain(source, err);
    }
    new_stats(loaded);
    loaded->matrix = find_matrix(loaded);
    loaded->memory_bytes = memory_bytes(loaded);
    loaded->load_us = clock_monotonic_us() - start_us;
    *out = loaded;
    return ERR_OK;
}

void loaded_ref(struct loaded *loaded)
{
    CHECK_MAGIC(loaded, LOADED_MAGIC);
    atomic_fetch_add_explicit(&loaded->refs, 1, memory_order_relaxed);
}

void loaded_unref(struct loaded *loaded)
{
    if (!loaded)
        return;
    CHECK_MAGIC(loaded, LOADED_MAGIC);
    if (atomic_fetch_sub_explicit(&loaded->refs, 1, memory_order_acq_rel) == 1)
        loaded_free(loaded);
}

static const float *features_of(const struct loaded *loaded, struct rows *rows)
{
    const int *columns = loaded->model_columns;
    if (!columns)
        return rows->values;
    size_t width = (size_t)loaded->signature->feature_count;
    size_t stride = (size_t)rows->contract->value_count;
    size_t cells = (size_t)rows->count * width;
    float *features = arena_alloc_aligned(rows->arena, cells * sizeof(*features), 64);
    if (!features)
        return NULL;
    for (int64_t row = 0; row < rows->count; row++) {
        const float *from = rows->values + (size_t)row * stride;
        float *to = features + (size_t)row * width;
        for (size_t i = 0; i < width; i++)
            to[i] = from[columns[i]];
    }
    return features;
}

int loaded_width(const struct loaded *loaded)
{
    return loaded->feed ? loaded->contract->value_count : loaded->signature->feature_count;
}

struct loaded_rows loaded_take(const struct loaded *loaded, struct rows *rows)
{
    return (struct loaded_rows){
        .count = rows->count,
        .features = loaded->feed ? rows->values : features_of(loaded, rows),
        .texts = rows->texts,
    };
}

struct loaded_rows loaded_slice(const struct loaded *loaded, const struct loaded_rows *rows,
                                int64_t at, int64_t count)
{
    const struct contract *contract = loaded->contract;
    assert(at >= 0 && count >= 0 && at + count <= rows->count);
    return (struct loaded_rows){
        .count = count,
        .features = rows->features + at * loaded_width(loaded),
        .texts = rows->texts ? rows->texts + at * contract->text_count : NULL,
    };
}

struct tensor loaded_matrix(const struct loaded *loaded, const float *features, int64_t count)
{
    return (struct tensor){
        .name = loaded->signature->inputs[0].name,
        .dtype = DTYPE_F32,
        .rank = 2,
        .shape = {count, loaded->signature->feature_count},
        .data = (void *)(uintptr_t)features,
    };
}

enum err_code loaded_tensors(const struct loaded *loaded, const struct loaded_rows *rows,
                             struct arena *arena, struct tensor *in, struct err *err)
{
    if (loaded->feed)
        return feed_tensors(loaded->feed, rows->features, rows->texts, rows->count, arena, in, err);
    if (!loaded_is_tabular(loaded)) {
        err_set(err, ERR_UNSUPPORTED, "model '%s' version %lld has no contract, so no rows",
                loaded->model, (long long)loaded->number);
        return err_hint(err, "register a version with a contract whose fields are named like the "
                             "model's inputs");
    }
    in[0] = loaded_matrix(loaded, rows->features, rows->count);
    return ERR_OK;
}

enum err_code loaded_score(const struct loaded *loaded, const struct loaded_rows *rows,
                           struct runtime_call *call, struct err *err)
{
    size_t inputs = (size_t)loaded->signature->input_count;
    struct tensor *in = arena_calloc(call->arena, inputs, sizeof(*in));
    if (!in)
        return err_set(err, ERR_LIMIT, "no room for %zu input tensors", inputs);
    enum err_code rc = loaded_tensors(loaded, rows, call->arena, in, err);
    call->in = in;
    call->in_count = (int)inputs;
    return rc ? rc : loaded_predict(loaded, call, err);
}
