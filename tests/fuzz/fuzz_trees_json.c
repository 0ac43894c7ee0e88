/* fuzz_trees_json.c - any text as an XGBoost model in JSON. */
#include "trees_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* What this begins with is UBJSON, which has a target of its own. */
    if (size < 2 || data[0] != '{' || !strchr("iUIlL#$N", data[1]))
        trees_check(data, size);
    return 0;
}
