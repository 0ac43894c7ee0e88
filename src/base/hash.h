/* hash.h - digests for artifacts and secrets, keyed hashes for maps and stable buckets. */
#ifndef SLIPWAY_BASE_HASH_H
#define SLIPWAY_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum { SHA256_BYTES = 32, SHA256_HEX_BYTES = 64 };

/* SHA-256 of a whole (FIPS 180-4, by OpenSSL). */
void hash_sha256(const void *bytes, size_t size, uint8_t digest[SHA256_BYTES]);

/* The same as lower-case hex with a NUL: what artifacts, blobs and audit events are named by. */
void hash_sha256_hex(const void *bytes, size_t size, char hex[SHA256_HEX_BYTES + 1]);

/* Piece by piece. _new, then _add..., then _end which frees. */
struct hash_sha256;
struct hash_sha256 *hash_sha256_new(void);
void hash_sha256_add(struct hash_sha256 *state, const void *bytes, size_t size);
void hash_sha256_end(struct hash_sha256 *state, uint8_t digest[SHA256_BYTES]);

/* HMAC-SHA-256 (RFC 2104) under a key of any length. */
void hash_hmac_sha256(const void *key, size_t key_bytes, const void *bytes, size_t size,
                      uint8_t mac[SHA256_BYTES]);

/* 64 lower-case hex digits, nothing else? */
bool hash_is_sha256_hex(struct str s);

/* SipHash-2-4 (Aumasson, Bernstein 2012) under a 128-bit key. Maps use a key drawn at start;
 * rollout buckets use the endpoint's stored salt, so the same caller stays in the same bucket. */
uint64_t hash_sip(const uint64_t key[2], const void *bytes, size_t size);

/* SipHash-2-4 with 128 bits, piece by piece: for names of contents that callers choose. _begin,
 * then _add..., then _end. However the bytes are cut into pieces, the result is the same. */
struct hash_sip128 {
    uint64_t v[4];
    uint64_t word; /* bytes that do not fill a word yet */
    size_t size;   /* of all pieces */
};
void hash_sip128_begin(struct hash_sip128 *state, const uint64_t key[2]);
void hash_sip128_add(struct hash_sip128 *state, const void *bytes, size_t size);
void hash_sip128_end(struct hash_sip128 *state, uint64_t out[2]);

/* CRC-32C (Castagnoli) of bytes that follow those whose CRC is `crc`, 0 at the start; for records
 * on disk that must be told from torn ones. */
uint32_t hash_crc32c(uint32_t crc, const void *bytes, size_t size);

/* The same without the CPU's instruction for it: what hash_crc32c() does where there is none. */
uint32_t hash_crc32c_portable(uint32_t crc, const void *bytes, size_t size);

/* Equal bytes, in a time that does not depend on where they differ. */
bool hash_equal_secret(const void *a, const void *b, size_t size);

#endif
