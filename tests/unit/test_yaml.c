/* test_yaml.c - the core schema, what is refused and where, and writing that reads back. */
#include "base/yaml.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "guard_page.h"
#include "test.h"

enum { ARENA_BYTES = 1 << 20 };

static void assert_reads_as(const char *text, const char *json)
{
    struct arena *arena = arena_new(ARENA_BYTES);
    struct guard g = guard_init_text(text);
    struct err err;
    struct buf buf;
    yyjson_val *root = NULL;
    buf_init(&buf, ARENA_BYTES);
    if (yaml_read(g.text, arena, &root, &err))
        fail_msg("%s: %s", text, err.msg);
    guard_done(&g); /* the values do not need the text any more */
    json_write(&buf, root);
    assert_string_equal(buf_c(&buf), json);
    buf_done(&buf);
    arena_free(arena);
}

static void assert_refused(const char *text, enum err_code code, const char *message)
{
    struct arena *arena = arena_new(ARENA_BYTES);
    struct guard g = guard_init_text(text);
    struct err err = {0};
    yyjson_val *untouched = (yyjson_val *)&err, *root = untouched;
    assert_int_equal(yaml_read(g.text, arena, &root, &err), code);
    assert_string_equal(err.msg, message);
    assert_ptr_equal(root, untouched);
    guard_done(&g);
    arena_free(arena);
}

static void containers_become_one_tree(void **state)
{
    (void)state;
    assert_reads_as("a: 1\nb:\n  - x\n  - {c: [1, 2], d: }\n  -\n",
                    "{\"a\":1,\"b\":[\"x\",{\"c\":[1,2],\"d\":null},null]}");
    assert_reads_as("--- # a comment\n\"q: \\u00e4\\x41\": 'it''s'\nt: |\n  two\n  lines\n...\n",
                    "{\"q: \xC3\xA4"
                    "A\":\"it's\",\"t\":\"two\\nlines\\n\"}");
    assert_reads_as("plain", "\"plain\"");
    assert_reads_as("{}", "{}");
    assert_reads_as("---\n", "null");
}

/* Chapter 10.3.2 of the YAML 1.2.2 specification, its table and its example. */
static void plain_scalars_follow_the_core_schema(void **state)
{
    (void)state;
    assert_reads_as("[null, Null, NULL, ~, nUll]", "[null,null,null,null,\"nUll\"]");
    assert_reads_as("[true, True, TRUE, false, False, FALSE, tRue]",
                    "[true,true,true,false,false,false,\"tRue\"]");
    assert_reads_as("[0, 0o7, 0x3A, -19, +12, 007]", "[0,7,58,-19,12,7]");
    assert_reads_as("[0., -0.0, .5, +12e03, -2E+05, 1.5e-3]",
                    "[0.0,-0.0,0.5,12000.0,-200000.0,0.0015]");
    assert_reads_as("[9223372036854775808, -9223372036854775808, 0xFFFFFFFFFFFFFFFF]",
                    "[9223372036854775808,-9223372036854775808,18446744073709551615]");
    assert_reads_as(
        "[0o8, 0x, 0xg, 1_000, -, +, ., 1e, e5, 1.2.3, -0x1]",
        "[\"0o8\",\"0x\",\"0xg\",\"1_000\",\"-\",\"+\",\".\",\"1e\",\"e5\",\"1.2.3\",\"-0x1\"]");
    assert_reads_as("['1', \"true\", '']", "[\"1\",\"true\",\"\"]");
}

static void words_that_yaml_1_1_guesses_about_are_text(void **state)
{
    (void)state;
    assert_reads_as(
        "[no, on, y, Off, 12:30:00, 2026-01-31, <<, =, inf, nan]",
        "[\"no\",\"on\",\"y\",\"Off\",\"12:30:00\",\"2026-01-31\",\"<<\",\"=\",\"inf\",\"nan\"]");
    assert_reads_as("no: on", "{\"no\":\"on\"}");
}

static void json_text_is_read_as_json(void **state)
{
    (void)state;
    assert_reads_as(" {\"a\": [1, \"\\ud83d\\udea2\", null], \"\\/\": 1e5}\n",
                    "{\"a\":[1,\"\xF0\x9F\x9A\xA2\",null],\"/\":100000.0}");
    assert_refused("{\"a\": 1,\n \"a\": 2}", ERR_INVALID,
                   "line 2, column 2: key 'a' a second time; the first is on line 1");
}

static void what_is_refused_is_said_with_line_and_column(void **state)
{
    (void)state;
    assert_refused("a: 1\nb: 2\n'a': 3\n", ERR_INVALID,
                   "line 3, column 1: key 'a' a second time; the first is on line 1");
    assert_refused("a: &x 1\nb: *x\n", ERR_INVALID,
                   "line 1, column 4: anchors and aliases are not read; repeat the value");
    assert_refused("- *x\n", ERR_INVALID,
                   "line 1, column 3: anchors and aliases are not read; repeat the value");
    assert_refused("a:\n  - !!binary aGk=\n", ERR_INVALID,
                   "line 2, column 5: tags are not read; leave out the word that begins with '!'");
    assert_refused("a: ! 1\n", ERR_INVALID,
                   "line 1, column 4: tags are not read; leave out the word that begins with '!'");
    assert_refused("a: 1\n---\nb: 2\n", ERR_INVALID,
                   "line 2, column 1: a second document begins; one is read");
    assert_refused("1: a\n", ERR_INVALID, "line 1, column 1: a key must be text; put it in quotes");
    assert_refused("a:\n  ? [x]\n  : 1\n", ERR_INVALID,
                   "line 2, column 5: a key must be text; put it in quotes");
    assert_refused("a: -.Inf\n", ERR_INVALID,
                   "line 1, column 4: '-.Inf' is not a value here; leave it out or write null");
    assert_refused("a: .nan\n", ERR_INVALID,
                   "line 1, column 4: '.nan' is not a value here; leave it out or write null");
    assert_refused("a: 18446744073709551616\n", ERR_INVALID,
                   "line 1, column 4: integer past 64 bits; put it in quotes if it is text");
    assert_refused("a: 0x10000000000000000\n", ERR_INVALID,
                   "line 1, column 4: integer past 64 bits; put it in quotes if it is text");
}

static void syntax_errors_have_a_place_too(void **state)
{
    (void)state;
    assert_refused("a: [1, 2\nb: 3\n", ERR_INVALID,
                   "line 2, column 2: not YAML: did not find expected ',' or ']' while parsing a "
                   "flow sequence");
    assert_refused("", ERR_INVALID, "empty where YAML is expected");
    assert_refused("# only a comment\n", ERR_INVALID, "empty where YAML is expected");
    assert_refused("a: \x01", ERR_INVALID,
                   "not YAML: control characters are not allowed at byte 3");
    assert_refused("a: \xff", ERR_INVALID, "not YAML: invalid leading UTF-8 octet at byte 3");
}

static void depth_size_and_memory_are_limited(void **state)
{
    (void)state;
    char text[2 * YAML_DEPTH_MAX + 8];
    struct err err;
    yyjson_val *root = NULL;
    struct arena *arena = arena_new(ARENA_BYTES);
    /* Single quotes keep it from being JSON, whose limit is another. */
    int len = snprintf(text, sizeof(text), "%.*s'x'%.*s", YAML_DEPTH_MAX,
                       "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", YAML_DEPTH_MAX,
                       "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
    assert_int_equal(yaml_read((struct str){text, (size_t)len}, arena, &root, &err), ERR_OK);
    assert_refused("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[['x']]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
                   ERR_LIMIT, "line 1: nested deeper than 32 levels");
    assert_int_equal(yaml_read((struct str){text, YAML_BYTES_MAX + 1}, arena, &root, &err),
                     ERR_LIMIT);
    arena_free(arena);
    arena = arena_new(2000);
    assert_int_equal(
        yaml_read(STR_LIT("a: [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9,"
                          " 1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9]"),
                  arena, &root, &err),
        ERR_LIMIT);
    assert_string_equal(err.msg, "no room for the values of this file");
    arena_free(arena);
}

static void assert_written(const char *json, const char *yaml)
{
    struct arena *arena = arena_new(ARENA_BYTES);
    struct err err;
    struct buf buf;
    yyjson_val *root = NULL, *again = NULL;
    buf_init(&buf, ARENA_BYTES);
    assert_int_equal(json_read(str_of(json), arena, &root, &err), ERR_OK);
    yaml_write(&buf, root);
    assert_string_equal(buf_c(&buf), yaml);
    if (yaml_read(buf_view(&buf), arena, &again, &err))
        fail_msg("%s: %s", yaml, err.msg);
    assert_true(yyjson_equals(root, again));
    buf_done(&buf);
    arena_free(arena);
}

static void blocks_are_written_as_people_write_them(void **state)
{
    (void)state;
    assert_written("{\"name\":\"churn\",\"fields\":[{\"name\":\"age\",\"range\":[0,120]},"
                   "{\"name\":\"plan\",\"categories\":[]}],\"owner\":{\"team\":{}}}",
                   "name: churn\n"
                   "fields:\n"
                   "  - name: age\n"
                   "    range: [0, 120]\n"
                   "  - name: plan\n"
                   "    categories: []\n"
                   "owner:\n"
                   "  team: {}\n");
    assert_written("[[1,[2]],{\"a\":[{}]}]", "-\n  - 1\n  - [2]\n- a:\n    - {}\n");
    assert_written("5", "5\n");
}

static void text_is_quoted_only_where_it_must_be(void **state)
{
    (void)state;
    assert_written(
        "[\"City Hotel\",\"a/b\",\"no\",\"Null\",\"1\",\"-x\",\"\",\"a: b\",\" a\",\"a \"]",
        "[City Hotel, a/b, \"no\", \"Null\", \"1\", \"-x\", \"\", \"a: b\", \" a\", \"a \"]\n");
    assert_written(
        "{\"on\":\"a  b\",\"1\":\"\\u0085\\u2028\\ufeff\\u007f\\u0001\\n\\\\\\\"\\u00e4\"}",
        "\"on\": \"a  b\"\n"
        "\"1\": \"\\u0085\\u2028\\ufeff\\u007f\\u0001\\n\\\\\\\"\xC3\xA4\"\n");
    assert_written("[\"2026-01-31\",\"12:30:00\",\"x#y\",\"x, y\"]",
                   "[\"2026-01-31\", \"12:30:00\", \"x#y\", \"x, y\"]\n");
}

/* YAML 1.1 takes 1e-7 for text: it wants a point, and a sign in the exponent. */
static void numbers_read_back_in_both_versions(void **state)
{
    (void)state;
    assert_written("[1,-2,0.5,3.0,1e-7,1.5e22,18446744073709551615,true,null]",
                   "[1, -2, 0.5, 3.0, 1.0e-7, 1.5e+22, 18446744073709551615, true, null]\n");
}

static void long_lists_stand_one_value_a_line(void **state)
{
    (void)state;
    struct buf json, yaml;
    buf_init(&json, 1000);
    buf_init(&yaml, 1000);
    for (int i = 100; i < 130; i++) {
        buf_printf(&json, "%c%d", i == 100 ? '[' : ',', i);
        buf_printf(&yaml, "- %d\n", i);
    }
    buf_char(&json, ']');
    assert_written(buf_c(&json), buf_c(&yaml));
    buf_done(&json);
    buf_done(&yaml);
}

/* YAML 1.2, 7.4.3: a key without "?" has at most 1024 characters. */
static void long_keys_stand_behind_a_question_mark(void **state)
{
    (void)state;
    struct buf json, yaml;
    char key[2001] = {0};
    memset(key, 'k', sizeof(key) - 1);
    buf_init(&json, 10000);
    buf_init(&yaml, 10000);
    buf_printf(&json, "[{\"%s\":{\"a\":[[1]]},\"%.1000s\":2}]", key, key);
    buf_printf(&yaml, "- ? %s\n  :\n    a:\n      - [1]\n  %.1000s: 2\n", key, key);
    assert_written(buf_c(&json), buf_c(&yaml));
    buf_done(&json);
    buf_done(&yaml);
}

static void the_deepest_json_is_written_without_harm(void **state)
{
    (void)state;
    char text[2 * JSON_DEPTH_MAX];
    memset(text, '[', JSON_DEPTH_MAX);
    memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    struct arena *arena = arena_new(ARENA_BYTES);
    struct err err;
    struct buf buf;
    yyjson_val *root;
    buf_init(&buf, ARENA_BYTES);
    assert_int_equal(json_read((struct str){text, sizeof(text)}, arena, &root, &err), ERR_OK);
    yaml_write(&buf, root);
    assert_true(buf.len > sizeof(text));
    buf_done(&buf);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(containers_become_one_tree),
        cmocka_unit_test(plain_scalars_follow_the_core_schema),
        cmocka_unit_test(words_that_yaml_1_1_guesses_about_are_text),
        cmocka_unit_test(json_text_is_read_as_json),
        cmocka_unit_test(what_is_refused_is_said_with_line_and_column),
        cmocka_unit_test(syntax_errors_have_a_place_too),
        cmocka_unit_test(depth_size_and_memory_are_limited),
        cmocka_unit_test(blocks_are_written_as_people_write_them),
        cmocka_unit_test(text_is_quoted_only_where_it_must_be),
        cmocka_unit_test(numbers_read_back_in_both_versions),
        cmocka_unit_test(long_lists_stand_one_value_a_line),
        cmocka_unit_test(long_keys_stand_behind_a_question_mark),
        cmocka_unit_test(the_deepest_json_is_written_without_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
