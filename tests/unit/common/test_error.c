/* test_error.c: sentences with context in front, cut cleanly.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "text.h"
#include <cmocka.h>
#include <errno.h>
#include <string.h>

static void a_sentence_grows_from_the_front(void **state)
{
    (void)state;
    struct error e = {0};
    assert_false(error_set_errno(&e, EACCES, "open '%s'", "/etc/key"));
    assert_false(error_context(&e, "secret_file"));
    assert_false(error_context(&e, "load trigger '%s'", "billing"));
    assert_string_equal(e.text, "load trigger 'billing': secret_file: open '/etc/key': Permission denied");
    assert_int_equal(e.code, ERROR_DENIED);
}

static void no_error_struct_is_fine(void **state)
{
    (void)state;
    assert_false(error_set(NULL, ERROR_INVALID, "x"));
    assert_false(error_set_errno(NULL, EIO, "x"));
    assert_false(error_context(NULL, "x"));
}

static void errno_values_have_codes(void **state)
{
    (void)state;
    static const struct {
        int errnum;
        enum error_code code;
    } rows[] = {{EACCES, ERROR_DENIED}, {EPERM, ERROR_DENIED}, {ENOENT, ERROR_NOT_FOUND},
                {ENOMEM, ERROR_MEMORY}, {EIO, ERROR_IO},       {12345, ERROR_IO}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct error e = {0};
        error_set_errno(&e, rows[i].errnum, "x");
        assert_int_equal(e.code, rows[i].code);
        assert_int_equal(strncmp(e.text, "x: ", 3), 0);
        assert_true(strlen(e.text) > 3);
    }
}

static void an_error_may_quote_itself(void **state)
{
    (void)state;
    struct error e = {0};
    error_set(&e, ERROR_IO, "inner");
    error_set(&e, ERROR_UNAVAILABLE, "outer (%s)", e.text);
    assert_string_equal(e.text, "outer (inner)");
    error_context(&e, "again %s", e.text);
    assert_string_equal(e.text, "again outer (inner): outer (inner)");
}

static void the_tail_is_cut_between_characters(void **state)
{
    (void)state;
    char wide[601];
    for (size_t shift = 0; shift < 3; shift++) {
        memset(wide, 'a', shift);
        for (size_t i = shift; i + 3 < sizeof wide; i += 3)
            memcpy(wide + i, "\xE2\x82\xAC", 4);
        struct error e = {0};
        error_set(&e, ERROR_INVALID, "%s", wide);
        assert_true(text_is_utf8(bytes_of(e.text)));
        assert_in_range(strlen(e.text), 509, 511);
        error_context(&e, "front");
        assert_true(text_is_utf8(bytes_of(e.text)));
        assert_int_equal(strncmp(e.text, "front: ", 7), 0);
        error_set_errno(&e, EIO, "%s", wide);
        assert_true(text_is_utf8(bytes_of(e.text)));
    }
}

static void a_full_sentence_fits_exactly(void **state)
{
    (void)state;
    char text[513];
    struct error e = {0};
    for (size_t size = 510; size <= 512; size++) {
        memset(text, 'x', size);
        text[size] = '\0';
        error_set(&e, ERROR_INVALID, "%s", text);
        assert_int_equal(strlen(e.text), size > 511 ? 511 : size);
    }
}

static void codes_have_distinct_names(void **state)
{
    (void)state;
    for (int a = ERROR_NONE; a <= ERROR_INTERNAL; a++) {
        assert_true(strlen(error_code_name((enum error_code)a)) > 0);
        for (int b = ERROR_NONE; b < a; b++)
            assert_string_not_equal(error_code_name((enum error_code)a), error_code_name((enum error_code)b));
    }
    assert_string_equal(error_code_name((enum error_code)999), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sentence_grows_from_the_front),
        cmocka_unit_test(no_error_struct_is_fine),
        cmocka_unit_test(errno_values_have_codes),
        cmocka_unit_test(an_error_may_quote_itself),
        cmocka_unit_test(the_tail_is_cut_between_characters),
        cmocka_unit_test(a_full_sentence_fits_exactly),
        cmocka_unit_test(codes_have_distinct_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
