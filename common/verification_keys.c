/* verification_keys.c: secrets as the keys of a scheme.
 * SPDX-License-Identifier: Apache-2.0 */
#include "text.h"
#include "verification_parts.h"
#include <stdlib.h>

enum { KEY_SIZE_MAX = 64 * 1024 };

const struct scheme_form *verifier_form(const struct scheme *s, struct bytes secret)
{
    for (size_t i = s->form_count; i-- > 1;) {
        struct bytes prefix = bytes_of(s->forms[i].words.key_prefix);
        if (secret.size >= prefix.size && memcmp(secret.data, prefix.data, prefix.size) == 0) return &s->forms[i];
    }
    return &s->forms[0];
}

static struct bytes without_prefix(struct bytes secret, const char *prefix)
{
    size_t size = strlen(prefix);
    if (secret.size < size || memcmp(secret.data, prefix, size) != 0) return secret;
    return (struct bytes){secret.data + size, secret.size - size};
}

/* Adyen prints its keys in upper case. */
static bool unhex_any_case(struct bytes text, struct buffer *out)
{
    uint8_t byte;
    for (size_t i = 0; i + 1 < text.size; i += 2) {
        char pair[2];
        for (size_t k = 0; k < 2; k++) {
            char c = (char)text.data[i + k];
            pair[k] = c >= 'A' && c <= 'F' ? (char)(c | 0x20) : c;
        }
        if (!text_unhex((struct bytes){(uint8_t *)pair, 2}, &byte, 1)) return false;
        buffer_byte(out, (char)byte);
    }
    return text.size % 2 == 0;
}

bool verifier_decode_key(const struct scheme_words *w, struct bytes secret, struct buffer *out, struct error *error)
{
    struct bytes text = without_prefix(secret, w->key_prefix);
    bool decoded = true;
    if (w->key_encoding == KEY_TEXT)
        buffer_bytes(out, text);
    else if (w->key_encoding == KEY_HEX)
        decoded = unhex_any_case(text, out);
    else
        decoded = text_unbase64(text, out);
    if (!decoded) return error_set(error, ERROR_INVALID, "is not %s", w->key_encoding == KEY_HEX ? "hex" : "base64");
    if (!buffer_ok(out)) return error_set(error, ERROR_MEMORY, "no memory for a key");
    return out->size > 0 || error_set(error, ERROR_INVALID, "is empty behind its prefix");
}

static struct signature_public *public_key_of(const struct scheme_words *w, struct bytes key, struct error *error)
{
    static const char pem[] = "-----BEGIN ";
    enum signature_scheme scheme = w->algorithm == ALGORITHM_ED25519 ? SIGNATURE_ED25519
                                   : w->algorithm == ALGORITHM_ECDSA ? SIGNATURE_ECDSA
                                                                     : SIGNATURE_RSA;
    if (key.size >= strlen(pem) && memcmp(key.data, pem, strlen(pem)) == 0)
        return signature_public_pem(scheme, key, error);
    if (scheme == SIGNATURE_ED25519 && w->key_encoding != KEY_SPKI) return signature_public_raw(key, error);
    return signature_public_der(scheme, key, error);
}

static bool make_key(struct verifier_key *k, struct bytes key, struct error *error)
{
    const struct scheme_words *w = &k->form->words;
    const struct scheme_algorithm_row *row = scheme_algorithm_of(k->form);
    switch (row->key) {
    case MECHANISM_PUBLIC: return (k->public_key = public_key_of(w, key, error)) != NULL;
    case MECHANISM_TOKEN: signature_sha256(&key, 1, k->token); return true;
    case MECHANISM_STREAM:
    case MECHANISM_PROOFS: break;
    }
    bool plain = w->algorithm == ALGORITHM_SHA256;
    k->mac = plain ? signature_key_plain(row->hash, error) : signature_key_new(row->hash, key, error);
    return k->mac != NULL;
}

static bool add_key(struct verifier *v, struct verifier_secret *given, struct error *error)
{
    struct verifier_key *k = &v->keys[v->count++];
    struct buffer key;
    memcpy(k->name, given->name, sizeof k->name);
    k->name[sizeof k->name - 1] = 0;
    k->until_s = given->until_s;
    if (!given->secret) return error_set(error, ERROR_INVALID, "secret '%s' is empty", k->name);
    struct bytes secret = secret_view(given->secret);
    k->form = verifier_form(v->scheme, secret);
    buffer_init(&key, KEY_SIZE_MAX);
    bool good = buffer_reserve(&key, secret.size) && verifier_decode_key(&k->form->words, secret, &key, error) &&
                make_key(k, buffer_view(&key), error);
    if (key.data) secret_wipe(key.data, key.capacity);
    buffer_close(&key);
    if (good && k->form->signs_key) {
        k->secret = given->secret;
        given->secret = NULL;
    }
    return good || error_context(error, "secret '%s'", k->name);
}

struct verifier *verifier_new(const struct scheme *s, struct verifier_secret *secrets, size_t count,
                              struct error *error)
{
    struct verifier *v = NULL;
    bool good = false;
    if (count == 0 || count > VERIFIER_SECRETS_MAX)
        error_set(error, ERROR_INVALID, "scheme '%s' takes 1 to %d secrets", s->name, VERIFIER_SECRETS_MAX);
    else if (!(v = calloc(1, sizeof *v)))
        error_set(error, ERROR_MEMORY, "no memory for a verifier");
    if (v) {
        v->scheme = s;
        good = true;
        for (size_t i = 0; i < count && good; i++)
            good = add_key(v, &secrets[i], error);
    }
    for (size_t i = 0; i < count; i++) {
        secret_free(secrets[i].secret);
        secrets[i].secret = NULL;
    }
    if (good) return v;
    verifier_free(v);
    return NULL;
}

static void free_topics(struct verifier *v)
{
    for (size_t i = 0; i < v->topics.count; i++)
        free(v->topics.items[i]);
    free(v->topics.items);
    v->topics = (struct config_list){NULL, 0};
}

void verifier_free(struct verifier *v)
{
    if (!v) return;
    for (size_t i = 0; i < v->count; i++) {
        signature_key_free(v->keys[i].mac);
        signature_public_free(v->keys[i].public_key);
        secret_free(v->keys[i].secret);
    }
    free_topics(v);
    secret_wipe(v, sizeof *v);
    free(v);
}

const struct scheme *verifier_scheme(const struct verifier *v)
{
    return v->scheme;
}

size_t verifier_count(const struct verifier *v)
{
    return v->count;
}

const char *verifier_secret_name(const struct verifier *v, size_t index)
{
    return v->keys[index].name;
}

bool verifier_set_topics(struct verifier *v, char *const *arns, size_t count)
{
    free_topics(v);
    v->topics.items = calloc(count + 1, sizeof *v->topics.items);
    if (!v->topics.items) return false;
    for (; v->topics.count < count; v->topics.count++)
        if (!(v->topics.items[v->topics.count] = bytes_dup(bytes_of(arns[v->topics.count])))) return false;
    return true;
}

bool verifier_hmac(const struct verifier *v, struct bytes text, int64_t now_s, uint8_t out[VERIFIER_HMAC_SIZE])
{
    const struct signature_key *key = NULL;
    for (size_t i = 0; i < v->count && !key; i++)
        if (v->keys[i].form->words.algorithm == ALGORITHM_HMAC_SHA256 &&
            (v->keys[i].until_s == 0 || now_s < v->keys[i].until_s))
            key = v->keys[i].mac;
    struct signature_mac *mac = key ? signature_mac_new(key) : NULL;
    if (!mac) return false;
    signature_mac_update(mac, text.data, text.size);
    signature_mac_final(mac, out);
    signature_mac_free(mac);
    return true;
}
