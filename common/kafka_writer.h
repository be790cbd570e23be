/* kafka_writer.h: writes records and waits until the brokers have them.  For the tool: blocks.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "error.h"
#include "kafka.h"

struct kafka_writer;
/* An idempotent producer, acks=all.  The caller frees it. */
struct kafka_writer *kafka_writer_new(const struct kafka_settings *settings, struct error *error);
/* Takes the record into the queue (everything is copied), waiting for room.  False: it was refused, or an earlier
 * record failed meanwhile. */
bool kafka_writer_send(struct kafka_writer *w, const char *topic, const struct record *r, struct error *error);
/* Waits until every record was confirmed.  False: some were not; the error names the first reason. */
bool kafka_writer_flush(struct kafka_writer *w, int timeout_ms, struct error *error);
/* Records that the brokers have confirmed so far. */
int64_t kafka_writer_confirmed(const struct kafka_writer *w);
/* Drops what was not confirmed.  NULL is legal. */
void kafka_writer_free(struct kafka_writer *w);
