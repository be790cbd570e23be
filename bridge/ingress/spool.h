/* spool.h: events that wait for Kafka on the disk, for senders that never come again; one group for each file.
 *
 * Everything is on the loop thread but spool_store.c, which belongs to the thread of spool_writer.c:
 *
 *   webhook ─▶ direct ─▶ publisher ── acknowledged ─▶ 202
 *     │          └── no report in time: all of them, in their order ─┐
 *     ▼                                                              ▼
 *   parked ── Kafka is away after all ─▶ gathered ─▶ one transaction, fsync ─▶ 202 ─▶ a row
 *     └── no row is before it ─▶ direct                                                │
 *                                                     ahead ◀── read in order ─────────┘
 *                                                       └─▶ publisher: draining ── acknowledged ─▶ removed
 *
 * Order: an event has a number from its arrival, and rows go out by number.  While an agent has rows that were not
 * handed to the producer, its newer events become rows too, or are parked behind them; from then on the producer's own
 * order keeps them apart.  When one record's fate is in doubt the producer is dropped with all it holds, and what it
 * held goes out again by number: nothing newer can overtake, and what is written twice the runner drops by workflow_id.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "ingress.h"

/* ---- spool_list.c: what happens to one event, and the lists that it goes through; pure ---- */

enum spool_place {                 /* which list the entry is in */
                   SPOOL_DIRECT,   /* the publisher has it and a sender waits */
                   SPOOL_PARKED,   /* a sender waits, and it waits for rows of its agent */
                   SPOOL_GATHERED, /* in the writes of a batch */
                   SPOOL_AHEAD,    /* a row that was read and not yet sent */
                   SPOOL_DRAINING, /* a row that the publisher has */
                   SPOOL_GONE,     /* over, but the publisher may still name it */
};

struct spool_entry {
    struct spool_entry *prev, *next;
    enum spool_place place;
    void *subject;         /* whom the answer goes to; NULL: nobody (any more) */
    struct record *record; /* a copy of its own; NULL: it is not to be kept */
    const char *reason;    /* why it was refused; static */
    int64_t id;            /* order of arrival, and the row's key */
    int64_t cost;          /* bytes that it takes of the spool */
    int64_t due_ms;        /* when its place must have been left */
    int64_t deadline_ms;   /* the sender's */
};
void spool_entry_free(struct spool_entry *e); /* NULL is legal */

struct spool_list {
    struct spool_entry *first, *last;
    size_t count;
};
void spool_list_append(struct spool_list *l, struct spool_entry *e);
void spool_list_remove(struct spool_list *l, struct spool_entry *e);
/* Takes the first one out; NULL when there is none. */
struct spool_entry *spool_list_take(struct spool_list *l);
/* Moves everything to the end of `to`. */
void spool_list_move(struct spool_list *from, struct spool_list *to);
void spool_list_free(struct spool_list *l);

/* ---- spool_row.c: a record as the bytes of a row; pure ---- */

void spool_row_encode(const struct record *r, struct buffer *out);
/* One heap block that owns everything, freed with free(); NULL when the bytes are no record, or without memory. */
struct record *spool_row_decode(struct bytes row);
size_t spool_row_size(const struct record *r);
/* What a row of that size takes of size_max: SQLite fills pages of 4 KiB with it. */
int64_t spool_row_cost(size_t size);

/* ---- spool_agents.c: how many events of each agent newer ones have to wait for; pure ---- */

struct spool_agents;
struct spool_agents *spool_agents_new(void); /* NULL without memory */
void spool_agents_free(struct spool_agents *a);
/* False without memory. */
bool spool_agents_add(struct spool_agents *a, struct bytes agent_id, int64_t n);
/* One less; one that is not there is fine. */
void spool_agents_take(struct spool_agents *a, struct bytes agent_id);
int64_t spool_agents_get(const struct spool_agents *a, struct bytes agent_id);
void spool_agents_clear(struct spool_agents *a);

/* ---- spool_store.c: the SQLite file; one thread at a time ---- */

/* What goes to the disk in one transaction, and what is read behind it. */
struct spool_batch {
    struct spool_list writes, removals, refusals;
    int64_t wall_ms;    /* of the writes and refusals */
    bool read;          /* rows behind read_after, too */
    int64_t read_after; /* an id */
    uint64_t pass;      /* the reader's own mark */
    /* The answer. */
    bool failed;      /* nothing of it was done */
    bool read_failed; /* the writing was done */
    struct error error;
    struct spool_list
        rows; /* place AHEAD; one that cannot be read has a reason and a record with nothing but the key */
    bool read_to_end;
    int64_t oldest_ms; /* wall time of the oldest row; 0: there is none */
    int64_t took_us;
};

struct spool_totals {
    int64_t events, cost, refused; /* cost: of the refused as well */
    int64_t last_id, oldest_ms;
};

struct spool_store;
/* Reports what is wrong with a directory that exists, as `drawbridge check` can see it. */
bool spool_store_check(const char *directory, struct error *error);
/* Makes the directory (0700) and the file (0600) if need be, locks it for this process, and checks it.  A damaged file
 * or one of a later release is refused with a sentence that says what to do. */
struct spool_store *spool_store_open(const char *directory, int64_t size_max, struct error *error);
/* Counts what is there: *totals, and each agent's rows into `agents`. */
bool spool_store_count(struct spool_store *s, struct spool_totals *totals, struct spool_agents *agents,
                       struct error *error);
/* Does the batch: all of it and fsynced, or nothing (b->failed). */
void spool_store_run(struct spool_store *s, struct spool_batch *b);
void spool_store_close(struct spool_store *s); /* NULL is legal */

/* ---- spool_writer.c: the thread that waits for the disk ---- */

struct spool_writer;
/* Takes the store over. */
struct spool_writer *spool_writer_start(struct spool_store *store, struct error *error);
/* Readable when a batch is done. */
int spool_writer_fd(const struct spool_writer *w);
/* Hands a batch over; one at a time. */
void spool_writer_submit(struct spool_writer *w, struct spool_batch *b);
/* The batch, when it is done; NULL: it is not, or there is none.  wait: until it is. */
struct spool_batch *spool_writer_take(struct spool_writer *w, bool wait);
/* Ends the thread after what it was given; closes the store.  NULL is legal. */
void spool_writer_stop(struct spool_writer *w);

/* ---- spool.c: what goes where; spool_drain.c: the rows back to Kafka ---- */

struct spool {
    struct spool_settings settings;
    struct publisher *publisher;
    struct spool_writer *writer;
    struct spool_agents *agents;
    struct spool_list direct, parked, ahead, draining, gone;
    struct spool_batch batches[2];
    struct spool_batch *gathering, *out; /* the one to come; the one with the writer, or NULL */
    int64_t last_id, read_after;
    int64_t unread; /* rows behind read_after */
    int64_t events, cost, refused, oldest_ms;
    int64_t draining_cost;
    int64_t suspect_id; /* up to this row one at a time: one of them was refused in company */
    int64_t due_ms;     /* nothing is due earlier; 0: nothing is */
    int64_t retry_ms;   /* after a failure of the disk */
    uint64_t pass;      /* counts the times that reading began again */
    bool reading;       /* a batch with `read` is on its way */
    bool proven;        /* Kafka has taken a row since the last doubt */
    bool doubt;         /* a record's fate is: divert with the next run */
    bool diverting, closing;
    struct error broken; /* of the disk; ERROR_NONE: none */
};

/* The rest is between the two files. */
bool spool_doubtful(const struct spool *s);
void spool_note_due(struct spool *s, int64_t due_ms);
/* Sends what may go: rows, then what is parked behind the last of them; asks for the next rows. */
void spool_drain(struct spool *s, int64_t now_ms);
/* A report about a row. */
void spool_drain_report(struct spool *s, struct spool_entry *e, const struct publish_report *report);
/* Puts a row that Kafka will never take aside. */
void spool_refuse(struct spool *s, struct spool_entry *e, const char *reason);
/* Rows under way are rows like the others again; their entries are GONE. */
void spool_drain_again(struct spool *s);
/* Events that newer ones of their agents have to wait for, but the parked. */
int64_t spool_waiting(const struct spool *s);
