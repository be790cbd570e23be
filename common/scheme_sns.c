/* scheme_sns.c: AWS SNS signs some fields of its JSON with RSA and names the certificate in another
 * (https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message-verify-message-signature.html).
 * The certificate is configured; that the message names one of Amazon's is checked all the same.
 * SPDX-License-Identifier: Apache-2.0 */
#include "json.h"
#include "scheme_words.h"

/* Of each kind of message: the signed fields, in order. */
static const struct kind {
    const char *type;
    const char *fields[7];
} kinds[] = {
    {"Notification", {"Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"}},
    {"SubscriptionConfirmation", {"Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"}},
    {"UnsubscribeConfirmation", {"Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"}},
};

static bool take(struct bytes *text, const char *prefix)
{
    size_t size = strlen(prefix);
    if (text->size < size || memcmp(text->data, prefix, size) != 0) return false;
    *text = (struct bytes){text->data + size, text->size - size};
    return true;
}

static size_t span(struct bytes text, const char *allowed)
{
    size_t i = 0;
    while (i < text.size && text.data[i] != 0 && strchr(allowed, text.data[i]))
        i++;
    return i;
}

#define LOWER_AND_DIGITS "abcdefghijklmnopqrstuvwxyz0123456789"
#define UPPER            "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* https://sns.<region>.amazonaws.com[.cn]/<path>.pem */
bool scheme_sns_url_is_amazons(struct bytes url)
{
    if (!take(&url, "https://sns.")) return false;
    size_t region = span(url, LOWER_AND_DIGITS "-");
    if (region < 3) return false;
    url = (struct bytes){url.data + region, url.size - region};
    if (!take(&url, ".amazonaws.com")) return false;
    take(&url, ".cn");
    static const char pem[] = ".pem";
    size_t path = span(url, LOWER_AND_DIGITS UPPER "-._~/");
    return path == url.size && path > strlen("/") + strlen(pem) && url.data[0] == '/' &&
           memcmp(url.data + path - strlen(pem), pem, strlen(pem)) == 0;
}

static const char *text_of(const struct json *message, const char *key)
{
    const char *text = NULL;
    json_text(json_get(message, key, NULL), &text);
    return text;
}

static const struct kind *kind_of(const struct json *message)
{
    const char *type = text_of(message, "Type");
    for (size_t i = 0; type && i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].type, type) == 0) return &kinds[i];
    return NULL;
}

static enum scheme_reason add_fields(const struct json *message, const struct kind *kind, struct buffer *out)
{
    for (size_t i = 0; i < 7 && kind->fields[i]; i++) {
        const char *name = kind->fields[i], *value;
        bool twice = false;
        const struct json *node = json_get(message, name, &twice);
        if (twice) return SCHEME_REPEATED;
        bool absent = !node || json_kind(node) == JSON_NULL;
        if (absent && strcmp(name, "Subject") == 0) continue; /* the one that may be left out */
        if (!json_text(node, &value)) return SCHEME_MISSING;
        buffer_format(out, "%s\n", name);
        buffer_text(out, value);
        buffer_byte(out, '\n');
    }
    return SCHEME_OK;
}

enum scheme_reason scheme_sns_message(const struct json *message, struct buffer *out)
{
    const struct kind *kind = kind_of(message);
    return kind ? add_fields(message, kind, out) : SCHEME_MISSING;
}

static enum scheme_reason add_proof(const struct json *message, struct scheme_proofs *out)
{
    const char *version = text_of(message, "SignatureVersion"), *signature = text_of(message, "Signature");
    const char *url = text_of(message, "SigningCertURL");
    if (!version || !signature || !url) return SCHEME_MISSING;
    if (strcmp(version, "1") != 0 && strcmp(version, "2") != 0) return SCHEME_MALFORMED;
    if (!scheme_sns_url_is_amazons(bytes_of(url))) return SCHEME_FOREIGN;
    out->hash = strcmp(version, "1") == 0 ? SIGNATURE_SHA1 : SIGNATURE_SHA256;
    scheme_proof_begin(out);
    enum scheme_reason reason = scheme_sns_message(message, &out->text);
    if (reason != SCHEME_OK) return reason;
    scheme_proof_signature(out);
    if (!scheme_decode(ENCODING_BASE64, bytes_of(signature), &out->text)) return SCHEME_MALFORMED;
    return scheme_proof_end(out);
}

enum scheme_reason scheme_sns_extract(const struct scheme *s, const struct scheme_request *request, struct bytes body,
                                      struct scheme_proofs *out)
{
    (void)s, (void)request;
    struct json *message = json_parse(body, NULL);
    if (!message) return SCHEME_MALFORMED;
    enum scheme_reason reason = add_proof(message, out);
    json_free(message);
    return reason;
}
