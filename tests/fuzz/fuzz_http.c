/* fuzz_http.c - any bytes as HTTP: the same requests come out whole, with heads that are known from
 * before, and in pieces. */
#include <stdint.h>
#include <stdlib.h>

#include "base/check.h"
#include "net/known_head.h"

enum { TRACE_BYTES = 1 << 20, PIECE_BYTES = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct http_limits limits = {
    .head_bytes_max = 2048, .body_bytes_max = 4096, .chunks_max = 50};

static void trace_text(struct buf *trace, struct str text)
{
    buf_u64(trace, text.len);
    buf_char(trace, ':');
    buf_str(trace, text);
}

static void trace_request(struct buf *trace, const struct http_request *request)
{
    buf_text(trace, http_method_name(request->method));
    trace_text(trace, request->path);
    trace_text(trace, request->query);
    trace_text(trace, request->known.host);
    for (int i = 0; i < request->header_count; i++) {
        trace_text(trace, request->headers[i].name);
        trace_text(trace, request->headers[i].value);
    }
    trace_text(trace, request->body);
    buf_char(trace, '\n');
}

struct reader {
    struct http_parser parser;
    struct http_message message;
    struct http_request request;
    struct buf *trace;
    bool is_begun, is_bad;
};

/* A request whose head is read and that has no body ends without further bytes. */
static bool is_complete(const struct reader *r)
{
    return r->is_begun && r->parser.state == HTTP_PARSE_IN_BODY && !r->message.has_body;
}

static void feed(struct reader *r, const char *bytes, size_t size)
{
    while ((size || is_complete(r)) && !r->is_bad) {
        size_t taken;
        if (!r->is_begun)
            http_parser_begin(&r->parser, &r->message);
        r->is_begun = true;
        enum http_parse_event event = http_parser_feed(&r->parser, bytes, size, &taken);
        assert(taken <= size);
        bytes += taken;
        size -= taken;
        if (event == HTTP_PARSE_DONE) {
            trace_request(r->trace, &r->request);
            r->is_begun = false;
        } else if (event == HTTP_PARSE_BAD) {
            assert(r->parser.refusal.status >= 400 && r->parser.refusal.message[0]);
            buf_lit(r->trace, "bad"); /* which fault is met first depends on the pieces */
            r->is_bad = true;
        } else if (event == HTTP_PARSE_MORE) {
            assert(size == 0);
        }
    }
}

/* Pieces of 1 to `most` bytes, each in memory of its own that is gone afterwards. */
static void run(const char *bytes, size_t size, size_t most, struct known_heads *heads,
                struct buf *trace)
{
    struct reader *r = calloc(1, sizeof(*r));
    assert(r);
    r->trace = trace;
    r->message.request = &r->request;
    buf_init(&r->message.head, limits.head_bytes_max);
    buf_init(&r->message.body, limits.body_bytes_max);
    http_parser_init(&r->parser, &limits, heads);
    for (size_t at = 0, step = 1; at < size && !r->is_bad; at += step) {
        step = most >= size ? size : 1 + (at * 7 + size) % most;
        step = step < size - at ? step : size - at;
        char *piece = malloc(step);
        assert(piece);
        memcpy(piece, bytes + at, step);
        feed(r, piece, step);
        free(piece);
    }
    buf_done(&r->message.head);
    buf_done(&r->message.body);
    free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct known_heads heads = {0};
    struct buf whole, again, pieces;
    if (size < 2 || size > PIECE_BYTES)
        return 0;
    buf_init(&whole, TRACE_BYTES);
    buf_init(&again, TRACE_BYTES);
    buf_init(&pieces, TRACE_BYTES);
    run((const char *)data + 1, size - 1, size, &heads, &whole);
    run((const char *)data + 1, size - 1, size, &heads, &again);
    run((const char *)data + 1, size - 1, 1 + data[0] % 64, NULL, &pieces);
    assert(str_equal(buf_view(&whole), buf_view(&pieces)));
    assert(str_equal(buf_view(&again), buf_view(&pieces)));
    known_heads_done(&heads);
    buf_done(&whole);
    buf_done(&again);
    buf_done(&pieces);
    return 0;
}
