/* trigger_records.c: the triggers topic as the tool reads and writes it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "kafka_admin.h"
#include "kafka_writer.h"
#include "trigger.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { READ_TIMEOUT_MS = 30000, WRITE_TIMEOUT_MS = 30000, RECORDS_MAX = 1000000 };

struct topic_record *topic_records_add(struct topic_records *r, struct bytes key, struct bytes value)
{
    if (r->count == r->room) {
        const size_t room = r->room > 0 ? 2 * r->room : 64;
        struct topic_record *items = room <= RECORDS_MAX ? reallocarray(r->items, room, sizeof *items) : NULL;
        if (items == NULL) return NULL;
        r->items = items;
        r->room = room;
    }
    struct topic_record *record = &r->items[r->count];
    *record = (struct topic_record){.offset = r->end, .key_size = key.size, .value_size = value.size};
    record->key = bytes_dup(key);
    record->value = value.data != NULL ? bytes_dup(value) : NULL;
    if (record->key == NULL || (value.data != NULL && record->value == NULL)) {
        free(record->key);
        free(record->value);
        return NULL;
    }
    r->count++;
    r->end++;
    return record;
}

void topic_records_close(struct topic_records *r)
{
    for (size_t i = 0; i < r->count; i++) {
        free(r->items[i].key);
        free(r->items[i].value);
        free(r->items[i].problem);
    }
    free(r->items);
    *r = (struct topic_records){0};
}

static bool take_record(struct topic_records *out, const struct record *record, const struct reader_position *position,
                        struct error *error)
{
    out->end = position->offset;
    struct topic_record *taken = topic_records_add(out, record->key, record->value);
    if (taken == NULL) return error_set(error, ERROR_TOO_LARGE, "the triggers topic is too large to be read");
    taken->timestamp_ms = position->timestamp_ms;
    return true;
}

/* Everything from an offset to the end. */
static bool read_from(const struct cli_kafka *kafka, int64_t offset, struct topic_records *out, struct error *error)
{
    const char *topic = kafka->topics.name[TOPIC_TRIGGERS];
    struct kafka_reader *reader = kafka_reader_new(
        &kafka->settings, topic, 0, offset > 0 ? KAFKA_FROM_OFFSET : KAFKA_FROM_BEGINNING, offset, error);
    const int64_t deadline_ms = clock_monotonic_ms() + READ_TIMEOUT_MS;
    bool good = reader != NULL, end = false;
    while (good && !end) {
        struct record record;
        struct reader_position position;
        switch (kafka_reader_next(reader, 500, &record, &position, error)) {
        case READER_RECORD: good = take_record(out, &record, &position, error); break;
        case READER_END: end = true; break;
        case READER_FAILED: good = false; break;
        case READER_IDLE:
            if (clock_monotonic_ms() >= deadline_ms)
                good = error_set(error, ERROR_TIMED_OUT, "topic '%s' could not be read to its end in time", topic);
        }
    }
    kafka_reader_free(reader);
    return good;
}

/* With two partitions every ingress would miss what stands in the second. */
static bool check_topic(const struct cli_kafka *kafka, struct error *error)
{
    const char *topic = kafka->topics.name[TOPIC_TRIGGERS];
    int partitions = 0, replicas;
    struct kafka_admin *admin = kafka_admin_new(&kafka->settings, error);
    bool good = admin != NULL && kafka_admin_topic(admin, topic, READ_TIMEOUT_MS, &partitions, &replicas, error);
    kafka_admin_free(admin);
    if (good && partitions == 0)
        good =
            error_set(error, ERROR_NOT_FOUND, "topic '%s' does not exist; `drawbridge topics create` makes it", topic);
    if (good && partitions != 1)
        good = error_set(error, ERROR_INVALID, "topic '%s' has %d partitions, and must have one", topic, partitions);
    return good;
}

bool topic_records_read(const struct cli_kafka *kafka, struct topic_records *out, struct error *error)
{
    *out = (struct topic_records){0};
    return check_topic(kafka, error) && read_from(kafka, 0, out, error);
}

const struct topic_record *topic_records_newest(const struct topic_records *r, const char *agent_id)
{
    for (size_t i = r->count; i > 0; i--) {
        const struct topic_record *record = &r->items[i - 1];
        if (record->key_size == strlen(agent_id) && memcmp(record->key, agent_id, record->key_size) == 0) return record;
    }
    return NULL;
}

/* What stands behind the records that were read: ours at least, and whoever else wrote meanwhile. */
static void warn_of_others(const struct cli_kafka *kafka, const char *agent_id, int64_t end)
{
    struct topic_records behind = {0};
    struct error ignored = {0};
    size_t of_agent = 0;
    if (read_from(kafka, end, &behind, &ignored))
        for (size_t i = 0; i < behind.count; i++)
            of_agent +=
                bytes_are((struct bytes){(const uint8_t *)behind.items[i].key, behind.items[i].key_size}, agent_id);
    if (of_agent > 1)
        talk("warning: somebody else wrote the trigger of '%s' at the same moment; the last record counts, see "
             "drawbridge trigger get %s",
             agent_id, agent_id);
    topic_records_close(&behind);
}

bool topic_records_write(const struct cli_kafka *kafka, const char *agent_id, struct bytes value, int64_t end,
                         struct error *error)
{
    const char *topic = kafka->topics.name[TOPIC_TRIGGERS];
    struct record_header headers[] = {{BYTES_LITERAL("content-type"), BYTES_LITERAL("application/json")}};
    const struct record record = {
        .key = bytes_of(agent_id), .value = value, .headers = headers, .header_count = value.data != NULL ? 1 : 0};
    struct kafka_writer *writer = kafka_writer_new(&kafka->settings, error);
    const bool good = writer != NULL && kafka_writer_send(writer, topic, &record, error) &&
                      kafka_writer_flush(writer, WRITE_TIMEOUT_MS, error);
    kafka_writer_free(writer);
    if (!good) return error_context(error, "write topic '%s'", topic);
    warn_of_others(kafka, agent_id, end);
    return true;
}
