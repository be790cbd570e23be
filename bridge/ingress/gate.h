/* gate.h: may a request in?  Its framing, its source and its type; pure.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "address.h"
#include "buffer.h"
#include "http_head.h"

/* ---- gate.c: framing and header faults that libmicrohttpd lets through; pure ---- */

enum known_header {
    HEADER_HOST,
    HEADER_CONTENT_LENGTH,
    HEADER_TRANSFER_ENCODING,
    HEADER_CONTENT_TYPE,
    HEADER_CONTENT_ENCODING,
    HEADER_EXPECT,
    HEADER_ORIGIN,
    HEADER_FORWARDED_FOR,
    HEADER_TRACEPARENT,
    HEADER_TRACESTATE,
    HEADER_HOOK_ORIGIN, /* WebHook-Request-Origin */
    HEADER_PREFLIGHT,   /* Access-Control-Request-Method */
    KNOWN_HEADERS,
};
/* What the gate's one walk over the headers found: the first value of each known header and how many there are. */
struct gate_facts {
    struct {
        struct bytes value;
        unsigned count;
    } header[KNOWN_HEADERS];
    bool chunked;
    int64_t declared; /* Content-Length, or -1 */
};
/* The same head gives the same verdict: NULL, or the fault as a short static phrase.  After a fault nothing more may be
 * read from that connection (traps 5.2). */
const char *gate_check(const struct http_head *head, struct gate_facts *facts);

/* ---- admission.c: may this request in, by where it comes from; pure ---- */

struct source_policy {
    bool signed_trigger;      /* a scheme decides; the source only narrows */
    bool check_origin;        /* compare Origin although there is a scheme */
    bool match_all;           /* without a scheme: Origin and address, not one of them */
    struct bytes origin_host; /* of event_source; empty: none */
    const struct network *allowed;
    size_t allowed_count;
};
/* The peer of the delivery: the socket's, or what trusted proxies say in X-Forwarded-For (all lines, from the right to
 * the first entry that is no trusted proxy).  False: malformed. */
bool admission_peer(const struct address *socket_peer, const struct http_head *head, const struct network *proxies,
                    size_t proxy_count, struct address *peer);
/* NULL when the source may deliver, else the rule that refused. */
const char *admission_source(const struct source_policy *policy, const struct gate_facts *facts,
                             const struct address *peer);
/* The same for a handshake, which carries no Origin. */
const char *admission_address(const struct source_policy *policy, const struct address *peer);
/* The host of a URL, an Origin or a bare name: without scheme and port; empty when there is none. */
struct bytes admission_host(struct bytes source);
/* True if the media type (without parameters) is one of the patterns: whole, or with a star for its beginning or its
 * end; never for application/cloudevents*. */
bool admission_content_type(struct bytes content_type, char *const *patterns, size_t count);
/* True for application/json and every +json type. */
bool admission_is_json(struct bytes content_type);

/* True if an event of that type is wanted: it matches a pattern (or there is none) and none of those that begin with
 * '!'. */
bool admission_event(struct bytes type, char *const *patterns, size_t count);
/* True for an event in CloudEvents' structured mode, application/cloudevents+json, where a pattern is that type itself
 * (no star is). */
bool admission_is_cloudevent(struct bytes content_type, char *const *patterns, size_t count);
