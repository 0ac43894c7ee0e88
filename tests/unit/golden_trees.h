/* golden_trees.h - reads tests/golden/trees/VERSION/NAME.golden, which make.py describes.
 */
#ifndef SLIPWAY_TESTS_UNIT_GOLDEN_TREES_H
#define SLIPWAY_TESTS_UNIT_GOLDEN_TREES_H

#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

enum { GOLDEN_BYTES_MAX = 1 << 24, GOLDEN_PATH_MAX = 256 };

struct golden {
    char stem[GOLDEN_PATH_MAX]; /* path without ".golden" */
    int rows, features, margin_count, prediction_count;
    const float *inputs;      /* [rows, features] */
    const float *margins;     /* [rows, margin_count] */
    const float *predictions; /* [rows, prediction_count] */
    struct buf bytes;
    float *numbers;
};

/* Sorted paths of all cases; globfree() them. */
static inline bool golden_list(glob_t *list)
{
    return glob("tests/golden/trees/*/*.golden", 0, NULL, list) == 0 && list->gl_pathc > 0;
}

static inline bool golden_read(const char *path, struct golden *g)
{
    struct err err = {0};
    int head = 0;
    memset(g, 0, sizeof(*g));
    snprintf(g->stem, sizeof(g->stem), "%.*s", (int)(strlen(path) - strlen(".golden")), path);
    if (file_read(path, GOLDEN_BYTES_MAX, &g->bytes, &err))
        return false;
    const char *text = g->bytes.data;
    char line[160] = {0};
    memcpy(line, text, g->bytes.len < sizeof(line) - 1 ? g->bytes.len : sizeof(line) - 1);
    if (sscanf(line, "slipway golden trees\nrows %d features %d margins %d predictions %d%n",
               &g->rows, &g->features, &g->margin_count, &g->prediction_count, &head) != 4)
        return false;
    size_t columns = (size_t)(g->features + g->margin_count + g->prediction_count);
    size_t size = (size_t)g->rows * columns * sizeof(float);
    if (g->rows < 1 || g->bytes.len != (size_t)head + 1 + size)
        return false;
    g->numbers = malloc(size);
    memcpy(g->numbers, text + head + 1, size);
    g->inputs = g->numbers;
    g->margins = g->inputs + g->rows * g->features;
    g->predictions = g->margins + g->rows * g->margin_count;
    return true;
}

static inline void golden_done(struct golden *g)
{
    free(g->numbers);
    buf_done(&g->bytes);
}

/* The model file NAME<suffix> of a case; false when the case has none. buf_done() it. */
static inline bool golden_model(const struct golden *g, const char *suffix, struct buf *bytes)
{
    char path[GOLDEN_PATH_MAX + 8];
    struct err err = {0};
    snprintf(path, sizeof(path), "%s%s", g->stem, suffix);
    if (file_read(path, GOLDEN_BYTES_MAX, bytes, &err) == ERR_OK)
        return true;
    buf_done(bytes);
    return false;
}

#endif
