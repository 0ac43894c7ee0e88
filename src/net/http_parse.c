/* http_parse.c - llhttp callbacks that collect texts, and the checks on a whole head.
 *
 * llhttp hands out each token as a span of the bytes it was just given, so a token is a pointer and
 * a length for free. A head that is still incomplete when a piece ends is moved, from its target
 * on, to message->head, and later pieces are appended there before they are parsed: tokens stay
 * contiguous, and only their base address moves.
 */
#include "net/http_parse.h"

#include <string.h>

#include "base/check.h"
#include "net/known_head.h"

enum token { TOKEN_NONE, TOKEN_TARGET, TOKEN_NAME, TOKEN_VALUE };

/* What a chunk may have around its bytes, on average: its size, extensions, line ends. */
enum { CHUNK_EXTRA_BYTES = 64 };

/* Callbacks return this to stop llhttp; refusal is filled. */
enum { STOP = -1 };

static int refuse(struct http_parser *p, int status, const char *message, const char *hint)
{
    p->refusal = (struct http_refusal){status, message, hint};
    return STOP;
}

/* --- tokens ------------------------------------------------------------------------------------
 */

static bool extend(struct str *token, const char *at, size_t size)
{
    if (token->ptr + token->len != at)
        return false;
    token->len += size;
    return true;
}

static int on_url(llhttp_t *llhttp, const char *at, size_t size)
{
    struct http_parser *p = CONTAINER_OF(llhttp, struct http_parser, llhttp);
    struct http_request *request = p->message->request;
    if (p->token == TOKEN_TARGET) {
        bool is_joined = extend(&request->target, at, size);
        assert(is_joined);
    } else {
        request->target = (struct str){at, size};
        p->token = TOKEN_TARGET;
    }
    if (request->target.len > HTTP_TARGET_BYTES_MAX)
        return refuse(p, 414, "the request target is longer than 8192 bytes",
                      "send data in the body, not in the query");
    return 0;
}

static int on_name(llhttp_t *llhttp, const char *at, size_t size)
{
    struct http_parser *p = CONTAINER_OF(llhttp, struct http_parser, llhttp);
    struct http_request *request = p->message->request;
    if (p->state != HTTP_PARSE_IN_HEAD)
        return 0; /* trailers are read over */
    if (p->token == TOKEN_NAME) {
        bool is_joined = extend(&request->headers[request->header_count - 1].name, at, size);
        assert(is_joined);
        return 0;
    }
    if (request->header_count == HTTP_HEADERS_MAX)
        return refuse(p, 431, "the request has more than 100 headers", "send fewer headers");
    request->headers[request->header_count++] = (struct http_header){.name = {at, size}};
    p->token = TOKEN_NAME;
    return 0;
}

static int refuse_folding(struct http_parser *p)
{
    return refuse(p, 400, "a header value continues on a second line (obsolete line folding)",
                  "send each header on one line");
}

/* Between "Name:" and its value only blanks may stand. */
static bool is_folded(struct str name, const char *value)
{
    for (const char *c = name.ptr + name.len; c < value; c++)
        if (*c == '\n')
            return true;
    return false;
}

static int on_value(llhttp_t *llhttp, const char *at, size_t size)
{
    struct http_parser *p = CONTAINER_OF(llhttp, struct http_parser, llhttp);
    struct http_request *request = p->message->request;
    if (p->state != HTTP_PARSE_IN_HEAD)
        return 0;
    struct http_header *header = &request->headers[request->header_count - 1];
    if (p->token == TOKEN_VALUE)
        return extend(&header->value, at, size) ? 0 : refuse_folding(p);
    header->value = (struct str){at, size};
    p->token = TOKEN_VALUE;
    /* llhttp tells an empty value behind its line's end. */
    return size > 0 && is_folded(header->name, at) ? refuse_folding(p) : 0;
}

/* --- a whole head ------------------------------------------------------------------------------
 */

static enum http_method method_of(uint8_t method)
{
    switch (method) {
    case HTTP_GET:
        return HTTP_METHOD_GET;
    case HTTP_HEAD:
        return HTTP_METHOD_HEAD;
    case HTTP_POST:
        return HTTP_METHOD_POST;
    case HTTP_PUT:
        return HTTP_METHOD_PUT;
    case HTTP_PATCH:
        return HTTP_METHOD_PATCH;
    case HTTP_DELETE:
        return HTTP_METHOD_DELETE;
    case HTTP_OPTIONS:
        return HTTP_METHOD_OPTIONS;
    default:
        return HTTP_METHOD_OTHER;
    }
}

/* name against a lower-case literal of the same length. */
static bool is_name(struct str name, const char *lower)
{
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        if (((unsigned)(c - 'A') < 26u ? c + 32 : c) != (unsigned char)lower[i])
            return false;
    }
    return true;
}

void http_note_header(struct http_known_headers *known, struct http_head_facts *facts,
                      const struct http_header *header)
{
    struct str *slot = NULL;
    struct str name = header->name;
    switch (name.len) {
    case 4:
        if (is_name(name, "host")) {
            slot = &known->host;
            facts->host_count++;
        }
        break;
    case 6:
        if (is_name(name, "origin"))
            slot = &known->origin;
        else if (is_name(name, "expect"))
            slot = &facts->expect;
        break;
    case 11:
        slot = is_name(name, "traceparent") ? &known->traceparent : NULL;
        break;
    case 12:
        if (is_name(name, "content-type"))
            slot = &known->content_type;
        else if (is_name(name, "x-request-id"))
            slot = &known->x_request_id;
        break;
    case 13:
        slot = is_name(name, "authorization") ? &known->authorization : NULL;
        break;
    case 14:
        slot = is_name(name, "sec-fetch-site") ? &known->sec_fetch_site : NULL;
        break;
    case 15:
        slot = is_name(name, "accept-encoding") ? &known->accept_encoding : NULL;
        break;
    case 16:
        slot = is_name(name, "content-encoding") ? &known->content_encoding : NULL;
        break;
    case 17:
        if (is_name(name, "transfer-encoding")) {
            slot = &facts->transfer_encoding;
            facts->transfer_encoding_count++;
        }
        break;
    case 31:
        slot = is_name(name, "inference-header-content-length")
                   ? &known->inference_header_content_length
                   : NULL;
        break;
    default:
        break;
    }
    if (slot && !slot->ptr)
        *slot = header->value;
}

/* Texts of values end before trailing blanks. */
static void trim_end(struct str *value)
{
    while (value->len && (value->ptr[value->len - 1] == ' ' || value->ptr[value->len - 1] == '\t'))
        value->len--;
}

static int check_framing(struct http_parser *p, const struct http_head_facts *facts)
{
    struct http_message *m = p->message;
    const llhttp_t *llhttp = &p->llhttp;
    m->is_http_1_0 = llhttp->http_major == 1 && llhttp->http_minor == 0;
    if (llhttp->http_major != 1 || llhttp->http_minor > 1)
        return refuse(p, 505, "the HTTP version is neither 1.1 nor 1.0", "speak HTTP/1.1");
    if (facts->host_count != 1 && (facts->host_count > 1 || !m->is_http_1_0))
        return refuse(p, 400,
                      facts->host_count ? "the request has more than one Host header"
                                        : "the request has no Host header",
                      "send one Host header");
    m->is_chunked = llhttp->flags & F_CHUNKED;
    if (facts->transfer_encoding_count) {
        if (m->is_http_1_0 || facts->transfer_encoding_count > 1 || !m->is_chunked)
            return refuse(p, 400, "the Transfer-Encoding of the request is ambiguous",
                          "send Content-Length, or 'Transfer-Encoding: chunked' once");
        if (!str_equal_nocase(facts->transfer_encoding, STR_LIT("chunked")))
            return refuse(p, 501, "only 'chunked' is known as Transfer-Encoding",
                          "compress with Content-Encoding");
    }
    m->content_length = llhttp->flags & F_CONTENT_LENGTH ? llhttp->content_length : 0;
    m->has_body = m->is_chunked || m->content_length > 0;
    return 0;
}

static int check_expect(struct http_parser *p, struct str expect)
{
    struct http_message *m = p->message;
    m->is_expecting_continue = false;
    if (!expect.ptr || m->is_http_1_0)
        return 0;
    if (!str_equal_nocase(expect, STR_LIT("100-continue")))
        return refuse(p, 417, "the Expect header asks for something unknown",
                      "send 'Expect: 100-continue' or no Expect");
    m->is_expecting_continue = m->has_body;
    return 0;
}

const struct http_refusal http_unknown_coding = {
    415, "the Content-Encoding of the body is neither gzip nor deflate",
    "send the body as it is, or compressed with gzip"};

bool http_find_coding(struct str text, enum http_coding *coding)
{
    *coding = HTTP_CODING_IDENTITY;
    if (!text.ptr || text.len == 0 || str_equal_nocase(text, STR_LIT("identity")))
        return true;
    if (str_equal_nocase(text, STR_LIT("gzip")) || str_equal_nocase(text, STR_LIT("x-gzip")))
        *coding = HTTP_CODING_GZIP;
    else if (str_equal_nocase(text, STR_LIT("deflate")))
        *coding = HTTP_CODING_DEFLATE;
    else
        return false;
    return true;
}

static int check_coding(struct http_parser *p, struct str coding)
{
    if (http_find_coding(coding, &p->message->coding))
        return 0;
    p->refusal = http_unknown_coding;
    return STOP;
}

void http_split_query(struct http_request *request, struct str target)
{
    const char *mark = memchr(target.ptr, '?', target.len);
    request->path = (struct str){target.ptr, mark ? (size_t)(mark - target.ptr) : target.len};
    request->query = mark ? (struct str){mark + 1, target.len - request->path.len - 1}
                          : (struct str){target.ptr + target.len, 0};
}

/* "http://host:port/path?query" or "/path?query" or "*" into parts. */
static int split_target(struct http_parser *p)
{
    struct http_request *request = p->message->request;
    struct str rest = request->target;
    if (rest.ptr[0] != '/') {
        bool is_star = rest.len == 1 && rest.ptr[0] == '*';
        const char *authority = is_star ? NULL : memmem(rest.ptr, rest.len, "://", 3);
        if (is_star ? request->method != HTTP_METHOD_OPTIONS : !authority)
            return refuse(p, 400, "the request target is not a path", "begin the path with '/'");
        if (authority) {
            const char *end = rest.ptr + rest.len, *host = authority + 3, *path = host;
            while (path < end && *path != '/' && *path != '?')
                path++;
            request->known.host = (struct str){host, (size_t)(path - host)};
            rest = (struct str){path, (size_t)(end - path)};
        }
    }
    if (memchr(rest.ptr, '#', rest.len))
        return refuse(p, 400, "the request target has a fragment ('#')", "write '#' as %23");
    http_split_query(request, rest);
    return 0;
}

static int on_head(llhttp_t *llhttp)
{
    struct http_parser *p = CONTAINER_OF(llhttp, struct http_parser, llhttp);
    struct http_request *request = p->message->request;
    struct http_head_facts facts = {0};
    if (p->state != HTTP_PARSE_IN_HEAD)
        return 0;
    llhttp->upgrade = 0; /* an offer to speak something else may be ignored (RFC 9110, 7.8) */
    if (llhttp->method == HTTP_CONNECT)
        return refuse(p, 501, "CONNECT is for proxies", "");
    request->method = method_of(llhttp->method);
    for (int i = 0; i < request->header_count; i++) {
        trim_end(&request->headers[i].value);
        http_note_header(&request->known, &facts, &request->headers[i]);
    }
    p->message->is_keeping_alive = llhttp_should_keep_alive(llhttp);
    if (check_framing(p, &facts) || check_expect(p, facts.expect) ||
        check_coding(p, request->known.content_encoding) || split_target(p))
        return STOP;
    return HPE_PAUSED;
}

/* --- bodies ------------------------------------------------------------------------------------
 */

static int on_chunk(llhttp_t *llhttp)
{
    struct http_parser *p = CONTAINER_OF(llhttp, struct http_parser, llhttp);
    if (!llhttp->content_length)
        return 0;
    p->is_before_data = true;
    if (++p->chunk_count > p->limits->chunks_max)
        return refuse(p, 413, "the body comes in too many chunks", "send fewer, larger chunks");
    return 0;
}

/* Bytes of this piece before `pos` that are no body: sizes, extensions, line ends, trailers. */
static size_t extra_before(const struct http_parser *p, const char *pos)
{
    return (size_t)(pos - p->piece_start) - (p->body_bytes - p->body_bytes_before);
}

/* They are read over, but not without end. Asked before the data of each chunk, and at the end of
 * a piece, which may lie within the head of the next one: so the pieces do not matter. */
static bool is_padded(struct http_parser *p, const char *pos, int chunk_count)
{
    size_t extra = p->extra_bytes + extra_before(p, pos);
    if (extra <= p->limits->head_bytes_max + (size_t)chunk_count * CHUNK_EXTRA_BYTES)
        return false;
    refuse(p, 413, "the body's chunks have too much around them", "send plain chunks");
    return true;
}

static int refuse_large(struct http_parser *p)
{
    return refuse(p, 413, "the body is larger than this address accepts",
                  "send less at a time, or ask the operator for a higher limit");
}

/* The first span stays where it is; a second one makes the body move to message->body. */
static int on_body(llhttp_t *llhttp, const char *at, size_t size)
{
    struct http_parser *p = CONTAINER_OF(llhttp, struct http_parser, llhttp);
    struct http_message *m = p->message;
    struct http_request *request = m->request;
    if (m->is_chunked && is_padded(p, at, p->chunk_count))
        return STOP;
    p->is_before_data = false;
    p->body_bytes += size;
    if (p->body_bytes > p->body_bytes_max)
        return refuse_large(p);
    if (!request->body.len) {
        request->body = (struct str){at, size};
        return 0;
    }
    if (!m->body.len)
        buf_str(&m->body, request->body);
    buf_append(&m->body, at, size);
    assert(!m->body.is_full);
    request->body = buf_view(&m->body);
    return 0;
}

static int on_done(llhttp_t *llhttp)
{
    (void)llhttp;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_name,
    .on_header_value = on_value,
    .on_headers_complete = on_head,
    .on_body = on_body,
    .on_chunk_header = on_chunk,
    .on_message_complete = on_done,
};

/* --- feeding -----------------------------------------------------------------------------------
 */

static const struct http_refusal *refusal_of(enum llhttp_errno error)
{
    static const struct http_refusal method = {501, "the request method is unknown",
                                               "use GET, HEAD, POST, PUT, PATCH or DELETE"};
    static const struct http_refusal version = {505, "the HTTP version is neither 1.1 nor 1.0",
                                                "speak HTTP/1.1"};
    static const struct http_refusal url = {400, "the request target has a byte no URL may have",
                                            "percent-encode it"};
    static const struct http_refusal header = {400, "a header is not well formed",
                                               "send 'Name: value' lines that end in CR LF"};
    static const struct http_refusal length = {
        400, "Content-Length is not one number, or stands beside Transfer-Encoding",
        "send one Content-Length, or 'Transfer-Encoding: chunked' without it"};
    static const struct http_refusal coding = {400, "Transfer-Encoding does not end in 'chunked'",
                                               "send 'Transfer-Encoding: chunked'"};
    static const struct http_refusal chunk = {400, "a chunk of the body is not well formed",
                                              "send the size in hex, CR LF, the bytes, CR LF"};
    static const struct http_refusal other = {400, "this is not an HTTP/1.1 request", ""};
    switch (error) {
    case HPE_INVALID_METHOD:
        return &method;
    case HPE_INVALID_VERSION:
    case HPE_PAUSED_H2_UPGRADE:
        return &version;
    case HPE_INVALID_URL:
        return &url;
    case HPE_INVALID_HEADER_TOKEN:
    case HPE_CR_EXPECTED:
    case HPE_LF_EXPECTED:
    case HPE_UNEXPECTED_SPACE:
        return &header;
    case HPE_INVALID_CONTENT_LENGTH:
    case HPE_UNEXPECTED_CONTENT_LENGTH:
        return &length;
    case HPE_INVALID_TRANSFER_ENCODING:
        return &coding;
    case HPE_INVALID_CHUNK_SIZE:
    case HPE_STRICT:
        return &chunk;
    default:
        return &other;
    }
}

static enum http_parse_event bad(struct http_parser *p, enum llhttp_errno error)
{
    static const struct http_refusal tls = {400, "these bytes begin a TLS handshake, not a request",
                                            "this port speaks plain HTTP: use http://"};
    bool is_tls = p->state == HTTP_PARSE_IN_HEAD && !p->head_bytes && p->piece_start &&
                  p->piece_start[0] == 0x16;
    if (!p->refusal.status)
        p->refusal = is_tls ? tls : *refusal_of(error);
    p->state = HTTP_PARSE_ENDED;
    return HTTP_PARSE_BAD;
}

static enum http_parse_event bad_head_size(struct http_parser *p)
{
    refuse(p, 431, "the request line and headers are too long together",
           "send fewer or shorter headers");
    return bad(p, HPE_USER);
}

void http_parser_init(struct http_parser *parser, const struct http_limits *limits,
                      struct known_heads *heads)
{
    *parser = (struct http_parser){.limits = limits, .heads = heads};
    llhttp_init(&parser->llhttp, HTTP_REQUEST, &settings);
}

void http_parser_begin(struct http_parser *parser, struct http_message *message)
{
    assert(parser->state == HTTP_PARSE_IDLE);
    struct http_request *request = message->request;
    request->target = request->path = request->query = request->body = (struct str){0};
    request->header_count = 0;
    memset(&request->known, 0, sizeof(request->known));
    request->method = HTTP_METHOD_OTHER;
    message->is_keeping_alive = message->is_http_1_0 = message->is_expecting_continue = false;
    message->coding = HTTP_CODING_IDENTITY;
    buf_clear(&message->head);
    buf_clear(&message->body);
    parser->message = message;
    parser->head_bytes = parser->body_bytes = parser->extra_bytes = 0;
    parser->chunk_count = 0;
    parser->is_before_data = false;
    parser->token = TOKEN_NONE;
}

/* Gather the head's bytes [from, end) of this piece, and let its texts point there. */
static bool keep_head(struct http_parser *p, const char *from, const char *end)
{
    struct http_message *m = p->message;
    const char *old = m->head.data;
    size_t before = m->head.len;
    m->head.bytes_max = p->limits->head_bytes_max;
    buf_append(&m->head, from, (size_t)(end - from));
    if (m->head.is_full)
        return false;
    if (before && m->head.data != old)
        http_request_move(m->request, old, m->head.data);
    else if (!before)
        http_request_move(m->request, from, m->head.data);
    return true;
}

static enum http_parse_event head_done(struct http_parser *p, const char *pos, const char *end)
{
    struct http_message *m = p->message;
    size_t size = (size_t)(pos - p->piece_start);
    p->head_bytes += size;
    if (p->head_bytes > p->limits->head_bytes_max)
        return bad_head_size(p);
    if (p->heads && p->head_bytes == size)
        known_head_keep(p->heads, p->piece_start, size, m);
    bool is_whole = !m->is_chunked && m->content_length <= (uint64_t)(end - pos);
    if (!is_whole && !m->head.len && !keep_head(p, m->request->target.ptr, pos))
        return bad_head_size(p);
    p->state = HTTP_PARSE_IN_BODY;
    p->body_bytes_max = p->limits->body_bytes_max;
    return HTTP_PARSE_HEAD;
}

/* A piece ended inside the head. */
static enum http_parse_event head_unfinished(struct http_parser *p, const char *end)
{
    struct http_message *m = p->message;
    p->head_bytes += (size_t)(end - p->piece_start);
    if (p->head_bytes > p->limits->head_bytes_max)
        return bad_head_size(p);
    const char *target = m->request->target.ptr;
    if (target && !m->head.len && !keep_head(p, target, end))
        return bad_head_size(p);
    return HTTP_PARSE_MORE;
}

/* Parse from `bytes`, which llhttp has not seen, whose tokens may continue earlier ones. */
static enum http_parse_event run(struct http_parser *p, const char *bytes, size_t size,
                                 size_t *taken)
{
    struct http_message *m = p->message;
    p->body_bytes_before = p->body_bytes;
    p->piece_start = bytes;
    enum llhttp_errno error = llhttp_execute(&p->llhttp, bytes, size);
    const char *end = bytes + size;
    const char *pos = error == HPE_OK ? end : llhttp_get_error_pos(&p->llhttp);
    *taken = (size_t)(pos - bytes);
    if (p->state == HTTP_PARSE_IN_BODY) {
        if (is_padded(p, pos, p->chunk_count + !p->is_before_data))
            return bad(p, HPE_USER);
        p->extra_bytes += extra_before(p, pos);
    }
    if (error == HPE_PAUSED) {
        llhttp_resume(&p->llhttp);
        if (p->state == HTTP_PARSE_IN_HEAD)
            return head_done(p, pos, end);
        p->state = HTTP_PARSE_IDLE;
        p->is_at_last = !m->is_keeping_alive;
        return HTTP_PARSE_DONE;
    }
    if (error != HPE_OK)
        return bad(p, error);
    if (p->state == HTTP_PARSE_IN_HEAD)
        return head_unfinished(p, end);
    if (m->request->body.len && !m->body.len) {
        buf_str(&m->body, m->request->body);
        m->request->body = buf_view(&m->body);
    }
    return HTTP_PARSE_MORE;
}

/* The head began in an earlier piece: put these bytes behind it and parse them there. */
static enum http_parse_event run_split(struct http_parser *p, const char *bytes, size_t size,
                                       size_t *taken)
{
    struct http_message *m = p->message;
    size_t before = m->head.len;
    size_t room = p->limits->head_bytes_max - before;
    if (room == 0)
        return bad_head_size(p);
    size_t part = size < room ? size : room;
    if (!keep_head(p, bytes, bytes + part))
        return bad_head_size(p);
    enum http_parse_event event = run(p, m->head.data + before, part, taken);
    if (event == HTTP_PARSE_HEAD)
        m->head.len = before + *taken;
    else if (event == HTTP_PARSE_MORE && part < size)
        return bad_head_size(p);
    return event;
}

/* Is the head one that was read before, and the body whole? Behind the last request nothing is
 * looked for: llhttp refuses it. */
static bool find_known(struct http_parser *p, const char *bytes, size_t size, size_t *taken)
{
    return p->heads && !p->is_at_last && known_head_find(p->heads, bytes, size, p->message, taken);
}

static enum http_parse_event begin_known(struct http_parser *p)
{
    p->state = HTTP_PARSE_IN_BODY;
    p->is_known = true;
    p->body_bytes_max = p->limits->body_bytes_max;
    return HTTP_PARSE_HEAD;
}

static enum http_parse_event end_known(struct http_parser *p, const char *bytes, size_t size,
                                       size_t *taken)
{
    struct http_message *m = p->message;
    assert(m->content_length <= size);
    if (m->has_body)
        m->request->body = (struct str){bytes, m->content_length};
    *taken = m->content_length;
    p->is_known = false;
    p->state = HTTP_PARSE_IDLE;
    return HTTP_PARSE_DONE;
}

enum http_parse_event http_parser_feed(struct http_parser *parser, const char *bytes, size_t size,
                                       size_t *taken)
{
    assert(parser->state != HTTP_PARSE_ENDED && parser->message);
    *taken = 0;
    if (parser->state == HTTP_PARSE_IDLE) {
        if (find_known(parser, bytes, size, taken))
            return begin_known(parser);
        parser->state = HTTP_PARSE_IN_HEAD;
    }
    if (parser->state == HTTP_PARSE_IN_HEAD && parser->message->head.len)
        return run_split(parser, bytes, size, taken);
    if (parser->state == HTTP_PARSE_IN_BODY) {
        const struct http_message *m = parser->message;
        if (!m->is_chunked && m->content_length > parser->body_bytes_max) {
            refuse_large(parser);
            return bad(parser, HPE_USER);
        }
        if (parser->is_known)
            return end_known(parser, bytes, size, taken);
        parser->message->body.bytes_max = parser->body_bytes_max;
    }
    return run(parser, bytes, size, taken);
}

enum http_parse_event http_parser_end(struct http_parser *parser)
{
    if (parser->state == HTTP_PARSE_IDLE || parser->state == HTTP_PARSE_ENDED)
        return HTTP_PARSE_MORE;
    refuse(parser, 400,
           parser->state == HTTP_PARSE_IN_HEAD
               ? "the connection ended inside the request's head"
               : "the connection ended before the whole body had come",
           "does Content-Length say the body's size in bytes?");
    return bad(parser, HPE_USER);
}
