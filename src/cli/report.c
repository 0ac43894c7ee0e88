/* report.c - the page that a release or a rollback ends in. */
#include "cli/handlers.h"

static void add_number(struct cli *cli, struct buf *target, const char *flag)
{
    if (cli_has(cli, flag))
        buf_printf(target, "&%s=%lld", flag, (long long)cli_flag_i64(cli, flag, 0));
}

enum err_code cli_report(struct cli *cli, struct err *err)
{
    struct cli_reply reply;
    struct buf target;
    buf_init(&target, 4096);
    buf_text(&target, cli_target(cli, "/api/models/{}/report?format={}", cli_arg(cli, 0),
                                 cli->wants_json ? "json" : "markdown"));
    add_number(cli, &target, "change");
    add_number(cli, &target, "rollout");
    add_number(cli, &target, "days");
    enum err_code rc = cli_get_bytes(cli, buf_c(&target), &reply, err);
    buf_done(&target);
    if (rc)
        return rc;
    if (cli->wants_json)
        cli_print_json(reply.body);
    else
        fwrite(reply.body.ptr, 1, reply.body.len, stdout);
    return ERR_OK;
}
