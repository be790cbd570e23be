/* closed.h: ids of finished runs, kept as long as their sender may deliver them again, and their expiry.  Pure.
 * An entry costs about 90 bytes of memory at the table's usual fill.  SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "id_table.h"

struct closed_expiry;

struct closed_ids {        /* zeroed: empty */
    struct id_table until; /* id -> wall time in microseconds at which it may be forgotten */
    struct closed_expiry *heap;
    size_t heap_count, heap_capacity;
};

/* A copy of a delivery is a duplicate if the ingress recorded it no later than this: the original's time, plus the
 * sender's window, plus five minutes for clocks that differ (J26). */
int64_t closed_until_us(int64_t recorded_us, int64_t dedupe_s);

void closed_close(struct closed_ids *c);
/* Adds, or moves the expiry of an id that is there.  False without memory. */
bool closed_add(struct closed_ids *c, const struct run_id *id, int64_t until_us);
/* True if the id is there. */
bool closed_find(const struct closed_ids *c, const struct run_id *id, int64_t *until_us);
void closed_remove(struct closed_ids *c, const struct run_id *id);
/* True if an id may have expired by then. */
bool closed_is_due(const struct closed_ids *c, int64_t when_us);
/* Takes out the id that expires first, if nothing recorded before its expiry can still arrive: `seen_us` is how far the
 * partition's recorded times have been seen.  When its tombstone is not committed, closed_add puts it back. */
bool closed_take_expired(struct closed_ids *c, int64_t seen_us, struct run_id *id, int64_t *until_us);
