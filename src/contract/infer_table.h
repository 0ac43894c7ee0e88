/* infer_table.h - the parts of infer.c: all columns of the training rows, and what is made of them.
 */
#ifndef SLIPWAY_CONTRACT_INFER_TABLE_H
#define SLIPWAY_CONTRACT_INFER_TABLE_H

#include "contract/infer_column.h"

struct table {
    const struct infer_options *options;
    struct arena *arena;
    struct infer_report *report;
    struct column *columns; /* [column_count], owned */
    int column_count;
    int64_t row_count;
    struct column *label; /* NULL: none */
    int class_count;      /* 0: no label, or a numeric one */
    struct str *classes;  /* [class_count] values of the label, in code order */
};

/* Appends a hint; those past INFER_HINTS_MAX are dropped. */
void table_hint(struct table *table, const char *field, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Is the column a list of categories (texts), or of known whole numbers? */
bool table_is_categorical(const struct table *table, const struct column *column);
bool table_is_listed(const struct column *column);

/* infer_leak.c: hints about inputs that alone tell the label. */
void table_find_leaks(struct table *table);

/* infer_write.c: the document. */
enum err_code table_write(struct table *table, struct buf *yaml, struct err *err);

#endif
