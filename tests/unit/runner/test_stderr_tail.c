/* test_stderr_tail.c: the end of a stream, however it was split.  SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stderr_tail.h"

enum { STREAM = 20000 };

/* What the view must be, computed from the whole stream. */
static size_t expected_start(const uint8_t *stream, size_t size)
{
    if (size <= STDERR_TAIL_MAX) return 0;
    size_t start = size - STDERR_TAIL_MAX;
    if (stream[start - 1] == '\n') return start;
    for (size_t i = start; i + 1 < size; i++)
        if (stream[i] == '\n') return i + 1;
    for (int i = 0; i < 3 && start < size && (stream[start] & 0xc0) == 0x80; i++)
        start++;
    return start;
}

static uint32_t next(uint32_t *seed)
{
    return *seed = *seed * 1664525 + 1013904223;
}

static void any_split_gives_the_same_tail(void **state)
{
    (void)state;
    uint8_t *stream = malloc(STREAM);
    for (uint32_t seed = 1; seed < 200; seed++) {
        uint32_t random = seed;
        const uint32_t line = seed % 3 == 0 ? 60 : seed % 3 == 1 ? 5000 : 100000;
        for (size_t i = 0; i < STREAM; i++)
            stream[i] = next(&random) >> 8 & 1 ? 'a' : 0x80 | (next(&random) >> 9 & 63);
        for (size_t i = line - seed; i < STREAM; i += line)
            stream[i] = '\n';
        const size_t total = (next(&random) >> 8) % STREAM;
        /* Edges that chance does not find: the kept part begins with a line; its only line end is its last byte. */
        if (seed % 5 == 0 && total > STDERR_TAIL_MAX) stream[total - STDERR_TAIL_MAX - 1] = '\n';
        if (seed % 5 == 1 && total > 0) stream[total - 1] = '\n';
        struct stderr_tail tail = {.size = 0};
        for (size_t at = 0; at < total;) {
            size_t piece = (next(&random) >> 8) % (seed % 2 ? STREAM : 50);
            if (piece > total - at) piece = total - at;
            stderr_tail_append(&tail, stream + at, piece);
            at += piece;
        }
        const size_t start = expected_start(stream, total);
        const struct bytes view = stderr_tail_view(&tail);
        assert_int_equal(view.size, total - start);
        assert_memory_equal(view.data, stream + start, view.size);
    }
    free(stream);
}

static void an_empty_stream_has_an_empty_tail(void **state)
{
    (void)state;
    struct stderr_tail tail = {.size = 0};
    stderr_tail_append(&tail, "", 0);
    assert_int_equal(stderr_tail_view(&tail).size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_split_gives_the_same_tail),
        cmocka_unit_test(an_empty_stream_has_an_empty_tail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
