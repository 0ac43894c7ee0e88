/* prediction_backup_api.c - the files of kept predictions, as a backup copies them.
 *
 * A sealed segment is whole; of the one that is being written the blocks that are whole now. A
 * reader that opens the copy seals it like a file that a crash has left.
 */
#include "api/handlers.h"

enum { ENTRY_BYTES = 64 };

static void put_file(struct json_writer *w, const char *name, uint64_t bytes)
{
    json_begin_object(w);
    json_key(w, "name");
    json_put_text(w, name);
    json_key(w, "bytes");
    json_put_u64(w, bytes);
    json_end_object(w);
}

/* What was answered before the call is in them. */
enum err_code backup_predictions_list(struct call *call, struct err *err)
{
    struct segment *segment;
    struct segment_info info;
    char name[SEGMENT_NAME_BYTES];
    int64_t number = 0;
    (void)err;
    record_store_flush(call->node->records);
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_key(&w, "files");
    json_begin_array(&w);
    put_file(&w, RECORD_SECRET_NAME, REDACT_SECRET_BYTES);
    while ((segment = record_store_next(call->node->records, number))) {
        segment_info(segment, &info);
        segment_unref(segment);
        number = info.number;
        put_file(&w, segment_name(number, name), info.bytes);
    }
    json_end_array(&w);
    json_end_object(&w);
    return ERR_OK;
}

static enum err_code put_segment(struct call *call, int64_t number, struct err *err)
{
    struct segment_info info = {0};
    struct segment *segment = record_store_next(call->node->records, number - 1);
    if (segment)
        segment_info(segment, &info);
    enum err_code rc = info.number == number
                           ? segment_copy(segment, &call->x->response.body, err)
                           : err_set(err, ERR_NOT_FOUND, "that file of predictions is gone");
    segment_unref(segment);
    return rc;
}

enum err_code backup_predictions_get(struct call *call, struct err *err)
{
    uint8_t secret[REDACT_SECRET_BYTES];
    const struct str file = call->params[0];
    const char *name = arena_copy(call->arena, file.ptr, file.len);
    int64_t number = name ? segment_number(name) : 0;
    call->x->response.content_type = "application/octet-stream";
    if (number)
        return put_segment(call, number, err);
    if (!str_equal_c(file, RECORD_SECRET_NAME))
        return err_set(err, ERR_NOT_FOUND, "there is no such file of predictions");
    record_store_secret(call->node->records, secret);
    buf_append(&call->x->response.body, secret, sizeof(secret));
    return ERR_OK;
}
