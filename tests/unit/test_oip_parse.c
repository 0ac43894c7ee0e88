/* test_oip_parse.c - Open Inference Protocol requests: forms, shapes, binary tensors, lies. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "api/oip.h"
#include "api/oip_elements.h"
#include "base/check.h"
#include "base/rand.h"
#include "guard_page.h"
#include "test.h"

static struct arena *arena;
static struct oip_request request;
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

static enum err_code parse(const char *json)
{
    struct guard guard = guard_init_text(json);
    enum err_code rc = oip_parse(guard.text, (struct str){0}, arena, &request, &err);
    guard_done(&guard);
    return rc;
}

static void flat_and_nested_data_read_the_same(void **state)
{
    (void)state;
    float flat[4], nested[4];
    const float expected[4] = {1.5f, -2.0f, 3.0f, 4.25f};
    assert_int_equal(parse("{\"inputs\":[{\"name\":\"x\",\"shape\":[2,2],\"datatype\":\"FP32\","
                           "\"data\":[1.5,-2,3,4.25]}]}"),
                     ERR_OK);
    assert_int_equal(oip_read_f32(&request.inputs[0], flat, &err), ERR_OK);
    assert_int_equal(parse("{\"inputs\":[{\"name\":\"x\",\"shape\":[2,2],\"datatype\":\"FP32\","
                           "\"data\":[[1.5,-2],[3,4.25]]}]}"),
                     ERR_OK);
    assert_int_equal(oip_read_f32(&request.inputs[0], nested, &err), ERR_OK);
    assert_memory_equal(flat, expected, sizeof(expected));
    assert_memory_equal(nested, expected, sizeof(expected));
}

static void nested_data_of_another_shape_is_refused(void **state)
{
    (void)state;
    float out[4];
    assert_int_equal(parse("{\"inputs\":[{\"name\":\"x\",\"shape\":[2,2],\"datatype\":\"FP32\","
                           "\"data\":[[1],[2,3,4]]}]}"),
                     ERR_OK);
    assert_int_equal(oip_read_f32(&request.inputs[0], out, &err), ERR_INVALID);
    assert_string_equal(err.msg, "input 'x': data does not have the shape [2,2]");
    assert_string_equal(err.hint, "4 elements, flat or nested as the shape says");
}

static void null_is_missing_and_text_is_an_error(void **state)
{
    (void)state;
    float out[2] = {0};
    assert_int_equal(parse("{\"inputs\":[{\"name\":\"x\",\"shape\":[1,2],\"datatype\":\"FP32\","
                           "\"data\":[null,1]}]}"),
                     ERR_OK);
    assert_int_equal(oip_read_f32(&request.inputs[0], out, &err), ERR_OK);
    assert_true(isnan(out[0]) && out[1] == 1.0f);
    assert_int_equal(parse("{\"inputs\":[{\"name\":\"x\",\"shape\":[1,2],\"datatype\":\"FP32\","
                           "\"data\":[1,\"two\"]}]}"),
                     ERR_OK);
    assert_int_equal(oip_read_f32(&request.inputs[0], out, &err), ERR_INVALID);
    assert_string_equal(err.msg, "input 'x': element 1 must be a number, got string");
}

/* JSON of 93 bytes, then 8 bytes: 1.0f = 00 00 80 3f and 2.0f = 00 00 00 40, little-endian. */
static void binary_data_follows_the_json(void **state)
{
    (void)state;
    static const char json[] = "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,2],\"datatype\":\"FP32\","
                               "\"parameters\":{\"binary_data_size\":8}}]}";
    static const unsigned char floats[8] = {0, 0, 0x80, 0x3f, 0, 0, 0, 0x40};
    char body[sizeof(json) - 1 + sizeof(floats)], length[8];
    float out[2];
    memcpy(body, json, sizeof(json) - 1);
    memcpy(body + sizeof(json) - 1, floats, sizeof(floats));
    size_t digits = str_from_u64(sizeof(json) - 1, length);
    struct guard guard = guard_init(body, sizeof(body));
    assert_int_equal(oip_parse(guard.text, (struct str){length, digits}, arena, &request, &err),
                     ERR_OK);
    assert_int_equal(oip_read_f32(&request.inputs[0], out, &err), ERR_OK);
    assert_true(out[0] == 1.0f && out[1] == 2.0f);
    guard_done(&guard);
}

static void lying_lengths_are_refused(void **state)
{
    (void)state;
    static const char json[] = "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,2],\"datatype\":\"FP32\","
                               "\"parameters\":{\"binary_data_size\":800}}]}";
    struct guard guard = guard_init_text(json);
    struct str whole = guard.text;
    char length[8];
    size_t digits = str_from_u64(whole.len, length);
    assert_int_equal(oip_parse(whole, (struct str){length, digits}, arena, &request, &err),
                     ERR_INVALID);
    assert_string_equal(err.msg,
                        "input 'x' says binary_data_size 800, but 0 bytes are left in the body");
    assert_int_equal(oip_parse(whole, STR_LIT("100000"), arena, &request, &err), ERR_INVALID);
    assert_int_equal(oip_parse(whole, STR_LIT("-1"), arena, &request, &err), ERR_INVALID);
    assert_int_equal(oip_parse(whole, (struct str){0}, arena, &request, &err), ERR_INVALID);
    assert_non_null(strstr(err.msg, "must specify valid 'Infer-Header-Content-Length'"));
    guard_done(&guard);
}

static void shapes_are_checked_before_they_are_used(void **state)
{
    (void)state;
    assert_int_equal(parse("{\"inputs\":[{\"name\":\"x\",\"shape\":[-1,2],\"datatype\":\"FP32\","
                           "\"data\":[1,2]}]}"),
                     ERR_INVALID);
    assert_int_equal(parse("{\"inputs\":[{\"name\":\"x\",\"shape\":[4294967296,4294967296],"
                           "\"datatype\":\"FP32\",\"data\":[1]}]}"),
                     ERR_LIMIT);
    assert_int_equal(parse("{\"inputs\":[{\"name\":\"x\",\"shape\":[1,1,1,1,1,1,1,1,1],"
                           "\"datatype\":\"FP32\",\"data\":[1]}]}"),
                     ERR_LIMIT);
    assert_int_equal(parse("{\"inputs\":[{\"name\":\"x\",\"shape\":[1],\"datatype\":\"FP31\","
                           "\"data\":[1]}]}"),
                     ERR_INVALID);
    assert_string_equal(err.msg, "input 'x': datatype 'FP31' does not exist");
}

static void a_member_that_occurs_twice_is_refused(void **state)
{
    (void)state;
    assert_int_equal(parse("{\"inputs\":[],\"inputs\":[]}"), ERR_INVALID);
    assert_string_equal(err.msg, "the request has 'inputs' twice");
    assert_int_equal(parse("{\"inputs\":[{\"name\":\"x\",\"shape\":[1],\"datatype\":\"FP32\","
                           "\"data\":[1]}],\"outputs\":[{\"name\":\"y\"},{\"name\":\"y\"}]}"),
                     ERR_INVALID);
    assert_string_equal(err.msg, "output 'y' already exists in request");
}

static void unknown_top_level_members_are_tolerated(void **state)
{
    (void)state;
    assert_int_equal(parse("{\"model_name\":\"m\",\"id\":\"7\",\"inputs\":[{\"name\":\"x\","
                           "\"shape\":[1],\"datatype\":\"FP32\",\"data\":[1]}]}"),
                     ERR_OK);
    assert_true(str_equal_c(request.id, "7"));
}

static size_t print_number(char *out, size_t size, int form, double value)
{
    static const int digits[] = {3, 0, 1, 9, 17, 6};
    if (form < 3)
        return (size_t)snprintf(out, size, "%.*f", digits[form], value);
    if (form < 5)
        return (size_t)snprintf(out, size, "%.*g", digits[form], value);
    return (size_t)snprintf(out, size, "%.*e", digits[form], value);
}

/* Random numbers as clients print them: the one-pass reader and the tree reader give equal bits, or
 * the first leaves the request to the second. */
static void both_readers_read_the_same_bits(void **state)
{
    (void)state;
    struct rand rand;
    int scanned = 0;
    rand_seed(&rand, 7);
    for (int round = 0; round < 2000; round++) {
        char json[1024];
        float parsed[8];
        size_t n = (size_t)snprintf(json, sizeof(json),
                                    "{\"id\":\"7\",\"inputs\":[{\"name\":\"x\","
                                    "\"shape\":[2,4],\"datatype\":\"FP32\","
                                    "\"data\":[");
        for (int i = 0; i < 8; i++) {
            double value = (rand_unit(&rand) - 0.5) * (i % 2 ? 1e6 : 1.0);
            n += (size_t)snprintf(json + n, sizeof(json) - n, "%s", i ? ", " : "");
            n += print_number(json + n, sizeof(json) - n, round % 6, value);
        }
        n += (size_t)snprintf(json + n, sizeof(json) - n, "]}]}");
        struct guard guard = guard_init(json, n);
        struct oip_request scan;
        arena_reset(arena);
        assert_int_equal(oip_parse(guard.text, (struct str){0}, arena, &request, &err), ERR_OK);
        assert_int_equal(oip_read_f32(&request.inputs[0], parsed, &err), ERR_OK);
        if (oip_scan(guard.text, arena, &scan)) {
            assert_memory_equal(parsed, scan.inputs->floats, sizeof(parsed));
            assert_true(str_equal_c(scan.id, "7"));
            scanned++;
        }
        guard_done(&guard);
    }
    assert_true(scanned >= 2000 * 5 / 6); /* all but the 17 digits */
}

static void the_one_pass_reader_leaves_the_unusual_to_the_other(void **state)
{
    (void)state;
#define HEAD "{\"inputs\":[{\"name\":\"x\",\"shape\":"
#define FP32 ",\"datatype\":\"FP32\",\"data\":"
    static const char *const unusual[] = {
        "",
        "{",
        "[]",
        "{}",
        HEAD "[1],\"datatype\":\"FP64\",\"data\":[1]}]}",
        "{\"inputs\":[{\"name\":\"x\",\"data\":[1],\"shape\":[1],\"datatype\":\"FP32\"}]}",
        HEAD "[2]" FP32 "[1]}]}",
        HEAD "[1]" FP32 "[1,2]}]}",
        HEAD "[1]" FP32 "[01]}]}",
        HEAD "[1]" FP32 "[1.]}]}",
        HEAD "[1]" FP32 "[NaN]}]}",
        "{\"inputs\":[{\"name\":\"\\u0078\",\"shape\":[1]" FP32 "[1]}]}",
        HEAD "[1]" FP32 "[1]}]}x",
        HEAD "[1],\"name\":\"y\"" FP32 "[1]}]}",
        HEAD "[1]" FP32 "[1]}],\"outputs\":[]}",
    };
#undef HEAD
#undef FP32
    for (size_t i = 0; i < ARRAY_LEN(unusual); i++) {
        struct guard guard = guard_init_text(unusual[i]);
        assert_false(oip_scan(guard.text, arena, &request));
        guard_done(&guard);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flat_and_nested_data_read_the_same),
        cmocka_unit_test(nested_data_of_another_shape_is_refused),
        cmocka_unit_test(null_is_missing_and_text_is_an_error),
        cmocka_unit_test(binary_data_follows_the_json),
        cmocka_unit_test(lying_lengths_are_refused),
        cmocka_unit_test(shapes_are_checked_before_they_are_used),
        cmocka_unit_test(a_member_that_occurs_twice_is_refused),
        cmocka_unit_test(unknown_top_level_members_are_tolerated),
        cmocka_unit_test(both_readers_read_the_same_bits),
        cmocka_unit_test(the_one_pass_reader_leaves_the_unusual_to_the_other),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
