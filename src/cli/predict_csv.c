/* predict_csv.c - rows of a CSV file through the API in batches, bad ones set aside.
 *
 *     file -> window of rows as JSON -> POST /predict -> line,id,label,probability,... to --out
 *                                        | 422: row k breaks the contract
 *                                        v
 *               rows before k are sent alone, row k goes to the side file, go on behind it
 *
 * A refusal halves the number of rows sent at once and a success doubles it, so a file of bad rows
 * costs a request each and one bad row in a million costs one more.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/csv.h"
#include "base/nearest.h"
#include "cli/predict.h"
#include "cli/progress.h"
#include "contract/contract.h"

enum {
    CALL_BYTES_MAX = 256 * 1024 * 1024,
    OUT_BYTES_MAX = 256 * 1024 * 1024,
    NAMES_MAX = 512,
    CELL_TEXT_BYTES = 1024
};

struct window_row {
    size_t start, end; /* of its JSON object in the window's text */
    int64_t line;
    int cell_count; /* a row with too few or too many has no JSON and is not sent */
};

struct batcher {
    struct cli *cli;
    struct model_ref ref;
    const char *target;
    struct arena *arena; /* of one call */

    int fd;
    uint64_t file_bytes; /* 0: not a plain file */
    struct csv *csv;
    int column_count;
    const char **names;        /* [column_count] */
    struct contract *contract; /* NULL until a column is no input, or when it may not be read */
    bool has_asked;
    enum cell_form *forms; /* [column_count] */
    bool is_at_end;

    struct window_row rows[PREDICT_BATCH_ROWS_MAX]; /* read and not answered: [first, count) */
    int first, count, step;                         /* step: rows sent at once */
    struct buf text, body;

    FILE *out, *errors;
    const char *errors_path;
    struct buf line;     /* of the output, being written */
    yyjson_val *classes; /* NULL until the first answer; then an object whose keys are the names */
    bool has_head;
    int64_t predicted, refused;
    struct progress progress;
};

/* ---- opening ---- */

static enum err_code open_input(struct batcher *b, const char *path, struct err *err)
{
    struct stat st;
    b->fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (b->fd < 0)
        return err_set_errno(err, errno, "cannot read %s", path);
    if (fstat(b->fd, &st) == 0 && S_ISREG(st.st_mode))
        b->file_bytes = (uint64_t)st.st_size;
    b->csv = csv_new_fd(b->fd, ',');
    return ERR_OK;
}

static bool is_ignored(struct cli *cli, const char *name)
{
    const char *ignored;
    for (int i = 0; (ignored = cli_flag_at(cli, "ignore", i)); i++)
        if (strcmp(ignored, name) == 0)
            return true;
    return false;
}

static enum err_code unknown_column(const struct batcher *b, const char *name,
                                    yyjson_val *properties, struct err *err)
{
    const char *names[NAMES_MAX] = {0};
    size_t i, total, count = 0;
    yyjson_val *key, *value;
    yyjson_obj_foreach(properties, i, total, key, value)
    {
        if (count < NAMES_MAX)
            names[count++] = yyjson_get_str(key);
    }
    size_t near = nearest_name(str_of(name), names, count);
    const char *meant = near < count ? names[near] : NULL;
    err_set(err, ERR_INVALID, "the column '%s' is not a field of %s", name, b->ref.model);
    if (meant)
        return err_hint(err, "did you mean '%s'? Otherwise leave it out: --ignore %s", meant, name);
    return err_hint(err, "leave it out with: --ignore %s", name);
}

/* Held-out rows usually have the label too. A key that may only predict does not get the contract,
 * and then the column must be named by --ignore. */
static bool is_answer(struct batcher *b, const char *name)
{
    struct err ignored = {0};
    if (!b->contract && !b->has_asked) {
        struct cli_reply reply;
        const char *version = b->ref.version ? b->ref.version : "champion";
        b->has_asked = true;
        if (!cli_get_bytes(
                b->cli,
                cli_target(b->cli, "/api/models/{}/versions/{}/contract", b->ref.model, version),
                &reply, &ignored))
            contract_parse(reply.body, &b->contract, &ignored);
    }
    return b->contract && map_find(&b->contract->field_by_name, str_of(name));
}

static enum cell_form leave_out_answer(const char *name)
{
    fprintf(stderr, "the column '%s' is not sent: the contract says it is the answer\n", name);
    return CELL_SKIP;
}

static enum err_code read_header(struct batcher *b, yyjson_val *properties, struct err *err)
{
    const struct str *cells;
    enum err_code rc = csv_next(b->csv, &cells, &b->column_count, err);
    if (rc)
        return rc;
    if (b->column_count == 0)
        return err_set(err, ERR_INVALID, "%s is empty: its first line names the columns",
                       cli_flag(b->cli, "csv"));
    size_t count = (size_t)b->column_count;
    b->names = arena_calloc(b->cli->arena, count, sizeof(*b->names));
    b->forms = arena_calloc(b->cli->arena, count, sizeof(*b->forms));
    assert(b->names && b->forms);
    for (size_t i = 0; i < count; i++) {
        struct str name = str_trim(cells[i]);
        b->names[i] = arena_copy(b->cli->arena, name.ptr, name.len);
        assert(b->names[i]);
        yyjson_val *property = yyjson_obj_getn(properties, name.ptr, name.len);
        if (is_ignored(b->cli, b->names[i]))
            b->forms[i] = CELL_SKIP;
        else if (!property && is_answer(b, b->names[i]))
            b->forms[i] = leave_out_answer(b->names[i]);
        else if (!property)
            return unknown_column(b, b->names[i], properties, err);
        else
            b->forms[i] = cell_form_of(property);
    }
    return ERR_OK;
}

static enum err_code get_properties(struct batcher *b, yyjson_val **properties, struct err *err)
{
    struct cli_reply reply;
    const char *version = b->ref.version ? b->ref.version : "champion";
    const char *target =
        cli_target(b->cli, "/api/models/{}/versions/{}/schema", b->ref.model, version);
    enum err_code rc = cli_get_bytes(b->cli, target, &reply, err);
    yyjson_val *root = NULL;
    if (!rc)
        rc = json_read(reply.body, b->cli->arena, &root, err);
    if (!rc)
        *properties = yyjson_obj_get(root, "properties");
    return rc;
}

static enum err_code open_output(struct batcher *b, struct err *err)
{
    const char *path = cli_flag(b->cli, "out");
    const char *csv = cli_flag(b->cli, "csv");
    b->out = stdout;
    b->errors_path = cli_flag(b->cli, "errors");
    if (!b->errors_path)
        b->errors_path =
            arena_printf(b->cli->arena, "%s.errors.csv", strcmp(csv, "-") == 0 ? "stdin" : csv);
    if (!path || strcmp(path, "-") == 0)
        return ERR_OK;
    b->out = fopen(path, "we");
    return b->out ? ERR_OK : err_set_errno(err, errno, "cannot write %s", path);
}

/* ---- writing ---- */

static void comma(struct batcher *b)
{
    buf_char(&b->line, ',');
}

static void put_cell(struct batcher *b, const char *text)
{
    csv_write_cell(&b->line, str_of(text));
}

static enum err_code flush_line(struct batcher *b, FILE *file, const char *path, struct err *err)
{
    buf_char(&b->line, '\n');
    size_t written = fwrite(b->line.data, 1, b->line.len, file);
    bool is_whole = written == b->line.len;
    buf_clear(&b->line);
    return is_whole ? ERR_OK : err_set_errno(err, errno, "cannot write %s", path);
}

static const char *out_name(const struct batcher *b)
{
    const char *path = cli_flag(b->cli, "out");
    return path ? path : "standard output";
}

/* The first answer says whether the model gives labels or values, and which classes it has. */
static enum err_code write_head(struct batcher *b, yyjson_val *prediction, struct err *err)
{
    size_t i, count;
    yyjson_val *key, *value, *classes = yyjson_obj_get(prediction, "probabilities");
    struct buf text;
    b->has_head = true;
    if (!yyjson_obj_get(prediction, "label")) {
        buf_lit(&b->line, "line,id,value,quality");
        return flush_line(b, b->out, out_name(b), err);
    }
    buf_lit(&b->line, "line,id,label,probability");
    yyjson_obj_foreach(classes, i, count, key, value)
    {
        comma(b);
        put_cell(b, arena_printf(b->arena, "probability_%s", yyjson_get_str(key)));
    }
    buf_lit(&b->line, ",quality");
    if (classes) {
        buf_init(&text, CALL_BYTES_MAX);
        json_write(&text, classes);
        enum err_code rc = json_read(buf_view(&text), b->cli->arena, &b->classes, err);
        buf_done(&text);
        if (rc)
            return rc;
    }
    return flush_line(b, b->out, out_name(b), err);
}

static void put_number(struct batcher *b, yyjson_val *value)
{
    if (yyjson_is_num(value))
        json_write(&b->line, value);
}

static enum err_code write_prediction(struct batcher *b, int64_t line, yyjson_val *prediction,
                                      struct err *err)
{
    size_t i, count;
    yyjson_val *key, *value, *label = yyjson_obj_get(prediction, "label");
    yyjson_val *probabilities = yyjson_obj_get(prediction, "probabilities");
    const char *quality = yyjson_get_str(yyjson_obj_get(prediction, "quality"));
    if (!b->has_head && write_head(b, prediction, err))
        return err->code;
    buf_i64(&b->line, line);
    comma(b);
    csv_write_cell(&b->line, json_str(yyjson_obj_get(prediction, "id")));
    comma(b);
    if (label) {
        csv_write_cell(&b->line, json_str(label));
        comma(b);
        put_number(b, yyjson_obj_get(prediction, "probability"));
        yyjson_obj_foreach(b->classes, i, count, key, value)
        {
            comma(b);
            put_number(b, yyjson_obj_getn(probabilities, yyjson_get_str(key), yyjson_get_len(key)));
        }
    } else {
        put_number(b, yyjson_obj_get(prediction, "value"));
    }
    comma(b);
    put_cell(b, quality ? quality : "");
    b->predicted++;
    return flush_line(b, b->out, out_name(b), err);
}

static enum err_code refuse_row(struct batcher *b, int64_t line, const char *field,
                                const char *expected, const char *got, struct err *err)
{
    b->refused++;
    if (!b->errors) {
        b->errors = fopen(b->errors_path, "we");
        if (!b->errors)
            return err_set_errno(err, errno, "cannot write %s", b->errors_path);
        fputs("line,field,expected,got\n", b->errors);
    }
    buf_i64(&b->line, line);
    comma(b);
    put_cell(b, field);
    comma(b);
    put_cell(b, expected);
    comma(b);
    put_cell(b, got);
    return flush_line(b, b->errors, b->errors_path, err);
}

/* ---- the window ---- */

static void add_row(struct batcher *b, const struct str *cells, int count)
{
    size_t start = b->text.len;
    bool is_first = true;
    for (int i = 0; count == b->column_count && i < count; i++) {
        if (b->forms[i] == CELL_SKIP)
            continue;
        buf_char(&b->text, is_first ? '{' : ',');
        is_first = false;
        buf_json_str(&b->text, str_of(b->names[i]));
        buf_char(&b->text, ':');
        cell_write(&b->text, b->forms[i], cells[i]);
    }
    if (is_first)
        buf_char(&b->text, '{'); /* every column is ignored */
    buf_char(&b->text, '}');
    b->rows[b->count++] = (struct window_row){start, b->text.len, csv_line(b->csv), count};
}

/* Only when every row of the window is answered: rows keep their places meanwhile. */
static enum err_code fill_window(struct batcher *b, struct err *err)
{
    const struct str *cells;
    int count = 0;
    b->first = b->count = 0;
    buf_clear(&b->text);
    while (!b->is_at_end && b->count < PREDICT_BATCH_ROWS_MAX &&
           b->text.len < PREDICT_BATCH_BYTES_MAX) {
        enum err_code rc = csv_next(b->csv, &cells, &count, err);
        if (rc)
            return rc;
        b->is_at_end = count == 0;
        if (!b->is_at_end)
            add_row(b, cells, count);
    }
    assert(!b->text.is_full);
    return ERR_OK;
}

/* ---- asking ---- */

static enum err_code send_rows(struct batcher *b, int count, struct cli_reply *reply,
                               struct err *err)
{
    size_t start = b->rows[b->first].start;
    buf_clear(&b->body);
    buf_lit(&b->body, "{\"rows\":[");
    for (int i = b->first; i < b->first + count; i++) {
        if (i > b->first)
            buf_char(&b->body, ',');
        buf_append(&b->body, b->text.data + b->rows[i].start, b->rows[i].end - b->rows[i].start);
    }
    buf_lit(&b->body, "]}");
    assert(!b->body.is_full && start <= b->text.len);
    arena_reset(b->arena);
    const struct cli_request request = {
        .method = "POST", .target = b->target, .body = buf_view(&b->body), .arena = b->arena};
    return cli_request(b->cli, &request, reply, err);
}

static enum err_code take_answers(struct batcher *b, int count, yyjson_val *root, struct err *err)
{
    size_t i, total;
    yyjson_val *prediction, *predictions = yyjson_obj_get(root, "predictions");
    if (yyjson_arr_size(predictions) != (size_t)count)
        return err_set(err, ERR_INTERNAL, "%d rows were sent and %zu answered", count,
                       yyjson_arr_size(predictions));
    yyjson_arr_foreach(predictions, i, total, prediction)
    {
        enum err_code rc = write_prediction(b, b->rows[b->first + (int)i].line, prediction, err);
        if (rc)
            return rc;
    }
    b->first += count;
    return ERR_OK;
}

static enum err_code ask_good_rows(struct batcher *b, int count, struct err *err)
{
    struct cli_reply reply;
    enum err_code rc = send_rows(b, count, &reply, err);
    return rc ? rc : take_answers(b, count, reply.root, err);
}

/* A member's text, cut to the buffer. */
static void copy_member(yyjson_val *object, const char *key, char *out, size_t out_bytes)
{
    struct str text = json_str(yyjson_obj_get(object, key));
    snprintf(out, out_bytes, "%.*s", STR_ARG(text));
}

/* Row k of those that were sent is bad. The texts are copied, as the next call reuses the arena. */
static enum err_code set_aside(struct batcher *b, int count, yyjson_val *violation, struct err *err)
{
    char field[CELL_TEXT_BYTES], expected[CELL_TEXT_BYTES], got[CELL_TEXT_BYTES];
    int64_t k = yyjson_get_sint(yyjson_obj_get(violation, "row"));
    copy_member(violation, "field", field, sizeof(field));
    copy_member(violation, "expected", expected, sizeof(expected));
    copy_member(violation, "got", got, sizeof(got));
    if (k < 0 || k >= count)
        return err_set(err, ERR_INTERNAL, "%d rows were sent and row %lld is refused", count,
                       (long long)k);
    b->step = count > 1 ? count / 2 : 1;
    enum err_code rc = k > 0 ? ask_good_rows(b, (int)k, err) : ERR_OK;
    if (!rc)
        rc = refuse_row(b, b->rows[b->first].line, field, expected, got, err);
    b->first++;
    return rc;
}

static bool is_whole(const struct batcher *b, int row)
{
    return b->rows[row].cell_count == b->column_count;
}

static enum err_code refuse_shape(struct batcher *b, struct err *err)
{
    char expected[CELL_TEXT_BYTES], got[CELL_TEXT_BYTES];
    const struct window_row *row = &b->rows[b->first++];
    snprintf(expected, sizeof(expected), "%d columns", b->column_count);
    snprintf(got, sizeof(got), "%d", row->cell_count);
    return refuse_row(b, row->line, "", expected, got, err);
}

/* Rows to send now: whole ones only, at most `step`. */
static int next_count(const struct batcher *b)
{
    int count = 0;
    while (count < b->step && b->first + count < b->count && is_whole(b, b->first + count))
        count++;
    return count;
}

static enum err_code ask(struct batcher *b, struct err *err)
{
    struct cli_reply reply = {0};
    struct err refusal = {0};
    int count = next_count(b);
    if (count == 0)
        return refuse_shape(b, err);
    enum err_code rc = send_rows(b, count, &reply, &refusal);
    yyjson_val *violation = yyjson_obj_get(reply.root, "violation");
    if (!rc) {
        b->step = b->step * 2 > PREDICT_BATCH_ROWS_MAX ? PREDICT_BATCH_ROWS_MAX : b->step * 2;
        return take_answers(b, count, reply.root, err);
    }
    if (rc == ERR_VIOLATION && violation)
        return set_aside(b, count, violation, err);
    if (rc == ERR_LIMIT && count > 1) {
        b->step = count / 2;
        return ERR_OK;
    }
    *err = refusal;
    return rc;
}

static enum err_code run(struct batcher *b, struct err *err)
{
    enum err_code rc = ERR_OK;
    while (!rc && !b->is_at_end) {
        rc = fill_window(b, err);
        while (!rc && b->first < b->count) {
            rc = ask(b, err);
            progress_update(&b->progress, (uint64_t)csv_bytes(b->csv),
                            (uint64_t)(b->predicted + b->refused));
        }
    }
    if (rc)
        err_wrap(err, "%s, after %lld rows", cli_flag(b->cli, "csv"),
                 (long long)b->predicted + (long long)b->refused);
    return rc;
}

/* ---- the end ---- */

static enum err_code close_file(FILE *file, const char *path, enum err_code rc, struct err *err)
{
    if (!file || file == stdout)
        return rc;
    if (fclose(file) != 0 && !rc)
        return err_set_errno(err, errno, "cannot write %s", path);
    return rc;
}

static void summarize(const struct batcher *b)
{
    fprintf(stderr, "%lld rows predicted", (long long)b->predicted);
    if (b->refused)
        fprintf(stderr, ", %lld refused: see %s", (long long)b->refused, b->errors_path);
    fputc('\n', stderr);
}

static enum err_code prepare(struct batcher *b, struct err *err)
{
    yyjson_val *properties = NULL;
    enum err_code rc = open_input(b, cli_flag(b->cli, "csv"), err);
    if (!rc)
        rc = get_properties(b, &properties, err);
    if (!rc)
        rc = read_header(b, properties, err);
    if (!rc)
        rc = open_output(b, err);
    return rc;
}

enum err_code predict_csv(struct cli *cli, struct model_ref ref, struct err *err)
{
    struct batcher *b = calloc(1, sizeof(*b));
    if (!b)
        abort();
    b->cli = cli;
    b->ref = ref;
    b->fd = -1;
    b->step = PREDICT_BATCH_ROWS_MAX;
    b->arena = arena_new(CALL_BYTES_MAX);
    b->target = ref.version ? cli_target(cli, "/predict/{}/versions/{}", ref.model, ref.version)
                            : cli_target(cli, "/predict/{}", ref.model);
    buf_init(&b->text, CALL_BYTES_MAX);
    buf_init(&b->body, CALL_BYTES_MAX);
    buf_init(&b->line, OUT_BYTES_MAX);
    enum err_code rc = prepare(b, err);
    progress_begin(&b->progress, &cli->terminal, "predicting", "rows", b->file_bytes);
    if (!rc)
        rc = run(b, err);
    progress_end(&b->progress);
    rc = close_file(b->out, out_name(b), rc, err);
    rc = close_file(b->errors, b->errors_path, rc, err);
    if (!rc)
        summarize(b);
    cli->is_no = b->refused > 0;
    csv_free(b->csv);
    contract_free(b->contract);
    if (b->fd > STDIN_FILENO)
        close(b->fd);
    buf_done(&b->text);
    buf_done(&b->body);
    buf_done(&b->line);
    arena_free(b->arena);
    free(b);
    return rc;
}
