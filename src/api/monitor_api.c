/* monitor_api.c - what the monitors of a model know: GET /api/models/{model}/monitor. */
#include "api/handlers.h"
#include "monitor/cause.h"
#include "monitor/judgement_json.h"
#include "monitor/window_store.h"

enum { HISTORY_SHOWN = 12 };

/* ---- one column ---- */

/* The long run: where the detector stands, or why there is none. */
static void put_long_run(struct json_writer *w, const struct window *window, int i)
{
    const char *refusal = judge_long_run_refusal(&window->baseline->columns[i]);
    json_key(w, "long_run");
    json_begin_object(w);
    if (refusal)
        json_member_text(w, "refused", refusal);
    else {
        json_put_measure(w, "log_e_cusum", window->detectors[i].log_cusum);
        json_put_measure(w, "alarm", judge_long_run_alarm(window->baseline));
    }
    json_end_object(w);
}

static const char *cause_at(const char *causes, int i)
{
    return causes ? causes + (size_t)i * CAUSE_BYTES : NULL;
}

static void put_column(struct json_writer *w, const struct window *window, int i)
{
    const struct baseline_column *c = &window->baseline->columns[i];
    json_begin_object(w);
    json_member_text(w, "feature", c->name);
    json_key(w, "is_answer");
    json_put_bool(w, c->is_answer);
    if (c->unit[0])
        json_member_text(w, "unit", c->unit);
    json_member_i64(w, "baseline_rows", (int64_t)c->rows);
    if (baseline_note(c)[0])
        json_member_text(w, "baseline_note", baseline_note(c));
    judgement_write(w, &window->judgements[i], cause_at(window->causes, i));
    if (window->since_us[i]) {
        json_key(w, "since");
        json_put_time(w, window->since_us[i]);
    }
    put_long_run(w, window, i);
    json_end_object(w);
}

/* ---- one arm ---- */

static void put_columns(struct json_writer *w, const struct window *window)
{
    json_key(w, "features");
    json_begin_array(w);
    for (int i = 0; window->is_judged && i < window->baseline->column_count; i++)
        put_column(w, window, i);
    json_end_array(w);
}

static void put_open(struct json_writer *w, const struct window *window,
                     const struct window_config *config)
{
    json_key(w, "open");
    json_begin_object(w);
    json_member_i64(w, "rows", (int64_t)window->open_rows);
    json_member_i64(w, "rows_needed", config->rows_min);
    json_member_i64(w, "milliseconds_needed", config->span_us / 1000);
    if (window->has_begun) {
        json_key(w, "from");
        json_put_time(w, window->from_us);
    }
    json_end_object(w);
}

static void put_skew(struct json_writer *w, const struct window *window)
{
    json_key(w, "skew");
    json_begin_object(w);
    if (!window->is_skew_judged) {
        json_member_text(w, "verdict", "wait");
        json_member_text(w, "reason",
                         window->closed_count ? "it was judged before this start"
                                              : "fewer than 500 rows so far");
        json_end_object(w);
        return;
    }
    int count = window->baseline->column_count;
    json_member_text(w, "verdict", monitor_verdict_name(judge_worst(window->skew, count)));
    json_member_i64(w, "rows", (int64_t)window->skew_rows);
    json_key(w, "features");
    json_begin_array(w);
    for (int i = 0; i < count; i++) {
        if (window->skew[i].verdict < MONITOR_WARN)
            continue;
        json_begin_object(w);
        json_member_text(w, "feature", window->baseline->columns[i].name);
        judgement_write(w, &window->skew[i], cause_at(window->skew_causes, i));
        json_end_object(w);
    }
    json_end_array(w);
    json_end_object(w);
}

static void put_history(struct json_writer *w, const struct window *window, int limit)
{
    json_key(w, "windows");
    json_begin_array(w);
    for (int i = 0; i < window->history_count && i < limit; i++)
        window_summary_write(w, window_past(window, i), window->baseline);
    json_end_array(w);
}

/* Words for why there is no verdict yet. */
static const char *waiting_for(const struct window *window, const struct window_config *config)
{
    if ((int64_t)window->open_rows < config->rows_min)
        return "too few rows so far";
    return "the window's time is not over";
}

static void put_verdict(struct json_writer *w, const struct window *window,
                        const struct window_config *config)
{
    enum monitor_verdict verdict =
        window->history_count ? window_past(window, 0)->verdict : MONITOR_WAIT;
    json_member_text(w, "verdict", monitor_verdict_name(verdict));
    if (verdict != MONITOR_WAIT)
        return;
    const char *why = window->history_count ? window->judgements[0].wait : NULL;
    json_member_text(w, "reason", why ? why : waiting_for(window, config));
}

static void put_arm(struct json_writer *w, const struct monitor *monitor,
                    const struct window *window, const struct window_config *config, int limit)
{
    json_begin_object(w);
    json_member_i64(w, "version", monitor->version);
    json_member_text(w, "arm", arm_name(window->arm));
    put_verdict(w, window, config);
    json_member_i64(w, "rows_total", (int64_t)window->total_rows);
    json_member_i64(w, "windows_total", window->closed_count);
    json_key(w, "upstream");
    json_put_bool(w, window->is_judged && window->is_upstream);
    put_open(w, window, config);
    put_skew(w, window);
    put_columns(w, window);
    put_history(w, window, limit);
    json_end_object(w);
}

/* ---- the reply ---- */

struct ask {
    const char *model;
    int64_t version; /* 0: all */
    int limit;
};

static void put_live(struct json_writer *w, struct monitors *monitors, const struct ask *ask)
{
    const struct monitor *monitor = NULL;
    monitors_lock(monitors);
    while ((monitor = monitor_next(monitors, monitor))) {
        bool is_asked = strcmp(monitor->model, ask->model) == 0 &&
                        (ask->version == 0 || ask->version == monitor->version);
        for (int arm = 0; is_asked && arm < ARM_COUNT; arm++)
            if (monitor->windows[arm])
                put_arm(w, monitor, monitor->windows[arm], monitors_config(monitors), ask->limit);
    }
    monitors_unlock(monitors);
}

static enum err_code write_reply(struct call *call, const struct ask *ask, struct err *err)
{
    struct monitors *monitors = call->node->monitors;
    enum err_code rc = ERR_OK;
    if (monitors)
        monitor_task_restore(&call->node->monitor_task);
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_member_text(&w, "model", ask->model);
    json_key(&w, "is_watched");
    json_put_bool(&w, monitors != NULL);
    json_key(&w, "monitors");
    json_begin_array(&w);
    if (monitors)
        put_live(&w, monitors, ask);
    json_end_array(&w);
    if (!monitors) {
        struct store *store = control_read_begin(call->node->control);
        json_key(&w, "saved");
        rc = window_list_write(store, ask->model, ask->version, ask->limit, &w, err);
        control_read_end(call->node->control);
    }
    json_end_object(&w);
    return rc;
}

static enum err_code read_ask(struct call *call, struct ask *ask, struct err *err)
{
    struct model model;
    int64_t limit = HISTORY_SHOWN;
    struct str version = {0};
    enum err_code rc = call_name(call, 0, "a model", &ask->model, err);
    if (!rc)
        rc = call_query_i64(call, "limit", 0, WINDOWS_KEPT, &limit, err);
    if (rc)
        return rc;
    ask->limit = (int)limit;
    struct store *store = control_read_begin(call->node->control);
    rc = model_get(store, ask->model, call->arena, &model, err);
    http_query_find(call->x->request.query, "version", call->arena, &version);
    if (!rc && version.len)
        rc = version_resolve(store, ask->model, version, &ask->version, err);
    control_read_end(call->node->control);
    return rc;
}

enum err_code monitor_get(struct call *call, struct err *err)
{
    struct ask ask = {0};
    enum err_code rc = read_ask(call, &ask, err);
    return rc ? rc : write_reply(call, &ask, err);
}
