/* fuzz_oip.c - any bytes as an OIP request: parsed and read within bounds, or refused with words.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "api/api.h"
#include "api/oip.h"
#include "api/oip_elements.h"
#include "base/check.h"
#include "base/tensor_element.h"

enum { ARENA_BYTES = 64 * 1024 * 1024, ELEMENTS_MAX = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What came in binary goes out the same. */
static void check_wire(const struct tensor *tensor, const struct oip_input *input)
{
    struct buf wire;
    if (input->data)
        return;
    buf_init(&wire, input->binary.len + 1);
    tensor_put_wire(&wire, tensor);
    assert(tensor_wire_bytes(tensor) == input->binary.len);
    assert(wire.len == input->binary.len &&
           (wire.len == 0 || memcmp(wire.data, input->binary.ptr, wire.len) == 0));
    buf_done(&wire);
}

static void read_input(const struct oip_input *input, struct arena *arena)
{
    struct err err = {0};
    struct tensor tensor = {0};
    double sum = 0;
    if (input->dtype == DTYPE_COUNT)
        return; /* a raw request: the model says what it is */
    if (oip_read_tensor(input, arena, &tensor, &err)) {
        assert(err.msg[0]);
        return;
    }
    assert(tensor_elements(tensor.shape, tensor.rank) == input->element_count);
    for (int64_t i = 0; i < input->element_count; i++)
        if (tensor.dtype == DTYPE_BYTES)
            sum += (double)((const struct str *)tensor.data)[i].len;
        else
            sum += tensor_f64_at(tensor.data, tensor.dtype, i);
    assert(sum >= 0 || sum < 0 || isnan(sum)); /* every element was looked at */
    check_wire(&tensor, input);
}

/* What the one-pass reader accepts, the other one reads to the same bits. */
static void compare_readers(struct str body, struct arena *arena)
{
    static float parsed[ELEMENTS_MAX];
    struct err err = {0};
    struct oip_request scan, parse;
    if (!oip_scan(body, arena, &scan) || scan.inputs->element_count > ELEMENTS_MAX)
        return;
    assert(oip_parse(body, (struct str){0}, arena, &parse, &err) == ERR_OK);
    assert(parse.input_count == 1 && parse.output_count == 0);
    assert(str_equal(parse.id, scan.id) && (parse.id.ptr != NULL) == (scan.id.ptr != NULL));
    assert(str_equal(parse.inputs->name, scan.inputs->name));
    assert(parse.inputs->dtype == scan.inputs->dtype && parse.inputs->rank == scan.inputs->rank);
    assert(memcmp(parse.inputs->shape, scan.inputs->shape,
                  sizeof(int64_t) * (size_t)scan.inputs->rank) == 0);
    assert(oip_read_f32(parse.inputs, parsed, &err) == ERR_OK);
    assert(memcmp(parsed, scan.inputs->floats,
                  sizeof(float) * (size_t)scan.inputs->element_count) == 0);
}

/* The first two bytes say where the JSON ends; 0xffff: no header. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char digits[STR_NUMBER_BYTES];
    struct err err = {0};
    struct oip_request request;
    if (size < 2)
        return 0;
    unsigned length = data[0] | (unsigned)data[1] << 8;
    struct str header = {digits, str_from_u64(length, digits)};
    struct str body = {(const char *)data + 2, size - 2};
    struct arena *arena = arena_new(ARENA_BYTES);
    compare_readers(body, arena);
    if (oip_parse(body, length == 0xffff ? (struct str){0} : header, arena, &request, &err)) {
        assert(err.msg[0]);
    } else {
        for (int i = 0; i < request.input_count; i++)
            read_input(&request.inputs[i], arena);
    }
    arena_free(arena);
    return 0;
}
