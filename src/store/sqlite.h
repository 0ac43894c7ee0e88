/* sqlite.h - what the files of the SQLite backend share; nobody else includes it. */
#ifndef SLIPWAY_STORE_SQLITE_H
#define SLIPWAY_STORE_SQLITE_H

#include <sqlite3.h>

#include "store/store.h"

enum {
    SQLITE_STATEMENT_SETS = 32, /* a power of two */
    SQLITE_STATEMENT_WAYS = 4,
    SQLITE_PATH_BYTES_MAX = 4096,
    SQLITE_FAULTS_LISTED_MAX = 3,
};

/* A query being read. It is at the front of its statement, so that a query allocates nothing. */
struct store_rows {
    struct store_head head;
    struct store *store;
    sqlite3_stmt *stmt;
    bool is_used;   /* between _query and _done */
    bool is_cached; /* stays prepared after _done; otherwise finalized and freed */
};

struct store {
    struct store_head head;
    uint32_t magic;
    sqlite3 *db;
    enum store_mode mode;
    bool in_transaction; /* as the caller sees it */
    uint64_t uses;       /* statements looked up: the clock of the cache */

    /* Set when SQLite gave up the whole transaction by itself (disk full, I/O error). Everything
     * fails with it until the caller ends the transaction: the rest of it must not be committed. */
    struct err gave_up;

    struct sqlite_statement {
        struct store_rows rows;
        const char *sql; /* sqlite3_sql(stmt); NULL: free */
        uint64_t used;
    } statements[SQLITE_STATEMENT_SETS][SQLITE_STATEMENT_WAYS];
};

/* The last failure of `db` in our codes; `what` is the thing we did. */
enum err_code sqlite_fail(sqlite3 *db, int rc, const char *what, struct err *err);

/* One SQL text without parameters and rows. */
enum err_code sqlite_run(sqlite3 *db, const char *sql, struct err *err);

/* `db` is sound, or ERR_IO with the first faults. */
enum err_code sqlite_verify(sqlite3 *db, struct err *err);

/* See store_ops.backup. */
enum err_code sqlite_backup(struct store *store, const char *path, struct err *err);

/* Set up what holds for every connection: limits, defences, small memory. */
enum err_code sqlite_prepare_connection(sqlite3 *db, struct err *err);

#endif
