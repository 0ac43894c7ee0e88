/* test_control.c - one writer for many threads: group commit, isolation, publication. */
#include "serve/control.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "test.h"

enum { THREADS = 8, OPS = 25, ARENA_BYTES = 16 << 20 };

struct fixture {
    char dir[64];
    struct control *control;
    struct err err;
};

static void open_control(struct fixture *f, bool has_thread)
{
    struct control_config config = {
        .data_dir = f->dir, .create = true, .has_thread = has_thread, .data_thread_count = 1};
    if (control_open(&config, &f->control, &f->err))
        fail_msg("%s", f->err.msg);
}

static void begin(struct fixture *f, bool has_thread)
{
    *f = (struct fixture){.dir = "/tmp/slipway-control-XXXXXX"};
    assert_non_null(mkdtemp(f->dir));
    open_control(f, has_thread);
}

static void end(struct fixture *f)
{
    char path[96];
    control_close(f->control);
    /* Only what the folder is known to hold; a test program may remove its own temporary folder. */
    static const char *const names[] = {"slipway.db", "slipway.db-wal", "slipway.db-shm",
                                        "rollback.log", "lock"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", f->dir, names[i]);
        unlink(path);
    }
    snprintf(path, sizeof(path), "%s/blobs", f->dir);
    rmdir(path);
    snprintf(path, sizeof(path), "%s/backups", f->dir);
    rmdir(path);
    rmdir(f->dir);
}

struct key_op {
    const char *name;
    bool fails;
};

static enum err_code make_key(struct control *control, struct store *store, void *arg,
                              struct err *err)
{
    static const struct actor actor = {.name = "test", .via = "cli"};
    const struct key_op *op = arg;
    char secret[AUTH_KEY_BYTES_MAX];
    struct auth_key key;
    struct arena *arena = arena_new(ARENA_BYTES);
    (void)control;
    enum err_code rc =
        auth_key_create(store, op->name, SCOPE_PREDICT, 0, &actor, secret, &key, arena, err);
    arena_free(arena);
    if (!rc && op->fails) /* after it has changed the store */
        return err_set(err, ERR_CONFLICT, "no key '%s' after all", op->name);
    return rc;
}

static enum err_code execute(struct control *control, const char *name, bool fails, struct err *err)
{
    struct key_op arg = {name, fails};
    struct control_op op = {.fn = make_key, .arg = &arg, .changes_keys = true};
    return control_execute(control, &op, err);
}

static int count_keys(struct fixture *f)
{
    struct auth_key *keys;
    int count = 0;
    struct arena *arena = arena_new(ARENA_BYTES);
    assert_int_equal(auth_key_list(control_read_begin(f->control), arena, &keys, &count, &f->err),
                     ERR_OK);
    control_read_end(f->control);
    arena_free(arena);
    return count;
}

struct client {
    struct fixture *f;
    int index, failed;
};

/* Every fifth operation fails after having written: its neighbours in the commit must not care. */
static void *run_client(void *arg)
{
    struct client *client = arg;
    char name[32];
    struct err err = {0};
    for (int i = 0; i < OPS; i++) {
        snprintf(name, sizeof(name), "key-%d-%d", client->index, i);
        enum err_code rc = execute(client->f->control, name, i % 5 == 4, &err);
        client->failed += rc != (i % 5 == 4 ? ERR_CONFLICT : ERR_OK);
    }
    return NULL;
}

static void operations_of_many_threads_share_commits_and_fail_alone(void **state)
{
    (void)state;
    struct fixture f;
    struct client clients[THREADS];
    pthread_t threads[THREADS];
    struct control_stats *stats = calloc(1, sizeof(*stats));
    begin(&f, true);
    for (int i = 0; i < THREADS; i++) {
        clients[i] = (struct client){.f = &f, .index = i};
        assert_int_equal(pthread_create(&threads[i], NULL, run_client, &clients[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(clients[i].failed, 0);
    }
    control_stats(f.control, stats);
    assert_int_equal(count_keys(&f), THREADS * OPS * 4 / 5);
    assert_int_equal(stats->operations, THREADS * OPS);
    assert_int_equal(stats->failures, THREADS * OPS / 5);
    assert_true(stats->commits <= stats->operations);
    struct snapshot *snapshot = control_snapshot(f.control);
    assert_false(auth_keys_is_empty(snapshot->keys));
    snapshot_unref(snapshot);
    free(stats);
    end(&f);
}

static void what_was_acknowledged_is_there_after_reopening(void **state)
{
    (void)state;
    struct fixture f;
    int64_t events = 0;
    begin(&f, false);
    assert_int_equal(execute(f.control, "ci", false, &f.err), ERR_OK);
    assert_int_equal(execute(f.control, "bad", true, &f.err), ERR_CONFLICT);
    assert_string_equal(f.err.msg, "no key 'bad' after all");
    control_close(f.control);
    open_control(&f, false);
    assert_int_equal(count_keys(&f), 1);
    assert_int_equal(audit_verify(control_read_begin(f.control), &events, NULL, &f.err), ERR_OK);
    control_read_end(f.control);
    assert_int_equal(events, 1); /* the undone key left no event either */
    end(&f);
}

static void a_folder_has_one_owner(void **state)
{
    (void)state;
    struct fixture f;
    struct control *second = NULL;
    begin(&f, false);
    struct control_config config = {.data_dir = f.dir, .data_thread_count = 1};
    assert_int_equal(control_open(&config, &second, &f.err), ERR_CONFLICT);
    assert_null(second);
    end(&f);
}

static void a_model_that_is_not_there_cannot_be_refreshed(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, false);
    assert_int_equal(control_refresh(f.control, "churn", &f.err), ERR_NOT_FOUND);
    assert_non_null(strstr(f.err.msg, "churn"));
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations_of_many_threads_share_commits_and_fail_alone),
        cmocka_unit_test(what_was_acknowledged_is_there_after_reopening),
        cmocka_unit_test(a_folder_has_one_owner),
        cmocka_unit_test(a_model_that_is_not_there_cannot_be_refreshed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
