/* infer_table.h - the parts of infer.c: all columns of the training rows, and what is made of them.
 */
#ifndef SLIPWAY_CONTRACT_INFER_TABLE_H
#define SLIPWAY_CONTRACT_INFER_TABLE_H

#include "contract/infer_column.h"

struct infer_table {
    const struct infer_options *options;
    struct arena *arena;
    struct infer_report *report;
    struct infer_column *columns; /* [column_count], owned */
    int column_count;
    int64_t row_count;
    struct infer_column *label; /* NULL: none */
    int class_count;            /* 0: no label, or a numeric one */
    struct str *classes;        /* [class_count] values of the label, in code order */
};

/* Appends a hint; those past INFER_HINTS_MAX are dropped. */
void infer_hint_add(struct infer_table *table, const char *field, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Is the column a list of categories (texts), or of known whole numbers? */
bool infer_is_categorical(const struct infer_table *table, const struct infer_column *column);
bool infer_is_listed(const struct infer_column *column);

/* infer_leak.c: hints about inputs that alone tell the label. */
void infer_find_leaks(struct infer_table *table);

/* infer_write.c: the document. */
enum err_code infer_write(struct infer_table *table, struct buf *yaml, struct err *err);

#endif
