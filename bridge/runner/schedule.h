/* schedule.h: whose turn it is.  Each agent has a lane: first come, first started, at most `cap` at once; all lanes
 * together at most the schedule's `cap` processes.  Lanes that could start take turns.  Pure: time is an argument.
 *
 *   waiting  in the lane's queue, by order of arrival
 *   taken    has a slot of its lane and a global one: running, or about to
 *   parked   has a slot of its lane and waits for a moment: a retry holds its agent (J22)
 *
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "heap.h"

struct lane {
    struct heap waiting;
    struct heap_item ready; /* among the lanes that could start */
    int held, cap;
};

enum turn_place { TURN_NOWHERE, TURN_WAITING, TURN_TAKEN, TURN_PARKED };

/* One run's part in it; lives inside the run. */
struct turn {
    struct heap_item item;
    struct lane *lane;
    int64_t order; /* of arrival within the lane: smaller is earlier */
    enum turn_place place;
    bool blocked; /* while it waits: schedule_next must not hand it out */
};

struct schedule { /* zeroed but for cap */
    int cap, taken;
    struct heap ready, parked;
    int64_t ticket;
};

void schedule_close(struct schedule *s);
/* True when the lane is empty and may be freed (lane_close). */
bool lane_idle(const struct lane *l);
void lane_close(struct schedule *s, struct lane *l);

/* From nowhere into the lane's queue.  Blocked: it holds its place there, but is not to be handed out yet. */
void schedule_wait(struct schedule *s, struct turn *t, bool blocked);
/* From nowhere to taken, without asking the caps: it runs already. */
void schedule_hold(struct schedule *s, struct turn *t);
/* From nowhere or taken to parked until `due` (in the caller's clock). */
void schedule_park(struct schedule *s, struct turn *t, int64_t due);
/* From anywhere to nowhere. */
void schedule_leave(struct schedule *s, struct turn *t);
/* The first of its queue, or NULL. */
struct turn *lane_first(const struct lane *l);

/* Takes the next one whose turn it is, what is due first; NULL if there is none or no slot is free. */
struct turn *schedule_next(struct schedule *s, int64_t now);
/* Takes this waiting one, blocked or not, if it is the first of its lane and both caps allow it. */
bool schedule_take(struct schedule *s, struct turn *t);
/* The next moment at which schedule_next may have one that is parked now, or INT64_MAX. */
int64_t schedule_due(const struct schedule *s);
