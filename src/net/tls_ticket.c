/* tls_ticket.c - AES-256-CBC and HMAC-SHA-256 (RFC 5077 section 4) under keys that take turns.
 *
 * A ticket remembers that a client's certificate was good when it was shown, and when that was.
 * What could have changed since is looked at again: the certificate's end here, the roots and the
 * revocations by the session id context (tls.c). An issuer that has ended, or a list that nobody
 * has renewed, is found after TLS_SESSION_SECONDS, however often the client comes back.
 */
#include "net/tls_ticket.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/rand.h"

enum { NAME_BYTES = 16, IV_BYTES = 16, KEY_BYTES = 32 };
enum { SECRET_BYTES = NAME_BYTES + 2 * KEY_BYTES };

struct ticket_key {
    uint8_t name[NAME_BYTES], aes[KEY_BYTES], hmac[KEY_BYTES];
    int64_t from_us; /* monotonic, which all processes of the machine share */
};
_Static_assert(offsetof(struct ticket_key, from_us) == SECRET_BYTES, "names and keys are together");

struct tls_tickets {
    EVP_CIPHER *cipher;
    pthread_mutex_t lock;
    struct ticket_key keys[TLS_TICKET_KEYS]; /* [count], the newest first; under lock */
    int count;
};

static int64_t age_seconds(const struct ticket_key *key)
{
    return (clock_monotonic_us() - key->from_us) / CLOCK_SECOND_US;
}

/* The key that seals now. */
static struct ticket_key current_key(struct tls_tickets *tickets)
{
    struct ticket_key *keys = tickets->keys;
    pthread_mutex_lock(&tickets->lock);
    if (tickets->count == 0 || age_seconds(&keys[0]) >= TLS_TICKET_KEY_SECONDS) {
        memmove(&keys[1], &keys[0], (TLS_TICKET_KEYS - 1) * sizeof(*keys));
        rand_secret(keys[0].name, NAME_BYTES);
        rand_secret(keys[0].aes, KEY_BYTES);
        rand_secret(keys[0].hmac, KEY_BYTES);
        keys[0].from_us = clock_monotonic_us();
        tickets->count += tickets->count < TLS_TICKET_KEYS;
    }
    struct ticket_key key = keys[0];
    pthread_mutex_unlock(&tickets->lock);
    return key;
}

/* The key of that name, unless its time is over. */
static bool find_key(struct tls_tickets *tickets, const uint8_t name[NAME_BYTES],
                     struct ticket_key *key)
{
    bool is_found = false;
    pthread_mutex_lock(&tickets->lock);
    for (int i = 0; i < tickets->count && !is_found; i++) {
        is_found = memcmp(tickets->keys[i].name, name, NAME_BYTES) == 0 &&
                   age_seconds(&tickets->keys[i]) < TLS_TICKET_KEYS * TLS_TICKET_KEY_SECONDS;
        if (is_found)
            *key = tickets->keys[i];
    }
    pthread_mutex_unlock(&tickets->lock);
    return is_found;
}

static bool set_mac(EVP_MAC_CTX *mac, struct ticket_key *key)
{
    char digest[] = "sha256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->hmac, KEY_BYTES),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* Clients of TLS 1.3 show a ticket once, so that nobody can follow them by it (RFC 8446, C.4):
 * without a new one each time they would soon have none left. */
static bool is_single_use(const SSL *connection)
{
    return SSL_version(connection) >= TLS1_3_VERSION;
}

/* 1: set up; 2: the same, and the client gets a new ticket; 0: full handshake; -1: fails. */
static int set_up(SSL *connection, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                  EVP_MAC_CTX *mac, int is_sealing)
{
    struct tls_tickets *tickets = SSL_CTX_get_app_data(SSL_get_SSL_CTX(connection));
    struct ticket_key key;
    int result = 1;
    if (is_sealing) {
        key = current_key(tickets);
        memcpy(name, key.name, NAME_BYTES);
        rand_secret(iv, IV_BYTES);
    } else {
        if (!find_key(tickets, name, &key))
            return 0;
        result = is_single_use(connection) || age_seconds(&key) >= TLS_TICKET_KEY_SECONDS ? 2 : 1;
    }
    if (EVP_CipherInit_ex(cipher, tickets->cipher, NULL, key.aes, iv, is_sealing) != 1 ||
        !set_mac(mac, &key))
        result = -1;
    explicit_bzero(&key, sizeof(key));
    return result;
}

/* When the handshake was that this session goes back to; 0: it is the first. */
static int64_t session_begin_us(SSL_SESSION *session)
{
    int64_t begin_us = 0;
    void *noted;
    size_t size;
    if (SSL_SESSION_get0_ticket_appdata(session, &noted, &size) == 1 && size == sizeof(begin_us))
        memcpy(&begin_us, noted, sizeof(begin_us));
    return begin_us;
}

static int seal(SSL *connection, void *arg)
{
    SSL_SESSION *session = SSL_get_session(connection);
    int64_t now_us = clock_monotonic_us();
    (void)arg;
    return session_begin_us(session) ||
           SSL_SESSION_set1_ticket_appdata(session, &now_us, sizeof(now_us)) == 1;
}

static bool is_too_old(SSL_SESSION *session)
{
    return clock_monotonic_us() - session_begin_us(session) >=
           TLS_SESSION_SECONDS * CLOCK_SECOND_US;
}

/* A certificate that has ended since is shown again, and refused then. */
static SSL_TICKET_RETURN open_ticket(SSL *connection, SSL_SESSION *session,
                                     const unsigned char *name, size_t name_bytes,
                                     SSL_TICKET_STATUS status, void *arg)
{
    const X509 *certificate = session ? SSL_SESSION_get0_peer(session) : NULL;
    (void)connection, (void)name, (void)name_bytes, (void)arg;
    if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    if (session && is_too_old(session))
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    if (certificate && X509_cmp_current_time(X509_get0_notAfter(certificate)) <= 0)
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

void tls_tickets_use(struct tls_tickets *tickets, SSL_CTX *ssl)
{
    SSL_CTX_set_app_data(ssl, tickets);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_timeout(ssl, TLS_TICKET_SECONDS);
    SSL_CTX_set_max_early_data(ssl, 0); /* could be replayed: a prediction counts, and is kept */
    SSL_CTX_set_recv_max_early_data(ssl, 0);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ssl, set_up);
    SSL_CTX_set_session_ticket_cb(ssl, seal, open_ticket, NULL);
}

void tls_tickets_write(struct tls_tickets *tickets, struct buf *out)
{
    char hex[2 * SECRET_BYTES];
    pthread_mutex_lock(&tickets->lock);
    for (int i = 0; i < tickets->count; i++) {
        str_hex(&tickets->keys[i], SECRET_BYTES, hex);
        buf_printf(out, "ticket %.*s %lld\n", (int)sizeof(hex), hex,
                   (long long)tickets->keys[i].from_us);
    }
    pthread_mutex_unlock(&tickets->lock);
    explicit_bzero(hex, sizeof(hex));
}

/* "ticket HEX MICROSECONDS" */
static bool read_key(struct str line, struct ticket_key *key)
{
    struct str word, hex;
    return str_split(&line, ' ', &word) && str_equal_c(word, "ticket") &&
           str_split(&line, ' ', &hex) && hex.len == (size_t)2 * SECRET_BYTES &&
           str_unhex(hex, key, SECRET_BYTES) && str_to_i64(line, &key->from_us);
}

bool tls_tickets_read(struct tls_tickets *tickets, struct str lines)
{
    struct str line;
    while (lines.len && str_split(&lines, '\n', &line)) {
        if (tickets->count == TLS_TICKET_KEYS || !read_key(line, &tickets->keys[tickets->count]))
            return false;
        tickets->count++;
    }
    return true;
}

struct tls_tickets *tls_tickets_new(void)
{
    struct tls_tickets *tickets = calloc(1, sizeof(*tickets));
    if (!tickets)
        abort();
    tickets->cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    if (!tickets->cipher)
        abort();
    pthread_mutex_init(&tickets->lock, NULL);
    return tickets;
}

void tls_tickets_free(struct tls_tickets *tickets)
{
    if (!tickets)
        return;
    EVP_CIPHER_free(tickets->cipher);
    pthread_mutex_destroy(&tickets->lock);
    explicit_bzero(tickets, sizeof(*tickets));
    free(tickets);
}
