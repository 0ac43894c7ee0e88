/* version_api.c - versions: list, show, register. */
#include <stdlib.h>
#include <string.h>

#include "api/handlers.h"
#include "base/check.h"
#include "base/log.h"
#include "contract/compare.h"
#include "rollout/gate_store.h"
#include "rollout/rollout_store.h"

/* ---- showing ---- */

static void put_digest(struct json_writer *w, const char *key, const struct blob_digest *digest)
{
    json_key(w, key);
    json_put_text(w, digest->hex[0] ? digest->hex : NULL);
}

static void put_json(struct json_writer *w, const char *key, const char *json)
{
    json_key(w, key);
    if (json && json[0])
        json_put_raw(w, str_of(json));
    else
        json_put_null(w);
}

static void put_version(struct json_writer *w, const struct version *version)
{
    json_begin_object(w);
    json_key(w, "model");
    json_put_text(w, version->model);
    json_key(w, "version");
    json_put_i64(w, version->number);
    json_key(w, "runtime");
    json_put_text(w, version->runtime);
    put_digest(w, "artifact", &version->artifact);
    json_key(w, "artifact_bytes");
    json_put_i64(w, version->artifact_bytes);
    put_digest(w, "contract", &version->contract);
    put_digest(w, "golden", &version->golden);
    json_key(w, "note");
    json_put_text(w, version->note);
    put_json(w, "lineage", version->lineage);
    put_json(w, "signature", version->signature);
    put_json(w, "compatibility", version->compatibility);
    json_key(w, "compared_to");
    json_put_i64(w, version->compared_to);
    json_key(w, "created_by");
    json_put_text(w, version->created_by);
    json_key(w, "created_at");
    json_put_time(w, version->created_us);
    json_end_object(w);
}

enum err_code versions_get(struct call *call, struct err *err)
{
    const char *model;
    struct model found;
    struct version *versions;
    int64_t before = 0, limit = 100;
    int count = 0;
    enum err_code rc = call_name(call, 0, "a model", &model, err);
    if (!rc)
        rc = call_query_i64(call, "before", 0, INT64_MAX, &before, err);
    if (!rc)
        rc = call_query_i64(call, "limit", 1, 1000, &limit, err);
    if (rc)
        return rc;
    struct store *store = control_read_begin(call->node->control);
    rc = model_get(store, model, call->arena, &found, err);
    if (!rc)
        rc = version_list(store, model, before, (int)limit, call->arena, &versions, &count, err);
    control_read_end(call->node->control);
    if (rc)
        return rc;
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_key(&w, "versions");
    json_begin_array(&w);
    for (int i = 0; i < count; i++)
        put_version(&w, &versions[i]);
    json_end_array(&w);
    json_end_object(&w);
    return ERR_OK;
}

enum err_code call_version(struct call *call, struct version *version, struct err *err)
{
    const char *model;
    int64_t number;
    enum err_code rc = call_name(call, 0, "a model", &model, err);
    if (rc)
        return rc;
    struct store *store = control_read_begin(call->node->control);
    rc = version_resolve(store, model, call->params[1], &number, err);
    if (!rc)
        rc = version_get(store, model, number, call->arena, version, err);
    control_read_end(call->node->control);
    return rc;
}

enum err_code version_get_handler(struct call *call, struct err *err)
{
    struct version version;
    enum err_code rc = call_version(call, &version, err);
    if (rc)
        return rc;
    struct json_writer w = call_json(call, 200);
    put_version(&w, &version);
    return ERR_OK;
}

/* ---- registering ---- */

struct registration {
    struct version version;
    const char *owner, *description; /* NULL: not given */
    const char *alias;               /* NULL: none asked for */
    int64_t if_revision;
    struct loaded *loaded;
    const char *compatibility;
    bool is_champion; /* out: the alias champion names it now */
};

static enum err_code get_digest(yyjson_val *root, const char *key, struct blob_digest *digest,
                                struct err *err)
{
    struct str text = {0};
    enum err_code rc = json_get_str_opt(root, "the request", key, &text, err);
    if (rc || !text.ptr)
        return rc;
    rc = blob_digest_parse(text, digest, err);
    return rc ? err_wrap(err, "'%s'", key) : ERR_OK;
}

static enum err_code get_text(struct call *call, yyjson_val *root, const char *key,
                              const char **out, struct err *err)
{
    struct str text = {0};
    enum err_code rc = json_get_str_opt(root, "the request", key, &text, err);
    if (rc || !text.ptr)
        return rc;
    *out = arena_copy(call->arena, text.ptr, text.len);
    return *out ? ERR_OK : err_set(err, ERR_LIMIT, "the request does not fit its memory");
}

static enum err_code get_lineage(struct call *call, yyjson_val *root, const char **out,
                                 struct err *err)
{
    struct buf text;
    yyjson_val *lineage = yyjson_obj_get(root, "lineage");
    *out = "{}";
    if (!lineage)
        return ERR_OK;
    if (!yyjson_is_obj(lineage))
        return err_set(err, ERR_INVALID, "'lineage' must be an object, got %s",
                       yyjson_get_type_desc(lineage));
    buf_init(&text, LINEAGE_BYTES_MAX);
    json_write(&text, lineage);
    enum err_code rc = ERR_OK;
    if (text.is_full)
        rc = err_set(err, ERR_LIMIT, "'lineage' is larger than %d bytes", LINEAGE_BYTES_MAX);
    else
        *out = arena_copy(call->arena, text.data, text.len);
    buf_done(&text);
    return rc;
}

static enum err_code read_texts(struct call *call, yyjson_val *root, struct registration *reg,
                                struct err *err)
{
    struct version *version = &reg->version;
    version->note = "";
    enum err_code rc = get_text(call, root, "owner", &reg->owner, err);
    if (!rc)
        rc = get_text(call, root, "description", &reg->description, err);
    if (!rc)
        rc = get_text(call, root, "note", &version->note, err);
    if (!rc)
        rc = get_text(call, root, "runtime", &version->runtime, err);
    if (!rc)
        rc = get_text(call, root, "alias", &reg->alias, err);
    if (!rc)
        rc = get_lineage(call, root, &version->lineage, err);
    return rc;
}

static enum err_code read_registration(struct call *call, struct registration *reg, struct err *err)
{
    static const char *const keys[] = {"owner",  "description", "artifact", "contract",
                                       "golden", "runtime",     "note",     "lineage",
                                       "alias",  "if_revision", NULL};
    yyjson_val *root;
    reg->if_revision = -1;
    enum err_code rc = call_name(call, 0, "a model", &reg->version.model, err);
    if (!rc)
        rc = call_body_object(call, &root, err);
    if (!rc)
        rc = json_check_keys(root, "the request", keys, err);
    if (!rc)
        rc = read_texts(call, root, reg, err);
    if (!rc)
        rc = get_digest(root, "artifact", &reg->version.artifact, err);
    if (!rc)
        rc = get_digest(root, "contract", &reg->version.contract, err);
    if (!rc)
        rc = get_digest(root, "golden", &reg->version.golden, err);
    if (!rc)
        rc = json_get_i64_opt(root, "the request", "if_revision", &reg->if_revision, err);
    if (!rc && !reg->version.artifact.hex[0])
        rc = err_set(err, ERR_INVALID, "the request has no 'artifact', the digest of the model");
    return rc;
}

/* What the model said of itself, for people who read the record later. */
static const char *signature_json(struct call *call, const struct loaded *loaded)
{
    const struct signature *signature = loaded->signature;
    struct buf text;
    struct json_writer w = {.out = &text};
    buf_init(&text, LINEAGE_BYTES_MAX);
    json_begin_object(&w);
    json_key(&w, "platform");
    json_put_text(&w, signature->platform);
    json_key(&w, "objective");
    json_put_text(&w, signature->objective);
    json_key(&w, "features");
    json_put_i64(&w, signature->feature_count);
    json_key(&w, "classes");
    json_put_i64(&w, signature->class_count);
    json_key(&w, "detail");
    json_put_text(&w, signature->detail);
    if (loaded->ops->show)
        loaded->ops->show(loaded->state, &w);
    json_end_object(&w);
    const char *copy = arena_copy(call->arena, text.data, text.len);
    buf_done(&text);
    return copy ? copy : "{}";
}

static enum err_code compare_contracts(struct call *call, struct registration *reg,
                                       const struct contract *before, struct err *err)
{
    struct contract_comparison comparison;
    struct buf text;
    struct json_writer w = {.out = &text};
    enum err_code rc =
        contract_compare(before, reg->loaded->contract, call->arena, &comparison, err);
    if (rc)
        return rc;
    buf_init(&text, CONTRACT_BYTES_MAX);
    contract_comparison_write(&w, &comparison);
    if (!text.is_full) /* half a document is none */
        reg->compatibility = arena_copy(call->arena, text.data, text.len);
    buf_done(&text);
    return ERR_OK;
}

/* With the champion's contract, if there is a champion that has one. */
static enum err_code compare_with_champion(struct call *call, struct registration *reg,
                                           struct err *err)
{
    struct alias alias;
    struct loaded *champion = NULL;
    struct err ignored = {0};
    struct control *control = call->node->control;
    enum err_code rc = alias_get(control_read_begin(control), reg->version.model, ALIAS_CHAMPION,
                                 call->arena, &alias, &ignored);
    control_read_end(control);
    if (rc || !reg->loaded->contract)
        return ERR_OK;
    if (control_acquire(control, reg->version.model, alias.version, &champion, &ignored))
        return ERR_OK; /* a champion that cannot be loaded is no reason against a new version */
    reg->version.compared_to = alias.version;
    rc = champion->contract ? compare_contracts(call, reg, champion->contract, err) : ERR_OK;
    loaded_unref(champion);
    return rc;
}

/* From here on no collection of unused blobs takes what the version is about to name. */
static enum err_code keep_blobs(struct blob_store *blobs, struct version *version, struct err *err)
{
    const struct blob_digest *const optional[] = {&version->contract, &version->golden};
    uint64_t size = 0, ignored;
    if (blob_keep(blobs, &version->artifact, &size, err))
        return err->code;
    for (size_t i = 0; i < ARRAY_LEN(optional); i++) {
        if (optional[i]->hex[0] && blob_keep(blobs, optional[i], &ignored, err))
            return err->code;
    }
    version->artifact_bytes = (int64_t)size;
    return ERR_OK;
}

static enum err_code load_candidate(struct call *call, struct registration *reg, struct err *err)
{
    struct version *version = &reg->version;
    struct blob_store *blobs = control_blobs(call->node->control);
    struct loaded_source source = {
        .model = version->model,
        .runtime = version->runtime,
        .artifact = version->artifact,
        .contract = version->contract,
        .golden = version->golden,
        .thread_count = control_data_threads(call->node->control),
        .host = control_runtime_host(call->node->control),
        .versions = control_versions(call->node->control),
    };
    enum err_code rc = loaded_complete(blobs, &source, err);
    version->artifact = source.artifact;
    if (!rc)
        rc = keep_blobs(blobs, version, err);
    if (!rc)
        rc = loaded_open(blobs, &source, &reg->loaded, err);
    if (rc)
        return rc;
    version->runtime = reg->loaded->ops->name;
    version->signature = signature_json(call, reg->loaded);
    return ERR_OK;
}

/* The first version answers at once; a later one only when it is told to. */
static enum err_code give_alias(struct call *call, struct store *store, struct registration *reg,
                                struct err *err)
{
    struct alias alias;
    const char *name = reg->alias;
    if (!name && reg->version.number > 1)
        return ERR_OK;
    name = name ? name : ALIAS_CHAMPION;
    reg->is_champion = strcmp(name, ALIAS_CHAMPION) == 0;
    enum err_code rc = rollout_check_move(store, reg->version.model, name, err);
    if (rc)
        return rc;
    if (reg->is_champion &&
        gate_check_required(store, reg->version.model, reg->version.number, err))
        return err_hint(err,
                        "register it without the alias, run its gate, then: slipway alias set "
                        "%s champion VERSION",
                        reg->version.model);
    const char *note = reg->version.note; /* may be longer than a reason */
    const char *reason = strlen(note) > REASON_BYTES_MAX ? "see the version's note" : note;
    return alias_set(store, reg->version.model, name, reg->version.number, reg->if_revision, reason,
                     &call->actor, &alias, call->arena, err);
}

static void write_registration(struct call *call, const struct registration *reg)
{
    struct json_writer w = call_json(call, 201);
    json_begin_object(&w);
    json_key(&w, "model");
    json_put_text(&w, reg->version.model);
    json_key(&w, "version");
    json_put_i64(&w, reg->version.number);
    json_key(&w, "runtime");
    json_put_text(&w, reg->version.runtime);
    put_digest(&w, "artifact", &reg->version.artifact);
    json_key(&w, "is_champion");
    json_put_bool(&w, reg->is_champion);
    json_key(&w, "golden_rows");
    json_put_i64(&w, reg->loaded->golden_count);
    json_key(&w, "load_milliseconds");
    json_put_f64(&w, (double)reg->loaded->load_us / 1000.0);
    json_key(&w, "memory_bytes");
    json_put_u64(&w, reg->loaded->memory_bytes);
    put_json(&w, "signature", reg->version.signature);
    put_json(&w, "compatibility", reg->compatibility);
    json_key(&w, "compared_to");
    json_put_i64(&w, reg->version.compared_to);
    json_end_object(&w);
}

static enum err_code write_version(struct call *call, struct control *control, struct store *store,
                                   void *arg, struct err *err)
{
    struct registration *reg = arg;
    (void)control;
    reg->is_champion = false;
    reg->version.compatibility = reg->compatibility;
    enum err_code rc =
        model_ensure(store, reg->version.model, reg->owner, reg->description, &call->actor, err);
    if (!rc)
        rc = version_create(store, &reg->version, &call->actor, err);
    if (!rc)
        rc = give_alias(call, store, reg, err);
    if (rc)
        return rc;
    reg->loaded->number = reg->version.number; /* nobody else has seen it yet */
    write_registration(call, reg);
    return ERR_OK;
}

enum err_code version_post(struct call *call, struct err *err)
{
    struct registration reg = {0};
    enum err_code rc = read_registration(call, &reg, err);
    if (!rc)
        rc = load_candidate(call, &reg, err);
    if (!rc)
        rc = compare_with_champion(call, &reg, err);
    if (!rc) {
        struct call_change change = {
            .op = {.model = reg.version.model, .loaded = {reg.loaded}},
            .fn = write_version,
            .arg = &reg,
        };
        rc = call_execute(call, &change, err);
    }
    if (!rc && reg.version.number) /* 0: answered again by its Idempotency-Key */
        log_info("version registered", "model=%s version=%lld champion=%s actor=%s",
                 reg.version.model, (long long)reg.version.number,
                 reg.is_champion ? "true" : "false", call->actor.name);
    loaded_unref(reg.loaded);
    return rc;
}
