/* store.c - calls through a backend's table, and texts copied out of rows. */
#include "store/store.h"

#include "base/check.h"

static const struct store_ops *ops_of(const struct store *store)
{
    assert(store != NULL);
    return ((const struct store_head *)(const void *)store)->ops;
}

static const struct store_ops *ops_of_rows(const struct store_rows *rows)
{
    assert(rows != NULL);
    return ((const struct store_head *)(const void *)rows)->ops;
}

enum err_code store_open(const struct store_ops *ops, const char *where, enum store_mode mode,
                         struct store **store, struct err *err)
{
    return ops->open(where, mode, store, err);
}

void store_close(struct store *store)
{
    if (store)
        ops_of(store)->close(store);
}

enum err_code store_exec(struct store *store, const char *sql, const struct store_value *params,
                         int param_count, int64_t *changed, struct err *err)
{
    return ops_of(store)->exec(store, sql, params, param_count, changed, err);
}

enum err_code store_script(struct store *store, const char *sql, struct err *err)
{
    return ops_of(store)->script(store, sql, err);
}

enum err_code store_query(struct store *store, const char *sql, const struct store_value *params,
                          int param_count, struct store_rows **rows, struct err *err)
{
    return ops_of(store)->query(store, sql, params, param_count, rows, err);
}

enum err_code store_next(struct store_rows *rows, bool *has_row, struct err *err)
{
    return ops_of_rows(rows)->next(rows, has_row, err);
}

bool store_is_null(struct store_rows *rows, int column)
{
    return ops_of_rows(rows)->is_null(rows, column);
}

int64_t store_i64(struct store_rows *rows, int column)
{
    return ops_of_rows(rows)->i64(rows, column);
}

double store_f64(struct store_rows *rows, int column)
{
    return ops_of_rows(rows)->f64(rows, column);
}

struct str store_text(struct store_rows *rows, int column)
{
    return ops_of_rows(rows)->text(rows, column);
}

const char *store_text_copy(struct store_rows *rows, int column, struct arena *arena, bool *is_full)
{
    if (store_is_null(rows, column))
        return NULL;
    struct str text = store_text(rows, column);
    const char *copy = arena_copy(arena, text.ptr, text.len);
    if (copy)
        return copy;
    *is_full = true;
    return "";
}

enum { LIST_FIRST_ITEMS = 8 };

void *store_list_grow(struct arena *arena, void *items, int count, size_t item_bytes)
{
    bool is_power_of_two = (count & (count - 1)) == 0;
    if (count != 0 && (count < LIST_FIRST_ITEMS || !is_power_of_two))
        return items;
    size_t room = count ? 2 * (size_t)count : LIST_FIRST_ITEMS;
    void *grown = arena_calloc(arena, room, item_bytes);
    if (grown && count)
        memcpy(grown, items, (size_t)count * item_bytes);
    return grown;
}

void store_rows_done(struct store_rows *rows)
{
    if (rows)
        ops_of_rows(rows)->done(rows);
}

enum err_code store_begin(struct store *store, struct err *err)
{
    return ops_of(store)->begin(store, err);
}

enum err_code store_commit(struct store *store, struct err *err)
{
    return ops_of(store)->commit(store, err);
}

void store_rollback(struct store *store)
{
    ops_of(store)->rollback(store);
}

enum err_code store_savepoint(struct store *store, struct err *err)
{
    return ops_of(store)->savepoint(store, err);
}

enum err_code store_release(struct store *store, struct err *err)
{
    return ops_of(store)->release(store, err);
}

void store_undo(struct store *store)
{
    ops_of(store)->undo(store);
}

enum err_code store_backup(struct store *store, const char *path, struct err *err)
{
    return ops_of(store)->backup(store, path, err);
}

enum err_code store_verify(struct store *store, struct err *err)
{
    return ops_of(store)->verify(store, err);
}
