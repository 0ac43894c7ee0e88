/* predict_call.c - a call becomes a request of the pipeline, whatever its dialect. */
#include "api/api.h"
#include "base/check.h"

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
    };
    call->prediction = req;
    enum err_code rc = pipeline_run(req, err);
    if (rc == ERR_VIOLATION && req->has_rows)
        report_violation(call, req);
    return rc;
}
