/* impact.c - two sides measured and subtracted, line by line. */
#include "monitor/impact.h"

#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "monitor/drift.h"
#include "monitor/special.h"
#include "registry/registry_check.h"

#define NORMAL_95 1.959963984540054
#define DENSE_SHARE 0.5
#define SQL_DELAYS                                                                                 \
    "SELECT o.received_us - p.at_us FROM predicted p JOIN outcomes o ON o.prediction_id = p.id "   \
    "AND o.model = p.model AND o.version = p.version WHERE p.model = ?1 AND p.version = ?2 AND "   \
    "p.at_us >= ?3 AND p.at_us < ?4 AND o.name = ?5 AND o.state = 'current' LIMIT ?6"

enum { DRIFT_BINS = 10, DELAYS_MIN = 30, SPANS_MAX = 6 * 24 * 60 };

/* One side, added up. */
struct side {
    const struct impact_side *asked;
    struct tally sum;
    int64_t *scores;
    const struct realised_section *section; /* NULL: it answered nothing, or was not counted */
    struct {
        int64_t start_us, rows;
    } spans[SPANS_MAX]; /* [span_count] */
    int span_count;
};

struct measuring {
    struct store *store;
    const struct impact_query *query;
    struct arena *arena;
    struct impact *out;
    struct side *before, *after;
    int64_t now_us;
};

const char *impact_verdict_name(enum impact_verdict verdict)
{
    static const char *const names[] = {"unknown", "same", "better", "worse", "changed"};
    assert(verdict <= IMPACT_CHANGED);
    return names[verdict];
}

/* ---- a side ---- */

static enum err_code add_span(void *arg, const struct tally *tally, struct err *err)
{
    struct side *side = arg;
    (void)err;
    bool is_shadow = tally->arm == ARM_SHADOW;
    if (side->asked->arm[0] ? strcmp(side->asked->arm, arm_name(tally->arm)) != 0 : is_shadow)
        return ERR_OK;
    if (!side->sum.scores && tally->scores) {
        side->sum.scores = side->scores;
        side->sum.class_count = tally->class_count;
    }
    tally_add(&side->sum, tally);
    if (side->span_count < SPANS_MAX) {
        side->spans[side->span_count].start_us = tally->start_us;
        side->spans[side->span_count++].rows = tally->rows;
    }
    return ERR_OK;
}

static enum err_code no_room(struct err *err)
{
    return err_set(err, ERR_LIMIT, "no room for the report");
}

static enum err_code read_tallies(struct measuring *m, struct side *side, struct err *err)
{
    const struct tally_query query = {
        .model = m->query->model,
        .version = side->asked->version,
        .rollout = m->query->rollout,
        .from_us = side->asked->from_us - side->asked->from_us % TALLY_SPAN_US,
        .to_us = side->asked->to_us,
    };
    side->scores = arena_calloc(m->arena, PREDICTED_CLASSES_MAX * ESTIMATE_BINS, sizeof(int64_t));
    if (!side->scores)
        return no_room(err);
    return tally_each(m->store, &query, add_span, side, err);
}

static enum err_code read_quality(struct measuring *m, struct side *side, struct err *err)
{
    struct realised realised;
    const struct realised_query query = {
        .model = m->query->model,
        .version = side->asked->version,
        .arm = side->asked->arm,
        .rollout = m->query->rollout,
        .from_us = side->asked->from_us,
        .to_us = side->asked->to_us,
    };
    enum err_code rc = realised_measure(m->store, &query, m->arena, &realised, err);
    for (int i = 0; i < realised.section_count && !rc; i++)
        if (!realised.sections[i].is_shadow)
            side->section = &realised.sections[i];
    return rc;
}

static enum err_code read_side(struct measuring *m, const struct impact_side *asked,
                               struct side **out, struct impact_volume *volume, struct err *err)
{
    struct side *side = arena_calloc(m->arena, 1, sizeof(*side));
    if (!side)
        return no_room(err);
    side->asked = asked;
    enum err_code rc = read_tallies(m, side, err);
    if (!rc)
        rc = read_quality(m, side, err);
    if (rc)
        return rc;
    *volume = (struct impact_volume){
        .requests = side->sum.requests,
        .rows = side->sum.rows,
        .labelled = side->section ? side->section->coverage.labelled : 0,
        .coverage = side->section ? side->section->coverage.ratio : NAN,
    };
    *out = side;
    return ERR_OK;
}

/* ---- lines ---- */

static struct estimate_value unknown(void)
{
    return (struct estimate_value){NAN, NAN, NAN};
}

/* Interval of a difference from the intervals of its two sides: each end is as far from the
 * difference as the nearer ends of both are from theirs (MOVER: Zou and Donner, 2008). */
static struct estimate_value subtract(struct estimate_value after, struct estimate_value before)
{
    double d = after.value - before.value;
    double down = hypot(after.value - after.low, before.high - before.value);
    double up = hypot(after.high - after.value, before.value - before.low);
    return (struct estimate_value){d, d - down, d + up};
}

static enum impact_verdict judge(const struct impact_line *line)
{
    const struct estimate_value *d = &line->difference;
    if (!isfinite(d->value) || !isfinite(d->low) || !isfinite(d->high))
        return IMPACT_UNKNOWN;
    if (d->low <= 0 && d->high >= 0)
        return IMPACT_SAME;
    if (line->direction == OUTCOME_NEUTRAL)
        return IMPACT_CHANGED;
    return (d->value > 0) == (line->direction == OUTCOME_UP) ? IMPACT_BETTER : IMPACT_WORSE;
}

static struct impact_line *add_line(struct measuring *m, const char *name, const char *unit,
                                    enum outcome_direction direction, struct estimate_value before,
                                    struct estimate_value after)
{
    struct impact *out = m->out;
    assert(out->line_count < IMPACT_LINES_MAX);
    struct impact_line *line = &out->lines[out->line_count++];
    *line = (struct impact_line){
        .name = name,
        .unit = unit,
        .direction = direction,
        .before = before,
        .after = after,
        .difference = subtract(after, before),
        .matured = NAN,
    };
    line->relative = before.value != 0 ? line->difference.value / fabs(before.value) : (double)NAN;
    line->verdict = judge(line);
    return line;
}

static void count_line(struct impact_line *line, int64_t before, int64_t after)
{
    line->before_count = before;
    line->after_count = after;
}

/* A quantile in ms; its interval from the ranks of a binomial. */
static struct estimate_value latency(const struct side *side, double q)
{
    const struct histogram_sum *sum = &side->sum.latency;
    if (sum->count < IMPACT_REQUESTS_MIN)
        return unknown();
    double half = NORMAL_95 * sqrt(q * (1 - q) / (double)sum->count);
    return (struct estimate_value){
        (double)histogram_quantile(sum, q) / 1e6,
        (double)histogram_quantile(sum, fmax(0, q - half)) / 1e6,
        (double)histogram_quantile(sum, fmin(1, q + half)) / 1e6,
    };
}

static struct estimate_value share(int64_t part, int64_t whole)
{
    if (whole < IMPACT_REQUESTS_MIN)
        return unknown();
    struct interval i = binomial_wilson(part, whole, 0.05);
    return (struct estimate_value){(double)part / (double)whole, i.low, i.high};
}

static void add_traffic(struct measuring *m)
{
    const struct tally *b = &m->before->sum, *a = &m->after->sum;
    int64_t before = (int64_t)b->latency.count, after = (int64_t)a->latency.count;
    count_line(add_line(m, "latency_p50", "ms", OUTCOME_DOWN, latency(m->before, 0.5),
                        latency(m->after, 0.5)),
               before, after);
    count_line(add_line(m, "latency_p95", "ms", OUTCOME_DOWN, latency(m->before, 0.95),
                        latency(m->after, 0.95)),
               before, after);
    count_line(add_line(m, "failed_requests", "share", OUTCOME_DOWN,
                        share(b->failures, b->requests), share(a->failures, a->requests)),
               b->requests, a->requests);
    count_line(add_line(m, "rejected_requests", "share", OUTCOME_DOWN,
                        share(b->rejected, b->requests), share(a->rejected, a->requests)),
               b->requests, a->requests);
    count_line(add_line(m, "suspect_rows", "share", OUTCOME_DOWN, share(b->suspects, b->rows),
                        share(a->suspects, a->rows)),
               b->rows, a->rows);
}

static struct estimate_value metric_of(const struct side *side, int metric, int64_t *n)
{
    const struct quality *q = side->section ? &side->section->metrics[metric] : NULL;
    *n = q ? q->n : 0;
    if (!q || !q->is_measured || q->missing)
        return unknown();
    return (struct estimate_value){q->value, q->low, q->high};
}

static enum outcome_direction better(int metric)
{
    switch (quality_better((enum quality_metric)metric)) {
    case BETTER_HIGHER:
        return OUTCOME_UP;
    case BETTER_LOWER:
        return OUTCOME_DOWN;
    case BETTER_NEAR_ONE:
    case BETTER_NEAR_ZERO:
        break;
    }
    return OUTCOME_NEUTRAL;
}

static void add_quality(struct measuring *m)
{
    static const int metrics[] = {QUALITY_ACCURACY, QUALITY_PRECISION, QUALITY_RECALL, QUALITY_AUC,
                                  QUALITY_BRIER,    QUALITY_MAE,       QUALITY_RMSE};
    for (size_t i = 0; i < ARRAY_LEN(metrics); i++) {
        int64_t nb, na;
        struct estimate_value before = metric_of(m->before, metrics[i], &nb);
        struct estimate_value after = metric_of(m->after, metrics[i], &na);
        if (nb == 0 && na == 0)
            continue;
        struct impact_line *line = add_line(m, quality_name((enum quality_metric)metrics[i]), "",
                                            better(metrics[i]), before, after);
        count_line(line, nb, na);
        line->matured = m->after->section ? m->after->section->coverage.ratio : NAN;
    }
}

static void add_estimate(struct measuring *m)
{
    const struct realised_section *b = m->before->section, *a = m->after->section;
    bool has_before = b && b->estimate.is_known, has_after = a && a->estimate.is_known;
    if (!has_before && !has_after)
        return;
    struct impact_line *line = add_line(m, "estimated_accuracy", "", OUTCOME_UP,
                                        has_before ? b->estimate.estimate.accuracy : unknown(),
                                        has_after ? a->estimate.estimate.accuracy : unknown());
    count_line(line, has_before ? b->estimate.estimate.row_count : 0,
               has_after ? a->estimate.estimate.row_count : 0);
}

/* ---- answers: how differently they are distributed ---- */

static void gather_scores(const struct side *side, double *bins)
{
    for (int c = 0; c < side->sum.class_count; c++)
        for (int i = 0; i < ESTIMATE_BINS; i++)
            bins[i * DRIFT_BINS / ESTIMATE_BINS] += (double)side->sum.scores[c * ESTIMATE_BINS + i];
}

/* Bias-corrected stability index between the two sides' scores: 0 is no change, 0.1 and 0.25 are
 * the customary limits. The interval is not known; chance is subtracted. */
static void add_drift(struct measuring *m)
{
    double before[DRIFT_BINS] = {0}, after[DRIFT_BINS] = {0};
    if (!m->before->sum.scores || !m->after->sum.scores ||
        m->before->sum.rows < IMPACT_REQUESTS_MIN || m->after->sum.rows < IMPACT_REQUESTS_MIN)
        return;
    gather_scores(m->before, before);
    gather_scores(m->after, after);
    struct impact *out = m->out;
    double psi = drift_psi_corrected_nats(before, after, DRIFT_BINS);
    out->lines[out->line_count++] = (struct impact_line){
        .name = "score_drift_psi",
        .unit = "nats",
        .before = unknown(),
        .after = {psi, NAN, NAN},
        .difference = unknown(),
        .relative = NAN,
        .matured = NAN,
        .before_count = m->before->sum.rows,
        .after_count = m->after->sum.rows,
        .verdict = psi >= 0.1 ? IMPACT_CHANGED : IMPACT_SAME,
    };
}

/* ---- values ---- */

static void note(struct measuring *m, const char *text)
{
    if (text && m->out->note_count < IMPACT_NOTES_MAX)
        m->out->notes[m->out->note_count++] = text;
}

struct delays {
    int64_t *us; /* [count] ascending */
    int count;
};

static enum err_code read_delay(struct store_rows *rows, void *arg, struct err *err)
{
    struct delays *delays = arg;
    (void)err;
    if (delays->count < IMPACT_DELAYS_MAX)
        delays->us[delays->count++] = store_i64(rows, 0);
    return ERR_OK;
}

static int by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static enum err_code read_delays(struct measuring *m, const char *name, struct delays *delays,
                                 struct err *err)
{
    const struct store_value params[] = {
        STORE_CSTR(m->query->model),
        STORE_INT(m->query->before.version),
        STORE_INT(m->query->before.from_us),
        STORE_INT(m->query->before.to_us),
        STORE_CSTR(name),
        STORE_INT(IMPACT_DELAYS_MAX),
    };
    delays->count = 0;
    delays->us = arena_alloc(m->arena, IMPACT_DELAYS_MAX * sizeof(*delays->us));
    if (!delays->us)
        return no_room(err);
    enum err_code rc = registry_each_row(m->store, SQL_DELAYS, params, 6, read_delay, delays, err);
    qsort(delays->us, (size_t)delays->count, sizeof(*delays->us), by_number);
    return rc;
}

/* Share of outcomes that come within `age_us`, by those of the side before. */
static double arrived(const struct delays *delays, int64_t age_us)
{
    int low = 0, high = delays->count;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (delays->us[middle] <= age_us)
            low = middle + 1;
        else
            high = middle;
    }
    return (double)low / (double)delays->count;
}

/* Each span of the side after is as mature as outcomes of its age were before. */
static double maturity(const struct measuring *m, const struct delays *delays)
{
    double rows = 0, sum = 0;
    if (delays->count < DELAYS_MIN)
        return NAN;
    for (int i = 0; i < m->after->span_count; i++) {
        double n = (double)m->after->spans[i].rows;
        rows += n;
        sum += n * arrived(delays, m->now_us - m->after->spans[i].start_us);
    }
    return rows > 0 ? sum / rows : NAN;
}

static const struct realised_value *find_value(const struct side *side, const char *name)
{
    for (int i = 0; side->section && i < side->section->value_count; i++)
        if (strcmp(side->section->values[i].name->name, name) == 0)
            return &side->section->values[i];
    return NULL;
}

/* Nobody reported it on this side: 0 an answer, as surely as answers were counted. */
static struct estimate_value value_of(const struct side *side, const struct realised_value *value)
{
    if (value)
        return value->per_answer;
    return side->sum.rows >= IMPACT_REQUESTS_MIN ? (struct estimate_value){0, 0, 0} : unknown();
}

static double known_share(const struct side *side, const struct realised_value *value)
{
    return value && side->sum.rows ? (double)value->count / (double)side->sum.rows : 0;
}

/* A value that most answers have is missing where nobody reported it; one that few have (refunds)
 * is 0 there. Events only ever happen. */
static bool is_dense(const struct measuring *m, const struct outcome_name *name,
                     const struct realised_value *before, const struct realised_value *after)
{
    return name->kind == OUTCOME_VALUE && before && after &&
           (known_share(m->before, before) > DENSE_SHARE ||
            known_share(m->after, after) > DENSE_SHARE);
}

static enum err_code add_dense_value(struct measuring *m, const struct outcome_name *name,
                                     const struct realised_value *before,
                                     const struct realised_value *after, struct err *err)
{
    const char *unit = arena_printf(m->arena, "%s per known answer", name->unit);
    const char *text = arena_printf(
        m->arena,
        "'%s' is known of %.0f %% of the answers before and of %.0f %% after; the rest is "
        "left out, and may be other",
        name->name, 100 * known_share(m->before, before), 100 * known_share(m->after, after));
    if (!unit || !text)
        return no_room(err);
    struct impact_line *line =
        add_line(m, name->name, unit, name->direction, before->per_known, after->per_known);
    count_line(line, before->count, after->count);
    line->matured = fmin(1, known_share(m->after, after));
    note(m, text);
    return ERR_OK;
}

static enum err_code add_value(struct measuring *m, const struct outcome_name *name,
                               struct err *err)
{
    const struct realised_value *before = find_value(m->before, name->name);
    const struct realised_value *after = find_value(m->after, name->name);
    struct delays delays;
    if (!before && !after)
        return ERR_OK;
    if (is_dense(m, name, before, after))
        return add_dense_value(m, name, before, after, err);
    enum err_code rc = read_delays(m, name->name, &delays, err);
    if (rc)
        return rc;
    const char *unit = name->kind == OUTCOME_EVENT
                           ? "per answer"
                           : arena_printf(m->arena, "%s per answer", name->unit);
    struct impact_line *line = add_line(m, name->name, unit ? unit : "", name->direction,
                                        value_of(m->before, before), value_of(m->after, after));
    count_line(line, before ? before->count : 0, after ? after->count : 0);
    line->matured = maturity(m, &delays);
    return ERR_OK;
}

static enum err_code add_values(struct measuring *m, struct err *err)
{
    struct outcome_name *names;
    int count = 0;
    enum err_code rc = outcome_name_list(m->store, m->query->model, m->arena, &names, &count, err);
    for (int i = 0; i < count && !rc; i++)
        rc = add_value(m, &names[i], err);
    return rc;
}

/* ---- what it cannot know ---- */

static void note_maturity(struct measuring *m)
{
    for (int i = 0; i < m->out->line_count; i++) {
        const struct impact_line *line = &m->out->lines[i];
        if (line->matured >= REALISED_FINAL_COVERAGE || !strstr(line->unit, "per answer"))
            continue;
        if (isnan(line->matured))
            note(m, arena_printf(m->arena,
                                 "how much of '%s' is still to come is not known: fewer than %d "
                                 "were reported before",
                                 line->name, DELAYS_MIN));
        else
            note(m,
                 arena_printf(m->arena,
                              "'%s' is %.0f %% matured: what is not reported yet counts as 0, so "
                              "the figure after will still grow",
                              line->name, 100 * line->matured));
    }
}

static void note_labels(struct measuring *m)
{
    const struct impact_volume *a = &m->out->after;
    if (m->out->before.labelled == 0 && a->labelled == 0)
        note(m, "no truth is known on either side: quality cannot be compared; send labels with "
                "POST /feedback");
    else if (a->labelled == 0)
        note(m, "no truth is known after the change yet: quality cannot be compared");
    else if (!(a->coverage >= REALISED_FINAL_COVERAGE))
        note(m, arena_printf(m->arena,
                             "labels cover %.0f %% of the answers after the change; late ones are "
                             "often other ones",
                             isfinite(a->coverage) ? 100 * a->coverage : 0.0));
    if (m->before->section && m->before->section->estimate.is_known)
        note(m, "estimated accuracy assumes that the same scores still mean the same truth");
}

static void add_notes(struct measuring *m)
{
    if (!m->query->is_randomised)
        note(m, "before and after are different times, not random halves of the same traffic: "
                "season, prices and other releases are in the differences too");
    else
        note(m,
             "arms were drawn at random, so differences are the version's doing; shares that grew "
             "during the rollout weigh its later hours more in the canary");
    if (m->out->before.requests < IMPACT_REQUESTS_MIN)
        note(m, arena_printf(m->arena, "only %lld requests were counted before",
                             (long long)m->out->before.requests));
    if (m->out->after.requests < IMPACT_REQUESTS_MIN)
        note(m, arena_printf(m->arena, "only %lld requests were counted after",
                             (long long)m->out->after.requests));
    note_labels(m);
    note_maturity(m);
    note(m, "each interval is at 95 %: of twenty lines without any change one is expected to show "
            "one");
}

/* ---- the sentence ---- */

static void put_figure(struct buf *out, const struct impact_line *line)
{
    buf_printf(out, "%s %.4g -> %.4g", line->name, line->before.value, line->after.value);
    if (line->unit[0])
        buf_printf(out, " %s", line->unit);
    if (isfinite(line->relative))
        buf_printf(out, " (%+.0f %%)", 100 * line->relative);
    if (isfinite(line->matured) && line->matured < REALISED_FINAL_COVERAGE)
        buf_printf(out, ", %.0f %% matured", 100 * line->matured);
}

static bool is_in_headline(const struct impact_line *line)
{
    bool is_asked = strcmp(line->name, "latency_p95") == 0 || strcmp(line->name, "accuracy") == 0 ||
                    strcmp(line->name, "mae") == 0 || strstr(line->unit, "per answer") ||
                    strstr(line->unit, "per known answer");
    return is_asked && isfinite(line->before.value) && isfinite(line->after.value);
}

static const char *make_headline(struct measuring *m)
{
    struct buf text;
    buf_init(&text, 16 * 1024);
    for (int i = 0; i < m->out->line_count; i++) {
        if (!is_in_headline(&m->out->lines[i]))
            continue;
        if (text.len)
            buf_lit(&text, "; ");
        put_figure(&text, &m->out->lines[i]);
    }
    if (text.len == 0)
        buf_lit(&text, "too little was answered on one side to compare them");
    const char *copy = text.is_full ? NULL : arena_copy(m->arena, text.data, text.len);
    buf_done(&text);
    return copy ? copy : "";
}

enum err_code impact_measure(struct store *store, const struct impact_query *query,
                             struct arena *arena, struct impact *impact, struct err *err)
{
    struct measuring m = {
        .store = store, .query = query, .arena = arena, .out = impact, .now_us = clock_wall_us()};
    *impact = (struct impact){.query = *query};
    enum err_code rc = read_side(&m, &query->before, &m.before, &impact->before, err);
    if (!rc)
        rc = read_side(&m, &query->after, &m.after, &impact->after, err);
    if (rc)
        return rc;
    add_traffic(&m);
    add_quality(&m);
    add_estimate(&m);
    add_drift(&m);
    rc = add_values(&m, err);
    if (rc)
        return rc;
    add_notes(&m);
    impact->headline = make_headline(&m);
    return ERR_OK;
}
