/* tls.h: the listener's certificate and key, for GnuTLS inside libmicrohttpd.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "error.h"
#include <stdint.h>

struct gnutls_session_int;

/* TLS 1.2 and 1.3 with forward secrecy, nothing older. */
extern const char tls_priorities[];

/* A certificate chain with its key.  Shared: the listener holds the present one, each connection the one that it began
 * with, so that a reload disturbs nobody.  Main thread. */
struct tls_identity;

/* Reads two PEM files: the chain, leaf first, and its key (permissions as for every secret: see secret.h).  NULL with a
 * sentence that names the file: unreadable, no PEM, a key with a password, or one that does not match.  The caller lets
 * it go with tls_identity_unref.  An expired certificate loads: see tls_identity_warning. */
struct tls_identity *tls_identity_load(const char *certificate_path, const char *key_path, struct error *error);
struct tls_identity *tls_identity_ref(struct tls_identity *i);
void tls_identity_unref(struct tls_identity *i); /* NULL is legal */
/* When the leaf ends to be valid, in seconds since 1970. */
int64_t tls_identity_expires_s(const struct tls_identity *i);
/* NULL, or what is wrong with its dates at `now_s`: "expired", "not valid yet", "expires soon" (within 14 days). */
const char *tls_identity_warning(const struct tls_identity *i, int64_t now_s);

/* Gives a server session its identity; it must outlive the handshake.  False: the handshake will fail. */
bool tls_identity_serve(const struct tls_identity *i, struct gnutls_session_int *session);
/* libmicrohttpd wants a certificate, or such a function, before it starts (MHD_OPTION_HTTPS_CERT_CALLBACK2); this one
 * has none for a session that tls_identity_serve did not reach. */
typedef void tls_function(void);
tls_function *tls_no_certificate(void);
