/* migrate.h - brings a store's schema to this program's version: sql/NNNN_name.sql in order, once.
 *
 * The table `schema` says which scripts were applied, when, and the digest of their text: a script
 * that is changed after it was applied somewhere is noticed there.
 */
#ifndef SLIPWAY_STORE_MIGRATE_H
#define SLIPWAY_STORE_MIGRATE_H

#include "store/embedded.h"
#include "store/store.h"

/* Apply what is missing, each file in one transaction. Before the first change to an existing
 * store, a verified copy is left at `backup_path` (the old schema can be restored from it; NULL:
 * none). A store
 * newer than this program, or made by scripts with another text, is refused with ERR_UNSUPPORTED.
 * *from, *to: schema versions; 0 is a store without any. */
enum err_code migrate_up(struct store *store, const char *backup_path, int *from, int *to,
                         struct err *err);

/* The version a store has; ERR_UNSUPPORTED as above. Changes nothing. */
enum err_code migrate_applied(struct store *store, int *version, struct err *err);

/* The same with scripts of the caller's: named 0001_..., 0002_..., ended by {0}. */
enum err_code migrate_up_with(struct store *store, const struct embedded_file *scripts,
                              const char *backup_path, int *from, int *to, struct err *err);

/* The schema version this program writes. */
int migrate_latest(void);

#endif
