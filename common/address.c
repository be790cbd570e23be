/* address.c: IP addresses, networks and listen addresses from text.
 * SPDX-License-Identifier: Apache-2.0 */
#include "address.h"
#include "text.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool address_is_v4(const struct address *a)
{
    return memcmp(a->octets, mapped_prefix, sizeof mapped_prefix) == 0;
}

static void address_set_v4(struct address *a, const void *octets)
{
    memcpy(a->octets, mapped_prefix, sizeof mapped_prefix);
    memcpy(a->octets + 12, octets, 4);
}

bool address_is_none(const struct address *a)
{
    static const struct address none;
    return address_equal(a, &none);
}

bool address_from_socket(const struct sockaddr *socket_address, struct address *out)
{
    if (socket_address->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, socket_address, sizeof in);
        address_set_v4(out, &in.sin_addr);
        return true;
    }
    if (socket_address->sa_family == AF_UNIX) {
        *out = (struct address){0};
        return true;
    }
    if (socket_address->sa_family != AF_INET6) return false;
    struct sockaddr_in6 in6;
    memcpy(&in6, socket_address, sizeof in6);
    memcpy(out->octets, &in6.sin6_addr, 16);
    return true;
}

bool address_parse(struct bytes text, struct address *out)
{
    char buffer[ADDRESS_TEXT_SIZE];
    if (text.size == 0 || text.size >= sizeof buffer || memchr(text.data, 0, text.size)) return false;
    memcpy(buffer, text.data, text.size);
    buffer[text.size] = 0;
    struct in_addr v4;
    if (inet_pton(AF_INET, buffer, &v4) == 1) {
        address_set_v4(out, &v4);
        return true;
    }
    return inet_pton(AF_INET6, buffer, out->octets) == 1;
}

bool address_parse_with_port(struct bytes text, struct address *out)
{
    if (address_parse(text, out)) return true;
    if (text.size == 0) return false;
    bool bracket = text.data[0] == '[';
    const uint8_t *end = memchr(text.data, bracket ? ']' : ':', text.size);
    if (!end) return false;
    struct bytes host = {text.data + bracket, (size_t)(end - text.data) - bracket};
    struct bytes rest = {end + bracket, (size_t)(text.data + text.size - end) - bracket};
    int64_t port;
    if (rest.size > 0 &&
        (rest.data[0] != ':' || !text_parse_int64((struct bytes){rest.data + 1, rest.size - 1}, 0, 65535, &port)))
        return false;
    bool v6 = host.size > 0 && memchr(host.data, ':', host.size);
    return bracket == v6 && address_parse(host, out);
}

void address_format(const struct address *a, char out[ADDRESS_TEXT_SIZE])
{
    if (address_is_none(a)) {
        memcpy(out, "unix", sizeof "unix");
        return;
    }
    if (!address_is_v4(a)) {
        inet_ntop(AF_INET6, a->octets, out, ADDRESS_TEXT_SIZE);
        return;
    }
    /* By hand: each request prints its peer, and inet_ntop goes through printf. */
    for (size_t i = 12, at = 0; i < 16; i++) {
        at += text_format_int64(a->octets[i], out + at);
        out[at++] = i < 15 ? '.' : '\0';
    }
}

bool address_equal(const struct address *a, const struct address *b)
{
    return memcmp(a->octets, b->octets, sizeof a->octets) == 0;
}

bool address_is_loopback(const struct address *a)
{
    static const struct address v6_loopback = {.octets = {[15] = 1}};
    return address_is_v4(a) ? a->octets[12] == 127 : address_equal(a, &v6_loopback);
}

/* The `bits` first bits of both are equal. */
static bool prefix_equal(const uint8_t *a, const uint8_t *b, int bits)
{
    size_t whole = (size_t)bits / 8;
    if (memcmp(a, b, whole) != 0) return false;
    uint8_t mask = (uint8_t)(0xff00 >> (bits % 8));
    return bits % 8 == 0 || ((a[whole] ^ b[whole]) & mask) == 0;
}

static bool bits_behind_are_zero(const struct network *n)
{
    for (int bit = n->prefix; bit < 128; bit++)
        if (n->address.octets[bit / 8] & (0x80 >> (bit % 8))) return false;
    return true;
}

/* The prefix length behind the slash; IPv4 counts from its own first bit. */
static bool parse_prefix(struct bytes text, bool v4, struct network *out)
{
    int64_t prefix;
    if (!text_parse_int64(text, 0, v4 ? 32 : 128, &prefix)) return false;
    out->prefix = (int)prefix + (v4 ? 96 : 0);
    return true;
}

bool network_parse(struct bytes text, struct network *out, struct error *error)
{
    const uint8_t *slash = text.size ? memchr(text.data, '/', text.size) : NULL;
    struct bytes host = {text.data, slash ? (size_t)(slash - text.data) : text.size};
    bool v4 = host.size > 0 && memchr(host.data, ':', host.size) == NULL;
    if (!address_parse(host, &out->address))
        return error_set(error, ERROR_INVALID, "'%.*s' is not an IP address or network", (int)text.size,
                         (const char *)text.data);
    out->prefix = 128;
    if (slash && !parse_prefix((struct bytes){slash + 1, text.size - host.size - 1}, v4, out))
        return error_set(error, ERROR_INVALID, "'%.*s' has no prefix length of 0 to %d", (int)text.size,
                         (const char *)text.data, v4 ? 32 : 128);
    if (!bits_behind_are_zero(out))
        return error_set(error, ERROR_INVALID, "'%.*s' has address bits set behind its prefix", (int)text.size,
                         (const char *)text.data);
    if (out->prefix == 128 && address_is_none(&out->address))
        return error_set(error, ERROR_INVALID, "'%.*s' is nobody's address", (int)text.size, (const char *)text.data);
    return true;
}

bool network_contains(const struct network *n, const struct address *a)
{
    if (address_is_none(a)) return n->prefix == 128 && address_is_none(&n->address);
    return prefix_equal(n->address.octets, a->octets, n->prefix);
}

bool address_parse_listen(const char *text, struct sockaddr_storage *out, unsigned *size, struct error *error)
{
    *out = (struct sockaddr_storage){0};
    const char *colon = strrchr(text, ':');
    int64_t port;
    struct address address;
    bool ambiguous =
        colon && text[0] != '[' && strchr(text, ':') != colon; /* is "::1:80" an address or has it a port? */
    if (!colon || ambiguous || !text_parse_int64(bytes_of(colon + 1), 0, 65535, &port) ||
        !address_parse_with_port(bytes_of(text), &address))
        return error_set(error, ERROR_INVALID, "'%s' is not an IPv4 address:port or [IPv6 address]:port", text);
    if (text[0] != '[') {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        memcpy(&in.sin_addr, address.octets + 12, 4);
        memcpy(out, &in, sizeof in);
        *size = sizeof in;
        return true;
    }
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    memcpy(&in6.sin6_addr, address.octets, 16);
    memcpy(out, &in6, sizeof in6);
    *size = sizeof in6;
    return true;
}
