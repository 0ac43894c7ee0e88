/* torture_store.c - a process that writes is killed at random moments; what it acknowledged is
 * there.
 *
 *     torture_store [rounds]
 *
 * The child works as the control thread does: several operations a transaction, each in its own
 * savepoint, some of them failing; a logged rollback now and then. Before each commit it tells the
 * hash of the last audit event, after it that it is committed; before and after each record of the
 * rollback log likewise. So the parent knows what must be there and what may be there:
 *
 *     the chain ends with the last committed hash, or with the one that was being committed
 *     a logged rollback that was acknowledged is in the log or in the store
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/rand.h"
#include "consistency.h"
#include "store/folder.h"

enum { ROUNDS_DEFAULT = 50, ROUNDS_PER_FOLDER = 100, GROUP_MAX = 8, MODELS = 3 };
enum { OPENING_US_MAX = 3000, WORKING_US_MAX = 60000, START_MS_MAX = 10000 };

static int rounds = ROUNDS_DEFAULT;

struct message {
    enum { COMMITTING, COMMITTED, LOGGING, LOGGED } kind;
    char head[SHA256_HEX_BYTES + 1];
    int64_t to; /* LOGGING, LOGGED: the version of model 0 that is rolled back to */
};

struct worker {
    struct fixture *f;
    struct folder *folder;
    struct blob_store *blobs;
    struct rollback_log *log;
    struct rand rand;
    int pipe;
    int64_t operations; /* makes each blob another one */
};

/* What the parent has been told. */
struct ledger {
    char committed[SHA256_HEX_BYTES + 1], committing[SHA256_HEX_BYTES + 1];
    int64_t logged_to, logging_to; /* since the last commit; 0: none */
    int64_t commits;
};

static int below(struct worker *w, int n)
{
    return (int)(rand_u64(&w->rand) % (uint64_t)n);
}

static void open_all(struct worker *w)
{
    struct fixture *f = w->f;
    assert_ok(f, folder_open(f->path, true, &w->folder, &f->err));
    assert_ok(f, folder_lock(w->folder, &f->err));
    open_store(f);
    assert_ok(f, blob_open(&blob_dir, f->path, &w->blobs, &f->err));
    assert_ok(f, rollback_log_open(in_folder(f, "rollback.log"), &w->log, &f->err));
}

static void close_all(struct worker *w)
{
    rollback_log_close(w->log);
    blob_close(w->blobs);
    close_store(w->f);
    folder_close(w->folder);
}

/* ---- the child ---- */

static void tell(struct worker *w, struct message message)
{
    if (write(w->pipe, &message, sizeof(message)) != (ssize_t)sizeof(message))
        _exit(3);
}

static enum err_code make_version(struct worker *w, const char *model)
{
    struct fixture *f = w->f;
    char bytes[6000];
    struct version v = {.model = model, .runtime = "trees", .note = "torture"};
    memset(bytes, 'b', sizeof(bytes));
    snprintf(bytes, sizeof(bytes), "%ld %lld", (long)getpid(), (long long)w->operations++);
    v.artifact_bytes = 1 + below(w, (int)sizeof(bytes));
    if (blob_put(w->blobs, bytes, (size_t)v.artifact_bytes, &v.artifact, &f->err))
        return f->err.code;
    return version_create(f->store, &v, &tester, &f->err);
}

static enum err_code move_alias(struct worker *w, const char *model)
{
    struct fixture *f = w->f;
    struct alias alias;
    int64_t latest = 0;
    if (version_resolve(f->store, model, STR_LIT("latest"), &latest, &f->err))
        return f->err.code;
    return alias_set(f->store, model, below(w, 2) ? ALIAS_CHAMPION : "canary",
                     1 + below(w, (int)latest), -1, "torture", &tester, &alias, f->arena, &f->err);
}

/* Some of these fail by themselves: no version yet, nothing to roll back to, no alias. */
static enum err_code operate(struct worker *w)
{
    struct fixture *f = w->f;
    struct alias alias;
    char model[16];
    snprintf(model, sizeof(model), "model-%d", below(w, MODELS));
    switch (below(w, 8)) {
    case 0:
        return model_ensure(f->store, model, below(w, 2) ? "me" : "you", NULL, &tester, &f->err);
    case 1:
    case 2:
        return make_version(w, model);
    case 3:
        return alias_rollback(f->store, model, ALIAS_CHAMPION, "torture", &tester, &alias, f->arena,
                              &f->err);
    case 4:
        return alias_delete(f->store, model, "canary", -1, NULL, &tester, &f->err);
    default:
        return move_alias(w, model);
    }
}

static void read_head(struct worker *w, char head[SHA256_HEX_BYTES + 1])
{
    struct fixture *f = w->f;
    struct store_rows *rows;
    bool has_row = false;
    memset(head, 0, SHA256_HEX_BYTES + 1);
    assert_ok(f, store_query(f->store, "SELECT hash FROM audit ORDER BY seq DESC LIMIT 1", NULL, 0,
                             &rows, &f->err));
    assert_ok(f, store_next(rows, &has_row, &f->err));
    memset(head, '0', SHA256_HEX_BYTES);
    if (has_row)
        memcpy(head, store_text(rows, 0).ptr, SHA256_HEX_BYTES);
    store_rows_done(rows);
}

/* One transaction as the control thread makes it. A savepoint is undone when its operation failed,
 * and sometimes when it did not, since an undone operation must leave nothing either. */
static void commit_group(struct worker *w, int operations)
{
    struct fixture *f = w->f;
    struct message message = {.kind = COMMITTING};
    assert_ok(f, store_begin(f->store, &f->err));
    assert_ok(f, rollback_log_fold(w->log, f->store, &f->err));
    for (int i = 0; i < operations; i++) {
        assert_ok(f, store_savepoint(f->store, &f->err));
        if (operate(w) || below(w, 10) == 0)
            store_undo(f->store);
        else
            assert_ok(f, store_release(f->store, &f->err));
    }
    read_head(w, message.head);
    tell(w, message);
    assert_ok(f, store_commit(f->store, &f->err));
    message.kind = COMMITTED;
    tell(w, message);
    assert_ok(f, rollback_log_clear(w->log, &f->err));
}

/* As when the store cannot commit: the champion of model 0 goes a step back by the log. */
static void log_rollback(struct worker *w)
{
    struct fixture *f = w->f;
    struct alias alias;
    if (rollback_log_pending(w->log) > 0 ||
        alias_get(f->store, "model-0", ALIAS_CHAMPION, f->arena, &alias, &f->err) ||
        alias.previous == 0)
        return;
    struct message message = {.kind = LOGGING, .to = alias.previous};
    tell(w, message);
    assert_ok(f, rollback_log_append(w->log, "model-0", ALIAS_CHAMPION, alias.version,
                                     alias.previous, "torture", "key:ci", &f->err));
    message.kind = LOGGED;
    tell(w, message);
}

static void work_until_killed(struct worker *w)
{
    open_all(w);
    for (;;) {
        commit_group(w, 1 + below(w, GROUP_MAX));
        if (below(w, 4) == 0)
            log_rollback(w);
        arena_reset(w->f->arena);
    }
}

/* ---- the parent ---- */

static void note(struct ledger *ledger, const struct message *message)
{
    switch (message->kind) {
    case COMMITTING:
        memcpy(ledger->committing, message->head, sizeof(ledger->committing));
        break;
    case COMMITTED:
        memcpy(ledger->committed, message->head, sizeof(ledger->committed));
        ledger->logged_to = ledger->logging_to = 0;
        ledger->commits++;
        break;
    case LOGGING:
        ledger->logging_to = message->to;
        break;
    case LOGGED:
        ledger->logged_to = message->to;
        break;
    }
}

static void read_messages(int fd, struct ledger *ledger)
{
    struct message message;
    ssize_t got;
    while ((got = read(fd, &message, sizeof(message))) == (ssize_t)sizeof(message))
        note(ledger, &message);
    assert_int_equal(got, 0); /* a message is smaller than PIPE_BUF, so it is whole or not there */
}

/* Often while it is opening, so that a half made schema is seen too; else once it works, however
 * slow the machine is. */
static void wait_to_kill(struct worker *w, int fd)
{
    struct pollfd first = {.fd = fd, .events = POLLIN};
    bool is_early = below(w, 4) == 0;
    int after_us = below(w, is_early ? OPENING_US_MAX : WORKING_US_MAX);
    const struct timespec wait = {0, after_us * 1000L};
    if (!is_early)
        poll(&first, 1, START_MS_MAX);
    nanosleep(&wait, NULL);
}

static void run_and_kill(struct worker *w, struct ledger *ledger)
{
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    rand_u64(&w->rand);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(ends[0]);
        w->pipe = ends[1];
        work_until_killed(w);
    }
    close(ends[1]);
    wait_to_kill(w, ends[0]);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        fail_msg("the child ended by itself, status %d", status);
    read_messages(ends[0], ledger);
    close(ends[0]);
}

static int64_t champion_of_model_0(struct worker *w)
{
    struct fixture *f = w->f;
    struct alias alias = {0};
    enum err_code rc = alias_get(f->store, "model-0", ALIAS_CHAMPION, f->arena, &alias, &f->err);
    assert_true(rc == ERR_OK || rc == ERR_NOT_FOUND);
    return alias.version;
}

/* What was logged is folded now, as at every start. */
static void check_log(struct worker *w, struct ledger *ledger, bool is_last_commit)
{
    struct fixture *f = w->f;
    int pending = rollback_log_pending(w->log);
    if (ledger->logged_to && is_last_commit)
        assert_int_equal(pending, 1);
    assert_ok(f, store_begin(f->store, &f->err));
    assert_ok(f, rollback_log_fold(w->log, f->store, &f->err));
    assert_ok(f, store_commit(f->store, &f->err));
    assert_ok(f, rollback_log_clear(w->log, &f->err));
    if (ledger->logged_to && is_last_commit)
        assert_int_equal(champion_of_model_0(w), ledger->logged_to);
    assert_int_equal(rollback_log_pending(w->log), 0);
}

static void check_after_death(struct worker *w, struct ledger *ledger)
{
    char head[SHA256_HEX_BYTES + 1];
    open_all(w);
    assert_consistent(w->f, w->blobs, head);
    bool is_last_commit = strcmp(head, ledger->committed) == 0;
    if (!is_last_commit && strcmp(head, ledger->committing) != 0)
        fail_msg("the chain ends with %s; committed was %s", head, ledger->committed);
    check_log(w, ledger, is_last_commit);
    assert_consistent(w->f, w->blobs, head);
    memcpy(ledger->committed, head, sizeof(head));
    memcpy(ledger->committing, head, sizeof(head));
    ledger->logged_to = ledger->logging_to = 0;
    close_all(w);
    arena_reset(w->f->arena);
}

/* Each check reads everything, so the folder may not grow with the rounds. */
static void begin_folder(struct worker *w, struct ledger *ledger)
{
    remove_folder(w->f->path);
    assert_int_equal(mkdir(w->f->path, 0700), 0);
    memset(ledger->committed, '0', SHA256_HEX_BYTES);
    memset(ledger->committing, '0', SHA256_HEX_BYTES);
}

static void what_was_acknowledged_survives_kill_9(void **state)
{
    struct worker w = {.f = *state};
    struct ledger ledger = {.commits = 0};
    rand_seed(&w.rand, 20260131);
    for (int i = 0; i < rounds; i++) {
        if (i % ROUNDS_PER_FOLDER == 0)
            begin_folder(&w, &ledger);
        run_and_kill(&w, &ledger);
        check_after_death(&w, &ledger);
    }
    assert_true(ledger.commits > 0); /* it did work between the kills */
    print_message("# %d kills, %lld commits acknowledged\n", rounds, (long long)ledger.commits);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_acknowledged_survives_kill_9, setup_folder,
                                        teardown),
    };
    int64_t wanted;
    if (argc > 1 && str_to_i64(str_of(argv[1]), &wanted) && wanted > 0 && wanted <= 1000000)
        rounds = (int)wanted;
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests_name("torture_store", tests, NULL, NULL);
}
