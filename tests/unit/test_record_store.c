/* test_record_store.c - records are kept, found, read in order, thrown away; losses are counted. */
#include "monitor/record_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "monitor/record_reader.h"
#include "monitor/segment_writer.h"
#include "record_fixture.h"
#include "test.h"

/* The clock stands, so that a record's time is exactly the fixture's. */
enum { NOW_US = 1000 * 1000 * 1000 };
#define NOW_WALL_US INT64_C(1700000100000000)

struct kept {
    char path[64];
    int fd;
    struct record_store_config config;
    struct recorder *recorder;
    struct record_store *store;
};

static void start(struct kept *k)
{
    struct err err = {0};
    k->recorder = recorder_new(1, 64 << 20);
    k->config.recorder = k->recorder;
    if (record_store_open(&k->config, &k->store, &err))
        fail_msg("%s", err.msg);
    struct record_sink sink = record_store_sink(k->store);
    recorder_add_sink(k->recorder, &sink);
    record_store_start(k->store);
    recorder_start(k->recorder);
}

static void stop(struct kept *k)
{
    recorder_stop(k->recorder);
    record_store_stop(k->store);
    record_store_close(k->store);
    recorder_free(k->recorder);
}

static void prepare(struct kept *k)
{
    clock_set_for_test(NOW_US, NOW_WALL_US);
    *k = (struct kept){.path = "/tmp/slipway-records-XXXXXX",
                       .config = {.share = 1,
                                  .segment_bytes = 64 << 20,
                                  .buffer_bytes = 64 << 20,
                                  .keep_bytes = SIZE_MAX,
                                  .keep_ms = 3600 * 1000}};
    assert_non_null(mkdtemp(k->path));
    k->fd = open(k->path, O_RDONLY | O_DIRECTORY);
    k->config.folder_fd = k->fd;
}

/* Only what the folder is known to hold. */
static void clean(struct kept *k)
{
    char path[PATH_MAX];
    struct dirent *entry;
    snprintf(path, sizeof(path), "%s/predictions", k->path);
    DIR *dir = opendir(path);
    while (dir && (entry = readdir(dir)))
        if (segment_number(entry->d_name) || strcmp(entry->d_name, "secret") == 0)
            unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
    rmdir(path);
    close(k->fd);
    assert_int_equal(rmdir(k->path), 0);
}

static void push_record(struct kept *k, const struct record *record)
{
    int64_t pushed_us = record->at_us - (NOW_WALL_US - NOW_US);
    record_queue_push(recorder_queue(k->recorder, 0), record, pushed_us * 1000);
}

static void push(struct kept *k, int number, int rows)
{
    struct fixture_record f;
    push_record(k, fixture_record_make(&f, number, rows));
}

static enum err_code find(struct kept *k, const struct record_query *query, struct arena *arena,
                          struct record *record, int64_t *row)
{
    struct err err = {0};
    return record_store_find(k->store, query, arena, record, row, &err);
}

static void assert_kept(struct kept *k, int number)
{
    char id[40];
    int64_t row;
    struct record record;
    struct arena *arena = arena_new(SIZE_MAX);
    snprintf(id, sizeof(id), "request-%d", number);
    struct record_query query = {.request_id = str_of(id)};
    assert_int_equal(find(k, &query, arena, &record, &row), ERR_OK);
    fixture_assert_is(&record, number);
    query.model = "other";
    assert_int_equal(find(k, &query, arena, &record, &row), ERR_NOT_FOUND);
    arena_free(arena);
}

static void a_record_is_found_at_once_and_later_and_after_a_restart(void **state)
{
    struct kept k;
    (void)state;
    prepare(&k);
    k.config.segment_bytes = 64 * 1024;
    start(&k);
    for (int i = 0; i < 2000; i++) {
        push(&k, i, 1 + i % 3);
        if (i % 97 == 0)
            assert_kept(&k, i); /* in memory, or just written */
        if (i % 500 == 0)
            record_store_flush(k.store);
    }
    record_store_flush(k.store);
    for (int i = 0; i < 2000; i += 13)
        assert_kept(&k, i);
    stop(&k);
    start(&k);
    for (int i = 0; i < 2000; i += 13)
        assert_kept(&k, i);
    struct record_store_stats stats;
    record_store_stats(k.store, &stats);
    assert_true(stats.segment_count > 3);
    stop(&k);
    clean(&k);
}

/* Customer c-7 has records 7, 57, 107, ..., 457, one second of the fixture's time apart by 50 ms.
 */
static void the_newest_row_with_a_key_is_found(void **state)
{
    struct kept k;
    int64_t row;
    struct record record;
    (void)state;
    prepare(&k);
    start(&k);
    struct arena *arena = arena_new(SIZE_MAX);
    for (int i = 0; i < 500; i++) {
        push(&k, i, 2);
        if (i == 300)
            record_store_flush(k.store);
    }
    struct record_query query = {.model = "churn", .key = STR_LIT("c-7")};
    assert_int_equal(find(&k, &query, arena, &record, &row), ERR_OK);
    fixture_assert_is(&record, 457);
    assert_int_equal(row, 1);
    query.until_us = 1700000000000000 + 200 * 1000;
    assert_int_equal(find(&k, &query, arena, &record, &row), ERR_OK);
    fixture_assert_is(&record, 157);
    query.field = "note";
    assert_int_equal(find(&k, &query, arena, &record, &row), ERR_NOT_FOUND);
    query.key = STR_LIT("c-50"); /* 0 to 49 there are */
    query.field = NULL;
    assert_int_equal(find(&k, &query, arena, &record, &row), ERR_NOT_FOUND);
    arena_free(arena);
    stop(&k);
    clean(&k);
}

/* ---- in order ---- */

static int read_all(struct kept *k, const struct record_filter *filter, int first, int step)
{
    struct err err = {0};
    struct record record;
    int count = 0;
    struct record_reader *reader = record_reader_open(k->store, filter, (struct record_cursor){0});
    while (!record_reader_next(reader, &record, &err))
        fixture_assert_is(&record, first + step * count++);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(record_reader_skipped(reader), 0);
    record_reader_close(reader);
    return count;
}

static void records_are_read_in_order_and_by_time(void **state)
{
    struct kept k;
    (void)state;
    prepare(&k);
    k.config.segment_bytes = 64 * 1024;
    start(&k);
    for (int i = 0; i < 3000; i++)
        push(&k, i, 1);
    assert_int_equal(read_all(&k, &(struct record_filter){0}, 0, 1), 3000);
    assert_int_equal(read_all(&k, &(struct record_filter){.model = "churn", .version = 7}, 0, 1),
                     3000);
    assert_int_equal(read_all(&k, &(struct record_filter){.model = "other"}, 0, 1), 0);
    assert_int_equal(read_all(&k, &(struct record_filter){.version = 8}, 0, 1), 0);
    /* Record i is at 1.7e15 + 1000 i us; half a millisecond off the grid. */
    const struct record_filter range = {.from_us = 1700000000000000 + 999500,
                                        .to_us = 1700000000000000 + 2000500};
    assert_int_equal(read_all(&k, &range, 1000, 1), 1001);
    stop(&k);
    clean(&k);
}

/* Each page of seven goes on where the one before ended; records that come meanwhile are in it. */
static void a_cursor_goes_on_where_reading_stopped(void **state)
{
    struct kept k;
    struct err err = {0};
    struct record record;
    struct record_cursor cursor = {0};
    int seen = 0;
    (void)state;
    prepare(&k);
    k.config.segment_bytes = 64 * 1024;
    start(&k);
    for (int page = 0; page < 120; page++) {
        char text[RECORD_CURSOR_BYTES];
        for (int i = 0; i < 7; i++)
            push(&k, page * 7 + i, 3);
        struct record_reader *reader =
            record_reader_open(k.store, &(struct record_filter){0}, cursor);
        while (!record_reader_next(reader, &record, &err))
            fixture_assert_is(&record, seen++);
        record_cursor_format(record_reader_cursor(reader), text);
        assert_true(record_cursor_parse(str_of(text), &cursor));
        record_reader_close(reader);
        assert_int_equal(seen, page * 7 + 7);
    }
    assert_false(record_cursor_parse(STR_LIT("1"), &cursor));
    assert_false(record_cursor_parse(STR_LIT("-1.64"), &cursor));
    assert_false(record_cursor_parse(STR_LIT("1.x"), &cursor));
    /* A place that is no record's: reading goes on at the next one. */
    struct record_reader *reader = record_reader_open(k.store, &(struct record_filter){0},
                                                      (struct record_cursor){1, cursor.offset / 2});
    assert_int_equal(record_reader_next(reader, &record, &err), ERR_OK);
    record_reader_close(reader);
    stop(&k);
    clean(&k);
}

/* ---- what is not kept ---- */

/* 4000 requests at a share of 1/4: 1000 expected, standard deviation sqrt(4000 * 3/16) = 27.4; six
 * of them are 164. */
static void a_sample_is_chosen_by_id(void **state)
{
    struct kept k;
    struct record_store_stats stats;
    bool first[4000] = {0};
    (void)state;
    prepare(&k);
    k.config.share = 0.25;
    for (int round = 0; round < 2; round++) {
        int kept = 0;
        start(&k);
        for (int i = 0; i < 4000; i++)
            push(&k, i, 1);
        record_store_flush(k.store);
        record_store_stats(k.store, &stats);
        for (int i = 0; i < 4000; i++) {
            char id[40];
            int64_t row;
            struct record record;
            struct arena *arena = arena_new(SIZE_MAX);
            snprintf(id, sizeof(id), "request-%d", i);
            struct record_query query = {.request_id = str_of(id), .is_quick = true};
            bool is_found = find(&k, &query, arena, &record, &row) == ERR_OK;
            if (is_found)
                assert_true(record.share == 0.25f);
            if (round)
                assert_int_equal(is_found, first[i]);
            first[i] = is_found;
            kept += is_found;
            arena_free(arena);
        }
        assert_int_equal(stats.left_out_count, 4000 - kept);
        assert_true(kept > 1000 - 164 && kept < 1000 + 164);
        stop(&k);
    }
    clean(&k);
}

static const struct record *found(struct kept *k, int number, struct arena *arena,
                                  struct record *record)
{
    char id[40];
    int64_t row;
    snprintf(id, sizeof(id), "request-%d", number);
    struct record_query query = {.request_id = str_of(id), .is_quick = true};
    return find(k, &query, arena, record, &row) == ERR_OK ? record : NULL;
}

static void push_share(struct kept *k, int number, float share, bool leaves_inputs)
{
    struct fixture_record f;
    fixture_record_make(&f, number, 2);
    f.record.share = share;
    f.record.leaves_inputs = leaves_inputs;
    push_record(k, &f.record);
}

/* What a model asks for takes the place of the store's share, but for a store that keeps none. */
static void a_model_may_ask_for_another_share(void **state)
{
    struct kept k;
    struct record record;
    (void)state;
    for (int none = 0; none < 2; none++) {
        struct arena *arena = arena_new(SIZE_MAX);
        prepare(&k);
        k.config.share = none ? 0 : 1e-9;
        start(&k);
        push_share(&k, 1, 1, false);
        push_share(&k, 2, RECORD_NEVER, false);
        push_share(&k, 3, RECORD_ALWAYS, false);
        push_share(&k, 4, 0.9999999f, false);
        record_store_flush(k.store);
        assert_null(found(&k, 1, arena, &record));
        assert_null(found(&k, 2, arena, &record));
        assert_int_equal(found(&k, 3, arena, &record) == NULL, none);
        assert_true(none || record.share == 1);
        assert_int_equal(found(&k, 4, arena, &record) == NULL, none);
        assert_true(none || record.share == 0.9999999f);
        stop(&k);
        clean(&k);
        arena_free(arena);
    }
}

/* The fixture's customer is a key; its numbers, its plan and its note are features. */
static void features_may_be_left_out(void **state)
{
    struct kept k;
    struct record record;
    struct arena *arena = arena_new(SIZE_MAX);
    (void)state;
    prepare(&k);
    start(&k);
    push_share(&k, 1, 1, true);
    push_share(&k, 2, 1, false);
    record_store_flush(k.store);
    assert_non_null(found(&k, 1, arena, &record));
    assert_true(record.leaves_inputs);
    for (int cell = 0; cell < 2 * 3; cell++)
        assert_true(isnan(record.values[cell]));
    assert_true(record.texts[0].ptr && !record.texts[1].ptr && record.output_count == 1);
    assert_non_null(found(&k, 2, arena, &record));
    assert_true(!record.leaves_inputs && !isnan(record.values[0]) && record.texts[1].ptr);
    stop(&k);
    clean(&k);
    arena_free(arena);
}

static uint64_t folder_bytes(struct kept *k)
{
    struct record_store_stats stats;
    record_store_stats(k->store, &stats);
    return stats.bytes;
}

static void the_oldest_go_when_the_quota_is_passed(void **state)
{
    struct kept k;
    (void)state;
    prepare(&k);
    k.config.segment_bytes = 64 * 1024;
    k.config.keep_bytes = 1 << 20;
    start(&k);
    for (int i = 0; i < 20000; i++) {
        push(&k, i, 1); /* about 300 bytes with its index: 6 MB */
        if (i % 1000 == 0)
            record_store_flush(k.store);
    }
    record_store_flush(k.store);
    record_store_flush(k.store); /* nothing to write: it keeps house */
    assert_true(folder_bytes(&k) <= (1 << 20) + (300 << 10));
    assert_true(folder_bytes(&k) > 1 << 19);
    assert_kept(&k, 19999);
    int64_t row;
    struct record record;
    struct arena *arena = arena_new(SIZE_MAX);
    const struct record_query query = {.request_id = STR_LIT("request-0")};
    assert_int_equal(find(&k, &query, arena, &record, &row), ERR_NOT_FOUND);
    arena_free(arena);
    stop(&k);
    clean(&k);
}

/* An age of one hour: a segment goes an hour after its last record. */
static void what_is_too_old_goes(void **state)
{
    struct kept k;
    (void)state;
    prepare(&k);
    start(&k);
    for (int i = 0; i < 100; i++)
        push(&k, i, 1);
    record_store_flush(k.store);
    stop(&k);
    start(&k);
    record_store_flush(k.store);
    assert_true(folder_bytes(&k) > 0);
    clock_set_for_test(NOW_US + INT64_C(3500) * 1000000, NOW_WALL_US);
    record_store_flush(k.store);
    assert_true(folder_bytes(&k) > 0);
    /* A clock that is put forward by a year makes nothing old. */
    clock_set_for_test(NOW_US + INT64_C(3500) * 1000000, NOW_WALL_US * 2);
    record_store_flush(k.store);
    assert_true(folder_bytes(&k) > 0);
    clock_set_for_test(NOW_US + INT64_C(3700) * 1000000, NOW_WALL_US);
    record_store_flush(k.store);
    assert_int_equal(folder_bytes(&k), 0);
    stop(&k);
    clean(&k);
}

/* ---- rest ---- */

static struct record_store_stats stats_of(struct kept *k)
{
    static struct record_store_stats stats;
    record_store_stats(k->store, &stats);
    return stats;
}

static bool is_sealed(struct kept *k, int64_t number)
{
    struct segment *segment;
    struct segment_info info;
    struct err err = {0};
    int dir_fd = openat(k->fd, "predictions", O_RDONLY | O_DIRECTORY);
    assert_int_equal(segment_open(dir_fd, number, false, &segment, &err), ERR_OK);
    segment_info(segment, &info);
    segment_unref(segment);
    close(dir_fd);
    return info.is_sealed;
}

static void wait_until_sealed(struct kept *k, int64_t number)
{
    for (int i = 0; i < 2000 && !is_sealed(k, number); i++)
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    assert_true(is_sealed(k, number));
}

/* 2,000 requests of 8 rows are 18,000 entries of an index in memory; then nobody asks. What comes
 * after it goes to the next file, which has too few of them. */
static void a_burst_is_sealed_when_nobody_asks_any_more(void **state)
{
    enum { REQUESTS = 2000 };
    struct kept k;
    (void)state;
    prepare(&k);
    start(&k);
    for (int i = 0; i < REQUESTS; i++)
        push(&k, i, 8);
    record_store_flush(k.store);
    assert_false(is_sealed(&k, 1));
    wait_until_sealed(&k, 1);
    push(&k, REQUESTS, 1);
    record_store_flush(k.store);
    assert_int_equal(stats_of(&k).segment_count, 2);
    assert_false(is_sealed(&k, 2));
    assert_kept(&k, 0);
    assert_kept(&k, REQUESTS);
    stop(&k);
    clean(&k);
}

/* ---- a disk that takes nothing ---- */

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void wait_until_failing(struct kept *k, bool is_failing)
{
    for (int i = 0; i < 20000 && stats_of(k).is_failing != is_failing; i++)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    assert_int_equal(stats_of(k).is_failing, is_failing);
}

/* Files may not grow past 4 KiB: what comes waits in memory, then is dropped and counted; with room
 * again everything that waited is written. */
static void a_disk_that_is_full_for_a_while_loses_only_what_is_counted(void **state)
{
    enum { RECORDS = 20000 };
    struct kept k;
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    prepare(&k);
    k.config.buffer_bytes = 1 << 20;
    start(&k);
    push(&k, 0, 1);
    record_store_flush(k.store);
    limit_files(4096);
    for (int i = 1; i < 100; i++)
        push(&k, i, 1);
    recorder_sync(k.recorder);
    wait_until_failing(&k, true);
    for (int i = 100; i < RECORDS; i++)
        push(&k, i, 1);
    recorder_sync(k.recorder);
    uint64_t lost = stats_of(&k).record_count[LOSS_DISK_FULL];
    assert_true(lost > 0 && lost < RECORDS);
    assert_int_equal(stats_of(&k).row_count[LOSS_DISK_FULL], lost);
    assert_kept(&k, 50); /* waits, and is found */
    limit_files(RLIM_INFINITY);
    wait_until_failing(&k, false);
    assert_int_equal(read_all(&k, &(struct record_filter){0}, 0, 1), RECORDS - (int)lost);
    assert_int_equal(stats_of(&k).record_count[LOSS_DISK_FULL], lost);
    stop(&k);
    clean(&k);
}

/* ---- a crash ---- */

/* 1000 records reach a file, then the process is killed with some more on their way. */
static void crash(struct kept *k)
{
    start(k);
    for (int i = 0; i < 1000; i++)
        push(k, i, 1);
    record_store_flush(k->store);
    for (int i = 1000; i < 1300; i++)
        push(k, i, 1);
    kill(getpid(), SIGKILL);
}

static void what_a_crash_lost_is_counted_exactly(void **state)
{
    struct kept k;
    int status;
    (void)state;
    prepare(&k);
    pid_t child = fork();
    if (child == 0)
        crash(&k);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    start(&k);
    record_store_flush(k.store);
    int kept = read_all(&k, &(struct record_filter){0}, 0, 1);
    assert_true(kept >= 1000);
    assert_int_equal(stats_of(&k).record_count[LOSS_CRASH], 1300 - kept);
    stop(&k);
    start(&k); /* that one ended well */
    record_store_flush(k.store);
    assert_int_equal(stats_of(&k).record_count[LOSS_CRASH], 0);
    stop(&k);
    clean(&k);
}

/* ---- privacy ---- */

static bool is_in_files(struct kept *k, const char *text)
{
    char path[PATH_MAX];
    struct dirent *entry;
    bool is_found = false;
    snprintf(path, sizeof(path), "%s/predictions", k->path);
    DIR *dir = opendir(path);
    while ((entry = readdir(dir))) {
        struct stat st;
        int fd = openat(dirfd(dir), entry->d_name, O_RDONLY);
        if (!segment_number(entry->d_name) || fstat(fd, &st)) {
            close(fd);
            continue;
        }
        char *bytes = malloc((size_t)st.st_size);
        assert_int_equal(read(fd, bytes, (size_t)st.st_size), st.st_size);
        is_found = is_found || memmem(bytes, (size_t)st.st_size, text, strlen(text));
        free(bytes);
        close(fd);
    }
    closedir(dir);
    return is_found;
}

/* The key's column is kept as a pseudonym: the files do not have it, and it is found all the same.
 */
static void a_pseudonym_is_found_by_the_text_it_stands_for(void **state)
{
    struct kept k;
    struct record_column texts[2];
    struct fixture_record f;
    int64_t row;
    struct record record;
    (void)state;
    memcpy(texts, fixture_texts, sizeof(texts));
    texts[0].kept_as = KEPT_AS_PSEUDONYM;
    struct record_schema schema = fixture_schema;
    schema.texts = texts;
    prepare(&k);
    start(&k);
    struct arena *arena = arena_new(SIZE_MAX);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 100; i++) {
            fixture_record_make(&f, i, 1);
            f.record.schema = &schema;
            push_record(&k, &f.record);
        }
        const struct record_query query = {.model = "churn", .key = STR_LIT("c-17")};
        assert_int_equal(find(&k, &query, arena, &record, &row), ERR_OK);
        assert_true(str_equal_c(record.request_id, "request-67"));
        assert_int_equal(record.texts[0].len, PSEUDONYM_BYTES);
        stop(&k); /* the secret is the same after a restart */
        assert_false(is_in_files(&k, "c-17"));
        assert_true(is_in_files(&k, "note 17/0"));
        start(&k);
    }
    arena_free(arena);
    stop(&k);
    clean(&k);
}

/* Customer c-7 is in records 7, 57, ..., of 1, 2, 3 rows, all of them hers. */
static void a_subject_is_erased_and_nobody_else(void **state)
{
    struct kept k;
    struct record_erased erased;
    struct err err = {0};
    struct record record;
    (void)state;
    prepare(&k);
    k.config.segment_bytes = 64 * 1024;
    start(&k);
    uint64_t rows = 0;
    for (int i = 0; i < 1000; i++) {
        push(&k, i, 1 + i % 3);
        rows += i % 50 == 7 ? 1 + (uint64_t)i % 3 : 0;
    }
    assert_int_equal(
        record_store_erase(k.store, "churn", STR_LIT("customer_id"), STR_LIT("c-7"), &erased, &err),
        ERR_OK);
    assert_int_equal(erased.row_count, rows);
    assert_int_equal(erased.record_count, 20);
    assert_true(erased.segment_count > 1);
    for (int round = 0; round < 2; round++) {
        int count = 0, number = 0;
        struct record_reader *reader =
            record_reader_open(k.store, &(struct record_filter){0}, (struct record_cursor){0});
        for (; !record_reader_next(reader, &record, &err); count++, number++) {
            number += number % 50 == 7;
            fixture_assert_is(&record, number);
        }
        record_reader_close(reader);
        assert_int_equal(count, 980);
        stop(&k);
        assert_false(is_in_files(&k, "note 157/0"));
        assert_true(is_in_files(&k, "note 158/0"));
        start(&k);
    }
    assert_int_equal(
        record_store_erase(k.store, "churn", STR_LIT("customer_id"), STR_LIT("c-7"), &erased, &err),
        ERR_OK);
    assert_int_equal(erased.row_count, 0);
    assert_int_equal(
        record_store_erase(k.store, "churn", STR_LIT("customer"), STR_LIT("c-7"), &erased, &err),
        ERR_NOT_FOUND);
    assert_int_equal(
        record_store_erase(k.store, "other", STR_LIT("customer_id"), STR_LIT("c-7"), &erased, &err),
        ERR_NOT_FOUND);
    stop(&k);
    clean(&k);
}

/* Two customers in one request: the other one's row keeps its number. */
static void a_row_among_others_leaves_its_place(void **state)
{
    struct kept k;
    struct fixture_record f;
    struct record_erased erased;
    struct err err = {0};
    int64_t row;
    struct record record;
    (void)state;
    prepare(&k);
    start(&k);
    fixture_record_make(&f, 5, 3);
    f.strs[2] = STR_LIT("c-other");
    push_record(&k, &f.record);
    assert_int_equal(record_store_erase(k.store, "churn", STR_LIT("customer_id"),
                                        STR_LIT("c-other"), &erased, &err),
                     ERR_OK);
    assert_int_equal(erased.row_count, 1);
    assert_int_equal(erased.record_count, 0);
    struct arena *arena = arena_new(SIZE_MAX);
    const struct record_query query = {.request_id = STR_LIT("request-5")};
    assert_int_equal(find(&k, &query, arena, &record, &row), ERR_OK);
    assert_int_equal(record.row_count, 3);
    assert_int_equal(record.is_suspect[0], f.suspects[0]);
    assert_true(record_is_erased(&record, 1));
    assert_true(isnan(record.values[3]));
    assert_null(record.texts[2].ptr);
    assert_true(((float *)record.outputs[0].data)[1] == 0);
    assert_true(record.values[6] == f.values[6]);
    assert_true(str_equal_c(record.texts[4], "c-5"));
    const struct record_query by_key = {.key = STR_LIT("c-other")};
    assert_int_equal(find(&k, &by_key, arena, &record, &row), ERR_NOT_FOUND);
    arena_free(arena);
    stop(&k);
    clean(&k);
}

/* ---- lookup ---- */

static void feedback_finds_its_row(void **state)
{
    struct kept k;
    struct fixture_record f;
    struct predicted predicted;
    struct err err = {0};
    struct record_schema other = fixture_schema;
    (void)state;
    other.model = "other";
    other.serial = 2;
    prepare(&k);
    start(&k);
    push(&k, 600, 2); /* probability 0.6: leaves */
    recorder_sync(k.recorder);
    struct prediction_lookup lookup = record_store_lookup(k.store);
    struct arena *arena = arena_new(SIZE_MAX);
    assert_int_equal(
        lookup.by_id(lookup.arg, "", STR_LIT("request-600-1"), arena, &predicted, &err), ERR_OK);
    assert_true(str_equal_c(predicted.answer, "leaves"));
    assert_true(str_equal_c(predicted.key, "c-0"));
    assert_int_equal(
        lookup.by_id(lookup.arg, "", STR_LIT("request-600-2"), arena, &predicted, &err),
        ERR_NOT_FOUND);
    assert_int_equal(
        lookup.by_key(lookup.arg, "churn", STR_LIT("c-0"), INT64_MAX, arena, &predicted, &err),
        ERR_OK);
    assert_true(str_equal_c(predicted.id, "request-600-1"));
    fixture_record_make(&f, 600, 1);
    f.record.schema = &other;
    push_record(&k, &f.record);
    recorder_sync(k.recorder);
    assert_int_equal(
        lookup.by_id(lookup.arg, "", STR_LIT("request-600-0"), arena, &predicted, &err),
        ERR_CONFLICT);
    assert_int_equal(
        lookup.by_id(lookup.arg, "churn", STR_LIT("request-600-0"), arena, &predicted, &err),
        ERR_OK);
    assert_string_equal(predicted.model, "churn");
    arena_free(arena);
    stop(&k);
    clean(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* First, while there are no threads to be forked with. */
        cmocka_unit_test(what_a_crash_lost_is_counted_exactly),
        cmocka_unit_test(a_record_is_found_at_once_and_later_and_after_a_restart),
        cmocka_unit_test(the_newest_row_with_a_key_is_found),
        cmocka_unit_test(records_are_read_in_order_and_by_time),
        cmocka_unit_test(a_cursor_goes_on_where_reading_stopped),
        cmocka_unit_test(a_sample_is_chosen_by_id),
        cmocka_unit_test(a_model_may_ask_for_another_share),
        cmocka_unit_test(features_may_be_left_out),
        cmocka_unit_test(the_oldest_go_when_the_quota_is_passed),
        cmocka_unit_test(what_is_too_old_goes),
        cmocka_unit_test(a_burst_is_sealed_when_nobody_asks_any_more),
        cmocka_unit_test(a_disk_that_is_full_for_a_while_loses_only_what_is_counted),
        cmocka_unit_test(a_pseudonym_is_found_by_the_text_it_stands_for),
        cmocka_unit_test(a_subject_is_erased_and_nobody_else),
        cmocka_unit_test(a_row_among_others_leaves_its_place),
        cmocka_unit_test(feedback_finds_its_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
