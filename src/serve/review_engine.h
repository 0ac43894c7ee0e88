/* review_engine.h - review rules at work: answered predictions become items, items expire.
 *
 *     recorder thread: record -> rules of its model -> batch that waits (bounded, else counted)
 *     ticker:          batches -> one transaction each;  what is due -> expired or escalated
 *
 * Rows in mode hold have their items before they are answered (hold.h).
 */
#ifndef SLIPWAY_SERVE_REVIEW_ENGINE_H
#define SLIPWAY_SERVE_REVIEW_ENGINE_H

#include "monitor/alert.h"
#include "monitor/record.h"
#include "review/review.h"
#include "serve/control.h"
#include "serve/shadow_score.h"
#include "serve/ticker.h"

enum {
    REVIEW_WAITING_BATCHES_MAX = 16, /* of REVIEW_BATCH_MAX items */
    REVIEW_BATCH_BYTES_MAX = 4 * 1024 * 1024,
    REVIEW_TICK_MS = 1000,
    REVIEW_WATCH_TICKS = 10, /* between looks for items that are late */
};

/* Who opens and closes items when nobody does. */
extern const struct actor review_engine_actor;

struct review_engine;

/* `alerts` may be NULL: nobody hears of items that wait too long. */
struct review_engine *review_engine_new(struct control *control, struct alerts *alerts);

/* When the recorder and the ticker have ended. NULL is allowed. */
void review_engine_free(struct review_engine *engine);

/* For the recorder; valid as long as the engine. */
struct record_sink review_engine_sink(struct review_engine *engine);

/* Before ticker_start. */
void review_engine_schedule(struct review_engine *engine, struct ticker *ticker);

/* For the shadow: rows that it answers otherwise are tried again, by the rules that ask for it.
 * Valid as long as the engine. */
struct shadow_watch review_engine_watch(struct review_engine *engine);

/* Store what waits and expire what is due, now. What the ticker does; not on the control thread. */
void review_engine_run(struct review_engine *engine);

/* Items that found no room. */
uint64_t review_engine_dropped(const struct review_engine *engine);

#endif
