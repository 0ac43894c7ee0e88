/* monitor.c - slipway monitor: verdicts of the last window, feature by feature, and the windows
 * before it. */
#include "cli/monitor.h"

#include "cli/handlers.h"
#include "cli/table.h"

enum { WINDOWS_SHOWN = 12, WINDOWS_SHOWN_MAX = 288 };

static enum tint tint_of(const char *verdict)
{
    if (strcmp(verdict, "alert") == 0)
        return TINT_RED;
    if (strcmp(verdict, "warn") == 0)
        return TINT_YELLOW;
    return strcmp(verdict, "ok") == 0 ? TINT_GREEN : TINT_NONE;
}

/* "12.3 %"; "-" when there is no number. */
static const char *percent(struct cli *cli, yyjson_val *object, const char *key)
{
    yyjson_val *value = yyjson_obj_get(object, key);
    const char *text = "-";
    if (yyjson_is_num(value))
        text = arena_printf(cli->arena, "%.1f %%", 100 * yyjson_get_num(value));
    return text ? text : "";
}

static const char *microseconds(struct cli *cli, yyjson_val *object, const char *key)
{
    yyjson_val *value = yyjson_obj_get(object, key);
    const char *text = "-";
    if (yyjson_is_num(value))
        text = arena_printf(cli->arena, "%.0f", yyjson_get_num(value));
    return text ? text : "";
}

static const char *number(struct cli *cli, yyjson_val *object, const char *key)
{
    yyjson_val *value = yyjson_obj_get(object, key);
    const char *text = "-";
    if (yyjson_is_num(value))
        text = arena_printf(cli->arena, "%.3g", yyjson_get_num(value));
    return text ? text : "";
}

/* ---- features ---- */

static const char *cause_text(struct cli *cli, yyjson_val *feature)
{
    const char *cause = cli_text(cli, feature, "cause");
    return cause[0] ? cause : cli_text(cli, feature, "reason");
}

void monitor_print_features(struct cli *cli, yyjson_val *features, bool with_ok, struct buf *out)
{
    size_t i, count, hidden = 0;
    yyjson_val *feature;
    struct table *table = table_new(
        cli->arena, "FEATURE|VERDICT|RULE|PSI nats>|Q>|MISSING>|IN BASELINE>|LIKELY CAUSE");
    yyjson_arr_foreach(features, i, count, feature)
    {
        const char *verdict = cli_text(cli, feature, "verdict");
        if (strcmp(verdict, "ok") == 0 && !with_ok) {
            hidden++;
            continue;
        }
        table_add(table, tint_of(verdict), cli_text(cli, feature, "feature"), verdict,
                  cli_text(cli, feature, "rule"), number(cli, feature, "psi_nats"),
                  number(cli, feature, "q"), percent(cli, feature, "missing_ratio"),
                  percent(cli, feature, "missing_ratio_baseline"), cause_text(cli, feature));
    }
    if (table_rows(table)) {
        buf_char(out, '\n');
        table_write(table, cli->terminal.has_out_color, out);
    }
    if (hidden)
        buf_printf(out, "%zu feature%s ok\n", hidden, hidden == 1 ? " is" : "s are");
}

/* ---- windows ---- */

/* "mean_radius (drift), area" */
static const char *worst_text(struct cli *cli, yyjson_val *window)
{
    size_t i, count;
    yyjson_val *item;
    const char *text = "";
    yyjson_arr_foreach(yyjson_obj_get(window, "worst"), i, count, item)
    {
        text = arena_printf(cli->arena, "%s%s%s (%s)", text, i ? ", " : "",
                            cli_text(cli, item, "feature"), cli_text(cli, item, "rule"));
        if (!text)
            return "";
    }
    return text;
}

static void add_window(struct cli *cli, struct table *table, yyjson_val *window)
{
    yyjson_val *traffic = yyjson_obj_get(window, "traffic");
    const char *verdict = cli_text(cli, window, "verdict");
    table_add(table, tint_of(verdict), cli_time(cli, window, "from"), cli_time(cli, window, "to"),
              cli_text(cli, window, "rows"), verdict, cli_text(cli, traffic, "rejected"),
              cli_text(cli, traffic, "failed"), microseconds(cli, traffic, "latency_p99_us"),
              worst_text(cli, window));
}

static const char WINDOW_TITLES[] =
    "FROM|TO|ROWS>|VERDICT|REJECTED>|FAILED>|P99 us>|WORST FEATURES";

static void print_windows(struct cli *cli, yyjson_val *windows, struct buf *out)
{
    size_t i, count;
    yyjson_val *window;
    struct table *table = table_new(cli->arena, WINDOW_TITLES);
    yyjson_arr_foreach(windows, i, count, window) add_window(cli, table, window);
    if (table_rows(table) == 0)
        return;
    buf_char(out, '\n');
    table_write(table, cli->terminal.has_out_color, out);
}

/* ---- one version and arm ---- */

static void print_title(struct cli *cli, yyjson_val *monitor, struct buf *out)
{
    const char *arm = cli_text(cli, monitor, "arm"), *reason = cli_text(cli, monitor, "reason");
    yyjson_val *open = yyjson_obj_get(monitor, "open"), *skew = yyjson_obj_get(monitor, "skew");
    const char *skew_reason = cli_text(cli, skew, "reason");
    buf_printf(out, "%s:%s%s%s: %s%s%s\n", cli_model_ref(cli, cli_arg(cli, 0)).model,
               cli_text(cli, monitor, "version"), arm[0] ? " " : "", arm,
               cli_text(cli, monitor, "verdict"), reason[0] ? ", " : "", reason);
    buf_printf(out, "open window: %s rows of at least %s; training-serving skew: %s%s%s\n",
               cli_text(cli, open, "rows"), cli_text(cli, open, "rows_needed"),
               cli_text(cli, skew, "verdict"), skew_reason[0] ? ", " : "", skew_reason);
    if (yyjson_get_bool(yyjson_obj_get(monitor, "upstream")))
        buf_lit(out, "most features changed together: look upstream\n");
}

static void print_monitor(struct cli *cli, yyjson_val *monitor, struct buf *out)
{
    print_title(cli, monitor, out);
    monitor_print_features(cli, yyjson_obj_get(monitor, "features"), cli_has(cli, "all"), out);
    print_windows(cli, yyjson_obj_get(monitor, "windows"), out);
}

/* The folder is served by nobody: what was saved. */
static void print_saved(struct cli *cli, yyjson_val *saved, struct buf *out)
{
    size_t i, count;
    yyjson_val *item;
    struct table *table = table_new(cli->arena, WINDOW_TITLES);
    yyjson_arr_foreach(saved, i, count, item)
        add_window(cli, table, yyjson_obj_get(item, "window"));
    buf_lit(out, "no server watches this folder; its last windows:\n");
    if (table_rows(table))
        table_write(table, cli->terminal.has_out_color, out);
    else
        buf_lit(out, "none yet\n");
}

static void print_all(struct cli *cli, yyjson_val *root, struct buf *out)
{
    size_t i, count;
    yyjson_val *monitor, *monitors = yyjson_obj_get(root, "monitors");
    if (!yyjson_get_bool(yyjson_obj_get(root, "is_watched"))) {
        print_saved(cli, yyjson_obj_get(root, "saved"), out);
        return;
    }
    if (yyjson_arr_size(monitors) == 0)
        buf_lit(out, "no rows yet: a version is watched from its first prediction on\n");
    yyjson_arr_foreach(monitors, i, count, monitor)
    {
        if (i)
            buf_char(out, '\n');
        print_monitor(cli, monitor, out);
    }
}

static bool has_alert(yyjson_val *root)
{
    size_t i, count;
    yyjson_val *monitor;
    bool found = false;
    yyjson_arr_foreach(yyjson_obj_get(root, "monitors"), i, count, monitor) found |=
        yyjson_equals_str(yyjson_obj_get(monitor, "verdict"), "alert");
    return found;
}

enum err_code cli_monitor(struct cli *cli, struct err *err)
{
    struct cli_reply reply;
    struct buf out;
    struct model_ref ref = cli_model_ref(cli, cli_arg(cli, 0));
    int64_t limit = cli_flag_i64(cli, "limit", WINDOWS_SHOWN);
    limit = limit > WINDOWS_SHOWN_MAX ? WINDOWS_SHOWN_MAX : limit;
    const char *limit_text = arena_printf(cli->arena, "%lld", (long long)limit);
    const char *target =
        ref.version ? cli_target(cli, "/api/models/{}/monitor?limit={}&version={}", ref.model,
                                 limit_text, ref.version)
                    : cli_target(cli, "/api/models/{}/monitor?limit={}", ref.model, limit_text);
    enum err_code rc = cli_get(cli, target, &reply, err);
    if (rc)
        return rc;
    buf_init(&out, CLI_MEMORY_BYTES_MAX);
    if (cli->wants_json)
        cli_print_json(reply.body);
    else
        print_all(cli, reply.root, &out);
    cli->is_no = has_alert(reply.root);
    cli_print(&out);
    buf_done(&out);
    return ERR_OK;
}
