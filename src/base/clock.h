/* clock.h - monotonic and wall time in microseconds; tests can set both. */
#ifndef SLIPWAY_BASE_CLOCK_H
#define SLIPWAY_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

#define CLOCK_SECOND_US INT64_C(1000000)

int64_t clock_monotonic_us(void); /* for durations and deadlines; never goes back */
int64_t clock_monotonic_ns(void); /* the same clock, for timing steps */
int64_t clock_recent_ns(void);    /* what the calling thread was told last; 0 before */
int64_t clock_wall_us(void);      /* since 1970-01-01T00:00:00Z; for records people read */

/* Tests only: from now on wall time is `wall_us` and monotonic time `monotonic_us`, until changed
 * again; a negative value returns to the machine's clock. */
void clock_set_for_test(int64_t monotonic_us, int64_t wall_us);

/* "2026-01-31T09:30:00.123456Z" (RFC 3339). `out` has CLOCK_TEXT_BYTES. */
enum { CLOCK_TEXT_BYTES = 32 };
char *clock_format(int64_t wall_us, char *out);

/* The other way: RFC 3339 in UTC ("Z"), with or without a fraction; false on anything else. */
bool clock_parse(struct str text, int64_t *wall_us);

#endif
