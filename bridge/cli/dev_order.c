/* dev_order.c: lines about a workflow in the order in which things happened, though they are read from three topics
 * that come at their own pace.  Pure: time is an argument. SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include <stdlib.h>
#include <string.h>

enum { WAITING_MAX = 1024, KNOWN_MAX = 4096, NOTHING_KNOWN = -1 };

struct waiting_line {
    char workflow_id[RECORD_WORKFLOW_ID_SIZE];
    int64_t needs, gives, since_ms;
    char *text; /* owned */
};

struct dev_order {
    struct waiting_line waiting[WAITING_MAX]; /* oldest first */
    size_t waiting_count;
    struct {
        char workflow_id[RECORD_WORKFLOW_ID_SIZE];
        int64_t step;
    } known[KNOWN_MAX]; /* a ring: the oldest makes room */
    size_t known_next;
};

struct dev_order *dev_order_new(void)
{
    return calloc(1, sizeof(struct dev_order));
}

void dev_order_free(struct dev_order *o)
{
    for (size_t i = 0; o != NULL && i < o->waiting_count; i++)
        free(o->waiting[i].text);
    free(o);
}

static int64_t known_step(const struct dev_order *o, const char *workflow_id)
{
    for (size_t i = 0; i < KNOWN_MAX; i++)
        if (strcmp(o->known[i].workflow_id, workflow_id) == 0) return o->known[i].step;
    return NOTHING_KNOWN;
}

static void know_step(struct dev_order *o, const char *workflow_id, int64_t step)
{
    for (size_t i = 0; i < KNOWN_MAX; i++) {
        if (strcmp(o->known[i].workflow_id, workflow_id) != 0) continue;
        if (step > o->known[i].step) o->known[i].step = step;
        return;
    }
    snprintf(o->known[o->known_next].workflow_id, RECORD_WORKFLOW_ID_SIZE, "%s", workflow_id);
    o->known[o->known_next].step = step;
    o->known_next = (o->known_next + 1) % KNOWN_MAX;
}

bool dev_order_add(struct dev_order *o, struct dev_line line, int64_t now_ms)
{
    char *text = bytes_dup(line.text);
    if (o->waiting_count == WAITING_MAX || text == NULL) {
        free(text);
        return false;
    }
    struct waiting_line *w = &o->waiting[o->waiting_count++];
    *w = (struct waiting_line){.needs = line.needs, .gives = line.gives, .since_ms = now_ms, .text = text};
    snprintf(w->workflow_id, sizeof w->workflow_id, "%.*s", (int)line.workflow_id.size,
             (const char *)line.workflow_id.data);
    return true;
}

char *dev_order_next(struct dev_order *o, int64_t now_ms)
{
    for (size_t i = 0; i < o->waiting_count; i++) {
        struct waiting_line *w = &o->waiting[i];
        const bool nameless = w->workflow_id[0] == '\0', tired = now_ms - w->since_ms >= DEV_ORDER_PATIENCE_MS;
        if (!nameless && !tired && known_step(o, w->workflow_id) < w->needs) continue;
        if (!nameless) know_step(o, w->workflow_id, w->gives);
        char *text = w->text;
        memmove(w, w + 1, (--o->waiting_count - i) * sizeof *w);
        return text;
    }
    return NULL;
}
