/* test_training_rows.c - digests of training rows: what they tell, and what they survive. */
#include "contract/training_rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"

#include "contract_text.h"

#define FIELDS                                                                                     \
    CONTRACT_TEXT(                                                                                 \
        "  - {name: size, logicalType: number}\n"                                                  \
        "  - name: plan\n"                                                                         \
        "    logicalType: string\n"                                                                \
        "    quality: [{metric: invalidValues, arguments: {validValues: [basic, pro]}}]\n"         \
        "  - name: customer\n"                                                                     \
        "    logicalType: string\n"                                                                \
        "    customProperties: [{property: slipwayRole, value: key}]\n")

static struct arena *arena;
static struct err err;

static int set_up(void **state)
{
    (void)state;
    arena = arena_new(256 * 1024 * 1024);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

/* The contract's document with digests of these rows. */
static struct str document_with(const char *rows)
{
    struct buf yaml;
    struct csv *csv = csv_new(str_of(rows), ',');
    buf_init(&yaml, CONTRACT_BYTES_MAX);
    buf_text(&yaml, FIELDS);
    if (training_rows_add(csv, arena, &yaml, &err))
        fail_msg("%s", err.msg);
    csv_free(csv);
    struct str copy = {arena_copy(arena, yaml.data, yaml.len), yaml.len};
    buf_done(&yaml);
    return copy;
}

static struct training_rows find(struct str document)
{
    struct training_rows rows;
    bool is_there = false;
    if (training_rows_find(document, arena, &rows, &is_there, &err))
        fail_msg("%s", err.msg);
    assert_true(is_there);
    return rows;
}

static uint64_t digest_of(const struct contract *contract, const char *size, const char *plan,
                          const char *customer)
{
    struct rows rows;
    assert_int_equal(rows_begin(&rows, contract, 1, arena, &err), ERR_OK);
    rows_put_csv(&rows, 0, contract_field_find(contract, STR_LIT("size")), str_of(size));
    rows_put_csv(&rows, 0, contract_field_find(contract, STR_LIT("plan")), str_of(plan));
    rows_put_csv(&rows, 0, contract_field_find(contract, STR_LIT("customer")), str_of(customer));
    return training_row_digest(&rows, 0);
}

/* The contract with the digests is still a contract; a row is found by its features alone, however
 * its numbers are written and in whatever order the columns stand. */
static void a_row_is_found_by_its_features(void **state)
{
    (void)state;
    struct str document = document_with("plan,customer,size\nbasic,c1,1.5\npro,c2,-0\n,c3,\n");
    struct contract *contract = contract_of(document.ptr);
    struct training_rows rows = find(document);
    assert_int_equal(rows.row_count, 3);
    assert_int_equal(rows.repeated_count, 0);
    assert_true(rows.is_whole);
    assert_true(rows.features == training_rows_features(contract));
    assert_true(training_rows_has(&rows, digest_of(contract, "1.50", "basic", "another")));
    assert_true(training_rows_has(&rows, digest_of(contract, "0", "pro", "c2")));
    assert_true(training_rows_has(&rows, digest_of(contract, "", "", "c3")));
    assert_false(training_rows_has(&rows, digest_of(contract, "1.5", "pro", "c1")));
    assert_false(training_rows_has(&rows, digest_of(contract, "1.51", "basic", "c1")));
    contract_free(contract);
}

static void rows_that_repeat_are_counted(void **state)
{
    (void)state;
    struct training_rows rows = find(document_with("size,plan\n1,pro\n1,pro\n2,pro\n1.0,pro\n"));
    assert_int_equal(rows.row_count, 4);
    assert_int_equal(rows.repeated_count, 2);
    assert_int_equal(rows.kept_count, 2);
}

/* 20,000 rows: 4096 digests are kept, the least. About a fifth of the rows can be looked up, and
 * all of those are found; none of 20,000 other rows is. */
static void of_many_rows_a_sample_is_kept(void **state)
{
    (void)state;
    struct buf text;
    char size[32];
    int looked = 0, found = 0, false_finds = 0;
    buf_init(&text, 1 << 24);
    buf_lit(&text, "size,plan\n");
    for (int i = 0; i < 20000; i++)
        buf_printf(&text, "%d,basic\n", i);
    struct str document = document_with(buf_c(&text));
    buf_done(&text);
    struct contract *contract = contract_of(document.ptr);
    struct training_rows rows = find(document);
    assert_int_equal(rows.kept_count, TRAINING_ROWS_KEPT);
    assert_false(rows.is_whole);
    for (int i = 0; i < 20000; i++) {
        snprintf(size, sizeof(size), "%d", i);
        uint64_t digest = digest_of(contract, size, "basic", "");
        looked += training_rows_covers(&rows, digest);
        found += training_rows_has(&rows, digest);
        false_finds += training_rows_has(&rows, digest_of(contract, size, "pro", ""));
    }
    assert_int_equal(looked, TRAINING_ROWS_KEPT);
    assert_int_equal(found, TRAINING_ROWS_KEPT);
    assert_int_equal(false_finds, 0);
    contract_free(contract);
}

static void expect_refused(const char *value, const char *message)
{
    struct training_rows rows;
    bool is_there;
    const char *text = arena_printf(
        arena, "customProperties:\n- {property: slipwayTrainingRows, value: %s}\n", value);
    assert_int_equal(training_rows_find(str_of(text), arena, &rows, &is_there, &err), ERR_INVALID);
    if (!strstr(err.msg, message))
        fail_msg("%s", err.msg);
}

static void damaged_digests_are_refused(void **state)
{
    (void)state;
    expect_refused("{n: 1, features: '00', digests: ''}", "16 hex digits");
    expect_refused("{n: 1, features: '0011223344556677', digests: '00112233'}", "10 hex digits");
    expect_refused("{n: 2, features: '0011223344556677', digests: '00112233440011223344'}",
                   "must ascend");
    expect_refused("{n: 1, features: '0011223344556677', digests: 'zz11223344'}",
                   "expected hex digits");
    expect_refused("{n: 1, repeated: 2, features: '0011223344556677', digests: ''}",
                   "expected counts");
    expect_refused("[1]", "expected an object");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_is_found_by_its_features),
        cmocka_unit_test(rows_that_repeat_are_counted),
        cmocka_unit_test(of_many_rows_a_sample_is_kept),
        cmocka_unit_test(damaged_digests_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
