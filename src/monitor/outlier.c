/* outlier.c - Mahalanobis distance, energy score, softmax, squeezing. */
#include "monitor/outlier.h"

#include <math.h>

#include "base/check.h"

/* Cholesky's decomposition, column by column. */
enum err_code outlier_factor(const double *covariance, int d, double *lower, struct err *err)
{
    if (d < 1 || d > OUTLIER_FEATURES_MAX)
        return err_set(err, ERR_LIMIT, "a covariance of %d features; 1 to %d are allowed", d,
                       OUTLIER_FEATURES_MAX);
    for (int j = 0; j < d; j++)
        for (int i = j; i < d; i++) {
            double sum = covariance[i * d + j];
            for (int k = 0; k < j; k++)
                sum -= lower[i * d + k] * lower[j * d + k];
            if (i == j && !(sum > 0)) {
                err_set(err, ERR_INVALID, "the covariance is not positive definite at feature %d",
                        j);
                return err_hint(err,
                                "a feature is constant or a copy; shrink towards the diagonal");
            }
            lower[i * d + j] = i == j ? sqrt(sum) : sum / lower[j * d + j];
        }
    return ERR_OK;
}

/* |y|^2 with L y = x - mean */
double outlier_mahalanobis2(const double *x, const double *mean, const double *lower, int d)
{
    double y[OUTLIER_FEATURES_MAX], square = 0;
    assert(d >= 1 && d <= OUTLIER_FEATURES_MAX);
    for (int i = 0; i < d; i++) {
        double sum = x[i] - mean[i];
        for (int k = 0; k < i; k++)
            sum -= lower[i * d + k] * y[k];
        y[i] = sum / lower[i * d + i];
        square += y[i] * y[i];
    }
    return square;
}

static double largest(const double *values, int k)
{
    double most = -INFINITY;
    for (int i = 0; i < k; i++)
        most = fmax(most, values[i]);
    return most;
}

double outlier_energy(const double *logits, int k, double temperature)
{
    double most = largest(logits, k), sum = 0;
    for (int i = 0; i < k; i++)
        sum += exp((logits[i] - most) / temperature);
    return -most - temperature * log(sum);
}

double outlier_max_softmax(const double *logits, int k)
{
    double most = largest(logits, k), sum = 0;
    for (int i = 0; i < k; i++)
        sum += exp(logits[i] - most);
    return 1 / sum;
}

double outlier_l1(const double *a, const double *b, int k)
{
    double sum = 0;
    for (int i = 0; i < k; i++)
        sum += fabs(a[i] - b[i]);
    return sum;
}
