/* trigger_topic.c: follows the triggers topic in the loop.
 *
 * A registry folds the records.  The one in force was read to the topic's end once and is kept up to date by its
 * follower.  Beside it a second one may be on its way from the beginning: at the start, after the topic was cut or made
 * anew, after SIGHUP, and every few hours: a tombstone that was compacted away while Kafka was out of reach is noticed
 * only so.  When it has met the end it takes over as a whole.
 * SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "ingress.h"
#include "kafka_follower.h"
#include "log.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    RECORDS_A_TURN = 64,
    TURN_MS = 5, /* whoever can write the topic can't hold up deliveries for longer */
    RETRY_MS = 2000,
    AGAIN_MS = 6 * 3600 * 1000, /* far below delete.retention.ms of the topic */
};

struct reading {
    struct kafka_follower *follower;
    struct registry *registry;
    int64_t offset; /* of the newest record, or -1 */
};

struct trigger_topic {
    const struct settings *settings;
    const struct scheme_set *schemes;
    struct metrics *metrics;
    int event_fd;
    struct reading in_force, coming;
    bool changed; /* since trigger_topic_run last said so */
    bool more;    /* the last turn ended before the queue did */
    int64_t again_at_ms;
    char why[640];
};

static void reading_close(struct reading *r)
{
    kafka_follower_free(r->follower);
    registry_free(r->registry);
    *r = (struct reading){.offset = -1};
}

static bool reading_open(struct trigger_topic *t, struct reading *r, struct error *error)
{
    reading_close(r);
    r->registry = registry_new(t->settings, t->schemes);
    if (!r->registry) return error_set(error, ERROR_MEMORY, "no memory for the triggers");
    r->follower = kafka_follower_new(&t->settings->kafka, t->settings->trigger_topic, t->event_fd, error);
    if (r->follower) return true;
    reading_close(r);
    return false;
}

struct trigger_topic *trigger_topic_new(const struct settings *settings, const struct scheme_set *schemes,
                                        struct metrics *metrics, struct error *error)
{
    struct trigger_topic *t = calloc(1, sizeof *t);
    if (!t) {
        error_set(error, ERROR_MEMORY, "no memory for the triggers");
        return NULL;
    }
    *t = (struct trigger_topic){.settings = settings, .schemes = schemes, .metrics = metrics};
    t->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (t->event_fd < 0)
        error_set_errno(error, errno, "eventfd");
    else if (reading_open(t, &t->coming, error))
        return t;
    trigger_topic_free(t);
    return NULL;
}

void trigger_topic_free(struct trigger_topic *t)
{
    if (!t) return;
    reading_close(&t->coming);
    reading_close(&t->in_force);
    if (t->event_fd >= 0) close(t->event_fd);
    free(t);
}

int trigger_topic_fd(const struct trigger_topic *t)
{
    return t->event_fd;
}

int trigger_topic_timeout_ms(const struct trigger_topic *t, int64_t now_ms)
{
    if (t->more) return 0;
    if (t->again_at_ms == 0) return -1;
    return t->again_at_ms <= now_ms ? 0 : (int)(t->again_at_ms - now_ms);
}

void trigger_topic_again(struct trigger_topic *t, int64_t now_ms)
{
    struct error error;
    t->more = true;
    if (reading_open(t, &t->coming, &error)) {
        t->again_at_ms = 0;
        return;
    }
    log_event(LOG_ERROR, "triggers topic", log_text("problem", error.text));
    t->again_at_ms = now_ms + RETRY_MS;
}

/* ---- records ---- */

static void take(struct trigger_topic *t, struct reading *r, const struct record *record, int64_t offset)
{
    struct error problem;
    enum registry_verdict verdict = registry_take(r->registry, record, offset, &problem);
    r->offset = offset;
    metrics_add(t->metrics, METRIC_TRIGGER_RECORDS + (size_t)verdict, 1);
    if (verdict == REGISTRY_REFUSED) {
        log_event(LOG_ERROR, "trigger record refused", log_bytes("agent_id", record->key), log_int("offset", offset),
                  log_text("problem", problem.text));
    } else if (r == &t->in_force) {
        t->changed = true;
        log_event(LOG_INFO, "trigger record", log_bytes("agent_id", record->key), log_int("offset", offset),
                  log_text("verdict", registry_verdict_name(verdict)));
    }
}

/* The registry that has just been read to the end takes over. */
static void take_over(struct trigger_topic *t, int64_t now_ms)
{
    if (t->in_force.registry) registry_adopt(t->coming.registry, t->in_force.registry);
    reading_close(&t->in_force);
    t->in_force = t->coming;
    t->coming = (struct reading){.offset = -1};
    t->changed = true;
    t->again_at_ms = now_ms + AGAIN_MS;
    log_event(LOG_INFO, "triggers topic read", log_text("topic", t->settings->trigger_topic),
              log_int("offset", t->in_force.offset), log_int("refused", (int64_t)registry_bad(t->in_force.registry)));
}

static void fail(struct trigger_topic *t, struct reading *r, const struct error *error, int64_t now_ms)
{
    log_event(LOG_WARN, "triggers topic is read again", log_text("problem", error->text));
    kafka_follower_free(r->follower); /* its registry stays in force until another one is complete */
    r->follower = NULL;
    t->again_at_ms = now_ms + RETRY_MS;
}

/* True when the queue was read to its end. */
static bool read_some(struct trigger_topic *t, struct reading *r, int64_t now_ms)
{
    const int64_t until_ms = clock_monotonic_ms() + TURN_MS;
    for (int i = 0; i < RECORDS_A_TURN && r->follower && clock_monotonic_ms() <= until_ms; i++) {
        struct record record;
        struct reader_position position;
        struct error error;
        switch (kafka_follower_next(r->follower, &record, &position, &error)) {
        case READER_RECORD: take(t, r, &record, position.offset); break;
        case READER_END:
            if (r == &t->coming) {
                take_over(t, now_ms);
                return false; /* what stands behind the end is read as the one in force */
            }
            break;
        case READER_IDLE: return true;
        case READER_FAILED: fail(t, r, &error, now_ms); return true;
        }
    }
    return !r->follower;
}

bool trigger_topic_run(struct trigger_topic *t, int64_t now_ms)
{
    uint64_t events;
    /* The event says "no longer empty" once; so it is taken before the queues are read to their ends (traps 2.5). */
    if (read(t->event_fd, &events, sizeof events) < 0 && errno != EAGAIN)
        log_event(LOG_ERROR, "eventfd", log_int("errno", errno));
    if (t->again_at_ms != 0 && now_ms >= t->again_at_ms) trigger_topic_again(t, now_ms);
    bool old_done = read_some(t, &t->in_force, now_ms);
    t->more = !read_some(t, &t->coming, now_ms) || !old_done;
    metrics_set(t->metrics, METRIC_TRIGGER_OFFSET, t->in_force.registry ? t->in_force.offset : -1);
    metrics_set(t->metrics, METRIC_TRIGGERS_REFUSED,
                t->in_force.registry ? (int64_t)registry_bad(t->in_force.registry) : 0);
    const char *trouble = t->coming.follower ? kafka_follower_trouble(t->coming.follower) : NULL;
    snprintf(t->why, sizeof t->why, "%s", trouble ? trouble : "the triggers topic is not read to its end yet");
    bool changed = t->changed;
    t->changed = false;
    return changed;
}

bool trigger_topic_converged(const struct trigger_topic *t, const char **why)
{
    if (t->in_force.registry) return true;
    if (why) *why = t->why[0] ? t->why : "the triggers topic is not read yet";
    return false;
}

struct trigger_set *trigger_topic_merge(const struct trigger_topic *t, const struct trigger_set *directory)
{
    if (!t->in_force.registry) return trigger_set_merge(directory, NULL, 0);
    return registry_merge(t->in_force.registry, directory);
}
