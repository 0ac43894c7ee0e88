-- 0004_alerts - alerts that are open, silences, and what burn rates are computed from.

-- One row an open alert; what was opened and closed before is in the audit trail.
CREATE TABLE alerts (
    key        TEXT PRIMARY KEY,
    rule       TEXT NOT NULL,
    model      TEXT NOT NULL,
    version    BIGINT NOT NULL,
    severity   BIGINT NOT NULL,
    value      DOUBLE PRECISION,
    bound      DOUBLE PRECISION,
    unit       TEXT NOT NULL,
    message    TEXT NOT NULL,
    cause      TEXT NOT NULL,
    since_us   BIGINT NOT NULL,
    opened_us  BIGINT NOT NULL
);

-- `id` is the number of the silence's audit event.
CREATE TABLE alert_silences (
    id         BIGINT PRIMARY KEY REFERENCES audit (seq),
    pattern    TEXT NOT NULL,
    until_us   BIGINT NOT NULL,
    reason     TEXT NOT NULL,
    actor      TEXT NOT NULL,
    created_us BIGINT NOT NULL
);

-- Counts of the last three days by model, written every few minutes; src/monitor/burn.h.
CREATE TABLE alert_windows (
    model    TEXT PRIMARY KEY,
    counts   TEXT NOT NULL,
    saved_us BIGINT NOT NULL
);
