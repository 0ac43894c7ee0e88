/* test_outcome_watch.c - outcomes counted by version, and accuracy held against its floor. */
#include "monitor/outcome_watch.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/rand.h"
#include "test.h"

static double floor_of_three(void *arg, const char *model, int64_t version)
{
    ++*(int *)arg;
    assert_string_equal(model, "churn");
    return version == 3 ? 0.8 : 0;
}

static double floor_from_the_second_time(void *arg, const char *model, int64_t version)
{
    (void)model, (void)version;
    return ++*(int *)arg > 1 ? 0.8 : 0;
}

static void take(struct outcome_watch *watch, int64_t version, enum outcome_kind kind,
                 const char *name, bool is_wrong, enum outcome_result result)
{
    const struct predicted p = {
        .model = "churn", .version = version, .is_class = true, .at_us = 1000000};
    const struct outcome o = {.predicted = &p,
                              .kind = kind,
                              .name = str_of(name),
                              .unit = kind == OUTCOME_VALUE ? STR_LIT("EUR") : (struct str){0},
                              .value = kind == OUTCOME_VALUE ? 2.5 : 0,
                              .received_us = 3000000,
                              .result = result,
                              .is_wrong = is_wrong};
    outcome_watch_take(watch, &o);
}

static struct outcome_count count_of(struct outcome_watch *watch, struct arena *arena,
                                     int64_t version, const char *name)
{
    struct outcome_count *list;
    int count = outcome_watch_list(watch, arena, &list);
    for (int i = 0; i < count; i++)
        if (list[i].version == version && strcmp(list[i].name, name) == 0)
            return list[i];
    fail_msg("nothing was counted of %s", name);
    return (struct outcome_count){0};
}

static void outcomes_are_counted_by_version_and_name(void **state)
{
    int asked = 0;
    struct arena *arena = arena_new(1 << 20);
    struct outcome_watch *watch = outcome_watch_new(NULL, floor_of_three, &asked);
    (void)state;
    take(watch, 1, OUTCOME_LABEL, "label", false, OUTCOME_ACCEPTED);
    take(watch, 1, OUTCOME_LABEL, "label", true, OUTCOME_ACCEPTED);
    take(watch, 1, OUTCOME_LABEL, "label", true, OUTCOME_CORRECTED);
    take(watch, 1, OUTCOME_VALUE, "revenue", false, OUTCOME_ACCEPTED);
    take(watch, 2, OUTCOME_VALUE, "revenue", false, OUTCOME_ACCEPTED);
    take(watch, 2, OUTCOME_VALUE, "revenue", false, OUTCOME_ACCEPTED);
    struct outcome_count label = count_of(watch, arena, 1, "label");
    assert_int_equal(label.accepted, 2);
    assert_int_equal(label.corrected, 1);
    assert_int_equal(label.right, 1);
    assert_int_equal(label.wrong, 1);
    assert_float_equal(label.delay_seconds, 4, 1e-9);
    assert_float_equal(count_of(watch, arena, 2, "revenue").value, 5, 0);
    assert_string_equal(count_of(watch, arena, 2, "revenue").unit, "EUR");
    assert_int_equal(asked, 1);
    outcome_watch_free(watch);
    arena_free(arena);
}

/* Allowed share of wrong answers 0.2. One wrong label: ratios 1.1, 1.25, 1.5, 2, 3 (0.6 is the cap
 * (1 + 0.2) / 2): mean 8.85 / 5 = 1.77. One right label after it: times (1 - share) / 0.8. */
static void bets_are_likelihood_ratios(void **state)
{
    double logs[OUTCOME_BETS] = {0};
    (void)state;
    assert_float_equal(outcome_watch_bet(logs, 0.8, true), 1.77, 1e-12);
    double expected = (1.1 * 0.78 + 1.25 * 0.75 + 1.5 * 0.7 + 2 * 0.6 + 3 * 0.4) / 0.8 / 5;
    assert_float_equal(outcome_watch_bet(logs, 0.8, false), expected, 1e-12);
}

/* 2000 runs of 1000 labels with accuracy just at the floor: at most 1 % may ever reach 100, which
 * is 20; the 99.9 % quantile of a binomial of 2000 at 0.01 is 35. */
static void a_model_at_its_floor_seldom_alarms(void **state)
{
    struct rand rand;
    int alarms = 0;
    (void)state;
    rand_seed(&rand, 7);
    for (int run = 0; run < 2000; run++) {
        double logs[OUTCOME_BETS] = {0}, most = 0;
        for (int i = 0; i < 1000; i++)
            most = fmax(most, outcome_watch_bet(logs, 0.9, rand_unit(&rand) < 0.1));
        alarms += most >= OUTCOME_WATCH_EVIDENCE;
    }
    assert_true(alarms <= 35);
}

static void any_policy(void *arg, const struct alert *alert, struct alert_policy *policy)
{
    (void)arg, (void)alert;
    *policy = (struct alert_policy){0};
}

static void an_alert_is_raised_below_the_floor_and_cleared_above(void **state)
{
    int asked = 0;
    struct arena *arena = arena_new(1 << 20);
    struct alerts *alerts = alerts_new();
    struct outcome_watch *watch = outcome_watch_new(alerts, floor_of_three, &asked);
    struct alert_view *views;
    (void)state;
    for (int i = 0; i < 100; i++)
        take(watch, 3, OUTCOME_LABEL, "label", i % 2, OUTCOME_ACCEPTED);
    assert_true(count_of(watch, arena, 3, "label").evidence >= OUTCOME_WATCH_EVIDENCE);
    assert_int_equal(alerts_list(alerts, any_policy, NULL, arena, &views), 1);
    assert_string_equal(views[0].alert.key, "quality/churn/3/accuracy");
    assert_non_null(strstr(views[0].alert.message, "accuracy 0.5 over 100 labels"));
    for (int i = 0; i < 400; i++)
        take(watch, 3, OUTCOME_LABEL, "label", false, OUTCOME_ACCEPTED);
    assert_int_equal(alerts_list(alerts, any_policy, NULL, arena, &views), 0);
    outcome_watch_free(watch);
    alerts_free(alerts);
    arena_free(arena);
}

/* A version whose contract is read a moment after its first label. */
static void a_floor_is_asked_for_until_it_is_known(void **state)
{
    int asked = 0;
    struct arena *arena = arena_new(1 << 20);
    struct outcome_watch *watch = outcome_watch_new(NULL, floor_from_the_second_time, &asked);
    (void)state;
    for (int second = 1; second <= 180; second++) {
        clock_set_for_test(second * CLOCK_SECOND_US, -1);
        take(watch, 3, OUTCOME_LABEL, "label", false, OUTCOME_ACCEPTED);
        assert_int_equal(asked, second < 61 ? 1 : 2);
    }
    assert_float_equal(count_of(watch, arena, 3, "label").floor, 0.8, 0);
    clock_set_for_test(-1, -1);
    outcome_watch_free(watch);
    arena_free(arena);
}

/* Version 1 goes on being heard of, 2 is the first that is not. */
static void the_most_silent_version_makes_room(void **state)
{
    struct arena *arena = arena_new(16 << 20);
    struct outcome_watch *watch = outcome_watch_new(NULL, NULL, NULL);
    struct outcome_count *list;
    (void)state;
    for (int64_t version = 1; version <= OUTCOME_WATCH_MAX; version++)
        take(watch, version, OUTCOME_EVENT, "complaint", false, OUTCOME_ACCEPTED);
    take(watch, 1, OUTCOME_EVENT, "complaint", false, OUTCOME_ACCEPTED);
    take(watch, OUTCOME_WATCH_MAX + 1, OUTCOME_EVENT, "complaint", false, OUTCOME_ACCEPTED);
    int count = outcome_watch_list(watch, arena, &list);
    assert_int_equal(count, OUTCOME_WATCH_MAX);
    assert_int_equal(list[0].version, 1);
    assert_int_equal(list[0].accepted, 2);
    assert_int_equal(list[1].version, 3);
    assert_int_equal(list[count - 1].version, OUTCOME_WATCH_MAX + 1);
    outcome_watch_free(watch);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outcomes_are_counted_by_version_and_name),
        cmocka_unit_test(bets_are_likelihood_ratios),
        cmocka_unit_test(a_model_at_its_floor_seldom_alarms),
        cmocka_unit_test(a_floor_is_asked_for_until_it_is_known),
        cmocka_unit_test(the_most_silent_version_makes_room),
        cmocka_unit_test(an_alert_is_raised_below_the_floor_and_cleared_above),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
