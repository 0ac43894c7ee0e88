/* row_json.h - one JSON value into one cell of a row. */
#ifndef SLIPWAY_API_ROW_JSON_H
#define SLIPWAY_API_ROW_JSON_H

#include "base/json.h"
#include "contract/check.h"

/* As rows_put_... for the value's type. An object or a list, which no field can be, is noted as
 * wrong with its JSON text. */
void row_put_json(struct rows *rows, int64_t row, const struct contract_field *field,
                  yyjson_val *value);

#endif
