/* decide.c - decisions, skips and undos: rows that never change, and what follows for the item. */
#include <math.h>
#include <stdio.h>

#include "base/check.h"
#include "registry/registry_check.h"
#include "review/item_row.h"

#define DECISION_COLUMNS                                                                           \
    "id, uuid, item, reviewer, kind, label, note, replaces, is_gold, is_blind, took_us, created_us"
#define SQL_BY_UUID "SELECT " DECISION_COLUMNS " FROM review_decisions WHERE uuid = ?1"
#define SQL_OF_ITEM "SELECT " DECISION_COLUMNS " FROM review_decisions WHERE item = ?1 ORDER BY id"
#define SQL_LAST_ID "SELECT COALESCE(MAX(id), 0) FROM review_decisions"
/* The row that counts of a reviewer for an item: his last one but for skips. */
#define SQL_LAST_OF                                                                                \
    "SELECT " DECISION_COLUMNS " FROM review_decisions WHERE item = ?1 AND reviewer = ?2 "         \
    "AND kind <> 'skip' AND is_gold = 0 ORDER BY id DESC LIMIT 1"
#define SQL_INSERT                                                                                 \
    "INSERT INTO review_decisions (" DECISION_COLUMNS ") "                                         \
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
#define SQL_VOTES                                                                                  \
    "SELECT d.label FROM review_decisions d WHERE d.item = ?1 AND d.is_gold = 0 "                  \
    "AND d.kind = 'decide' AND NOT EXISTS (SELECT 1 FROM review_decisions e WHERE e.item = "       \
    "d.item AND e.reviewer = d.reviewer AND e.is_gold = 0 AND e.kind <> 'skip' AND e.id > d.id) "  \
    "ORDER BY d.id"
#define SQL_LEASE "SELECT taken_us, is_gold FROM review_leases WHERE item = ?1 AND reviewer = ?2"
#define SQL_GIVE_BACK "DELETE FROM review_leases WHERE item = ?1 AND reviewer = ?2"
#define SQL_CLOSE_LEASES "DELETE FROM review_leases WHERE item = ?1 AND is_gold = 0"
#define SQL_UPDATE                                                                                 \
    "UPDATE review_items SET state = ?2, label = ?3, closed_us = ?4, reviewers = ?5, "             \
    "is_escalated = ?6, decision_count = ?7, due_us = ?8, stakes = ?9, is_late = ?10 "             \
    "WHERE id = ?1"
#define SQL_TOTALS                                                                                 \
    "UPDATE review_totals SET decisions = decisions + ?3, decision_us = decision_us + ?4, "        \
    "overrides = overrides + ?5, sla_misses = sla_misses + ?6 WHERE model = ?1 AND version = ?2"
#define SQL_GOLD "UPDATE review_items SET gold_label = ?2 WHERE id = ?1"
#define SQL_DUE                                                                                    \
    "SELECT id FROM review_items WHERE state = 'open' AND due_us <= ?1 ORDER BY due_us LIMIT ?2"

enum { SHOWN = 64, CHOICES_BYTES_MAX = 1024 * 1024, EXPIRE_BYTES_MAX = 64 * 1024 * 1024 };

/* A decision on its way into the store. */
struct turn {
    struct store *store;
    const struct review_act *act;
    const struct actor *actor;
    int64_t now_us;
    struct arena *arena;
    struct review_result *result;
    bool has_lease, is_gold;
    int64_t leased_us;
    struct review_decision last; /* the reviewer's own that counts; id 0: none */
};

/* ---- reading ---- */

struct decision_list {
    struct arena *arena;
    struct review_decision *decisions;
    int count;
};

static enum err_code read_decision(struct store_rows *rows, void *arg, struct err *err)
{
    struct decision_list *list = arg;
    bool is_full = false;
    list->decisions =
        store_list_grow(list->arena, list->decisions, list->count, sizeof(*list->decisions));
    if (!list->decisions)
        return err_set(err, ERR_LIMIT, "no room to read decisions");
    list->decisions[list->count++] = (struct review_decision){
        .id = store_i64(rows, 0),
        .uuid = store_text_copy(rows, 1, list->arena, &is_full),
        .item = store_i64(rows, 2),
        .reviewer = store_text_copy(rows, 3, list->arena, &is_full),
        .kind = store_text_copy(rows, 4, list->arena, &is_full),
        .label = store_text_copy(rows, 5, list->arena, &is_full),
        .note = store_text_copy(rows, 6, list->arena, &is_full),
        .replaces = store_i64(rows, 7),
        .is_gold = store_i64(rows, 8) != 0,
        .is_blind = store_i64(rows, 9) != 0,
        .took_us = store_i64(rows, 10),
        .created_us = store_i64(rows, 11),
    };
    return is_full ? err_set(err, ERR_LIMIT, "no room to read decisions") : ERR_OK;
}

enum err_code review_decisions(struct store *store, int64_t item, struct arena *arena,
                               struct review_decision **decisions, int *count, struct err *err)
{
    const struct store_value params[] = {STORE_INT(item)};
    struct decision_list list = {.arena = arena};
    if (registry_each_row(store, SQL_OF_ITEM, params, 1, read_decision, &list, err))
        return err->code;
    *decisions = list.decisions;
    *count = list.count;
    return ERR_OK;
}

static enum err_code read_lease(struct store_rows *rows, void *arg, struct err *err)
{
    struct turn *t = arg;
    (void)err;
    t->has_lease = true;
    t->leased_us = store_i64(rows, 0);
    t->is_gold = store_i64(rows, 1) != 0;
    return ERR_OK;
}

/* ---- checks that are the same for every kind ---- */

static enum err_code check_act(const struct review_act *act, struct err *err)
{
    struct str uuid = str_of(act->uuid);
    if (uuid.len < 8 || uuid.len > REVIEW_UUID_BYTES_MAX ||
        registry_check_text("the uuid", act->uuid, REVIEW_UUID_BYTES_MAX, err)) {
        err_set(err, ERR_INVALID, "uuid: expected 8 to %d characters", REVIEW_UUID_BYTES_MAX);
        return err_hint(err, "make a new random one for each decision, and send it again with "
                             "each retry");
    }
    if (registry_check_text("the label", act->label, REVIEW_LABEL_BYTES_MAX, err) ||
        registry_check_text("the note", act->note, REVIEW_NOTE_BYTES_MAX, err))
        return err->code;
    return ERR_OK;
}

static bool is_same(const struct review_decision *made, const struct turn *t, const char *kind)
{
    return made->item == t->act->item && strcmp(made->reviewer, t->actor->name) == 0 &&
           strcmp(made->kind, kind) == 0 && strcmp(made->label, t->act->label) == 0;
}

static enum err_code find_repeated(struct turn *t, const char *kind, struct err *err)
{
    const struct store_value params[] = {STORE_CSTR(t->act->uuid)};
    struct decision_list list = {.arena = t->arena};
    if (registry_each_row(t->store, SQL_BY_UUID, params, 1, read_decision, &list, err))
        return err->code;
    if (list.count == 0)
        return ERR_OK;
    if (!is_same(&list.decisions[0], t, kind)) {
        err_set(err, ERR_CONFLICT, "uuid '%s' was used for another decision", t->act->uuid);
        return err_hint(err, "use a new uuid for a new decision");
    }
    t->result->is_repeated = true;
    t->result->is_gold = list.decisions[0].is_gold;
    t->result->decision = list.decisions[0].id;
    return ERR_OK;
}

static enum err_code find_last(struct turn *t, struct err *err)
{
    const struct store_value params[] = {STORE_INT(t->act->item), STORE_CSTR(t->actor->name)};
    struct decision_list list = {.arena = t->arena};
    if (registry_each_row(t->store, SQL_LEASE, params, 2, read_lease, t, err) ||
        registry_each_row(t->store, SQL_LAST_OF, params, 2, read_decision, &list, err))
        return err->code;
    if (list.count && strcmp(list.decisions[0].kind, "decide") == 0)
        t->last = list.decisions[0];
    return ERR_OK;
}

static enum err_code begin(struct turn *t, const char *kind, struct err *err)
{
    *t->result = (struct review_result){0};
    enum err_code rc = check_act(t->act, err);
    if (!rc)
        rc = find_repeated(t, kind, err);
    if (!rc)
        rc = review_item_get(t->store, t->act->item, t->arena, &t->result->item, err);
    if (!rc && !t->result->is_repeated)
        rc = find_last(t, err);
    return rc;
}

/* ---- labels ---- */

static enum err_code unknown_label(const char *label, yyjson_val *choices, struct err *err)
{
    struct buf list;
    size_t i, count;
    yyjson_val *choice;
    buf_init(&list, ERR_HINT_BYTES / 2);
    yyjson_arr_foreach(choices, i, count, choice)
    {
        if (i)
            buf_lit(&list, ", ");
        buf_str(&list, json_str(choice));
    }
    err_set(err, ERR_INVALID, "label: '%.*s' is none of the choices", SHOWN, label);
    err_hint(err, "one of: %s", list.is_full ? "the choices of the item" : buf_c(&list));
    buf_done(&list);
    return err->code;
}

/* The label as it is kept: a class as it is called, a number in its shortest form. */
static enum err_code check_label(const struct review_item *item, const char *label,
                                 struct arena *arena, const char **kept, struct err *err)
{
    yyjson_val *choices, *choice;
    double number = 0;
    size_t i, count;
    enum err_code rc = json_read(str_of(item->choices), arena, &choices, err);
    if (rc)
        return rc;
    if (review_item_is_number(item)) {
        char text[STR_NUMBER_BYTES];
        if (!str_to_f64(str_of(label), &number) || !isfinite(number))
            return err_set(err, ERR_INVALID, "label: expected a number, got '%.*s'", SHOWN, label);
        *kept = arena_copy(arena, text, str_from_f64(number, text));
        return *kept ? ERR_OK : err_set(err, ERR_LIMIT, "no room for the label");
    }
    yyjson_arr_foreach(choices, i, count, choice) if (yyjson_equals_str(choice, label))
    {
        *kept = label;
        return ERR_OK;
    }
    return unknown_label(label, choices, err);
}

static bool is_override(const struct review_item *item)
{
    double label, answer;
    if (item->state != REVIEW_DECIDED)
        return false;
    if (!review_item_is_number(item))
        return strcmp(item->label, item->answer_label) != 0;
    return !str_to_f64(str_of(item->label), &label) ||
           !str_to_f64(str_of(item->answer_label), &answer) ||
           fabs(label - answer) > item->tolerance;
}

/* ---- rows ---- */

static enum err_code insert(struct turn *t, const char *kind, const char *label, struct err *err)
{
    int64_t id = 0, took_us = t->has_lease ? t->now_us - t->leased_us : 0;
    if (registry_read_number(t->store, SQL_LAST_ID, NULL, 0, 0, &id, err))
        return err->code;
    t->result->decision = id + 1;
    const struct store_value row[] = {
        STORE_INT(id + 1),        STORE_CSTR(t->act->uuid),
        STORE_INT(t->act->item),  STORE_CSTR(t->actor->name),
        STORE_CSTR(kind),         STORE_CSTR(label),
        STORE_CSTR(t->act->note), STORE_INT(t->is_gold ? 0 : t->last.id),
        STORE_INT(t->is_gold),    STORE_INT(t->result->item.is_blind),
        STORE_INT(took_us),       STORE_INT(t->now_us)};
    const struct store_value lease[] = {STORE_INT(t->act->item), STORE_CSTR(t->actor->name)};
    if (store_exec(t->store, SQL_INSERT, row, ARRAY_LEN(row), NULL, err))
        return err->code;
    return store_exec(t->store, SQL_GIVE_BACK, lease, ARRAY_LEN(lease), NULL, err);
}

static enum err_code add_totals(struct store *store, const struct review_item *item,
                                int64_t decisions, int64_t took_us, int64_t overrides,
                                int64_t misses, struct err *err)
{
    const struct store_value params[] = {STORE_CSTR(item->model), STORE_INT(item->version),
                                         STORE_INT(decisions),    STORE_INT(took_us),
                                         STORE_INT(overrides),    STORE_INT(misses)};
    return store_exec(store, SQL_TOTALS, params, ARRAY_LEN(params), NULL, err);
}

static enum err_code update_item(struct store *store, const struct review_item *item,
                                 struct err *err)
{
    const struct store_value params[] = {STORE_INT(item->id),
                                         STORE_CSTR(review_state_name(item->state)),
                                         STORE_CSTR(item->label),
                                         STORE_INT(item->closed_us),
                                         STORE_INT(item->reviewers),
                                         STORE_INT(item->is_escalated),
                                         STORE_INT(item->decision_count),
                                         STORE_INT(item->due_us),
                                         STORE_INT(item->stakes),
                                         STORE_INT(item->is_late)};
    if (store_exec(store, SQL_UPDATE, params, ARRAY_LEN(params), NULL, err))
        return err->code;
    return item->state == REVIEW_OPEN ? ERR_OK
                                      : store_exec(store, SQL_CLOSE_LEASES, params, 1, NULL, err);
}

/* ---- the event ---- */

static void put_item_state(struct json_writer *w, const struct review_item *item)
{
    json_key(w, "item");
    json_put_i64(w, item->id);
    json_key(w, "prediction_id");
    json_put_text(w, item->prediction_id);
    json_key(w, "version");
    json_put_i64(w, item->version);
    json_key(w, "mode");
    json_put_text(w, review_mode_name(item->mode));
    json_key(w, "state");
    json_put_text(w, review_state_name(item->state));
    json_key(w, "label");
    json_put_text(w, item->label);
}

static enum err_code append_event(struct store *store, const struct actor *actor,
                                  const char *action, const struct review_item *item,
                                  const struct review_item *before, const char *said,
                                  int64_t now_us, struct err *err)
{
    char subject[REGISTRY_SUBJECT_BYTES_MAX];
    struct buf old, fresh;
    struct json_writer w = {.out = &old};
    buf_init(&old, REGISTRY_STATE_BYTES_MAX);
    buf_init(&fresh, REGISTRY_STATE_BYTES_MAX);
    json_begin_object(&w);
    put_item_state(&w, before);
    json_end_object(&w);
    w = (struct json_writer){.out = &fresh};
    json_begin_object(&w);
    put_item_state(&w, item);
    if (said) {
        json_key(&w, "said");
        json_put_text(&w, said);
    }
    json_key(&w, "override");
    json_put_bool(&w, is_override(item));
    json_end_object(&w);
    snprintf(subject, sizeof(subject), "model/%s/review/%lld", item->model, (long long)item->id);
    return registry_append(store, actor, action, subject, &old, &fresh, now_us, NULL, err);
}

/* ---- what follows for the item ---- */

struct vote_list {
    struct arena *arena;
    struct review_vote votes[REVIEW_REVIEWERS_MAX];
    int count;
};

static enum err_code read_vote(struct store_rows *rows, void *arg, struct err *err)
{
    struct vote_list *list = arg;
    bool is_full = false;
    if (list->count == REVIEW_REVIEWERS_MAX)
        return ERR_OK;
    list->votes[list->count++].label = store_text_copy(rows, 0, list->arena, &is_full);
    return is_full ? err_set(err, ERR_LIMIT, "no room to read decisions") : ERR_OK;
}

static void take_verdict(struct turn *t, const struct review_verdict *verdict, int vote_count)
{
    struct review_item *item = &t->result->item;
    bool was_closed = item->state != REVIEW_OPEN;
    /* What expired stays so until somebody decides; an undo opens what had been decided. */
    bool stays = verdict->state == REVIEW_OPEN &&
                 (item->state == REVIEW_EXPIRED || item->state == REVIEW_REJECTED);
    item->decision_count = vote_count;
    item->reviewers = verdict->reviewers;
    if (stays)
        return;
    item->state = verdict->state;
    item->label = arena_copy(t->arena, verdict->label, strlen(verdict->label));
    item->closed_us = verdict->state == REVIEW_OPEN ? 0 : t->now_us;
    if (verdict->is_escalated && item->state == REVIEW_OPEN) {
        item->is_escalated = true;
        item->stakes = REVIEW_STAKES_MAX;
    }
    if (was_closed && item->state == REVIEW_OPEN && item->due_us < t->now_us + item->lease_us)
        item->due_us = t->now_us + item->lease_us;
}

static enum err_code settle(struct turn *t, const char *action, const char *said, struct err *err)
{
    struct review_item *item = &t->result->item;
    const struct review_item before = *item;
    const struct store_value params[] = {STORE_INT(item->id)};
    struct vote_list list = {.arena = t->arena};
    if (registry_each_row(t->store, SQL_VOTES, params, 1, read_vote, &list, err))
        return err->code;
    struct review_verdict verdict = review_resolve(list.votes, list.count, item->reviewers_rule,
                                                   review_item_is_number(item), item->tolerance);
    take_verdict(t, &verdict, list.count);
    if (!item->label)
        return err_set(err, ERR_LIMIT, "no room for the label");
    t->result->is_override = is_override(item);
    t->result->has_new_label =
        item->state == REVIEW_DECIDED &&
        (before.state != REVIEW_DECIDED || strcmp(before.label, item->label) != 0);
    bool is_decision = said != NULL;
    int64_t took_us = is_decision && t->has_lease ? t->now_us - t->leased_us : 0;
    if (update_item(t->store, item, err) ||
        add_totals(t->store, item, is_decision, took_us,
                   t->result->has_new_label && t->result->is_override, 0, err))
        return err->code;
    return append_event(t->store, t->actor, action, item, &before, said, t->now_us, err);
}

/* ---- deciding ---- */

static enum err_code told_already(const struct review_item *item, struct err *err)
{
    err_set(err, ERR_CONFLICT, "review item %lld is %s, and its caller has been told",
            (long long)item->id, review_state_name(item->state));
    return err_hint(err, "send what is right as feedback for prediction %s", item->prediction_id);
}

static enum err_code check_state(const struct turn *t, struct err *err)
{
    const struct review_item *item = &t->result->item;
    if (item->state == REVIEW_OPEN)
        return ERR_OK;
    if (item->state == REVIEW_ERASED)
        return err_set(err, ERR_CONFLICT, "review item %lld was erased", (long long)item->id);
    if (item->mode == REVIEW_HOLD)
        return told_already(item, err);
    bool may_come_late = item->state == REVIEW_EXPIRED || item->state == REVIEW_REJECTED;
    if (may_come_late || t->last.id)
        return ERR_OK;
    err_set(err, ERR_CONFLICT, "review item %lld was %s by others meanwhile", (long long)item->id,
            review_state_name(item->state));
    return err_hint(err, "nothing is left to decide here; ask for the next one");
}

enum err_code review_decide(struct store *store, const struct review_act *act,
                            const struct actor *actor, int64_t now_us, struct arena *arena,
                            struct review_result *result, struct err *err)
{
    struct turn t = {.store = store,
                     .act = act,
                     .actor = actor,
                     .now_us = now_us,
                     .arena = arena,
                     .result = result};
    const char *label = act->label;
    enum err_code rc = begin(&t, "decide", err);
    if (rc || result->is_repeated)
        return rc;
    rc = check_label(&result->item, act->label, arena, &label, err);
    if (!rc && !t.is_gold)
        rc = check_state(&t, err);
    if (!rc)
        rc = insert(&t, "decide", label, err);
    if (rc)
        return rc;
    result->is_gold = t.is_gold;
    if (!t.is_gold)
        return settle(&t, "review.decide", label, err);
    const struct review_item *item = &result->item;
    if (add_totals(store, item, 1, t.now_us - t.leased_us, 0, 0, err))
        return err->code;
    return append_event(store, actor, "review.gold_decide", item, item, label, now_us, err);
}

enum err_code review_skip(struct store *store, const struct review_act *act,
                          const struct actor *actor, int64_t now_us, struct arena *arena,
                          struct review_result *result, struct err *err)
{
    struct turn t = {.store = store,
                     .act = act,
                     .actor = actor,
                     .now_us = now_us,
                     .arena = arena,
                     .result = result};
    enum err_code rc = begin(&t, "skip", err);
    if (rc || result->is_repeated)
        return rc;
    if (str_trim(str_of(act->note)).len == 0)
        return err_set(err, ERR_INVALID, "reason: say why the item is skipped");
    if (t.last.id)
        return err_set(err, ERR_CONFLICT, "review item %lld has a decision of %s already",
                       (long long)act->item, actor->name);
    if (result->item.state != REVIEW_OPEN && !t.is_gold)
        return err_set(err, ERR_CONFLICT, "review item %lld is %s: there is nothing to skip",
                       (long long)act->item, review_state_name(result->item.state));
    result->is_gold = t.is_gold;
    rc = insert(&t, "skip", "", err);
    if (rc)
        return rc;
    return append_event(store, actor, "review.skip", &result->item, &result->item, NULL, now_us,
                        err);
}

enum err_code review_undo(struct store *store, const struct review_act *act,
                          const struct actor *actor, int64_t now_us, struct arena *arena,
                          struct review_result *result, struct err *err)
{
    struct turn t = {.store = store,
                     .act = act,
                     .actor = actor,
                     .now_us = now_us,
                     .arena = arena,
                     .result = result};
    enum err_code rc = begin(&t, "undo", err);
    if (rc || result->is_repeated)
        return rc;
    const struct review_item *item = &result->item;
    if (!t.last.id)
        return err_set(err, ERR_CONFLICT, "review item %lld has no decision of %s",
                       (long long)act->item, actor->name);
    if (item->state == REVIEW_ERASED)
        return err_set(err, ERR_CONFLICT, "review item %lld was erased", (long long)item->id);
    if (item->mode == REVIEW_HOLD && item->state != REVIEW_OPEN)
        return told_already(item, err);
    if (now_us - t.last.created_us > item->undo_us) {
        err_set(err, ERR_CONFLICT, "the decision is older than %lld seconds",
                (long long)(item->undo_us / 1000000));
        return err_hint(err, "decide the item again: a correction is a decision of its own");
    }
    t.is_gold = false;
    rc = insert(&t, "undo", "", err);
    return rc ? rc : settle(&t, "review.undo", NULL, err);
}

/* ---- gold ---- */

enum err_code review_set_gold(struct store *store, int64_t id, const char *label,
                              const struct actor *actor, struct arena *arena, struct err *err)
{
    struct review_item item;
    const char *kept = "";
    enum err_code rc = review_item_get(store, id, arena, &item, err);
    if (!rc && label[0])
        rc = check_label(&item, label, arena, &kept, err);
    if (rc)
        return rc;
    if (item.state == REVIEW_OPEN || item.state == REVIEW_ERASED)
        return err_set(err, ERR_CONFLICT, "review item %lld is %s; a gold item is a closed one",
                       (long long)id, review_state_name(item.state));
    const struct store_value params[] = {STORE_INT(id), STORE_CSTR(kept)};
    if (store_exec(store, SQL_GOLD, params, ARRAY_LEN(params), NULL, err))
        return err->code;
    return append_event(store, actor, "review.gold", &item, &item, kept, 0, err);
}

/* ---- time passes ---- */

struct due_list {
    int64_t ids[REVIEW_BATCH_MAX];
    int count;
};

static enum err_code read_due(struct store_rows *rows, void *arg, struct err *err)
{
    struct due_list *list = arg;
    (void)err;
    list->ids[list->count++] = store_i64(rows, 0);
    return ERR_OK;
}

static enum err_code expire_one(struct store *store, int64_t id, const struct actor *actor,
                                int64_t now_us, struct arena *arena, struct err *err)
{
    struct review_item item;
    enum err_code rc = review_item_get(store, id, arena, &item, err);
    if (rc)
        return rc;
    const struct review_item before = item;
    item.is_late = true;
    if (item.on_expiry == REVIEW_EXPIRY_ESCALATE) {
        item.is_escalated = true;
        item.stakes = REVIEW_STAKES_MAX;
        item.due_us = now_us + item.sla_us;
    } else {
        item.state = item.on_expiry == REVIEW_EXPIRY_REJECT ? REVIEW_REJECTED : REVIEW_EXPIRED;
        item.closed_us = now_us;
    }
    if (update_item(store, &item, err) ||
        add_totals(store, &item, 0, 0, 0, before.is_late ? 0 : 1, err))
        return err->code;
    const char *action =
        item.on_expiry == REVIEW_EXPIRY_ESCALATE ? "review.escalate" : "review.expire";
    return append_event(store, actor, action, &item, &before, NULL, now_us, err);
}

enum err_code review_expire(struct store *store, const struct actor *actor, int64_t now_us,
                            int *count, struct err *err)
{
    const struct store_value params[] = {STORE_INT(now_us), STORE_INT(REVIEW_BATCH_MAX)};
    struct due_list due = {.count = 0};
    if (registry_each_row(store, SQL_DUE, params, 2, read_due, &due, err))
        return err->code;
    *count = due.count;
    struct arena *arena = arena_new(EXPIRE_BYTES_MAX);
    enum err_code rc = ERR_OK;
    for (int i = 0; i < due.count && !rc; i++) {
        rc = expire_one(store, due.ids[i], actor, now_us, arena, err);
        arena_reset(arena);
    }
    arena_free(arena);
    return rc;
}

enum err_code review_has_due(struct store *store, int64_t now_us, bool *has_due, struct err *err)
{
    const struct store_value params[] = {STORE_INT(now_us), STORE_INT(1)};
    int64_t id = 0;
    *has_due = false;
    if (registry_read_number(store, SQL_DUE, params, 2, 0, &id, err))
        return err->code;
    *has_due = id > 0;
    return ERR_OK;
}
