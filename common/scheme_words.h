/* scheme_words.h: a scheme's words as loaded; for scheme.c and verification.c alone.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "scheme.h"
#include "template.h"

/* What the configuration says, word for word (schemas/providers.cfg). */
struct scheme_words {
    char *signature_header, *list_separator, *version_tag, *tag_separator;
    int algorithm, encoding; /* one choice each so far: hmac-sha256, hex */
    char *signed_text;       /* "{body}" */
    char *delivery_id, *event_type;
    int64_t deadline_ms, redelivery_ms, response_status;
};

struct scheme {
    char *name;
    struct scheme_words words;
    struct template delivery_id, event_type;
    const char *identity_headers[2 * TEMPLATE_PARTS_MAX + 1]; /* views of the templates' arguments */
};
