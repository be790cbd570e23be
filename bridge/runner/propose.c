/* propose.c: one change at a time: what run_advance decides, and the records that say it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "memory.h"
#include "runner.h"
#include "trace.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

static void add(struct runner *r, struct batch *b, const struct partition *p, enum kafka_topic topic,
                const struct record *record)
{
    if (!journal_scratch_ok(&r->scratch)) memory_got(NULL);
    batch_add(b, topic, p->number, record);
}

/* Every transaction sends, for each partition that it touches, the admitted position again: a transaction without
 * offsets is not fenced at all (J1). */
static void touch(struct batch *b, const struct partition *p)
{
    int64_t position = p->state == PARTITION_BARRIER ? p->committed : p->position;
    batch_touch(b, p->number, position > 0 ? position : 0);
}

/* ---- results and dead letters */

static const char *error_of(const struct run *run, const struct run_decision *d, char *text, size_t room)
{
    if (d->status == RECORD_SUCCEEDED) return NULL;
    if (run->refusal) return run->refusal;
    if (d->lost) {
        snprintf(text, room, "the runner died during attempt %d", d->next.attempt);
        return text;
    }
    return run->ending && run->ending->error ? run->ending->error : "failed";
}

static void write_result(struct runner *r, const struct run *run, const struct run_decision *d, struct bytes output,
                         const char *error, struct record_header *headers, struct record *out)
{
    char id[RUN_ID_TEXT_SIZE];
    struct record_event_view view;
    run_id_format(&run->id, id);
    memcpy(r->id_text, id, sizeof id); /* the record's headers view it */
    if (!record_to_event(run->event, &view, NULL)) memset(&view, 0, sizeof view);
    bool cut = output.data && run->ending && output.size < run->ending->output.size;
    struct record_result result = {
        .agent_id = run->event->key,
        .workflow_id = bytes_of(r->id_text),
        .event_id = view.ce_id,
        .status = d->status,
        .output = output,
        .error = error,
        .attempts = d->next.attempt,
        .backend = d->next.start > 0 ? "command" : NULL,
        .triggered_us = d->next.recorded_us,
        .started_us = d->next.started_us,
        .ended_us = run->ending ? run->ending->ended_us : d->next.closed_us,
        .source_topic = r->settings->topics.name[TOPIC_EVENTS],
        .source_partition = run->partition->number,
        .source_offset = d->next.source_offset,
        .dead_lettered = (d->effects & EFFECT_DEAD_LETTER) != 0,
        .output_truncated = cut || (run->ending && run->ending->output_truncated),
        .traceparent = trace_parent_valid(view.traceparent) ? view.traceparent : (struct bytes){NULL, 0},
    };
    record_from_result(&result, &r->value, &r->text, headers, out);
}

/* JSON may be six times as long as the output it tells, so the size is known only when it is written: an output that
 * makes the record too large for the topic is cut until it fits (J9). */
static void propose_result(struct runner *r, struct batch *b, const struct run *run, const struct run_decision *d)
{
    char text[64];
    struct record_header headers[RECORD_HEADERS_MAX];
    struct record record;
    const char *error = error_of(run, d, text, sizeof text);
    struct bytes output = {NULL, 0};
    if (run->ending && !run->refusal) output = run->ending->output;
    for (;;) {
        write_result(r, run, d, output, error, headers, &record);
        bool written = buffer_ok(&r->value) && buffer_ok(&r->text);
        if (written && record_wire_size(&record) <= (size_t)r->record_max[TOPIC_RESULTS]) break;
        if (output.size == 0) break; /* then the broker has the word */
        output.size /= 2;
    }
    if (!buffer_ok(&r->value)) memory_got(NULL);
    add(r, b, run->partition, TOPIC_RESULTS, &record);
}

static void add_dead_letter(struct runner *r, struct batch *b, const struct partition *p, const struct record *event,
                            const struct record_dead_letter *why)
{
    struct record_header headers[RECORD_DEAD_LETTER_HEADERS_MAX];
    struct record record;
    record_to_dead_letter(event, why, &r->text, headers, &record);
    if (record_wire_size(&record) > (size_t)r->record_max[TOPIC_DEAD_LETTERS]) {
        /* Too large to be kept: its coordinates are, and the event stays in its own topic for a while (J11). */
        struct record bare = {.key = event->key, .value = bytes_of("")};
        record_to_dead_letter(&bare, why, &r->text, headers, &record);
    }
    add(r, b, p, TOPIC_DEAD_LETTERS, &record);
}

static void propose_run_dead_letter(struct runner *r, struct batch *b, const struct run *run,
                                    const struct run_decision *d)
{
    char text[64];
    struct record_dead_letter why = {
        .error = error_of(run, d, text, sizeof text),
        .attempts = d->next.attempt,
        .source_topic = r->settings->topics.name[TOPIC_EVENTS],
        .source_partition = run->partition->number,
        .source_offset = d->next.source_offset,
    };
    struct record bare = {.key = run->event->key, .value = bytes_of("")};
    add_dead_letter(r, b, run->partition, run->suspect ? &bare : run->event, &why);
}

void propose_dead_letter(struct runner *r, struct batch *b, struct partition *p, const struct arrival *a)
{
    char place[320];
    struct record event = *a->dead;
    struct record_dead_letter why = {.error = a->why,
                                     .source_topic = r->settings->topics.name[TOPIC_EVENTS],
                                     .source_partition = p->number,
                                     .source_offset = a->offset};
    if (!event.key.data) { /* `drawbridge dlq` finds it by its place */
        snprintf(place, sizeof place, "%s/%d/%lld", why.source_topic, p->number, (long long)a->offset);
        event.key = bytes_of(place);
    }
    add_dead_letter(r, b, p, &event, &why);
}

/* ---- runs */

static void propose_closing(struct runner *r, struct batch *b, struct run *run, const struct run_decision *d)
{
    struct record record;
    journal_encode_closed(&r->scratch, &run->id, &d->next, d->status, &record);
    add(r, b, run->partition, TOPIC_JOURNAL, &record);
    if (run->has_state_key) {
        journal_encode_tombstone(&r->scratch, &run->id, JOURNAL_KEY_STATE, &record);
        add(r, b, run->partition, TOPIC_JOURNAL, &record);
    }
    if (d->effects & EFFECT_RESULT) propose_result(r, b, run, d);
    if (d->effects & EFFECT_DEAD_LETTER) propose_run_dead_letter(r, b, run, d);
    schedule_leave(&r->schedule, &run->turn);
}

static void propose_state(struct runner *r, struct batch *b, struct run *run, const struct run_decision *d)
{
    struct record record;
    if (run->entry.state == RUN_NEW)
        journal_encode_run(&r->scratch, &run->id, &d->next, run->event, &record);
    else
        journal_encode_state(&r->scratch, &run->id, &d->next, &record);
    add(r, b, run->partition, TOPIC_JOURNAL, &record);
    /* Its slot is free for another from here on: both go into this transaction, or none. */
    if (d->next.state == RUN_RETRY_WAIT) schedule_park(&r->schedule, &run->turn, INT64_MAX);
    if (d->next.state == RUN_ADMITTED && run->entry.state != RUN_NEW) schedule_leave(&r->schedule, &run->turn);
}

bool propose_run(struct runner *r, struct batch *b, struct run *run, enum run_input_kind kind)
{
    static const struct retry_policy none = {0};
    struct run_input input = {
        .kind = kind, .now_us = clock_wall_us(), .jitter = runner_jitter(), .by = r->settings->slot_mark};
    if (kind == INPUT_ENDED) input.verdict = run->ending->verdict;
    const struct retry_policy *policy = run->agent->settings ? &run->agent->settings->retry : &none;
    struct run_decision decision;
    bool possible = run_advance(&run->entry, &input, policy, &decision);
    assert(possible && !run->in_flight);
    assert(run->partition->state == PARTITION_OPEN || (r->revoking && partition_is_whole(run->partition)));
    run->in_flight = true;
    struct change *c = gather_change(r, CHANGE_RUN, run->partition);
    c->run = run;
    c->decision = decision;
    touch(b, run->partition);
    if (decision.next.state == RUN_CLOSED)
        propose_closing(r, b, run, &c->decision);
    else
        propose_state(r, b, run, &c->decision);
    return possible;
}

/* ---- partitions */

void propose_position(struct runner *r, struct batch *b, struct partition *p, int64_t next)
{
    struct record record;
    struct journal_position position = {.next = next, .batch = b->number};
    snprintf(position.group, sizeof position.group, "%s", r->settings->group_id);
    snprintf(position.producer, sizeof position.producer, "%s", r->producer);
    journal_encode_position(&r->scratch, &position, &record);
    add(r, b, p, TOPIC_JOURNAL, &record);
    batch_touch(b, p->number, next);
}

/* Hand-over: what the journal calls running and no living child of ours will finish, or only if we get it back.
 * Adoption: what runs here. */
static bool is_listed(const struct run *run, enum change_kind kind)
{
    bool ours = run->entry.state == RUN_RUNNING && (run->process || run->start_pending || run->ending);
    return !run->in_flight && (kind == CHANGE_ADOPT ? ours : ours || run->handed_over);
}

static size_t list_runs(const struct partition *p, enum change_kind kind, struct run_id *ids)
{
    size_t count = 0, at = 0;
    for (struct id_slot *slot; (slot = id_table_next(&p->runs, &at));)
        if (is_listed(slot->as.pointer, kind)) ids[count++] = slot->id;
    return count;
}

static void encode_mark(struct runner *r, const struct partition *p, enum change_kind kind, const struct run_id *ids,
                        size_t count, struct record *out)
{
    if (kind == CHANGE_BARRIER)
        journal_encode_owner(&r->scratch, p->nonce, r->settings->transactional_id, out);
    else
        journal_encode_list(&r->scratch, kind == CHANGE_ADOPT ? JOURNAL_ADOPT : JOURNAL_HANDOVER, ids, count, out);
}

void propose_mark(struct runner *r, struct batch *b, struct partition *p, enum change_kind kind)
{
    struct record record;
    struct run_id *ids = memory_new((p->runs.count + 1) * sizeof *ids);
    size_t count = list_runs(p, kind, ids);
    if (count > 0 || kind != CHANGE_HANDOVER) {
        gather_change(r, kind, p);
        p->in_flight = true;
        touch(b, p);
        encode_mark(r, p, kind, ids, count, &record);
        add(r, b, p, TOPIC_JOURNAL, &record);
    }
    free(ids);
}

void propose_forget(struct runner *r, struct batch *b, struct partition *p, const struct run_id *id, int64_t until_us)
{
    struct record record;
    struct change *c = gather_change(r, CHANGE_FORGET, p);
    c->id = *id;
    c->until_us = until_us;
    touch(b, p);
    journal_encode_tombstone(&r->scratch, id, JOURNAL_KEY_RUN, &record);
    add(r, b, p, TOPIC_JOURNAL, &record);
}
