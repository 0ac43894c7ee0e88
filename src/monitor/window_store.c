/* window_store.c - summaries and states to JSON and back, and the two tables they are kept in. */
#include "monitor/window_store.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "monitor/judgement_json.h"

enum { ARENA_BYTES_MAX = 64 * 1024 * 1024 };

/* ---- writing ---- */

static void write_worst(struct json_writer *w, const struct window_summary *s,
                        const struct baseline *baseline)
{
    json_key(w, "worst");
    json_begin_array(w);
    for (int i = 0; i < s->worst_count; i++) {
        const struct window_column *c = &s->worst[i];
        json_begin_object(w);
        json_key(w, "feature");
        json_put_text(w, baseline->columns[c->column].name);
        json_key(w, "verdict");
        json_put_text(w, monitor_verdict_name(c->verdict));
        json_key(w, "rule");
        json_put_text(w, judge_rule_name(c->rule));
        json_put_measure(w, "psi_nats", c->psi_nats);
        json_put_measure(w, "missing_ratio", c->missing_share);
        json_end_object(w);
    }
    json_end_array(w);
}

static void write_traffic(struct json_writer *w, const struct window_traffic *t)
{
    json_key(w, "traffic");
    json_begin_object(w);
    json_member_u64(w, "requests", t->requests);
    json_member_u64(w, "rejected", t->rejected);
    json_member_u64(w, "failed", t->failed);
    json_member_u64(w, "suspect_rows", t->suspect_rows);
    json_member_u64(w, "violations", t->violations);
    json_put_measure(w, "latency_p50_us", t->latency_p50_us);
    json_put_measure(w, "latency_p99_us", t->latency_p99_us);
    json_end_object(w);
}

void window_summary_write(struct json_writer *w, const struct window_summary *s,
                          const struct baseline *baseline)
{
    json_begin_object(w);
    json_key(w, "from");
    json_put_time(w, s->from_us);
    json_key(w, "to");
    json_put_time(w, s->to_us);
    json_key(w, "from_us");
    json_put_i64(w, s->from_us);
    json_key(w, "to_us");
    json_put_i64(w, s->to_us);
    json_key(w, "rows");
    json_put_i64(w, s->rows);
    json_key(w, "verdict");
    json_put_text(w, monitor_verdict_name(s->verdict));
    json_key(w, "upstream");
    json_put_bool(w, s->is_upstream);
    json_key(w, "warn_features");
    json_put_i64(w, s->warn_count);
    json_key(w, "alert_features");
    json_put_i64(w, s->alert_count);
    write_worst(w, s, baseline);
    write_traffic(w, &s->traffic);
    json_end_object(w);
}

static void write_columns(struct json_writer *w, const struct window *window)
{
    json_key(w, "columns");
    json_begin_object(w);
    for (int i = 0; i < window->baseline->column_count; i++) {
        const struct e_detector *d = &window->detectors[i];
        if (d->log_cusum == 0 && !window->since_us[i])
            continue;
        json_key(w, window->baseline->columns[i].name);
        json_begin_object(w);
        json_key(w, "log_cusum");
        json_put_f64(w, d->log_cusum);
        json_key(w, "windows");
        json_put_i64(w, d->windows);
        json_key(w, "since_us");
        json_put_i64(w, window->since_us[i]);
        json_end_object(w);
    }
    json_end_object(w);
}

static const struct baseline_column *answer_of(const struct baseline *baseline)
{
    return &baseline->columns[baseline->column_count - 1];
}

void window_state_write(struct json_writer *w, const struct window *window)
{
    const struct baseline_column *answer = answer_of(window->baseline);
    json_begin_object(w);
    write_columns(w, window);
    if (answer->is_learnt && answer->rows > 0) {
        json_key(w, "answer");
        json_begin_object(w);
        json_key(w, "missing");
        json_put_f64(w, answer->missing);
        json_key(w, "counts");
        json_begin_array(w);
        for (int i = 0; i < answer->bin_count; i++)
            json_put_f64(w, answer->counts[i]);
        json_end_array(w);
        json_end_object(w);
    }
    json_end_object(w);
}

/* ---- reading ---- */

static int column_named(const struct baseline *baseline, struct str name)
{
    for (int i = 0; i < baseline->column_count; i++)
        if (str_equal_c(name, baseline->columns[i].name))
            return i;
    return -1;
}

static enum monitor_verdict read_verdict(yyjson_val *object)
{
    yyjson_val *verdict = yyjson_obj_get(object, "verdict");
    for (int i = MONITOR_WAIT; i < MONITOR_VERDICTS; i++)
        if (yyjson_equals_str(verdict, monitor_verdict_name((enum monitor_verdict)i)))
            return (enum monitor_verdict)i;
    return MONITOR_WAIT;
}

static enum judge_rule read_rule(yyjson_val *object)
{
    yyjson_val *rule = yyjson_obj_get(object, "rule");
    for (int i = JUDGE_NONE; i <= JUDGE_LONG_RUN; i++)
        if (yyjson_equals_str(rule, judge_rule_name((enum judge_rule)i)))
            return (enum judge_rule)i;
    return JUDGE_NONE;
}

static double read_number(yyjson_val *object, const char *key)
{
    yyjson_val *value = yyjson_obj_get(object, key);
    return yyjson_is_num(value) ? yyjson_get_num(value) : NAN;
}

static int64_t read_i64(yyjson_val *object, const char *key)
{
    return yyjson_get_sint(yyjson_obj_get(object, key));
}

static void read_worst(yyjson_val *list, const struct baseline *baseline, struct window_summary *s)
{
    size_t i, count;
    yyjson_val *item;
    yyjson_arr_foreach(list, i, count, item)
    {
        int column = column_named(baseline, json_str(yyjson_obj_get(item, "feature")));
        if (column < 0 || s->worst_count == WINDOW_WORST_KEPT)
            continue;
        s->worst[s->worst_count++] = (struct window_column){
            .column = column,
            .verdict = read_verdict(item),
            .rule = read_rule(item),
            .psi_nats = read_number(item, "psi_nats"),
            .missing_share = read_number(item, "missing_ratio"),
        };
    }
}

static struct window_summary read_summary(yyjson_val *root, const struct baseline *baseline)
{
    yyjson_val *traffic = yyjson_obj_get(root, "traffic");
    struct window_summary s = {
        .from_us = read_i64(root, "from_us"),
        .to_us = read_i64(root, "to_us"),
        .rows = read_i64(root, "rows"),
        .verdict = read_verdict(root),
        .is_upstream = yyjson_get_bool(yyjson_obj_get(root, "upstream")),
        .warn_count = (int)read_i64(root, "warn_features"),
        .alert_count = (int)read_i64(root, "alert_features"),
        .traffic = {.requests = (uint64_t)read_i64(traffic, "requests"),
                    .rejected = (uint64_t)read_i64(traffic, "rejected"),
                    .failed = (uint64_t)read_i64(traffic, "failed"),
                    .suspect_rows = (uint64_t)read_i64(traffic, "suspect_rows"),
                    .violations = (uint64_t)read_i64(traffic, "violations"),
                    .latency_p50_us = read_number(traffic, "latency_p50_us"),
                    .latency_p99_us = read_number(traffic, "latency_p99_us")},
    };
    read_worst(yyjson_obj_get(root, "worst"), baseline, &s);
    return s;
}

static void read_columns(yyjson_val *columns, struct window *window)
{
    size_t i, count;
    yyjson_val *key, *item;
    yyjson_obj_foreach(columns, i, count, key, item)
    {
        int column = column_named(window->baseline, json_str(key));
        if (column < 0)
            continue;
        window->detectors[column].log_cusum = read_number(item, "log_cusum");
        window->detectors[column].windows = read_i64(item, "windows");
        window->since_us[column] = read_i64(item, "since_us");
    }
}

static void read_answer(yyjson_val *answer, struct baseline *baseline)
{
    struct baseline_column *c = &baseline->columns[baseline->column_count - 1];
    yyjson_val *counts = yyjson_obj_get(answer, "counts"), *item;
    size_t i, count;
    if (!c->is_learnt || c->rows > 0 || yyjson_arr_size(counts) != (size_t)c->bin_count)
        return;
    double rows = c->missing = read_number(answer, "missing");
    yyjson_arr_foreach(counts, i, count, item) rows += c->counts[i] = yyjson_get_num(item);
    c->rows = rows;
}

/* ---- the store ---- */

static const char *const SQL_SAVE =
    "INSERT INTO monitor_windows (model, version, arm, from_us, summary) "
    "VALUES (?1, ?2, ?3, ?4, ?5) "
    "ON CONFLICT (model, version, arm, from_us) DO UPDATE SET summary = excluded.summary";
static const char *const SQL_SAVE_STATE =
    "INSERT INTO monitor_states (model, version, arm, at_us, state) VALUES (?1, ?2, ?3, ?4, ?5) "
    "ON CONFLICT (model, version, arm) DO UPDATE SET at_us = excluded.at_us, "
    "state = excluded.state";
static const char *const SQL_TRIM =
    "DELETE FROM monitor_windows WHERE model = ?1 AND version = ?2 AND arm = ?3 AND from_us <= "
    "(SELECT from_us FROM monitor_windows WHERE model = ?1 AND version = ?2 AND arm = ?3 "
    "ORDER BY from_us DESC LIMIT 1 OFFSET ?4)";

enum err_code window_save(struct store *store, const struct window_key *key, int64_t from_us,
                          struct str summary, struct str state, struct err *err)
{
    const struct store_value model = STORE_CSTR(key->model), version = STORE_INT(key->version);
    const struct store_value arm = STORE_CSTR(arm_name(key->arm)), at = STORE_INT(from_us);
    const struct store_value row[] = {model, version, arm, at, STORE_STR(summary)};
    const struct store_value kept[] = {model, version, arm, at, STORE_STR(state)};
    const struct store_value trim[] = {model, version, arm, STORE_INT(WINDOWS_KEPT)};
    enum err_code rc = store_exec(store, SQL_SAVE, row, ARRAY_LEN(row), NULL, err);
    if (!rc)
        rc = store_exec(store, SQL_SAVE_STATE, kept, ARRAY_LEN(kept), NULL, err);
    if (!rc)
        rc = store_exec(store, SQL_TRIM, trim, ARRAY_LEN(trim), NULL, err);
    return rc;
}

/* Each row's first column through fn, as JSON. */
struct json_rows {
    void (*fn)(struct json_rows *rows, yyjson_val *root);
    struct window *window;
    struct baseline *baseline;
};

static enum err_code each_json(struct store *store, const char *sql,
                               const struct store_value *params, int count,
                               struct json_rows *target, struct err *err)
{
    struct store_rows *rows = NULL;
    struct arena *arena = arena_new(ARENA_BYTES_MAX);
    bool has_row = false;
    enum err_code rc = store_query(store, sql, params, count, &rows, err);
    while (!rc && !(rc = store_next(rows, &has_row, err)) && has_row) {
        yyjson_val *root;
        arena_reset(arena);
        rc = json_read(store_text(rows, 0), arena, &root, err);
        if (!rc)
            target->fn(target, root);
    }
    store_rows_done(rows);
    arena_free(arena);
    return rc;
}

static void take_summary(struct json_rows *rows, yyjson_val *root)
{
    struct window_summary summary = read_summary(root, rows->baseline);
    window_restore(rows->window, &summary);
}

static void take_state(struct json_rows *rows, yyjson_val *root)
{
    read_columns(yyjson_obj_get(root, "columns"), rows->window);
    read_answer(yyjson_obj_get(root, "answer"), rows->baseline);
}

enum err_code window_load(struct store *store, const struct window_key *key, struct window *window,
                          struct baseline *baseline, struct err *err)
{
    const struct store_value params[] = {STORE_CSTR(key->model), STORE_INT(key->version),
                                         STORE_CSTR(arm_name(key->arm))};
    struct json_rows target = {take_summary, window, baseline};
    enum err_code rc = each_json(store,
                                 "SELECT summary FROM monitor_windows WHERE model = ?1 AND "
                                 "version = ?2 AND arm = ?3 ORDER BY from_us",
                                 params, ARRAY_LEN(params), &target, err);
    target.fn = take_state;
    if (!rc)
        rc = each_json(store,
                       "SELECT state FROM monitor_states WHERE model = ?1 AND version = ?2 AND "
                       "arm = ?3",
                       params, ARRAY_LEN(params), &target, err);
    return rc;
}

enum err_code window_arms(struct store *store, const char *model, int64_t version, bool *has,
                          struct err *err)
{
    const struct store_value params[] = {STORE_CSTR(model), STORE_INT(version)};
    struct store_rows *rows = NULL;
    bool has_row = false;
    memset(has, 0, ARM_COUNT * sizeof(*has));
    enum err_code rc =
        store_query(store, "SELECT arm FROM monitor_states WHERE model = ?1 AND version = ?2",
                    params, ARRAY_LEN(params), &rows, err);
    while (!rc && !(rc = store_next(rows, &has_row, err)) && has_row)
        for (int arm = 0; arm < ARM_COUNT; arm++)
            has[arm] |= str_equal_c(store_text(rows, 0), arm_name((enum arm)arm));
    store_rows_done(rows);
    return rc;
}

enum err_code window_list_write(struct store *store, const char *model, int64_t version, int limit,
                                struct json_writer *w, struct err *err)
{
    const struct store_value params[] = {STORE_CSTR(model), STORE_INT(version), STORE_INT(limit)};
    struct store_rows *rows = NULL;
    bool has_row = false;
    enum err_code rc = store_query(store,
                                   "SELECT version, arm, summary FROM monitor_windows WHERE "
                                   "model = ?1 AND (?2 = 0 OR version = ?2) "
                                   "ORDER BY from_us DESC LIMIT ?3",
                                   params, ARRAY_LEN(params), &rows, err);
    json_begin_array(w);
    while (!rc && !(rc = store_next(rows, &has_row, err)) && has_row) {
        json_begin_object(w);
        json_key(w, "version");
        json_put_i64(w, store_i64(rows, 0));
        json_key(w, "arm");
        json_put_str(w, store_text(rows, 1));
        json_key(w, "window");
        json_put_raw(w, store_text(rows, 2));
        json_end_object(w);
    }
    json_end_array(w);
    store_rows_done(rows);
    return rc;
}
