/* shadow_score.h - one recorded request scored by another version, and the answers compared.
 *
 * The shadow gets what the caller sent as its own contract reads it: columns are matched by name,
 * categories by their text, so two versions whose contracts differ in order or codes are still
 * asked the same question. Rows that its contract refuses are counted, not scored.
 */
#ifndef SLIPWAY_SERVE_SHADOW_SCORE_H
#define SLIPWAY_SERVE_SHADOW_SCORE_H

#include "base/arena.h"
#include "monitor/predicted.h"
#include "rollout/compare.h"
#include "runtime/loaded.h"

/* How a version's records become rows of another version. */
struct shadow_map;

/* `schema` and `shadow` must outlive the map. */
struct shadow_map *shadow_map_new(const struct record_schema *schema, const struct loaded *shadow);
void shadow_map_free(struct shadow_map *map); /* NULL is allowed */

/* Told of each row that both answer differently, on the thread that scores. `share` is the share of
 * requests that the shadow is asked about. */
struct shadow_watch {
    void (*differs)(void *arg, const struct record *record, int64_t row, double share);
    void *arg;
};

/* Before the map is used; `watch` outlives it. */
void shadow_map_watch(struct shadow_map *map, const struct shadow_watch *watch, double share);

/* What one scoring took. */
struct shadow_times {
    int64_t stable_ns, shadow_ns; /* of predicting all rows; stable 0 when it was not asked again */
};

/* Score the record's rows by the shadow and add each to `compare`. When `stable` is not NULL it
 * predicts the same rows too, only to be timed beside the shadow. The arena is the caller's
 * scratch. The record must have been answered (status 200). */
void shadow_score(const struct shadow_map *map, const struct record *record,
                  const struct loaded *stable, struct arena *arena, struct compare *compare,
                  struct shadow_times *times);

/* What the shadow would have answered to one kept row, as another reading of `stable`, which is
 * what was read of that row. Results live in `arena`. False when it cannot be told: its contract
 * refuses the row, it has other classes, or an input was not kept as it came (record.h, kept_as).
 */
bool shadow_predict(const struct loaded *shadow, const struct record *record, int64_t row,
                    const struct predicted *stable, struct arena *arena,
                    struct predicted *predicted);

/* ---- one record asked of another version ---- */

struct shadow_reply {
    const struct tensor *answer; /* a class or number of each row; NULL: there is none to be read */
    const struct tensor *out;    /* [out_count], with `answer` */
    int out_count;
};

/* Does the record's schema hold rows at all? */
bool shadow_map_has_inputs(const struct shadow_map *map);

/* Are the columns that are inputs of the model kept as they came? */
bool shadow_map_is_whole(const struct shadow_map *map);

/* The record's rows answered as a request of theirs would be; the reply lives in `arena`. Rules do
 * not judge columns that were not kept as they came. ERR_VIOLATION: the contract refuses a row. */
enum err_code shadow_ask(const struct shadow_map *map, const struct record *record,
                         struct arena *arena, struct shadow_reply *reply, struct err *err);

/* One row of reply->answer in the terms of the record's version: a class that has none there is its
 * class_count. */
struct record_answer shadow_reply_answer(const struct shadow_map *map, const struct tensor *answer,
                                         int64_t row);

/* The largest change of any class's probability. */
double shadow_probability_change(const struct shadow_map *map, const struct record *record,
                                 const struct tensor *answer, int64_t row);

#endif
