/* document.h - GET, PUT and DELETE of a YAML file that a model has one of.
 *
 * A PUT's body is the file itself, YAML or JSON. It is read and checked before anything changes; it
 * becomes a new revision with an event, and the endpoint is published anew. DELETE is a revision
 * without a text. All three answer with the file as it then is.
 */
#ifndef SLIPWAY_API_DOCUMENT_H
#define SLIPWAY_API_DOCUMENT_H

#include "api/api.h"
#include "registry/document.h"

/* One kind of file. */
struct document_kind {
    enum err_code (*get)(struct store *store, const char *model, struct arena *arena,
                         struct document *document, struct err *err);
    enum err_code (*put)(struct store *store, const char *model, struct str text,
                         const struct actor *actor, int64_t now_us, int64_t *revision,
                         struct err *err);
    enum err_code (*parse)(struct str text, struct arena *arena, const void **parsed,
                           struct err *err);

    /* Against the version that answers now; NULL: there is none. (optional) */
    enum err_code (*check)(const void *parsed, const struct loaded *champion, struct err *err);

    /* Members of the reply that say what holds; parsed NULL: there is no file. */
    void (*write)(struct json_writer *w, const void *parsed);

    /* Members of GET's reply beside them. (optional) */
    void (*write_more)(struct json_writer *w, struct control *control, const char *model);
};

enum err_code document_get(struct call *call, const struct document_kind *kind, struct err *err);
enum err_code document_put(struct call *call, const struct document_kind *kind, struct err *err);
enum err_code document_delete(struct call *call, const struct document_kind *kind, struct err *err);

#endif
