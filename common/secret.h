/* secret.h: secrets by reference; wiped after use, kept out of core files, never printed.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "buffer.h"
#include "error.h"

/* The bytes live in memory that is locked out of core dumps; there is no function that prints them. */
struct secret;

/* `reference` is "env:NAME", "file:PATH" or, when literal_allowed, the secret itself; "sealed:..." is refused: only a
 * trigger's place opens it (secret_sealed.h).  A file must be regular and closed to group and others (a file of root's
 * may be open to its group for reading: systemd credentials); one trailing LF or CRLF is dropped.  Empty secrets and
 * those over 64 KiB are refused. The error never repeats the secret.  The caller frees the result with secret_free.
 * Start-up and reload only: reads environment and files. */
struct secret *secret_resolve(struct bytes reference, bool literal_allowed, struct error *error);
/* The same from bytes that are at hand; what they look like does not matter. */
struct secret *secret_copy(struct bytes bytes, struct error *error);
/* Overwrites what was a secret, so that the compiler can't leave it out. */
void secret_wipe(void *data, size_t size);
/* Wipes and frees; NULL is legal. */
void secret_free(struct secret *s);
/* Lives as long as the secret. */
struct bytes secret_view(const struct secret *s);
