/* kafka_admin.h: the little administration that the tool does: create topics, read their settings.  Never alters a
 * setting: AlterConfigs resets whatever it does not name (traps 1, fact 12).  Blocks, but for the last two.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "buffer.h"
#include "error.h"
#include "kafka.h"

struct rd_kafka_s;
struct rd_kafka_queue_s;
struct rd_kafka_op_s;
struct kafka_admin;
/* Connects when first used.  The caller frees it. */
struct kafka_admin *kafka_admin_new(const struct kafka_settings *settings, struct error *error);
void kafka_admin_free(struct kafka_admin *a); /* NULL is legal */

/* How many brokers answer for the cluster; ERROR_UNAVAILABLE when none does in time. */
bool kafka_admin_brokers(struct kafka_admin *a, int timeout_ms, int *count, struct error *error);
/* Partitions and replicas (of the first partition) of a topic; *partitions is 0 when it does not exist. */
bool kafka_admin_topic(struct kafka_admin *a, const char *topic, int timeout_ms, int *partitions, int *replicas,
                       struct error *error);

struct kafka_admin_create {
    const char *topic;
    int partitions, replication;
    const struct kafka_topic_property *properties; /* ended by a NULL name */
    const char *min_insync_replicas;               /* set on top, or NULL */
};
/* Returns when the new topic has a leader for every partition.  *existed is set when it was there already: then nothing
 * was changed. */
bool kafka_admin_create(struct kafka_admin *a, const struct kafka_admin_create *create, int timeout_ms, bool *existed,
                        struct error *error);

/* Calls `each` for every setting of the topic as the broker sees it (defaults included). */
bool kafka_admin_settings(struct kafka_admin *a, const char *topic, int timeout_ms,
                          void (*each)(void *ctx, const char *name, const char *value), void *ctx, struct error *error);

/* The same for a loop, in two halves.  Any client asks; its answer comes to the queue as an event, after timeout_ms at
 * the latest. */
void kafka_admin_ask(struct rd_kafka_s *rk, const char *topic, int timeout_ms, struct rd_kafka_queue_s *queue);
/* Reads the event and frees it.  ERROR_NOT_FOUND: there is no such topic. */
bool kafka_admin_answer(struct rd_kafka_op_s *event, const char *topic,
                        void (*each)(void *ctx, const char *name, const char *value), void *ctx, struct error *error);
