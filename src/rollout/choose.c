/* choose.c - a share as the hash below which a key is in the canary. */
#include "rollout/choose.h"

#include "base/check.h"

uint64_t choose_threshold(int64_t weight_ppm)
{
    assert(weight_ppm >= 0 && weight_ppm <= WEIGHT_ONE);
    if (weight_ppm == WEIGHT_ONE)
        return UINT64_MAX;
    /* floor(weight * 2^64 / 10^6) without leaving 64 bits: 2^64 = whole * 10^6 + rest. */
    const uint64_t whole = UINT64_MAX / WEIGHT_ONE, rest = UINT64_MAX % WEIGHT_ONE + 1;
    uint64_t weight = (uint64_t)weight_ppm;
    return whole * weight + rest * weight / WEIGHT_ONE;
}
