/* test_registry.c: the triggers topic folded: the newest good record counts, and nobody without the key can write one.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ingress.h"
#include "secret_record.h"
#include "signature.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants its headers first */
#include <cmocka.h>

#define KEY "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static char url[] = "https://hooks.example", prefix[] = "/api/v1/agents", listen_text[] = "0.0.0.0:8080",
            topic[] = "drawbridge.triggers", no_file[] = "";
static struct settings settings;
static struct scheme_set *schemes;
static struct registry *registry;
static struct error problem;
static int64_t offset;

/* The record with every "sealed:" in it replaced by a secret sealed for that record, as the tool does it. */
static void seal_record(const char *agent_id, const char *text, struct buffer *out)
{
    struct config_report report;
    uint8_t digest[SIGNATURE_SHA256_SIZE];
    config_report_init(&report);
    struct config_file *f = config_parse_json("record", "trigger", bytes_of(text), &report);
    if (!f) fail_msg("%s", buffer_cstr(&report.text));
    assert_true(secret_record_digest(f, "trigger", digest));
    config_close(f);
    config_report_close(&report);
    static const char *const names[] = {"current", "previous"};
    struct sealed_place place = {
        .agent_id = bytes_of(agent_id), .scheme = bytes_of("github"), .record = {digest, sizeof digest}};
    buffer_init(out, 64 * 1024);
    for (int i = 0;; i++) {
        const char *hole = strstr(text, "\"sealed:\"");
        if (!hole) break;
        buffer_append(out, text, (size_t)(hole - text) + 1);
        place.name = bytes_of(names[i]);
        assert_true(sealed_make(settings.keys, &place, bytes_of("hunter2"), out, NULL));
        text = hole + strlen("\"sealed:");
    }
    buffer_text(out, text);
}

static enum registry_verdict take(const char *key, struct bytes value)
{
    struct record record = {.key = bytes_of(key), .value = value};
    problem.text[0] = 0;
    return registry_take(registry, &record, offset++, &problem);
}

static enum registry_verdict take_sealed(const char *agent_id, const char *text)
{
    struct buffer value;
    seal_record(agent_id, text, &value);
    enum registry_verdict verdict = take(agent_id, buffer_view(&value));
    buffer_close(&value);
    return verdict;
}

static void expect_served(const char *agent_id, const char *text)
{
    if (take_sealed(agent_id, text) != REGISTRY_SERVED) fail_msg("%s: %s", text, problem.text);
}

/* The description of the agent's trigger in force, or "". */
static void expect_description(const char *agent_id, const char *description)
{
    struct trigger_set *none = trigger_set_new(), *set = registry_merge(registry, none);
    const struct trigger *t = trigger_set_find(set, bytes_of(agent_id));
    assert_string_equal(t ? t->options.description : "", description);
    if (t) assert_non_null(t->verifier);
    trigger_set_unref(set);
    trigger_set_unref(none);
}

#define GITHUB "\"verify\":{\"scheme\":\"github\",\"secrets\":[\"sealed:\"]}"

static void the_newest_good_record_counts(void **state)
{
    (void)state;
    expect_served("a", "{\"agent_id\":\"a\",\"description\":\"one\",\"revision\":1," GITHUB "}");
    expect_served("b", "{\"agent_id\":\"b\",\"description\":\"b\"," GITHUB "}");
    expect_description("a", "one");
    expect_served("a", "{\"agent_id\":\"a\",\"description\":\"two\",\"revision\":2," GITHUB "}");
    expect_description("a", "two");
    assert_int_equal(take("a", (struct bytes){0}), REGISTRY_REMOVED);
    expect_description("a", "");
    expect_description("b", "b");
    assert_int_equal(take("a", (struct bytes){0}), REGISTRY_REMOVED);
    assert_int_equal(take("never", (struct bytes){0}), REGISTRY_REMOVED);
    assert_int_equal(registry_bad(registry), 0);
}

static void a_bad_record_leaves_the_last_good_one(void **state)
{
    (void)state;
    expect_served("a", "{\"agent_id\":\"a\",\"description\":\"good\"," GITHUB "}");
    assert_int_equal(take("a", bytes_of("{\"agent_id\":\"a\",")), REGISTRY_REFUSED);
    assert_int_equal(take("a", (struct bytes){(const uint8_t *)"", 0}), REGISTRY_REFUSED); /* empty is no tombstone */
    expect_description("a", "good");
    assert_int_equal(registry_bad(registry), 1);
    assert_int_equal(take("b", bytes_of("[]")), REGISTRY_REFUSED);
    assert_int_equal(registry_bad(registry), 2);
    expect_served("a", "{\"agent_id\":\"a\",\"description\":\"better\"," GITHUB "}");
    assert_int_equal(registry_bad(registry), 1);
    assert_int_equal(take("b", (struct bytes){0}), REGISTRY_REMOVED);
    assert_int_equal(registry_bad(registry), 0);
    assert_int_equal(take("no/agent", (struct bytes){0}), REGISTRY_REFUSED);
    assert_int_equal(take("", bytes_of("{}")), REGISTRY_REFUSED);
}

/* What somebody may write who has no key.  `says` is part of the problem. */
static const struct weak {
    const char *text, *says, *allowance; /* that lets it in */
} weak[] = {
    {"{\"agent_id\":\"a\"}", "verify: is missing", "none"},
    {"{\"agent_id\":\"a\",\"secret\":null}", "verify: is missing", "none"},
    {"{\"agent_id\":\"a\",\"verify\":null}", "verify: is missing", "none"},
    {"{\"agent_id\":\"a\",\"allowed_ips\":[\"0.0.0.0/0\"]}", "verify: is missing", "none"},
    {"{\"agent_id\":\"a\",\"verify\":\"none\"}", "\"none\" is not for a record", "none"},
    {"{\"agent_id\":\"a\",\"secret\":\"env:HOME\"}", "must be sealed", "env"},
    {"{\"agent_id\":\"a\",\"secret\":\"file:/etc/hostname\"}", "must be sealed", "file"},
    {"{\"agent_id\":\"a\",\"secret\":\"hunter2\"}", "must be sealed", "literal"},
    {"{\"agent_id\":\"a\",\"secret\":\"\"}", "must be sealed", NULL},
    {"{\"agent_id\":\"a\",\"verify\":{\"scheme\":\"github\",\"secrets\":[\"env:HOME\"]}}", "must be sealed", "env"},
    {"{\"agent_id\":\"a\",\"verify\":{\"scheme\":\"github\",\"secrets\":[\"hunter2\"]}}", "must be sealed", "literal"},
    {"{\"agent_id\":\"a\",\"verify\":{\"scheme\":\"github\",\"secrets\":[]}}", "secrets", NULL},
    {"{\"agent_id\":\"a\",\"verify\":{\"scheme\":\"github\"}}", "secrets", NULL},
    {"{\"agent_id\":\"a\",\"secret\":\"sealed:x\"}", "form", NULL},
    {"{\"agent_id\":\"a\",\"verify\":{\"scheme\":\"meta\",\"verify_token\":\"env:HOME\",\"secrets\":[\"env:HOME\"]}}",
     "verify_token", "env"},
    {"{\"agent_id\":\"b\",\"verify\":\"none\"}", "\"none\" is not for a record", NULL},
};

static void what_weakens_is_refused_unless_allowed(void **state)
{
    (void)state;
    static const char *const kinds[] = {"none", "env", "file", "literal"};
    setenv("HOME", "/root", 1);
    for (size_t i = 0; i < sizeof weak / sizeof weak[0]; i++) {
        settings.topic_allows = (struct config_list){0};
        if (take("a", bytes_of(weak[i].text)) != REGISTRY_REFUSED) fail_msg("served: %s", weak[i].text);
        if (!strstr(problem.text, weak[i].says)) fail_msg("%s: %s", weak[i].text, problem.text);
        assert_null(strstr(problem.text, "hunter2"));
        for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
            char kind[16], *items[] = {kind};
            snprintf(kind, sizeof kind, "%s", kinds[k]);
            settings.topic_allows = (struct config_list){items, 1};
            settings.loopback = true;
            bool allowed = weak[i].allowance && strcmp(weak[i].allowance, kinds[k]) == 0;
            bool a_file_that_is_open = strstr(weak[i].text, "hostname") != NULL; /* its mode refuses it, not we */
            enum registry_verdict verdict = take("a", bytes_of(weak[i].text));
            settings.loopback = false;
            if ((verdict == REGISTRY_SERVED) != (allowed && !a_file_that_is_open))
                fail_msg("%s with %s: %s", weak[i].text, kind, problem.text);
            if (a_file_that_is_open && allowed) assert_null(strstr(problem.text, "must be sealed"));
        }
    }
    settings.topic_allows = (struct config_list){0};
}

/* A good record, and the same after somebody without the key has touched it. */
static void a_record_that_was_touched_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *before, *after;
    } touches[] = {
        {"\"allowed_ips\":[\"192.0.2.1\"]", "\"allowed_ips\":[\"192.0.2.1\",\"0.0.0.0/0\"]"},
        {"\"allowed_ips\":[\"192.0.2.1\"]", "\"allowed_ips\":[]"},
        {"\"enabled\":false", "\"enabled\":true"},
        {"\"enabled\":false,", ""},
        {"\"enabled\":false", "\"enabled\":false,\"dedupe\":\"body\""},
        {"\"revision\":5", "\"revision\":6"},
        {"\"public_url\":\"https://one\"", "\"public_url\":\"https://two\""},
        {"\"description\":\"d\"", "\"description\":\"e\""},
        {"\"scheme\":\"github\"", "\"scheme\":\"other\""},
    };
    struct buffer good;
    seal_record("a",
                "{\"agent_id\":\"a\",\"description\":\"d\",\"enabled\":false,\"allowed_ips\":[\"192.0.2.1\"],"
                "\"public_url\":\"https://one\",\"revision\":5," GITHUB "}",
                &good);
    for (size_t i = 0; i < sizeof touches / sizeof touches[0]; i++) {
        struct buffer touched;
        const char *at = strstr(buffer_cstr(&good), touches[i].before);
        assert_non_null(at);
        buffer_init(&touched, 64 * 1024);
        buffer_append(&touched, good.data, (size_t)(at - buffer_cstr(&good)));
        buffer_text(&touched, touches[i].after);
        buffer_text(&touched, at + strlen(touches[i].before));
        if (take("a", buffer_view(&touched)) != REGISTRY_REFUSED) fail_msg("served: %s", buffer_cstr(&touched));
        buffer_close(&touched);
    }
    if (take("a", buffer_view(&good)) != REGISTRY_SERVED) fail_msg("%s", problem.text);
    buffer_close(&good);
}

static void a_sealed_secret_does_not_move(void **state)
{
    (void)state;
    struct buffer one, moved;
    seal_record("a", "{\"agent_id\":\"a\"," GITHUB "}", &one);
    assert_int_equal(take("b", buffer_view(&one)), REGISTRY_REFUSED);
    assert_non_null(strstr(problem.text, "is not the record's key"));
    buffer_init(&moved, 64 * 1024);
    buffer_text(&moved, "{\"agent_id\":\"b\"");
    buffer_text(&moved, strchr(buffer_cstr(&one), ','));
    assert_int_equal(take("b", buffer_view(&moved)), REGISTRY_REFUSED);
    assert_non_null(strstr(problem.text, "does not open"));
    /* nor from the first place to the second */
    struct buffer two;
    seal_record("a", "{\"agent_id\":\"a\",\"verify\":{\"scheme\":\"github\",\"secrets\":[\"sealed:\",\"sealed:\"]}}",
                &two);
    assert_int_equal(take("a", buffer_view(&two)), REGISTRY_SERVED);
    char *first = strstr((char *)two.data, "sealed:v1:"), *second = strstr(first + 1, "sealed:v1:");
    size_t size = strcspn(first, "\"");
    memmove(second, first, size);
    assert_int_equal(take("a", buffer_view(&two)), REGISTRY_REFUSED);
    assert_non_null(strstr(problem.text, "previous"));
    buffer_close(&one);
    buffer_close(&two);
    buffer_close(&moved);
}

static void an_old_record_written_again_changes_nothing(void **state)
{
    (void)state;
    struct buffer old;
    seal_record("a", "{\"agent_id\":\"a\",\"description\":\"old\",\"revision\":7," GITHUB "}", &old);
    assert_int_equal(take("a", buffer_view(&old)), REGISTRY_SERVED);
    expect_served("a", "{\"agent_id\":\"a\",\"description\":\"new\",\"revision\":8," GITHUB "}");
    assert_int_equal(take("a", buffer_view(&old)), REGISTRY_REFUSED);
    expect_description("a", "new");
    assert_int_equal(take("a", (struct bytes){0}), REGISTRY_REMOVED); /* a removal does not open the door */
    assert_int_equal(take("a", buffer_view(&old)), REGISTRY_REFUSED);
    expect_description("a", "");
    buffer_close(&old);
}

static void a_reader_that_began_later_keeps_what_is_in_force(void **state)
{
    (void)state;
    expect_served("a", "{\"agent_id\":\"a\",\"description\":\"good\"," GITHUB "}");
    expect_served("b", "{\"agent_id\":\"b\",\"description\":\"removed meanwhile\"," GITHUB "}");
    struct registry *older = registry;
    registry = registry_new(&settings, schemes);
    assert_int_equal(take("a", bytes_of("{")), REGISTRY_REFUSED); /* compaction took the good one */
    registry_adopt(registry, older);
    registry_free(older);
    expect_description("a", "good");
    expect_description("b", "");
    assert_int_equal(registry_bad(registry), 1);
}

static void the_directory_goes_first(void **state)
{
    (void)state;
    struct trigger_set *directory = trigger_set_new();
    expect_served("a", "{\"agent_id\":\"a\",\"description\":\"topic\"," GITHUB "}");
    expect_served("b", "{\"agent_id\":\"b\",\"description\":\"topic\"," GITHUB "}");
    struct trigger_set *both = registry_merge(registry, directory);
    struct trigger *other = calloc(1, sizeof *other);
    assert_non_null(other);
    other->references = 1;
    other->options.agent_id = strdup("a");
    other->options.description = strdup("directory");
    assert_true(trigger_set_add(directory, other));
    trigger_set_unref(both);
    both = registry_merge(registry, directory);
    trigger_set_unref(directory);
    assert_int_equal(trigger_set_count(both), 2);
    assert_string_equal(trigger_set_find(both, bytes_of("a"))->options.description, "directory");
    assert_string_equal(trigger_set_find(both, bytes_of("b"))->options.description, "topic");
    trigger_set_unref(both);
}

static void a_record_of_absurd_size_is_refused(void **state)
{
    (void)state;
    struct buffer large;
    buffer_init(&large, 1 << 20);
    buffer_text(&large, "{\"agent_id\":\"a\"");
    for (int i = 0; i < 70 * 1024; i++)
        buffer_byte(&large, ' ');
    buffer_text(&large, "}");
    assert_int_equal(take("a", buffer_view(&large)), REGISTRY_REFUSED);
    assert_non_null(strstr(problem.text, "64 KiB"));
    buffer_close(&large);
}

static int setup(void **state)
{
    (void)state;
    settings = (struct settings){.public_url = url,
                                 .prefix = prefix,
                                 .listen = listen_text,
                                 .trigger_topic = topic,
                                 .key_file = no_file,
                                 .body_max = 1 << 20,
                                 .publish_deadline_ms = 4000};
    settings.keys = keyring_parse(bytes_of(KEY), NULL);
    registry = registry_new(&settings, schemes);
    offset = 0;
    return settings.keys && registry ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    registry_free(registry);
    keyring_free(settings.keys);
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    struct error error;
    if (!signature_init(&error)) return -1;
    schemes = scheme_set_load(scheme_providers_text, &error);
    return schemes ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    scheme_set_free(schemes);
    signature_close();
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_newest_good_record_counts),
        TEST(a_bad_record_leaves_the_last_good_one),
        TEST(what_weakens_is_refused_unless_allowed),
        TEST(a_record_that_was_touched_is_refused),
        TEST(a_sealed_secret_does_not_move),
        TEST(an_old_record_written_again_changes_nothing),
        TEST(a_reader_that_began_later_keeps_what_is_in_force),
        TEST(the_directory_goes_first),
        TEST(a_record_of_absurd_size_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
