/* batch.h: the content of one transaction: records, and the next source offset of every partition it touches.  Made by
 * the loop, then transferred whole to the transaction thread.  Pure.  SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "kafka_topics.h"
#include "record.h"

struct batch_record {
    enum kafka_topic topic;
    int partition;
    struct record *record; /* owned */
};

struct batch_offset {
    int partition;
    int64_t next;
};

struct batch {
    struct batch_record *records;
    size_t count, capacity;
    struct batch_offset *offsets; /* sorted by partition */
    size_t offset_count, offset_capacity;
    size_t bytes;
    uint8_t *metadata; /* owned: the group metadata of the assignment it was made under (J2) */
    size_t metadata_size;
    int64_t number;
};

enum { BATCH_RECORDS_MAX = 2000, BATCH_BYTES_MAX = 4 * 1024 * 1024 };

struct batch *batch_new(int64_t number);
void batch_free(struct batch *b);
/* False when nothing more should be added. */
bool batch_has_room(const struct batch *b);
/* Adds a copy of the record; its partition must be (or become) touched. */
void batch_add(struct batch *b, enum kafka_topic topic, int partition, const struct record *record);
/* Touches the partition: its next offset goes into the transaction.  A later call can only raise it. */
void batch_touch(struct batch *b, int partition, int64_t next);
/* Every record's partition is touched, so every part of it is fenced (J1). */
bool batch_is_sound(const struct batch *b);
