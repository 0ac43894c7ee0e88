/* fuzz_trees_onnx.c - any bytes as an ONNX file of trees. */
#include "trees_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* What begins with the field of ir_version is no text, and texts have targets of their own. */
    if (size > 1 && data[0] == 8)
        trees_check(data, size);
    return 0;
}
