/* run.h: the life of one run as the journal tells it, and the one function that moves it on.  Pure.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "record.h"
#include "retry.h"

/* Each state names the place where the run is. */
enum run_state {
    RUN_NEW,        /* polled, in no committed entry yet */
    RUN_ADMITTED,   /* in its agent's queue */
    RUN_RUNNING,    /* a child process, or one that died with its runner */
    RUN_RETRY_WAIT, /* among the due times; holds its agent (J22) */
    RUN_CLOSED,     /* an id and a time among the closed */
};
enum { RUN_STATES = RUN_CLOSED + 1 };
/* As the journal spells it. */
const char *run_state_name(enum run_state state);

/* What the journal says of a run.  Times are wall microseconds, 0: never. */
struct run_entry {
    enum run_state state;
    int attempt; /* starts that count: neither stopped by us nor handed over (J7) */
    int start;   /* every start (J24) */
    int64_t source_offset;
    int64_t recorded_us; /* when the ingress accepted the event */
    int64_t dedupe_s;
    int64_t first_started_us, started_us, due_us;
    int64_t closed_us;
    uint32_t by; /* who made the last start: the slot_mark of its runner; 0: nobody */
};

enum run_input_kind {
    INPUT_ARRIVED, /* its event was polled, but it is not its turn */
    INPUT_TURN,    /* it has its agent's slot and a global one.  For a RUNNING run: its runner died, no hand-over */
    INPUT_ENDED,   /* the attempt is over: `verdict` */
    INPUT_REFUSED, /* it cannot be run at all: no such agent, or Kafka refuses its records */
};
enum { RUN_INPUTS = INPUT_REFUSED + 1 };

struct run_input {
    enum run_input_kind kind;
    enum verdict verdict;
    int64_t now_us;
    double jitter; /* in [0, 1) */
    uint32_t by;   /* of a start */
};

/* What follows from a decision, once its entry is committed (EFFECT_START) or together with it (the others). */
enum run_effect {
    EFFECT_START = 1,       /* start the command: attempt and start are in the entry */
    EFFECT_RESULT = 2,      /* write the result with `status` */
    EFFECT_DEAD_LETTER = 4, /* and the event to the dead letters */
};

struct run_decision {
    struct run_entry next;
    unsigned effects;
    enum record_status status;
    bool lost; /* the reason is the death of the runner that had started it */
};

/* The only place that changes a run's state: one row for each (state, input).  False: this can't happen to a run in
 * that state; nothing was decided. */
bool run_advance(const struct run_entry *now, const struct run_input *input, const struct retry_policy *policy,
                 struct run_decision *out);

/* A started run whose runner handed it over: the attempt was not used up. */
struct run_entry run_uncounted(const struct run_entry *running);
