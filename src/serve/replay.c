/* replay.c - one record after the other: asked again, compared, counted. */
#include "serve/replay.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "runtime/answer.h"
#include "serve/shadow_score.h"

struct replay {
    struct loaded *to;
    double tolerance;
    replay_row_fn *see;
    void *arg;
    struct arena *scratch;
    struct shadow_map *map; /* of the records' schema */
    const struct record_schema *schema;
    int64_t epoch;
    struct replay_counts counts;
};

const char *replay_change_name(enum replay_change change)
{
    static const char *const names[REPLAY_CHANGE_COUNT] = {
        "exact", "within", "changed", "now_fails", "now_answers", "still_fails"};
    return names[change];
}

const char *replay_skip_name(enum replay_skip skip)
{
    static const char *const names[REPLAY_SKIP_COUNT] = {"no_inputs", "redacted", "erased",
                                                         "refused", "no_answer"};
    return names[skip];
}

struct replay *replay_new(struct loaded *to, double tolerance, replay_row_fn *see, void *arg)
{
    struct replay *replay = calloc(1, sizeof(*replay));
    if (!replay)
        abort();
    replay->to = to;
    replay->tolerance = tolerance;
    replay->see = see;
    replay->arg = arg;
    replay->scratch = arena_new(REPLAY_SCRATCH_BYTES_MAX);
    return replay;
}

void replay_free(struct replay *replay)
{
    if (!replay)
        return;
    shadow_map_free(replay->map);
    arena_free(replay->scratch);
    free(replay);
}

const struct replay_counts *replay_counts(const struct replay *replay)
{
    return &replay->counts;
}

/* ---- how far two answers are apart ---- */

static double number_difference(double a, double b)
{
    if (isnan(a) && isnan(b))
        return 0;
    if (isnan(a) || isnan(b) || isinf(a) || isinf(b))
        return a == b ? 0 : INFINITY;
    return fabs(a - b) / fmax(1, fmax(fabs(a), fabs(b)));
}

static double answer_difference(const struct replay *replay, const struct replay_row *row,
                                const struct shadow_reply *reply)
{
    if (!row->was.is_class)
        return number_difference((double)row->was.value, (double)row->now.value);
    if (row->was.has_score && row->now.has_score)
        return shadow_probability_change(replay->map, row->record, reply->answer, row->row);
    return row->is_other_class ? 1 : 0;
}

/* False: the element is no number. */
static bool number_at(const struct tensor *tensor, int64_t i, double *number)
{
    if (tensor->dtype == DTYPE_F32)
        *number = (double)((const float *)tensor->data)[i];
    else if (tensor->dtype == DTYPE_F64)
        *number = ((const double *)tensor->data)[i];
    else
        return false;
    return true;
}

static bool has_equal_bytes(const struct tensor *a, const struct tensor *b, int64_t i)
{
    size_t bytes = dtype_bytes(a->dtype);
    if (a->dtype == DTYPE_BYTES)
        return str_equal(((const struct str *)a->data)[i], ((const struct str *)b->data)[i]);
    return memcmp((const char *)a->data + (size_t)i * bytes,
                  (const char *)b->data + (size_t)i * bytes, bytes) == 0;
}

static double row_difference(const struct tensor *was, const struct tensor *now, int64_t row,
                             int64_t width)
{
    double largest = 0;
    for (int64_t i = row * width; i < (row + 1) * width; i++) {
        double a, b;
        double one = number_at(was, i, &a) && number_at(now, i, &b) ? number_difference(a, b)
                                                                    : !has_equal_bytes(was, now, i);
        largest = fmax(largest, one);
    }
    return largest;
}

static const struct tensor *find_output(const struct shadow_reply *reply, const struct tensor *was)
{
    int64_t count = tensor_elements(was->shape, was->rank);
    for (int i = 0; i < reply->out_count; i++) {
        const struct tensor *now = &reply->out[i];
        if (strcmp(now->name, was->name) == 0 && now->dtype == was->dtype && now->data &&
            tensor_elements(now->shape, now->rank) == count)
            return now;
    }
    return NULL;
}

/* Outputs that are no class or number per row, by name; NaN when none can be compared. */
static double outputs_difference(const struct replay_row *row, const struct shadow_reply *reply)
{
    const struct record *record = row->record;
    double largest = NAN;
    for (int i = 0; i < record->output_count; i++) {
        const struct tensor *was = &record->outputs[i];
        const struct tensor *now = was->data ? find_output(reply, was) : NULL;
        if (now)
            largest = fmax(largest, row_difference(was, now, row->row,
                                                   tensor_elements(was->shape, was->rank) /
                                                       record->row_count));
    }
    return largest;
}

static void read_answers(const struct replay *replay, struct replay_row *row,
                         const struct shadow_reply *reply)
{
    row->has_answers = reply->answer && record_answer_read(row->record, row->row, &row->was);
    if (!row->has_answers)
        return;
    row->now = shadow_reply_answer(replay->map, reply->answer, row->row);
    row->has_answers = row->was.is_class == row->now.is_class;
    if (!row->has_answers || !row->was.is_class)
        return;
    row->is_other_class = row->was.class_index != row->now.class_index;
    row->now_class_index = answer_read(replay->to, reply->answer, row->row).class_index;
    row->now_class = answer_class_name(replay->to, row->now_class_index);
}

/* ---- counting ---- */

static struct replay_segment *find_segment(struct replay_counts *counts, const char *name)
{
    for (int i = 0; i < counts->segment_count; i++)
        if (strcmp(counts->segments[i].name, name) == 0)
            return &counts->segments[i];
    if (counts->segment_count == REPLAY_SEGMENTS_MAX)
        return NULL;
    struct replay_segment *segment = &counts->segments[counts->segment_count++];
    memcpy(segment->name, name, strlen(name) + 1);
    return segment;
}

static bool is_worse(enum replay_change change)
{
    return change == REPLAY_CHANGED || change == REPLAY_NOW_FAILS;
}

static void count_segment(struct replay_counts *counts, const struct record_column *column,
                          struct str value, enum replay_change change)
{
    char name[REPLAY_SEGMENT_BYTES];
    value = value.ptr ? value : STR_LIT("(missing)");
    snprintf(name, sizeof(name), "%s=%.*s", column->name, STR_ARG(value));
    struct replay_segment *segment = find_segment(counts, name);
    if (!segment)
        return;
    segment->rows++;
    segment->changed += is_worse(change);
}

static struct str category_at(const struct record_column *column, float value)
{
    bool is_known = value >= 0 && value < (float)column->category_count;
    return is_known ? column->categories[(int)value] : (struct str){0};
}

/* Texts, and categories. */
static void count_segments(struct replay_counts *counts, const struct replay_row *row)
{
    const struct record *record = row->record;
    const struct record_schema *schema = record->schema;
    for (int i = 0; i < schema->text_count && record->texts; i++)
        if (schema->texts[i].is_segment)
            count_segment(counts, &schema->texts[i],
                          record->texts[row->row * schema->text_count + i], row->change);
    for (int i = 0; i < schema->value_count; i++)
        if (schema->values[i].is_segment && schema->values[i].category_count)
            count_segment(
                counts, &schema->values[i],
                category_at(&schema->values[i], record->values[row->row * schema->value_count + i]),
                row->change);
}

static void give(struct replay *replay, struct replay_row *row)
{
    struct replay_counts *counts = &replay->counts;
    counts->rows++;
    counts->change[row->change]++;
    counts->other_class += row->is_other_class;
    count_segments(counts, row);
    replay->see(replay->arg, row);
}

/* ---- one record ---- */

static void skip(struct replay *replay, const struct record *record, enum replay_skip why)
{
    replay->counts.skipped[why] += (uint64_t)(record->row_count ? record->row_count : 1);
}

static void take_failure(struct replay *replay, const struct record *record, bool was_answered,
                         const char *reason)
{
    for (int64_t i = 0; i < record->row_count; i++) {
        struct replay_row row = {.record = record,
                                 .row = i,
                                 .change = was_answered ? REPLAY_NOW_FAILS : REPLAY_STILL_FAILS,
                                 .difference = NAN,
                                 .reason = reason};
        give(replay, &row);
    }
}

static void take_row(struct replay *replay, struct replay_row *row,
                     const struct shadow_reply *reply)
{
    read_answers(replay, row, reply);
    row->difference =
        row->has_answers ? answer_difference(replay, row, reply) : outputs_difference(row, reply);
    if (isnan(row->difference)) {
        replay->counts.skipped[REPLAY_NO_ANSWER]++;
        return;
    }
    if (row->is_other_class || row->difference > replay->tolerance)
        row->change = REPLAY_CHANGED;
    else
        row->change = row->difference > 0 ? REPLAY_WITHIN : REPLAY_EXACT;
    give(replay, row);
}

static void take_answers(struct replay *replay, const struct record *record, bool was_answered,
                         const struct shadow_reply *reply)
{
    for (int64_t i = 0; i < record->row_count; i++) {
        struct replay_row row = {.record = record, .row = i, .difference = NAN};
        if (was_answered) {
            take_row(replay, &row, reply);
            continue;
        }
        row.change = REPLAY_NOW_ANSWERS;
        give(replay, &row);
    }
}

static bool has_erased(const struct record *record)
{
    for (int64_t row = 0; row < record->row_count; row++)
        if (record_is_erased(record, row))
            return true;
    return false;
}

/* A request is asked as a whole or not at all: what one row lacks, its answer may lack too. */
static bool find_skip(const struct replay *replay, const struct record *record,
                      enum replay_skip *why)
{
    if (record->status >= 400 && record->status < 500)
        *why = REPLAY_REFUSED;
    else if (record->row_count == 0 || record->leaves_inputs)
        *why = REPLAY_NO_INPUTS;
    else if (has_erased(record))
        *why = REPLAY_ERASED;
    else if (!shadow_map_has_inputs(replay->map))
        *why = REPLAY_NO_INPUTS;
    else if (!shadow_map_is_whole(replay->map))
        *why = REPLAY_REDACTED;
    else
        return false;
    return true;
}

static void use_schema(struct replay *replay, const struct record_schema *schema, int64_t epoch)
{
    if (replay->map && replay->schema == schema && replay->epoch == epoch)
        return;
    shadow_map_free(replay->map);
    replay->map = shadow_map_new(schema, replay->to);
    replay->schema = schema;
    replay->epoch = epoch;
}

void replay_take(struct replay *replay, const struct record *record, int64_t epoch)
{
    struct shadow_reply reply;
    struct err err = {0};
    enum replay_skip why;
    bool was_answered = record_is_answered(record) && record->output_count > 0;
    use_schema(replay, record->schema, epoch);
    if (find_skip(replay, record, &why)) {
        skip(replay, record, why);
        return;
    }
    enum err_code rc = shadow_ask(replay->map, record, replay->scratch, &reply, &err);
    if (rc)
        take_failure(replay, record, was_answered, err.msg);
    else
        take_answers(replay, record, was_answered, &reply);
    arena_reset(replay->scratch);
}
