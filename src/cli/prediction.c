/* prediction.c - kept predictions: export a time range, show one, erase a subject. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "cli/handlers.h"

enum {
    PAGE_ROWS = 10000,
    PAGE_BYTES_MAX = 512 * 1024 * 1024, /* memory of one page */
    QUERY_BYTES_MAX = 4096,
    FILE_MODE = 0600, /* it holds what people told a model */
};

struct export
{
    struct cli *cli;
    int fd;
    const char *path;
    bool is_csv;
    struct buf columns; /* of the first page */
    char cursor[128];
    long long rows;
};

/* ---- one page ---- */

static void add_query(struct cli *cli, struct buf *target, const char *name, const char *value)
{
    if (!value)
        return;
    buf_char(target, memchr(target->data, '?', target->len) ? '&' : '?');
    buf_text(target, name);
    buf_char(target, '=');
    buf_text(target, cli_target(cli, "{}", value)); /* percent-encoded */
}

static const char *page_target(struct export *e)
{
    struct cli *cli = e->cli;
    struct model_ref ref = cli_model_ref(cli, cli_arg(cli, 0));
    struct buf target;
    buf_init(&target, QUERY_BYTES_MAX);
    buf_text(&target, cli_target(cli, "/api/models/{}/predictions", ref.model));
    add_query(cli, &target, "limit", arena_printf(cli->arena, "%d", PAGE_ROWS));
    add_query(cli, &target, "format", e->is_csv ? "csv" : "jsonl");
    add_query(cli, &target, "version", ref.version);
    add_query(cli, &target, "from", cli_flag(cli, "from"));
    add_query(cli, &target, "to", cli_flag(cli, "to"));
    add_query(cli, &target, "cursor", e->cursor[0] ? e->cursor : NULL);
    const char *copy = arena_copy(cli->arena, target.data, target.len);
    bool is_full = target.is_full;
    buf_done(&target);
    return is_full ? NULL : copy;
}

/* Every page of CSV begins with the names of its columns: they are written once. */
static enum err_code without_columns(struct export *e, struct str *body, struct err *err)
{
    struct str rest = *body, line;
    if (!e->is_csv || body->len == 0 || !str_split(&rest, '\n', &line))
        return ERR_OK;
    if (e->columns.len == 0) {
        buf_str(&e->columns, line);
        return ERR_OK;
    }
    if (!str_equal(line, buf_view(&e->columns))) {
        err_set(err, ERR_CONFLICT, "the versions in this time have different fields");
        return err_hint(err, "export one version as NAME:VERSION, or --format jsonl");
    }
    *body = rest;
    return ERR_OK;
}

static void count_rows(struct export *e, struct str body)
{
    for (size_t i = 0; i < body.len; i++)
        e->rows += body.ptr[i] == '\n';
}

static enum err_code write_page(struct export *e, struct arena *arena, struct err *err)
{
    struct cli_reply reply;
    const char *target = page_target(e);
    if (!target)
        return cli_usage(e->cli, err, "--from or --to is too long");
    const struct cli_request request = {
        .method = "GET", .target = target, .takes_bytes = true, .arena = arena};
    enum err_code rc = cli_request(e->cli, &request, &reply, err);
    struct str body = reply.body;
    bool is_first = e->columns.len == 0;
    if (!rc)
        rc = without_columns(e, &body, err);
    if (rc)
        return rc;
    count_rows(e, body);
    e->rows -= e->is_csv && is_first && body.len;
    snprintf(e->cursor, sizeof(e->cursor), "%.*s", STR_ARG(reply.next_cursor));
    return file_write_all(e->fd, e->path, body.ptr, body.len, err);
}

static enum err_code write_pages(struct export *e, struct err *err)
{
    enum err_code rc;
    do {
        struct arena *arena = arena_new(PAGE_BYTES_MAX);
        rc = write_page(e, arena, err);
        arena_free(arena);
    } while (!rc && e->cursor[0]);
    return rc;
}

/* ---- export ---- */

static bool wants_csv(struct cli *cli, const char *path)
{
    const char *format = cli_flag(cli, "format");
    if (format)
        return strcmp(format, "csv") == 0;
    return path && str_ends_with(str_of(path), STR_LIT(".csv"));
}

static enum err_code export_to_file(struct export *e, struct err *err)
{
    e->fd = open(e->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, FILE_MODE);
    if (e->fd < 0)
        return err_set_errno(err, errno, "%s", e->path);
    enum err_code rc = write_pages(e, err);
    if (close(e->fd) && !rc)
        rc = err_set_errno(err, errno, "%s", e->path);
    if (rc)
        unlink(e->path); /* half of it would look like all of it */
    return rc;
}

enum err_code cli_prediction_export(struct cli *cli, struct err *err)
{
    const char *path = cli_flag(cli, "out");
    struct export e = {.cli = cli, .path = path ? path : "standard output", .fd = STDOUT_FILENO};
    e.is_csv = wants_csv(cli, path);
    buf_init(&e.columns, PAGE_BYTES_MAX);
    enum err_code rc = path ? export_to_file(&e, err) : write_pages(&e, err);
    buf_done(&e.columns);
    if (!rc && path)
        printf("%s: %lld rows of %s\n", path, e.rows, cli_arg(cli, 0));
    return rc;
}

/* ---- show ---- */

static void print_members(struct cli *cli, yyjson_val *object, const char *title)
{
    size_t i, count;
    yyjson_val *key, *value;
    if (!yyjson_is_obj(object))
        return;
    printf("%s\n", title);
    yyjson_obj_foreach(object, i, count, key, value)
    {
        if (!yyjson_is_obj(value))
            printf("  %-28s %s\n", yyjson_get_str(key),
                   yyjson_is_null(value) ? "-" : cli_text(cli, object, yyjson_get_str(key)));
    }
}

enum { ANSWER_BYTES_MAX = 4096, ANSWER_COLUMNS_MAX = 8 };

/* A number, another node's name, "[0.1,0.7,0.2]", "64 numbers"; "-" of a node that was not used. */
static const char *answer_text(struct cli *cli, yyjson_val *node)
{
    yyjson_val *answer = yyjson_obj_get(node, "answer");
    size_t count = yyjson_arr_size(answer);
    if (yyjson_is_str(answer) || yyjson_is_num(answer))
        return cli_text(cli, node, "answer");
    if (!count || yyjson_is_null(yyjson_arr_get_first(answer)))
        return "-";
    if (count > ANSWER_COLUMNS_MAX)
        return arena_printf(cli->arena, "%zu numbers", count);
    struct buf text;
    buf_init(&text, ANSWER_BYTES_MAX);
    json_write(&text, answer);
    const char *copy = arena_copy(cli->arena, text.data, text.len);
    buf_done(&text);
    return copy ? copy : "-";
}

/* "  fast                         0.93, ok, 12 us" */
static void print_nodes(struct cli *cli, yyjson_val *nodes)
{
    size_t i, count;
    yyjson_val *key, *node;
    if (!yyjson_is_obj(nodes))
        return;
    printf("nodes\n");
    yyjson_obj_foreach(nodes, i, count, key, node)
    {
        bool has_outcome = yyjson_obj_get(node, "outcome");
        printf("  %-28s %s%s%s%s%s%s\n", yyjson_get_str(key), answer_text(cli, node),
               has_outcome ? ", " : "", has_outcome ? cli_text(cli, node, "outcome") : "",
               has_outcome ? ", " : "", has_outcome ? cli_text(cli, node, "us") : "",
               has_outcome ? " us" : "");
    }
}

static void print_prediction(struct cli *cli, yyjson_val *p)
{
    printf("%s: %s:%s answered %s at %s in %s us%s%s\n", cli_text(cli, p, "id"),
           cli_text(cli, p, "model"), cli_text(cli, p, "version"), cli_text(cli, p, "status"),
           cli_time(cli, p, "at"), cli_text(cli, p, "latency_us"),
           yyjson_is_str(yyjson_obj_get(p, "arm")) ? ", " : "",
           yyjson_is_str(yyjson_obj_get(p, "arm")) ? cli_text(cli, p, "arm") : "");
    if (!yyjson_equals_str(yyjson_obj_get(p, "quality"), "ok"))
        printf("quality: %s\n", cli_text(cli, p, "quality"));
    print_members(cli, yyjson_obj_get(p, "inputs"), "inputs");
    print_members(cli, yyjson_obj_get(p, "prediction"), "prediction");
    print_nodes(cli, yyjson_obj_get(p, "nodes"));
}

enum err_code cli_prediction_show(struct cli *cli, struct err *err)
{
    struct cli_reply reply;
    size_t i, count;
    yyjson_val *one;
    enum err_code rc =
        cli_get(cli, cli_target(cli, "/api/predictions/{}", cli_arg(cli, 0)), &reply, err);
    if (rc)
        return rc;
    if (cli->wants_json) {
        cli_print_json(reply.body);
        return ERR_OK;
    }
    yyjson_val *list = yyjson_obj_get(reply.root, "predictions");
    if (!list)
        print_prediction(cli, reply.root);
    yyjson_arr_foreach(list, i, count, one)
    {
        print_prediction(cli, one);
    }
    return ERR_OK;
}

/* ---- erase ---- */

enum err_code cli_prediction_erase(struct cli *cli, struct err *err)
{
    struct cli_reply reply;
    struct buf body;
    struct json_writer w = {.out = &body};
    const char *text = cli_flag(cli, "key"), *equals = strchr(text, '=');
    if (!equals || equals == text || !equals[1])
        return cli_usage(cli, err, "--key needs FIELD=VALUE, such as customer_id=c-17");
    buf_init(&body, CLI_FILE_BYTES_MAX);
    json_begin_object(&w);
    json_key(&w, "field");
    json_put_str(&w, (struct str){text, (size_t)(equals - text)});
    json_key(&w, "key");
    json_put_text(&w, equals + 1);
    json_end_object(&w);
    const struct cli_request request = {
        .method = "POST",
        .target = cli_target(cli, "/api/models/{}/erase", cli_arg(cli, 0)),
        .body = buf_view(&body),
        .is_change = true,
    };
    enum err_code rc = cli_request(cli, &request, &reply, err);
    buf_done(&body);
    if (rc)
        return rc;
    if (cli->wants_json)
        cli_print_json(reply.body);
    else
        printf("%s: %s rows erased, with %s outcomes and %s review items\n", cli_arg(cli, 0),
               cli_text(cli, reply.root, "rows"), cli_text(cli, reply.root, "outcomes"),
               cli_text(cli, reply.root, "review_items"));
    return ERR_OK;
}
