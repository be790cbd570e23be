/* test_tables.c: the id table and the closed ids against naive models; batches; group metadata.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "batch.h"
#include "closed.h"
#include "runner.h"
#include <string.h>

enum { IDS = 200, STEPS = 200000 };

static uint64_t seed = 7;
static uint32_t chance(uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % below;
}

/* Many share their first bytes, so that they meet in the table. */
static struct run_id id_of(uint32_t n)
{
    struct run_id id = {{0}};
    id.bytes[0] = (uint8_t)(n % 3);
    memcpy(id.bytes + 12, &n, 4);
    return id;
}

static void the_table_holds_what_was_put(void **state)
{
    (void)state;
    struct id_table t = {0};
    int64_t model[IDS] = {0};
    size_t count = 0;
    for (int i = 0; i < STEPS; i++) {
        uint32_t n = chance(IDS);
        struct run_id id = id_of(n);
        if (chance(2)) {
            count += model[n] == 0 ? 1 : 0;
            id_table_put(&t, &id)->as.number = model[n] = i + 1;
        } else {
            count -= model[n] != 0 ? 1 : 0;
            model[n] = 0;
            id_table_remove(&t, &id);
        }
        n = chance(IDS);
        id = id_of(n);
        const struct id_slot *slot = id_table_find(&t, &id);
        assert_int_equal(slot ? slot->as.number : 0, model[n]);
        assert_int_equal(t.count, count);
    }
    size_t at = 0, walked = 0;
    while (id_table_next(&t, &at))
        walked++;
    assert_int_equal(walked, count);
    id_table_close(&t);
}

static void ids_have_one_spelling(void **state)
{
    (void)state;
    struct run_id id;
    char text[RUN_ID_TEXT_SIZE];
    assert_true(run_id_parse(bytes_of("wh-0123456789abcdef0123456789abcdef"), &id));
    run_id_format(&id, text);
    assert_string_equal(text, "wh-0123456789abcdef0123456789abcdef");
    static const char *const bad[] = {"",
                                      "wh-",
                                      "wh-0123456789ABCDEF0123456789abcdef",
                                      "wh-0123456789abcdef0123456789abcde",
                                      "wh-0123456789abcdef0123456789abcdef0",
                                      "xh-0123456789abcdef0123456789abcdef"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(run_id_parse(bytes_of(bad[i]), &id));
}

/* J26: an id leaves only when nothing recorded before its expiry can still come, and in the order of expiry. */
static void closed_ids_expire_when_the_partition_is_past_them(void **state)
{
    (void)state;
    struct closed_ids c = {0};
    int64_t model[IDS] = {0}, seen = 0, until;
    for (int i = 0; i < STEPS; i++) {
        uint32_t n = chance(IDS);
        struct run_id id = id_of(n);
        if (chance(3)) {
            model[n] = seen + 1 + chance(1000);
            assert_true(closed_add(&c, &id, model[n]));
        } else if (chance(4) == 0) {
            model[n] = 0;
            closed_remove(&c, &id);
        }
        seen += chance(20);
        while (closed_take_expired(&c, seen, &id, &until)) {
            uint32_t gone;
            memcpy(&gone, id.bytes + 12, 4);
            assert_int_equal(model[gone], until);
            assert_true(until < seen);
            model[gone] = 0;
        }
        for (n = 0; i % 100 == 0 && n < IDS; n++)
            assert_true(model[n] == 0 || model[n] >= seen);
        id = id_of(chance(IDS));
        memcpy(&n, id.bytes + 12, 4);
        assert_int_equal(closed_find(&c, &id, &until), model[n] != 0);
    }
    closed_close(&c);
}

static void the_window_of_a_duplicate_is_counted_from_the_original(void **state)
{
    (void)state;
    /* J26: the original's time, the sender's window, five minutes for clocks */
    assert_int_equal(closed_until_us(1000000, 3600), 1000000 + (3600 + 300) * (int64_t)1000000);
}

/* J1: a transaction whose records are not all covered by offsets would not be fenced. */
static void a_batch_is_sound_when_all_it_touches_sends_offsets(void **state)
{
    (void)state;
    struct record r = {bytes_of("k"), bytes_of("v"), NULL, 0};
    struct batch *b = batch_new(1);
    assert_false(batch_is_sound(b));
    batch_add(b, TOPIC_JOURNAL, 3, &r);
    assert_false(batch_is_sound(b));
    batch_touch(b, 2, 0);
    assert_false(batch_is_sound(b));
    batch_touch(b, 3, 7);
    assert_true(batch_is_sound(b));
    batch_touch(b, 3, 9);
    batch_touch(b, 3, 8); /* never backwards */
    batch_touch(b, 1, 1);
    assert_int_equal(b->offset_count, 3);
    assert_int_equal(b->offsets[2].partition, 3);
    assert_int_equal(b->offsets[2].next, 9);
    assert_true(batch_has_room(b));
    for (int i = 0; i < BATCH_RECORDS_MAX; i++)
        batch_add(b, TOPIC_RESULTS, 1, &r);
    assert_false(batch_has_room(b));
    assert_true(batch_is_sound(b));
    batch_free(b);
}

#define CUT_MEMBER    "CGMDv2:\x05\0\0\0group\0mem"
#define NO_MEMBER     "CGMDv2:\x05\0\0\0group\0\0\0"
#define NO_GENERATION "CGMDv2:\xff\xff\xff\xffgroup\0member\0\0"
#define GOOD          "CGMDv2:\x05\0\0\0group\0member\0\0"

/* J2: generation -1 with member "" would be accepted unchecked by the brokers. */
static void worthless_group_metadata_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *data;
        size_t size;
        bool good;
    } rows[] = {
        {GOOD, sizeof GOOD - 1, true},
        {NO_MEMBER, sizeof NO_MEMBER - 1, false},
        {NO_GENERATION, sizeof NO_GENERATION - 1, false},
        {CUT_MEMBER, sizeof CUT_MEMBER - 1, false},
        {"CGMDv1:", 7, false},
        {"CGMDv2:\x05", 8, false},
        {"CGMDv2:\x05\0\0\0group", 16, false},
        {"", 0, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct assignment a = {.generation = -1};
        assert_int_equal(handover_parse_metadata((const uint8_t *)rows[i].data, rows[i].size, &a), rows[i].good);
        if (!rows[i].good) continue;
        assert_int_equal(a.generation, 5);
        assert_string_equal(a.member, "member");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_holds_what_was_put),
        cmocka_unit_test(ids_have_one_spelling),
        cmocka_unit_test(closed_ids_expire_when_the_partition_is_past_them),
        cmocka_unit_test(the_window_of_a_duplicate_is_counted_from_the_original),
        cmocka_unit_test(a_batch_is_sound_when_all_it_touches_sends_offsets),
        cmocka_unit_test(worthless_group_metadata_is_refused),
    };
    return cmocka_run_group_tests_name("tables", tests, NULL, NULL);
}
