/* ingress.h: the vocabulary of drawbridge-ingress, one group for each file.  ingress_settings.h, gate.h, triggers.h,
 * publish.h and cloudevent.h have the groups that stand by themselves.
 *
 * The way of a delivery; everything happens on the one loop thread (loop.c), so there is no lock:
 *
 *   http_server ── head ─────▶ webhook: gate ▶ route ▶ trigger ▶ declared length ▶ source ▶ signature header
 *               ── body* ────▶ webhook: MAC, JSON grammar and buffer grow with the bytes received
 *               ── complete ─▶ webhook: signature ▶ content type ▶ JSON ▶ event ▶ publisher: a ticket; suspended
 *   publisher   ── delivery report, or the ticket's deadline, whoever is first ─▶ webhook: resumed with the answer
 *   http_server ── done ─────▶ answer: one count, one log line; the request goes back to the pool
 *
 * A step returns OUTCOME_NONE (go on) or what becomes of the request; only answer.c turns that into an HTTP answer.
 * Who owns what: the pool (struct ingress) owns requests; a request holds a reference to the trigger snapshot it began
 * with; the publisher owns tickets, which point to requests until they are answered, never the other way round.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "buffer.h"
#include "cloudevent.h"
#include "daemon.h"
#include "error.h"
#include "gate.h"
#include "http_server.h"
#include "ingress_settings.h"
#include "json.h"
#include "manage.h"
#include "metrics.h"
#include "notify.h"
#include "publish.h"
#include "text.h"
#include "trace.h"
#include "triggers.h"

/* ---- answer.c: what can become of a request; the one answer, the one count, the one log line ---- */

enum outcome {
    OUTCOME_NONE, /* go on */
    OUTCOME_ACCEPTED,
    OUTCOME_IGNORED, /* filtered out */
    OUTCOME_HANDSHAKE,
    OUTCOME_SPOOLED, /* accepted: on our disk */
    OUTCOME_INFO,
    OUTCOME_OPTIONS,
    OUTCOME_NOT_FOUND,
    OUTCOME_DISABLED,
    OUTCOME_SOURCE_REFUSED,
    OUTCOME_UNAUTHORIZED,
    OUTCOME_BAD_FRAMING,
    OUTCOME_BAD_JSON,
    OUTCOME_BAD_EVENT,
    OUTCOME_BAD_TYPE,
    OUTCOME_TOO_LARGE,
    OUTCOME_BAD_METHOD,
    OUTCOME_HANDSHAKE_REFUSED,
    OUTCOME_RATE_LIMITED,
    OUTCOME_KAFKA_AWAY, /* also while the triggers topic is not read to its end */
    OUTCOME_QUEUE_FULL,
    OUTCOME_MEMORY_FULL,
    OUTCOME_DEADLINE,
    OUTCOME_NOT_DELIVERED,
    OUTCOME_NOT_SPOOLED,
    OUTCOME_DRAINING,
    OUTCOME_DROPPED, /* body beyond twice the limit: closed without an answer */
    OUTCOME_ABORTED, /* the sender went away, or was too slow */
    OUTCOMES,
};

enum metric {
    METRIC_REQUESTS, /* one row for each outcome but NONE */
    METRIC_MALFORMED = METRIC_REQUESTS + OUTCOMES - 1,
    METRIC_PRODUCE_TIME,
    METRIC_QUEUE_BYTES,
    METRIC_QUEUE_EVENTS,
    METRIC_REQUESTS_INFLIGHT,
    METRIC_BODY_BYTES,
    METRIC_CONNECTIONS,
    METRIC_TIMED_OUT,
    METRIC_LATE_REPORTS,
    METRIC_REBUILDS,
    METRIC_RELOADS,
    METRIC_RELOAD_FAILURES,
    METRIC_TRIGGERS,
    METRIC_TRIGGER_RECORDS, /* one row for each verdict */
    METRIC_TRIGGERS_REFUSED = METRIC_TRIGGER_RECORDS + REGISTRY_VERDICTS,
    METRIC_TRIGGER_OFFSET,
    METRIC_READY,
    METRIC_TLS_EXPIRY,
    METRIC_TLS_RELOAD_FAILURES,
    METRIC_LOG_DROPPED,
    METRIC_SPOOL_EVENTS,
    METRIC_SPOOL_BYTES,
    METRIC_SPOOL_AGE,
    METRIC_SPOOL_REFUSED,
    METRIC_SPOOL_WRITTEN,
    METRIC_SPOOL_DRAINED,
    METRIC_SPOOL_REFUSALS,
    METRIC_SPOOL_FAILURES,
    METRIC_SPOOL_TIME,
    METRICS,
};
struct ingress;
struct request;
/* The table of everything that is counted. */
void ingress_metric_defs(struct metric_def out[METRICS]);
/* Makes the constant answers; false without memory. */
bool answers_open(struct ingress *in, struct error *error);
void answers_close(struct ingress *in);
const char *outcome_name(enum outcome o);
/* The answer to this request, whose outcome is set. */
struct http_reply answer_make(struct request *r);
/* Counts and logs a request that is over. */
void answer_record(struct request *r);

/* ---- account.c: what is kept of an agent from snapshot to snapshot: its buckets and its denials ---- */

struct denials;
struct account {
    int references;
    int64_t deliveries_ns, handshakes_ns; /* buckets */
    struct denials *denials;              /* NULL: none so far */
};
struct account *account_new(void); /* NULL without memory */
struct account *account_ref(struct account *a);
void account_unref(struct account *a); /* NULL is legal */
/* The class of a denial, and its word in log and metrics. */
enum { ACCOUNT_REASON_SIZE = 48 };
size_t account_reason(enum outcome outcome, enum scheme_reason reason);
void account_reason_name(size_t reason, char out[ACCOUNT_REASON_SIZE]);
/* Counts a denial.  True if it should be told: at most five for each reason and minute; *left_out says how many of an
 * earlier minute were not. */
bool account_deny(struct account *a, size_t reason, int64_t now_ms, int64_t *left_out);
/* The counter of denials in Prometheus text form; `strangers` is the account of all unknown agents. */
void account_write_metrics(const struct account *strangers, const struct trigger_set *triggers, struct buffer *out);

/* ---- webhook.c: POST .../webhook as a list of steps ---- */

struct request {
    struct request *next; /* in the pool */
    struct ingress *ingress;
    struct http_request *http;
    const struct http_head *head;
    struct gate_facts facts;
    int64_t started_us; /* monotonic */
    struct address peer;
    char agent_id[129];
    struct trigger_set *triggers; /* the snapshot it began with */
    const struct trigger *trigger;
    enum outcome outcome;
    const char *reason; /* of a refusal, for the log; static */
    bool delivery;      /* a POST that nothing has refused so far */
    bool store;         /* keep the body: it can be published as things stand */
    bool verifying, scanning;
    bool is_json; /* the whole body was scanned */
    size_t body_max, received;
    struct buffer body;
    struct verification *verification; /* from its signature header until its event is made */
    struct verification_result verified;
    struct json_scanner json;
    int handshake;                    /* that is asked for at the head, or HANDSHAKE_NONE */
    int handshake_status;             /* of OUTCOME_HANDSHAKE */
    enum scheme_reason scheme_reason; /* of OUTCOME_UNAUTHORIZED */
    int64_t retry_after_s;            /* of OUTCOME_RATE_LIMITED */
    int64_t recorded_us;              /* wall clock */
    bool is_cloudevent, is_enveloped; /* the latter: the body is the envelope */
    char traceparent[TRACE_PARENT_SIZE];
    struct buffer event_id;
    char workflow_id[RECORD_WORKFLOW_ID_SIZE];
    int partition;
    int64_t offset;
    struct error error; /* what is told to the sender about a bad event */
};

void webhook_head(void *ctx, struct http_request *http);
bool webhook_body(void *ctx, struct http_request *http, const void *data, size_t size);
void webhook_complete(void *ctx, struct http_request *http);
void webhook_done(void *ctx, struct http_request *http);
void webhook_malformed(void *ctx, const char *text);
void webhook_published(void *ctx, void *subject, const struct publish_report *report);
void webhook_open(struct ingress *in);
/* Frees the pool and the spares. */
void webhook_close(struct ingress *in);

/* What the request's scheme looks at. */
struct scheme_request webhook_scheme_request(const struct request *r);

/* ---- event.c: a verified delivery as a record ---- */

struct event_record {
    struct record record; /* views this struct, the request and its trigger */
    struct record_header headers[RECORD_HEADERS_MAX];
    char time[TEXT_TIME_SIZE], recorded_time[TEXT_TIME_SIZE];
};
/* Fills r->event_id, r->recorded_us and, for a moment, the ingress' event_type and cloudevent.  OUTCOME_NONE, or
 * OUTCOME_BAD_EVENT with r->error, or OUTCOME_MEMORY_FULL. */
enum outcome event_identify(struct request *r, int64_t wall_us);
/* Fills r->workflow_id, r->traceparent and *out for an identified event.  OUTCOME_NONE or OUTCOME_MEMORY_FULL. */
enum outcome event_make(struct request *r, struct event_record *out);

/* ---- handshake_steps.c: what is not a delivery: WebhookInfo, HEAD, OPTIONS, handshakes ---- */

/* Notes in r->handshake what the head asks for, if the trigger has that handshake. */
enum outcome handshake_at_head(struct request *r);
/* Answers the handshake that the head or the verified body asks for; OUTCOME_NONE: there is none. */
enum outcome handshake_at_end(struct request *r);
struct http_reply handshake_reply(struct request *r);
enum outcome handshake_get(struct request *r);
enum outcome handshake_options(struct request *r);

/* ---- listen.c: the senders' listener: its socket, its certificate, and root given up ---- */

/* Reads the certificate and its key, if any are configured; a problem goes to the report. */
bool listen_load_tls(struct ingress *in, struct config_report *report);
/* Listens.  Then, if so configured, becomes an ordinary user; so before any thread. */
bool listen_open(struct ingress *in, struct error *error);
/* Reads certificate and key again; a problem changes nothing and is logged. */
void listen_reload(struct ingress *in);

/* ---- loop.c: the one epoll ---- */

enum { SPARES_MAX = 64 };
struct entropy {
    uint8_t bytes[512];
    size_t left;
};

struct ingress {
    struct settings settings;
    struct scheme_set *schemes;
    struct trigger_set *triggers;  /* in force */
    struct trigger_set *directory; /* those of files */
    struct trigger_topic *topic;   /* NULL: switched off */
    struct metric_def metric_defs[METRICS];
    struct metrics *metrics;
    struct tls_identity *tls; /* NULL: plain HTTP */
    struct http_server *server;
    struct notify notify;
    struct manage *manage;
    struct publisher *publisher;
    struct spool *spool;                 /* NULL: switched off; else the publisher's subjects are its own */
    struct http_reply replies[OUTCOMES]; /* the constant ones */
    struct request *pool;
    /* Memory that a request needs for a moment only.  Few of them at a time do, so the same few blocks serve all and
     * stay in the processor's cache, however many requests wait for the brokers. */
    struct buffer event_type, attributes, tracestate, scratch; /* of the event or the answer that is being made */
    struct cloudevent cloudevent;
    struct handshake_answer handshake_answer;
    struct spares {
        struct buffer bodies[SPARES_MAX];
        struct verification *verifications[SPARES_MAX];
        size_t body_count, verification_count;
    } spares;
    struct entropy entropy;
    char hostname[65];
    struct account strangers; /* of all agents that have no trigger */
    int64_t body_bytes;       /* unverified bytes in memory */
    bool draining;
};

/* Reads settings and schemes; problems go to the report.  ingress_close frees in either case. */
bool ingress_configure(struct ingress *in, const char *path, struct config_report *report);
/* Builds everything but the settings, schemes and triggers; the listeners come last. */
bool ingress_open(struct ingress *in, struct error *error);
void ingress_close(struct ingress *in);
/* Serves until SIGTERM or SIGINT, then drains; returns an exit code (enum daemon_exit). */
int ingress_run(struct ingress *in);
/* Reads triggers and certificate again; a problem changes nothing and is logged. */
void ingress_reload(struct ingress *in);
/* `size` random bytes, drawn from the kernel in batches. */
void ingress_random(struct ingress *in, void *out, size_t size);

/* ---- judge.c: `drawbridge-ingress --check-records`: what the fold says of records in a file ---- */

bool judge_asked(int argc, char **argv);
/* Lines {"offset":N,"key":BASE64,"value":BASE64|null} in, {"offset":N,"verdict":...,"problem":...} out; for the tool.
 * Returns an exit code. */
int judge_run(int argc, char **argv);
