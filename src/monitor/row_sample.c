/* row_sample.c - reservoir sampling of rows. */
#include "monitor/row_sample.h"

#include <stdlib.h>
#include <string.h>

int row_sample_max(int width)
{
    size_t rows = width > 0 ? ROW_SAMPLE_BYTES / ((size_t)width * sizeof(float)) : 0;
    return rows > ROW_SAMPLE_ROWS ? ROW_SAMPLE_ROWS : (int)rows;
}

void row_sample_add(struct row_sample *sample, const float *row, struct rand *rand)
{
    uint64_t max = (uint64_t)row_sample_max(sample->width), place = sample->seen++;
    size_t width = (size_t)sample->width;
    if (place >= max)
        place = (uint64_t)(rand_unit(rand) * (double)sample->seen);
    if (place >= max)
        return;
    if (!sample->rows)
        sample->rows = calloc((size_t)max * width, sizeof(*row));
    if (!sample->rows)
        abort();
    memcpy(sample->rows + place * width, row, width * sizeof(*row));
    sample->count += sample->count < (int)max;
}

void row_sample_add_all(struct row_sample *sample, const float *rows, int64_t row_count,
                        struct rand *rand)
{
    for (int64_t row = 0; row < row_count; row++)
        row_sample_add(sample, rows + row * sample->width, rand);
}

void row_sample_clear(struct row_sample *sample)
{
    sample->count = 0;
    sample->seen = 0;
}

void row_sample_done(struct row_sample *sample)
{
    free(sample->rows);
    *sample = (struct row_sample){0};
}

int row_sample_column(const struct row_sample *sample, int column, float values[ROW_SAMPLE_ROWS])
{
    for (int i = 0; i < sample->count; i++)
        values[i] = sample->rows[i * sample->width + column];
    return sample->count;
}
