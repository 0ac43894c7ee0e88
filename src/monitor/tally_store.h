/* tally_store.h - one tally as a row of the store. */
#ifndef SLIPWAY_MONITOR_TALLY_STORE_H
#define SLIPWAY_MONITOR_TALLY_STORE_H

#include "base/buf.h"
#include "monitor/tally.h"

struct tally_row {
    struct tally head; /* its numbers; no scores */
    int64_t run_us;
    struct buf latency, scores;
};

void tally_row_init(struct tally_row *row);
void tally_row_done(struct tally_row *row);
void tally_row_write(struct tally_row *row, const struct tally *tally, int64_t run_us);
enum err_code tally_row_put(const struct tally_row *row, struct store *store, struct err *err);

/* "12:5,13:9": the cells that are not 0; and back, false when it is none or a cell is not below
 * `cell_count`. */
void tally_cells_write(struct buf *out, const int64_t *cells, int cell_count);
bool tally_cells_read(struct str text, int64_t *cells, int cell_count);

#endif
