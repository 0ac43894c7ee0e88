/* contract.c - contracts: show one, check rows against one, compare two.
 *
 * A word that is a file is read here; NAME or NAME:VERSION is asked of the API.
 */
#include "contract/contract.h"

#include "base/check.h"
#include "base/file.h"
#include "cli/csv_ignore.h"
#include "cli/handlers.h"
#include "cli/monitor.h"
#include "cli/table.h"
#include "contract/compare.h"
#include "monitor/profile.h"

/* ---- the document ---- */

static const char *contract_target(struct cli *cli, const char *word, const char *what)
{
    struct model_ref ref = cli_model_ref(cli, word);
    const char *target = cli_target(cli, "/api/models/{}/versions/{}/", ref.model,
                                    ref.version ? ref.version : "champion");
    target = arena_printf(cli->arena, "%s%s", target, what);
    return target ? target : "";
}

static enum err_code read_document(struct cli *cli, const char *word, struct str *text,
                                   struct err *err)
{
    struct cli_reply reply;
    struct buf bytes;
    enum err_code rc;
    if (!cli_is_file(word)) {
        rc = cli_get_bytes(cli, contract_target(cli, word, "contract"), &reply, err);
        *text = reply.body;
        return rc;
    }
    rc = file_read(word, CONTRACT_BYTES_MAX, &bytes, err);
    if (!rc) {
        text->len = bytes.len;
        text->ptr = arena_copy(cli->arena, bytes.data, bytes.len);
    }
    buf_done(&bytes);
    return rc;
}

static enum err_code open_contract(struct cli *cli, const char *word, struct contract **contract,
                                   struct err *err)
{
    struct str text;
    enum err_code rc = read_document(cli, word, &text, err);
    if (rc)
        return rc;
    rc = contract_parse(text, contract, err);
    return rc ? err_wrap(err, "%s", word) : ERR_OK;
}

enum err_code cli_contract_show(struct cli *cli, struct err *err)
{
    struct str text;
    const char *word = cli_arg(cli, 0);
    enum err_code rc;
    if (cli->wants_json || cli_has(cli, "schema")) {
        struct cli_reply reply;
        rc = cli_get_bytes(cli, contract_target(cli, word, "schema"), &reply, err);
        text = reply.body;
    } else {
        rc = read_document(cli, word, &text, err);
    }
    if (!rc)
        cli_print_json(text);
    return rc;
}

/* ---- check ---- */

static enum err_code check_here(struct cli *cli, const char *word, struct str rows,
                                yyjson_val **report, struct buf *text, struct err *err)
{
    struct contract *contract;
    enum monitor_verdict verdict;
    struct json_writer w = {.out = text};
    enum err_code rc = open_contract(cli, word, &contract, err);
    if (rc)
        return rc;
    rc = profile_check_csv(contract, rows, cli_has(cli, "drift"), cli->arena, &w, &verdict, err);
    if (!rc)
        rc = json_read(buf_view(text), cli->arena, report, err);
    contract_free(contract);
    return rc;
}

static enum err_code check_there(struct cli *cli, const char *word, struct str rows,
                                 yyjson_val **report, struct buf *text, struct err *err)
{
    struct cli_reply reply;
    const struct cli_request request = {
        .method = "POST",
        .target = contract_target(cli, word, cli_has(cli, "drift") ? "check?drift=1" : "check"),
        .body = rows,
        .content_type = "text/csv",
    };
    enum err_code rc = cli_request(cli, &request, &reply, err);
    if (rc)
        return rc;
    *report = reply.root;
    buf_str(text, reply.body);
    return ERR_OK;
}

static enum tint policy_tint(const char *policy)
{
    return strcmp(policy, "reject") == 0 ? TINT_RED : TINT_YELLOW;
}

static void print_counts(struct cli *cli, yyjson_val *fields, struct buf *out)
{
    size_t i, count;
    yyjson_val *row;
    struct table *table = table_new(cli->arena, "FIELD|RULE|POLICY|ROWS>");
    yyjson_arr_foreach(fields, i, count, row)
    {
        const char *policy = cli_text(cli, row, "policy");
        table_add(table, policy_tint(policy), cli_text(cli, row, "field"),
                  cli_text(cli, row, "rule"), policy, cli_text(cli, row, "count"));
    }
    buf_char(out, '\n');
    table_write(table, cli->terminal.has_out_color, out);
}

static void print_examples(struct cli *cli, yyjson_val *examples, struct buf *out)
{
    size_t i, count;
    yyjson_val *row;
    struct table *table = table_new(cli->arena, "LINE>|FIELD|EXPECTED|GOT|POLICY");
    yyjson_arr_foreach(examples, i, count, row)
    {
        table_add(table, TINT_NONE, cli_text(cli, row, "line"), cli_text(cli, row, "field"),
                  cli_text(cli, row, "expected"), cli_text(cli, row, "got"),
                  cli_text(cli, row, "policy"));
    }
    buf_char(out, '\n');
    table_write(table, cli->terminal.has_out_color, out);
}

static void print_drift(struct cli *cli, yyjson_val *drift, struct buf *out)
{
    const char *reason = cli_text(cli, drift, "reason");
    buf_printf(out, "\ndrift: %s%s%s\n", cli_text(cli, drift, "verdict"), reason[0] ? ", " : "",
               reason);
    monitor_print_features(cli, yyjson_obj_get(drift, "features"), false, out);
}

static void print_violations(struct cli *cli, yyjson_val *report, struct buf *out)
{
    buf_printf(out, "%s rows: %s would be refused, %s break a rule\n",
               cli_text(cli, report, "rows"), cli_text(cli, report, "rejected_rows"),
               cli_text(cli, report, "bad_rows"));
    if (yyjson_get_sint(yyjson_obj_get(report, "bad_rows")) == 0)
        return;
    print_counts(cli, yyjson_obj_get(report, "fields"), out);
    print_examples(cli, yyjson_obj_get(report, "examples"), out);
}

static void print_report(struct cli *cli, yyjson_val *report, struct buf *out)
{
    yyjson_val *drift = yyjson_obj_get(report, "drift");
    print_violations(cli, report, out);
    if (drift)
        print_drift(cli, drift, out);
}

static bool is_alert(yyjson_val *report)
{
    yyjson_val *drift = yyjson_obj_get(report, "drift");
    return yyjson_equals_str(yyjson_obj_get(drift, "verdict"), "alert");
}

enum err_code cli_contract_check(struct cli *cli, struct err *err)
{
    const char *word = cli_arg(cli, 0);
    const char *count = cli_has(cli, "strict") ? "bad_rows" : "rejected_rows";
    struct buf rows, text, out;
    yyjson_val *report = NULL;
    buf_init(&text, CLI_MEMORY_BYTES_MAX);
    buf_init(&out, CLI_MEMORY_BYTES_MAX);
    enum err_code rc = file_read(cli_arg(cli, 1), CLI_FILE_BYTES_MAX, &rows, err);
    if (!rc)
        rc = csv_ignore(cli, &rows, err);
    if (!rc)
        rc = cli_is_file(word) ? check_here(cli, word, buf_view(&rows), &report, &text, err)
                               : check_there(cli, word, buf_view(&rows), &report, &text, err);
    if (!rc && cli->wants_json)
        cli_print_json(buf_view(&text));
    else if (!rc)
        print_report(cli, report, &out);
    cli_print(&out);
    cli->is_no = yyjson_get_sint(yyjson_obj_get(report, count)) > 0 || is_alert(report);
    buf_done(&rows);
    buf_done(&text);
    buf_done(&out);
    return rc;
}

/* ---- diff ---- */

static void print_comparison(struct cli *cli, const struct contract_comparison *comparison,
                             struct buf *out)
{
    struct table *table = table_new(cli->arena, "||");
    for (int i = 0; i < comparison->count; i++) {
        const struct contract_change *change = &comparison->changes[i];
        table_add(table, change->is_breaking ? TINT_YELLOW : TINT_NONE,
                  change->is_breaking ? "breaking" : "safe", change->field, change->text);
    }
    table_write(table, cli->terminal.has_out_color, out);
    buf_text(out, comparison->is_compatible
                      ? "compatible: what callers of the first send works with the second\n"
                      : "NOT compatible: what callers of the first send breaks the second\n");
}

enum err_code cli_contract_diff(struct cli *cli, struct err *err)
{
    struct contract *before = NULL, *after = NULL;
    struct contract_comparison comparison;
    struct buf out;
    struct json_writer w = {.out = &out};
    buf_init(&out, CLI_MEMORY_BYTES_MAX);
    enum err_code rc = open_contract(cli, cli_arg(cli, 0), &before, err);
    if (!rc)
        rc = open_contract(cli, cli_arg(cli, 1), &after, err);
    if (!rc)
        rc = contract_compare(before, after, cli->arena, &comparison, err);
    if (!rc && cli->wants_json) {
        contract_comparison_write(&w, &comparison);
        buf_char(&out, '\n');
    } else if (!rc) {
        print_comparison(cli, &comparison, &out);
    }
    if (!rc)
        cli->is_no = !comparison.is_compatible;
    cli_print(&out);
    buf_done(&out);
    contract_free(before);
    contract_free(after);
    return rc;
}
