/* test_buf.c - growing, the limit, and JSON strings. */
#include "base/buf.h"

#include <stdlib.h>

#include "guard_page.h"
#include "test.h"

static void grows_and_keeps_what_it_has(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 1 << 20);
    for (int i = 0; i < 10000; i++)
        buf_printf(&buf, "%04d,", i);
    assert_int_equal(buf.len, 50000);
    assert_memory_equal(buf.data + 5 * 1234, "1234,", 5);
    assert_memory_equal(buf_c(&buf) + 49995, "9999,", 6);
    buf_clear(&buf);
    assert_int_equal(buf.len, 0);
    assert_string_equal(buf_c(&buf), "");
    buf_done(&buf);
}

static void stops_at_its_limit_and_says_so(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 10);
    buf_lit(&buf, "0123456789");
    assert_false(buf.is_full);
    assert_string_equal(buf_c(&buf), "0123456789");
    buf_char(&buf, 'x');
    assert_true(buf.is_full);
    assert_int_equal(buf.len, 10);
    assert_string_equal(buf_c(&buf), ""); /* not whole: nothing is better than a part */
    buf_clear(&buf);
    assert_false(buf.is_full);
    buf_printf(&buf, "%s", "01234567890");
    assert_true(buf.is_full);
    assert_int_equal(buf.len, 0);
    assert_true(buf.capacity <= 10);
    buf_done(&buf);
}

static void an_empty_buffer_is_an_empty_text(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 0);
    assert_string_equal(buf_c(&buf), "");
    buf_append(&buf, NULL, 0);
    buf_printf(&buf, "%s", "");
    assert_false(buf.is_full);
    buf_char(&buf, 'x');
    assert_true(buf.is_full);
    buf_done(&buf);
}

static void numbers_take_only_the_room_they_need(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 16);
    buf_i64(&buf, -12);
    buf_char(&buf, ' ');
    buf_u64(&buf, 34);
    buf_char(&buf, ' ');
    buf_f32(&buf, 0.5f);
    buf_char(&buf, ' ');
    buf_f64(&buf, 2.25);
    assert_string_equal(buf_c(&buf), "-12 34 0.5 2.25");
    buf_f64(&buf, 0.5);
    assert_true(buf.is_full);
    buf_done(&buf);
}

static void assert_json(struct str s, const char *expected)
{
    struct buf buf;
    struct guard g = guard_init(s.ptr, s.len);
    buf_init(&buf, 1000);
    buf_json_str(&buf, g.text);
    assert_string_equal(buf_c(&buf), expected);
    buf_done(&buf);
    guard_done(&g);
}

static void json_strings_are_escaped_and_always_utf8(void **state)
{
    (void)state;
    assert_json(STR_LIT(""), "\"\"");
    assert_json(STR_LIT("a/b'c"), "\"a/b'c\"");
    assert_json(STR_LIT("q\" b\\ \b\f\n\r\t"), "\"q\\\" b\\\\ \\b\\f\\n\\r\\t\"");
    assert_json(STR_LIT("\0\x1f\x7f"), "\"\\u0000\\u001f\x7f\"");
    assert_json(STR_LIT("\xC3\xA4\xF0\x9F\x9A\xA2"), "\"\xC3\xA4\xF0\x9F\x9A\xA2\"");
    assert_json(STR_LIT("\xC3(\xED\xA0\x80"),
                "\"\xEF\xBF\xBD(\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
    assert_json(STR_LIT("cut \xF0\x9F\x9A"), "\"cut \xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_and_keeps_what_it_has),
        cmocka_unit_test(stops_at_its_limit_and_says_so),
        cmocka_unit_test(an_empty_buffer_is_an_empty_text),
        cmocka_unit_test(numbers_take_only_the_room_they_need),
        cmocka_unit_test(json_strings_are_escaped_and_always_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
