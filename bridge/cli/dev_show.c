/* dev_show.c: the way of each delivery, as the topics tell it: event, run, result.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include "clock.h"
#include "json.h"
#include "text.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_BYTES = 8192, OUTPUT_COLUMNS = 400, CATCH_UP_MS = 15000, LOOK_MS = 100 };

struct dev_show {
    const struct cli_kafka *kafka;
    struct kafka_reader *events, *journal, *results;
};

/* What one record of a topic says, as a line on stdout. */
struct sight {
    const char *topic, *watched;
    unsigned *seen;
};

void dev_show_line(const char *kind, const char *format, ...)
{
    char now[TEXT_TIME_SIZE];
    text_format_time(clock_wall_us(), now);
    struct buffer line;
    buffer_init(&line, LINE_MAX_BYTES);
    buffer_format(&line, "%.12s %-8s ", now + strlen("2026-11-23T"), kind);
    va_list args;
    va_start(args, format);
    buffer_format_va(&line, format, args);
    va_end(args);
    if (buffer_ok(&line)) talk_line(buffer_view(&line));
    buffer_close(&line);
}

static void note(const struct sight *s, struct bytes workflow_id, unsigned what)
{
    if (s->watched != NULL && bytes_are(workflow_id, s->watched)) *s->seen |= what;
}

static void see_event(const struct sight *s, const struct record *r, const struct reader_position *at)
{
    struct error error;
    struct record_event_view event;
    if (!record_to_event(r, &event, &error)) {
        dev_show_line("event", "%s[%d]@%" PRId64 "  not an event: %s", s->topic, at->partition, at->offset, error.text);
        return;
    }
    struct buffer shown;
    buffer_init(&shown, 2048);
    talk_safe(&shown, event.ce_type, 100);
    dev_show_line("event", "%s[%d]@%" PRId64 "  %.*s  agent %.*s  %s  %zu bytes", s->topic, at->partition, at->offset,
                  (int)event.workflow_id.size, (const char *)event.workflow_id.data, (int)event.agent_id.size,
                  (const char *)event.agent_id.data, buffer_cstr(&shown), event.body.size);
    buffer_close(&shown);
    note(s, event.workflow_id, DEV_SEEN_EVENT);
}

/* The journal says "running" under the workflow's own key (with its event) or under "<workflow_id>/run". */
static void see_run(const struct sight *s, const struct record *r, const struct reader_position *at)
{
    (void)at;
    const char *slash = r->key.size > 0 ? memchr(r->key.data, '/', r->key.size) : NULL;
    const struct bytes workflow_id = {r->key.data,
                                      slash != NULL ? (size_t)(slash - (const char *)r->key.data) : r->key.size};
    const struct bytes state = slash != NULL ? r->value : record_header(r, "drawbridge-run");
    struct error error;
    struct json *document = state.size > 0 ? json_parse(state, &error) : NULL;
    const char *word = "";
    int64_t attempt = 0;
    json_text(json_get(document, "state", NULL), &word);
    json_int64(json_get(document, "attempt", NULL), &attempt);
    if (strcmp(word, "running") == 0) {
        dev_show_line("run", "%.*s  started, attempt %" PRId64, (int)workflow_id.size, (const char *)workflow_id.data,
                      attempt);
        note(s, workflow_id, DEV_SEEN_RUN);
    } else if (strcmp(word, "retry_wait") == 0) {
        dev_show_line("run", "%.*s  attempt %" PRId64 " failed, will be tried again", (int)workflow_id.size,
                      (const char *)workflow_id.data, attempt);
    }
    json_free(document);
}

static const char *text_of(const struct json *document, const char *key)
{
    const char *text = "";
    return json_text(json_get(document, key, NULL), &text) ? text : "";
}

static void see_result(const struct sight *s, const struct record *r, const struct reader_position *at)
{
    struct error error;
    struct json *document = json_parse(r->value, &error);
    if (document == NULL) return;
    const bool success = strcmp(text_of(document, "status"), "succeeded") == 0;
    const char *workflow_id = text_of(document, "workflow_id"), *what = success ? "output" : "error";
    int64_t duration_ms = 0;
    json_int64(json_get(document, "duration_ms", NULL), &duration_ms);
    struct buffer shown;
    buffer_init(&shown, 4 * OUTPUT_COLUMNS);
    struct bytes said = bytes_of(text_of(document, what));
    while (said.size > 0 && said.data[said.size - 1] <= ' ')
        said.size--;
    talk_safe(&shown, said, OUTPUT_COLUMNS);
    dev_show_line("result", "%s[%d]@%" PRId64 "  %s  %s in %" PRId64 " ms  %s: %s", s->topic, at->partition, at->offset,
                  workflow_id, success ? "succeeded" : "FAILED", duration_ms, what, buffer_cstr(&shown));
    buffer_close(&shown);
    note(s, bytes_of(workflow_id), DEV_SEEN_RESULT | (success ? DEV_SEEN_SUCCESS : 0U));
    json_free(document);
}

/* Reads to what is the end now: from here on nothing that comes is missed, and nothing that was is shown. */
static bool catch_up(struct kafka_reader *reader, struct error *error)
{
    const int64_t deadline_ms = clock_monotonic_ms() + CATCH_UP_MS;
    for (;;) {
        struct record record;
        struct reader_position at;
        const enum reader_event event = kafka_reader_next(reader, LOOK_MS, &record, &at, error);
        if (event == READER_END) return true;
        if (event == READER_FAILED) return false;
        if (clock_monotonic_ms() > deadline_ms)
            return error_set(error, ERROR_TIMED_OUT, "not read to the end within %d s", CATCH_UP_MS / 1000);
    }
}

struct dev_show *dev_show_new(const struct cli_kafka *kafka, bool from_start, struct error *error)
{
    struct dev_show *s = calloc(1, sizeof *s);
    if (s == NULL) {
        error_set(error, ERROR_MEMORY, "no memory");
        return NULL;
    }
    s->kafka = kafka;
    const enum kafka_from from = from_start ? KAFKA_FROM_BEGINNING : KAFKA_FROM_TIME;
    const int64_t now_ms = clock_wall_us() / 1000;
    struct kafka_reader **const readers[] = {&s->events, &s->journal, &s->results};
    static const enum kafka_topic topics[] = {TOPIC_EVENTS, TOPIC_JOURNAL, TOPIC_RESULTS};
    for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++) {
        const char *topic = kafka->topics.name[topics[i]];
        *readers[i] = kafka_reader_new(&kafka->settings, topic, -1, from, now_ms, error);
        if (*readers[i] != NULL && catch_up(*readers[i], error)) continue;
        if (*readers[i] != NULL) error_context(error, "read topic '%s'", topic);
        dev_show_free(s);
        return NULL;
    }
    return s;
}

void dev_show_free(struct dev_show *s)
{
    if (s == NULL) return;
    kafka_reader_free(s->events);
    kafka_reader_free(s->journal);
    kafka_reader_free(s->results);
    free(s);
}

static bool read_all(struct kafka_reader *reader, int timeout_ms, const struct sight *sight,
                     void (*see)(const struct sight *s, const struct record *r, const struct reader_position *at),
                     struct error *error)
{
    for (;; timeout_ms = 0) {
        struct record record;
        struct reader_position at;
        switch (kafka_reader_next(reader, timeout_ms, &record, &at, error)) {
        case READER_RECORD: see(sight, &record, &at); break;
        case READER_END: break;
        case READER_IDLE: return true;
        case READER_FAILED: return false;
        }
    }
}

bool dev_show_run(struct dev_show *s, int timeout_ms, const char *watched, unsigned *seen, struct error *error)
{
    char *const *names = s->kafka->topics.name;
    const struct sight events = {names[TOPIC_EVENTS], watched, seen}, journal = {names[TOPIC_JOURNAL], watched, seen},
                       results = {names[TOPIC_RESULTS], watched, seen};
    /* a result is not shown before its event: while the watched workflow lacks a step, the later ones wait */
    if (!read_all(s->events, timeout_ms, &events, see_event, error)) return false;
    if (watched != NULL && (*seen & DEV_SEEN_EVENT) == 0) return true;
    if (!read_all(s->journal, timeout_ms, &journal, see_run, error)) return false;
    if (watched != NULL && (*seen & DEV_SEEN_RUN) == 0) return true;
    return read_all(s->results, timeout_ms, &results, see_result, error);
}
