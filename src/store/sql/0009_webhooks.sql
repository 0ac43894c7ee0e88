-- 0009_webhooks - the last event of the audit trail that each webhook's receiver took.

CREATE TABLE webhook_cursors (
    name       TEXT PRIMARY KEY,
    seq        BIGINT NOT NULL,
    updated_us BIGINT NOT NULL
);
