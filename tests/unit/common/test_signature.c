/* test_signature.c: digests and MACs against published vectors (FIPS 180-4, RFC 4231), in pieces and re-used.
 * SPDX-License-Identifier: Apache-2.0 */
#include "signature.h"
#include "text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

static const char *hex_of(const uint8_t digest[SIGNATURE_SHA256_SIZE])
{
    static char hex[2 * SIGNATURE_SHA256_SIZE + 1];
    text_hex(digest, SIGNATURE_SHA256_SIZE, hex);
    return hex;
}

static void sha256_of_pieces_is_that_of_the_whole(void **state)
{
    (void)state;
    uint8_t digest[SIGNATURE_SHA256_SIZE];
    struct bytes abc[] = {bytes_of("a"), bytes_of(""), {NULL, 0}, bytes_of("bc")};
    signature_sha256(abc, 4, digest);
    assert_string_equal(hex_of(digest), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    signature_sha256(NULL, 0, digest);
    assert_string_equal(hex_of(digest), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

/* Keys and messages as a byte repeated, or as text. */
static const struct vector {
    const char *key_text, *text;
    uint8_t key_byte, byte;
    size_t key_size, size;
    const char *mac;
} vectors[] = {
    /* RFC 4231, 4.2 to 4.8 (4.6 truncates) */
    {.key_byte = 0x0b,
     .key_size = 20,
     .text = "Hi There",
     .mac = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
    {.key_text = "Jefe",
     .text = "what do ya want for nothing?",
     .mac = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
    {.key_byte = 0xaa,
     .key_size = 20,
     .byte = 0xdd,
     .size = 50,
     .mac = "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
    {.key_byte = 0xaa,
     .key_size = 131,
     .text = "Test Using Larger Than Block-Size Key - Hash Key First",
     .mac = "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
    {.key_byte = 0xaa,
     .key_size = 131,
     .text = "This is a test using a larger than block-size key and a larger than block-size data. The key needs to "
             "be hashed before being used by the HMAC algorithm.",
     .mac = "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
    /* keys around the block size, from another implementation (Python's hmac) */
    {.key_byte = 0xaa,
     .key_size = 1,
     .text = "Hi There",
     .mac = "c456133c0a404a329e01a390baa2c2735ba7f2facffdfa6acf84c3294d8e3ac6"},
    {.key_byte = 0xaa,
     .key_size = 63,
     .text = "Hi There",
     .mac = "b176405584df87db508aee7e8d9ef11482cca92efc74d994f593a7e21207cef1"},
    {.key_byte = 0xaa,
     .key_size = 64,
     .text = "Hi There",
     .mac = "ebef34e13d0a0fe04593d043bc7a865106db0604211d404c18206d862e5d7852"},
    {.key_byte = 0xaa,
     .key_size = 65,
     .text = "Hi There",
     .mac = "00af6c42340b99e2e1d9a1cdf1547be431fe2e9bab3215c68d013ba858891927"},
    {.key_byte = 0xaa,
     .key_size = 128,
     .text = "Hi There",
     .mac = "396f9d6c2165855ff3a71e1d24380d17ff06225ab16519e65f4bb1226b60065e"},
    /* GitHub's documentation */
    {.key_text = "It's a Secret to Everybody",
     .text = "Hello, World!",
     .mac = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"},
};

static struct bytes expand(const char *text, uint8_t byte, size_t size, uint8_t room[256])
{
    if (text) return bytes_of(text);
    memset(room, byte, size);
    return (struct bytes){room, size};
}

static struct signature_key *key_of(const struct vector *v)
{
    uint8_t room[256];
    struct signature_key *key =
        signature_key_new(SIGNATURE_SHA256, expand(v->key_text, v->key_byte, v->key_size, room), NULL);
    assert_non_null(key);
    return key;
}

static void hmac_matches_the_published_vectors_in_any_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        uint8_t room[256], mac_bytes[SIGNATURE_SHA256_SIZE];
        struct bytes text = expand(vectors[i].text, vectors[i].byte, vectors[i].size, room);
        struct signature_key *key = key_of(&vectors[i]);
        struct signature_mac *mac = signature_mac_new(key);
        for (size_t cut = 0; cut <= text.size; cut++) {
            signature_mac_update(mac, text.data, cut);
            signature_mac_update(mac, text.data + cut, text.size - cut);
            signature_mac_final(mac, mac_bytes);
            assert_string_equal(hex_of(mac_bytes), vectors[i].mac);
            assert_true(signature_mac_reset(mac, key));
        }
        signature_mac_free(mac);
        signature_key_free(key);
    }
}

static void a_reset_in_mid_message_forgets_message_and_key(void **state)
{
    (void)state;
    uint8_t digest[SIGNATURE_SHA256_SIZE];
    struct signature_key *first = key_of(&vectors[0]), *second = key_of(&vectors[1]);
    struct signature_mac *mac = signature_mac_new(first);
    signature_mac_update(mac, "something", 9);
    assert_true(signature_mac_reset(mac, second));
    signature_key_free(second); /* the mac keeps nothing of it */
    signature_mac_update(mac, vectors[1].text, strlen(vectors[1].text));
    signature_mac_final(mac, digest);
    assert_string_equal(hex_of(digest), vectors[1].mac);
    signature_mac_free(mac);
    signature_key_free(first);
}

static void an_empty_key_is_refused(void **state)
{
    (void)state;
    struct error error = {0};
    assert_null(signature_key_new(SIGNATURE_SHA256, bytes_of(""), &error));
    assert_int_equal(error.code, ERROR_INVALID);
    assert_null(signature_key_new(SIGNATURE_SHA256, (struct bytes){NULL, 0}, &error));
}

static void equality_looks_at_every_byte(void **state)
{
    (void)state;
    uint8_t a[SIGNATURE_SHA256_SIZE] = {0}, b[SIGNATURE_SHA256_SIZE] = {0};
    assert_true(signature_equal(a, b, sizeof a));
    for (size_t i = 0; i < sizeof a; i++) {
        b[i] = 0x80;
        assert_false(signature_equal(a, b, sizeof a));
        b[i] = 0;
    }
}

static void freeing_nothing_is_legal(void **state)
{
    (void)state;
    signature_key_free(NULL);
    signature_mac_free(NULL);
    assert_true(signature_init(NULL)); /* twice is once */
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
        cmocka_unit_test(sha256_of_pieces_is_that_of_the_whole),
        cmocka_unit_test(hmac_matches_the_published_vectors_in_any_split),
        cmocka_unit_test(a_reset_in_mid_message_forgets_message_and_key),
        cmocka_unit_test(an_empty_key_is_refused),
        cmocka_unit_test(equality_looks_at_every_byte),
        cmocka_unit_test(freeing_nothing_is_legal),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
