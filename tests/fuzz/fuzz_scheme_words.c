/* fuzz_scheme_words.c: any description of a scheme: refused with a sentence, or loaded and safe to verify and sign
 * with. SPDX-License-Identifier: Apache-2.0 */
#include "scheme.h"
#include "signature.h"
#include "text.h"
#include <stdlib.h>

static struct verification *verification;

static void must(bool holds)
{
    if (!holds) abort();
}

/* Every header is there, once, but not what a signature could be. */
static size_t find_any(void *ctx, const char *name, struct bytes *value)
{
    (void)ctx, (void)name;
    *value = bytes_of("t=1700000000,v1=00,v0=AAAA");
    return 1;
}

static size_t find_none(void *ctx, const char *name, struct bytes *value)
{
    (void)ctx, (void)name, (void)value;
    return 0;
}

static void judge(const struct verifier *v, size_t (*find)(void *, const char *, struct bytes *))
{
    static const struct bytes body = BYTES_LITERAL("{\"value\":[{\"clientState\":\"x\"}],\"type\":\"Notification\"}");
    const struct scheme_request request = {
        .find = find, .method = bytes_of("POST"), .url = bytes_of("https://a.example/b"), .query = bytes_of("?c=%41")};
    struct verification_result result;
    struct buffer out;
    verification_begin(verification, v, &request, 1700000000000);
    verification_update(verification, body.data, body.size);
    must(verification_finish(verification, &request, body, &result) != SCHEME_OK);
    buffer_init(&out, 4096);
    scheme_delivery_id(verifier_scheme(v), &request, body, &out, NULL);
    scheme_event_type(verifier_scheme(v), &request, body, &out, NULL);
    buffer_close(&out);
}

static void try_scheme(const struct scheme *s)
{
    static const char *const keys[] = {"a secret that nobody knows", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                                       "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"};
    for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
        struct verifier_secret secret = {.name = "current", .secret = secret_copy(bytes_of(keys[k]), NULL)};
        struct verifier *v = verifier_new(s, &secret, 1, NULL);
        if (!v) continue;
        judge(v, find_any);
        judge(v, find_none);
        verifier_free(v);
        struct buffer lines, body;
        buffer_init(&lines, 65536);
        buffer_init(&body, 65536);
        const struct scheme_signing signing = {
            .request = {.find = find_none, .method = bytes_of("POST"), .url = bytes_of("https://a.example/b")},
            .body = bytes_of("{}"),
            .id = bytes_of("1"),
            .now_ms = 1700000000000};
        scheme_sign(s, bytes_of(keys[k]), &signing, &lines, &body, NULL);
        buffer_close(&lines);
        buffer_close(&body);
    }
}

/* After a syntax error libconfig 1.5 forgets the text its scanner was holding. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:strbuf_append\nleak:libconfig_yylex\n";
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    must(signature_init(NULL));
    verification = verification_new();
    must(verification != NULL);
    return 0;
}

/* Input: the words of one scheme. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer text;
    struct error error = {0};
    if (size > 4096 || memchr(data, 0, size)) return 0;
    buffer_init(&text, 8192);
    buffer_text(&text, "schemes: { x: {");
    buffer_append(&text, data, size);
    buffer_text(&text, "}; };");
    struct scheme_set *set = scheme_set_load(buffer_cstr(&text), &error);
    must(set != NULL || error.text[0] != 0);
    const char *name;
    for (size_t i = 0; set && (name = scheme_name_at(set, i)) != NULL; i++)
        try_scheme(scheme_find(set, name));
    scheme_set_free(set);
    buffer_close(&text);
    return 0;
}
