/* gather.c: fills the next batch.  In this order, so that what is over makes room for what begins in the same
 * transaction: barriers and adoptions, ended attempts, turns, arrivals, expired ids.
 * SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "log.h"
#include "memory.h"
#include "runner.h"
#include <string.h>

enum { FORGET_MAX = 500, FORGET_END_US = 60 * 1000000 };

struct change *gather_change(struct runner *r, enum change_kind kind, struct partition *p)
{
    if (r->change_count == r->change_capacity) {
        r->change_capacity = r->change_capacity ? 2 * r->change_capacity : 64;
        r->changes = memory_array(r->changes, r->change_capacity, sizeof *r->changes);
    }
    struct change *c = &r->changes[r->change_count++];
    *c = (struct change){.kind = kind, .partition = p};
    return c;
}

static void gather_marks(struct runner *r, struct batch *b)
{
    for (size_t i = 0; i < r->partition_count; i++) {
        struct partition *p = r->partitions[i];
        if (p->in_flight) continue;
        if (p->state == PARTITION_BARRIER) propose_mark(r, b, p, CHANGE_BARRIER);
        if (p->state == PARTITION_ADOPTING) propose_mark(r, b, p, CHANGE_ADOPT);
    }
}

/* While a record is suspected (J9) only suspects go, one at a time. */
static bool may_go(const struct runner *r, bool suspect)
{
    return r->suspects == 0 || (suspect && r->change_count == 0);
}

static void gather_inputs(struct runner *r, struct batch *b, struct partition *p)
{
    for (size_t i = 0; i < p->input_count && batch_has_room(b); i++) {
        struct run *run = p->inputs[i];
        if (run->in_flight || run->entry.state == RUN_NEW || !may_go(r, run->suspect)) continue;
        if (run->body_at >= 0) { /* refused: its dead letter needs it */
            bodies_ask(r, run);
            continue;
        }
        propose_run(r, b, run, run->refusal ? INPUT_REFUSED : INPUT_ENDED);
    }
}

static void gather_turns(struct runner *r, struct batch *b)
{
    struct turn *t;
    int64_t now_us = clock_monotonic_us();
    while (r->suspects == 0 && batch_has_room(b) && (t = schedule_next(&r->schedule, now_us)))
        propose_run(r, b, run_of_turn(t), INPUT_TURN);
}

static void propose_arrival(struct runner *r, struct batch *b, struct partition *p, const struct arrival *a)
{
    if (a->dead) {
        propose_dead_letter(r, b, p, a);
    } else if (a->run) {
        enum run_input_kind kind = INPUT_ARRIVED;
        if (a->run->refusal)
            kind = INPUT_REFUSED;
        else if (schedule_take(&r->schedule, &a->run->turn))
            kind = INPUT_TURN;
        propose_run(r, b, a->run, kind);
    }
}

/* In order of offset without a gap: the position is the one behind the last. */
static void gather_arrivals(struct runner *r, struct batch *b, struct partition *p)
{
    size_t count = 0;
    for (; count < p->arrival_count && batch_has_room(b); count++) {
        const struct arrival *a = &p->arrivals[count];
        if (!a->run && !a->dead) continue; /* a duplicate only moves the position */
        if (!may_go(r, a->suspect || (a->run && a->run->suspect))) break;
        propose_arrival(r, b, p, a);
        if (r->suspects == 0) continue;
        count++;
        break;
    }
    if (count == 0) return;
    p->proposed = count;
    struct change *c = gather_change(r, CHANGE_ARRIVALS, p);
    c->next = p->arrivals[count - 1].offset + 1;
    propose_position(r, b, p, c->next);
}

/* Ids leave the table when nothing that was recorded before their expiry can still come (J26).  In a quiet partition
 * that takes a look at the end of the topic. */
static void gather_forget(struct runner *r, struct batch *b, struct partition *p)
{
    struct run_id id;
    int64_t until_us;
    for (int i = 0; i < FORGET_MAX && batch_has_room(b) && closed_take_expired(&p->closed, p->seen_us, &id, &until_us);
         i++)
        propose_forget(r, b, p, &id, until_us);
}

static void ask_for_end(struct runner *r, struct partition *p)
{
    int64_t now_us = clock_wall_us();
    if (p->closed.heap_count == 0 || now_us < p->asked_end_us + FORGET_END_US) return;
    if (!closed_is_due(&p->closed, now_us)) return;
    p->asked_end_us = now_us;
    struct job *job = job_new(JOB_END, r->assignment.epoch, 1);
    job->offsets[0].partition = p->number;
    commit_submit(r->commit, job);
}

static void send_batch(struct runner *r, struct batch *b)
{
    if (b->count == 0) {
        batch_free(b);
        return;
    }
    struct job *job = job_new(JOB_BATCH, r->assignment.epoch, 0);
    b->metadata = memory_new(r->assignment.metadata_size);
    memcpy(b->metadata, r->assignment.metadata, r->assignment.metadata_size);
    b->metadata_size = r->assignment.metadata_size;
    job->batch = b;
    r->in_flight = true;
    r->batch_began_us = clock_monotonic_us();
    commit_submit(r->commit, job);
}

static bool may_send(const struct runner *r)
{
    return !r->in_flight && r->assignment.present && r->change_count == 0;
}

/* Starts wait for the proof that we are still a member, and there is nothing else to say: the position once more. */
static void gather_proof(struct runner *r, struct batch *b)
{
    if (!r->unproven || r->starts.count == 0) return;
    for (size_t i = 0; i < r->partition_count; i++) {
        struct partition *p = r->partitions[i];
        if (p->state != PARTITION_OPEN || p->position < 0) continue;
        propose_position(r, b, p, p->position);
        return;
    }
}

void gather(struct runner *r)
{
    int64_t now_us = clock_monotonic_us();
    if (!may_send(r) || r->revoking || now_us < r->next_batch_us || starts_suffice(r, now_us)) return;
    bodies_look(r);
    struct batch *b = batch_new(++r->batches);
    bool fresh = !r->draining && !r->halted[0];
    gather_marks(r, b);
    for (size_t i = 0; i < r->partition_count; i++)
        if (r->partitions[i]->state == PARTITION_OPEN) gather_inputs(r, b, r->partitions[i]);
    if (!r->draining) gather_turns(r, b);
    for (size_t i = 0; i < r->partition_count; i++) {
        struct partition *p = r->partitions[i];
        if (p->state != PARTITION_OPEN) continue;
        if (fresh) gather_arrivals(r, b, p);
        if (r->suspects > 0) continue;
        ask_for_end(r, p);
        gather_forget(r, b, p);
    }
    if (b->count == 0) gather_proof(r, b);
    if (b->count == 0) r->batches--;
    send_batch(r, b);
}

void gather_last(struct runner *r)
{
    if (!may_send(r)) return;
    struct batch *b = batch_new(++r->batches);
    for (size_t i = 0; i < r->partition_count; i++) {
        struct partition *p = r->partitions[i];
        if (!partition_is_whole(p)) continue;
        gather_inputs(r, b, p);
        propose_mark(r, b, p, CHANGE_HANDOVER);
    }
    send_batch(r, b);
}
