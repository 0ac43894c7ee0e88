/* slow.c - a runtime for tests and benches whose calls take as long as its file says.
 *
 *     slipway-slow           first line; then any of these, one a line
 *     call_us=2000           a call takes this long ...
 *     row_us=0               ... and this for each of its rows
 *     features=4             input x [-1, features]; output y [-1], each row's sum
 *     batch_rows_max=1024    0: requests cannot be joined
 *     instances_max=0
 *     spins=0                1: it computes; 0: it sleeps, as a call to another device does
 *     inline=0               1: it says that it is fast
 *     obeys=1                0: it looks at neither deadline nor cancellation
 *     varies=0               1: it says that its answers vary
 *     poison=0               a row that begins with this number makes its whole call fail
 *
 * Linked with the program's own objects instead of wiring.c: build/MODE/slipway-slow.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "runtime/runtime.h"
#include "runtime/trees.h"

#define HEAD "slipway-slow"

enum { FILE_BYTES_MAX = 4096, SLICE_US = 1000 };

struct slow {
    int64_t call_us, row_us, spins, obeys, poison;
    struct signature signature;
    struct signature_tensor input, output;
};

static bool recognise(const void *head, size_t size)
{
    return size >= sizeof(HEAD) - 1 && memcmp(head, HEAD, sizeof(HEAD) - 1) == 0;
}

static enum err_code read_line(struct slow *slow, struct str line, struct err *err)
{
    int64_t features = 0, rows = -1, instances = -1, is_inline = 0, varies = 0;
    const struct {
        const char *name;
        int64_t *value;
    } keys[] = {{"call_us", &slow->call_us},   {"row_us", &slow->row_us},
                {"features", &features},       {"batch_rows_max", &rows},
                {"instances_max", &instances}, {"spins", &slow->spins},
                {"inline", &is_inline},        {"obeys", &slow->obeys},
                {"poison", &slow->poison},     {"varies", &varies}};
    struct str value = line, key;
    bool is_known = line.len == 0 || str_equal_c(line, HEAD);
    if (!is_known && str_split(&value, '=', &key))
        for (size_t i = 0; i < ARRAY_LEN(keys); i++)
            is_known =
                is_known || (str_equal_c(key, keys[i].name) && str_to_i64(value, keys[i].value));
    if (!is_known)
        return err_set(err, ERR_INVALID, "not a line of a slow model: '%.*s'", STR_ARG(line));
    if (varies)
        slow->signature.varies = true;
    if (features)
        slow->signature.feature_count = (int)features;
    if (rows >= 0)
        slow->signature.batch_rows_max = (int)rows;
    if (instances >= 0)
        slow->signature.instances_max = (int)instances;
    if (is_inline)
        slow->signature.place = RUNTIME_INLINE;
    return ERR_OK;
}

static void describe_tensors(struct slow *slow)
{
    struct signature *s = &slow->signature;
    slow->input = (struct signature_tensor){
        .name = "x", .dtype = DTYPE_F32, .rank = 2, .shape = {-1, s->feature_count}};
    slow->output =
        (struct signature_tensor){.name = "y", .dtype = DTYPE_F32, .rank = 1, .shape = {-1}};
    s->inputs = &slow->input;
    s->outputs = &slow->output;
}

static enum err_code load(const struct runtime_file *file, void **model, struct err *err)
{
    struct slow *slow = calloc(1, sizeof(*slow));
    struct str rest = {file->bytes, file->size}, line;
    assert(slow && file->size < FILE_BYTES_MAX);
    slow->call_us = 2000;
    slow->obeys = 1;
    slow->signature = (struct signature){.platform = "slow",
                                         .input_count = 1,
                                         .output_count = 1,
                                         .place = RUNTIME_LANE,
                                         .batch_rows_max = 1024,
                                         .feature_count = 4,
                                         .class_count = 1,
                                         .objective = "slow",
                                         .detail = "a model that takes its time"};
    while (str_split(&rest, '\n', &line)) {
        if (read_line(slow, line, err)) {
            free(slow);
            return err->code;
        }
    }
    describe_tensors(slow);
    *model = slow;
    return ERR_OK;
}

static const struct signature *describe(const void *model)
{
    const struct slow *slow = model;
    return &slow->signature;
}

static size_t memory_bytes(const void *model)
{
    (void)model;
    return sizeof(struct slow);
}

static enum err_code should_stop(const struct slow *slow, const struct runtime_call *call,
                                 struct err *err)
{
    if (!slow->obeys)
        return ERR_OK;
    if (call->is_cancelled && atomic_load(call->is_cancelled))
        return err_set(err, ERR_CANCELLED, "cancelled");
    if (call->deadline_ns && clock_monotonic_ns() > call->deadline_ns)
        return err_set(err, ERR_TIMEOUT, "out of time");
    return ERR_OK;
}

/* In slices, so that it can be stopped; by absolute times, so that slices add up. */
static enum err_code take_time(const struct slow *slow, const struct runtime_call *call, int64_t us,
                               struct err *err)
{
    int64_t now_us = clock_monotonic_us(), end_us = now_us + us;
    enum err_code rc = ERR_OK;
    for (; now_us < end_us && !rc; now_us = clock_monotonic_us()) {
        int64_t slice_end_us = end_us - now_us > 2 * SLICE_US ? now_us + SLICE_US : end_us;
        struct timespec until = {slice_end_us / CLOCK_SECOND_US,
                                 slice_end_us % CLOCK_SECOND_US * 1000};
        if (!slow->spins)
            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
        rc = should_stop(slow, call, err);
    }
    return rc;
}

static enum err_code predict(const void *model, struct runtime_call *call, struct err *err)
{
    const struct slow *slow = model;
    const float *x = call->in[0].data;
    int64_t rows = call->in[0].shape[0], width = slow->signature.feature_count;
    float *y = arena_alloc_aligned(call->arena, (size_t)rows * sizeof(*y), ARENA_ALIGN_MAX);
    if (!y)
        return err_set(err, ERR_LIMIT, "no room for %lld sums", (long long)rows);
    enum err_code rc = take_time(slow, call, slow->call_us + rows * slow->row_us, err);
    for (int64_t row = 0; row < rows && !rc; row++) {
        y[row] = 0;
        for (int64_t i = 0; i < width; i++)
            y[row] += x[row * width + i];
        if (slow->poison && (int64_t)x[row * width] == slow->poison)
            rc = err_set(err, ERR_INVALID, "a poisoned row");
    }
    call->out[0] =
        (struct tensor){.name = "y", .dtype = DTYPE_F32, .rank = 1, .shape = {rows}, .data = y};
    call->out_count = 1;
    return rc;
}

static void free_model(void *model)
{
    free(model);
}

static const struct runtime_ops runtime_slow = {
    .name = "slow",
    .recognise = recognise,
    .load = load,
    .describe = describe,
    .memory_bytes = memory_bytes,
    .predict = predict,
    .free = free_model,
};

const struct runtime_ops *const runtimes[] = {
    &runtime_slow,
    &runtime_trees,
    NULL,
};
