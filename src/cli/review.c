/* review.c - the review queue: rules, lists, one item, and acts on it by its number. */
#include "cli/review.h"

#include "base/check.h"
#include "base/rand.h"
#include "cli/document.h"
#include "cli/handlers.h"
#include "cli/table.h"

enum { RULES_BYTES_MAX = 256 * 1024, LIST_STANDARD = 50, LIST_MAX = 1000 };

const char *review_uuid(char uuid[REVIEW_UUID_BYTES])
{
    uint8_t b[16];
    char hex[33] = "";
    rand_secret(b, sizeof(b));
    b[6] = (b[6] & 0x0F) | 0x40;
    b[8] = (b[8] & 0x3F) | 0x80;
    str_hex(b, sizeof(b), hex);
    snprintf(uuid, REVIEW_UUID_BYTES, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16,
             hex + 20);
    return uuid;
}

/* ---- rules ---- */

static void print_rules(struct cli *cli, yyjson_val *root, struct buf *out)
{
    size_t i, count;
    yyjson_val *rule;
    struct table *table =
        table_new(cli->arena, "RULE|MODE|SAMPLE>|REVIEWERS>|STAKES>|SLA>|ON EXPIRY");
    yyjson_arr_foreach(yyjson_obj_get(root, "rules"), i, count, rule)
    {
        char sla[TERMINAL_SIZE_BYTES];
        terminal_duration(yyjson_get_sint(yyjson_obj_get(rule, "sla_seconds")), sla);
        table_add(table, TINT_NONE, cli_text(cli, rule, "name"), cli_text(cli, rule, "mode"),
                  cli_text(cli, rule, "sample"), cli_text(cli, rule, "reviewers"),
                  cli_text(cli, rule, "stakes"), arena_copy(cli->arena, sla, strlen(sla)),
                  cli_text(cli, rule, "on_expiry"));
    }
    if (table_rows(table) == 0) {
        buf_printf(out, "%s has no review rules; set them: slipway review rules %s --file FILE\n",
                   cli_text(cli, root, "model"), cli_text(cli, root, "model"));
        return;
    }
    table_write(table, cli->terminal.has_out_color, out);
    buf_printf(out, "revision %s\n", cli_text(cli, root, "revision"));
}

enum err_code cli_review_rules(struct cli *cli, struct err *err)
{
    struct cli_reply reply;
    struct buf out;
    const char *target = cli_target(cli, "/api/models/{}/review", cli_arg(cli, 0));
    enum err_code rc = cli_document(cli, target, RULES_BYTES_MAX, &reply, err);
    if (rc || cli_document_print(cli, &reply))
        return rc;
    buf_init(&out, CLI_MEMORY_BYTES_MAX);
    if (cli_has(cli, "remove"))
        buf_printf(&out, "%s: nothing is sent to review any more; open items stay\n",
                   cli_arg(cli, 0));
    else
        print_rules(cli, reply.root, &out);
    cli_print(&out);
    buf_done(&out);
    return ERR_OK;
}

/* ---- list ---- */

static const char *list_target(struct cli *cli)
{
    const char *state = cli_flag(cli, "state"), *model = cli_arg(cli, 0);
    int64_t limit = cli_flag_i64(cli, "limit", LIST_STANDARD);
    limit = limit < 1 ? 1 : limit > LIST_MAX ? LIST_MAX : limit;
    const char *target = arena_printf(cli->arena, "/api/review/items?limit=%lld&after=%lld",
                                      (long long)limit, (long long)cli_flag_i64(cli, "after", 0));
    if (!state)
        state = "open";
    if (strcmp(state, "all") != 0)
        target = arena_printf(cli->arena, "%s%s", target, cli_target(cli, "&state={}", state));
    if (model)
        target = arena_printf(cli->arena, "%s%s", target, cli_target(cli, "&model={}", model));
    return target ? target : "";
}

static void print_items(struct cli *cli, yyjson_val *items, struct buf *out)
{
    size_t i, count;
    yyjson_val *item;
    struct table *table =
        table_new(cli->arena, "ITEM>|MODEL|VERSION>|RULE|MODE|STATE|LABEL|DECISIONS>|DUE");
    yyjson_arr_foreach(items, i, count, item)
    {
        bool is_late = yyjson_get_bool(yyjson_obj_get(item, "late"));
        const char *decisions =
            arena_printf(cli->arena, "%s/%s", cli_text(cli, item, "decision_count"),
                         cli_text(cli, item, "reviewers"));
        table_add(table, is_late ? TINT_RED : TINT_NONE, cli_text(cli, item, "id"),
                  cli_text(cli, item, "model"), cli_text(cli, item, "version"),
                  cli_text(cli, item, "rule"), cli_text(cli, item, "mode"),
                  cli_text(cli, item, "state"), cli_text(cli, item, "label"), decisions,
                  cli_time(cli, item, "due_at"));
    }
    if (table_rows(table))
        table_write(table, cli->terminal.has_out_color, out);
    else
        buf_lit(out, "no review items\n");
}

enum err_code cli_review_list(struct cli *cli, struct err *err)
{
    return cli_show(cli, list_target(cli), "items", print_items, err);
}

/* ---- show ---- */

static void print_decisions(struct cli *cli, yyjson_val *decisions, struct buf *out)
{
    size_t i, count;
    yyjson_val *decision;
    struct table *table = table_new(cli->arena, "WHEN|WHO|WHAT|LABEL|SECONDS>|NOTE");
    yyjson_arr_foreach(decisions, i, count, decision)
    {
        table_add(table, TINT_NONE, cli_time(cli, decision, "at"),
                  cli_text(cli, decision, "reviewer"), cli_text(cli, decision, "kind"),
                  cli_text(cli, decision, "label"), cli_text(cli, decision, "seconds"),
                  cli_text(cli, decision, "note"));
    }
    if (table_rows(table) == 0)
        return;
    buf_char(out, '\n');
    table_write(table, cli->terminal.has_out_color, out);
}

enum err_code cli_review_show(struct cli *cli, struct err *err)
{
    struct cli_reply reply;
    struct buf out;
    enum err_code rc =
        cli_get(cli, cli_target(cli, "/api/review/items/{}", cli_arg(cli, 0)), &reply, err);
    if (rc)
        return rc;
    buf_init(&out, CLI_MEMORY_BYTES_MAX);
    if (cli->wants_json) {
        cli_print_json(reply.body);
    } else {
        const char *label = cli_text(cli, reply.root, "label");
        review_card(cli, reply.root, &out);
        buf_printf(&out, "\n%s%s%s, prediction %s, %s\n", cli_text(cli, reply.root, "state"),
                   label[0] ? ": " : "", label, cli_text(cli, reply.root, "prediction_id"),
                   cli_text(cli, reply.root, "mode"));
        print_decisions(cli, yyjson_obj_get(reply.root, "decisions"), &out);
    }
    cli_print(&out);
    buf_done(&out);
    return ERR_OK;
}

/* ---- acts ---- */

enum err_code review_act_on(struct cli *cli, const char *item, const char *verb, const char *uuid,
                            const char *key, const char *value, const char *note,
                            struct cli_reply *reply, struct err *err)
{
    struct buf body;
    struct json_writer w = {.out = &body};
    buf_init(&body, CLI_FILE_BYTES_MAX);
    json_begin_object(&w);
    json_key(&w, "uuid");
    json_put_text(&w, uuid);
    if (key) {
        json_key(&w, key);
        json_put_text(&w, value);
    }
    if (note) {
        json_key(&w, "note");
        json_put_text(&w, note);
    }
    json_end_object(&w);
    const char *target = cli_target(cli, "/api/review/items/{}/{}", item, verb);
    const struct cli_request request = {
        .method = "POST", .target = target, .body = buf_view(&body), .is_change = true};
    enum err_code rc = cli_request(cli, &request, reply, err);
    buf_done(&body);
    return rc;
}

static void print_act(struct cli *cli, const struct cli_reply *reply, const char *done)
{
    const char *label = cli_text(cli, reply->root, "label");
    if (cli->wants_json)
        cli_print_json(reply->body);
    else
        printf("item %s %s: %s%s%s\n", cli_text(cli, reply->root, "item"), done,
               cli_text(cli, reply->root, "state"), label[0] ? " as " : "", label);
}

static const char *uuid_of(struct cli *cli, char uuid[REVIEW_UUID_BYTES])
{
    return cli_has(cli, "uuid") ? cli_flag(cli, "uuid") : review_uuid(uuid);
}

enum err_code cli_review_decide(struct cli *cli, struct err *err)
{
    struct cli_reply reply;
    char uuid[REVIEW_UUID_BYTES];
    enum err_code rc = review_act_on(cli, cli_arg(cli, 0), "decide", uuid_of(cli, uuid), "label",
                                     cli_arg(cli, 1), cli_flag(cli, "note"), &reply, err);
    if (!rc)
        print_act(cli, &reply, "has your decision");
    return rc;
}

enum err_code cli_review_skip(struct cli *cli, struct err *err)
{
    struct cli_reply reply;
    char uuid[REVIEW_UUID_BYTES];
    enum err_code rc = review_act_on(cli, cli_arg(cli, 0), "skip", uuid_of(cli, uuid), "reason",
                                     cli_flag(cli, "reason"), NULL, &reply, err);
    if (!rc)
        print_act(cli, &reply, "is left to others");
    return rc;
}

enum err_code cli_review_undo(struct cli *cli, struct err *err)
{
    struct cli_reply reply;
    char uuid[REVIEW_UUID_BYTES];
    const char *reason = cli_flag(cli, "reason");
    enum err_code rc = review_act_on(cli, cli_arg(cli, 0), "undo", uuid_of(cli, uuid),
                                     reason ? "reason" : NULL, reason, NULL, &reply, err);
    if (!rc)
        print_act(cli, &reply, "has your decision no more");
    return rc;
}

enum err_code cli_review_gold(struct cli *cli, struct err *err)
{
    struct cli_reply reply;
    struct buf body;
    struct json_writer w = {.out = &body};
    const char *label = cli_arg(cli, 1);
    buf_init(&body, CLI_FILE_BYTES_MAX);
    json_begin_object(&w);
    json_key(&w, "label");
    json_put_text(&w, label ? label : "");
    json_end_object(&w);
    const struct cli_request request = {
        .method = "PUT",
        .target = cli_target(cli, "/api/review/items/{}/gold", cli_arg(cli, 0)),
        .body = buf_view(&body),
        .is_change = true,
    };
    enum err_code rc = cli_request(cli, &request, &reply, err);
    buf_done(&body);
    if (rc)
        return rc;
    if (cli->wants_json)
        cli_print_json(reply.body);
    else if (label)
        printf("item %s is a gold item: %s is right\n", cli_arg(cli, 0), label);
    else
        printf("item %s is no gold item any more\n", cli_arg(cli, 0));
    return ERR_OK;
}

enum err_code cli_review_appeal(struct cli *cli, struct err *err)
{
    struct cli_reply reply;
    struct buf body;
    struct json_writer w = {.out = &body};
    buf_init(&body, CLI_FILE_BYTES_MAX);
    json_begin_object(&w);
    json_key(&w, "prediction_id");
    json_put_text(&w, cli_arg(cli, 0));
    json_key(&w, "reason");
    json_put_text(&w, cli_flag(cli, "reason"));
    json_end_object(&w);
    const struct cli_request request = {.method = "POST",
                                        .target = "/api/review/appeals",
                                        .body = buf_view(&body),
                                        .is_change = true};
    enum err_code rc = cli_request(cli, &request, &reply, err);
    buf_done(&body);
    if (!rc && cli->wants_json)
        cli_print_json(reply.body);
    else if (!rc)
        printf("prediction %s is review item %s, due %s\n",
               cli_text(cli, reply.root, "prediction_id"), cli_text(cli, reply.root, "id"),
               cli_time(cli, reply.root, "due_at"));
    return rc;
}

enum err_code cli_review_held(struct cli *cli, struct err *err)
{
    struct cli_reply reply;
    enum err_code rc =
        cli_get(cli, cli_target(cli, "/api/review/held/{}", cli_arg(cli, 0)), &reply, err);
    if (rc)
        return rc;
    cli->is_no = strcmp(cli_text(cli, reply.root, "state"), "held") == 0;
    if (cli->wants_json) {
        cli_print_json(reply.body);
        return ERR_OK;
    }
    size_t i, count;
    yyjson_val *prediction;
    yyjson_arr_foreach(yyjson_obj_get(reply.root, "predictions"), i, count, prediction)
    {
        const char *label = cli_text(cli, prediction, "label");
        printf("%s: %s %s\n", cli_text(cli, prediction, "id"), cli_text(cli, prediction, "state"),
               label[0] ? label : cli_text(cli, prediction, "value"));
    }
    return ERR_OK;
}

/* ---- next ---- */

enum err_code review_fetch(struct cli *cli, struct cli_reply *reply, yyjson_val **item,
                           struct err *err)
{
    struct buf body;
    struct json_writer w = {.out = &body};
    buf_init(&body, CLI_FILE_BYTES_MAX);
    json_begin_object(&w);
    if (cli_arg(cli, 0)) {
        json_key(&w, "model");
        json_put_text(&w, cli_arg(cli, 0));
    }
    json_end_object(&w);
    const struct cli_request request = {
        .method = "POST", .target = "/api/review/next", .body = buf_view(&body), .is_change = true};
    enum err_code rc = cli_request(cli, &request, reply, err);
    buf_done(&body);
    yyjson_val *value = rc ? NULL : yyjson_obj_get(reply->root, "item");
    *item = yyjson_is_obj(value) ? value : NULL;
    return rc;
}

enum err_code cli_review_next(struct cli *cli, struct err *err)
{
    struct cli_reply reply;
    struct buf out;
    yyjson_val *item;
    enum err_code rc = review_fetch(cli, &reply, &item, err);
    if (rc)
        return rc;
    cli->is_no = !item;
    if (cli->wants_json) {
        cli_print_json(reply.body);
        return ERR_OK;
    }
    if (!item) {
        printf("nothing to review\n");
        return ERR_OK;
    }
    if (terminal_is_interactive())
        return review_loop(cli, item, err);
    buf_init(&out, CLI_MEMORY_BYTES_MAX);
    review_card(cli, item, &out);
    cli_print(&out);
    buf_done(&out);
    return ERR_OK;
}
