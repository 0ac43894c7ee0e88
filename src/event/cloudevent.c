/* cloudevent.c - CloudEvents written member by member. */
#include "event/cloudevent.h"

#include <stdio.h>

#include "base/json.h"

enum { CHECK_BYTES_MAX = 64 * AUDIT_STATE_BYTES_MAX, SEQUENCE_BYTES = 24, TYPE_BYTES = 544 };

/* A state is JSON text; should one not be, it goes as the text that it is. */
static void put_state(struct json_writer *w, const char *key, const char *state)
{
    struct err err;
    yyjson_val *root;
    struct arena *arena = arena_new(CHECK_BYTES_MAX);
    json_key(w, key);
    if (!state)
        json_put_null(w);
    else if (json_read(str_of(state), arena, &root, &err))
        json_put_text(w, state);
    else
        json_put_raw(w, str_of(state));
    arena_free(arena);
}

static void put_data(struct json_writer *w, const struct audit_event *event)
{
    json_begin_object(w);
    json_key(w, "seq");
    json_put_i64(w, event->seq);
    json_member_text(w, "actor", event->actor);
    json_member_text(w, "via", event->via);
    json_member_text(w, "action", event->action);
    put_state(w, "before", event->before);
    put_state(w, "after", event->after);
    json_member_text(w, "request_id", event->request_id);
    json_end_object(w);
}

void cloudevent_format(const struct audit_event *event, const char *source, struct buf *out)
{
    char type[TYPE_BYTES], sequence[SEQUENCE_BYTES];
    struct json_writer w = {.out = out};
    snprintf(type, sizeof(type), "slipway.%s", event->action);
    snprintf(sequence, sizeof(sequence), "%020lld", (long long)event->seq);
    json_begin_object(&w);
    json_member_text(&w, "specversion", "1.0");
    json_member_text(&w, "id", event->hash);
    json_member_text(&w, "source", source);
    json_member_text(&w, "type", type);
    if (event->subject[0])
        json_member_text(&w, "subject", event->subject);
    json_key(&w, "time");
    json_put_time(&w, event->at_us);
    json_member_text(&w, "datacontenttype", "application/json");
    json_member_text(&w, "sequence", sequence);
    json_key(&w, "data");
    put_data(&w, event);
    json_end_object(&w);
}
