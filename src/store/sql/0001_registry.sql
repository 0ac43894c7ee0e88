-- 0001_registry - audit trail, keys, models, versions, aliases, replies of repeated writes.
--
-- Common subset of SQLite and PostgreSQL. Times are microseconds since 1970, digests lower-case
-- hex, 0 and '' mean none where a column is NOT NULL.

CREATE TABLE audit (
    seq         BIGINT PRIMARY KEY,
    at_us       BIGINT NOT NULL,
    actor       TEXT NOT NULL,
    via         TEXT NOT NULL,
    action      TEXT NOT NULL,
    subject     TEXT NOT NULL,
    before_json TEXT,
    after_json  TEXT,
    request_id  TEXT,
    prev_hash   TEXT NOT NULL,
    hash        TEXT NOT NULL
);

CREATE TABLE api_keys (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    scopes      TEXT NOT NULL,
    digest      TEXT NOT NULL UNIQUE,
    created_us  BIGINT NOT NULL,
    expires_us  BIGINT NOT NULL,
    revoked_us  BIGINT NOT NULL,
    created_by  TEXT NOT NULL
);
CREATE INDEX api_keys_by_name ON api_keys (name);

CREATE TABLE models (
    name           TEXT PRIMARY KEY,
    owner          TEXT NOT NULL CHECK (owner <> ''),
    description    TEXT NOT NULL,
    created_us     BIGINT NOT NULL,
    latest_version BIGINT NOT NULL
);

CREATE TABLE versions (
    model          TEXT NOT NULL REFERENCES models (name),
    number         BIGINT NOT NULL CHECK (number > 0),
    runtime        TEXT NOT NULL,
    artifact       TEXT NOT NULL,
    artifact_bytes BIGINT NOT NULL,
    contract       TEXT NOT NULL,
    golden         TEXT NOT NULL,
    note           TEXT NOT NULL,
    lineage        TEXT NOT NULL,
    signature      TEXT NOT NULL,
    compatibility  TEXT,
    compared_to    BIGINT NOT NULL,
    created_by     TEXT NOT NULL,
    created_us     BIGINT NOT NULL,
    PRIMARY KEY (model, number),
    UNIQUE (model, artifact, contract, golden)
);

-- One row a move. `id` is the number of its audit event. A 'set' is also a link of the chain that
-- rollback walks down: `below_id` is the link it was put on.
CREATE TABLE alias_history (
    id           BIGINT PRIMARY KEY REFERENCES audit (seq),
    model        TEXT NOT NULL REFERENCES models (name),
    alias        TEXT NOT NULL,
    revision     BIGINT NOT NULL,
    kind         TEXT NOT NULL CHECK (kind IN ('set', 'rollback', 'delete')),
    from_version BIGINT NOT NULL,
    to_version   BIGINT NOT NULL,
    below_id     BIGINT REFERENCES alias_history (id),
    reason       TEXT NOT NULL,
    actor        TEXT NOT NULL,
    at_us        BIGINT NOT NULL,
    UNIQUE (model, alias, revision)
);

CREATE TABLE aliases (
    model       TEXT NOT NULL,
    name        TEXT NOT NULL,
    version     BIGINT NOT NULL,
    revision    BIGINT NOT NULL,
    link_id     BIGINT NOT NULL REFERENCES alias_history (id),
    updated_us  BIGINT NOT NULL,
    PRIMARY KEY (model, name),
    FOREIGN KEY (model, version) REFERENCES versions (model, number)
);

-- The last record of a log beside the store that is in the store.
CREATE TABLE folded_logs (
    name TEXT PRIMARY KEY,
    seq  BIGINT NOT NULL
);

CREATE TABLE idempotency (
    actor          TEXT NOT NULL,
    key            TEXT NOT NULL,
    request_digest TEXT NOT NULL,
    status         BIGINT NOT NULL,
    body           TEXT NOT NULL,
    created_us     BIGINT NOT NULL,
    PRIMARY KEY (actor, key)
);
CREATE INDEX idempotency_by_age ON idempotency (created_us);
