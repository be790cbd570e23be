/* test_cloudevent.c: CloudEvents over HTTP in both modes: mapped, or refused by the attribute's name.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ingress.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants its headers first */
#include <cmocka.h>

enum { HEADERS_MAX = 40 };

struct bench {
    struct buffer id, type, attributes;
    struct cloudevent event;
    struct error error;
};

static void bench_open(struct bench *b)
{
    *b = (struct bench){0};
    buffer_init(&b->id, 65536);
    buffer_init(&b->type, 65536);
    buffer_init(&b->attributes, 65536);
}

static void bench_close(struct bench *b)
{
    buffer_close(&b->id);
    buffer_close(&b->type);
    buffer_close(&b->attributes);
}

static struct cloudevent_texts texts_of(struct bench *b)
{
    return (struct cloudevent_texts){&b->id, &b->type, &b->attributes};
}

static const char *attribute(const struct bench *b, const char *name)
{
    static char text[2048];
    for (size_t i = 0; i < b->event.count; i++) {
        if (!bytes_are(b->event.attributes[i].name, name)) continue;
        struct bytes value = b->event.attributes[i].value;
        memcpy(text, value.data, value.size);
        text[value.size] = 0;
        return text;
    }
    return NULL;
}

/* "name: value" for each line. */
static struct http_head head_of(const char *const *lines, struct http_header headers[HEADERS_MAX])
{
    struct http_head head = {.headers = headers};
    for (; *lines; lines++) {
        const char *colon = strchr(*lines, ':');
        headers[head.header_count++] = (struct http_header){{(const uint8_t *)*lines, (size_t)(colon - *lines)},
                                                            bytes_of(colon[1] == ' ' ? colon + 2 : colon + 1)};
    }
    return head;
}

static bool from_headers(struct bench *b, const char *const *lines)
{
    struct http_header headers[HEADERS_MAX];
    struct http_head head = head_of(lines, headers);
    return cloudevent_from_headers(&head, &b->event, texts_of(b), &b->error);
}

#define REQUIRED "ce-specversion: 1.0", "ce-id: 42", "ce-source: /shop/orders", "ce-type: com.example.order"

static void binary_mode_is_mapped(void **state)
{
    (void)state;
    static const char *const lines[] = {"Host: x",
                                        "Content-Type: application/json",
                                        "CE-SpecVersion: 1.0",
                                        "Ce-Id: 42",
                                        "ce-source: https://shop.example/orders",
                                        "ce-type: com.example.%C3%A4nderung",
                                        "ce-time: 2026-11-26T12:00:00+01:00",
                                        "ce-subject: \"a \\\"quoted\\\" %F0%9F%98%80\"",
                                        "ce-Region: eu%20west",
                                        "ce-traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                                        "ce-agentid: somebody-else",
                                        "ce-workflowid: wh-1",
                                        "ce-partitionkey: p",
                                        "ce-recordedtime: 2000-01-01T00:00:00Z",
                                        "ce-datacontenttype: text/html",
                                        NULL};
    struct bench b;
    bench_open(&b);
    if (!from_headers(&b, lines)) fail_msg("%s", b.error.text);
    assert_string_equal(buffer_cstr(&b.id), "https://shop.example/orders 42");
    assert_string_equal(buffer_cstr(&b.type), "com.example.\xc3\xa4nderung");
    assert_true(b.event.has_time);
    char time[TEXT_TIME_SIZE];
    text_format_time(b.event.time_us, time);
    assert_string_equal(time, "2026-11-26T11:00:00.000000Z");
    assert_int_equal(b.event.count, 3);
    assert_string_equal(attribute(&b, "ce_subject"), "a \"quoted\" \xf0\x9f\x98\x80");
    assert_string_equal(attribute(&b, "ce_region"), "eu west");
    assert_non_null(attribute(&b, "ce_traceparent"));
    bench_close(&b);
}

static void one_round_of_decoding_only(void **state)
{
    (void)state;
    static const char *const lines[] = {REQUIRED, "ce-a: %2541", "ce-b: a+b", "ce-c: \"%41\\%41\"", "ce-d: \"", NULL};
    struct bench b;
    bench_open(&b);
    if (!from_headers(&b, lines)) fail_msg("%s", b.error.text);
    assert_string_equal(attribute(&b, "ce_a"), "%41");
    assert_string_equal(attribute(&b, "ce_b"), "a+b");
    assert_string_equal(attribute(&b, "ce_c"), "AA");
    assert_string_equal(attribute(&b, "ce_d"), "\"");
    bench_close(&b);
}

static char long_source[300], long_value[1100], long_type[300];

static const struct refusal {
    const char *lines[6];
    const char *says;
} refusals[] = {
    {{"ce-id: 1", "ce-source: /a", "ce-type: t"}, "'specversion' is missing"},
    {{"ce-specversion: 1.0", "ce-source: /a", "ce-type: t"}, "'id' is missing"},
    {{"ce-specversion: 1.0", "ce-id: 1", "ce-type: t"}, "'source' is missing"},
    {{"ce-specversion: 1.0", "ce-id: 1", "ce-source: /a"}, "'type' is missing"},
    {{"ce-specversion: 0.3", "ce-id: 1", "ce-source: /a", "ce-type: t"}, "'specversion' is not 1.0"},
    {{"ce-specversion: 1.0", "ce-id:", "ce-source: /a", "ce-type: t"}, "'id' is not 1 to 1024"},
    {{"ce-specversion: 1.0", "ce-id: 1", "ce-source: /a%20b", "ce-type: t"}, "'source' is not a URI reference"},
    {{"ce-specversion: 1.0", "ce-id: 1", "ce-source: /%C3%A4", "ce-type: t"}, "'source' is not a URI reference"},
    {{"ce-specversion: 1.0", "ce-id: %C3%A4", "ce-source: /a", "ce-type: t"}, "'id' is not printable ASCII"},
    {{"ce-specversion: 1.0", "ce-id: 1", "ce-source: /a", "ce-type: t%0A"}, "'type' is not 1 to 1024"},
    {{"ce-specversion: 1.0", "ce-id: 1", "ce-source: /a", "ce-type: t%FF"}, "'type' is not 1 to 1024"},
    {{"ce-specversion: 1.0", "ce-id: 1", "ce-source: /a", "ce-type: t%F"}, "'type' has a '%'"},
    {{"ce-specversion: 1.0", "ce-id: 1", "ce-source: /a", "ce-type: \"t\\\""}, "'type' has a '%'"},
    {{REQUIRED, "ce-id: 42"}, "'id' stands there twice"},
    {{REQUIRED, "ce-time: yesterday"}, "'time' is not RFC 3339"},
    {{REQUIRED, "ce-a_b: x"}, "attribute names are"},
    {{REQUIRED, "ce-: x"}, "attribute names are"},
    {{REQUIRED, "ce-abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklm: x"}, "attribute names are"},
    {{REQUIRED, long_value}, "'subject' is not 1 to 1024"},
    {{"ce-specversion: 1.0", "ce-id: 1", long_source, "ce-type: t"}, "source and id are together over"},
    {{"ce-specversion: 1.0", "ce-id: 1", "ce-source: /a", long_type}, "'type' is over 256"},
};

static void a_bad_attribute_is_named(void **state)
{
    (void)state;
    memset(long_source, 'a', sizeof long_source - 1);
    memcpy(long_source, "ce-source: /", 12);
    memset(long_value, 'a', sizeof long_value - 1);
    memcpy(long_value, "ce-subject: ", 12);
    memset(long_type, 'a', sizeof long_type - 1);
    memcpy(long_type, "ce-type: ", 9);
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct bench b;
        bench_open(&b);
        if (from_headers(&b, refusals[i].lines)) fail_msg("row %zu passed", i);
        if (!strstr(b.error.text, refusals[i].says)) fail_msg("row %zu: %s", i, b.error.text);
        bench_close(&b);
    }
}

static void extensions_are_bounded(void **state)
{
    (void)state;
    static char names[22][32];
    const char *lines[30] = {REQUIRED};
    for (size_t i = 0; i < 21; i++) {
        snprintf(names[i], sizeof names[i], "ce-x%zu: y", i);
        lines[4 + i] = names[i];
    }
    struct bench b;
    bench_open(&b);
    assert_false(from_headers(&b, lines));
    assert_non_null(strstr(b.error.text, "'x20' is one too many"));
    lines[24] = NULL;
    assert_true(from_headers(&b, lines));
    assert_int_equal(b.event.count, CLOUDEVENT_ATTRIBUTES_MAX);
    lines[24] = names[3];
    lines[4] = "ce-subject: s";
    lines[5] = "ce-subject: s";
    lines[6] = NULL;
    assert_false(from_headers(&b, lines));
    assert_non_null(strstr(b.error.text, "'subject' stands there twice"));
    bench_close(&b);
}

static void any_required_attribute_makes_it_a_cloudevent(void **state)
{
    (void)state;
    static const char *const yes[][2] = {{"ce-specversion: 1.0"}, {"CE-ID: 1"}, {"Ce-Source: /"}, {"ce-type: t"}};
    static const char *const no[][2] = {{"ce-subject: 1"}, {"ce-time: x"}, {"ce: 1"}, {"x-ce-id: 1"}, {"ceid: 1"}};
    struct http_header headers[HEADERS_MAX];
    for (size_t i = 0; i < 4; i++) {
        struct http_head head = head_of(yes[i], headers);
        assert_true(cloudevent_is_binary(&head));
    }
    for (size_t i = 0; i < 5; i++) {
        struct http_head head = head_of(no[i], headers);
        assert_false(cloudevent_is_binary(&head));
    }
}

static void structured_mode_is_mapped(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b);
    const char *body =
        "{\"specversion\":\"1.0\",\"id\":\"4\\u0032\",\"source\":\"/shop\",\"type\":\"com.example.order\","
        "\"time\":\"2026-11-26T12:00:00Z\",\"subject\":\"\xc3\xa4\",\"dataschema\":null,"
        "\"region\":\"eu\",\"data\":{\"id\":\"other\"}}";
    if (!cloudevent_from_body(bytes_of(body), &b.event, texts_of(&b), &b.error)) fail_msg("%s", b.error.text);
    assert_string_equal(buffer_cstr(&b.id), "/shop 42");
    assert_string_equal(buffer_cstr(&b.type), "com.example.order");
    assert_true(b.event.has_time);
    assert_int_equal(b.event.count, 1); /* others stay in the envelope */
    assert_string_equal(attribute(&b, "ce_subject"), "\xc3\xa4");
    bench_close(&b);
}

static void a_bad_envelope_is_refused(void **state)
{
    (void)state;
    const struct {
        const char *body, *says;
    } rows[] = {
        {"[]", "'specversion' is missing"},
        {"{}", "'specversion' is missing"},
        {"7", "'specversion' is missing"},
        {"{\"specversion\":1.0,\"id\":\"1\",\"source\":\"/\",\"type\":\"t\"}", "'specversion' is not a string"},
        {"{\"specversion\":\"1.0\",\"id\":7,\"source\":\"/\",\"type\":\"t\"}", "'id' is not a string"},
        {"{\"specversion\":\"1.0\",\"id\":\"\",\"source\":\"/\",\"type\":\"t\"}", "'id' is not 1 to 1024"},
        {"{\"specversion\":\"1.0\",\"id\":\"1\",\"id\":\"1\",\"source\":\"/\",\"type\":\"t\"}",
         "'id' stands there twice"},
        {"{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"a b\",\"type\":\"t\"}", "'source' is not a URI"},
        {"{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/\",\"type\":\"\\ud800\"}", "'type' is not text"},
        {"{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/\",\"type\":\"a\\nb\"}", "'type' is not 1 to 1024"},
        {"{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/\",\"type\":\"t\",\"time\":\"now\"}",
         "'time' is not RFC"},
        {"[{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/\",\"type\":\"t\"}]", "'specversion' is missing"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bench b;
        bench_open(&b);
        if (cloudevent_from_body(bytes_of(rows[i].body), &b.event, texts_of(&b), &b.error)) fail_msg("row %zu", i);
        if (!strstr(b.error.text, rows[i].says)) fail_msg("row %zu: %s", i, b.error.text);
        bench_close(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(binary_mode_is_mapped),
        cmocka_unit_test(one_round_of_decoding_only),
        cmocka_unit_test(a_bad_attribute_is_named),
        cmocka_unit_test(extensions_are_bounded),
        cmocka_unit_test(any_required_attribute_makes_it_a_cloudevent),
        cmocka_unit_test(structured_mode_is_mapped),
        cmocka_unit_test(a_bad_envelope_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
