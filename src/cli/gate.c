/* gate.c - gates: run one, list and show results, require one of a model. */
#include <sys/stat.h>

#include "base/file.h"
#include "cli/gate_format.h"
#include "cli/handlers.h"
#include "cli/table.h"

/* ---- output ---- */

static const struct format {
    const char *name;
    void (*write)(struct cli *cli, yyjson_val *result, struct buf *out);
} formats[] = {
    {"text", gate_format_text},
    {"markdown", gate_format_markdown},
    {"junit", gate_format_junit},
};

static void print_result(struct cli *cli, const struct cli_reply *reply)
{
    const char *name = cli_flag(cli, "format");
    struct buf out;
    buf_init(&out, CLI_MEMORY_BYTES_MAX);
    name = name ? name : "text";
    if (cli->wants_json || strcmp(name, "json") == 0)
        cli_print_json(reply->body);
    else
        for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
            if (strcmp(name, formats[i].name) == 0)
                formats[i].write(cli, reply->root, &out);
    cli_print(&out);
    buf_done(&out);
}

/* The exit status is the verdict: 0, 1, and 2 for "cannot tell". */
static void set_status(struct cli *cli, const struct cli_reply *reply)
{
    const char *verdict = cli_text(cli, reply->root, "verdict");
    cli->is_no = strcmp(verdict, "fail") == 0;
    cli->is_unknown = strcmp(verdict, "cannot_tell") == 0;
}

/* ---- run ---- */

/* Of --data, that is no folder. */
static const char *rows_path(const struct cli *cli)
{
    const char *path;
    struct stat status;
    for (int i = 0; (path = cli_flag_at(cli, "data", i)); i++)
        if (stat(path, &status) != 0 || !S_ISDIR(status.st_mode))
            return path;
    return NULL;
}

static void put_file(struct json_writer *w, const char *key, const struct buf *bytes)
{
    json_key(w, key);
    json_put_str(w, buf_view(bytes));
}

static enum err_code read_request(struct cli *cli, struct buf *body, struct err *err)
{
    const char *path = rows_path(cli), *file = cli_flag(cli, "file");
    struct json_writer w = {.out = body};
    struct buf rows, yaml;
    if (!path)
        return cli_usage(cli, err, "gate needs --data FILE: held-out rows with the truth");
    enum err_code rc = file_read(path, CLI_FILE_BYTES_MAX, &rows, err);
    json_begin_object(&w);
    if (!rc && !str_is_utf8(buf_view(&rows)))
        rc = err_set(err, ERR_INVALID, "%s is not UTF-8", path);
    if (!rc)
        put_file(&w, "data", &rows);
    buf_done(&rows);
    if (!rc && file) {
        rc = file_read(file, CLI_FILE_BYTES_MAX, &yaml, err);
        if (!rc)
            put_file(&w, "file", &yaml);
        buf_done(&yaml);
    }
    if (cli_has(cli, "target")) {
        json_key(&w, "target");
        json_put_text(&w, cli_flag(cli, "target"));
    }
    json_end_object(&w);
    return rc;
}

enum err_code cli_gate(struct cli *cli, struct err *err)
{
    struct model_ref ref = cli_model_ref(cli, cli_arg(cli, 0));
    struct cli_reply reply;
    struct buf body;
    buf_init(&body, CLI_MEMORY_BYTES_MAX);
    enum err_code rc = read_request(cli, &body, err);
    const struct cli_request request = {
        .method = "POST",
        .target = cli_target(cli, "/api/models/{}/versions/{}/gate", ref.model,
                             ref.version ? ref.version : "latest"),
        .body = buf_view(&body),
        .is_change = true,
    };
    if (!rc)
        rc = cli_request(cli, &request, &reply, err);
    buf_done(&body);
    if (rc)
        return rc;
    print_result(cli, &reply);
    set_status(cli, &reply);
    return ERR_OK;
}

/* ---- list, show ---- */

enum err_code cli_gate_list(struct cli *cli, struct err *err)
{
    struct model_ref ref = cli_model_ref(cli, cli_arg(cli, 0));
    struct cli_reply reply;
    struct buf out;
    size_t i, count;
    yyjson_val *row;
    const char *target =
        ref.version ? cli_target(cli, "/api/models/{}/gates?version={}", ref.model, ref.version)
                    : cli_target(cli, "/api/models/{}/gates", ref.model);
    enum err_code rc = cli_get(cli, target, &reply, err);
    if (rc)
        return rc;
    if (cli->wants_json) {
        cli_print_json(reply.body);
        return ERR_OK;
    }
    buf_init(&out, CLI_MEMORY_BYTES_MAX);
    yyjson_val *required = yyjson_obj_get(reply.root, "required");
    const char *digest = cli_text(cli, required, "file_sha256");
    struct table *table =
        table_new(cli->arena, "ID>|WHEN|VERSION>|VERDICT|ROWS>|CHAMPION>|FILE|WHO");
    yyjson_arr_foreach(yyjson_obj_get(reply.root, "results"), i, count, row)
    {
        const char *file = cli_text(cli, row, "file_sha256");
        const char *verdict = cli_text(cli, row, "verdict");
        table_add(table, strcmp(verdict, "fail") == 0 ? TINT_RED : TINT_NONE,
                  cli_text(cli, row, "id"), cli_time(cli, row, "at"), cli_text(cli, row, "version"),
                  strcmp(verdict, "cannot_tell") == 0 ? "cannot tell" : verdict,
                  cli_text(cli, row, "rows"), cli_version_text(cli, row, "champion"),
                  digest[0] && strcmp(file, digest) == 0 ? "required"
                                                         : arena_printf(cli->arena, "%.12s", file),
                  cli_text(cli, row, "actor"));
    }
    table_write(table, cli->terminal.has_out_color, &out);
    if (yyjson_is_obj(required))
        buf_printf(&out, "\nrequired: gate file %.12s, since %s by %s\n", digest,
                   cli_time(cli, required, "at"), cli_text(cli, required, "actor"));
    else
        buf_lit(&out, "\nno gate is required\n");
    cli_print(&out);
    buf_done(&out);
    return ERR_OK;
}

enum err_code cli_gate_show(struct cli *cli, struct err *err)
{
    struct model_ref ref = cli_model_ref(cli, cli_arg(cli, 0));
    const char *id = cli_flag(cli, "id");
    const char *version = ref.version ? ref.version : "latest";
    struct cli_reply reply;
    enum err_code rc = cli_get(
        cli,
        id ? cli_target(cli, "/api/models/{}/versions/{}/gate?id={}", ref.model, version, id)
           : cli_target(cli, "/api/models/{}/versions/{}/gate", ref.model, version),
        &reply, err);
    if (rc)
        return rc;
    print_result(cli, &reply);
    set_status(cli, &reply);
    return ERR_OK;
}

/* ---- require ---- */

static enum err_code change_required(struct cli *cli, const char *method, struct str body,
                                     struct err *err)
{
    struct cli_reply reply;
    const struct cli_request request = {
        .method = method,
        .target = cli_target(cli, "/api/models/{}/gates", cli_arg(cli, 0)),
        .body = body,
        .is_change = true,
    };
    enum err_code rc = cli_request(cli, &request, &reply, err);
    if (rc)
        return rc;
    yyjson_val *required = yyjson_obj_get(reply.root, "required");
    if (cli->wants_json)
        cli_print_json(reply.body);
    else if (yyjson_is_obj(required))
        printf("%s: a version gets traffic only when it has passed gate file %.12s\n",
               cli_text(cli, reply.root, "model"), cli_text(cli, required, "file_sha256"));
    else
        printf("%s: no gate is required\n", cli_text(cli, reply.root, "model"));
    return ERR_OK;
}

enum err_code cli_gate_require(struct cli *cli, struct err *err)
{
    struct buf yaml, body;
    struct json_writer w = {.out = &body};
    buf_init(&body, CLI_MEMORY_BYTES_MAX);
    enum err_code rc = file_read(cli_flag(cli, "file"), CLI_FILE_BYTES_MAX, &yaml, err);
    if (!rc) {
        json_begin_object(&w);
        put_file(&w, "file", &yaml);
        json_end_object(&w);
        rc = change_required(cli, "PUT", buf_view(&body), err);
    }
    buf_done(&yaml);
    buf_done(&body);
    return rc;
}

enum err_code cli_gate_release(struct cli *cli, struct err *err)
{
    return change_required(cli, "DELETE", (struct str){0}, err);
}
