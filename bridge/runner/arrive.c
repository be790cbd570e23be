/* arrive.c: what a polled event is: a new run, a copy of one we know, or nothing that can be run.
 * SPDX-License-Identifier: Apache-2.0 */
#include "log.h"
#include "memory.h"
#include "runner.h"
#include "trace.h"
#include <stdio.h>
#include <string.h>

static struct arrival *add_arrival(struct partition *p, int64_t offset, int64_t recorded_us)
{
    if (p->arrival_count == p->arrival_capacity) {
        p->arrival_capacity = p->arrival_capacity ? 2 * p->arrival_capacity : 64;
        p->arrivals = memory_array(p->arrivals, p->arrival_capacity, sizeof *p->arrivals);
    }
    struct arrival *a = &p->arrivals[p->arrival_count++];
    *a = (struct arrival){.offset = offset, .recorded_us = recorded_us};
    return a;
}

static char *text_dup(const char *text)
{
    return memory_got(strdup(text));
}

/* A copy is a duplicate while its run is open, and afterwards as long as the sender may repeat it (J26). */
static bool is_duplicate(const struct partition *p, const struct run_id *id, int64_t recorded_us)
{
    int64_t until_us;
    return partition_run(p, id) || (closed_find(&p->closed, id, &until_us) && recorded_us <= until_us);
}

/* The id of an event that nobody gave one: its place (J23). */
static struct run_id id_of(const struct runner *r, const struct partition *p, const struct record_event_view *view,
                           int64_t offset)
{
    struct run_id id;
    char place[64], text[RECORD_WORKFLOW_ID_SIZE];
    if (run_id_parse(view->workflow_id, &id)) return id;
    snprintf(place, sizeof place, "%d/%lld", p->number, (long long)offset);
    record_workflow_id(view->agent_id, bytes_of("kafka"), bytes_of(r->settings->topics.name[TOPIC_EVENTS]),
                       bytes_of(place), bytes_of(""), text);
    memory_got(run_id_parse(bytes_of(text), &id) ? text : NULL);
    return id;
}

/* Why this event can never be run, or NULL.  The journal's copy is bigger than the event by its state (J11). */
static char *refusal_of(const struct runner *r, const struct run *run)
{
    enum { STATE_MAX = 1024 };
    char text[192];
    size_t size = record_wire_size(run->event) + STATE_MAX;
    if (!run->agent->settings)
        snprintf(text, sizeof text, "Agent '%.*s' not found in registry", (int)run->event->key.size,
                 (const char *)run->event->key.data);
    else if (size > (size_t)r->record_max[TOPIC_JOURNAL])
        snprintf(text, sizeof text, "event of %zu bytes is too large for the journal (%lld)", size,
                 (long long)r->record_max[TOPIC_JOURNAL]);
    else
        return NULL;
    return text_dup(text);
}

static void arrive_dead(struct partition *p, const struct record *record, int64_t offset, int64_t recorded_us,
                        const char *why)
{
    struct arrival *a = add_arrival(p, offset, recorded_us);
    a->dead = memory_got(record_dup(record));
    a->why = text_dup(why);
    log_event(LOG_WARN, "event not readable", log_int("partition", p->number), log_int("offset", offset),
              log_text("reason", why));
}

static void arrive_event(struct runner *r, struct partition *p, const struct record *record,
                         const struct record_event_view *view, int64_t offset)
{
    struct run_id id = id_of(r, p, view, offset);
    struct arrival *a = add_arrival(p, offset, view->recorded_us);
    if (is_duplicate(p, &id, view->recorded_us)) {
        char text[RUN_ID_TEXT_SIZE];
        run_id_format(&id, text);
        log_event(LOG_INFO, "duplicate dropped", log_text("workflow_id", text), log_int("partition", p->number),
                  log_int("offset", offset), log_bytes("trace_id", trace_id(view->traceparent)));
        metrics_add(r->metrics, METRIC_DUPLICATES, 1);
        return;
    }
    struct run_entry entry = {
        .state = RUN_NEW, .source_offset = offset, .recorded_us = view->recorded_us, .dedupe_s = view->dedupe_s};
    a->run = partition_add_run(r, p, &id, memory_got(record_dup(record)), &entry);
    a->run->refusal = refusal_of(r, a->run);
    if (!a->run->refusal) partition_place_run(r, a->run);
}

static void stop_reading(struct runner *r, struct partition *p, int64_t high)
{
    snprintf(
        p->unread, sizeof p->unread,
        "topic '%.100s' ends at %lld, but the journal has admitted up to %lld: was it made anew without its journal?",
        r->settings->topics.name[TOPIC_EVENTS], (long long)high, (long long)p->expect);
    log_event(LOG_ERROR, "partition no longer read", log_int("partition", p->number), log_text("reason", p->unread));
}

/* The first event of an assignment tells whether the log begins where the journal ended (J6). */
static bool is_expected(struct runner *r, struct partition *p, int64_t offset)
{
    if (offset < p->expect) {
        /* Admitted already.  If even the log ends before our position, it is not the log that the journal knows. */
        int64_t high = consume_high(r, p);
        if (high >= 0 && high < p->expect) stop_reading(r, p, high);
        return false;
    }
    if (p->first_checked || p->expect < 0 || offset == p->expect) return true;
    if (!p->sought_again) { /* is it the log that has a gap, or did we begin at the wrong place? */
        p->sought_again = true;
        struct job *job = job_new(JOB_SEEK, r->assignment.epoch, 1);
        job->offsets[0] = (struct job_offset){p->number, p->expect};
        p->state = PARTITION_SEEKING;
        commit_submit(r->commit, job);
        return false;
    }
    metrics_add(r->metrics, METRIC_GAPS, offset - p->expect);
    log_event(LOG_ERROR, "events are missing", log_int("partition", p->number), log_int("expected", p->expect),
              log_int("found", offset));
    return true;
}

void arrive(struct runner *r, struct partition *p, const struct polled *polled)
{
    struct record record = polled->record;
    struct record_event_view view;
    struct error error;
    if (!is_expected(r, p, polled->offset)) return;
    p->first_checked = true;
    p->expect = polled->offset + 1;
    if (polled->truncated || record.header_count > JOURNAL_EVENT_HEADERS_MAX) {
        if (record.header_count > JOURNAL_EVENT_HEADERS_MAX) record.header_count = JOURNAL_EVENT_HEADERS_MAX;
        arrive_dead(p, &record, polled->offset, polled->written_us, "the record has too many headers");
    } else if (!record_to_event(&record, &view, &error)) {
        arrive_dead(p, &record, polled->offset, polled->written_us, error.text);
    } else {
        if (view.recorded_us <= 0) view.recorded_us = polled->written_us;
        arrive_event(r, p, &record, &view, polled->offset);
    }
}
