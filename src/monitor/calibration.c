/* calibration.c - pool adjacent violators, expected calibration error. */
#include "monitor/calibration.h"

#include <math.h>
#include <stdlib.h>

/* Neighbours that share one fitted value. */
struct block {
    double mean, weight;
    int64_t end; /* place behind its last row */
};

static void join(struct block *into, const struct block *other)
{
    double weight = into->weight + other->weight;
    into->mean += (other->mean - into->mean) * (other->weight / weight);
    into->weight = weight;
    into->end = other->end;
}

void calibration_isotonic(const double *y, const double *weight, int64_t n, double *fitted)
{
    struct block *blocks = malloc(((size_t)n + 1) * sizeof(*blocks));
    int64_t count = 0, row = 0;
    if (!blocks)
        abort();
    for (int64_t i = 0; i < n; i++) {
        blocks[count++] = (struct block){y[i], weight ? weight[i] : 1, i + 1};
        while (count > 1 && blocks[count - 2].mean >= blocks[count - 1].mean) {
            join(&blocks[count - 2], &blocks[count - 1]);
            count--;
        }
    }
    for (int64_t i = 0; i < count; i++)
        while (row < blocks[i].end)
            fitted[row++] = blocks[i].mean;
    free(blocks);
}

double calibration_error(const double *probability, const double *label, int64_t n, int bins)
{
    double error = 0;
    if (n < 1 || bins < 1)
        return NAN;
    for (int64_t bin = 0, row = 0; bin < bins; bin++) {
        int64_t end = row + n / bins + (bin < n % bins);
        double gap = 0;
        for (; row < end; row++)
            gap += probability[row] - label[row];
        error += fabs(gap);
    }
    return error / (double)n;
}
