/* secret_sealed.h: secrets that may stand in the open: AES-256-GCM under a key of the key file, bound to the place they
 * were made for.  SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "secret.h"

/* The keys of a key file.  The first seals, all of them open, so that a new key goes on top and the old ones leave
 * when nothing is sealed under them any more. */
struct keyring;
enum { KEYRING_KEYS_MAX = 16 };
/* Reads the file (closed to others, as every secret's file); the caller frees the result with keyring_free. */
struct keyring *keyring_load(const char *path, struct error *error);
/* One key a line, 32 bytes as 64 hex digits or as base64; empty lines and those that begin with '#' are skipped.  The
 * error names the line and never repeats it. */
struct keyring *keyring_parse(struct bytes text, struct error *error);
void keyring_free(struct keyring *k); /* NULL is legal */
/* Appends a fresh key as a line of a key file. */
bool keyring_make_key(struct buffer *out, struct error *error);

/* What a sealed secret belongs to; all of it is authenticated, none of it is repeated in the text. */
struct sealed_place {
    struct bytes agent_id, scheme, name; /* of the secret: "current" */
    struct bytes record; /* digest of everything else that the record says; empty in a file of the operator's own */
};
enum { SEALED_SECRET_MAX = 4096, SEALED_TEXT_MAX = 6144 };
/* True for "sealed:..." in any version. */
bool sealed_is(struct bytes text);
/* Appends "sealed:v1:<key id>:<base64 of nonce, ciphertext and tag>".  The key id is a digest of the key in eight hex
 * digits, so that the text says which key opens it.  The 96-bit nonce is drawn here and nowhere else: one that came
 * twice would give the key away. */
bool sealed_make(const struct keyring *k, const struct sealed_place *place, struct bytes secret, struct buffer *out,
                 struct error *error);
/* The secret, or NULL: not of that form, a key that is not there (ERROR_NOT_FOUND), or not made for this place with
 * this key (ERROR_DENIED).  The caller frees it. */
struct secret *sealed_open(const struct keyring *k, const struct sealed_place *place, struct bytes text,
                           struct error *error);
