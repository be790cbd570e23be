/* publish.h: events on their way out: to Kafka, and to the disk while Kafka is away.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "kafka.h"
#include "metrics.h"
#include "record.h"

/* ---- publish.c: produce, delivery report, ticket and deadline ---- */

enum publish_end {
    PUBLISH_ACKNOWLEDGED, /* the brokers have it */
    PUBLISH_FAILED,       /* they don't, or nobody knows */
    PUBLISH_OVERSIZED,    /* they never will: over the client's or the topic's limit */
    PUBLISH_FULL,         /* the producer's queue is full */
    PUBLISH_LATE,         /* the ticket's deadline passed first */
    PUBLISH_REFUSED,      /* they never will, for what is in it */
    PUBLISH_SPOOLED,      /* our disk has it (spool.c) */
    PUBLISH_UNSPOOLED,    /* neither the brokers nor our disk */
};
struct publish_report {
    enum publish_end end;
    int partition;
    int64_t offset;
    const char *reason; /* static or librdkafka's; NULL when acknowledged */
};

struct publisher_settings {
    const struct kafka_settings *kafka;
    const char *topic;
    int64_t queue_max;
    struct metrics *metrics;
    /* Each subject's one answer, by report or by deadline. */
    void (*answered)(void *ctx, void *subject, const struct publish_report *report);
    void *ctx;
};
enum publish_start { PUBLISH_STARTED, PUBLISH_AWAY, PUBLISH_QUEUE_FULL, PUBLISH_NO_ROOM };

struct publisher;
struct publisher *publisher_new(const struct publisher_settings *settings, struct error *error);
/* Readable when there are reports; then, and when publisher_timeout_ms has passed, call publisher_run. */
int publisher_fd(const struct publisher *p);
int publisher_timeout_ms(const struct publisher *p, int64_t now_ms);
void publisher_run(struct publisher *p, int64_t now_ms);
/* Copies the record, which goes out with the next publisher_flush; the deadline is monotonic time.  PUBLISH_STARTED:
 * `answered` will be called once with `subject`, never from inside this call. */
enum publish_start publisher_send(struct publisher *p, const struct record *record, int64_t deadline_ms, void *subject);
/* Hands what was sent since the last flush to librdkafka, in its order.  At the end of each turn of the loop. */
void publisher_flush(struct publisher *p);
/* Would publisher_send start now?  Else *why, if given, is a sentence that lives until the next call. */
bool publisher_ready(const struct publisher *p, const char **why);
/* Wrong credentials, met before the first connection: waiting will not help (traps 2.1). */
bool publisher_refused(const struct publisher *p, struct error *error);
/* Drops the producer with all that it holds and builds a new one; who still waits is answered PUBLISH_FAILED first.
 * Waits up to a second for librdkafka's threads; not from inside `answered`. */
void publisher_reset(struct publisher *p, const char *reason, int64_t now_ms);
/* Records whose report is still to come. */
size_t publisher_outstanding(const struct publisher *p);
int64_t publisher_queue_bytes(const struct publisher *p);
/* Answers every waiting ticket with PUBLISH_FAILED and drops the producer.  NULL is legal. */
void publisher_free(struct publisher *p);

/* ---- spool.c: events that wait for Kafka on the disk (the whole of it: spool.h) ---- */

struct spool_settings {
    const char *directory;
    int64_t size_max;
    struct metrics *metrics;
    /* Each subject's one answer; the publisher's own reports, or PUBLISH_SPOOLED, PUBLISH_UNSPOOLED. */
    void (*answered)(void *ctx, void *subject, const struct publish_report *report);
    void *ctx;
};
struct spool;
/* NULL and a sentence that says what to do, if the directory cannot be used. */
struct spool *spool_open(const struct spool_settings *settings, struct error *error);
/* The publisher that was made with spool_answered and the spool; before the first spool_send. */
void spool_set_publisher(struct spool *s, struct publisher *publisher);
void spool_answered(void *ctx, void *subject, const struct publish_report *report);
/* In place of publisher_send.  wanted: the event may go to the disk (it must, if earlier ones of its agent are there).
 * It does so two thirds of the way to the deadline at the latest.  PUBLISH_NO_ROOM: Kafka is away and the spool is
 * full or fails. */
enum publish_start spool_send(struct spool *s, const struct record *record, bool wanted, int64_t deadline_ms,
                              void *subject);
/* Would it take an event? */
bool spool_ready(const struct spool *s);
/* Readable when the disk is done; then, after publisher_run and when spool_timeout_ms has passed: spool_run. */
int spool_fd(const struct spool *s);
int spool_timeout_ms(const struct spool *s, int64_t now_ms);
void spool_run(struct spool *s, int64_t now_ms);
/* At the end of a turn: what was gathered in it goes to the disk together. */
void spool_flush(struct spool *s);
/* Rows that the publisher has: nobody waits for their reports. */
size_t spool_rows_outstanding(const struct spool *s);
/* Publishes no more rows. */
void spool_stop(struct spool *s);
/* Nobody waits for the disk and nothing has to be written; what is in the spool stays there. */
bool spool_quiet(const struct spool *s);
/* After publisher_free: what waited for the publisher goes to the disk and is answered.  NULL is legal. */
void spool_close(struct spool *s);
/* "spool: 12 events (...), the oldest for 3 s, 0 refused". */
void spool_describe(const struct spool *s, struct buffer *out);
/* Sets the gauges. */
void spool_refresh(const struct spool *s);
