/* test_feedback.c - feedback as JSON and CSV read into outcomes, items refused one by one. */
#include "monitor/feedback.h"

#include <string.h>

#include "base/clock.h"
#include "test.h"

struct reading {
    struct arena *arena;
    struct feedback feedback;
    struct err err;
};

static int setup(void **state)
{
    struct reading *r = calloc(1, sizeof(*r));
    r->arena = arena_new(64 * 1024 * 1024);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct reading *r = *state;
    arena_free(r->arena);
    free(r);
    return 0;
}

static enum err_code read_json(struct reading *r, const char *text, const char *model)
{
    yyjson_val *root;
    assert_int_equal(json_read_strict(str_of(text), r->arena, &root, &r->err), ERR_OK);
    return feedback_read_json(root, model, r->arena, &r->feedback, &r->err);
}

static enum err_code read_csv(struct reading *r, const char *text, const char *model)
{
    return feedback_read_csv(str_of(text), model, r->arena, &r->feedback, &r->err);
}

static void assert_refused(const struct reading *r, int i, const char *part)
{
    assert_true(i < r->feedback.count);
    assert_int_equal(r->feedback.outcomes[i].result, OUTCOME_REFUSED);
    if (!strstr(r->feedback.outcomes[i].reason, part))
        fail_msg("'%s' is not in: %s", part, r->feedback.outcomes[i].reason);
}

static void one_item_may_say_many_things(void **state)
{
    struct reading *r = *state;
    assert_int_equal(
        read_json(r,
                  "{\"id\": \"a-b-3\", \"label\": true, \"at\": \"1970-01-01T00:00:01.5Z\","
                  " \"values\": {\"revenue\": {\"value\": 12.5, \"unit\": \"EUR\", "
                  "\"direction\": \"up\"}, \"minutes\": -3}, \"event\": \"complaint\", "
                  "\"feedback_id\": 17}",
                  NULL),
        ERR_OK);
    const struct outcome *o = r->feedback.outcomes;
    assert_int_equal(r->feedback.count, 4);
    assert_true(r->feedback.is_single);
    assert_int_equal(o[0].kind, OUTCOME_LABEL);
    assert_true(str_equal_c(o[0].label, "true"));
    assert_true(str_equal_c(o[1].name, "revenue") && str_equal_c(o[1].unit, "EUR"));
    assert_int_equal(o[1].direction, OUTCOME_UP);
    assert_float_equal(o[1].value, 12.5, 0);
    assert_float_equal(o[2].value, -3, 0);
    assert_int_equal(o[3].kind, OUTCOME_EVENT);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(o[i].result, OUTCOME_PENDING);
        assert_true(str_equal_c(o[i].prediction_id, "a-b-3"));
        assert_true(str_equal_c(o[i].feedback_id, "17"));
        assert_int_equal(o[i].at_us, 1500000);
    }
}

static void a_label_keeps_its_digits(void **state)
{
    struct reading *r = *state;
    assert_int_equal(read_json(r, "{\"key\": 12345678901234567, \"label\": 1}", "churn"), ERR_OK);
    assert_true(str_equal_c(r->feedback.outcomes[0].key, "12345678901234567"));
    assert_true(str_equal_c(r->feedback.outcomes[0].label, "1"));
    assert_string_equal(r->feedback.outcomes[0].model, "churn");
}

static void a_value_may_stand_flat(void **state)
{
    struct reading *r = *state;
    assert_int_equal(read_json(r,
                               "{\"id\": \"a-0\", \"name\": \"revenue\", \"value\": 2, "
                               "\"unit\": \"EUR\", \"direction\": \"up\"}",
                               NULL),
                     ERR_OK);
    assert_int_equal(r->feedback.count, 1);
    assert_true(str_equal_c(r->feedback.outcomes[0].unit, "EUR"));
    assert_int_equal(r->feedback.outcomes[0].direction, OUTCOME_UP);
}

static void a_bad_item_is_refused_alone(void **state)
{
    static const struct {
        const char *item, *reason;
    } cases[] = {
        {"7", "must be an object, got uint"},
        {"{\"id\": \"a-0\"}", "says nothing"},
        {"{\"label\": 1}", "names no prediction"},
        {"{\"id\": \"a-0\", \"key\": \"k\", \"label\": 1}", "both 'id' and 'key'"},
        {"{\"key\": \"k\", \"label\": 1}", "has a key and no model"},
        {"{\"id\": \"a\", \"label\": 1}", "is no prediction's"},
        {"{\"id\": \"a-0\", \"label\": []}", "'label' must be text, got array"},
        {"{\"id\": \"a-0\", \"label\": \"\"}", "'label' is empty"},
        {"{\"id\": \"a-0\", \"label\": 1, \"model\": \"a b\"}", "cannot be the name of a model"},
        {"{\"id\": \"a-0\", \"label\": 1, \"at\": \"2026-02-30\"}", "expected a time"},
        {"{\"id\": \"a-0\", \"label\": 1, \"values\": {\"x\": \"3\"}}", "must be a number"},
        {"{\"id\": \"a-0\", \"values\": [1]}", "must be an object of numbers"},
        {"{\"id\": \"a-0\", \"values\": {\"x\": {\"value\": 1, \"direction\": \"left\"}}}",
         "expected up or down"},
        {"{\"id\": \"a-0\", \"values\": {\"x\": {\"valeu\": 1}}}", "valeu"},
        {"{\"id\": \"a-0\", \"value\": 1}", "no 'name'"},
        {"{\"id\": \"a-0\", \"name\": \"x\"}", "no 'value'"},
        {"{\"id\": \"a-0\", \"lable\": 1}", "lable"},
    };
    struct reading *r = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const char *text = arena_printf(
            r->arena, "{\"items\": [{\"id\": \"z-0\", \"label\": 1}, %s]}", cases[i].item);
        assert_int_equal(read_json(r, text, NULL), ERR_OK);
        assert_int_equal(r->feedback.count, 2);
        assert_int_equal(r->feedback.items[1], 1);
        assert_int_equal(r->feedback.outcomes[0].result, OUTCOME_PENDING);
        assert_refused(r, 1, cases[i].reason);
    }
}

static void too_many_outcomes_are_refused_as_a_whole(void **state)
{
    struct reading *r = *state;
    struct buf text;
    buf_init(&text, 1 << 20);
    buf_lit(&text, "id,label\n");
    for (int i = 0; i < OUTCOME_BATCH_MAX; i++)
        buf_lit(&text, "a-0,1\n");
    assert_int_equal(read_csv(r, buf_c(&text), NULL), ERR_OK);
    assert_int_equal(r->feedback.count, OUTCOME_BATCH_MAX);
    buf_lit(&text, "a-0,1\n");
    assert_int_equal(read_csv(r, buf_c(&text), NULL), ERR_LIMIT);
    assert_non_null(strstr(r->err.msg, "more than 1000 outcomes"));
    buf_done(&text);
}

static void columns_say_what_items_say(void **state)
{
    struct reading *r = *state;
    assert_int_equal(read_csv(r,
                              "key,label,values.revenue,event,at\n"
                              "C1,yes,12.5,,2026-01-31\n"
                              "C2,,,complaint,\n",
                              "churn"),
                     ERR_OK);
    const struct outcome *o = r->feedback.outcomes;
    assert_int_equal(r->feedback.count, 3);
    assert_int_equal(r->feedback.item_count, 2);
    assert_true(str_equal_c(o[0].label, "yes") && str_equal_c(o[0].key, "C1"));
    assert_int_equal(o[0].at_us, INT64_C(1769817600) * CLOCK_SECOND_US); /* date -u -d 2026-01-31 */
    assert_true(str_equal_c(o[1].name, "revenue") && o[1].value == 12.5);
    assert_true(str_equal_c(o[2].name, "complaint") && o[2].at_us == 0);
    assert_int_equal(r->feedback.items[2], 1);
}

static void bad_rows_and_heads_are_told(void **state)
{
    struct reading *r = *state;
    assert_int_equal(read_csv(r, "", NULL), ERR_INVALID);
    assert_int_equal(read_csv(r, "id,label\n", NULL), ERR_INVALID);
    assert_int_equal(read_csv(r, "id,label,label\na-0,1,1\n", NULL), ERR_INVALID);
    assert_non_null(strstr(r->err.msg, "'label' is there twice"));
    assert_int_equal(read_csv(r, "id,truth\na-0,1\n", NULL), ERR_INVALID);
    assert_non_null(strstr(r->err.msg, "'truth'"));
    assert_int_equal(read_csv(r,
                              "id,label,name,value,direction\na-0,1\na-1,1,,3,\na-2,,x,3,left\n"
                              "a-3,,x,z,\na-4,,x,3,\n",
                              NULL),
                     ERR_OK);
    assert_refused(r, 0, "has 2 cells, expected 5");
    assert_refused(r, 1, "no 'name'");
    assert_refused(r, 2, "expected up or down");
    assert_refused(r, 3, "must be a number, got 'z'");
    assert_int_equal(r->feedback.outcomes[4].result, OUTCOME_PENDING);
}

/* Expected values: date -u -d TEXT +%s. */
static void times_have_many_forms(void **state)
{
    static const struct {
        const char *text;
        int64_t seconds;
    } cases[] = {
        {"2026-01-31T09:30:00Z", 1769851800},
        {"2026-01-31T10:30:00+01:00", 1769851800},
        {"2026-01-31T04:00:00-0530", 1769851800},
        {"2026-01-31 09:30:00", 1769851800},
        {"2000-02-29", 951782400},
        {"1969-12-31T23:59:59Z", -1},
        {"9999-12-31T23:59:59Z", 253402300799},
    };
    int64_t wall_us;
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        assert_true(feedback_time(str_of(cases[i].text), &wall_us));
        assert_int_equal(wall_us, cases[i].seconds * CLOCK_SECOND_US);
    }
    assert_true(feedback_time(STR_LIT("1970-01-01T00:00:00.25Z"), &wall_us));
    assert_int_equal(wall_us, 250000);
    assert_false(feedback_time(STR_LIT("1970-01-01T00:00"), &wall_us));
    assert_false(feedback_time(STR_LIT("12"), &wall_us));
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(one_item_may_say_many_things),
        test(a_label_keeps_its_digits),
        test(a_value_may_stand_flat),
        test(a_bad_item_is_refused_alone),
        test(too_many_outcomes_are_refused_as_a_whole),
        test(columns_say_what_items_say),
        test(bad_rows_and_heads_are_told),
        test(times_have_many_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
