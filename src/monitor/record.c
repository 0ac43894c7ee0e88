/* record.c - words of the prediction record. */
#include "monitor/record.h"

#include "base/check.h"

const char *arm_name(enum arm arm)
{
    static const char *const names[ARM_COUNT] = {"", "stable", "canary", "shadow"};
    assert((int)arm >= 0 && (int)arm < ARM_COUNT);
    return names[arm];
}
