/* signature.h: digests and MACs over OpenSSL, streaming, compared in constant time.
 * Algorithms are fetched once (signature_init); contexts belong to one thread at a time.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "buffer.h"
#include "error.h"

enum { SIGNATURE_SHA256_SIZE = 32 };

/* Fetches the algorithms (traps 6: once, not per request).  Call once before threads start. */
bool signature_init(struct error *error);
void signature_close(void);

/* SHA-256 of the concatenation of `count` pieces.  Aborts without memory: a wrong digest must not leave it.  Any
 * thread; each keeps its working memory, which signature_close frees for its own thread alone. */
void signature_sha256(const struct bytes *pieces, size_t count, uint8_t out[SIGNATURE_SHA256_SIZE]);

/* A key that was expanded once; duplicated cheaply for each message.  NULL for an empty key. */
enum signature_hash { SIGNATURE_SHA256, SIGNATURE_SHA1 };
enum { SIGNATURE_SHA1_SIZE = 20, SIGNATURE_DIGEST_MAX = SIGNATURE_SHA256_SIZE };
struct signature_key;
struct signature_key *signature_key_new(enum signature_hash hash, struct bytes key, struct error *error);
/* The same without a key: what comes out is the plain digest of the message. */
struct signature_key *signature_key_plain(enum signature_hash hash, struct error *error);
void signature_key_free(struct signature_key *key);
/* Of what signature_mac_final writes. */
size_t signature_key_size(const struct signature_key *key);

/* HMAC (RFC 2104) or digest of one message, fed in pieces.  It keeps nothing of the key object.  NULL without
 * memory. */
struct signature_mac;
struct signature_mac *signature_mac_new(const struct signature_key *key);
void signature_mac_update(struct signature_mac *mac, const void *data, size_t size);
/* Ends the message; the mac may then be freed or re-used through signature_mac_reset. */
void signature_mac_final(struct signature_mac *mac, uint8_t out[SIGNATURE_DIGEST_MAX]);
/* Begins a new message under (possibly) another key, re-using the mac; false without memory. */
bool signature_mac_reset(struct signature_mac *mac, const struct signature_key *key);
void signature_mac_free(struct signature_mac *mac);

/* Constant time over `size` bytes. */
bool signature_equal(const void *a, const void *b, size_t size);
