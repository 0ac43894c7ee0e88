-- 0002_outcomes - what came true about predictions: labels, business values, events.

-- Answered rows of which something is known, copied from their record when they are joined, so that
-- quality needs no record. A row answered by a shadow too has one row a version.
CREATE TABLE predicted (
    id            TEXT NOT NULL,
    model         TEXT NOT NULL,
    version       BIGINT NOT NULL,
    arm           TEXT NOT NULL,
    rollout       BIGINT NOT NULL,
    has_key       BIGINT NOT NULL,
    key_hash      BIGINT NOT NULL,
    business_key  TEXT NOT NULL,
    at_us         BIGINT NOT NULL,
    is_suspect    BIGINT NOT NULL,
    answer        TEXT NOT NULL,
    class_index   BIGINT NOT NULL,
    class_count   BIGINT NOT NULL,
    value         DOUBLE PRECISION NOT NULL,
    probabilities TEXT NOT NULL,
    segments      TEXT NOT NULL,
    PRIMARY KEY (id, model, version)
);
CREATE INDEX predicted_by_time ON predicted (model, at_us);
CREATE INDEX predicted_by_key ON predicted (model, business_key);

-- Every outcome that was taken. One is current for a prediction and a name; what it replaced and
-- what came too late stays.
CREATE TABLE outcomes (
    seq           BIGINT PRIMARY KEY,
    prediction_id TEXT NOT NULL,
    model         TEXT NOT NULL,
    version       BIGINT NOT NULL,
    name          TEXT NOT NULL,
    kind          TEXT NOT NULL CHECK (kind IN ('label', 'value', 'event')),
    state         TEXT NOT NULL CHECK (state IN ('current', 'replaced', 'outdated')),
    label         TEXT NOT NULL,
    value         DOUBLE PRECISION NOT NULL,
    at_us         BIGINT NOT NULL,
    received_us   BIGINT NOT NULL,
    feedback_id   TEXT NOT NULL,
    source        TEXT NOT NULL,
    actor         TEXT NOT NULL
);
CREATE INDEX outcomes_by_prediction ON outcomes (prediction_id, model, name);
CREATE INDEX outcomes_by_feedback ON outcomes (feedback_id, name) WHERE feedback_id <> '';

-- Names of values and events, with the unit and which way is better.
CREATE TABLE outcome_names (
    model      TEXT NOT NULL,
    name       TEXT NOT NULL,
    kind       TEXT NOT NULL CHECK (kind IN ('value', 'event')),
    unit       TEXT NOT NULL,
    direction  TEXT NOT NULL CHECK (direction IN ('', 'up', 'down')),
    created_us BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    PRIMARY KEY (model, name)
);

-- Outcomes whose prediction is not there (yet). `refusal` says why one that found its prediction was
-- not taken; '' while it waits.
CREATE TABLE orphans (
    seq           BIGINT PRIMARY KEY,
    prediction_id TEXT NOT NULL,
    model         TEXT NOT NULL,
    business_key  TEXT NOT NULL,
    until_us      BIGINT NOT NULL,
    name          TEXT NOT NULL,
    kind          TEXT NOT NULL,
    label         TEXT NOT NULL,
    value         DOUBLE PRECISION NOT NULL,
    unit          TEXT NOT NULL,
    direction     TEXT NOT NULL,
    at_us         BIGINT NOT NULL,
    received_us   BIGINT NOT NULL,
    feedback_id   TEXT NOT NULL,
    source        TEXT NOT NULL,
    actor         TEXT NOT NULL,
    next_try_us   BIGINT NOT NULL,
    refusal       TEXT NOT NULL
);
CREATE INDEX orphans_by_try ON orphans (refusal, next_try_us);
CREATE INDEX orphans_by_prediction ON orphans (prediction_id, business_key, name);
