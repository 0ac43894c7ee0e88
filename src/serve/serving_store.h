/* serving_store.h - the serving file of a model in the store: every revision, the newest counts. */
#ifndef SLIPWAY_SERVE_SERVING_STORE_H
#define SLIPWAY_SERVE_SERVING_STORE_H

#include "registry/document.h"
#include "serve/serving_file.h"

/* The newest; it lives in `arena`. No text: the preset. */
enum err_code serving_get(struct store *store, const char *model, struct arena *arena,
                          struct document *document, struct err *err);

/* Read and parsed; the preset when there is none. */
enum err_code serving_load(struct store *store, const char *model, struct arena *arena,
                           const struct serving **serving, struct err *err);

/* A new revision and its audit event model.serving; an empty document goes back to the preset. The
 * caller has parsed it. Inside a transaction. */
enum err_code serving_put(struct store *store, const char *model, struct str document,
                          const struct actor *actor, int64_t now_us, int64_t *revision,
                          struct err *err);

#endif
