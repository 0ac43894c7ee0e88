/* workload.h - a fixed series of transactions on an empty store, and what was acknowledged of it.
 */
#ifndef SLIPWAY_TESTS_TORTURE_WORKLOAD_H
#define SLIPWAY_TESTS_TORTURE_WORKLOAD_H

#include <unistd.h>

#include "consistency.h"
#include "failing_vfs.h"

enum { STEPS = 6, CALLS_MAX = 100000 };

struct run {
    struct fixture *f;
    /* The chain's last hash after the last commit that was acknowledged, and the one it would have
     * had after the commit that failed. */
    char committed[SHA256_HEX_BYTES + 1], attempted[SHA256_HEX_BYTES + 1];
};

static void read_head(struct run *r, char head[SHA256_HEX_BYTES + 1])
{
    struct fixture *f = r->f;
    struct audit_event *events;
    int count = 0;
    int64_t last = read_i64(f, "SELECT COALESCE(MAX(seq), 0) FROM audit");
    assert_ok(f, audit_list(f->store, "", last - 1, 1, f->arena, &events, &count, &f->err));
    memset(head, '0', SHA256_HEX_BYTES);
    head[SHA256_HEX_BYTES] = '\0';
    if (last > 0)
        memcpy(head, events[0].hash, SHA256_HEX_BYTES + 1);
}

/* Version `step`, which becomes champion; every third step goes a step back after it. */
static enum err_code operate(struct fixture *f, int step)
{
    struct alias alias;
    struct version v = {.model = "churn", .runtime = "trees", .note = "a note", .lineage = "{}"};
    char *signature = arena_calloc(f->arena, 1, 9001);
    memset(signature, ' ', 9000); /* some pages */
    v.signature = signature;
    memset(v.artifact.hex, 'a', SHA256_HEX_BYTES);
    v.artifact.hex[0] = (char)('0' + step % 10);
    v.artifact.hex[1] = (char)('0' + step / 10);
    enum err_code rc = model_ensure(f->store, "churn", "me", NULL, &tester, &f->err);
    if (!rc)
        rc = version_create(f->store, &v, &tester, &f->err);
    if (!rc)
        rc = alias_set(f->store, "churn", ALIAS_CHAMPION, v.number, -1, "step", &tester, &alias,
                       f->arena, &f->err);
    if (!rc && step % 3 == 2)
        rc = alias_rollback(f->store, "churn", ALIAS_CHAMPION, "step", &tester, &alias, f->arena,
                            &f->err);
    return rc;
}

static enum err_code transact(struct run *r, int step)
{
    struct fixture *f = r->f;
    enum err_code rc = store_begin(f->store, &f->err);
    if (!rc)
        rc = operate(f, step);
    if (!rc)
        read_head(r, r->attempted);
    if (!rc)
        rc = store_commit(f->store, &f->err);
    if (!rc)
        memcpy(r->committed, r->attempted, sizeof(r->committed));
    store_rollback(f->store);
    return rc;
}

static enum err_code open_and_migrate(struct run *r)
{
    struct fixture *f = r->f;
    int from, to;
    enum err_code rc = store_open(&store_sqlite, f->path, STORE_WRITE, &f->store, &f->err);
    if (rc)
        return rc;
    return migrate_up(f->store, copy_path(f), &from, &to, &f->err);
}

/* The first failure; what comes after it is not tried. */
static enum err_code work(struct run *r)
{
    enum err_code rc = open_and_migrate(r);
    for (int step = 0; !rc && step < STEPS; step++) {
        rc = transact(r, step);
        if (!rc && step % 2)
            rc = store_exec(r->f->store, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, 0, NULL,
                            &r->f->err);
    }
    return rc;
}

/* An empty folder, and the calls counted from here. */
static void reset(struct run *r, struct fixture *f)
{
    static const char *const files[] = {"slipway.db", "slipway.db-wal", "slipway.db-shm"};
    for (size_t i = 0; i < 3; i++)
        unlink(in_folder(f, files[i]));
    arena_reset(f->arena);
    *r = (struct run){.f = f};
    memset(r->committed, '0', SHA256_HEX_BYTES);
    memset(r->attempted, '0', SHA256_HEX_BYTES);
    faults.calls = 0;
    faults.was_hit = false;
}

#endif
