/* rand.h - seeded randomness for decisions that tests repeat, and secrets from the kernel. */
#ifndef SLIPWAY_BASE_RAND_H
#define SLIPWAY_BASE_RAND_H

#include <stddef.h>
#include <stdint.h>

/* xoshiro256** (Blackman, Vigna 2018); not for secrets. Belongs to one thread. */
struct rand {
    uint64_t state[4];
};

void rand_seed(struct rand *rand, uint64_t seed); /* the same seed gives the same run */
void rand_seed_from_os(struct rand *rand);
uint64_t rand_u64(struct rand *rand);
double rand_unit(struct rand *rand); /* uniform in [0, 1) */

/* Bytes nobody can guess (getrandom). Aborts when the kernel has none. */
void rand_secret(void *bytes, size_t size);

#endif
