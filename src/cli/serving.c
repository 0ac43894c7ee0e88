/* serving.c - how a model is served: shown with what its lanes have counted, set from a file, put
 * back to the preset. */
#include "base/check.h"
#include "cli/document.h"
#include "cli/handlers.h"
#include "cli/terminal.h"

enum { SERVING_FILE_BYTES_MAX = 64 * 1024, COUNTS_BYTES_MAX = 1024 };

static void print_cache(struct cli *cli, yyjson_val *cache, struct buf *out)
{
    char size[TERMINAL_SIZE_BYTES];
    if (!yyjson_is_obj(cache)) {
        buf_lit(out, "cache       off\n");
        return;
    }
    const char *ttl = cli_text(cli, cache, "ttl");
    buf_printf(out, "cache       %s of answers",
               terminal_size(yyjson_get_uint(yyjson_obj_get(cache, "max_bytes")), size));
    if (strcmp(ttl, "0ms") != 0)
        buf_printf(out, ", none older than %s", ttl);
    buf_char(out, '\n');
}

static void print_records(yyjson_val *records, struct buf *out)
{
    static const char *const always[] = {"errors", "held", "differing"};
    if (!yyjson_is_obj(records))
        return;
    buf_printf(out, "records     %.4g %% of requests are kept",
               100 * yyjson_get_num(yyjson_obj_get(records, "share")));
    for (size_t i = 0; i < ARRAY_LEN(always); i++)
        if (yyjson_equals_str(yyjson_obj_get(records, always[i]), "always"))
            buf_printf(out, ", %s always", always[i]);
    buf_text(out,
             yyjson_is_false(yyjson_obj_get(records, "inputs")) ? "; without features\n" : "\n");
}

static void print_settings(struct cli *cli, yyjson_val *root, struct buf *out)
{
    yyjson_val *batching = yyjson_obj_get(root, "batching"), *queue = yyjson_obj_get(root, "queue");
    buf_printf(out, "instances   %s\n", cli_text(cli, root, "instances"));
    buf_printf(out, "batching    at most %s rows, an idle instance waits %s for more\n",
               cli_text(cli, batching, "max_rows"), cli_text(cli, batching, "max_delay"));
    buf_printf(out, "queue       at most %s requests, answered within %s\n",
               cli_text(cli, queue, "max_requests"), cli_text(cli, queue, "timeout"));
    buf_printf(out, "priority    %s\n", cli_text(cli, root, "priority"));
    buf_printf(out, "nan         %s\n", cli_text(cli, root, "nan"));
    print_cache(cli, yyjson_obj_get(root, "cache"), out);
    buf_printf(out, "v1 inputs   %s\n", cli_text(cli, yyjson_obj_get(root, "v1"), "inputs"));
    print_records(yyjson_obj_get(root, "records"), out);
    if (yyjson_get_sint(yyjson_obj_get(root, "revision")) == 0)
        buf_printf(out, "these are the presets; set them: slipway model serving %s --file FILE\n",
                   cli_text(cli, root, "model"));
    else
        buf_printf(out, "revision %s\n", cli_text(cli, root, "revision"));
}

/* ---- what the lanes have counted ---- */

/* "full 300, idle 12": members that are not 0. */
static const char *counts_text(struct cli *cli, yyjson_val *object)
{
    struct buf text;
    size_t i, count;
    yyjson_val *key, *value;
    buf_init(&text, COUNTS_BYTES_MAX);
    yyjson_obj_foreach(object, i, count, key, value)
    {
        if (yyjson_get_uint(value) == 0)
            continue;
        buf_printf(&text, "%s%s %llu", text.len ? ", " : "", yyjson_get_str(key),
                   (unsigned long long)yyjson_get_uint(value));
    }
    const char *copy = arena_copy(cli->arena, text.data ? text.data : "", text.len);
    buf_done(&text);
    return copy && *copy ? copy : "none";
}

static uint64_t sum_of(yyjson_val *object)
{
    size_t i, count;
    uint64_t sum = 0;
    yyjson_val *key, *value;
    yyjson_obj_foreach(object, i, count, key, value) sum += yyjson_get_uint(value);
    return sum;
}

static double ms_of(yyjson_val *version, const char *what, const char *member)
{
    return yyjson_get_num(yyjson_obj_get(yyjson_obj_get(version, what), member)) / 1000;
}

static void print_times(yyjson_val *version, struct buf *out)
{
    yyjson_val *error = yyjson_obj_get(version, "cost_error");
    buf_printf(out, "  waited      %.3g ms, 99 %% of them below %.3g ms\n",
               ms_of(version, "queue_us", "p50"), ms_of(version, "queue_us", "p99"));
    buf_printf(out, "  computed    %.3g ms, 99 %% of batches below %.3g ms\n",
               ms_of(version, "compute_us", "p50"), ms_of(version, "compute_us", "p99"));
    buf_printf(out, "  cost        %.3g ms a call and %.3g ms a row",
               ms_of(version, "cost_us", "call"), ms_of(version, "cost_us", "row"));
    if (yyjson_is_num(error))
        buf_printf(out, "; off by %.2g %%", 100 * yyjson_get_num(error));
    buf_char(out, '\n');
}

static void print_lost(struct cli *cli, yyjson_val *version, struct buf *out)
{
    buf_printf(out, "  unanswered  refused %s, late %s, cancelled %s, failed %s\n",
               cli_text(cli, version, "refused"), cli_text(cli, version, "late"),
               cli_text(cli, version, "cancelled"), cli_text(cli, version, "failed"));
}

static void print_version(struct cli *cli, yyjson_val *version, struct buf *out)
{
    yyjson_val *closed = yyjson_obj_get(version, "closed");
    uint64_t batches = sum_of(closed);
    bool is_inline = yyjson_equals_str(yyjson_obj_get(version, "runs"), "inline");
    buf_printf(out, "\nversion %s, %s, at most %s at once; %s wait now\n",
               cli_text(cli, version, "version"),
               is_inline ? "answers at once but for large batches" : "runs in its lane",
               cli_text(cli, version, "instances"), cli_text(cli, version, "waiting"));
    if (batches) {
        double rows = yyjson_get_num(yyjson_obj_get(version, "rows"));
        buf_printf(out, "  requests    %s in %llu batches of %.3g rows\n",
                   cli_text(cli, version, "requests"), (unsigned long long)batches,
                   rows / (double)batches);
        buf_printf(out, "  closed      %s\n", counts_text(cli, closed));
        buf_printf(out, "  by rows     %s\n",
                   counts_text(cli, yyjson_obj_get(version, "batch_rows")));
        print_times(version, out);
    }
    print_lost(cli, version, out);
}

/* ---- what the response cache has counted ---- */

static void print_result(yyjson_val *version, const char *result, const char *word, struct buf *out)
{
    yyjson_val *took = yyjson_obj_get(yyjson_obj_get(version, "took_us"), result);
    buf_printf(out, "%s %llu", word,
               (unsigned long long)yyjson_get_uint(yyjson_obj_get(version, result)));
    if (yyjson_is_num(took))
        buf_printf(out, " (%.3g us each)", yyjson_get_num(took));
}

static void print_cached_version(struct cli *cli, yyjson_val *version, struct buf *out)
{
    buf_printf(out, "  version %-4s", cli_text(cli, version, "version"));
    if (yyjson_get_bool(yyjson_obj_get(version, "varies"))) {
        buf_lit(out, "says that its answers vary: none is kept\n");
        return;
    }
    print_result(version, "hit", "hits", out);
    print_result(version, "miss", ", misses", out);
    print_result(version, "bypass", ", passed by", out);
    buf_char(out, '\n');
}

static void print_responses(struct cli *cli, yyjson_val *responses, struct buf *out)
{
    char size[TERMINAL_SIZE_BYTES];
    size_t i, count;
    yyjson_val *version;
    if (!responses)
        return;
    buf_printf(out, "\nresponse cache: %s answers in %s; let go: %s; not kept: %s\n",
               cli_text(cli, responses, "answers"),
               terminal_size(yyjson_get_uint(yyjson_obj_get(responses, "bytes")), size),
               counts_text(cli, yyjson_obj_get(responses, "ended")),
               counts_text(cli, yyjson_obj_get(responses, "not_kept")));
    yyjson_arr_foreach(yyjson_obj_get(responses, "versions"), i, count, version)
        print_cached_version(cli, version, out);
}

static void print_versions(struct cli *cli, yyjson_val *root, struct buf *out)
{
    size_t i, count;
    yyjson_val *version;
    yyjson_arr_foreach(yyjson_obj_get(root, "versions"), i, count, version)
        print_version(cli, version, out);
}

enum err_code cli_model_serving(struct cli *cli, struct err *err)
{
    struct cli_reply reply;
    struct buf out;
    const char *target = cli_target(cli, "/api/models/{}/serving", cli_arg(cli, 0));
    enum err_code rc = cli_document(cli, target, SERVING_FILE_BYTES_MAX, &reply, err);
    if (rc || cli_document_print(cli, &reply))
        return rc;
    buf_init(&out, CLI_MEMORY_BYTES_MAX);
    print_settings(cli, reply.root, &out);
    print_versions(cli, reply.root, &out);
    print_responses(cli, yyjson_obj_get(reply.root, "responses"), &out);
    cli_print(&out);
    buf_done(&out);
    return ERR_OK;
}
