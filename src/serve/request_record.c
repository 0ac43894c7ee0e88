/* request_record.c - what a request knows when its reply is written, as a record; copies nothing
 * itself. */
#include "serve/request_record.h"

#include "base/check.h"

static void put_rows(const struct request *req, struct record *record)
{
    const struct rows *rows = &req->rows;
    record->row_count = rows->count;
    record->values = rows->values;
    record->texts = rows->texts;
    record->is_suspect = rows->is_suspect;
    for (int rule = 0; rows->has_violation && rule < RULE_COUNT; rule++) {
        record->violation_count += (int)rows->violation_count[rule];
        record->violated_rules |= (rows->violation_count[rule] > 0) << rule;
    }
}

/* The caller named the outputs it wanted: each into its place of the usual answer. */
static void put_wanted(const struct request *req, struct tensor *places, int place_count)
{
    const struct signature *sig = req->loaded->signature;
    for (int i = 0, place = 0, given = 0; i < sig->output_count; i++) {
        if (!sig->outputs[i].is_on_request) {
            assert(place < place_count);
            places[place++] = req->wanted[i] ? req->out[given] : (struct tensor){0};
        }
        given += req->wanted[i];
    }
}

/* Answered rows have their outputs in the record, also when the answer waits for a person. */
static bool is_answered(int status)
{
    return status == 200 || status == 202;
}

void request_record_fill(const struct request *req, int status, int64_t now_ns,
                         struct tensor *places, struct record *record)
{
    const struct record_schema *schema = req->loaded->record_schema;
    *record = (struct record){
        .schema = schema,
        .request_id = req->id,
        .traceparent = req->traceparent,
        .span_id = req->span_id,
        .latency_us = (now_ns - req->exchange->start_ns) / 1000,
        .status = status,
        .arm = req->arm,
        .rollout = req->rollout,
        .has_key = req->has_key,
        .key_hash = req->key_hash,
        .share = 1,
    };
    if (req->has_rows)
        put_rows(req, record);
    else if (req->features) {
        record->row_count = req->row_count;
        record->values = req->features;
    }
    if (!is_answered(status))
        return;
    record->output_count = schema->output_count;
    record->outputs = req->out;
    if (req->wanted) {
        put_wanted(req, places, schema->output_count);
        record->outputs = places;
    } else {
        assert(req->out_count == schema->output_count);
    }
}

void request_record(const struct request *req, int status, int64_t now_ns)
{
    struct tensor places[RUNTIME_TENSORS_MAX];
    struct record record;
    request_record_fill(req, status, now_ns, places, &record);
    record_queue_push(req->thread->records, &record, now_ns);
}
