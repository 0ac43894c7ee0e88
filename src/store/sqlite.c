/* sqlite.c - the store over SQLite: WAL, every commit synced, statements kept prepared.
 *
 * A connection is used by one thread at a time (SQLITE_OPEN_NOMUTEX). Memory is kept small: a page
 * cache of CACHE_KIB, no memory map. The schema is not trusted to call functions, and SQL cannot
 * write to SQLite's own tables.
 *
 * SQLite may end a transaction by itself when a write fails. What the caller then still sends as
 * part of that transaction would be committed alone, so it is refused here until the caller has
 * ended the transaction too.
 */
#include "store/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/check.h"
#include "base/hash.h"

enum {
    STORE_MAGIC = 0x53515354,
    BUSY_TIMEOUT_MS = 5000,
    STATEMENT_BYTES_MAX = 64 * 1024,
    COLUMNS_MAX = 100,
};

#define FILE_NAME "slipway.db"

/* cache_size is in KiB when negative. A WAL that has grown is cut back to 4 MB at a checkpoint. */
static const char connection_setup[] = "PRAGMA foreign_keys = ON;"
                                       "PRAGMA synchronous = FULL;"
                                       "PRAGMA cache_size = -512;"
                                       "PRAGMA mmap_size = 0;"
                                       "PRAGMA temp_store = MEMORY;"
                                       "PRAGMA journal_size_limit = 4194304;"
                                       "PRAGMA trusted_schema = OFF;";

/* ---- errors ---- */

static bool is_disk_without_room(sqlite3 *db)
{
    struct statvfs fs;
    const char *path = sqlite3_db_filename(db, "main");
    return path && path[0] && statvfs(path, &fs) == 0 && fs.f_bavail == 0;
}

static enum err_code code_of(sqlite3 *db, int rc)
{
    switch (rc & 0xFF) {
    case SQLITE_FULL:
        return ERR_DISK_FULL;
    case SQLITE_CONSTRAINT:
        return rc == SQLITE_CONSTRAINT_UNIQUE || rc == SQLITE_CONSTRAINT_PRIMARYKEY ? ERR_EXISTS
                                                                                    : ERR_CONFLICT;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERR_UNAVAILABLE;
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return ERR_DENIED;
    case SQLITE_TOOBIG:
        return ERR_LIMIT;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        return sqlite3_system_errno(db) == ENOSPC || sqlite3_system_errno(db) == EDQUOT ||
                       is_disk_without_room(db)
                   ? ERR_DISK_FULL
                   : ERR_IO;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_PROTOCOL:
        return ERR_IO;
    default:
        return ERR_INTERNAL;
    }
}

static void hint_for(int rc, enum err_code code, struct err *err)
{
    if (code == ERR_DISK_FULL)
        err_hint(err, "make room on the disk of the data folder; nothing was changed");
    else if (code == ERR_UNAVAILABLE)
        err_hint(err, "another process holds the store; try again");
    else if ((rc & 0xFF) == SQLITE_CORRUPT || (rc & 0xFF) == SQLITE_NOTADB)
        err_hint(err, "restore the last good copy: slipway restore <backup>");
}

enum err_code sqlite_fail(sqlite3 *db, int rc, const char *what, struct err *err)
{
    int extended = db ? sqlite3_extended_errcode(db) : rc;
    if ((extended & 0xFF) != (rc & 0xFF))
        extended = rc;
    enum err_code code = db ? code_of(db, extended) : ERR_IO;
    err_set(err, code, "%s: %s", what, db ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
    hint_for(extended, code, err);
    return code;
}

enum err_code sqlite_run(sqlite3 *db, const char *sql, struct err *err)
{
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? ERR_OK : sqlite_fail(db, rc, "store", err);
}

/* The failure `rc` of a statement. Notices when it has cost the transaction. */
static enum err_code fail(struct store *store, int rc, struct err *err)
{
    enum err_code code = sqlite_fail(store->db, rc, "store", err);
    if (store->in_transaction && sqlite3_get_autocommit(store->db) && !store->gave_up.code)
        store->gave_up = *err;
    return code;
}

static enum err_code check_alive(struct store *store, struct err *err)
{
    CHECK_MAGIC(store, STORE_MAGIC);
    if (store->gave_up.code)
        *err = store->gave_up;
    return store->gave_up.code;
}

/* ---- statements ---- */

static int finalize(struct sqlite_statement *statement)
{
    int rc = sqlite3_finalize(statement->rows.stmt);
    *statement = (struct sqlite_statement){0};
    return rc;
}

/* The one of a set that has `sql`, or else the best to give up: a free one, the longest unused.
 * NULL when all are being read. */
static struct sqlite_statement *choose_statement(struct store *store, const char *sql)
{
    static const uint64_t key[2] = {0x736c697077617921, 0x73746174656d656e};
    uint64_t hash = hash_sip(key, sql, strlen(sql));
    struct sqlite_statement *set = store->statements[hash % SQLITE_STATEMENT_SETS];
    struct sqlite_statement *best = NULL;
    for (int i = 0; i < SQLITE_STATEMENT_WAYS; i++) {
        if (set[i].rows.is_used)
            continue;
        if (set[i].sql && strcmp(set[i].sql, sql) == 0)
            return &set[i];
        if (!best || set[i].used < best->used)
            best = &set[i];
    }
    return best;
}

static enum err_code prepare(struct store *store, const char *sql, sqlite3_stmt **stmt,
                             struct err *err)
{
    const char *rest = NULL;
    int rc = sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT, stmt, &rest);
    if (rc != SQLITE_OK)
        return fail(store, rc, err);
    assert(*stmt && *rest == '\0'); /* one statement: SQL texts are ours */
    return ERR_OK;
}

/* A statement ready to be bound. Give back with give_back(). */
static enum err_code take_statement(struct store *store, const char *sql,
                                    struct sqlite_statement **out, struct err *err)
{
    sqlite3_stmt *stmt = NULL;
    struct sqlite_statement *statement = choose_statement(store, sql);
    bool is_cached = statement != NULL;
    if (!is_cached || !statement->sql || strcmp(statement->sql, sql) != 0) {
        if (prepare(store, sql, &stmt, err))
            return err->code;
        if (!is_cached && !(statement = calloc(1, sizeof(*statement))))
            abort();
        finalize(statement);
        statement->rows.stmt = stmt;
        statement->sql = sqlite3_sql(stmt);
    }
    statement->rows.head.ops = store->head.ops;
    statement->rows.store = store;
    statement->rows.is_used = true;
    statement->rows.is_cached = is_cached;
    statement->used = ++store->uses;
    *out = statement;
    return ERR_OK;
}

static void give_back(struct store_rows *rows)
{
    struct sqlite_statement *statement = CONTAINER_OF(rows, struct sqlite_statement, rows);
    sqlite3_reset(rows->stmt);
    sqlite3_clear_bindings(rows->stmt);
    rows->is_used = false;
    if (rows->is_cached)
        return;
    finalize(statement);
    free(statement);
}

static int bind_one(sqlite3_stmt *stmt, int i, const struct store_value *value)
{
    switch (value->type) {
    case STORE_NULL:
        return sqlite3_bind_null(stmt, i);
    case STORE_I64:
        return sqlite3_bind_int64(stmt, i, value->i64);
    case STORE_F64:
        return sqlite3_bind_double(stmt, i, value->f64);
    case STORE_TEXT:
        return sqlite3_bind_text64(stmt, i, value->text.ptr ? value->text.ptr : "", value->text.len,
                                   SQLITE_TRANSIENT, SQLITE_UTF8);
    }
    return SQLITE_MISUSE;
}

static enum err_code bind_all(struct store_rows *rows, const struct store_value *params,
                              int param_count, struct err *err)
{
    assert(sqlite3_bind_parameter_count(rows->stmt) == param_count);
    for (int i = 0; i < param_count; i++) {
        int rc = bind_one(rows->stmt, i + 1, &params[i]);
        if (rc != SQLITE_OK)
            return fail(rows->store, rc, err);
    }
    return ERR_OK;
}

static enum err_code sqlite_query(struct store *store, const char *sql,
                                  const struct store_value *params, int param_count,
                                  struct store_rows **rows, struct err *err)
{
    struct sqlite_statement *statement = NULL;
    if (check_alive(store, err) || take_statement(store, sql, &statement, err))
        return err->code;
    if (bind_all(&statement->rows, params, param_count, err)) {
        give_back(&statement->rows);
        return err->code;
    }
    *rows = &statement->rows;
    return ERR_OK;
}

static enum err_code sqlite_next(struct store_rows *rows, bool *has_row, struct err *err)
{
    assert(rows->is_used);
    int rc = sqlite3_step(rows->stmt);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return fail(rows->store, rc, err);
    *has_row = rc == SQLITE_ROW;
    return ERR_OK;
}

static bool sqlite_is_null(struct store_rows *rows, int column)
{
    return sqlite3_column_type(rows->stmt, column) == SQLITE_NULL;
}

static int64_t sqlite_i64(struct store_rows *rows, int column)
{
    return sqlite3_column_int64(rows->stmt, column);
}

static double sqlite_f64(struct store_rows *rows, int column)
{
    return sqlite3_column_double(rows->stmt, column);
}

static struct str sqlite_text(struct store_rows *rows, int column)
{
    const unsigned char *text = sqlite3_column_text(rows->stmt, column);
    size_t size = (size_t)sqlite3_column_bytes(rows->stmt, column);
    return (struct str){text ? (const char *)text : "", size};
}

static enum err_code sqlite_exec(struct store *store, const char *sql,
                                 const struct store_value *params, int param_count,
                                 int64_t *changed, struct err *err)
{
    struct store_rows *rows;
    bool has_row = true;
    if (sqlite_query(store, sql, params, param_count, &rows, err))
        return err->code;
    enum err_code code = ERR_OK;
    while (!code && has_row)
        code = sqlite_next(rows, &has_row, err);
    if (!code && changed)
        *changed = sqlite3_changes64(store->db);
    give_back(rows);
    return code;
}

static enum err_code sqlite_script(struct store *store, const char *sql, struct err *err)
{
    if (check_alive(store, err))
        return err->code;
    int rc = sqlite3_exec(store->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? ERR_OK : fail(store, rc, err);
}

/* ---- transactions ---- */

static void end_transaction(struct store *store)
{
    store->in_transaction = false;
    store->gave_up = (struct err){0};
}

static enum err_code sqlite_begin(struct store *store, struct err *err)
{
    CHECK_MAGIC(store, STORE_MAGIC);
    assert(!store->in_transaction);
    const char *sql = store->mode == STORE_WRITE ? "BEGIN IMMEDIATE" : "BEGIN";
    if (sqlite_exec(store, sql, NULL, 0, NULL, err))
        return err->code;
    store->in_transaction = true;
    return ERR_OK;
}

static void sqlite_rollback(struct store *store)
{
    struct err ignored = {0}; /* a ROLLBACK that fails leaves no transaction either */
    if (!store->in_transaction)
        return;
    if (!sqlite3_get_autocommit(store->db))
        sqlite_run(store->db, "ROLLBACK", &ignored);
    assert(sqlite3_get_autocommit(store->db));
    end_transaction(store);
}

static enum err_code sqlite_commit(struct store *store, struct err *err)
{
    assert(store->in_transaction);
    enum err_code code = sqlite_exec(store, "COMMIT", NULL, 0, NULL, err);
    if (code)
        sqlite_rollback(store);
    else
        end_transaction(store);
    return code;
}

static enum err_code sqlite_savepoint(struct store *store, struct err *err)
{
    assert(store->in_transaction);
    return sqlite_exec(store, "SAVEPOINT operation", NULL, 0, NULL, err);
}

static enum err_code sqlite_release(struct store *store, struct err *err)
{
    return sqlite_exec(store, "RELEASE operation", NULL, 0, NULL, err);
}

/* When it fails the transaction is unusable, and so says everything after it. */
static void sqlite_undo(struct store *store)
{
    struct err err = {0};
    if (sqlite_exec(store, "ROLLBACK TO operation", NULL, 0, NULL, &err) ||
        sqlite_exec(store, "RELEASE operation", NULL, 0, NULL, &err)) {
        if (!store->gave_up.code)
            store->gave_up = err;
    }
}

/* ---- opening and closing ---- */

static void configure_library(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); /* its counters are a global lock */
    int rc = sqlite3_initialize();
    assert(rc == SQLITE_OK);
}

enum err_code sqlite_prepare_connection(sqlite3 *db, struct err *err)
{
    sqlite3_extended_result_codes(db, 1);
    sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS);
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
    sqlite3_limit(db, SQLITE_LIMIT_SQL_LENGTH, STATEMENT_BYTES_MAX);
    sqlite3_limit(db, SQLITE_LIMIT_COLUMN, COLUMNS_MAX);
    return sqlite_run(db, connection_setup, err);
}

/* The database's path: in the data folder, or the file itself, as a backup is opened. */
static enum err_code find_path(const char *where, char *path, size_t path_bytes, struct err *err)
{
    struct stat st;
    bool is_folder = stat(where, &st) == 0 && S_ISDIR(st.st_mode);
    int len = snprintf(path, path_bytes, is_folder ? "%s/" FILE_NAME : "%s", where);
    if (len < 0 || (size_t)len >= path_bytes)
        return err_set(err, ERR_LIMIT, "the path of the store is longer than %zu bytes",
                       path_bytes - 1);
    return ERR_OK;
}

/* The file is made here with its mode; SQLite gives -wal and -shm the same. An existing one is only
 * looked at: closing a descriptor of it would drop the locks of this process on it. */
static enum err_code check_file(const char *path, enum store_mode mode, struct err *err)
{
    struct stat st;
    bool is_there = lstat(path, &st) == 0;
    if (is_there && !S_ISREG(st.st_mode))
        return err_set(err, ERR_INVALID, "the store %s is not a regular file", path);
    if (is_there)
        return ERR_OK;
    if (mode != STORE_WRITE)
        return err_set_errno(err, errno, "cannot open the store %s", path);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot create the store %s", path);
    close(fd);
    return ERR_OK;
}

static enum err_code open_database(const char *path, enum store_mode mode, sqlite3 **db,
                                   struct err *err)
{
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
                (mode == STORE_WRITE ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY);
    int rc = sqlite3_open_v2(path, db, flags, NULL);
    if (rc != SQLITE_OK)
        return sqlite_fail(*db, rc, "cannot open the store", err);
    return sqlite_prepare_connection(*db, err);
}

/* Some file systems cannot share the memory that WAL needs; SQLite then stays as it was. */
static enum err_code check_journal(sqlite3 *db, struct err *err)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, "PRAGMA journal_mode = WAL", -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    const char *mode = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(stmt, 0) : NULL;
    enum err_code code = ERR_OK;
    if (rc != SQLITE_ROW)
        code = sqlite_fail(db, rc, "store", err);
    else if (!mode || strcmp(mode, "wal") != 0)
        code = err_set(err, ERR_UNSUPPORTED, "the file system cannot hold a store in WAL mode");
    sqlite3_finalize(stmt);
    return code;
}

/* Reads the file for the first time, so that what is wrong with it is said by open. */
static enum err_code read_header(sqlite3 *db, enum store_mode mode, struct err *err)
{
    if (mode == STORE_WRITE)
        return check_journal(db, err);
    return sqlite_run(db, "SELECT 1 FROM sqlite_schema LIMIT 1", err);
}

static void sqlite_close_store(struct store *store)
{
    CHECK_MAGIC(store, STORE_MAGIC);
    sqlite_rollback(store);
    for (int i = 0; i < SQLITE_STATEMENT_SETS; i++) {
        for (int j = 0; j < SQLITE_STATEMENT_WAYS; j++) {
            assert(!store->statements[i][j].rows.is_used);
            finalize(&store->statements[i][j]);
        }
    }
    int rc = sqlite3_close(store->db);
    assert(rc == SQLITE_OK);
    store->magic = 0;
    free(store);
}

static enum err_code sqlite_open(const char *where, enum store_mode mode, struct store **out,
                                 struct err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    char path[SQLITE_PATH_BYTES_MAX];
    pthread_once(&once, configure_library);
    if (find_path(where, path, sizeof(path), err) || check_file(path, mode, err))
        return err->code;
    struct store *store = calloc(1, sizeof(*store));
    if (!store)
        abort();
    store->head.ops = &store_sqlite;
    store->magic = STORE_MAGIC;
    store->mode = mode;
    if (open_database(path, mode, &store->db, err) || read_header(store->db, mode, err)) {
        sqlite_close_store(store);
        return err_wrap(err, "%s", path);
    }
    *out = store;
    return ERR_OK;
}

static enum err_code sqlite_verify_store(struct store *store, struct err *err)
{
    CHECK_MAGIC(store, STORE_MAGIC);
    return sqlite_verify(store->db, err);
}

const struct store_ops store_sqlite = {
    .name = "sqlite",
    .open = sqlite_open,
    .close = sqlite_close_store,
    .exec = sqlite_exec,
    .script = sqlite_script,
    .query = sqlite_query,
    .next = sqlite_next,
    .is_null = sqlite_is_null,
    .i64 = sqlite_i64,
    .f64 = sqlite_f64,
    .text = sqlite_text,
    .done = give_back,
    .begin = sqlite_begin,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .savepoint = sqlite_savepoint,
    .release = sqlite_release,
    .undo = sqlite_undo,
    .backup = sqlite_backup,
    .verify = sqlite_verify_store,
};
