/* observe.c: metrics and readiness.
 * SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "manage.h"
#include "runner.h"

enum { STUCK_US = 5000000 };

#define RUNS    "drawbridge_runner_runs_total"
#define OPEN    "drawbridge_runner_runs"
#define BATCHES "drawbridge_runner_transactions_total"

static const struct metric_def table[METRIC_COUNT] = {
    [METRIC_STARTED] = {"drawbridge_runner_starts_total", NULL, METRIC_COUNTER, "processes started"},
    [METRIC_SUCCEEDED] = {RUNS, "status=\"succeeded\"", METRIC_COUNTER, "runs that ended, by status"},
    [METRIC_FAILED] = {RUNS, "status=\"failed\"", METRIC_COUNTER, ""},
    [METRIC_CANCELED] = {RUNS, "status=\"canceled\"", METRIC_COUNTER, ""},
    [METRIC_TIMED_OUT] = {RUNS, "status=\"timed_out\"", METRIC_COUNTER, ""},
    [METRIC_RETRIES] = {"drawbridge_runner_retries_total", NULL, METRIC_COUNTER, "attempts that failed and go again"},
    [METRIC_ADMITTED_NOW] = {OPEN, "state=\"admitted\"", METRIC_GAUGE, "runs in memory, by state"},
    [METRIC_RUNNING_NOW] = {OPEN, "state=\"running\"", METRIC_GAUGE, ""},
    [METRIC_RETRY_WAIT_NOW] = {OPEN, "state=\"retry_wait\"", METRIC_GAUGE, ""},
    [METRIC_CLOSED_NOW] = {OPEN, "state=\"closed\"", METRIC_GAUGE, ""},
    [METRIC_START_DELAY] = {"drawbridge_runner_start_delay_seconds", NULL, METRIC_HISTOGRAM,
                            "from the event's recorded time to its first start"},
    [METRIC_RUN_TIME] = {"drawbridge_runner_run_seconds", NULL, METRIC_HISTOGRAM, "life of a process"},
    [METRIC_TRANSACTION_TIME] = {"drawbridge_runner_transaction_seconds", NULL, METRIC_HISTOGRAM,
                                 "from begin to commit or abort"},
    [METRIC_RESTORE_TIME] = {"drawbridge_runner_restore_seconds", NULL, METRIC_HISTOGRAM,
                             "reading the journal of one partition"},
    [METRIC_COMMITTED] = {BATCHES, "outcome=\"committed\"", METRIC_COUNTER, "transactions, by outcome"},
    [METRIC_ABORTED] = {BATCHES, "outcome=\"aborted\"", METRIC_COUNTER, ""},
    [METRIC_REFUSED] = {BATCHES, "outcome=\"refused\"", METRIC_COUNTER, ""},
    [METRIC_FENCED] = {BATCHES, "outcome=\"fenced\"", METRIC_COUNTER, ""},
    [METRIC_UNKNOWN] = {BATCHES, "outcome=\"unknown\"", METRIC_COUNTER, ""},
    [METRIC_DUPLICATES] = {"drawbridge_runner_duplicates_total", NULL, METRIC_COUNTER,
                           "deliveries dropped because their run is known"},
    [METRIC_DEAD_LETTERS] = {"drawbridge_runner_dead_letters_total", NULL, METRIC_COUNTER, "records written there"},
    [METRIC_GAPS] = {"drawbridge_runner_missing_events_total", NULL, METRIC_COUNTER,
                     "offsets that were gone before they were read; alarm on any"},
    [METRIC_LAG] = {"drawbridge_runner_lag", NULL, METRIC_GAUGE, "events in the assigned partitions not yet admitted"},
    [METRIC_EVENT_BYTES] = {"drawbridge_runner_event_bytes", NULL, METRIC_GAUGE, "events held in memory"},
    [METRIC_BODIES_AWAY] = {"drawbridge_runner_bodies_away", NULL, METRIC_GAUGE,
                            "runs whose event is left in the journal until their turn comes, for want of memory"},
    [METRIC_PARTITIONS] = {"drawbridge_runner_partitions", NULL, METRIC_GAUGE, "assigned"},
    [METRIC_PARTITIONS_OPEN] = {"drawbridge_runner_partitions_open", NULL, METRIC_GAUGE, "restored and read"},
    [METRIC_FROZEN] = {"drawbridge_runner_frozen", NULL, METRIC_GAUGE, "processes stopped by a rebalance"},
    [METRIC_JOURNAL_UNSAFE] = {"drawbridge_runner_journal_unsafe", NULL, METRIC_GAUGE,
                               "1 while the journal topic's cleanup.policy is not compact; alarm on it"},
};

static bool all_open(const struct runner *r, struct buffer *why_not)
{
    for (size_t i = 0; i < r->partition_count; i++) {
        const struct partition *p = r->partitions[i];
        if (p->state == PARTITION_OPEN && !p->unread[0]) continue;
        const char *why = p->state == PARTITION_REFUSED ? p->refused : p->unread[0] ? p->unread : "being restored";
        buffer_format(why_not, "partition %d: %s", p->number, why);
        return false;
    }
    return true;
}

static bool is_ready(void *ctx, struct buffer *why_not)
{
    const struct runner *r = ctx;
    const char *why = NULL;
    if (r->draining)
        why = "draining";
    else if (!r->opened)
        why = "waiting for the brokers";
    else if (!r->assignment.present)
        why = "not assigned";
    else if (r->halted[0])
        why = r->halted;
    else if (r->in_flight && clock_monotonic_us() - r->batch_began_us > STUCK_US)
        why = "a transaction has been under way for more than 5 s";
    if (!why) return all_open(r, why_not);
    buffer_text(why_not, why);
    return false;
}

static void count_runs(const struct partition *p, int64_t states[RUN_STATES])
{
    size_t at = 0;
    for (struct id_slot *slot; (slot = id_table_next(&p->runs, &at));)
        states[((const struct run *)slot->as.pointer)->entry.state]++;
    states[RUN_CLOSED] += (int64_t)p->closed.until.count;
}

static void refresh(void *ctx)
{
    struct runner *r = ctx;
    int64_t states[RUN_STATES] = {0}, lag = 0, open = 0, frozen = 0, away = 0;
    for (size_t i = 0; i < r->partition_count; i++) {
        const struct partition *p = r->partitions[i];
        count_runs(p, states);
        if (p->state == PARTITION_OPEN) open++;
        away += (int64_t)p->bodies_away;
        int64_t high = consume_high(r, p);
        if (high > p->position && p->position >= 0) lag += high - p->position;
    }
    for (size_t i = 0; i < r->process_count; i++)
        frozen += r->processes[i]->frozen ? 1 : 0;
    metrics_set(r->metrics, METRIC_ADMITTED_NOW, states[RUN_ADMITTED]);
    metrics_set(r->metrics, METRIC_RUNNING_NOW, states[RUN_RUNNING]);
    metrics_set(r->metrics, METRIC_RETRY_WAIT_NOW, states[RUN_RETRY_WAIT]);
    metrics_set(r->metrics, METRIC_CLOSED_NOW, states[RUN_CLOSED]);
    metrics_set(r->metrics, METRIC_LAG, lag);
    metrics_set(r->metrics, METRIC_EVENT_BYTES, (int64_t)r->event_bytes);
    metrics_set(r->metrics, METRIC_BODIES_AWAY, away);
    metrics_set(r->metrics, METRIC_PARTITIONS, (int64_t)r->partition_count);
    metrics_set(r->metrics, METRIC_PARTITIONS_OPEN, open);
    metrics_set(r->metrics, METRIC_FROZEN, frozen);
}

bool observe_open(struct runner *r, struct error *error)
{
    r->metrics = metrics_new(table, METRIC_COUNT);
    if (!r->metrics) return error_set(error, ERROR_MEMORY, "no memory");
    r->manage = manage_start(r->settings->manage_listen, r->metrics,
                             (struct manage_hooks){.ready = is_ready, .refresh = refresh, .ctx = r}, error);
    return r->manage || error_context(error, "manage.listen");
}

void observe_close(struct runner *r)
{
    manage_stop(r->manage);
    metrics_free(r->metrics);
}
