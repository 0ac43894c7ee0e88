/* tls_names.c - subject, alternative names and digest of a certificate, as texts.
 *
 * A name counts only when its bytes are what they seem: a NUL inside has let "bank.example\0.evil"
 * pass for another name in more than one library.
 */
#include "net/tls_names.h"

#include <openssl/asn1.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/hash.h"

static void add_name(struct http_certificate *names, const char *kind, const void *bytes,
                     size_t size)
{
    size_t prefix = strlen(kind);
    const struct str text = {bytes, size};
    if (size == 0 || prefix + size > HTTP_CERTIFICATE_NAME_BYTES_MAX ||
        names->name_count == HTTP_CERTIFICATE_NAMES_MAX || !str_is_utf8(text))
        return;
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 0x7f)
            return;
    char *name = malloc(prefix + size + 1);
    if (!name)
        abort();
    memcpy(name, kind, prefix);
    memcpy(name + prefix, bytes, size);
    name[prefix + size] = '\0';
    names->names[names->name_count++] = name;
}

static void add_digest(struct http_certificate *names, const X509 *certificate)
{
    uint8_t digest[SHA256_BYTES];
    char hex[SHA256_HEX_BYTES];
    unsigned size = 0;
    if (X509_digest(certificate, EVP_sha256(), digest, &size) != 1 || size != sizeof(digest))
        return;
    str_hex(digest, sizeof(digest), hex);
    add_name(names, "sha256:", hex, sizeof(hex));
}

/* Alternative names of one kind. Host names are compared without case: they are kept in small. */
static void add_alternatives(struct http_certificate *names, const GENERAL_NAMES *list, int type,
                             const char *kind)
{
    for (int i = 0; i < sk_GENERAL_NAME_num(list); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(list, i);
        if (name->type != type)
            continue;
        const ASN1_IA5STRING *value =
            type == GEN_URI ? name->d.uniformResourceIdentifier : name->d.dNSName;
        char text[HTTP_CERTIFICATE_NAME_BYTES_MAX];
        int size = ASN1_STRING_length(value);
        if (size < 0 || (size_t)size > sizeof(text))
            continue;
        memcpy(text, ASN1_STRING_get0_data(value), (size_t)size);
        for (int c = 0; type == GEN_DNS && c < size; c++)
            if (text[c] >= 'A' && text[c] <= 'Z')
                text[c] = (char)(text[c] + ('a' - 'A'));
        add_name(names, kind, text, (size_t)size);
    }
}

/* With two of them it is not clear whom the issuer means. */
static void add_common_name(struct http_certificate *names, const X509 *certificate)
{
    const X509_NAME *subject = X509_get_subject_name(certificate);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
        return;
    unsigned char *text = NULL;
    int size =
        ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    if (size > 0)
        add_name(names, "cn:", text, (size_t)size);
    OPENSSL_free(text);
}

int64_t tls_expires_us(const X509 *certificate)
{
    struct tm end = {0};
    if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) != 1)
        return 0;
    return (int64_t)timegm(&end) * CLOCK_SECOND_US;
}

struct http_certificate *tls_names_of(const X509 *certificate)
{
    struct http_certificate *names = calloc(1, sizeof(*names));
    if (!names)
        abort();
    GENERAL_NAMES *list = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    names->expires_us = tls_expires_us(certificate);
    add_digest(names, certificate);
    add_alternatives(names, list, GEN_URI, "uri:");
    add_alternatives(names, list, GEN_DNS, "dns:");
    add_common_name(names, certificate);
    GENERAL_NAMES_free(list);
    return names;
}

void tls_names_free(struct http_certificate *names)
{
    for (int i = 0; names && i < names->name_count; i++)
        free((void *)(uintptr_t)names->names[i]);
    free(names);
}
