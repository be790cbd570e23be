/* kafka_follower.h: follows a topic of one partition from its beginning inside of a caller's loop; read_committed, no
 * group, never waits for a broker.  SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "kafka.h"

struct kafka_follower;
/* Begins at the oldest record.  event_fd (an eventfd of the caller, non-blocking) becomes readable when
 * kafka_follower_next has something to say; several followers may share it.  The topic may come into being later. */
struct kafka_follower *kafka_follower_new(const struct kafka_settings *settings, const char *topic, int event_fd,
                                          struct error *error);
/* What has arrived, without waiting: call it until READER_IDLE, or again soon: event_fd tells only of what is new.
 * READER_RECORD: *out and *position until the next call; READER_END: read to the stable end, each time that is reached;
 * READER_FAILED: what was read is no longer what the topic says (it was made anew, or cut): begin with a new one. */
enum reader_event kafka_follower_next(struct kafka_follower *f, struct record *out, struct reader_position *position,
                                      struct error *error);
/* Why nothing comes, as a sentence, or NULL: no such topic, no right to read it, no broker. */
const char *kafka_follower_trouble(const struct kafka_follower *f);
void kafka_follower_free(struct kafka_follower *f); /* NULL is legal */
