-- 0011_serving - how a model is served: instances, batching, queue, timeouts.

-- Every serving file a model had; the newest revision counts, '' is the preset.
CREATE TABLE serving_settings (
    model      TEXT NOT NULL REFERENCES models (name),
    revision   BIGINT NOT NULL,
    document   TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    PRIMARY KEY (model, revision)
);
