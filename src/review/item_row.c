/* item_row.c - a row of review_items -> an item. */
#include "review/item_row.h"

static void read_rule(struct store_rows *rows, struct review_item *item)
{
    item->rules_revision = store_i64(rows, 16);
    item->probability = store_f64(rows, 18);
    item->is_random = store_i64(rows, 19) != 0;
    item->is_blind = store_i64(rows, 20) != 0;
    item->mode = str_equal_c(store_text(rows, 21), "hold") ? REVIEW_HOLD : REVIEW_AFTER;
    struct str expiry = store_text(rows, 22);
    item->on_expiry = str_equal_c(expiry, "reject")     ? REVIEW_EXPIRY_REJECT
                      : str_equal_c(expiry, "escalate") ? REVIEW_EXPIRY_ESCALATE
                                                        : REVIEW_EXPIRY_DEFAULT;
    item->stakes = (int)store_i64(rows, 23);
    item->reviewers_rule = (int)store_i64(rows, 24);
    item->reviewers = (int)store_i64(rows, 25);
    item->tolerance = store_f64(rows, 26);
    item->gold_share = store_f64(rows, 27);
    item->lease_us = store_i64(rows, 28);
    item->undo_us = store_i64(rows, 29);
    item->sla_us = store_i64(rows, 30);
}

static void read_numbers(struct store_rows *rows, struct review_item *item)
{
    item->id = store_i64(rows, 0);
    item->version = store_i64(rows, 4);
    item->arm = (enum arm)store_i64(rows, 5);
    item->rollout = store_i64(rows, 6);
    item->has_key = store_i64(rows, 7) != 0;
    item->key_hash = (uint64_t)store_i64(rows, 8);
    item->predicted_us = store_i64(rows, 9);
    item->created_us = store_i64(rows, 31);
    item->due_us = store_i64(rows, 32);
    review_state_parse(store_text(rows, 33), &item->state);
    item->is_escalated = store_i64(rows, 34) != 0;
    item->is_late = store_i64(rows, 35) != 0;
    item->decision_count = (int)store_i64(rows, 36);
    item->closed_us = store_i64(rows, 38);
}

bool review_item_read(struct store_rows *rows, struct arena *arena, struct review_item *item)
{
    bool is_full = false;
    *item = (struct review_item){
        .prediction_id = store_text_copy(rows, 1, arena, &is_full),
        .request_id = store_text_copy(rows, 2, arena, &is_full),
        .model = store_text_copy(rows, 3, arena, &is_full),
        .inputs = store_text_copy(rows, 10, arena, &is_full),
        .answer = store_text_copy(rows, 11, arena, &is_full),
        .answer_label = store_text_copy(rows, 12, arena, &is_full),
        .choices = store_text_copy(rows, 13, arena, &is_full),
        .business_key = store_text_copy(rows, 14, arena, &is_full),
        .rule = store_text_copy(rows, 15, arena, &is_full),
        .reason = store_text_copy(rows, 17, arena, &is_full),
        .label = store_text_copy(rows, 37, arena, &is_full),
        .gold_label = store_text_copy(rows, 39, arena, &is_full),
        .asked_by = store_text_copy(rows, 40, arena, &is_full),
    };
    read_numbers(rows, item);
    read_rule(rows, item);
    return !is_full;
}
