/* registry.c: the triggers topic folded: for each agent the newest record that is good, and whether a bad one came
 * behind it.  SPDX-License-Identifier: Apache-2.0 */
#include "text.h"
#include "triggers.h"
#include <stdlib.h>
#include <string.h>

enum { AGENTS_MAX = 10000, RECORD_MAX = 64 * 1024 };

/* An entry stays when its trigger is removed: a record that was written before then must not come back. */
struct entry {
    char *agent_id;
    struct trigger *trigger; /* in force; NULL: none */
    int64_t revision;        /* of the newest good record */
    bool refused;            /* the newest record was a bad one */
};

struct registry {
    const struct settings *settings;
    const struct scheme_set *schemes;
    size_t count, room;
    struct entry *entries; /* by agent_id */
};

const char *registry_verdict_name(enum registry_verdict verdict)
{
    static const char *const names[REGISTRY_VERDICTS] = {"served", "removed", "refused"};
    return names[verdict];
}

struct registry *registry_new(const struct settings *settings, const struct scheme_set *schemes)
{
    struct registry *r = calloc(1, sizeof *r);
    if (r) *r = (struct registry){.settings = settings, .schemes = schemes};
    return r;
}

void registry_free(struct registry *r)
{
    if (!r) return;
    for (size_t i = 0; i < r->count; i++) {
        trigger_unref(r->entries[i].trigger);
        free(r->entries[i].agent_id);
    }
    free(r->entries);
    free(r);
}

static int compare(struct bytes id, const char *other)
{
    size_t size = strlen(other), least = id.size < size ? id.size : size;
    int order = memcmp(id.data, other, least);
    return order != 0 ? order : (id.size > size) - (id.size < size);
}

/* Position of the agent's entry, or where it would have to stand. */
static size_t place_of(const struct registry *r, struct bytes id, bool *found)
{
    size_t low = 0, high = r->count;
    *found = false;
    while (low < high && !*found) {
        size_t middle = low + (high - low) / 2;
        int order = compare(id, r->entries[middle].agent_id);
        *found = order == 0;
        if (order > 0)
            low = middle + 1;
        else
            high = middle;
    }
    return high;
}

static struct entry *entry_of(const struct registry *r, struct bytes id)
{
    bool found;
    size_t place = place_of(r, id, &found);
    return found ? &r->entries[place] : NULL;
}

static struct entry *entry_make(struct registry *r, struct bytes id, struct error *problem)
{
    bool found;
    size_t place = place_of(r, id, &found);
    if (found) return &r->entries[place];
    if (r->count >= AGENTS_MAX) {
        error_set(problem, ERROR_TOO_LARGE, "the topic names more than %d agents", AGENTS_MAX);
        return NULL;
    }
    if (r->count == r->room) {
        size_t room = r->room ? 2 * r->room : 16;
        struct entry *entries = reallocarray(r->entries, room, sizeof *entries);
        if (!entries) goto no_memory;
        r->entries = entries;
        r->room = room;
    }
    char *agent_id = bytes_dup(id);
    if (!agent_id) goto no_memory;
    memmove(&r->entries[place + 1], &r->entries[place], (r->count - place) * sizeof *r->entries);
    r->entries[place] = (struct entry){.agent_id = agent_id};
    r->count++;
    return &r->entries[place];
no_memory:
    error_set(problem, ERROR_MEMORY, "no memory for a trigger");
    return NULL;
}

static enum registry_verdict take_tombstone(struct entry *e)
{
    if (e) {
        trigger_unref(e->trigger);
        e->trigger = NULL;
        e->refused = false;
    }
    return REGISTRY_REMOVED;
}

/* Every problem of the report as one sentence. */
static void tell(const struct config_report *report, struct error *problem)
{
    char text[sizeof problem->text];
    size_t size = strlen(buffer_cstr(&report->text));
    if (size >= sizeof text) size = sizeof text - 1;
    memcpy(text, buffer_cstr(&report->text), size);
    while (size > 0 && text[size - 1] == '\n')
        size--;
    text[size] = 0;
    for (char *c = text; (c = strchr(c, '\n')) != NULL;)
        *c = ';';
    error_set(problem, ERROR_INVALID, "%s", text);
}

static struct trigger *load(const struct registry *r, const struct record *record, int64_t offset,
                            struct error *problem)
{
    char name[320];
    struct config_report report;
    if (record->value.size > RECORD_MAX) {
        error_set(problem, ERROR_TOO_LARGE, "the record is over %d KiB", RECORD_MAX / 1024);
        return NULL;
    }
    snprintf(name, sizeof name, "%s offset %lld", r->settings->trigger_topic, (long long)offset);
    config_report_init(&report);
    struct trigger *t = trigger_source_record(r->settings, r->schemes, name, record, &report);
    if (!t) tell(&report, problem);
    config_report_close(&report);
    return t;
}

enum registry_verdict registry_take(struct registry *r, const struct record *record, int64_t offset,
                                    struct error *problem)
{
    if (!text_is_agent_id(record->key)) {
        error_set(problem, ERROR_INVALID, "the record's key is no agent id");
        return REGISTRY_REFUSED;
    }
    if (!record->value.data) return take_tombstone(entry_of(r, record->key));
    struct entry *e = entry_make(r, record->key, problem);
    if (!e) return REGISTRY_REFUSED;
    struct trigger *t = load(r, record, offset, problem);
    if (t && t->revision < e->revision) {
        error_set(problem, ERROR_INVALID, "revision %lld was written again behind %lld: an old record changes nothing",
                  (long long)t->revision, (long long)e->revision);
        trigger_unref(t);
        t = NULL;
    }
    e->refused = !t;
    if (!t) return REGISTRY_REFUSED;
    trigger_unref(e->trigger);
    e->trigger = t;
    e->revision = t->revision;
    return REGISTRY_SERVED;
}

size_t registry_bad(const struct registry *r)
{
    size_t bad = 0;
    for (size_t i = 0; i < r->count; i++)
        bad += r->entries[i].refused;
    return bad;
}

void registry_adopt(struct registry *r, const struct registry *older)
{
    for (size_t i = 0; i < older->count; i++) {
        const struct entry *old = &older->entries[i];
        struct entry *e = entry_of(r, bytes_of(old->agent_id));
        if (!e || !e->refused || e->trigger || !old->trigger) continue;
        e->trigger = trigger_ref(old->trigger);
        e->revision = old->revision;
    }
}

struct trigger_set *registry_merge(const struct registry *r, const struct trigger_set *directory)
{
    struct trigger **triggers = calloc(r->count + 1, sizeof *triggers);
    size_t count = 0;
    if (!triggers) return NULL;
    for (size_t i = 0; i < r->count; i++)
        if (r->entries[i].trigger) triggers[count++] = r->entries[i].trigger;
    struct trigger_set *set = trigger_set_merge(directory, triggers, count);
    free(triggers);
    return set;
}
