/* remote_learn.c - what only the endpoint knows of a model, asked when it is registered. */
#include "base/check.h"
#include "base/clock.h"
#include "runtime/remote_exchange.h"
#include "runtime/remote_peer.h"
#include "runtime/remote_reply.h"
#include "runtime/settings.h"

enum { LEARN_MS = 10 * 1000, ANSWER_BYTES_MAX = 64 * 1024 };

struct learner {
    struct remote_slot slot;
    struct buf authorization;
    int64_t deadline_ns;
    struct remote_get get; /* the last answer */
};

static enum err_code ask(struct learner *l, const char *target, struct err *err)
{
    l->get = (struct remote_get){.target = target,
                                 .authorization = buf_view(&l->authorization),
                                 .deadline_ns = l->deadline_ns};
    if (!target)
        return err_set(err, ERR_LIMIT, "the model's name is too long");
    enum err_code rc = remote_get(&l->slot, &l->get, err);
    if (!rc)
        return ERR_OK;
    if (rc == ERR_TIMEOUT)
        err->code = ERR_UNAVAILABLE;
    if (l->slot.link.site->tls)
        return err_hint(err,
                        "--remote-ca and --remote-certificates say whom to trust, what to show");
    return err_hint(err, "is it up, and at that address? see --remote-endpoints");
}

static enum err_code learn_tensors(struct learner *l, struct arena *arena,
                                   struct remote_settings *settings, struct err *err)
{
    if (settings->signature.input_count && settings->signature.output_count)
        return ERR_OK;
    enum err_code rc = ask(l, remote_target(settings, "", arena), err);
    if (!rc && l->get.status != 200)
        rc = remote_refused(&l->slot, l->get.status, l->get.body, err);
    if (!rc)
        rc = remote_metadata_read(l->get.body, arena, settings, err);
    return rc;
}

static enum err_code learn_protocol(struct learner *l, struct arena *arena,
                                    struct remote_settings *settings, struct err *err)
{
    if (settings->protocol < REMOTE_PROTOCOL_COUNT)
        return ERR_OK;
    enum err_code rc = ask(l, "/v2", err);
    if (rc)
        return rc;
    bool is_binary = l->get.status == 200 && remote_server_is_binary(l->get.body, arena);
    settings->protocol = is_binary ? REMOTE_HTTP_BINARY : REMOTE_HTTP;
    return ERR_OK;
}

/* Triton says how many rows fit; other servers have no such page, and their shapes decide. */
static enum err_code learn_batch(struct learner *l, struct arena *arena,
                                 struct remote_settings *settings, struct err *err)
{
    const struct signature_tensor *other;
    if (settings->batch_rows_max >= 0)
        return ERR_OK;
    enum err_code rc = ask(l, remote_target(settings, "/config", arena), err);
    if (rc)
        return rc;
    int rows = l->get.status == 200 ? remote_config_batch(l->get.body, arena) : -1;
    bool can_batch = settings_can_batch(&settings->signature, &other);
    settings->batch_rows_max = !can_batch ? 0 : rows >= 0 ? rows : REMOTE_BATCH_ROWS_MAX;
    return ERR_OK;
}

enum err_code remote_learn(const struct remote_endpoint *endpoint, struct arena *arena,
                           struct remote_settings *settings, struct err *err)
{
    struct learner l = {.deadline_ns = clock_monotonic_ns() + LEARN_MS * INT64_C(1000000)};
    remote_slot_init(&l.slot, endpoint);
    buf_init(&l.authorization, ANSWER_BYTES_MAX);
    enum err_code rc = remote_endpoint_authorize(endpoint, &l.authorization, err);
    if (!rc)
        rc = learn_tensors(&l, arena, settings, err);
    if (!rc)
        rc = learn_protocol(&l, arena, settings, err);
    if (!rc)
        rc = learn_batch(&l, arena, settings, err);
    remote_slot_done(&l.slot);
    buf_done(&l.authorization);
    return rc;
}
