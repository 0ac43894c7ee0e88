/* model.c - models: list, show, history, update, roll back. */
#include "cli/handlers.h"
#include "cli/table.h"

enum { VERSIONS_SHOWN = 20, PAGE_ROWS_MAX = 1000, DIGEST_SHOWN = 12 };

/* ---- list ---- */

static void print_names(yyjson_val *models, struct buf *out)
{
    size_t i, count;
    yyjson_val *model;
    yyjson_arr_foreach(models, i, count, model)
    {
        terminal_append(out, json_str(yyjson_obj_get(model, "name")));
        buf_char(out, '\n');
    }
}

static void print_models(struct cli *cli, yyjson_val *models, struct buf *out)
{
    size_t i, count;
    yyjson_val *model;
    struct table *table =
        table_new(cli->arena, "MODEL|CHAMPION>|LATEST>|OWNER|CREATED|DESCRIPTION");
    yyjson_arr_foreach(models, i, count, model)
    {
        table_add(table, TINT_NONE, cli_text(cli, model, "name"),
                  cli_version_text(cli, model, "champion"),
                  cli_version_text(cli, model, "latest_version"), cli_text(cli, model, "owner"),
                  cli_time(cli, model, "created_at"), cli_text(cli, model, "description"));
    }
    if (table_rows(table))
        table_write(table, cli->terminal.has_out_color, out);
    else
        buf_lit(out, "no models yet; the first: slipway model register --help\n");
}

enum err_code cli_model_list(struct cli *cli, struct err *err)
{
    struct cli_reply reply;
    struct buf out;
    enum err_code rc = cli_get(cli, "/api/models", &reply, err);
    if (rc)
        return rc;
    buf_init(&out, CLI_MEMORY_BYTES_MAX);
    if (cli->wants_json)
        cli_print_json(reply.body);
    else if (cli_has(cli, "names"))
        print_names(yyjson_obj_get(reply.root, "models"), &out);
    else
        print_models(cli, yyjson_obj_get(reply.root, "models"), &out);
    cli_print(&out);
    buf_done(&out);
    return ERR_OK;
}

/* ---- show ---- */

static void field(struct table *table, const char *name, const char *value)
{
    if (value[0])
        table_add(table, TINT_NONE, name, value);
}

static void print_aliases(struct cli *cli, yyjson_val *model, struct buf *out)
{
    size_t i, count;
    yyjson_val *alias;
    struct table *table = table_new(cli->arena, "ALIAS|VERSION>|BEFORE IT>|REVISION>|SINCE");
    yyjson_arr_foreach(yyjson_obj_get(model, "aliases"), i, count, alias)
    {
        table_add(table, TINT_NONE, cli_text(cli, alias, "alias"),
                  cli_version_text(cli, alias, "version"), cli_version_text(cli, alias, "previous"),
                  cli_text(cli, alias, "revision"), cli_time(cli, alias, "updated_at"));
    }
    if (table_rows(table) == 0)
        return;
    buf_char(out, '\n');
    table_write(table, cli->terminal.has_out_color, out);
}

static const char *size_text(struct cli *cli, yyjson_val *version)
{
    char size[TERMINAL_SIZE_BYTES];
    terminal_size(yyjson_get_uint(yyjson_obj_get(version, "artifact_bytes")), size);
    const char *copy = arena_copy(cli->arena, size, strlen(size));
    return copy ? copy : "";
}

static void print_model(struct cli *cli, yyjson_val *model, yyjson_val *versions, struct buf *out)
{
    size_t i, count;
    yyjson_val *version;
    struct table *fields = table_new(cli->arena, "|");
    struct table *table = table_new(cli->arena, "VERSION>|RUNTIME|SIZE>|REGISTERED|BY|NOTE");
    field(fields, "model", cli_text(cli, model, "name"));
    field(fields, "owner", cli_text(cli, model, "owner"));
    field(fields, "description", cli_text(cli, model, "description"));
    field(fields, "champion", cli_version_text(cli, model, "champion"));
    field(fields, "created", cli_time(cli, model, "created_at"));
    table_write(fields, cli->terminal.has_out_color, out);
    print_aliases(cli, model, out);
    uint64_t champion = yyjson_get_uint(yyjson_obj_get(model, "champion"));
    yyjson_arr_foreach(versions, i, count, version)
    {
        bool is_champion = yyjson_get_uint(yyjson_obj_get(version, "version")) == champion;
        table_add(table, is_champion ? TINT_GREEN : TINT_NONE, cli_text(cli, version, "version"),
                  cli_text(cli, version, "runtime"), size_text(cli, version),
                  cli_time(cli, version, "created_at"), cli_text(cli, version, "created_by"),
                  cli_text(cli, version, "note"));
    }
    buf_char(out, '\n');
    table_write(table, cli->terminal.has_out_color, out);
}

static enum err_code show_model(struct cli *cli, const char *name, struct err *err)
{
    struct cli_reply model, versions;
    struct buf out;
    int64_t limit = cli_flag_i64(cli, "limit", VERSIONS_SHOWN);
    char query[64];
    limit = limit < 1 ? 1 : limit > PAGE_ROWS_MAX ? PAGE_ROWS_MAX : limit;
    snprintf(query, sizeof(query), "?limit=%lld", (long long)limit);
    enum err_code rc = cli_get(cli, cli_target(cli, "/api/models/{}", name), &model, err);
    if (rc)
        return rc;
    const char *target = cli_target(cli, "/api/models/{}/versions", name);
    target = arena_printf(cli->arena, "%s%s", target, query);
    rc = cli_get(cli, target, &versions, err);
    if (rc)
        return rc;
    buf_init(&out, CLI_MEMORY_BYTES_MAX);
    yyjson_val *list = yyjson_obj_get(versions.root, "versions");
    if (cli->wants_json) {
        struct json_writer w = {.out = &out};
        json_begin_object(&w);
        json_key(&w, "model");
        json_put_value(&w, model.root);
        json_key(&w, "versions");
        json_put_value(&w, list);
        json_end_object(&w);
        buf_char(&out, '\n');
    } else {
        print_model(cli, model.root, list, &out);
    }
    cli_print(&out);
    buf_done(&out);
    return ERR_OK;
}

static void print_changes(struct cli *cli, yyjson_val *compatibility, struct buf *out)
{
    size_t i, count;
    yyjson_val *change;
    struct table *table = table_new(cli->arena, "||");
    yyjson_arr_foreach(yyjson_obj_get(compatibility, "changes"), i, count, change)
    {
        bool is_breaking = strcmp(cli_text(cli, change, "kind"), "breaking") == 0;
        table_add(table, is_breaking ? TINT_YELLOW : TINT_NONE, cli_text(cli, change, "kind"),
                  cli_text(cli, change, "field"), cli_text(cli, change, "text"));
    }
    table_write(table, cli->terminal.has_out_color, out);
}

/* "yes, with version 2", "NO, against version 2" */
static const char *compatibility_text(struct cli *cli, yyjson_val *version)
{
    yyjson_val *compatibility = yyjson_obj_get(version, "compatibility");
    const char *before = cli_version_text(cli, version, "compared_to");
    if (!yyjson_is_obj(compatibility))
        return "";
    bool is_compatible = yyjson_get_bool(yyjson_obj_get(compatibility, "compatible"));
    return arena_printf(cli->arena, "%s version %s", is_compatible ? "yes, with" : "NO, breaks",
                        before);
}

/* Which versions a graph is made of: "node old  triage:1". */
static void put_nodes(struct cli *cli, struct table *table, yyjson_val *nodes)
{
    size_t i, count;
    yyjson_val *node;
    yyjson_arr_foreach(nodes, i, count, node)
    {
        const char *name = arena_printf(cli->arena, "node %s", cli_text(cli, node, "name"));
        bool has_model = yyjson_obj_get(node, "model");
        field(table, name,
              has_model ? arena_printf(cli->arena, "%s:%s", cli_text(cli, node, "model"),
                                       cli_text(cli, node, "version"))
                        : cli_text(cli, node, "kind"));
    }
}

static void print_version(struct cli *cli, yyjson_val *version, struct buf *out)
{
    struct table *table = table_new(cli->arena, "|");
    yyjson_val *signature = yyjson_obj_get(version, "signature");
    field(table, "model", cli_text(cli, version, "model"));
    field(table, "version", cli_text(cli, version, "version"));
    field(table, "note", cli_text(cli, version, "note"));
    field(table, "registered",
          arena_printf(cli->arena, "%s by %s", cli_time(cli, version, "created_at"),
                       cli_text(cli, version, "created_by")));
    field(table, "runtime", cli_text(cli, version, "runtime"));
    field(table, "objective", cli_text(cli, signature, "objective"));
    field(table, "features", cli_text(cli, signature, "features"));
    field(table, "classes", cli_text(cli, signature, "classes"));
    field(table, "detail", cli_text(cli, signature, "detail"));
    put_nodes(cli, table, yyjson_obj_get(signature, "nodes"));
    field(table, "artifact", cli_text(cli, version, "artifact"));
    field(table, "size", size_text(cli, version));
    field(table, "contract", cli_text(cli, version, "contract"));
    field(table, "golden rows", cli_text(cli, version, "golden"));
    field(table, "lineage", cli_text(cli, version, "lineage"));
    field(table, "compatible", compatibility_text(cli, version));
    table_write(table, cli->terminal.has_out_color, out);
    print_changes(cli, yyjson_obj_get(version, "compatibility"), out);
}

static enum err_code show_version(struct cli *cli, struct model_ref ref, struct err *err)
{
    struct cli_reply reply;
    struct buf out;
    const char *target = cli_target(cli, "/api/models/{}/versions/{}", ref.model, ref.version);
    enum err_code rc = cli_get(cli, target, &reply, err);
    if (rc)
        return rc;
    buf_init(&out, CLI_MEMORY_BYTES_MAX);
    if (cli->wants_json)
        cli_print_json(reply.body);
    else
        print_version(cli, reply.root, &out);
    cli_print(&out);
    buf_done(&out);
    return ERR_OK;
}

enum err_code cli_model_show(struct cli *cli, struct err *err)
{
    struct model_ref ref = cli_model_ref(cli, cli_arg(cli, 0));
    return ref.version ? show_version(cli, ref, err) : show_model(cli, ref.model, err);
}

/* ---- history ---- */

static enum tint kind_tint(const char *kind)
{
    return strcmp(kind, "rollback") == 0 ? TINT_YELLOW : TINT_NONE;
}

static void print_history(struct cli *cli, yyjson_val *changes, struct buf *out)
{
    size_t i, count;
    yyjson_val *change;
    char zone[TERMINAL_TIME_BYTES];
    const char *titles =
        arena_printf(cli->arena, "WHEN (%s)|ALIAS|FROM>||TO|KIND|WHO|REASON", terminal_zone(zone));
    struct table *table = table_new(cli->arena, titles);
    yyjson_arr_foreach(changes, i, count, change)
    {
        const char *kind = cli_text(cli, change, "kind");
        table_add(table, kind_tint(kind), cli_time(cli, change, "at"),
                  cli_text(cli, change, "alias"), cli_version_text(cli, change, "from"), "->",
                  cli_version_text(cli, change, "to"), kind, cli_text(cli, change, "actor"),
                  cli_text(cli, change, "reason"));
    }
    if (table_rows(table))
        table_write(table, cli->terminal.has_out_color, out);
    else
        buf_lit(out, "no alias has moved yet\n");
}

enum err_code cli_model_history(struct cli *cli, struct err *err)
{
    return cli_show(cli, cli_target(cli, "/api/models/{}/history", cli_arg(cli, 0)), "changes",
                    print_history, err);
}

/* ---- update ---- */

enum err_code cli_model_update(struct cli *cli, struct err *err)
{
    struct cli_reply reply;
    struct buf body;
    struct json_writer w = {.out = &body};
    const char *owner = cli_flag(cli, "owner"), *description = cli_flag(cli, "description");
    if (!owner && !description)
        return cli_usage(cli, err, "nothing to change: give --owner or --description");
    buf_init(&body, CLI_FILE_BYTES_MAX);
    json_begin_object(&w);
    if (owner) {
        json_key(&w, "owner");
        json_put_text(&w, owner);
    }
    if (description) {
        json_key(&w, "description");
        json_put_text(&w, description);
    }
    json_end_object(&w);
    const struct cli_request request = {
        .method = "PATCH",
        .target = cli_target(cli, "/api/models/{}", cli_arg(cli, 0)),
        .body = buf_view(&body),
        .is_change = true,
    };
    enum err_code rc = cli_request(cli, &request, &reply, err);
    buf_done(&body);
    if (!rc && cli->wants_json)
        cli_print_json(reply.body);
    else if (!rc)
        printf("%s: owner %s\n", cli_text(cli, reply.root, "name"),
               cli_text(cli, reply.root, "owner"));
    return rc;
}

/* ---- rollback ---- */

static void print_rollback(struct cli *cli, yyjson_val *reply)
{
    bool is_durable = yyjson_get_bool(yyjson_obj_get(reply, "durable"));
    const char *rollout = cli_text(cli, reply, "rollout");
    if (rollout[0])
        printf("%s: rollout %s is over, version %s answers everybody",
               cli_text(cli, reply, "model"), rollout, cli_text(cli, reply, "to"));
    else
        printf("%s: champion %s -> %s", cli_text(cli, reply, "model"), cli_text(cli, reply, "from"),
               cli_text(cli, reply, "to"));
    printf(" (%s, %.1f ms)\n", is_durable ? "durable" : "NOT durable yet: the disk is full",
           yyjson_get_num(yyjson_obj_get(reply, "milliseconds")));
}

enum err_code cli_rollback(struct cli *cli, struct err *err)
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
        .target = cli_target(cli, "/api/models/{}/rollback", cli_arg(cli, 0)),
        .body = buf_view(&body),
        .is_change = true,
    };
    enum err_code rc = cli_request(cli, &request, &reply, err);
    buf_done(&body);
    if (!rc && cli->wants_json)
        cli_print_json(reply.body);
    else if (!rc)
        print_rollback(cli, reply.root);
    return rc;
}
