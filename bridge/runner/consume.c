/* consume.c: the consumer in the loop: rebalances, one queue per partition, back-pressure by not reading.
 * SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "daemon.h"
#include "log.h"
#include "memory.h"
#include "runner.h"
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <string.h>

enum { AHEAD_MAX = 2000 }; /* polled events that are in no batch yet, per partition: the next batch */

static void on_assign(struct runner *r, rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *list)
{
    int *numbers = memory_new(((size_t)list->cnt + 1) * sizeof *numbers);
    for (int i = 0; i < list->cnt; i++)
        numbers[i] = list->elems[i].partition;
    /* First our queues, then the assignment: no event may slip into the consumer's own queue. */
    handover_assigned(r, numbers, (size_t)list->cnt);
    rd_kafka_assign(rk, list);
    free(numbers);
}

/* Runs inside consume_serve, on the loop thread. */
static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *list, void *opaque)
{
    struct runner *r = opaque;
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        on_assign(r, rk, list);
        return;
    }
    handover_revoked(r, code != RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS || rd_kafka_assignment_lost(rk));
    rd_kafka_assign(rk, NULL);
}

static const struct {
    rd_kafka_resp_err_t code;
    int exit_code;
} endings[] = {
    {RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID, DAEMON_EXIT_FENCED},
    {RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT, DAEMON_EXIT_CONFIGURATION},
    {RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, DAEMON_EXIT_CONFIGURATION},
};

/* Errors that waiting does not mend. */
static void judge(struct runner *r, rd_kafka_resp_err_t code, const char *reason)
{
    char text[256];
    rd_kafka_resp_err_t fatal = code == RD_KAFKA_RESP_ERR__FATAL ? rd_kafka_fatal_error(r->consumer, text, sizeof text)
                                                                 : RD_KAFKA_RESP_ERR_NO_ERROR;
    if (fatal) code = fatal;
    log_event(LOG_WARN, "consumer error", log_text("code", rd_kafka_err2name(code)),
              log_text("reason", fatal ? text : reason));
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
        if (endings[i].code == code) runner_fail(r, endings[i].exit_code);
    if (fatal && r->exit_code == 0) runner_fail(r, DAEMON_EXIT_FAILURE);
}

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    (void)rk;
    judge(opaque, (rd_kafka_resp_err_t)code, reason);
}

static bool configure(struct runner *r, rd_kafka_conf_t *conf, struct error *error)
{
    char session[24];
    const struct settings *s = r->settings;
    snprintf(session, sizeof session, "%lld", (long long)s->session_timeout_ms);
    rd_kafka_conf_set_opaque(conf, r);
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    rd_kafka_conf_set_error_cb(conf, on_error);
    return kafka_conf_set(conf, "group.id", s->group_id, error) &&
           kafka_conf_set(conf, "session.timeout.ms", session, error) &&
           (!s->static_membership || kafka_conf_set(conf, "group.instance.id", s->transactional_id, error));
}

bool consume_open(struct runner *r, struct error *error)
{
    static const uint64_t one = 1;
    rd_kafka_conf_t *conf = kafka_conf_new(&r->settings->kafka, KAFKA_RUNNER_CONSUMER, error);
    if (!conf) return false;
    if (!configure(r, conf, error)) {
        rd_kafka_conf_destroy(conf);
        return false;
    }
    r->consumer = kafka_client_new(KAFKA_RUNNER_CONSUMER, conf, error);
    if (!r->consumer) return false;
    rd_kafka_poll_set_consumer(r->consumer);
    r->events = rd_kafka_queue_get_consumer(r->consumer);
    rd_kafka_queue_io_event_enable(r->events, r->eventfd, &one, sizeof one);
    return true;
}

bool consume_subscribe(struct runner *r, struct error *error)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, r->settings->topics.name[TOPIC_EVENTS], RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t code = rd_kafka_subscribe(r->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    r->subscribed = code == RD_KAFKA_RESP_ERR_NO_ERROR;
    return r->subscribed || error_set(error, ERROR_UNAVAILABLE, "subscribe: %s", rd_kafka_err2str(code));
}

/* An event here has slipped past its partition's queue; its partition finds the gap and seeks back. */
void consume_serve(struct runner *r)
{
    for (rd_kafka_message_t *m; (m = rd_kafka_consumer_poll(r->consumer, 0)); rd_kafka_message_destroy(m))
        if (m->err) judge(r, m->err, rd_kafka_message_errstr(m));
}

void consume_snapshot(struct runner *r, struct assignment *out)
{
    void *data = NULL;
    size_t size = 0;
    *out = (struct assignment){.generation = -1};
    rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata(r->consumer);
    if (!group) return;
    rd_kafka_error_t *e = rd_kafka_consumer_group_metadata_write(group, &data, &size);
    rd_kafka_consumer_group_metadata_destroy(group);
    if (e) {
        rd_kafka_error_destroy(e);
        return;
    }
    out->metadata = memory_new(size);
    memcpy(out->metadata, data, size);
    out->metadata_size = size;
    rd_kafka_mem_free(NULL, data);
    out->present = handover_parse_metadata(out->metadata, size, out);
}

void consume_attach(struct runner *r, struct partition *p)
{
    static const uint64_t one = 1;
    consume_detach(p);
    p->source = rd_kafka_queue_get_partition(r->consumer, r->settings->topics.name[TOPIC_EVENTS], p->number);
    p->queue = rd_kafka_queue_new(r->consumer);
    if (!p->source || !p->queue) {
        partition_refuse(r, p, "its queue can't be had");
        return;
    }
    rd_kafka_queue_forward(p->source, p->queue);
    rd_kafka_queue_io_event_enable(p->queue, r->eventfd, &one, sizeof one);
    p->drained = false;
}

void consume_detach(struct partition *p)
{
    if (p->source) {
        rd_kafka_queue_forward(p->source, NULL);
        rd_kafka_queue_destroy(p->source);
    }
    if (p->queue) {
        rd_kafka_queue_io_event_enable(p->queue, -1, NULL, 0);
        rd_kafka_queue_destroy(p->queue);
    }
    p->source = p->queue = NULL;
}

int64_t consume_high(struct runner *r, const struct partition *p)
{
    int64_t low, high;
    const char *topic = r->settings->topics.name[TOPIC_EVENTS];
    if (rd_kafka_get_watermark_offsets(r->consumer, topic, p->number, &low, &high) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return -1;
    return high;
}

/* The bounds that leave a queue unread: the next batch, entries of a partition, bodies of all (J12). */
static bool has_room(const struct runner *r, const struct partition *p)
{
    return p->state == PARTITION_OPEN && !p->unread[0] && p->arrival_count < AHEAD_MAX &&
           (int64_t)p->runs.count < r->settings->queue_max && r->event_bytes < (size_t)r->settings->body_memory_bytes;
}

static void on_message(struct runner *r, struct partition *p, const rd_kafka_message_t *m)
{
    struct record_header headers[RECORD_HEADERS_MAX];
    struct polled polled = {.offset = m->offset, .written_us = rd_kafka_message_timestamp(m, NULL) * 1000};
    if (polled.written_us <= 0) polled.written_us = clock_wall_us();
    kafka_message_record(m, headers, &polled.record, &polled.truncated);
    arrive(r, p, &polled);
}

static void read_partition(struct runner *r, struct partition *p)
{
    while (!p->drained && has_room(r, p)) {
        rd_kafka_message_t *m = rd_kafka_consume_queue(p->queue, 0);
        if (!m) {
            p->drained = true;
            return;
        }
        if (!m->err)
            on_message(r, p, m);
        else if (m->err != RD_KAFKA_RESP_ERR__PARTITION_EOF)
            judge(r, m->err, rd_kafka_message_errstr(m));
        rd_kafka_message_destroy(m);
    }
}

void consume_read(struct runner *r)
{
    if (r->draining || r->halted[0]) return;
    for (size_t i = 0; i < r->partition_count; i++)
        if (!r->partitions[i]->drained) read_partition(r, r->partitions[i]);
}

void consume_close(struct runner *r)
{
    if (r->events) rd_kafka_queue_destroy(r->events);
    if (r->consumer) rd_kafka_destroy_flags(r->consumer, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    r->events = NULL;
    r->consumer = NULL;
}
