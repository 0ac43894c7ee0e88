/* test_plan.c - how many events and how long until a verdict. */
#include "rollout/plan.h"

#include <math.h>

#include "base/check.h"
#include "test.h"

static const struct guard_rule rule = {
    .worse_than = 1, .alpha = 0.01, .no_worse_than = 2, .beta = 0.05};

/* theta 0.1, r 10: p = 10/19; D = 10/19 ln(100/19) + 9/19 ln(10/19) = 0.874068 - 0.304040 =
 * 0.570028. ln(1/0.009) + ln 8 = 4.710531 + 2.079442 = 6.789972. 6.789972 / 0.570028 = 11.9117
 * events; canary 10/19 of them = 6.26932. At 0.5 %: a share 0.1 * 0.05 + 0.9 * 0.005 = 0.0095 of
 * all requests are events, so 1253.86 requests, a tenth of them canary, 125.386 s at 10/s. */
static void ten_times_worse_is_noticed_after_six_canary_errors(void **state)
{
    const struct plan_traffic traffic = {.requests_a_second = 10, .event_rate = 0.005};
    struct plan_answer answer;
    (void)state;
    plan_fail(&rule, &traffic, 0.1, 10, &answer);
    assert_true(fabs(answer.events - 11.9117) < 1e-3);
    assert_true(fabs(answer.canary_events - 6.2693) < 1e-3);
    assert_true(fabs(answer.canary_requests - 125.386) < 0.02);
    assert_true(fabs(answer.seconds - 125.386) < 0.02);
}

/* D = 0.1 ln(0.1/(2/11)) + 0.9 ln 1.1 = -0.0597837 + 0.0857792 = 0.0259955; ln(1/0.045) = 3.101093;
 * 119.293 events, at 0.5 % 23,858.6 requests, 2385.86 of them canary. */
static void equal_versions_are_shown_equal(void **state)
{
    const struct plan_traffic traffic = {.requests_a_second = 100, .event_rate = 0.005};
    struct plan_answer answer;
    (void)state;
    plan_safe(&rule, &traffic, 0.1, &answer);
    assert_true(fabs(answer.events - 119.293) < 0.01);
    assert_true(fabs(answer.canary_requests - 2385.9) < 0.5);
    assert_true(fabs(answer.seconds - 238.59) < 0.05);
}

/* Nobody gets an event: ln(2 / 0.045) / -ln(0.999) = 3.794240 / 0.00100050 = 3792.34 requests. */
static void without_events_the_rate_decides(void **state)
{
    struct guard_rule with_rate = rule;
    const struct plan_traffic traffic = {.requests_a_second = 100, .event_rate = 1e-7};
    struct plan_answer answer;
    (void)state;
    with_rate.rate_below = 0.001;
    plan_safe(&with_rate, &traffic, 0.1, &answer);
    assert_true(fabs(answer.canary_requests - 3792.34) < 0.05);
    assert_true(fabs(answer.seconds - 379.234) < 0.01);
}

static void no_traffic_notices_nothing(void **state)
{
    const struct plan_traffic traffic = {.event_rate = 0.01};
    struct plan_answer answer;
    (void)state;
    plan_fail(&rule, &traffic, 0.1, 10, &answer);
    assert_true(isinf(answer.seconds));
    assert_true(isinf(plan_ratio_noticed(&rule, &traffic, 0.1, 3600)));
}

/* What is noticed within a time takes that time. */
static void the_ratio_noticed_is_the_inverse(void **state)
{
    const struct plan_traffic traffic = {.requests_a_second = 2, .event_rate = 0.005};
    struct plan_answer answer;
    (void)state;
    double ratio = plan_ratio_noticed(&rule, &traffic, 0.1, 3600);
    assert_true(ratio > 1 && ratio < 10);
    plan_fail(&rule, &traffic, 0.1, ratio, &answer);
    assert_true(answer.seconds <= 3600 && answer.seconds > 3500);
    assert_true(plan_ratio_noticed(&rule, &traffic, 0.1, 36000) < ratio);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_times_worse_is_noticed_after_six_canary_errors),
        cmocka_unit_test(equal_versions_are_shown_equal),
        cmocka_unit_test(without_events_the_rate_decides),
        cmocka_unit_test(no_traffic_notices_nothing),
        cmocka_unit_test(the_ratio_noticed_is_the_inverse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
