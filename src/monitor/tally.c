/* tally.c - records counted by version, arm and span, on the recorder thread. */
#include "monitor/tally.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "monitor/record_answer.h"
#include "monitor/tally_store.h"

struct live {
    struct tally tally;
    const struct record_schema *schema;
    int64_t run_us; /* no other tally of its span has it, saved or not */
    bool is_changed;
    bool is_saving; /* written in the transaction that is going on */
};

struct tallies {
    pthread_mutex_t lock; /* of everything */
    int64_t
        next_run_us; /* of the next tally: begin of this process, a microsecond more each time */
    int count;
    struct live *live[TALLIES_MAX]; /* [count] owned */
    struct live *last;              /* the one that counted last; NULL: none */
    uint64_t dropped;
};

struct tallies *tallies_new(void)
{
    struct tallies *t = calloc(1, sizeof(*t));
    if (!t)
        abort();
    pthread_mutex_init(&t->lock, NULL);
    t->next_run_us = clock_wall_us();
    return t;
}

static void live_free(struct live *live)
{
    free(live->tally.scores);
    free(live);
}

void tallies_free(struct tallies *t)
{
    if (!t)
        return;
    for (int i = 0; i < t->count; i++)
        live_free(t->live[i]);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

/* ---- counting ---- */

static bool is_of(const struct live *live, const struct record *r, int64_t start_us)
{
    return live->schema == r->schema && live->tally.start_us == start_us &&
           live->tally.arm == r->arm && live->tally.rollout == r->rollout;
}

static struct live *live_new(const struct record *r, int64_t start_us)
{
    const struct record_schema *schema = r->schema;
    struct live *live = calloc(1, sizeof(*live));
    if (!live)
        abort();
    live->schema = schema;
    live->tally = (struct tally){
        .model = schema->model,
        .version = schema->version,
        .arm = r->arm,
        .rollout = r->rollout,
        .start_us = start_us,
        .class_count = schema->class_count,
    };
    if (schema->class_count < 2 || schema->class_count > PREDICTED_CLASSES_MAX ||
        !schema->is_probability)
        return live;
    live->tally.scores =
        calloc((size_t)schema->class_count * ESTIMATE_BINS, sizeof(*live->tally.scores));
    if (!live->tally.scores)
        abort();
    return live;
}

/* Spans are counted from 1970, also before it. */
static int64_t span_of(int64_t at_us)
{
    int64_t rest = at_us % TALLY_SPAN_US;
    return at_us - (rest < 0 ? rest + TALLY_SPAN_US : rest);
}

static struct live *find(struct tallies *t, const struct record *r)
{
    int64_t start_us = span_of(r->at_us);
    if (t->last && is_of(t->last, r, start_us))
        return t->last;
    for (int i = 0; i < t->count; i++)
        if (is_of(t->live[i], r, start_us))
            return t->last = t->live[i];
    if (t->count == TALLIES_MAX)
        return NULL;
    t->last = t->live[t->count++] = live_new(r, start_us);
    t->last->run_us = t->next_run_us++; /* the clock may come back to a span that was saved */
    return t->last;
}

static void count_row(struct tally *tally, const struct record *r, int64_t row)
{
    struct record_answer answer;
    if (!record_answer_read(r, row, &answer))
        return;
    if (!answer.is_class) {
        if (isfinite(answer.value)) {
            tally->value_sum += (double)answer.value;
            tally->value_squares += (double)answer.value * (double)answer.value;
        }
        return;
    }
    if (!tally->scores || !answer.has_score)
        return;
    float score = tally->class_count == 2 ? record_answer_probability(r, row, 1) : answer.score;
    tally->scores[estimate_cell(answer.class_index, (double)score)]++;
}

static void count_record(struct tally *tally, const struct record *r)
{
    tally->requests++;
    tally->failures += r->status >= 500;
    tally->rejected += r->status >= 400 && r->status < 500;
    if (!record_is_answered(r))
        return;
    if (r->status == 200) { /* an answer that waits for a person is not slow */
        tally->latency.counts[histogram_bucket((uint64_t)r->latency_us * 1000)]++;
        tally->latency.sum_ns += (uint64_t)r->latency_us * 1000;
        tally->latency.count++;
    }
    tally->rows += r->row_count;
    for (int64_t row = 0; row < r->row_count; row++) {
        tally->suspects += r->is_suspect && r->is_suspect[row];
        count_row(tally, r, row);
    }
}

void tallies_take(void *arg, const struct record *record)
{
    struct tallies *t = arg;
    pthread_mutex_lock(&t->lock);
    struct live *live = find(t, record);
    if (live) {
        count_record(&live->tally, record);
        live->is_changed = true;
    } else {
        t->dropped++;
    }
    pthread_mutex_unlock(&t->lock);
}

uint64_t tallies_dropped(struct tallies *t)
{
    pthread_mutex_lock(&t->lock);
    uint64_t dropped = t->dropped;
    pthread_mutex_unlock(&t->lock);
    return dropped;
}

/* ---- saving ---- */

int tallies_changed(struct tallies *t)
{
    int changed = 0;
    pthread_mutex_lock(&t->lock);
    for (int i = 0; i < t->count; i++)
        changed += t->live[i]->is_changed || t->live[i]->is_saving;
    pthread_mutex_unlock(&t->lock);
    return changed;
}

/* The texts are made under the lock, the store is asked without it: the recorder never waits for a
 * disk. */
static bool take_changed(struct tallies *t, int i, struct tally_row *row)
{
    bool is_taken = false;
    pthread_mutex_lock(&t->lock);
    if (i < t->count && (t->live[i]->is_changed || t->live[i]->is_saving)) {
        tally_row_write(row, &t->live[i]->tally, t->live[i]->run_us);
        t->live[i]->is_changed = false;
        t->live[i]->is_saving = true;
        is_taken = true;
    }
    pthread_mutex_unlock(&t->lock);
    return is_taken;
}

enum err_code tallies_save(struct tallies *t, struct store *store, struct err *err)
{
    enum err_code rc = ERR_OK;
    struct tally_row row;
    tally_row_init(&row);
    for (int i = 0; i < TALLIES_MAX && !rc; i++)
        if (take_changed(t, i, &row))
            rc = tally_row_put(&row, store, err);
    tally_row_done(&row);
    return rc;
}

void tallies_saved(struct tallies *t, int64_t now_us)
{
    pthread_mutex_lock(&t->lock);
    int kept = 0;
    for (int i = 0; i < t->count; i++) {
        struct live *live = t->live[i];
        live->is_saving = false;
        if (!live->is_changed && live->tally.start_us + 2 * TALLY_SPAN_US < now_us)
            live_free(live);
        else
            t->live[kept++] = live;
    }
    t->count = kept;
    t->last = NULL;
    pthread_mutex_unlock(&t->lock);
}
