/* odcs.h - the Open Data Contract Standard v3.1.0 as Slipway reads it.
 *
 *     schema[0].properties[i]            a field: name, logicalType, required, logicalTypeOptions
 *       .quality[] invalidValues         validValues: the categories, in code order; pattern
 *       .customProperties[]              unit, missingMarkers, slipwayRole, slipwayPolicy,
 *                                        slipwayReference, slipwayInferred
 *     team.members[] role owner          the accountable person
 *     slaProperties[] latency            freshness
 *     customProperties[]                 slipwayDecisionThreshold, slipwayCompatibility
 *
 * Keys the standard does not have are errors, because a misspelt rule that is silently dropped is
 * worse than none. Custom properties of others are left alone; unknown ones that begin with
 * "slipway" are errors too. Rules on whole data sets (row counts, duplicates, uniqueness) belong
 * to other tools and are not applied to requests. Rules on a value that Slipway cannot check
 * (multipleOf, bounds of dates) are refused rather than ignored.
 */
#ifndef SLIPWAY_CONTRACT_ODCS_H
#define SLIPWAY_CONTRACT_ODCS_H

#include "base/json.h"
#include "contract/contract.h"
#include "contract/place.h"

/* Fill `contract` (zeroed, with its arena) from a document's tree. Field columns and the vectors
 * of the check are contract.c's work. */
enum err_code odcs_read(yyjson_val *root, struct contract *contract, struct err *err);

/* One property; `place` stands at it. `field` is zeroed. */
enum err_code odcs_read_field(struct place *place, yyjson_val *property,
                              struct contract_field *field);

/* The slipwayReference custom property of a field whose type and categories are known. */
enum err_code odcs_read_profile(struct place *place, yyjson_val *value,
                                struct contract_field *field);

/* Calls fn(arg, place, property name, value) for each custom property of `object`. */
typedef enum err_code odcs_custom_fn(void *arg, struct place *place, struct str property,
                                     yyjson_val *value);
enum err_code odcs_each_custom(struct place *place, yyjson_val *object, odcs_custom_fn *fn,
                               void *arg);

/* An unknown custom property: ERR_OK unless it begins with "slipway". `known` ends with NULL. */
enum err_code odcs_unknown_custom(struct place *place, struct str property,
                                  const char *const *known);

#endif
