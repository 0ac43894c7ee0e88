/* torture_io_errors.c - the n-th write or sync of the database fails, for every n.
 *
 * A SQLite VFS in front of the system's counts writes, syncs and truncations and lets the n-th
 * fail: once, or from then on, with an I/O error or without room. A failed write may have written
 * half of its bytes. After each failure:
 *
 *     the caller was told, nothing of the failed transaction is seen, the chain is whole
 *     the same connection works again when the disk does
 *     what was acknowledged is there after reopening
 */
#include <sqlite3.h>
#include <unistd.h>

#include "base/log.h"
#include "consistency.h"

enum { STEPS = 6, CALLS_MAX = 100000 };

/* ---- the failing file system ---- */

static struct {
    int calls;    /* writes, syncs, truncations since the last reset */
    int fail_at;  /* this one fails; 0: none */
    bool forever; /* and all after it */
    bool half;    /* a failing write writes the first half */
    int code;     /* what SQLite is told */
    bool was_hit;
} faults;

struct shim_file {
    sqlite3_file base;
    sqlite3_file *real; /* behind this struct */
};

static sqlite3_vfs *real_vfs;
static sqlite3_vfs shim_vfs;
static sqlite3_io_methods shim_methods;

static sqlite3_file *real_of(sqlite3_file *file)
{
    return ((struct shim_file *)(void *)file)->real;
}

static bool is_failing(void)
{
    faults.calls++;
    if (!faults.fail_at || faults.calls < faults.fail_at)
        return false;
    if (faults.calls > faults.fail_at && !faults.forever)
        return false;
    faults.was_hit = true;
    return true;
}

static int shim_write(sqlite3_file *file, const void *bytes, int size, sqlite3_int64 offset)
{
    sqlite3_file *real = real_of(file);
    if (!is_failing())
        return real->pMethods->xWrite(real, bytes, size, offset);
    if (faults.half)
        real->pMethods->xWrite(real, bytes, size / 2, offset);
    return faults.code == SQLITE_FULL ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

/* What is asked for is not done: these tests end processes, they do not cut the power. */
static int shim_sync(sqlite3_file *file, int flags)
{
    (void)file, (void)flags;
    return is_failing() ? SQLITE_IOERR_FSYNC : SQLITE_OK;
}

static int shim_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    sqlite3_file *real = real_of(file);
    return is_failing() ? SQLITE_IOERR_TRUNCATE : real->pMethods->xTruncate(real, size);
}

static int shim_close(sqlite3_file *file)
{
    sqlite3_file *real = real_of(file);
    return real->pMethods->xClose(real);
}

static int shim_read(sqlite3_file *file, void *bytes, int size, sqlite3_int64 offset)
{
    sqlite3_file *real = real_of(file);
    return real->pMethods->xRead(real, bytes, size, offset);
}

static int shim_size(sqlite3_file *file, sqlite3_int64 *size)
{
    sqlite3_file *real = real_of(file);
    return real->pMethods->xFileSize(real, size);
}

static int shim_lock(sqlite3_file *file, int level)
{
    sqlite3_file *real = real_of(file);
    return real->pMethods->xLock(real, level);
}

static int shim_unlock(sqlite3_file *file, int level)
{
    sqlite3_file *real = real_of(file);
    return real->pMethods->xUnlock(real, level);
}

static int shim_check_lock(sqlite3_file *file, int *is_reserved)
{
    sqlite3_file *real = real_of(file);
    return real->pMethods->xCheckReservedLock(real, is_reserved);
}

static int shim_control(sqlite3_file *file, int op, void *arg)
{
    sqlite3_file *real = real_of(file);
    return real->pMethods->xFileControl(real, op, arg);
}

static int shim_sector(sqlite3_file *file)
{
    sqlite3_file *real = real_of(file);
    return real->pMethods->xSectorSize(real);
}

static int shim_device(sqlite3_file *file)
{
    sqlite3_file *real = real_of(file);
    return real->pMethods->xDeviceCharacteristics(real);
}

static int shim_shm_map(sqlite3_file *file, int region, int size, int extend, void volatile **out)
{
    sqlite3_file *real = real_of(file);
    return real->pMethods->xShmMap(real, region, size, extend, out);
}

static int shim_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
    sqlite3_file *real = real_of(file);
    return real->pMethods->xShmLock(real, offset, count, flags);
}

static void shim_shm_barrier(sqlite3_file *file)
{
    sqlite3_file *real = real_of(file);
    real->pMethods->xShmBarrier(real);
}

static int shim_shm_unmap(sqlite3_file *file, int remove)
{
    sqlite3_file *real = real_of(file);
    return real->pMethods->xShmUnmap(real, remove);
}

/* Without the sync of the folder that costs time and proves nothing here. */
static int shim_delete(sqlite3_vfs *vfs, const char *name, int sync_folder)
{
    (void)vfs, (void)sync_folder;
    return real_vfs->xDelete(real_vfs, name, 0);
}

static sqlite3_io_methods shim_methods = {
    .iVersion = 2,
    .xClose = shim_close,
    .xRead = shim_read,
    .xWrite = shim_write,
    .xTruncate = shim_truncate,
    .xSync = shim_sync,
    .xFileSize = shim_size,
    .xLock = shim_lock,
    .xUnlock = shim_unlock,
    .xCheckReservedLock = shim_check_lock,
    .xFileControl = shim_control,
    .xSectorSize = shim_sector,
    .xDeviceCharacteristics = shim_device,
    .xShmMap = shim_shm_map,
    .xShmLock = shim_shm_lock,
    .xShmBarrier = shim_shm_barrier,
    .xShmUnmap = shim_shm_unmap,
};

static int shim_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
    struct shim_file *shim = (struct shim_file *)(void *)file;
    (void)vfs;
    shim->real = (sqlite3_file *)(void *)(shim + 1);
    int rc = real_vfs->xOpen(real_vfs, name, shim->real, flags, out);
    shim->base.pMethods = shim->real->pMethods ? &shim_methods : NULL;
    return rc;
}

static void install_shim(void)
{
    sqlite3_initialize();
    real_vfs = sqlite3_vfs_find(NULL);
    shim_vfs = *real_vfs;
    shim_vfs.zName = "failing";
    shim_vfs.szOsFile += (int)sizeof(struct shim_file);
    shim_vfs.xOpen = shim_open;
    shim_vfs.xDelete = shim_delete;
    assert_int_equal(sqlite3_vfs_register(&shim_vfs, 1), SQLITE_OK);
}

/* ---- the work ---- */

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
    return migrate_up(f->store, in_folder(f, "before.db"), &from, &to, &f->err);
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

/* ---- what must hold ---- */

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
        assert_ok(f, migrate_up(f->store, in_folder(f, "before.db"), &from, &to, &f->err));
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
    int n = 1;
    faults.code = code;
    faults.forever = forever;
    faults.half = half;
    while (n < CALLS_MAX && fail_call(f, n))
        n++;
    assert_true(n > 50); /* the work does write */
    print_message("# %d calls failed one by one\n", n - 1);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_folder(an_io_error_once),
        with_folder(an_io_error_once_after_half_a_write),
        with_folder(io_errors_from_some_moment_on),
        with_folder(no_room_once),
        with_folder(no_room_from_some_moment_on),
    };
    log_set_level(LOG_ERROR);
    install_shim();
    return cmocka_run_group_tests_name("torture_io_errors", tests, NULL, NULL);
}
