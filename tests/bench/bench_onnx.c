/* bench_onnx.c - memory after a model was loaded and unloaded ten thousand times.
 *
 *     bench_onnx PLACE-OF-ONNXRUNTIME
 *
 * A cycle is what a server does with a version: load (with its trial rows), one prediction, free;
 * the models change from cycle to cycle. Resident memory is read after the first thousand cycles,
 * when everything that stays has been touched, and after the last. Exit status 1 when the bar is
 * short.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "runtime/onnx.h"
#include "runtime/trees.h"

enum { CYCLES = 10000, WARM_CYCLES = 1000, FILE_BYTES_MAX = 1 << 26, ARENA_BYTES = 1 << 20 };

static struct runtime_host host = {
    .work_dir = "", .python = "", .onnxruntime = "", .onnx_threads = 1, .thread_count = 1};

static void must(bool is_right, const char *what)
{
    if (!is_right) {
        fprintf(stderr, "bench_onnx: %s\n", what);
        exit(2);
    }
}

/* From smaps_rollup, which walks the pages; the counters of statm lag by some of each CPU. */
static long resident_kib(void)
{
    char line[256];
    long kib = -1;
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    must(file != NULL, "no /proc/self/smaps_rollup");
    while (kib < 0 && fgets(line, sizeof(line), file))
        if (sscanf(line, "Rss: %ld kB", &kib) != 1)
            kib = -1;
    fclose(file);
    must(kib > 0, "no Rss in smaps_rollup");
    return kib;
}

static void cycle(const struct runtime_ops *ops, const struct buf *bytes)
{
    static float row[64];
    struct runtime_file file = {
        .bytes = bytes->data, .size = bytes->len, .digest_hex = "", .host = &host};
    struct err err = {0};
    struct tensor out[RUNTIME_TENSORS_MAX];
    void *model = NULL;
    if (ops->load(&file, &model, &err))
        must(false, err.msg);
    const struct signature *s = ops->describe(model);
    struct tensor in = {.name = s->inputs[0].name,
                        .dtype = DTYPE_F32,
                        .rank = 2,
                        .shape = {1, s->feature_count},
                        .data = row};
    struct arena *arena = arena_new(ARENA_BYTES);
    struct runtime_call call = {.in = &in, .in_count = 1, .arena = arena, .out = out};
    if (ops->predict(model, &call, &err))
        must(false, err.msg);
    arena_free(arena);
    ops->free(model);
}

static int run(const char *label, const struct runtime_ops *ops, const char *const *paths,
               int count)
{
    struct buf files[4];
    struct err err = {0};
    long first = 0;
    must(count <= 4, "too many models");
    for (int i = 0; i < count; i++)
        if (file_read(paths[i], FILE_BYTES_MAX, &files[i], &err))
            must(false, err.msg);
    int64_t start = clock_monotonic_us();
    for (int i = 0; i < CYCLES; i++) {
        if (i == 0 || i == WARM_CYCLES) /* the first reading touches pages of its own */
            first = resident_kib();
        cycle(ops, &files[i % count]);
    }
    long last = resident_kib();
    double growth = 100.0 * (double)(last - first) / (double)first;
    printf("    %s: %d loads in %.1f s, resident %ld KiB after %d and %ld KiB at the end\n", label,
           CYCLES, (double)(clock_monotonic_us() - start) / 1e6, first, WARM_CYCLES, last);
    printf("bar reload_%s_10000_growth %.2f%% <=1%% %s\n", label, growth,
           growth <= 1 ? "ok" : "short");
    for (int i = 0; i < count; i++)
        buf_done(&files[i]);
    return growth > 1;
}

int main(int argc, char **argv)
{
    static const char *const trees[] = {"examples/triage/model_v1.ubj",
                                        "examples/triage/model.ubj"};
    static const char *const nets[] = {"tests/golden/onnx/mlp/model.onnx",
                                       "tests/golden/onnx/skl_forest_texts/model.onnx",
                                       "tests/golden/onnx/sigmoid/model.onnx"};
    if (argc > 1)
        host.onnxruntime = argv[1];
    int is_short = run("trees", &runtime_trees, trees, 2);
    is_short |= run("onnx", &runtime_onnx, nets, 3);
    return is_short;
}
