/* fit.h - does a contract fit a model? Plain arrays, so that this layer knows no runtime. */
#ifndef SLIPWAY_CONTRACT_FIT_H
#define SLIPWAY_CONTRACT_FIT_H

#include "contract/contract.h"

/* What the model's file says about itself; pointers are borrowed and may be NULL when it is silent.
 */
struct contract_fit {
    int feature_count;
    const char *const *feature_names; /* [feature_count] */
    const bool *is_categorical;       /* [feature_count] */
    const int *category_counts; /* [feature_count] codes the model knows; 0: none or unknown */
    int class_count;            /* 1: a number per row */
};

/* order[i] becomes the index among the contract's features of the model's feature i: by name when
 * the model has names, else by position. ERR_INVALID names the field and both sides. */
enum err_code contract_fit(const struct contract *contract, const struct contract_fit *model,
                           int *order, struct err *err);

/* The last part of it alone: does the contract's prediction name as many classes as there are? */
enum err_code contract_fit_classes(const struct contract *contract, int class_count,
                                   struct err *err);

#endif
