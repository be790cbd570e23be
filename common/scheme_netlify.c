/* scheme_netlify.c: Netlify signs a JWS (RFC 7515, compact) that names itself and the digest of the body
 * (https://docs.netlify.com/deploy/deploy-notifications/#payload-signature).  The algorithm is ours to say, never the
 * token's.  SPDX-License-Identifier: Apache-2.0 */
#include "json.h"
#include "scheme_words.h"
#include "text.h"
#include <stdio.h>

enum { PART_MAX = 4096 };

/* base64url without padding, strictly. */
static bool unbase64url(struct bytes text, struct buffer *out)
{
    struct buffer standard;
    buffer_init(&standard, PART_MAX + 4);
    bool good = text.size > 0 && text.size <= PART_MAX;
    for (size_t i = 0; good && i < text.size; i++) {
        uint8_t c = text.data[i];
        good = c != '+' && c != '/' && c != '=';
        buffer_byte(&standard, (char)(c == '-' ? '+' : c == '_' ? '/' : c));
    }
    while (good && standard.size % 4 != 0)
        buffer_byte(&standard, '=');
    good = good && text_unbase64(buffer_view(&standard), out);
    buffer_close(&standard);
    return good;
}

static struct json *parse_part(struct bytes part)
{
    struct buffer text;
    buffer_init(&text, PART_MAX);
    struct json *document = unbase64url(part, &text) ? json_parse(buffer_view(&text), NULL) : NULL;
    buffer_close(&text);
    return document;
}

static bool says(const struct json *object, const char *key, const char *value)
{
    const char *text;
    return json_text(json_get(object, key, NULL), &text) && strcmp(text, value) == 0;
}

static enum scheme_reason check_header(struct bytes part)
{
    struct json *header = parse_part(part);
    bool good = header && says(header, "alg", "HS256") && !json_get(header, "crit", NULL);
    json_free(header);
    return good ? SCHEME_OK : SCHEME_MALFORMED;
}

static enum scheme_reason check_claims(struct bytes part, struct bytes body)
{
    uint8_t digest[SIGNATURE_SHA256_SIZE];
    char hex[2 * SIGNATURE_SHA256_SIZE + 1];
    signature_sha256(&body, 1, digest);
    text_hex(digest, sizeof digest, hex);
    struct json *claims = parse_part(part);
    enum scheme_reason reason = claims ? SCHEME_OK : SCHEME_MALFORMED;
    if (claims && !(says(claims, "iss", "netlify") && says(claims, "sha256", hex))) reason = SCHEME_MISMATCH;
    json_free(claims);
    return reason;
}

/* Cuts "header.claims.signature"; false if there are not exactly three parts. */
static bool cut(struct bytes token, struct bytes parts[3])
{
    for (size_t i = 0; i < 3; i++) {
        const uint8_t *dot = token.size > 0 ? memchr(token.data, '.', token.size) : NULL;
        if ((dot == NULL) != (i == 2)) return false;
        size_t size = dot ? (size_t)(dot - token.data) : token.size;
        parts[i] = (struct bytes){token.data, size};
        if (dot) token = (struct bytes){dot + 1, token.size - size - 1};
    }
    return true;
}

enum scheme_reason scheme_netlify_extract(const struct scheme *s, const struct scheme_request *request,
                                          struct bytes body, struct scheme_proofs *out)
{
    struct bytes token, parts[3];
    enum scheme_reason reason = scheme_header(request, s->forms[0].words.signature_header, &token);
    if (reason != SCHEME_OK) return reason;
    if (!cut(token, parts)) return SCHEME_MALFORMED;
    scheme_proof_begin(out);
    buffer_append(&out->text, token.data, parts[0].size + 1 + parts[1].size);
    scheme_proof_signature(out);
    if (!unbase64url(parts[2], &out->text)) return SCHEME_MALFORMED;
    reason = check_header(parts[0]);
    if (reason == SCHEME_OK) reason = check_claims(parts[1], body);
    return reason == SCHEME_OK ? scheme_proof_end(out) : reason;
}

void scheme_netlify_encode(struct bytes part, struct buffer *out)
{
    size_t before = out->size;
    text_base64(part, out);
    while (out->size > before && out->data[out->size - 1] == '=')
        buffer_truncate(out, out->size - 1);
    for (size_t i = before; i < out->size; i++)
        out->data[i] = out->data[i] == '+' ? '-' : out->data[i] == '/' ? '_' : out->data[i];
}

void scheme_netlify_message(struct bytes body, struct buffer *out)
{
    uint8_t digest[SIGNATURE_SHA256_SIZE];
    char hex[2 * SIGNATURE_SHA256_SIZE + 1], claims[128];
    signature_sha256(&body, 1, digest);
    text_hex(digest, sizeof digest, hex);
    snprintf(claims, sizeof claims, "{\"iss\":\"netlify\",\"sha256\":\"%s\"}", hex);
    scheme_netlify_encode(bytes_of("{\"alg\":\"HS256\",\"typ\":\"JWT\"}"), out);
    buffer_byte(out, '.');
    scheme_netlify_encode(bytes_of(claims), out);
}
