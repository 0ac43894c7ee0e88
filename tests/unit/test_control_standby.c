/* test_control_standby.c - control of a process that answers before the folder is its own.
 *
 * Both processes are in this program: a flock belongs to the open file, which dup shares as a fork
 * does.
 */
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "serve/control.h"
#include "store/migrate.h"
#include "test.h"

enum { ARENA_BYTES = 16 << 20, WAIT_MS = 20000 };

struct fixture {
    char dir[64];
    struct control *owner, *heir;
    struct err err;
};

static enum err_code open_control(struct fixture *f, int lock_fd, struct control **control)
{
    struct control_config config = {.data_dir = f->dir,
                                    .is_standby = lock_fd >= 0,
                                    .lock_fd = lock_fd,
                                    .create = lock_fd < 0,
                                    .has_thread = true,
                                    .data_thread_count = 1};
    return control_open(&config, control, &f->err);
}

static void begin(struct fixture *f)
{
    *f = (struct fixture){.dir = "/tmp/slipway-standby-XXXXXX"};
    assert_non_null(mkdtemp(f->dir));
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st, (void)kind, (void)ftw;
    return remove(path);
}

static void end(struct fixture *f)
{
    control_close(f->heir);
    nftw(f->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static void open_both(struct fixture *f)
{
    assert_int_equal(open_control(f, -1, &f->owner), ERR_OK);
    int lock_fd = dup(folder_lock_fd(control_folder(f->owner)));
    if (open_control(f, lock_fd, &f->heir))
        fail_msg("%s", f->err.msg);
}

static enum err_code make_key(struct control *control, struct store *store, void *arg,
                              struct err *err)
{
    static const struct actor actor = {.name = "test", .via = "cli"};
    char secret[AUTH_KEY_BYTES_MAX];
    struct auth_key key;
    struct arena *arena = arena_new(ARENA_BYTES);
    (void)control;
    enum err_code rc =
        auth_key_create(store, arg, SCOPE_PREDICT, 0, &actor, secret, &key, arena, err);
    arena_free(arena);
    return rc;
}

static enum err_code create_key(struct control *control, const char *name, struct err *err)
{
    char copy[32];
    snprintf(copy, sizeof(copy), "%s", name);
    struct control_op op = {.fn = make_key, .arg = copy, .changes_keys = true};
    return control_execute(control, &op, err);
}

static bool has_published_keys(struct control *control)
{
    struct snapshot *snapshot = control_snapshot(control);
    bool has = !auth_keys_is_empty(snapshot->keys);
    snapshot_unref(snapshot);
    return has;
}

static int count_keys(struct control *control)
{
    struct auth_key *keys;
    struct err err = {0};
    int count = 0;
    struct arena *arena = arena_new(ARENA_BYTES);
    assert_int_equal(auth_key_list(control_read_begin(control), arena, &keys, &count, &err),
                     ERR_OK);
    control_read_end(control);
    arena_free(arena);
    return count;
}

static void what_the_owner_changes_is_published_by_the_heir(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    open_both(&f);
    assert_false(has_published_keys(f.heir));
    assert_int_equal(create_key(f.owner, "of-owner", &f.err), ERR_OK);
    for (int i = 0; i < WAIT_MS && !has_published_keys(f.heir); i++)
        usleep(1000);
    assert_true(has_published_keys(f.heir));
    control_close(f.owner);
    end(&f);
}

struct client {
    struct control *control;
    enum err_code rc;
    _Atomic bool is_done;
};

static void *run_client(void *arg)
{
    struct client *client = arg;
    struct err err = {0};
    client->rc = create_key(client->control, "of-heir", &err);
    client->is_done = true;
    return NULL;
}

static void changes_wait_until_the_folder_is_ours(void **state)
{
    (void)state;
    struct fixture f;
    struct err refused = {0};
    pthread_t thread;
    begin(&f);
    open_both(&f);
    struct client client = {.control = f.heir};
    pthread_create(&thread, NULL, run_client, &client);
    usleep(100 * 1000); /* several looks at the store */
    assert_false(client.is_done);
    assert_int_equal(create_key(f.owner, "of-owner", &f.err), ERR_OK);
    control_close(f.owner);
    assert_int_equal(open_control(&f, -1, &f.owner), ERR_CONFLICT); /* the lock is never free */
    f.err = (struct err){0};
    if (control_own(f.heir, &f.err))
        fail_msg("%s", f.err.msg);
    pthread_join(thread, NULL);
    assert_int_equal(client.rc, ERR_OK);
    assert_int_equal(count_keys(f.heir), 2);
    assert_true(has_published_keys(f.heir));
    assert_int_equal(create_key(f.heir, "of-heir", &refused), ERR_EXISTS);
    end(&f);
}

static void a_wrong_lock_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    char path[96];
    begin(&f);
    assert_int_equal(open_control(&f, -1, &f.owner), ERR_OK);
    snprintf(path, sizeof(path), "%s/slipway.db", f.dir);
    FILE *other = fopen(path, "r");
    assert_non_null(other);
    assert_int_equal(open_control(&f, dup(fileno(other)), &f.heir), ERR_OK);
    control_close(f.owner);
    assert_int_equal(control_own(f.heir, &f.err), ERR_CONFLICT);
    fclose(other);
    end(&f);
}

/* The store of a program that knew one script less; embedded_sql is what this one knows. */
static void make_old_store(const char *dir)
{
    struct embedded_file scripts[256] = {0};
    struct store *store;
    struct err err = {0};
    int from, to;
    for (int i = 0; i < migrate_latest() - 1; i++)
        scripts[i] = embedded_sql[i];
    if (store_open(&store_sqlite, dir, STORE_WRITE, &store, &err) ||
        migrate_up_with(store, scripts, NULL, &from, &to, &err))
        fail_msg("%s", err.msg);
    store_close(store);
}

static int version_of(const char *dir)
{
    struct store *store;
    struct err err = {0};
    int version = 0;
    assert_int_equal(store_open(&store_sqlite, dir, STORE_READ, &store, &err), ERR_OK);
    assert_int_equal(migrate_applied(store, &version, &err), ERR_OK);
    store_close(store);
    return version;
}

static void an_older_store_is_read_from_a_copy_and_changed_by_its_owner(void **state)
{
    (void)state;
    struct fixture f;
    struct folder *folder;
    char copy[96];
    begin(&f);
    make_old_store(f.dir);
    assert_int_equal(folder_open(f.dir, false, &folder, &f.err), ERR_OK);
    assert_int_equal(folder_lock(folder, &f.err), ERR_OK);
    if (open_control(&f, dup(folder_lock_fd(folder)), &f.heir))
        fail_msg("%s", f.err.msg);
    snprintf(copy, sizeof(copy), "%s/backups/standby.db", f.dir);
    assert_int_equal(access(copy, F_OK), 0);
    assert_int_equal(version_of(f.dir), migrate_latest() - 1);
    folder_close(folder);
    if (control_own(f.heir, &f.err))
        fail_msg("%s", f.err.msg);
    assert_int_equal(version_of(f.dir), migrate_latest());
    assert_int_equal(access(copy, F_OK), -1);
    assert_int_equal(create_key(f.heir, "of-heir", &f.err), ERR_OK);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_owner_changes_is_published_by_the_heir),
        cmocka_unit_test(changes_wait_until_the_folder_is_ours),
        cmocka_unit_test(a_wrong_lock_is_refused),
        cmocka_unit_test(an_older_store_is_read_from_a_copy_and_changed_by_its_owner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
