/* feedback.c - say what came true: one thing by flags, or the rows of a CSV file in batches. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/csv.h"
#include "base/nearest.h"
#include "cli/csv_ignore.h"
#include "cli/handlers.h"
#include "cli/table.h"

enum {
    BATCH_OUTCOMES_MAX = 1000, /* of one request, as the server takes them */
    BATCH_BYTES_MAX = 4 * 1024 * 1024,
    COLUMNS_MAX = 256,
    CALL_BYTES_MAX = 64 * 1024 * 1024,
    SHOWN_REFUSALS_MAX = 20,
};

/* ---- one thing ---- */

static void put_flag(struct cli *cli, struct json_writer *w, const char *flag, const char *key)
{
    if (!cli_has(cli, flag))
        return;
    json_key(w, key);
    json_put_text(w, cli_flag(cli, flag));
}

/* --value revenue=12.5 */
static enum err_code put_value(struct cli *cli, struct json_writer *w, const char *text,
                               struct err *err)
{
    const char *equals = strchr(text, '=');
    double number;
    if (!equals || equals == text || !str_to_f64(str_of(equals + 1), &number))
        return cli_usage(cli, err, "--value needs NAME=NUMBER, such as revenue=12.5");
    json_key_str(w, (struct str){text, (size_t)(equals - text)});
    json_begin_object(w);
    json_key(w, "value");
    json_put_f64(w, number);
    put_flag(cli, w, "unit", "unit");
    put_flag(cli, w, "direction", "direction");
    json_end_object(w);
    return ERR_OK;
}

static enum err_code put_values(struct cli *cli, struct json_writer *w, struct err *err)
{
    const char *text;
    if (!cli_has(cli, "value"))
        return ERR_OK;
    json_key(w, "values");
    json_begin_object(w);
    for (int i = 0; (text = cli_flag_at(cli, "value", i)); i++) {
        enum err_code rc = put_value(cli, w, text, err);
        if (rc)
            return rc;
    }
    json_end_object(w);
    return ERR_OK;
}

static enum err_code write_item(struct cli *cli, struct buf *body, struct err *err)
{
    struct json_writer w = {.out = body};
    json_begin_object(&w);
    json_key(&w, "model");
    json_put_text(&w, cli_arg(cli, 0));
    put_flag(cli, &w, "id", "id");
    put_flag(cli, &w, "business-key", "key");
    put_flag(cli, &w, "as-of", "as_of");
    put_flag(cli, &w, "label", "label");
    put_flag(cli, &w, "event", "event");
    put_flag(cli, &w, "at", "at");
    put_flag(cli, &w, "feedback-id", "feedback_id");
    enum err_code rc = put_values(cli, &w, err);
    json_end_object(&w);
    return rc;
}

static void print_results(struct cli *cli, const struct cli_reply *reply)
{
    yyjson_val *result;
    size_t i, count;
    yyjson_val *results = yyjson_obj_get(reply->root, "results");
    yyjson_arr_foreach(results, i, count, result)
    {
        const char *version = cli_version_text(cli, result, "version");
        printf("%s: %s", cli_text(cli, result, "name"), cli_text(cli, result, "result"));
        if (strcmp(version, "-") != 0)
            printf(" (%s, version %s)", cli_text(cli, result, "prediction"), version);
        putchar('\n');
    }
}

static enum err_code send_one(struct cli *cli, struct err *err)
{
    struct cli_reply reply;
    struct buf body;
    buf_init(&body, CLI_FILE_BYTES_MAX);
    enum err_code rc = write_item(cli, &body, err);
    if (!rc) {
        const struct cli_request request = {
            .method = "POST", .target = "/feedback", .body = buf_view(&body)};
        rc = cli_request(cli, &request, &reply, err);
    }
    buf_done(&body);
    if (rc)
        return rc;
    if (cli->wants_json)
        cli_print_json(reply.body);
    else
        print_results(cli, &reply);
    return ERR_OK;
}

/* ---- a file ---- */

struct sender {
    struct cli *cli;
    struct csv *csv;
    struct arena *arena; /* of one call */
    struct buf head, body;
    int column_count;
    bool is_skipped[COLUMNS_MAX];
    int outcomes_a_row;                /* at most */
    int64_t lines[BATCH_OUTCOMES_MAX]; /* of the rows in `body` */
    int row_count;
    int64_t items, accepted, duplicate, corrected, outdated, orphan, refused;
};

/* --column is_canceled=label: what a column of the file is called in feedback. */
static struct str renamed(struct cli *cli, struct str name)
{
    const char *text;
    for (int i = 0; (text = cli_flag_at(cli, "column", i)); i++) {
        const char *equals = strrchr(text, '=');
        if (equals && str_equal(name, (struct str){text, (size_t)(equals - text)}))
            return str_of(equals + 1);
    }
    return name;
}

/* Each --column must be OLD=NEW of a column that the file has. */
static enum err_code check_renames(struct cli *cli, const struct str *names, int count,
                                   struct err *err)
{
    const char *text, *known[COLUMNS_MAX];
    for (int i = 0; i < count; i++)
        known[i] = arena_copy(cli->arena, str_trim(names[i]).ptr, str_trim(names[i]).len);
    for (int i = 0; (text = cli_flag_at(cli, "column", i)); i++) {
        const char *equals = strrchr(text, '=');
        if (!equals || equals == text || !equals[1])
            return cli_usage(cli, err, "--column needs COLUMN=MEMBER, such as customer_id=key");
        const struct str name = {text, (size_t)(equals - text)};
        int at = 0;
        while (at < count && !(known[at] && str_equal_c(name, known[at])))
            at++;
        if (at < count)
            continue;
        err_set(err, ERR_INVALID, "--column %s: %s has no column '%.*s'", text,
                cli_flag(cli, "csv"), STR_ARG(name));
        size_t near = nearest_name(name, known, (size_t)count);
        return near < (size_t)count ? err_hint(err, "did you mean '%s'?", known[near])
                                    : ERR_INVALID;
    }
    return ERR_OK;
}

static bool says_something(struct str name)
{
    return str_equal_c(name, "label") || str_equal_c(name, "event") || str_equal_c(name, "value") ||
           str_starts_with(name, STR_LIT("values."));
}

static enum err_code refuse_columns(const struct sender *s, struct err *err)
{
    err_set(err, ERR_INVALID, "no column of %s is a label, an event or a value",
            cli_flag(s->cli, "csv"));
    return err_hint(err, "say which ones are: --column diagnosis=label --column case=key");
}

static enum err_code read_head(struct sender *s, struct err *err)
{
    const struct str *cells;
    bool is_first = true;
    enum err_code rc = csv_next(s->csv, &cells, &s->column_count, err);
    if (rc)
        return rc;
    if (s->column_count == 0)
        return err_set(err, ERR_INVALID, "%s is empty: its first line names the columns",
                       cli_flag(s->cli, "csv"));
    if (s->column_count > COLUMNS_MAX)
        return err_set(err, ERR_LIMIT, "%d columns, at most %d are taken", s->column_count,
                       COLUMNS_MAX);
    if (check_renames(s->cli, cells, s->column_count, err))
        return err->code;
    for (int i = 0; i < s->column_count; i++) {
        struct str name = str_trim(cells[i]);
        s->is_skipped[i] = csv_is_ignored(s->cli, name);
        if (s->is_skipped[i])
            continue;
        if (!is_first)
            buf_char(&s->head, ',');
        is_first = false;
        name = renamed(s->cli, name);
        s->outcomes_a_row += says_something(name);
        csv_write_cell(&s->head, name);
    }
    buf_char(&s->head, '\n');
    if (s->outcomes_a_row == 0)
        return refuse_columns(s, err);
    return ERR_OK;
}

static int64_t number_of(yyjson_val *root, const char *key)
{
    return yyjson_get_sint(yyjson_obj_get(root, key));
}

static void show_refusals(struct sender *s, yyjson_val *root)
{
    yyjson_val *result;
    size_t i, count;
    yyjson_val *results = yyjson_obj_get(root, "results");
    int64_t shown = s->refused - number_of(root, "refused");
    yyjson_arr_foreach(results, i, count, result)
    {
        int64_t item = number_of(result, "item");
        if (strcmp(cli_text(s->cli, result, "result"), "refused") != 0 || item >= s->row_count ||
            shown++ >= SHOWN_REFUSALS_MAX)
            continue;
        fprintf(stderr, "line %lld: %s\n", (long long)s->lines[item],
                cli_text(s->cli, result, "reason"));
    }
}

static enum err_code send_batch(struct sender *s, struct err *err)
{
    struct cli_reply reply;
    if (s->row_count == 0)
        return ERR_OK;
    const struct cli_request request = {
        .method = "POST",
        .target = cli_target(s->cli, "/feedback?model={}", cli_arg(s->cli, 0)),
        .body = buf_view(&s->body),
        .content_type = "text/csv",
        .arena = s->arena,
    };
    enum err_code rc = cli_request(s->cli, &request, &reply, err);
    if (rc)
        return err_wrap(err, "lines %lld to %lld", (long long)s->lines[0],
                        (long long)s->lines[s->row_count - 1]);
    s->items += number_of(reply.root, "items");
    s->accepted += number_of(reply.root, "accepted");
    s->duplicate += number_of(reply.root, "duplicate");
    s->corrected += number_of(reply.root, "corrected");
    s->outdated += number_of(reply.root, "outdated");
    s->orphan += number_of(reply.root, "orphan");
    s->refused += number_of(reply.root, "refused");
    show_refusals(s, reply.root);
    arena_reset(s->arena);
    s->row_count = 0;
    return ERR_OK;
}

static void add_row(struct sender *s, const struct str *cells)
{
    bool is_first = true;
    if (s->row_count == 0) {
        buf_clear(&s->body);
        buf_str(&s->body, buf_view(&s->head));
    }
    for (int i = 0; i < s->column_count; i++) {
        if (s->is_skipped[i])
            continue;
        if (!is_first)
            buf_char(&s->body, ',');
        is_first = false;
        csv_write_cell(&s->body, cells[i]);
    }
    buf_char(&s->body, '\n');
    s->lines[s->row_count++] = csv_line(s->csv);
}

static enum err_code send_rows(struct sender *s, struct err *err)
{
    const struct str *cells;
    int count = 0;
    int rows_max = BATCH_OUTCOMES_MAX / s->outcomes_a_row;
    for (;;) {
        enum err_code rc = csv_next(s->csv, &cells, &count, err);
        if (rc || count == 0)
            return rc ? rc : send_batch(s, err);
        if (count != s->column_count)
            return err_set(err, ERR_INVALID, "line %lld has %d cells, expected %d",
                           (long long)csv_line(s->csv), count, s->column_count);
        add_row(s, cells);
        if (s->row_count >= rows_max || s->body.len > BATCH_BYTES_MAX)
            rc = send_batch(s, err);
        if (rc)
            return rc;
    }
}

static void print_counts(const struct sender *s)
{
    const struct {
        const char *name;
        int64_t count;
    } counts[] = {{"accepted", s->accepted},   {"duplicate", s->duplicate},
                  {"corrected", s->corrected}, {"outdated", s->outdated},
                  {"orphan", s->orphan},       {"refused", s->refused}};
    struct buf out;
    struct json_writer w = {.out = &out};
    buf_init(&out, 4096);
    if (!s->cli->wants_json) {
        printf("%lld items:", (long long)s->items);
        for (size_t i = 0; i < ARRAY_LEN(counts); i++)
            if (counts[i].count || i == 0)
                printf(" %lld %s", (long long)counts[i].count, counts[i].name);
        putchar('\n');
        return;
    }
    json_begin_object(&w);
    json_key(&w, "items");
    json_put_i64(&w, s->items);
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        json_key(&w, counts[i].name);
        json_put_i64(&w, counts[i].count);
    }
    json_end_object(&w);
    cli_print_json(buf_view(&out));
    buf_done(&out);
}

static enum err_code send_file(struct cli *cli, struct err *err)
{
    const char *path = cli_flag(cli, "csv");
    int fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot read %s", path);
    struct sender *s = calloc(1, sizeof(*s));
    if (!s)
        abort();
    s->cli = cli;
    s->csv = csv_new_fd(fd, ',');
    s->arena = arena_new(CALL_BYTES_MAX);
    buf_init(&s->head, CLI_FILE_BYTES_MAX);
    buf_init(&s->body, CLI_FILE_BYTES_MAX);
    enum err_code rc = read_head(s, err);
    if (!rc)
        rc = send_rows(s, err);
    if (!rc || s->items)
        print_counts(s);
    cli->is_no = s->refused > 0;
    buf_done(&s->head);
    buf_done(&s->body);
    arena_free(s->arena);
    csv_free(s->csv);
    free(s);
    if (fd != STDIN_FILENO)
        close(fd);
    return rc;
}

enum err_code cli_feedback(struct cli *cli, struct err *err)
{
    bool has_item = cli_has(cli, "label") || cli_has(cli, "value") || cli_has(cli, "event");
    if (cli_has(cli, "csv")) {
        if (has_item || cli_has(cli, "id") || cli_has(cli, "business-key"))
            return cli_usage(cli, err, "--csv excludes flags that say one thing");
        return send_file(cli, err);
    }
    if (!has_item)
        return cli_usage(cli, err,
                         "there is nothing to say: give --label, --value, --event or "
                         "--csv");
    if (cli_has(cli, "id") == cli_has(cli, "business-key"))
        return cli_usage(cli, err,
                         cli_has(cli, "key")
                             ? "give --id or --business-key: which prediction is it about? (--key "
                               "is the API key of the server)"
                             : "give --id or --business-key: which prediction is it about?");
    return send_one(cli, err);
}

/* ---- values ---- */

static void print_table(struct cli *cli, struct table *table)
{
    struct buf out;
    buf_init(&out, CLI_REPLY_BYTES_MAX);
    table_write(table, cli->terminal.has_out_color, &out);
    cli_print(&out);
    buf_done(&out);
}

static enum err_code write_declaration(struct cli *cli, struct buf *body, struct err *err)
{
    struct json_writer w = {.out = body};
    if (cli_has(cli, "event") == cli_has(cli, "unit"))
        return cli_usage(cli, err, "give --unit of a value, or --event for something counted");
    json_begin_object(&w);
    json_key(&w, "values");
    json_begin_array(&w);
    json_begin_object(&w);
    json_key(&w, "name");
    json_put_text(&w, cli_arg(cli, 1));
    json_key(&w, "kind");
    json_put_text(&w, cli_has(cli, "event") ? "event" : "value");
    put_flag(cli, &w, "unit", "unit");
    put_flag(cli, &w, "direction", "direction");
    json_end_object(&w);
    json_end_array(&w);
    json_end_object(&w);
    return ERR_OK;
}

static void print_values(struct cli *cli, const struct cli_reply *reply)
{
    yyjson_val *value;
    size_t i, count;
    yyjson_val *values = yyjson_obj_get(reply->root, "values");
    struct table *table = table_new(cli->arena, "NAME|KIND|UNIT|GOOD|DECLARED|BY");
    yyjson_arr_foreach(values, i, count, value)
    {
        table_add(table, TINT_NONE, cli_text(cli, value, "name"), cli_text(cli, value, "kind"),
                  cli_text(cli, value, "unit"), cli_text(cli, value, "direction"),
                  cli_time(cli, value, "declared_at"), cli_text(cli, value, "declared_by"));
    }
    print_table(cli, table);
}

enum err_code cli_value_set(struct cli *cli, struct err *err)
{
    struct cli_reply reply;
    struct buf body;
    buf_init(&body, CLI_FILE_BYTES_MAX);
    enum err_code rc = write_declaration(cli, &body, err);
    if (!rc) {
        const struct cli_request request = {
            .method = "PUT",
            .target = cli_target(cli, "/api/models/{}/values", cli_arg(cli, 0)),
            .body = buf_view(&body),
            .is_change = true,
        };
        rc = cli_request(cli, &request, &reply, err);
    }
    buf_done(&body);
    if (rc)
        return rc;
    if (cli->wants_json)
        cli_print_json(reply.body);
    else
        print_values(cli, &reply);
    return ERR_OK;
}

enum err_code cli_value_list(struct cli *cli, struct err *err)
{
    struct cli_reply reply;
    enum err_code rc =
        cli_get(cli, cli_target(cli, "/api/models/{}/values", cli_arg(cli, 0)), &reply, err);
    if (rc)
        return rc;
    if (cli->wants_json)
        cli_print_json(reply.body);
    else
        print_values(cli, &reply);
    return ERR_OK;
}

/* ---- outcomes of a prediction ---- */

static void print_outcomes(struct cli *cli, const struct cli_reply *reply)
{
    yyjson_val *row;
    size_t i, count;
    yyjson_val *rows = yyjson_obj_get(reply->root, "outcomes");
    struct table *table = table_new(cli->arena, "NAME|SAYS|STATE|AT|RECEIVED|BY");
    yyjson_arr_foreach(rows, i, count, row)
    {
        const char *label = cli_text(cli, row, "label");
        table_add(table, TINT_NONE, cli_text(cli, row, "name"),
                  label[0] ? label : cli_text(cli, row, "value"), cli_text(cli, row, "state"),
                  cli_time(cli, row, "at"), cli_time(cli, row, "received_at"),
                  cli_text(cli, row, "actor"));
    }
    print_table(cli, table);
}

enum err_code cli_outcome_show(struct cli *cli, struct err *err)
{
    struct cli_reply reply;
    enum err_code rc =
        cli_get(cli, cli_target(cli, "/api/outcomes/{}", cli_arg(cli, 0)), &reply, err);
    if (rc)
        return rc;
    if (cli->wants_json)
        cli_print_json(reply.body);
    else
        print_outcomes(cli, &reply);
    return ERR_OK;
}
