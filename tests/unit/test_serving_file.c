/* test_serving_file.c - serving files: what they say, what they leave out, what is refused. */
#include "base/check.h"
#include "serve/serving_file.h"
#include "test.h"

enum { ARENA_BYTES = 1024 * 1024 };

static struct arena *arena;

static int setup_arena(void **state)
{
    (void)state;
    arena = arena_new(ARENA_BYTES);
    return 0;
}

static int free_arena(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static const struct serving *parse(const char *text)
{
    struct serving *serving = NULL;
    struct err err = {0};
    if (serving_parse(str_of(text), arena, &serving, &err))
        fail_msg("%s", err.msg);
    return serving;
}

static void expect_error(const char *text, const char *part)
{
    struct serving *serving = NULL;
    struct err err = {0};
    assert_int_equal(serving_parse(str_of(text), arena, &serving, &err), ERR_INVALID);
    if (!strstr(err.msg, part))
        fail_msg("%s: %s", text, err.msg);
    assert_null(serving);
}

static void every_key_is_read(void **state)
{
    (void)state;
    const struct serving *serving = parse("instances: 2\n"
                                          "batching: {max_rows: 128, max_delay: 500us}\n"
                                          "queue: {max_requests: 20, timeout: 250ms}\n"
                                          "priority: 3\n"
                                          "cache: {max_bytes: 16M, ttl: 5m}\n"
                                          "v1: {inputs: columns}\n"
                                          "records: {share: 0.05, held: share, inputs: false}\n");
    assert_int_equal(serving->instances, 2);
    assert_int_equal(serving->batch_rows_max, 128);
    assert_int_equal(serving->batch_delay_us, 500);
    assert_int_equal(serving->queue_requests_max, 20);
    assert_int_equal(serving->timeout_us, 250 * 1000);
    assert_int_equal(serving->priority, 3);
    assert_true(serving->records.is_set && serving->records.share == 0.05);
    assert_true(serving->records.keeps_errors && serving->records.keeps_differing);
    assert_true(!serving->records.keeps_held && serving->records.leaves_inputs);
    assert_int_equal(serving->cache_bytes, 16 * 1024 * 1024);
    assert_int_equal(serving->cache_ttl_us, 300 * 1000 * 1000);
    assert_int_equal(serving->v1_inputs, V1_COLUMNS);
}

static void what_is_left_out_has_its_preset(void **state)
{
    (void)state;
    const struct serving *serving = parse("instances: auto\nqueue: {timeout: 1m}\n");
    assert_int_equal(serving->instances, 0);
    assert_int_equal(serving->batch_rows_max, 64);
    assert_int_equal(serving->batch_delay_us, 0);
    assert_int_equal(serving->queue_requests_max, 1000);
    assert_int_equal(serving->timeout_us, 60 * 1000 * 1000);
    assert_int_equal(serving->priority, 5);
    assert_int_equal(serving->cache_bytes, 0);
    assert_int_equal(parse("cache: off\n")->cache_bytes, 0);
    assert_int_equal(parse("cache: {max_bytes: 65536}\n")->cache_bytes, 65536);
    assert_int_equal(parse("cache: {max_bytes: 1G, ttl: 24h}\n")->cache_ttl_us / 1000000, 86400);
    assert_memory_equal(parse("{}"), &serving_preset, sizeof(serving_preset));
}

static void bad_values_are_named(void **state)
{
    (void)state;
    expect_error("[1]", "expected an object");
    expect_error("instance: 2", "instance");
    expect_error("instances: 0", "instances: expected a whole number from 1 to 64");
    expect_error("instances: 1.5", "instances");
    expect_error("batching: 64", "batching: expected max_rows");
    expect_error("batching: {max_rows: 0}", "batching.max_rows: expected a whole number from 1 to");
    expect_error("batching: {max_delay: 11s}", "batching.max_delay: expected a time");
    expect_error("batching: {max_delay: 5}", "batching.max_delay");
    expect_error("batching: {rows: 5}", "rows");
    expect_error("queue: {max_requests: 10001}", "queue.max_requests");
    expect_error("queue: {timeout: 0ms}", "queue.timeout: expected a time from 1ms to 1h");
    expect_error("queue: {timeout: 2h}", "queue.timeout");
    expect_error("cache: 16M", "cache: expected max_bytes and ttl, or off");
    expect_error("cache: {}", "cache.max_bytes is missing");
    expect_error("cache: {max_bytes: 63K}", "cache.max_bytes: expected a size from 64K to 1G");
    expect_error("cache: {max_bytes: 2G}", "cache.max_bytes");
    expect_error("cache: {max_bytes: -1}", "cache.max_bytes");
    expect_error("cache: {max_bytes: 1M, ttl: 25h}", "cache.ttl: expected a time from 0ms to 24h");
    expect_error("cache: {max_bytes: 1M, size: 2}", "size");
    expect_error("v1: columns", "v1: expected inputs");
    expect_error("v1: {input: rows}", "input");
    expect_error("v1: {inputs: 1}", "v1.inputs: expected rows or columns");
    expect_error("records: 0.1", "records: expected share, errors, held, differing and inputs");
    expect_error("records: {share: 1.5}", "records.share: expected a number from 0 to 1");
    expect_error("records: {errors: never}", "records.errors: expected always or share");
    expect_error("records: {inputs: none}", "inputs");
    expect_error("records: {rate: 1}", "rate");
    expect_error("priority: 10", "priority: expected a whole number from 1 to 9");
}

static void times_are_whole_numbers_with_a_unit(void **state)
{
    (void)state;
    int64_t us = -1;
    assert_true(serving_read_time(STR_LIT("90s"), INT64_MAX, &us));
    assert_int_equal(us, 90 * 1000 * 1000);
    assert_true(serving_read_time(STR_LIT("7us"), 7, &us));
    assert_int_equal(us, 7);
    static const char *const wrong[] = {
        "", "s", "5", "-1s", "1.5s", "1 s", "8us", "5ns", "99999999999999999999s"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_false(serving_read_time(str_of(wrong[i]), 7, &us));
    assert_int_equal(us, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_is_read),
        cmocka_unit_test(what_is_left_out_has_its_preset),
        cmocka_unit_test(bad_values_are_named),
        cmocka_unit_test(times_are_whole_numbers_with_a_unit),
    };
    return cmocka_run_group_tests(tests, setup_arena, free_arena);
}
