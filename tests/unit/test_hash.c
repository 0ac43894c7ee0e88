/* test_hash.c - digests and checksums against published vectors and OpenSSL. */
#include "base/hash.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "guard_page.h"
#include "test.h"

/* FIPS 180-4 examples. */
static void sha256_gives_the_published_digests(void **state)
{
    (void)state;
    char hex[SHA256_HEX_BYTES + 1];
    hash_sha256_hex("", 0, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    hash_sha256_hex("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void sha256_in_pieces_is_the_same(void **state)
{
    (void)state;
    uint8_t digest[SHA256_BYTES];
    char hex[SHA256_HEX_BYTES + 1] = {0};
    struct hash_sha256 *sha = hash_sha256_new();
    for (int i = 0; i < 1000000; i += 100)
        hash_sha256_add(sha,
                        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                        "aaaaaaaaaaaaaaaaaaaaaaaaaa",
                        100);
    hash_sha256_end(sha, digest);
    str_hex(digest, sizeof(digest), hex);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void assert_hmac(const void *key, size_t key_bytes, const char *text, const char *expected)
{
    uint8_t mac[SHA256_BYTES];
    char hex[SHA256_HEX_BYTES + 1] = {0};
    hash_hmac_sha256(key, key_bytes, text, strlen(text), mac);
    str_hex(mac, sizeof(mac), hex);
    assert_string_equal(hex, expected);
}

/* RFC 4231, test cases 1, 2, 6 (a key longer than a block) and 7. */
static void hmac_gives_the_published_codes(void **state)
{
    (void)state;
    uint8_t key[131];
    memset(key, 0x0b, 20);
    assert_hmac(key, 20, "Hi There",
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    assert_hmac("Jefe", 4, "what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof(key));
    assert_hmac(key, sizeof(key), "Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    assert_hmac(key, sizeof(key),
                "This is a test using a larger than block-size key and a larger than block-size "
                "data. The key needs to be hashed before being used by the HMAC algorithm.",
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
}

static void sha256_hex_is_told_from_other_text(void **state)
{
    (void)state;
    char hex[SHA256_HEX_BYTES + 1];
    hash_sha256_hex("", 0, hex);
    struct str s = {hex, SHA256_HEX_BYTES};
    assert_true(hash_is_sha256_hex(s));
    assert_false(hash_is_sha256_hex((struct str){hex, SHA256_HEX_BYTES - 1}));
    hex[5] = 'A';
    assert_false(hash_is_sha256_hex(s));
    hex[5] = '/';
    assert_false(hash_is_sha256_hex(s));
}

static const uint8_t key_bytes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/* Appendix A of the SipHash paper: 15 bytes 00..0e under the key 00..0f. */
static void siphash_gives_the_papers_example(void **state)
{
    (void)state;
    uint64_t key[2];
    memcpy(key, key_bytes, sizeof(key));
    assert_true(hash_sip(key, key_bytes, 15) == UINT64_C(0xa129ca6149be45e5));
}

static uint64_t openssl_siphash(const uint8_t *bytes, size_t size)
{
    unsigned int out_bytes = 8, c_rounds = 2, d_rounds = 4;
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_uint(OSSL_MAC_PARAM_SIZE, &out_bytes),
                                 OSSL_PARAM_construct_uint(OSSL_MAC_PARAM_C_ROUNDS, &c_rounds),
                                 OSSL_PARAM_construct_uint(OSSL_MAC_PARAM_D_ROUNDS, &d_rounds),
                                 OSSL_PARAM_construct_end()};
    uint64_t tag = 0;
    size_t tag_bytes = 0;
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);
    assert_int_equal(EVP_MAC_init(ctx, key_bytes, sizeof(key_bytes), params), 1);
    assert_int_equal(EVP_MAC_update(ctx, bytes, size), 1);
    assert_int_equal(EVP_MAC_final(ctx, (unsigned char *)&tag, &tag_bytes, sizeof(tag)), 1);
    assert_int_equal(tag_bytes, 8);
    EVP_MAC_CTX_free(ctx);
    EVP_MAC_free(mac);
    return tag;
}

/* OpenSSL is the oracle, for every length around the word size, up against unreadable memory. */
static void siphash_agrees_with_openssl_at_every_length(void **state)
{
    (void)state;
    uint8_t bytes[64];
    uint64_t key[2];
    memcpy(key, key_bytes, sizeof(key));
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 37 + 11);
    for (size_t size = 0; size <= sizeof(bytes); size++) {
        struct guard g = guard_init(bytes, size);
        assert_true(hash_sip(key, g.text.ptr, size) == openssl_siphash(bytes, size));
        guard_done(&g);
    }
}

static void openssl_siphash128(const void *bytes, size_t size, uint64_t tag[2])
{
    size_t tag_bytes = 0;
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL); /* 16 bytes, 2-4 by itself */
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);
    assert_int_equal(EVP_MAC_init(ctx, key_bytes, sizeof(key_bytes), NULL), 1);
    assert_int_equal(EVP_MAC_update(ctx, bytes, size), 1);
    assert_int_equal(EVP_MAC_final(ctx, (unsigned char *)tag, &tag_bytes, 16), 1);
    assert_int_equal(tag_bytes, 16);
    EVP_MAC_CTX_free(ctx);
    EVP_MAC_free(mac);
}

/* Every length, cut in two at every place, the second piece up against unreadable memory. */
static void siphash_of_128_bits_agrees_with_openssl_however_it_is_cut(void **state)
{
    (void)state;
    uint8_t bytes[40];
    uint64_t key[2], expected[2], digest[2];
    memcpy(key, key_bytes, sizeof(key));
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 53 + 7);
    for (size_t size = 0; size <= sizeof(bytes); size++) {
        openssl_siphash128(bytes, size, expected);
        for (size_t cut = 0; cut <= size; cut++) {
            struct guard g = guard_init(bytes + cut, size - cut);
            struct hash_sip128 sip;
            hash_sip128_begin(&sip, key);
            hash_sip128_add(&sip, bytes, cut);
            hash_sip128_add(&sip, g.text.ptr, g.text.len);
            hash_sip128_end(&sip, digest);
            assert_memory_equal(digest, expected, sizeof(digest));
            guard_done(&g);
        }
    }
}

static void assert_crc(const void *bytes, size_t size, uint32_t expected)
{
    assert_int_equal(hash_crc32c(0, bytes, size), expected);
    assert_int_equal(hash_crc32c_portable(0, bytes, size), expected);
}

/* RFC 3720, appendix B.4, and the check value of the CRC catalogue. */
static void crc32c_gives_the_published_values(void **state)
{
    (void)state;
    uint8_t bytes[32];
    memset(bytes, 0, sizeof(bytes));
    assert_crc(bytes, sizeof(bytes), 0x8a9136aa);
    memset(bytes, 0xff, sizeof(bytes));
    assert_crc(bytes, sizeof(bytes), 0x62a8ab43);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)i;
    assert_crc(bytes, sizeof(bytes), 0x46dd794e);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(31 - i);
    assert_crc(bytes, sizeof(bytes), 0x113fdb5c);
    assert_crc("123456789", 9, 0xe3069283);
    assert_crc("", 0, 0);
}

static void crc32c_goes_on_where_it_stopped(void **state)
{
    (void)state;
    const char *text = "a record that is written in two pieces";
    uint32_t whole = hash_crc32c(0, text, strlen(text));
    for (size_t cut = 0; cut <= strlen(text); cut++) {
        struct guard tail = guard_init_text(text + cut);
        uint32_t head = hash_crc32c(0, text, cut);
        assert_int_equal(hash_crc32c(head, tail.text.ptr, tail.text.len), whole);
        assert_int_equal(hash_crc32c_portable(head, tail.text.ptr, tail.text.len), whole);
        guard_done(&tail);
    }
}

static void secrets_are_compared_whole(void **state)
{
    (void)state;
    assert_true(hash_equal_secret("abc", "abc", 3));
    assert_false(hash_equal_secret("abc", "abd", 3));
    assert_true(hash_equal_secret("abc", "abd", 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_gives_the_published_digests),
        cmocka_unit_test(sha256_in_pieces_is_the_same),
        cmocka_unit_test(hmac_gives_the_published_codes),
        cmocka_unit_test(sha256_hex_is_told_from_other_text),
        cmocka_unit_test(siphash_gives_the_papers_example),
        cmocka_unit_test(siphash_agrees_with_openssl_at_every_length),
        cmocka_unit_test(siphash_of_128_bits_agrees_with_openssl_however_it_is_cut),
        cmocka_unit_test(crc32c_gives_the_published_values),
        cmocka_unit_test(crc32c_goes_on_where_it_stopped),
        cmocka_unit_test(secrets_are_compared_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
