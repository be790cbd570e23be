/* fuzz_forwarded.c: any X-Forwarded-For lines: the peer is never one of the proxies while another entry can be read,
 * and what stands left of it changes nothing.
 * The input's lines are the header's lines, in order.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ingress.h"
#include <stdlib.h>
#include <string.h>

enum { LINES_MAX = 16 };

static void require(bool truth)
{
    if (!truth) abort();
}

static size_t split(const uint8_t *data, size_t size, struct http_header headers[LINES_MAX])
{
    size_t count = 0;
    while (size > 0 && count < LINES_MAX) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t length = end ? (size_t)(end - data) : size;
        struct bytes name = bytes_of(count % 2 ? "X-Forwarded-For" : "x-forwarded-for");
        headers[count++] = (struct http_header){name, {data, length}};
        size -= end ? length + 1 : length;
        data += end ? length + 1 : length;
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_header headers[LINES_MAX + 1];
    struct network proxies[2];
    struct address proxy, stranger, peer, again;
    struct error error;
    require(network_parse(bytes_of("10.0.0.0/8"), &proxies[0], &error));
    require(network_parse(bytes_of("2001:db8::/32"), &proxies[1], &error));
    require(address_parse(bytes_of("10.0.0.1"), &proxy) && address_parse(bytes_of("192.0.2.1"), &stranger));
    struct http_head head = {.headers = headers + 1};
    head.header_count = split(data, size, headers + 1);
    /* A peer that is no proxy of ours is the peer, whatever it writes. */
    require(admission_peer(&stranger, &head, proxies, 2, &peer) && address_equal(&peer, &stranger));
    require(admission_peer(&proxy, &head, NULL, 0, &peer) && address_equal(&peer, &proxy));
    if (!admission_peer(&proxy, &head, proxies, 2, &peer)) return 0;
    bool trusted = network_contains(&proxies[0], &peer) || network_contains(&proxies[1], &peer);
    char text[ADDRESS_TEXT_SIZE];
    address_format(&peer, text);
    require(address_parse(bytes_of(text), &again) && address_equal(&peer, &again));
    /* The sender's own line in front: read only when everything behind it is ours. */
    headers[0] = (struct http_header){bytes_of("X-Forwarded-For"), bytes_of("203.0.113.7")};
    struct http_head forged = {.headers = headers, .header_count = head.header_count + 1};
    require(admission_peer(&proxy, &forged, proxies, 2, &again));
    require(trusted || address_equal(&peer, &again));
    return 0;
}
