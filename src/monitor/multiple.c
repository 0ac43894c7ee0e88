/* multiple.c - step-up and step-down procedures over sorted p-values and e-values. */
#include "monitor/multiple.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/check.h"

static int by_value(const void *a, const void *b, void *arg)
{
    const double *values = arg;
    int i = *(const int *)a, j = *(const int *)b;
    return values[i] != values[j] ? (values[i] > values[j]) - (values[i] < values[j])
                                  : (i > j) - (i < j);
}

/* Indexes of the values that are numbers, smallest value first; free() it. */
static int *sorted_order(const double *values, int count, int *kept)
{
    int *order = malloc(((size_t)count + 1) * sizeof(*order));
    if (!order)
        abort();
    *kept = 0;
    for (int i = 0; i < count; i++)
        if (!isnan(values[i]))
            order[(*kept)++] = i;
    qsort_r(order, (size_t)*kept, sizeof(*order), by_value, (void *)(uintptr_t)values);
    return order;
}

static int mark(const int *order, int from, int to, int count, bool *rejected)
{
    for (int i = 0; rejected && i < count; i++)
        rejected[i] = false;
    for (int i = from; rejected && i < to; i++)
        rejected[order[i]] = true;
    return to - from;
}

int multiple_bonferroni(const double *p, int count, double q, bool *rejected)
{
    int kept, found = 0, *order = sorted_order(p, count, &kept);
    while (found < kept && p[order[found]] <= q / kept)
        found++;
    mark(order, 0, found, count, rejected);
    free(order);
    return found;
}

int multiple_holm(const double *p, int count, double q, bool *rejected)
{
    int kept, found = 0, *order = sorted_order(p, count, &kept);
    while (found < kept && p[order[found]] <= q / (kept - found))
        found++;
    mark(order, 0, found, count, rejected);
    free(order);
    return found;
}

int multiple_bh(const double *p, int count, double q, bool *rejected)
{
    int kept, *order = sorted_order(p, count, &kept), found = kept;
    while (found > 0 && p[order[found - 1]] > q * found / kept)
        found--;
    mark(order, 0, found, count, rejected);
    free(order);
    return found;
}

double multiple_by_constant(int count)
{
    double sum = 0;
    for (int i = 1; i <= count; i++)
        sum += 1.0 / i;
    return sum;
}

int multiple_by(const double *p, int count, double q, bool *rejected)
{
    int kept = 0;
    for (int i = 0; i < count; i++)
        kept += !isnan(p[i]);
    return multiple_bh(p, count, q / multiple_by_constant(kept), rejected);
}

int multiple_ebh(const double *e, int count, double alpha, bool *rejected)
{
    int kept, *order = sorted_order(e, count, &kept), found = kept;
    assert(alpha > 0);
    while (found > 0 && e[order[kept - found]] < kept / (alpha * found))
        found--;
    mark(order, kept - found, kept, count, rejected);
    free(order);
    return found;
}

void multiple_bh_adjust(const double *p, int count, double *adjusted)
{
    int kept, *order = sorted_order(p, count, &kept);
    double smallest = 1;
    for (int i = 0; i < count; i++)
        adjusted[i] = NAN;
    for (int i = kept - 1; i >= 0; i--) {
        smallest = fmin(smallest, p[order[i]] * kept / (i + 1));
        adjusted[order[i]] = smallest;
    }
    free(order);
}
