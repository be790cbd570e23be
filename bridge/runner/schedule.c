/* schedule.c: see schedule.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "schedule.h"
#include "memory.h"
#include <assert.h>
#include <string.h>

static struct turn *turn_of(struct heap_item *item)
{
    return (struct turn *)(void *)((char *)item - offsetof(struct turn, item));
}

static struct lane *lane_of(struct heap_item *item)
{
    return (struct lane *)(void *)((char *)item - offsetof(struct lane, ready));
}

static void push(struct heap *h, struct heap_item *item, int64_t key)
{
    if (!heap_push(h, item, key)) memory_got(NULL);
}

void schedule_close(struct schedule *s)
{
    heap_close(&s->ready);
    heap_close(&s->parked);
    memset(s, 0, sizeof *s);
}

bool lane_idle(const struct lane *l)
{
    return l->held == 0 && l->waiting.count == 0;
}

void lane_close(struct schedule *s, struct lane *l)
{
    heap_remove(&s->ready, &l->ready);
    heap_close(&l->waiting);
}

struct turn *lane_first(const struct lane *l)
{
    struct heap_item *top = heap_top(&l->waiting);
    return top ? turn_of(top) : NULL;
}

/* A lane stands among the ready ones exactly while its first could start but for the global cap. */
static void refresh(struct schedule *s, struct lane *l)
{
    const struct turn *first = lane_first(l);
    bool ready = first && !first->blocked && l->held < l->cap;
    if (!ready)
        heap_remove(&s->ready, &l->ready);
    else if (!heap_holds(&l->ready))
        push(&s->ready, &l->ready, s->ticket++);
}

void schedule_wait(struct schedule *s, struct turn *t, bool blocked)
{
    assert(t->place == TURN_NOWHERE);
    t->blocked = blocked;
    push(&t->lane->waiting, &t->item, t->order);
    t->place = TURN_WAITING;
    refresh(s, t->lane);
}

void schedule_leave(struct schedule *s, struct turn *t)
{
    switch (t->place) {
    case TURN_NOWHERE: return;
    case TURN_WAITING: heap_remove(&t->lane->waiting, &t->item); break;
    case TURN_PARKED:
        heap_remove(&s->parked, &t->item);
        t->lane->held--;
        break;
    case TURN_TAKEN:
        s->taken--;
        t->lane->held--;
        break;
    }
    t->place = TURN_NOWHERE;
    refresh(s, t->lane);
}

void schedule_hold(struct schedule *s, struct turn *t)
{
    assert(t->place == TURN_NOWHERE);
    s->taken++;
    t->lane->held++;
    t->place = TURN_TAKEN;
    refresh(s, t->lane);
}

void schedule_park(struct schedule *s, struct turn *t, int64_t due)
{
    schedule_leave(s, t);
    t->lane->held++;
    push(&s->parked, &t->item, due);
    t->place = TURN_PARKED;
    refresh(s, t->lane);
}

static void take(struct schedule *s, struct turn *t)
{
    schedule_leave(s, t);
    schedule_hold(s, t);
}

struct turn *schedule_next(struct schedule *s, int64_t now)
{
    if (s->taken >= s->cap) return NULL;
    struct heap_item *item = heap_top(&s->parked);
    struct turn *t = NULL;
    if (item && item->key <= now)
        t = turn_of(item);
    else if ((item = heap_top(&s->ready)))
        t = lane_first(lane_of(item));
    if (!t) return NULL;
    /* Whoever was served goes behind the others. */
    heap_remove(&s->ready, &t->lane->ready);
    take(s, t);
    return t;
}

bool schedule_take(struct schedule *s, struct turn *t)
{
    assert(t->place == TURN_WAITING);
    if (s->taken >= s->cap || t->lane->held >= t->lane->cap || lane_first(t->lane) != t) return false;
    take(s, t);
    return true;
}

int64_t schedule_due(const struct schedule *s)
{
    const struct heap_item *item = heap_top(&s->parked);
    return item ? item->key : INT64_MAX;
}
