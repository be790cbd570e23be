/* json_writer.c: JSON into a buffer; commas and escapes happen here and nowhere else.
 * SPDX-License-Identifier: Apache-2.0 */
#include "json.h"
#include "text.h"
#include <string.h>

void json_writer_init(struct json_writer *w, struct buffer *out)
{
    *w = (struct json_writer){.out = out};
}

static void write_escaped(struct buffer *out, struct bytes text)
{
    char escape[TEXT_ESCAPE_SIZE];
    buffer_byte(out, '"');
    while (text.size > 0) {
        size_t plain = text_json_plain(text);
        buffer_append(out, text.data, plain);
        text.data += plain;
        text.size -= plain;
        if (text.size > 0) buffer_append(out, escape, text_json_escape(&text, escape));
    }
    buffer_byte(out, '"');
}

/* Most texts need no escape, and are written at once. */
static void write_string(struct buffer *out, struct bytes text)
{
    if (text_json_plain(text) < text.size) {
        write_escaped(out, text);
        return;
    }
    uint8_t *at = buffer_extend(out, text.size + 2);
    if (!at) return;
    at[0] = '"';
    if (text.size > 0) memcpy(at + 1, text.data, text.size);
    at[text.size + 1] = '"';
}

/* What stands in front of every value; afterwards a further value needs a comma. */
static void begin(struct json_writer *w, const char *key)
{
    if (w->comma) buffer_byte(w->out, ',');
    w->comma = true;
    if (!key) return;
    write_string(w->out, bytes_of(key));
    buffer_byte(w->out, ':');
}

static void open_container(struct json_writer *w, const char *key, char bracket)
{
    begin(w, key);
    buffer_byte(w->out, bracket);
    w->comma = false;
}

static void close_container(struct json_writer *w, char bracket)
{
    buffer_byte(w->out, bracket);
    w->comma = true;
}

void json_write_object(struct json_writer *w, const char *key)
{
    open_container(w, key, '{');
}

void json_write_object_end(struct json_writer *w)
{
    close_container(w, '}');
}

void json_write_array(struct json_writer *w, const char *key)
{
    open_container(w, key, '[');
}

void json_write_array_end(struct json_writer *w)
{
    close_container(w, ']');
}

void json_write_text(struct json_writer *w, const char *key, struct bytes value)
{
    begin(w, key);
    write_string(w->out, value);
}

void json_write_cstr(struct json_writer *w, const char *key, const char *value)
{
    if (value)
        json_write_text(w, key, bytes_of(value));
    else
        json_write_null(w, key);
}

void json_write_int(struct json_writer *w, const char *key, int64_t value)
{
    char text[TEXT_INT64_SIZE];
    begin(w, key);
    buffer_append(w->out, text, text_format_int64(value, text));
}

void json_write_bool(struct json_writer *w, const char *key, bool value)
{
    begin(w, key);
    buffer_text(w->out, value ? "true" : "false");
}

void json_write_null(struct json_writer *w, const char *key)
{
    begin(w, key);
    buffer_text(w->out, "null");
}

void json_write_raw(struct json_writer *w, const char *key, struct bytes json)
{
    begin(w, key);
    buffer_bytes(w->out, json);
}
