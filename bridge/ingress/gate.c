/* gate.c: framing and header faults that libmicrohttpd lets through (traps 5.2), in one walk over the headers.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gate.h"
#include "text.h"
#include <string.h>

static const struct known {
    struct bytes name;
    const char *repeated; /* the fault when it stands there twice; NULL: it may */
} known_headers[KNOWN_HEADERS] = {
    [HEADER_HOST] = {BYTES_LITERAL("Host"), "repeated Host"},
    [HEADER_CONTENT_LENGTH] = {BYTES_LITERAL("Content-Length"), "repeated Content-Length"},
    [HEADER_TRANSFER_ENCODING] = {BYTES_LITERAL("Transfer-Encoding"), "repeated Transfer-Encoding"},
    [HEADER_CONTENT_TYPE] = {BYTES_LITERAL("Content-Type"), "repeated Content-Type"},
    [HEADER_CONTENT_ENCODING] = {BYTES_LITERAL("Content-Encoding"), NULL},
    [HEADER_EXPECT] = {BYTES_LITERAL("Expect"), NULL},
    [HEADER_ORIGIN] = {BYTES_LITERAL("Origin"), NULL},
    [HEADER_FORWARDED_FOR] = {BYTES_LITERAL("X-Forwarded-For"), NULL},
    [HEADER_TRACEPARENT] = {BYTES_LITERAL("traceparent"), NULL},
    [HEADER_TRACESTATE] = {BYTES_LITERAL("tracestate"), NULL},
    [HEADER_HOOK_ORIGIN] = {BYTES_LITERAL("WebHook-Request-Origin"), NULL},
    [HEADER_PREFLIGHT] = {BYTES_LITERAL("Access-Control-Request-Method"), NULL},
};

/* What bytes may stand where: token (RFC 9110 5.6.2), field value (5.5: visible, blank, tab, obs-text), target (RFC
 * 3986 knows visible ASCII only). */
static bool is_visible(uint8_t c)
{
    return c > 0x20 && c < 0x7f;
}

static bool is_token(uint8_t c)
{
    /* Visible ASCII without the delimiters "(),/:;<=>?@[\]{} as a bit for each byte. */
    static const uint64_t set[4] = {0x03ff6cfa00000000U, 0x57ffffffc7fffffeU};
    return set[c / 64] >> (c % 64) & 1;
}

static bool all_visible(struct bytes text)
{
    bool good = true;
    for (size_t i = 0; i < text.size; i++)
        good &= is_visible(text.data[i]);
    return good;
}

static bool all_token(struct bytes text)
{
    bool good = true;
    for (size_t i = 0; i < text.size; i++)
        good &= is_token(text.data[i]);
    return good;
}

static bool is_value(struct bytes text)
{
    for (;;) {
        size_t plain = text_before_control(text);
        if (plain == text.size) return true;
        if (text.data[plain] != '\t') return false;
        text.data += plain + 1;
        text.size -= plain + 1;
    }
}

static const char *check_target(struct bytes target)
{
    if (target.size == 0 || !all_visible(target)) return "control byte, blank or non-ASCII byte in the request target";
    return memmem(target.data, target.size, "%00", 3) ? "NUL in the request target" : NULL;
}

/* Notes a known header; the fault if it may not stand there again. */
static const char *note_header(const struct http_header *h, struct gate_facts *facts)
{
    for (size_t i = 0; i < KNOWN_HEADERS; i++) {
        struct bytes name = known_headers[i].name;
        if (name.size != h->name.size || !text_equal_ignore_case(name, h->name)) continue;
        if (facts->header[i].count++ == 0)
            facts->header[i].value = h->value;
        else if (known_headers[i].repeated)
            return known_headers[i].repeated;
        return NULL;
    }
    return NULL;
}

static const char *check_headers(const struct http_head *head, struct gate_facts *facts)
{
    for (size_t i = 0; i < head->header_count; i++) {
        const struct http_header *h = &head->headers[i];
        if (h->name.size == 0 || !all_token(h->name)) return "header name outside the token set";
        if (!is_value(h->value)) return "control byte in a header value";
        const char *fault = note_header(h, facts);
        if (fault) return fault;
    }
    return NULL;
}

/* Exactly one way to tell where the body ends (RFC 9112 6.1, 6.3). */
static const char *check_framing(const struct http_head *head, struct gate_facts *facts)
{
    bool old = bytes_are(head->version, "HTTP/1.0");
    struct bytes length = facts->header[HEADER_CONTENT_LENGTH].value;
    bool has_length = facts->header[HEADER_CONTENT_LENGTH].count > 0;
    bool has_encoding = facts->header[HEADER_TRANSFER_ENCODING].count > 0;
    if (has_length && has_encoding) return "Content-Length and Transfer-Encoding";
    if (has_encoding && old) return "Transfer-Encoding in HTTP/1.0";
    if (has_encoding && !text_equal_ignore_case(facts->header[HEADER_TRANSFER_ENCODING].value, bytes_of("chunked")))
        return "Transfer-Encoding other than chunked";
    facts->chunked = has_encoding;
    /* text_parse_int64 takes a minus sign; the range refuses "-0" only by its first byte. */
    if (has_length &&
        (length.size == 0 || length.data[0] == '-' || !text_parse_int64(length, 0, INT64_MAX, &facts->declared)))
        return "Content-Length is not a number";
    if (!old && facts->header[HEADER_HOST].count == 0) return "no Host";
    return NULL;
}

const char *gate_check(const struct http_head *head, struct gate_facts *facts)
{
    *facts = (struct gate_facts){.declared = -1};
    if (head->torn) return "NUL, folded line or bare LF in the head";
    if (!bytes_are(head->version, "HTTP/1.1") && !bytes_are(head->version, "HTTP/1.0"))
        return "HTTP version other than 1.0 and 1.1";
    if (head->method.size == 0 || !all_token(head->method)) return "method outside the token set";
    const char *fault = check_target(head->target);
    if (!fault) fault = check_headers(head, facts);
    return fault ? fault : check_framing(head, facts);
}
