/* handshake_steps.c: what is not a delivery: WebhookInfo by GET and HEAD, OPTIONS, and the providers' handshakes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "ingress.h"
#include "json_pointer.h"
#include "log.h"

enum {
    ASKED_PER_S = 10, /* handshakes of one agent; nobody needs more, and most are asked by anybody */
    ASKED_AT_ONCE = 50,
    ASKED_BODY_MAX = 16 * 1024, /* of those that nothing verifies */
    CONFIRMATION_MAX = 1024,
};

enum outcome handshake_get(struct request *r)
{
    (void)r;
    return OUTCOME_INFO; /* for a HEAD the library leaves the body out */
}

/* The CloudEvents consent (WebHook-Request-Origin) is a handshake that the trigger has to declare; a browser's
 * preflight is not and gets nothing (providers 3.4).  Both refusals are the absence of the headers. */
enum outcome handshake_options(struct request *r)
{
    if (r->facts.header[HEADER_HOOK_ORIGIN].count > 0 || r->facts.header[HEADER_PREFLIGHT].count > 0) {
        r->reason = "no origin is allowed";
        return OUTCOME_BAD_METHOD;
    }
    return OUTCOME_OPTIONS;
}

static struct handshake_question question_of(const struct request *r)
{
    struct scheme_request request = webhook_scheme_request(r);
    struct bytes query = request.query; /* with its '?' */
    if (query.size > 0) query = (struct bytes){query.data + 1, query.size - 1};
    return (struct handshake_question){.method = r->head->method,
                                       .query = query,
                                       .body = buffer_view(&r->body),
                                       .find = request.find,
                                       .ctx = request.ctx,
                                       .bodyless = !r->facts.chunked && r->facts.declared <= 0,
                                       .now_s = clock_wall_us() / 1000000};
}

enum outcome handshake_at_head(struct request *r)
{
    const struct handshake_policy *policy = &r->trigger->handshake;
    if (policy->kinds == 0) return OUTCOME_NONE;
    struct handshake_question q = question_of(r);
    r->handshake = handshake_asked(policy->kinds, &q, false);
    if (r->handshake == HANDSHAKE_NONE) return OUTCOME_NONE;
    if (r->body_max > ASKED_BODY_MAX) r->body_max = ASKED_BODY_MAX;
    return r->trigger->options.enabled ? OUTCOME_NONE : OUTCOME_DISABLED;
}

/* The one who can confirm a subscription is an operator: nothing that a request names is fetched from here.  The URL
 * carries a token that does nothing but confirm this subscription, of a listed topic. */
static void log_confirmation(const struct request *r)
{
    static const char *const pointers[] = {"/Type", "/TopicArn", "/SubscribeURL"};
    struct buffer texts[3];
    for (size_t i = 0; i < 3; i++) {
        struct bytes raw;
        buffer_init(&texts[i], CONFIRMATION_MAX);
        if (json_pointer_find(buffer_view(&r->body), pointers[i], &raw) == JSON_FOUND)
            json_pointer_text(raw, &texts[i]);
    }
    log_event(LOG_WARN, "SNS waits for an operator: open confirm_url to confirm", log_text("agent", r->agent_id),
              log_bytes("type", buffer_view(&texts[0])), log_bytes("topic", buffer_view(&texts[1])),
              log_bytes("confirm_url", buffer_view(&texts[2])));
    for (size_t i = 0; i < 3; i++)
        buffer_close(&texts[i]);
}

static enum outcome settle(struct request *r, int kind)
{
    static const enum outcome outcomes[] = {
        [HANDSHAKE_ANSWERED] = OUTCOME_HANDSHAKE,        [HANDSHAKE_MALFORMED] = OUTCOME_BAD_EVENT,
        [HANDSHAKE_REFUSED] = OUTCOME_HANDSHAKE_REFUSED, [HANDSHAKE_NO_CONSENT] = OUTCOME_BAD_METHOD,
        [HANDSHAKE_UNABLE] = OUTCOME_MEMORY_FULL,
    };
    struct handshake_question q = question_of(r);
    struct rate rate = rate_of(ASKED_PER_S, 1000, ASKED_AT_ONCE);
    r->handshake = kind;
    r->reason = scheme_handshake_name((enum scheme_handshake)kind);
    if (!rate_take(rate, &r->trigger->account->handshakes_ns, clock_monotonic_us() * 1000, &r->retry_after_s))
        return OUTCOME_RATE_LIMITED;
    struct handshake_answer *answer = &r->ingress->handshake_answer;
    handshake_answer(kind, &r->trigger->handshake, &q, &r->ingress->scratch, answer);
    r->handshake_status = answer->status;
    if (answer->reason) r->reason = answer->reason;
    if (answer->verdict == HANDSHAKE_MALFORMED)
        error_set(&r->error, ERROR_INVALID, "%s: %s", scheme_handshake_name((enum scheme_handshake)kind), r->reason);
    if (answer->verdict == HANDSHAKE_ANSWERED && kind == HANDSHAKE_SNS_CONFIRMATION) log_confirmation(r);
    return outcomes[answer->verdict];
}

/* What the head asked for is never a delivery, whatever else is wrong: nothing has verified it. */
enum outcome handshake_at_end(struct request *r)
{
    const struct handshake_policy *policy = &r->trigger->handshake;
    if (policy->kinds == 0) return OUTCOME_NONE;
    bool json = !r->scanning || json_scanner_end(&r->json);
    if (r->handshake != HANDSHAKE_NONE) return json || r->received == 0 ? settle(r, r->handshake) : OUTCOME_BAD_JSON;
    if (!json || !buffer_ok(&r->body)) return OUTCOME_NONE; /* told by the steps that follow */
    struct handshake_question q = question_of(r);
    int kind = handshake_asked(policy->kinds, &q, true);
    if (kind != HANDSHAKE_NONE) return settle(r, kind);
    r->reason = handshake_refuses_delivery(policy, q.body);
    return r->reason ? OUTCOME_SOURCE_REFUSED : OUTCOME_NONE;
}

/* ---- the answer ---- */

static size_t add_consent(const struct request *r, char rate[TEXT_INT64_SIZE], struct http_reply_header *headers)
{
    size_t n = 0;
    if (r->trigger->rate_per_min > 0)
        text_format_int64(r->trigger->rate_per_min, rate);
    else
        memcpy(rate, "*", 2);
    headers[n++] = (struct http_reply_header){"Allow", "POST, OPTIONS"};
    headers[n++] = (struct http_reply_header){"WebHook-Allowed-Origin", r->ingress->handshake_answer.origin};
    headers[n++] = (struct http_reply_header){"WebHook-Allowed-Rate", rate};
    return n;
}

struct http_reply handshake_reply(struct request *r)
{
    const struct handshake_answer *a = &r->ingress->handshake_answer;
    struct http_reply_header headers[5];
    char rate[TEXT_INT64_SIZE];
    size_t n = 0;
    if (a->content_type) {
        headers[n++] = (struct http_reply_header){"Content-Type", a->content_type};
        headers[n++] = (struct http_reply_header){"X-Content-Type-Options", "nosniff"};
    }
    if (a->origin[0]) n += add_consent(r, rate, headers + n);
    return http_reply_new(a->status, buffer_view(&r->ingress->scratch), headers, n, false);
}
