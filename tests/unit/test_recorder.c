/* test_recorder.c - records reach every sink as they were pushed; what does not fit is counted. */
#include "monitor/recorder.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "monitor/record_frame.h"
#include "record_fixture.h"
#include "test.h"

enum { QUEUE_BYTES = 64 * 1024 };

static void assert_texts_equal(const struct str *a, const struct str *b, int count)
{
    for (int i = 0; i < count; i++) {
        assert_int_equal(a[i].ptr == NULL, b[i].ptr == NULL);
        assert_true(str_equal(a[i], b[i]));
    }
}

/* Sees the records of numbers next, next + 1, ... and counts them. */
struct checker {
    int next, flushes;
    uint64_t rows;
};

static void check(void *arg, const struct record *record)
{
    struct checker *checker = arg;
    struct fixture_record expected;
    fixture_record_make(&expected, checker->next++, (int)record->row_count);
    fixture_assert_equal(record, &expected.record);
    checker->rows += (uint64_t)record->row_count;
}

static void count_flush(void *arg)
{
    ((struct checker *)arg)->flushes++;
}

static void push(struct recorder *recorder, int queue, int number, int rows)
{
    struct fixture_record f;
    record_queue_push(recorder_queue(recorder, queue), fixture_record_make(&f, number, rows), 0);
}

static void every_sink_sees_what_was_pushed(void **state)
{
    struct checker first = {0}, second = {0};
    (void)state;
    struct recorder *recorder = recorder_new(1, QUEUE_BYTES);
    recorder_add_sink(recorder, &(struct record_sink){"first", &first, check, count_flush});
    recorder_add_sink(recorder, &(struct record_sink){"second", &second, check, NULL});
    recorder_start(recorder);
    uint64_t rows = 0;
    for (int i = 0; i < 1000; i++) {
        push(recorder, 0, i, i % FIXTURE_ROWS_MAX);
        rows += (uint64_t)(i % FIXTURE_ROWS_MAX);
        if (i % 100 == 99) {
            recorder_sync(recorder);
            assert_int_equal(first.next, i + 1);
            assert_int_equal(second.next, i + 1);
        }
    }
    assert_int_equal(first.rows, rows);
    assert_true(first.flushes > 0);
    recorder_stop(recorder);
    struct recorder_stats stats;
    recorder_stats(recorder, &stats);
    assert_int_equal(stats.record_count, 1000);
    assert_int_equal(stats.row_count, rows);
    assert_int_equal(stats.dropped_record_count, 0);
    assert_int_equal(stats.queue_bytes, 0);
    recorder_free(recorder);
}

/* Nobody drains: what fits stays, what comes later is dropped, both are counted exactly. */
static void a_full_queue_drops_the_newest_and_counts_them(void **state)
{
    struct checker checker = {0};
    struct recorder_stats stats;
    (void)state;
    struct recorder *recorder = recorder_new(2, QUEUE_BYTES);
    recorder_add_sink(recorder, &(struct record_sink){"checker", &checker, check, NULL});
    for (int i = 0; i < 5000; i++)
        push(recorder, 1, i, 2);
    recorder_stats(recorder, &stats);
    assert_int_equal(stats.record_count + stats.dropped_record_count, 5000);
    assert_int_equal(stats.row_count, 2 * stats.record_count);
    assert_int_equal(stats.dropped_row_count, 2 * stats.dropped_record_count);
    assert_true(stats.dropped_record_count > 0 && stats.record_count > 100);
    assert_true(stats.queue_bytes > QUEUE_BYTES - 512);
    recorder_start(recorder);
    recorder_stop(recorder);
    assert_int_equal(checker.next, stats.record_count); /* the oldest, in order */
    recorder_free(recorder);
}

static void stopping_gives_everything_to_the_sinks(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct checker checker = {0};
        struct recorder *recorder = recorder_new(1, QUEUE_BYTES);
        recorder_add_sink(recorder, &(struct record_sink){"checker", &checker, check, NULL});
        recorder_start(recorder);
        for (int i = 0; i < 50; i++)
            push(recorder, 0, i, 1);
        recorder_stop(recorder);
        assert_int_equal(checker.next, 50);
        recorder_sync(recorder); /* returns at once */
        recorder_free(recorder);
    }
}

/* Sinks that come late see everything, in order: what was kept, then what is in the rings. */
static void records_are_kept_for_sinks_that_come_late(void **state)
{
    struct checker checker = {0};
    struct recorder_stats stats;
    (void)state;
    struct recorder *recorder = recorder_new(1, QUEUE_BYTES);
    recorder_hold(recorder, 64 << 20);
    recorder_start(recorder);
    for (int i = 0; i < 5000; i++) {
        push(recorder, 0, i, 2);
        do
            recorder_stats(recorder, &stats);
        while (stats.queue_bytes > QUEUE_BYTES / 2);
    }
    recorder_add_sink(recorder, &(struct record_sink){"checker", &checker, check, NULL});
    assert_int_equal(checker.next, 0);
    recorder_release(recorder);
    push(recorder, 0, 5000, 1);
    recorder_sync(recorder);
    recorder_sync(recorder); /* the first may have been of before */
    assert_int_equal(checker.next, 5001);
    recorder_stop(recorder);
    recorder_free(recorder);
}

static void what_is_kept_has_a_limit(void **state)
{
    struct checker checker = {0};
    struct recorder_stats stats;
    (void)state;
    struct recorder *recorder = recorder_new(1, QUEUE_BYTES);
    recorder_hold(recorder, 0);
    recorder_start(recorder);
    for (int i = 0; i < 5000; i++)
        push(recorder, 0, i, 2);
    recorder_add_sink(recorder, &(struct record_sink){"checker", &checker, check, NULL});
    recorder_release(recorder);
    recorder_stop(recorder);
    recorder_stats(recorder, &stats);
    assert_true(stats.dropped_record_count > 0);
    assert_int_equal(stats.record_count + stats.dropped_record_count, 5000);
    assert_int_equal(checker.next, stats.record_count);
    recorder_free(recorder);
}

static void read_frame(struct ring *ring, int64_t wall_offset_us, struct arena *arena,
                       struct record *record)
{
    size_t bytes;
    const void *frame = ring_peek(ring, &bytes);
    assert_non_null(frame);
    record_read_frame(frame, bytes, wall_offset_us, arena, record);
}

/* at = (wall - monotonic) + pushed = 5,000,000 - 2,000,000 + 1,500,000 us */
static void the_time_of_a_record_is_wall_time(void **state)
{
    struct ring ring;
    struct fixture_record f;
    struct record got;
    (void)state;
    struct arena *arena = arena_new(SIZE_MAX);
    ring_init(&ring, QUEUE_BYTES);
    assert_true(record_push(&ring, fixture_record_make(&f, 1, 1), 1500000 * 1000));
    read_frame(&ring, 5000000 - 2000000, arena, &got);
    assert_int_equal(got.at_us, 4500000);
    ring_done(&ring);
    arena_free(arena);
}

/* No rows, no answer: the request failed early. */
static void a_failed_request_has_a_record_too(void **state)
{
    struct ring ring;
    struct record got;
    const struct record failed = {
        .schema = &fixture_schema, .request_id = STR_LIT("r"), .status = 400};
    (void)state;
    struct arena *arena = arena_new(SIZE_MAX);
    ring_init(&ring, QUEUE_BYTES);
    assert_true(record_push(&ring, &failed, 0));
    read_frame(&ring, 0, arena, &got);
    assert_int_equal(got.status, 400);
    assert_int_equal(got.row_count, 0);
    assert_int_equal(got.output_count, 0);
    assert_true(str_equal_c(got.request_id, "r"));
    ring_done(&ring);
    arena_free(arena);
}

/* An output of texts, one of two columns, one that was not asked for. */
static void outputs_of_every_kind_come_back(void **state)
{
    static const struct record_output outputs[] = {
        {"words", DTYPE_BYTES, 1}, {"pairs", DTYPE_I64, 2}, {"margin", DTYPE_F32, 1}};
    const struct record_schema schema = {.model = "m", .output_count = 3, .outputs = outputs};
    struct str words[2] = {STR_LIT("yes"), STR_LIT("")};
    int64_t pairs[4] = {1, -2, INT64_MAX, 4};
    float none[1] = {0};
    const struct tensor tensors[] = {
        {"words", DTYPE_BYTES, 1, {2}, words}, {"pairs", DTYPE_I64, 2, {2, 2}, pairs}, {0}};
    const struct record record = {.schema = &schema,
                                  .request_id = STR_LIT("r"),
                                  .status = 200,
                                  .row_count = 2,
                                  .values = none,
                                  .output_count = 3,
                                  .outputs = tensors};
    struct ring ring;
    struct record got;
    (void)state;
    struct arena *arena = arena_new(SIZE_MAX);
    ring_init(&ring, QUEUE_BYTES);
    assert_true(record_push(&ring, &record, 0));
    read_frame(&ring, 0, arena, &got);
    assert_texts_equal(got.outputs[0].data, words, 2);
    assert_int_equal(got.outputs[1].rank, 2);
    assert_int_equal(got.outputs[1].shape[1], 2);
    assert_memory_equal(got.outputs[1].data, pairs, sizeof(pairs));
    assert_null(got.outputs[2].data);
    assert_string_equal(got.outputs[2].name, "margin");
    ring_done(&ring);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sink_sees_what_was_pushed),
        cmocka_unit_test(a_full_queue_drops_the_newest_and_counts_them),
        cmocka_unit_test(stopping_gives_everything_to_the_sinks),
        cmocka_unit_test(records_are_kept_for_sinks_that_come_late),
        cmocka_unit_test(what_is_kept_has_a_limit),
        cmocka_unit_test(the_time_of_a_record_is_wall_time),
        cmocka_unit_test(a_failed_request_has_a_record_too),
        cmocka_unit_test(outputs_of_every_kind_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
