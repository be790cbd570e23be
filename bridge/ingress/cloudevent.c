/* cloudevent.c: a CloudEvent that came over HTTP, in binary or structured mode, as attributes of our record.
 * CloudEvents 1.0.2, HTTP protocol binding 3.1 and 3.2.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cloudevent.h"
#include "http_head.h"
#include "json_pointer.h"
#include "text.h"
#include <string.h>

enum { NAME_MAX_SIZE = 64, VALUE_MAX = 1024, IDENTITY_MAX = 256 };

/* The attributes that have a place of their own in the record, and those that are ours to say or HTTP's: a sender's
 * are left out. */
enum attribute { SPECVERSION, ID, SOURCE, TYPE, TIME, EXTENSION, OURS };
static const struct known {
    const char *name, *pointer;
    enum attribute attribute;
} known[] = {
    {"specversion", "/specversion", SPECVERSION},
    {"id", "/id", ID},
    {"source", "/source", SOURCE},
    {"type", "/type", TYPE},
    {"time", "/time", TIME},
    {"subject", "/subject", EXTENSION},
    {"dataschema", "/dataschema", EXTENSION},
    {"traceparent", "/traceparent", EXTENSION},
    {"tracestate", "/tracestate", EXTENSION},
    {"agentid", NULL, OURS},
    {"workflowid", NULL, OURS},
    {"partitionkey", NULL, OURS},
    {"recordedtime", NULL, OURS},
    {"datacontenttype", NULL, OURS},
    {"data", NULL, OURS}, /* what follows stands beside the attributes in what an agent reads */
    {"body", NULL, OURS},
    {"headers", NULL, OURS},
    {"trigger", NULL, OURS},
};
enum { KNOWN = sizeof known / sizeof known[0] };

/* One event on its way in.  `text` has room for everything from the start, so that views of it stay. */
struct mapping {
    struct cloudevent *event;
    struct buffer *text;
    struct bytes found[EXTENSION]; /* data NULL: not there */
    struct error *error;
};

static enum attribute attribute_of(struct bytes name)
{
    for (size_t i = 0; i < KNOWN; i++)
        if (bytes_are(name, known[i].name)) return known[i].attribute;
    return EXTENSION;
}

static bool bad(struct mapping *m, struct bytes name, const char *what)
{
    return error_set(m->error, ERROR_INVALID, "CloudEvent: attribute '%.*s' %s", (int)name.size,
                     (const char *)name.data, what);
}

static bool is_plain(struct bytes text)
{
    return text_before_control(text) == text.size && text_is_utf8(text);
}

static bool add_extension(struct mapping *m, struct bytes name, struct bytes value)
{
    struct cloudevent *e = m->event;
    size_t begin = m->text->size;
    if (e->count == CLOUDEVENT_ATTRIBUTES_MAX) return bad(m, name, "is one too many");
    buffer_text(m->text, "ce_");
    buffer_bytes(m->text, name);
    if (!buffer_ok(m->text)) return error_set(m->error, ERROR_MEMORY, "CloudEvent: no memory");
    struct bytes record_name = {m->text->data + begin, m->text->size - begin};
    for (size_t i = 0; i < e->count; i++)
        if (bytes_equal(e->attributes[i].name, record_name)) return bad(m, name, "stands there twice");
    e->attributes[e->count++] = (struct record_header){record_name, value};
    return true;
}

static bool add(struct mapping *m, struct bytes name, struct bytes value)
{
    if (value.size == 0 || value.size > VALUE_MAX || !is_plain(value))
        return bad(m, name, "is not 1 to 1024 bytes of UTF-8 without control characters");
    enum attribute attribute = attribute_of(name);
    if (attribute == EXTENSION) return add_extension(m, name, value);
    if (m->found[attribute].data) return bad(m, name, "stands there twice");
    m->found[attribute] = value;
    return true;
}

static bool all_between(struct bytes text, uint8_t low, uint8_t high)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < low || text.data[i] > high) return false;
    return true;
}

/* The sender's source and id together are the delivery's id.  No blank stands in a source (RFC 3986), so no other pair
 * gives the same. */
static bool finish(struct mapping *m, struct buffer *id, struct buffer *type)
{
    const struct bytes *found = m->found;
    struct cloudevent *e = m->event;
    for (size_t i = SPECVERSION; i <= TYPE; i++)
        if (!found[i].data) return bad(m, bytes_of(known[i].name), "is missing");
    if (!bytes_are(found[SPECVERSION], "1.0")) return bad(m, bytes_of("specversion"), "is not 1.0");
    if (!all_between(found[SOURCE], 0x21, 0x7e)) return bad(m, bytes_of("source"), "is not a URI reference");
    if (!all_between(found[ID], 0x20, 0x7e)) return bad(m, bytes_of("id"), "is not printable ASCII");
    if (found[SOURCE].size + 1 + found[ID].size > IDENTITY_MAX)
        return error_set(m->error, ERROR_INVALID, "CloudEvent: source and id are together over %d bytes",
                         IDENTITY_MAX - 1);
    if (found[TYPE].size > IDENTITY_MAX) return bad(m, bytes_of("type"), "is over 256 bytes");
    e->has_time = found[TIME].data != NULL;
    if (e->has_time && !text_parse_time(found[TIME], &e->time_us)) return bad(m, bytes_of("time"), "is not RFC 3339");
    buffer_clear(id);
    buffer_bytes(id, found[SOURCE]);
    buffer_byte(id, ' ');
    buffer_bytes(id, found[ID]);
    buffer_clear(type);
    buffer_bytes(type, found[TYPE]);
    return true;
}

/* ---- binary mode ---- */

static bool is_ce(const struct http_header *h, struct bytes *name)
{
    if (!text_starts_with_ignore_case(h->name, "ce-")) return false;
    *name = (struct bytes){h->name.data + 3, h->name.size - 3};
    return true;
}

bool cloudevent_is_binary(const struct http_head *head)
{
    struct bytes name;
    for (size_t i = 0; i < head->header_count; i++) {
        if (!is_ce(&head->headers[i], &name)) continue;
        for (size_t k = SPECVERSION; k <= TYPE; k++)
            if (text_equal_ignore_case(name, bytes_of(known[k].name))) return true;
    }
    return false;
}

/* HTTP binding 3.1.3.2: quotes and their backslashes first, as earlier versions wrote them, then one round of percent
 * decoding. */
static bool decode_value(struct bytes value, struct buffer *text)
{
    bool quoted = value.size >= 2 && value.data[0] == '"' && value.data[value.size - 1] == '"';
    if (!quoted) return text_unescape_url(value, false, text);
    size_t end = value.size - 1;
    for (size_t i = 1; i < end;) {
        if (value.data[i] == '\\' && ++i == end) return false;
        size_t size = i + 2 < end && value.data[i] == '%' ? 3 : 1;
        if (!text_unescape_url((struct bytes){value.data + i, size}, false, text)) return false;
        i += size;
    }
    return true;
}

static bool lower_name(struct bytes name, struct buffer *text)
{
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.data[i];
        if (c >= 'A' && c <= 'Z') c |= 0x20;
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))) return false;
        buffer_byte(text, (char)c);
    }
    return name.size > 0 && name.size <= NAME_MAX_SIZE;
}

/* Every name twice, for what becomes of it, and every value; decoding makes nothing longer. */
static bool reserve_headers(struct mapping *m, const struct http_head *head)
{
    struct bytes name;
    size_t size = 0;
    for (size_t i = 0; i < head->header_count; i++)
        if (is_ce(&head->headers[i], &name)) size += 2 * name.size + strlen("ce_") + head->headers[i].value.size;
    buffer_clear(m->text);
    return buffer_reserve(m->text, size) || error_set(m->error, ERROR_MEMORY, "CloudEvent: attributes too long");
}

static bool add_header(struct mapping *m, struct bytes header_name, struct bytes raw)
{
    size_t begin = m->text->size;
    if (!lower_name(header_name, m->text))
        return error_set(m->error, ERROR_INVALID, "CloudEvent: attribute names are 1 to %d of a-z and 0-9",
                         NAME_MAX_SIZE);
    struct bytes name = {m->text->data + begin, header_name.size};
    begin = m->text->size;
    if (attribute_of(name) == OURS) return true;
    if (!decode_value(raw, m->text)) return bad(m, name, "has a '%' without two hex digits, or an open quote");
    return add(m, name, (struct bytes){m->text->data + begin, m->text->size - begin});
}

bool cloudevent_from_headers(const struct http_head *head, struct cloudevent *event, struct cloudevent_texts texts,
                             struct error *error)
{
    struct mapping m = {.event = event, .text = texts.attributes, .error = error};
    struct bytes name;
    *event = (struct cloudevent){0};
    if (!reserve_headers(&m, head)) return false;
    for (size_t i = 0; i < head->header_count; i++)
        if (is_ce(&head->headers[i], &name) && !add_header(&m, name, head->headers[i].value)) return false;
    return finish(&m, texts.id, texts.type);
}

/* ---- structured mode ---- */

static bool add_member(struct mapping *m, struct bytes body, const struct known *k)
{
    struct bytes raw, name = bytes_of(k->name);
    enum json_found found = json_pointer_find(body, k->pointer, &raw);
    if (found == JSON_ABSENT || (found == JSON_FOUND && bytes_are(raw, "null"))) return true;
    if (found == JSON_TWICE) return bad(m, name, "stands there twice");
    if (found == JSON_INVALID || raw.size < 2 || raw.data[0] != '"') return bad(m, name, "is not a string");
    if (raw.size > VALUE_MAX) return bad(m, name, "is over 1 KiB");
    size_t begin = m->text->size;
    if (!json_pointer_text(raw, m->text)) return bad(m, name, "is not text");
    return add(m, name, (struct bytes){m->text->data + begin, m->text->size - begin});
}

bool cloudevent_from_body(struct bytes body, struct cloudevent *event, struct cloudevent_texts texts,
                          struct error *error)
{
    struct mapping m = {.event = event, .text = texts.attributes, .error = error};
    *event = (struct cloudevent){0};
    buffer_clear(m.text);
    if (!buffer_reserve(m.text, KNOWN * (VALUE_MAX + 2 * NAME_MAX_SIZE)))
        return error_set(error, ERROR_MEMORY, "CloudEvent: no memory");
    for (size_t i = 0; i < KNOWN; i++)
        if (known[i].pointer && !add_member(&m, body, &known[i])) return false;
    return finish(&m, texts.id, texts.type);
}
