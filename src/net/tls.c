/* tls.c - OpenSSL with two memory BIOs per connection. */
#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509err.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"

enum { TLS_OUT_BYTES = 16 * 1024 };

struct tls_context {
    _Atomic int refs;
    SSL_CTX *ssl;
};

struct tls {
    SSL *ssl;
    BIO *in, *out; /* owned by ssl */
};

static const char *reason(char *text, size_t size)
{
    unsigned long code = ERR_get_error();
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

enum err_code tls_context_new(const char *cert_path, const char *key_path, struct tls_context **out,
                              struct err *err)
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
    SSL_CTX_set_session_id_context(ssl, (const unsigned char *)"slipway", 7);
    SSL_CTX_set_alpn_select_cb(ssl, choose_protocol, NULL);
    enum err_code rc = load_files(ssl, cert_path, key_path, err);
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
        ERR_clear_error();
        return -2;
    }
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

void tls_close(struct tls *tls)
{
    if (SSL_is_init_finished(tls->ssl))
        SSL_shutdown(tls->ssl);
    ERR_clear_error();
}
