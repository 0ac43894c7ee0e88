/* table.h - rows of text in aligned columns, as wide as their widest cell.
 *
 *     struct table *t = table_new(arena, "MODEL|OWNER|CHAMPION>");
 *     table_add(t, TINT_NONE, "churn", "me@example.org", "3");
 *     table_write(t, has_color, &out);
 */
#ifndef SLIPWAY_CLI_TABLE_H
#define SLIPWAY_CLI_TABLE_H

#include "base/arena.h"
#include "cli/terminal.h"

enum { TABLE_COLUMNS_MAX = 10, TABLE_ROWS_MAX = 1000 * 1000 };

struct table;

/* Column titles with | between them; '>' behind one puts its cells to the right. Empty titles
 * throughout ("||") leave the head out. */
struct table *table_new(struct arena *arena, const char *titles);

/* One row of as many `const char *` as there are columns; texts are borrowed, NULL is "". What is
 * beyond TABLE_ROWS_MAX or the arena is counted and said below the table. */
void table_add(struct table *table, enum tint tint, ...);

int table_rows(const struct table *table);
void table_write(const struct table *table, bool has_color, struct buf *out);

#endif
