/* fuzz_journal.c: any records as a journal: folded or refused; what was folded can be written, and read back the same.
 * Records end with 0x1e, their parts with 0x1f: key, drawbridge-run, drawbridge-agent, value (none: a tombstone).
 * SPDX-License-Identifier: Apache-2.0 */
#include "journal.h"
#include <assert.h>
#include <string.h>

enum { RECORD_END = 0x1e, PART_END = 0x1f };
enum part { PART_KEY, PART_RUN, PART_AGENT, PART_VALUE, PARTS };

static const char our_nonce[] = "00112233445566778899aabbccddeeff";

static struct bytes take(struct bytes *from, uint8_t end, bool *found)
{
    const uint8_t *at = from->size > 0 ? memchr(from->data, end, from->size) : NULL;
    const size_t size = at != NULL ? (size_t)(at - from->data) : from->size;
    const struct bytes taken = {from->data, size};
    *found = at != NULL;
    from->data += size + (*found ? 1 : 0);
    from->size -= size + (*found ? 1 : 0);
    return taken;
}

static struct record record_of(struct bytes text, struct record_header headers[2])
{
    struct bytes parts[PARTS] = {{NULL, 0}};
    bool more = true;
    for (int i = 0; i < PARTS && more; i++)
        parts[i] = take(&text, PART_END, &more);
    headers[0] = (struct record_header){bytes_of("drawbridge-run"), parts[PART_RUN]};
    headers[1] = (struct record_header){bytes_of("drawbridge-agent"), parts[PART_AGENT]};
    return (struct record){parts[PART_KEY], parts[PART_VALUE], headers, 2};
}

static void must_fold(struct journal_fold *f, const struct journal_scratch *s, const struct record *r)
{
    struct error error = {.text = ""};
    assert(journal_scratch_ok(s));
    assert(journal_fold_record(f, r, 0, &error) == FOLD_MORE);
}

static void same_entry(const struct run_entry *a, const struct run_entry *b)
{
    assert(a->state == b->state && a->attempt == b->attempt && a->start == b->start);
    assert(a->source_offset == b->source_offset && a->dedupe_s == b->dedupe_s && a->recorded_us == b->recorded_us);
    assert(a->first_started_us == b->first_started_us && a->started_us == b->started_us && a->due_us == b->due_us);
}

static void write_runs(const struct journal_fold *from, struct journal_fold *to, struct journal_scratch *s)
{
    struct record r;
    size_t at = 0;
    for (struct id_slot *slot; (slot = id_table_next(&from->runs, &at)) != NULL;) {
        const struct folded_run *run = slot->as.pointer;
        journal_encode_run(s, &run->id, &run->entry, run->event, &r);
        must_fold(to, s, &r);
        if (run->has_state_key) {
            journal_encode_state(s, &run->id, &run->entry, &r);
            must_fold(to, s, &r);
        }
        if (run->handed_over) {
            journal_encode_list(s, JOURNAL_HANDOVER, &run->id, 1, &r);
            must_fold(to, s, &r);
        }
    }
    if (from->has_position) {
        journal_encode_position(s, &from->position, &r);
        must_fold(to, s, &r);
    }
}

static void same_runs(const struct journal_fold *a, const struct journal_fold *b)
{
    size_t at = 0;
    assert(a->runs.count == b->runs.count && a->has_position == b->has_position);
    for (struct id_slot *slot; (slot = id_table_next(&a->runs, &at)) != NULL;) {
        const struct folded_run *run = slot->as.pointer;
        const struct id_slot *other_slot = id_table_find(&b->runs, &run->id);
        assert(other_slot != NULL);
        const struct folded_run *other = other_slot->as.pointer;
        same_entry(&run->entry, &other->entry);
        assert(run->handed_over == other->handed_over && run->has_state_key == other->has_state_key);
        assert(bytes_equal(run->event->key, other->event->key) && bytes_equal(run->event->value, other->event->value));
        assert(run->event->header_count == other->event->header_count);
    }
    if (a->has_position) {
        assert(a->position.next == b->position.next && a->position.batch == b->position.batch);
        assert(strcmp(a->position.group, b->position.group) == 0);
        assert(strcmp(a->position.producer, b->position.producer) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct journal_fold fold = {.nonce = our_nonce, .body_room = SIZE_MAX};
    struct journal_fold again = {.nonce = our_nonce, .body_room = SIZE_MAX};
    struct journal_scratch scratch = {.json = {.size = 0}};
    struct bytes rest = {data, size};
    bool failed = false;
    while (rest.size > 0 && !failed) {
        bool found;
        struct record_header headers[2];
        struct error error = {.text = ""};
        const struct record r = record_of(take(&rest, RECORD_END, &found), headers);
        const enum fold_step step = journal_fold_record(&fold, &r, 0, &error);
        assert((step == FOLD_FAILED) == (error.text[0] != '\0'));
        failed = step != FOLD_MORE;
    }
    journal_scratch_init(&scratch);
    write_runs(&fold, &again, &scratch);
    same_runs(&fold, &again);
    journal_scratch_close(&scratch);
    journal_fold_close(&fold);
    journal_fold_close(&again);
    return 0;
}
