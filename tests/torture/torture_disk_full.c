/* torture_disk_full.c - a real file system without room: clean errors, rollback goes on, recovery.
 *
 *     torture_disk_full [rounds]
 *
 * Each round mounts a small tmpfs in a mount namespace of its own (and a user namespace, when it is
 * not root's), fills it up, and does what a server does there. Where namespaces are not allowed,
 * the test is skipped.
 */
#include <dirent.h>

#include "base/log.h"
#include "consistency.h"
#include "small_disk.h"
#include "store/folder.h"

enum { ROUNDS_DEFAULT = 3, ROUNDS_MAX = 100, COMMITS_MAX = 20000 };

static int rounds = ROUNDS_DEFAULT;

struct server {
    struct fixture *f;
    struct folder *folder;
    struct blob_store *blobs;
    struct rollback_log *log;
    char head[SHA256_HEX_BYTES + 1];
};

/* ---- a server's parts ---- */

static enum err_code try_open(struct server *s)
{
    struct fixture *f = s->f;
    int from, to;
    enum err_code rc = folder_open(f->path, true, &s->folder, &f->err);
    if (!rc)
        rc = folder_lock(s->folder, &f->err);
    if (!rc)
        rc = store_open(&store_sqlite, f->path, STORE_WRITE, &f->store, &f->err);
    if (!rc)
        rc = migrate_up(f->store, copy_path(f), &from, &to, &f->err);
    if (!rc)
        rc = blob_open(&blob_dir, f->path, &s->blobs, &f->err);
    if (!rc)
        rc = rollback_log_open(in_folder(f, "rollback.log"), &s->log, &f->err);
    return rc;
}

static void close_all(struct server *s)
{
    rollback_log_close(s->log);
    blob_close(s->blobs);
    close_store(s->f);
    folder_close(s->folder);
    s->log = NULL;
    s->blobs = NULL;
    s->folder = NULL;
}

static enum err_code register_version(struct server *s, const char *bytes, size_t size)
{
    struct fixture *f = s->f;
    struct version v = {.model = "churn", .runtime = "trees", .artifact_bytes = (int64_t)size};
    if (blob_put(s->blobs, bytes, size, &v.artifact, &f->err))
        return f->err.code;
    return version_create(f->store, &v, &tester, &f->err);
}

static void make_champion(struct server *s)
{
    struct fixture *f = s->f;
    struct alias alias;
    assert_ok(f, store_begin(f->store, &f->err));
    assert_ok(f, model_ensure(f->store, "churn", "me", NULL, &tester, &f->err));
    for (int i = 1; i <= 3; i++) {
        assert_ok(f, register_version(s, "123", (size_t)i));
        assert_ok(f, alias_set(f->store, "churn", ALIAS_CHAMPION, i, -1, NULL, &tester, &alias,
                               f->arena, &f->err));
    }
    assert_ok(f, store_commit(f->store, &f->err));
}

static struct alias champion(struct server *s)
{
    struct fixture *f = s->f;
    struct alias alias;
    assert_ok(f, alias_get(f->store, "churn", ALIAS_CHAMPION, f->arena, &alias, &f->err));
    return alias;
}

static int count_temporaries(struct server *s, const char *folder, const char *part)
{
    struct fixture *f = s->f;
    struct dirent *entry;
    int count = 0;
    DIR *dir = opendir(in_folder(f, folder));
    assert_non_null(dir);
    while ((entry = readdir(dir)))
        count += strstr(entry->d_name, part) != NULL;
    closedir(dir);
    return count;
}

/* ---- what happens on a full disk ---- */

/* The write-ahead log has room of its own for a while, so many commits may pass before one does
 * not. The one that fails has left nothing, and the connection can be used at once. */
static void commit_until_full(struct server *s)
{
    struct fixture *f = s->f;
    char owner[32];
    enum err_code rc = ERR_OK;
    for (int i = 0; !rc && i < COMMITS_MAX; i++) {
        snprintf(owner, sizeof(owner), "owner-%d", i);
        assert_consistent(f, NULL, s->head);
        rc = store_begin(f->store, &f->err);
        if (rc)
            break;
        rc = model_ensure(f->store, "churn", owner, NULL, &tester, &f->err);
        if (!rc)
            rc = store_commit(f->store, &f->err);
        store_rollback(f->store);
    }
    if (rc != ERR_DISK_FULL)
        fail_msg("commit on a full disk: %s: %s", err_code_name(rc), f->err.msg);
    assert_non_null(strstr(f->err.hint, "room"));
}

static void check_unchanged(struct server *s)
{
    char head[SHA256_HEX_BYTES + 1];
    assert_consistent(s->f, s->blobs, head);
    assert_string_equal(head, s->head);
}

static void blobs_and_copies_fail_cleanly(struct server *s)
{
    struct fixture *f = s->f;
    static char big[200000];
    struct blob_digest digest;
    memset(big, 'x', sizeof(big));
    assert_fails(f, blob_put(s->blobs, big, sizeof(big), &digest, &f->err), ERR_DISK_FULL, "blob");
    assert_int_equal(count_temporaries(s, "blobs", ".put-"), 0);
    enum err_code rc = store_backup(f->store, in_folder(f, "backups/copy.db"), &f->err);
    if (rc != ERR_DISK_FULL)
        fail_msg("copy on a full disk: %s: %s", err_code_name(rc), f->err.msg);
    assert_int_equal(count_temporaries(s, "backups", "copy.db"), 0);
}

static void rollback_is_durable_all_the_same(struct server *s)
{
    struct fixture *f = s->f;
    assert_ok(
        f, rollback_log_append(s->log, "churn", ALIAS_CHAMPION, 3, 2, "worse", "key:ci", &f->err));
    assert_ok(
        f, rollback_log_append(s->log, "churn", ALIAS_CHAMPION, 2, 1, "worse", "key:ci", &f->err));
}

static void fold(struct server *s)
{
    struct fixture *f = s->f;
    assert_int_equal(rollback_log_pending(s->log), 2);
    assert_ok(f, store_begin(f->store, &f->err));
    assert_ok(f, rollback_log_fold(s->log, f->store, &f->err));
    assert_ok(f, store_commit(f->store, &f->err));
    assert_ok(f, rollback_log_clear(s->log, &f->err));
    assert_int_equal(champion(s).version, 1);
    assert_int_equal(champion(s).previous, 0);
}

/* A start on the full disk works, or says why it does not; it spoils nothing. */
static void restart_on_full_disk(struct server *s)
{
    close_all(s);
    enum err_code rc = try_open(s);
    if (rc && rc != ERR_DISK_FULL)
        fail_msg("start on a full disk: %s: %s", err_code_name(rc), s->f->err.msg);
    print_message("# start on a full disk: %s\n", err_code_name(rc));
    close_all(s);
}

static void live_through_a_full_disk(struct server *s, bool restarts)
{
    struct fixture *f = s->f;
    assert_ok(f, try_open(s));
    make_champion(s);
    fill_disk(f);
    commit_until_full(s);
    check_unchanged(s);
    blobs_and_copies_fail_cleanly(s);
    rollback_is_durable_all_the_same(s);
    check_unchanged(s);
    assert_int_equal(champion(s).version, 3);
    if (restarts)
        restart_on_full_disk(s);
    make_room(f);
    if (restarts)
        assert_ok(f, try_open(s));
    check_unchanged(s);
    fold(s);
    assert_ok(f, register_version(s, "1234", 4));
    assert_consistent(f, s->blobs, s->head);
    close_all(s);
}

static void a_full_disk_stops_nothing_but_new_state(void **state)
{
    struct server s = {.f = *state};
    for (int i = 0; i < rounds; i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            /* Odd sizes, so that the room ends at another write each time. */
            if (!mount_small_disk(s.f->path, 1200 + 52 * i))
                _exit(CANNOT_MOUNT);
            live_through_a_full_disk(&s, i % 2);
            fflush(NULL);
            _exit(0);
        }
        check_child(child);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_full_disk_stops_nothing_but_new_state, setup_folder,
                                        teardown),
    };
    int64_t wanted;
    if (argc > 1 && str_to_i64(str_of(argv[1]), &wanted) && wanted > 0)
        rounds = wanted < ROUNDS_MAX ? (int)wanted : ROUNDS_MAX;
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests_name("torture_disk_full", tests, NULL, NULL);
}
