/* worker_frame.h - what the server and a worker process say to each other; docs/worker-protocol.md.
 *
 * One message of a seqpacket socket is one frame, little-endian:
 *
 *     0   magic "SLW1"     u32    the last byte is the version
 *     4   kind             u16
 *     6   tensor count     u16    0..64
 *     8   call             u64    which call this belongs to; 0: none
 *     16  value            u64    by kind: a size, a mask
 *     24  text bytes       u32
 *     28  zero             u32
 *     32  tensors          [count, 88]
 *     ..  text             UTF-8; JSON where the kind says so
 *
 *     tensor: dtype u8, rank u8, index u16, zero u32, offset u64, bytes u64, shape i64 [8]
 *
 * Tensors lie in the shared memory at `offset`. BYTES elements are a u32 length and that many
 * bytes each, one behind the other.
 */
#ifndef SLIPWAY_RUNTIME_WORKER_FRAME_H
#define SLIPWAY_RUNTIME_WORKER_FRAME_H

#include "base/err.h"
#include "base/str.h"
#include "base/tensor.h"

enum {
    WORKER_TENSORS_MAX = 64,
    WORKER_HEAD_BYTES = 32,
    WORKER_TENSOR_BYTES = 88,
    WORKER_TEXT_BYTES_MAX = 32 * 1024,
    WORKER_FRAME_BYTES_MAX =
        WORKER_HEAD_BYTES + WORKER_TENSORS_MAX * WORKER_TENSOR_BYTES + WORKER_TEXT_BYTES_MAX,
};

enum worker_kind {
    /* to the worker */
    WORKER_START = 1,  /* value: bytes of JSON at the start of the memory: what to load */
    WORKER_MEMORY = 2, /* value: its size; a descriptor comes along. Replaces the memory before */
    WORKER_CALL = 3,   /* value: mask of wanted outputs; tensors; text: parameters as JSON */
    WORKER_PING = 4,
    WORKER_REFUSE = 5, /* no memory after a WORKER_NEED: the call is over */
    /* from the worker */
    WORKER_READY = 16,   /* text: JSON about the interpreter */
    WORKER_RESULT = 17,  /* tensors */
    WORKER_FAILED = 18,  /* text: JSON {kind, message, traceback} */
    WORKER_NEED = 19,    /* value: bytes of memory that the outputs need */
    WORKER_PONG = 20,    /* answers WORKER_PING */
    WORKER_SANDBOX = 21, /* from the launcher; value: enum sandbox_part bits */
};

struct worker_tensor {
    enum dtype dtype;
    int rank;
    int index; /* in the signature's inputs or outputs */
    uint64_t offset, bytes;
    int64_t shape[TENSOR_RANK_MAX];
};

struct worker_frame {
    enum worker_kind kind;
    uint64_t call, value;
    struct str text; /* borrows the bytes that were read */
    int tensor_count;
    struct worker_tensor tensors[WORKER_TENSORS_MAX];
};

/* The bytes written into out[WORKER_FRAME_BYTES_MAX]. The text is cut at its limit. */
size_t worker_frame_write(const struct worker_frame *frame, char *out);

/* A frame of the worker, which may hold anything. ERR_INVALID says what is wrong with it. */
enum err_code worker_frame_read(struct str bytes, struct worker_frame *frame, struct err *err);

/* Does the tensor lie in `memory_bytes` of memory, and have as many bytes as its shape says? BYTES
 * may have any number. *elements gets the product of its shape. */
enum err_code worker_tensor_check(const struct worker_tensor *tensor, size_t memory_bytes,
                                  int64_t *elements, struct err *err);

/* BYTES elements at bytes[0..size) into texts[0..count), which borrow the bytes. */
enum err_code worker_texts_read(const char *bytes, size_t size, int64_t count, struct str *texts,
                                struct err *err);

#endif
