/* loaded_table.h - versions in memory by model and number, whoever holds them.
 *
 * It holds none itself: what is found gets a new reference, what nobody holds any more is not
 * found. So a version that a graph has in memory is not loaded a second time. Any thread.
 */
#ifndef SLIPWAY_RUNTIME_LOADED_TABLE_H
#define SLIPWAY_RUNTIME_LOADED_TABLE_H

#include "runtime/loaded.h"

struct loaded_table;

struct loaded_table *loaded_table_new(void);

/* Versions that are in it may live on. NULL is allowed. */
void loaded_table_free(struct loaded_table *table);

/* Once for each version, by whoever has loaded it. */
void loaded_table_add(struct loaded_table *table, struct loaded *loaded);

/* One more reference, or NULL. */
struct loaded *loaded_table_find(struct loaded_table *table, const char *model, int64_t number);

/* By the last one who lets go of it. */
void loaded_table_remove(struct loaded *loaded);

#endif
