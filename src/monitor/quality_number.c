/* quality_number.c - errors of numbers: y the truth, f the answer, w the weight of a row.
 *
 * Agrees with scikit-learn's functions of the same names; tests/golden/quality.
 */
#include <math.h>

#include "monitor/quality_sample.h"

/* Mean absolute error: sum w |f - y| / sum w, in the unit of the answer. */
double quality_mae(const struct quality_sample *sample)
{
    const struct quality_rows *rows = sample->rows;
    double sum = 0, all = 0;
    for (int64_t i = 0; i < rows->count; i++) {
        sum += sample->weight[i] * fabs(rows->predicted_number[i] - rows->truth_number[i]);
        all += sample->weight[i];
    }
    return sum / all;
}

/* Root of the mean squared error: sqrt(sum w (f - y)^2 / sum w), in the unit of the answer. */
double quality_rmse(const struct quality_sample *sample)
{
    const struct quality_rows *rows = sample->rows;
    double sum = 0, all = 0;
    for (int64_t i = 0; i < rows->count; i++) {
        double miss = rows->predicted_number[i] - rows->truth_number[i];
        sum += sample->weight[i] * miss * miss;
        all += sample->weight[i];
    }
    return sqrt(sum / all);
}

static double mean_truth(const struct quality_sample *sample)
{
    double sum = 0, all = 0;
    for (int64_t i = 0; i < sample->rows->count; i++) {
        sum += sample->weight[i] * sample->rows->truth_number[i];
        all += sample->weight[i];
    }
    return sum / all;
}

/* 1 - sum w (f - y)^2 / sum w (y - mean y)^2: 1 is perfect, 0 no better than the mean of these
 * rows, below 0 worse. NaN when the truth is the same in all rows. */
double quality_r2(const struct quality_sample *sample)
{
    const struct quality_rows *rows = sample->rows;
    double mean = mean_truth(sample), missed = 0, spread = 0;
    for (int64_t i = 0; i < rows->count; i++) {
        double miss = rows->predicted_number[i] - rows->truth_number[i];
        double from_mean = rows->truth_number[i] - mean;
        missed += sample->weight[i] * miss * miss;
        spread += sample->weight[i] * from_mean * from_mean;
    }
    return spread > 0 ? 1 - missed / spread : NAN;
}

/* Mean of |f - y| / |y|: 0.1 is 10 %. Its trap: it has no value where the truth is 0 and explodes
 * near it, and it punishes too high answers more than too low ones. Rows of truth 0 are left out
 * and counted as skipped, where scikit-learn divides by its epsilon instead. */
double quality_mape(const struct quality_sample *sample)
{
    const struct quality_rows *rows = sample->rows;
    double sum = 0, all = 0;
    for (int64_t i = 0; i < rows->count; i++) {
        double y = rows->truth_number[i];
        if (y == 0)
            continue;
        sum += sample->weight[i] * fabs((rows->predicted_number[i] - y) / y);
        all += sample->weight[i];
    }
    return sum / all;
}
