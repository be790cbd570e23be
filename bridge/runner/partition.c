/* partition.c: partitions, their runs and agents in memory.
 * SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "log.h"
#include "memory.h"
#include "runner.h"
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct partition *partition_find(const struct runner *r, int number)
{
    for (size_t i = 0; i < r->partition_count; i++)
        if (r->partitions[i]->number == number) return r->partitions[i];
    return NULL;
}

bool partition_is_whole(const struct partition *p)
{
    return p->state == PARTITION_OPEN || p->state == PARTITION_SEEKING || p->state == PARTITION_ADOPTING;
}

struct partition *partition_new(struct runner *r, int number)
{
    struct partition *p = memory_new(sizeof *p);
    *p = (struct partition){
        .number = number, .state = PARTITION_ASKING, .committed = -1, .position = -1, .expect = -1, .body_reader = -1};
    r->partitions = memory_array(r->partitions, r->partition_count + 1, sizeof(struct partition *));
    r->partitions[r->partition_count++] = p;
    return p;
}

void partition_drop(struct runner *r, struct partition *p)
{
    settle_forget(r, p);
    partition_forget(r, p, false);
    partition_drop_previous(r, p);
    id_table_close(&p->agents);
    consume_detach(p);
    if (p->state == PARTITION_FOLDING) journal_reader_stop(r->journal, p->number);
    for (size_t i = 0; i < r->partition_count; i++) {
        if (r->partitions[i] != p) continue;
        r->partitions[i] = r->partitions[--r->partition_count];
        break;
    }
    free(p->previous);
    free(p->asked);
    free(p->inputs);
    free(p->arrivals);
    free(p);
}

void partition_refuse(struct runner *r, struct partition *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(p->refused, sizeof p->refused, format, args);
    va_end(args);
    log_event(LOG_ERROR, "partition refused", log_int("partition", p->number), log_text("reason", p->refused));
    if (p->state == PARTITION_FOLDING) journal_reader_stop(r->journal, p->number);
    bodies_stop(r, p);
    partition_rest(r, p);
    partition_drop_previous(r, p);
    size_t at = 0;
    for (struct id_slot *slot; (slot = id_table_next(&p->runs, &at));)
        effects_orphan(slot->as.pointer);
    p->state = PARTITION_REFUSED;
}

/* ---- agents */

static struct agent *agent_get(struct runner *r, struct partition *p, struct bytes agent_id)
{
    struct run_id key = run_id_of(agent_id);
    struct id_slot *slot = memory_got(id_table_put(&p->agents, &key));
    if (slot->as.pointer) return slot->as.pointer;
    struct agent *a = memory_new(sizeof *a);
    a->key = key;
    a->settings = settings_agent(r->settings, agent_id);
    a->lane.cap = a->settings ? (int)a->settings->concurrency : 0;
    slot->as.pointer = a;
    return a;
}

/* Ids of agents come from outside; an idle one must not stay for ever. */
static void agent_put(struct runner *r, struct partition *p, struct agent *a)
{
    if (--a->runs > 0) return;
    lane_close(&r->schedule, &a->lane);
    id_table_remove(&p->agents, &a->key);
    free(a);
}

/* ---- runs */

struct run *partition_run(const struct partition *p, const struct run_id *id)
{
    struct id_slot *slot = id_table_find(&p->runs, id);
    return slot ? slot->as.pointer : NULL;
}

struct run *partition_add_run(struct runner *r, struct partition *p, const struct run_id *id, struct record *event,
                              const struct run_entry *entry)
{
    struct run *run = memory_new(sizeof *run);
    *run = (struct run){.id = *id, .entry = *entry, .partition = p, .event = event, .body_at = -1};
    run->event_bytes = record_wire_size(event) + sizeof *run;
    run->agent = agent_get(r, p, event->key);
    run->agent->runs++;
    run->turn.lane = &run->agent->lane;
    run->turn.order = entry->source_offset;
    ((struct id_slot *)memory_got(id_table_put(&p->runs, id)))->as.pointer = run;
    r->event_bytes += run->event_bytes;
    return run;
}

/* Out of the schedule, and of the line of starts. */
static void displace(struct runner *r, struct run *run)
{
    schedule_leave(&r->schedule, &run->turn);
    starts_remove(r, run);
}

static void free_run(struct runner *r, struct run *run)
{
    effects_orphan(run);
    bodies_forget(r, run);
    displace(r, run);
    r->event_bytes -= run->event_bytes;
    if (run->suspect) r->suspects--;
    agent_put(r, run->partition, run->agent);
    free(run->event);
    free(run->ending);
    free(run->refusal);
    free(run);
}

void partition_remove_run(struct runner *r, struct run *run)
{
    partition_remove_input(run);
    id_table_remove(&run->partition->runs, &run->id);
    free_run(r, run);
}

void partition_add_input(struct run *run)
{
    struct partition *p = run->partition;
    if (run->is_input || run->is_previous) return;
    run->is_input = true;
    if (p->input_count == p->input_capacity) {
        p->input_capacity = p->input_capacity ? 2 * p->input_capacity : 16;
        p->inputs = memory_array(p->inputs, p->input_capacity, sizeof(struct run *));
    }
    p->inputs[p->input_count++] = run;
}

void partition_remove_input(struct run *run)
{
    struct partition *p = run->partition;
    if (!run->is_input) return;
    run->is_input = false;
    for (size_t i = 0; i < p->input_count; i++) {
        if (p->inputs[i] != run) continue;
        memmove(&p->inputs[i], &p->inputs[i + 1], (--p->input_count - i) * sizeof(struct run *));
        return;
    }
}

void partition_place_run(struct runner *r, struct run *run)
{
    struct schedule *s = &r->schedule;
    displace(r, run);
    if (!run->agent->settings || (run->refusal && run->entry.state == RUN_NEW)) return; /* to be refused */
    bool alive = run->process || run->ending || run->start_pending, away = run->body_at >= 0;
    if (away && run->entry.state != RUN_ADMITTED) bodies_ask(r, run); /* it holds its agent; the queue has time */
    if (run->start_pending) starts_add(r, run);
    switch (run->entry.state) {
    case RUN_NEW:
    case RUN_ADMITTED: schedule_wait(s, &run->turn, run->entry.state == RUN_NEW || away); break;
    case RUN_RUNNING:
        if (alive)
            schedule_hold(s, &run->turn);
        else
            schedule_park(s, &run->turn, away ? INT64_MAX : run->due_us);
        break;
    case RUN_RETRY_WAIT: schedule_park(s, &run->turn, away ? INT64_MAX : run->due_us); break;
    case RUN_CLOSED: break;
    }
}

void partition_rest(struct runner *r, struct partition *p)
{
    size_t at = 0;
    for (struct id_slot *slot; (slot = id_table_next(&p->runs, &at));)
        displace(r, slot->as.pointer);
}

void partition_resume(struct runner *r, struct partition *p)
{
    size_t at = 0;
    for (struct id_slot *slot; (slot = id_table_next(&p->runs, &at));)
        partition_place_run(r, slot->as.pointer);
}

/* ---- all at once */

void partition_drop_arrivals(struct runner *r, struct partition *p)
{
    for (size_t i = 0; i < p->arrival_count; i++) {
        struct arrival *a = &p->arrivals[i];
        if (a->suspect) r->suspects--;
        if (a->run) partition_remove_run(r, a->run);
        free(a->dead);
        free(a->why);
    }
    p->arrival_count = 0;
    p->proposed = 0;
}

static void keep_run(struct runner *r, struct partition *p, struct run *run)
{
    assert(run->body_at < 0); /* it was started, or is about to be */
    displace(r, run);
    run->is_input = false;
    run->is_previous = true;
    p->previous = memory_array(p->previous, p->previous_count + 1, sizeof(struct run *));
    p->previous[p->previous_count++] = run;
}

void partition_forget(struct runner *r, struct partition *p, bool keep)
{
    partition_drop_arrivals(r, p);
    p->input_count = 0;
    size_t at = 0;
    for (struct id_slot *slot; (slot = id_table_next(&p->runs, &at));) {
        struct run *run = slot->as.pointer;
        if (keep && (run->process || run->ending || run->start_pending))
            keep_run(r, p, run);
        else
            free_run(r, run);
    }
    id_table_close(&p->runs);
    closed_close(&p->closed);
    r->event_bytes -= p->fold.body_bytes;
    journal_fold_close(&p->fold);
    /* What still stands here are agents of runs that were kept. */
    if (p->previous_count == 0) id_table_close(&p->agents);
}

void partition_drop_previous(struct runner *r, struct partition *p)
{
    for (size_t i = 0; i < p->previous_count; i++)
        free_run(r, p->previous[i]);
    p->previous_count = 0;
}
