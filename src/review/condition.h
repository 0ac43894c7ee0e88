/* condition.h - which predictions a review rule is about: "score between 0.4 and 0.6".
 *
 *     expression  = term { "or" term }
 *     term        = factor { "and" factor }
 *     factor      = "not" factor | "(" expression ")" | test
 *     test        = "suspect" | "disagrees_with_shadow" | "ood"
 *                 | value ( "<" | "<=" | ">" | ">=" ) number
 *                 | value ( "=" | "!=" ) literal
 *                 | value [ "not" ] "between" number "and" number          both ends included
 *                 | value [ "not" ] "in" "(" literal { "," literal } ")"
 *                 | value "is" [ "not" ] "missing"
 *     value       = "score"                   probability of the answer's class
 *                 | "score" "(" class ")"     probability of that class
 *                 | "answer"                  the class that was predicted, or the number
 *                 | "violations"              cells of the request that broke their contract
 *                 | "ood"                     how unlike the training data the row is (ood.h); as
 *                                             a test of its own it means ood >= 100
 *                 | field                     an input of the model
 *     literal     = number | text | "true" | "false"
 *
 * Numbers are decimal and may end in '%'; text stands between ' or ". A field or class whose name
 * is a word of the grammar or no plain word stands between backquotes: `mean radius` < 7. Values
 * are float32 and so are the numbers they are compared with, as in contracts.
 *
 * A value that is missing, or a field that a version does not have, fails every test but
 * "is missing", "!=" and what stands behind "not".
 *
 * A parsed condition is immutable but for a cache of where a version keeps its columns; any number
 * of threads may evaluate it. Evaluation takes no memory and no lock.
 */
#ifndef SLIPWAY_REVIEW_CONDITION_H
#define SLIPWAY_REVIEW_CONDITION_H

#include "base/arena.h"
#include "base/err.h"
#include "monitor/record_answer.h"

enum {
    CONDITION_BYTES_MAX = 2048,
    CONDITION_TESTS_MAX = 32,
    CONDITION_NODES_MAX = 128,   /* tests and the words between them */
    CONDITION_DEPTH_MAX = 16,    /* parentheses and "not" within one another */
    CONDITION_LITERALS_MAX = 64, /* of one "in" */
};

struct condition;

/* One row of one answered request, as far as it is known when it is asked about. */
struct condition_facts {
    const struct record *record;
    int64_t row;
    struct record_answer answer;
    bool has_answer;
    bool is_disagreement; /* a shadow answered otherwise */
    double shadow_share;  /* of rows that shadows are asked about */
};

/* The facts of a row; no shadow has been asked. */
struct condition_facts condition_facts_of(const struct record *record, int64_t row);

/* On success *condition lives in `arena`. ERR_INVALID and ERR_LIMIT name the character. */
enum err_code condition_parse(struct str text, struct arena *arena, struct condition **condition,
                              struct err *err);

bool condition_holds(const struct condition *condition, const struct condition_facts *facts);

/* Does it ask whether a shadow disagrees? Then it is only known after the reply. */
bool condition_needs_shadow(const struct condition *condition);

/* Does it ask how unlike the training data a row is? Then the contract must have a profile. */
bool condition_needs_training(const struct condition *condition);

/* The i-th field or class it names, for a check against a contract; ptr NULL behind the last.
 * *is_class tells which. */
struct str condition_name(const struct condition *condition, int i, bool *is_class);

#endif
