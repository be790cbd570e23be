/* secret_sealed.c: sealed secrets and the key file.
 * SPDX-License-Identifier: Apache-2.0 */
#include "secret_sealed.h"
#include "signature.h"
#include "text.h"
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { KEY_SIZE = 32, KEY_ID_DIGITS = 8, KEY_ID_SIZE = KEY_ID_DIGITS + 1, NONCE_SIZE = 12, TAG_SIZE = 16 };
enum { PLACE_MAX = 64 * 1024 };
#define PREFIX  "sealed:"
#define VERSION "sealed:v1:"

struct keyring {
    size_t count;
    struct key {
        char id[KEY_ID_SIZE];
        struct secret *secret;
    } keys[KEYRING_KEYS_MAX];
};

/* ---- the key file ---- */

void keyring_free(struct keyring *k)
{
    if (!k) return;
    for (size_t i = 0; i < k->count; i++)
        secret_free(k->keys[i].secret);
    free(k);
}

static const struct key *find_key(const struct keyring *k, const char *id)
{
    for (size_t i = 0; i < k->count; i++)
        if (strcmp(k->keys[i].id, id) == 0) return &k->keys[i];
    return NULL;
}

static void name_key(struct bytes key, char id[KEY_ID_SIZE])
{
    const struct bytes pieces[] = {BYTES_LITERAL("drawbridge registry key\n"), key};
    uint8_t digest[SIGNATURE_SHA256_SIZE];
    signature_sha256(pieces, 2, digest);
    text_hex(digest, KEY_ID_DIGITS / 2, id);
}

static bool decode_key(struct bytes line, uint8_t out[KEY_SIZE])
{
    if (line.size == 2 * KEY_SIZE) return text_unhex(line, out, KEY_SIZE);
    struct buffer decoded;
    buffer_init(&decoded, 2 * KEY_SIZE);
    bool good = buffer_reserve(&decoded, 2 * KEY_SIZE) && /* so that it never moves and leaves a copy behind */
                text_unbase64(line, &decoded) && decoded.size == KEY_SIZE;
    if (good) memcpy(out, decoded.data, KEY_SIZE);
    if (decoded.data) OPENSSL_cleanse(decoded.data, decoded.capacity);
    buffer_close(&decoded);
    return good;
}

static bool add_key(struct keyring *k, struct bytes line, struct error *error)
{
    uint8_t bytes[KEY_SIZE];
    if (k->count == KEYRING_KEYS_MAX) return error_set(error, ERROR_TOO_LARGE, "more than %d keys", KEYRING_KEYS_MAX);
    if (!decode_key(line, bytes))
        return error_set(error, ERROR_INVALID, "not 32 bytes as 64 lower-case hex digits or as base64");
    struct key *key = &k->keys[k->count];
    name_key((struct bytes){bytes, sizeof bytes}, key->id);
    bool known = find_key(k, key->id) != NULL;
    key->secret = known ? NULL : secret_copy((struct bytes){bytes, sizeof bytes}, error);
    OPENSSL_cleanse(bytes, sizeof bytes);
    if (known) return error_set(error, ERROR_INVALID, "key %s stands there twice", key->id);
    if (!key->secret) return false;
    k->count++;
    return true;
}

static struct bytes next_line(struct bytes *text)
{
    const uint8_t *end = memchr(text->data, '\n', text->size);
    size_t size = end ? (size_t)(end - text->data) : text->size, skip = end ? size + 1 : size;
    struct bytes line = {text->data, size};
    *text = (struct bytes){text->data + skip, text->size - skip};
    if (line.size > 0 && line.data[line.size - 1] == '\r') line.size--;
    return line;
}

struct keyring *keyring_parse(struct bytes text, struct error *error)
{
    struct keyring *k = calloc(1, sizeof *k);
    if (!k) {
        error_set(error, ERROR_MEMORY, "no memory for the keys");
        return NULL;
    }
    bool good = true;
    for (int number = 1; good && text.size > 0; number++) {
        struct bytes line = next_line(&text);
        if (line.size == 0 || line.data[0] == '#') continue;
        good = add_key(k, line, error) || error_context(error, "line %d", number);
    }
    if (good && k->count == 0) good = error_set(error, ERROR_INVALID, "holds no key");
    if (good) return k;
    keyring_free(k);
    return NULL;
}

struct keyring *keyring_load(const char *path, struct error *error)
{
    char reference[4096];
    int size = snprintf(reference, sizeof reference, "file:%s", path);
    if (size < 0 || (size_t)size >= sizeof reference) {
        error_set(error, ERROR_INVALID, "the path of the key file is too long");
        return NULL;
    }
    struct secret *text = secret_resolve(bytes_of(reference), false, error);
    if (!text) return NULL;
    struct keyring *k = keyring_parse(secret_view(text), error);
    if (!k) error_context(error, "key file '%s'", path);
    secret_free(text);
    return k;
}

/* Short reads come only of signals, and for over 256 bytes. */
static bool draw(uint8_t *out, size_t size, struct error *error)
{
    if (getrandom(out, size, 0) == (ssize_t)size) return true;
    return error_set_errno(error, errno, "no random bytes from the kernel");
}

bool keyring_make_key(struct buffer *out, struct error *error)
{
    uint8_t key[KEY_SIZE];
    if (!draw(key, sizeof key, error)) return false;
    text_base64((struct bytes){key, sizeof key}, out);
    buffer_byte(out, '\n');
    OPENSSL_cleanse(key, sizeof key);
    return buffer_ok(out) || error_set(error, ERROR_MEMORY, "no memory for a key");
}

/* ---- sealing ---- */

bool sealed_is(struct bytes text)
{
    return text.size >= strlen(PREFIX) && memcmp(text.data, PREFIX, strlen(PREFIX)) == 0;
}

static bool split(struct bytes text, char id[KEY_ID_SIZE], struct bytes *blob)
{
    size_t head = strlen(VERSION) + KEY_ID_DIGITS + 1;
    uint8_t ignored[KEY_ID_DIGITS / 2];
    if (text.size <= head || text.size > SEALED_TEXT_MAX || memcmp(text.data, VERSION, strlen(VERSION)) != 0)
        return false;
    memcpy(id, text.data + strlen(VERSION), KEY_ID_DIGITS);
    id[KEY_ID_DIGITS] = 0;
    *blob = (struct bytes){text.data + head, text.size - head};
    return text.data[head - 1] == ':' && text_unhex(bytes_of(id), ignored, sizeof ignored);
}

/* Length-prefixed, so that no two places read the same. */
static void write_place(const struct sealed_place *place, const char *key_id, struct buffer *out)
{
    const struct bytes pieces[] = {bytes_of(VERSION), bytes_of(key_id), place->agent_id,
                                   place->scheme,     place->name,      place->record};
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        uint32_t size = (uint32_t)pieces[i].size;
        const uint8_t prefix[4] = {(uint8_t)(size >> 24), (uint8_t)(size >> 16), (uint8_t)(size >> 8), (uint8_t)size};
        buffer_append(out, prefix, sizeof prefix);
        buffer_bytes(out, pieces[i]);
    }
}

/* One pass of AES-256-GCM over `in`; the tag is written when sealing and compared when opening. */
struct pass {
    bool seal;
    struct bytes key, place;
    const uint8_t *nonce;
    struct bytes in;
    uint8_t *out; /* as large as in */
    uint8_t *tag;
};

static bool run_pass(const struct pass *p)
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int size = 0, rest = 0, seal = p->seal;
    bool good = c && EVP_CipherInit_ex2(c, EVP_aes_256_gcm(), p->key.data, p->nonce, seal, NULL) == 1 &&
                EVP_CipherUpdate(c, NULL, &size, p->place.data, (int)p->place.size) == 1 &&
                EVP_CipherUpdate(c, p->out, &size, p->in.data, (int)p->in.size) == 1 &&
                (seal || EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, TAG_SIZE, p->tag) == 1) &&
                EVP_CipherFinal_ex(c, p->out + size, &rest) == 1 && (size_t)(size + rest) == p->in.size &&
                (!seal || EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, TAG_SIZE, p->tag) == 1);
    EVP_CIPHER_CTX_free(c);
    return good;
}

bool sealed_make(const struct keyring *k, const struct sealed_place *place, struct bytes secret, struct buffer *out,
                 struct error *error)
{
    uint8_t blob[NONCE_SIZE + SEALED_SECRET_MAX + TAG_SIZE];
    if (secret.size == 0 || secret.size > SEALED_SECRET_MAX)
        return error_set(error, ERROR_INVALID, "a secret that is sealed has 1 to %d bytes", SEALED_SECRET_MAX);
    if (!draw(blob, NONCE_SIZE, error)) return false;
    struct buffer about;
    buffer_init(&about, PLACE_MAX);
    write_place(place, k->keys[0].id, &about);
    const struct pass p = {.seal = true,
                           .key = secret_view(k->keys[0].secret),
                           .place = buffer_view(&about),
                           .nonce = blob,
                           .in = secret,
                           .out = blob + NONCE_SIZE,
                           .tag = blob + NONCE_SIZE + secret.size};
    bool good = buffer_ok(&about) && run_pass(&p);
    buffer_close(&about);
    if (!good) return error_set(error, ERROR_INTERNAL, "the secret could not be sealed");
    buffer_format(out, VERSION "%s:", k->keys[0].id);
    text_base64((struct bytes){blob, NONCE_SIZE + secret.size + TAG_SIZE}, out);
    return buffer_ok(out) || error_set(error, ERROR_TOO_LARGE, "no room for a sealed secret");
}

static struct secret *open_blob(const struct key *key, const struct sealed_place *place, struct bytes blob,
                                struct error *error)
{
    uint8_t plain[SEALED_SECRET_MAX], tag[TAG_SIZE];
    size_t size = blob.size - NONCE_SIZE - TAG_SIZE;
    memcpy(tag, blob.data + NONCE_SIZE + size, TAG_SIZE);
    struct buffer about;
    buffer_init(&about, PLACE_MAX);
    write_place(place, key->id, &about);
    const struct pass p = {.key = secret_view(key->secret),
                           .place = buffer_view(&about),
                           .nonce = blob.data,
                           .in = {blob.data + NONCE_SIZE, size},
                           .out = plain,
                           .tag = tag};
    struct secret *s = NULL;
    if (buffer_ok(&about) && run_pass(&p))
        s = secret_copy((struct bytes){plain, size}, error);
    else
        error_set(error, ERROR_DENIED,
                  "does not open: it was sealed for another agent, scheme, name or record, or something was changed");
    OPENSSL_cleanse(plain, sizeof plain); /* GCM decrypts before it knows the tag is right */
    buffer_close(&about);
    return s;
}

struct secret *sealed_open(const struct keyring *k, const struct sealed_place *place, struct bytes text,
                           struct error *error)
{
    char id[KEY_ID_SIZE];
    struct bytes encoded;
    if (!split(text, id, &encoded)) {
        error_set(error, ERROR_INVALID, "is not of the form sealed:v1:<key id>:<base64>");
        return NULL;
    }
    const struct key *key = find_key(k, id);
    if (!key) {
        error_set(error, ERROR_NOT_FOUND, "was sealed with key %s, which is not in the key file", id);
        return NULL;
    }
    struct buffer blob;
    struct secret *s = NULL;
    buffer_init(&blob, NONCE_SIZE + SEALED_SECRET_MAX + TAG_SIZE);
    if (text_unbase64(encoded, &blob) && blob.size > NONCE_SIZE + TAG_SIZE)
        s = open_blob(key, place, buffer_view(&blob), error);
    else
        error_set(error, ERROR_INVALID, "is not of the form sealed:v1:<key id>:<base64>");
    buffer_close(&blob);
    return s;
}
