/* admin.c - care of the folder: status, doctor, gc, audit. */
#include "cli/handlers.h"
#include "cli/table.h"

enum { AUDIT_PAGE_ROWS = 1000, AUDIT_PAGE_BYTES_MAX = 256 * 1024 * 1024 };

/* ---- status ---- */

static void print_status(struct cli *cli, yyjson_val *status, struct buf *out)
{
    char uptime[TERMINAL_SIZE_BYTES];
    struct table *table = table_new(cli->arena, "|");
    bool is_serving = yyjson_get_bool(yyjson_obj_get(status, "is_serving"));
    table_add(table, TINT_NONE, "version", cli_text(cli, status, "version"));
    table_add(table, TINT_NONE, "reached by", cli_server_name(cli));
    table_add(table, TINT_NONE, "folder", cli_text(cli, status, "data_dir"));
    table_add(table, is_serving ? TINT_GREEN : TINT_NONE, "serving",
              is_serving ? arena_printf(cli->arena, "yes, port %s, process %s",
                                        cli_text(cli, status, "port"), cli_text(cli, status, "pid"))
                         : "no; start with: slipway serve");
    if (is_serving) {
        int64_t seconds = yyjson_get_sint(yyjson_obj_get(status, "uptime_seconds"));
        table_add(table, TINT_NONE, "up for", terminal_duration(seconds, uptime));
        table_add(table, TINT_NONE, "data threads", cli_text(cli, status, "data_threads"));
    }
    table_add(table, TINT_NONE, "HTTP",
              yyjson_get_bool(yyjson_obj_get(status, "needs_key"))
                  ? "needs a key: Authorization: Bearer KEY, --key @FILE or SLIPWAY_KEY"
                  : "needs no key, and is for this machine only, until slipway key create");
    table_add(table, TINT_NONE, "generation", cli_text(cli, status, "generation"));
    if (yyjson_get_sint(yyjson_obj_get(status, "rollback_log_pending")) > 0)
        table_add(table, TINT_YELLOW, "waiting", "rollbacks wait for disk space to be stored");
    table_write(table, cli->terminal.has_out_color, out);
}

enum err_code cli_status(struct cli *cli, struct err *err)
{
    return cli_show(cli, "/api/status", NULL, print_status, err);
}

/* ---- doctor ---- */

static void print_doctor(struct cli *cli, yyjson_val *report, bool is_healthy, struct buf *out)
{
    size_t i, count;
    yyjson_val *check;
    struct table *table = table_new(cli->arena, "||");
    yyjson_arr_foreach(yyjson_obj_get(report, "checks"), i, count, check)
    {
        bool is_ok = yyjson_get_bool(yyjson_obj_get(check, "ok"));
        table_add(table, is_ok ? TINT_GREEN : TINT_RED, is_ok ? "ok" : "PROBLEM",
                  cli_text(cli, check, "check"), cli_text(cli, check, "problem"));
    }
    table_write(table, cli->terminal.has_out_color, out);
    buf_printf(out, "%s: %s blobs, %s audit events\n", is_healthy ? "healthy" : "NOT healthy",
               cli_text(cli, report, "blobs"), cli_text(cli, report, "audit_events"));
}

enum err_code cli_doctor(struct cli *cli, struct err *err)
{
    struct cli_reply reply;
    struct buf out;
    enum err_code rc = cli_get(cli, "/api/doctor", &reply, err);
    if (rc)
        return rc;
    bool is_healthy = yyjson_get_bool(yyjson_obj_get(reply.root, "healthy"));
    buf_init(&out, CLI_MEMORY_BYTES_MAX);
    if (cli->wants_json)
        cli_print_json(reply.body);
    else
        print_doctor(cli, reply.root, is_healthy, &out);
    cli_print(&out);
    buf_done(&out);
    cli->is_no = !is_healthy;
    return ERR_OK;
}

/* ---- gc ---- */

static void print_gc(struct cli *cli, yyjson_val *reply)
{
    char size[TERMINAL_SIZE_BYTES];
    bool is_dry = yyjson_get_bool(yyjson_obj_get(reply, "dry_run"));
    uint64_t recent = yyjson_get_uint(yyjson_obj_get(reply, "kept_recent"));
    terminal_size(yyjson_get_uint(yyjson_obj_get(reply, "bytes")), size);
    printf("%s %s blobs that no version names, %s\n", is_dry ? "would remove" : "removed",
           cli_text(cli, reply, "blobs"), size);
    uint64_t folders = yyjson_get_uint(yyjson_obj_get(reply, "folders"));
    terminal_size(yyjson_get_uint(yyjson_obj_get(reply, "folder_bytes")), size);
    if (folders)
        printf("%s %llu unpacked folders of such models, %s\n", is_dry ? "would remove" : "removed",
               (unsigned long long)folders, size);
    if (recent)
        printf("kept %llu that were uploaded within the hour\n", (unsigned long long)recent);
}

enum err_code cli_gc(struct cli *cli, struct err *err)
{
    struct cli_reply reply;
    const struct cli_request request = {
        .method = "POST",
        .target = "/api/gc",
        .body = cli_has(cli, "dry-run") ? STR_LIT("{\"dry_run\": true}") : STR_LIT("{}"),
    };
    enum err_code rc = cli_request(cli, &request, &reply, err);
    if (!rc && cli->wants_json)
        cli_print_json(reply.body);
    else if (!rc)
        print_gc(cli, reply.root);
    return rc;
}

/* ---- audit ---- */

/* The trail can be long: page by page, each printed before the next is asked for. */
struct audit {
    struct cli *cli;
    struct arena *arena; /* of one page */
    int64_t after, left; /* left: events still wanted */
    bool is_first;
    struct buf out;
};

static void print_events_json(struct audit *audit, yyjson_val *events)
{
    size_t i, count;
    yyjson_val *event;
    yyjson_arr_foreach(events, i, count, event)
    {
        if (!audit->is_first)
            buf_lit(&audit->out, ",\n");
        audit->is_first = false;
        json_write(&audit->out, event);
    }
}

static void print_events(struct audit *audit, yyjson_val *events)
{
    size_t i, count;
    yyjson_val *event;
    char zone[TERMINAL_TIME_BYTES];
    const char *titles = arena_printf(audit->arena, "SEQ>|WHEN (%s)|WHO|VIA|ACTION|SUBJECT|AFTER",
                                      terminal_zone(zone));
    struct cli page = *audit->cli;
    page.arena = audit->arena;
    struct table *table = table_new(audit->arena, audit->is_first ? titles : "||||||");
    audit->is_first = false;
    yyjson_arr_foreach(events, i, count, event)
    {
        table_add(table, TINT_NONE, cli_text(&page, event, "seq"), cli_time(&page, event, "at"),
                  cli_text(&page, event, "actor"), cli_text(&page, event, "via"),
                  cli_text(&page, event, "action"), cli_text(&page, event, "subject"),
                  cli_text(&page, event, "after"));
    }
    table_write(table, audit->cli->terminal.has_out_color, &audit->out);
}

static enum err_code next_page(struct audit *audit, bool *is_last, struct err *err)
{
    struct cli *cli = audit->cli;
    struct cli_reply reply;
    int64_t rows = audit->left < AUDIT_PAGE_ROWS ? audit->left : AUDIT_PAGE_ROWS;
    const char *subject = cli_flag(cli, "subject");
    const char *query =
        arena_printf(audit->arena, "/api/audit?after=%lld&limit=%lld%s", (long long)audit->after,
                     (long long)rows, subject ? cli_target(cli, "&subject={}", subject) : "");
    const struct cli_request request = {
        .method = "GET", .target = query ? query : "", .arena = audit->arena};
    enum err_code rc = cli_request(cli, &request, &reply, err);
    if (rc)
        return rc;
    yyjson_val *events = yyjson_obj_get(reply.root, "events");
    size_t count = yyjson_arr_size(events);
    if (cli->wants_json)
        print_events_json(audit, events);
    else if (count || audit->is_first)
        print_events(audit, events);
    if (count)
        audit->after = yyjson_get_sint(yyjson_obj_get(yyjson_arr_get_last(events), "seq"));
    audit->left -= (int64_t)count;
    *is_last = (int64_t)count < rows || audit->left == 0;
    return ERR_OK;
}

enum err_code cli_audit(struct cli *cli, struct err *err)
{
    struct audit audit = {
        .cli = cli,
        .arena = arena_new(AUDIT_PAGE_BYTES_MAX),
        .after = cli_flag_i64(cli, "after", 0),
        .left = cli_flag_i64(cli, "limit", INT64_MAX),
        .is_first = true,
    };
    enum err_code rc = ERR_OK;
    bool is_last = audit.left == 0;
    buf_init(&audit.out, CLI_MEMORY_BYTES_MAX);
    if (cli->wants_json)
        buf_lit(&audit.out, "{\"events\":[");
    while (!rc && !is_last) {
        rc = next_page(&audit, &is_last, err);
        if (!rc)
            cli_print(&audit.out);
        arena_reset(audit.arena);
    }
    if (!rc && cli->wants_json)
        buf_lit(&audit.out, "]}\n");
    if (!rc)
        cli_print(&audit.out);
    buf_done(&audit.out);
    arena_free(audit.arena);
    return rc;
}
