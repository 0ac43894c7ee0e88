/* tls.c - OpenSSL with two memory BIOs per connection. */
#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509err.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "base/hash.h"
#include "net/tls_names.h"

enum {
    TLS_OUT_BYTES = 16 * 1024,
    CLIENT_FILE_BYTES_MAX = 16 << 20, /* roots, revocations */
    CHAIN_LENGTH_MAX = 8,             /* issuers between a client's certificate and its root */
};

struct tls_context {
    _Atomic int refs;
    SSL_CTX *ssl;
};

struct tls {
    SSL *ssl;
    BIO *in, *out; /* owned by ssl */
    unsigned long error;
    struct http_certificate *certificate;
};

static const char *reason(char *text, size_t size)
{
    unsigned long code = ERR_get_error();
    const char *words =
        ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);
    if (words)
        snprintf(text, size, "%s", words);
    else
        ERR_error_string_n(code, text, size);
    ERR_clear_error();
    return code ? text : "unknown reason";
}

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_length,
                           const unsigned char *in, unsigned int in_length, void *arg)
{
    static const unsigned char ours[] = {2, 'h', '2', 8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
    unsigned char *chosen;
    (void)ssl, (void)arg;
    if (SSL_select_next_proto(&chosen, out_length, ours, sizeof(ours), in, in_length) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static bool is_mismatch(unsigned long code)
{
    return ERR_GET_LIB(code) == ERR_LIB_X509 &&
           (ERR_GET_REASON(code) == X509_R_KEY_VALUES_MISMATCH ||
            ERR_GET_REASON(code) == X509_R_KEY_TYPE_MISMATCH);
}

static enum err_code refuse_pair(const char *cert_path, const char *key_path, struct err *err)
{
    ERR_clear_error();
    err_set(err, ERR_INVALID, "private key '%s' does not belong to certificate '%s'", key_path,
            cert_path);
    return err_hint(err, "were both files replaced, and is the server's certificate the first?");
}

static enum err_code load_files(SSL_CTX *ssl, const char *cert_path, const char *key_path,
                                struct err *err)
{
    char text[160];
    if (SSL_CTX_use_certificate_chain_file(ssl, cert_path) != 1) {
        err_set(err, ERR_INVALID, "certificate '%s': %s", cert_path, reason(text, sizeof(text)));
        return err_hint(err, "a PEM file with the server's certificate first, then its issuers");
    }
    if (SSL_CTX_use_PrivateKey_file(ssl, key_path, SSL_FILETYPE_PEM) != 1) {
        if (is_mismatch(ERR_peek_error()))
            return refuse_pair(cert_path, key_path, err);
        err_set(err, ERR_INVALID, "private key '%s': %s", key_path, reason(text, sizeof(text)));
        return err_hint(err, "a PEM file with the key of '%s'", cert_path);
    }
    if (SSL_CTX_check_private_key(ssl) != 1)
        return refuse_pair(cert_path, key_path, err);
    return ERR_OK;
}

/* ---- certificates of clients ---- */

static enum err_code bad_client_file(const char *what, const char *path, const char *hint,
                                     struct err *err)
{
    char text[160];
    err_set(err, ERR_INVALID, "%s '%s': %s", what, path, reason(text, sizeof(text)));
    return err_hint(err, "%s", hint);
}

static enum err_code load_roots(SSL_CTX *ssl, const char *path, struct err *err)
{
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(path);
    if (!names || SSL_CTX_load_verify_locations(ssl, path, NULL) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return bad_client_file("client CA", path,
                               "a PEM file with the roots of your clients' certificates", err);
    }
    SSL_CTX_set_client_CA_list(ssl, names); /* clients choose the certificate by it */
    return ERR_OK;
}

static enum err_code load_revocations(SSL_CTX *ssl, const char *path, struct err *err)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ssl);
    X509_LOOKUP *lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());
    if (!lookup || X509_load_crl_file(lookup, path, X509_FILETYPE_PEM) <= 0)
        return bad_client_file("client CRL", path,
                               "a PEM file with the list of every issuer of client certificates",
                               err);
    X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    return ERR_OK;
}

static enum err_code add_file(struct hash_sha256 *hash, const char *path, struct err *err)
{
    struct buf bytes;
    if (!path)
        return ERR_OK;
    enum err_code rc = file_read(path, CLIENT_FILE_BYTES_MAX, &bytes, err);
    if (!rc) {
        hash_sha256_add(hash, &bytes.len, sizeof(bytes.len));
        hash_sha256_add(hash, bytes.data, bytes.len);
    }
    buf_done(&bytes);
    return rc;
}

/* A session is resumed only under the rules for clients that it was made under: with another root,
 * another revocation or another demand its client shows its certificate again. */
static enum err_code set_session_context(SSL_CTX *ssl, const struct http_tls *config,
                                         struct err *err)
{
    uint8_t digest[SHA256_BYTES];
    struct hash_sha256 *hash = hash_sha256_new();
    hash_sha256_add(hash, config->is_client_optional ? "optional" : "required", 8);
    enum err_code rc = add_file(hash, config->client_ca_path, err);
    if (!rc)
        rc = add_file(hash, config->client_crl_path, err);
    hash_sha256_end(hash, digest);
    if (!rc && SSL_CTX_set_session_id_context(ssl, digest, sizeof(digest)) != 1)
        abort();
    return rc;
}

static enum err_code load_client_files(SSL_CTX *ssl, const struct http_tls *config, struct err *err)
{
    int mode = SSL_VERIFY_PEER | (config->is_client_optional ? 0 : SSL_VERIFY_FAIL_IF_NO_PEER_CERT);
    enum err_code rc = set_session_context(ssl, config, err);
    if (rc || !config->client_ca_path)
        return rc;
    SSL_CTX_set_verify(ssl, mode, NULL);
    SSL_CTX_set_verify_depth(ssl, CHAIN_LENGTH_MAX);
    rc = load_roots(ssl, config->client_ca_path, err);
    if (!rc && config->client_crl_path)
        rc = load_revocations(ssl, config->client_crl_path, err);
    return rc;
}

/* ---- contexts ---- */

static SSL_CTX *new_ssl(struct tls_tickets *tickets)
{
    SSL_CTX *ssl = SSL_CTX_new(TLS_server_method());
    if (!ssl)
        abort();
    SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION);
    SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                 SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_cipher_list(ssl, "ECDHE+AESGCM:ECDHE+CHACHA20");
    SSL_CTX_set_alpn_select_cb(ssl, choose_protocol, NULL);
    tls_tickets_use(tickets, ssl);
    return ssl;
}

enum err_code tls_context_new(const struct http_tls *config, struct tls_tickets *tickets,
                              struct tls_context **out, struct err *err)
{
    SSL_CTX *ssl = new_ssl(tickets);
    enum err_code rc = load_files(ssl, config->cert_path, config->key_path, err);
    if (!rc)
        rc = load_client_files(ssl, config, err);
    if (rc) {
        SSL_CTX_free(ssl);
        return rc;
    }
    struct tls_context *context = calloc(1, sizeof(*context));
    if (!context)
        abort();
    context->refs = 1;
    context->ssl = ssl;
    *out = context;
    return ERR_OK;
}

void tls_context_ref(struct tls_context *context)
{
    atomic_fetch_add_explicit(&context->refs, 1, memory_order_relaxed);
}

void tls_context_unref(struct tls_context *context)
{
    if (!context || atomic_fetch_sub_explicit(&context->refs, 1, memory_order_acq_rel) != 1)
        return;
    SSL_CTX_free(context->ssl);
    free(context);
}

int64_t tls_context_expires_us(const struct tls_context *context)
{
    return tls_expires_us(SSL_CTX_get0_certificate(context->ssl));
}

/* ---- connections ---- */

struct tls *tls_new(struct tls_context *context)
{
    struct tls *tls = calloc(1, sizeof(*tls));
    if (!tls)
        abort();
    tls->ssl = SSL_new(context->ssl);
    tls->in = BIO_new(BIO_s_mem());
    tls->out = BIO_new(BIO_s_mem());
    if (!tls->ssl || !tls->in || !tls->out)
        abort();
    SSL_set_bio(tls->ssl, tls->in, tls->out);
    SSL_set_accept_state(tls->ssl);
    return tls;
}

void tls_free(struct tls *tls)
{
    if (!tls)
        return;
    SSL_free(tls->ssl);
    tls_names_free(tls->certificate);
    free(tls);
}

void tls_put(struct tls *tls, const void *bytes, size_t size)
{
    int n = BIO_write(tls->in, bytes, (int)size);
    assert(n == (int)size); /* a memory BIO takes everything */
}

int tls_read(struct tls *tls, void *bytes, int size)
{
    int n = SSL_read(tls->ssl, bytes, size);
    if (n > 0)
        return n;
    switch (SSL_get_error(tls->ssl, n)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return 0;
    case SSL_ERROR_ZERO_RETURN:
        return -1;
    default:
        tls->error = ERR_peek_error();
        ERR_clear_error();
        return -2;
    }
}

const char *tls_problem(const struct tls *tls, char *text, size_t size)
{
    long verified = SSL_get_verify_result(tls->ssl);
    const char *words = ERR_reason_error_string(tls->error);
    if (verified != X509_V_OK)
        words = X509_verify_cert_error_string(verified);
    snprintf(text, size, "%s", words ? words : "the connection ended");
    return text;
}

bool tls_write(struct tls *tls, const void *bytes, size_t size)
{
    size_t done = 0;
    while (done < size) {
        size_t n = 0;
        if (SSL_write_ex(tls->ssl, (const char *)bytes + done, size - done, &n) != 1) {
            ERR_clear_error();
            return false;
        }
        done += n;
    }
    return true;
}

void tls_take(struct tls *tls, struct buf *out)
{
    char bytes[TLS_OUT_BYTES];
    int n;
    while ((n = BIO_read(tls->out, bytes, sizeof(bytes))) > 0)
        buf_append(out, bytes, (size_t)n);
}

bool tls_is_ready(const struct tls *tls)
{
    return SSL_is_init_finished(tls->ssl);
}

bool tls_is_resumed(const struct tls *tls)
{
    return SSL_session_reused(tls->ssl);
}

const struct http_certificate *tls_certificate(struct tls *tls)
{
    const X509 *certificate = SSL_get0_peer_certificate(tls->ssl);
    if (certificate && !tls->certificate && SSL_get_verify_result(tls->ssl) == X509_V_OK)
        tls->certificate = tls_names_of(certificate);
    return tls->certificate;
}

void tls_close(struct tls *tls)
{
    if (SSL_is_init_finished(tls->ssl))
        SSL_shutdown(tls->ssl);
    ERR_clear_error();
}
