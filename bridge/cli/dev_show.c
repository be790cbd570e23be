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
    struct dev_order *order;
    const char *watched; /* during dev_show_run */
    unsigned seen;
};

__attribute__((format(printf, 3, 0))) static void line_format(struct buffer *line, const char *kind, const char *format,
                                                              va_list args)
{
    char now[TEXT_TIME_SIZE];
    text_format_time(clock_wall_us(), now);
    buffer_init(line, LINE_MAX_BYTES);
    buffer_format(line, "%.12s %-8s ", now + strlen("2026-11-23T"), kind);
    buffer_format_va(line, format, args);
}

void dev_show_line(const char *kind, const char *format, ...)
{
    struct buffer line;
    va_list args;
    va_start(args, format);
    line_format(&line, kind, format, args);
    va_end(args);
    if (buffer_ok(&line)) talk_line(buffer_view(&line));
    buffer_close(&line);
}

static void tell(struct dev_show *s)
{
    for (char *text; (text = dev_order_next(s->order, clock_monotonic_ms())) != NULL; free(text))
        talk_line(bytes_of(text));
}

/* Hands a line over to the order of things; `place` holds all of it but the text. */
__attribute__((format(printf, 4, 5))) static void say(struct dev_show *s, struct dev_line place, const char *kind,
                                                      const char *format, ...)
{
    struct buffer line;
    va_list args;
    va_start(args, format);
    line_format(&line, kind, format, args);
    va_end(args);
    place.text = buffer_view(&line);
    const int64_t now_ms = clock_monotonic_ms();
    while (!dev_order_add(s->order, place, now_ms)) { /* full: the oldest have waited long enough */
        char *text = dev_order_next(s->order, now_ms + DEV_ORDER_PATIENCE_MS);
        if (text == NULL) break;
        talk_line(bytes_of(text));
        free(text);
    }
    buffer_close(&line);
}

static void see_event(struct dev_show *s, const struct record *r, const struct reader_position *at)
{
    struct error error;
    struct record_event_view event;
    const char *topic = s->kafka->topics.name[TOPIC_EVENTS];
    if (!record_to_event(r, &event, &error)) {
        say(s, (struct dev_line){.needs = -1}, "event", "%s[%d]@%" PRId64 "  not an event: %s", topic, at->partition,
            at->offset, error.text);
        return;
    }
    struct buffer type;
    buffer_init(&type, 2048);
    talk_safe(&type, event.ce_type, 100);
    say(s, (struct dev_line){.workflow_id = event.workflow_id, .needs = -1}, "event",
        "%s[%d]@%" PRId64 "  %.*s  agent %.*s  %s  %zu bytes", topic, at->partition, at->offset,
        (int)event.workflow_id.size, (const char *)event.workflow_id.data, (int)event.agent_id.size,
        (const char *)event.agent_id.data, buffer_cstr(&type), event.body.size);
    buffer_close(&type);
}

/* The journal says "running" under the workflow's own key (with its event) or under "<workflow_id>/run". */
static void see_run(struct dev_show *s, const struct record *r, const struct reader_position *at)
{
    (void)at;
    const char *slash = r->key.size > 0 ? memchr(r->key.data, '/', r->key.size) : NULL;
    const struct bytes id = {r->key.data, slash != NULL ? (size_t)(slash - (const char *)r->key.data) : r->key.size};
    const struct bytes state = slash != NULL ? r->value : record_header(r, "drawbridge-run");
    struct error error;
    struct json *document = state.size > 0 ? json_parse(state, &error) : NULL;
    const char *word = "";
    int64_t attempt = 0;
    json_text(json_get(document, "state", NULL), &word);
    json_int64(json_get(document, "attempt", NULL), &attempt);
    if (strcmp(word, "running") == 0)
        say(s, (struct dev_line){.workflow_id = id, .needs = attempt - 1, .gives = attempt}, "run",
            "%.*s  started, attempt %" PRId64, (int)id.size, (const char *)id.data, attempt);
    else if (strcmp(word, "retry_wait") == 0)
        say(s, (struct dev_line){.workflow_id = id, .needs = attempt, .gives = attempt}, "run",
            "%.*s  attempt %" PRId64 " failed, will be tried again", (int)id.size, (const char *)id.data, attempt);
    json_free(document);
}

static const char *text_of(const struct json *document, const char *key)
{
    const char *text = "";
    return json_text(json_get(document, key, NULL), &text) ? text : "";
}

static void see_result(struct dev_show *s, const struct record *r, const struct reader_position *at)
{
    struct error error;
    struct json *document = json_parse(r->value, &error);
    if (document == NULL) return;
    const bool success = strcmp(text_of(document, "status"), "succeeded") == 0;
    const char *workflow_id = text_of(document, "workflow_id"), *what = success ? "output" : "error";
    int64_t duration_ms = 0, attempts = 0;
    json_int64(json_get(document, "duration_ms", NULL), &duration_ms);
    json_int64(json_get(document, "attempts", NULL), &attempts);
    struct bytes said = bytes_of(text_of(document, what));
    while (said.size > 0 && said.data[said.size - 1] <= ' ')
        said.size--;
    struct buffer shown;
    buffer_init(&shown, 4 * OUTPUT_COLUMNS);
    talk_safe(&shown, said, OUTPUT_COLUMNS);
    say(s, (struct dev_line){.workflow_id = bytes_of(workflow_id), .needs = attempts, .gives = attempts}, "result",
        "%s[%d]@%" PRId64 "  %s  %s in %" PRId64 " ms  %s: %s", s->kafka->topics.name[TOPIC_RESULTS], at->partition,
        at->offset, workflow_id, success ? "succeeded" : "FAILED", duration_ms, what, buffer_cstr(&shown));
    buffer_close(&shown);
    if (s->watched != NULL && strcmp(workflow_id, s->watched) == 0)
        s->seen |= DEV_SEEN_RESULT | (success ? DEV_SEEN_SUCCESS : 0U);
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
    s->order = dev_order_new();
    const enum kafka_from from = from_start ? KAFKA_FROM_BEGINNING : KAFKA_FROM_TIME;
    const int64_t now_ms = clock_wall_us() / 1000;
    struct kafka_reader **const readers[] = {&s->events, &s->journal, &s->results};
    static const enum kafka_topic topics[] = {TOPIC_EVENTS, TOPIC_JOURNAL, TOPIC_RESULTS};
    bool good = s->order != NULL || error_set(error, ERROR_MEMORY, "no memory");
    for (size_t i = 0; good && i < sizeof topics / sizeof topics[0]; i++) {
        const char *topic = kafka->topics.name[topics[i]];
        *readers[i] = kafka_reader_new(&kafka->settings, topic, -1, from, now_ms, error);
        good = *readers[i] != NULL && (catch_up(*readers[i], error) || error_context(error, "read topic '%s'", topic));
    }
    if (good) return s;
    dev_show_free(s);
    return NULL;
}

void dev_show_free(struct dev_show *s)
{
    if (s == NULL) return;
    kafka_reader_free(s->events);
    kafka_reader_free(s->journal);
    kafka_reader_free(s->results);
    dev_order_free(s->order);
    free(s);
}

static bool read_all(struct dev_show *s, struct kafka_reader *reader, int timeout_ms,
                     void (*see)(struct dev_show *s, const struct record *r, const struct reader_position *at),
                     struct error *error)
{
    for (;; timeout_ms = 0) {
        struct record record;
        struct reader_position at;
        switch (kafka_reader_next(reader, timeout_ms, &record, &at, error)) {
        case READER_RECORD: see(s, &record, &at); break;
        case READER_END: break;
        case READER_IDLE: return true;
        case READER_FAILED: return false;
        }
    }
}

bool dev_show_run(struct dev_show *s, int timeout_ms, const char *watched, unsigned *seen, struct error *error)
{
    s->watched = watched;
    s->seen = 0;
    const bool good = read_all(s, s->events, timeout_ms, see_event, error) &&
                      read_all(s, s->journal, 0, see_run, error) && read_all(s, s->results, 0, see_result, error);
    tell(s);
    *seen |= s->seen;
    return good;
}

void dev_show_rest(struct dev_show *s)
{
    for (char *text; (text = dev_order_next(s->order, INT64_MAX)) != NULL; free(text))
        talk_line(bytes_of(text));
}
