/* story_world.h: the world of test_story.c: a Kafka of two partitions with a group, and fakes of the runner's edges
 * (consumer, transaction thread, journal reader, processes).  Included once.  SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "json.h"
#include "log.h"
#include "memory.h"
#include "runner.h"
#include "signature.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { PARTITIONS = 2, RUNNERS = 2, AGENTS = 3, EVENTS_MAX = 24, LATE = PARTITIONS, LOG_MAX = 256 };

/* ---- the world */

struct log {
    struct record **records; /* NULL: compacted away */
    size_t count;
};

struct delivery {
    struct run_id id;
    int partition, agent, number;
    bool poison; /* a record of it is refused by the brokers */
    bool unreadable;
    int results;
    int excuses;       /* attempts that may count: they failed, or nobody could say that they were stopped */
    int first_started; /* moment */
};

struct commit { /* the fake of commit.c: one per runner */
    struct job *queue[64];
    size_t count;
    int64_t epoch;
    struct job *done[64];
    size_t done_count;
    int runner;
    bool stuck; /* its answer does not come while a revoke callback waits */
};

static struct world {
    uint64_t seed;
    int moment;
    struct record *events[PARTITIONS][LOG_MAX];
    int64_t event_count[PARTITIONS];
    struct delivery deliveries[EVENTS_MAX + LATE];
    int delivery_count;
    struct log journal[PARTITIONS];
    int64_t group_offset[PARTITIONS];
    int32_t generation;
    int owner[PARTITIONS]; /* runner in this generation, or -1 */
    struct runner *runners[RUNNERS];
    struct commit commits[RUNNERS];
    int64_t read_at[RUNNERS][PARTITIONS];
    int64_t fold_at[RUNNERS][PARTITIONS];                       /* -1: not reading */
    struct batch *undecided[RUNNERS];                           /* of a dead runner: the coordinator will decide */
    int members[RUNNERS];                                       /* member number, grows when it joins anew */
    int live[EVENTS_MAX + LATE][RUNNERS];                       /* processes per delivery and runner */
    enum { KNOWN, UNKNOWN_COMMITTED, UNKNOWN_ABORTED } unknown; /* the next batch's answer gets lost */
    bool calm;                                                  /* no more bad luck */
    bool disorder;                                              /* processes that die now die without a hand-over */
    bool late;                                                  /* events are recorded a month later */
    const char *broken;
} world;

static uint32_t chance(uint32_t below)
{
    world.seed = world.seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(world.seed >> 33) % below;
}

static bool lucky(uint32_t percent)
{
    return !world.calm && chance(100) < percent;
}

static int runner_number(const struct runner *r)
{
    for (int i = 0; i < RUNNERS; i++)
        if (world.runners[i] == r) return i;
    return -1;
}

static struct delivery *delivery_of(const struct run_id *id)
{
    for (int i = 0; i < world.delivery_count; i++)
        if (run_id_equal(&world.deliveries[i].id, id)) return &world.deliveries[i];
    return NULL;
}

static void breaks(const char *what)
{
    if (!world.broken) world.broken = what;
}

/* ---- fakes: runner.c */

void runner_wake(struct runner *r)
{
    (void)r;
}
void runner_stop(struct runner *r)
{
    (void)r;
}
void runner_fail(struct runner *r, int exit_code)
{
    (void)r;
    (void)exit_code;
    breaks("runner_fail");
}
void runner_nonce(char out[JOURNAL_NONCE_SIZE])
{
    snprintf(out, JOURNAL_NONCE_SIZE, "%016x%016x", chance(0x7fffffff), chance(0x7fffffff));
}
double runner_jitter(void)
{
    return 0;
}

/* ---- fakes: consume.c */

void consume_attach(struct runner *r, struct partition *p)
{
    p->drained = false; /* where it begins to read by itself is anybody's guess: the seek has to tell it */
    world.read_at[runner_number(r)][p->number] = chance(EVENTS_MAX);
}
void consume_detach(struct partition *p)
{
    (void)p;
}
int64_t consume_high(struct runner *r, const struct partition *p)
{
    (void)r;
    return world.event_count[p->number];
}
void consume_snapshot(struct runner *r, struct assignment *out)
{
    /* The form of librdkafka 2.0.2 (J2). */
    uint8_t blob[128];
    size_t size = 0;
    memcpy(blob, "CGMDv2:", 7);
    size += 7;
    memcpy(blob + size, &world.generation, 4);
    size += 4;
    size += (size_t)snprintf((char *)blob + size, 40, "group") + 1;
    size += (size_t)snprintf((char *)blob + size, 40, "member-%d", world.members[runner_number(r)]) + 1;
    blob[size++] = 0;
    *out = (struct assignment){.generation = -1};
    out->metadata = memory_new(size);
    memcpy(out->metadata, blob, size);
    out->metadata_size = size;
    out->present = handover_parse_metadata(blob, size, out);
}

/* ---- fakes: journal_reader.c */

bool journal_reader_start(struct journal_reader *j, int partition, int64_t offset)
{
    int64_t *at = &world.fold_at[(int)(intptr_t)j - 1][partition];
    if (*at >= 0) breaks("a journal partition is read twice at once");
    *at = offset < 0 ? 0 : offset;
    return true;
}
void journal_reader_stop(struct journal_reader *j, int partition)
{
    world.fold_at[(int)(intptr_t)j - 1][partition] = -1;
}

/* ---- fakes: effects.c */

/* Each delivery's body is its number. */
static bool has_its_body(const struct record *event, const struct delivery *d)
{
    char number[16];
    snprintf(number, sizeof number, "%d", d->number);
    return bytes_are(event->value, number);
}

void effects_start(struct runner *r, struct run *run)
{
    struct delivery *d = delivery_of(&run->id);
    run->start_pending = false;
    if (run->process) breaks("a run was started while its process lives");
    if (run->entry.state != RUN_RUNNING) breaks("a process was started that the journal does not know");
    if (run->partition->state != PARTITION_OPEN) breaks("a process was started in a partition that is not open");
    struct process *x = memory_new(sizeof *x);
    *x = (struct process){.runner = r, .run = run};
    run->process = x;
    r->processes = memory_array(r->processes, r->process_count + 1, sizeof(struct process *));
    r->processes[r->process_count++] = x;
    if (!d) {
        breaks("a process was started for nobody's delivery");
        return;
    }
    if (!has_its_body(run->event, d)) breaks("a run was started without its event's value (J12)");
    int *live = &world.live[d - world.deliveries][runner_number(r)];
    if (++*live > 1) breaks("two processes of one run in one runner");
    if (d->first_started == 0) d->first_started = ++world.moment;
}

static void end_process(struct runner *r, struct process *x, bool counts)
{
    if (x->run) {
        struct delivery *d = delivery_of(&x->run->id);
        if (d) world.live[d - world.deliveries][runner_number(r)]--;
        if (d && counts) d->excuses++;
        x->run->process = NULL;
    }
    for (size_t i = 0; i < r->process_count; i++)
        if (r->processes[i] == x) r->processes[i] = r->processes[--r->process_count];
    free(x);
}

void effects_freeze(struct runner *r)
{
    for (size_t i = 0; i < r->process_count; i++)
        r->processes[i]->frozen = true;
}
void effects_thaw(struct run *run)
{
    if (run->process) run->process->frozen = false;
}
void effects_orphan(struct run *run)
{
    struct delivery *d = delivery_of(&run->id);
    /* started in the journal, not yet or no longer in the flesh (failure matrix, 12 and 16) */
    bool spent = !run->process && (run->entry.state == RUN_RUNNING || run->in_flight);
    if (d && spent && world.disorder) d->excuses++;
    if (run->process) end_process(run->process->runner, run->process, world.disorder);
}

/* ---- fakes: commit.c */

struct job *job_new(enum job_kind kind, int64_t epoch, size_t offset_count)
{
    struct job *j = memory_new(sizeof *j);
    *j = (struct job){.kind = kind, .epoch = epoch, .offset_count = offset_count};
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
void commit_submit(struct commit *c, struct job *job)
{
    assert_true(c->count < 64);
    if (job->kind == JOB_BATCH)
        for (size_t i = 0; i < c->count; i++)
            if (c->queue[i]->kind == JOB_BATCH) breaks("two batches in flight");
    c->queue[c->count++] = job;
}
void commit_set_epoch(struct commit *c, int64_t epoch)
{
    c->epoch = epoch;
}
struct job *commit_take(struct commit *c)
{
    if (c->done_count == 0) return NULL;
    struct job *j = c->done[0];
    memmove(c->done, c->done + 1, --c->done_count * sizeof(struct job *));
    return j;
}

/* J7, J15: what was stopped, adopted or handed over in good order costs no attempt. */
static void check_attempts(const struct record *r, const struct delivery *d)
{
    struct error error;
    int64_t attempts = -1;
    bool success = false;
    struct json *doc = json_parse(r->value, &error);
    if (!doc || !json_int64(json_get(doc, "attempts", NULL), &attempts) ||
        !json_bool(json_get(doc, "success", NULL), &success))
        breaks("a result that can't be read");
    if (attempts > d->excuses + (success || d->poison ? 1 : 0))
        breaks("an attempt was counted that nobody is to blame for");
    json_free(doc);
}

static void count_result(const struct record *r)
{
    struct run_id id;
    struct bytes text = record_header(r, "ce_id");
    struct delivery *d = run_id_parse(text, &id) ? delivery_of(&id) : NULL;
    if (!d)
        breaks("a result for nobody's delivery");
    else if (++d->results > 1)
        breaks("two results for one delivery");
    else
        check_attempts(r, d);
}

static void check_dead_letter(const struct record *r)
{
    struct run_id id;
    const struct delivery *d = run_id_parse(record_header(r, "ce_workflowid"), &id) ? delivery_of(&id) : NULL;
    if (d && !d->poison && !has_its_body(r, d)) breaks("a dead letter without its event's value (J12)");
}

static bool same_key(const struct record *a, const struct record *b)
{
    return a->key.size == b->key.size && memcmp(a->key.data, b->key.data, a->key.size) == 0;
}

/* Committed: everything becomes visible at once. */
static void apply(struct batch *b)
{
    for (size_t i = 0; i < b->count; i++) {
        struct batch_record *r = &b->records[i];
        struct log *log = &world.journal[r->partition];
        if (r->topic == TOPIC_RESULTS) count_result(r->record);
        if (r->topic == TOPIC_DEAD_LETTERS) check_dead_letter(r->record);
        if (r->topic != TOPIC_JOURNAL) continue;
        log->records = memory_array(log->records, log->count + 1, sizeof(struct record *));
        log->records[log->count++] = r->record;
        r->record = NULL;
    }
    for (size_t i = 0; i < b->offset_count; i++)
        world.group_offset[b->offsets[i].partition] = b->offsets[i].next;
}

static bool is_fenced(int runner, const struct batch *b)
{
    struct assignment a;
    char member[32];
    if (!handover_parse_metadata(b->metadata, b->metadata_size, &a)) return true;
    snprintf(member, sizeof member, "member-%d", world.members[runner]);
    return a.generation != world.generation || strcmp(member, a.member) != 0;
}

static bool is_poisoned(const struct batch *b)
{
    for (size_t i = 0; i < b->count; i++)
        if (record_header(b->records[i].record, "poison").data && b->records[i].record->value.size > 0) return true;
    return false;
}

/* A start whose answer was lost may be in the journal without a process (failure matrix, 12). */
static void excuse(const struct batch *b)
{
    for (size_t i = 0; i < b->count; i++) {
        struct run_id id;
        struct bytes key = b->records[i].record->key;
        if (key.size >= RUN_ID_TEXT_SIZE - 1) key.size = RUN_ID_TEXT_SIZE - 1;
        struct delivery *d = run_id_parse(key, &id) ? delivery_of(&id) : NULL;
        if (d) d->excuses++;
    }
}

static enum commit_outcome decide(struct job *j, int runner)
{
    if (!batch_is_sound(j->batch)) breaks("an unfenced transaction (J1)");
    if (is_fenced(runner, j->batch)) return COMMIT_FENCED_GROUP;
    if (is_poisoned(j->batch)) return COMMIT_REFUSED;
    if (world.unknown) {
        if (world.unknown == UNKNOWN_COMMITTED) apply(j->batch);
        world.unknown = 0;
        return COMMIT_UNKNOWN;
    }
    if (lucky(5)) return COMMIT_ABORTED;
    if (lucky(3)) {
        excuse(j->batch);
        if (chance(2)) apply(j->batch);
        return COMMIT_UNKNOWN;
    }
    apply(j->batch);
    return COMMIT_DONE;
}

/* The coordinator decides what a dead runner left open before anybody reads a stable offset. */
static void decide_dead(void)
{
    for (int i = 0; i < RUNNERS; i++) {
        if (!world.undecided[i]) continue;
        if (chance(2)) apply(world.undecided[i]);
        batch_free(world.undecided[i]);
        world.undecided[i] = NULL;
    }
}

static void answer(struct commit *c, struct job *j)
{
    if (j->kind == JOB_BATCH) j->outcome = decide(j, c->runner);
    if (j->kind == JOB_COMMITTED && j->epoch == c->epoch) {
        decide_dead();
        for (size_t i = 0; i < j->offset_count; i++)
            j->offsets[i].offset = world.group_offset[j->offsets[i].partition];
    }
    if (j->kind == JOB_SEEK && j->epoch == c->epoch)
        for (size_t i = 0; i < j->offset_count; i++)
            world.read_at[c->runner][j->offsets[i].partition] = j->offsets[i].offset < 0 ? 0 : j->offsets[i].offset;
    if (j->kind == JOB_END)
        for (size_t i = 0; i < j->offset_count; i++)
            j->offsets[i].offset = -1;
}

/* No hand-over: whatever runs in the journal may cost an attempt. */
static void excuse_all(int n)
{
    const struct runner *r = world.runners[n];
    for (size_t i = 0; i < r->partition_count; i++) {
        size_t at = 0;
        for (struct id_slot *slot; (slot = id_table_next(&r->partitions[i]->runs, &at));) {
            const struct run *run = slot->as.pointer;
            struct delivery *d = delivery_of(&run->id);
            if (d && (run->entry.state == RUN_RUNNING || run->in_flight)) d->excuses++;
        }
    }
}

bool commit_wait_batch(struct commit *c, int64_t timeout_ms)
{
    (void)timeout_ms;
    if (c->stuck) return false;
    for (size_t i = 0; i < c->count; i++) {
        if (c->queue[i]->kind != JOB_BATCH) continue;
        answer(c, c->queue[i]);
        if (c->queue[i]->outcome != COMMIT_DONE) {
            world.disorder = true;
            excuse_all(c->runner);
        }
        c->done[c->done_count++] = c->queue[i];
        memmove(&c->queue[i], &c->queue[i + 1], (--c->count - i) * sizeof(struct job *));
        return true;
    }
    return false;
}
