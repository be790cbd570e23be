/* starts.c: committed starts wait in a line.  A process costs the loop a part of a millisecond; all at once, those of a
 * large batch would hold up the next batch, and whatever has ended meanwhile.
 * SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "log.h"
#include "memory.h"
#include "runner.h"

enum { STARTS_PER_TURN = 4, HOLD_MAX_US = 50000 };

static struct run *run_of(struct heap_item *item)
{
    return (struct run *)(void *)((char *)item - offsetof(struct run, start));
}

void starts_add(struct runner *r, struct run *run)
{
    if (!heap_holds(&run->start) && !heap_push(&r->starts, &run->start, r->start_ticket++)) memory_got(NULL);
}

void starts_remove(struct runner *r, struct run *run)
{
    heap_remove(&r->starts, &run->start);
}

/* A runner that was frozen wakes with commits of a time when it was a member; meanwhile another may have run the same
 * runs to their end.  What it has to start waits until a batch begun after that is committed, which the brokers refuse
 * to a runner that has lost its place (J1).  Until a third of the session, and the second between two heartbeats,
 * nobody else can own what it owns.  (Serving any queue of librdkafka counts as a poll: it does not notice for us.) */
static bool stands_still(struct runner *r, int64_t now_us)
{
    if (r->turn_us == 0 || now_us - r->turn_us <= r->settings->session_timeout_ms * 1000 / 3) return false;
    log_event(LOG_WARN, "the loop stood still", log_int("ms", (now_us - r->turn_us) / 1000));
    r->unproven = true;
    r->stalled_us = r->turn_us = now_us;
    return true;
}

void starts_turn(struct runner *r, int64_t now_us)
{
    if (!stands_still(r, now_us)) r->turn_us = now_us;
}

void starts_prove(struct runner *r, int64_t began_us)
{
    if (began_us >= r->stalled_us) r->unproven = false;
}

/* A transaction costs the brokers much the same, however much is in it.  So the line gets shorter first, until it
 * lasts, at the pace since the last one, just as long as that one took: then neither the processors nor the brokers
 * wait. */
bool starts_suffice(const struct runner *r, int64_t now_us)
{
    int64_t passed_us = now_us - r->settled_us;
    if (r->draining || r->unproven || passed_us > HOLD_MAX_US) return false;
    return (int64_t)r->starts.count * passed_us > r->started * r->transaction_us;
}

bool starts_step(struct runner *r)
{
    if (r->draining) return false; /* handed over unstarted, they cost no attempt (J7) */
    bool any = r->starts.count > 0;
    for (int i = 0; i < STARTS_PER_TURN && r->starts.count > 0; i++) {
        if (stands_still(r, clock_monotonic_us())) return true; /* the next turn asks for the proof, */
        if (r->unproven) return false;                          /* whose commit wakes the loop */
        struct run *run = run_of(heap_top(&r->starts));
        starts_remove(r, run);
        effects_start(r, run);
        r->started++;
    }
    return any;
}
