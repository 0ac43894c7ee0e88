/* rollout_engine.h - rollouts at work: traffic becomes evidence, evidence becomes transitions.
 *
 *     recorder thread: record -> exposure, events -> a guard fails? -> kick the ticker
 *     publisher of outcomes: outcome -> events    -> the same
 *     ticker, each second or when kicked: what is active -> rollout_decide -> control_execute
 *
 * A transition is one transaction of state, decision and audit event, then the snapshot is
 * published; a rollback is published first. Whoever changes rollouts tells the engine, which reads
 * them again from the store; what it has in memory is evidence only.
 */
#ifndef SLIPWAY_SERVE_ROLLOUT_ENGINE_H
#define SLIPWAY_SERVE_ROLLOUT_ENGINE_H

#include "monitor/alert.h"
#include "monitor/outcome.h"
#include "rollout/rollout_store.h"
#include "serve/control.h"
#include "serve/shadow.h"
#include "serve/ticker.h"

enum {
    ROLLOUTS_ACTIVE_MAX = 256,
    ROLLOUT_TICK_MS = 1000,
    ROLLOUT_SAVE_TICKS = 10, /* evidence is written about as often */
    ROLLOUT_COOL_TICKS = 60, /* versions that were kept warm are let go */
};

/* Who acts when nobody does. */
extern const struct actor rollout_engine_actor;

struct rollout_engine;

struct rollout_engine_config {
    struct control *control;
    struct alerts *alerts; /* may be NULL */
    struct shadow *shadow; /* NULL: shadow steps cannot be looked at */
};

struct rollout_engine *rollout_engine_new(const struct rollout_engine_config *config);

/* When recorder, outcomes and ticker have ended; keeps the evidence. NULL is allowed. */
void rollout_engine_free(struct rollout_engine *engine);

/* For the recorder and for outcomes; valid as long as the engine. */
struct record_sink rollout_engine_sink(struct rollout_engine *engine);
struct outcome_sink rollout_engine_outcome_sink(struct rollout_engine *engine);

/* Before ticker_start. */
void rollout_engine_schedule(struct rollout_engine *engine, struct ticker *ticker);

/* Before ticker_free: nobody is kicked any more. NULL is allowed. */
void rollout_engine_unschedule(struct rollout_engine *engine);

/* A rollout was started or changed: look soon. Any thread. NULL is allowed (in-process). */
void rollout_engine_changed(struct rollout_engine *engine);

/* One look at everything, now. What the ticker does. */
void rollout_engine_run(struct rollout_engine *engine);

/* What an active rollout's next decision would rest on; view->spec is the caller's. False when the
 * engine does not have it (yet). Any thread. */
bool rollout_engine_view(struct rollout_engine *engine, int64_t rollout, struct rollout_view *view);

/* Records of rollouts that nobody knows any more, and rollbacks by cause. */
struct rollout_engine_stats {
    int active;
    uint64_t rollbacks_harm, rollbacks_guard, rollbacks_step, rollbacks_other;
};
void rollout_engine_stats(struct rollout_engine *engine, struct rollout_engine_stats *stats);

/* Each active rollout with its readings, for metrics: called under the engine's lock. */
typedef void rollout_visit_fn(void *arg, const struct rollout *rollout,
                              const struct rollout_view *view);
void rollout_engine_each(struct rollout_engine *engine, rollout_visit_fn *visit, void *arg);

#endif
