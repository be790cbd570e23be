/* answer.c: what can become of a request, in one table: its HTTP answer, its counter and its word in the log.
 * SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "ingress.h"
#include "log.h"
#include <string.h>

#define ALLOWED_METHODS "GET, HEAD, POST, OPTIONS"
#define NAMED(word)     .name = word, .labels = "outcome=\"" word "\""

static void write_accepted(struct request *r, struct buffer *out);
static void write_ignored(struct request *r, struct buffer *out);
static void write_info(struct request *r, struct buffer *out);
static void write_not_found(struct request *r, struct buffer *out);
static void write_disabled(struct request *r, struct buffer *out);
static void write_bad_json(struct request *r, struct buffer *out);
static void write_bad_event(struct request *r, struct buffer *out);
static void write_rate_limited(struct request *r, struct buffer *out);

static const struct outcome_row {
    const char *name, *labels;
    int status;  /* 0: closed without an answer */
    bool denied; /* counted and told by agent and reason as well */
    const char *body;
    const char *retry_after_s;
    void (*write)(struct request *r, struct buffer *out); /* in place of body: it differs from request to request */
} rows[OUTCOMES] = {
    [OUTCOME_ACCEPTED] = {NAMED("accepted"), 202, .write = write_accepted},
    [OUTCOME_IGNORED] = {NAMED("ignored"), 202, .write = write_ignored},
    [OUTCOME_HANDSHAKE] = {NAMED("handshake"), 200},
    [OUTCOME_SPOOLED] = {NAMED("spooled"), 202, .write = write_accepted},
    [OUTCOME_INFO] = {NAMED("info"), 200, .write = write_info},
    [OUTCOME_OPTIONS] = {NAMED("options"), 204, .body = ""},
    [OUTCOME_NOT_FOUND] = {NAMED("not_found"), 404, true, .write = write_not_found},
    [OUTCOME_DISABLED] = {NAMED("disabled"), 403, true, .write = write_disabled},
    [OUTCOME_SOURCE_REFUSED] = {NAMED("source_refused"), 403, true,
                                .body = "{\"detail\":\"Unauthorized event source\"}"},
    [OUTCOME_UNAUTHORIZED] = {NAMED("unauthorized"), 401, true, .body = "{\"detail\":\"Invalid signature\"}"},
    [OUTCOME_BAD_FRAMING] = {NAMED("bad_framing"), 400, true, .body = "{\"detail\":\"Malformed request\"}"},
    [OUTCOME_BAD_JSON] = {NAMED("bad_json"), 400, true, .write = write_bad_json},
    [OUTCOME_BAD_EVENT] = {NAMED("bad_event"), 400, true, .write = write_bad_event},
    [OUTCOME_BAD_TYPE] = {NAMED("bad_type"), 415, true,
                          .body = "{\"detail\":\"Unsupported content type or encoding\"}"},
    [OUTCOME_TOO_LARGE] = {NAMED("too_large"), 413, true, .body = "{\"detail\":\"Body too large\"}"},
    [OUTCOME_BAD_METHOD] = {NAMED("bad_method"), 405, true, .body = "{\"detail\":\"Method Not Allowed\"}"},
    [OUTCOME_HANDSHAKE_REFUSED] = {NAMED("handshake_refused"), 403, true, .body = "{\"detail\":\"Handshake refused\"}"},
    [OUTCOME_RATE_LIMITED] = {NAMED("rate_limited"), 429, true, .write = write_rate_limited},
    [OUTCOME_KAFKA_AWAY] = {NAMED("kafka_away"), 503, .body = "{\"detail\":\"Kafka is not available\"}",
                            .retry_after_s = "5"},
    [OUTCOME_QUEUE_FULL] = {NAMED("queue_full"), 503, .body = "{\"detail\":\"Too many events are waiting\"}",
                            .retry_after_s = "2"},
    [OUTCOME_MEMORY_FULL] = {NAMED("memory_full"), 503, .body = "{\"detail\":\"Too many requests are under way\"}",
                             .retry_after_s = "2"},
    [OUTCOME_DEADLINE] = {NAMED("deadline"), 503, .body = "{\"detail\":\"Kafka did not answer in time\"}",
                          .retry_after_s = "5"},
    [OUTCOME_NOT_DELIVERED] = {NAMED("not_delivered"), 503, .body = "{\"detail\":\"Kafka did not take the event\"}",
                               .retry_after_s = "5"},
    [OUTCOME_NOT_SPOOLED] = {NAMED("not_spooled"), 503, .body = "{\"detail\":\"The event could not be stored\"}",
                             .retry_after_s = "30"},
    [OUTCOME_DRAINING] = {NAMED("draining"), 503, .body = "{\"detail\":\"Shutting down\"}", .retry_after_s = "1"},
    [OUTCOME_DROPPED] = {NAMED("dropped"), 0, true},
    [OUTCOME_ABORTED] = {NAMED("aborted"), 0},
};

static const struct metric_def other_metrics[] = {
    {"drawbridge_ingress_malformed_total", NULL, METRIC_COUNTER, "requests refused by the HTTP parser itself"},
    {"drawbridge_ingress_produce_seconds", NULL, METRIC_HISTOGRAM, "from produce to the brokers' acknowledgement"},
    {"drawbridge_ingress_queue_bytes", NULL, METRIC_GAUGE, "events waiting for the brokers, in bytes"},
    {"drawbridge_ingress_queue_events", NULL, METRIC_GAUGE, "events waiting for the brokers"},
    {"drawbridge_ingress_requests_inflight", NULL, METRIC_GAUGE, "requests under way"},
    {"drawbridge_ingress_body_bytes", NULL, METRIC_GAUGE, "bodies in memory that are not published yet"},
    {"drawbridge_ingress_connections", NULL, METRIC_GAUGE, "open connections"},
    {"drawbridge_ingress_timed_out_total", NULL, METRIC_COUNTER, "connections closed for being too slow or idle"},
    {"drawbridge_ingress_late_reports_total", NULL, METRIC_COUNTER, "delivery reports after the request's deadline"},
    {"drawbridge_ingress_producer_rebuilds_total", NULL, METRIC_COUNTER, "producers replaced after a fatal error"},
    {"drawbridge_ingress_trigger_reloads_total", NULL, METRIC_COUNTER, "reloads of the triggers that took effect"},
    {"drawbridge_ingress_trigger_reload_failures_total", NULL, METRIC_COUNTER, "reloads refused for a problem"},
    {"drawbridge_ingress_triggers", NULL, METRIC_GAUGE, "triggers served"},
#define RECORDS(verdict)                                                                                               \
    {                                                                                                                  \
        "drawbridge_ingress_trigger_records_total", "verdict=\"" verdict "\"", METRIC_COUNTER,                         \
            "records of the triggers topic by what became of them, each time they are read"                            \
    }
    RECORDS("served"),
    RECORDS("removed"),
    RECORDS("refused"),
    {"drawbridge_ingress_triggers_refused", NULL, METRIC_GAUGE, "agents whose newest trigger record is a bad one"},
    {"drawbridge_ingress_trigger_topic_offset", NULL, METRIC_GAUGE, "newest record of the triggers topic that counts"},
    {"drawbridge_ingress_ready", NULL, METRIC_GAUGE, "1 when deliveries are accepted"},
    {"drawbridge_ingress_tls_certificate_expiry_seconds", NULL, METRIC_GAUGE,
     "when the certificate in use ends to be valid, in seconds since 1970; 0 without TLS"},
    {"drawbridge_ingress_tls_reload_failures_total", NULL, METRIC_COUNTER, "certificates refused at a reload"},
    {"drawbridge_ingress_log_dropped_total", NULL, METRIC_COUNTER, "log lines dropped because stderr would block"},
    {"drawbridge_ingress_spool_events", NULL, METRIC_GAUGE, "events in the spool that Kafka does not have yet"},
    {"drawbridge_ingress_spool_bytes", NULL, METRIC_GAUGE, "what the spool holds, refused events included"},
    {"drawbridge_ingress_spool_oldest_seconds", NULL, METRIC_GAUGE, "age of the oldest event in the spool"},
    {"drawbridge_ingress_spool_refused", NULL, METRIC_GAUGE, "events in the spool that Kafka refused for good"},
    {"drawbridge_ingress_spool_written_total", NULL, METRIC_COUNTER, "events written to the spool"},
    {"drawbridge_ingress_spool_published_total", NULL, METRIC_COUNTER, "events of the spool that Kafka has taken"},
    {"drawbridge_ingress_spool_refusals_total", NULL, METRIC_COUNTER, "events of the spool refused for good"},
    {"drawbridge_ingress_spool_failures_total", NULL, METRIC_COUNTER, "transactions of the spool that failed"},
    {"drawbridge_ingress_spool_write_seconds", NULL, METRIC_HISTOGRAM, "one transaction of the spool with its fsync"},
};
_Static_assert(sizeof other_metrics / sizeof other_metrics[0] == METRICS - METRIC_MALFORMED, "a row for each metric");

void ingress_metric_defs(struct metric_def out[METRICS])
{
    for (int o = OUTCOME_NONE + 1; o < OUTCOMES; o++)
        out[METRIC_REQUESTS + o - 1] = (struct metric_def){"drawbridge_ingress_requests_total", rows[o].labels,
                                                           METRIC_COUNTER, "requests by what became of them"};
    memcpy(out + METRIC_MALFORMED, other_metrics, sizeof other_metrics);
}

const char *outcome_name(enum outcome o)
{
    return rows[o].name;
}

/* ---- answers ---- */

static void write_text(struct buffer *out, const char *name, struct bytes value)
{
    struct json_writer w;
    json_writer_init(&w, out);
    json_write_object(&w, NULL);
    json_write_text(&w, name, value);
    json_write_object_end(&w);
}

/* By hand, as it is written for every delivery: the ids are of an alphabet that needs no escapes. */
static void write_accepted(struct request *r, struct buffer *out)
{
    struct json_writer w;
    buffer_text(out, "{\"status\":\"triggered\",\"agent_id\":\"");
    buffer_text(out, r->agent_id);
    buffer_text(out, "\",\"workflow_id\":\"");
    buffer_text(out, r->workflow_id);
    buffer_text(out, "\",\"message\":\"Agent triggered successfully\",\"event_id\":");
    json_writer_init(&w, out);
    json_write_text(&w, NULL, buffer_view(&r->event_id));
    buffer_byte(out, '}');
}

static void write_ignored(struct request *r, struct buffer *out)
{
    struct json_writer w;
    json_writer_init(&w, out);
    json_write_object(&w, NULL);
    json_write_cstr(&w, "status", "ignored");
    json_write_cstr(&w, "agent_id", r->agent_id);
    json_write_null(&w, "workflow_id");
    json_write_cstr(&w, "message", "The trigger takes no events of this type");
    json_write_text(&w, "event_id", buffer_view(&r->event_id));
    json_write_text(&w, "event_type", buffer_view(&r->ingress->event_type));
    json_write_object_end(&w);
}

static void write_rate_limited(struct request *r, struct buffer *out)
{
    buffer_format(out, "{\"detail\":\"Too many requests for agent '%s'\"}", r->agent_id);
}

static void write_info(struct request *r, struct buffer *out)
{
    buffer_bytes(out, buffer_view(&r->trigger->info_json));
}

static void write_not_found(struct request *r, struct buffer *out)
{
    if (r->agent_id[0])
        buffer_format(out, "{\"detail\":\"No webhook trigger registered for agent '%s'\"}", r->agent_id);
    else
        buffer_text(out, "{\"detail\":\"Not Found\"}");
}

static void write_disabled(struct request *r, struct buffer *out)
{
    buffer_format(out, "{\"detail\":\"Webhook trigger for agent '%s' is disabled\"}", r->agent_id);
}

static void write_bad_json(struct request *r, struct buffer *out)
{
    buffer_format(out, "{\"detail\":\"Body is not valid JSON: %s at byte %lld\"}", r->json.what,
                  (long long)r->json.offset);
}

static void write_bad_event(struct request *r, struct buffer *out)
{
    write_text(out, "detail", bytes_of(r->error.text));
}

/* `retry_after_s` is the row's, or this request's own. */
static struct http_reply reply_of(enum outcome o, int status, struct bytes body, const char *retry_after_s, bool shared)
{
    struct http_reply_header headers[4];
    size_t count = 0;
    if (status != 204) headers[count++] = (struct http_reply_header){"Content-Type", "application/json"};
    if (o == OUTCOME_BAD_METHOD || o == OUTCOME_OPTIONS)
        headers[count++] = (struct http_reply_header){"Allow", ALLOWED_METHODS};
    if (retry_after_s) headers[count++] = (struct http_reply_header){"Retry-After", retry_after_s};
    /* After any doubt about framing never another request from that connection. */
    if (o == OUTCOME_BAD_FRAMING || o == OUTCOME_TOO_LARGE)
        headers[count++] = (struct http_reply_header){"Connection", "close"};
    return http_reply_new(status, body, headers, count, shared);
}

bool answers_open(struct ingress *in, struct error *error)
{
    for (int o = OUTCOME_NONE + 1; o < OUTCOMES; o++) {
        if (!rows[o].body) continue;
        in->replies[o] = reply_of((enum outcome)o, rows[o].status, bytes_of(rows[o].body), rows[o].retry_after_s, true);
        if (!in->replies[o].response) return error_set(error, ERROR_MEMORY, "no memory for the answers");
    }
    return true;
}

void answers_close(struct ingress *in)
{
    for (int o = 0; o < OUTCOMES; o++)
        http_reply_close(&in->replies[o]);
}

static int request_status(const struct request *r)
{
    if (r->outcome == OUTCOME_HANDSHAKE) return r->handshake_status;
    bool taken = r->outcome == OUTCOME_ACCEPTED || r->outcome == OUTCOME_SPOOLED || r->outcome == OUTCOME_IGNORED;
    return taken ? r->trigger->response_status : rows[r->outcome].status;
}

struct http_reply answer_make(struct request *r)
{
    const struct outcome_row *row = &rows[r->outcome];
    char wait[TEXT_INT64_SIZE];
    if (r->outcome == OUTCOME_HANDSHAKE) return handshake_reply(r);
    if (!row->write) return r->ingress->replies[r->outcome];
    buffer_clear(&r->ingress->scratch);
    row->write(r, &r->ingress->scratch);
    if (r->outcome == OUTCOME_RATE_LIMITED) text_format_int64(r->retry_after_s, wait);
    const char *retry_after_s = r->outcome == OUTCOME_RATE_LIMITED ? wait : row->retry_after_s;
    struct bytes body = buffer_view(&r->ingress->scratch);
    if (!buffer_ok(&r->ingress->scratch)) {
        r->outcome = OUTCOME_MEMORY_FULL;
        return r->ingress->replies[OUTCOME_MEMORY_FULL];
    }
    if (!retry_after_s) return http_server_reply(r->ingress->server, request_status(r), body);
    return reply_of(r->outcome, request_status(r), body, retry_after_s, false);
}

/* ---- the count and the log line ---- */

static void log_request(const struct request *r)
{
    struct log_field fields[13];
    size_t n = 0;
    char peer[ADDRESS_TEXT_SIZE];
    address_format(&r->peer, peer);
    fields[n++] = log_int("status", request_status(r));
    fields[n++] = log_text("outcome", rows[r->outcome].name);
    if (r->reason) fields[n++] = log_text("reason", r->reason);
    if (r->agent_id[0]) fields[n++] = log_text("agent", r->agent_id);
    if (r->workflow_id[0]) fields[n++] = log_text("workflow_id", r->workflow_id);
    if (r->event_id.size > 0) fields[n++] = log_bytes("event_id", buffer_view(&r->event_id));
    fields[n++] = log_text("peer", peer);
    fields[n++] = log_int("bytes", (int64_t)r->received);
    fields[n++] = log_int("duration_us", clock_monotonic_us() - r->started_us);
    /* Ours is of version 00. */
    if (r->traceparent[0]) fields[n++] = log_bytes("trace_id", (struct bytes){(const uint8_t *)r->traceparent + 3, 32});
    if (r->outcome == OUTCOME_ACCEPTED) {
        fields[n++] = log_int("partition", r->partition);
        fields[n++] = log_int("offset", r->offset);
    }
    log_write(LOG_INFO, "request", fields, n);
}

/* The line for whoever watches the door, a sample of what the counter says in full. */
static void deny(const struct request *r)
{
    int64_t left_out;
    size_t reason = account_reason(r->outcome, r->scheme_reason);
    struct account *account = r->trigger ? r->trigger->account : &r->ingress->strangers;
    if (!account_deny(account, reason, r->started_us / 1000, &left_out) || !log_enabled(LOG_WARN)) return;
    char name[ACCOUNT_REASON_SIZE], peer[ADDRESS_TEXT_SIZE];
    account_reason_name(reason, name);
    address_format(&r->peer, peer);
    log_event(LOG_WARN, "denied", log_text("agent", r->agent_id), log_text("reason", name),
              log_text("detail", r->reason ? r->reason : ""), log_text("peer", peer),
              log_int("status", request_status(r)), log_int("left_out", left_out));
}

void answer_record(struct request *r)
{
    metrics_add(r->ingress->metrics, METRIC_REQUESTS + (size_t)r->outcome - 1, 1);
    if (rows[r->outcome].denied) deny(r);
    if (log_enabled(LOG_INFO)) log_request(r);
}
