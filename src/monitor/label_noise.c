/* label_noise.c - thresholds, guesses and the confident joint. */
#include "monitor/label_noise.h"

#include <math.h>
#include <string.h>

/* Until the means are made, joint's diagonal holds the counts. */
static void find_thresholds(const int32_t *labels, const double *probability, int64_t rows,
                            int classes, double *threshold, int64_t *joint)
{
    memset(threshold, 0, (size_t)classes * sizeof(*threshold));
    for (int64_t row = 0; row < rows; row++) {
        threshold[labels[row]] += probability[row * classes + labels[row]];
        joint[labels[row] * classes + labels[row]]++;
    }
    for (int k = 0; k < classes; k++) {
        int64_t *count = &joint[k * classes + k];
        threshold[k] = *count ? threshold[k] / (double)*count : NAN;
        *count = 0;
    }
}

static int32_t guess_of(const double *probability, const double *threshold, int classes)
{
    int32_t best = -1;
    for (int32_t k = 0; k < classes; k++)
        if (probability[k] >= threshold[k] && (best < 0 || probability[k] > probability[best]))
            best = k;
    return best;
}

int64_t label_noise_find(const int32_t *labels, const double *probability, int64_t rows,
                         int classes, double *threshold, int64_t *joint, int32_t *guess)
{
    int64_t suspects = 0;
    memset(joint, 0, (size_t)classes * (size_t)classes * sizeof(*joint));
    find_thresholds(labels, probability, rows, classes, threshold, joint);
    for (int64_t row = 0; row < rows; row++) {
        guess[row] = guess_of(probability + row * classes, threshold, classes);
        if (guess[row] < 0)
            continue;
        joint[labels[row] * classes + guess[row]]++;
        suspects += guess[row] != labels[row];
    }
    return suspects;
}
