/* feedback.c - items of feedback become outcomes, whatever the form they came in. */
#include "monitor/feedback.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "contract/text.h"

/* Days from 1970-01-01 to a date of the Gregorian calendar, by eras of 400 years that begin on the
 * first of March (H. Hinnant, chrono-compatible low-level date algorithms). */
static int64_t days_from_civil(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = year / 400, year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static int64_t digits(struct str text, size_t at, size_t count)
{
    int64_t value = 0;
    for (size_t i = at; i < at + count; i++)
        value = value * 10 + (text.ptr[i] - '0');
    return value;
}

static int64_t fraction_us(struct str text, size_t *at)
{
    int64_t value = 0, unit = CLOCK_SECOND_US / 10;
    if (*at >= text.len || text.ptr[*at] != '.')
        return 0;
    for (++*at; *at < text.len && text.ptr[*at] >= '0' && text.ptr[*at] <= '9'; ++*at, unit /= 10)
        value += (text.ptr[*at] - '0') * unit;
    return value;
}

/* "+01:00" or "+0100" behind the seconds; "Z" and nothing are 0. */
static int64_t offset_us(struct str text, size_t at)
{
    if (at + 5 > text.len || (text.ptr[at] != '+' && text.ptr[at] != '-'))
        return 0;
    size_t colon = text.ptr[at + 3] == ':';
    int64_t minutes = digits(text, at + 1, 2) * 60 + digits(text, at + 3 + colon, 2);
    return (text.ptr[at] == '-' ? -minutes : minutes) * 60 * CLOCK_SECOND_US;
}

bool feedback_time(struct str text, int64_t *wall_us)
{
    bool is_date = text_is_date(text, NULL);
    if (!is_date && !text_is_timestamp(text, NULL))
        return false;
    int64_t seconds =
        days_from_civil(digits(text, 0, 4), digits(text, 5, 2), digits(text, 8, 2)) * 86400;
    size_t at = 19;
    if (is_date) {
        *wall_us = seconds * CLOCK_SECOND_US;
        return true;
    }
    seconds += digits(text, 11, 2) * 3600 + digits(text, 14, 2) * 60 + digits(text, 17, 2);
    int64_t fraction = fraction_us(text, &at);
    *wall_us = seconds * CLOCK_SECOND_US + fraction - offset_us(text, at);
    return true;
}

/* ---- items ---- */

void feedback_begin(struct feedback_item *item, struct feedback *feedback, struct arena *arena,
                    const char *model)
{
    *item = (struct feedback_item){
        .feedback = feedback,
        .arena = arena,
        .common = {.model = model ? model : "", .source = OUTCOME_API},
        .index = feedback->item_count++,
        .first = feedback->count,
    };
}

enum err_code feedback_add(struct feedback_item *item, struct outcome **outcome, struct err *err)
{
    struct feedback *f = item->feedback;
    if (f->count == OUTCOME_BATCH_MAX) {
        err_set(err, ERR_LIMIT, "more than %d outcomes in one request", OUTCOME_BATCH_MAX);
        return err_hint(err, "send them in several requests; sending some twice does no harm");
    }
    f->outcomes = store_list_grow(item->arena, f->outcomes, f->count, sizeof(*f->outcomes));
    f->items = store_list_grow(item->arena, f->items, f->count, sizeof(*f->items));
    if (!f->outcomes || !f->items)
        return err_set(err, ERR_LIMIT, "no room for the feedback");
    f->outcomes[f->count] = item->common;
    f->items[f->count] = item->index;
    *outcome = &f->outcomes[f->count++];
    return ERR_OK;
}

enum err_code feedback_refuse(struct feedback_item *item, struct err *err, const char *fmt, ...)
{
    struct outcome *outcome = NULL;
    va_list args;
    item->feedback->count = item->first;
    enum err_code rc = feedback_add(item, &outcome, err);
    if (rc || !outcome)
        return rc;
    outcome->result = OUTCOME_REFUSED;
    va_start(args, fmt);
    vsnprintf(outcome->reason, sizeof(outcome->reason), fmt, args);
    va_end(args);
    return ERR_OK;
}

/* What all outcomes of the item share must be sound, and there must be something to say. */
enum err_code feedback_end(struct feedback_item *item, struct err *err)
{
    const struct feedback *f = item->feedback;
    const struct outcome *common = &item->common;
    int64_t row;
    struct str request;
    if (f->count == item->first)
        return feedback_refuse(item, err, "says nothing: expected a label, values or an event");
    if (f->outcomes[item->first].result == OUTCOME_REFUSED)
        return ERR_OK;
    if (common->prediction_id.len && common->key.len)
        return feedback_refuse(item, err, "has both 'id' and 'key': one names the prediction");
    if (!common->prediction_id.len && !common->key.len)
        return feedback_refuse(item, err,
                               "names no prediction: expected 'id', or 'key' and "
                               "'model'");
    if (common->key.len && !common->model[0])
        return feedback_refuse(item, err, "has a key and no model: expected 'model'");
    if (common->model[0] && !str_is_name(str_of(common->model)))
        return feedback_refuse(item, err, "'%.64s' cannot be the name of a model", common->model);
    if (common->prediction_id.len && !predicted_id_split(common->prediction_id, &request, &row))
        return feedback_refuse(
            item, err,
            "id '%.*s' is no prediction's: expected \"<request id>-<row>\", "
            "such as \"4f1c-0\"",
            (int)(common->prediction_id.len < 80 ? common->prediction_id.len : 80),
            common->prediction_id.ptr);
    return ERR_OK;
}
