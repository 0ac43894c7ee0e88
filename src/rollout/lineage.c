/* lineage.c - lineage of versions both ways, and the reigns of champions. */
#include "rollout/lineage.h"

#include "registry/registry_check.h"

#define SQL_MOVES                                                                                  \
    "SELECT to_version, kind, actor, reason, at_us FROM alias_history "                            \
    "WHERE model = ?1 AND alias = ?2 ORDER BY revision"

/* ---- reigns ---- */

struct reign_list {
    struct arena *arena;
    struct reign *list;
    int count;
};

/* Each move ends the reign before it. */
static enum err_code read_move(struct store_rows *rows, void *arg, struct err *err)
{
    struct reign_list *c = arg;
    bool is_full = false;
    int64_t at_us = store_i64(rows, 4);
    if (c->count && c->list[c->count - 1].until_us == 0)
        c->list[c->count - 1].until_us = at_us;
    if (store_i64(rows, 0) == 0)
        return ERR_OK;
    c->list = store_list_grow(c->arena, c->list, c->count, sizeof(*c->list));
    if (!c->list)
        return err_set(err, ERR_LIMIT, "no room to read the history");
    c->list[c->count++] = (struct reign){
        .version = store_i64(rows, 0),
        .from_us = at_us,
        .kind = store_text_copy(rows, 1, c->arena, &is_full),
        .actor = store_text_copy(rows, 2, c->arena, &is_full),
        .reason = store_text_copy(rows, 3, c->arena, &is_full),
    };
    return is_full ? err_set(err, ERR_LIMIT, "no room to read the history") : ERR_OK;
}

enum err_code lineage_reigns(struct store *store, const char *model, struct arena *arena,
                             struct reign **list, int *count, struct err *err)
{
    const struct store_value params[] = {STORE_CSTR(model), STORE_CSTR(ALIAS_CHAMPION)};
    struct reign_list c = {.arena = arena};
    if (registry_check_model(store, model, err) ||
        registry_each_row(store, SQL_MOVES, params, 2, read_move, &c, err))
        return err->code;
    *list = c.list;
    *count = c.count;
    return ERR_OK;
}

/* ---- rollouts ---- */

/* As the last transition before that time left it. */
static enum err_code share_at(struct store *store, const struct rollout *rollout, int64_t at_us,
                              struct arena *arena, struct lineage_share *share, struct err *err)
{
    struct rollout_event_row *rows;
    int count = 0;
    enum err_code rc = rollout_decisions(store, rollout->id, arena, &rows, &count, err);
    *share = (struct lineage_share){.rollout = rollout, .state = "running"};
    for (int i = 0; !rc && i < count && rows[i].at_us <= at_us; i++) {
        share->share = (double)rows[i].weight_ppm / 1e6;
        share->state = rows[i].state;
    }
    return rc;
}

enum err_code lineage_shares(struct store *store, const char *model, int64_t at_us,
                             struct arena *arena, struct lineage_share **list, int *count,
                             struct err *err)
{
    struct rollout *rollouts;
    int all = 0;
    enum err_code rc =
        rollout_list(store, model, false, ROLLOUT_LIST_MAX, arena, &rollouts, &all, err);
    *list = NULL;
    *count = 0;
    for (int i = 0; !rc && i < all; i++) {
        const struct rollout *r = &rollouts[i];
        if (r->started_us > at_us || (r->ended_us && r->ended_us <= at_us))
            continue;
        *list = store_list_grow(arena, *list, *count, sizeof(**list));
        if (!*list)
            return err_set(err, ERR_LIMIT, "no room to read rollouts");
        rc = share_at(store, r, at_us, arena, &(*list)[(*count)++], err);
    }
    return rc;
}

/* ---- lineage ---- */

struct lineage {
    struct store *store;
    struct arena *arena;
    struct json_writer *w;
    const struct lineage_query *query;
    struct model model;
    struct alias *aliases;
    int alias_count;
    struct reign *reigns;
    int reign_count;
    struct gate_result *gates;
    int gate_count;
    struct rollout *rollouts;
    int rollout_count;
};

static void put_text(struct json_writer *w, const char *key, const char *value)
{
    json_key(w, key);
    json_put_text(w, value && value[0] ? value : NULL);
}

/* A member that is a text is compared as it is, others as JSON. */
static bool matches(struct lineage *l, const struct version *version)
{
    yyjson_val *root = NULL;
    struct err ignored = {0};
    struct buf text;
    if (!l->query->key)
        return true;
    if (json_read(str_of(version->lineage), l->arena, &root, &ignored))
        return false;
    yyjson_val *value = yyjson_obj_get(root, l->query->key);
    if (yyjson_is_str(value))
        return str_equal_c(json_str(value), l->query->value);
    buf_init(&text, LINEAGE_BYTES_MAX);
    if (value)
        json_write(&text, value);
    bool is_same = value && str_equal_c(buf_view(&text), l->query->value);
    buf_done(&text);
    return is_same;
}

static void write_gates(struct lineage *l, int64_t version)
{
    json_key(l->w, "gates");
    json_begin_array(l->w);
    for (int i = 0; i < l->gate_count; i++) {
        const struct gate_result *gate = &l->gates[i];
        if (gate->version != version)
            continue;
        json_begin_object(l->w);
        json_member_i64(l->w, "id", gate->id);
        put_text(l->w, "verdict", gate->verdict);
        put_text(l->w, "data_sha256", gate->data_digest);
        json_member_time(l->w, "at", gate->at_us);
        json_end_object(l->w);
    }
    json_end_array(l->w);
}

static void write_rollouts(struct lineage *l, int64_t version)
{
    json_key(l->w, "rollouts");
    json_begin_array(l->w);
    for (int i = 0; i < l->rollout_count; i++) {
        const struct rollout *r = &l->rollouts[i];
        if (r->from != version && r->to != version)
            continue;
        json_begin_object(l->w);
        json_member_i64(l->w, "rollout", r->id);
        json_member_i64(l->w, "from", r->from);
        json_member_i64(l->w, "to", r->to);
        put_text(l->w, "state", rollout_state_name(r->state));
        json_member_time(l->w, "started_at", r->started_us);
        json_member_time(l->w, "ended_at", r->ended_us);
        json_end_object(l->w);
    }
    json_end_array(l->w);
}

static void write_uses(struct lineage *l, int64_t version)
{
    json_key(l->w, "aliases");
    json_begin_array(l->w);
    for (int i = 0; i < l->alias_count; i++)
        if (l->aliases[i].version == version)
            json_put_text(l->w, l->aliases[i].name);
    json_end_array(l->w);
    json_key(l->w, "answered");
    json_begin_array(l->w);
    for (int i = 0; i < l->reign_count; i++) {
        if (l->reigns[i].version != version)
            continue;
        json_begin_object(l->w);
        json_member_time(l->w, "from", l->reigns[i].from_us);
        json_member_time(l->w, "until", l->reigns[i].until_us);
        json_end_object(l->w);
    }
    json_end_array(l->w);
}

static void write_version(struct lineage *l, const struct version *version)
{
    struct json_writer *w = l->w;
    json_begin_object(w);
    json_member_i64(w, "version", version->number);
    json_key(w, "sources");
    json_put_raw(w, str_of(version->lineage));
    put_text(w, "artifact", version->artifact.hex);
    put_text(w, "contract", version->contract.hex);
    put_text(w, "golden", version->golden.hex);
    json_member_i64(w, "compared_to", version->compared_to);
    put_text(w, "note", version->note);
    put_text(w, "registered_by", version->created_by);
    json_member_time(w, "registered_at", version->created_us);
    write_gates(l, version->number);
    write_uses(l, version->number);
    write_rollouts(l, version->number);
    json_end_object(w);
}

static enum err_code read_uses(struct lineage *l, struct err *err)
{
    enum err_code rc = model_get(l->store, l->query->model, l->arena, &l->model, err);
    if (!rc)
        rc = alias_list(l->store, l->query->model, l->arena, &l->aliases, &l->alias_count, err);
    if (!rc)
        rc = lineage_reigns(l->store, l->query->model, l->arena, &l->reigns, &l->reign_count, err);
    if (!rc)
        rc = gate_result_list(l->store, l->query->model, l->query->version, GATE_LIST_MAX, l->arena,
                              &l->gates, &l->gate_count, err);
    if (!rc)
        rc = rollout_list(l->store, l->query->model, false, ROLLOUT_LIST_MAX, l->arena,
                          &l->rollouts, &l->rollout_count, err);
    return rc;
}

static enum err_code read_versions(struct lineage *l, struct version **versions, int *count,
                                   struct err *err)
{
    if (!l->query->version)
        return version_list(l->store, l->query->model, 0, LINEAGE_VERSIONS_MAX, l->arena, versions,
                            count, err);
    *versions = arena_calloc(l->arena, 1, sizeof(**versions));
    *count = 1;
    if (!*versions)
        return err_set(err, ERR_LIMIT, "no room to read a version");
    return version_get(l->store, l->query->model, l->query->version, l->arena, *versions, err);
}

enum err_code lineage_write(struct store *store, const struct lineage_query *query,
                            struct arena *arena, struct json_writer *w, struct err *err)
{
    struct lineage l = {.store = store, .arena = arena, .w = w, .query = query};
    struct version *versions = NULL;
    int count = 0;
    enum err_code rc = read_uses(&l, err);
    if (!rc)
        rc = read_versions(&l, &versions, &count, err);
    if (rc)
        return rc;
    json_begin_object(w);
    put_text(w, "model", l.model.name);
    put_text(w, "owner", l.model.owner);
    json_key(w, "versions");
    json_begin_array(w);
    for (int i = 0; i < count; i++)
        if (matches(&l, &versions[i]))
            write_version(&l, &versions[i]);
    json_end_array(w);
    json_end_object(w);
    return ERR_OK;
}
