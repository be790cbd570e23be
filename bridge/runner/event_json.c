/* event_json.c: what a command reads from its standard input: one JSON object.  Pure.
 * SPDX-License-Identifier: Apache-2.0 */
#include "json.h"
#include "runner.h"
#include "text.h"
#include <string.h>

static bool starts_with(struct bytes text, const char *prefix)
{
    size_t size = strlen(prefix);
    return text.size >= size && memcmp(text.data, prefix, size) == 0;
}

/* Of several headers with one name only the last counts: a key stands once in an object. */
static bool is_last(const struct record *event, size_t at)
{
    for (size_t i = at + 1; i < event->header_count; i++)
        if (bytes_equal(event->headers[i].name, event->headers[at].name)) return false;
    return true;
}

static void write_named(struct json_writer *w, struct bytes name, struct bytes value)
{
    char key[128];
    if (name.size == 0 || name.size >= sizeof key || !text_is_utf8(name)) return;
    memcpy(key, name.data, name.size);
    key[name.size] = 0;
    json_write_text(w, key, value);
}

/* Every CloudEvents attribute by its own name, those of foreign extensions too. */
static void write_attributes(struct json_writer *w, const struct event_json *e)
{
    for (size_t i = 0; i < e->event->header_count; i++) {
        struct bytes name = e->event->headers[i].name;
        if (!starts_with(name, "ce_") || !is_last(e->event, i)) continue;
        write_named(w, (struct bytes){name.data + 3, name.size - 3}, e->event->headers[i].value);
    }
    if (e->view.content_type.size > 0) json_write_text(w, "datacontenttype", e->view.content_type);
}

/* Never those of the sender's request: a signature that can be replayed may be among them (design 3.1). */
static void write_headers(struct json_writer *w, const struct event_json *e)
{
    static const char *const others[] = {"ce_", "http-", "drawbridge-", "content-type"};
    json_write_object(w, "headers");
    for (size_t i = 0; i < e->event->header_count; i++) {
        bool ours = !is_last(e->event, i);
        for (size_t k = 0; !ours && k < sizeof others / sizeof others[0]; k++)
            ours = starts_with(e->event->headers[i].name, others[k]);
        if (!ours) write_named(w, e->event->headers[i].name, e->event->headers[i].value);
    }
    json_write_object_end(w);
}

static void write_body(struct json_writer *w, struct bytes body)
{
    if (text_is_utf8(body)) {
        json_write_text(w, "body", body);
        return;
    }
    struct buffer base64;
    buffer_init(&base64, 2 * body.size + 16);
    text_base64(body, &base64);
    json_write_text(w, "body_base64", buffer_view(&base64));
    buffer_close(&base64);
}

/* ---- the prompt */

static bool is_json(struct bytes text)
{
    struct json_scanner scanner;
    json_scanner_init(&scanner);
    return text.size > 0 && json_scanner_feed(&scanner, text.data, text.size) && json_scanner_end(&scanner);
}

static void new_line(struct buffer *out, int depth)
{
    buffer_byte(out, '\n');
    for (int i = 0; i < depth; i++)
        buffer_text(out, "  ");
}

static size_t skip_space(struct bytes text, size_t at)
{
    while (at < text.size && strchr(" \t\r\n", text.data[at]) && text.data[at])
        at++;
    return at;
}

static size_t copy_string(struct bytes text, size_t at, struct buffer *out)
{
    size_t from = at++;
    while (text.data[at] != '"')
        at += text.data[at] == '\\' ? 2 : 1;
    at++;
    buffer_append(out, text.data + from, at - from);
    return at;
}

/* Valid JSON, indented by 2; numbers and strings stay as the sender wrote them. */
static void indent(struct bytes text, struct buffer *out)
{
    int depth = 0;
    for (size_t at = skip_space(text, 0); at < text.size; at = skip_space(text, at)) {
        char c = (char)text.data[at];
        if (c == '"') {
            at = copy_string(text, at, out);
            continue;
        }
        at++;
        if (c == '{' || c == '[') {
            size_t next = skip_space(text, at);
            buffer_byte(out, c);
            if (text.data[next] == '}' || text.data[next] == ']') {
                buffer_byte(out, (char)text.data[next]);
                at = next + 1;
            } else {
                new_line(out, ++depth);
            }
        } else if (c == '}' || c == ']') {
            new_line(out, --depth);
            buffer_byte(out, c);
        } else {
            buffer_byte(out, c);
            if (c == ',') new_line(out, depth);
            if (c == ':') buffer_byte(out, ' ');
        }
    }
}

static void write_prompt(struct json_writer *w, const struct event_json *e)
{
    enum { INDENT_MAX = 16 };
    struct buffer text;
    struct bytes body = e->view.body;
    buffer_init(&text, 1024 + INDENT_MAX * body.size);
    buffer_format(&text, "Event received: %s\nPayload: ", e->view.description);
    if (is_json(body))
        indent(body, &text);
    else if (text_is_utf8(body))
        buffer_bytes(&text, body);
    else
        buffer_format(&text, "(%zu bytes that are not text)", body.size);
    if (!buffer_ok(&text)) { /* deeply nested: as it came */
        buffer_clear(&text);
        buffer_format(&text, "Event received: %s\nPayload: ", e->view.description);
        buffer_bytes(&text, body);
    }
    json_write_text(w, "prompt", buffer_view(&text));
    buffer_close(&text);
}

void event_json_write(const struct event_json *e, struct buffer *out)
{
    char deadline[TEXT_TIME_SIZE];
    struct json_writer w;
    buffer_clear(out);
    json_writer_init(&w, out);
    json_write_object(&w, NULL);
    json_write_int(&w, "v", 1);
    json_write_text(&w, "workflow_id", e->workflow_id);
    json_write_text(&w, "agent_id", e->event->key);
    json_write_int(&w, "attempt", e->attempt);
    json_write_object(&w, "event");
    write_attributes(&w, e);
    write_headers(&w, e);
    if (e->view.trigger_json.size > 0) json_write_raw(&w, "trigger", e->view.trigger_json);
    write_body(&w, e->view.body);
    json_write_object_end(&w);
    write_prompt(&w, e);
    json_write_object(&w, "checkpoints");
    json_write_object_end(&w);
    json_write_array(&w, "signals");
    json_write_array_end(&w);
    text_format_time(e->deadline_us, deadline);
    json_write_cstr(&w, "deadline", deadline);
    json_write_object_end(&w);
    buffer_byte(out, '\n');
}
