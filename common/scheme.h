/* scheme.h: verification schemes as data (schemas/providers.cfg): where the signature stands, what is signed, how old
 * it may be, where the delivery id and the event type come from.  Pure: time and the request are arguments.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "buffer.h"
#include "error.h"
#include "secret.h"

/* The text of schemas/providers.cfg, embedded at build time. */
extern const char scheme_providers_text[];

struct scheme; /* immutable once loaded */
struct scheme_set;
struct config_file;
struct config_report;
struct json_members;

/* Loads every scheme of a libconfig text; an unknown word or value is an error that names scheme and word. */
struct scheme_set *scheme_set_load(const char *text, struct error *error);
/* Adds the schemes of an open file, in the same words; names that are there already are refused.  Problems go to the
 * report; false if there were any (the set is then still the caller's to free). */
bool scheme_set_add(struct scheme_set *set, struct config_file *file, struct config_report *report);
void scheme_set_free(struct scheme_set *set);
/* By name or alias; NULL when there is no such scheme.  Lives as long as the set. */
const struct scheme *scheme_find(const struct scheme_set *set, const char *name);
/* The names, one after the other; NULL behind the last. */
const char *scheme_name_at(const struct scheme_set *set, size_t index);

/* A scheme in the words of the group at `path` ("triggers.[2].verify"): those that stand there, over those of `base`
 * (whose name it keeps), or over the defaults when base is NULL (then it is called "custom").  The settings `scheme`
 * and others in that group are not looked at.  NULL with the problems in the report.  The caller frees it, after the
 * verifiers that use it. */
struct scheme *scheme_new(const struct scheme *base, struct config_file *file, const char *path,
                          struct config_report *report);
void scheme_free(struct scheme *s);
/* True if a word of a scheme stands in that group. */
bool scheme_has_words(struct config_file *file, const char *path);

const char *scheme_name(const struct scheme *s);
int scheme_response_status(const struct scheme *s);
int64_t scheme_deadline_ms(const struct scheme *s);
/* How long the sender may deliver the same event again: the dedupe window. */
int64_t scheme_redelivery_s(const struct scheme *s);
/* Names of the request headers that carry id and type, for `http-<name>` record headers; NULL-terminated. */
const char *const *scheme_identity_headers(const struct scheme *s);

/* What the sender asks before or between its deliveries, as a bit set: 1u << kind. */
enum scheme_handshake {
    HANDSHAKE_SLACK_CHALLENGE,
    HANDSHAKE_ZOOM_VALIDATION,
    HANDSHAKE_DISCORD_PING,
    HANDSHAKE_ECHO_QUERY,
    HANDSHAKE_META_SUBSCRIBE,
    HANDSHAKE_GRAPH_VALIDATION,
    HANDSHAKE_OKTA_VERIFICATION,
    HANDSHAKE_EVENTGRID_VALIDATION,
    HANDSHAKE_SNS_CONFIRMATION,
    HANDSHAKE_CLOUDEVENTS_OPTIONS,
    HANDSHAKE_X_CRC,
    HANDSHAKE_HEAD,
    HANDSHAKES,
};
unsigned scheme_handshakes(const struct scheme *s);
/* "slack-challenge" and so on, as the word `handshake` says it. */
const char *scheme_handshake_name(enum scheme_handshake kind);

/* True when the verdict needs the whole body, not only its bytes as they pass. */
bool scheme_needs_body(const struct scheme *s);
/* NULL if two deliveries never share a signature unless they are the same one; else why not, as a sentence's end. */
const char *scheme_signature_repeats(const struct scheme *s);
/* True for AWS SNS, whose signature anybody with an account there can have: the topic must be checked. */
bool scheme_is_sns(const struct scheme *s);
/* True if the scheme signs the public URL. */
bool scheme_signs_url(const struct scheme *s);

/* A scheme with its secrets, ready to verify; belongs to one trigger and needs the scheme to stay.  Takes 1 to
 * VERIFIER_SECRETS_MAX secrets over, also on failure, and wipes them as soon as the keys are made (unless the scheme
 * signs the secret itself). */
enum { VERIFIER_SECRETS_MAX = 8, VERIFIER_NAME_SIZE = 32 };
struct verifier;
struct verifier_secret {
    char name[VERIFIER_NAME_SIZE]; /* "current", "previous": shown in logs and evidence in place of the secret */
    struct secret *secret;
    int64_t until_s; /* Unix seconds; from then on it no longer verifies.  0: for ever */
};
struct verifier *verifier_new(const struct scheme *s, struct verifier_secret *secrets, size_t count,
                              struct error *error);
void verifier_free(struct verifier *v);
const struct scheme *verifier_scheme(const struct verifier *v);
size_t verifier_count(const struct verifier *v);
/* Lives as long as the verifier. */
const char *verifier_secret_name(const struct verifier *v, size_t index);
/* AWS SNS: the topics that may deliver (copied); none: any. False without memory. */
bool verifier_set_topics(struct verifier *v, char *const *arns, size_t count);
/* HMAC-SHA256 of `text` under the first secret that is still valid at `now_s`: what Zoom's and X's handshakes prove
 * knowledge with.  False if the scheme's keys are no HMAC-SHA256 keys, or none is valid, or without memory. */
enum { VERIFIER_HMAC_SIZE = 32 };
bool verifier_hmac(const struct verifier *v, struct bytes text, int64_t now_s, uint8_t out[VERIFIER_HMAC_SIZE]);

/* How a scheme looks at the request: `find` returns how many headers of that name (any case) there are and, if at least
 * one, the value of the first.  `url` and `query` together are the public URL as configured, never rebuilt from what
 * the sender says; only the query is the request's own.  All views live until the verification has finished. */
struct scheme_request {
    size_t (*find)(void *ctx, const char *name, struct bytes *value);
    void *ctx;
    struct bytes method;
    struct bytes url;                   /* "https://hooks.example.org/api/v1/agents/a/webhook"; empty: not known */
    struct bytes query;                 /* "?a=b" as sent, or empty */
    const struct json_members *members; /* of the body that goes with it, once it is known to be JSON; may be NULL */
};

/* Why a request was refused: for the operator's log and counters, never for the sender. */
enum scheme_reason {
    SCHEME_OK,
    SCHEME_MISSING,   /* no signature, or a header that it covers is not there */
    SCHEME_REPEATED,  /* a security header stands there twice */
    SCHEME_MALFORMED, /* not of the scheme's grammar, encoding or length */
    SCHEME_STALE,     /* timestamp outside the tolerance */
    SCHEME_MISMATCH,  /* no secret gives this signature */
    SCHEME_EXPIRED,   /* only a secret whose end date has passed gives it */
    SCHEME_FOREIGN,   /* rightly signed, but by a certificate or for a topic that is not ours */
    SCHEME_UNABLE,    /* no memory to find out; the one reason that is ours (503) */
};
enum { SCHEME_REASONS = SCHEME_UNABLE + 1 };
const char *scheme_reason_name(enum scheme_reason reason);

/* What a good signature told; lives until the next verification_begin with the same object. */
struct verification_result {
    const char *secret_name; /* that matched; NULL unless SCHEME_OK */
    size_t secret;           /* its position */
    int64_t signed_at_ms;    /* Unix time; -1: the scheme does not say */
    struct bytes signature;  /* decoded, as it matched */
};

/* One request under verification: begin with the headers, update with each piece of the body, finish for the verdict.
 * Re-usable: begin again resets it.  Every live secret is tried without early exit, in constant time.  It keeps views
 * of the verifier until it has finished, none of the headers.  After a begin that was not SCHEME_OK, update does
 * nothing and finish says the same again.  `request` may be another copy at the end, of the same values; `body` is the
 * whole body, read only where scheme_needs_body.  now_ms VERIFICATION_ANY_TIME: ages are not judged. */
#define VERIFICATION_ANY_TIME INT64_MIN
struct verification;
struct verification *verification_new(void);
void verification_free(struct verification *x);
enum scheme_reason verification_begin(struct verification *x, const struct verifier *v,
                                      const struct scheme_request *request, int64_t now_ms);
void verification_update(struct verification *x, const void *data, size_t size);
enum scheme_reason verification_finish(struct verification *x, const struct scheme_request *request, struct bytes body,
                                       struct verification_result *result);

/* Fills templates after verification; `body` may be parsed (only verified bytes).  `out` is emptied first.
 * scheme_delivery_id leaves it empty when a token is absent; scheme_event_type gives "drawbridge.webhook" when none is
 * there.  False: an error that is the sender's fault (a header or a pointed-at key twice, a bad id), told in `error`;
 * `out` is empty then. */
bool scheme_delivery_id(const struct scheme *s, const struct scheme_request *request, struct bytes body,
                        struct buffer *out, struct error *error);
bool scheme_event_type(const struct scheme *s, const struct scheme_request *request, struct bytes body,
                       struct buffer *out, struct error *error);

/* The other direction, for `drawbridge sign` and `send`.  What the sender has to say; empty where it has nothing. */
struct scheme_signing {
    struct scheme_request request; /* headers that the sender sends anyway; method and URL as they will be */
    struct bytes body;
    struct bytes id; /* of the delivery, for schemes that sign it */
    int64_t now_ms;
};
/* Appends the header lines that make it a signed delivery, "Name: value\n" each.  `secret` is the trigger's, or the
 * private key where the trigger has the public one.  Schemes whose signature stands in the body append the whole signed
 * body to `body` instead, which stays empty otherwise. */
bool scheme_sign(const struct scheme *s, struct bytes secret, const struct scheme_signing *what, struct buffer *lines,
                 struct buffer *body, struct error *error);
