/* test_cli_cell.c - cells of a CSV file as JSON values, by what the row's schema says. */
#include "base/check.h"
#include "cli/predict.h"
#include "test.h"

static char shown[1024];

static const char *written(enum cell_form form, const char *cell)
{
    struct buf out;
    buf_init(&out, sizeof(shown));
    cell_write(&out, form, str_of(cell));
    snprintf(shown, sizeof(shown), "%s", buf_c(&out));
    buf_done(&out);
    return shown;
}

static enum cell_form form_of(const char *property)
{
    struct arena *arena = arena_new(1024 * 1024);
    struct err err = {0};
    yyjson_val *root;
    assert_int_equal(json_read(str_of(property), arena, &root, &err), ERR_OK);
    enum cell_form form = cell_form_of(root);
    arena_free(arena);
    return form;
}

static void numbers_are_numbers(void **state)
{
    (void)state;
    assert_string_equal(written(CELL_NUMBER, "17.06"), "17.06");
    assert_string_equal(written(CELL_NUMBER, " 42 "), "42");
    assert_string_equal(written(CELL_NUMBER, "007"), "7");
    assert_string_equal(written(CELL_NUMBER, "+.5"), "0.5");
    assert_string_equal(written(CELL_NUMBER, "1e-7"), "1e-7");
    assert_string_equal(written(CELL_NUMBER, "9007199254740993"), "9007199254740993");
}

static void what_is_missing_is_null(void **state)
{
    (void)state;
    assert_string_equal(written(CELL_NUMBER, ""), "null");
    assert_string_equal(written(CELL_NUMBER, "  "), "null");
    assert_string_equal(written(CELL_NUMBER, "NaN"), "null");
    assert_string_equal(written(CELL_BOOLEAN, ""), "null");
    assert_string_equal(written(CELL_TEXT, ""), "null");
}

/* Markers and mistakes alike: the server knows which. */
static void what_is_no_number_goes_as_text(void **state)
{
    (void)state;
    assert_string_equal(written(CELL_NUMBER, "NA"), "\"NA\"");
    assert_string_equal(written(CELL_NUMBER, "17,06"), "\"17,06\"");
    assert_string_equal(written(CELL_NUMBER, "inf"), "\"inf\"");
    assert_string_equal(written(CELL_NUMBER, "0x10"), "\"0x10\"");
    assert_string_equal(written(CELL_BOOLEAN, "maybe"), "\"maybe\"");
}

static void booleans_and_texts_keep_their_meaning(void **state)
{
    (void)state;
    assert_string_equal(written(CELL_BOOLEAN, "True"), "true");
    assert_string_equal(written(CELL_BOOLEAN, "0"), "false");
    assert_string_equal(written(CELL_TEXT, "007"), "\"007\"");
    assert_string_equal(written(CELL_TEXT, " a \"b\"\n"), "\" a \\\"b\\\"\\n\"");
}

/* The forms that contract/schema.c writes. */
static void the_schema_says_the_form(void **state)
{
    (void)state;
    assert_int_equal(form_of("{\"type\": \"number\"}"), CELL_NUMBER);
    assert_int_equal(form_of("{\"type\": [\"integer\", \"null\"]}"), CELL_NUMBER);
    assert_int_equal(form_of("{\"type\": [\"integer\", \"string\"]}"), CELL_TEXT);
    assert_int_equal(form_of("{\"type\": [\"boolean\", \"null\"]}"), CELL_BOOLEAN);
    assert_int_equal(form_of("{\"type\": \"string\", \"enum\": [\"a\"]}"), CELL_TEXT);
    assert_int_equal(form_of("{\"anyOf\": [{\"type\": \"number\"}, {\"enum\": [\"NA\"]}]}"),
                     CELL_NUMBER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_numbers),
        cmocka_unit_test(what_is_missing_is_null),
        cmocka_unit_test(what_is_no_number_goes_as_text),
        cmocka_unit_test(booleans_and_texts_keep_their_meaning),
        cmocka_unit_test(the_schema_says_the_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
