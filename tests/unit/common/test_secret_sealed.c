/* test_secret_sealed.c: a sealed secret opens at its own place with its own key, whole, and nowhere else.
 * SPDX-License-Identifier: Apache-2.0 */
#include "secret_sealed.h"
#include "signature.h"
#include "text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka wants its headers first */
#include <cmocka.h>

#define HEX_A    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define HEX_B    "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define BASE64_A "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define HEAD_A   "sealed:v1:91fc12d6:" /* what that key seals begins so */

static const struct sealed_place home = {
    .agent_id = BYTES_LITERAL("triage"), .scheme = BYTES_LITERAL("github"), .name = BYTES_LITERAL("current")};

static struct keyring *keys(const char *text)
{
    struct error error = {0};
    struct keyring *k = keyring_parse(bytes_of(text), &error);
    if (!k) fail_msg("%s", error.text);
    return k;
}

static void seal(const struct keyring *k, const struct sealed_place *place, const char *secret, struct buffer *out)
{
    struct error error = {0};
    buffer_init(out, SEALED_TEXT_MAX);
    if (!sealed_make(k, place, bytes_of(secret), out, &error)) fail_msg("%s", error.text);
}

static void expect_opens(const struct keyring *k, struct bytes text, const char *secret)
{
    struct error error = {0};
    struct secret *s = sealed_open(k, &home, text, &error);
    if (!s) fail_msg("%s", error.text);
    assert_true(bytes_are(secret_view(s), secret));
    secret_free(s);
}

static enum error_code refusal(const struct keyring *k, const struct sealed_place *place, struct bytes text)
{
    struct error error = {0};
    struct secret *s = sealed_open(k, place, text, &error);
    if (s) fail_msg("it opened: %.*s", (int)text.size, (const char *)text.data);
    assert_null(strstr(error.text, "hunter2"));
    return error.code;
}

static void it_opens_where_it_belongs(void **state)
{
    (void)state;
    struct keyring *k = keys(HEX_A "\n");
    struct buffer text, again;
    seal(k, &home, "hunter2", &text);
    assert_true(sealed_is(buffer_view(&text)));
    assert_memory_equal(text.data, HEAD_A, strlen(HEAD_A));
    assert_null(strstr(buffer_cstr(&text), "hunter2"));
    expect_opens(k, buffer_view(&text), "hunter2");
    seal(k, &home, "hunter2", &again);
    assert_string_not_equal(buffer_cstr(&text), buffer_cstr(&again)); /* a fresh nonce */
    buffer_close(&text);
    buffer_close(&again);
    keyring_free(k);
}

/* Independent of our code: made with Python's cryptography (AESGCM), to pin the format down. */
static void a_text_made_elsewhere_opens(void **state)
{
    (void)state;
    struct keyring *k = keys(BASE64_A);
    expect_opens(k, bytes_of(HEAD_A "AAAAAAAAAAAAAAAAZsnbqtBesXw2kk3q+YUJHM0h1coDWIU="), "hunter2");
    keyring_free(k);
}

static void every_flipped_bit_is_refused(void **state)
{
    (void)state;
    struct keyring *k = keys(HEX_A);
    struct buffer text, blob, altered;
    seal(k, &home, "hunter2", &text);
    size_t head = strlen(HEAD_A);
    struct bytes encoded = {text.data + head, text.size - head};
    buffer_init(&blob, SEALED_TEXT_MAX);
    assert_true(text_unbase64(encoded, &blob));
    for (size_t bit = 0; bit < 8 * blob.size; bit++) {
        buffer_init(&altered, SEALED_TEXT_MAX);
        buffer_append(&altered, text.data, head);
        blob.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        text_base64(buffer_view(&blob), &altered);
        blob.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(refusal(k, &home, buffer_view(&altered)), ERROR_DENIED);
        buffer_close(&altered);
    }
    for (size_t bit = 0; bit < 8 * text.size; bit++) { /* in the text itself: form, key id, base64 */
        text.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        refusal(k, &home, buffer_view(&text));
        text.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t size = 0; size < text.size; size++)
        refusal(k, &home, (struct bytes){text.data, size});
    buffer_byte(&text, 'A');
    refusal(k, &home, buffer_view(&text));
    buffer_close(&text);
    buffer_close(&blob);
    keyring_free(k);
}

static void another_place_is_refused(void **state)
{
    (void)state;
    struct keyring *k = keys(HEX_A);
    struct buffer text;
    struct sealed_place places[] = {home, home, home, home, home, home};
    places[0].agent_id = bytes_of("triage2");
    places[1].scheme = bytes_of("slack");
    places[2].name = bytes_of("previous");
    places[3].record = bytes_of("x");
    places[4].agent_id = bytes_of("triagegithub"); /* the pieces run together as before, cut elsewhere */
    places[4].scheme = bytes_of("");
    places[5].scheme = bytes_of("githubcurrent");
    places[5].name = bytes_of("");
    seal(k, &home, "hunter2", &text);
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        assert_int_equal(refusal(k, &places[i], buffer_view(&text)), ERROR_DENIED);
    buffer_close(&text);
    keyring_free(k);
}

static void old_keys_open_and_the_first_seals(void **state)
{
    (void)state;
    struct keyring *old = keys(HEX_A), *both = keys("# the new one\r\n" HEX_B "\r\n\n# the old one\n" BASE64_A),
                   *new = keys(HEX_B);
    struct buffer before, after;
    seal(old, &home, "hunter2", &before);
    seal(both, &home, "hunter3", &after);
    expect_opens(both, buffer_view(&before), "hunter2");
    expect_opens(new, buffer_view(&after), "hunter3");
    assert_int_equal(refusal(new, &home, buffer_view(&before)), ERROR_NOT_FOUND);
    /* a key id of another key does not help */
    struct buffer forged;
    buffer_init(&forged, SEALED_TEXT_MAX);
    buffer_format(&forged, "%.*s%s", (int)strlen(HEAD_A), buffer_cstr(&after), buffer_cstr(&before) + strlen(HEAD_A));
    assert_int_equal(refusal(both, &home, buffer_view(&forged)), ERROR_DENIED);
    buffer_close(&forged);
    buffer_close(&before);
    buffer_close(&after);
    keyring_free(old);
    keyring_free(both);
    keyring_free(new);
}

static void sizes_have_a_limit(void **state)
{
    (void)state;
    struct keyring *k = keys(HEX_A);
    static char large[SEALED_SECRET_MAX + 2];
    struct buffer text;
    struct error error;
    memset(large, 'x', SEALED_SECRET_MAX);
    seal(k, &home, large, &text);
    expect_opens(k, buffer_view(&text), large);
    large[SEALED_SECRET_MAX] = 'x';
    assert_false(sealed_make(k, &home, bytes_of(large), &text, &error));
    assert_false(sealed_make(k, &home, bytes_of(""), &text, &error));
    buffer_close(&text);
    keyring_free(k);
}

static const char *const bad_keys[] = {
    "",
    "# only a comment\n",
    "0001\n",
    HEX_A "00\n",
    HEX_A " \n",
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==\n",
    HEX_A "\n" BASE64_A "\n",
    HEX_A "\nhunter2\n",
    "00 0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n",
};

static void a_bad_key_file_is_refused_without_repeating_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_keys / sizeof bad_keys[0]; i++) {
        struct error error = {0};
        if (keyring_parse(bytes_of(bad_keys[i]), &error)) fail_msg("taken: %s", bad_keys[i]);
        assert_null(strstr(error.text, "hunter2"));
        assert_null(strstr(error.text, "0102"));
    }
}

static void a_key_file_is_closed_to_others(void **state)
{
    (void)state;
    char path[] = "/tmp/drawbridge-test-keys-XXXXXX";
    int fd = mkstemp(path);
    struct buffer text;
    struct error error = {0};
    assert_true(fd >= 0);
    buffer_init(&text, 4096);
    assert_true(keyring_make_key(&text, &error));
    assert_true(keyring_make_key(&text, &error));
    assert_int_equal(write(fd, text.data, text.size), (ssize_t)text.size);
    struct keyring *k = keyring_load(path, &error);
    if (!k) fail_msg("%s", error.text);
    keyring_free(k);
    assert_int_equal(fchmod(fd, 0644), 0);
    assert_null(keyring_load(path, &error));
    assert_int_equal(error.code, ERROR_DENIED);
    assert_non_null(strstr(error.text, "0600"));
    close(fd);
    unlink(path);
    assert_null(keyring_load(path, &error));
    assert_non_null(strstr(error.text, path));
    buffer_close(&text);
    keyring_free(NULL);
}

static int set_up(void **state)
{
    (void)state;
    return signature_init(NULL) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    signature_close();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_opens_where_it_belongs),
        cmocka_unit_test(a_text_made_elsewhere_opens),
        cmocka_unit_test(every_flipped_bit_is_refused),
        cmocka_unit_test(another_place_is_refused),
        cmocka_unit_test(old_keys_open_and_the_first_seals),
        cmocka_unit_test(sizes_have_a_limit),
        cmocka_unit_test(a_bad_key_file_is_refused_without_repeating_it),
        cmocka_unit_test(a_key_file_is_closed_to_others),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
