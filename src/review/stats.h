/* stats.h - how review goes: queue, overrides, agreement, anchoring, and how good the model is.
 *
 * Of the newest REVIEW_STATS_DECISIONS_MAX decisions of a model that count (the last one of each
 * reviewer for an item), and of all its items.
 */
#ifndef SLIPWAY_REVIEW_STATS_H
#define SLIPWAY_REVIEW_STATS_H

#include "monitor/special.h"
#include "review/review.h"

enum {
    REVIEW_STATS_DECISIONS_MAX = 100 * 1000,
    REVIEW_STATS_REVIEWERS_MAX = 500,
    REVIEW_STATS_PAIRS_MAX = 200, /* those with the most items in common */
    REVIEW_STATS_LABELS_MAX = 10 * 1000,
};

/* Decisions beside what the model had answered. */
struct review_compared {
    int64_t count, same;
};

struct review_reviewer {
    const char *name;
    int64_t decision_count;
    double median_seconds;       /* NaN when none was leased */
    struct review_compared gold; /* `same`: as the known answer */
    struct review_compared shown, blind;
};

struct review_pair {
    const char *a, *b;
    int64_t item_count, same_count; /* decided by both; alike */
    double kappa;                   /* classes only; NaN: cannot be told */
};

struct review_version {
    int64_t version, item_count, decided_count, override_count, late_count;
};

struct review_stats {
    const char *model;
    bool is_number; /* the model answers a number: alpha is of intervals, there is no kappa */
    int64_t open_count, overdue_count;
    int64_t oldest_us; /* when the oldest open item was made; 0: none */
    int64_t decision_count;
    double median_seconds, p90_seconds;
    double alpha; /* Krippendorff's; NaN: cannot be told */
    int64_t alpha_item_count;
    struct review_compared shown, blind; /* anchoring: how often people follow what they see */
    struct review_compared random;   /* decided items of the random slice; `same`: as answered */
    struct interval random_interval; /* of that share, 95 % */
    int version_count, reviewer_count, pair_count;
    struct review_version *versions;   /* [version_count], newest first */
    struct review_reviewer *reviewers; /* [reviewer_count], by name */
    struct review_pair *pairs;         /* [pair_count], most items first */
    struct review_columns *columns;    /* stats.c's own */
};

/* Read what the store has. Times and agreement are measured by review_stats_measure(), which needs
 * no store. All of it lives in `arena`. */
enum err_code review_stats_read(struct store *store, const char *model, int64_t now_us,
                                struct arena *arena, struct review_stats *stats, struct err *err);

enum err_code review_stats_measure(struct review_stats *stats, struct err *err);

/* Names of models that have items. */
enum err_code review_models(struct store *store, struct arena *arena, const char ***models,
                            int *count, struct err *err);

/* Sums over all time, for metrics: in no order but that of model and version. */
struct review_total {
    const char *model;
    int64_t version, item_count, decision_count, decision_us, override_count, late_count;
};
enum err_code review_totals(struct store *store, struct arena *arena, struct review_total **totals,
                            int *count, struct err *err);

/* Models with open items past their time. */
struct review_overdue {
    const char *model;
    int64_t count, oldest_due_us;
};
enum err_code review_overdue(struct store *store, int64_t now_us, struct arena *arena,
                             struct review_overdue **list, int *count, struct err *err);

/* Open items of all models, and when the oldest was made (0: none). */
enum err_code review_open_count(struct store *store, int64_t *count, int64_t *oldest_us,
                                struct err *err);

#endif
