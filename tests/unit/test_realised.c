/* test_realised.c - tallies of answers, and quality from labels: by version, day, slice, value. */
#include "monitor/realised.h"

#include <math.h>

#include "base/clock.h"
#include "monitor/tally_store.h"
#include "registry/registry.h"
#include "registry/registry_check.h"
#include "serve/quality_watch.h"
#include "store_fixture.h"

#define DAY_US (INT64_C(24) * 3600 * CLOCK_SECOND_US)
#define NOW_US (INT64_C(20000) * DAY_US)

static const struct str classes[] = {STR_LIT("no"), STR_LIT("yes")};
static const struct record_output outputs[] = {{"probability", DTYPE_F32, 1}};

static struct record_schema schema_of(int64_t version)
{
    return (struct record_schema){
        .model = "churn",
        .version = version,
        .output_count = 1,
        .outputs = outputs,
        .class_count = 2,
        .is_probability = true,
        .class_names = classes,
        .decision_threshold = 0.5,
    };
}

static void answer(struct tallies *t, const struct record_schema *schema, int64_t at_us, float p,
                   enum arm arm)
{
    struct tensor out = {.dtype = DTYPE_F32, .rank = 1, .shape = {1}, .data = &p};
    const struct record record = {
        .schema = schema,
        .request_id = STR_LIT("r"),
        .at_us = at_us,
        .latency_us = 1000,
        .status = 200,
        .arm = arm,
        .row_count = 1,
        .output_count = 1,
        .outputs = &out,
    };
    tallies_take(t, &record);
}

static void save(struct fixture *f, struct tallies *t)
{
    assert_ok(f, store_begin(f->store, &f->err));
    assert_ok(f, tallies_save(t, f->store, &f->err));
    assert_ok(f, store_commit(f->store, &f->err));
    tallies_saved(t, NOW_US);
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

/* ---- tallies ---- */

static enum err_code add_up(void *arg, const struct tally *tally, struct err *err)
{
    struct tally *sum = arg;
    (void)err;
    sum->version = tally->version;
    tally_add(sum, tally);
    return ERR_OK;
}

static struct tally sum_of(struct fixture *f, int64_t *scores)
{
    struct tally sum = {.class_count = 2, .scores = scores};
    const struct tally_query query = {.model = "churn", .to_us = INT64_MAX};
    assert_ok(f, tally_each(f->store, &query, add_up, &sum, &f->err));
    return sum;
}

static void answers_are_counted_once_whatever_is_saved_when(void **state)
{
    struct fixture *f = *state;
    struct record_schema schema = schema_of(2);
    struct tallies *t = tallies_new();
    int64_t scores[2 * ESTIMATE_BINS] = {0};
    answer(t, &schema, NOW_US, 0.75f, ARM_NONE);
    assert_int_equal(tallies_changed(t), 1);
    save(f, t);
    assert_int_equal(tallies_changed(t), 0);
    answer(t, &schema, NOW_US, 0.25f, ARM_NONE);
    answer(t, &schema, NOW_US + TALLY_SPAN_US, 0.25f, ARM_CANARY);
    save(f, t);
    save(f, t);
    struct tally sum = sum_of(f, scores);
    assert_int_equal(sum.requests, 3);
    assert_int_equal(sum.rows, 3);
    assert_int_equal(sum.version, 2);
    assert_int_equal(scores[estimate_cell(1, 0.75)], 1);
    assert_int_equal(scores[estimate_cell(0, 0.25)], 2);
    assert_int_equal(sum.latency.count, 3);
    tallies_free(t);
}

static void two_runs_of_one_hour_add_up(void **state)
{
    struct fixture *f = *state;
    struct record_schema schema = schema_of(2);
    int64_t scores[2 * ESTIMATE_BINS] = {0};
    for (int run = 0; run < 2; run++) {
        clock_set_for_test(-1, NOW_US + run);
        struct tallies *t = tallies_new();
        answer(t, &schema, NOW_US, 0.75f, ARM_NONE);
        save(f, t);
        tallies_free(t);
    }
    assert_int_equal(sum_of(f, scores).rows, 2);
}

/* Saved, forgotten when its span has passed, and there it is again. */
static void a_clock_that_comes_back_adds_up(void **state)
{
    struct fixture *f = *state;
    struct record_schema schema = schema_of(2);
    int64_t scores[2 * ESTIMATE_BINS] = {0};
    struct tallies *t = tallies_new();
    answer(t, &schema, NOW_US, 0.75f, ARM_NONE);
    save(f, t);
    clock_set_for_test(-1, NOW_US + 3 * TALLY_SPAN_US);
    answer(t, &schema, NOW_US + 3 * TALLY_SPAN_US, 0.75f, ARM_NONE);
    save(f, t);
    clock_set_for_test(-1, NOW_US);
    answer(t, &schema, NOW_US, 0.25f, ARM_NONE);
    save(f, t);
    assert_int_equal(sum_of(f, scores).rows, 3);
    tallies_free(t);
}

static int64_t tally_count(struct fixture *f, const char *model)
{
    int64_t count = -1;
    const struct store_value params[] = {STORE_CSTR(model)};
    assert_ok(f, registry_read_number(f->store, "SELECT COUNT(*) FROM tallies WHERE model = ?1",
                                      params, 1, 0, &count, &f->err));
    return count;
}

static void put_days(struct fixture *f, const char *model, int64_t first_day, int count)
{
    const struct store_value params[] = {STORE_CSTR(model), STORE_INT(first_day), STORE_INT(count)};
    assert_ok(f, store_exec(f->store,
                            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE "
                            "i + 1 < 2 * ?3) INSERT INTO tallies SELECT ?1, 1, '', 0, (?2 + i / 2) "
                            "* 86400000000 + i % 2 * 600000000, 0, 1, 0, 0, 1, 0, '', 0, 1, '', 0, "
                            "0 FROM n",
                            params, 3, NULL, &f->err));
}

/* Two spans a day. "churn" answered on 399 days and, by a wrong clock, on two in 2080. */
static void the_newest_days_of_a_model_are_kept(void **state)
{
    struct fixture *f = *state;
    assert_ok(f, store_begin(f->store, &f->err));
    assert_ok(f, model_ensure(f->store, "fraud", "me@example.org", NULL, &tester, &f->err));
    assert_ok(f, store_commit(f->store, &f->err));
    put_days(f, "churn", 20000, TALLY_DAYS_KEPT - 1);
    put_days(f, "churn", 40177, 2);
    put_days(f, "fraud", 100, 3);
    assert_ok(f, tally_prune(f->store, f->arena, &f->err));
    assert_int_equal(tally_count(f, "churn"), 2 * TALLY_DAYS_KEPT);
    assert_int_equal(tally_count(f, "fraud"), 6);
    const struct tally_query query = {.model = "churn", .to_us = INT64_C(20001) * 86400000000};
    struct tally sum = {0};
    assert_ok(f, tally_each(f->store, &query, add_up, &sum, &f->err));
    assert_int_equal(sum.rows, 0); /* the oldest day went */
}

static void a_failed_commit_is_saved_again(void **state)
{
    struct fixture *f = *state;
    struct record_schema schema = schema_of(2);
    int64_t scores[2 * ESTIMATE_BINS] = {0};
    struct tallies *t = tallies_new();
    answer(t, &schema, NOW_US, 0.75f, ARM_NONE);
    assert_ok(f, store_begin(f->store, &f->err));
    assert_ok(f, tallies_save(t, f->store, &f->err));
    store_rollback(f->store);
    assert_int_equal(tallies_changed(t), 1);
    save(f, t);
    assert_int_equal(sum_of(f, scores).rows, 1);
    tallies_free(t);
}

static void cells_are_read_as_they_were_written(void **state)
{
    int64_t cells[4] = {0, 5, 0, 9}, back[4];
    struct buf out;
    (void)state;
    buf_init(&out, 100);
    tally_cells_write(&out, cells, 4);
    assert_string_equal(buf_c(&out), "1:5,3:9");
    assert_true(tally_cells_read(buf_view(&out), back, 4));
    assert_memory_equal(cells, back, sizeof(cells));
    assert_false(tally_cells_read(STR_LIT("4:1"), back, 4));
    assert_false(tally_cells_read(STR_LIT("1:-1"), back, 4));
    assert_false(tally_cells_read(STR_LIT("1"), back, 4));
    buf_done(&out);
}

/* ---- quality ---- */

static void label(struct fixture *f, const char *id, int64_t version, int64_t at_us, float p,
                  const char *truth, const char *country)
{
    float probabilities[] = {1 - p, p};
    const struct predicted_segment segment = {STR_LIT("country"), str_of(country)};
    const struct predicted predicted = {
        .id = str_of(id),
        .model = "churn",
        .version = version,
        .at_us = at_us,
        .answer = p >= 0.5f ? STR_LIT("yes") : STR_LIT("no"),
        .is_class = true,
        .class_index = p >= 0.5f,
        .class_count = 2,
        .classes = classes,
        .probabilities = probabilities,
        .segment_count = 1,
        .segments = &segment,
    };
    struct outcome o[] = {
        {.predicted = &predicted,
         .model = "churn",
         .name = STR_LIT("label"),
         .label = str_of(truth)},
        {.predicted = &predicted,
         .model = "churn",
         .kind = OUTCOME_VALUE,
         .name = STR_LIT("revenue"),
         .value = 4,
         .unit = STR_LIT("EUR"),
         .direction = OUTCOME_UP},
    };
    assert_ok(f, outcome_submit(f->store, o, 2, &tester, f->arena, &f->err));
    assert_int_equal(o[0].result, OUTCOME_ACCEPTED);
    assert_int_equal(o[1].result, OUTCOME_ACCEPTED);
}

/* 800 answers of version 2 on one day, 600 of them labelled: 300 in PT of which 90 are wrong, 300
 * in DE of which 30 are. Version 3 answered 10 on the next day, none labelled. */
static void fill(struct fixture *f)
{
    struct record_schema two = schema_of(2), three = schema_of(3);
    struct tallies *t = tallies_new();
    int64_t day_us = NOW_US - 3 * DAY_US;
    for (int i = 0; i < 800; i++)
        answer(t, &two, day_us, i % 2 ? 0.8f : 0.2f, ARM_NONE);
    for (int i = 0; i < 10; i++)
        answer(t, &three, day_us + DAY_US, 0.2f, ARM_NONE);
    save(f, t);
    tallies_free(t);
    assert_ok(f, store_begin(f->store, &f->err));
    for (int i = 0; i < 600; i++) {
        char id[16];
        bool is_pt = i < 300, is_yes = i % 2, is_wrong = i % 300 < (is_pt ? 90 : 30);
        snprintf(id, sizeof(id), "r%d-0", i);
        label(f, id, 2, day_us, is_yes ? 0.8f : 0.2f, is_yes != is_wrong ? "yes" : "no",
              is_pt ? "PT" : "DE");
    }
    assert_ok(f, store_commit(f->store, &f->err));
}

static struct realised measure(struct fixture *f)
{
    struct realised realised;
    const struct realised_query query = {
        .model = "churn", .arm = "", .from_us = NOW_US - 30 * DAY_US, .to_us = NOW_US};
    assert_ok(f, realised_measure(f->store, &query, f->arena, &realised, &f->err));
    return realised;
}

/* Accuracy 480 / 600 = 0.8; Wilson with z = 1.959964, z z = 3.841459:
 *     (480 + 1.920729 -+ z sqrt(480 * 120 / 600 + 0.960365)) / 603.841459 = 0.766130, 0.830053 */
static void quality_comes_with_its_coverage(void **state)
{
    struct fixture *f = *state;
    fill(f);
    struct realised realised = measure(f);
    assert_int_equal(realised.section_count, 2);
    const struct realised_section *s = &realised.sections[1];
    assert_int_equal(s->version, 2);
    assert_true(s->is_class);
    assert_int_equal(s->coverage.answered, 800);
    assert_int_equal(s->coverage.labelled, 600);
    assert_float_equal(s->coverage.ratio, 0.75, 1e-12);
    /* all labels came after three days: no answer of the window may still be waiting for one */
    assert_int_equal(s->delay_us_p99, 3 * DAY_US);
    assert_int_equal(s->coverage.state, REALISED_PROVISIONAL);
    const struct quality *accuracy = &s->metrics[QUALITY_ACCURACY];
    assert_float_equal(accuracy->value, 0.8, 1e-12);
    assert_float_equal(accuracy->low, 0.766130, 1e-5);
    assert_float_equal(accuracy->high, 0.830053, 1e-5);
    assert_int_equal(s->day_count, 1);
    assert_float_equal(s->days[0].quality.value, 0.8, 1e-12);
    assert_int_equal(s->days[0].coverage.labelled, 600);
    const struct realised_section *fresh = &realised.sections[0];
    assert_int_equal(fresh->version, 3);
    assert_int_equal(fresh->coverage.state, REALISED_UNLABELLED);
    assert_false(fresh->estimate.is_known);
    assert_non_null(strstr(fresh->estimate.missing, "needs 500 labelled rows"));
}

/* 300 rows of each score; hits at 0.8: 240 of 300, at 0.2: 60 of 300. All 800 answers: accuracy
 * 0.8. */
static void unlabelled_answers_are_estimated(void **state)
{
    struct fixture *f = *state;
    fill(f);
    struct realised realised = measure(f);
    const struct realised_section *s = &realised.sections[1];
    assert_true(s->estimate.is_known);
    assert_int_equal(s->estimate.estimate.row_count, 800);
    assert_int_equal(s->estimate.label_count, 600);
    assert_float_equal(s->estimate.estimate.accuracy.value, 0.8, 1e-9);
}

/* Wrong in PT 0.3, elsewhere 0.1. */
static void the_worst_slice_leads(void **state)
{
    struct fixture *f = *state;
    fill(f);
    struct realised realised = measure(f);
    const struct realised_section *s = &realised.sections[1];
    assert_int_equal(s->slice_count, 2);
    assert_true(str_equal_c(s->slices[0].field, "country"));
    assert_true(str_equal_c(s->slices[0].value, "PT"));
    assert_float_equal(s->slices[0].loss, 0.3, 1e-12);
    assert_float_equal(s->slices[0].rest, 0.1, 1e-12);
    assert_true(s->slices[0].is_worse);
    assert_false(s->slices[1].is_worse);
}

/* 600 of 800 answers brought 4 EUR: 3 EUR an answer; squares 9600, variance (9600 - 800 * 9) / 799
 * = 3.003755, half width 1.959964 * sqrt(3.003755 / 800) = 0.120098. */
static void values_are_per_answer(void **state)
{
    struct fixture *f = *state;
    fill(f);
    struct realised realised = measure(f);
    const struct realised_section *s = &realised.sections[1];
    assert_int_equal(s->value_count, 1);
    assert_string_equal(s->values[0].name->name, "revenue");
    assert_int_equal(s->values[0].count, 600);
    assert_float_equal(s->values[0].sum, 2400, 0);
    assert_float_equal(s->values[0].per_answer.value, 3, 1e-12);
    assert_float_equal(s->values[0].per_answer.high, 3.120098, 1e-5);
}

/* Answers of three days ago, labelled for 600 of 800: the labels that are missing may still come
 * when labels take four days, and will not when they take two. */
static void a_documented_delay_says_when_labels_are_in(void **state)
{
    struct fixture *f = *state;
    struct realised realised;
    struct realised_query query = {.model = "churn",
                                   .version = 2,
                                   .arm = "",
                                   .from_us = NOW_US - 4 * DAY_US,
                                   .to_us = NOW_US - 2 * DAY_US - 1};
    fill(f);
    query.label_delay_us = 4 * DAY_US;
    assert_ok(f, realised_measure(f->store, &query, f->arena, &realised, &f->err));
    assert_int_equal(realised.sections[0].coverage.state, REALISED_PROVISIONAL);
    query.label_delay_us = 2 * DAY_US;
    assert_ok(f, realised_measure(f->store, &query, f->arena, &realised, &f->err));
    assert_int_equal(realised.sections[0].coverage.state, REALISED_FINAL);
}

static void always(void *arg, const struct alert *alert, struct alert_policy *policy)
{
    (void)arg, (void)alert;
    *policy = (struct alert_policy){.owner = "", .runbook = ""};
}

/* Version 2's labels say: 80 % right at either score. 400 answers of today with those scores are
 * estimated at 0.8; the chance part of its 95 % range is 1.96 sqrt(0.8 0.2 / 400) = 0.039. */
static void an_estimate_below_the_floor_is_told(void **state)
{
    struct fixture *f = *state;
    struct record_schema two = schema_of(2);
    struct alerts *alerts = alerts_new();
    struct alert_view *raised;
    fill(f);
    assert_ok(f, quality_watch_look(f->store, alerts, "churn", 2, 0.9, &f->err));
    assert_int_equal(alerts_list(alerts, always, NULL, f->arena, &raised), 0); /* none of today */
    struct tallies *t = tallies_new();
    for (int i = 0; i < 400; i++)
        answer(t, &two, NOW_US - 3600 * CLOCK_SECOND_US, i % 2 ? 0.8f : 0.2f, ARM_NONE);
    save(f, t);
    tallies_free(t);
    assert_ok(f, quality_watch_look(f->store, alerts, "churn", 2, 0.82, &f->err));
    assert_int_equal(alerts_list(alerts, always, NULL, f->arena, &raised), 0); /* cannot tell */
    assert_ok(f, quality_watch_look(f->store, alerts, "churn", 2, 0.9, &f->err));
    assert_int_equal(alerts_list(alerts, always, NULL, f->arena, &raised), 1);
    assert_string_equal(raised[0].alert.key, "estimated_quality/churn/2/accuracy");
    assert_float_equal(raised[0].alert.value, 0.8, 1e-9);
    assert_ok(f, quality_watch_look(f->store, alerts, "churn", 2, 0.82, &f->err));
    assert_int_equal(alerts_list(alerts, always, NULL, f->arena, &raised), 1); /* stays */
    assert_ok(f, quality_watch_look(f->store, alerts, "churn", 2, 0.8, &f->err));
    assert_int_equal(alerts_list(alerts, always, NULL, f->arena, &raised), 0);
    alerts_free(alerts);
}

static void nothing_asked_nothing_found(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(measure(f).section_count, 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(answers_are_counted_once_whatever_is_saved_when),
        test(two_runs_of_one_hour_add_up),
        test(a_clock_that_comes_back_adds_up),
        test(the_newest_days_of_a_model_are_kept),
        test(a_failed_commit_is_saved_again),
        test(cells_are_read_as_they_were_written),
        test(quality_comes_with_its_coverage),
        test(unlabelled_answers_are_estimated),
        test(the_worst_slice_leads),
        test(values_are_per_answer),
        test(a_documented_delay_says_when_labels_are_in),
        test(an_estimate_below_the_floor_is_told),
        test(nothing_asked_nothing_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
