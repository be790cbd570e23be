/* test_journal.c: entries to records and back; the fold of random histories, compacted and cut at random, against a
 * naive model.  SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "journal.h"
#include "memory.h"
#include "signature.h"
#include <stdio.h>
#include <string.h>

enum { IDS = 5, STEPS = 40 };
#ifdef __SANITIZE_THREAD__
enum { HISTORIES = 10000 }; /* one thread: there is nothing for ThreadSanitizer to see */
#else
enum { HISTORIES = 100000 };
#endif

static uint64_t seed;
static uint32_t chance(uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % below;
}

static struct run_id id_of(int n)
{
    char text[16];
    snprintf(text, sizeof text, "run %d", n);
    return run_id_of(bytes_of(text));
}

/* ---- a history: what the runner writes, transaction by transaction */

static struct history {
    struct record *records[STEPS * 3];
    size_t count;
} history;

static struct model { /* what must be true after it */
    struct model_run {
        bool open, closed, has_state_key, handed_over;
        struct run_entry entry;
    } runs[IDS];
    int64_t next; /* 0: no position */
} model;

static void add(const struct record *r)
{
    history.records[history.count++] = memory_got(record_dup(r));
}

static struct record event(void)
{
    static const struct record_header headers[] = {{{(const uint8_t *)"ce_id", 5}, {(const uint8_t *)"7", 1}}};
    return (struct record){bytes_of("agent"), bytes_of("{\"n\":1}"), headers, 1};
}

static void write_admit(struct journal_scratch *s, int n)
{
    struct record r, e = event();
    struct run_id id = id_of(n);
    struct model_run *m = &model.runs[n];
    *m = (struct model_run){.open = true};
    m->entry = (struct run_entry){.state = chance(2) ? RUN_RUNNING : RUN_ADMITTED,
                                  .source_offset = model.next,
                                  .recorded_us = 1000000000 + 1000000 * (int64_t)chance(1000),
                                  .dedupe_s = 60};
    m->entry.attempt = m->entry.start = m->entry.state == RUN_RUNNING ? 1 : 0;
    m->entry.by = m->entry.state == RUN_RUNNING ? 4294967295u - chance(3) : 0;
    journal_encode_run(s, &id, &m->entry, &e, &r);
    add(&r);
    struct journal_position position = {.next = ++model.next, .group = "g", .producer = "p", .batch = 1};
    journal_encode_position(s, &position, &r);
    add(&r);
}

static void write_change(struct journal_scratch *s, int n)
{
    static const enum run_state states[] = {RUN_ADMITTED, RUN_RUNNING, RUN_RETRY_WAIT};
    struct record r;
    struct run_id id = id_of(n);
    struct model_run *m = &model.runs[n];
    m->entry.state = states[chance(3)];
    m->entry.start++;
    m->entry.attempt = (int)chance(9);
    m->entry.due_us = m->entry.state == RUN_RETRY_WAIT ? 5000000 + chance(1000) : 0;
    m->has_state_key = true;
    m->handed_over = false;
    journal_encode_state(s, &id, &m->entry, &r);
    add(&r);
}

static void write_close(struct journal_scratch *s, int n)
{
    struct record r;
    struct run_id id = id_of(n);
    struct model_run *m = &model.runs[n];
    m->entry.closed_us = 1;
    journal_encode_closed(s, &id, &m->entry, RECORD_SUCCEEDED, &r);
    add(&r);
    if (m->has_state_key) { /* J18: every key of the run */
        journal_encode_tombstone(s, &id, JOURNAL_KEY_STATE, &r);
        add(&r);
    }
    m->open = false;
    m->closed = true;
}

static void write_forget(struct journal_scratch *s, int n)
{
    struct record r;
    struct run_id id = id_of(n);
    journal_encode_tombstone(s, &id, JOURNAL_KEY_RUN, &r);
    add(&r);
    model.runs[n] = (struct model_run){0};
}

/* As the runner does: handing over lists all that run or were handed over to it, adoption all that run. */
static void write_list(struct journal_scratch *s, enum journal_list list)
{
    struct record r;
    struct run_id ids[IDS];
    size_t count = 0;
    for (int n = 0; n < IDS; n++) {
        struct model_run *m = &model.runs[n];
        if (!m->open || m->entry.state != RUN_RUNNING) continue;
        ids[count++] = id_of(n);
        m->handed_over = list == JOURNAL_HANDOVER;
    }
    journal_encode_list(s, list, ids, count, &r);
    add(&r);
}

static void write_step(struct journal_scratch *s)
{
    int n = (int)chance(IDS);
    const struct model_run *m = &model.runs[n];
    uint32_t what = chance(10);
    if (what == 0)
        write_list(s, JOURNAL_HANDOVER);
    else if (what == 1)
        write_list(s, JOURNAL_ADOPT);
    else if (!m->open && !m->closed)
        write_admit(s, n);
    else if (m->closed)
        write_forget(s, n);
    else if (chance(2))
        write_change(s, n);
    else
        write_close(s, n);
}

/* The log cleaner: in any stretch that ends before the end, all but the newest record of a key may be gone. */
static void compact(void)
{
    size_t end = chance((uint32_t)history.count + 1);
    for (size_t i = 0; i < end; i++) {
        bool superseded = false;
        for (size_t k = i + 1; history.records[i] && !superseded && k < end; k++)
            superseded = history.records[k] && bytes_equal(history.records[i]->key, history.records[k]->key);
        if (!superseded || chance(4) == 0) continue;
        free(history.records[i]);
        history.records[i] = NULL;
    }
}

static void check_run(const struct journal_fold *f, int n)
{
    struct run_id id = id_of(n);
    const struct model_run *m = &model.runs[n];
    struct id_slot *slot = id_table_find(&f->runs, &id);
    int64_t until_us = 0;
    assert_int_equal(slot != NULL, m->open);
    assert_int_equal(closed_find(&f->closed, &id, &until_us), m->closed);
    if (m->closed) assert_int_equal(until_us, closed_until_us(m->entry.recorded_us, m->entry.dedupe_s));
    if (!m->open) return;
    const struct folded_run *run = slot->as.pointer;
    assert_memory_equal(&run->entry, &m->entry, sizeof m->entry);
    assert_int_equal(run->has_state_key, m->has_state_key);
    assert_int_equal(run->handed_over, m->handed_over);
    assert_true(bytes_are(run->event->key, "agent"));
    /* J12: the value is here, or the entry that has it is still in the journal. */
    const struct record *holder = run->body_at < 0 ? run->event : history.records[run->body_at];
    assert_true(holder && bytes_are(holder->value, "{\"n\":1}"));
    assert_int_equal(run->event->value.size, run->body_at < 0 ? holder->value.size : 0);
    assert_int_equal(run->event->header_count, 1);
}

static size_t bytes_held(const struct journal_fold *f)
{
    size_t at = 0, bytes = 0;
    for (struct id_slot *slot; (slot = id_table_next(&f->runs, &at));)
        bytes += ((const struct folded_run *)slot->as.pointer)->event->value.size;
    return bytes;
}

static void one_history(struct journal_scratch *s)
{
    struct record r;
    struct error error;
    struct journal_fold f = {.nonce = "ours"};
    memset(&model, 0, sizeof model);
    history.count = 0;
    int steps = 1 + (int)chance(STEPS - 2);
    for (int i = 0; i < steps; i++)
        write_step(s);
    compact();
    journal_encode_owner(s, "ours", "slot", &r);
    add(&r);
    enum fold_step step = FOLD_MORE;
    for (size_t i = 0; i < history.count; i++) {
        assert_int_equal(step, FOLD_MORE);
        f.body_room = chance(2) ? SIZE_MAX : 0;
        if (history.records[i]) step = journal_fold_record(&f, history.records[i], (int64_t)i, &error);
    }
    assert_int_equal(step, FOLD_DONE);
    for (int n = 0; n < IDS; n++)
        check_run(&f, n);
    assert_int_equal(f.body_bytes, bytes_held(&f));
    for (size_t i = 0; i < history.count; i++)
        free(history.records[i]);
    assert_int_equal(f.has_position, model.next > 0);
    if (f.has_position) assert_int_equal(f.position.next, model.next);
    journal_fold_close(&f);
}

static void the_fold_of_any_history_is_the_model(void **state)
{
    (void)state;
    struct journal_scratch s;
    memset(&s, 0, sizeof s);
    journal_scratch_init(&s);
    for (uint64_t i = 1; i <= HISTORIES; i++) {
        seed = i;
        one_history(&s);
    }
    journal_scratch_close(&s);
}

/* ---- single entries */

static enum fold_step fold_one(struct journal_fold *f, const struct record *r, struct error *error)
{
    *f = (struct journal_fold){.nonce = "ours"};
    return journal_fold_record(f, r, 0, error);
}

/* J4: another owner's barrier is not ours, and says whose it was. */
static void only_our_own_barrier_ends_the_fold(void **state)
{
    (void)state;
    struct record r;
    struct error error;
    struct journal_fold f;
    struct journal_scratch s;
    memset(&s, 0, sizeof s);
    journal_scratch_init(&s);
    journal_encode_owner(&s, "theirs", "their slot", &r);
    assert_int_equal(fold_one(&f, &r, &error), FOLD_MORE);
    assert_string_equal(f.owner_slot, "their slot");
    journal_encode_owner(&s, "ours", "our slot", &r);
    assert_int_equal(journal_fold_record(&f, &r, 0, &error), FOLD_DONE);
    assert_string_equal(f.owner_slot, "their slot");
    journal_fold_close(&f);
    journal_scratch_close(&s);
}

/* Failure matrix 36: what another release wrote is not guessed at. */
static void unreadable_entries_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value;
    } rows[] = {
        {"@owner", "{\"v\":2,\"nonce\":\"x\",\"slot\":\"y\"}"},
        {"@owner", "{\"v\":1,\"slot\":\"y\"}"},
        {"@owner", "not JSON"},
        {"@owner", ""},
        {"@position", "{\"v\":1,\"next\":-1,\"group\":\"g\",\"producer\":\"p\",\"batch\":1}"},
        {"@position", "{\"v\":1,\"next\":1}"},
        {"@later", "{\"v\":1}"},
        {"", "{}"},
        {"wh-00000000000000000000000000000000/step/x", "{\"v\":1}"},
        {"wh-0000000000000000000000000000000", "{}"},
        {"wh-00000000000000000000000000000000", "an event without a state"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct record r = {bytes_of(rows[i].key), bytes_of(rows[i].value), NULL, 0};
        struct error error = {0};
        struct journal_fold f;
        assert_int_equal(fold_one(&f, &r, &error), FOLD_FAILED);
        assert_true(error.text[0] != 0);
        journal_fold_close(&f);
    }
}

static void an_empty_event_stays_empty(void **state)
{
    (void)state;
    struct record r, e = event();
    struct error error;
    struct journal_fold f;
    struct journal_scratch s;
    struct run_id id = id_of(1);
    struct run_entry entry = {.state = RUN_ADMITTED, .recorded_us = 1};
    memset(&s, 0, sizeof s);
    journal_scratch_init(&s);
    e.value = bytes_of("");
    journal_encode_run(&s, &id, &entry, &e, &r);
    assert_int_equal(fold_one(&f, &r, &error), FOLD_MORE);
    struct id_slot *slot = id_table_find(&f.runs, &id);
    assert_non_null(slot);
    const struct folded_run *run = slot->as.pointer;
    assert_non_null(run->event->value.data);
    assert_int_equal(run->event->value.size, 0);
    journal_fold_close(&f);
    journal_scratch_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fold_of_any_history_is_the_model),
        cmocka_unit_test(only_our_own_barrier_ends_the_fold),
        cmocka_unit_test(unreadable_entries_are_refused),
        cmocka_unit_test(an_empty_event_stays_empty),
    };
    signature_init(NULL);
    int failed = cmocka_run_group_tests_name("journal", tests, NULL, NULL);
    signature_close();
    return failed;
}
