-- 0005_tallies - what versions answered, hour by hour: the base of coverage, estimates and reports.

-- `run_us` is when the process that counted began: two runs of one hour are two rows. `latency` and
-- `scores` are the cells that are not 0: "12:5,13:9".
CREATE TABLE tallies (
    model         TEXT NOT NULL,
    version       BIGINT NOT NULL,
    arm           TEXT NOT NULL,
    rollout       BIGINT NOT NULL,
    start_us      BIGINT NOT NULL,
    run_us        BIGINT NOT NULL,
    requests      BIGINT NOT NULL,
    failures      BIGINT NOT NULL,
    rejected      BIGINT NOT NULL,
    rows          BIGINT NOT NULL,
    suspects      BIGINT NOT NULL,
    latency       TEXT NOT NULL,
    latency_ns    BIGINT NOT NULL,
    class_count   BIGINT NOT NULL,
    scores        TEXT NOT NULL,
    value_sum     DOUBLE PRECISION NOT NULL,
    value_squares DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (model, start_us, version, arm, rollout, run_us)
);

-- Which class of the version that answered a label is; -1: a number, or not known.
ALTER TABLE outcomes ADD COLUMN class_index BIGINT NOT NULL DEFAULT -1;
