/* test_story.c: the whole core against a small world of its own: a Kafka of two partitions with a group, two runners,
 * and a fate that crashes, freezes, aborts, loses answers and rebalances at random.  After every story: one result for
 * each delivery, no other result, order kept, nothing running twice in one runner.
 * Edges faked: consumer, transaction thread, journal reader, processes.  Everything between is the real code.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "clock.h"
#include "runner/story_world.h"

#ifdef __SANITIZE_THREAD__
enum { STORIES = 1000 }; /* one thread: there is nothing for ThreadSanitizer to see, and it takes ten times as long */
#else
enum { STORIES = 10000 };
#endif

/* ---- what happens */

static void deliver_job(struct runner *r, struct job *j)
{
    switch (j->kind) {
    case JOB_BATCH: settle(r, j); break;
    case JOB_COMMITTED: takeover_offsets(r, j); break;
    case JOB_SEEK: takeover_sought(r, j); break;
    default: break;
    }
    job_free(j);
}

static void do_job(int n)
{
    struct commit *c = &world.commits[n];
    if (c->count == 0) return;
    size_t at = chance((uint32_t)c->count);
    struct job *j = c->queue[at];
    memmove(&c->queue[at], &c->queue[at + 1], (--c->count - at) * sizeof(struct job *));
    answer(c, j);
    deliver_job(world.runners[n], j);
}

static void do_read(int n)
{
    struct runner *r = world.runners[n];
    for (size_t i = 0; i < r->partition_count; i++) {
        struct partition *p = r->partitions[i];
        int64_t *at = &world.read_at[n][p->number];
        for (int k = 0; k < 3 && p->state == PARTITION_OPEN && *at < world.event_count[p->number]; k++) {
            struct polled polled = {.record = *world.events[p->number][*at], .offset = *at, .written_us = 1000000};
            ++*at;
            arrive(r, p, &polled);
        }
    }
}

static void do_fold(int n)
{
    struct runner *r = world.runners[n];
    for (int number = 0; number < PARTITIONS; number++) {
        struct partition *p = partition_find(r, number);
        int64_t *at = &world.fold_at[n][number];
        for (int k = 0; k < 20 && p && p->state == PARTITION_FOLDING && *at >= 0; k++) {
            if (*at >= (int64_t)world.journal[number].count) break;
            const struct record *record = world.journal[number].records[(*at)++];
            if (record) takeover_record(r, p, record, *at - 1);
        }
        for (int k = 0; k < 3 && p && p->body_reader >= 0; k++) {
            struct log *log = &world.journal[number];
            int64_t offset = *at < (int64_t)log->count ? (*at)++ : (int64_t)log->count;
            if (offset == (int64_t)log->count)
                bodies_record(r, p, NULL, offset);
            else if (log->records[offset])
                bodies_record(r, p, log->records[offset], offset);
        }
    }
}

static struct ending *ending_new(enum verdict verdict)
{
    struct ending *e = memory_new(sizeof *e + 8);
    e->verdict = verdict;
    e->output = (struct bytes){(const uint8_t *)e->storage, 0};
    if (verdict != VERDICT_SUCCEEDED) e->error = "it failed";
    return e;
}

static void do_exit(int n)
{
    struct runner *r = world.runners[n];
    if (r->process_count == 0) return;
    struct process *x = r->processes[chance((uint32_t)r->process_count)];
    struct run *run = x->run;
    if (x->frozen || !run) return;
    static const enum verdict ends[] = {VERDICT_SUCCEEDED, VERDICT_SUCCEEDED, VERDICT_SUCCEEDED, VERDICT_RETRY,
                                        VERDICT_TIMED_OUT, VERDICT_PERMANENT, VERDICT_STOPPED};
    enum verdict verdict = ends[chance(world.calm ? 6 : 7)];
    end_process(r, x, verdict != VERDICT_STOPPED && verdict != VERDICT_SUCCEEDED);
    run->ending = ending_new(verdict);
    partition_add_input(run);
}

static void do_gather(int n)
{
    world.runners[n]->next_batch_us = world.runners[n]->settled_us = 0; /* pauses are not this test's business */
    gather(world.runners[n]);
}

static void do_starts(int n)
{
    starts_step(world.runners[n]);
}

static void do_freeze(int n)
{
    world.runners[n]->unproven = true;
    world.runners[n]->stalled_us = clock_monotonic_us();
}

/* Compaction: all but the newest of each key may go, and tombstones that stand before somebody's reading may not. */
static void do_compact(void)
{
    struct log *log = &world.journal[chance(PARTITIONS)];
    if (log->count < 2) return;
    size_t end = chance((uint32_t)log->count), from = chance((uint32_t)end + 1);
    for (size_t i = from; i < end; i++) {
        if (!log->records[i]) continue;
        for (size_t k = i + 1; k < end; k++) {
            if (!log->records[k] || !same_key(log->records[i], log->records[k])) continue;
            free(log->records[i]);
            log->records[i] = NULL;
            break;
        }
    }
}

static void assign_all(void)
{
    int numbers[PARTITIONS];
    for (int n = 0; n < RUNNERS; n++) {
        if (!world.runners[n]) continue;
        size_t count = 0;
        for (int p = 0; p < PARTITIONS; p++)
            if (world.owner[p] == n) numbers[count++] = p;
        handover_assigned(world.runners[n], numbers, count);
    }
}

static void share_out(void)
{
    for (int p = 0; p < PARTITIONS; p++) {
        world.owner[p] = -1;
        int first = (int)chance(RUNNERS);
        for (int i = 0; i < RUNNERS && world.owner[p] < 0; i++)
            if (world.runners[(first + i) % RUNNERS]) world.owner[p] = (first + i) % RUNNERS;
    }
}

/* A rebalance in the middle of a re-read (J10) takes the partition away before it is whole. */
static void excuse_previous(const struct runner *r)
{
    for (size_t i = 0; i < r->partition_count; i++)
        for (size_t k = 0; k < r->partitions[i]->previous_count; k++) {
            struct delivery *d = delivery_of(&r->partitions[i]->previous[k]->id);
            if (d) d->excuses++;
        }
}

static void revoke_all_of(int n)
{
    struct runner *r = world.runners[n];
    excuse_previous(r);
    world.commits[n].stuck = lucky(10);
    bool lost = lucky(10);
    if (world.commits[n].stuck || lost) {
        world.disorder = true;
        excuse_all(n);
    }
    if (lost) world.members[n] += RUNNERS;
    handover_revoked(r, lost);
    world.commits[n].stuck = false;
    for (size_t i = 0; i < r->process_count; i++)
        if (r->processes[i]->run && !r->processes[i]->frozen) breaks("a process runs on in limbo (J15)");
}

static void step_of(int n);

/* One member sits out a generation: others own what it keeps in limbo (J14).  The group may even begin to count anew.
 */
static void do_absence(int absent)
{
    int other = (absent + 1) % RUNNERS;
    int32_t before = world.generation;
    if (!world.runners[other]) return;
    world.generation++;
    for (int p = 0; p < PARTITIONS; p++)
        world.owner[p] = other;
    int numbers[PARTITIONS] = {0, 1};
    world.disorder = true;
    handover_assigned(world.runners[other], numbers, PARTITIONS);
    for (int i = 0; i < 80 && !world.broken; i++)
        step_of(other);
    revoke_all_of(other);
    world.disorder = true;
    if (!lucky(30)) return;
    world.generation = before;
    for (int n = 0; n < RUNNERS; n++)
        world.members[n] += RUNNERS;
}

/* All members revoke under the old generation, then the new one begins. */
static void do_rebalance(void)
{
    for (int n = 0; n < RUNNERS; n++)
        if (world.runners[n]) revoke_all_of(n);
    if (lucky(25)) do_absence((int)chance(RUNNERS));
    world.generation++;
    share_out();
    assign_all();
    world.disorder = false;
}

static struct settings settings, fewer; /* fewer: somebody took agents out of the configuration */
static struct agent_settings agents[1], one_agent[1];
static struct metrics *metrics;

static void birth(int n)
{
    struct runner *r = memory_new(sizeof *r);
    world.runners[n] = r;
    world.members[n] += RUNNERS;
    memset(&world.commits[n], 0, sizeof world.commits[n]);
    world.commits[n].runner = n;
    r->settings = lucky(10) ? &fewer : &settings;
    r->commit = &world.commits[n];
    r->journal = (struct journal_reader *)(intptr_t)(n + 1);
    r->metrics = metrics;
    r->schedule.cap = 3;
    r->assignment.generation = -1;
    runner_nonce(r->producer);
    journal_scratch_init(&r->scratch);
    buffer_init(&r->value, 1 << 20);
    buffer_init(&r->text, 1 << 20);
    for (int t = 0; t < TOPIC_COUNT; t++)
        r->record_max[t] = 1 << 20;
}

static void death(int n)
{
    struct runner *r = world.runners[n];
    struct commit *c = &world.commits[n];
    for (size_t i = 0; i < c->count; i++) {
        struct job *j = c->queue[i];
        if (j->kind == JOB_BATCH && !is_fenced(n, j->batch) && !is_poisoned(j->batch)) {
            batch_free(world.undecided[n]);
            world.undecided[n] = j->batch;
            j->batch = NULL;
        }
        job_free(j);
    }
    c->count = 0;
    while (r->partition_count > 0)
        partition_drop(r, r->partitions[0]);
    if (r->event_bytes != 0) breaks("what is held in memory is counted wrongly (J12)");
    if (r->starts.count > 0) breaks("a start stands in the line for nobody");
    schedule_close(&r->schedule);
    heap_close(&r->starts);
    journal_scratch_close(&r->scratch);
    buffer_close(&r->value);
    buffer_close(&r->text);
    free(r->assignment.metadata);
    free(r->partitions);
    free(r->processes);
    free(r->changes);
    free(r);
    world.runners[n] = NULL;
}

static bool has_position(int partition)
{
    const struct log *log = &world.journal[partition];
    for (size_t i = 0; i < log->count; i++)
        if (log->records[i] && bytes_are(log->records[i]->key, "@position")) return true;
    return false;
}

/* A crash: its open transaction is decided before the next owner reads (J5); its children die with it. */
static void do_crash(void)
{
    int n = (int)chance(RUNNERS);
    world.disorder = true;
    if (world.runners[n]) death(n);
    /* offsets expire, and operators reset them, down and up: the journal does not care (J6) */
    int p = (int)chance(PARTITIONS);
    if (lucky(20) && has_position(p)) world.group_offset[p] = (int64_t)chance(EVENTS_MAX) - 1;
    /* init_transactions of the same slot or the time-out decides; either way before a stable offset is told */
    decide_dead();
    birth(n);
    do_rebalance();
}

static void add_event(int n);

static void do_event(void)
{
    if (world.delivery_count >= EVENTS_MAX && !lucky(10)) return;
    int n = world.delivery_count;
    if (n > 0 && (n == EVENTS_MAX || lucky(20))) n = (int)chance((uint32_t)n); /* the sender repeats it */
    struct delivery *d = &world.deliveries[n];
    if (n == world.delivery_count) {
        *d = (struct delivery){.agent = (int)chance(AGENTS), .number = n, .poison = lucky(3)};
        d->partition = d->agent % PARTITIONS;
        world.delivery_count++;
    }
    add_event(n);
}

static void add_event(int n)
{
    char key[16], text[RECORD_WORKFLOW_ID_SIZE], number[16];
    struct record_header headers[RECORD_HEADERS_MAX];
    struct record record;
    struct delivery *d = &world.deliveries[n];
    snprintf(key, sizeof key, "agent-%d", d->agent);
    snprintf(number, sizeof number, "%d", n);
    record_workflow_id(bytes_of(key), bytes_of("test"), bytes_of("s"), bytes_of(number), bytes_of(""), text);
    assert_true(run_id_parse(bytes_of(text), &d->id));
    struct record_header poison = {bytes_of("poison"), bytes_of("1")};
    struct record_event event = {.agent_id = bytes_of(key),
                                 .workflow_id = bytes_of(text),
                                 .content_type = bytes_of("application/json"),
                                 .ce_id = bytes_of(number),
                                 .recorded_time =
                                     bytes_of(world.late ? "2026-02-01T00:00:00Z" : "2026-01-01T00:00:00Z"),
                                 .http = &poison,
                                 .http_count = d->poison ? 1 : 0,
                                 .body = bytes_of(number)};
    record_from_event(&event, headers, &record);
    assert_true(world.event_count[d->partition] < LOG_MAX);
    world.events[d->partition][world.event_count[d->partition]++] = memory_got(record_dup(&record));
}

static void step_of(int n)
{
    uint32_t what = chance(100);
    if (what < 15 && !world.calm)
        do_event();
    else if (what < 30)
        do_read(n);
    else if (what < 45)
        do_fold(n);
    else if (what < 60)
        do_exit(n);
    else if (what < 77)
        do_gather(n);
    else if (what < 84)
        do_starts(n);
    else if (what < 97)
        do_job(n);
    else
        do_compact();
}

static void step(void)
{
    int n = (int)chance(RUNNERS);
    if (lucky(1) && world.runners[n]) do_freeze(n);
    if (lucky(2)) do_crash();
    if (lucky(3)) do_rebalance();
    if (world.runners[n]) step_of(n);
}

static bool all_told(void)
{
    for (int i = 0; i < world.delivery_count; i++)
        if (world.deliveries[i].results == 0) return false;
    return true;
}

/* Runs of one agent (concurrency 1) start first in the order of their deliveries, unless a run never started. */
static bool in_order(void)
{
    int last[AGENTS] = {0};
    for (int i = 0; i < world.delivery_count; i++) {
        const struct delivery *d = &world.deliveries[i];
        if (d->first_started == 0) continue;
        if (d->first_started < last[d->agent]) return false;
        last[d->agent] = d->first_started;
    }
    return true;
}

/* For whoever has to find out why: STORY=<number> tells one story aloud. */
static void dump(void)
{
    for (int n = 0; n < RUNNERS; n++) {
        const struct runner *r = world.runners[n];
        if (!r) continue;
        fprintf(stderr, "runner %d: in flight %d, suspects %zu, processes %zu, jobs %zu, taken %d\n", n, r->in_flight,
                r->suspects, r->process_count, world.commits[n].count, r->schedule.taken);
        for (size_t i = 0; i < r->partition_count; i++) {
            const struct partition *p = r->partitions[i];
            fprintf(stderr, "  partition %d state %d position %lld expect %lld of %lld, arrivals %zu inputs %zu %s%s\n",
                    p->number, (int)p->state, (long long)p->position, (long long)p->expect,
                    (long long)world.event_count[p->number], p->arrival_count, p->input_count, p->refused, p->unread);
            size_t at = 0;
            for (struct id_slot *slot; (slot = id_table_next(&p->runs, &at));) {
                const struct run *run = slot->as.pointer;
                fprintf(stderr, "    run of %lld: %s attempt %d start %d place %d\n",
                        (long long)run->entry.source_offset, run_state_name(run->entry.state), run->entry.attempt,
                        run->entry.start, (int)run->turn.place);
            }
        }
    }
}

static void clean_up(void)
{
    for (int n = 0; n < RUNNERS; n++) {
        if (world.runners[n]) death(n);
        batch_free(world.undecided[n]);
        world.undecided[n] = NULL;
    }
    for (int p = 0; p < PARTITIONS; p++) {
        for (int64_t i = 0; i < world.event_count[p]; i++)
            free(world.events[p][i]);
        for (size_t i = 0; i < world.journal[p].count; i++)
            free(world.journal[p].records[i]);
        free(world.journal[p].records);
    }
}

static void go_on_until_told(void)
{
    int left = 60000;
    while (!world.broken && --left > 0 && !(left % 64 == 0 && all_told()))
        step();
    if (!world.broken && !all_told()) world.broken = "a delivery has no result";
}

/* A month later one more event comes to each partition: every older id may be forgotten, and is (J26). */
static void a_month_later(void)
{
    world.late = true;
    for (int p = 0; p < PARTITIONS; p++) {
        int n = world.delivery_count++;
        world.deliveries[n] = (struct delivery){.agent = p, .partition = p, .number = n};
        add_event(n);
    }
    go_on_until_told();
    for (int i = 0; i < 400 && !world.broken; i++)
        step();
}

static const struct record *newest(int partition, const char *key)
{
    const struct log *log = &world.journal[partition];
    for (size_t i = log->count; i > 0; i--)
        if (log->records[i - 1] && bytes_are(log->records[i - 1]->key, key)) return log->records[i - 1];
    return NULL;
}

static void check_position(int partition)
{
    struct error error;
    int64_t next = -1;
    const struct record *r = newest(partition, "@position");
    struct json *doc = r ? json_parse(r->value, &error) : NULL;
    if (!doc || !json_int64(json_get(doc, "next", NULL), &next) || next != world.event_count[partition])
        breaks("the journal's position is not the end");
    if (world.group_offset[partition] != next) breaks("the group's offset is not the journal's position");
    json_free(doc);
}

/* Nothing of a run is left in the journal when its window is over (J18, J26). */
static void check_journal(void)
{
    for (int i = 0; i < world.delivery_count; i++) {
        char key[RUN_ID_TEXT_SIZE + 8];
        const struct delivery *d = &world.deliveries[i];
        run_id_format(&d->id, key);
        const struct record *run = newest(d->partition, key);
        bool late = i >= world.delivery_count - LATE;
        if (run && run->value.data && !late) breaks("an expired id is still in the journal (J26)");
        memcpy(key + RUN_ID_TEXT_SIZE - 1, "/run", 5);
        const struct record *state = newest(d->partition, key);
        if (state && state->value.data) breaks("a state outlived its run (J18)");
    }
    for (int p = 0; p < PARTITIONS; p++)
        check_position(p);
}

static void tell(uint64_t seed)
{
    static const int64_t memories[] = {1, 4000, 1 << 20}; /* for no body, some, all */
    memset(&world, 0, sizeof world);
    memset(world.fold_at, -1, sizeof world.fold_at);
    world.seed = seed * 2654435761u + 12345;
    settings.body_memory_bytes = fewer.body_memory_bytes = memories[chance(3)];
    world.generation = 1;
    for (int p = 0; p < PARTITIONS; p++)
        world.group_offset[p] = -1;
    for (int n = 0; n < RUNNERS; n++)
        birth(n);
    share_out();
    assign_all();
    for (int i = 0; i < 400 && !world.broken; i++)
        step();
    world.calm = true;
    for (int n = 0; n < RUNNERS; n++)
        if (!world.runners[n]) birth(n);
    decide_dead();
    do_rebalance();
    go_on_until_told();
    if (!world.broken && !in_order()) world.broken = "runs of one agent started out of order";
    if (!world.broken) a_month_later();
    if (!world.broken) check_journal();
    const char *broken = world.broken;
    if (broken && getenv("STORY")) dump();
    clean_up();
    if (broken) fail_msg("story %llu: %s", (unsigned long long)seed, broken);
}

/* J1 J3 J4 J5 J6 J7 J8 J9 J10 J14 J15 J18: whatever happens in whatever order. */
static void stories_end_well(void **state)
{
    (void)state;
    const char *one = getenv("STORY");
    if (one) {
        log_set_level(LOG_DEBUG);
        tell(strtoull(one, NULL, 10));
        return;
    }
    const char *from = getenv("STORIES_FROM"); /* for a long night: others than every day's */
    uint64_t first = from ? strtoull(from, NULL, 10) : 1;
    for (uint64_t seed = first; seed < first + STORIES; seed++)
        tell(seed);
}

/* Everything but the start and the end of a process. */
static void go_on_without_starts(int n, int turns)
{
    for (int i = 0; i < turns && !world.broken; i++) {
        do_read(n);
        do_gather(n);
        do_job(n);
        do_fold(n);
    }
}

/* Everything but the end of a process. */
static void go_on(int n, int turns)
{
    for (int i = 0; i < turns && !world.broken; i++) {
        go_on_without_starts(n, 1);
        do_starts(n);
    }
}

static void new_delivery(int agent)
{
    int n = world.delivery_count++;
    world.deliveries[n] = (struct delivery){.agent = agent, .partition = agent % PARTITIONS, .number = n};
    add_event(n);
}

static void one_runner_alone(void)
{
    memset(&world, 0, sizeof world);
    memset(world.fold_at, -1, sizeof world.fold_at);
    world.calm = true;
    world.generation = 1;
    world.group_offset[0] = world.group_offset[1] = -1;
    birth(0);
    share_out();
    assign_all();
}

/* A batch with a new delivery in it, whose answer is lost: it happened once or not at all. */
static void an_unknown_outcome(int unknown)
{
    new_delivery(0);
    do_read(0);
    world.unknown = unknown;
    do_gather(0);
    do_job(0);
    assert_int_equal(world.unknown, KNOWN);
}

/* J10: after an unknown outcome the journal is read again, and the child that runs goes on running, whether it ends
 * during that or after. */
static void a_child_outlives_an_unknown_outcome(int unknown, bool ends_meanwhile)
{
    one_runner_alone();
    new_delivery(0);
    go_on(0, 40);
    struct runner *r = world.runners[0];
    assert_int_equal(r->process_count, 1);
    const struct process *child = r->processes[0];
    an_unknown_outcome(unknown);
    assert_ptr_equal(r->processes[0], child);
    if (ends_meanwhile) {
        struct run *run = child->run;
        end_process(r, r->processes[0], false);
        run->ending = ending_new(VERDICT_SUCCEEDED);
        partition_add_input(run);
    }
    go_on(0, 40);
    if (!ends_meanwhile) assert_ptr_equal(r->processes[0], child);
    go_on_until_told();
    assert_null(world.broken); /* attempts included: nobody is to blame for a second one */
    clean_up();
}

/* And a start that was committed before is still made, without the cost of an attempt. */
static void a_start_outlives_an_unknown_outcome(int unknown)
{
    one_runner_alone();
    new_delivery(0);
    go_on_without_starts(0, 40);
    assert_int_equal(world.runners[0]->starts.count, 1);
    an_unknown_outcome(unknown);
    assert_int_equal(world.runners[0]->starts.count, 0); /* not before the journal is read */
    go_on_without_starts(0, 40);
    assert_int_equal(world.runners[0]->starts.count, 1);
    go_on_until_told();
    assert_null(world.broken);
    clean_up();
}

static void children_outlive_unknown_outcomes(void **state)
{
    (void)state;
    a_start_outlives_an_unknown_outcome(UNKNOWN_COMMITTED);
    a_start_outlives_an_unknown_outcome(UNKNOWN_ABORTED);
    a_child_outlives_an_unknown_outcome(UNKNOWN_COMMITTED, false);
    a_child_outlives_an_unknown_outcome(UNKNOWN_COMMITTED, true);
    a_child_outlives_an_unknown_outcome(UNKNOWN_ABORTED, false);
    a_child_outlives_an_unknown_outcome(UNKNOWN_ABORTED, true);
}

/* A frozen runner wakes with a start to make: it makes it when the brokers have taken a batch of it again, and never if
 * they do not. */
static void who_wakes_proves_itself_before_it_starts(bool lost)
{
    one_runner_alone();
    new_delivery(0);
    go_on_without_starts(0, 40);
    struct runner *r = world.runners[0];
    assert_int_equal(r->starts.count, 1);
    r->unproven = true;
    r->stalled_us = 1; /* long ago: whatever comes now is later */
    do_starts(0);
    assert_int_equal(r->process_count, 0);
    if (lost) world.generation++;
    do_gather(0);
    assert_true(r->in_flight); /* though there was nothing to say */
    do_job(0);
    do_starts(0);
    assert_int_equal(r->process_count, lost ? 0 : 1);
    if (!lost) go_on_until_told();
    assert_null(world.broken);
    clean_up();
}

static void a_woken_runner_proves_itself(void **state)
{
    (void)state;
    who_wakes_proves_itself_before_it_starts(false);
    who_wakes_proves_itself_before_it_starts(true);
}

/* J7: what a runner that drains has not started yet it hands over, and it costs no attempt. */
static void a_start_that_waits_is_handed_over(void **state)
{
    (void)state;
    one_runner_alone();
    new_delivery(0);
    go_on_without_starts(0, 40);
    struct runner *r = world.runners[0];
    r->draining = true;
    do_starts(0);
    assert_int_equal(r->process_count, 0);
    assert_int_equal(r->starts.count, 1);
    revoke_all_of(0);
    assert_int_equal(r->starts.count, 0);
    death(0);
    birth(0);
    world.generation++;
    share_out();
    assign_all();
    go_on_until_told();
    assert_null(world.broken);
    clean_up();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(children_outlive_unknown_outcomes), cmocka_unit_test(a_start_that_waits_is_handed_over),
        cmocka_unit_test(a_woken_runner_proves_itself), cmocka_unit_test(stories_end_well)};
    static const struct metric_def row = {"none", NULL, METRIC_COUNTER, "none"};
    static struct metric_def rows[METRIC_COUNT];
    static char any[] = "*", first[] = "agent-0", group[] = "group", slot[] = "slot";
    static char names[TOPIC_COUNT][16] = {"events", "results", "dead", "journal", "control", "triggers"};
    for (int i = 0; i < METRIC_COUNT; i++)
        rows[i] = row;
    for (int i = METRIC_START_DELAY; i <= METRIC_RESTORE_TIME; i++)
        rows[i] = (struct metric_def){"times", NULL, METRIC_HISTOGRAM, "none"};
    metrics = metrics_new(rows, METRIC_COUNT);
    agents[0] =
        (struct agent_settings){.id = any, .concurrency = 1, .retry = {.max_attempts = 3, .max_age_ms = 1 << 30}};
    settings = (struct settings){.group_id = group,
                                 .slot = slot,
                                 .transactional_id = slot,
                                 .concurrency = 3,
                                 .limbo_max_ms = 20000,
                                 .queue_max = 1000,
                                 .body_memory_bytes = 1 << 20,
                                 .agents = agents,
                                 .agent_count = 1};
    for (int t = 0; t < TOPIC_COUNT; t++)
        settings.topics.name[t] = names[t];
    one_agent[0] = agents[0];
    one_agent[0].id = first;
    fewer = settings;
    fewer.agents = one_agent;
    signature_init(NULL);
    log_init(LOG_ERROR, LOG_LOGFMT, getenv("STORY") ? 2 : open("/dev/null", O_WRONLY | O_CLOEXEC));
    int failed = cmocka_run_group_tests_name("story", tests, NULL, NULL);
    metrics_free(metrics);
    signature_close();
    return failed;
}
