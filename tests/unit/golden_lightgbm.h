/* golden_lightgbm.h - reads tests/golden/lightgbm/VERSION/NAME.golden, which make.py describes. */
#ifndef SLIPWAY_TESTS_UNIT_GOLDEN_LIGHTGBM_H
#define SLIPWAY_TESTS_UNIT_GOLDEN_LIGHTGBM_H

#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

enum { LIGHTGBM_GOLDEN_BYTES_MAX = 1 << 24, LIGHTGBM_PATH_MAX = 256 };

struct lightgbm_case {
    const double *inputs, *margins, *predictions;
};

struct lightgbm_golden {
    char stem[LIGHTGBM_PATH_MAX]; /* path without ".golden" */
    int rows, features, margin_count, prediction_count;
    struct lightgbm_case wide, narrow; /* of doubles, and of the same rounded to float32 */
    double *numbers;
};

static inline bool lightgbm_golden_read(const char *path, struct lightgbm_golden *g)
{
    struct err err = {0};
    struct buf bytes;
    int head = 0;
    char line[160] = {0};
    memset(g, 0, sizeof(*g));
    snprintf(g->stem, sizeof(g->stem), "%.*s", (int)(strlen(path) - strlen(".golden")), path);
    if (file_read(path, LIGHTGBM_GOLDEN_BYTES_MAX, &bytes, &err))
        return false;
    memcpy(line, bytes.data, bytes.len < sizeof(line) - 1 ? bytes.len : sizeof(line) - 1);
    bool is_read =
        sscanf(line, "slipway golden lightgbm\nrows %d features %d margins %d predictions %d%n",
               &g->rows, &g->features, &g->margin_count, &g->prediction_count, &head) == 4;
    size_t columns = (size_t)(g->features + g->margin_count + g->prediction_count);
    size_t size = 2 * (size_t)g->rows * columns * sizeof(double);
    is_read = is_read && g->rows > 0 && bytes.len == (size_t)head + 1 + size;
    if (is_read) {
        g->numbers = malloc(size);
        memcpy(g->numbers, bytes.data + head + 1, size);
        g->wide.inputs = g->numbers;
        g->wide.margins = g->wide.inputs + g->rows * g->features;
        g->wide.predictions = g->wide.margins + g->rows * g->margin_count;
        g->narrow.inputs = g->wide.predictions + g->rows * g->prediction_count;
        g->narrow.margins = g->narrow.inputs + g->rows * g->features;
        g->narrow.predictions = g->narrow.margins + g->rows * g->margin_count;
    }
    buf_done(&bytes);
    return is_read;
}

#endif
