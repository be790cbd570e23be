/* certificates.h: certificates and keys for tests, made on the spot and written as PEM files.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct pem_files {
    char folder[64], certificate[96], key[96];
};

static void pem_write(const char *path, const gnutls_datum_t *pem)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, pem->data, pem->size), (ssize_t)pem->size);
    close(fd);
}

/* A fresh self-signed certificate for `name`, valid from `begins_s` to `expires_s`, over the files there. */
static void pem_make(const struct pem_files *files, const char *name, time_t begins_s, time_t expires_s)
{
    gnutls_x509_privkey_t key;
    gnutls_x509_crt_t crt;
    gnutls_datum_t pem;
    const unsigned char serial = 1;
    assert_int_equal(gnutls_x509_privkey_init(&key), 0);
    assert_int_equal(
        gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0), 0);
    assert_int_equal(gnutls_x509_crt_init(&crt), 0);
    assert_int_equal(gnutls_x509_crt_set_version(crt, 3), 0);
    assert_int_equal(gnutls_x509_crt_set_serial(crt, &serial, 1), 0);
    assert_int_equal(gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, name, (unsigned)strlen(name)),
                     0);
    assert_int_equal(gnutls_x509_crt_set_activation_time(crt, begins_s), 0);
    assert_int_equal(gnutls_x509_crt_set_expiration_time(crt, expires_s), 0);
    assert_int_equal(gnutls_x509_crt_set_key(crt, key), 0);
    assert_int_equal(gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0), 0);
    assert_int_equal(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &pem), 0);
    pem_write(files->certificate, &pem);
    gnutls_free(pem.data);
    assert_int_equal(gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &pem), 0);
    pem_write(files->key, &pem);
    gnutls_free(pem.data);
    gnutls_x509_crt_deinit(crt);
    gnutls_x509_privkey_deinit(key);
}

static void pem_open(struct pem_files *files)
{
    memcpy(files->folder, "/tmp/drawbridge-pem-XXXXXX", sizeof "/tmp/drawbridge-pem-XXXXXX");
    assert_non_null(mkdtemp(files->folder));
    snprintf(files->certificate, sizeof files->certificate, "%s/tls.crt", files->folder);
    snprintf(files->key, sizeof files->key, "%s/tls.key", files->folder);
}

static void pem_close(const struct pem_files *files)
{
    unlink(files->certificate);
    unlink(files->key);
    rmdir(files->folder);
}
