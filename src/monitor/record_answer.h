/* record_answer.h - what a record's outputs mean for one row: a class with its probability, or a
 * number. The same reading as runtime/answer.h, for records that outlived their version.
 */
#ifndef SLIPWAY_MONITOR_RECORD_ANSWER_H
#define SLIPWAY_MONITOR_RECORD_ANSWER_H

#include "monitor/record.h"

struct record_answer {
    bool is_class;   /* else `value` is the answer */
    int class_index; /* the chosen class */
    bool has_score;  /* probabilities are known */
    float score;     /* probability of the chosen class; only when has_score */
    float value;     /* as the model gave it: the number, or the probability of class 1 */
};

/* Read row `row` of a record that was answered (output_count >= 1). False when the first output is
 * no float32 or int64 tensor of one row per row: there is no answer to read. */
bool record_answer_read(const struct record *record, int64_t row, struct record_answer *answer);

/* Probability of one class of that row; only when has_score. */
float record_answer_probability(const struct record *record, int64_t row, int class_index);

/* The contract's name of a class; ptr NULL when it has none (then the index is the name). */
struct str record_class_name(const struct record_schema *schema, int class_index);

/* The name, or the index as text in `number`. */
struct str record_class_text(const struct record_schema *schema, int class_index,
                             char number[STR_NUMBER_BYTES]);

#endif
