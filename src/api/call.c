/* call.c - what handlers share: bodies, names, queries, JSON replies, changes with idempotency. */
#include <unistd.h>

#include "api/api.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"
#include "monitor/feedback.h"

enum { AGO_MAX = 100 * 1000 * 1000 };

enum err_code call_body_object(struct call *call, yyjson_val **root, struct err *err)
{
    struct str body = call->x->request.body;
    enum err_code rc = json_read_strict(body.len ? body : STR_LIT("{}"), call->arena, root, err);
    if (!rc && !yyjson_is_obj(*root))
        rc = err_set(err, ERR_INVALID, "the body must be a JSON object, got %s",
                     yyjson_get_type_desc(*root));
    return rc;
}

enum err_code call_name(struct call *call, int index, const char *what, const char **name,
                        struct err *err)
{
    struct str text = call->params[index];
    if (!str_is_name(text)) {
        err_set(err, ERR_INVALID, "'%.*s' cannot be the name of %s", STR_ARG(text), what);
        return err_hint(err, "names: a letter or digit, then up to %d of letters, digits, . _ -",
                        STR_NAME_BYTES_MAX - 1);
    }
    *name = arena_copy(call->arena, text.ptr, text.len);
    return *name ? ERR_OK : err_set(err, ERR_LIMIT, "the request does not fit its memory");
}

enum err_code call_query_i64(struct call *call, const char *name, int64_t min, int64_t max,
                             int64_t *out, struct err *err)
{
    struct str text;
    int64_t value;
    if (!http_query_find(call->x->request.query, name, call->arena, &text))
        return ERR_OK;
    if (!str_to_i64(text, &value) || value < min || value > max)
        return err_set(err, ERR_INVALID,
                       "query '%s': expected a whole number from %lld to %lld, "
                       "got '%.*s'",
                       name, (long long)min, (long long)max, STR_ARG(text));
    *out = value;
    return ERR_OK;
}

/* "90s", "30m", "2h", "7d": that long ago. */
static bool time_ago(struct str text, int64_t *wall_us)
{
    static const struct {
        char unit;
        int64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    int64_t number;
    if (text.len < 2 || !str_to_i64((struct str){text.ptr, text.len - 1}, &number) || number < 0 ||
        number > AGO_MAX)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (text.ptr[text.len - 1] == units[i].unit) {
            *wall_us = clock_wall_us() - number * units[i].seconds * CLOCK_SECOND_US;
            return true;
        }
    return false;
}

enum err_code call_query_time(struct call *call, const char *name, int64_t *wall_us,
                              struct err *err)
{
    struct str text;
    if (!http_query_find(call->x->request.query, name, call->arena, &text) ||
        feedback_time(text, wall_us) || time_ago(text, wall_us))
        return ERR_OK;
    return err_set(err, ERR_INVALID,
                   "query '%s': expected a time such as 2026-01-31T09:30:00Z, a date, or 30m, 2h, "
                   "7d (ago), got '%.*s'",
                   name, (int)(text.len < 40 ? text.len : 40), text.ptr ? text.ptr : "");
}

enum err_code call_query_model(struct call *call, const char **model, struct err *err)
{
    struct str text;
    if (!http_query_find(call->x->request.query, "model", call->arena, &text))
        return ERR_OK;
    if (!str_is_name(text))
        return err_set(err, ERR_INVALID, "query 'model': '%.*s' cannot be the name of a model",
                       (int)(text.len < 64 ? text.len : 64), text.ptr ? text.ptr : "");
    const char *copy = arena_copy(call->arena, text.ptr, text.len);
    if (!copy)
        return err_set(err, ERR_LIMIT, "the request does not fit its memory");
    *model = copy;
    return ERR_OK;
}

struct json_writer call_json(struct call *call, int status)
{
    call->x->response.status = status;
    call->x->response.content_type = "application/json";
    return (struct json_writer){.out = &call->x->response.body};
}

enum err_code call_if_revision(struct call *call, int64_t *revision, struct err *err)
{
    struct str match = http_find_header(&call->x->request, "If-Match");
    struct str none = http_find_header(&call->x->request, "If-None-Match");
    *revision = -1;
    if (none.ptr) {
        if (!str_equal(none, STR_LIT("*")))
            return err_set(err, ERR_INVALID, "If-None-Match: expected *, got %.*s", STR_ARG(none));
        *revision = 0;
        return ERR_OK;
    }
    if (!match.ptr)
        return ERR_OK;
    struct str digits = {match.ptr + 1, match.len > 2 ? match.len - 2 : 0};
    if (match.len < 3 || match.ptr[0] != '"' || match.ptr[match.len - 1] != '"' ||
        !str_to_i64(digits, revision) || *revision < 1) {
        err_set(err, ERR_INVALID, "If-Match: expected the ETag of the alias, got %.*s",
                STR_ARG(match));
        return err_hint(err, "GET the alias and send its ETag back, like \"3\"");
    }
    return ERR_OK;
}

/* ---- changes ---- */

struct change_context {
    struct call *call;
    struct call_change *change;
    struct idempotency entry;
    bool has_key;
};

static void digest_request(const struct http_request *request, char *hex)
{
    struct hash_sha256 *state = hash_sha256_new();
    uint8_t digest[SHA256_BYTES];
    const char *method = http_method_name(request->method);
    hash_sha256_add(state, method, strlen(method) + 1);
    hash_sha256_add(state, request->target.ptr, request->target.len);
    hash_sha256_add(state, "", 1);
    hash_sha256_add(state, request->body.ptr, request->body.len);
    hash_sha256_end(state, digest);
    str_hex(digest, sizeof(digest), hex);
    hex[SHA256_HEX_BYTES] = '\0';
}

static enum err_code read_key(struct change_context *context, struct err *err)
{
    struct call *call = context->call;
    struct str key = http_find_header(&call->x->request, "Idempotency-Key");
    if (!key.ptr)
        return ERR_OK;
    if (key.len == 0 || key.len > IDEMPOTENCY_KEY_BYTES_MAX || !str_is_utf8(key))
        return err_set(err, ERR_INVALID, "Idempotency-Key: expected 1 to %d characters, got %zu",
                       IDEMPOTENCY_KEY_BYTES_MAX, key.len);
    context->has_key = true;
    context->entry.key = arena_copy(call->arena, key.ptr, key.len);
    context->entry.actor = call->actor.name;
    digest_request(&call->x->request, context->entry.request_digest);
    return ERR_OK;
}

static void replay(struct change_context *context)
{
    struct call *call = context->call;
    struct json_writer w = call_json(call, context->entry.status);
    json_put_raw(&w, str_of(context->entry.body));
    http_add_header(&call->x->response, "Idempotency-Replayed", STR_LIT("true"));
}

static enum err_code run_change(struct control *control, struct store *store, void *arg,
                                struct err *err)
{
    struct change_context *context = arg;
    struct call *call = context->call;
    struct call_change *change = context->change;
    bool is_found = false;
    enum err_code rc = ERR_OK;
    buf_clear(&call->x->response.body);
    buf_clear(&call->x->response.headers);
    if (context->has_key)
        rc = idempotency_find(store, &context->entry, call->arena, &is_found, err);
    if (!rc && is_found)
        replay(context);
    if (rc || is_found)
        return rc;
    rc = change->fn(call, control, store, change->arg, err);
    if (rc || !context->has_key)
        return rc;
    context->entry.status = call->x->response.status;
    context->entry.body = buf_c(&call->x->response.body);
    return idempotency_put(store, &context->entry, err);
}

enum err_code call_execute(struct call *call, struct call_change *change, struct err *err)
{
    struct change_context context = {.call = call, .change = change};
    enum err_code rc = read_key(&context, err);
    if (rc)
        return rc;
    change->op.fn = run_change;
    change->op.arg = &context;
    return control_execute(call->node->control, &change->op, err);
}
