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
    return cli_show(cli, "/api/webhooks", "webhooks", print_webhooks, err);
}
