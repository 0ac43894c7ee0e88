-- Closed windows of live rows against their baseline, and what must outlive a restart of what
-- watches them. summary and state are JSON text.

CREATE TABLE monitor_windows (
    model   TEXT   NOT NULL,
    version BIGINT NOT NULL,
    arm     TEXT   NOT NULL,
    from_us BIGINT NOT NULL,
    summary TEXT   NOT NULL,
    PRIMARY KEY (model, version, arm, from_us)
);

CREATE TABLE monitor_states (
    model   TEXT   NOT NULL,
    version BIGINT NOT NULL,
    arm     TEXT   NOT NULL,
    at_us   BIGINT NOT NULL,
    state   TEXT   NOT NULL,
    PRIMARY KEY (model, version, arm)
);
