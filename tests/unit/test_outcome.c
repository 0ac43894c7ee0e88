/* test_outcome.c - outcomes in the store: late, corrected, duplicated, contradictory, orphaned. */
#include "base/clock.h"
#include "monitor/outcome_store.h"
#include "registry/registry.h"
#include "registry/registry_check.h"
#include "store_fixture.h"

#define DAY_US (INT64_C(24) * 3600 * CLOCK_SECOND_US)
#define NOW_US (INT64_C(20000) * DAY_US)

static const struct str classes[] = {STR_LIT("no"), STR_LIT("yes")};
static const float probabilities[] = {0.25f, 0.75f};
static const struct predicted_segment segments[] = {{STR_LIT("country"), STR_LIT("PT")}};

static struct predicted answered(const char *id)
{
    return (struct predicted){
        .id = str_of(id),
        .model = "churn",
        .version = 2,
        .arm = ARM_CANARY,
        .rollout = 5,
        .has_key = true,
        .key_hash = UINT64_MAX,
        .at_us = NOW_US - DAY_US,
        .key = STR_LIT("C1"),
        .answer = STR_LIT("yes"),
        .is_class = true,
        .class_index = 1,
        .class_count = 2,
        .classes = classes,
        .probabilities = probabilities,
        .segment_count = 1,
        .segments = segments,
    };
}

static struct outcome label_of(const struct predicted *p, const char *label, int64_t at_us)
{
    return (struct outcome){
        .predicted = p,
        .prediction_id = p ? p->id : STR_LIT("absent-0"),
        .model = p ? p->model : "churn",
        .kind = OUTCOME_LABEL,
        .name = STR_LIT("label"),
        .label = str_of(label),
        .at_us = at_us,
    };
}

static struct outcome value_of(const struct predicted *p, const char *name, double value,
                               const char *unit, enum outcome_direction direction)
{
    return (struct outcome){
        .predicted = p,
        .prediction_id = p->id,
        .model = p->model,
        .kind = OUTCOME_VALUE,
        .name = str_of(name),
        .value = value,
        .unit = str_of(unit),
        .direction = direction,
    };
}

static void submit(struct fixture *f, struct outcome *list, int count)
{
    assert_ok(f, store_begin(f->store, &f->err));
    assert_ok(f, outcome_submit(f->store, list, count, &tester, f->arena, &f->err));
    assert_ok(f, store_commit(f->store, &f->err));
}

static struct outcome submit_label(struct fixture *f, const struct predicted *p, const char *label,
                                   int64_t at_us)
{
    struct outcome o = label_of(p, label, at_us);
    submit(f, &o, 1);
    return o;
}

static const char *current_label(struct fixture *f, const char *id)
{
    struct outcome_row *rows;
    int count;
    const char *label = NULL;
    assert_ok(f, outcome_history(f->store, "churn", str_of(id), f->arena, &rows, &count, &f->err));
    for (int i = 0; i < count; i++) {
        if (strcmp(rows[i].state, "current") != 0)
            continue;
        assert_null(label); /* never two */
        label = rows[i].label;
    }
    return label;
}

static int64_t count_of(struct fixture *f, const char *sql)
{
    int64_t count = -1;
    assert_ok(f, registry_read_number(f->store, sql, NULL, 0, 0, &count, &f->err));
    return count;
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

static void a_label_is_kept_with_what_was_predicted(void **state)
{
    struct fixture *f = *state;
    struct predicted p = answered("r-0");
    struct outcome o = submit_label(f, &p, "no", 0);
    assert_int_equal(o.result, OUTCOME_ACCEPTED);
    assert_true(o.is_wrong);
    assert_int_equal(o.at_us, NOW_US);
    assert_string_equal(current_label(f, "r-0"), "no");
    assert_int_equal(count_of(f, "SELECT COUNT(*) FROM predicted WHERE id = 'r-0' AND arm = "
                                 "'canary' AND rollout = 5 AND key_hash = -1 AND class_index = 1 "
                                 "AND probabilities = '[0.25,0.75]' AND segments = "
                                 "'{\"country\":\"PT\"}' AND business_key = 'C1'"),
                     1);
}

static void the_same_again_is_a_duplicate(void **state)
{
    struct fixture *f = *state;
    struct predicted p = answered("r-0");
    submit_label(f, &p, "yes", NOW_US - 10);
    assert_int_equal(submit_label(f, &p, "yes", NOW_US - 10).result, OUTCOME_DUPLICATE);
    assert_int_equal(submit_label(f, &p, "yes", 0).result, OUTCOME_DUPLICATE);
    assert_int_equal(count_of(f, "SELECT COUNT(*) FROM outcomes"), 1);
}

static void what_is_newer_replaces_and_the_history_stays(void **state)
{
    struct fixture *f = *state;
    struct predicted p = answered("r-0");
    submit_label(f, &p, "yes", NOW_US - 10);
    struct outcome o = submit_label(f, &p, "no", NOW_US - 5);
    assert_int_equal(o.result, OUTCOME_CORRECTED);
    assert_true(o.is_wrong);
    assert_string_equal(current_label(f, "r-0"), "no");
    assert_int_equal(count_of(f, "SELECT COUNT(*) FROM outcomes WHERE state = 'replaced'"), 1);
}

/* yes at 1, no at 2, yes at 3: whatever the order of arrival, yes is current. */
static void any_order_of_arrival_ends_the_same(void **state)
{
    struct fixture *f = *state;
    static const int orders[6][3] = {{1, 2, 3}, {1, 3, 2}, {2, 1, 3},
                                     {2, 3, 1}, {3, 1, 2}, {3, 2, 1}};
    for (int i = 0; i < 6; i++) {
        char id[16];
        snprintf(id, sizeof(id), "o%d-0", i);
        struct predicted p = answered(id);
        for (int k = 0; k < 3; k++)
            submit_label(f, &p, orders[i][k] == 2 ? "no" : "yes", NOW_US - 10 + orders[i][k]);
        assert_string_equal(current_label(f, id), "yes");
    }
}

static void what_is_older_goes_into_the_history_once(void **state)
{
    struct fixture *f = *state;
    struct predicted p = answered("r-0");
    submit_label(f, &p, "yes", NOW_US - 5);
    assert_int_equal(submit_label(f, &p, "no", NOW_US - 9).result, OUTCOME_OUTDATED);
    assert_int_equal(submit_label(f, &p, "no", NOW_US - 9).result, OUTCOME_DUPLICATE);
    assert_string_equal(current_label(f, "r-0"), "yes");
    assert_int_equal(count_of(f, "SELECT COUNT(*) FROM outcomes"), 2);
}

static void two_truths_of_one_moment_are_refused(void **state)
{
    struct fixture *f = *state;
    struct predicted p = answered("r-0");
    struct outcome list[] = {label_of(&p, "yes", 0), label_of(&p, "no", 0)};
    submit(f, list, 2);
    assert_int_equal(list[0].result, OUTCOME_ACCEPTED);
    assert_int_equal(list[1].result, OUTCOME_REFUSED);
    assert_non_null(strstr(list[1].reason, "contradicts the label 'yes'"));
    assert_non_null(strstr(list[1].reason, "later 'at'"));
    assert_string_equal(current_label(f, "r-0"), "yes");
}

static void a_label_that_is_no_class_is_refused_with_the_classes(void **state)
{
    struct fixture *f = *state;
    struct predicted p = answered("r-0");
    struct outcome o = submit_label(f, &p, "maybe", 0);
    assert_int_equal(o.result, OUTCOME_REFUSED);
    assert_string_equal(o.reason, "label 'maybe' is none of the classes of churn:2: no, yes");
    assert_int_equal(count_of(f, "SELECT COUNT(*) FROM predicted"), 0);
}

static void classes_without_names_take_numbers_and_booleans(void **state)
{
    struct fixture *f = *state;
    static const char *const ones[] = {"1", "1.0", "true"};
    for (int i = 0; i < 3; i++) {
        char id[16];
        snprintf(id, sizeof(id), "n%d-0", i);
        struct predicted p = answered(id);
        p.classes = NULL;
        struct outcome o = submit_label(f, &p, ones[i], 0);
        assert_int_equal(o.result, OUTCOME_ACCEPTED);
        assert_false(o.is_wrong);
        assert_string_equal(current_label(f, id), "1");
    }
}

static void a_number_has_an_error(void **state)
{
    struct fixture *f = *state;
    struct predicted p = answered("r-0");
    p.is_class = false;
    p.class_count = 1;
    p.value = 12.5;
    p.probabilities = NULL;
    struct outcome o = submit_label(f, &p, "10", 0);
    assert_int_equal(o.result, OUTCOME_ACCEPTED);
    assert_float_equal(o.error, 2.5, 0);
    assert_int_equal(submit_label(f, &p, "ten", 0).result, OUTCOME_REFUSED);
}

static void a_time_ahead_of_the_clock_is_refused(void **state)
{
    struct fixture *f = *state;
    struct predicted p = answered("r-0");
    struct outcome o = submit_label(f, &p, "yes", NOW_US + DAY_US);
    assert_int_equal(o.result, OUTCOME_REFUSED);
    assert_non_null(strstr(o.reason, "ahead of this server's clock"));
}

static void a_feedback_id_makes_redelivery_safe(void **state)
{
    struct fixture *f = *state;
    struct predicted p = answered("r-0");
    struct outcome o = label_of(&p, "yes", 0);
    o.feedback_id = STR_LIT("f1");
    submit(f, &o, 1);
    submit_label(f, &p, "no", NOW_US + 1);
    o = label_of(&p, "yes", 0);
    o.feedback_id = STR_LIT("f1");
    clock_set_for_test(-1, NOW_US + DAY_US);
    submit(f, &o, 1);
    assert_int_equal(o.result, OUTCOME_DUPLICATE);
    assert_string_equal(current_label(f, "r-0"), "no");
    o = label_of(&p, "no", 0);
    o.feedback_id = STR_LIT("f1");
    submit(f, &o, 1);
    assert_int_equal(o.result, OUTCOME_REFUSED);
    assert_non_null(strstr(o.reason, "other content"));
}

static void a_value_is_declared_by_its_first_use(void **state)
{
    struct fixture *f = *state;
    struct predicted p = answered("r-0");
    struct outcome_name *names;
    int count;
    struct outcome o = value_of(&p, "revenue", 12, "", OUTCOME_NEUTRAL);
    submit(f, &o, 1);
    assert_int_equal(o.result, OUTCOME_REFUSED);
    assert_non_null(strstr(o.reason, "not declared"));
    o = value_of(&p, "revenue", 12, "EUR", OUTCOME_UP);
    submit(f, &o, 1);
    assert_int_equal(o.result, OUTCOME_ACCEPTED);
    assert_ok(f, outcome_name_list(f->store, "churn", f->arena, &names, &count, &f->err));
    assert_int_equal(count, 1);
    assert_string_equal(names[0].name, "revenue");
    assert_string_equal(names[0].unit, "EUR");
    assert_int_equal(names[0].direction, OUTCOME_UP);
    p.id = STR_LIT("r-1");
    o = value_of(&p, "revenue", 3, "", OUTCOME_NEUTRAL);
    submit(f, &o, 1);
    assert_int_equal(o.result, OUTCOME_ACCEPTED);
    assert_true(str_equal_c(o.unit, "EUR"));
    o = value_of(&p, "revenue", 4, "USD", OUTCOME_UP);
    submit(f, &o, 1);
    assert_int_equal(o.result, OUTCOME_REFUSED);
    assert_non_null(strstr(o.reason, "counted in EUR"));
    int64_t events = 0;
    assert_ok(f, audit_verify(f->store, &events, NULL, &f->err));
    assert_int_equal(events, 2); /* the model, the declaration */
}

static void a_unit_in_use_does_not_change(void **state)
{
    struct fixture *f = *state;
    struct predicted p = answered("r-0");
    struct outcome o = value_of(&p, "revenue", 12, "EUR", OUTCOME_UP);
    submit(f, &o, 1);
    const struct outcome_name other = {
        .name = "revenue", .kind = OUTCOME_VALUE, .unit = "USD", .direction = OUTCOME_UP};
    assert_fails(f, outcome_name_put(f->store, "churn", &other, &tester, f->arena, &f->err),
                 ERR_CONFLICT, "1 entries in EUR, not in USD");
}

static void an_orphan_is_joined_when_its_prediction_appears(void **state)
{
    struct fixture *f = *state;
    struct orphan_counts counts;
    struct outcome *due;
    int count = 0;
    struct outcome o = submit_label(f, NULL, "no", 0);
    assert_int_equal(o.result, OUTCOME_ORPHAN);
    assert_int_equal(submit_label(f, NULL, "no", 0).result, OUTCOME_DUPLICATE);
    assert_ok(f, outcome_orphan_count(f->store, &counts, &f->err));
    assert_int_equal(counts.waiting, 1);
    assert_ok(f, outcome_orphan_due(f->store, NOW_US, f->arena, &due, &count, &f->err));
    assert_int_equal(count, 0);
    clock_set_for_test(-1, NOW_US + 2 * CLOCK_SECOND_US);
    assert_ok(f, outcome_orphan_due(f->store, clock_wall_us(), f->arena, &due, &count, &f->err));
    assert_int_equal(count, 1);
    assert_true(str_equal_c(due[0].prediction_id, "absent-0"));
    struct predicted p = answered("absent-0");
    due[0].predicted = &p;
    assert_ok(f, outcome_orphan_settle(f->store, due, count, f->arena, &f->err));
    assert_int_equal(due[0].result, OUTCOME_ACCEPTED);
    assert_int_equal(due[0].received_us, NOW_US);
    assert_string_equal(current_label(f, "absent-0"), "no");
    assert_ok(f, outcome_orphan_count(f->store, &counts, &f->err));
    assert_int_equal(counts.waiting + counts.refused, 0);
}

static void an_orphan_waits_longer_each_time_and_ends(void **state)
{
    struct fixture *f = *state;
    struct outcome *due;
    int count = 0;
    submit_label(f, NULL, "no", 0);
    clock_set_for_test(-1, NOW_US + 40 * CLOCK_SECOND_US);
    assert_ok(f, outcome_orphan_due(f->store, clock_wall_us(), f->arena, &due, &count, &f->err));
    assert_ok(f, outcome_orphan_settle(f->store, due, count, f->arena, &f->err));
    assert_ok(f, outcome_orphan_due(f->store, NOW_US + 49 * CLOCK_SECOND_US, f->arena, &due, &count,
                                    &f->err));
    assert_int_equal(count, 0); /* 40 s old: again 10 s later */
    assert_ok(f, outcome_orphan_due(f->store, NOW_US + 50 * CLOCK_SECOND_US, f->arena, &due, &count,
                                    &f->err));
    assert_int_equal(count, 1);
    clock_set_for_test(-1, NOW_US + ORPHAN_KEEP_US + 1);
    assert_ok(f, outcome_orphan_settle(f->store, due, count, f->arena, &f->err));
    assert_int_equal(count_of(f, "SELECT COUNT(*) FROM orphans"), 0);
}

static void an_orphan_that_cannot_be_taken_keeps_its_reason(void **state)
{
    struct fixture *f = *state;
    struct orphan_counts counts;
    struct outcome *due;
    int count = 0;
    submit_label(f, NULL, "maybe", 0);
    clock_set_for_test(-1, NOW_US + 2 * CLOCK_SECOND_US);
    assert_ok(f, outcome_orphan_due(f->store, clock_wall_us(), f->arena, &due, &count, &f->err));
    struct predicted p = answered("absent-0");
    due[0].predicted = &p;
    assert_ok(f, outcome_orphan_settle(f->store, due, count, f->arena, &f->err));
    assert_ok(f, outcome_orphan_count(f->store, &counts, &f->err));
    assert_int_equal(counts.waiting, 0);
    assert_int_equal(counts.refused, 1);
    assert_int_equal(count_of(f, "SELECT COUNT(*) FROM orphans WHERE refusal LIKE '%maybe%'"), 1);
}

/* 70,000 bytes of segments are more than the 64 KiB kept of a row. */
static void a_row_too_large_is_refused_alone(void **state)
{
    static char text[70001];
    struct fixture *f = *state;
    struct outcome *due;
    int count = 0;
    memset(text, 'x', sizeof(text) - 1);
    const struct predicted_segment huge = {STR_LIT("country"), {text, sizeof(text) - 1}};
    struct predicted p = answered("r-0"), large = answered("absent-0"), shadow = large;
    large.segments = &huge;
    struct outcome list[] = {label_of(&large, "yes", 0), label_of(&p, "yes", 0)};
    submit(f, list, 2);
    assert_int_equal(list[0].result, OUTCOME_REFUSED);
    assert_non_null(strstr(list[0].reason, "segments of the prediction are over 65536 bytes"));
    assert_int_equal(list[1].result, OUTCOME_ACCEPTED);
    shadow.segments = &huge;
    large.segments = segments;
    large.shadow = &shadow;
    assert_int_equal(submit_label(f, &large, "yes", 0).result, OUTCOME_REFUSED);
    assert_int_equal(count_of(f, "SELECT COUNT(*) FROM predicted"), 1);

    submit_label(f, NULL, "yes", 0);
    clock_set_for_test(-1, NOW_US + 2 * CLOCK_SECOND_US);
    assert_ok(f, outcome_orphan_due(f->store, clock_wall_us(), f->arena, &due, &count, &f->err));
    assert_int_equal(count, 1);
    due[0].predicted = &large;
    assert_ok(f, outcome_orphan_settle(f->store, due, count, f->arena, &f->err));
    assert_int_equal(count_of(f, "SELECT COUNT(*) FROM orphans WHERE refusal <> ''"), 1);
    int64_t last_us = NOW_US + ORPHAN_KEEP_US, pruned = 0;
    bool has_old = true;
    assert_ok(f, outcome_orphan_has_old(f->store, last_us, &has_old, &f->err));
    assert_false(has_old);
    assert_ok(f, outcome_orphan_prune(f->store, last_us, &pruned, &f->err));
    assert_int_equal(pruned, 0);
    assert_ok(f, outcome_orphan_has_old(f->store, last_us + 1, &has_old, &f->err));
    assert_true(has_old);
    assert_ok(f, outcome_orphan_prune(f->store, last_us + 1, &pruned, &f->err));
    assert_int_equal(pruned, 1);
}

static void copy_orphans(struct fixture *f, const char *refusal, int64_t first, int64_t last)
{
    const struct store_value params[] = {STORE_INT(first), STORE_INT(last), STORE_CSTR(refusal)};
    assert_ok(f, store_exec(f->store,
                            "WITH RECURSIVE n(i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n "
                            "WHERE i < ?2) INSERT INTO orphans SELECT i, 'x-' || i, 'churn', '', "
                            "0, 'label', 'label', 'no', 0, '', '', 0, 0, '', 'api', 'me', 0, ?3 "
                            "FROM n",
                            params, 3, NULL, &f->err));
}

/* 199,999 wait and one was refused: there is room for one more of the 200,000. */
static void orphans_are_bounded_by_those_that_wait(void **state)
{
    struct fixture *f = *state;
    copy_orphans(f, "", 1, ORPHANS_MAX - 1);
    copy_orphans(f, "no", ORPHANS_MAX, ORPHANS_MAX);
    struct outcome list[] = {label_of(NULL, "no", 0), label_of(NULL, "no", 0)};
    list[1].prediction_id = STR_LIT("absent-1");
    submit(f, list, 2);
    assert_int_equal(list[0].result, OUTCOME_ORPHAN);
    assert_int_equal(list[1].result, OUTCOME_REFUSED);
    assert_int_equal(count_of(f, "SELECT COUNT(*) FROM orphans WHERE refusal = ''"), ORPHANS_MAX);
}

static void the_truth_of_a_shadow_is_that_of_its_row(void **state)
{
    struct fixture *f = *state;
    struct predicted shadow = answered("r-0"), p = answered("r-0");
    shadow.version = 3;
    shadow.arm = ARM_SHADOW;
    p.shadow = &shadow;
    submit_label(f, &p, "yes", 0);
    assert_int_equal(count_of(f, "SELECT COUNT(*) FROM predicted WHERE id = 'r-0'"), 2);
    assert_int_equal(count_of(f, "SELECT COUNT(*) FROM outcomes"), 1);
    assert_int_equal(count_of(f, "SELECT version FROM outcomes"), 2);
}

/* "r-0" of C1 and "r-1" of C2, with a label each. */
static void two_subjects(struct fixture *f)
{
    struct predicted p = answered("r-0"), other = answered("r-1");
    other.key = STR_LIT("C2");
    submit_label(f, &p, "yes", 0);
    submit_label(f, &other, "yes", 0);
}

static struct outcome orphan_of(const char *model, const char *id, const char *key)
{
    struct outcome orphan = label_of(NULL, "yes", 0);
    orphan.model = model;
    orphan.prediction_id = str_of(id);
    orphan.key = str_of(key);
    return orphan;
}

static void a_subject_is_erased_with_everything(void **state)
{
    struct fixture *f = *state;
    int64_t count = 0;
    bool is_done = false;
    two_subjects(f);
    struct outcome orphan = orphan_of("churn", "", "C1");
    submit(f, &orphan, 1);
    assert_ok(f, outcome_erase_key(f->store, "churn", STR_LIT("C1"), f->arena, &count, &is_done,
                                   &f->err));
    assert_int_equal(count, 3);
    assert_true(is_done);
    assert_int_equal(count_of(f, "SELECT COUNT(*) FROM predicted"), 1);
    assert_int_equal(count_of(f, "SELECT COUNT(*) FROM outcomes WHERE prediction_id = 'r-1'"), 1);
    assert_int_equal(count_of(f, "SELECT COUNT(*) FROM orphans"), 0);
    assert_fails(
        f, outcome_erase_key(f->store, "churn", STR_LIT(""), f->arena, &count, &is_done, &f->err),
        ERR_INVALID, "key is empty");
}

/* Feedback by id that found no prediction has no key, but says the same about the same person. */
static void orphans_of_an_erased_id_go_too(void **state)
{
    struct fixture *f = *state;
    int64_t count = 0;
    const char *ids[] = {"r-0", "gone-0"};
    two_subjects(f);
    struct outcome orphans[] = {orphan_of("churn", "gone-0", ""), orphan_of("", "gone-0", ""),
                                orphan_of("churn", "gone-1", "")};
    submit(f, orphans, 3);
    assert_ok(f, outcome_erase_ids(f->store, "churn", ids, 2, &count, &f->err));
    assert_int_equal(count, 4); /* predicted and label of r-0, two orphans */
    assert_int_equal(count_of(f, "SELECT COUNT(*) FROM orphans"), 1);
    assert_int_equal(count_of(f, "SELECT COUNT(*) FROM predicted WHERE id = 'r-0'"), 0);
    assert_int_equal(count_of(f, "SELECT COUNT(*) FROM outcomes"), 1);
}

static void many_predictions_of_a_subject_go_in_parts(void **state)
{
    struct fixture *f = *state;
    int64_t count = 0;
    bool is_done = true;
    two_subjects(f);
    const struct store_value params[] = {STORE_INT(OUTCOME_FORGET_MAX)};
    assert_ok(f, store_exec(
                     f->store,
                     "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE "
                     "i < ?1) INSERT INTO predicted SELECT 'm-' || i, model, version, arm, "
                     "rollout, has_key, key_hash, business_key, at_us, is_suspect, answer, "
                     "class_index, class_count, value, probabilities, segments, rank_group FROM n, "
                     "predicted WHERE id = 'r-0'",
                     params, 1, NULL, &f->err));
    assert_ok(f, outcome_erase_key(f->store, "churn", STR_LIT("C1"), f->arena, &count, &is_done,
                                   &f->err));
    assert_false(is_done);
    assert_ok(f, outcome_erase_key(f->store, "churn", STR_LIT("C1"), f->arena, &count, &is_done,
                                   &f->err));
    assert_true(is_done);
    assert_int_equal(count_of(f, "SELECT COUNT(*) FROM predicted"), 1);
}

/* How the store finds what it removes: a plan that scans is one that blocks the control thread. */
static void forgetting_reads_no_whole_table(void **state)
{
    struct fixture *f = *state;
    const char *queries[] = {
        "DELETE FROM outcomes WHERE prediction_id = 'x' AND model = 'm'",
        "DELETE FROM orphans WHERE prediction_id = 'x' AND model IN ('m', '')",
        "DELETE FROM orphans WHERE prediction_id = '' AND business_key = 'x' AND model = 'm'",
        "SELECT DISTINCT model, id FROM predicted WHERE model = 'm' AND business_key = 'x'",
    };
    for (size_t i = 0; i < sizeof(queries) / sizeof(*queries); i++) {
        struct store_rows *rows;
        bool has_row = false;
        char sql[256];
        snprintf(sql, sizeof(sql), "EXPLAIN QUERY PLAN %s", queries[i]);
        assert_ok(f, store_query(f->store, sql, NULL, 0, &rows, &f->err));
        assert_ok(f, store_next(rows, &has_row, &f->err));
        assert_true(has_row);
        assert_true(str_starts_with(store_text(rows, 3), STR_LIT("SEARCH")));
        store_rows_done(rows);
    }
}

/* Answered a day ago, one label; the other model has an older one. */
static void what_is_past_its_age_goes_with_its_outcomes(void **state)
{
    struct fixture *f = *state;
    int64_t count = -1, answered_us = NOW_US - DAY_US;
    bool has_old = true;
    two_subjects(f);
    assert_ok(f, outcome_has_old(f->store, answered_us, &has_old, &f->err));
    assert_false(has_old);
    assert_ok(f, outcome_prune(f->store, answered_us, f->arena, &count, &f->err));
    assert_int_equal(count, 0);
    assert_ok(f, outcome_has_old(f->store, answered_us + 1, &has_old, &f->err));
    assert_true(has_old);
    assert_ok(f, outcome_prune(f->store, answered_us + 1, f->arena, &count, &f->err));
    assert_int_equal(count, 4);
    assert_int_equal(count_of(f, "SELECT COUNT(*) FROM predicted"), 0);
    assert_int_equal(count_of(f, "SELECT COUNT(*) FROM outcomes"), 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(a_label_is_kept_with_what_was_predicted),
        test(the_same_again_is_a_duplicate),
        test(what_is_newer_replaces_and_the_history_stays),
        test(any_order_of_arrival_ends_the_same),
        test(what_is_older_goes_into_the_history_once),
        test(two_truths_of_one_moment_are_refused),
        test(a_label_that_is_no_class_is_refused_with_the_classes),
        test(classes_without_names_take_numbers_and_booleans),
        test(a_number_has_an_error),
        test(a_time_ahead_of_the_clock_is_refused),
        test(a_feedback_id_makes_redelivery_safe),
        test(a_value_is_declared_by_its_first_use),
        test(a_unit_in_use_does_not_change),
        test(an_orphan_is_joined_when_its_prediction_appears),
        test(an_orphan_waits_longer_each_time_and_ends),
        test(an_orphan_that_cannot_be_taken_keeps_its_reason),
        test(a_row_too_large_is_refused_alone),
        test(orphans_are_bounded_by_those_that_wait),
        test(the_truth_of_a_shadow_is_that_of_its_row),
        test(a_subject_is_erased_with_everything),
        test(orphans_of_an_erased_id_go_too),
        test(many_predictions_of_a_subject_go_in_parts),
        test(forgetting_reads_no_whole_table),
        test(what_is_past_its_age_goes_with_its_outcomes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
