/* scheme_adyen.c: Adyen's classic notifications sign eight fields of each item and put the signature beside them
 * (https://docs.adyen.com/development-resources/webhooks/verify-hmac-signatures).
 * SPDX-License-Identifier: Apache-2.0 */
#include "json_pointer.h"
#include "scheme_words.h"
#include <stdio.h>

static const struct field {
    const char *pointer;
    bool colon_allowed; /* one may hold the separator; were it two, the same text could be cut differently */
} fields[] = {
    {"/pspReference", false},     {"/originalReference", false}, {"/merchantAccountCode", false},
    {"/merchantReference", true}, {"/amount/value", false},      {"/amount/currency", false},
    {"/eventCode", false},        {"/success", false},
};
enum { FIELDS = sizeof fields / sizeof fields[0] };

enum scheme_reason scheme_adyen_message(struct bytes item, struct buffer *out)
{
    for (size_t i = 0; i < FIELDS; i++) {
        if (i > 0) buffer_byte(out, ':');
        size_t before = out->size;
        enum scheme_reason reason = scheme_json_text(item, fields[i].pointer, out);
        if (reason != SCHEME_OK) return reason;
        size_t size = out->size - before;
        if (!fields[i].colon_allowed && size > 0 && memchr(out->data + before, ':', size)) return SCHEME_MALFORMED;
    }
    return SCHEME_OK;
}

static enum scheme_reason add_signature(struct bytes item, struct scheme_proofs *out)
{
    struct buffer signature;
    buffer_init(&signature, 1024);
    scheme_proof_signature(out);
    enum scheme_reason reason = scheme_json_text(item, "/additionalData/hmacSignature", &signature);
    if (reason == SCHEME_OK && !scheme_decode(ENCODING_BASE64, buffer_view(&signature), &out->text))
        reason = SCHEME_MALFORMED;
    buffer_close(&signature);
    return reason == SCHEME_OK ? scheme_proof_end(out) : reason;
}

enum scheme_reason scheme_adyen_extract(const struct scheme *s, const struct scheme_request *request, struct bytes body,
                                        struct scheme_proofs *out)
{
    enum scheme_reason reason = scheme_is_json(body) ? SCHEME_OK : SCHEME_MALFORMED;
    struct bytes list, item;
    (void)s, (void)request;
    if (reason == SCHEME_OK && json_pointer_find(body, "/notificationItems", &list) != JSON_FOUND)
        return SCHEME_MISSING;
    out->all = true; /* one forged item beside a good one must not pass */
    for (int i = 0; reason == SCHEME_OK; i++) {
        char pointer[16];
        snprintf(pointer, sizeof pointer, "/%d", i);
        if (json_pointer_find(list, pointer, &item) != JSON_FOUND) break;
        if (json_pointer_find(item, "/NotificationRequestItem", &item) != JSON_FOUND) return SCHEME_MALFORMED;
        scheme_proof_begin(out);
        reason = scheme_adyen_message(item, &out->text);
        if (reason == SCHEME_OK) reason = add_signature(item, out);
    }
    return reason;
}
