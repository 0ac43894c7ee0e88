/* card_api.c - what the record says of a version: its card, its lineage, and who answered when. */
#include "api/handlers.h"
#include "base/clock.h"
#include "rollout/card.h"
#include "rollout/lineage.h"

enum { CARD_MEMORY_BYTES_MAX = 256 * 1024 * 1024 };

/* ---- the card ---- */

static bool wants_markdown(struct call *call)
{
    struct str format, accept = http_find_header(&call->x->request, "Accept");
    if (http_query_find(call->x->request.query, "format", call->arena, &format))
        return str_equal_c(format, "markdown");
    return str_starts_with(accept, STR_LIT("text/markdown"));
}

static enum err_code check_format(struct call *call, struct err *err)
{
    struct str format;
    if (!http_query_find(call->x->request.query, "format", call->arena, &format) ||
        str_equal_c(format, "markdown") || str_equal_c(format, "json"))
        return ERR_OK;
    return err_set(err, ERR_INVALID, "query 'format': expected json or markdown, got '%.*s'",
                   (int)(format.len < 64 ? format.len : 64), format.ptr);
}

static void write_card(struct call *call, const struct card *card)
{
    if (wants_markdown(call)) {
        call->x->response.status = 200;
        call->x->response.content_type = "text/markdown; charset=utf-8";
        card_write_markdown(&call->x->response.body, card);
        return;
    }
    struct json_writer w = call_json(call, 200);
    card_write_json(&w, card);
}

static enum err_code make_card(struct call *call, const struct version *version,
                               struct str document, struct err *err)
{
    struct card card;
    struct contract *contract = NULL;
    struct arena *arena = arena_new(CARD_MEMORY_BYTES_MAX);
    enum err_code rc = document.len ? contract_parse(document, &contract, err) : ERR_OK;
    if (!rc) {
        struct store *store = control_read_begin(call->node->control);
        rc = card_read(store, version->model, version->number, document, contract, arena, &card,
                       err);
        control_read_end(call->node->control);
    }
    if (!rc)
        write_card(call, &card);
    contract_free(contract);
    arena_free(arena);
    return rc;
}

enum err_code card_get(struct call *call, struct err *err)
{
    struct version version;
    struct blob_store *blobs = control_blobs(call->node->control);
    const void *bytes = NULL;
    size_t size = 0;
    enum err_code rc = check_format(call, err);
    if (!rc)
        rc = call_version(call, &version, err);
    if (!rc && version.contract.hex[0])
        rc = blob_get(blobs, &version.contract, &bytes, &size, err);
    if (rc)
        return rc;
    rc = make_card(call, &version, (struct str){bytes, size}, err);
    if (bytes)
        blob_release(blobs, bytes, size);
    return rc;
}

/* ---- lineage ---- */

/* "of=data_sha256=9f2c..." -> the two parts. */
static enum err_code read_of(struct call *call, struct lineage_query *query, struct err *err)
{
    struct str of;
    if (!http_query_find(call->x->request.query, "of", call->arena, &of))
        return ERR_OK;
    const char *equals = memchr(of.ptr, '=', of.len);
    if (!equals || equals == of.ptr)
        return err_set(err, ERR_INVALID, "query 'of': expected key=value, got '%.*s'",
                       (int)(of.len < 64 ? of.len : 64), of.ptr);
    size_t key = (size_t)(equals - of.ptr);
    query->key = arena_copy(call->arena, of.ptr, key);
    query->value = arena_copy(call->arena, equals + 1, of.len - key - 1);
    return query->key && query->value ? ERR_OK
                                      : err_set(err, ERR_LIMIT, "the request does not fit");
}

enum err_code lineage_get(struct call *call, struct err *err)
{
    struct lineage_query query = {0};
    struct str version;
    enum err_code rc = call_name(call, 0, "a model", &query.model, err);
    if (!rc)
        rc = read_of(call, &query, err);
    if (rc)
        return rc;
    struct arena *arena = arena_new(CARD_MEMORY_BYTES_MAX);
    struct store *store = control_read_begin(call->node->control);
    if (http_query_find(call->x->request.query, "version", call->arena, &version))
        rc = version_resolve(store, query.model, version, &query.version, err);
    if (!rc) {
        struct json_writer w = call_json(call, 200);
        rc = lineage_write(store, &query, arena, &w, err);
    }
    control_read_end(call->node->control);
    arena_free(arena);
    return rc;
}

/* ---- who answered ---- */

static enum err_code read_at(struct call *call, int64_t *at_us, struct err *err)
{
    *at_us = clock_wall_us();
    enum err_code rc = call_query_time(call, "at", at_us, err);
    if (!rc && *at_us > clock_wall_us())
        rc = err_set(err, ERR_INVALID, "query 'at' is in the future");
    return rc;
}

static void put_reign(struct json_writer *w, const struct reign *reign)
{
    json_begin_object(w);
    json_key(w, "version");
    json_put_i64(w, reign->version);
    json_key(w, "from");
    json_put_time(w, reign->from_us);
    json_key(w, "until");
    if (reign->until_us)
        json_put_time(w, reign->until_us);
    else
        json_put_null(w);
    json_key(w, "by");
    json_put_text(w, reign->kind);
    json_key(w, "actor");
    json_put_text(w, reign->actor);
    json_key(w, "reason");
    json_put_text(w, reign->reason);
    json_end_object(w);
}

static void put_share(struct json_writer *w, const struct lineage_share *share)
{
    json_begin_object(w);
    json_key(w, "rollout");
    json_put_i64(w, share->rollout->id);
    json_key(w, "version");
    json_put_i64(w, share->rollout->to);
    json_key(w, "share");
    json_put_f64(w, share->share);
    json_key(w, "state");
    json_put_text(w, share->state);
    json_key(w, "started_at");
    json_put_time(w, share->rollout->started_us);
    json_key(w, "author");
    json_put_text(w, share->rollout->author);
    json_end_object(w);
}

enum err_code answered_get(struct call *call, struct err *err)
{
    const char *model;
    struct reign *reigns;
    struct lineage_share *shares;
    int64_t at_us = 0;
    int count = 0, share_count = 0;
    enum err_code rc = call_name(call, 0, "a model", &model, err);
    if (!rc)
        rc = read_at(call, &at_us, err);
    if (rc)
        return rc;
    struct arena *arena = arena_new(CARD_MEMORY_BYTES_MAX);
    struct store *store = control_read_begin(call->node->control);
    rc = lineage_reigns(store, model, arena, &reigns, &count, err);
    if (!rc)
        rc = lineage_shares(store, model, at_us, arena, &shares, &share_count, err);
    control_read_end(call->node->control);
    if (!rc) {
        struct json_writer w = call_json(call, 200);
        json_begin_object(&w);
        json_key(&w, "model");
        json_put_text(&w, model);
        json_key(&w, "at");
        json_put_time(&w, at_us);
        json_key(&w, "answered");
        json_begin_array(&w);
        for (int i = 0; i < count; i++)
            if (reigns[i].from_us <= at_us && (!reigns[i].until_us || at_us < reigns[i].until_us))
                put_reign(&w, &reigns[i]);
        json_end_array(&w);
        json_key(&w, "shared");
        json_begin_array(&w);
        for (int i = 0; i < share_count; i++)
            put_share(&w, &shares[i]);
        json_end_array(&w);
        json_end_object(&w);
    }
    arena_free(arena);
    return rc;
}
