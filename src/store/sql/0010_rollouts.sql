-- 0010_rollouts - versions earning their traffic, and every decision about them.
--
-- A rollout whose ended_us is 0 is active; a model has at most one. `file` is what people wrote,
-- byte for byte. The id of a decision is the number of its audit event.

CREATE TABLE rollouts (
    id              BIGINT PRIMARY KEY,
    model           TEXT NOT NULL REFERENCES models (name),
    from_version    BIGINT NOT NULL,
    to_version      BIGINT NOT NULL,
    from_digest     TEXT NOT NULL,
    to_digest       TEXT NOT NULL,
    file            TEXT NOT NULL,
    file_digest     TEXT NOT NULL,
    salt            TEXT NOT NULL,
    author          TEXT NOT NULL,
    started_us      BIGINT NOT NULL,
    state           TEXT NOT NULL,
    revision        BIGINT NOT NULL,
    step            BIGINT NOT NULL,
    weight_ppm      BIGINT NOT NULL,
    step_started_us BIGINT NOT NULL,
    reason          TEXT NOT NULL,
    ended_us        BIGINT NOT NULL,
    warm_until_us   BIGINT NOT NULL,
    FOREIGN KEY (model, from_version) REFERENCES versions (model, number),
    FOREIGN KEY (model, to_version) REFERENCES versions (model, number)
);
CREATE UNIQUE INDEX rollouts_active ON rollouts (model) WHERE ended_us = 0;
CREATE INDEX rollouts_by_model ON rollouts (model, id);

CREATE TABLE rollout_decisions (
    id         BIGINT PRIMARY KEY REFERENCES audit (seq),
    rollout    BIGINT NOT NULL REFERENCES rollouts (id),
    at_us      BIGINT NOT NULL,
    action     TEXT NOT NULL,
    cause      TEXT NOT NULL,
    state      TEXT NOT NULL,
    step       BIGINT NOT NULL,
    weight_ppm BIGINT NOT NULL,
    reason     TEXT NOT NULL,
    actor      TEXT NOT NULL,
    evidence   TEXT NOT NULL
);
CREATE INDEX rollout_decisions_by_rollout ON rollout_decisions (rollout, id);
