/* test_redact.c - pseudonyms are the HMACs of others, and what is classified does not stay. */
#include "monitor/redact.h"

#include <math.h>

#include "record_fixture.h"
#include "test.h"

static void secret_of_the_vectors(uint8_t secret[REDACT_SECRET_BYTES])
{
    for (int i = 0; i < REDACT_SECRET_BYTES; i++)
        secret[i] = (uint8_t)i;
}

/* python3: hmac.new(bytes(range(32)), text, hashlib.sha256).hexdigest()[:32]; the first also by
 * openssl dgst -sha256 -mac HMAC -macopt hexkey:000102...1f */
static void a_pseudonym_is_the_hmac_others_compute(void **state)
{
    static const struct {
        struct str text;
        const char *expected;
    } vectors[] = {
        {STR_LIT("c-17"), "6b6eff6cf111f3a79d239f6a8c412eed"},
        {STR_LIT(""), "d38b42096d80f45f826b44a9d5607de7"},
        {STR_LIT("Jane Doe"), "2c9a24dcb58af60485b462a336d11cc1"},
    };
    uint8_t secret[REDACT_SECRET_BYTES];
    (void)state;
    secret_of_the_vectors(secret);
    for (size_t i = 0; i < sizeof(vectors) / sizeof(*vectors); i++) {
        char got[PSEUDONYM_BYTES + 1] = "";
        redact_pseudonym(secret, vectors[i].text, got);
        assert_string_equal(got, vectors[i].expected);
    }
}

static void a_column_is_kept_as_policy_and_classification_say(void **state)
{
    (void)state;
    assert_int_equal(redact_choose(REDACT_PSEUDONYM, "", true), KEPT_AS_IS);
    assert_int_equal(redact_choose(REDACT_PSEUDONYM, "public", true), KEPT_AS_IS);
    assert_int_equal(redact_choose(REDACT_PSEUDONYM, "pii", true), KEPT_AS_PSEUDONYM);
    assert_int_equal(redact_choose(REDACT_PSEUDONYM, "pii", false), KEPT_AS_NOTHING);
    assert_int_equal(redact_choose(REDACT_PSEUDONYM, "restricted", true), KEPT_AS_PSEUDONYM);
    assert_int_equal(redact_choose(REDACT_DROP, "pii", true), KEPT_AS_NOTHING);
    assert_int_equal(redact_choose(REDACT_DROP, "", true), KEPT_AS_IS);
    assert_int_equal(redact_choose(REDACT_KEEP, "pii", true), KEPT_AS_IS);
}

/* customer_id becomes a pseudonym, visits and note go, fee and plan stay. */
static void a_record_loses_what_its_schema_says(void **state)
{
    struct record_column values[3], texts[2];
    struct fixture_record f;
    struct record redacted;
    uint8_t secret[REDACT_SECRET_BYTES];
    (void)state;
    secret_of_the_vectors(secret);
    memcpy(values, fixture_values, sizeof(values));
    memcpy(texts, fixture_texts, sizeof(texts));
    values[1].kept_as = KEPT_AS_NOTHING;
    texts[0].kept_as = KEPT_AS_PSEUDONYM;
    texts[1].kept_as = KEPT_AS_NOTHING;
    struct record_schema schema = fixture_schema;
    schema.values = values;
    schema.texts = texts;
    assert_false(redact_has_work(&fixture_schema));
    assert_true(redact_has_work(&schema));
    fixture_record_make(&f, 17, 2);
    f.record.schema = &schema;
    struct arena *arena = arena_new(SIZE_MAX);
    redact_record(&f.record, secret, arena, &redacted);
    for (int row = 0; row < 2; row++) {
        assert_true(redacted.values[row * 3] == f.values[row * 3]);
        assert_true(isnan(redacted.values[row * 3 + 1]));
        assert_true(redacted.values[row * 3 + 2] == f.values[row * 3 + 2]);
        assert_true(str_equal_c(redacted.texts[row * 2], "6b6eff6cf111f3a79d239f6a8c412eed"));
        assert_null(redacted.texts[row * 2 + 1].ptr);
    }
    assert_true(str_equal_c(f.record.texts[0], "c-17")); /* others still see it */
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pseudonym_is_the_hmac_others_compute),
        cmocka_unit_test(a_column_is_kept_as_policy_and_classification_say),
        cmocka_unit_test(a_record_loses_what_its_schema_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
