/* test_text_pattern.c: patterns with stars, texts out of URLs, rates.
 * SPDX-License-Identifier: Apache-2.0 */
#include "text.h"
#include <setjmp.h>
#include <stdarg.h>
/* cmocka wants its headers first */
#include <cmocka.h>

static void a_star_is_any_text(void **state)
{
    (void)state;
    const struct {
        const char *pattern, *text;
        bool matches;
    } rows[] = {
        {"", "", true},
        {"", "a", false},
        {"*", "", true},
        {"*", "anything.at-all", true},
        {"com.github.push", "com.github.push", true},
        {"com.github.push", "com.github.pus", false},
        {"com.github.push", "com.github.pushed", false},
        {"com.github.push", "Com.github.push", false},
        {"com.github.*", "com.github.", true},
        {"com.github.*", "com.github", false},
        {"com.github.*", "com.github.issues.opened", true},
        {"*.opened", "com.github.issues.opened", true},
        {"*.opened", "opened", false},
        {"com.*.opened", "com.github.issues.opened", true},
        {"com.*.opened", "com.opened", false},
        {"com.*.*.opened", "com.github.issues.opened", true},
        {"*a*b*", "xxaxxbxx", true},
        {"*a*b*", "xxbxxaxx", false},
        {"**", "x", true},
        {"a**b", "ab", true},
        {"*ab", "aab", true},
        {"*aab", "aaaab", true},
        {"?", "x", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (text_matches(bytes_of(rows[i].text), bytes_of(rows[i].pattern)) != rows[i].matches)
            fail_msg("'%s' and '%s'", rows[i].pattern, rows[i].text);
}

static void escapes_are_undone_once(void **state)
{
    (void)state;
    const struct {
        const char *text;
        bool query;
        const char *plain; /* NULL: refused */
    } rows[] = {
        {"", true, ""},        {"abc", true, "abc"},   {"a%20b", true, "a b"}, {"a+b", true, "a b"},
        {"a+b", false, "a+b"}, {"a%2Bb", true, "a+b"}, {"%2525", true, "%25"}, {"%3a%3A", false, "::"},
        {"%", true, NULL},     {"%4", true, NULL},     {"a%4", true, NULL},    {"%4g", true, NULL},
        {"%g4", true, NULL},   {"%%41", true, NULL},   {"ok%zz", false, NULL}, {"%c3%a4", true, "\xc3\xa4"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buffer out;
        buffer_init(&out, 64);
        buffer_text(&out, "before ");
        bool good = text_unescape_url(bytes_of(rows[i].text), rows[i].query, &out);
        assert_int_equal(good, rows[i].plain != NULL);
        assert_string_equal(buffer_cstr(&out) + 7, rows[i].plain ? rows[i].plain : "");
        buffer_close(&out);
    }
}

static void a_rate_has_a_unit(void **state)
{
    (void)state;
    const struct {
        const char *text;
        int64_t amount, period_ms; /* 0: refused */
    } rows[] = {
        {"100/s", 100, 1000}, {"6000/min", 6000, 60000}, {"1/h", 1, 3600000}, {"1000000/s", 1000000, 1000},
        {"0/s", 0, 0},        {"1000001/s", 0, 0},       {"100", 0, 0},       {"100/", 0, 0},
        {"/s", 0, 0},         {"100/m", 0, 0},           {"-1/s", 0, 0},      {" 1/s", 0, 0},
        {"1/s ", 0, 0},       {"1.5/s", 0, 0},           {"", 0, 0},          {"99999999999999999999/s", 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t amount = 0, period_ms = 0;
        assert_int_equal(text_parse_rate(bytes_of(rows[i].text), &amount, &period_ms), rows[i].amount != 0);
        assert_int_equal(amount, rows[i].amount);
        assert_int_equal(period_ms, rows[i].period_ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_star_is_any_text),
        cmocka_unit_test(escapes_are_undone_once),
        cmocka_unit_test(a_rate_has_a_unit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
