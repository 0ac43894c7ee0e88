/* bench_drift.c - what watching costs, how often it cries wolf and what it misses.
 *
 *     bench_drift                 bars: ns a row, bytes a feature; verdicts of simulated windows
 *     bench_drift data DIR        reference.csv and .f32, current.csv and .f32 for a comparison
 *     bench_drift memory DIR      seconds to profile current.f32 against contract.yaml, in memory
 *
 * Simulations are seeded. Rates are judged by counts: a bar of at most 1 % of 20,000 windows is
 * short when more than 200 of them warn.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/rand.h"
#include "monitor/binning.h"
#include "monitor/profile.h"
#include "monitor/sample.h"

enum {
    COLUMNS = 30,
    REFERENCE_ROWS = 100 * 1000,
    CURRENT_ROWS = 1000 * 1000,
    RUNS = 41,
    SIM_FEATURES = 20,
    SIM_REFERENCE = 10 * 1000,
    SIM_WINDOW = 500,
    SIM_WORLDS = 40, /* each with a reference of its own */
    SIM_WINDOWS = 500,
};

static int bar(const char *name, double measured, const char *unit, double bound, bool is_at_least)
{
    bool is_ok = is_at_least ? measured >= bound : measured <= bound;
    printf("bar drift_%s %.6g%s %s%g%s %s\n", name, measured, unit,
           is_at_least ? ">=" : "<=", bound, unit, is_ok ? "ok" : "short");
    return is_ok ? 0 : 1;
}

/* Box and Muller's, one of the two. */
static double normal(struct rand *rand)
{
    double u = 1 - rand_unit(rand), v = rand_unit(rand);
    return sqrt(-2 * log(u)) * cos(2 * M_PI * v);
}

static void *take(size_t count, size_t bytes)
{
    void *memory = aligned_alloc(64, (count * bytes + 63) / 64 * 64);
    if (!memory)
        abort();
    memset(memory, 0, count * bytes);
    return memory;
}

/* ---- a baseline from numbers ---- */

/* Deciles and counts of one feature's reference values. */
static void fill_column(struct baseline_column *c, int column, double *values, int count,
                        struct arena *arena)
{
    double edges[9];
    float *kept = arena_calloc(arena, 9, sizeof(*kept));
    sample_sort(values, count);
    *c = (struct baseline_column){.name = "x", .unit = "", .column = column, .rows = count};
    c->edge_count = binning_quantile_edges(values, count, 10, edges);
    c->bin_count = c->edge_count + 1;
    for (int i = 0; i < c->edge_count; i++)
        edges[i] = (double)(kept[i] = (float)edges[i]);
    c->edges = kept;
    c->counts = arena_calloc(arena, (size_t)c->bin_count, sizeof(*c->counts));
    binning_count(values, count, edges, c->edge_count, c->counts);
}

static struct baseline *new_baseline(int features, int rows, struct rand *rand, struct arena *arena)
{
    struct baseline *b = arena_calloc(arena, 1, sizeof(*b));
    double *values = take((size_t)rows, sizeof(*values));
    b->columns = arena_calloc(arena, (size_t)features + 1, sizeof(*b->columns));
    b->column_count = features + 1;
    b->value_count = features;
    for (int i = 0; i <= features; i++) {
        for (int row = 0; row < rows; row++)
            values[row] = (double)(float)normal(rand);
        fill_column(&b->columns[i], i < features ? i : -1, values, rows, arena);
    }
    b->columns[features].is_answer = true;
    free(values);
    return b;
}

/* ---- cost ---- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* ns to count one row and its answer, rows coming one by one as requests do. */
static double measure_row(struct sketch *sketch, const float *rows, int count)
{
    double runs[RUNS];
    for (int run = 0; run < RUNS; run++) {
        int64_t start = clock_monotonic_ns();
        for (int i = 0; i < count; i++) {
            sketch_add_rows(sketch, 0, ARM_NONE, rows + (size_t)i * COLUMNS, 1);
            sketch_add_answer(sketch, 0, ARM_NONE, rows[(size_t)i * COLUMNS]);
        }
        runs[run] = (double)(clock_monotonic_ns() - start) / count;
    }
    qsort(runs, RUNS, sizeof(*runs), compare);
    return runs[RUNS / 2];
}

static int bench_cost(void)
{
    enum { ROWS = 4096 };
    static const char *const tiers[SKETCH_TIERS] = {"plain C", "AVX2", "AVX-512"};
    struct rand rand;
    struct arena *arena = arena_new(1 << 24);
    rand_seed(&rand, 1);
    struct baseline *b = new_baseline(COLUMNS, 1000, &rand, arena);
    struct sketch *sketch = sketch_new(b, 1);
    float *rows = take((size_t)ROWS * COLUMNS, sizeof(*rows));
    double ns = 0;
    for (int i = 0; i < ROWS * COLUMNS; i++)
        rows[i] = (float)normal(&rand);
    for (int tier = 0; tier < SKETCH_TIERS; tier++)
        if (sketch_set_tier(sketch, tier)) {
            ns = measure_row(sketch, rows, ROWS);
            printf("    %s: %.1f ns a row of %d features and its answer\n", tiers[tier], ns,
                   COLUMNS);
        }
    int failed = bar("row", ns, "ns", 60, false);
    failed |= bar("bytes_a_feature", (double)sketch_block_bytes(sketch) / (COLUMNS + 1), "B", 2048,
                  false);
    sketch_free(sketch);
    free(rows);
    arena_free(arena);
    return failed;
}

/* ---- simulated windows ---- */

struct world {
    struct baseline *baseline;
    struct arena *arena;
    struct rand rand;
    struct sketch *sketch;
    uint64_t *slots;
    struct judgement out[SIM_FEATURES + 1];
    struct e_detector detectors[SIM_FEATURES + 1];
};

static void world_begin(struct world *w, uint64_t seed)
{
    memset(w, 0, sizeof(*w));
    w->arena = arena_new(1 << 24);
    rand_seed(&w->rand, seed);
    w->baseline = new_baseline(SIM_FEATURES, SIM_REFERENCE, &w->rand, w->arena);
    w->sketch = sketch_new(w->baseline, 1);
    w->slots = take((size_t)sketch_slot_count(w->sketch), sizeof(*w->slots));
}

static void world_end(struct world *w)
{
    sketch_free(w->sketch);
    free(w->slots);
    arena_free(w->arena);
}

/* One window of rows, the first feature shifted by so many standard deviations; an extra row has
 * the value `extreme` in every feature (0: there is none). The answer is left alone. */
static void window(struct world *w, double shift, float extreme)
{
    float row[SIM_FEATURES];
    struct sketch *sketch = sketch_new(w->baseline, 1);
    uint32_t *counts = take((size_t)sketch_slot_count(sketch), sizeof(*counts));
    for (int i = 0; i < SIM_WINDOW; i++) {
        for (int k = 0; k < SIM_FEATURES; k++)
            row[k] = (float)(normal(&w->rand) + (k == 0 ? shift : 0));
        sketch_add_rows(sketch, 0, ARM_NONE, row, 1);
    }
    for (int k = 0; k < SIM_FEATURES; k++)
        row[k] = extreme;
    if (extreme != 0)
        sketch_add_rows(sketch, 0, ARM_NONE, row, 1);
    sketch_sum(sketch, ARM_NONE, counts);
    for (int i = 0; i < sketch_slot_count(sketch); i++)
        w->slots[i] = counts[i];
    judge_window(w->baseline, w->sketch, w->slots, w->out);
    free(counts);
    sketch_free(sketch);
}

static bool warns(const struct world *w)
{
    return judge_worst(w->out, SIM_FEATURES) >= MONITOR_WARN;
}

/* Windows of nothing but chance: how many warn, and how often the long run does. */
static int bench_clean(void)
{
    struct world w;
    int warned = 0, long_run = 0, windows = SIM_WORLDS * SIM_WINDOWS;
    for (int world = 0; world < SIM_WORLDS; world++) {
        world_begin(&w, 100 + (uint64_t)world);
        for (int i = 0; i < SIM_WINDOWS; i++) {
            window(&w, 0, 0);
            bool is_warned = warns(&w), was = false;
            warned += is_warned;
            judge_long_run(w.baseline, w.sketch, w.slots, w.detectors, w.out);
            for (int k = 0; k < SIM_FEATURES; k++)
                was |= w.out[k].rule == JUDGE_LONG_RUN;
            long_run += was;
            if (was) /* one alarm is one: begin again */
                memset(w.detectors, 0, sizeof(w.detectors));
        }
        world_end(&w);
    }
    printf("    %d windows of %d rows, %d clean features, %d references of %d rows: %d warn; the "
           "long run alarms %d times\n",
           windows, SIM_WINDOW, SIM_FEATURES, SIM_WORLDS, SIM_REFERENCE, warned, long_run);
    int failed = bar("clean_windows_that_warn", 100.0 * warned / windows, "%", 1, false);
    return failed |
           bar("long_run_alarms_in_1000_windows", 1000.0 * long_run / windows, "", 1, false);
}

static int bench_shifts(void)
{
    struct world w;
    int found = 0, windows = SIM_WORLDS * 50, small = 0, delays = 0;
    for (int world = 0; world < SIM_WORLDS; world++) {
        world_begin(&w, 900 + (uint64_t)world);
        for (int i = 0; i < 50; i++) {
            window(&w, 0.5, 0);
            found += w.out[0].verdict >= MONITOR_WARN;
        }
        int delay = 0;
        do {
            window(&w, 0.2, 0);
            judge_long_run(w.baseline, w.sketch, w.slots, w.detectors, w.out);
            delay++;
        } while (w.out[0].verdict < MONITOR_WARN && delay < 1000);
        small += delay <= 5;
        delays += delay;
        world_end(&w);
    }
    printf(
        "    %d windows with one feature shifted by 0.5 sigma: found in %d; a shift of 0.2 sigma "
        "after %.1f windows on average, within 5 in %d of %d\n",
        windows, found, (double)delays / SIM_WORLDS, small, SIM_WORLDS);
    return bar("half_sigma_found", 100.0 * found / windows, "%", 98, true);
}

/* The same windows with and without one row of 1e9, clean and shifted. */
static int bench_extreme(void)
{
    struct world a, b;
    int changed = 0, windows = 0;
    for (int world = 0; world < SIM_WORLDS; world++) {
        world_begin(&a, 5000 + (uint64_t)world);
        world_begin(&b, 5000 + (uint64_t)world);
        for (int i = 0; i < 50; i++, windows++) {
            double shift = i % 2 ? 0.6 : 0;
            window(&a, shift, 0);
            window(&b, shift, 1e9f);
            bool differs = false;
            for (int k = 0; k < SIM_FEATURES; k++)
                differs |= (a.out[k].verdict >= MONITOR_WARN) != (b.out[k].verdict >= MONITOR_WARN);
            changed += differs;
        }
        world_end(&a);
        world_end(&b);
    }
    printf("    %d windows with and without one row of 1e9: %d verdicts differ\n", windows,
           changed);
    return bar("verdicts_changed_by_one_row", changed, "", 0, false);
}

/* ---- the comparison ---- */

static void put_file(const char *dir, const char *name, const void *bytes, size_t size)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file)) {
        fprintf(stderr, "bench_drift: %s is not written\n", path);
        exit(2);
    }
}

static void write_rows(const char *dir, const char *name, int rows, uint64_t seed)
{
    struct rand rand;
    struct buf text;
    char file[64];
    float *values = take((size_t)rows * COLUMNS, sizeof(*values));
    rand_seed(&rand, seed);
    buf_init(&text, (size_t)4 << 30);
    for (int i = 0; i < COLUMNS; i++)
        buf_printf(&text, "%sx%d", i ? "," : "", i);
    for (int row = 0; row < rows; row++)
        for (int i = 0; i < COLUMNS; i++) {
            float *value = &values[(size_t)row * COLUMNS + (size_t)i];
            *value = (float)(round(1e6 * normal(&rand)) / 1e6);
            buf_char(&text, i ? ',' : '\n');
            buf_f32(&text, *value);
        }
    buf_char(&text, '\n');
    snprintf(file, sizeof(file), "%s.f32", name);
    put_file(dir, file, values, (size_t)rows * COLUMNS * sizeof(*values));
    snprintf(file, sizeof(file), "%s.csv", name);
    put_file(dir, file, text.data, text.len);
    buf_done(&text);
    free(values);
}

static void read_all(const char *dir, const char *name, struct buf *bytes)
{
    char path[4096];
    struct err err = {0};
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    if (file_read(path, (size_t)1 << 30, bytes, &err)) {
        fprintf(stderr, "bench_drift: %s\n", err.msg);
        exit(2);
    }
}

/* Prints the median seconds of five passes over the rows in memory, decisions included. */
static int profile_memory(const char *dir)
{
    struct buf text, bytes;
    struct err err = {0};
    struct contract *contract;
    double runs[5];
    read_all(dir, "contract.yaml", &text);
    read_all(dir, "current.f32", &bytes);
    if (contract_parse(buf_view(&text), &contract, &err)) {
        fprintf(stderr, "bench_drift: %s\n", err.msg);
        return 2;
    }
    int64_t rows = (int64_t)(bytes.len / sizeof(float) / COLUMNS);
    for (int i = 0; i < 5; i++) {
        int64_t start = clock_monotonic_ns();
        struct profile *profile = profile_new(contract);
        profile_add(profile, (const float *)(const void *)bytes.data, rows);
        if (profile_verdict(profile) != MONITOR_OK)
            return 2;
        profile_free(profile);
        runs[i] = (double)(clock_monotonic_ns() - start) / 1e9;
    }
    qsort(runs, 5, sizeof(*runs), compare);
    printf("%.6f\n", runs[2]);
    contract_free(contract);
    buf_done(&bytes);
    buf_done(&text);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "data") == 0) {
        write_rows(argv[2], "reference", REFERENCE_ROWS, 21);
        write_rows(argv[2], "current", CURRENT_ROWS, 22);
        return 0;
    }
    if (argc == 3 && strcmp(argv[1], "memory") == 0)
        return profile_memory(argv[2]);
    int failed = bench_cost();
    failed |= bench_clean();
    failed |= bench_shifts();
    failed |= bench_extreme();
    return failed;
}
