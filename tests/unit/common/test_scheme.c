/* test_scheme.c: schemes as data, signatures against published vectors, ids and types from templates.
 * SPDX-License-Identifier: Apache-2.0 */
#include "json.h"
#include "scheme.h"
#include "signature.h"
#include "text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants its headers first */
#include <cmocka.h>

/* The senders of tests/vectors/signatures.jsonl in the words of this version. */
static const char schemes_text[] =
    "schemes: {\n"
    "  github: { signature_header = \"X-Hub-Signature-256\"; version_tag = \"sha256\";\n"
    "            delivery_id = \"{header:X-GitHub-Delivery}\";\n"
    "            event_type = \"com.github.{header:X-GitHub-Event}.{body:/action}\"; };\n"
    "  meta: { signature_header = \"X-Hub-Signature-256\"; version_tag = \"sha256\"; };\n"
    "  atlassian: { signature_header = \"X-Hub-Signature\"; version_tag = \"sha256\"; };\n"
    "  pagerduty: { signature_header = \"X-PagerDuty-Signature\"; version_tag = \"v1\"; list_separator = \",\";\n"
    "               delivery_id = \"{body:/event/id}\"; event_type = \"com.pagerduty.{body:/event/event_type}\"; };\n"
    "  linear: { signature_header = \"Linear-Signature\"; };\n"
    "  dropbox: { signature_header = \"X-Dropbox-Signature\"; event_type = \"com.dropbox.changed\"; };\n"
    "  pair: { signature_header = \"X-Signature\"; delivery_id = \"{header:ce-source} {header:ce-id}\"; };\n"
    "};\n";

struct header {
    const char *name, *value;
};

/* A request's headers as an array that ends with a NULL name. */
static size_t find_header(void *ctx, const char *name, struct bytes *value)
{
    size_t count = 0;
    for (const struct header *h = ctx; h->name; h++) {
        if (!text_equal_ignore_case(bytes_of(h->name), bytes_of(name))) continue;
        if (count++ == 0) *value = bytes_of(h->value);
    }
    return count;
}

static struct scheme_request request_of(struct header *headers)
{
    return (struct scheme_request){.find = find_header, .ctx = headers};
}

static struct scheme_set *set;

static const struct scheme *find(const char *name)
{
    const struct scheme *s = scheme_find(set, name);
    assert_non_null(s);
    return s;
}

static struct verifier *verifier_of(const char *scheme, const char *const *secrets, size_t count)
{
    struct verifier_secret given[VERIFIER_SECRETS_MAX] = {0};
    struct error error = {0};
    for (size_t i = 0; i < count; i++) {
        snprintf(given[i].name, sizeof given[i].name, "secret-%zu", i);
        given[i].secret = secret_resolve(bytes_of(secrets[i]), true, &error);
        assert_non_null(given[i].secret);
    }
    struct verifier *v = verifier_new(find(scheme), given, count, &error);
    if (!v) fail_msg("%s", error.text);
    return v;
}

static enum scheme_reason verify(struct verification *x, const struct verifier *v, struct header *headers,
                                 struct bytes body, const char **secret)
{
    struct verification_result result;
    const struct scheme_request request = request_of(headers);
    enum scheme_reason begun = verification_begin(x, v, &request, 0);
    size_t half = body.size / 2;
    verification_update(x, body.data, half);
    verification_update(x, body.data + half, body.size - half);
    enum scheme_reason verdict = verification_finish(x, &request, body, &result);
    if (begun != SCHEME_OK) assert_int_equal(verdict, begun);
    *secret = result.secret_name;
    assert_int_equal(verdict == SCHEME_OK, *secret != NULL);
    assert_int_equal(verdict == SCHEME_OK, result.signature.size > 0);
    return verdict;
}

/* The header's grammar; the right hex for key "k" and body "b", and a wrong one. */
static char good[65], other[65];

static const struct grammar_row {
    const char *scheme, *value; /* "$" stands for the right hex, "%" for a wrong one */
    enum scheme_reason reason;
} grammar[] = {
    {"github", "sha256=$", SCHEME_OK},
    {"github", "sha256=%", SCHEME_MISMATCH},
    {"github", "", SCHEME_MISSING},
    {"github", "sha256=", SCHEME_MALFORMED},
    {"github", "sha256", SCHEME_MALFORMED},
    {"github", "$", SCHEME_MALFORMED},
    {"github", "sha1=$", SCHEME_MALFORMED},
    {"github", "SHA256=$", SCHEME_MALFORMED},
    {"github", "sha2567=$", SCHEME_MALFORMED},
    {"github", "sha256==$", SCHEME_MALFORMED},
    {"github", "sha256:$", SCHEME_MALFORMED},
    {"github", " sha256=$", SCHEME_MALFORMED},
    {"github", "sha256= $", SCHEME_MALFORMED},
    {"github", "sha256=$ ", SCHEME_MALFORMED},
    {"github", "sha256=$0", SCHEME_MALFORMED},
    {"github", "sha256=$,sha256=$", SCHEME_MALFORMED},
    {"linear", "$", SCHEME_OK},
    {"linear", "%", SCHEME_MISMATCH},
    {"linear", "sha256=$", SCHEME_MALFORMED},
    {"linear", "=$", SCHEME_MALFORMED},
    /* lists: what can't count is skipped, one good entry is enough, a right MAC under a wrong tag is none */
    {"pagerduty", "v1=$", SCHEME_OK},
    {"pagerduty", "v1=%,v1=$", SCHEME_OK},
    {"pagerduty", "v1=$,v1=%", SCHEME_OK},
    {"pagerduty", "v2=zz,,v1,v1=,v1=00,v1=$,x", SCHEME_OK},
    {"pagerduty", "v2=$", SCHEME_MALFORMED},
    {"pagerduty", "v2=$,v1=%", SCHEME_MISMATCH},
    {"pagerduty", ",", SCHEME_MALFORMED},
    {"pagerduty", "v1=%, v1=$", SCHEME_MISMATCH},
    {"pagerduty", "v1=%,v1=%,v1=%,v1=%,v1=%,v1=%,v1=%,v1=$", SCHEME_OK},
    {"pagerduty", "v1=%,v1=%,v1=%,v1=%,v1=%,v1=%,v1=%,v1=%,v1=%,v1=%,v1=%,v1=%,v1=%,v1=%,v1=%,v1=%,v1=$",
     SCHEME_MALFORMED}, /* nobody offers seventeen */
};

static void expand_row(const char *value, char out[2048])
{
    size_t size = 0;
    for (; *value; value++) {
        const char *piece = *value == '$' ? good : *value == '%' ? other : (char[]){*value, 0};
        memcpy(out + size, piece, strlen(piece));
        size += strlen(piece);
    }
    out[size] = 0;
}

static void sign_for(const char *key, char hex[65])
{
    uint8_t digest[SIGNATURE_SHA256_SIZE];
    struct signature_key *k = signature_key_new(SIGNATURE_SHA256, bytes_of(key), NULL);
    struct signature_mac *mac = signature_mac_new(k);
    signature_mac_update(mac, "b", 1);
    signature_mac_final(mac, digest);
    text_hex(digest, sizeof digest, hex);
    signature_mac_free(mac);
    signature_key_free(k);
}

static const char *header_name_of(const char *scheme)
{
    if (strcmp(scheme, "github") == 0) return "x-hub-signature-256";
    return strcmp(scheme, "linear") == 0 ? "LINEAR-SIGNATURE" : "X-PagerDuty-Signature";
}

static void the_signature_header_is_read_strictly(void **state)
{
    (void)state;
    struct verification *x = verification_new();
    for (size_t i = 0; i < sizeof grammar / sizeof grammar[0]; i++) {
        char value[2048];
        const char *secret, *key = "k";
        expand_row(grammar[i].value, value);
        struct verifier *v = verifier_of(grammar[i].scheme, &key, 1);
        struct header headers[] = {{header_name_of(grammar[i].scheme), value}, {NULL, NULL}};
        enum scheme_reason reason = verify(x, v, headers, bytes_of("b"), &secret);
        if (reason != grammar[i].reason) fail_msg("%s '%s': %s", grammar[i].scheme, value, scheme_reason_name(reason));
        verifier_free(v);
    }
    verification_free(x);
}

static void every_hex_digit_counts_and_only_lower_case_is_one(void **state)
{
    (void)state;
    const char *secret, *key = "k";
    struct verifier *v = verifier_of("linear", &key, 1);
    struct verification *x = verification_new();
    for (size_t i = 0; i < 64; i++) {
        char value[65];
        struct header headers[] = {{"Linear-Signature", value}, {NULL, NULL}};
        memcpy(value, good, sizeof value);
        value[i] = value[i] == '0' ? '1' : '0';
        assert_int_equal(verify(x, v, headers, bytes_of("b"), &secret), SCHEME_MISMATCH);
        value[i] = 'A';
        assert_int_equal(verify(x, v, headers, bytes_of("b"), &secret), SCHEME_MALFORMED);
    }
    verification_free(x);
    verifier_free(v);
}

static void security_headers_stand_there_once(void **state)
{
    (void)state;
    const char *secret, *key = "k";
    char value[128];
    snprintf(value, sizeof value, "sha256=%s", good);
    struct verifier *v = verifier_of("github", &key, 1);
    struct verification *x = verification_new();
    struct header none[] = {{"Other", value}, {NULL, NULL}};
    assert_int_equal(verify(x, v, none, bytes_of("b"), &secret), SCHEME_MISSING);
    struct header twice[] = {{"X-Hub-Signature-256", value}, {"x-hub-signature-256", value}, {NULL, NULL}};
    assert_int_equal(verify(x, v, twice, bytes_of("b"), &secret), SCHEME_REPEATED);
    struct header ids[] = {
        {"X-Hub-Signature-256", value}, {"X-GitHub-Delivery", "1"}, {"X-GitHub-Delivery", "1"}, {NULL, NULL}};
    assert_int_equal(verify(x, v, ids, bytes_of("b"), &secret), SCHEME_REPEATED);
    ids[2].name = "Other";
    assert_int_equal(verify(x, v, ids, bytes_of("b"), &secret), SCHEME_OK);
    verification_free(x);
    verifier_free(v);
}

static void every_secret_is_tried_and_named(void **state)
{
    (void)state;
    const char *secret, *keys[] = {"one", "two", "k", "four"};
    struct verifier *v = verifier_of("linear", keys, 4), *fewer = verifier_of("linear", keys, 2);
    struct verification *x = verification_new();
    struct header headers[] = {{"Linear-Signature", good}, {NULL, NULL}};
    assert_int_equal(verify(x, v, headers, bytes_of("b"), &secret), SCHEME_OK);
    assert_string_equal(secret, "secret-2");
    assert_int_equal(verify(x, fewer, headers, bytes_of("b"), &secret), SCHEME_MISMATCH);
    assert_int_equal(verify(x, v, headers, bytes_of("b "), &secret), SCHEME_MISMATCH);
    assert_int_equal(verify(x, v, headers, bytes_of(""), &secret), SCHEME_MISMATCH);
    verifier_free(fewer);
    verifier_free(v);
    verification_free(x);
}

static void a_verifier_needs_one_to_eight_secrets(void **state)
{
    (void)state;
    struct error error = {0};
    struct verifier_secret secrets[VERIFIER_SECRETS_MAX + 1] = {0};
    assert_null(verifier_new(find("github"), secrets, 0, &error));
    assert_non_null(strstr(error.text, "github"));
    for (size_t i = 0; i <= VERIFIER_SECRETS_MAX; i++)
        secrets[i].secret = secret_resolve(bytes_of("k"), true, &error);
    assert_null(verifier_new(find("github"), secrets, VERIFIER_SECRETS_MAX + 1, &error));
    assert_null(secrets[0].secret); /* taken over all the same */
    verifier_free(NULL);
    verification_free(NULL);
}

static void what_we_sign_we_accept(void **state)
{
    (void)state;
    static const char *const names[] = {"github", "linear", "pagerduty"};
    const char *secret, *keys[] = {"k", "other"};
    struct verification *x = verification_new();
    for (size_t i = 0; i < 3; i++) {
        struct buffer line, body;
        struct header none[] = {{NULL, NULL}};
        const struct scheme_signing signing = {.request = request_of(none), .body = bytes_of("{}")};
        buffer_init(&line, 256);
        buffer_init(&body, 256);
        struct verifier *v = verifier_of(names[i], keys, 2);
        assert_true(scheme_sign(find(names[i]), bytes_of("k"), &signing, &line, &body, NULL));
        assert_int_equal(body.size, 0);
        line.data[line.size - 1] = 0;
        char *colon = strstr((char *)line.data, ": ");
        assert_non_null(colon);
        *colon = 0;
        struct header headers[] = {{(char *)line.data, colon + 2}, {NULL, NULL}};
        assert_int_equal(verify(x, v, headers, bytes_of("{}"), &secret), SCHEME_OK);
        assert_string_equal(secret, "secret-0");
        verifier_free(v);
        buffer_close(&line);
        buffer_close(&body);
    }
    verification_free(x);
}

/* Ids and types. */

static const struct identity_row {
    const char *scheme;
    struct header headers[3];
    const char *body, *id, *type; /* NULL: refused */
} identities[] = {
    {"github",
     {{"x-github-delivery", "d-1"}, {"X-GitHub-Event", "issues"}},
     "{\"action\":\"opened\"}",
     "d-1",
     "com.github.issues.opened"},
    {"github", {{"X-GitHub-Event", "push"}}, "{\"ref\":\"main\"}", "", "com.github.push"},
    {"github", {{"X-GitHub-Event", "push"}}, "payload=%7B%7D", "", "com.github.push"},
    {"github", {{"X-GitHub-Event", "push"}}, "", "", "com.github.push"},
    {"github", {{"X-GitHub-Event", "push"}}, "{\"action\":null}", "", "com.github.push"},
    {"github", {{"X-GitHub-Event", "push"}}, "{\"action\":\"\"}", "", "com.github.push"},
    {"github", {{"X-GitHub-Event", "push"}}, "{\"action\":12}", "", "com.github.push.12"},
    {"github", {{"X-GitHub-Event", ""}}, "{}", "", "drawbridge.webhook"},
    {"github", {{"Other", "x"}}, "{}", "", "drawbridge.webhook"},
    {"github", {{"X-GitHub-Event", "push"}}, "{\"action\":\"a\",\"action\":\"b\"}", "", NULL},
    {"github", {{"X-GitHub-Event", "a"}, {"X-GitHub-Event", "b"}}, "{}", "", NULL},
    {"github", {{"X-GitHub-Event", "a\x01"}}, "{}", "", NULL},
    {"github", {{"X-GitHub-Event", "\xe9"}}, "{}", "", NULL},
    {"github", {{"X-GitHub-Event", "caf\xc3\xa9"}}, "{}", "", "com.github.caf\xc3\xa9"},
    {"github", {{"X-GitHub-Event", "x"}}, "{\"action\":\"a\\nb\"}", "", NULL},
    {"github", {{"X-GitHub-Delivery", ""}}, "{}", NULL, "drawbridge.webhook"},
    {"github", {{"X-GitHub-Delivery", "a b"}}, "{}", "a b", "drawbridge.webhook"},
    {"github", {{"X-GitHub-Delivery", "a\tb"}}, "{}", NULL, "drawbridge.webhook"},
    {"github", {{"X-GitHub-Delivery", "\xc3\xa9"}}, "{}", NULL, "drawbridge.webhook"},
    {"github", {{"X-GitHub-Delivery", "a"}, {"X-GitHub-Delivery", "b"}}, "{}", NULL, "drawbridge.webhook"},
    {"pagerduty", {{NULL, NULL}}, "{\"event\":{\"id\":\"i\",\"event_type\":\"t\"}}", "i", "com.pagerduty.t"},
    {"pagerduty", {{NULL, NULL}}, "{\"event\":{\"id\":90071992547409931}}", "90071992547409931", "drawbridge.webhook"},
    {"pagerduty", {{NULL, NULL}}, "{\"event\":{\"id\":true}}", "", "drawbridge.webhook"},
    {"pagerduty", {{NULL, NULL}}, "{\"event\":{\"id\":\"1\"},\"event\":{\"id\":\"2\"}}", NULL, NULL},
    {"pagerduty", {{NULL, NULL}}, "{\"event\":{\"id\":\"\\u00e9\"}}", NULL, "drawbridge.webhook"},
    {"pair", {{"ce-source", "/a"}, {"ce-id", "7"}}, "{}", "/a 7", "drawbridge.webhook"},
    {"pair", {{"ce-id", "7"}}, "{}", "", "drawbridge.webhook"},
    {"pair", {{"ce-source", "/a"}}, "{}", "", "drawbridge.webhook"},
    {"dropbox", {{NULL, NULL}}, "{}", "", "com.dropbox.changed"},
};

typedef bool fill(const struct scheme *s, const struct scheme_request *request, struct bytes body, struct buffer *out,
                  struct error *error);

static void expect_identity(fill *fill_it, const struct identity_row *row, const char *expected)
{
    struct header headers[4] = {{NULL, NULL}};
    struct error error = {0};
    struct buffer out;
    memcpy(headers, row->headers, sizeof row->headers);
    buffer_init(&out, 1024);
    buffer_text(&out, "left over");
    const struct scheme_request request = request_of(headers);
    bool good_one = fill_it(find(row->scheme), &request, bytes_of(row->body), &out, &error);
    if (good_one != (expected != NULL)) fail_msg("%s %s: %s", row->scheme, row->body, error.text);
    assert_string_equal(buffer_cstr(&out), expected ? expected : "");
    if (!expected) assert_int_equal(error.code, ERROR_INVALID);
    buffer_close(&out);
}

static void ids_and_types_come_from_headers_and_body(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof identities / sizeof identities[0]; i++) {
        expect_identity(scheme_delivery_id, &identities[i], identities[i].id);
        expect_identity(scheme_event_type, &identities[i], identities[i].type);
    }
}

static void an_id_has_at_most_256_characters(void **state)
{
    (void)state;
    char id[258];
    struct buffer out;
    struct header headers[] = {{"X-GitHub-Delivery", id}, {NULL, NULL}};
    const struct scheme_request request = request_of(headers);
    memset(id, 'x', sizeof id);
    buffer_init(&out, 1024);
    id[257] = 0;
    assert_false(scheme_delivery_id(find("github"), &request, bytes_of(""), &out, NULL));
    id[256] = 0;
    assert_true(scheme_delivery_id(find("github"), &request, bytes_of(""), &out, NULL));
    assert_int_equal(buffer_view(&out).size, 256);
    buffer_close(&out);
    buffer_init(&out, 100); /* a buffer of the caller's that is too small is an error, not a shorter id */
    assert_false(scheme_delivery_id(find("github"), &request, bytes_of(""), &out, NULL));
    buffer_close(&out);
}

static void identity_headers_are_listed_once(void **state)
{
    (void)state;
    const char *const *names = scheme_identity_headers(find("github"));
    assert_string_equal(names[0], "X-GitHub-Delivery");
    assert_string_equal(names[1], "X-GitHub-Event");
    assert_null(names[2]);
    assert_null(scheme_identity_headers(find("linear"))[0]);
}

/* Loading. */

static const struct refusal {
    const char *words, *says; /* says the word in question */
} refusals[] = {
    {"", "schemes.x.signature_header"},
    {"signature_header = \"\";", "schemes.x.signature_header"},
    {"signature_header = \"A B\";", "schemes.x.signature_header"},
    {"signature_header = 3;", "schemes.x.signature_header"},
    {"signature_header = \"A\"; Signature_Header = \"A\";", "schemes.x.Signature_Header"},
    {"signature_header = \"A\"; signed = \"{timestamp}.{body}\";", "schemes.x.signed"},
    {"signature_header = \"A\"; list_separator = \", \";", "schemes.x.list_separator"},
    {"signature_header = \"A\"; tag_separator = \"\";", "schemes.x.tag_separator"},
    {"signature_header = \"A\"; version_tag = \"a=b\";", "schemes.x.version_tag"},
    {"signature_header = \"A\"; version_tag = \"a,b\"; list_separator = \",\";", "schemes.x.version_tag"},
    {"signature_header = \"A\"; delivery_id = \"fixed\";", "schemes.x.delivery_id"},
    {"signature_header = \"A\"; delivery_id = \"{header:}\";", "schemes.x.delivery_id"},
    {"signature_header = \"A\"; delivery_id = \"{header:B C}\";", "schemes.x.delivery_id"},
    {"signature_header = \"A\"; delivery_id = \"{body}\";", "schemes.x.delivery_id"},
    {"signature_header = \"A\"; delivery_id = \"{body:}\";", "schemes.x.delivery_id"},
    {"signature_header = \"A\"; delivery_id = \"{body:id}\";", "schemes.x.delivery_id"},
    {"signature_header = \"A\"; delivery_id = \"{body:/a~2}\";", "schemes.x.delivery_id"},
    {"signature_header = \"A\"; delivery_id = \"{signature:t}\";", "schemes.x.delivery_id"},
    {"signature_header = \"A\"; delivery_id = \"{header:B\";", "schemes.x.delivery_id"},
    {"signature_header = \"A\"; delivery_id = \"{header:B}}\";", "schemes.x.delivery_id"},
    {"signature_header = \"A\"; delivery_id = \"{header:a}\";", "schemes.x.signature_header"},
    {"signature_header = \"A#B\";", "schemes.x.signature_header"},
    {"signature_header = \"#\";", "schemes.x.signature_header"},
    {"signature_header = \"A\"; algorithm = \"mailgun\";", "schemes.x.signature_header"},
    {"signature_header = \"A\"; algorithm = \"md5\";", "schemes.x.algorithm"},
    {"signature_header = \"A\"; algorithm = \"sha256\";", "schemes.x.signed"},
    {"signature_header = \"A\"; signed = \"{key}{body}\";", "schemes.x.signed"},
    {"signature_header = \"A\"; signed = \"{body}{body}\";", "schemes.x.signed"},
    {"signature_header = \"A\"; signed = \"{body:/a}{body}\";", "schemes.x.signed"},
    {"signature_header = \"A\"; encoding = \"text\";", "schemes.x.encoding"},
    {"signature_header = \"A\"; key_encoding = \"base64-spki\";", "schemes.x.key_encoding"},
    {"signature_header = \"A\"; algorithm = \"equal\"; key_encoding = \"hex\";", "schemes.x.key_encoding"},
    {"signature_header = \"A\"; timestamp = \"now\";", "schemes.x.timestamp"},
    {"signature_header = \"A\"; timestamp = \"t={header:T}\";", "schemes.x.timestamp"},
    {"signature_header = \"A\"; timestamp = \"{header:T}{header:U}\";", "schemes.x.timestamp"},
    {"signature_header = \"A\"; timestamp = \"{body:/t}\"; signed = \"{timestamp}.{body}\";", "schemes.x.signed"},
    {"signature_header = \"A\"; timestamp_unit = \"us\";", "schemes.x.timestamp_unit"},
    {"signature_header = \"A\"; handshake = \"wave\";", "schemes.x.handshake"},
    {"signature_header = \"A\"; handshake = [\"head\", \"wave\"];", "schemes.x.handshake"},
    {"signature_header = \"A\"; event_type = \"{key}\";", "schemes.x.event_type"},
    {"signature_header = \"A\"; event_type = \"{url}\";", "schemes.x.event_type"},
    {"signature_header = \"A\"; signature_query = \"t\"; delivery_id = \"{query:t}\";", "schemes.x.signature_query"},
    {"signature_header = \"A\"; variant = { version_tag = \"b\"; };", "schemes.x.variant.key_prefix"},
    {"signature_header = \"A\"; variant = { key_prefix = \"p\"; algorithm = \"twilio\"; };",
     "schemes.x.variant.algorithm"},
    {"signature_header = \"A\"; variant = { key_prefix = \"p\"; other = 1; };", "schemes.x.variant.other"},
    {"signature_header = \"A\"; aliases = [\"custom\"];", "schemes.x"},
    {"signature_header = \"A\"; deadline = \"4\";", "schemes.x.deadline"},
    {"signature_header = \"A\"; deadline = \"2m\";", "schemes.x.deadline"},
    {"signature_header = \"A\"; redelivery = \"1s\";", "schemes.x.redelivery"},
    {"signature_header = \"A\"; response_status = 201;", "schemes.x.response_status"},
    {"signature_header = \"A\"; response_status = 302;", "schemes.x.response_status"},
};

static void a_bad_word_is_named_with_its_scheme(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        char text[512];
        struct error error = {0};
        snprintf(text, sizeof text, "schemes: { x: { %s }; };", refusals[i].words);
        struct scheme_set *bad = scheme_set_load(text, &error);
        if (bad) fail_msg("loaded: %s", text);
        if (!strstr(error.text, refusals[i].says)) fail_msg("%s: %s", text, error.text);
    }
}

static void a_text_without_schemes_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "schemes: {};",
                                        "schemes = 1;",
                                        "schemes: {",
                                        "other: { a = 1; };",
                                        "schemes: { x = 1; };",
                                        "schemes: { custom: { signature_header = \"A\"; }; };",
                                        "schemes: { a: { signature_header = \"A\"; }; }; more = 1;"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct error error = {0};
        assert_null(scheme_set_load(texts[i], &error));
        assert_int_equal(error.code, ERROR_INVALID);
        assert_true(strlen(error.text) > 10);
    }
    scheme_set_free(NULL);
}

static void the_built_in_schemes_load(void **state)
{
    (void)state;
    struct error error = {0};
    struct scheme_set *built_in = scheme_set_load(scheme_providers_text, &error);
    if (!built_in) fail_msg("%s", error.text);
    const struct scheme *github = scheme_find(built_in, "github");
    assert_non_null(github);
    assert_string_equal(scheme_name(github), "github");
    assert_int_equal(scheme_response_status(github), 202);
    assert_int_equal(scheme_deadline_ms(github), 8000);
    assert_int_equal(scheme_redelivery_s(github), 3 * 24 * 3600);
    assert_null(scheme_find(built_in, "GitHub"));
    scheme_set_free(built_in);
    assert_int_equal(scheme_deadline_ms(find("meta")), 4000);
    assert_int_equal(scheme_redelivery_s(find("meta")), 24 * 3600);
}

static int set_up(void **state)
{
    (void)state;
    struct error error = {0};
    if (!signature_init(&error)) return -1;
    sign_for("k", good);
    sign_for("wrong", other);
    set = scheme_set_load(schemes_text, &error);
    if (!set) print_error("%s\n", error.text);
    return set ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    scheme_set_free(set);
    signature_close();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_signature_header_is_read_strictly),
        cmocka_unit_test(every_hex_digit_counts_and_only_lower_case_is_one),
        cmocka_unit_test(security_headers_stand_there_once),
        cmocka_unit_test(every_secret_is_tried_and_named),
        cmocka_unit_test(a_verifier_needs_one_to_eight_secrets),
        cmocka_unit_test(what_we_sign_we_accept),
        cmocka_unit_test(ids_and_types_come_from_headers_and_body),
        cmocka_unit_test(an_id_has_at_most_256_characters),
        cmocka_unit_test(identity_headers_are_listed_once),
        cmocka_unit_test(a_bad_word_is_named_with_its_scheme),
        cmocka_unit_test(a_text_without_schemes_is_refused),
        cmocka_unit_test(the_built_in_schemes_load),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
