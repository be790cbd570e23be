/* bare_transactions.c: the least that any runner on Kafka's transactions has to do before it may start a process:
 * consume, write each event to another topic together with its offset, commit.  Prints the delay from the event's
 * ce_recordedtime to the committed transaction.
 * bare_transactions BOOTSTRAP EVENTS OUTPUT GROUP WARM_UP COUNT: the first WARM_UP events are not counted.
 * SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "text.h"
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_MAX = 2000, CALL_MS = 30000 };

struct bare {
    rd_kafka_t *consumer, *producer;
    const char *output;
    int64_t *delays_us;
    size_t seen, warm_up, count, commits;
};

/* The settings of the runner's own clients, as far as they bear on time. */
static const char *const common_conf[][2] = {
    {"socket.nagle.disable", "true"}, {"reconnect.backoff.max.ms", "1000"}, {NULL, NULL}};
static const char *const consumer_conf[][2] = {
    {"auto.offset.reset", "earliest"},          {"enable.auto.commit", "false"},
    {"isolation.level", "read_committed"},      {"heartbeat.interval.ms", "1000"},
    {"partition.assignment.strategy", "range"}, {NULL, NULL}};
static const char *const producer_conf[][2] = {{"linger.ms", "0"},
                                               {"retry.backoff.ms", "2"},
                                               {"compression.type", "lz4"},
                                               {"transaction.timeout.ms", "15000"},
                                               {NULL, NULL}};

static _Noreturn void die(const char *what, const char *why)
{
    fprintf(stderr, "bare_transactions: %s: %s\n", what, why);
    exit(1);
}

static void check(const char *what, rd_kafka_error_t *error)
{
    if (error) die(what, rd_kafka_error_string(error));
}

static void check_code(const char *what, rd_kafka_resp_err_t code)
{
    if (code) die(what, rd_kafka_err2str(code));
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char why[256];
    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK) die(name, why);
}

/* Without one, librdkafka 2.0.2 waits for the reports inside its commit in steps of 10 ms. */
static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    (void)rk, (void)opaque;
    check_code("delivery", message->err);
}

static rd_kafka_t *client(rd_kafka_type_t type, const char *bootstrap, const char *group)
{
    char why[256];
    const char *const(*own)[2] = type == RD_KAFKA_CONSUMER ? consumer_conf : producer_conf;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (int i = 0; common_conf[i][0]; i++)
        set(conf, common_conf[i][0], common_conf[i][1]);
    for (int i = 0; own[i][0]; i++)
        set(conf, own[i][0], own[i][1]);
    set(conf, "bootstrap.servers", bootstrap);
    set(conf, type == RD_KAFKA_CONSUMER ? "group.id" : "transactional.id", group);
    if (type == RD_KAFKA_PRODUCER) rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_t *rk = rd_kafka_new(type, conf, why, sizeof why);
    if (!rk) die("client", why);
    return rk;
}

static void note_delay(struct bare *b, const rd_kafka_message_t *message, int64_t now_us)
{
    rd_kafka_headers_t *headers;
    const void *value;
    size_t size;
    int64_t recorded_us;
    check_code("headers", rd_kafka_message_headers(message, &headers));
    check_code("ce_recordedtime", rd_kafka_header_get_last(headers, "ce_recordedtime", &value, &size));
    if (!text_parse_time((struct bytes){value, size}, &recorded_us)) die("ce_recordedtime", "is no time");
    const size_t number = b->seen++;
    if (number >= b->warm_up && number - b->warm_up < b->count)
        b->delays_us[number - b->warm_up] = now_us - recorded_us;
}

static void commit(struct bare *b, rd_kafka_message_t **batch, size_t size)
{
    rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(8);
    rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata(b->consumer);
    check("begin", rd_kafka_begin_transaction(b->producer));
    for (size_t i = 0; i < size; i++) {
        const rd_kafka_message_t *m = batch[i];
        const char *topic = rd_kafka_topic_name(m->rkt);
        rd_kafka_topic_partition_t *offset = rd_kafka_topic_partition_list_find(offsets, topic, m->partition);
        if (!offset) offset = rd_kafka_topic_partition_list_add(offsets, topic, m->partition);
        offset->offset = m->offset + 1;
        check_code("produce",
                   rd_kafka_producev(b->producer, RD_KAFKA_V_TOPIC(b->output), RD_KAFKA_V_PARTITION(m->partition),
                                     RD_KAFKA_V_KEY(m->key, m->key_len), RD_KAFKA_V_VALUE(m->payload, m->len),
                                     RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END));
    }
    check("send offsets", rd_kafka_send_offsets_to_transaction(b->producer, offsets, group, CALL_MS));
    check("commit", rd_kafka_commit_transaction(b->producer, CALL_MS));
    const int64_t now_us = clock_wall_us();
    b->commits++;
    for (size_t i = 0; i < size; i++) {
        note_delay(b, batch[i], now_us);
        rd_kafka_message_destroy(batch[i]);
    }
    rd_kafka_topic_partition_list_destroy(offsets);
    rd_kafka_consumer_group_metadata_destroy(group);
}

/* Waits for the first record, then takes all that is there. */
static size_t gather(struct bare *b, rd_kafka_message_t **batch)
{
    size_t size = 0;
    while (size < BATCH_MAX) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(b->consumer, size ? 0 : 100);
        if (!message) break;
        check_code("consume", message->err);
        batch[size++] = message;
    }
    return size;
}

static bool assigned(struct bare *b)
{
    rd_kafka_topic_partition_list_t *partitions;
    check_code("assignment", rd_kafka_assignment(b->consumer, &partitions));
    const int count = partitions->cnt;
    rd_kafka_topic_partition_list_destroy(partitions);
    return count > 0;
}

static int ascending(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    int64_t count, warm_up;
    if (argc != 7 || !text_parse_int64(bytes_of(argv[5]), 0, 1000000, &warm_up) ||
        !text_parse_int64(bytes_of(argv[6]), 1, 1000000, &count)) {
        fprintf(stderr, "usage: bare_transactions BOOTSTRAP EVENTS OUTPUT GROUP WARM_UP COUNT\n");
        return 64;
    }
    struct bare b = {.consumer = client(RD_KAFKA_CONSUMER, argv[1], argv[4]),
                     .producer = client(RD_KAFKA_PRODUCER, argv[1], argv[4]),
                     .output = argv[3],
                     .warm_up = (size_t)warm_up,
                     .count = (size_t)count,
                     .delays_us = calloc((size_t)count, sizeof(int64_t))};
    rd_kafka_poll_set_consumer(b.consumer);
    check("init_transactions", rd_kafka_init_transactions(b.producer, CALL_MS));
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, argv[2], RD_KAFKA_PARTITION_UA);
    check_code("subscribe", rd_kafka_subscribe(b.consumer, topics));
    rd_kafka_topic_partition_list_destroy(topics);

    rd_kafka_message_t *batch[BATCH_MAX];
    for (bool ready = false; b.seen < b.warm_up + b.count;) {
        const size_t size = gather(&b, batch);
        if (size) commit(&b, batch, size);
        if (!ready && assigned(&b)) {
            ready = true;
            printf("ready\n");
            fflush(stdout);
        }
    }
    rd_kafka_consumer_close(b.consumer);
    rd_kafka_destroy(b.consumer);
    rd_kafka_destroy(b.producer);
    qsort(b.delays_us, b.count, sizeof b.delays_us[0], ascending);
    printf("{\"count\":%zu,\"transactions\":%zu,\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"max_ms\":%.2f}\n", b.count, b.commits,
           (double)b.delays_us[b.count / 2] / 1e3, (double)b.delays_us[b.count * 99 / 100] / 1e3,
           (double)b.delays_us[b.count - 1] / 1e3);
    free(b.delays_us);
    return 0;
}
