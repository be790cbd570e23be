/* kafka_follower.c: one partition, from its beginning and for ever, inside of a loop.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kafka_follower.h"
#include <librdkafka/rdkafka.h>
#include <stdlib.h>

struct kafka_follower {
    rd_kafka_t *rk;
    rd_kafka_topic_t *topic;
    rd_kafka_queue_t *queue, *main_queue;
    bool started;
    rd_kafka_message_t *message; /* what the last record views */
    struct record_header headers[RECORD_HEADERS_MAX];
    struct error trouble;
};

static bool is_unknown_topic(int code)
{
    return code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC || code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION ||
           code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
}

/* Trouble that the client itself goes on with until it is over. */
static void note_trouble(struct kafka_follower *f, int code, const char *reason)
{
    const char *topic = f->topic != NULL ? rd_kafka_topic_name(f->topic) : "";
    if (is_unknown_topic(code))
        error_set(&f->trouble, ERROR_NOT_FOUND, "topic '%s' does not exist; `drawbridge topics create` makes it",
                  topic);
    else
        error_set(&f->trouble, ERROR_UNAVAILABLE, "topic '%s': %s", topic, reason);
}

/* Inside of rd_kafka_poll and rd_kafka_consume_queue, so on the loop's thread.  That there is no such topic, or no
 * right to read it, comes this way too, once. */
static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    (void)rk;
    if (is_unknown_topic(code) || code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
        code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || kafka_error_is_credentials(code))
        note_trouble(opaque, code, reason);
}

static bool open_client(struct kafka_follower *f, const struct kafka_settings *settings, struct error *error)
{
    rd_kafka_conf_t *conf = kafka_conf_new(settings, KAFKA_READER, error);
    if (conf == NULL) return false;
    /* A topic that is not there is told at once, and one that is made later is noticed soon; the question is about one
     * topic and costs nothing. */
    if (!kafka_conf_set(conf, "topic.metadata.propagation.max.ms", "1000", error) ||
        !kafka_conf_set(conf, "topic.metadata.refresh.interval.ms", "2000", error)) {
        rd_kafka_conf_destroy(conf);
        return false;
    }
    rd_kafka_conf_set_opaque(conf, f);
    rd_kafka_conf_set_error_cb(conf, on_error);
    f->rk = kafka_client_new(KAFKA_READER, conf, error);
    return f->rk != NULL;
}

static bool start(struct kafka_follower *f, const char *topic, int event_fd, struct error *error)
{
    static const uint64_t one = 1;
    f->queue = rd_kafka_queue_new(f->rk);
    f->main_queue = rd_kafka_queue_get_main(f->rk);
    f->topic = rd_kafka_topic_new(f->rk, topic, NULL);
    if (f->topic == NULL) return error_set(error, ERROR_MEMORY, "no memory");
    rd_kafka_queue_io_event_enable(f->queue, event_fd, &one, sizeof one);
    rd_kafka_queue_io_event_enable(f->main_queue, event_fd, &one, sizeof one);
    f->started = rd_kafka_consume_start_queue(f->topic, 0, RD_KAFKA_OFFSET_BEGINNING, f->queue) == 0;
    return f->started ||
           error_set(error, ERROR_UNAVAILABLE, "partition 0: %s", rd_kafka_err2str(rd_kafka_last_error()));
}

struct kafka_follower *kafka_follower_new(const struct kafka_settings *settings, const char *topic, int event_fd,
                                          struct error *error)
{
    struct kafka_follower *f = calloc(1, sizeof *f);
    if (f == NULL) {
        error_set(error, ERROR_MEMORY, "no memory");
        return NULL;
    }
    if (open_client(f, settings, error) && start(f, topic, event_fd, error)) return f;
    error_context(error, "follow topic '%s'", topic);
    kafka_follower_free(f);
    return NULL;
}

/* READER_IDLE: go on with the next message. */
static enum reader_event take_notice(struct kafka_follower *f, struct error *error)
{
    const rd_kafka_message_t *m = f->message;
    switch ((int)m->err) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF: f->trouble.code = ERROR_NONE; return READER_END;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
        error_set(error, ERROR_NOT_FOUND, "topic '%s' has no offset %lld any more: it was cut or made anew",
                  rd_kafka_topic_name(f->topic), (long long)m->offset);
        return READER_FAILED;
    default: note_trouble(f, m->err, rd_kafka_message_errstr(m)); return READER_IDLE;
    }
}

enum reader_event kafka_follower_next(struct kafka_follower *f, struct record *out, struct reader_position *position,
                                      struct error *error)
{
    rd_kafka_poll(f->rk, 0);
    for (;;) {
        if (f->message != NULL) rd_kafka_message_destroy(f->message);
        f->message = rd_kafka_consume_queue(f->queue, 0);
        if (f->message == NULL) return READER_IDLE;
        if (f->message->err == RD_KAFKA_RESP_ERR_NO_ERROR) break;
        enum reader_event event = take_notice(f, error);
        if (event != READER_IDLE) return event;
    }
    bool truncated;
    f->trouble.code = ERROR_NONE;
    kafka_message_record(f->message, f->headers, out, &truncated);
    *position = (struct reader_position){f->message->partition, f->message->offset,
                                         rd_kafka_message_timestamp(f->message, NULL)};
    return READER_RECORD;
}

const char *kafka_follower_trouble(const struct kafka_follower *f)
{
    return f->trouble.code != ERROR_NONE ? f->trouble.text : NULL;
}

void kafka_follower_free(struct kafka_follower *f)
{
    if (f == NULL) return;
    if (f->message != NULL) rd_kafka_message_destroy(f->message);
    if (f->started) rd_kafka_consume_stop(f->topic, 0);
    /* The descriptor may be another one's by the time a last event comes. */
    if (f->queue != NULL) rd_kafka_queue_io_event_enable(f->queue, -1, NULL, 0);
    if (f->main_queue != NULL) rd_kafka_queue_io_event_enable(f->main_queue, -1, NULL, 0);
    if (f->queue != NULL) rd_kafka_queue_destroy(f->queue);
    if (f->main_queue != NULL) rd_kafka_queue_destroy(f->main_queue);
    if (f->topic != NULL) rd_kafka_topic_destroy(f->topic);
    if (f->rk != NULL) rd_kafka_destroy(f->rk);
    free(f);
}
