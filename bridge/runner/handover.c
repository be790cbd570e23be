/* handover.c: a rebalance: what is left to a successor, what is kept in case it comes back, what is killed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "log.h"
#include "runner.h"
#include <stdlib.h>
#include <string.h>

enum { WAIT_IN_FLIGHT_MS = 10000, WAIT_LAST_MS = 5000 };

/* ---- the assignment's metadata (J2) */

bool handover_parse_metadata(const uint8_t *data, size_t size, struct assignment *out)
{
    static const char magic[] = "CGMDv2:";
    size_t at = sizeof magic - 1;
    if (size < at + sizeof out->generation || memcmp(data, magic, at) != 0) return false;
    memcpy(&out->generation, data + at, sizeof out->generation);
    at += sizeof out->generation;
    const uint8_t *end = memchr(data + at, 0, size - at); /* of the group */
    if (!end) return false;
    const char *member = (const char *)end + 1;
    size_t room = size - (size_t)(end + 1 - data), length = strnlen(member, room);
    if (length == room || length == 0 || length >= sizeof out->member) return false;
    memcpy(out->member, member, length + 1);
    return out->generation >= 0;
}

static void new_epoch(struct runner *r)
{
    commit_set_epoch(r->commit, ++r->assignment.epoch);
}

/* ---- assigned */

static bool is_among(int number, const int *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (numbers[i] == number) return true;
    return false;
}

/* What stands in memory is still true only if nobody else can have owned the partition in between (J14). */
static bool may_keep(const struct assignment *before, const struct assignment *now)
{
    return now->present && before->generation >= 0 && now->generation == before->generation + 1 &&
           strcmp(now->member, before->member) == 0;
}

static void keep_or_drop(struct runner *r, bool keep, const int *numbers, size_t count)
{
    for (size_t i = r->partition_count; i > 0; i--) {
        struct partition *p = r->partitions[i - 1];
        if (keep && p->state == PARTITION_LIMBO && is_among(p->number, numbers, count)) {
            log_event(LOG_INFO, "partition came back", log_int("partition", p->number));
            p->state = PARTITION_ADOPTING;
        } else {
            partition_drop(r, p);
        }
    }
}

void handover_assigned(struct runner *r, const int *numbers, size_t count)
{
    struct assignment now;
    consume_snapshot(r, &now);
    now.epoch = r->assignment.epoch;
    keep_or_drop(r, may_keep(&r->assignment, &now), numbers, count);
    free(r->assignment.metadata);
    r->assignment = now;
    new_epoch(r);
    log_event(LOG_INFO, "assigned", log_int("partitions", (int64_t)count), log_int("generation", now.generation));
    if (!now.present) {
        log_event(LOG_ERROR, "assignment without a generation: nothing is read", log_int("generation", now.generation));
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct partition *p = partition_find(r, numbers[i]);
        if (!p) p = partition_new(r, numbers[i]);
        consume_attach(r, p);
    }
    takeover_begin(r);
}

void handover_adopted(struct runner *r, struct partition *p)
{
    size_t at = 0;
    if (r->revoking) return; /* just as it is taken again: its processes stay frozen */
    for (struct id_slot *slot; (slot = id_table_next(&p->runs, &at));)
        effects_thaw(slot->as.pointer);
    p->first_checked = p->sought_again = false;
    takeover_seek(r, p);
    log_event(LOG_INFO, "partition adopted", log_int("partition", p->number), log_int("runs", (int64_t)p->runs.count));
}

/* ---- revoked */

static void wait_batch(struct runner *r, int64_t timeout_ms)
{
    if (!r->in_flight || !commit_wait_batch(r->commit, timeout_ms)) return;
    for (struct job *job; (job = commit_take(r->commit)); job_free(job))
        if (job->kind == JOB_BATCH) settle(r, job); /* queries belong to the old epoch */
}

static void to_limbo(struct runner *r)
{
    for (size_t i = r->partition_count; i > 0; i--) {
        struct partition *p = r->partitions[i - 1];
        consume_detach(p);
        /* Half taken over, or with changes whose outcome nobody knows: the journal knows better. */
        if (!partition_is_whole(p) || r->in_flight) {
            partition_drop(r, p);
            continue;
        }
        partition_drop_arrivals(r, p);
        partition_rest(r, p);
        p->expect = p->position;
        p->state = PARTITION_LIMBO;
    }
    r->limbo_until_us = clock_monotonic_us() + r->settings->limbo_max_ms * 1000;
}

static void drop_all(struct runner *r)
{
    while (r->partition_count > 0)
        partition_drop(r, r->partitions[r->partition_count - 1]);
}

void handover_revoked(struct runner *r, bool lost)
{
    log_event(lost ? LOG_WARN : LOG_INFO, lost ? "partitions lost" : "partitions revoked",
              log_int("partitions", (int64_t)r->partition_count), log_int("generation", r->assignment.generation));
    if (lost) {
        drop_all(r);
        r->assignment.present = false;
        r->assignment.generation = -1;
        new_epoch(r);
        return;
    }
    r->revoking = true;
    effects_freeze(r);
    wait_batch(r, WAIT_IN_FLIGHT_MS);
    if (!r->in_flight) {
        gather_last(r);
        wait_batch(r, WAIT_LAST_MS);
    }
    to_limbo(r);
    r->revoking = false;
    r->assignment.present = false;
    new_epoch(r);
}

void handover_check_limbo(struct runner *r)
{
    if (clock_monotonic_us() < r->limbo_until_us) return;
    for (size_t i = r->partition_count; i > 0; i--) {
        struct partition *p = r->partitions[i - 1];
        if (p->state != PARTITION_LIMBO) continue;
        log_event(LOG_WARN, "partition did not come back in time", log_int("partition", p->number));
        partition_drop(r, p);
    }
}
