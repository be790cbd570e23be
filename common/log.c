/* log.c: builds each line on the stack and hands it over with one write, or with others of the same turn.
 * SPDX-License-Identifier: Apache-2.0 */
#include "log.h"
#include "clock.h"
#include "text.h"
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 8192, LINE_TAIL_BYTES = 16, VALUE_MAX_BYTES = 1024, HELD_MAX_BYTES = 64 * 1024 };

/* The one mutable global of the code base.  format and fd are set before the first thread starts. */
static struct {
    atomic_int level;
    enum log_format format;
    int fd;
    _Atomic int64_t dropped;
    struct { /* the holding thread's own */
        size_t size;
        char text[HELD_MAX_BYTES];
    } held;
} the_log = {.level = LOG_INFO, .format = LOG_LOGFMT, .fd = STDERR_FILENO};
static _Thread_local bool holding;

static const char *const level_names[] = {"debug", "info", "warn", "error"};
enum { LEVELS = sizeof level_names / sizeof level_names[0] };

void log_init(enum log_level level, enum log_format format, int fd)
{
    the_log.format = format;
    the_log.fd = fd;
    log_set_level(level);
}

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&the_log.level, (int)level, memory_order_relaxed);
}

bool log_level_parse(const char *name, enum log_level *out)
{
    for (int i = 0; i < LEVELS; i++) {
        if (strcmp(name, level_names[i]) != 0) continue;
        *out = (enum log_level)i;
        return true;
    }
    return false;
}

bool log_enabled(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&the_log.level, memory_order_relaxed);
}

int64_t log_dropped(void)
{
    return atomic_load_explicit(&the_log.dropped, memory_order_relaxed);
}

struct line {
    bool json;
    bool full; /* something did not fit */
    size_t size;
    char text[LINE_MAX_BYTES];
};

static void put(struct line *l, const void *data, size_t size)
{
    if (size > sizeof l->text - LINE_TAIL_BYTES - l->size) {
        l->full = true;
        return;
    }
    memcpy(l->text + l->size, data, size);
    l->size += size;
}

static void put_cstr(struct line *l, const char *text)
{
    put(l, text, strlen(text));
}

static void put_quoted(struct line *l, struct bytes value)
{
    char escape[TEXT_ESCAPE_SIZE];
    put(l, "\"", 1);
    while (value.size > 0) {
        size_t plain = text_json_plain(value);
        put(l, value.data, plain);
        value.data += plain;
        value.size -= plain;
        if (value.size > 0) put(l, escape, text_json_escape(&value, escape));
    }
    put(l, "\"", 1);
}

static void put_value(struct line *l, struct bytes value)
{
    if (!l->json && value.size <= VALUE_MAX_BYTES && text_is_bare(value)) {
        put(l, value.data, value.size);
        return;
    }
    bool cut = value.size > VALUE_MAX_BYTES;
    if (cut) {
        value.size = VALUE_MAX_BYTES;
        for (int i = 0; i < 3 && (value.data[value.size] & 0xC0) == 0x80; i++)
            value.size--;
    }
    put_quoted(l, value);
    if (cut && !l->full) {
        l->size--;
        put_cstr(l, "...\"");
    }
}

static void put_double(struct line *l, double number)
{
    char text[32];
    if (l->json && !isfinite(number)) {
        put_cstr(l, "null");
        return;
    }
    int size = snprintf(text, sizeof text, "%.9g", number);
    put(l, text, (size_t)size);
}

static void put_int(struct line *l, int64_t value)
{
    char text[TEXT_INT64_SIZE];
    put(l, text, text_format_int64(value, text));
}

static void put_key(struct line *l, struct bytes key)
{
    put(l, l->json ? ",\"" : " ", l->json ? 2 : 1);
    put(l, key.data, key.size);
    put(l, l->json ? "\":" : "=", l->json ? 2 : 1);
}

static void put_field(struct line *l, const struct log_field *f)
{
    put_key(l, f->key);
    switch (f->kind) {
    case LOG_TEXT:
        if (f->as.text)
            put_value(l, bytes_of(f->as.text));
        else
            put_cstr(l, "null");
        break;
    case LOG_BYTES: put_value(l, f->as.bytes); break;
    case LOG_INTEGER: put_int(l, f->as.integer); break;
    case LOG_DOUBLE: put_double(l, f->as.number); break;
    case LOG_BOOL: put_cstr(l, f->as.boolean ? "true" : "false"); break;
    }
}

static void put_time(struct line *l)
{
    char text[TEXT_TIME_SIZE];
    text_format_time(clock_wall_us(), text);
    put(l, text, TEXT_TIME_SIZE - 1);
}

static void put_head(struct line *l, enum log_level level, const char *event)
{
    put_cstr(l, l->json ? "{\"time\":\"" : "time=");
    put_time(l);
    put_cstr(l, l->json ? "\",\"level\":\"" : " level=");
    put_cstr(l, level_names[level]);
    put_cstr(l, l->json ? "\",\"event\":" : " event=");
    put_value(l, bytes_of(event));
}

static void count_dropped(int64_t lines)
{
    atomic_fetch_add_explicit(&the_log.dropped, lines, memory_order_relaxed);
}

static bool write_whole(const char *text, size_t size)
{
    ssize_t written;
    do {
        written = write(the_log.fd, text, size);
    } while (written < 0 && errno == EINTR);
    return written == (ssize_t)size;
}

/* Whole lines that one write hands over undivided, also to a pipe with other writers. */
static size_t piece_size(const char *text, size_t size)
{
    if (size <= PIPE_BUF) return size;
    const char *end = memrchr(text, '\n', PIPE_BUF);
    if (!end) end = memchr(text, '\n', size); /* one line that is longer */
    return (size_t)(end - text) + 1;
}

static int64_t line_count(const char *text, size_t size)
{
    int64_t lines = 0;
    for (const char *end = text + size; text < end; lines++)
        text = (const char *)memchr(text, '\n', (size_t)(end - text)) + 1;
    return lines;
}

void log_hold(void)
{
    holding = true;
}

void log_flush(void)
{
    if (!holding) return;
    int errno_before = errno;
    for (size_t at = 0, size; at < the_log.held.size; at += size) {
        size = piece_size(the_log.held.text + at, the_log.held.size - at);
        if (!write_whole(the_log.held.text + at, size)) count_dropped(line_count(the_log.held.text + at, size));
    }
    the_log.held.size = 0;
    errno = errno_before;
}

static void write_line(enum log_level level, const struct line *l)
{
    if (!holding) {
        if (!write_whole(l->text, l->size)) count_dropped(1);
        return;
    }
    if (l->size > sizeof the_log.held.text - the_log.held.size) log_flush();
    memcpy(the_log.held.text + the_log.held.size, l->text, l->size);
    the_log.held.size += l->size;
    if (level >= LOG_WARN) log_flush();
}

void log_write(enum log_level level, const char *event, const struct log_field *fields, size_t count)
{
    if (!log_enabled(level)) return;
    int errno_before = errno; /* a line in between must not change what the caller goes on to report */
    struct line l;
    l.json = the_log.format == LOG_JSON;
    l.full = false;
    l.size = 0;
    put_head(&l, level, event);
    for (size_t i = 0; i < count && !l.full; i++) {
        size_t before = l.size;
        put_field(&l, &fields[i]);
        if (l.full) l.size = before; /* whole fields only: JSON stays JSON */
    }
    const char *tail = l.json ? l.full ? ",\"cut\":true}\n" : "}\n" : l.full ? " cut=true\n" : "\n";
    size_t size = strlen(tail);
    memcpy(l.text + l.size, tail, size); /* LINE_TAIL_BYTES keeps the room */
    l.size += size;
    write_line(level, &l);
    errno = errno_before;
}
