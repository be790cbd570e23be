/* test_event_json.c: what a command reads; the payload keeps every digit of the sender's.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "json.h"
#include "runner.h"
#include <string.h>

static struct json *written(struct bytes body, const struct record_header *more, size_t more_count, struct buffer *out)
{
    struct record_header headers[16] = {
        {bytes_of("ce_id"), bytes_of("first")},
        {bytes_of("ce_id"), bytes_of("7")},
        {bytes_of("ce_type"), bytes_of("com.x.push")},
        {bytes_of("content-type"), bytes_of("application/json")},
        {bytes_of("http-x-signature"), bytes_of("s3cr")},
        {bytes_of("drawbridge-evidence"), bytes_of("{}")},
        {bytes_of("traceparent"), bytes_of("00-1-2-01")},
        {bytes_of("drawbridge-trigger"), bytes_of("{\"description\":\"A push\",\"metadata\":{\"team\":\"a\"}}")}};
    size_t count = 8;
    for (size_t i = 0; i < more_count; i++)
        headers[count++] = more[i];
    struct record event = {bytes_of("triage"), body, headers, count};
    struct event_json e = {.event = &event, .workflow_id = bytes_of("wh-1"), .attempt = 2, .deadline_us = 1000000};
    struct error error;
    assert_true(record_to_event(&event, &e.view, &error));
    buffer_init(out, 1 << 20);
    event_json_write(&e, out);
    assert_true(buffer_ok(out));
    struct json *doc = json_parse((struct bytes){out->data, out->size}, &error);
    assert_non_null(doc);
    return doc;
}

static const char *text_at(const struct json *object, const char *key)
{
    const char *text = NULL;
    return json_text(json_get(object, key, NULL), &text) ? text : NULL;
}

static void the_event_is_told_without_the_senders_request(void **state)
{
    (void)state;
    struct buffer out;
    struct json *doc = written(bytes_of("{\"a\":1}"), NULL, 0, &out);
    const struct json *event = json_get(doc, "event", NULL);
    int64_t attempt = 0;
    assert_true(json_int64(json_get(doc, "attempt", NULL), &attempt) && attempt == 2);
    assert_string_equal(text_at(doc, "workflow_id"), "wh-1");
    assert_string_equal(text_at(doc, "agent_id"), "triage");
    assert_string_equal(text_at(doc, "deadline"), "1970-01-01T00:00:01.000000Z");
    assert_string_equal(text_at(event, "id"), "7");
    assert_string_equal(text_at(event, "type"), "com.x.push");
    assert_string_equal(text_at(event, "datacontenttype"), "application/json");
    assert_string_equal(text_at(event, "body"), "{\"a\":1}");
    assert_string_equal(text_at(json_get(event, "headers", NULL), "traceparent"), "00-1-2-01");
    assert_int_equal(json_count(json_get(event, "headers", NULL)), 1);
    assert_string_equal(text_at(json_get(json_get(event, "trigger", NULL), "metadata", NULL), "team"), "a");
    assert_null(strstr(buffer_cstr(&out), "s3cr"));
    json_free(doc);
    buffer_close(&out);
}

static void the_prompt_indents_without_reprinting(void **state)
{
    (void)state;
    static const struct {
        const char *body, *payload;
    } rows[] = {
        {"{}", "{}"},
        {"[ ]", "[]"},
        {"9007199254740993", "9007199254740993"},
        {"{\"a\":1e400,\"b\":[1,{\"c\":\"x,{\\\"y\"}],\"d\":{ }}",
         "{\n  \"a\": 1e400,\n  \"b\": [\n    1,\n    {\n      \"c\": \"x,{\\\"y\"\n    }\n  ],\n  \"d\": {}\n}"},
        {"not {JSON", "not {JSON"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buffer out;
        char expected[256] = "Event received: A push\nPayload: ";
        strncat(expected, rows[i].payload, 200);
        struct json *doc = written(bytes_of(rows[i].body), NULL, 0, &out);
        assert_string_equal(text_at(doc, "prompt"), expected);
        json_free(doc);
        buffer_close(&out);
    }
}

static void what_is_no_text_comes_as_base64(void **state)
{
    (void)state;
    struct buffer out;
    struct json *doc = written((struct bytes){(const uint8_t *)"\xff\x00\x01", 3}, NULL, 0, &out);
    const struct json *event = json_get(doc, "event", NULL);
    assert_null(json_get(event, "body", NULL));
    assert_string_equal(text_at(event, "body_base64"), "/wAB");
    json_free(doc);
    buffer_close(&out);
}

static void foreign_headers_cannot_break_the_object(void **state)
{
    (void)state;
    struct buffer out;
    const struct record_header odd[] = {{{(const uint8_t *)"", 0}, bytes_of("x")},
                                        {bytes_of("a\"b\n"), bytes_of("q\"\xff")},
                                        {bytes_of("\xfe"), bytes_of("x")},
                                        {bytes_of("ce_"), bytes_of("x")},
                                        {bytes_of("null"), {NULL, 0}}};
    struct json *doc = written(bytes_of("[]"), odd, 5, &out);
    assert_string_equal(text_at(json_get(json_get(doc, "event", NULL), "headers", NULL), "a\"b\n"), "q\"\xef\xbf\xbd");
    json_free(doc);
    buffer_close(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_event_is_told_without_the_senders_request),
                                       cmocka_unit_test(the_prompt_indents_without_reprinting),
                                       cmocka_unit_test(what_is_no_text_comes_as_base64),
                                       cmocka_unit_test(foreign_headers_cannot_break_the_object)};
    return cmocka_run_group_tests_name("event_json", tests, NULL, NULL);
}
