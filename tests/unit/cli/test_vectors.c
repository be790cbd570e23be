/* test_vectors.c: every published vector, and what must hold for each: one flipped bit is refused, the verdict does not
 * depend on how the body is cut, every secret is tried.  SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include "json.h"
#include "scheme_entry.h"
#include "signature.h"
#include "text.h"
#include "verification_parts.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
/* cmocka wants its headers first */
#include <cmocka.h>

static struct scheme_set *schemes;
static struct verification *x; /* one for all: begin resets it */

/* A vector ready to be judged. */
struct trial {
    struct vector v;
    const struct scheme *scheme;
    struct verifier *verifier;
};

static enum scheme_reason judge_cut(struct trial *t, struct bytes body, size_t cut, struct verification_result *result)
{
    verification_begin(x, t->verifier, &t->v.request, t->v.now_ms);
    verification_update(x, body.data, cut);
    verification_update(x, body.data + cut, body.size - cut);
    return verification_finish(x, &t->v.request, body, result);
}

static enum scheme_reason judge(struct trial *t)
{
    struct verification_result result;
    struct bytes body = bytes_of(t->v.body);
    return judge_cut(t, body, body.size / 2, &result);
}

typedef void check(struct trial *t);

/* Runs a check on every vector whose secrets can be configured; returns how many there were. */
static int for_each(check *check_it, bool good_only)
{
    FILE *file = fopen("tests/vectors/signatures.jsonl", "re");
    char *line = NULL;
    size_t room = 0;
    int count = 0;
    assert_non_null(file);
    while (getline(&line, &room, file) > 0) {
        struct error error = {0};
        struct trial t;
        if (!vector_read(&t.v, line, &error)) fail_msg("%s: %s", line, error.text);
        t.scheme = vector_scheme(&t.v, schemes);
        if (!t.scheme) fail_msg("%s: no scheme", t.v.id);
        t.verifier = vector_verifier(&t.v, t.scheme, &error);
        if (!t.verifier && t.v.good) fail_msg("%s: %s", t.v.id, error.text);
        if (t.verifier && (t.v.good || !good_only)) {
            check_it(&t);
            count++;
        }
        verifier_free(t.verifier);
        vector_close(&t.v);
    }
    free(line);
    fclose(file);
    return count;
}

static void expect_verdict(struct trial *t)
{
    enum scheme_reason reason = judge(t);
    if ((reason == SCHEME_OK) != t->v.good) fail_msg("%s: %s", t->v.id, scheme_reason_name(reason));
}

static void every_vector_is_judged_as_expected(void **state)
{
    (void)state;
    assert_true(for_each(expect_verdict, false) >= 140); /* the others have an empty secret */
    assert_int_equal(vectors_run(schemes, "tests/vectors/signatures.jsonl"), CLI_OK);
}

static void expect_every_cut_alike(struct trial *t)
{
    struct bytes body = bytes_of(t->v.body);
    struct verification_result result;
    enum scheme_reason whole = judge_cut(t, body, 0, &result);
    for (size_t cut = 1; cut <= body.size; cut++)
        if (judge_cut(t, body, cut, &result) != whole) fail_msg("%s cut at %zu", t->v.id, cut);
    verification_begin(x, t->verifier, &t->v.request, t->v.now_ms);
    for (size_t i = 0; i < body.size; i++)
        verification_update(x, body.data + i, 1);
    assert_int_equal(verification_finish(x, &t->v.request, body, &result), whole);
}

static void the_verdict_does_not_depend_on_how_the_body_is_cut(void **state)
{
    (void)state;
    for_each(expect_every_cut_alike, false);
}

/* ---- one bit ---- */

/* Judges with every bit of `text` flipped once, back in place after each; `what` is for the message. */
static void expect_flips_refused(struct trial *t, uint8_t *text, size_t size, const char *what)
{
    for (size_t bit = 0; bit < 8 * size; bit++) {
        uint8_t mask = (uint8_t)(1U << bit % 8);
        text[bit / 8] ^= mask;
        enum scheme_reason reason = judge(t);
        if (reason == SCHEME_OK) fail_msg("%s: bit %zu of %s: %.*s", t->v.id, bit, what, (int)size, (char *)text);
        text[bit / 8] ^= mask;
    }
}

/* The vector's strings are the parser's own memory, so they may be changed for a while. */
static uint8_t *writable(struct bytes text)
{
    return (uint8_t *)(uintptr_t)text.data;
}

static bool signs_whole_body(const struct scheme *s)
{
    enum scheme_mechanism mechanism = scheme_algorithm_of(&s->forms[0])->mechanism;
    return s->forms[0].signs_body && (mechanism == MECHANISM_STREAM || mechanism == MECHANISM_PUBLIC);
}

static void flip_body(struct trial *t)
{
    struct bytes body = bytes_of(t->v.body);
    /* A NUL would end the string that the vector is; a body is as long as it was. */
    for (size_t bit = 0; bit < 8 * body.size; bit++) {
        uint8_t mask = (uint8_t)(1U << bit % 8), *byte = &writable(body)[bit / 8];
        struct verification_result result;
        *byte ^= mask;
        enum scheme_reason reason = judge_cut(t, body, body.size / 2, &result);
        *byte ^= mask;
        if (reason == SCHEME_OK) fail_msg("%s: bit %zu of the body", t->v.id, bit);
    }
}

/* Only the entry that matches: others may be anything. */
static void flip_signature(struct trial *t)
{
    struct verification_result result;
    struct bytes body = bytes_of(t->v.body), header, entry;
    uint8_t matched[512];
    assert_int_equal(judge_cut(t, body, 0, &result), SCHEME_OK);
    size_t size = result.signature.size;
    assert_true(size <= sizeof matched);
    memcpy(matched, result.signature.data, size);
    const struct scheme_words *w = &t->scheme->forms[0].words;
    if (!*w->signature_header || t->scheme->numbered || headers_find(&t->v.headers, w->signature_header, &header) == 0)
        return;
    int flipped = 0;
    while (scheme_entry_next(&header, *w->list_separator, &entry)) {
        uint8_t first = entry.size > 0 ? entry.data[entry.size - 1] : 0;
        if (entry.size == 0) continue;
        writable(entry)[entry.size - 1] = (uint8_t)(first == '0' ? '1' : '0');
        bool counts = judge(t) != SCHEME_OK;
        writable(entry)[entry.size - 1] = first;
        if (counts) expect_flips_refused(t, writable(entry), entry.size, "the signature");
        flipped += counts;
    }
    assert_true(flipped >= 1);
}

static void flip_headers(struct trial *t, const struct template *text)
{
    for (size_t i = 0; i < text->count; i++) {
        struct bytes value;
        const struct template_part *part = &text->parts[i];
        if (!part->has_token || part->token != TEMPLATE_HEADER) continue;
        assert_int_equal(headers_find(&t->v.headers, part->argument, &value), 1);
        expect_flips_refused(t, writable(value), value.size, part->argument);
    }
}

/* What a special scheme signs inside the body: the value of that key, as it is written there. */
static void flip_values(struct trial *t, const char *const *keys)
{
    for (; *keys; keys++) {
        char pattern[64];
        snprintf(pattern, sizeof pattern, "\"%s\": \"", *keys);
        char *at = strstr(t->v.body, pattern);
        if (!at) continue;
        at += strlen(pattern);
        expect_flips_refused(t, (uint8_t *)at, strcspn(at, "\""), *keys);
    }
}

static void flip_special(struct trial *t)
{
    static const char *const mailgun[] = {"token", "timestamp", "signature", NULL};
    static const char *const adyen[] = {"pspReference",  "merchantReference",   "currency", "success", "eventCode",
                                        "hmacSignature", "merchantAccountCode", NULL};
    static const char *const sns[] = {"Type",      "MessageId",        "TopicArn",     "Message", "Timestamp",
                                      "Signature", "SignatureVersion", "SubscribeURL", "Token",   NULL};
    switch (t->scheme->forms[0].words.algorithm) {
    case ALGORITHM_MAILGUN: flip_values(t, mailgun); break;
    case ALGORITHM_ADYEN_ITEM: flip_values(t, adyen); break;
    case ALGORITHM_AWS_SNS: flip_values(t, sns); break;
    case ALGORITHM_NETLIFY: flip_body(t); break;
    default: break;
    }
}

static void expect_one_bit_to_count(struct trial *t)
{
    if (signs_whole_body(t->scheme)) flip_body(t);
    flip_special(t);
    flip_signature(t);
    flip_headers(t, &t->scheme->timestamp);
    for (size_t i = 0; i < t->scheme->form_count; i++) {
        flip_headers(t, &t->scheme->forms[i].before);
        flip_headers(t, &t->scheme->forms[i].after);
    }
}

static void one_flipped_bit_is_refused(void **state)
{
    (void)state;
    assert_true(for_each(expect_one_bit_to_count, true) >= 45);
}

/* ---- several secrets ---- */

/* Another point of P-256; a changed digit would be none. */
static const char other_point[] =
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqTxd43gyp8IOEto2LdIfjRQrIbsd4SXZkLW6jDutdhXSJCWHw8RE"
    "ntlo7aNDthvj+y7GjUuFDb/R1NGe1OPzpA==";

/* A secret of the right form that is not the right one: its last digit differs. */
static struct secret *wrong_secret(const struct trial *t, const char *right)
{
    if (t->scheme->forms[0].words.algorithm == ALGORITHM_ECDSA) return secret_copy(bytes_of(other_point), NULL);
    char text[1024];
    struct secret *secret = NULL;
    for (size_t i = strlen(right); i-- > 0 && !secret;) {
        if (right[i] == '=') continue; /* a zero byte more is the same HMAC key */
        struct verifier_secret given = {.name = "wrong"};
        snprintf(text, sizeof text, "%s", right);
        text[i] = (text[i] | 0x20) == 'a' ? 'B' : 'A';
        given.secret = secret_copy(bytes_of(text), NULL);
        struct verifier *v = verifier_new(t->scheme, &given, 1, NULL); /* not every text is a key */
        if (v) secret = secret_copy(bytes_of(text), NULL);
        verifier_free(v);
    }
    return secret;
}

static void expect_any_place_to_do(struct trial *t)
{
    const char *right = NULL;
    if (!json_text(json_get(t->v.line, "secret", NULL), &right)) return;
    for (size_t place = 0; place < 3; place++) {
        struct verifier_secret given[3] = {{.name = "a"}, {.name = "b"}, {.name = "c"}};
        struct verification_result result;
        struct error error = {0};
        for (size_t i = 0; i < 3; i++)
            given[i].secret = i == place ? secret_copy(bytes_of(right), NULL) : wrong_secret(t, right);
        verifier_free(t->verifier);
        t->verifier = verifier_new(t->scheme, given, 3, &error);
        if (!t->verifier) fail_msg("%s: %s", t->v.id, error.text);
        struct bytes body = bytes_of(t->v.body);
        if (judge_cut(t, body, 0, &result) != SCHEME_OK) fail_msg("%s: the secret at %zu", t->v.id, place);
        if (result.secret != place) fail_msg("%s: secret %zu, not %zu", t->v.id, result.secret, place);
        assert_string_equal(result.secret_name, place == 0 ? "a" : place == 1 ? "b" : "c");
    }
}

static void every_secret_is_tried_wherever_it_stands(void **state)
{
    (void)state;
    for_each(expect_any_place_to_do, true);
}

static void expect_end_date_to_count(struct trial *t)
{
    const char *right = NULL;
    if (!json_text(json_get(t->v.line, "secret", NULL), &right) || t->v.now_ms == VERIFICATION_ANY_TIME) return;
    for (int later = 0; later < 2; later++) {
        struct verifier_secret given = {.name = "previous", .until_s = t->v.now_ms / 1000 + later};
        given.secret = secret_copy(bytes_of(right), NULL);
        verifier_free(t->verifier);
        t->verifier = verifier_new(t->scheme, &given, 1, NULL);
        assert_non_null(t->verifier);
        assert_int_equal(judge(t), later ? SCHEME_OK : SCHEME_EXPIRED);
    }
}

static void a_secret_ends_at_its_date(void **state)
{
    (void)state;
    assert_true(for_each(expect_end_date_to_count, true) >= 15);
}

static void expect_no_second_header(struct trial *t)
{
    const struct scheme *s = t->scheme;
    struct bytes value;
    const char *name = s->forms[0].words.signature_header;
    for (size_t i = 0; i <= s->guarded_count; name = i < s->guarded_count ? s->guarded[i] : NULL, i++) {
        if (!*name || headers_find(&t->v.headers, name, &value) == 0) continue;
        headers_add(&t->v.headers, bytes_of(name), value);
        assert_int_equal(judge(t), SCHEME_REPEATED);
        t->v.headers.count--;
    }
    expect_verdict(t);
}

static void a_security_header_stands_there_once(void **state)
{
    (void)state;
    for_each(expect_no_second_header, true);
}

static int set_up(void **state)
{
    (void)state;
    if (!signature_init(NULL)) return -1;
    schemes = scheme_set_load(scheme_providers_text, NULL);
    x = verification_new();
    return schemes && x ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    verification_free(x);
    scheme_set_free(schemes);
    signature_close();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_vector_is_judged_as_expected),
        cmocka_unit_test(the_verdict_does_not_depend_on_how_the_body_is_cut),
        cmocka_unit_test(one_flipped_bit_is_refused),
        cmocka_unit_test(every_secret_is_tried_wherever_it_stands),
        cmocka_unit_test(a_secret_ends_at_its_date),
        cmocka_unit_test(a_security_header_stands_there_once),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
