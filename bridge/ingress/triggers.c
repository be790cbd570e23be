/* triggers.c: agent id -> trigger, as one immutable, reference-counted snapshot.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ingress.h"
#include <stdlib.h>
#include <string.h>

struct trigger *trigger_ref(struct trigger *t)
{
    t->references++;
    return t;
}

void trigger_unref(struct trigger *t)
{
    if (!t || --t->references > 0) return;
    config_free(trigger_file_options, trigger_file_option_count, &t->options);
    trigger_verify_close(t);
    free(t->allowed);
    free(t->ce_source);
    free(t->webhook_url);
    buffer_close(&t->trigger_json);
    buffer_close(&t->info_json);
    secret_free(t->hub_token);
    account_unref(t->account);
    for (size_t i = 0; i < t->identity_count; i++)
        free(t->identity[i].record_name);
    free(t->identity);
    free(t);
}

/* Open addressing with linear probing; `size` is a power of two and at least twice the count. */
struct trigger_set {
    int references;
    size_t count, size;
    struct trigger **slots;
};

static uint64_t hash_of(struct bytes id)
{
    uint64_t h = 14695981039346656037U; /* FNV-1a: the ids are the operator's own, nobody else picks them */
    for (size_t i = 0; i < id.size; i++)
        h = (h ^ id.data[i]) * 1099511628211U;
    return h;
}

static struct trigger **slot_of(struct trigger **slots, size_t size, struct bytes id)
{
    size_t i = hash_of(id) & (size - 1);
    while (slots[i] && !bytes_are(id, slots[i]->options.agent_id))
        i = (i + 1) & (size - 1);
    return &slots[i];
}

static bool set_resize(struct trigger_set *set, size_t size)
{
    struct trigger **slots = calloc(size, sizeof *slots);
    if (!slots) return false;
    for (size_t i = 0; i < set->size; i++)
        if (set->slots[i]) *slot_of(slots, size, bytes_of(set->slots[i]->options.agent_id)) = set->slots[i];
    free(set->slots);
    set->slots = slots;
    set->size = size;
    return true;
}

struct trigger_set *trigger_set_new(void)
{
    struct trigger_set *set = calloc(1, sizeof *set);
    if (set && !set_resize(set, 16)) {
        free(set);
        return NULL;
    }
    if (set) set->references = 1;
    return set;
}

bool trigger_set_add(struct trigger_set *set, struct trigger *t)
{
    if (2 * (set->count + 1) > set->size && !set_resize(set, 2 * set->size)) return false;
    struct trigger **slot = slot_of(set->slots, set->size, bytes_of(t->options.agent_id));
    if (*slot) return false;
    *slot = t;
    set->count++;
    return true;
}

const struct trigger *trigger_set_find(const struct trigger_set *set, struct bytes agent_id)
{
    return *slot_of(set->slots, set->size, agent_id);
}

size_t trigger_set_count(const struct trigger_set *set)
{
    return set->count;
}

const struct trigger *trigger_set_next(const struct trigger_set *set, size_t *cursor)
{
    while (*cursor < set->size) {
        const struct trigger *t = set->slots[(*cursor)++];
        if (t) return t;
    }
    return NULL;
}

void trigger_set_inherit(struct trigger_set *set, const struct trigger_set *before)
{
    for (size_t i = 0; i < set->size; i++) {
        struct trigger *t = set->slots[i];
        const struct trigger *old = t ? trigger_set_find(before, bytes_of(t->options.agent_id)) : NULL;
        if (!old || old->account == t->account) continue;
        account_unref(t->account);
        t->account = account_ref(old->account);
    }
}

struct trigger_set *trigger_set_ref(struct trigger_set *set)
{
    set->references++;
    return set;
}

void trigger_set_unref(struct trigger_set *set)
{
    if (!set || --set->references > 0) return;
    for (size_t i = 0; i < set->size; i++)
        trigger_unref(set->slots[i]);
    free(set->slots);
    free(set);
}

/* Takes a reference of its own. */
static bool set_share(struct trigger_set *set, struct trigger *t)
{
    if (trigger_set_find(set, bytes_of(t->options.agent_id))) return true;
    if (trigger_set_add(set, trigger_ref(t))) return true;
    trigger_unref(t);
    return false;
}

struct trigger_set *trigger_set_merge(const struct trigger_set *first, struct trigger *const *more, size_t count)
{
    struct trigger_set *set = trigger_set_new();
    bool good = set != NULL;
    for (size_t i = 0; good && i < first->size; i++)
        good = !first->slots[i] || set_share(set, first->slots[i]);
    for (size_t i = 0; good && i < count; i++)
        good = set_share(set, more[i]);
    if (good) return set;
    trigger_set_unref(set);
    return NULL;
}
