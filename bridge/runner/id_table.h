/* id_table.h: 16-byte ids -> a pointer of the caller's.  Open addressing, so an entry costs its 24 bytes and no
 * allocation of its own.  Pure.  SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "buffer.h"

/* The 16 bytes behind "wh-": the form in which a workflow_id is kept in memory. */
struct run_id {
    uint8_t bytes[16];
};

bool run_id_equal(const struct run_id *a, const struct run_id *b);
/* "wh-" + 32 lower-case hex digits, and nothing else. */
bool run_id_parse(struct bytes text, struct run_id *out);
enum { RUN_ID_TEXT_SIZE = 36 };
void run_id_format(const struct run_id *id, char out[RUN_ID_TEXT_SIZE]);
/* An id for any text (an agent_id): the first 16 bytes of its SHA-256. */
struct run_id run_id_of(struct bytes text);

struct id_slot {
    struct run_id id;
    union {
        void *pointer;
        int64_t number;
    } as;
    bool used;
};

struct id_table { /* zeroed: empty */
    struct id_slot *slots;
    size_t count, capacity; /* capacity is a power of two */
};

void id_table_close(struct id_table *t);
/* The slot of that id, or NULL.  Valid until the next put or remove. */
struct id_slot *id_table_find(const struct id_table *t, const struct run_id *id);
/* The slot of that id, made if it is new; NULL without memory. */
struct id_slot *id_table_put(struct id_table *t, const struct run_id *id);
/* Nothing happens if it is not there. */
void id_table_remove(struct id_table *t, const struct run_id *id);
/* Walks all entries: *at starts with 0.  NULL at the end.  Nothing may be put or removed meanwhile. */
struct id_slot *id_table_next(const struct id_table *t, size_t *at);
