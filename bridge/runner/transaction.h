/* transaction.h: the transactional producer and one transaction at a time.  Every call blocks; all of it belongs to the
 * transaction thread.  SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "batch.h"
#include "settings.h"
#include <stdatomic.h>

enum commit_outcome {
    COMMIT_DONE,
    COMMIT_ABORTED,      /* nothing of it happened; the same inputs may go again */
    COMMIT_REFUSED,      /* the same, and a record in it can never be written (J9) */
    COMMIT_FENCED_GROUP, /* the same, and the group knows us no more under that generation */
    COMMIT_UNKNOWN,      /* only the journal can tell (J10); the producer is new */
    COMMIT_DEAD,         /* no producer any more: the program must end, with `exit_code` */
};
const char *commit_outcome_name(enum commit_outcome outcome);

struct transaction;

/* Makes the producer and fences its predecessors of the same transactional.id; waits for the brokers as long as it
 * takes, until *stop is set.  NULL: stopped, or an error that waiting does not mend (credentials, authorisation). */
struct transaction *transaction_open(const struct settings *settings, const atomic_bool *stop, struct error *error);
void transaction_close(struct transaction *t);
struct rd_kafka_s *transaction_producer(struct transaction *t);

/* One transaction from begin to commit or abort.  The error says what happened unless it was committed. */
enum commit_outcome transaction_commit(struct transaction *t, const struct batch *b, struct error *error);
/* After COMMIT_DEAD. */
int transaction_exit_code(const struct transaction *t);
