/* compare_file.h - a comparison of two versions' answers, kept over a restart.
 *
 *     offset  size  meaning
 *     0       8     format, 1
 *     8       8     class_count
 *     16      ...   counts, flips, histogram, slices, examples, pairs: u64, f64, f32, texts with a
 *                   length in front; little-endian
 *
 * Part of a shadow session's file (serve/shadow.c), which has the checksum.
 */
#ifndef SLIPWAY_ROLLOUT_COMPARE_FILE_H
#define SLIPWAY_ROLLOUT_COMPARE_FILE_H

#include "rollout/compare.h"
#include "rollout/state_bytes.h"

/* No comparison has more: counts, and what the enums of compare.h allow. */
enum { COMPARE_FILE_BYTES_MAX = 128 * 1024 };

void histogram_format(const struct histogram_sum *sum, struct buf *out);
void histogram_parse(struct reading *r, struct histogram_sum *sum);

void compare_format(const struct compare *compare, struct buf *out);

/* Into a comparison that was begun with compare_init. False, and nothing changed, when the bytes
 * are not those of a comparison of as many classes. */
bool compare_parse(struct reading *r, struct compare *compare);

#endif
