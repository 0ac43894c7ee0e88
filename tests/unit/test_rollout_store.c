/* test_rollout_store.c - rollouts and their decisions as rows, one active rollout a model. */
#include "rollout/rollout_store.h"

#include "base/check.h"
#include "base/clock.h"
#include "registry/registry.h"
#include "store_fixture.h"

#define FILE_TEXT "model: churn\nto: 2\nprove: []\n"
#define START INT64_C(1769851800000000)
#define DAY (24 * 3600 * CLOCK_SECOND_US)

static void make_version(struct fixture *f, char digit)
{
    struct version v = {.model = "churn", .runtime = "trees", .artifact_bytes = 10, .note = ""};
    memset(v.artifact.hex, digit, SHA256_HEX_BYTES);
    assert_ok(f, version_create(f->store, &v, &tester, &f->err));
}

static int setup_model(void **state)
{
    struct alias alias;
    setup_store(state);
    struct fixture *f = *state;
    clock_set_for_test(1, START);
    assert_ok(f, store_begin(f->store, &f->err));
    assert_ok(f, model_ensure(f->store, "churn", "me@example.org", NULL, &tester, &f->err));
    make_version(f, '1');
    make_version(f, '2');
    assert_ok(
        f, alias_set(f->store, "churn", "champion", 1, -1, "", &tester, &alias, f->arena, &f->err));
    return 0;
}

static int end_model(void **state)
{
    struct fixture *f = *state;
    clock_set_for_test(-1, -1);
    assert_ok(f, store_commit(f->store, &f->err));
    assert_ok(f, audit_verify(f->store, NULL, NULL, &f->err));
    return teardown(state);
}

static enum err_code start(struct fixture *f, struct rollout *rollout)
{
    struct rollout_spec *spec;
    struct rollout_change change = {.cause = "person", .reason = "why", .evidence = "{}"};
    *rollout = (struct rollout){.model = "churn",
                                .from = 1,
                                .to = 2,
                                .from_digest = "d1",
                                .to_digest = "d2",
                                .file = FILE_TEXT,
                                .file_digest = "d3",
                                .salt = {11, 22}};
    assert_ok(f, rollout_file_parse(STR_LIT(FILE_TEXT), f->arena, &spec, &f->err));
    assert_ok(f, rollout_next(rollout, spec, ACT_START, &change, &f->err));
    return rollout_insert(f->store, rollout, &change, &tester, &f->err);
}

static struct rollout do_it(struct fixture *f, enum rollout_action action)
{
    struct rollout after;
    const struct rollout_act act = {.model = "churn",
                                    .action = action,
                                    .cause = "test",
                                    .reason = "r",
                                    .evidence = "{\"n\":1}"};
    assert_ok(f, rollout_act(f->store, &act, &tester, f->arena, &after, &f->err));
    return after;
}

static void what_was_started_is_found(void **state)
{
    struct fixture *f = *state;
    struct rollout started, found;
    bool is_there = true;
    assert_ok(f, rollout_find(f->store, "churn", f->arena, &found, &is_there, &f->err));
    assert_false(is_there);
    assert_ok(f, start(f, &started));
    assert_ok(f, rollout_find(f->store, "churn", f->arena, &found, &is_there, &f->err));
    assert_true(is_there);
    assert_int_equal(found.id, 1);
    assert_int_equal(found.state, ROLLOUT_RUNNING);
    assert_int_equal(found.revision, 1);
    assert_int_equal(found.weight_ppm, 10000);
    assert_int_equal(found.started_us, START);
    assert_int_equal(found.salt[1], 22);
    assert_string_equal(found.file, FILE_TEXT);
    assert_string_equal(found.author, "key:ci");
}

static void a_second_rollout_is_refused_and_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct rollout rollout, second;
    struct rollout *list;
    int count = 0;
    assert_ok(f, start(f, &rollout));
    assert_fails(f, start(f, &second), ERR_CONFLICT, "has rollout 1 to version 2");
    assert_ok(f, rollout_list(f->store, "churn", false, 10, f->arena, &list, &count, &f->err));
    assert_int_equal(count, 1);
    assert_fails(f, rollout_check_move(f->store, "churn", "champion", &f->err), ERR_CONFLICT,
                 "champion is not moved");
    assert_ok(f, rollout_check_move(f->store, "churn", "other", &f->err));
    do_it(f, ACT_ABORT);
    assert_ok(f, rollout_check_move(f->store, "churn", "champion", &f->err));
    assert_ok(f, start(f, &second));
    assert_int_equal(second.id, 2);
}

static void a_promotion_moves_the_champion_in_the_same_transaction(void **state)
{
    struct fixture *f = *state;
    struct rollout rollout;
    struct alias champion;
    struct rollout_event_row *decisions;
    int count = 0;
    assert_ok(f, start(f, &rollout));
    do_it(f, ACT_PAUSE);
    rollout = do_it(f, ACT_PROMOTE);
    assert_int_equal(rollout.state, ROLLOUT_PROMOTED);
    assert_int_equal(rollout.warm_until_us, START + DAY);
    assert_ok(f, alias_get(f->store, "churn", "champion", f->arena, &champion, &f->err));
    assert_int_equal(champion.version, 2);
    assert_int_equal(champion.previous, 1);
    assert_ok(f, rollout_decisions(f->store, 1, f->arena, &decisions, &count, &f->err));
    assert_int_equal(count, 3);
    assert_string_equal(decisions[0].action, "start");
    assert_string_equal(decisions[1].state, "paused");
    assert_string_equal(decisions[2].action, "promote");
    assert_string_equal(decisions[2].evidence, "{\"n\":1}");
}

static void a_decision_made_on_old_news_is_refused(void **state)
{
    struct fixture *f = *state;
    struct rollout rollout, after;
    const struct rollout_act act = {.model = "churn",
                                    .action = ACT_ROLLBACK,
                                    .revision = 1,
                                    .cause = "guard",
                                    .reason = "",
                                    .evidence = "{}"};
    assert_ok(f, start(f, &rollout));
    do_it(f, ACT_PAUSE);
    assert_fails(f, rollout_act(f->store, &act, &tester, f->arena, &after, &f->err), ERR_CONFLICT,
                 "changed meanwhile");
    do_it(f, ACT_ABORT);
    assert_fails(f, rollout_act(f->store, &act, &tester, f->arena, &after, &f->err), ERR_NOT_FOUND,
                 "no active rollout");
}

/* Made while the disk was full; folded once, and skipped when the rollout is over. */
static void a_logged_rollback_is_folded(void **state)
{
    struct fixture *f = *state;
    struct rollout rollout;
    assert_ok(f, start(f, &rollout));
    assert_ok(f, rollout_fold(f->store, "churn", 2, 1, "guard", &tester, &f->err));
    assert_ok(f, rollout_get(f->store, 1, f->arena, &rollout, &f->err));
    assert_int_equal(rollout.state, ROLLOUT_ROLLED_BACK);
    assert_int_equal(rollout.weight_ppm, 0);
    assert_ok(f, rollout_fold(f->store, "churn", 2, 1, "guard", &tester, &f->err));
    assert_ok(f, rollout_get(f->store, 1, f->arena, &rollout, &f->err));
    assert_int_equal(rollout.revision, 2);
}

static void versions_cool_down_when_their_time_is_over(void **state)
{
    struct fixture *f = *state;
    struct rollout rollout;
    const char **models;
    int count = -1;
    assert_ok(f, start(f, &rollout));
    do_it(f, ACT_ABORT);
    assert_ok(f, rollout_cooled(f->store, START, START + DAY - 1, 10, f->arena, &models, &count,
                                &f->err));
    assert_int_equal(count, 0);
    assert_ok(f,
              rollout_cooled(f->store, START, START + DAY, 10, f->arena, &models, &count, &f->err));
    assert_int_equal(count, 1);
    assert_string_equal(models[0], "churn");
}

static void a_row_that_cannot_be_read_is_named_and_hides_no_other(void **state)
{
    struct fixture *f = *state;
    struct rollout rollout, *list;
    int count = -1;
    bool is_there = false;
    assert_ok(f, start(f, &rollout));
    assert_ok(f, store_exec(f->store, "UPDATE rollouts SET state = 'levitating'", NULL, 0, NULL,
                            &f->err));
    assert_fails(f, rollout_find(f->store, "churn", f->arena, &rollout, &is_there, &f->err),
                 ERR_UNSUPPORTED, "rollout 1 of model 'churn' has the state 'levitating'");
    assert_ok(f, rollout_list(f->store, NULL, true, 10, f->arena, &list, &count, &f->err));
    assert_int_equal(count, 0);
}

/* Whatever it is that cannot be read: it is ended, the next one can start, and it is readable. */
static void a_row_that_cannot_be_read_can_be_ended(void **state)
{
    struct fixture *f = *state;
    static const char *const breaks[] = {
        "UPDATE rollouts SET state = 'levitating' WHERE ended_us = 0",
        "UPDATE rollouts SET salt = 'none' WHERE ended_us = 0",
        "UPDATE rollouts SET file = 'model: [', weight_ppm = 500000 WHERE ended_us = 0",
    };
    for (int64_t i = 0; i < (int64_t)ARRAY_LEN(breaks); i++) {
        struct rollout rollout, *list;
        struct rollout_event_row *decisions;
        int count = 0;
        assert_ok(f, start(f, &rollout));
        assert_ok(f, store_exec(f->store, breaks[i], NULL, 0, NULL, &f->err));
        rollout = do_it(f, ACT_ABORT);
        assert_int_equal(rollout.state, ROLLOUT_ABORTED);
        assert_int_equal(rollout.weight_ppm, 0);
        assert_int_equal(rollout.ended_us, START);
        assert_ok(f, rollout_list(f->store, NULL, false, 10, f->arena, &list, &count, &f->err));
        assert_int_equal(count, i + 1);
        assert_int_equal(list[0].state, ROLLOUT_ABORTED);
        assert_ok(f,
                  rollout_decisions(f->store, rollout.id, f->arena, &decisions, &count, &f->err));
        assert_string_equal(decisions[count - 1].action, "abort");
    }
}

/* Others than abort say what is wrong and how it ends. */
static void what_cannot_be_read_is_not_paused(void **state)
{
    struct fixture *f = *state;
    struct rollout rollout;
    const struct rollout_act act = {
        .model = "churn", .action = ACT_PAUSE, .cause = "test", .reason = "r", .evidence = "{}"};
    assert_ok(f, start(f, &rollout));
    assert_ok(f, store_exec(f->store, "UPDATE rollouts SET state = 'levitating'", NULL, 0, NULL,
                            &f->err));
    assert_fails(f, rollout_act(f->store, &act, &tester, f->arena, &rollout, &f->err),
                 ERR_UNSUPPORTED, "levitating");
    assert_non_null(strstr(f->err.hint, "slipway rollout abort churn"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_started_is_found, setup_model, end_model),
        cmocka_unit_test_setup_teardown(a_second_rollout_is_refused_and_changes_nothing,
                                        setup_model, end_model),
        cmocka_unit_test_setup_teardown(a_promotion_moves_the_champion_in_the_same_transaction,
                                        setup_model, end_model),
        cmocka_unit_test_setup_teardown(a_decision_made_on_old_news_is_refused, setup_model,
                                        end_model),
        cmocka_unit_test_setup_teardown(a_logged_rollback_is_folded, setup_model, end_model),
        cmocka_unit_test_setup_teardown(a_row_that_cannot_be_read_is_named_and_hides_no_other,
                                        setup_model, end_model),
        cmocka_unit_test_setup_teardown(a_row_that_cannot_be_read_can_be_ended, setup_model,
                                        end_model),
        cmocka_unit_test_setup_teardown(what_cannot_be_read_is_not_paused, setup_model, end_model),
        cmocka_unit_test_setup_teardown(versions_cool_down_when_their_time_is_over, setup_model,
                                        end_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
