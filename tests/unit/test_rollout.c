/* test_rollout.c - what is decided, in which order, and which transitions a state allows. */
#include "rollout/rollout.h"

#include "base/check.h"
#include "base/clock.h"
#include "test.h"

#define MINUTE (60 * CLOCK_SECOND_US)
#define HOUR (60 * MINUTE)

#define FILE_TEXT                                                                                  \
    "model: churn\nto: 2\ndeadline: 3d\n"                                                          \
    "steps:\n"                                                                                     \
    "  - {do: canary, weight: 1%, min: 15m, max: 6h}\n"                                            \
    "  - {do: approve, by: [\"key:ana\", \"uid:*\"]}\n"                                            \
    "  - {do: canary, weight: 10%, min: 1h, max: 24h}\n"                                           \
    "  - {do: promote, keep_warm: 1h}\n"

struct bed {
    struct arena *arena;
    struct rollout_spec *spec;
    struct rollout_view view;
    struct rollout rollout;
    struct rollout_decision decision;
    struct err err;
};

static int setup_text(void **state, const char *text)
{
    struct bed *bed = calloc(1, sizeof(*bed));
    assert_non_null(bed);
    bed->arena = arena_new(ROLLOUT_MEMORY_BYTES_MAX);
    if (rollout_file_parse(str_of(text), bed->arena, &bed->spec, &bed->err))
        fail_msg("%s", bed->err.msg);
    bed->view = (struct rollout_view){.spec = bed->spec, .step_keys = 1000};
    bed->rollout = (struct rollout){.id = 1, .model = "churn", .author = "key:ben"};
    *state = bed;
    return 0;
}

static int setup(void **state)
{
    return setup_text(state, FILE_TEXT);
}

static int teardown(void **state)
{
    struct bed *bed = *state;
    arena_free(bed->arena);
    free(bed);
    return 0;
}

static void decide(struct bed *bed, enum rollout_action action, const char *cause)
{
    rollout_decide(&bed->view, &bed->decision);
    if (bed->decision.action != action || strcmp(bed->decision.cause, cause) != 0)
        fail_msg("%s by %s: %s", rollout_action_name(bed->decision.action), bed->decision.cause,
                 bed->decision.reason);
}

static void a_canary_advances_after_its_time_with_enough_keys(void **state)
{
    struct bed *bed = *state;
    bed->view.step_us = 15 * MINUTE - 1;
    decide(bed, ACT_NOTHING, "");
    bed->view.step_us = 15 * MINUTE;
    bed->view.step_keys = 49;
    decide(bed, ACT_NOTHING, "");
    bed->view.step_keys = 50;
    decide(bed, ACT_ADVANCE, "step");
}

static void without_enough_data_it_holds_and_never_promotes(void **state)
{
    struct bed *bed = *state;
    bed->view.step_keys = 0;
    bed->view.step_us = 6 * HOUR - 1;
    decide(bed, ACT_NOTHING, "");
    bed->view.step_us = 6 * HOUR;
    decide(bed, ACT_HOLD, "max");
    assert_non_null(strstr(bed->decision.reason, "0 of at least 50 keys"));
    bed->view.state = ROLLOUT_HELD;
    decide(bed, ACT_NOTHING, "");
}

/* The second canary is the one before the promotion: its proof must be SAFE. */
static void the_last_canary_must_have_proven(void **state)
{
    struct bed *bed = *state;
    bed->view.step = 2;
    bed->view.step_us = 2 * HOUR;
    decide(bed, ACT_NOTHING, "");
    bed->view.readings[2].verdict = VERDICT_SAFE; /* behind the two guards */
    decide(bed, ACT_ADVANCE, "step");
    bed->view.readings[2].verdict = VERDICT_WAIT;
    bed->spec->on_wait = REACT_ADVANCE;
    decide(bed, ACT_ADVANCE, "step");
}

static void a_failing_guard_rolls_back_in_every_state(void **state)
{
    struct bed *bed = *state;
    static const enum rollout_state states[] = {ROLLOUT_RUNNING, ROLLOUT_HELD, ROLLOUT_PAUSED,
                                                ROLLOUT_AWAITING};
    bed->view.readings[0] = (struct guard_reading){
        .verdict = VERDICT_FAIL, .is_by_key = true, .e_fail = 200, .fail_at = 100};
    for (size_t i = 0; i < ARRAY_LEN(states); i++) {
        bed->view.state = states[i];
        bed->view.step = states[i] == ROLLOUT_AWAITING ? 1 : 0;
        decide(bed, ACT_ROLLBACK, "guard");
    }
    bed->view.state = ROLLOUT_PROMOTED;
    decide(bed, ACT_NOTHING, "");
}

static void a_dry_run_guard_decides_nothing(void **state)
{
    struct bed *bed = *state;
    bed->spec->checks[0].is_dry_run = true;
    bed->view.readings[0] = (struct guard_reading){.verdict = VERDICT_FAIL, .is_by_key = true};
    decide(bed, ACT_NOTHING, "");
}

static void few_keys_hold_unless_the_file_says_otherwise(void **state)
{
    struct bed *bed = *state;
    bed->view.readings[0] = (struct guard_reading){.verdict = VERDICT_FAIL};
    decide(bed, ACT_HOLD, "few_keys");
    bed->spec->on_few_keys = REACT_ROLLBACK;
    decide(bed, ACT_ROLLBACK, "few_keys");
}

/* Everything at once: harm first, then the guard, then what holds. */
static void the_order_is_harm_fail_hold_advance(void **state)
{
    struct bed *bed = *state;
    bed->view.canary_requests = 20;
    bed->view.canary_harm = 10;
    bed->view.readings[0] = (struct guard_reading){.verdict = VERDICT_FAIL, .is_by_key = true};
    bed->view.age_us = 72 * HOUR;
    bed->view.step_us = 15 * MINUTE;
    decide(bed, ACT_ROLLBACK, "harm");
    bed->view.canary_harm = 0;
    decide(bed, ACT_ROLLBACK, "guard");
    bed->view.readings[0].verdict = VERDICT_WAIT;
    decide(bed, ACT_HOLD, "deadline");
    bed->view.age_us = 0;
    bed->view.error_us = ROLLOUT_ERROR_US_MAX;
    decide(bed, ACT_HOLD, "error");
    bed->view.error_us = 0;
    decide(bed, ACT_ADVANCE, "step");
}

static void a_bad_shadow_ends_the_rollout(void **state)
{
    struct bed *bed = *state;
    bed->spec->steps[0].kind = STEP_SHADOW;
    bed->view.finding = FINDING_PENDING;
    decide(bed, ACT_NOTHING, "");
    bed->view.finding = FINDING_BAD;
    decide(bed, ACT_ROLLBACK, "shadow");
    bed->view.finding = FINDING_GOOD;
    bed->view.step_us = HOUR;
    decide(bed, ACT_ADVANCE, "step");
}

static void fixed_shares_stay(void **state)
{
    struct bed *bed = *state;
    bed->view.step_us = 100 * HOUR;
    decide(bed, ACT_NOTHING, "");
}

static int setup_ab(void **state)
{
    return setup_text(state, "model: churn\nto: 2\nmode: ab\ndeadline: 30d\n");
}

/* ---- transitions ---- */

static void next(struct bed *bed, enum rollout_action action, enum rollout_state expected, int step,
                 int64_t weight_ppm)
{
    struct rollout_change change = {0};
    if (rollout_next(&bed->rollout, bed->spec, action, &change, &bed->err))
        fail_msg("%s", bed->err.msg);
    assert_int_equal(change.state, expected);
    assert_int_equal(change.step, step);
    assert_int_equal(change.weight_ppm, weight_ppm);
    bed->rollout.state = change.state;
    bed->rollout.step = change.step;
    bed->rollout.weight_ppm = change.weight_ppm;
}

static void steps_follow_one_another_to_the_promotion(void **state)
{
    struct bed *bed = *state;
    struct rollout_change change = {0};
    next(bed, ACT_START, ROLLOUT_RUNNING, 0, 10000);
    next(bed, ACT_HOLD, ROLLOUT_HELD, 0, 10000);
    next(bed, ACT_RESUME, ROLLOUT_RUNNING, 0, 10000);
    next(bed, ACT_ADVANCE, ROLLOUT_AWAITING, 1, 10000);
    next(bed, ACT_PAUSE, ROLLOUT_PAUSED, 1, 10000);
    next(bed, ACT_RESUME, ROLLOUT_AWAITING, 1, 10000);
    next(bed, ACT_APPROVE, ROLLOUT_RUNNING, 2, 100000);
    assert_int_equal(rollout_next(&bed->rollout, bed->spec, ACT_ADVANCE, &change, &bed->err), 0);
    assert_int_equal(change.state, ROLLOUT_PROMOTED);
    assert_string_equal(change.alias, "champion");
    assert_int_equal(change.warm_us, HOUR);
    next(bed, ACT_ROLLBACK, ROLLOUT_ROLLED_BACK, 2, 0);
}

static void refuse(struct bed *bed, enum rollout_action action, const char *message)
{
    struct rollout_change change = {0};
    assert_int_equal(rollout_next(&bed->rollout, bed->spec, action, &change, &bed->err),
                     ERR_CONFLICT);
    if (!strstr(bed->err.msg, message))
        fail_msg("'%s' does not say '%s'", bed->err.msg, message);
}

static void a_state_refuses_what_it_does_not_allow(void **state)
{
    struct bed *bed = *state;
    refuse(bed, ACT_RESUME, "is running: it cannot resume");
    refuse(bed, ACT_APPROVE, "is running: it cannot approve");
    refuse(bed, ACT_PROMOTE, "needs an approval first, in step 2");
    bed->rollout.state = ROLLOUT_ABORTED;
    refuse(bed, ACT_ABORT, "is aborted: it cannot abort");
    bed->rollout.state = ROLLOUT_RUNNING;
    bed->rollout.step = 2;
    next(bed, ACT_PROMOTE, ROLLOUT_PROMOTED, 3, 0);
}

static void four_eyes_see_more(void **state)
{
    struct bed *bed = *state;
    const char *author = "key:carl";
    struct rollout *r = &bed->rollout;
    r->step = 1;
    assert_int_equal(rollout_check_approver(r, bed->spec, "key:ana", author, &bed->err), ERR_OK);
    assert_int_equal(rollout_check_approver(r, bed->spec, "uid:0(root)", author, &bed->err),
                     ERR_OK);
    assert_int_equal(rollout_check_approver(r, bed->spec, "key:eva", author, &bed->err),
                     ERR_DENIED);
    r->author = "key:ana";
    assert_int_equal(rollout_check_approver(r, bed->spec, "key:ana", author, &bed->err),
                     ERR_DENIED);
    r->author = "key:ben";
    assert_int_equal(rollout_check_approver(r, bed->spec, "key:ana", "key:ana", &bed->err),
                     ERR_DENIED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_canary_advances_after_its_time_with_enough_keys, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(without_enough_data_it_holds_and_never_promotes, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_last_canary_must_have_proven, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failing_guard_rolls_back_in_every_state, setup, teardown),
        cmocka_unit_test_setup_teardown(a_dry_run_guard_decides_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(few_keys_hold_unless_the_file_says_otherwise, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_order_is_harm_fail_hold_advance, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bad_shadow_ends_the_rollout, setup, teardown),
        cmocka_unit_test_setup_teardown(fixed_shares_stay, setup_ab, teardown),
        cmocka_unit_test_setup_teardown(steps_follow_one_another_to_the_promotion, setup, teardown),
        cmocka_unit_test_setup_teardown(a_state_refuses_what_it_does_not_allow, setup, teardown),
        cmocka_unit_test_setup_teardown(four_eyes_see_more, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
