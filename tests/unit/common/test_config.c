/* test_config.c: settings by table: values, defaults, environment, and every kind of problem with its line.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct settings {
    char *listen;
    bool strict;
    int64_t threads;
    int64_t body_max;
    int64_t timeout;
    int level;
    struct config_list proxies;
    struct config_map kafka;
};

#define ROW(field) .offset = offsetof(struct settings, field), .help = "help of " #field

static const struct config_option options[] = {
    {.name = "http.listen", .kind = CONFIG_TEXT, .default_text = "0.0.0.0:8080", .min = "1", .max = "20", ROW(listen)},
    {.name = "strict", .kind = CONFIG_BOOL, .default_text = "true", ROW(strict)},
    {.name = "threads", .kind = CONFIG_INT, .default_text = "4", .min = "1", .max = "64", ROW(threads)},
    {.name = "http.body_max",
     .kind = CONFIG_SIZE,
     .default_text = "960KiB",
     .min = "1KiB",
     .max = "64MiB",
     .reloadable = true,
     ROW(body_max)},
    {.name = "timeout", .kind = CONFIG_DURATION, .default_text = "4s", .min = "100ms", .max = "1h", ROW(timeout)},
    {.name = "log.level", .kind = CONFIG_CHOICE, .default_text = "info", .choices = "debug|info|warn", ROW(level)},
    {.name = "proxies", .kind = CONFIG_TEXT_LIST, .default_text = "::1, 127.0.0.1", .max = "3", ROW(proxies)},
    {.name = "kafka", .kind = CONFIG_TEXT_MAP, .default_text = "", ROW(kafka)},
};
enum { COUNT = sizeof options / sizeof *options };

/* What one text gives: the settings, and the report as text. */
struct loaded {
    struct settings s;
    struct config_report report;
    bool good;
};

static struct loaded load(const char *text)
{
    struct loaded l = {0};
    config_report_init(&l.report);
    struct config_file *f = config_parse("t.cfg", bytes_of(text), &l.report);
    if (f != NULL) {
        l.good = config_load(f, "", options, COUNT, &l.s, &l.report);
        config_reject_unknown(f, &l.report);
    }
    config_close(f);
    return l;
}

static void unload(struct loaded *l)
{
    config_free(options, COUNT, &l->s);
    config_report_close(&l->report);
}

static void defaults_are_parsed_like_input(void **state)
{
    (void)state;
    struct loaded l = load("");
    assert_string_equal(buffer_cstr(&l.report.text), "");
    assert_true(l.good);
    assert_string_equal(l.s.listen, "0.0.0.0:8080");
    assert_true(l.s.strict);
    assert_int_equal(l.s.threads, 4);
    assert_int_equal(l.s.body_max, 960 * 1024);
    assert_int_equal(l.s.timeout, 4000);
    assert_int_equal(l.s.level, 1);
    assert_int_equal(l.s.proxies.count, 2);
    assert_string_equal(l.s.proxies.items[0], "::1");
    assert_string_equal(l.s.proxies.items[1], "127.0.0.1");
    assert_int_equal(l.s.kafka.count, 0);
    unload(&l);
}

static void values_of_every_kind(void **state)
{
    (void)state;
    struct loaded l =
        load("http: { listen = \"[::1]:80\"; body_max = \"1MiB\"; };\n"
             "strict = false; threads = 64; timeout = \"250ms\"; log: { level = \"warn\"; };\n"
             "proxies = (\"10.0.0.0/8\", \"::/0\");\n"
             "kafka: { bootstrap_servers = \"a:1\"; linger_ms = 5; enable_x = true; big = 5000000000L; };\n");
    assert_string_equal(buffer_cstr(&l.report.text), "");
    assert_string_equal(l.s.listen, "[::1]:80");
    assert_false(l.s.strict);
    assert_int_equal(l.s.threads, 64);
    assert_int_equal(l.s.body_max, 1 << 20);
    assert_int_equal(l.s.timeout, 250);
    assert_int_equal(l.s.level, 2);
    assert_int_equal(l.s.proxies.count, 2);
    assert_string_equal(l.s.proxies.items[1], "::/0");
    assert_int_equal(l.s.kafka.count, 4);
    assert_string_equal(l.s.kafka.items[0].name, "bootstrap_servers");
    assert_string_equal(l.s.kafka.items[0].value, "a:1");
    assert_string_equal(l.s.kafka.items[1].value, "5");
    assert_string_equal(l.s.kafka.items[2].value, "true");
    assert_string_equal(l.s.kafka.items[3].value, "5000000000");
    unload(&l);
}

static void problems_have_their_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *report;
    } rows[] = {
        {"\nstrict = ;", "t.cfg:2: syntax error\n"},
        {"a = 1;\n\na = 2;", "t.cfg:3: duplicate setting name\n"},
        {"\nstrict = \"yes\";", "t.cfg:2: strict: expected true or false, without quotes\n"},
        {"\n\nhttp: { listen = 8080; };", "t.cfg:3: http.listen: expected a text in quotes\n"},
        {"http: { listen = \"\"; };", "t.cfg:1: http.listen: must not be empty\n"},
        {"http: { listen = \"a very long address indeed\"; };", "t.cfg:1: http.listen: is longer than 20 bytes\n"},
        {"threads = \"4\";", "t.cfg:1: threads: expected a whole number\n"},
        {"threads = 4.5;", "t.cfg:1: threads: expected a whole number\n"},
        {"threads = 0;", "t.cfg:1: threads: \"0\" is below the minimum of 1\n"},
        {"threads = 65;", "t.cfg:1: threads: \"65\" is over the maximum of 64\n"},
        {"threads = 4294967297L;", "t.cfg:1: threads: \"4294967297\" is over the maximum of 64\n"},
        {"http:\n{\n  body_max = \"1MB\";\n};", "t.cfg:3: http.body_max: \"1MB\" is not a size in quotes, such as "
                                                "\"64KiB\" or \"1MiB\"\n"},
        {"http: { body_max = 512; };", "t.cfg:1: http.body_max: \"512\" is below the minimum of 1KiB\n"},
        {"http: { body_max = \"65MiB\"; };", "t.cfg:1: http.body_max: \"65MiB\" is over the maximum of 64MiB\n"},
        {"timeout = 30;", "t.cfg:1: timeout: \"30\" is not a duration in quotes, such as \"250ms\", \"30s\", \"2h\" or "
                          "\"7d\"\n"},
        {"timeout = \"2h\";", "t.cfg:1: timeout: \"2h\" is over the maximum of 1h\n"},
        {"log: { level = \"loud\"; };", "t.cfg:1: log.level: \"loud\" is none of debug|info|warn\n"},
        {"log: { level = \"inf\"; };", "t.cfg:1: log.level: \"inf\" is none of debug|info|warn\n"},
        {"log: { level = \"\"; };", "t.cfg:1: log.level: \"\" is none of debug|info|warn\n"},
        {"proxies = \"::1\";", "t.cfg:1: proxies: expected a list of texts, such as [\"a\", \"b\"]\n"},
        {"proxies = (\"::1\", 2);", "t.cfg:1: proxies: entry 2 is not a text in quotes\n"},
        {"proxies = [\"a\",\"b\",\"c\",\"d\"];", "t.cfg:1: proxies: is longer than 3 entries\n"},
        {"kafka = \"a:1\";", "t.cfg:1: kafka: expected a group of texts, such as { name = \"value\"; }\n"},
        {"kafka: { a = [1]; };", "t.cfg:1: kafka: 'a' is not a text, an integer or a boolean\n"},
        {"\nhtp: { listen = \"x:1\"; };", "t.cfg:2: htp: unknown setting\n"},
        {"http: {\n lisen = \"x:1\"; };", "t.cfg:2: http.lisen: unknown setting\n"},
        {"x = ( 1 );", "t.cfg:1: x: unknown setting\n"},
        {"log = \"info\";", "t.cfg:1: log: unknown setting\n"},
        {"@include \"/etc\"", "t.cfg:1: @include is not supported\n"},
        {"a = 1;\n \t @include \"x\"", "t.cfg:2: @include is not supported\n"},
        {"slot = \"\xff\";", "t.cfg: is not UTF-8 text\n"},
        /* libconfig would cut these to the bits it has. */
        {"strict = true;\nthreads = 4294967297;", "t.cfg:2: 4294967297 does not fit into 32 bits: a larger number is "
                                                  "written with an L behind it\n"},
        {"a = [1,-2147483649];", "t.cfg:1: -2147483649 does not fit into 32 bits: a larger number is written with an L "
                                 "behind it\n"},
        {"a = 0x80000000;",
         "t.cfg:1: 0x80000000 does not fit into 32 bits: a larger number is written with an L behind "
         "it\n"},
        {"a = 9223372036854775808L;", "t.cfg:1: 9223372036854775808L does not fit into 64 bits\n"},
        {"a = 0x8000000000000000L;", "t.cfg:1: 0x8000000000000000L does not fit into 64 bits\n"},
        /* libconfig would read these as if the file ended there. */
        {"strict = true;\n/* off for now\nthreads = 99;\n", "t.cfg:2: this comment never ends\n"},
        {"/*/ strict = true;", "t.cfg:1: this comment never ends\n"},
        {"http: { listen = \"a\"\n \"b; };\nthreads = 99;", "t.cfg:2: this quote never ends\n"},
        {"http: { listen = \"a\\\"; };", "t.cfg:1: this quote never ends\n"},
        {"threads = 0;\nbad = 1;\ntimeout = \"1\";\n",
         "t.cfg:1: threads: \"0\" is below the minimum of 1\n"
         "t.cfg:3: timeout: \"1\" is not a duration in quotes, such as \"250ms\", \"30s\", \"2h\" or \"7d\"\n"
         "t.cfg:2: bad: unknown setting\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct loaded l = load(rows[i].text);
        assert_string_equal(buffer_cstr(&l.report.text), rows[i].report);
        assert_true(l.report.problems > 0);
        unload(&l);
    }
}

static void quotes_and_comments_that_end(void **state)
{
    (void)state;
    struct loaded l = load("/**/ // 4294967297 @include\n// \" /*\n# \" /*\nhttp: { listen = \"/*#//\\\\\"; }; /* \" # "
                           "// **/ threads = 5;");
    assert_string_equal(buffer_cstr(&l.report.text), "");
    assert_string_equal(l.s.listen, "/*#//\\");
    assert_int_equal(l.s.threads, 5);
    unload(&l);
    l = load("kafka: { a4294967297 = 2147483647; b = -2147483648; c = 0x07FFFFFFF; d = -9223372036854775808LL;\n"
             "         e = \"99999999999999\"; };#4294967297");
    assert_string_equal(buffer_cstr(&l.report.text), "");
    assert_string_equal(l.s.kafka.items[0].value, "2147483647");
    assert_string_equal(l.s.kafka.items[1].value, "-2147483648");
    assert_string_equal(l.s.kafka.items[2].value, "2147483647");
    assert_string_equal(l.s.kafka.items[3].value, "-9223372036854775808");
    unload(&l);
}

static void every_field_is_legal_after_a_problem(void **state)
{
    (void)state;
    struct loaded l =
        load("http: { listen = 1; }; threads = 0; proxies = [\"a\",\"b\",\"c\",\"d\"]; log: { level = 1; };");
    assert_false(l.good);
    assert_string_equal(l.s.listen, "0.0.0.0:8080");
    assert_int_equal(l.s.threads, 4);
    assert_int_equal(l.s.proxies.count, 2);
    assert_int_equal(l.s.level, 1);
    unload(&l);
}

static void a_zero_byte_is_refused(void **state)
{
    (void)state;
    struct config_report report;
    config_report_init(&report);
    struct bytes text = {(const uint8_t *)"a = 1;\0b = 2;", 13};
    assert_null(config_parse("t.cfg", text, &report));
    assert_string_equal(buffer_cstr(&report.text), "t.cfg: holds a zero byte: this is no configuration file\n");
    config_report_close(&report);
}

static void the_environment_goes_first(void **state)
{
    (void)state;
    setenv("DRAWBRIDGE_HTTP_LISTEN", "env:1", 1);
    setenv("DRAWBRIDGE_PROXIES", " 10.0.0.1 ,,::2", 1);
    setenv("DRAWBRIDGE_STRICT", "false", 1);
    setenv("DRAWBRIDGE_KAFKA_SASL_PASSWORD", "pw", 1);
    struct loaded l = load("http: { listen = \"file:1\"; }; kafka: { a = \"1\"; };");
    assert_string_equal(buffer_cstr(&l.report.text), "");
    assert_string_equal(l.s.listen, "env:1");
    assert_false(l.s.strict);
    assert_int_equal(l.s.proxies.count, 2);
    assert_string_equal(l.s.proxies.items[0], "10.0.0.1");
    assert_string_equal(l.s.proxies.items[1], "::2");
    assert_int_equal(l.s.kafka.count, 2);
    assert_string_equal(l.s.kafka.items[1].name, "sasl_password");
    assert_string_equal(l.s.kafka.items[1].value, "pw");
    unload(&l);

    setenv("DRAWBRIDGE_HTTP_LISTEN", "", 1);
    setenv("DRAWBRIDGE_STRICT", "maybe", 1);
    setenv("DRAWBRIDGE_PROXIES", "a,b,c,d", 1);
    l = load("");
    assert_string_equal(buffer_cstr(&l.report.text),
                        "environment: DRAWBRIDGE_HTTP_LISTEN: must not be empty\n"
                        "environment: DRAWBRIDGE_STRICT: \"maybe\" is not true or false, without quotes\n"
                        "t.cfg: proxies: is longer than 3 entries\n");
    assert_string_equal(l.s.listen, "0.0.0.0:8080");
    assert_true(l.s.strict);
    unload(&l);
    unsetenv("DRAWBRIDGE_HTTP_LISTEN");
    unsetenv("DRAWBRIDGE_PROXIES");
    unsetenv("DRAWBRIDGE_STRICT");
    unsetenv("DRAWBRIDGE_KAFKA_SASL_PASSWORD");
}

struct agent {
    char *id;
    int64_t attempts;
};

static const struct config_option agent_options[] = {
    {.name = "id", .kind = CONFIG_TEXT, .offset = offsetof(struct agent, id)},
    {.name = "retry.attempts", .kind = CONFIG_INT, .offset = offsetof(struct agent, attempts), .default_text = "3"},
};

static void lists_of_groups(void **state)
{
    (void)state;
    struct config_report report;
    config_report_init(&report);
    setenv("DRAWBRIDGE_ID", "never below a prefix", 1);
    struct config_file *f = config_parse("t.cfg",
                                         bytes_of("agents = (\n"
                                                  " { id = \"a\"; retry = { attempts = 5; }; },\n"
                                                  " { retry = { atempts = 5; }; },\n"
                                                  " { }\n"
                                                  ");\n"
                                                  "schemes: { github: { x = 1; }; gitlab: { x = 2; }; };"),
                                         &report);
    assert_non_null(f);
    assert_int_equal(config_count(f, "agents"), 3);
    assert_int_equal(config_count(f, "nothing"), 0);
    assert_int_equal(config_count(f, "schemes.github.x"), 0);
    assert_true(config_has(f, "agents.[1].retry"));
    assert_false(config_has(f, "agents.[3]"));
    assert_int_equal(config_line(f, "agents.[1]"), 3);
    assert_int_equal(config_line(f, "nothing"), 0);
    assert_int_equal(config_count(f, "schemes"), 2);
    assert_string_equal(config_child(f, "schemes", 1), "gitlab");
    assert_null(config_child(f, "schemes", 2));
    assert_null(config_child(f, "agents", 0));
    assert_null(config_child(f, "nothing", 0));

    struct agent agent;
    assert_true(config_load(f, "agents.[0]", agent_options, 2, &agent, &report));
    assert_string_equal(agent.id, "a");
    assert_int_equal(agent.attempts, 5);
    config_free(agent_options, 2, &agent);
    for (int i = 1; i < 3; i++) {
        assert_false(config_load(f, i == 1 ? "agents.[1]" : "agents.[2]", agent_options, 2, &agent, &report));
        assert_string_equal(agent.id, "");
        assert_int_equal(agent.attempts, 3);
        config_free(agent_options, 2, &agent);
        assert_null(agent.id);
    }
    config_reject_unknown(f, &report);
    assert_string_equal(buffer_cstr(&report.text), "t.cfg:3: agents.[1].id: is required\n"
                                                   "t.cfg:4: agents.[2].id: is required\n"
                                                   "t.cfg:3: agents.[1].retry.atempts: unknown setting\n"
                                                   "t.cfg:6: schemes.github.x: unknown setting\n"
                                                   "t.cfg:6: schemes.gitlab: unknown setting\n");
    unsetenv("DRAWBRIDGE_ID");
    config_close(f);
    config_report_close(&report);
}

static void files_that_cannot_be_read(void **state)
{
    (void)state;
    struct config_report report;
    config_report_init(&report);
    assert_null(config_open("/nonexistent/x.cfg", &report));
    assert_null(config_open("/tmp", &report));
    assert_null(config_open("/dev/zero", &report));
    assert_int_equal(report.problems, 3);
    assert_string_equal(buffer_cstr(&report.text), "/nonexistent/x.cfg: can't be opened: No such file or directory\n"
                                                   "/tmp: can't be read: Is a directory\n"
                                                   "/dev/zero: is larger than 4 MiB\n");
    config_report_close(&report);
}

static void the_sample_files_parse(void **state)
{
    (void)state;
    static const char *const paths[] = {"deploy/ingress.cfg", "deploy/runner.cfg", "deploy/triggers.d/demo.cfg",
                                        "schemas/providers.cfg"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct config_report report;
        config_report_init(&report);
        struct config_file *f = config_open(paths[i], &report);
        assert_string_equal(buffer_cstr(&report.text), "");
        assert_non_null(f);
        assert_string_equal(config_name(f), paths[i]);
        config_close(f);
        config_report_close(&report);
    }
}

static void a_flood_of_problems_keeps_the_first(void **state)
{
    (void)state;
    struct config_report report;
    config_report_init(&report);
    char longest[600];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    for (int i = 0; i < 1000; i++)
        config_report_add(&report, "t.cfg", i + 1, "%s", longest);
    assert_int_equal(report.problems, 1000);
    assert_memory_equal(buffer_cstr(&report.text), "t.cfg:1: xxx", 12);
    assert_true(buffer_ok(&report.text));
    config_report_close(&report);
}

static void the_reference_page_is_the_table(void **state)
{
    (void)state;
    char *page = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&page, &size);
    config_print_help(out, "title", options, COUNT);
    fclose(out);
    assert_non_null(
        strstr(page, "title\n\n  http.listen = \"0.0.0.0:8080\"\n      text, 1 to 20 bytes\n      help of listen\n"));
    assert_non_null(strstr(page, "  strict = true\n      boolean\n"));
    assert_non_null(strstr(page, "  http.body_max = \"960KiB\"\n      size, 1KiB to 64MiB; read again on SIGHUP\n"));
    assert_non_null(strstr(page, "  log.level = \"info\"\n      choice: debug|info|warn\n"));
    assert_non_null(strstr(page, "  proxies = [\"::1\", \"127.0.0.1\"]\n      list of texts, at most 3 entries\n"));
    assert_non_null(strstr(page, "  kafka = { }\n      group\n"));
    free(page);

    out = open_memstream(&page, &size);
    config_print_help(out, "agents", agent_options, 1);
    fclose(out);
    assert_non_null(strstr(page, "  id   (required)\n      text\n"));
    free(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_parsed_like_input),
        cmocka_unit_test(values_of_every_kind),
        cmocka_unit_test(problems_have_their_line),
        cmocka_unit_test(quotes_and_comments_that_end),
        cmocka_unit_test(every_field_is_legal_after_a_problem),
        cmocka_unit_test(a_zero_byte_is_refused),
        cmocka_unit_test(the_environment_goes_first),
        cmocka_unit_test(lists_of_groups),
        cmocka_unit_test(files_that_cannot_be_read),
        cmocka_unit_test(the_sample_files_parse),
        cmocka_unit_test(a_flood_of_problems_keeps_the_first),
        cmocka_unit_test(the_reference_page_is_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
