/* test_json.c - reading within limits, honest errors, writing by hand. */
#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "guard_page.h"
#include "test.h"

enum { ARENA_BYTES = 1 << 20 };

typedef enum err_code read_fn(struct str bytes, struct arena *arena, yyjson_val **root,
                              struct err *err);

static void assert_refused(read_fn *read, struct str text, enum err_code code, const char *message)
{
    struct arena *arena = arena_new(ARENA_BYTES);
    struct guard g = guard_init(text.ptr, text.len);
    struct err err = {0};
    yyjson_val *untouched = (yyjson_val *)&err, *root = untouched;
    assert_int_equal(read(g.text, arena, &root, &err), code);
    assert_string_equal(err.msg, message);
    assert_ptr_equal(root, untouched);
    guard_done(&g);
    arena_free(arena);
}

/* Read and written again. */
static void assert_reads_as(const char *text, const char *expected)
{
    struct arena *arena = arena_new(ARENA_BYTES);
    struct guard g = guard_init_text(text);
    struct err err;
    struct buf buf;
    yyjson_val *root = NULL;
    buf_init(&buf, ARENA_BYTES);
    assert_int_equal(json_read_strict(g.text, arena, &root, &err), ERR_OK);
    guard_done(&g); /* the values do not need the text any more */
    json_write(&buf, root);
    assert_string_equal(buf_c(&buf), expected);
    buf_done(&buf);
    arena_free(arena);
}

static void values_are_read_as_they_are(void **state)
{
    (void)state;
    assert_reads_as("{\"a\":[1,-2,0.5,true,false,null],\"b\":{}}",
                    "{\"a\":[1,-2,0.5,true,false,null],\"b\":{}}");
    assert_reads_as(" \t\r\n[ ] ", "[]");
    assert_reads_as("\"\\ud83d\\udea2 \\u00e4\\n\"", "\"\xF0\x9F\x9A\xA2 \xC3\xA4\\n\"");
    assert_reads_as("18446744073709551615", "18446744073709551615");
    assert_reads_as("1e-400", "0.0");
    assert_reads_as("[[],[[]],{\"\":[]}]", "[[],[[]],{\"\":[]}]");
}

static void syntax_errors_say_where_and_why(void **state)
{
    (void)state;
    assert_refused(json_read, STR_LIT(""), ERR_INVALID, "empty where JSON is expected");
    assert_refused(json_read, STR_LIT("  "), ERR_INVALID, "empty where JSON is expected");
    assert_refused(json_read, STR_LIT("[1,]"), ERR_INVALID,
                   "not JSON: unexpected character at byte 2");
    assert_refused(json_read, STR_LIT("[1] x"), ERR_INVALID,
                   "something follows the JSON value at byte 4");
    assert_refused(json_read, STR_LIT("[1,2"), ERR_INVALID,
                   "the JSON text ends before it is complete, at byte 4");
    assert_refused(json_read, STR_LIT("\"abc"), ERR_INVALID,
                   "the JSON text ends before it is complete, at byte 4");
    assert_refused(json_read, STR_LIT("[1e999]"), ERR_INVALID,
                   "malformed or too large number at byte 1");
    assert_refused(json_read, STR_LIT("[01]"), ERR_INVALID,
                   "malformed or too large number at byte 1");
    assert_refused(json_read, STR_LIT("\"\xff\""), ERR_INVALID,
                   "malformed text (bad escape, control byte or not UTF-8) at byte 1");
    assert_refused(json_read, STR_LIT("[1\0]"), ERR_INVALID,
                   "not JSON: unexpected character at byte 2");
    assert_refused(json_read, STR_LIT("[trux]"), ERR_INVALID,
                   "unknown word (true, false and null are the only ones) at byte 1");
}

static void nan_and_infinity_are_refused_by_name(void **state)
{
    static const char *const texts[] = {"[NaN]", "[nan]",      "[-NaN]",
                                        "[inf]", "[Infinity]", "[-Infinity]"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_refused(json_read, str_of(texts[i]), ERR_INVALID,
                       "NaN and Infinity are not JSON (byte 1)");
}

/* `depth` lists in one another, beside and after other values. */
static struct str nested(char *text, int depth)
{
    size_t len = 0;
    memcpy(text, "[0,[],", 6);
    len = 6;
    memset(text + len, '[', (size_t)depth - 1);
    len += (size_t)depth - 1;
    memset(text + len, ']', (size_t)depth);
    return (struct str){text, len + (size_t)depth};
}

static void depth_is_limited_and_nothing_recurses(void **state)
{
    (void)state;
    enum { GREAT_DEPTH = 20000 };
    static char text[2 * GREAT_DEPTH + 16];
    struct arena *arena = arena_new(ARENA_BYTES);
    struct err err;
    yyjson_val *root;
    assert_int_equal(json_read(nested(text, JSON_DEPTH_MAX), arena, &root, &err), ERR_OK);
    assert_refused(json_read, nested(text, JSON_DEPTH_MAX + 1), ERR_LIMIT,
                   "JSON is nested deeper than 64 levels");
    assert_refused(json_read, nested(text, GREAT_DEPTH), ERR_LIMIT,
                   "JSON is nested deeper than 64 levels");
    memset(text, '[', JSON_DEPTH_MAX + 1); /* not one container more than it takes */
    memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
    assert_refused(json_read, (struct str){text, 2 * (JSON_DEPTH_MAX + 1)}, ERR_LIMIT,
                   "JSON is nested deeper than 64 levels");
    memset(text, '[', sizeof(text));
    assert_refused(json_read, (struct str){text, 10000}, ERR_INVALID,
                   "the JSON text ends before it is complete, at byte 10000");
    arena_free(arena);
}

static void many_shallow_containers_are_not_deep(void **state)
{
    (void)state;
    char text[400 * 5 + 8];
    size_t len = 0;
    text[len++] = '[';
    for (int i = 0; i < 400; i++)
        len += (size_t)snprintf(text + len, 8, "[{}],");
    text[len - 1] = ']';
    struct arena *arena = arena_new(ARENA_BYTES);
    struct err err;
    yyjson_val *root = NULL;
    assert_int_equal(json_read((struct str){text, len}, arena, &root, &err), ERR_OK);
    assert_int_equal(yyjson_arr_size(root), 400);
    arena_free(arena);
}

static void the_arenas_limit_is_the_documents(void **state)
{
    (void)state;
    static char text[100001];
    for (size_t i = 0; i < 100000; i += 2)
        memcpy(text + i, "1,", 2);
    text[0] = '[';
    text[100000] = ']';
    text[1] = '1';
    struct str s = {text, 100001};
    struct err err;
    yyjson_val *root = NULL;
    struct arena *small = arena_new(500000);
    assert_int_equal(json_read(s, small, &root, &err), ERR_LIMIT);
    assert_string_equal(err.msg, "no room to read 100001 bytes of JSON");
    assert_null(root);
    arena_free(small);
    /* 50,001 values of 16 bytes, half as much again for yyjson's growth, and the text: 1.3 MB. */
    struct arena *enough = arena_new(1400000);
    text[99999] = '1';
    assert_int_equal(json_read(s, enough, &root, &err), ERR_OK);
    assert_int_equal(yyjson_arr_size(root), 49999);
    arena_free(enough);
}

/* 100,000 commas could part as many values, for which there is no room; here they are one text. */
static void commas_in_a_text_take_no_room(void **state)
{
    static char text[100002];
    (void)state;
    memset(text, ',', sizeof(text));
    text[0] = text[sizeof(text) - 1] = '"';
    struct arena *arena = arena_new(ARENA_BYTES);
    struct err err;
    yyjson_val *root = NULL;
    assert_int_equal(json_read((struct str){text, sizeof(text)}, arena, &root, &err), ERR_OK);
    assert_int_equal(yyjson_get_len(root), 100000);
    arena_free(arena);
}

static void duplicate_keys_are_refused_where_it_matters(void **state)
{
    (void)state;
    struct arena *arena = arena_new(ARENA_BYTES);
    struct err err;
    yyjson_val *root;
    struct str deep = STR_LIT("{\"a\":[{\"b\":1,\"c\":2,\"b\":3}]}");
    assert_int_equal(json_read(deep, arena, &root, &err), ERR_OK);
    assert_refused(json_read_strict, deep, ERR_INVALID, "key \"b\" occurs twice in one object");
    assert_refused(json_read_strict, STR_LIT("{\"a\":1,\"\\u0061\":2}"), ERR_INVALID,
                   "key \"a\" occurs twice in one object");
    assert_int_equal(json_read_strict(STR_LIT("[{\"a\":{\"a\":1}},{\"a\":1}]"), arena, &root, &err),
                     ERR_OK);
    arena_free(arena);
}

/* A million pairs compared with each other would take minutes. */
static void duplicates_in_a_huge_object_are_found_in_time(void **state)
{
    (void)state;
    enum { KEYS = 100000 };
    struct buf buf;
    buf_init(&buf, 1 << 24);
    for (int i = 0; i < KEYS; i++)
        buf_printf(&buf, "%c\"k%d\":0", i ? ',' : '{', i);
    buf_lit(&buf, ",\"k777\":0}");
    struct arena *arena = arena_new(1 << 26);
    struct err err;
    yyjson_val *root;
    assert_int_equal(json_read_strict(buf_view(&buf), arena, &root, &err), ERR_INVALID);
    assert_string_equal(err.msg, "key \"k777\" occurs twice in one object");
    buf_done(&buf);
    arena_free(arena);
}

static yyjson_val *read_ok(struct arena *arena, const char *text)
{
    struct err err;
    yyjson_val *root = NULL;
    assert_int_equal(json_read(str_of(text), arena, &root, &err), ERR_OK);
    return root;
}

static void members_come_out_typed(void **state)
{
    (void)state;
    struct arena *arena = arena_new(ARENA_BYTES);
    struct err err;
    yyjson_val *o = read_ok(arena, "{\"s\":\"x\",\"i\":-5,\"b\":true,\"n\":null,\"f\":1.5,"
                                   "\"big\":9223372036854775808}");
    struct str s = {0};
    int64_t i = 77;
    bool b = false;
    assert_int_equal(json_get_str(o, "the request", "s", &s, &err), ERR_OK);
    assert_true(str_equal(s, STR_LIT("x")));
    assert_int_equal(json_get_i64(o, "the request", "i", &i, &err), ERR_OK);
    assert_int_equal(i, -5);
    assert_int_equal(json_get_bool_opt(o, "the request", "b", &b, &err), ERR_OK);
    assert_true(b);
    i = 77;
    assert_int_equal(json_get_i64_opt(o, "the request", "n", &i, &err), ERR_OK);
    assert_int_equal(json_get_i64_opt(o, "the request", "absent", &i, &err), ERR_OK);
    assert_int_equal(json_get_i64(o, "the request", "n", &i, &err), ERR_INVALID);
    assert_string_equal(err.msg, "the request has no \"n\"");
    assert_int_equal(json_get_i64(o, "the request", "f", &i, &err), ERR_INVALID);
    assert_string_equal(err.msg,
                        "\"f\" of the request must be a whole number of 64 bits, not real");
    assert_int_equal(json_get_i64_opt(o, "the request", "big", &i, &err), ERR_INVALID);
    assert_int_equal(i, 77);
    assert_int_equal(json_get_str_opt(o, "the request", "i", &s, &err), ERR_INVALID);
    assert_int_equal(json_get_bool_opt(o, "the request", "s", &b, &err), ERR_INVALID);
    assert_string_equal(err.msg, "\"s\" of the request must be true or false, not string");
    arena_free(arena);
}

static void unknown_members_are_named(void **state)
{
    (void)state;
    static const char *const keys[] = {"a", "b", NULL};
    struct arena *arena = arena_new(ARENA_BYTES);
    struct err err;
    assert_int_equal(json_check_keys(read_ok(arena, "{\"b\":1}"), "the request", keys, &err),
                     ERR_OK);
    assert_int_equal(
        json_check_keys(read_ok(arena, "{\"b\":1,\"ab\":2}"), "the request", keys, &err),
        ERR_INVALID);
    assert_string_equal(err.msg, "the request has an unknown member \"ab\"");
    assert_string_equal(err.hint, "it may have a, b");
    arena_free(arena);
}

static void the_writer_places_commas(void **state)
{
    (void)state;
    struct arena *arena = arena_new(ARENA_BYTES);
    struct buf buf;
    buf_init(&buf, 1000);
    struct json_writer w = {.out = &buf};
    json_begin_object(&w);
    json_key(&w, "list");
    json_begin_array(&w);
    json_put_i64(&w, -1);
    json_put_u64(&w, 2);
    json_begin_object(&w);
    json_end_object(&w);
    json_put_f64(&w, 0.1);
    json_put_f32(&w, 0.1f);
    json_put_bool(&w, false);
    json_put_text(&w, NULL);
    json_end_array(&w);
    json_key_str(&w, STR_LIT("q\""));
    json_put_value(&w, read_ok(arena, "{\"v\": [1]}"));
    json_key(&w, "at");
    json_put_time(&w, 0);
    json_key(&w, "raw");
    json_put_raw(&w, STR_LIT("[]"));
    json_end_object(&w);
    assert_string_equal(buf_c(&buf), "{\"list\":[-1,2,{},0.1,0.1,false,null],\"q\\\"\":{\"v\":[1]},"
                                     "\"at\":\"1970-01-01T00:00:00.000000Z\",\"raw\":[]}");
    buf_done(&buf);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_read_as_they_are),
        cmocka_unit_test(syntax_errors_say_where_and_why),
        cmocka_unit_test(nan_and_infinity_are_refused_by_name),
        cmocka_unit_test(depth_is_limited_and_nothing_recurses),
        cmocka_unit_test(many_shallow_containers_are_not_deep),
        cmocka_unit_test(the_arenas_limit_is_the_documents),
        cmocka_unit_test(commas_in_a_text_take_no_room),
        cmocka_unit_test(duplicate_keys_are_refused_where_it_matters),
        cmocka_unit_test(duplicates_in_a_huge_object_are_found_in_time),
        cmocka_unit_test(members_come_out_typed),
        cmocka_unit_test(unknown_members_are_named),
        cmocka_unit_test(the_writer_places_commas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
