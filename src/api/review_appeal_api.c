/* review_appeal_api.c - POST /api/review/appeals: a prediction goes to review because somebody
 * asks.
 */
#include "api/handlers.h"
#include "api/review_form.h"
#include "base/check.h"
#include "base/clock.h"

struct appeal {
    const char *model; /* NULL: whichever answered */
    const char *prediction_id, *reason;
    struct review_item item;
};

static enum err_code read_text(struct call *call, yyjson_val *root, const char *key,
                               const char **text, struct err *err)
{
    struct str value = {0};
    enum err_code rc = json_get_str_opt(root, "the request", key, &value, err);
    if (rc)
        return rc;
    if (value.len > REVIEW_NOTE_BYTES_MAX || (value.len && memchr(value.ptr, '\0', value.len)))
        return err_set(err, ERR_INVALID, "%s: expected a text of at most %d bytes", key,
                       REVIEW_NOTE_BYTES_MAX);
    *text = value.ptr ? arena_copy(call->arena, value.ptr, value.len) : NULL;
    return value.ptr && !*text ? err_set(err, ERR_LIMIT, "the request does not fit its memory")
                               : ERR_OK;
}

static enum err_code read_appeal(struct call *call, struct appeal *appeal, struct err *err)
{
    static const char *const keys[] = {"prediction_id", "reason", "model", NULL};
    yyjson_val *root;
    enum err_code rc = call_body_object(call, &root, err);
    if (!rc)
        rc = json_check_keys(root, "the request", keys, err);
    if (!rc)
        rc = read_text(call, root, "prediction_id", &appeal->prediction_id, err);
    if (!rc)
        rc = read_text(call, root, "reason", &appeal->reason, err);
    if (!rc)
        rc = read_text(call, root, "model", &appeal->model, err);
    if (rc)
        return rc;
    if (!appeal->prediction_id)
        return err_set(err, ERR_INVALID, "prediction_id: say which prediction");
    if (!appeal->reason || str_trim(str_of(appeal->reason)).len == 0)
        return err_set(err, ERR_INVALID, "reason: say why the prediction should be looked at");
    return ERR_OK;
}

/* ---- the prediction ---- */

static enum err_code find_record(struct call *call, const struct appeal *appeal,
                                 struct record *record, int64_t *row, struct err *err)
{
    struct str request_id;
    int64_t ignored, wanted = 0;
    if (!predicted_id_split(str_of(appeal->prediction_id), &request_id, &wanted))
        return err_set(err, ERR_INVALID, "'%.160s' is not the id of a prediction",
                       appeal->prediction_id);
    const struct record_query query = {
        .model = appeal->model, .request_id = request_id, .is_answered = true};
    enum err_code rc =
        record_store_find(call->node->records, &query, call->arena, record, &ignored, err);
    if (rc == ERR_NOT_FOUND || (!rc && wanted >= record->row_count)) {
        err_set(err, ERR_NOT_FOUND, "no prediction with the id '%.160s' is kept",
                appeal->prediction_id);
        rc = err_hint(err, "predictions are kept for a while: see record_keep_ms, "
                           "record_keep_bytes and record_share");
    }
    *row = wanted;
    return rc;
}

/* The row with the rule for appeals of its model. */
static enum err_code make_item(struct call *call, struct appeal *appeal, struct err *err)
{
    struct record record;
    int64_t row = 0;
    enum err_code rc = find_record(call, appeal, &record, &row, err);
    if (rc)
        return rc;
    struct snapshot *snapshot = control_snapshot(call->node->control);
    const struct endpoint *endpoint = snapshot_find(snapshot, str_of(record.schema->model));
    const struct review_rules *rules = endpoint ? endpoint->review : NULL;
    const struct review_match match = review_match_appeal(rules);
    rc = review_item_make(&record, row, rules, &match, call->arena, &appeal->item, err);
    snapshot_unref(snapshot);
    appeal->item.reason = appeal->reason;
    return rc;
}

/* ---- the item ---- */

static enum err_code decided_already(const struct review_item *item, struct err *err)
{
    err_set(err, ERR_CONFLICT, "prediction %s was reviewed as item %lld: %s", item->prediction_id,
            (long long)item->id, review_state_name(item->state));
    return err_hint(err, "who decided it may decide it again: slipway review decide %lld LABEL",
                    (long long)item->id);
}

static enum err_code open_appeal(struct call *call, struct control *control, struct store *store,
                                 void *arg, struct err *err)
{
    struct appeal *appeal = arg;
    int new_count = 0;
    (void)control;
    struct review_item *item = &appeal->item;
    enum err_code rc = review_open(store, item, 1, &call->actor, clock_wall_us(), &new_count, err);
    if (!rc && new_count == 0)
        rc = review_item_get(store, item->id, call->arena, item, err);
    if (!rc && item->state != REVIEW_OPEN)
        rc = decided_already(item, err);
    if (rc)
        return rc;
    struct json_writer w = call_json(call, new_count ? 201 : 200);
    review_write_line(&w, item);
    return ERR_OK;
}

/* Already in the queue: that item, with 200. */
enum err_code review_appeal_post(struct call *call, struct err *err)
{
    struct appeal appeal = {0};
    enum err_code rc = read_appeal(call, &appeal, err);
    if (!rc)
        rc = make_item(call, &appeal, err);
    struct call_change change = {.fn = open_appeal, .arg = &appeal};
    return rc ? rc : call_execute(call, &change, err);
}
