/* csv.c - a row at a time, unquoted in place.
 *
 *     data: [ consumed | row being read ....| read ahead ]
 *                      ^ at                ^ i              ^ len
 *
 * The buffer moves only between rows, so offsets within a row stay valid while it grows; the
 * cells become pointers when the row is whole.
 */
#include "base/csv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"

enum { CHUNK_BYTES = 64 * 1024 };

struct csv {
    int fd;           /* -1: from `bytes` */
    struct str bytes; /* what is left of the caller's bytes */
    char separator;
    bool is_source_empty; /* the source has no more */
    bool is_ended;        /* nothing more will be returned */

    char *data; /* owned */
    size_t at, len, capacity;
    int64_t consumed; /* bytes before data[at] */

    struct str *cells; /* owned; while a row is read, ptr is data + offset of that moment */
    size_t *offsets;   /* owned; [cell_capacity] */
    int cell_count, cell_capacity;

    int64_t row, line; /* of the row being read, of the byte being read */
    int64_t row_line;
    struct err *err; /* of the call under way */
};

static void *grown(void *old, size_t bytes)
{
    void *p = realloc(old, bytes);
    if (!p)
        abort();
    return p;
}

static struct csv *reader_new(int fd, struct str bytes, char separator)
{
    struct csv *csv = calloc(1, sizeof(*csv));
    if (!csv)
        abort();
    *csv = (struct csv){.fd = fd, .bytes = bytes, .separator = separator, .line = 1};
    return csv;
}

struct csv *csv_new_fd(int fd, char separator)
{
    assert(fd >= 0);
    return reader_new(fd, (struct str){0}, separator);
}

struct csv *csv_new(struct str text, char separator)
{
    return reader_new(-1, text, separator);
}

void csv_free(struct csv *csv)
{
    if (!csv)
        return;
    free(csv->data);
    free(csv->cells);
    free(csv->offsets);
    free(csv);
}

int64_t csv_line(const struct csv *csv)
{
    return csv->row_line;
}

int64_t csv_bytes(const struct csv *csv)
{
    return csv->consumed;
}

/* --- errors ----------------------------------------------------------------------------------- */

static enum err_code fail(struct csv *csv, enum err_code code, const char *what)
{
    return err_set(csv->err, code, "row %lld, column %d (line %lld): %s", (long long)csv->row,
                   csv->cell_count + 1, (long long)csv->line, what);
}

static enum err_code fail_limit(struct csv *csv, const char *what, int limit)
{
    return err_set(csv->err, ERR_LIMIT, "row %lld (line %lld): more than %d %s",
                   (long long)csv->row, (long long)csv->row_line, limit, what);
}

/* --- bytes ------------------------------------------------------------------------------------ */

static enum err_code read_chunk(struct csv *csv, size_t *got)
{
    char *to = csv->data + csv->len;
    size_t room = csv->capacity - csv->len;
    if (csv->fd < 0) {
        *got = csv->bytes.len < room ? csv->bytes.len : room;
        if (*got == 0)
            return ERR_OK;
        memcpy(to, csv->bytes.ptr, *got);
        csv->bytes.ptr += *got;
        csv->bytes.len -= *got;
        return ERR_OK;
    }
    ssize_t n;
    do
        n = read(csv->fd, to, room);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_set_errno(csv->err, errno, "reading CSV at line %lld", (long long)csv->line);
    *got = (size_t)n;
    return ERR_OK;
}

/* More bytes behind data[len), or is_source_empty. */
static enum err_code refill(struct csv *csv)
{
    size_t got = 0;
    if (csv->len - csv->at > CSV_ROW_BYTES_MAX)
        return fail_limit(csv, "bytes", CSV_ROW_BYTES_MAX);
    if (csv->capacity - csv->len < CHUNK_BYTES) {
        csv->capacity = 2 * csv->capacity + CHUNK_BYTES;
        csv->data = grown(csv->data, csv->capacity);
    }
    enum err_code code = read_chunk(csv, &got);
    csv->len += got;
    csv->is_source_empty = got == 0;
    return code;
}

/* Is there a byte at offset i? `*code` tells a failure from the end. */
static inline bool has_byte(struct csv *csv, size_t i, enum err_code *code)
{
    while (i >= csv->len) {
        if (csv->is_source_empty)
            return false;
        *code = refill(csv);
        if (*code)
            return false;
    }
    return true;
}

/* Forget what was consumed, once it is more than what would move. */
static void compact(struct csv *csv)
{
    if (csv->at == 0 || csv->at < csv->len - csv->at)
        return;
    memmove(csv->data, csv->data + csv->at, csv->len - csv->at);
    csv->len -= csv->at;
    csv->at = 0;
}

static void consume_to(struct csv *csv, size_t i)
{
    csv->consumed += (int64_t)(i - csv->at);
    csv->at = i;
}

/* --- cells ------------------------------------------------------------------------------------ */

static enum err_code add_cell(struct csv *csv, size_t offset, size_t len)
{
    if (len > CSV_CELL_BYTES_MAX)
        return fail_limit(csv, "bytes in one cell", CSV_CELL_BYTES_MAX);
    if (csv->cell_count == CSV_COLUMNS_MAX)
        return fail_limit(csv, "columns", CSV_COLUMNS_MAX);
    if (csv->cell_count == csv->cell_capacity) {
        csv->cell_capacity = csv->cell_capacity ? 2 * csv->cell_capacity : 64;
        csv->cells = grown(csv->cells, (size_t)csv->cell_capacity * sizeof(*csv->cells));
        csv->offsets = grown(csv->offsets, (size_t)csv->cell_capacity * sizeof(*csv->offsets));
    }
    csv->offsets[csv->cell_count] = offset;
    csv->cells[csv->cell_count++].len = len;
    return ERR_OK;
}

/* What follows a cell at *i: a separator (1), a line end (0), or the end of the file (0). */
static enum err_code end_cell(struct csv *csv, size_t *i, bool *goes_on)
{
    enum err_code code = ERR_OK;
    *goes_on = false;
    if (!has_byte(csv, *i, &code))
        return code;
    if (csv->data[*i] == csv->separator) {
        *goes_on = true;
        ++*i;
        return ERR_OK;
    }
    if (csv->data[*i] == '\r') {
        bool is_crlf = has_byte(csv, *i + 1, &code) && csv->data[*i + 1] == '\n';
        if (code)
            return code;
        if (!is_crlf && *i + 1 < csv->len)
            return fail(csv, ERR_INVALID, "a carriage return that does not end a line");
        ++*i;
    }
    *i += *i < csv->len;
    csv->line++;
    return ERR_OK;
}

static enum err_code read_plain(struct csv *csv, size_t *i)
{
    enum err_code code = ERR_OK;
    size_t begin = *i;
    for (; has_byte(csv, *i, &code); ++*i) {
        char c = csv->data[*i];
        if (c == csv->separator || c == '\n' || c == '\r')
            break;
        if (c == '"') {
            fail(csv, ERR_INVALID, "a quote inside a cell that does not begin with one");
            return err_hint(csv->err, "put the cell in quotes and double the quotes inside");
        }
        if (c == '\0')
            return fail(csv, ERR_INVALID, "a NUL byte");
    }
    return code ? code : add_cell(csv, begin, *i - begin);
}

static enum err_code check_behind_quote(struct csv *csv, size_t i)
{
    enum err_code code = ERR_OK;
    if (!has_byte(csv, i, &code))
        return code;
    char c = csv->data[i];
    if (c == csv->separator || c == '\n' || c == '\r')
        return ERR_OK;
    return fail(csv, ERR_INVALID, "text behind a closing quote");
}

/* *i is behind the opening quote; moves behind the closing one. */
static enum err_code read_quoted(struct csv *csv, size_t *i)
{
    enum err_code code = ERR_OK;
    size_t begin = *i, to = *i;
    int64_t line = csv->line;
    for (; has_byte(csv, *i, &code); ++*i) {
        char c = csv->data[*i];
        if (c == '"') {
            ++*i;
            if (!has_byte(csv, *i, &code) || csv->data[*i] != '"') {
                code = code ? code : add_cell(csv, begin, to - begin);
                return code ? code : check_behind_quote(csv, *i);
            }
        }
        if (c == '\0')
            return fail(csv, ERR_INVALID, "a NUL byte");
        csv->line += c == '\n';
        csv->data[to++] = c;
    }
    if (code)
        return code;
    csv->line = line;
    return fail(csv, ERR_INVALID, "a quote that is never closed");
}

/* --- rows ------------------------------------------------------------------------------------- */

static enum err_code skip_mark(struct csv *csv)
{
    enum err_code code = ERR_OK;
    if (!has_byte(csv, 2, &code) && code)
        return code;
    if (csv->len >= 3 && memcmp(csv->data, "\xef\xbb\xbf", 3) == 0) {
        consume_to(csv, 3);
    } else if (csv->len >= 2 &&
               (memcmp(csv->data, "\xff\xfe", 2) == 0 || memcmp(csv->data, "\xfe\xff", 2) == 0)) {
        err_set(csv->err, ERR_INVALID, "the file is UTF-16");
        return err_hint(csv->err, "convert it: iconv -f UTF-16 -t UTF-8");
    }
    return ERR_OK;
}

static enum err_code skip_empty_lines(struct csv *csv)
{
    enum err_code code = ERR_OK;
    size_t i = csv->at;
    while (has_byte(csv, i, &code)) {
        size_t size = csv->data[i] == '\n' ? 1 : 0;
        if (csv->data[i] == '\r' && has_byte(csv, i + 1, &code) && csv->data[i + 1] == '\n')
            size = 2;
        if (size == 0)
            break;
        i += size;
        csv->line++;
        consume_to(csv, i);
    }
    return code;
}

static enum err_code read_row(struct csv *csv)
{
    enum err_code code = ERR_OK;
    bool goes_on = true;
    size_t i = csv->at;
    csv->row++;
    csv->row_line = csv->line;
    while (goes_on) {
        if (has_byte(csv, i, &code) && csv->data[i] == '"') {
            i++;
            code = read_quoted(csv, &i);
        } else if (!code) {
            code = read_plain(csv, &i);
        }
        if (!code)
            code = end_cell(csv, &i, &goes_on);
        if (code)
            return code;
    }
    consume_to(csv, i);
    for (int k = 0; k < csv->cell_count; k++)
        csv->cells[k].ptr = csv->data + csv->offsets[k];
    return ERR_OK;
}

/* To the first byte of the next row, or the end. */
static enum err_code begin_row(struct csv *csv)
{
    enum err_code code = ERR_OK;
    compact(csv);
    if (csv->row == 0 && csv->consumed == 0)
        code = skip_mark(csv);
    if (!code)
        code = skip_empty_lines(csv);
    csv->is_ended = csv->is_source_empty && csv->at >= csv->len;
    return code;
}

enum err_code csv_next(struct csv *csv, const struct str **cells, int *count, struct err *err)
{
    enum err_code code = ERR_OK;
    csv->err = err;
    csv->cell_count = 0;
    if (!csv->is_ended) {
        code = begin_row(csv);
        if (!code && !csv->is_ended)
            code = read_row(csv);
    }
    if (code) {
        csv->is_ended = true;
        return code;
    }
    *cells = csv->cells;
    *count = csv->cell_count;
    return ERR_OK;
}

/* --- writing ---------------------------------------------------------------------------------- */

static bool needs_quotes(struct str cell)
{
    for (size_t i = 0; i < cell.len; i++) {
        char c = cell.ptr[i];
        if (c == ',' || c == '"' || c == '\n' || c == '\r')
            return true;
    }
    /* At the beginning of a file these would read as a byte order mark. */
    unsigned char first = cell.len >= 2 ? (unsigned char)cell.ptr[0] : 0;
    unsigned char second = cell.len >= 2 ? (unsigned char)cell.ptr[1] : 0;
    return first >= 0xef && (second == 0xbb || second == 0xfe || second == 0xff);
}

void csv_write_cell(struct buf *out, struct str cell)
{
    if (!needs_quotes(cell)) {
        buf_str(out, cell);
        return;
    }
    buf_char(out, '"');
    for (size_t i = 0; i < cell.len; i++) {
        if (cell.ptr[i] == '"')
            buf_char(out, '"');
        buf_char(out, cell.ptr[i]);
    }
    buf_char(out, '"');
}
