/* pipeline.c - the life of one prediction, in order. Read this file first.
 *
 * Who may ask is decided before, on the request's head alone (api/dispatch.c), so that nobody
 * uploads a body for nothing.
 */
#include "serve/pipeline.h"

#include "base/check.h"
#include "base/clock.h"
#include "serve/bulk.h"
#include "serve/hand_over.h"
#include "serve/hold.h"
#include "serve/request_cache.h"
#include "serve/request_record.h"
#include "serve/request_sketch.h"

enum {
    COST_ROWS_MIN = 32, /* of a batch that is always timed */
    STATUS_LEFT = 499,  /* the client had left */
};

typedef enum err_code step_fn(struct request *req, struct err *err);

static enum err_code decode(struct request *req, struct err *err)
{
    return req->dialect->decode(req, err);
}

/* Callers mostly ask for one model again and again: comparing its name is cheaper than hashing. */
static const struct endpoint *find_endpoint(const struct request *req)
{
    struct serve_thread *thread = req->thread;
    if (thread->last_endpoint && thread->last_generation == req->snapshot->generation &&
        str_equal_c(req->model_name, thread->last_endpoint->name))
        return thread->last_endpoint;
    const struct endpoint *endpoint = snapshot_find(req->snapshot, req->model_name);
    if (endpoint) {
        thread->last_endpoint = endpoint;
        thread->last_generation = req->snapshot->generation;
    }
    return endpoint;
}

static struct str routing_key(const struct request *req, const struct endpoint_rollout *rollout)
{
    if (rollout->key_header)
        return http_find_header(&req->exchange->request, rollout->key_header);
    if (req->dialect->find_key)
        return req->dialect->find_key(req, rollout->key_field);
    return (struct str){0};
}

/* The same key goes to the same version; without one each request is drawn by itself. */
static void choose_arm(struct request *req, const struct endpoint_rollout *rollout)
{
    struct str key = routing_key(req, rollout);
    bool is_canary;
    req->rollout = rollout->id;
    req->has_key = key.len > 0;
    if (req->has_key) {
        req->key_hash = choose_hash(&rollout->choose, key);
        is_canary = choose_is_canary(&rollout->choose, req->key_hash);
    } else {
        is_canary = choose_draw(&rollout->choose, &req->thread->rand);
    }
    req->arm = is_canary ? ARM_CANARY : ARM_STABLE;
    req->loaded = is_canary ? rollout->to : rollout->from;
}

static enum err_code choose_version(struct request *req, struct err *err)
{
    req->endpoint = find_endpoint(req);
    if (!req->endpoint) {
        err_set(err, ERR_NOT_FOUND, "Request for unknown model: '%.*s' is not found",
                STR_ARG(req->model_name));
        return err_hint(err, "list models with: slipway model list");
    }
    if (req->endpoint->rollout && req->version_name.len == 0) {
        choose_arm(req, req->endpoint->rollout);
        return ERR_OK;
    }
    enum err_code rc = endpoint_choose(req->endpoint, req->version_name, &req->loaded, err);
    req->is_cold = rc == ERR_UNAVAILABLE && endpoint_is_cold(req->endpoint, req->version_name);
    return rc;
}

static enum err_code explain_violation(const struct request *req, struct err *err)
{
    return err_wrap(err, "model '%s' version %lld", req->loaded->model,
                    (long long)req->loaded->number);
}

/* Checked rows of a contract, or the features that the caller sent, become the model's tensors. */
static enum err_code take_rows(struct request *req, struct err *err)
{
    struct loaded_rows taken = {.count = req->row_count, .features = req->features};
    if (req->has_rows)
        taken = loaded_take(req->loaded, &req->rows);
    if (!taken.features)
        return err_set(err, ERR_LIMIT, "no room for %lld rows", (long long)req->row_count);
    req->in_count = req->loaded->signature->input_count;
    if (!req->loaded->feed) {
        req->features = taken.features;
        req->matrix = loaded_matrix(req->loaded, taken.features, req->row_count);
        req->in = &req->matrix;
        return ERR_OK;
    }
    struct tensor *in = arena_calloc(req->arena, (size_t)req->in_count, sizeof(*in));
    if (!in)
        return err_set(err, ERR_LIMIT, "no room for %d input tensors", req->in_count);
    req->in = in;
    return loaded_tensors(req->loaded, &taken, req->arena, in, err);
}

static enum err_code check_contract(struct request *req, struct err *err)
{
    req->check_ns = clock_monotonic_ns();
    enum err_code rc = req->dialect->fill(req, err);
    if (!rc && req->has_rows)
        rc = rows_check(&req->rows, err);
    if (rc)
        return rc == ERR_VIOLATION ? explain_violation(req, err) : rc;
    if (!req->in)
        rc = take_rows(req, err);
    return rc || !req->endpoint->responses ? rc : request_cache_plan(req, err);
}

/* Here and now. Larger batches are timed, for it to be known when one is too long for here. */
static enum err_code predict_here(struct request *req, struct err *err)
{
    bool is_timed = req->row_count >= COST_ROWS_MIN;
    struct runtime_call call = {.in = req->in,
                                .in_count = req->in_count,
                                .wanted = req->wanted,
                                .arena = req->arena,
                                .out = req->out,
                                .aside = req->aside};
    if (req->loaded->signature->place == RUNTIME_LANE)
        request_tell_runtime(req, &call);
    enum err_code rc = loaded_predict(req->loaded, &call, err);
    req->out_count = call.out_count;
    if (is_timed && !rc)
        cost_add(&req->loaded->cost, req->row_count, clock_monotonic_ns() - req->predict_ns);
    req->reply_parameters = call.reply_parameters;
    req->is_fallback = call.is_fallback;
    return rc;
}

static enum err_code predict(struct request *req, struct err *err)
{
    const struct signature *signature = req->loaded->signature;
    size_t outputs = (size_t)signature->output_count, asides = (size_t)signature->aside_count;
    req->predict_ns = clock_monotonic_ns();
    req->out = arena_alloc(req->arena, (outputs + asides) * sizeof(*req->out));
    if (!req->out)
        return err_set(err, ERR_LIMIT, "no room for %zu output tensors", outputs);
    if (req->cache_plan == CACHE_USE && request_cache_find(req))
        return ERR_OK;
    req->aside = asides && req->thread->records ? req->out + outputs : NULL;
    bool has_thread = req->is_large && req->loaded->signature->place == RUNTIME_INLINE;
    if (!has_thread && request_is_for_lane(req) && request_can_wait(req))
        return request_hand_over(req, err);
    return predict_here(req, err);
}

static void count_violations(struct version_stats *stats, const struct rows *rows)
{
    uint64_t suspects = 0;
    for (int rule = 0; rule < RULE_COUNT; rule++)
        if (rows->violation_count[rule])
            counter_add(&stats->violation_count[rule], (uint64_t)rows->violation_count[rule]);
    for (int64_t row = 0; rows->is_suspect && row < rows->count; row++)
        suspects += rows->is_suspect[row];
    counter_add(&stats->suspect_row_count, suspects);
}

static enum err_code observe(struct request *req, struct err *err)
{
    struct version_stats *stats = &req->loaded->stats[req->thread->index];
    req->answered_ns = clock_monotonic_ns();
    counter_add(&stats->row_count, (uint64_t)req->row_count);
    if (req->cache_plan != CACHE_OFF)
        request_cache_end(req);
    if (req->loaded->sketch)
        request_sketch(req);
    return hold_choose(req, err);
}

static enum err_code encode(struct request *req, struct err *err)
{
    return req->held ? ERR_OK : req->dialect->encode(req, err);
}

static const struct {
    const char *name; /* also the `step` label of slipway_step_seconds */
    step_fn *run;
} steps[STEP_COUNT] = {
    {"decode", decode},                 /* JSON, binary -> named columns, by the dialect       */
    {"choose_version", choose_version}, /* endpoint,key -> version: stable or canary           */
    {"check_contract", check_contract}, /* columns      -> features, or ERR_VIOLATION with why */
    {"predict", predict},               /* features     -> tensors, here or in the lane        */
    {"observe", observe},               /* in, out      -> counters, rows that wait for people */
    {"encode", encode},                 /* tensors      -> reply, by the dialect               */
};
enum { STEP_CHECK = 2, STEP_PREDICT = 3, STEP_ENCODE = 5 };

/* ---- large requests ---- */

static enum err_code check_and_predict(struct request *req, struct err *err)
{
    enum err_code rc = check_contract(req, err);
    return rc ? rc : predict(req, err);
}

static enum err_code encode_and_pack(struct request *req, struct err *err)
{
    enum err_code rc = encode(req, err);
    if (!rc)
        http_pack(req->exchange);
    return rc;
}

/* What of the pipeline runs on a bulk thread at this step, and where to go on; NULL: the step is
 * the data thread's. */
static bulk_steps_fn *bulk_steps(const struct request *req, int step, int *next)
{
    *next = step + 1;
    if (step == 0)
        return decode;
    if (step == STEP_ENCODE)
        return encode_and_pack;
    if (step != STEP_CHECK)
        return NULL;
    if (req->loaded->signature->place == RUNTIME_LANE)
        return check_contract;
    *next = STEP_PREDICT + 1;
    return check_and_predict;
}

static enum err_code run_large(struct request *req, int first, struct err *err)
{
    for (int i = first; i < STEP_COUNT; i = req->next_step) {
        bulk_steps_fn *there = bulk_steps(req, i, &req->next_step);
        if (there && bulk_run(req, there))
            return ERR_OK;
        enum err_code rc = there ? there(req, err) : steps[i].run(req, err);
        if (rc || req->is_waiting)
            return rc;
    }
    return ERR_OK;
}

/* ---- running ---- */

static enum err_code run_steps(struct request *req, int first, struct err *err)
{
    if (req->is_large)
        return run_large(req, first, err);
    for (int i = first; i < STEP_COUNT; i++) {
        enum err_code rc = steps[i].run(req, err);
        if (rc || req->is_waiting) {
            req->next_step = i + 1;
            return rc;
        }
    }
    return ERR_OK;
}

static enum err_code run_steps_timed(struct request *req, struct err *err)
{
    int64_t before = clock_monotonic_ns();
    for (int i = 0; i < STEP_COUNT; i++) {
        enum err_code rc = steps[i].run(req, err);
        if (req->is_waiting) {
            req->next_step = i + 1;
            return rc; /* its lane counts how long */
        }
        int64_t after = clock_monotonic_ns();
        histogram_record(&req->thread->steps[i], after - before);
        if (i == STEP_PREDICT && !rc && !req->is_cached && req->row_count < COST_ROWS_MIN)
            cost_add(&req->loaded->cost, req->row_count, after - before);
        before = after;
        if (rc)
            return rc;
    }
    return ERR_OK;
}

enum err_code pipeline_run(struct request *req, struct err *err)
{
    req->is_large = request_is_bulk(req);
    bool is_timed = !req->is_large && req->thread->request_count++ % STEP_SAMPLE_EVERY == 0;
    return is_timed ? run_steps_timed(req, err) : run_steps(req, 0, err);
}

enum err_code pipeline_resume(struct request *req, enum err_code rc, struct err *err)
{
    assert(!req->is_waiting);
    return rc ? rc : run_steps(req, req->next_step, err);
}

const char *pipeline_step_name(int step)
{
    assert(step >= 0 && step < STEP_COUNT);
    return steps[step].name;
}

static void count_times(const struct request *req, struct version_stats *stats, int64_t now_ns)
{
    bool has_waited = req->hand_over != NULL;
    if (req->is_cached)
        return; /* the response cache counts it */
    int64_t infer_ns = has_waited ? req->infer_ns : req->answered_ns - req->predict_ns;
    struct stage_times *times =
        has_waited ? &stats->waited : &stats->sizes[loaded_size(req->row_count)];
    counter_add(&times->count, 1);
    counter_add(&times->input_ns, (uint64_t)(req->predict_ns - req->check_ns));
    counter_add(&times->infer_ns, (uint64_t)infer_ns);
    counter_add(&times->output_ns, (uint64_t)(now_ns - req->answered_ns));
    if (has_waited)
        counter_add(&stats->queue_ns, (uint64_t)req->waited_ns);
}

void pipeline_count(const struct request *req, int status)
{
    if (!req->loaded)
        return;
    int64_t now_ns = clock_monotonic_ns();
    struct version_stats *stats = &req->loaded->stats[req->thread->index];
    if (req->has_rows && req->rows.has_violation)
        count_violations(stats, &req->rows);
    counter_add(&stats->request_count[loaded_status_slot(status)], 1);
    histogram_record(&stats->latency, now_ns - req->exchange->start_ns);
    if (status < 300 && req->answered_ns)
        count_times(req, stats, now_ns);
    else
        counter_add(status == STATUS_LEFT ? &stats->left_ns : &stats->failed_ns,
                    (uint64_t)(now_ns - req->exchange->start_ns));
    atomic_store_explicit(&stats->used_ns, now_ns, memory_order_relaxed);
    if (req->thread->records && req->loaded->record_schema)
        request_record(req, status, now_ns);
}
