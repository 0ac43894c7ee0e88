/* worker_call.c - one call of a worker: tensors into the memory, frames, tensors out of it.
 *
 *     inputs -> memory; WORKER_CALL -> ... <- WORKER_RESULT; memory -> the call's arena
 *                                          <- WORKER_NEED: larger memory, and on it goes
 *                                          <- WORKER_FAILED
 *
 * The worker can write to the memory at any time, so what is read from it is copied first and
 * looked at then.
 */
#include "runtime/worker.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>

#include "base/check.h"
#include "base/clock.h"

enum {
    ALIGN = 64,
    OUTPUT_ROOM = 64 * 1024, /* for outputs, so that small ones need no larger memory */
    CANCEL_LOOK_MS = 20,     /* between looks whether the client is still there */
    WAIT_MS_MAX = 60 * 1000,
};

/* One call while it is made. */
struct dialog {
    struct worker *worker;
    const struct worker_plan *plan;
    struct runtime_call *call;
    enum worker_left *left;
    size_t in_bytes; /* of the memory */
    struct err *err;
    char buffer[WORKER_FRAME_BYTES_MAX];
    struct worker_frame frame;
};

static size_t aligned(size_t bytes)
{
    return (bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

/* ---- inputs ---- */

static size_t texts_bytes(const struct str *texts, int64_t count)
{
    size_t bytes = 0;
    for (int64_t i = 0; i < count; i++)
        bytes += 4 + texts[i].len;
    return bytes;
}

static void put_texts(char *at, const struct str *texts, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        uint32_t length = (uint32_t)texts[i].len;
        memcpy(at, &length, 4);
        if (length)
            memcpy(at + 4, texts[i].ptr, length);
        at += 4 + length;
    }
}

static void place_inputs(struct dialog *d)
{
    const struct runtime_call *call = d->call;
    struct worker_frame *frame = &d->frame;
    size_t at = 0;
    frame->tensor_count = 0;
    for (int i = 0; i < call->in_count; i++) {
        const struct tensor *in = &call->in[i];
        if (!in->data)
            continue;
        int64_t count = tensor_elements(in->shape, in->rank);
        struct worker_tensor *tensor = &frame->tensors[frame->tensor_count++];
        assert(count >= 0);
        *tensor =
            (struct worker_tensor){.dtype = in->dtype, .rank = in->rank, .index = i, .offset = at};
        memcpy(tensor->shape, in->shape, sizeof(tensor->shape));
        tensor->bytes = in->dtype == DTYPE_BYTES ? texts_bytes(in->data, count)
                                                 : (size_t)count * dtype_bytes(in->dtype);
        at = aligned(at + tensor->bytes);
    }
    d->in_bytes = at;
}

static void copy_inputs(struct dialog *d)
{
    for (int i = 0; i < d->frame.tensor_count; i++) {
        const struct worker_tensor *tensor = &d->frame.tensors[i];
        const struct tensor *in = &d->call->in[tensor->index];
        char *at = d->worker->memory + tensor->offset;
        if (tensor->dtype == DTYPE_BYTES)
            put_texts(at, in->data, tensor_elements(in->shape, in->rank));
        else if (tensor->bytes)
            memcpy(at, in->data, tensor->bytes);
    }
}

static uint64_t wanted_mask(const struct dialog *d)
{
    const struct signature *sig = &d->plan->settings->signature;
    uint64_t mask = 0;
    for (int i = 0; i < sig->output_count; i++)
        if (d->call->wanted ? d->call->wanted[i] : !sig->outputs[i].is_on_request)
            mask |= (uint64_t)1 << i;
    return mask;
}

static enum err_code ask(struct dialog *d)
{
    struct worker_frame *frame = &d->frame;
    place_inputs(d);
    if (d->in_bytes + OUTPUT_ROOM > d->worker->memory_bytes) {
        enum err_code rc = worker_grow(d->worker, d->in_bytes + OUTPUT_ROOM, d->err);
        if (rc)
            return rc;
    }
    copy_inputs(d);
    frame->kind = WORKER_CALL;
    frame->call = ++d->worker->call;
    frame->value = wanted_mask(d);
    frame->text = d->call->parameters;
    if (frame->text.len > WORKER_TEXT_BYTES_MAX) {
        *d->left = WORKER_IDLE;
        return err_set(d->err, ERR_LIMIT, "parameters of %zu bytes; %d are the limit",
                       frame->text.len, WORKER_TEXT_BYTES_MAX);
    }
    return worker_send(d->worker, frame, d->err);
}

/* ---- waiting ---- */

static bool is_cancelled(const struct dialog *d)
{
    return d->call->is_cancelled && atomic_load(d->call->is_cancelled);
}

static int wait_ms(const struct dialog *d, int64_t left_ns)
{
    int64_t ms = (left_ns + 999999) / 1000000;
    if (ms > WAIT_MS_MAX)
        ms = WAIT_MS_MAX;
    if (d->call->is_cancelled && ms > CANCEL_LOOK_MS)
        ms = CANCEL_LOOK_MS;
    return (int)ms;
}

/* The next frame of this call, in its time. */
static enum err_code wait_frame(struct dialog *d, int64_t deadline_ns)
{
    struct pollfd fd = {.fd = d->worker->socket_fd, .events = POLLIN};
    for (;;) {
        bool has_frame = false;
        enum err_code rc = worker_receive(d->worker, d->buffer, &d->frame, &has_frame, d->err);
        if (rc)
            return rc;
        if (has_frame && d->frame.call != d->worker->call)
            return err_set(d->err, ERR_UPSTREAM,
                           "the model's worker does not keep to the protocol");
        if (has_frame)
            return ERR_OK;
        int64_t left_ns = deadline_ns - clock_monotonic_ns();
        *d->left = WORKER_AT_IT;
        if (is_cancelled(d))
            return err_set(d->err, ERR_CANCELLED, "the client has left");
        if (left_ns <= 0)
            return err_set(d->err, ERR_TIMEOUT, "the model's code did not answer in time");
        *d->left = WORKER_BROKEN;
        poll(&fd, 1, wait_ms(d, left_ns));
    }
}

/* ---- outputs ---- */

static enum err_code refuse_output(struct dialog *d, const char *name, const char *what)
{
    return err_set(d->err, ERR_UPSTREAM, "the model's output '%s' %s", name, what);
}

static bool has_shape(const struct signature_tensor *declared, const struct worker_tensor *got)
{
    bool is_ok = declared->dtype == got->dtype && declared->rank == got->rank;
    for (int i = 0; is_ok && i < got->rank; i++)
        is_ok = declared->shape[i] == -1 || declared->shape[i] == got->shape[i];
    return is_ok;
}

/* Models with a batch dimension answer each row once. */
static bool has_rows(const struct dialog *d, const struct worker_tensor *got)
{
    const struct signature *sig = &d->plan->settings->signature;
    return (sig->batch_rows_max == 0 && sig->feature_count == 0) ||
           got->shape[0] == d->call->in[0].shape[0];
}

static enum err_code copy_output(struct dialog *d, const struct worker_tensor *got,
                                 const char *name, int64_t count, void **data)
{
    struct arena *arena = d->call->arena;
    unsigned char *bytes = arena_alloc_aligned(arena, got->bytes, ALIGN);
    if (!bytes)
        return err_set(d->err, ERR_LIMIT, "no room for the %llu bytes of output '%s'",
                       (unsigned long long)got->bytes, name);
    memcpy(bytes, d->worker->memory + got->offset, got->bytes);
    for (uint64_t i = 0; got->dtype == DTYPE_BOOL && i < got->bytes; i++)
        bytes[i] = bytes[i] != 0;
    *data = bytes;
    if (got->dtype != DTYPE_BYTES)
        return ERR_OK;
    struct str *texts = arena_calloc(arena, (size_t)count, sizeof(*texts));
    if (!texts)
        return err_set(d->err, ERR_LIMIT, "no room for the texts of output '%s'", name);
    *data = texts;
    return worker_texts_read((const char *)bytes, got->bytes, count, texts, d->err)
               ? refuse_output(d, name, "has texts that end outside it")
               : ERR_OK;
}

static enum err_code take_output(struct dialog *d, const struct worker_tensor *got,
                                 struct tensor *out)
{
    const struct signature_tensor *declared = &d->plan->settings->signature.outputs[got->index];
    int64_t count = 0;
    struct err ignored;
    if (!has_shape(declared, got))
        return refuse_output(d, declared->name, "has not the dtype and shape that are declared");
    if (worker_tensor_check(got, d->worker->memory_bytes, &count, &ignored)) {
        *d->left = WORKER_BROKEN; /* slipway_worker sends nothing like it */
        return refuse_output(d, declared->name, "is not where it should be");
    }
    if (!has_rows(d, got))
        return err_set(d->err, ERR_UPSTREAM, "the model answered %lld rows of %lld in '%s'",
                       (long long)got->shape[0], (long long)d->call->in[0].shape[0],
                       declared->name);
    *out = (struct tensor){.name = declared->name, .dtype = got->dtype, .rank = got->rank};
    memcpy(out->shape, got->shape, sizeof(out->shape));
    return copy_output(d, got, declared->name, count, &out->data);
}

/* Every wanted output once, in the signature's order. */
static enum err_code take_outputs(struct dialog *d)
{
    const struct signature *sig = &d->plan->settings->signature;
    uint64_t wanted = wanted_mask(d);
    d->call->out_count = 0;
    *d->left = WORKER_IDLE;
    for (int i = 0; i < sig->output_count; i++) {
        const struct worker_tensor *found = NULL;
        if (!(wanted >> i & 1))
            continue;
        for (int k = 0; k < d->frame.tensor_count; k++)
            if (d->frame.tensors[k].index == i)
                found = &d->frame.tensors[k];
        if (!found)
            return refuse_output(d, sig->outputs[i].name, "is missing");
        enum err_code rc = take_output(d, found, &d->call->out[d->call->out_count++]);
        if (rc)
            return rc;
    }
    return ERR_OK;
}

/* ---- the dialog ---- */

static enum err_code give_memory(struct dialog *d)
{
    const struct worker_frame refusal = {.kind = WORKER_REFUSE, .call = d->worker->call};
    size_t max = d->in_bytes + d->plan->settings->reply_bytes_max;
    if (d->frame.value <= max)
        return worker_grow(d->worker, (size_t)d->frame.value, d->err);
    unsigned long long bytes = d->frame.value - d->in_bytes;
    enum err_code rc = worker_send(d->worker, &refusal, d->err);
    if (rc)
        return rc;
    *d->left = WORKER_IDLE;
    err_set(d->err, ERR_UPSTREAM, "the model's answer has %llu bytes; %zu are the limit", bytes,
            d->plan->settings->reply_bytes_max);
    return err_hint(d->err, "reply_max in its slipway.yaml is the limit");
}

static enum err_code answer(struct dialog *d, int64_t deadline_ns)
{
    for (int needs = 0;; needs++) {
        enum err_code rc = wait_frame(d, deadline_ns);
        if (rc)
            return rc;
        if (d->frame.kind == WORKER_RESULT)
            return take_outputs(d);
        if (d->frame.kind == WORKER_FAILED) {
            *d->left = WORKER_IDLE;
            return worker_failure(&d->frame, d->err);
        }
        if (d->frame.kind != WORKER_NEED || needs > 0)
            return err_set(d->err, ERR_UPSTREAM,
                           "the model's worker does not keep to the protocol");
        rc = give_memory(d);
        if (rc)
            return rc;
    }
}

enum err_code worker_call(struct worker *worker, const struct worker_plan *plan,
                          struct runtime_call *call, enum worker_left *left, struct err *err)
{
    struct dialog d;
    d.worker = worker;
    d.plan = plan;
    d.call = call;
    d.left = left;
    d.err = err;
    *left = WORKER_BROKEN;
    enum err_code rc = ask(&d);
    return rc ? rc : answer(&d, call->deadline_ns);
}
