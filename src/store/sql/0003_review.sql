-- 0003_review - people deciding: the review file of a model, items, leases, decisions, data sets.

-- Every review file a model had; the newest revision counts, '' is none. The salt of the draws stays
-- with the model.
CREATE TABLE review_rules (
    model      TEXT NOT NULL REFERENCES models (name),
    revision   BIGINT NOT NULL,
    document   TEXT NOT NULL,
    salt       TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    PRIMARY KEY (model, revision)
);

-- One row a prediction that a person sees. `inputs` is an object, `answer` what the model said,
-- `choices` the classes or [] for a number. `reviewers` is how many decisions are wanted now.
CREATE TABLE review_items (
    id             BIGINT PRIMARY KEY,
    prediction_id  TEXT NOT NULL UNIQUE,
    request_id     TEXT NOT NULL,
    model          TEXT NOT NULL,
    version        BIGINT NOT NULL,
    arm            BIGINT NOT NULL,
    rollout        BIGINT NOT NULL,
    has_key        BIGINT NOT NULL,
    key_hash       BIGINT NOT NULL,
    predicted_us   BIGINT NOT NULL,
    inputs         TEXT NOT NULL,
    answer         TEXT NOT NULL,
    answer_label   TEXT NOT NULL,
    choices        TEXT NOT NULL,
    business_key   TEXT NOT NULL,
    rule           TEXT NOT NULL,
    rules_revision BIGINT NOT NULL,
    reason         TEXT NOT NULL,
    probability    DOUBLE PRECISION NOT NULL,
    is_random      BIGINT NOT NULL,
    is_blind       BIGINT NOT NULL,
    mode           TEXT NOT NULL CHECK (mode IN ('after', 'hold')),
    on_expiry      TEXT NOT NULL CHECK (on_expiry IN ('default', 'reject', 'escalate')),
    stakes         BIGINT NOT NULL,
    reviewers_rule BIGINT NOT NULL,
    reviewers      BIGINT NOT NULL,
    tolerance      DOUBLE PRECISION NOT NULL,
    gold_share     DOUBLE PRECISION NOT NULL,
    lease_us       BIGINT NOT NULL,
    undo_us        BIGINT NOT NULL,
    sla_us         BIGINT NOT NULL,
    created_us     BIGINT NOT NULL,
    due_us         BIGINT NOT NULL,
    state          TEXT NOT NULL
        CHECK (state IN ('open', 'decided', 'expired', 'rejected', 'disputed', 'erased')),
    is_escalated   BIGINT NOT NULL,
    is_late        BIGINT NOT NULL,
    decision_count BIGINT NOT NULL,
    label          TEXT NOT NULL,
    closed_us      BIGINT NOT NULL,
    gold_label     TEXT NOT NULL
);
CREATE INDEX review_items_by_turn ON review_items (state, stakes DESC, due_us, id);
CREATE INDEX review_items_by_due ON review_items (state, due_us);
CREATE INDEX review_items_by_model ON review_items (model, state, id);
CREATE INDEX review_items_by_request ON review_items (request_id);
CREATE INDEX review_items_gold ON review_items (model, id) WHERE gold_label <> '';

-- Whose turn it is. Not part of the audit trail: it ends by itself.
CREATE TABLE review_leases (
    item     BIGINT NOT NULL REFERENCES review_items (id),
    reviewer TEXT NOT NULL,
    is_gold  BIGINT NOT NULL,
    taken_us BIGINT NOT NULL,
    until_us BIGINT NOT NULL,
    PRIMARY KEY (item, reviewer)
);
CREATE INDEX review_leases_by_reviewer ON review_leases (reviewer, until_us);

-- Never changed: a correction, an undo and a skip are rows of their own. The last row of a reviewer
-- for an item counts. `uuid` is the client's, so that a decision sent twice is made once.
CREATE TABLE review_decisions (
    id         BIGINT PRIMARY KEY,
    uuid       TEXT NOT NULL UNIQUE,
    item       BIGINT NOT NULL REFERENCES review_items (id),
    reviewer   TEXT NOT NULL,
    kind       TEXT NOT NULL CHECK (kind IN ('decide', 'undo', 'skip')),
    label      TEXT NOT NULL,
    note       TEXT NOT NULL,
    replaces   BIGINT NOT NULL,
    is_gold    BIGINT NOT NULL,
    is_blind   BIGINT NOT NULL,
    took_us    BIGINT NOT NULL,
    created_us BIGINT NOT NULL
);
CREATE INDEX review_decisions_by_item ON review_decisions (item, reviewer, id);
CREATE INDEX review_decisions_by_reviewer ON review_decisions (reviewer, id);

-- Sums for metrics, so that a scrape reads no items.
CREATE TABLE review_totals (
    model       TEXT NOT NULL,
    version     BIGINT NOT NULL,
    items       BIGINT NOT NULL,
    decisions   BIGINT NOT NULL,
    decision_us BIGINT NOT NULL,
    overrides   BIGINT NOT NULL,
    sla_misses  BIGINT NOT NULL,
    PRIMARY KEY (model, version)
);

-- A data set is what decisions up to `through` say, in one format; its bytes can be made again.
CREATE TABLE review_datasets (
    model      TEXT NOT NULL,
    version    BIGINT NOT NULL,
    format     TEXT NOT NULL CHECK (format IN ('csv', 'jsonl')),
    test_share DOUBLE PRECISION NOT NULL,
    through    BIGINT NOT NULL,
    row_count  BIGINT NOT NULL,
    digest     TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    PRIMARY KEY (model, version)
);
