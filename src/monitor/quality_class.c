/* quality_class.c - accuracy, balanced accuracy, precision, recall and F1 of classes.
 *
 * With w the weight of a row, and per class k
 *
 *     hit[k] = sum w [truth = k and predicted = k]     truth[k], answer[k]: sum w of the two alone
 *
 *     accuracy           sum hit / sum w
 *     balanced accuracy  mean over classes that occur in the truth of hit[k] / truth[k]
 *     precision          hit[k] / answer[k]     recall    hit[k] / truth[k]
 *     F1                 2 hit[k] / (truth[k] + answer[k])
 *
 * The last three are those of class 1 when there are two classes; of several they are the plain
 * mean over classes that occur in truth or answers ("macro"), where 0 / 0 counts as 0. Agrees with
 * scikit-learn's functions of the same names; the values are in tests/golden/quality/.
 */
#include <math.h>

#include "monitor/quality_sample.h"

void quality_class_sums(const struct quality_sample *sample, double *hits, double *truths,
                        double *answers)
{
    const struct quality_rows *rows = sample->rows;
    for (int k = 0; k < rows->class_count; k++)
        hits[k] = truths[k] = answers[k] = 0;
    for (int64_t i = 0; i < rows->count; i++) {
        double weight = sample->weight[i];
        truths[rows->truth[i]] += weight;
        answers[rows->predicted[i]] += weight;
        if (rows->truth[i] == rows->predicted[i])
            hits[rows->truth[i]] += weight;
    }
}

struct class_sums {
    int count;
    double *hits, *truths, *answers; /* [count] */
};

static struct class_sums sums_of(const struct quality_sample *sample)
{
    int count = sample->rows->class_count;
    struct class_sums sums = {count, sample->sums, sample->sums + count,
                              sample->sums + (size_t)2 * count};
    quality_class_sums(sample, sums.hits, sums.truths, sums.answers);
    return sums;
}

double quality_accuracy(const struct quality_sample *sample)
{
    const struct quality_rows *rows = sample->rows;
    double hits = 0, all = 0;
    for (int64_t i = 0; i < rows->count; i++) {
        all += sample->weight[i];
        if (rows->truth[i] == rows->predicted[i])
            hits += sample->weight[i];
    }
    return hits / all;
}

double quality_balanced_accuracy(const struct quality_sample *sample)
{
    struct class_sums sums = sums_of(sample);
    double total = 0;
    int occurring = 0;
    for (int k = 0; k < sums.count; k++) {
        if (sums.truths[k] > 0) {
            total += sums.hits[k] / sums.truths[k];
            occurring++;
        }
    }
    return total / occurring;
}

/* Of class 1, or the mean of `of` over the classes that occur. */
static double of_classes(const struct quality_sample *sample,
                         double (*of)(const struct class_sums *sums, int k))
{
    struct class_sums sums = sums_of(sample);
    double total = 0;
    int occurring = 0;
    if (sums.count == 2)
        return of(&sums, 1);
    for (int k = 0; k < sums.count; k++) {
        if (sums.truths[k] + sums.answers[k] > 0) {
            double value = of(&sums, k);
            total += isnan(value) ? 0 : value;
            occurring++;
        }
    }
    return total / occurring;
}

static double precision_of(const struct class_sums *sums, int k)
{
    return sums->hits[k] / sums->answers[k];
}

static double recall_of(const struct class_sums *sums, int k)
{
    return sums->hits[k] / sums->truths[k];
}

static double f1_of(const struct class_sums *sums, int k)
{
    return 2 * sums->hits[k] / (sums->truths[k] + sums->answers[k]);
}

double quality_precision(const struct quality_sample *sample)
{
    return of_classes(sample, precision_of);
}

double quality_recall(const struct quality_sample *sample)
{
    return of_classes(sample, recall_of);
}

double quality_f1(const struct quality_sample *sample)
{
    return of_classes(sample, f1_of);
}

void quality_confusion(const struct quality_rows *rows, int64_t *counts)
{
    for (int64_t i = 0; i < rows->count; i++)
        counts[(int64_t)rows->truth[i] * rows->class_count + rows->predicted[i]]++;
}
