/* dataset.c - decisions as rows of CSV or JSON Lines. */
#include "review/dataset.h"

#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/csv.h"
#include "base/map.h"
#include "registry/registry_check.h"
#include "review/item_row.h"

/* Everything that counts, an item's rows next to one another, in the order they were made. */
#define SQL_ROWS                                                                                   \
    "SELECT i.id, i.prediction_id, i.version, i.inputs, i.answer_label, i.choices, "               \
    "i.business_key, i.rule, i.probability, i.is_random, i.reviewers_rule, i.tolerance, "          \
    "i.predicted_us, d.reviewer, d.kind, d.label FROM review_items i JOIN review_decisions d "     \
    "ON d.item = i.id WHERE i.model = ?1 AND i.state <> 'erased' AND d.is_gold = 0 AND d.kind <> " \
    "'skip' AND d.id <= ?2 ORDER BY i.id, d.id"
#define SQL_THROUGH                                                                                \
    "SELECT COALESCE(MAX(d.id), 0) FROM review_decisions d JOIN review_items i ON i.id = d.item "  \
    "WHERE i.model = ?1"
#define COLUMNS                                                                                    \
    "version, format, test_share, through, row_count, digest, created_by, created_us, test_count"
#define SQL_GET                                                                                    \
    "SELECT " COLUMNS " FROM review_datasets WHERE model = ?1 AND (?2 = 0 OR version = ?2) "       \
    "ORDER BY version DESC LIMIT ?3"
#define SQL_INSERT                                                                                 \
    "INSERT INTO review_datasets (model, " COLUMNS ") "                                            \
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"

enum { REVIEWERS_READ_MAX = 64, ROW_BYTES_MAX = 4 * 1024 * 1024 };

static const char *const format_names[] = {"csv", "jsonl"};

const char *review_format_name(enum review_format format)
{
    return format_names[format];
}

bool review_format_parse(struct str name, enum review_format *format)
{
    for (size_t i = 0; i < ARRAY_LEN(format_names); i++)
        if (str_equal_c(name, format_names[i])) {
            *format = (enum review_format)i;
            return true;
        }
    return false;
}

/* ---- one item and its decisions ---- */

struct vote {
    const char *reviewer, *label;
    bool is_decision; /* else undone */
};

/* The item whose rows are being read; its texts live in `arena`. */
struct dataset_row {
    struct arena *arena;
    int64_t id, version, predicted_us;
    const char *prediction_id, *inputs, *answer, *choices, *key, *rule;
    double probability, tolerance;
    bool is_random, is_number, is_test;
    int reviewers_rule;
    int vote_count;
    struct vote votes[REVIEWERS_READ_MAX];
    int decision_count; /* that counted */
    char label[REVIEW_LABEL_BYTES_MAX + 1];
};

struct writing;
typedef enum err_code row_fn(struct writing *w, struct dataset_row *row, struct err *err);

struct writing {
    struct review_dataset *dataset;
    struct buf *out;
    row_fn *take;
    struct dataset_row row;

    /* CSV: the inputs that rows have, in order of appearance. */
    struct arena *arena;
    struct map place_of; /* column name -> its place + 1 */
    int column_count;
    struct str *columns; /* [column_count] */
    struct str *cells;   /* [column_count] of the row that is being written */
};

static bool begin_row(struct dataset_row *row, struct store_rows *rows)
{
    bool is_full = false;
    struct arena *arena = row->arena;
    arena_reset(arena);
    *row = (struct dataset_row){
        .arena = arena,
        .id = store_i64(rows, 0),
        .prediction_id = store_text_copy(rows, 1, arena, &is_full),
        .version = store_i64(rows, 2),
        .inputs = store_text_copy(rows, 3, arena, &is_full),
        .answer = store_text_copy(rows, 4, arena, &is_full),
        .choices = store_text_copy(rows, 5, arena, &is_full),
        .key = store_text_copy(rows, 6, arena, &is_full),
        .rule = store_text_copy(rows, 7, arena, &is_full),
        .probability = store_f64(rows, 8),
        .is_random = store_i64(rows, 9) != 0,
        .reviewers_rule = (int)store_i64(rows, 10),
        .tolerance = store_f64(rows, 11),
        .predicted_us = store_i64(rows, 12),
    };
    row->is_number = row->choices && strcmp(row->choices, "[]") == 0;
    return !is_full;
}

/* The last row of a reviewer counts, and stands where it was made. */
static bool add_vote(struct dataset_row *row, struct store_rows *rows)
{
    bool is_full = false;
    struct str reviewer = store_text(rows, 13);
    for (int i = 0; i < row->vote_count; i++)
        if (str_equal_c(reviewer, row->votes[i].reviewer)) {
            memmove(&row->votes[i], &row->votes[i + 1],
                    (size_t)(row->vote_count - i - 1) * sizeof(*row->votes));
            row->vote_count--;
            break;
        }
    if (row->vote_count == REVIEWERS_READ_MAX)
        return true;
    row->votes[row->vote_count++] = (struct vote){
        .reviewer = store_text_copy(rows, 13, row->arena, &is_full),
        .is_decision = str_equal_c(store_text(rows, 14), "decide"),
        .label = store_text_copy(rows, 15, row->arena, &is_full),
    };
    return !is_full;
}

/* The label people agreed on; false when they have not. */
static bool resolve(struct dataset_row *row)
{
    struct review_vote votes[REVIEW_REVIEWERS_MAX];
    int count = 0;
    for (int i = 0; i < row->vote_count && count < REVIEW_REVIEWERS_MAX; i++)
        if (row->votes[i].is_decision)
            votes[count++].label = row->votes[i].label;
    struct review_verdict verdict =
        review_resolve(votes, count, row->reviewers_rule, row->is_number, row->tolerance);
    row->decision_count = count;
    memcpy(row->label, verdict.label, sizeof(row->label));
    return verdict.state == REVIEW_DECIDED;
}

/* See dataset.h. */
static bool is_test(const struct review_dataset *dataset, const struct dataset_row *row)
{
    uint8_t digest[SHA256_BYTES];
    uint64_t head = 0;
    const char *key = row->key[0] ? row->key : row->prediction_id;
    struct hash_sha256 *state = hash_sha256_new();
    hash_sha256_add(state, dataset->model, strlen(dataset->model));
    hash_sha256_add(state, "\n", 1);
    hash_sha256_add(state, key, strlen(key));
    hash_sha256_end(state, digest);
    for (int i = 0; i < 8; i++)
        head = head << 8 | digest[i];
    return (double)(head >> 11) * 0x1p-53 < dataset->test_share;
}

static enum err_code end_row(struct writing *w, struct err *err)
{
    struct dataset_row *row = &w->row;
    if (row->id == 0 || !resolve(row))
        return ERR_OK;
    row->is_test = is_test(w->dataset, row);
    return w->take(w, row, err);
}

static enum err_code read_row(struct store_rows *rows, void *arg, struct err *err)
{
    struct writing *w = arg;
    if (store_i64(rows, 0) != w->row.id) {
        if (end_row(w, err))
            return err->code;
        if (!begin_row(&w->row, rows))
            return err_set(err, ERR_LIMIT, "no room to read a review item");
    }
    return add_vote(&w->row, rows) ? ERR_OK
                                   : err_set(err, ERR_LIMIT, "no room to read a review item");
}

static enum err_code each_row(struct store *store, struct writing *w, row_fn *take, struct err *err)
{
    const struct store_value params[] = {STORE_CSTR(w->dataset->model),
                                         STORE_INT(w->dataset->through)};
    w->take = take;
    w->row = (struct dataset_row){.arena = w->row.arena};
    if (registry_each_row(store, SQL_ROWS, params, 2, read_row, w, err))
        return err->code;
    return end_row(w, err);
}

static double weight_of(const struct dataset_row *row)
{
    return row->probability > 0 ? 1 / row->probability : 1;
}

static enum err_code count_row(struct writing *w, const struct dataset_row *row, struct err *err)
{
    w->dataset->row_count++;
    w->dataset->test_count += row->is_test;
    if (w->out->is_full)
        return err_set(err, ERR_LIMIT, "the data set is larger than %zu bytes", w->out->bytes_max);
    return ERR_OK;
}

/* ---- JSON Lines ---- */

static void put_label(struct json_writer *w, const struct dataset_row *row, const char *key,
                      const char *label)
{
    json_key(w, key);
    if (row->is_number)
        json_put_raw(w, str_of(label));
    else
        json_put_text(w, label);
}

static enum err_code write_json(struct writing *writing, struct dataset_row *row, struct err *err)
{
    struct json_writer w = {.out = writing->out};
    json_begin_object(&w);
    json_key(&w, "inputs");
    json_put_raw(&w, str_of(row->inputs));
    put_label(&w, row, "label", row->label);
    put_label(&w, row, "answer", row->answer);
    json_key(&w, "probability");
    if (row->probability > 0)
        json_put_f64(&w, row->probability);
    else
        json_put_null(&w);
    json_key(&w, "weight");
    json_put_f64(&w, weight_of(row));
    json_member_text(&w, "split", row->is_test ? "test" : "train");
    json_key(&w, "random");
    json_put_bool(&w, row->is_random);
    json_member_text(&w, "prediction_id", row->prediction_id);
    json_key(&w, "version");
    json_put_i64(&w, row->version);
    json_member_text(&w, "rule", row->rule);
    json_key(&w, "decisions");
    json_put_i64(&w, row->decision_count);
    json_key(&w, "at");
    json_put_time(&w, row->predicted_us);
    json_end_object(&w);
    buf_char(writing->out, '\n');
    return count_row(writing, row, err);
}

/* ---- CSV ---- */

static enum err_code add_column(struct writing *w, struct str name, struct err *err)
{
    if (map_find(&w->place_of, name))
        return ERR_OK;
    w->columns = store_list_grow(w->arena, w->columns, w->column_count, sizeof(*w->columns));
    const char *copy = arena_copy(w->arena, name.ptr, name.len);
    if (!w->columns || !copy || w->column_count == REVIEW_DATASET_COLUMNS_MAX)
        return err_set(err, ERR_LIMIT, "the data set has more than %d columns",
                       REVIEW_DATASET_COLUMNS_MAX);
    w->columns[w->column_count++] = (struct str){copy, name.len};
    map_put(&w->place_of, w->columns[w->column_count - 1], (void *)(uintptr_t)w->column_count);
    return ERR_OK;
}

static enum err_code find_columns(struct writing *w, struct dataset_row *row, struct err *err)
{
    yyjson_val *root, *key, *value;
    size_t i, count;
    if (json_read(str_of(row->inputs), row->arena, &root, err))
        return err->code;
    yyjson_obj_foreach(root, i, count, key, value)
    {
        if (add_column(w, json_str(key), err))
            return err->code;
    }
    return ERR_OK;
}

static const char *const own_columns[] = {
    "label",         "answer",  "probability", "weight",    "split", "random",
    "prediction_id", "version", "rule",        "decisions", "at"};

static void write_head(struct writing *w)
{
    for (int i = 0; i < w->column_count; i++) {
        csv_write_cell(w->out, w->columns[i]);
        buf_char(w->out, ',');
    }
    for (size_t i = 0; i < ARRAY_LEN(own_columns); i++) {
        if (i)
            buf_char(w->out, ',');
        if (map_find(&w->place_of, str_of(own_columns[i])))
            buf_lit(w->out, "review_");
        buf_text(w->out, own_columns[i]);
    }
    buf_char(w->out, '\n');
}

/* A value of the inputs as a cell: text as it is, numbers as written, null empty. */
static struct str cell_of(yyjson_val *value, struct arena *arena)
{
    struct buf buf;
    if (yyjson_is_null(value))
        return (struct str){0};
    if (yyjson_is_str(value))
        return json_str(value);
    buf_init(&buf, STR_NUMBER_BYTES * 2);
    json_write(&buf, value);
    struct str cell = {arena_copy(arena, buf.data, buf.len), buf.len};
    buf_done(&buf);
    return cell.ptr ? cell : (struct str){0};
}

static void cell(struct buf *out, const char *text)
{
    buf_char(out, ',');
    csv_write_cell(out, str_of(text));
}

static void write_own_cells(struct buf *out, const struct dataset_row *row)
{
    char at[CLOCK_TEXT_BYTES];
    csv_write_cell(out, str_of(row->label));
    cell(out, row->answer);
    buf_char(out, ',');
    if (row->probability > 0)
        buf_f64(out, row->probability);
    buf_char(out, ',');
    buf_f64(out, weight_of(row));
    cell(out, row->is_test ? "test" : "train");
    cell(out, row->is_random ? "true" : "false");
    cell(out, row->prediction_id);
    buf_char(out, ',');
    buf_i64(out, row->version);
    cell(out, row->rule);
    buf_char(out, ',');
    buf_i64(out, row->decision_count);
    cell(out, clock_format(row->predicted_us, at));
    buf_char(out, '\n');
}

static enum err_code write_csv(struct writing *w, struct dataset_row *row, struct err *err)
{
    yyjson_val *root, *key, *value;
    size_t i, count;
    if (json_read(str_of(row->inputs), row->arena, &root, err))
        return err->code;
    memset(w->cells, 0, (size_t)w->column_count * sizeof(*w->cells));
    yyjson_obj_foreach(root, i, count, key, value)
    {
        uintptr_t place = (uintptr_t)map_find(&w->place_of, json_str(key));
        assert(place);
        w->cells[place - 1] = cell_of(value, row->arena);
    }
    for (int column = 0; column < w->column_count; column++) {
        csv_write_cell(w->out, w->cells[column]);
        buf_char(w->out, ',');
    }
    write_own_cells(w->out, row);
    return count_row(w, row, err);
}

static enum err_code write_all_csv(struct store *store, struct writing *w, struct err *err)
{
    enum err_code rc = each_row(store, w, find_columns, err);
    if (rc)
        return rc;
    w->cells = arena_calloc(w->arena, (size_t)w->column_count + 1, sizeof(*w->cells));
    if (!w->cells)
        return err_set(err, ERR_LIMIT, "no room for the columns of the data set");
    write_head(w);
    return each_row(store, w, write_csv, err);
}

/* ---- the whole ---- */

enum err_code review_dataset_through(struct store *store, const char *model, int64_t *through,
                                     struct err *err)
{
    const struct store_value params[] = {STORE_CSTR(model)};
    return registry_read_number(store, SQL_THROUGH, params, 1, 0, through, err);
}

enum err_code review_dataset_write(struct store *store, struct review_dataset *dataset,
                                   struct buf *out, struct err *err)
{
    struct writing w = {.dataset = dataset, .out = out};
    w.arena = arena_new(ROW_BYTES_MAX);
    w.row.arena = arena_new(ROW_BYTES_MAX);
    map_init(&w.place_of);
    dataset->row_count = dataset->test_count = 0;
    /* One state for both passes: a row may be erased meanwhile. */
    enum err_code rc = store_begin(store, err);
    if (!rc) {
        rc = dataset->format == REVIEW_CSV ? write_all_csv(store, &w, err)
                                           : each_row(store, &w, write_json, err);
        store_rollback(store);
    }
    if (!rc)
        hash_sha256_hex(out->data, out->len, dataset->digest);
    map_done(&w.place_of);
    arena_free(w.row.arena);
    arena_free(w.arena);
    return rc;
}

/* ---- in the store ---- */

struct dataset_list {
    struct arena *arena;
    const char *model;
    struct review_dataset *datasets;
    int count;
};

static enum err_code read_dataset(struct store_rows *rows, void *arg, struct err *err)
{
    struct dataset_list *list = arg;
    bool is_full = false;
    list->datasets =
        store_list_grow(list->arena, list->datasets, list->count, sizeof(*list->datasets));
    if (!list->datasets)
        return err_set(err, ERR_LIMIT, "no room to read data sets");
    struct review_dataset *dataset = &list->datasets[list->count++];
    struct str digest = store_text(rows, 5);
    *dataset = (struct review_dataset){
        .model = list->model,
        .version = store_i64(rows, 0),
        .test_share = store_f64(rows, 2),
        .through = store_i64(rows, 3),
        .row_count = store_i64(rows, 4),
        .created_by = store_text_copy(rows, 6, list->arena, &is_full),
        .created_us = store_i64(rows, 7),
        .test_count = store_i64(rows, 8),
    };
    review_format_parse(store_text(rows, 1), &dataset->format);
    snprintf(dataset->digest, sizeof(dataset->digest), "%.*s", STR_ARG(digest));
    return is_full ? err_set(err, ERR_LIMIT, "no room to read data sets") : ERR_OK;
}

static enum err_code read_datasets(struct store *store, struct dataset_list *list, int64_t version,
                                   int limit, struct err *err)
{
    const struct store_value params[] = {STORE_CSTR(list->model), STORE_INT(version),
                                         STORE_INT(limit)};
    return registry_each_row(store, SQL_GET, params, 3, read_dataset, list, err);
}

enum err_code review_dataset_list(struct store *store, const char *model, struct arena *arena,
                                  struct review_dataset **datasets, int *count, struct err *err)
{
    struct dataset_list list = {.arena = arena, .model = model};
    if (read_datasets(store, &list, 0, REVIEW_DATASETS_LISTED_MAX, err))
        return err->code;
    *datasets = list.datasets;
    *count = list.count;
    return ERR_OK;
}

enum err_code review_dataset_get(struct store *store, const char *model, int64_t version,
                                 struct arena *arena, struct review_dataset *dataset,
                                 struct err *err)
{
    struct dataset_list list = {.arena = arena, .model = model};
    if (read_datasets(store, &list, version, 1, err))
        return err->code;
    if (list.count == 0) {
        err_set(err, ERR_NOT_FOUND, "model '%s' has no review data set %lld", model,
                (long long)version);
        return err_hint(err, "make one with: slipway review export %s --out FILE", model);
    }
    *dataset = list.datasets[0];
    return ERR_OK;
}

static bool is_same(const struct review_dataset *a, const struct review_dataset *b)
{
    return a->format == b->format && a->test_share == b->test_share &&
           strcmp(a->digest, b->digest) == 0;
}

static void put_state(struct buf *out, const struct review_dataset *dataset)
{
    struct json_writer w = {.out = out};
    buf_init(out, REGISTRY_STATE_BYTES_MAX);
    json_begin_object(&w);
    json_key(&w, "version");
    json_put_i64(&w, dataset->version);
    json_key(&w, "format");
    json_put_text(&w, review_format_name(dataset->format));
    json_key(&w, "rows");
    json_put_i64(&w, dataset->row_count);
    json_key(&w, "through");
    json_put_i64(&w, dataset->through);
    json_key(&w, "digest");
    json_put_text(&w, dataset->digest);
    json_end_object(&w);
}

static enum err_code insert(struct store *store, const struct review_dataset *dataset,
                            const struct actor *actor, struct err *err)
{
    char subject[REGISTRY_SUBJECT_BYTES_MAX];
    struct buf after;
    const struct store_value row[] = {STORE_CSTR(dataset->model),
                                      STORE_INT(dataset->version),
                                      STORE_CSTR(review_format_name(dataset->format)),
                                      STORE_REAL(dataset->test_share),
                                      STORE_INT(dataset->through),
                                      STORE_INT(dataset->row_count),
                                      STORE_CSTR(dataset->digest),
                                      STORE_CSTR(dataset->created_by),
                                      STORE_INT(dataset->created_us),
                                      STORE_INT(dataset->test_count)};
    if (store_exec(store, SQL_INSERT, row, ARRAY_LEN(row), NULL, err))
        return err->code;
    snprintf(subject, sizeof(subject), "model/%s/review/dataset/%lld", dataset->model,
             (long long)dataset->version);
    put_state(&after, dataset);
    return registry_append(store, actor, "review.export", subject, NULL, &after,
                           dataset->created_us, NULL, err);
}

enum err_code review_dataset_put(struct store *store, struct review_dataset *dataset,
                                 const struct actor *actor, int64_t now_us, struct arena *arena,
                                 struct err *err)
{
    struct dataset_list list = {.arena = arena, .model = dataset->model};
    if (read_datasets(store, &list, 0, 1, err))
        return err->code;
    if (list.count && is_same(&list.datasets[0], dataset)) {
        *dataset = list.datasets[0];
        return ERR_OK;
    }
    dataset->version = list.count ? list.datasets[0].version + 1 : 1;
    dataset->created_by = actor->name;
    dataset->created_us = now_us;
    return insert(store, dataset, actor, err);
}
