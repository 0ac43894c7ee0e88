/* label_noise.h - labels that are probably wrong, by confident learning.
 *
 * From out-of-fold probabilities: a class's threshold is the mean probability of it among the rows
 * labelled so; a row counts as class k when its probability of k reaches k's threshold, the largest
 * if several do. Rows that count as another class than their label are suspects: rank them by the
 * probability of their own label and let a person look; never delete by itself.
 * Northcutt, Jiang, Chuang, JAIR 70 (2021).
 */
#ifndef SLIPWAY_MONITOR_LABEL_NOISE_H
#define SLIPWAY_MONITOR_LABEL_NOISE_H

#include <stdint.h>

/* labels [rows] in [0, classes); probability [rows, classes]. Out: threshold [classes] (NaN for a
 * class without rows), joint [classes, classes] of label by guess, guess [rows] (-1: none reaches
 * its threshold). Returns how many rows are suspects. */
int64_t label_noise_find(const int32_t *labels, const double *probability, int64_t rows,
                         int classes, double *threshold, int64_t *joint, int32_t *guess);

#endif
