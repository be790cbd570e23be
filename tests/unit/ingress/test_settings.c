/* test_settings.c: what the ingress derives from its settings.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ingress.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
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
        {"listen = \"127.0.0.1:0\";", true}, {"listen = \"[::1]:0\";", true},
        {"listen = \"0.0.0.0:0\";", false},  {"listen = \"127.0.0.1:0\"; trusted_proxies = [\"127.0.0.1\"];", false},
        {"listen = \"unix:/run/x\";", true}, {"listen = \"unix:/run/x\"; trusted_proxies = [\"unix\"];", false},
        {"listen = \"systemd\";", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct settings s;
        assert_true(load(rows[i].http, &s));
        if (s.loopback != rows[i].loopback) fail_msg("%s", rows[i].http);
        settings_close(&s);
    }
}

static void listeners_that_contradict_themselves(void **state)
{
    static const char *const rows[] = {
        "tls_certificate = \"/a\";",
        "tls_key = \"/a\";",
        "listen = \"unix:/run/x\"; reuse_port = true;",
        "listen = \"systemd\"; reuse_port = true;",
        "listen = \"unix:/run/x\"; socket_mode = \"66\";",
        "listen = \"unix:/run/x\"; socket_mode = \"0888\";",
        "listen = \"unix:/run/x\"; socket_mode = \"4755\";",
        "listen = \"unix:x\";",
        "listen = \"nowhere\";",
    };
    struct settings s;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (load(rows[i], &s)) fail_msg("%s", rows[i]);
        settings_close(&s);
    }
    assert_true(load("listen = \"unix:/run/x\"; socket_mode = \"640\";", &s));
    assert_int_equal(s.socket_mode, 0640);
    settings_close(&s);
    assert_true(load("listen = \"127.0.0.1:80\"; reuse_port = true; tls_certificate = \"/a\"; tls_key = \"/b\";", &s));
    settings_close(&s);
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

/* The triggers topic: words, and whether they are enough. */
static void a_topic_needs_its_key_file(void **state)
{
    (void)state;
    char keys[] = "/tmp/drawbridge-settings-keys-XXXXXX", text[256];
    struct settings s;
    int fd = mkstemp(keys);
    assert_true(fd >= 0);
    assert_true(dprintf(fd, "%064d\n", 7) > 0);
    close(fd);
    static const struct {
        const char *words;
        bool good;
    } rows[] = {
        {"topic = \"t\";", false},
        {"topic = \"t\"; key_file = \"/nonexistent/keys\";", false},
        {"topic = \"t\"; topic_allows = [\"env\"];", true},
        {"topic = \"t\"; topic_allows = [\"everything\"];", false},
        {"topic_allows = [\"none\", \"env\", \"file\", \"literal\"];", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snprintf(text, sizeof text, "}; triggers: { %s", rows[i].words);
        if (load(text, &s) != rows[i].good) fail_msg("%s", rows[i].words);
        settings_close(&s);
    }
    snprintf(text, sizeof text, "}; triggers: { topic = \"t\"; key_file = \"%s\";", keys);
    assert_true(load(text, &s));
    assert_non_null(s.keys);
    assert_false(settings_topic_allows(&s, "none"));
    struct error error;
    assert_int_equal(chmod(keys, 0644), 0);
    assert_false(settings_load_keys(&s, &error));
    assert_non_null(s.keys); /* what was there stays */
    settings_close(&s);
    assert_false(load(text, &s));
    settings_close(&s);
    unlink(keys);
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
        cmocka_unit_test(a_trusted_proxy_makes_loopback_reachable),
        cmocka_unit_test(listeners_that_contradict_themselves),
        cmocka_unit_test(a_public_url_is_a_url_without_a_slash_at_its_end),
        cmocka_unit_test(a_topic_needs_its_key_file),
        cmocka_unit_test(a_spool_is_off_until_it_has_a_directory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
