/* test_record.c: events, results and dead letters as records, and events back again.
 * SPDX-License-Identifier: Apache-2.0 */
#include "record.h"
#include "signature.h"
#include "text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants its headers first */
#include <cmocka.h>

#define INITIAL(text)                                                                                                  \
    {                                                                                                                  \
        (const uint8_t *)(text), sizeof(text) - 1                                                                      \
    }
#define BYTES(text) ((struct bytes)INITIAL(text))

static void expect_bytes(struct bytes got, struct bytes wanted)
{
    if (got.size != wanted.size || (got.size > 0 && memcmp(got.data, wanted.data, got.size) != 0))
        fail_msg("'%.*s', not '%.*s'", (int)got.size, got.data, (int)wanted.size, wanted.data);
}

static void expect_header(const struct record *r, const char *name, const char *value)
{
    struct bytes got = record_header(r, name);
    if (!value) assert_null(got.data);
    if (value) expect_bytes(got, bytes_of(value));
}

/* The constants were computed with another implementation: hashlib.sha256 over struct.pack('>I', len(x)) + x. */
static void workflow_ids_match_an_independent_computation(void **state)
{
    (void)state;
    static const char delivery[] = "72d3162e-cc78-11e3-81ab-4c9367dc0958";
    char id[RECORD_WORKFLOW_ID_SIZE], long_source[300];
    struct bytes none = {NULL, 0}, agent = BYTES("triage"), scheme = BYTES("github");
    struct bytes source = BYTES("https://github.com");
    record_workflow_id(agent, scheme, source, bytes_of(delivery), none, id);
    assert_string_equal(id, "wh-3718c39df809368c952f5f4309d68fb7");
    record_workflow_id(agent, scheme, source, bytes_of(delivery), BYTES("replay-1"), id);
    assert_string_equal(id, "wh-fb39358ddffe4455ebea49da4d017746");
    memset(long_source, 'b', sizeof long_source);
    record_workflow_id(BYTES("a"), none, (struct bytes){(uint8_t *)long_source, sizeof long_source}, BYTES("\xc3\xa9"),
                       none, id);
    assert_string_equal(id, "wh-49d2718579e5e610fda9544e3be5d7bf");
}

static void workflow_ids_depend_on_where_a_field_ends(void **state)
{
    (void)state;
    char a[RECORD_WORKFLOW_ID_SIZE], b[RECORD_WORKFLOW_ID_SIZE];
    struct bytes none = {NULL, 0};
    record_workflow_id(BYTES("ab"), BYTES("c"), none, none, none, a);
    record_workflow_id(BYTES("a"), BYTES("bc"), none, none, none, b);
    assert_string_not_equal(a, b);
    record_workflow_id(BYTES("ab"), none, BYTES("c"), none, none, b);
    assert_string_not_equal(a, b);
}

static const struct record_header http[] = {{INITIAL("http-x-github-event"), INITIAL("push")},
                                            {INITIAL("http-x-github-delivery"), INITIAL("d-1")}};

static struct record_event push_event(void)
{
    return (struct record_event){
        .agent_id = BYTES("triage"),
        .workflow_id = BYTES("wh-3718c39df809368c952f5f4309d68fb7"),
        .content_type = BYTES("application/json"),
        .ce_id = BYTES("d-1"),
        .ce_source = BYTES("https://github.com"),
        .ce_type = BYTES("com.github.push"),
        .ce_time = BYTES("2026-11-23T12:00:00.000001Z"),
        .recorded_time = BYTES("2026-11-23T12:00:00.123456Z"),
        .trigger_json = BYTES("{\"event_source\":\"https://github.com\",\"description\":\"A push\",\"metadata\":{},"
                              "\"dedupe_s\":259200}"),
        .evidence_json = BYTES("{\"scheme\":\"github\"}"),
        .traceparent = BYTES("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        .http = http,
        .http_count = 2,
        .body = BYTES("{\"ref\":\"main\"}\n"),
    };
}

static void an_event_has_the_headers_of_the_contract(void **state)
{
    (void)state;
    static const char *const order[] = {"ce_specversion",
                                        "content-type",
                                        "ce_id",
                                        "ce_source",
                                        "ce_type",
                                        "ce_time",
                                        "ce_agentid",
                                        "ce_workflowid",
                                        "ce_partitionkey",
                                        "ce_recordedtime",
                                        "drawbridge-trigger",
                                        "drawbridge-evidence",
                                        "traceparent",
                                        "http-x-github-event",
                                        "http-x-github-delivery"};
    struct record_header headers[RECORD_HEADERS_MAX];
    struct record_event event = push_event();
    struct record r;
    record_from_event(&event, headers, &r);
    assert_int_equal(r.header_count, sizeof order / sizeof order[0]);
    for (size_t i = 0; i < r.header_count; i++)
        expect_bytes(r.headers[i].name, bytes_of(order[i]));
    expect_bytes(r.key, BYTES("triage"));
    expect_bytes(r.value, event.body);
    expect_header(&r, "ce_specversion", "1.0");
    expect_header(&r, "ce_agentid", "triage");
    expect_header(&r, "ce_partitionkey", "triage");
    expect_header(&r, "ce_workflowid", "wh-3718c39df809368c952f5f4309d68fb7");
    expect_header(&r, "drawbridge-evidence", "{\"scheme\":\"github\"}");
    expect_header(&r, "http-x-github-event", "push");
    expect_header(&r, "CE_ID", NULL);
}

static void an_empty_body_is_an_empty_value_and_no_tombstone(void **state)
{
    (void)state;
    struct record_header headers[RECORD_HEADERS_MAX];
    struct record_event event = push_event();
    struct record r;
    event.body = (struct bytes){NULL, 0};
    event.traceparent = (struct bytes){NULL, 0};
    event.content_type = BYTES("");
    record_from_event(&event, headers, &r);
    assert_non_null(r.value.data);
    assert_int_equal(r.value.size, 0);
    expect_header(&r, "traceparent", NULL);
    expect_header(&r, "content-type", NULL);
}

static void headers_never_overflow(void **state)
{
    (void)state;
    static struct record_header many[RECORD_HEADERS_MAX + 50], headers[RECORD_HEADERS_MAX + 1];
    struct record_event event = push_event();
    struct record r;
    for (size_t i = 0; i < RECORD_HEADERS_MAX + 50; i++)
        many[i] = (struct record_header){BYTES("http-x"), BYTES("y")};
    event.http = many;
    event.http_count = RECORD_HEADERS_MAX + 50;
    headers[RECORD_HEADERS_MAX].name = BYTES("untouched");
    record_from_event(&event, headers, &r);
    assert_int_equal(r.header_count, RECORD_HEADERS_MAX);
    expect_bytes(headers[RECORD_HEADERS_MAX].name, BYTES("untouched"));
}

/* decode(encode(x)) = x, for texts of random bytes and length in every field. */

static uint64_t seed = 88172645463325252u;
static uint64_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static struct bytes random_bytes(uint8_t *room, size_t max)
{
    size_t size = next_random() % 3 == 0 ? 0 : next_random() % max;
    for (size_t i = 0; i < size; i++)
        room[i] = (uint8_t)next_random();
    return (struct bytes){room, size};
}

static struct bytes random_workflow_id(uint8_t *room)
{
    uint8_t raw[16];
    if (next_random() % 4 == 0) return (struct bytes){NULL, 0};
    for (size_t i = 0; i < sizeof raw; i++)
        raw[i] = (uint8_t)next_random();
    memcpy(room, "wh-", 3);
    text_hex(raw, sizeof raw, (char *)room + 3);
    return (struct bytes){room, 35};
}

static void decoding_undoes_encoding(void **state)
{
    (void)state;
    static uint8_t rooms[8][400];
    for (int round = 0; round < 20000; round++) {
        struct record_header headers[RECORD_HEADERS_MAX], copied[RECORD_HEADERS_MAX];
        struct record_event event = push_event(), again;
        struct record_event_view view;
        struct record r, r2;
        char recorded[TEXT_TIME_SIZE];
        int64_t recorded_us = (int64_t)(next_random() % 4000000000000000u);
        text_format_time(recorded_us, recorded);
        event.content_type = random_bytes(rooms[0], 100);
        event.ce_id = random_bytes(rooms[1], 300);
        event.ce_source = random_bytes(rooms[2], 100);
        event.ce_type = random_bytes(rooms[3], 100);
        event.ce_time = random_bytes(rooms[4], 30);
        event.traceparent = random_bytes(rooms[5], 60);
        event.body = random_bytes(rooms[6], 400);
        event.workflow_id = random_workflow_id(rooms[7]);
        event.recorded_time = bytes_of(recorded);
        record_from_event(&event, headers, &r);
        struct error error = {0};
        if (!record_to_event(&r, &view, &error)) fail_msg("%s", error.text);
        assert_int_equal(view.recorded_us, recorded_us);
        assert_int_equal(view.dedupe_s, 259200);
        assert_string_equal(view.description, "A push");
        again = (struct record_event){.agent_id = view.agent_id,
                                      .workflow_id = view.workflow_id,
                                      .content_type = view.content_type,
                                      .ce_id = view.ce_id,
                                      .ce_source = view.ce_source,
                                      .ce_type = view.ce_type,
                                      .ce_time = view.ce_time,
                                      .recorded_time = view.recorded_time,
                                      .trigger_json = view.trigger_json,
                                      .evidence_json = event.evidence_json,
                                      .traceparent = view.traceparent,
                                      .http = http,
                                      .http_count = 2,
                                      .body = view.body};
        record_from_event(&again, copied, &r2);
        assert_int_equal(r.header_count, r2.header_count);
        for (size_t i = 0; i < r.header_count; i++) {
            expect_bytes(r2.headers[i].name, r.headers[i].name);
            expect_bytes(r2.headers[i].value, r.headers[i].value);
        }
        expect_bytes(r2.key, r.key);
        expect_bytes(r2.value, r.value);
    }
}

/* What others may have written (J23). */

static void a_foreign_record_decodes_with_gaps(void **state)
{
    (void)state;
    struct record_event_view view;
    struct record r = {.key = BYTES("triage"), .value = BYTES("")};
    assert_true(record_to_event(&r, &view, NULL));
    expect_bytes(view.agent_id, BYTES("triage"));
    assert_int_equal(view.ce_id.size + view.workflow_id.size + view.ce_type.size, 0);
    assert_int_equal(view.recorded_us, 0);
    assert_int_equal(view.dedupe_s, 86400);
    assert_string_equal(view.description, "External event");
}

static const struct {
    const char *name;
    struct bytes key, value;
    struct record_header header;
    const char *says; /* NULL: it decodes */
} foreign[] = {
    {"no key", {NULL, 0}, INITIAL("x"), {{NULL, 0}, {NULL, 0}}, "no key"},
    {"no value", INITIAL("a"), {NULL, 0}, {{NULL, 0}, {NULL, 0}}, "no value"},
    {"empty key", INITIAL(""), INITIAL("x"), {{NULL, 0}, {NULL, 0}}, "agent_id"},
    {"key with a slash", INITIAL("a/b"), INITIAL("x"), {{NULL, 0}, {NULL, 0}}, "agent_id"},
    {"dots", INITIAL(".."), INITIAL("x"), {{NULL, 0}, {NULL, 0}}, "agent_id"},
    {"workflow id with a slash",
     INITIAL("a"),
     INITIAL("x"),
     {INITIAL("ce_workflowid"), INITIAL("wh-1/step")},
     "ce_workflowid"},
    {"workflow id like a marker",
     INITIAL("a"),
     INITIAL("x"),
     {INITIAL("ce_workflowid"), INITIAL("@position")},
     "ce_workflowid"},
    {"workflow id upper case",
     INITIAL("a"),
     INITIAL("x"),
     {INITIAL("ce_workflowid"), INITIAL("wh-3718C39DF809368c952f5f4309d68fb7")},
     "ce_workflowid"},
    {"workflow id too long",
     INITIAL("a"),
     INITIAL("x"),
     {INITIAL("ce_workflowid"), INITIAL("wh-3718c39df809368c952f5f4309d68fb70")},
     "ce_workflowid"},
    {"trigger no JSON",
     INITIAL("a"),
     INITIAL("x"),
     {INITIAL("drawbridge-trigger"), INITIAL("{")},
     "drawbridge-trigger"},
    {"trigger empty", INITIAL("a"), INITIAL("x"), {INITIAL("drawbridge-trigger"), INITIAL("")}, "drawbridge-trigger"},
    {"trigger no object",
     INITIAL("a"),
     INITIAL("x"),
     {INITIAL("drawbridge-trigger"), INITIAL("[]")},
     "drawbridge-trigger"},
    {"description no text",
     INITIAL("a"),
     INITIAL("x"),
     {INITIAL("drawbridge-trigger"), INITIAL("{\"description\":1}")},
     "description"},
    {"description twice",
     INITIAL("a"),
     INITIAL("x"),
     {INITIAL("drawbridge-trigger"), INITIAL("{\"description\":\"a\",\"description\":\"b\"}")},
     "description"},
    {"dedupe text",
     INITIAL("a"),
     INITIAL("x"),
     {INITIAL("drawbridge-trigger"), INITIAL("{\"dedupe_s\":\"1\"}")},
     "dedupe_s"},
    {"dedupe negative",
     INITIAL("a"),
     INITIAL("x"),
     {INITIAL("drawbridge-trigger"), INITIAL("{\"dedupe_s\":-1}")},
     "dedupe_s"},
    {"dedupe huge",
     INITIAL("a"),
     INITIAL("x"),
     {INITIAL("drawbridge-trigger"), INITIAL("{\"dedupe_s\":9007199254740991}")},
     "dedupe_s"},
    {"dedupe fraction",
     INITIAL("a"),
     INITIAL("x"),
     {INITIAL("drawbridge-trigger"), INITIAL("{\"dedupe_s\":1.5}")},
     "dedupe_s"},
    {"dedupe zero", INITIAL("a"), INITIAL("x"), {INITIAL("drawbridge-trigger"), INITIAL("{\"dedupe_s\":0}")}, NULL},
    {"unknown trigger keys",
     INITIAL("a"),
     INITIAL("x"),
     {INITIAL("drawbridge-trigger"), INITIAL("{\"new\":[1]}")},
     NULL},
    {"recordedtime no time", INITIAL("a"), INITIAL("x"), {INITIAL("ce_recordedtime"), INITIAL("yesterday")}, NULL},
};

static void a_record_that_is_no_event_says_why(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        struct record_event_view view;
        struct error error = {0};
        struct record r = {.key = foreign[i].key, .value = foreign[i].value, .headers = &foreign[i].header};
        r.header_count = foreign[i].header.name.data ? 1 : 0;
        bool decoded = record_to_event(&r, &view, &error);
        if (decoded != !foreign[i].says) fail_msg("%s: %s", foreign[i].name, error.text);
        if (decoded) continue;
        assert_int_equal(error.code, ERROR_INVALID);
        if (!strstr(error.text, foreign[i].says)) fail_msg("%s: %s", foreign[i].name, error.text);
    }
}

static void the_last_header_of_a_name_counts(void **state)
{
    (void)state;
    const struct record_header headers[] = {{BYTES("ce_id"), BYTES("first")}, {BYTES("ce_id"), BYTES("last")}};
    struct record r = {.key = BYTES("a"), .value = BYTES("x"), .headers = headers, .header_count = 2};
    expect_header(&r, "ce_id", "last");
    expect_header(&r, "ce", NULL);
}

static void a_long_description_is_cut_between_characters(void **state)
{
    (void)state;
    struct buffer json;
    struct record_event_view view;
    buffer_init(&json, 4096);
    buffer_text(&json, "{\"description\":\"x");
    for (int i = 0; i < 200; i++)
        buffer_text(&json, "\xc3\xa9");
    buffer_text(&json, "\"}");
    struct record_header header = {BYTES("drawbridge-trigger"), buffer_view(&json)};
    struct record r = {.key = BYTES("a"), .value = BYTES("x"), .headers = &header, .header_count = 1};
    assert_true(record_to_event(&r, &view, NULL));
    assert_int_equal(strlen(view.description), 255);
    assert_true(text_is_utf8(bytes_of(view.description)));
    buffer_clear(&json);
    buffer_text(&json, "{\"description\":\"");
    for (int i = 0; i < 200; i++)
        buffer_text(&json, "\xc3\xa9");
    buffer_text(&json, "\"}");
    header.value = buffer_view(&json);
    assert_true(record_to_event(&r, &view, NULL));
    assert_int_equal(strlen(view.description), 254);
    assert_true(text_is_utf8(bytes_of(view.description)));
    buffer_close(&json);
}

/* Results. */

static struct record_result good_result(void)
{
    return (struct record_result){
        .agent_id = BYTES("triage"),
        .workflow_id = BYTES("wh-3718c39df809368c952f5f4309d68fb7"),
        .event_id = BYTES("d-1"),
        .status = RECORD_SUCCEEDED,
        .output = BYTES("done\n"),
        .attempts = 1,
        .backend = "command",
        .triggered_us = 1795435200123456,
        .started_us = 1795435201000000,
        .ended_us = 1795435202234567,
        .source_topic = "drawbridge.events",
        .source_partition = 3,
        .source_offset = 42,
    };
}

static void expect_result(const struct record_result *result, const char *json)
{
    struct buffer value, scratch;
    struct record_header headers[RECORD_HEADERS_MAX];
    struct record r;
    buffer_init(&value, 4096);
    buffer_init(&scratch, 4096);
    record_from_result(result, &value, &scratch, headers, &r);
    assert_true(buffer_ok(&value) && buffer_ok(&scratch));
    expect_bytes(r.value, bytes_of(json));
    expect_bytes(r.key, result->agent_id);
    expect_header(&r, "content-type", "application/json");
    expect_header(&r, "ce_id", "wh-3718c39df809368c952f5f4309d68fb7");
    expect_header(&r, "ce_source", "/agents/triage/runs");
    expect_header(&r, "ce_time", "2026-11-23T12:00:02.234567Z");
    char type[64];
    snprintf(type, sizeof type, "drawbridge.run.%s", record_status_name(result->status));
    expect_header(&r, "ce_type", type);
    buffer_close(&value);
    buffer_close(&scratch);
}

static void a_result_has_the_fields_of_the_contract_in_order(void **state)
{
    (void)state;
    struct record_result result = good_result();
    expect_result(
        &result,
        "{\"agent_id\":\"triage\",\"triggered_at\":\"2026-11-23T12:00:00.123456+00:00\",\"success\":true,"
        "\"workflow_id\":\"wh-3718c39df809368c952f5f4309d68fb7\",\"output\":\"done\\n\",\"error\":null,"
        "\"status\":\"succeeded\",\"attempts\":1,\"backend\":\"command\",\"engine_handle\":null,"
        "\"started_at\":\"2026-11-23T12:00:01.000000+00:00\",\"ended_at\":\"2026-11-23T12:00:02.234567+00:00\","
        "\"duration_ms\":1234,\"event_id\":\"d-1\","
        "\"source\":{\"topic\":\"drawbridge.events\",\"partition\":3,\"offset\":42},"
        "\"dead_lettered\":false,\"output_truncated\":false}");
}

static void a_failed_result_says_why(void **state)
{
    (void)state;
    struct record_result result = good_result();
    result.status = RECORD_TIMED_OUT;
    result.error = "no end within 1h";
    result.output = (struct bytes){NULL, 0};
    result.backend = NULL;
    result.started_us = 0;
    result.attempts = 0;
    result.dead_lettered = result.output_truncated = true;
    result.engine_handle = BYTES("h");
    expect_result(
        &result,
        "{\"agent_id\":\"triage\",\"triggered_at\":\"2026-11-23T12:00:00.123456+00:00\",\"success\":false,"
        "\"workflow_id\":\"wh-3718c39df809368c952f5f4309d68fb7\",\"output\":null,\"error\":\"no end within 1h\","
        "\"status\":\"timed_out\",\"attempts\":0,\"backend\":null,\"engine_handle\":\"h\","
        "\"started_at\":null,\"ended_at\":\"2026-11-23T12:00:02.234567+00:00\","
        "\"duration_ms\":0,\"event_id\":\"d-1\","
        "\"source\":{\"topic\":\"drawbridge.events\",\"partition\":3,\"offset\":42},"
        "\"dead_lettered\":true,\"output_truncated\":true}");
}

static void output_of_any_bytes_makes_valid_json(void **state)
{
    (void)state;
    struct record_result result = good_result();
    struct buffer value, scratch;
    struct record_header headers[RECORD_HEADERS_MAX];
    struct record r;
    buffer_init(&value, 4096);
    buffer_init(&scratch, 4096);
    result.output = BYTES("a\xff\x01\"\\");
    result.traceparent = BYTES("00-1");
    result.started_us = result.ended_us + 5000; /* the wall clock stepped back */
    record_from_result(&result, &value, &scratch, headers, &r);
    struct error error;
    struct json *json = json_parse(r.value, &error);
    const char *output;
    int64_t duration;
    assert_non_null(json);
    assert_true(json_text(json_get(json, "output", NULL), &output));
    assert_string_equal(output, "a\xef\xbf\xbd\x01\"\\");
    assert_true(json_int64(json_get(json, "duration_ms", NULL), &duration));
    assert_int_equal(duration, 0);
    expect_header(&r, "traceparent", "00-1");
    json_free(json);
    buffer_close(&value);
    buffer_close(&scratch);
    buffer_init(&value, 100); /* too small: the sticky error says so, nothing half is left */
    buffer_init(&scratch, 4096);
    record_from_result(&result, &value, &scratch, headers, &r);
    assert_false(buffer_ok(&value));
    buffer_close(&value);
    buffer_close(&scratch);
}

/* Dead letters and copies. */

static void a_dead_letter_is_the_event_and_three_headers(void **state)
{
    (void)state;
    struct record_header headers[RECORD_HEADERS_MAX], dead[RECORD_DEAD_LETTER_HEADERS_MAX];
    struct record_event event = push_event();
    struct record_dead_letter why = {.error = "exit 1",
                                     .attempts = 3,
                                     .source_topic = "drawbridge.events",
                                     .source_partition = 3,
                                     .source_offset = 42};
    struct record r, letter, again;
    struct buffer scratch, scratch2;
    buffer_init(&scratch, 1024);
    buffer_init(&scratch2, 1024);
    record_from_event(&event, headers, &r);
    record_to_dead_letter(&r, &why, &scratch, dead, &letter);
    assert_int_equal(letter.header_count, r.header_count + 3);
    for (size_t i = 0; i < r.header_count; i++)
        expect_bytes(letter.headers[i].value, r.headers[i].value);
    expect_bytes(letter.key, r.key);
    expect_bytes(letter.value, r.value);
    expect_header(&letter, "drawbridge-error", "exit 1");
    expect_header(&letter, "drawbridge-attempts", "3");
    expect_header(&letter, "drawbridge-source", "{\"topic\":\"drawbridge.events\",\"partition\":3,\"offset\":42}");
    struct record_header dead2[RECORD_DEAD_LETTER_HEADERS_MAX];
    why.error = "exit 2";
    record_to_dead_letter(&letter, &why, &scratch2, dead2, &again);
    assert_int_equal(again.header_count, letter.header_count);
    expect_header(&again, "drawbridge-error", "exit 2");
    buffer_close(&scratch);
    buffer_close(&scratch2);
}

static void a_copy_owns_everything_unknown_headers_too(void **state)
{
    (void)state;
    char key[] = "triage", value[] = "body", name[] = "x-unknown", text[] = "1";
    struct record_header headers[] = {
        {bytes_of(name), bytes_of(text)}, {bytes_of(name), {NULL, 0}}, {BYTES(""), BYTES("")}};
    struct record r = {.key = bytes_of(key), .value = bytes_of(value), .headers = headers, .header_count = 3};
    struct record *copy = record_dup(&r);
    assert_non_null(copy);
    size_t size = record_wire_size(&r);
    memset(key, 0, sizeof key);
    memset(value, 0, sizeof value);
    memset(name, 0, sizeof name);
    memset(text, 0, sizeof text);
    memset(headers, 0, sizeof headers);
    expect_bytes(copy->key, BYTES("triage"));
    expect_bytes(copy->value, BYTES("body"));
    expect_bytes(copy->headers[0].name, BYTES("x-unknown"));
    expect_bytes(copy->headers[0].value, BYTES("1"));
    assert_null(copy->headers[1].value.data);
    assert_non_null(copy->headers[2].value.data);
    assert_int_equal(record_wire_size(copy), size);
    free(copy);
    struct record tombstone = {.key = BYTES("k"), .value = {NULL, 0}}, empty = {.key = BYTES("k"), .value = BYTES("")};
    copy = record_dup(&tombstone);
    assert_null(copy->value.data);
    free(copy);
    copy = record_dup(&empty);
    assert_non_null(copy->value.data);
    free(copy);
}

static void the_wire_size_is_never_too_small(void **state)
{
    (void)state;
    struct record_header headers[RECORD_HEADERS_MAX];
    struct record_event event = push_event();
    struct record r;
    record_from_event(&event, headers, &r);
    size_t plain = r.key.size + r.value.size;
    for (size_t i = 0; i < r.header_count; i++)
        plain += r.headers[i].name.size + r.headers[i].value.size + 2;
    assert_true(record_wire_size(&r) >= plain + 61 + 21); /* batch header; record framing with five-byte varints */
}

static int set_up(void **state)
{
    (void)state;
    return signature_init(NULL) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    signature_close();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workflow_ids_match_an_independent_computation),
        cmocka_unit_test(workflow_ids_depend_on_where_a_field_ends),
        cmocka_unit_test(an_event_has_the_headers_of_the_contract),
        cmocka_unit_test(an_empty_body_is_an_empty_value_and_no_tombstone),
        cmocka_unit_test(headers_never_overflow),
        cmocka_unit_test(decoding_undoes_encoding),
        cmocka_unit_test(a_foreign_record_decodes_with_gaps),
        cmocka_unit_test(a_record_that_is_no_event_says_why),
        cmocka_unit_test(the_last_header_of_a_name_counts),
        cmocka_unit_test(a_long_description_is_cut_between_characters),
        cmocka_unit_test(a_result_has_the_fields_of_the_contract_in_order),
        cmocka_unit_test(a_failed_result_says_why),
        cmocka_unit_test(output_of_any_bytes_makes_valid_json),
        cmocka_unit_test(a_dead_letter_is_the_event_and_three_headers),
        cmocka_unit_test(a_copy_owns_everything_unknown_headers_too),
        cmocka_unit_test(the_wire_size_is_never_too_small),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
