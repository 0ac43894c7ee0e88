/* gate_api.c - run a version's gate, show results, say what a model's versions must pass. */
#include "api/handlers.h"
#include "base/check.h"
#include "base/log.h"
#include "rollout/gate.h"
#include "rollout/gate_store.h"

/* ---- results as JSON ---- */

static void put_result(struct json_writer *w, const struct gate_result *result, bool has_report)
{
    json_begin_object(w);
    json_member_i64(w, "id", result->id);
    json_member_text(w, "model", result->model);
    json_member_i64(w, "version", result->version);
    json_member_text(w, "verdict", result->verdict);
    json_member_i64(w, "champion", result->champion);
    json_member_i64(w, "rows", result->row_count);
    json_member_text(w, "file_sha256", result->file_digest);
    json_member_text(w, "data_sha256", result->data_digest);
    json_member_text(w, "actor", result->actor);
    json_key(w, "at");
    json_put_time(w, result->at_us);
    if (has_report) {
        json_key(w, "report");
        json_put_raw(w, str_of(result->report));
    }
    json_end_object(w);
}

/* ---- running ---- */

struct gate_job {
    struct arena *arena; /* of the run */
    struct str file;     /* ptr NULL: not given */
    struct str data;
    const char *target;
    struct model model;
    struct version version, champion; /* champion.number 0: there is none, or it is the version */
    struct gate_input input;
    struct gate_report *report;
    struct gate_result result;
    struct buf text; /* of the report */
    struct buf failed;
};

static const char *copy_text(struct gate_job *job, struct str text)
{
    return text.ptr ? arena_copy(job->arena, text.ptr, text.len) : NULL;
}

static enum err_code read_json(struct call *call, struct gate_job *job, struct err *err)
{
    static const char *const keys[] = {"data", "file", "target", NULL};
    yyjson_val *root;
    struct str target = {0};
    enum err_code rc = json_read_strict(call->x->request.body, job->arena, &root, err);
    if (!rc && !yyjson_is_obj(root))
        rc = err_set(err, ERR_INVALID, "the body must be a JSON object, or CSV rows as text/csv");
    if (!rc)
        rc = json_check_keys(root, "the request", keys, err);
    if (!rc)
        rc = json_get_str(root, "the request", "data", &job->data, err);
    if (!rc)
        rc = json_get_str_opt(root, "the request", "file", &job->file, err);
    if (!rc)
        rc = json_get_str_opt(root, "the request", "target", &target, err);
    job->target = copy_text(job, target);
    return rc;
}

static enum err_code read_job(struct call *call, struct gate_job *job, struct err *err)
{
    struct str type = http_find_header(&call->x->request, "Content-Type"), target;
    if (str_starts_with(type, STR_LIT("application/json")))
        return read_json(call, job, err);
    job->data = call->x->request.body;
    if (http_query_find(call->x->request.query, "target", job->arena, &target))
        job->target = copy_text(job, target);
    if (job->data.len == 0)
        return err_set(err, ERR_INVALID, "the body has no rows");
    return ERR_OK;
}

/* The model, its champion, and the gate it requires when the caller sent none. */
static enum err_code read_state(struct call *call, struct gate_job *job, struct err *err)
{
    struct control *control = call->node->control;
    struct gate_requirement required = {0};
    struct store *store = control_read_begin(control);
    enum err_code rc = model_get(store, job->version.model, call->arena, &job->model, err);
    if (!rc && !job->file.ptr)
        rc = gate_requirement_get(store, job->version.model, call->arena, &required, err);
    if (!rc && job->model.champion && job->model.champion != job->version.number)
        rc = version_get(store, job->version.model, job->model.champion, call->arena,
                         &job->champion, err);
    control_read_end(control);
    if (!rc && !job->file.ptr)
        job->file = required.file ? str_of(required.file) : STR_LIT("");
    return rc;
}

static enum err_code acquire(struct call *call, struct gate_job *job, struct err *err)
{
    struct control *control = call->node->control;
    struct gate_input *input = &job->input;
    enum err_code rc =
        control_acquire(control, job->version.model, job->version.number, &input->candidate, err);
    if (!rc && job->champion.number)
        rc = control_acquire(control, job->version.model, job->champion.number, &input->champion,
                             err);
    return rc;
}

static void count_failed(struct gate_job *job)
{
    for (int i = 0; i < job->report->check_count; i++) {
        const struct gate_check *check = &job->report->checks[i];
        if (check->verdict == GATE_FAIL)
            buf_printf(&job->failed, "%s%s %s", job->failed.len ? ", " : "", check->kind,
                       check->name);
    }
}

static enum err_code take_report(struct gate_job *job, struct err *err)
{
    struct json_writer w = {.out = &job->text};
    gate_report_write(&w, job->report);
    if (job->text.is_full)
        return err_set(err, ERR_LIMIT, "the report is larger than %d bytes: fewer slices",
                       GATE_REPORT_BYTES_MAX);
    count_failed(job);
    job->result = (struct gate_result){
        .model = job->version.model,
        .version = job->version.number,
        .verdict = gate_verdict_name(job->report->verdict),
        .file_digest = job->report->file->digest,
        .data_digest = job->report->data->digest,
        .champion = job->champion.number,
        .row_count = job->report->data->count,
        .report = buf_c(&job->text),
    };
    return ERR_OK;
}

static enum err_code run_gate(struct call *call, struct gate_job *job, struct err *err)
{
    struct blob_store *blobs = control_blobs(call->node->control);
    struct gate_file *file;
    const void *artifact = NULL, *contract = NULL;
    size_t artifact_size = 0, contract_size = 0;
    enum err_code rc = gate_file_parse(job->file, job->arena, &file, err);
    if (!rc)
        rc = blob_get(blobs, &job->version.artifact, &artifact, &artifact_size, err);
    if (!rc && job->version.contract.hex[0])
        rc = blob_get(blobs, &job->version.contract, &contract, &contract_size, err);
    if (!rc) {
        job->input.file = file;
        job->input.data = job->data;
        job->input.target = job->target;
        job->input.model = &job->model;
        job->input.version = &job->version;
        job->input.champion_number = job->model.champion;
        job->input.champion_bytes = job->champion.artifact_bytes;
        job->input.artifact = (struct str){artifact, artifact_size};
        job->input.contract = (struct str){contract, contract_size};
        rc = gate_run(&job->input, job->arena, &job->report, err);
    }
    if (artifact)
        blob_release(blobs, artifact, artifact_size);
    if (contract)
        blob_release(blobs, contract, contract_size);
    return rc ? rc : take_report(job, err);
}

static enum err_code store_result(struct call *call, struct control *control, struct store *store,
                                  void *arg, struct err *err)
{
    struct gate_job *job = arg;
    (void)control;
    enum err_code rc = gate_result_put(store, &job->result, buf_c(&job->failed), &call->actor, err);
    if (rc)
        return rc;
    struct json_writer w = call_json(call, 201);
    put_result(&w, &job->result, true);
    return ERR_OK;
}

enum err_code gate_post(struct call *call, struct err *err)
{
    struct gate_job job = {.arena = arena_new(GATE_MEMORY_BYTES_MAX)};
    buf_init(&job.text, GATE_REPORT_BYTES_MAX);
    buf_init(&job.failed, 4096);
    enum err_code rc = call_version(call, &job.version, err);
    if (!rc)
        rc = read_job(call, &job, err);
    if (!rc)
        rc = read_state(call, &job, err);
    if (!rc)
        rc = acquire(call, &job, err);
    if (!rc)
        rc = run_gate(call, &job, err);
    if (!rc) {
        struct call_change change = {.fn = store_result, .arg = &job};
        rc = call_execute(call, &change, err);
    }
    if (!rc && job.result.id)
        log_info("gate run", "model=%s version=%lld verdict=%s actor=%s", job.version.model,
                 (long long)job.version.number, job.result.verdict, call->actor.name);
    loaded_unref(job.input.candidate);
    loaded_unref(job.input.champion);
    buf_done(&job.text);
    buf_done(&job.failed);
    arena_free(job.arena);
    return rc;
}

/* ---- showing ---- */

enum err_code gate_get(struct call *call, struct err *err)
{
    struct version version;
    struct gate_result result;
    int64_t id = 0;
    enum err_code rc = call_version(call, &version, err);
    if (!rc)
        rc = call_query_i64(call, "id", 1, INT64_MAX, &id, err);
    if (rc)
        return rc;
    rc = gate_result_get(control_read_begin(call->node->control), version.model, version.number, id,
                         call->arena, &result, err);
    control_read_end(call->node->control);
    if (rc)
        return rc;
    struct json_writer w = call_json(call, 200);
    put_result(&w, &result, true);
    return ERR_OK;
}

static void put_requirement(struct json_writer *w, const struct gate_requirement *required)
{
    if (!required->file) {
        json_put_null(w);
        return;
    }
    json_begin_object(w);
    json_member_text(w, "file", required->file);
    json_member_text(w, "file_sha256", required->digest);
    json_member_text(w, "actor", required->actor);
    json_key(w, "at");
    json_put_time(w, required->at_us);
    json_end_object(w);
}

static enum err_code wanted_version(struct call *call, struct store *store, const char *model,
                                    int64_t *version, struct err *err)
{
    struct str text;
    if (!http_query_find(call->x->request.query, "version", call->arena, &text))
        return ERR_OK;
    return version_resolve(store, model, text, version, err);
}

enum err_code gates_get(struct call *call, struct err *err)
{
    const char *model;
    struct gate_requirement required;
    struct gate_result *results = NULL;
    int64_t version = 0, limit = 100;
    int count = 0;
    enum err_code rc = call_name(call, 0, "a model", &model, err);
    if (!rc)
        rc = call_query_i64(call, "limit", 1, GATE_LIST_MAX, &limit, err);
    if (rc)
        return rc;
    struct store *store = control_read_begin(call->node->control);
    rc = wanted_version(call, store, model, &version, err);
    if (!rc)
        rc = gate_requirement_get(store, model, call->arena, &required, err);
    if (!rc)
        rc =
            gate_result_list(store, model, version, (int)limit, call->arena, &results, &count, err);
    control_read_end(call->node->control);
    if (rc)
        return rc;
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_member_text(&w, "model", model);
    json_key(&w, "required");
    put_requirement(&w, &required);
    json_key(&w, "results");
    json_begin_array(&w);
    for (int i = 0; i < count; i++)
        put_result(&w, &results[i], false);
    json_end_array(&w);
    json_end_object(&w);
    return ERR_OK;
}

/* ---- requiring ---- */

struct gate_change {
    const char *model, *file; /* NULL: nothing is required any more */
    char digest[SHA256_HEX_BYTES + 1];
};

static enum err_code require(struct call *call, struct control *control, struct store *store,
                             void *arg, struct err *err)
{
    const struct gate_change *change = arg;
    struct gate_requirement required;
    (void)control;
    enum err_code rc =
        gate_require(store, change->model, change->file, change->digest, &call->actor, err);
    if (!rc)
        rc = gate_requirement_get(store, change->model, call->arena, &required, err);
    if (rc)
        return rc;
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_member_text(&w, "model", change->model);
    json_key(&w, "required");
    put_requirement(&w, &required);
    json_end_object(&w);
    return ERR_OK;
}

static enum err_code read_file(struct call *call, struct gate_change *change, struct err *err)
{
    static const char *const keys[] = {"file", NULL};
    yyjson_val *root;
    struct str text;
    struct gate_file *file;
    enum err_code rc = call_body_object(call, &root, err);
    if (!rc)
        rc = json_check_keys(root, "the request", keys, err);
    if (!rc)
        rc = json_get_str(root, "the request", "file", &text, err);
    if (rc)
        return rc;
    struct arena *arena = arena_new(64 * 1024 * 1024);
    rc = gate_file_parse(text, arena, &file, err);
    if (!rc)
        memcpy(change->digest, file->digest, sizeof(change->digest));
    arena_free(arena);
    change->file = arena_copy(call->arena, text.ptr, text.len);
    if (!rc && !change->file)
        rc = err_set(err, ERR_LIMIT, "the request does not fit its memory");
    return rc;
}

enum err_code gates_put(struct call *call, struct err *err)
{
    struct gate_change gate = {0};
    enum err_code rc = call_name(call, 0, "a model", &gate.model, err);
    if (!rc)
        rc = read_file(call, &gate, err);
    struct call_change change = {.fn = require, .arg = &gate};
    return rc ? rc : call_execute(call, &change, err);
}

enum err_code gates_delete(struct call *call, struct err *err)
{
    struct gate_change gate = {0};
    enum err_code rc = call_name(call, 0, "a model", &gate.model, err);
    struct call_change change = {.fn = require, .arg = &gate};
    return rc ? rc : call_execute(call, &change, err);
}
