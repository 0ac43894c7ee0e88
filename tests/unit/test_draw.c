/* test_draw.c - drawn values obey the contract they are drawn from, in its profile's proportions.
 */
#include "contract/draw.h"

#include <math.h>

#include "base/check.h"
#include "contract/check.h"
#include "test.h"

enum { ROWS = 20000, ARENA_BYTES = 64 << 20 };

/* temp: 90 of 100 training rows in (0, 10], 5 in (10, 40], 5 missing. */
static const char document[] =
    "{\"apiVersion\":\"v3.1.0\",\"kind\":\"DataContract\",\"id\":\"d\",\"version\":\"1.0.0\","
    "\"status\":\"active\",\"schema\":[{\"name\":\"r\",\"logicalType\":\"object\",\"properties\":["
    "{\"name\":\"temp\",\"logicalType\":\"number\",\"logicalTypeOptions\":{\"minimum\":0,"
    "\"maximum\":40},\"customProperties\":[{\"property\":\"slipwayReference\","
    "\"value\":{\"kind\":\"numeric\",\"n\":100,\"missing\":5,\"edges\":[10],"
    "\"counts\":[90,5],\"mean\":6,\"std\":4}}]},"
    "{\"name\":\"count\",\"logicalType\":\"integer\",\"required\":true,\"logicalTypeOptions\":"
    "{\"minimum\":1,\"exclusiveMaximum\":4}},"
    "{\"name\":\"open\",\"logicalType\":\"boolean\",\"required\":true},"
    "{\"name\":\"code\",\"logicalType\":\"string\",\"customProperties\":[{\"property\":"
    "\"slipwayRole\",\"value\":\"key\"}],\"logicalTypeOptions\":{\"pattern\":\"^X\"}}]}]}";

static struct contract *read_contract(void)
{
    struct contract *contract = NULL;
    struct err err = {0};
    if (contract_parse(str_of(document), &contract, &err))
        fail_msg("%s", err.msg);
    return contract;
}

static const struct contract_field *field_of(const struct contract *contract, const char *name)
{
    return contract_field_find(contract, str_of(name));
}

/* 4.5 standard errors of a share of 0.9 among 20,000 are 0.0095, of one of 0.05 are 0.0069. */
static void test_proportions_are_those_of_the_profile(void **state)
{
    (void)state;
    struct contract *contract = read_contract();
    const struct contract_field *temp = field_of(contract, "temp");
    struct rand rand;
    int low = 0, high = 0, missing = 0;
    rand_seed(&rand, 7);
    for (int i = 0; i < ROWS; i++) {
        double value = draw_number(temp, &rand);
        missing += isnan(value);
        low += value <= 10;
        high += value > 10;
        assert_false(value < 0 || value > 40);
    }
    assert_true(fabs(low / (double)ROWS - 0.9) < 0.0095);
    assert_true(fabs(high / (double)ROWS - 0.05) < 0.0069);
    assert_true(fabs(missing / (double)ROWS - 0.05) < 0.0069);
    contract_free(contract);
}

static void test_integers_stay_whole_and_below_what_they_exclude(void **state)
{
    (void)state;
    struct contract *contract = read_contract();
    const struct contract_field *count = field_of(contract, "count");
    struct rand rand;
    bool is_seen[4] = {0};
    rand_seed(&rand, 7);
    for (int i = 0; i < 1000; i++) {
        double value = draw_number(count, &rand);
        assert_true(value == 1 || value == 2 || value == 3);
        is_seen[(int)value] = true;
    }
    assert_true(is_seen[1] && is_seen[2] && is_seen[3]);
    contract_free(contract);
}

static void test_text_with_a_pattern_is_not_made_up(void **state)
{
    (void)state;
    struct contract *contract = read_contract();
    struct rand rand;
    struct buf out;
    rand_seed(&rand, 7);
    buf_init(&out, 100);
    assert_false(draw_json(field_of(contract, "code"), &rand, 3, &out));
    assert_int_equal(out.len, 0);
    assert_true(draw_json(field_of(contract, "open"), &rand, 3, &out));
    assert_true(strcmp(buf_c(&out), "true") == 0 || strcmp(buf_c(&out), "false") == 0);
    buf_done(&out);
    contract_free(contract);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_proportions_are_those_of_the_profile),
        cmocka_unit_test(test_integers_stay_whole_and_below_what_they_exclude),
        cmocka_unit_test(test_text_with_a_pattern_is_not_made_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
