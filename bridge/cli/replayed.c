/* replayed.c: an event record as it stands in the topic, and as a replay writes it again.  Pure.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include "json.h"
#include "text.h"
#include <inttypes.h>
#include <string.h>

bool replay_range_parse(const char *text, struct replay_range *out)
{
    const char *colon = strchr(text, ':'), *dash = colon != NULL ? strchr(colon, '-') : NULL;
    if (dash == NULL) return false;
    const struct bytes partition = {(const uint8_t *)text, (size_t)(colon - text)};
    const struct bytes from = {(const uint8_t *)colon + 1, (size_t)(dash - colon - 1)};
    int64_t number;
    if (!text_parse_int64(partition, 0, INT32_MAX, &number) || !text_parse_int64(from, 0, INT64_MAX, &out->from) ||
        !text_parse_int64(bytes_of(dash + 1), out->from, INT64_MAX, &out->to))
        return false;
    out->partition = (int)number;
    return true;
}

/* The text of one key of a JSON header value; "" when it is not there. */
static void header_text(struct bytes header, const char *key, struct buffer *out)
{
    struct error error;
    struct json *document = header.size > 0 ? json_parse(header, &error) : NULL;
    const char *text;
    if (json_text(json_get(document, key, NULL), &text)) buffer_text(out, text);
    json_free(document);
}

bool replay_wrote(const struct record *r, const char *replay_id)
{
    struct buffer named;
    buffer_init(&named, 1024);
    header_text(record_header(r, "drawbridge-replay"), "replay_id", &named);
    const bool same = named.size > 0 && strcmp(buffer_cstr(&named), replay_id) == 0;
    buffer_close(&named);
    return same;
}

/* The id that the ingress would have made of this event, but for the replay.  A foreign record has no ce_id: its place
 * in the topic names it. */
static void workflow_id_make(const struct record *r, const struct record_event_view *event, struct bytes agent_id,
                             const struct replay_order *order, char out[RECORD_WORKFLOW_ID_SIZE])
{
    char place[64];
    struct buffer scheme;
    buffer_init(&scheme, 1024);
    header_text(record_header(r, "drawbridge-evidence"), "scheme", &scheme);
    snprintf(place, sizeof place, "%d/%" PRId64, order->partition, order->offset);
    record_workflow_id(agent_id, buffer_view(&scheme), event->ce_source,
                       event->ce_id.size > 0 ? event->ce_id : bytes_of(place), bytes_of(order->replay_id), out);
    buffer_close(&scheme);
}

static bool is_replaced(struct bytes name)
{
    static const char *const replaced[] = {"ce_agentid", "ce_partitionkey", "ce_workflowid", "ce_recordedtime",
                                           "drawbridge-replay"};
    for (size_t i = 0; i < sizeof replaced / sizeof replaced[0]; i++)
        if (bytes_are(name, replaced[i])) return true;
    return false;
}

bool replay_make(const struct record *r, const struct replay_order *order, struct replayed *out, struct error *error)
{
    struct record_event_view event;
    if (!record_to_event(r, &event, error)) return false;
    const struct bytes agent_id = order->to_agent != NULL ? bytes_of(order->to_agent) : event.agent_id;
    workflow_id_make(r, &event, agent_id, order, out->workflow_id);
    text_format_time(order->now_us, out->recorded_time);

    buffer_init(&out->replay_json, 4096);
    struct json_writer w;
    json_writer_init(&w, &out->replay_json);
    json_write_object(&w, NULL);
    json_write_cstr(&w, "replay_id", order->replay_id);
    json_write_text(&w, "workflow_id", event.workflow_id);
    json_write_text(&w, "agent_id", event.agent_id);
    json_write_int(&w, "partition", order->partition);
    json_write_int(&w, "offset", order->offset);
    json_write_object_end(&w);

    size_t count = 0;
    const struct record_header ours[] = {
        {bytes_of("ce_agentid"), agent_id},
        {bytes_of("ce_partitionkey"), agent_id},
        {bytes_of("ce_workflowid"), bytes_of(out->workflow_id)},
        {bytes_of("ce_recordedtime"), bytes_of(out->recorded_time)},
        {bytes_of("drawbridge-replay"), buffer_view(&out->replay_json)},
    };
    enum { OURS = sizeof ours / sizeof ours[0] };
    for (size_t i = 0; i < r->header_count; i++) {
        if (is_replaced(r->headers[i].name)) continue;
        if (count == RECORD_HEADERS_MAX - OURS)
            return error_set(error, ERROR_TOO_LARGE, "the record has too many headers");
        out->headers[count++] = r->headers[i];
    }
    for (size_t i = 0; i < OURS; i++)
        out->headers[count++] = ours[i];
    out->record = (struct record){.key = agent_id, .value = r->value, .headers = out->headers, .header_count = count};
    return buffer_ok(&out->replay_json) || error_set(error, ERROR_MEMORY, "no memory");
}

void replayed_close(struct replayed *r)
{
    buffer_close(&r->replay_json);
}
