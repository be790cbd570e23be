/* journal.h: journal entries to and from records, and the fold that makes memory of them.  Pure.
 *
 *   key                 value                        headers
 *   <workflow_id>       the event's value; empty     the event's, and drawbridge-run: JSON (enum run_state and
 *                       once the run is closed       numbers of struct run_entry)
 *   <workflow_id>/run   the newer state, same JSON   -
 *   @position           next source offset, group, producer nonce, batch number
 *   @owner              barrier of a take-over: nonce and slot (J4)
 *   @handover @adopt    ids of running runs left to a successor; taken back by the owner who left them (J15)
 *
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "closed.h"
#include "run.h"

enum { JOURNAL_VERSION = 1, JOURNAL_NONCE_SIZE = 33, JOURNAL_SLOT_SIZE = 256 };

/* Room for one record under construction; reused.  Zeroed, then journal_scratch_init. */
struct journal_scratch {
    struct buffer key, json;
    struct record_header headers[RECORD_HEADERS_MAX];
};
void journal_scratch_init(struct journal_scratch *s);
void journal_scratch_close(struct journal_scratch *s);

/* Events with more headers do not fit beside our own. */
enum { JOURNAL_EVENT_HEADERS_MAX = RECORD_HEADERS_MAX - 4 };

struct journal_position {
    int64_t next; /* offset of the next event to be admitted */
    char group[JOURNAL_SLOT_SIZE];
    char producer[JOURNAL_NONCE_SIZE];
    int64_t batch;
};

/* Each fills *out, which views scratch and arguments until the next use of either.  The scratch's buffers carry the
 * error of a lack of memory: journal_scratch_ok. */
bool journal_scratch_ok(const struct journal_scratch *s);
/* The whole run: state and event. */
void journal_encode_run(struct journal_scratch *s, const struct run_id *id, const struct run_entry *entry,
                        const struct record *event, struct record *out);
/* The newer state alone. */
void journal_encode_state(struct journal_scratch *s, const struct run_id *id, const struct run_entry *entry,
                          struct record *out);
/* The closed run: replaces the event. */
void journal_encode_closed(struct journal_scratch *s, const struct run_id *id, const struct run_entry *entry,
                           enum record_status status, struct record *out);
/* Tombstone of the run's key, or of its state's. */
enum journal_key { JOURNAL_KEY_RUN, JOURNAL_KEY_STATE };
void journal_encode_tombstone(struct journal_scratch *s, const struct run_id *id, enum journal_key key,
                              struct record *out);
void journal_encode_position(struct journal_scratch *s, const struct journal_position *position, struct record *out);
void journal_encode_owner(struct journal_scratch *s, const char *nonce, const char *slot, struct record *out);
enum journal_list { JOURNAL_HANDOVER, JOURNAL_ADOPT };
void journal_encode_list(struct journal_scratch *s, enum journal_list list, const struct run_id *ids, size_t count,
                         struct record *out);

struct folded_run {
    struct run_id id;
    struct run_entry entry; /* RUN_ADMITTED, RUN_RUNNING or RUN_RETRY_WAIT */
    struct record *event;   /* owned */
    int64_t body_at;        /* offset of the entry that has its value, which was left out of `event`; -1: it was not */
    bool has_state_key;     /* there is a <workflow_id>/run to be tombstoned with the run (J18) */
    bool handed_over;       /* running, and its owner let go of it: that attempt does not count (J15) */
};

/* The fold of one partition's journal; the result is the same for every compaction of the same history. */
struct journal_fold {
    struct id_table runs; /* -> struct folded_run, owned */
    struct closed_ids closed;
    struct journal_position position;
    bool has_position;
    char owner_slot[JOURNAL_SLOT_SIZE]; /* of the last @owner before our barrier; "" if there was none */
    int64_t seen_us;                    /* newest recorded time met */
    int64_t records;
    size_t body_bytes; /* of the values it holds */
    size_t body_room;  /* the caller's: a value larger than this is left out (J12) */
    const char *nonce; /* our barrier's; the caller's */
};

enum fold_step { FOLD_MORE, FOLD_DONE, FOLD_FAILED };
/* Reads the next record, which stands at `offset`.  FOLD_DONE: it was our own barrier, everything before it is decided
 * (J4).  FOLD_FAILED: an entry that this version can't read; nothing may be done with the partition. */
enum fold_step journal_fold_record(struct journal_fold *f, const struct record *r, int64_t offset, struct error *error);
void journal_fold_close(struct journal_fold *f);
