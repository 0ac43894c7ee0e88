/* status_api.c - is it alive, is it ready, what does it count: /livez /readyz /metrics /api/status.
 */
#include <stdlib.h>
#include <unistd.h>

#include "api/handlers.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/version.h"

/* ---- live and ready ---- */

enum err_code livez(struct call *call, struct err *err)
{
    (void)err;
    call->x->response.content_type = "text/plain; charset=utf-8";
    buf_lit(&call->x->response.body, "ok\n");
    return ERR_OK;
}

/* One line per model; a model without a champion is registered but asks nobody to wait for it. */
static bool describe_endpoint(const struct endpoint *endpoint, struct buf *out)
{
    const char *problem = endpoint->champion ? loaded_problem(endpoint->champion) : NULL;
    bool is_ready =
        endpoint->champion_version == 0 || endpoint->is_cold || (endpoint->champion && !problem);
    if (!out)
        return is_ready;
    if (problem)
        buf_printf(out, "%s not-ready version=%lld %s\n", endpoint->name,
                   (long long)endpoint->champion->number, problem);
    else if (endpoint->champion)
        buf_printf(out, "%s ready version=%lld\n", endpoint->name,
                   (long long)endpoint->champion->number);
    else if (endpoint->champion_version == 0)
        buf_printf(out, "%s idle no champion\n", endpoint->name);
    else if (endpoint->is_cold)
        buf_printf(out, "%s ready version=%lld not in memory until it is asked\n", endpoint->name,
                   (long long)endpoint->champion_version);
    else
        buf_printf(out, "%s not-ready version=%lld %s\n", endpoint->name,
                   (long long)endpoint->champion_version,
                   endpoint->problem ? endpoint->problem : "loading");
    return is_ready;
}

const char *call_readiness(struct call *call, struct buf *out)
{
    const struct map *endpoints = &call->snapshot->endpoints;
    const char *problem = NULL;
    if (atomic_load_explicit(&call->node->is_draining, memory_order_relaxed))
        problem = "the server is stopping";
    for (size_t i = 0; i < endpoints->slot_count; i++)
        if (endpoints->slots[i].key.ptr && !describe_endpoint(endpoints->slots[i].value, out))
            problem = problem ? problem : "a model's champion does not answer, see /readyz";
    return problem;
}

enum err_code readyz(struct call *call, struct err *err)
{
    (void)err;
    struct http_response *response = &call->x->response;
    const char *problem = call_readiness(call, &response->body);
    response->content_type = "text/plain; charset=utf-8";
    response->status = problem ? 503 : 200;
    if (problem)
        buf_printf(&response->body, "not ready: %s\n", problem);
    else
        buf_lit(&response->body, "ready\n");
    return ERR_OK;
}

/* ---- status ---- */

/* By HTTP, from this machine; the Unix socket knows who calls. */
static bool needs_key(const struct node *node)
{
    struct snapshot *snapshot = control_snapshot(node->control);
    bool is_open = auth_keys_is_open(snapshot->keys);
    snapshot_unref(snapshot);
    return !is_open || (node->options && node->options->behind_proxy);
}

enum err_code status_get(struct call *call, struct err *err)
{
    (void)err;
    struct control_stats stats;
    struct node *node = call->node;
    control_stats(node->control, &stats);
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_key(&w, "version");
    json_put_text(&w, SLIPWAY_VERSION);
    json_key(&w, "data_dir");
    json_put_text(&w, folder_path(control_folder(node->control)));
    json_key(&w, "pid");
    json_put_i64(&w, getpid());
    json_key(&w, "is_serving");
    json_put_bool(&w, node->server != NULL);
    json_key(&w, "port");
    if (node->server)
        json_put_i64(&w, http_server_port(node->server));
    else
        json_put_null(&w);
    json_key(&w, "is_tls");
    json_put_bool(&w, node->server && node->options->tls_cert[0]);
    json_key(&w, "needs_key");
    json_put_bool(&w, needs_key(node));
    json_key(&w, "data_threads");
    json_put_i64(&w, node->thread_count);
    json_key(&w, "uptime_seconds");
    json_put_i64(&w, (clock_monotonic_us() - node->start_us) / CLOCK_SECOND_US);
    json_key(&w, "generation");
    json_put_i64(&w, stats.generation);
    json_key(&w, "rollback_log_pending");
    json_put_i64(&w, stats.rollback_log_pending);
    json_end_object(&w);
    return ERR_OK;
}
