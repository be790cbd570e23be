/* scheme_words.h: a scheme's words as loaded and compiled; for the scheme*.c and verification*.c files alone.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "config.h"
#include "scheme.h"
#include "signature.h"
#include "template.h"

enum scheme_algorithm {
    ALGORITHM_HMAC_SHA256,
    ALGORITHM_HMAC_SHA1,
    ALGORITHM_SHA256,
    ALGORITHM_ED25519,
    ALGORITHM_ECDSA,
    ALGORITHM_EQUAL,
    ALGORITHM_TWILIO,
    ALGORITHM_ADYEN_ITEM,
    ALGORITHM_MAILGUN,
    ALGORITHM_AWS_SNS,
    ALGORITHM_NETLIFY,
    ALGORITHM_CLIENT_STATE,
    ALGORITHMS,
};
enum scheme_encoding { ENCODING_HEX, ENCODING_BASE64, ENCODING_TEXT };
enum scheme_key_encoding { KEY_TEXT, KEY_BASE64, KEY_HEX, KEY_SPKI };
enum scheme_time_unit { UNIT_S, UNIT_MS, UNIT_ISO8601 };

/* What the configuration says, word for word (schemas/providers.cfg). */
struct scheme_words {
    char *signature_header, *signature_query, *list_separator, *version_tag, *tag_separator;
    int algorithm, encoding, key_encoding;
    char *key_prefix;
    char *signed_text;
    char *timestamp;
    int timestamp_unit;
    int64_t tolerance_ms;
    char *delivery_id, *event_type;
    struct config_list handshake, aliases;
    int64_t deadline_ms, redelivery_ms, response_status;
};

/* How the secrets of one kind sign: the scheme's own words, or those of its variant. */
struct scheme_form {
    struct scheme_words words;
    struct template before, after; /* of {body} in `signed` */
    bool signs_body, signs_key;
};

enum { SCHEME_FORMS_MAX = 2, SCHEME_GUARDED_MAX = 32 };
struct scheme {
    char *name;
    struct scheme_form forms[SCHEME_FORMS_MAX]; /* the second is the variant */
    size_t form_count;
    struct template timestamp, delivery_id, event_type;
    bool numbered; /* signature_header has a '#' */
    unsigned handshakes;
    /* Headers that may stand there once: what is signed, the time, the id.  Views of the templates' arguments. */
    const char *guarded[SCHEME_GUARDED_MAX];
    size_t guarded_count;
    const char *identity_headers[2 * TEMPLATE_PARTS_MAX + 1];
};

/* What a special algorithm finds to be signed: messages, each with its decoded signature, both in `text`. */
enum { PROOFS_MAX = 64, PROOFS_TEXT_MAX = 32 << 20 };
struct scheme_proofs {
    struct buffer text;
    size_t count;
    struct scheme_proof {
        size_t message_at, message_size, signature_at, signature_size;
    } items[PROOFS_MAX];
    bool all;                 /* every proof has to hold, not any */
    enum signature_hash hash; /* of the messages, where the sender may choose */
};
/* One proof is made by: begin, append the message to p->text, signature, append the decoded signature, end. */
void scheme_proof_begin(struct scheme_proofs *p);
void scheme_proof_signature(struct scheme_proofs *p);
enum scheme_reason scheme_proof_end(struct scheme_proofs *p);
/* Decodes a signature strictly and appends it.  False: not of this encoding. */
bool scheme_decode(enum scheme_encoding encoding, struct bytes text, struct buffer *out);
/* The one header of that name: SCHEME_MISSING (also when it is empty), SCHEME_REPEATED. */
enum scheme_reason scheme_header(const struct scheme_request *request, const char *name, struct bytes *value);
/* JSON as a whole: what has a place in the signed text of an unverified body is looked up only then. */
bool scheme_is_json(struct bytes text);
/* Appends the text, number or boolean at the pointer; one that is absent or null is empty.  SCHEME_REPEATED: twice. */
enum scheme_reason scheme_json_text(struct bytes json, const char *pointer, struct buffer *out);

/* What an algorithm is made of. */
enum scheme_mechanism {
    MECHANISM_STREAM, /* a digest or MAC that is fed while the body passes */
    MECHANISM_PUBLIC, /* one call over the whole message */
    MECHANISM_TOKEN,  /* the signature is the secret */
    MECHANISM_PROOFS, /* `extract` finds what is signed, somewhere in the request */
};
struct scheme_algorithm_row {
    enum scheme_mechanism mechanism;
    enum signature_hash hash;
    size_t signature_size;     /* of the decoded signature; 0: varies */
    bool in_body;              /* there is no signature header */
    enum scheme_mechanism key; /* what the secret becomes: the mechanism, or what proofs are checked with */
    enum scheme_reason (*extract)(const struct scheme *s, const struct scheme_request *request, struct bytes body,
                                  struct scheme_proofs *out);
    const char *repeats; /* why two deliveries may have one signature, or NULL */
};
extern const struct scheme_algorithm_row scheme_algorithms[ALGORITHMS];
static inline const struct scheme_algorithm_row *scheme_algorithm_of(const struct scheme_form *f)
{
    return &scheme_algorithms[f->words.algorithm];
}

/* scheme_twilio.c, scheme_adyen.c, ...: one file for each sender that words can't describe. */
enum scheme_reason scheme_twilio_extract(const struct scheme *s, const struct scheme_request *request,
                                         struct bytes body, struct scheme_proofs *out);
enum scheme_reason scheme_adyen_extract(const struct scheme *s, const struct scheme_request *request, struct bytes body,
                                        struct scheme_proofs *out);
enum scheme_reason scheme_mailgun_extract(const struct scheme *s, const struct scheme_request *request,
                                          struct bytes body, struct scheme_proofs *out);
enum scheme_reason scheme_sns_extract(const struct scheme *s, const struct scheme_request *request, struct bytes body,
                                      struct scheme_proofs *out);
enum scheme_reason scheme_netlify_extract(const struct scheme *s, const struct scheme_request *request,
                                          struct bytes body, struct scheme_proofs *out);
enum scheme_reason scheme_graph_extract(const struct scheme *s, const struct scheme_request *request, struct bytes body,
                                        struct scheme_proofs *out);
/* What an item of Adyen's, and a message of Amazon's, sign. */
struct json;
enum scheme_reason scheme_adyen_message(struct bytes item, struct buffer *out);
enum scheme_reason scheme_sns_message(const struct json *message, struct buffer *out);
/* The signing input of Netlify's token, and the base64url (RFC 7515) that it is written in. */
void scheme_netlify_message(struct bytes body, struct buffer *out);
void scheme_netlify_encode(struct bytes part, struct buffer *out);
/* scheme_sns.c: https, an SNS host of Amazon's, a path that ends in .pem, and nothing else in it. */
bool scheme_sns_url_is_amazons(struct bytes url);
