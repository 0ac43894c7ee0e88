/* condition_node.h - a parsed condition, shared by condition_parse.c, which makes it, and
 * condition.c, which evaluates it; nobody else includes it.
 */
#ifndef SLIPWAY_REVIEW_CONDITION_NODE_H
#define SLIPWAY_REVIEW_CONDITION_NODE_H

#include <stdatomic.h>

#include "review/condition.h"

enum condition_value {
    VALUE_SCORE,
    VALUE_SCORE_OF, /* `name` is the class */
    VALUE_ANSWER,
    VALUE_VIOLATIONS,
    VALUE_OOD,
    VALUE_FIELD, /* `name` is the field */
    VALUE_SUSPECT,
    VALUE_DISAGREES,
};

enum condition_verb {
    VERB_HOLDS, /* of values that are true or false themselves */
    VERB_LESS,
    VERB_LESS_EQUAL,
    VERB_GREATER,
    VERB_GREATER_EQUAL,
    VERB_BETWEEN, /* number and high */
    VERB_IN,      /* any of the literals; "=" has one */
    VERB_MISSING,
};

struct condition_literal {
    bool is_text;
    struct str text;
    float number;
};

/* Where a version keeps a field or class: its schema's serial above, place + 1 below; 0 is unknown.
 * Versions of one model take turns in it, so a miss costs one search by name. */
typedef _Atomic uint64_t condition_place;

struct condition_test {
    enum condition_value value;
    enum condition_verb verb;
    struct str name;
    float number, high;
    int literal_count;
    struct condition_literal *literals; /* [literal_count] */
    condition_place *place;
};

enum condition_step { STEP_TEST, STEP_NOT, STEP_AND, STEP_OR };

struct condition_node {
    enum condition_step step;
    int test; /* of STEP_TEST: its index */
};

/* Nodes are in postfix order: a stack of truths of CONDITION_TESTS_MAX evaluates them. */
struct condition {
    int node_count, test_count;
    struct condition_node *nodes; /* [node_count] */
    struct condition_test *tests; /* [test_count] */
    bool needs_shadow, needs_training;
};

#endif
