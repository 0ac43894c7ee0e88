/* row_sample.h - a few rows of many, each with the same chance to be among them.
 *
 * Vitter's algorithm R: the k-th row takes a random place with probability size / k. One thread at
 * a time. Memory is taken with the first row.
 */
#ifndef SLIPWAY_MONITOR_ROW_SAMPLE_H
#define SLIPWAY_MONITOR_ROW_SAMPLE_H

#include <stdint.h>

#include "base/rand.h"

enum { ROW_SAMPLE_ROWS = 128, ROW_SAMPLE_BYTES = 1024 * 1024 /* fewer rows when they are wide */ };

struct row_sample {
    int width; /* values of a row; set it, the rest zeroed */
    int count; /* rows kept */
    uint64_t seen;
    float *rows; /* [count, width] */
};

/* How many rows of this width are kept; 0 when one is too wide. */
int row_sample_max(int width);

void row_sample_add(struct row_sample *sample, const float *row, struct rand *rand);
void row_sample_add_all(struct row_sample *sample, const float *rows, int64_t row_count,
                        struct rand *rand);
void row_sample_clear(struct row_sample *sample); /* keeps the memory */
void row_sample_done(struct row_sample *sample);

/* One column, copied. Returns how many values. */
int row_sample_column(const struct row_sample *sample, int column, float values[ROW_SAMPLE_ROWS]);

#endif
