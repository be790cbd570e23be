/* results.c: `drawbridge results`: follows or dumps the results topic, read_committed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include "clock.h"
#include "json.h"
#include "text.h"
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

enum { READ_SLICE_MS = 500, LINE_MAX_BYTES = 16 << 20, OUTPUT_COLUMNS = 60 };
enum results_format { FORMAT_JSON, FORMAT_TABLE };

struct results_settings {
    struct results_filter filter;
    const char *wait;
    int64_t since_us, timeout_ms;
    int format;
    bool follow;
};

#define FIELD(f) .offset = offsetof(struct results_settings, f)
static const struct cli_option options[] = {
    {.name = "follow",
     .letter = 'f',
     .kind = CLI_FLAG,
     FIELD(follow),
     .help = "go on when the end is reached, until interrupted"},
    {.name = "agent",
     .letter = 'a',
     .kind = CLI_TEXT,
     FIELD(filter.agent_id),
     .argument = "ID",
     .help = "only results of this agent"},
    {.name = "workflow",
     .letter = 'w',
     .kind = CLI_TEXT,
     FIELD(filter.workflow_id),
     .argument = "ID",
     .help = "only the result of this workflow"},
    {.name = "status",
     .letter = 's',
     .kind = CLI_TEXT,
     FIELD(filter.status),
     .argument = "WORD",
     .help = "only succeeded, failed, canceled or timed_out"},
    {.name = "since",
     .kind = CLI_MOMENT,
     FIELD(since_us),
     .argument = "TIME",
     .help = "begin there: RFC 3339, or how long ago (2h); else at the oldest result"},
    {.name = "format",
     .kind = CLI_CHOICE,
     FIELD(format),
     .argument = "json|table",
     .choices = "json|table",
     .default_text = "json",
     .help = "one JSON object a line, or a table for people"},
    {.name = "wait",
     .kind = CLI_TEXT,
     FIELD(wait),
     .argument = "ID",
     .help = "wait for the result of this workflow; exit code 0 if it succeeded, 1 if not, 3 if it did not come"},
    {.name = "timeout",
     .kind = CLI_DURATION,
     FIELD(timeout_ms),
     .argument = "TIME",
     .default_text = "0",
     .min = 0,
     .max = 604800000,
     .help = "end after this time (with --wait 60s if not given); 0: never"},
};

static const char *text_of(const struct json *document, const char *key)
{
    const char *text = "";
    return json_text(json_get(document, key, NULL), &text) ? text : "";
}

bool results_match(const struct results_filter *filter, const struct json *result)
{
    return (filter->agent_id == NULL || strcmp(filter->agent_id, text_of(result, "agent_id")) == 0) &&
           (filter->workflow_id == NULL || strcmp(filter->workflow_id, text_of(result, "workflow_id")) == 0) &&
           (filter->status == NULL || strcmp(filter->status, text_of(result, "status")) == 0);
}

void results_row(const struct json *result, struct buffer *out)
{
    int64_t attempts = 0, duration_ms = 0;
    json_int64(json_get(result, "attempts", NULL), &attempts);
    json_int64(json_get(result, "duration_ms", NULL), &duration_ms);
    const char *output = text_of(result, "error");
    if (*output == '\0') output = text_of(result, "output");
    struct buffer agent, status, workflow;
    buffer_init(&agent, 1024);
    buffer_init(&status, 256);
    buffer_init(&workflow, 1024);
    talk_safe(&agent, bytes_of(text_of(result, "agent_id")), 128);
    talk_safe(&status, bytes_of(text_of(result, "status")), 16);
    talk_safe(&workflow, bytes_of(text_of(result, "workflow_id")), 64);
    buffer_format(out, "%-19.19s  %-9s %-16s %-35s %3" PRId64 " %8" PRId64 " ", text_of(result, "ended_at"),
                  buffer_cstr(&status), buffer_cstr(&agent), buffer_cstr(&workflow), attempts, duration_ms);
    talk_safe(out, bytes_of(output), OUTPUT_COLUMNS);
    buffer_close(&agent);
    buffer_close(&status);
    buffer_close(&workflow);
}

/* JSON has no line break inside a token, so a foreign pretty-printed value becomes one line without changing. */
static void one_line(struct bytes value, struct buffer *out)
{
    for (size_t i = 0; i < value.size; i++)
        buffer_byte(out, value.data[i] == '\n' || value.data[i] == '\r' ? ' ' : (char)value.data[i]);
}

struct results_reading {
    const struct results_settings *settings;
    struct buffer line;
    enum cli_exit code;
    bool over;
};

static void show_record(struct results_reading *r, const struct record *record, const struct reader_position *position)
{
    struct error error;
    struct json *document = json_parse(record->value, &error);
    if (document == NULL) {
        talk("partition %d offset %" PRId64 " is not a result: %s", position->partition, position->offset, error.text);
        return;
    }
    if (results_match(&r->settings->filter, document)) {
        buffer_clear(&r->line);
        if (r->settings->format == FORMAT_TABLE)
            results_row(document, &r->line);
        else
            one_line(record->value, &r->line);
        r->over = !talk_line(buffer_view(&r->line));
        if (r->settings->wait != NULL) {
            r->over = true;
            r->code = strcmp(text_of(document, "status"), "succeeded") == 0 ? CLI_OK : CLI_NO;
        }
    }
    json_free(document);
}

static enum cli_exit results_read(struct kafka_reader *reader, struct results_reading *r)
{
    const struct results_settings *s = r->settings;
    const int64_t timeout_ms = s->timeout_ms == 0 && s->wait != NULL ? 60000 : s->timeout_ms;
    const int64_t deadline_ms = timeout_ms > 0 ? clock_monotonic_ms() + timeout_ms : INT64_MAX;
    while (!r->over) {
        const int64_t left_ms = deadline_ms - clock_monotonic_ms();
        if (left_ms <= 0) {
            if (s->wait != NULL) talk("no result of %s within the time", s->wait);
            return s->wait != NULL || !s->follow ? CLI_UNAVAILABLE : CLI_OK;
        }
        struct record record;
        struct reader_position position;
        struct error error = {0};
        switch (kafka_reader_next(reader, left_ms < READ_SLICE_MS ? (int)left_ms : READ_SLICE_MS, &record, &position,
                                  &error)) {
        case READER_RECORD: show_record(r, &record, &position); break;
        case READER_END: r->over = !s->follow && s->wait == NULL; break;
        case READER_IDLE: break;
        case READER_FAILED: return talk_error(&error);
        }
    }
    return r->code;
}

static bool status_known(const char *status)
{
    for (int i = RECORD_SUCCEEDED; i <= RECORD_TIMED_OUT; i++)
        if (strcmp(record_status_name((enum record_status)i), status) == 0) return true;
    return false;
}

static enum cli_exit results_run(struct cli *cli, void *settings)
{
    struct results_settings *s = settings;
    if (s->filter.status != NULL && !status_known(s->filter.status)) {
        talk("--status %s: no result has it; succeeded, failed, canceled or timed_out", s->filter.status);
        return CLI_USAGE;
    }
    if (s->wait != NULL) s->filter.workflow_id = s->wait;
    struct error error = {0};
    struct cli_kafka kafka;
    struct kafka_reader *reader = NULL;
    enum cli_exit code;
    if (connect_load(&cli->connection, &kafka, &error))
        reader = kafka_reader_new(&kafka.settings, kafka.topics.name[TOPIC_RESULTS], -1,
                                  s->since_us > 0 ? KAFKA_FROM_TIME : KAFKA_FROM_BEGINNING, s->since_us / 1000, &error);
    if (reader == NULL) {
        code = talk_error(&error);
    } else {
        struct results_reading reading = {.settings = s};
        buffer_init(&reading.line, LINE_MAX_BYTES);
        if (s->format == FORMAT_TABLE)
            talk_line(bytes_of("ENDED                STATUS    AGENT            WORKFLOW                            "
                               "TRY       MS OUTPUT OR ERROR"));
        code = results_read(reader, &reading);
        buffer_close(&reading.line);
    }
    kafka_reader_free(reader);
    connect_close(&kafka);
    return code;
}

const struct cli_command results_command = {
    .name = "results",
    .operands = "",
    .summary = "dump, follow or wait for results",
    .details = "Reads committed results only: what it shows once, it never shows again as something else.",
    .examples = "  drawbridge results --brokers localhost:9092 --follow --format table\n"
                "  drawbridge results --config /etc/drawbridge/runner.cfg --agent triage --status failed --since 1d\n"
                "  drawbridge results -b localhost:9092 --wait wh-0f6c... --timeout 2m | jq -r .output",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .settings_size = sizeof(struct results_settings),
    .connects = true,
    .run = results_run,
};
