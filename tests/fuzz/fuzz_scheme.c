/* fuzz_scheme.c: any signature header, id header and body through a verification, whole and in pieces; nothing but our
 * own signature may pass, and ids and types stay within their rules.  SPDX-License-Identifier: Apache-2.0 */
#include "scheme.h"
#include "signature.h"
#include "text.h"
#include <stdlib.h>
#include <string.h>

static const char schemes_text[] =
    "schemes: {"
    "  tagged: { signature_header = \"S\"; version_tag = \"v1\"; delivery_id = \"{header:Id}\";"
    "            event_type = \"x.{header:Id}.{body:/action}\"; };"
    "  list: { signature_header = \"S\"; version_tag = \"v1\"; list_separator = \",\"; delivery_id = \"{body:/id}\"; };"
    "  bare: { signature_header = \"S\"; list_separator = \" \"; delivery_id = \"{body:/a/0/id} {header:Id}\"; };"
    "};";
static const char *const names[] = {"tagged", "list", "bare"};
enum { SCHEMES = sizeof names / sizeof names[0] };

static struct scheme_set *set;
static struct verifier *verifiers[SCHEMES];
static struct verification *verification;
static const char *matched; /* the secret of the last verdict */

static void must(bool holds)
{
    if (!holds) abort();
}

struct headers {
    struct bytes signature, id;
    size_t signatures, ids;
};

static size_t find(void *ctx, const char *name, struct bytes *value)
{
    const struct headers *h = ctx;
    bool signature = strcmp(name, "S") == 0;
    size_t count = signature ? h->signatures : h->ids;
    if (count > 0) *value = signature ? h->signature : h->id;
    return count;
}

static enum scheme_reason judge(const struct verifier *v, struct headers *h, struct bytes body, size_t piece)
{
    struct verification_result result;
    const struct scheme_request request = {.find = find, .ctx = h};
    enum scheme_reason begun = verification_begin(verification, v, &request, 0);
    for (size_t at = 0; at < body.size; at += piece) {
        size_t size = body.size - at < piece ? body.size - at : piece;
        verification_update(verification, body.data + at, size);
    }
    enum scheme_reason verdict = verification_finish(verification, &request, body, &result);
    must(begun == SCHEME_OK ? verdict == SCHEME_OK || verdict == SCHEME_MISMATCH : verdict == begun);
    matched = result.secret_name;
    must((verdict == SCHEME_OK) == (matched != NULL));
    return verdict;
}

/* The value of our own signature's header: "S: v1=..." without its name. */
static struct bytes sign(const struct verifier *v, struct bytes body, struct buffer *line)
{
    struct headers none = {.signatures = 0};
    struct buffer made = {.max = 0};
    const struct scheme_signing signing = {.request = {.find = find, .ctx = &none}, .body = body};
    must(scheme_sign(verifier_scheme(v), bytes_of("k"), &signing, line, &made, NULL));
    return (struct bytes){line->data + 3, line->size - 4};
}

static bool holds(struct bytes text, struct bytes part)
{
    return text.size >= part.size && memmem(text.data, text.size, part.data, part.size);
}

static void verify(const struct verifier *v, struct headers *h, struct bytes body)
{
    struct buffer line;
    buffer_init(&line, 256);
    struct bytes own = sign(v, body, &line);
    enum scheme_reason verdict = judge(v, h, body, body.size + 1);
    must(judge(v, h, body, 1) == verdict && judge(v, h, body, 7) == verdict);
    if (verdict == SCHEME_OK && strcmp(matched, "current") == 0) must(holds(h->signature, own));
    h->signature = own;
    h->signatures = 1;
    h->ids = h->ids > 1 ? 1 : h->ids;
    must(judge(v, h, body, 3) == SCHEME_OK);
    buffer_close(&line);
}

static void name(const struct scheme *s, struct headers *h, struct bytes body)
{
    struct buffer out;
    struct error error = {0};
    const struct scheme_request request = {.find = find, .ctx = h};
    buffer_init(&out, 4096);
    bool good = scheme_delivery_id(s, &request, body, &out, &error);
    struct bytes id = buffer_view(&out);
    must(good ? id.size <= 256 : id.size == 0 && error.text[0] != 0);
    for (size_t i = 0; i < id.size; i++)
        must(id.data[i] >= 0x20 && id.data[i] < 0x7f);
    good = scheme_event_type(s, &request, body, &out, &error);
    struct bytes type = buffer_view(&out);
    must(good ? type.size > 0 && type.size <= 256 && text_is_utf8(type) : type.size == 0);
    buffer_close(&out);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    must(signature_init(NULL));
    set = scheme_set_load(schemes_text, NULL);
    verification = verification_new();
    must(set && verification);
    for (size_t i = 0; i < SCHEMES; i++) {
        struct verifier_secret secrets[] = {{.name = "current", .secret = secret_resolve(bytes_of("k"), true, NULL)},
                                            {.name = "previous", .secret = secret_resolve(bytes_of("l"), true, NULL)}};
        verifiers[i] = verifier_new(scheme_find(set, names[i]), secrets, 2, NULL);
        must(verifiers[i]);
    }
    return 0;
}

/* Input: scheme, number of signature and id headers, their lengths, then both values and the body. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 5) return 0;
    const struct verifier *v = verifiers[data[0] % SCHEMES];
    struct headers h = {.signatures = data[1] % 3, .ids = data[2] % 3};
    size_t signature = (size_t)data[3] * 4, id = (size_t)data[4] * 2;
    struct bytes rest = {data + 5, size - 5};
    if (signature > rest.size) signature = rest.size;
    if (id > rest.size - signature) id = rest.size - signature;
    h.signature = (struct bytes){rest.data, signature};
    h.id = (struct bytes){rest.data + signature, id};
    struct bytes body = {rest.data + signature + id, rest.size - signature - id};
    name(verifier_scheme(v), &h, body);
    verify(v, &h, body);
    return 0;
}
