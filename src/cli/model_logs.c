/* model_logs.c - what a Python model's code printed last. */
#include "cli/handlers.h"

enum err_code cli_model_logs(struct cli *cli, struct err *err)
{
    struct model_ref ref = cli_model_ref(cli, cli_arg(cli, 0));
    struct cli_reply reply;
    const char *version = ref.version ? ref.version : "champion";
    const char *target = cli_target(cli, "/api/models/{}/versions/{}/log", ref.model, version);
    enum err_code rc = cli_get_bytes(cli, target, &reply, err);
    if (rc)
        return rc;
    struct buf out;
    buf_init(&out, CLI_MEMORY_BYTES_MAX);
    if (cli->wants_json) {
        struct json_writer w = {.out = &out};
        json_begin_object(&w);
        json_key(&w, "log");
        json_put_str(&w, reply.body);
        json_end_object(&w);
        buf_char(&out, '\n');
    } else {
        buf_str(&out, reply.body);
    }
    cli_print(&out);
    buf_done(&out);
    return ERR_OK;
}
