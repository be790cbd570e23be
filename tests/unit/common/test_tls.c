/* test_tls.c: what is said of certificates and keys that do not do.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tls.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "certificates.h"

enum { DAY_S = 24 * 3600, NOW_S = 1000000 * 1000 };

static int setup(void **state)
{
    struct pem_files *files = calloc(1, sizeof *files);
    pem_open(files);
    pem_make(files, "test", NOW_S - DAY_S, NOW_S + 100 * DAY_S);
    *state = files;
    return 0;
}

static int teardown(void **state)
{
    pem_close(*state);
    free(*state);
    return 0;
}

static void refused(const char *certificate, const char *key, const char *wanted)
{
    struct error error = {0};
    assert_null(tls_identity_load(certificate, key, &error));
    if (!strstr(error.text, wanted)) fail_msg("'%s' does not say '%s'", error.text, wanted);
    assert_null(strstr(error.text, "BEGIN"));
}

static void dates(void **state)
{
    struct pem_files *files = *state;
    struct error error = {0};
    struct tls_identity *i = tls_identity_load(files->certificate, files->key, &error);
    if (!i) fail_msg("%s", error.text);
    assert_int_equal(tls_identity_expires_s(i), NOW_S + 100 * DAY_S);
    assert_null(tls_identity_warning(i, NOW_S));
    assert_string_equal(tls_identity_warning(i, NOW_S - 2 * DAY_S), "not valid yet");
    assert_string_equal(tls_identity_warning(i, NOW_S + 90 * DAY_S), "expires soon");
    assert_string_equal(tls_identity_warning(i, NOW_S + 100 * DAY_S), "expired");
    assert_ptr_equal(tls_identity_ref(i), i);
    tls_identity_unref(i);
    tls_identity_unref(i);
    tls_identity_unref(NULL);
}

static void files_that_do_not_do(void **state)
{
    struct pem_files *files = *state, other;
    refused("/nowhere/tls.crt", files->key, "open '/nowhere/tls.crt'");
    refused(files->certificate, "/nowhere/tls.key", "/nowhere/tls.key");
    refused(files->key, files->key, "holds no PEM certificate");
    refused(files->certificate, files->certificate, "holds no PEM private key");
    refused(files->folder, files->key, "read '");
    refused("/dev/zero", files->key, "is over");
    pem_open(&other);
    pem_make(&other, "other", NOW_S - DAY_S, NOW_S + DAY_S);
    refused(files->certificate, other.key, "does not belong to the certificate");
    assert_int_equal(chmod(files->key, 0644), 0);
    refused(files->certificate, files->key, "mode 0644 lets others at it");
    pem_close(&other);
}

static void a_key_with_a_password(void **state)
{
    struct pem_files *files = *state;
    gnutls_x509_privkey_t key;
    unsigned char pem[8192];
    size_t size = sizeof pem;
    assert_int_equal(gnutls_x509_privkey_init(&key), 0);
    assert_int_equal(gnutls_x509_privkey_generate(key, GNUTLS_PK_EDDSA_ED25519, 0, 0), 0);
    assert_int_equal(
        gnutls_x509_privkey_export_pkcs8(key, GNUTLS_X509_FMT_PEM, "secret", GNUTLS_PKCS_PBES2_AES_256, pem, &size), 0);
    pem_write(files->key, &(gnutls_datum_t){pem, (unsigned)size});
    refused(files->certificate, files->key, "a key with a password");
    gnutls_x509_privkey_deinit(key);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(dates),
        TEST(files_that_do_not_do),
        TEST(a_key_with_a_password),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
