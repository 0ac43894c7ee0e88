/* keys.h - routing keys by their hashes: which were seen, and about how many there are.
 *
 * A key is known only as its 64-bit SipHash under the rollout's salt (choose.h). Both kinds have a
 * fixed limit: the set says exactly which keys it has and when it is full; the sketch counts any
 * number of distinct keys from the KEY_SKETCH_SIZE smallest of their hashes, exactly up to that
 * many and with a standard error of 1 / sqrt(KEY_SKETCH_SIZE - 2) = 3.1 % beyond.
 *
 * Source of the sketch: Z. Bar-Yossef et al., Counting Distinct Elements in a Data Stream (2002).
 */
#ifndef SLIPWAY_ROLLOUT_KEYS_H
#define SLIPWAY_ROLLOUT_KEYS_H

#include <stdbool.h>
#include <stdint.h>

enum { KEY_SET_MAX = 16384, KEY_SKETCH_SIZE = 1024 };

struct key_set {
    uint64_t *slots; /* owned; [slot_count], a power of two; 0 is free */
    int slot_count, count;
};

/* A set of zeros is empty. */
void key_set_done(struct key_set *set);

enum key_added { KEY_IS_NEW, KEY_IS_KNOWN, KEY_SET_IS_FULL };
enum key_added key_set_add(struct key_set *set, uint64_t hash);

struct key_sketch {
    uint64_t *smallest; /* owned; [count], ascending */
    int count;
};

/* A sketch of zeros is empty. */
void key_sketch_done(struct key_sketch *sketch);
void key_sketch_add(struct key_sketch *sketch, uint64_t hash);

/* Put back one of `smallest`, of a sketch that was kept. */
void key_sketch_restore(struct key_sketch *sketch, uint64_t value);

/* Distinct keys added: exact up to KEY_SKETCH_SIZE. */
int64_t key_sketch_count(const struct key_sketch *sketch);

#endif
