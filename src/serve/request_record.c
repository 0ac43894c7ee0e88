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

static void put_asides(const struct request *req, struct tensor *places, int count)
{
    for (int i = 0; i < count; i++)
        places[i] = req->aside ? req->aside[i] : (struct tensor){0};
}

/* A record holds what can be cut into rows. */
static bool has_rows(const struct tensor *output, int64_t rows)
{
    return output->data && rows > 0 && tensor_elements(output->shape, output->rank) % rows == 0;
}

static void leave_out_others(const struct request *req, struct tensor *places, int count)
{
    for (int i = 0; i < count; i++)
        if (!has_rows(&places[i], req->row_count))
            places[i] = (struct tensor){0};
}

/* Answered rows have their outputs in the record, also when the answer waits for a person. */
static bool is_answered(int status)
{
    return status == 200 || status == 202;
}

static void put_sampling(const struct serving_records *records, struct record *record)
{
    if (!records->is_set)
        return;
    bool is_always = (records->keeps_errors && record->status >= 400) ||
                     (records->keeps_held && record->status == 202);
    record->share = (float)records->share;
    if (is_always || records->share >= 1)
        record->share = RECORD_ALWAYS;
    else if (records->share <= 0)
        record->share = RECORD_NEVER;
    record->leaves_inputs = records->leaves_inputs;
    record->keeps_differing = records->keeps_differing;
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
        .is_cached = req->is_cached,
    };
    put_sampling(&req->endpoint->serving->records, record);
    if (req->has_rows)
        put_rows(req, record);
    else if (req->in) {
        record->row_count = req->row_count;
        record->values = req->features;
    }
    if (!is_answered(status))
        return;
    int usual_count = schema->output_count - schema->aside_count;
    record->output_count = schema->output_count;
    record->outputs = req->out;
    assert(req->wanted || req->out_count == usual_count);
    if (!req->wanted && !schema->aside_count && loaded_is_tabular(req->loaded))
        return;
    if (req->wanted)
        put_wanted(req, places, usual_count);
    else
        memcpy(places, req->out, (size_t)req->out_count * sizeof(*places));
    put_asides(req, places + usual_count, schema->aside_count);
    leave_out_others(req, places, schema->output_count);
    record->outputs = places;
}

void request_record(const struct request *req, int status, int64_t now_ns)
{
    struct tensor places[RECORD_OUTPUTS_MAX];
    struct record record;
    request_record_fill(req, status, now_ns, places, &record);
    record_queue_push(req->thread->records, &record, now_ns);
}
