/* settle.c: what became of a batch becomes memory.
 * SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "log.h"
#include "memory.h"
#include "runner.h"
#include "trace.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { ABORT_PAUSE_US = 20000, ABORT_PAUSE_MAX_US = 1000000, FENCED_PAUSE_US = 1000000 };

/* ---- committed */

static void log_run(enum log_level level, const char *event, const struct run *run, const char *detail)
{
    char id[RUN_ID_TEXT_SIZE];
    run_id_format(&run->id, id);
    log_event(level, event, log_text("workflow_id", id), log_bytes("agent", run->event->key),
              log_int("attempt", run->entry.attempt), log_int("partition", run->partition->number),
              log_bytes("trace_id", trace_id(record_header(run->event, "traceparent"))), log_text("detail", detail));
}

static void closed_run(struct runner *r, struct run *run, const struct run_decision *d)
{
    static const enum runner_metric counters[] = {
        [RECORD_SUCCEEDED] = METRIC_SUCCEEDED,
        [RECORD_FAILED] = METRIC_FAILED,
        [RECORD_CANCELED] = METRIC_CANCELED,
        [RECORD_TIMED_OUT] = METRIC_TIMED_OUT,
    };
    struct partition *p = run->partition;
    struct run_id id = run->id;
    int64_t until_us = closed_until_us(d->next.recorded_us, d->next.dedupe_s);
    metrics_add(r->metrics, counters[d->status], 1);
    if (d->effects & EFFECT_DEAD_LETTER) metrics_add(r->metrics, METRIC_DEAD_LETTERS, 1);
    log_run(LOG_INFO, "run finished", run, record_status_name(d->status));
    partition_remove_run(r, run);
    if (!closed_add(&p->closed, &id, until_us)) memory_got(NULL);
}

static int64_t monotonic_of(int64_t wall_us)
{
    int64_t wait_us = wall_us - clock_wall_us();
    return clock_monotonic_us() + (wait_us > 0 ? wait_us : 0);
}

static void clear_input(struct runner *r, struct run *run)
{
    partition_remove_input(run);
    free(run->ending);
    run->ending = NULL;
    if (run->suspect) r->suspects--;
    run->suspect = false;
}

static void commit_run(struct runner *r, struct change *c)
{
    struct run *run = c->run;
    bool was_new = run->entry.state == RUN_NEW;
    run->in_flight = false;
    run->handed_over = false;
    run->has_state_key = !was_new;
    run->entry = c->decision.next;
    if (was_new) closed_remove(&run->partition->closed, &run->id);
    if (run->entry.state == RUN_CLOSED) {
        closed_run(r, run, &c->decision);
        return;
    }
    clear_input(r, run);
    if (run->entry.state == RUN_RETRY_WAIT) {
        run->due_us = monotonic_of(run->entry.due_us);
        metrics_add(r->metrics, METRIC_RETRIES, 1);
        log_run(LOG_INFO, "run will be tried again", run, NULL);
    }
    run->start_pending = (c->decision.effects & EFFECT_START) != 0;
    if (run->partition->state != PARTITION_OPEN || r->revoking) return;
    partition_place_run(r, run);
}

static void commit_arrivals(struct runner *r, struct change *c)
{
    struct partition *p = c->partition;
    assert(c->next > p->position);
    for (size_t i = 0; i < p->proposed; i++) {
        struct arrival *a = &p->arrivals[i];
        if (a->recorded_us > p->seen_us) p->seen_us = a->recorded_us;
        if (a->dead) metrics_add(r->metrics, METRIC_DEAD_LETTERS, 1);
        if (a->suspect) r->suspects--;
        free(a->dead);
        free(a->why);
    }
    p->arrival_count -= p->proposed;
    memmove(p->arrivals, p->arrivals + p->proposed, p->arrival_count * sizeof *p->arrivals);
    p->proposed = 0;
    p->position = c->next;
}

static void commit_forget(struct runner *r, struct change *c)
{
    (void)r;
    (void)c;
}

static void commit_barrier(struct runner *r, struct change *c)
{
    c->partition->in_flight = false;
    takeover_barrier_done(r, c->partition);
}

static void commit_handover(struct runner *r, struct change *c)
{
    (void)r;
    c->partition->in_flight = false;
    log_event(LOG_INFO, "partition handed over", log_int("partition", c->partition->number),
              log_int("runs", (int64_t)c->partition->runs.count));
}

static void commit_adopt(struct runner *r, struct change *c)
{
    c->partition->in_flight = false;
    handover_adopted(r, c->partition);
}

/* ---- aborted */

static void abort_run(struct runner *r, struct change *c)
{
    c->run->in_flight = false;
    if (c->partition->state == PARTITION_OPEN) partition_place_run(r, c->run);
}

static void abort_arrivals(struct runner *r, struct change *c)
{
    (void)r;
    c->partition->proposed = 0;
}

static void abort_forget(struct runner *r, struct change *c)
{
    (void)r;
    if (!closed_add(&c->partition->closed, &c->id, c->until_us)) memory_got(NULL);
}

static void abort_mark(struct runner *r, struct change *c)
{
    (void)r;
    c->partition->in_flight = false;
}

static const struct {
    void (*commit)(struct runner *r, struct change *c);
    void (*abort)(struct runner *r, struct change *c);
} table[] = {
    [CHANGE_RUN] = {commit_run, abort_run},
    [CHANGE_ARRIVALS] = {commit_arrivals, abort_arrivals},
    [CHANGE_FORGET] = {commit_forget, abort_forget},
    [CHANGE_BARRIER] = {commit_barrier, abort_mark},
    [CHANGE_HANDOVER] = {commit_handover, abort_mark},
    [CHANGE_ADOPT] = {commit_adopt, abort_mark},
};

static void settle_changes(struct runner *r, bool committed)
{
    for (size_t i = 0; i < r->change_count; i++) {
        struct change *c = &r->changes[i];
        /* A dropped partition took its runs with it; a new owner has or will have the journal's word. */
        if (!c->partition) continue;
        if (committed)
            table[c->kind].commit(r, c);
        else
            table[c->kind].abort(r, c);
    }
    r->change_count = 0;
}

void settle_forget(struct runner *r, const struct partition *p)
{
    for (size_t i = 0; i < r->change_count; i++)
        if (r->changes[i].partition == p) r->changes[i].partition = NULL;
}

/* ---- a record that can never be written (J9) */

static void suspect_run(struct runner *r, struct run *run)
{
    if (!run->suspect) r->suspects++;
    run->suspect = true;
}

/* Only what carries an event, an output or a reason can be refused for itself.  A suspect must not need a slot to go:
 * nobody else moves before it has gone. */
static void suspect_change(struct runner *r, const struct change *c)
{
    struct run *run = c->run;
    if (run->entry.state != RUN_NEW && c->decision.next.state != RUN_CLOSED) return;
    suspect_run(r, run);
    if (!c->decision.lost || run->refusal) return;
    run->refusal = memory_got(strdup("its runner died during the last attempt"));
    partition_add_input(run);
}

static void suspect_dead(struct runner *r, struct partition *p, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct arrival *a = &p->arrivals[i];
        if (!a->dead || a->suspect) continue;
        a->suspect = true;
        r->suspects++;
    }
}

/* How many runs and dead letters were in it: whoever was alone is guilty. */
static size_t count_units(const struct runner *r, struct change **only)
{
    size_t units = 0;
    for (size_t i = 0; i < r->change_count; i++) {
        struct change *c = &r->changes[i];
        if (!c->partition) continue;
        size_t here = c->kind == CHANGE_RUN ? 1 : 0;
        for (size_t k = 0; c->kind == CHANGE_ARRIVALS && k < c->partition->proposed; k++)
            if (c->partition->arrivals[k].dead) here++;
        if (here > 0) *only = c;
        units += here;
    }
    return units;
}

static void convict(struct runner *r, const struct change *c, const char *why)
{
    struct partition *p = c->partition;
    char text[400];
    snprintf(text, sizeof text, "Kafka refuses a record of this run: %s", why);
    if (c->kind == CHANGE_ARRIVALS) { /* a dead letter: next time without what was in it */
        struct arrival *a = &p->arrivals[p->proposed - 1];
        struct record bare = {.key = a->dead->key, .value = bytes_of("")};
        if (a->dead->header_count == 0 && a->dead->value.size == 0) {
            partition_refuse(r, p, "a dead letter can't be written: %s", why);
            return;
        }
        struct record *smaller = memory_got(record_dup(&bare));
        free(a->dead);
        a->dead = smaller;
        return;
    }
    if (c->run->refusal && c->run->suspect) {
        partition_refuse(r, p, "a result can't be written: %s", why);
        return;
    }
    log_run(LOG_ERROR, "run refused by the brokers", c->run, why);
    free(c->run->refusal);
    c->run->refusal = memory_got(strdup(text));
    suspect_run(r, c->run);
    if (c->run->entry.state != RUN_NEW) partition_add_input(c->run);
}

static void blame(struct runner *r, const char *why)
{
    struct change *only = NULL;
    size_t units = count_units(r, &only);
    if (units == 1) {
        convict(r, only, why);
        return;
    }
    for (size_t i = 0; i < r->change_count; i++) {
        struct change *c = &r->changes[i];
        if (!c->partition) continue;
        if (c->kind == CHANGE_RUN) suspect_change(r, c);
        if (c->kind == CHANGE_ARRIVALS) suspect_dead(r, c->partition, c->partition->proposed);
    }
}

/* ---- */

static void measure(struct runner *r, const struct job *job)
{
    static const enum runner_metric counters[] = {
        [COMMIT_DONE] = METRIC_COMMITTED,      [COMMIT_ABORTED] = METRIC_ABORTED, [COMMIT_REFUSED] = METRIC_REFUSED,
        [COMMIT_FENCED_GROUP] = METRIC_FENCED, [COMMIT_UNKNOWN] = METRIC_UNKNOWN, [COMMIT_DEAD] = METRIC_UNKNOWN,
    };
    metrics_add(r->metrics, counters[job->outcome], 1);
    metrics_observe_us(r->metrics, METRIC_TRANSACTION_TIME, job->ended_us - job->began_us);
    if (job->outcome == COMMIT_DONE) return;
    log_event(LOG_WARN, "transaction not committed", log_text("outcome", commit_outcome_name(job->outcome)),
              log_text("reason", job->error.text), log_int("records", (int64_t)job->batch->count),
              log_int("batch", job->batch->number));
}

/* Aborts come in rows while a broker is away: each one waits twice as long. */
static int64_t pause_after(struct runner *r, enum commit_outcome outcome)
{
    if (outcome == COMMIT_DONE) {
        r->abort_pause_us = 0;
        return r->settings->commit_pause_ms * 1000;
    }
    if (outcome == COMMIT_FENCED_GROUP) return FENCED_PAUSE_US;
    r->abort_pause_us = r->abort_pause_us ? 2 * r->abort_pause_us : ABORT_PAUSE_US;
    if (r->abort_pause_us > ABORT_PAUSE_MAX_US) r->abort_pause_us = ABORT_PAUSE_MAX_US;
    return r->abort_pause_us;
}

void settle(struct runner *r, struct job *job)
{
    r->in_flight = false;
    measure(r, job);
    r->started = 0;
    r->settled_us = clock_monotonic_us();
    r->transaction_us = job->ended_us - job->began_us;
    r->next_batch_us = r->settled_us + pause_after(r, job->outcome);
    if (job->outcome == COMMIT_REFUSED) blame(r, job->error.text);
    if (job->outcome == COMMIT_DONE) starts_prove(r, r->batch_began_us);
    settle_changes(r, job->outcome == COMMIT_DONE);
    if (job->outcome == COMMIT_UNKNOWN) takeover_again(r);
    if (job->outcome == COMMIT_DEAD) runner_fail(r, job->exit_code);
}
