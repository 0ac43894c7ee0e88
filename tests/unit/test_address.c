/* test_address.c - where a configured name may lead: the internet, the own network, nowhere. */
#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "test.h"

struct given {
    const char *text;
    bool is_public, is_unicast;
};

static const struct given givens[] = {
    {"93.184.216.34", true, true},
    {"8.8.8.8", true, true},
    {"127.0.0.1", false, true},
    {"127.255.255.254", false, true},
    {"10.1.2.3", false, true},
    {"172.15.255.255", true, true},
    {"172.16.0.0", false, true},
    {"172.31.255.255", false, true},
    {"172.32.0.0", true, true},
    {"192.168.1.1", false, true},
    {"100.64.0.1", false, true},
    {"100.128.0.1", true, true},
    {"169.254.169.254", false, false},
    {"0.0.0.0", false, false},
    {"224.0.0.1", false, false},
    {"255.255.255.255", false, false},
    {"2606:2800:220:1:248:1893:25c8:1946", true, true},
    {"::1", false, true},
    {"::", false, false},
    {"fc00::1", false, true},
    {"fd12:3456::1", false, true},
    {"fe80::1", false, false},
    {"febf::1", false, false},
    {"ff02::1", false, false},
    {"::ffff:127.0.0.1", false, true},
    {"::ffff:169.254.169.254", false, false},
    {"::ffff:8.8.8.8", true, true},
    {"::7f00:1", false, true},
    {"64:ff9b::a9fe:a9fe", false, false},
    {"64:ff9b::808:808", true, true},
    {"2002:a9fe:a9fe::1", false, false},
    {"2002:7f00:1::1", false, true},
};

static void every_range_is_known(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(givens) / sizeof(givens[0]); i++) {
        struct sockaddr_storage storage = {0};
        struct sockaddr_in in = {.sin_family = AF_INET};
        struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
        if (inet_pton(AF_INET, givens[i].text, &in.sin_addr) == 1)
            memcpy(&storage, &in, sizeof(in));
        else if (inet_pton(AF_INET6, givens[i].text, &in6.sin6_addr) == 1)
            memcpy(&storage, &in6, sizeof(in6));
        const struct sockaddr *address = (const struct sockaddr *)&storage;
        if (address_is_public(address) != givens[i].is_public ||
            address_is_unicast(address) != givens[i].is_unicast)
            fail_msg("%s", givens[i].text);
    }
}

static void what_is_no_internet_address_is_refused(void **state)
{
    (void)state;
    const struct sockaddr address = {.sa_family = AF_UNIX};
    assert_false(address_is_public(&address));
    assert_false(address_is_unicast(&address));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_range_is_known),
        cmocka_unit_test(what_is_no_internet_address_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
