/* handshake.c: what is not a delivery: WebhookInfo by GET and HEAD, OPTIONS.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ingress.h"

enum outcome handshake_get(struct request *r)
{
    (void)r;
    return OUTCOME_INFO; /* for a HEAD the library leaves the body out */
}

/* The CloudEvents consent (WebHook-Request-Origin) is for triggers that list origins, and no trigger does; a browser's
 * preflight is not that handshake and gets nothing (providers 3.4).  Both refusals are the absence of the headers. */
enum outcome handshake_options(struct request *r)
{
    if (r->facts.header[HEADER_HOOK_ORIGIN].count > 0 || r->facts.header[HEADER_PREFLIGHT].count > 0) {
        r->reason = "no origin is allowed";
        return OUTCOME_BAD_METHOD;
    }
    return OUTCOME_OPTIONS;
}
