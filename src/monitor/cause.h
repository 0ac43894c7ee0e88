/* cause.h - why a column drifts, in words with numbers: a unit, a category, gaps, a shift.
 *
 * A guess that a person can check, never a verdict: "100 % of rows x0.1 of the baseline; unit
 * change?". Values of a classified field are not shown.
 */
#ifndef SLIPWAY_MONITOR_CAUSE_H
#define SLIPWAY_MONITOR_CAUSE_H

#include "monitor/judge.h"

enum { CAUSE_BYTES = 224, CAUSE_SAMPLE_MIN = 30 };

/* The factor by which a sample of live values differs from the baseline: the live distribution
 * divided by it is the baseline's. 0 when none of the usual units explains it. `values` [count],
 * NaN left out. *share (0..1) of the rows have it: 1, or those that lie outside the baseline's
 * range when the others are as they were. */
double cause_find_factor(const struct baseline_column *column, const float *values, int count,
                         double *share);

/* One clause without a period into text[CAUSE_BYTES]. slots: the column's of the window; values
 * [count] a sample of its rows, may be empty; since: " since 14:02", or "". */
void cause_describe(const struct baseline_column *column, const uint64_t *slots,
                    const struct judgement *judgement, const float *values, int count,
                    const char *since, char *text);

#endif
