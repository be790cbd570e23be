/* test_lanes.c: order inside a lane, the rate, repeats, retries, giving up.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "cli.h"
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

enum { LANES_MOST = 16, SECOND_US = 1000000 };

static struct lanes_turn must_send(struct lanes *l, int64_t now_us)
{
    struct lanes_turn turn;
    int64_t due;
    assert_int_equal(lanes_next(l, now_us, &turn, &due), LANES_SEND);
    return turn;
}

static int64_t must_wait(struct lanes *l, int64_t now_us)
{
    struct lanes_turn turn;
    int64_t due;
    assert_int_equal(lanes_next(l, now_us, &turn, &due), LANES_WAIT);
    return due;
}

static void must_be_finished(struct lanes *l)
{
    struct lanes_turn turn;
    int64_t due;
    assert_int_equal(lanes_next(l, INT64_MAX / 2, &turn, &due), LANES_FINISHED);
}

static void a_lane_waits_for_its_answer(void **state)
{
    (void)state;
    struct lanes *l = lanes_new((struct lanes_settings){.count = 3, .agents = 1, .parallel = 8}, 0);
    for (int64_t sequence = 1; sequence <= 3; sequence++) {
        const struct lanes_turn turn = must_send(l, 0);
        assert_int_equal(turn.sequence, sequence);
        assert_int_equal(turn.copy, 1);
        assert_int_equal(must_wait(l, SECOND_US), INT64_MAX);
        lanes_answered(l, turn.lane, DELIVERY_ACCEPTED, 0);
    }
    must_be_finished(l);
    assert_int_equal(lanes_totals(l).accepted, 3);
    lanes_free(l);
}

static void no_more_than_parallel_at_once(void **state)
{
    (void)state;
    struct lanes *l = lanes_new((struct lanes_settings){.count = 10, .agents = 5, .parallel = 2}, 0);
    const struct lanes_turn a = must_send(l, 0), b = must_send(l, 0);
    assert_int_not_equal(a.lane, b.lane);
    assert_int_equal(must_wait(l, 0), INT64_MAX);
    lanes_answered(l, b.lane, DELIVERY_ACCEPTED, 0);
    const struct lanes_turn c = must_send(l, 0);
    assert_int_not_equal(c.lane, b.lane); /* the others have their turn first */
    lanes_free(l);
}

static void the_rate_is_kept(void **state)
{
    (void)state;
    struct lanes *l = lanes_new((struct lanes_settings){.count = 100, .agents = 10, .parallel = 10, .rate = 10}, 0);
    lanes_answered(l, must_send(l, 0).lane, DELIVERY_ACCEPTED, 0);
    assert_int_equal(must_wait(l, 0), 100000);
    assert_int_equal(must_wait(l, 99999), 100000);
    lanes_answered(l, must_send(l, 100000).lane, DELIVERY_ACCEPTED, 0);
    int in_a_second = 2;
    for (struct lanes_turn turn; in_a_second < 100; in_a_second++) {
        int64_t due;
        if (lanes_next(l, SECOND_US, &turn, &due) != LANES_SEND) break;
        lanes_answered(l, turn.lane, DELIVERY_ACCEPTED, SECOND_US);
    }
    assert_int_equal(in_a_second, 11); /* at 0, 0.1, ... 1.0 s */
    lanes_free(l);
}

static void no_answer_is_sent_again_until_it_is_given_up(void **state)
{
    (void)state;
    struct lanes *l =
        lanes_new((struct lanes_settings){.count = 2, .agents = 1, .parallel = 1, .give_up_us = SECOND_US}, 0);
    int64_t now = 0;
    int attempts = 0;
    for (;; attempts++) {
        struct lanes_turn turn;
        int64_t due;
        const enum lanes_next next = lanes_next(l, now, &turn, &due);
        if (next == LANES_WAIT) {
            assert_true(due > now && due - now <= 2 * SECOND_US);
            now = due;
            continue;
        }
        assert_int_equal(next, LANES_SEND);
        if (turn.sequence == 2) break;
        lanes_answered(l, turn.lane, DELIVERY_AGAIN, now);
    }
    assert_true(now >= SECOND_US && now < 3 * SECOND_US);
    lanes_answered(l, 0, DELIVERY_REFUSED, now);
    must_be_finished(l);
    const struct lanes_totals t = lanes_totals(l);
    assert_int_equal(t.gave_up, 1);
    assert_int_equal(t.refused, 1);
    assert_int_equal(t.accepted, 0);
    assert_true(t.retries >= 3);
    lanes_free(l);
}

/* Random answers against what must hold for every history. */
static void every_delivery_is_settled_once_and_in_order(void **state)
{
    (void)state;
    unsigned seed = 1;
    for (int round = 0; round < 300; round++) {
        const int64_t agents = 1 + rand_r(&seed) % LANES_MOST, count = 1 + rand_r(&seed) % 200;
        struct lanes *l = lanes_new((struct lanes_settings){.count = count,
                                                            .agents = agents,
                                                            .parallel = 1 + rand_r(&seed) % 8,
                                                            .resend = 0.3,
                                                            .give_up_us = INT64_MAX / 4},
                                    0);
        int64_t last[LANES_MOST] = {0}, now = 0, accepted = 0, repeated = 0;
        struct lanes_turn flying[LANES_MOST];
        int flying_count = 0;
        for (;;) {
            struct lanes_turn turn;
            int64_t due;
            const enum lanes_next next = lanes_next(l, now, &turn, &due);
            if (next == LANES_FINISHED) break;
            if (next == LANES_SEND) {
                for (int i = 0; i < flying_count; i++)
                    assert_int_not_equal(flying[i].lane, turn.lane);
                if (turn.copy == 1)
                    assert_true(turn.sequence == last[turn.lane] || turn.sequence == last[turn.lane] + 1);
                else
                    assert_true(turn.sequence <= last[turn.lane]);
                flying[flying_count++] = turn;
            } else if (flying_count == 0) {
                assert_true(due != INT64_MAX);
                now = due;
            }
            if (flying_count > 0 && (next == LANES_WAIT || rand_r(&seed) % 2 == 0)) {
                const struct lanes_turn done = flying[--flying_count];
                const bool again = rand_r(&seed) % 5 == 0;
                if (!again && done.copy == 1) {
                    assert_int_equal(done.sequence, last[done.lane] + 1);
                    last[done.lane] = done.sequence;
                    accepted++;
                }
                if (!again && done.copy == 2) repeated++;
                lanes_answered(l, done.lane, again ? DELIVERY_AGAIN : DELIVERY_ACCEPTED, now);
            }
        }
        assert_int_equal(flying_count, 0);
        assert_int_equal(accepted, count);
        assert_int_equal(lanes_totals(l).accepted, accepted);
        assert_int_equal(lanes_totals(l).repeated, repeated);
        lanes_free(l);
    }
}

static void the_share_of_repeats_is_met(void **state)
{
    (void)state;
    struct lanes *l = lanes_new((struct lanes_settings){.count = 3000, .agents = 50, .parallel = 1, .resend = 0.1}, 0);
    for (;;) {
        struct lanes_turn turn;
        int64_t due;
        if (lanes_next(l, 0, &turn, &due) == LANES_FINISHED) break;
        lanes_answered(l, turn.lane, DELIVERY_ACCEPTED, 0);
    }
    assert_in_range(lanes_totals(l).repeated, 220, 380);
    lanes_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lane_waits_for_its_answer),
        cmocka_unit_test(no_more_than_parallel_at_once),
        cmocka_unit_test(the_rate_is_kept),
        cmocka_unit_test(no_answer_is_sent_again_until_it_is_given_up),
        cmocka_unit_test(every_delivery_is_settled_once_and_in_order),
        cmocka_unit_test(the_share_of_repeats_is_met),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
