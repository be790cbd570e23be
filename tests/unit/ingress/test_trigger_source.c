/* test_trigger_source.c: a directory of triggers becomes one snapshot, or a list of everything that is wrong.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ingress.h"
#include "signature.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka wants its headers first */
#include <cmocka.h>

struct bench {
    char directory[64];
    struct settings settings;
    struct scheme_set *schemes;
    struct config_report report;
    struct trigger_set *set;
};

static void write_file(struct bench *b, const char *name, const char *text, mode_t mode)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", b->directory, name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(path, mode), 0);
}

static void remove_files(struct bench *b)
{
    const char *const names[] = {"a.cfg", "b.cfg", "notes.txt", ".hidden.cfg", "secret"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", b->directory, names[i]);
        unlink(path);
    }
}

static struct trigger_set *load(struct bench *b)
{
    config_report_close(&b->report);
    config_report_init(&b->report);
    return trigger_source_load(&b->settings, b->schemes, &b->report);
}

static int setup(void **state)
{
    static char url[] = "https://hooks.example", prefix[] = "/api/v1/agents", listen[] = "0.0.0.0:8080";
    struct error error;
    struct bench *b = calloc(1, sizeof *b);
    *state = b;
    if (!b || !signature_init(&error)) return -1;
    snprintf(b->directory, sizeof b->directory, "/tmp/drawbridge-triggers-XXXXXX");
    if (!mkdtemp(b->directory)) return -1;
    b->settings = (struct settings){.public_url = url,
                                    .prefix = prefix,
                                    .listen = listen,
                                    .trigger_directory = b->directory,
                                    .body_max = 1 << 20,
                                    .publish_deadline_ms = 4000};
    b->schemes = scheme_set_load(scheme_providers_text, &error);
    config_report_init(&b->report);
    setenv("TEST_SECRET", "it is secret", 1);
    return b->schemes ? 0 : -1;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    remove_files(b);
    rmdir(b->directory);
    trigger_set_unref(b->set);
    scheme_set_free(b->schemes);
    config_report_close(&b->report);
    signature_close();
    free(b);
    return 0;
}

static void a_trigger_has_the_published_defaults(void **state)
{
    struct bench *b = *state;
    write_file(b, "a.cfg", "triggers = ({ agent_id = \"demo\"; secret = \"env:TEST_SECRET\"; });", 0644);
    write_file(b, "notes.txt", "not a trigger {", 0644);
    write_file(b, ".hidden.cfg", "not a trigger {", 0644);
    b->set = load(b);
    if (!b->set) fail_msg("%s", buffer_cstr(&b->report.text));
    assert_int_equal(trigger_set_count(b->set), 1);
    const struct trigger *t = trigger_set_find(b->set, bytes_of("demo"));
    assert_non_null(t);
    assert_null(trigger_set_find(b->set, bytes_of("dem")));
    assert_null(trigger_set_find(b->set, bytes_of("demo2")));
    assert_string_equal(t->options.event_source, "");
    assert_string_equal(t->options.description, "External event");
    assert_true(t->options.enabled);
    assert_non_null(t->verifier);
    assert_true(bytes_are(t->scheme_name, "github"));
    assert_string_equal(t->ce_source, "/agents/demo/webhook");
    assert_string_equal(t->webhook_url, "https://hooks.example/api/v1/agents/demo/webhook");
    assert_int_equal(t->response_status, 202);
    assert_int_equal(t->deadline_ms, 4000);
    assert_int_equal(t->body_max, 1 << 20);
    assert_string_equal(
        buffer_cstr(&t->trigger_json),
        "{\"event_source\":\"\",\"description\":\"External event\",\"metadata\":{},\"dedupe_s\":259200}");
    assert_string_equal(buffer_cstr(&t->info_json),
                        "{\"webhook_url\":\"https://hooks.example/api/v1/agents/demo/webhook\",\"agent_id\":\"demo\","
                        "\"methods\":[\"POST\"],\"content_type\":\"application/json\",\"event_source\":\"\","
                        "\"description\":\"External event\"}");
    assert_int_equal(t->identity_count, 2);
    assert_string_equal(t->identity[0].record_name, "http-x-github-delivery");
}

static void every_option_is_taken(void **state)
{
    struct bench *b = *state;
    write_file(b, "secret", "other secret\n", 0600);
    char text[1024];
    snprintf(text, sizeof text,
             "triggers = ({ agent_id = \"a~.-_1\"; event_source = \"https://github.com\"; description = \"D\\\"q\";\n"
             " enabled = false; allowed_ips = [\"192.0.2.0/24\", \"::1\"]; metadata = { team = \"x\"; };\n"
             " verify = { scheme = \"github\"; secrets = [\"env:TEST_SECRET\", \"file:%s/secret\"]; };\n"
             " check_origin = true; content_types = [\"text/plain\"]; body_max = \"2KiB\"; dedupe = \"body\";\n"
             " response_status = 200; deadline = \"700ms\"; public_url = \"http://other\"; });",
             b->directory);
    write_file(b, "a.cfg", text, 0644);
    b->set = load(b);
    if (!b->set) fail_msg("%s", buffer_cstr(&b->report.text));
    const struct trigger *t = trigger_set_find(b->set, bytes_of("a~.-_1"));
    assert_non_null(t);
    assert_false(t->options.enabled);
    assert_int_equal(t->source.allowed_count, 2);
    assert_true(bytes_are(t->source.origin_host, "github.com"));
    assert_string_equal(t->ce_source, "https://github.com");
    assert_int_equal(t->response_status, 200);
    assert_int_equal(t->deadline_ms, 700);
    assert_int_equal(t->body_max, 2048);
    assert_int_equal(t->options.dedupe, DEDUPE_BODY);
    assert_string_equal(t->webhook_url, "http://other/api/v1/agents/a~.-_1/webhook");
    assert_string_equal(buffer_cstr(&t->trigger_json), "{\"event_source\":\"https://github.com\",\"description\":"
                                                       "\"D\\\"q\",\"metadata\":{\"team\":\"x\"},\"dedupe_s\":259200}");
}

/* One file's text and a part of the sentence that must say what is wrong. */
static const struct bad_row {
    const char *text, *sentence;
    mode_t mode;
} bad[] = {
    {"triggers = (", "syntax", 0644},
    {"trigger = ();", "triggers", 0644},
    {"triggers = ({ agent_id = \"a/b\"; verify = \"none\"; });", "agent_id: is not", 0644},
    {"triggers = ({ agent_id = \"..\"; verify = \"none\"; });", "agent_id: is not", 0644},
    {"triggers = ({ verify = \"none\"; });", "agent_id", 0644},
    {"triggers = ({ agent_id = \"a\"; verify = \"none\"; }, { agent_id = \"a\"; verify = \"none\"; });", "already",
     0644},
    {"triggers = ({ agent_id = \"a\"; verify = { scheme = \"hithub\"; secrets = [\"env:TEST_SECRET\"]; }; });",
     "no scheme 'hithub'", 0644},
    {"triggers = ({ agent_id = \"a\"; verify = { scheme = \"github\"; secrets = []; }; });", "1 to 8 secrets", 0644},
    {"triggers = ({ agent_id = \"a\"; verify = { scheme = \"github\"; }; });", "1 to 8 secrets", 0644},
    {"triggers = ({ agent_id = \"a\"; verify = { secrets = [\"env:TEST_SECRET\"]; }; });", "verify", 0644},
    {"triggers = ({ agent_id = \"a\"; secret = \"env:TEST_NO_SUCH_VARIABLE\"; });", "TEST_NO_SUCH_VARIABLE", 0644},
    {"triggers = ({ agent_id = \"a\"; secret = \"plain-and-open\"; });", "env:NAME or file:PATH", 0644},
    {"triggers = ({ agent_id = \"a\"; secret = \"plain-and-open\"; });", "env:NAME or file:PATH", 0640},
    {"triggers = ({ agent_id = \"a\"; secret = \"env:TEST_SECRET\"; verify = \"none\"; });", "beside verify", 0644},
    {"triggers = ({ agent_id = \"a\"; verify = \"nothing\"; });", "\"none\"", 0644},
    {"triggers = ({ agent_id = \"a\"; });", "anybody could start", 0644},
    {"triggers = ({ agent_id = \"a\"; event_source = \"https://github.com\"; });", "anybody could start", 0644},
    {"triggers = ({ agent_id = \"a\"; event_source = \"github.com\"; allowed_ips = [\"192.0.2.1\"]; });",
     "anybody could start", 0644},
    {"triggers = ({ agent_id = \"a\"; allowed_ips = [\"192.0.2.1/24\"]; });", "behind its prefix", 0644},
    {"triggers = ({ agent_id = \"a\"; allowed_ips = [\"github.com\"]; });", "not an IP address", 0644},
    {"triggers = ({ agent_id = \"a\"; verify = \"none\"; check_origin = true; });", "check_origin: needs", 0644},
    {"triggers = ({ agent_id = \"a\"; verify = \"none\"; body_max = \"2MiB\"; });", "over http.body_max", 0644},
    {"triggers = ({ agent_id = \"a\"; verify = \"none\"; response_status = 201; });", "200 or 202", 0644},
    {"triggers = ({ agent_id = \"a\"; verify = \"none\"; dedupe = \"signature\"; });", "needs a scheme", 0644},
    {"triggers = ({ agent_id = \"a\"; verify = \"none\"; dedupe = \"never\"; });", "dedupe", 0644},
    {"triggers = ({ agent_id = \"a\"; verify = \"none\"; secrets = \"x\"; });", "secrets", 0644},
    {"triggers = ({ agent_id = \"a\"; verify = \"none\"; public_url = \"hooks\"; });", "not an http or https URL",
     0644},
};

static void everything_wrong_is_named(void **state)
{
    struct bench *b = *state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        write_file(b, "a.cfg", bad[i].text, bad[i].mode);
        struct trigger_set *set = load(b);
        const char *said = buffer_cstr(&b->report.text);
        if (set || !strstr(said, bad[i].sentence) || !strstr(said, "a.cfg"))
            fail_msg("%s: %s", bad[i].text, set ? "was loaded" : said);
        if (strstr(said, "plain-and-open")) fail_msg("a secret was printed: %s", said);
    }
}

static void all_files_and_all_problems_count(void **state)
{
    struct bench *b = *state;
    write_file(b, "a.cfg", "triggers = ({ agent_id = \"a\"; verify = \"none\"; }, { agent_id = \"b\"; colour = 1; });",
               0644);
    write_file(b, "b.cfg", "triggers = ({ agent_id = \"a\"; verify = \"none\"; });", 0644);
    assert_null(load(b));
    const char *said = buffer_cstr(&b->report.text);
    assert_non_null(strstr(said, "colour"));
    assert_non_null(strstr(said, "anybody could start"));
    assert_non_null(strstr(said, "b.cfg"));
    assert_non_null(strstr(said, "already"));
    assert_int_equal(b->report.problems, 3);
}

static void a_literal_secret_needs_a_file_of_its_owner(void **state)
{
    struct bench *b = *state;
    write_file(b, "a.cfg", "triggers = ({ agent_id = \"a\"; secret = \"plain\"; });", 0600);
    b->set = load(b);
    if (!b->set) fail_msg("%s", buffer_cstr(&b->report.text));
    assert_non_null(trigger_set_find(b->set, bytes_of("a"))->verifier);
}

/* As `drawbridge trigger seal` makes it: for an agent, a scheme and a name, whatever stands beside it. */
static void a_sealed_secret_opens_in_its_trigger(void **state)
{
    struct bench *b = *state;
    struct sealed_place place = {
        .agent_id = BYTES_LITERAL("a"), .scheme = BYTES_LITERAL("github"), .name = BYTES_LITERAL("current")};
    struct buffer text, file;
    buffer_init(&text, SEALED_TEXT_MAX);
    buffer_init(&file, 2 * SEALED_TEXT_MAX);
    b->settings.keys =
        keyring_parse(bytes_of("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"), NULL);
    assert_non_null(b->settings.keys);
    assert_true(sealed_make(b->settings.keys, &place, bytes_of("hunter2"), &text, NULL));
    for (int other = 0; other < 2; other++) {
        buffer_clear(&file);
        buffer_format(&file,
                      "triggers = ({ agent_id = \"%s\"; verify = { scheme = \"github\"; secrets = [\"%s\"]; }; });",
                      other ? "b" : "a", buffer_cstr(&text));
        write_file(b, "a.cfg", buffer_cstr(&file), 0644);
        struct trigger_set *set = load(b);
        if (!set != (other == 1)) fail_msg("%d: %s", other, buffer_cstr(&b->report.text));
        trigger_set_unref(set);
    }
    assert_non_null(strstr(buffer_cstr(&b->report.text), "does not open"));
    keyring_free(b->settings.keys);
    b->settings.keys = NULL;
    assert_null(load(b));
    assert_non_null(strstr(buffer_cstr(&b->report.text), "key_file"));
    buffer_close(&text);
    buffer_close(&file);
}

static void on_loopback_an_open_trigger_is_fine(void **state)
{
    struct bench *b = *state;
    b->settings.loopback = true;
    write_file(b, "a.cfg", "triggers = ({ agent_id = \"a\"; });", 0644);
    b->set = load(b);
    if (!b->set) fail_msg("%s", buffer_cstr(&b->report.text));
    assert_null(trigger_set_find(b->set, bytes_of("a"))->verifier);
    assert_true(bytes_are(trigger_set_find(b->set, bytes_of("a"))->scheme_name, "none"));
}

static void addresses_alone_are_enough(void **state)
{
    struct bench *b = *state;
    write_file(
        b, "a.cfg",
        "triggers = ({ agent_id = \"a\"; allowed_ips = [\"192.0.2.0/24\"]; }, { agent_id = \"b\"; event_source = "
        "\"github.com\"; source_match = \"all\"; allowed_ips = [\"192.0.2.0/24\"]; });",
        0644);
    b->set = load(b);
    if (!b->set) fail_msg("%s", buffer_cstr(&b->report.text));
}

static void an_empty_or_missing_directory(void **state)
{
    struct bench *b = *state;
    b->set = load(b);
    assert_non_null(b->set);
    assert_int_equal(trigger_set_count(b->set), 0);
    char none[] = "/tmp/drawbridge-there-is-no-such-folder";
    b->settings.trigger_directory = none;
    assert_null(load(b));
    assert_non_null(strstr(buffer_cstr(&b->report.text), none));
}

static void a_request_keeps_its_snapshot(void **state)
{
    struct bench *b = *state;
    write_file(b, "a.cfg", "triggers = ({ agent_id = \"a\"; verify = \"none\"; });", 0644);
    struct trigger_set *old = load(b);
    assert_non_null(old);
    struct trigger_set *held = trigger_set_ref(old);
    const struct trigger *t = trigger_set_find(held, bytes_of("a"));
    write_file(b, "a.cfg", "triggers = ({ agent_id = \"b\"; verify = \"none\"; });", 0644);
    b->set = load(b);
    assert_non_null(b->set);
    trigger_set_unref(old);
    assert_string_equal(t->options.agent_id, "a");
    assert_null(trigger_set_find(b->set, bytes_of("a")));
    trigger_set_unref(held);
}

static void a_trigger_chooses_the_spool(void **state)
{
    struct bench *b = *state;
    write_file(b, "a.cfg",
               "triggers = ({ agent_id = \"silent\"; verify = \"none\"; },\n"
               " { agent_id = \"yes\"; verify = \"none\"; spool = true; },\n"
               " { agent_id = \"no\"; verify = \"none\"; spool = false; });",
               0644);
    char directory[] = "/spool";
    for (int by_default = 0; by_default < 2; by_default++) {
        b->settings.spool_directory = directory;
        b->settings.spool_default = by_default == 1;
        struct trigger_set *set = load(b);
        if (!set) fail_msg("%s", buffer_cstr(&b->report.text));
        assert_int_equal(trigger_set_find(set, bytes_of("silent"))->spool, by_default);
        assert_true(trigger_set_find(set, bytes_of("yes"))->spool);
        assert_false(trigger_set_find(set, bytes_of("no"))->spool);
        trigger_set_unref(set);
    }
    b->settings.spool_directory = NULL;
    assert_null(load(b));
    assert_non_null(strstr(buffer_cstr(&b->report.text), "needs spool.directory"));
}

static void many_triggers_are_all_found(void **state)
{
    struct bench *b = *state;
    struct buffer text;
    buffer_init(&text, 1 << 20);
    buffer_text(&text, "triggers = (");
    for (int i = 0; i < 1000; i++)
        buffer_format(&text, "%s{ agent_id = \"agent-%d\"; verify = \"none\"; }", i ? "," : "", i);
    buffer_text(&text, ");");
    write_file(b, "a.cfg", buffer_cstr(&text), 0644);
    buffer_close(&text);
    b->set = load(b);
    if (!b->set) fail_msg("%s", buffer_cstr(&b->report.text));
    assert_int_equal(trigger_set_count(b->set), 1000);
    for (int i = 0; i < 1000; i++) {
        char id[32];
        snprintf(id, sizeof id, "agent-%d", i);
        const struct trigger *t = trigger_set_find(b->set, bytes_of(id));
        assert_non_null(t);
        assert_string_equal(t->options.agent_id, id);
    }
    assert_null(trigger_set_find(b->set, bytes_of("agent-1000")));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_trigger_has_the_published_defaults),
        TEST(every_option_is_taken),
        TEST(everything_wrong_is_named),
        TEST(all_files_and_all_problems_count),
        TEST(a_literal_secret_needs_a_file_of_its_owner),
        TEST(a_sealed_secret_opens_in_its_trigger),
        TEST(on_loopback_an_open_trigger_is_fine),
        TEST(addresses_alone_are_enough),
        TEST(an_empty_or_missing_directory),
        TEST(a_request_keeps_its_snapshot),
        TEST(a_trigger_chooses_the_spool),
        TEST(many_triggers_are_all_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
