/* test_starts.c: the line of committed starts: its order, its pace, and when the next batch waits for it.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "clock.h"
#include "runner.h"

enum { RUNS = 10 };
static struct run runs[RUNS], *started[RUNS];
static int started_count;

void effects_start(struct runner *r, struct run *run)
{
    (void)r;
    started[started_count++] = run;
}

static int a_new_line(void **state)
{
    static struct runner r;
    static const struct settings settings = {.session_timeout_ms = 6000};
    heap_close(&r.starts);
    r = (struct runner){.settings = &settings};
    *state = &r;
    for (int i = 0; i < RUNS; i++)
        runs[i] = (struct run){0};
    started_count = 0;
    return 0;
}

static int no_line(void **state)
{
    struct runner *r = *state;
    heap_close(&r->starts);
    return 0;
}

static void turns_until_done(struct runner *r, int turns)
{
    for (int i = 0; i < turns; i++)
        assert_true(starts_step(r));
    assert_false(starts_step(r));
}

static void starts_go_in_order_a_few_a_turn(void **state)
{
    struct runner *r = *state;
    for (int i = 0; i < RUNS; i++)
        starts_add(r, &runs[i]);
    assert_true(starts_step(r));
    assert_in_range(started_count, 1, RUNS / 2); /* the loop looks at others in between */
    turns_until_done(r, 2);
    assert_int_equal(started_count, RUNS);
    assert_int_equal(r->started, RUNS);
    for (int i = 0; i < RUNS; i++)
        assert_ptr_equal(started[i], &runs[i]);
}

/* Or whatever else could go now would be slept over: the last few may be what the next batch waited for. */
static void the_loop_looks_again_after_the_last(void **state)
{
    struct runner *r = *state;
    starts_add(r, &runs[0]);
    turns_until_done(r, 1);
}

static void who_is_added_twice_starts_once(void **state)
{
    struct runner *r = *state;
    starts_add(r, &runs[0]);
    starts_add(r, &runs[0]);
    turns_until_done(r, 1);
    assert_int_equal(started_count, 1);
}

static void who_is_removed_does_not_start(void **state)
{
    struct runner *r = *state;
    for (int i = 0; i < 3; i++)
        starts_add(r, &runs[i]);
    starts_remove(r, &runs[1]);
    starts_remove(r, &runs[5]); /* never added */
    turns_until_done(r, 1);
    assert_int_equal(started_count, 2);
    assert_ptr_equal(started[1], &runs[2]);
}

static void nothing_starts_while_draining(void **state)
{
    struct runner *r = *state;
    starts_add(r, &runs[0]);
    r->draining = true;
    assert_false(starts_step(r));
    assert_int_equal(started_count, 0);
    assert_int_equal(r->starts.count, 1);
    assert_false(starts_suffice(r, 1)); /* and no batch waits for it */
}

/* The loop stood still for more than a third of the session: nothing starts until a batch begun later is committed.
 */
static void who_was_frozen_starts_nothing_without_a_proof(void **state)
{
    struct runner *r = *state;
    const int64_t now_us = clock_monotonic_us();
    starts_add(r, &runs[0]);
    starts_turn(r, now_us - 2100000);
    starts_turn(r, now_us);
    assert_true(r->unproven);
    assert_false(starts_suffice(r, r->settled_us + 1)); /* the proof waits for nothing */
    assert_false(starts_step(r));
    assert_int_equal(started_count, 0);
    starts_prove(r, now_us - 1); /* of before */
    assert_false(starts_step(r));
    assert_int_equal(started_count, 0);
    starts_prove(r, now_us);
    assert_true(starts_step(r));
    assert_int_equal(started_count, 1);
}

static void a_loop_that_turns_needs_no_proof(void **state)
{
    struct runner *r = *state;
    const int64_t now_us = clock_monotonic_us();
    starts_add(r, &runs[0]);
    starts_turn(r, now_us - 1900000);
    starts_turn(r, now_us);
    assert_true(starts_step(r));
    assert_int_equal(started_count, 1);
}

/* Frozen in the middle of a turn. */
static void a_turn_that_takes_too_long_starts_nothing(void **state)
{
    struct runner *r = *state;
    starts_add(r, &runs[0]);
    starts_turn(r, clock_monotonic_us() - 2100000);
    assert_true(starts_step(r)); /* to be seen at the next turn */
    assert_true(r->unproven);
    assert_false(starts_step(r));
    assert_int_equal(started_count, 0);
}

static void the_next_batch_waits_until_the_line_lasts_as_long_as_a_transaction(void **state)
{
    struct runner *r = *state;
    r->settled_us = 1000000;
    r->transaction_us = 5000;
    assert_false(starts_suffice(r, 1000001)); /* nothing to start */
    for (int i = 0; i < RUNS; i++)
        starts_add(r, &runs[i]);
    assert_true(starts_suffice(r, 1000001)); /* none started yet: nobody knows the pace */
    r->started = 20;
    assert_true(starts_suffice(r, 1010001));  /* 0.5 ms each: the ten of the line take more than 5 ms */
    assert_false(starts_suffice(r, 1010000)); /* just as long */
    r->started = 0;
    assert_true(starts_suffice(r, 1050000));
    assert_false(starts_suffice(r, 1050001)); /* no batch waits for ever */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(starts_go_in_order_a_few_a_turn, a_new_line, no_line),
        cmocka_unit_test_setup_teardown(the_loop_looks_again_after_the_last, a_new_line, no_line),
        cmocka_unit_test_setup_teardown(who_is_added_twice_starts_once, a_new_line, no_line),
        cmocka_unit_test_setup_teardown(who_is_removed_does_not_start, a_new_line, no_line),
        cmocka_unit_test_setup_teardown(nothing_starts_while_draining, a_new_line, no_line),
        cmocka_unit_test_setup_teardown(who_was_frozen_starts_nothing_without_a_proof, a_new_line, no_line),
        cmocka_unit_test_setup_teardown(a_loop_that_turns_needs_no_proof, a_new_line, no_line),
        cmocka_unit_test_setup_teardown(a_turn_that_takes_too_long_starts_nothing, a_new_line, no_line),
        cmocka_unit_test_setup_teardown(the_next_batch_waits_until_the_line_lasts_as_long_as_a_transaction, a_new_line,
                                        no_line),
    };
    return cmocka_run_group_tests_name("starts", tests, NULL, NULL);
}
