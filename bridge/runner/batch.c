/* batch.c: see batch.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "batch.h"
#include "memory.h"
#include <assert.h>
#include <string.h>

struct batch *batch_new(int64_t number)
{
    struct batch *b = memory_new(sizeof *b);
    b->number = number;
    return b;
}

void batch_free(struct batch *b)
{
    if (!b) return;
    for (size_t i = 0; i < b->count; i++)
        free(b->records[i].record);
    free(b->records);
    free(b->offsets);
    free(b->metadata);
    free(b);
}

bool batch_has_room(const struct batch *b)
{
    return b->count < BATCH_RECORDS_MAX && b->bytes < BATCH_BYTES_MAX;
}

void batch_add(struct batch *b, enum kafka_topic topic, int partition, const struct record *record)
{
    if (b->count == b->capacity) {
        b->capacity = b->capacity ? 2 * b->capacity : 16;
        b->records = memory_array(b->records, b->capacity, sizeof *b->records);
    }
    b->records[b->count++] = (struct batch_record){topic, partition, memory_got(record_dup(record))};
    b->bytes += record_wire_size(record);
}

/* The first offset whose partition is not below. */
static size_t place_of(const struct batch *b, int partition)
{
    size_t at = b->offset_count;
    while (at > 0 && b->offsets[at - 1].partition >= partition)
        at--;
    return at;
}

void batch_touch(struct batch *b, int partition, int64_t next)
{
    assert(next >= 0);
    size_t at = place_of(b, partition);
    if (at < b->offset_count && b->offsets[at].partition == partition) {
        if (next > b->offsets[at].next) b->offsets[at].next = next;
        return;
    }
    if (b->offset_count == b->offset_capacity) {
        b->offset_capacity = b->offset_capacity ? 2 * b->offset_capacity : 8;
        b->offsets = memory_array(b->offsets, b->offset_capacity, sizeof *b->offsets);
    }
    memmove(&b->offsets[at + 1], &b->offsets[at], (b->offset_count - at) * sizeof *b->offsets);
    b->offsets[at] = (struct batch_offset){partition, next};
    b->offset_count++;
}

bool batch_is_sound(const struct batch *b)
{
    if (b->offset_count == 0) return false;
    for (size_t i = 0; i < b->count; i++) {
        size_t at = place_of(b, b->records[i].partition);
        if (at == b->offset_count || b->offsets[at].partition != b->records[i].partition) return false;
    }
    return true;
}
