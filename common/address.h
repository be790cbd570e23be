/* address.h: IP addresses and networks.  IPv4 is kept as the IPv4-mapped IPv6 address, so that every comparison meets
 * one form.  Pure.  SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "buffer.h"
#include "error.h"

struct sockaddr;
struct sockaddr_storage;

struct address {
    uint8_t octets[16];
};
enum { ADDRESS_TEXT_SIZE = 46 };

/* The peer of a Unix socket has no address: zeroed, it is in no network but the one that stands for it, zeroed with a
 * prefix of 128.  These are the octets of "::", which no packet comes from; as a peer it is refused. */
bool address_is_none(const struct address *a);
/* A Unix socket gives no address, see above; false for anything but that, AF_INET and AF_INET6. */
bool address_from_socket(const struct sockaddr *socket_address, struct address *out);
/* "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1" (equal to the first form). */
bool address_parse(struct bytes text, struct address *out);
/* As address_parse, also with a port behind it: "192.0.2.1:443", "[2001:db8::1]:443", "[2001:db8::1]". */
bool address_parse_with_port(struct bytes text, struct address *out);
/* IPv4-mapped addresses are written as IPv4, no address as "unix". */
void address_format(const struct address *a, char out[ADDRESS_TEXT_SIZE]);
bool address_equal(const struct address *a, const struct address *b);
/* 127.0.0.0/8 and ::1. */
bool address_is_loopback(const struct address *a);

struct network {
    struct address address;
    int prefix; /* of 128 bits */
};
/* "192.0.2.0/24", "2001:db8::/32" or a single address.  Bits behind the prefix must be zero: a typing error there would
 * silently mean another network. */
bool network_parse(struct bytes text, struct network *out, struct error *error);
bool network_contains(const struct network *n, const struct address *a);

/* A listen address, "192.0.2.1:8080" or "[2001:db8::1]:8080", as a socket address of *size bytes. */
bool address_parse_listen(const char *text, struct sockaddr_storage *out, unsigned *size, struct error *error);
