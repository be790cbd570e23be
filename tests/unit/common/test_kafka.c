/* test_kafka.c: clients whose promises can't be configured away; produce, partition count and reader on the mock
 * cluster. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "kafka.h"
#include "log.h"
#include "text.h"
#include <cmocka.h>
#include <fcntl.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SERVERS                                                                                                        \
    {                                                                                                                  \
        .name = (char *)(uintptr_t) "bootstrap_servers", .value = (char *)(uintptr_t) "127.0.0.1:1"                    \
    }

/* Settings that view their pairs. */
static struct kafka_settings settings_of(struct config_pair *pairs, size_t count)
{
    return (struct kafka_settings){.properties = {.items = pairs, .count = count}};
}

static struct config_pair pair(const char *name, const char *value)
{
    return (struct config_pair){.name = (char *)(uintptr_t)name, .value = (char *)(uintptr_t)value};
}

/* A mock cluster of three partitions and one that is told to the clients under test. */
struct cluster {
    rd_kafka_t *rk;
    rd_kafka_mock_cluster_t *mock;
    struct config_pair pairs[4];
    struct kafka_settings settings;
};

static int start_cluster(void **state)
{
    struct cluster *c = calloc(1, sizeof *c);
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, NULL);
    c->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    c->mock = rd_kafka_mock_cluster_new(c->rk, 1);
    rd_kafka_mock_topic_create(c->mock, "three", 3, 1);
    rd_kafka_mock_topic_create(c->mock, "empty", 2, 1);
    c->pairs[0] = pair("bootstrap_servers", rd_kafka_mock_cluster_bootstraps(c->mock));
    c->pairs[1] = pair("fetch_wait_max_ms", "20");
    c->settings = settings_of(c->pairs, 2);
    *state = c;
    return 0;
}

static int stop_cluster(void **state)
{
    struct cluster *c = *state;
    rd_kafka_mock_cluster_destroy(c->mock);
    rd_kafka_destroy(c->rk);
    free(c);
    return 0;
}

struct reports {
    int good, bad, last_partition;
    void *last_opaque;
};

static void on_report(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    struct reports *reports = opaque;
    (void)rk;
    *(m->err == 0 ? &reports->good : &reports->bad) += 1;
    reports->last_partition = m->partition;
    reports->last_opaque = m->_private;
}

static rd_kafka_t *new_producer(const struct kafka_settings *settings, struct reports *reports)
{
    struct error error = {0};
    rd_kafka_conf_t *conf = kafka_conf_new(settings, KAFKA_WRITER, &error);
    assert_non_null(conf);
    rd_kafka_conf_set_opaque(conf, reports);
    rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    rd_kafka_t *rk = kafka_client_new(KAFKA_WRITER, conf, &error);
    assert_non_null(rk);
    return rk;
}

static const struct record_header headers[] = {
    {{(const uint8_t *)"content-type", 12}, {(const uint8_t *)"text/plain", 10}},
    {{(const uint8_t *)"empty", 5}, {(const uint8_t *)"", 0}},
    {{(const uint8_t *)"null", 4}, {NULL, 0}},
    {{(const uint8_t *)"content-type", 12}, {(const uint8_t *)"\0\xff", 2}},
};

static struct record record_of(const char *key, const char *value)
{
    return (struct record){.key = bytes_of(key), .value = bytes_of(value), .headers = headers, .header_count = 4};
}

static void produce_owns_nothing(void **state)
{
    struct cluster *c = *state;
    struct reports reports = {0};
    struct error error = {0};
    rd_kafka_t *rk = new_producer(&c->settings, &reports);
    int count = 0, mark = 0;
    assert_true(kafka_partition_count(rk, "three", 5000, &count, &error));
    assert_int_equal(count, 3);

    /* The record's memory may go as soon as produce returns; a leak or a second free is the sanitizer's to find. */
    char *value = strdup("a body");
    struct record r = record_of("agent", value);
    assert_int_equal(kafka_produce(rk, "three", 1, &r, 0, &mark, &error), KAFKA_PRODUCED);
    memset(value, '!', strlen(value));
    free(value);
    assert_int_equal(rd_kafka_flush(rk, 5000), 0);
    assert_int_equal(reports.good, 1);
    assert_int_equal(reports.last_partition, 1);
    assert_ptr_equal(reports.last_opaque, &mark);

    r = record_of("agent", "a body");
    for (int partition = 3; partition < 100; partition += 96) {
        assert_int_equal(kafka_produce(rk, "three", partition, &r, 0, NULL, &error), KAFKA_REFUSED);
        assert_int_equal(error.code, ERROR_INVALID);
    }
    assert_string_equal(error.text, "topic 'three' has no partition 99");

    size_t size = 9 << 20;
    char *large = malloc(size);
    memset(large, 'x', size);
    r.value = (struct bytes){(const uint8_t *)large, size};
    assert_int_equal(kafka_produce(rk, "three", 0, &r, 0, NULL, &error), KAFKA_TOO_LARGE);
    assert_int_equal(error.code, ERROR_TOO_LARGE);
    free(large);
    assert_int_equal(reports.good + reports.bad, 1);
    rd_kafka_destroy(rk);
}

static void a_full_queue_is_told(void **state)
{
    (void)state;
    struct reports reports = {0};
    struct config_pair pairs[] = {SERVERS, pair("queue_buffering_max_messages", "5")};
    struct kafka_settings settings = settings_of(pairs, 2);
    struct error error = {0};
    rd_kafka_t *rk = new_producer(&settings, &reports);
    struct record r = record_of("agent", "x");
    for (int i = 0; i < 5; i++)
        assert_int_equal(kafka_produce(rk, "three", -1, &r, 0, NULL, &error), KAFKA_PRODUCED);
    assert_int_equal(kafka_produce(rk, "three", -1, &r, 0, NULL, &error), KAFKA_QUEUE_FULL);
    assert_int_equal(error.code, ERROR_UNAVAILABLE);
    rd_kafka_purge(rk, RD_KAFKA_PURGE_F_QUEUE);
    rd_kafka_flush(rk, 5000);
    assert_int_equal(reports.bad, 5);
    int count = -1;
    assert_false(kafka_partition_count(rk, "three", 200, &count, &error));
    assert_int_equal(error.code, ERROR_UNAVAILABLE);
    rd_kafka_destroy(rk);
}

static void a_topic_that_is_not_there(void **state)
{
    struct cluster *c = *state;
    struct error error = {0};
    struct reports reports = {0};
    rd_kafka_t *rk = new_producer(&c->settings, &reports);
    int count = -1;
    assert_false(kafka_partition_count(rk, "nothing", 5000, &count, &error));
    assert_int_equal(error.code, ERROR_NOT_FOUND);
    assert_non_null(strstr(error.text, "'nothing' does not exist"));
    /* Asking must not have made it, though the mock makes topics that are asked for by name. */
    assert_false(kafka_partition_count(rk, "nothing", 5000, &count, &error));
    rd_kafka_destroy(rk);
    assert_null(kafka_reader_new(&c->settings, "nothing", -1, KAFKA_FROM_BEGINNING, 0, &error));
    assert_int_equal(error.code, ERROR_NOT_FOUND);
    assert_non_null(strstr(error.text, "read topic 'nothing': "));
}

/* Values of the Java client: org.apache.kafka.common.utils.Utils.murmur2 & 0x7fffffff, modulo 3. */
static void keys_land_where_java_clients_put_them(void **state)
{
    struct cluster *c = *state;
    static const struct {
        const char *key;
        int partition;
    } rows[] = {{"21", (-973932308 & 0x7fffffff) % 3},
                {"foobar", (-790332482 & 0x7fffffff) % 3},
                {"a-little-bit-long-string", (-985981536 & 0x7fffffff) % 3},
                {"a-little-bit-longer-string", (-1486304829 & 0x7fffffff) % 3},
                {"abc", (479470107 & 0x7fffffff) % 3}};
    struct reports reports = {0};
    struct error error = {0};
    rd_kafka_t *rk = new_producer(&c->settings, &reports);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct record r = record_of(rows[i].key, "x");
        assert_int_equal(kafka_produce(rk, "three", -1, &r, 0, NULL, &error), KAFKA_PRODUCED);
        assert_int_equal(rd_kafka_flush(rk, 5000), 0);
        assert_int_equal(reports.last_partition, rows[i].partition);
    }
    rd_kafka_destroy(rk);
}

static void the_reader_reads_to_the_end_and_follows(void **state)
{
    struct cluster *c = *state;
    struct reports reports = {0};
    struct error error = {0};
    struct reader_position at;
    struct record r, got;
    rd_kafka_t *rk = new_producer(&c->settings, &reports);
    struct kafka_reader *reader = kafka_reader_new(&c->settings, "empty", -1, KAFKA_FROM_BEGINNING, 0, &error);
    assert_non_null(reader);
    assert_int_equal(kafka_reader_next(reader, 5000, &got, &at, &error), READER_END);
    assert_int_equal(kafka_reader_next(reader, 50, &got, &at, &error), READER_IDLE);

    r = record_of("agent", "a body");
    assert_int_equal(kafka_produce(rk, "empty", 1, &r, 1700000000123, NULL, &error), KAFKA_PRODUCED);
    assert_int_equal(rd_kafka_flush(rk, 5000), 0);
    assert_int_equal(kafka_reader_next(reader, 5000, &got, &at, &error), READER_RECORD);
    assert_int_equal(at.partition, 1);
    assert_int_equal(at.offset, 0);
    assert_int_equal(at.timestamp_ms, 1700000000123);
    assert_true(bytes_are(got.key, "agent"));
    assert_true(bytes_are(got.value, "a body"));
    assert_int_equal(got.header_count, 4);
    assert_true(bytes_are(got.headers[0].name, "content-type"));
    assert_true(bytes_are(got.headers[0].value, "text/plain"));
    assert_int_equal(got.headers[1].value.size, 0);
    assert_non_null(got.headers[1].value.data);
    assert_null(got.headers[2].value.data);
    assert_int_equal(got.headers[3].value.size, 2);
    assert_int_equal(kafka_reader_next(reader, 5000, &got, &at, &error), READER_END);

    /* A tombstone and an empty value are two things. */
    r.value = (struct bytes){NULL, 0};
    assert_int_equal(kafka_produce(rk, "empty", 0, &r, 0, NULL, &error), KAFKA_PRODUCED);
    assert_int_equal(rd_kafka_flush(rk, 5000), 0);
    assert_int_equal(kafka_reader_next(reader, 5000, &got, &at, &error), READER_RECORD);
    assert_null(got.value.data);
    r.value = bytes_of("");
    r.header_count = 0;
    assert_int_equal(kafka_produce(rk, "empty", 0, &r, 0, NULL, &error), KAFKA_PRODUCED);
    assert_int_equal(rd_kafka_flush(rk, 5000), 0);
    enum reader_event event;
    while ((event = kafka_reader_next(reader, 5000, &got, &at, &error)) == READER_END)
        ;
    assert_int_equal(event, READER_RECORD);
    assert_non_null(got.value.data);
    assert_int_equal(got.value.size, 0);
    assert_int_equal(got.header_count, 0);
    kafka_reader_free(reader);

    reader = kafka_reader_new(&c->settings, "empty", 0, KAFKA_FROM_OFFSET, 1, &error);
    assert_int_equal(kafka_reader_next(reader, 5000, &got, &at, &error), READER_RECORD);
    assert_int_equal(at.offset, 1);
    kafka_reader_free(reader);
    reader = kafka_reader_new(&c->settings, "empty", -1, KAFKA_FROM_END, 0, &error);
    assert_int_equal(kafka_reader_next(reader, 5000, &got, &at, &error), READER_END);
    kafka_reader_free(reader);
    assert_null(kafka_reader_new(&c->settings, "empty", 2, KAFKA_FROM_END, 0, &error));
    assert_non_null(strstr(error.text, "has no partition 2"));
    reader = kafka_reader_new(&c->settings, "empty", 0, KAFKA_FROM_OFFSET, 1000, &error);
    assert_int_equal(kafka_reader_next(reader, 5000, &got, &at, &error), READER_FAILED);
    assert_int_equal(error.code, ERROR_NOT_FOUND);
    kafka_reader_free(reader);
    kafka_reader_free(NULL);
    rd_kafka_destroy(rk);
}

static void too_many_headers_are_cut(void **state)
{
    struct cluster *c = *state;
    struct reports reports = {0};
    struct error error = {0};
    rd_kafka_t *rk = new_producer(&c->settings, &reports);
    struct record_header many[RECORD_HEADERS_MAX + 1];
    for (size_t i = 0; i <= RECORD_HEADERS_MAX; i++)
        many[i] = headers[0];
    struct record r = {
        .key = bytes_of("k"), .value = bytes_of("v"), .headers = many, .header_count = RECORD_HEADERS_MAX};
    rd_kafka_conf_t *conf = kafka_conf_new(&c->settings, KAFKA_READER, &error);
    rd_kafka_t *consumer = kafka_client_new(KAFKA_READER, conf, &error);
    rd_kafka_mock_topic_create(c->mock, "headers", 1, 1);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(consumer, "headers", NULL);
    assert_int_equal(rd_kafka_consume_start(topic, 0, 0), 0);
    for (size_t count = RECORD_HEADERS_MAX; count <= RECORD_HEADERS_MAX + 1; count++) {
        r.header_count = count;
        assert_int_equal(kafka_produce(rk, "headers", 0, &r, 0, NULL, &error), KAFKA_PRODUCED);
        assert_int_equal(rd_kafka_flush(rk, 5000), 0);
        rd_kafka_message_t *m = rd_kafka_consume(topic, 0, 5000);
        while (m != NULL && m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            rd_kafka_message_destroy(m);
            m = rd_kafka_consume(topic, 0, 5000);
        }
        assert_non_null(m);
        struct record_header room[RECORD_HEADERS_MAX];
        struct record got;
        bool truncated;
        kafka_message_record(m, room, &got, &truncated);
        assert_int_equal(got.header_count, RECORD_HEADERS_MAX);
        assert_int_equal(truncated, count > RECORD_HEADERS_MAX);
        rd_kafka_message_destroy(m);
    }
    rd_kafka_consume_stop(topic, 0);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(consumer);
    rd_kafka_destroy(rk);
}

static void errors_have_a_class(void **state)
{
    (void)state;
    static const struct {
        int code;
        enum kafka_class class;
    } rows[] = {
        {RD_KAFKA_RESP_ERR_NO_ERROR, KAFKA_OK},
        {RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, KAFKA_ABORT},
        {RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, KAFKA_ABORT},
        {RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID, KAFKA_ABORT},
        {RD_KAFKA_RESP_ERR__FENCED, KAFKA_FATAL},
        {RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, KAFKA_FATAL},
        {RD_KAFKA_RESP_ERR_INVALID_TXN_STATE, KAFKA_FATAL},
        {RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING, KAFKA_FATAL},
        {RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, KAFKA_FATAL},
        {RD_KAFKA_RESP_ERR__FATAL, KAFKA_FATAL},
        {RD_KAFKA_RESP_ERR__STATE, KAFKA_ABORT},
        {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, KAFKA_ABORT},
        {RD_KAFKA_RESP_ERR__TIMED_OUT, KAFKA_RETRY},
        {RD_KAFKA_RESP_ERR_NOT_COORDINATOR, KAFKA_RETRY},
        {RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS, KAFKA_RETRY},
        {RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, KAFKA_ABORT},
        {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, KAFKA_GIVE_UP},
        {-12345, KAFKA_FATAL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(kafka_error_class(rows[i].code), rows[i].class);
    assert_true(kafka_error_is_credentials(RD_KAFKA_RESP_ERR__AUTHENTICATION));
    assert_true(kafka_error_is_credentials(RD_KAFKA_RESP_ERR__SSL));
    assert_false(kafka_error_is_credentials(RD_KAFKA_RESP_ERR__TRANSPORT));
    assert_int_equal(kafka_error_object_class(NULL), KAFKA_OK);
}

static const char *property(enum kafka_topic topic, const char *name)
{
    for (const struct kafka_topic_property *p = kafka_topics[topic].properties; p->name != NULL; p++)
        if (strcmp(p->name, name) == 0) return p->value;
    return "";
}

static int64_t largest_record(enum kafka_topic topic)
{
    int64_t size = 0;
    assert_true(text_parse_int64(bytes_of(property(topic, "max.message.bytes")), 1, INT64_MAX, &size));
    return size;
}

static void the_topics_keep_what_was_accepted(void **state)
{
    (void)state;
    for (int i = 0; i < TOPIC_COUNT; i++) {
        assert_int_equal(strncmp(kafka_topics[i].default_name, "drawbridge.", 11), 0);
        assert_string_equal(kafka_topics[i].default_name + 11, kafka_topics[i].role);
        assert_string_equal(property((enum kafka_topic)i, "unclean.leader.election.enable"), "false");
        assert_int_equal(kafka_topics[i].single_partition, i == TOPIC_TRIGGERS);
        assert_null(kafka_topics[i].properties[7].name);
    }
    assert_string_equal(property(TOPIC_JOURNAL, "cleanup.policy"), "compact");
    assert_string_equal(property(TOPIC_JOURNAL, "segment.bytes"), "67108864");
    /* J11: whatever fits into an event fits into a journal entry and into a dead letter, with room to spare. */
    int64_t event = largest_record(TOPIC_EVENTS);
    assert_true(event >= (960 + 64 + 64) * 1024);
    assert_true(largest_record(TOPIC_JOURNAL) >= event + (64 << 10));
    assert_true(largest_record(TOPIC_DEAD_LETTERS) >= event + (64 << 10));
}

int main(void)
{
    log_init(LOG_ERROR, LOG_LOGFMT, open("/dev/null", O_WRONLY | O_CLOEXEC)); /* unreachable brokers are part of it */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(produce_owns_nothing, start_cluster, stop_cluster),
        cmocka_unit_test(a_full_queue_is_told),
        cmocka_unit_test_setup_teardown(a_topic_that_is_not_there, start_cluster, stop_cluster),
        cmocka_unit_test_setup_teardown(keys_land_where_java_clients_put_them, start_cluster, stop_cluster),
        cmocka_unit_test_setup_teardown(the_reader_reads_to_the_end_and_follows, start_cluster, stop_cluster),
        cmocka_unit_test_setup_teardown(too_many_headers_are_cut, start_cluster, stop_cluster),
        cmocka_unit_test(errors_have_a_class),
        cmocka_unit_test(the_topics_keep_what_was_accepted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
