/* trigger_policy.c: a trigger's rate, filter and handshakes, made from its options.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ingress.h"
#include <string.h>

static bool make_rate(struct trigger *t, const struct trigger_loading *l, struct error *error)
{
    (void)l;
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

static bool make_events(struct trigger *t, const struct trigger_loading *l, struct error *error)
{
    (void)l;
    const struct config_list *events = &t->options.events;
    for (size_t i = 0; i < events->count; i++)
        if (strlen(events->items[i]) > 256 || strcmp(events->items[i], "!") == 0)
            return error_set(error, ERROR_INVALID, "'%.40s' is not a pattern of 1 to 256 characters", events->items[i]);
    if (events->count > 0) t->needs_body = true;
    return true;
}

static bool mac_of_current_secret(const void *verifier, struct bytes text, int64_t now_s, uint8_t mac[32])
{
    return verifier_hmac(verifier, text, now_s, mac);
}

static bool add_kinds(struct trigger *t, struct error *error)
{
    const struct config_list *words = &t->options.handshake;
    for (size_t i = 0; i < words->count; i++) {
        int kind = handshake_kind(bytes_of(words->items[i]));
        if (kind == HANDSHAKE_NONE)
            return error_set(error, ERROR_INVALID, "there is no handshake '%.40s'", words->items[i]);
        t->handshake.kinds |= 1U << (unsigned)kind;
        if (!t->verifier && (handshake_signed_kinds() >> (unsigned)kind & 1))
            return error_set(error, ERROR_INVALID, "'%s' is signed and needs a scheme in verify", words->items[i]);
    }
    return true;
}

static bool make_handshake(struct trigger *t, const struct trigger_loading *l, struct error *error)
{
    (void)l;
    const struct scheme *scheme = t->verifier ? verifier_scheme(t->verifier) : NULL;
    const struct config_list *types = &t->options.content_types;
    struct handshake_policy *p = &t->handshake;
    *p = (struct handshake_policy){.kinds = scheme ? scheme_handshakes(scheme) : 0,
                                   .origins = &t->options.allowed_origins,
                                   .topic_arns = &t->topics,
                                   .hmac = t->verifier ? mac_of_current_secret : NULL,
                                   .hmac_ctx = t->verifier};
    if (!add_kinds(t, error)) return false;
    if (p->kinds & (handshake_signed_kinds() | 1U << HANDSHAKE_X_CRC)) t->needs_body = true;
    if (scheme && scheme_needs_body(scheme)) t->needs_body = true;
    t->cloudevents = (p->kinds >> HANDSHAKE_CLOUDEVENTS_OPTIONS & 1) != 0 ||
                     admission_is_cloudevent(bytes_of("application/cloudevents+json"), types->items, types->count);
    return true;
}

/* A reference like every secret's. */
static bool make_hub_token(struct trigger *t, const struct trigger_loading *l, struct error *error)
{
    if (!t->verify_token || !*t->verify_token) return true;
    t->hub_token = trigger_secret_open(l, "verify_token", t->verify_token, error);
    if (!t->hub_token) return error_context(error, "verify_token");
    t->handshake.verify_token = secret_view(t->hub_token);
    explicit_bzero(t->verify_token, strlen(t->verify_token));
    return true;
}

const struct trigger_policy trigger_policies[] = {
    {"rate", make_rate},
    {"events", make_events},
    {"handshake", make_handshake},
    {"verify", make_hub_token},
};
const size_t trigger_policy_count = sizeof trigger_policies / sizeof trigger_policies[0];
