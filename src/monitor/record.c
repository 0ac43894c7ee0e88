/* record.c - words of the prediction record. */
#include "monitor/record.h"

#include "base/check.h"

const char *arm_name(enum arm arm)
{
    static const char *const names[ARM_COUNT] = {"", "stable", "canary", "shadow"};
    assert((int)arm >= 0 && (int)arm < ARM_COUNT);
    return names[arm];
}

const char *kept_as_name(enum kept_as kept_as)
{
    static const char *const names[KEPT_AS_COUNT] = {"", "pseudonym", "nothing"};
    assert((int)kept_as >= 0 && (int)kept_as < KEPT_AS_COUNT);
    return names[kept_as];
}
