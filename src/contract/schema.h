/* schema.h - JSON Schema 2020-12 of one request row, so that callers can check themselves. */
#ifndef SLIPWAY_CONTRACT_SCHEMA_H
#define SLIPWAY_CONTRACT_SCHEMA_H

#include "base/json.h"
#include "contract/contract.h"

void contract_json_schema(const struct contract *contract, struct buf *out);

#endif
