/* idempotency.c - the reply to a write, kept so that the same write again gets it again. */
#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "registry/registry_check.h"

#define SQL_FIND                                                                                   \
    "SELECT request_digest, status, body FROM idempotency "                                        \
    "WHERE actor = ?1 AND key = ?2 AND created_us > ?3"
#define SQL_FORGET "DELETE FROM idempotency WHERE created_us <= ?1"
#define SQL_INSERT                                                                                 \
    "INSERT INTO idempotency (actor, key, request_digest, status, body, created_us) "              \
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
/* The age of the first one too many; no row when there are few. */
#define SQL_EXCESS "SELECT created_us FROM idempotency ORDER BY created_us DESC LIMIT 1 OFFSET ?1"

struct find_context {
    struct idempotency *entry;
    struct arena *arena;
    bool is_found;
};

static enum err_code check_entry(const struct idempotency *entry, struct err *err)
{
    if (!entry->key || !entry->key[0])
        return err_set(err, ERR_INVALID, "the idempotency key is empty");
    if (registry_check_text("the idempotency key", entry->key, IDEMPOTENCY_KEY_BYTES_MAX, err))
        return err->code;
    assert(entry->actor && hash_is_sha256_hex(str_of(entry->request_digest)));
    return ERR_OK;
}

static enum err_code read_entry(struct store_rows *rows, void *arg, struct err *err)
{
    struct find_context *c = arg;
    bool is_full = false;
    if (!str_equal_c(store_text(rows, 0), c->entry->request_digest)) {
        err_set(err, ERR_CONFLICT, "idempotency key '%s' was used with another request",
                c->entry->key);
        return err_hint(err, "use a new key for a new request");
    }
    const char *body = store_text_copy(rows, 2, c->arena, &is_full);
    if (is_full)
        return err_set(err, ERR_LIMIT, "no room for the reply given before");
    c->entry->status = (int)store_i64(rows, 1);
    c->entry->body = body;
    c->is_found = true;
    return ERR_OK;
}

enum err_code idempotency_find(struct store *store, struct idempotency *entry, struct arena *arena,
                               bool *found, struct err *err)
{
    struct find_context c = {.entry = entry, .arena = arena};
    if (check_entry(entry, err))
        return err->code;
    const struct store_value params[] = {STORE_CSTR(entry->actor), STORE_CSTR(entry->key),
                                         STORE_INT(clock_wall_us() - IDEMPOTENCY_KEEP_US)};
    if (registry_each_row(store, SQL_FIND, params, 3, read_entry, &c, err))
        return err->code;
    *found = c.is_found;
    return ERR_OK;
}

/* Counting all of them costs a walk over their index, so only one put in 256 does it. */
static enum err_code forget_excess(struct store *store, const struct idempotency *entry,
                                   int64_t *forget_us, struct err *err)
{
    const struct store_value params[] = {STORE_INT(IDEMPOTENCY_MAX)};
    int64_t excess_us = 0;
    if (entry->request_digest[0] != '0' || entry->request_digest[1] != '0')
        return ERR_OK;
    if (registry_read_number(store, SQL_EXCESS, params, 1, 0, &excess_us, err))
        return err->code;
    if (excess_us > *forget_us)
        *forget_us = excess_us;
    return ERR_OK;
}

enum err_code idempotency_put(struct store *store, const struct idempotency *entry, struct err *err)
{
    int64_t now_us = clock_wall_us();
    int64_t forget_us = now_us - IDEMPOTENCY_KEEP_US;
    if (check_entry(entry, err))
        return err->code;
    if (strlen(entry->body) > IDEMPOTENCY_BODY_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "a reply longer than %d bytes cannot be kept",
                       IDEMPOTENCY_BODY_BYTES_MAX);
    if (forget_excess(store, entry, &forget_us, err))
        return err->code;
    const struct store_value age[] = {STORE_INT(forget_us)};
    const struct store_value row[] = {STORE_CSTR(entry->actor),          STORE_CSTR(entry->key),
                                      STORE_CSTR(entry->request_digest), STORE_INT(entry->status),
                                      STORE_CSTR(entry->body),           STORE_INT(now_us)};
    if (store_exec(store, SQL_FORGET, age, 1, NULL, err))
        return err->code;
    return store_exec(store, SQL_INSERT, row, ARRAY_LEN(row), NULL, err);
}
