/* csv.h - comma-separated values (RFC 4180), read a row at a time and written cell by cell.
 *
 *     struct csv *csv = csv_new(text, ',');
 *     while (!(code = csv_next(csv, &cells, &count, err)) && count) ...
 *     csv_free(csv);
 *
 * Rows end with LF or CRLF; quoted cells may hold separators, line ends and doubled quotes. A UTF-8
 * byte order mark is skipped, and so are empty lines. What RFC 4180 does not allow is an error that
 * names row, column and line: a quote inside an unquoted cell, text behind a closing quote, a quote
 * that never closes, a lone carriage return, a NUL. Whether all rows have the same number of cells
 * is the caller's business, because one bad row need not end a batch.
 */
#ifndef SLIPWAY_BASE_CSV_H
#define SLIPWAY_BASE_CSV_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum {
    CSV_COLUMNS_MAX = 8192,
    CSV_CELL_BYTES_MAX = 1024 * 1024,
    CSV_ROW_BYTES_MAX = 16 * 1024 * 1024,
};

struct csv; /* the reader */

/* Reads bytes that outlive the reader, or a descriptor that stays the caller's. */
struct csv *csv_new(struct str text, char separator);
struct csv *csv_new_fd(int fd, char separator);
void csv_free(struct csv *csv); /* NULL is allowed */

/* The next row; empty lines are skipped. *cells [*count] until the next call; *count 0 at the end.
 * ERR_INVALID and ERR_LIMIT name the place; after an error the reader is at the end. */
enum err_code csv_next(struct csv *csv, const struct str **cells, int *count, struct err *err);

/* Line (1-based) on which the last row began. */
int64_t csv_line(const struct csv *csv);

/* Bytes consumed so far, for a progress bar. */
int64_t csv_bytes(const struct csv *csv);

/* One cell, quoted when it must be; separators (commas) and line ends are the caller's. A row of
 * one empty cell needs the text "" or reads as an empty line. */
void csv_write_cell(struct buf *out, struct str cell);

#endif
