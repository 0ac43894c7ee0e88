/* test_contract_csv.c - CSV files against a contract, and the JSON Schema callers get. */
#include <stdlib.h>

#include "base/check.h"
#include "base/file.h"
#include "contract/check_csv.h"
#include "contract/schema.h"
#include "test.h"

#include "contract_text.h"

#define ROWS                                                                                       \
    CONTRACT_TEXT("  - {name: id, logicalType: string, primaryKey: true, required: true}\n"        \
                  "  - name: x\n"                                                                  \
                  "    logicalType: number\n"                                                      \
                  "    required: true\n"                                                           \
                  "    logicalTypeOptions: {minimum: 0, maximum: 10}\n"                            \
                  "  - name: n\n"                                                                  \
                  "    logicalType: integer\n"                                                     \
                  "    logicalTypeOptions: {minimum: 0}\n"                                         \
                  "    customProperties:\n"                                                        \
                  "    - {property: slipwayInferred, value: true}\n"                               \
                  "    - {property: missingMarkers, value: [NA]}\n"                                \
                  "  - name: truth\n"                                                              \
                  "    logicalType: boolean\n"                                                     \
                  "    customProperties: [{property: slipwayRole, value: label}]\n")

struct fixture {
    struct contract *contract;
    struct arena *arena;
    struct check_report *report;
    struct err err;
};

static enum err_code check(struct fixture *f, const char *contract, const char *csv)
{
    *f = (struct fixture){.contract = contract_of(contract), .arena = arena_new(16 << 20)};
    return contract_check_csv(f->contract, str_of(csv), f->arena, &f->report, &f->err);
}

static void end(struct fixture *f)
{
    arena_free(f->arena);
    contract_free(f->contract);
}

static void every_row_is_judged_and_counted(void **state)
{
    struct fixture f;
    struct buf out;
    (void)state;
    /* Columns in any order, with the label; line 4 is empty, a quoted cell spans lines 5 and 6. */
    enum err_code code = check(&f, ROWS,
                               "truth,x,id,n\n"
                               "1,5,a,3\n"   /* good */
                               "0,50,b,-1\n" /* x rejected, n quarantined */
                               "\n"
                               "0,1,\"c\nc\",-2\n" /* n quarantined */
                               "0,,d,NA\n"         /* x missing */
                               "0,1,e\n"           /* too short */
                               "0,x,f,1\n");       /* x is no number */
    assert_int_equal(code, ERR_OK);
    assert_int_equal(f.report->row_count, 6);
    assert_int_equal(f.report->bad_row_count, 5);
    assert_int_equal(f.report->rejected_row_count, 4);
    assert_int_equal(f.report->suspect_row_count, 1);
    assert_int_equal(f.report->shape_count, 1);
    assert_int_equal(f.report->counts[1][RULE_RANGE], 1);
    assert_int_equal(f.report->counts[1][RULE_MISSING], 1);
    assert_int_equal(f.report->counts[1][RULE_TYPE], 1);
    assert_int_equal(f.report->counts[2][RULE_RANGE], 2);
    const int64_t lines[] = {3, 3, 5, 7, 8, 9};
    assert_int_equal(f.report->example_count, 6);
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        assert_int_equal(f.report->examples[i].line, lines[i]);
    assert_string_equal(f.report->examples[4].violation.expected, "4 cells");
    assert_string_equal(f.report->examples[4].violation.got, "3");
    buf_init(&out, 65536);
    struct json_writer w = {.out = &out};
    check_report_write(&w, f.contract, f.report);
    assert_non_null(strstr(buf_c(&out),
                           "{\"rows\":6,\"bad_rows\":5,\"rejected_rows\":4,\"suspect_rows\":1,"
                           "\"shape\":1,\"fields\":[{\"field\":\"x\",\"rule\":\"type\",\"policy\":"
                           "\"reject\",\"count\":1}"));
    assert_non_null(strstr(buf_c(&out),
                           "{\"line\":3,\"field\":\"x\",\"rule\":\"range\",\"policy\":\"reject\","
                           "\"expected\":\"a number in [0, 10]\",\"got\":\"50\"}"));
    buf_done(&out);
    end(&f);
}

static void a_header_that_breaks_the_contract_is_refused(void **state)
{
    static const struct {
        const char *csv, *message, *hint;
    } cases[] = {
        {"id,x,nn\n", "column 3: 'nn' is not a field of the contract", "did you mean 'n'?"},
        {"id,n\n", "no column for the required field 'x'", ""},
        {"id,x,x\n", "column 3: 'x' is there twice", ""},
        {"", "the file is empty: expected a header with field names", ""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture f;
        assert_int_not_equal(check(&f, ROWS, cases[i].csv), ERR_OK);
        assert_string_equal(f.err.msg, cases[i].message);
        assert_string_equal(f.err.hint, cases[i].hint);
        assert_null(f.report);
        end(&f);
    }
}

static void a_broken_file_ends_the_check(void **state)
{
    struct fixture f;
    (void)state;
    assert_int_equal(check(&f, ROWS, "id,x\na,1\nb,\"2\n"), ERR_INVALID);
    assert_string_equal(f.err.msg, "row 3, column 2 (line 3): a quote that is never closed");
    end(&f);
}

static void examples_stop_at_their_limit_and_counts_do_not(void **state)
{
    struct fixture f;
    struct buf csv;
    (void)state;
    buf_init(&csv, 1 << 20);
    buf_text(&csv, "id,x\n");
    for (int i = 0; i < 250; i++)
        buf_printf(&csv, "k%d,11\n", i);
    assert_int_equal(check(&f, ROWS, buf_c(&csv)), ERR_OK);
    assert_int_equal(f.report->example_count, CHECK_CSV_EXAMPLES_MAX);
    assert_int_equal(f.report->counts[1][RULE_RANGE], 250);
    buf_done(&csv);
    end(&f);
}

static void count_lines(void *arg, int64_t line, const struct violation *v)
{
    int64_t *sum = arg;
    *sum += line * 100 + v->row;
}

/* Rows that are refused are not shown. */
static void count_rows(void *arg, const struct rows *row)
{
    int64_t *sum = arg;
    *sum += row->count * 10000;
}

static void a_listener_gets_line_and_row(void **state)
{
    struct contract *c = contract_of(ROWS);
    struct arena *arena = arena_new(1 << 20);
    struct check_report *report = NULL;
    struct err err = {0};
    int64_t sum = 0;
    (void)state;
    const struct check_csv_watch watch = {count_lines, count_rows, &sum};
    struct csv *csv = csv_new(STR_LIT("id,x\na,1\n\nb,11\n"), ',');
    assert_int_equal(contract_check_csv_each(c, csv, &watch, arena, &report, &err), ERR_OK);
    assert_int_equal(sum, 10401); /* one good row; line 4, row 1 */
    csv_free(csv);
    arena_free(arena);
    contract_free(c);
}

/* The reference rows of the hotel data were made with the example contract; only categories beyond
 * its hundred are unknown: 9 countries, 110 agents, 35 companies, counted with the csv module of
 * Python. */
static void the_hotel_rows_fit_their_example_contract(void **state)
{
    struct buf contract, rows;
    struct err err = {0};
    struct fixture f;
    (void)state;
    if (file_read("../shared/data/contract_example.odcs.json", 1 << 20, &contract, &err)) {
        buf_done(&contract);
        print_message("skipped: ../shared/data is not there\n");
        skip();
    }
    assert_int_equal(file_read("../shared/data/hotel_booking/reference.csv", 8 << 20, &rows, &err),
                     ERR_OK);
    assert_int_equal(check(&f, buf_c(&contract), buf_c(&rows)), ERR_OK);
    assert_int_equal(f.report->row_count, 16913);
    assert_int_equal(f.report->rejected_row_count, 0);
    assert_int_equal(f.report->suspect_row_count, 0);
    int64_t unknown = 0;
    for (int i = 0; i < f.contract->field_count; i++)
        unknown += f.report->counts[i][RULE_CATEGORY];
    assert_int_equal(unknown, 9 + 110 + 35);
    end(&f);
    buf_done(&contract);
    buf_done(&rows);
}

static void the_json_schema_has_what_rejects_as_rules(void **state)
{
    struct contract *c = contract_of(CONTRACT_TEXT(
        "  - name: x\n"
        "    logicalType: number\n"
        "    required: true\n"
        "    description: size\n"
        "    logicalTypeOptions: {minimum: 0, exclusiveMaximum: 10}\n"
        "    customProperties: [{property: unit, value: mm}]\n"
        "  - name: soft\n"
        "    logicalType: integer\n"
        "    logicalTypeOptions: {minimum: 1}\n"
        "    customProperties: [{property: slipwayInferred, value: true}]\n"
        "  - name: c\n"
        "    logicalType: string\n"
        "    required: true\n"
        "    quality: [{metric: invalidValues, arguments: {validValues: [a, b]}}]\n"
        "    customProperties: [{property: slipwayPolicy, value: {unknownCategory: reject}}]\n"
        "  - {name: day, logicalType: date}\n"
        "  - {name: id, logicalType: integer, primaryKey: true, required: true}\n"));
    struct buf out;
    (void)state;
    buf_init(&out, 65536);
    contract_json_schema(c, &out);
    assert_string_equal(
        buf_c(&out),
        "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"test\","
        "\"type\":\"object\",\"properties\":{"
        "\"x\":{\"description\":\"size\",\"x-slipway-unit\":\"mm\",\"x-slipway-role\":\"feature\","
        "\"type\":\"number\",\"minimum\":0.0,\"exclusiveMaximum\":10.0},"
        "\"soft\":{\"x-slipway-role\":\"feature\",\"type\":[\"integer\",\"null\"],"
        "\"x-slipway-expected\":{\"minimum\":1.0}},"
        "\"c\":{\"x-slipway-role\":\"feature\",\"type\":\"string\",\"enum\":[\"a\",\"b\"]},"
        "\"day\":{\"x-slipway-role\":\"timestamp\",\"type\":[\"string\",\"null\"],"
        "\"format\":\"date\"},"
        "\"id\":{\"x-slipway-role\":\"key\",\"type\":[\"integer\",\"string\"]}},"
        "\"required\":[\"x\",\"c\",\"id\"],\"additionalProperties\":false}");
    buf_done(&out);
    contract_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_judged_and_counted),
        cmocka_unit_test(a_header_that_breaks_the_contract_is_refused),
        cmocka_unit_test(a_broken_file_ends_the_check),
        cmocka_unit_test(examples_stop_at_their_limit_and_counts_do_not),
        cmocka_unit_test(a_listener_gets_line_and_row),
        cmocka_unit_test(the_hotel_rows_fit_their_example_contract),
        cmocka_unit_test(the_json_schema_has_what_rejects_as_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
