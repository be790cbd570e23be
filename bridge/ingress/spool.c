/* spool.c: what becomes of an event while Kafka can be trusted, while it cannot, and in between; what the writer did.
 * The map is in spool.h.  SPDX-License-Identifier: Apache-2.0 */
#include "spool.h"
#include "clock.h"
#include "log.h"
#include <stdlib.h>

enum {
    DIVERT_MAX_MS = 10000,  /* well below librdkafka's message.timeout.ms, which would drop one and keep the next */
    BROKEN_RETRY_MS = 1000, /* between two tries of a disk that failed */
    PARKED_MAX = 4096,
    PARK_BEHIND_MAX = 1024, /* rows; they are gone in some milliseconds */
};

static void answer(struct spool *s, struct spool_entry *e, enum publish_end end, const char *reason)
{
    const struct publish_report report = {.end = end, .partition = -1, .offset = -1, .reason = reason};
    void *subject = e->subject;
    e->subject = NULL;
    if (subject) s->settings.answered(s->settings.ctx, subject, &report);
}

/* ---- what there is ---- */

static bool is_broken(const struct spool *s)
{
    return s->broken.code != ERROR_NONE && clock_monotonic_ms() < s->retry_ms;
}

static bool fits(const struct spool *s, int64_t cost)
{
    return !is_broken(s) && s->cost + cost <= s->settings.size_max;
}

bool spool_ready(const struct spool *s)
{
    return fits(s, spool_row_cost(0));
}

static const char *why_not(const struct spool *s)
{
    return is_broken(s) ? "the spool's disk failed" : "the spool is full";
}

/* Only a row that Kafka takes shows that it can be trusted again. */
bool spool_doubtful(const struct spool *s)
{
    return s->doubt || (!s->proven && spool_waiting(s) + (int64_t)s->draining.count > 0);
}

int64_t spool_waiting(const struct spool *s)
{
    return s->unread + (int64_t)(s->ahead.count + s->gathering->writes.count + (s->out ? s->out->writes.count : 0));
}

void spool_note_due(struct spool *s, int64_t due_ms)
{
    if (s->due_ms == 0 || due_ms < s->due_ms) s->due_ms = due_ms;
}

/* ---- to the disk ---- */

/* Into the next batch.  False: there is no room; the entry stays the caller's. */
static bool gather(struct spool *s, struct spool_entry *e)
{
    e->cost = spool_row_cost(spool_row_size(e->record));
    if (!fits(s, e->cost) || !spool_agents_add(s->agents, e->record->key, 1)) return false;
    s->cost += e->cost;
    e->place = SPOOL_GATHERED;
    e->due_ms = e->deadline_ms;
    spool_note_due(s, e->due_ms);
    spool_list_append(&s->gathering->writes, e);
    return true;
}

/* Kafka is away after all: what waited for its turn waits on the disk, in front of whatever comes now. */
static void gather_parked(struct spool *s)
{
    for (struct spool_entry *e; (e = spool_list_take(&s->parked));) {
        e->id = ++s->last_id;
        bool gathered = gather(s, e);
        spool_agents_take(s->agents, e->record->key); /* after it was counted again: its agent is held all the time */
        if (gathered) continue;
        answer(s, e, PUBLISH_UNSPOOLED, why_not(s));
        spool_entry_free(e);
    }
}

static bool can_park(const struct spool *s)
{
    return publisher_ready(s->publisher, NULL) && !spool_doubtful(s) && !s->closing && s->parked.count < PARKED_MAX &&
           spool_waiting(s) <= PARK_BEHIND_MAX;
}

static void park(struct spool *s, struct spool_entry *e)
{
    e->place = SPOOL_PARKED;
    spool_note_due(s, e->due_ms);
    spool_list_append(&s->parked, e);
}

/* ---- deliveries ---- */

static struct spool_entry *entry_new(struct spool *s, const struct record *record, int64_t deadline_ms, void *subject)
{
    int64_t now_ms = clock_monotonic_ms();
    int64_t patience_ms = (deadline_ms - now_ms) / 3 * 2;
    struct spool_entry *e = calloc(1, sizeof *e);
    if (!e) return NULL;
    *e = (struct spool_entry){.subject = subject, .id = ++s->last_id, .deadline_ms = deadline_ms};
    e->due_ms = now_ms + (patience_ms < DIVERT_MAX_MS ? patience_ms : DIVERT_MAX_MS);
    if (!record || (e->record = record_dup(record))) return e;
    free(e);
    return NULL;
}

static enum publish_start send_direct(struct spool *s, struct spool_entry *e, const struct record *record)
{
    enum publish_start start = publisher_send(s->publisher, record, e->deadline_ms, e);
    if (start != PUBLISH_STARTED) return start;
    e->place = SPOOL_DIRECT;
    if (e->record) spool_note_due(s, e->due_ms);
    spool_list_append(&s->direct, e);
    return start;
}

static enum publish_start keep(struct spool *s, struct spool_entry *e)
{
    if (can_park(s) && spool_agents_get(s->agents, e->record->key) > 0 &&
        spool_agents_add(s->agents, e->record->key, 1)) {
        park(s, e);
        return PUBLISH_STARTED;
    }
    gather_parked(s);
    e->id = ++s->last_id;
    return gather(s, e) ? PUBLISH_STARTED : PUBLISH_NO_ROOM;
}

enum publish_start spool_send(struct spool *s, const struct record *record, bool wanted, int64_t deadline_ms,
                              void *subject)
{
    bool held = spool_agents_get(s->agents, record->key) > 0;
    struct spool_entry *e = entry_new(s, wanted || held ? record : NULL, deadline_ms, subject);
    if (!e) return PUBLISH_QUEUE_FULL;
    enum publish_start start = PUBLISH_AWAY;
    if (!held && !(wanted && spool_doubtful(s))) start = send_direct(s, e, record);
    if ((start == PUBLISH_AWAY || start == PUBLISH_QUEUE_FULL) && e->record) start = keep(s, e);
    if (start != PUBLISH_STARTED) spool_entry_free(e);
    return start;
}

/* Refused for good, but maybe only for a neighbour in its batch; alone it shows.  Whoever sent it does not come again,
 * so it is kept for people even if it was at fault. */
static void direct_refused(struct spool *s, struct spool_entry *e, const char *reason)
{
    e->id = s->suspect_id = ++s->last_id;
    s->proven = false; /* nothing else shares its batch */
    if (gather(s, e)) return;
    answer(s, e, PUBLISH_FAILED, reason);
    spool_entry_free(e);
}

static void direct_report(struct spool *s, struct spool_entry *e, const struct publish_report *report)
{
    bool known = report->end == PUBLISH_ACKNOWLEDGED || report->end == PUBLISH_LATE ||
                 report->end == PUBLISH_OVERSIZED || report->end == PUBLISH_REFUSED;
    if (!known && e->record) {
        s->doubt = true; /* it keeps its place among the others */
        return;
    }
    spool_list_remove(&s->direct, e);
    if (report->end == PUBLISH_REFUSED && e->record) {
        direct_refused(s, e, report->reason);
        return;
    }
    void *subject = e->subject;
    spool_entry_free(e);
    s->settings.answered(s->settings.ctx, subject, report);
}

void spool_answered(void *ctx, void *subject, const struct publish_report *report)
{
    struct spool *s = ctx;
    struct spool_entry *e = subject;
    if (e->place == SPOOL_DIRECT)
        direct_report(s, e, report);
    else if (e->place == SPOOL_DRAINING)
        spool_drain_report(s, e, report);
}

/* ---- the diversion ---- */

static void hand_over(struct spool *s)
{
    struct spool_batch *b = s->gathering;
    bool work = b->writes.first || b->removals.first || b->refusals.first || b->read;
    if (s->out || !work || is_broken(s)) return;
    b->wall_ms = clock_wall_us() / 1000;
    s->out = b;
    s->gathering = b == &s->batches[0] ? &s->batches[1] : &s->batches[0];
    spool_writer_submit(s->writer, b);
}

/* What the publisher has and a sender waits for goes to the disk.  Its entries stay: tickets name them. */
static void gather_direct(struct spool *s)
{
    struct spool_list direct = s->direct;
    s->direct = (struct spool_list){0};
    for (struct spool_entry *e; (e = spool_list_take(&direct));) {
        if (!e->record) {
            spool_list_append(&s->direct, e);
        } else if (!gather(s, e)) {
            answer(s, e, PUBLISH_UNSPOOLED, why_not(s));
            e->place = SPOOL_GONE;
            spool_list_append(&s->gone, e);
        }
    }
}

/* Everything that the producer holds, in its order; then a new producer.  The disk works while the old one is dropped.
 */
static void divert(struct spool *s, int64_t now_ms)
{
    log_event(LOG_WARN, "kafka does not confirm: events go to the spool", log_int("waiting", (int64_t)s->direct.count),
              log_int("rows", (int64_t)s->draining.count), log_int("parked", (int64_t)s->parked.count));
    gather_direct(s);
    gather_parked(s);
    spool_drain_again(s);
    s->proven = s->doubt = false;
    hand_over(s);
    if (publisher_outstanding(s->publisher) > 0) publisher_reset(s->publisher, "Kafka did not answer in time", now_ms);
    spool_list_free(&s->gone);
    log_event(LOG_INFO, "kafka producer replaced for the spool", log_int("took_ms", clock_monotonic_ms() - now_ms));
}

/* ---- what is due ---- */

static bool any_due(const struct spool_list *l, int64_t now_ms)
{
    for (const struct spool_entry *e = l->first; e; e = e->next)
        if (e->record && e->due_ms <= now_ms) return true;
    return false;
}

/* The sender's own deadline, with the disk still at work: the event may get in, the 202 is late. */
static void answer_late(struct spool *s, struct spool_list *l, int64_t now_ms)
{
    for (struct spool_entry *e = l->first; e; e = e->next)
        if (e->due_ms <= now_ms) answer(s, e, PUBLISH_LATE, "not on the disk before the deadline");
}

static void find_due(struct spool *s, const struct spool_list *l)
{
    for (const struct spool_entry *e = l->first; e; e = e->next)
        if (e->record && (e->subject || e->place == SPOOL_DRAINING)) spool_note_due(s, e->due_ms);
}

static void check_due(struct spool *s, int64_t now_ms)
{
    if (s->due_ms == 0 || now_ms < s->due_ms) return;
    s->doubt = s->doubt || any_due(&s->direct, now_ms) || any_due(&s->draining, now_ms);
    if (any_due(&s->parked, now_ms)) gather_parked(s);
    answer_late(s, &s->gathering->writes, now_ms);
    if (s->out) answer_late(s, &s->out->writes, now_ms);
    s->due_ms = 0;
    find_due(s, &s->direct);
    find_due(s, &s->draining);
    find_due(s, &s->parked);
    find_due(s, &s->gathering->writes);
    if (s->out) find_due(s, &s->out->writes);
}

/* ---- what the writer did ---- */

static void note_failure(struct spool *s, const struct error *error)
{
    metrics_add(s->settings.metrics, METRIC_SPOOL_FAILURES, 1);
    if (s->broken.code == ERROR_NONE) log_event(LOG_ERROR, "spool failed", log_text("error", error->text));
    s->broken = *error;
    s->retry_ms = clock_monotonic_ms() + BROKEN_RETRY_MS;
}

static void note_success(struct spool *s)
{
    if (s->broken.code != ERROR_NONE) log_event(LOG_INFO, "spool works again", log_int("events", s->events));
    s->broken.code = ERROR_NONE;
}

static void settle_failed(struct spool *s, struct spool_batch *b)
{
    note_failure(s, &b->error);
    for (struct spool_entry *e; (e = spool_list_take(&b->writes));) {
        s->cost -= e->cost;
        spool_agents_take(s->agents, e->record->key);
        answer(s, e, PUBLISH_UNSPOOLED, why_not(s));
        spool_entry_free(e);
    }
    spool_list_move(&b->removals, &s->gathering->removals);
    spool_list_move(&b->refusals, &s->gathering->refusals);
    spool_list_free(&b->rows);
}

static void settle_rows(struct spool *s, struct spool_batch *b)
{
    if (b->pass != s->pass) {
        spool_list_free(&b->rows);
        return;
    }
    if (b->rows.last) s->read_after = b->rows.last->id;
    s->unread = b->read_to_end ? 0 : s->unread - (int64_t)b->rows.count;
    spool_list_move(&b->rows, &s->ahead);
}

static void settle_changes(struct spool *s, struct spool_batch *b)
{
    int64_t before = s->events;
    metrics_add(s->settings.metrics, METRIC_SPOOL_WRITTEN, (int64_t)b->writes.count);
    if (b->writes.count > 0) metrics_observe_us(s->settings.metrics, METRIC_SPOOL_TIME, b->took_us);
    s->events += (int64_t)b->writes.count - (int64_t)(b->removals.count + b->refusals.count);
    s->unread += (int64_t)b->writes.count;
    s->refused += (int64_t)b->refusals.count;
    for (struct spool_entry *e; (e = spool_list_take(&b->writes)); spool_entry_free(e))
        answer(s, e, PUBLISH_SPOOLED, NULL);
    for (struct spool_entry *e = b->removals.first; e; e = e->next)
        s->cost -= e->cost;
    spool_list_free(&b->removals);
    spool_list_free(&b->refusals);
    if (before == 0 && s->events > 0) log_event(LOG_WARN, "spool in use", log_int("events", s->events));
    if (before > 0 && s->events == 0) log_event(LOG_INFO, "spool empty", log_int("refused", s->refused));
}

static void settle(struct spool *s, bool wait)
{
    struct spool_batch *b = spool_writer_take(s->writer, wait);
    if (!b) return;
    s->out = NULL;
    s->oldest_ms = b->oldest_ms;
    if (b->read) s->reading = false;
    if (b->failed) {
        settle_failed(s, b);
    } else {
        settle_changes(s, b);
        if (b->read && !b->read_failed) settle_rows(s, b);
        if (b->read_failed)
            note_failure(s, &b->error);
        else
            note_success(s);
    }
    *b = (struct spool_batch){0};
}

/* ---- the face ---- */

struct spool *spool_open(const struct spool_settings *settings, struct error *error)
{
    struct spool_totals totals;
    struct spool *s = calloc(1, sizeof *s);
    struct spool_agents *agents = spool_agents_new();
    struct spool_store *store = NULL;
    if (!s || !agents)
        error_set(error, ERROR_MEMORY, "no memory for the spool");
    else
        store = spool_store_open(settings->directory, settings->size_max, error);
    if (store && spool_store_count(store, &totals, agents, error)) {
        *s = (struct spool){.settings = *settings,
                            .agents = agents,
                            .last_id = totals.last_id,
                            .unread = totals.events,
                            .events = totals.events,
                            .cost = totals.cost,
                            .refused = totals.refused,
                            .oldest_ms = totals.oldest_ms,
                            .proven = totals.events == 0};
        s->gathering = &s->batches[0];
        s->writer = spool_writer_start(store, error);
        store = NULL;
        if (s->writer) return s;
    }
    spool_store_close(store);
    spool_agents_free(agents);
    free(s);
    error_context(error, "spool");
    return NULL;
}

void spool_set_publisher(struct spool *s, struct publisher *publisher)
{
    s->publisher = publisher;
}

int spool_fd(const struct spool *s)
{
    return spool_writer_fd(s->writer);
}

int spool_timeout_ms(const struct spool *s, int64_t now_ms)
{
    int64_t due_ms = s->due_ms;
    if (s->doubt) return 0;
    if (s->broken.code != ERROR_NONE && !s->out && s->retry_ms > now_ms && (due_ms == 0 || s->retry_ms < due_ms))
        due_ms = s->retry_ms;
    if (due_ms == 0) return -1;
    return due_ms <= now_ms ? 0 : (int)(due_ms - now_ms);
}

void spool_run(struct spool *s, int64_t now_ms)
{
    settle(s, false);
    check_due(s, now_ms);
    if (s->doubt) divert(s, now_ms);
    if (s->parked.first && (s->closing || !publisher_ready(s->publisher, NULL))) gather_parked(s);
    spool_drain(s, now_ms);
}

void spool_flush(struct spool *s)
{
    hand_over(s);
}

void spool_stop(struct spool *s)
{
    s->closing = true;
}

bool spool_quiet(const struct spool *s)
{
    const struct spool_batch *b = s->gathering;
    bool writing = s->out || b->writes.first || (!is_broken(s) && (b->removals.first || b->refusals.first));
    return !writing && !s->direct.first && !s->parked.first &&
           (!s->draining.first || !publisher_ready(s->publisher, NULL));
}

size_t spool_rows_outstanding(const struct spool *s)
{
    return s->draining.count;
}

void spool_close(struct spool *s)
{
    if (!s) return;
    s->closing = true;
    settle(s, true);
    gather_direct(s);
    gather_parked(s);
    s->gathering->read = false;
    hand_over(s);
    settle(s, true);
    for (struct spool_entry *e; (e = spool_list_take(&s->gathering->writes)); spool_entry_free(e))
        answer(s, e, PUBLISH_UNSPOOLED, why_not(s));
    spool_writer_stop(s->writer);
    struct spool_list *lists[] = {
        &s->direct, &s->ahead, &s->draining, &s->gone, &s->gathering->removals, &s->gathering->refusals};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        spool_list_free(lists[i]);
    spool_agents_free(s->agents);
    free(s);
}

/* ---- what people see ---- */

void spool_describe(const struct spool *s, struct buffer *out)
{
    int64_t age_ms = s->oldest_ms > 0 ? clock_wall_us() / 1000 - s->oldest_ms : 0;
    buffer_format(out, "spool: %lld events (%lld of %lld bytes), the oldest for %lld s, %lld refused",
                  (long long)s->events, (long long)s->cost, (long long)s->settings.size_max,
                  (long long)(age_ms > 0 ? age_ms / 1000 : 0), (long long)s->refused);
    if (s->broken.code != ERROR_NONE)
        buffer_format(out, "; its disk fails: %s", s->broken.text);
    else if (!spool_ready(s))
        buffer_text(out, "; it is full");
}

void spool_refresh(const struct spool *s)
{
    struct metrics *m = s->settings.metrics;
    int64_t age_ms = s->oldest_ms > 0 ? clock_wall_us() / 1000 - s->oldest_ms : 0;
    metrics_set(m, METRIC_SPOOL_EVENTS, s->events);
    metrics_set(m, METRIC_SPOOL_BYTES, s->cost);
    metrics_set(m, METRIC_SPOOL_AGE, age_ms > 0 ? age_ms / 1000 : 0);
    metrics_set(m, METRIC_SPOOL_REFUSED, s->refused);
}
