/* grpc.c - prefixes, compression, timeouts and trailers of gRPC. */
#include "api/grpc.h"

#include <arpa/inet.h>
#include <openssl/evp.h>

#include "api/stream.h"
#include "base/check.h"

enum { DETAILS_BYTES_MAX = 2048, SECOND_US = 1000 * 1000 };

/* ---- messages ---- */

static enum http_coding coding_of(struct str name)
{
    if (str_equal(name, STR_LIT("gzip")))
        return HTTP_CODING_GZIP;
    return str_equal(name, STR_LIT("deflate")) ? HTTP_CODING_DEFLATE : HTTP_CODING_IDENTITY;
}

static enum err_code unpack(const struct http_request *request, struct str packed, size_t bytes_max,
                            struct arena *arena, struct str *message, struct err *err)
{
    struct str name = http_find_header(request, "grpc-encoding");
    enum http_coding coding = coding_of(name);
    struct buf out;
    if (coding == HTTP_CODING_IDENTITY) {
        err_set(err, name.ptr ? ERR_UNSUPPORTED : ERR_INVALID,
                "a message is compressed, and grpc-encoding is '%.*s'", STR_ARG(name));
        return err_hint(err, "gzip and deflate are known");
    }
    buf_init(&out, bytes_max);
    enum err_code rc = http_inflate(coding, packed, &out, err);
    const char *copy = rc ? NULL : arena_copy(arena, out.data, out.len);
    *message = (struct str){copy, out.len};
    buf_done(&out);
    if (rc || copy)
        return rc ? err_wrap(err, "unpacking a message") : ERR_OK;
    return err_set(err, ERR_LIMIT, "the request does not fit its memory");
}

enum err_code grpc_next(const struct http_request *request, struct str bytes, size_t bytes_max,
                        struct arena *arena, struct str *message, size_t *taken, struct err *err)
{
    uint32_t size;
    *taken = 0;
    if (bytes.len < GRPC_PREFIX_BYTES)
        return ERR_OK;
    unsigned flag = (unsigned char)bytes.ptr[0];
    memcpy(&size, bytes.ptr + 1, sizeof(size));
    size = ntohl(size);
    if (flag > 1)
        return err_set(err, ERR_INVALID, "the flag of a message is %u, neither 0 nor 1", flag);
    if (size > bytes_max)
        return err_set(err, ERR_LIMIT, "Received message larger than max (%u vs. %zu)", size,
                       bytes_max);
    if (bytes.len - GRPC_PREFIX_BYTES < size)
        return ERR_OK;
    *taken = GRPC_PREFIX_BYTES + size;
    *message = (struct str){bytes.ptr + GRPC_PREFIX_BYTES, size};
    return flag ? unpack(request, *message, bytes_max, arena, message, err) : ERR_OK;
}

enum err_code grpc_stream_next(struct stream *stream, struct str *message, size_t *taken,
                               struct err *err)
{
    const struct http_request *request = &stream->call->x->request;
    return grpc_next(request, request->body, stream->message_bytes_max, stream->scratch, message,
                     taken, err);
}

enum err_code grpc_message(struct call *call, struct str *message, struct err *err)
{
    const struct http_request *request = &call->x->request;
    size_t taken;
    size_t bytes_max = call->node->options->http_inflated_bytes_max;
    enum err_code rc =
        grpc_next(request, request->body, bytes_max, call->arena, message, &taken, err);
    if (rc)
        return rc;
    if (taken == 0)
        return err_set(err, ERR_INVALID, "the call ended before its message was whole: %zu bytes",
                       request->body.len);
    if (taken != request->body.len)
        return err_set(err, ERR_INVALID, "the method takes one message, and more bytes follow it");
    return ERR_OK;
}

size_t grpc_begin(struct buf *body)
{
    size_t mark = body->len;
    buf_append(body, "\0\0\0\0\0", GRPC_PREFIX_BYTES);
    return mark;
}

void grpc_end(struct buf *body, size_t mark)
{
    if (body->is_full)
        return; /* dispatch says so */
    uint32_t size = htonl((uint32_t)(body->len - mark - GRPC_PREFIX_BYTES));
    memcpy(body->data + mark + 1, &size, sizeof(size));
}

/* ---- packing ---- */

enum http_coding grpc_reply_coding(const struct http_request *request)
{
    struct str name = http_find_header(request, "grpc-encoding"), item;
    struct str accepted = http_find_header(request, "grpc-accept-encoding");
    enum http_coding coding = coding_of(name);
    while (coding != HTTP_CODING_IDENTITY && str_split(&accepted, ',', &item))
        if (str_equal(str_trim(item), name))
            return coding;
    return HTTP_CODING_IDENTITY;
}

struct str grpc_coding_name(enum http_coding coding)
{
    return coding == HTTP_CODING_GZIP      ? STR_LIT("gzip")
           : coding == HTTP_CODING_DEFLATE ? STR_LIT("deflate")
                                           : STR_LIT("identity");
}

bool grpc_pack(struct buf *body, size_t mark, enum http_coding coding, size_t bytes_min)
{
    size_t begin = mark + GRPC_PREFIX_BYTES;
    if (coding == HTTP_CODING_IDENTITY || body->is_full || body->len < begin ||
        body->len - begin < bytes_min || body->data[mark] != 0)
        return false;
    struct str message = {body->data + begin, body->len - begin};
    struct buf packed;
    buf_init(&packed, message.len);
    bool is_smaller = http_deflate(coding, message, &packed);
    if (is_smaller) {
        body->len = begin;
        buf_append(body, packed.data, packed.len);
        body->data[mark] = 1;
        grpc_end(body, mark);
    }
    buf_done(&packed);
    return is_smaller;
}

void grpc_pack_reply(struct call *call)
{
    struct http_response *response = &call->x->response;
    enum http_coding coding = grpc_reply_coding(&call->x->request);
    size_t bytes_min = call->node->options->http_compress_bytes_min;
    if (!call->stream && grpc_pack(&response->body, 0, coding, bytes_min))
        http_add_header(response, "grpc-encoding", grpc_coding_name(coding));
}

/* ---- the head ---- */

/* "100m" -> 100,000 us. Nanoseconds are rounded up. */
static bool parse_timeout(struct str text, int64_t *timeout_us)
{
    static const struct {
        char unit;
        int64_t us;
    } units[] = {{'H', 3600LL * SECOND_US},
                 {'M', 60LL * SECOND_US},
                 {'S', SECOND_US},
                 {'m', 1000},
                 {'u', 1}};
    uint64_t count;
    if (text.len < 2 || text.len > GRPC_TIMEOUT_DIGITS_MAX + 1 ||
        !str_to_u64((struct str){text.ptr, text.len - 1}, &count))
        return false;
    char unit = text.ptr[text.len - 1];
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (unit == units[i].unit) {
            *timeout_us = (int64_t)count * units[i].us;
            return true;
        }
    *timeout_us = ((int64_t)count + 999) / 1000;
    return unit == 'n';
}

enum err_code grpc_timeout(const struct http_request *request, int64_t *timeout_us, struct err *err)
{
    struct str text = http_find_header(request, "grpc-timeout");
    *timeout_us = 0;
    if (!text.ptr)
        return ERR_OK;
    if (!parse_timeout(text, timeout_us)) {
        err_set(err, ERR_INVALID, "grpc-timeout '%.*s' is no time", STR_ARG(text));
        return err_hint(err, "write up to 8 digits and one of H M S m u n, such as 500m");
    }
    if (*timeout_us == 0)
        return err_set(err, ERR_TIMEOUT, "the call had no time left when it came");
    return ERR_OK;
}

bool grpc_is_call(const struct http_request *request)
{
    struct str type = request->known.content_type;
    return str_starts_with(type, STR_LIT("application/grpc")) &&
           !str_starts_with(type, STR_LIT("application/grpc-web"));
}

enum err_code grpc_check(const struct http_exchange *x, struct err *err)
{
    struct str type = x->request.known.content_type;
    if (!x->peer->is_http2) {
        err_set(err, ERR_UNSUPPORTED, "gRPC is spoken over HTTP/2 only");
        return err_hint(err, "call it with a gRPC client, or /v2 by JSON");
    }
    if (grpc_is_call(&x->request) && !str_starts_with(type, STR_LIT("application/grpc+json")))
        return ERR_OK;
    err_set(err, ERR_UNSUPPORTED, "the content type is '%.*s', not application/grpc",
            STR_ARG(type));
    return err_hint(err, "messages are taken as Protocol Buffers");
}

/* ---- statuses ---- */

int grpc_status(enum err_code code)
{
    switch (code) {
    case ERR_OK:
        return 0;
    case ERR_CANCELLED:
        return 1; /* CANCELLED */
    case ERR_INVALID:
    case ERR_VIOLATION:
        return 3; /* INVALID_ARGUMENT */
    case ERR_TIMEOUT:
        return 4; /* DEADLINE_EXCEEDED */
    case ERR_NOT_FOUND:
        return 5; /* NOT_FOUND */
    case ERR_EXISTS:
        return 6; /* ALREADY_EXISTS */
    case ERR_DENIED:
        return 7; /* PERMISSION_DENIED */
    case ERR_LIMIT:
    case ERR_DISK_FULL:
        return 8; /* RESOURCE_EXHAUSTED */
    case ERR_CONFLICT:
        return 9; /* FAILED_PRECONDITION */
    case ERR_UNSUPPORTED:
        return 12; /* UNIMPLEMENTED */
    case ERR_UNAVAILABLE:
        return 14; /* UNAVAILABLE */
    case ERR_UNAUTHORIZED:
        return 16;     /* UNAUTHENTICATED */
    case ERR_UPSTREAM: /* trying again will not mend a model's code */
    case ERR_IO:
    case ERR_INTERNAL:
        break;
    }
    return 13; /* INTERNAL */
}

static void put_encoded(struct buf *out, const char *text)
{
    static const char digits[] = "0123456789ABCDEF";
    for (const char *c = text; *c && out->len < GRPC_MESSAGE_BYTES_MAX; c++) {
        if (*c >= 0x20 && *c < 0x7f && *c != '%') {
            buf_char(out, *c);
            continue;
        }
        buf_char(out, '%');
        buf_char(out, digits[(unsigned char)*c >> 4]);
        buf_char(out, digits[(unsigned char)*c & 15]);
    }
}

void grpc_put_ok(struct http_response *response)
{
    buf_clear(&response->trailers);
    buf_lit(&response->trailers, "grpc-status: 0\r\n");
}

/* google.rpc.ErrorInfo: the code's name, the hint, the request's id. */
static void put_info(struct buf *out, const struct err *err, const struct call *call)
{
    struct str id = call->request_id;
    const struct {
        const char *key;
        struct str value;
    } metadata[] = {{"request_id", id}, {"hint", str_of(err->hint)}};
    size_t any = pb_begin(out, 3);
    pb_put_text(out, 1, "type.googleapis.com/google.rpc.ErrorInfo");
    size_t info = pb_begin(out, 2);
    pb_put_text(out, 1, err_code_name(err->code));
    pb_put_text(out, 2, "slipway");
    for (size_t i = 0; i < ARRAY_LEN(metadata); i++) {
        if (metadata[i].value.len == 0)
            continue;
        size_t entry = pb_begin(out, 3);
        pb_put_text(out, 1, metadata[i].key);
        pb_put_bytes(out, 2, metadata[i].value);
        pb_end(out, entry);
    }
    pb_end(out, info);
    pb_end(out, any);
}

/* google.rpc.BadRequest: the field that breaks the contract. */
static void put_violation(struct buf *out, const struct violation *violation)
{
    size_t any = pb_begin(out, 3);
    pb_put_text(out, 1, "type.googleapis.com/google.rpc.BadRequest");
    size_t bad = pb_begin(out, 2);
    size_t field = pb_begin(out, 1);
    char text[ERR_MSG_BYTES];
    snprintf(text, sizeof(text), "row %lld: expected %s, got %s", (long long)violation->row,
             violation->expected, violation->got);
    pb_put_text(out, 1, violation->field);
    pb_put_text(out, 2, text);
    pb_end(out, field);
    pb_end(out, bad);
    pb_end(out, any);
}

/* google.rpc.Status, as grpc-status-details-bin carries it. */
static void put_details(struct buf *trailers, const struct err *err, const struct call *call)
{
    char base64[DETAILS_BYTES_MAX * 4 / 3 + 8];
    struct buf status;
    buf_init(&status, DETAILS_BYTES_MAX);
    pb_put_varint(&status, 1, (uint64_t)grpc_status(err->code));
    pb_put_text(&status, 2, err->msg);
    put_info(&status, err, call);
    if (call->violation)
        put_violation(&status, call->violation);
    if (!status.is_full) {
        int length =
            EVP_EncodeBlock((uint8_t *)base64, (const uint8_t *)status.data, (int)status.len);
        buf_lit(trailers, "grpc-status-details-bin: ");
        buf_append(trailers, base64, (size_t)length);
        buf_lit(trailers, "\r\n");
    }
    buf_done(&status);
}

void grpc_put_error(struct http_response *response, const struct err *err, const struct call *call)
{
    struct buf *trailers = &response->trailers;
    char text[ERR_MSG_BYTES + ERR_HINT_BYTES + 4];
    snprintf(text, sizeof(text), "%s%s%s", err->msg, err->hint[0] ? "; " : "", err->hint);
    buf_clear(trailers);
    buf_lit(trailers, "grpc-status: ");
    buf_i64(trailers, grpc_status(err->code));
    buf_lit(trailers, "\r\ngrpc-message: ");
    struct buf message;
    buf_init(&message, GRPC_MESSAGE_BYTES_MAX + 4);
    put_encoded(&message, text);
    buf_append(trailers, message.data, message.len);
    buf_done(&message);
    buf_lit(trailers, "\r\n");
    if (call)
        put_details(trailers, err, call);
}
