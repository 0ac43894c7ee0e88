/* test_oip_elements.c - elements of every datatype from JSON and from bytes, and what is none. */
#include "api/oip_elements.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "guard_page.h"
#include "test.h"

static struct arena *arena;
static struct oip_request request;
static struct tensor tensor;
static struct err err;

static int set_up(void **state)
{
    (void)state;
    arena = arena_new(16 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static enum err_code take(const char *datatype, const char *shape, const char *data)
{
    char json[512];
    snprintf(json, sizeof(json),
             "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"%s\",\"shape\":%s,\"data\":%s}]}",
             datatype, shape, data);
    struct guard guard = guard_init_text(json);
    assert_int_equal(oip_parse(guard.text, (struct str){0}, arena, &request, &err), ERR_OK);
    guard_done(&guard);
    tensor = (struct tensor){0};
    return oip_read_tensor(&request.inputs[0], arena, &tensor, &err);
}

/* Little-endian bytes as numpy's tobytes() gives them. */
static void every_datatype_is_read_from_json(void **state)
{
    static const struct {
        const char *datatype, *data, *bytes;
        size_t size;
    } cases[] = {
        {"BOOL", "[true,false]", "\x01\x00", 2},
        {"UINT8", "[255,1]", "\xff\x01", 2},
        {"INT8", "[-128,127]", "\x80\x7f", 2},
        {"UINT16", "[65535,258]", "\xff\xff\x02\x01", 4},
        {"INT16", "[-32768,-2]", "\x00\x80\xfe\xff", 4},
        {"UINT32", "[4294967295,1]", "\xff\xff\xff\xff\x01\0\0\0", 8},
        {"INT32", "[-2147483648,2]", "\0\0\0\x80\x02\0\0\0", 8},
        {"UINT64", "[18446744073709551615,1]", "\xff\xff\xff\xff\xff\xff\xff\xff\x01\0\0\0\0\0\0\0",
         16},
        {"INT64", "[-9223372036854775808,9007199254740993]",
         "\0\0\0\0\0\0\0\x80\x01\0\0\0\0\0\x20\0", 16},
        {"FP32", "[1,-2.5]", "\0\0\x80\x3f\0\0\x20\xc0", 8},
        {"FP64", "[1,-2.5]", "\0\0\0\0\0\0\xf0\x3f\0\0\0\0\0\0\x04\xc0", 16},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(take(cases[i].datatype, "[2]", cases[i].data), ERR_OK);
        assert_int_equal(tensor.shape[0], 2);
        assert_memory_equal(tensor.data, cases[i].bytes, cases[i].size);
    }
}

static void texts_nesting_and_words_for_floats(void **state)
{
    (void)state;
    assert_int_equal(take("BYTES", "[1,2]", "[[\"a\\u0000b\",\"\"]]"), ERR_OK);
    const struct str *texts = tensor.data;
    assert_true(str_equal(texts[0], (struct str){"a\0b", 3}) && texts[1].len == 0);
    assert_int_equal(take("FP64", "[2,2]", "[[NaN,null],[\"Infinity\",-Infinity]]"), ERR_OK);
    const double *f64 = tensor.data;
    assert_true(isnan(f64[0]) && isnan(f64[1]) && f64[2] == INFINITY && f64[3] == -INFINITY);
    assert_int_equal(take("INT32", "[2]", "[3.0,1e2]"), ERR_OK);
    assert_true(((int32_t *)tensor.data)[0] == 3 && ((int32_t *)tensor.data)[1] == 100);
}

static void what_is_none_is_named(void **state)
{
    static const struct {
        const char *datatype, *shape, *data, *message;
    } cases[] = {
        {"UINT8", "[2]", "[1,256]", "input 'x': element 1: 256 does not fit UINT8"},
        {"UINT8", "[2]", "[-1,1]", "input 'x': element 0: -1 does not fit UINT8"},
        {"INT8", "[1]", "[128]", "input 'x': element 0: 128 does not fit INT8"},
        {"INT8", "[1]", "[-129]", "input 'x': element 0: -129 does not fit INT8"},
        {"INT64", "[1]", "[9223372036854775808]",
         "input 'x': element 0: 9.2233720368547758e+18 does not fit INT64"},
        {"INT32", "[1]", "[0.5]", "input 'x': element 0: 0.5 does not fit INT32"},
        {"INT32", "[1]", "[null]", "input 'x': element 0 must be a whole number, got null"},
        {"BOOL", "[1]", "[2]", "input 'x': element 0 must be true or false, got uint"},
        {"BYTES", "[1]", "[7]", "input 'x': element 0 must be a text, got uint"},
        {"FP64", "[1]", "[\"inf\"]", "input 'x': element 0 must be a number, got string"},
        {"FP64", "[3]", "[1,2]", "input 'x': data does not have the shape [3]"},
        {"BF16", "[1]", "[1]",
         "receiving BF16 data via JSON is not supported. Please use the binary data format for "
         "input 'x'"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(take(cases[i].datatype, cases[i].shape, cases[i].data), ERR_INVALID);
        assert_string_equal(err.msg, cases[i].message);
    }
}

/* A large shape with little behind it is refused before there is memory for it. */
static void shapes_that_lie_cost_nothing(void **state)
{
    (void)state;
    assert_int_equal(take("INT64", "[1000000000000]", "[1]"), ERR_INVALID);
    assert_int_equal(arena_bytes(arena) < 64 * 1024, true);
}

static enum err_code read_binary(enum dtype dtype, int64_t count, const void *bytes, size_t size)
{
    struct guard guard = guard_init(bytes, size);
    const struct oip_input input = {.name = STR_LIT("x"),
                                    .dtype = dtype,
                                    .rank = 1,
                                    .shape = {count},
                                    .element_count = count,
                                    .binary = guard.text};
    tensor = (struct tensor){0};
    enum err_code rc = oip_read_tensor(&input, arena, &tensor, &err);
    guard_done(&guard);
    return rc;
}

static void binary_texts_must_fill_their_bytes(void **state)
{
    static const char two[] = {1, 0, 0, 0, 'a', 2, 0, 0, 0, 'b', 'c'};
    (void)state;
    assert_int_equal(read_binary(DTYPE_BYTES, 2, two, sizeof(two)), ERR_OK);
    assert_int_equal(((struct str *)tensor.data)[1].len, 2);
    assert_int_equal(read_binary(DTYPE_BYTES, 1, two, sizeof(two)), ERR_INVALID);
    assert_string_equal(err.msg, "expected 1 string elements for inference input 'x': 6 bytes are "
                                 "left behind them");
    assert_int_equal(read_binary(DTYPE_BYTES, 2, two, sizeof(two) - 1), ERR_INVALID);
    assert_string_equal(err.msg, "unexpected number of string elements 1 for inference input 'x', "
                                 "expecting 2");
    assert_int_equal(read_binary(DTYPE_BYTES, INT64_MAX / 32, two, sizeof(two)), ERR_INVALID);
    assert_non_null(strstr(err.msg, "unexpected number of string elements"));
}

static void binary_booleans_are_0_and_1(void **state)
{
    (void)state;
    assert_int_equal(read_binary(DTYPE_BOOL, 2, "\x01\x00", 2), ERR_OK);
    assert_int_equal(read_binary(DTYPE_BOOL, 2, "\x01\x02", 2), ERR_INVALID);
    assert_string_equal(err.msg, "input 'x': element 1 must be 0 or 1, got 2");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_datatype_is_read_from_json),
        TEST(texts_nesting_and_words_for_floats),
        TEST(what_is_none_is_named),
        TEST(shapes_that_lie_cost_nothing),
        TEST(binary_texts_must_fill_their_bytes),
        TEST(binary_booleans_are_0_and_1),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
