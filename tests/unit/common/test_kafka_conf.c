/* test_kafka_conf.c: clients whose promises can't be configured away, and whose secrets stay secret.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "kafka.h"
#include <cmocka.h>
#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <string.h>

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

static void expect(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char is[256];
    size_t size = sizeof is;
    assert_int_equal(rd_kafka_conf_get(conf, name, is, &size), RD_KAFKA_CONF_OK);
    if (strcmp(is, value) != 0) fail_msg("%s is %s, not %s", name, is, value);
}

static void a_role_has_its_values(void **state)
{
    (void)state;
    static const struct {
        enum kafka_role role;
        const char *name, *value;
    } rows[] = {
        {KAFKA_INGRESS_PRODUCER, "enable.idempotence", "true"},
        {KAFKA_INGRESS_PRODUCER, "acks", "-1"},
        {KAFKA_INGRESS_PRODUCER, "partitioner", "murmur2_random"},
        {KAFKA_INGRESS_PRODUCER, "linger.ms", "7"}, /* the user's */
        {KAFKA_INGRESS_PRODUCER, "max.in.flight.requests.per.connection", "2"},
        {KAFKA_INGRESS_PRODUCER, "socket.nagle.disable", "true"},
        {KAFKA_INGRESS_PRODUCER, "message.timeout.ms", "30000"},
        {KAFKA_INGRESS_PRODUCER, "retry.backoff.ms", "100"},
        {KAFKA_INGRESS_PRODUCER, "reconnect.backoff.max.ms", "1000"},
        {KAFKA_INGRESS_PRODUCER, "message.max.bytes", "8388608"},
        {KAFKA_INGRESS_PRODUCER, "compression.type", "lz4"},
        {KAFKA_RUNNER_PRODUCER, "enable.idempotence", "true"},
        {KAFKA_RUNNER_PRODUCER, "retry.backoff.ms", "2"},
        {KAFKA_RUNNER_PRODUCER, "transaction.timeout.ms", "15000"},
        {KAFKA_RUNNER_CONSUMER, "isolation.level", "read_committed"},
        {KAFKA_RUNNER_CONSUMER, "enable.auto.commit", "false"},
        {KAFKA_RUNNER_CONSUMER, "enable.auto.offset.store", "false"},
        {KAFKA_RUNNER_CONSUMER, "auto.offset.reset", "smallest"},
        {KAFKA_RUNNER_CONSUMER, "partition.assignment.strategy", "range"},
        {KAFKA_RUNNER_CONSUMER, "heartbeat.interval.ms", "1000"},
        {KAFKA_RUNNER_CONSUMER, "max.poll.interval.ms", "60000"},
        {KAFKA_RUNNER_CONSUMER, "queued.min.messages", "100000"},
        {KAFKA_READER, "isolation.level", "read_committed"},
        {KAFKA_READER, "enable.partition.eof", "true"},
        {KAFKA_READER, "auto.offset.reset", "error"},
        {KAFKA_ADMIN, "socket.keepalive.enable", "true"},
        {KAFKA_WRITER, "enable.idempotence", "true"},
        {KAFKA_WRITER, "partitioner", "murmur2_random"},
        {KAFKA_INGRESS_PRODUCER, "allow.auto.create.topics", "false"},
        {KAFKA_RUNNER_PRODUCER, "allow.auto.create.topics", "false"},
    };
    struct config_pair pairs[] = {SERVERS, pair("linger_ms", "7")};
    struct kafka_settings settings = settings_of(pairs, 2);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct error error = {0};
        rd_kafka_conf_t *conf = kafka_conf_new(&settings, rows[i].role, &error);
        assert_string_equal(error.text, "");
        expect(conf, rows[i].name, rows[i].value);
        rd_kafka_conf_destroy(conf);
    }
}

static void properties_that_promises_rest_on_are_refused(void **state)
{
    (void)state;
    static const struct {
        enum kafka_role role;
        const char *name, *value, *sentence;
    } rows[] = {
        {KAFKA_INGRESS_PRODUCER, "acks", "1", "kafka.acks: is always all: a 202 and an exactly-once result rest on it"},
        {KAFKA_INGRESS_PRODUCER, "request_required_acks", "1",
         "kafka.request_required_acks: can't be set: a 202 and an exactly-once result rest on it"},
        {KAFKA_INGRESS_PRODUCER, "enable_idempotence", "true", "kafka.enable_idempotence: is always true: "},
        {KAFKA_INGRESS_PRODUCER, "retries", "0", "kafka.retries: can't be set: message.timeout.ms bounds"},
        {KAFKA_INGRESS_PRODUCER, "partitioner", "random", "kafka.partitioner: is always murmur2_random: "},
        {KAFKA_INGRESS_PRODUCER, "transactional_id", "x", "kafka.transactional_id: can't be set: "},
        {KAFKA_INGRESS_PRODUCER, "queue_buffering_max_kbytes", "1", "can't be set: publish.queue_max sets it"},
        {KAFKA_RUNNER_PRODUCER, "transactional_id", "x", "can't be set: group_id and slot name it"},
        {KAFKA_RUNNER_PRODUCER, "max_in_flight", "5", "can't be set: "},
        {KAFKA_RUNNER_CONSUMER, "group_id", "x", "can't be set: group_id sets it"},
        {KAFKA_RUNNER_CONSUMER, "group.id", "x", "can't be set: group_id sets it"},
        {KAFKA_RUNNER_CONSUMER, "isolation_level", "read_uncommitted", "is always read_committed: "},
        {KAFKA_RUNNER_CONSUMER, "enable_auto_commit", "true", "is always false: "},
        {KAFKA_RUNNER_CONSUMER, "enable_auto_offset_store", "true", "is always false: "},
        {KAFKA_RUNNER_CONSUMER, "auto_offset_reset", "latest", "is always earliest: the journal says"},
        {KAFKA_RUNNER_CONSUMER, "partition_assignment_strategy", "cooperative-sticky", "is always range: "},
        {KAFKA_RUNNER_CONSUMER, "session_timeout_ms", "6000", "can't be set: session_timeout sets it"},
        {KAFKA_READER, "plugin_library_paths", "x.so", "can't be set: no foreign code is loaded"},
        {KAFKA_ADMIN, "log_level", "7", "can't be set: log.level"},
        {KAFKA_ADMIN, "no_such_property", "1", "kafka.no_such_property: No such configuration property"},
        {KAFKA_ADMIN, "socket_timeout_ms", "never", "kafka.socket_timeout_ms: "},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct config_pair pairs[] = {SERVERS, pair(rows[i].name, rows[i].value)};
        struct kafka_settings settings = settings_of(pairs, 2);
        struct error error = {0};
        assert_null(kafka_conf_new(&settings, rows[i].role, &error));
        assert_int_equal(error.code, ERROR_INVALID);
        if (strstr(error.text, rows[i].sentence) == NULL) fail_msg("%s: %s", rows[i].name, error.text);
    }
    struct error error = {0};
    struct kafka_settings none = {0};
    assert_null(kafka_conf_new(&none, KAFKA_ADMIN, &error));
    assert_string_equal(error.text, "kafka.bootstrap_servers is required");
}

static void scram_needs_a_library_that_can(void **state)
{
    (void)state;
    for (int alias = 0; alias < 2; alias++) {
        struct config_pair pairs[] = {SERVERS, pair("security_protocol", "SASL_SSL"),
                                      pair(alias ? "sasl_mechanism" : "sasl_mechanisms", "SCRAM-SHA-512"),
                                      pair("sasl_username", "u"), pair("sasl_password", "p")};
        struct kafka_settings settings = settings_of(pairs, 5);
        struct error error = {0};
        bool good = kafka_settings_check(&settings, KAFKA_INGRESS_PRODUCER, &error);
        if (rd_kafka_version() >= 0x020601ff) {
            assert_string_equal(error.text, "");
            assert_true(good);
            continue;
        }
        assert_false(good);
        assert_non_null(strstr(error.text, "SCRAM-SHA-512 does not work with librdkafka "));
        assert_non_null(strstr(error.text, "PLAIN over TLS and client certificates work"));
    }
}

static void secrets_are_resolved_and_never_told(void **state)
{
    (void)state;
    setenv("TEST_KAFKA_PASSWORD", "correct horse", 1);
    struct config_pair pairs[] = {SERVERS, pair("sasl_password", "env:TEST_KAFKA_PASSWORD"),
                                  pair("sasl_username", "env:TEST_KAFKA_PASSWORD")};
    struct kafka_settings settings = settings_of(pairs, 3);
    struct error error = {0};
    rd_kafka_conf_t *conf = kafka_conf_new(&settings, KAFKA_ADMIN, &error);
    assert_non_null(conf);
    expect(conf, "sasl.password", "correct horse");
    expect(conf, "sasl.username", "env:TEST_KAFKA_PASSWORD"); /* a name is no secret */
    rd_kafka_conf_destroy(conf);
    unsetenv("TEST_KAFKA_PASSWORD");

    assert_null(kafka_conf_new(&settings, KAFKA_ADMIN, &error));
    assert_string_equal(error.text, "kafka.sasl_password: environment variable 'TEST_KAFKA_PASSWORD' is not set");

    pairs[1] = pair("ssl_key_pem", "not a key: hunter2");
    pairs[2] = pair("security_protocol", "ssl");
    assert_false(kafka_settings_check(&settings, KAFKA_ADMIN, &error));
    assert_null(strstr(error.text, "hunter2"));
}

static void contradictions_are_found_without_a_broker(void **state)
{
    (void)state;
    struct config_pair pairs[] = {SERVERS, pair("session_x", "1")};
    struct kafka_settings settings = settings_of(pairs, 1);
    struct error error = {0};
    for (enum kafka_role role = KAFKA_INGRESS_PRODUCER; role <= KAFKA_ADMIN; role++)
        if (!kafka_settings_check(&settings, role, &error)) fail_msg("role %d: %s", (int)role, error.text);

    pairs[1] = pair("max_in_flight", "6"); /* more than an idempotent producer keeps in order */
    settings.properties.count = 2;
    assert_false(kafka_settings_check(&settings, KAFKA_INGRESS_PRODUCER, &error));
    assert_non_null(strstr(error.text, "max.in.flight"));
    pairs[1] = pair("ssl_ca_location", "/nonexistent/ca.pem");
    struct config_pair tls[] = {SERVERS, pairs[1], pair("security_protocol", "ssl")};
    settings = settings_of(tls, 3);
    assert_false(kafka_settings_check(&settings, KAFKA_READER, &error));
    assert_non_null(strstr(error.text, "ssl.ca.location"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_role_has_its_values),
        cmocka_unit_test(properties_that_promises_rest_on_are_refused),
        cmocka_unit_test(scram_needs_a_library_that_can),
        cmocka_unit_test(secrets_are_resolved_and_never_told),
        cmocka_unit_test(contradictions_are_found_without_a_broker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
