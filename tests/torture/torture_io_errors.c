/* torture_io_errors.c - the n-th write or sync of the database fails, for every n.
 *
 *     torture_io_errors [rounds]
 *
 * In five ways; without an argument each n in one of them, with any in all of them.
 *
 * Once, or all from then on; with an I/O error, or without room; a failed write may have written
 * half of its bytes. After each failure:
 *
 *     the caller was told, nothing of the failed transaction is seen, the chain is whole
 *     the same connection works again when the disk does
 *     what was acknowledged is there after reopening
 */
#include "base/log.h"
#include "workload.h"

static void check_code(enum err_code rc, const struct fixture *f)
{
    enum err_code expected = faults.code == SQLITE_FULL ? ERR_DISK_FULL : ERR_IO;
    if (rc != expected && rc != ERR_IO)
        fail_msg("call %d: %s: %s", faults.fail_at, err_code_name(rc), f->err.msg);
}

/* The same connection, with the disk working again. */
static void check_goes_on(struct run *r)
{
    struct fixture *f = r->f;
    char head[SHA256_HEX_BYTES + 1];
    int from, to;
    if (!f->store)
        assert_ok(f, open_and_migrate(r));
    else
        assert_ok(f, migrate_up(f->store, copy_path(f), &from, &to, &f->err));
    assert_consistent(f, NULL, head);
    assert_string_equal(head, r->committed);
    assert_ok(f, transact(r, 51));
    close_store(f);
}

/* As after the end of the process: the connection is not closed properly. */
static void check_reopened(struct run *r)
{
    struct fixture *f = r->f;
    char head[SHA256_HEX_BYTES + 1];
    assert_ok(f, open_and_migrate(r));
    assert_consistent(f, NULL, head);
    if (strcmp(head, r->committed) != 0 && strcmp(head, r->attempted) != 0)
        fail_msg("call %d: the chain ends with neither hash", faults.fail_at);
    memcpy(r->committed, head, sizeof(head));
    assert_ok(f, transact(r, 60));
    close_store(f);
}

enum { WAYS = 5 };
static int stride = WAYS;

/* True while there was an n-th call. */
static bool fail_call(struct fixture *f, int n)
{
    struct run r;
    reset(&r, f);
    faults.fail_at = n;
    enum err_code rc = work(&r);
    bool was_hit = faults.was_hit;
    faults.fail_at = 0;
    /* Some failures concern nobody: a checkpoint that SQLite makes by itself is tried again. */
    if (rc)
        check_code(rc, f);
    else if (!was_hit)
        assert_int_equal(read_i64(f, "SELECT COUNT(*) FROM versions"), STEPS);
    check_goes_on(&r);
    check_reopened(&r);
    return was_hit;
}

static void fail_each_call(struct fixture *f, int code, bool forever, bool half)
{
    static int ways_begun;
    int n = 1 + ways_begun++ % stride;
    int failed = 0;
    faults.code = code;
    faults.forever = forever;
    faults.half = half;
    for (; n < CALLS_MAX && fail_call(f, n); n += stride)
        failed++;
    assert_true(n > 50); /* the work does write */
    print_message("# %d calls failed, one a run\n", failed);
}

static void an_io_error_once(void **state)
{
    fail_each_call(*state, SQLITE_IOERR, false, false);
}

static void an_io_error_once_after_half_a_write(void **state)
{
    fail_each_call(*state, SQLITE_IOERR, false, true);
}

static void io_errors_from_some_moment_on(void **state)
{
    fail_each_call(*state, SQLITE_IOERR, true, true);
}

static void no_room_once(void **state)
{
    fail_each_call(*state, SQLITE_FULL, false, false);
}

static void no_room_from_some_moment_on(void **state)
{
    fail_each_call(*state, SQLITE_FULL, true, true);
}

#define with_folder(fn) cmocka_unit_test_setup_teardown(fn, setup_folder, teardown)

int main(int argc, char **argv)
{
    (void)argv;
    const struct CMUnitTest tests[] = {
        with_folder(an_io_error_once),
        with_folder(an_io_error_once_after_half_a_write),
        with_folder(io_errors_from_some_moment_on),
        with_folder(no_room_once),
        with_folder(no_room_from_some_moment_on),
    };
    if (argc > 1)
        stride = 1;
    log_set_level(LOG_ERROR);
    install_shim();
    return cmocka_run_group_tests_name("torture_io_errors", tests, NULL, NULL);
}
