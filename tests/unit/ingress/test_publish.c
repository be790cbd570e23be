/* test_publish.c: each subject is answered exactly once, whatever the brokers do (librdkafka's mock cluster).
 * SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "ingress.h"
#include "log.h"
#include <fcntl.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants its headers first */
#include <cmocka.h>

enum { PRODUCE = 0, WAIT_MS = 20000, SUBJECTS = 64, CLIENT_LIMIT = 1000000 };

struct subject {
    int answers;
    struct publish_report report;
};

struct bench {
    rd_kafka_t *rk; /* carries the cluster */
    rd_kafka_mock_cluster_t *cluster;
    struct config_pair properties[2];
    struct kafka_settings kafka;
    struct metric_def defs[METRICS];
    struct metrics *metrics;
    struct publisher *publisher;
    struct subject subjects[SUBJECTS];
};

static void answered(void *ctx, void *subject, const struct publish_report *report)
{
    (void)ctx;
    struct subject *s = subject;
    s->answers++;
    s->report = *report;
}

static void turn(struct bench *b)
{
    struct pollfd fd = {.fd = publisher_fd(b->publisher), .events = POLLIN};
    publisher_flush(b->publisher);
    int wait = publisher_timeout_ms(b->publisher, clock_monotonic_ms());
    poll(&fd, 1, wait < 0 || wait > 50 ? 50 : wait);
    publisher_run(b->publisher, clock_monotonic_ms());
}

static void wait_ready(struct bench *b, bool ready)
{
    const char *why = "ready";
    int64_t until_ms = clock_monotonic_ms() + WAIT_MS;
    while (publisher_ready(b->publisher, &why) != ready) {
        if (clock_monotonic_ms() > until_ms) fail_msg("still %s: %s", ready ? "not ready" : "ready", why);
        turn(b);
    }
}

static enum publish_start send_bytes(struct bench *b, size_t subject, size_t size, int64_t deadline_ms)
{
    uint8_t *value = malloc(size + 1);
    assert_non_null(value);
    memset(value, 'a' + (int)(subject % 26), size + 1);
    const struct record_header headers[] = {{bytes_of("ce_id"), bytes_of("1")}};
    const struct record record = {
        .key = bytes_of("agent"), .value = {value, size}, .headers = headers, .header_count = 1};
    int64_t now_ms = clock_monotonic_ms();
    enum publish_start start = publisher_send(b->publisher, &record, now_ms + deadline_ms, &b->subjects[subject]);
    free(value);
    return start;
}

static void wait_answer(struct bench *b, size_t subject, enum publish_end end)
{
    int64_t until_ms = clock_monotonic_ms() + WAIT_MS;
    const struct subject *s = &b->subjects[subject];
    while (s->answers == 0 && clock_monotonic_ms() < until_ms)
        turn(b);
    assert_int_equal(s->answers, 1);
    if (s->report.end != end)
        fail_msg("ended as %d (%s) instead of %d", (int)s->report.end, s->report.reason ? s->report.reason : "",
                 (int)end);
}

static void wait_nothing_outstanding(struct bench *b)
{
    int64_t until_ms = clock_monotonic_ms() + WAIT_MS;
    while (publisher_outstanding(b->publisher) > 0 && clock_monotonic_ms() < until_ms)
        turn(b);
    assert_int_equal(publisher_outstanding(b->publisher), 0);
    assert_int_equal(publisher_queue_bytes(b->publisher), 0);
}

static void fail_produce(struct bench *b, rd_kafka_resp_err_t code)
{
    rd_kafka_mock_push_request_errors(b->cluster, PRODUCE, 1, code);
}

static int setup(void **state)
{
    char text[256];
    struct error error;
    struct bench *b = calloc(1, sizeof *b);
    *state = b;
    if (!b) return -1;
    log_init(LOG_ERROR, LOG_LOGFMT, open("/dev/null", O_WRONLY | O_CLOEXEC));
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", "127.0.0.1:1", text, sizeof text);
    rd_kafka_conf_set(conf, "log_level", "0", text, sizeof text);
    b->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    b->cluster = rd_kafka_mock_cluster_new(b->rk, 1);
    rd_kafka_mock_topic_create(b->cluster, "events", 2, 1);
    b->properties[0].name = strdup("bootstrap_servers");
    b->properties[0].value = strdup(rd_kafka_mock_cluster_bootstraps(b->cluster));
    b->properties[1].name = strdup("message_max_bytes");
    b->properties[1].value = strdup("1000000");
    b->kafka.properties = (struct config_map){.items = b->properties, .count = 2};
    ingress_metric_defs(b->defs);
    b->metrics = metrics_new(b->defs, METRICS);
    const struct publisher_settings settings = {
        .kafka = &b->kafka, .topic = "events", .queue_max = 2 << 20, .metrics = b->metrics, .answered = answered};
    b->publisher = publisher_new(&settings, &error);
    if (!b->publisher) fail_msg("%s", error.text);
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    publisher_free(b->publisher);
    rd_kafka_mock_cluster_destroy(b->cluster);
    rd_kafka_destroy(b->rk);
    metrics_free(b->metrics);
    for (size_t i = 0; i < 2; i++) {
        free(b->properties[i].name);
        free(b->properties[i].value);
    }
    free(b);
    return 0;
}

static void nothing_is_taken_before_the_brokers_are_known(void **state)
{
    struct bench *b = *state;
    const char *why = NULL;
    assert_false(publisher_ready(b->publisher, &why));
    assert_non_null(why);
    assert_int_equal(send_bytes(b, 0, 10, 1000), PUBLISH_AWAY);
    wait_ready(b, true);
    assert_int_equal(b->subjects[0].answers, 0);
}

static void an_acknowledged_record_has_its_place(void **state)
{
    struct bench *b = *state;
    wait_ready(b, true);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(send_bytes(b, i, 10, 5000), PUBLISH_STARTED);
        assert_int_equal(b->subjects[i].answers, 0); /* never from inside */
        wait_answer(b, i, PUBLISH_ACKNOWLEDGED);
        assert_int_equal(b->subjects[i].report.partition, b->subjects[0].report.partition);
        assert_int_equal(b->subjects[i].report.offset, b->subjects[0].report.offset + (int64_t)i);
    }
    wait_nothing_outstanding(b);
    assert_int_equal(metrics_get(b->metrics, METRIC_PRODUCE_TIME), 3);
}

static void a_refused_record_is_told(void **state)
{
    struct bench *b = *state;
    wait_ready(b, true);
    const struct {
        rd_kafka_resp_err_t code;
        enum publish_end end;
    } rows[] = {{RD_KAFKA_RESP_ERR_INVALID_RECORD, PUBLISH_REFUSED},
                {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, PUBLISH_OVERSIZED}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        fail_produce(b, rows[i].code);
        assert_int_equal(send_bytes(b, 2 * i, 10, 5000), PUBLISH_STARTED);
        wait_answer(b, 2 * i, rows[i].end);
        assert_non_null(b->subjects[2 * i].report.reason);
        wait_nothing_outstanding(b);
        assert_int_equal(send_bytes(b, 2 * i + 1, 10, 5000), PUBLISH_STARTED);
        wait_answer(b, 2 * i + 1, PUBLISH_ACKNOWLEDGED);
    }
    assert_int_equal(metrics_get(b->metrics, METRIC_REBUILDS), 0);
}

/* What librdkafka itself refuses is answered by the flush. */
static void a_record_over_the_clients_limit_is_told(void **state)
{
    struct bench *b = *state;
    wait_ready(b, true);
    assert_int_equal(send_bytes(b, 0, 10, 5000), PUBLISH_STARTED);
    assert_int_equal(send_bytes(b, 1, CLIENT_LIMIT, 5000), PUBLISH_STARTED);
    assert_int_equal(send_bytes(b, 2, 10, 5000), PUBLISH_STARTED);
    assert_int_equal(b->subjects[1].answers, 0);
    assert_int_equal(publisher_timeout_ms(b->publisher, clock_monotonic_ms()), 0); /* nobody sleeps on them */
    publisher_flush(b->publisher);
    assert_in_range(publisher_timeout_ms(b->publisher, clock_monotonic_ms()), 1, 5000);
    assert_int_equal(b->subjects[1].answers, 1);
    assert_int_equal(b->subjects[1].report.end, PUBLISH_OVERSIZED);
    wait_answer(b, 0, PUBLISH_ACKNOWLEDGED);
    wait_answer(b, 2, PUBLISH_ACKNOWLEDGED);
    wait_nothing_outstanding(b);
}

static void who_was_never_produced_is_answered(void **state)
{
    struct bench *b = *state;
    wait_ready(b, true);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(send_bytes(b, i, 10, 10000), PUBLISH_STARTED);
    publisher_free(b->publisher); /* without a flush */
    b->publisher = NULL;
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(b->subjects[i].answers, 1);
        assert_int_equal(b->subjects[i].report.end, PUBLISH_FAILED);
    }
}

/* Each value in the topic is the one that was sent: `size` times its subject's letter. */
static void check_topic(const struct bench *b, const size_t *sizes, size_t count)
{
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", rd_kafka_mock_cluster_bootstraps(b->cluster), text, sizeof text);
    rd_kafka_conf_set(conf, "group.id", "check", text, sizeof text);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, "events", b->subjects[0].report.partition)->offset = 0;
    rd_kafka_poll_set_consumer(rk);
    assert_int_equal(rd_kafka_assign(rk, list), RD_KAFKA_RESP_ERR_NO_ERROR);
    for (size_t i = 0; i < count; i++) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, WAIT_MS);
        assert_non_null(m);
        assert_int_equal(m->err, RD_KAFKA_RESP_ERR_NO_ERROR);
        assert_int_equal(m->len, sizes[i]);
        assert_memory_equal(m->key, "agent", 5);
        for (size_t k = 0; k < m->len; k++)
            assert_int_equal(((const char *)m->payload)[k], 'a' + (int)(i % 26));
        rd_kafka_message_destroy(m);
    }
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
}

/* Records lie in memory that is used again, but not before its report: small ones, large ones, larger and smaller than
 * what lay there before. */
static void values_arrive_as_they_were_sent(void **state)
{
    static const size_t sizes[] = {10, 3000, 20000, 1, 500, 9, 3001, 60000, 2, 700, 3000, 10, 1, 20000, 5, 5000};
    enum { RECORDS = sizeof sizes / sizeof sizes[0], AT_ONCE = 4 };
    struct bench *b = *state;
    wait_ready(b, true);
    rd_kafka_mock_broker_set_rtt(b->cluster, 1, 50);
    for (size_t i = 0; i < RECORDS; i++) {
        assert_int_equal(send_bytes(b, i, sizes[i], 10000), PUBLISH_STARTED);
        publisher_flush(b->publisher);
        if (i % AT_ONCE == AT_ONCE - 1) wait_answer(b, i - 2, PUBLISH_ACKNOWLEDGED); /* the next join those that wait */
    }
    wait_nothing_outstanding(b);
    rd_kafka_mock_broker_set_rtt(b->cluster, 1, 0);
    check_topic(b, sizes, RECORDS);
}

static void a_late_report_touches_nothing(void **state)
{
    struct bench *b = *state;
    wait_ready(b, true);
    rd_kafka_mock_broker_set_rtt(b->cluster, 1, 600);
    assert_int_equal(send_bytes(b, 0, 10, 100), PUBLISH_STARTED);
    int64_t begin_ms = clock_monotonic_ms();
    wait_answer(b, 0, PUBLISH_LATE);
    assert_in_range(clock_monotonic_ms() - begin_ms, 90, 500);
    /* With nothing acknowledged since, the next sender need not wait. */
    assert_false(publisher_ready(b->publisher, NULL));
    assert_int_equal(send_bytes(b, 1, 10, 100), PUBLISH_AWAY);
    wait_nothing_outstanding(b);
    assert_int_equal(b->subjects[0].answers, 1);
    assert_int_equal(metrics_get(b->metrics, METRIC_LATE_REPORTS), 1);
    rd_kafka_mock_broker_set_rtt(b->cluster, 1, 0);
    wait_ready(b, true);
    assert_int_equal(send_bytes(b, 2, 10, 5000), PUBLISH_STARTED);
    wait_answer(b, 2, PUBLISH_ACKNOWLEDGED);
}

static void deadlines_fall_due_in_their_own_order(void **state)
{
    struct bench *b = *state;
    wait_ready(b, true);
    rd_kafka_mock_broker_set_rtt(b->cluster, 1, 1500);
    assert_int_equal(send_bytes(b, 0, 10, 10000), PUBLISH_STARTED);
    assert_int_equal(send_bytes(b, 1, 10, 300), PUBLISH_STARTED);
    assert_int_equal(send_bytes(b, 2, 10, 100), PUBLISH_STARTED);
    wait_answer(b, 2, PUBLISH_LATE);
    assert_int_equal(b->subjects[1].answers, 0);
    wait_answer(b, 1, PUBLISH_LATE);
    assert_int_equal(b->subjects[0].answers, 0);
    wait_answer(b, 0, PUBLISH_ACKNOWLEDGED);
    wait_nothing_outstanding(b);
    assert_int_equal(metrics_get(b->metrics, METRIC_LATE_REPORTS), 2);
}

static void a_full_queue_is_said_at_once(void **state)
{
    struct bench *b = *state;
    wait_ready(b, true);
    rd_kafka_mock_broker_set_rtt(b->cluster, 1, 800);
    size_t sent = 0;
    enum publish_start start = PUBLISH_STARTED;
    while (sent < SUBJECTS && (start = send_bytes(b, sent, 100 * 1024, 10000)) == PUBLISH_STARTED)
        sent++;
    assert_int_equal(start, PUBLISH_QUEUE_FULL);
    assert_in_range(sent, 14, 17); /* 80 % of 2 MiB */
    assert_true(publisher_ready(b->publisher, NULL));
    rd_kafka_mock_broker_set_rtt(b->cluster, 1, 0);
    for (size_t i = 0; i < sent; i++)
        wait_answer(b, i, PUBLISH_ACKNOWLEDGED);
    wait_nothing_outstanding(b);
    assert_int_equal(send_bytes(b, sent, 10, 5000), PUBLISH_STARTED);
    wait_answer(b, sent, PUBLISH_ACKNOWLEDGED);
}

static void brokers_go_and_come_back(void **state)
{
    struct bench *b = *state;
    const char *why = "";
    wait_ready(b, true);
    rd_kafka_mock_broker_set_down(b->cluster, 1);
    wait_ready(b, false);
    assert_false(publisher_ready(b->publisher, &why));
    assert_non_null(strstr(why, "0 of 2 partitions"));
    assert_int_equal(send_bytes(b, 0, 10, 1000), PUBLISH_AWAY);
    rd_kafka_mock_broker_set_up(b->cluster, 1);
    int64_t begin_ms = clock_monotonic_ms();
    wait_ready(b, true);
    assert_in_range(clock_monotonic_ms() - begin_ms, 0, 3000);
    assert_int_equal(send_bytes(b, 1, 10, 5000), PUBLISH_STARTED);
    wait_answer(b, 1, PUBLISH_ACKNOWLEDGED);
}

static void a_record_sent_before_the_outage_is_answered_once(void **state)
{
    struct bench *b = *state;
    wait_ready(b, true);
    rd_kafka_mock_broker_set_down(b->cluster, 1);
    assert_int_equal(send_bytes(b, 0, 10, 200), PUBLISH_STARTED);
    wait_answer(b, 0, PUBLISH_LATE);
    rd_kafka_mock_broker_set_up(b->cluster, 1);
    wait_nothing_outstanding(b);
    assert_int_equal(b->subjects[0].answers, 1);
    wait_ready(b, true);
}

/* The way a real one dies: the leader says that a sequence number does not follow (traps 2.4). */
static void a_fatal_producer_is_replaced(void **state)
{
    struct bench *b = *state;
    wait_ready(b, true);
    for (int round = 1; round <= 2; round++) {
        size_t first = (size_t)round * 10;
        rd_kafka_mock_broker_set_rtt(b->cluster, 1, 200);
        fail_produce(b, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
        for (size_t i = first; i < first + 5; i++)
            assert_int_equal(send_bytes(b, i, 10, 10000), PUBLISH_STARTED);
        for (size_t i = first; i < first + 5; i++)
            wait_answer(b, i, PUBLISH_FAILED);
        int64_t until_ms = clock_monotonic_ms() + WAIT_MS;
        while (metrics_get(b->metrics, METRIC_REBUILDS) < round && clock_monotonic_ms() < until_ms)
            turn(b);
        assert_int_equal(metrics_get(b->metrics, METRIC_REBUILDS), round);
        assert_int_equal(publisher_outstanding(b->publisher), 0);
        assert_false(publisher_ready(b->publisher, NULL));
        rd_kafka_mock_broker_set_rtt(b->cluster, 1, 0);
        wait_ready(b, true);
        assert_int_equal(send_bytes(b, first + 5, 10, 5000), PUBLISH_STARTED);
        wait_answer(b, first + 5, PUBLISH_ACKNOWLEDGED);
    }
    for (size_t i = 0; i < SUBJECTS; i++)
        assert_in_range(b->subjects[i].answers, 0, 1);
}

static void who_waits_at_the_end_is_answered(void **state)
{
    struct bench *b = *state;
    wait_ready(b, true);
    rd_kafka_mock_broker_set_rtt(b->cluster, 1, 3000);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(send_bytes(b, i, 10, 10000), PUBLISH_STARTED);
    publisher_flush(b->publisher);
    publisher_free(b->publisher);
    b->publisher = NULL;
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(b->subjects[i].answers, 1);
        assert_int_equal(b->subjects[i].report.end, PUBLISH_FAILED);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_taken_before_the_brokers_are_known),
        TEST(an_acknowledged_record_has_its_place),
        TEST(a_refused_record_is_told),
        TEST(a_record_over_the_clients_limit_is_told),
        TEST(who_was_never_produced_is_answered),
        TEST(values_arrive_as_they_were_sent),
        TEST(a_late_report_touches_nothing),
        TEST(deadlines_fall_due_in_their_own_order),
        TEST(a_full_queue_is_said_at_once),
        TEST(brokers_go_and_come_back),
        TEST(a_record_sent_before_the_outage_is_answered_once),
        TEST(a_fatal_producer_is_replaced),
        TEST(who_waits_at_the_end_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
