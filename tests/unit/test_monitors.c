/* test_monitors.c - windows over time: when they close, what they raise and clear, what a restart
 * keeps. */
#include "monitor/monitors.h"

#include "base/check.h"
#include "base/clock.h"
#include "monitor/window_store.h"

#include "monitor_fixture.h"
#include "store_fixture.h"

#define SECOND CLOCK_SECOND_US
#define START (INT64_C(1700000000) * SECOND)

static struct watched w;
static struct monitors *monitors;
static struct sketch *sketch;
static struct alerts *alerts;
static int64_t seconds;

static void set_clock(int64_t at)
{
    seconds = at;
    clock_set_for_test(at * SECOND, START + at * SECOND);
}

static void begin(void)
{
    const struct window_config config = {.rows_min = 500, .span_us = 600 * SECOND};
    set_clock(1);
    watched_begin(&w, 1000, 0);
    alerts = alerts_new();
    monitors = monitors_new(&config, alerts, 2);
    sketch = monitors_sketch(monitors, &w.loaded);
    assert_ptr_equal(monitors_sketch(monitors, &w.loaded), sketch); /* loaded again: the same */
}

static void end(void)
{
    monitors_free(monitors);
    alerts_free(alerts);
    watched_end(&w);
    clock_set_for_test(0, 0);
}

/* Rows as in training, the first `scaled` numbers times `factor`; the recorder sees them too. */
static void send(int rows, int scaled, float factor)
{
    const struct record_sink sink = monitors_sink(monitors);
    for (int i = 0; i < rows; i++) {
        float row[WATCHED_NUMBERS + 1];
        watched_row(&w, row);
        for (int k = 0; k < scaled; k++)
            row[k] *= factor;
        sketch_add_rows(sketch, i % 2, ARM_NONE, row, 1);
        sketch_add_answer(sketch, i % 2, ARM_NONE, row[0] / 10);
        const struct record record = {
            .schema = &w.schema, .status = 200, .row_count = 1, .values = row};
        sink.take(sink.arg, &record);
    }
}

static void tick_at(int64_t at)
{
    set_clock(at);
    monitors_lock(monitors);
    monitors_tick(monitors);
    monitors_unlock(monitors);
}

static const struct monitor *monitor(void)
{
    return monitor_next(monitors, NULL);
}

static const struct window *window(void)
{
    return monitor()->windows[ARM_NONE];
}

static void as_raised(void *arg, const struct alert *alert, struct alert_policy *policy)
{
    (void)arg;
    (void)alert;
    *policy = (struct alert_policy){.expire_us = INT64_MAX};
}

/* The raised alert with this key, or NULL. */
static const struct alert *raised(const char *key)
{
    struct alert_view *list;
    int count = alerts_list(alerts, as_raised, NULL, w.arena, &list);
    for (int i = 0; i < count; i++)
        if (strcmp(list[i].alert.key, key) == 0 && list[i].state != ALERT_CLOSED)
            return &list[i].alert;
    return NULL;
}

static void a_window_needs_rows_and_time(void **state)
{
    (void)state;
    begin();
    tick_at(2);
    assert_null(window()); /* nothing came yet: no memory either */
    send(600, 0, 1);
    tick_at(3);
    assert_int_equal(window()->open_rows, 600);
    tick_at(602); /* 599 s after its first row was seen */
    assert_int_equal(window()->closed_count, 0);
    tick_at(603);
    assert_int_equal(window()->closed_count, 1);
    assert_int_equal(window_past(window(), 0)->rows, 600);
    assert_int_equal(window_past(window(), 0)->verdict, MONITOR_OK);
    send(499, 0, 1);
    tick_at(5000);
    assert_int_equal(window()->closed_count, 1); /* one row is missing */
    send(1, 0, 1);
    tick_at(5001);
    assert_int_equal(window()->closed_count, 2);
    end();
}

/* The story of a unit bug: seen in the first rows, alerted with its cause, cleared when it is gone.
 */
static void a_unit_bug_is_told_and_forgotten(void **state)
{
    (void)state;
    begin();
    send(600, 0, 1);
    tick_at(2);
    assert_true(window()->is_skew_judged);
    assert_null(raised("skew/churn/7"));
    tick_at(700);
    assert_null(raised("drift/churn/7/x0"));
    send(600, 1, 0.1f);
    tick_at(1400);
    const struct alert *alert = raised("drift/churn/7/x0");
    assert_non_null(alert);
    assert_string_equal(alert->model, "churn");
    assert_int_equal(alert->version, 7);
    assert_int_equal(alert->severity, ALERT_TICKET);
    /* 1700000700 is 22:25:00 UTC */
    assert_string_equal(alert->cause, "100 % of rows x0.1 of the baseline since 22:25; unit "
                                      "change? (mm as cm?)");
    assert_true(alert->value > 1 && alert->bound == 0.25);
    assert_null(raised("drift/churn/7/x1"));
    for (int i = 3; i < 6; i++) { /* the long run needs a window or two to be sure again */
        send(600, 0, 1);
        tick_at(700 * i);
    }
    assert_null(raised("drift/churn/7/x0"));
    assert_int_equal(window()->since_us[0], 0);
    end();
}

static void most_features_at_once_are_one_alert(void **state)
{
    (void)state;
    begin();
    send(600, 10, 0.1f);
    tick_at(2);
    assert_non_null(raised("skew/churn/7")); /* from the first rows on */
    tick_at(700);
    const struct alert *alert = raised("drift/churn/7/(all)");
    assert_non_null(alert);
    assert_non_null(strstr(alert->message, "10 of 22 columns of churn:7 drift together"));
    assert_non_null(strstr(alert->cause, "upstream change?"));
    assert_null(raised("drift/churn/7/x0"));
    for (int i = 2; i < 5; i++) {
        send(600, 0, 1);
        tick_at(700 * i);
    }
    assert_null(raised("drift/churn/7/(all)"));
    assert_null(raised("skew/churn/7"));
    end();
}

/* The score is learnt from 2,000 rows of windows in which no feature drifts, then watched. */
static void the_answer_is_learnt_then_watched(void **state)
{
    (void)state;
    begin();
    send(1000, 0, 1);
    tick_at(2);
    tick_at(700);
    assert_true(monitor()->baseline->columns[WATCHED_ANSWER].rows == 0);
    send(1000, 2, 0.2f); /* not from these */
    tick_at(1400);
    assert_int_equal(window_past(window(), 0)->verdict, MONITOR_ALERT);
    assert_true(monitor()->baseline->columns[WATCHED_ANSWER].rows == 0);
    for (int i = 3; i < 6 && monitor()->baseline->columns[WATCHED_ANSWER].rows == 0; i++) {
        send(1000, 0, 1);
        tick_at(700 * i);
    }
    assert_true(monitor()->baseline->columns[WATCHED_ANSWER].rows == 2000);
    send(600, 1, 0.2f); /* answers are a tenth of the first number */
    tick_at(7000);
    assert_int_equal(window()->judgements[WATCHED_ANSWER].verdict, MONITOR_ALERT);
    assert_non_null(raised("drift/churn/7/score"));
    end();
}

/* Another version in memory; arena_free(loaded->arena) lets it go. */
static void load(struct loaded *loaded, struct record_schema *schema, uint32_t serial)
{
    *schema = w.schema;
    schema->serial = serial;
    *loaded = w.loaded;
    loaded->number = 8;
    loaded->record_schema = schema;
    loaded->arena = arena_new(1 << 20);
}

static int monitor_count(void)
{
    int count = 0;
    for (struct monitor *m = NULL; (m = monitor_next(monitors, m));)
        count++;
    return count;
}

static void a_version_that_left_is_read_once_more_and_goes(void **state)
{
    struct loaded loaded;
    struct record_schema schema;
    (void)state;
    begin();
    load(&loaded, &schema, 3);
    sketch = monitors_sketch(monitors, &loaded);
    send(600, 1, 0.1f);
    tick_at(2);
    tick_at(700);
    assert_non_null(raised("drift/churn/8/x0"));
    struct monitor *left = monitor_find(monitors, 3);
    send(100, 0, 1);
    arena_free(loaded.arena);
    tick_at(701);
    assert_null(raised("drift/churn/8/x0"));
    assert_int_equal(left->windows[ARM_NONE]->open_rows, 100);
    assert_null(left->sample.rows);
    tick_at(701 + 3600);
    assert_int_equal(monitor_count(), 2); /* its window waits for a disk */
    left->windows[ARM_NONE]->saved_count = left->windows[ARM_NONE]->closed_count;
    tick_at(701 + 3601);
    assert_int_equal(monitor_count(), 1);
    assert_null(monitor_find(monitors, 3));
    end();
}

static void a_version_that_comes_back_counts_on(void **state)
{
    struct loaded loaded;
    struct record_schema schema;
    (void)state;
    begin();
    load(&loaded, &schema, 3);
    sketch = monitors_sketch(monitors, &loaded);
    send(100, 0, 1);
    arena_free(loaded.arena);
    tick_at(2);
    load(&loaded, &schema, 3);
    assert_ptr_equal(monitors_sketch(monitors, &loaded), sketch);
    send(100, 0, 1);
    tick_at(8000);
    tick_at(16000);
    assert_int_equal(monitor_find(monitors, 3)->windows[ARM_NONE]->total_rows, 200);
    arena_free(loaded.arena);
    end();
}

/* 9,000 one after another, 1,000 at a time: more than there are places. */
static void versions_come_and_go_for_ever(void **state)
{
    enum { BATCH = 1000, BATCHES = 9 };
    static struct loaded loaded[BATCH];
    static struct record_schema schemas[BATCH];
    (void)state;
    begin();
    for (int batch = 0; batch < BATCHES; batch++) {
        for (int i = 0; i < BATCH; i++) {
            uint32_t serial = (uint32_t)(batch * BATCH + i + 2);
            load(&loaded[i], &schemas[i], serial);
            assert_non_null(monitors_sketch(monitors, &loaded[i]));
            assert_ptr_equal(monitor_find(monitors, serial)->sketch,
                             monitors_sketch(monitors, &loaded[i]));
        }
        for (int i = 0; i < BATCH; i++)
            arena_free(loaded[i].arena);
        tick_at(2 + batch * 4000);
        tick_at(2 + batch * 4000 + 3600);
        assert_int_equal(monitor_count(), 1);
    }
    assert_int_equal(monitors_unwatched(monitors), 0);
    assert_non_null(monitor_find(monitors, w.schema.serial));
    end();
}

static void history_is_a_ring(void **state)
{
    (void)state;
    begin();
    for (int i = 1; i <= WINDOWS_KEPT + 3; i++) {
        send(500, 0, 1);
        tick_at(1000 * i);
        tick_at(1000 * i + 600);
    }
    assert_int_equal(window()->history_count, WINDOWS_KEPT);
    assert_int_equal(window()->closed_count, WINDOWS_KEPT + 3);
    for (int i = 1; i < WINDOWS_KEPT; i++)
        assert_true(window_past(window(), i)->from_us < window_past(window(), i - 1)->from_us);
    end();
}

static void save(struct fixture *f, const struct window *source, int i)
{
    const struct window_key key = {"churn", 7, ARM_NONE};
    const struct window_summary *summary = window_past(source, i);
    struct buf text, kept;
    buf_init(&text, 1 << 20);
    buf_init(&kept, 1 << 20);
    struct json_writer out = {.out = &text};
    window_summary_write(&out, summary, source->baseline);
    out = (struct json_writer){.out = &kept};
    window_state_write(&out, source);
    assert_ok(f, window_save(f->store, &key, summary->from_us, buf_view(&text), buf_view(&kept),
                             &f->err));
    buf_done(&text);
    buf_done(&kept);
}

/* What was saved comes back: history, since when, the learnt answer, where the long run stands. */
static void a_restart_keeps_the_history(void **state)
{
    struct fixture *f = *state;
    const struct window_key key = {"churn", 7, ARM_NONE};
    bool has[ARM_COUNT];
    begin();
    for (int i = 1; i <= 4; i++) {
        send(1200, i > 2, 0.1f);
        tick_at(1000 * i);
        tick_at(1000 * i + 600);
    }
    const struct window *before = window();
    for (int i = 3; i >= 0; i--)
        save(f, before, i);
    assert_ok(f, window_arms(f->store, "churn", 7, has, &f->err));
    assert_true(has[ARM_NONE] && !has[ARM_CANARY]);
    struct baseline *fresh = baseline_new(&w.loaded, w.arena);
    struct sketch *empty = sketch_new(fresh, 1);
    struct window *after = window_new(fresh, empty, ARM_NONE);
    assert_ok(f, window_load(f->store, &key, after, fresh, &f->err));
    assert_int_equal(after->history_count, 4);
    assert_int_equal(after->saved_count, 4);
    for (int i = 0; i < 4; i++) {
        const struct window_summary *a = window_past(after, i), *b = window_past(before, i);
        assert_true(a->from_us == b->from_us && a->to_us == b->to_us && a->rows == b->rows);
        assert_true(a->verdict == b->verdict && a->worst_count == b->worst_count);
        assert_int_equal(a->worst_count ? a->worst[0].column : 0,
                         b->worst_count ? b->worst[0].column : 0);
    }
    assert_int_equal(window_past(after, 0)->verdict, MONITOR_ALERT);
    assert_true(after->since_us[0] == before->since_us[0] && after->since_us[0] > 0);
    assert_float_equal(after->detectors[0].log_cusum, before->detectors[0].log_cusum, 1e-9);
    assert_true(fresh->columns[WATCHED_ANSWER].rows == 2400); /* of the first two */
    window_free(after);
    sketch_free(empty);
    end();
}

/* One more than are kept: the oldest leaves. */
static void the_store_keeps_the_newest(void **state)
{
    struct fixture *f = *state;
    const struct window_key key = {"churn", 7, ARM_CANARY};
    struct buf out;
    for (int i = 0; i <= WINDOWS_KEPT; i++)
        assert_ok(f, window_save(f->store, &key, 1000 + i, STR_LIT("{\"rows\":1}"), STR_LIT("{}"),
                                 &f->err));
    buf_init(&out, 1 << 20);
    struct json_writer writer = {.out = &out};
    assert_ok(f, window_list_write(f->store, "churn", 0, 1000, &writer, &f->err));
    int count = 0;
    buf_char(&out, '\0');
    for (const char *at = out.data; (at = strstr(at, "\"rows\"")); at++)
        count++;
    assert_int_equal(count, WINDOWS_KEPT);
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_window_needs_rows_and_time),
        cmocka_unit_test(a_unit_bug_is_told_and_forgotten),
        cmocka_unit_test(most_features_at_once_are_one_alert),
        cmocka_unit_test(the_answer_is_learnt_then_watched),
        cmocka_unit_test(a_version_that_left_is_read_once_more_and_goes),
        cmocka_unit_test(a_version_that_comes_back_counts_on),
        cmocka_unit_test(versions_come_and_go_for_ever),
        cmocka_unit_test(history_is_a_ring),
        cmocka_unit_test_setup_teardown(a_restart_keeps_the_history, setup_store, teardown),
        cmocka_unit_test_setup_teardown(the_store_keeps_the_newest, setup_store, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
