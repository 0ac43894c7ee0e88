/* test_tls.c - session tickets and their keys over hours, names in certificates; no sockets. */
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/tls.h"
#include "net/tls_names.h"

#include "test.h"

#define HOUR_US (3600 * CLOCK_SECOND_US)

struct fixture {
    char dir[64], cert[96], key[96];
    struct tls_tickets *tickets;
    struct tls_context *context;
    SSL_CTX *client;
    SSL_SESSION *session; /* the last one the client was given */
};

/* ---- certificates ---- */

static void add_text(X509 *cert, int kind, const char *text)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, kind, text);
    assert_non_null(extension);
    X509_add_ext(cert, extension, -1);
    X509_EXTENSION_free(extension);
}

static X509 *new_cert(EVP_PKEY *key, const char *common_name)
{
    X509 *cert = X509_new();
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_set_version(cert, 2);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, key);
    if (common_name)
        X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_UTF8,
                                   (const unsigned char *)common_name, -1, -1, 0);
    return cert;
}

static void write_pair(struct fixture *f)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = new_cert(key, "localhost");
    X509_set_issuer_name(cert, X509_get_subject_name(cert));
    X509_sign(cert, key, EVP_sha256());
    FILE *out = fopen(f->cert, "w");
    PEM_write_X509(out, cert);
    fclose(out);
    out = fopen(f->key, "w");
    PEM_write_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL);
    fclose(out);
    X509_free(cert);
    EVP_PKEY_free(key);
}

/* ---- a handshake in memory ---- */

static void carry(SSL *client, struct tls *server, BIO *to_client)
{
    char bytes[16384];
    struct buf out;
    int n;
    buf_init(&out, 1 << 20);
    while ((n = BIO_read(SSL_get_wbio(client), bytes, sizeof(bytes))) > 0)
        tls_put(server, bytes, (size_t)n);
    tls_read(server, bytes, sizeof(bytes));
    tls_take(server, &out);
    if (out.len)
        BIO_write(to_client, out.data, (int)out.len);
    buf_done(&out);
}

/* Was it a resumed one? `session` may be NULL. */
static bool shake_hands(struct fixture *f, SSL_SESSION *session)
{
    struct tls *server = tls_new(f->context);
    SSL *client = SSL_new(f->client);
    BIO *in = BIO_new(BIO_s_mem());
    char byte;
    SSL_set_bio(client, in, BIO_new(BIO_s_mem()));
    SSL_set_connect_state(client);
    if (session)
        SSL_set_session(client, session);
    for (int i = 0; i < 4; i++) {
        SSL_read(client, &byte, 1);
        carry(client, server, in);
    }
    assert_true(SSL_is_init_finished(client) && tls_is_ready(server));
    bool is_resumed = tls_is_resumed(server);
    assert_int_equal(is_resumed, SSL_session_reused(client));
    assert_null(tls_certificate(server));
    SSL_SESSION_free(f->session);
    f->session = SSL_get1_session(client);
    SSL_shutdown(client); /* a session whose connection just breaks is not resumed */
    SSL_free(client);
    tls_free(server);
    return is_resumed;
}

static bool resume_last(struct fixture *f)
{
    SSL_SESSION *last = f->session;
    SSL_SESSION_up_ref(last);
    bool is_resumed = shake_hands(f, last);
    SSL_SESSION_free(last);
    return is_resumed;
}

static struct tls_context *new_context(struct fixture *f)
{
    struct err err = {0};
    struct tls_context *context = NULL;
    const struct http_tls files = {.cert_path = f->cert, .key_path = f->key};
    assert_int_equal(tls_context_new(&files, f->tickets, &context, &err), ERR_OK);
    return context;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    snprintf(f->dir, sizeof(f->dir), "/tmp/slipway-tls-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->cert, sizeof(f->cert), "%s/cert", f->dir);
    snprintf(f->key, sizeof(f->key), "%s/key", f->dir);
    write_pair(f);
    f->tickets = tls_tickets_new();
    f->context = new_context(f);
    f->client = SSL_CTX_new(TLS_client_method());
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    clock_set_for_test(-1, -1);
    SSL_SESSION_free(f->session);
    SSL_CTX_free(f->client);
    tls_context_unref(f->context);
    tls_tickets_free(f->tickets);
    unlink(f->cert);
    unlink(f->key);
    rmdir(f->dir);
    free(f);
    return 0;
}

/* ---- sessions ---- */

static void use_version(const struct fixture *f, int version)
{
    SSL_CTX_set_min_proto_version(f->client, version);
    SSL_CTX_set_max_proto_version(f->client, version);
}

static void a_key_opens_for_three_hours_and_seals_for_one(void **state)
{
    struct fixture *f = *state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        int64_t start = (version - TLS1_2_VERSION + 1) * 100 * HOUR_US;
        use_version(f, version);
        clock_set_for_test(start, -1);
        assert_false(shake_hands(f, NULL));
        SSL_SESSION *first = f->session;
        SSL_SESSION_up_ref(first);
        assert_true(shake_hands(f, first));
        clock_set_for_test(start + 3 * HOUR_US - 1, -1);
        assert_true(shake_hands(f, first));
        SSL_SESSION *second = f->session; /* the first one's key is too old to seal */
        SSL_SESSION_up_ref(second);
        clock_set_for_test(start + 3 * HOUR_US, -1);
        assert_false(shake_hands(f, first));
        assert_true(shake_hands(f, second));
        SSL_SESSION_free(first);
        SSL_SESSION_free(second);
    }
}

/* Four keys have been drawn since: there is room for three. */
static void a_key_is_forgotten_when_others_have_come(void **state)
{
    struct fixture *f = *state;
    clock_set_for_test(100 * HOUR_US, -1);
    assert_false(shake_hands(f, NULL));
    SSL_SESSION *first = f->session;
    SSL_SESSION_up_ref(first);
    for (int i = 1; i <= TLS_TICKET_KEYS; i++) {
        clock_set_for_test((100 + i) * HOUR_US, -1);
        assert_false(shake_hands(f, NULL));
    }
    clock_set_for_test(100 * HOUR_US, -1);
    assert_false(shake_hands(f, first));
    SSL_SESSION_free(first);
}

/* In TLS 1.3 a ticket is shown once; in 1.2 it serves as long as its key seals. */
static void a_resumed_session_brings_a_new_ticket(void **state)
{
    struct fixture *f = *state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        const unsigned char *before, *after;
        size_t before_bytes, after_bytes;
        use_version(f, version);
        assert_false(shake_hands(f, NULL));
        SSL_SESSION *first = f->session;
        SSL_SESSION_up_ref(first);
        assert_true(shake_hands(f, first));
        SSL_SESSION_get0_ticket(first, &before, &before_bytes);
        SSL_SESSION_get0_ticket(f->session, &after, &after_bytes);
        bool is_same = before_bytes == after_bytes && memcmp(before, after, before_bytes) == 0;
        assert_int_equal(is_same, version == TLS1_2_VERSION);
        SSL_SESSION_free(first);
    }
}

/* Who comes back every hour is known for a day. */
static void sessions_that_follow_each_other_end(void **state)
{
    struct fixture *f = *state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        int64_t start = (version - TLS1_2_VERSION + 1) * 100 * HOUR_US;
        use_version(f, version);
        clock_set_for_test(start, -1);
        assert_false(shake_hands(f, NULL));
        for (int hour = 1; hour < 24; hour++) {
            clock_set_for_test(start + hour * HOUR_US, -1);
            assert_true(resume_last(f));
        }
        clock_set_for_test(start + 24 * HOUR_US, -1);
        assert_false(resume_last(f));
        assert_true(resume_last(f));
    }
}

static void a_new_context_goes_on_with_the_same_keys(void **state)
{
    struct fixture *f = *state;
    assert_false(shake_hands(f, NULL));
    tls_context_unref(f->context);
    write_pair(f); /* another certificate */
    f->context = new_context(f);
    assert_true(resume_last(f));
    struct tls_tickets *others = tls_tickets_new();
    struct tls_tickets *own = f->tickets;
    tls_context_unref(f->context);
    f->tickets = others;
    f->context = new_context(f);
    assert_false(resume_last(f)); /* as after a restart */
    tls_context_unref(f->context);
    tls_tickets_free(others);
    f->tickets = own;
    f->context = new_context(f);
}

static void keys_go_on_in_another_process(void **state)
{
    struct fixture *f = *state;
    struct buf lines;
    buf_init(&lines, 4096);
    clock_set_for_test(100 * HOUR_US, -1);
    assert_false(shake_hands(f, NULL));
    clock_set_for_test(101 * HOUR_US, -1);
    SSL_SESSION *first = f->session;
    SSL_SESSION_up_ref(first);
    assert_false(shake_hands(f, NULL)); /* a second key */
    tls_tickets_write(f->tickets, &lines);
    tls_context_unref(f->context);
    tls_tickets_free(f->tickets);
    f->tickets = tls_tickets_new();
    assert_true(tls_tickets_read(f->tickets, buf_view(&lines)));
    f->context = new_context(f);
    assert_true(resume_last(f));
    clock_set_for_test(103 * HOUR_US - 1, -1);
    assert_true(shake_hands(f, first));
    clock_set_for_test(103 * HOUR_US, -1);
    assert_false(shake_hands(f, first)); /* it is as old as it was there */
    SSL_SESSION_free(first);
    buf_done(&lines);
}

static void lines_that_are_no_keys_are_refused(void **state)
{
    static const char *const bad[] = {"x", "ticket", "ticket 00 1\n", "ticket zz", "\n"};
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        struct tls_tickets *tickets = tls_tickets_new();
        assert_false(tls_tickets_read(tickets, str_of(bad[i])));
        tls_tickets_free(tickets);
    }
    struct tls_tickets *tickets = tls_tickets_new();
    assert_true(tls_tickets_read(tickets, STR_LIT("")));
    tls_tickets_free(tickets);
}

/* ---- names ---- */

static void names_are_what_a_certificate_has(void **state)
{
    (void)state;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = new_cert(key, "sh\xc3\xb6p");
    add_text(cert, NID_subject_alt_name,
             "DNS:Shop.Example.ORG,URI:spiffe://a/shop,email:a@b,IP:10.0.0.1");
    X509_sign(cert, key, EVP_sha256());
    struct http_certificate *names = tls_names_of(cert);
    assert_int_equal(names->name_count, 4);
    assert_int_equal(strlen(names->names[0]), 7 + 64);
    assert_memory_equal(names->names[0], "sha256:", 7);
    assert_string_equal(names->names[1], "uri:spiffe://a/shop");
    assert_string_equal(names->names[2], "dns:shop.example.org");
    assert_string_equal(names->names[3], "cn:sh\xc3\xb6p");
    int64_t left_us = names->expires_us - clock_wall_us();
    assert_true(left_us > HOUR_US - 60 * CLOCK_SECOND_US && left_us <= HOUR_US);
    tls_names_free(names);
    X509_free(cert);
    EVP_PKEY_free(key);
}

/* CVE-2009-2408: a NUL ends the name for whom it is to deceive. */
static void names_that_are_not_what_they_seem_are_left_out(void **state)
{
    (void)state;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = new_cert(key, "one");
    GENERAL_NAMES *list = GENERAL_NAMES_new();
    static const char *const texts[] = {"shop\0.evil", "a\nb", ""};
    static const int sizes[] = {10, 3, 0};
    for (size_t i = 0; i < 3; i++) {
        GENERAL_NAME *name = GENERAL_NAME_new();
        ASN1_IA5STRING *value = ASN1_IA5STRING_new();
        ASN1_STRING_set(value, texts[i], sizes[i]);
        GENERAL_NAME_set0_value(name, GEN_DNS, value);
        sk_GENERAL_NAME_push(list, name);
    }
    X509_add1_ext_i2d(cert, NID_subject_alt_name, list, 0, 0);
    GENERAL_NAMES_free(list);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                               (const unsigned char *)"two", -1, -1, 0);
    X509_sign(cert, key, EVP_sha256());
    struct http_certificate *names = tls_names_of(cert);
    assert_int_equal(names->name_count, 1); /* its digest: of two common names none counts */
    tls_names_free(names);
    X509_free(cert);
    EVP_PKEY_free(key);
}

#define with_tls(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_tls(a_key_opens_for_three_hours_and_seals_for_one),
        with_tls(a_key_is_forgotten_when_others_have_come),
        with_tls(a_resumed_session_brings_a_new_ticket),
        with_tls(sessions_that_follow_each_other_end),
        with_tls(a_new_context_goes_on_with_the_same_keys),
        with_tls(keys_go_on_in_another_process),
        cmocka_unit_test(lines_that_are_no_keys_are_refused),
        cmocka_unit_test(names_are_what_a_certificate_has),
        cmocka_unit_test(names_that_are_not_what_they_seem_are_left_out),
    };
    return cmocka_run_group_tests_name("tls", tests, NULL, NULL);
}
