/* migrate.h - brings a store's schema to this program's version: sql/NNNN_name.sql in order, once.
 */
#ifndef SLIPWAY_STORE_MIGRATE_H
#define SLIPWAY_STORE_MIGRATE_H

#include "store/store.h"

/* Apply what is missing, each file in one transaction. Before the first change to an existing
 * store, a verified copy is left at `backup_path` (the old schema can be restored from it). A store
 * newer than this program is refused with ERR_UNSUPPORTED. *from, *to: schema versions. */
enum err_code migrate_up(struct store *store, const char *backup_path, int *from, int *to,
                         struct err *err);

/* The schema version this program writes. */
int migrate_latest(void);

#endif
