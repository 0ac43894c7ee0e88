/* fuzz_trees_lightgbm.c - any text as a LightGBM model. */
#include "trees_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* Others begin with a brace and have targets of their own. */
    if (size > 4 && memcmp(data, "tree", 4) == 0)
        trees_check(data, size);
    return 0;
}
