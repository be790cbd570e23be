/* journal_reader.c: journal partitions, read_committed, into the loop in bounded turns.
 * SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "log.h"
#include "memory.h"
#include "runner.h"
#include <librdkafka/rdkafka.h>
#include <sys/eventfd.h>

enum { TURN_MAX_US = 5000 };

struct journal_reader {
    struct rd_kafka_s *rk;
    rd_kafka_topic_t *topic;
    rd_kafka_queue_t *queue;
};

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    (void)rk;
    (void)opaque;
    log_event(LOG_WARN, "journal reader error", log_text("code", rd_kafka_err2name((rd_kafka_resp_err_t)code)),
              log_text("reason", reason));
}

struct journal_reader *journal_reader_open(struct runner *r, struct error *error)
{
    static const uint64_t one = 1;
    rd_kafka_conf_t *conf = kafka_conf_new(&r->settings->kafka, KAFKA_READER, error);
    /* Else a single body may wait for half a second behind another partition's empty fetch, and bring along 64 MiB that
     * stand behind it, in the memory that was to be spared (J12). */
    if (!conf || !kafka_conf_set(conf, "fetch.wait.max.ms", "10", error) ||
        !kafka_conf_set(conf, "queued.max.messages.kbytes", "8192", error)) {
        if (conf) rd_kafka_conf_destroy(conf);
        return NULL;
    }
    rd_kafka_conf_set_error_cb(conf, on_error);
    struct rd_kafka_s *rk = kafka_client_new(KAFKA_READER, conf, error);
    if (!rk) return NULL;
    struct journal_reader *j = memory_new(sizeof *j);
    j->rk = rk;
    j->topic = rd_kafka_topic_new(rk, r->settings->topics.name[TOPIC_JOURNAL], NULL);
    j->queue = rd_kafka_queue_new(rk);
    rd_kafka_queue_io_event_enable(j->queue, r->eventfd, &one, sizeof one);
    return j;
}

void journal_reader_close(struct journal_reader *j)
{
    if (!j) return;
    rd_kafka_queue_destroy(j->queue);
    rd_kafka_topic_destroy(j->topic);
    rd_kafka_destroy(j->rk);
    free(j);
}

bool journal_reader_start(struct journal_reader *j, int partition, int64_t offset)
{
    return rd_kafka_consume_start_queue(j->topic, partition, offset, j->queue) == 0;
}

void journal_reader_stop(struct journal_reader *j, int partition)
{
    rd_kafka_consume_stop(j->topic, partition);
}

/* Errors that belong to a partition; what concerns a connection is retried below us. */
static void on_message_error(struct runner *r, struct partition *p, const rd_kafka_message_t *m)
{
    if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        if (p->body_reader >= 0) bodies_record(r, p, NULL, m->offset); /* else our barrier is still to come */
        return;
    }
    if (kafka_error_class(m->err) == KAFKA_RETRY)
        log_event(LOG_WARN, "journal reader error", log_int("partition", p->number),
                  log_text("reason", rd_kafka_message_errstr(m)));
    else
        partition_refuse(r, p, "its journal can't be read: %s", rd_kafka_message_errstr(m));
}

static void on_message(struct runner *r, const rd_kafka_message_t *m)
{
    struct partition *p = partition_find(r, m->partition);
    struct record_header headers[RECORD_HEADERS_MAX];
    struct record record;
    bool truncated;
    if (!p || (p->state != PARTITION_FOLDING && p->body_reader < 0)) return; /* read ahead of what was wanted */
    if (m->err) {
        on_message_error(r, p, m);
        return;
    }
    kafka_message_record(m, headers, &record, &truncated);
    if (truncated)
        partition_refuse(r, p, "journal entry at %lld has too many headers", (long long)m->offset);
    else if (p->body_reader >= 0)
        bodies_record(r, p, &record, m->offset);
    else
        takeover_record(r, p, &record, m->offset);
}

void journal_reader_serve(struct runner *r)
{
    int64_t until_us = clock_monotonic_us() + TURN_MAX_US;
    for (rd_kafka_message_t *m; (m = rd_kafka_consume_queue(r->journal->queue, 0)); rd_kafka_message_destroy(m)) {
        on_message(r, m);
        if (clock_monotonic_us() < until_us) continue;
        /* The rest in another turn: whoever stops early wakes himself. */
        rd_kafka_message_destroy(m);
        eventfd_write(r->eventfd, 1);
        return;
    }
}
