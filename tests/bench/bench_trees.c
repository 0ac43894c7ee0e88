/* bench_trees.c - the runtime "trees" against XGBoost's or LightGBM's own library on the same file
 * and rows.
 *
 *     bench_trees LIBRARY.so LABEL MODEL ROWS.f32 FEATURES NAME ROWS=BEST/PORTABLE...
 *
 * For each batch size ROWS two bars are printed, the fastest tier of this CPU against BEST and the
 * portable one against PORTABLE:
 *
 *     bar trees_100x6_1row_vbmi_xgboost-3.2.0 118x >=100x ok
 *
 * Both sides run in this process on one core, in turns: a pair is some milliseconds of CPU time for
 * ours, then for theirs, through all rows of the file. The bar is the median of PAIRS ratios; the
 * lines before it give the medians in ns per row and the middle half of the ratios. Ours is timed
 * as a server calls it: runtime_ops.predict into an arena that is reset for every batch. Theirs is
 * XGBoosterPredictFromDense with nthread=1, or LGBM_BoosterPredictForMatSingleRowFast and
 * LGBM_BoosterPredictForMat with num_threads=1. Before
 * anything is timed all margins are compared bit by bit. Exit status 1 when a bar is short.
 */
#include <dlfcn.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "runtime/trees.h"

enum {
    PAIRS = 21,
    TURN_NS = 12 * 1000 * 1000,
    FILE_BYTES_MAX = 1 << 28,
    ARENA_BYTES = 1 << 20,
    SCORES_MAX = 4096
};

/* --- theirs ------------------------------------------------------------------------ */

struct theirs {
    const char *name; /* "xgboost", "lightgbm" */
    size_t margin_bytes;
    void *booster;

    int (*create)(const void *const *matrices, uint64_t count, void **booster);
    int (*load)(void *booster, const char *path);
    int (*set)(void *booster, const char *name, const char *value);
    int (*predict)(void *booster, const char *array, const char *config, void *matrix,
                   const uint64_t **shape, uint64_t *rank, const float **out);
    const char *(*error)(void);

    int (*open_file)(const char *path, int *iterations, void **booster);
    int (*score_many)(void *booster, const void *rows, int type, int32_t count, int32_t features,
                      int is_row_major, int kind, int first, int iterations, const char *options,
                      int64_t *length, double *out);
    int (*prepare_one)(void *booster, int kind, int first, int iterations, int type,
                       int32_t features, const char *options, void **fast);
    int (*score_one)(void *fast, const void *row, int64_t *length, double *out);
    void *fast;
    double out[SCORES_MAX];
};

static void must(bool is_right, const char *what)
{
    if (!is_right) {
        fprintf(stderr, "bench_trees: %s\n", what);
        exit(2);
    }
}

static void open_xgboost(struct theirs *x, void *so, const char *model)
{
    x->name = "xgboost";
    x->margin_bytes = sizeof(float);
    *(void **)&x->create = dlsym(so, "XGBoosterCreate");
    *(void **)&x->load = dlsym(so, "XGBoosterLoadModel");
    *(void **)&x->set = dlsym(so, "XGBoosterSetParam");
    *(void **)&x->predict = dlsym(so, "XGBoosterPredictFromDense");
    *(void **)&x->error = dlsym(so, "XGBGetLastError");
    must(x->create && x->load && x->set && x->predict && x->error, "the library lacks a function");
    must(x->create(NULL, 0, &x->booster) == 0, x->error());
    must(x->load(x->booster, model) == 0, x->error());
    must(x->set(x->booster, "nthread", "1") == 0, x->error());
}

static const void *xgboost_scores(struct theirs *x, const float *rows, int count, int features,
                                  bool is_margin)
{
    char array[160], config[200];
    const uint64_t *shape;
    uint64_t rank;
    const float *out;
    snprintf(array, sizeof(array),
             "{\"data\":[%zu,true],\"shape\":[%d,%d],\"typestr\":\"<f4\",\"version\":3}",
             (size_t)rows, count, features);
    snprintf(config, sizeof(config),
             "{\"type\":%d,\"training\":false,\"iteration_begin\":0,\"iteration_end\":0,"
             "\"strict_shape\":false,\"cache_id\":0,\"missing\":NaN}",
             is_margin);
    must(x->predict(x->booster, array, config, NULL, &shape, &rank, &out) == 0, x->error());
    return out;
}

/* Numbers of LightGBM's c_api.h. */
enum { LGBM_FLOAT32 = 0, LGBM_NORMAL = 0, LGBM_RAW = 1 };

static void open_lightgbm(struct theirs *x, void *so, const char *model, int features)
{
    int iterations;
    x->name = "lightgbm";
    x->margin_bytes = sizeof(double);
    *(void **)&x->open_file = dlsym(so, "LGBM_BoosterCreateFromModelfile");
    *(void **)&x->score_many = dlsym(so, "LGBM_BoosterPredictForMat");
    *(void **)&x->prepare_one = dlsym(so, "LGBM_BoosterPredictForMatSingleRowFastInit");
    *(void **)&x->score_one = dlsym(so, "LGBM_BoosterPredictForMatSingleRowFast");
    *(void **)&x->error = dlsym(so, "LGBM_GetLastError");
    must(x->open_file && x->score_many && x->prepare_one && x->score_one && x->error,
         "the library lacks a function");
    must(x->open_file(model, &iterations, &x->booster) == 0, x->error());
    must(x->prepare_one(x->booster, LGBM_NORMAL, 0, -1, LGBM_FLOAT32, features, "num_threads=1",
                        &x->fast) == 0,
         x->error());
}

static const void *lightgbm_scores(struct theirs *x, const float *rows, int count, int features,
                                   bool is_margin)
{
    int64_t length;
    must(count <= SCORES_MAX, "a batch is too large");
    int rc = count == 1 && !is_margin
                 ? x->score_one(x->fast, rows, &length, x->out)
                 : x->score_many(x->booster, rows, LGBM_FLOAT32, count, features, 1,
                                 is_margin ? LGBM_RAW : LGBM_NORMAL, 0, -1, "num_threads=1",
                                 &length, x->out);
    must(rc == 0, x->error());
    return x->out;
}

static void open_theirs(struct theirs *x, const char *library, const char *model, int features)
{
    void *so = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    must(so != NULL, so ? "" : dlerror());
    if (dlsym(so, "LGBM_BoosterPredictForMat"))
        open_lightgbm(x, so, model, features);
    else
        open_xgboost(x, so, model);
}

static const void *their_scores(struct theirs *x, const float *rows, int count, int features,
                                bool is_margin)
{
    return x->fast ? lightgbm_scores(x, rows, count, features, is_margin)
                   : xgboost_scores(x, rows, count, features, is_margin);
}

/* --- ours --------------------------------------------------------------------------- */

struct ours {
    void *model;
    struct arena *arena;
};

static const void *our_scores(struct ours *o, const float *rows, int count, int features,
                              bool is_margin)
{
    const bool wanted[2] = {!is_margin, is_margin};
    struct tensor in = {.dtype = DTYPE_F32, .rank = 2, .shape = {count, features}};
    struct tensor out[2];
    struct err err = {0};
    struct runtime_call call = {
        .in = &in, .in_count = 1, .wanted = wanted, .arena = o->arena, .out = out};
    in.data = (void *)(uintptr_t)rows;
    arena_reset(o->arena);
    must(runtime_trees.predict(o->model, &call, &err) == ERR_OK, err.msg);
    return out[0].data;
}

/* --- comparing ----------------------------------------------------------------------- */

struct bench {
    struct theirs theirs;
    const float *rows;
    int row_count, features;
    const char *name, *label;
    bool is_short;
};

/* CPU time of this process, so that other programs on the machine matter less. */
static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* ns per row of one turn; a NULL `ours` means theirs. Both walk the same rows in the same order. */
static double turn(struct bench *b, struct ours *ours, int batch)
{
    double begin = now_ns(), spent = 0;
    int64_t done = 0;
    volatile char sink = 0;
    int calls = !ours ? 4 : batch == 1 ? 512 : 16; /* between looks at the clock */
    for (int at = 0; spent < TURN_NS; spent = now_ns() - begin)
        for (int k = 0; k < calls; k++, done += batch) {
            const float *rows = b->rows + (size_t)at * (size_t)b->features;
            const char *out = ours ? our_scores(ours, rows, batch, b->features, false)
                                   : their_scores(&b->theirs, rows, batch, b->features, false);
            sink = out[0];
            at = at + 2 * batch > b->row_count ? 0 : at + batch;
        }
    (void)sink;
    return spent / (double)done;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void compare_bits(struct bench *b, struct ours *ours, int batch)
{
    for (int at = 0; at + batch <= b->row_count; at += batch) {
        const float *rows = b->rows + (size_t)at * (size_t)b->features;
        const void *theirs = their_scores(&b->theirs, rows, batch, b->features, true);
        const void *mine = our_scores(ours, rows, batch, b->features, true);
        must(memcmp(theirs, mine, (size_t)batch * b->theirs.margin_bytes) == 0, "margins differ");
    }
}

static void measure(struct bench *b, struct ours *ours, const char *tier, int batch, double bound)
{
    double mine[PAIRS], their[PAIRS], ratios[PAIRS];
    compare_bits(b, ours, batch);
    for (int i = 0; i < PAIRS; i++) {
        mine[i] = turn(b, ours, batch);
        their[i] = turn(b, NULL, batch);
        ratios[i] = their[i] / mine[i];
    }
    qsort(mine, PAIRS, sizeof(double), compare_doubles);
    qsort(their, PAIRS, sizeof(double), compare_doubles);
    qsort(ratios, PAIRS, sizeof(double), compare_doubles);
    double ratio = ratios[PAIRS / 2];
    printf("# %s tier, %d row(s): %.1f ns a row; %s %s: %.1f; ratio %.1f [%.1f, %.1f]; "
           "margins bit-equal\n",
           tier, batch, mine[PAIRS / 2], b->theirs.name, b->label, their[PAIRS / 2], ratio,
           ratios[PAIRS / 4], ratios[PAIRS - 1 - PAIRS / 4]);
    printf("bar %s_%drow%s_%s_%s-%s %.*fx >=%gx %s\n", b->name, batch, batch == 1 ? "" : "s", tier,
           b->theirs.name, b->label, ratio < 10 ? 1 : 0, ratio, bound,
           ratio >= bound ? "ok" : "short");
    fflush(stdout);
    b->is_short |= ratio < bound;
}

static void load(struct ours *ours, const struct buf *file, enum trees_tier tier)
{
    struct err err = {0};
    must(trees_load_tier(file->data, file->len, tier, &ours->model, &err) == ERR_OK, err.msg);
    ours->arena = arena_new(ARENA_BYTES);
}

static void run_batches(struct bench *b, const char *model, char **batches)
{
    struct buf file;
    struct err err = {0};
    struct ours best, portable;
    must(file_read(model, FILE_BYTES_MAX, &file, &err) == ERR_OK, err.msg);
    load(&best, &file, TREES_TIER_BEST);
    load(&portable, &file, TREES_TIER_HEAP);
    bool has_vbmi = trees_tier_of(best.model) == TREES_TIER_VBMI;
    for (; *batches; batches++) {
        int batch;
        double best_bound, portable_bound;
        must(sscanf(*batches, "%d=%lf/%lf", &batch, &best_bound, &portable_bound) == 3, *batches);
        if (has_vbmi)
            measure(b, &best, "vbmi", batch, best_bound);
        else
            printf("# %s: the tier vbmi does not take it here, only the portable one is measured\n",
                   b->name);
        measure(b, &portable, "portable", batch, portable_bound);
    }
    runtime_trees.free(best.model);
    runtime_trees.free(portable.model);
    arena_free(best.arena);
    arena_free(portable.arena);
    buf_done(&file);
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
    struct buf rows;
    struct err err = {0};
    must(argc >= 8, "usage: bench_trees LIB LABEL MODEL ROWS FEATURES NAME ROWS=BEST/PORTABLE...");
    stay_on_one_core();
    b.label = argv[2];
    b.name = argv[6];
    must(sscanf(argv[5], "%d", &b.features) == 1 && b.features > 0, "FEATURES is no number");
    must(file_read(argv[4], FILE_BYTES_MAX, &rows, &err) == ERR_OK, err.msg);
    b.rows = (const float *)(const void *)rows.data;
    b.row_count = (int)(rows.len / sizeof(float)) / b.features;
    open_theirs(&b.theirs, argv[1], argv[3], b.features);
    run_batches(&b, argv[3], argv + 7);
    buf_done(&rows);
    return b.is_short;
}
