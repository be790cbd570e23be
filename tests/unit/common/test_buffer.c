/* test_buffer.c: buffers at their maximum, sticky failures, overflowing sizes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "buffer.h"
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

/* Impossible sizes are asked for on purpose: the sanitizers shall say no, as malloc does. */
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

const char *__tsan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static void appends_add_up_and_end_in_nul(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 100);
    assert_string_equal(buffer_cstr(&b), "");
    assert_int_equal(buffer_view(&b).size, 0);
    buffer_text(&b, "one ");
    buffer_byte(&b, '2');
    buffer_bytes(&b, bytes_of(" three"));
    buffer_format(&b, " %d %s", 4, "five");
    assert_true(buffer_ok(&b));
    assert_string_equal(buffer_cstr(&b), "one 2 three 4 five");
    assert_true(bytes_are(buffer_view(&b), "one 2 three 4 five"));
    buffer_clear(&b);
    assert_string_equal(buffer_cstr(&b), "");
    buffer_close(&b);
    buffer_close(&b);
}

static void the_maximum_is_reached_but_not_passed(void **state)
{
    (void)state;
    for (size_t max = 0; max < 300; max++) {
        struct buffer b;
        buffer_init(&b, max);
        for (size_t i = 0; i < max; i++)
            buffer_byte(&b, 'x');
        assert_true(buffer_ok(&b));
        assert_int_equal(b.size, max);
        assert_true(b.capacity <= max + 1 || max == 0);
        buffer_append(&b, "", 0);
        assert_true(buffer_ok(&b));
        buffer_byte(&b, 'x');
        assert_false(buffer_ok(&b));
        assert_int_equal(b.size, 0);
        assert_null(b.data);
        buffer_close(&b);
    }
}

/* A buffer that is used again may get a smaller maximum than its memory. */
static void a_lowered_maximum_holds(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 1000);
    assert_true(buffer_reserve(&b, 1000));
    b.max = 5;
    buffer_text(&b, "12345");
    assert_true(buffer_ok(&b));
    buffer_byte(&b, '6');
    assert_false(buffer_ok(&b));
    buffer_close(&b);
}

static void a_failure_sticks_until_cleared(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 4);
    buffer_text(&b, "abcde");
    assert_false(buffer_ok(&b));
    buffer_text(&b, "a");
    buffer_format(&b, "%d", 1);
    buffer_byte(&b, 'z');
    assert_false(buffer_ok(&b));
    assert_int_equal(buffer_view(&b).size, 0);
    assert_string_equal(buffer_cstr(&b), "");
    size_t size = 7;
    assert_null(buffer_take(&b, &size));
    assert_int_equal(size, 0);
    buffer_clear(&b);
    buffer_text(&b, "abcd");
    assert_true(buffer_ok(&b));
    assert_string_equal(buffer_cstr(&b), "abcd");
    buffer_format(&b, "%s", "e");
    assert_false(buffer_ok(&b));
    buffer_close(&b);
}

static void sizes_that_overflow_are_refused(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, SIZE_MAX);
    buffer_text(&b, "abc");
    assert_false(buffer_reserve(&b, SIZE_MAX)); /* size + SIZE_MAX wraps */
    buffer_clear(&b);
    buffer_text(&b, "abc");
    assert_false(buffer_reserve(&b, SIZE_MAX - 3)); /* only the NUL wraps */
    buffer_clear(&b);
    assert_false(buffer_reserve(&b, SIZE_MAX / 2)); /* no such memory */
    assert_false(buffer_ok(&b));
    buffer_close(&b);
    assert_null(bytes_dup((struct bytes){(const uint8_t *)"x", SIZE_MAX}));
}

static void reserved_room_takes_no_further_memory(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 1000);
    assert_true(buffer_reserve(&b, 1000));
    const uint8_t *data = b.data;
    for (int i = 0; i < 1000; i++)
        buffer_byte(&b, 'x');
    assert_true(buffer_ok(&b));
    assert_ptr_equal(data, b.data);
    buffer_close(&b);
}

static void a_taken_block_belongs_to_the_caller(void **state)
{
    (void)state;
    struct buffer b;
    size_t size;
    buffer_init(&b, 10);
    uint8_t *empty = buffer_take(&b, &size);
    assert_non_null(empty);
    assert_int_equal(size, 0);
    free(empty);
    buffer_append(&b, "a\0b", 3);
    uint8_t *block = buffer_take(&b, &size);
    assert_int_equal(size, 3);
    assert_memory_equal(block, "a\0b", 4);
    assert_int_equal(b.size, 0);
    buffer_text(&b, "new");
    assert_string_equal(buffer_cstr(&b), "new");
    assert_memory_equal(block, "a\0b", 4);
    free(block);
    buffer_close(&b);
}

static void formats_of_any_length(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 5000);
    for (int width = 0; width < 400; width++) {
        buffer_clear(&b);
        buffer_format(&b, "%*d", width, 7);
        assert_int_equal(b.size, width < 1 ? 1 : width);
        assert_int_equal(buffer_cstr(&b)[b.size - 1], '7');
        assert_int_equal(strlen(buffer_cstr(&b)), b.size);
    }
    buffer_close(&b);
}

static void views_compare_by_content(void **state)
{
    (void)state;
    assert_true(bytes_equal((struct bytes){NULL, 0}, (struct bytes){NULL, 0}));
    assert_true(bytes_are((struct bytes){NULL, 0}, ""));
    assert_true(bytes_equal(bytes_of("abc"), bytes_of("abc")));
    assert_false(bytes_equal(bytes_of("abc"), bytes_of("abd")));
    assert_false(bytes_equal(bytes_of("abc"), bytes_of("ab")));
    assert_false(bytes_are((struct bytes){(const uint8_t *)"a\0b", 3}, "a"));
    char *copy = bytes_dup((struct bytes){(const uint8_t *)"a\0b", 3});
    assert_memory_equal(copy, "a\0b", 4);
    free(copy);
    copy = bytes_dup((struct bytes){NULL, 0});
    assert_string_equal(copy, "");
    free(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_add_up_and_end_in_nul),
        cmocka_unit_test(the_maximum_is_reached_but_not_passed),
        cmocka_unit_test(a_lowered_maximum_holds),
        cmocka_unit_test(a_failure_sticks_until_cleared),
        cmocka_unit_test(sizes_that_overflow_are_refused),
        cmocka_unit_test(reserved_room_takes_no_further_memory),
        cmocka_unit_test(a_taken_block_belongs_to_the_caller),
        cmocka_unit_test(formats_of_any_length),
        cmocka_unit_test(views_compare_by_content),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
