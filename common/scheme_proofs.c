/* scheme_proofs.c: what the special algorithms share: proofs, strict decoding, single headers, texts out of JSON.
 * SPDX-License-Identifier: Apache-2.0 */
#include "json.h"
#include "json_pointer.h"
#include "scheme_words.h"
#include "text.h"

void scheme_proof_begin(struct scheme_proofs *p)
{
    if (p->count < PROOFS_MAX) p->items[p->count] = (struct scheme_proof){.message_at = p->text.size};
}

void scheme_proof_signature(struct scheme_proofs *p)
{
    if (p->count == PROOFS_MAX) return;
    struct scheme_proof *proof = &p->items[p->count];
    proof->message_size = p->text.size - proof->message_at;
    proof->signature_at = p->text.size;
}

enum scheme_reason scheme_proof_end(struct scheme_proofs *p)
{
    if (p->count == PROOFS_MAX) return SCHEME_MALFORMED;
    struct scheme_proof *proof = &p->items[p->count];
    if (!buffer_ok(&p->text)) return SCHEME_UNABLE;
    proof->signature_size = p->text.size - proof->signature_at;
    if (proof->signature_size == 0) return SCHEME_MISSING;
    p->count++;
    return SCHEME_OK;
}

static bool unhex(struct bytes text, struct buffer *out)
{
    uint8_t bytes[64];
    if (text.size % 2 != 0 || text.size > 2 * sizeof bytes || !text_unhex(text, bytes, text.size / 2)) return false;
    buffer_append(out, bytes, text.size / 2);
    return buffer_ok(out);
}

bool scheme_decode(enum scheme_encoding encoding, struct bytes text, struct buffer *out)
{
    switch (encoding) {
    case ENCODING_HEX: return unhex(text, out);
    case ENCODING_BASE64: return text_unbase64(text, out);
    case ENCODING_TEXT: break;
    }
    buffer_bytes(out, text);
    return buffer_ok(out);
}

enum scheme_reason scheme_header(const struct scheme_request *request, const char *name, struct bytes *value)
{
    *value = (struct bytes){NULL, 0};
    size_t count = request->find(request->ctx, name, value);
    if (count > 1) return SCHEME_REPEATED;
    return count == 0 || value->size == 0 ? SCHEME_MISSING : SCHEME_OK;
}

bool scheme_is_json(struct bytes text)
{
    struct json_scanner scanner;
    json_scanner_init(&scanner);
    return json_scanner_feed(&scanner, text.data, text.size) && json_scanner_end(&scanner);
}

enum scheme_reason scheme_json_text(struct bytes json, const char *pointer, struct buffer *out)
{
    struct bytes raw;
    switch (json_pointer_find(json, pointer, &raw)) {
    case JSON_ABSENT: return SCHEME_OK;
    case JSON_TWICE: return SCHEME_REPEATED;
    case JSON_INVALID: return SCHEME_MALFORMED;
    case JSON_FOUND: break;
    }
    if (bytes_are(raw, "null")) return SCHEME_OK;
    if (bytes_are(raw, "true") || bytes_are(raw, "false"))
        buffer_bytes(out, raw);
    else if (!json_pointer_text(raw, out))
        return SCHEME_MALFORMED;
    return SCHEME_OK;
}
