/* lease.c - whose turn it is: the next item for a reviewer, kept his by heartbeats. */
#include "base/check.h"
#include "registry/registry_check.h"
#include "review/item_row.h"

#define SQL_OWN                                                                                    \
    "SELECT l.item, l.taken_us, l.until_us, l.is_gold, i.lease_us FROM review_leases l "           \
    "JOIN review_items i ON i.id = l.item WHERE l.reviewer = ?1 AND l.until_us > ?2 "              \
    "AND (i.state = 'open' OR l.is_gold = 1) AND (?3 = '' OR i.model = ?3) "                       \
    "ORDER BY l.taken_us LIMIT 1"
#define SQL_OF_ITEM                                                                                \
    "SELECT l.item, l.taken_us, l.until_us, l.is_gold, i.lease_us FROM review_leases l "           \
    "JOIN review_items i ON i.id = l.item WHERE l.reviewer = ?1 AND l.until_us > ?2 "              \
    "AND l.item = ?3"
/* What a reviewer did last with an item, unless it was an undo, takes it off his list. */
#define DONE_BY_REVIEWER                                                                           \
    "COALESCE((SELECT d.kind FROM review_decisions d WHERE d.item = i.id AND d.reviewer = ?1 "     \
    "ORDER BY d.id DESC LIMIT 1), 'undo') <> 'undo'"
#define SQL_NEXT                                                                                   \
    "SELECT i.id, i.lease_us, i.gold_share FROM review_items i WHERE i.state = 'open' "            \
    "AND (?3 = '' OR i.model = ?3) AND i.decision_count + (SELECT COUNT(*) FROM review_leases l "  \
    "WHERE l.item = i.id AND l.until_us > ?2 AND l.reviewer <> ?1) < i.reviewers "                 \
    "AND NOT (" DONE_BY_REVIEWER ") ORDER BY i.stakes DESC, i.due_us, i.id LIMIT 1"
#define SQL_GOLD                                                                                   \
    "SELECT g.id, g.lease_us, 0.0 FROM review_items g JOIN review_items i ON i.id = ?2 "           \
    "WHERE g.model = i.model AND g.gold_label <> '' AND g.id <> i.id AND NOT EXISTS "              \
    "(SELECT 1 FROM review_decisions d WHERE d.item = g.id AND d.reviewer = ?1) "                  \
    "ORDER BY g.id LIMIT 1"
#define SQL_FORGET "DELETE FROM review_leases WHERE reviewer = ?1 AND until_us <= ?2"
#define SQL_TAKE                                                                                   \
    "INSERT INTO review_leases (item, reviewer, is_gold, taken_us, until_us) "                     \
    "VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (item, reviewer) DO UPDATE SET is_gold = ?3, "        \
    "taken_us = ?4, until_us = ?5"
#define SQL_EXTEND "UPDATE review_leases SET until_us = ?3 WHERE item = ?1 AND reviewer = ?2"

struct lease_context {
    struct review_lease lease;
    int64_t lease_us;
    double gold_share;
    bool is_found;
};

static enum err_code read_lease(struct store_rows *rows, void *arg, struct err *err)
{
    struct lease_context *c = arg;
    (void)err;
    c->lease = (struct review_lease){
        .item = store_i64(rows, 0),
        .taken_us = store_i64(rows, 1),
        .until_us = store_i64(rows, 2),
        .is_gold = store_i64(rows, 3) != 0,
    };
    c->lease_us = store_i64(rows, 4);
    c->is_found = true;
    return ERR_OK;
}

static enum err_code read_candidate(struct store_rows *rows, void *arg, struct err *err)
{
    struct lease_context *c = arg;
    (void)err;
    c->lease = (struct review_lease){.item = store_i64(rows, 0)};
    c->lease_us = store_i64(rows, 1);
    c->gold_share = store_f64(rows, 2);
    c->is_found = true;
    return ERR_OK;
}

static enum err_code extend(struct store *store, const char *reviewer, struct lease_context *c,
                            int64_t now_us, struct err *err)
{
    c->lease.until_us = now_us + c->lease_us;
    const struct store_value params[] = {STORE_INT(c->lease.item), STORE_CSTR(reviewer),
                                         STORE_INT(c->lease.until_us)};
    return store_exec(store, SQL_EXTEND, params, ARRAY_LEN(params), NULL, err);
}

static enum err_code take(struct store *store, const char *reviewer, struct lease_context *c,
                          int64_t now_us, struct err *err)
{
    c->lease.taken_us = now_us;
    c->lease.until_us = now_us + c->lease_us;
    const struct store_value params[] = {STORE_INT(c->lease.item), STORE_CSTR(reviewer),
                                         STORE_INT(c->lease.is_gold), STORE_INT(now_us),
                                         STORE_INT(c->lease.until_us)};
    return store_exec(store, SQL_TAKE, params, ARRAY_LEN(params), NULL, err);
}

/* Instead of the candidate, when the draw says so and there is one. */
static enum err_code choose_gold(struct store *store, const char *reviewer, double draw,
                                 struct lease_context *c, struct err *err)
{
    const struct store_value params[] = {STORE_CSTR(reviewer), STORE_INT(c->lease.item)};
    struct lease_context gold = {0};
    if (draw >= c->gold_share)
        return ERR_OK;
    if (registry_each_row(store, SQL_GOLD, params, 2, read_candidate, &gold, err))
        return err->code;
    if (gold.is_found) {
        *c = gold;
        c->lease.is_gold = true;
    }
    return ERR_OK;
}

enum err_code review_next(struct store *store, const char *model, const char *reviewer, double draw,
                          int64_t now_us, struct review_lease *lease, bool *found, struct err *err)
{
    const struct store_value params[] = {STORE_CSTR(reviewer), STORE_INT(now_us),
                                         STORE_CSTR(model ? model : "")};
    struct lease_context c = {0};
    if (store_exec(store, SQL_FORGET, params, 2, NULL, err) ||
        registry_each_row(store, SQL_OWN, params, 3, read_lease, &c, err))
        return err->code;
    enum err_code rc = ERR_OK;
    if (c.is_found) {
        rc = extend(store, reviewer, &c, now_us, err);
    } else {
        rc = registry_each_row(store, SQL_NEXT, params, 3, read_candidate, &c, err);
        if (!rc && c.is_found)
            rc = choose_gold(store, reviewer, draw, &c, err);
        if (!rc && c.is_found)
            rc = take(store, reviewer, &c, now_us, err);
    }
    *found = c.is_found;
    *lease = c.lease;
    return rc;
}

enum err_code review_heartbeat(struct store *store, int64_t item, const char *reviewer,
                               int64_t now_us, struct review_lease *lease, struct err *err)
{
    const struct store_value params[] = {STORE_CSTR(reviewer), STORE_INT(now_us), STORE_INT(item)};
    struct lease_context c = {0};
    if (registry_each_row(store, SQL_OF_ITEM, params, 3, read_lease, &c, err))
        return err->code;
    if (!c.is_found) {
        err_set(err, ERR_CONFLICT, "review item %lld is not leased to %s any more", (long long)item,
                reviewer);
        return err_hint(err, "ask for the next one; a decision on this one is still taken while it "
                             "is open");
    }
    if (extend(store, reviewer, &c, now_us, err))
        return err->code;
    *lease = c.lease;
    return ERR_OK;
}
