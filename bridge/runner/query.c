/* query.c: see query.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "query.h"
#include "kafka_admin.h"
#include "log.h"
#include "text.h"
#include <librdkafka/rdkafka.h>
#include <string.h>
#include <time.h>

enum { SLICE_MS = 100, PAUSE_MS = 5, METADATA_MS = 1000, ADMIN_MS = 5000 };

/* The five whose partition numbers must agree. */
static const enum kafka_topic numbered[] = {TOPIC_EVENTS, TOPIC_RESULTS, TOPIC_DEAD_LETTERS, TOPIC_JOURNAL,
                                            TOPIC_CONTROL};
enum { NUMBERED = sizeof numbered / sizeof numbered[0] };

static void pause_briefly(int64_t ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static bool count_one(const struct settings *s, struct rd_kafka_s *rk, enum kafka_topic topic, int *partitions,
                      struct error *error)
{
    int count;
    if (!kafka_partition_count(rk, s->topics.name[topic], METADATA_MS, &count, error)) return false;
    if (*partitions == 0) *partitions = count;
    if (count == *partitions) return true;
    return error_set(error, ERROR_INVALID,
                     "topic '%s' has %d partitions, but '%s' has %d: keys would move, so all must have the same number",
                     s->topics.name[topic], count, s->topics.name[TOPIC_EVENTS], *partitions);
}

static bool count_all(const struct settings *s, struct rd_kafka_s *rk, const atomic_bool *stop, struct job *j)
{
    for (size_t i = 0; i < NUMBERED;) {
        if (count_one(s, rk, numbered[i], &j->partitions, &j->error)) {
            i++;
            continue;
        }
        if (j->error.code != ERROR_UNAVAILABLE || atomic_load(stop)) return false;
        pause_briefly(SLICE_MS);
    }
    return true;
}

struct topic_look {
    int64_t record_max;
    bool compacted;
};

static void look_at(void *ctx, const char *name, const char *value)
{
    struct topic_look *look = ctx;
    if (!value) return;
    if (strcmp(name, "max.message.bytes") == 0) text_parse_int64(bytes_of(value), 1, INT32_MAX, &look->record_max);
    if (strcmp(name, "cleanup.policy") == 0) look->compacted = strcmp(value, "compact") == 0;
}

static int64_t default_record_max(enum kafka_topic topic)
{
    int64_t max = 1000000;
    for (const struct kafka_topic_property *p = kafka_topics[topic].properties; p->name; p++)
        if (strcmp(p->name, "max.message.bytes") == 0) text_parse_int64(bytes_of(p->value), 1, INT32_MAX, &max);
    return max;
}

/* The limits are a help (J11), not a condition: who may not describe topics gets those that `topics create` sets. */
static bool look_at_topics(const struct settings *s, struct job *j)
{
    struct error error;
    struct kafka_admin *admin = kafka_admin_new(&s->kafka, &error);
    bool good = true;
    for (size_t i = 0; good && i < NUMBERED; i++) {
        enum kafka_topic topic = numbered[i];
        struct topic_look look = {.record_max = default_record_max(topic)};
        j->record_max[topic] = look.record_max;
        if (!admin || !kafka_admin_settings(admin, s->topics.name[topic], ADMIN_MS, look_at, &look, &error)) {
            log_event(LOG_WARN, "topic settings unknown", log_text("topic", s->topics.name[topic]),
                      log_text("reason", error.text));
            kafka_admin_free(admin);
            admin = NULL;
            continue;
        }
        j->record_max[topic] = look.record_max;
        if (topic == TOPIC_JOURNAL && !look.compacted)
            good = error_set(&j->error, ERROR_INVALID,
                             "topic '%s' must have cleanup.policy=compact, or runs would be deleted from it",
                             s->topics.name[topic]);
    }
    kafka_admin_free(admin);
    return good;
}

bool query_topics(const struct settings *settings, struct rd_kafka_s *producer, const atomic_bool *stop, struct job *j)
{
    return count_all(settings, producer, stop, j) && look_at_topics(settings, j);
}

bool query_counts(const struct settings *settings, struct rd_kafka_s *producer, struct job *j)
{
    /* One topic a slice; j->offset_count walks. */
    if (j->offset_count == NUMBERED) return true;
    if (count_one(settings, producer, numbered[j->offset_count], &j->partitions, &j->error)) {
        j->offset_count++;
        return false;
    }
    j->failed = j->error.code == ERROR_INVALID;
    return true;
}

static rd_kafka_topic_partition_list_t *list_of(const struct settings *s, const struct job *j)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)j->offset_count);
    for (size_t i = 0; i < j->offset_count; i++)
        rd_kafka_topic_partition_list_add(list, s->topics.name[TOPIC_EVENTS], j->offsets[i].partition)->offset =
            j->offsets[i].offset;
    return list;
}

/* Said once for each different reason. */
static bool again(struct job *j, rd_kafka_resp_err_t code, const char *what)
{
    struct error before = j->error;
    error_set(&j->error, ERROR_UNAVAILABLE, "%s: %s", what, rd_kafka_err2str(code));
    if (code != RD_KAFKA_RESP_ERR__TIMED_OUT && strcmp(before.text, j->error.text) != 0)
        log_event(LOG_WARN, "asked again", log_text("reason", j->error.text));
    if (code != RD_KAFKA_RESP_ERR__TIMED_OUT) pause_briefly(PAUSE_MS);
    return false;
}

bool query_committed(struct rd_kafka_s *consumer, const struct settings *settings, struct job *j)
{
    rd_kafka_topic_partition_list_t *list = list_of(settings, j);
    /* After a time-out each partition says NO_ERROR and "no offset": only the return code tells (traps 2.3). */
    rd_kafka_resp_err_t code = rd_kafka_committed(consumer, list, SLICE_MS);
    for (int i = 0; code == RD_KAFKA_RESP_ERR_NO_ERROR && i < list->cnt; i++)
        code = list->elems[i].err;
    for (size_t i = 0; code == RD_KAFKA_RESP_ERR_NO_ERROR && i < j->offset_count; i++) {
        const rd_kafka_topic_partition_t *found =
            rd_kafka_topic_partition_list_find(list, settings->topics.name[TOPIC_EVENTS], j->offsets[i].partition);
        j->offsets[i].offset = found && found->offset >= 0 ? found->offset : -1;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR || again(j, code, "committed offsets");
}

bool query_seek(struct rd_kafka_s *consumer, const struct settings *settings, struct job *j)
{
    rd_kafka_topic_partition_list_t *list = list_of(settings, j);
    rd_kafka_error_t *e = rd_kafka_seek_partitions(consumer, list, SLICE_MS);
    rd_kafka_resp_err_t code = e ? rd_kafka_error_code(e) : RD_KAFKA_RESP_ERR_NO_ERROR;
    if (e) rd_kafka_error_destroy(e);
    for (int i = 0; code == RD_KAFKA_RESP_ERR_NO_ERROR && i < list->cnt; i++)
        code = list->elems[i].err;
    rd_kafka_topic_partition_list_destroy(list);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR || again(j, code, "seek");
}

bool query_end(struct rd_kafka_s *consumer, const struct settings *settings, struct job *j)
{
    for (size_t i = 0; i < j->offset_count; i++) {
        int64_t low, high;
        rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(consumer, settings->topics.name[TOPIC_EVENTS],
                                                                    j->offsets[i].partition, &low, &high, SLICE_MS);
        j->offsets[i].offset = code == RD_KAFKA_RESP_ERR_NO_ERROR ? high : -1; /* unknown: asked again in a minute */
    }
    return true;
}
