/* card.c - the record of versions for people: cards, lineage, who answered at a time. */
#include <stdio.h>
#include <string.h>

#include "cli/handlers.h"
#include "cli/table.h"

enum err_code cli_model_card(struct cli *cli, struct err *err)
{
    struct model_ref ref = cli_model_ref(cli, cli_arg(cli, 0));
    const char *version = ref.version ? ref.version : "latest";
    struct cli_reply reply;
    const char *target =
        cli_target(cli,
                   cli->wants_json ? "/api/models/{}/versions/{}/card"
                                   : "/api/models/{}/versions/{}/card?format=markdown",
                   ref.model, version);
    enum err_code rc = cli_get_bytes(cli, target, &reply, err);
    if (!rc)
        cli_print_json(reply.body);
    return rc;
}

/* ---- lineage ---- */

static const char *joined(struct cli *cli, yyjson_val *list)
{
    size_t i, count;
    yyjson_val *item;
    struct buf text;
    buf_init(&text, CLI_MEMORY_BYTES_MAX);
    yyjson_arr_foreach(list, i, count, item)
    {
        if (i)
            buf_lit(&text, ", ");
        buf_str(&text, json_str(item));
    }
    const char *copy = arena_copy(cli->arena, text.data, text.len);
    buf_done(&text);
    return copy ? copy : "";
}

static void field(struct table *table, const char *name, const char *value)
{
    if (value && value[0])
        table_add(table, TINT_NONE, name, value);
}

static void add_answered(struct cli *cli, struct table *table, yyjson_val *list)
{
    size_t i, count;
    yyjson_val *reign;
    yyjson_arr_foreach(list, i, count, reign)
    {
        const char *until =
            yyjson_is_str(yyjson_obj_get(reign, "until")) ? cli_time(cli, reign, "until") : "now";
        table_add(table, TINT_NONE, "  answered",
                  arena_printf(cli->arena, "%s to %s", cli_time(cli, reign, "from"), until));
    }
}

static void add_version(struct cli *cli, struct table *table, yyjson_val *version)
{
    size_t i, count;
    yyjson_val *key, *value, *gate;
    table_add(table, TINT_GREEN, "version", cli_text(cli, version, "version"));
    field(table, "  registered",
          arena_printf(cli->arena, "%s by %s", cli_time(cli, version, "registered_at"),
                       cli_text(cli, version, "registered_by")));
    yyjson_val *sources = yyjson_obj_get(version, "sources");
    yyjson_obj_foreach(sources, i, count, key, value)
        field(table, arena_printf(cli->arena, "  from %s", yyjson_get_str(key)),
              cli_text(cli, sources, yyjson_get_str(key)));
    if (yyjson_obj_size(sources) == 0)
        table_add(table, TINT_YELLOW, "  from", "not known: registered without --lineage");
    field(table, "  artifact", cli_text(cli, version, "artifact"));
    field(table, "  contract", cli_text(cli, version, "contract"));
    yyjson_arr_foreach(yyjson_obj_get(version, "gates"), i, count, gate)
        field(table, "  gate",
              arena_printf(cli->arena, "%s at %s on rows %.12s", cli_text(cli, gate, "verdict"),
                           cli_time(cli, gate, "at"), cli_text(cli, gate, "data_sha256")));
    yyjson_val *rollout;
    yyjson_arr_foreach(yyjson_obj_get(version, "rollouts"), i, count, rollout) field(
        table, "  rollout",
        arena_printf(cli->arena, "%s: %s to %s, %s, since %s", cli_text(cli, rollout, "rollout"),
                     cli_text(cli, rollout, "from"), cli_text(cli, rollout, "to"),
                     cli_text(cli, rollout, "state"), cli_time(cli, rollout, "started_at")));
    field(table, "  alias", joined(cli, yyjson_obj_get(version, "aliases")));
    add_answered(cli, table, yyjson_obj_get(version, "answered"));
}

static const char *lineage_target(struct cli *cli)
{
    struct model_ref ref = cli_model_ref(cli, cli_arg(cli, 0));
    const char *of = cli_flag(cli, "of");
    if (ref.version && of)
        return cli_target(cli, "/api/models/{}/lineage?version={}&of={}", ref.model, ref.version,
                          of);
    if (ref.version)
        return cli_target(cli, "/api/models/{}/lineage?version={}", ref.model, ref.version);
    if (of)
        return cli_target(cli, "/api/models/{}/lineage?of={}", ref.model, of);
    return cli_target(cli, "/api/models/{}/lineage", ref.model);
}

enum err_code cli_lineage(struct cli *cli, struct err *err)
{
    struct cli_reply reply;
    struct buf out;
    size_t i, count;
    yyjson_val *version;
    enum err_code rc = cli_get(cli, lineage_target(cli), &reply, err);
    if (rc)
        return rc;
    if (cli->wants_json) {
        cli_print_json(reply.body);
        return ERR_OK;
    }
    buf_init(&out, CLI_MEMORY_BYTES_MAX);
    struct table *table = table_new(cli->arena, "|");
    field(table, "model", cli_text(cli, reply.root, "model"));
    field(table, "owner", cli_text(cli, reply.root, "owner"));
    yyjson_arr_foreach(yyjson_obj_get(reply.root, "versions"), i, count, version)
        add_version(cli, table, version);
    table_write(table, cli->terminal.has_out_color, &out);
    cli_print(&out);
    buf_done(&out);
    return ERR_OK;
}

/* ---- who answered ---- */

enum err_code cli_who_answered(struct cli *cli, struct err *err)
{
    const char *at = cli_flag(cli, "at");
    struct cli_reply reply;
    struct buf out;
    size_t i, count;
    yyjson_val *row;
    enum err_code rc =
        cli_get(cli,
                at ? cli_target(cli, "/api/models/{}/answered?at={}", cli_arg(cli, 0), at)
                   : cli_target(cli, "/api/models/{}/answered", cli_arg(cli, 0)),
                &reply, err);
    if (rc)
        return rc;
    yyjson_val *rows = yyjson_obj_get(reply.root, "answered");
    cli->is_no = yyjson_arr_size(rows) == 0;
    if (cli->wants_json) {
        cli_print_json(reply.body);
        return ERR_OK;
    }
    if (cli->is_no)
        printf("%s: nobody answered at %s\n", cli_text(cli, reply.root, "model"),
               cli_time(cli, reply.root, "at"));
    buf_init(&out, CLI_MEMORY_BYTES_MAX);
    struct table *table = table_new(cli->arena, "VERSION>|FROM|UNTIL|BY|WHO|REASON");
    yyjson_arr_foreach(rows, i, count, row) table_add(
        table, TINT_NONE, cli_text(cli, row, "version"), cli_time(cli, row, "from"),
        yyjson_is_str(yyjson_obj_get(row, "until")) ? cli_time(cli, row, "until") : "now",
        cli_text(cli, row, "by"), cli_text(cli, row, "actor"), cli_text(cli, row, "reason"));
    if (count)
        table_write(table, cli->terminal.has_out_color, &out);
    yyjson_arr_foreach(yyjson_obj_get(reply.root, "shared"), i, count, row) buf_printf(
        &out, "version %s got %.4g %% of it (rollout %s, %s)\n", cli_text(cli, row, "version"),
        100 * yyjson_get_num(yyjson_obj_get(row, "share")), cli_text(cli, row, "rollout"),
        cli_text(cli, row, "state"));
    cli_print(&out);
    buf_done(&out);
    return ERR_OK;
}
