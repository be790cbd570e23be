/* record.h: the records of design.md 3: event, result, dead letter, workflow_id; to and from key + headers + value.
 * Pure: no Kafka, no clock.  SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "buffer.h"
#include "error.h"
#include "json.h"

/* A record as Kafka sees it.  Views only: whoever made it says how long they live. */
struct record_header {
    struct bytes name, value;
};
enum { RECORD_HEADERS_MAX = 128 };
struct record {
    struct bytes key;
    struct bytes value; /* data NULL: a tombstone; an empty value has data != NULL and size 0 */
    const struct record_header *headers;
    size_t header_count;
};
/* The value of the last header of that exact name; data NULL when absent. */
struct bytes record_header(const struct record *r, const char *name);
/* Bytes that count towards max.message.bytes: key, value, headers, and a safe overhead (traps 8, J11). */
size_t record_wire_size(const struct record *r);

enum { RECORD_WORKFLOW_ID_SIZE = 36 }; /* "wh-" + 32 hex + NUL */
/* design.md 3.1: first 16 bytes of SHA-256 over the length-prefixed strings.  replay_id is empty unless it is a replay.
 */
void record_workflow_id(struct bytes agent_id, struct bytes scheme, struct bytes ce_source, struct bytes ce_id,
                        struct bytes replay_id, char out[RECORD_WORKFLOW_ID_SIZE]);

/* What the ingress knows of an accepted delivery; all views. */
struct record_event {
    struct bytes agent_id, workflow_id;
    struct bytes content_type;
    struct bytes ce_id, ce_source, ce_type, ce_time, recorded_time;
    struct bytes trigger_json, evidence_json; /* drawbridge-trigger, drawbridge-evidence */
    struct bytes traceparent;                 /* may be empty */
    const struct record_header *http;         /* already named "http-<name>" */
    size_t http_count;
    struct bytes body;
};
/* Fills headers[] (room for RECORD_HEADERS_MAX) and *out, which views event and headers.  Optional fields that are
 * empty get no header; http headers beyond the room are left out. */
void record_from_event(const struct record_event *event, struct record_header *headers, struct record *out);

/* Reads an event record back; the views live as long as the record.  Foreign records (no ce_ headers) decode too:
 * missing fields stay empty and the caller fills them from the coordinates (traps 8, J23).  False: the record can't be
 * an event (no key, no value, bad agent_id, a workflow_id that can't be one, bad trigger JSON); the error says what. */
struct record_event_view {
    struct bytes agent_id, workflow_id, content_type, ce_id, ce_source, ce_type, ce_time, recorded_time, traceparent;
    int64_t recorded_us;   /* parsed recorded_time, or 0 */
    int64_t dedupe_s;      /* from drawbridge-trigger; 86400 when absent */
    char description[256]; /* from drawbridge-trigger; "External event" when absent; cut */
    struct bytes trigger_json, body;
};
bool record_to_event(const struct record *r, struct record_event_view *out, struct error *error);

enum record_status { RECORD_SUCCEEDED, RECORD_FAILED, RECORD_CANCELED, RECORD_TIMED_OUT };
const char *record_status_name(enum record_status s);

/* A terminal result; design.md 3.2. */
struct record_result {
    struct bytes agent_id, workflow_id, event_id;
    enum record_status status;
    struct bytes output; /* data NULL: null */
    const char *error;   /* NULL exactly when status is RECORD_SUCCEEDED */
    int attempts;
    const char *backend;        /* "command", or NULL when no run was ever started */
    struct bytes engine_handle; /* data NULL: null */
    int64_t triggered_us, started_us /* 0: null */, ended_us;
    const char *source_topic;
    int source_partition;
    int64_t source_offset;
    bool dead_lettered, output_truncated;
    struct bytes traceparent;
};
/* Appends the JSON value to `value` and fills headers[] (room for RECORD_HEADERS_MAX) and *out, which views all of
 * them. `scratch` holds what the headers need and must outlive *out.  Read buffer_ok of both before use. */
void record_from_result(const struct record_result *result, struct buffer *value, struct buffer *scratch,
                        struct record_header *headers, struct record *out);

/* Where and why an event was given up. */
struct record_dead_letter {
    const char *error;
    int attempts;
    const char *source_topic;
    int source_partition;
    int64_t source_offset;
};
/* The event record unchanged plus drawbridge-error, drawbridge-attempts, drawbridge-source; those of an earlier dead
 * letter are replaced.  headers[] has room for RECORD_DEAD_LETTER_HEADERS_MAX; *out views the event, headers[] and
 * `scratch`. */
enum { RECORD_DEAD_LETTER_HEADERS_MAX = RECORD_HEADERS_MAX + 3 };
void record_to_dead_letter(const struct record *event, const struct record_dead_letter *why, struct buffer *scratch,
                           struct record_header *headers, struct record *out);

/* A copy of a record: one heap block that owns key, value, headers.  Freed with free(); NULL without memory. */
struct record *record_dup(const struct record *r);
