/* bench_python.c - what a call of a Python model costs beyond the call of its function.
 *
 *     bench_python [PACKAGES]
 *
 * One row of 30 numbers there, one number back, through socket, shared memory and slipway_worker;
 * the model times its own function in every call and tells the median when it is asked. With
 * PACKAGES, a folder that has numpy, rows are arrays, else lists. Exit status 1 when the bar is
 * short.
 */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/tar.h"
#include "runtime/python.h"
#include "runtime/worker_launch.h"

enum { CALLS = 20000, WARM_CALLS = 1000, FEATURES = 30, BAR_US = 60, ARENA_BYTES = 1 << 20 };

static const char code[] = "import time\n"
                           "times = []\n"
                           "def score(x):\n"
                           "    return [row[0] * 2 for row in x]\n"
                           "def predict(x):\n"
                           "    if x[0][0] < 0:\n"
                           "        return [sorted(times)[len(times) // 2] / 1000]\n"
                           "    begin = time.perf_counter_ns()\n"
                           "    answer = score(x)\n"
                           "    times.append(time.perf_counter_ns() - begin)\n"
                           "    return answer\n";

static void must(bool is_right, const char *what)
{
    if (!is_right) {
        fprintf(stderr, "bench_python: %s\n", what);
        exit(2);
    }
}

static void put(const char *folder, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    must(file && fputs(text, file) >= 0 && fclose(file) == 0, path);
}

static void *open_model(const char *root, const char *packages)
{
    static struct runtime_host host;
    static char environment[1024], work[256];
    static const char *environments[1] = {environment};
    char hex[SHA256_HEX_BYTES + 1], yaml[1024] = "features: [";
    struct buf bytes;
    struct err err = {0};
    void *model = NULL;
    snprintf(work, sizeof(work), "%s/work", root);
    for (int i = 0; i < FEATURES; i++)
        snprintf(yaml + strlen(yaml), sizeof(yaml) - strlen(yaml), "%sf%d", i ? ", " : "", i);
    snprintf(yaml + strlen(yaml), sizeof(yaml) - strlen(yaml), "]\n%s",
             packages ? "environment: bench\n" : "");
    put(root, "slipway.yaml", yaml);
    put(root, "model.py", code);
    buf_init(&bytes, 1 << 20);
    must(tar_pack(root, &bytes, &err) == ERR_OK, err.msg);
    hash_sha256_hex(bytes.data, bytes.len, hex);
    snprintf(environment, sizeof(environment), "bench=%s", packages ? packages : "");
    host = (struct runtime_host){.work_dir = work,
                                 .python = "",
                                 .python_environments = environments,
                                 .python_environment_count = packages != NULL,
                                 .thread_count = 1};
    const struct runtime_file file = {
        .bytes = bytes.data, .size = bytes.len, .digest_hex = hex, .host = &host, .label = "bench"};
    must(runtime_python.load(&file, &model, &err) == ERR_OK, err.msg);
    buf_done(&bytes);
    return model;
}

static float ask(void *model, struct arena *arena, float first)
{
    float row[FEATURES] = {first};
    struct err err = {0};
    struct tensor out[4];
    const struct tensor in = {
        .name = "input", .dtype = DTYPE_F32, .rank = 2, .shape = {1, FEATURES}, .data = row};
    struct runtime_call call = {.in = &in, .in_count = 1, .arena = arena, .out = out};
    must(runtime_python.predict(model, &call, &err) == ERR_OK, err.msg);
    float answer = *(float *)out[0].data;
    arena_reset(arena);
    return answer;
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)where;
    return kind == FTW_DP ? rmdir(path) : unlink(path);
}

int main(int argc, char **argv)
{
    static int64_t times[CALLS];
    char root[] = "/tmp/slipway-bench-XXXXXX";
    if (argc > 2 && strcmp(argv[1], "worker") == 0)
        return worker_launch(argc - 3, (const char *const *)argv + 3);
    const char *packages = argc > 1 ? argv[1] : NULL;
    struct arena *arena = arena_new(ARENA_BYTES);
    log_set_level(LOG_ERROR);
    must(mkdtemp(root) != NULL, "no folder below /tmp");
    void *model = open_model(root, packages);
    for (int i = 0; i < WARM_CALLS + CALLS; i++) {
        int64_t begin = clock_monotonic_ns();
        must(ask(model, arena, 3) == 6, "a wrong answer");
        if (i >= WARM_CALLS)
            times[i - WARM_CALLS] = clock_monotonic_ns() - begin;
    }
    double function_us = ask(model, arena, -1);
    qsort(times, CALLS, sizeof(times[0]), by_size);
    double median_us = (double)times[CALLS / 2] / 1000,
           p99_us = (double)times[CALLS * 99 / 100] / 1000;
    double over_us = median_us - function_us;
    printf("python_worker_%s: median %.1f us, p99 %.1f us, the function alone %.1f us\n",
           packages ? "numpy" : "lists", median_us, p99_us, function_us);
    printf("bar python_worker_%s %.1f_us %d_us %s\n", packages ? "numpy" : "lists", over_us, BAR_US,
           over_us <= BAR_US ? "ok" : "short");
    runtime_python.free(model);
    arena_free(arena);
    nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    return over_us <= BAR_US ? 0 : 1;
}
