/* outcome.c - words of outcomes, and the list of those who hear of them. */
#include "monitor/outcome.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"

struct outcomes {
    pthread_mutex_t lock; /* one publication at a time */
    int count;
    struct outcome_sink sinks[OUTCOME_SINKS_MAX]; /* [count] */
};

const char *outcome_kind_name(enum outcome_kind kind)
{
    static const char *const names[] = {"label", "value", "event"};
    assert(kind <= OUTCOME_EVENT);
    return names[kind];
}

const char *outcome_source_name(enum outcome_source source)
{
    static const char *const names[] = {"api", "review"};
    assert(source <= OUTCOME_REVIEW);
    return names[source];
}

const char *outcome_direction_name(enum outcome_direction direction)
{
    static const char *const names[] = {"", "up", "down"};
    assert(direction <= OUTCOME_DOWN);
    return names[direction];
}

const char *outcome_result_name(enum outcome_result result)
{
    static const char *const names[OUTCOME_RESULT_COUNT] = {
        "pending", "accepted", "duplicate", "corrected", "outdated", "orphan", "refused"};
    assert((int)result < OUTCOME_RESULT_COUNT);
    return names[result];
}

struct outcomes *outcomes_new(void)
{
    struct outcomes *outcomes = calloc(1, sizeof(*outcomes));
    if (!outcomes)
        abort();
    pthread_mutex_init(&outcomes->lock, NULL);
    return outcomes;
}

void outcomes_free(struct outcomes *outcomes)
{
    if (!outcomes)
        return;
    pthread_mutex_destroy(&outcomes->lock);
    free(outcomes);
}

void outcomes_add_sink(struct outcomes *outcomes, const struct outcome_sink *sink)
{
    assert(outcomes->count < OUTCOME_SINKS_MAX);
    outcomes->sinks[outcomes->count++] = *sink;
}

static bool counts(const struct outcome *outcome)
{
    return outcome->predicted &&
           (outcome->result == OUTCOME_ACCEPTED || outcome->result == OUTCOME_CORRECTED);
}

void outcomes_publish(struct outcomes *outcomes, const struct outcome *list, int count)
{
    if (!outcomes || outcomes->count == 0)
        return;
    pthread_mutex_lock(&outcomes->lock);
    for (int i = 0; i < count; i++)
        for (int k = 0; k < outcomes->count && counts(&list[i]); k++)
            outcomes->sinks[k].take(outcomes->sinks[k].arg, &list[i]);
    pthread_mutex_unlock(&outcomes->lock);
}
