/* document.c - the audit event of a new revision. */
#include "registry/document.h"

#include <stdio.h>

#include "registry/registry_check.h"

static void put_state(struct buf *out, int64_t revision, const char *text)
{
    struct json_writer w = {.out = out};
    buf_init(out, REGISTRY_STATE_BYTES_MAX);
    json_begin_object(&w);
    json_member_i64(&w, "revision", revision);
    json_member_text(&w, "document", text);
    json_end_object(&w);
}

enum err_code document_append(struct store *store, const struct document_change *change,
                              struct err *err)
{
    char subject[REGISTRY_SUBJECT_BYTES_MAX];
    struct buf before, after;
    snprintf(subject, sizeof(subject), "model/%s/%s", change->model, change->part);
    put_state(&before, change->old.revision, change->old.text);
    put_state(&after, change->old.revision + 1, change->text);
    return registry_append(store, change->actor, change->action, subject, &before, &after,
                           change->now_us, NULL, err);
}
