/* test_tensor.c - datatypes of the Open Inference Protocol, and element counts. */
#include "base/tensor.h"

#include <stdlib.h>

#include "base/check.h"
#include "test.h"

/* The protocol's table "Tensor Data Types": name and bytes. */
static void names_and_sizes_are_the_protocols(void **state)
{
    static const struct {
        enum dtype dtype;
        const char *name;
        size_t bytes;
    } table[] = {{DTYPE_BOOL, "BOOL", 1},  {DTYPE_U8, "UINT8", 1},   {DTYPE_U16, "UINT16", 2},
                 {DTYPE_U32, "UINT32", 4}, {DTYPE_U64, "UINT64", 8}, {DTYPE_I8, "INT8", 1},
                 {DTYPE_I16, "INT16", 2},  {DTYPE_I32, "INT32", 4},  {DTYPE_I64, "INT64", 8},
                 {DTYPE_F16, "FP16", 2},   {DTYPE_BF16, "BF16", 2},  {DTYPE_F32, "FP32", 4},
                 {DTYPE_F64, "FP64", 8},   {DTYPE_BYTES, "BYTES", 0}};
    (void)state;
    assert_int_equal(ARRAY_LEN(table), DTYPE_COUNT);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        assert_string_equal(dtype_name(table[i].dtype), table[i].name);
        assert_int_equal(dtype_bytes(table[i].dtype), table[i].bytes);
        assert_int_equal(dtype_find(str_of(table[i].name)), table[i].dtype);
    }
}

static void unknown_names_have_no_dtype(void **state)
{
    (void)state;
    assert_int_equal(dtype_find(STR_LIT("FP")), DTYPE_COUNT);
    assert_int_equal(dtype_find(STR_LIT("fp32")), DTYPE_COUNT);
    assert_int_equal(dtype_find(STR_LIT("")), DTYPE_COUNT);
}

static int64_t elements(int rank, int64_t a, int64_t b, int64_t c)
{
    const int64_t shape[3] = {a, b, c};
    return tensor_elements(shape, rank);
}

static void elements_are_the_product_or_minus_one(void **state)
{
    (void)state;
    assert_int_equal(elements(0, 0, 0, 0), 1); /* a scalar */
    assert_int_equal(elements(3, 2, 3, 4), 24);
    assert_int_equal(elements(2, 0, 7, 0), 0);
    assert_int_equal(elements(2, 7, -1, 0), -1);
    assert_int_equal(elements(2, 0, -1, 0), -1); /* a lie is a lie beside a zero, too */
    assert_int_equal(elements(3, INT64_C(1) << 31, INT64_C(1) << 31, 1), INT64_C(1) << 62);
    assert_int_equal(elements(3, INT64_C(1) << 31, INT64_C(1) << 31, 2), -1);
    assert_int_equal(elements(3, INT64_MAX, INT64_MAX, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_sizes_are_the_protocols),
        cmocka_unit_test(unknown_names_have_no_dtype),
        cmocka_unit_test(elements_are_the_product_or_minus_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
