/* test_impact.c - before and after a release: latency, failures, quality, values, and their
 * maturity.
 */
#include "monitor/impact.h"

#include <math.h>

#include "base/clock.h"
#include "registry/registry.h"
#include "store_fixture.h"

#define DAY_US (INT64_C(24) * 3600 * CLOCK_SECOND_US)
#define NOW_US (INT64_C(20000) * DAY_US)
#define CHANGE_US (NOW_US - DAY_US)

static const struct str classes[] = {STR_LIT("no"), STR_LIT("yes")};
static const struct record_output outputs[] = {{"probability", DTYPE_F32, 1}};

static struct record_schema schema_of(int64_t version)
{
    return (struct record_schema){.model = "churn",
                                  .version = version,
                                  .output_count = 1,
                                  .outputs = outputs,
                                  .class_count = 2,
                                  .is_probability = true,
                                  .class_names = classes,
                                  .decision_threshold = 0.5};
}

static void answer(struct tallies *t, const struct record_schema *schema, int64_t at_us,
                   int64_t latency_us, int status)
{
    float p = 0.75f;
    struct tensor out = {.dtype = DTYPE_F32, .rank = 1, .shape = {1}, .data = &p};
    const struct record record = {.schema = schema,
                                  .request_id = STR_LIT("r"),
                                  .at_us = at_us,
                                  .latency_us = latency_us,
                                  .status = status,
                                  .row_count = 1,
                                  .output_count = 1,
                                  .outputs = &out};
    tallies_take(t, &record);
}

/* Received `delay_us` after the answer: one label, and a refund of `refund` EUR when it is not 0.
 */
static void report(struct fixture *f, const char *id, int64_t version, int64_t at_us,
                   int64_t delay_us, const char *truth, double refund)
{
    static const float probabilities[] = {0.25f, 0.75f};
    const struct predicted predicted = {.id = str_of(id),
                                        .model = "churn",
                                        .version = version,
                                        .at_us = at_us,
                                        .answer = STR_LIT("yes"),
                                        .is_class = true,
                                        .class_index = 1,
                                        .class_count = 2,
                                        .classes = classes,
                                        .probabilities = probabilities};
    struct outcome o[] = {
        {.predicted = &predicted,
         .model = "churn",
         .name = STR_LIT("label"),
         .label = str_of(truth),
         .received_us = at_us + delay_us},
        {.predicted = &predicted,
         .model = "churn",
         .kind = OUTCOME_VALUE,
         .name = STR_LIT("refunds"),
         .value = refund,
         .unit = STR_LIT("EUR"),
         .direction = OUTCOME_DOWN,
         .received_us = at_us + delay_us},
    };
    assert_ok(f, outcome_submit(f->store, o, refund != 0 ? 2 : 1, &tester, f->arena, &f->err));
}

static int setup(void **state)
{
    struct fixture *f = fixture_new();
    *state = f;
    open_store(f);
    clock_set_for_test(-1, NOW_US);
    assert_ok(f, store_begin(f->store, &f->err));
    assert_ok(f, model_ensure(f->store, "churn", "me@example.org", NULL, &tester, &f->err));
    assert_ok(f, store_commit(f->store, &f->err));
    return 0;
}

static int close_all(void **state)
{
    clock_set_for_test(-1, -1);
    return teardown(state);
}

/* Version 1: 1000 answers of 12 ms, two days before the change, all labelled within two days, 300
 * of them wrong, 100 refunds of 10 EUR after 30 hours. Version 2: 1000 answers of 7 ms a day ago,
 * 100 of them wrong, 20 refunds. Nothing of refunds can be in after 24 hours, when they take 30. */
static void fill(struct fixture *f)
{
    struct record_schema one = schema_of(1), two = schema_of(2);
    struct tallies *t = tallies_new();
    assert_ok(f, store_begin(f->store, &f->err));
    for (int i = 0; i < 1000; i++) {
        char id[24];
        answer(t, &one, CHANGE_US - 2 * DAY_US, 12000, i < 20 ? 500 : 200);
        answer(t, &two, CHANGE_US, 7000, 200);
        snprintf(id, sizeof(id), "a%d-0", i);
        report(f, id, 1, CHANGE_US - 2 * DAY_US, 30 * 3600 * CLOCK_SECOND_US,
               i < 300 ? "no" : "yes", i < 100 ? 10 : 0);
        snprintf(id, sizeof(id), "b%d-0", i);
        report(f, id, 2, CHANGE_US, 3600 * CLOCK_SECOND_US, i < 100 ? "no" : "yes",
               i < 20 ? 10 : 0);
    }
    assert_ok(f, tallies_save(t, f->store, &f->err));
    assert_ok(f, store_commit(f->store, &f->err));
    tallies_free(t);
}

static struct impact *measure(struct fixture *f)
{
    struct impact *impact = arena_calloc(f->arena, 1, sizeof(*impact));
    const struct impact_query query = {
        .model = "churn",
        .before = {.version = 1, .arm = "", .from_us = CHANGE_US - 7 * DAY_US, .to_us = CHANGE_US},
        .after = {.version = 2, .arm = "", .from_us = CHANGE_US, .to_us = NOW_US},
    };
    assert_ok(f, impact_measure(f->store, &query, f->arena, impact, &f->err));
    return impact;
}

static const struct impact_line *line_of(const struct impact *impact, const char *name)
{
    for (int i = 0; i < impact->line_count; i++)
        if (strcmp(impact->lines[i].name, name) == 0)
            return &impact->lines[i];
    fail_msg("no line '%s'", name);
    return NULL;
}

/* A latency is known to 1/32 of itself (histogram.h). */
static void faster_is_better(void **state)
{
    struct fixture *f = *state;
    fill(f);
    const struct impact *impact = measure(f);
    const struct impact_line *p95 = line_of(impact, "latency_p95");
    assert_float_equal(p95->before.value, 12, 12.0 / 32);
    assert_float_equal(p95->after.value, 7, 7.0 / 32);
    assert_float_equal(p95->relative, -5.0 / 12, 0.04);
    assert_int_equal(p95->verdict, IMPACT_BETTER);
    assert_int_equal(p95->before_count, 980);
}

/* 20 of 1000 failed before, none after. */
static void fewer_failures_are_better(void **state)
{
    struct fixture *f = *state;
    fill(f);
    const struct impact_line *failed = line_of(measure(f), "failed_requests");
    assert_float_equal(failed->before.value, 0.02, 1e-12);
    assert_float_equal(failed->after.value, 0, 0);
    assert_int_equal(failed->verdict, IMPACT_BETTER);
}

/* Accuracy 0.7 -> 0.9. MOVER from Wilson's intervals of 700 and 900 of 1000, z = 1.959964:
 *     (0.670876, 0.727593) and (0.879848, 0.917091)
 *     low = 0.2 - hypot(0.9 - 0.879848, 0.727593 - 0.7) = 0.165832 */
static void quality_is_compared_with_its_interval(void **state)
{
    struct fixture *f = *state;
    fill(f);
    const struct impact_line *accuracy = line_of(measure(f), "accuracy");
    assert_float_equal(accuracy->difference.value, 0.2, 1e-12);
    assert_float_equal(accuracy->difference.low, 0.165832, 1e-5);
    assert_int_equal(accuracy->verdict, IMPACT_BETTER);
    assert_int_equal(accuracy->after_count, 1000);
}

/* 1000 EUR over 1000 answers before (980 were answered), 200 EUR after; refunds took 30 hours
 * before, and the answers after are 24 hours old: none of them is mature. */
static void values_say_how_mature_they_are(void **state)
{
    struct fixture *f = *state;
    fill(f);
    const struct impact *impact = measure(f);
    const struct impact_line *refunds = line_of(impact, "refunds");
    assert_string_equal(refunds->unit, "EUR per answer");
    assert_float_equal(refunds->after.value, 0.2, 1e-12);
    assert_int_equal(refunds->before_count, 100);
    assert_int_equal(refunds->verdict, IMPACT_BETTER);
    assert_float_equal(refunds->matured, 0, 0);
    clock_set_for_test(-1, NOW_US + DAY_US);
    assert_float_equal(line_of(measure(f), "refunds")->matured, 1, 0);
}

static void the_page_says_what_it_cannot_know(void **state)
{
    struct fixture *f = *state;
    struct buf page;
    fill(f);
    buf_init(&page, 1 << 20);
    impact_write_markdown(measure(f), &page);
    const char *text = buf_c(&page);
    assert_non_null(strstr(text, "not random halves of the same traffic"));
    assert_non_null(strstr(text, "'refunds' is 0 % matured"));
    assert_non_null(strstr(text, "refunds 1.02 -> 0.2 EUR per answer (-80 %), 0 % matured"));
    assert_non_null(strstr(text, "latency_p95"));
    assert_non_null(strstr(text, "**better**"));
    buf_done(&page);
}

/* 10 EUR for 600 of 1000 answers before, 10 EUR for all of 1000 after: the same, not 67 % more. */
static void a_value_that_most_answers_have_is_missing_where_it_is_not_known(void **state)
{
    struct fixture *f = *state;
    struct record_schema one = schema_of(1), two = schema_of(2);
    struct tallies *t = tallies_new();
    assert_ok(f, store_begin(f->store, &f->err));
    for (int i = 0; i < 1000; i++) {
        char id[24];
        answer(t, &one, CHANGE_US - DAY_US, 5000, 200);
        answer(t, &two, CHANGE_US, 5000, 200);
        snprintf(id, sizeof(id), "a%d-0", i);
        if (i < 600)
            report(f, id, 1, CHANGE_US - DAY_US, 0, "yes", i % 2 ? 9 : 11);
        snprintf(id, sizeof(id), "b%d-0", i);
        report(f, id, 2, CHANGE_US, 0, "yes", i % 2 ? 9 : 11);
    }
    assert_ok(f, tallies_save(t, f->store, &f->err));
    assert_ok(f, store_commit(f->store, &f->err));
    tallies_free(t);
    const struct impact *impact = measure(f);
    const struct impact_line *refunds = line_of(impact, "refunds");
    assert_string_equal(refunds->unit, "EUR per known answer");
    assert_float_equal(refunds->difference.value, 0, 1e-12);
    assert_int_equal(refunds->verdict, IMPACT_SAME);
    struct buf page;
    buf_init(&page, 1 << 20);
    impact_write_markdown(impact, &page);
    assert_non_null(strstr(buf_c(&page), "'refunds' is known of 60 % of the answers before and of "
                                         "100 % after"));
    buf_done(&page);
}

static void answer_in_arm(struct tallies *t, const struct record_schema *schema, enum arm arm,
                          int64_t latency_us)
{
    float p = 0.75f;
    struct tensor out = {.dtype = DTYPE_F32, .rank = 1, .shape = {1}, .data = &p};
    const struct record record = {.schema = schema,
                                  .request_id = STR_LIT("r"),
                                  .at_us = CHANGE_US,
                                  .latency_us = latency_us,
                                  .status = 200,
                                  .arm = arm,
                                  .rollout = 5,
                                  .row_count = 1,
                                  .output_count = 1,
                                  .outputs = &out};
    tallies_take(t, &record);
}

/* Version 1 answered 1000 requests outside the rollout too: they are no part of the stable arm. */
static void arms_of_a_rollout_are_compared_alone(void **state)
{
    struct fixture *f = *state;
    struct record_schema one = schema_of(1), two = schema_of(2);
    struct tallies *t = tallies_new();
    struct impact *impact = arena_calloc(f->arena, 1, sizeof(*impact));
    for (int i = 0; i < 1000; i++)
        answer(t, &one, CHANGE_US, 50000, 200);
    for (int i = 0; i < 300; i++)
        answer_in_arm(t, &one, ARM_STABLE, 5000);
    for (int i = 0; i < 100; i++)
        answer_in_arm(t, &two, ARM_CANARY, 9000);
    assert_ok(f, store_begin(f->store, &f->err));
    assert_ok(f, tallies_save(t, f->store, &f->err));
    assert_ok(f, store_commit(f->store, &f->err));
    tallies_free(t);
    const struct impact_query query = {
        .model = "churn",
        .rollout = 5,
        .is_randomised = true,
        .before = {1, "stable", CHANGE_US, NOW_US},
        .after = {2, "canary", CHANGE_US, NOW_US},
    };
    assert_ok(f, impact_measure(f->store, &query, f->arena, impact, &f->err));
    assert_int_equal(impact->before.requests, 300);
    assert_int_equal(impact->after.requests, 100);
    const struct impact_line *p50 = line_of(impact, "latency_p50");
    assert_float_equal(p50->before.value, 5, 5.0 / 32);
    assert_int_equal(p50->verdict, IMPACT_WORSE);
    assert_non_null(strstr(impact->notes[0], "arms were drawn at random"));
}

static void no_verdict_comes_from_no_data(void **state)
{
    struct fixture *f = *state;
    const struct impact *impact = measure(f);
    for (int i = 0; i < impact->line_count; i++)
        assert_int_equal(impact->lines[i].verdict, IMPACT_UNKNOWN);
    assert_string_equal(impact->headline, "too little was answered on one side to compare them");
    assert_non_null(strstr(impact->notes[1], "only 0 requests were counted before"));
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(faster_is_better),
        test(fewer_failures_are_better),
        test(quality_is_compared_with_its_interval),
        test(values_say_how_mature_they_are),
        test(the_page_says_what_it_cannot_know),
        test(a_value_that_most_answers_have_is_missing_where_it_is_not_known),
        test(arms_of_a_rollout_are_compared_alone),
        test(no_verdict_comes_from_no_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
