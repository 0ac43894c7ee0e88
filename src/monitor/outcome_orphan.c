/* outcome_orphan.c - outcomes whose prediction is not there yet: kept, looked for again, joined.
 *
 * A prediction may reach the disk a moment after its feedback, or its answer may come from a node
 * that was away. An orphan is looked for again after 1 s, then at growing distances (a quarter of
 * its age), and given up after ORPHAN_KEEP_US.
 */
#include "monitor/outcome_store.h"

#include "base/check.h"
#include "base/clock.h"
#include "registry/registry_check.h"

#define NUMBER(v) ((struct store_value){STORE_F64, {.f64 = (v)}})
#define SQL_NEXT_SEQ "SELECT COALESCE(MAX(seq), 0) + 1 FROM orphans"
/* Apart, each end is one step in the index; in one SELECT they read the whole table. */
#define SQL_SPAN                                                                                   \
    "SELECT COALESCE((SELECT MAX(seq) FROM orphans) - (SELECT MIN(seq) FROM orphans) + 1, 0)"
#define SQL_COUNT "SELECT COUNT(*) FROM orphans WHERE refusal = ''"
#define SQL_SAME                                                                                   \
    "SELECT COUNT(*) FROM orphans WHERE prediction_id = ?1 AND business_key = ?2 AND name = ?3 "   \
    "AND model = ?4 AND label = ?5 AND value = ?6 AND refusal = ''"
#define SQL_PUT                                                                                    \
    "INSERT INTO orphans (seq, prediction_id, model, business_key, name, kind, label, value, "     \
    "unit, direction, at_us, received_us, feedback_id, source, actor, next_try_us, until_us, "     \
    "refusal) "                                                                                    \
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, '')"
#define SQL_DUE                                                                                    \
    "SELECT seq, prediction_id, model, business_key, name, kind, label, value, unit, direction, "  \
    "at_us, received_us, feedback_id, source, actor, until_us FROM orphans "                       \
    "WHERE refusal = '' AND next_try_us <= ?1 ORDER BY next_try_us, seq LIMIT ?2"
#define SQL_WAIT "UPDATE orphans SET next_try_us = ?2 WHERE seq = ?1"
#define SQL_REFUSE "UPDATE orphans SET refusal = ?2 WHERE seq = ?1"
#define SQL_DELETE "DELETE FROM orphans WHERE seq = ?1"
#define OLD                                                                                        \
    "refusal <> '' AND received_us < ?1 AND seq IN (SELECT seq FROM orphans ORDER BY seq LIMIT ?2)"
#define SQL_HAS_OLD "SELECT COUNT(*) FROM orphans WHERE " OLD
#define SQL_PRUNE "DELETE FROM orphans WHERE " OLD
#define SQL_COUNTS                                                                                 \
    "SELECT COALESCE(SUM(CASE WHEN refusal = '' THEN 1 ELSE 0 END), 0), "                          \
    "COALESCE(SUM(CASE WHEN refusal = '' THEN 0 ELSE 1 END), 0) FROM orphans"

/* ---- keeping ---- */

/* Asked once per transaction, then counted along: the span is never less than what waits. */
static enum err_code check_room(struct outcome_run *run, bool *has_room, struct err *err)
{
    enum err_code rc = ERR_OK;
    if (!run->is_orphan_count_known)
        rc = registry_read_number(run->store, SQL_SPAN, NULL, 0, 0, &run->orphan_count, err);
    if (!rc && run->orphan_count >= ORPHANS_MAX && !run->is_orphan_count_exact) {
        rc = registry_read_number(run->store, SQL_COUNT, NULL, 0, 0, &run->orphan_count, err);
        run->is_orphan_count_exact = true; /* the span counts what was joined or refused too */
    }
    run->is_orphan_count_known = true;
    *has_room = run->orphan_count < ORPHANS_MAX;
    return rc;
}

static enum err_code is_known(struct outcome_run *run, const struct outcome *o, bool *is_same,
                              struct err *err)
{
    int64_t count = 0;
    const struct store_value params[] = {
        STORE_STR(o->prediction_id), STORE_STR(o->key),   STORE_STR(o->name),
        STORE_CSTR(o->model),        STORE_STR(o->label), NUMBER(o->value),
    };
    enum err_code rc = registry_read_number(run->store, SQL_SAME, params, 6, 0, &count, err);
    *is_same = count > 0;
    return rc;
}

static enum err_code put_orphan(struct outcome_run *run, const struct outcome *o, struct err *err)
{
    const struct store_value params[] = {
        STORE_INT(run->next_orphan++),
        STORE_STR(o->prediction_id),
        STORE_CSTR(o->model),
        STORE_STR(o->key),
        STORE_STR(o->name),
        STORE_CSTR(outcome_kind_name(o->kind)),
        STORE_STR(o->label),
        NUMBER(o->value),
        STORE_STR(o->unit),
        STORE_CSTR(outcome_direction_name(o->direction)),
        STORE_INT(o->at_us),
        STORE_INT(o->received_us),
        STORE_STR(o->feedback_id),
        STORE_CSTR(outcome_source_name(o->source)),
        STORE_CSTR(run->actor->name),
        STORE_INT(run->now_us + CLOCK_SECOND_US),
        STORE_INT(o->until_us ? o->until_us : o->received_us),
    };
    return store_exec(run->store, SQL_PUT, params, 17, NULL, err);
}

/* A model that is not there will not have predicted. */
static enum err_code check_model(struct outcome_run *run, struct outcome *o, struct err *err)
{
    if (!o->model[0] || registry_check_model(run->store, o->model, err) == ERR_OK)
        return ERR_OK;
    if (err->code != ERR_NOT_FOUND)
        return err->code;
    outcome_refuse(o, "%s", err->msg);
    err->code = ERR_OK;
    return ERR_OK;
}

enum err_code outcome_orphan_put(struct outcome_run *run, struct outcome *o, struct err *err)
{
    bool is_same = false, has_room = false;
    enum err_code rc = check_model(run, o, err);
    if (!rc && o->result == OUTCOME_PENDING)
        rc = is_known(run, o, &is_same, err);
    if (rc || o->result != OUTCOME_PENDING)
        return rc;
    if (is_same) {
        o->result = OUTCOME_DUPLICATE;
        return ERR_OK;
    }
    if (run->next_orphan == 0)
        rc = registry_read_number(run->store, SQL_NEXT_SEQ, NULL, 0, 1, &run->next_orphan, err);
    if (!rc)
        rc = check_room(run, &has_room, err);
    if (rc)
        return rc;
    if (!has_room)
        return outcome_refuse(o, "there is no such prediction, and %d outcomes wait for theirs",
                              ORPHANS_MAX);
    o->result = OUTCOME_ORPHAN;
    run->orphan_count++;
    return put_orphan(run, o, err);
}

/* ---- looking again ---- */

struct orphan_list {
    struct arena *arena;
    struct outcome *list;
    int count;
};

static struct str copy_text(struct store_rows *rows, int column, struct arena *arena, bool *is_full)
{
    const char *text = store_text_copy(rows, column, arena, is_full);
    return (struct str){text, store_text(rows, column).len};
}

static enum err_code read_orphan(struct store_rows *rows, void *arg, struct err *err)
{
    struct orphan_list *c = arg;
    bool is_full = false;
    struct outcome o = {.kind = OUTCOME_LABEL};
    c->list = store_list_grow(c->arena, c->list, c->count, sizeof(o));
    if (!c->list)
        return err_set(err, ERR_LIMIT, "no room to read orphans");
    o.seq = store_i64(rows, 0);
    o.prediction_id = copy_text(rows, 1, c->arena, &is_full);
    o.model = store_text_copy(rows, 2, c->arena, &is_full);
    o.key = copy_text(rows, 3, c->arena, &is_full);
    o.name = copy_text(rows, 4, c->arena, &is_full);
    outcome_kind_parse(store_text(rows, 5), &o.kind);
    o.label = copy_text(rows, 6, c->arena, &is_full);
    o.value = store_f64(rows, 7);
    o.unit = copy_text(rows, 8, c->arena, &is_full);
    outcome_direction_parse(store_text(rows, 9), &o.direction);
    o.at_us = store_i64(rows, 10);
    o.received_us = store_i64(rows, 11);
    o.feedback_id = copy_text(rows, 12, c->arena, &is_full);
    o.source = str_equal_c(store_text(rows, 13), "review") ? OUTCOME_REVIEW : OUTCOME_API;
    o.actor = store_text_copy(rows, 14, c->arena, &is_full);
    o.until_us = store_i64(rows, 15);
    c->list[c->count++] = o;
    return is_full ? err_set(err, ERR_LIMIT, "no room to read orphans") : ERR_OK;
}

enum err_code outcome_orphan_due(struct store *store, int64_t now_us, struct arena *arena,
                                 struct outcome **list, int *count, struct err *err)
{
    struct orphan_list c = {.arena = arena};
    const struct store_value params[] = {STORE_INT(now_us), STORE_INT(ORPHAN_BATCH_MAX)};
    enum err_code rc = registry_each_row(store, SQL_DUE, params, 2, read_orphan, &c, err);
    *list = c.list;
    *count = rc ? 0 : c.count;
    return rc;
}

/* ---- settling ---- */

static enum err_code wait_longer(struct outcome_run *run, int64_t seq, int64_t received_us,
                                 struct err *err)
{
    int64_t age_us = run->now_us - received_us;
    int64_t pause_us = age_us / 4 > CLOCK_SECOND_US ? age_us / 4 : CLOCK_SECOND_US;
    const struct store_value params[] = {STORE_INT(seq), STORE_INT(run->now_us + pause_us)};
    if (age_us > ORPHAN_KEEP_US)
        return store_exec(run->store, SQL_DELETE, params, 1, NULL, err);
    return store_exec(run->store, SQL_WAIT, params, 2, NULL, err);
}

static enum err_code settle_one(struct outcome_run *run, struct outcome *o, struct err *err)
{
    int64_t seq = o->seq;
    if (!o->predicted)
        return wait_longer(run, seq, o->received_us, err);
    const struct actor actor = {.name = o->actor, .via = "orphan"};
    enum err_code rc = outcome_submit(run->store, o, 1, &actor, run->arena, err);
    if (rc)
        return rc;
    const struct store_value params[] = {STORE_INT(seq), STORE_CSTR(o->reason)};
    if (o->result == OUTCOME_REFUSED)
        return store_exec(run->store, SQL_REFUSE, params, 2, NULL, err);
    return store_exec(run->store, SQL_DELETE, params, 1, NULL, err);
}

enum err_code outcome_orphan_settle(struct store *store, struct outcome *list, int count,
                                    struct arena *arena, struct err *err)
{
    struct outcome_run run = {.store = store, .arena = arena, .now_us = clock_wall_us()};
    for (int i = 0; i < count; i++) {
        enum err_code rc = settle_one(&run, &list[i], err);
        if (rc)
            return rc;
    }
    return ERR_OK;
}

/* ---- age ---- */

enum err_code outcome_orphan_has_old(struct store *store, int64_t now_us, bool *has_old,
                                     struct err *err)
{
    int64_t count = 0;
    const struct store_value params[] = {STORE_INT(now_us - ORPHAN_KEEP_US),
                                         STORE_INT(ORPHAN_BATCH_MAX)};
    enum err_code rc = registry_read_number(store, SQL_HAS_OLD, params, 2, 0, &count, err);
    *has_old = count > 0;
    return rc;
}

enum err_code outcome_orphan_prune(struct store *store, int64_t now_us, int64_t *count,
                                   struct err *err)
{
    const struct store_value params[] = {STORE_INT(now_us - ORPHAN_KEEP_US),
                                         STORE_INT(ORPHAN_BATCH_MAX)};
    return store_exec(store, SQL_PRUNE, params, 2, count, err);
}

/* ---- counts ---- */

static enum err_code read_counts(struct store_rows *rows, void *arg, struct err *err)
{
    struct orphan_counts *counts = arg;
    (void)err;
    *counts = (struct orphan_counts){store_i64(rows, 0), store_i64(rows, 1)};
    return ERR_OK;
}

enum err_code outcome_orphan_count(struct store *store, struct orphan_counts *counts,
                                   struct err *err)
{
    *counts = (struct orphan_counts){0};
    return registry_each_row(store, SQL_COUNTS, NULL, 0, read_counts, counts, err);
}
