/* test_protobuf.c - the wire format against the examples of protobuf.dev "Encoding", and what is
 * broken refused. */
#include "base/protobuf.h"

#include <math.h>

#include "base/check.h"
#include "guard_page.h"
#include "test.h"

enum { BUF_BYTES = 1 << 20 };

static struct pb_field only_field(const char *bytes, size_t size)
{
    struct pb_reader reader = pb_read((struct str){bytes, size});
    struct pb_field field, none;
    assert_true(pb_next(&reader, &field));
    assert_false(pb_next(&reader, &none));
    assert_null(reader.problem);
    return field;
}

#define ONLY_FIELD(literal) only_field(literal, sizeof(literal) - 1)

/* From the page: message Test1 { int32 a = 1; } with a = 150 is 08 96 01. */
static void test_reads_the_published_examples(void **state)
{
    (void)state;
    struct pb_field f = ONLY_FIELD("\x08\x96\x01");
    assert_int_equal(f.number, 1);
    assert_int_equal(f.wire, PB_VARINT);
    assert_int_equal(pb_int(&f), 150);

    /* int32 -2: ten bytes, fe ff ff ff ff ff ff ff ff 01 */
    f = ONLY_FIELD("\x08\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    assert_int_equal(pb_int(&f), -2);

    /* string "testing" as field 2: 12 07 74 65 73 74 69 6e 67 */
    f = ONLY_FIELD("\x12\x07testing");
    assert_int_equal(f.number, 2);
    assert_true(str_equal_c(f.bytes, "testing"));

    /* message Test3 { Test1 c = 3; } with a = 150: 1a 03 08 96 01 */
    f = ONLY_FIELD("\x1a\x03\x08\x96\x01");
    f = only_field(f.bytes.ptr, f.bytes.len);
    assert_int_equal(pb_int(&f), 150);
}

/* sint: 0 -> 0, -1 -> 1, 1 -> 2, -2 -> 3, 0x7fffffff -> 0xfffffffe, -0x80000000 -> 0xffffffff */
static void test_zigzag(void **state)
{
    (void)state;
    static const struct {
        uint64_t wire;
        int64_t value;
    } rows[] = {
        {0, 0}, {1, -1}, {2, 1}, {3, -2}, {0xfffffffe, 0x7fffffff}, {0xffffffff, -0x80000000LL}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct pb_field f = {.value = rows[i].wire};
        assert_true(pb_sint(&f) == rows[i].value);
    }
}

/* repeated int32 f = 6 with 3, 270, 86942: packed it is 32 06 03 8e 02 9e a7 05. */
static void test_repeated_numbers_come_both_ways(void **state)
{
    (void)state;
    uint64_t value;
    struct pb_field f = ONLY_FIELD("\x32\x06\x03\x8e\x02\x9e\xa7\x05");
    assert_int_equal(pb_count_numbers(&f, PB_VARINT), 3);
    assert_true(pb_next_number(&f, PB_VARINT, &value) && value == 3);
    assert_true(pb_next_number(&f, PB_VARINT, &value) && value == 270);
    assert_true(pb_next_number(&f, PB_VARINT, &value) && value == 86942);
    assert_false(pb_next_number(&f, PB_VARINT, &value));
    assert_int_equal(f.number, 6);

    f = ONLY_FIELD("\x30\x8e\x02");
    assert_int_equal(pb_count_numbers(&f, PB_VARINT), 1);
    assert_true(pb_next_number(&f, PB_VARINT, &value) && value == 270);
    assert_false(pb_next_number(&f, PB_VARINT, &value));
    assert_int_equal(f.number, 6);
}

static void test_broken_numbers_are_told_apart_from_the_end(void **state)
{
    (void)state;
    uint64_t value;
    struct pb_field f = ONLY_FIELD("\x32\x02\x03\x8e"); /* the second never ends */
    assert_int_equal(pb_count_numbers(&f, PB_VARINT), -1);
    assert_true(pb_next_number(&f, PB_VARINT, &value));
    assert_false(pb_next_number(&f, PB_VARINT, &value));
    assert_int_equal(f.number, 0);

    f = ONLY_FIELD("\x32\x03\x01\x02\x03"); /* three bytes are no float */
    assert_int_equal(pb_count_numbers(&f, PB_FIXED32), -1);
    f = ONLY_FIELD("\x30\x01"); /* a varint is no float either */
    assert_int_equal(pb_count_numbers(&f, PB_FIXED32), -1);
}

static void assert_stops(const char *bytes, size_t size, const char *problem)
{
    struct guard guard = guard_init(bytes, size);
    struct pb_reader reader = pb_read(guard.text);
    struct pb_field field;
    for (int i = 0; i < 8 && pb_next(&reader, &field); i++)
        ;
    assert_non_null(reader.problem);
    assert_string_equal(reader.problem, problem);
    guard_done(&guard);
}

#define ASSERT_STOPS(literal, problem) assert_stops(literal, sizeof(literal) - 1, problem)

static void test_broken_messages_stop(void **state)
{
    (void)state;
    ASSERT_STOPS("\x80", "a field's head is broken");
    ASSERT_STOPS("\x00\x01", "a field's number is out of range");
    ASSERT_STOPS("\x80\x80\x80\x80\x10\x01", "a field's number is out of range"); /* 2^29 */
    ASSERT_STOPS("\x08", "the message ends inside a number");
    ASSERT_STOPS("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
                 "the message ends inside a number");
    ASSERT_STOPS("\x0d\x01\x02\x03", "the message ends inside a number");
    ASSERT_STOPS("\x09\x01\x02\x03\x04\x05\x06\x07", "the message ends inside a number");
    ASSERT_STOPS("\x12\x80", "a field's length is broken");
    ASSERT_STOPS("\x12\x03te", "a field is longer than the message");
    ASSERT_STOPS("\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01t",
                 "a field is longer than the message");
    ASSERT_STOPS("\x0b\x0c", "groups are not supported");
    ASSERT_STOPS("\x0e", "a field's wire type does not exist");
}

static void assert_wrote(struct buf *buf, const char *bytes, size_t size)
{
    assert_int_equal(buf->len, size);
    assert_memory_equal(buf->data, bytes, size);
    buf_clear(buf);
}

#define ASSERT_WROTE(buf, literal) assert_wrote(buf, literal, sizeof(literal) - 1)

static void test_writes_the_published_examples(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, BUF_BYTES);
    pb_put_varint(&buf, 1, 150);
    ASSERT_WROTE(&buf, "\x08\x96\x01");
    pb_put_varint(&buf, 1, (uint64_t)-2);
    ASSERT_WROTE(&buf, "\x08\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    pb_put_text(&buf, 2, "testing");
    ASSERT_WROTE(&buf, "\x12\x07testing");
    size_t mark = pb_begin(&buf, 3);
    pb_put_varint(&buf, 1, 150);
    pb_end(&buf, mark);
    ASSERT_WROTE(&buf, "\x1a\x03\x08\x96\x01");
    mark = pb_begin(&buf, 6);
    pb_append_varint(&buf, 3);
    pb_append_varint(&buf, 270);
    pb_append_varint(&buf, 86942);
    pb_end(&buf, mark);
    ASSERT_WROTE(&buf, "\x32\x06\x03\x8e\x02\x9e\xa7\x05");
    pb_put_f32(&buf, 4, 1.5F); /* 1.5 is 0x3fc00000 */
    ASSERT_WROTE(&buf, "\x25\x00\x00\xc0\x3f");
    pb_put_f64(&buf, 4, -2); /* -2 is 0xc000000000000000 */
    ASSERT_WROTE(&buf, "\x21\x00\x00\x00\x00\x00\x00\x00\xc0");
    buf_done(&buf);
}

/* Lengths of one, two and three bytes, nested. */
static void test_long_messages_read_back(void **state)
{
    (void)state;
    static char bytes[20000];
    static const size_t sizes[] = {0, 1, 126, 127, 128, 129, 16382, 16383, 16384, sizeof(bytes)};
    memset(bytes, 'x', sizeof(bytes));
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct buf buf;
        buf_init(&buf, BUF_BYTES);
        size_t outer = pb_begin(&buf, 1), inner = pb_begin(&buf, 2);
        buf_append(&buf, bytes, sizes[i]);
        pb_end(&buf, inner);
        pb_end(&buf, outer);
        struct pb_field f = only_field(buf.data, buf.len);
        f = only_field(f.bytes.ptr, f.bytes.len);
        assert_int_equal(f.number, 2);
        assert_int_equal(f.bytes.len, sizes[i]);
        assert_memory_equal(f.bytes.ptr, bytes, sizes[i]);
        buf_done(&buf);
    }
}

static void test_a_full_buffer_says_so(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 130);
    size_t mark = pb_begin(&buf, 1);
    for (int i = 0; i < 128; i++)
        buf_char(&buf, 'x');
    assert_false(buf.is_full);
    pb_end(&buf, mark); /* the length needs a second byte */
    assert_true(buf.is_full);
    buf_done(&buf);
}

static void test_floats(void **state)
{
    (void)state;
    struct pb_field f = {.value = 0x3fc00000};
    assert_true(pb_f32(&f) == 1.5F);
    f.value = 0x7ff8000000000000;
    assert_true(isnan(pb_f64(&f)));
    f.value = 0xc000000000000000;
    assert_true(pb_f64(&f) == -2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_the_published_examples),
        cmocka_unit_test(test_zigzag),
        cmocka_unit_test(test_repeated_numbers_come_both_ways),
        cmocka_unit_test(test_broken_numbers_are_told_apart_from_the_end),
        cmocka_unit_test(test_broken_messages_stop),
        cmocka_unit_test(test_writes_the_published_examples),
        cmocka_unit_test(test_long_messages_read_back),
        cmocka_unit_test(test_a_full_buffer_says_so),
        cmocka_unit_test(test_floats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
