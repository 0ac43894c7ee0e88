/* shadow.c - slipway rollout shadow: the page that says where two versions answer otherwise. */
#include "cli/handlers.h"
#include "cli/table.h"

static double number_of(yyjson_val *object, const char *key)
{
    return yyjson_get_num(yyjson_obj_get(object, key));
}

static const char *share_text(struct cli *cli, double part, double whole)
{
    const char *text = whole > 0 ? arena_printf(cli->arena, "%.3g %%", 100 * part / whole) : "-";
    return text ? text : "";
}

static void print_head(struct cli *cli, yyjson_val *root, struct buf *out)
{
    double rows = number_of(root, "rows"), differ = number_of(root, "differ");
    buf_printf(out, "%s of %s rows differ (%s) since %s%s\n", cli_text(cli, root, "differ"),
               cli_text(cli, root, "rows"), share_text(cli, differ, rows),
               cli_time(cli, root, "since"),
               yyjson_get_bool(yyjson_obj_get(root, "is_running")) ? "" : "; ended");
    buf_printf(out, "dropped %s, failed %s, refused by its contract %s\n",
               cli_text(cli, root, "dropped_rows"), cli_text(cli, root, "errors"),
               cli_text(cli, root, "refused"));
}

static void print_change(yyjson_val *root, struct buf *out)
{
    yyjson_val *change = yyjson_obj_get(root, "probability_change");
    const char *what = "a class's probability moves by";
    if (!change) {
        change = yyjson_obj_get(root, "relative_change");
        what = "the number moves by a share of";
    }
    buf_printf(out, "%s %.3g at the median, %.3g at p99, %.3g at most; rank correlation %.4g\n",
               what, number_of(change, "p50"), number_of(change, "p99"), number_of(change, "max"),
               number_of(root, "rank_correlation"));
    yyjson_val *cost = yyjson_obj_get(root, "cost");
    buf_printf(out, "predicting takes %.3g times as long, memory is %.3g times as large\n",
               number_of(cost, "latency_ratio_p50"), number_of(cost, "memory_ratio"));
}

static void print_flips(struct cli *cli, yyjson_val *root, struct buf *out)
{
    size_t i, count;
    yyjson_val *flip, *flips = yyjson_obj_get(root, "flips");
    if (yyjson_arr_size(flips) == 0)
        return;
    struct table *table = table_new(cli->arena, "STABLE|SHADOW|ROWS>");
    yyjson_arr_foreach(flips, i, count, flip)
        table_add(table, TINT_NONE, cli_text(cli, flip, "stable"), cli_text(cli, flip, "shadow"),
                  cli_text(cli, flip, "rows"));
    buf_lit(out, "\n");
    table_write(table, cli->terminal.has_out_color, out);
}

static void print_slices(struct cli *cli, yyjson_val *root, struct buf *out)
{
    size_t i, count;
    yyjson_val *slice, *slices = yyjson_obj_get(root, "slices");
    if (yyjson_arr_size(slices) == 0)
        return;
    struct table *table = table_new(cli->arena, "SLICE|ROWS>|DIFFER>|SHARE>");
    yyjson_arr_foreach(slices, i, count, slice)
        table_add(table, TINT_NONE, cli_text(cli, slice, "slice"), cli_text(cli, slice, "rows"),
                  cli_text(cli, slice, "differ"),
                  share_text(cli, number_of(slice, "differ"), number_of(slice, "rows")));
    buf_lit(out, "\n");
    table_write(table, cli->terminal.has_out_color, out);
}

static const char *answer_text(struct cli *cli, yyjson_val *answer)
{
    yyjson_val *probability = yyjson_obj_get(answer, "probability");
    if (!yyjson_obj_get(answer, "label"))
        return cli_text(cli, answer, "value");
    if (!probability)
        return cli_text(cli, answer, "label");
    const char *text = arena_printf(cli->arena, "%s %.3f", cli_text(cli, answer, "label"),
                                    yyjson_get_num(probability));
    return text ? text : "";
}

static void print_examples(struct cli *cli, yyjson_val *root, struct buf *out)
{
    size_t i, count;
    yyjson_val *example, *examples = yyjson_obj_get(root, "examples");
    if (yyjson_arr_size(examples) == 0)
        return;
    struct table *table = table_new(cli->arena, "PREDICTION|STABLE|SHADOW");
    yyjson_arr_foreach(examples, i, count, example)
        table_add(table, TINT_NONE, cli_text(cli, example, "id"),
                  answer_text(cli, yyjson_obj_get(example, "stable")),
                  answer_text(cli, yyjson_obj_get(example, "shadow")));
    buf_lit(out, "\n");
    table_write(table, cli->terminal.has_out_color, out);
}

static enum err_code newest(struct cli *cli, const char **number, struct err *err)
{
    struct cli_reply reply;
    const char *target = cli_target(cli, "/api/models/{}/rollout", cli_arg(cli, 0));
    enum err_code rc = cli_get(cli, target, &reply, err);
    if (!rc)
        *number = cli_text(cli, reply.root, "id");
    return rc;
}

static void print_shadow(struct cli *cli, yyjson_val *root, struct buf *out)
{
    print_head(cli, root, out);
    print_change(root, out);
    print_flips(cli, root, out);
    print_slices(cli, root, out);
    print_examples(cli, root, out);
}

enum err_code cli_rollout_shadow(struct cli *cli, struct err *err)
{
    const char *number = cli_arg(cli, 1);
    enum err_code rc = number ? ERR_OK : newest(cli, &number, err);
    const char *pattern = "/api/models/{}/rollouts/{}/shadow";
    return rc ? rc
              : cli_show(cli, cli_target(cli, pattern, cli_arg(cli, 0), number), NULL, print_shadow,
                         err);
}
