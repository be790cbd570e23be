/* commit.h: the transaction thread.  It owns the producer and makes every blocking call; the loop hands it jobs and
 * gets each back exactly once, done.  Batches go before queries, and queries run in slices of at most 100 ms (J5). All
 * functions are the loop thread's.  SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "transaction.h"

enum job_kind {
    JOB_OPEN,      /* producer, topics and their limits; the first job */
    JOB_BATCH,     /* one transaction */
    JOB_COMMITTED, /* the group's stable offsets of these partitions; -1: none */
    JOB_SEEK,      /* reading goes on at these offsets */
    JOB_END,       /* the offsets behind the last events of these partitions */
    JOB_COUNTS,    /* are all topics as they were? (J16) */
};

struct job_offset {
    int partition;
    int64_t offset;
};

struct job {
    enum job_kind kind;
    int64_t epoch;              /* of the assignment that asks; queries of an older one come back unanswered */
    struct batch *batch;        /* JOB_BATCH; owned */
    struct job_offset *offsets; /* JOB_COMMITTED, JOB_SEEK, JOB_END; owned */
    size_t offset_count;
    /* the answer */
    bool failed; /* see error */
    enum commit_outcome outcome;
    struct error error;
    int exit_code;                   /* JOB_OPEN failed, or COMMIT_DEAD: end with this */
    int partitions;                  /* JOB_OPEN */
    int64_t record_max[TOPIC_COUNT]; /* JOB_OPEN: the topics' limits */
    int64_t began_us, ended_us;      /* monotonic */
    struct job *next;
};

struct job *job_new(enum job_kind kind, int64_t epoch, size_t offset_count);
void job_free(struct job *j);

struct commit;
/* `wake` is called on the transaction thread whenever a job has come back.  The consumer answers the queries; it stays
 * the caller's and must outlive the thread. */
struct commit *commit_start(const struct settings *settings, struct rd_kafka_s *consumer, void (*wake)(void *ctx),
                            void *ctx, struct error *error);
/* Ends and joins the thread: nothing waits for brokers any more; jobs that were not done are freed. */
void commit_stop(struct commit *c);

/* Transfers the job. */
void commit_submit(struct commit *c, struct job *job);
/* Queries of older assignments are not worth asking any more. */
void commit_set_epoch(struct commit *c, int64_t epoch);
/* The next job that is done, or NULL. */
struct job *commit_take(struct commit *c);
/* Waits until a batch is among the jobs done, at most so long: only inside the revoke callback.  The transaction thread
 * never waits for the loop, which is what makes this safe. */
bool commit_wait_batch(struct commit *c, int64_t timeout_ms);
