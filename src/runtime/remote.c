/* remote.c - the table of the runtime "remote". */
#include "runtime/remote.h"

#include <stdlib.h>

#include "base/check.h"
#include "runtime/remote_peer.h"

enum { MODEL_MAGIC = 0x524d4f44, ARENA_BYTES_MAX = 64 * 1024 * 1024 };

struct remote_model {
    uint32_t magic;
    struct remote_peer *peer; /* owns the arena of the settings */
    const struct signature *signature;
};

/* ---- completing ---- */

static enum err_code read_file(const struct runtime_file *file, struct arena *arena,
                               struct remote_settings **settings, struct remote_endpoint **endpoint,
                               struct err *err)
{
    enum err_code rc =
        remote_settings_read((struct str){file->bytes, file->size}, arena, settings, err);
    return rc ? rc
              : remote_endpoint_find(file->host, (*settings)->endpoint,
                                     (*settings)->reply_bytes_max, arena, endpoint, err);
}

static enum err_code complete(const struct runtime_file *file, struct buf *out, struct err *err)
{
    struct remote_settings *settings = NULL;
    struct remote_endpoint *endpoint = NULL;
    struct arena *arena = arena_new(ARENA_BYTES_MAX);
    enum err_code rc = read_file(file, arena, &settings, &endpoint, err);
    if (!rc && !remote_settings_are_whole(settings)) {
        rc = remote_learn(endpoint, arena, settings, err);
        if (!rc)
            remote_settings_write(settings, out);
        else
            err_wrap(err, "asking for model '%s'", settings->model);
    }
    arena_free(arena);
    return rc;
}

/* ---- loading ---- */

static enum err_code check_whole(const struct remote_settings *settings, struct err *err)
{
    if (remote_settings_are_whole(settings))
        return ERR_OK;
    err_set(err, ERR_INVALID,
            "the remote model's file needs protocol, batch_rows_max, inputs and outputs to be "
            "loaded");
    return err_hint(err, "a registration asks the endpoint for what is left out");
}

static const char *detail_of(const struct remote_settings *s,
                             const struct remote_endpoint *endpoint, struct arena *arena)
{
    const char *version = s->version ? arena_printf(arena, " version %s", s->version) : "";
    return arena_printf(arena, "model %s%s at endpoint %s, %s%s", s->model, version, endpoint->name,
                        s->protocol == REMOTE_HTTP ? "JSON" : "binary tensors",
                        endpoint->site.place.is_tls ? ", TLS" : "");
}

static enum err_code load_settings(const struct runtime_file *file, struct arena *arena,
                                   struct remote_settings **settings,
                                   struct remote_endpoint **endpoint, struct err *err)
{
    enum err_code rc = read_file(file, arena, settings, endpoint, err);
    if (!rc)
        rc = check_whole(*settings, err);
    if (!rc)
        rc = remote_settings_finish(*settings, err);
    if (rc)
        return rc;
    (*settings)->signature.detail = detail_of(*settings, *endpoint, arena);
    return (*settings)->signature.detail
               ? ERR_OK
               : err_set(err, ERR_LIMIT, "the remote model's names are too long");
}

static enum err_code load(const struct runtime_file *file, void **out, struct err *err)
{
    struct remote_settings *settings = NULL;
    struct remote_endpoint *endpoint = NULL;
    struct arena *arena = arena_new(ARENA_BYTES_MAX);
    const char *given = file->label ? file->label : "a model";
    const char *label = arena_copy(arena, given, strlen(given));
    enum err_code rc = load_settings(file, arena, &settings, &endpoint, err);
    if (rc) {
        arena_free(arena);
        return rc;
    }
    struct remote_model *model = calloc(1, sizeof(*model));
    if (!model)
        abort();
    model->magic = MODEL_MAGIC;
    model->signature = &settings->signature;
    model->peer = remote_peer_new(settings, endpoint, label, arena);
    *out = model;
    return ERR_OK;
}

/* ---- the rest of the table ---- */

static const struct signature *describe(const void *state)
{
    const struct remote_model *model = state;
    CHECK_MAGIC(model, MODEL_MAGIC);
    return model->signature;
}

static size_t memory_bytes(const void *state)
{
    const struct remote_model *model = state;
    return sizeof(*model) + remote_peer_memory_bytes(model->peer);
}

static enum err_code predict(const void *state, struct runtime_call *call, struct err *err)
{
    const struct remote_model *model = state;
    CHECK_MAGIC(model, MODEL_MAGIC);
    return remote_peer_call(model->peer, call, err);
}

static const char *problem(const void *state)
{
    const struct remote_model *model = state;
    return remote_peer_problem(model->peer);
}

static void free_model(void *state)
{
    struct remote_model *model = state;
    if (!model)
        return;
    CHECK_MAGIC(model, MODEL_MAGIC);
    remote_peer_free(model->peer);
    model->magic = 0;
    free(model);
}

const struct runtime_ops runtime_remote = {
    .name = "remote",
    .recognise = remote_settings_recognise,
    .complete = complete,
    .is_elsewhere = true,
    .load = load,
    .describe = describe,
    .memory_bytes = memory_bytes,
    .predict = predict,
    .problem = problem,
    .free = free_model,
};
