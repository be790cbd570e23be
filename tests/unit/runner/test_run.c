/* test_run.c: one row for each (state, input) with the expected state and effects; retry policy; exit codes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "run.h"

#define SECOND ((int64_t)1000000)
#define NOW    (1000000 * SECOND)

static const struct retry_policy policy = {
    .max_attempts = 3, .backoff_ms = 1000, .max_backoff_ms = 10000, .max_age_ms = 3600000};

enum { NO = -1 };
static const struct row {
    enum run_state state;
    enum run_input_kind input;
    enum verdict verdict;
    int attempt; /* before */
    int next;    /* state, or NO: can't happen */
    int next_attempt, next_start;
    unsigned effects;
    enum record_status status;
} rows[] = {
    {RUN_NEW, INPUT_ARRIVED, 0, 0, RUN_ADMITTED, 0, 0, 0, RECORD_FAILED},
    /* J7: only an event whose turn has come is admitted as running, 1 */
    {RUN_NEW, INPUT_TURN, 0, 0, RUN_RUNNING, 1, 1, EFFECT_START, RECORD_FAILED},
    {RUN_NEW, INPUT_REFUSED, 0, 0, RUN_CLOSED, 0, 0, EFFECT_RESULT | EFFECT_DEAD_LETTER, RECORD_FAILED},
    {RUN_NEW, INPUT_ENDED, VERDICT_SUCCEEDED, 0, NO, 0, 0, 0, 0},
    {RUN_ADMITTED, INPUT_ARRIVED, 0, 0, NO, 0, 0, 0, 0},
    {RUN_ADMITTED, INPUT_TURN, 0, 0, RUN_RUNNING, 1, 1, EFFECT_START, RECORD_FAILED},
    {RUN_ADMITTED, INPUT_TURN, 0, 2, RUN_RUNNING, 3, 3, EFFECT_START, RECORD_FAILED}, /* stopped in its third */
    {RUN_ADMITTED, INPUT_ENDED, VERDICT_SUCCEEDED, 0, NO, 0, 0, 0, 0},
    {RUN_ADMITTED, INPUT_REFUSED, 0, 0, RUN_CLOSED, 0, 0, EFFECT_RESULT | EFFECT_DEAD_LETTER, RECORD_FAILED},
    {RUN_RUNNING, INPUT_ARRIVED, 0, 1, NO, 0, 0, 0, 0},
    {RUN_RUNNING, INPUT_ENDED, VERDICT_SUCCEEDED, 1, RUN_CLOSED, 1, 1, EFFECT_RESULT, RECORD_SUCCEEDED},
    {RUN_RUNNING, INPUT_ENDED, VERDICT_PERMANENT, 1, RUN_CLOSED, 1, 1, EFFECT_RESULT | EFFECT_DEAD_LETTER,
     RECORD_FAILED},
    {RUN_RUNNING, INPUT_ENDED, VERDICT_RETRY, 1, RUN_RETRY_WAIT, 1, 1, 0, RECORD_FAILED},
    {RUN_RUNNING, INPUT_ENDED, VERDICT_RETRY, 3, RUN_CLOSED, 3, 3, EFFECT_RESULT | EFFECT_DEAD_LETTER, RECORD_FAILED},
    {RUN_RUNNING, INPUT_ENDED, VERDICT_TIMED_OUT, 2, RUN_RETRY_WAIT, 2, 2, 0, RECORD_FAILED},
    {RUN_RUNNING, INPUT_ENDED, VERDICT_TIMED_OUT, 3, RUN_CLOSED, 3, 3, EFFECT_RESULT | EFFECT_DEAD_LETTER,
     RECORD_TIMED_OUT},
    /* J7: what we stopped does not count; J24: but it was a start */
    {RUN_RUNNING, INPUT_ENDED, VERDICT_STOPPED, 2, RUN_ADMITTED, 1, 2, 0, RECORD_FAILED},
    /* J7: a runner that died without a word costs its run an attempt, or a poison event would go round for ever */
    {RUN_RUNNING, INPUT_TURN, 0, 1, RUN_RUNNING, 2, 2, EFFECT_START, RECORD_FAILED},
    {RUN_RUNNING, INPUT_TURN, 0, 3, RUN_CLOSED, 3, 3, EFFECT_RESULT | EFFECT_DEAD_LETTER, RECORD_FAILED},
    {RUN_RUNNING, INPUT_REFUSED, 0, 1, RUN_CLOSED, 1, 1, EFFECT_RESULT | EFFECT_DEAD_LETTER, RECORD_FAILED},
    {RUN_RETRY_WAIT, INPUT_ARRIVED, 0, 1, NO, 0, 0, 0, 0},
    {RUN_RETRY_WAIT, INPUT_TURN, 0, 1, RUN_RUNNING, 2, 2, EFFECT_START, RECORD_FAILED},
    {RUN_RETRY_WAIT, INPUT_ENDED, VERDICT_SUCCEEDED, 1, NO, 0, 0, 0, 0},
    {RUN_RETRY_WAIT, INPUT_REFUSED, 0, 1, RUN_CLOSED, 1, 1, EFFECT_RESULT | EFFECT_DEAD_LETTER, RECORD_FAILED},
    {RUN_CLOSED, INPUT_ARRIVED, 0, 1, NO, 0, 0, 0, 0},
    {RUN_CLOSED, INPUT_TURN, 0, 1, NO, 0, 0, 0, 0},
    {RUN_CLOSED, INPUT_ENDED, VERDICT_SUCCEEDED, 1, NO, 0, 0, 0, 0},
    {RUN_CLOSED, INPUT_REFUSED, 0, 1, NO, 0, 0, 0, 0},
};

static void every_state_and_input_has_its_row(void **state)
{
    (void)state;
    bool met[RUN_STATES][RUN_INPUTS] = {{false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *row = &rows[i];
        struct run_entry before = {.state = row->state, .attempt = row->attempt, .start = row->attempt};
        if (row->attempt > 0) before.first_started_us = before.started_us = NOW - SECOND;
        struct run_input input = {.kind = row->input, .verdict = row->verdict, .now_us = NOW, .jitter = 0.5};
        struct run_decision d;
        met[row->state][row->input] = true;
        bool possible = run_advance(&before, &input, &policy, &d);
        assert_int_equal(possible, row->next != NO);
        if (!possible) continue;
        assert_int_equal(d.next.state, row->next);
        assert_int_equal(d.next.attempt, row->next_attempt);
        assert_int_equal(d.next.start, row->next_start);
        assert_int_equal(d.effects, row->effects);
        if (d.effects & EFFECT_RESULT) assert_int_equal(d.status, row->status);
        if (d.next.state == RUN_RETRY_WAIT) assert_true(d.next.due_us > NOW);
        if (d.next.state == RUN_RUNNING) assert_int_equal(d.next.started_us, NOW);
        if (d.next.state == RUN_CLOSED) assert_int_equal(d.next.closed_us, NOW);
    }
    for (int s = 0; s < RUN_STATES; s++)
        for (int k = 0; k < RUN_INPUTS; k++)
            assert_true(met[s][k]);
}

static void a_first_start_is_remembered(void **state)
{
    (void)state;
    struct run_entry entry = {.state = RUN_NEW};
    struct run_input turn = {.kind = INPUT_TURN, .now_us = NOW};
    struct run_input failed = {.kind = INPUT_ENDED, .verdict = VERDICT_RETRY, .now_us = NOW + SECOND};
    struct run_decision d;
    assert_true(run_advance(&entry, &turn, &policy, &d));
    assert_true(run_advance(&d.next, &failed, &policy, &d));
    turn.now_us = NOW + 5 * SECOND;
    assert_true(run_advance(&d.next, &turn, &policy, &d));
    assert_int_equal(d.next.first_started_us, NOW);
    assert_int_equal(d.next.started_us, NOW + 5 * SECOND);
    assert_int_equal(d.next.due_us, 0);
}

static void the_wait_doubles_within_its_bounds(void **state)
{
    (void)state;
    static const struct {
        int attempt;
        double jitter;
        int64_t wait_ms;
    } waits[] = {{1, 0, 500}, {1, 0.5, 750}, {2, 0, 1000}, {3, 0, 2000}, {4, 0, 4000}, {5, 0, 5000}, {60, 0, 5000}};
    struct retry_policy many = policy;
    many.max_attempts = 100;
    for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++) {
        int64_t wait_ms = -1;
        assert_true(retry_next(&many, waits[i].attempt, 0, waits[i].jitter, &wait_ms));
        assert_int_equal(wait_ms, waits[i].wait_ms);
    }
    int64_t wait_ms;
    assert_true(retry_next(&many, 7, 0, 0.999999, &wait_ms));
    assert_true(wait_ms <= many.max_backoff_ms);
}

static void attempts_and_age_end_it(void **state)
{
    (void)state;
    int64_t wait_ms;
    assert_true(retry_next(&policy, 2, 0, 0, &wait_ms));
    assert_false(retry_next(&policy, 3, 0, 0, &wait_ms));
    assert_true(retry_next(&policy, 1, policy.max_age_ms - 500, 0, &wait_ms));
    assert_false(retry_next(&policy, 1, policy.max_age_ms - 499, 0, &wait_ms));
}

static void exit_codes_have_their_meaning(void **state)
{
    (void)state;
    static const struct {
        int code;
        enum verdict verdict;
    } codes[] = {{0, VERDICT_SUCCEEDED},  {1, VERDICT_RETRY},   {2, VERDICT_RETRY},  {64, VERDICT_PERMANENT},
                 {65, VERDICT_PERMANENT}, {66, VERDICT_RETRY},  {75, VERDICT_RETRY}, {77, VERDICT_PERMANENT},
                 {78, VERDICT_PERMANENT}, {127, VERDICT_RETRY}, {255, VERDICT_RETRY}};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        assert_int_equal(retry_exit_code(codes[i].code), codes[i].verdict);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_state_and_input_has_its_row),  cmocka_unit_test(a_first_start_is_remembered),
        cmocka_unit_test(the_wait_doubles_within_its_bounds), cmocka_unit_test(attempts_and_age_end_it),
        cmocka_unit_test(exit_codes_have_their_meaning),
    };
    return cmocka_run_group_tests_name("run", tests, NULL, NULL);
}
