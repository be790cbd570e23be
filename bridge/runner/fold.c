/* fold.c: records of a journal partition, in order, to what they mean together.
 * SPDX-License-Identifier: Apache-2.0 */
#include "journal.h"
#include "text.h"
#include <stdlib.h>
#include <string.h>

static void forget_run(struct journal_fold *f, const struct run_id *id)
{
    struct id_slot *slot = id_table_find(&f->runs, id);
    if (!slot) return;
    struct folded_run *run = slot->as.pointer;
    f->body_bytes -= run->event->value.size;
    free(run->event);
    free(run);
    id_table_remove(&f->runs, id);
}

void journal_fold_close(struct journal_fold *f)
{
    size_t at = 0;
    for (struct id_slot *slot; (slot = id_table_next(&f->runs, &at));) {
        struct folded_run *run = slot->as.pointer;
        free(run->event);
        free(run);
    }
    id_table_close(&f->runs);
    closed_close(&f->closed);
    memset(f, 0, sizeof *f);
}

static struct folded_run *find_run(const struct journal_fold *f, const struct run_id *id)
{
    struct id_slot *slot = id_table_find(&f->runs, id);
    return slot ? slot->as.pointer : NULL;
}

/* A parsed entry of ours: an object of this version. */
static struct json *parse(struct bytes text, struct error *error)
{
    int64_t version;
    struct json *doc = json_parse(text, error);
    if (!doc) return NULL;
    if (json_int64(json_get(doc, "v", NULL), &version) && version == JOURNAL_VERSION) return doc;
    error_set(error, ERROR_INVALID, "its version is not %d: it was written by another release", JOURNAL_VERSION);
    json_free(doc);
    return NULL;
}

static bool read_number(const struct json *doc, const char *key, int64_t max, int64_t *out, struct error *error)
{
    if (json_int64(json_get(doc, key, NULL), out) && *out >= 0 && *out <= max) return true;
    return error_set(error, ERROR_INVALID, "'%s' is not a number from 0 to %lld", key, (long long)max);
}

static bool read_time(const struct json *doc, const char *key, int64_t *out, struct error *error)
{
    const char *text;
    const struct json *node = json_get(doc, key, NULL);
    if (!node) return true;
    if (json_text(node, &text) && text_parse_time(bytes_of(text), out)) return true;
    return error_set(error, ERROR_INVALID, "'%s' is not a time", key);
}

static bool read_state(const struct json *doc, enum run_state *out, struct error *error)
{
    const char *text;
    if (!json_text(json_get(doc, "state", NULL), &text)) return error_set(error, ERROR_INVALID, "it has no state");
    for (int state = RUN_ADMITTED; state <= RUN_CLOSED; state++) {
        *out = (enum run_state)state;
        if (strcmp(text, run_state_name(*out)) == 0) return true;
    }
    return error_set(error, ERROR_INVALID, "this release does not know its state");
}

static bool read_entry(struct bytes json, struct run_entry *out, struct error *error)
{
    enum { COUNT_MAX = 1000000000 };
    *out = (struct run_entry){0};
    struct json *doc = parse(json, error);
    if (!doc) return false;
    int64_t attempt = 0, start = 0, by = 0;
    bool good = read_state(doc, &out->state, error) && read_number(doc, "dedupe_s", INT32_MAX, &out->dedupe_s, error) &&
                read_time(doc, "recorded", &out->recorded_us, error);
    if (good && out->state != RUN_CLOSED)
        good = read_number(doc, "attempt", COUNT_MAX, &attempt, error) &&
               read_number(doc, "start", COUNT_MAX, &start, error) &&
               read_number(doc, "offset", INT64_MAX, &out->source_offset, error) &&
               read_time(doc, "first_started", &out->first_started_us, error) &&
               read_time(doc, "started", &out->started_us, error) && read_time(doc, "due", &out->due_us, error) &&
               (!json_get(doc, "by", NULL) || read_number(doc, "by", UINT32_MAX, &by, error));
    out->attempt = (int)attempt;
    out->start = (int)start;
    out->by = (uint32_t)by;
    json_free(doc);
    return good;
}

/* The event as it was: without what the journal put beside it, and without its value unless that is wanted. */
static struct record *event_of(const struct record *r, bool whole)
{
    struct record_header headers[RECORD_HEADERS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < r->header_count && count < RECORD_HEADERS_MAX; i++)
        if (!bytes_are(r->headers[i].name, "drawbridge-run") && !bytes_are(r->headers[i].name, "drawbridge-agent"))
            headers[count++] = r->headers[i];
    struct bytes value = whole ? r->value : bytes_of("");
    struct record event = {record_header(r, "drawbridge-agent"), value, headers, count};
    return record_dup(&event);
}

static bool put_run(struct journal_fold *f, const struct run_id *id, const struct run_entry *entry,
                    const struct record *r, int64_t offset, struct error *error)
{
    forget_run(f, id);
    closed_remove(&f->closed, id);
    if (!text_is_agent_id(record_header(r, "drawbridge-agent")))
        return error_set(error, ERROR_INVALID, "it names no agent");
    bool whole = r->value.size <= f->body_room;
    struct folded_run *run = calloc(1, sizeof *run);
    struct record *event = event_of(r, whole);
    struct id_slot *slot = run && event ? id_table_put(&f->runs, id) : NULL;
    if (!slot) {
        free(run);
        free(event);
        return error_set(error, ERROR_MEMORY, "no memory for it");
    }
    *run = (struct folded_run){.id = *id, .entry = *entry, .event = event, .body_at = whole ? -1 : offset};
    f->body_bytes += event->value.size;
    slot->as.pointer = run;
    return true;
}

static bool fold_run(struct journal_fold *f, const struct run_id *id, const struct record *r, int64_t offset,
                     struct error *error)
{
    if (!r->value.data) { /* the window is over */
        forget_run(f, id);
        closed_remove(&f->closed, id);
        return true;
    }
    struct run_entry entry;
    if (!read_entry(record_header(r, "drawbridge-run"), &entry, error)) return false;
    if (entry.recorded_us > f->seen_us) f->seen_us = entry.recorded_us;
    if (entry.state != RUN_CLOSED) return put_run(f, id, &entry, r, offset, error);
    forget_run(f, id);
    if (closed_add(&f->closed, id, closed_until_us(entry.recorded_us, entry.dedupe_s))) return true;
    return error_set(error, ERROR_MEMORY, "no memory for it");
}

/* A state without its event belongs to a run whose event compaction has already removed: the entry that closed it
 * stands further on. */
static bool fold_state(struct journal_fold *f, const struct run_id *id, const struct record *r, struct error *error)
{
    struct folded_run *run = find_run(f, id);
    if (!run) return true;
    run->has_state_key = r->value.data != NULL;
    if (!r->value.data) return true;
    struct run_entry entry;
    if (!read_entry(r->value, &entry, error)) return false;
    if (entry.state == RUN_CLOSED) return error_set(error, ERROR_INVALID, "a closed state without its run");
    run->entry = entry;
    run->handed_over = false;
    return true;
}

static bool fold_list(struct journal_fold *f, const struct record *r, bool handed_over, struct error *error)
{
    struct json *doc = parse(r->value, error);
    if (!doc) return false;
    const struct json *ids = json_get(doc, "running", NULL);
    for (size_t i = 0; i < json_count(ids); i++) {
        const char *text;
        struct run_id id;
        if (!json_text(json_at(ids, i), &text) || !run_id_parse(bytes_of(text), &id)) continue;
        struct folded_run *run = find_run(f, &id);
        if (run && run->entry.state == RUN_RUNNING) run->handed_over = handed_over;
    }
    json_free(doc);
    return true;
}

static bool fold_handover(struct journal_fold *f, const struct record *r, struct error *error)
{
    return fold_list(f, r, true, error);
}

static bool fold_adopt(struct journal_fold *f, const struct record *r, struct error *error)
{
    return fold_list(f, r, false, error);
}

static bool copy_text(const struct json *doc, const char *key, char *out, size_t room, struct error *error)
{
    const char *text;
    if (!json_text(json_get(doc, key, NULL), &text) || strlen(text) >= room)
        return error_set(error, ERROR_INVALID, "'%s' is not a text below %zu bytes", key, room);
    memcpy(out, text, strlen(text) + 1);
    return true;
}

static bool fold_position(struct journal_fold *f, const struct record *r, struct error *error)
{
    struct json *doc = parse(r->value, error);
    if (!doc) return false;
    struct journal_position *p = &f->position;
    f->has_position = read_number(doc, "next", INT64_MAX, &p->next, error) &&
                      read_number(doc, "batch", INT64_MAX, &p->batch, error) &&
                      copy_text(doc, "group", p->group, sizeof p->group, error) &&
                      copy_text(doc, "producer", p->producer, sizeof p->producer, error);
    json_free(doc);
    return f->has_position;
}

/* Sets *ours when it is the barrier we wait for. */
static bool fold_owner(struct journal_fold *f, const struct record *r, bool *ours, struct error *error)
{
    char nonce[JOURNAL_SLOT_SIZE], slot[JOURNAL_SLOT_SIZE];
    struct json *doc = parse(r->value, error);
    if (!doc) return false;
    bool good = copy_text(doc, "nonce", nonce, sizeof nonce, error) && copy_text(doc, "slot", slot, sizeof slot, error);
    json_free(doc);
    if (!good) return false;
    *ours = strcmp(nonce, f->nonce) == 0;
    if (!*ours) memcpy(f->owner_slot, slot, sizeof slot);
    return true;
}

static const struct {
    const char *key;
    bool (*fold)(struct journal_fold *f, const struct record *r, struct error *error);
} marks[] = {{"@position", fold_position}, {"@handover", fold_handover}, {"@adopt", fold_adopt}};

static bool fold_mark(struct journal_fold *f, const struct record *r, bool *ours, struct error *error)
{
    if (bytes_are(r->key, "@owner")) return fold_owner(f, r, ours, error);
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
        if (bytes_are(r->key, marks[i].key)) return marks[i].fold(f, r, error);
    return error_set(error, ERROR_INVALID, "this release does not know such an entry");
}

static bool fold_any(struct journal_fold *f, const struct record *r, int64_t offset, bool *ours, struct error *error)
{
    enum { ID = RUN_ID_TEXT_SIZE - 1 };
    if (r->key.size > 0 && r->key.data[0] == '@') return fold_mark(f, r, ours, error);
    struct run_id id;
    struct bytes head = {r->key.data, r->key.size < ID ? r->key.size : ID};
    struct bytes tail = {r->key.data + head.size, r->key.size - head.size};
    if (head.size == ID && run_id_parse(head, &id)) {
        if (tail.size == 0) return fold_run(f, &id, r, offset, error);
        if (bytes_are(tail, "/run")) return fold_state(f, &id, r, error);
    }
    return error_set(error, ERROR_INVALID, "this release does not know such an entry");
}

enum fold_step journal_fold_record(struct journal_fold *f, const struct record *r, int64_t offset, struct error *error)
{
    bool ours = false;
    f->records++;
    if (fold_any(f, r, offset, &ours, error)) return ours ? FOLD_DONE : FOLD_MORE;
    error_context(error, "journal entry '%.*s'", (int)(r->key.size < 80 ? r->key.size : 80), (const char *)r->key.data);
    return FOLD_FAILED;
}
