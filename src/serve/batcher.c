/* batcher.c - order of waiting requests, what fits together, when a batch is closed. */
#include "serve/batcher.h"

#include "base/check.h"

enum { OTHERS_MAX = 1024 }; /* looked at in vain for one batch */

const char *batch_close_name(enum batch_close close)
{
    static const char *const names[] = {
        [CLOSE_FULL] = "full",     [CLOSE_COST] = "cost",   [CLOSE_SHAPE] = "shape",
        [CLOSE_IDLE] = "idle",     [CLOSE_DELAY] = "delay", [CLOSE_DEADLINE] = "deadline",
        [CLOSE_SINGLE] = "single",
    };
    assert((size_t)close < ARRAY_LEN(names));
    return names[close];
}

/* ---- what a request looks like ---- */

static size_t element_bytes(enum dtype dtype)
{
    return dtype == DTYPE_BYTES ? sizeof(struct str) : dtype_bytes(dtype);
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
    return (hash ^ value) * UINT64_C(0x9E3779B97F4A7C15);
}

static uint64_t hash_input(uint64_t hash, const struct tensor *in)
{
    hash = mix(hash, (uint64_t)in->dtype << 8 | (uint64_t)in->rank);
    for (int i = 1; i < in->rank; i++)
        hash = mix(hash, (uint64_t)in->shape[i]);
    return mix(hash, in->data == NULL);
}

/* Every input that is given has the request's rows along its first dimension. */
static bool has_rows(const struct lane_task *task)
{
    for (int i = 0; i < task->call.in_count; i++) {
        const struct tensor *in = &task->call.in[i];
        if (in->data && (in->rank < 1 || in->shape[0] != task->rows))
            return false;
    }
    return task->rows > 0;
}

static bool have_row_shapes(const struct signature_tensor *tensors, int count)
{
    for (int i = 0; i < count; i++)
        if (tensors[i].rank < 1 || tensors[i].shape[0] != -1)
            return false;
    return true;
}

/* Rows of several requests behind each other are a request again, of as many answers. */
static bool may_join(const struct signature *signature)
{
    return signature->batch_rows_max > 1 &&
           have_row_shapes(signature->inputs, signature->input_count) &&
           have_row_shapes(signature->outputs, signature->output_count);
}

void lane_task_describe(struct lane_task *task, const struct signature *signature)
{
    const struct runtime_call *call = &task->call;
    uint64_t hash = 1;
    task->output_count = signature->output_count;
    task->in_bytes = 0;
    task->joint_hash = 0;
    for (int i = 0; i < call->in_count; i++) {
        const struct tensor *in = &call->in[i];
        hash = hash_input(hash, in);
        if (in->data)
            task->in_bytes +=
                (size_t)tensor_elements(in->shape, in->rank) * element_bytes(in->dtype);
    }
    for (int i = 0; call->wanted && i < signature->output_count; i++)
        hash = mix(hash, 2 + (uint64_t)call->wanted[i]);
    for (size_t i = 0; i < call->parameters.len; i++)
        hash = mix(hash, (unsigned char)call->parameters.ptr[i]);
    if (may_join(signature) && has_rows(task))
        task->joint_hash = hash | 1;
}

static bool same_inputs(const struct runtime_call *a, const struct runtime_call *b)
{
    if (a->in_count != b->in_count)
        return false;
    for (int i = 0; i < a->in_count; i++) {
        const struct tensor *x = &a->in[i], *y = &b->in[i];
        if (x->dtype != y->dtype || x->rank != y->rank || !x->data != !y->data)
            return false;
        for (int k = 1; k < x->rank; k++)
            if (x->shape[k] != y->shape[k])
                return false;
    }
    return true;
}

static bool same_wanted(const struct lane_task *a, const struct lane_task *b)
{
    const bool *x = a->call.wanted, *y = b->call.wanted;
    if (!x || !y)
        return x == y;
    return memcmp(x, y, (size_t)a->output_count * sizeof(*x)) == 0;
}

static bool can_join(const struct lane_task *leader, const struct lane_task *task)
{
    return task->joint_hash == leader->joint_hash && same_inputs(&leader->call, &task->call) &&
           same_wanted(leader, task) && str_equal(leader->call.parameters, task->call.parameters);
}

/* ---- order ---- */

/* Those with one timeout come in the order of their deadlines: the place is found at once. */
void batcher_put(struct batcher *batcher, struct lane_task *task)
{
    int p = task->priority;
    assert(p >= SERVING_PRIORITY_FIRST && p <= SERVING_PRIORITY_LAST && task->call.deadline_ns > 0);
    struct lane_task *before = batcher->last[p];
    while (before && before->call.deadline_ns > task->call.deadline_ns)
        before = before->previous;
    task->previous = before;
    task->next = before ? before->next : batcher->first[p];
    if (task->next)
        task->next->previous = task;
    else
        batcher->last[p] = task;
    if (before)
        before->next = task;
    else
        batcher->first[p] = task;
    batcher->count++;
}

static void unlink_task(struct batcher *batcher, struct lane_task *task)
{
    int p = task->priority;
    if (task->previous)
        task->previous->next = task->next;
    else
        batcher->first[p] = task->next;
    if (task->next)
        task->next->previous = task->previous;
    else
        batcher->last[p] = task->previous;
    batcher->count--;
}

/* The first, and the one behind `task`. */
static struct lane_task *next_priority(const struct batcher *batcher, int p)
{
    while (p <= SERVING_PRIORITY_LAST && !batcher->first[p])
        p++;
    return p <= SERVING_PRIORITY_LAST ? batcher->first[p] : NULL;
}

static struct lane_task *first_task(const struct batcher *batcher)
{
    return next_priority(batcher, SERVING_PRIORITY_FIRST);
}

static struct lane_task *task_behind(const struct batcher *batcher, const struct lane_task *task)
{
    return task->next ? task->next : next_priority(batcher, task->priority + 1);
}

/* ---- those that need no answer ---- */

static bool is_cancelled(const struct lane_task *task)
{
    return atomic_load_explicit(&task->is_cancelled, memory_order_relaxed);
}

static bool is_late(const struct batcher *batcher, const struct lane_task *task,
                    const struct cost *cost, int64_t now_ns)
{
    int64_t left_ns = task->call.deadline_ns - now_ns;
    bool is_hopeless = batcher->count > 1 && left_ns < cost_ns(cost, task->rows);
    return left_ns <= 0 || is_hopeless;
}

static void set_dropped(struct lane_task *task)
{
    if (is_cancelled(task) && !atomic_load_explicit(&task->is_expired, memory_order_relaxed))
        task->rc = err_set(&task->err, ERR_CANCELLED, "the client has left");
    else
        task->rc = err_set(&task->err, ERR_TIMEOUT, "Request timeout expired while it waited");
}

/* The earliest deadlines are in front: the first one that is in time ends the search. */
struct lane_task *batcher_drop(struct batcher *batcher, const struct cost *cost, int64_t now_ns)
{
    struct lane_task *dropped = NULL, *task;
    for (int p = SERVING_PRIORITY_FIRST; p <= SERVING_PRIORITY_LAST; p++) {
        while ((task = batcher->first[p]) &&
               (is_cancelled(task) || is_late(batcher, task, cost, now_ns))) {
            unlink_task(batcher, task);
            set_dropped(task);
            task->next_in_batch = dropped;
            dropped = task;
        }
    }
    return dropped;
}

/* ---- the batch ---- */

static void add(struct batch *batch, struct lane_task ***end, struct lane_task *task)
{
    int64_t deadline_ns = task->call.deadline_ns;
    if (batch->count == 0 || deadline_ns < batch->earliest_ns)
        batch->earliest_ns = deadline_ns;
    if (deadline_ns > batch->latest_ns)
        batch->latest_ns = deadline_ns;
    batch->rows += task->rows;
    batch->count++;
    **end = task;
    *end = &task->next_in_batch;
    task->next_in_batch = NULL;
}

static bool is_too_late(const struct batch *batch, const struct lane_task *task,
                        const struct batch_rule *rule, int64_t now_ns)
{
    int64_t end_ns = now_ns + cost_ns(rule->cost, batch->rows + task->rows);
    return end_ns > batch->earliest_ns || end_ns > task->call.deadline_ns;
}

/* Those that would join the first one now; nothing is unlinked yet. */
static void gather(const struct batcher *batcher, const struct batch_rule *rule, int64_t now_ns,
                   struct batch *batch, int64_t *oldest_ns)
{
    struct lane_task *leader = first_task(batcher), **end = &batch->first;
    size_t bytes = leader->in_bytes;
    add(batch, &end, leader);
    *oldest_ns = leader->queued_ns;
    batch->close = CLOSE_SINGLE;
    if (!leader->joint_hash || rule->rows_max <= 1)
        return;
    batch->close = CLOSE_FULL;
    if (batch->rows >= rule->rows_max)
        return;
    int others = 0;
    for (struct lane_task *task = leader; (task = task_behind(batcher, task));) {
        if (is_cancelled(task))
            continue;
        if (!can_join(leader, task)) {
            if (++others == OTHERS_MAX)
                break;
            continue;
        }
        if (batch->rows + task->rows > rule->rows_max || bytes + task->in_bytes > BATCH_BYTES_MAX)
            return;
        if (is_too_late(batch, task, rule, now_ns)) {
            batch->close = CLOSE_COST;
            return;
        }
        bytes += task->in_bytes;
        if (task->queued_ns < *oldest_ns)
            *oldest_ns = task->queued_ns;
        add(batch, &end, task);
        if (batch->rows == rule->rows_max)
            return;
    }
    batch->close = others ? CLOSE_SHAPE : CLOSE_IDLE;
}

/* An idle instance may wait for more, by the settings: until when? 0: it goes now. */
static int64_t wait_until(const struct batch_rule *rule, int64_t now_ns, struct batch *batch,
                          int64_t oldest_ns)
{
    if (rule->delay_ns == 0 || batch->close != CLOSE_IDLE)
        return 0;
    int64_t delay_end_ns = oldest_ns + rule->delay_ns;
    int64_t last_start_ns = batch->earliest_ns - cost_ns(rule->cost, batch->rows + 1);
    if (now_ns < delay_end_ns && now_ns < last_start_ns)
        return delay_end_ns < last_start_ns ? delay_end_ns : last_start_ns;
    batch->close = now_ns >= delay_end_ns ? CLOSE_DELAY : CLOSE_DEADLINE;
    return 0;
}

int64_t batcher_take(struct batcher *batcher, const struct batch_rule *rule, int64_t now_ns,
                     struct batch *batch)
{
    int64_t oldest_ns = 0;
    *batch = (struct batch){0};
    if (batcher->count == 0)
        return 0;
    gather(batcher, rule, now_ns, batch, &oldest_ns);
    int64_t until_ns = wait_until(rule, now_ns, batch, oldest_ns);
    if (until_ns) {
        *batch = (struct batch){0};
        return until_ns;
    }
    for (struct lane_task *task = batch->first; task; task = task->next_in_batch)
        unlink_task(batcher, task);
    batch->predicted_ns = cost_ns(rule->cost, batch->rows);
    return 0;
}
