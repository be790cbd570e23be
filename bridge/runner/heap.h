/* heap.h: a binary heap of items that live inside their owners; the smallest key first.  Pure.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed: in no heap.  An item stands in one heap at a time and must not move while it does. */
struct heap_item {
    int64_t key;
    size_t place; /* position + 1, or 0 */
};

struct heap { /* zeroed: empty */
    struct heap_item **items;
    size_t count, capacity;
};

/* Frees the array; the items are the owners'. */
void heap_close(struct heap *h);
/* False without memory. */
bool heap_push(struct heap *h, struct heap_item *item, int64_t key);
/* The item with the smallest key, or NULL. */
struct heap_item *heap_top(const struct heap *h);
/* Takes the item out; nothing happens if it stands in no heap. */
void heap_remove(struct heap *h, struct heap_item *item);
bool heap_holds(const struct heap_item *item);
