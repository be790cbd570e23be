/* kafka.c: records to and from librdkafka, what an error code asks for, and the partition count of a topic.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kafka.h"
#include <assert.h>
#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <string.h>

static const char *text_of(struct bytes b)
{
    return (const char *)b.data;
}

static rd_kafka_headers_t *headers_of(const struct record *r)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(r->header_count);
    for (size_t i = 0; i < r->header_count; i++) {
        struct bytes name = r->headers[i].name, value = r->headers[i].value;
        /* An empty name has to keep its pointer: a length of -1 would mean strlen. */
        rd_kafka_header_add(headers, text_of(name), (ssize_t)name.size, value.data, (ssize_t)value.size);
    }
    return headers;
}

static enum kafka_produced refused(rd_kafka_resp_err_t code, const char *topic, int partition, struct error *error)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
        error_set(error, ERROR_UNAVAILABLE, "the queue to the brokers is full");
        return KAFKA_QUEUE_FULL;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
        error_set(error, ERROR_TOO_LARGE, "the record is larger than message.max.bytes");
        return KAFKA_TOO_LARGE;
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
        error_set(error, ERROR_INVALID, "topic '%s' has no partition %d", topic, partition);
        return KAFKA_REFUSED;
    default:
        error_set(error, kafka_error_class(code) == KAFKA_GIVE_UP ? ERROR_INVALID : ERROR_UNAVAILABLE, "topic '%s': %s",
                  topic, rd_kafka_err2str(code));
        return KAFKA_REFUSED;
    }
}

enum kafka_produced kafka_produce(struct rd_kafka_s *rk, const char *topic, int partition, const struct record *r,
                                  int64_t timestamp_ms, void *opaque, struct error *error)
{
    rd_kafka_headers_t *headers = headers_of(r);
    rd_kafka_resp_err_t code = rd_kafka_producev(
        rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition < 0 ? RD_KAFKA_PARTITION_UA : partition),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY((void *)(uintptr_t)r->key.data, r->key.size),
        RD_KAFKA_V_VALUE((void *)(uintptr_t)r->value.data, r->value.size), RD_KAFKA_V_HEADERS(headers),
        RD_KAFKA_V_TIMESTAMP(timestamp_ms), RD_KAFKA_V_OPAQUE(opaque), RD_KAFKA_V_END);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return KAFKA_PRODUCED;
    /* Only success takes the headers over.  Headers that were handed in one by one would be freed twice here by
     * librdkafka before 2.12, when the partition does not exist (issue 4627); a list of ours is not. */
    rd_kafka_headers_destroy(headers);
    return refused(code, topic, partition, error);
}

static bool block_reserve(struct kafka_message *m, size_t size)
{
    if (m->block && m->block_size >= size) return true;
    free(m->block);
    m->block = malloc(size > 0 ? size : 1);
    m->block_size = m->block ? size : 0;
    return m->block != NULL;
}

bool kafka_message_set(struct kafka_message *m, const struct record *r)
{
    assert(r->value.data && !m->headers);
    if (!block_reserve(m, r->value.size + r->key.size)) return false;
    memcpy(m->block, r->value.data, r->value.size);
    if (r->key.size > 0) memcpy(m->block + r->value.size, r->key.data, r->key.size);
    m->value_size = r->value.size;
    m->key_size = r->key.size;
    m->headers = headers_of(r);
    return true;
}

enum kafka_produced kafka_message_produce(struct rd_kafka_s *rk, const char *topic, struct kafka_message *m,
                                          void *opaque, struct error *error)
{
    rd_kafka_resp_err_t code =
        rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_MSGFLAGS(0),
                          RD_KAFKA_V_KEY((void *)(m->block + m->value_size), m->key_size),
                          RD_KAFKA_V_VALUE((void *)m->block, m->value_size), RD_KAFKA_V_HEADERS(m->headers),
                          RD_KAFKA_V_OPAQUE(opaque), RD_KAFKA_V_END);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) rd_kafka_headers_destroy(m->headers);
    m->headers = NULL; /* else they are librdkafka's now */
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? KAFKA_PRODUCED : refused(code, topic, RD_KAFKA_PARTITION_UA, error);
}

void kafka_message_close(struct kafka_message *m)
{
    if (m->headers) rd_kafka_headers_destroy(m->headers);
    free(m->block);
    *m = (struct kafka_message){0};
}

static struct bytes view(const void *data, size_t size)
{
    return (struct bytes){data, size};
}

void kafka_message_record(const struct rd_kafka_message_s *m, struct record_header *headers, struct record *out,
                          bool *truncated)
{
    rd_kafka_headers_t *list = NULL;
    *out = (struct record){.key = view(m->key, m->key_len), .value = view(m->payload, m->len), .headers = headers};
    rd_kafka_resp_err_t code = rd_kafka_message_headers(m, &list);
    *truncated = code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR__NOENT;
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return;

    const char *name;
    const void *value;
    size_t size;
    for (size_t i = 0; rd_kafka_header_get_all(list, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        if (i == RECORD_HEADERS_MAX) {
            *truncated = true;
            return;
        }
        headers[i] = (struct record_header){.name = bytes_of(name), .value = view(value, size)};
        out->header_count = i + 1;
    }
}

/* What is not named is fatal: an error nobody thought of must not be taken for success or for bad luck. */
static const struct {
    int code;
    enum kafka_class class;
} classes[] = {
    {RD_KAFKA_RESP_ERR_NO_ERROR, KAFKA_OK},
    /* Network, elections, quotas, coordinators on the move: the same call again. */
    {RD_KAFKA_RESP_ERR__TIMED_OUT, KAFKA_RETRY},
    {RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE, KAFKA_RETRY},
    {RD_KAFKA_RESP_ERR__TRANSPORT, KAFKA_RETRY},
    {RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, KAFKA_RETRY},
    {RD_KAFKA_RESP_ERR__RESOLVE, KAFKA_RETRY},
    {RD_KAFKA_RESP_ERR__WAIT_COORD, KAFKA_RETRY},
    {RD_KAFKA_RESP_ERR__WAIT_CACHE, KAFKA_RETRY},
    {RD_KAFKA_RESP_ERR__IN_PROGRESS, KAFKA_RETRY},
    {RD_KAFKA_RESP_ERR__PREV_IN_PROGRESS, KAFKA_RETRY},
    {RD_KAFKA_RESP_ERR__QUEUE_FULL, KAFKA_RETRY},
    {RD_KAFKA_RESP_ERR__RETRY, KAFKA_RETRY},
    {RD_KAFKA_RESP_ERR__INTR, KAFKA_RETRY},
    {RD_KAFKA_RESP_ERR__OUTDATED, KAFKA_RETRY},
    {RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, KAFKA_RETRY},
    {RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, KAFKA_RETRY},
    {RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, KAFKA_RETRY},
    {RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE, KAFKA_RETRY},
    {RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE, KAFKA_RETRY},
    {RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION, KAFKA_RETRY},
    {RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, KAFKA_RETRY},
    {RD_KAFKA_RESP_ERR_NOT_COORDINATOR, KAFKA_RETRY},
    {RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS, KAFKA_RETRY},
    {RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, KAFKA_RETRY},
    {RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND, KAFKA_RETRY},
    {RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR, KAFKA_RETRY},
    {RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, KAFKA_RETRY}, /* a broker that has not heard of it yet says so too */
    {RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH, KAFKA_RETRY},
    {RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH, KAFKA_RETRY},
    {RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE, KAFKA_RETRY},
    {RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT, KAFKA_RETRY},
    {RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED, KAFKA_RETRY},
    {RD_KAFKA_RESP_ERR_INVALID_MSG, KAFKA_RETRY}, /* a checksum broken on the way */
    /* This transaction is over, the producer is not. */
    {RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, KAFKA_ABORT},
    {RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, KAFKA_ABORT},
    {RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID, KAFKA_ABORT},
    {RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS, KAFKA_ABORT},
    {RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, KAFKA_ABORT},
    {RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, KAFKA_ABORT},
    {RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID, KAFKA_ABORT},
    {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, KAFKA_ABORT},
    {RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, KAFKA_ABORT},
    {RD_KAFKA_RESP_ERR__STATE, KAFKA_ABORT},
    {RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, KAFKA_ABORT},
    {RD_KAFKA_RESP_ERR__PURGE_QUEUE, KAFKA_ABORT},
    {RD_KAFKA_RESP_ERR__PURGE_INFLIGHT, KAFKA_ABORT},
    /* The same record or request would be refused again. */
    {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, KAFKA_GIVE_UP},
    {RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE, KAFKA_GIVE_UP},
    {RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE, KAFKA_GIVE_UP},
    {RD_KAFKA_RESP_ERR_INVALID_RECORD, KAFKA_GIVE_UP},
    {RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP, KAFKA_GIVE_UP},
    {RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT, KAFKA_GIVE_UP},
    {RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE, KAFKA_GIVE_UP},
    {RD_KAFKA_RESP_ERR_POLICY_VIOLATION, KAFKA_GIVE_UP},
    {RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, KAFKA_GIVE_UP},
    {RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE, KAFKA_GIVE_UP},
    {RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET, KAFKA_GIVE_UP},
    {RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, KAFKA_GIVE_UP},
    {RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, KAFKA_GIVE_UP},
    {RD_KAFKA_RESP_ERR__INVALID_ARG, KAFKA_GIVE_UP},
    {RD_KAFKA_RESP_ERR__BAD_COMPRESSION, KAFKA_GIVE_UP},
    {RD_KAFKA_RESP_ERR__BAD_MSG, KAFKA_GIVE_UP},
};

enum kafka_class kafka_error_class(int code)
{
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (classes[i].code == code) return classes[i].class;
    return KAFKA_FATAL;
}

enum kafka_class kafka_error_object_class(const struct rd_kafka_error_s *e)
{
    if (e == NULL) return KAFKA_OK;
    if (rd_kafka_error_is_fatal(e)) return KAFKA_FATAL;
    if (rd_kafka_error_txn_requires_abort(e)) return KAFKA_ABORT;
    if (rd_kafka_error_is_retriable(e)) return KAFKA_RETRY;
    return KAFKA_FATAL;
}

bool kafka_error_is_credentials(int code)
{
    return code == RD_KAFKA_RESP_ERR__AUTHENTICATION || code == RD_KAFKA_RESP_ERR__SSL ||
           code == RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED ||
           code == RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM || code == RD_KAFKA_RESP_ERR_ILLEGAL_SASL_STATE;
}

static bool count_in(const struct rd_kafka_metadata *metadata, const char *topic, int *count, struct error *error)
{
    for (int i = 0; i < metadata->topic_cnt; i++) {
        const struct rd_kafka_metadata_topic *t = &metadata->topics[i];
        if (strcmp(t->topic, topic) != 0) continue;
        if (t->err != RD_KAFKA_RESP_ERR_NO_ERROR)
            return error_set(error, ERROR_UNAVAILABLE, "topic '%s': %s", topic, rd_kafka_err2str(t->err));
        *count = t->partition_cnt;
        return true;
    }
    return error_set(error, ERROR_NOT_FOUND,
                     "topic '%s' does not exist (or may not be described): `drawbridge topics create` makes it", topic);
}

bool kafka_partition_count(struct rd_kafka_s *rk, const char *topic, int timeout_ms, int *count, struct error *error)
{
    /* All topics, because brokers with auto.create.topics.enable create a topic that is asked for by name. */
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t code = rd_kafka_metadata(rk, 1, NULL, &metadata, timeout_ms);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return error_set(error, kafka_error_is_credentials(code) ? ERROR_DENIED : ERROR_UNAVAILABLE,
                         "no broker answers: %s", rd_kafka_err2str(code));
    bool found = count_in(metadata, topic, count, error);
    rd_kafka_metadata_destroy(metadata);
    return found;
}
