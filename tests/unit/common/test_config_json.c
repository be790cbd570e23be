/* test_config_json.c: a JSON object means what a file with the same words means.
 * SPDX-License-Identifier: Apache-2.0 */
#include "config.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants its headers first */
#include <cmocka.h>

struct words {
    char *text;
    bool flag;
    int64_t number, size, duration;
    int choice;
    struct config_list list;
    struct config_map map;
};
#define AT(field) offsetof(struct words, field)
static const struct config_option table[] = {
    {.name = "text", .kind = CONFIG_TEXT, .offset = AT(text), .default_text = "dull", .help = ""},
    {.name = "flag", .kind = CONFIG_BOOL, .offset = AT(flag), .default_text = "false", .help = ""},
    {.name = "number", .kind = CONFIG_INT, .offset = AT(number), .default_text = "1", .max = "100", .help = ""},
    {.name = "deep.size", .kind = CONFIG_SIZE, .offset = AT(size), .default_text = "0", .help = ""},
    {.name = "deep.duration", .kind = CONFIG_DURATION, .offset = AT(duration), .default_text = "0", .help = ""},
    {.name = "choice", .kind = CONFIG_CHOICE, .offset = AT(choice), .default_text = "a", .choices = "a|b", .help = ""},
    {.name = "list", .kind = CONFIG_TEXT_LIST, .offset = AT(list), .default_text = "", .help = ""},
    {.name = "map", .kind = CONFIG_TEXT_MAP, .offset = AT(map), .default_text = "", .help = ""},
};
enum { ROWS = sizeof table / sizeof table[0] };

static void a_record_fills_the_table(void **state)
{
    (void)state;
    static const char text[] = "{\"text\": \"\\u00e9\\\"\", \"flag\": true, \"number\": 7, \"choice\": \"b\","
                               "\"deep\": {\"size\": \"64KiB\", \"duration\": \"2s\"},"
                               "\"list\": [\"x\", \"y\"], \"map\": {\"n\": 1, \"b\": false, \"t\": \"u\"}}";
    struct config_report report;
    struct words w;
    config_report_init(&report);
    struct config_file *f = config_parse_json("record 3", "trigger", bytes_of(text), &report);
    assert_non_null(f);
    assert_true(config_load(f, "trigger", table, ROWS, &w, &report));
    config_reject_unknown(f, &report);
    if (report.problems > 0) fail_msg("%s", buffer_cstr(&report.text));
    assert_string_equal(w.text, "\u00e9\"");
    assert_true(w.flag);
    assert_int_equal(w.number, 7);
    assert_int_equal(w.size, 65536);
    assert_int_equal(w.duration, 2000);
    assert_int_equal(w.choice, 1);
    assert_int_equal(w.list.count, 2);
    assert_int_equal(w.map.count, 3);
    assert_string_equal(w.map.items[0].value, "1");
    config_free(table, ROWS, &w);
    config_close(f);
    config_report_close(&report);
}

static void null_is_the_default_and_no_environment_reaches_it(void **state)
{
    (void)state;
    struct config_report report;
    struct words w;
    config_report_init(&report);
    setenv("DRAWBRIDGE_TEXT", "from the environment", 1);
    setenv("DRAWBRIDGE_TRIGGER_TEXT", "from the environment", 1);
    struct config_file *f = config_parse_json("record", "trigger", bytes_of("{\"text\": null}"), &report);
    assert_true(config_load(f, "trigger", table, ROWS, &w, &report));
    assert_string_equal(w.text, "dull");
    unsetenv("DRAWBRIDGE_TEXT");
    unsetenv("DRAWBRIDGE_TRIGGER_TEXT");
    config_free(table, ROWS, &w);
    config_close(f);
    config_report_close(&report);
}

static const struct refusal {
    const char *text, *says;
} refusals[] = {
    {"", "not valid JSON"},
    {"{\"text\": \"a\"", "not valid JSON"},
    {"[]", "not a JSON object"},
    {"\"text\"", "not a JSON object"},
    {"null", "not a JSON object"},
    {"{\"text\": \"a\", \"text\": \"b\"}", "twice"},
    {"{\"deep\": {\"size\": \"1\", \"size\": \"2\"}}", "twice"},
    {"{\"te xt\": \"a\"}", "setting's name"},
    {"{\"deep.size\": \"1KiB\"}", "setting's name"},
    {"{\"\": \"a\"}", "setting's name"},
    {"{\"number\": 1.5}", "whole number"},
    {"{\"number\": 9007199254740993}", "whole number"},
    {"{\"number\": 101}", "maximum of 100"},
    {"{\"number\": \"7\"}", "whole number"},
    {"{\"flag\": \"true\"}", "without quotes"},
    {"{\"list\": [\"a\", null]}", "null"},
    {"{\"list\": [1]}", "entry 1"},
    {"{\"text\": \"a\\u0000b\"}", "u0000"},
    {"{\"colour\": 1}", "trigger.colour: unknown"},
    {"{\"deep\": {\"colour\": 1}}", "trigger.deep.colour: unknown"},
};

static void everything_wrong_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct config_report report;
        struct words w = {0};
        config_report_init(&report);
        struct config_file *f = config_parse_json("record 3", "trigger", bytes_of(refusals[i].text), &report);
        if (f) {
            config_load(f, "trigger", table, ROWS, &w, &report);
            config_reject_unknown(f, &report);
            config_free(table, ROWS, &w);
        }
        const char *said = buffer_cstr(&report.text);
        if (report.problems == 0 || !strstr(said, refusals[i].says) || !strstr(said, "record 3"))
            fail_msg("%s: %s", refusals[i].text, said);
        config_close(f);
        config_report_close(&report);
    }
}

static void a_record_of_absurd_width_is_refused(void **state)
{
    (void)state;
    struct buffer text;
    struct config_report report;
    buffer_init(&text, 1 << 20);
    config_report_init(&report);
    buffer_text(&text, "{\"list\": [0");
    for (int i = 0; i < 1000; i++)
        buffer_text(&text, ",0");
    buffer_text(&text, "]}");
    assert_null(config_parse_json("record", "trigger", buffer_view(&text), &report));
    assert_non_null(strstr(buffer_cstr(&report.text), "more than 1000"));
    buffer_close(&text);
    config_report_close(&report);
}

static void canonical(const char *text, char *out, size_t size)
{
    static const char *const opaque[] = {"sealed:", NULL};
    struct config_report report;
    struct buffer written;
    config_report_init(&report);
    buffer_init(&written, 4096);
    struct config_file *f = config_parse_json("record", "trigger", bytes_of(text), &report);
    assert_non_null(f);
    assert_false(config_canonical(f, "nothing", opaque, &written));
    assert_true(config_canonical(f, "trigger", opaque, &written));
    snprintf(out, size, "%s", buffer_cstr(&written));
    buffer_close(&written);
    config_close(f);
    config_report_close(&report);
}

static void one_meaning_has_one_canonical_text(void **state)
{
    (void)state;
    char one[512], other[512];
    canonical("{\"b\":1,\"a\":{\"z\":\"sealed:v1:x\",\"y\":[true,\"t\",{}]},\"n\":null}", one, sizeof one);
    canonical(" { \"a\" : { \"y\" : [ true , \"\\u0074\" , { } ] , \"z\" : \"sealed:other\" } , \"b\" : 1.0 } ", other,
              sizeof other);
    assert_string_equal(one, "{\"a\":{\"y\":[true,\"t\",{}],\"z\":\"sealed:\"},\"b\":1}");
    assert_string_equal(one, other);
    canonical("{\"b\":1,\"a\":{\"z\":\"sealed\",\"y\":[\"t\",true,{}]}}", other, sizeof other);
    assert_string_not_equal(one, other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_fills_the_table),
        cmocka_unit_test(null_is_the_default_and_no_environment_reaches_it),
        cmocka_unit_test(everything_wrong_is_named),
        cmocka_unit_test(a_record_of_absurd_width_is_refused),
        cmocka_unit_test(one_meaning_has_one_canonical_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
