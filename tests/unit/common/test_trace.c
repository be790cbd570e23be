/* test_trace.c: trace context as W3C wants it: taken over, made new, never half.
 * SPDX-License-Identifier: Apache-2.0 */
#include "trace.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* cmocka wants its headers first */
#include <cmocka.h>

#define TRACE  "0af7651916cd43dd8448eb211c80319c"
#define PARENT "b7ad6b7169203331"

static void a_valid_parent_is_taken_over(void **state)
{
    (void)state;
    const char *const rows[][2] = {
        {"00-" TRACE "-" PARENT "-01", "01"},  {"00-" TRACE "-" PARENT "-00", "00"},
        {"00-" TRACE "-" PARENT "-03", "01"},  {"00-" TRACE "-" PARENT "-0a", "00"},
        {"00-" TRACE "-" PARENT "-0b", "01"},  {"00-" TRACE "-" PARENT "-ff", "01"},
        {"cc-" TRACE "-" PARENT "-01", "01"},  {"cc-" TRACE "-" PARENT "-01-what-comes", "01"},
        {"01-" TRACE "-" PARENT "-00-", "00"},
    };
    const uint8_t random[24] = {0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[TRACE_PARENT_SIZE];
        if (!trace_parent_make(bytes_of(rows[i][0]), random, out)) fail_msg("%s", rows[i][0]);
        assert_int_equal(strlen(out), 55);
        assert_memory_equal(out, "00-" TRACE "-" PARENT "-", 53);
        assert_string_equal(out + 53, rows[i][1]);
    }
}

static void anything_else_starts_a_new_trace(void **state)
{
    (void)state;
    const char *const rows[] = {
        "",
        "00",
        "00-" TRACE "-" PARENT "-0",
        "00-" TRACE "-" PARENT "-01-",
        "00-" TRACE "-" PARENT "-01 ",
        "00-" TRACE "-" PARENT "-0g",
        "00-" TRACE "-" PARENT "-0A",
        "ff-" TRACE "-" PARENT "-01",
        "0g-" TRACE "-" PARENT "-01",
        "cc-" TRACE "-" PARENT "-01.what",
        "00-00000000000000000000000000000000-" PARENT "-01",
        "00-" TRACE "-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-" PARENT "-01",
        "00_" TRACE "-" PARENT "-01",
        "00-" TRACE "_" PARENT "-01",
        "00-" TRACE "-" PARENT "_01",
        " 00-" TRACE "-" PARENT "-01",
    };
    uint8_t random[24];
    memset(random, 0xa5, sizeof random);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[TRACE_PARENT_SIZE];
        if (trace_parent_make(bytes_of(rows[i]), random, out)) fail_msg("'%s' passed", rows[i]);
        assert_string_equal(out, "00-a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5-a5a5a5a5a5a5a5a5-00");
    }
}

static void a_tracestate_is_cut_between_members(void **state)
{
    (void)state;
    char many[512] = "a=1", thirty_two[512];
    for (int i = 1; i < 40; i++) {
        if (i == 32) memcpy(thirty_two, many, sizeof many);
        memcpy(many + strlen(many), ",a=1", 5);
    }
    static char long_member[520], fits[513], beyond[560];
    memset(long_member, 'a', 519);
    memset(fits, 'b', 512);
    snprintf(beyond, sizeof beyond, "%.500s,%s", fits, "x=12345678901234567890");
    const struct {
        const char *text, *kept;
    } rows[] = {
        {"", ""},          {"a=1", "a=1"}, {"a=1,b=2", "a=1,b=2"}, {many, thirty_two},
        {long_member, ""}, {fits, fits},   {beyond, beyond},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buffer b;
        buffer_init(&b, 1024);
        buffer_text(&b, rows[i].text);
        trace_state_cut(&b);
        size_t kept = rows[i].text == beyond ? 500 : strlen(rows[i].kept);
        if (b.size != kept || memcmp(buffer_cstr(&b), rows[i].kept, kept) != 0)
            fail_msg("row %zu: %s", i, buffer_cstr(&b));
        buffer_close(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_valid_parent_is_taken_over),
        cmocka_unit_test(anything_else_starts_a_new_trace),
        cmocka_unit_test(a_tracestate_is_cut_between_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
