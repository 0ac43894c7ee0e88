/* test_str.c - text as (pointer, length), and numbers to and from text. */
#include "base/str.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/rand.h"
#include "guard_page.h"
#include "test.h"

static void compares_whole_texts(void **state)
{
    (void)state;
    assert_true(str_equal(STR_LIT("abc"), STR_LIT("abc")));
    assert_false(str_equal(STR_LIT("abc"), STR_LIT("ab")));
    assert_true(str_equal((struct str){NULL, 0}, STR_LIT("")));
    assert_true(str_equal_c(STR_LIT("a\0b"), "a") == false);
    assert_true(str_equal_nocase(STR_LIT("Content-Type"), STR_LIT("content-tYPE")));
    assert_false(str_equal_nocase(STR_LIT("["), STR_LIT("{"))); /* 0x20 apart, and no letters */
    assert_true(str_starts_with(STR_LIT("abc"), STR_LIT("ab")));
    assert_true(str_starts_with(STR_LIT("abc"), STR_LIT("")));
    assert_false(str_starts_with(STR_LIT("ab"), STR_LIT("abc")));
    assert_true(str_ends_with(STR_LIT("abc"), STR_LIT("bc")));
    assert_false(str_ends_with(STR_LIT("bc"), STR_LIT("abc")));
    assert_true(str_ends_with((struct str){NULL, 0}, STR_LIT("")));
}

static void a_star_stands_for_any_bytes(void **state)
{
    (void)state;
    assert_true(str_matches("drift/churn/*", "drift/churn/7/mean_radius"));
    assert_true(str_matches("*", "x"));
    assert_true(str_matches("*/mean_*", "drift/churn/7/mean_radius"));
    assert_true(str_matches("disk_free", "disk_free"));
    assert_true(str_matches("a*b*c", "a-b-b-c"));
    assert_false(str_matches("a*b*c", "a-b-b-d"));
    assert_false(str_matches("drift/churn", "drift/churn/7"));
    assert_false(str_matches("drift/*/age", "drift/churn/ages"));
    assert_false(str_matches("", "x"));
}

static void trims_spaces_and_tabs(void **state)
{
    (void)state;
    assert_true(str_equal(str_trim(STR_LIT(" \t a b\t ")), STR_LIT("a b")));
    assert_true(str_equal(str_trim(STR_LIT(" \t ")), STR_LIT("")));
    assert_true(str_equal(str_trim((struct str){NULL, 0}), STR_LIT("")));
    assert_true(str_equal(str_trim(STR_LIT("\na")), STR_LIT("\na")));
}

static void assert_parts(const char *whole, const char *const *parts)
{
    struct str rest = str_of(whole), part;
    for (; *parts; parts++) {
        assert_true(str_split(&rest, ',', &part));
        assert_true(str_equal_c(part, *parts));
    }
    assert_false(str_split(&rest, ',', &part));
}

static void splits_and_keeps_empty_parts(void **state)
{
    (void)state;
    assert_parts("a,b", (const char *const[]){"a", "b", NULL});
    assert_parts(",a,,", (const char *const[]){"", "a", "", "", NULL});
    assert_parts("", (const char *const[]){"", NULL});
    assert_parts("alone", (const char *const[]){"alone", NULL});
}

static void reads_integers_to_their_limits(void **state)
{
    (void)state;
    int64_t i = 5;
    uint64_t u = 5;
    assert_true(str_to_i64(STR_LIT("-9223372036854775808"), &i));
    assert_true(i == INT64_MIN);
    assert_true(str_to_i64(STR_LIT("9223372036854775807"), &i));
    assert_true(i == INT64_MAX);
    assert_true(str_to_u64(STR_LIT("18446744073709551615"), &u));
    assert_true(u == UINT64_MAX);
    assert_true(str_to_i64(STR_LIT("-0"), &i));
    assert_true(i == 0);
}

static void refuses_what_is_no_integer(void **state)
{
    static const char *const texts[] = {"",
                                        "-",
                                        "+1",
                                        " 1",
                                        "1 ",
                                        "1.0",
                                        "0x",
                                        "1e3",
                                        "--1",
                                        "1\n",
                                        "9223372036854775808",
                                        "-9223372036854775809"};
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(texts); k++) {
        int64_t i = 77;
        assert_false(str_to_i64(str_of(texts[k]), &i));
        assert_int_equal(i, 77);
    }
    uint64_t u = 77;
    assert_false(str_to_u64(STR_LIT("18446744073709551616"), &u));
    assert_false(str_to_u64(STR_LIT("-1"), &u));
    assert_int_equal(u, 77);
}

static void reads_sizes_with_suffixes(void **state)
{
    (void)state;
    uint64_t u = 77;
    assert_true(str_to_size(STR_LIT("64K"), &u) && u == 64 * 1024);
    assert_true(str_to_size(STR_LIT("16m"), &u) && u == 16 * 1024 * 1024);
    assert_true(str_to_size(STR_LIT("2G"), &u) && u == UINT64_C(2) << 30);
    assert_true(str_to_size(STR_LIT("123"), &u) && u == 123);
    u = 77;
    assert_false(str_to_size(STR_LIT("17179869184G"), &u)); /* 2^34 * 2^30 = 2^64 */
    assert_false(str_to_size(STR_LIT("K"), &u));
    assert_false(str_to_size(STR_LIT("1KB"), &u));
    assert_false(str_to_size(STR_LIT(""), &u));
    assert_int_equal(u, 77);
}

static void assert_reads_as_strtod(const char *text)
{
    double value = -77;
    struct guard g = guard_init_text(text);
    assert_true(str_to_f64(g.text, &value));
    double expected = strtod(text, NULL);
    assert_memory_equal(&value, &expected, sizeof(value));
    guard_done(&g);
}

/* The oracle is the C library, which rounds correctly; each number stands before a guard page. */
static void reads_spans_with_their_unit(void **state)
{
    (void)state;
    int64_t us = -1;
    assert_true(str_to_span_us(STR_LIT("250ms"), &us) && us == 250 * 1000);
    assert_true(str_to_span_us(STR_LIT("30s"), &us) && us == 30 * 1000 * 1000);
    assert_true(str_to_span_us(STR_LIT("5m"), &us) && us == INT64_C(300) * 1000 * 1000);
    assert_true(str_to_span_us(STR_LIT("6h"), &us) && us == INT64_C(21600) * 1000 * 1000);
    assert_true(str_to_span_us(STR_LIT("3d"), &us) && us == INT64_C(259200) * 1000 * 1000);
    assert_true(str_to_span_us(STR_LIT("0s"), &us) && us == 0);
    assert_false(str_to_span_us(STR_LIT("5"), &us));
    assert_false(str_to_span_us(STR_LIT("m"), &us));
    assert_false(str_to_span_us(STR_LIT("-5m"), &us));
    assert_false(str_to_span_us(STR_LIT("1.5h"), &us));
    assert_false(str_to_span_us(STR_LIT("9223372036854775807d"), &us));
    assert_int_equal(us, 0);
}

static void reads_decimals_correctly_rounded(void **state)
{
    static const char *const texts[] = {
        "0",
        "-0",
        "-0.0",
        "1",
        "+3.",
        "-.5",
        "5e-1",
        "1E+5",
        "0.1",
        "123456789012345678",
        "9007199254740993",        /* 2^53 + 1: half way between two doubles */
        "9007199254740993.000001", /* a little above half way */
        "1e22",
        "1e23",
        "8.5e-23",
        "123456789e-30",
        "5e-324",
        "2.4703282292062327e-324",
        "2.2250738585072011e-308",
        "1.7976931348623157e308",
        "1e-400",
        "000000000000000000000012.5",
        "0.000000000000000000000000000000000000000000000000000000000000012345678901234567890123",
        "100000000000000000000000000000000000000000000000000000000000000000000000000000.0",
        "179769313486231580793728971405303415079934132710037826936173778980444968292764750.25"};
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(texts); k++)
        assert_reads_as_strtod(texts[k]);
}

static void reads_random_decimals_as_strtod_does(void **state)
{
    (void)state;
    struct rand rand;
    rand_seed(&rand, 1);
    for (int k = 0; k < 20000; k++) {
        char text[64];
        int digits = 1 + (int)(rand_u64(&rand) % 20), exponent = (int)(rand_u64(&rand) % 640) - 330;
        snprintf(text, sizeof(text), "%.*fe%d", digits, rand_unit(&rand) * 100, exponent % 290);
        assert_reads_as_strtod(text);
    }
}

static void reads_infinities_and_nan_by_name(void **state)
{
    (void)state;
    double value = 0;
    assert_true(str_to_f64(STR_LIT("inf"), &value) && value == (double)INFINITY);
    assert_true(str_to_f64(STR_LIT("-Infinity"), &value) && value == -(double)INFINITY);
    assert_true(str_to_f64(STR_LIT("NaN"), &value) && isnan(value));
}

static void refuses_what_is_no_decimal(void **state)
{
    static const char *const texts[] = {
        "",     ".",  "-",   "e5",   "1e",    "1e+",  "1.2.3", " 1",  "1 ",
        "0x10", "1f", "--1", "1e5.", "1e999", "-nan", "infin", "1,5", "1e1000000000000"};
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(texts); k++) {
        double value = 77;
        struct guard g = guard_init_text(texts[k]);
        assert_false(str_to_f64(g.text, &value));
        assert_true(value == 77);
        guard_done(&g);
    }
}

static void refuses_numbers_longer_than_any_honest_one(void **state)
{
    (void)state;
    char text[2000];
    double value = 77;
    memset(text, '1', sizeof(text));
    text[1] = '.';
    assert_false(str_to_f64((struct str){text, sizeof(text)}, &value));
    assert_true(value == 77);
}

static const char *f32_text(float value)
{
    static char out[STR_NUMBER_BYTES + 1];
    size_t len = str_from_f32(value, out);
    assert_true(len <= STR_NUMBER_BYTES);
    out[len] = '\0';
    return out;
}

static const char *f64_text(double value)
{
    static char out[STR_NUMBER_BYTES + 1];
    size_t len = str_from_f64(value, out);
    assert_true(len <= STR_NUMBER_BYTES);
    out[len] = '\0';
    return out;
}

/* Plain for 1e-7 < |v| < 1e21, as ECMAScript's Number::toString, with ".0" behind whole numbers. */
static void writes_floats_in_the_form_json_readers_expect(void **state)
{
    (void)state;
    assert_string_equal(f32_text(0.5f), "0.5");
    assert_string_equal(f32_text(3.0f), "3.0");
    assert_string_equal(f32_text(-0.0f), "-0.0");
    assert_string_equal(f32_text(12345.678f), "12345.678");
    assert_string_equal(f32_text(1e-6f), "0.000001");
    assert_string_equal(f32_text(1e-7f), "1e-7");
    assert_string_equal(f32_text(-1.5e-9f), "-1.5e-9");
    assert_string_equal(f32_text(1e20f), "100000000000000000000.0");
    assert_string_equal(f32_text(1e21f), "1e21");
    assert_string_equal(f32_text(FLT_MAX), "3.4028235e38");
    assert_string_equal(f32_text(FLT_TRUE_MIN), "1e-45");
    assert_string_equal(f32_text(16777216.0f), "16777216.0");
    assert_string_equal(f32_text(NAN), "null");
    assert_string_equal(f32_text(-INFINITY), "null");
}

static void writes_doubles_in_the_same_form(void **state)
{
    (void)state;
    assert_string_equal(f64_text(0.1), "0.1");
    assert_string_equal(f64_text(3.0), "3.0");
    assert_string_equal(f64_text(1e-7), "1e-7");
    assert_string_equal(f64_text(1e21), "1e21");
    assert_string_equal(f64_text(1e20), "100000000000000000000.0");
    assert_string_equal(f64_text(DBL_MAX), "1.7976931348623157e308");
    assert_string_equal(f64_text(-DBL_TRUE_MIN), "-5e-324");
    assert_string_equal(f64_text(NAN), "null");
}

/* The digits of a decimal without leading and trailing zeros. */
static int significant_digits(const char *text)
{
    int count = 0, zeros = 0;
    for (; *text && *text != 'e'; text++) {
        if (*text < '0' || *text > '9' || (*text == '0' && count + zeros == 0))
            continue;
        zeros++;
        if (*text != '0') {
            count += zeros;
            zeros = 0;
        }
    }
    return count;
}

/* The C library's search: printf with n digits gives the n-digit decimal closest to v, and the
 * first n that reads back is the fewest there can be (but above a power of two, whose interval is
 * lopsided, where a decimal that is not the closest may be shorter still). */
static int fewest_digits(float value, char *text, size_t size)
{
    int n = 0;
    do
        snprintf(text, size, "%.*e", n++, (double)value);
    while (strtof(text, NULL) != value);
    return n;
}

static void assert_shortest(float value)
{
    char expected[40];
    const char *text = f32_text(value);
    float back = strtof(text, NULL);
    assert_memory_equal(&back, &value, sizeof(value));
    int fewest = fewest_digits(value, expected, sizeof(expected));
    int digits = significant_digits(text);
    assert_in_range(digits, 1, fewest);
    if (digits == fewest)
        assert_true(strtod(text, NULL) == strtod(expected, NULL)); /* and the closest of them */
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static void float_text_is_the_shortest_around_every_power_of_two(void **state)
{
    (void)state;
    for (uint32_t biased = 0; biased < 255; biased++) {
        for (uint32_t offset = 0; offset < 8; offset++) {
            uint32_t bits = (biased << 23) + offset - 4;
            if (bits > 0 && bits < UINT32_C(0x7F800000))
                assert_shortest(float_of(bits));
        }
    }
}

static void float_text_is_the_shortest_for_random_bits(void **state)
{
    (void)state;
    struct rand rand;
    rand_seed(&rand, 2);
    for (int i = 0; i < 200000; i++) {
        uint32_t bits = (uint32_t)rand_u64(&rand);
        float value = float_of(bits), subnormal = float_of(bits & UINT32_C(0x807FFFFF));
        if (isfinite(value) && value != 0)
            assert_shortest(value);
        if (subnormal != 0 && i % 16 == 0)
            assert_shortest(subnormal);
    }
}

static void float_text_is_the_shortest_for_short_decimals(void **state)
{
    (void)state;
    for (int i = 1; i < 100000; i++) {
        assert_shortest((float)i / 1000);
        assert_shortest((float)i * 1e6f);
    }
}

static void double_text_reads_back_for_random_bits(void **state)
{
    (void)state;
    struct rand rand;
    rand_seed(&rand, 3);
    for (int i = 0; i < 100000; i++) {
        uint64_t bits = rand_u64(&rand);
        double value, back;
        memcpy(&value, &bits, sizeof(value));
        if (!isfinite(value))
            continue;
        const char *text = f64_text(value);
        assert_true(str_to_f64(str_of(text), &back));
        assert_memory_equal(&back, &value, sizeof(value));
    }
}

static const char *i64_text(int64_t value)
{
    static char out[STR_NUMBER_BYTES + 1];
    out[str_from_i64(value, out)] = '\0';
    return out;
}

static void writes_integers_of_every_length(void **state)
{
    (void)state;
    char expected[32], out[STR_NUMBER_BYTES + 1];
    assert_string_equal(i64_text(INT64_MIN), "-9223372036854775808");
    assert_string_equal(i64_text(0), "0");
    for (uint64_t value = 1; value < UINT64_MAX / 10; value *= 10) {
        for (int step = -1; step <= 1; step++) {
            uint64_t v = value + (uint64_t)step;
            snprintf(expected, sizeof(expected), "%llu", (unsigned long long)v);
            out[str_from_u64(v, out)] = '\0';
            assert_string_equal(out, expected);
        }
    }
    out[str_from_u64(UINT64_MAX, out)] = '\0';
    assert_string_equal(out, "18446744073709551615");
}

static void hex_goes_there_and_back(void **state)
{
    (void)state;
    char hex[8];
    unsigned char bytes[4] = {7, 7, 7, 7};
    str_hex("\x00\x9f\xff\x41", 4, hex);
    assert_memory_equal(hex, "009fff41", 8);
    for (int i = 0; i < 256; i++) {
        char all[14], expected[16];
        const unsigned char seven[7] = {(unsigned char)i, 1,   2, (unsigned char)(255 - i), 0x80,
                                        (unsigned char)i, 0xfe};
        snprintf(expected, sizeof(expected), "%02x0102%02x80%02xfe", i, 255 - i, i);
        str_hex(seven, sizeof(seven), all);
        assert_memory_equal(all, expected, sizeof(all));
    }
    assert_false(str_unhex(STR_LIT("009fff4g"), bytes, 4));
    assert_false(str_unhex(STR_LIT("009fff"), bytes, 4));
    assert_memory_equal(bytes, "\7\7\7\7", 4);
    assert_true(str_unhex(STR_LIT("009FfF41"), bytes, 4));
    assert_memory_equal(bytes, "\x00\x9f\xff\x41", 4);
}

static bool utf8_at_guard(const char *text)
{
    struct guard g = guard_init_text(text);
    bool valid = str_is_utf8(g.text);
    guard_done(&g);
    return valid;
}

/* The bounds of table 3-7 of the Unicode standard, each from both sides. */
static void accepts_utf8_and_nothing_else(void **state)
{
    static const char *const valid[] = {"",
                                        "plain ascii, longer than a word",
                                        "\xC2\x80",
                                        "\xDF\xBF",
                                        "\xE0\xA0\x80",
                                        "\xED\x9F\xBF",
                                        "\xEE\x80\x80",
                                        "\xEF\xBF\xBF",
                                        "\xF0\x90\x80\x80",
                                        "\xF4\x8F\xBF\xBF",
                                        "12345678\xC3\xA4 12345678"};
    static const char *const invalid[] = {"\x80",
                                          "\xBF",
                                          "\xC0\x80",
                                          "\xC1\xBF",
                                          "\xC2",
                                          "\xC2\x7F",
                                          "\xC2\xC0",
                                          "\xE0\x9F\xBF",
                                          "\xE1\x80",
                                          "\xED\xA0\x80",
                                          "\xF0\x8F\xBF\xBF",
                                          "\xF4\x90\x80\x80",
                                          "\xF5\x80\x80\x80",
                                          "\xF0\x90\x80",
                                          "\xFF",
                                          "12345678\xE4"};
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(valid); k++)
        assert_true(utf8_at_guard(valid[k]));
    for (size_t k = 0; k < ARRAY_LEN(invalid); k++)
        assert_false(utf8_at_guard(invalid[k]));
    assert_true(str_is_utf8(STR_LIT("a\0b")));
}

static void one_function_decides_on_names(void **state)
{
    (void)state;
    char longest[STR_NAME_BYTES_MAX + 1];
    memset(longest, 'a', sizeof(longest));
    assert_true(str_is_name(STR_LIT("churn")));
    assert_true(str_is_name(STR_LIT("9_Az.b-c")));
    assert_true(str_is_name((struct str){longest, STR_NAME_BYTES_MAX}));
    assert_false(str_is_name((struct str){longest, STR_NAME_BYTES_MAX + 1}));
    static const char *const bad[] = {"",   ".",   "..",  ".a",  "-a",
                                      "_a", "a/b", "a b", "a\n", "\xC3\xA4"};
    for (size_t k = 0; k < ARRAY_LEN(bad); k++)
        assert_false(str_is_name(str_of(bad[k])));
    assert_false(str_is_name(STR_LIT("a\0b")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compares_whole_texts),
        cmocka_unit_test(a_star_stands_for_any_bytes),
        cmocka_unit_test(trims_spaces_and_tabs),
        cmocka_unit_test(splits_and_keeps_empty_parts),
        cmocka_unit_test(reads_integers_to_their_limits),
        cmocka_unit_test(refuses_what_is_no_integer),
        cmocka_unit_test(reads_sizes_with_suffixes),
        cmocka_unit_test(reads_spans_with_their_unit),
        cmocka_unit_test(reads_decimals_correctly_rounded),
        cmocka_unit_test(reads_random_decimals_as_strtod_does),
        cmocka_unit_test(reads_infinities_and_nan_by_name),
        cmocka_unit_test(refuses_what_is_no_decimal),
        cmocka_unit_test(refuses_numbers_longer_than_any_honest_one),
        cmocka_unit_test(writes_floats_in_the_form_json_readers_expect),
        cmocka_unit_test(writes_doubles_in_the_same_form),
        cmocka_unit_test(float_text_is_the_shortest_around_every_power_of_two),
        cmocka_unit_test(float_text_is_the_shortest_for_random_bits),
        cmocka_unit_test(float_text_is_the_shortest_for_short_decimals),
        cmocka_unit_test(double_text_reads_back_for_random_bits),
        cmocka_unit_test(writes_integers_of_every_length),
        cmocka_unit_test(hex_goes_there_and_back),
        cmocka_unit_test(accepts_utf8_and_nothing_else),
        cmocka_unit_test(one_function_decides_on_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
