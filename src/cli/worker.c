/* worker.c - `slipway worker test`: try a Python model's folder before it is registered.
 *
 *     folder --tar--> runtime "python" in this process --> rows of a CSV file, if there are any
 *
 * The same archive, interpreter, sandbox and checks as in a server. `slipway worker launch` is what
 * a worker process runs first.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/csv.h"
#include "base/file.h"
#include "base/file_tree.h"
#include "base/hash.h"
#include "base/option.h"
#include "cli/handlers.h"
#include "cli/python_folder.h"
#include "runtime/python.h"
#include "runtime/worker_launch.h"

enum {
    ROWS_MAX = 100000,
    PRINTED_BYTES_MAX = 128 * 1024,
    SHOWN_MAX = 20, /* elements of an answer that are printed */
};

enum err_code cli_worker_launch(struct cli *cli, struct err *err)
{
    int status = worker_launch(cli->rest_count, cli->rest);
    (void)err;
    _exit(status);
}

/* ---- rows of a CSV file -> the inputs ---- */

struct table_in {
    const struct signature *sig;
    struct arena *arena;
    struct csv *csv;
    int column_of[CSV_COLUMNS_MAX]; /* [features or inputs] cell it is in */
    int column_count;
    int64_t row_count;
    struct tensor *in; /* [input_count] */
};

static const char *column_name(const struct signature *sig, int i)
{
    return sig->feature_count ? sig->feature_names[i] : sig->inputs[i].name;
}

static enum err_code find_columns(struct table_in *t, struct err *err)
{
    const struct str *cells;
    int count = 0;
    enum err_code rc = csv_next(t->csv, &cells, &count, err);
    if (rc)
        return rc;
    t->column_count = t->sig->feature_count ? t->sig->feature_count : t->sig->input_count;
    for (int i = 0; i < t->column_count; i++) {
        t->column_of[i] = -1;
        for (int k = 0; k < count; k++)
            if (str_equal_c(cells[k], column_name(t->sig, i)))
                t->column_of[i] = k;
        if (t->column_of[i] < 0)
            return err_set(err, ERR_INVALID, "the rows have no column '%s'",
                           column_name(t->sig, i));
    }
    return ERR_OK;
}

/* Empty is missing. */
static bool number_of(struct str cell, double *value)
{
    *value = __builtin_nan("");
    return cell.len == 0 || str_to_f64(cell, value);
}

static enum err_code put_number(const struct tensor *in, int64_t row, double value)
{
    switch (in->dtype) {
    case DTYPE_F32:
        ((float *)in->data)[row] = (float)value;
        return ERR_OK;
    case DTYPE_F64:
        ((double *)in->data)[row] = value;
        return ERR_OK;
    case DTYPE_I64:
        ((int64_t *)in->data)[row] = (int64_t)value;
        return ERR_OK;
    case DTYPE_I32:
        ((int32_t *)in->data)[row] = (int32_t)value;
        return ERR_OK;
    default:
        return ERR_UNSUPPORTED;
    }
}

static enum err_code take_cell(struct table_in *t, int i, struct str cell, struct err *err)
{
    double value = 0;
    struct tensor *in = &t->in[t->sig->feature_count ? 0 : i];
    if (in->dtype == DTYPE_BYTES) {
        ((struct str *)in->data)[t->row_count] =
            (struct str){arena_copy(t->arena, cell.ptr, cell.len), cell.len};
        return ERR_OK;
    }
    if (!number_of(cell, &value))
        return err_set(err, ERR_INVALID, "line %lld, column '%s': '%.*s' is no number",
                       (long long)csv_line(t->csv), column_name(t->sig, i), STR_ARG(cell));
    int64_t place = t->sig->feature_count ? t->row_count * t->sig->feature_count + i : t->row_count;
    if (put_number(in, place, value))
        return err_set(err, ERR_UNSUPPORTED, "'%s' is %s, which a CSV file cannot give here",
                       column_name(t->sig, i), dtype_name(in->dtype));
    return ERR_OK;
}

static enum err_code make_inputs(struct table_in *t, struct err *err)
{
    t->in = arena_calloc(t->arena, (size_t)t->sig->input_count, sizeof(*t->in));
    for (int i = 0; i < t->sig->input_count; i++) {
        const struct signature_tensor *declared = &t->sig->inputs[i];
        size_t width = t->sig->feature_count ? (size_t)t->sig->feature_count : 1;
        if (!t->sig->feature_count && (declared->rank != 1 || declared->shape[0] != -1))
            return err_set(err, ERR_UNSUPPORTED,
                           "input '%s' is no column; a CSV file gives inputs of shape [-1]",
                           declared->name);
        size_t element = declared->dtype == DTYPE_BYTES ? sizeof(struct str) : 8;
        t->in[i] = (struct tensor){.name = declared->name,
                                   .dtype = declared->dtype,
                                   .rank = declared->rank,
                                   .data = arena_calloc(t->arena, ROWS_MAX * width, element)};
        t->in[i].shape[1] = t->sig->feature_count;
        if (!t->in[i].data)
            return err_set(err, ERR_LIMIT, "no room for %d rows of %zu cells", ROWS_MAX, width);
    }
    return ERR_OK;
}

static enum err_code read_rows(struct table_in *t, struct err *err)
{
    const struct str *cells;
    int count = 0;
    enum err_code rc = find_columns(t, err);
    if (!rc)
        rc = make_inputs(t, err);
    while (!rc && !(rc = csv_next(t->csv, &cells, &count, err)) && count) {
        if (t->row_count == ROWS_MAX)
            return err_set(err, ERR_LIMIT, "more than %d rows", ROWS_MAX);
        for (int i = 0; i < t->column_count && !rc; i++)
            rc = t->column_of[i] < count ? take_cell(t, i, cells[t->column_of[i]], err)
                                         : err_set(err, ERR_INVALID, "line %lld has too few cells",
                                                   (long long)csv_line(t->csv));
        t->row_count++;
    }
    for (int i = 0; !rc && i < t->sig->input_count; i++)
        t->in[i].shape[0] = t->row_count;
    return rc;
}

/* ---- answers ---- */

static void put_element(struct json_writer *w, const struct tensor *out, int64_t i)
{
    switch (out->dtype) {
    case DTYPE_BOOL:
        json_put_bool(w, ((const uint8_t *)out->data)[i] != 0);
        break;
    case DTYPE_I32:
        json_put_i64(w, ((const int32_t *)out->data)[i]);
        break;
    case DTYPE_I64:
        json_put_i64(w, ((const int64_t *)out->data)[i]);
        break;
    case DTYPE_F32:
        json_put_f32(w, ((const float *)out->data)[i]);
        break;
    case DTYPE_F64:
        json_put_f64(w, ((const double *)out->data)[i]);
        break;
    case DTYPE_BYTES:
        json_put_str(w, ((const struct str *)out->data)[i]);
        break;
    default:
        json_put_text(w, dtype_name(out->dtype));
        break;
    }
}

static void print_answer(const struct tensor *out, struct buf *text)
{
    struct json_writer w = {.out = text};
    int64_t count = tensor_elements(out->shape, out->rank);
    buf_printf(text, "%s %s ", out->name, dtype_name(out->dtype));
    json_begin_array(&w);
    for (int i = 0; i < out->rank; i++)
        json_put_i64(&w, out->shape[i]);
    json_end_array(&w);
    buf_lit(text, ": ");
    w.needs_comma = false;
    json_begin_array(&w);
    for (int64_t i = 0; i < count && i < SHOWN_MAX; i++)
        put_element(&w, out, i);
    json_end_array(&w);
    if (count > SHOWN_MAX)
        buf_printf(text, " and %lld more", (long long)count - SHOWN_MAX);
    buf_char(text, '\n');
}

static enum err_code answer_rows(struct cli *cli, void *model, const char *path, struct err *err)
{
    static struct table_in table;
    struct buf bytes, text;
    table = (struct table_in){.sig = runtime_python.describe(model), .arena = cli->arena};
    struct tensor *out = arena_calloc(cli->arena, RUNTIME_TENSORS_MAX, sizeof(*out));
    buf_init(&text, CLI_MEMORY_BYTES_MAX);
    enum err_code rc = file_read(path, CLI_FILE_BYTES_MAX, &bytes, err);
    if (rc)
        return rc;
    table.csv = csv_new(buf_view(&bytes), ',');
    rc = read_rows(&table, err);
    csv_free(table.csv);
    buf_done(&bytes);
    struct runtime_call call = {
        .in = table.in, .in_count = table.sig->input_count, .arena = cli->arena, .out = out};
    int64_t before_us = clock_monotonic_us();
    if (!rc)
        rc = runtime_python.predict(model, &call, err);
    int64_t took_us = clock_monotonic_us() - before_us;
    for (int i = 0; !rc && i < call.out_count; i++)
        print_answer(&out[i], &text);
    if (!rc)
        buf_printf(&text, "%lld rows answered in %.1f ms\n", (long long)table.row_count,
                   (double)took_us / 1000.0);
    cli_print(&text);
    buf_done(&text);
    return rc ? err_wrap(err, "%s", path) : ERR_OK;
}

/* ---- the command ---- */

static void print_model(struct cli *cli, void *model)
{
    struct buf text;
    const struct signature *sig = runtime_python.describe(model);
    buf_init(&text, CLI_MEMORY_BYTES_MAX);
    buf_printf(&text, "loaded: %s, %.1f MiB\n", sig->detail,
               (double)runtime_python.memory_bytes(model) / 1048576.0);
    cli_print(&text);
    buf_done(&text);
    (void)cli;
}

/* On standard error, where the code's own output would be if it were run by hand. */
static void print_log(void *model)
{
    struct buf text;
    buf_init(&text, PRINTED_BYTES_MAX);
    runtime_python.log(model, &text);
    if (text.len)
        fprintf(stderr, "the model printed:\n%s", buf_c(&text));
    buf_done(&text);
}

static enum err_code try_folder(struct cli *cli, const struct runtime_file *file, struct err *err)
{
    void *model = NULL;
    const char *rows = cli_flag(cli, "rows");
    enum err_code rc = runtime_python.load(file, &model, err);
    if (rc)
        return rc;
    print_model(cli, model);
    if (rows)
        rc = answer_rows(cli, model, rows, err);
    print_log(model);
    runtime_python.free(model);
    return rc;
}

static enum err_code host_of(struct cli *cli, struct options *options, const char *work_dir,
                             struct runtime_host *host, struct err *err)
{
    extern char **environ;
    const char *flags[8];
    int count = 0;
    static const char *const names[] = {"python-path", "python-environments", "python-sandbox"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (!cli_flag(cli, names[i]))
            continue;
        flags[count++] = arena_printf(cli->arena, "--%s", names[i]);
        flags[count++] = cli_flag(cli, names[i]);
    }
    enum err_code rc = options_load(options, count, flags, (const char *const *)environ, err);
    if (rc)
        return rc;
    *host = runtime_host_of(options);
    host->work_dir = work_dir;
    return ERR_OK;
}

enum err_code cli_worker_test(struct cli *cli, struct err *err)
{
    char hex[SHA256_HEX_BYTES + 1];
    struct buf bytes;
    struct options options;
    struct runtime_host host;
    struct err ignored = {0};
    const char *base = getenv("TMPDIR");
    char *work_dir =
        arena_printf(cli->arena, "%s/slipway-test-XXXXXX", base && base[0] ? base : "/tmp");
    buf_init(&bytes, CLI_FILE_BYTES_MAX);
    options_init(&options);
    enum err_code rc = python_folder_pack(cli_arg(cli, 0), cli_flag(cli, "contract"), &bytes, err);
    if (!rc && !mkdtemp(work_dir))
        rc = err_set(err, ERR_IO, "no folder can be made at %s", work_dir);
    if (!rc) {
        hash_sha256_hex(bytes.data, bytes.len, hex);
        const struct runtime_file file = {.bytes = bytes.data,
                                          .size = bytes.len,
                                          .digest_hex = hex,
                                          .host = &host,
                                          .label = cli_arg(cli, 0)};
        rc = host_of(cli, &options, work_dir, &host, err);
        if (!rc)
            rc = try_folder(cli, &file, err);
        file_tree_remove(AT_FDCWD, work_dir, &ignored);
    }
    options_done(&options);
    buf_done(&bytes);
    return rc;
}
