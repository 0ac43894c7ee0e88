/* cold.c - a call whose model is not in memory waits for it and begins anew. */
#include "api/api.h"
#include "base/check.h"

/* A model may be let go again before the call's turn comes; not for ever. */
enum { COLD_MAX = 3 };

struct cold {
    struct call *call;
    struct model_cache_wait wait;
};

static void on_loaded(struct loop_message *message)
{
    struct model_cache_wait *wait = CONTAINER_OF(message, struct model_cache_wait, message);
    struct call *call = CONTAINER_OF(wait, struct cold, wait)->call;
    call->is_waiting = false;
    if (wait->rc) {
        call->rc = wait->rc;
        call->err = wait->err;
        call_finish(call);
        return;
    }
    call->prediction = NULL;
    call->snapshot = snapshot_reader_get(&call->thread->reader);
    call_run(call);
}

enum err_code call_wait_for_model(struct call *call, struct str model, struct str version,
                                  struct err *err)
{
    struct model_cache *cache = call->node->model_cache;
    if (!cache || !call->thread->reader.loop || call->cold_count == COLD_MAX)
        return err->code;
    struct cold *cold = arena_alloc(call->arena, sizeof(*cold));
    if (!cold)
        return err_set(err, ERR_LIMIT, "the request does not fit its memory");
    *err = (struct err){0};
    call->cold_count++;
    call->is_waiting = true;
    call->x->cancel = NULL; /* it is no prediction's any more */
    cold->call = call;
    cold->wait.loop = call->thread->reader.loop;
    cold->wait.message.fn = on_loaded;
    model_cache_load(cache, model, version, &cold->wait);
    return ERR_OK;
}
