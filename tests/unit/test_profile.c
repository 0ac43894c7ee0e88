/* test_profile.c - a file of rows against the baseline of its contract. */
#include "monitor/profile.h"

#include "base/check.h"
#include "monitor/row_sample.h"

#include "monitor_fixture.h"

static struct watched w;
static struct buf csv, reply;

/* `rows` lines as in training, the first number times `factor`; "bad" breaks the contract. */
static void write_csv(int rows, double factor, int bad)
{
    buf_init(&csv, 1 << 24);
    for (int i = 0; i < WATCHED_NUMBERS; i++)
        buf_printf(&csv, "x%d,", i);
    buf_lit(&csv, "plan\n");
    for (int row = 0; row < rows; row++) {
        float values[WATCHED_NUMBERS + 1];
        watched_row(&w, values);
        if (row < bad)
            buf_lit(&csv, "nine");
        else
            buf_printf(&csv, "%.6g", factor * (double)values[0]);
        for (int i = 1; i < WATCHED_NUMBERS; i++)
            buf_printf(&csv, ",%.6g", (double)values[i]);
        buf_printf(&csv, ",%c\n", 'a' + (int)values[WATCHED_PLAN]);
    }
}

static enum monitor_verdict check(bool with_drift)
{
    enum monitor_verdict verdict = MONITOR_ALERT;
    struct err err = {0};
    buf_init(&reply, 1 << 20);
    struct json_writer writer = {.out = &reply};
    enum err_code rc =
        profile_check_csv(w.contract, buf_view(&csv), with_drift, w.arena, &writer, &verdict, &err);
    if (rc)
        fail_msg("%s", err.msg);
    buf_char(&reply, '\0');
    return verdict;
}

static void end(void)
{
    buf_done(&csv);
    buf_done(&reply);
    watched_end(&w);
}

static void rows_like_training_are_ok(void **state)
{
    (void)state;
    watched_begin(&w, 1000, 0);
    write_csv(2000, 1, 0);
    assert_int_equal(check(true), MONITOR_OK);
    assert_non_null(strstr(reply.data, "\"drift\":{\"rows\":2000,\"verdict\":\"ok\""));
    assert_null(strstr(reply.data, "\"feature\":\"value\"")); /* nobody answers */
    end();
}

static void a_unit_in_a_file_is_named(void **state)
{
    (void)state;
    watched_begin(&w, 1000, 0);
    write_csv(2000, 1000, 0);
    assert_int_equal(check(true), MONITOR_ALERT);
    assert_non_null(strstr(reply.data, "100 % of rows x1000 of the baseline; unit change?"));
    end();
}

/* Ten of them are refused: they are in the check's counts and not in the profile's. */
static void refused_rows_are_not_profiled(void **state)
{
    (void)state;
    watched_begin(&w, 1000, 0);
    write_csv(1010, 1, 10);
    assert_int_equal(check(true), MONITOR_OK);
    assert_non_null(strstr(reply.data, "\"rows\":1010,\"bad_rows\":10,\"rejected_rows\":10"));
    assert_non_null(strstr(reply.data, "\"drift\":{\"rows\":1000,"));
    end();
}

static void without_drift_the_report_has_none(void **state)
{
    (void)state;
    watched_begin(&w, 1000, 0);
    write_csv(10, 1, 0);
    assert_int_equal(check(false), MONITOR_WAIT);
    assert_null(strstr(reply.data, "drift"));
    end();
}

/* Of 1,280 rows numbered 0 .. 1279 each tenth of them is sampled about 12.8 times; the mean of 128
 * uniform numbers has a standard error of 1280 / sqrt(12 * 128) = 32.7. */
static void a_sample_is_spread_over_all_rows(void **state)
{
    struct row_sample sample = {.width = 1};
    struct rand rand;
    float values[ROW_SAMPLE_ROWS];
    double sum = 0;
    (void)state;
    rand_seed(&rand, 3);
    for (int i = 0; i < 1280; i++)
        row_sample_add(&sample, &(float){(float)i}, &rand);
    assert_int_equal(row_sample_column(&sample, 0, values), ROW_SAMPLE_ROWS);
    for (int i = 0; i < ROW_SAMPLE_ROWS; i++)
        sum += (double)values[i];
    assert_true(fabs(sum / ROW_SAMPLE_ROWS - 639.5) < 4 * 32.7);
    row_sample_clear(&sample);
    assert_int_equal(row_sample_column(&sample, 0, values), 0);
    assert_int_equal(row_sample_max(0), 0);
    assert_int_equal(row_sample_max(4096), 64); /* 1 MiB of 16 KiB rows */
    row_sample_done(&sample);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_like_training_are_ok),
        cmocka_unit_test(a_unit_in_a_file_is_named),
        cmocka_unit_test(refused_rows_are_not_profiled),
        cmocka_unit_test(without_drift_the_report_has_none),
        cmocka_unit_test(a_sample_is_spread_over_all_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
