/* profile.c - one sketch, one sample, judged when asked. */
#include "monitor/profile.h"

#include <stdlib.h>

#include "monitor/cause.h"
#include "monitor/judgement_json.h"
#include "monitor/row_sample.h"

enum { SAMPLE_SEED = 1 }; /* the same file gives the same words */

struct profile {
    struct arena *arena;
    struct baseline *baseline;
    struct sketch *sketch;
    struct row_sample sample;
    struct rand rand;
    uint64_t rows;
    uint64_t *slots;              /* [slots] */
    struct judgement *judgements; /* [columns] */
};

static void *take(int count, size_t bytes)
{
    void *memory = calloc((size_t)count + 1, bytes);
    if (!memory)
        abort();
    return memory;
}

struct profile *profile_new(const struct contract *contract)
{
    struct profile *p = take(1, sizeof(*p));
    p->arena = arena_new(SIZE_MAX / 2);
    p->baseline = baseline_of_contract(contract, p->arena);
    p->sketch = sketch_new(p->baseline, 1);
    p->sample.width = p->baseline->value_count;
    p->slots = take(sketch_slot_count(p->sketch), sizeof(*p->slots));
    p->judgements = take(p->baseline->column_count, sizeof(*p->judgements));
    rand_seed(&p->rand, SAMPLE_SEED);
    return p;
}

void profile_free(struct profile *p)
{
    if (!p)
        return;
    sketch_free(p->sketch);
    row_sample_done(&p->sample);
    arena_free(p->arena);
    free(p->slots);
    free(p->judgements);
    free(p);
}

void profile_add(struct profile *p, const float *values, int64_t row_count)
{
    sketch_add_rows(p->sketch, 0, ARM_NONE, values, row_count);
    if (p->sample.width > 0)
        row_sample_add_all(&p->sample, values, row_count, &p->rand);
    p->rows += (uint64_t)row_count;
}

static void judge(struct profile *p)
{
    int count = sketch_slot_count(p->sketch);
    uint32_t *now = take(count, sizeof(*now));
    sketch_sum(p->sketch, ARM_NONE, now);
    for (int i = 0; i < count; i++)
        p->slots[i] = now[i];
    free(now);
    judge_window(p->baseline, p->sketch, p->slots, p->judgements);
}

/* The answer is not among them. */
static int feature_count(const struct profile *p)
{
    return p->baseline->column_count - 1;
}

enum monitor_verdict profile_verdict(struct profile *p)
{
    judge(p);
    return judge_worst(p->judgements, feature_count(p));
}

static void write_feature(const struct profile *p, struct json_writer *w, int i)
{
    const struct baseline_column *c = &p->baseline->columns[i];
    float values[ROW_SAMPLE_ROWS];
    char cause[CAUSE_BYTES] = "";
    if (p->judgements[i].verdict >= MONITOR_WARN)
        cause_describe(c, p->slots + sketch_first_slot(p->sketch, i), &p->judgements[i], values,
                       row_sample_column(&p->sample, c->column, values), "", cause);
    json_begin_object(w);
    json_key(w, "feature");
    json_put_text(w, c->name);
    json_key(w, "baseline_rows");
    json_put_i64(w, (int64_t)c->rows);
    if (baseline_note(c)[0]) {
        json_key(w, "baseline_note");
        json_put_text(w, baseline_note(c));
    }
    judgement_write(w, &p->judgements[i], cause);
    json_end_object(w);
}

void profile_write(struct profile *p, struct json_writer *w)
{
    enum monitor_verdict verdict = profile_verdict(p);
    json_begin_object(w);
    json_key(w, "rows");
    json_put_u64(w, p->rows);
    json_key(w, "verdict");
    json_put_text(w, monitor_verdict_name(verdict));
    if (verdict == MONITOR_WAIT) {
        json_key(w, "reason");
        json_put_text(w, feature_count(p) ? p->judgements[0].wait
                                          : "the contract has no profile (slipwayReference)");
    }
    json_key(w, "features");
    json_begin_array(w);
    for (int i = 0; i < feature_count(p); i++)
        write_feature(p, w, i);
    json_end_array(w);
    json_end_object(w);
}

static void take_row(void *arg, const struct rows *row)
{
    profile_add(arg, row->values, row->count);
}

enum err_code profile_check_csv(const struct contract *contract, struct str text, bool with_drift,
                                struct arena *arena, struct json_writer *w,
                                enum monitor_verdict *verdict, struct err *err)
{
    struct check_report *report;
    struct csv *csv = csv_new(text, ',');
    struct profile *p = with_drift ? profile_new(contract) : NULL;
    const struct check_csv_watch watch = {.row = take_row, .arg = p};
    enum err_code rc =
        contract_check_csv_each(contract, csv, p ? &watch : NULL, arena, &report, err);
    *verdict = MONITOR_WAIT;
    if (!rc) {
        json_begin_object(w);
        check_report_write_members(w, contract, report);
        if (p) {
            *verdict = profile_verdict(p);
            json_key(w, "drift");
            profile_write(p, w);
        }
        json_end_object(w);
    }
    profile_free(p);
    csv_free(csv);
    return rc;
}
