/* scheme.h: verification schemes as data (schemas/providers.cfg): where the signature stands, what is signed, how old
 * it may be, where the delivery id and the event type come from.  Pure: time and headers are arguments.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "buffer.h"
#include "error.h"
#include "secret.h"

/* The text of schemas/providers.cfg, embedded at build time. */
extern const char scheme_providers_text[];

struct scheme; /* immutable once loaded */
struct scheme_set;

/* Loads every scheme of a libconfig text; an unknown word or value is an error that names scheme and word. */
struct scheme_set *scheme_set_load(const char *text, struct error *error);
void scheme_set_free(struct scheme_set *set);
/* NULL when there is no such scheme.  Lives as long as the set. */
const struct scheme *scheme_find(const struct scheme_set *set, const char *name);

const char *scheme_name(const struct scheme *s);
/* Name of the header that carries the signature. */
const char *scheme_signature_header(const struct scheme *s);
int scheme_response_status(const struct scheme *s);
int64_t scheme_deadline_ms(const struct scheme *s);
/* How long the sender may deliver the same event again: the dedupe window. */
int64_t scheme_redelivery_s(const struct scheme *s);

/* A scheme with its secrets, ready to verify; belongs to one trigger and needs the scheme's set to stay.  Takes 1 to
 * VERIFIER_SECRETS_MAX secrets over, also on failure, and wipes them as soon as the keys are made. */
enum { VERIFIER_SECRETS_MAX = 4 };
struct verifier;
struct verifier_secret {
    char name[32]; /* "current", "previous": shown in logs and evidence in place of the secret */
    struct secret *secret;
};
struct verifier *verifier_new(const struct scheme *s, struct verifier_secret *secrets, size_t count,
                              struct error *error);
void verifier_free(struct verifier *v);
const struct scheme *verifier_scheme(const struct verifier *v);

/* How a scheme looks at the request: returns how many headers of that name (any case) there are and, if at least one,
 * the value of the first.  Called only while verification_begin and scheme_* functions run. */
struct scheme_headers {
    size_t (*find)(void *ctx, const char *name, struct bytes *value);
    void *ctx;
};

/* Why a request was refused: for the operator's log and counters, never for the sender. */
enum scheme_reason {
    SCHEME_OK,
    SCHEME_MISSING,   /* no signature header, or empty */
    SCHEME_REPEATED,  /* a security header stands there twice */
    SCHEME_MALFORMED, /* not of the scheme's grammar, encoding or length */
    SCHEME_STALE,     /* timestamp outside the tolerance */
    SCHEME_MISMATCH,  /* no secret gives this signature */
    SCHEME_UNABLE,    /* no memory to find out; the one reason that is ours (503) */
};
const char *scheme_reason_name(enum scheme_reason reason);

/* One request under verification: begin with the headers, update with each piece of the body, finish for the verdict.
 * Re-usable: begin again resets it.  Every live secret is tried without early exit, in constant time.  It keeps views
 * of the verifier until it has finished, none of the headers.  After a begin that was not SCHEME_OK, update does
 * nothing and finish says the same again. */
struct verification;
struct verification *verification_new(void);
void verification_free(struct verification *x);
enum scheme_reason verification_begin(struct verification *x, const struct verifier *v, struct scheme_headers headers,
                                      int64_t now_s);
void verification_update(struct verification *x, const void *data, size_t size);
/* Ends it; on SCHEME_OK *secret_name points to the matching secret's name (lives as long as the verifier). */
enum scheme_reason verification_finish(struct verification *x, const char **secret_name);

/* Fills templates after verification; `body` may be parsed (only verified bytes).  `out` is emptied first.
 * scheme_delivery_id leaves it empty when a token is absent; scheme_event_type gives "drawbridge.webhook" when none is
 * there.  False: an error that is the sender's fault (a header or a pointed-at key twice, a bad id), told in `error`;
 * `out` is empty then. */
bool scheme_delivery_id(const struct scheme *s, struct scheme_headers headers, struct bytes body, struct buffer *out,
                        struct error *error);
bool scheme_event_type(const struct scheme *s, struct scheme_headers headers, struct bytes body, struct buffer *out,
                       struct error *error);
/* Names of the request headers that carry id and type, for `http-<name>` record headers; NULL-terminated. */
const char *const *scheme_identity_headers(const struct scheme *s);

/* The other direction, for `drawbridge send`: appends the signature header's "Name: value" for this body. */
bool scheme_sign(const struct verifier *v, struct bytes body, int64_t now_s, struct buffer *header_line,
                 struct error *error);
