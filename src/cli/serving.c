/* serving.c - how a model is served: shown, set from a file, put back to the preset. */
#include "base/check.h"
#include "base/file.h"
#include "cli/handlers.h"

enum { SERVING_FILE_BYTES_MAX = 64 * 1024 };

static enum err_code send_file(struct cli *cli, const char *target, struct cli_reply *reply,
                               struct err *err)
{
    struct buf document;
    const char *path = cli_flag(cli, "file");
    struct cli_request request = {.method = "DELETE", .target = target, .is_change = true};
    buf_init(&document, SERVING_FILE_BYTES_MAX);
    enum err_code rc = path ? file_read(path, SERVING_FILE_BYTES_MAX, &document, err) : ERR_OK;
    if (path) {
        request.method = "PUT";
        request.body = buf_view(&document);
        request.content_type = "application/yaml";
    }
    if (!rc)
        rc = cli_request(cli, &request, reply, err);
    buf_done(&document);
    return rc;
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
    if (yyjson_get_sint(yyjson_obj_get(root, "revision")) == 0)
        buf_printf(out, "these are the presets; set them: slipway model serving %s --file FILE\n",
                   cli_text(cli, root, "model"));
    else
        buf_printf(out, "revision %s\n", cli_text(cli, root, "revision"));
}

enum err_code cli_model_serving(struct cli *cli, struct err *err)
{
    struct cli_reply reply;
    struct buf out;
    const char *target = cli_target(cli, "/api/models/{}/serving", cli_arg(cli, 0));
    if (cli_has(cli, "file") && cli_has(cli, "remove"))
        return cli_usage(cli, err,
                         "--file sets the file, --remove takes it away: give one of both");
    bool is_change = cli_has(cli, "file") || cli_has(cli, "remove");
    enum err_code rc =
        is_change ? send_file(cli, target, &reply, err) : cli_get(cli, target, &reply, err);
    if (rc)
        return rc;
    buf_init(&out, CLI_MEMORY_BYTES_MAX);
    if (cli->wants_json)
        cli_print_json(reply.body);
    else if (cli_has(cli, "document"))
        buf_str(&out, json_str(yyjson_obj_get(reply.root, "document")));
    else
        print_settings(cli, reply.root, &out);
    cli_print(&out);
    buf_done(&out);
    return ERR_OK;
}
