/* rollout.c - rollouts: start, plan, status, explain, list, and what people do to them. */
#include "rollout/rollout.h"

#include <math.h>

#include "base/file.h"
#include "cli/handlers.h"
#include "cli/table.h"

/* ---- pieces of text ---- */

static double number_of(yyjson_val *object, const char *key)
{
    return yyjson_get_num(yyjson_obj_get(object, key));
}

static const char *percent(struct cli *cli, double share)
{
    const char *text = arena_printf(cli->arena, "%.4g %%", share * 100);
    return text ? text : "";
}

static const char *duration(struct cli *cli, double seconds)
{
    char text[TERMINAL_SIZE_BYTES];
    terminal_duration((int64_t)(seconds + 0.5), text);
    return arena_copy(cli->arena, text, strlen(text));
}

/* E-values range over many powers of ten. */
static const char *e_text(struct cli *cli, double e)
{
    const char *text = arena_printf(cli->arena, e >= 1e6 ? "%.1e" : "%.4g", e);
    return text ? text : "";
}

static const char *side_text(struct cli *cli, yyjson_val *object, const char *key, const char *side)
{
    return cli_text(cli, yyjson_obj_get(object, key), side);
}

/* ---- starting and planning ---- */

static enum err_code read_file(struct cli *cli, struct buf *file, const char **model,
                               struct err *err)
{
    struct rollout_spec *spec;
    enum err_code rc = file_read(cli_arg(cli, 0), ROLLOUT_FILE_BYTES_MAX, file, err);
    if (!rc)
        rc = rollout_file_parse(buf_view(file), cli->arena, &spec, err);
    if (rc)
        return err_wrap(err, "%s", cli_arg(cli, 0));
    *model = spec->model;
    return ERR_OK;
}

static enum err_code send_file(struct cli *cli, bool is_plan, struct cli_reply *reply,
                               struct err *err)
{
    struct buf file;
    const char *model = NULL, *rate = is_plan ? cli_flag(cli, "rate") : NULL;
    enum err_code rc = read_file(cli, &file, &model, err);
    const char *target = "";
    if (!rc)
        target = cli_target(cli, "/api/models/{}/rollout", model);
    if (!rc && is_plan)
        target = arena_printf(cli->arena, "%s?dry_run=true%s", target,
                              rate ? cli_target(cli, "&rate={}", rate) : "");
    const struct cli_request request = {
        .method = "POST",
        .target = target,
        .body = buf_view(&file),
        .content_type = "application/yaml",
        .is_change = !is_plan,
    };
    if (!rc)
        rc = cli_request(cli, &request, reply, err);
    buf_done(&file);
    return rc;
}

static const char *step_text(struct cli *cli, yyjson_val *step)
{
    const char *what = cli_text(cli, step, "do");
    if (!yyjson_obj_get(step, "weight"))
        return what;
    const char *text =
        arena_printf(cli->arena, "%s %s", what, percent(cli, number_of(step, "weight")));
    return text ? text : what;
}

static yyjson_val *step_at(yyjson_val *root, int64_t number)
{
    return yyjson_arr_get(yyjson_obj_get(root, "steps"), (size_t)(number - 1));
}

static void print_one(struct cli *cli, yyjson_val *root, struct buf *out)
{
    buf_printf(out, "rollout %s of %s: version %s -> %s, %s", cli_text(cli, root, "id"),
               cli_text(cli, root, "model"), cli_text(cli, root, "from"), cli_text(cli, root, "to"),
               cli_text(cli, root, "state"));
    yyjson_val *step = step_at(root, (int64_t)number_of(root, "step"));
    if (step && yyjson_is_null(yyjson_obj_get(root, "ended_at")))
        buf_printf(out, ", step %s of %zu (%s)", cli_text(cli, root, "step"),
                   yyjson_arr_size(yyjson_obj_get(root, "steps")), step_text(cli, step));
    buf_lit(out, "\n");
}

enum err_code cli_rollout_start(struct cli *cli, struct err *err)
{
    struct cli_reply reply;
    enum err_code rc = send_file(cli, false, &reply, err);
    return rc ? rc : cli_print_reply(cli, &reply, NULL, print_one);
}

/* "2x after 26h, 10x after 5m 2s". */
static void print_noticed(struct cli *cli, yyjson_val *at, struct buf *out)
{
    size_t i, count;
    yyjson_val *item;
    const char *before = "";
    yyjson_arr_foreach(yyjson_obj_get(at, "noticed"), i, count, item)
    {
        buf_printf(out, "%s%.4gx ", before, number_of(item, "ratio"));
        if (yyjson_is_null(yyjson_obj_get(item, "seconds")))
            buf_lit(out, "never");
        else
            buf_printf(out, "after %s", duration(cli, number_of(item, "seconds")));
        before = ", ";
    }
    buf_lit(out, "\n");
}

static void print_shown(struct cli *cli, yyjson_val *at, struct buf *out)
{
    if (yyjson_is_null(yyjson_obj_get(at, "seconds")))
        buf_lit(out, "not shown without traffic\n");
    else
        buf_printf(out, "shown after %s, %.0f canary requests\n",
                   duration(cli, number_of(at, "seconds")), number_of(at, "canary_requests"));
}

static void print_check_plan(struct cli *cli, yyjson_val *check, struct buf *out)
{
    size_t i, count;
    yyjson_val *at;
    bool is_proof = strcmp(cli_text(cli, check, "kind"), "prove") == 0;
    bool is_dry_run = yyjson_get_bool(yyjson_obj_get(check, "dry_run"));
    buf_printf(out, "\n%s %s (%s of requests, %s)%s\n", cli_text(cli, check, "kind"),
               cli_text(cli, check, "event"), percent(cli, number_of(check, "event_rate")),
               cli_text(cli, check, "event_rate_from"),
               is_dry_run ? ", dry run: decides nothing" : "");
    yyjson_arr_foreach(yyjson_obj_get(check, "at"), i, count, at)
    {
        buf_printf(out, "  at %-8s ", percent(cli, number_of(at, "weight")));
        if (is_proof)
            print_shown(cli, at, out);
        else
            print_noticed(cli, at, out);
    }
}

static void print_plan(struct cli *cli, yyjson_val *root, struct buf *out)
{
    size_t i, count;
    yyjson_val *item;
    struct table *table = table_new(cli->arena, "#>|STEP|AT LEAST|AT MOST");
    buf_printf(out, "%s: version %s -> %s at %.4g requests/s (%s)\n\n",
               cli_text(cli, root, "model"), cli_text(cli, root, "from"), cli_text(cli, root, "to"),
               number_of(root, "requests_per_second"),
               cli_text(cli, root, "requests_per_second_from"));
    yyjson_arr_foreach(yyjson_obj_get(root, "steps"), i, count, item)
    {
        double most = number_of(item, "max_seconds"), least = number_of(item, "min_seconds");
        table_add(table, TINT_NONE, arena_printf(cli->arena, "%zu", i + 1), step_text(cli, item),
                  least > 0 ? duration(cli, least) : "-", most > 0 ? duration(cli, most) : "-");
    }
    table_write(table, cli->terminal.has_out_color, out);
    yyjson_arr_foreach(yyjson_obj_get(root, "checks"), i, count, item)
        print_check_plan(cli, item, out);
    yyjson_arr_foreach(yyjson_obj_get(root, "warnings"), i, count, item)
        buf_printf(out, "%swarning: %s\n", i ? "" : "\n", yyjson_get_str(item));
}

enum err_code cli_rollout_plan(struct cli *cli, struct err *err)
{
    struct cli_reply reply;
    enum err_code rc = send_file(cli, true, &reply, err);
    return rc ? rc : cli_print_reply(cli, &reply, NULL, print_plan);
}

/* ---- looking ---- */

static enum tint verdict_tint(const char *verdict)
{
    if (strcmp(verdict, "fail") == 0)
        return TINT_RED;
    return strcmp(verdict, "safe") == 0 ? TINT_GREEN : TINT_NONE;
}

static void print_checks(struct cli *cli, yyjson_val *evidence, struct buf *out)
{
    size_t i, count;
    yyjson_val *check;
    struct table *table =
        table_new(cli->arena, "CHECK|EVENT|VERDICT|STABLE>|CANARY>|COUNTED BY|E>|NEEDED>");
    yyjson_arr_foreach(yyjson_obj_get(evidence, "checks"), i, count, check)
    {
        const char *verdict = cli_text(cli, check, "verdict");
        table_add(table, verdict_tint(verdict), cli_text(cli, check, "kind"),
                  cli_text(cli, check, "event"), verdict,
                  side_text(cli, check, "counted", "stable"),
                  side_text(cli, check, "counted", "canary"), cli_text(cli, check, "by"),
                  e_text(cli, fmax(number_of(check, "e"), number_of(check, "e_rate"))),
                  e_text(cli, number_of(check, "e_needed")));
    }
    table_write(table, cli->terminal.has_out_color, out);
}

static void print_evidence(struct cli *cli, yyjson_val *evidence, struct buf *out)
{
    buf_printf(out, "in this step for %s; requests: stable %s, canary %s; keys: %s, %s\n",
               duration(cli, number_of(evidence, "step_seconds")),
               side_text(cli, evidence, "requests", "stable"),
               side_text(cli, evidence, "requests", "canary"),
               side_text(cli, evidence, "keys", "stable"),
               side_text(cli, evidence, "keys", "canary"));
    if (yyjson_obj_get(evidence, "finding"))
        buf_printf(out, "%s\n", cli_text(cli, evidence, "finding"));
    buf_lit(out, "\n");
    print_checks(cli, evidence, out);
}

static void print_status(struct cli *cli, yyjson_val *root, struct buf *out)
{
    const char *reason = cli_text(cli, root, "reason");
    print_one(cli, root, out);
    buf_printf(out, "started %s by %s\n", cli_time(cli, root, "started_at"),
               cli_text(cli, root, "author"));
    if (reason[0])
        buf_printf(out, "%s\n", reason);
    yyjson_val *evidence = yyjson_obj_get(root, "evidence");
    if (evidence)
        print_evidence(cli, evidence, out);
}

enum err_code cli_rollout_status(struct cli *cli, struct err *err)
{
    return cli_show(cli, cli_target(cli, "/api/models/{}/rollout", cli_arg(cli, 0)), NULL,
                    print_status, err);
}

static void print_list(struct cli *cli, yyjson_val *root, struct buf *out)
{
    size_t i, count;
    yyjson_val *item;
    struct table *table = table_new(cli->arena, "ROLLOUT>|FROM>|TO>|STATE|STARTED|BY|REASON");
    yyjson_arr_foreach(yyjson_obj_get(root, "rollouts"), i, count, item) table_add(
        table, TINT_NONE, cli_text(cli, item, "id"), cli_text(cli, item, "from"),
        cli_text(cli, item, "to"), cli_text(cli, item, "state"), cli_time(cli, item, "started_at"),
        cli_text(cli, item, "author"), cli_text(cli, item, "reason"));
    if (table_rows(table))
        table_write(table, cli->terminal.has_out_color, out);
    else
        buf_printf(out, "%s has never had a rollout\n", cli_text(cli, root, "model"));
}

enum err_code cli_rollout_list(struct cli *cli, struct err *err)
{
    return cli_show(cli, cli_target(cli, "/api/models/{}/rollouts", cli_arg(cli, 0)), NULL,
                    print_list, err);
}

static void print_explained(struct cli *cli, yyjson_val *root, struct buf *out)
{
    size_t i, count;
    yyjson_val *item;
    print_one(cli, yyjson_obj_get(root, "rollout"), out);
    yyjson_arr_foreach(yyjson_obj_get(root, "decisions"), i, count, item)
    {
        const char *reason = cli_text(cli, item, "reason");
        yyjson_val *evidence = yyjson_obj_get(item, "evidence");
        buf_printf(out, "\n%s  %s -> %s, step %s, canary %s (%s, by %s, audit event %s)\n",
                   cli_time(cli, item, "at"), cli_text(cli, item, "action"),
                   cli_text(cli, item, "state"), cli_text(cli, item, "step"),
                   percent(cli, number_of(item, "weight")), cli_text(cli, item, "cause"),
                   cli_text(cli, item, "actor"), cli_text(cli, item, "audit_event"));
        if (reason[0])
            buf_printf(out, "%s\n", reason);
        if (yyjson_obj_size(evidence) > 0)
            print_evidence(cli, evidence, out);
    }
}

/* Without a number: the newest rollout. */
static enum err_code explained_number(struct cli *cli, const char **number, struct err *err)
{
    struct cli_reply reply;
    *number = cli_arg(cli, 1);
    if (*number)
        return ERR_OK;
    const char *target = cli_target(cli, "/api/models/{}/rollout", cli_arg(cli, 0));
    enum err_code rc = cli_get(cli, target, &reply, err);
    *number = rc ? "" : cli_text(cli, reply.root, "id");
    return rc;
}

enum err_code cli_rollout_explain(struct cli *cli, struct err *err)
{
    struct cli_reply reply;
    const char *number;
    enum err_code rc = explained_number(cli, &number, err);
    if (!rc)
        rc = cli_get(cli,
                     cli_target(cli, "/api/models/{}/rollouts/{}/explain", cli_arg(cli, 0), number),
                     &reply, err);
    return rc ? rc : cli_print_reply(cli, &reply, NULL, print_explained);
}

/* ---- what people do ---- */

static enum err_code act(struct cli *cli, const char *action, struct err *err)
{
    struct cli_reply reply;
    struct buf body;
    struct json_writer w = {.out = &body};
    buf_init(&body, CLI_FILE_BYTES_MAX);
    json_begin_object(&w);
    if (cli_has(cli, "reason")) {
        json_key(&w, "reason");
        json_put_text(&w, cli_flag(cli, "reason"));
    }
    json_end_object(&w);
    const struct cli_request request = {
        .method = "POST",
        .target = cli_target(cli, "/api/models/{}/rollout/{}", cli_arg(cli, 0), action),
        .body = buf_view(&body),
        .is_change = true,
    };
    enum err_code rc = cli_request(cli, &request, &reply, err);
    buf_done(&body);
    return rc ? rc : cli_print_reply(cli, &reply, NULL, print_one);
}

enum err_code cli_rollout_pause(struct cli *cli, struct err *err)
{
    return act(cli, "pause", err);
}

enum err_code cli_rollout_resume(struct cli *cli, struct err *err)
{
    return act(cli, "resume", err);
}

enum err_code cli_rollout_promote(struct cli *cli, struct err *err)
{
    return act(cli, "promote", err);
}

enum err_code cli_rollout_abort(struct cli *cli, struct err *err)
{
    return act(cli, "abort", err);
}

enum err_code cli_rollout_approve(struct cli *cli, struct err *err)
{
    return act(cli, "approve", err);
}
