/* test_review_condition.c - conditions of review rules: what they mean, and what is said of a wrong
 * one.
 */
#include <math.h>

#include "record_fixture.h"
#include "review/condition.h"
#include "test.h"

enum { ARENA_BYTES = 1024 * 1024 };

/* Number 620 gives, by record_fixture.h: monthly_fee 620, visits 20, plan 620 % 3 = 2 "family",
 * probability of "leaves" 0.62, so the answer is "leaves" with score 0.62; customer_id "c-20" (620
 * % 50), note "note 620/0"; violations 620 % 4 = 0; row 0 is suspect when the number is odd. */
static bool holds_for(int number, const char *text, bool is_disagreement)
{
    struct fixture_record fixture;
    struct arena *arena = arena_new(ARENA_BYTES);
    struct condition *condition = NULL;
    struct err err = {0};
    const struct record *record = fixture_record_make(&fixture, number, 1);
    struct condition_facts facts = condition_facts_of(record, 0);
    facts.is_disagreement = is_disagreement;
    if (condition_parse(str_of(text), arena, &condition, &err))
        fail_msg("%s: %s", text, err.msg);
    bool holds = condition_holds(condition, &facts);
    assert_int_equal(condition_holds(condition, &facts), holds); /* the place is known now */
    arena_free(arena);
    return holds;
}

static bool holds(const char *text)
{
    return holds_for(620, text, false);
}

static void numbers_are_compared(void **state)
{
    (void)state;
    assert_true(holds("monthly_fee > 619.5"));
    assert_false(holds("monthly_fee > 620"));
    assert_true(holds("monthly_fee >= 620"));
    assert_true(holds("monthly_fee = 620"));
    assert_false(holds("monthly_fee != 620"));
    assert_true(holds("visits < 21 and visits <= 20"));
    assert_false(holds("visits < 20"));
    assert_true(holds("visits between 20 and 30"));
    assert_false(holds("visits not between 20 and 30"));
    assert_true(holds("visits in (1, 20, 300)"));
    assert_false(holds("visits not in (1, 20, 300)"));
    assert_true(holds("visits > -1e3"));
}

static void scores_and_answers(void **state)
{
    (void)state;
    assert_true(holds("score between 0.6 and 0.65"));
    assert_true(holds("score between 60% and 65%"));
    assert_true(holds("score(leaves) > .6"));
    assert_true(holds("score(stays) < 0.4"));
    assert_true(holds("answer = 'leaves'"));
    assert_false(holds("answer = \"stays\""));
    assert_true(holds_for(400, "answer = 'stays' and score > 0.59", false));
    assert_false(holds("score(nobody) >= 0"));
}

/* 0.62 as a float32 is 0.62000000476837158: equal to the 0.62 of the condition all the same. */
static void bounds_are_rounded_as_values_are(void **state)
{
    (void)state;
    assert_true(holds("score <= 0.62"));
    assert_true(holds("score >= 0.62"));
}

static void texts_and_categories(void **state)
{
    (void)state;
    assert_true(holds("plan = 'family'"));
    assert_true(holds("plan in ('basic', 'family')"));
    assert_false(holds("plan > 0")); /* a category is no number */
    assert_true(holds("customer_id = 'c-20'"));
    assert_false(holds("note is missing"));
    assert_true(holds("`note` is not missing"));
}

static void flags(void **state)
{
    (void)state;
    assert_false(holds("suspect"));
    assert_true(holds_for(621, "suspect", false));
    assert_false(holds("disagrees_with_shadow"));
    assert_true(holds_for(620, "disagrees_with_shadow", true));
    assert_true(holds_for(623, "violations >= 3", false)); /* 623 % 4 = 3 */
}

static void words_bind_as_usual(void **state)
{
    (void)state;
    assert_true(holds("visits = 20 or visits = 1 and visits = 2"));
    assert_false(holds("(visits = 20 or visits = 1) and visits = 2"));
    assert_true(holds("not visits = 1 and not (visits = 2 or suspect)"));
    assert_true(holds("not not visits = 20"));
}

/* A field that this version does not have, and a cell that is missing. */
static void what_is_missing_fails_every_test(void **state)
{
    struct fixture_record fixture;
    struct arena *arena = arena_new(ARENA_BYTES);
    struct condition *condition = NULL;
    struct err err = {0};
    (void)state;
    assert_false(holds("income > 0"));
    assert_false(holds("income <= 0"));
    assert_true(holds("income is missing"));
    assert_true(holds("income != 5"));
    const struct record *record = fixture_record_make(&fixture, 620, 1);
    fixture.values[0] = NAN;
    struct condition_facts facts = condition_facts_of(record, 0);
    assert_int_equal(condition_parse(STR_LIT("monthly_fee < 1e9"), arena, &condition, &err), 0);
    assert_false(condition_holds(condition, &facts));
    assert_int_equal(condition_parse(STR_LIT("monthly_fee is missing"), arena, &condition, &err),
                     0);
    assert_true(condition_holds(condition, &facts));
    arena_free(arena);
}

static void expect_error(const char *text, enum err_code code, const char *part)
{
    struct arena *arena = arena_new(ARENA_BYTES);
    struct condition *untouched = (struct condition *)(uintptr_t)text, *condition = untouched;
    struct err err = {0};
    assert_int_equal(condition_parse(str_of(text), arena, &condition, &err), code);
    if (!strstr(err.msg, part))
        fail_msg("%s: %s", text, err.msg);
    assert_ptr_equal(condition, untouched);
    arena_free(arena);
}

static void errors_say_where_and_what(void **state)
{
    (void)state;
    expect_error("", ERR_INVALID, "character 1: expected a field, score");
    expect_error("amount", ERR_INVALID,
                 "character 7: expected one of < <= > >= = != between in is");
    expect_error("amount >", ERR_INVALID, "character 9: expected a number, got the end");
    expect_error("amount > 'x'", ERR_INVALID, "character 10: expected a number");
    expect_error("amount > 5 6", ERR_INVALID, "character 12: expected 'and', 'or' or the end");
    expect_error("amount > 5x", ERR_INVALID, "character 10: letters follow");
    expect_error("amount > 1e99", ERR_INVALID, "float32");
    expect_error("amount ! 5", ERR_INVALID, "character 8: this character has no meaning");
    expect_error("score between 0.6 and 0.4", ERR_INVALID, "lower end is above");
    expect_error("score between 0.4 or 0.6", ERR_INVALID, "'and' and the upper end");
    expect_error("(a > 1", ERR_INVALID, "expected ')'");
    expect_error("a in ()", ERR_INVALID, "expected a number, true, false or 'text'");
    expect_error("a = 'x", ERR_INVALID, "character 5: this quote never closes");
    expect_error("`` > 1", ERR_INVALID, "is empty");
    expect_error("and > 1", ERR_INVALID, "character 1");
    expect_error("score(and) > 1", ERR_INVALID, "the name of a class");
    expect_error("a is 5", ERR_INVALID, "'missing'");
    expect_error("a not > 5", ERR_INVALID, "'in' or 'between'");
    expect_error("a > 1; drop", ERR_INVALID, "character 6");
    expect_error("a > \xff", ERR_INVALID, "not UTF-8");
}

static void sizes_are_limited(void **state)
{
    char text[CONDITION_BYTES_MAX + 2];
    size_t len = 0;
    (void)state;
    memset(text, ' ', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    expect_error(text, ERR_LIMIT, "longer than 2048");
    for (int i = 0; i <= CONDITION_DEPTH_MAX; i++)
        text[len++] = '(';
    memcpy(text + len, "a > 1", 6);
    expect_error(text, ERR_LIMIT, "more than 16 levels");
    len = 0;
    for (int i = 0; i <= CONDITION_TESTS_MAX; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%sa > 1", i ? " or " : "");
    expect_error(text, ERR_LIMIT, "more than 32 tests");
    len = (size_t)snprintf(text, sizeof(text), "a in (1");
    for (int i = 0; i < CONDITION_LITERALS_MAX; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, ",1");
    snprintf(text + len, sizeof(text) - len, ")");
    expect_error(text, ERR_LIMIT, "more than 64 values");
}

static void names_are_listed(void **state)
{
    struct arena *arena = arena_new(ARENA_BYTES);
    struct condition *condition;
    struct err err = {0};
    bool is_class = true;
    (void)state;
    assert_int_equal(condition_parse(STR_LIT("score > 0.1 and `mean radius` < 3 or score(2) = 1"),
                                     arena, &condition, &err),
                     0);
    assert_true(str_equal_c(condition_name(condition, 0, &is_class), "mean radius"));
    assert_false(is_class);
    assert_true(str_equal_c(condition_name(condition, 1, &is_class), "2"));
    assert_true(is_class);
    assert_null(condition_name(condition, 2, &is_class).ptr);
    assert_false(condition_needs_shadow(condition));
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_compared),
        cmocka_unit_test(scores_and_answers),
        cmocka_unit_test(bounds_are_rounded_as_values_are),
        cmocka_unit_test(texts_and_categories),
        cmocka_unit_test(flags),
        cmocka_unit_test(words_bind_as_usual),
        cmocka_unit_test(what_is_missing_fails_every_test),
        cmocka_unit_test(errors_say_where_and_what),
        cmocka_unit_test(sizes_are_limited),
        cmocka_unit_test(names_are_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
