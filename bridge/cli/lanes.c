/* lanes.c: who sends next.  One lane per agent: inside a lane a delivery goes out only when the one before it was
 * answered; lanes run in parallel.  Pure: time is an argument.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include <stdlib.h>

enum { BACKOFF_FIRST_US = 100 * 1000, BACKOFF_MAX_US = 2 * 1000 * 1000, REPEAT_AFTER = 3 };

enum lane_state { LANE_READY, LANE_IN_FLIGHT, LANE_BACKOFF, LANE_DONE };

struct lane {
    enum lane_state state;
    int64_t last;      /* number of the lane's last delivery */
    int64_t next;      /* the next new one */
    int64_t repeat;    /* the delivery to be sent once more, or 0 */
    int64_t repeat_at; /* ... as soon as `next` has come to this number, or all are through */
    struct lanes_turn turn;
    int attempts;
    int64_t first_us, due_us; /* of the delivery in flight or waiting */
};

struct lanes {
    struct lanes_settings settings;
    struct lanes_totals totals;
    struct lane *lane;
    size_t count, in_flight, cursor, done;
    int64_t started_us, released; /* new deliveries let out so far: the rate's clock */
};

struct lanes *lanes_new(struct lanes_settings settings, int64_t now_us)
{
    struct lanes *l = calloc(1, sizeof *l);
    if (l == NULL) return NULL;
    *l = (struct lanes){.settings = settings, .count = (size_t)settings.agents, .started_us = now_us};
    l->lane = calloc(l->count, sizeof *l->lane);
    if (l->lane == NULL) {
        free(l);
        return NULL;
    }
    for (size_t i = 0; i < l->count; i++) {
        struct lane *lane = &l->lane[i];
        lane->last = settings.count / settings.agents + ((int64_t)i < settings.count % settings.agents ? 1 : 0);
        lane->next = 1;
        if (lane->last > 0) continue;
        lane->state = LANE_DONE;
        l->done++;
    }
    return l;
}

void lanes_free(struct lanes *l)
{
    if (l != NULL) free(l->lane);
    free(l);
}

/* A well-mixed number per delivery (splitmix64): the choice of repeats is spread evenly and the same in every run. */
static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15U;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31);
}

static uint64_t delivery_number(size_t lane, int64_t sequence)
{
    return mix(((uint64_t)lane << 40) ^ (uint64_t)sequence);
}

static bool wants_repeat(const struct lanes *l, size_t lane, int64_t sequence)
{
    return (double)(delivery_number(lane, sequence) >> 11) / (double)(1ULL << 53) < l->settings.resend;
}

static int64_t rate_due_us(const struct lanes *l)
{
    if (l->settings.rate <= 0) return l->started_us;
    return l->started_us + (int64_t)((double)l->released * 1e6 / l->settings.rate);
}

static bool repeat_is_due(const struct lane *lane)
{
    return lane->repeat != 0 && (lane->next >= lane->repeat_at || lane->next > lane->last);
}

/* The moment at which this lane may send, or INT64_MAX. */
static int64_t lane_due_us(const struct lanes *l, const struct lane *lane)
{
    switch (lane->state) {
    case LANE_BACKOFF: return lane->due_us;
    case LANE_READY: return repeat_is_due(lane) ? l->started_us : rate_due_us(l);
    case LANE_IN_FLIGHT:
    case LANE_DONE: break;
    }
    return INT64_MAX;
}

static void lane_send(struct lanes *l, size_t index, int64_t now_us)
{
    struct lane *lane = &l->lane[index];
    if (lane->state == LANE_READY) {
        const bool again = repeat_is_due(lane);
        lane->turn = (struct lanes_turn){index, again ? lane->repeat : lane->next, again ? 2 : 1};
        lane->attempts = 0;
        lane->first_us = now_us;
        if (again)
            lane->repeat = 0;
        else
            lane->next++, l->released++;
    } else {
        l->totals.retries++;
    }
    lane->attempts++;
    lane->state = LANE_IN_FLIGHT;
    l->in_flight++;
}

enum lanes_next lanes_next(struct lanes *l, int64_t now_us, struct lanes_turn *turn, int64_t *due_us)
{
    *due_us = INT64_MAX;
    if (l->done == l->count) return LANES_FINISHED;
    if (l->in_flight >= (size_t)l->settings.parallel) return LANES_WAIT;
    for (size_t i = 0; i < l->count; i++) {
        const size_t index = (l->cursor + i) % l->count;
        const int64_t due = lane_due_us(l, &l->lane[index]);
        if (due > now_us) {
            if (due < *due_us) *due_us = due;
            continue;
        }
        lane_send(l, index, now_us);
        l->cursor = index + 1;
        *turn = l->lane[index].turn;
        return LANES_SEND;
    }
    return LANES_WAIT;
}

static void lane_settle(struct lanes *l, struct lane *lane)
{
    const bool over = lane->next > lane->last && lane->repeat == 0;
    lane->state = over ? LANE_DONE : LANE_READY;
    if (over) l->done++;
}

/* Half of the repeats follow at once, while the first copy is still on its way; half come later. */
static void plan_repeat(struct lanes *l, struct lane *lane)
{
    const struct lanes_turn *t = &lane->turn;
    if (t->copy != 1 || lane->repeat != 0 || !wants_repeat(l, t->lane, t->sequence)) return;
    lane->repeat = t->sequence;
    lane->repeat_at = lane->next + ((delivery_number(t->lane, t->sequence) & 1) != 0 ? 0 : REPEAT_AFTER);
}

void lanes_answered(struct lanes *l, size_t index, enum delivery_verdict verdict, int64_t now_us)
{
    struct lane *lane = &l->lane[index];
    l->in_flight--;
    switch (verdict) {
    case DELIVERY_ACCEPTED:
        l->totals.accepted += lane->turn.copy == 1;
        l->totals.repeated += lane->turn.copy == 2;
        plan_repeat(l, lane);
        break;
    case DELIVERY_AGAIN:
        if (now_us - lane->first_us < l->settings.give_up_us) {
            const int shift = lane->attempts < 6 ? lane->attempts - 1 : 5;
            const int64_t backoff = (int64_t)BACKOFF_FIRST_US << shift;
            lane->due_us = now_us + (backoff < BACKOFF_MAX_US ? backoff : BACKOFF_MAX_US);
            lane->state = LANE_BACKOFF;
            return;
        }
        l->totals.gave_up++;
        break;
    case DELIVERY_IGNORED:
    case DELIVERY_REFUSED: l->totals.refused++; break;
    }
    lane_settle(l, lane);
}

struct lanes_totals lanes_totals(const struct lanes *l)
{
    return l->totals;
}
