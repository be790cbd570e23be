/* webhook.c: a request as a list of steps; each returns OUTCOME_NONE (go on) or what becomes of the request.
 * SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "ingress.h"
#include "log.h"
#include <stdlib.h>
#include <string.h>

enum {
    BODY_KEPT_MAX = 16 * 1024, /* a pooled request keeps at most this much memory for the next body */
    TEXT_MAX = 64 * 1024,
};

/* ---- the pool ---- */

static void request_free(struct request *r)
{
    buffer_close(&r->body);
    buffer_close(&r->event_id);
    free(r);
}

static struct request *request_new(void)
{
    struct request *r = calloc(1, sizeof *r);
    if (r) buffer_init(&r->event_id, TEXT_MAX);
    return r;
}

static struct request *request_take(struct ingress *in, struct http_request *http)
{
    struct request *r = in->pool;
    if (r)
        in->pool = r->next;
    else
        r = request_new();
    if (!r) return NULL;
    r->next = NULL;
    r->ingress = in;
    r->http = http;
    r->head = http_request_head(http);
    r->started_us = clock_monotonic_us();
    r->agent_id[0] = r->workflow_id[0] = r->traceparent[0] = 0;
    r->handshake = HANDSHAKE_NONE;
    r->scheme_reason = SCHEME_OK;
    r->is_cloudevent = r->is_enveloped = false;
    r->triggers = NULL;
    r->trigger = NULL;
    r->outcome = OUTCOME_NONE;
    r->reason = NULL;
    r->verified = (struct verification_result){.signed_at_ms = -1};
    r->delivery = r->store = r->verifying = r->scanning = r->is_json = false;
    r->body_max = (size_t)in->settings.body_max;
    r->received = 0;
    buffer_clear(&r->event_id);
    return r;
}

static void take_body(struct request *r)
{
    struct spares *spares = &r->ingress->spares;
    if (spares->body_count > 0) r->body = spares->bodies[--spares->body_count];
    r->body.max = r->body_max;
}

static void release_body(struct request *r)
{
    struct spares *spares = &r->ingress->spares;
    r->ingress->body_bytes -= (int64_t)r->body.size;
    if (r->body.capacity > BODY_KEPT_MAX || spares->body_count == SPARES_MAX) buffer_close(&r->body);
    buffer_clear(&r->body);
    if (r->body.data) spares->bodies[spares->body_count++] = r->body;
    r->body = (struct buffer){0};
}

static bool take_verification(struct request *r)
{
    struct spares *spares = &r->ingress->spares;
    r->verification =
        spares->verification_count > 0 ? spares->verifications[--spares->verification_count] : verification_new();
    return r->verification != NULL;
}

static void release_verification(struct request *r)
{
    struct spares *spares = &r->ingress->spares;
    if (spares->verification_count == SPARES_MAX)
        verification_free(r->verification);
    else if (r->verification)
        spares->verifications[spares->verification_count++] = r->verification;
    r->verification = NULL;
}

static void request_put(struct request *r)
{
    struct ingress *in = r->ingress;
    release_body(r);
    release_verification(r);
    trigger_set_unref(r->triggers);
    r->triggers = NULL;
    r->next = in->pool;
    in->pool = r;
}

void webhook_open(struct ingress *in)
{
    buffer_init(&in->event_type, TEXT_MAX);
    buffer_init(&in->attributes, TEXT_MAX);
    buffer_init(&in->tracestate, TEXT_MAX);
    buffer_init(&in->scratch, TEXT_MAX);
}

void webhook_close(struct ingress *in)
{
    struct spares *spares = &in->spares;
    while (in->pool) {
        struct request *r = in->pool;
        in->pool = r->next;
        request_free(r);
    }
    while (spares->body_count > 0)
        buffer_close(&spares->bodies[--spares->body_count]);
    while (spares->verification_count > 0)
        verification_free(spares->verifications[--spares->verification_count]);
    buffer_close(&in->event_type);
    buffer_close(&in->attributes);
    buffer_close(&in->tracestate);
    buffer_close(&in->scratch);
}

/* ---- steps at the headers ---- */

static enum outcome refuse(struct request *r, enum outcome outcome, const char *reason)
{
    r->reason = reason;
    return outcome;
}

static enum outcome step_gate(struct request *r)
{
    const char *fault = gate_check(r->head, &r->facts);
    return fault ? refuse(r, OUTCOME_BAD_FRAMING, fault) : OUTCOME_NONE;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    uint8_t lower = c | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* An agent id needs no escapes, but a sender may use them (RFC 3986 6.2.2.2). */
static bool decode_agent_id(struct bytes segment, char out[129])
{
    size_t size = 0;
    for (size_t i = 0; i < segment.size; i++) {
        int c = segment.data[i];
        if (c == '%') {
            if (i + 2 >= segment.size) return false;
            int high = hex_digit(segment.data[i + 1]), low = hex_digit(segment.data[i + 2]);
            c = high < 0 || low < 0 ? 0 : 16 * high + low;
            i += 2;
        }
        if (size == 128) return false;
        out[size++] = (char)c;
    }
    out[size] = 0;
    return text_is_agent_id((struct bytes){(const uint8_t *)out, size});
}

/* {prefix}/{agent_id}/webhook */
static enum outcome step_route(struct request *r)
{
    struct bytes path = r->head->path, prefix = bytes_of(r->ingress->settings.prefix), tail = bytes_of("/webhook");
    if (path.size < prefix.size + 1 + tail.size || memcmp(path.data, prefix.data, prefix.size) != 0 ||
        path.data[prefix.size] != '/' || memcmp(path.data + path.size - tail.size, tail.data, tail.size) != 0)
        return refuse(r, OUTCOME_NOT_FOUND, "no such path");
    struct bytes segment = {path.data + prefix.size + 1, path.size - prefix.size - 1 - tail.size};
    char id[129];
    if (!decode_agent_id(segment, id)) return refuse(r, OUTCOME_NOT_FOUND, "not an agent id");
    memcpy(r->agent_id, id, sizeof id);
    return OUTCOME_NONE;
}

static enum outcome step_trigger(struct request *r)
{
    r->trigger = trigger_set_find(r->ingress->triggers, bytes_of(r->agent_id));
    if (!r->trigger && r->ingress->topic && !trigger_topic_converged(r->ingress->topic, NULL))
        return refuse(r, OUTCOME_KAFKA_AWAY, "the triggers topic is not read yet"); /* a 404 would be taken as final */
    if (!r->trigger) return refuse(r, OUTCOME_NOT_FOUND, "no trigger");
    r->triggers = trigger_set_ref(r->ingress->triggers);
    r->body_max = (size_t)r->trigger->body_max;
    return OUTCOME_NONE;
}

static const struct method {
    const char *name;
    enum outcome (*handle)(struct request *r);
} methods[] = {{"GET", handshake_get}, {"HEAD", handshake_get}, {"OPTIONS", handshake_options}};

static enum outcome step_method(struct request *r)
{
    r->delivery = bytes_are(r->head->method, "POST");
    if (r->handshake != HANDSHAKE_NONE) return OUTCOME_NONE;
    if (r->delivery) return r->trigger->options.enabled ? OUTCOME_NONE : OUTCOME_DISABLED;
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        if (bytes_are(r->head->method, methods[i].name)) return methods[i].handle(r);
    return OUTCOME_BAD_METHOD;
}

static enum outcome step_draining(struct request *r)
{
    return r->ingress->draining ? OUTCOME_DRAINING : OUTCOME_NONE;
}

static enum outcome step_room(struct request *r)
{
    if (http_server_requests(r->ingress->server) <= r->ingress->settings.requests_max) return OUTCOME_NONE;
    return refuse(r, OUTCOME_MEMORY_FULL, "requests_max");
}

static enum outcome step_declared(struct request *r)
{
    if (r->facts.declared > (int64_t)r->body_max) return refuse(r, OUTCOME_TOO_LARGE, "declared");
    return OUTCOME_NONE;
}

static enum outcome step_source(struct request *r)
{
    const struct settings *s = &r->ingress->settings;
    struct address socket_peer = r->peer;
    if (!admission_peer(&socket_peer, r->head, s->proxies, s->proxy_count, &r->peer))
        return refuse(r, OUTCOME_SOURCE_REFUSED, "malformed X-Forwarded-For");
    const struct source_policy *policy = &r->trigger->source;
    const char *rule = r->handshake == HANDSHAKE_NONE ? admission_source(policy, &r->facts, &r->peer)
                                                      : admission_address(policy, &r->peer);
    return rule ? refuse(r, OUTCOME_SOURCE_REFUSED, rule) : OUTCOME_NONE;
}

static size_t find_header(void *ctx, const char *name, struct bytes *value)
{
    size_t count;
    *value = http_request_header(ctx, name, &count);
    return count;
}

static enum outcome signature_outcome(struct request *r, enum scheme_reason reason)
{
    if (reason == SCHEME_OK) return OUTCOME_NONE;
    r->scheme_reason = reason;
    return refuse(r, reason == SCHEME_UNABLE ? OUTCOME_MEMORY_FULL : OUTCOME_UNAUTHORIZED, scheme_reason_name(reason));
}

struct scheme_request webhook_scheme_request(const struct request *r)
{
    struct bytes target = r->head->target;
    size_t path = r->head->path.size;
    return (struct scheme_request){.find = find_header,
                                   .ctx = r->http,
                                   .method = r->head->method,
                                   .url = bytes_of(r->trigger->webhook_url),
                                   .query = {target.data + path, target.size - path},
                                   .members = r->is_json ? &r->json.members : NULL};
}

static enum outcome step_signature_header(struct request *r)
{
    if (!r->trigger->verifier || r->handshake != HANDSHAKE_NONE) return OUTCOME_NONE;
    const struct scheme_request request = webhook_scheme_request(r);
    if (!take_verification(r)) return refuse(r, OUTCOME_MEMORY_FULL, "no memory");
    r->verifying = true;
    return signature_outcome(
        r, verification_begin(r->verification, r->trigger->verifier, &request, clock_wall_coarse_ms()));
}

/* Could an event be published as things stand, or kept until then? */
static bool can_take(const struct request *r)
{
    const struct ingress *in = r->ingress;
    return publisher_ready(in->publisher, NULL) || (in->spool && r->trigger->spool && spool_ready(in->spool));
}

/* What to do with the body.  It is kept only if the event can be taken as things stand, or if verdict, handshake or
 * filter need it: else only its signature is of interest. */
static enum outcome step_body(struct request *r)
{
    r->store = can_take(r) || r->trigger->needs_body || r->handshake != HANDSHAKE_NONE;
    r->scanning = admission_is_json(r->facts.header[HEADER_CONTENT_TYPE].value);
    if (r->scanning) json_scanner_init(&r->json);
    take_body(r);
    return OUTCOME_NONE;
}

typedef enum outcome request_step(struct request *r);

static enum outcome take_steps(struct request *r, request_step *const *steps, size_t count)
{
    enum outcome outcome = OUTCOME_NONE;
    for (size_t i = 0; i < count && outcome == OUTCOME_NONE; i++)
        outcome = steps[i](r);
    return outcome;
}

static request_step *const head_steps[] = {
    step_gate, step_route,    step_trigger, handshake_at_head,     step_method, step_draining,
    step_room, step_declared, step_source,  step_signature_header, step_body};

/* An answer at the headers costs the connection, and the body is never read.  So only: doubt about framing, a body that
 * is too large by its own words, a signature that cannot be right, and a sender that asks first (100-continue). */
static bool answers_at_head(const struct request *r)
{
    bool has_body = r->facts.chunked || r->facts.declared > 0;
    return r->outcome == OUTCOME_BAD_FRAMING || r->outcome == OUTCOME_UNAUTHORIZED ||
           r->facts.declared > (int64_t)r->body_max || (has_body && r->facts.header[HEADER_EXPECT].count > 0);
}

void webhook_head(void *ctx, struct http_request *http)
{
    struct ingress *in = ctx;
    struct request *r = request_take(in, http);
    if (!r) {
        metrics_add(in->metrics, METRIC_REQUESTS + OUTCOME_MEMORY_FULL - 1, 1);
        log_event(LOG_ERROR, "no memory for a request", log_int("connections", http_server_connections(in->server)));
        http_request_answer(http, in->replies[OUTCOME_MEMORY_FULL]);
        return;
    }
    http_request_set_user(http, r);
    if (!address_from_socket(http_request_peer(http), &r->peer)) r->peer = (struct address){0};
    r->outcome = take_steps(r, head_steps, sizeof head_steps / sizeof head_steps[0]);
    if (r->outcome == OUTCOME_NONE) return;
    r->delivery = false;
    if (answers_at_head(r)) http_request_answer(http, answer_make(r));
}

/* ---- the body ---- */

/* Refuses in mid-body: the rest is read and thrown away, the answer comes at the end. */
static bool refuse_body(struct request *r, enum outcome outcome, const char *reason)
{
    r->outcome = refuse(r, outcome, reason);
    r->delivery = false;
    release_body(r);
    return true;
}

bool webhook_body(void *ctx, struct http_request *http, const void *data, size_t size)
{
    struct ingress *in = ctx;
    struct request *r = http_request_user(http);
    r->received += size;
    if (r->received / 2 > r->body_max) {
        r->outcome = refuse(r, OUTCOME_DROPPED, "beyond twice the limit");
        r->delivery = false;
        return false;
    }
    if (!r->delivery) return true;
    if (r->received > r->body_max) return refuse_body(r, OUTCOME_TOO_LARGE, "received");
    if (r->verifying) verification_update(r->verification, data, size);
    if (r->scanning) json_scanner_feed(&r->json, data, size);
    if (!r->store) return true;
    if (in->body_bytes + (int64_t)size > in->settings.inflight_body_max)
        return refuse_body(r, OUTCOME_MEMORY_FULL, "inflight_body_max");
    in->body_bytes -= (int64_t)r->body.size;
    buffer_append(&r->body, data, size);
    in->body_bytes += (int64_t)r->body.size;
    return buffer_ok(&r->body) ? true : refuse_body(r, OUTCOME_MEMORY_FULL, "no memory");
}

/* ---- steps at the end ---- */

static enum outcome step_signature(struct request *r)
{
    if (!r->verifying) return OUTCOME_NONE;
    const struct scheme_request request = webhook_scheme_request(r);
    enum scheme_reason reason = verification_finish(r->verification, &request, buffer_view(&r->body), &r->verified);
    if (reason == SCHEME_OK) secret_use_count(r->trigger, r->verified.secret, clock_wall_coarse_ms() / 1000);
    return signature_outcome(r, reason);
}

/* Amazon SNS calls its JSON text/plain. */
static bool scheme_says_type(const struct request *r, struct bytes type)
{
    char text[] = "text/plain", *const plain[] = {text};
    return r->trigger->verifier && scheme_is_sns(verifier_scheme(r->trigger->verifier)) &&
           admission_content_type(type, plain, 1);
}

static enum outcome step_content_type(struct request *r)
{
    const struct config_list *types = &r->trigger->options.content_types;
    if (r->facts.header[HEADER_CONTENT_ENCODING].count > 0) return refuse(r, OUTCOME_BAD_TYPE, "content encoding");
    struct bytes type = r->facts.header[HEADER_CONTENT_TYPE].value;
    r->is_enveloped = admission_is_cloudevent(type, types->items, types->count);
    if (r->is_enveloped || admission_content_type(type, types->items, types->count) || scheme_says_type(r, type))
        return OUTCOME_NONE;
    return refuse(r, OUTCOME_BAD_TYPE, "content type");
}

static enum outcome step_json(struct request *r)
{
    r->is_json = r->scanning && json_scanner_end(&r->json);
    if (!r->scanning || r->is_json) return OUTCOME_NONE;
    return refuse(r, OUTCOME_BAD_JSON, r->received > 0 ? "not JSON" : "empty body");
}

/* A delivery that nobody can take costs nothing: its sender has to come again anyway. */
static enum outcome step_rate(struct request *r)
{
    const struct trigger *t = r->trigger;
    if (t->rate.interval_ns == 0 || !can_take(r)) return OUTCOME_NONE;
    if (rate_take(t->rate, &t->account->deliveries_ns, clock_monotonic_us() * 1000, &r->retry_after_s))
        return OUTCOME_NONE;
    return refuse(r, OUTCOME_RATE_LIMITED, "rate");
}

static enum outcome step_identity(struct request *r)
{
    return r->store ? event_identify(r, clock_wall_us()) : OUTCOME_KAFKA_AWAY;
}

static enum outcome step_filter(struct request *r)
{
    const struct config_list *events = &r->trigger->options.events;
    return admission_event(buffer_view(&r->ingress->event_type), events->items, events->count) ? OUTCOME_NONE
                                                                                               : OUTCOME_IGNORED;
}

/* The record goes out at the end of this turn, after the request was suspended: its report may not come before
 * libmicrohttpd hears from us (traps 5.1). */
static enum outcome step_publish(struct request *r)
{
    static const enum outcome outcomes[] = {[PUBLISH_STARTED] = OUTCOME_NONE,
                                            [PUBLISH_AWAY] = OUTCOME_KAFKA_AWAY,
                                            [PUBLISH_QUEUE_FULL] = OUTCOME_QUEUE_FULL,
                                            [PUBLISH_NO_ROOM] = OUTCOME_NOT_SPOOLED};
    struct ingress *in = r->ingress;
    struct event_record event;
    if (!can_take(r)) return OUTCOME_KAFKA_AWAY;
    enum outcome outcome = event_make(r, &event);
    if (outcome != OUTCOME_NONE) return outcome;
    int64_t deadline_ms = clock_monotonic_ms() + r->trigger->deadline_ms;
    outcome = outcomes[in->spool ? spool_send(in->spool, &event.record, r->trigger->spool, deadline_ms, r)
                                 : publisher_send(in->publisher, &event.record, deadline_ms, r)];
    release_body(r); /* the publisher has its own copy */
    release_verification(r);
    return outcome;
}

static request_step *const end_steps[] = {step_signature, handshake_at_end, step_content_type, step_json,
                                          step_rate,      step_identity,    step_filter,       step_publish};

void webhook_complete(void *ctx, struct http_request *http)
{
    (void)ctx;
    struct request *r = http_request_user(http);
    if (r->outcome == OUTCOME_NONE) r->outcome = take_steps(r, end_steps, sizeof end_steps / sizeof end_steps[0]);
    if (r->outcome == OUTCOME_NONE)
        http_request_suspend(http); /* reports come on this thread, after this call */
    else
        http_request_answer(http, answer_make(r));
}

/* ---- the end ---- */

void webhook_published(void *ctx, void *subject, const struct publish_report *report)
{
    static const enum outcome outcomes[] = {
        [PUBLISH_ACKNOWLEDGED] = OUTCOME_ACCEPTED, [PUBLISH_FAILED] = OUTCOME_NOT_DELIVERED,
        [PUBLISH_OVERSIZED] = OUTCOME_TOO_LARGE,   [PUBLISH_FULL] = OUTCOME_QUEUE_FULL,
        [PUBLISH_LATE] = OUTCOME_DEADLINE,         [PUBLISH_REFUSED] = OUTCOME_NOT_DELIVERED,
        [PUBLISH_SPOOLED] = OUTCOME_SPOOLED,       [PUBLISH_UNSPOOLED] = OUTCOME_NOT_SPOOLED};
    (void)ctx;
    struct request *r = subject;
    r->outcome = outcomes[report->end];
    r->reason = report->reason;
    r->partition = report->partition;
    r->offset = report->offset;
    http_request_resume(r->http, answer_make(r));
}

void webhook_done(void *ctx, struct http_request *http)
{
    (void)ctx;
    struct request *r = http_request_user(http);
    if (!r) return;
    if (r->outcome == OUTCOME_NONE) r->outcome = OUTCOME_ABORTED;
    answer_record(r);
    request_put(r);
}

void webhook_malformed(void *ctx, const char *text)
{
    struct ingress *in = ctx;
    metrics_add(in->metrics, METRIC_MALFORMED, 1);
    log_event(LOG_INFO, "malformed", log_text("message", text));
}
