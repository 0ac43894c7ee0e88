/* gate_format.c - checks, metrics and worst slices of a gate for people and for CI systems.
 *
 * JUnit: one testsuite, one testcase a check. A failed check is a <failure>, one that cannot tell
 * an <error> (so that a CI system shows both as red, and apart), a skipped one <skipped>.
 */
#include "cli/gate_format.h"

#include <stdio.h>

#include "cli/table.h"

static enum tint tint_of(const char *verdict)
{
    return strcmp(verdict, "pass") == 0      ? TINT_GREEN
           : strcmp(verdict, "fail") == 0    ? TINT_RED
           : strcmp(verdict, "skipped") == 0 ? TINT_NONE
                                             : TINT_YELLOW;
}

static const char *verdict_text(const char *verdict)
{
    return strcmp(verdict, "cannot_tell") == 0 ? "cannot tell" : verdict;
}

static yyjson_val *member(yyjson_val *object, const char *key)
{
    return yyjson_obj_get(object, key);
}

/* Four digits after the point are enough for people; "-" is what is not there. */
static const char *number_text(struct cli *cli, yyjson_val *object, const char *key)
{
    yyjson_val *value = member(object, key);
    if (!yyjson_is_num(value))
        return "-";
    double number = yyjson_get_num(value);
    const char *text =
        arena_printf(cli->arena, number >= 1000 || number <= -1000 ? "%.6g" : "%.4f", number);
    return text ? text : "";
}

static int count_verdict(yyjson_val *checks, const char *verdict)
{
    size_t i, length;
    yyjson_val *check;
    int count = 0;
    yyjson_arr_foreach(checks, i, length, check) count +=
        yyjson_equals_str(member(check, "verdict"), verdict);
    return count;
}

/* "triage:2 against champion 1, 114 rows: pass (12 passed, 0 failed, ...)" */
static const char *headline(struct cli *cli, yyjson_val *result)
{
    yyjson_val *checks = member(member(result, "report"), "checks");
    const char *champion = cli_version_text(cli, result, "champion");
    const char *against = strcmp(champion, "-") == 0
                              ? ""
                              : arena_printf(cli->arena, " against champion %s", champion);
    const char *text = arena_printf(
        cli->arena, "%s:%s%s, %s rows: %d passed, %d failed, %d cannot tell, %d skipped",
        cli_text(cli, result, "model"), cli_text(cli, result, "version"), against ? against : "",
        cli_text(cli, result, "rows"), count_verdict(checks, "pass"), count_verdict(checks, "fail"),
        count_verdict(checks, "cannot_tell"), count_verdict(checks, "skipped"));
    return text ? text : "";
}

static const char *interval_text(struct cli *cli, yyjson_val *object, const char *low,
                                 const char *high)
{
    const char *text = arena_printf(cli->arena, "%s to %s", number_text(cli, object, low),
                                    number_text(cli, object, high));
    return yyjson_is_num(member(object, low)) && text ? text : "-";
}

/* ---- text ---- */

static void checks_table(struct cli *cli, yyjson_val *checks, struct buf *out)
{
    size_t i, length;
    yyjson_val *check;
    struct table *table = table_new(cli->arena, "VERDICT|CHECK|OF|FOUND");
    yyjson_arr_foreach(checks, i, length, check)
    {
        const char *verdict = cli_text(cli, check, "verdict");
        table_add(table, tint_of(verdict), verdict_text(verdict), cli_text(cli, check, "kind"),
                  cli_text(cli, check, "name"), cli_text(cli, check, "text"));
    }
    table_write(table, cli->terminal.has_out_color, out);
}

static void metrics_table(struct cli *cli, yyjson_val *metrics, struct buf *out)
{
    size_t i, length;
    yyjson_val *metric;
    struct table *table = table_new(cli->arena, "METRIC|VALUE>|95 %|N>|CHAMPION>|DIFFERENCE>|95 %");
    yyjson_arr_foreach(metrics, i, length, metric) table_add(
        table, TINT_NONE, cli_text(cli, metric, "name"), number_text(cli, metric, "value"),
        interval_text(cli, metric, "low", "high"), cli_text(cli, metric, "n"),
        number_text(cli, metric, "champion"), number_text(cli, metric, "difference"),
        interval_text(cli, metric, "difference_low", "difference_high"));
    table_write(table, cli->terminal.has_out_color, out);
}

static void slices_table(struct cli *cli, yyjson_val *slices, struct buf *out)
{
    size_t i, length;
    yyjson_val *slice;
    struct table *table = table_new(cli->arena, "WEAKEST SLICES|N>|LOSS>|OTHERS>|P>");
    yyjson_arr_foreach(slices, i, length, slice)
        table_add(table, TINT_NONE, cli_text(cli, slice, "name"), cli_text(cli, slice, "n"),
                  number_text(cli, slice, "loss"), number_text(cli, slice, "rest_loss"),
                  number_text(cli, slice, "p"));
    if (table_rows(table) == 0)
        return;
    buf_char(out, '\n');
    table_write(table, cli->terminal.has_out_color, out);
}

void gate_format_text(struct cli *cli, yyjson_val *result, struct buf *out)
{
    yyjson_val *report = member(result, "report");
    const char *verdict = cli_text(cli, result, "verdict");
    checks_table(cli, member(report, "checks"), out);
    buf_char(out, '\n');
    metrics_table(cli, member(report, "metrics"), out);
    slices_table(cli, member(report, "worst_slices"), out);
    buf_char(out, '\n');
    terminal_append_tinted(out, str_of(verdict_text(verdict)), tint_of(verdict),
                           cli->terminal.has_out_color);
    buf_lit(out, "  ");
    terminal_append(out, str_of(headline(cli, result)));
    buf_char(out, '\n');
}

/* ---- Markdown ---- */

/* A cell: no line ends, no bars that would end it, no markup of its own. */
static void cell(struct buf *out, const char *text)
{
    buf_lit(out, " ");
    for (; *text; text++) {
        if (strchr("|\\`*_<>[]", *text))
            buf_char(out, '\\');
        buf_char(out, *text == '\n' || *text == '\r' ? ' ' : *text);
    }
    buf_lit(out, " |");
}

static void markdown_checks(struct cli *cli, yyjson_val *checks, struct buf *out)
{
    size_t i, length;
    yyjson_val *check;
    buf_lit(out, "| verdict | check | of | found |\n|---|---|---|---|\n");
    yyjson_arr_foreach(checks, i, length, check)
    {
        buf_char(out, '|');
        cell(out, verdict_text(cli_text(cli, check, "verdict")));
        cell(out, cli_text(cli, check, "kind"));
        cell(out, cli_text(cli, check, "name"));
        cell(out, cli_text(cli, check, "text"));
        buf_char(out, '\n');
    }
}

static void markdown_metrics(struct cli *cli, yyjson_val *metrics, struct buf *out)
{
    size_t i, length;
    yyjson_val *metric;
    buf_lit(out, "\n| metric | value | 95 % | n | champion | difference | 95 % |\n"
                 "|---|---:|---|---:|---:|---:|---|\n");
    yyjson_arr_foreach(metrics, i, length, metric)
    {
        buf_char(out, '|');
        cell(out, cli_text(cli, metric, "name"));
        cell(out, number_text(cli, metric, "value"));
        cell(out, interval_text(cli, metric, "low", "high"));
        cell(out, cli_text(cli, metric, "n"));
        cell(out, number_text(cli, metric, "champion"));
        cell(out, number_text(cli, metric, "difference"));
        cell(out, interval_text(cli, metric, "difference_low", "difference_high"));
        buf_char(out, '\n');
    }
}

void gate_format_markdown(struct cli *cli, yyjson_val *result, struct buf *out)
{
    yyjson_val *report = member(result, "report");
    buf_printf(out, "## Gate: **%s**\n\n%s\n\n", verdict_text(cli_text(cli, result, "verdict")),
               headline(cli, result));
    markdown_checks(cli, member(report, "checks"), out);
    markdown_metrics(cli, member(report, "metrics"), out);
    buf_printf(out, "\nRows `%.12s`, gate file `%.12s`, run by %s at %s.\n",
               cli_text(cli, result, "data_sha256"), cli_text(cli, result, "file_sha256"),
               cli_text(cli, result, "actor"), cli_text(cli, result, "at"));
}

/* ---- JUnit ---- */

/* Text in an attribute or an element. Characters that XML 1.0 has no place for are left out. */
static void xml(struct buf *out, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '&':
            buf_lit(out, "&amp;");
            break;
        case '<':
            buf_lit(out, "&lt;");
            break;
        case '>':
            buf_lit(out, "&gt;");
            break;
        case '"':
            buf_lit(out, "&quot;");
            break;
        default:
            if ((unsigned char)*text >= ' ')
                buf_char(out, *text);
        }
    }
}

static void junit_case(struct cli *cli, yyjson_val *result, yyjson_val *check, struct buf *out)
{
    const char *verdict = cli_text(cli, check, "verdict");
    const char *element = strcmp(verdict, "fail") == 0      ? "failure"
                          : strcmp(verdict, "skipped") == 0 ? "skipped"
                                                            : "error";
    buf_lit(out, "  <testcase classname=\"");
    xml(out, cli_text(cli, result, "model"));
    buf_lit(out, ".");
    xml(out, cli_text(cli, check, "kind"));
    buf_lit(out, "\" name=\"");
    xml(out, cli_text(cli, check, "name"));
    buf_lit(out, "\">");
    if (strcmp(verdict, "pass") != 0) {
        buf_printf(out, "<%s message=\"", element);
        xml(out, cli_text(cli, check, "text"));
        buf_lit(out, "\"/>");
    } else {
        buf_lit(out, "<system-out>");
        xml(out, cli_text(cli, check, "text"));
        buf_lit(out, "</system-out>");
    }
    buf_lit(out, "</testcase>\n");
}

void gate_format_junit(struct cli *cli, yyjson_val *result, struct buf *out)
{
    yyjson_val *checks = member(member(result, "report"), "checks"), *check;
    size_t i, length;
    buf_lit(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"slipway gate ");
    xml(out, cli_text(cli, result, "model"));
    buf_printf(out, ":%s\" tests=\"%zu\" failures=\"%d\" errors=\"%d\" skipped=\"%d\" timestamp=\"",
               cli_text(cli, result, "version"), yyjson_arr_size(checks),
               count_verdict(checks, "fail"), count_verdict(checks, "cannot_tell"),
               count_verdict(checks, "skipped"));
    buf_printf(out, "%.19s\">\n", cli_text(cli, result, "at"));
    yyjson_arr_foreach(checks, i, length, check) junit_case(cli, result, check, out);
    buf_lit(out, "</testsuite>\n");
}
