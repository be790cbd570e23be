/* secret.h: secrets by reference; wiped after use, kept out of core files, never printed.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "buffer.h"
#include "error.h"

/* The bytes live in memory that is locked out of core dumps; there is no function that prints them. */
struct secret;

/* `reference` is "env:NAME", "file:PATH" (one trailing newline is dropped; the file must not be readable by others) or,
 * when literal_allowed, the secret itself.  Empty secrets are refused.  The error never repeats the secret or, for a
 * literal, the reference.  The caller frees the result with secret_free. */
struct secret *secret_resolve(struct bytes reference, bool literal_allowed, struct error *error);
void secret_free(struct secret *s);
struct bytes secret_view(const struct secret *s);
