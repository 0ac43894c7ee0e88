/* predict_call.c - a call becomes a request of the pipeline, whatever its dialect, and goes on when
 * it has waited for a lane. */
#include "api/api.h"
#include "base/check.h"
#include "serve/hand_over.h"
#include "serve/hold.h"

static void report_violation(struct call *call, const struct request *req)
{
    struct violation *violation = arena_alloc(call->arena, sizeof(*violation));
    if (!violation)
        return;
    *violation = req->rows.first;
    call->violation = violation;
    call->violation_model = req->loaded->model;
    call->violation_version = req->loaded->number;
}

static void release_snapshot(void *arg)
{
    snapshot_unref(arg);
}

/* The items are made durable on a pool; until the reply is sent the model and its rules must not go
 * away. */
static enum err_code hold_now(struct call *call, struct err *err)
{
    enum err_code rc = hold_store(call->node->control, call->prediction, &call->actor, err);
    if (!rc)
        call->x->response.status = 202;
    return rc;
}

static enum err_code hold_later(struct call *call, struct err *err)
{
    struct snapshot *snapshot = (struct snapshot *)(uintptr_t)call->snapshot;
    struct str id = call->request_id;
    const char *name = call->actor.name; /* the connection's, which may end meanwhile */
    call->actor.name = arena_copy(call->arena, name, strlen(name));
    call->actor.request_id = arena_copy(call->arena, id.ptr, id.len);
    const char *key_id = call->actor.key_id;
    call->actor.key_id = key_id ? arena_copy(call->arena, key_id, strlen(key_id)) : NULL;
    if (!call->actor.name || (key_id && !call->actor.key_id))
        return err_set(err, ERR_LIMIT, "the request does not fit its memory");
    snapshot_ref(snapshot);
    if (arena_defer(call->arena, release_snapshot, snapshot)) {
        snapshot_unref(snapshot);
        return err_set(err, ERR_LIMIT, "the request does not fit its memory");
    }
    call->later = hold_now;
    return ERR_OK;
}

/* ---- the lane ---- */

static enum err_code end_prediction(struct call *call, const struct request *req, enum err_code rc,
                                    struct err *err)
{
    if (rc == ERR_VIOLATION && req->has_rows)
        report_violation(call, req);
    return rc || !req->held ? rc : hold_later(call, err);
}

static struct call *call_of(const struct request *req)
{
    return req->exchange->user;
}

static void resume(struct request *req, enum err_code rc, const struct err *err)
{
    struct call *call = call_of(req);
    if (rc)
        call->err = *err;
    rc = pipeline_resume(req, rc, &call->err);
    if (req->is_waiting)
        return;
    if (rc && req->is_cold &&
        !call_wait_for_model(call, req->model_name, req->version_name, &call->err))
        return;
    call->rc = end_prediction(call, req, rc, &call->err);
    call_finish(call);
}

static void expire(struct request *req, const struct err *err)
{
    struct call *call = call_of(req);
    call->err = *err;
    call->rc = err->code;
    call->is_held = true;
    call_finish(call);
}

static void release(struct request *req)
{
    call_release(call_of(req));
}

static void client_left(struct http_exchange *x)
{
    const struct call *call = x->user;
    request_cancel((struct request *)(uintptr_t)call->prediction);
}

static const struct request_owner owner = {resume, expire, release};

enum err_code call_predict(struct call *call, const struct dialect *dialect, struct err *err)
{
    struct request *req = arena_alloc(call->arena, sizeof(*req));
    if (!req)
        return err_set(err, ERR_LIMIT, "the request does not fit its memory");
    *req = (struct request){
        .exchange = call->x,
        .arena = call->arena,
        .thread = call->thread,
        .snapshot = call->snapshot,
        .dialect = dialect,
        .model_name = call->params[0],
        .version_name = call->params[1],
        .id = call->request_id,
        .traceparent = call->traceparent,
        .span_id = call->span_id,
        .owner = &owner,
        .is_streamed = call->reply != NULL,
    };
    call->prediction = req;
    enum err_code rc = pipeline_run(req, err);
    if (rc && req->is_cold)
        return call_wait_for_model(call, req->model_name, req->version_name, err);
    if (!req->is_waiting)
        return end_prediction(call, req, rc, err);
    call->is_waiting = true;
    call->x->cancel = client_left;
    return ERR_OK;
}
