/* prediction_api.c - kept predictions: read in order, show one, erase a subject. */
#include <inttypes.h>
#include <stdio.h>

#include "api/handlers.h"
#include "base/check.h"
#include "base/clock.h"
#include "monitor/feedback.h"
#include "monitor/outcome_store.h"
#include "monitor/record_reader.h"
#include "monitor/record_text.h"
#include "review/review.h"

enum {
    ROWS_PRESET = 1000,
    ROWS_MAX = 100 * 1000,
    PAGE_BYTES_MAX = 8 * 1024 * 1024, /* a page ends behind the row that passes it */
    SHOWN_ROWS_MAX = 1000,
    ERASED_IDS_MAX = 1000 * 1000,
    ERASE_PART_IDS = 500, /* of one transaction */
    ERASE_MEMORY_BYTES_MAX = 512 * 1024 * 1024,
    ERASE_KEY_BYTES_MAX = 64 * 1024,
};

/* ---- a page in order ---- */

struct page {
    struct call *call;
    struct record_filter filter;
    struct record_cursor from;
    int64_t from_row; /* of the record at `from` */
    int64_t limit;    /* rows */
    bool is_csv;

    int64_t count;
    const struct record_schema *first; /* of the CSV head; a copy of its names is not needed while
                                          its segment is read */
    struct str columns;                /* the CSV head, to compare later ones with */
};

/* "42.81920.7": segment, offset of a record, row to begin with. */
static enum err_code query_cursor(struct call *call, struct page *page, struct err *err)
{
    struct str text, segment, offset;
    struct record_cursor *from = &page->from;
    if (!http_query_find(call->x->request.query, "cursor", call->arena, &text))
        return ERR_OK;
    struct str rest = text;
    if (text.ptr && str_split(&rest, '.', &segment) && str_split(&rest, '.', &offset) &&
        str_to_i64(segment, &from->segment) && str_to_u64(offset, &from->offset) &&
        str_to_i64(rest, &page->from_row) && from->segment > 0 && page->from_row >= 0)
        return ERR_OK;
    return err_set(err, ERR_INVALID, "query 'cursor': expected what X-Next-Cursor said, got '%.*s'",
                   (int)(text.len < 40 ? text.len : 40), text.ptr ? text.ptr : "");
}

static enum err_code query_format(struct call *call, struct page *page, struct err *err)
{
    struct str text;
    if (!http_query_find(call->x->request.query, "format", call->arena, &text) ||
        str_equal_c(text, "jsonl"))
        return ERR_OK;
    page->is_csv = str_equal_c(text, "csv");
    if (page->is_csv)
        return ERR_OK;
    return err_set(err, ERR_INVALID, "query 'format': expected jsonl or csv, got '%.*s'",
                   (int)(text.len < 40 ? text.len : 40), text.ptr ? text.ptr : "");
}

/* A model that was deleted may still have records, so it need not be known. */
static enum err_code query_version(struct call *call, struct page *page, struct err *err)
{
    struct str text;
    if (!http_query_find(call->x->request.query, "version", call->arena, &text))
        return ERR_OK;
    if (str_to_i64(text, &page->filter.version) && page->filter.version > 0)
        return ERR_OK;
    struct store *store = control_read_begin(call->node->control);
    enum err_code rc = version_resolve(store, page->filter.model, text, &page->filter.version, err);
    control_read_end(call->node->control);
    return rc;
}

static enum err_code read_page(struct call *call, struct page *page, struct err *err)
{
    page->limit = ROWS_PRESET;
    enum err_code rc = call_name(call, 0, "a model", &page->filter.model, err);
    if (!rc)
        rc = query_version(call, page, err);
    if (!rc)
        rc = call_query_time(call, "from", &page->filter.from_us, err);
    if (!rc)
        rc = call_query_time(call, "to", &page->filter.to_us, err);
    if (!rc)
        rc = call_query_i64(call, "limit", 1, ROWS_MAX, &page->limit, err);
    if (!rc)
        rc = query_format(call, page, err);
    if (!rc)
        rc = query_cursor(call, page, err);
    if (!rc && page->filter.to_us && page->filter.from_us >= page->filter.to_us)
        rc = err_set(err, ERR_INVALID, "'from' is not before 'to'");
    return rc;
}

/* The head of this record's columns: written once, and from then on it must be the same. */
static enum err_code check_columns(struct page *page, const struct record *record, struct err *err)
{
    struct buf *body = &page->call->x->response.body;
    if (page->first == record->schema)
        return ERR_OK;
    struct buf head;
    buf_init(&head, PAGE_BYTES_MAX);
    record_put_csv_head(&head, record->schema);
    enum err_code rc = ERR_OK;
    if (!page->columns.ptr) {
        page->columns.ptr = arena_copy(page->call->arena, head.data, head.len);
        page->columns.len = head.len;
        buf_str(body, buf_view(&head));
    } else if (!str_equal(page->columns, buf_view(&head))) {
        rc = err_set(err, ERR_CONFLICT, "version %" PRId64 " has other fields than the one before",
                     record->schema->version);
        err_hint(err,
                 "ask for one version (version=%" PRId64 "; slipway prediction export "
                 "NAME:%" PRId64 "), or for JSON lines (format=jsonl; --format jsonl)",
                 record->schema->version, record->schema->version);
    }
    buf_done(&head);
    page->first = record->schema;
    return rc;
}

static bool is_page_full(const struct page *page)
{
    return page->count >= page->limit || page->call->x->response.body.len >= PAGE_BYTES_MAX;
}

/* Rows from `row` on, as many as fit; the one that did not is returned. */
static int64_t put_rows(struct page *page, const struct record *record, int64_t row)
{
    struct buf *body = &page->call->x->response.body;
    int64_t rows = record->row_count ? record->row_count : 1;
    for (; row < rows && !is_page_full(page); row++, page->count++) {
        if (page->is_csv) {
            record_put_csv(body, record, row);
            continue;
        }
        struct json_writer w = {.out = body};
        record_put_json(&w, record, row);
        buf_char(body, '\n');
    }
    return row < rows ? row : 0;
}

static void add_cursor(struct call *call, struct record_cursor cursor, int64_t row)
{
    char text[RECORD_CURSOR_BYTES + STR_NUMBER_BYTES], at[RECORD_CURSOR_BYTES];
    snprintf(text, sizeof(text), "%s.%" PRId64, record_cursor_format(cursor, at), row);
    http_add_header(&call->x->response, "X-Next-Cursor", str_of(text));
}

/* One record is behind us when its last row is; a page may end within one. */
static enum err_code put_page(struct page *page, struct record_reader *reader, struct err *err)
{
    struct record record;
    enum err_code rc;
    int64_t row = page->from_row;
    while (!(rc = record_reader_next(reader, &record, err))) {
        rc = page->is_csv ? check_columns(page, &record, err) : ERR_OK;
        if (rc)
            return rc;
        int64_t rest = put_rows(page, &record, row);
        row = 0;
        if (rest)
            add_cursor(page->call, record_reader_place(reader), rest);
        else if (is_page_full(page))
            add_cursor(page->call, record_reader_cursor(reader), 0);
        if (is_page_full(page))
            return ERR_OK;
    }
    return rc == ERR_NOT_FOUND ? ERR_OK : rc;
}

enum err_code predictions_get(struct call *call, struct err *err)
{
    struct page page = {.call = call};
    enum err_code rc = read_page(call, &page, err);
    if (rc)
        return rc;
    call->x->response.content_type = page.is_csv ? "text/csv" : "application/jsonl";
    struct record_reader *reader = record_reader_open(call->node->records, &page.filter, page.from);
    rc = put_page(&page, reader, err);
    int skipped = record_reader_skipped(reader);
    record_reader_close(reader);
    if (skipped)
        http_add_header(&call->x->response, "X-Damaged-Segments", STR_LIT("1"));
    if (rc)
        buf_clear(&call->x->response.body);
    return rc;
}

/* ---- one ---- */

/* "<request id>-<row>", when that request has such a row; *has_row tells. */
static enum err_code find_row(struct call *call, struct record_query *query, struct record *record,
                              int64_t *row, bool *has_row, struct err *err)
{
    int64_t ignored;
    struct err first = {0};
    *has_row =
        predicted_id_split(call->params[0], &query->request_id, row) &&
        !record_store_find(call->node->records, query, call->arena, record, &ignored, &first) &&
        *row < record->row_count;
    if (*has_row)
        return ERR_OK;
    query->request_id = call->params[0];
    return record_store_find(call->node->records, query, call->arena, record, &ignored, err);
}

enum err_code prediction_get(struct call *call, struct err *err)
{
    int64_t row = 0;
    bool has_row;
    struct record record;
    struct record_query query = {0};
    enum err_code rc = call_query_model(call, &query.model, err);
    if (!rc)
        rc = find_row(call, &query, &record, &row, &has_row, err);
    if (rc)
        return rc;
    struct json_writer w = call_json(call, 200);
    if (has_row) {
        record_put_json(&w, &record, row);
        return ERR_OK;
    }
    int64_t rows = record.row_count ? record.row_count : 1;
    json_begin_object(&w);
    json_key(&w, "request_id");
    json_put_str(&w, record.request_id);
    json_key(&w, "rows");
    json_put_i64(&w, record.row_count);
    json_key(&w, "predictions");
    json_begin_array(&w);
    for (row = 0; row < rows && row < SHOWN_ROWS_MAX; row++)
        record_put_json(&w, &record, row);
    json_end_array(&w);
    json_end_object(&w);
    return ERR_OK;
}

/* ---- erasing a subject ---- */

struct erase {
    struct call *call;
    const char *model;
    struct str field, key;
    struct arena *arena; /* of ids */
    const char **ids;    /* [count] "<request id>-<row>" of the subject's rows */
    int count;
    bool is_over_limit;
    int done; /* of the ids, so far */
    int64_t part_items, part_outcomes;
    struct str part_key; /* under which outcomes are filed */
    bool is_key_done;
    int64_t outcome_count, item_count; /* removed with them */
    struct record_erased erased;
};

static void note_row(void *arg, const struct record *record, int64_t row)
{
    struct erase *e = arg;
    const char *id = e->count < ERASED_IDS_MAX
                         ? arena_printf(e->arena, "%.*s-%" PRId64, STR_ARG(record->request_id), row)
                         : NULL;
    if (id)
        e->ids[e->count++] = id;
    e->is_over_limit = e->is_over_limit || !id;
}

/* The key itself is told to nobody: its digest lets one who has it look the event up. */
static enum err_code append_event(struct call *call, struct store *store, const struct erase *e,
                                  struct err *err)
{
    char digest[SHA256_HEX_BYTES + 1];
    struct buf after;
    struct json_writer w = {.out = &after};
    hash_sha256_hex(e->key.ptr, e->key.len, digest);
    buf_init(&after, AUDIT_STATE_BYTES_MAX);
    json_begin_object(&w);
    json_key(&w, "field");
    json_put_str(&w, e->field);
    json_key(&w, "key_sha256");
    json_put_text(&w, digest);
    json_key(&w, "rows");
    json_put_i64(&w, e->count);
    json_end_object(&w);
    struct audit_event event = {
        .actor = call->actor.name,
        .via = call->actor.via,
        .action = "prediction.erase",
        .subject = arena_printf(call->arena, "model/%s/predictions", e->model),
        .after = buf_c(&after),
        .request_id = call->actor.request_id,
    };
    enum err_code rc = audit_append(store, &event, err);
    buf_done(&after);
    return rc;
}

/* The first part makes the event; the others go on with what hangs on the rows' ids. */
static enum err_code erase_part(struct control *control, struct store *store, void *arg,
                                struct err *err)
{
    struct erase *e = arg;
    const char *const *ids = e->ids + e->done;
    int count = e->count - e->done < ERASE_PART_IDS ? e->count - e->done : ERASE_PART_IDS;
    (void)control;
    enum err_code rc = review_erase(store, ids, count, clock_wall_us(), &e->part_items, err);
    if (!rc)
        rc = outcome_erase_ids(store, e->model, ids, count, &e->part_outcomes, err);
    if (!rc && e->done == 0)
        rc = append_event(e->call, store, e, err);
    return rc;
}

static enum err_code erase_by_id(struct erase *e, struct err *err)
{
    enum err_code rc;
    do {
        struct control_op op = {.fn = erase_part, .arg = e, .is_bulk = true};
        rc = control_execute(e->call->node->control, &op, err);
        e->item_count += e->part_items;
        e->outcome_count += e->part_outcomes;
        e->done += ERASE_PART_IDS;
    } while (!rc && e->done < e->count);
    return rc;
}

static enum err_code erase_key_part(struct control *control, struct store *store, void *arg,
                                    struct err *err)
{
    struct erase *e = arg;
    (void)control;
    return outcome_erase_key(store, e->model, e->part_key, e->arena, &e->part_outcomes,
                             &e->is_key_done, err);
}

static enum err_code erase_by_key(struct erase *e, struct str key, struct err *err)
{
    enum err_code rc;
    e->part_key = key;
    do {
        struct control_op op = {.fn = erase_key_part, .arg = e, .is_bulk = true};
        rc = control_execute(e->call->node->control, &op, err);
        e->outcome_count += e->part_outcomes;
    } while (!rc && !e->is_key_done);
    return rc;
}

/* Feedback is filed under the key as it came, or as the record kept it. */
static enum err_code erase_outcomes(struct erase *e, struct err *err)
{
    char pseudonym[PSEUDONYM_BYTES];
    record_store_pseudonym(e->call->node->records, e->key, pseudonym);
    enum err_code rc = erase_by_key(e, e->key, err);
    return rc ? rc : erase_by_key(e, (struct str){pseudonym, sizeof(pseudonym)}, err);
}

static enum err_code read_erase(struct call *call, struct erase *e, struct err *err)
{
    static const char *const keys[] = {"field", "key", NULL};
    yyjson_val *root;
    enum err_code rc = call_name(call, 0, "a model", &e->model, err);
    if (!rc)
        rc = call_body_object(call, &root, err);
    if (!rc)
        rc = json_check_keys(root, "the request", keys, err);
    if (!rc)
        rc = json_get_str(root, "the request", "field", &e->field, err);
    if (!rc)
        rc = json_get_str(root, "the request", "key", &e->key, err);
    if (!rc && (e->key.len == 0 || e->key.len > ERASE_KEY_BYTES_MAX))
        rc = err_set(err, ERR_INVALID, "'key' has %zu bytes; 1 to %d are possible", e->key.len,
                     ERASE_KEY_BYTES_MAX);
    return rc;
}

static void write_erased(struct call *call, const struct erase *e)
{
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_key(&w, "model");
    json_put_text(&w, e->model);
    json_key(&w, "field");
    json_put_str(&w, e->field);
    json_key(&w, "rows");
    json_put_u64(&w, e->erased.row_count);
    json_key(&w, "records");
    json_put_u64(&w, e->erased.record_count);
    json_key(&w, "segments");
    json_put_i64(&w, e->erased.segment_count);
    json_key(&w, "outcomes");
    json_put_i64(&w, e->outcome_count);
    json_key(&w, "review_items");
    json_put_i64(&w, e->item_count);
    json_end_object(&w);
}

/* What hangs on the rows goes first, while their ids are known; after a failure behind it the same
 * request erases the rows that are left. What is filed under the key goes last: feedback that comes
 * while rows are erased may still have found one. */
enum err_code predictions_erase(struct call *call, struct err *err)
{
    struct erase e = {.call = call};
    struct record_store *records = call->node->records;
    enum err_code rc = read_erase(call, &e, err);
    if (rc)
        return rc;
    e.arena = arena_new(ERASE_MEMORY_BYTES_MAX);
    e.ids = arena_calloc(e.arena, ERASED_IDS_MAX, sizeof(*e.ids));
    assert(e.ids);
    rc = record_store_visit(records, e.model, e.field, e.key, note_row, &e, err);
    if (!rc && e.is_over_limit)
        rc = err_set(err, ERR_LIMIT, "more than %d rows are this subject's", ERASED_IDS_MAX);
    if (!rc)
        rc = erase_by_id(&e, err);
    if (!rc)
        rc = record_store_erase(records, e.model, e.field, e.key, &e.erased, err);
    if (!rc)
        rc = erase_outcomes(&e, err);
    arena_free(e.arena);
    if (!rc)
        write_erased(call, &e);
    return rc;
}
