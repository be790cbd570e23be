/* spool_agents.c: agent id -> how many of its events newer ones have to wait for; a hash table of short chains.
 * SPDX-License-Identifier: Apache-2.0 */
#include "spool.h"
#include <stdlib.h>
#include <string.h>

enum { BUCKETS_LEAST = 64 };

struct agent {
    struct agent *next;
    int64_t n;
    size_t size;
    uint8_t id[];
};

struct spool_agents {
    struct agent **buckets;
    size_t size, count;
};

static struct agent **bucket_of(struct agent **buckets, size_t size, struct bytes id)
{
    uint64_t h = 14695981039346656037U; /* FNV-1a: the ids are the operator's own, nobody else picks them */
    for (size_t i = 0; i < id.size; i++)
        h = (h ^ id.data[i]) * 1099511628211U;
    return &buckets[h & (size - 1)];
}

static struct agent **place_of(const struct spool_agents *a, struct bytes id)
{
    struct agent **place = bucket_of(a->buckets, a->size, id);
    while (*place && !bytes_equal((struct bytes){(*place)->id, (*place)->size}, id))
        place = &(*place)->next;
    return place;
}

static bool grow(struct spool_agents *a)
{
    size_t size = a->size ? 2 * a->size : BUCKETS_LEAST;
    struct agent **buckets = calloc(size, sizeof *buckets);
    if (!buckets) return false;
    for (size_t i = 0; i < a->size; i++) {
        for (struct agent *one = a->buckets[i], *next; one; one = next) {
            struct agent **bucket = bucket_of(buckets, size, (struct bytes){one->id, one->size});
            next = one->next;
            one->next = *bucket;
            *bucket = one;
        }
    }
    free(a->buckets);
    a->buckets = buckets;
    a->size = size;
    return true;
}

struct spool_agents *spool_agents_new(void)
{
    struct spool_agents *a = calloc(1, sizeof *a);
    if (a && grow(a)) return a;
    free(a);
    return NULL;
}

void spool_agents_clear(struct spool_agents *a)
{
    for (size_t i = 0; a->count > 0 && i < a->size; i++) {
        for (struct agent *one = a->buckets[i], *next; one; one = next) {
            next = one->next;
            free(one);
        }
        a->buckets[i] = NULL;
    }
    a->count = 0;
}

void spool_agents_free(struct spool_agents *a)
{
    if (!a) return;
    spool_agents_clear(a);
    free(a->buckets);
    free(a);
}

bool spool_agents_add(struct spool_agents *a, struct bytes agent_id, int64_t n)
{
    struct agent **place = place_of(a, agent_id);
    if (!*place) {
        if (a->count >= a->size && !grow(a)) return false;
        struct agent *fresh = malloc(sizeof *fresh + agent_id.size);
        if (!fresh) return false;
        *fresh = (struct agent){.size = agent_id.size};
        memcpy(fresh->id, agent_id.data, agent_id.size);
        place = place_of(a, agent_id); /* the table may be another by now */
        *place = fresh;
        a->count++;
    }
    (*place)->n += n;
    return true;
}

void spool_agents_take(struct spool_agents *a, struct bytes agent_id)
{
    struct agent **place = place_of(a, agent_id), *one = *place;
    if (!one || --one->n > 0) return;
    *place = one->next;
    free(one);
    a->count--;
}

int64_t spool_agents_get(const struct spool_agents *a, struct bytes agent_id)
{
    const struct agent *one = *place_of(a, agent_id);
    return one ? one->n : 0;
}
