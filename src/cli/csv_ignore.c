/* csv_ignore.c - a CSV file is read and written anew without some of its columns. */
#include "cli/csv_ignore.h"

#include "base/csv.h"
#include "base/nearest.h"

bool csv_is_ignored(struct cli *cli, struct str name)
{
    const char *ignored;
    for (int i = 0; (ignored = cli_flag_at(cli, "ignore", i)); i++)
        if (str_equal_c(name, ignored))
            return true;
    return false;
}

static enum err_code check_names(struct cli *cli, const struct str *names, int count,
                                 struct err *err)
{
    const char *ignored, *known[NEAREST_NAMES_MAX];
    int known_count = count < NEAREST_NAMES_MAX ? count : NEAREST_NAMES_MAX;
    for (int i = 0; i < known_count; i++)
        known[i] = arena_copy(cli->arena, str_trim(names[i]).ptr, str_trim(names[i]).len);
    for (int i = 0; (ignored = cli_flag_at(cli, "ignore", i)); i++) {
        int at = 0;
        while (at < count && !str_equal_c(str_trim(names[at]), ignored))
            at++;
        if (at < count)
            continue;
        err_set(err, ERR_INVALID, "--ignore: the file has no column '%s'", ignored);
        size_t near = nearest_name(str_of(ignored), known, (size_t)known_count);
        return near < (size_t)known_count ? err_hint(err, "did you mean '%s'?", known[near])
                                          : ERR_INVALID;
    }
    return ERR_OK;
}

/* Cells behind the header's last column stay: that a row has too many is somebody else's word. */
static void write_row(const struct str *cells, int count, const bool *is_left_out, int columns,
                      struct buf *out)
{
    bool is_first = true;
    for (int i = 0; i < count; i++) {
        if (i < columns && is_left_out[i])
            continue;
        if (!is_first)
            buf_char(out, ',');
        is_first = false;
        csv_write_cell(out, cells[i]);
    }
    buf_char(out, '\n');
}

static enum err_code rewrite(struct cli *cli, struct csv *csv, struct buf *out, struct err *err)
{
    const struct str *cells;
    int columns, count;
    int64_t line = 1;
    enum err_code rc = csv_next(csv, &cells, &columns, err);
    if (!rc)
        rc = check_names(cli, cells, columns, err);
    if (rc)
        return rc;
    bool *is_left_out = arena_calloc(cli->arena, (size_t)columns + 1, sizeof(*is_left_out));
    if (!is_left_out)
        return err_set(err, ERR_LIMIT, "no room for %d columns", columns);
    for (int i = 0; i < columns; i++)
        is_left_out[i] = csv_is_ignored(cli, str_trim(cells[i]));
    for (count = columns; !rc && count; rc = csv_next(csv, &cells, &count, err)) {
        for (; line < csv_line(csv); line++)
            buf_char(out,
                     '\n'); /* empty lines are skipped by the reader: lines keep their number */
        write_row(cells, count, is_left_out, columns, out);
        line++;
    }
    return rc || !out->is_full ? rc : err_set(err, ERR_LIMIT, "the file is too large");
}

enum err_code csv_ignore(struct cli *cli, struct buf *rows, struct err *err)
{
    struct buf out;
    if (!cli_has(cli, "ignore"))
        return ERR_OK;
    struct csv *csv = csv_new(buf_view(rows), ',');
    buf_init(&out, CLI_FILE_BYTES_MAX);
    enum err_code rc = rewrite(cli, csv, &out, err);
    csv_free(csv);
    if (!rc) {
        buf_clear(rows);
        buf_str(rows, buf_view(&out));
    }
    buf_done(&out);
    return rc;
}
