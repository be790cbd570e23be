/* scheme_mailgun.c: Mailgun signs a time and a token, both in the body; its event data is not covered, so that the
 * token has to count once only (documentation.mailgun.com: Securing Webhooks).
 * SPDX-License-Identifier: Apache-2.0 */
#include "scheme_words.h"

enum scheme_reason scheme_mailgun_extract(const struct scheme *s, const struct scheme_request *request,
                                          struct bytes body, struct scheme_proofs *out)
{
    struct buffer signature;
    enum scheme_reason reason = scheme_is_json(body) ? SCHEME_OK : SCHEME_MALFORMED;
    (void)s, (void)request;
    buffer_init(&signature, 1024);
    scheme_proof_begin(out);
    if (reason == SCHEME_OK) reason = scheme_json_text(body, "/signature/timestamp", &out->text);
    size_t time = out->text.size;
    if (reason == SCHEME_OK) reason = scheme_json_text(body, "/signature/token", &out->text);
    if (reason == SCHEME_OK && (time == 0 || out->text.size == time)) reason = SCHEME_MISSING;
    scheme_proof_signature(out);
    if (reason == SCHEME_OK) reason = scheme_json_text(body, "/signature/signature", &signature);
    if (reason == SCHEME_OK && signature.size > 0 && !scheme_decode(ENCODING_HEX, buffer_view(&signature), &out->text))
        reason = SCHEME_MALFORMED;
    buffer_close(&signature);
    return reason == SCHEME_OK ? scheme_proof_end(out) : reason;
}
