/* alert.c - alerts: what is open, why, and for how long nobody wants to hear of it. */
#include "base/file.h"
#include "cli/handlers.h"
#include "cli/table.h"
#include "monitor/alert_rules.h"

/* ---- list ---- */

static enum tint tint_of(struct cli *cli, yyjson_val *alert)
{
    if (strcmp(cli_text(cli, alert, "state"), "open") != 0)
        return TINT_NONE;
    const char *severity = cli_text(cli, alert, "severity");
    return strcmp(severity, "page") == 0     ? TINT_RED
           : strcmp(severity, "ticket") == 0 ? TINT_YELLOW
                                             : TINT_NONE;
}

static void print_alerts(struct cli *cli, yyjson_val *alerts, struct buf *out)
{
    size_t i, count;
    yyjson_val *alert;
    char zone[TERMINAL_TIME_BYTES];
    const char *titles =
        arena_printf(cli->arena, "STATE|SEVERITY|SINCE (%s)|KEY|MESSAGE", terminal_zone(zone));
    struct table *table = table_new(cli->arena, titles);
    yyjson_arr_foreach(alerts, i, count, alert)
    {
        table_add(table, tint_of(cli, alert), cli_text(cli, alert, "state"),
                  cli_text(cli, alert, "severity"), cli_time(cli, alert, "since"),
                  cli_text(cli, alert, "key"), cli_text(cli, alert, "message"));
    }
    if (table_rows(table))
        table_write(table, cli->terminal.has_out_color, out);
    else
        buf_lit(out, "no alerts\n");
}

static const char *list_target(struct cli *cli)
{
    const char *model = cli_flag(cli, "model"), *state = cli_flag(cli, "state");
    return arena_printf(cli->arena, "/api/alerts?%s%s%s%s",
                        model ? cli_target(cli, "model={}", model) : "", model && state ? "&" : "",
                        state ? "state=" : "", state ? state : "");
}

enum err_code cli_alert_list(struct cli *cli, struct err *err)
{
    return cli_show(cli, list_target(cli), "alerts", print_alerts, err);
}

/* ---- show ---- */

static void field(struct table *table, const char *name, const char *value)
{
    if (value[0])
        table_add(table, TINT_NONE, name, value);
}

static const char *number_text(struct cli *cli, yyjson_val *alert, const char *key)
{
    const char *number = cli_text(cli, alert, key), *unit = cli_text(cli, alert, "unit");
    if (!number[0] || !yyjson_is_num(yyjson_obj_get(alert, key)))
        return "";
    return arena_printf(cli->arena, "%s%s%s", number, unit[0] ? " " : "", unit);
}

static void print_alert(struct cli *cli, yyjson_val *alert, struct buf *out)
{
    struct table *table = table_new(cli->arena, "|");
    table_add(table, tint_of(cli, alert), "state",
              arena_printf(cli->arena, "%s (%s)", cli_text(cli, alert, "state"),
                           cli_text(cli, alert, "severity")));
    field(table, "message", cli_text(cli, alert, "message"));
    field(table, "cause", cli_text(cli, alert, "cause"));
    field(table, "model", cli_text(cli, alert, "model"));
    if (yyjson_get_sint(yyjson_obj_get(alert, "version")))
        field(table, "version", cli_text(cli, alert, "version"));
    field(table, "value", number_text(cli, alert, "value"));
    field(table, "bound", number_text(cli, alert, "bound"));
    field(table, "since", cli_time(cli, alert, "since"));
    field(table, "opened", cli_time(cli, alert, "opened_at"));
    field(table, "rule", cli_text(cli, alert, "rule"));
    field(table, "owner", cli_text(cli, alert, "owner"));
    field(table, "runbook", cli_text(cli, alert, "runbook"));
    field(table, "key", cli_text(cli, alert, "key"));
    table_write(table, cli->terminal.has_out_color, out);
}

enum err_code cli_alert_show(struct cli *cli, struct err *err)
{
    struct cli_reply reply;
    struct buf out;
    const char *key = cli_arg(cli, 0);
    enum err_code rc = cli_get(cli, cli_target(cli, "/api/alerts?key={}", key), &reply, err);
    if (rc)
        return rc;
    yyjson_val *alert = yyjson_arr_get_first(yyjson_obj_get(reply.root, "alerts"));
    if (!alert) {
        err_set(err, ERR_NOT_FOUND, "no alert '%s' is raised", key);
        return err_hint(err, "slipway alert list; those that were: slipway audit --subject alert/");
    }
    buf_init(&out, CLI_MEMORY_BYTES_MAX);
    if (cli->wants_json) {
        json_write(&out, alert);
        buf_char(&out, '\n');
    } else {
        print_alert(cli, alert, &out);
    }
    cli_print(&out);
    buf_done(&out);
    return ERR_OK;
}

/* ---- silences ---- */

static void put_flag(struct cli *cli, struct json_writer *w, const char *name)
{
    if (!cli_has(cli, name))
        return;
    json_key(w, name);
    json_put_text(w, cli_flag(cli, name));
}

enum err_code cli_alert_silence(struct cli *cli, struct err *err)
{
    struct cli_reply reply;
    struct buf body;
    if (cli_has(cli, "for") == cli_has(cli, "until"))
        return cli_usage(cli, err, "give either --for or --until");
    buf_init(&body, CLI_FILE_BYTES_MAX);
    struct json_writer w = {.out = &body};
    json_begin_object(&w);
    json_key(&w, "match");
    json_put_text(&w, cli_arg(cli, 0));
    put_flag(cli, &w, "for");
    put_flag(cli, &w, "until");
    put_flag(cli, &w, "reason");
    json_end_object(&w);
    const struct cli_request request = {.method = "POST",
                                        .target = "/api/alerts/silences",
                                        .body = buf_view(&body),
                                        .is_change = true};
    enum err_code rc = cli_request(cli, &request, &reply, err);
    buf_done(&body);
    if (rc)
        return rc;
    if (cli->wants_json)
        cli_print_json(reply.body);
    else
        printf("silence %s: %s until %s; end it with: slipway alert unsilence %s\n",
               cli_text(cli, reply.root, "id"), cli_text(cli, reply.root, "match"),
               cli_time(cli, reply.root, "until"), cli_text(cli, reply.root, "id"));
    return ERR_OK;
}

static void print_silences(struct cli *cli, yyjson_val *silences, struct buf *out)
{
    size_t i, count;
    yyjson_val *silence;
    char zone[TERMINAL_TIME_BYTES];
    const char *titles =
        arena_printf(cli->arena, "ID>|MATCH|UNTIL (%s)|WHO|REASON", terminal_zone(zone));
    struct table *table = table_new(cli->arena, titles);
    yyjson_arr_foreach(silences, i, count, silence)
    {
        table_add(table, TINT_NONE, cli_text(cli, silence, "id"), cli_text(cli, silence, "match"),
                  cli_time(cli, silence, "until"), cli_text(cli, silence, "actor"),
                  cli_text(cli, silence, "reason"));
    }
    if (table_rows(table))
        table_write(table, cli->terminal.has_out_color, out);
    else
        buf_lit(out, "no silences but those of the rules' file\n");
}

enum err_code cli_alert_silences(struct cli *cli, struct err *err)
{
    return cli_show(cli, "/api/alerts/silences", "silences", print_silences, err);
}

enum err_code cli_alert_unsilence(struct cli *cli, struct err *err)
{
    struct cli_reply reply;
    const struct cli_request request = {
        .method = "DELETE",
        .target = cli_target(cli, "/api/alerts/silences/{}", cli_arg(cli, 0)),
        .is_change = true,
    };
    enum err_code rc = cli_request(cli, &request, &reply, err);
    if (rc)
        return rc;
    if (cli->wants_json)
        cli_print_json(reply.body);
    else
        printf("silence %s is over\n", cli_text(cli, reply.root, "ended"));
    return ERR_OK;
}

/* ---- rules ---- */

/* A file that no server has read yet: is it one, and what does it say? */
static enum err_code print_file(struct cli *cli, const char *path, struct err *err)
{
    struct buf text, out;
    struct alert_rules *rules;
    enum err_code rc = file_read(path, ALERT_FILE_BYTES_MAX, &text, err);
    if (!rc)
        rc = alert_rules_read(buf_view(&text), path, &rules, err);
    buf_done(&text);
    if (rc)
        return rc;
    buf_init(&out, CLI_MEMORY_BYTES_MAX);
    if (cli_has(cli, "prometheus"))
        alert_rules_prometheus(rules, &out);
    else
        buf_printf(&out, "%s: the rules are good\n", path);
    alert_rules_unref(rules);
    cli_print(&out);
    buf_done(&out);
    return ERR_OK;
}

static const char *bound_text(struct cli *cli, yyjson_val *rule)
{
    if (!yyjson_is_num(yyjson_obj_get(rule, "bound")))
        return "";
    return arena_printf(cli->arena, "%s %s", cli_text(cli, rule, "bound"),
                        cli_text(cli, rule, "unit"));
}

static void print_rules(struct cli *cli, yyjson_val *rules, struct buf *out)
{
    size_t i, count;
    yyjson_val *rule;
    struct table *table = table_new(cli->arena, "RULE|SEVERITY|BOUND|OWNER|WHAT");
    yyjson_arr_foreach(rules, i, count, rule)
    {
        bool is_on = yyjson_get_bool(yyjson_obj_get(rule, "enabled"));
        table_add(table, TINT_NONE, cli_text(cli, rule, "rule"),
                  is_on ? cli_text(cli, rule, "severity") : "off", bound_text(cli, rule),
                  cli_text(cli, rule, "owner"), cli_text(cli, rule, "summary"));
    }
    table_write(table, cli->terminal.has_out_color, out);
}

static enum err_code print_prometheus(struct cli *cli, struct err *err)
{
    struct cli_reply reply;
    struct buf out;
    enum err_code rc = cli_get_bytes(cli, "/api/alerts/rules?format=prometheus", &reply, err);
    if (rc)
        return rc;
    buf_init(&out, CLI_MEMORY_BYTES_MAX);
    buf_str(&out, reply.body);
    cli_print(&out);
    buf_done(&out);
    return ERR_OK;
}

enum err_code cli_alert_rules(struct cli *cli, struct err *err)
{
    struct cli_reply reply;
    struct buf out;
    const char *model = cli_flag(cli, "model");
    if (cli_has(cli, "file"))
        return print_file(cli, cli_flag(cli, "file"), err);
    if (cli_has(cli, "prometheus"))
        return print_prometheus(cli, err);
    enum err_code rc = cli_get(
        cli, cli_target(cli, "/api/alerts/rules?model={}", model ? model : ""), &reply, err);
    if (rc)
        return rc;
    buf_init(&out, CLI_MEMORY_BYTES_MAX);
    if (cli->wants_json)
        cli_print_json(reply.body);
    else
        print_rules(cli, yyjson_obj_get(reply.root, "rules"), &out);
    cli_print(&out);
    buf_done(&out);
    return ERR_OK;
}
