/* test_trigger_policy.c: rate, filter and handshakes of a trigger: made, or refused with the option's name.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ingress.h"
#include "signature.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants its headers first */
#include <cmocka.h>

static char folder[] = "/tmp/drawbridge-test-policy-XXXXXX";
static char listen_text[] = "0.0.0.0:8080", prefix[] = "/api/v1/agents", public_url[] = "https://hooks.example.org";
static struct scheme_set *schemes;
static struct config_report report;

static struct trigger_set *load(const char *words)
{
    char path[256], text[2048];
    snprintf(path, sizeof path, "%s/one.cfg", folder);
    snprintf(text, sizeof text, "triggers = ( { agent_id = \"a\"; %s } );", words);
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    const struct settings settings = {.listen = listen_text,
                                      .prefix = prefix,
                                      .public_url = public_url,
                                      .body_max = 960 * 1024,
                                      .publish_deadline_ms = 4000,
                                      .trigger_directory = folder,
                                      .loopback = false};
    config_report_close(&report);
    config_report_init(&report);
    struct trigger_set *set = trigger_source_load(&settings, schemes, &report);
    unlink(path);
    return set;
}

#define SIGNED "secret = \"k\"; "
#define OPEN   "verify = \"none\"; "

static void what_is_said_is_made(void **state)
{
    (void)state;
    struct trigger_set *set = load(
        "verify = { scheme = \"meta\"; secrets = [\"k\"]; verify_token = \"tok\"; }; rate = \"100/min\"; burst = 7; "
        "events = [\"com.*\", \"!*.x\"]; handshake = [\"cloudevents-options\"]; allowed_origins = [\"a.example\"];");
    if (!set) fail_msg("%s", buffer_cstr(&report.text));
    const struct trigger *t = trigger_set_find(set, bytes_of("a"));
    int64_t bucket = 0, wait_s, taken = 0;
    while (rate_take(t->rate, &bucket, 1, &wait_s))
        taken++;
    assert_int_equal(taken, 7);
    assert_int_equal(t->rate_per_min, 100);
    assert_int_equal(t->handshake.kinds, 1U << HANDSHAKE_META_SUBSCRIBE | 1U << HANDSHAKE_CLOUDEVENTS_OPTIONS);
    assert_true(bytes_are(t->handshake.verify_token, "tok"));
    assert_string_equal(t->verify_token, ""); /* wiped */
    assert_string_equal(t->handshake.origins->items[0], "a.example");
    assert_true(t->cloudevents && t->needs_body);
    trigger_set_unref(set);
}

static void nothing_said_is_nothing_asked(void **state)
{
    (void)state;
    struct trigger_set *set = load(SIGNED);
    const struct trigger *t = trigger_set_find(set, bytes_of("a"));
    assert_true(t->rate.interval_ns == 0 && t->rate_per_min == 0);
    assert_true(t->handshake.kinds == 0 && !t->cloudevents && !t->needs_body);
    trigger_set_unref(set);
}

static void rates_in_minutes(void **state)
{
    (void)state;
    const struct {
        const char *words;
        int64_t per_min;
    } rows[] = {
        {"rate = \"2/s\";", 120}, {"rate = \"100/min\";", 100}, {"rate = \"120/h\";", 2}, {"rate = \"1/h\";", 1}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char words[128];
        snprintf(words, sizeof words, SIGNED "%s", rows[i].words);
        struct trigger_set *set = load(words);
        assert_int_equal(trigger_set_find(set, bytes_of("a"))->rate_per_min, rows[i].per_min);
        trigger_set_unref(set);
    }
}

static void listing_the_type_takes_cloudevents(void **state)
{
    (void)state;
    struct trigger_set *set = load(SIGNED "content_types = [\"application/cloudevents+json\"];");
    assert_true(trigger_set_find(set, bytes_of("a"))->cloudevents);
    trigger_set_unref(set);
    set = load(SIGNED "content_types = [\"*+json\", \"application/*\"];");
    assert_false(trigger_set_find(set, bytes_of("a"))->cloudevents);
    trigger_set_unref(set);
}

static const struct refusal {
    const char *words, *says;
} refusals[] = {
    {SIGNED "rate = \"100\";", "rate: '100' is not a rate like"},
    {SIGNED "rate = \"fast\";", "rate: "},
    {SIGNED "burst = 5;", "rate: is missing, but there is a burst"},
    {SIGNED "burst = -1;", "burst"},
    {SIGNED "events = [\"!\"];", "events: "},
    {SIGNED "handshake = [\"slack\"];", "handshake: there is no handshake 'slack'"},
    {OPEN "handshake = [\"slack-challenge\"];", "handshake: 'slack-challenge' is signed"},
    {OPEN "handshake = [\"sns-confirmation\"];", "handshake: 'sns-confirmation' is signed"},
    {"verify = { scheme = \"meta\"; secrets = [\"k\"]; verify_token = \"env:NO_SUCH_TOKEN\"; };",
     "verify: verify_token: "},
};

static void what_cannot_be_is_told_by_option(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct trigger_set *set = load(refusals[i].words);
        if (set || !strstr(buffer_cstr(&report.text), refusals[i].says))
            fail_msg("row %zu: %s", i, buffer_cstr(&report.text));
    }
}

static int setup(void **state)
{
    (void)state;
    struct error error;
    if (!mkdtemp(folder) || !signature_init(&error)) return -1;
    schemes = scheme_set_load(scheme_providers_text, &error);
    config_report_init(&report);
    return schemes ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    rmdir(folder);
    config_report_close(&report);
    scheme_set_free(schemes);
    signature_close();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_said_is_made),
        cmocka_unit_test(nothing_said_is_nothing_asked),
        cmocka_unit_test(rates_in_minutes),
        cmocka_unit_test(listing_the_type_takes_cloudevents),
        cmocka_unit_test(what_cannot_be_is_told_by_option),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
