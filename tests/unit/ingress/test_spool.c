/* test_spool.c: every event is answered once, and what was promised reaches Kafka in the order of its agent, whatever
 * the brokers and the disk do (librdkafka's mock cluster).  SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "log.h"
#include "spool.h"
#include "text.h"
#include <fcntl.h>
#include <ftw.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>
/* cmocka wants its headers first */
#include <cmocka.h>

enum { PRODUCE = 0, WAIT_MS = 30000, SUBJECTS = 4096, SIZE_MAX_BYTES = 2 << 20 };

struct subject {
    int answers;
    enum publish_end end;
};

struct bench {
    rd_kafka_t *rk; /* carries the cluster */
    rd_kafka_mock_cluster_t *cluster;
    struct config_pair properties[2];
    struct kafka_settings kafka;
    struct metric_def defs[METRICS];
    struct metrics *metrics;
    struct publisher *publisher;
    struct spool *spool;
    char directory[64];
    struct subject subjects[SUBJECTS];
};

static void answered(void *ctx, void *subject, const struct publish_report *report)
{
    (void)ctx;
    struct subject *s = subject;
    s->answers++;
    s->end = report->end;
}

static void start(struct bench *b)
{
    struct error error;
    const struct spool_settings spool = {
        .directory = b->directory, .size_max = SIZE_MAX_BYTES, .metrics = b->metrics, .answered = answered, .ctx = b};
    b->spool = spool_open(&spool, &error);
    if (!b->spool) fail_msg("%s", error.text);
    const struct publisher_settings settings = {.kafka = &b->kafka,
                                                .topic = "events",
                                                .queue_max = 8 << 20,
                                                .metrics = b->metrics,
                                                .answered = spool_answered,
                                                .ctx = b->spool};
    b->publisher = publisher_new(&settings, &error);
    if (!b->publisher) fail_msg("%s", error.text);
    spool_set_publisher(b->spool, b->publisher);
}

static void stop(struct bench *b)
{
    publisher_free(b->publisher);
    spool_close(b->spool);
    b->publisher = NULL;
    b->spool = NULL;
}

static void turn(struct bench *b)
{
    struct pollfd fds[] = {{.fd = publisher_fd(b->publisher), .events = POLLIN},
                           {.fd = spool_fd(b->spool), .events = POLLIN}};
    int64_t now_ms = clock_monotonic_ms();
    int wait = publisher_timeout_ms(b->publisher, now_ms), spool_wait = spool_timeout_ms(b->spool, now_ms);
    if (spool_wait >= 0 && (wait < 0 || spool_wait < wait)) wait = spool_wait;
    poll(fds, 2, wait < 0 || wait > 20 ? 20 : wait);
    now_ms = clock_monotonic_ms();
    publisher_run(b->publisher, now_ms);
    spool_run(b->spool, now_ms);
    publisher_flush(b->publisher);
    spool_flush(b->spool);
}

#define WAIT_FOR(b, condition)                                                                                         \
    do {                                                                                                               \
        for (int64_t until_ms_ = clock_monotonic_ms() + WAIT_MS; !(condition); turn(b))                                \
            if (clock_monotonic_ms() > until_ms_) fail_msg("still not: %s", #condition);                               \
    } while (0)

static bool is_ready(struct bench *b)
{
    return publisher_ready(b->publisher, NULL);
}

static bool is_empty(struct bench *b)
{
    return b->spool->events == 0 && spool_quiet(b->spool);
}

/* The n-th event, of the agent "a" or "b"; its value is n. */
static enum publish_start send_of(struct bench *b, const char *agent, int n, int64_t deadline_ms)
{
    char value[16];
    snprintf(value, sizeof value, "%d", n);
    const struct record_header headers[] = {{bytes_of("ce_id"), bytes_of(value)}};
    const struct record record = {
        .key = bytes_of(agent), .value = bytes_of(value), .headers = headers, .header_count = 1};
    return spool_send(b->spool, &record, true, clock_monotonic_ms() + deadline_ms, &b->subjects[n]);
}

static void send_one(struct bench *b, int n, int64_t deadline_ms)
{
    assert_int_equal(send_of(b, n % 2 ? "a" : "b", n, deadline_ms), PUBLISH_STARTED);
    assert_int_equal(b->subjects[n].answers, 0); /* never from inside */
}

static void wait_answer(struct bench *b, int n, enum publish_end end)
{
    WAIT_FOR(b, b->subjects[n].answers > 0);
    assert_int_equal(b->subjects[n].answers, 1);
    if (b->subjects[n].end != end) fail_msg("%d ended as %d instead of %d", n, (int)b->subjects[n].end, (int)end);
}

static int agent_of(const struct record *r)
{
    return r->key.data[0] == 'a' ? 1 : 0;
}

/* What Kafka has: each of first..last, but not `missing`; the first copies of an agent's events in their order. */
static void assert_kafka_has(struct bench *b, int first, int last, int missing)
{
    struct error error;
    struct record record;
    struct reader_position position;
    int newest[2] = {0};
    uint8_t seen[SUBJECTS] = {0};
    struct kafka_reader *reader = kafka_reader_new(&b->kafka, "events", -1, KAFKA_FROM_BEGINNING, 0, &error);
    if (!reader) fail_msg("%s", error.text);
    enum reader_event event;
    while ((event = kafka_reader_next(reader, 5000, &record, &position, &error)) == READER_RECORD) {
        int64_t n;
        assert_true(text_parse_int64(record.value, 0, SUBJECTS - 1, &n));
        if (seen[n]++ > 0) continue;
        if (n < newest[agent_of(&record)]) fail_msg("%d came after %d", (int)n, newest[agent_of(&record)]);
        newest[agent_of(&record)] = (int)n;
    }
    assert_int_equal(event, READER_END);
    kafka_reader_free(reader);
    for (int n = first; n <= last; n++)
        if ((seen[n] > 0) != (n != missing)) fail_msg("%d is there %d times", n, seen[n]);
}

static void fail_produce(struct bench *b, size_t times, rd_kafka_resp_err_t code)
{
    for (size_t i = 0; i < times; i++)
        rd_kafka_mock_push_request_errors(b->cluster, PRODUCE, 1, code);
}

static void kafka_goes(struct bench *b)
{
    rd_kafka_mock_broker_set_down(b->cluster, 1);
    WAIT_FOR(b, !is_ready(b));
}

static void kafka_comes(struct bench *b)
{
    rd_kafka_mock_broker_set_up(b->cluster, 1);
    WAIT_FOR(b, is_ready(b));
}

static int setup(void **state)
{
    char text[256];
    struct bench *b = calloc(1, sizeof *b);
    *state = b;
    if (!b) return -1;
    log_init(LOG_ERROR, LOG_LOGFMT, open("/dev/null", O_WRONLY | O_CLOEXEC));
    snprintf(b->directory, sizeof b->directory, "/tmp/drawbridge-spool-XXXXXX");
    if (!mkdtemp(b->directory)) return -1;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", "127.0.0.1:1", text, sizeof text);
    rd_kafka_conf_set(conf, "log_level", "0", text, sizeof text);
    b->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    b->cluster = rd_kafka_mock_cluster_new(b->rk, 1);
    rd_kafka_mock_topic_create(b->cluster, "events", 2, 1);
    b->properties[0].name = strdup("bootstrap_servers");
    b->properties[0].value = strdup(rd_kafka_mock_cluster_bootstraps(b->cluster));
    /* What is sent together goes in one batch, so that a refusal can be injected into all of it. */
    b->properties[1].name = strdup("linger_ms");
    b->properties[1].value = strdup("20");
    b->kafka.properties = (struct config_map){.items = b->properties, .count = 2};
    ingress_metric_defs(b->defs);
    b->metrics = metrics_new(b->defs, METRICS);
    start(b);
    WAIT_FOR(b, is_ready(b));
    return 0;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status, (void)kind, (void)walk;
    return remove(path);
}

static int teardown(void **state)
{
    struct bench *b = *state;
    stop(b);
    rd_kafka_mock_cluster_destroy(b->cluster);
    rd_kafka_destroy(b->rk);
    metrics_free(b->metrics);
    for (int i = 0; i < 2; i++) {
        free(b->properties[i].name);
        free(b->properties[i].value);
    }
    nftw(b->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(b);
    return 0;
}

static void with_kafka_there_nothing_touches_the_disk(void **state)
{
    struct bench *b = *state;
    for (int n = 1; n <= 20; n++)
        send_one(b, n, 5000);
    for (int n = 1; n <= 20; n++)
        wait_answer(b, n, PUBLISH_ACKNOWLEDGED);
    assert_int_equal(metrics_get(b->metrics, METRIC_SPOOL_WRITTEN), 0);
    assert_kafka_has(b, 1, 20, 0);
}

static void while_kafka_is_away_events_wait_on_the_disk(void **state)
{
    struct bench *b = *state;
    struct buffer text;
    buffer_init(&text, 1024);
    kafka_goes(b);
    for (int n = 1; n <= 20; n++)
        send_one(b, n, 5000);
    for (int n = 1; n <= 20; n++)
        wait_answer(b, n, PUBLISH_SPOOLED);
    assert_int_equal(b->spool->events, 20);
    assert_int_equal(metrics_get(b->metrics, METRIC_SPOOL_WRITTEN), 20);
    assert_int_equal(metrics_get(b->metrics, METRIC_SPOOL_TIME), 1); /* one turn, one transaction */
    spool_refresh(b->spool);
    spool_describe(b->spool, &text);
    assert_int_equal(metrics_get(b->metrics, METRIC_SPOOL_EVENTS), 20);
    assert_int_equal(metrics_get(b->metrics, METRIC_SPOOL_BYTES), 20 * 1024);
    assert_non_null(strstr(buffer_cstr(&text), "spool: 20 events (20480 of 2097152 bytes)"));
    buffer_close(&text);
    kafka_comes(b);
    WAIT_FOR(b, is_empty(b));
    send_one(b, 21, 5000);
    wait_answer(b, 21, PUBLISH_ACKNOWLEDGED);
    assert_int_equal(metrics_get(b->metrics, METRIC_SPOOL_DRAINED), 20);
    assert_int_equal(b->spool->cost, 0);
    assert_kafka_has(b, 1, 21, 0);
}

static void what_a_silent_kafka_holds_goes_to_the_disk_in_time(void **state)
{
    struct bench *b = *state;
    rd_kafka_mock_broker_set_rtt(b->cluster, 1, 4000);
    int64_t begin_ms = clock_monotonic_ms();
    for (int n = 1; n <= 10; n++)
        send_one(b, n, 1200);
    for (int n = 1; n <= 10; n++)
        wait_answer(b, n, PUBLISH_SPOOLED);
    assert_in_range(clock_monotonic_ms() - begin_ms, 780, 1190);
    /* The next ones need not wait to be told the same. */
    begin_ms = clock_monotonic_ms();
    for (int n = 11; n <= 20; n++)
        send_one(b, n, 1200);
    for (int n = 11; n <= 20; n++)
        wait_answer(b, n, PUBLISH_SPOOLED);
    assert_in_range(clock_monotonic_ms() - begin_ms, 0, 700);
    rd_kafka_mock_broker_set_rtt(b->cluster, 1, 0);
    WAIT_FOR(b, is_empty(b));
    assert_kafka_has(b, 1, 20, 0);
}

static int answered_to(const struct bench *b, int n)
{
    int answered = 0;
    for (int i = 1; i <= n; i++)
        answered += b->subjects[i].answers > 0;
    return answered;
}

/* A sender that never pauses: its events are rows, then parked behind the last row, then direct again. */
static void a_busy_agent_leaves_the_spool_in_order(void **state)
{
    struct bench *b = *state;
    int n = 0, direct = 0;
    kafka_goes(b);
    while (n < 50)
        send_one(b, ++n, 5000);
    wait_answer(b, n, PUBLISH_SPOOLED);
    kafka_comes(b);
    while (direct < 200 && n + 2 < SUBJECTS) {
        /* There is always one on its way to the disk, if that is where they go; and turns are fast. */
        if (n - answered_to(b, n) < 40) {
            send_one(b, ++n, 5000);
            send_one(b, ++n, 5000);
        }
        turn(b);
        direct = 0;
        for (int i = 1; i <= n; i++)
            direct += b->subjects[i].answers > 0 && b->subjects[i].end == PUBLISH_ACKNOWLEDGED;
    }
    assert_true(direct >= 200);
    for (int i = 1; i <= n; i++)
        WAIT_FOR(b, b->subjects[i].answers == 1);
    WAIT_FOR(b, is_empty(b));
    assert_int_equal(b->subjects[n].end, PUBLISH_ACKNOWLEDGED);
    assert_kafka_has(b, 1, n, 0);
}

static void kafka_that_goes_again_and_again_loses_nothing(void **state)
{
    struct bench *b = *state;
    int n = 0;
    for (int round = 0; round < 2; round++) {
        kafka_goes(b);
        for (int i = 0; i < 300; i++)
            send_one(b, ++n, 5000);
        rd_kafka_mock_broker_set_rtt(b->cluster, 1, 100);
        kafka_comes(b);
        for (int i = 0; i < 20; i++) {
            send_one(b, ++n, 5000);
            turn(b);
        }
        rd_kafka_mock_broker_set_rtt(b->cluster, 1, 0);
    }
    for (int i = 1; i <= n; i++)
        WAIT_FOR(b, b->subjects[i].answers > 0);
    WAIT_FOR(b, is_empty(b));
    for (int i = 1; i <= n; i++) {
        assert_int_equal(b->subjects[i].answers, 1);
        assert_true(b->subjects[i].end == PUBLISH_SPOOLED || b->subjects[i].end == PUBLISH_ACKNOWLEDGED);
    }
    assert_kafka_has(b, 1, n, 0);
}

/* The whole batch is refused, then the first of it alone. */
static void one_that_is_refused_for_good_blocks_nobody(void **state)
{
    struct bench *b = *state;
    kafka_goes(b);
    for (int n = 1; n <= 9; n += 2)
        send_one(b, n, 5000);
    wait_answer(b, 9, PUBLISH_SPOOLED);
    fail_produce(b, 2, RD_KAFKA_RESP_ERR_INVALID_RECORD);
    kafka_comes(b);
    WAIT_FOR(b, is_empty(b));
    assert_int_equal(b->spool->refused, 1);
    assert_int_equal(metrics_get(b->metrics, METRIC_SPOOL_REFUSALS), 1);
    send_one(b, 11, 5000);
    wait_answer(b, 11, PUBLISH_ACKNOWLEDGED);
    for (int n = 3; n <= 11; n += 2)
        assert_int_equal(b->subjects[n].answers, 1);
    stop(b);
    start(b);
    assert_int_equal(b->spool->refused, 1);
    assert_int_equal(b->spool->events, 0);
}

static void a_refusal_on_the_direct_way_is_asked_again_alone(void **state)
{
    struct bench *b = *state;
    fail_produce(b, 1, RD_KAFKA_RESP_ERR_INVALID_RECORD);
    send_one(b, 1, 5000);
    wait_answer(b, 1, PUBLISH_SPOOLED);
    WAIT_FOR(b, is_empty(b));
    assert_int_equal(b->spool->refused, 0);
    fail_produce(b, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    send_one(b, 3, 5000);
    wait_answer(b, 3, PUBLISH_OVERSIZED); /* the sender can do something about that */
    send_one(b, 2, 5000);
    wait_answer(b, 2, PUBLISH_ACKNOWLEDGED);
    assert_kafka_has(b, 1, 3, 3);
}

static void a_fatal_producer_costs_nobody_an_answer(void **state)
{
    struct bench *b = *state;
    rd_kafka_mock_broker_set_rtt(b->cluster, 1, 200);
    /* In both partitions: a real broker takes no batch behind one that it refused, the mock would. */
    fail_produce(b, 2, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    for (int n = 1; n <= 6; n++)
        send_one(b, n, 10000);
    for (int n = 1; n <= 6; n++)
        wait_answer(b, n, PUBLISH_SPOOLED);
    rd_kafka_mock_broker_set_rtt(b->cluster, 1, 0);
    WAIT_FOR(b, is_empty(b));
    assert_kafka_has(b, 1, 6, 0);
}

static void a_later_process_goes_on(void **state)
{
    struct bench *b = *state;
    kafka_goes(b);
    for (int n = 1; n <= 10; n++)
        send_one(b, n, 5000);
    wait_answer(b, 10, PUBLISH_SPOOLED);
    stop(b);
    start(b);
    assert_int_equal(b->spool->events, 10);
    send_one(b, 11, 5000); /* behind the others, though Kafka may be there before */
    rd_kafka_mock_broker_set_up(b->cluster, 1);
    WAIT_FOR(b, is_empty(b));
    assert_int_equal(b->subjects[11].answers, 1);
    assert_kafka_has(b, 1, 11, 0);
}

static void who_waits_for_kafka_at_the_end_is_spooled(void **state)
{
    struct bench *b = *state;
    rd_kafka_mock_broker_set_rtt(b->cluster, 1, 3000);
    for (int n = 1; n <= 4; n++)
        send_one(b, n, 10000);
    stop(b);
    for (int n = 1; n <= 4; n++) {
        assert_int_equal(b->subjects[n].answers, 1);
        assert_int_equal(b->subjects[n].end, PUBLISH_SPOOLED);
    }
    rd_kafka_mock_broker_set_rtt(b->cluster, 1, 0);
    start(b);
    WAIT_FOR(b, is_empty(b));
    assert_kafka_has(b, 1, 4, 0);
}

static void a_full_spool_says_so(void **state)
{
    struct bench *b = *state;
    kafka_goes(b);
    int n = 0;
    while (n + 1 < SUBJECTS && send_of(b, "a", n + 1, 60000) == PUBLISH_STARTED)
        n++;
    assert_in_range(n, SIZE_MAX_BYTES / 1024 - 1, SIZE_MAX_BYTES / 1024);
    assert_int_equal(send_of(b, "b", n + 1, 60000), PUBLISH_NO_ROOM);
    assert_false(spool_ready(b->spool));
    for (int i = 1; i <= n; i++)
        wait_answer(b, i, PUBLISH_SPOOLED);
    kafka_comes(b);
    WAIT_FOR(b, is_empty(b));
    assert_true(spool_ready(b->spool));
    assert_kafka_has(b, 1, n + 1, n + 1);
}

static void limit_files(rlim_t size)
{
    struct rlimit limit;
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    assert_int_equal(sigaction(SIGXFSZ, &ignore, NULL), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = size ? size : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_disk_that_fails_promises_nothing(void **state)
{
    struct bench *b = *state;
    kafka_goes(b);
    send_one(b, 1, 5000);
    wait_answer(b, 1, PUBLISH_SPOOLED);
    limit_files(8192);
    for (int n = 4; n <= 7; n++)
        send_one(b, n, 5000);
    for (int n = 4; n <= 7; n++)
        wait_answer(b, n, PUBLISH_UNSPOOLED);
    assert_false(spool_ready(b->spool));
    assert_int_equal(send_of(b, "a", 9, 5000), PUBLISH_NO_ROOM);
    assert_int_equal(metrics_get(b->metrics, METRIC_SPOOL_FAILURES), 1);
    /* Kafka is back before the disk: who waits for nothing on it goes direct. */
    kafka_comes(b);
    send_one(b, 2, 5000);
    limit_files(0);
    WAIT_FOR(b, is_empty(b) && spool_ready(b->spool));
    WAIT_FOR(b, b->subjects[2].answers == 1);
    send_one(b, 3, 5000);
    wait_answer(b, 3, PUBLISH_ACKNOWLEDGED);
    assert_kafka_has(b, 1, 4, 4);
}

/* A trigger without the spool is told as ever; but its events never overtake those that wait. */
static void who_did_not_ask_for_it_is_not_spooled(void **state)
{
    struct bench *b = *state;
    const struct record record = {.key = bytes_of("a"), .value = bytes_of("2")};
    int64_t deadline_ms = clock_monotonic_ms() + 60000;
    kafka_goes(b);
    assert_int_equal(spool_send(b->spool, &record, false, deadline_ms, &b->subjects[2]), PUBLISH_AWAY);
    send_one(b, 1, 60000);
    assert_int_equal(spool_send(b->spool, &record, false, deadline_ms, &b->subjects[2]), PUBLISH_STARTED);
    wait_answer(b, 2, PUBLISH_SPOOLED);
    kafka_comes(b);
    WAIT_FOR(b, is_empty(b));
    assert_kafka_has(b, 1, 2, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(with_kafka_there_nothing_touches_the_disk),
        TEST(while_kafka_is_away_events_wait_on_the_disk),
        TEST(what_a_silent_kafka_holds_goes_to_the_disk_in_time),
        TEST(a_busy_agent_leaves_the_spool_in_order),
        TEST(kafka_that_goes_again_and_again_loses_nothing),
        TEST(one_that_is_refused_for_good_blocks_nobody),
        TEST(a_refusal_on_the_direct_way_is_asked_again_alone),
        TEST(a_fatal_producer_costs_nobody_an_answer),
        TEST(a_later_process_goes_on),
        TEST(who_waits_for_kafka_at_the_end_is_spooled),
        TEST(a_full_spool_says_so),
        TEST(a_disk_that_fails_promises_nothing),
        TEST(who_did_not_ask_for_it_is_not_spooled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
