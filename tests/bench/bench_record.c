/* bench_record.c - what the record of an answered request costs, for one row of 30 numbers.
 *
 *     push    a data thread copies it into its ring, which another thread empties meanwhile
 *     show    the recorder reads it and gives it to a sink that does nothing
 *
 * Each figure is the median of RUNS. Exit status 1 when a bar is short.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "monitor/recorder.h"

enum { FIELDS = 30, RUNS = 41, RECORDS_A_RUN = 20000, QUEUE_BYTES = 16 << 20 };

struct bench {
    struct record_column columns[FIELDS];
    struct record_output outputs[1];
    struct record_schema schema;
    struct record record;
    float values[FIELDS], probability;
    struct tensor output;
    uint64_t taken;
};

static void make_record(struct bench *b)
{
    for (int i = 0; i < FIELDS; i++) {
        b->columns[i] = (struct record_column){.name = "measure", .classification = ""};
        b->values[i] = (float)i * 1.25f;
    }
    b->outputs[0] = (struct record_output){"predict", DTYPE_F32, 1};
    b->schema = (struct record_schema){.serial = 1,
                                       .model = "bench",
                                       .version = 1,
                                       .value_count = FIELDS,
                                       .output_count = 1,
                                       .values = b->columns,
                                       .outputs = b->outputs,
                                       .class_count = 2,
                                       .is_probability = true,
                                       .decision_threshold = 0.5};
    b->output = (struct tensor){"predict", DTYPE_F32, 1, {1}, &b->probability};
    b->record = (struct record){.schema = &b->schema,
                                .request_id = STR_LIT("4bf92f3577b34da6a3ce929d0e0e4736"),
                                .latency_us = 12,
                                .status = 200,
                                .row_count = 1,
                                .values = b->values,
                                .output_count = 1,
                                .outputs = &b->output};
}

static void count(void *arg, const struct record *record)
{
    struct bench *b = arg;
    b->taken += (uint64_t)record->row_count;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *ns)
{
    qsort(ns, RUNS, sizeof(*ns), compare);
    return ns[RUNS / 2];
}

static int bar(const char *name, double ns, double bound)
{
    bool is_ok = ns <= bound;
    printf("bar record_%s %.1fns <=%gns %s\n", name, ns, bound, is_ok ? "ok" : "short");
    return is_ok ? 0 : 1;
}

/* The recorder runs meanwhile, as it does beside a server. */
static double measure_push(struct bench *b)
{
    double ns[RUNS];
    struct recorder *recorder = recorder_new(1, QUEUE_BYTES);
    recorder_add_sink(recorder, &(struct record_sink){"count", b, count, NULL});
    recorder_start(recorder);
    for (int k = 0; k < RUNS; k++) {
        int64_t begun = clock_monotonic_ns();
        for (int i = 0; i < RECORDS_A_RUN; i++)
            record_queue_push(recorder_queue(recorder, 0), &b->record, begun);
        ns[k] = (double)(clock_monotonic_ns() - begun) / RECORDS_A_RUN;
        recorder_sync(recorder);
    }
    recorder_stop(recorder);
    recorder_free(recorder);
    return median(ns);
}

/* CPU of a recorder that finds everything waiting. */
static double measure_show(struct bench *b)
{
    double ns[RUNS];
    for (int k = 0; k < RUNS; k++) {
        struct timespec before, after;
        struct recorder *recorder = recorder_new(1, QUEUE_BYTES);
        recorder_add_sink(recorder, &(struct record_sink){"count", b, count, NULL});
        for (int i = 0; i < RECORDS_A_RUN; i++)
            record_queue_push(recorder_queue(recorder, 0), &b->record, 0);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
        recorder_start(recorder);
        recorder_stop(recorder);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
        ns[k] = ((double)(after.tv_sec - before.tv_sec) * 1e9 +
                 (double)(after.tv_nsec - before.tv_nsec)) /
                RECORDS_A_RUN;
        recorder_free(recorder);
    }
    return median(ns);
}

int main(void)
{
    static struct bench b;
    make_record(&b);
    int failed = bar("push", measure_push(&b), 60);
    failed |= bar("show", measure_show(&b), 500);
    return failed;
}
