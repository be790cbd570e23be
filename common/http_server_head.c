/* http_server_head.c: method, target, version and headers of one request, and whether its bytes were torn.
 * SPDX-License-Identifier: Apache-2.0 */
#include "http_server_head.h"
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

enum { HEADERS_MAX = 64 * 1024 };

void head_reader_init(struct head_reader *h, size_t memory)
{
    *h = (struct head_reader){.memory = memory, .peek = strncmp(http_library_version(), "0.9.", 4) == 0};
    buffer_init(&h->target, memory);
}

void head_reader_close(struct head_reader *h)
{
    buffer_close(&h->target);
    free(h->headers);
    *h = (struct head_reader){0};
}

void head_note_target(struct head_reader *h, const char *uri)
{
    buffer_clear(&h->target);
    buffer_text(&h->target, uri);
    h->target_at = (uintptr_t)uri;
}

static bool headers_grow(struct head_reader *h)
{
    if (h->head.header_count < h->capacity) return true;
    size_t capacity = h->capacity ? 2 * h->capacity : 16;
    struct http_header *grown = capacity <= HEADERS_MAX ? reallocarray(h->headers, capacity, sizeof *grown) : NULL;
    if (!grown) return false;
    h->headers = grown;
    h->capacity = capacity;
    return true;
}

/* libmicrohttpd 0.9 puts a NUL over the colon and over both bytes of the line's end, and hands out pointers into that
 * line.  So behind a sound value stand two NULs, and between name and value nothing but the colon's NUL and blanks.  A
 * NUL in the value leaves text behind the first one, a bare LF the next line; a folded line moves the name elsewhere.
 * All reads stay inside the connection's memory: a value is followed by its line's end and at least an empty line. */
static bool header_is_torn(size_t memory, const char *name, size_t name_size, const char *value, size_t value_size)
{
    uintptr_t colon = (uintptr_t)name + name_size, begin = (uintptr_t)value;
    if (begin <= colon || begin - colon > memory) return true;
    for (const char *p = name + name_size + 1; p < value; p++)
        if (*p != ' ' && *p != '\t') return true;
    return value[value_size] != 0 || value[value_size + 1] != 0;
}

/* The same for the request line: method, target and version stand one byte apart, and two NULs end it. */
static bool line_is_torn(const struct head_reader *h, const char *method, const char *version)
{
    return h->target_at != (uintptr_t)method + strlen(method) + 1 ||
           (uintptr_t)version != h->target_at + h->target.size + 1 || version[strlen(version) + 1] != 0;
}

static enum MHD_Result collect_header(void *ctx, enum MHD_ValueKind kind, const char *name, size_t name_size,
                                      const char *value, size_t value_size)
{
    (void)kind;
    struct head_reader *h = ctx;
    if (!headers_grow(h)) {
        h->head.torn = true;
        return MHD_NO;
    }
    h->headers[h->head.header_count++] = (struct http_header){
        .name = {(const uint8_t *)name, name_size},
        .value = {(const uint8_t *)(value ? value : ""), value_size},
    };
    if (h->peek && (!value || header_is_torn(h->memory, name, name_size, value, value_size))) h->head.torn = true;
    return MHD_YES;
}

void head_read(struct head_reader *h, struct MHD_Connection *connection, const char *method, const char *version)
{
    h->head =
        (struct http_head){.method = bytes_of(method), .version = bytes_of(version), .target = buffer_view(&h->target)};
    struct bytes target = h->head.target;
    const uint8_t *query = target.size ? memchr(target.data, '?', target.size) : NULL;
    h->head.path = query ? (struct bytes){target.data, (size_t)(query - target.data)} : target;
    if (!buffer_ok(&h->target) || (h->peek && line_is_torn(h, method, version))) h->head.torn = true;
    MHD_get_connection_values_n(connection, MHD_HEADER_KIND, collect_header, h);
    h->head.headers = h->headers;
}
