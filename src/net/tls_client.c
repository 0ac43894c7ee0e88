/* tls_client.c - roots, the client's own certificate, and failures in words. */
#include "net/tls_client.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/sslerr.h>
#include <openssl/x509.h>

static const char *last_reason(void)
{
    const char *words = ERR_reason_error_string(ERR_peek_error());
    ERR_clear_error();
    return words ? words : "unknown reason";
}

static enum err_code load_own(SSL_CTX *context, const struct http_tls_client *config,
                              struct err *err)
{
    const char *key_path = config->key_path ? config->key_path : config->cert_path;
    if (SSL_CTX_use_certificate_chain_file(context, config->cert_path) != 1) {
        err_set(err, ERR_INVALID, "certificate '%s': %s", config->cert_path, last_reason());
        return err_hint(err, "a PEM file with the client's certificate first, then its issuers");
    }
    if (SSL_CTX_use_PrivateKey_file(context, key_path, SSL_FILETYPE_PEM) != 1) {
        err_set(err, ERR_INVALID, "private key '%s': %s", key_path, last_reason());
        return err_hint(err, "a PEM file with the key of '%s'; the same file may hold both",
                        config->cert_path);
    }
    return ERR_OK;
}

enum err_code tls_client_new(const struct http_tls_client *config, SSL_CTX **out, struct err *err)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context)
        return err_set(err, ERR_INTERNAL, "TLS cannot be set up: %s", last_reason());
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    int trusted = config->ca_path ? SSL_CTX_load_verify_locations(context, config->ca_path, NULL)
                                  : SSL_CTX_set_default_verify_paths(context);
    enum err_code rc = ERR_OK;
    if (trusted != 1)
        rc = err_set(err, ERR_INVALID, "'%s' holds no certificates in PEM form",
                     config->ca_path ? config->ca_path : "the system's list");
    ERR_clear_error();
    if (!rc && config->cert_path)
        rc = load_own(context, config, err);
    if (rc)
        SSL_CTX_free(context);
    else
        *out = context;
    return rc;
}

enum err_code tls_client_open(SSL_CTX *context, int fd, const char *host, SSL **out,
                              struct err *err)
{
    SSL *connection = SSL_new(context);
    if (!connection || SSL_set_fd(connection, fd) != 1) {
        SSL_free(connection);
        return err_set(err, ERR_INTERNAL, "TLS cannot be set up: %s", last_reason());
    }
    SSL_ctrl(connection, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
             (void *)(uintptr_t)host); /* SSL_set_tlsext_host_name, without its cast */
    X509_VERIFY_PARAM *verify = SSL_get0_param(connection);
    if (!X509_VERIFY_PARAM_set1_ip_asc(verify, host))
        X509_VERIFY_PARAM_set1_host(verify, host, 0);
    *out = connection;
    return ERR_OK;
}

/* The server's alerts about our certificate, and what to do. */
static const char *hint_for(unsigned long code)
{
    switch (ERR_GET_REASON(code)) {
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
        return "does it ask for a certificate of clients? give one with --cert FILE";
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
        return "it does not know the issuer of the certificate in --cert: is it in the server's "
               "--tls-client-ca, and are the issuers between in the file?";
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
        return "the certificate in --cert has expired: renew it";
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
        return "the certificate in --cert is revoked: get another one";
    case SSL_R_WRONG_VERSION_NUMBER:
        return "is that port one for plain http://?";
    default:
        return NULL;
    }
}

enum err_code tls_client_failed(const SSL *connection, const char *where, struct err *err)
{
    unsigned long code = ERR_peek_error();
    const char *hint = hint_for(code);
    long verified = connection ? SSL_get_verify_result(connection) : X509_V_OK;
    if (verified != X509_V_OK) {
        ERR_clear_error();
        err_set(err, ERR_UNAVAILABLE, "%s: its certificate is not trusted: %s", where,
                X509_verify_cert_error_string(verified));
        return err_hint(err, "give the issuer's certificate with --ca FILE");
    }
    err_set(err, ERR_UNAVAILABLE, "%s: TLS failed: %s", where,
            code ? last_reason() : "the connection was closed");
    return hint ? err_hint(err, "%s", hint) : err->code;
}
