/* serving_api.c - the serving file of a model: shown with what its versions have counted, set,
 * removed.
 */
#include "api/handlers.h"
#include "base/check.h"
#include "base/clock.h"
#include "serve/lane_json.h"
#include "serve/response_cache_json.h"
#include "serve/serving_store.h"

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

static struct json_writer begin_serving(struct call *call, const char *model,
                                        const struct serving *serving, int64_t revision)
{
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_member_text(&w, "model", model);
    json_member_i64(&w, "revision", revision);
    serving_write(&w, serving);
    return w;
}

static void end_serving(struct json_writer *w, struct str document)
{
    json_key(w, "document");
    json_put_str(w, document);
    json_end_object(w);
}

enum err_code serving_get_handler(struct call *call, struct err *err)
{
    const char *model;
    struct model known;
    struct serving_document document;
    struct serving *serving = NULL;
    enum err_code rc = call_name(call, 0, "a model", &model, err);
    if (rc)
        return rc;
    struct store *store = control_read_begin(call->node->control);
    rc = model_get(store, model, call->arena, &known, err);
    if (!rc)
        rc = serving_get(store, model, call->arena, &document, err);
    control_read_end(call->node->control);
    if (!rc && document.text[0])
        rc = serving_parse(str_of(document.text), call->arena, &serving, err);
    if (rc)
        return rc;
    struct json_writer w =
        begin_serving(call, model, serving ? serving : &serving_preset, document.revision);
    write_versions(&w, call->node->control, model);
    end_serving(&w, str_of(document.text));
    return ERR_OK;
}

struct serving_change {
    const char *model;
    struct str document;
    const struct serving *serving;
};

static enum err_code put_serving(struct call *call, struct control *control, struct store *store,
                                 void *arg, struct err *err)
{
    const struct serving_change *c = arg;
    int64_t revision = 0;
    (void)control;
    enum err_code rc =
        serving_put(store, c->model, c->document, &call->actor, clock_wall_us(), &revision, err);
    if (rc)
        return rc;
    struct json_writer w = begin_serving(call, c->model, c->serving, revision);
    end_serving(&w, c->document);
    return ERR_OK;
}

static enum err_code change_serving(struct call *call, struct serving_change *c, struct err *err)
{
    struct call_change change = {.op = {.model = c->model}, .fn = put_serving, .arg = c};
    return call_execute(call, &change, err);
}

/* The body is the file itself: YAML, or JSON. */
enum err_code serving_put_handler(struct call *call, struct err *err)
{
    struct serving_change c = {.document = call->x->request.body};
    struct serving *serving;
    enum err_code rc = call_name(call, 0, "a model", &c.model, err);
    if (!rc)
        rc = serving_parse(c.document, call->arena, &serving, err);
    if (rc)
        return rc;
    c.serving = serving;
    return change_serving(call, &c, err);
}

enum err_code serving_delete_handler(struct call *call, struct err *err)
{
    struct serving_change c = {.document = STR_LIT(""), .serving = &serving_preset};
    enum err_code rc = call_name(call, 0, "a model", &c.model, err);
    return rc ? rc : change_serving(call, &c, err);
}
