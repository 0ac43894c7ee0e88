/* test_contract_infer.c - drafts of contracts from rows: each rule on rows made for it, and all of
 * them on rows whose statistics numpy worked out (tests/golden/contract). */
#include "contract/infer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/file.h"
#include "contract/check_csv.h"
#include "contract/contract.h"
#include "test.h"

struct fixture {
    struct arena *arena;
    struct buf yaml;
    struct infer_report report;
    struct contract *contract;
    struct err err;
};

static enum err_code infer(struct fixture *f, struct str rows, const struct infer_options *options)
{
    struct csv *csv = csv_new(rows, ',');
    *f = (struct fixture){.arena = arena_new(64 << 20)};
    buf_init(&f->yaml, CONTRACT_BYTES_MAX);
    enum err_code code = contract_infer(csv, options, f->arena, &f->yaml, &f->report, &f->err);
    csv_free(csv);
    if (!code && contract_parse(buf_view(&f->yaml), &f->contract, &f->err) != ERR_OK)
        fail_msg("the draft does not parse: %s", f->err.msg);
    return code;
}

static void end(struct fixture *f)
{
    contract_free(f->contract);
    buf_done(&f->yaml);
    arena_free(f->arena);
}

static const struct contract_field *field(const struct fixture *f, const char *name)
{
    const struct contract_field *found = map_find(&f->contract->field_by_name, str_of(name));
    assert_non_null(found);
    return found;
}

static const char *hint(const struct fixture *f, const char *name)
{
    for (int i = 0; i < f->report.hint_count; i++)
        if (strcmp(f->report.hints[i].field, name) == 0)
            return f->report.hints[i].text;
    return "";
}

/* A file of one column `x`, value(i) for each row. */
static struct buf column(int rows, void (*put)(struct buf *out, int row))
{
    struct buf out;
    buf_init(&out, 16 << 20);
    buf_text(&out, "x\n");
    for (int i = 0; i < rows; i++) {
        put(&out, i);
        buf_char(&out, '\n');
    }
    return out;
}

static const struct infer_options none;

/* --- types ------------------------------------------------------------------------------------ */

static void types_are_the_narrowest_that_fit_every_cell(void **state)
{
    struct fixture f;
    (void)state;
    assert_int_equal(infer(&f,
                           STR_LIT("whole,number,day,time,flag,text,mixed,empty\n"
                                   "1,1,2024-01-31,2024-01-31T10:00:00Z,true,a,1,\n"
                                   "-2, 2.5 ,2024-02-29,2024-02-29 10:00:00,False,b,x,NA\n"
                                   "NA,1e3,,,,?,,\n"),
                           &none),
                     ERR_OK);
    assert_int_equal(field(&f, "whole")->type, TYPE_INTEGER);
    assert_int_equal(field(&f, "number")->type, TYPE_NUMBER);
    assert_int_equal(field(&f, "day")->type, TYPE_DATE);
    assert_int_equal(field(&f, "day")->role, ROLE_TIMESTAMP);
    assert_int_equal(field(&f, "time")->type, TYPE_TIMESTAMP);
    assert_int_equal(field(&f, "flag")->type, TYPE_BOOLEAN);
    assert_int_equal(field(&f, "text")->category_count, 2);
    assert_int_equal(field(&f, "mixed")->type, TYPE_STRING);
    assert_int_equal(field(&f, "empty")->role, ROLE_SEGMENT);
    assert_string_equal(hint(&f, "empty"), "has no value in any row: it is kept out of the model");
    assert_string_equal(f.contract->status, "draft");
    end(&f);
}

/* --- missing ---------------------------------------------------------------------------------- */

static void texts_that_mean_missing_are_kept_as_markers(void **state)
{
    struct fixture f;
    (void)state;
    assert_int_equal(infer(&f, STR_LIT("n,c\n1,a\nN/A,unknown\nnan,UNK\n-,-\n,\n2,b\n"), &none),
                     ERR_OK);
    const struct contract_field *n = field(&f, "n"), *c = field(&f, "c");
    assert_int_equal(n->type, TYPE_INTEGER);
    assert_int_equal(n->missing_marker_count, 3);
    assert_true(str_equal_c(n->missing_markers[0], "N/A"));
    assert_int_equal(n->profile.missing_count, 4);
    assert_int_equal(c->category_count, 2);
    assert_int_equal(c->missing_marker_count, 3);
    assert_int_equal(c->profile.missing_count, 4);
    end(&f);
}

/* 1,000 rows 0..99 ten times each, and -200 in ten of them: 1 % >= 0.3 %, IQR of the rest about 50,
 * gap 200 > 100. */
static void put_far(struct buf *out, int row)
{
    buf_i64(out, row % 101 == 100 ? -200 : row % 101);
}

static void put_near(struct buf *out, int row)
{
    buf_i64(out, row % 101 == 100 ? -90 : row % 101);
}

static void put_rare(struct buf *out, int row)
{
    buf_i64(out, row == 500 ? -200 : row % 101);
}

static void a_number_far_from_all_others_means_missing(void **state)
{
    struct fixture f;
    struct buf rows = column(1010, put_far);
    (void)state;
    assert_int_equal(infer(&f, buf_view(&rows), &none), ERR_OK);
    const struct contract_field *x = field(&f, "x");
    assert_int_equal(x->missing_number_count, 1);
    assert_true(x->missing_numbers[0] == -200);
    assert_int_equal(x->profile.missing_count, 10);
    assert_false(x->is_required);
    assert_true(x->min == 0 && x->max == 148); /* of 0..99: 148.5, whole */
    assert_string_equal(hint(&f, "x"), "-200 in 1.0 % of the rows was taken for missing");
    end(&f);
    buf_done(&rows);
    rows = column(1010, put_near); /* gap 90 < 2 * 49.5 */
    assert_int_equal(infer(&f, buf_view(&rows), &none), ERR_OK);
    assert_int_equal(field(&f, "x")->missing_number_count, 0);
    end(&f);
    buf_done(&rows);
    rows = column(1010, put_rare); /* 0.1 % of the rows */
    assert_int_equal(infer(&f, buf_view(&rows), &none), ERR_OK);
    assert_int_equal(field(&f, "x")->missing_number_count, 0);
    end(&f);
    buf_done(&rows);
}

static void put_index(struct buf *out, int row)
{
    buf_printf(out, "%d", (row * 7919) % 997);
}

static void put_index_once_missing(struct buf *out, int row)
{
    if (row != 3)
        put_index(out, row);
}

static void a_field_is_required_after_enough_rows_without_a_gap(void **state)
{
    const struct {
        int rows;
        int64_t least;
        void (*put)(struct buf *, int);
        bool is_required;
    } cases[] = {
        {1000, 0, put_index, true},
        {999, 0, put_index, false},
        {999, 500, put_index, true},
        {1000, 0, put_index_once_missing, false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture f;
        struct buf rows = column(cases[i].rows, cases[i].put);
        const struct infer_options options = {.required_rows_min = cases[i].least};
        /* A row of one empty cell would be an empty line. */
        for (size_t k = 0; k + 1 < rows.len; k++)
            if (rows.data[k] == '\n' && rows.data[k + 1] == '\n')
                rows.data[k] = ' ';
        assert_int_equal(infer(&f, buf_view(&rows), &options), ERR_OK);
        if (cases[i].put == put_index)
            assert_int_equal(f.report.row_count, cases[i].rows);
        assert_int_equal(field(&f, "x")->is_required, cases[i].is_required);
        end(&f);
        buf_done(&rows);
    }
}

/* --- categories ------------------------------------------------------------------------------- */

static void put_text_101(struct buf *out, int row)
{
    buf_printf(out, "t%d", row % 101);
}

static void put_text_100(struct buf *out, int row)
{
    buf_printf(out, "t%d", row % 100);
}

static void text_with_a_hundred_values_is_categorical_and_with_more_is_not(void **state)
{
    struct fixture f;
    struct buf rows = column(1010, put_text_100);
    (void)state;
    assert_int_equal(infer(&f, buf_view(&rows), &none), ERR_OK);
    const struct contract_field *x = field(&f, "x");
    assert_int_equal(x->category_count, 100);
    assert_int_equal(x->role, ROLE_FEATURE);
    assert_true(str_equal_c(x->categories[0], "t0"));
    assert_true(str_equal_c(x->categories[2], "t10")); /* sorted by bytes: t0 t1 t10 t11 ... */
    assert_int_equal(x->profile.bin_count, 31);        /* the 30 most frequent and the rest */
    assert_int_equal(x->policy[RULE_CATEGORY], POLICY_OTHER);
    end(&f);
    buf_done(&rows);
    rows = column(1010, put_text_101);
    assert_int_equal(infer(&f, buf_view(&rows), &(struct infer_options){.keys = NULL}),
                     ERR_INVALID);
    assert_string_equal(f.err.msg, "the file has no column that could be an input of a model");
    end(&f);
    buf_done(&rows);
}

static void put_star(struct buf *out, int row)
{
    buf_i64(out, 1 + (row * row) % 7);
}

static void few_whole_numbers_become_a_list_that_flags(void **state)
{
    struct fixture f;
    struct buf rows = column(200, put_star); /* 1 + {0, 1, 2, 4}: 4 values, 50 rows each */
    (void)state;
    assert_int_equal(infer(&f, buf_view(&rows), &none), ERR_OK);
    const struct contract_field *x = field(&f, "x");
    assert_int_equal(x->listed_count, 4);
    assert_true(x->listed[3] == 5);
    assert_int_equal(x->policy[RULE_CATEGORY], POLICY_QUARANTINE);
    assert_false(x->has_min);
    end(&f);
    buf_done(&rows);
    rows = column(199, put_star); /* fewer than 50 rows a value: a range */
    assert_int_equal(infer(&f, buf_view(&rows), &none), ERR_OK);
    x = field(&f, "x");
    assert_int_equal(x->listed_count, 0);
    assert_true(x->has_min && x->is_range_inferred && x->min == 0 && x->max == 7);
    end(&f);
    buf_done(&rows);
}

static void given_categories_keep_their_order(void **state)
{
    struct fixture f;
    const char *const names[] = {"small", "medium", "large"};
    const struct infer_categories given = {"size", names, 3};
    const struct infer_options options = {.categories = &given, .categories_count = 1};
    (void)state;
    assert_int_equal(infer(&f, STR_LIT("size\nlarge\nsmall\n"), &options), ERR_OK);
    assert_int_equal(field(&f, "size")->category_count, 3);
    assert_true(str_equal_c(field(&f, "size")->categories[1], "medium"));
    end(&f);
    assert_int_equal(infer(&f, STR_LIT("size\nlarge\nhuge\n"), &options), ERR_INVALID);
    assert_string_equal(f.err.msg, "categories of 'size': the rows also have 'huge'");
    end(&f);
}

/* --- ranges ----------------------------------------------------------------------------------- */

static void a_range_is_half_its_width_wider_on_both_sides(void **state)
{
    struct fixture f;
    (void)state;
    /* a: R = 20, [-10 - 10, 10 + 10]. b: R = 21.129 as in mean_radius, never below 0 and up to
     * 28.11 + 10.5645 = 38.6745, outward to tenths (three digits of R). c: constant. d: rising.
     * e: R = 10, 17 - 5 = 12 is above 0. */
    assert_int_equal(infer(&f,
                           STR_LIT("a,b,c,d,e\n"
                                   "0.5,28.11,3.5,1,20.5\n"
                                   "-10,6.981,3.5,2,17\n"
                                   "10,10,3.5,9,27\n"),
                           &none),
                     ERR_OK);
    assert_true(field(&f, "a")->min == -20 && field(&f, "a")->max == 20);
    assert_true(field(&f, "b")->min == 0 && field(&f, "b")->max == 38.7);
    assert_true(field(&f, "a")->is_range_inferred);
    assert_int_equal(field(&f, "a")->policy[RULE_RANGE], POLICY_QUARANTINE);
    assert_true(field(&f, "e")->min == 12 && field(&f, "e")->max == 32);
    assert_false(field(&f, "c")->has_min);
    assert_false(field(&f, "d")->has_min);
    assert_string_equal(hint(&f, "c"), "has the same value in every row");
    assert_string_equal(hint(&f, "d"),
                        "looks like an id (all different, in order): is it an input?");
    end(&f);
}

/* --- the answer ------------------------------------------------------------------------------- */

static void classes_come_from_the_label_or_the_caller(void **state)
{
    struct fixture f;
    const char *const classes[] = {"malignant", "benign"};
    struct infer_options options = {.label = "y"};
    (void)state;
    assert_int_equal(infer(&f, STR_LIT("x,y\n1,M\n2,B\n3,M\n"), &options), ERR_OK);
    assert_int_equal(field(&f, "y")->role, ROLE_LABEL);
    assert_int_equal(f.contract->prediction->category_count, 2);
    assert_true(str_equal_c(f.contract->prediction->categories[0], "B"));
    assert_non_null(f.contract->score);
    end(&f);
    options.classes = classes;
    options.class_count = 2;
    assert_int_equal(infer(&f, STR_LIT("x,y\n1,0\n2,1\n3,1\n"), &options), ERR_OK);
    assert_true(str_equal_c(f.contract->prediction->categories[0], "malignant"));
    end(&f);
    assert_int_equal(infer(&f, STR_LIT("x,y\n1,0\n2,1\n3,2\n"), &options), ERR_INVALID);
    assert_string_equal(f.err.msg, "2 classes were given, but the label 'y' has 3 values");
    end(&f);
    assert_int_equal(infer(&f, STR_LIT("x,y\n1,0.5\n2,1\n"), &(struct infer_options){.label = "y"}),
                     ERR_OK);
    assert_int_equal(f.contract->prediction->type, TYPE_NUMBER);
    assert_int_equal(f.contract->prediction->category_count, 0);
    end(&f);
}

static void options_fill_in_what_rows_cannot_say(void **state)
{
    struct fixture f;
    const char *const keys[] = {"id"}, *const segments[] = {"shop"}, *const ignored[] = {"note"};
    const struct infer_unit unit = {"x", "mm"};
    const struct infer_options options = {.model = "triage",
                                          .owner = "me@example.org",
                                          .keys = keys,
                                          .key_count = 1,
                                          .segments = segments,
                                          .segment_count = 1,
                                          .ignored = ignored,
                                          .ignored_count = 1,
                                          .units = &unit,
                                          .unit_count = 1};
    (void)state;
    assert_int_equal(infer(&f, STR_LIT("id,x,shop,note\na,1.5,s1,?\nb,2.5,s2,!\n"), &options),
                     ERR_OK);
    assert_string_equal(f.contract->id, "triage");
    assert_string_equal(f.contract->owner, "me@example.org");
    assert_int_equal(field(&f, "id")->role, ROLE_KEY);
    assert_int_equal(field(&f, "shop")->role, ROLE_SEGMENT);
    assert_string_equal(field(&f, "x")->unit, "mm");
    assert_int_equal(f.contract->feature_count, 1);
    assert_int_equal(f.report.field_count, 3);
    end(&f);
}

/* --- errors ----------------------------------------------------------------------------------- */

static void what_cannot_be_inferred_is_an_error_with_its_place(void **state)
{
    static const struct {
        const char *rows;
        struct infer_options options;
        const char *message, *hint;
    } cases[] = {
        {"", {0}, "the file is empty: expected a header with field names", ""},
        {"a,b\n", {0}, "the file has a header but no rows", ""},
        {"a,b\n1,2\n3\n", {0}, "line 3: expected 2 cells, got 1", ""},
        {"a,a\n1,2\n", {0}, "two columns are named 'a'", ""},
        {"a,\n1,2\n", {0}, "column 2: expected a name of 1 to 128 bytes in UTF-8", ""},
        {"a\n\xff\n", {0}, "line 2, column 'a': the cell is not UTF-8", ""},
        {"radius\n1\n",
         {.label = "raduis"},
         "label 'raduis': the file has no such column",
         "did you mean 'radius'?"},
        {"id\na\n",
         {.label = "id"},
         "the file has no column that could be an input of a model",
         ""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture f;
        assert_int_equal(infer(&f, str_of(cases[i].rows), &cases[i].options), ERR_INVALID);
        assert_string_equal(f.err.msg, cases[i].message);
        assert_string_equal(f.err.hint, cases[i].hint);
        assert_int_equal(f.yaml.len, 0);
        end(&f);
    }
}

/* --- against numpy ---------------------------------------------------------------------------- */

static double number_at(yyjson_val *object, const char *key)
{
    yyjson_val *value = yyjson_obj_get(object, key);
    assert_true(yyjson_is_num(value));
    return yyjson_get_num(value);
}

static void compare_with(const struct fixture *f, const char *name, yyjson_val *expected)
{
    const struct contract_field *x = field(f, name);
    yyjson_val *edges = yyjson_obj_get(expected, "edges");
    yyjson_val *counts = yyjson_obj_get(expected, "counts");
    yyjson_val *bounds = yyjson_obj_get(expected, "bounds");
    assert_int_equal(x->profile.edge_count, yyjson_arr_size(edges));
    for (int i = 0; i < x->profile.edge_count; i++)
        assert_true(x->profile.edges[i] == yyjson_get_num(yyjson_arr_get(edges, (size_t)i)));
    for (int i = 0; i < x->profile.bin_count; i++)
        assert_int_equal(x->profile.counts[i], yyjson_get_sint(yyjson_arr_get(counts, (size_t)i)));
    assert_int_equal(x->profile.missing_count, number_at(expected, "missing"));
    assert_true(fabs(x->profile.mean - number_at(expected, "mean")) <
                1e-12 * fabs(x->profile.mean) + 1e-15);
    assert_true(fabs(x->profile.std - number_at(expected, "std")) < 1e-12 * x->profile.std);
    assert_int_equal(x->has_min, yyjson_arr_size(bounds) == 2);
    if (!x->has_min)
        return;
    assert_true(x->min == yyjson_get_num(yyjson_arr_get(bounds, 0)));
    assert_true(x->max == yyjson_get_num(yyjson_arr_get(bounds, 1)));
}

static struct buf read_whole(const char *path)
{
    struct buf out;
    struct err err = {0};
    if (file_read(path, 64 << 20, &out, &err) != ERR_OK)
        fail_msg("%s", err.msg);
    return out;
}

static void bins_and_moments_are_those_of_numpy(void **state)
{
    static const char *const names[] = {"size", "price",  "nights", "signed",
                                        "leak", "sensor", "probe",  "gauge"};
    const char *const keys[] = {"id"};
    const struct infer_options options = {.label = "cancelled", .keys = keys, .key_count = 1};
    struct fixture f;
    struct buf rows = read_whole("tests/golden/contract/rows.csv");
    struct buf json = read_whole("tests/golden/contract/expected.json");
    yyjson_val *expected = NULL;
    char text[128];
    (void)state;
    assert_int_equal(infer(&f, buf_view(&rows), &options), ERR_OK);
    assert_int_equal(json_read(buf_view(&json), f.arena, &expected, &f.err), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        compare_with(&f, names[i], yyjson_obj_get(expected, names[i]));
    snprintf(text, sizeof(text),
             "alone separates the label (AUC %.3f): is it known when predicting?",
             number_at(yyjson_obj_get(expected, "auc"), "leak"));
    assert_string_equal(hint(&f, "leak"), text);
    assert_string_equal(hint(&f, "size"), "");
    assert_int_equal(field(&f, "stars")->listed_count, 5);
    assert_int_equal(field(&f, "meal")->category_count, 3);
    assert_int_equal(field(&f, "gauge")->missing_number_count, 1); /* -999 repeats in three */
    end(&f);
    buf_done(&rows);
    buf_done(&json);
}

static void the_same_rows_give_the_same_bytes(void **state)
{
    struct fixture a, b;
    struct buf rows = read_whole("tests/golden/contract/rows.csv");
    (void)state;
    assert_int_equal(infer(&a, buf_view(&rows), &none), ERR_OK);
    assert_int_equal(infer(&b, buf_view(&rows), &none), ERR_OK);
    assert_true(str_equal(buf_view(&a.yaml), buf_view(&b.yaml)));
    end(&a);
    end(&b);
    buf_done(&rows);
}

static void rows_pass_the_contract_inferred_from_them(void **state)
{
    struct fixture f;
    struct check_report *report = NULL;
    struct buf rows = read_whole("tests/golden/contract/rows.csv");
    (void)state;
    assert_int_equal(infer(&f, buf_view(&rows), &(struct infer_options){.label = "cancelled"}),
                     ERR_OK);
    assert_int_equal(contract_check_csv(f.contract, buf_view(&rows), f.arena, &report, &f.err),
                     ERR_OK);
    assert_int_equal(report->row_count, 1200);
    assert_int_equal(report->bad_row_count, 0);
    end(&f);
    buf_done(&rows);
}

/* --- against real data ------------------------------------------------------------------------ */

static bool read_shared(const char *path, struct buf *out)
{
    struct err err = {0};
    if (file_read(path, 64 << 20, out, &err) == ERR_OK)
        return true;
    buf_done(out);
    print_message("skipped: %s is not there\n", path);
    return false;
}

/* The sensors write -200; some 9,357 rows, 13 numeric columns. */
static void sensors_that_write_minus_200_are_found_in_every_column(void **state)
{
    struct fixture f;
    struct buf rows;
    int found = 0;
    (void)state;
    if (!read_shared("../shared/data/air_quality_uci/AirQualityUCI.csv", &rows))
        skip();
    assert_int_equal(infer(&f, buf_view(&rows), &none), ERR_OK);
    for (int i = 0; i < f.contract->field_count; i++)
        found += f.contract->fields[i].missing_number_count == 1 &&
                 f.contract->fields[i].missing_numbers[0] == -200;
    assert_int_equal(found, 13);
    end(&f);
    buf_done(&rows);
}

/* The example contract was inferred from the same rows: bins of lead_time and adr are in it. */
static void hotel_bookings_have_no_false_marker_and_known_bins(void **state)
{
    static const int64_t lead_time[] = {1833, 1626, 1636, 1724, 1688, 1644, 1721, 1685, 1672, 1684};
    struct fixture f;
    struct buf rows;
    (void)state;
    if (!read_shared("../shared/data/hotel_booking/reference.csv", &rows))
        skip();
    assert_int_equal(infer(&f, buf_view(&rows), &(struct infer_options){.label = "is_canceled"}),
                     ERR_OK);
    for (int i = 0; i < f.contract->field_count; i++)
        assert_int_equal(f.contract->fields[i].missing_number_count, 0);
    const struct contract_profile *p = &field(&f, "lead_time")->profile;
    assert_int_equal(p->bin_count, 10);
    assert_memory_equal(p->counts, lead_time, sizeof(lead_time));
    assert_true(p->edges[8] == 245);
    assert_true(fabs(field(&f, "adr")->profile.mean - 116.7429498019275) < 1e-9);
    assert_int_equal(field(&f, "timestamp")->role, ROLE_TIMESTAMP);
    end(&f);
    buf_done(&rows);
}

static void riders_counted_apart_leak_their_sum(void **state)
{
    struct fixture f;
    struct buf rows;
    (void)state;
    if (!read_shared("../shared/data/bike_sharing/hour.csv", &rows))
        skip();
    assert_int_equal(infer(&f, buf_view(&rows), &(struct infer_options){.label = "cnt"}), ERR_OK);
    assert_non_null(strstr(hint(&f, "registered"), "alone separates the label"));
    assert_string_equal(hint(&f, "temp"), "");
    assert_false(field(&f, "instant")->has_min);
    for (int i = 0; i < f.contract->field_count; i++)
        assert_int_equal(f.contract->fields[i].missing_number_count, 0);
    end(&f);
    buf_done(&rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_are_the_narrowest_that_fit_every_cell),
        cmocka_unit_test(texts_that_mean_missing_are_kept_as_markers),
        cmocka_unit_test(a_number_far_from_all_others_means_missing),
        cmocka_unit_test(a_field_is_required_after_enough_rows_without_a_gap),
        cmocka_unit_test(text_with_a_hundred_values_is_categorical_and_with_more_is_not),
        cmocka_unit_test(few_whole_numbers_become_a_list_that_flags),
        cmocka_unit_test(given_categories_keep_their_order),
        cmocka_unit_test(a_range_is_half_its_width_wider_on_both_sides),
        cmocka_unit_test(classes_come_from_the_label_or_the_caller),
        cmocka_unit_test(options_fill_in_what_rows_cannot_say),
        cmocka_unit_test(what_cannot_be_inferred_is_an_error_with_its_place),
        cmocka_unit_test(bins_and_moments_are_those_of_numpy),
        cmocka_unit_test(the_same_rows_give_the_same_bytes),
        cmocka_unit_test(rows_pass_the_contract_inferred_from_them),
        cmocka_unit_test(sensors_that_write_minus_200_are_found_in_every_column),
        cmocka_unit_test(hotel_bookings_have_no_false_marker_and_known_bins),
        cmocka_unit_test(riders_counted_apart_leak_their_sum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
