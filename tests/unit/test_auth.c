/* test_auth.c - scopes, keys in the store, keys frozen for the data path, the header. */
#include "auth/auth.h"
#include "base/check.h"
#include "base/clock.h"
#include "store_fixture.h"

enum { NOW_S = 1700000000 };
#define NOW_US (INT64_C(1000000) * NOW_S)

static int setup_at_noon(void **state)
{
    clock_set_for_test(-1, NOW_US);
    return setup_store(state);
}

static int teardown_clock(void **state)
{
    clock_set_for_test(-1, -1);
    return teardown(state);
}

static struct auth_key make_key(struct fixture *f, const char *name, unsigned scopes,
                                int64_t expires_us, char *secret)
{
    struct auth_key key;
    assert_ok(f, auth_key_create(f->store, name, scopes, expires_us, &tester, secret, &key,
                                 f->arena, &f->err));
    return key;
}

static struct auth_keys *freeze(struct fixture *f)
{
    struct auth_key *list;
    int count;
    assert_ok(f, auth_key_list(f->store, f->arena, &list, &count, &f->err));
    return auth_keys_new(list, count);
}

/* ---- scopes ---- */

static void scopes_are_read_and_written(void **state)
{
    struct fixture *f = *state;
    unsigned scopes = 0;
    assert_ok(f, scope_parse(STR_LIT("predict"), &scopes, &f->err));
    assert_int_equal(scopes, SCOPE_PREDICT);
    assert_ok(f, scope_parse(STR_LIT("operate, predict ,admin,predict"), &scopes, &f->err));
    assert_int_equal(scopes, SCOPE_PREDICT | SCOPE_OPERATE | SCOPE_ADMIN);
    assert_string_equal(scope_format(scopes, f->arena), "predict,operate,admin");
    assert_string_equal(scope_format(0x3F, f->arena),
                        "public,predict,observe,review,operate,admin");
    assert_string_equal(scope_format(0, f->arena), "");
    assert_string_equal(scope_name(SCOPE_REVIEW), "review");
    assert_string_equal(scope_name(SCOPE_REVIEW_OR_OPERATE), "review or operate");
}

static void an_unknown_scope_is_named_and_all_are_listed(void **state)
{
    struct fixture *f = *state;
    static const char *const wrong[] = {"root",    "predict,root", "predict;root",
                                        "Predict", "predict,",     ",predict"};
    unsigned scopes = 77;
    for (size_t i = 0; i < 6; i++) {
        assert_fails(f, scope_parse(str_of(wrong[i]), &scopes, &f->err), ERR_INVALID,
                     "is not a scope");
        assert_non_null(strstr(f->err.hint, "predict, observe, review, operate, admin"));
    }
    assert_fails(f, scope_parse(STR_LIT(""), &scopes, &f->err), ERR_INVALID, "no scope");
    assert_fails(f, scope_parse((struct str){NULL, 0}, &scopes, &f->err), ERR_INVALID, "no scope");
    assert_int_equal(scopes, 77);
}

/* ---- keys in the store ---- */

static void a_key_has_the_documented_form_and_is_stored_as_a_digest(void **state)
{
    struct fixture *f = *state;
    char secret[AUTH_KEY_BYTES_MAX], other[AUTH_KEY_BYTES_MAX];
    struct auth_key key = make_key(f, "ci", SCOPE_PREDICT, 0, secret);
    make_key(f, "cd", SCOPE_PREDICT, 0, other);
    assert_int_equal(strlen(secret), 64); /* 4 + 16 + 1 + 43 */
    assert_memory_equal(secret, "slw_", 4);
    assert_memory_equal(secret + 4, key.id, 16);
    assert_int_equal(secret[20], '_');
    assert_int_equal(strspn(secret + 4, "0123456789abcdef"), 16);
    assert_int_equal(strspn(secret + 21, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                         "0123456789-_"),
                     43);
    /* 43 characters carry 258 bits; the last two of the 256-bit secret are zeros. */
    assert_non_null(strchr("AEIMQUYcgkosw048", secret[63]));
    assert_string_not_equal(secret, other);
    uint8_t digest[SHA256_BYTES];
    hash_sha256(secret, 64, digest);
    assert_memory_equal(key.digest, digest, SHA256_BYTES);
    assert_string_equal(key.created_by, "key:ci");
    assert_int_equal(key.created_us, NOW_US);
}

/* Nothing in the data folder has the secret part of a key. */
static void the_secret_is_nowhere_in_the_store(void **state)
{
    struct fixture *f = *state;
    char secret[AUTH_KEY_BYTES_MAX];
    static char bytes[4 * 1024 * 1024];
    static const char *const files[] = {"slipway.db", "slipway.db-wal"};
    make_key(f, "ci", SCOPE_ADMIN, 0, secret);
    for (size_t i = 0; i < 2; i++) {
        FILE *file = fopen(in_folder(f, files[i]), "rb");
        assert_non_null(file);
        size_t size = fread(bytes, 1, sizeof(bytes), file);
        fclose(file);
        assert_true(size > 0 && size < sizeof(bytes));
        assert_null(memmem(bytes, size, secret + 21, 43));
        if (i == 1)
            assert_non_null(memmem(bytes, size, secret + 4, 16)); /* the id is */
    }
}

static void each_change_is_an_event_without_secret_or_digest(void **state)
{
    struct fixture *f = *state;
    char secret[AUTH_KEY_BYTES_MAX], expected[256], digest[SHA256_HEX_BYTES + 1] = "";
    struct audit_event *events;
    int count;
    struct auth_key key = make_key(f, "ci", SCOPE_PREDICT | SCOPE_OBSERVE, NOW_US + 5, secret);
    assert_ok(f, auth_key_revoke(f->store, "ci", &tester, &f->err));
    assert_ok(f, audit_list(f->store, "key/", 0, 10, f->arena, &events, &count, &f->err));
    assert_int_equal(count, 2);
    snprintf(expected, sizeof(expected),
             "{\"id\":\"%s\",\"name\":\"ci\",\"scopes\":\"predict,observe\","
             "\"expires_us\":1700000000000005}",
             key.id);
    assert_string_equal(events[0].action, "key.create");
    assert_null(events[0].before);
    assert_string_equal(events[0].after, expected);
    assert_string_equal(events[1].action, "key.revoke");
    assert_string_equal(events[1].before, expected);
    assert_null(events[1].after);
    str_hex(key.digest, SHA256_BYTES, digest);
    assert_null(strstr(events[0].after, digest));
}

static void wrong_requests_for_keys_are_refused(void **state)
{
    struct fixture *f = *state;
    char secret[AUTH_KEY_BYTES_MAX] = "untouched";
    struct auth_key key = {.id = "untouched"};
    static const struct {
        const char *name;
        unsigned scopes;
        int64_t expires_us;
        const char *part;
    } wrong[] = {
        {"", SCOPE_PREDICT, 0, "not a name"},
        {"a b", SCOPE_PREDICT, 0, "not a name"},
        {"0123456789abcdef", SCOPE_PREDICT, 0, "looks like the id"},
        {"ci", 0, 0, "at least one scope"},
        {"ci", SCOPE_PUBLIC, 0, "at least one scope"},
        {"ci", 1 << 9, 0, "at least one scope"},
        {"ci", SCOPE_PREDICT, NOW_US, "expired already"},
        {"ci", SCOPE_PREDICT, -1, "expired already"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_fails(f,
                     auth_key_create(f->store, wrong[i].name, wrong[i].scopes, wrong[i].expires_us,
                                     &tester, secret, &key, f->arena, &f->err),
                     ERR_INVALID, wrong[i].part);
    assert_string_equal(secret, "untouched");
    assert_string_equal(key.id, "untouched");
}

static void a_name_is_one_live_keys(void **state)
{
    struct fixture *f = *state;
    char secret[AUTH_KEY_BYTES_MAX];
    struct auth_key key, *list;
    int count;
    make_key(f, "ci", SCOPE_PREDICT, NOW_US + 1000, secret);
    assert_fails(
        f,
        auth_key_create(f->store, "ci", SCOPE_PREDICT, 0, &tester, secret, &key, f->arena, &f->err),
        ERR_EXISTS, "live key named 'ci'");
    clock_set_for_test(-1, NOW_US + 1000);
    struct auth_key second = make_key(f, "ci", SCOPE_OBSERVE, 0, secret);
    assert_ok(f, auth_key_revoke(f->store, "ci", &tester, &f->err)); /* the expired one too */
    assert_fails(f, auth_key_revoke(f->store, "ci", &tester, &f->err), ERR_NOT_FOUND, "'ci'");
    struct auth_key third = make_key(f, "ci", SCOPE_REVIEW, 0, secret);
    assert_ok(f, auth_key_list(f->store, f->arena, &list, &count, &f->err));
    assert_int_equal(count, 3);
    assert_string_equal(list[0].id, third.id); /* those not revoked come first */
    assert_int_equal(list[0].scopes, SCOPE_REVIEW);
    assert_int_equal(list[0].revoked_us, 0);
    assert_int_equal(list[1].revoked_us, NOW_US + 1000);
    assert_ok(f, auth_key_revoke(f->store, third.id, &tester, &f->err));
    assert_fails(f, auth_key_revoke(f->store, second.id, &tester, &f->err), ERR_NOT_FOUND,
                 second.id);
}

static void there_is_a_limit_to_keys_and_the_list_has_all_that_live(void **state)
{
    struct fixture *f = *state;
    char secret[AUTH_KEY_BYTES_MAX];
    struct auth_key key, *list;
    int count = 0;
    /* Revoked ones do not count, and the list leaves the oldest of them out. */
    assert_ok(f,
              store_exec(f->store,
                         "WITH RECURSIVE i (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE "
                         "n < 10500) INSERT INTO api_keys SELECT 'id' || n, 'k' || n, 'predict', "
                         "printf('%064d', n), n, 0, CASE WHEN n > 9998 THEN n ELSE 0 END, 'x', '' "
                         "FROM i",
                         NULL, 0, NULL, &f->err));
    make_key(f, "one", SCOPE_PREDICT, 0, secret);
    make_key(f, "two", SCOPE_PREDICT, 0, secret);
    assert_fails(f,
                 auth_key_create(f->store, "three", SCOPE_PREDICT, 0, &tester, secret, &key,
                                 f->arena, &f->err),
                 ERR_LIMIT, "10000 keys");
    assert_ok(f, auth_key_revoke(f->store, "k1", &tester, &f->err));
    assert_ok(f, auth_key_list(f->store, f->arena, &list, &count, &f->err));
    assert_int_equal(count, AUTH_KEYS_MAX);
    assert_int_equal(list[AUTH_KEYS_MAX - 2].revoked_us, 0);
    assert_string_equal(list[AUTH_KEYS_MAX - 1].id, "id1");
    struct auth_keys *keys = auth_keys_new(list, count);
    assert_non_null(auth_keys_find(keys, str_of(secret), NOW_US));
    auth_keys_free(keys);
}

static void a_key_without_digest_is_a_damaged_store(void **state)
{
    struct fixture *f = *state;
    char secret[AUTH_KEY_BYTES_MAX];
    struct auth_key *list = NULL;
    int count = -1;
    make_key(f, "ci", SCOPE_PREDICT, 0, secret);
    assert_ok(f, store_exec(f->store, "UPDATE api_keys SET digest = 'zz'", NULL, 0, NULL, &f->err));
    assert_fails(f, auth_key_list(f->store, f->arena, &list, &count, &f->err), ERR_IO, "digest");
    assert_null(list);
    assert_int_equal(count, -1);
}

/* ---- keys on the data path ---- */

static void a_token_finds_its_key_until_it_expires(void **state)
{
    struct fixture *f = *state;
    char secret[AUTH_KEY_BYTES_MAX];
    struct auth_key key = make_key(f, "ci", SCOPE_PREDICT, NOW_US + 1000, secret);
    struct auth_keys *keys = freeze(f);
    const struct auth_key *found = auth_keys_find(keys, str_of(secret), NOW_US + 999);
    assert_non_null(found);
    assert_string_equal(found->id, key.id);
    assert_string_equal(found->name, "ci");
    assert_int_equal(found->scopes, SCOPE_PREDICT);
    assert_null(auth_keys_find(keys, str_of(secret), NOW_US + 1000));
    auth_keys_free(keys);
}

static void any_other_token_finds_nothing(void **state)
{
    struct fixture *f = *state;
    char secret[AUTH_KEY_BYTES_MAX];
    make_key(f, "ci", SCOPE_PREDICT, 0, secret);
    struct auth_keys *keys = freeze(f);
    for (size_t i = 0; i < 64; i++) {
        char changed[65];
        memcpy(changed, secret, 65);
        changed[i] ^= 1;
        assert_null(auth_keys_find(keys, str_of(changed), NOW_US));
        assert_null(auth_keys_find(keys, (struct str){secret, i}, NOW_US));
    }
    assert_null(auth_keys_find(keys, STR_LIT(""), NOW_US));
    assert_null(auth_keys_find(keys, (struct str){NULL, 0}, NOW_US));
    assert_non_null(auth_keys_find(keys, str_of(secret), NOW_US));
    auth_keys_free(keys);
}

static void a_revoked_key_is_not_in_the_set(void **state)
{
    struct fixture *f = *state;
    char first[AUTH_KEY_BYTES_MAX], second[AUTH_KEY_BYTES_MAX];
    make_key(f, "ci", SCOPE_PREDICT, 0, first);
    make_key(f, "cd", SCOPE_PREDICT, 0, second);
    assert_ok(f, auth_key_revoke(f->store, "ci", &tester, &f->err));
    struct auth_keys *keys = freeze(f);
    assert_null(auth_keys_find(keys, str_of(first), NOW_US));
    assert_non_null(auth_keys_find(keys, str_of(second), NOW_US));
    assert_false(auth_keys_is_empty(keys));
    auth_keys_free(keys);
    assert_ok(f, auth_key_revoke(f->store, "cd", &tester, &f->err));
    keys = freeze(f);
    assert_true(auth_keys_is_empty(keys));
    assert_false(auth_keys_is_open(keys)); /* a revoked key does not open the door again */
    auth_keys_free(keys);
}

static void no_keys_find_nothing(void **state)
{
    struct auth_keys *keys = auth_keys_new(NULL, 0);
    char token[65];
    (void)state;
    memset(token, 'a', 64);
    memcpy(token, "slw_", 4);
    assert_true(auth_keys_is_empty(keys));
    assert_null(auth_keys_find(keys, (struct str){token, 64}, NOW_US));
    auth_keys_free(keys);
    auth_keys_free(NULL);
}

/* Digests that share their first eight bytes share their place in the table; each is still found.
 */
static void many_keys_and_colliding_digests_are_told_apart(void **state)
{
    enum { COUNT = AUTH_KEYS_MAX };
    struct fixture *f = *state;
    struct auth_key *list = arena_calloc(f->arena, COUNT, sizeof(*list));
    char(*tokens)[65] = arena_calloc(f->arena, COUNT, 65);
    for (int i = 0; i < COUNT; i++) {
        snprintf(tokens[i], 65, "slw_%016d_%043d", i, i);
        list[i] = (struct auth_key){.id = "x", .name = "x", .created_by = "x", .scopes = i + 1u};
        hash_sha256(tokens[i], 64, list[i].digest);
    }
    struct auth_keys *keys = auth_keys_new(list, COUNT);
    for (int i = 0; i < COUNT; i++) {
        const struct auth_key *found = auth_keys_find(keys, str_of(tokens[i]), NOW_US);
        assert_non_null(found);
        assert_int_equal(found->scopes, i + 1);
    }
    auth_keys_free(keys);
    list[1] = list[0];
    list[1].scopes = 99;
    list[1].digest[31] ^= 1;
    list[2] = list[1];
    list[2].digest[30] ^= 1;
    struct auth_key collided[] = {list[2], list[1], list[0]};
    keys = auth_keys_new(collided, 3);
    assert_int_equal(auth_keys_find(keys, str_of(tokens[0]), NOW_US)->scopes, 1);
    auth_keys_free(keys);
}

/* ---- keys bound to certificates ---- */

static struct auth_key bind_key(struct fixture *f, const char *name, const char *certificate)
{
    struct auth_key key;
    assert_ok(f, auth_key_bind(f->store, name, SCOPE_PREDICT, NOW_US + 10, certificate, &tester,
                               &key, f->arena, &f->err));
    return key;
}

static void a_bound_key_is_found_by_its_certificate_alone(void **state)
{
    struct fixture *f = *state;
    static const char *const shown[] = {"sha256:00", "uri:spiffe://a/shop", "cn:shop"};
    struct auth_key key = bind_key(f, "shop", "uri:spiffe://a/shop");
    struct auth_keys *keys = freeze(f);
    const struct auth_key *found = auth_keys_find_certificate(keys, shown, 3, NOW_US);
    assert_non_null(found);
    assert_string_equal(found->name, "shop");
    assert_string_equal(found->id, key.id);
    assert_null(auth_keys_find_certificate(keys, shown, 1, NOW_US));
    assert_null(auth_keys_find_certificate(keys, shown + 2, 1, NOW_US));
    assert_null(auth_keys_find_certificate(keys, shown, 3, NOW_US + 10)); /* it has ended */
    assert_null(auth_keys_find(keys, STR_LIT("uri:spiffe://a/shop"), NOW_US));
    auth_keys_free(keys);
    assert_ok(f, auth_key_revoke(f->store, "shop", &tester, &f->err));
    keys = freeze(f);
    assert_null(auth_keys_find_certificate(keys, shown, 3, NOW_US));
    auth_keys_free(keys);
}

/* A certificate that has a key's secret for a name gets nowhere, and the other way round. */
static void a_secret_is_no_certificate(void **state)
{
    struct fixture *f = *state;
    char secret[AUTH_KEY_BYTES_MAX];
    make_key(f, "ci", SCOPE_ADMIN, 0, secret);
    const char *const shown[] = {secret};
    struct auth_keys *keys = freeze(f);
    assert_non_null(auth_keys_find(keys, str_of(secret), NOW_US));
    assert_null(auth_keys_find_certificate(keys, shown, 1, NOW_US));
    auth_keys_free(keys);
}

static void a_certificate_is_bound_once_at_a_time(void **state)
{
    struct fixture *f = *state;
    struct auth_key key = {.id = "untouched"};
    bind_key(f, "one", "cn:shop");
    assert_fails(f,
                 auth_key_bind(f->store, "two", SCOPE_PREDICT, 0, "cn:shop", &tester, &key,
                               f->arena, &f->err),
                 ERR_EXISTS, "cn:shop");
    assert_string_equal(key.id, "untouched");
    assert_ok(f, auth_key_revoke(f->store, "one", &tester, &f->err));
    bind_key(f, "two", "cn:shop");
}

static void names_of_certificates_are_read(void **state)
{
    struct fixture *f = *state;
    char name[AUTH_CERTIFICATE_BYTES_MAX + 1], digest[65], colons[128] = "sha256:", longest[260];
    static const struct {
        const char *text, *name;
    } good[] = {{"uri:spiffe://Example.org/A", "uri:spiffe://Example.org/A"},
                {"dns:Shop.Example.ORG", "dns:shop.example.org"},
                {"cn:Shop 1", "cn:Shop 1"}};
    static const char *const bad[] = {"",        "shop",   "URI:x",     "uri:",    "dns:",   "cn:",
                                      "sha256:", "cn:a\n", "sha256:12", "cn:\xff", "email:a"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_ok(f, auth_certificate_parse(str_of(good[i].text), name, &f->err));
        assert_string_equal(name, good[i].name);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_fails(f, auth_certificate_parse(str_of(bad[i]), name, &f->err), ERR_INVALID,
                     "does not name a certificate");
    for (int i = 0; i < 32; i++) {
        snprintf(digest + 2 * (size_t)i, 3, "%02x", 0xa0 + i);
        snprintf(colons + 7 + 3 * (size_t)i, 4, "%02X%s", 0xa0 + i, i < 31 ? ":" : "");
    }
    assert_ok(f, auth_certificate_parse(str_of(colons), name, &f->err));
    assert_string_equal(name + 7, digest);
    memset(longest, 'x', sizeof(longest));
    memcpy(longest, "cn:", 3);
    assert_ok(f, auth_certificate_parse((struct str){longest, 255}, name, &f->err));
    assert_fails(f, auth_certificate_parse((struct str){longest, 256}, name, &f->err), ERR_INVALID,
                 "too long");
}

static void the_header_gives_the_token_or_nothing(void **state)
{
    (void)state;
    assert_true(str_equal_c(auth_bearer(STR_LIT("Bearer slw_a")), "slw_a"));
    assert_true(str_equal_c(auth_bearer(STR_LIT(" bearer   slw_a ")), "slw_a"));
    static const char *const none[] = {"",      "Bearer",         "Bearer ",     "Basic slw_a",
                                       "slw_a", "Bearer slw_a b", "Bearerslw_a", "Bearer a\x01"};
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(auth_bearer(str_of(none[i])).len, 0);
    assert_int_equal(auth_bearer((struct str){NULL, 0}).len, 0);
}

#define with_store(fn) cmocka_unit_test_setup_teardown(fn, setup_at_noon, teardown_clock)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_store(scopes_are_read_and_written),
        with_store(an_unknown_scope_is_named_and_all_are_listed),
        with_store(a_key_has_the_documented_form_and_is_stored_as_a_digest),
        with_store(the_secret_is_nowhere_in_the_store),
        with_store(each_change_is_an_event_without_secret_or_digest),
        with_store(wrong_requests_for_keys_are_refused),
        with_store(a_name_is_one_live_keys),
        with_store(there_is_a_limit_to_keys_and_the_list_has_all_that_live),
        with_store(a_key_without_digest_is_a_damaged_store),
        with_store(a_token_finds_its_key_until_it_expires),
        with_store(any_other_token_finds_nothing),
        with_store(a_revoked_key_is_not_in_the_set),
        cmocka_unit_test(no_keys_find_nothing),
        with_store(many_keys_and_colliding_digests_are_told_apart),
        with_store(a_bound_key_is_found_by_its_certificate_alone),
        with_store(a_secret_is_no_certificate),
        with_store(a_certificate_is_bound_once_at_a_time),
        with_store(names_of_certificates_are_read),
        cmocka_unit_test(the_header_gives_the_token_or_nothing),
    };
    return cmocka_run_group_tests_name("auth", tests, NULL, NULL);
}
