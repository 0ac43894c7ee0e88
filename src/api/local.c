/* local.c - one exchange at a time, made by hand and run where it stands. */
#include "api/local.h"

#include <stdlib.h>
#include <unistd.h>

#include "api/api.h"
#include "api/router.h"
#include "base/check.h"
#include "base/clock.h"

enum { REPLY_HEADER_BYTES_MAX = 16 * 1024, NAME_BYTES = STR_NAME_BYTES_MAX + 1 };

struct api_local {
    struct node node;
    struct serve_thread *thread;
};

enum err_code api_local_open(const struct options *options, bool create, struct api_local **out,
                             struct err *err)
{
    struct control_config config = {
        .data_dir = options->data_dir,
        .create = create,
        .data_thread_count = 1,
        .host = runtime_host_of(options),
    };
    struct control *control;
    enum err_code rc = control_open(&config, &control, err);
    if (rc)
        return rc;
    struct record_store *records;
    struct record_store_config record_config = {.folder_fd = folder_fd(control_folder(control)),
                                                .keep_bytes = options->record_keep_bytes,
                                                .keep_ms = options->record_keep_ms};
    rc = record_store_open(&record_config, &records, err);
    if (rc) {
        control_close(control);
        return rc;
    }
    struct api_local *local = calloc(1, sizeof(*local));
    struct serve_thread *thread =
        aligned_alloc(_Alignof(struct serve_thread), sizeof(struct serve_thread));
    if (!local || !thread)
        abort();
    memset(thread, 0, sizeof(*thread));
    rand_seed_from_os(&thread->rand);
    thread->node = &local->node;
    thread->predict_rows_max = options->predict_rows_max;
    local->thread = thread;
    local->node = (struct node){
        .options = options,
        .control = control,
        .records = records,
        .thread_count = 1,
        .threads = {thread},
        .start_us = clock_monotonic_us(),
    };
    control_add_reader(control, &thread->reader, NULL);
    *out = local;
    return ERR_OK;
}

static enum http_method method_of(const char *name)
{
    for (int m = 0; m < HTTP_METHOD_OTHER; m++)
        if (strcmp(http_method_name((enum http_method)m), name) == 0)
            return (enum http_method)m;
    return HTTP_METHOD_OTHER;
}

static void fill_request(struct http_request *request, const struct http_call *call)
{
    const char *mark = memchr(call->target.ptr, '?', call->target.len);
    size_t path_bytes = mark ? (size_t)(mark - call->target.ptr) : call->target.len;
    request->method = method_of(call->method);
    request->target = call->target;
    request->path = (struct str){call->target.ptr, path_bytes};
    if (mark)
        request->query = (struct str){mark + 1, call->target.len - path_bytes - 1};
    request->body = call->body;
    for (int i = 0; i < call->header_count && i < HTTP_HEADERS_MAX; i++)
        request->headers[request->header_count++] = call->headers[i];
    request->known.x_request_id = http_find_header(request, "X-Request-Id");
    request->known.traceparent = http_find_header(request, "traceparent");
    request->known.inference_header_content_length =
        http_find_header(request, "Inference-Header-Content-Length");
}

/* A data-path route asks a model: here it is loaded when it is first asked. */
static enum err_code load_for(struct api_local *local, const struct http_exchange *x,
                              struct err *err)
{
    struct route_match match;
    char model[NAME_BYTES];
    enum err_code rc = router_match(x->request.method, x->request.path, x->arena, &match, err);
    if (rc || !match.route || match.route->run != RUN_DATA || !match.params[0].ptr)
        return ERR_OK; /* dispatch explains */
    const struct endpoint *endpoint =
        snapshot_find(snapshot_reader_get(&local->thread->reader), match.params[0]);
    if (!endpoint || endpoint->champion)
        return ERR_OK;
    snprintf(model, sizeof(model), "%s", endpoint->name);
    return control_load(local->node.control, model, match.params[1], err);
}

/* "Name: value\r\n" lines -> result->headers, in the arena. */
static void take_headers(const struct http_response *response, struct arena *arena,
                         struct http_result *result)
{
    const char *copy = arena_copy(arena, response->headers.data, response->headers.len);
    struct str rest = {copy, copy ? response->headers.len : 0}, line;
    while (rest.len && result->header_count < HTTP_HEADERS_MAX && str_split(&rest, '\n', &line)) {
        const char *colon = line.len ? memchr(line.ptr, ':', line.len) : NULL;
        if (!colon)
            continue;
        struct str value = {colon + 1, line.len - (size_t)(colon - line.ptr) - 1};
        while (value.len && value.ptr[value.len - 1] == '\r')
            value.len--;
        result->headers[result->header_count++] =
            (struct http_header){{line.ptr, (size_t)(colon - line.ptr)}, str_trim(value)};
    }
}

static void take_response(struct http_exchange *x, struct arena *arena, struct http_result *result)
{
    struct http_response *response = &x->response;
    result->status = response->status;
    if (response->content_type)
        result->content_type =
            (struct str){arena_copy(arena, response->content_type, strlen(response->content_type)),
                         strlen(response->content_type)};
    take_headers(response, arena, result);
    result->body = response->body; /* the memory moves */
    buf_done(&response->headers);
}

enum err_code api_local_run(struct api_local *local, const struct http_call *call,
                            struct arena *arena, struct http_result *result, struct err *err)
{
    static const struct http_peer this_user = {.is_unix = true, .is_loopback = true};
    struct http_peer peer = this_user;
    struct arena *memory = arena_new(local->node.options->request_memory_bytes_max);
    struct http_exchange *x = arena_calloc(memory, 1, sizeof(*x));
    assert(x);
    peer.uid = geteuid();
    x->arena = memory;
    x->thread = local->thread;
    x->peer = &peer;
    x->start_ns = clock_monotonic_ns();
    x->response.status = 200;
    buf_init(&x->response.body, call->reply_bytes_max);
    buf_init(&x->response.headers, REPLY_HEADER_BYTES_MAX);
    *result = (struct http_result){0};
    fill_request(&x->request, call);
    enum err_code rc = load_for(local, x, err);
    if (!rc) {
        dispatch_here(x, &local->node, local->thread);
        take_response(x, arena, result);
    } else {
        buf_done(&x->response.body);
        buf_done(&x->response.headers);
    }
    arena_free(memory);
    return rc;
}

void api_local_close(struct api_local *local)
{
    if (!local)
        return;
    snapshot_reader_done(&local->thread->reader);
    record_store_close(local->node.records);
    control_close(local->node.control);
    free(local->thread);
    free(local);
}
