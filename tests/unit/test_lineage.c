/* test_lineage.c - which version was champion when, from the moves of the alias. */
#include "rollout/lineage.h"

#include "base/clock.h"
#include "store_fixture.h"

static const int64_t noon_us = INT64_C(1790000000) * CLOCK_SECOND_US;

static void make_versions(struct fixture *f, int count)
{
    assert_ok(f, model_ensure(f->store, "churn", "me@example.org", NULL, &tester, &f->err));
    for (int i = 0; i < count; i++) {
        struct version v = {.model = "churn", .runtime = "trees", .artifact_bytes = 1};
        memset(v.artifact.hex, "0123456789abcdef"[i], SHA256_HEX_BYTES);
        assert_ok(f, version_create(f->store, &v, &tester, &f->err));
    }
}

static void set_at(struct fixture *f, const char *alias, int64_t version, int minute)
{
    struct alias result;
    clock_set_for_test(-1, noon_us + minute * 60 * CLOCK_SECOND_US);
    assert_ok(f, alias_set(f->store, "churn", alias, version, -1, "why", &tester, &result, f->arena,
                           &f->err));
}

static void expect_reign(const struct reign *reign, int64_t version, int from, int until)
{
    assert_int_equal(reign->version, version);
    assert_int_equal(reign->from_us, noon_us + from * 60 * CLOCK_SECOND_US);
    assert_int_equal(reign->until_us, until ? noon_us + until * 60 * CLOCK_SECOND_US : 0);
}

/* set 1 at 0, set 2 at 10, back to 1 at 15, set 3 at 20; another alias moves in between. */
static void each_move_ends_the_reign_before(void **state)
{
    struct fixture *f = *state;
    struct alias result;
    struct reign *reigns;
    int count = 0;
    make_versions(f, 3);
    set_at(f, ALIAS_CHAMPION, 1, 0);
    set_at(f, "next", 3, 5);
    set_at(f, ALIAS_CHAMPION, 2, 10);
    clock_set_for_test(-1, noon_us + 15 * 60 * CLOCK_SECOND_US);
    assert_ok(f, alias_rollback(f->store, "churn", ALIAS_CHAMPION, "worse", &tester, &result,
                                f->arena, &f->err));
    set_at(f, ALIAS_CHAMPION, 3, 20);
    clock_set_for_test(-1, -1);
    assert_ok(f, lineage_reigns(f->store, "churn", f->arena, &reigns, &count, &f->err));
    assert_int_equal(count, 4);
    expect_reign(&reigns[0], 1, 0, 10);
    expect_reign(&reigns[1], 2, 10, 15);
    expect_reign(&reigns[2], 1, 15, 20);
    assert_string_equal(reigns[2].kind, "rollback");
    assert_string_equal(reigns[2].reason, "worse");
    expect_reign(&reigns[3], 3, 20, 0);
}

static void a_model_without_a_champion_has_no_reigns(void **state)
{
    struct fixture *f = *state;
    struct reign *reigns;
    int count = -1;
    make_versions(f, 1);
    assert_ok(f, lineage_reigns(f->store, "churn", f->arena, &reigns, &count, &f->err));
    assert_int_equal(count, 0);
    assert_fails(f, lineage_reigns(f->store, "nobody", f->arena, &reigns, &count, &f->err),
                 ERR_NOT_FOUND, "nobody");
}

/* From 1 to 2: 1 % at minute 10, 50 % at 20, taken back at 30. */
static void a_rollouts_share_is_that_of_its_last_transition(void **state)
{
    struct fixture *f = *state;
    static const struct {
        int minute;
        enum rollout_action action;
        enum rollout_state state;
        int64_t weight_ppm;
    } moves[] = {{10, ACT_START, ROLLOUT_RUNNING, 10000},
                 {20, ACT_ADVANCE, ROLLOUT_RUNNING, 500000},
                 {30, ACT_ROLLBACK, ROLLOUT_ROLLED_BACK, 0}};
    static const double shares[] = {-1, 0.01, 0.5, -1}; /* at 5, 15, 25, 35; -1: none */
    struct rollout r = {.model = "churn",
                        .from = 1,
                        .to = 2,
                        .from_digest = "a",
                        .to_digest = "b",
                        .file = "x",
                        .file_digest = "c"};
    make_versions(f, 2);
    for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++) {
        struct rollout_change change = {.action = moves[i].action,
                                        .cause = "person",
                                        .reason = "why",
                                        .evidence = "{}",
                                        .state = moves[i].state,
                                        .weight_ppm = moves[i].weight_ppm};
        clock_set_for_test(-1, noon_us + moves[i].minute * 60 * CLOCK_SECOND_US);
        if (i == 0)
            assert_ok(f, rollout_insert(f->store, &r, &change, &tester, &f->err));
        else
            assert_ok(f, rollout_apply(f->store, &r, &change, &tester, f->arena, &f->err));
    }
    clock_set_for_test(-1, -1);
    for (int i = 0; i < 4; i++) {
        struct lineage_share *list;
        int count = 0;
        int64_t at_us = noon_us + (10 * i + 5) * 60 * CLOCK_SECOND_US;
        assert_ok(f, lineage_shares(f->store, "churn", at_us, f->arena, &list, &count, &f->err));
        assert_int_equal(count, shares[i] >= 0);
        if (count)
            assert_float_equal(list[0].share, shares[i], 1e-12);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_move_ends_the_reign_before, setup_store, teardown),
        cmocka_unit_test_setup_teardown(a_model_without_a_champion_has_no_reigns, setup_store,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_rollouts_share_is_that_of_its_last_transition,
                                        setup_store, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
