/* scheme_sign.c: a delivery signed as a provider does it, out of the same words that verify it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "scheme_sign.h"
#include "signature_public.h"
#include "text.h"
#include "verification_parts.h"
#include <inttypes.h>
#include <stdlib.h>

enum { MADE_MAX = 8, VALUE_MAX = 16 * 1024 };
#define PRIVATE_PREFIX "whsk_" /* Standard Webhooks: an Ed25519 seed with its public key behind, in base64 */

/* Headers that signing adds to those that the sender gave. */
struct signer {
    const struct scheme *scheme;
    const struct scheme_form *form;
    const struct scheme_signing *what;
    size_t count;
    struct {
        const char *name;
        struct buffer value;
    } made[MADE_MAX];
    struct buffer time;
};

static size_t find_made(void *ctx, const char *name, struct bytes *value)
{
    struct signer *s = ctx;
    for (size_t i = 0; i < s->count; i++) {
        if (!text_equal_ignore_case(bytes_of(s->made[i].name), bytes_of(name))) continue;
        *value = buffer_view(&s->made[i].value);
        return 1;
    }
    return s->what->request.find ? s->what->request.find(s->what->request.ctx, name, value) : 0;
}

static void make_header(struct signer *s, const char *name, struct bytes value)
{
    struct bytes known;
    if (find_made(s, name, &known) > 0 || s->count == MADE_MAX) return;
    buffer_init(&s->made[s->count].value, VALUE_MAX);
    buffer_bytes(&s->made[s->count].value, value);
    s->made[s->count++].name = name;
}

static void format_time(struct signer *s)
{
    char text[TEXT_TIME_SIZE];
    switch ((enum scheme_time_unit)s->scheme->forms[0].words.timestamp_unit) {
    case UNIT_S: buffer_format(&s->time, "%" PRId64, s->what->now_ms / 1000); break;
    case UNIT_MS: buffer_format(&s->time, "%" PRId64, s->what->now_ms); break;
    case UNIT_ISO8601:
        text_format_time(s->what->now_ms * 1000, text);
        buffer_text(&s->time, text);
        break;
    }
}

/* The time's header and the id's; a header that is there already stays, and its time is the one that is signed. */
static void make_headers(struct signer *s)
{
    const struct scheme *scheme = s->scheme;
    const struct template_part *time = scheme->timestamp.count > 0 ? &scheme->timestamp.parts[0] : NULL;
    struct bytes given;
    if (time && time->token == TEMPLATE_HEADER) {
        if (find_made(s, time->argument, &given) == 1)
            buffer_bytes(&s->time, given);
        else
            format_time(s);
        make_header(s, time->argument, buffer_view(&s->time));
    } else if (time) {
        format_time(s);
    }
    for (size_t i = 0; i < scheme->delivery_id.count && s->what->id.size > 0; i++) {
        const struct template_part *part = &scheme->delivery_id.parts[i];
        if (part->has_token && part->token == TEMPLATE_HEADER) make_header(s, part->argument, s->what->id);
    }
}

static struct template_source source_of(struct signer *s, struct bytes key)
{
    const struct scheme_words *w = &s->scheme->forms[0].words;
    return (struct template_source){.find = find_made,
                                    .ctx = s,
                                    .method = s->what->request.method,
                                    .url = s->what->request.url,
                                    .query = s->what->request.query,
                                    .body = s->what->body,
                                    .timestamp = buffer_view(&s->time),
                                    .key = key,
                                    .list_separator = *w->list_separator,
                                    .tag_separator = *w->tag_separator};
}

static bool fill(const struct template *t, const struct template_source *source, struct buffer *out,
                 struct error *error)
{
    static const char *const faults[] = {[TEMPLATE_ABSENT] = "something that is signed is missing: a header or the URL",
                                         [TEMPLATE_TWICE] = "a header that is signed stands there twice",
                                         [TEMPLATE_BAD] = "a signed header holds the separator",
                                         [TEMPLATE_NO_MEMORY] = "no memory"};
    enum template_fault fault = template_fill_signed(t, source, out);
    return fault == TEMPLATE_FINE || error_set(error, ERROR_INVALID, "%s", faults[fault]);
}

/* What the special ones sign, found by their own extraction; it wants a signature to be there, so it gets a false one.
 */
static bool special_message(struct signer *s, struct buffer *out, struct error *error)
{
    static const char zeros[] = "AAAAAAAAAAAAAAAAAAAAAAAAAAA="; /* 20 bytes */
    struct scheme_request request = s->what->request;
    request.find = find_made;
    request.ctx = s;
    struct scheme_proofs *p = calloc(1, sizeof *p);
    if (!p) return error_set(error, ERROR_MEMORY, "no memory for a signature");
    buffer_init(&p->text, PROOFS_TEXT_MAX);
    size_t before = s->count;
    make_header(s, s->scheme->forms[0].words.signature_header, bytes_of(zeros));
    enum scheme_reason reason = scheme_algorithm_of(s->form)->extract(s->scheme, &request, s->what->body, p);
    while (s->count > before)
        buffer_close(&s->made[--s->count].value);
    if (reason == SCHEME_OK) {
        /* Without the port and with it: the one that the URL itself shows. */
        struct bytes url = request.url;
        const struct scheme_proof *proof = &p->items[0];
        for (size_t i = 0; i < p->count; i++) {
            const struct scheme_proof *other = &p->items[i];
            if (other->message_size >= url.size && memcmp(p->text.data + other->message_at, url.data, url.size) == 0)
                proof = other;
        }
        buffer_append(out, p->text.data + proof->message_at, proof->message_size);
    }
    buffer_close(&p->text);
    free(p);
    return reason == SCHEME_OK ||
           error_set(error, ERROR_INVALID,
                     "can't be signed: %s (the URL, a form, or a JSON body with bodySHA256 in the "
                     "URL's query?)",
                     scheme_reason_name(reason));
}

static bool make_message(struct signer *s, struct bytes key, struct buffer *out, struct error *error)
{
    struct template_source source = source_of(s, key);
    if (scheme_algorithm_of(s->form)->mechanism == MECHANISM_PROOFS) return special_message(s, out, error);
    if (!fill(&s->form->before, &source, out, error)) return false;
    if (s->form->signs_body) buffer_bytes(out, s->what->body);
    return fill(&s->form->after, &source, out, error);
}

bool scheme_sign_digest(const struct scheme_form *f, struct bytes key, struct bytes message, struct buffer *out,
                        struct error *error)
{
    enum signature_hash hash = scheme_algorithm_of(f)->hash;
    bool plain = f->words.algorithm == ALGORITHM_SHA256;
    struct signature_key *k = plain ? signature_key_plain(hash, error) : signature_key_new(hash, key, error);
    struct signature_mac *mac = k ? signature_mac_new(k) : NULL;
    uint8_t result[SIGNATURE_DIGEST_MAX];
    if (mac) {
        signature_mac_update(mac, message.data, message.size);
        signature_mac_final(mac, result);
        buffer_append(out, result, signature_key_size(k));
    } else if (k) {
        error_set(error, ERROR_MEMORY, "no memory for a signature");
    }
    bool done = mac != NULL;
    signature_mac_free(mac);
    signature_key_free(k);
    return done;
}

bool scheme_sign_private(const struct scheme_form *f, struct bytes key, struct bytes message, struct buffer *out,
                         struct error *error)
{
    struct signature_private *private_key;
    bool raw = f->words.algorithm == ALGORITHM_ED25519 && key.size <= 2 * SIGNATURE_ED25519_KEY_SIZE;
    if (raw && key.size == 2 * SIGNATURE_ED25519_KEY_SIZE) key.size = SIGNATURE_ED25519_KEY_SIZE; /* the public one */
    enum signature_scheme scheme = f->words.algorithm == ALGORITHM_ED25519 ? SIGNATURE_ED25519
                                   : f->words.algorithm == ALGORITHM_ECDSA ? SIGNATURE_ECDSA
                                                                           : SIGNATURE_RSA;
    private_key = raw ? signature_private_raw(key, error) : signature_private_new(scheme, key, error);
    bool done = private_key && signature_private_sign(private_key, SIGNATURE_SHA256, message, out, error);
    signature_private_free(private_key);
    return done || error_context(error, "private key");
}

static void encode(enum scheme_encoding encoding, struct bytes signature, struct buffer *out)
{
    char hex[2 * 64 + 1];
    if (encoding == ENCODING_BASE64)
        text_base64(signature, out);
    else if (encoding == ENCODING_HEX && signature.size <= 64)
        buffer_text(out, (text_hex(signature.data, signature.size, hex), hex));
    else
        buffer_bytes(out, signature);
}

/* The signature header's line: the time's entry first where the scheme has one there. */
static void write_signature(struct signer *s, struct bytes signature, struct buffer *lines)
{
    const struct scheme_words *w = &s->form->words, *first = &s->scheme->forms[0].words;
    const struct template_part *time = s->scheme->timestamp.count > 0 ? &s->scheme->timestamp.parts[0] : NULL;
    size_t name = strcspn(first->signature_header, "#");
    buffer_format(lines, "%.*s%s: ", (int)name, first->signature_header, s->scheme->numbered ? "1" : "");
    if (time && time->token == TEMPLATE_SIGNATURE)
        buffer_format(lines, "%s%s%s%s", time->argument, w->tag_separator, buffer_cstr(&s->time), w->list_separator);
    if (*w->version_tag) buffer_format(lines, "%s%s", w->version_tag, w->tag_separator);
    bool as_it_is = w->algorithm == ALGORITHM_EQUAL || w->algorithm == ALGORITHM_NETLIFY;
    enum scheme_encoding encoding = as_it_is ? ENCODING_TEXT : (enum scheme_encoding)w->encoding;
    encode(encoding, signature, lines);
    buffer_byte(lines, '\n');
}

/* Netlify's header carries the signed text as well. */
static bool make_token(struct signer *s, struct bytes key, struct buffer *out, struct error *error)
{
    struct buffer signature;
    buffer_init(&signature, SIGNATURE_DIGEST_MAX);
    scheme_netlify_message(s->what->body, out);
    bool good = scheme_sign_digest(s->form, key, buffer_view(out), &signature, error);
    buffer_byte(out, '.');
    scheme_netlify_encode(buffer_view(&signature), out);
    buffer_close(&signature);
    return good;
}

static bool make_signature(struct signer *s, struct bytes key, struct buffer *out, struct error *error)
{
    struct buffer message;
    if (s->form->words.algorithm == ALGORITHM_EQUAL) {
        buffer_bytes(out, key);
        return true;
    }
    if (s->form->words.algorithm == ALGORITHM_NETLIFY) return make_token(s, key, out, error);
    buffer_init(&message, PROOFS_TEXT_MAX);
    bool good = make_message(s, key, &message, error);
    if (good && scheme_algorithm_of(s->form)->key == MECHANISM_PUBLIC)
        good = scheme_sign_private(s->form, key, buffer_view(&message), out, error);
    else
        good = good && scheme_sign_digest(s->form, key, buffer_view(&message), out, error);
    buffer_close(&message);
    return good;
}

static bool write_lines(struct signer *s, struct bytes key, struct buffer *lines, struct error *error)
{
    struct buffer signature;
    buffer_init(&signature, VALUE_MAX);
    make_headers(s);
    bool good = make_signature(s, key, &signature, error);
    for (size_t i = 0; good && i < s->count; i++)
        buffer_format(lines, "%s: %s\n", s->made[i].name, buffer_cstr(&s->made[i].value));
    if (good) write_signature(s, buffer_view(&signature), lines);
    buffer_close(&signature);
    return good;
}

/* The scheme's form and the key behind the secret's prefix. */
static bool choose_key(struct signer *s, struct bytes secret, struct buffer *key, struct error *error)
{
    size_t size = strlen(PRIVATE_PREFIX);
    bool is_private = secret.size > size && memcmp(secret.data, PRIVATE_PREFIX, size) == 0;
    s->form = verifier_form(s->scheme, secret);
    for (size_t i = 0; is_private && i < s->scheme->form_count; i++)
        if (s->scheme->forms[i].words.algorithm == ALGORITHM_ED25519) s->form = &s->scheme->forms[i];
    if (is_private) secret = (struct bytes){secret.data + size, secret.size - size};
    return buffer_reserve(key, secret.size) && verifier_decode_key(&s->form->words, secret, key, error);
}

bool scheme_sign(const struct scheme *scheme, struct bytes secret, const struct scheme_signing *what,
                 struct buffer *lines, struct buffer *body, struct error *error)
{
    struct signer s = {.scheme = scheme, .what = what};
    struct buffer key;
    buffer_init(&key, VALUE_MAX * 4);
    buffer_init(&s.time, 64);
    bool good = choose_key(&s, secret, &key, error) &&
                (scheme_algorithm_of(s.form)->in_body ? scheme_sign_body(s.form, buffer_view(&key), what, body, error)
                                                      : write_lines(&s, buffer_view(&key), lines, error));
    for (size_t i = 0; i < s.count; i++)
        buffer_close(&s.made[i].value);
    if (key.data) secret_wipe(key.data, key.capacity);
    buffer_close(&key);
    buffer_close(&s.time);
    if (!good) return error_context(error, "scheme '%s'", scheme->name);
    return (buffer_ok(lines) && buffer_ok(body)) || error_set(error, ERROR_TOO_LARGE, "the header lines are too long");
}
