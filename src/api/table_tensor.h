/* table_tensor.h - a table into the tensors of a model without a contract. */
#ifndef SLIPWAY_API_TABLE_TENSOR_H
#define SLIPWAY_API_TABLE_TENSOR_H

#include "api/table.h"

/* By name where the table has names (a model's inputs, or its features), else all of it as the
 * model's one input. Nested lists give the shape; {"b64": "..."} is bytes. */
enum err_code table_fill_tensors(const struct table *table, struct request *req, struct err *err);

#endif
