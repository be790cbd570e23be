/* kafka.h: librdkafka in one place: clients from configuration (kafka_conf.c), records and error classes (kafka.c), the
 * topics (kafka_topics.c) and a simple reader (kafka_reader.c).  rdkafka.h itself is included only by these and by the
 * files at the programs' edges.  SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "config.h"
#include "error.h"
#include "kafka_topics.h"
#include "record.h"

struct rd_kafka_s;
struct rd_kafka_conf_s;
struct rd_kafka_message_s;
struct rd_kafka_error_s;
struct rd_kafka_headers_s;

/* The `kafka` group of a configuration: any librdkafka property with '_' for '.' (bootstrap_servers = "..."). Passwords
 * and private keys may be "env:NAME" or "file:PATH" in place of the text, and never stand in a message. */
struct kafka_settings {
    struct config_map properties;
};

enum kafka_role {
    KAFKA_INGRESS_PRODUCER, /* idempotent, acks=all; traps 2.4 */
    KAFKA_RUNNER_PRODUCER,  /* transactional */
    KAFKA_RUNNER_CONSUMER,  /* group member, eager range, no auto anything */
    KAFKA_READER,           /* read_committed, no group: rd_kafka_consume_start_queue */
    KAFKA_WRITER,           /* the tool's producer: the same promises as the ingress's, tuned for many records */
    KAFKA_ADMIN,
};

/* librdkafka's configuration for a role: our values, the user's over them, and what promises rest on at last.  A
 * property of the latter kind is refused with the reason; SCRAM with a librdkafka before 2.6.1 is refused too (traps,
 * fact 13). librdkafka's log lines go to ours.  The caller owns the result until kafka_client_new takes it. */
struct rd_kafka_conf_s *kafka_conf_new(const struct kafka_settings *settings, enum kafka_role role,
                                       struct error *error);
/* Sets one property that the program decides (group.id, queue.buffering.max.kbytes, ...), by its name with dots. */
bool kafka_conf_set(struct rd_kafka_conf_s *conf, const char *name, const char *value, struct error *error);
/* Takes conf in any case. */
struct rd_kafka_s *kafka_client_new(enum kafka_role role, struct rd_kafka_conf_s *conf, struct error *error);

/* Reports what is wrong with the settings without connecting anywhere: also contradictions and unreadable certificates,
 * which only a client that starts would meet. */
bool kafka_settings_check(const struct kafka_settings *settings, enum kafka_role role, struct error *error);

/* Produces one record; librdkafka copies key, value and headers, so everything stays the caller's whatever comes back.
 * partition < 0: by the partitioner (murmur2_random).  The opaque comes back in the delivery report.  timestamp_ms 0:
 * now.  Never blocks.  KAFKA_QUEUE_FULL: later.  KAFKA_TOO_LARGE: over message.max.bytes of the client.  KAFKA_REFUSED:
 * a partition beyond the known count, or a producer that can't take records now (fatal, no transaction open); see
 * error. The topic is looked up by name: 0.03 us of the 0.6 that a record with 14 headers costs. */
enum kafka_produced { KAFKA_PRODUCED, KAFKA_QUEUE_FULL, KAFKA_TOO_LARGE, KAFKA_REFUSED };
enum kafka_produced kafka_produce(struct rd_kafka_s *rk, const char *topic, int partition, const struct record *r,
                                  int64_t timestamp_ms, void *opaque, struct error *error);

/* The same in two steps: a copy of the record now, the produce later.  For whoever makes many records in one turn: the
 * first produce wakes the broker's thread, which then competes with the making of the others and sends small batches.
 * The record must have a value. */
struct kafka_message {                  /* zeroed before its first record */
    struct rd_kafka_headers_s *headers; /* NULL once it is produced */
    uint8_t *block;                     /* the value, then the key; the same one for record after record */
    size_t block_size, value_size, key_size;
};
/* False without memory. */
bool kafka_message_set(struct kafka_message *m, const struct record *r);
/* librdkafka reads the value where it stands: until the delivery report, or the end of the producer, the message must
 * be left alone.  Only if it is not KAFKA_PRODUCED there is no report to wait for. */
enum kafka_produced kafka_message_produce(struct rd_kafka_s *rk, const char *topic, struct kafka_message *m,
                                          void *opaque, struct error *error);
/* Legal twice. */
void kafka_message_close(struct kafka_message *m);

/* A consumed message as a record that views it; headers[] has room for RECORD_HEADERS_MAX, further ones are dropped and
 * *truncated set (also when the headers can't be read at all). */
void kafka_message_record(const struct rd_kafka_message_s *m, struct record_header *headers, struct record *out,
                          bool *truncated);

/* What to do about an error: the same call again; abort the transaction, then the same inputs again; never again, the
 * record or request itself is at fault; rebuild the client.  By code (rd_kafka_resp_err_t), as in delivery reports and
 * error callbacks; an unknown code is fatal. */
enum kafka_class { KAFKA_OK, KAFKA_RETRY, KAFKA_ABORT, KAFKA_GIVE_UP, KAFKA_FATAL };
enum kafka_class kafka_error_class(int code);
/* By the object that transactional calls return, which knows better than its code (traps 2.1).  NULL is KAFKA_OK; it
 * stays the caller's. */
enum kafka_class kafka_error_object_class(const struct rd_kafka_error_s *e);
/* True for authentication and TLS errors, which librdkafka retries for ever (traps 2.1). */
bool kafka_error_is_credentials(int code);

/* Partition count of a topic; ERROR_NOT_FOUND when it does not exist (it is not created by asking), ERROR_UNAVAILABLE
 * when nobody answers in time or it has no leader, ERROR_DENIED for bad credentials.  Blocks: start-up, the
 * transaction thread and the tool only. */
bool kafka_partition_count(struct rd_kafka_s *rk, const char *topic, int timeout_ms, int *count, struct error *error);

/* Reads a topic from its beginning, its end, an offset or a time; read_committed; no group, so no group's rights are
 * needed and nothing is left behind.  For the tool and the tests' eyes: one thread, blocks. */
struct kafka_reader;
enum kafka_from { KAFKA_FROM_BEGINNING, KAFKA_FROM_END, KAFKA_FROM_TIME, KAFKA_FROM_OFFSET };
/* partition < 0: all.  `at` is wall milliseconds or the offset.  Waits up to 10 s for the brokers. */
struct kafka_reader *kafka_reader_new(const struct kafka_settings *settings, const char *topic, int partition,
                                      enum kafka_from from, int64_t at, struct error *error);
/* READER_RECORD: *out views the reader until the next call.  READER_END: every partition has been read to its stable
 * end (said once per catch-up).  READER_IDLE: nothing within timeout_ms, also while no broker can be reached.
 * READER_FAILED: see error; what failed would fail again. */
enum reader_event { READER_RECORD, READER_END, READER_IDLE, READER_FAILED };
struct reader_position {
    int partition;
    int64_t offset, timestamp_ms;
};
enum reader_event kafka_reader_next(struct kafka_reader *r, int timeout_ms, struct record *out,
                                    struct reader_position *position, struct error *error);
void kafka_reader_free(struct kafka_reader *r); /* NULL is legal */

/* "2.0.2" of the library at run time. */
const char *kafka_library_version(void);
