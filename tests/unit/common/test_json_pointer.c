/* test_json_pointer.c: values by path, without a tree.
 * SPDX-License-Identifier: Apache-2.0 */
#include "json_pointer.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants its headers first */
#include <cmocka.h>

static const struct row {
    const char *text, *pointer;
    enum json_found found;
    const char *raw;  /* of what was found */
    const char *says; /* as text; NULL: it is no text */
} rows[] = {
    {"{\"action\":\"opened\"}", "/action", JSON_FOUND, "\"opened\"", "opened"},
    {" { \"a\" : { \"b\" : [ 1 , { \"c\" : -1.50e+3 } ] } , \"z\" : 1 } ", "/a/b/1/c", JSON_FOUND, "-1.50e+3",
     "-1.50e+3"},
    {"{\"id\":9007199254740993}", "/id", JSON_FOUND, "9007199254740993", "9007199254740993"},
    {"{\"a\":true}", "/a", JSON_FOUND, "true", NULL},
    {"{\"a\":null}", "/a", JSON_FOUND, "null", NULL},
    {"{\"a\":{\"b\":[]}}", "/a", JSON_FOUND, "{\"b\":[]}", NULL},
    {"{\"a\":[ 1,2 ]}", "/a", JSON_FOUND, "[ 1,2 ]", NULL},
    {"{\"a\":\"\"}", "/a", JSON_FOUND, "\"\"", ""},
    {"{\"\":{\"\":5}}", "//", JSON_FOUND, "5", "5"},
    {" 7 ", "", JSON_FOUND, "7", "7"},
    {"\"x\"", "", JSON_FOUND, "\"x\"", "x"},
    /* absent */
    {"{}", "/a", JSON_ABSENT, NULL, NULL},
    {"{\"A\":1}", "/a", JSON_ABSENT, NULL, NULL},
    {"{\"ab\":1}", "/a", JSON_ABSENT, NULL, NULL},
    {"{\"a\":1}", "/ab", JSON_ABSENT, NULL, NULL},
    {"{\"x\":{\"a\":1}}", "/a", JSON_ABSENT, NULL, NULL},
    {"{\"x\":\"a\",\"y\":[\"a\",1]}", "/a", JSON_ABSENT, NULL, NULL},
    {"{\"a\":1}", "/a/b", JSON_ABSENT, NULL, NULL},
    {"{\"a\":\"{\\\"b\\\":1}\"}", "/a/b", JSON_ABSENT, NULL, NULL},
    {"[10,20]", "/2", JSON_ABSENT, NULL, NULL},
    {"[10,20]", "/00", JSON_ABSENT, NULL, NULL},
    {"[10,20]", "/-", JSON_ABSENT, NULL, NULL},
    {"[10,20]", "/+1", JSON_ABSENT, NULL, NULL},
    {"[10,20]", "/", JSON_ABSENT, NULL, NULL},
    {"[10,20]", "/99999999999999999999", JSON_ABSENT, NULL, NULL},
    {"[]", "/0", JSON_ABSENT, NULL, NULL},
    {"[[1],[2,3]]", "/1/1", JSON_FOUND, "3", "3"},
    {"[10,20]", "/0", JSON_FOUND, "10", "10"},
    /* twice: also behind escapes, with other members between, and in the middle of the path */
    {"{\"a\":1,\"a\":1}", "/a", JSON_TWICE, NULL, NULL},
    {"{\"action\":1,\"b\":{},\"\\u0061ction\":2}", "/action", JSON_TWICE, NULL, NULL},
    {"{\"a\":{\"b\":1},\"a\":{\"b\":1}}", "/a/b", JSON_TWICE, NULL, NULL},
    {"{\"a\":{\"b\":1,\"c\":{\"b\":2}},\"b\":3}", "/a/b", JSON_FOUND, "1", "1"},
    {"{\"x\":1,\"x\":2,\"a\":3}", "/a", JSON_FOUND, "3", "3"},
    /* escapes of both sides */
    {"{\"a/b\":1}", "/a~1b", JSON_FOUND, "1", "1"},
    {"{\"a~b\":1}", "/a~0b", JSON_FOUND, "1", "1"},
    {"{\"~1\":1}", "/~01", JSON_FOUND, "1", "1"},
    {"{\"a\\/b\":1}", "/a~1b", JSON_FOUND, "1", "1"},
    {"{\"a\\\"}\":1}", "/a\"}", JSON_FOUND, "1", "1"},
    {"{\"\\u00e9\":1}", "/\xc3\xa9", JSON_FOUND, "1", "1"},
    {"{\"\xc3\xa9\":1}", "/\xc3\xa9", JSON_FOUND, "1", "1"},
    {"{\"\\ud83d\\ude00\":1}", "/\xf0\x9f\x98\x80", JSON_FOUND, "1", "1"},
    {"{\"a\":\"q\\\"b\\\\s\\/\\b\\f\\n\\r\\t\"}", "/a", JSON_FOUND, "\"q\\\"b\\\\s\\/\\b\\f\\n\\r\\t\"",
     "q\"b\\s/\b\f\n\r\t"},
    {"{\"a\":\"\\u0041\\u00DF\\u20ac\\uD83D\\uDE00\"}", "/a", JSON_FOUND, "\"\\u0041\\u00DF\\u20ac\\uD83D\\uDE00\"",
     "A\xc3\x9f\xe2\x82\xac\xf0\x9f\x98\x80"},
    {"{\"a\":\"x\\u0000y\"}", "/a", JSON_FOUND, "\"x\\u0000y\"", NULL},
    {"{\"a\":\"\\ud800\"}", "/a", JSON_FOUND, "\"\\ud800\"", NULL},
    {"{\"a\":\"\\ude00\\ud83d\"}", "/a", JSON_FOUND, "\"\\ude00\\ud83d\"", NULL},
    {"{\"a\":\"\\ud83d\\u0041\"}", "/a", JSON_FOUND, "\"\\ud83d\\u0041\"", NULL},
    {"{\"a\":\"\\ud83d\\n\"}", "/a", JSON_FOUND, "\"\\ud83d\\n\"", NULL},
    {"{\"a\":\"\\x41\"}", "/a", JSON_FOUND, "\"\\x41\"", NULL},
    {"{\"a\":\"\\u00g1\"}", "/a", JSON_FOUND, "\"\\u00g1\"", NULL},
    {"{\"a\":\"\\u00\"}", "/a", JSON_FOUND, "\"\\u00\"", NULL},
    /* no JSON */
    {"", "/a", JSON_INVALID, NULL, NULL},
    {"  ", "", JSON_INVALID, NULL, NULL},
    {"{", "/a", JSON_INVALID, NULL, NULL},
    {"{\"a\":1", "/a", JSON_INVALID, NULL, NULL},
    {"{\"a\":1,", "/a", JSON_INVALID, NULL, NULL},
    {"{\"a\":1,}", "/a", JSON_INVALID, NULL, NULL},
    {"{\"a\":\"1}", "/a", JSON_INVALID, NULL, NULL},
    {"{\"a\":\"1\\\"}", "/a", JSON_INVALID, NULL, NULL},
    {"{\"a\"}", "/a", JSON_INVALID, NULL, NULL},
    {"{\"a\":}", "/a", JSON_INVALID, NULL, NULL},
    {"{\"a\":[}", "/a", JSON_INVALID, NULL, NULL},
    {"{a:1}", "/a", JSON_INVALID, NULL, NULL},
    {"[1 2]", "/5", JSON_INVALID, NULL, NULL},
    {"payload=%7B%7D", "/a", JSON_ABSENT, NULL, NULL},
};

static bool same(struct bytes a, const char *b)
{
    return a.size == strlen(b) && memcmp(a.data, b, a.size) == 0;
}

/* In a block of its exact size, so that a sanitizer sees one byte too many. */
static void check_row(const struct row *row)
{
    size_t size = strlen(row->text);
    char *text = malloc(size ? size : 1);
    memcpy(text, row->text, size);
    struct bytes raw = {0};
    enum json_found found = json_pointer_find((struct bytes){(const uint8_t *)text, size}, row->pointer, &raw);
    if (found != row->found) fail_msg("%s in %s: %d, not %d", row->pointer, row->text, found, row->found);
    if (found == JSON_FOUND) {
        struct buffer out;
        buffer_init(&out, 100);
        buffer_text(&out, "<");
        if (!same(raw, row->raw)) fail_msg("%s in %s gave '%.*s'", row->pointer, row->text, (int)raw.size, raw.data);
        assert_int_equal(json_pointer_text(raw, &out), row->says != NULL);
        if (strcmp(buffer_cstr(&out) + 1, row->says ? row->says : "") != 0)
            fail_msg("%s says '%s'", row->text, buffer_cstr(&out) + 1);
        buffer_close(&out);
    }
    free(text);
}

static void every_row_holds(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_row(&rows[i]);
}

static void depth_costs_no_stack(void **state)
{
    (void)state;
    enum { DEPTH = 1000000 };
    char *text = malloc(DEPTH + 32);
    size_t size = 0;
    memcpy(text, "{\"x\":", 5);
    size += 5;
    memset(text + size, '[', DEPTH / 2);
    memset(text + size + DEPTH / 2, ']', DEPTH / 2);
    size += DEPTH;
    memcpy(text + size, ",\"a\":1}", 7);
    size += 7;
    struct bytes raw;
    assert_int_equal(json_pointer_find((struct bytes){(const uint8_t *)text, size}, "/a", &raw), JSON_FOUND);
    assert_true(same(raw, "1"));
    free(text);
}

/* With the scanner's list of members: the same answer in any cut of the text, also when there are too many to list. */
static void the_list_leads_to_the_same_place(void **state)
{
    (void)state;
    int listed = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bytes text = bytes_of(rows[i].text), with = {NULL, 0}, without = {NULL, 0};
        for (size_t cut = 0; cut <= text.size; cut++) {
            struct json_scanner s;
            json_scanner_init(&s);
            json_scanner_feed(&s, text.data, cut);
            json_scanner_feed(&s, text.data + cut, text.size - cut);
            if (!json_scanner_end(&s)) break;
            listed += s.members.count > 0;
            assert_int_equal(json_pointer_find_in(text, &s.members, rows[i].pointer, &with),
                             json_pointer_find(text, rows[i].pointer, &without));
            assert_int_equal(rows[i].found == JSON_FOUND && with.data != without.data, 0);
            assert_int_equal(rows[i].found == JSON_FOUND && with.size != without.size, 0);
        }
    }
    assert_true(listed > 100);
}

static void many_members_are_found_too(void **state)
{
    (void)state;
    for (int count = JSON_MEMBERS_MAX - 1; count <= JSON_MEMBERS_MAX + 2; count++) {
        struct buffer text;
        struct json_scanner s;
        struct bytes raw = {NULL, 0};
        char pointer[32], value[32];
        buffer_init(&text, 1 << 16);
        for (int i = 0; i < count; i++)
            buffer_format(&text, "%s\"k%d\":%d", i == 0 ? "{" : ",", i, i);
        buffer_text(&text, "}");
        json_scanner_init(&s);
        assert_true(json_scanner_feed(&s, text.data, text.size) && json_scanner_end(&s));
        assert_int_equal(s.members.count, count <= JSON_MEMBERS_MAX ? count : JSON_MEMBERS_MAX + 1);
        snprintf(pointer, sizeof pointer, "/k%d", count - 1);
        snprintf(value, sizeof value, "%d", count - 1);
        assert_int_equal(json_pointer_find_in(buffer_view(&text), &s.members, pointer, &raw), JSON_FOUND);
        assert_true(same(raw, value));
        assert_int_equal(json_pointer_find_in(buffer_view(&text), &s.members, "/k", &raw), JSON_ABSENT);
        buffer_close(&text);
    }
}

static void pointers_are_checked(void **state)
{
    (void)state;
    static const char *const good[] = {"", "/", "/a", "/a/b", "/~0~1", "//"};
    static const char *const bad[] = {"a", "a/b", "/~", "/~2", "/a~", "~0"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(json_pointer_valid(bytes_of(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(json_pointer_valid(bytes_of(bad[i])));
    assert_false(json_pointer_valid((struct bytes){(const uint8_t *)"/a\0b", 4}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_holds),
        cmocka_unit_test(depth_costs_no_stack),
        cmocka_unit_test(the_list_leads_to_the_same_place),
        cmocka_unit_test(many_members_are_found_too),
        cmocka_unit_test(pointers_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
