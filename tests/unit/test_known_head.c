/* test_known_head.c - a head like an earlier one means what that one meant, and no other does. */
#include "net/known_head.h"

#include <stdlib.h>
#include <string.h>

#include "guard_page.h"
#include "test.h"

static const struct http_limits limits = {
    .head_bytes_max = 2048, .body_bytes_max = 4096, .chunks_max = 50};

struct reader {
    struct http_parser parser;
    struct http_message message;
    struct http_request request;
};

static void begin(struct reader *r, struct known_heads *heads)
{
    memset(r, 0, sizeof(*r));
    r->message.request = &r->request;
    buf_init(&r->message.head, limits.head_bytes_max);
    buf_init(&r->message.body, limits.body_bytes_max);
    http_parser_init(&r->parser, &limits, heads);
}

static void end(struct reader *r)
{
    buf_done(&r->message.head);
    buf_done(&r->message.body);
}

/* One whole request; was its head known? */
static bool read_whole(struct reader *r, struct str bytes)
{
    size_t head, body;
    http_parser_begin(&r->parser, &r->message);
    assert_int_equal(http_parser_feed(&r->parser, bytes.ptr, bytes.len, &head), HTTP_PARSE_HEAD);
    bool is_known = r->parser.is_known;
    enum http_parse_event event =
        http_parser_feed(&r->parser, bytes.ptr + head, bytes.len - head, &body);
    assert_int_equal(event, HTTP_PARSE_DONE);
    assert_int_equal(head + body, bytes.len);
    return is_known;
}

#define POST(path, length, body)                                                                   \
    STR_LIT("POST " path " HTTP/1.1\r\nHost: a\r\nContent-Length: " length                         \
            "\r\nAuthorization: Bearer k\r\n\r\n" body)

static void a_second_head_is_known(void **state)
{
    (void)state;
    struct known_heads heads = {0};
    struct reader r;
    struct str second = POST("/p?q=1", "5", "01234");
    struct guard page = guard_init(second.ptr, second.len);
    begin(&r, &heads);
    assert_false(read_whole(&r, POST("/p?q=1", "3", "abc")));
    assert_true(read_whole(&r, page.text));
    assert_int_equal(r.request.method, HTTP_METHOD_POST);
    assert_true(str_equal_c(r.request.path, "/p"));
    assert_true(str_equal_c(r.request.query, "q=1"));
    assert_true(str_equal_c(r.request.known.host, "a"));
    assert_true(str_equal_c(r.request.known.authorization, "Bearer k"));
    assert_true(str_equal_c(r.request.body, "01234"));
    assert_int_equal(r.request.header_count, 3);
    assert_true(str_equal_c(r.request.headers[1].value, "5"));
    assert_true(r.request.path.ptr > page.text.ptr &&
                r.request.path.ptr < page.text.ptr + page.text.len);
    assert_true(r.message.is_keeping_alive && r.message.has_body);
    guard_done(&page);
    end(&r);
    known_heads_done(&heads);
}

static void other_heads_are_parsed(void **state)
{
    (void)state;
    struct known_heads heads = {0};
    struct reader r;
    begin(&r, &heads);
    assert_false(read_whole(&r, POST("/p", "3", "abc")));
    assert_false(read_whole(&r, POST("/p", "10", "0123456789")));
    assert_false(read_whole(&r, POST("/q", "3", "abc")));
    assert_true(read_whole(&r, POST("/p", "0", "")));
    assert_false(r.message.has_body);
    assert_true(read_whole(&r, POST("/p", "99",
                                    "0123456789012345678901234567890123456789012345678"
                                    "9012345678901234567890123456789012345678901234567"
                                    "8")));
    end(&r);
    known_heads_done(&heads);
}

/* What the first head of a connection made llhttp refuse stays refused. */
static void a_wrong_length_is_refused(void **state)
{
    (void)state;
    struct known_heads heads = {0};
    struct reader r;
    size_t taken;
    struct str wrong = POST("/p", "x", "abc");
    begin(&r, &heads);
    assert_false(read_whole(&r, POST("/p", "3", "abc")));
    http_parser_begin(&r.parser, &r.message);
    assert_int_equal(http_parser_feed(&r.parser, wrong.ptr, wrong.len, &taken), HTTP_PARSE_BAD);
    end(&r);
    known_heads_done(&heads);
}

/* "Connection: close" is the client's last word: nothing behind it is a request. */
static void nothing_is_known_behind_the_last_request(void **state)
{
    (void)state;
    struct known_heads heads = {0};
    struct reader r;
    size_t taken;
    struct str next = POST("/p", "3", "abc");
    begin(&r, &heads);
    assert_false(read_whole(&r, next));
    assert_false(read_whole(&r, STR_LIT("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")));
    http_parser_begin(&r.parser, &r.message);
    assert_int_equal(http_parser_feed(&r.parser, next.ptr, next.len, &taken), HTTP_PARSE_BAD);
    end(&r);
    known_heads_done(&heads);
}

/* A body that is still to come goes the ordinary way, whose texts survive the piece. */
static void an_unfinished_body_is_parsed(void **state)
{
    (void)state;
    struct known_heads heads = {0};
    struct reader r;
    size_t taken;
    struct str part = POST("/p", "5", "012");
    begin(&r, &heads);
    assert_false(read_whole(&r, POST("/p", "3", "abc")));
    http_parser_begin(&r.parser, &r.message);
    assert_int_equal(http_parser_feed(&r.parser, part.ptr, part.len, &taken), HTTP_PARSE_HEAD);
    assert_false(r.parser.is_known);
    assert_true(r.message.head.len > 0);
    end(&r);
    known_heads_done(&heads);
}

/* Chunked bodies, HTTP/1.0 and Expect say more than a length can. */
static void some_heads_are_never_known(void **state)
{
    (void)state;
    static const char *const requests[] = {
        "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET /p HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "POST /p HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na",
    };
    struct known_heads heads = {0};
    struct reader r;
    for (size_t i = 0; i < 3; i++) {
        begin(&r, &heads);
        assert_false(read_whole(&r, str_of(requests[i])));
        assert_false(read_whole(&r, str_of(requests[i])));
        end(&r);
    }
    assert_int_equal(heads.count, 0);
    known_heads_done(&heads);
}

/* Five callers, four places: the one that called longest ago is forgotten. */
static void the_table_has_room_for_a_few(void **state)
{
    (void)state;
    struct known_heads heads = {0};
    struct reader r;
    begin(&r, &heads);
    const struct str requests[] = {POST("/1", "1", "a"), POST("/2", "1", "a"), POST("/3", "1", "a"),
                                   POST("/4", "1", "a"), POST("/5", "1", "a")};
    for (int i = 0; i < 4; i++)
        assert_false(read_whole(&r, requests[i]));
    assert_true(read_whole(&r, requests[0]));
    assert_false(read_whole(&r, requests[4]));
    assert_true(read_whole(&r, requests[0]));
    assert_false(read_whole(&r, requests[1]));
    assert_int_equal(heads.count, KNOWN_HEADS_MAX);
    end(&r);
    known_heads_done(&heads);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_second_head_is_known),
        cmocka_unit_test(other_heads_are_parsed),
        cmocka_unit_test(a_wrong_length_is_refused),
        cmocka_unit_test(an_unfinished_body_is_parsed),
        cmocka_unit_test(nothing_is_known_behind_the_last_request),
        cmocka_unit_test(some_heads_are_never_known),
        cmocka_unit_test(the_table_has_room_for_a_few),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
