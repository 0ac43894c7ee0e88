/* registry_check.h - what the files of the registry share: checks of names and texts, audit events,
 * lists.
 */
#ifndef SLIPWAY_REGISTRY_REGISTRY_CHECK_H
#define SLIPWAY_REGISTRY_REGISTRY_CHECK_H

#include "base/buf.h"
#include "base/json.h"
#include "registry/registry.h"

enum { REGISTRY_STATE_BYTES_MAX = AUDIT_STATE_BYTES_MAX, REGISTRY_SUBJECT_BYTES_MAX = 256 };

/* `what` is the noun of the message: "the name of the model". */
enum err_code registry_check_name(const char *what, const char *name, struct err *err);

/* NULL is fine. */
enum err_code registry_check_text(const char *what, const char *text, size_t bytes_max,
                                  struct err *err);

/* ERR_NOT_FOUND when there is none. */
enum err_code registry_check_model(struct store *store, const char *model, struct err *err);
enum err_code registry_check_version(struct store *store, const char *model, int64_t number,
                                     struct err *err);

/* One row with one number, `otherwise` when there is no row. */
enum err_code registry_read_number(struct store *store, const char *sql,
                                   const struct store_value *params, int param_count,
                                   int64_t otherwise, int64_t *number, struct err *err);

/* Append an event with these states (NULL: none); they are done and freed. *seq (may be NULL) is
 * its number. */
enum err_code registry_append(struct store *store, const struct actor *actor, const char *action,
                              const char *subject, struct buf *before, struct buf *after,
                              int64_t at_us, int64_t *seq, struct err *err);

/* Run a query and hand each row to `read`; ends with the rows given back. */
typedef enum err_code registry_row_fn(struct store_rows *rows, void *arg, struct err *err);
enum err_code registry_each_row(struct store *store, const char *sql,
                                const struct store_value *params, int param_count,
                                registry_row_fn *read, void *arg, struct err *err);

#endif
