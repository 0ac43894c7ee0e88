/* fuzz_worker_frame.c - any bytes as a frame of a worker: refused, or all of it lies inside. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/check.h"
#include "runtime/worker_frame.h"

enum { TEXTS_MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The bytes behind the frame's head stand for the memory too. */
static void check_tensor(const struct worker_tensor *tensor, struct str memory)
{
    static struct str texts[TEXTS_MAX];
    struct err err = {0};
    int64_t count = 0;
    if (worker_tensor_check(tensor, memory.len, &count, &err))
        return;
    assert(tensor->offset + tensor->bytes <= memory.len && count >= 0);
    if (tensor->dtype != DTYPE_BYTES || count > TEXTS_MAX)
        return;
    const char *bytes = memory.ptr + tensor->offset;
    if (worker_texts_read(bytes, tensor->bytes, count, texts, &err))
        return;
    for (int64_t i = 0; i < count; i++)
        assert(texts[i].ptr >= bytes && texts[i].ptr + texts[i].len <= bytes + tensor->bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct worker_frame frame, again;
    static char written[WORKER_FRAME_BYTES_MAX];
    struct err err = {0};
    const struct str bytes = {(const char *)data, size};
    if (worker_frame_read(bytes, &frame, &err))
        return 0;
    for (int i = 0; i < frame.tensor_count; i++)
        check_tensor(&frame.tensors[i], bytes);
    size_t length = worker_frame_write(&frame, written);
    assert(length == size);
    assert(worker_frame_read((struct str){written, length}, &again, &err) == ERR_OK);
    assert(again.kind == frame.kind && again.call == frame.call && again.value == frame.value);
    assert(again.tensor_count == frame.tensor_count && str_equal(again.text, frame.text));
    return 0;
}
