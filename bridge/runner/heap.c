/* heap.c: see heap.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "heap.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

void heap_close(struct heap *h)
{
    free(h->items);
    memset(h, 0, sizeof *h);
}

static void put(struct heap *h, size_t at, struct heap_item *item)
{
    h->items[at] = item;
    item->place = at + 1;
}

static void sift_up(struct heap *h, size_t at, struct heap_item *item)
{
    while (at > 0 && h->items[(at - 1) / 2]->key > item->key) {
        put(h, at, h->items[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put(h, at, item);
}

static void sift_down(struct heap *h, size_t at, struct heap_item *item)
{
    for (size_t child; (child = 2 * at + 1) < h->count; at = child) {
        if (child + 1 < h->count && h->items[child + 1]->key < h->items[child]->key) child++;
        if (h->items[child]->key >= item->key) break;
        put(h, at, h->items[child]);
    }
    put(h, at, item);
}

bool heap_push(struct heap *h, struct heap_item *item, int64_t key)
{
    assert(!heap_holds(item));
    if (h->count == h->capacity) {
        size_t capacity = h->capacity ? 2 * h->capacity : 8;
        struct heap_item **items = reallocarray(h->items, capacity, sizeof(struct heap_item *));
        if (!items) return false;
        h->items = items;
        h->capacity = capacity;
    }
    item->key = key;
    sift_up(h, h->count++, item);
    return true;
}

struct heap_item *heap_top(const struct heap *h)
{
    return h->count > 0 ? h->items[0] : NULL;
}

void heap_remove(struct heap *h, struct heap_item *item)
{
    if (!heap_holds(item)) return;
    size_t at = item->place - 1;
    assert(at < h->count && h->items[at] == item);
    struct heap_item *last = h->items[--h->count];
    item->place = 0;
    if (last == item) return;
    if (at > 0 && h->items[(at - 1) / 2]->key > last->key)
        sift_up(h, at, last);
    else
        sift_down(h, at, last);
}

bool heap_holds(const struct heap_item *item)
{
    return item->place != 0;
}
