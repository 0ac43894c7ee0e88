/* fuzz_certificate.c - any bytes as a client's certificate: names that are texts, or none. */
#include <assert.h>
#include <openssl/x509.h>
#include <stdint.h>
#include <string.h>

#include "auth/auth.h"
#include "net/tls_names.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const unsigned char *at = bytes;
    X509 *certificate = d2i_X509(NULL, &at, (long)size);
    if (!certificate)
        return 0;
    struct http_certificate *names = tls_names_of(certificate);
    assert(names->name_count >= 0 && names->name_count <= HTTP_CERTIFICATE_NAMES_MAX);
    for (int i = 0; i < names->name_count; i++) {
        char name[AUTH_CERTIFICATE_BYTES_MAX + 1];
        struct err err;
        enum err_code rc = auth_certificate_parse(str_of(names->names[i]), name, &err);
        assert(!rc && strcmp(name, names->names[i]) == 0); /* a key can be bound to it */
    }
    tls_names_free(names);
    X509_free(certificate);
    return 0;
}
