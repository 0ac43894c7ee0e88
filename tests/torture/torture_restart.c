/* torture_restart.c - a rollback on a full disk, the process killed, started on the still full
 * disk.
 *
 * The control path does it all, as in the program: the rollback is acknowledged as durable, so the
 * next start serves what was rolled back to, before there is room, and the store has it after.
 */
#include <signal.h>

#include "base/log.h"
#include "consistency.h"
#include "serve/control.h"
#include "small_disk.h"

enum { DISK_KILOBYTES = 1500, CHANGES_MAX = 20000 };

static struct control *open_control(struct fixture *f, bool create)
{
    const struct control_config config = {.data_dir = f->path, .create = create};
    struct control *control = NULL;
    assert_ok(f, control_open(&config, &control, &f->err));
    return control;
}

/* ---- operations ---- */

static enum err_code make_champions(struct control *control, struct store *store, void *arg,
                                    struct err *err)
{
    struct fixture *f = arg;
    struct alias alias;
    (void)control;
    enum err_code rc = model_ensure(store, "churn", "me", NULL, &tester, err);
    for (int i = 1; !rc && i <= 3; i++) {
        struct version v = {.model = "churn", .runtime = "trees"};
        memset(v.artifact.hex, '0' + i, SHA256_HEX_BYTES);
        rc = version_create(store, &v, &tester, err);
        if (!rc)
            rc = alias_set(store, "churn", ALIAS_CHAMPION, i, -1, NULL, &tester, &alias, f->arena,
                           err);
    }
    return rc;
}

static enum err_code change_owner(struct control *control, struct store *store, void *arg,
                                  struct err *err)
{
    (void)control;
    return model_ensure(store, "churn", arg, NULL, &tester, err);
}

struct rollback {
    struct control_op op;
    struct arena *arena;
};

static enum err_code roll_back(struct control *control, struct store *store, void *arg,
                               struct err *err)
{
    struct rollback *r = arg;
    struct alias before, after;
    (void)control;
    if (alias_get(store, "churn", ALIAS_CHAMPION, r->arena, &before, err) ||
        alias_rollback(store, "churn", ALIAS_CHAMPION, "worse", &tester, &after, r->arena, err))
        return err->code;
    r->op.from = before.version;
    r->op.to = after.version;
    return ERR_OK;
}

/* ---- what is done and seen ---- */

static enum err_code
run(struct fixture *f, struct control *control,
    enum err_code (*fn)(struct control *, struct store *, void *, struct err *), void *arg)
{
    struct control_op op = {.fn = fn, .arg = arg, .model = "churn"};
    return control_execute(control, &op, &f->err);
}

static void change_until_full(struct fixture *f, struct control *control)
{
    static char owners[2][4] = {"me", "you"};
    enum err_code rc = ERR_OK;
    for (int i = 0; !rc && i < CHANGES_MAX; i++)
        rc = run(f, control, change_owner, owners[i % 2]);
    assert_int_equal(rc, ERR_DISK_FULL);
}

static void roll_back_once(struct fixture *f, struct control *control, int64_t to)
{
    struct rollback r = {.op = {.fn = roll_back,
                                .model = "churn",
                                .is_rollback = true,
                                .alias = ALIAS_CHAMPION,
                                .reason = "worse",
                                .actor = "key:ci"},
                         .arena = f->arena};
    r.op.arg = &r;
    assert_ok(f, control_execute(control, &r.op, &f->err));
    assert_int_equal(r.op.to, to);
    assert_true(r.op.is_durable);
}

static int64_t served(struct control *control)
{
    struct snapshot *snapshot = control_snapshot(control);
    const struct endpoint *endpoint = snapshot_find(snapshot, STR_LIT("churn"));
    int64_t version = endpoint ? endpoint->champion_version : 0;
    snapshot_unref(snapshot);
    return version;
}

/* A process of its own, which ends as kill -9 ends it. */
static void roll_back_and_die(struct fixture *f)
{
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct control *control = open_control(f, true);
        assert_ok(f, run(f, control, make_champions, f));
        fill_disk(f);
        change_until_full(f, control);
        roll_back_once(f, control, 2);
        roll_back_once(f, control, 1);
        assert_int_equal(served(control), 1);
        kill(getpid(), SIGKILL);
    }
    waitpid(child, &status, 0);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void live_on(struct fixture *f)
{
    struct control_stats stats;
    char owner[] = "them";
    char head[SHA256_HEX_BYTES + 1];
    roll_back_and_die(f);
    struct control *control = open_control(f, false);
    assert_int_equal(served(control), 1);
    control_stats(control, &stats);
    assert_int_equal(stats.rollback_log_pending, 2);
    make_room(f);
    assert_ok(f, run(f, control, change_owner, owner));
    assert_int_equal(served(control), 1);
    control_close(control);
    open_empty_store(f);
    assert_consistent(f, NULL, head);
    assert_int_equal(read_i64(f, "SELECT version FROM aliases"), 1);
    assert_int_equal(read_i64(f, "SELECT COUNT(*) FROM alias_history WHERE kind = 'rollback'"), 2);
    close_store(f);
}

static void a_rollback_on_a_full_disk_survives_a_restart_on_it(void **state)
{
    struct fixture *f = *state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (!mount_small_disk(f->path, DISK_KILOBYTES))
            _exit(CANNOT_MOUNT);
        live_on(f);
        fflush(NULL);
        _exit(0);
    }
    check_child(child);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_rollback_on_a_full_disk_survives_a_restart_on_it,
                                        setup_folder, teardown),
    };
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests_name("torture_restart", tests, NULL, NULL);
}
