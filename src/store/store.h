/* store.h - rows that survive a restart; knows SQL, not what a model means.
 *
 * One `struct store` is one connection and belongs to one thread at a time. The control thread has
 * the only one that writes; readers open their own. SQL is the common subset of SQLite and
 * PostgreSQL with ?1, ?2 placeholders; times are microseconds since 1970 in BIGINT columns named
 * *_us; digests are lower-case hex text.
 */
#ifndef SLIPWAY_STORE_STORE_H
#define SLIPWAY_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct store;      /* one connection */
struct store_rows; /* the rows of one query being read */

struct store_value {
    enum store_type { STORE_NULL, STORE_I64, STORE_F64, STORE_TEXT } type;
    union {
        int64_t i64;
        double f64;
        struct str text; /* borrowed during the call */
    };
};
#define STORE_INT(v) ((struct store_value){STORE_I64, {.i64 = (v)}})
#define STORE_STR(v) ((struct store_value){STORE_TEXT, {.text = (v)}})
#define STORE_CSTR(v) ((struct store_value){STORE_TEXT, {.text = str_of(v)}})
#define STORE_NONE ((struct store_value){STORE_NULL, {.i64 = 0}})

enum store_mode { STORE_READ, STORE_WRITE };

struct store_ops {
    const char *name; /* "sqlite", later "postgres" */

    /* Open the database in the data folder `where`, a copy that is a file, or (servers) a URL.
     * WRITE creates it. */
    enum err_code (*open)(const char *where, enum store_mode mode, struct store **store,
                          struct err *err);
    void (*close)(struct store *store);

    /* A statement without rows. *changed (may be NULL) is the number of rows it touched. Unique
     * violations are ERR_EXISTS, a full disk ERR_DISK_FULL, a broken file ERR_IO. */
    enum err_code (*exec)(struct store *store, const char *sql, const struct store_value *params,
                          int param_count, int64_t *changed, struct err *err);

    /* Several statements as a migration has them; no parameters. */
    enum err_code (*script)(struct store *store, const char *sql, struct err *err);

    enum err_code (*query)(struct store *store, const char *sql, const struct store_value *params,
                           int param_count, struct store_rows **rows, struct err *err);
    /* *has_row false at the end. Texts of a row are valid until the next _next or _done. */
    enum err_code (*next)(struct store_rows *rows, bool *has_row, struct err *err);
    bool (*is_null)(struct store_rows *rows, int column);
    int64_t (*i64)(struct store_rows *rows, int column);
    double (*f64)(struct store_rows *rows, int column);
    struct str (*text)(struct store_rows *rows, int column);
    void (*done)(struct store_rows *rows);

    /* A transaction of a reader sees one state. A failed commit has undone everything. When the
     * database gives up a transaction by itself (no room, I/O error), everything in it fails with
     * that error until commit or rollback ends it, and the next one starts afresh. */
    enum err_code (*begin)(struct store *store, struct err *err);
    enum err_code (*commit)(struct store *store, struct err *err); /* durable when it returns OK */
    void (*rollback)(struct store *store); /* nothing to do outside a transaction */

    /* Inside a transaction: what follows can be undone alone, so that one failed operation of a
     * group commit does not undo its neighbours. Either ends it: release keeps, undo undoes. */
    enum err_code (*savepoint)(struct store *store, struct err *err);
    enum err_code (*release)(struct store *store, struct err *err);
    void (*undo)(struct store *store);

    /* A consistent copy of the whole, online, into a new file of mode 0600; verified and durable
     * before it has its name. ERR_EXISTS when there is a file. Not inside a transaction. */
    enum err_code (*backup)(struct store *store, const char *path, struct err *err);

    /* Every page and index sound? The error lists the first faults. */
    enum err_code (*verify)(struct store *store, struct err *err);
};

/* The head of every backend's struct store and struct store_rows. */
struct store_head {
    const struct store_ops *ops;
};

/* Thin calls through the table; see the members above. */
enum err_code store_open(const struct store_ops *ops, const char *where, enum store_mode mode,
                         struct store **store, struct err *err);
void store_close(struct store *store); /* NULL is allowed */
enum err_code store_exec(struct store *store, const char *sql, const struct store_value *params,
                         int param_count, int64_t *changed, struct err *err);
enum err_code store_script(struct store *store, const char *sql, struct err *err);
enum err_code store_query(struct store *store, const char *sql, const struct store_value *params,
                          int param_count, struct store_rows **rows, struct err *err);
enum err_code store_next(struct store_rows *rows, bool *has_row, struct err *err);
bool store_is_null(struct store_rows *rows, int column);
int64_t store_i64(struct store_rows *rows, int column);
double store_f64(struct store_rows *rows, int column);
struct str store_text(struct store_rows *rows, int column);
/* The text copied into the arena, NUL-terminated; NULL for SQL NULL. When the arena is at its limit
 * *is_full is set (else left alone) and "" returned, so that a row is read first and checked once.
 */
const char *store_text_copy(struct store_rows *rows, int column, struct arena *arena,
                            bool *is_full);
/* Room in the arena for one more than `count` items: the list, moved when it had to grow; NULL at
 * the arena's limit. Begin with items NULL, count 0. */
void *store_list_grow(struct arena *arena, void *items, int count, size_t item_bytes);
void store_rows_done(struct store_rows *rows); /* NULL is allowed */
enum err_code store_begin(struct store *store, struct err *err);
enum err_code store_commit(struct store *store, struct err *err);
void store_rollback(struct store *store);
enum err_code store_savepoint(struct store *store, struct err *err);
enum err_code store_release(struct store *store, struct err *err);
void store_undo(struct store *store);
enum err_code store_backup(struct store *store, const char *path, struct err *err);
enum err_code store_verify(struct store *store, struct err *err);

extern const struct store_ops store_sqlite;

#endif
