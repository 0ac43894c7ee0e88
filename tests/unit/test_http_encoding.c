/* test_http_encoding.c - gzip and deflate with limits, against streams that zlib made beside. */
#include "net/http_encoding.h"

#include <stdlib.h>
#include <zlib.h>

#include "base/check.h"
#include "guard_page.h"

#include "test.h"

enum { PACKED_BYTES = 64 * 1024, GZIP = 31, ZLIB = 15, RAW = -15 };

/* zlib's own stream; window as in deflateInit2. */
static size_t pack(const void *in, size_t size, int window, char *out)
{
    z_stream z = {0};
    int rc = deflateInit2(&z, 9, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY);
    assert(rc == Z_OK);
    z.next_in = (Bytef *)(uintptr_t)in;
    z.avail_in = (uInt)size;
    z.next_out = (Bytef *)out;
    z.avail_out = PACKED_BYTES;
    rc = deflate(&z, Z_FINISH);
    assert(rc == Z_STREAM_END);
    size_t n = z.total_out;
    deflateEnd(&z);
    return n;
}

static enum err_code unpack(enum http_coding coding, const char *bytes, size_t size,
                            size_t bytes_max, struct buf *out)
{
    struct err err = {0};
    struct guard guard = guard_init(bytes, size);
    buf_init(out, bytes_max);
    enum err_code rc = http_inflate(coding, guard.text, out, &err);
    assert_true(!rc || (err.msg[0] && err.hint[0]));
    guard_done(&guard);
    return rc;
}

static void whole_bodies_come_out_and_cut_ones_do_not(void **state)
{
    (void)state;
    static const struct {
        enum http_coding coding;
        int window;
    } forms[] = {{HTTP_CODING_GZIP, GZIP}, {HTTP_CODING_DEFLATE, ZLIB}, {HTTP_CODING_DEFLATE, RAW}};
    char packed[PACKED_BYTES];
    struct buf out;
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        size_t n = pack("hello hello hello", 17, forms[i].window, packed);
        for (size_t cut = 0; cut < n; cut++) {
            assert_int_equal(unpack(forms[i].coding, packed, cut, 1000, &out), ERR_INVALID);
            buf_done(&out);
        }
        assert_int_equal(unpack(forms[i].coding, packed, n, 17, &out), ERR_OK);
        assert_string_equal(buf_c(&out), "hello hello hello");
        buf_done(&out);
        assert_int_equal(unpack(forms[i].coding, packed, n, 16, &out), ERR_LIMIT);
        buf_done(&out);
        packed[n] = 'x';
        assert_int_equal(unpack(forms[i].coding, packed, n + 1, 1000, &out), ERR_INVALID);
        buf_done(&out);
    }
}

static void gzip_members_follow_each_other(void **state)
{
    (void)state;
    char packed[2 * PACKED_BYTES];
    struct buf out;
    size_t n = pack("hello ", 6, GZIP, packed);
    n += pack("world", 5, GZIP, packed + n);
    assert_int_equal(unpack(HTTP_CODING_GZIP, packed, n, 100, &out), ERR_OK);
    assert_string_equal(buf_c(&out), "hello world");
    buf_done(&out);
}

/* 1 MiB of zeros packs to about 1 KiB and is allowed; one byte more is 1,000 times its size. */
static void bombs_are_refused_by_their_ratio(void **state)
{
    (void)state;
    char packed[PACKED_BYTES];
    char *zeros = calloc(1, INFLATE_FREE_BYTES + 1);
    struct buf out;
    assert_non_null(zeros);
    for (size_t over = 0; over <= 1; over++) {
        size_t n = pack(zeros, INFLATE_FREE_BYTES + over, GZIP, packed);
        assert_int_equal(unpack(HTTP_CODING_GZIP, packed, n, SIZE_MAX / 2, &out),
                         over ? ERR_LIMIT : ERR_OK);
        assert_true(out.len <= INFLATE_FREE_BYTES + 16 * 1024);
        buf_done(&out);
    }
    free(zeros);
}

static void what_is_packed_unpacks(void **state)
{
    (void)state;
    char text[5000];
    struct buf packed, out;
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)('a' + i % 7);
    for (int coding = HTTP_CODING_GZIP; coding <= HTTP_CODING_DEFLATE; coding++) {
        buf_init(&packed, sizeof(text));
        assert_true(
            http_deflate((enum http_coding)coding, (struct str){text, sizeof(text)}, &packed));
        assert_true(packed.len < sizeof(text));
        assert_int_equal(
            unpack((enum http_coding)coding, packed.data, packed.len, sizeof(text), &out), ERR_OK);
        assert_memory_equal(out.data, text, sizeof(text));
        buf_done(&out);
        buf_done(&packed);
    }
    buf_init(&packed, 3);
    assert_false(http_deflate(HTTP_CODING_GZIP, STR_LIT("abc"), &packed)); /* would grow */
    assert_int_equal(packed.len, 0);
    buf_done(&packed);
}

static void weights_choose_the_coding(void **state)
{
    (void)state;
    static const struct {
        const char *accept;
        enum http_coding coding;
    } cases[] = {
        {"gzip", HTTP_CODING_GZIP},
        {"X-GZIP", HTTP_CODING_GZIP},
        {"gzip, deflate, br", HTTP_CODING_GZIP},
        {"deflate, gzip", HTTP_CODING_DEFLATE},
        {"gzip;q=0.5, deflate;q=0.8", HTTP_CODING_DEFLATE},
        {"gzip ; q=0.001", HTTP_CODING_GZIP},
        {"identity;q=0.5, gzip;q=0.5", HTTP_CODING_GZIP},
        {"identity, gzip;q=0.5", HTTP_CODING_IDENTITY},
        {"gzip;q=0", HTTP_CODING_IDENTITY},
        {"gzip;q=0, *", HTTP_CODING_IDENTITY},
        {"*", HTTP_CODING_GZIP},
        {"*;q=0", HTTP_CODING_IDENTITY},
        {"gzip;q=2", HTTP_CODING_IDENTITY},
        {"gzip;q=", HTTP_CODING_IDENTITY},
        {"br, zstd", HTTP_CODING_IDENTITY},
        {",, ;q=1,", HTTP_CODING_IDENTITY},
        {"", HTTP_CODING_IDENTITY},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct guard guard = guard_init_text(cases[i].accept);
        if (http_choose_coding(guard.text) != cases[i].coding)
            fail_msg("%s", cases[i].accept);
        guard_done(&guard);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_bodies_come_out_and_cut_ones_do_not),
        cmocka_unit_test(gzip_members_follow_each_other),
        cmocka_unit_test(bombs_are_refused_by_their_ratio),
        cmocka_unit_test(what_is_packed_unpacks),
        cmocka_unit_test(weights_choose_the_coding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
