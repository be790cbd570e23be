/* test_replayed.c: what a replay changes of an event, and what it must not.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "cli.h"
#include "signature.h"
#include <cmocka.h>
#include <string.h>

static int setup(void **state)
{
    (void)state;
    return signature_init(NULL) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    signature_close();
    return 0;
}

static const char body[] = "{\"n\": 1.0e400, \"n\": \"\\u0000\"}";

static struct record event_record(struct record_header *headers, const char *workflow_id)
{
    const struct record_event event = {
        .agent_id = bytes_of("triage"),
        .workflow_id = bytes_of(workflow_id),
        .content_type = bytes_of("application/json"),
        .ce_id = bytes_of("d-1"),
        .ce_source = bytes_of("https://github.com"),
        .ce_type = bytes_of("com.github.push"),
        .ce_time = bytes_of("2026-11-23T12:00:00.000000Z"),
        .recorded_time = bytes_of("2026-11-23T12:00:00.000000Z"),
        .trigger_json = bytes_of("{\"description\":\"x\",\"dedupe_s\":60}"),
        .evidence_json = bytes_of("{\"scheme\":\"github\",\"key\":\"current\"}"),
        .body = bytes_of(body),
    };
    struct record r;
    record_from_event(&event, headers, &r);
    return r;
}

static const struct replay_order order = {
    .replay_id = "again-1", .partition = 3, .offset = 42, .now_us = 1795435200000000};

static void header_is(const struct record *r, const char *name, const char *value)
{
    const struct bytes found = record_header(r, name);
    if (found.data == NULL || !bytes_are(found, value))
        fail_msg("%s is '%.*s'", name, (int)found.size, (const char *)found.data);
    size_t count = 0;
    for (size_t i = 0; i < r->header_count; i++)
        count += bytes_are(r->headers[i].name, name);
    assert_int_equal(count, 1);
}

static void a_replay_is_the_same_event_as_a_new_workflow(void **state)
{
    (void)state;
    struct record_header headers[RECORD_HEADERS_MAX];
    char old_id[RECORD_WORKFLOW_ID_SIZE], new_id[RECORD_WORKFLOW_ID_SIZE];
    record_workflow_id(bytes_of("triage"), bytes_of("github"), bytes_of("https://github.com"), bytes_of("d-1"),
                       bytes_of(""), old_id);
    record_workflow_id(bytes_of("triage"), bytes_of("github"), bytes_of("https://github.com"), bytes_of("d-1"),
                       bytes_of("again-1"), new_id);
    const struct record r = event_record(headers, old_id);
    struct replayed out = {0};
    struct error error = {0};
    assert_true(replay_make(&r, &order, &out, &error));
    assert_true(bytes_are(out.record.value, body));
    assert_true(bytes_are(out.record.key, "triage"));
    assert_string_equal(out.workflow_id, new_id);
    header_is(&out.record, "ce_workflowid", new_id);
    header_is(&out.record, "ce_agentid", "triage");
    header_is(&out.record, "ce_id", "d-1");
    header_is(&out.record, "ce_time", "2026-11-23T12:00:00.000000Z");
    header_is(&out.record, "ce_recordedtime", "2026-11-23T12:00:00.000000Z");
    char names[256];
    snprintf(names, sizeof names,
             "{\"replay_id\":\"again-1\",\"workflow_id\":\"%s\",\"agent_id\":\"triage\",\"partition\":3,\"offset\":42}",
             old_id);
    header_is(&out.record, "drawbridge-replay", names);
    assert_true(replay_wrote(&out.record, "again-1"));
    assert_false(replay_wrote(&out.record, "again-2"));
    assert_false(replay_wrote(&r, "again-1"));
    assert_false(replay_wrote(&r, ""));

    struct replayed twice = {0};
    assert_true(replay_make(&out.record, &order, &twice, &error)); /* a replay of a replay: same event, same id */
    assert_string_equal(twice.workflow_id, new_id);
    replayed_close(&twice);
    replayed_close(&out);
}

static void another_agent_gets_the_key_and_an_id_of_its_own(void **state)
{
    (void)state;
    struct record_header headers[RECORD_HEADERS_MAX];
    const struct record r = event_record(headers, "wh-0123456789abcdef0123456789abcdef");
    struct replay_order other = order;
    other.to_agent = "triage-next";
    struct replayed same = {0}, moved = {0};
    struct error error = {0};
    assert_true(replay_make(&r, &order, &same, &error));
    assert_true(replay_make(&r, &other, &moved, &error));
    assert_string_not_equal(same.workflow_id, moved.workflow_id);
    assert_true(bytes_are(moved.record.key, "triage-next"));
    header_is(&moved.record, "ce_agentid", "triage-next");
    header_is(&moved.record, "ce_partitionkey", "triage-next");
    header_is(&moved.record, "ce_source", "https://github.com");
    replayed_close(&same);
    replayed_close(&moved);
}

static void foreign_records_are_named_by_their_place(void **state)
{
    (void)state;
    const struct record r = {.key = bytes_of("a"), .value = bytes_of("x")};
    struct replay_order elsewhere = order;
    elsewhere.offset++;
    struct replayed one = {0}, two = {0};
    struct error error = {0};
    assert_true(replay_make(&r, &order, &one, &error));
    assert_true(replay_make(&r, &elsewhere, &two, &error));
    assert_string_not_equal(one.workflow_id, two.workflow_id);
    replayed_close(&one);
    replayed_close(&two);
}

static void what_is_no_event_is_left_out(void **state)
{
    (void)state;
    const struct record without_key = {.value = bytes_of("x")}, tombstone = {.key = bytes_of("a")};
    struct replayed out = {0};
    struct error error = {0};
    assert_false(replay_make(&without_key, &order, &out, &error));
    assert_non_null(strstr(error.text, "no key"));
    assert_false(replay_make(&tombstone, &order, &out, &error));
    assert_non_null(strstr(error.text, "no value"));
}

static void ranges_of_offsets(void **state)
{
    (void)state;
    struct replay_range range;
    assert_true(replay_range_parse("3:120-180", &range));
    assert_int_equal(range.partition, 3);
    assert_int_equal(range.from, 120);
    assert_int_equal(range.to, 180);
    assert_true(replay_range_parse("0:5-5", &range));
    static const char *const bad[] = {"",       "3",      "3:1",   "3:5-4", ":1-2",           "-1:1-2",
                                      "3:-1-2", "3:1-2x", "a:1-2", "3:1-",  "99999999999:1-2"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(replay_range_parse(bad[i], &range));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_replay_is_the_same_event_as_a_new_workflow),
        cmocka_unit_test(another_agent_gets_the_key_and_an_id_of_its_own),
        cmocka_unit_test(foreign_records_are_named_by_their_place),
        cmocka_unit_test(what_is_no_event_is_left_out),
        cmocka_unit_test(ranges_of_offsets),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
