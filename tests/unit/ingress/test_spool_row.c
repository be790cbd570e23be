/* test_spool_row.c: what goes into a row comes out of it, and nothing else is taken for one; the agents' table.
 * SPDX-License-Identifier: Apache-2.0 */
#include "spool.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
/* cmocka wants its headers first */
#include <cmocka.h>

static const struct record_header headers[] = {
    {BYTES_LITERAL("ce_id"), BYTES_LITERAL("1")},
    {BYTES_LITERAL("empty"), BYTES_LITERAL("")},
    {BYTES_LITERAL("null"), {NULL, 0}},
    {BYTES_LITERAL("bytes"), BYTES_LITERAL("\0\xff\x80")},
};
static const struct record records[] = {
    {.key = BYTES_LITERAL("agent"), .value = BYTES_LITERAL("{}"), .headers = headers, .header_count = 4},
    {.key = BYTES_LITERAL("agent"), .value = BYTES_LITERAL(""), .headers = headers, .header_count = 1},
    {.key = BYTES_LITERAL("a"), .value = {NULL, 0}, .header_count = 0},
};

static void assert_same(struct bytes a, struct bytes b)
{
    assert_true(bytes_equal(a, b));
    assert_int_equal(a.data == NULL, b.data == NULL);
}

static void a_record_survives(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof records / sizeof records[0]; i++) {
        const struct record *in = &records[i];
        struct buffer row;
        buffer_init(&row, 1 << 20);
        spool_row_encode(in, &row);
        assert_int_equal(row.size, spool_row_size(in));
        struct record *out = spool_row_decode(buffer_view(&row));
        buffer_close(&row); /* the record stands on its own */
        assert_non_null(out);
        assert_same(out->key, in->key);
        assert_same(out->value, in->value);
        assert_int_equal(out->header_count, in->header_count);
        for (size_t h = 0; h < in->header_count; h++) {
            assert_same(out->headers[h].name, in->headers[h].name);
            assert_same(out->headers[h].value, in->headers[h].value);
        }
        free(out);
    }
}

/* Cut anywhere, longer by one, or with any byte of its frame changed: no crash, and no record that reads beyond. */
static void damage_is_no_record(void **state)
{
    (void)state;
    struct buffer row;
    buffer_init(&row, 1 << 20);
    spool_row_encode(&records[0], &row);
    for (size_t size = 0; size < row.size; size++) {
        uint8_t *copy = malloc(size + 1); /* of exactly that size, so that a sanitizer sees each step beyond */
        assert_non_null(copy);
        memcpy(copy, row.data, size);
        assert_null(spool_row_decode((struct bytes){copy, size}));
        free(copy);
    }
    for (size_t at = 0; at < row.size; at++) {
        for (int bit = 0; bit < 8; bit++) {
            row.data[at] ^= (uint8_t)(1 << bit);
            free(spool_row_decode(buffer_view(&row)));
            row.data[at] ^= (uint8_t)(1 << bit);
        }
    }
    buffer_byte(&row, 0);
    assert_null(spool_row_decode(buffer_view(&row)));
    row.data[0]++; /* the version */
    assert_null(spool_row_decode((struct bytes){row.data, row.size - 1}));
    buffer_close(&row);
}

static void cost_grows_with_size(void **state)
{
    (void)state;
    assert_int_equal(spool_row_cost(0), 1024);
    assert_int_equal(spool_row_cost(896), 1024);
    assert_int_equal(spool_row_cost(897), 2048);
    assert_true(spool_row_cost(7 << 20) >= 7 << 20);
}

static void agents_are_counted(void **state)
{
    (void)state;
    struct spool_agents *a = spool_agents_new();
    assert_non_null(a);
    char id[32];
    for (int round = 1; round <= 2; round++)
        for (int i = 0; i < 1000; i++) {
            snprintf(id, sizeof id, "agent-%d", i);
            assert_true(spool_agents_add(a, bytes_of(id), i % 3 + 1));
            assert_int_equal(spool_agents_get(a, bytes_of(id)), round * (i % 3 + 1));
        }
    for (int i = 0; i < 1000; i++) {
        snprintf(id, sizeof id, "agent-%d", i);
        for (int n = 2 * (i % 3 + 1); n > 0; n--) {
            assert_int_equal(spool_agents_get(a, bytes_of(id)), n);
            spool_agents_take(a, bytes_of(id));
        }
        assert_int_equal(spool_agents_get(a, bytes_of(id)), 0);
        spool_agents_take(a, bytes_of(id));
    }
    assert_true(spool_agents_add(a, bytes_of("agent"), 5));
    spool_agents_clear(a);
    assert_int_equal(spool_agents_get(a, bytes_of("agent")), 0);
    spool_agents_free(a);
    spool_agents_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_survives),
        cmocka_unit_test(damage_is_no_record),
        cmocka_unit_test(cost_grows_with_size),
        cmocka_unit_test(agents_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
