/* review_form.h - review items as JSON, for the files of the review API. */
#ifndef SLIPWAY_API_REVIEW_FORM_H
#define SLIPWAY_API_REVIEW_FORM_H

#include "api/api.h"

/* A line of a list: everything but inputs, answer and choices. */
void review_write_line(struct json_writer *w, const struct review_item *item);

/* All there is, with its decisions; without the answer while it is blind and open. */
void review_write_item(struct json_writer *w, const struct review_item *item,
                       const struct review_decision *decisions, int decision_count);

/* What a reviewer gets to decide: the same for every item, whether its answer is known or not. */
void review_write_card(struct json_writer *w, const struct review_item *item,
                       const struct review_lease *lease);

/* What the caller of a held prediction gets. */
void review_write_held(struct json_writer *w, const struct review_item *item);

/* Parameter {item} as a number. */
enum err_code review_item_id(struct call *call, int64_t *id, struct err *err);

#endif
