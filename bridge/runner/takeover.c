/* takeover.c: a partition from assigned to open: stable offset, barrier, fold, and what was running before.
 * SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "log.h"
#include "memory.h"
#include "runner.h"
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <string.h>

void takeover_begin(struct runner *r)
{
    struct job *job = job_new(JOB_COMMITTED, r->assignment.epoch, r->partition_count);
    job->offset_count = 0;
    for (size_t i = 0; i < r->partition_count; i++)
        if (r->partitions[i]->state == PARTITION_ASKING)
            job->offsets[job->offset_count++].partition = r->partitions[i]->number;
    if (job->offset_count > 0)
        commit_submit(r->commit, job);
    else
        job_free(job);
}

void takeover_offsets(struct runner *r, const struct job *job)
{
    for (size_t i = 0; i < job->offset_count; i++) {
        struct partition *p = partition_find(r, job->offsets[i].partition);
        if (job->epoch != r->assignment.epoch || !p || p->state != PARTITION_ASKING) continue;
        p->committed = job->offsets[i].offset;
        runner_nonce(p->nonce);
        p->state = PARTITION_BARRIER;
    }
}

void takeover_barrier_done(struct runner *r, struct partition *p)
{
    p->fold = (struct journal_fold){.nonce = p->nonce};
    p->fold_began_us = clock_monotonic_us();
    if (journal_reader_start(r->journal, p->number, RD_KAFKA_OFFSET_BEGINNING))
        p->state = PARTITION_FOLDING;
    else
        partition_refuse(r, p, "its journal can't be read");
}

/* ---- from the fold to memory */

/* The child that this process started for exactly that start, or the way it ended, carries over (J10). */
static void carry_over(struct runner *r, struct partition *p, struct run *run)
{
    for (size_t i = 0; i < p->previous_count; i++) {
        struct run *old = p->previous[i];
        if (!run_id_equal(&old->id, &run->id) || old->entry.start != run->entry.start) continue;
        if (run->entry.state != RUN_RUNNING) return;
        if (old->body_at < 0) bodies_put(r, run, old->event->value);
        run->process = old->process;
        run->ending = old->ending;
        run->start_pending = old->start_pending;
        old->process = NULL;
        old->ending = NULL;
        old->start_pending = false;
        if (run->process) run->process->run = run;
        if (run->ending) partition_add_input(run);
        return;
    }
}

/* Due times are wall time in the journal and monotonic in memory: never earlier than due by our clock (J20). */
static int64_t due_of(const struct run_entry *entry)
{
    int64_t wait_us = entry->due_us - clock_wall_us();
    return clock_monotonic_us() + (wait_us > 0 ? wait_us : 0);
}

/* The child of a runner that died without a word may live until that runner is sure to be dead (J15).  Our own slot's
 * predecessor is: its children die with it, and there is one process to a slot. */
static int64_t grace_of(const struct runner *r, const struct partition *p, const struct run_entry *entry)
{
    if (entry->by == r->settings->slot_mark) return p->fold_began_us;
    return p->fold_began_us + r->settings->takeover_grace_ms * 1000;
}

static void restore_run(struct runner *r, struct partition *p, struct folded_run *f)
{
    struct run_entry entry = f->handed_over ? run_uncounted(&f->entry) : f->entry;
    struct run *run = partition_add_run(r, p, &f->id, f->event, &entry);
    f->event = NULL;
    run->body_at = f->body_at;
    if (run->body_at >= 0) p->bodies_away++;
    run->has_state_key = f->has_state_key;
    run->handed_over = f->handed_over;
    carry_over(r, p, run);
    if (entry.state == RUN_RUNNING) run->due_us = grace_of(r, p, &entry);
    if (entry.state == RUN_RETRY_WAIT) run->due_us = due_of(&entry);
    if (!run->agent->settings) {
        char text[192];
        snprintf(text, sizeof text, "Agent '%.*s' not found in registry", (int)run->event->key.size,
                 (const char *)run->event->key.data);
        run->refusal = memory_got(strdup(text));
        partition_add_input(run);
    }
}

static void restore_runs(struct runner *r, struct partition *p)
{
    size_t at = 0;
    r->event_bytes -= p->fold.body_bytes; /* now each run counts its own */
    p->fold.body_bytes = 0;
    for (struct id_slot *slot; (slot = id_table_next(&p->fold.runs, &at));)
        restore_run(r, p, slot->as.pointer);
    p->closed = p->fold.closed;
    p->fold.closed = (struct closed_ids){0};
    p->seen_us = p->fold.seen_us;
    partition_drop_previous(r, p);
}

/* The journal's position wins; a different group offset was somebody's doing (J6). */
static void restore_position(const struct runner *r, struct partition *p)
{
    bool none = p->committed < 0 || (p->committed == 0 && !p->fold.has_position);
    p->position = p->fold.has_position ? p->fold.position.next : none ? -1 : p->committed;
    p->expect = p->position;
    if (!p->fold.has_position || none || p->position == p->committed) return;
    log_event(LOG_WARN, "group offset is not the journal's, which wins", log_int("partition", p->number),
              log_int("group", p->committed), log_int("journal", p->position),
              log_text("group_id", r->settings->group_id));
}

static void open_partition(struct runner *r, struct partition *p)
{
    p->state = PARTITION_OPEN;
    p->drained = false;
    partition_resume(r, p);
    log_event(LOG_INFO, "partition open", log_int("partition", p->number), log_int("position", p->position),
              log_int("runs", (int64_t)p->runs.count), log_int("bodies_away", (int64_t)p->bodies_away),
              log_int("closed", (int64_t)p->closed.until.count));
}

/* Always, even if the group's offset is the same: where the consumer began by itself is its own affair (J6). */
void takeover_seek(struct runner *r, struct partition *p)
{
    struct job *job = job_new(JOB_SEEK, r->assignment.epoch, 1);
    job->offsets[0] = (struct job_offset){p->number, p->position < 0 ? RD_KAFKA_OFFSET_BEGINNING : p->position};
    p->state = PARTITION_SEEKING;
    commit_submit(r->commit, job);
}

static void finish(struct runner *r, struct partition *p)
{
    journal_reader_stop(r->journal, p->number);
    p->state = PARTITION_BARRIER; /* neither folding any more nor open yet */
    int64_t took_us = clock_monotonic_us() - p->fold_began_us;
    metrics_observe_us(r->metrics, METRIC_RESTORE_TIME, took_us);
    log_event(LOG_INFO, "journal read", log_int("partition", p->number), log_int("records", p->fold.records),
              log_int("ms", took_us / 1000));
    if (p->fold.has_position && strcmp(p->fold.position.group, r->settings->group_id) != 0) {
        /* Fencing is per group: two groups on one journal would both run everything (J25). */
        partition_refuse(r, p, "its journal belongs to group '%.100s', not to '%.100s'", p->fold.position.group,
                         r->settings->group_id);
        return;
    }
    restore_position(r, p);
    restore_runs(r, p);
    journal_fold_close(&p->fold);
    takeover_seek(r, p);
}

/* Values are taken into memory while there is room, the first ones first: their turn comes first as well (J12). */
static enum fold_step fold(struct runner *r, struct partition *p, const struct record *record, int64_t offset,
                           struct error *error)
{
    size_t max = (size_t)r->settings->body_memory_bytes, before = p->fold.body_bytes;
    p->fold.body_room = r->event_bytes < max ? max - r->event_bytes : 0;
    enum fold_step step = journal_fold_record(&p->fold, record, offset, error);
    r->event_bytes += p->fold.body_bytes - before;
    return step;
}

bool takeover_record(struct runner *r, struct partition *p, const struct record *record, int64_t offset)
{
    struct error error;
    switch (fold(r, p, record, offset, &error)) {
    case FOLD_MORE: return true;
    case FOLD_DONE: finish(r, p); return false;
    case FOLD_FAILED: partition_refuse(r, p, "%s", error.text); return false;
    }
    return false;
}

void takeover_sought(struct runner *r, const struct job *job)
{
    for (size_t i = 0; i < job->offset_count; i++) {
        struct partition *p = partition_find(r, job->offsets[i].partition);
        if (job->epoch != r->assignment.epoch || !p || p->state != PARTITION_SEEKING) continue;
        open_partition(r, p);
    }
}

void takeover_again(struct runner *r)
{
    log_event(LOG_WARN, "outcome unknown, partitions are restored from the journal",
              log_int("partitions", (int64_t)r->partition_count));
    commit_set_epoch(r->commit, ++r->assignment.epoch);
    for (size_t i = 0; i < r->partition_count; i++) {
        struct partition *p = r->partitions[i];
        if (p->state == PARTITION_LIMBO || p->state == PARTITION_REFUSED) continue;
        if (p->state == PARTITION_FOLDING) journal_reader_stop(r->journal, p->number);
        partition_forget(r, p, true);
        p->state = PARTITION_ASKING;
        p->first_checked = p->sought_again = false;
    }
    takeover_begin(r);
}
