/* record_result.c: a terminal result as JSON value and CloudEvents headers.
 * SPDX-License-Identifier: Apache-2.0 */
#include "record.h"
#include "text.h"
#include <assert.h>
#include <string.h>

static const struct status_row {
    const char *name, *ce_type;
} statuses[] = {
    [RECORD_SUCCEEDED] = {"succeeded", "drawbridge.run.succeeded"},
    [RECORD_FAILED] = {"failed", "drawbridge.run.failed"},
    [RECORD_CANCELED] = {"canceled", "drawbridge.run.canceled"},
    [RECORD_TIMED_OUT] = {"timed_out", "drawbridge.run.timed_out"},
};

const char *record_status_name(enum record_status s)
{
    return statuses[s].name;
}

static void write_time(struct json_writer *w, const char *key, int64_t wall_us)
{
    char text[TEXT_TIME_OFFSET_SIZE];
    text_format_time_offset(wall_us, text);
    json_write_cstr(w, key, wall_us > 0 ? text : NULL);
}

static void write_bytes(struct json_writer *w, const char *key, struct bytes value)
{
    if (value.data)
        json_write_text(w, key, value);
    else
        json_write_null(w, key);
}

/* The published WebhookTriggerResult: these six, under these names, come first for ever. */
static void write_published(struct json_writer *w, const struct record_result *r)
{
    json_write_text(w, "agent_id", r->agent_id);
    write_time(w, "triggered_at", r->triggered_us);
    json_write_bool(w, "success", r->status == RECORD_SUCCEEDED);
    json_write_text(w, "workflow_id", r->workflow_id);
    write_bytes(w, "output", r->output);
    json_write_cstr(w, "error", r->error);
}

static int64_t duration_ms(const struct record_result *r)
{
    if (r->started_us <= 0 || r->ended_us <= r->started_us) return 0; /* the wall clock may step back */
    return (r->ended_us - r->started_us) / 1000;
}

static void write_source(struct json_writer *w, const struct record_result *r)
{
    json_write_object(w, "source");
    json_write_cstr(w, "topic", r->source_topic);
    json_write_int(w, "partition", r->source_partition);
    json_write_int(w, "offset", r->source_offset);
    json_write_object_end(w);
}

static void write_value(const struct record_result *r, struct buffer *value)
{
    struct json_writer w;
    buffer_clear(value);
    json_writer_init(&w, value);
    json_write_object(&w, NULL);
    write_published(&w, r);
    json_write_cstr(&w, "status", record_status_name(r->status));
    json_write_int(&w, "attempts", r->attempts);
    json_write_cstr(&w, "backend", r->backend);
    write_bytes(&w, "engine_handle", r->engine_handle);
    write_time(&w, "started_at", r->started_us);
    write_time(&w, "ended_at", r->ended_us);
    json_write_int(&w, "duration_ms", duration_ms(r));
    json_write_text(&w, "event_id", r->event_id);
    write_source(&w, r);
    json_write_bool(&w, "dead_lettered", r->dead_lettered);
    json_write_bool(&w, "output_truncated", r->output_truncated);
    json_write_object_end(&w);
}

static struct record_header header(const char *name, struct bytes value)
{
    return (struct record_header){bytes_of(name), value};
}

/* "/agents/<agent_id>/runs" and then the time of the end: built whole before anything views it. */
static size_t write_scratch(const struct record_result *r, struct buffer *scratch)
{
    char time[TEXT_TIME_SIZE];
    text_format_time(r->ended_us, time);
    buffer_clear(scratch);
    buffer_text(scratch, "/agents/");
    buffer_bytes(scratch, r->agent_id);
    buffer_text(scratch, "/runs");
    size_t source_size = buffer_view(scratch).size;
    buffer_text(scratch, time);
    return source_size;
}

void record_from_result(const struct record_result *result, struct buffer *value, struct buffer *scratch,
                        struct record_header *headers, struct record *out)
{
    assert((result->status == RECORD_SUCCEEDED) == (result->error == NULL));
    write_value(result, value);
    size_t source_size = write_scratch(result, scratch);
    struct bytes all = buffer_view(scratch);
    size_t count = 0;
    headers[count++] = header("content-type", bytes_of("application/json"));
    headers[count++] = header("ce_specversion", bytes_of("1.0"));
    headers[count++] = header("ce_id", result->workflow_id);
    if (buffer_ok(scratch)) {
        headers[count++] = header("ce_source", (struct bytes){all.data, source_size});
        headers[count++] = header("ce_time", (struct bytes){all.data + source_size, all.size - source_size});
    }
    headers[count++] = header("ce_type", bytes_of(statuses[result->status].ce_type));
    headers[count++] = header("ce_agentid", result->agent_id);
    headers[count++] = header("ce_workflowid", result->workflow_id);
    headers[count++] = header("ce_partitionkey", result->agent_id);
    if (result->traceparent.size > 0) headers[count++] = header("traceparent", result->traceparent);
    *out = (struct record){
        .key = result->agent_id, .value = buffer_view(value), .headers = headers, .header_count = count};
}
