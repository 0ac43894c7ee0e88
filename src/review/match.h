/* match.h - one row against the rules: is it taken for review, by which rule, with what chance.
 *
 * Each rule that holds for the row draws u = SipHash(salt and rule, prediction id) / 2^64 and takes
 * it when u < sample; the first that takes it wins. Draws are fixed by id and rule, so that the
 * data thread, the recorder and a shadow come to the same result.
 *
 *     probability = 1 - product over rules that hold of (1 - sample)
 *
 * is the chance that a row like this gets into review at all: 1 / probability is its weight among
 * all rows that could have got there. The random rule draws for every row, also for those that
 * another rule has taken, so `is_random` rows are a plain random share of all traffic.
 */
#ifndef SLIPWAY_REVIEW_MATCH_H
#define SLIPWAY_REVIEW_MATCH_H

#include "review/rules.h"

struct review_match {
    const struct review_rule *rule;
    double probability; /* (0, 1] */
    bool is_random;     /* the random rule drew it too */
    bool is_blind;      /* the reviewer does not see the prediction */
};

/* A request id has at most 128 bytes. */
enum { PREDICTION_ID_BYTES_MAX = 192 };

/* "<request id>-<row>" with its NUL. */
const char *prediction_id_format(struct str request_id, int64_t row,
                                 char out[PREDICTION_ID_BYTES_MAX]);

/* True when a rule takes the row. No memory, no lock. */
bool review_match(const struct review_rules *rules, const struct condition_facts *facts,
                  struct review_match *match);

/* What an appeal gets: the appeal rule, or one reviewer within a day when there is none. */
struct review_match review_match_appeal(const struct review_rules *rules);

#endif
