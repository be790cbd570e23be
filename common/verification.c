/* verification.c: a request's signature against a trigger's secrets, while the body streams in.
 * SPDX-License-Identifier: Apache-2.0 */
#include "verification_parts.h"
#include <assert.h>
#include <stdlib.h>

enum { TEXT_KEPT_MAX = 16 * 1024 }; /* a pooled verification keeps at most this much memory for the next message */

const char *scheme_reason_name(enum scheme_reason reason)
{
    static const char *const names[SCHEME_REASONS] = {
        [SCHEME_OK] = "ok",
        [SCHEME_MISSING] = "missing",
        [SCHEME_REPEATED] = "repeated",
        [SCHEME_MALFORMED] = "malformed",
        [SCHEME_STALE] = "stale",
        [SCHEME_MISMATCH] = "mismatch",
        [SCHEME_EXPIRED] = "expired",
        [SCHEME_FOREIGN] = "foreign",
        [SCHEME_UNABLE] = "unable",
    };
    return names[reason];
}

struct verification *verification_new(void)
{
    struct verification *x = calloc(1, sizeof *x);
    if (!x) return NULL;
    buffer_init(&x->time, SIGNATURE_TEXT_MAX);
    buffer_init(&x->decoded, SIGNATURE_TEXT_MAX);
    buffer_init(&x->text, PROOFS_TEXT_MAX);
    return x;
}

void verification_free(struct verification *x)
{
    if (!x) return;
    for (size_t i = 0; i < VERIFIER_SECRETS_MAX; i++)
        signature_mac_free(x->macs[i]);
    if (x->proofs) buffer_close(&x->proofs->text);
    free(x->proofs);
    buffer_close(&x->time);
    buffer_close(&x->decoded);
    buffer_close(&x->text);
    free(x);
}

/* The result may still view what the proofs hold; that is dropped at the next extraction. */
static void drop_large(struct buffer *text)
{
    if (text->capacity <= TEXT_KEPT_MAX) return;
    buffer_close(text);
    buffer_init(text, PROOFS_TEXT_MAX);
}

static enum scheme_reason reason_of(enum template_fault fault)
{
    static const enum scheme_reason reasons[] = {[TEMPLATE_FINE] = SCHEME_OK,
                                                 [TEMPLATE_ABSENT] = SCHEME_MISSING,
                                                 [TEMPLATE_TWICE] = SCHEME_REPEATED,
                                                 [TEMPLATE_BAD] = SCHEME_MALFORMED,
                                                 [TEMPLATE_NO_MEMORY] = SCHEME_UNABLE};
    return reasons[fault];
}

static struct template_source source_of(const struct verification *x, const struct scheme_request *request,
                                        struct bytes header)
{
    const struct scheme_words *w = &x->verifier->scheme->forms[0].words;
    return (struct template_source){.find = request->find,
                                    .ctx = request->ctx,
                                    .method = request->method,
                                    .url = request->url,
                                    .query = request->query,
                                    .timestamp = buffer_view(&x->time),
                                    .signature = header,
                                    .list_separator = *w->list_separator,
                                    .tag_separator = *w->tag_separator};
}

/* ---- at the headers ---- */

/* Another reader of a doubled id or time might pick the other one. */
static enum scheme_reason check_guarded(const struct scheme *s, const struct scheme_request *request)
{
    struct bytes ignored;
    for (size_t i = 0; i < s->guarded_count; i++)
        if (request->find(request->ctx, s->guarded[i], &ignored) > 1) return SCHEME_REPEATED;
    return SCHEME_OK;
}

static bool time_is_in_body(const struct scheme *s)
{
    return template_has(&s->timestamp, TEMPLATE_BODY);
}

/* Appends one side of a key's signed text to x->text. */
static enum scheme_reason fill_side(struct verification *x, const struct verifier_key *k, const struct template *side,
                                    struct template_source *source)
{
    source->key = k->secret ? secret_view(k->secret) : (struct bytes){NULL, 0};
    return reason_of(template_fill_signed(side, source, &x->text));
}

static enum scheme_reason feed_side(struct verification *x, size_t key, const struct template *side,
                                    struct template_source *source)
{
    buffer_clear(&x->text);
    if (side->count == 0) return SCHEME_OK;
    enum scheme_reason reason = fill_side(x, &x->verifier->keys[key], side, source);
    if (reason == SCHEME_OK) signature_mac_update(x->macs[key], x->text.data, x->text.size);
    return reason;
}

static bool start_mac(struct verification *x, size_t i)
{
    const struct signature_key *key = x->verifier->keys[i].mac;
    if (x->macs[i]) return signature_mac_reset(x->macs[i], key);
    x->macs[i] = signature_mac_new(key);
    return x->macs[i] != NULL;
}

static bool is_streamed(const struct verifier_key *k)
{
    return scheme_algorithm_of(k->form)->mechanism == MECHANISM_STREAM;
}

/* What stands before the body is known by now. */
static enum scheme_reason start_keys(struct verification *x, struct template_source *source)
{
    enum scheme_reason reason = SCHEME_OK;
    for (size_t i = 0; i < x->verifier->count && reason == SCHEME_OK; i++) {
        const struct verifier_key *k = &x->verifier->keys[i];
        if (is_streamed(k)) {
            if (!start_mac(x, i)) return SCHEME_UNABLE;
            reason = feed_side(x, i, &k->form->before, source);
        } else if (scheme_algorithm_of(k->form)->mechanism == MECHANISM_PUBLIC) {
            buffer_clear(&x->text); /* only to see now what would be missing at the end */
            reason = fill_side(x, k, &k->form->before, source);
        }
    }
    return reason;
}

static enum scheme_reason begin(struct verification *x, const struct scheme_request *request)
{
    const struct scheme *s = x->verifier->scheme;
    struct bytes header;
    enum scheme_reason reason = verification_read_claims(x, request, &header);
    enum scheme_reason guarded = check_guarded(s, request);
    if (guarded != SCHEME_OK && reason != SCHEME_MISSING) return guarded;
    if (reason != SCHEME_OK) return reason;
    struct template_source source = source_of(x, request, header);
    if (s->timestamp.count > 0 && !time_is_in_body(s)) {
        reason = verification_read_time(x, &source);
        source.timestamp = buffer_view(&x->time);
    }
    return reason == SCHEME_OK ? start_keys(x, &source) : reason;
}

enum scheme_reason verification_begin(struct verification *x, const struct verifier *v,
                                      const struct scheme_request *request, int64_t now_ms)
{
    x->verifier = v;
    x->now_ms = now_ms;
    x->signed_at_ms = -1;
    buffer_clear(&x->time);
    x->reason = begin(x, request);
    return x->reason;
}

void verification_update(struct verification *x, const void *data, size_t size)
{
    if (x->reason != SCHEME_OK || !x->verifier) return;
    for (size_t i = 0; i < x->verifier->count; i++)
        if (is_streamed(&x->verifier->keys[i]) && x->verifier->keys[i].form->signs_body)
            signature_mac_update(x->macs[i], data, size);
}

/* ---- at the end ---- */

/* What a key made of the request: does it match, and which of the claims. */
struct finding {
    bool matches;
    struct bytes signature;
};

/* Looks at every claim of the key's form, whatever was found before. */
static struct finding compare_claims(const struct verification *x, const struct scheme_form *form,
                                     const uint8_t *expected, size_t size)
{
    struct finding found = {false, {NULL, 0}};
    for (size_t i = 0; i < x->claim_count; i++) {
        const struct verification_claim *claim = &x->claims[i];
        if (claim->form != form || claim->size != size || !signature_equal(claim->data, expected, size)) continue;
        found = (struct finding){true, {claim->data, claim->size}};
    }
    return found;
}

static enum scheme_reason finish_stream(struct verification *x, size_t i, struct template_source *source,
                                        struct finding *found)
{
    const struct verifier_key *k = &x->verifier->keys[i];
    uint8_t expected[SIGNATURE_DIGEST_MAX];
    enum scheme_reason reason = feed_side(x, i, &k->form->after, source);
    signature_mac_final(x->macs[i], expected);
    *found = compare_claims(x, k->form, expected, signature_key_size(k->mac));
    return reason;
}

static enum scheme_reason finish_public(struct verification *x, size_t i, struct template_source *source,
                                        struct bytes body, struct finding *found)
{
    const struct verifier_key *k = &x->verifier->keys[i];
    buffer_clear(&x->text);
    enum scheme_reason reason = fill_side(x, k, &k->form->before, source);
    if (k->form->signs_body) buffer_bytes(&x->text, body);
    if (reason == SCHEME_OK) reason = fill_side(x, k, &k->form->after, source);
    if (!buffer_ok(&x->text)) reason = SCHEME_UNABLE;
    for (size_t c = 0; c < x->claim_count && reason == SCHEME_OK; c++) {
        struct bytes signature = {x->claims[c].data, x->claims[c].size};
        if (x->claims[c].form != k->form) continue;
        if (signature_public_verify(k->public_key, SIGNATURE_SHA256, buffer_view(&x->text), signature))
            *found = (struct finding){true, signature};
    }
    return reason;
}

/* Does this key make that signature of that message? */
static bool proof_holds(struct verification *x, size_t i, struct bytes message, struct bytes signature)
{
    const struct verifier_key *k = &x->verifier->keys[i];
    uint8_t digest[SIGNATURE_DIGEST_MAX];
    switch (scheme_algorithm_of(k->form)->key) {
    case MECHANISM_PUBLIC: return signature_public_verify(k->public_key, x->proofs->hash, message, signature);
    case MECHANISM_TOKEN:
        signature_sha256(&signature, 1, digest);
        return signature_equal(digest, k->token, sizeof k->token);
    case MECHANISM_STREAM:
    case MECHANISM_PROOFS: break;
    }
    if (!start_mac(x, i)) {
        x->reason = SCHEME_UNABLE;
        return false;
    }
    signature_mac_update(x->macs[i], message.data, message.size);
    signature_mac_final(x->macs[i], digest);
    size_t size = signature_key_size(k->mac);
    return signature.size == size && signature_equal(digest, signature.data, size);
}

static struct finding finish_proofs(struct verification *x, size_t i)
{
    const struct scheme_proofs *p = x->proofs;
    struct finding found = {p->all && p->count > 0, {NULL, 0}};
    for (size_t n = 0; n < p->count; n++) {
        const struct scheme_proof *proof = &p->items[n];
        struct bytes message = {p->text.data + proof->message_at, proof->message_size};
        struct bytes signature = {p->text.data + proof->signature_at, proof->signature_size};
        bool holds = proof_holds(x, i, message, signature);
        found.matches = p->all ? found.matches && holds : found.matches || holds;
        if (holds) found.signature = signature;
    }
    return found;
}

static enum scheme_reason extract(struct verification *x, const struct scheme_request *request, struct bytes body)
{
    const struct scheme *s = x->verifier->scheme;
    if (!x->proofs) {
        x->proofs = calloc(1, sizeof *x->proofs);
        if (!x->proofs) return SCHEME_UNABLE;
        buffer_init(&x->proofs->text, PROOFS_TEXT_MAX);
    }
    drop_large(&x->proofs->text);
    buffer_clear(&x->proofs->text);
    x->proofs->count = 0;
    x->proofs->all = false;
    x->proofs->hash = SIGNATURE_SHA256;
    enum scheme_reason reason = scheme_algorithm_of(&s->forms[0])->extract(s, request, body, x->proofs);
    if (!buffer_ok(&x->proofs->text)) return SCHEME_UNABLE;
    return reason == SCHEME_OK && x->proofs->count == 0 ? SCHEME_MISSING : reason;
}

static enum scheme_reason finish_key(struct verification *x, size_t i, struct template_source *source,
                                     struct bytes body, struct finding *found)
{
    const struct verifier_key *k = &x->verifier->keys[i];
    *found = (struct finding){false, {NULL, 0}};
    switch (scheme_algorithm_of(k->form)->mechanism) {
    case MECHANISM_STREAM: return finish_stream(x, i, source, found);
    case MECHANISM_PUBLIC: return finish_public(x, i, source, body, found);
    case MECHANISM_TOKEN: *found = compare_claims(x, k->form, k->token, sizeof k->token); break;
    case MECHANISM_PROOFS: *found = finish_proofs(x, i); break;
    }
    return SCHEME_OK;
}

/* Every key is tried, the first that matches and is still valid counts. */
static enum scheme_reason try_keys(struct verification *x, struct template_source *source, struct bytes body,
                                   struct verification_result *result)
{
    const struct verifier *v = x->verifier;
    enum scheme_reason verdict = SCHEME_MISMATCH, reason = SCHEME_OK;
    for (size_t i = 0; i < v->count; i++) {
        struct finding found;
        enum scheme_reason tried = finish_key(x, i, source, body, &found);
        if (tried != SCHEME_OK) reason = tried;
        if (x->reason != SCHEME_OK) reason = x->reason;
        bool expired = v->keys[i].until_s != 0 && x->now_ms / 1000 >= v->keys[i].until_s;
        if (!found.matches || verdict == SCHEME_OK) continue;
        verdict = expired ? SCHEME_EXPIRED : SCHEME_OK;
        if (expired) continue;
        result->secret_name = v->keys[i].name;
        result->secret = i;
        result->signature = found.signature;
    }
    return reason != SCHEME_OK ? reason : verdict;
}

/* AWS signs for everybody who has a topic. */
static enum scheme_reason check_topic(const struct verifier *v, struct bytes body)
{
    struct buffer arn;
    bool known = v->topics.count == 0;
    if (known || v->scheme->forms[0].words.algorithm != ALGORITHM_AWS_SNS) return SCHEME_OK;
    buffer_init(&arn, SIGNATURE_TEXT_MAX);
    enum scheme_reason reason = scheme_json_text(body, "/TopicArn", &arn);
    for (size_t i = 0; i < v->topics.count; i++)
        known = known || bytes_are(buffer_view(&arn), v->topics.items[i]);
    buffer_close(&arn);
    return reason != SCHEME_OK || known ? reason : SCHEME_FOREIGN;
}

/* Does a text that is put together at the end look at the signature header once more? */
static bool needs_header_again(const struct scheme *s)
{
    bool needs = false;
    for (size_t i = 0; i < s->form_count && !s->numbered; i++)
        needs =
            needs || s->forms[i].after.count > 0 || scheme_algorithm_of(&s->forms[i])->mechanism == MECHANISM_PUBLIC;
    return needs;
}

static enum scheme_reason finish(struct verification *x, const struct scheme_request *request, struct bytes body,
                                 struct verification_result *result)
{
    const struct scheme *s = x->verifier->scheme;
    struct bytes header = {NULL, 0};
    enum scheme_reason reason = SCHEME_OK;
    if (scheme_algorithm_of(&s->forms[0])->mechanism == MECHANISM_PROOFS)
        reason = extract(x, request, body);
    else if (needs_header_again(s))
        reason = verification_locate(x, request, &header);
    struct template_source source = source_of(x, request, header);
    source.body = body;
    if (reason == SCHEME_OK) reason = try_keys(x, &source, body, result);
    if (reason == SCHEME_OK) reason = check_topic(x->verifier, body);
    /* Only what is verified is parsed. */
    if (reason == SCHEME_OK && time_is_in_body(s)) reason = verification_read_time(x, &source);
    return reason;
}

enum scheme_reason verification_finish(struct verification *x, const struct scheme_request *request, struct bytes body,
                                       struct verification_result *result)
{
    assert(x->verifier && "verification_begin comes first");
    *result = (struct verification_result){.signed_at_ms = -1};
    enum scheme_reason reason = x->reason;
    if (reason == SCHEME_OK) reason = finish(x, request, body, result);
    if (reason != SCHEME_OK)
        *result = (struct verification_result){.signed_at_ms = -1};
    else
        result->signed_at_ms = x->signed_at_ms;
    x->verifier = NULL;
    drop_large(&x->text);
    return reason;
}
