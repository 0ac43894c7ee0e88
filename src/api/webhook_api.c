/* webhook_api.c - who is told of events, and how far they are. Receivers are the configuration's.
 */
#include "api/handlers.h"

static void put_webhook(struct json_writer *w, const struct webhook_status *status)
{
    json_begin_object(w);
    json_key(w, "name");
    json_put_text(w, status->name);
    json_key(w, "cursor");
    json_put_i64(w, status->cursor);
    json_key(w, "behind");
    json_put_i64(w, status->behind);
    json_key(w, "delivered");
    json_put_u64(w, status->delivered);
    json_key(w, "failed");
    json_put_u64(w, status->failed);
    json_key(w, "failures_in_row");
    json_put_i64(w, status->failures_in_row);
    json_member_time(w, "last_success_at", status->last_success_us);
    json_member_time(w, "next_attempt_at", status->next_attempt_us);
    json_key(w, "last_error");
    json_put_text(w, status->last_error);
    json_end_object(w);
}

enum err_code webhooks_get(struct call *call, struct err *err)
{
    struct webhook_status status[WEBHOOKS_MAX];
    (void)err;
    int count = call->node->webhooks ? webhooks_status(call->node->webhooks, status) : 0;
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_key(&w, "webhooks");
    json_begin_array(&w);
    for (int i = 0; i < count; i++)
        put_webhook(&w, &status[i]);
    json_end_array(&w);
    json_end_object(&w);
    return ERR_OK;
}
