/* outcome_read.c - the history of a prediction's outcomes. */
#include "monitor/outcome_store.h"

#include "registry/registry_check.h"

#define SQL_HISTORY                                                                                \
    "SELECT seq, name, kind, state, label, source, actor, feedback_id, value, version, at_us, "    \
    "received_us, model FROM outcomes WHERE prediction_id = ?1 AND (?2 = '' OR model = ?2) "       \
    "ORDER BY seq"

struct row_list {
    struct arena *arena;
    struct outcome_row *rows;
    int count;
};

static enum err_code read_row(struct store_rows *rows, void *arg, struct err *err)
{
    struct row_list *c = arg;
    bool is_full = false;
    c->rows = store_list_grow(c->arena, c->rows, c->count, sizeof(*c->rows));
    if (!c->rows)
        return err_set(err, ERR_LIMIT, "no room to read outcomes");
    c->rows[c->count++] = (struct outcome_row){
        .seq = store_i64(rows, 0),
        .name = store_text_copy(rows, 1, c->arena, &is_full),
        .kind = store_text_copy(rows, 2, c->arena, &is_full),
        .state = store_text_copy(rows, 3, c->arena, &is_full),
        .label = store_text_copy(rows, 4, c->arena, &is_full),
        .source = store_text_copy(rows, 5, c->arena, &is_full),
        .actor = store_text_copy(rows, 6, c->arena, &is_full),
        .feedback_id = store_text_copy(rows, 7, c->arena, &is_full),
        .value = store_f64(rows, 8),
        .version = store_i64(rows, 9),
        .at_us = store_i64(rows, 10),
        .received_us = store_i64(rows, 11),
        .model = store_text_copy(rows, 12, c->arena, &is_full),
    };
    return is_full ? err_set(err, ERR_LIMIT, "no room to read outcomes") : ERR_OK;
}

enum err_code outcome_history(struct store *store, const char *model, struct str prediction_id,
                              struct arena *arena, struct outcome_row **rows, int *count,
                              struct err *err)
{
    struct row_list list = {.arena = arena};
    const struct store_value params[] = {STORE_STR(prediction_id), STORE_CSTR(model)};
    enum err_code rc = registry_each_row(store, SQL_HISTORY, params, 2, read_row, &list, err);
    *rows = list.rows;
    *count = rc ? 0 : list.count;
    return rc;
}
