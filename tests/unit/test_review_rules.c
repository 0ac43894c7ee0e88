/* test_review_rules.c - review files, draws and chances, and what several decisions amount to.
 */
#include "base/check.h"
#include "record_fixture.h"
#include "review/review.h"
#include "test.h"

enum { ARENA_BYTES = 8 * 1024 * 1024 };

static struct arena *arena;

static int setup_arena(void **state)
{
    (void)state;
    arena = arena_new(ARENA_BYTES);
    return 0;
}

static int free_arena(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static struct review_rules *parse(const char *text)
{
    struct review_rules *rules = NULL;
    struct err err = {0};
    if (review_rules_parse(str_of(text), arena, &rules, &err))
        fail_msg("%s", err.msg);
    return rules;
}

static void expect_error(const char *text, const char *part)
{
    struct review_rules *rules = NULL;
    struct err err = {0};
    assert_int_equal(review_rules_parse(str_of(text), arena, &rules, &err), ERR_INVALID);
    if (!strstr(err.msg, part))
        fail_msg("%s: %s", text, err.msg);
    assert_null(rules);
}

static void a_file_is_read(void **state)
{
    (void)state;
    const struct review_rules *rules = parse("lease: 90s\n"
                                             "undo: 1m\n"
                                             "gold: 5%\n"
                                             "hide: [note]\n"
                                             "rules:\n"
                                             "  - name: borderline\n"
                                             "    when: score between 0.4 and 0.6\n"
                                             "    sample: 25%\n"
                                             "    reviewers: 2\n"
                                             "    sla: 4h\n"
                                             "    stakes: 3\n"
                                             "  - name: big\n"
                                             "    when: monthly_fee > 100\n"
                                             "    mode: hold\n"
                                             "    sla: 2d\n"
                                             "    on_expiry: escalate\n"
                                             "    blind: 1\n"
                                             "  - {name: slice, when: random, sample: 0.005}\n"
                                             "  - {name: appeals, when: appeal}\n");
    assert_int_equal(rules->count, 4);
    assert_int_equal(rules->lease_us, 90 * INT64_C(1000000));
    assert_int_equal(rules->undo_us, 60 * INT64_C(1000000));
    assert_true(rules->has_after && rules->has_hold && !rules->has_shadow);
    assert_true(review_rules_hide(rules, "note"));
    const struct review_rule *first = &rules->rules[0], *second = &rules->rules[1];
    assert_float_equal(first->sample, 0.25, 0);
    assert_float_equal(first->gold, 0.05, 0);
    assert_float_equal(first->blind, 0.1, 0); /* the standard */
    assert_int_equal(first->reviewers, 2);
    assert_int_equal(first->sla_us, 4 * 3600 * INT64_C(1000000));
    assert_int_equal(first->stakes, 3);
    assert_int_equal(first->on_expiry, REVIEW_EXPIRY_DEFAULT);
    assert_int_equal(second->mode, REVIEW_HOLD);
    assert_int_equal(second->on_expiry, REVIEW_EXPIRY_ESCALATE);
    assert_int_equal(second->sla_us, 2 * 86400 * INT64_C(1000000));
    assert_float_equal(second->blind, 1, 0);
    assert_true(rules->rules[2].is_random && rules->random == &rules->rules[2]);
    assert_true(rules->rules[3].is_appeal && rules->appeal == &rules->rules[3]);
}

static void errors_name_the_rule(void **state)
{
    (void)state;
    expect_error("[]", "expected an object with rules");
    expect_error("{}", "rules: expected a list");
    expect_error("rules: []", "an empty one");
    expect_error("rule: []", "\"rule\"");
    expect_error("rules: [5]", "rules[0]: expected a rule");
    expect_error("rules: [{when: random}]", "name");
    expect_error("rules: [{name: 'a b', when: random}]", "cannot be the name");
    expect_error("rules: [{name: a}]", "rule 'a'");
    expect_error("rules: [{name: a, when: 'x >'}]", "rule 'a', when: character 4");
    expect_error("rules: [{name: a, when: 'x > 1', sampel: 1}]", "sampel");
    expect_error("rules: [{name: a, when: 'x > 1', sample: 101%}]", "rule 'a', sample");
    expect_error("rules: [{name: a, when: 'x > 1', sla: 5}]", "rule 'a', sla");
    expect_error("rules: [{name: a, when: 'x > 1', sla: 9999999999999999999d}]", "rule 'a', sla");
    expect_error("rules: [{name: a, when: 'x > 1', reviewers: 0}]", "1 to 9");
    expect_error("rules: [{name: a, when: 'x > 1', on_expiry: drop}]", "default, reject, escalate");
    expect_error("rules: [{name: a, when: 'x > 1', mode: hold}]", "for how long");
    expect_error("rules: [{name: a, when: random, sample: 1, mode: hold, sla: 1h, on_expiry: "
                 "reject}]",
                 "random is known only after");
    expect_error("rules: [{name: a, when: disagrees_with_shadow, mode: hold, sla: 1h, on_expiry: "
                 "reject}]",
                 "disagrees_with_shadow is known only after");
    expect_error("rules: [{name: a, when: random}]", "no sample");
    expect_error("rules: [{name: a, when: 'x > 1'}, {name: a, when: 'x > 2'}]", "two rules");
    expect_error("rules: [{name: a, when: appeal}, {name: b, when: appeal}]", "second one");
}

static bool match(const struct review_rules *rules, int number, struct review_match *match)
{
    struct fixture_record fixture;
    const struct record *record = fixture_record_make(&fixture, number, 1);
    struct condition_facts facts = condition_facts_of(record, 0);
    return review_match(rules, &facts, match);
}

static void the_first_rule_wins(void **state)
{
    struct review_match m;
    (void)state;
    const struct review_rules *rules = parse("rules:\n"
                                             "  - {name: never, when: visits < 5, sample: 0%}\n"
                                             "  - {name: one, when: visits < 10}\n"
                                             "  - {name: two, when: visits < 20}\n");
    assert_true(match(rules, 3, &m));
    assert_string_equal(m.rule->name, "one");
    assert_true(match(rules, 15, &m));
    assert_string_equal(m.rule->name, "two");
    assert_false(match(rules, 50, &m));
}

/* 10 % of 20,000 draws, each its own id: 2,000 with a standard deviation of sqrt(20000 * .1 * .9) =
 * 42.4; five of those are 212. Both rules hold for all: probability 1 - .9 * .8 = 0.28, and the
 * second rule gets .9 * .2 = 18 % of all: 3,600, standard deviation 54.3, five of those 272. */
static void draws_have_their_chance(void **state)
{
    int first = 0, second = 0;
    struct review_match m;
    (void)state;
    struct review_rules *rules = parse("rules:\n"
                                       "  - {name: a, when: visits >= 0, sample: 10%}\n"
                                       "  - {name: b, when: visits >= 0, sample: 20%}\n");
    rules->salt[0] = 5;
    for (int i = 0; i < 20000; i++) {
        if (!match(rules, i, &m))
            continue;
        assert_float_equal(m.probability, 0.28, 1e-12);
        first += strcmp(m.rule->name, "a") == 0;
        second += strcmp(m.rule->name, "b") == 0;
    }
    assert_in_range(first, 2000 - 212, 2000 + 212);
    assert_in_range(second, 3600 - 272, 3600 + 272);
}

/* The random slice is a share of all rows, also of those that a rule before it has taken. */
static void the_random_slice_takes_from_all(void **state)
{
    int random_of_taken = 0, taken = 0;
    struct review_match m, again;
    (void)state;
    struct review_rules *rules = parse("rules:\n"
                                       "  - {name: all, when: visits >= 0}\n"
                                       "  - {name: slice, when: random, sample: 20%}\n");
    for (int i = 0; i < 10000; i++) {
        assert_true(match(rules, i, &m));
        assert_true(match(rules, i, &again));
        assert_int_equal(m.is_random, again.is_random); /* the same id, the same draw */
        assert_float_equal(m.probability, 1, 0);
        taken += strcmp(m.rule->name, "all") == 0;
        random_of_taken += m.is_random;
    }
    assert_int_equal(taken, 10000);
    /* 2,000, standard deviation 40 */
    assert_in_range(random_of_taken, 1800, 2200);
}

static void appeals_get_a_rule_of_their_own(void **state)
{
    struct review_match m;
    (void)state;
    const struct review_rules *rules =
        parse("rules: [{name: asked, when: appeal, reviewers: 2, stakes: 7}]");
    assert_false(match(rules, 1, &m));
    m = review_match_appeal(rules);
    assert_int_equal(m.rule->reviewers, 2);
    assert_float_equal(m.probability, 0, 0);
    assert_string_equal(review_match_appeal(NULL).rule->name, "appeal");
}

/* ---- several decisions ---- */

static struct review_verdict resolve(int wanted, bool is_number, double tolerance, int count,
                                     const char *const *labels)
{
    struct review_vote votes[REVIEW_REVIEWERS_MAX];
    for (int i = 0; i < count; i++)
        votes[i].label = labels[i];
    return review_resolve(votes, count, wanted, is_number, tolerance);
}
#define VOTES(...)                                                                                 \
    (int)ARRAY_LEN(((const char *const[]){__VA_ARGS__})), (const char *const[])                    \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static void classes_need_a_majority(void **state)
{
    struct review_verdict v;
    (void)state;
    v = resolve(1, false, 0, VOTES("a"));
    assert_int_equal(v.state, REVIEW_DECIDED);
    assert_string_equal(v.label, "a");
    v = resolve(2, false, 0, VOTES("a"));
    assert_int_equal(v.state, REVIEW_OPEN);
    assert_int_equal(v.reviewers, 2);
    v = resolve(2, false, 0, VOTES("a", "b"));
    assert_int_equal(v.state, REVIEW_OPEN);
    assert_int_equal(v.reviewers, 3);
    assert_false(v.is_escalated);
    v = resolve(2, false, 0, VOTES("a", "b", "b"));
    assert_int_equal(v.state, REVIEW_DECIDED);
    assert_string_equal(v.label, "b");
    v = resolve(2, false, 0, VOTES("a", "b", "c"));
    assert_int_equal(v.state, REVIEW_OPEN);
    assert_int_equal(v.reviewers, 4);
    assert_true(v.is_escalated);
    v = resolve(2, false, 0, VOTES("a", "b", "c", "a")); /* two of four are no majority */
    assert_int_equal(v.reviewers, 5);
    v = resolve(2, false, 0, VOTES("a", "b", "c", "d", "e", "f", "g", "h", "a"));
    assert_int_equal(v.state, REVIEW_DISPUTED);
    v = resolve(1, false, 0, VOTES("a", "b")); /* a late second opinion */
    assert_int_equal(v.state, REVIEW_OPEN);
}

static void numbers_agree_within_the_tolerance(void **state)
{
    struct review_verdict v;
    (void)state;
    v = resolve(2, true, 0.5, VOTES("10", "10.5"));
    assert_int_equal(v.state, REVIEW_DECIDED);
    assert_string_equal(v.label, "10.25");
    v = resolve(2, true, 0.4, VOTES("10", "10.5"));
    assert_int_equal(v.state, REVIEW_OPEN);
    v = resolve(2, true, 0.4, VOTES("10", "12", "10.3")); /* median 10.3; 10 is within 0.4 of it */
    assert_int_equal(v.state, REVIEW_DECIDED);
    assert_string_equal(v.label, "10.3");
    v = resolve(2, true, 0, VOTES("1", "2", "3"));
    assert_int_equal(v.state, REVIEW_OPEN);
    assert_int_equal(v.reviewers, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_is_read, setup_arena, free_arena),
        cmocka_unit_test_setup_teardown(errors_name_the_rule, setup_arena, free_arena),
        cmocka_unit_test_setup_teardown(the_first_rule_wins, setup_arena, free_arena),
        cmocka_unit_test_setup_teardown(draws_have_their_chance, setup_arena, free_arena),
        cmocka_unit_test_setup_teardown(the_random_slice_takes_from_all, setup_arena, free_arena),
        cmocka_unit_test_setup_teardown(appeals_get_a_rule_of_their_own, setup_arena, free_arena),
        cmocka_unit_test(classes_need_a_majority),
        cmocka_unit_test(numbers_agree_within_the_tolerance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
