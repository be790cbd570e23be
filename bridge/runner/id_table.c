/* id_table.c: see id_table.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "id_table.h"
#include "signature.h"
#include "text.h"
#include <stdlib.h>
#include <string.h>

bool run_id_equal(const struct run_id *a, const struct run_id *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

bool run_id_parse(struct bytes text, struct run_id *out)
{
    if (text.size != RUN_ID_TEXT_SIZE - 1 || memcmp(text.data, "wh-", 3) != 0) return false;
    return text_unhex((struct bytes){text.data + 3, text.size - 3}, out->bytes, sizeof out->bytes);
}

void run_id_format(const struct run_id *id, char out[RUN_ID_TEXT_SIZE])
{
    out[0] = 'w';
    out[1] = 'h';
    out[2] = '-';
    text_hex(id->bytes, sizeof id->bytes, out + 3);
}

struct run_id run_id_of(struct bytes text)
{
    uint8_t digest[SIGNATURE_SHA256_SIZE];
    struct run_id id;
    signature_sha256(&text, 1, digest);
    memcpy(id.bytes, digest, sizeof id.bytes);
    return id;
}

void id_table_close(struct id_table *t)
{
    free(t->slots);
    memset(t, 0, sizeof *t);
}

/* Ids are digests, evenly spread; one that somebody made up to collide costs him a longer probe, no more. */
static size_t home_of(const struct id_table *t, const struct run_id *id)
{
    uint64_t hash;
    memcpy(&hash, id->bytes, sizeof hash);
    hash *= 0x9e3779b97f4a7c15u;
    return (size_t)(hash >> 32) & (t->capacity - 1);
}

/* The slot of the id, or the free one where it belongs. */
static struct id_slot *probe(const struct id_table *t, const struct run_id *id)
{
    size_t at = home_of(t, id);
    while (t->slots[at].used && !run_id_equal(&t->slots[at].id, id))
        at = (at + 1) & (t->capacity - 1);
    return &t->slots[at];
}

struct id_slot *id_table_find(const struct id_table *t, const struct run_id *id)
{
    if (t->count == 0) return NULL;
    struct id_slot *slot = probe(t, id);
    return slot->used ? slot : NULL;
}

static bool grow(struct id_table *t)
{
    struct id_table bigger = {.capacity = t->capacity ? 2 * t->capacity : 16, .count = t->count};
    bigger.slots = calloc(bigger.capacity, sizeof *bigger.slots);
    if (!bigger.slots) return false;
    for (size_t i = 0; i < t->capacity; i++)
        if (t->slots[i].used) *probe(&bigger, &t->slots[i].id) = t->slots[i];
    free(t->slots);
    *t = bigger;
    return true;
}

struct id_slot *id_table_put(struct id_table *t, const struct run_id *id)
{
    if (4 * (t->count + 1) > 3 * t->capacity && !grow(t)) return NULL;
    struct id_slot *slot = probe(t, id);
    if (!slot->used) {
        *slot = (struct id_slot){.id = *id, .used = true};
        t->count++;
    }
    return slot;
}

/* Closes the hole by moving back every later entry of the cluster that the hole would cut off from its home. */
void id_table_remove(struct id_table *t, const struct run_id *id)
{
    struct id_slot *slot = id_table_find(t, id);
    if (!slot) return;
    size_t mask = t->capacity - 1;
    size_t hole = (size_t)(slot - t->slots);
    for (size_t at = (hole + 1) & mask; t->slots[at].used; at = (at + 1) & mask) {
        size_t home = home_of(t, &t->slots[at].id);
        if (((at - home) & mask) < ((at - hole) & mask)) continue;
        t->slots[hole] = t->slots[at];
        hole = at;
    }
    memset(&t->slots[hole], 0, sizeof t->slots[hole]);
    t->count--;
}

struct id_slot *id_table_next(const struct id_table *t, size_t *at)
{
    while (*at < t->capacity)
        if (t->slots[(*at)++].used) return &t->slots[*at - 1];
    return NULL;
}
