/* scheme_sign.h: the two halves of signing, with headers and inside the body; for the scheme_sign*.c files alone.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "scheme_words.h"

/* Append the signature that this form's algorithm makes of the message. */
bool scheme_sign_digest(const struct scheme_form *f, struct bytes key, struct bytes message, struct buffer *out,
                        struct error *error);
bool scheme_sign_private(const struct scheme_form *f, struct bytes key, struct bytes message, struct buffer *out,
                         struct error *error);
/* scheme_sign_body.c: appends the body with its signature in it. */
bool scheme_sign_body(const struct scheme_form *f, struct bytes key, const struct scheme_signing *what,
                      struct buffer *out, struct error *error);
