/* outcome_forget.c - outcomes that go: a subject's, at its wish, and those past their age.
 *
 * Every statement goes by an index to what it removes, and each call removes a bounded number of
 * predictions: the control thread has other things to do between two of them.
 */
#include "monitor/outcome_store.h"

#include "registry/registry_check.h"

#define SQL_FORGET_OUTCOMES "DELETE FROM outcomes WHERE prediction_id = ?1 AND model = ?2"
#define SQL_FORGET_PREDICTED "DELETE FROM predicted WHERE id = ?1 AND model = ?2"
/* One that named no model may have meant this one. */
#define SQL_FORGET_ORPHANS "DELETE FROM orphans WHERE prediction_id = ?1 AND model IN (?2, '')"
#define SQL_FORGET_WAITING                                                                         \
    "DELETE FROM orphans WHERE prediction_id = '' AND business_key = ?1 AND model = ?2"
#define SQL_OF_KEY                                                                                 \
    "SELECT DISTINCT model, id FROM predicted WHERE model = ?2 AND business_key = ?1 LIMIT ?3"
/* Model by model, since that is how times are indexed. */
#define SQL_OLD                                                                                    \
    "SELECT p.model, p.id FROM models m CROSS JOIN predicted p WHERE p.model = m.name AND "        \
    "p.at_us < ?1 LIMIT ?2"

struct id_list {
    struct arena *arena;
    struct {
        const char *model, *id;
    } list[OUTCOME_FORGET_MAX];
    int count;
};

static enum err_code read_id(struct store_rows *rows, void *arg, struct err *err)
{
    struct id_list *c = arg;
    bool is_full = false;
    c->list[c->count].model = store_text_copy(rows, 0, c->arena, &is_full);
    c->list[c->count].id = store_text_copy(rows, 1, c->arena, &is_full);
    c->count++;
    return is_full ? err_set(err, ERR_LIMIT, "no room to read predictions") : ERR_OK;
}

static enum err_code read_ids(struct store *store, const char *sql,
                              const struct store_value *params, int param_count,
                              struct arena *arena, struct id_list **ids, struct err *err)
{
    struct id_list *list = arena_alloc(arena, sizeof(*list));
    if (!list)
        return err_set(err, ERR_LIMIT, "no room to read predictions");
    list->arena = arena;
    list->count = 0;
    *ids = list;
    return registry_each_row(store, sql, params, param_count, read_id, list, err);
}

static enum err_code run_all(struct store *store, const char *const *statements, int n,
                             const struct store_value *params, int64_t *count, struct err *err)
{
    for (int i = 0; i < n; i++) {
        int64_t changed = 0;
        enum err_code rc = store_exec(store, statements[i], params, 2, &changed, err);
        if (rc)
            return rc;
        *count += changed;
    }
    return ERR_OK;
}

static enum err_code forget(struct store *store, const char *model, const char *id,
                            bool takes_orphans, int64_t *count, struct err *err)
{
    static const char *const statements[] = {SQL_FORGET_OUTCOMES, SQL_FORGET_PREDICTED,
                                             SQL_FORGET_ORPHANS};
    const struct store_value params[] = {STORE_CSTR(id), STORE_CSTR(model)};
    return run_all(store, statements, takes_orphans ? 3 : 2, params, count, err);
}

static enum err_code forget_all(struct store *store, const struct id_list *ids, bool takes_orphans,
                                int64_t *count, struct err *err)
{
    for (int i = 0; i < ids->count; i++) {
        enum err_code rc =
            forget(store, ids->list[i].model, ids->list[i].id, takes_orphans, count, err);
        if (rc)
            return rc;
    }
    return ERR_OK;
}

/* ---- a subject ---- */

enum err_code outcome_erase_ids(struct store *store, const char *model, const char *const *ids,
                                int id_count, int64_t *count, struct err *err)
{
    *count = 0;
    for (int i = 0; i < id_count; i++) {
        enum err_code rc = forget(store, model, ids[i], true, count, err);
        if (rc)
            return rc;
    }
    return ERR_OK;
}

enum err_code outcome_erase_key(struct store *store, const char *model, struct str key,
                                struct arena *arena, int64_t *count, bool *is_done, struct err *err)
{
    static const char *const waiting[] = {SQL_FORGET_WAITING};
    const struct store_value params[] = {STORE_STR(key), STORE_CSTR(model),
                                         STORE_INT(OUTCOME_FORGET_MAX)};
    struct id_list *ids;
    *count = 0;
    if (key.len == 0)
        return err_set(err, ERR_INVALID, "whose outcomes are to be erased? the key is empty");
    enum err_code rc = read_ids(store, SQL_OF_KEY, params, 3, arena, &ids, err);
    if (!rc)
        rc = forget_all(store, ids, true, count, err);
    if (!rc)
        rc = run_all(store, waiting, 1, params, count, err);
    if (!rc)
        *is_done = ids->count < OUTCOME_FORGET_MAX;
    return rc;
}

/* ---- age ---- */

enum err_code outcome_has_old(struct store *store, int64_t before_us, bool *has_old,
                              struct err *err)
{
    const struct store_value params[] = {STORE_INT(before_us), STORE_INT(1)};
    struct store_rows *rows;
    enum err_code rc = store_query(store, SQL_OLD, params, 2, &rows, err);
    if (rc)
        return rc;
    rc = store_next(rows, has_old, err);
    store_rows_done(rows);
    return rc;
}

enum err_code outcome_prune(struct store *store, int64_t before_us, struct arena *arena,
                            int64_t *count, struct err *err)
{
    const struct store_value params[] = {STORE_INT(before_us), STORE_INT(OUTCOME_FORGET_MAX)};
    struct id_list *ids;
    *count = 0;
    enum err_code rc = read_ids(store, SQL_OLD, params, 2, arena, &ids, err);
    return rc ? rc : forget_all(store, ids, false, count, err);
}
