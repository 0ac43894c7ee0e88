/* test_tensor_element.c - 16-bit floats, numbers in every datatype, the wire form. */
#include "base/tensor_element.h"

#include <math.h>
#include <string.h>

#include "base/check.h"
#include "base/half.h"
#include "test.h"

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

/* numpy: bits.view(float16).astype(float32).view(uint32) */
static void half_floats_widen_as_numpys(void **state)
{
    static const struct {
        uint16_t half;
        uint32_t single;
    } cases[] = {
        {0x0000, 0x00000000}, {0x8000, 0x80000000}, {0x0001, 0x33800000}, {0x03ff, 0x387fc000},
        {0x0400, 0x38800000}, {0x3c00, 0x3f800000}, {0xc000, 0xc0000000}, {0x7bff, 0x477fe000},
        {0x7c00, 0x7f800000}, {0xfc00, 0xff800000}, {0x3555, 0x3eaaa000}, {0x2e66, 0x3dccc000},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(bits_of(f16_to_f32(cases[i].half)), cases[i].single);
    assert_true(isnan(f16_to_f32(0x7e00)) && isnan(f16_to_f32(0xfc01)));
}

/* numpy: float32.astype(float16).view(uint16); ties, the largest, subnormals. */
static void half_floats_narrow_as_numpys(void **state)
{
    static const struct {
        float value;
        uint16_t half;
    } cases[] = {
        {0, 0},
        {1, 0x3c00},
        {-1, 0xbc00},
        {0.1f, 0x2e66},
        {65504, 0x7bff},
        {65519.996f, 0x7bff},
        {65520, 0x7c00},
        {-1e6f, 0xfc00},
        {5.9604645e-08f, 1},
        {2.9802322e-08f, 0},
        {2.98023259e-08f, 1},
        {8.940697e-08f, 2},
        {6.1035156e-05f, 0x400},
        {6.0975552e-05f, 0x3ff},
        {6.1005354e-05f, 0x400},
        {1.00048828125f, 0x3c00},
        {1.0009765625f, 0x3c01},
        {1.00146484375f, 0x3c02},
        {3.14159274f, 0x4248},
        {INFINITY, 0x7c00},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(f32_to_f16(cases[i].value), cases[i].half);
    assert_true(isnan(f16_to_f32(f32_to_f16(NAN))));
}

static void every_half_float_comes_back(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits <= UINT16_MAX; bits++) {
        float f16 = f16_to_f32((uint16_t)bits), bf16 = bf16_to_f32((uint16_t)bits);
        if (!isnan(f16))
            assert_int_equal(f32_to_f16(f16), bits);
        if (!isnan(bf16))
            assert_int_equal(f32_to_bf16(bf16), bits);
    }
}

/* bfloat16 is the upper half of a float: 3f80 8000 lies half way between 3f80 and 3f81 (even:
 * 3f80), 3f81 8000 between 3f81 and 3f82 (even: 3f82). */
static void bfloat16_rounds_ties_to_even(void **state)
{
    (void)state;
    assert_int_equal(f32_to_bf16(0x1.01p0f), 0x3f80);
    assert_int_equal(f32_to_bf16(0x1.03p0f), 0x3f82);
    assert_int_equal(f32_to_bf16(0x1.010002p0f), 0x3f81);
    assert_int_equal(f32_to_bf16(-2), 0xc000);
    assert_int_equal(f32_to_bf16(3.4028235e38f), 0x7f80);
    assert_true(isnan(bf16_to_f32(f32_to_bf16(NAN))));
}

/* The largest and the smallest of each integer datatype fit, one more does not. */
static void integers_take_their_range_only(void **state)
{
    static const struct {
        enum dtype dtype;
        double low, high;
    } cases[] = {
        {DTYPE_BOOL, 0, 1},
        {DTYPE_U8, 0, 255},
        {DTYPE_U16, 0, 65535},
        {DTYPE_U32, 0, 4294967295},
        {DTYPE_I8, -128, 127},
        {DTYPE_I16, -32768, 32767},
        {DTYPE_I32, -2147483648.0, 2147483647},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t data[2] = {0, 0};
        enum dtype dtype = cases[i].dtype;
        assert_true(tensor_put_f64(data, dtype, 1, cases[i].high));
        assert_true(tensor_f64_at(data, dtype, 1) == cases[i].high);
        assert_true(tensor_put_f64(data, dtype, 1, cases[i].low));
        assert_true(tensor_f64_at(data, dtype, 1) == cases[i].low);
        assert_true(tensor_f64_at(data, dtype, 0) == 0);
        assert_false(tensor_put_f64(data, dtype, 1, cases[i].high + 1));
        assert_false(tensor_put_f64(data, dtype, 1, cases[i].low - 1));
        assert_false(tensor_put_f64(data, dtype, 1, 0.5));
        assert_false(tensor_put_f64(data, dtype, 1, NAN));
        assert_true(tensor_f64_at(data, dtype, 1) == cases[i].low);
    }
}

/* 2^64 - 2048 and 2^63 - 1024 are the doubles below the ends. */
static void long_integers_end_below_their_powers(void **state)
{
    uint64_t u64 = 0;
    int64_t i64 = 0;
    (void)state;
    assert_true(tensor_put_f64(&u64, DTYPE_U64, 0, 0x1p64 - 2048));
    assert_true(u64 == UINT64_MAX - 2047);
    assert_false(tensor_put_f64(&u64, DTYPE_U64, 0, 0x1p64));
    assert_true(tensor_put_f64(&i64, DTYPE_I64, 0, -0x1p63));
    assert_true(i64 == INT64_MIN);
    assert_false(tensor_put_f64(&i64, DTYPE_I64, 0, 0x1p63));
}

/* "ab" and "": 02 00 00 00 'a' 'b' 00 00 00 00 */
static void texts_have_their_length_in_front(void **state)
{
    static const char expected[] = {2, 0, 0, 0, 'a', 'b', 0, 0, 0, 0};
    struct str texts[2] = {{"ab", 2}, {"", 0}}, text;
    struct tensor tensor = {.dtype = DTYPE_BYTES, .rank = 1, .shape = {2}, .data = texts};
    struct buf wire;
    size_t offset = 0;
    (void)state;
    buf_init(&wire, 64);
    tensor_put_wire(&wire, &tensor);
    assert_int_equal(tensor_wire_bytes(&tensor), sizeof(expected));
    assert_int_equal(wire.len, sizeof(expected));
    assert_memory_equal(wire.data, expected, sizeof(expected));
    assert_true(tensor_take_text(buf_view(&wire), &offset, &text) && str_equal(text, texts[0]));
    assert_true(tensor_take_text(buf_view(&wire), &offset, &text) && text.len == 0);
    assert_false(tensor_take_text(buf_view(&wire), &offset, &text));
    assert_int_equal(offset, sizeof(expected));
    offset = 0;
    assert_false(tensor_take_text((struct str){wire.data, 5}, &offset, &text));
    assert_int_equal(offset, 0);
    buf_done(&wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_floats_widen_as_numpys),
        cmocka_unit_test(half_floats_narrow_as_numpys),
        cmocka_unit_test(every_half_float_comes_back),
        cmocka_unit_test(bfloat16_rounds_ties_to_even),
        cmocka_unit_test(integers_take_their_range_only),
        cmocka_unit_test(long_integers_end_below_their_powers),
        cmocka_unit_test(texts_have_their_length_in_front),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
