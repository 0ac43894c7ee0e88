/* address.c - the special-purpose address registries of IANA (RFC 6890), as far as they matter. */
#include "net/address.h"

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"

enum kind { PUBLIC, PRIVATE, FORBIDDEN };

struct range4 {
    uint32_t network;
    int bits;
    enum kind kind;
};

static const struct range4 ranges4[] = {
    {0x00000000, 8, FORBIDDEN},  /* this network */
    {0x0a000000, 8, PRIVATE},    /* 10/8 */
    {0x64400000, 10, PRIVATE},   /* 100.64/10, shared */
    {0x7f000000, 8, PRIVATE},    /* loopback */
    {0xa9fe0000, 16, FORBIDDEN}, /* 169.254/16, link-local */
    {0xac100000, 12, PRIVATE},   /* 172.16/12 */
    {0xc0000000, 24, PRIVATE},   /* 192.0.0/24 */
    {0xc0a80000, 16, PRIVATE},   /* 192.168/16 */
    {0xc6120000, 15, PRIVATE},   /* 198.18/15, benchmarks */
    {0xe0000000, 3, FORBIDDEN},  /* multicast, reserved, broadcast */
};

static enum kind kind4(uint32_t address)
{
    for (size_t i = 0; i < ARRAY_LEN(ranges4); i++)
        if ((address ^ ranges4[i].network) >> (32 - ranges4[i].bits) == 0)
            return ranges4[i].kind;
    return PUBLIC;
}

static uint32_t word(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* IPv4 inside IPv6: mapped ::ffff:0:0/96, compatible ::/96, NAT64 64:ff9b::/96, 6to4 2002::/16. */
static bool embedded4(const uint8_t *b, uint32_t *address)
{
    static const uint8_t zeros[10] = {0};
    static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};
    bool is_mapped = memcmp(b, zeros, 10) == 0 && b[10] == 0xff && b[11] == 0xff;
    bool is_compatible = memcmp(b, zeros, 10) == 0 && b[10] == 0 && b[11] == 0 && word(b + 12) > 1;
    if (is_mapped || is_compatible || memcmp(b, nat64, 12) == 0)
        *address = word(b + 12);
    else if (b[0] == 0x20 && b[1] == 0x02)
        *address = word(b + 2);
    else
        return false;
    return true;
}

static enum kind kind6(const uint8_t *b)
{
    uint32_t address;
    static const uint8_t zeros[15] = {0};
    if (embedded4(b, &address))
        return kind4(address);
    if (memcmp(b, zeros, 15) == 0)
        return b[15] == 1 ? PRIVATE : FORBIDDEN; /* loopback, unspecified */
    if ((b[0] & 0xfe) == 0xfc)
        return PRIVATE;                                          /* unique local */
    if (b[0] == 0xff || (b[0] == 0xfe && (b[1] & 0xc0) == 0x80)) /* multicast, link-local */
        return FORBIDDEN;
    return PUBLIC;
}

static enum kind kind_of(const struct sockaddr *address)
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    switch (address->sa_family) {
    case AF_INET:
        memcpy(&in, address, sizeof(in));
        return kind4(ntohl(in.sin_addr.s_addr));
    case AF_INET6:
        memcpy(&in6, address, sizeof(in6));
        return kind6(in6.sin6_addr.s6_addr);
    default:
        return FORBIDDEN;
    }
}

bool address_is_public(const struct sockaddr *address)
{
    return kind_of(address) == PUBLIC;
}

bool address_is_unicast(const struct sockaddr *address)
{
    return kind_of(address) != FORBIDDEN;
}
