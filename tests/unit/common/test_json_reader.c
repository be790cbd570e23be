/* test_json_reader.c: what cJSON would let through stays out; kinds and numbers are exact.
 * SPDX-License-Identifier: Apache-2.0 */
#include "json.h"
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants its headers first */
#include <cmocka.h>

#define ROWS(table) (sizeof(table) / sizeof(table)[0])

static struct json *parse(const char *text)
{
    struct error e = {0};
    /* A copy of just that size: the parser must not need a NUL behind it. */
    size_t size = strlen(text);
    uint8_t *copy = malloc(size + 1);
    memcpy(copy, text, size);
    copy = realloc(copy, size > 0 ? size : 1);
    struct json *document = json_parse((struct bytes){copy, size}, &e);
    if (!document) fail_msg("%s: %s", text, e.text);
    free(copy);
    return document;
}

static void refusals(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size;
        const char *reason;
    } rows[] = {
#define ROW(text, reason) {text, sizeof(text) - 1, reason}
        ROW("", "unexpected end at byte 0"),
        ROW("{\"a\":1} x", "text behind the value at byte 8"),
        ROW("{\"a\":1}\0", "text behind the value at byte 7"),
        ROW("\xEF\xBB\xBF{}", "unexpected byte at byte 0"),
        ROW("01", "at byte 1"),
        ROW("\"a\tb\"", "control byte in a string at byte 2"),
        ROW("\"\xE9\"", "not UTF-8 at byte 2"),
        ROW("{\"a\":1,}", "unexpected byte at byte 7"),
        ROW("\"x\\u0000y\"", "\\u0000"),
        ROW("{\"x\\u0000y\":1}", "\\u0000"),
        ROW("\"\\ud800\"", "lone surrogate"),
        ROW("[\"\\udc00\\ud800\"]", "lone surrogate"),
#undef ROW
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct error e = {0};
        struct json *document = json_parse((struct bytes){(const uint8_t *)rows[i].text, rows[i].size}, &e);
        if (document) fail_msg("accepted: %s", rows[i].text);
        assert_int_equal(e.code, ERROR_INVALID);
        if (!strstr(e.text, rows[i].reason)) fail_msg("'%s': %s", rows[i].text, e.text);
    }
    assert_null(json_parse(bytes_of("["), NULL));
    json_free(NULL);
}

static void depth_ends_at_64(void **state)
{
    (void)state;
    char text[2 * 65 + 1];
    for (size_t depth = 64; depth <= 65; depth++) {
        struct error e = {0};
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        struct json *document = json_parse((struct bytes){(const uint8_t *)text, 2 * depth}, &e);
        assert_int_equal(document != NULL, depth == 64);
        if (!document) assert_non_null(strstr(e.text, "nested too deep at byte 64"));
        json_free(document);
    }
}

static void integers_are_exact_or_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok;
        int64_t value;
    } rows[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"42", true, 42},
        {"-42", true, -42},
        {"1e3", true, 1000},
        {"5.0", true, 5},
        {"2147483648", true, INT64_C(2147483648)},
        {"9007199254740991", true, INT64_C(9007199254740991)},
        {"-9007199254740991", true, INT64_C(-9007199254740991)},
        {"9007199254740992", false, 0},
        {"9007199254740993", false, 0},
        {"-9007199254740992", false, 0},
        {"9223372036854775807", false, 0},
        {"1e400", false, 0},
        {"-1e400", false, 0},
        {"1.5", false, 0},
        {"1e-3", false, 0},
        {"\"42\"", false, 0},
        {"true", false, 0},
        {"null", false, 0},
        {"[42]", false, 0},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct json *document = parse(rows[i].text);
        int64_t value = 4711;
        bool ok = json_int64(document, &value);
        if (ok != rows[i].ok || value != (ok ? rows[i].value : 4711)) fail_msg("%s: %" PRId64, rows[i].text, value);
        json_free(document);
    }
}

/* cJSON before 1.7.18 reads 63 characters of a number, Debian's patched one all: never a wrong integer. */
static void long_numbers_are_whole_or_refused(void **state)
{
    (void)state;
    static const char digits[] = "1000000000000000000000000000000000000000000000000000000000000000000000e-69";
    struct json *document = json_parse(bytes_of(digits), NULL);
    int64_t value = 1;
    if (document) assert_true(json_int64(document, &value));
    assert_int_equal(value, 1);
    json_free(document);
}

static void keys_are_exact_and_unique(void **state)
{
    (void)state;
    struct json *d = parse("{\"a\":1,\"A\":2,\"twice\":3,\"x\":null,\"twice\":4,\"\\u0062\":5}");
    bool duplicate = true;
    int64_t value = 0;
    assert_true(json_int64(json_get(d, "a", &duplicate), &value));
    assert_int_equal(value, 1);
    assert_false(duplicate);
    assert_true(json_int64(json_get(d, "A", NULL), &value));
    assert_int_equal(value, 2);
    assert_true(json_int64(json_get(d, "b", NULL), &value));
    assert_int_equal(value, 5);
    assert_null(json_get(d, "twice", &duplicate));
    assert_true(duplicate);
    assert_null(json_get(d, "twice", NULL));
    assert_null(json_get(d, "absent", &duplicate));
    assert_false(duplicate);
    assert_int_equal(json_kind(json_get(d, "x", NULL)), JSON_NULL);
    assert_null(json_get(NULL, "a", &duplicate));
    assert_null(json_get(json_get(d, "a", NULL), "a", NULL));
    json_free(d);
}

static void kinds_and_positions(void **state)
{
    (void)state;
    struct json *d = parse(" [null, true, false, 1, \"t\xC3\xA9xt\", [1, 2], {\"k\": \"v\", \"l\": 0}] ");
    static const enum json_kind kinds[] = {JSON_NULL, JSON_BOOL,  JSON_BOOL,  JSON_NUMBER,
                                           JSON_TEXT, JSON_ARRAY, JSON_OBJECT};
    const char *text = NULL;
    bool truth = false;
    assert_int_equal(json_count(d), ROWS(kinds));
    for (size_t i = 0; i < ROWS(kinds); i++)
        assert_int_equal(json_kind(json_at(d, i)), kinds[i]);
    assert_null(json_at(d, ROWS(kinds)));
    assert_true(json_bool(json_at(d, 1), &truth) && truth);
    assert_true(json_bool(json_at(d, 2), &truth) && !truth);
    assert_false(json_bool(json_at(d, 0), &truth));
    assert_false(json_bool(json_at(d, 3), &truth));
    assert_true(json_text(json_at(d, 4), &text));
    assert_string_equal(text, "t\xC3\xA9xt");
    assert_false(json_text(json_at(d, 3), &text));
    assert_int_equal(json_count(json_at(d, 5)), 2);
    assert_string_equal(json_key_at(json_at(d, 6), 0), "k");
    assert_string_equal(json_key_at(json_at(d, 6), 1), "l");
    assert_null(json_key_at(json_at(d, 6), 2));
    assert_null(json_key_at(d, 0));
    assert_true(json_text(json_at(json_at(d, 6), 0), &text));
    assert_string_equal(text, "v");
    assert_int_equal(json_count(NULL), 0);
    assert_int_equal(json_count(json_at(d, 4)), 0);
    assert_null(json_at(NULL, 0));
    assert_false(json_text(NULL, &text));
    assert_false(json_int64(NULL, NULL));
    assert_false(json_bool(NULL, &truth));
    json_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals),
        cmocka_unit_test(depth_ends_at_64),
        cmocka_unit_test(integers_are_exact_or_nothing),
        cmocka_unit_test(long_numbers_are_whole_or_refused),
        cmocka_unit_test(keys_are_exact_and_unique),
        cmocka_unit_test(kinds_and_positions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
