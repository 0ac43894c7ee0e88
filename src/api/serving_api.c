/* serving_api.c - the serving file of a model: shown with what its versions have counted, set,
 * removed.
 */
#include "api/document.h"
#include "api/handlers.h"
#include "serve/lane_json.h"
#include "serve/response_cache_json.h"
#include "serve/serving_store.h"

static enum err_code parse(struct str text, struct arena *arena, const void **parsed,
                           struct err *err)
{
    struct serving *serving = NULL;
    enum err_code rc = serving_parse(text, arena, &serving, err);
    *parsed = serving;
    return rc;
}

static void write_settings(struct json_writer *w, const void *parsed)
{
    serving_write(w, parsed ? parsed : &serving_preset);
}

/* In-process, and before a version is loaded, there are none. */
static void write_versions(struct json_writer *w, struct control *control, const char *model)
{
    struct snapshot *snapshot = control_snapshot(control);
    const struct endpoint *endpoint = snapshot_find(snapshot, str_of(model));
    json_key(w, "versions");
    json_begin_array(w);
    if (endpoint)
        lane_json_write(w, endpoint);
    json_end_array(w);
    if (endpoint && endpoint->responses)
        response_cache_json(w, endpoint);
    snapshot_unref(snapshot);
}

static const struct document_kind serving_kind = {
    .get = serving_get,
    .put = serving_put,
    .parse = parse,
    .write = write_settings,
    .write_more = write_versions,
};

enum err_code serving_get_handler(struct call *call, struct err *err)
{
    return document_get(call, &serving_kind, err);
}

enum err_code serving_put_handler(struct call *call, struct err *err)
{
    return document_put(call, &serving_kind, err);
}

enum err_code serving_delete_handler(struct call *call, struct err *err)
{
    return document_delete(call, &serving_kind, err);
}
