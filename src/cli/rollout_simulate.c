/* rollout_simulate.c - a rollout file against exported predictions, on this machine alone. */
#include "rollout/simulate.h"

#include "base/clock.h"
#include "base/file.h"
#include "cli/handlers.h"
#include "cli/table.h"

enum { LINE_BYTES_MAX = 4 * 1024 * 1024, SEED = 1 };

struct log_file {
    struct buf bytes;
    struct str rest;
    struct arena *arena; /* of one line */
    int64_t line, requests, first_us, last_us;
};

/* ---- one line ---- */

static struct str key_of(const struct rollout_spec *spec, yyjson_val *root, struct arena *arena)
{
    yyjson_val *value = yyjson_obj_get(yyjson_obj_get(root, "inputs"), spec->key_field);
    struct buf text;
    if (!spec->key_field) /* headers are in no log: each request is its own unit */
        return json_str(yyjson_obj_get(root, "request_id"));
    if (yyjson_is_str(value))
        return json_str(value);
    if (!value || yyjson_is_null(value))
        return (struct str){0};
    buf_init(&text, LINE_BYTES_MAX);
    json_write(&text, value);
    const char *copy = arena_copy(arena, text.data, text.len);
    struct str key = {copy, copy ? text.len : 0};
    buf_done(&text);
    return key;
}

static bool is_invalid(yyjson_val *root)
{
    yyjson_val *quality = yyjson_obj_get(root, "quality");
    yyjson_val *value = yyjson_obj_get(yyjson_obj_get(root, "prediction"), "value");
    return (yyjson_is_str(quality) && str_equal_c(json_str(quality), "suspect")) ||
           yyjson_is_null(value); /* a number that was none */
}

static enum err_code refuse_line(const struct log_file *log, struct err *err)
{
    err_set(err, ERR_INVALID, "line %lld is no exported prediction", (long long)log->line);
    return err_hint(err, "make the file with: slipway prediction export MODEL --out log.jsonl");
}

/* *is_request false: a further row of a request, or another model's. */
static enum err_code read_line(struct log_file *log, const struct rollout_spec *spec,
                               struct str line, struct simulated_request *request, bool *is_request,
                               struct err *err)
{
    yyjson_val *root;
    arena_reset(log->arena);
    if (json_read(line, log->arena, &root, err))
        return err_wrap(err, "line %lld", (long long)log->line);
    yyjson_val *at = yyjson_obj_get(root, "at"), *status = yyjson_obj_get(root, "status");
    yyjson_val *model = yyjson_obj_get(root, "model");
    if (!yyjson_is_str(at) || !clock_parse(json_str(at), &request->at_us) || !yyjson_is_int(status))
        return refuse_line(log, err);
    *is_request = yyjson_get_sint(yyjson_obj_get(root, "row")) == 0 &&
                  (!model || str_equal_c(json_str(model), spec->model));
    request->status = yyjson_get_int(status);
    request->latency_us = yyjson_get_sint(yyjson_obj_get(root, "latency_us"));
    request->is_invalid = is_invalid(root);
    request->key = key_of(spec, root, log->arena);
    return ERR_OK;
}

/* Lines of neighbours may be out of order by milliseconds; a clock that went back stands still. */
static void take_time(struct log_file *log, struct simulated_request *request)
{
    if (log->requests == 0)
        log->first_us = log->last_us = request->at_us;
    if (request->at_us < log->last_us)
        request->at_us = log->last_us;
    log->last_us = request->at_us;
    log->requests++;
}

static enum err_code run(struct log_file *log, struct simulation *simulation, struct err *err)
{
    struct str line;
    bool goes_on = true;
    while (goes_on && str_split(&log->rest, '\n', &line)) {
        struct simulated_request request = {0};
        bool is_request = false;
        log->line++;
        if (str_trim(line).len == 0)
            continue;
        enum err_code rc = read_line(log, simulation->spec, line, &request, &is_request, err);
        if (rc)
            return rc;
        if (!is_request)
            continue;
        take_time(log, &request);
        goes_on = simulation_add(simulation, &request);
    }
    if (log->requests > 0)
        return ERR_OK;
    return err_set(err, ERR_INVALID, "the log has no requests of model '%s'",
                   simulation->spec->model);
}

/* ---- the result ---- */

static const char *after(struct cli *cli, int64_t us)
{
    char text[TERMINAL_SIZE_BYTES];
    terminal_duration(us / CLOCK_SECOND_US, text);
    return arena_copy(cli->arena, text, strlen(text));
}

static void print_transitions(struct cli *cli, const struct log_file *log,
                              const struct simulation *s, struct buf *out)
{
    struct table *table = table_new(cli->arena, "AFTER>|DECISION|STATE|STEP>|CANARY>|WHY");
    for (int i = 0; i < s->transition_count; i++) {
        const struct simulated_transition *t = &s->transitions[i];
        const char *why = arena_copy(cli->arena, t->decision.reason, strlen(t->decision.reason));
        table_add(table, TINT_NONE, after(cli, t->at_us - log->first_us),
                  rollout_action_name(t->decision.action), rollout_state_name(t->state),
                  arena_printf(cli->arena, "%d", t->step + 1),
                  arena_printf(cli->arena, "%.4g %%", (double)t->weight_ppm / 1e4), why);
    }
    table_write(table, cli->terminal.has_out_color, out);
}

static int64_t logged_events(const struct simulation *s)
{
    int64_t sum = 0;
    for (int i = 0; i < s->spec->check_count; i++)
        sum += s->logged[i];
    return sum;
}

/* N times nothing is nothing: the run says how long, and nothing about what would be noticed. */
static void print_no_events(const struct simulation *s, struct buf *out)
{
    buf_lit(out, "\nthe log has no event of any guard");
    if (s->worse > 1)
        buf_printf(out, ", so %gx as many are none", s->worse);
    buf_lit(out, ": take a longer log (slipway prediction export --from 30d), or\nask for a plan, "
                 "which assumes a rate of events: slipway rollout plan\n");
}

static void print_result(struct cli *cli, const struct log_file *log, const struct simulation *s)
{
    struct buf out;
    buf_init(&out, CLI_MEMORY_BYTES_MAX);
    buf_printf(&out, "%lld requests over %s; ", (long long)log->requests,
               after(cli, log->last_us - log->first_us));
    if (s->worse > 1)
        buf_printf(&out, "a version %gx worse:\n\n", s->worse);
    else
        buf_lit(&out, "a version as good as the one that answered:\n\n");
    print_transitions(cli, log, s, &out);
    buf_printf(&out,
               "\nat the end of the log: %s, step %d of %d; canary requests %lld, keys %lld\n",
               rollout_state_name(s->rollout.state), s->rollout.step + 1, s->spec->step_count,
               (long long)s->exposure.requests[SIDE_CANARY],
               (long long)key_sketch_count(&s->exposure.keys[SIDE_CANARY]));
    if (logged_events(s) == 0)
        print_no_events(s, &out);
    cli_print(&out);
    buf_done(&out);
}

static void print_json(const struct log_file *log, const struct simulation *s)
{
    struct buf out;
    struct json_writer w = {.out = &out};
    buf_init(&out, CLI_MEMORY_BYTES_MAX);
    json_begin_object(&w);
    json_key(&w, "requests");
    json_put_i64(&w, log->requests);
    json_key(&w, "logged_events");
    json_put_i64(&w, logged_events(s));
    json_key(&w, "transitions");
    json_begin_array(&w);
    for (int i = 0; i < s->transition_count; i++) {
        const struct simulated_transition *t = &s->transitions[i];
        json_begin_object(&w);
        json_key(&w, "at");
        json_put_time(&w, t->at_us);
        json_key(&w, "action");
        json_put_text(&w, rollout_action_name(t->decision.action));
        json_key(&w, "state");
        json_put_text(&w, rollout_state_name(t->state));
        json_key(&w, "reason");
        json_put_text(&w, t->decision.reason);
        json_end_object(&w);
    }
    json_end_array(&w);
    json_key(&w, "evidence");
    rollout_view_write(&s->view, &w);
    json_end_object(&w);
    buf_char(&out, '\n');
    cli_print(&out);
    buf_done(&out);
}

/* ---- the command ---- */

static enum err_code read_spec(struct cli *cli, struct rollout_spec **spec, double *worse,
                               struct err *err)
{
    struct buf file;
    const char *text = cli_flag(cli, "worse");
    *worse = 1;
    if (text && (!str_to_f64(str_of(text), worse) || !(*worse >= 1 && *worse <= 1e6)))
        return cli_usage(cli, err, "--worse takes a number of at least 1");
    enum err_code rc = file_read(cli_arg(cli, 0), ROLLOUT_FILE_BYTES_MAX, &file, err);
    if (!rc)
        rc = rollout_file_parse(buf_view(&file), cli->arena, spec, err);
    buf_done(&file);
    return rc ? err_wrap(err, "%s", cli_arg(cli, 0)) : ERR_OK;
}

enum err_code cli_rollout_simulate(struct cli *cli, struct err *err)
{
    struct rollout_spec *spec;
    struct log_file log = {0};
    struct simulation *simulation = arena_alloc(cli->arena, sizeof(*simulation));
    double worse;
    enum err_code rc = read_spec(cli, &spec, &worse, err);
    if (rc || !simulation)
        return rc ? rc : err_set(err, ERR_LIMIT, "no room for a simulation");
    rc = file_read(cli_flag(cli, "log"), CLI_FILE_BYTES_MAX, &log.bytes, err);
    log.rest = log.bytes.len ? buf_view(&log.bytes) : STR_LIT("");
    log.arena = arena_new(2 * (size_t)LINE_BYTES_MAX);
    simulation_begin(simulation, spec, worse, SEED);
    if (!rc)
        rc = run(&log, simulation, err);
    if (!rc && cli->wants_json)
        print_json(&log, simulation);
    else if (!rc)
        print_result(cli, &log, simulation);
    simulation_end(simulation);
    arena_free(log.arena);
    buf_done(&log.bytes);
    return rc ? err_wrap(err, "%s", cli_flag(cli, "log")) : ERR_OK;
}
