/* signature_public.h: public-key signatures over OpenSSL 3: Ed25519, ECDSA on P-256, RSA PKCS #1 v1.5.
 * Keys are immutable and may be used by any thread.  SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "signature.h"

enum signature_scheme {
    SIGNATURE_ED25519, /* RFC 8032; signatures of 64 bytes */
    SIGNATURE_ECDSA,   /* P-256 with SHA-256; signatures are DER */
    SIGNATURE_RSA,     /* PKCS #1 v1.5 with SHA-256 or SHA-1 */
};
enum { SIGNATURE_ED25519_SIZE = 64, SIGNATURE_ED25519_KEY_SIZE = 32, SIGNATURE_ECDSA_SIZE_MAX = 72 };

struct signature_public;
/* From the raw 32 bytes of an Ed25519 key, a SubjectPublicKeyInfo in DER, or a PEM text: a public key or a
 * certificate.  NULL when it is none, or not of that scheme. */
struct signature_public *signature_public_raw(struct bytes key, struct error *error);
struct signature_public *signature_public_der(enum signature_scheme scheme, struct bytes der, struct error *error);
struct signature_public *signature_public_pem(enum signature_scheme scheme, struct bytes pem, struct error *error);
void signature_public_free(struct signature_public *key);
/* `hash` counts for RSA only.  False: not a signature of this message by this key. */
bool signature_public_verify(const struct signature_public *key, enum signature_hash hash, struct bytes message,
                             struct bytes signature);

/* The other side, for `drawbridge sign`.  From the raw 32 bytes of an Ed25519 seed, or a PKCS #8 or traditional private
 * key in DER or PEM. */
struct signature_private;
struct signature_private *signature_private_raw(struct bytes seed, struct error *error);
struct signature_private *signature_private_new(enum signature_scheme scheme, struct bytes der_or_pem,
                                                struct error *error);
void signature_private_free(struct signature_private *key);
/* Appends the signature. */
bool signature_private_sign(const struct signature_private *key, enum signature_hash hash, struct bytes message,
                            struct buffer *out, struct error *error);
