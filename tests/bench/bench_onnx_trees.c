/* bench_onnx_trees.c - the runtime "trees" against ONNX Runtime on the same ONNX file and rows.
 *
 *     bench_onnx_trees WHERE MODEL.onnx ROWS.f32 NAME ROWS=BEST/PORTABLE...
 *
 * WHERE is what the option onnxruntime_path takes. For each batch size two bars are printed, the
 * fastest tier of this CPU against BEST and the portable one against PORTABLE:
 *
 *     bar onnx_boosting_100x6_1row_vbmi_onnxruntime-1.32.0 60x >=25x ok
 *
 * Both sides run in this process on one core, in turns, through all rows of the file; the bar is
 * the median of PAIRS ratios of CPU time. Ours is runtime_ops.predict into an arena that is reset
 * for every batch; theirs is OrtApi.Run of a session with one thread and all optimisations, on a
 * tensor made once over each batch's rows, releasing what it returns. Labels and probabilities are
 * computed by both, and compared bit by bit before anything is timed.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "runtime/onnx_library.h"
#include "runtime/trees.h"

enum { PAIRS = 21, TURN_NS = 12 * 1000 * 1000, FILE_BYTES_MAX = 1 << 28, ARENA_BYTES = 1 << 22 };

static void must(bool is_right, const char *what)
{
    if (!is_right) {
        fprintf(stderr, "bench_onnx_trees: %s\n", what);
        exit(2);
    }
}

struct bench {
    const struct onnx_library *library;
    OrtSession *session;
    void *model;
    const struct signature *signature;
    struct arena *arena;
    float *rows;
    int row_count, features;
    bool is_short;
};

static void ask(struct bench *b, OrtStatus *status)
{
    struct err err = {0};
    must(onnx_status(b->library, status, ERR_INTERNAL, "ONNX Runtime", &err) == ERR_OK, err.msg);
}

/* --- theirs ------------------------------------------------------------------------------ */

static void open_theirs(struct bench *b, const char *where, const struct buf *file)
{
    struct err err = {0};
    OrtSessionOptions *options;
    must(onnx_library_open(where, 1, &b->library, &err) == ERR_OK, err.msg);
    const OrtApi *api = b->library->api;
    ask(b, api->CreateSessionOptions(&options));
    ask(b, api->SetIntraOpNumThreads(options, 1));
    ask(b, api->DisablePerSessionThreads(options));
    ask(b, api->SetSessionGraphOptimizationLevel(options, ORT_ENABLE_ALL));
    ask(b,
        api->CreateSessionFromArray(b->library->env, file->data, file->len, options, &b->session));
    api->ReleaseSessionOptions(options);
}

static OrtValue *their_input(struct bench *b, int at, int batch)
{
    const int64_t shape[2] = {batch, b->features};
    OrtValue *value = NULL;
    ask(b, b->library->api->CreateTensorWithDataAsOrtValue(
               b->library->memory, b->rows + (size_t)at * (size_t)b->features,
               (size_t)batch * (size_t)b->features * sizeof(float), shape, 2,
               ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &value));
    return value;
}

static void their_scores(struct bench *b, const OrtValue *input, OrtValue *out[2])
{
    const char *const inputs[1] = {b->signature->inputs[0].name};
    const char *const outputs[2] = {b->signature->outputs[0].name, b->signature->outputs[1].name};
    out[0] = out[1] = NULL;
    ask(b, b->library->api->Run(b->session, NULL, inputs, &input, 1, outputs, 2, out));
}

/* --- ours ---------------------------------------------------------------------------------- */

static void our_scores(struct bench *b, int at, int batch, struct tensor *out)
{
    struct tensor in = {.dtype = DTYPE_F32, .rank = 2, .shape = {batch, b->features}};
    struct runtime_call call = {.in = &in, .in_count = 1, .arena = b->arena, .out = out};
    struct err err = {0};
    in.data = b->rows + (size_t)at * (size_t)b->features;
    arena_reset(b->arena);
    must(runtime_trees.predict(b->model, &call, &err) == ERR_OK && call.out_count == 2, err.msg);
}

/* --- comparing ------------------------------------------------------------------------------- */

/* CPU time of this process, so that other programs on the machine matter less. */
static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void compare_bits(struct bench *b, int batch)
{
    const OrtApi *api = b->library->api;
    for (int at = 0; at + batch <= b->row_count; at += batch) {
        struct tensor out[2];
        OrtValue *theirs[2], *input = their_input(b, at, batch);
        void *data[2];
        our_scores(b, at, batch, out);
        their_scores(b, input, theirs);
        for (int i = 0; i < 2; i++) {
            ask(b, api->GetTensorMutableData(theirs[i], &data[i]));
            size_t count = (size_t)tensor_elements(out[i].shape, out[i].rank);
            must(memcmp(out[i].data, data[i], count * dtype_bytes(out[i].dtype)) == 0,
                 "outputs differ");
            api->ReleaseValue(theirs[i]);
        }
        api->ReleaseValue(input);
    }
}

static double our_turn(struct bench *b, int batch)
{
    double begin = now_ns(), spent = 0;
    int64_t done = 0;
    volatile float sink = 0;
    int calls = batch == 1 ? 512 : 16; /* between looks at the clock */
    for (int at = 0; spent < TURN_NS; spent = now_ns() - begin)
        for (int k = 0; k < calls; k++, done += batch) {
            struct tensor out[2];
            our_scores(b, at, batch, out);
            sink = *(float *)out[0].data;
            at = at + 2 * batch > b->row_count ? 0 : at + batch;
        }
    (void)sink;
    return spent / (double)done;
}

static double their_turn(struct bench *b, int batch, OrtValue **inputs)
{
    double begin = now_ns(), spent = 0;
    int64_t done = 0;
    for (int at = 0; spent < TURN_NS; spent = now_ns() - begin)
        for (int k = 0; k < 8; k++, done += batch) {
            OrtValue *out[2];
            their_scores(b, inputs[at / batch], out);
            b->library->api->ReleaseValue(out[0]);
            b->library->api->ReleaseValue(out[1]);
            at = at + 2 * batch > b->row_count ? 0 : at + batch;
        }
    return spent / (double)done;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(struct bench *b, const char *name, const char *tier, int batch, double bound)
{
    double mine[PAIRS], their[PAIRS], ratios[PAIRS];
    int batches = b->row_count / batch;
    OrtValue **inputs = malloc((size_t)batches * sizeof(*inputs));
    for (int i = 0; i < batches; i++)
        inputs[i] = their_input(b, i * batch, batch);
    compare_bits(b, batch);
    for (int i = 0; i < PAIRS; i++) {
        mine[i] = our_turn(b, batch);
        their[i] = their_turn(b, batch, inputs);
        ratios[i] = their[i] / mine[i];
    }
    qsort(mine, PAIRS, sizeof(double), compare_doubles);
    qsort(their, PAIRS, sizeof(double), compare_doubles);
    qsort(ratios, PAIRS, sizeof(double), compare_doubles);
    double ratio = ratios[PAIRS / 2];
    printf("# %s tier, %d row(s): %.1f ns a row; ONNX Runtime %s: %.1f; ratio %.1f [%.1f, %.1f]; "
           "outputs bit-equal\n",
           tier, batch, mine[PAIRS / 2], b->library->version, their[PAIRS / 2], ratio,
           ratios[PAIRS / 4], ratios[PAIRS - 1 - PAIRS / 4]);
    printf("bar %s_%drow%s_%s_onnxruntime-%s %.*fx >=%gx %s\n", name, batch, batch == 1 ? "" : "s",
           tier, b->library->version, ratio < 10 ? 1 : 0, ratio, bound,
           ratio >= bound ? "ok" : "short");
    fflush(stdout);
    b->is_short |= ratio < bound;
    for (int i = 0; i < batches; i++)
        b->library->api->ReleaseValue(inputs[i]);
    free(inputs);
}

static void load(struct bench *b, const struct buf *file, enum trees_tier tier)
{
    struct err err = {0};
    runtime_trees.free(b->model);
    must(trees_load_tier(file->data, file->len, tier, &b->model, &err) == ERR_OK, err.msg);
    b->signature = runtime_trees.describe(b->model);
    must(b->signature->output_count == 2, "the model is no classifier");
}

/* The last core: the first gets most of the machine's interrupts. */
static void stay_on_one_core(void)
{
    cpu_set_t all, one;
    must(sched_getaffinity(0, sizeof(all), &all) == 0, "sched_getaffinity failed");
    CPU_ZERO(&one);
    for (int i = CPU_SETSIZE - 1; i >= 0 && CPU_COUNT(&one) == 0; i--)
        if (CPU_ISSET(i, &all))
            CPU_SET(i, &one);
    must(sched_setaffinity(0, sizeof(one), &one) == 0, "sched_setaffinity failed");
}

int main(int argc, char **argv)
{
    struct bench b = {0};
    struct buf model, rows;
    struct err err = {0};
    must(argc >= 6, "usage: bench_onnx_trees WHERE MODEL ROWS NAME ROWS=BEST/PORTABLE...");
    stay_on_one_core();
    must(file_read(argv[2], FILE_BYTES_MAX, &model, &err) == ERR_OK, err.msg);
    must(file_read(argv[3], FILE_BYTES_MAX, &rows, &err) == ERR_OK, err.msg);
    open_theirs(&b, argv[1], &model);
    load(&b, &model, TREES_TIER_BEST);
    bool has_vbmi = trees_tier_of(b.model) == TREES_TIER_VBMI;
    b.arena = arena_new(ARENA_BYTES);
    b.rows = (float *)(void *)rows.data;
    b.features = b.signature->feature_count;
    b.row_count = (int)(rows.len / sizeof(float)) / b.features;
    printf("# %s: %s\n", argv[4], b.signature->detail);
    for (char **at = argv + 5; *at; at++) {
        int batch;
        double best, portable;
        must(sscanf(*at, "%d=%lf/%lf", &batch, &best, &portable) == 3, *at);
        load(&b, &model, TREES_TIER_BEST);
        if (has_vbmi)
            measure(&b, argv[4], "vbmi", batch, best);
        load(&b, &model, TREES_TIER_HEAP);
        measure(&b, argv[4], "portable", batch, portable);
    }
    runtime_trees.free(b.model);
    arena_free(b.arena);
    b.library->api->ReleaseSession(b.session);
    buf_done(&model);
    buf_done(&rows);
    return b.is_short;
}
