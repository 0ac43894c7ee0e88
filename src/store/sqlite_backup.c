/* sqlite_backup.c - the whole database checked, and copied while it is in use.
 *
 * A copy is made beside its final place, checked, synced and only then given its name, so that a
 * file with the name of a backup is a good backup.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/rand.h"
#include "store/sqlite.h"

/* Appends one fault; commas between. */
static void list_fault(char *list, size_t list_bytes, const char *fault)
{
    size_t len = strlen(list);
    snprintf(list + len, list_bytes - len, "%s%s", len ? ", " : "", fault);
}

static enum err_code check_pages(sqlite3 *db, char *faults, size_t faults_bytes, struct err *err)
{
    sqlite3_stmt *stmt = NULL;
    int listed = 0;
    int rc = sqlite3_prepare_v2(db, "PRAGMA integrity_check(10)", -1, &stmt, NULL);
    while (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        const char *row = (const char *)sqlite3_column_text(stmt, 0);
        if (row && strcmp(row, "ok") != 0 && listed++ < SQLITE_FAULTS_LISTED_MAX)
            list_fault(faults, faults_bytes, row);
        rc = SQLITE_OK;
    }
    enum err_code code = rc == SQLITE_DONE ? ERR_OK : sqlite_fail(db, rc, "store", err);
    sqlite3_finalize(stmt);
    return code;
}

static enum err_code check_references(sqlite3 *db, char *faults, size_t faults_bytes,
                                      struct err *err)
{
    sqlite3_stmt *stmt = NULL;
    char fault[160];
    int listed = 0;
    int rc = sqlite3_prepare_v2(db, "PRAGMA foreign_key_check", -1, &stmt, NULL);
    while (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        snprintf(fault, sizeof(fault), "a row of %s names a missing row of %s",
                 (const char *)sqlite3_column_text(stmt, 0),
                 (const char *)sqlite3_column_text(stmt, 2));
        if (listed++ < SQLITE_FAULTS_LISTED_MAX)
            list_fault(faults, faults_bytes, fault);
        rc = SQLITE_OK;
    }
    enum err_code code = rc == SQLITE_DONE ? ERR_OK : sqlite_fail(db, rc, "store", err);
    sqlite3_finalize(stmt);
    return code;
}

enum err_code sqlite_verify(sqlite3 *db, struct err *err)
{
    char faults[ERR_MSG_BYTES - 64] = "";
    if (check_pages(db, faults, sizeof(faults), err) ||
        check_references(db, faults, sizeof(faults), err))
        return err->code;
    if (!faults[0])
        return ERR_OK;
    err_set(err, ERR_IO, "the store is damaged: %s", faults);
    return err_hint(err, "restore the last good copy: slipway restore <backup>");
}

static enum err_code copy_pages(sqlite3 *from, sqlite3 *to, struct err *err)
{
    sqlite3_backup *backup = sqlite3_backup_init(to, "main", from, "main");
    if (!backup)
        return sqlite_fail(to, sqlite3_errcode(to), "copying the store", err);
    int step = sqlite3_backup_step(backup, -1);
    int rc = sqlite3_backup_finish(backup);
    if (step == SQLITE_DONE && rc == SQLITE_OK)
        return ERR_OK;
    return sqlite_fail(to, step == SQLITE_DONE ? rc : step, "copying the store", err);
}

/* A copy is one file: it keeps no WAL, which would lie beside it. */
static enum err_code fill_copy(sqlite3 *from, const char *path, struct err *err)
{
    sqlite3 *to = NULL;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    int rc = sqlite3_open_v2(path, &to, flags, NULL);
    enum err_code code = rc == SQLITE_OK ? sqlite_prepare_connection(to, err)
                                         : sqlite_fail(to, rc, "opening the copy", err);
    if (!code)
        code = copy_pages(from, to, err);
    if (!code)
        code = sqlite_run(to, "PRAGMA journal_mode = DELETE", err);
    if (!code)
        code = sqlite_verify(to, err);
    sqlite3_close(to);
    return code;
}

static enum err_code sync_path(const char *path, int flags, struct err *err)
{
    int fd = open(path, flags | O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot open %s", path);
    int failed = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    return failed ? err_set_errno(err, failed, "cannot make %s durable", path) : ERR_OK;
}

static enum err_code sync_folder_of(const char *path, struct err *err)
{
    char folder[SQLITE_PATH_BYTES_MAX];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    return sync_path(folder[0] ? folder : "/", O_DIRECTORY, err);
}

/* A link, not a rename: it never replaces what is there. */
static enum err_code give_name(const char *partial, const char *path, struct err *err)
{
    if (link(partial, path) != 0) {
        if (errno == EEXIST)
            return err_set(err, ERR_EXISTS, "there is a file %s already", path);
        return err_set_errno(err, errno, "cannot name the copy %s", path);
    }
    unlink(partial);
    return sync_folder_of(path, err);
}

static enum err_code create_empty(const char *path, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot create the copy %s", path);
    close(fd);
    return ERR_OK;
}

enum err_code sqlite_backup(struct store *store, const char *path, struct err *err)
{
    char partial[SQLITE_PATH_BYTES_MAX];
    uint64_t suffix;
    rand_secret(&suffix, sizeof(suffix));
    int len =
        snprintf(partial, sizeof(partial), "%s.partial-%016llx", path, (unsigned long long)suffix);
    if (len < 0 || (size_t)len >= sizeof(partial))
        return err_set(err, ERR_LIMIT, "the path of the copy is too long");
    if (access(path, F_OK) == 0)
        return err_set(err, ERR_EXISTS, "there is a file %s already", path);
    if (create_empty(partial, err))
        return err->code;
    enum err_code code = fill_copy(store->db, partial, err);
    if (!code)
        code = sync_path(partial, 0, err);
    if (!code)
        code = give_name(partial, path, err);
    if (code)
        unlink(partial);
    return code;
}
