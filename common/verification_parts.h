/* verification_parts.h: a verifier's keys and a verification under way; for the verification*.c files alone.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "scheme_words.h"
#include "signature_public.h"

/* A secret as a key; which of the members it is, the form's algorithm says. */
struct verifier_key {
    char name[VERIFIER_NAME_SIZE];
    int64_t until_s;
    const struct scheme_form *form;
    struct signature_key *mac;
    struct signature_public *public_key;
    uint8_t token[SIGNATURE_SHA256_SIZE]; /* digest of a shared token, so that all have one length */
    struct secret *secret;                /* kept only where {key} is signed */
};

struct verifier {
    const struct scheme *scheme;
    size_t count;
    struct verifier_key keys[VERIFIER_SECRETS_MAX];
    struct config_list topics;
};

/* verification_keys.c: the form whose secrets look like this one; the key's bytes behind the form's prefix. */
const struct scheme_form *verifier_form(const struct scheme *s, struct bytes secret);
bool verifier_decode_key(const struct scheme_words *w, struct bytes secret, struct buffer *out, struct error *error);

enum {
    CLAIMS_MAX = 16,     /* signatures that one request may offer: as many as numbered headers */
    CLAIM_SIZE_MAX = 72, /* an ECDSA signature on P-256 */
    NUMBERED_MAX = 16,
    SIGNATURE_TEXT_MAX = 8192,
};
struct verification_claim {
    const struct scheme_form *form;
    size_t size;
    uint8_t data[CLAIM_SIZE_MAX];
};
struct verification {
    const struct verifier *verifier;
    enum scheme_reason reason; /* so far */
    int64_t now_ms, signed_at_ms;
    struct signature_mac *macs[VERIFIER_SECRETS_MAX]; /* made at first use, then reset */
    struct verification_claim claims[CLAIMS_MAX];
    size_t claim_count;
    struct buffer time, text, decoded; /* the timestamp's text; a signed text under way; a signature under way */
    struct scheme_proofs *proofs;      /* made at first use */
};

/* verification_claims.c: what the request offers as signatures, into x->claims; *header views the (first) signature
 * header, or x->decoded. */
enum scheme_reason verification_read_claims(struct verification *x, const struct scheme_request *request,
                                            struct bytes *header);
/* The signature header's value alone, or the query's. */
enum scheme_reason verification_locate(struct verification *x, const struct scheme_request *request,
                                       struct bytes *header);
/* verification_time.c: finds, reads and judges the time that the scheme names, into x->time and x->signed_at_ms. */
enum scheme_reason verification_read_time(struct verification *x, const struct template_source *source);
