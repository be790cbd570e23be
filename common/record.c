/* record.c: event, result and dead letter as key + headers + value, and the event back again.
 * SPDX-License-Identifier: Apache-2.0 */
#include "record.h"
#include "signature.h"
#include "text.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    HEADER_OVERHEAD = 10,  /* two varint lengths */
    RECORD_OVERHEAD = 128, /* batch and record framing, generously */
    DEDUPE_DEFAULT_S = 24 * 3600,
    DEDUPE_MAX_S = 10 * 366 * 24 * 3600,
};

static struct bytes find_header(const struct record *r, struct bytes name)
{
    for (size_t i = r->header_count; i > 0; i--)
        if (bytes_equal(r->headers[i - 1].name, name)) return r->headers[i - 1].value;
    return (struct bytes){NULL, 0};
}

struct bytes record_header(const struct record *r, const char *name)
{
    return find_header(r, bytes_of(name));
}

size_t record_wire_size(const struct record *r)
{
    size_t size = RECORD_OVERHEAD + r->key.size + r->value.size;
    for (size_t i = 0; i < r->header_count; i++)
        size += HEADER_OVERHEAD + r->headers[i].name.size + r->headers[i].value.size;
    return size;
}

void record_workflow_id(struct bytes agent_id, struct bytes scheme, struct bytes ce_source, struct bytes ce_id,
                        struct bytes replay_id, char out[RECORD_WORKFLOW_ID_SIZE])
{
    const struct bytes parts[] = {agent_id, scheme, ce_source, ce_id, replay_id};
    size_t count = replay_id.size > 0 ? 5 : 4;
    uint8_t lengths[5][4];
    struct bytes pieces[10];
    for (size_t i = 0; i < count; i++) {
        for (size_t byte = 0; byte < 4; byte++)
            lengths[i][byte] = (uint8_t)(parts[i].size >> (24 - 8 * byte));
        pieces[2 * i] = (struct bytes){lengths[i], 4};
        pieces[2 * i + 1] = parts[i];
    }
    uint8_t digest[SIGNATURE_SHA256_SIZE];
    signature_sha256(pieces, 2 * count, digest);
    memcpy(out, "wh-", 3);
    text_hex(digest, 16, out + 3);
}

/* The event's headers, in the order they are written; what is read back has a place in the view. */
#define NOT_READ ((size_t)-1)
#define FIELD(event_field, view_field)                                                                                 \
    offsetof(struct record_event, event_field), offsetof(struct record_event_view, view_field)
static const struct event_header {
    struct bytes name;
    size_t event_offset, view_offset;
} event_headers[] = {
    {BYTES_LITERAL("content-type"), FIELD(content_type, content_type)},
    {BYTES_LITERAL("ce_id"), FIELD(ce_id, ce_id)},
    {BYTES_LITERAL("ce_source"), FIELD(ce_source, ce_source)},
    {BYTES_LITERAL("ce_type"), FIELD(ce_type, ce_type)},
    {BYTES_LITERAL("ce_time"), FIELD(ce_time, ce_time)},
    {BYTES_LITERAL("ce_agentid"), offsetof(struct record_event, agent_id), NOT_READ}, /* the key says it */
    {BYTES_LITERAL("ce_workflowid"), FIELD(workflow_id, workflow_id)},
    {BYTES_LITERAL("ce_partitionkey"), offsetof(struct record_event, agent_id), NOT_READ},
    {BYTES_LITERAL("ce_recordedtime"), FIELD(recorded_time, recorded_time)},
    {BYTES_LITERAL("drawbridge-trigger"), FIELD(trigger_json, trigger_json)},
    {BYTES_LITERAL("drawbridge-evidence"), offsetof(struct record_event, evidence_json), NOT_READ},
    {BYTES_LITERAL("traceparent"), FIELD(traceparent, traceparent)},
};
enum { EVENT_HEADERS = sizeof event_headers / sizeof event_headers[0] };

static struct bytes field_at(const void *object, size_t offset)
{
    struct bytes field;
    memcpy(&field, (const char *)object + offset, sizeof field);
    return field;
}

static struct record_header header(const char *name, struct bytes value)
{
    return (struct record_header){bytes_of(name), value};
}

void record_from_event(const struct record_event *event, struct record_header *headers, struct record *out)
{
    size_t count = 0;
    headers[count++] = header("ce_specversion", bytes_of("1.0"));
    for (size_t i = 0; i < EVENT_HEADERS; i++) {
        struct bytes value = field_at(event, event_headers[i].event_offset);
        if (value.size > 0) headers[count++] = (struct record_header){event_headers[i].name, value};
    }
    for (size_t i = 0; i < event->http_count && count < RECORD_HEADERS_MAX; i++)
        headers[count++] = event->http[i];
    struct bytes body = event->body;
    if (!body.data) body = bytes_of(""); /* a null value would be a tombstone, not an empty body */
    *out = (struct record){.key = event->agent_id, .value = body, .headers = headers, .header_count = count};
}

/* At most `room` - 1 bytes, never half a character. */
static void copy_cut(char *out, size_t room, const char *text)
{
    size_t size = strlen(text);
    if (size >= room) {
        size = room - 1;
        while (size > 0 && ((unsigned char)text[size] & 0xc0) == 0x80)
            size--;
    }
    memcpy(out, text, size);
    out[size] = 0;
}

static bool read_description(const struct json *trigger, struct record_event_view *out, struct error *error)
{
    bool twice = false;
    const struct json *node = json_get(trigger, "description", &twice);
    const char *text;
    if (!node && !twice) return true;
    if (!json_text(node, &text)) return error_set(error, ERROR_INVALID, "description is not one text");
    copy_cut(out->description, sizeof out->description, text);
    return true;
}

static bool read_dedupe(const struct json *trigger, struct record_event_view *out, struct error *error)
{
    bool twice = false;
    const struct json *node = json_get(trigger, "dedupe_s", &twice);
    if (!node && !twice) return true;
    if (json_int64(node, &out->dedupe_s) && out->dedupe_s >= 0 && out->dedupe_s <= DEDUPE_MAX_S) return true;
    return error_set(error, ERROR_INVALID, "dedupe_s is not one number of seconds");
}

static bool read_trigger(struct record_event_view *out, struct error *error)
{
    copy_cut(out->description, sizeof out->description, "External event");
    out->dedupe_s = DEDUPE_DEFAULT_S;
    if (!out->trigger_json.data) return true;
    struct json *trigger = json_parse(out->trigger_json, error);
    if (!trigger) return error_context(error, "drawbridge-trigger");
    bool good = json_kind(trigger) == JSON_OBJECT || error_set(error, ERROR_INVALID, "not an object");
    good = good && read_description(trigger, out, error) && read_dedupe(trigger, out, error);
    json_free(trigger);
    return good || error_context(error, "drawbridge-trigger");
}

/* It becomes a journal key and an engine's id: nothing but our own form may get so far. */
static bool is_workflow_id(struct bytes id)
{
    uint8_t digest[16];
    return id.size == RECORD_WORKFLOW_ID_SIZE - 1 && memcmp(id.data, "wh-", 3) == 0 &&
           text_unhex((struct bytes){id.data + 3, id.size - 3}, digest, sizeof digest);
}

bool record_to_event(const struct record *r, struct record_event_view *out, struct error *error)
{
    memset(out, 0, sizeof *out);
    if (!r->key.data) return error_set(error, ERROR_INVALID, "the record has no key");
    if (!r->value.data) return error_set(error, ERROR_INVALID, "the record has no value");
    if (!text_is_agent_id(r->key)) return error_set(error, ERROR_INVALID, "the record's key is not an agent_id");
    out->agent_id = r->key;
    out->body = r->value;
    for (size_t i = 0; i < EVENT_HEADERS; i++) {
        if (event_headers[i].view_offset == NOT_READ) continue;
        struct bytes value = find_header(r, event_headers[i].name);
        memcpy((char *)out + event_headers[i].view_offset, &value, sizeof value);
    }
    if (out->workflow_id.size > 0 && !is_workflow_id(out->workflow_id))
        return error_set(error, ERROR_INVALID, "ce_workflowid is not a workflow_id");
    if (!text_parse_time(out->recorded_time, &out->recorded_us)) out->recorded_us = 0;
    return read_trigger(out, error);
}

void record_to_dead_letter(const struct record *event, const struct record_dead_letter *why, struct buffer *scratch,
                           struct record_header *headers, struct record *out)
{
    static const char *const ours[] = {"drawbridge-error", "drawbridge-attempts", "drawbridge-source"};
    size_t count = 0;
    for (size_t i = 0; i < event->header_count && count < RECORD_HEADERS_MAX; i++) {
        struct bytes name = event->headers[i].name;
        if (!bytes_are(name, ours[0]) && !bytes_are(name, ours[1]) && !bytes_are(name, ours[2]))
            headers[count++] = event->headers[i];
    }
    buffer_clear(scratch);
    buffer_format(scratch, "%d", why->attempts);
    size_t digits = buffer_view(scratch).size;
    struct json_writer w;
    json_writer_init(&w, scratch);
    json_write_object(&w, NULL);
    json_write_cstr(&w, "topic", why->source_topic);
    json_write_int(&w, "partition", why->source_partition);
    json_write_int(&w, "offset", why->source_offset);
    json_write_object_end(&w);
    struct bytes all = buffer_view(scratch);
    headers[count++] = header(ours[0], bytes_of(why->error));
    if (buffer_ok(scratch)) {
        headers[count++] = header(ours[1], (struct bytes){all.data, digits});
        headers[count++] = header(ours[2], (struct bytes){all.data + digits, all.size - digits});
    }
    *out = (struct record){.key = event->key, .value = event->value, .headers = headers, .header_count = count};
}

static uint8_t *put(uint8_t *at, struct bytes *view)
{
    if (view->size > 0) memcpy(at, view->data, view->size);
    if (view->data) view->data = at; /* a null value stays null, an empty one stays empty */
    return at + view->size;
}

struct record *record_dup(const struct record *r)
{
    size_t size = sizeof *r + r->header_count * sizeof *r->headers + r->key.size + r->value.size;
    for (size_t i = 0; i < r->header_count; i++)
        size += r->headers[i].name.size + r->headers[i].value.size;
    struct record *copy = malloc(size);
    if (!copy) return NULL;
    struct record_header *headers = (struct record_header *)(copy + 1);
    uint8_t *at = (uint8_t *)(headers + r->header_count);
    *copy = (struct record){.key = r->key, .value = r->value, .headers = headers, .header_count = r->header_count};
    at = put(at, &copy->key);
    for (size_t i = 0; i < r->header_count; i++) {
        headers[i] = r->headers[i];
        at = put(at, &headers[i].name);
        at = put(at, &headers[i].value);
    }
    put(at, &copy->value);
    return copy;
}
