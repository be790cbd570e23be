/* test_publish_health.c: ready means a connected leader for the partitions, as librdkafka's statistics tell it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "publish_health.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* cmocka wants its headers first */
#include <cmocka.h>

/* Two partitions of "events", led by the brokers 1 and 2; -1 is librdkafka's place for records without a partition. */
static void take(struct publish_health *h, const char *one, const char *two, const char *id_state, int64_t now_ms)
{
    char text[1024];
    int size = snprintf(text, sizeof text,
                        "{\"brokers\":{\"a:1/bootstrap\":{\"nodeid\":-1,\"state\":\"UP\"},"
                        "\"a:1/1\":{\"nodeid\":1,\"state\":\"%s\"},\"a:2/2\":{\"nodeid\":2,\"state\":\"%s\"}},"
                        "\"topics\":{\"events\":{\"partitions\":{\"0\":{\"partition\":0,\"leader\":1},"
                        "\"1\":{\"partition\":1,\"leader\":2},\"-1\":{\"partition\":-1,\"leader\":-1}}}},"
                        "\"eos\":{\"idemp_state\":\"%s\"}}",
                        one, two, id_state);
    assert_in_range(size, 1, sizeof text - 1);
    publish_health_take(h, bytes_of(text), "events", now_ms);
}

static void every_leader_is_needed_to_begin_with(void **state)
{
    (void)state;
    struct publish_health h = {.connected = true};
    publish_health_begin(&h, 1000);
    assert_false(h.connected);
    assert_string_equal(h.why, "not connected to Kafka yet");
    take(&h, "UP", "CONNECT", "Assigned", 1500);
    assert_false(h.connected);
    assert_string_equal(h.why, "1 of 2 partitions of topic 'events' have a connected leader");
    take(&h, "UP", "UP", "Assigned", 2000);
    assert_true(h.connected && h.was_ready);
}

static void after_a_while_some_leaders_are_enough(void **state)
{
    (void)state;
    struct publish_health h = {0};
    publish_health_begin(&h, 1000);
    take(&h, "UP", "DOWN", "Assigned", 11000);
    assert_false(h.connected);
    take(&h, "UP", "DOWN", "Assigned", 11001);
    assert_true(h.connected);
    take(&h, "DOWN", "DOWN", "Assigned", 12000);
    assert_false(h.connected);
}

static void who_was_ready_is_so_again_with_some(void **state)
{
    (void)state;
    struct publish_health h = {0};
    publish_health_begin(&h, 0);
    take(&h, "UP", "UP", "Assigned", 1);
    take(&h, "UP", "DOWN", "Assigned", 2);
    assert_true(h.connected);
    take(&h, "INIT", "DOWN", "Assigned", 3);
    assert_false(h.connected);
    publish_health_begin(&h, 4); /* a new producer */
    take(&h, "DOWN", "UP", "Assigned", 5);
    assert_true(h.connected);
}

static void the_id_is_needed_to_begin_with_only(void **state)
{
    (void)state;
    struct publish_health h = {0};
    publish_health_begin(&h, 0);
    take(&h, "UP", "UP", "WaitPID", 1);
    assert_false(h.connected);
    assert_string_equal(h.why, "the producer has no id from the brokers yet");
    take(&h, "UP", "UP", "Assigned", 2);
    assert_true(h.connected);
    take(&h, "UP", "UP", "DrainReset", 3);
    assert_true(h.connected);
    publish_health_end(&h, "the producer is being replaced");
    assert_false(h.connected);
    assert_string_equal(h.why, "the producer is being replaced");
}

static void a_topic_without_partitions_is_none(void **state)
{
    (void)state;
    struct publish_health h = {0};
    publish_health_begin(&h, 0);
    publish_health_take(&h, bytes_of("{\"brokers\":{},\"topics\":{},\"eos\":{\"idemp_state\":\"Assigned\"}}"), "events",
                        60000);
    assert_false(h.connected);
    assert_non_null(strstr(h.why, "no partition of topic 'events' is known"));
    take(&h, "UP", "UP", "Assigned", 60000);
    publish_health_take(&h, bytes_of("{\"brokers\""), "events", 60001); /* not JSON: nothing is known by it */
    assert_true(h.connected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_leader_is_needed_to_begin_with), cmocka_unit_test(after_a_while_some_leaders_are_enough),
        cmocka_unit_test(who_was_ready_is_so_again_with_some),  cmocka_unit_test(the_id_is_needed_to_begin_with_only),
        cmocka_unit_test(a_topic_without_partitions_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
