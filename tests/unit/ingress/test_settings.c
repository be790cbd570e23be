/* test_settings.c: what the ingress derives from its settings.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ingress.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static bool load(const char *http, struct settings *s)
{
    char path[] = "/tmp/drawbridge-settings-XXXXXX";
    struct config_report report;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_true(dprintf(fd, "kafka: { bootstrap_servers = \"localhost:9\"; };\nhttp: { %s };\n", http) > 0);
    close(fd);
    config_report_init(&report);
    bool good = settings_load(s, path, &report);
    unlink(path);
    config_report_close(&report);
    return good;
}

/* Where a trigger without any check may be served. */
static void a_trusted_proxy_makes_loopback_reachable(void **state)
{
    static const struct {
        const char *http;
        bool loopback;
    } rows[] = {
        {"listen = \"127.0.0.1:0\";", true},
        {"listen = \"[::1]:0\";", true},
        {"listen = \"0.0.0.0:0\";", false},
        {"listen = \"127.0.0.1:0\"; trusted_proxies = [\"127.0.0.1\"];", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct settings s;
        assert_true(load(rows[i].http, &s));
        if (s.loopback != rows[i].loopback) fail_msg("%s", rows[i].http);
        settings_close(&s);
    }
}

static void a_public_url_is_a_url_without_a_slash_at_its_end(void **state)
{
    (void)state;
    struct settings s;
    assert_true(load("public_url = \"https://hooks.example.org/\";", &s));
    assert_string_equal(s.public_url, "https://hooks.example.org");
    settings_close(&s);
    assert_false(load("public_url = \"hooks.example.org\";", &s));
    settings_close(&s);
}

static void a_spool_is_off_until_it_has_a_directory(void **state)
{
    static const struct {
        const char *spool;
        bool good;
    } rows[] = {
        {"directory = \"/tmp/drawbridge-no-such-directory\"; size_max = \"8MiB\"; default = false;", true},
        {"directory = \"spool\";", false},     /* not absolute */
        {"directory = \"/dev/null\";", false}, /* not a directory */
        {"directory = \"/tmp\";", false},      /* open to others */
        {"size_max = \"2MiB\";", false},       /* less than a few of the largest events */
        {"directory = \"/x\"; sise = 1;", false},
    };
    (void)state;
    struct settings s;
    assert_true(load("", &s));
    assert_string_equal(s.spool_directory, "");
    assert_int_equal(s.spool_size_max, 1 << 30);
    assert_true(s.spool_default);
    settings_close(&s);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[256];
        snprintf(text, sizeof text, "}; spool: { %s", rows[i].spool);
        if (load(text, &s) != rows[i].good) fail_msg("%s", rows[i].spool);
        settings_close(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trusted_proxy_makes_loopback_reachable),
        cmocka_unit_test(a_public_url_is_a_url_without_a_slash_at_its_end),
        cmocka_unit_test(a_spool_is_off_until_it_has_a_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
