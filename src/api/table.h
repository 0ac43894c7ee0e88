/* table.h - rows of a request as other servers' callers write them: records, lists, columns or CSV.
 *
 *     records   [{"tenure": 3, "plan": "basic"}, ...]      instances, dataframe_records
 *     lists     [[3, "basic"], ...]                        instances, inputs, dataframe_split
 *     columns   {"tenure": [3, ...], "plan": [...]}        inputs
 *     csv       tenure,plan\n3,basic\n
 *
 * With a contract each value is put into the field of its name or its place. Without one the
 * values become the model's tensors, by the datatypes and shapes it describes.
 */
#ifndef SLIPWAY_API_TABLE_H
#define SLIPWAY_API_TABLE_H

#include "base/json.h"
#include "serve/pipeline.h"

enum table_form { TABLE_RECORDS, TABLE_LISTS, TABLE_COLUMNS, TABLE_CSV };

struct table {
    enum table_form form;
    const char *what; /* in messages: "instances" */
    int64_t row_count;
    yyjson_val *rows;  /* records, lists: the array. Columns: the object */
    yyjson_val *names; /* lists: the array of column names; NULL: by place */
    struct str csv;    /* csv: the text */
};

/* An array of objects or of anything else; never empty. ERR_INVALID says what was expected. */
enum err_code table_of_rows(yyjson_val *array, const char *what, struct table *table,
                            struct err *err);

/* An object of equally long arrays; a lone value is one row. */
enum err_code table_of_columns(yyjson_val *object, const char *what, struct table *table,
                               struct err *err);

/* CSV text with or without a header line; at least one row. */
enum err_code table_of_csv(struct str text, struct table *table, struct err *err);

/* {"columns": [...], "data": [[...], ...]} as pandas' orient="split" writes it. */
enum err_code table_of_split(yyjson_val *object, const char *what, struct table *table,
                             struct err *err);

/* Put everything where the version of `req` wants it: fills row_count and rows, or its tensors. */
enum err_code table_fill(const struct table *table, struct request *req, struct err *err);

/* The first row's value of that name, for routing; NULL when there is none. */
yyjson_val *table_first_value(const struct table *table, const char *name);

#endif
