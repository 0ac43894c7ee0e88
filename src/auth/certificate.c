/* certificate.c - the name by which a key means a client's certificate, from what a person writes.
 *
 * The kind is always said: "ci" as a common name, as a host's name and as a URI are three parties,
 * and an issuer that checks one of them may let anybody choose the others.
 */
#include "auth/auth.h"
#include "base/check.h"

enum { DIGEST_DIGITS = 2 * SHA256_BYTES };

static const char *const kinds[] = {"uri:", "dns:", "cn:", "sha256:"};

static enum err_code refuse(struct str text, const char *why, struct err *err)
{
    err_set(err, ERR_INVALID, "'%.*s' does not name a certificate: %s",
            (int)(text.len < 100 ? text.len : 100), text.ptr, why);
    return err_hint(err, "write uri:spiffe://example.org/shop, dns:shop.example.org, cn:shop, or "
                         "sha256: and the fingerprint of 'openssl x509 -fingerprint -sha256'");
}

static const char *kind_of(struct str text)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (str_starts_with(text, str_of(kinds[i])))
            return kinds[i];
    return NULL;
}

/* "AB:CD..." or "abcd..." -> "abcd..."; false when it is no SHA-256. */
static bool read_digest(struct str text, char digits[DIGEST_DIGITS])
{
    uint8_t bytes[SHA256_BYTES];
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == ':')
            continue;
        if (count == DIGEST_DIGITS)
            return false;
        digits[count++] = c >= 'A' && c <= 'F' ? (char)(c + ('a' - 'A')) : c;
    }
    return count == DIGEST_DIGITS && str_unhex((struct str){digits, count}, bytes, sizeof(bytes));
}

enum err_code auth_certificate_parse(struct str text, char name[AUTH_CERTIFICATE_BYTES_MAX + 1],
                                     struct err *err)
{
    const char *kind = kind_of(text);
    char digits[DIGEST_DIGITS];
    if (!kind)
        return refuse(text, "it has no kind in front", err);
    size_t prefix = strlen(kind);
    struct str rest = {text.ptr + prefix, text.len - prefix};
    if (rest.len == 0 || text.len > AUTH_CERTIFICATE_BYTES_MAX || !str_is_utf8(text))
        return refuse(text, "it is empty, too long, or no UTF-8", err);
    for (size_t i = 0; i < rest.len; i++)
        if ((unsigned char)rest.ptr[i] < ' ' || rest.ptr[i] == 0x7f)
            return refuse(text, "it has a control byte", err);
    memcpy(name, text.ptr, text.len);
    name[text.len] = '\0';
    if (strcmp(kind, "sha256:") == 0) {
        if (!read_digest(rest, digits))
            return refuse(text, "a SHA-256 has 64 hex digits", err);
        memcpy(name + prefix, digits, DIGEST_DIGITS);
        name[prefix + DIGEST_DIGITS] = '\0';
    }
    for (char *c = name + prefix; strcmp(kind, "dns:") == 0 && *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c + ('a' - 'A'));
    return ERR_OK;
}
