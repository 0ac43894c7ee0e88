/* document.c - what the flags --file, --remove, --document and --json mean. */
#include "cli/document.h"

#include "base/file.h"

static enum err_code send_file(struct cli *cli, const char *target, size_t bytes_max,
                               struct cli_reply *reply, struct err *err)
{
    struct buf document;
    const char *path = cli_flag(cli, "file");
    struct cli_request request = {.method = "DELETE", .target = target, .is_change = true};
    buf_init(&document, bytes_max);
    enum err_code rc = path ? file_read(path, bytes_max, &document, err) : ERR_OK;
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

enum err_code cli_document(struct cli *cli, const char *target, size_t bytes_max,
                           struct cli_reply *reply, struct err *err)
{
    bool is_set = cli_has(cli, "file"), is_removed = cli_has(cli, "remove");
    if (is_set && is_removed)
        return cli_usage(cli, err,
                         "--file sets the file, --remove takes it away: give one of both");
    return is_set || is_removed ? send_file(cli, target, bytes_max, reply, err)
                                : cli_get(cli, target, reply, err);
}

bool cli_document_print(struct cli *cli, const struct cli_reply *reply)
{
    struct buf out;
    if (cli->wants_json) {
        cli_print_json(reply->body);
        return true;
    }
    if (!cli_has(cli, "document"))
        return false;
    buf_init(&out, CLI_MEMORY_BYTES_MAX);
    buf_str(&out, json_str(yyjson_obj_get(reply->root, "document")));
    cli_print(&out);
    buf_done(&out);
    return true;
}
