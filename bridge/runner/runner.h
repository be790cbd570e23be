/* runner.h: the program's vocabulary.  One loop thread owns everything here; the transaction thread (commit.h) gets
 * whole batches and gives back what became of them.
 *
 *   consume   a message of an open partition            -> arrive    a new run, a duplicate, or nothing that can run
 *   gather    what waits to be said to the journal:        ended attempts, turns, arrivals, barriers, expired ids
 *   propose   run_advance decides, its records go into the batch, the decision into a change
 *   commit    the transaction thread: one batch at a time, fenced by the assignment it was made under
 *   settle    committed: every change becomes memory, and only now processes may start
 *             aborted: every change is forgotten, its input is still there and is decided anew (J8)
 *             unknown: every partition is taken over again from the journal; processes live on (J10)
 *   starts    a few processes, then the loop looks again: the next batch is on its way while they start
 *   effects   process ended -> its run has an ending    -> gather
 *
 *   takeover  assigned: stable offset -> @owner barrier -> fold -> open          (J4, J5, J6)
 *   handover  revoked: freeze, last batch with @handover -> limbo -> adopted again, or killed     (J14, J15)
 *
 * The journal is the truth.  A run's entry in memory is what was committed, never what is only proposed.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "commit.h"
#include "journal.h"
#include "metrics.h"
#include "schedule.h"

struct rd_kafka_queue_s;
struct uv_loop_s;

/* How the last attempt ended; waits until it is in the journal. */
struct ending {
    enum verdict verdict;
    struct bytes output; /* in `storage` */
    bool output_truncated;
    const char *error; /* in `storage`; NULL: succeeded */
    int64_t ended_us;
    char storage[];
};

/* An agent within a partition: a lane of the schedule. */
struct agent {
    struct run_id key; /* run_id_of(agent_id) */
    struct lane lane;
    const struct agent_settings *settings; /* NULL: nobody configured it */
    size_t runs;                           /* that refer to it; it is freed with the last */
};

struct run {
    struct run_id id;
    struct run_entry entry; /* as committed; RUN_NEW: not yet */
    struct turn turn;
    struct partition *partition;
    struct agent *agent;
    struct record *event; /* owned: key = agent_id, value, headers */
    size_t event_bytes;
    int64_t body_at; /* -1; or the event's value is not here, but in the journal at this offset (J12) */
    bool body_asked;
    int64_t due_us;          /* monotonic: a retry, or the end of the grace for a dead owner's child (J15, J20) */
    struct process *process; /* while a child lives */
    struct ending *ending;   /* input: the attempt is over */
    char *refusal;           /* input: it can't be run, and why */
    bool is_input;           /* stands among the partition's inputs */
    bool is_previous;        /* stands among the partition's previous runs: its inputs wait for the fold */
    bool in_flight;          /* a change of it is in the batch; one at most */
    bool suspect;            /* was in a batch that was refused (J9) */
    bool has_state_key;      /* its newer state has a key of its own, to be tombstoned (J18) */
    bool handed_over;        /* the journal says running, its owner said it let go (J15) */
    bool start_pending;      /* committed as running, not yet started */
    struct heap_item start;  /* among the runner's starts, while its partition is open */
};

static inline struct run *run_of_turn(struct turn *t)
{
    return (struct run *)(void *)((char *)t - offsetof(struct run, turn));
}

/* A child.  It outlives its run when the run is taken away; then nobody asks how it ends. */
struct process {
    struct runner *runner;
    struct run *run; /* NULL: orphan */
    struct command *command;
    int64_t started_us; /* monotonic */
    bool frozen;
};

/* One polled event in order of its offset. */
struct arrival {
    int64_t offset, recorded_us;
    struct run *run;     /* a new run, or NULL */
    struct record *dead; /* owned: can't be a run; goes to the dead letters */
    char *why;           /* owned: the reason */
    bool suspect;
};

enum partition_state {
    PARTITION_ASKING,   /* for the stable committed offset */
    PARTITION_BARRIER,  /* @owner goes into the next batch, or is in flight */
    PARTITION_FOLDING,  /* the journal is being read up to the barrier */
    PARTITION_SEEKING,  /* to the journal's position; then it opens */
    PARTITION_OPEN,     /* events are read, runs are run */
    PARTITION_LIMBO,    /* revoked; children frozen; it may come back */
    PARTITION_ADOPTING, /* it came back: @adopt goes into the next batch, or is in flight */
    PARTITION_REFUSED,  /* nothing may be done with it: `refused` says why */
};

struct partition {
    int number;
    enum partition_state state;
    char nonce[JOURNAL_NONCE_SIZE]; /* of its barrier */
    int64_t committed;              /* the group's offset at the take-over, -1: none */
    int64_t position;               /* next event to be admitted, as committed; -1: the log's start */
    int64_t expect;                 /* next offset to be polled; -1: any */
    int64_t seen_us;                /* recorded times up to here have been admitted (J26) */
    int64_t asked_end_us;           /* wall: when its end was last asked for */
    struct id_table runs;           /* id -> struct run *, owned */
    struct id_table agents;         /* key -> struct agent *, owned */
    struct closed_ids closed;
    struct run **inputs; /* runs with an ending or a refusal */
    size_t input_count, input_capacity;
    struct arrival *arrivals;
    size_t arrival_count, arrival_capacity;
    size_t proposed;       /* of the arrivals, from the first: in flight */
    struct run **previous; /* runs of before with children, while the journal is read again (J10); owned */
    size_t previous_count;
    struct journal_fold fold;
    int64_t fold_began_us;
    size_t bodies_away; /* runs whose event's value is not here */
    struct run **asked; /* those of them that it is being read for */
    size_t asked_count, asked_capacity;
    int64_t body_reader;                     /* the journal is being read for them: the next offset; -1: it is not */
    struct rd_kafka_queue_s *source, *queue; /* librdkafka's and ours */
    bool in_flight;                          /* a barrier, adoption or hand-over of it is in the batch */
    bool drained;                            /* the queue was empty when last looked at */
    bool first_checked;                      /* the first event's offset was compared (J6) */
    bool sought_again;
    char unread[256];  /* "", or why no more events are taken from it */
    char refused[256]; /* PARTITION_REFUSED: why */
};

/* What a part of the batch in flight will mean. */
enum change_kind { CHANGE_RUN, CHANGE_ARRIVALS, CHANGE_FORGET, CHANGE_BARRIER, CHANGE_HANDOVER, CHANGE_ADOPT };
struct change {
    enum change_kind kind;
    struct partition *partition; /* NULL: it was dropped meanwhile; nothing is to be done */
    struct run *run;
    struct run_decision decision;
    int64_t next;     /* CHANGE_ARRIVALS */
    struct run_id id; /* CHANGE_FORGET */
    int64_t until_us;
};

struct assignment {
    int64_t epoch;      /* grows with every assign and revoke */
    int32_t generation; /* -1: none that is valid */
    char member[256];
    uint8_t *metadata; /* owned; taken inside the assign callback (J2) */
    size_t metadata_size;
    bool present;
};

struct runner {
    const struct settings *settings;
    struct uv_loop_s *loop;
    struct edges *edges; /* uv handles: runner.c */
    struct rd_kafka_s *consumer;
    struct rd_kafka_queue_s *events; /* the consumer's own queue: rebalances, errors */
    struct journal_reader *journal;  /* journal_reader.c */
    struct journal_policy *policy;   /* journal_policy.c */
    struct commit *commit;
    struct metrics *metrics;
    struct manage *manage;
    struct schedule schedule;
    struct heap starts;                 /* runs with a start pending, by ticket: in the order of their commits */
    int64_t start_ticket, started;      /* `started`: how many since the last batch was settled */
    int64_t settled_us, transaction_us; /* monotonic: when that was; how long it took */
    int64_t turn_us, stalled_us;        /* monotonic: this turn of the loop; when it was seen to have stood still */
    bool unproven;                      /* since then no batch was committed: we may have lost what we own */
    struct journal_scratch scratch;
    struct buffer value, text; /* records under construction */
    struct buffer input;       /* what a command is to read */
    char id_text[RUN_ID_TEXT_SIZE];
    struct assignment assignment;
    struct partition **partitions;
    size_t partition_count;
    struct process **processes;
    size_t process_count, process_capacity;
    int partitions_per_topic;
    int64_t record_max[TOPIC_COUNT];
    char producer[JOURNAL_NONCE_SIZE]; /* names this process in @position */
    int64_t batches;
    struct change *changes; /* of the batch in flight, or under construction */
    size_t change_count, change_capacity;
    bool in_flight;
    bool revoking;         /* inside the revoke callback: nothing is started */
    size_t suspects;       /* runs and arrivals that go singly until one is convicted (J9) */
    int64_t next_batch_us; /* monotonic: not before */
    int64_t abort_pause_us;
    int64_t batch_began_us;
    size_t event_bytes; /* of all runs, and of what is being folded */
    int eventfd;        /* becomes readable when any queue of librdkafka has something */
    bool opened, subscribed;
    char halted[256]; /* "", or why no events are taken (J16) */
    bool draining, stop_asked, kill_asked, closing;
    int64_t drain_until_us, limbo_until_us;
    int exit_code;
};

/* runner.c: the loop and its timers; start and stop. */
struct runner *runner_open(const struct settings *settings, struct error *error);
int runner_run(struct runner *r);
void runner_close(struct runner *r);
/* Something changed that may fill a batch: looks once more before the loop sleeps. */
void runner_wake(struct runner *r);
/* Leaves the loop. */
void runner_stop(struct runner *r);
/* Ends the program with this code: nothing more can be promised. */
void runner_fail(struct runner *r, int exit_code);
void runner_nonce(char out[JOURNAL_NONCE_SIZE]);
double runner_jitter(void);

/* consume.c: the consumer in the loop. */
bool consume_open(struct runner *r, struct error *error);
bool consume_subscribe(struct runner *r, struct error *error);
/* Rebalances and errors; never events. */
void consume_serve(struct runner *r);
/* Reads open partitions while there is room. */
void consume_read(struct runner *r);
void consume_attach(struct runner *r, struct partition *p);
void consume_detach(struct partition *p);
/* The group metadata of this very moment: fetched any later than inside the assign callback it could belong to the next
 * generation, and un-fence what was decided in this one (J2). */
void consume_snapshot(struct runner *r, struct assignment *out);
/* End of the topic as last seen, or -1. */
int64_t consume_high(struct runner *r, const struct partition *p);
void consume_close(struct runner *r);

/* arrive.c: what a polled event is: a new run, a copy of one we know, or nothing that can be run. */
struct polled {
    struct record record;
    bool truncated; /* it has more headers than we can hold */
    int64_t offset;
    int64_t written_us; /* Kafka's time of the record: for foreign ones that say none of their own */
};
void arrive(struct runner *r, struct partition *p, const struct polled *polled);

/* partition.c: partitions, their runs and agents in memory. */
struct partition *partition_find(const struct runner *r, int number);
/* Its memory is what the journal says: taken over, and not lost since. */
bool partition_is_whole(const struct partition *p);
struct partition *partition_new(struct runner *r, int number);
void partition_drop(struct runner *r, struct partition *p);
/* Runs, arrivals, closed ids: all that was read.  Runs with a child or an ending stay in p->previous if `keep`, else
 * their children are killed. */
void partition_forget(struct runner *r, struct partition *p, bool keep);
void partition_drop_previous(struct runner *r, struct partition *p);
void partition_refuse(struct runner *r, struct partition *p, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
struct run *partition_run(const struct partition *p, const struct run_id *id);
/* Takes the event. */
struct run *partition_add_run(struct runner *r, struct partition *p, const struct run_id *id, struct record *event,
                              const struct run_entry *entry);
void partition_remove_run(struct runner *r, struct run *run);
/* Puts the run where its entry says that it is: queue, slot, due times, the line of starts. */
void partition_place_run(struct runner *r, struct run *run);
/* All of them out of the schedule, and in again. */
void partition_rest(struct runner *r, struct partition *p);
void partition_resume(struct runner *r, struct partition *p);
void partition_add_input(struct run *run);
void partition_remove_input(struct run *run);
void partition_drop_arrivals(struct runner *r, struct partition *p);

/* bodies.c: events' values that found no room at a take-over, read again when their turn comes. */
/* It has to be read: soon partition_place_run is called for it.  Nothing happens if it is here. */
void bodies_ask(struct runner *r, struct run *run);
/* Asks for those whose agent has nothing before them. */
void bodies_look(struct runner *r);
/* Puts the value back where it was left out. */
void bodies_put(struct runner *r, struct run *run, struct bytes value);
/* An entry of the journal, while p->body_reader says so; NULL: the end at `offset`. */
void bodies_record(struct runner *r, struct partition *p, const struct record *record, int64_t offset);
/* The run goes. */
void bodies_forget(struct runner *r, struct run *run);
/* Nothing is read any more. */
void bodies_stop(struct runner *r, struct partition *p);

/* gather.c: fills and sends the next batch, if there is anything to say and none in flight. */
void gather(struct runner *r);
/* The last batch of an assignment: ended attempts and hand-overs, nothing new.  For the revoke callback. */
void gather_last(struct runner *r);
struct change *gather_change(struct runner *r, enum change_kind kind, struct partition *p);

/* propose.c: one change: decision and records. */
bool propose_run(struct runner *r, struct batch *b, struct run *run, enum run_input_kind kind);
void propose_dead_letter(struct runner *r, struct batch *b, struct partition *p, const struct arrival *a);
void propose_position(struct runner *r, struct batch *b, struct partition *p, int64_t next);
void propose_mark(struct runner *r, struct batch *b, struct partition *p, enum change_kind kind);
void propose_forget(struct runner *r, struct batch *b, struct partition *p, const struct run_id *id, int64_t until_us);

/* settle.c: what became of a batch. */
void settle(struct runner *r, struct job *job);
/* The partition goes: changes in flight must not find it any more. */
void settle_forget(struct runner *r, const struct partition *p);

/* takeover.c */
void takeover_begin(struct runner *r);
void takeover_offsets(struct runner *r, const struct job *job);
void takeover_barrier_done(struct runner *r, struct partition *p);
/* A record of its journal; false: no more are wanted. */
bool takeover_record(struct runner *r, struct partition *p, const struct record *record, int64_t offset);
void takeover_seek(struct runner *r, struct partition *p);
void takeover_sought(struct runner *r, const struct job *job);
/* After an unknown outcome: all partitions from the journal again, children live on (J10). */
void takeover_again(struct runner *r);

/* handover.c */
/* "CGMDv2:", int32 generation, then group, member and instance as C strings.  False: no member, or no generation: the
 * brokers would accept such metadata unchecked (J2). */
bool handover_parse_metadata(const uint8_t *data, size_t size, struct assignment *out);
void handover_assigned(struct runner *r, const int *numbers, size_t count);
void handover_revoked(struct runner *r, bool lost);
void handover_adopted(struct runner *r, struct partition *p);
void handover_check_limbo(struct runner *r);

/* journal_reader.c: journal partitions, read_committed: for the fold from the beginning, or for bodies. */
struct journal_reader *journal_reader_open(struct runner *r, struct error *error);
void journal_reader_close(struct journal_reader *j);
/* `offset` or RD_KAFKA_OFFSET_BEGINNING.  Once for a partition until it is stopped; afterwards nothing of it comes. */
bool journal_reader_start(struct journal_reader *j, int partition, int64_t offset);
void journal_reader_stop(struct journal_reader *j, int partition);
void journal_reader_serve(struct runner *r);

/* journal_policy.c: whether the journal's topic is still compacted, asked every journal_check without waiting. */
struct journal_policy *journal_policy_open(struct runner *r);
void journal_policy_close(struct journal_policy *j);
/* The next question is journal_check from now, or sooner while the journal is unsafe. */
void journal_policy_later(struct runner *r);
/* Asks when it is time to. */
void journal_policy_ask(struct runner *r);
/* Takes the answer when there is one: an unsafe journal is logged and counted, and stops nothing. */
void journal_policy_serve(struct runner *r);

/* starts.c: committed starts, in a line. */
void starts_add(struct runner *r, struct run *run);
void starts_remove(struct runner *r, struct run *run);
/* A turn of the loop begins; told if the last one is long ago. */
void starts_turn(struct runner *r, int64_t now_us);
/* A batch was committed that had been begun then: at that time we were a member, and owned what we own. */
void starts_prove(struct runner *r, int64_t began_us);
/* Starts the first few; true: there were any, and the loop is to look again before it sleeps. */
bool starts_step(struct runner *r);
/* The next batch can wait: there will be enough to start while it is on its way. */
bool starts_suffice(const struct runner *r, int64_t now_us);

/* effects.c: processes. */
void effects_start(struct runner *r, struct run *run);
void effects_freeze(struct runner *r);
void effects_thaw(struct run *run);
/* Kills the child and lets go of it. */
void effects_orphan(struct run *run);
void effects_stop_all(struct runner *r);
void effects_kill_all(struct runner *r);
void effects_abandon_all(struct runner *r);

/* event_json.c: what a command reads; pure. */
struct event_json {
    const struct record *event;
    struct record_event_view view;
    struct bytes workflow_id;
    int attempt;
    int64_t deadline_us;
};
void event_json_write(const struct event_json *e, struct buffer *out);

/* drain.c: the end, in order. */
void drain_begin(struct runner *r);
void drain_hurry(struct runner *r);
void drain_step(struct runner *r);

/* observe.c: metrics, readiness. */
enum runner_metric {
    METRIC_STARTED,
    METRIC_SUCCEEDED,
    METRIC_FAILED,
    METRIC_CANCELED,
    METRIC_TIMED_OUT,
    METRIC_RETRIES,
    METRIC_ADMITTED_NOW,
    METRIC_RUNNING_NOW,
    METRIC_RETRY_WAIT_NOW,
    METRIC_CLOSED_NOW,
    METRIC_START_DELAY,
    METRIC_RUN_TIME,
    METRIC_TRANSACTION_TIME,
    METRIC_RESTORE_TIME,
    METRIC_COMMITTED,
    METRIC_ABORTED,
    METRIC_REFUSED,
    METRIC_FENCED,
    METRIC_UNKNOWN,
    METRIC_DUPLICATES,
    METRIC_DEAD_LETTERS,
    METRIC_GAPS,
    METRIC_LAG,
    METRIC_EVENT_BYTES,
    METRIC_BODIES_AWAY,
    METRIC_PARTITIONS,
    METRIC_PARTITIONS_OPEN,
    METRIC_FROZEN,
    METRIC_JOURNAL_UNSAFE,
    METRIC_COUNT
};
bool observe_open(struct runner *r, struct error *error);
void observe_close(struct runner *r);
