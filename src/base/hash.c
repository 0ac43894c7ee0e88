/* hash.c - SHA-256 by OpenSSL, HMAC with it, SipHash-2-4, CRC-32C. */
#include "base/hash.h"

/* OpenSSL would rather be asked through EVP, which first loads all of a provider's algorithms:
 * 2 MiB of an idle server, and a tenth of its start. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

static void must(int openssl_rc)
{
    assert(openssl_rc == 1);
}

void hash_sha256(const void *bytes, size_t size, uint8_t digest[SHA256_BYTES])
{
    SHA256_CTX ctx;
    must(SHA256_Init(&ctx));
    must(SHA256_Update(&ctx, bytes, size));
    must(SHA256_Final(digest, &ctx));
}

void hash_sha256_hex(const void *bytes, size_t size, char hex[SHA256_HEX_BYTES + 1])
{
    uint8_t digest[SHA256_BYTES];
    hash_sha256(bytes, size, digest);
    str_hex(digest, sizeof(digest), hex);
    hex[SHA256_HEX_BYTES] = '\0';
}

struct hash_sha256 {
    SHA256_CTX ctx;
};

struct hash_sha256 *hash_sha256_new(void)
{
    struct hash_sha256 *state = malloc(sizeof(*state));
    if (!state)
        abort();
    must(SHA256_Init(&state->ctx));
    return state;
}

void hash_sha256_add(struct hash_sha256 *state, const void *bytes, size_t size)
{
    must(SHA256_Update(&state->ctx, bytes, size));
}

void hash_sha256_end(struct hash_sha256 *state, uint8_t digest[SHA256_BYTES])
{
    must(SHA256_Final(digest, &state->ctx));
    free(state);
}

enum { HMAC_BLOCK_BYTES = 64, HMAC_INNER = 0x36, HMAC_OUTER = 0x5c };

/* SHA-256 of the key, as one block under `pad`, and the bytes. */
static void hash_keyed(const uint8_t key[HMAC_BLOCK_BYTES], uint8_t pad, const void *bytes,
                       size_t size, uint8_t digest[SHA256_BYTES])
{
    uint8_t block[HMAC_BLOCK_BYTES];
    SHA256_CTX ctx;
    for (int i = 0; i < HMAC_BLOCK_BYTES; i++)
        block[i] = key[i] ^ pad;
    must(SHA256_Init(&ctx));
    must(SHA256_Update(&ctx, block, sizeof(block)));
    must(SHA256_Update(&ctx, bytes, size));
    must(SHA256_Final(digest, &ctx));
}

void hash_hmac_sha256(const void *key, size_t key_bytes, const void *bytes, size_t size,
                      uint8_t mac[SHA256_BYTES])
{
    uint8_t block[HMAC_BLOCK_BYTES] = {0}, inner[SHA256_BYTES];
    if (key_bytes > HMAC_BLOCK_BYTES)
        hash_sha256(key, key_bytes, block);
    else if (key_bytes)
        memcpy(block, key, key_bytes);
    hash_keyed(block, HMAC_INNER, bytes, size, inner);
    hash_keyed(block, HMAC_OUTER, inner, sizeof(inner), mac);
}

bool hash_is_sha256_hex(struct str s)
{
    if (s.len != SHA256_HEX_BYTES)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
    }
    return true;
}

static uint64_t rotate_left(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate_left(v[1], 13) ^ v[0];
    v[3] = rotate_left(v[3], 16) ^ v[2];
    v[0] = rotate_left(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate_left(v[1], 17) ^ v[2];
    v[3] = rotate_left(v[3], 21) ^ v[0];
    v[2] = rotate_left(v[2], 32);
}

static void sip_add(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_round(v);
    sip_round(v);
    v[0] ^= word;
}

/* Bytes are little-endian words; the last word carries the length in its top byte. */
static uint64_t load_word(const unsigned char *p, size_t size)
{
    uint64_t word = 0;
    memcpy(&word, p, size);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

static void sip_begin(uint64_t v[4], const uint64_t key[2])
{
    v[0] = key[0] ^ UINT64_C(0x736f6d6570736575);
    v[1] = key[1] ^ UINT64_C(0x646f72616e646f6d);
    v[2] = key[0] ^ UINT64_C(0x6c7967656e657261);
    v[3] = key[1] ^ UINT64_C(0x7465646279746573);
}

static uint64_t sip_end(uint64_t v[4])
{
    for (int i = 0; i < 4; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t hash_sip(const uint64_t key[2], const void *bytes, size_t size)
{
    const unsigned char *p = bytes;
    uint64_t v[4];
    uint64_t last = (uint64_t)size << 56;
    sip_begin(v, key);
    for (; size >= 8; size -= 8, p += 8)
        sip_add(v, load_word(p, 8));
    if (size)
        last |= load_word(p, size);
    sip_add(v, last);
    v[2] ^= 0xFF;
    return sip_end(v);
}

void hash_sip128_begin(struct hash_sip128 *state, const uint64_t key[2])
{
    *state = (struct hash_sip128){0};
    sip_begin(state->v, key);
    state->v[1] ^= 0xEE;
}

void hash_sip128_add(struct hash_sip128 *state, const void *bytes, size_t size)
{
    const unsigned char *p = bytes;
    size_t filled = state->size % 8;
    state->size += size;
    for (; size && filled; size--) {
        state->word |= (uint64_t)*p++ << 8 * filled;
        filled = (filled + 1) % 8;
        if (filled)
            continue;
        sip_add(state->v, state->word);
        state->word = 0;
    }
    uint64_t v[4];
    memcpy(v, state->v, sizeof(v)); /* registers: the bytes could be the state's own otherwise */
    for (; size >= 8; size -= 8, p += 8)
        sip_add(v, load_word(p, 8));
    memcpy(state->v, v, sizeof(v));
    if (size)
        state->word = load_word(p, size);
}

void hash_sip128_end(struct hash_sip128 *state, uint64_t out[2])
{
    sip_add(state->v, state->word | (uint64_t)state->size << 56);
    state->v[2] ^= 0xEE;
    out[0] = sip_end(state->v);
    state->v[1] ^= 0xDD;
    out[1] = sip_end(state->v);
}

/* CRC-32C: polynomial 0x1EDC6F41, reflected 0x82F63B78 (RFC 3720, appendix B.4). */
static uint32_t crc32c_table[256];
static pthread_once_t crc32c_once = PTHREAD_ONCE_INIT;

static void make_crc32c_table(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82F63B78) : 0);
        crc32c_table[i] = crc;
    }
}

uint32_t hash_crc32c_portable(uint32_t crc, const void *bytes, size_t size)
{
    const unsigned char *p = bytes;
    pthread_once(&crc32c_once, make_crc32c_table);
    crc = ~crc;
    for (; size > 0; size--)
        crc = crc32c_table[(crc ^ *p++) & 0xFF] ^ crc >> 8;
    return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, const unsigned char *p,
                                                               size_t size)
{
    uint64_t wide = crc;
    for (; size >= 8; size -= 8, p += 8)
        wide = __builtin_ia32_crc32di(wide, load_word(p, 8));
    crc = (uint32_t)wide;
    for (; size > 0; size--)
        crc = __builtin_ia32_crc32qi(crc, *p++);
    return crc;
}
#endif

uint32_t hash_crc32c(uint32_t crc, const void *bytes, size_t size)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        return ~crc32c_sse42(~crc, bytes, size);
#endif
    return hash_crc32c_portable(crc, bytes, size);
}

bool hash_equal_secret(const void *a, const void *b, size_t size)
{
    return CRYPTO_memcmp(a, b, size) == 0;
}
