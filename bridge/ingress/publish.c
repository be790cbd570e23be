/* publish.c: produce, delivery report, ticket and deadline; the health of the producer, and a new one when it is fatal.
 *
 * The records of one turn of the loop wait until its end and are then produced together: the first produce wakes
 * librdkafka's thread, which would compete with the making of the others and send them in small batches.
 *
 * A ticket is a wait for one report.  It is *waiting* while it has a subject, *answered* when the report freed it, and
 * *abandoned* when its deadline answered first: the subject is gone from it and a late report only frees it.  All of
 * this is on the loop thread, so report and deadline cannot meet.
 *
 * Health comes from librdkafka's own statistics, twice a second through the producer's queue: which brokers are
 * connected, who leads the partitions, whether the idempotent producer has its id.  No call of ours ever waits for a
 * broker.  While deliveries succeed nobody looks at them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "ingress.h"
#include "log.h"
#include "publish_health.h"
#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    STATISTICS_MS = 500,
    REBUILD_RETRY_MS = 1000,
    PURGE_MS = 1000, /* for the reports of purged records */
    TURNS_MAX = 16,  /* polls in one run */
    TICKETS_KEPT_MAX = 4096,
    BLOCKS_KEPT_MAX = 1024, /* of those tickets, with the memory of a record */
    BLOCK_KEPT_MAX = 4096,  /* bytes */
};

struct ticket {
    struct ticket *prev, *next; /* all records whose report is to come; `next` also in the pool */
    struct ticket *after;       /* the next one in this turn's line */
    struct kafka_message message;
    struct publisher *publisher;
    void *subject; /* NULL: abandoned */
    int64_t sent_us, deadline_ms;
    int64_t size;
};

struct publisher {
    struct publisher_settings settings;
    rd_kafka_t *rk;
    rd_kafka_topic_t *topic; /* held, so that its metadata is fetched before the first record */
    rd_kafka_queue_t *queue;
    int event_fd;
    struct ticket *tickets, *pool;
    struct ticket *line, **line_end; /* of this turn, still to be produced */
    size_t outstanding, pooled;
    int64_t queue_bytes;
    int64_t next_due_ms; /* no deadline is earlier; 0: there is none */
    int64_t retry_ms;
    int64_t now_us;          /* of this run */
    int64_t acknowledged_ms; /* the last success */
    bool stalled;            /* a deadline passed with no success since that record was sent */
    bool fatal, more;
    bool success_since_statistics;
    struct error refused; /* wrong credentials before the first connection */
    struct publish_health health;
};

/* ---- tickets ---- */

static struct ticket *ticket_take(struct publisher *p)
{
    struct ticket *t = p->pool;
    if (t) {
        p->pool = t->next;
        p->pooled--;
    } else {
        t = calloc(1, sizeof *t);
    }
    return t;
}

static void ticket_put(struct publisher *p, struct ticket *t)
{
    if (p->pooled >= BLOCKS_KEPT_MAX || t->message.block_size > BLOCK_KEPT_MAX) kafka_message_close(&t->message);
    if (p->pooled >= TICKETS_KEPT_MAX) {
        free(t);
        return;
    }
    t->next = p->pool;
    p->pool = t;
    p->pooled++;
}

static void ticket_link(struct publisher *p, struct ticket *t)
{
    t->prev = NULL;
    t->next = p->tickets;
    if (t->next) t->next->prev = t;
    p->tickets = t;
    p->outstanding++;
    p->queue_bytes += t->size;
    if (p->next_due_ms == 0 || t->deadline_ms < p->next_due_ms) p->next_due_ms = t->deadline_ms;
}

/* The report has come, or never will. */
static void ticket_end(struct publisher *p, struct ticket *t)
{
    if (t->next) t->next->prev = t->prev;
    *(t->prev ? &t->prev->next : &p->tickets) = t->next;
    p->outstanding--;
    p->queue_bytes -= t->size;
    ticket_put(p, t);
}

static void ticket_answer(struct publisher *p, struct ticket *t, const struct publish_report *report)
{
    void *subject = t->subject;
    t->subject = NULL;
    if (subject) p->settings.answered(p->settings.ctx, subject, report);
}

static void answer_all(struct publisher *p, const char *reason)
{
    const struct publish_report report = {.end = PUBLISH_FAILED, .partition = -1, .offset = -1, .reason = reason};
    for (struct ticket *t = p->tickets; t; t = t->next)
        ticket_answer(p, t, &report);
}

static void answer_due(struct publisher *p, int64_t now_ms)
{
    const struct publish_report report = {
        .end = PUBLISH_LATE, .partition = -1, .offset = -1, .reason = "no report before the deadline"};
    if (p->next_due_ms == 0 || now_ms < p->next_due_ms) return;
    p->next_due_ms = 0;
    for (struct ticket *t = p->tickets; t; t = t->next) {
        if (!t->subject) continue;
        if (t->deadline_ms <= now_ms) {
            p->stalled = p->stalled || p->acknowledged_ms < t->sent_us / 1000;
            ticket_answer(p, t, &report);
        } else if (p->next_due_ms == 0 || t->deadline_ms < p->next_due_ms) {
            p->next_due_ms = t->deadline_ms;
        }
    }
}

/* ---- what librdkafka tells, from inside rd_kafka_poll ---- */

static void note_acknowledged(struct publisher *p, const struct ticket *t)
{
    p->acknowledged_ms = p->now_us / 1000;
    p->success_since_statistics = true;
    p->stalled = false;
    metrics_observe_us(p->settings.metrics, METRIC_PRODUCE_TIME, p->now_us - t->sent_us);
}

/* Refused for good is only what the record itself is to blame for: a topic that is missing or closed to us may be
 * there again. */
static enum publish_end end_of(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE: return PUBLISH_OVERSIZED;
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION: return PUBLISH_REFUSED;
    default: return PUBLISH_FAILED;
    }
}

static void on_report(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    (void)rk;
    struct publisher *p = opaque;
    struct ticket *t = m->_private;
    struct publish_report report = {.end = PUBLISH_ACKNOWLEDGED, .partition = m->partition, .offset = m->offset};
    if (m->err) {
        report = (struct publish_report){
            .end = end_of(m->err), .partition = m->partition, .offset = -1, .reason = rd_kafka_err2str(m->err)};
        p->fatal = p->fatal || m->err == RD_KAFKA_RESP_ERR__FATAL;
    } else {
        note_acknowledged(p, t);
    }
    if (!t->subject) metrics_add(p->settings.metrics, METRIC_LATE_REPORTS, 1);
    ticket_answer(p, t, &report);
    ticket_end(p, t);
}

static void on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
    (void)rk;
    struct publisher *p = opaque;
    if (err == RD_KAFKA_RESP_ERR__FATAL) p->fatal = true;
    if (kafka_error_is_credentials(err) && !p->health.was_ready && p->refused.code == ERROR_NONE)
        error_set(&p->refused, ERROR_DENIED, "Kafka refuses the credentials: %s", reason);
    /* librdkafka logs the same in its own words; states that matter are logged where they change. */
    log_event(LOG_DEBUG, "kafka error", log_text("error", rd_kafka_err2name((rd_kafka_resp_err_t)err)),
              log_text("message", reason));
}

static int on_statistics(rd_kafka_t *rk, char *text, size_t size, void *opaque)
{
    (void)rk;
    struct publisher *p = opaque;
    bool before = p->health.connected, busy = p->success_since_statistics;
    p->success_since_statistics = false;
    if (before && busy) return 0;
    publish_health_take(&p->health, (struct bytes){(const uint8_t *)text, size}, p->settings.topic,
                        clock_monotonic_ms());
    if (p->health.connected && !before) log_event(LOG_INFO, "kafka ready", log_text("topic", p->settings.topic));
    if (!p->health.connected && before) log_event(LOG_WARN, "kafka away", log_text("reason", p->health.why));
    return 0; /* librdkafka frees the text */
}

/* ---- the producer ---- */

static bool producer_start(struct publisher *p, struct error *error)
{
    static const uint64_t one = 1;
    char kbytes[32], interval[16];
    struct rd_kafka_conf_s *conf = kafka_conf_new(p->settings.kafka, KAFKA_INGRESS_PRODUCER, error);
    if (!conf) return false;
    snprintf(kbytes, sizeof kbytes, "%lld", (long long)(p->settings.queue_max / 1024));
    snprintf(interval, sizeof interval, "%d", STATISTICS_MS);
    if (!kafka_conf_set(conf, "queue.buffering.max.kbytes", kbytes, error) ||
        !kafka_conf_set(conf, "queue.buffering.max.messages", "1000000", error) ||
        !kafka_conf_set(conf, "statistics.interval.ms", interval, error) ||
        /* Connect to every broker at once: the first delivery must not pay for it. */
        !kafka_conf_set(conf, "enable.sparse.connections", "false", error)) {
        rd_kafka_conf_destroy(conf);
        return false;
    }
    rd_kafka_conf_set_opaque(conf, p);
    rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_stats_cb(conf, on_statistics);
    p->rk = kafka_client_new(KAFKA_INGRESS_PRODUCER, conf, error);
    if (!p->rk) return false;
    p->topic = rd_kafka_topic_new(p->rk, p->settings.topic, NULL);
    p->queue = rd_kafka_queue_get_main(p->rk);
    rd_kafka_queue_io_event_enable(p->queue, p->event_fd, &one, sizeof one);
    p->fatal = p->stalled = false;
    publish_health_begin(&p->health, clock_monotonic_ms());
    return true;
}

static void line_clear(struct publisher *p)
{
    p->line = NULL;
    p->line_end = &p->line;
}

/* Every subject is answered first; the reports of what is purged come inside the flush. */
static void producer_stop(struct publisher *p, const char *reason)
{
    answer_all(p, reason);
    for (struct ticket *t = p->line; t; t = t->after)
        kafka_message_close(&t->message);
    line_clear(p);
    if (!p->rk) return;
    rd_kafka_purge(p->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_flush(p->rk, PURGE_MS);
    if (p->topic) rd_kafka_topic_destroy(p->topic);
    if (p->queue) rd_kafka_queue_destroy(p->queue);
    rd_kafka_destroy(p->rk);
    p->rk = NULL;
    p->topic = NULL;
    p->queue = NULL;
    while (p->tickets)
        ticket_end(p, p->tickets); /* with the producer went their reports */
}

static void producer_renew(struct publisher *p, int64_t now_ms)
{
    struct error error;
    p->fatal = p->stalled = false;
    publish_health_end(&p->health, "the producer is being replaced");
    if (producer_start(p, &error)) return;
    log_event(LOG_ERROR, "no new kafka producer", log_text("error", error.text));
    p->retry_ms = now_ms + REBUILD_RETRY_MS;
}

static void producer_rebuild(struct publisher *p, int64_t now_ms)
{
    char text[256] = "";
    if (p->rk) {
        rd_kafka_fatal_error(p->rk, text, sizeof text);
        log_event(LOG_ERROR, "kafka producer is fatal, building a new one", log_text("message", text),
                  log_int("waiting", (int64_t)p->outstanding));
        metrics_add(p->settings.metrics, METRIC_REBUILDS, 1);
        producer_stop(p, "the producer had to be replaced");
    }
    producer_renew(p, now_ms);
}

void publisher_reset(struct publisher *p, const char *reason, int64_t now_ms)
{
    metrics_add(p->settings.metrics, METRIC_REBUILDS, 1);
    producer_stop(p, reason);
    producer_renew(p, now_ms);
}

/* ---- the face ---- */

struct publisher *publisher_new(const struct publisher_settings *settings, struct error *error)
{
    struct publisher *p = calloc(1, sizeof *p);
    if (!p) {
        error_set(error, ERROR_MEMORY, "no memory for the publisher");
        return NULL;
    }
    p->settings = *settings;
    line_clear(p);
    p->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (p->event_fd < 0) {
        error_set_errno(error, errno, "eventfd");
        free(p);
        return NULL;
    }
    if (!producer_start(p, error)) {
        publisher_free(p);
        return NULL;
    }
    return p;
}

int publisher_fd(const struct publisher *p)
{
    return p->event_fd;
}

int publisher_timeout_ms(const struct publisher *p, int64_t now_ms)
{
    int64_t due_ms = p->next_due_ms;
    if (p->more || p->line) return 0; /* what is in the line waits for the end of a turn, never for an event */
    if (!p->rk && (due_ms == 0 || p->retry_ms < due_ms)) due_ms = p->retry_ms;
    if (due_ms == 0) return -1;
    return due_ms <= now_ms ? 0 : (int)(due_ms - now_ms);
}

void publisher_run(struct publisher *p, int64_t now_ms)
{
    uint64_t events;
    /* The event says "no longer empty" once; so it is taken before the queue is read to its end (traps 2.5). */
    if (read(p->event_fd, &events, sizeof events) < 0 && errno != EAGAIN)
        log_event(LOG_ERROR, "eventfd", log_int("errno", errno));
    int turns = 0;
    p->now_us = clock_monotonic_us();
    while (p->rk && turns < TURNS_MAX && rd_kafka_poll(p->rk, 0) > 0)
        turns++;
    p->more = turns == TURNS_MAX;
    answer_due(p, now_ms);
    /* Nothing is left that could prove Kafka alive: let the next delivery try. */
    if (p->outstanding == 0) p->stalled = false;
    if (p->fatal || (!p->rk && now_ms >= p->retry_ms)) producer_rebuild(p, now_ms);
}

enum publish_start publisher_send(struct publisher *p, const struct record *record, int64_t deadline_ms, void *subject)
{
    int64_t size = (int64_t)record_wire_size(record);
    if (!publisher_ready(p, NULL)) return PUBLISH_AWAY;
    if (p->queue_bytes + size > p->settings.queue_max / 5 * 4) return PUBLISH_QUEUE_FULL;
    struct ticket *t = ticket_take(p);
    if (!t) return PUBLISH_QUEUE_FULL;
    *t = (struct ticket){
        .publisher = p, .message = t->message, .subject = subject, .deadline_ms = deadline_ms, .size = size};
    if (!kafka_message_set(&t->message, record)) {
        ticket_put(p, t);
        return PUBLISH_QUEUE_FULL;
    }
    ticket_link(p, t);
    *p->line_end = t;
    p->line_end = &t->after;
    return PUBLISH_STARTED;
}

/* It has no report to wait for. */
static void ticket_refuse(struct publisher *p, struct ticket *t, enum kafka_produced produced)
{
    static const struct {
        enum publish_end end;
        const char *reason;
    } refusals[] = {
        [KAFKA_QUEUE_FULL] = {PUBLISH_FULL, "the producer's queue is full"},
        [KAFKA_TOO_LARGE] = {PUBLISH_OVERSIZED, "over message.max.bytes"},
        [KAFKA_REFUSED] = {PUBLISH_FAILED, "the producer takes no records"},
    };
    const struct publish_report report = {
        .end = refusals[produced].end, .partition = -1, .offset = -1, .reason = refusals[produced].reason};
    ticket_answer(p, t, &report);
    ticket_end(p, t);
}

void publisher_flush(struct publisher *p)
{
    struct error error;
    char text[256];
    struct ticket *t = p->line;
    int64_t now_us = t ? clock_monotonic_us() : 0;
    line_clear(p);
    while (t) {
        struct ticket *after = t->after;
        t->sent_us = now_us;
        enum kafka_produced produced = kafka_message_produce(p->rk, p->settings.topic, &t->message, t, &error);
        if (produced != KAFKA_PRODUCED) ticket_refuse(p, t, produced);
        if (produced == KAFKA_REFUSED && rd_kafka_fatal_error(p->rk, text, sizeof text))
            p->fatal = true; /* told by a callback as well, a little later */
        t = after;
    }
}

bool publisher_ready(const struct publisher *p, const char **why)
{
    if (p->rk && p->health.connected && !p->fatal && !p->stalled) return true;
    if (why)
        *why = p->health.connected && p->stalled ? "Kafka has acknowledged nothing within the deadline" : p->health.why;
    return false;
}

bool publisher_refused(const struct publisher *p, struct error *error)
{
    if (p->refused.code == ERROR_NONE || p->health.was_ready) return false;
    *error = p->refused;
    return true;
}

size_t publisher_outstanding(const struct publisher *p)
{
    return p->outstanding;
}

int64_t publisher_queue_bytes(const struct publisher *p)
{
    return p->queue_bytes;
}

void publisher_free(struct publisher *p)
{
    if (!p) return;
    producer_stop(p, "the ingress is stopping");
    while (p->pool) {
        struct ticket *t = p->pool;
        p->pool = t->next;
        kafka_message_close(&t->message);
        free(t);
    }
    close(p->event_fd);
    free(p);
}
