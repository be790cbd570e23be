/* kafka.h: librdkafka in one place: clients from configuration, the properties our promises rest on, produce that
 * always takes ownership of nothing, error classes, topic checks, and a simple reader.
 * rdkafka.h itself is included only by kafka.c and the files that style allows.  SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "config.h"
#include "error.h"
#include "record.h"

struct rd_kafka_s;
struct rd_kafka_conf_s;
struct rd_kafka_message_s;

/* The `kafka` group of a configuration: any librdkafka property with '_' for '.' (bootstrap_servers = "..."). */
struct kafka_settings {
    struct config_map properties;
};

enum kafka_role {
    KAFKA_INGRESS_PRODUCER, /* idempotent, acks=all; traps 2.4 */
    KAFKA_RUNNER_PRODUCER,  /* transactional */
    KAFKA_RUNNER_CONSUMER,  /* group member, eager range, no auto anything */
    KAFKA_READER,           /* read_committed, no group */
    KAFKA_ADMIN,
};

/* librdkafka's configuration for a role: the user's properties, then ours on top.  A property that a promise rests on is
 * refused with the reason; SCRAM with a librdkafka before 2.6.1 is refused too (traps, fact 13).  The caller owns the
 * result until kafka_client_new takes it. */
struct rd_kafka_conf_s *kafka_conf_new(const struct kafka_settings *settings, enum kafka_role role, struct error *error);
/* Sets one of our own properties. */
bool kafka_conf_set(struct rd_kafka_conf_s *conf, const char *name, const char *value, struct error *error);
/* Takes conf in any case. */
struct rd_kafka_s *kafka_client_new(enum kafka_role role, struct rd_kafka_conf_s *conf, struct error *error);

/* Reports what is wrong with the settings without connecting anywhere. */
bool kafka_settings_check(const struct kafka_settings *settings, enum kafka_role role, struct error *error);

/* Produces one record; librdkafka copies key, value and headers, so everything stays the caller's.  partition < 0: by
 * the partitioner (murmur2_random).  A partition beyond the known count is refused here (#4627).  The opaque comes back
 * in the delivery report.  timestamp_ms 0: now. */
enum kafka_produced { KAFKA_PRODUCED, KAFKA_QUEUE_FULL, KAFKA_TOO_LARGE, KAFKA_REFUSED };
enum kafka_produced kafka_produce(struct rd_kafka_s *rk, const char *topic, int partition, const struct record *r,
                                  int64_t timestamp_ms, void *opaque, struct error *error);

/* A consumed message as a record that views it; headers[] has room for RECORD_HEADERS_MAX, further ones are dropped and
 * *truncated set. */
void kafka_message_record(const struct rd_kafka_message_s *m, struct record_header *headers, struct record *out,
                          bool *truncated);

/* What to do about an error code (rd_kafka_resp_err_t). */
enum kafka_class { KAFKA_OK, KAFKA_RETRY, KAFKA_ABORT, KAFKA_GIVE_UP, KAFKA_FATAL };
enum kafka_class kafka_error_class(int code);
/* True for authentication and TLS errors, which librdkafka retries for ever (traps 2.1). */
bool kafka_error_is_credentials(int code);

/* Partition count of a topic; an error when it does not exist or nobody answers in time.  Blocks: start-up, the
 * transaction thread and the tool only. */
bool kafka_partition_count(struct rd_kafka_s *rk, const char *topic, int timeout_ms, int *count, struct error *error);

/* The five topics with their names and settings; `drawbridge topics` and the daemons read this one table. */
enum kafka_topic { TOPIC_EVENTS, TOPIC_RESULTS, TOPIC_DEAD_LETTERS, TOPIC_JOURNAL, TOPIC_CONTROL, TOPIC_TRIGGERS, TOPIC_COUNT };
struct kafka_topic_names {
    char *name[TOPIC_COUNT]; /* config_option rows: offsetof(struct kafka_topic_names, name[TOPIC_EVENTS]) ... */
};
struct kafka_topic_property {
    const char *name, *value;
};
struct kafka_topic_def {
    const char *role;         /* "events" */
    const char *default_name; /* "drawbridge.events" */
    bool single_partition;    /* triggers */
    struct kafka_topic_property properties[8]; /* ended by a NULL name */
};
extern const struct kafka_topic_def kafka_topics[TOPIC_COUNT];
/* Option rows ("topics.events", ...) for a struct that begins with struct kafka_topic_names at `base`. */

/* Reads a topic from its beginning, an offset or a time; read_committed; no group.  For the tool and the tests' eyes. */
struct kafka_reader;
enum kafka_from { KAFKA_FROM_BEGINNING, KAFKA_FROM_END, KAFKA_FROM_TIME, KAFKA_FROM_OFFSET };
/* partition < 0: all.  `at` is wall milliseconds or the offset. */
struct kafka_reader *kafka_reader_new(const struct kafka_settings *settings, const char *topic, int partition,
                                      enum kafka_from from, int64_t at, struct error *error);
/* READER_RECORD: *out views the reader until the next call.  READER_END: every partition has reached what was its stable end
 * (said once per catch-up).  READER_IDLE: nothing within timeout_ms.  READER_FAILED: see error. */
enum reader_event { READER_RECORD, READER_END, READER_IDLE, READER_FAILED };
struct reader_position {
    int partition;
    int64_t offset, timestamp_ms;
};
enum reader_event kafka_reader_next(struct kafka_reader *r, int timeout_ms, struct record *out,
                                    struct reader_position *position, struct error *error);
void kafka_reader_free(struct kafka_reader *r);

/* "2.0.2" of the library at run time. */
const char *kafka_library_version(void);
