/* record.c - words of the prediction record. */
#include "monitor/record.h"

#include "base/check.h"

const char *arm_name(enum arm arm)
{
    static const char *const names[ARM_COUNT] = {"", "stable", "canary", "shadow"};
    assert(arm >= 0 && arm < ARM_COUNT);
    return names[arm];
}
