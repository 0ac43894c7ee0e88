/* bulk.c - to a pool's thread and back by message; memory counted with that of lanes. */
#include "serve/bulk.h"

#include "base/check.h"
#include "serve/hand_over.h"
#include "serve/lane.h"

/* A body's values, rows and answers next to it. */
enum { BULK_MEMORY_FACTOR = 4 };

struct bulk {
    struct request *req;
    bulk_steps_fn *steps;
    struct pool_task task;
    struct loop_message message;
    struct lanes *lanes;
    size_t memory_bytes;
    enum err_code rc;
    struct err err;
};

static void come_back(struct loop_message *message)
{
    struct bulk *bulk = CONTAINER_OF(message, struct bulk, message);
    struct request *req = bulk->req;
    req->is_waiting = false;
    if (req->has_left)
        bulk->rc = err_set(&bulk->err, ERR_CANCELLED, "the client has left");
    req->owner->resume(req, bulk->rc, &bulk->err);
}

static void run_steps(struct pool_task *task)
{
    struct bulk *bulk = CONTAINER_OF(task, struct bulk, task);
    bulk->rc = bulk->steps(bulk->req, &bulk->err);
    loop_post(bulk->req->thread->reader.loop, &bulk->message);
}

static void give_memory(void *arg)
{
    const struct bulk *bulk = arg;
    lanes_give_bytes(bulk->lanes, bulk->memory_bytes);
}

/* Once a request, until its memory is let go. */
static bool take_memory(struct request *req, struct bulk *bulk)
{
    struct err err = {0};
    bulk->lanes = req->thread->lanes;
    bulk->memory_bytes = BULK_MEMORY_FACTOR * req->exchange->request.body.len;
    if (lanes_take_bytes(bulk->lanes, bulk->memory_bytes, &err))
        return false;
    if (!arena_defer(req->arena, give_memory, bulk))
        return true;
    lanes_give_bytes(bulk->lanes, bulk->memory_bytes);
    return false;
}

static struct bulk *bulk_new(struct request *req)
{
    struct err err = {0};
    struct bulk *bulk = arena_calloc(req->arena, 1, sizeof(*bulk));
    if (!bulk)
        return NULL;
    bulk->req = req;
    bulk->task.fn = run_steps;
    bulk->message.fn = come_back;
    bool has_all = !request_hold_snapshot(req, &err) && take_memory(req, bulk);
    return has_all ? bulk : NULL;
}

bool bulk_run(struct request *req, bulk_steps_fn *steps)
{
    struct err err = {0};
    if (!req->bulk)
        req->bulk = bulk_new(req);
    if (!req->bulk)
        return false;
    req->bulk->steps = steps;
    req->is_waiting = true;
    if (pool_submit(req->thread->bulk, &req->bulk->task, &err) == ERR_OK)
        return true; /* the request is that thread's now */
    req->is_waiting = false;
    return false;
}
