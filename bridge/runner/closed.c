/* closed.c: see closed.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "closed.h"
#include <stdlib.h>
#include <string.h>

struct closed_expiry { /* of an id that was removed or moved since, it is passed over when it comes up */
    int64_t until_us;
    struct run_id id;
};

int64_t closed_until_us(int64_t recorded_us, int64_t dedupe_s)
{
    enum { SKEW_S = 300 };
    return recorded_us + (dedupe_s + SKEW_S) * 1000000;
}

void closed_close(struct closed_ids *c)
{
    id_table_close(&c->until);
    free(c->heap);
    memset(c, 0, sizeof *c);
}

static bool push(struct closed_ids *c, struct closed_expiry entry)
{
    if (c->heap_count == c->heap_capacity) {
        size_t capacity = c->heap_capacity ? 2 * c->heap_capacity : 16;
        struct closed_expiry *heap = reallocarray(c->heap, capacity, sizeof *heap);
        if (!heap) return false;
        c->heap = heap;
        c->heap_capacity = capacity;
    }
    size_t at = c->heap_count++;
    for (; at > 0 && c->heap[(at - 1) / 2].until_us > entry.until_us; at = (at - 1) / 2)
        c->heap[at] = c->heap[(at - 1) / 2];
    c->heap[at] = entry;
    return true;
}

static void pop(struct closed_ids *c)
{
    struct closed_expiry last = c->heap[--c->heap_count];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < c->heap_count; at = child) {
        if (child + 1 < c->heap_count && c->heap[child + 1].until_us < c->heap[child].until_us) child++;
        if (c->heap[child].until_us >= last.until_us) break;
        c->heap[at] = c->heap[child];
    }
    if (c->heap_count > 0) c->heap[at] = last;
}

bool closed_add(struct closed_ids *c, const struct run_id *id, int64_t until_us)
{
    struct id_slot *slot = id_table_put(&c->until, id);
    if (!slot) return false;
    slot->as.number = until_us;
    if (push(c, (struct closed_expiry){until_us, *id})) return true;
    id_table_remove(&c->until, id);
    return false;
}

bool closed_find(const struct closed_ids *c, const struct run_id *id, int64_t *until_us)
{
    const struct id_slot *slot = id_table_find(&c->until, id);
    if (slot) *until_us = slot->as.number;
    return slot != NULL;
}

void closed_remove(struct closed_ids *c, const struct run_id *id)
{
    id_table_remove(&c->until, id);
}

bool closed_take_expired(struct closed_ids *c, int64_t seen_us, struct run_id *id, int64_t *until_us)
{
    while (c->heap_count > 0 && c->heap[0].until_us < seen_us) {
        struct closed_expiry first = c->heap[0];
        pop(c);
        if (!closed_find(c, &first.id, until_us) || *until_us != first.until_us) continue;
        closed_remove(c, &first.id);
        *id = first.id;
        return true;
    }
    return false;
}

bool closed_is_due(const struct closed_ids *c, int64_t when_us)
{
    return c->heap_count > 0 && c->heap[0].until_us < when_us;
}
