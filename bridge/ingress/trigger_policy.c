/* trigger_policy.c: a trigger's rate, filter and handshakes, made from its options.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ingress.h"
#include <string.h>

static bool make_rate(struct trigger *t, bool literal_allowed, bool loopback, struct error *error)
{
    (void)literal_allowed, (void)loopback;
    const struct trigger_options *o = &t->options;
    int64_t amount, period_ms;
    if (!*o->rate) return o->burst == 0 || error_set(error, ERROR_INVALID, "is missing, but there is a burst");
    if (!text_parse_rate(bytes_of(o->rate), &amount, &period_ms))
        return error_set(error, ERROR_INVALID, "'%s' is not a rate like \"100/s\", \"6000/min\" or \"50/h\"", o->rate);
    t->rate = rate_of(amount, period_ms, o->burst);
    int64_t per_min = amount * 60000 / period_ms;
    t->rate_per_min = per_min > 0 ? per_min : 1;
    return true;
}

static bool make_events(struct trigger *t, bool literal_allowed, bool loopback, struct error *error)
{
    (void)literal_allowed, (void)loopback;
    const struct config_list *events = &t->options.events;
    for (size_t i = 0; i < events->count; i++)
        if (strlen(events->items[i]) > 256 || strcmp(events->items[i], "!") == 0)
            return error_set(error, ERROR_INVALID, "'%.40s' is not a pattern of 1 to 256 characters", events->items[i]);
    if (events->count > 0) t->needs_body = true;
    return true;
}

static bool make_handshake(struct trigger *t, bool literal_allowed, bool loopback, struct error *error)
{
    (void)literal_allowed, (void)loopback;
    struct handshake_policy *p = &t->handshake;
    const struct config_list *words = &t->options.handshake;
    for (size_t i = 0; i < words->count; i++) {
        int kind = handshake_kind(bytes_of(words->items[i]));
        if (kind == HANDSHAKE_NONE)
            return error_set(error, ERROR_INVALID, "there is no handshake '%.40s'", words->items[i]);
        p->kinds |= 1U << (unsigned)kind;
        if (!t->verifier && (handshake_signed_kinds() >> (unsigned)kind & 1))
            return error_set(error, ERROR_INVALID, "'%s' is signed and needs a scheme in verify", words->items[i]);
    }
    p->origins = &t->options.allowed_origins;
    p->topic_arns = &t->options.topic_arns;
    if (p->kinds & (handshake_signed_kinds() | 1U << HANDSHAKE_X_CRC)) t->needs_body = true;
    t->cloudevents = (p->kinds >> HANDSHAKE_CLOUDEVENTS_OPTIONS & 1) != 0;
    const struct config_list *types = &t->options.content_types;
    if (admission_is_cloudevent(bytes_of("application/cloudevents+json"), types->items, types->count))
        t->cloudevents = true;
    return true;
}

static bool make_verify_token(struct trigger *t, bool literal_allowed, bool loopback, struct error *error)
{
    (void)loopback;
    if (!*t->options.verify_token) return true;
    t->verify_token = secret_resolve(bytes_of(t->options.verify_token), literal_allowed, error);
    if (!t->verify_token) return false;
    t->handshake.verify_token = secret_view(t->verify_token);
    explicit_bzero(t->options.verify_token, strlen(t->options.verify_token));
    return true;
}

/* Amazon signs for whoever owns a topic.  On an address that others can reach, which topics may deliver must be said.
 */
static bool make_topic_arns(struct trigger *t, bool literal_allowed, bool loopback, struct error *error)
{
    (void)literal_allowed;
    bool sns = (t->handshake.kinds >> HANDSHAKE_SNS_CONFIRMATION & 1) != 0;
    if (!sns || t->options.topic_arns.count > 0 || loopback) return true;
    return error_set(
        error, ERROR_INVALID,
        "is missing: any AWS account could start this agent; name its topics, or [\"*\"] if that is meant");
}

const struct trigger_policy trigger_policies[] = {
    {"rate", make_rate},
    {"events", make_events},
    {"handshake", make_handshake},
    {"verify_token", make_verify_token},
    {"topic_arns", make_topic_arns},
};
const size_t trigger_policy_count = sizeof trigger_policies / sizeof trigger_policies[0];
