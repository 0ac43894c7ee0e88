/* bench_record.c - what the record of an answered request costs, for one row of 30 numbers.
 *
 *     push    a data thread copies it into its ring, which another thread empties meanwhile
 *     show    the recorder reads it and gives it to a sink that does nothing
 *     keep    the same, and to the segment files: CPU of the recorder's thread
 *     write   CPU of the threads behind it: checksums, files, index
 *     50k     50,000 rows a second for RECORD_SECONDS (10): how many are dropped
 *     beyond  as fast as it goes through a small ring: kept + dropped - pushed
 *
 * Figures of time are the median of RUNS. Exit status 1 when a bar is short.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "monitor/record_reader.h"
#include "monitor/recorder.h"

enum {
    FIELDS = 30,
    RUNS = 41,
    RECORDS_A_RUN = 20000,
    QUEUE_BYTES = 16 << 20,
    KEPT_RECORDS = 200 * 1000,
    ROWS_A_SECOND = 50 * 1000,
    BEYOND_RECORDS = 2 * 1000 * 1000,
};

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
                                .share = 1,
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

/* ---- with files ---- */

struct kept {
    char path[64];
    int fd;
    struct recorder *recorder;
    struct record_store *store;
};

static void open_kept(struct kept *k, size_t queue_bytes)
{
    struct err err = {0};
    *k = (struct kept){.path = "/tmp/slipway-bench-XXXXXX"};
    if (!mkdtemp(k->path))
        exit(2);
    k->fd = open(k->path, O_RDONLY | O_DIRECTORY);
    k->recorder = recorder_new(1, queue_bytes);
    const struct record_store_config config = {
        .folder_fd = k->fd,
        .recorder = k->recorder,
        .share = 1,
        .segment_bytes = 64 << 20,
        .buffer_bytes = 64 << 20,
        .keep_bytes = SIZE_MAX,
        .keep_ms = 3600 * 1000,
    };
    if (record_store_open(&config, &k->store, &err)) {
        fprintf(stderr, "bench_record: %s\n", err.msg);
        exit(2);
    }
}

/* Only what the folder is known to hold. */
static void close_kept(struct kept *k)
{
    char path[128];
    struct dirent *entry;
    record_store_close(k->store);
    recorder_free(k->recorder);
    snprintf(path, sizeof(path), "%s/predictions", k->path);
    DIR *dir = opendir(path);
    while (dir && (entry = readdir(dir)))
        if (segment_number(entry->d_name) || strcmp(entry->d_name, "secret") == 0)
            unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
    rmdir(path);
    close(k->fd);
    rmdir(k->path);
}

static uint64_t count_kept(struct kept *k)
{
    struct err err = {0};
    struct record record;
    uint64_t rows = 0;
    struct record_reader *reader =
        record_reader_open(k->store, &(struct record_filter){0}, (struct record_cursor){0});
    while (!record_reader_next(reader, &record, &err))
        rows += (uint64_t)record.row_count;
    record_reader_close(reader);
    return rows;
}

static int64_t cpu_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Runs on the recorder's thread: its CPU time until now. */
struct meter {
    int64_t first_ns, last_ns;
};

static void measure_begin(void *arg, const struct record *record)
{
    struct meter *meter = arg;
    (void)record;
    if (!meter->first_ns)
        meter->first_ns = cpu_ns(CLOCK_THREAD_CPUTIME_ID);
}

static void measure_end(void *arg)
{
    ((struct meter *)arg)->last_ns = cpu_ns(CLOCK_THREAD_CPUTIME_ID);
}

/* Everything waits when the recorder starts. */
static void measure_keep(struct bench *b, double *keep_ns, double *write_ns)
{
    struct kept k;
    struct meter meter = {0};
    open_kept(&k, 256 << 20);
    struct record_sink sink = record_store_sink(k.store);
    recorder_add_sink(k.recorder,
                      &(struct record_sink){"meter", &meter, measure_begin, measure_end});
    recorder_add_sink(k.recorder, &sink);
    for (int i = 0; i < KEPT_RECORDS; i++)
        record_queue_push(recorder_queue(k.recorder, 0), &b->record, clock_monotonic_ns());
    int64_t before_ns = cpu_ns(CLOCK_PROCESS_CPUTIME_ID);
    record_store_start(k.store);
    recorder_start(k.recorder);
    recorder_stop(k.recorder);
    record_store_stop(k.store);
    int64_t recorder_ns = meter.last_ns - meter.first_ns;
    *keep_ns = (double)recorder_ns / KEPT_RECORDS;
    *write_ns = (double)(cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - before_ns - recorder_ns) / KEPT_RECORDS;
    close_kept(&k);
}

static void wait_until_ns(int64_t ns)
{
    struct timespec until = {ns / 1000000000, ns % 1000000000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static uint64_t lost_records(const struct kept *k)
{
    struct recorder_stats stats;
    static struct record_store_stats store;
    recorder_stats(k->recorder, &stats);
    record_store_stats(k->store, &store);
    return stats.dropped_record_count + store.record_count[LOSS_BUFFER_FULL] +
           store.record_count[LOSS_DISK_FULL];
}

static void start_kept(struct kept *k)
{
    struct record_sink sink = record_store_sink(k->store);
    recorder_add_sink(k->recorder, &sink);
    record_store_start(k->store);
    recorder_start(k->recorder);
}

/* Fifty rows a millisecond, each a request of its own. Rows that are in no file. */
static uint64_t drops_at_50k(struct bench *b, int seconds)
{
    struct kept k;
    open_kept(&k, QUEUE_BYTES);
    start_kept(&k);
    int64_t next_ns = clock_monotonic_ns();
    for (int ms = 0; ms < seconds * 1000; ms++, next_ns += 1000000) {
        wait_until_ns(next_ns);
        for (int i = 0; i < ROWS_A_SECOND / 1000; i++)
            record_queue_push(recorder_queue(k.recorder, 0), &b->record, next_ns);
    }
    recorder_sync(k.recorder);
    uint64_t pushed = (uint64_t)seconds * ROWS_A_SECOND;
    uint64_t lost = pushed - count_kept(&k);
    printf("50k: %llu rows in %d s, %llu dropped and counted, %llu not in the files\n",
           (unsigned long long)pushed, seconds, (unsigned long long)lost_records(&k),
           (unsigned long long)lost);
    recorder_stop(k.recorder);
    record_store_stop(k.store);
    close_kept(&k);
    return lost;
}

/* How far what was kept and what was counted as dropped are from what was pushed. */
static int64_t miscounted(struct bench *b)
{
    struct kept k;
    open_kept(&k, 64 * 1024);
    start_kept(&k);
    for (int i = 0; i < BEYOND_RECORDS; i++)
        record_queue_push(recorder_queue(k.recorder, 0), &b->record, clock_monotonic_ns());
    recorder_sync(k.recorder);
    int64_t kept_rows = (int64_t)count_kept(&k), lost = (int64_t)lost_records(&k);
    printf("beyond: %d pushed, %lld kept, %lld dropped\n", BEYOND_RECORDS, (long long)kept_rows,
           (long long)lost);
    recorder_stop(k.recorder);
    record_store_stop(k.store);
    close_kept(&k);
    return kept_rows + lost - BEYOND_RECORDS;
}

static int bar_count(const char *name, int64_t count)
{
    printf("bar record_%s %lld <=0 %s\n", name, (long long)count, count == 0 ? "ok" : "short");
    return count == 0 ? 0 : 1;
}

int main(void)
{
    static struct bench b;
    char name[64];
    double keep_ns, write_ns;
    const char *text = getenv("RECORD_SECONDS");
    int64_t seconds = 10;
    if (text && (!str_to_i64(str_of(text), &seconds) || seconds < 1 || seconds > 3600))
        return 2;
    make_record(&b);
    int failed = bar("push", measure_push(&b), 60);
    failed |= bar("show", measure_show(&b), 500);
    measure_keep(&b, &keep_ns, &write_ns);
    printf("write: %.0f ns a record on the threads behind the recorder\n", write_ns);
    failed |= bar("keep", keep_ns, 500);
    snprintf(name, sizeof(name), "drops_50k_rows_%llds", (long long)seconds);
    failed |= bar_count(name, (int64_t)drops_at_50k(&b, (int)seconds));
    failed |= bar_count("beyond_miscounted", miscounted(&b));
    return failed;
}
