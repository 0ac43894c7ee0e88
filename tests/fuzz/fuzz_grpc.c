/* fuzz_grpc.c - any bytes as a stream of gRPC messages, each read as a ModelInferRequest. What is
 * accepted must have inputs whose bytes are as many as their shapes say. */
#include <stdint.h>
#include <string.h>

#include "api/grpc.h"
#include "api/grpc_tensor.h"
#include "base/check.h"

enum { MESSAGE_BYTES_MAX = 1 << 16, ARENA_BYTES_MAX = 1 << 22 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_infer(const struct grpc_infer *infer)
{
    const struct oip_request *oip = &infer->oip;
    assert(oip->input_count > 0 && oip->input_count <= OIP_INPUTS_MAX);
    assert(oip->output_count <= OIP_OUTPUTS_MAX);
    for (int i = 0; i < oip->input_count; i++) {
        const struct oip_input *input = &oip->inputs[i];
        assert(input->rank <= TENSOR_RANK_MAX && input->dtype < DTYPE_COUNT);
        assert(input->element_count == tensor_elements(input->shape, input->rank));
        if (input->dtype != DTYPE_BYTES)
            assert(input->binary.len == (size_t)input->element_count * dtype_bytes(input->dtype));
        for (size_t k = 0; k < input->binary.len; k += 4096)
            assert(input->binary.ptr[k] == input->binary.ptr[k]); /* readable */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_request request = {.header_count = 1};
    struct arena *arena = arena_new(ARENA_BYTES_MAX);
    struct str bytes = {(const char *)data, size}, message;
    struct err err = {0};
    size_t taken;
    request.headers[0] = (struct http_header){STR_LIT("grpc-encoding"), STR_LIT("gzip")};
    while (!grpc_next(&request, bytes, MESSAGE_BYTES_MAX, arena, &message, &taken, &err) && taken) {
        struct grpc_infer infer;
        assert(taken <= bytes.len);
        enum err_code rc = grpc_read_infer(message, arena, &infer, &err);
        if (!rc)
            check_infer(&infer);
        else
            assert(err.msg[0]);
        bytes = (struct str){bytes.ptr + taken, bytes.len - taken};
    }
    arena_free(arena);
    return 0;
}
