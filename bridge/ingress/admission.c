/* admission.c: may this request in, by where it comes from and what it claims to carry.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gate.h"
#include "text.h"
#include <string.h>

static bool contains(const struct network *networks, size_t count, const struct address *a)
{
    for (size_t i = 0; i < count; i++)
        if (network_contains(&networks[i], a)) return true;
    return false;
}

/* ---- the peer ---- */

static struct bytes trim(struct bytes text)
{
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = (struct bytes){text.data + 1, text.size - 1};
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}

enum walk { WALK_GOES_ON, WALK_FOUND, WALK_MALFORMED };

/* One X-Forwarded-For line from the right; *peer is the last entry read. */
static enum walk walk_line(struct bytes line, const struct network *proxies, size_t proxy_count, struct address *peer)
{
    for (;;) {
        const uint8_t *comma = line.size ? memrchr(line.data, ',', line.size) : NULL;
        size_t begin = comma ? (size_t)(comma - line.data) + 1 : 0;
        struct bytes entry = trim((struct bytes){line.data + begin, line.size - begin});
        if (!address_parse_with_port(entry, peer) || address_is_none(peer)) return WALK_MALFORMED;
        if (!contains(proxies, proxy_count, peer)) return WALK_FOUND;
        if (!comma) return WALK_GOES_ON;
        line.size = begin - 1;
    }
}

bool admission_peer(const struct address *socket_peer, const struct http_head *head, const struct network *proxies,
                    size_t proxy_count, struct address *peer)
{
    *peer = *socket_peer;
    if (!contains(proxies, proxy_count, socket_peer)) return true;
    enum walk walk = WALK_GOES_ON;
    for (size_t i = head->header_count; i > 0 && walk == WALK_GOES_ON; i--) {
        const struct http_header *h = &head->headers[i - 1];
        if (text_equal_ignore_case(h->name, bytes_of("X-Forwarded-For")))
            walk = walk_line(h->value, proxies, proxy_count, peer);
    }
    return walk != WALK_MALFORMED;
}

/* ---- the source ---- */

struct bytes admission_host(struct bytes source)
{
    const uint8_t *scheme = source.size ? memmem(source.data, source.size, "://", 3) : NULL;
    if (scheme) {
        size_t skipped = (size_t)(scheme - source.data) + 3;
        source = (struct bytes){source.data + skipped, source.size - skipped};
    }
    size_t end = 0;
    while (end < source.size && !strchr("/?#", source.data[end]))
        end++;
    source.size = end;
    if (source.size == 0 || memchr(source.data, '@', source.size) || memchr(source.data, ' ', source.size))
        return (struct bytes){0};
    const uint8_t *bracket = source.data[0] == '[' ? memchr(source.data, ']', source.size) : NULL;
    if (bracket) return (struct bytes){source.data, (size_t)(bracket - source.data) + 1};
    const uint8_t *port = memchr(source.data, ':', source.size);
    if (port) source.size = (size_t)(port - source.data);
    return source;
}

/* Equal hosts, never a substring; absent, several or "null" never match: an opaque origin names nobody. */
static bool origin_matches(const struct source_policy *policy, const struct gate_facts *facts)
{
    if (policy->origin_host.size == 0 || facts->header[HEADER_ORIGIN].count != 1) return false;
    struct bytes origin = facts->header[HEADER_ORIGIN].value;
    struct bytes host = admission_host(origin);
    return !bytes_are(origin, "null") && host.size > 0 && text_equal_ignore_case(host, policy->origin_host);
}

static const char *source_of_signed(const struct source_policy *policy, bool origin_ok, bool address_ok)
{
    if (policy->allowed_count > 0 && !address_ok) return "address not allowed";
    return policy->check_origin && !origin_ok ? "origin mismatch" : NULL;
}

const char *admission_source(const struct source_policy *policy, const struct gate_facts *facts,
                             const struct address *peer)
{
    bool origin_ok = origin_matches(policy, facts);
    bool address_ok = contains(policy->allowed, policy->allowed_count, peer);
    if (policy->signed_trigger) return source_of_signed(policy, origin_ok, address_ok);
    bool has_origin = policy->origin_host.size > 0, has_addresses = policy->allowed_count > 0;
    if (!has_origin && !has_addresses) return NULL;
    if (policy->match_all) {
        if (has_origin && !origin_ok) return "origin mismatch";
        return has_addresses && !address_ok ? "address not allowed" : NULL;
    }
    return origin_ok || address_ok ? NULL : "neither origin nor address match";
}

/* ---- the content type ---- */

static struct bytes media_type(struct bytes content_type)
{
    const uint8_t *semicolon = content_type.size ? memchr(content_type.data, ';', content_type.size) : NULL;
    if (semicolon) content_type.size = (size_t)(semicolon - content_type.data);
    return trim(content_type);
}

static bool ends_with(struct bytes text, struct bytes end)
{
    return text.size > end.size &&
           text_equal_ignore_case((struct bytes){text.data + text.size - end.size, end.size}, end);
}

static bool matches(struct bytes type, struct bytes pattern)
{
    if (pattern.size > 0 && pattern.data[0] == '*')
        return ends_with(type, (struct bytes){pattern.data + 1, pattern.size - 1});
    if (pattern.size > 1 && pattern.data[pattern.size - 1] == '*')
        return type.size >= pattern.size && text_equal_ignore_case((struct bytes){type.data, pattern.size - 1},
                                                                   (struct bytes){pattern.data, pattern.size - 1});
    return text_equal_ignore_case(type, pattern);
}

bool admission_content_type(struct bytes content_type, char *const *patterns, size_t count)
{
    struct bytes type = media_type(content_type);
    /* Whatever the patterns say: a consumer would take the value for the event itself and believe its `source`. */
    if (type.size == 0 || text_starts_with_ignore_case(type, "application/cloudevents")) return false;
    for (size_t i = 0; i < count; i++)
        if (matches(type, bytes_of(patterns[i]))) return true;
    return false;
}

/* A star must not let it in by accident: the sender's word on source and id counts then. */
bool admission_is_cloudevent(struct bytes content_type, char *const *patterns, size_t count)
{
    struct bytes type = bytes_of("application/cloudevents+json");
    if (!text_equal_ignore_case(media_type(content_type), type)) return false;
    for (size_t i = 0; i < count; i++)
        if (text_equal_ignore_case(bytes_of(patterns[i]), type)) return true;
    return false;
}

bool admission_event(struct bytes type, char *const *patterns, size_t count)
{
    bool any_wanted = false, wanted = false;
    for (size_t i = 0; i < count; i++) {
        struct bytes pattern = bytes_of(patterns[i]);
        bool unwanted = pattern.size > 0 && pattern.data[0] == '!';
        if (unwanted) pattern = (struct bytes){pattern.data + 1, pattern.size - 1};
        bool matched = text_matches(type, pattern);
        if (matched && unwanted) return false;
        any_wanted = any_wanted || !unwanted;
        wanted = wanted || (matched && !unwanted);
    }
    return wanted || !any_wanted;
}

/* A handshake carries no Origin; addresses count for it as for deliveries. */
const char *admission_address(const struct source_policy *policy, const struct address *peer)
{
    bool listed = contains(policy->allowed, policy->allowed_count, peer);
    return policy->allowed_count > 0 && !listed ? "address not allowed" : NULL;
}

bool admission_is_json(struct bytes content_type)
{
    struct bytes type = media_type(content_type);
    return text_equal_ignore_case(type, bytes_of("application/json")) || ends_with(type, bytes_of("+json"));
}
