/* segment_schema.h - a record schema as JSON, so that a segment file explains itself.
 *
 *     {"serial":1,"model":"churn","version":7,
 *      "values":[{"name":"plan","categories":["basic","plus"],"whole":true},...],
 *      "texts":[{"name":"customer_id","classification":"pii","key":true,"kept_as":"pseudonym"}],
 *      "outputs":[{"name":"predict","dtype":"FP32","width":1}],
 *      "classes":2,"class_names":["stays","leaves"],"probability":true,"threshold":0.5}
 *
 * Members of a column that are false or empty are left out.
 */
#ifndef SLIPWAY_MONITOR_SEGMENT_SCHEMA_H
#define SLIPWAY_MONITOR_SEGMENT_SCHEMA_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "monitor/record.h"

void segment_schema_write(const struct record_schema *schema, struct buf *out);

/* The schema in `arena`. ERR_IO when the text is none. */
enum err_code segment_schema_read(struct str json, struct arena *arena,
                                  const struct record_schema **schema, struct err *err);

#endif
