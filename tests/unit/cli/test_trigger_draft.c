/* test_trigger_draft.c: a record taken apart, changed and sealed anew says what it said before, and opens.
 * SPDX-License-Identifier: Apache-2.0 */
#include "scheme.h"
#include "trigger.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka wants its headers first */
#include <cmocka.h>

#define KEY   "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
#define OTHER "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"

static struct keyring *keys;

static struct secret *secret(const char *text)
{
    return secret_copy(bytes_of(text), NULL);
}

static void write_record(const struct draft *d, struct buffer *out)
{
    struct error error = {0};
    buffer_init(out, DRAFT_RECORD_MAX);
    if (!draft_write(d, keys, out, &error)) fail_msg("%s", error.text);
}

static void read_record(struct draft *d, const struct buffer *record)
{
    struct error error = {0};
    if (!draft_read(d, buffer_view(record), &error) || !draft_open(d, keys, &error)) fail_msg("%s", error.text);
}

static void make_one(struct draft *d)
{
    struct error error = {0};
    assert_true(draft_begin(d, "triage", "github", &error));
    assert_true(draft_text(d, "description", "A \"push\"", &error));
    assert_true(draft_assign(d, "body_max=64KiB", &error));
    assert_true(draft_assign(d, "enabled=false", &error));
    assert_true(draft_assign(d, "metadata={\"team\": \"x\", \"n\": 1}", &error));
    assert_true(draft_assign(d, "verify.tolerance=60s", &error));
    assert_true(draft_add_secret(d, secret("hunter2"), "2026-11-26T12:00:00.000000Z", &error));
    d->revision = 7;
}

static void what_was_written_is_read(void **state)
{
    (void)state;
    struct draft d, again;
    struct buffer one, other;
    make_one(&d);
    write_record(&d, &one);
    assert_non_null(strstr(buffer_cstr(&one),
                           "\"description\":\"A \\\"push\\\"\",\"body_max\":\"64KiB\",\"enabled\":false,"
                           "\"metadata\":{\"team\":\"x\",\"n\":1},\"verify\":{\"scheme\":\"github\","
                           "\"tolerance\":\"60s\",\"secrets\":[{\"name\":\"current\",\"value\":\""
                           "sealed:v1:"));
    assert_null(strstr(buffer_cstr(&one), "hunter2"));
    read_record(&again, &one);
    assert_int_equal(again.revision, 7);
    assert_int_equal(again.secret_count, 1);
    assert_true(bytes_are(secret_view(again.secrets[0].plain), "hunter2"));
    assert_string_equal(again.secrets[0].since, "2026-11-26T12:00:00.000000Z");
    assert_string_equal(draft_get(&again, "enabled"), "false");
    write_record(&again, &other); /* the same but for the nonces */
    assert_int_equal(one.size, other.size);
    draft_close(&d);
    draft_close(&again);
    buffer_close(&one);
    buffer_close(&other);
}

static void a_changed_record_opens_again_and_a_touched_one_does_not(void **state)
{
    (void)state;
    struct draft d;
    struct buffer one, other;
    struct error error = {0};
    make_one(&d);
    write_record(&d, &one);
    draft_close(&d);
    read_record(&d, &one);
    assert_true(draft_assign(&d, "enabled=true", &error));
    assert_true(draft_assign(&d, "body_max=", &error));
    write_record(&d, &other);
    draft_close(&d);
    read_record(&d, &other);
    assert_string_equal(draft_get(&d, "enabled"), "true");
    assert_null(draft_get(&d, "body_max"));
    assert_true(bytes_are(secret_view(d.secrets[0].plain), "hunter2"));
    draft_close(&d);
    char *at = strstr((char *)other.data, "true");
    assert_non_null(at);
    memcpy(at, "null", 4);
    assert_true(draft_read(&d, buffer_view(&other), &error));
    assert_false(draft_open(&d, keys, &error));
    assert_int_equal(error.code, ERROR_DENIED);
    draft_close(&d);
    buffer_close(&one);
    buffer_close(&other);
}

static void a_rotation_keeps_the_old_secret_for_a_while(void **state)
{
    (void)state;
    struct draft d;
    struct buffer one;
    struct error error = {0};
    make_one(&d);
    assert_true(draft_retire_secret(&d, "2026-11-27T12:00:00.000000Z", &error));
    assert_true(draft_add_secret(&d, secret("hunter3"), "2026-11-26T12:00:00.000000Z", &error));
    write_record(&d, &one);
    draft_close(&d);
    read_record(&d, &one);
    assert_int_equal(d.secret_count, 2);
    assert_string_equal(d.secrets[0].name, "current");
    assert_true(bytes_are(secret_view(d.secrets[0].plain), "hunter3"));
    assert_null(d.secrets[0].until);
    assert_string_equal(d.secrets[1].name, "previous");
    assert_true(bytes_are(secret_view(d.secrets[1].plain), "hunter2"));
    assert_string_equal(d.secrets[1].until, "2026-11-27T12:00:00.000000Z");
    draft_drop_secret(&d);
    assert_int_equal(d.secret_count, 1);
    draft_close(&d);
    buffer_close(&one);
}

static void a_token_is_sealed_too(void **state)
{
    (void)state;
    struct draft d;
    struct buffer one;
    make_one(&d);
    draft_set_token(&d, secret("hunter4"));
    draft_set_token(&d, secret("hunter5"));
    write_record(&d, &one);
    draft_close(&d);
    assert_non_null(strstr(buffer_cstr(&one), "\"verify_token\":\"sealed:v1:"));
    read_record(&d, &one);
    assert_true(bytes_are(secret_view(d.token.plain), "hunter5"));
    draft_close(&d);
    buffer_close(&one);
}

static const char *const bad_assignments[] = {
    "",
    "x",
    "=x",
    "agent_id=b",
    "revision=1",
    "secret=env:HOME",
    "verify=none",
    "verify.secrets=[]",
    "verify.scheme=x",
    "verify.verify_token=x",
    "metadata={\"n\": 1.5}",
};

static void some_settings_are_not_set_by_hand(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_assignments / sizeof bad_assignments[0]; i++) {
        struct draft d;
        struct error error = {0};
        make_one(&d);
        if (draft_assign(&d, bad_assignments[i], &error)) fail_msg("taken: %s", bad_assignments[i]);
        assert_int_equal(error.code, ERROR_INVALID);
        draft_close(&d);
    }
}

static void a_record_in_its_short_form_is_read(void **state)
{
    (void)state;
    struct draft d;
    struct error error;
    static const char text[] = "{\"agent_id\":\"a\",\"secret\":\"sealed:v1:x\",\"event_source\":null}";
    assert_true(draft_read(&d, bytes_of(text), &error));
    assert_string_equal(d.scheme, "github");
    assert_string_equal(d.secrets[0].name, "current");
    assert_int_equal(d.words.count, 0);
    draft_close(&d);
    static const char *const bad[] = {"",
                                      "{",
                                      "[]",
                                      "{}",
                                      "{\"agent_id\":1}",
                                      "{\"agent_id\":\"a\",\"agent_id\":\"b\"}",
                                      "{\"agent_id\":\"a\",\"body_max\":1.5}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (draft_read(&d, bytes_of(bad[i]), &error)) fail_msg("read: %s", bad[i]);
        draft_close(&d);
    }
}

static void a_key_file_grows_at_its_top(void **state)
{
    (void)state;
    char folder[] = "/tmp/drawbridge-test-keys-XXXXXX", path[64];
    struct error error = {0};
    struct stat status;
    bool existed;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/registry.key", folder);
    assert_true(key_file_add(path, &existed, &error));
    assert_false(existed);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    struct keyring *first = keyring_load(path, &error);
    assert_non_null(first);
    assert_true(key_file_add(path, &existed, &error));
    assert_true(existed);
    struct keyring *both = keyring_load(path, &error);
    assert_non_null(both);
    const struct sealed_place place = {.agent_id = BYTES_LITERAL("a")};
    struct buffer text;
    buffer_init(&text, SEALED_TEXT_MAX);
    assert_true(sealed_make(first, &place, bytes_of("x"), &text, &error));
    struct secret *opened = sealed_open(both, &place, buffer_view(&text), &error);
    assert_non_null(opened);
    secret_free(opened);
    buffer_clear(&text);
    assert_true(sealed_make(both, &place, bytes_of("x"), &text, &error)); /* with the new key */
    assert_null(sealed_open(first, &place, buffer_view(&text), &error));
    assert_int_equal(error.code, ERROR_NOT_FOUND);
    assert_int_equal(chmod(path, 0644), 0);
    assert_false(key_file_add(path, &existed, &error)); /* and it stays as it was */
    assert_int_equal(chmod(path, 0600), 0);
    FILE *f = fopen(path, "we");
    fputs("not a key\n", f);
    fclose(f);
    assert_false(key_file_add(path, &existed, &error));
    assert_null(strstr(error.text, "not a key"));
    unlink(path);
    rmdir(folder);
    buffer_close(&text);
    keyring_free(first);
    keyring_free(both);
}

static void every_guide_is_of_a_scheme_and_names_the_url(void **state)
{
    (void)state;
    struct error error = {0};
    struct scheme_set *schemes = scheme_set_load(scheme_providers_text, &error);
    static const char *const names[] = {"github", "stripe", "slack", "gitlab-token", "gitlab-signing", "shopify"};
    assert_non_null(schemes);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_string_equal(guide_find(names[i])->scheme, names[i]);
    const char *name;
    for (size_t i = 0; (name = scheme_name_at(schemes, i)) != NULL; i++) {
        const struct guide *g = guide_find(name);
        struct buffer text;
        buffer_init(&text, 16384);
        guide_write(g, "https://hooks.example/x", &text);
        assert_non_null(strstr(buffer_cstr(&text), "https://hooks.example/x"));
        assert_true((g->secret == GUIDE_THEIRS) == (g->where != NULL));
        buffer_close(&text);
        if (g->secret == GUIDE_THEIRS) continue;
        /* a secret of ours is one that the scheme takes */
        struct verifier_secret made = {.name = "current", .secret = guide_make_secret(g, &error)};
        assert_non_null(made.secret);
        struct verifier *v = verifier_new(scheme_find(schemes, name), &made, 1, &error);
        if (!v) fail_msg("%s: %s", name, error.text);
        verifier_free(v);
    }
    scheme_set_free(schemes);
}

static int set_up(void **state)
{
    (void)state;
    if (!signature_init(NULL)) return -1;
    keys = keyring_parse(bytes_of(KEY OTHER), NULL);
    return keys ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    keyring_free(keys);
    signature_close();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(a_changed_record_opens_again_and_a_touched_one_does_not),
        cmocka_unit_test(a_rotation_keeps_the_old_secret_for_a_while),
        cmocka_unit_test(a_token_is_sealed_too),
        cmocka_unit_test(some_settings_are_not_set_by_hand),
        cmocka_unit_test(a_record_in_its_short_form_is_read),
        cmocka_unit_test(a_key_file_grows_at_its_top),
        cmocka_unit_test(every_guide_is_of_a_scheme_and_names_the_url),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
