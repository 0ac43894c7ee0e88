/* failing_vfs.h - a SQLite VFS in front of the system's that counts writes, syncs and truncations
 * and lets the n-th fail: once, or from then on.
 *
 * Syncs are counted and not passed on: these tests end processes. A program that wants to know what
 * a cut of the power would leave listens to the hooks.
 */
#ifndef SLIPWAY_TESTS_TORTURE_FAILING_VFS_H
#define SLIPWAY_TESTS_TORTURE_FAILING_VFS_H

#include <sqlite3.h>
#include <stdbool.h>

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
    void *tracked;      /* what the hook `opened` gave */
};

/* Called after what succeeded; NULL: nobody listens. */
static struct {
    void *(*opened)(const char *name);
    void (*wrote)(void *tracked, const void *bytes, int size, sqlite3_int64 offset);
    void (*truncated)(void *tracked, sqlite3_int64 size);
    void (*synced)(void *tracked);
} hooks;

static sqlite3_vfs *real_vfs;
static sqlite3_vfs shim_vfs;
static sqlite3_io_methods shim_methods;

static void *tracked_of(sqlite3_file *file)
{
    return ((struct shim_file *)(void *)file)->tracked;
}

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
    if (is_failing()) {
        if (faults.half)
            real->pMethods->xWrite(real, bytes, size / 2, offset);
        return faults.code == SQLITE_FULL ? SQLITE_FULL : SQLITE_IOERR_WRITE;
    }
    if (hooks.wrote)
        hooks.wrote(tracked_of(file), bytes, size, offset);
    return real->pMethods->xWrite(real, bytes, size, offset);
}

static int shim_sync(sqlite3_file *file, int flags)
{
    (void)flags;
    if (is_failing())
        return SQLITE_IOERR_FSYNC;
    if (hooks.synced)
        hooks.synced(tracked_of(file));
    return SQLITE_OK;
}

static int shim_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    sqlite3_file *real = real_of(file);
    if (is_failing())
        return SQLITE_IOERR_TRUNCATE;
    if (hooks.truncated)
        hooks.truncated(tracked_of(file), size);
    return real->pMethods->xTruncate(real, size);
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
    shim->tracked = hooks.opened ? hooks.opened(name) : NULL;
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
    sqlite3_vfs_register(&shim_vfs, 1);
}

#endif
