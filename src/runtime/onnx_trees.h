/* onnx_trees.h - a TreeEnsemble operator of ONNX-ML: its forest, and how margins become scores.
 *
 * TreeEnsembleRegressor and TreeEnsembleClassifier (versions 1 and 3) and TreeEnsemble (5), with
 * float32 inputs and attributes. Margins are sums in float32 in the order of the trees, as ONNX
 * Runtime adds them in one thread; what follows has its steps too.
 */
#ifndef SLIPWAY_RUNTIME_ONNX_TREES_H
#define SLIPWAY_RUNTIME_ONNX_TREES_H

#include "runtime/forest.h"
#include "runtime/onnx_graph.h"

enum onnx_post {
    ONNX_POST_NONE,
    ONNX_POST_SOFTMAX,
    ONNX_POST_LOGISTIC,
    ONNX_POST_SOFTMAX_ZERO,
    ONNX_POST_PROBIT,
};

/* What comes after the sums. Lives in the arena to keep. */
struct onnx_scores {
    int count; /* scores of a row: targets or classes */
    bool is_classifier;
    enum onnx_post post;
    float divisor; /* trees of an average; 0: no average */
    int base_count;
    const float *base; /* [base_count] */

    /* Classifiers. */
    const bool *has_score;   /* [count] does any leaf speak of the class? */
    bool is_single;          /* two classes, and the leaves speak of one */
    bool is_positive;        /* no weight is negative */
    const int64_t *labels;   /* [count] or NULL */
    const struct str *names; /* [count] or NULL */
};

bool onnx_is_trees(const struct onnx_node *node);

/* `forest` lives in `arena`. feature_count 0: as many as the splits name. ERR_UNSUPPORTED when
 * ONNX Runtime would have to run it, as for trees of doubles. */
enum err_code onnx_trees_read(const struct onnx_node *node, int64_t feature_count,
                              struct arena *arena, struct arena *keep, struct forest *forest,
                              struct onnx_scores *scores, struct err *err);

/* margins [rows, count] -> scores, in their place; classes [rows] (NULL: not wanted) get the index
 * of each row's class. */
void onnx_scores_finish(const struct onnx_scores *scores, float *margins, int64_t rows,
                        int64_t *classes);

/* The label of a class. Of two classes of which leaves speak apart, ONNX Runtime gives 0 and 1
 * whatever the labels are. */
int64_t onnx_scores_label(const struct onnx_scores *scores, int64_t class_index);

/* The post transform of one row of `count` numbers, as trees and linear operators have it. */
void onnx_post_apply(enum onnx_post post, float *values, int count);
bool onnx_post_find(struct str name, enum onnx_post *post);

#endif
