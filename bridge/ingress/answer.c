/* answer.c: what can become of a request, in one table: its HTTP answer, its counter and its word in the log.
 * SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "ingress.h"
#include "log.h"
#include <string.h>

#define ALLOWED_METHODS "GET, HEAD, POST, OPTIONS"
#define NAMED(word)     .name = word, .labels = "outcome=\"" word "\""

static void write_accepted(struct request *r, struct buffer *out);
static void write_info(struct request *r, struct buffer *out);
static void write_not_found(struct request *r, struct buffer *out);
static void write_disabled(struct request *r, struct buffer *out);
static void write_bad_json(struct request *r, struct buffer *out);
static void write_bad_event(struct request *r, struct buffer *out);

static const struct outcome_row {
    const char *name, *labels;
    int status; /* 0: closed without an answer */
    const char *body;
    const char *retry_after_s;
    void (*write)(struct request *r, struct buffer *out); /* in place of body: it differs from request to request */
} rows[OUTCOMES] = {
    [OUTCOME_ACCEPTED] = {NAMED("accepted"), 202, .write = write_accepted},
    [OUTCOME_INFO] = {NAMED("info"), 200, .write = write_info},
    [OUTCOME_OPTIONS] = {NAMED("options"), 204, .body = ""},
    [OUTCOME_NOT_FOUND] = {NAMED("not_found"), 404, .write = write_not_found},
    [OUTCOME_DISABLED] = {NAMED("disabled"), 403, .write = write_disabled},
    [OUTCOME_SOURCE_REFUSED] = {NAMED("source_refused"), 403, .body = "{\"detail\":\"Unauthorized event source\"}"},
    [OUTCOME_UNAUTHORIZED] = {NAMED("unauthorized"), 401, .body = "{\"detail\":\"Invalid signature\"}"},
    [OUTCOME_BAD_FRAMING] = {NAMED("bad_framing"), 400, .body = "{\"detail\":\"Malformed request\"}"},
    [OUTCOME_BAD_JSON] = {NAMED("bad_json"), 400, .write = write_bad_json},
    [OUTCOME_BAD_EVENT] = {NAMED("bad_event"), 400, .write = write_bad_event},
    [OUTCOME_BAD_TYPE] = {NAMED("bad_type"), 415, .body = "{\"detail\":\"Unsupported content type or encoding\"}"},
    [OUTCOME_TOO_LARGE] = {NAMED("too_large"), 413, .body = "{\"detail\":\"Body too large\"}"},
    [OUTCOME_BAD_METHOD] = {NAMED("bad_method"), 405, .body = "{\"detail\":\"Method Not Allowed\"}"},
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
    [OUTCOME_DRAINING] = {NAMED("draining"), 503, .body = "{\"detail\":\"Shutting down\"}", .retry_after_s = "1"},
    [OUTCOME_DROPPED] = {NAMED("dropped"), 0},
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
    {"drawbridge_ingress_ready", NULL, METRIC_GAUGE, "1 when deliveries are accepted"},
    {"drawbridge_ingress_log_dropped_total", NULL, METRIC_COUNTER, "log lines dropped because stderr would block"},
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

/* Every value is of a plain alphabet but the event id, which is printable ASCII. */
static void write_accepted(struct request *r, struct buffer *out)
{
    struct json_writer w;
    json_writer_init(&w, out);
    json_write_object(&w, NULL);
    json_write_cstr(&w, "status", "triggered");
    json_write_cstr(&w, "agent_id", r->agent_id);
    json_write_cstr(&w, "workflow_id", r->workflow_id);
    json_write_cstr(&w, "message", "Agent triggered successfully");
    json_write_text(&w, "event_id", buffer_view(&r->event_id));
    json_write_object_end(&w);
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

static struct http_reply reply_of(enum outcome o, int status, struct bytes body, bool shared)
{
    struct http_reply_header headers[4];
    size_t count = 0;
    if (status != 204) headers[count++] = (struct http_reply_header){"Content-Type", "application/json"};
    if (o == OUTCOME_BAD_METHOD || o == OUTCOME_OPTIONS)
        headers[count++] = (struct http_reply_header){"Allow", ALLOWED_METHODS};
    if (rows[o].retry_after_s) headers[count++] = (struct http_reply_header){"Retry-After", rows[o].retry_after_s};
    /* After any doubt about framing never another request from that connection. */
    if (o == OUTCOME_BAD_FRAMING || o == OUTCOME_TOO_LARGE)
        headers[count++] = (struct http_reply_header){"Connection", "close"};
    return http_reply_new(status, body, headers, count, shared);
}

bool answers_open(struct ingress *in, struct error *error)
{
    for (int o = OUTCOME_NONE + 1; o < OUTCOMES; o++) {
        if (!rows[o].body) continue;
        in->replies[o] = reply_of((enum outcome)o, rows[o].status, bytes_of(rows[o].body), true);
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
    return r->outcome == OUTCOME_ACCEPTED ? r->trigger->response_status : rows[r->outcome].status;
}

struct http_reply answer_make(struct request *r)
{
    const struct outcome_row *row = &rows[r->outcome];
    if (!row->write) return r->ingress->replies[r->outcome];
    buffer_clear(&r->ingress->scratch);
    row->write(r, &r->ingress->scratch);
    if (buffer_ok(&r->ingress->scratch))
        return reply_of(r->outcome, request_status(r), buffer_view(&r->ingress->scratch), false);
    r->outcome = OUTCOME_MEMORY_FULL;
    return r->ingress->replies[OUTCOME_MEMORY_FULL];
}

/* ---- the count and the log line ---- */

static void log_request(const struct request *r)
{
    struct log_field fields[12];
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
    if (r->outcome == OUTCOME_ACCEPTED) {
        fields[n++] = log_int("partition", r->partition);
        fields[n++] = log_int("offset", r->offset);
    }
    log_write(LOG_INFO, "request", fields, n);
}

void answer_record(struct request *r)
{
    metrics_add(r->ingress->metrics, METRIC_REQUESTS + (size_t)r->outcome - 1, 1);
    if (log_enabled(LOG_INFO)) log_request(r);
}
