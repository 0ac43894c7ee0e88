/* register.c - register a version: upload what the server does not have, then name it.
 *
 * Files are named by their SHA-256, computed here, so a second registration with the same contract
 * or golden rows sends only the model. A folder goes as an archive that is the same for the same
 * files.
 */
#include "base/check.h"
#include "base/file.h"
#include "base/hash.h"
#include "cli/handlers.h"
#include "cli/progress.h"
#include "cli/python_folder.h"
#include "cli/table.h"

enum { SUMMED_MIN = 4 }; /* as many safe changes with one text are one line */

/* ---- files ---- */

static enum err_code has_blob(struct cli *cli, const char *target, bool *is_there, struct err *err)
{
    struct cli_reply reply = {0};
    const struct cli_request request = {.method = "HEAD", .target = target, .takes_bytes = true};
    enum err_code rc = cli_request(cli, &request, &reply, err);
    *is_there = rc == ERR_OK;
    return rc == ERR_NOT_FOUND && reply.status == 404 ? ERR_OK : rc;
}

static enum err_code upload(struct cli *cli, const char *path, struct str bytes, const char *target,
                            struct err *err)
{
    struct cli_reply reply;
    struct progress progress;
    const char *slash = strrchr(path, '/');
    const char *label = arena_printf(cli->arena, "uploading %s", slash ? slash + 1 : path);
    progress_begin(&progress, &cli->terminal, label ? label : "", NULL, bytes.len);
    const struct cli_request request = {
        .method = "PUT",
        .target = target,
        .body = bytes,
        .content_type = "application/octet-stream",
        .progress = &progress,
    };
    enum err_code rc = cli_request(cli, &request, &reply, err);
    progress_end(&progress);
    return rc ? err_wrap(err, "uploading %s", path) : ERR_OK;
}

/* The model's file; a folder becomes an archive, with what its contract says. */
static enum err_code read_file(const struct cli *cli, const char *path, struct buf *bytes,
                               struct err *err)
{
    if (path != cli_arg(cli, 1) || !python_is_folder(path))
        return file_read(path, CLI_FILE_BYTES_MAX, bytes, err);
    buf_init(bytes, CLI_FILE_BYTES_MAX);
    return python_folder_pack(path, cli_flag(cli, "contract"), bytes, err);
}

/* The file's digest goes to *digest; NULL stays NULL when there is no file to send. */
static enum err_code send_file(struct cli *cli, const char *path, const char **digest,
                               struct err *err)
{
    struct buf bytes;
    char hex[SHA256_HEX_BYTES + 1];
    bool is_there = false;
    if (!path)
        return ERR_OK;
    enum err_code rc = read_file(cli, path, &bytes, err);
    if (!rc && bytes.len == 0)
        rc = err_set(err, ERR_INVALID, "%s is empty", path);
    if (!rc) {
        hash_sha256_hex(bytes.data, bytes.len, hex);
        *digest = arena_copy(cli->arena, hex, SHA256_HEX_BYTES);
        const char *target = cli_target(cli, "/api/blobs/{}", hex);
        rc = has_blob(cli, target, &is_there, err);
        if (!rc && !is_there)
            rc = upload(cli, path, buf_view(&bytes), target, err);
    }
    buf_done(&bytes);
    return rc;
}

/* ---- the request ---- */

static void put_text(struct json_writer *w, const char *key, const char *text)
{
    if (!text)
        return;
    json_key(w, key);
    json_put_text(w, text);
}

static enum err_code put_lineage(struct cli *cli, struct json_writer *w, struct err *err)
{
    const char *pair;
    json_key(w, "lineage");
    json_begin_object(w);
    for (int i = 0; (pair = cli_flag_at(cli, "lineage", i)); i++) {
        const char *equals = strchr(pair, '=');
        if (!equals || equals == pair)
            return cli_usage(cli, err, "--lineage takes key=value, such as code_commit=4f2a91c");
        json_key_str(w, (struct str){pair, (size_t)(equals - pair)});
        json_put_text(w, equals + 1);
    }
    json_end_object(w);
    return ERR_OK;
}

static enum err_code write_request(struct cli *cli, struct json_writer *w, struct err *err)
{
    static const char *const texts[] = {"owner", "description", "note", "runtime", "alias"};
    const char *artifact = NULL, *contract = NULL, *golden = NULL;
    int64_t revision = cli_flag_i64(cli, "if-revision", -1);
    json_begin_object(w);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        put_text(w, texts[i], cli_flag(cli, texts[i]));
    if (revision >= 0) {
        json_key(w, "if_revision");
        json_put_i64(w, revision);
    }
    enum err_code rc = cli_has(cli, "lineage") ? put_lineage(cli, w, err) : ERR_OK;
    if (!rc)
        rc = send_file(cli, cli_flag(cli, "contract"), &contract, err);
    if (!rc)
        rc = send_file(cli, cli_flag(cli, "golden"), &golden, err);
    if (!rc)
        rc = send_file(cli, cli_arg(cli, 1), &artifact, err);
    put_text(w, "artifact", artifact);
    put_text(w, "contract", contract);
    put_text(w, "golden", golden);
    json_end_object(w);
    return rc;
}

/* ---- the answer ---- */

/* How many changes from `from` on are safe and say the same about another field. */
static size_t same_changes(yyjson_val *changes, size_t from)
{
    yyjson_val *first = yyjson_arr_get(changes, from), *other;
    size_t to = from + 1;
    while ((other = yyjson_arr_get(changes, to)) &&
           yyjson_equals(yyjson_obj_get(first, "kind"), yyjson_obj_get(other, "kind")) &&
           yyjson_equals(yyjson_obj_get(first, "text"), yyjson_obj_get(other, "text")))
        to++;
    return to - from;
}

static void print_compatibility(struct cli *cli, yyjson_val *reply, struct buf *out)
{
    yyjson_val *compatibility = yyjson_obj_get(reply, "compatibility"), *change;
    const char *before = cli_version_text(cli, reply, "compared_to");
    struct table *table = table_new(cli->arena, "||");
    size_t i, count, same;
    if (!yyjson_is_obj(compatibility))
        return;
    bool is_compatible = yyjson_get_bool(yyjson_obj_get(compatibility, "compatible"));
    buf_printf(out,
               is_compatible ? "compatible with version %s\n"
                             : "NOT compatible with version %s: its callers break\n",
               before);
    yyjson_val *changes = yyjson_obj_get(compatibility, "changes");
    for (i = 0, count = yyjson_arr_size(changes); i < count; i += same) {
        change = yyjson_arr_get(changes, i);
        same = same_changes(changes, i);
        bool is_breaking = strcmp(cli_text(cli, change, "kind"), "breaking") == 0;
        if (is_breaking || same < SUMMED_MIN)
            same = 1;
        table_add(table, is_breaking ? TINT_YELLOW : TINT_NONE, cli_text(cli, change, "kind"),
                  same == 1 ? cli_text(cli, change, "field")
                            : arena_printf(cli->arena, "%s and %zu more",
                                           cli_text(cli, change, "field"), same - 1),
                  cli_text(cli, change, "text"));
    }
    table_write(table, cli->terminal.has_out_color, out);
}

static void print_registered(struct cli *cli, yyjson_val *reply, struct buf *out)
{
    const char *model = cli_text(cli, reply, "model"), *version = cli_text(cli, reply, "version");
    bool is_champion = yyjson_get_bool(yyjson_obj_get(reply, "is_champion"));
    double load_ms = yyjson_get_num(yyjson_obj_get(reply, "load_milliseconds"));
    int64_t golden = yyjson_get_sint(yyjson_obj_get(reply, "golden_rows"));
    buf_printf(out, "%s version %s is registered (%s, loaded in %.1f ms)\n", model, version,
               cli_text(cli, reply, "runtime"), load_ms);
    if (golden)
        buf_printf(out, "%lld golden rows answered as expected\n", (long long)golden);
    if (!cli_has(cli, "contract"))
        buf_lit(out,
                "it has no contract: rows are not checked and nothing watches for drift; infer "
                "one from the\ntraining rows: slipway contract infer ROWS.csv --target COLUMN "
                "--out contract.yaml\n");
    print_compatibility(cli, reply, out);
    if (is_champion)
        buf_printf(out, "it is the champion: it answers now\n");
    else
        buf_printf(out, "to let it answer: slipway alias set %s champion %s\n", model, version);
}

enum err_code cli_model_register(struct cli *cli, struct err *err)
{
    struct cli_reply reply;
    struct buf body, out;
    struct json_writer w = {.out = &body};
    buf_init(&body, CLI_FILE_BYTES_MAX);
    buf_init(&out, CLI_MEMORY_BYTES_MAX);
    enum err_code rc = write_request(cli, &w, err);
    if (!rc) {
        const struct cli_request request = {
            .method = "POST",
            .target = cli_target(cli, "/api/models/{}/versions", cli_arg(cli, 0)),
            .body = buf_view(&body),
            .is_change = true,
        };
        rc = cli_request(cli, &request, &reply, err);
    }
    if (!rc && cli->wants_json)
        cli_print_json(reply.body);
    else if (!rc)
        print_registered(cli, reply.root, &out);
    cli_print(&out);
    buf_done(&out);
    buf_done(&body);
    return rc;
}
