/* test_dev_setup.c: quoting, and the folder that `dev` makes: private, readable by libconfig, without the user's
 * secret. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "cli.h"
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void libconfig_reads_back_what_was_quoted(void **state)
{
    (void)state;
    static const char *const texts[] = {"plain", "C:\\new\\x41",    "a \"b\" \\ c",      "two\nlines\ttab\x01\x7f",
                                        "",      "$(x) 'y' #z //w", "g\xc4\x99\xc5\x9bl"};
    static const struct config_option option = {.name = "x", .kind = CONFIG_TEXT, .default_text = "-", .help = ""};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct buffer file;
        struct config_report report;
        config_report_init(&report);
        buffer_init(&file, 1000);
        buffer_text(&file, "x = ");
        dev_quote(bytes_of(texts[i]), &file);
        buffer_text(&file, ";");
        struct config_file *parsed = config_parse("test", buffer_view(&file), &report);
        assert_non_null(parsed);
        char *back = NULL;
        config_load(parsed, "", &option, 1, &back, &report);
        assert_string_equal(back, texts[i]);
        config_free(&option, 1, &back);
        config_close(parsed);
        config_report_close(&report);
        buffer_close(&file);
    }
}

static void the_shell_reads_back_what_was_quoted(void **state)
{
    (void)state;
    struct buffer word;
    buffer_init(&word, 100);
    dev_shell_quote(bytes_of("it's $HOME \"x\" \\"), &word);
    assert_string_equal(buffer_cstr(&word), "'it'\\''s $HOME \"x\" \\'");
    buffer_close(&word);
}

static void this_machine_reaches_it(void **state)
{
    (void)state;
    static const char *const rows[][2] = {{"0.0.0.0:80", "127.0.0.1:80"},
                                          {"[::]:80", "[::1]:80"},
                                          {"127.0.0.1:8080", "127.0.0.1:8080"},
                                          {"example.org:1", "example.org:1"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buffer out;
        buffer_init(&out, 100);
        dev_reachable(rows[i][0], &out);
        assert_string_equal(buffer_cstr(&out), rows[i][1]);
        buffer_close(&out);
    }
}

static struct dev_setup a_setup(struct cli_kafka *kafka, char **command, struct cli_list *environment)
{
    const struct cli_connection connection = {.brokers = "127.0.0.1:1"};
    struct error error;
    assert_true(connect_load(&connection, kafka, &error));
    return (struct dev_setup){.kafka = kafka,
                              .listen = "127.0.0.1:8080",
                              .agent = "hello",
                              .command = command,
                              .environment = environment,
                              .ingress_port = 1,
                              .runner_port = 2};
}

static bool parses(const struct dev_folder *folder, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder->path, name);
    struct config_report report;
    config_report_init(&report);
    struct config_file *file = config_open(path, &report);
    const bool good = file != NULL;
    config_close(file);
    config_report_close(&report);
    return good;
}

static void the_folder_is_private_and_goes_away(void **state)
{
    (void)state;
    struct cli_kafka kafka;
    struct cli_list environment = {0};
    char *command[] = {NULL};
    struct dev_setup setup = a_setup(&kafka, command, &environment);
    struct dev_folder folder;
    struct error error = {0};
    assert_true(dev_folder_make(&setup, &folder, &error));
    struct stat status;
    assert_int_equal(stat(folder.path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    assert_int_equal(strlen(folder.made_secret), 64);
    assert_true(parses(&folder, "ingress.cfg") && parses(&folder, "runner.cfg") &&
                parses(&folder, "triggers.d/dev.cfg"));
    struct buffer curl;
    buffer_init(&curl, 4000);
    dev_curl(&folder, "http://h/x", &curl);
    assert_non_null(strstr(buffer_cstr(&curl), folder.made_secret)); /* ours may be shown */
    buffer_close(&curl);

    char path[sizeof folder.path];
    memcpy(path, folder.path, sizeof path);
    dev_folder_remove(&folder);
    assert_int_not_equal(access(path, F_OK), 0);
    connect_close(&kafka);
}

static void the_users_secret_is_only_referred_to(void **state)
{
    (void)state;
    setenv("DRAWBRIDGE_TEST_SECRET", "do-not-show-me", 1);
    struct cli_kafka kafka;
    struct cli_list environment = {0};
    char *command[] = {(char[]){"/bin/echo"}, (char[]){"a \"quoted\" word"}, NULL};
    struct dev_setup setup = a_setup(&kafka, command, &environment);
    setup.secret = "env:DRAWBRIDGE_TEST_SECRET";
    struct dev_folder folder;
    struct error error = {0};
    assert_true(dev_folder_make(&setup, &folder, &error));
    assert_string_equal(folder.made_secret, "");
    assert_true(parses(&folder, "runner.cfg"));
    struct buffer curl;
    buffer_init(&curl, 4000);
    dev_curl(&folder, "http://h/x", &curl);
    assert_null(strstr(buffer_cstr(&curl), "do-not-show-me"));
    assert_non_null(strstr(buffer_cstr(&curl), "secret=\"$DRAWBRIDGE_TEST_SECRET\""));
    buffer_close(&curl);
    dev_folder_remove(&folder);

    setup.secret = "do-not-show-me";
    assert_false(dev_folder_make(&setup, &folder, &error));
    assert_null(strstr(error.text, "do-not-show-me"));
    dev_folder_remove(&folder);
    connect_close(&kafka);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(libconfig_reads_back_what_was_quoted),
        cmocka_unit_test(the_shell_reads_back_what_was_quoted),
        cmocka_unit_test(this_machine_reaches_it),
        cmocka_unit_test(the_folder_is_private_and_goes_away),
        cmocka_unit_test(the_users_secret_is_only_referred_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
