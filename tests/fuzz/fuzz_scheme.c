/* fuzz_scheme.c: any signature header, signed header, query and body through every built-in scheme and three of our
 * own, whole and in pieces: nothing passes but what was signed with the secret, what we sign passes, and ids and types
 * stay within their rules.  SPDX-License-Identifier: Apache-2.0 */
#include "scheme_words.h"
#include "signature.h"
#include "text.h"
#include <stdlib.h>

static const char own_schemes[] =
    "schemes: {"
    "  tagged: { signature_header = \"S\"; version_tag = \"v1\"; delivery_id = \"{header:Id}\";"
    "            event_type = \"x.{header:Id}.{body:/action}\"; };"
    "  list: { signature_header = \"S\"; version_tag = \"v1\"; list_separator = \",\"; delivery_id = \"{body:/id}\"; };"
    "  bare: { signature_header = \"S\"; list_separator = \" \"; delivery_id = \"{body:/a/0/id} {header:Id}\"; };"
    "};";
#define P256_KEY                                                                                                       \
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqTxd43gyp8IOEto2LdIfjRQrIbsd4SXZkLW6jDutdhXSJCWHw8REntlo7aNDthvj+y7GjUuFDb/"  \
    "R1NGe1OPzpA=="

/* What each way of writing a key takes; one of them fits. */
static const char *const keys[] = {
    "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", /* text, hex, and an Ed25519 point */
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    P256_KEY,
};
enum { SUBJECTS_MAX = 128 };

/* A scheme with the secret that it takes. */
static struct subject {
    const struct scheme *scheme;
    const char *key;
    struct verifier *verifier;
} subjects[SUBJECTS_MAX];
static size_t subject_count;
static struct scheme_set *own, *built_in;
static struct verification *verification;

static void must(bool holds)
{
    if (!holds) abort();
}

/* The headers of a request: the signature's, all others that the scheme asks for, and those that signing made. */
struct headers {
    const struct scheme *scheme;
    struct bytes signature, other;
    size_t signatures, others;
    struct buffer made; /* "Name: value\n" each */
};

static size_t find_made(const struct headers *h, const char *name, struct bytes *value)
{
    struct bytes rest = buffer_view(&h->made);
    while (rest.size > 0) {
        size_t line = (size_t)((const uint8_t *)memchr(rest.data, '\n', rest.size) - rest.data);
        size_t colon = (size_t)((const uint8_t *)memchr(rest.data, ':', line) - rest.data);
        if (text_equal_ignore_case((struct bytes){rest.data, colon}, bytes_of(name))) {
            *value = (struct bytes){rest.data + colon + 2, line - colon - 2};
            return 1;
        }
        rest = (struct bytes){rest.data + line + 1, rest.size - line - 1};
    }
    return 0;
}

static size_t find(void *ctx, const char *name, struct bytes *value)
{
    const struct headers *h = ctx;
    if (find_made(h, name, value) > 0) return 1;
    if (strcmp(name, "Content-Type") == 0) {
        *value = bytes_of("application/x-www-form-urlencoded");
        return 1;
    }
    bool signature = strncmp(name, h->scheme->forms[0].words.signature_header, strlen(name) - 1) == 0;
    size_t count = signature ? h->signatures : h->others;
    if (count > 0) *value = signature ? h->signature : h->other;
    return count;
}

static struct scheme_request request_of(struct headers *h, struct bytes query)
{
    return (struct scheme_request){.find = find,
                                   .ctx = h,
                                   .method = bytes_of("POST"),
                                   .url = bytes_of("https://hooks.example.org:8443/a%28b"),
                                   .query = query};
}

static enum scheme_reason judge(const struct subject *s, const struct scheme_request *request, struct bytes body,
                                size_t piece)
{
    struct verification_result result;
    enum scheme_reason begun = verification_begin(verification, s->verifier, request, VERIFICATION_ANY_TIME);
    for (size_t at = 0; at < body.size; at += piece) {
        size_t size = body.size - at < piece ? body.size - at : piece;
        verification_update(verification, body.data + at, size);
    }
    enum scheme_reason verdict = verification_finish(verification, request, body, &result);
    must(begun == SCHEME_OK || verdict == begun);
    must((verdict == SCHEME_OK) == (result.secret_name != NULL));
    return verdict;
}

static void name(const struct scheme *s, const struct scheme_request *request, struct bytes body)
{
    struct buffer out;
    struct error error = {0};
    buffer_init(&out, 4096);
    bool good = scheme_delivery_id(s, request, body, &out, &error);
    struct bytes id = buffer_view(&out);
    must(good ? id.size <= 256 : id.size == 0 && error.text[0] != 0);
    for (size_t i = 0; i < id.size; i++)
        must(id.data[i] >= 0x20 && id.data[i] < 0x7f);
    good = scheme_event_type(s, request, body, &out, &error);
    struct bytes type = buffer_view(&out);
    must(good ? type.size > 0 && type.size <= 256 && text_is_utf8(type) : type.size == 0);
    buffer_close(&out);
}

/* What is signed passes: with the headers or the body that signing made. */
static void sign(const struct subject *s, struct headers *h, struct bytes query, struct bytes body)
{
    struct buffer lines, made;
    enum scheme_mechanism key = scheme_algorithm_of(&s->scheme->forms[0])->key;
    if (key == MECHANISM_PUBLIC || memchr(h->other.data ? h->other.data : (const uint8_t *)"", '\n', h->other.size))
        return; /* no private key at hand; no header has a line feed */
    buffer_init(&lines, 1 << 20);
    buffer_init(&made, 1 << 20);
    h->signatures = 0;
    h->others = h->others > 1 ? 1 : h->others;
    const struct scheme_signing signing = {
        .request = request_of(h, query), .body = body, .id = bytes_of("id-1"), .now_ms = 1700000000000};
    if (scheme_sign(s->scheme, bytes_of(s->key), &signing, &lines, &made, NULL)) {
        h->made = lines;
        const struct scheme_request request = request_of(h, query);
        struct bytes sent = made.size > 0 ? buffer_view(&made) : body;
        enum scheme_reason verdict = judge(s, &request, sent, 5);
        /* A time of the fuzzer's in a header is signed as it is, and judged; one in the body is not ours to make. */
        bool own_time = s->scheme->timestamp.count > 0;
        bool query_token = *s->scheme->forms[0].words.signature_query != 0;
        must(verdict == SCHEME_OK || (own_time && verdict != SCHEME_MISMATCH) ||
             (query_token && verdict == SCHEME_REPEATED) || verdict == SCHEME_REPEATED);
        h->made = (struct buffer){.max = 0};
    }
    buffer_close(&lines);
    buffer_close(&made);
}

static void add_subjects(const struct scheme_set *set)
{
    const char *scheme;
    for (size_t i = 0; (scheme = scheme_name_at(set, i)) != NULL; i++) {
        struct subject *s = &subjects[subject_count];
        s->scheme = scheme_find(set, scheme);
        for (size_t k = 0; k < sizeof keys / sizeof keys[0] && !s->verifier; k++) {
            struct verifier_secret secret = {.name = "current", .secret = secret_copy(bytes_of(keys[k]), NULL)};
            s->key = keys[k];
            s->verifier = verifier_new(s->scheme, &secret, 1, NULL);
        }
        if (scheme_is_sns(s->scheme)) continue; /* its key is a PEM; the extraction is met by test_vectors */
        must(s->verifier != NULL);
        subject_count++;
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    must(signature_init(NULL));
    own = scheme_set_load(own_schemes, NULL);
    built_in = scheme_set_load(scheme_providers_text, NULL);
    verification = verification_new();
    must(own && built_in && verification);
    add_subjects(own);
    add_subjects(built_in);
    must(subject_count > 50);
    return 0;
}

static struct bytes cut(struct bytes *rest, size_t size)
{
    if (size > rest->size) size = rest->size;
    struct bytes piece = {rest->data, size};
    *rest = (struct bytes){rest->data + size, rest->size - size};
    return piece;
}

/* Input: scheme, how many signature and other headers, their lengths and the query's, then the values and the body. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 5) return 0;
    const struct subject *s = &subjects[data[0] % subject_count];
    struct headers h = {.scheme = s->scheme, .signatures = data[1] % 3, .others = data[1] / 3 % 3};
    struct bytes rest = {data + 5, size - 5};
    h.signature = cut(&rest, (size_t)data[2] * 4);
    h.other = cut(&rest, data[3]);
    struct bytes query = cut(&rest, data[4]);
    const struct scheme_request request = request_of(&h, query);
    name(s->scheme, &request, rest);
    enum scheme_reason verdict = judge(s, &request, rest, rest.size + 1);
    must(verdict != SCHEME_OK); /* nobody guesses a MAC, nor this token */
    must(judge(s, &request, rest, 1) == verdict && judge(s, &request, rest, 7) == verdict);
    sign(s, &h, query, rest);
    return 0;
}
