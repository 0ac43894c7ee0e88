/* review_dataset_api.c - data sets of what people decided: make a version, list, fetch its bytes.
 */
#include "api/handlers.h"
#include "base/clock.h"
#include "review/dataset.h"

#define TEST_SHARE_STANDARD 0.2

static void put_dataset(struct json_writer *w, const struct review_dataset *dataset)
{
    json_begin_object(w);
    json_key(w, "model");
    json_put_text(w, dataset->model);
    json_key(w, "version");
    json_put_i64(w, dataset->version);
    json_key(w, "format");
    json_put_text(w, review_format_name(dataset->format));
    json_key(w, "rows");
    json_put_i64(w, dataset->row_count);
    json_key(w, "test_rows");
    json_put_i64(w, dataset->test_count);
    json_key(w, "test_share");
    json_put_f64(w, dataset->test_share);
    json_key(w, "through");
    json_put_i64(w, dataset->through);
    json_key(w, "digest");
    json_put_text(w, dataset->digest);
    json_key(w, "created_by");
    json_put_text(w, dataset->created_by);
    json_key(w, "created_at");
    json_put_time(w, dataset->created_us);
    json_end_object(w);
}

/* A long read needs a connection of its own: others go on with theirs. */
static enum err_code open_reader(struct call *call, struct store **store, struct err *err)
{
    const char *folder = folder_path(control_folder(call->node->control));
    return store_open(&store_sqlite, folder, STORE_READ, store, err);
}

static enum err_code known_model(struct call *call, const char **model, struct err *err)
{
    struct model found;
    enum err_code rc = call_name(call, 0, "a model", model, err);
    if (rc)
        return rc;
    rc = model_get(control_read_begin(call->node->control), *model, call->arena, &found, err);
    control_read_end(call->node->control);
    return rc;
}

/* ---- make one ---- */

static enum err_code read_wish(struct call *call, struct review_dataset *dataset, struct err *err)
{
    static const char *const keys[] = {"format", "test", NULL};
    yyjson_val *root;
    struct str format = STR_LIT("csv");
    enum err_code rc = known_model(call, &dataset->model, err);
    if (!rc)
        rc = call_body_object(call, &root, err);
    if (!rc)
        rc = json_check_keys(root, "the request", keys, err);
    if (!rc)
        rc = json_get_str_opt(root, "the request", "format", &format, err);
    if (!rc && yyjson_obj_get(root, "test"))
        rc = review_share_parse(yyjson_obj_get(root, "test"), "test", &dataset->test_share, err);
    if (!rc && !review_format_parse(format, &dataset->format))
        rc =
            err_set(err, ERR_INVALID, "format: expected csv or jsonl, got '%.*s'", STR_ARG(format));
    return rc;
}

static enum err_code make(struct call *call, struct review_dataset *dataset, struct err *err)
{
    struct store *store;
    struct buf bytes;
    enum err_code rc = open_reader(call, &store, err);
    if (rc)
        return rc;
    buf_init(&bytes, REVIEW_DATASET_BYTES_MAX);
    rc = review_dataset_through(store, dataset->model, &dataset->through, err);
    if (!rc)
        rc = review_dataset_write(store, dataset, &bytes, err);
    buf_done(&bytes);
    store_close(store);
    if (!rc && dataset->row_count == 0) {
        err_set(err, ERR_CONFLICT, "people have decided nothing about '%s' yet", dataset->model);
        rc = err_hint(err, "see what waits: slipway review list %s", dataset->model);
    }
    return rc;
}

static enum err_code keep(struct call *call, struct control *control, struct store *store,
                          void *arg, struct err *err)
{
    struct review_dataset dataset = *(const struct review_dataset *)arg;
    (void)control;
    enum err_code rc =
        review_dataset_put(store, &dataset, &call->actor, clock_wall_us(), call->arena, err);
    if (rc)
        return rc;
    struct json_writer w = call_json(call, 201);
    put_dataset(&w, &dataset);
    return ERR_OK;
}

enum err_code review_dataset_post(struct call *call, struct err *err)
{
    struct review_dataset dataset = {.test_share = TEST_SHARE_STANDARD};
    enum err_code rc = read_wish(call, &dataset, err);
    if (!rc)
        rc = make(call, &dataset, err);
    struct call_change change = {.fn = keep, .arg = &dataset};
    return rc ? rc : call_execute(call, &change, err);
}

/* ---- list and fetch ---- */

enum err_code review_datasets_get(struct call *call, struct err *err)
{
    const char *model;
    struct review_dataset *datasets;
    int count = 0;
    enum err_code rc = known_model(call, &model, err);
    if (rc)
        return rc;
    rc = review_dataset_list(control_read_begin(call->node->control), model, call->arena, &datasets,
                             &count, err);
    control_read_end(call->node->control);
    if (rc)
        return rc;
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_key(&w, "datasets");
    json_begin_array(&w);
    for (int i = 0; i < count; i++)
        put_dataset(&w, &datasets[i]);
    json_end_array(&w);
    json_end_object(&w);
    return ERR_OK;
}

/* The bytes again, and only if they are the same. */
static enum err_code write_again(struct call *call, struct store *store, int64_t version,
                                 struct err *err)
{
    struct review_dataset kept = {0}, again;
    struct buf *body = &call->x->response.body;
    const char *model;
    enum err_code rc = call_name(call, 0, "a model", &model, err);
    if (!rc)
        rc = review_dataset_get(store, model, version, call->arena, &kept, err);
    again = kept;
    if (!rc)
        rc = review_dataset_write(store, &again, body, err);
    if (!rc && strcmp(again.digest, kept.digest) != 0) {
        buf_clear(body);
        err_set(err, ERR_CONFLICT, "data set %lld of '%s' is not what it was: rows were erased",
                (long long)version, model);
        rc = err_hint(err, "make a new version: slipway review export %s --out FILE", model);
    }
    if (!rc)
        call->x->response.content_type =
            kept.format == REVIEW_CSV ? "text/csv; charset=utf-8" : "application/x-ndjson";
    return rc;
}

enum err_code review_dataset_get_handler(struct call *call, struct err *err)
{
    struct store *store;
    int64_t version = 0;
    if (!str_to_i64(call->params[1], &version) || version < 1)
        return err_set(err, ERR_INVALID, "'%.*s' is not the version of a data set",
                       STR_ARG(call->params[1]));
    enum err_code rc = open_reader(call, &store, err);
    if (rc)
        return rc;
    rc = write_again(call, store, version, err);
    store_close(store);
    return rc;
}
