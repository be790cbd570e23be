/* fuzz_form.c: forms and URLs that senders sign: read alike however they are written, and nothing else reads like them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "form.h"
#include "scheme.h"
#include "signature.h"
#include "text.h"
#include <stdlib.h>

static struct scheme_set *set;
static const struct scheme *twilio, *hubspot;
static struct verifier *twilio_verifier, *hubspot_verifier;
static struct verification *verification;

static void must(bool holds)
{
    if (!holds) abort();
}

/* The headers that signing made, and the form's type. */
static size_t find(void *ctx, const char *name, struct bytes *value)
{
    const struct buffer *lines = ctx;
    const char *at = lines ? strcasestr(buffer_cstr(lines), name) : NULL;
    if (strcmp(name, "Content-Type") == 0) {
        *value = bytes_of("application/x-www-form-urlencoded");
        return 1;
    }
    if (!at) return 0;
    at += strlen(name) + 2;
    *value = (struct bytes){(const uint8_t *)at, strcspn(at, "\n")};
    return 1;
}

static bool passes(const struct verifier *v, struct buffer *lines, struct bytes query, struct bytes body)
{
    struct verification_result result;
    const struct scheme_request request = {.find = find,
                                           .ctx = lines,
                                           .method = bytes_of("POST"),
                                           .url = bytes_of("https://hooks.example.org/a"),
                                           .query = query};
    verification_begin(verification, v, &request, VERIFICATION_ANY_TIME);
    verification_update(verification, body.data, body.size);
    return verification_finish(verification, &request, body, &result) == SCHEME_OK;
}

static bool sign(const struct scheme *s, struct bytes query, struct bytes body, struct buffer *lines)
{
    struct buffer made = {.max = 0};
    const struct scheme_signing signing = {.request = {.find = find,
                                                       .method = bytes_of("POST"),
                                                       .url = bytes_of("https://hooks.example.org/a"),
                                                       .query = query},
                                           .body = body,
                                           .now_ms = 1700000000000};
    return scheme_sign(s, bytes_of("k"), &signing, lines, &made, NULL);
}

/* Appends a text with every byte escaped. */
static void encode(struct bytes text, struct buffer *out)
{
    for (size_t i = 0; i < text.size; i++)
        buffer_format(out, i % 2 ? "%%%02X" : "%%%02x", text.data[i]);
}

/* The same fields from the last to the first, all escaped; false when the text is no form. */
static bool rewrite(struct bytes form, struct buffer *out)
{
    struct form_field field;
    struct buffer name, value, whole;
    bool good = true;
    buffer_init(&name, 1 << 20);
    buffer_init(&value, 1 << 20);
    buffer_init(&whole, 1 << 20);
    while (good && form_next(&form, &field)) {
        buffer_clear(&name);
        buffer_clear(&value);
        good = form_decode(field.name, &name) && form_decode(field.value, &value);
        struct bytes before = buffer_view(out);
        buffer_clear(&whole);
        encode(buffer_view(&name), &whole);
        buffer_byte(&whole, '=');
        encode(buffer_view(&value), &whole);
        buffer_byte(&whole, '&');
        buffer_bytes(&whole, before);
        buffer_clear(out);
        buffer_bytes(out, buffer_view(&whole));
    }
    buffer_close(&name);
    buffer_close(&value);
    buffer_close(&whole);
    return good;
}

static void try_form(struct bytes query, struct bytes form)
{
    struct buffer lines, other;
    buffer_init(&lines, 65536);
    buffer_init(&other, 1 << 20);
    bool signs = sign(twilio, query, form, &lines), reads = rewrite(form, &other);
    must(!signs || reads);
    if (signs) {
        must(passes(twilio_verifier, &lines, query, form));
        must(passes(twilio_verifier, &lines, query, buffer_view(&other)));
        for (size_t i = 0; i <= form.size; i++)
            buffer_byte(&other, 'z'); /* a name that is longer than all there was */
        must(!passes(twilio_verifier, &lines, query, buffer_view(&other)));
    }
    buffer_close(&lines);
    buffer_close(&other);
}

/* Which escapes HubSpot undoes does not matter to the verdict, what they stand for does. */
static void try_url(struct bytes query)
{
    struct buffer lines, other;
    buffer_init(&lines, 65536);
    buffer_init(&other, 1 << 20);
    if (sign(hubspot, query, bytes_of("{}"), &lines)) {
        must(passes(hubspot_verifier, &lines, query, bytes_of("{}")));
        buffer_bytes(&other, query);
        buffer_byte(&other, 'x');
        must(!passes(hubspot_verifier, &lines, buffer_view(&other), bytes_of("{}")));
    }
    buffer_close(&lines);
    buffer_close(&other);
}

static struct verifier *verifier_of(const struct scheme *s)
{
    struct verifier_secret secret = {.name = "current", .secret = secret_copy(bytes_of("k"), NULL)};
    return verifier_new(s, &secret, 1, NULL);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    must(signature_init(NULL));
    set = scheme_set_load(scheme_providers_text, NULL);
    verification = verification_new();
    must(set && verification);
    twilio = scheme_find(set, "twilio");
    hubspot = scheme_find(set, "hubspot-v3");
    twilio_verifier = verifier_of(twilio);
    hubspot_verifier = verifier_of(hubspot);
    must(twilio_verifier && hubspot_verifier);
    return 0;
}

/* Input: length of the query, the query, the form. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 8192) return 0;
    size_t length = data[0] < size - 1 ? data[0] : size - 1;
    struct bytes query = {data + 1, length}, form = {data + 1 + length, size - 1 - length};
    try_form(query, form);
    try_url(query);
    return 0;
}
