/* http.c - names, headers, paths and queries of HTTP messages. */
#include "net/http.h"

#include <string.h>

#include "base/check.h"

struct str http_find_header(const struct http_request *request, const char *name)
{
    struct str wanted = str_of(name);
    for (int i = 0; i < request->header_count; i++)
        if (str_equal_nocase(request->headers[i].name, wanted))
            return request->headers[i].value;
    return (struct str){0};
}

void http_add_header(struct http_response *response, const char *name, struct str value)
{
    buf_text(&response->headers, name);
    buf_lit(&response->headers, ": ");
    for (size_t i = 0; i < value.len; i++)
        if ((unsigned char)value.ptr[i] >= 0x20 && value.ptr[i] != 0x7f)
            buf_char(&response->headers, value.ptr[i]);
    buf_lit(&response->headers, "\r\n");
}

static void move_text(struct str *text, const char *from, const char *to)
{
    if (text->ptr)
        text->ptr = to + (text->ptr - from);
}

void http_request_move(struct http_request *request, const char *from, const char *to)
{
    move_text(&request->target, from, to);
    move_text(&request->path, from, to);
    move_text(&request->query, from, to);
    for (int i = 0; i < request->header_count; i++) {
        move_text(&request->headers[i].name, from, to);
        move_text(&request->headers[i].value, from, to);
    }
    struct http_known_headers *known = &request->known;
    struct str *const all[] = {&known->host,
                               &known->content_type,
                               &known->content_encoding,
                               &known->accept_encoding,
                               &known->authorization,
                               &known->origin,
                               &known->x_request_id,
                               &known->traceparent,
                               &known->inference_header_content_length,
                               &known->sec_fetch_site};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        move_text(all[i], from, to);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Percent-decode into out, which has room for in.len bytes; the length, or -1 on a bad escape. */
static ptrdiff_t decode(struct str in, bool plus_is_space, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < in.len; i++) {
        char c = in.ptr[i];
        if (c == '%') {
            int high = i + 2 < in.len ? hex_digit(in.ptr[i + 1]) : -1;
            int low = i + 2 < in.len ? hex_digit(in.ptr[i + 2]) : -1;
            if (high < 0 || low < 0)
                return -1;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        out[n++] = c;
    }
    return (ptrdiff_t)n;
}

/* Most paths have no escape: then there is nothing to copy. */
static bool is_plain(struct str in)
{
    for (size_t i = 0; i < in.len; i++)
        if (in.ptr[i] == '%' || (unsigned char)in.ptr[i] - 0x21u >= 0x7fu - 0x21u)
            return false;
    return true;
}

enum err_code http_decode_path(struct str in, struct arena *arena, struct str *out, struct err *err)
{
    if (is_plain(in)) {
        *out = in;
        return ERR_OK;
    }
    char *text = arena_alloc(arena, in.len + 1);
    if (!text)
        return err_set(err, ERR_LIMIT, "no room for a path of %zu bytes", in.len);
    ptrdiff_t n = decode(in, false, text);
    if (n < 0)
        return err_set(err, ERR_INVALID, "the path has a '%%' without two hex digits behind it");
    struct str decoded = {text, (size_t)n};
    if (n > 0 && memchr(text, '\0', decoded.len))
        return err_set(err, ERR_INVALID, "the path contains a NUL");
    if (!str_is_utf8(decoded))
        return err_set(err, ERR_INVALID, "the path is not UTF-8");
    *out = decoded;
    return ERR_OK;
}

/* Decoded text of one query part, or the part itself when nothing is encoded. */
static bool decode_query_part(struct str in, struct arena *arena, struct str *out)
{
    if (in.len == 0 || (!memchr(in.ptr, '%', in.len) && !memchr(in.ptr, '+', in.len))) {
        *out = in;
        return true;
    }
    char *text = arena_alloc(arena, in.len);
    ptrdiff_t n = text ? decode(in, true, text) : -1;
    if (n < 0)
        return false;
    *out = (struct str){text, (size_t)n};
    return true;
}

bool http_query_find(struct str query, const char *name, struct arena *arena, struct str *out)
{
    struct str part;
    if (!query.ptr)
        return false;
    while (str_split(&query, '&', &part)) {
        struct str value = part, key;
        if (!part.len || !str_split(&value, '=', &key))
            continue;
        if (key.len == part.len)
            value = (struct str){"", 0};
        if (decode_query_part(key, arena, &key) && str_equal_c(key, name))
            return decode_query_part(value, arena, out);
    }
    return false;
}

const char *http_method_name(enum http_method method)
{
    static const char *const names[] = {
        [HTTP_METHOD_GET] = "GET",         [HTTP_METHOD_HEAD] = "HEAD",
        [HTTP_METHOD_POST] = "POST",       [HTTP_METHOD_PUT] = "PUT",
        [HTTP_METHOD_PATCH] = "PATCH",     [HTTP_METHOD_DELETE] = "DELETE",
        [HTTP_METHOD_OPTIONS] = "OPTIONS", [HTTP_METHOD_OTHER] = "OTHER",
    };
    assert((size_t)method < ARRAY_LEN(names));
    return names[method];
}

const char *http_status_text(int status)
{
    switch (status) {
    case 100:
        return "Continue";
    case 101:
        return "Switching Protocols";
    case 200:
        return "OK";
    case 201:
        return "Created";
    case 202:
        return "Accepted";
    case 204:
        return "No Content";
    case 205:
        return "Reset Content";
    case 206:
        return "Partial Content";
    case 301:
        return "Moved Permanently";
    case 302:
        return "Found";
    case 303:
        return "See Other";
    case 304:
        return "Not Modified";
    case 307:
        return "Temporary Redirect";
    case 308:
        return "Permanent Redirect";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 406:
        return "Not Acceptable";
    case 408:
        return "Request Timeout";
    case 409:
        return "Conflict";
    case 410:
        return "Gone";
    case 411:
        return "Length Required";
    case 412:
        return "Precondition Failed";
    case 413:
        return "Content Too Large";
    case 414:
        return "URI Too Long";
    case 415:
        return "Unsupported Media Type";
    case 416:
        return "Range Not Satisfiable";
    case 417:
        return "Expectation Failed";
    case 421:
        return "Misdirected Request";
    case 422:
        return "Unprocessable Content";
    case 425:
        return "Too Early";
    case 426:
        return "Upgrade Required";
    case 428:
        return "Precondition Required";
    case 429:
        return "Too Many Requests";
    case 431:
        return "Request Header Fields Too Large";
    case 451:
        return "Unavailable For Legal Reasons";
    case 499:
        return "Client Closed Request";
    case 500:
        return "Internal Server Error";
    case 501:
        return "Not Implemented";
    case 502:
        return "Bad Gateway";
    case 503:
        return "Service Unavailable";
    case 504:
        return "Gateway Timeout";
    case 505:
        return "HTTP Version Not Supported";
    case 507:
        return "Insufficient Storage";
    default:
        return "Unknown";
    }
}
