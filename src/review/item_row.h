/* item_row.h - a row of review_items, for the files of this folder that write and read it. */
#ifndef SLIPWAY_REVIEW_ITEM_ROW_H
#define SLIPWAY_REVIEW_ITEM_ROW_H

#include "review/review.h"

/* When no rules say otherwise. */
#define REVIEW_LEASE_US (INT64_C(600) * 1000000)
#define REVIEW_UNDO_US (INT64_C(300) * 1000000)

#define STORE_REAL(v) ((struct store_value){STORE_F64, {.f64 = (v)}})

/* The order of columns is that of the values below, and of review_item_read(). */
#define REVIEW_ITEM_COLUMNS                                                                        \
    "id, prediction_id, request_id, model, version, arm, rollout, has_key, key_hash, "             \
    "predicted_us, inputs, answer, answer_label, choices, business_key, rule, rules_revision, "    \
    "reason, probability, is_random, is_blind, mode, on_expiry, stakes, reviewers_rule, "          \
    "reviewers, tolerance, gold_share, lease_us, undo_us, sla_us, created_us, due_us, state, "     \
    "is_escalated, is_late, decision_count, label, closed_us, gold_label, asked_by"

#define REVIEW_ITEM_VALUES(item)                                                                   \
    {STORE_INT((item)->id),                                                                        \
     STORE_CSTR((item)->prediction_id),                                                            \
     STORE_CSTR((item)->request_id),                                                               \
     STORE_CSTR((item)->model),                                                                    \
     STORE_INT((item)->version),                                                                   \
     STORE_INT((int64_t)(item)->arm),                                                              \
     STORE_INT((item)->rollout),                                                                   \
     STORE_INT((item)->has_key),                                                                   \
     STORE_INT((int64_t)(item)->key_hash),                                                         \
     STORE_INT((item)->predicted_us),                                                              \
     STORE_CSTR((item)->inputs),                                                                   \
     STORE_CSTR((item)->answer),                                                                   \
     STORE_CSTR((item)->answer_label),                                                             \
     STORE_CSTR((item)->choices),                                                                  \
     STORE_CSTR((item)->business_key),                                                             \
     STORE_CSTR((item)->rule),                                                                     \
     STORE_INT((item)->rules_revision),                                                            \
     STORE_CSTR((item)->reason),                                                                   \
     STORE_REAL((item)->probability),                                                              \
     STORE_INT((item)->is_random),                                                                 \
     STORE_INT((item)->is_blind),                                                                  \
     STORE_CSTR(review_mode_name((item)->mode)),                                                   \
     STORE_CSTR(review_expiry_name((item)->on_expiry)),                                            \
     STORE_INT((item)->stakes),                                                                    \
     STORE_INT((item)->reviewers_rule),                                                            \
     STORE_INT((item)->reviewers),                                                                 \
     STORE_REAL((item)->tolerance),                                                                \
     STORE_REAL((item)->gold_share),                                                               \
     STORE_INT((item)->lease_us),                                                                  \
     STORE_INT((item)->undo_us),                                                                   \
     STORE_INT((item)->sla_us),                                                                    \
     STORE_INT((item)->created_us),                                                                \
     STORE_INT((item)->due_us),                                                                    \
     STORE_CSTR(review_state_name((item)->state)),                                                 \
     STORE_INT((item)->is_escalated),                                                              \
     STORE_INT((item)->is_late),                                                                   \
     STORE_INT((item)->decision_count),                                                            \
     STORE_CSTR((item)->label),                                                                    \
     STORE_INT((item)->closed_us),                                                                 \
     STORE_CSTR((item)->gold_label),                                                               \
     STORE_CSTR((item)->asked_by)}

/* False at the arena's limit. */
bool review_item_read(struct store_rows *rows, struct arena *arena, struct review_item *item);

/* Is a number decided rather than a class? */
static inline bool review_item_is_number(const struct review_item *item)
{
    return strcmp(item->choices, "[]") == 0;
}

#endif
