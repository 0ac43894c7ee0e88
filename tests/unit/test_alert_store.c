/* test_alert_store.c - open alerts, silences and counts in the store, each decision an event. */
#include "monitor/alert_store.h"

#include <math.h>

#include "base/clock.h"
#include "store_fixture.h"

static const struct alert_view drift = {
    .alert = {.key = "drift/churn/7/age",
              .model = "churn",
              .version = 7,
              .rule = "drift",
              .severity = ALERT_TICKET,
              .value = 0.4,
              .bound = NAN,
              .unit = "nats",
              .message = "`age`: psi 0.4",
              .cause = "unit change?",
              .since_us = 5000000},
    .state = ALERT_OPEN,
    .opened_us = 6000000,
    .owner = "ana@example.org",
    .runbook = "",
};

static void events_are(struct fixture *f, const char *subject, const char *const *actions)
{
    struct audit_event *events;
    int count, i = 0;
    assert_ok(f, audit_list(f->store, subject, 0, 100, f->arena, &events, &count, &f->err));
    for (; actions[i]; i++) {
        assert_true(i < count);
        assert_string_equal(events[i].action, actions[i]);
    }
    assert_int_equal(count, i);
}

static void an_open_alert_is_kept_until_it_is_closed(void **state)
{
    struct fixture *f = *state;
    struct alert_view *list, closed = drift;
    int count;
    assert_ok(f, alert_store_put(f->store, &drift, &f->err));
    assert_ok(f, alert_store_put(f->store, &drift, &f->err)); /* again: after a failed commit */
    assert_ok(f, alert_store_list(f->store, f->arena, &list, &count, &f->err));
    assert_int_equal(count, 1);
    assert_string_equal(list[0].alert.key, drift.alert.key);
    assert_string_equal(list[0].alert.cause, "unit change?");
    assert_int_equal(list[0].alert.severity, ALERT_TICKET);
    assert_float_equal(list[0].alert.value, 0.4, 0);
    assert_true(isnan(list[0].alert.bound));
    assert_true(list[0].opened_us == 6000000);
    closed.state = ALERT_CLOSED;
    assert_ok(f, alert_store_put(f->store, &closed, &f->err));
    assert_ok(f, alert_store_list(f->store, f->arena, &list, &count, &f->err));
    assert_int_equal(count, 0);
    events_are(f, "alert/drift/churn/7/age",
               (const char *const[]){"alert.open", "alert.open", "alert.close", NULL});
}

static void a_silence_is_an_event_and_ends(void **state)
{
    struct fixture *f = *state;
    struct alert_silence *list;
    int64_t now = clock_wall_us();
    int count;
    struct alert_silence silence = {
        .match = "drift/*", .until_us = now + 1000000, .reason = "ticket 12"};
    assert_ok(f, alert_silence_put(f->store, &silence, &tester, &f->err));
    assert_ok(f, alert_silence_list(f->store, now, f->arena, &list, &count, &f->err));
    assert_int_equal(count, 1);
    assert_string_equal(list[0].match, "drift/*");
    assert_string_equal(list[0].actor, "key:ci");
    assert_ok(f, alert_silence_list(f->store, now + 1000000, f->arena, &list, &count, &f->err));
    assert_int_equal(count, 0);
    assert_ok(f, alert_silence_end(f->store, silence.id, &tester, &f->err));
    assert_fails(f, alert_silence_end(f->store, silence.id, &tester, &f->err), ERR_NOT_FOUND,
                 "no silence");
    events_are(f, "silence/", (const char *const[]){"alert.silence", "alert.unsilence", NULL});
}

static void a_silence_that_says_nothing_is_refused(void **state)
{
    struct fixture *f = *state;
    struct alert_silence none = {.match = "", .until_us = INT64_MAX, .reason = ""};
    struct alert_silence past = {.match = "x", .until_us = 1, .reason = ""};
    assert_fails(f, alert_silence_put(f->store, &none, &tester, &f->err), ERR_INVALID, "match");
    assert_fails(f, alert_silence_put(f->store, &past, &tester, &f->err), ERR_INVALID, "ended");
    events_are(f, "silence/", (const char *const[]){NULL});
}

static void take_window(void *arg, struct str model, struct str counts)
{
    char *seen = arg;
    size_t used = strlen(seen);
    snprintf(seen + used, 256 - used, "%.*s=%.*s;", STR_ARG(model), STR_ARG(counts));
}

static void counts_are_replaced(void **state)
{
    struct fixture *f = *state;
    char seen[256] = "";
    assert_ok(f, alert_window_put(f->store, "churn", STR_LIT("1 2"), 1, &f->err));
    assert_ok(f, alert_window_put(f->store, "churn", STR_LIT("1 3"), 2, &f->err));
    assert_ok(f, alert_window_each(f->store, take_window, seen, &f->err));
    assert_string_equal(seen, "churn=1 3;");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_open_alert_is_kept_until_it_is_closed, setup_store,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_silence_is_an_event_and_ends, setup_store, teardown),
        cmocka_unit_test_setup_teardown(a_silence_that_says_nothing_is_refused, setup_store,
                                        teardown),
        cmocka_unit_test_setup_teardown(counts_are_replaced, setup_store, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
