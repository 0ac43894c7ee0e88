/* problem.c - errors as callers see them; the only map from codes to HTTP statuses.
 *
 * Own routes answer application/problem+json (RFC 9457), /v2 the Open Inference Protocol's
 * {"error": "text"}, MLflow's paths {"error_code", "message"}; there a hint follows the text after
 * a semicolon.
 */
#include "api/api.h"
#include "api/grpc.h"
#include "base/check.h"

int problem_status(enum err_code code)
{
    switch (code) {
    case ERR_OK:
        return 200;
    case ERR_INVALID:
        return 400;
    case ERR_VIOLATION:
        return 422;
    case ERR_UNAUTHORIZED:
        return 401;
    case ERR_DENIED:
        return 403;
    case ERR_NOT_FOUND:
        return 404;
    case ERR_EXISTS:
    case ERR_CONFLICT:
        return 409;
    case ERR_LIMIT:
        return 413;
    case ERR_CANCELLED:
        return 499;
    case ERR_UPSTREAM:
        return 502;
    case ERR_UNSUPPORTED:
        return 501;
    case ERR_UNAVAILABLE:
        return 503;
    case ERR_TIMEOUT:
        return 504;
    case ERR_DISK_FULL:
        return 507;
    case ERR_IO:
    case ERR_INTERNAL:
        break;
    }
    return 500;
}

static void write_violation(struct json_writer *w, const struct call *call)
{
    const struct violation *v = call->violation;
    json_key(w, "violation");
    json_begin_object(w);
    json_key(w, "model");
    json_put_text(w, call->violation_model);
    json_key(w, "version");
    json_put_i64(w, call->violation_version);
    json_key(w, "row");
    json_put_i64(w, v->row);
    json_key(w, "field");
    json_put_text(w, v->field);
    json_key(w, "rule");
    json_put_text(w, contract_rule_name(v->rule));
    json_key(w, "policy");
    json_put_text(w, contract_policy_name(v->policy));
    json_key(w, "expected");
    json_put_text(w, v->expected);
    json_key(w, "got");
    json_put_text(w, v->got);
    json_end_object(w);
}

/* What to do, when the place that failed did not say. */
static const char *hint_of(const struct err *err)
{
    if (err->code == ERR_DISK_FULL && !err->hint[0])
        return "free some room; predictions and rollback go on meanwhile";
    return err->hint;
}

void problem_write_json(struct http_response *response, int status, const struct err *err,
                        const struct call *call)
{
    const char *hint = hint_of(err);
    struct json_writer w = {.out = &response->body};
    response->status = status;
    response->content_type = "application/problem+json";
    buf_clear(&response->body);
    json_begin_object(&w);
    json_key(&w, "type");
    json_put_text(&w, "about:blank");
    json_key(&w, "title");
    json_put_text(&w, http_status_text(status));
    json_key(&w, "status");
    json_put_i64(&w, status);
    json_key(&w, "code");
    json_put_text(&w, err_code_name(err->code));
    json_key(&w, "detail");
    json_put_text(&w, err->msg);
    if (hint[0]) {
        json_key(&w, "hint");
        json_put_text(&w, hint);
    }
    if (call) {
        json_key(&w, "request_id");
        json_put_str(&w, call->request_id);
    } else {
        /* The route is not known, so a client of /v2 may read this: it looks for `error`. */
        json_key(&w, "error");
        json_put_text(&w, err->msg);
    }
    if (call && call->violation)
        write_violation(&w, call);
    json_end_object(&w);
    buf_char(&response->body, '\n');
}

void problem_write_oip(struct http_response *response, int status, const char *message,
                       const char *hint)
{
    struct json_writer w = {.out = &response->body};
    char text[ERR_MSG_BYTES + ERR_HINT_BYTES + 4];
    snprintf(text, sizeof(text), "%s%s%s", message, hint[0] ? "; " : "", hint);
    response->status = status;
    response->content_type = "application/json";
    buf_clear(&response->body);
    json_begin_object(&w);
    json_key(&w, "error");
    json_put_text(&w, text);
    json_end_object(&w);
}

static bool is_oip(const struct call *call)
{
    if (call->route)
        return call->route->form == FORM_OIP;
    struct str path = call->x->request.path;
    return str_equal(path, STR_LIT("/v2")) || str_starts_with(path, STR_LIT("/v2/"));
}

/* Codes as mlflow.protos.databricks_pb2 has them. */
static const char *mlflow_code(int status)
{
    switch (status) {
    case 400:
        return "BAD_REQUEST";
    case 401:
        return "UNAUTHENTICATED";
    case 403:
        return "PERMISSION_DENIED";
    case 404:
        return "RESOURCE_DOES_NOT_EXIST";
    case 501:
        return "NOT_IMPLEMENTED";
    case 503:
        return "TEMPORARILY_UNAVAILABLE";
    case 504:
        return "DEADLINE_EXCEEDED";
    default:
        return status < 500 ? "INVALID_PARAMETER_VALUE" : "INTERNAL_ERROR";
    }
}

static void write_mlflow(struct http_response *response, int status, const struct err *err)
{
    struct json_writer w = {.out = &response->body};
    char text[ERR_MSG_BYTES + ERR_HINT_BYTES + 4];
    snprintf(text, sizeof(text), "%s%s%s", err->msg, err->hint[0] ? "; " : "", err->hint);
    response->status = status;
    response->content_type = "application/json";
    buf_clear(&response->body);
    json_begin_object(&w);
    json_member_text(&w, "error_code", mlflow_code(status));
    json_member_text(&w, "message", text);
    json_end_object(&w);
}

bool problem_is_grpc(const struct call *call)
{
    if (!call->x->peer->is_http2)
        return false;
    return call->route ? call->route->form == FORM_GRPC : grpc_is_call(&call->x->request);
}

/* Messages of a stream that went before stay. */
static void write_grpc(struct call *call, const struct err *err)
{
    struct http_response *response = &call->x->response;
    if (!call->route || call->route->body != BODY_STREAM)
        buf_clear(&response->body);
    grpc_put_error(response, err, call);
}

/* A second where nobody knows better. */
static void add_retry_after(struct http_response *response, const struct err *err)
{
    char text[STR_NUMBER_BYTES];
    size_t length = str_from_i64(err->retry_seconds > 0 ? err->retry_seconds : 1, text);
    http_add_header(response, "Retry-After", (struct str){text, length});
}

void problem_write(struct call *call, const struct err *err)
{
    struct http_response *response = &call->x->response;
    bool is_set = response->status >= 400; /* the place that knew better: 405 */
    int status = is_set ? response->status : problem_status(err->code);
    if (!is_set) /* those of the reply that this one replaces */
        buf_clear(&response->headers);
    if (status == 401)
        http_add_header(response, "WWW-Authenticate", STR_LIT("Bearer"));
    if (status == 503)
        add_retry_after(response, err);
    if (problem_is_grpc(call)) {
        response->status = status;
        write_grpc(call, err);
        return;
    }
    bool is_mlflow = call->route && call->route->form == FORM_MLFLOW;
    if (!is_oip(call) && !is_mlflow) {
        problem_write_json(response, status, err, call);
        return;
    }
    if (err->code == ERR_VIOLATION)
        status = 400; /* what OIP clients expect of a bad tensor, and MLflow's of bad rows */
    if (is_mlflow)
        write_mlflow(response, status, err);
    else
        problem_write_oip(response, status, err->msg, err->hint);
}
