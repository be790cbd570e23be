/* tls.c: PEM files to GnuTLS credentials, and those to a session.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tls.h"
#include "secret.h"
#include <errno.h>
#include <fcntl.h>
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdlib.h>
#include <unistd.h>

enum { FILE_MAX = 256 * 1024, CHAIN_MAX = 16, SOON_S = 14 * 24 * 3600 };

/* PFS: (EC)DHE key exchanges only. */
const char tls_priorities[] = "PFS:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";

struct tls_identity {
    int references;
    gnutls_certificate_credentials_t credentials;
    gnutls_datum_t ticket_key; /* sessions are resumed without state of ours */
    int64_t begins_s, expires_s;
};

/* ---- files ---- */

static bool read_file(const char *path, struct buffer *out, struct error *error)
{
    char piece[4096];
    ssize_t got = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) return error_set_errno(error, errno, "open '%s'", path);
    while (buffer_ok(out) && (got = read(fd, piece, sizeof piece)) > 0)
        buffer_append(out, piece, (size_t)got);
    int errnum = got < 0 ? errno : 0;
    close(fd);
    if (errnum != 0) return error_set_errno(error, errnum, "read '%s'", path);
    return buffer_ok(out) ? true : error_set(error, ERROR_TOO_LARGE, "'%s' is over %d bytes", path, FILE_MAX);
}

static gnutls_datum_t datum_of(struct bytes b)
{
    return (gnutls_datum_t){(unsigned char *)(uintptr_t)b.data, (unsigned)b.size}; /* GnuTLS only reads */
}

/* ---- certificate and key ---- */

/* That the chain can be parsed, with the leaf's dates. */
static bool check_chain(struct tls_identity *i, struct bytes pem, const char *path, struct error *error)
{
    gnutls_x509_crt_t chain[CHAIN_MAX];
    unsigned count = CHAIN_MAX;
    gnutls_datum_t data = datum_of(pem);
    int result = gnutls_x509_crt_list_import(chain, &count, &data, GNUTLS_X509_FMT_PEM,
                                             GNUTLS_X509_CRT_LIST_IMPORT_FAIL_IF_EXCEED);
    if (result == GNUTLS_E_SHORT_MEMORY_BUFFER)
        return error_set(error, ERROR_TOO_LARGE, "'%s' holds more than %d certificates", path, CHAIN_MAX);
    if (result < 1)
        return error_set(error, ERROR_INVALID, "'%s' holds no PEM certificate: %s", path, gnutls_strerror(result));
    i->begins_s = gnutls_x509_crt_get_activation_time(chain[0]);
    i->expires_s = gnutls_x509_crt_get_expiration_time(chain[0]);
    for (unsigned n = 0; n < count; n++)
        gnutls_x509_crt_deinit(chain[n]);
    return true;
}

static bool check_key(struct bytes pem, const char *path, struct error *error)
{
    gnutls_privkey_t key;
    gnutls_datum_t data = datum_of(pem);
    int result = gnutls_privkey_init(&key);
    if (result < 0) return error_set(error, ERROR_MEMORY, "no memory for a key");
    result = gnutls_privkey_import_x509_raw(key, &data, GNUTLS_X509_FMT_PEM, NULL, 0);
    gnutls_privkey_deinit(key);
    if (result == GNUTLS_E_DECRYPTION_FAILED)
        return error_set(error, ERROR_INVALID,
                         "'%s' holds a key with a password, which nobody is there to type; decrypt it "
                         "(openssl pkey -in OLD -out NEW)",
                         path);
    if (result < 0)
        return error_set(error, ERROR_INVALID, "'%s' holds no PEM private key: %s", path, gnutls_strerror(result));
    return true;
}

static bool load_key(struct tls_identity *i, struct bytes certificate, const char *key_path, struct error *error)
{
    struct buffer reference;
    buffer_init(&reference, FILE_MAX);
    buffer_format(&reference, "file:%s", key_path);
    struct secret *key = secret_resolve(buffer_view(&reference), false, error);
    buffer_close(&reference);
    if (!key) return false;
    bool good = check_key(secret_view(key), key_path, error);
    gnutls_datum_t chain_data = datum_of(certificate), key_data = datum_of(secret_view(key));
    int result = good ? gnutls_certificate_set_x509_key_mem2(i->credentials, &chain_data, &key_data,
                                                             GNUTLS_X509_FMT_PEM, NULL, 0)
                      : 0;
    secret_free(key);
    if (result == GNUTLS_E_CERTIFICATE_KEY_MISMATCH)
        return error_set(error, ERROR_INVALID, "the key in '%s' does not belong to the certificate", key_path);
    if (result < 0) return error_set(error, ERROR_INVALID, "certificate and key: %s", gnutls_strerror(result));
    return good;
}

static bool load(struct tls_identity *i, const char *certificate_path, const char *key_path, struct error *error)
{
    struct buffer certificate;
    buffer_init(&certificate, FILE_MAX);
    bool good = read_file(certificate_path, &certificate, error) &&
                check_chain(i, buffer_view(&certificate), certificate_path, error) &&
                load_key(i, buffer_view(&certificate), key_path, error);
    buffer_close(&certificate);
    return good;
}

struct tls_identity *tls_identity_load(const char *certificate_path, const char *key_path, struct error *error)
{
    struct tls_identity *i = calloc(1, sizeof *i);
    if (!i || gnutls_certificate_allocate_credentials(&i->credentials) < 0 ||
        gnutls_session_ticket_key_generate(&i->ticket_key) < 0) {
        error_set(error, ERROR_MEMORY, "no memory for a certificate");
        goto failed;
    }
    i->references = 1;
    if (load(i, certificate_path, key_path, error)) return i;
failed:
    if (i) i->references = 1;
    tls_identity_unref(i);
    return NULL;
}

struct tls_identity *tls_identity_ref(struct tls_identity *i)
{
    if (i) i->references++;
    return i;
}

void tls_identity_unref(struct tls_identity *i)
{
    if (!i || --i->references > 0) return;
    if (i->credentials) gnutls_certificate_free_credentials(i->credentials);
    if (i->ticket_key.data) {
        explicit_bzero(i->ticket_key.data, i->ticket_key.size);
        gnutls_free(i->ticket_key.data);
    }
    free(i);
}

int64_t tls_identity_expires_s(const struct tls_identity *i)
{
    return i->expires_s;
}

const char *tls_identity_warning(const struct tls_identity *i, int64_t now_s)
{
    if (now_s >= i->expires_s) return "expired";
    if (now_s < i->begins_s) return "not valid yet";
    return i->expires_s - now_s < SOON_S ? "expires soon" : NULL;
}

/* ---- sessions ---- */

bool tls_identity_serve(const struct tls_identity *i, gnutls_session_t session)
{
    static const gnutls_datum_t http = {(unsigned char *)(uintptr_t) "http/1.1", 8};
    if (gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, i->credentials) < 0) return false;
    gnutls_session_ticket_enable_server(session, &i->ticket_key); /* without them it is a full handshake each time */
    gnutls_alpn_set_protocols(session, &http, 1, 0);
    return true;
}

static int no_certificate(gnutls_session_t session, const struct gnutls_cert_retr_st *info,
                          gnutls_pcert_st **certificates, unsigned *count, gnutls_ocsp_data_st **ocsp,
                          unsigned *ocsp_count, gnutls_privkey_t *key, unsigned *flags)
{
    (void)session, (void)info, (void)certificates, (void)count, (void)ocsp, (void)ocsp_count, (void)key, (void)flags;
    return -1;
}

tls_function *tls_no_certificate(void)
{
    _Static_assert(sizeof(gnutls_certificate_retrieve_function3 *) == sizeof(tls_function *), "function pointers");
    gnutls_certificate_retrieve_function3 *function = no_certificate;
    return (tls_function *)function;
}
