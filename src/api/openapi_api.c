/* openapi_api.c - the route table as an OpenAPI 3.1 document. */
#include "api/handlers.h"
#include "base/check.h"
#include "base/version.h"

static void put_parameters(struct json_writer *w, const char *path)
{
    struct str rest = str_of(path);
    const char *open;
    json_key(w, "parameters");
    json_begin_array(w);
    while (rest.len && (open = memchr(rest.ptr, '{', rest.len))) {
        const char *close = strchr(open, '}');
        assert(close);
        json_begin_object(w);
        json_key(w, "name");
        json_put_str(w, (struct str){open + 1, (size_t)(close - open) - 1});
        json_key(w, "in");
        json_put_text(w, "path");
        json_key(w, "required");
        json_put_bool(w, true);
        json_key(w, "schema");
        json_put_raw(w, STR_LIT("{\"type\":\"string\"}"));
        json_end_object(w);
        rest = str_of(close + 1);
    }
    json_end_array(w);
}

static const char *body_type(enum route_body body)
{
    switch (body) {
    case BODY_NONE:
    case BODY_STREAM:
        return NULL;
    case BODY_JSON:
    case BODY_TENSORS:
        return "application/json";
    case BODY_UPLOAD:
        return "application/octet-stream";
    }
    return NULL;
}

static void put_body(struct json_writer *w, const struct route *route)
{
    const char *type = body_type(route->body);
    if (!type)
        return;
    json_key(w, "requestBody");
    json_begin_object(w);
    json_key(w, "content");
    json_begin_object(w);
    json_key(w, type);
    json_put_raw(w, STR_LIT("{}"));
    if (route->body == BODY_TENSORS) {
        json_key(w, "application/octet-stream");
        json_put_raw(w, STR_LIT("{}"));
    }
    json_end_object(w);
    json_end_object(w);
}

/* Under which media type each form of error is sent, and what it is. */
static const struct {
    const char *type, *schema;
} errors[] = {
    [FORM_PROBLEM] = {"application/problem+json", "Problem"},
    [FORM_OIP] = {"application/json", "OipError"},
    [FORM_MLFLOW] = {"application/json", "MlflowError"},
};

static void put_responses(struct json_writer *w, const struct route *route)
{
    char text[256];
    snprintf(text, sizeof(text),
             "{\"200\":{\"description\":\"done\"},\"default\":{\"description\":\"failed\","
             "\"content\":{\"%s\":{\"schema\":{\"$ref\":\"#/components/schemas/%s\"}}}}}",
             errors[route->form].type, errors[route->form].schema);
    json_key(w, "responses");
    json_put_raw(w, str_of(text));
}

static void put_operation_id(struct json_writer *w, const struct route *route)
{
    char id[160];
    size_t n = 0;
    for (const char *c = route->method; *c && n + 2 < sizeof(id); c++)
        id[n++] = (char)(*c | 0x20);
    for (const char *c = route->path; *c && n + 2 < sizeof(id); c++) {
        bool is_word = (*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9');
        if (is_word)
            id[n++] = *c;
        else if (id[n - 1] != '_')
            id[n++] = '_';
    }
    while (n && id[n - 1] == '_')
        n--;
    json_key(w, "operationId");
    json_put_str(w, (struct str){id, n});
}

static void put_operation(struct json_writer *w, const struct route *route)
{
    char method[16];
    size_t n = 0;
    for (const char *c = route->method; *c; c++)
        method[n++] = (char)(*c | 0x20);
    json_key_str(w, (struct str){method, n});
    json_begin_object(w);
    put_operation_id(w, route);
    json_key(w, "summary");
    json_put_text(w, route->summary);
    json_key(w, "x-slipway-scope");
    json_put_text(w, scope_name(route->scope));
    json_key(w, "security");
    json_put_raw(w, route->scope & SCOPE_PUBLIC ? STR_LIT("[]") : STR_LIT("[{\"key\":[]}]"));
    put_parameters(w, route->path);
    put_body(w, route);
    put_responses(w, route);
    json_end_object(w);
}

/* Is `route` the first row of its path? Its path's methods are written together. */
static bool is_first_of_path(const struct route *route)
{
    for (const struct route *other = routes; other < route; other++)
        if (strcmp(other->path, route->path) == 0)
            return false;
    return true;
}

static void put_paths(struct json_writer *w)
{
    json_key(w, "paths");
    json_begin_object(w);
    for (const struct route *route = routes; route->method; route++) {
        if (!is_first_of_path(route) || route->form == FORM_GRPC)
            continue; /* gRPC has server reflection */
        json_key(w, route->path);
        json_begin_object(w);
        for (const struct route *same = route; same->method; same++)
            if (strcmp(same->path, route->path) == 0)
                put_operation(w, same);
        json_end_object(w);
    }
    json_end_object(w);
}

enum err_code openapi(struct call *call, struct err *err)
{
    (void)err;
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_key(&w, "openapi");
    json_put_text(&w, "3.1.0");
    json_key(&w, "info");
    json_begin_object(&w);
    json_key(&w, "title");
    json_put_text(&w, "Slipway");
    json_key(&w, "version");
    json_put_text(&w, SLIPWAY_VERSION);
    json_end_object(&w);
    put_paths(&w);
    json_key(&w, "components");
    json_put_raw(
        &w,
        STR_LIT("{\"securitySchemes\":{\"key\":{\"type\":\"http\",\"scheme\":\"bearer\"}},"
                "\"schemas\":{\"OipError\":{\"type\":\"object\",\"required\":[\"error\"],"
                "\"properties\":{\"error\":{\"type\":\"string\"}}},"
                "\"MlflowError\":{\"type\":\"object\",\"required\":[\"error_code\",\"message\"],"
                "\"properties\":{\"error_code\":{\"type\":\"string\"},\"message\":{\"type\":"
                "\"string\"}}},"
                "\"Problem\":{\"type\":\"object\",\"required\":[\"title\",\"status\",\"code\","
                "\"detail\"],\"properties\":{\"type\":{\"type\":\"string\"},\"title\":{\"type\":"
                "\"string\"},\"status\":{\"type\":\"integer\"},\"code\":{\"type\":\"string\"},"
                "\"detail\":{\"type\":\"string\"},\"hint\":{\"type\":\"string\"},\"request_id\":"
                "{\"type\":\"string\"},\"violation\":{\"type\":\"object\"}}}}}"));
    json_end_object(&w);
    return ERR_OK;
}
