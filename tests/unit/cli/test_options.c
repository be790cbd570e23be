/* test_options.c: every kind of option, what it refuses, defaults, operands.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "cli.h"
#include <cmocka.h>
#include <string.h>

struct settings {
    bool flag;
    const char *text;
    int64_t number, size, duration, moment;
    double share;
    int choice;
    struct cli_list list;
};

#define FIELD(f) .offset = offsetof(struct settings, f)
static const struct cli_option options[] = {
    {.name = "flag", .letter = 'f', .kind = CLI_FLAG, FIELD(flag), .help = "a flag"},
    {.name = "text", .letter = 't', .kind = CLI_TEXT, FIELD(text), .argument = "T", .help = "a text"},
    {.name = "number",
     .kind = CLI_INT,
     FIELD(number),
     .argument = "N",
     .default_text = "7",
     .min = 1,
     .max = 9,
     .help = "a number"},
    {.name = "size", .kind = CLI_SIZE, FIELD(size), .argument = "S", .help = "a size"},
    {.name = "duration",
     .kind = CLI_DURATION,
     FIELD(duration),
     .argument = "D",
     .default_text = "2s",
     .help = "a duration"},
    {.name = "moment", .kind = CLI_MOMENT, FIELD(moment), .argument = "M", .help = "a moment"},
    {.name = "share", .kind = CLI_NUMBER, FIELD(share), .argument = "X", .min = 0, .max = 1, .help = "a share"},
    {.name = "choice", .kind = CLI_CHOICE, FIELD(choice), .argument = "a|bb", .choices = "a|bb", .help = "a choice"},
    {.name = "list", .letter = 'X', .kind = CLI_LIST, FIELD(list), .argument = "L", .help = "a list"},
};
enum { OPTION_COUNT = sizeof options / sizeof options[0], NOW_S = 1795435200 };

static enum cli_parsed parse(struct settings *out, int *first, struct error *error, int argc, char **argv)
{
    *out = (struct settings){0};
    const struct cli_option_set set = {options, OPTION_COUNT, out};
    return options_parse(&set, 1, (int64_t)NOW_S * 1000000, argc, argv, first, error);
}
/* words("a", "b") -> argc, argv with a command name in front */
#define WORDS(...)                                                                                                     \
    (int)(sizeof((const char *[]){"command", __VA_ARGS__}) / sizeof(char *)), (char *[])                               \
    {                                                                                                                  \
        (char[]){"command"}, __VA_ARGS__, NULL                                                                         \
    }
#define W(text)                                                                                                        \
    (char[])                                                                                                           \
    {                                                                                                                  \
        text                                                                                                           \
    }

static void defaults_are_read_like_arguments(void **state)
{
    (void)state;
    struct settings s;
    struct error error;
    int first;
    assert_int_equal(parse(&s, &first, &error, 1, (char *[]){W("command"), NULL}), CLI_PARSED);
    assert_int_equal(s.number, 7);
    assert_int_equal(s.duration, 2000);
    assert_null(s.text);
    assert_int_equal(s.moment, 0);
    assert_int_equal(first, 1);
}

static void every_kind_is_stored(void **state)
{
    (void)state;
    struct settings s;
    struct error error;
    int first;
    assert_int_equal(parse(&s, &first, &error,
                           WORDS(W("-f"), W("--text=x y"), W("--number"), W("9"), W("--size=64KiB"), W("--duration"),
                                 W("3m"), W("--share=0.25"), W("--choice=bb"), W("-X"), W("p=1"), W("-Xq=2"))),
                     CLI_PARSED);
    assert_true(s.flag);
    assert_string_equal(s.text, "x y");
    assert_int_equal(s.number, 9);
    assert_int_equal(s.size, 65536);
    assert_int_equal(s.duration, 180000);
    assert_true(s.share > 0.24 && s.share < 0.26);
    assert_int_equal(s.choice, 1);
    assert_int_equal(s.list.count, 2);
    assert_string_equal(s.list.items[1], "q=2");
}

static void a_moment_is_a_time_or_how_long_ago(void **state)
{
    (void)state;
    struct settings s;
    struct error error;
    int first;
    assert_int_equal(parse(&s, &first, &error, WORDS(W("--moment=1h"))), CLI_PARSED);
    assert_int_equal(s.moment, ((int64_t)NOW_S - 3600) * 1000000);
    assert_int_equal(parse(&s, &first, &error, WORDS(W("--moment=1970-01-01T00:01:00Z"))), CLI_PARSED);
    assert_int_equal(s.moment, 60 * 1000000);
}

static void operands_are_what_is_left(void **state)
{
    (void)state;
    struct settings s;
    struct error error;
    int first;
    char *argv[] = {W("command"), W("file"), W("-f"), W("--"), W("--text"), NULL};
    assert_int_equal(parse(&s, &first, &error, 5, argv), CLI_PARSED);
    assert_true(s.flag);
    assert_int_equal(first, 3);
    assert_string_equal(argv[3], "file");
    assert_string_equal(argv[4], "--text");
    assert_null(s.text);
}

static void wrong_words_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *word, *said;
    } rows[] = {
        {"--number=1", NULL},
        {"--number=9", NULL},
        {"--number=0", "from 1 to 9"},
        {"--number=10", "--number: '10' is not a whole number from 1 to 9"},
        {"--number=1x", "--number: '1x'"},
        {"--number=", "--number: ''"},
        {"--text=", "--text"},
        {"--size=64", NULL}, /* a bare number of bytes is a size */
        {"--size=64XB", "a size such as"},
        {"--duration=5", "a duration such as"},
        {"--moment=yesterday", "a time such as"},
        {"--share=2", "from 0 to 1"},
        {"--share=nan", "a number"},
        {"--share=0.5x", "a number"},
        {"--choice=b", "one of a|bb"},
        {"--unknown", "unknown option: --unknown"},
        {"-z", "unknown option: -z"},
        {"--text", "an argument is missing: --text"},
        {"-X", "an argument is missing: -X"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct settings s;
        struct error error = {0};
        int first;
        char word[64];
        snprintf(word, sizeof word, "%s", rows[i].word);
        char *argv[] = {W("command"), word, NULL};
        const enum cli_parsed outcome = parse(&s, &first, &error, 2, argv);
        if (rows[i].said == NULL) {
            assert_int_equal(outcome, CLI_PARSED);
            continue;
        }
        assert_int_equal(outcome, CLI_PARSED_WRONG);
        if (strstr(error.text, rows[i].said) == NULL) fail_msg("%s: %s", rows[i].word, error.text);
    }
}

static void a_list_is_bounded(void **state)
{
    (void)state;
    struct settings s;
    struct error error;
    int first;
    char word[] = "-Xa=b", *argv[2 + CLI_LIST_MAX + 1] = {W("command")};
    for (int i = 1; i <= CLI_LIST_MAX + 1; i++)
        argv[i] = word;
    assert_int_equal(parse(&s, &first, &error, 1 + CLI_LIST_MAX, argv), CLI_PARSED);
    assert_int_equal(s.list.count, CLI_LIST_MAX);
    assert_int_equal(parse(&s, &first, &error, 2 + CLI_LIST_MAX, argv), CLI_PARSED_WRONG);
}

static void help_is_asked_for(void **state)
{
    (void)state;
    struct settings s;
    struct error error;
    int first;
    assert_int_equal(parse(&s, &first, &error, WORDS(W("--help"))), CLI_PARSED_HELP);
    assert_int_equal(parse(&s, &first, &error, WORDS(W("-h"))), CLI_PARSED_HELP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_read_like_arguments),
        cmocka_unit_test(every_kind_is_stored),
        cmocka_unit_test(a_moment_is_a_time_or_how_long_ago),
        cmocka_unit_test(operands_are_what_is_left),
        cmocka_unit_test(wrong_words_are_named),
        cmocka_unit_test(a_list_is_bounded),
        cmocka_unit_test(help_is_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
