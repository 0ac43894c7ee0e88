/* webhook.c - who is told of events, and how far they are. */
#include "cli/handlers.h"
#include "cli/table.h"

static void print_webhooks(struct cli *cli, yyjson_val *webhooks, struct buf *out)
{
    size_t i, count;
    yyjson_val *webhook;
    struct table *table =
        table_new(cli->arena, "WEBHOOK|BEHIND>|DELIVERED>|FAILED>|LAST SUCCESS|LAST ERROR");
    yyjson_arr_foreach(webhooks, i, count, webhook)
    {
        bool is_failing = yyjson_get_sint(yyjson_obj_get(webhook, "failures_in_row")) > 0;
        table_add(table, is_failing ? TINT_RED : TINT_NONE, cli_text(cli, webhook, "name"),
                  cli_text(cli, webhook, "behind"), cli_text(cli, webhook, "delivered"),
                  cli_text(cli, webhook, "failed"), cli_time(cli, webhook, "last_success_at"),
                  cli_text(cli, webhook, "last_error"));
    }
    if (table_rows(table))
        table_write(table, cli->terminal.has_out_color, out);
    else
        buf_lit(out, "no webhooks; a running server has those of its --webhooks file\n");
}

enum err_code cli_webhook_list(struct cli *cli, struct err *err)
{
    struct cli_reply reply;
    struct buf out;
    enum err_code rc = cli_get(cli, "/api/webhooks", &reply, err);
    if (rc)
        return rc;
    buf_init(&out, CLI_MEMORY_BYTES_MAX);
    if (cli->wants_json)
        cli_print_json(reply.body);
    else
        print_webhooks(cli, yyjson_obj_get(reply.root, "webhooks"), &out);
    cli_print(&out);
    buf_done(&out);
    return ERR_OK;
}
