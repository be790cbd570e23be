/* ingress.h: the vocabulary of drawbridge-ingress, one group for each file.
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
#include "address.h"
#include "buffer.h"
#include "cloudevent.h"
#include "config.h"
#include "daemon.h"
#include "error.h"
#include "handshake.h"
#include "http_server.h"
#include "json.h"
#include "kafka.h"
#include "manage.h"
#include "metrics.h"
#include "notify.h"
#include "rate.h"
#include "record.h"
#include "scheme.h"
#include "secret_sealed.h"
#include "signature.h"
#include "text.h"
#include "trace.h"

/* ---- settings.c: the option table ---- */

struct settings {
    char *listen, *prefix, *public_url;
    bool reuse_port;
    char *socket_mode_text, *socket_group;
    char *tls_certificate, *tls_key; /* "": plain HTTP */
    char *user;
    struct config_list trusted_proxies;
    int64_t body_max, inflight_body_max, requests_max, connections_max;
    int64_t header_timeout_ms, body_timeout_ms, idle_timeout_ms;
    int64_t publish_deadline_ms, queue_max;
    char *spool_directory; /* "": no spool */
    int64_t spool_size_max;
    bool spool_default;
    char *trigger_directory, *scheme_file, *trigger_topic, *key_file; /* "": none */
    struct config_list topic_allows;
    struct kafka_settings kafka;
    char *events_topic;
    char *manage_listen;
    int log_level, log_format;
    int64_t drain_ms;
    /* Derived. */
    struct network *proxies; /* trusted_proxies */
    size_t proxy_count;
    mode_t socket_mode;
    bool loopback;        /* `listen` is reachable from this machine only, and no proxy is trusted */
    struct keyring *keys; /* key_file; NULL: none */
};
extern const struct config_option settings_options[];
extern const size_t settings_option_count;
/* Reads and checks everything but the triggers; problems go to the report.  False if there were any.  settings_close
 * frees in either case. */
bool settings_load(struct settings *s, const char *path, struct config_report *report);
void settings_close(struct settings *s);
/* Reads key_file again; what was there stays when that fails. */
bool settings_load_keys(struct settings *s, struct error *error);
/* May records of the topic say "none", "env", "file" or "literal"? */
bool settings_topic_allows(const struct settings *s, const char *what);
/* True for an http or https URL; drops a slash at its end. */
bool settings_public_url(char *url);

/* ---- gate.c: framing and header faults that libmicrohttpd lets through; pure ---- */

enum known_header {
    HEADER_HOST,
    HEADER_CONTENT_LENGTH,
    HEADER_TRANSFER_ENCODING,
    HEADER_CONTENT_TYPE,
    HEADER_CONTENT_ENCODING,
    HEADER_EXPECT,
    HEADER_ORIGIN,
    HEADER_FORWARDED_FOR,
    HEADER_TRACEPARENT,
    HEADER_TRACESTATE,
    HEADER_HOOK_ORIGIN, /* WebHook-Request-Origin */
    HEADER_PREFLIGHT,   /* Access-Control-Request-Method */
    KNOWN_HEADERS,
};
/* What the gate's one walk over the headers found: the first value of each known header and how many there are. */
struct gate_facts {
    struct {
        struct bytes value;
        unsigned count;
    } header[KNOWN_HEADERS];
    bool chunked;
    int64_t declared; /* Content-Length, or -1 */
};
/* The same head gives the same verdict: NULL, or the fault as a short static phrase.  After a fault nothing more may be
 * read from that connection (traps 5.2). */
const char *gate_check(const struct http_head *head, struct gate_facts *facts);

/* ---- admission.c: may this request in, by where it comes from; pure ---- */

struct source_policy {
    bool signed_trigger;      /* a scheme decides; the source only narrows */
    bool check_origin;        /* compare Origin although there is a scheme */
    bool match_all;           /* without a scheme: Origin and address, not one of them */
    struct bytes origin_host; /* of event_source; empty: none */
    const struct network *allowed;
    size_t allowed_count;
};
/* The peer of the delivery: the socket's, or what trusted proxies say in X-Forwarded-For (all lines, from the right to
 * the first entry that is no trusted proxy).  False: malformed. */
bool admission_peer(const struct address *socket_peer, const struct http_head *head, const struct network *proxies,
                    size_t proxy_count, struct address *peer);
/* NULL when the source may deliver, else the rule that refused. */
const char *admission_source(const struct source_policy *policy, const struct gate_facts *facts,
                             const struct address *peer);
/* The same for a handshake, which carries no Origin. */
const char *admission_address(const struct source_policy *policy, const struct address *peer);
/* The host of a URL, an Origin or a bare name: without scheme and port; empty when there is none. */
struct bytes admission_host(struct bytes source);
/* True if the media type (without parameters) is one of the patterns: whole, or with a star for its beginning or its
 * end; never for application/cloudevents*. */
bool admission_content_type(struct bytes content_type, char *const *patterns, size_t count);
/* True for application/json and every +json type. */
bool admission_is_json(struct bytes content_type);

/* True if an event of that type is wanted: it matches a pattern (or there is none) and none of those that begin with
 * '!'. */
bool admission_event(struct bytes type, char *const *patterns, size_t count);
/* True for an event in CloudEvents' structured mode, application/cloudevents+json, where a pattern is that type itself
 * (no star is). */
bool admission_is_cloudevent(struct bytes content_type, char *const *patterns, size_t count);

/* ---- triggers.c: agent id -> trigger; one immutable snapshot ---- */

enum dedupe { DEDUPE_ID, DEDUPE_SIGNATURE, DEDUPE_BODY };

struct trigger_options { /* as configured */
    char *agent_id, *event_source, *description;
    bool enabled;
    struct config_list allowed_ips;
    char *secret;
    struct config_map metadata;
    bool check_origin;
    int source_match; /* "any|all" */
    struct config_list content_types;
    int64_t body_max;                     /* 0: the general one */
    int dedupe;                           /* enum dedupe */
    int64_t response_status, deadline_ms; /* 0: the scheme's */
    char *public_url;                     /* "": the general one */
    struct config_list events, handshake, allowed_origins;
    char *rate;
    int64_t burst;
    bool spool; /* as said; see struct trigger */
};

struct trigger {
    struct trigger_options options;
    struct verifier *verifier; /* NULL: no scheme */
    struct scheme *own_scheme; /* the verifier's, if the trigger says words of its own */
    char *verify_token;        /* "": none */
    struct config_list topics; /* AWS SNS: the only ones that may deliver */
    struct secret_use {
        int64_t count, last_s; /* deliveries it verified; Unix time of the last, 0: never */
    } * uses;                  /* one for each secret; the only part of a trigger that changes */
    struct network *allowed;
    struct source_policy source;
    int64_t body_max, deadline_ms;
    int response_status;
    struct rate rate;
    int64_t rate_per_min; /* what a CloudEvents sender is told; 0: no limit */
    struct handshake_policy handshake;
    struct secret *hub_token;
    bool cloudevents;         /* events in binary mode are taken as such; in structured mode if listed */
    bool needs_body;          /* what becomes of a delivery depends on its body although Kafka is away */
    struct account *account;  /* never NULL; changes, unlike all else */
    bool spool;               /* events that Kafka does not take in time go to the disk */
    struct bytes scheme_name; /* as it enters the workflow_id */
    char *ce_source;
    char *webhook_url;
    struct buffer trigger_json;
    struct buffer info_json; /* WebhookInfo */
    /* identity headers: request name and record name ("http-..."), side by side */
    size_t identity_count;
    struct trigger_identity {
        const char *request_name;
        char *record_name;
    } * identity;
    int64_t revision; /* of a record */
    int references;   /* snapshots share it */
};
/* A new trigger has one reference, its maker's. */
struct trigger *trigger_ref(struct trigger *t);
void trigger_unref(struct trigger *t); /* NULL is legal */

struct trigger_set;
struct trigger_set *trigger_set_new(void);
/* Takes the maker's reference over; false if its agent has one already (it then stays the caller's) or without memory.
 */
bool trigger_set_add(struct trigger_set *set, struct trigger *t);
const struct trigger *trigger_set_find(const struct trigger_set *set, struct bytes agent_id);
size_t trigger_set_count(const struct trigger_set *set);
/* A new set with all triggers of `first` and those of `more` whose agent has none there; NULL without memory. */
struct trigger_set *trigger_set_merge(const struct trigger_set *first, struct trigger *const *more, size_t count);
/* Every trigger once, in no order: begin with *cursor 0; NULL behind the last. */
const struct trigger *trigger_set_next(const struct trigger_set *set, size_t *cursor);
/* The agents' accounts go on in the new snapshot. */
void trigger_set_inherit(struct trigger_set *set, const struct trigger_set *before);
struct trigger_set *trigger_set_ref(struct trigger_set *set);
void trigger_set_unref(struct trigger_set *set); /* NULL is legal */

/* ---- secret_use.c: which secret verified how many deliveries, and when last ---- */

void secret_use_count(const struct trigger *t, size_t secret, int64_t now_s);
/* What the old snapshot counted goes on in the new one, by agent and name of the secret. */
void secret_use_carry(const struct trigger_set *from, const struct trigger_set *to);
/* Appends counters and last-seen times in the form of /metrics: at most SECRET_USE_ROWS, and how many are left out. */
enum { SECRET_USE_ROWS = 2000 };
void secret_use_write(const struct trigger_set *set, struct buffer *out);

/* ---- trigger_verify.c: how a trigger's deliveries are verified ---- */

/* One list element on its way to a trigger. */
struct trigger_loading {
    const struct settings *settings;
    const struct scheme_set *schemes;
    struct config_report *report;
    struct config_file *file;
    char path[64]; /* "triggers.[2]" */
    bool private_file;
    bool told; /* how deliveries are verified, rightly or not */
    struct trigger *trigger;
    char scheme[64];                       /* as it is named there: what sealed secrets belong to */
    bool record;                           /* of the triggers topic, not of a file */
    uint8_t digest[SIGNATURE_SHA256_SIZE]; /* of a record: all of it but the secrets */
};
/* Reads `verify` or `secret` of the element; problems go to the report. */
void trigger_verify_load(struct trigger_loading *l);
/* The secret called `name` of the element, from its reference: sealed for that place, or of a kind that may stand
 * there.  The caller frees it. */
struct secret *trigger_secret_open(const struct trigger_loading *l, const char *name, const char *reference,
                                   struct error *error);
/* Frees what trigger_verify_load made. */
void trigger_verify_close(struct trigger *t);
void trigger_verify_help(FILE *out);

/* ---- trigger_source.c: where triggers come from ---- */

/* Reports a problem of the element's option. */
void trigger_problem(const struct trigger_loading *l, const char *option, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

extern const struct config_option trigger_file_options[];
extern const size_t trigger_file_option_count;
/* The reference page of what a trigger may say. */
void trigger_source_help(FILE *out);
/* Reads every *.cfg file of the directory into a new snapshot; NULL with all problems in the report if there are any.
 * The snapshot keeps pointers into `schemes`. */
struct trigger_set *trigger_source_load(const struct settings *settings, const struct scheme_set *schemes,
                                        struct config_report *report);
/* One record of the triggers topic: JSON in the same words.  NULL with what is wrong in the report.  The key is the
 * agent; unless settings->topic_allows says more, every secret is sealed for exactly this record, so that nobody
 * without the key can change anything in it. */
struct trigger *trigger_source_record(const struct settings *settings, const struct scheme_set *schemes,
                                      const char *name, const struct record *record, struct config_report *report);

/* ---- registry.c: the triggers topic folded: for each agent the newest record that is good; pure ---- */

enum registry_verdict { REGISTRY_SERVED, REGISTRY_REMOVED, REGISTRY_REFUSED, REGISTRY_VERDICTS };
const char *registry_verdict_name(enum registry_verdict verdict);
struct registry;
/* NULL without memory.  Keeps pointers to both. */
struct registry *registry_new(const struct settings *settings, const struct scheme_set *schemes);
void registry_free(struct registry *r); /* NULL is legal */
/* Takes the next record.  A refused one changes nothing but registry_bad; `problem` then says what is wrong with it. */
enum registry_verdict registry_take(struct registry *r, const struct record *record, int64_t offset,
                                    struct error *problem);
/* Agents whose newest record was refused. */
size_t registry_bad(const struct registry *r);
/* Where `r` has nothing but a refused record, the trigger that `older` serves stays in force (compaction may have taken
 * its record). */
void registry_adopt(struct registry *r, const struct registry *older);
/* The directory's triggers and, for other agents, the registry's, as a new snapshot; NULL without memory. */
struct trigger_set *registry_merge(const struct registry *r, const struct trigger_set *directory);

/* ---- trigger_topic.c: follows the triggers topic in the loop ---- */

struct trigger_topic;
struct trigger_topic *trigger_topic_new(const struct settings *settings, const struct scheme_set *schemes,
                                        struct metrics *metrics, struct error *error);
void trigger_topic_free(struct trigger_topic *t); /* NULL is legal */
/* Readable when there are records; then, and when trigger_topic_timeout_ms has passed, call trigger_topic_run. */
int trigger_topic_fd(const struct trigger_topic *t);
int trigger_topic_timeout_ms(const struct trigger_topic *t, int64_t now_ms);
/* True when the triggers in force have changed: take a new trigger_topic_merge. */
bool trigger_topic_run(struct trigger_topic *t, int64_t now_ms);
/* Has the topic been read to its end once?  Else *why, if given, is a sentence that lives until the next run. */
bool trigger_topic_converged(const struct trigger_topic *t, const char **why);
/* Keys or settings are other ones: reads the topic again, beside what is in force until then. */
void trigger_topic_again(struct trigger_topic *t, int64_t now_ms);
struct trigger_set *trigger_topic_merge(const struct trigger_topic *t, const struct trigger_set *directory);

/* ---- judge.c: `drawbridge-ingress --check-records`: what the fold says of records in a file ---- */

bool judge_asked(int argc, char **argv);
/* Lines {"offset":N,"key":BASE64,"value":BASE64|null} in, {"offset":N,"verdict":...,"problem":...} out; for the tool.
 * Returns an exit code. */
int judge_run(int argc, char **argv);

/* ---- trigger_policy.c: a trigger's rate, filter and handshakes ---- */

/* Each makes one part of the trigger from its options; the error belongs to that option. */
struct trigger_policy {
    const char *option;
    bool (*make)(struct trigger *t, const struct trigger_loading *l, struct error *error);
};
extern const struct trigger_policy trigger_policies[];
extern const size_t trigger_policy_count;

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

/* ---- publish.c: produce, delivery report, ticket and deadline ---- */

enum publish_end {
    PUBLISH_ACKNOWLEDGED, /* the brokers have it */
    PUBLISH_FAILED,       /* they don't, or nobody knows */
    PUBLISH_OVERSIZED,    /* they never will: over the client's or the topic's limit */
    PUBLISH_FULL,         /* the producer's queue is full */
    PUBLISH_LATE,         /* the ticket's deadline passed first */
    PUBLISH_REFUSED,      /* they never will, for what is in it */
    PUBLISH_SPOOLED,      /* our disk has it (spool.c) */
    PUBLISH_UNSPOOLED,    /* neither the brokers nor our disk */
};
struct publish_report {
    enum publish_end end;
    int partition;
    int64_t offset;
    const char *reason; /* static or librdkafka's; NULL when acknowledged */
};

struct publisher_settings {
    const struct kafka_settings *kafka;
    const char *topic;
    int64_t queue_max;
    struct metrics *metrics;
    /* Each subject's one answer, by report or by deadline. */
    void (*answered)(void *ctx, void *subject, const struct publish_report *report);
    void *ctx;
};
enum publish_start { PUBLISH_STARTED, PUBLISH_AWAY, PUBLISH_QUEUE_FULL, PUBLISH_NO_ROOM };

struct publisher;
struct publisher *publisher_new(const struct publisher_settings *settings, struct error *error);
/* Readable when there are reports; then, and when publisher_timeout_ms has passed, call publisher_run. */
int publisher_fd(const struct publisher *p);
int publisher_timeout_ms(const struct publisher *p, int64_t now_ms);
void publisher_run(struct publisher *p, int64_t now_ms);
/* Copies the record, which goes out with the next publisher_flush; the deadline is monotonic time.  PUBLISH_STARTED:
 * `answered` will be called once with `subject`, never from inside this call. */
enum publish_start publisher_send(struct publisher *p, const struct record *record, int64_t deadline_ms, void *subject);
/* Hands what was sent since the last flush to librdkafka, in its order.  At the end of each turn of the loop. */
void publisher_flush(struct publisher *p);
/* Would publisher_send start now?  Else *why, if given, is a sentence that lives until the next call. */
bool publisher_ready(const struct publisher *p, const char **why);
/* Wrong credentials, met before the first connection: waiting will not help (traps 2.1). */
bool publisher_refused(const struct publisher *p, struct error *error);
/* Drops the producer with all that it holds and builds a new one; who still waits is answered PUBLISH_FAILED first.
 * Waits up to a second for librdkafka's threads; not from inside `answered`. */
void publisher_reset(struct publisher *p, const char *reason, int64_t now_ms);
/* Records whose report is still to come. */
size_t publisher_outstanding(const struct publisher *p);
int64_t publisher_queue_bytes(const struct publisher *p);
/* Answers every waiting ticket with PUBLISH_FAILED and drops the producer.  NULL is legal. */
void publisher_free(struct publisher *p);

/* ---- spool.c: events that wait for Kafka on the disk (the whole of it: spool.h) ---- */

struct spool_settings {
    const char *directory;
    int64_t size_max;
    struct metrics *metrics;
    /* Each subject's one answer; the publisher's own reports, or PUBLISH_SPOOLED, PUBLISH_UNSPOOLED. */
    void (*answered)(void *ctx, void *subject, const struct publish_report *report);
    void *ctx;
};
struct spool;
/* NULL and a sentence that says what to do, if the directory cannot be used. */
struct spool *spool_open(const struct spool_settings *settings, struct error *error);
/* The publisher that was made with spool_answered and the spool; before the first spool_send. */
void spool_set_publisher(struct spool *s, struct publisher *publisher);
void spool_answered(void *ctx, void *subject, const struct publish_report *report);
/* In place of publisher_send.  wanted: the event may go to the disk (it must, if earlier ones of its agent are there).
 * It does so two thirds of the way to the deadline at the latest.  PUBLISH_NO_ROOM: Kafka is away and the spool is
 * full or fails. */
enum publish_start spool_send(struct spool *s, const struct record *record, bool wanted, int64_t deadline_ms,
                              void *subject);
/* Would it take an event? */
bool spool_ready(const struct spool *s);
/* Readable when the disk is done; then, after publisher_run and when spool_timeout_ms has passed: spool_run. */
int spool_fd(const struct spool *s);
int spool_timeout_ms(const struct spool *s, int64_t now_ms);
void spool_run(struct spool *s, int64_t now_ms);
/* At the end of a turn: what was gathered in it goes to the disk together. */
void spool_flush(struct spool *s);
/* Rows that the publisher has: nobody waits for their reports. */
size_t spool_rows_outstanding(const struct spool *s);
/* Publishes no more rows. */
void spool_stop(struct spool *s);
/* Nobody waits for the disk and nothing has to be written; what is in the spool stays there. */
bool spool_quiet(const struct spool *s);
/* After publisher_free: what waited for the publisher goes to the disk and is answered.  NULL is legal. */
void spool_close(struct spool *s);
/* "spool: 12 events (...), the oldest for 3 s, 0 refused". */
void spool_describe(const struct spool *s, struct buffer *out);
/* Sets the gauges. */
void spool_refresh(const struct spool *s);

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
