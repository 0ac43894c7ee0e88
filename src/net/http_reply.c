/* http_reply.c - llhttp's events -> status, headers, body. */
#include "net/http_reply.h"

#include "base/check.h"

static struct http_reply *of(llhttp_t *llhttp)
{
    return CONTAINER_OF(llhttp, struct http_reply, llhttp);
}

static int on_field(llhttp_t *llhttp, const char *at, size_t size)
{
    struct http_reply *reply = of(llhttp);
    if (reply->is_in_value)
        buf_char(&reply->head, '\0');
    reply->is_in_value = false;
    buf_append(&reply->head, at, size);
    return reply->head.is_full ? -1 : 0;
}

static int on_value(llhttp_t *llhttp, const char *at, size_t size)
{
    struct http_reply *reply = of(llhttp);
    if (!reply->is_in_value)
        buf_char(&reply->head, '\0');
    reply->is_in_value = true;
    buf_append(&reply->head, at, size);
    return reply->head.is_full ? -1 : 0;
}

static int on_headers(llhttp_t *llhttp)
{
    struct http_reply *reply = of(llhttp);
    int status = llhttp->status_code;
    reply->is_interim = status >= 100 && status < 200 && status != 101;
    reply->result->status = status;
    if (status < 100)
        return -1; /* no such thing: RFC 9110, 15 */
    if (reply->is_interim)
        return reply->interim_count++ < HTTP_REPLY_INTERIM_MAX ? 0 : -1;
    if (reply->is_head)
        return 1; /* no body follows */
    reply->is_too_large = (llhttp->flags & F_CONTENT_LENGTH) &&
                          llhttp->content_length > reply->result->body.bytes_max;
    return reply->is_too_large ? -1 : 0;
}

static int on_body(llhttp_t *llhttp, const char *at, size_t size)
{
    struct http_reply *reply = of(llhttp);
    buf_append(&reply->result->body, at, size);
    return reply->result->body.is_full ? -1 : 0;
}

static int on_complete(llhttp_t *llhttp)
{
    struct http_reply *reply = of(llhttp);
    if (reply->is_interim) {
        buf_clear(&reply->head);
        reply->is_in_value = false;
        return 0;
    }
    reply->is_done = true;
    reply->is_last = !llhttp_should_keep_alive(llhttp);
    return HPE_PAUSED;
}

void http_reply_begin(struct http_reply *reply, const char *where, bool is_head,
                      struct http_result *result)
{
    *reply = (struct http_reply){.where = where, .result = result, .is_head = is_head};
    buf_init(&reply->head, HTTP_REPLY_HEAD_BYTES_MAX);
    llhttp_settings_init(&reply->settings);
    reply->settings.on_header_field = on_field;
    reply->settings.on_header_value = on_value;
    reply->settings.on_headers_complete = on_headers;
    reply->settings.on_body = on_body;
    reply->settings.on_message_complete = on_complete;
    llhttp_init(&reply->llhttp, HTTP_RESPONSE, &reply->settings);
}

void http_reply_done(struct http_reply *reply)
{
    buf_done(&reply->head);
}

static enum err_code too_large(const struct http_reply *reply, struct err *err)
{
    return err_set(err, ERR_LIMIT, "the reply of %s is larger than %zu bytes", reply->where,
                   reply->result->body.bytes_max);
}

enum err_code http_reply_put(struct http_reply *reply, const char *bytes, size_t size,
                             struct err *err)
{
    reply->has_begun = true;
    enum llhttp_errno rc = llhttp_execute(&reply->llhttp, bytes, size);
    if (reply->result->body.is_full || reply->is_too_large)
        return too_large(reply, err);
    if (reply->head.is_full)
        return err_set(err, ERR_LIMIT, "the reply of %s has headers of more than %d bytes",
                       reply->where, HTTP_REPLY_HEAD_BYTES_MAX);
    if (rc == HPE_PAUSED && reply->is_done) {
        if (llhttp_get_error_pos(&reply->llhttp) != bytes + size)
            reply->is_last = true; /* something follows that nobody asked for */
        return ERR_OK;
    }
    if (rc == HPE_OK)
        return ERR_OK;
    err_set(err, ERR_INVALID, "%s does not answer in HTTP", reply->where);
    return err_hint(err, "%s",
                    llhttp_get_error_reason(&reply->llhttp)
                        ? llhttp_get_error_reason(&reply->llhttp)
                        : llhttp_errno_name(rc));
}

enum err_code http_reply_end(struct http_reply *reply, struct err *err)
{
    if (reply->has_begun && !reply->is_done)
        llhttp_finish(&reply->llhttp); /* completes a reply that ends with its connection */
    if (reply->is_done)
        return ERR_OK;
    return err_set(err, ERR_UNAVAILABLE, "%s closed the connection before its reply was whole",
                   reply->where);
}

void http_reply_headers(struct http_reply *reply, struct arena *arena)
{
    struct http_result *result = reply->result;
    const char *copy = arena_copy(arena, reply->head.data, reply->head.len);
    struct str rest = {copy, copy ? reply->head.len : 0}, name, value;
    result->header_count = 0;
    while (rest.len && result->header_count < HTTP_HEADERS_MAX && str_split(&rest, '\0', &name)) {
        if (!str_split(&rest, '\0', &value))
            value = (struct str){"", 0};
        result->headers[result->header_count++] = (struct http_header){name, value};
        if (str_equal_nocase(name, STR_LIT("Content-Type")))
            result->content_type = value;
    }
}
