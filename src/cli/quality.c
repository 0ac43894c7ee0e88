/* quality.c - how good a model's answers were and are likely to be, as text. */
#include <math.h>

#include "cli/handlers.h"
#include "cli/table.h"

static const char *digits(struct cli *cli, yyjson_val *number)
{
    if (!yyjson_is_num(number))
        return "-";
    return arena_printf(cli->arena, "%.4g", yyjson_get_num(number));
}

static const char *range(struct cli *cli, yyjson_val *object)
{
    if (!yyjson_is_num(yyjson_obj_get(object, "value")))
        return "-";
    return arena_printf(cli->arena, "%s (%s..%s)", digits(cli, yyjson_obj_get(object, "value")),
                        digits(cli, yyjson_obj_get(object, "low")),
                        digits(cli, yyjson_obj_get(object, "high")));
}

static const char *percent(struct cli *cli, yyjson_val *ratio)
{
    if (!yyjson_is_num(ratio))
        return "-";
    return arena_printf(cli->arena, "%.0f %%", 100 * yyjson_get_num(ratio));
}

static void print_out(struct cli *cli, struct table *table)
{
    struct buf out;
    buf_init(&out, CLI_REPLY_BYTES_MAX);
    table_write(table, cli->terminal.has_out_color, &out);
    cli_print(&out);
    buf_done(&out);
}

static void print_metrics(struct cli *cli, yyjson_val *section)
{
    yyjson_val *metric, *metrics = yyjson_obj_get(section, "metrics");
    yyjson_val *estimate = yyjson_obj_get(section, "estimate");
    size_t i, count;
    struct table *table = table_new(cli->arena, "METRIC|REALISED (95 %)|ROWS>|ESTIMATED (95 %)");
    yyjson_arr_foreach(metrics, i, count, metric)
    {
        const char *name = cli_text(cli, metric, "name");
        table_add(table, TINT_NONE, name, range(cli, metric), cli_text(cli, metric, "n"),
                  range(cli, yyjson_obj_get(estimate, name)));
    }
    if (table_rows(table) == 0 && yyjson_obj_get(estimate, "accuracy"))
        table_add(table, TINT_NONE, "accuracy", "-", "0",
                  range(cli, yyjson_obj_get(estimate, "accuracy")));
    if (table_rows(table))
        print_out(cli, table);
    if (yyjson_obj_get(estimate, "missing"))
        printf("no estimate: %s\n", cli_text(cli, estimate, "missing"));
}

static void print_values(struct cli *cli, yyjson_val *section)
{
    yyjson_val *value, *values = yyjson_obj_get(section, "values");
    size_t i, count;
    struct table *table = table_new(cli->arena, "VALUE|UNIT|GOOD|KNOWN>|SUM>|PER ANSWER (95 %)");
    yyjson_arr_foreach(values, i, count, value)
    {
        table_add(table, TINT_NONE, cli_text(cli, value, "name"), cli_text(cli, value, "unit"),
                  cli_text(cli, value, "direction"), cli_text(cli, value, "count"),
                  digits(cli, yyjson_obj_get(value, "sum")),
                  range(cli, yyjson_obj_get(value, "per_answer")));
    }
    if (table_rows(table))
        print_out(cli, table);
}

static void print_slices(struct cli *cli, yyjson_val *section)
{
    yyjson_val *slice, *slices = yyjson_obj_get(section, "slices");
    size_t i, count;
    struct table *table = table_new(cli->arena, "WORST SLICE|ROWS>|LOSS>|REST>|DIFFERENCE (95 %)|");
    yyjson_arr_foreach(slices, i, count, slice)
    {
        bool is_worse = yyjson_get_bool(yyjson_obj_get(slice, "is_worse"));
        const char *name = arena_printf(cli->arena, "%s = %s", cli_text(cli, slice, "field"),
                                        cli_text(cli, slice, "value"));
        const char *difference = arena_printf(cli->arena, "%+.4g (%+.4g..%+.4g)",
                                              yyjson_get_num(yyjson_obj_get(slice, "difference")),
                                              yyjson_get_num(yyjson_obj_get(slice, "low")),
                                              yyjson_get_num(yyjson_obj_get(slice, "high")));
        table_add(table, is_worse ? TINT_YELLOW : TINT_NONE, name, cli_text(cli, slice, "labelled"),
                  digits(cli, yyjson_obj_get(slice, "loss")),
                  digits(cli, yyjson_obj_get(slice, "rest")), difference, is_worse ? "worse" : "");
    }
    if (table_rows(table))
        print_out(cli, table);
}

static void print_days(struct cli *cli, yyjson_val *section)
{
    yyjson_val *day, *days = yyjson_obj_get(section, "days");
    bool is_class = strcmp(cli_text(cli, section, "task"), "classes") == 0;
    size_t i, count;
    struct table *table =
        table_new(cli->arena, is_class ? "DAY|ANSWERED>|LABELLED>||ACCURACY (95 %)|ESTIMATED (95 %)"
                                       : "DAY|ANSWERED>|LABELLED>||MAE (95 %)|");
    yyjson_arr_foreach(days, i, count, day)
    {
        const char *answered = cli_text(cli, day, "answered");
        table_add(table, TINT_NONE, arena_printf(cli->arena, "%.10s", cli_text(cli, day, "day")),
                  answered[0] ? answered : "-", percent(cli, yyjson_obj_get(day, "coverage")),
                  cli_text(cli, day, "state"),
                  range(cli, yyjson_obj_get(day, is_class ? "accuracy" : "mae")),
                  is_class ? range(cli, yyjson_obj_get(yyjson_obj_get(day, "estimate"), "accuracy"))
                           : "");
    }
    if (table_rows(table))
        print_out(cli, table);
}

static void print_section(struct cli *cli, const char *model, yyjson_val *section)
{
    const char *answered = cli_text(cli, section, "answered");
    bool is_shadow = yyjson_get_bool(yyjson_obj_get(section, "is_shadow"));
    printf("%s:%s%s: %s, %s of %s answers labelled (%s)\n", model,
           cli_text(cli, section, "version"), is_shadow ? " as shadow" : "",
           cli_text(cli, section, "state"), cli_text(cli, section, "labelled"),
           answered[0] ? answered : "an unknown number of",
           percent(cli, yyjson_obj_get(section, "coverage")));
    print_metrics(cli, section);
    print_values(cli, section);
    print_slices(cli, section);
    if (cli_has(cli, "days"))
        print_days(cli, section);
}

/* Figures of a sample are estimates; of one that has more of the hard cases they lean. */
static void print_kept(yyjson_val *kept)
{
    double share = yyjson_get_num(yyjson_obj_get(kept, "share"));
    bool held = yyjson_get_bool(yyjson_obj_get(kept, "held_always"));
    bool differing = yyjson_get_bool(yyjson_obj_get(kept, "differing_always"));
    if (!kept || share >= 1)
        return;
    printf("labels find only what is kept: %.4g %% of requests", 100 * share);
    if (held || differing)
        printf(", and all %s%s%s, which therefore count too much", held ? "held ones" : "",
               held && differing ? " and " : "",
               differing ? "that a shadow answers otherwise" : "");
    puts("");
}

static void print_quality(struct cli *cli, const struct cli_reply *reply)
{
    yyjson_val *section, *sections = yyjson_obj_get(reply->root, "versions");
    size_t i, count;
    yyjson_arr_foreach(sections, i, count, section)
    {
        if (i)
            putchar('\n');
        print_section(cli, cli_text(cli, reply->root, "model"), section);
    }
    if (yyjson_arr_size(sections) == 0)
        printf("%s answered nothing in this time\n", cli_text(cli, reply->root, "model"));
    else
        printf("%s\n", cli_text(cli, reply->root, "assumption"));
    if (yyjson_arr_size(sections) > 0)
        print_kept(yyjson_obj_get(reply->root, "kept"));
    if (yyjson_get_bool(yyjson_obj_get(reply->root, "is_cut")))
        printf("only the newest labelled rows were read; ask for fewer days with --from\n");
}

enum err_code cli_quality(struct cli *cli, struct err *err)
{
    struct cli_reply reply;
    struct model_ref ref = cli_model_ref(cli, cli_arg(cli, 0));
    const char *from = cli_flag(cli, "from"), *to = cli_flag(cli, "to");
    const char *arm = cli_flag(cli, "arm"), *rollout = cli_flag(cli, "rollout");
    struct buf target;
    buf_init(&target, 64 * 1024);
    buf_text(&target, cli_target(cli, "/api/models/{}/quality?", ref.model));
    if (ref.version)
        buf_text(&target, cli_target(cli, "version={}&", ref.version));
    if (from)
        buf_text(&target, cli_target(cli, "from={}&", from));
    if (to)
        buf_text(&target, cli_target(cli, "to={}&", to));
    if (arm)
        buf_text(&target, cli_target(cli, "arm={}&", arm));
    if (rollout)
        buf_text(&target, cli_target(cli, "rollout={}&", rollout));
    target.len--; /* the last separator */
    enum err_code rc = cli_get(cli, buf_c(&target), &reply, err);
    buf_done(&target);
    if (rc)
        return rc;
    if (cli->wants_json)
        cli_print_json(reply.body);
    else
        print_quality(cli, &reply);
    return ERR_OK;
}
