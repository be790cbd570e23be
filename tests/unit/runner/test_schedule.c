/* test_schedule.c: random schedules against a naive model: order within a lane, both caps, nothing due forgotten; and
 * the heap below.  SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "schedule.h"
#include <string.h>

enum { LANES = 4, TURNS = 24, ROUNDS = 20000, STEPS = 60 };

static uint64_t seed;
static uint32_t chance(uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % below;
}

static struct schedule s;
static struct lane lanes[LANES];
static struct turn turns[TURNS];
static int64_t due[TURNS];

static int count_place(const struct lane *lane, enum turn_place place)
{
    int count = 0;
    for (int i = 0; i < TURNS; i++)
        if ((!lane || turns[i].lane == lane) && turns[i].place == place) count++;
    return count;
}

static struct turn *first_waiting(const struct lane *lane)
{
    struct turn *first = NULL;
    for (int i = 0; i < TURNS; i++)
        if (turns[i].lane == lane && turns[i].place == TURN_WAITING && (!first || turns[i].order < first->order))
            first = &turns[i];
    return first;
}

/* Could anything be started at `now`? */
static bool somebody_could(int64_t now)
{
    if (count_place(NULL, TURN_TAKEN) >= s.cap) return false;
    for (int i = 0; i < TURNS; i++)
        if (turns[i].place == TURN_PARKED && due[i] <= now) return true;
    for (int i = 0; i < LANES; i++) {
        const struct turn *first = first_waiting(&lanes[i]);
        int held = count_place(&lanes[i], TURN_TAKEN) + count_place(&lanes[i], TURN_PARKED);
        if (first && !first->blocked && held < lanes[i].cap) return true;
    }
    return false;
}

static void check_counts(void)
{
    assert_int_equal(s.taken, count_place(NULL, TURN_TAKEN));
    for (int i = 0; i < LANES; i++)
        assert_int_equal(lanes[i].held, count_place(&lanes[i], TURN_TAKEN) + count_place(&lanes[i], TURN_PARKED));
}

static void next(int64_t now)
{
    struct turn *firsts[LANES];
    enum turn_place before[TURNS];
    bool could = somebody_could(now), is_first = false;
    for (int i = 0; i < LANES; i++)
        firsts[i] = first_waiting(&lanes[i]);
    for (int i = 0; i < TURNS; i++)
        before[i] = turns[i].place;
    struct turn *t = schedule_next(&s, now);
    assert_int_equal(t != NULL, could);
    if (!t) return;
    for (int i = 0; i < LANES; i++)
        is_first = is_first || firsts[i] == t;
    assert_int_equal(t->place, TURN_TAKEN);
    if (before[t - turns] == TURN_PARKED)
        assert_true(due[t - turns] <= now);
    else
        assert_true(is_first && !t->blocked);
    assert_true(t->lane->held <= t->lane->cap || before[t - turns] == TURN_PARKED);
    assert_true(s.taken <= s.cap);
}

static void take_one(struct turn *t)
{
    bool may = first_waiting(t->lane) == t && s.taken < s.cap && t->lane->held < t->lane->cap;
    assert_int_equal(schedule_take(&s, t), may);
}

static void unblock(struct turn *t)
{
    if (t->place != TURN_WAITING || !t->blocked) return;
    schedule_leave(&s, t);
    schedule_wait(&s, t, false);
}

static void act(int64_t now)
{
    int n = (int)chance(TURNS);
    struct turn *t = &turns[n];
    switch (chance(6)) {
    case 0:
        if (t->place != TURN_NOWHERE) break;
        schedule_wait(&s, t, chance(4) == 0);
        break;
    case 1: next(now); break;
    case 2:
        if (t->place == TURN_WAITING) take_one(t);
        break;
    case 3:
        if (t->place != TURN_TAKEN) break;
        due[n] = now + chance(20);
        schedule_park(&s, t, due[n]);
        break;
    case 4: schedule_leave(&s, t); break;
    case 5: unblock(t); break;
    }
}

static void any_schedule_keeps_order_and_caps(void **state)
{
    (void)state;
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        seed = round;
        memset(lanes, 0, sizeof lanes);
        memset(turns, 0, sizeof turns);
        s = (struct schedule){.cap = 1 + (int)chance(5)};
        for (int i = 0; i < LANES; i++)
            lanes[i].cap = 1 + (int)chance(3);
        for (int i = 0; i < TURNS; i++)
            turns[i] = (struct turn){.lane = &lanes[chance(LANES)], .order = (int64_t)chance(1000) * TURNS + i};
        for (int64_t now = 0; now < STEPS; now++) {
            act(now);
            check_counts();
        }
        for (int i = 0; i < TURNS; i++)
            unblock(&turns[i]);
        while (schedule_next(&s, INT64_MAX - 1) || s.taken > 0) /* everybody ends: nobody may be forgotten */
            for (int i = 0; i < TURNS; i++)
                if (turns[i].place == TURN_TAKEN) schedule_leave(&s, &turns[i]);
        assert_int_equal(count_place(NULL, TURN_WAITING) + count_place(NULL, TURN_PARKED), 0);
        for (int i = 0; i < LANES; i++)
            lane_close(&s, &lanes[i]);
        schedule_close(&s);
    }
}

/* J22: a run that waits for its retry holds its agent. */
static void a_retrying_head_holds_its_lane(void **state)
{
    (void)state;
    struct schedule one = {.cap = 10};
    struct lane lane = {.cap = 1};
    struct turn a = {.lane = &lane, .order = 1}, b = {.lane = &lane, .order = 2};
    schedule_wait(&one, &b, false);
    schedule_wait(&one, &a, false);
    assert_ptr_equal(schedule_next(&one, 0), &a);
    schedule_park(&one, &a, 100);
    assert_null(schedule_next(&one, 99));
    assert_int_equal(schedule_due(&one), 100);
    assert_ptr_equal(schedule_next(&one, 100), &a);
    schedule_leave(&one, &a);
    assert_ptr_equal(schedule_next(&one, 100), &b);
    schedule_leave(&one, &b);
    assert_true(lane_idle(&lane));
    lane_close(&one, &lane);
    schedule_close(&one);
}

static void lanes_take_turns(void **state)
{
    (void)state;
    struct schedule one = {.cap = 1};
    struct lane two[2] = {{.cap = 5}, {.cap = 5}};
    struct turn t[8];
    memset(t, 0, sizeof t);
    for (int i = 0; i < 8; i++) {
        t[i] = (struct turn){.lane = &two[i / 4], .order = i};
        schedule_wait(&one, &t[i], false);
    }
    int served[2] = {0};
    for (int i = 0; i < 4; i++) {
        struct turn *next_one = schedule_next(&one, 0);
        assert_non_null(next_one);
        served[next_one->lane - two]++;
        schedule_leave(&one, next_one);
    }
    assert_int_equal(served[0], 2);
    assert_int_equal(served[1], 2);
    lane_close(&one, &two[0]);
    lane_close(&one, &two[1]);
    schedule_close(&one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(any_schedule_keeps_order_and_caps),
                                       cmocka_unit_test(a_retrying_head_holds_its_lane),
                                       cmocka_unit_test(lanes_take_turns)};
    return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
