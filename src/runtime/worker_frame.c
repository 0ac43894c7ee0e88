/* worker_frame.c - frames to and from bytes; nothing in a worker's frame is believed. */
#include "runtime/worker_frame.h"

#include "base/check.h"

enum { MAGIC = 0x31574c53 }; /* "SLW1" */

static void put_u16(char *at, unsigned value)
{
    at[0] = (char)(value & 255);
    at[1] = (char)(value >> 8 & 255);
}

static void put_u32(char *at, uint32_t value)
{
    put_u16(at, value & 0xffff);
    put_u16(at + 2, value >> 16);
}

static void put_u64(char *at, uint64_t value)
{
    put_u32(at, (uint32_t)value);
    put_u32(at + 4, (uint32_t)(value >> 32));
}

static unsigned get_u16(const char *at)
{
    return (unsigned char)at[0] | (unsigned)(unsigned char)at[1] << 8;
}

static uint32_t get_u32(const char *at)
{
    return get_u16(at) | (uint32_t)get_u16(at + 2) << 16;
}

static uint64_t get_u64(const char *at)
{
    return get_u32(at) | (uint64_t)get_u32(at + 4) << 32;
}

/* ---- writing ---- */

static void write_tensor(const struct worker_tensor *tensor, char *out)
{
    out[0] = (char)tensor->dtype;
    out[1] = (char)tensor->rank;
    put_u16(out + 2, (unsigned)tensor->index);
    put_u32(out + 4, 0);
    put_u64(out + 8, tensor->offset);
    put_u64(out + 16, tensor->bytes);
    for (int i = 0; i < TENSOR_RANK_MAX; i++)
        put_u64(out + 24 + 8 * i, i < tensor->rank ? (uint64_t)tensor->shape[i] : 0);
}

size_t worker_frame_write(const struct worker_frame *frame, char *out)
{
    size_t text = frame->text.len < WORKER_TEXT_BYTES_MAX ? frame->text.len : WORKER_TEXT_BYTES_MAX;
    assert(frame->tensor_count >= 0 && frame->tensor_count <= WORKER_TENSORS_MAX);
    put_u32(out, MAGIC);
    put_u16(out + 4, frame->kind);
    put_u16(out + 6, (unsigned)frame->tensor_count);
    put_u64(out + 8, frame->call);
    put_u64(out + 16, frame->value);
    put_u32(out + 24, (uint32_t)text);
    put_u32(out + 28, 0);
    char *at = out + WORKER_HEAD_BYTES;
    for (int i = 0; i < frame->tensor_count; i++, at += WORKER_TENSOR_BYTES)
        write_tensor(&frame->tensors[i], at);
    if (text)
        memcpy(at, frame->text.ptr, text);
    return (size_t)(at - out) + text;
}

/* ---- reading ---- */

static enum err_code read_tensor(const char *at, int index, struct worker_tensor *tensor,
                                 struct err *err)
{
    unsigned dtype = (unsigned char)at[0], rank = (unsigned char)at[1];
    if (dtype >= DTYPE_COUNT || rank > TENSOR_RANK_MAX || get_u32(at + 4) != 0)
        return err_set(err, ERR_INVALID, "tensor %d of the frame has dtype %u and rank %u", index,
                       dtype, rank);
    *tensor = (struct worker_tensor){
        .dtype = (enum dtype)dtype,
        .rank = (int)rank,
        .index = (int)get_u16(at + 2),
        .offset = get_u64(at + 8),
        .bytes = get_u64(at + 16),
    };
    for (unsigned i = 0; i < rank; i++)
        tensor->shape[i] = (int64_t)get_u64(at + 24 + 8 * i);
    return ERR_OK;
}

static bool is_from_worker(unsigned kind)
{
    return kind >= WORKER_READY && kind <= WORKER_SANDBOX;
}

enum err_code worker_frame_read(struct str bytes, struct worker_frame *frame, struct err *err)
{
    if (bytes.len < WORKER_HEAD_BYTES)
        return err_set(err, ERR_INVALID, "a frame of %zu bytes has no head", bytes.len);
    unsigned kind = get_u16(bytes.ptr + 4), count = get_u16(bytes.ptr + 6);
    uint32_t text = get_u32(bytes.ptr + 24);
    if (get_u32(bytes.ptr) != MAGIC || get_u32(bytes.ptr + 28) != 0 || !is_from_worker(kind))
        return err_set(err, ERR_INVALID, "a frame that is none (kind %u)", kind);
    if (count > WORKER_TENSORS_MAX || text > WORKER_TEXT_BYTES_MAX ||
        bytes.len != WORKER_HEAD_BYTES + (size_t)count * WORKER_TENSOR_BYTES + text)
        return err_set(err, ERR_INVALID,
                       "a frame of %zu bytes that claims %u tensors and %u of "
                       "text",
                       bytes.len, count, text);
    frame->kind = (enum worker_kind)kind;
    frame->call = get_u64(bytes.ptr + 8);
    frame->value = get_u64(bytes.ptr + 16);
    frame->tensor_count = (int)count;
    frame->text = (struct str){bytes.ptr + bytes.len - text, text};
    for (unsigned i = 0; i < count; i++) {
        const char *at = bytes.ptr + WORKER_HEAD_BYTES + (size_t)i * WORKER_TENSOR_BYTES;
        enum err_code rc = read_tensor(at, (int)i, &frame->tensors[i], err);
        if (rc)
            return rc;
    }
    return ERR_OK;
}

enum err_code worker_tensor_check(const struct worker_tensor *tensor, size_t memory_bytes,
                                  int64_t *elements, struct err *err)
{
    size_t size = dtype_bytes(tensor->dtype);
    uint64_t bytes;
    *elements = tensor_elements(tensor->shape, tensor->rank);
    if (*elements < 0)
        return err_set(err, ERR_INVALID, "a tensor whose shape has no size");
    if (tensor->offset > memory_bytes || tensor->bytes > memory_bytes - tensor->offset)
        return err_set(err, ERR_INVALID, "a tensor outside the memory");
    if (size == 0) /* each text has its length at least */
        return (uint64_t)*elements <= tensor->bytes / 4
                   ? ERR_OK
                   : err_set(err, ERR_INVALID, "%lld texts in %llu bytes", (long long)*elements,
                             (unsigned long long)tensor->bytes);
    if (__builtin_mul_overflow((uint64_t)*elements, size, &bytes) || bytes != tensor->bytes)
        return err_set(err, ERR_INVALID, "%llu bytes for %lld elements of %s",
                       (unsigned long long)tensor->bytes, (long long)*elements,
                       dtype_name(tensor->dtype));
    return ERR_OK;
}

enum err_code worker_texts_read(const char *bytes, size_t size, int64_t count, struct str *texts,
                                struct err *err)
{
    size_t at = 0;
    for (int64_t i = 0; i < count; i++) {
        if (size - at < 4)
            return err_set(err, ERR_INVALID, "text %lld has no length", (long long)i);
        size_t length = get_u32(bytes + at);
        at += 4;
        if (length > size - at)
            return err_set(err, ERR_INVALID, "text %lld ends outside its tensor", (long long)i);
        texts[i] = (struct str){bytes + at, length};
        at += length;
    }
    return at == size ? ERR_OK
                      : err_set(err, ERR_INVALID, "%zu bytes behind the last text", size - at);
}
