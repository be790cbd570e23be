/* fuzz_record.c: any key, value and headers through the event decoder; what decodes must survive a second round, and a
 * result made of such bytes must be JSON.  SPDX-License-Identifier: Apache-2.0 */
#include "json.h"
#include "record.h"
#include "signature.h"
#include "text.h"
#include <stdlib.h>
#include <string.h>

enum { HEADERS_MAX = 32 };

/* Headers that the decoder looks for are named by one byte, others stand in the input. */
static const char *const known[] = {"content-type",  "ce_id",           "ce_source",          "ce_type",    "ce_time",
                                    "ce_workflowid", "ce_recordedtime", "drawbridge-trigger", "traceparent"};
enum { KNOWN = sizeof known / sizeof known[0] };

static void must(bool holds)
{
    if (!holds) abort();
}

/* The next field: a length byte (255: null), then that many bytes. */
static struct bytes take(struct bytes *input)
{
    if (input->size == 0) return (struct bytes){NULL, 0};
    size_t size = *input->data++;
    input->size--;
    if (size == 255) return (struct bytes){NULL, 0};
    if (size > input->size) size = input->size;
    struct bytes field = {input->data, size};
    input->data += size;
    input->size -= size;
    return field;
}

static struct bytes take_name(struct bytes *input)
{
    struct bytes name = take(input);
    if (name.size == 1 && name.data[0] < KNOWN) return bytes_of(known[name.data[0]]);
    return name.data ? name : bytes_of("");
}

static void round_trip(const struct record_event_view *v)
{
    struct record_header headers[RECORD_HEADERS_MAX];
    struct record_event_view again;
    struct record r;
    const struct record_event event = {.agent_id = v->agent_id,
                                       .workflow_id = v->workflow_id,
                                       .content_type = v->content_type,
                                       .ce_id = v->ce_id,
                                       .ce_source = v->ce_source,
                                       .ce_type = v->ce_type,
                                       .ce_time = v->ce_time,
                                       .recorded_time = v->recorded_time,
                                       .trigger_json = v->trigger_json,
                                       .traceparent = v->traceparent,
                                       .body = v->body};
    record_from_event(&event, headers, &r);
    must(record_to_event(&r, &again, NULL));
    must(bytes_equal(v->agent_id, again.agent_id) && bytes_equal(v->body, again.body));
    must(bytes_equal(v->workflow_id, again.workflow_id) && bytes_equal(v->ce_id, again.ce_id));
    must(bytes_equal(v->ce_source, again.ce_source) && bytes_equal(v->ce_type, again.ce_type));
    must(bytes_equal(v->trigger_json, again.trigger_json) && v->dedupe_s == again.dedupe_s);
    must(v->recorded_us == again.recorded_us && strcmp(v->description, again.description) == 0);
}

static bool holds_nul(struct bytes text)
{
    return text.size > 0 && memchr(text.data, 0, text.size);
}

static void make_result(const struct record *r, const struct record_event_view *v)
{
    struct record_header headers[RECORD_HEADERS_MAX];
    struct buffer value, scratch;
    struct record out;
    struct error error;
    char id[RECORD_WORKFLOW_ID_SIZE];
    buffer_init(&value, 1 << 20);
    buffer_init(&scratch, 1 << 16);
    record_workflow_id(v->agent_id, bytes_of("github"), v->ce_source, v->ce_id, v->traceparent, id);
    const struct record_result result = {.agent_id = v->agent_id,
                                         .workflow_id = bytes_of(id),
                                         .event_id = v->ce_id,
                                         .output = r->value,
                                         .attempts = 1,
                                         .triggered_us = v->recorded_us,
                                         .started_us = v->recorded_us,
                                         .ended_us = v->recorded_us,
                                         .source_topic = v->description};
    record_from_result(&result, &value, &scratch, headers, &out);
    must(buffer_ok(&value) && buffer_ok(&scratch));
    must(text_is_utf8(out.value));
    struct json_scanner scanner;
    json_scanner_init(&scanner);
    must(json_scanner_feed(&scanner, out.value.data, out.value.size) && json_scanner_end(&scanner));
    if (!holds_nul(r->value) && !holds_nul(v->ce_id)) { /* the strict face refuses NUL inside strings */
        struct json *json = json_parse(out.value, &error);
        must(json != NULL);
        json_free(json);
    }
    buffer_close(&value);
    buffer_close(&scratch);
}

static void copy(const struct record *r)
{
    struct record *twin = record_dup(r);
    must(twin && bytes_equal(twin->key, r->key) && bytes_equal(twin->value, r->value));
    must((twin->value.data == NULL) == (r->value.data == NULL));
    must(record_wire_size(twin) == record_wire_size(r));
    for (size_t i = 0; i < r->header_count; i++)
        must(bytes_equal(twin->headers[i].value, r->headers[i].value));
    free(twin);
}

static void bury(const struct record *r)
{
    struct record_header headers[RECORD_DEAD_LETTER_HEADERS_MAX];
    struct record_dead_letter why = {.error = "exit 1", .attempts = 3, .source_topic = "t"};
    struct buffer scratch;
    struct record letter;
    buffer_init(&scratch, 1024);
    record_to_dead_letter(r, &why, &scratch, headers, &letter);
    must(letter.header_count >= 3 && bytes_are(record_header(&letter, "drawbridge-attempts"), "3"));
    buffer_close(&scratch);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    must(signature_init(NULL));
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes input = {data, size};
    struct record_header headers[HEADERS_MAX];
    struct record r = {.key = take(&input), .value = take(&input), .headers = headers};
    while (input.size > 0 && r.header_count < HEADERS_MAX) {
        headers[r.header_count].name = take_name(&input);
        headers[r.header_count++].value = take(&input);
    }
    struct record_event_view view;
    struct error error = {0};
    copy(&r);
    bury(&r);
    if (record_to_event(&r, &view, &error)) {
        round_trip(&view);
        make_result(&r, &view);
    } else {
        must(error.code != ERROR_NONE && error.text[0] != 0);
    }
    return 0;
}
