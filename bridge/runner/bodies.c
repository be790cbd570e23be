/* bodies.c: events' values that found no room at a take-over (J12).  They stay in the journal, where the entry that
 * admitted a run keeps its event until the run is closed, and are read again, the lowest offset first: at once for a
 * run that holds its agent, for the others when nothing of their agent is before them.  So a take-over holds what fits
 * into body_memory, and one event more for each agent. SPDX-License-Identifier: Apache-2.0 */
#include "log.h"
#include "memory.h"
#include "runner.h"

enum {
    PASS_MAX = 50,          /* entries that are rather read over than begun anew behind */
    BODIES_UNREADABLE = -2, /* p->body_reader: noticed where a partition may be refused */
};

static struct run *lowest(const struct partition *p)
{
    struct run *first = NULL;
    for (size_t i = 0; i < p->asked_count; i++)
        if (!first || p->asked[i]->body_at < first->body_at) first = p->asked[i];
    return first;
}

void bodies_stop(struct runner *r, struct partition *p)
{
    if (p->body_reader >= 0) journal_reader_stop(r->journal, p->number);
    p->body_reader = -1;
}

static void read_on(struct runner *r, struct partition *p)
{
    const struct run *next = lowest(p);
    int64_t ahead = next->body_at - p->body_reader;
    if (p->body_reader >= 0 && ahead >= 0 && ahead < PASS_MAX) return;
    bodies_stop(r, p);
    bool started = journal_reader_start(r->journal, p->number, next->body_at);
    p->body_reader = started ? next->body_at : BODIES_UNREADABLE;
}

void bodies_ask(struct runner *r, struct run *run)
{
    struct partition *p = run->partition;
    if (run->body_at < 0 || run->body_asked || p->state == PARTITION_REFUSED) return;
    run->body_asked = true;
    if (p->asked_count == p->asked_capacity) {
        p->asked_capacity = p->asked_capacity ? 2 * p->asked_capacity : 16;
        p->asked = memory_array(p->asked, p->asked_capacity, sizeof(struct run *));
    }
    p->asked[p->asked_count++] = run;
    read_on(r, p);
}

static void take_off(struct partition *p, struct run *run)
{
    run->body_asked = false;
    for (size_t i = 0; i < p->asked_count; i++)
        if (p->asked[i] == run) p->asked[i] = p->asked[--p->asked_count];
}

void bodies_forget(struct runner *r, struct run *run)
{
    struct partition *p = run->partition;
    if (run->body_at < 0) return;
    p->bodies_away--;
    run->body_at = -1;
    if (!run->body_asked) return;
    take_off(p, run);
    if (p->asked_count == 0) bodies_stop(r, p);
}

void bodies_look(struct runner *r)
{
    for (size_t i = 0; i < r->partition_count; i++) {
        struct partition *p = r->partitions[i];
        if (p->body_reader == BODIES_UNREADABLE) {
            p->body_reader = -1;
            partition_refuse(r, p, "its journal can't be read");
        }
        if (p->bodies_away == p->asked_count || p->state != PARTITION_OPEN) continue;
        size_t at = 0;
        for (struct id_slot *slot; (slot = id_table_next(&p->agents, &at));) {
            struct turn *first = lane_first(&((struct agent *)slot->as.pointer)->lane);
            if (first) bodies_ask(r, run_of_turn(first));
        }
    }
}

void bodies_put(struct runner *r, struct run *run, struct bytes value)
{
    if (run->body_at < 0) return;
    struct record whole = *run->event;
    whole.value = value;
    struct record *event = memory_got(record_dup(&whole));
    free(run->event);
    run->event = event;
    run->event_bytes += value.size;
    r->event_bytes += value.size;
    bodies_forget(r, run);
}

void bodies_record(struct runner *r, struct partition *p, const struct record *record, int64_t offset)
{
    struct run *run = lowest(p); /* there is one, or nobody would read; none stands before the reader */
    if (run->body_at < offset) {
        partition_refuse(r, p, "its journal has lost the entry at %lld", (long long)run->body_at);
        return;
    }
    if (!record) return;
    p->body_reader = offset + 1;
    if (run->body_at > offset) return;
    bodies_put(r, run, record->value);
    if (p->state == PARTITION_OPEN) partition_place_run(r, run);
    if (p->asked_count > 0) read_on(r, p);
    runner_wake(r);
}
