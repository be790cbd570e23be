/* signature_public.c: Ed25519, ECDSA and RSA over OpenSSL's EVP interface.
 * SPDX-License-Identifier: Apache-2.0 */
#include "signature_public.h"
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>

/* One private and one public face over the same OpenSSL object. */
struct signature_public {
    enum signature_scheme scheme;
    EVP_PKEY *key;
};
struct signature_private {
    struct signature_public half;
};

static const struct kind {
    const char *type, *called;
} kinds[] = {
    [SIGNATURE_ED25519] = {"ED25519", "an Ed25519 key"},
    [SIGNATURE_ECDSA] = {"EC", "an EC key on P-256"},
    [SIGNATURE_RSA] = {"RSA", "an RSA key"},
};

enum { RSA_BITS_MIN = 2048 };

static bool key_fits(enum signature_scheme scheme, const EVP_PKEY *key)
{
    char group[32];
    size_t size;
    if (!EVP_PKEY_is_a(key, kinds[scheme].type)) return false;
    if (scheme == SIGNATURE_RSA) return EVP_PKEY_get_bits(key) >= RSA_BITS_MIN;
    if (scheme != SIGNATURE_ECDSA) return true;
    return EVP_PKEY_get_group_name(key, group, sizeof group, &size) == 1 && strcmp(group, "prime256v1") == 0;
}

/* Takes the key over; OpenSSL's queue of reasons is of no use to anybody. */
static struct signature_public *adopt(enum signature_scheme scheme, EVP_PKEY *key, struct error *error)
{
    struct signature_public *result = NULL;
    ERR_clear_error();
    if (!key || !key_fits(scheme, key))
        error_set(error, ERROR_INVALID, "the key is not %s", kinds[scheme].called);
    else if (!(result = calloc(1, sizeof *result)))
        error_set(error, ERROR_MEMORY, "no memory for a key");
    if (result)
        *result = (struct signature_public){scheme, key};
    else
        EVP_PKEY_free(key);
    return result;
}

struct signature_public *signature_public_raw(struct bytes key, struct error *error)
{
    EVP_PKEY *raw = NULL;
    if (key.size == SIGNATURE_ED25519_KEY_SIZE)
        raw = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key.data, key.size);
    return adopt(SIGNATURE_ED25519, raw, error);
}

struct signature_public *signature_public_der(enum signature_scheme scheme, struct bytes der, struct error *error)
{
    const uint8_t *at = der.data;
    EVP_PKEY *key = der.size <= LONG_MAX ? d2i_PUBKEY(NULL, &at, (long)der.size) : NULL;
    if (key && at != der.data + der.size) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    return adopt(scheme, key, error);
}

static EVP_PKEY *key_of_certificate(BIO *text)
{
    X509 *certificate = PEM_read_bio_X509(text, NULL, NULL, NULL);
    EVP_PKEY *key = certificate ? X509_get_pubkey(certificate) : NULL;
    X509_free(certificate);
    return key;
}

struct signature_public *signature_public_pem(enum signature_scheme scheme, struct bytes pem, struct error *error)
{
    EVP_PKEY *key = NULL;
    BIO *text = pem.size <= INT_MAX ? BIO_new_mem_buf(pem.data, (int)pem.size) : NULL;
    if (text) key = PEM_read_bio_PUBKEY(text, NULL, NULL, NULL);
    if (text && !key && BIO_reset(text) == 1) key = key_of_certificate(text);
    BIO_free(text);
    return adopt(scheme, key, error);
}

void signature_public_free(struct signature_public *key)
{
    if (!key) return;
    EVP_PKEY_free(key->key);
    free(key);
}

static const char *hash_name(enum signature_scheme scheme, enum signature_hash hash)
{
    if (scheme == SIGNATURE_ED25519) return NULL; /* it hashes by itself */
    return scheme == SIGNATURE_RSA && hash == SIGNATURE_SHA1 ? "SHA1" : "SHA256";
}

bool signature_public_verify(const struct signature_public *key, enum signature_hash hash, struct bytes message,
                             struct bytes signature)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = ctx != NULL;
    good = good && EVP_DigestVerifyInit_ex(ctx, NULL, hash_name(key->scheme, hash), NULL, NULL, key->key, NULL) == 1;
    good = good && EVP_DigestVerify(ctx, signature.data, signature.size, message.data, message.size) == 1;
    EVP_MD_CTX_free(ctx);
    if (!good) ERR_clear_error(); /* a bad signature leaves its reasons in the thread's queue */
    return good;
}

/* ---- the private side ---- */

static struct signature_private *adopt_private(enum signature_scheme scheme, EVP_PKEY *key, struct error *error)
{
    return (struct signature_private *)(void *)adopt(scheme, key, error); /* the same object, its only member */
}

struct signature_private *signature_private_raw(struct bytes seed, struct error *error)
{
    EVP_PKEY *raw = NULL;
    if (seed.size == SIGNATURE_ED25519_KEY_SIZE)
        raw = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed.data, seed.size);
    return adopt_private(SIGNATURE_ED25519, raw, error);
}

struct signature_private *signature_private_new(enum signature_scheme scheme, struct bytes der_or_pem,
                                                struct error *error)
{
    const uint8_t *at = der_or_pem.data;
    EVP_PKEY *key = NULL;
    if (der_or_pem.size <= INT_MAX) {
        BIO *text = BIO_new_mem_buf(der_or_pem.data, (int)der_or_pem.size);
        if (text) key = PEM_read_bio_PrivateKey(text, NULL, NULL, NULL);
        BIO_free(text);
        if (!key) key = d2i_AutoPrivateKey(NULL, &at, (long)der_or_pem.size);
    }
    return adopt_private(scheme, key, error);
}

void signature_private_free(struct signature_private *key)
{
    if (key) signature_public_free(&key->half);
}

bool signature_private_sign(const struct signature_private *key, enum signature_hash hash, struct bytes message,
                            struct buffer *out, struct error *error)
{
    const struct signature_public *half = &key->half;
    uint8_t signature[1024]; /* an RSA key of 8192 bits */
    size_t size = sizeof signature;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = ctx != NULL;
    good = good && EVP_DigestSignInit_ex(ctx, NULL, hash_name(half->scheme, hash), NULL, NULL, half->key, NULL) == 1;
    good = good && EVP_DigestSign(ctx, signature, &size, message.data, message.size) == 1;
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    if (!good) return error_set(error, ERROR_INTERNAL, "OpenSSL could not sign with this key");
    buffer_append(out, signature, size);
    return buffer_ok(out) || error_set(error, ERROR_TOO_LARGE, "the signature is too long");
}
