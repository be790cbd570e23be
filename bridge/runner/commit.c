/* commit.c: the transaction thread and its two queues.
 * One mutex guards queued batches, queries and done jobs; a job belongs to the side that took it from a queue.
 * SPDX-License-Identifier: Apache-2.0 */
#include "commit.h"
#include "clock.h"
#include "daemon.h"
#include "log.h"
#include "memory.h"
#include "query.h"
#include <pthread.h>

struct queue {
    struct job *first, *last;
};

struct commit {
    const struct settings *settings;
    struct rd_kafka_s *consumer;
    struct transaction *transaction; /* the thread's */
    void (*wake)(void *ctx);
    void *ctx;
    pthread_t thread;
    atomic_bool stop;
    atomic_llong epoch;
    pthread_mutex_t mutex; /* guards the queues and batches_done */
    pthread_cond_t work, done_batch;
    struct queue batches, queries, done;
    int batches_done; /* among `done` */
};

struct job *job_new(enum job_kind kind, int64_t epoch, size_t offset_count)
{
    struct job *j = memory_new(sizeof *j);
    j->kind = kind;
    j->epoch = epoch;
    j->offset_count = offset_count;
    j->offsets = memory_new((offset_count + 1) * sizeof *j->offsets);
    return j;
}

void job_free(struct job *j)
{
    if (!j) return;
    batch_free(j->batch);
    free(j->offsets);
    free(j);
}

static void put(struct queue *q, struct job *j)
{
    j->next = NULL;
    if (q->last)
        q->last->next = j;
    else
        q->first = j;
    q->last = j;
}

static struct job *take(struct queue *q)
{
    struct job *j = q->first;
    if (!j) return NULL;
    q->first = j->next;
    if (!q->first) q->last = NULL;
    j->next = NULL;
    return j;
}

static void give_back(struct commit *c, struct job *j)
{
    j->ended_us = clock_monotonic_us();
    pthread_mutex_lock(&c->mutex);
    put(&c->done, j);
    if (j->kind == JOB_BATCH) {
        c->batches_done++;
        pthread_cond_signal(&c->done_batch);
    }
    pthread_mutex_unlock(&c->mutex);
    c->wake(c->ctx);
}

static void run_open(struct commit *c, struct job *j)
{
    c->transaction = transaction_open(c->settings, &c->stop, &j->error);
    j->failed = !c->transaction || !query_topics(c->settings, transaction_producer(c->transaction), &c->stop, j);
    j->exit_code = DAEMON_EXIT_CONFIGURATION;
}

static void run_batch(struct commit *c, struct job *j)
{
    j->began_us = clock_monotonic_us();
    j->outcome = transaction_commit(c->transaction, j->batch, &j->error);
    if (j->outcome == COMMIT_DEAD) j->exit_code = transaction_exit_code(c->transaction);
}

/* One slice; false: to be asked again. */
static bool run_query(struct commit *c, struct job *j)
{
    if (j->epoch != atomic_load(&c->epoch)) return true; /* nobody waits for it any more */
    switch (j->kind) {
    case JOB_COMMITTED: return query_committed(c->consumer, c->settings, j);
    case JOB_SEEK: return query_seek(c->consumer, c->settings, j);
    case JOB_END: return query_end(c->consumer, c->settings, j);
    case JOB_COUNTS: return query_counts(c->settings, transaction_producer(c->transaction), j);
    case JOB_OPEN:
    case JOB_BATCH: break;
    }
    return true;
}

static struct job *next_job(struct commit *c)
{
    struct job *j = NULL;
    pthread_mutex_lock(&c->mutex);
    while (!atomic_load(&c->stop) && !(j = take(&c->batches)) && !(j = take(&c->queries)))
        pthread_cond_wait(&c->work, &c->mutex);
    pthread_mutex_unlock(&c->mutex);
    return j;
}

static void ask_again(struct commit *c, struct job *j)
{
    pthread_mutex_lock(&c->mutex);
    put(&c->queries, j);
    pthread_mutex_unlock(&c->mutex);
}

static void *thread_main(void *ctx)
{
    struct commit *c = ctx;
    for (struct job *j; (j = next_job(c));) {
        if (j->kind == JOB_OPEN)
            run_open(c, j);
        else if (j->kind == JOB_BATCH)
            run_batch(c, j);
        else if (!run_query(c, j)) {
            ask_again(c, j);
            continue;
        }
        give_back(c, j);
    }
    transaction_close(c->transaction);
    return NULL;
}

struct commit *commit_start(const struct settings *settings, struct rd_kafka_s *consumer, void (*wake)(void *ctx),
                            void *ctx, struct error *error)
{
    struct commit *c = memory_new(sizeof *c);
    *c = (struct commit){.settings = settings, .consumer = consumer, .wake = wake, .ctx = ctx};
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&c->mutex, NULL);
    pthread_cond_init(&c->work, NULL);
    pthread_cond_init(&c->done_batch, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int code = pthread_create(&c->thread, NULL, thread_main, c);
    if (code == 0) return c;
    error_set_errno(error, code, "start the transaction thread");
    free(c);
    return NULL;
}

static void free_queue(struct queue *q)
{
    for (struct job *j; (j = take(q));)
        job_free(j);
}

void commit_stop(struct commit *c)
{
    if (!c) return;
    pthread_mutex_lock(&c->mutex);
    atomic_store(&c->stop, true);
    pthread_cond_signal(&c->work);
    pthread_mutex_unlock(&c->mutex);
    pthread_join(c->thread, NULL);
    free_queue(&c->batches);
    free_queue(&c->queries);
    free_queue(&c->done);
    pthread_cond_destroy(&c->work);
    pthread_cond_destroy(&c->done_batch);
    pthread_mutex_destroy(&c->mutex);
    free(c);
}

void commit_submit(struct commit *c, struct job *job)
{
    bool first = job->kind == JOB_BATCH || job->kind == JOB_OPEN;
    pthread_mutex_lock(&c->mutex);
    put(first ? &c->batches : &c->queries, job);
    pthread_cond_signal(&c->work);
    pthread_mutex_unlock(&c->mutex);
}

void commit_set_epoch(struct commit *c, int64_t epoch)
{
    atomic_store(&c->epoch, epoch);
}

struct job *commit_take(struct commit *c)
{
    pthread_mutex_lock(&c->mutex);
    struct job *j = take(&c->done);
    if (j && j->kind == JOB_BATCH) c->batches_done--;
    pthread_mutex_unlock(&c->mutex);
    return j;
}

bool commit_wait_batch(struct commit *c, int64_t timeout_ms)
{
    int64_t until_ms = clock_monotonic_ms() + timeout_ms;
    struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    pthread_mutex_lock(&c->mutex);
    while (c->batches_done == 0 && pthread_cond_timedwait(&c->done_batch, &c->mutex, &until) == 0)
        continue;
    bool there = c->batches_done > 0;
    pthread_mutex_unlock(&c->mutex);
    return there;
}
