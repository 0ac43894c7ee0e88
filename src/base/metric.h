/* metric.h - what /metrics shows, and the text in which it is shown.
 *
 * Nothing is looked up while counting: counters and histograms are plain fields in structs of the
 * thread that owns them (counter_add, histogram_record). A scrape reads all threads' fields, adds
 * them up and writes them through this module, family by family:
 *
 *     struct metric_writer w;
 *     metric_begin(&w, &buf, format, options.metrics_series_max);
 *     metric_family(&w, METRIC_REQUESTS);
 *     metric_sample(&w, 7, METRIC_LABELS("churn", "3", "200"));
 *     metric_family(&w, METRIC_UPTIME);
 *     metric_sample(&w, 12.5, METRIC_NO_LABELS);
 *     metric_end(&w);
 *
 * The rows, with the names of the labels, are in src/metrics.def.
 */
#ifndef SLIPWAY_BASE_METRIC_H
#define SLIPWAY_BASE_METRIC_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/histogram.h"
#include "base/str.h"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM, METRIC_INFO };

enum metric_id {
#define METRIC(id, name, type, labels, help) METRIC_##id,
#include "metrics.def"
    METRIC_COUNT,
};

struct metric {
    const char *name;
    enum metric_type type;
    const char *labels; /* "model,version", "" for none */
    const char *help;   /* one sentence */
};
extern const struct metric metric_table[METRIC_COUNT];

enum metric_format {
    METRIC_PROMETHEUS,  /* text format 0.0.4 */
    METRIC_OPENMETRICS, /* OpenMetrics 1.0 */
};

enum { METRIC_LABELS_MAX = 8 };

struct metric_writer {
    struct buf *out;
    enum metric_format format;
    int64_t series_max; /* per family */

    /* This module's own. */
    const struct metric *family; /* NULL before the first */
    bool is_written[METRIC_COUNT];
    int64_t series_count;
    double rest;                    /* of a family past series_max, summed */
    struct histogram_sum *rest_sum; /* the same for a HISTOGRAM; owned, NULL when there is none */
};

/* The values of a sample's labels, in the order of the row's names: METRIC_LABELS("churn", "3"). */
#define METRIC_LABELS(...)                                                                         \
    (const char *const[]){__VA_ARGS__},                                                            \
        (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))
#define METRIC_NO_LABELS NULL, 0

/* The format a scraper's Accept header asks for; the text format when it does not care. */
enum metric_format metric_choose_format(struct str accept);
const char *metric_content_type(enum metric_format format);

void metric_begin(struct metric_writer *w, struct buf *out, enum metric_format format,
                  int64_t series_max);

/* From here on samples belong to this row. Each row at most once, and not without a sample when it
 * can be helped. */
void metric_family(struct metric_writer *w, enum metric_id id);

/* A COUNTER, GAUGE or INFO (value 1). Past series_max a sample is added to one more series, whose
 * labels are all "other". Label values are escaped; what is not UTF-8 becomes U+FFFD. */
void metric_sample(struct metric_writer *w, double value, const char *const *labels,
                   int label_count);

/* A HISTOGRAM of seconds with the buckets .0001 .00025 .0005 .001 .0025 .005 .01 .025 .05 .1 .25
 * .5 1 2.5 10. */
void metric_histogram(struct metric_writer *w, const struct histogram_sum *sum,
                      const char *const *labels, int label_count);

void metric_end(struct metric_writer *w);

/* The reference page's table in Markdown. */
void metric_reference(struct buf *out);

#endif
