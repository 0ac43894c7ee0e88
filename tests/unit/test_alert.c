/* test_alert.c - alerts: one per key, opened after their time, closed with hysteresis, bounded. */
#include "monitor/alert.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "test.h"

#define SECOND INT64_C(1000000)

struct fixture {
    struct alerts *alerts;
    struct arena *arena;
    struct alert_policy policy;
    struct alert_view due[8];
};

static void at(int64_t seconds)
{
    clock_set_for_test(seconds * SECOND, seconds * SECOND);
}

static int setup(void **state)
{
    struct fixture *f = test_calloc(1, sizeof(*f));
    f->alerts = alerts_new();
    f->arena = arena_new(64 * 1024 * 1024);
    f->policy = (struct alert_policy){.expire_us = 3600 * SECOND};
    at(1000);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    clock_set_for_test(-1, -1);
    alerts_free(f->alerts);
    arena_free(f->arena);
    test_free(f);
    return 0;
}

static void give_policy(void *arg, const struct alert *alert, struct alert_policy *policy)
{
    const struct fixture *f = arg;
    (void)alert;
    *policy = f->policy;
}

static const struct alert drift = {
    .key = "drift/churn/7/mean_radius",
    .model = "churn",
    .version = 7,
    .rule = "drift",
    .severity = ALERT_TICKET,
    .value = 0.4,
    .bound = 0.25,
    .unit = "nats",
    .message = "`mean_radius`: psi 0.4, bound 0.25",
    .cause = "unit change?",
};

static int due(struct fixture *f)
{
    return alerts_due(f->alerts, clock_wall_us(), give_policy, f, f->arena, f->due, 8);
}

/* Opens or closes what is due; how many. */
static int settle(struct fixture *f)
{
    int count = due(f);
    for (int i = 0; i < count; i++)
        alerts_settle(f->alerts, &f->due[i], true);
    return count;
}

static int open_count(struct fixture *f)
{
    struct alert_counts counts;
    alerts_count(f->alerts, &counts);
    return counts.open[ALERT_INFO] + counts.open[ALERT_TICKET] + counts.open[ALERT_PAGE];
}

static void raised_twice_is_opened_once(void **state)
{
    struct fixture *f = *state;
    struct alert again = drift;
    again.value = 0.9;
    alert_raise(f->alerts, &drift);
    assert_int_equal(settle(f), 1);
    assert_int_equal(f->due[0].state, ALERT_OPEN);
    assert_string_equal(f->due[0].alert.key, drift.key);
    assert_string_equal(f->due[0].alert.cause, "unit change?");
    assert_int_equal(f->due[0].alert.version, 7);
    alert_raise(f->alerts, &again);
    assert_int_equal(settle(f), 0);
    struct alert_view *list;
    assert_int_equal(alerts_list(f->alerts, give_policy, f, f->arena, &list), 1);
    assert_float_equal(list[0].alert.value, 0.9, 0);
}

static void it_opens_when_its_time_has_passed(void **state)
{
    struct fixture *f = *state;
    f->policy.for_us = 60 * SECOND;
    alert_raise(f->alerts, &drift);
    at(1059);
    alert_raise(f->alerts, &drift); /* the time counts from the first one */
    assert_int_equal(settle(f), 0);
    at(1060);
    assert_int_equal(settle(f), 1);
}

static void what_was_cleared_in_time_is_never_opened(void **state)
{
    struct fixture *f = *state;
    struct alert_view *list;
    f->policy.for_us = 60 * SECOND;
    alert_raise(f->alerts, &drift);
    at(1030);
    alert_clear(f->alerts, drift.key);
    assert_int_equal(settle(f), 0);
    at(1100);
    alert_raise(f->alerts, &drift); /* begins anew */
    assert_int_equal(settle(f), 0);
    assert_int_equal(alerts_list(f->alerts, give_policy, f, f->arena, &list), 1);
    assert_true(list[0].alert.since_us == 1100 * SECOND);
}

static void it_closes_when_it_stayed_clear(void **state)
{
    struct fixture *f = *state;
    f->policy.keep_us = 60 * SECOND;
    alert_raise(f->alerts, &drift);
    settle(f);
    alert_clear(f->alerts, drift.key);
    at(1059);
    assert_int_equal(settle(f), 0);
    alert_raise(f->alerts, &drift); /* it was not over */
    at(1060);
    alert_clear(f->alerts, drift.key);
    at(1119);
    assert_int_equal(settle(f), 0);
    at(1120);
    assert_int_equal(settle(f), 1);
    assert_int_equal(f->due[0].state, ALERT_CLOSED);
    assert_int_equal(open_count(f), 0);
    assert_int_equal(settle(f), 0);
}

/* A word that comes between asking what is due and its being made durable. */
static void a_clear_while_it_is_being_opened_is_not_lost(void **state)
{
    struct fixture *f = *state;
    alert_raise(f->alerts, &drift);
    assert_int_equal(due(f), 1);
    alert_clear(f->alerts, drift.key);
    alerts_settle(f->alerts, &f->due[0], true);
    assert_int_equal(open_count(f), 1);
    assert_int_equal(settle(f), 1);
    assert_int_equal(f->due[0].state, ALERT_CLOSED);
}

/* Raised above 0.25, cleared at or below 0.8 * 0.25 = 0.2. */
static void observing_has_hysteresis(void **state)
{
    struct fixture *f = *state;
    struct alert alert = drift;
    const struct {
        double value;
        int open;
    } steps[] = {{0.24, 0},  {0.25, 0}, {0.26, 1},  {0.22, 1},
                 {0.201, 1}, {NAN, 1},  {0.199, 0}, {0.22, 0}};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        alert.value = steps[i].value;
        alert_observe(f->alerts, &alert, false);
        settle(f);
        assert_int_equal(open_count(f), steps[i].open);
    }
}

/* A floor of 0.8: raised below it, cleared at 0.8 / 0.8 = 1. */
static void observing_a_floor_has_hysteresis(void **state)
{
    struct fixture *f = *state;
    struct alert alert = drift;
    alert.bound = 0.8;
    const struct {
        double value;
        int open;
    } steps[] = {{0.8, 0}, {0.79, 1}, {0.9, 1}, {1.0, 0}};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        alert.value = steps[i].value;
        alert_observe(f->alerts, &alert, true);
        settle(f);
        assert_int_equal(open_count(f), steps[i].open);
    }
}

static void nobody_speaks_of_it_so_it_expires(void **state)
{
    struct fixture *f = *state;
    alert_raise(f->alerts, &drift);
    settle(f);
    at(1000 + 3599);
    assert_int_equal(settle(f), 0);
    at(1000 + 3600);
    assert_int_equal(settle(f), 1);
    assert_true(f->due[0].is_expired);
    assert_int_equal(settle(f), 0);
    assert_int_equal(open_count(f), 0);
}

static void a_rule_that_is_off_opens_nothing_and_closes_what_is_open(void **state)
{
    struct fixture *f = *state;
    f->policy.is_off = true;
    alert_raise(f->alerts, &drift);
    assert_int_equal(settle(f), 0);
    f->policy.is_off = false;
    assert_int_equal(settle(f), 1);
    f->policy.is_off = true;
    assert_int_equal(settle(f), 1);
    assert_int_equal(f->due[0].state, ALERT_CLOSED);
    assert_int_equal(settle(f), 0);
}

static void the_rules_severity_and_owner_win(void **state)
{
    struct fixture *f = *state;
    struct alert_counts counts;
    f->policy.has_severity = true;
    f->policy.severity = ALERT_PAGE;
    f->policy.owner = "ana@example.org";
    alert_raise(f->alerts, &drift);
    settle(f);
    assert_int_equal(f->due[0].alert.severity, ALERT_PAGE);
    assert_string_equal(f->due[0].owner, "ana@example.org");
    alert_raise(f->alerts, &drift);
    alerts_count(f->alerts, &counts);
    assert_int_equal(counts.open[ALERT_PAGE], 1);
    assert_int_equal(counts.open[ALERT_TICKET], 0);
}

static void a_restored_one_is_open_until_it_is_cleared(void **state)
{
    struct fixture *f = *state;
    const struct alert_view before = {.alert = drift, .state = ALERT_OPEN, .opened_us = 5 * SECOND};
    alerts_restore(f->alerts, &before);
    assert_int_equal(open_count(f), 1);
    assert_int_equal(settle(f), 0);
    alert_clear(f->alerts, drift.key);
    assert_int_equal(settle(f), 1);
    assert_true(f->due[0].opened_us == 5 * SECOND);
}

static void one_that_could_not_be_saved_comes_back_until_it_is(void **state)
{
    struct fixture *f = *state;
    alert_raise(f->alerts, &drift);
    assert_int_equal(due(f), 1);
    assert_false(f->due[0].is_told);
    alerts_settle(f->alerts, &f->due[0], false);
    assert_int_equal(open_count(f), 1);
    assert_int_equal(settle(f), 1);
    assert_true(f->due[0].is_told);
    assert_int_equal(f->due[0].state, ALERT_OPEN);
    assert_int_equal(settle(f), 0);
    alert_clear(f->alerts, drift.key);
    assert_int_equal(due(f), 1);
    alerts_settle(f->alerts, &f->due[0], false);
    assert_int_equal(open_count(f), 0);
    assert_int_equal(settle(f), 1);
    assert_true(f->due[0].is_told);
    assert_int_equal(f->due[0].state, ALERT_CLOSED);
    assert_int_equal(settle(f), 0);
}

static void it_opens_when_the_silence_ends(void **state)
{
    struct fixture *f = *state;
    struct alert_view *list;
    f->policy.is_silenced = true;
    alert_raise(f->alerts, &drift);
    assert_int_equal(settle(f), 0);
    assert_int_equal(alerts_list(f->alerts, give_policy, f, f->arena, &list), 1);
    assert_int_equal(list[0].state, ALERT_SILENCED);
    f->policy.is_silenced = false;
    assert_int_equal(settle(f), 1);
    f->policy.is_silenced = true;
    assert_int_equal(settle(f), 0);
    alert_clear(f->alerts, drift.key);
    assert_int_equal(settle(f), 1);
}

static void one_that_becomes_worse_is_told_again(void **state)
{
    struct fixture *f = *state;
    struct alert alert = drift;
    struct alert_counts counts;
    alert.severity = ALERT_INFO;
    alert_raise(f->alerts, &alert);
    assert_int_equal(settle(f), 1);
    at(1010);
    alert_raise(f->alerts, &drift); /* a ticket now */
    assert_int_equal(settle(f), 1);
    assert_int_equal(f->due[0].state, ALERT_OPEN);
    assert_int_equal(f->due[0].alert.severity, ALERT_TICKET);
    assert_true(f->due[0].opened_us == 1000 * SECOND);
    alert_raise(f->alerts, &alert); /* a lesser one is no news */
    assert_int_equal(settle(f), 0);
    alerts_count(f->alerts, &counts);
    assert_int_equal(counts.open[ALERT_TICKET], 1);
    assert_int_equal(counts.open[ALERT_INFO], 0);
}

static void a_prefix_clears_a_whole_version(void **state)
{
    struct fixture *f = *state;
    struct alert other = drift;
    other.key = "drift/churn/70/mean_radius";
    alert_raise(f->alerts, &drift);
    alert_raise(f->alerts, &other);
    settle(f);
    alert_clear_prefix(f->alerts, "drift/churn/7/");
    assert_int_equal(settle(f), 1);
    assert_string_equal(f->due[0].alert.key, drift.key);
}

static void beyond_the_limit_is_counted(void **state)
{
    struct fixture *f = *state;
    struct alert_counts counts;
    struct alert alert = drift;
    char key[32];
    alert.key = key;
    for (int i = 0; i < ALERTS_MAX + 7; i++) {
        snprintf(key, sizeof(key), "drift/churn/%d", i);
        alert_raise(f->alerts, &alert);
    }
    alerts_count(f->alerts, &counts);
    assert_int_equal(counts.dropped, 7);
}

/* 600 bytes of two-byte characters: cut at 510, a whole one; a key keeps what tells it apart. */
static void long_texts_are_cut_at_a_character(void **state)
{
    struct fixture *f = *state;
    char text[601], key[401];
    for (int i = 0; i < 300; i++)
        memcpy(text + (size_t)2 * (size_t)i, "\xc3\xa4", 2);
    text[600] = '\0';
    memset(key, 'k', sizeof(key));
    key[400] = '\0';
    struct alert alert = drift;
    alert.message = text;
    alert.key = key;
    alert_raise(f->alerts, &alert);
    key[399] = 'x';
    alert_raise(f->alerts, &alert);
    assert_int_equal(settle(f), 2);
    assert_int_equal(strlen(f->due[0].alert.message), 510);
    assert_true(str_is_utf8(str_of(f->due[0].alert.message)));
    assert_int_equal(strlen(f->due[0].alert.key), ALERT_KEY_BYTES - 1);
    assert_string_not_equal(f->due[0].alert.key, f->due[1].alert.key);
    alert_clear(f->alerts, key);
    assert_int_equal(settle(f), 1);
}

static void a_process_without_alerts_raises_into_nothing(void **state)
{
    (void)state;
    alert_raise(NULL, &drift);
    alert_observe(NULL, &drift, false);
    alert_clear(NULL, drift.key);
    alert_clear_prefix(NULL, "");
    alerts_free(NULL);
}

static void *raise_many(void *arg)
{
    struct fixture *f = arg;
    for (int i = 0; i < 2000; i++) {
        alert_raise(f->alerts, &drift);
        alert_clear(f->alerts, drift.key);
    }
    alert_raise(f->alerts, &drift);
    return NULL;
}

static void threads_share_one_set(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, raise_many, f), 0);
    for (int i = 0; i < 100; i++)
        settle(f);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    settle(f);
    settle(f);
    assert_int_equal(open_count(f), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(raised_twice_is_opened_once),
        TEST(it_opens_when_its_time_has_passed),
        TEST(what_was_cleared_in_time_is_never_opened),
        TEST(it_closes_when_it_stayed_clear),
        TEST(a_clear_while_it_is_being_opened_is_not_lost),
        TEST(observing_has_hysteresis),
        TEST(observing_a_floor_has_hysteresis),
        TEST(nobody_speaks_of_it_so_it_expires),
        TEST(a_rule_that_is_off_opens_nothing_and_closes_what_is_open),
        TEST(the_rules_severity_and_owner_win),
        TEST(a_restored_one_is_open_until_it_is_cleared),
        TEST(one_that_could_not_be_saved_comes_back_until_it_is),
        TEST(it_opens_when_the_silence_ends),
        TEST(one_that_becomes_worse_is_told_again),
        TEST(a_prefix_clears_a_whole_version),
        TEST(beyond_the_limit_is_counted),
        TEST(long_texts_are_cut_at_a_character),
        TEST(a_process_without_alerts_raises_into_nothing),
        TEST(threads_share_one_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
