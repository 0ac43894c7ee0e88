/* review_stats.c - slipway review stats: queue, overrides, agreement, as tables. */
#include "cli/handlers.h"
#include "cli/table.h"

static const char *share_text(struct cli *cli, yyjson_val *object, const char *key)
{
    yyjson_val *share = yyjson_obj_get(object, key);
    const char *text = yyjson_is_num(share)
                           ? arena_printf(cli->arena, "%.1f %%", 100 * yyjson_get_num(share))
                           : "-";
    return text ? text : "";
}

static const char *number_text(struct cli *cli, yyjson_val *object, const char *key,
                               const char *format)
{
    yyjson_val *number = yyjson_obj_get(object, key);
    char text[64];
    if (!yyjson_is_num(number))
        return "-";
    snprintf(text, sizeof(text), strcmp(format, "3") == 0 ? "%.3f" : "%.1f",
             yyjson_get_num(number));
    const char *copy = arena_copy(cli->arena, text, strlen(text));
    return copy ? copy : "";
}

static const char *age_text(struct cli *cli, yyjson_val *stats)
{
    char text[TERMINAL_SIZE_BYTES];
    double seconds = yyjson_get_num(yyjson_obj_get(stats, "oldest_age_seconds"));
    terminal_duration((int64_t)seconds, text);
    const char *copy = arena_copy(cli->arena, text, strlen(text));
    return copy ? copy : "";
}

static void put_head(struct cli *cli, yyjson_val *stats, struct buf *out)
{
    yyjson_val *random = yyjson_obj_get(stats, "random");
    yyjson_val *seconds = yyjson_obj_get(stats, "seconds_per_decision");
    yyjson_val *agreement = yyjson_obj_get(stats, "agreement");
    terminal_append_tinted(out, str_of(cli_text(cli, stats, "model")), TINT_BOLD,
                           cli->terminal.has_out_color);
    buf_printf(out, "\n  open %s, overdue %s, the oldest waits %s\n", cli_text(cli, stats, "open"),
               cli_text(cli, stats, "overdue"), age_text(cli, stats));
    buf_printf(out, "  %s decisions, median %s s, 90 %% within %s s\n",
               cli_text(cli, stats, "decisions"), number_text(cli, seconds, "median", "1"),
               number_text(cli, seconds, "p90", "1"));
    buf_printf(out, "  agreement: alpha %s over %s items\n",
               number_text(cli, agreement, "alpha", "3"), cli_text(cli, agreement, "items"));
    buf_printf(out, "  people follow the answer: %s when they see it, %s when they do not\n",
               share_text(cli, yyjson_obj_get(stats, "shown"), "share"),
               share_text(cli, yyjson_obj_get(stats, "blind"), "share"));
    if (yyjson_get_num(yyjson_obj_get(random, "count")) > 0)
        buf_printf(out, "  accuracy in the random slice: %s (95 %%: %s to %s, %s items)\n",
                   share_text(cli, random, "share"), share_text(cli, random, "low"),
                   share_text(cli, random, "high"), cli_text(cli, random, "count"));
}

static void put_versions(struct cli *cli, yyjson_val *versions, struct buf *out)
{
    size_t i, count;
    yyjson_val *v;
    struct table *table = table_new(cli->arena, "VERSION>|ITEMS>|DECIDED>|OVERRIDES>|SHARE>|LATE>");
    yyjson_arr_foreach(versions, i, count, v)
        table_add(table, TINT_NONE, cli_text(cli, v, "version"), cli_text(cli, v, "items"),
                  cli_text(cli, v, "decided"), cli_text(cli, v, "overrides"),
                  share_text(cli, v, "override_share"), cli_text(cli, v, "late"));
    buf_char(out, '\n');
    table_write(table, cli->terminal.has_out_color, out);
}

static void put_reviewers(struct cli *cli, yyjson_val *reviewers, struct buf *out)
{
    size_t i, count;
    yyjson_val *r;
    struct table *table =
        table_new(cli->arena, "REVIEWER|DECISIONS>|MEDIAN S>|GOLD RIGHT>|FOLLOWS>|BLIND>");
    yyjson_arr_foreach(reviewers, i, count, r)
        table_add(table, TINT_NONE, cli_text(cli, r, "reviewer"), cli_text(cli, r, "decisions"),
                  number_text(cli, r, "median_seconds", "1"),
                  share_text(cli, yyjson_obj_get(r, "gold"), "share"),
                  share_text(cli, yyjson_obj_get(r, "shown"), "share"),
                  share_text(cli, yyjson_obj_get(r, "blind"), "share"));
    if (table_rows(table) == 0)
        return;
    buf_char(out, '\n');
    table_write(table, cli->terminal.has_out_color, out);
}

static void put_pairs(struct cli *cli, yyjson_val *pairs, struct buf *out)
{
    size_t i, count;
    yyjson_val *pair;
    struct table *table = table_new(cli->arena, "REVIEWER|AND|ITEMS>|ALIKE>|KAPPA>");
    yyjson_arr_foreach(pairs, i, count, pair)
        table_add(table, TINT_NONE, cli_text(cli, pair, "a"), cli_text(cli, pair, "b"),
                  cli_text(cli, pair, "items"), cli_text(cli, pair, "same"),
                  number_text(cli, pair, "kappa", "3"));
    if (table_rows(table) == 0)
        return;
    buf_char(out, '\n');
    table_write(table, cli->terminal.has_out_color, out);
}

static void put_model(struct cli *cli, yyjson_val *stats, struct buf *out)
{
    put_head(cli, stats, out);
    put_versions(cli, yyjson_obj_get(stats, "versions"), out);
    put_reviewers(cli, yyjson_obj_get(stats, "reviewers"), out);
    put_pairs(cli, yyjson_obj_get(yyjson_obj_get(stats, "agreement"), "pairs"), out);
}

enum err_code cli_review_stats(struct cli *cli, struct err *err)
{
    struct cli_reply reply;
    struct buf out;
    size_t i, count;
    yyjson_val *stats;
    const char *model = cli_arg(cli, 0);
    const char *target =
        model ? cli_target(cli, "/api/review/stats?model={}", model) : "/api/review/stats";
    enum err_code rc = cli_get(cli, target, &reply, err);
    if (rc)
        return rc;
    buf_init(&out, CLI_MEMORY_BYTES_MAX);
    if (cli->wants_json)
        cli_print_json(reply.body);
    yyjson_val *models = cli->wants_json ? NULL : yyjson_obj_get(reply.root, "models");
    yyjson_arr_foreach(models, i, count, stats)
    {
        if (i)
            buf_char(&out, '\n');
        put_model(cli, stats, &out);
    }
    if (models && yyjson_arr_size(models) == 0)
        buf_lit(&out, "no review items\n");
    cli_print(&out);
    buf_done(&out);
    return ERR_OK;
}
