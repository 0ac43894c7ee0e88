/* gate_speed.h - which of two sets of durations is longer, told apart from the noise. */
#ifndef SLIPWAY_ROLLOUT_GATE_SPEED_H
#define SLIPWAY_ROLLOUT_GATE_SPEED_H

#include "rollout/gate.h"

enum { GATE_SPEED_BLOCKS = 9 };

/* How a quantile of the candidate's durations stands to the champion's. Both lists [count] in
 * nanoseconds, taken in turns; they are cut into GATE_SPEED_BLOCKS blocks by time, each gives a
 * ratio, and the value is their median, low and high the second least and second largest: for nine
 * ratios they cover the median with 96 % (order statistics, binomial). */
struct gate_ratio {
    double value, low, high;
    double candidate_us, champion_us; /* of all durations */
};
struct gate_ratio gate_speed_ratio(const int64_t *candidate, const int64_t *champion, int64_t count,
                                   double quantile);

/* Within `max`, or below what nobody cares about. */
enum gate_verdict gate_speed_judge(const struct gate_ratio *ratio, double max, double fine_us);

#endif
