/* consistency.h - what must hold in a store whatever happened to the process that wrote it.
 */
#ifndef SLIPWAY_TESTS_TORTURE_CONSISTENCY_H
#define SLIPWAY_TESTS_TORTURE_CONSISTENCY_H

#include "registry/registry.h"
#include "registry/rollback_log.h"
#include "store_fixture.h"

static inline int64_t read_i64(struct fixture *f, const char *sql)
{
    struct store_rows *rows;
    bool has_row = false;
    assert_ok(f, store_query(f->store, sql, NULL, 0, &rows, &f->err));
    assert_ok(f, store_next(rows, &has_row, &f->err));
    assert_true(has_row);
    int64_t number = store_i64(rows, 0);
    store_rows_done(rows);
    return number;
}

static inline enum err_code check_blob(void *arg, const struct blob_digest *digest, struct err *err)
{
    const void *bytes;
    size_t size;
    if (blob_get(arg, digest, &bytes, &size, err))
        return err->code;
    blob_release(arg, bytes, size);
    return ERR_OK;
}

/* The tables say what the audit trail says, every blob that a version names is whole, and each
 * alias stands where its last move put it, on the link of that version. `head` gets the hash of the
 * last event. blobs may be NULL. */
static inline void assert_consistent(struct fixture *f, struct blob_store *blobs,
                                     char head[SHA256_HEX_BYTES + 1])
{
    static const struct {
        const char *rows, *events;
    } pairs[] = {
        {"SELECT COUNT(*) FROM models", "SELECT COUNT(*) FROM audit WHERE action = 'model.create'"},
        {"SELECT COUNT(*) FROM versions",
         "SELECT COUNT(*) FROM audit WHERE action = 'version.register'"},
        {"SELECT COUNT(*) FROM versions", "SELECT COALESCE(SUM(latest_version), 0) FROM models"},
        {"SELECT COUNT(*) FROM alias_history",
         "SELECT COUNT(*) FROM audit WHERE action LIKE 'alias.%'"},
        {"SELECT COUNT(*) FROM alias_history",
         "SELECT COUNT(*) FROM alias_history h JOIN audit a ON a.seq = h.id AND a.action = "
         "'alias.' || h.kind AND a.actor = h.actor AND a.at_us = h.at_us"},
        {"SELECT COUNT(*) FROM aliases",
         "SELECT COUNT(*) FROM aliases a JOIN alias_history h ON h.model = a.model AND "
         "h.alias = a.name AND h.revision = a.revision AND h.to_version = a.version JOIN "
         "alias_history l ON l.id = a.link_id AND l.kind = 'set' AND l.to_version = a.version "
         "WHERE a.revision = (SELECT MAX(revision) FROM alias_history WHERE model = a.model AND "
         "alias = a.name)"},
    };
    int64_t count = 0;
    assert_ok(f, store_verify(f->store, &f->err));
    assert_ok(f, audit_verify(f->store, &count, head, &f->err));
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        if (read_i64(f, pairs[i].rows) != read_i64(f, pairs[i].events))
            fail_msg("%s differs from %s", pairs[i].rows, pairs[i].events);
    }
    if (blobs)
        assert_ok(f, registry_each_blob(f->store, check_blob, blobs, &f->err));
}

#endif
