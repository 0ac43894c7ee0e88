/* test_registry_faults.c - every call to the store fails once, every arena is too small once: each
 * function says so, leaves its results alone and leaks no statement.
 *
 * The faults come through the table of functions: a copy of SQLite's whose n-th exec, query or next
 * fails. Closing the store at the end asserts that all rows were given back.
 */
#include <unistd.h>

#include "auth/auth.h"
#include "base/log.h"
#include "registry/registry.h"
#include "registry/rollback_log.h"
#include "store_fixture.h"

enum { NO_FAULT = -1, CALLS_MAX = 200, ARENA_BYTES_MAX = 16 * 1024 };

/* ---- a store whose n-th call fails ---- */

static int calls_left = NO_FAULT;

static enum err_code refuse(struct err *err)
{
    return err_set(err, ERR_IO, "a fault of the test");
}

static bool fails_now(void)
{
    return calls_left != NO_FAULT && calls_left-- == 0;
}

static enum err_code failing_exec(struct store *store, const char *sql,
                                  const struct store_value *params, int param_count,
                                  int64_t *changed, struct err *err)
{
    return fails_now() ? refuse(err)
                       : store_sqlite.exec(store, sql, params, param_count, changed, err);
}

static enum err_code failing_query(struct store *store, const char *sql,
                                   const struct store_value *params, int param_count,
                                   struct store_rows **rows, struct err *err)
{
    return fails_now() ? refuse(err)
                       : store_sqlite.query(store, sql, params, param_count, rows, err);
}

static enum err_code failing_next(struct store_rows *rows, bool *has_row, struct err *err)
{
    return fails_now() ? refuse(err) : store_sqlite.next(rows, has_row, err);
}

static enum err_code failing_script(struct store *store, const char *sql, struct err *err)
{
    return fails_now() ? refuse(err) : store_sqlite.script(store, sql, err);
}

static struct store_ops failing_ops;

static void use_ops(struct fixture *f, const struct store_ops *ops)
{
    ((struct store_head *)(void *)f->store)->ops = ops;
}

/* ---- what is there, and what is tried ---- */

static struct rollback_log *log_file;

static struct version version_of(char digit)
{
    struct version v = {.model = "churn", .runtime = "trees", .note = "note", .lineage = "{}"};
    memset(v.artifact.hex, digit, SHA256_HEX_BYTES);
    return v;
}

static struct idempotency entry_of(const char *key)
{
    struct idempotency entry = {.key = key, .actor = "key:ci", .status = 200, .body = "{}"};
    memset(entry.request_digest, '0', SHA256_HEX_BYTES);
    return entry;
}

static int setup_registry(void **state)
{
    struct fixture *f;
    struct alias alias;
    struct auth_key key;
    char secret[AUTH_KEY_BYTES_MAX];
    struct idempotency entry = entry_of("old");
    setup_store(state);
    f = *state;
    assert_ok(f, model_ensure(f->store, "churn", "me", NULL, &tester, &f->err));
    for (int i = 1; i <= 3; i++) {
        struct version v = version_of((char)('0' + i));
        assert_ok(f, version_create(f->store, &v, &tester, &f->err));
        assert_ok(f, alias_set(f->store, "churn", ALIAS_CHAMPION, i, -1, "why", &tester, &alias,
                               f->arena, &f->err));
    }
    assert_ok(f, auth_key_create(f->store, "ci", SCOPE_PREDICT, 0, &tester, secret, &key, f->arena,
                                 &f->err));
    assert_ok(f, idempotency_put(f->store, &entry, &f->err));
    assert_ok(f, rollback_log_open(in_folder(f, "rollback.log"), &log_file, &f->err));
    assert_ok(f, rollback_log_append(log_file, "churn", ALIAS_CHAMPION, 3, 2, "worse", "key:ci",
                                     &f->err));
    failing_ops = store_sqlite;
    failing_ops.exec = failing_exec;
    failing_ops.query = failing_query;
    failing_ops.next = failing_next;
    failing_ops.script = failing_script;
    return 0;
}

static int teardown_registry(void **state)
{
    rollback_log_close(log_file);
    return teardown(state);
}

/* Results begin as these bytes and must still be them after a failure. */
static union result {
    char bytes[1024];
    struct model model;
    struct version version;
    struct alias alias;
    struct auth_key key;
    struct {
        void *list;
        int count;
    } listed;
    struct {
        int64_t number;
        char head[SHA256_HEX_BYTES + 1];
    } chain;
    bool found;
} result;

typedef enum err_code try_fn(struct fixture *f, struct arena *arena);

static enum err_code try_model_new(struct fixture *f, struct arena *arena)
{
    (void)arena;
    return model_ensure(f->store, "other", "me", NULL, &tester, &f->err);
}

static enum err_code try_model_update(struct fixture *f, struct arena *arena)
{
    (void)arena;
    return model_ensure(f->store, "churn", "you", NULL, &tester, &f->err);
}

static enum err_code try_model_get(struct fixture *f, struct arena *arena)
{
    return model_get(f->store, "churn", arena, &result.model, &f->err);
}

static enum err_code try_model_list(struct fixture *f, struct arena *arena)
{
    return model_list(f->store, arena, (struct model **)&result.listed.list, &result.listed.count,
                      &f->err);
}

static enum err_code try_version_create(struct fixture *f, struct arena *arena)
{
    struct version v = version_of('9');
    (void)arena;
    enum err_code rc = version_create(f->store, &v, &tester, &f->err);
    assert_int_equal(v.number, rc ? 0 : 4);
    return rc;
}

static enum err_code try_version_get(struct fixture *f, struct arena *arena)
{
    return version_get(f->store, "churn", 2, arena, &result.version, &f->err);
}

static enum err_code try_version_list(struct fixture *f, struct arena *arena)
{
    return version_list(f->store, "churn", 0, 10, arena, (struct version **)&result.listed.list,
                        &result.listed.count, &f->err);
}

static enum err_code try_resolve(struct fixture *f, struct arena *arena)
{
    (void)arena;
    return version_resolve(f->store, "churn", STR_LIT("champion"), &result.chain.number, &f->err);
}

static enum err_code try_alias_new(struct fixture *f, struct arena *arena)
{
    return alias_set(f->store, "churn", "canary", 1, 0, "why", &tester, &result.alias, arena,
                     &f->err);
}

static enum err_code try_alias_move(struct fixture *f, struct arena *arena)
{
    return alias_set(f->store, "churn", ALIAS_CHAMPION, 1, 3, "why", &tester, &result.alias, arena,
                     &f->err);
}

static enum err_code try_rollback(struct fixture *f, struct arena *arena)
{
    return alias_rollback(f->store, "churn", ALIAS_CHAMPION, "why", &tester, &result.alias, arena,
                          &f->err);
}

static enum err_code try_alias_delete(struct fixture *f, struct arena *arena)
{
    (void)arena;
    return alias_delete(f->store, "churn", ALIAS_CHAMPION, -1, "why", &tester, &f->err);
}

static enum err_code try_alias_get(struct fixture *f, struct arena *arena)
{
    return alias_get(f->store, "churn", ALIAS_CHAMPION, arena, &result.alias, &f->err);
}

static enum err_code try_alias_list(struct fixture *f, struct arena *arena)
{
    return alias_list(f->store, "churn", arena, (struct alias **)&result.listed.list,
                      &result.listed.count, &f->err);
}

static enum err_code try_alias_history(struct fixture *f, struct arena *arena)
{
    return alias_history(f->store, "churn", ALIAS_CHAMPION, 10, arena,
                         (struct alias_change **)&result.listed.list, &result.listed.count,
                         &f->err);
}

static enum err_code ignore_blob(void *arg, const struct blob_digest *digest, struct err *err)
{
    (void)arg, (void)digest, (void)err;
    return ERR_OK;
}

static enum err_code try_each_blob(struct fixture *f, struct arena *arena)
{
    (void)arena;
    return registry_each_blob(f->store, ignore_blob, NULL, &f->err);
}

static enum err_code try_idempotency_find(struct fixture *f, struct arena *arena)
{
    struct idempotency entry = entry_of("old");
    return idempotency_find(f->store, &entry, arena, &result.found, &f->err);
}

static enum err_code try_idempotency_put(struct fixture *f, struct arena *arena)
{
    struct idempotency entry = entry_of("new");
    (void)arena;
    return idempotency_put(f->store, &entry, &f->err);
}

static enum err_code try_key_create(struct fixture *f, struct arena *arena)
{
    char secret[AUTH_KEY_BYTES_MAX] = "untouched";
    enum err_code rc = auth_key_create(f->store, "cd", SCOPE_PREDICT, 0, &tester, secret,
                                       &result.key, arena, &f->err);
    assert_int_equal(strcmp(secret, "untouched") == 0, rc != ERR_OK);
    return rc;
}

static enum err_code try_key_revoke(struct fixture *f, struct arena *arena)
{
    (void)arena;
    return auth_key_revoke(f->store, "ci", &tester, &f->err);
}

static enum err_code try_key_list(struct fixture *f, struct arena *arena)
{
    return auth_key_list(f->store, arena, (struct auth_key **)&result.listed.list,
                         &result.listed.count, &f->err);
}

static enum err_code try_audit_list(struct fixture *f, struct arena *arena)
{
    return audit_list(f->store, "", 0, 100, arena, (struct audit_event **)&result.listed.list,
                      &result.listed.count, &f->err);
}

static enum err_code try_audit_verify(struct fixture *f, struct arena *arena)
{
    (void)arena;
    return audit_verify(f->store, &result.chain.number, result.chain.head, &f->err);
}

static enum err_code try_fold(struct fixture *f, struct arena *arena)
{
    (void)arena;
    return rollback_log_fold(log_file, f->store, &f->err);
}

static const struct {
    const char *name;
    try_fn *run;
    bool uses_arena;
} tried[] = {
    {"model_ensure, new", try_model_new, false},
    {"model_ensure, changed", try_model_update, false},
    {"model_get", try_model_get, true},
    {"model_list", try_model_list, true},
    {"version_create", try_version_create, false},
    {"version_get", try_version_get, true},
    {"version_list", try_version_list, true},
    {"version_resolve", try_resolve, false},
    {"alias_set, new", try_alias_new, true},
    {"alias_set, moved", try_alias_move, true},
    {"alias_rollback", try_rollback, true},
    {"alias_delete", try_alias_delete, false},
    {"alias_get", try_alias_get, true},
    {"alias_list", try_alias_list, true},
    {"alias_history", try_alias_history, true},
    {"registry_each_blob", try_each_blob, false},
    {"idempotency_find", try_idempotency_find, true},
    {"idempotency_put", try_idempotency_put, false},
    {"auth_key_create", try_key_create, true},
    {"auth_key_revoke", try_key_revoke, false},
    {"auth_key_list", try_key_list, true},
    {"audit_list", try_audit_list, true},
    {"audit_verify", try_audit_verify, false},
    {"rollback_log_fold", try_fold, false},
};

/* ---- the tests ---- */

static void spoil_result(void)
{
    memset(&result, 0x5A, sizeof(result));
}

static void assert_result_untouched(const char *name)
{
    for (size_t i = 0; i < sizeof(result); i++) {
        if (result.bytes[i] != 0x5A)
            fail_msg("%s failed and changed its result", name);
    }
}

/* In a transaction that is undone, so that each attempt finds the same. */
static enum err_code attempt(struct fixture *f, try_fn *run, struct arena *arena, int fault)
{
    assert_ok(f, store_begin(f->store, &f->err));
    spoil_result();
    f->err = (struct err){0};
    use_ops(f, &failing_ops);
    calls_left = fault;
    enum err_code rc = run(f, arena);
    calls_left = NO_FAULT;
    use_ops(f, &store_sqlite);
    store_rollback(f->store);
    return rc;
}

static void a_failing_store_is_reported_by_every_function(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(tried) / sizeof(tried[0]); i++) {
        enum err_code rc = ERR_IO;
        int n = 0;
        for (; rc && n < CALLS_MAX; n++) {
            rc = attempt(f, tried[i].run, f->arena, n);
            if (!rc)
                break;
            if (rc != ERR_IO || f->err.code != ERR_IO || !strstr(f->err.msg, "fault of the test"))
                fail_msg("%s, call %d: %s: %s", tried[i].name, n, err_code_name(rc), f->err.msg);
            assert_result_untouched(tried[i].name);
        }
        if (n < 2 || n == CALLS_MAX)
            fail_msg("%s asked the store %d times", tried[i].name, n);
    }
}

static void a_small_arena_is_reported_by_every_function(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(tried) / sizeof(tried[0]); i++) {
        int refused = 0;
        if (!tried[i].uses_arena)
            continue;
        for (size_t bytes = 1; bytes < ARENA_BYTES_MAX; bytes += bytes < 512 ? 7 : 97) {
            struct arena *arena = arena_new(bytes);
            enum err_code rc = attempt(f, tried[i].run, arena, NO_FAULT);
            if (rc && (rc != ERR_LIMIT || f->err.code != ERR_LIMIT))
                fail_msg("%s, %zu bytes: %s: %s", tried[i].name, bytes, err_code_name(rc),
                         f->err.msg);
            if (rc)
                assert_result_untouched(tried[i].name);
            refused += rc != ERR_OK;
            arena_free(arena);
        }
        if (refused == 0)
            fail_msg("%s needs no arena", tried[i].name);
        assert_ok(f, attempt(f, tried[i].run, f->arena, NO_FAULT));
    }
}

static void a_failing_migration_leaves_the_schema_as_it_was(void **state)
{
    struct fixture *f = *state;
    enum err_code rc = ERR_IO;
    int from = 7, to = 7, n = 0;
    for (; rc && n < CALLS_MAX; n++) {
        store_close(f->store);
        unlink(in_folder(f, "slipway.db"));
        open_empty_store(f);
        use_ops(f, &failing_ops);
        calls_left = n;
        rc = migrate_up(f->store, copy_path(f), &from, &to, &f->err);
        calls_left = NO_FAULT;
        use_ops(f, &store_sqlite);
        assert_int_equal(from, rc ? 7 : 0);
        if (rc)
            assert_ok(f, migrate_up(f->store, copy_path(f), &(int){0}, &(int){0}, &f->err));
    }
    assert_true(n > 2 && n < CALLS_MAX);
}

#define with_registry(fn) cmocka_unit_test_setup_teardown(fn, setup_registry, teardown_registry)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_registry(a_failing_store_is_reported_by_every_function),
        with_registry(a_small_arena_is_reported_by_every_function),
        with_registry(a_failing_migration_leaves_the_schema_as_it_was),
    };
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests_name("registry_faults", tests, NULL, NULL);
}
