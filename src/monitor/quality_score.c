/* quality_score.c - how well probabilities order and how well they are calibrated.
 *
 * Two classes: p is the probability of class 1, y is 1 for its rows. Several classes: AUC and
 * average precision are the plain mean of each class against the rest ("ovr, macro"); the other
 * formulas stand at the functions. AUC, average precision, log loss and the Brier score agree with
 * scikit-learn, slope and intercept with a logistic regression of statsmodels;
 * tests/golden/quality.
 */
#include <float.h>
#include <math.h>

#include "monitor/quality_sample.h"

/* log(p) stays finite: scikit-learn clips at the epsilon of a double too. */
#define LOG_FLOOR DBL_EPSILON
/* logit(p) of a float32 probability that was rounded to 0 or 1. */
#define LOGIT_FLOOR 1e-7
enum { FIT_STEPS_MAX = 50 };
/* A slope beyond it is one that runs away: the classes are separated. */
#define SLOPE_MAX 1e4

/* ---- order ---- */

/* A walk over the rows of falling probability, one block of equal ones at a time. */
struct walk {
    const struct quality_sample *sample;
    const int32_t *order;
    int column, class;
    int64_t at;
    double hits, misses; /* weight of the block's rows of the class, and of the others */
};

static struct walk walk_begin(const struct quality_sample *sample, int column)
{
    return (struct walk){.sample = sample,
                         .order = sample->order + (int64_t)column * sample->rows->count,
                         .column = column,
                         .class = quality_column_class(sample, column)};
}

static bool walk_next(struct walk *walk)
{
    const struct quality_rows *rows = walk->sample->rows;
    walk->hits = walk->misses = 0;
    if (walk->at == rows->count)
        return false;
    double p = quality_probability(walk->sample, walk->order[walk->at], walk->column);
    for (; walk->at < rows->count; walk->at++) {
        int64_t row = walk->order[walk->at];
        if (quality_probability(walk->sample, row, walk->column) != p)
            break;
        if (rows->truth[row] == walk->class)
            walk->hits += walk->sample->weight[row];
        else
            walk->misses += walk->sample->weight[row];
    }
    return true;
}

/* Area under the ROC curve: the share of pairs (row of the class, other row) in the right order,
 * ties one half, exactly (Mann-Whitney). NaN without rows of both sorts. */
static double auc_of(const struct quality_sample *sample, int column)
{
    struct walk walk = walk_begin(sample, column);
    double hits = 0, misses = 0, pairs = 0;
    while (walk_next(&walk)) {
        pairs += walk.misses * (hits + walk.hits / 2);
        hits += walk.hits;
        misses += walk.misses;
    }
    return pairs / (hits * misses);
}

/* Average precision: sum over thresholds of (recall_i - recall_(i-1)) precision_i, one threshold
 * for each distinct probability, without interpolation. NaN without rows of the class. */
static double average_precision_of(const struct quality_sample *sample, int column)
{
    struct walk walk = walk_begin(sample, column);
    double hits = 0, all = 0, sum = 0;
    while (walk_next(&walk)) {
        hits += walk.hits;
        all += walk.hits + walk.misses;
        if (walk.hits > 0)
            sum += walk.hits * hits / all;
    }
    return sum / hits;
}

static double mean_of_columns(const struct quality_sample *sample,
                              double (*of)(const struct quality_sample *sample, int column))
{
    double sum = 0;
    for (int c = 0; c < sample->column_count; c++)
        sum += of(sample, c);
    return sum / sample->column_count;
}

double quality_auc(const struct quality_sample *sample)
{
    return mean_of_columns(sample, auc_of);
}

double quality_average_precision(const struct quality_sample *sample)
{
    return mean_of_columns(sample, average_precision_of);
}

/* One pass down the order gives for each row of the block what lies above it; the total of the
 * other class turns that into what lies below. */
static void place_block(const struct quality_sample *sample, int64_t from, int64_t to,
                        const double above[2], const double total[2], double *placement)
{
    const struct quality_rows *rows = sample->rows;
    double here[2] = {0, 0};
    for (int64_t i = from; i < to; i++)
        here[rows->truth[sample->order[i]]] += 1;
    for (int64_t i = from; i < to; i++) {
        int64_t row = sample->order[i];
        if (rows->truth[row] == 1)
            placement[row] = (total[0] - above[0] - here[0] / 2) / total[0];
        else
            placement[row] = (above[1] + here[1] / 2) / total[1];
    }
}

void quality_placements(const struct quality_sample *sample, double *placement)
{
    const struct quality_rows *rows = sample->rows;
    double total[2] = {0, 0}, above[2] = {0, 0};
    for (int64_t i = 0; i < rows->count; i++)
        total[rows->truth[i]] += 1;
    for (int64_t from = 0, to; from < rows->count; from = to) {
        double p = rows->probability[sample->order[from]];
        for (to = from + 1; to < rows->count && rows->probability[sample->order[to]] == p;)
            to++;
        place_block(sample, from, to, above, total, placement);
        for (int64_t i = from; i < to; i++)
            above[rows->truth[sample->order[i]]] += 1;
    }
}

/* ---- loss ---- */

static double probability_of_truth(const struct quality_sample *sample, int64_t row)
{
    int truth = sample->rows->truth[row];
    if (sample->column_count > 1)
        return quality_probability(sample, row, truth);
    double p = sample->rows->probability[row];
    return truth == 1 ? p : 1 - p;
}

static double log_loss_of(const struct quality_sample *sample, int64_t row)
{
    double p = probability_of_truth(sample, row);
    return -log(p < LOG_FLOOR ? LOG_FLOOR : p > 1 - LOG_FLOOR ? 1 - LOG_FLOOR : p);
}

static double square_of(const struct quality_sample *sample, int64_t row)
{
    double sum = 0;
    for (int c = 0; c < sample->column_count; c++) {
        double y = sample->rows->truth[row] == quality_column_class(sample, c);
        double miss = quality_probability(sample, row, c) - y;
        sum += miss * miss;
    }
    return sum;
}

static double mean_of_rows(const struct quality_sample *sample, const double *values)
{
    double sum = 0, all = 0;
    for (int64_t i = 0; i < sample->rows->count; i++) {
        sum += sample->weight[i] * values[i];
        all += sample->weight[i];
    }
    return sum / all;
}

/* Mean of -ln(probability of the true class), in nats. */
double quality_log_loss(const struct quality_sample *sample)
{
    return mean_of_rows(sample, sample->log_losses);
}

/* Two classes: mean of (p - y)^2, in [0, 1]. Several: mean of the sum over classes of
 * (p_k - y_k)^2, in [0, 2] (Brier 1950). */
double quality_brier(const struct quality_sample *sample)
{
    return mean_of_rows(sample, sample->squares);
}

/* ---- calibration ---- */

/* What a row claims, and whether it came true: of two classes the probability of class 1, of
 * several that of the most probable class (the first of equals). */
static double claim(const struct quality_sample *sample, int64_t row, bool *came_true)
{
    int best = 0;
    for (int c = 1; c < sample->column_count; c++)
        if (quality_probability(sample, row, c) > quality_probability(sample, row, best))
            best = c;
    *came_true = sample->rows->truth[row] == quality_column_class(sample, best);
    return quality_probability(sample, row, best);
}

/* Bin i is (i / 10, (i + 1) / 10]; the first takes 0 too. */
static int bin_of(double p)
{
    int bin = 0;
    while (bin < QUALITY_BINS - 1 && p > (bin + 1) / (double)QUALITY_BINS)
        bin++;
    return bin;
}

/* Expected calibration error over ten bins of equal width:
 *
 *     ece = sum over bins |sum w (p - y)| / sum w           in [0, 1]
 *
 * It is above 0 for a calibrated model too, the more the fewer rows there are. Source: Naeini,
 * Cooper, Hauskrecht (2015); of several classes that of the answer, as Guo et al. (2017). */
double quality_ece(const struct quality_sample *sample)
{
    double gaps[QUALITY_BINS] = {0}, all = 0, sum = 0;
    for (int64_t i = 0; i < sample->rows->count; i++) {
        gaps[sample->bins[i]] += sample->weight[i] * sample->gaps[i];
        all += sample->weight[i];
    }
    for (int b = 0; b < QUALITY_BINS; b++)
        sum += fabs(gaps[b]);
    return sum / all;
}

enum err_code quality_score_rows(struct quality_sample *sample, struct arena *arena,
                                 struct err *err)
{
    size_t count = (size_t)sample->rows->count;
    double *log_losses = arena_calloc(arena, count, sizeof(*log_losses));
    double *squares = arena_calloc(arena, count, sizeof(*squares));
    double *gaps = arena_calloc(arena, count, sizeof(*gaps));
    uint8_t *bins = arena_calloc(arena, count, sizeof(*bins));
    if (!log_losses || !squares || !gaps || !bins)
        return err_set(err, ERR_LIMIT, "no room to measure %zu rows", count);
    for (size_t i = 0; i < count; i++) {
        bool came_true;
        double p = claim(sample, (int64_t)i, &came_true);
        log_losses[i] = log_loss_of(sample, (int64_t)i);
        squares[i] = square_of(sample, (int64_t)i);
        bins[i] = (uint8_t)bin_of(p);
        gaps[i] = p - came_true;
    }
    sample->log_losses = log_losses;
    sample->squares = squares;
    sample->gaps = gaps;
    sample->bins = bins;
    return ERR_OK;
}

/* Logistic regression of the truth on x = logit(p): P(y = 1) = 1 / (1 + e^-(a + b x)). */
struct fit {
    double a, b;
    double gradient[2], information[3]; /* of a, b; aa, ab, bb */
};

static double logit(double p)
{
    p = p < LOGIT_FLOOR ? LOGIT_FLOOR : p > 1 - LOGIT_FLOOR ? 1 - LOGIT_FLOOR : p;
    return log(p / (1 - p));
}

static void fit_sums(const struct quality_sample *sample, struct fit *fit)
{
    *fit = (struct fit){.a = fit->a, .b = fit->b};
    for (int64_t i = 0; i < sample->rows->count; i++) {
        double weight = sample->weight[i];
        if (weight == 0)
            continue;
        double x = logit(sample->rows->probability[i]);
        double mean = 1 / (1 + exp(-(fit->a + fit->b * x)));
        double miss = weight * ((sample->rows->truth[i] == 1) - mean);
        double spread = weight * mean * (1 - mean);
        fit->gradient[0] += miss;
        fit->gradient[1] += miss * x;
        fit->information[0] += spread;
        fit->information[1] += spread * x;
        fit->information[2] += spread * x * x;
    }
}

/* Newton's steps until they are small; false when they run away (classes that are separated) or
 * there is nothing to fit. `has_slope` false: b stays 1. */
static bool fit_logistic(const struct quality_sample *sample, bool has_slope, struct fit *fit)
{
    *fit = (struct fit){.b = 1};
    for (int step = 0; step < FIT_STEPS_MAX; step++) {
        fit_sums(sample, fit);
        const double *g = fit->gradient, *h = fit->information;
        double da = g[0] / h[0], db = 0, det = h[0] * h[2] - h[1] * h[1];
        if (has_slope) {
            da = (h[2] * g[0] - h[1] * g[1]) / det;
            db = (h[0] * g[1] - h[1] * g[0]) / det;
        }
        if (!isfinite(da) || !isfinite(db) || fabs(fit->b + db) > SLOPE_MAX)
            return false;
        fit->a += da;
        fit->b += db;
        if (fabs(da) + fabs(db) < 1e-10)
            return true;
    }
    return false;
}

/* Slope b of the regression: 1 is calibrated, below 1 is over-confident. Source: D. R. Cox (1958);
 * Van Calster et al., Calibration: the Achilles heel of predictive analytics (2019). */
double quality_calibration_slope(const struct quality_sample *sample)
{
    struct fit fit;
    return fit_logistic(sample, true, &fit) ? fit.b : NAN;
}

/* Intercept a when the slope is held at 1 ("calibration in the large"): 0 is calibrated, above 0
 * says that class 1 is more frequent than promised. */
double quality_calibration_intercept(const struct quality_sample *sample)
{
    struct fit fit;
    return fit_logistic(sample, false, &fit) ? fit.a : NAN;
}

bool quality_calibration_errors(const struct quality_sample *sample, double *slope_error,
                                double *intercept_error)
{
    struct fit fit;
    if (!fit_logistic(sample, true, &fit))
        return false;
    const double *h = fit.information;
    *slope_error = sqrt(h[0] / (h[0] * h[2] - h[1] * h[1]));
    if (!fit_logistic(sample, false, &fit))
        return false;
    *intercept_error = 1 / sqrt(fit.information[0]);
    return isfinite(*slope_error) && isfinite(*intercept_error);
}
