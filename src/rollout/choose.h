/* choose.h - which version answers: the stable one or the canary.
 *
 *     SipHash-2-4(salt, routing key) / 2^64 < weight
 *
 * The same key goes to the same version as long as the weight stays, and a weight that grows only
 * adds keys to the canary: nobody flips back. The salt is drawn for each rollout (128 bits) and
 * kept with it. A request without a key is decided by a draw of its own.
 */
#ifndef SLIPWAY_ROLLOUT_CHOOSE_H
#define SLIPWAY_ROLLOUT_CHOOSE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/rand.h"

/* Shares are parts per million everywhere: 10000 is 1 %. */
enum { WEIGHT_ONE = 1000000 };

enum { CHOOSE_SALT_BYTES = 16 };

struct choose {
    uint64_t salt[2];
    uint64_t threshold; /* of choose_threshold() */
};

/* Hashes below it are canary; UINT64_MAX is everything. */
uint64_t choose_threshold(int64_t weight_ppm);

static inline uint64_t choose_hash(const struct choose *choose, struct str key)
{
    return hash_sip(choose->salt, key.ptr, key.len);
}

static inline bool choose_is_canary(const struct choose *choose, uint64_t hash)
{
    return hash < choose->threshold || choose->threshold == UINT64_MAX;
}

/* A request that names no key. */
static inline bool choose_draw(const struct choose *choose, struct rand *rand)
{
    return choose_is_canary(choose, rand_u64(rand));
}

#endif
