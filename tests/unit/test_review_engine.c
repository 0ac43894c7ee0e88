/* test_review_engine.c - records become items behind the reply's back, items expire by the clock.
 */
#include "serve/review_engine.h"

#include "base/clock.h"
#include "review_fixture.h"
#include "serve/review_watch.h"

struct engine_fixture {
    struct fixture *folder; /* a path, an arena; its store stays closed */
    struct control *control;
    struct review_engine *engine;
    struct record_sink sink;
    struct err err;
};

static const char *document;

static enum err_code set_rules(struct control *control, struct store *store, void *arg,
                               struct err *err)
{
    int64_t revision;
    (void)control, (void)arg;
    enum err_code rc = model_ensure(store, "churn", "me@example.org", NULL, &tester, err);
    return rc ? rc
              : review_rules_put(store, "churn", str_of(document), &tester, START, &revision, err);
}

static void begin(struct engine_fixture *f, const char *rules)
{
    *f = (struct engine_fixture){.folder = fixture_new()};
    struct control_config config = {
        .data_dir = f->folder->path, .create = true, .data_thread_count = 1};
    struct control_op op = {.fn = set_rules, .model = "churn"};
    document = rules;
    clock_set_for_test(0, START);
    assert_ok(f, control_open(&config, &f->control, &f->err));
    assert_ok(f, control_execute(f->control, &op, &f->err));
    f->engine = review_engine_new(f->control, NULL);
    f->sink = review_engine_sink(f->engine);
}

static void end(struct engine_fixture *f)
{
    review_engine_free(f->engine);
    control_close(f->control);
    fixture_free(f->folder);
    clock_set_for_test(-1, -1);
}

static void take(struct engine_fixture *f, int number, int rows, int status)
{
    struct fixture_record fixture;
    fixture_record_make(&fixture, number, rows);
    fixture.record.status = status;
    f->sink.take(f->sink.arg, &fixture.record);
}

static int list(struct engine_fixture *f, struct review_item **items)
{
    int count = 0;
    const struct review_filter filter = {.limit = REVIEW_LIST_MAX};
    struct store *store = control_read_begin(f->control);
    assert_ok(f, review_list(store, &filter, f->folder->arena, items, &count, &f->err));
    control_read_end(f->control);
    return count;
}

static int run(struct engine_fixture *f, struct review_item **items)
{
    f->sink.flush(f->sink.arg);
    review_engine_run(f->engine);
    return list(f, items);
}

static void answered_rows_become_items(void **state)
{
    struct engine_fixture f;
    struct review_item *items;
    (void)state;
    begin(&f, "rules: [{name: dear, when: monthly_fee >= 620}]");
    take(&f, 619, 2, 200); /* fees 619, 619.25: none */
    take(&f, 620, 2, 200);
    take(&f, 621, 1, 500);                 /* failed */
    assert_int_equal(list(&f, &items), 0); /* nothing is written on the recorder thread */
    assert_int_equal(run(&f, &items), 2);
    assert_string_equal(items[0].prediction_id, "request-620-0");
    assert_string_equal(items[1].prediction_id, "request-620-1");
    assert_int_equal(items[0].due_us, START + 24 * HOUR);
    take(&f, 620, 2, 200); /* the same again */
    assert_int_equal(run(&f, &items), 2);
    assert_int_equal(review_engine_dropped(f.engine), 0);
    end(&f);
}

/* Its held rows have their items already; the others may be taken by other rules. */
static void a_held_request_gives_only_what_is_left(void **state)
{
    struct engine_fixture f;
    struct review_item *items;
    (void)state;
    begin(&f, "rules: [{name: h, when: monthly_fee = 620, mode: hold, sla: 1h, on_expiry: reject},"
              " {name: a, when: monthly_fee > 0}]");
    take(&f, 620, 2, 202);
    assert_int_equal(run(&f, &items), 1);
    assert_string_equal(items[0].prediction_id, "request-620-1");
    end(&f);
}

static void a_shadow_that_disagrees_brings_its_row(void **state)
{
    struct engine_fixture f;
    struct fixture_record fixture;
    struct review_item *items;
    (void)state;
    begin(&f, "rules: [{name: flip, when: disagrees_with_shadow}]");
    const struct shadow_watch watch = review_engine_watch(f.engine);
    const struct record *record = fixture_record_make(&fixture, 620, 2);
    f.sink.take(f.sink.arg, record);
    assert_int_equal(run(&f, &items), 0);
    watch.differs(watch.arg, record, 1, 0.25);
    assert_int_equal(run(&f, &items), 1);
    assert_string_equal(items[0].prediction_id, "request-620-1");
    assert_float_equal(items[0].probability, 0.25, 1e-12); /* a quarter of all rows are shadowed */
    end(&f);
}

/* 16 batches of 256 wait; the next rows are counted. */
static void what_finds_no_room_is_counted(void **state)
{
    struct engine_fixture f;
    struct review_item *items;
    (void)state;
    begin(&f, "rules: [{name: all, when: monthly_fee >= 0}]");
    for (int number = 0; number < 4100; number++)
        take(&f, number, 1, 200);
    assert_int_equal(review_engine_dropped(f.engine), 4);
    assert_int_equal(run(&f, &items), REVIEW_LIST_MAX);
    take(&f, 5000, 1, 200);
    run(&f, &items);
    assert_int_equal(review_engine_dropped(f.engine), 4);
    end(&f);
}

static void time_closes_what_nobody_decides(void **state)
{
    struct engine_fixture f;
    struct review_item *items;
    (void)state;
    begin(&f, "rules: [{name: all, when: monthly_fee >= 0, sla: 1h, on_expiry: reject}]");
    take(&f, 620, 1, 200);
    run(&f, &items);
    clock_set_for_test(0, START + HOUR - 1);
    run(&f, &items);
    assert_int_equal(items[0].state, REVIEW_OPEN);
    clock_set_for_test(0, START + HOUR);
    run(&f, &items);
    assert_int_equal(items[0].state, REVIEW_REJECTED);
    assert_true(items[0].is_late);
    end(&f);
}

struct review_alert {
    struct alerts *alerts;
    struct review_watch *watch;
};

static void always(void *arg, const struct alert *alert, struct alert_policy *policy)
{
    (void)arg, (void)alert;
    *policy = (struct alert_policy){.owner = "", .runbook = ""};
}

/* The message of the alert, "" when none is raised. */
static const char *look(struct engine_fixture *f, struct review_alert *a, int64_t now_us)
{
    struct alert_view *raised;
    struct store *store = control_read_begin(f->control);
    assert_ok(f, review_watch_look(a->watch, store, now_us, &f->err));
    control_read_end(f->control);
    int count = alerts_list(a->alerts, always, NULL, f->folder->arena, &raised);
    assert_in_range(count, 0, 1);
    if (count == 0)
        return "";
    assert_string_equal(raised[0].alert.key, "review_sla/churn");
    return raised[0].alert.message;
}

static void who_waits_too_long_is_told_until_it_is_decided(void **state)
{
    struct engine_fixture f;
    struct review_item *items;
    struct review_alert a = {.alerts = alerts_new()};
    (void)state;
    a.watch = review_watch_new(a.alerts);
    begin(&f, "rules: [{name: all, when: monthly_fee >= 0, sla: 1h, on_expiry: escalate}]");
    take(&f, 620, 2, 200);
    run(&f, &items);
    assert_string_equal(look(&f, &a, START + HOUR - 1), "");
    assert_string_equal(look(&f, &a, START + 3 * HOUR),
                        "2 open items are past their time, the first by 2.0 h");
    assert_string_equal(look(&f, &a, START + HOUR - 1), "");
    end(&f);
    review_watch_free(a.watch);
    alerts_free(a.alerts);
}

static void what_the_clock_has_closed_is_told_for_an_hour(void **state)
{
    struct engine_fixture f;
    struct review_item *items;
    struct review_alert a = {.alerts = alerts_new()};
    (void)state;
    a.watch = review_watch_new(a.alerts);
    begin(&f, "rules: [{name: all, when: monthly_fee >= 0, sla: 1h, on_expiry: reject}]");
    take(&f, 620, 1, 200);
    run(&f, &items);
    assert_string_equal(look(&f, &a, START), "");
    clock_set_for_test(0, START + HOUR);
    run(&f, &items);
    assert_string_equal(look(&f, &a, START + HOUR),
                        "items were closed by the clock before anybody decided");
    assert_string_equal(look(&f, &a, START + 2 * HOUR), "");
    end(&f);
    review_watch_free(a.watch);
    alerts_free(a.alerts);
}

static void a_model_without_rules_gives_nothing(void **state)
{
    struct engine_fixture f;
    struct review_item *items;
    (void)state;
    begin(&f, "");
    take(&f, 620, 2, 200);
    assert_int_equal(run(&f, &items), 0);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answered_rows_become_items),
        cmocka_unit_test(a_held_request_gives_only_what_is_left),
        cmocka_unit_test(a_shadow_that_disagrees_brings_its_row),
        cmocka_unit_test(what_finds_no_room_is_counted),
        cmocka_unit_test(time_closes_what_nobody_decides),
        cmocka_unit_test(who_waits_too_long_is_told_until_it_is_decided),
        cmocka_unit_test(what_the_clock_has_closed_is_told_for_an_hour),
        cmocka_unit_test(a_model_without_rules_gives_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
