/* verification.c: a request's signature against a trigger's secrets, while the body streams in.
 * SPDX-License-Identifier: Apache-2.0 */
#include "scheme_words.h"
#include "signature.h"
#include "text.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { CLAIMS_MAX = 8 }; /* signatures that one header may offer */

struct verifier {
    const struct scheme *scheme;
    size_t count;
    struct verifier_key {
        char name[32];
        struct signature_key *key;
    } keys[VERIFIER_SECRETS_MAX];
};

static bool add_keys(struct verifier *v, const struct verifier_secret *secrets, size_t count, struct error *error)
{
    for (size_t i = 0; i < count; i++) {
        struct verifier_key *k = &v->keys[v->count];
        memcpy(k->name, secrets[i].name, sizeof k->name);
        k->name[sizeof k->name - 1] = 0;
        k->key = signature_key_new(secret_view(secrets[i].secret), error);
        if (!k->key) return error_context(error, "secret '%s'", k->name);
        v->count++;
    }
    return true;
}

struct verifier *verifier_new(const struct scheme *s, struct verifier_secret *secrets, size_t count,
                              struct error *error)
{
    struct verifier *v = NULL;
    if (count == 0 || count > VERIFIER_SECRETS_MAX)
        error_set(error, ERROR_INVALID, "scheme '%s' takes 1 to %d secrets", s->name, VERIFIER_SECRETS_MAX);
    else if (!(v = calloc(1, sizeof *v)))
        error_set(error, ERROR_MEMORY, "no memory for a verifier");
    if (v) {
        v->scheme = s;
        if (!add_keys(v, secrets, count, error)) {
            verifier_free(v);
            v = NULL;
        }
    }
    for (size_t i = 0; i < count; i++) {
        secret_free(secrets[i].secret);
        secrets[i].secret = NULL;
    }
    return v;
}

void verifier_free(struct verifier *v)
{
    if (!v) return;
    for (size_t i = 0; i < v->count; i++)
        signature_key_free(v->keys[i].key);
    free(v);
}

const struct scheme *verifier_scheme(const struct verifier *v)
{
    return v->scheme;
}

const char *scheme_reason_name(enum scheme_reason reason)
{
    static const char *const names[] = {
        [SCHEME_OK] = "ok",
        [SCHEME_MISSING] = "missing",
        [SCHEME_REPEATED] = "repeated",
        [SCHEME_MALFORMED] = "malformed",
        [SCHEME_STALE] = "stale",
        [SCHEME_MISMATCH] = "mismatch",
        [SCHEME_UNABLE] = "unable",
    };
    return names[reason];
}

struct verification {
    const struct verifier *verifier;
    enum scheme_reason reason;                        /* of the headers */
    struct signature_mac *macs[VERIFIER_SECRETS_MAX]; /* made at first use, then reset */
    uint8_t claims[CLAIMS_MAX][SIGNATURE_SHA256_SIZE];
    size_t claim_count;
};

struct verification *verification_new(void)
{
    return calloc(1, sizeof(struct verification));
}

void verification_free(struct verification *x)
{
    if (!x) return;
    for (size_t i = 0; i < VERIFIER_SECRETS_MAX; i++)
        signature_mac_free(x->macs[i]);
    free(x);
}

/* The value behind the version tag; false when the entry has another tag or none. */
static bool entry_value(const struct scheme_words *w, struct bytes entry, struct bytes *value)
{
    size_t tag = strlen(w->version_tag);
    *value = entry;
    if (tag == 0) return true;
    if (entry.size <= tag || memcmp(entry.data, w->version_tag, tag) != 0) return false;
    if (entry.data[tag] != (uint8_t)*w->tag_separator) return false;
    *value = (struct bytes){entry.data + tag + 1, entry.size - tag - 1};
    return true;
}

/* Entries of another tag or of no proper form are skipped, never tried; false: more good ones than anybody sends. */
static bool add_claim(struct verification *x, struct bytes entry)
{
    struct bytes value;
    uint8_t claim[SIGNATURE_SHA256_SIZE];
    if (!entry_value(&x->verifier->scheme->words, entry, &value)) return true;
    if (!text_unhex(value, claim, sizeof claim)) return true;
    if (x->claim_count == CLAIMS_MAX) return false;
    memcpy(x->claims[x->claim_count++], claim, sizeof claim);
    return true;
}

static bool read_claims(struct verification *x, struct bytes header)
{
    char separator = *x->verifier->scheme->words.list_separator;
    const uint8_t *comma;
    x->claim_count = 0;
    while (separator && header.size > 0 && (comma = memchr(header.data, separator, header.size))) {
        size_t size = (size_t)(comma - header.data);
        if (!add_claim(x, (struct bytes){header.data, size})) return false;
        header = (struct bytes){comma + 1, header.size - size - 1};
    }
    return add_claim(x, header) && x->claim_count > 0;
}

/* Another reader of a doubled id might pick the other one. */
static bool id_is_repeated(const struct scheme *s, struct scheme_headers headers)
{
    struct bytes ignored;
    for (size_t i = 0; i < s->delivery_id.count; i++) {
        const struct template_part *part = &s->delivery_id.parts[i];
        if (!part->has_token || part->token != TEMPLATE_HEADER) continue;
        if (headers.find(headers.ctx, part->argument, &ignored) > 1) return true;
    }
    return false;
}

static enum scheme_reason check_headers(struct verification *x, struct scheme_headers headers)
{
    const struct scheme *s = x->verifier->scheme;
    struct bytes signature = {NULL, 0};
    size_t count = headers.find(headers.ctx, s->words.signature_header, &signature);
    if (count > 1 || id_is_repeated(s, headers)) return SCHEME_REPEATED;
    if (count == 0 || signature.size == 0) return SCHEME_MISSING;
    return read_claims(x, signature) ? SCHEME_OK : SCHEME_MALFORMED;
}

static bool start_macs(struct verification *x)
{
    for (size_t i = 0; i < x->verifier->count; i++) {
        const struct signature_key *key = x->verifier->keys[i].key;
        if (x->macs[i]) {
            if (!signature_mac_reset(x->macs[i], key)) return false;
        } else {
            x->macs[i] = signature_mac_new(key);
            if (!x->macs[i]) return false;
        }
    }
    return true;
}

enum scheme_reason verification_begin(struct verification *x, const struct verifier *v, struct scheme_headers headers,
                                      int64_t now_s)
{
    (void)now_s; /* no scheme with a timestamp is loaded in this version */
    x->verifier = v;
    x->reason = check_headers(x, headers);
    if (x->reason == SCHEME_OK && !start_macs(x)) x->reason = SCHEME_UNABLE;
    return x->reason;
}

void verification_update(struct verification *x, const void *data, size_t size)
{
    if (x->reason != SCHEME_OK || !x->verifier) return;
    for (size_t i = 0; i < x->verifier->count; i++)
        signature_mac_update(x->macs[i], data, size);
}

static bool any_claim_is(const struct verification *x, const uint8_t expected[SIGNATURE_SHA256_SIZE])
{
    bool equal = false;
    for (size_t i = 0; i < x->claim_count; i++)
        equal |= signature_equal(x->claims[i], expected, SIGNATURE_SHA256_SIZE);
    return equal;
}

enum scheme_reason verification_finish(struct verification *x, const char **secret_name)
{
    const struct verifier *v = x->verifier;
    assert(v && "verification_begin comes first");
    x->verifier = NULL;
    *secret_name = NULL;
    if (x->reason != SCHEME_OK) return x->reason;
    for (size_t i = 0; i < v->count; i++) {
        uint8_t expected[SIGNATURE_SHA256_SIZE];
        signature_mac_final(x->macs[i], expected);
        bool matches = any_claim_is(x, expected);
        if (matches && !*secret_name) *secret_name = v->keys[i].name;
    }
    return *secret_name ? SCHEME_OK : SCHEME_MISMATCH;
}

bool scheme_sign(const struct verifier *v, struct bytes body, int64_t now_s, struct buffer *header_line,
                 struct error *error)
{
    (void)now_s;
    const struct scheme_words *w = &v->scheme->words;
    struct signature_mac *mac = signature_mac_new(v->keys[0].key);
    if (!mac) return error_set(error, ERROR_MEMORY, "no memory for a signature");
    uint8_t digest[SIGNATURE_SHA256_SIZE];
    char hex[2 * SIGNATURE_SHA256_SIZE + 1];
    signature_mac_update(mac, body.data, body.size);
    signature_mac_final(mac, digest);
    signature_mac_free(mac);
    text_hex(digest, sizeof digest, hex);
    const char *tag_separator = *w->version_tag ? w->tag_separator : "";
    buffer_format(header_line, "%s: %s%s%s", w->signature_header, w->version_tag, tag_separator, hex);
    return buffer_ok(header_line) || error_set(error, ERROR_TOO_LARGE, "the header line is too long");
}
