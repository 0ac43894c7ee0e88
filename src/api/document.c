/* document.c - one way for all kinds: read, check, one operation, reply. */
#include "api/document.h"

#include "base/clock.h"

struct change {
    const struct document_kind *kind;
    const char *model;
    struct str text;
    const void *parsed; /* NULL: the file goes */
};

static struct json_writer begin_reply(struct call *call, const struct document_kind *kind,
                                      const char *model, int64_t revision, const void *parsed)
{
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_member_text(&w, "model", model);
    json_member_i64(&w, "revision", revision);
    kind->write(&w, parsed);
    return w;
}

static void end_reply(struct json_writer *w, struct str text)
{
    json_key(w, "document");
    json_put_str(w, text);
    json_end_object(w);
}

static enum err_code read_document(struct call *call, const struct document_kind *kind,
                                   const char *model, struct document *document, struct err *err)
{
    struct model known;
    struct store *store = control_read_begin(call->node->control);
    enum err_code rc = model_get(store, model, call->arena, &known, err);
    if (!rc)
        rc = kind->get(store, model, call->arena, document, err);
    control_read_end(call->node->control);
    return rc;
}

enum err_code document_get(struct call *call, const struct document_kind *kind, struct err *err)
{
    const char *model;
    struct document document;
    const void *parsed = NULL;
    enum err_code rc = call_name(call, 0, "a model", &model, err);
    if (!rc)
        rc = read_document(call, kind, model, &document, err);
    if (!rc && document.text[0])
        rc = kind->parse(str_of(document.text), call->arena, &parsed, err);
    if (rc)
        return rc;
    struct json_writer w = begin_reply(call, kind, model, document.revision, parsed);
    if (kind->write_more)
        kind->write_more(&w, call->node->control, model);
    end_reply(&w, str_of(document.text));
    return ERR_OK;
}

static enum err_code put_revision(struct call *call, struct control *control, struct store *store,
                                  void *arg, struct err *err)
{
    const struct change *c = arg;
    int64_t revision = 0;
    (void)control;
    enum err_code rc =
        c->kind->put(store, c->model, c->text, &call->actor, clock_wall_us(), &revision, err);
    if (rc)
        return rc;
    struct json_writer w = begin_reply(call, c->kind, c->model, revision, c->parsed);
    end_reply(&w, c->text);
    return ERR_OK;
}

static enum err_code run_change(struct call *call, struct change *c, struct err *err)
{
    struct call_change change = {.op = {.model = c->model}, .fn = put_revision, .arg = c};
    return call_execute(call, &change, err);
}

static enum err_code check_change(struct call *call, const struct change *c, struct err *err)
{
    if (!c->kind->check)
        return ERR_OK;
    struct snapshot *snapshot = control_snapshot(call->node->control);
    const struct endpoint *endpoint = snapshot_find(snapshot, str_of(c->model));
    enum err_code rc = c->kind->check(c->parsed, endpoint ? endpoint->champion : NULL, err);
    snapshot_unref(snapshot);
    return rc;
}

enum err_code document_put(struct call *call, const struct document_kind *kind, struct err *err)
{
    struct change c = {.kind = kind, .text = call->x->request.body};
    enum err_code rc = call_name(call, 0, "a model", &c.model, err);
    if (!rc)
        rc = kind->parse(c.text, call->arena, &c.parsed, err);
    if (!rc)
        rc = check_change(call, &c, err);
    return rc ? rc : run_change(call, &c, err);
}

enum err_code document_delete(struct call *call, const struct document_kind *kind, struct err *err)
{
    struct change c = {.kind = kind, .text = STR_LIT("")};
    enum err_code rc = call_name(call, 0, "a model", &c.model, err);
    return rc ? rc : run_change(call, &c, err);
}
