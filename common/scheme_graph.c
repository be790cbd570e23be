/* scheme_graph.c: Microsoft Graph repeats the secret of the subscription, clientState, in each notification
 * (https://learn.microsoft.com/en-us/graph/change-notifications-delivery-webhooks).  The tokens of rich notifications
 * (validationTokens, JWT) are not looked at.  SPDX-License-Identifier: Apache-2.0 */
#include "json_pointer.h"
#include "scheme_words.h"
#include <stdio.h>

enum scheme_reason scheme_graph_extract(const struct scheme *s, const struct scheme_request *request, struct bytes body,
                                        struct scheme_proofs *out)
{
    enum scheme_reason reason = scheme_is_json(body) ? SCHEME_OK : SCHEME_MALFORMED;
    struct bytes list, entry;
    (void)s, (void)request;
    if (reason == SCHEME_OK && json_pointer_find(body, "/value", &list) != JSON_FOUND) return SCHEME_MISSING;
    out->all = true;
    for (int i = 0; reason == SCHEME_OK; i++) {
        char pointer[16];
        snprintf(pointer, sizeof pointer, "/%d", i);
        if (json_pointer_find(list, pointer, &entry) != JSON_FOUND) break;
        scheme_proof_begin(out);
        scheme_proof_signature(out);
        reason = scheme_json_text(entry, "/clientState", &out->text);
        if (reason == SCHEME_OK) reason = scheme_proof_end(out);
    }
    return reason;
}
