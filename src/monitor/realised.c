/* realised.c - sections of a quality report: one per version, from labelled rows and tallies. */
#include "monitor/realised.h"

#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "monitor/special.h"

#define NORMAL_95 1.959963984540054
#define DAY_US (INT64_C(24) * 3600 * CLOCK_SECOND_US)

enum { METRIC_RESAMPLES = 200 };

/* A day while it is being added up. */
struct day {
    struct realised_day out;
    double loss_sum, loss_squares;
    int64_t *scores; /* [class_count, ESTIMATE_BINS] of everything answered; NULL: none */
};

struct section {
    struct realised_section *out;
    int class_count;
    int64_t answered;
    int64_t *scores;                  /* the same over all days */
    int64_t *label_rows, *label_hits; /* [class_count, ESTIMATE_BINS] of labelled rows, any time */
    const struct realised_row **rows; /* [row_count] labelled, in the window */
    int64_t row_count;
    struct day days[REALISED_DAYS_MAX]; /* [day_count] newest first while reading */
    int day_count;
    struct estimate_map map;
    bool has_map;
};

struct measuring {
    struct store *store;
    const struct realised_query *query;
    struct arena *arena;
    int64_t now_us;
    struct section *sections[REALISED_SECTIONS_MAX]; /* [section_count] */
    int section_count;
    bool is_full;
};

const char *realised_state_name(enum realised_state state)
{
    static const char *const names[] = {"unlabelled", "provisional", "final"};
    assert(state <= REALISED_FINAL);
    return names[state];
}

double realised_loss(const struct realised_row *row)
{
    if (row->answer_class >= 0)
        return row->answer_class != row->truth_class;
    return fabs(row->answer_number - row->truth_number);
}

/* ---- sections and days ---- */

static int64_t *new_cells(struct measuring *m, int class_count)
{
    int64_t *cells = arena_calloc(m->arena, (size_t)class_count * ESTIMATE_BINS, sizeof(*cells));
    m->is_full = m->is_full || !cells;
    return cells;
}

static struct section *find_section(struct measuring *m, int64_t version, bool is_shadow,
                                    int class_count)
{
    for (int i = 0; i < m->section_count; i++)
        if (m->sections[i]->out->version == version && m->sections[i]->out->is_shadow == is_shadow)
            return m->sections[i];
    if (m->section_count == REALISED_SECTIONS_MAX)
        return NULL;
    struct section *s = arena_calloc(m->arena, 1, sizeof(*s));
    struct realised_section *out = arena_calloc(m->arena, 1, sizeof(*out));
    m->is_full = m->is_full || !s || !out;
    if (!s || !out)
        return NULL;
    *out = (struct realised_section){
        .version = version, .is_shadow = is_shadow, .is_class = class_count > 1};
    s->out = out;
    s->class_count = class_count;
    if (class_count > 1 && class_count <= PREDICTED_CLASSES_MAX) {
        s->label_rows = new_cells(m, class_count);
        s->label_hits = new_cells(m, class_count);
    }
    m->sections[m->section_count++] = s;
    return s;
}

static struct day *find_day(struct section *s, int64_t at_us)
{
    int64_t start_us = at_us - at_us % DAY_US;
    for (int i = s->day_count - 1; i >= 0; i--)
        if (s->days[i].out.start_us == start_us)
            return &s->days[i];
    if (s->day_count == REALISED_DAYS_MAX)
        return NULL;
    struct day *day = &s->days[s->day_count++];
    *day = (struct day){.out.start_us = start_us};
    return day;
}

/* ---- tallies ---- */

static void add_scores(struct measuring *m, int64_t **into, const struct tally *tally)
{
    if (!*into)
        *into = new_cells(m, tally->class_count);
    for (int i = 0; *into && i < tally->class_count * ESTIMATE_BINS; i++)
        (*into)[i] += tally->scores[i];
}

static enum err_code add_tally(void *arg, const struct tally *tally, struct err *err)
{
    struct measuring *m = arg;
    if (m->query->arm[0] && strcmp(m->query->arm, arm_name(tally->arm)) != 0)
        return ERR_OK;
    struct section *s =
        find_section(m, tally->version, tally->arm == ARM_SHADOW, tally->class_count);
    struct day *day = s ? find_day(s, tally->start_us) : NULL;
    if (!day)
        return m->is_full ? err_set(err, ERR_LIMIT, "no room for the tallies") : ERR_OK;
    s->answered += tally->rows;
    day->out.coverage.answered += tally->rows;
    if (tally->scores && tally->class_count == s->class_count) {
        add_scores(m, &s->scores, tally);
        add_scores(m, &day->scores, tally);
    }
    return m->is_full ? err_set(err, ERR_LIMIT, "no room for the tallies") : ERR_OK;
}

static enum err_code add_tallies(struct measuring *m, struct err *err)
{
    const struct tally_query query = {
        .model = m->query->model,
        .version = m->query->version,
        .rollout = m->query->rollout,
        .from_us = m->query->from_us - m->query->from_us % TALLY_SPAN_US,
        .to_us = m->query->to_us,
    };
    return tally_each(m->store, &query, add_tally, m, err);
}

/* ---- labelled rows ---- */

/* Every labelled row there is teaches what scores mean. */
static void add_label(struct section *s, const struct realised_row *row)
{
    if (!s->label_rows || !row->probabilities || row->class_count != s->class_count ||
        row->answer_class < 0 || row->answer_class >= s->class_count)
        return;
    bool is_binary = s->class_count == 2;
    double score = (double)row->probabilities[is_binary ? 1 : row->answer_class];
    int cell = estimate_cell(row->answer_class, score);
    s->label_rows[cell]++;
    s->label_hits[cell] +=
        is_binary ? row->truth_class == 1 : row->truth_class == row->answer_class;
}

static bool is_sound(const struct realised_row *row)
{
    return row->answer_class >= 0 ? row->truth_class >= 0 && row->truth_class < row->class_count
                                  : isfinite(row->truth_number) && isfinite(row->answer_number);
}

static void add_to_window(struct section *s, const struct realised_row *row, int64_t room)
{
    struct day *day = find_day(s, row->at_us);
    double loss = realised_loss(row);
    if (s->row_count < room)
        s->rows[s->row_count++] = row;
    if (!day)
        return;
    day->out.coverage.labelled++;
    day->loss_sum += loss;
    day->loss_squares += loss * loss;
}

static enum err_code add_rows(struct measuring *m, const struct realised_rows *rows,
                              struct err *err)
{
    for (int64_t i = 0; i < rows->count; i++) {
        const struct realised_row *row = &rows->rows[i];
        if (!is_sound(row))
            continue;
        struct section *s = find_section(m, row->version, row->is_shadow, row->class_count);
        if (!s)
            continue;
        if (!s->rows)
            s->rows = arena_alloc(m->arena, (size_t)rows->count * sizeof(*s->rows));
        if (!s->rows || m->is_full)
            return err_set(err, ERR_LIMIT, "no room for %lld labelled rows",
                           (long long)rows->count);
        add_label(s, row);
        if (row->at_us >= m->query->from_us)
            add_to_window(s, row, rows->count);
    }
    return ERR_OK;
}

/* ---- how far labels are in ---- */

static int by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static enum err_code measure_delays(struct measuring *m, struct section *s, struct err *err)
{
    if (s->row_count < REALISED_DELAY_LABELS_MIN)
        return ERR_OK;
    int64_t *delays = arena_alloc(m->arena, (size_t)s->row_count * sizeof(*delays));
    if (!delays)
        return err_set(err, ERR_LIMIT, "no room for label delays");
    for (int64_t i = 0; i < s->row_count; i++)
        delays[i] = s->rows[i]->delay_us;
    qsort(delays, (size_t)s->row_count, sizeof(*delays), by_number);
    s->out->delay_us_p50 = delays[s->row_count / 2];
    s->out->delay_us_p99 = delays[(s->row_count * 99) / 100];
    return ERR_OK;
}

/* `end_us`: when the last of these rows was answered, or could have been. */
static void judge_coverage(const struct measuring *m, const struct section *s, int64_t end_us,
                           struct realised_coverage *c)
{
    if (c->answered < c->labelled) /* counted before tallies were, or lost by a crash */
        c->answered = c->answered ? c->labelled : -1;
    c->ratio = c->answered > 0 ? (double)c->labelled / (double)c->answered : NAN;
    int64_t delay_us = m->query->label_delay_us ? m->query->label_delay_us : s->out->delay_us_p99;
    bool is_old = delay_us > 0 && end_us + delay_us < m->now_us;
    if (c->labelled == 0)
        c->state = REALISED_UNLABELLED;
    else if (is_old || c->ratio >= REALISED_FINAL_COVERAGE)
        c->state = REALISED_FINAL;
    else
        c->state = REALISED_PROVISIONAL;
}

/* ---- estimates ---- */

static void fit(struct measuring *m, struct section *s, struct realised_estimate *e)
{
    struct err why = {0};
    const size_t cells = (size_t)s->class_count * ESTIMATE_BINS;
    if (!s->label_rows) {
        e->missing = s->class_count > 1 ? "too many classes" : "the model answers numbers";
        return;
    }
    s->map.hit = arena_alloc(m->arena, cells * sizeof(double));
    s->map.weight = arena_alloc(m->arena, cells * sizeof(double));
    if (!s->map.hit || !s->map.weight) {
        e->missing = "no room";
        return;
    }
    s->has_map =
        estimate_fit(s->label_rows, s->label_hits, s->class_count, &s->map, &why) == ERR_OK;
    if (!s->has_map)
        e->missing = arena_copy(m->arena, why.msg, strlen(why.msg));
}

static struct realised_estimate estimate(const struct section *s, const int64_t *scores,
                                         const char *missing)
{
    struct err why = {0};
    struct realised_estimate e = {.missing = missing};
    if (!s->has_map)
        return e;
    e.label_count = s->map.label_count;
    e.missing = "no answer with probabilities was counted";
    if (!scores || estimate_quality(&s->map, scores, &e.estimate, &why))
        return e;
    e.is_known = true;
    e.missing = NULL;
    return e;
}

/* ---- metrics ---- */

static enum err_code no_room(struct err *err)
{
    return err_set(err, ERR_LIMIT, "no room to measure the labelled rows; ask for fewer days");
}

static enum err_code fill_classes(struct measuring *m, const struct section *s,
                                  struct quality_rows *rows, struct err *err)
{
    size_t count = (size_t)s->row_count, wide = s->class_count == 2 ? 1 : (size_t)s->class_count;
    int32_t *truth = arena_alloc(m->arena, count * sizeof(*truth));
    int32_t *predicted = arena_alloc(m->arena, count * sizeof(*predicted));
    double *probability = arena_alloc(m->arena, count * wide * sizeof(*probability));
    bool has_all = true;
    if (!truth || !predicted || !probability)
        return no_room(err);
    for (size_t i = 0; i < count; i++) {
        const struct realised_row *row = s->rows[i];
        truth[i] = row->truth_class;
        predicted[i] = row->answer_class;
        has_all = has_all && row->probabilities;
        for (size_t c = 0; has_all && c < wide; c++)
            probability[i * wide + c] = (double)row->probabilities[wide == 1 ? 1 : c];
    }
    rows->class_count = s->class_count;
    rows->truth = truth;
    rows->predicted = predicted;
    rows->probability = has_all ? probability : NULL;
    return ERR_OK;
}

static enum err_code fill_numbers(struct measuring *m, const struct section *s,
                                  struct quality_rows *rows, struct err *err)
{
    size_t count = (size_t)s->row_count;
    double *truth = arena_alloc(m->arena, count * sizeof(*truth));
    double *predicted = arena_alloc(m->arena, count * sizeof(*predicted));
    if (!truth || !predicted)
        return no_room(err);
    for (size_t i = 0; i < count; i++) {
        truth[i] = s->rows[i]->truth_number;
        predicted[i] = s->rows[i]->answer_number;
    }
    rows->truth_number = truth;
    rows->predicted_number = predicted;
    return ERR_OK;
}

static enum err_code measure_metrics(struct measuring *m, struct section *s, struct err *err)
{
    struct quality_rows rows = {.count = s->row_count};
    const struct quality_options options = {.resamples = METRIC_RESAMPLES};
    if (s->row_count == 0)
        return ERR_OK;
    enum err_code rc =
        s->out->is_class ? fill_classes(m, s, &rows, err) : fill_numbers(m, s, &rows, err);
    if (!rc)
        rc = quality_measure(&rows, &options, m->arena, s->out->metrics, err);
    return rc ? rc : realised_rank(s->rows, s->row_count, &options, m->arena, s->out->metrics, err);
}

/* Accuracy with Wilson's interval, or the mean absolute error with a normal one. */
static struct estimate_value day_quality(const struct section *s, const struct day *day)
{
    int64_t n = day->out.coverage.labelled;
    double mean = day->loss_sum / (double)n;
    if (n == 0)
        return (struct estimate_value){NAN, NAN, NAN};
    if (s->out->is_class) {
        int64_t right = n - (int64_t)day->loss_sum;
        struct interval i = binomial_wilson(right, n, 0.05);
        return (struct estimate_value){1 - mean, i.low, i.high};
    }
    double variance = fmax(0, day->loss_squares / (double)n - mean * mean);
    double half = NORMAL_95 * sqrt(variance / (double)n);
    return (struct estimate_value){mean, fmax(0, mean - half), mean + half};
}

static int by_day(const void *a, const void *b)
{
    const struct realised_day *x = a, *y = b;
    return (x->start_us > y->start_us) - (x->start_us < y->start_us);
}

static enum err_code measure_days(struct measuring *m, struct section *s, const char *missing,
                                  struct err *err)
{
    struct realised_day *days = arena_calloc(m->arena, (size_t)s->day_count + 1, sizeof(*days));
    if (!days)
        return no_room(err);
    for (int i = 0; i < s->day_count; i++) {
        struct day *day = &s->days[i];
        day->out.quality = day_quality(s, day);
        day->out.estimate = estimate(s, day->scores, missing);
        judge_coverage(m, s, day->out.start_us + DAY_US, &day->out.coverage);
        days[i] = day->out;
    }
    qsort(days, (size_t)s->day_count, sizeof(*days), by_day);
    s->out->days = days;
    s->out->day_count = s->day_count;
    return ERR_OK;
}

static enum err_code measure_section(struct measuring *m, struct section *s, struct err *err)
{
    struct realised_section *out = s->out;
    struct realised_estimate fitted = {0};
    int64_t end_us = m->query->to_us < m->now_us ? m->query->to_us : m->now_us;
    out->coverage = (struct realised_coverage){.answered = s->answered, .labelled = s->row_count};
    enum err_code rc = measure_delays(m, s, err);
    if (rc)
        return rc;
    judge_coverage(m, s, end_us, &out->coverage);
    fit(m, s, &fitted);
    out->estimate = estimate(s, s->scores, fitted.missing);
    rc = measure_metrics(m, s, err);
    if (!rc)
        rc = measure_days(m, s, fitted.missing, err);
    if (!rc)
        rc = realised_slices(s->rows, s->row_count, m->arena, &out->slices, &out->slice_count, err);
    if (!rc && !out->is_shadow)
        rc = realised_values(m->store, m->query, out->version, s->answered, m->arena, &out->values,
                             &out->value_count, err);
    return rc;
}

/* ---- all of it ---- */

static int by_version(const void *a, const void *b)
{
    const struct realised_section *x = a, *y = b;
    if (x->version != y->version)
        return x->version < y->version ? 1 : -1;
    return x->is_shadow - y->is_shadow;
}

static enum err_code measure_all(struct measuring *m, struct realised *realised, struct err *err)
{
    struct realised_section *list =
        arena_calloc(m->arena, (size_t)m->section_count + 1, sizeof(*list));
    if (!list)
        return no_room(err);
    int count = 0;
    for (int i = 0; i < m->section_count; i++) {
        if (m->sections[i]->answered == 0 && m->sections[i]->row_count == 0)
            continue; /* all of its labels are older than the question */
        enum err_code rc = measure_section(m, m->sections[i], err);
        if (rc)
            return rc;
        list[count++] = *m->sections[i]->out;
    }
    qsort(list, (size_t)count, sizeof(*list), by_version);
    realised->sections = list;
    realised->section_count = count;
    return ERR_OK;
}

enum err_code realised_measure(struct store *store, const struct realised_query *query,
                               struct arena *arena, struct realised *realised, struct err *err)
{
    struct realised_rows rows;
    struct realised_query any_time = *query;
    struct measuring *m = arena_calloc(arena, 1, sizeof(*m));
    if (!m)
        return no_room(err);
    *m = (struct measuring){
        .store = store, .query = query, .arena = arena, .now_us = clock_wall_us()};
    any_time.from_us = INT64_MIN;
    *realised = (struct realised){0};
    enum err_code rc = add_tallies(m, err);
    if (!rc)
        rc = realised_read(store, &any_time, arena, &rows, err);
    if (!rc)
        rc = add_rows(m, &rows, err);
    if (rc)
        return rc;
    realised->is_cut = rows.is_cut;
    return measure_all(m, realised, err);
}
