/* hold.c - rows that wait for a person: found on the data thread, made durable on a pool. */
#include "serve/hold.h"

#include "base/check.h"
#include "base/clock.h"
#include "serve/request_record.h"

/* ---- data thread ---- */

static enum err_code hold_row(struct request *req, int64_t row, const struct review_match *match,
                              struct review_match **held, struct err *err)
{
    if (!*held)
        *held = arena_calloc(req->arena, (size_t)req->row_count, sizeof(**held));
    if (!*held)
        return err_set(err, ERR_LIMIT, "the request does not fit its memory");
    (*held)[row] = *match;
    return ERR_OK;
}

static enum err_code too_many(const struct request *req, struct err *err)
{
    err_set(err, ERR_LIMIT,
            "more than %d rows of this request need a person before they are "
            "answered",
            REVIEW_BATCH_MAX);
    return err_hint(err, "send fewer rows in one request, or change the review rules of '%s'",
                    req->endpoint->name);
}

static enum err_code choose_rows(struct request *req, struct err *err)
{
    struct tensor places[RECORD_OUTPUTS_MAX];
    struct record record;
    struct review_match *held = NULL, match;
    int held_count = 0;
    request_record_fill(req, 200, req->exchange->start_ns, places, &record);
    for (int64_t row = 0; row < req->row_count; row++) {
        struct condition_facts facts = condition_facts_of(&record, row);
        if (!review_match(req->endpoint->review, &facts, &match) || match.rule->mode != REVIEW_HOLD)
            continue;
        if (++held_count > REVIEW_BATCH_MAX)
            return too_many(req, err);
        if (hold_row(req, row, &match, &held, err))
            return err->code;
    }
    req->held = held;
    return ERR_OK;
}

enum err_code hold_choose(struct request *req, struct err *err)
{
    const struct review_rules *rules = req->endpoint->review;
    if (!rules || !rules->has_hold || !req->loaded->record_schema)
        return ERR_OK;
    return choose_rows(req, err);
}

/* ---- pool ---- */

struct hold {
    const struct request *req;
    const struct actor *actor;
    struct record record;
    struct tensor places[RECORD_OUTPUTS_MAX];
    struct review_item *items; /* [count] of the held rows */
    int count;
};

static enum err_code make_items(struct hold *hold, struct err *err)
{
    const struct request *req = hold->req;
    const char *asked_by = review_asker(hold->actor, req->arena);
    hold->items = arena_calloc(req->arena, REVIEW_BATCH_MAX, sizeof(*hold->items));
    if (!hold->items || !asked_by)
        return err_set(err, ERR_LIMIT, "the request does not fit its memory");
    for (int64_t row = 0; row < req->row_count; row++) {
        if (!req->held[row].rule)
            continue;
        struct review_item *item = &hold->items[hold->count++];
        enum err_code rc = review_item_make(&hold->record, row, req->endpoint->review,
                                            &req->held[row], req->arena, item, err);
        if (rc)
            return rc;
        item->asked_by = asked_by;
    }
    return ERR_OK;
}

/* Request ids are the caller's: nobody may get what was decided about other inputs, or for others.
 */
static bool is_same(const struct review_item *a, const struct review_item *b)
{
    return strcmp(a->inputs, b->inputs) == 0 && strcmp(a->model, b->model) == 0 &&
           strcmp(a->asked_by, b->asked_by) == 0 && a->mode == b->mode;
}

static enum err_code check_same(struct store *store, const struct review_item *item,
                                struct arena *arena, struct err *err)
{
    struct review_item *others;
    int count = 0;
    enum err_code rc = review_items_of(store, item->prediction_id, arena, &others, &count, err);
    for (int i = 0; i < count && !rc; i++)
        if (strcmp(others[i].prediction_id, item->prediction_id) == 0 &&
            !is_same(&others[i], item)) {
            err_set(err, ERR_CONFLICT,
                    "prediction %s is under review already, with other inputs or for another "
                    "caller",
                    item->prediction_id);
            rc = err_hint(err, "give each request an X-Request-Id of its own, or none");
        }
    return rc;
}

static enum err_code open_items(struct control *control, struct store *store, void *arg,
                                struct err *err)
{
    struct hold *hold = arg;
    (void)control;
    for (int i = 0; i < hold->count; i++)
        if (check_same(store, &hold->items[i], hold->req->arena, err))
            return err->code;
    return review_open(store, hold->items, hold->count, hold->actor, clock_wall_us(), NULL, err);
}

/* ---- the reply ---- */

static void put_url(struct buf *out, struct str id)
{
    static const char digits[] = "0123456789ABCDEF";
    buf_lit(out, HOLD_PATH);
    for (size_t i = 0; i < id.len; i++) {
        unsigned char c = (unsigned char)id.ptr[i];
        bool is_plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                        (c >= 'A' && c <= 'Z') || c == '-' || c == '.' || c == '_';
        if (is_plain) {
            buf_char(out, (char)c);
            continue;
        }
        buf_char(out, '%');
        buf_char(out, digits[c >> 4]);
        buf_char(out, digits[c & 15]);
    }
}

static void put_row(struct json_writer *w, const struct hold *hold, int64_t row,
                    const struct review_item *item)
{
    char id[PREDICTION_ID_BYTES_MAX];
    json_begin_object(w);
    json_key(w, "id");
    json_put_text(w, prediction_id_format(hold->req->id, row, id));
    if (item) {
        json_key(w, "state");
        json_put_text(w, "held");
        json_key(w, "item");
        json_put_i64(w, item->id);
    } else {
        struct condition_facts facts = condition_facts_of(&hold->record, row);
        review_answer_write(w, &facts);
    }
    json_end_object(w);
}

static void write_reply(const struct hold *hold)
{
    const struct request *req = hold->req;
    struct http_response *response = &req->exchange->response;
    struct buf url;
    char number[STR_NUMBER_BYTES];
    struct json_writer w = {.out = &response->body};
    buf_init(&url, 4 * REQUEST_ID_BYTES_MAX);
    put_url(&url, req->id);
    response->content_type = "application/json";
    http_add_header(response, "Location", buf_view(&url));
    json_begin_object(&w);
    json_key(&w, "id");
    json_put_str(&w, req->id);
    json_key(&w, "model");
    json_put_text(&w, req->loaded->model);
    json_key(&w, "version");
    json_put_str(&w, (struct str){number, str_from_i64(req->loaded->number, number)});
    json_key(&w, "state");
    json_put_text(&w, "held");
    json_key(&w, "status_url");
    json_put_str(&w, buf_view(&url));
    json_key(&w, "predictions");
    json_begin_array(&w);
    for (int64_t row = 0, item = 0; row < req->row_count; row++)
        put_row(&w, hold, row, req->held[row].rule ? &hold->items[item++] : NULL);
    json_end_array(&w);
    json_end_object(&w);
    buf_char(&response->body, '\n');
    buf_done(&url);
}

enum err_code hold_store(struct control *control, const struct request *req,
                         const struct actor *actor, struct err *err)
{
    struct hold hold = {.req = req, .actor = actor};
    struct control_op op = {.fn = open_items, .arg = &hold};
    request_record_fill(req, 202, req->exchange->start_ns, hold.places, &hold.record);
    hold.record.at_us = clock_wall_us();
    enum err_code rc = make_items(&hold, err);
    if (!rc)
        rc = control_execute(control, &op, err);
    if (!rc)
        write_reply(&hold);
    return rc;
}
