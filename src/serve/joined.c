/* joined.c - requests joined along shape[0], and their answers taken apart.
 *
 *     request a [3,30] --+                                        +--> a's outputs [3,...]
 *     request b [1,30] --+--> [5,30] --> predict --> [5,...] -----+--> b's outputs [1,...]
 *     request c [1,30] --+                                        +--> c's outputs [1,...]
 */
#include "serve/joined.h"

#include <string.h>

#include "base/check.h"
#include "base/clock.h"

static size_t element_bytes(enum dtype dtype)
{
    return dtype == DTYPE_BYTES ? sizeof(struct str) : dtype_bytes(dtype);
}

/* Bytes of one row. */
static size_t row_bytes(const struct tensor *tensor)
{
    return (size_t)tensor_elements(tensor->shape + 1, tensor->rank - 1) *
           element_bytes(tensor->dtype);
}

/* ---- in ---- */

/* Texts stay where they are, in their requests. */
static bool join_input(const struct batch *batch, int index, struct arena *arena,
                       struct tensor *joined)
{
    *joined = batch->first->call.in[index];
    if (!joined->data)
        return true;
    size_t bytes = row_bytes(joined);
    joined->shape[0] = batch->rows;
    char *to = arena_alloc_aligned(arena, (size_t)batch->rows * bytes, ARENA_ALIGN_MAX);
    joined->data = to;
    if (!to)
        return false;
    for (const struct lane_task *task = batch->first; task; task = task->next_in_batch) {
        size_t size = (size_t)task->rows * bytes;
        memcpy(to, task->call.in[index].data, size);
        to += size;
    }
    return true;
}

static bool join_inputs(const struct batch *batch, struct arena *arena, struct tensor **in)
{
    int count = batch->first->call.in_count;
    *in = arena_calloc(arena, (size_t)count, sizeof(**in));
    for (int i = 0; *in && i < count; i++)
        if (!join_input(batch, i, arena, &(*in)[i]))
            return false;
    return *in != NULL;
}

/* ---- out ---- */

static bool copy_texts(struct str *texts, int64_t count, struct arena *arena)
{
    for (int64_t i = 0; i < count; i++) {
        texts[i].ptr = arena_copy(arena, texts[i].ptr, texts[i].len);
        if (!texts[i].ptr)
            return false;
    }
    return true;
}

static bool take_rows(const struct tensor *whole, int64_t first, struct lane_task *task,
                      struct tensor *part)
{
    size_t bytes = row_bytes(whole), size = (size_t)task->rows * bytes;
    struct arena *arena = task->call.arena;
    *part = *whole;
    part->shape[0] = task->rows;
    part->data = arena_alloc_aligned(arena, size, ARENA_ALIGN_MAX);
    if (!part->data)
        return false;
    memcpy(part->data, (const char *)whole->data + (size_t)first * bytes, size);
    return whole->dtype != DTYPE_BYTES ||
           copy_texts(part->data, tensor_elements(part->shape, part->rank), arena);
}

/* What the model says about the batch holds for each request of it. */
static void take_parameters(const struct runtime_call *whole, struct lane_task *task)
{
    struct str from = whole->reply_parameters;
    const char *copy = from.len ? arena_copy(task->call.arena, from.ptr, from.len) : NULL;
    task->call.reply_parameters = (struct str){copy, copy ? from.len : 0};
    task->call.is_fallback = whole->is_fallback;
}

static bool has_left(struct lane_task *task)
{
    if (!atomic_load_explicit(&task->is_cancelled, memory_order_relaxed))
        return false;
    task->rc = err_set(&task->err, ERR_CANCELLED, "the client has left");
    return true;
}

static void take_answer(const struct runtime_call *whole, int aside_count, int64_t first,
                        struct lane_task *task)
{
    if (has_left(task))
        return;
    task->call.out_count = whole->out_count;
    task->rc = ERR_OK;
    take_parameters(whole, task);
    bool has_room = true;
    for (int i = 0; has_room && i < whole->out_count; i++)
        has_room = take_rows(&whole->out[i], first, task, &task->call.out[i]);
    for (int i = 0; has_room && task->call.aside && i < aside_count; i++)
        has_room = take_rows(&whole->aside[i], first, task, &task->call.aside[i]);
    if (!has_room)
        task->rc = err_set(&task->err, ERR_LIMIT, "the answer does not fit the request's memory");
}

static bool has_all_rows(const struct runtime_call *call, int64_t rows)
{
    for (int i = 0; i < call->out_count; i++)
        if (call->out[i].rank < 1 || call->out[i].shape[0] != rows)
            return false;
    return true;
}

/* ---- running ---- */

static void run_alone(const struct loaded *loaded, struct lane_task *task)
{
    task->rc = loaded_predict(loaded, &task->call, &task->err);
}

static bool wants_asides(const struct batch *batch)
{
    for (const struct lane_task *task = batch->first; task; task = task->next_in_batch)
        if (task->call.aside)
            return true;
    return false;
}

/* The latest deadline: who is in time is answered although another one is not. */
static enum err_code run_joined(const struct loaded *loaded, struct batch *batch,
                                const struct audience *audience, struct arena *arena,
                                struct err *err)
{
    const struct runtime_call *leader = &batch->first->call;
    size_t outputs = (size_t)loaded->signature->output_count;
    int asides = loaded->signature->aside_count;
    struct tensor *in, *out = arena_calloc(arena, outputs + (size_t)asides, sizeof(*out));
    if (!out || !join_inputs(batch, arena, &in))
        return err_set(err, ERR_LIMIT, "no room to join %d requests", batch->count);
    struct runtime_call call = {
        .in = in,
        .in_count = leader->in_count,
        .wanted = leader->wanted,
        .arena = arena,
        .deadline_ns = batch->latest_ns,
        .is_cancelled = &audience->has_left,
        .parameters = leader->parameters,
        .out = out,
        .aside = asides && wants_asides(batch) ? out + outputs : NULL,
    };
    enum err_code rc = loaded_predict(loaded, &call, err);
    if (rc)
        return rc;
    if (!has_all_rows(&call, batch->rows))
        return err_set(err, ERR_INTERNAL, "the model gave another number of rows than it got");
    int64_t first = 0;
    for (struct lane_task *task = batch->first; task; task = task->next_in_batch) {
        take_answer(&call, asides, first, task);
        first += task->rows;
    }
    return ERR_OK;
}

/* Would it fail again for each, and cost their time once more? */
static bool is_final(enum err_code rc)
{
    return rc == ERR_TIMEOUT || rc == ERR_CANCELLED || rc == ERR_UNAVAILABLE;
}

static void fail_all(struct batch *batch, const struct err *err)
{
    for (struct lane_task *task = batch->first; task; task = task->next_in_batch) {
        task->rc = err->code;
        task->err = *err;
    }
}

static void run_each(const struct loaded *loaded, struct batch *batch)
{
    for (struct lane_task *task = batch->first; task; task = task->next_in_batch) {
        if (has_left(task))
            continue;
        if (clock_monotonic_ns() < task->call.deadline_ns)
            run_alone(loaded, task);
        else
            task->rc = err_set(&task->err, ERR_TIMEOUT, "Request timeout expired");
    }
}

void joined_run(const struct loaded *loaded, struct batch *batch, struct audience *audience,
                struct arena *scratch, bool *split)
{
    struct err err = {0};
    *split = false;
    if (batch->count == 1) {
        run_alone(loaded, batch->first);
        return;
    }
    audience_begin(audience, batch);
    enum err_code rc = run_joined(loaded, batch, audience, scratch, &err);
    audience_end(audience);
    arena_reset(scratch);
    if (!rc)
        return;
    if (is_final(rc)) {
        fail_all(batch, &err);
        return;
    }
    *split = true;
    run_each(loaded, batch);
}
