/* document.h - files that a model has one of, such as its review rules: revisions, the newest
 * counts.
 *
 * Each kind has a table of its own (review/rules_store.c, serve/serving_store.c), which the kind
 * reads and writes; what a new revision means to everybody else is here.
 */
#ifndef SLIPWAY_REGISTRY_DOCUMENT_H
#define SLIPWAY_REGISTRY_DOCUMENT_H

#include "registry/registry.h"

/* The newest revision. */
struct document {
    int64_t revision; /* 0: the model never had one */
    const char *text; /* "": it has none now */
};

/* What changes it. */
struct document_change {
    const char *model;
    const char *action; /* of the event: "model.serving" */
    const char *part;   /* of the event's subject, behind the model: "serving" */
    struct document old;
    const char *text;
    const struct actor *actor;
    int64_t now_us;
};

/* The event of revision old.revision + 1, which the caller has written. */
enum err_code document_append(struct store *store, const struct document_change *change,
                              struct err *err);

#endif
