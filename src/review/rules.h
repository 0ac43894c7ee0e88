/* rules.h - which predictions of a model a person must see: the review file of a model, parsed.
 *
 *     lease: 10m                 how long an item is a reviewer's before others get it
 *     undo: 5m                   how long a reviewer may take a decision back
 *     gold: 2%                   share of the items handed out whose answer is known
 *     blind: 10%                 share of the items whose prediction the reviewer does not see
 *     hide: [email]              fields that are not kept in items
 *     rules:                     the first one that matches wins
 *       - name: borderline
 *         when: score between 0.4 and 0.6     condition.h, or one of the words random, appeal
 *         sample: 100%           chance that a matching prediction is taken; else the next rule
 *         reviewers: 1           decisions an item needs
 *         sla: 24h               until when
 *         on_expiry: default     default | reject | escalate
 *         mode: after            after: answered, reviewed later; hold: the answer waits
 *         stakes: 0              0..9, what is handed out first
 *         tolerance: 0           numbers: decisions this near to one another agree
 *         gold: 2%  blind: 10%   for this rule
 *
 * Rules are immutable after review_rules_parse() and live in the arena they were parsed into.
 */
#ifndef SLIPWAY_REVIEW_RULES_H
#define SLIPWAY_REVIEW_RULES_H

#include "base/json.h"
#include "contract/contract.h"
#include "review/condition.h"

enum {
    REVIEW_RULES_MAX = 64,
    REVIEW_RULES_BYTES_MAX = 256 * 1024, /* of the file */
    REVIEW_REVIEWERS_MAX = 9,            /* decisions of one item */
    REVIEW_STAKES_MAX = 9,
    REVIEW_HIDDEN_MAX = 256,
};

enum review_mode { REVIEW_AFTER, REVIEW_HOLD };
enum review_expiry {
    REVIEW_EXPIRY_DEFAULT,  /* the model's answer stands */
    REVIEW_EXPIRY_REJECT,   /* there is no answer */
    REVIEW_EXPIRY_ESCALATE, /* it goes on to the top of the queue, and stays open */
};

const char *review_mode_name(enum review_mode mode);       /* "after", "hold" */
const char *review_expiry_name(enum review_expiry expiry); /* "default", "reject", "escalate" */

struct review_rule {
    const char *name;
    uint64_t name_hash;           /* of its draws: no two rules draw alike */
    const struct condition *when; /* NULL: every prediction, or is_appeal */
    bool is_random;             /* `when: random`: a share of all, drawn whatever the others say */
    bool is_appeal;             /* `when: appeal`: only on request */
    double sample, gold, blind; /* shares 0..1 */
    int reviewers;              /* 1..REVIEW_REVIEWERS_MAX */
    int64_t sla_us;
    enum review_expiry on_expiry;
    enum review_mode mode;
    int stakes;       /* 0..REVIEW_STAKES_MAX */
    double tolerance; /* >= 0 */
};

struct review_rules {
    int64_t revision; /* the store's; 0 when it was not read from there */
    uint64_t
        salt[2]; /* of the draws; secret, so that no caller can choose an id that is not drawn */
    int64_t lease_us, undo_us;
    int hidden_count;
    const char **hidden; /* [hidden_count] */
    int count;
    struct review_rule *rules; /* [count] */
    bool has_after, has_hold, has_shadow;
    const struct review_rule *random, *appeal; /* the rule of that kind, or NULL */
};

/* Read a review file (YAML or JSON). ERR_INVALID names the rule and the place. */
enum err_code review_rules_parse(struct str document, struct arena *arena,
                                 struct review_rules **rules, struct err *err);

/* Does every field that the rules name exist in the contract of the version that answers? With its
 * nearest name as a hint. */
enum err_code review_rules_check(const struct review_rules *rules, const struct contract *contract,
                                 struct err *err);

bool review_rules_hide(const struct review_rules *rules, const char *field);

/* A share: the number 0.005 or the text "0.5%". `what` is the place for messages. */
enum err_code review_share_parse(yyjson_val *value, const char *what, double *share,
                                 struct err *err);

#endif
