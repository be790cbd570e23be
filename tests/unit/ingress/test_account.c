/* test_account.c: denials are counted in full and told in samples.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ingress.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants its headers first */
#include <cmocka.h>

enum { MINUTE_MS = 60000 };

static struct trigger *trigger_of(const char *agent)
{
    struct trigger *t = calloc(1, sizeof *t);
    assert_non_null(t);
    t->options.agent_id = strdup(agent);
    t->account = account_new();
    return t;
}

static void five_are_told_each_minute_and_the_rest_is_counted(void **state)
{
    (void)state;
    struct account *a = account_new();
    size_t mismatch = account_reason(OUTCOME_UNAUTHORIZED, SCHEME_MISMATCH);
    int64_t left_out, told = 0;
    for (int i = 0; i < 12; i++) {
        told += account_deny(a, mismatch, 7 * MINUTE_MS + i, &left_out);
        assert_int_equal(left_out, 0);
    }
    assert_int_equal(told, 5);
    assert_true(account_deny(a, account_reason(OUTCOME_BAD_JSON, SCHEME_OK), 7 * MINUTE_MS, &left_out));
    assert_true(account_deny(a, mismatch, 9 * MINUTE_MS, &left_out));
    assert_int_equal(left_out, 7);
    assert_true(account_deny(a, mismatch, 9 * MINUTE_MS, &left_out));
    assert_int_equal(left_out, 0);
    account_unref(a);
}

static void reasons_have_names(void **state)
{
    (void)state;
    const struct {
        enum outcome outcome;
        enum scheme_reason reason;
        const char *name;
    } rows[] = {
        {OUTCOME_UNAUTHORIZED, SCHEME_STALE, "signature_stale"},
        {OUTCOME_UNAUTHORIZED, SCHEME_UNABLE, "signature_unable"},
        {OUTCOME_SOURCE_REFUSED, SCHEME_OK, "source_refused"},
        {OUTCOME_RATE_LIMITED, SCHEME_OK, "rate_limited"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char name[ACCOUNT_REASON_SIZE];
        account_reason_name(account_reason(rows[i].outcome, rows[i].reason), name);
        assert_string_equal(name, rows[i].name);
    }
}

static void the_metric_has_a_row_for_each_agent_and_reason(void **state)
{
    (void)state;
    struct account strangers = {0};
    struct trigger_set *set = trigger_set_new();
    struct trigger *quiet = trigger_of("quiet"), *loud = trigger_of("loud");
    assert_true(trigger_set_add(set, quiet) && trigger_set_add(set, loud));
    int64_t left_out;
    for (int i = 0; i < 9; i++)
        account_deny(loud->account, account_reason(OUTCOME_UNAUTHORIZED, SCHEME_MISSING), 0, &left_out);
    account_deny(&strangers, account_reason(OUTCOME_NOT_FOUND, SCHEME_OK), 0, &left_out);
    struct buffer out;
    buffer_init(&out, 65536);
    account_write_metrics(&strangers, set, &out);
    assert_string_equal(buffer_cstr(&out),
                        "# HELP drawbridge_ingress_denials_total requests refused for what they are, by agent and "
                        "reason\n# TYPE drawbridge_ingress_denials_total counter\n"
                        "drawbridge_ingress_denials_total{agent=\"(unknown)\",reason=\"not_found\"} 1\n"
                        "drawbridge_ingress_denials_total{agent=\"loud\",reason=\"signature_missing\"} 9\n");
    buffer_close(&out);
    trigger_set_unref(set);
    free(strangers.denials);
}

static void the_number_of_rows_is_bounded(void **state)
{
    (void)state;
    struct account strangers = {0};
    struct trigger_set *set = trigger_set_new();
    int64_t left_out;
    for (int i = 0; i < 2010; i++) {
        char agent[32];
        snprintf(agent, sizeof agent, "agent-%d", i);
        struct trigger *t = trigger_of(agent);
        assert_true(trigger_set_add(set, t));
        account_deny(t->account, account_reason(OUTCOME_BAD_TYPE, SCHEME_OK), 0, &left_out);
    }
    struct buffer out;
    buffer_init(&out, 1 << 20);
    account_write_metrics(&strangers, set, &out);
    size_t lines = 0;
    for (size_t i = 0; i < out.size; i++)
        lines += out.data[i] == '\n';
    assert_int_equal(lines, 2 + 2000 + 1);
    assert_non_null(strstr(buffer_cstr(&out), "{agent=\"(others)\",reason=\"bad_type\"} 10\n"));
    buffer_close(&out);
    trigger_set_unref(set);
}

static void an_account_outlives_a_reload(void **state)
{
    (void)state;
    struct trigger_set *before = trigger_set_new(), *after = trigger_set_new();
    struct trigger *old = trigger_of("a"), *fresh = trigger_of("a"), *other = trigger_of("b");
    assert_true(trigger_set_add(before, old) && trigger_set_add(after, fresh) && trigger_set_add(after, other));
    old->account->deliveries_ns = 42;
    trigger_set_inherit(after, before);
    trigger_set_inherit(after, before);
    assert_ptr_equal(fresh->account, old->account);
    assert_ptr_not_equal(other->account, old->account);
    trigger_set_unref(before);
    assert_int_equal(fresh->account->deliveries_ns, 42);
    trigger_set_unref(after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(five_are_told_each_minute_and_the_rest_is_counted),
        cmocka_unit_test(reasons_have_names),
        cmocka_unit_test(the_metric_has_a_row_for_each_agent_and_reason),
        cmocka_unit_test(the_number_of_rows_is_bounded),
        cmocka_unit_test(an_account_outlives_a_reload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
