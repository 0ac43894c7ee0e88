/* fuzz_trees_ubjson.c - any bytes as an XGBoost model in UBJSON. */
#include "trees_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size >= 2 && data[0] == '{')
        trees_check(data, size);
    return 0;
}
