/* test_dev_order.c: event, run, result: told in that order whatever is read first; nothing is kept back for ever.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "cli.h"
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static bool add(struct dev_order *o, const char *id, int64_t needs, int64_t gives, const char *text)
{
    return dev_order_add(o, (struct dev_line){bytes_of(id), bytes_of(text), needs, gives}, 0);
}

static void next_is(struct dev_order *o, int64_t now_ms, const char *expected)
{
    char *text = dev_order_next(o, now_ms);
    if (expected == NULL)
        assert_null(text);
    else
        assert_string_equal(text, expected);
    free(text);
}

static void what_is_read_early_waits(void **state)
{
    (void)state;
    struct dev_order *o = dev_order_new();
    add(o, "a", 2, 2, "a result");
    add(o, "a", 1, 2, "a attempt 2");
    add(o, "b", -1, 0, "b event");
    next_is(o, 0, "b event");
    next_is(o, 0, NULL);
    add(o, "a", 0, 1, "a attempt 1");
    next_is(o, 0, NULL);
    add(o, "a", -1, 0, "a event");
    next_is(o, 0, "a event");
    next_is(o, 0, "a attempt 1");
    next_is(o, 0, "a attempt 2");
    next_is(o, 0, "a result");
    next_is(o, 0, NULL);
    dev_order_free(o);
}

static void patience_ends(void **state)
{
    (void)state;
    struct dev_order *o = dev_order_new();
    add(o, "a", 1, 1, "a result");
    next_is(o, DEV_ORDER_PATIENCE_MS - 1, NULL);
    next_is(o, DEV_ORDER_PATIENCE_MS, "a result");
    add(o, "", 5, 5, "nameless");
    next_is(o, 0, "nameless");
    dev_order_free(o);
}

static void every_shuffle_comes_out_in_order(void **state)
{
    (void)state;
    enum { WORKFLOWS = 5, STEPS = 4 };
    unsigned seed = 7;
    for (int round = 0; round < 500; round++) {
        int lines[WORKFLOWS * STEPS];
        for (int i = 0; i < WORKFLOWS * STEPS; i++)
            lines[i] = i;
        for (int i = WORKFLOWS * STEPS - 1; i > 0; i--) {
            const int j = rand_r(&seed) % (i + 1), swap = lines[i];
            lines[i] = lines[j];
            lines[j] = swap;
        }
        struct dev_order *o = dev_order_new();
        int told[WORKFLOWS] = {0}, count = 0;
        for (int i = 0; i < WORKFLOWS * STEPS; i++) {
            char id[16], text[16];
            const int workflow = lines[i] / STEPS, step = lines[i] % STEPS;
            snprintf(id, sizeof id, "wh-%d", workflow);
            snprintf(text, sizeof text, "%d %d", workflow, step);
            assert_true(add(o, id, step - 1, step, text));
            for (char *out; (out = dev_order_next(o, 0)) != NULL; free(out), count++) {
                assert_int_equal(out[2] - '0', told[out[0] - '0']);
                told[out[0] - '0']++;
            }
        }
        assert_int_equal(count, WORKFLOWS * STEPS);
        dev_order_free(o);
    }
}

static void it_is_bounded_and_forgets_the_oldest(void **state)
{
    (void)state;
    struct dev_order *o = dev_order_new();
    int held = 0;
    while (add(o, "never", 1, 1, "x"))
        assert_true(++held < 100000);
    next_is(o, 0, NULL);
    next_is(o, DEV_ORDER_PATIENCE_MS, "x");
    assert_true(add(o, "never", 1, 1, "x"));
    dev_order_free(o); /* with lines in it */
    dev_order_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_read_early_waits),
        cmocka_unit_test(patience_ends),
        cmocka_unit_test(every_shuffle_comes_out_in_order),
        cmocka_unit_test(it_is_bounded_and_forgets_the_oldest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
