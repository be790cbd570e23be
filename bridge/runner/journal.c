/* journal.c: entries to records.
 * SPDX-License-Identifier: Apache-2.0 */
#include "journal.h"
#include "text.h"
#include <assert.h>
#include <string.h>

enum { KEY_MAX = 128, JSON_MAX = 1024 * 1024 };

void journal_scratch_init(struct journal_scratch *s)
{
    buffer_init(&s->key, KEY_MAX);
    buffer_init(&s->json, JSON_MAX);
}

void journal_scratch_close(struct journal_scratch *s)
{
    buffer_close(&s->key);
    buffer_close(&s->json);
}

bool journal_scratch_ok(const struct journal_scratch *s)
{
    return buffer_ok(&s->key) && buffer_ok(&s->json);
}

static struct bytes key_of(struct journal_scratch *s, const struct run_id *id, const char *suffix)
{
    char text[RUN_ID_TEXT_SIZE];
    run_id_format(id, text);
    buffer_clear(&s->key);
    buffer_text(&s->key, text);
    buffer_text(&s->key, suffix);
    return buffer_view(&s->key);
}

static void begin(struct journal_scratch *s, struct json_writer *w)
{
    buffer_clear(&s->json);
    json_writer_init(w, &s->json);
    json_write_object(w, NULL);
    json_write_int(w, "v", JOURNAL_VERSION);
}

static struct bytes end(struct journal_scratch *s, struct json_writer *w)
{
    json_write_object_end(w);
    return buffer_view(&s->json);
}

static void write_time(struct json_writer *w, const char *key, int64_t wall_us)
{
    if (wall_us == 0) return;
    char text[TEXT_TIME_SIZE];
    text_format_time(wall_us, text);
    json_write_cstr(w, key, text);
}

static struct bytes write_entry(struct journal_scratch *s, const struct run_entry *e)
{
    struct json_writer w;
    begin(s, &w);
    json_write_cstr(&w, "state", run_state_name(e->state));
    json_write_int(&w, "attempt", e->attempt);
    json_write_int(&w, "start", e->start);
    json_write_int(&w, "offset", e->source_offset);
    json_write_int(&w, "dedupe_s", e->dedupe_s);
    write_time(&w, "recorded", e->recorded_us);
    write_time(&w, "first_started", e->first_started_us);
    write_time(&w, "started", e->started_us);
    write_time(&w, "due", e->due_us);
    if (e->by != 0) json_write_int(&w, "by", e->by);
    return end(s, &w);
}

void journal_encode_run(struct journal_scratch *s, const struct run_id *id, const struct run_entry *entry,
                        const struct record *event, struct record *out)
{
    assert(event->header_count <= JOURNAL_EVENT_HEADERS_MAX);
    struct bytes json = write_entry(s, entry);
    size_t count = event->header_count;
    memcpy(s->headers, event->headers, count * sizeof *s->headers);
    s->headers[count++] = (struct record_header){bytes_of("drawbridge-run"), json};
    s->headers[count++] = (struct record_header){bytes_of("drawbridge-agent"), event->key};
    *out = (struct record){key_of(s, id, ""), event->value, s->headers, count};
}

void journal_encode_state(struct journal_scratch *s, const struct run_id *id, const struct run_entry *entry,
                          struct record *out)
{
    struct bytes json = write_entry(s, entry);
    *out = (struct record){key_of(s, id, "/run"), json, NULL, 0};
}

void journal_encode_closed(struct journal_scratch *s, const struct run_id *id, const struct run_entry *entry,
                           enum record_status status, struct record *out)
{
    struct json_writer w;
    begin(s, &w);
    json_write_cstr(&w, "state", run_state_name(RUN_CLOSED));
    json_write_cstr(&w, "status", record_status_name(status));
    json_write_int(&w, "dedupe_s", entry->dedupe_s);
    write_time(&w, "recorded", entry->recorded_us);
    write_time(&w, "closed", entry->closed_us);
    s->headers[0] = (struct record_header){bytes_of("drawbridge-run"), end(s, &w)};
    *out = (struct record){key_of(s, id, ""), bytes_of(""), s->headers, 1};
}

void journal_encode_tombstone(struct journal_scratch *s, const struct run_id *id, enum journal_key key,
                              struct record *out)
{
    *out = (struct record){.key = key_of(s, id, key == JOURNAL_KEY_STATE ? "/run" : "")};
}

void journal_encode_position(struct journal_scratch *s, const struct journal_position *position, struct record *out)
{
    struct json_writer w;
    begin(s, &w);
    json_write_int(&w, "next", position->next);
    json_write_cstr(&w, "group", position->group);
    json_write_cstr(&w, "producer", position->producer);
    json_write_int(&w, "batch", position->batch);
    *out = (struct record){bytes_of("@position"), end(s, &w), NULL, 0};
}

void journal_encode_owner(struct journal_scratch *s, const char *nonce, const char *slot, struct record *out)
{
    struct json_writer w;
    begin(s, &w);
    json_write_cstr(&w, "nonce", nonce);
    json_write_cstr(&w, "slot", slot);
    *out = (struct record){bytes_of("@owner"), end(s, &w), NULL, 0};
}

void journal_encode_list(struct journal_scratch *s, enum journal_list list, const struct run_id *ids, size_t count,
                         struct record *out)
{
    struct json_writer w;
    begin(s, &w);
    json_write_array(&w, "running");
    for (size_t i = 0; i < count; i++) {
        char text[RUN_ID_TEXT_SIZE];
        run_id_format(&ids[i], text);
        json_write_cstr(&w, NULL, text);
    }
    json_write_array_end(&w);
    *out = (struct record){bytes_of(list == JOURNAL_HANDOVER ? "@handover" : "@adopt"), end(s, &w), NULL, 0};
}
