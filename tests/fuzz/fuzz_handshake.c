/* fuzz_handshake.c: any request as a handshake of any kinds: an answer may be echoed, a refusal has a reason and no
 * body, and the same question gets the same answer.
 * The input: a byte of the method, two of the kinds declared, then query, header value and body, a line each.
 * SPDX-License-Identifier: Apache-2.0 */
#include "handshake.h"
#include "json.h"
#include "signature.h"
#include <stdlib.h>
#include <string.h>

static void require(bool truth)
{
    if (!truth) abort();
}

static struct bytes cut(struct bytes *rest)
{
    const uint8_t *at = rest->size ? memchr(rest->data, '\n', rest->size) : NULL;
    struct bytes piece = {rest->data, at ? (size_t)(at - rest->data) : rest->size};
    size_t used = at ? piece.size + 1 : rest->size;
    *rest = (struct bytes){rest->data + used, rest->size - used};
    return piece;
}

/* Every header that is asked for has the one value of the input; none if that is empty. */
static size_t find(void *ctx, const char *name, struct bytes *value)
{
    const struct bytes *given = ctx;
    if (given->size == 0 || strcmp(name, "Access-Control-Request-Method") == 0) return 0;
    *value = *given;
    return 1;
}

static bool hmac(const void *ctx, struct bytes text, int64_t now_s, uint8_t mac[32])
{
    (void)ctx, (void)now_s;
    signature_sha256(&text, 1, mac);
    return true;
}

static void check(int kind, const struct handshake_policy *policy, const struct handshake_question *q)
{
    struct handshake_answer answer, again;
    struct buffer body, twice;
    buffer_init(&body, 65536);
    buffer_init(&twice, 65536);
    handshake_answer(kind, policy, q, &body, &answer);
    handshake_answer(kind, policy, q, &twice, &again);
    require(answer.verdict == again.verdict && bytes_equal(buffer_view(&body), buffer_view(&twice)));
    bool answered = answer.verdict == HANDSHAKE_ANSWERED;
    require(answered == !answer.reason && (answered || body.size == 0));
    for (size_t i = 0; i < body.size; i++)
        require(body.data[i] >= 0x20 && body.data[i] <= 0x7e);
    bool plain = answer.content_type && strcmp(answer.content_type, "text/plain") == 0;
    require(!plain || body.size <= 1024);
    struct json *document = answer.content_type && !plain ? json_parse(buffer_view(&body), NULL) : NULL;
    require(!answered || !answer.content_type || plain || document);
    json_free(document);
    require(!answer.origin[0] || kind == HANDSHAKE_CLOUDEVENTS_OPTIONS);
    buffer_close(&body);
    buffer_close(&twice);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct error error;
    (void)argc, (void)argv;
    require(signature_init(&error));
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char star[] = "*";
    static char *stars[] = {star};
    static const char *const methods[] = {"GET", "POST", "OPTIONS", "HEAD"};
    const struct config_list any = {stars, 1};
    if (size < 3) return 0;
    struct bytes rest = {data + 3, size - 3}, query = cut(&rest), header = cut(&rest);
    const struct handshake_policy policy = {.kinds = (unsigned)(data[1] << 8 | data[2]) & ((1U << HANDSHAKES) - 1),
                                            .verify_token = bytes_of("token"),
                                            .origins = &any,
                                            .topic_arns = &any,
                                            .hmac = hmac};
    const struct handshake_question q = {.method = bytes_of(methods[data[0] % 4]),
                                         .query = query,
                                         .body = rest,
                                         .find = find,
                                         .ctx = &header,
                                         .bodyless = rest.size == 0};
    for (int verified = 0; verified < 2; verified++) {
        int kind = handshake_asked(policy.kinds, &q, verified);
        if (kind == HANDSHAKE_NONE) continue;
        require((policy.kinds >> (unsigned)kind & 1) != 0);
        require((handshake_signed_kinds() >> (unsigned)kind & 1) == (unsigned)verified);
        check(kind, &policy, &q);
    }
    handshake_refuses_delivery(&policy, rest);
    return 0;
}
