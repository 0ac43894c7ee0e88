/* estimate.c - isotonic calibration on counts, and the confusion matrix it lets one expect. */
#include "monitor/estimate.h"

#include <math.h>

#include "base/check.h"
#include "monitor/calibration.h"

#define NORMAL_95 1.959963984540054

int estimate_cell(int answered_class, double score)
{
    int bin = score >= 1 ? ESTIMATE_BINS - 1 : score > 0 ? (int)(score * ESTIMATE_BINS) : 0;
    return answered_class * ESTIMATE_BINS + bin;
}

/* ---- calibration ---- */

/* Linear between the bins that were seen, level outside. */
static void fill_gaps(double *curve, const bool *is_seen)
{
    int before = -1;
    for (int b = 0; b < ESTIMATE_BINS; b++) {
        if (!is_seen[b])
            continue;
        for (int k = before + 1; k < b; k++)
            curve[k] = before < 0 ? curve[b]
                                  : curve[before] + (curve[b] - curve[before]) *
                                                        (double)(k - before) / (double)(b - before);
        before = b;
    }
    for (int k = before + 1; k < ESTIMATE_BINS && before >= 0; k++)
        curve[k] = curve[before];
}

/* Bins of one level of the step function were pooled: their rows stand behind it together. */
static void level_weights(const double *fitted, const double *counts, int seen, double *weights)
{
    for (int i = 0, end; i < seen; i = end) {
        double sum = 0;
        for (end = i; end < seen && fitted[end] == fitted[i]; end++)
            sum += counts[end];
        for (int k = i; k < end; k++)
            weights[k] = sum;
    }
}

/* One curve over the bins. Without any row it is flat at `otherwise`, with nothing behind it. */
static void fit_curve(const double *rows, const double *hits, double otherwise, double *curve,
                      double *weight)
{
    double shares[ESTIMATE_BINS], counts[ESTIMATE_BINS], levels[ESTIMATE_BINS];
    bool is_seen[ESTIMATE_BINS];
    int seen = 0;
    for (int b = 0; b < ESTIMATE_BINS; b++) {
        curve[b] = otherwise;
        weight[b] = 0;
        is_seen[b] = rows[b] > 0;
        if (!is_seen[b])
            continue;
        shares[seen] = hits[b] / rows[b];
        counts[seen++] = rows[b];
    }
    if (seen == 0)
        return;
    calibration_isotonic(shares, counts, seen, shares);
    level_weights(shares, counts, seen, levels);
    for (int b = 0, i = 0; b < ESTIMATE_BINS; b++) {
        if (!is_seen[b])
            continue;
        curve[b] = shares[i];
        weight[b] = levels[i++];
    }
    fill_gaps(curve, is_seen);
    fill_gaps(weight, is_seen);
}

/* Rows of one class, or of all of them (answered_class -1). Returns how many there are. */
static double gather(const int64_t *rows, const int64_t *hits, int class_count, int answered_class,
                     double *row_bins, double *hit_bins)
{
    double total = 0;
    for (int b = 0; b < ESTIMATE_BINS; b++) {
        row_bins[b] = hit_bins[b] = 0;
        for (int c = 0; c < class_count; c++) {
            if (answered_class >= 0 && c != answered_class)
                continue;
            row_bins[b] += (double)rows[c * ESTIMATE_BINS + b];
            hit_bins[b] += (double)hits[c * ESTIMATE_BINS + b];
        }
        total += row_bins[b];
    }
    return total;
}

enum err_code estimate_fit(const int64_t *rows, const int64_t *hits, int class_count,
                           struct estimate_map *map, struct err *err)
{
    double row_bins[ESTIMATE_BINS], hit_bins[ESTIMATE_BINS], hit_count = 0;
    assert(class_count >= 2);
    double total = gather(rows, hits, class_count, -1, row_bins, hit_bins);
    if (total < ESTIMATE_LABELS_MIN) {
        err_set(err, ERR_INVALID,
                "an estimate needs %d labelled rows with probabilities, %.0f are "
                "there",
                ESTIMATE_LABELS_MIN, total);
        return err_hint(err, "send labels with POST /feedback");
    }
    for (int b = 0; b < ESTIMATE_BINS; b++)
        hit_count += hit_bins[b];
    for (int c = 0; c < class_count; c++) {
        if (class_count > 2)
            gather(rows, hits, class_count, c, row_bins, hit_bins);
        fit_curve(row_bins, hit_bins, hit_count / total, map->hit + c * ESTIMATE_BINS,
                  map->weight + c * ESTIMATE_BINS);
    }
    map->class_count = class_count;
    map->label_count = (int64_t)total;
    return ERR_OK;
}

/* ---- what to expect ---- */

struct sums {
    double n;
    double right, variance; /* expected right answers; variance of the realised count */
    double confusion[2][2];
};

/* The truth of each row is a coin; all rows of a level share the error of its calibration. */
static void add_class(const struct estimate_map *map, const int64_t *rows, int c, struct sums *s)
{
    bool is_binary = map->class_count == 2;
    for (int b = 0; b < ESTIMATE_BINS; b++) {
        double n = (double)rows[c * ESTIMATE_BINS + b];
        double q = map->hit[c * ESTIMATE_BINS + b];
        s->n += n;
        s->right += n * (is_binary && c == 0 ? 1 - q : q);
        s->variance += n * q * (1 - q);
        if (is_binary) {
            s->confusion[1][c] += n * q;
            s->confusion[0][c] += n * (1 - q);
        }
    }
}

/* Variance of the expected count that comes from the calibration: for each level the rows that gain
 * by a higher probability, less those that lose, squared, times q(1-q)/labels. */
static double calibration_variance(const struct estimate_map *map, const int64_t *rows)
{
    int curves = map->class_count == 2 ? 1 : map->class_count;
    double variance = 0;
    for (int c = 0; c < curves; c++) {
        const double *hit = map->hit + c * ESTIMATE_BINS, *weight = map->weight + c * ESTIMATE_BINS;
        for (int b = 0, end; b < ESTIMATE_BINS; b = end) {
            double net = 0;
            for (end = b; end < ESTIMATE_BINS && hit[end] == hit[b]; end++)
                net += map->class_count == 2 ? (double)(rows[ESTIMATE_BINS + end] - rows[end])
                                             : (double)rows[c * ESTIMATE_BINS + end];
            if (weight[b] > 0)
                variance += net * net * hit[b] * (1 - hit[b]) / weight[b];
        }
    }
    return variance;
}

static struct estimate_value share(double value, double deviation)
{
    double half = NORMAL_95 * deviation;
    return (struct estimate_value){value, fmax(0, value - half), fmin(1, value + half)};
}

static struct estimate_value unknown(void)
{
    return (struct estimate_value){NAN, NAN, NAN};
}

/* A ratio of expected counts, with the binomial deviation of its base. */
static struct estimate_value ratio(double part, double whole)
{
    if (whole <= 0)
        return unknown();
    double value = part / whole;
    return share(value, sqrt(value * (1 - value) / whole));
}

enum err_code estimate_quality(const struct estimate_map *map, const int64_t *rows,
                               struct estimate *estimate, struct err *err)
{
    struct sums s = {0};
    for (int c = 0; c < map->class_count; c++)
        add_class(map, rows, c, &s);
    if (s.n == 0)
        return err_set(err, ERR_INVALID, "there is no row to estimate the quality of");
    *estimate = (struct estimate){
        .row_count = (int64_t)s.n,
        .accuracy = share(s.right / s.n, sqrt(s.variance + calibration_variance(map, rows)) / s.n),
        .precision = unknown(),
        .recall = unknown(),
        .f1 = unknown(),
    };
    if (map->class_count > 2)
        return ERR_OK;
    double hits = s.confusion[1][1], answered = hits + s.confusion[0][1];
    double true_rows = hits + s.confusion[1][0];
    estimate->precision = ratio(hits, answered);
    estimate->recall = ratio(hits, true_rows);
    estimate->f1 = ratio(hits, (answered + true_rows) / 2);
    for (int i = 0; i < 4; i++)
        estimate->confusion[i / 2][i % 2] = s.confusion[i / 2][i % 2];
    return ERR_OK;
}
