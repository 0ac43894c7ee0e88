/* remote_exchange.c - headers, statuses, and whose fault it was. */
#include "runtime/remote_exchange.h"

#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "runtime/remote_reply.h"
#include "runtime/remote_request.h"

enum {
    TEXT_BYTES_MAX = 1 << 30,
    TEXT_KEEP_BYTES = 1024 * 1024,
    SCRATCH_BYTES_MAX = 1 << 30,
    HEADERS_BYTES_MAX = 32 * 1024,
    RETRY_AFTER_S_MAX = 3600,
    DEADLINE_NEAR_NS = 50000000,
    TIMEOUT_NS_MIN = 1000000000, /* a call that had less and was late says nothing of the server */
};

void remote_slot_init(struct remote_slot *slot, const struct remote_endpoint *endpoint)
{
    http_link_init(&slot->link, &endpoint->site);
    buf_init(&slot->text, TEXT_BYTES_MAX);
    slot->scratch = NULL;
}

void remote_slot_done(struct remote_slot *slot)
{
    http_link_close(&slot->link);
    buf_done(&slot->text);
    arena_free(slot->scratch);
    slot->scratch = NULL;
}

static struct arena *scratch_of(struct remote_slot *slot)
{
    if (slot->scratch)
        arena_reset(slot->scratch);
    else
        slot->scratch = arena_new(SCRATCH_BYTES_MAX);
    return slot->scratch;
}

/* ---- targets ---- */

static void put_encoded(struct buf *out, const char *text)
{
    for (; *text; text++) {
        char c = *text;
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || strchr("-._~", c);
        if (is_plain)
            buf_char(out, c);
        else
            buf_printf(out, "%%%02X", (unsigned char)c);
    }
}

const char *remote_target(const struct remote_settings *settings, const char *suffix,
                          struct arena *arena)
{
    struct buf text;
    buf_init(&text, HTTP_TARGET_BYTES_MAX);
    buf_lit(&text, "/v2/models/");
    put_encoded(&text, settings->model);
    if (settings->version) {
        buf_lit(&text, "/versions/");
        put_encoded(&text, settings->version);
    }
    buf_text(&text, suffix);
    const char *copy = arena_copy(arena, text.data, text.len);
    buf_done(&text);
    return copy;
}

/* ---- statuses ---- */

static const char *advice_of(int status)
{
    if (status >= 300 && status < 400)
        return "redirects are not followed: give the address it leads to with --remote-endpoints";
    if (status == 401 || status == 403)
        return "--remote-tokens and --remote-certificates say what it is shown";
    if (status == 404)
        return "is the model loaded there, under that name and version?";
    return NULL;
}

/* See remote_peer.h. */
static enum err_code code_of(int status)
{
    switch (status) {
    case 400:
    case 413:
    case 422:
        return ERR_INVALID;
    case 429:
    case 503:
        return ERR_UNAVAILABLE;
    default:
        return ERR_UPSTREAM;
    }
}

static enum remote_verdict verdict_of(int status)
{
    if (status == 429)
        return REMOTE_SAYS_NOTHING;
    return status >= 502 && status <= 504 ? REMOTE_FAILS : REMOTE_WORKS;
}

enum err_code remote_refused(struct remote_slot *slot, int status, struct str body, struct err *err)
{
    char reason[REMOTE_REASON_BYTES];
    const char *advice = advice_of(status);
    remote_reply_reason(body, scratch_of(slot), reason);
    err_set(err, code_of(status), "%s answered %d%s%s", slot->link.site->where, status,
            reason[0] ? ": " : "", reason);
    return advice ? err_hint(err, "%s", advice) : err->code;
}

static struct str find_header(const struct http_result *result, const char *name)
{
    for (int i = 0; i < result->header_count; i++)
        if (str_equal_nocase(result->headers[i].name, str_of(name)))
            return str_trim(result->headers[i].value);
    return (struct str){0};
}

static void take_retry_after(const struct http_result *result, struct err *err)
{
    int64_t seconds = 0;
    if (err->code != ERR_UNAVAILABLE || !str_to_i64(find_header(result, "Retry-After"), &seconds) ||
        seconds < 1)
        return;
    err->retry_seconds = seconds < RETRY_AFTER_S_MAX ? (int)seconds : RETRY_AFTER_S_MAX;
}

/* ---- a call ---- */

static bool is_one_line(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 0x7f)
            return false;
    return text.len > 0;
}

static void put_header(struct buf *out, const char *name, struct str value)
{
    if (!is_one_line(value))
        return;
    buf_text(out, name);
    buf_lit(out, ": ");
    buf_str(out, value);
    buf_lit(out, "\r\n");
}

static void put_headers(struct buf *out, const struct remote_request *request,
                        const struct runtime_call *call, struct str authorization)
{
    char length[STR_NUMBER_BYTES];
    struct str json_bytes = {length, str_from_u64(request->json_bytes, length)};
    put_header(out, "Content-Type",
               request->is_binary ? STR_LIT("application/octet-stream")
                                  : STR_LIT("application/json"));
    if (request->is_binary)
        put_header(out, "Inference-Header-Content-Length", json_bytes);
    put_header(out, "X-Request-Id", call->request_id);
    put_header(out, "traceparent", call->traceparent);
    buf_str(out, authorization);
}

/* Nobody answers, or what answers is no such server. At a deadline the call is also cancelled, and
 * either may be seen first. What is too large is so for this caller: nobody closes the way to
 * others by asking for much. */
static enum err_code broken_link(bool was_reached, int64_t had_ns, int64_t left_ns,
                                 enum err_code rc, enum remote_verdict *verdict, struct err *err)
{
    bool is_late = rc == ERR_TIMEOUT || (rc == ERR_CANCELLED && left_ns < DEADLINE_NEAR_NS);
    *verdict = REMOTE_FAILS;
    if (is_late ? had_ns < TIMEOUT_NS_MIN : rc == ERR_CANCELLED || rc == ERR_LIMIT)
        *verdict = REMOTE_SAYS_NOTHING;
    if (rc == ERR_CANCELLED || rc == ERR_TIMEOUT)
        return rc;
    err->hint[0] = '\0'; /* those are for the command line */
    err->code = was_reached ? ERR_UPSTREAM : ERR_UNAVAILABLE;
    return err->code;
}

static enum err_code read_lengths(const struct http_result *result, size_t *json_bytes,
                                  struct err *err)
{
    struct str text = find_header(result, "Inference-Header-Content-Length");
    struct str encoding = find_header(result, "Content-Encoding");
    uint64_t bytes = result->body.len;
    if (encoding.len && !str_equal_nocase(encoding, STR_LIT("identity")))
        return err_set(err, ERR_UPSTREAM,
                       "the endpoint's reply is packed with '%.*s', which "
                       "nobody asked for",
                       (int)(encoding.len < 40 ? encoding.len : 40), encoding.ptr);
    if (text.len && (!str_to_u64(text, &bytes) || bytes > result->body.len))
        return err_set(err, ERR_UPSTREAM,
                       "the endpoint's Inference-Header-Content-Length is no size within its reply "
                       "of %zu bytes",
                       result->body.len);
    *json_bytes = (size_t)bytes;
    return ERR_OK;
}

static enum err_code read_result(struct remote_slot *slot, const struct remote_settings *settings,
                                 const struct http_result *result, struct runtime_call *call,
                                 struct err *err)
{
    size_t json_bytes = 0;
    if (result->status != 200) {
        remote_refused(slot, result->status, buf_view(&result->body), err);
        take_retry_after(result, err);
        return err->code;
    }
    enum err_code rc = read_lengths(result, &json_bytes, err);
    return rc ? rc
              : remote_reply_read(&settings->signature, buf_view(&result->body), json_bytes,
                                  scratch_of(slot), call, err);
}

static enum err_code send_request(struct remote_slot *slot, const struct remote_request *request,
                                  const char *target, struct str authorization,
                                  const struct runtime_call *call, struct http_result *result,
                                  bool *was_reached, struct err *err)
{
    struct buf headers;
    buf_init(&headers, HEADERS_BYTES_MAX);
    put_headers(&headers, request, call, authorization);
    const struct http_link_call link_call = {
        .method = "POST",
        .target = str_of(target),
        .headers = buf_view(&headers),
        .body = request->pieces,
        .body_count = request->piece_count,
        .deadline_ns = call->deadline_ns,
        .is_cancelled = call->is_cancelled,
    };
    enum err_code rc =
        http_link_run(&slot->link, &link_call, call->arena, result, was_reached, err);
    buf_done(&headers);
    return rc;
}

enum err_code remote_exchange(struct remote_slot *slot, const struct remote_settings *settings,
                              const char *target, struct str authorization,
                              struct runtime_call *call, enum remote_verdict *verdict,
                              struct err *err)
{
    struct http_result result = {0};
    struct remote_request request = {.text = &slot->text};
    bool was_reached = false;
    int64_t had_ns = call->deadline_ns - clock_monotonic_ns();
    *verdict = REMOTE_SAYS_NOTHING;
    if (had_ns <= 0)
        return err_set(err, ERR_TIMEOUT, "the call's time was over before it was sent");
    enum err_code rc = remote_request_write(settings, call, had_ns / 1000, &request, err);
    if (rc)
        return rc;
    rc = send_request(slot, &request, target, authorization, call, &result, &was_reached, err);
    if (rc)
        rc = broken_link(was_reached, had_ns, call->deadline_ns - clock_monotonic_ns(), rc, verdict,
                         err);
    else {
        *verdict = verdict_of(result.status);
        rc = read_result(slot, settings, &result, call, err);
    }
    if (slot->text.capacity > TEXT_KEEP_BYTES)
        buf_done(&slot->text);
    return rc;
}

enum err_code remote_get(struct remote_slot *slot, struct remote_get *get, struct err *err)
{
    struct http_result result = {0};
    bool was_reached;
    const struct http_link_call call = {
        .method = "GET",
        .target = str_of(get->target),
        .headers = get->authorization,
        .deadline_ns = get->deadline_ns,
        .is_cancelled = get->is_cancelled,
    };
    enum err_code rc =
        http_link_run(&slot->link, &call, scratch_of(slot), &result, &was_reached, err);
    get->status = result.status;
    get->body = buf_view(&slot->link.reply);
    return rc;
}
