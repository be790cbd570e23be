/* event.c: a verified delivery as an event record (design.md 3.1).
 * SPDX-License-Identifier: Apache-2.0 */
#include "ingress.h"
#include "signature.h"
#include "text.h"
#include <string.h>

enum {
    HTTP_HEADERS_MAX = 16,
    EXTRA_HEADERS_MAX = HTTP_HEADERS_MAX + CLOUDEVENT_ATTRIBUTES_MAX,
    DIGEST_TEXT_SIZE = 2 * SIGNATURE_SHA256_SIZE + 1,
};

/* ---- trace context (W3C) ---- */

/* All tracestate lines joined with commas, for this event; empty when there is none. */
static void add_tracestate(struct request *r)
{
    bool first = true;
    for (size_t i = 0; i < r->head->header_count; i++) {
        const struct http_header *h = &r->head->headers[i];
        if (!text_equal_ignore_case(h->name, bytes_of("tracestate"))) continue;
        if (!first) buffer_byte(&r->ingress->tracestate, ',');
        buffer_bytes(&r->ingress->tracestate, h->value);
        first = false;
    }
    trace_state_cut(&r->ingress->tracestate);
}

static void fill_trace(struct request *r)
{
    const unsigned count = r->facts.header[HEADER_TRACEPARENT].count;
    struct bytes parent = count == 1 ? r->facts.header[HEADER_TRACEPARENT].value : (struct bytes){0};
    uint8_t random[TRACE_RANDOM_SIZE];
    ingress_random(r->ingress, random, sizeof random);
    buffer_clear(&r->ingress->tracestate);
    if (trace_parent_make(parent, random, r->traceparent)) add_tracestate(r);
}

/* ---- identity ---- */

static bool fill_cloudevent(struct request *r)
{
    const struct cloudevent_texts texts = {&r->event_id, &r->ingress->event_type, &r->ingress->attributes};
    if (r->is_enveloped) return cloudevent_from_body(buffer_view(&r->body), &r->ingress->cloudevent, texts, &r->error);
    return cloudevent_from_headers(r->head, &r->ingress->cloudevent, texts, &r->error);
}

static bool fill_by_scheme(struct request *r)
{
    const struct scheme *scheme = r->trigger->verifier ? verifier_scheme(r->trigger->verifier) : NULL;
    const struct scheme_request request = webhook_scheme_request(r);
    struct bytes body = buffer_view(&r->body);
    if (scheme)
        return scheme_delivery_id(scheme, &request, body, &r->event_id, &r->error) &&
               scheme_event_type(scheme, &request, body, &r->ingress->event_type, &r->error);
    buffer_text(&r->ingress->event_type, "drawbridge.webhook");
    return true;
}

static void fill_fresh_id(struct request *r)
{
    uint8_t random[10];
    char id[TEXT_UUID_SIZE];
    ingress_random(r->ingress, random, sizeof random);
    text_uuid7(r->recorded_us, random, id);
    buffer_text(&r->event_id, id);
}

enum outcome event_identify(struct request *r, int64_t wall_us)
{
    r->recorded_us = wall_us;
    buffer_clear(&r->event_id);
    buffer_clear(&r->ingress->event_type);
    r->is_cloudevent = r->is_enveloped || (r->trigger->cloudevents && cloudevent_is_binary(r->head));
    if (!(r->is_cloudevent ? fill_cloudevent(r) : fill_by_scheme(r)))
        return r->error.code == ERROR_MEMORY ? OUTCOME_MEMORY_FULL : OUTCOME_BAD_EVENT;
    if (buffer_ok(&r->event_id) && r->event_id.size == 0) fill_fresh_id(r);
    return buffer_ok(&r->event_id) && buffer_ok(&r->ingress->event_type) ? OUTCOME_NONE : OUTCOME_MEMORY_FULL;
}

/* What stands for the delivery in the workflow id. */
static struct bytes dedupe_key(struct request *r, char digest_text[DIGEST_TEXT_SIZE])
{
    struct bytes piece;
    if (r->trigger->options.dedupe == DEDUPE_ID) return buffer_view(&r->event_id);
    if (r->trigger->options.dedupe == DEDUPE_BODY)
        piece = buffer_view(&r->body);
    else
        piece = r->verified.signature;
    uint8_t digest[SIGNATURE_SHA256_SIZE];
    signature_sha256(&piece, 1, digest);
    text_hex(digest, sizeof digest, digest_text);
    return bytes_of(digest_text);
}

static void write_evidence(struct request *r)
{
    struct json_writer w;
    char peer[ADDRESS_TEXT_SIZE], signed_at[TEXT_TIME_SIZE];
    address_format(&r->peer, peer);
    buffer_clear(&r->ingress->scratch);
    json_writer_init(&w, &r->ingress->scratch);
    json_write_object(&w, NULL);
    json_write_text(&w, "scheme", r->trigger->scheme_name);
    json_write_cstr(&w, "key", r->verified.secret_name);
    bool dated = r->verified.signed_at_ms >= 0;
    if (dated) text_format_time(r->verified.signed_at_ms * 1000, signed_at);
    json_write_cstr(&w, "signed_at", dated ? signed_at : NULL);
    json_write_cstr(&w, "peer", peer);
    json_write_cstr(&w, "ingress", r->ingress->hostname);
    json_write_object_end(&w);
}

static size_t collect_extra(struct request *r, struct record_header out[EXTRA_HEADERS_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < r->trigger->identity_count && n < HTTP_HEADERS_MAX - 1; i++) {
        struct bytes value = http_request_header(r->http, r->trigger->identity[i].request_name, NULL);
        if (value.data) out[n++] = (struct record_header){bytes_of(r->trigger->identity[i].record_name), value};
    }
    if (r->ingress->tracestate.size > 0)
        out[n++] = (struct record_header){bytes_of("tracestate"), buffer_view(&r->ingress->tracestate)};
    for (size_t i = 0; r->is_cloudevent && i < r->ingress->cloudevent.count; i++)
        out[n++] = r->ingress->cloudevent.attributes[i];
    return n;
}

/* A text of fixed size in an array that ends with its NUL. */
#define FIXED(array)                                                                                                   \
    (struct bytes)                                                                                                     \
    {                                                                                                                  \
        (const uint8_t *)(array), sizeof(array) - 1                                                                    \
    }

enum outcome event_make(struct request *r, struct event_record *out)
{
    const struct trigger *t = r->trigger;
    const struct bytes agent_id = bytes_of(r->agent_id), source = bytes_of(t->ce_source);
    struct record_header extra[EXTRA_HEADERS_MAX];
    char digest[DIGEST_TEXT_SIZE];
    fill_trace(r);
    write_evidence(r);
    if (!buffer_ok(&r->ingress->scratch)) return OUTCOME_MEMORY_FULL;
    record_workflow_id(agent_id, t->scheme_name, source, dedupe_key(r, digest), (struct bytes){0}, r->workflow_id);
    text_format_time(r->recorded_us, out->recorded_time);
    text_format_time(r->is_cloudevent && r->ingress->cloudevent.has_time ? r->ingress->cloudevent.time_us
                                                                         : r->recorded_us,
                     out->time);
    const struct record_event event = {
        .agent_id = agent_id,
        .workflow_id = FIXED(r->workflow_id),
        .content_type = r->is_enveloped ? bytes_of("application/json") : r->facts.header[HEADER_CONTENT_TYPE].value,
        .ce_id = buffer_view(&r->event_id),
        .ce_source = source,
        .ce_type = buffer_view(&r->ingress->event_type),
        .ce_time = FIXED(out->time),
        .recorded_time = FIXED(out->recorded_time),
        .trigger_json = buffer_view(&t->trigger_json),
        .evidence_json = buffer_view(&r->ingress->scratch),
        .traceparent = FIXED(r->traceparent),
        .http = extra,
        .http_count = collect_extra(r, extra),
        .body = buffer_view(&r->body),
    };
    record_from_event(&event, out->headers, &out->record);
    return OUTCOME_NONE;
}
