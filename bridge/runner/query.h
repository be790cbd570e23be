/* query.h: the questions that the transaction thread asks the brokers for the loop, each in slices of at most 100 ms.
 * A function returns false when it is to be called again.  SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "commit.h"

/* Partition counts (equal, or refused), cleanup policy of the journal, size limits.  Waits for the brokers until *stop.
 * False: j->error says what is wrong. */
bool query_topics(const struct settings *settings, struct rd_kafka_s *producer, const atomic_bool *stop, struct job *j);

bool query_committed(struct rd_kafka_s *consumer, const struct settings *settings, struct job *j);
bool query_seek(struct rd_kafka_s *consumer, const struct settings *settings, struct job *j);
bool query_end(struct rd_kafka_s *consumer, const struct settings *settings, struct job *j);
/* j->partitions: what every topic had before; j->failed if one has another number now. */
bool query_counts(const struct settings *settings, struct rd_kafka_s *producer, struct job *j);
