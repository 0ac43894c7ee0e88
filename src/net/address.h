/* address.h - which network addresses a server may be sent to by a name in its configuration. */
#ifndef SLIPWAY_NET_ADDRESS_H
#define SLIPWAY_NET_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

/* An address of the open internet: not loopback, private, shared, link-local, multicast, reserved
 * or unspecified, also not written as an IPv6 address that carries such an IPv4 one. */
bool address_is_public(const struct sockaddr *address);

/* Any but link-local (where clouds keep their metadata services), multicast and unspecified. */
bool address_is_unicast(const struct sockaddr *address);

#endif
