/* fuzz_oip.c - any bytes as an OIP request: parsed and read within bounds, or refused with words.
 */
#include <stdint.h>
#include <stdlib.h>

#include "api/api.h"
#include "api/oip.h"
#include "base/check.h"

enum { ARENA_BYTES = 64 * 1024 * 1024, ELEMENTS_MAX = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_input(const struct oip_input *input)
{
    static float out[ELEMENTS_MAX];
    struct err err = {0};
    struct str element;
    size_t offset = 0;
    if (input->dtype == DTYPE_F32 && input->element_count <= ELEMENTS_MAX) {
        if (oip_read_f32(input, out, &err))
            assert(err.msg[0]);
    } else if (input->binary.ptr && input->dtype == DTYPE_BYTES) {
        while (oip_binary_next(input, &offset, &element))
            assert(element.ptr >= input->binary.ptr);
    } else if (input->binary.ptr) {
        for (int64_t i = 0; i < input->element_count; i++)
            (void)oip_binary_f64(input, i);
    }
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
            read_input(&request.inputs[i]);
    }
    arena_free(arena);
    return 0;
}
