/* test_settings.c: what the runner says about settings that are legal one by one and not together.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "settings.h"
#include "signature.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REST                                                                                                           \
    "kafka = { bootstrap_servers = \"localhost:9092\"; };\n"                                                           \
    "agents = ( { id = \"a\"; command = [\"/bin/true\"]; } );\n"

/* Loads the text as a file that is called `path` then. */
static struct settings *load(const char *head, char path[32], struct config_report *report)
{
    snprintf(path, 32, "/tmp/drawbridge-test-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(dprintf(fd, "%s" REST, head), (int)(strlen(head) + strlen(REST)));
    close(fd);
    config_report_init(report);
    struct settings *s = settings_load(path, report);
    unlink(path);
    return s;
}

static const struct {
    const char *head;
    int line; /* of the warning; 0: there is none */
} graces[] = {
    {"", 0},
    {"session_timeout = \"6s\";\ntakeover_grace = \"7s\";\n", 0},
    {"session_timeout = \"6s\";\ntakeover_grace = \"6999ms\";\n", 2},
    {"takeover_grace = \"0\";\n", 1},
    {"takeover_grace = \"30s\";\n", 1},
    {"session_timeout = \"44s\";\n", 0},
    {"\nsession_timeout = \"45s\";\n", 2}, /* against the default */
    {"session_timeout = \"5m\";\ntakeover_grace = \"1h\";\n", 0},
};

static void a_grace_below_the_session_is_warned_of(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof graces / sizeof graces[0]; i++) {
        char path[32], start[64];
        struct config_report report;
        struct settings *s = load(graces[i].head, path, &report);
        if (!s) fail_msg("%s: %s", graces[i].head, buffer_cstr(&report.text));
        assert_int_equal(report.problems, 0);
        snprintf(start, sizeof start, "%s:%d: warning: takeover_grace is ", path, graces[i].line);
        if (graces[i].line == 0)
            assert_string_equal(buffer_cstr(&report.text), "");
        else if (strncmp(buffer_cstr(&report.text), start, strlen(start)) != 0)
            fail_msg("%s: %s", graces[i].head, buffer_cstr(&report.text));
        settings_free(s);
        config_report_close(&report);
    }
}

static void the_journal_is_looked_at_every_hour(void **state)
{
    (void)state;
    char path[32];
    struct config_report report;
    struct settings *s = load("", path, &report);
    assert_non_null(s);
    assert_int_equal(s->journal_check_ms, 3600000);
    settings_free(s);
    config_report_close(&report);
    assert_null(load("journal_check = \"0\";\n", path, &report));
    assert_int_equal(report.problems, 1);
    config_report_close(&report);
}

static int set_up(void **state)
{
    (void)state;
    return signature_init(NULL) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    signature_close();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_grace_below_the_session_is_warned_of),
        cmocka_unit_test(the_journal_is_looked_at_every_hour),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
