/* drain.c: the end, in order: no new starts, processes finish or are stopped, the last batch, the group is left.
 * SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "log.h"
#include "runner.h"
#include <librdkafka/rdkafka.h>

enum { STOP_US = 3000000, LAST_BATCH_US = 20000000, CLOSE_US = 5000000 };

void drain_begin(struct runner *r)
{
    if (r->draining) {
        drain_hurry(r);
        return;
    }
    r->draining = true;
    r->drain_until_us = clock_monotonic_us() + r->settings->drain_ms * 1000;
    log_event(LOG_INFO, "draining", log_int("processes", (int64_t)r->process_count),
              log_int("not_started", (int64_t)r->starts.count), log_int("drain_ms", r->settings->drain_ms));
    runner_wake(r);
}

void drain_hurry(struct runner *r)
{
    log_event(LOG_WARN, "draining without waiting", log_int("processes", (int64_t)r->process_count));
    r->drain_until_us = clock_monotonic_us();
    runner_wake(r);
}

/* What has ended and is not yet in the journal, where it still can be written. */
static bool has_endings(const struct runner *r)
{
    for (size_t i = 0; i < r->partition_count; i++) {
        const struct partition *p = r->partitions[i];
        if (p->input_count > 0 && p->state != PARTITION_LIMBO && p->state != PARTITION_REFUSED) return true;
    }
    return false;
}

/* Ended by us, an attempt does not count: the run starts again elsewhere (J7). */
static void stop_processes(struct runner *r, int64_t now_us)
{
    if (!r->stop_asked && now_us >= r->drain_until_us) {
        r->stop_asked = true;
        log_event(LOG_WARN, "stopping processes", log_int("processes", (int64_t)r->process_count));
        effects_stop_all(r);
    }
    if (r->stop_asked && !r->kill_asked && now_us >= r->drain_until_us + STOP_US) {
        r->kill_asked = true;
        effects_kill_all(r);
    }
}

static void leave_group(struct runner *r, int64_t now_us)
{
    r->closing = true;
    r->drain_until_us = now_us;
    log_event(LOG_INFO, "leaving the group", log_int("partitions", (int64_t)r->partition_count));
    if (!r->subscribed) return;
    rd_kafka_error_t *e = rd_kafka_consumer_close_queue(r->consumer, r->events);
    if (!e) return;
    log_event(LOG_WARN, "consumer does not close", log_text("reason", rd_kafka_error_string(e)));
    rd_kafka_error_destroy(e);
}

void drain_step(struct runner *r)
{
    if (!r->draining) return;
    int64_t now_us = clock_monotonic_us();
    if (r->closing) {
        /* Known to hang (traps 2.6); everything is committed by now. */
        if (!r->subscribed || rd_kafka_consumer_closed(r->consumer) || now_us > r->drain_until_us + CLOSE_US)
            runner_stop(r);
        return;
    }
    if (r->process_count > 0) {
        stop_processes(r, now_us);
        if (now_us < r->drain_until_us + LAST_BATCH_US) return;
    }
    if ((has_endings(r) || r->in_flight) && now_us < r->drain_until_us + LAST_BATCH_US) return;
    if (has_endings(r) || r->in_flight)
        log_event(LOG_ERROR, "stopped with changes that are not committed; the journal has the rest",
                  log_int("partitions", (int64_t)r->partition_count));
    leave_group(r, now_us);
}
