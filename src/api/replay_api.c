/* replay_api.c - kept requests asked again of another version, a page at a time.
 *
 *     POST /api/models/{model}/versions/{version}/replay?from=7&since=1h&limit=1000
 *
 * Scored here on the slow pool as a shadow is: nobody is answered, nothing is recorded or counted.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "api/handlers.h"
#include "base/check.h"
#include "base/clock.h"
#include "monitor/record_reader.h"
#include "monitor/record_text.h"
#include "serve/replay.h"

enum {
    ROWS_PRESET = 1000,
    ROWS_MAX = 100 * 1000,
    PAGE_BYTES_MAX = 16 * 1024 * 1024, /* a page ends behind the record that passes it */
    PAGE_SECONDS_MAX = 20,
};

#define TOLERANCE_PRESET 1e-6

struct page {
    struct call *call;
    struct record_filter filter;
    struct record_cursor from;
    int64_t limit;
    double tolerance;
    bool lists_all; /* also rows without any difference */
    struct loaded *to;
    struct json_writer w;
};

/* ---- what is asked for ---- */

static enum err_code query_tolerance(struct call *call, double *tolerance, struct err *err)
{
    struct str text;
    double value;
    if (!http_query_find(call->x->request.query, "tolerance", call->arena, &text))
        return ERR_OK;
    if (!str_to_f64(text, &value) || !(value >= 0 && value <= 1))
        return err_set(err, ERR_INVALID,
                       "query 'tolerance': expected a number from 0 to 1, got '%.*s'",
                       (int)(text.len < 40 ? text.len : 40), text.ptr ? text.ptr : "");
    *tolerance = value;
    return ERR_OK;
}

static enum err_code query_all(struct call *call, bool *lists_all, struct err *err)
{
    struct str text;
    if (!http_query_find(call->x->request.query, "all", call->arena, &text))
        return ERR_OK;
    *lists_all = str_equal_c(text, "true");
    if (*lists_all || str_equal_c(text, "false"))
        return ERR_OK;
    return err_set(err, ERR_INVALID, "query 'all': expected true or false");
}

static enum err_code query_cursor(struct call *call, struct record_cursor *from, struct err *err)
{
    struct str text;
    if (!http_query_find(call->x->request.query, "cursor", call->arena, &text) ||
        record_cursor_parse(text, from))
        return ERR_OK;
    return err_set(err, ERR_INVALID, "query 'cursor': expected what X-Next-Cursor said, got '%.*s'",
                   (int)(text.len < 40 ? text.len : 40), text.ptr ? text.ptr : "");
}

static enum err_code query_from(struct call *call, struct record_filter *filter, struct err *err)
{
    struct str text;
    if (!http_query_find(call->x->request.query, "from", call->arena, &text))
        return ERR_OK;
    struct store *store = control_read_begin(call->node->control);
    enum err_code rc = version_resolve(store, filter->model, text, &filter->version, err);
    control_read_end(call->node->control);
    return rc;
}

static enum err_code read_page(struct call *call, struct page *page, struct version *to,
                               struct err *err)
{
    enum err_code rc = call_version(call, to, err);
    page->filter.model = to->model;
    if (!rc)
        rc = query_from(call, &page->filter, err);
    if (!rc)
        rc = call_query_time(call, "since", &page->filter.from_us, err);
    if (!rc)
        rc = call_query_time(call, "until", &page->filter.to_us, err);
    if (!rc)
        rc = call_query_i64(call, "limit", 1, ROWS_MAX, &page->limit, err);
    if (!rc)
        rc = query_tolerance(call, &page->tolerance, err);
    if (!rc)
        rc = query_all(call, &page->lists_all, err);
    if (!rc)
        rc = query_cursor(call, &page->from, err);
    if (!rc && page->filter.to_us && page->filter.from_us >= page->filter.to_us)
        rc = err_set(err, ERR_INVALID, "'since' is not before 'until'");
    return rc;
}

/* ---- rows ---- */

static void put_answer(struct json_writer *w, const struct record_answer *answer, struct str label)
{
    json_begin_object(w);
    if (answer->is_class) {
        json_key(w, "label");
        json_put_str(w, label);
    }
    if (answer->is_class && answer->has_score) {
        json_key(w, "probability");
        json_put_f32(w, answer->score);
    }
    if (!answer->is_class) {
        json_key(w, "value");
        json_put_f32(w, answer->value);
    }
    json_end_object(w);
}

static void put_answers(struct json_writer *w, const struct replay_row *row)
{
    char was[STR_NUMBER_BYTES], now[STR_NUMBER_BYTES];
    const struct record_schema *schema = row->record->schema;
    struct str now_label = row->now_class;
    if (!now_label.ptr)
        now_label = (struct str){now, str_from_i64(row->now_class_index, now)};
    json_key(w, "was");
    put_answer(w, &row->was, record_class_text(schema, row->was.class_index, was));
    json_key(w, "now");
    put_answer(w, &row->now, now_label);
}

static void put_row(struct page *page, const struct replay_row *row)
{
    char id[REQUEST_ID_BYTES_MAX + STR_NUMBER_BYTES + 1];
    struct json_writer *w = &page->w;
    const struct record *record = row->record;
    snprintf(id, sizeof(id), "%.*s-%" PRId64, STR_ARG(record->request_id), row->row);
    json_begin_object(w);
    json_member_text(w, "id", id);
    json_key(w, "at");
    json_put_time(w, record->at_us);
    json_member_i64(w, "version", record->schema->version);
    json_member_i64(w, "status", record->status);
    json_member_text(w, "change", replay_change_name(row->change));
    json_key(w, "difference");
    if (isfinite(row->difference))
        json_put_f64(w, row->difference);
    else
        json_put_null(w);
    json_member_bool(w, "other_class", row->is_other_class);
    if (row->has_answers)
        put_answers(w, row);
    if (row->reason)
        json_member_text(w, "reason", row->reason);
    json_end_object(w);
}

static void see(void *arg, const struct replay_row *row)
{
    struct page *page = arg;
    if (page->lists_all || row->change != REPLAY_EXACT)
        put_row(page, row);
}

/* ---- the page ---- */

static void put_counts(struct json_writer *w, const struct replay_counts *counts)
{
    json_member_u64(w, "asked", counts->rows);
    json_key(w, "changes");
    json_begin_object(w);
    for (int i = 0; i < REPLAY_CHANGE_COUNT; i++)
        json_member_u64(w, replay_change_name((enum replay_change)i), counts->change[i]);
    json_end_object(w);
    json_member_u64(w, "other_class", counts->other_class);
    json_key(w, "skipped");
    json_begin_object(w);
    for (int i = 0; i < REPLAY_SKIP_COUNT; i++)
        json_member_u64(w, replay_skip_name((enum replay_skip)i), counts->skipped[i]);
    json_end_object(w);
    json_key(w, "segments");
    json_begin_array(w);
    for (int i = 0; i < counts->segment_count; i++) {
        json_begin_object(w);
        json_member_text(w, "segment", counts->segments[i].name);
        json_member_u64(w, "rows", counts->segments[i].rows);
        json_member_u64(w, "changed", counts->segments[i].changed);
        json_end_object(w);
    }
    json_end_array(w);
}

static uint64_t rows_done(const struct replay_counts *counts)
{
    uint64_t done = counts->rows;
    for (int i = 0; i < REPLAY_SKIP_COUNT; i++)
        done += counts->skipped[i];
    return done;
}

static bool is_full(const struct page *page, const struct replay *replay, int64_t start_us)
{
    return rows_done(replay_counts(replay)) >= (uint64_t)page->limit ||
           page->call->x->response.body.len >= PAGE_BYTES_MAX ||
           clock_monotonic_us() - start_us >= PAGE_SECONDS_MAX * CLOCK_SECOND_US;
}

static enum err_code ask_page(struct page *page, struct replay *replay,
                              struct record_reader *reader, struct err *err)
{
    char cursor[RECORD_CURSOR_BYTES];
    struct record record;
    int64_t start_us = clock_monotonic_us();
    enum err_code rc;
    while (!(rc = record_reader_next(reader, &record, err))) {
        replay_take(replay, &record, record_reader_place(reader).segment);
        if (!is_full(page, replay, start_us))
            continue;
        record_cursor_format(record_reader_cursor(reader), cursor);
        http_add_header(&page->call->x->response, "X-Next-Cursor", str_of(cursor));
        return ERR_OK;
    }
    return rc == ERR_NOT_FOUND ? ERR_OK : rc;
}

static enum err_code answer_page(struct page *page, struct err *err)
{
    struct call *call = page->call;
    page->w = call_json(call, 200);
    struct json_writer *w = &page->w;
    struct replay *replay = replay_new(page->to, page->tolerance, see, page);
    struct record_reader *reader =
        record_reader_open(call->node->records, &page->filter, page->from);
    json_begin_object(w);
    json_member_text(w, "model", page->filter.model);
    json_member_i64(w, "to", page->to->number);
    json_key(w, "tolerance");
    json_put_f64(w, page->tolerance);
    json_key(w, "rows");
    json_begin_array(w);
    enum err_code rc = ask_page(page, replay, reader, err);
    json_end_array(w);
    put_counts(w, replay_counts(replay));
    json_member_i64(w, "damaged_segments", record_reader_skipped(reader));
    json_end_object(w);
    record_reader_close(reader);
    replay_free(replay);
    if (!rc && w->out->is_full)
        rc = err_set(err, ERR_LIMIT, "the reply is larger than %zu bytes: ask for fewer rows",
                     w->out->bytes_max);
    if (rc)
        buf_clear(w->out);
    return rc;
}

enum err_code replay_post(struct call *call, struct err *err)
{
    struct page page = {.call = call, .limit = ROWS_PRESET, .tolerance = TOLERANCE_PRESET};
    struct version to;
    enum err_code rc = read_page(call, &page, &to, err);
    if (!rc)
        rc = control_acquire(call->node->control, to.model, to.number, &page.to, err);
    if (!rc)
        rc = answer_page(&page, err);
    loaded_unref(page.to);
    return rc;
}
