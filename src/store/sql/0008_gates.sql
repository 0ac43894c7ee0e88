-- 0008_gates - what a model's versions must prove, and what they have proved.

-- One row a run. `id` is the number of its audit event; `report` is JSON (rollout/gate_report.c).
CREATE TABLE gate_results (
    id          BIGINT PRIMARY KEY,
    model       TEXT NOT NULL,
    version     BIGINT NOT NULL,
    verdict     TEXT NOT NULL CHECK (verdict IN ('pass', 'fail', 'cannot_tell')),
    file_digest TEXT NOT NULL,
    data_digest TEXT NOT NULL,
    champion    BIGINT NOT NULL,
    row_count   BIGINT NOT NULL,
    report      TEXT NOT NULL,
    actor       TEXT NOT NULL,
    at_us       BIGINT NOT NULL,
    FOREIGN KEY (model, version) REFERENCES versions (model, number)
);
CREATE INDEX gate_results_by_version ON gate_results (model, version, id);

-- The file that a version must have passed before it gets traffic; no row: nothing is required.
CREATE TABLE model_gates (
    model  TEXT PRIMARY KEY REFERENCES models (name),
    file   TEXT NOT NULL,
    digest TEXT NOT NULL,
    actor  TEXT NOT NULL,
    at_us  BIGINT NOT NULL
);
