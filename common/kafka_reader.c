/* kafka_reader.c: reads a topic, or one partition of it, without a group; read_committed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "kafka.h"
#include <librdkafka/rdkafka.h>
#include <stdlib.h>

enum { START_TIMEOUT_MS = 10000 };

struct reader_partition {
    bool started, at_end;
};

struct kafka_reader {
    rd_kafka_t *rk;
    rd_kafka_topic_t *topic;
    rd_kafka_queue_t *queue; /* all partitions arrive here */
    int partitions;          /* of the topic */
    int only;                /* the one that is read, or -1 */
    struct reader_partition *states;
    int behind;  /* partitions that were not read to their end yet */
    bool failed; /* on_error saw something that no waiting repairs */
    struct error failure;
    rd_kafka_message_t *message; /* what the last record views */
    struct record_header headers[RECORD_HEADERS_MAX];
};

/* Inside rd_kafka_poll, so on the reader's own thread. */
static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    struct kafka_reader *r = opaque;
    (void)rk;
    if (r->failed || (code != RD_KAFKA_RESP_ERR__FATAL && !kafka_error_is_credentials(code))) return;
    r->failed = true;
    error_set(&r->failure, kafka_error_is_credentials(code) ? ERROR_DENIED : ERROR_INTERNAL, "%s", reason);
}

static bool open_client(struct kafka_reader *r, const struct kafka_settings *settings, struct error *error)
{
    rd_kafka_conf_t *conf = kafka_conf_new(settings, KAFKA_READER, error);
    if (conf == NULL) return false;
    rd_kafka_conf_set_opaque(conf, r);
    rd_kafka_conf_set_error_cb(conf, on_error);
    r->rk = kafka_client_new(KAFKA_READER, conf, error);
    return r->rk != NULL;
}

/* In steps, because bad credentials are told by on_error only, while the question for metadata just times out. */
static bool count_partitions(struct kafka_reader *r, const char *topic, struct error *error)
{
    int64_t deadline_ms = clock_monotonic_ms() + START_TIMEOUT_MS;
    for (;;) {
        struct error latest = {0};
        if (kafka_partition_count(r->rk, topic, 1000, &r->partitions, &latest)) return true;
        rd_kafka_poll(r->rk, 0);
        if (r->failed) latest = r->failure;
        bool hopeless = r->failed || latest.code != ERROR_UNAVAILABLE || clock_monotonic_ms() >= deadline_ms;
        if (hopeless) return error_set(error, latest.code, "%s", latest.text);
    }
}

/* The first offset at or after a time; the end when there is none. */
static bool offset_at_time(struct kafka_reader *r, int partition, int64_t at_ms, int64_t *offset, struct error *error)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, rd_kafka_topic_name(r->topic), partition)->offset = at_ms;
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(r->rk, list, START_TIMEOUT_MS);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) code = list->elems[0].err;
    *offset = list->elems[0].offset < 0 ? RD_KAFKA_OFFSET_END : list->elems[0].offset;
    rd_kafka_topic_partition_list_destroy(list);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return true;
    return error_set(error, ERROR_UNAVAILABLE, "partition %d: offset at a time: %s", partition, rd_kafka_err2str(code));
}

static bool start_partition(struct kafka_reader *r, int partition, enum kafka_from from, int64_t at,
                            struct error *error)
{
    int64_t offset = at;
    if (from == KAFKA_FROM_BEGINNING) offset = RD_KAFKA_OFFSET_BEGINNING;
    if (from == KAFKA_FROM_END) offset = RD_KAFKA_OFFSET_END;
    if (from == KAFKA_FROM_TIME && !offset_at_time(r, partition, at, &offset, error)) return false;
    if (rd_kafka_consume_start_queue(r->topic, partition, offset, r->queue) != 0)
        return error_set(error, ERROR_UNAVAILABLE, "partition %d: %s", partition,
                         rd_kafka_err2str(rd_kafka_last_error()));
    r->states[partition].started = true;
    r->behind++;
    return true;
}

static bool start(struct kafka_reader *r, const char *topic, enum kafka_from from, int64_t at, struct error *error)
{
    if (!count_partitions(r, topic, error)) return false;
    if (r->only >= r->partitions)
        return error_set(error, ERROR_NOT_FOUND, "it has no partition %d, only 0 to %d", r->only, r->partitions - 1);
    r->states = calloc((size_t)r->partitions, sizeof *r->states);
    r->queue = rd_kafka_queue_new(r->rk);
    r->topic = rd_kafka_topic_new(r->rk, topic, NULL);
    if (r->states == NULL || r->topic == NULL) return error_set(error, ERROR_MEMORY, "out of memory");
    for (int p = 0; p < r->partitions; p++)
        if ((r->only < 0 || r->only == p) && !start_partition(r, p, from, at, error)) return false;
    return true;
}

struct kafka_reader *kafka_reader_new(const struct kafka_settings *settings, const char *topic, int partition,
                                      enum kafka_from from, int64_t at, struct error *error)
{
    struct kafka_reader *r = calloc(1, sizeof *r);
    if (r == NULL) {
        error_set(error, ERROR_MEMORY, "out of memory");
        return NULL;
    }
    r->only = partition < 0 ? -1 : partition;
    if (open_client(r, settings, error) && start(r, topic, from, at, error)) return r;
    error_context(error, "read topic '%s'", topic);
    kafka_reader_free(r);
    return NULL;
}

/* A message that is not a record: READER_IDLE means reading goes on. */
static enum reader_event take_notice(struct kafka_reader *r, const rd_kafka_message_t *m, struct error *error)
{
    struct reader_partition *p = &r->states[m->partition];
    if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        if (p->at_end) return READER_IDLE;
        p->at_end = true;
        r->behind--;
        return r->behind == 0 ? READER_END : READER_IDLE;
    }
    if (kafka_error_class(m->err) == KAFKA_RETRY) return READER_IDLE;
    if (m->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET || m->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE)
        error_set(error, ERROR_NOT_FOUND, "partition %d: there is no record at offset %lld (any more)", m->partition,
                  (long long)m->offset);
    else
        error_set(error, ERROR_UNAVAILABLE, "partition %d: %s", m->partition, rd_kafka_message_errstr(m));
    return READER_FAILED;
}

static void take_record(struct kafka_reader *r, struct record *out, struct reader_position *position)
{
    bool truncated;
    kafka_message_record(r->message, r->headers, out, &truncated);
    position->partition = r->message->partition;
    position->offset = r->message->offset;
    position->timestamp_ms = rd_kafka_message_timestamp(r->message, NULL);
    struct reader_partition *p = &r->states[r->message->partition];
    if (p->at_end) r->behind++;
    p->at_end = false;
}

enum reader_event kafka_reader_next(struct kafka_reader *r, int timeout_ms, struct record *out,
                                    struct reader_position *position, struct error *error)
{
    int64_t deadline_ms = clock_monotonic_ms() + timeout_ms;
    for (;;) {
        if (r->message != NULL) rd_kafka_message_destroy(r->message);
        rd_kafka_poll(r->rk, 0);
        int64_t left_ms = deadline_ms - clock_monotonic_ms();
        /* In slices, so that what on_error has to say is heard while nothing arrives. */
        r->message = rd_kafka_consume_queue(r->queue, left_ms < 0 ? 0 : left_ms > 500 ? 500 : (int)left_ms);
        if (r->failed) {
            error_set(error, r->failure.code, "%s", r->failure.text);
            return READER_FAILED;
        }
        if (r->message == NULL && left_ms <= 500) return READER_IDLE;
        if (r->message == NULL) continue;
        if (r->message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            take_record(r, out, position);
            return READER_RECORD;
        }
        enum reader_event event = take_notice(r, r->message, error);
        if (event != READER_IDLE) return event;
    }
}

void kafka_reader_free(struct kafka_reader *r)
{
    if (r == NULL) return;
    if (r->message != NULL) rd_kafka_message_destroy(r->message);
    for (int p = 0; r->states != NULL && p < r->partitions; p++)
        if (r->states[p].started) rd_kafka_consume_stop(r->topic, p);
    if (r->queue != NULL) rd_kafka_queue_destroy(r->queue);
    if (r->topic != NULL) rd_kafka_topic_destroy(r->topic);
    if (r->rk != NULL) rd_kafka_destroy(r->rk);
    free(r->states);
    free(r);
}
