/* event.c: a verified delivery as an event record (design.md 3.1).
 * SPDX-License-Identifier: Apache-2.0 */
#include "ingress.h"
#include "signature.h"
#include "text.h"
#include <string.h>

enum { HTTP_HEADERS_MAX = 16, TRACESTATE_MAX = 512, DIGEST_TEXT_SIZE = 2 * SIGNATURE_SHA256_SIZE + 1 };

/* ---- trace context (W3C) ---- */

static bool is_lower_hex(struct bytes text, size_t from, size_t count, bool zero_allowed)
{
    bool zero = true;
    for (size_t i = from; i < from + count; i++) {
        uint8_t c = text.data[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
        zero = zero && c == '0';
    }
    return zero_allowed || !zero;
}

static bool is_odd_hex(uint8_t c)
{
    return ((c >= 'a' ? c - 'a' + 10 : c - '0') & 1) != 0;
}

/* version "-" trace id "-" parent id "-" flags; later versions may go on after another "-". */
static bool traceparent_is_valid(struct bytes t)
{
    if (t.size < 55 || t.data[2] != '-' || t.data[35] != '-' || t.data[52] != '-') return false;
    bool version_zero = t.data[0] == '0' && t.data[1] == '0';
    if (!is_lower_hex(t, 0, 2, true) || (t.data[0] == 'f' && t.data[1] == 'f')) return false;
    if (t.size > 55 && (version_zero || t.data[55] != '-')) return false;
    return is_lower_hex(t, 3, 32, false) && is_lower_hex(t, 36, 16, false) && is_lower_hex(t, 53, 2, true);
}

bool event_traceparent(struct bytes received, const uint8_t random[24], char out[EVENT_TRACEPARENT_SIZE])
{
    memcpy(out, "00-", 3);
    if (traceparent_is_valid(received)) {
        memcpy(out + 3, received.data + 3, 50);
        /* Only the sampled bit is defined; the others are ours to send as zero. */
        memcpy(out + 53, is_odd_hex(received.data[54]) ? "01" : "00", 3);
        return true;
    }
    text_hex(random, 16, out + 3);
    out[35] = '-';
    text_hex(random + 16, 8, out + 36);
    memcpy(out + 52, "-00", 4);
    return false;
}

/* All tracestate lines joined with commas, for this event; empty when there is none or it is too long. */
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
    if (r->ingress->tracestate.size > TRACESTATE_MAX) buffer_clear(&r->ingress->tracestate);
}

/* ---- identity ---- */

static bool fill_identity(struct request *r, int64_t wall_us)
{
    const struct scheme *scheme = r->trigger->verifier ? verifier_scheme(r->trigger->verifier) : NULL;
    const struct scheme_request request = webhook_scheme_request(r);
    struct bytes body = buffer_view(&r->body);
    buffer_clear(&r->event_id);
    buffer_clear(&r->ingress->event_type);
    if (scheme && (!scheme_delivery_id(scheme, &request, body, &r->event_id, &r->error) ||
                   !scheme_event_type(scheme, &request, body, &r->ingress->event_type, &r->error)))
        return false;
    if (!scheme) buffer_text(&r->ingress->event_type, "drawbridge.webhook");
    if (r->event_id.size > 0) return true;
    uint8_t random[10];
    char id[TEXT_UUID_SIZE];
    ingress_random(r->ingress, random, sizeof random);
    text_uuid7(wall_us, random, id);
    buffer_text(&r->event_id, id);
    return true;
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

static size_t collect_http(struct request *r, struct record_header out[HTTP_HEADERS_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < r->trigger->identity_count && n < HTTP_HEADERS_MAX - 1; i++) {
        struct bytes value = http_request_header(r->http, r->trigger->identity[i].request_name, NULL);
        if (value.data) out[n++] = (struct record_header){bytes_of(r->trigger->identity[i].record_name), value};
    }
    if (r->ingress->tracestate.size > 0)
        out[n++] = (struct record_header){bytes_of("tracestate"), buffer_view(&r->ingress->tracestate)};
    return n;
}

enum outcome event_make(struct request *r, int64_t wall_us, struct event_record *out)
{
    const struct trigger *t = r->trigger;
    struct record_header http[HTTP_HEADERS_MAX];
    uint8_t random[24];
    char digest[DIGEST_TEXT_SIZE];
    if (!fill_identity(r, wall_us)) return OUTCOME_BAD_EVENT;
    ingress_random(r->ingress, random, sizeof random);
    buffer_clear(&r->ingress->tracestate);
    struct bytes parent =
        r->facts.header[HEADER_TRACEPARENT].count == 1 ? r->facts.header[HEADER_TRACEPARENT].value : (struct bytes){0};
    if (event_traceparent(parent, random, out->traceparent)) add_tracestate(r);
    write_evidence(r);
    if (!buffer_ok(&r->event_id) || !buffer_ok(&r->ingress->event_type) || !buffer_ok(&r->ingress->scratch))
        return OUTCOME_MEMORY_FULL;
    record_workflow_id(bytes_of(r->agent_id), t->scheme_name, bytes_of(t->ce_source), dedupe_key(r, digest),
                       (struct bytes){0}, r->workflow_id);
    text_format_time(wall_us, out->time);
    const struct record_event event = {
        .agent_id = bytes_of(t->options.agent_id),
        .workflow_id = bytes_of(r->workflow_id),
        .content_type = r->facts.header[HEADER_CONTENT_TYPE].value,
        .ce_id = buffer_view(&r->event_id),
        .ce_source = bytes_of(t->ce_source),
        .ce_type = buffer_view(&r->ingress->event_type),
        .ce_time = bytes_of(out->time),
        .recorded_time = bytes_of(out->time),
        .trigger_json = buffer_view(&t->trigger_json),
        .evidence_json = buffer_view(&r->ingress->scratch),
        .traceparent = bytes_of(out->traceparent),
        .http = http,
        .http_count = collect_http(r, http),
        .body = buffer_view(&r->body),
    };
    record_from_event(&event, out->headers, &out->record);
    return OUTCOME_NONE;
}
