/* spool_drain.c: rows back to Kafka, in their order, a window of them at once; then what is parked behind the last one.
 * SPDX-License-Identifier: Apache-2.0 */
#include "log.h"
#include "spool.h"

enum {
    WINDOW = 1024,
    WINDOW_UNPROVEN = 64, /* more only once Kafka has taken one */
    WINDOW_COST = 16 << 20,
    PATIENCE_MS = 10000,
    TICKET_MS = 4 * PATIENCE_MS, /* never reached: the patience ends before */
};

/* Up to the suspect each goes alone: then it is known whom a refusal means. */
static size_t window(const struct spool *s, const struct spool_entry *next)
{
    const struct spool_entry *first = s->draining.first ? s->draining.first : next;
    if (first->id <= s->suspect_id) return 1;
    return s->proven ? WINDOW : WINDOW_UNPROVEN;
}

static void log_refused(const struct spool_entry *e)
{
    log_event(LOG_ERROR, "spooled event refused for good", log_text("reason", e->reason),
              log_bytes("agent", e->record->key), log_bytes("workflow_id", record_header(e->record, "ce_workflowid")),
              log_bytes("event_id", record_header(e->record, "ce_id")),
              log_int("bytes", (int64_t)e->record->value.size));
}

void spool_refuse(struct spool *s, struct spool_entry *e, const char *reason)
{
    e->reason = reason;
    e->place = SPOOL_GONE;
    metrics_add(s->settings.metrics, METRIC_SPOOL_REFUSALS, 1);
    log_refused(e);
    spool_list_append(&s->gathering->refusals, e);
}

/* False: not now. */
static bool send_row(struct spool *s, struct spool_entry *e, int64_t now_ms)
{
    if (e->reason) {
        spool_list_remove(&s->ahead, e);
        spool_agents_take(s->agents, e->record->key);
        spool_refuse(s, e, e->reason);
        return true;
    }
    if (publisher_send(s->publisher, e->record, now_ms + TICKET_MS, e) != PUBLISH_STARTED) return false;
    spool_list_remove(&s->ahead, e);
    /* From here on the producer keeps the order: newer events of the agent may follow. */
    spool_agents_take(s->agents, e->record->key);
    e->place = SPOOL_DRAINING;
    e->due_ms = now_ms + PATIENCE_MS;
    spool_note_due(s, e->due_ms);
    spool_list_append(&s->draining, e);
    s->draining_cost += e->cost;
    return true;
}

static void ask_for_rows(struct spool *s)
{
    if (s->reading || s->unread <= 0 || s->ahead.first) return;
    s->reading = s->gathering->read = true;
    s->gathering->read_after = s->read_after;
    s->gathering->pass = s->pass;
}

/* No row is left that anything had to wait for: what is parked goes its direct way. */
static void unpark(struct spool *s)
{
    if (spool_waiting(s) > 0) return;
    for (struct spool_entry *e; (e = s->parked.first);) {
        if (publisher_send(s->publisher, e->record, e->deadline_ms, e) != PUBLISH_STARTED) return;
        spool_list_remove(&s->parked, e);
        e->place = SPOOL_DIRECT;
        spool_list_append(&s->direct, e);
    }
    spool_agents_clear(s->agents);
}

void spool_drain(struct spool *s, int64_t now_ms)
{
    if (s->closing || s->doubt || !publisher_ready(s->publisher, NULL)) return;
    for (struct spool_entry *e; (e = s->ahead.first);)
        if (s->draining.count >= window(s, e) || s->draining_cost > WINDOW_COST || !send_row(s, e, now_ms)) break;
    ask_for_rows(s);
    if (!spool_doubtful(s)) unpark(s);
}

static void end_row(struct spool *s, struct spool_entry *e)
{
    spool_list_remove(&s->draining, e);
    s->draining_cost -= e->cost;
    s->proven = true;
}

void spool_drain_report(struct spool *s, struct spool_entry *e, const struct publish_report *report)
{
    bool refused = report->end == PUBLISH_REFUSED || report->end == PUBLISH_OVERSIZED;
    if (report->end == PUBLISH_ACKNOWLEDGED) {
        end_row(s, e);
        e->place = SPOOL_GONE;
        metrics_add(s->settings.metrics, METRIC_SPOOL_DRAINED, 1);
        spool_list_append(&s->gathering->removals, e);
    } else if (refused && s->draining.count == 1) {
        end_row(s, e);
        spool_refuse(s, e, report->reason);
    } else {
        if (refused && e->id > s->suspect_id) s->suspect_id = e->id;
        s->doubt = true; /* it keeps its place among the others */
    }
}

static void again(struct spool *s, struct spool_entry *e)
{
    e->place = SPOOL_GONE;
    spool_list_append(&s->gone, e);
    s->unread++;
}

void spool_drain_again(struct spool *s)
{
    for (struct spool_entry *e; (e = spool_list_take(&s->draining)); again(s, e))
        if (!spool_agents_add(s->agents, e->record->key, 1))
            log_event(LOG_ERROR, "no memory to hold an agent", log_bytes("agent", e->record->key));
    for (struct spool_entry *e; (e = spool_list_take(&s->ahead));)
        again(s, e);
    s->draining_cost = 0;
    s->read_after = 0;
    s->reading = false;
    s->pass++;
    s->gathering->read = false;
}
