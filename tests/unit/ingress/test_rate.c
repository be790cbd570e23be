/* test_rate.c: a token bucket: the burst, the refill, the wait that is told.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rate.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka wants its headers first */
#include <cmocka.h>

#define S INT64_C(1000000000)

static int taken_at_once(struct rate rate, int64_t *bucket_ns, int64_t now_ns)
{
    int64_t wait_s;
    int count = 0;
    while (count < 100000 && rate_take(rate, bucket_ns, now_ns, &wait_s))
        count++;
    return count;
}

static void a_full_bucket_gives_the_burst_and_no_more(void **state)
{
    (void)state;
    const struct {
        int64_t amount, period_ms, burst;
        int at_once;
    } rows[] = {{100, 1000, 0, 100}, {100, 1000, 500, 500}, {6000, 60000, 0, 6000}, {6000, 60000, 10, 10},
                {1, 3600000, 0, 1},  {3, 1000, 1, 1},       {1000000, 1000, 7, 7}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t bucket = 0;
        struct rate rate = rate_of(rows[i].amount, rows[i].period_ms, rows[i].burst);
        assert_int_equal(taken_at_once(rate, &bucket, 1000 * S), rows[i].at_once);
        assert_int_equal(taken_at_once(rate, &bucket, 1000 * S), 0);
    }
}

static void tokens_come_back_one_by_one(void **state)
{
    (void)state;
    int64_t bucket = 0, wait_s = 0;
    struct rate rate = rate_of(10, 1000, 0);
    assert_int_equal(taken_at_once(rate, &bucket, S), 10);
    assert_false(rate_take(rate, &bucket, S + S / 10 - 1, &wait_s));
    assert_true(rate_take(rate, &bucket, S + S / 10, &wait_s));
    assert_false(rate_take(rate, &bucket, S + S / 10, &wait_s));
    assert_int_equal(taken_at_once(rate, &bucket, S + S / 10 + S / 2), 5);
    assert_int_equal(taken_at_once(rate, &bucket, 100 * S), 10); /* never more than the burst */
}

static void the_rate_holds_over_a_long_time(void **state)
{
    (void)state;
    int64_t bucket = 0, wait_s;
    int taken = 0;
    struct rate rate = rate_of(7, 1000, 1);
    for (int64_t now = 0; now < 100 * S; now += S / 1000)
        taken += rate_take(rate, &bucket, now + S, &wait_s);
    assert_in_range(taken, 693, 701);
}

static void the_wait_is_whole_seconds_and_enough(void **state)
{
    (void)state;
    const struct {
        int64_t amount, period_ms, wait_s;
    } rows[] = {{100, 1000, 1}, {1, 1000, 1}, {10, 60000, 6}, {1, 60000, 60}, {1, 3600000, 3600}, {7, 60000, 9}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t bucket = 0, wait_s = 0;
        struct rate rate = rate_of(rows[i].amount, rows[i].period_ms, 1);
        assert_true(rate_take(rate, &bucket, 5 * S, &wait_s));
        assert_false(rate_take(rate, &bucket, 5 * S, &wait_s));
        assert_int_equal(wait_s, rows[i].wait_s);
        assert_true(rate_take(rate, &bucket, 5 * S + wait_s * S, &wait_s));
    }
}

static void without_a_rate_everything_passes(void **state)
{
    (void)state;
    int64_t bucket = 0;
    assert_int_equal(taken_at_once((struct rate){0}, &bucket, S), 100000);
    assert_int_equal(bucket, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_bucket_gives_the_burst_and_no_more),
        cmocka_unit_test(tokens_come_back_one_by_one),
        cmocka_unit_test(the_rate_holds_over_a_long_time),
        cmocka_unit_test(the_wait_is_whole_seconds_and_enough),
        cmocka_unit_test(without_a_rate_everything_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
