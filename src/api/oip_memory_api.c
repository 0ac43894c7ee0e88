/* oip_memory_api.c - Triton's shared memory extension, as far as it can be had without its danger.
 *
 * A region is registered by a name that the server opens: whoever may send a request then has it
 * read and write memory of other programs, and its own. So no region can be registered, and the
 * reply says why; that none is registered, and unregistering what is not there, are true answers,
 * which clients ask for before they begin.
 */
#include "api/handlers.h"

enum err_code oip_memory_status(struct call *call, struct err *err)
{
    (void)err;
    struct json_writer w = call_json(call, 200);
    json_begin_array(&w);
    json_end_array(&w);
    return ERR_OK;
}

enum err_code oip_memory_unregister(struct call *call, struct err *err)
{
    (void)err;
    call->x->response.status = 200;
    return ERR_OK;
}

enum err_code oip_memory_register(struct call *call, struct err *err)
{
    err_set(err, ERR_UNSUPPORTED,
            "shared memory region '%.*s' is not registered: a caller that names memory makes the "
            "server read and write what belongs to others",
            STR_ARG(call->params[0]));
    return err_hint(err, "send tensors in the request; in binary form they are not parsed");
}
