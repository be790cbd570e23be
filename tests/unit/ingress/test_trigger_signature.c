/* test_trigger_signature.c: a doubt about a trigger's signature is never "no signature".
 * SPDX-License-Identifier: Apache-2.0 */
#include "ingress.h"
#include "signature.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka wants its headers first */
#include <cmocka.h>

static char folder[] = "/tmp/drawbridge-test-signature-XXXXXX";
static char listen_text[] = "0.0.0.0:8080", prefix[] = "/api/v1/agents", public_url[] = "https://hooks.example.org";
static struct scheme_set *schemes;
static struct config_report report;

static void write_file(const char *name, const char *text, mode_t mode)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void remove_file(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    unlink(path);
}

static struct trigger_set *load(bool loopback)
{
    const struct settings settings = {.listen = listen_text,
                                      .prefix = prefix,
                                      .public_url = public_url,
                                      .body_max = 960 * 1024,
                                      .publish_deadline_ms = 4000,
                                      .trigger_directory = folder,
                                      .loopback = loopback};
    config_report_close(&report);
    config_report_init(&report);
    return trigger_source_load(&settings, schemes, &report);
}

/* One trigger of agent "a" with these settings more. */
static struct trigger_set *load_one(const char *words, bool loopback)
{
    char text[2048];
    snprintf(text, sizeof text, "triggers = ( { agent_id = \"a\"; %s } );", words);
    write_file("one.cfg", text, 0600);
    struct trigger_set *set = load(loopback);
    remove_file("one.cfg");
    return set;
}

static void a_secret_alone_means_github(void **state)
{
    (void)state;
    struct trigger_set *set = load_one("secret = \"k\";", false);
    assert_non_null(set);
    const struct trigger *t = trigger_set_find(set, bytes_of("a"));
    assert_non_null(t->verifier);
    assert_true(bytes_are(t->scheme_name, "github"));
    assert_string_equal(t->ce_source, "/agents/a/webhook");
    trigger_set_unref(set);
}

/* Words beside a scheme's name are laid over it; a group without a name is a scheme of its own. */
static void a_trigger_may_say_words_of_its_own(void **state)
{
    (void)state;
    static const struct {
        const char *words, *scheme;
        int64_t deadline_ms;
    } rows[] = {
        {"verify = { scheme = \"github\"; secrets = [\"k\"]; deadline = \"1s\"; };", "github", 1000},
        {"verify = { scheme = \"atlassian\"; secrets = [\"k\"]; };", "jira", 4000},
        {"verify = { signature_header = \"X\"; secrets = [\"k\"]; deadline = \"2s\"; };", "custom", 2000},
        {"verify = { signature_header = \"X\"; secrets = [\"k\"]; handshake = \"head\"; };", "custom", 4000},
        {"verify = { scheme = \"standard-webhooks\"; secrets = [\"AAAA\"]; tolerance = \"1h\"; };", "standard-webhooks",
         4000},
        {"verify = { scheme = \"meta\"; secrets = [\"k\"]; verify_token = \"t\"; };", "meta", 4000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct trigger_set *set = load_one(rows[i].words, false);
        if (!set) fail_msg("%s: %s", rows[i].words, buffer_cstr(&report.text));
        const struct trigger *t = trigger_set_find(set, bytes_of("a"));
        assert_true(bytes_are(t->scheme_name, rows[i].scheme));
        assert_int_equal(t->deadline_ms, rows[i].deadline_ms);
        assert_true(bytes_are(t->handshake.verify_token, strstr(rows[i].words, "verify_token") ? "t" : ""));
        assert_int_equal(scheme_handshakes(verifier_scheme(t->verifier)),
                         strstr(rows[i].words, "head\"")     ? 1U << HANDSHAKE_HEAD
                         : bytes_are(t->scheme_name, "meta") ? 1U << HANDSHAKE_META_SUBSCRIBE
                                                             : 0);
        trigger_set_unref(set);
    }
}

static void secrets_have_names(void **state)
{
    (void)state;
    struct trigger_set *set =
        load_one("verify = { scheme = \"github\"; secrets = ( { value = \"k\"; },"
                 " { name = \"old-1\"; value = \"l\"; until = \"2030-01-01T00:00:00+01:00\"; } ); };",
                 false);
    if (!set) fail_msg("%s", buffer_cstr(&report.text));
    const struct trigger *t = trigger_set_find(set, bytes_of("a"));
    assert_int_equal(verifier_count(t->verifier), 2);
    assert_string_equal(verifier_secret_name(t->verifier, 0), "current");
    assert_string_equal(verifier_secret_name(t->verifier, 1), "old-1");
    trigger_set_unref(set);
}

/* Counts go on by name when the triggers are read again; the page is bounded. */
static void uses_are_counted_by_name(void **state)
{
    (void)state;
    struct buffer page;
    struct trigger_set *before = load_one("verify = { scheme = \"github\"; secrets = [\"k\", \"l\"]; };", false);
    struct trigger_set *after =
        load_one("verify = { scheme = \"stripe\"; secrets = ( { name = \"previous\"; value = \"k\"; } ); };", false);
    assert_true(before && after);
    secret_use_count(trigger_set_find(before, bytes_of("a")), 1, 1700000000);
    secret_use_count(trigger_set_find(before, bytes_of("a")), 1, 1700000001);
    secret_use_carry(before, after);
    buffer_init(&page, 65536);
    secret_use_write(after, &page);
    assert_non_null(
        strstr(buffer_cstr(&page), "drawbridge_ingress_secret_verified_total{agent=\"a\",secret=\"previous\"} 2\n"));
    assert_non_null(
        strstr(buffer_cstr(&page),
               "drawbridge_ingress_secret_last_seen_seconds{agent=\"a\",secret=\"previous\"} 1700000001\n"));
    assert_non_null(strstr(buffer_cstr(&page), "drawbridge_ingress_secrets_unlisted 0\n"));
    buffer_close(&page);
    trigger_set_unref(before);
    trigger_set_unref(after);
}

static const struct refusal {
    const char *words, *says;
    bool on_loopback_too;
} refusals[] = {
    /* a signature that is meant but can't be had is an error everywhere */
    {"secret = \"\";", "secret", true},
    {"secret = \"env:DRAWBRIDGE_TEST_UNSET\";", "DRAWBRIDGE_TEST_UNSET", true},
    {"secret = \"file:/nonexistent\";", "/nonexistent", true},
    {"secret = \"sealed:x\";", "sealed", true},
    {"secret = \"k\"; verify = \"none\";", "secret", true},
    {"secret = \"k\"; verify = { scheme = \"github\"; secrets = [\"k\"]; };", "secret", true},
    {"verify = \"\";", "verify", true},
    {"verify = \"all\";", "verify", true},
    {"verify = { scheme = \"github\"; secrets = []; };", "secrets", true},
    {"verify = { scheme = \"github\"; };", "secrets", true},
    {"verify = { scheme = \"github\"; secrets = [\"\"]; };", "empty", true},
    {"verify = { scheme = \"github\"; secrets = [\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\"]; };", "1 to 8",
     true},
    {"verify = { scheme = \"nobody\"; secrets = [\"k\"]; };", "nobody", true},
    {"verify = { secrets = [\"k\"]; };", "verify", true},
    {"verify = { scheme = \"github\"; secrets = [\"k\"]; tolerance = \"1s\"; };", "tolerance", true},
    {"verify = { scheme = \"hubspot\"; secrets = [\"k\"]; };", "hubspot-v1, hubspot-v2, hubspot-v3", true},
    {"verify = { scheme = \"github\"; secrets = [\"k\"]; signd = \"{body}\"; };", "signd", true},
    {"verify = { scheme = \"github\"; secrets = [\"k\"]; signed = \"{bdy}\"; };", "signed", true},
    {"verify = { signature_header = \"X\"; algorithm = \"md5\"; secrets = [\"k\"]; };", "algorithm", true},
    {"verify = { scheme = \"github\"; secrets = ( { name = \"a\"; } ); };", "verify", true},
    {"verify = { scheme = \"github\"; secrets = ( { value = \"k\"; name = \"a b\"; } ); };", "name", true},
    {"verify = { scheme = \"github\"; secrets = ( { value = \"k\"; name = \"a\"; }, { value = \"l\"; name = \"a\"; } "
     "); };",
     "name", true},
    {"verify = { scheme = \"github\"; secrets = ( { value = \"k\"; until = \"2026\"; } ); };", "until", true},
    {"verify = { scheme = \"github\"; secrets = ( { value = \"k\"; until = \"2026-12-31\"; } ); };", "until", true},
    {"verify = { scheme = \"github\"; secrets = ( \"k\", { value = \"l\"; } ); };", "secrets", true},
    {"verify = { scheme = \"standard-webhooks\"; secrets = [\"whsec_\"]; };", "empty", true},
    {"verify = { scheme = \"standard-webhooks\"; secrets = [\"whsec_!\"]; };", "base64", true},
    {"verify = { scheme = \"discord\"; secrets = [\"00\"]; };", "Ed25519", true},
    {"verify = { scheme = \"sendgrid\"; secrets = [\"AAAA\"]; };", "P-256", true},
    {"verify = { scheme = \"aws-sns\"; secrets = [\"k\"]; };", "topic_arns", true},
    {"verify = { scheme = \"github\"; secrets = [\"k\"]; topic_arns = [\"a\"]; };", "topic_arns", true},
    {"verify = { scheme = \"github\"; secrets = [\"k\"]; verify_token = \"t\"; };", "verify_token", true},
    {"dedupe = \"signature\"; verify = { scheme = \"gitlab-token\"; secrets = [\"k\"]; };", "dedupe", true},
    {"dedupe = \"signature\"; verify = \"none\";", "dedupe", true},
    /* anybody could come in */
    {"", "verify", false},
    {"event_source = \"https://github.com\";", "verify", false},
    {"event_source = \"https://github.com\"; allowed_ips = [\"192.0.2.1\"];", "verify", false},
};

static void a_doubtful_trigger_is_refused_with_its_setting(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        for (int loopback = 0; loopback < 2; loopback++) {
            struct trigger_set *set = load_one(refusals[i].words, loopback);
            bool refused = !loopback || refusals[i].on_loopback_too;
            if (!set != refused)
                fail_msg("%s (loopback %d): %s", refusals[i].words, loopback, buffer_cstr(&report.text));
            if (refused && !strstr(buffer_cstr(&report.text), refusals[i].says))
                fail_msg("%s: %s", refusals[i].words, buffer_cstr(&report.text));
            trigger_set_unref(set);
        }
    }
}

static void what_is_meant_is_served(void **state)
{
    (void)state;
    static const char *const words[] = {"verify = \"none\";", "allowed_ips = [\"192.0.2.0/24\", \"2001:db8::/32\"];",
                                        ("event_source = \"https://github.com\"; allowed_ips = [\"192.0.2.1\"];"
                                         "source_match = \"all\";")};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        struct trigger_set *set = load_one(words[i], false);
        if (!set) fail_msg("%s: %s", words[i], buffer_cstr(&report.text));
        assert_null(trigger_set_find(set, bytes_of("a"))->verifier);
        trigger_set_unref(set);
    }
}

static int set_up(void **state)
{
    (void)state;
    struct error error = {0};
    if (!signature_init(&error) || !mkdtemp(folder)) return -1;
    config_report_init(&report);
    schemes = scheme_set_load(scheme_providers_text, &error);
    return schemes ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    config_report_close(&report);
    scheme_set_free(schemes);
    signature_close();
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_secret_alone_means_github),
        cmocka_unit_test(a_trigger_may_say_words_of_its_own),
        cmocka_unit_test(secrets_have_names),
        cmocka_unit_test(uses_are_counted_by_name),
        cmocka_unit_test(a_doubtful_trigger_is_refused_with_its_setting),
        cmocka_unit_test(what_is_meant_is_served),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
