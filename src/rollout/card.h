/* card.h - a model card: what the record says of one version, and what it does not say.
 *
 * Nothing in it is written for it: owner and purpose are the model's, data and limits the
 * contract's, metrics and slices those of the newest gate, history that of aliases and rollouts.
 * What is missing is a gap, and gaps are printed as gaps.
 */
#ifndef SLIPWAY_ROLLOUT_CARD_H
#define SLIPWAY_ROLLOUT_CARD_H

#include "base/json.h"
#include "contract/contract.h"
#include "contract/training_rows.h"
#include "rollout/gate_store.h"
#include "rollout/rollout_store.h"

enum { CARD_GAPS_MAX = 32, CARD_HISTORY_MAX = 200 };

struct card {
    struct arena *arena; /* of everything it points to */
    int64_t at_us;
    struct model model;
    struct version version;
    int alias_count;
    const struct alias *aliases; /* [alias_count] of the whole model */
    int change_count;
    const struct alias_change *changes; /* [change_count] of the whole model, oldest first */
    int rollout_count;
    const struct rollout *rollouts; /* [rollout_count] of the whole model, newest first */
    struct gate_requirement required;
    bool has_gate;
    struct gate_result gate;
    yyjson_val *report;              /* of the gate, or NULL */
    yyjson_val *lineage, *signature; /* objects, or NULL */
    const struct contract *contract; /* NULL: the version has none */
    bool has_training_rows;
    struct training_rows training;
    int64_t baseline_rows; /* of the contract's reference counts; 0: none */
    int gap_count;
    const char *gaps[CARD_GAPS_MAX];
};

/* Everything the store knows; `document` is the contract's text, empty when there is none, and
 * `contract` what it parses to. */
enum err_code card_read(struct store *store, const char *model, int64_t version,
                        struct str document, const struct contract *contract, struct arena *arena,
                        struct card *card, struct err *err);

void card_write_json(struct json_writer *w, const struct card *card);
void card_write_markdown(struct buf *out, const struct card *card);

#endif
