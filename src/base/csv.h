/* csv.h - RFC 4180 rows out of bytes: quoted cells, quoted newlines, CRLF, a BOM; with limits.
 *
 * The reader works on the whole text in memory and gives one row at a time; a cell borrows the text
 * or the reader's scratch (when quotes had to be undone) until the next row.
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
    CSV_ROW_BYTES_MAX = 16 * 1024 * 1024
};

struct csv;

struct csv *csv_new(struct str text, char separator);
void csv_free(struct csv *csv); /* NULL is allowed */

/* The next row; empty lines are skipped. *cells [*count] until the next call; *count 0 at the end.
 */
enum err_code csv_next(struct csv *csv, const struct str **cells, int *count, struct err *err);

/* Line (1-based) on which the last row began. */
int64_t csv_line(const struct csv *csv);

/* One cell, quoted when it must be; separators and line ends are the caller's. */
void csv_write_cell(struct buf *out, struct str cell);

#endif
